//! Builds adapters into components, runs the demo and the whole verification.
//!
//! ```text
//! cargo adapters                     every adapter of plugins/ and every guest of tests/guests/ → target/adapters/<name>.wasm
//! … component FOLDER [-o FILE]       one adapter of an author's own, in Rust, Python, JavaScript or Go
//! … wit [-o FILE]                    the contract as a package for registries
//! cargo demo                         adapters, the host, then the main job on recorded answers
//! cargo verify                       format, adapters, lints, tests, a short search of the fuzz targets
//! cargo fuzz-targets [SECONDS]       the fuzz targets alone, for longer
//! cargo verify-live                  the tests that need real servers, and the servers
//! ```
//!
//! Nothing else is needed to build an adapter but its language: the guest target and the tools of other languages are installed when they
//! are missing, and a core module becomes a component in here.

mod component;
mod contract;
mod demo;
mod fuzz;
mod guests;
mod live;
mod prose;
mod run;
mod toolchain;
mod tools;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use run::{Fault, say};
use tools::Trouble;

/// The exit code for a command line that makes no sense.
const USAGE: u8 = 2;
/// The exit code when the live tests took too long, and none had failed.
const UNFINISHED: u8 = 78;
/// The exit code when this machine lacks what the live tests need, or the language of an adapter.
const SKIPPED: u8 = 77;

const HELP: &str = "\
Builds adapters into components, runs the demo and the tests.

usage: infrahub-sync-build COMMAND

commands:
  adapters                 build every adapter into target/adapters/<name>.wasm
  component FOLDER [-o OUT]
                           build the adapter in a folder, in Rust, Python, JavaScript or Go (default OUT: <folder>.wasm in there); exit code 77
                           when this machine lacks the language
  wit [-o OUT]             encode the contract as a package for registries (default OUT: target/wit/<name>-<version>.wasm)
  demo                     run the example netbox_to_files offline, from diff to nothing left to do
  verify                   format, adapters, lints, tests, a short search of the fuzz targets
  fuzz [SECONDS]           look for inputs that break the fuzz targets, each for so long (default 60); exit code 77 without a C++ compiler
  prose [PATH…|--shrink]   check the English of the repository; with paths, print all findings below them; with --shrink, remove the
                           converted files from sdk/build/unconverted.txt
  verify-live              brings up a real NetBox and a real Infrahub, runs the tests that need them, stops them; 45 minutes at most;
                           exit code 77 when they cannot be brought up here, 78 when the time was over and nothing had failed
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["adapters"] => workspace().and_then(|root| guests::build_all(&root)).map(drop),
        ["component", path] => return ended(one(Path::new(path), None)),
        ["component", path, "-o" | "--output", out] | ["component", "-o" | "--output", out, path] => {
            return ended(one(Path::new(path), Some(PathBuf::from(out))));
        }
        ["wit"] => package(None),
        ["wit", "-o" | "--output", out] => package(Some(PathBuf::from(out))),
        ["demo"] => workspace().and_then(|root| demo::run(&root)),
        ["verify-live"] => match workspace().and_then(|root| live::run(&root)) {
            Ok(live::Ended::Passed) => Ok(()),
            Ok(live::Ended::Skipped(reason)) => {
                run::complain(&format!("\nSKIPPED: live tier: {reason}"));
                return ExitCode::from(SKIPPED);
            }
            Ok(live::Ended::Unfinished) => {
                run::complain("\nNOT FINISHED: live tier: the time was over; what had ended until then had passed");
                return ExitCode::from(UNFINISHED);
            }
            Err(fault) => Err(fault),
        },
        ["fuzz"] => return ended(fuzz_targets(60)),
        ["fuzz", seconds] if seconds.parse::<u32>().is_ok() => return ended(fuzz_targets(seconds.parse().unwrap_or_default())),
        ["verify"] => workspace().and_then(|root| verify::run(&root)),
        ["prose"] => workspace().and_then(|root| prose::check(&root)),
        ["prose", "--shrink"] => workspace().and_then(|root| prose::shrink(&root)),
        ["prose", below @ ..] => workspace().and_then(|root| prose::show(&root, below)),
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

/// Says how it ended.
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

/// Builds one adapter.
fn one(path: &Path, out: Option<PathBuf>) -> Result<(), Trouble> {
    let root = workspace()?;
    let target = guests::target_folder(&root)?;
    component::build(&component::Place { root: &root, target: &target }, path, out)
}

/// Looks for what breaks the fuzz targets.
fn fuzz_targets(seconds: u32) -> Result<(), Trouble> {
    fuzz::run(&workspace()?, fuzz::Search::Further { seconds })
}

/// Writes the contract as a package.
fn package(out: Option<PathBuf>) -> Result<(), Fault> {
    let root = workspace()?;
    contract::write_package(&root.join("wit"), &guests::target_folder(&root)?, out).map(drop)
}

/// The workspace that this tool was built in.
fn workspace() -> Result<PathBuf, Fault> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().map_err(|error| Fault(format!("the workspace {} is gone: {error}", root.display())))
}
