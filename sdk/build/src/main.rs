//! Builds adapters into components, runs the demo and the whole verification.
//!
//! ```text
//! cargo adapters                     every adapter of plugins/ and every guest of tests/guests/ → target/adapters/<name>.wasm
//! … component CRATE [-o FILE]        one crate of an author's own, outside of this workspace
//! cargo demo                         adapters, the host, then the main job on recorded answers
//! cargo verify                       format, adapters, lints, tests
//! cargo verify-live                  the tests that need real servers, and the servers
//! ```
//!
//! Nothing else is needed to build an adapter: the guest target is installed when it is missing, and the core module that rustc
//! makes becomes a component in here.

mod demo;
mod guests;
mod live;
mod run;
mod toolchain;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use run::{Fault, say};

/// The exit code for a command line that makes no sense.
const USAGE: u8 = 2;
/// The exit code when this machine lacks what the live tests need.
const SKIPPED: u8 = 77;

const HELP: &str = "\
Builds adapters into components, runs the demo and the tests.

usage: infrahub-sync-build COMMAND

commands:
  adapters                 build every adapter into target/adapters/<name>.wasm
  component CRATE [-o OUT] build the adapter in the folder CRATE (default OUT: <name>.wasm beside its Cargo.toml)
  demo                     run the example netbox_to_files offline, from diff to nothing left to do
  verify                   format, adapters, lints, tests
  verify-live              brings up a real NetBox and a real Infrahub, runs the tests that need them, stops them; 40 minutes at most;
                           exit code 77 when they cannot be brought up here
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["adapters"] => workspace().and_then(|root| guests::build_all(&root)).map(drop),
        ["component", path] => guests::build_one(&PathBuf::from(path), None, None),
        ["component", path, "-o" | "--output", out] | ["component", "-o" | "--output", out, path] => {
            guests::build_one(&PathBuf::from(path), Some(PathBuf::from(out)), None)
        }
        ["demo"] => workspace().and_then(|root| demo::run(&root)),
        ["verify-live"] => match workspace().and_then(|root| live::run(&root)) {
            Ok(live::Ended::Passed) => Ok(()),
            Ok(live::Ended::Skipped(reason)) => {
                run::complain(&format!("\nSKIPPED: live tier: {reason}"));
                return ExitCode::from(SKIPPED);
            }
            Err(fault) => Err(fault),
        },
        ["verify"] => workspace().and_then(|root| verify::run(&root)),
        ["help" | "--help" | "-h"] => {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        _ => {
            run::complain(HELP);
            return ExitCode::from(USAGE);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            run::complain(&format!("error: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace that this tool was built in.
fn workspace() -> Result<PathBuf, Fault> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().map_err(|error| Fault(format!("the workspace {} is gone: {error}", root.display())))
}
