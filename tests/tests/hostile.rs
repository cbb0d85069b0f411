//! Hostile adapters and hostile servers, with the whole program: what the user reads, how it exits, and that the destination is not touched.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use infrahub_sync_tests::{Output, Project, binary};

/// The guest of the sandbox's tests, which does as it is told.
fn puppet() -> &'static Path {
    static PUPPET: OnceLock<PathBuf> = OnceLock::new();
    PUPPET.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let component = scratch.join("hostile/puppet.wasm");
        std::fs::create_dir_all(component.parent().unwrap()).unwrap();
        let mut build = Command::new(binary().with_file_name("infrahub-sync-build"));
        // The same target folder as the sandbox's tests have: built once for both.
        build.env("CARGO_TARGET_DIR", scratch.join("guest")).arg("component");
        build.arg(here.join("../host/runtime/tests/guest")).arg("-o").arg(&component);
        assert!(build.status().unwrap().success(), "the guest is not built");
        component
    })
}

const KEPT: &str = "{\"name\":\"kept\"}\n";

/// A project with a destination that has a row.
fn project(source: &str, resource: &str) -> Project {
    let project = Project::new(&config(source, resource));
    project.write("destination/Thing.jsonl", KEPT);
    project
}

fn config(source: &str, resource: &str) -> String {
    format!(
        "name: hostile
source:
{}
destination: {{name: files, settings: {{path: destination}}}}
diffsync_flags: [NONE]
schema_mapping:
  - name: Thing
    mapping: {resource}
    identifiers: [name]
    fields: [{{name: name, mapping: name}}]
",
        source.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    )
}

fn puppet_source(more: &str) -> String {
    format!("name: puppet\nadapter: {}\n{more}", puppet().display())
}

/// What a person reads of a failure, and the exit code.
fn told(output: &Output) -> String {
    let failure = output.stderr.find("error: ").map_or("", |at| &output.stderr[at..]);
    format!("{}\nexit code {}", failure.trim_end(), output.code)
}

/// Runs `sync`, which must fail without a trace in the destination; what it tells.
fn caught(project: &Project) -> String {
    let output = project.run(&["sync", "--allow-rowcount-drop"]);
    assert_eq!(project.read("destination/Thing.jsonl"), KEPT, "{}", output.stderr);
    assert_eq!(std::fs::read_dir(project.path().join("destination")).unwrap().count(), 1, "{}", output.stderr);
    told(&output)
}

/// The line of config.yml that a message or hint shows.
fn line_of(told: &str, begin: &str) -> String {
    let at = told.find(&format!("`{begin}: ")).unwrap_or_else(|| panic!("{told}"));
    told[at + 1..].split('`').next().unwrap().to_owned()
}

/// What a misdeed under a limit tells; the line that raises the limit is a good one.
fn limited(misdeed: &str, limits: &str) -> String {
    let project = project(&puppet_source(&format!("limits: {limits}")), misdeed);
    let told = caught(&project);
    let raised = line_of(&told, "limits");
    project.write("config.yml", &config(&puppet_source(&raised), misdeed));
    project.ok(&["validate"]);
    told
}

#[test]
fn a_source_that_goes_beyond_a_limit_ends_the_run_and_writes_nothing() {
    insta::assert_snapshot!(limited("computes_forever", "{call_time: 0.5}"), @"");
    insta::assert_snapshot!(limited("computes_for_the_whole_run", "{run_time: 0.5}"), @"");
    insta::assert_snapshot!(limited("hoards_memory", "{memory: 16 MiB}"), @"");
    insta::assert_snapshot!(limited("hands_over_too_much", "{page_size: 1 MiB}"), @"");
    insta::assert_snapshot!(limited("hands_over_too_many_records", "{page_records: 99}"), @"");
    insta::assert_snapshot!(limited("hands_over_too_many_lines", "{page_records: 99}"), @"");
    insta::assert_snapshot!(limited("pages_forever", "{pages: 3}"), @"");
    insta::assert_snapshot!(limited("pages_forever", "{records: 3}"), @"");
}

