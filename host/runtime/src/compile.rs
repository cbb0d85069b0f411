//! Compiling in a process of its own, with limits of memory and time.
//!
//! The process is this program again, started with a hidden first argument. It gets a component by stdin, and returns machine code by stdout.
//! It has no environment, so nothing of the project is in its memory. On Linux the kernel enforces both limits; elsewhere on Unix, the time.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};

use infrahub_sync_base::limits::{Limit, Limits};
use infrahub_sync_base::text::one_line;

use crate::limits::Exceeded;
use crate::runtime::engine;
use crate::shape::COMPONENT_BYTES_MAX;
use crate::types::MESSAGE_BYTES_MAX;

/// The first argument of the process, before its memory in bytes and its time in seconds.
const COMMAND: &str = "__compile-adapter";
/// The exit code for a component that does not compile. The reason is on stderr.
const DAMAGED: u8 = 3;
/// Threads of the process: each works on one function, and takes memory for it.
const THREADS_MAX: usize = 8;

/// The reason why there is no machine code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Uncompiled {
    /// Compiling takes too much.
    Exceeded(Exceeded),
    /// The component is damaged, in the compiler's words.
    Damaged(String),
    /// The process did not do its work.
    Failed(String),
}

/// Returns the program that compiles: this one. If the system does not tell, nothing is compiled without limits.
#[must_use]
pub fn this_program() -> PathBuf {
    // The link leads to the program that is running, even if a newer one has replaced the file.
    if cfg!(target_os = "linux") { PathBuf::from("/proc/self/exe") } else { std::env::current_exe().unwrap_or_default() }
}

/// Compiles a component from stdin if the arguments of this process ask for it; none if they do not. To be called before anything else.
#[must_use]
pub fn compile_if_asked(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != COMMAND {
        return None;
    }
    let mut number = || arguments.next()?.to_str()?.parse().ok();
    let ended = match (number(), number()) {
        (Some(memory), Some(seconds)) => compile_within(memory, seconds),
        _ => Err("expected bytes of memory and seconds".to_owned()),
    };
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Without a reader there is no one to tell.
            let _ = io::stderr().write_all(reason.as_bytes());
            ExitCode::from(DAMAGED)
        }
    })
}

/// Does the work of the process.
fn compile_within(memory: u64, seconds: u64) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    limit(memory, seconds).map_err(words)?;
    let mut wasm = Vec::new();
    io::stdin().lock().take(COMPONENT_BYTES_MAX).read_to_end(&mut wasm).map_err(words)?;
    let compiled = engine().and_then(|engine| engine.precompile_component(&wasm)).map_err(|error| error.root_cause().to_string())?;
    let mut out = io::stdout().lock();
    out.write_all(&compiled).and_then(|()| out.flush()).map_err(words)
}

/// Limits what this process takes.
#[cfg(unix)]
fn limit(memory: u64, seconds: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    // A signal at the first number of seconds says why; the second one is for a process that ignores it.
    for (resource, soft, hard) in
        [(Resource::Data, memory, memory), (Resource::Cpu, seconds, seconds.saturating_add(5)), (Resource::Core, 0, 0)]
    {
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        setrlimit(resource, Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) })?;
    }
    Ok(())
}

/// Limits what this process takes: not on this system.
#[cfg(not(unix))]
fn limit(_memory: u64, _seconds: u64) -> io::Result<()> {
    Ok(())
}

/// Compiles a component in a process of that program, and returns the machine code.
pub(crate) fn in_a_process(program: &Path, wasm: &[u8], limits: &Limits) -> Result<Vec<u8>, Uncompiled> {
    let failed = |error: io::Error| Uncompiled::Failed(format!("cannot start {} to compile it: {error}", program.display()));
    let (memory, seconds) = (limits.get(Limit::CompileMemory), limits.time(Limit::CompileTime).as_millis().div_ceil(1000));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let mut command = Command::new(program);
    command.arg(COMMAND).arg(memory.to_string()).arg(seconds.to_string()).env_clear().env("RAYON_NUM_THREADS", threads.to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    // The process reads everything before it writes. If it has ended, its status is the reason.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(wasm));
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() { Ok(output.stdout) } else { Err(uncompiled(&output, limits)) }
}

/// Returns why a process has compiled nothing.
fn uncompiled(Output { status, stderr, .. }: &Output, limits: &Limits) -> Uncompiled {
    let words = String::from_utf8_lossy(stderr);
    let beyond = |limit| Uncompiled::Exceeded(Exceeded::beyond(limits, limit));
    // Of the standard library, of wasmtime, and of threads that cannot be started.
    let lacks_memory = ["memory allocation of", "annot allocate memory", "Resource temporarily unavailable"];
    if is_out_of_time(*status) {
        beyond(Limit::CompileTime)
    } else if lacks_memory.iter().any(|begin| words.contains(begin)) {
        beyond(Limit::CompileMemory)
    } else if status.code() == Some(DAMAGED.into()) {
        Uncompiled::Damaged(one_line(&words, MESSAGE_BYTES_MAX))
    } else {
        let last = words.lines().next_back().unwrap_or_default();
        Uncompiled::Failed(one_line(&format!("the process that compiles it ended with {status}: {last}"), MESSAGE_BYTES_MAX))
    }
}

/// Returns whether the limit of time ended a process.
#[cfg(unix)]
fn is_out_of_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
}

/// Returns whether the limit of time ended a process.
#[cfg(not(unix))]
fn is_out_of_time(_status: ExitStatus) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_end_of_the_process_names_the_limit() {
        let ended = |raw: i32, words: &str| {
            let output = Output { status: ExitStatus::from_raw(raw), stdout: Vec::new(), stderr: words.into() };
            uncompiled(&output, &Limits::default())
        };
        let beyond = |limit| Uncompiled::Exceeded(Exceeded::beyond(&Limits::default(), limit));
        assert_eq!(ended(24, ""), beyond(Limit::CompileTime));
        assert_eq!(ended(6, "memory allocation of 4096 bytes failed\n"), beyond(Limit::CompileMemory));
        assert_eq!(ended(3 << 8, "Cannot allocate memory (os error 12)"), beyond(Limit::CompileMemory));
        assert_eq!(ended(3 << 8, "unexpected end\nof file"), Uncompiled::Damaged("unexpected end\\nof file".into()));
        let Uncompiled::Failed(words) = ended(11, "a\nlast") else { panic!() };
        assert!(words.starts_with("the process that compiles it ended with signal: 11") && words.ends_with("last"), "{words}");
    }

    #[test]
    fn other_arguments_compile_nothing() {
        let asked = |arguments: &[&str]| compile_if_asked(arguments.iter().map(OsString::from));
        assert!(asked(&[]).is_none() && asked(&["sync"]).is_none());
        assert!(asked(&[COMMAND, "many"]).is_some());
    }

    #[test]
    fn a_program_that_cannot_be_started_is_named() {
        let Err(Uncompiled::Failed(words)) = in_a_process(Path::new("/nowhere"), b"", &Limits::default()) else { panic!() };
        assert!(words.starts_with("cannot start /nowhere to compile it: "), "{words}");
    }
}
