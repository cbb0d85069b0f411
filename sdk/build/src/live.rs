//! The second tier: real servers, brought up, tested against and stopped again.
//!
//! A test that fails is run once more, alone: a server of others may have hiccups, and a defect fails twice.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::guests;
use crate::run::{Fault, cargo, complain, say, succeed, words};

/// All of it. On two cores that do nothing else the tests take half an hour.
const ALL: Duration = Duration::from_secs(45 * 60);
/// Of that, for what the servers need to be there: programs from four registries, a database, a network of 1,527 objects.
const BRINGING_UP: Duration = Duration::from_secs(20 * 60);
/// Between two looks at a program that runs.
const LOOK: Duration = Duration::from_millis(200);
/// What a group of processes that is asked to end is given.
const ENDING: Duration = Duration::from_secs(10);

/// Each server: its script, and what `up` is given. They come up one after the other, since apt takes one at a time.
const SERVERS: [(&str, &[&str]); 2] = [
    ("tests/live/netbox.sh", &[]),
    ("tests/live/infrahub.sh", &["examples/netbox_to_infrahub/schema.yml", "tests/live/infrahub/schema.yml"]),
];
const REFERENCE: &str = "tests/live/reference.sh";

/// How it ended, when nothing failed.
pub(crate) enum Ended {
    Passed,
    /// The servers could not be brought up here, and why.
    Skipped(String),
    /// The time was over, and nothing had failed.
    Unfinished,
}

/// Runs the live tests. Servers that run already are used, and go on running.
pub(crate) fn run(root: &Path) -> Result<Ended, Fault> {
    guests::build_all(root)?;
    succeed(cargo().current_dir(root).args(["build", "--release", "--workspace", "--quiet"]), root)?;
    let end = Instant::now() + ALL;
    let mut ours = Vec::new();
    let brought_up = bring_up(root, Instant::now() + BRINGING_UP, &mut ours);
    let ended = match brought_up {
        Err(reason) => Ok(Ended::Skipped(reason)),
        Ok(()) => tests(root, end),
    };
    for script in ours {
        say(&format!("\n== {script} down"));
        if let Err(fault) = succeed(Command::new(root.join(script)).arg("down"), root) {
            complain(&fault.to_string());
        }
    }
    ended
}

/// Starts what does not run; the scripts that have to be called with `down` later are added to `ours`. The error is why not.
fn bring_up(root: &Path, end: Instant, ours: &mut Vec<&'static str>) -> Result<(), String> {
    for (script, arguments) in SERVERS {
        let status = Command::new(root.join(script)).arg("status").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            // Also when it fails: half of it may run then.
            ours.push(script);
        }
        let mut up = Command::new(root.join(script));
        up.current_dir(root).arg("up").args(arguments);
        brought(up, root, end)?;
    }
    let mut reference = Command::new(root.join(REFERENCE));
    reference.current_dir(root);
    brought(reference, root, end)
}

/// Runs a script that brings something up; the error is its last line.
fn brought(mut command: Command, root: &Path, end: Instant) -> Result<(), String> {
    let words = words(&command, root);
    say(&format!("\n== {words}"));
    let start = Instant::now();
    let mut child = command.stderr(Stdio::piped()).process_group(0).spawn().map_err(|error| format!("`{words}`: {error}"))?;
    let stderr = child.stderr.take();
    // A thread reads along: what is said is shown at once, and the last line is kept. Nobody waits for its end, because a server that was
    // started may hold the pipe open.
    let last = Arc::new(Mutex::new(String::new()));
    let keep = last.clone();
    std::thread::spawn(move || {
        for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()).map_while(Result::ok) {
            complain(&line);
            *keep.lock().unwrap_or_else(PoisonError::into_inner) = line;
        }
    });
    let status = wait(&mut child, end);
    match status {
        Some(status) if status.success() => {
            say(&format!("up in {:.0} s", start.elapsed().as_secs_f32()));
            Ok(())
        }
        Some(status) => {
            // What it said last may still be on its way through the pipe.
            std::thread::sleep(LOOK);
            Err(format!("`{words}` ended with {status}: {}", last.lock().unwrap_or_else(PoisonError::into_inner)))
        }
        None => Err(format!("`{words}` was not done in the {} minutes for bringing up", BRINGING_UP.as_secs() / 60)),
    }
}

