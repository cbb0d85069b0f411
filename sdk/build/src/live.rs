//! The tests against real servers: the servers are installed, brought up, tested against and stopped again.
//!
//! A test that fails is run again, alone: another project's server may have hiccups, and a defect fails twice.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::steps::{Outcome, Steps};
use crate::verify::LIVE_FEATURE;
use infrahub_sync_components::guests::{self, Guests};
use infrahub_sync_components::run::{Fault, cargo, complain, programs, say, succeed, words};

/// The time for installation: programs from four registries.
const INSTALLING: Duration = minutes(20);
/// Between two looks at a running program.
const LOOK: Duration = Duration::from_millis(200);
/// The time that a group of processes has to end.
const ENDING: Duration = Duration::from_secs(10);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// A server: its script, and the arguments of `up`.
type Server = (&'static str, &'static [&'static str]);

/// The servers of each tier.
const SERVERS: [Server; 2] = [
    ("tests/live/netbox.sh", &[]),
    ("tests/live/infrahub.sh", &["examples/netbox_to_infrahub/schema.yml", "tests/live/infrahub/schema.yml"]),
];
/// The server of the deep tests alone.
const NAUTOBOT: Server = ("tests/live/nautobot.sh", &[]);
const REFERENCE: &str = "tests/live/reference.sh";

/// Which tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// One way in and out of each adapter, and the five worst plans that did not tell the truth: what CI has time for.
    Smoke,
    /// Every test but the way in and out.
    Deep,
}

impl Tier {
    /// Returns the servers that its tests need.
    fn servers(self) -> Vec<Server> {
        SERVERS.into_iter().chain((self == Tier::Deep).then_some(NAUTOBOT)).collect()
    }

    /// Returns the time for servers and tests, once everything is installed.
    fn limit(self) -> Duration {
        match self {
            Tier::Smoke => minutes(15),
            Tier::Deep => minutes(60),
        }
    }

    /// Returns the part of it in which the servers have to answer.
    fn bringing_up(self) -> Duration {
        match self {
            Tier::Smoke => minutes(9),
            Tier::Deep => minutes(20),
        }
    }

    /// Returns the arguments of the test program that choose the tests.
    fn filter(self) -> &'static [&'static str] {
        match self {
            Tier::Smoke => &["smoke::", "deletes::", "ownership::", "converge::unique_values"],
            Tier::Deep => &["--skip", "smoke::"],
        }
    }

    /// Returns the programs that the tests start.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Tier::Smoke => &["infrahub-sync"],
            Tier::Deep => &["infrahub-sync", "fake-infrahub"],
        }
    }
}

/// How the tests ended, when none failed.
pub(crate) enum Ended {
    Passed,
    /// This machine cannot bring up the servers, and why.
    Skipped(String),
    /// The time was over, and nothing had failed.
    Unfinished,
}

/// Runs the tests. Servers that run already are used, and keep running.
pub(crate) fn run(root: &Path, tier: Tier, steps: &mut Steps) -> Result<Ended, Fault> {
    steps.run("live: build", || guests::build(root, Guests::Adapters).and_then(|()| programs(root, tier.programs())));
    if steps.any_failed() {
        return Err(Fault("the program was not built".to_owned()));
    }
    if let Err(reason) = step(steps, "live: installation", || install(root, tier)) {
        return Ok(Ended::Skipped(reason));
    }
    let start = Instant::now();
    let mut ours = Vec::new();
    let ended = match step(steps, "live: servers", || bring_up(root, tier, start + tier.bringing_up(), &mut ours)) {
        Err(reason) => Ok(Ended::Skipped(reason)),
        Ok(()) => {
            let begin = Instant::now();
            let ended = tests(root, tier, start + tier.limit());
            let outcome = match &ended {
                Ok(Ended::Unfinished) => Outcome::Unfinished,
                Ok(_) => Outcome::Passed,
                Err(_) => Outcome::Failed,
            };
            steps.add("live: tests", outcome, begin.elapsed());
            ended
        }
    };
    for script in ours {
        say(&format!("\n== {script} down"));
        if let Err(fault) = succeed(Command::new(root.join(script)).arg("down"), root) {
            complain(&fault.to_string());
        }
    }
    ended
}

/// Runs a step whose failure is a reason to skip.
fn step(steps: &mut Steps, name: &str, step: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let start = Instant::now();
    let result = step();
    steps.add(name, if result.is_ok() { Outcome::Passed } else { Outcome::Skipped }, start.elapsed());
    result
}