#[test]
fn an_adapter_that_breaks_or_lies_ends_the_run_and_writes_nothing() {
    let misdeed = |name: &str| caught(&project(&puppet_source(""), name));
    insta::assert_snapshot!(misdeed("panics"), @"");
    insta::assert_snapshot!(misdeed("lies_about_utf8"), @"");
    insta::assert_snapshot!(misdeed("pages_in_place"), @"");
    insta::assert_snapshot!(misdeed("pages_in_a_circle"), @"");
}

#[test]
fn an_adapter_that_logs_forever_is_heard_for_a_while() {
    let project = project(&puppet_source("limits: {log_lines: 2, log_line_length: 80}"), "logs_forever");
    let output = project.run(&["diff"]);
    let warnings: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    insta::assert_snapshot!(warnings.join("\n"), @"");
    assert_eq!(output.code, 0, "{}", output.stderr);
}

/// What a server does with a request.
enum Reply {
    /// Exactly these bytes.
    Raw(Vec<u8>),
    /// A first part, then the same again and again.
    Endless(&'static str, Vec<u8>),
}

fn answer(head: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {head}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    Reply::Raw([head.as_bytes(), body].concat())
}

fn ok(body: impl AsRef<[u8]>) -> Reply {
    answer("200 OK", body)
}

/// A list as NetBox gives it.
fn list(next: &str, records: &str) -> Reply {
    ok(format!("{{\"count\": null, \"next\": {next}, \"results\": [{records}]}}"))
}

struct Server {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

/// A server that answers each path so.
fn serve(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (seen, reply) = (Arc::new(Mutex::new(Vec::new())), Arc::new(reply));
    let asked = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (asked, reply) = (asked.clone(), reply.clone());
            std::thread::spawn(move || answer_one(stream, &asked, &*reply));
        }
    });
    Server { address, seen }
}

fn answer_one(mut stream: TcpStream, asked: &Mutex<Vec<String>>, reply: &dyn Fn(&str) -> Reply) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(text);
    // The client hangs up when it has had enough.
    match reply(&path) {
        Reply::Raw(bytes) => drop(stream.write_all(&bytes)),
        Reply::Endless(head, again) => {
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&again).is_ok() {}
        }
    }
}

/// What a run tells whose NetBox answers so.
fn netbox(limits: &str, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> String {
    let server = serve(reply);
    caught(&netbox_project(&server, limits)).replace(&server.address, "ADDRESS")
}

fn netbox_project(server: &Server, limits: &str) -> Project {
    let settings = format!("settings: {{url: \"{}\", token: hunter2-hunter2, retries: 0, timeout: 5}}", server.address);
    project(&format!("name: netbox\n{settings}\nlimits: {limits}"), "dcim.sites")
}

#[test]
fn answers_without_end_have_one() {
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    insta::assert_snapshot!(
        netbox("{response_size: 1 MiB}", move |_| Reply::Endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk.clone())),
        @""
    );
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 16 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    insta::assert_snapshot!(netbox("{response_size: 1 MiB}", move |_| answer("200 OK\r\ncontent-encoding: gzip", &bomb)), @"");
    insta::assert_snapshot!(netbox("{}", |_| Reply::Endless("HTTP/1.1 200 OK\r\n", b"x: y\r\n".repeat(1000))), @"");
}

#[test]
fn lists_without_end_have_one() {
    let number = |path: &str| path.split("start=").nth(1).map_or(0, |rest| rest.split('&').next().unwrap().parse::<u64>().unwrap());
    insta::assert_snapshot!(
        netbox("{pages: 5}", move |path| {
            let next = number(path) + 1;
            list(&format!("\"http://elsewhere.example/api/dcim/sites/?start={next}\""), &format!("{{\"id\": {next}, \"name\": \"s{next}\"}}"))
        }),
        @""
    );
    insta::assert_snapshot!(netbox("{}", |_| list("\"/?start=7\"", "{\"id\": 7, \"name\": \"a\"}")), @"");
    insta::assert_snapshot!(
        netbox("{}", move |path| list(if number(path) == 7 { "\"/?start=8\"" } else { "\"/?start=7\"" }, "{\"id\": 7, \"name\": \"a\"}")),
        @""
    );
}

