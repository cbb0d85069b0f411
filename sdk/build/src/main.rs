//! Builds adapters into components, runs the demo and the whole verification.
//!
//! ```text
//! cargo adapters                     every adapter of plugins/ → target/adapters/<name>.wasm
//! … component FOLDER [-o FILE]       one adapter of an author's own, in Rust, Python, JavaScript or Go
//! cargo guests                       every guest of tests/guests/, which the tests load → target/guests/<name>.wasm
//! … wit [-o FILE]                    the contract as a package for registries
//! cargo demo                         adapters, the host, then the main job on recorded answers
//! cargo verify                       format, adapters, lints, tests, a short search of the fuzz targets
//! cargo fuzz-targets [SECONDS]       the fuzz targets alone, for longer
//! cargo verify-live                  the tests that need real servers, and the servers
//! cargo ci                           verify, then a smoke test against real servers
//! ```
//!
//! An adapter needs nothing else but its language to be built: the guest target and the tools of other languages are installed when they
//! are missing, and a core module becomes a component in here.

mod demo;
mod fuzz;
mod live;
mod prose;
mod steps;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use infrahub_sync_components::guests::{self, Guests};
use infrahub_sync_components::run::{self, Fault, say};
use infrahub_sync_components::tools::Trouble;
use infrahub_sync_components::{component, contract};
use live::{Ended, Tier};
use steps::Steps;

/// The exit code for an invalid command line.
const USAGE: u8 = 2;
/// The exit code when the live tests took too long, and none had failed.
const UNFINISHED: u8 = 78;
/// The exit code when this machine lacks what the live tests need, or the language of an adapter.
const SKIPPED: u8 = 77;

const HELP: &str = "\
Builds adapters into components, runs the demo and the tests.

usage: infrahub-sync-build COMMAND

commands:
  adapters                 build every adapter of plugins/ into target/adapters/<name>.wasm
  component FOLDER [-o OUT]
                           build the adapter in a folder, in Rust, Python, JavaScript or Go (default OUT: <folder>.wasm in that folder);
                           exit code 77 when this machine lacks the language
  guests                   build every guest of tests/guests/ into target/guests/<name>.wasm
  wit [-o OUT]             encode the contract as a package for registries (default OUT: target/wit/<name>-<version>.wasm)
  demo                     run the example netbox_to_files offline, from diff to no differences left
  verify                   format, adapters, lints, tests, a short search of the fuzz targets
  fuzz [SECONDS]           search for inputs that break the fuzz targets, each for SECONDS (default 60); exit code 77 without a C++ compiler
  prose [PATH…]            check the English of the repository, or of the files below some paths; the rules are in host/STYLE.md
  verify-live [--smoke]    bring up a real NetBox and a real Infrahub, run the tests that need them, stop them, in one hour at most.
                           With --smoke, run a few of them, in 15 minutes at most. Exit code 77 when this machine cannot bring up the servers,
                           78 when the time was over and no test had failed
  ci                       verify, then verify-live --smoke; servers that cannot be brought up fail nothing
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["adapters"] => workspace().and_then(|root| guests::build(&root, Guests::Adapters)),
        ["guests"] => workspace().and_then(|root| guests::build(&root, Guests::OfTests)),
        ["component", path] => return ended(one(Path::new(path), None)),
        ["component", path, "-o" | "--output", out] | ["component", "-o" | "--output", out, path] => {
            return ended(one(Path::new(path), Some(PathBuf::from(out))));
        }
        ["wit"] => package(None),
        ["wit", "-o" | "--output", out] => package(Some(PathBuf::from(out))),
        ["demo"] => workspace().and_then(|root| demo::run(&root)),
        ["verify-live"] => return verify_live(Tier::Deep),
        ["verify-live", "--smoke"] => return verify_live(Tier::Smoke),
        ["ci"] => workspace().and_then(|root| ci(&root)),
        ["fuzz"] => return ended(fuzz_targets(60)),
        ["fuzz", seconds] if seconds.parse::<u32>().is_ok() => return ended(fuzz_targets(seconds.parse().unwrap_or_default())),
        ["verify"] => workspace().and_then(|root| verify::run(&root)),
        ["prose"] => workspace().and_then(|root| prose::check(&root, &[""])),
        ["prose", below @ ..] => workspace().and_then(|root| prose::check(&root, below)),
        ["help" | "--help" | "-h"] => {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        _ => {
            run::complain(HELP);
            return ExitCode::from(USAGE);
        }
    };
    ended(done.map_err(Trouble::from))
}

/// Reports how a command ended.
fn ended(done: Result<(), Trouble>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Missing(reason)) => {
            run::complain(&format!("error: {reason}"));
            ExitCode::from(SKIPPED)
        }
        Err(Trouble::Fault(fault)) => {
            run::complain(&format!("error: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the tests against real servers.
fn verify_live(tier: Tier) -> ExitCode {
    let mut steps = Steps::default();
    let result = workspace().and_then(|root| live::run(&root, tier, &mut steps));
    let failed = steps.end();
    match result {
        Ok(Ended::Passed) => ended(failed.map_err(Trouble::from)),
        Ok(Ended::Skipped(reason)) => {
            run::complain(&format!("\nSKIPPED: live tier: {reason}"));
            ExitCode::from(SKIPPED)
        }
        Ok(Ended::Unfinished) => {
            run::complain("\nNOT FINISHED: live tier: the time was over; no test had failed until then");
            ExitCode::from(UNFINISHED)
        }
        Err(fault) => ended(Err(Trouble::Fault(fault))),
    }
}

/// Runs the verification and, when it has passed, the smoke test against real servers. A machine that cannot bring the servers up says so,
/// and passes.
fn ci(root: &Path) -> Result<(), Fault> {
    let mut steps = Steps::default();
    verify::all(root, &mut steps);
    if steps.any_failed() {
        return steps.end();
    }
    let mut live = Steps::default();
    let ended = live::run(root, Tier::Smoke, &mut live);
    match &ended {
        Ok(Ended::Passed) | Err(_) => {}
        Ok(Ended::Skipped(reason)) => live.note(format!("live tier: the servers could not be brought up: {reason}")),
        Ok(Ended::Unfinished) => live.note("live tier: the time was over; no test had failed until then".to_owned()),
    }
    steps.end()?;
    live.end().and(ended.map(drop))
}

/// Builds one adapter.
fn one(path: &Path, out: Option<PathBuf>) -> Result<(), Trouble> {
    let root = workspace()?;
    let target = guests::target_folder(&root)?;
    let built = component::build(&component::Place { root: Some(&root), target: &target, say: &say }, path, out)?;
    built.warnings.iter().for_each(|warning| run::complain(&format!("warning: {warning}")));
    say(&built.file.display().to_string());
    Ok(())
}

/// Searches for inputs that break the fuzz targets.
fn fuzz_targets(seconds: u32) -> Result<(), Trouble> {
    fuzz::run(&workspace()?, fuzz::Search::Further { seconds })
}

/// Writes the contract as a package.
fn package(out: Option<PathBuf>) -> Result<(), Fault> {
    let root = workspace()?;
    contract::write_package(&root.join("wit"), &guests::target_folder(&root)?, out).map(drop)
}

/// Returns the workspace that this tool was built in.
fn workspace() -> Result<PathBuf, Fault> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().map_err(|error| Fault(format!("the workspace {} is gone: {error}", root.display())))
}