/// Installs the programs of the servers, one after the other, because apt takes one at a time. The error is the reason why not.
fn install(root: &Path, tier: Tier) -> Result<(), String> {
    let end = Instant::now() + INSTALLING;
    for (script, _) in tier.servers() {
        let mut command = Command::new(root.join(script));
        brought(command.current_dir(root).arg("install"), root, end)?;
    }
    match tier {
        Tier::Smoke => Ok(()),
        Tier::Deep => brought(Command::new(root.join(REFERENCE)).current_dir(root), root, end),
    }
}

/// Starts the servers that do not run, side by side. The scripts to call with `down` later are added to `ours`. The error is the reason why not.
fn bring_up(root: &Path, tier: Tier, end: Instant, ours: &mut Vec<&'static str>) -> Result<(), String> {
    for (script, _) in tier.servers() {
        let status = Command::new(root.join(script)).arg("status").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            // Also when it fails: half of it may run then.
            ours.push(script);
        }
    }
    std::thread::scope(|scope| {
        let start = |(script, arguments): Server| {
            scope.spawn(move || {
                let mut up = Command::new(root.join(script));
                brought(up.current_dir(root).arg("up").args(arguments), root, end)
            })
        };
        let started: Vec<_> = tier.servers().into_iter().map(start).collect();
        let ended = started.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("bringing up a server has panicked".to_owned())));
        ended.collect()
    })
}

/// Runs a script that installs or starts something. The error is the script's last line.
fn brought(command: &mut Command, root: &Path, end: Instant) -> Result<(), String> {
    let words = words(command, root);
    say(&format!("$ {words}"));
    let start = Instant::now();
    let mut child = command.stderr(Stdio::piped()).process_group(0).spawn().map_err(|error| format!("`{words}`: {error}"))?;
    let stderr = child.stderr.take();
    // A thread shows each line at once, and keeps the last one. The thread is not joined, because a server may hold the pipe open.
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
            say(&format!("`{words}`: done in {:.0} s", start.elapsed().as_secs_f32()));
            Ok(())
        }
        Some(status) => {
            // The last line may still be on its way through the pipe.
            std::thread::sleep(LOOK);
            Err(format!("`{words}` ended with {status}: {}", last.lock().unwrap_or_else(PoisonError::into_inner)))
        }
        None => Err(format!("`{words}` did not end in {} minutes", start.elapsed().as_secs() / 60)),
    }
}

fn tests(root: &Path, tier: Tier, end: Instant) -> Result<Ended, Fault> {
    let start = Instant::now();
    let failed = match played(root, tier, end, &[])? {
        Played::Passed => return Ok(passed(start)),
        Played::Unfinished => return Ok(Ended::Unfinished),
        Played::Failed(failed) if failed.is_empty() => {
            return Err(Fault("the live tests failed, and the output names none of them".into()));
        }
        Played::Failed(failed) => failed,
    };
    say(&format!("\nAgain, alone: {}", failed.join(", ")));
    match played(root, tier, end, &failed)? {
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

/// Runs the tests, all of the tier or those named, and passes their output on.
fn played(root: &Path, tier: Tier, end: Instant, names: &[String]) -> Result<Played, Fault> {
    let mut command = cargo();
    // Of the whole workspace, as everything else is built: one package alone has other features, and would be built again.
    command.current_dir(root).args(["test", "--release", "--workspace", "--features", LIVE_FEATURE, "--test", "live", "--"]);
    if names.is_empty() {
        command.args(tier.filter());
    } else {
        command.arg("--exact").args(names);
    }
    let words = words(&command, root);
    say(&format!("$ {words}"));
    let child = command.process_group(0).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| Fault(format!("`{words}` could not be started: {error}")))?;
    let failed = Arc::new(Mutex::new(Vec::new()));
    let reader = child.stdout.take().map(|stdout| {
        let failed = failed.clone();
        std::thread::spawn(move || pass_on(stdout, &failed))
    });
    let status = wait(&mut child, end);
    // The pipe ends with the last test, or with its whole group. A server that a test has started may hold it open.
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

/// Passes on what the tests print, piece by piece, and remembers which of them failed.
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

/// Waits for a process until `end`. Returns `None` when it had to be ended, with its whole group.
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
