//! The table of limits, walked: each limit has a guest that exceeds it.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use infrahub_sync_base::limits::Limit;
use infrahub_sync_runtime::{
    Exchanges, Limits, LoadRequest, Payload, RequestHeaders, Role, Runtime, RuntimeOptions, SessionConfig, Variables,
};
use infrahub_sync_test_server::{Answer, Reply, Server};
use infrahub_sync_tests::{Output, Project};
use wasm_encoder::{
    CodeSection, Component, ComponentExportKind, ComponentExportSection, ComponentInstanceSection, Function, FunctionSection, Instruction,
    Module, ModuleSection, TypeSection, ValType,
};

use crate::hostile::{caught, caught_in, config, line_of, project, puppet_source};
use crate::puppet::puppet;

/// The end of a guest that exceeds a limit.
enum End {
    /// The run fails. The misdeed, and its limit.
    Failure(&'static str, &'static str),
    /// The run fails before the component can misbehave: compiling it takes too much.
    Uncompiled(&'static str),
    /// The run succeeds without a part of the output. The misdeed, its limit, and the words for the part.
    Output(&'static str, &'static str, &'static str),
    /// Further calls wait.
    Wait,
}

/// Returns a guest that exceeds a limit. A limit without a guest does not compile.
fn offence(limit: Limit) -> End {
    match limit {
        Limit::Memory => End::Failure("hoards_memory", "16 MiB"),
        Limit::CallTime => End::Failure("computes_forever", "0.5"),
        Limit::CallWallTime => End::Failure("waits_forever /silence", "0.5"),
        Limit::RunTime => End::Failure("computes_for_the_whole_run", "0.5"),
        Limit::RunWallTime => End::Failure("waits_for_the_whole_run /silence", "1"),
        Limit::ResponseSize => End::Failure("asks_for_a_huge_answer /", "1 KiB"),
        // An answer of the largest size is always held.
        Limit::HeldSize => End::Failure("hoards_bodies /", "3 KiB, response_size: 3 KiB"),
        Limit::HeldResponses => End::Failure("hoards_responses /", "3"),
        Limit::PageSize => End::Failure("hands_over_too_much", "1 MiB"),
        Limit::PageRecords => End::Failure("hands_over_too_many_lines", "99"),
        Limit::Pages | Limit::Records => End::Failure("pages_forever", "3"),
        Limit::RecordsSize => End::Failure("pages_forever", "1 KiB"),
        Limit::CallRequests | Limit::RunRequests => End::Failure("asks_in_a_circle /", "5"),
        Limit::WrittenSize => End::Failure("keeps_memos_forever", "10 KiB"),
        Limit::FileChanges => End::Failure("keeps_memos_forever", "5"),
        Limit::LogLines => End::Output("logs_forever", "2", "2 lines of log in this run: the others are dropped"),
        Limit::LogLineLength => End::Output("logs_a_book", "80", "(cut at 80 characters)"),
        Limit::Instances => End::Wait,
        Limit::CompileMemory => End::Uncompiled("64 MiB"),
        Limit::CompileTime => End::Uncompiled("1"),
    }
}

/// Starts a server with answers of 2 KiB, and one path without an answer.
fn server() -> Server {
    Server::start(|request| match request.path() {
        "/silence" => Reply::Silence,
        _ => Answer::ok(vec![b' '; 2 << 10]).into(),
    })
}

fn source(server: &Server, limit: Limit, value: &str) -> String {
    let settings = format!("settings: {{url: \"{}\", retries: 0}}", server.url());
    puppet_source(&format!("{settings}\nlimits: {{{}: {value}}}", limit.name()))
}

/// Returns the words of the table for a limit with this value.
fn words(limit: Limit, value: &str) -> String {
    limit.excess(limit.parse(value.split(',').next().unwrap()).unwrap())
}

/// The largest memory and the longest time of the programs so far, and whose they are.
#[derive(Default)]
struct Figures {
    memory: (u64, String),
    time: (Duration, String),
}

impl Figures {
    /// Runs a command on a project, and looks at its memory meanwhile.
    fn run(&mut self, whose: &str, project: &Project, arguments: &[&str]) -> Output {
        let begin = Instant::now();
        let child = project.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (status, ended) = (format!("/proc/{}/status", child.id()), AtomicBool::new(false));
        let (output, memory) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut most = 0;
                while !ended.load(Ordering::Relaxed) {
                    // In KiB. Elsewhere than on Linux it stays unknown.
                    let status = std::fs::read_to_string(&status).unwrap_or_default();
                    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().trim_end_matches(" kB").parse().ok());
                    most = most.max(peak.unwrap_or(0_u64));
                    // The interval of the samples: nothing waits for it.
                    std::thread::sleep(Duration::from_millis(5));
                }
                most
            });
            let output = child.wait_with_output().unwrap();
            ended.store(true, Ordering::Relaxed);
            (output, watch.join().unwrap() >> 10)
        });
        if memory > self.memory.0 {
            self.memory = (memory, whose.to_owned());
        }
        if begin.elapsed() > self.time.0 {
            self.time = (begin.elapsed(), whose.to_owned());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Prints them, whether or not the test's output is shown.
    fn print(&self) {
        let ((memory, by), (time, of)) = (&self.memory, &self.time);
        let line = format!("hostile guests: at most {memory} MiB of memory (`{by}`), at most {:.1} s (`{of}`)\n", time.as_secs_f64());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn each_limit_of_the_table_catches_a_guest() {
    const SYNC: [&str; 2] = ["sync", "--allow-rowcount-drop"];
    let (server, mut figures) = (server(), Figures::default());
    for limit in Limit::ALL {
        match offence(limit) {
            End::Failure(misdeed, value) => {
                let project = project(&source(&server, limit, value), misdeed);
                let told = caught_in(&project, &figures.run(misdeed, &project, &SYNC));
                let expected = format!("error: source `puppet` 1.2.3 {}, in `load` of `{misdeed}`", words(limit, value));
                assert!(told.starts_with(&expected) && told.ends_with("\nexit code 4"), "{limit:?}: {told}");
                assert!(line_of(&told, "limits").starts_with(&format!("limits: {{{}: ", limit.name())), "{limit:?}: {told}");
            }
            End::Uncompiled(value) => {
                let project = project(&format!("name: heavy\nadapter: ./heavy.wasm\nlimits: {{{}: {value}}}", limit.name()), "x");
                std::fs::write(project.path().join("heavy.wasm"), heavy(100_000)).unwrap();
                let told = caught_in(&project, &figures.run(limit.name(), &project, &SYNC));
                let expected = format!("error: source `heavy` {}\n", words(limit, value));
                assert!(told.starts_with(&expected) && told.ends_with("\nexit code 4"), "{limit:?}: {told}");
                assert!(line_of(&told, "limits").starts_with(&format!("limits: {{{}: ", limit.name())), "{limit:?}: {told}");
            }
            End::Output(misdeed, value, part) => {
                let output = figures.run(misdeed, &project(&source(&server, limit, value), misdeed), &["diff"]);
                assert!(output.code == 0 && output.stderr.contains(part), "{limit:?}: {} {}", output.code, output.stderr);
            }
            End::Wait => calls_beyond_the_limit_of_instances_wait(),
        }
    }
    figures.print();
}

/// One instance counts all calls, which would otherwise be the first of several instances.
fn calls_beyond_the_limit_of_instances_wait() {
    let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
    let adapter = runtime.load_adapter(&std::fs::read(puppet()).unwrap(), "puppet").unwrap();
    let mut limits = Limits::default();
    limits.set(Limit::Instances, 1);
    let config = SessionConfig {
        writes: false,
        role: Role::Source,
        settings: Default::default(),
        environment: &|_| None,
        variables: Variables::All,
        headers: RequestHeaders::All,
        command_line: Default::default(),
        project_dir: "/nowhere".into(),
        exchanges: Exchanges::Live,
        limits,
        extra_origins: Vec::new(),
        networks: Vec::new(),
    };
    let tasks = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut answers = tasks.block_on(async {
        let session = adapter.open(config).await.unwrap();
        let call = || {
            let session = session.clone();
            tokio::spawn(
                async move { session.load(LoadRequest { resource: "calls".into(), page_size: 1, ..LoadRequest::default() }).await },
            )
        };
        let calls: Vec<_> = (0..4).map(|_| call()).collect();
        let mut answers = Vec::new();
        for call in calls {
            match call.await.unwrap().unwrap().payload {
                Payload::JsonLines(text) => answers.push(text),
                other => panic!("{other:?}"),
            }
        }
        answers
    });
    answers.sort();
    assert_eq!(answers, ["1", "2", "3", "4"]);
}

/// Returns a component with the exports of an adapter and one function of some steps. 100,000 take three seconds and 300 MiB to compile, and are
/// within every bound of its shape.
fn heavy(steps: u32) -> Vec<u8> {
    let (mut types, mut kinds, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([ValType::I64], [ValType::I64]);
    kinds.function(0);
    let mut function = Function::new([(8, ValType::I64)]);
    for step in 0..steps {
        function.instruction(&Instruction::LocalGet(step % 9));
        function.instruction(&Instruction::LocalGet(step * 7 % 9));
        function.instruction(&Instruction::I64Mul);
        // Across calls, all values are kept.
        function.instruction(&Instruction::Call(0));
        function.instruction(&Instruction::LocalSet((step * 5 + 3) % 9));
    }
    function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::End);
    code.function(&function);
    let mut module = Module::new();
    module.section(&types).section(&kinds).section(&code);
    let (mut component, mut instances, mut exports) = (Component::new(), ComponentInstanceSection::new(), ComponentExportSection::new());
    instances.export_items(Vec::<(String, ComponentExportKind, u32)>::new());
    for name in ["meta", "schema", "source", "destination"] {
        let name = format!("infrahub-sync:adapter/{name}@{}", infrahub_sync_runtime::CONTRACT_VERSION);
        exports.export(name.as_str(), ComponentExportKind::Instance, 0, None);
    }
    component.section(&ModuleSection(&module)).section(&instances).section(&exports);
    component.finish()
}

#[test]
fn a_component_within_the_limits_is_compiled() {
    // It is compiled, and then it is no adapter after all: its interfaces are empty.
    let project = project("name: heavy\nadapter: ./heavy.wasm", "x");
    std::fs::write(project.path().join("heavy.wasm"), heavy(1000)).unwrap();
    let told = caught(&project);
    assert!(told.starts_with("error: adapter `heavy` cannot be used: its interfaces differ from contract "), "{told}");
    project.write("config.yml", &config("name: heavy\nadapter: ./heavy.wasm\nlimits: {compile_memory: 1 KiB}", "x"));
    let told = project.run(&["validate"]);
    assert!(told.code != 0 && told.stderr.contains("`compile_memory` must be from 64 MiB to 64 GiB, not 1 KiB"), "{}", told.stderr);
}