#[test]
fn redirects_that_lead_nowhere_are_not_followed() {
    insta::assert_snapshot!(netbox("{}", |path| answer(&format!("302 Round\r\nlocation: {path}"), "")), @"");
    insta::assert_snapshot!(netbox("{}", |_| answer("301 Away\r\nlocation: https://evil.example/", "")), @"");
    insta::assert_snapshot!(netbox("{}", |_| answer("301 Away\r\nlocation: file:///etc/passwd", "")), @"");
}

#[test]
fn answers_that_are_none_are_told() {
    insta::assert_snapshot!(netbox("{}", |_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"count\"".to_vec())), @"");
    insta::assert_snapshot!(netbox("{}", |_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_vec())), @"");
    insta::assert_snapshot!(netbox("{}", |_| ok(b"{\"count\": null, \"next\": null, \"results\": [{\"id\": 1, \"name\": \"\xff\"}]}")), @"");
    // A field that is mapped and lists a hundred thousand levels deep; the same beside it is passed over.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let record = format!("{{\"id\": 1, \"name\": {deep}}}");
    insta::assert_snapshot!(netbox("{}", move |_| list("null", &record)), @"");
    insta::assert_snapshot!(netbox("{}", |_| list("null", "{\"id\": 1, \"name\": 1e999}")), @"");
    let digits = format!("{{\"id\": 1, \"name\": {}}}", "9".repeat(1000));
    insta::assert_snapshot!(netbox("{}", move |_| list("null", &digits)), @"");
}

/// The names that a plan creates from a NetBox that answers so.
fn planned(records: &'static str) -> Vec<String> {
    let server = serve(move |_| list("null", records));
    let (_, plan) = netbox_project(&server, "{}").plan(&["--allow-rowcount-drop"]);
    let changes = plan["changes"].as_array().cloned().unwrap_or_default();
    changes.iter().filter(|change| change["action"] == "create").map(|change| change["source_id"].to_string()).collect()
}

#[test]
fn odd_answers_that_are_json_are_read_the_same_way_each_time() {
    // Of a key that stands twice the first counts.
    assert_eq!(planned("{\"id\": 1, \"name\": \"first\", \"name\": \"second\"}"), ["\"first\""]);
    // What is not mapped may be anything.
    let deep = String::leak(format!("{{\"id\": 1, \"x\": {}{}, \"y\": 1e999, \"name\": \"a\"}}", "[".repeat(100_000), "]".repeat(100_000)));
    assert_eq!(planned(deep), ["\"a\""]);
    // Whole numbers beyond 64 bits are numbers all the same.
    assert_eq!(planned("{\"id\": 123456789012345678901234567890, \"name\": \"big\"}"), ["\"big\""]);
}

#[test]
fn a_denial_shows_the_line_that_allows_it() {
    let other = serve(|_| ok("{\"results\": [{\"name\": \"kept\"}]}"));
    let server = serve(|_| ok("{}"));
    // Two names of this machine are two hosts.
    let there = other.address.replace("127.0.0.1", "localhost");
    let settings = format!("settings: {{url: \"{}\", token: hunter2-hunter2}}", server.address);
    let order = format!("get {there}/x");
    let project = project(&puppet_source(&settings), &order);
    let told = caught(&project);
    let line = line_of(&told, "grants");
    insta::assert_snapshot!(told.replace(&there, "THERE").replace(&server.address, "ADDRESS"), @"");
    assert!(other.seen.lock().unwrap().is_empty());
    project.write("config.yml", &config(&puppet_source(&format!("{settings}\n{line}")), &order));
    project.ok(&["diff"]);
    let seen = other.seen.lock().unwrap().join("\n");
    assert!(seen.starts_with("GET /x ") && !seen.contains("hunter2") && !seen.contains("authorization"), "{seen}");
}
