//! Has libFuzzer look for inputs that break the targets of tests/fuzz.
//!
//! Only the crates of this workspace are instrumented, so that what they are built from is what the other steps have built already: two
//! minutes instead of a quarter of an hour.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use infrahub_sync_components::guests;
use infrahub_sync_components::run::{Fault, cargo, say, succeed, words};
use infrahub_sync_components::tools::Trouble;

/// The targets, by the names of their folders in tests/fuzz/seeds.
const TARGETS: [&str; 8] = ["config", "lock", "page", "pointers", "columns", "plan", "journal", "host"];
/// The time for one input, in seconds: far more than any input takes, also on a busy machine.
const INPUT_SECONDS: u32 = 20;
/// The longest input. All of these formats have their first surprise long before.
const INPUT_BYTES_MAX: u32 = 8192;

/// How to look.
#[derive(Clone, Copy)]
pub(crate) enum Search {
    /// The same inputs every time, as many as fit into these seconds: what CI says of a change is not chance.
    Same { seconds: u32 },
    /// Other inputs every time, from all that were of use before.
    Further { seconds: u32 },
}

/// Builds all targets and runs each.
pub(crate) fn run(root: &Path, search: Search) -> Result<(), Trouble> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if !Command::new(&compiler).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Err(Trouble::Missing(format!(
            "libFuzzer is built with a C++ compiler: `{}` does not start (Debian: apt install g++)",
            compiler.display()
        )));
    }
    let mut build = cargo();
    build.current_dir(root).env("RUSTC_WORKSPACE_WRAPPER", root.join("tests/fuzz/instrument"));
    build.args(["build", "--release", "--workspace", "--features", "infrahub-sync-fuzz/fuzzing"]);
    for target in TARGETS {
        build.args(["--bin", &format!("fuzz-{target}")]);
    }
    say(&format!("$ {}", words(&build, root)));
    succeed(&mut build, root)?;

    let target_folder = guests::target_folder(root)?;
    let (next, failed) = (Mutex::new(TARGETS.iter()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some(target) = next.lock().ok().and_then(|mut next| next.next()) else { return };
            if let Err(fault) = fuzz(root, &target_folder, target, search)
                && let Ok(mut failed) = failed.lock()
            {
                failed.push(fault.0);
            }
        }
    };
    // As many as a small machine has processors.
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() { Ok(()) } else { Err(Fault(failed.join("; ")).into()) }
}

/// Runs one target.
fn fuzz(root: &Path, target_folder: &Path, target: &str, search: Search) -> Result<(), Fault> {
    let folder = target_folder.join("fuzz");
    let crashes = folder.join("crashes");
    // libFuzzer writes what is of use into the first folder, and reads all.
    let (found, seconds) = match search {
        Search::Same { seconds } => (folder.join("same").join(target), seconds),
        Search::Further { seconds } => (folder.join(target), seconds),
    };
    let failed = |folder: &Path| format!("{} cannot be made", folder.display());
    if matches!(search, Search::Same { .. }) && found.exists() {
        std::fs::remove_dir_all(&found).map_err(|error| Fault(format!("{}: {error}", failed(&found))))?;
    }
    for folder in [&found, &crashes] {
        std::fs::create_dir_all(folder).map_err(|error| Fault(format!("{}: {error}", failed(folder))))?;
    }
    let mut command = Command::new(target_folder.join(format!("release/fuzz-{target}")));
    if matches!(search, Search::Same { .. }) {
        command.arg("-seed=1");
    }
    command.arg(&found);
    command.arg(root.join("tests/fuzz/seeds").join(target));
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_SECONDS}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        "-rss_limit_mb=2048".to_owned(),
        "-print_final_stats=1".to_owned(),
        "-verbosity=0".to_owned(),
        format!("-artifact_prefix={}/{target}-", crashes.display()),
    ]);
    let output = command.stdin(Stdio::null()).output().map_err(|error| Fault(format!("fuzz-{target} cannot be run: {error}")))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let inputs = told.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).unwrap_or("?").trim();
    if output.status.success() {
        say(&format!("fuzz-{target}: {inputs} inputs in {seconds} s, nothing found"));
        return Ok(());
    }
    let end: Vec<&str> = told.lines().rev().take(40).collect();
    let end: Vec<&str> = end.into_iter().rev().collect();
    Err(Fault(format!(
        "fuzz-{target} has found something. The input is in {}; once it is understood, it belongs into tests/fuzz/seeds/{target}:\n{}",
        crashes.display(),
        end.join("\n")
    )))
}