/// The test programs.
const TESTS: [&str; 3] = ["live_histories", "live_infrahub", "live_netbox"];

fn tests(root: &Path, end: Instant) -> Result<Ended, Fault> {
    let start = Instant::now();
    let failed = match played(root, end, &[])? {
        Played::Passed => return Ok(passed(start)),
        Played::Unfinished => return Ok(Ended::Unfinished),
        Played::Failed(failed) if failed.is_empty() => return Err(Fault("the live tests failed, and none of them by name".into())),
        Played::Failed(failed) => failed,
    };
    say(&format!("\nOnce more, alone: {}", failed.join(", ")));
    match played(root, end, &failed)? {
        Played::Passed => {
            say(&format!("Passed the second time: {}", failed.join(", ")));
            Ok(passed(start))
        }
        Played::Unfinished => Ok(Ended::Unfinished),
        Played::Failed(failed) => Err(Fault(format!("failed twice: {}", failed.join(", ")))),
    }
}

fn passed(start: Instant) -> Ended {
    say(&format!("The live tests passed in {:.0} s.", start.elapsed().as_secs_f32()));
    Ended::Passed
}

/// How the tests ended.
enum Played {
    Passed,
    /// The names of those that failed.
    Failed(Vec<String>),
    Unfinished,
}

/// Runs the tests, all or those named, and hands on what they print.
fn played(root: &Path, end: Instant, names: &[String]) -> Result<Played, Fault> {
    let mut command = cargo();
    command.current_dir(root).env("INFRAHUB_SYNC_LIVE", "1");
    // Of the whole workspace, as everything else is built: one package alone has other features, and would be built anew.
    command.args(["test", "--release", "--workspace"]);
    for test in TESTS {
        command.args(["--test", test]);
    }
    command.arg("--no-fail-fast");
    if !names.is_empty() {
        command.args(["--", "--exact"]).args(names);
    }
    let words = words(&command, root);
    say(&format!("\n== INFRAHUB_SYNC_LIVE=1 {words}"));
    let child = command.process_group(0).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| Fault(format!("`{words}` could not be started: {error}")))?;
    let failed = Arc::new(Mutex::new(Vec::new()));
    let reader = child.stdout.take().map(|stdout| {
        let failed = failed.clone();
        std::thread::spawn(move || pass_on(stdout, &failed))
    });
    let status = wait(&mut child, end);
    // The pipe ends with the last of the tests, or with its whole group; but a server that one has started may hold it open.
    let patience = Instant::now() + ENDING;
    while reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < patience {
        std::thread::sleep(LOOK);
    }
    let failed = std::mem::take(&mut *failed.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(match status {
        Some(status) if status.success() => Played::Passed,
        None if failed.is_empty() => Played::Unfinished,
        _ => Played::Failed(failed),
    })
}

/// Hands on what the tests print, piece by piece, and remembers who failed.
fn pass_on(mut stdout: impl Read, failed: &Mutex<Vec<String>>) {
    let (mut buffer, mut line) = ([0; 4096], Vec::new());
    while let Ok(read) = stdout.read(&mut buffer)
        && let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty())
    {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(piece).and_then(|()| out.flush());
        for byte in piece {
            if *byte != b'\n' {
                line.push(*byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            if let Some(name) = text.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
            }
            line.clear();
        }
    }
}

/// Waits for a process until `end`; none when it had to be ended, with its whole group.
fn wait(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => std::thread::sleep(LOOK),
            Ok(None) | Err(_) => break,
        }
    }
    let group = format!("-{}", child.id());
    for signal in ["-TERM", "-KILL"] {
        let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
        let end = Instant::now() + ENDING;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
    }
    let _ = child.wait();
    None
}
