//! The whole verification. Every step runs, even after one has failed: one run shows everything that is wrong.

use std::path::Path;

use crate::fuzz::{self, Search};
use crate::prose;
use crate::steps::Steps;
use infrahub_sync_components::guests::{self, Guests};
use infrahub_sync_components::run::{Fault, cargo, say, succeed, words};
use infrahub_sync_components::toolchain::sysroot;
use infrahub_sync_components::tools::{self, Trouble};

/// How long libFuzzer searches with each target: long enough for what is found easily.
const FUZZ_SECONDS: u32 = 10;

/// The feature that compiles the tests against real servers. The lints cover them.
pub(crate) const LIVE_FEATURE: &str = "infrahub-sync-tests/live";

/// Runs all steps.
pub(crate) fn run(root: &Path) -> Result<(), Fault> {
    let mut steps = Steps::default();
    all(root, &mut steps);
    steps.note("the tests against real servers (`cargo verify-live` starts the servers and runs the tests)".to_owned());
    steps.end()
}

/// Runs the steps one after the other.
pub(crate) fn all(root: &Path, steps: &mut Steps) {
    let cargo_step = |arguments: &[&str]| {
        let mut command = cargo();
        command.current_dir(root).args(arguments);
        say(&format!("$ {}", words(&command, root)));
        succeed(&mut command, root)
    };
    steps.run("format", || cargo_step(&["fmt", "--all", "--check"]));
    steps.run("prose", || prose::check(root, &[""]));
    steps.run("adapters", || guests::build(root, Guests::Adapters));
    steps.run("test guests", || guests::build(root, Guests::OfTests));
    steps.run("template", || template(root));
    match steps.run("languages", || languages(root)) {
        None => {}
        Some(lacking) => lacking.into_iter().for_each(|reason| steps.note(reason)),
    }
    steps.run("lints", || lints(root));
    // `cargo test` alone makes no binary of a package without integration tests, and the whole-program tests start the binary.
    steps.run("build", || cargo_step(&["build", "--release", "--workspace"]));
    steps.run("tests", || cargo_step(&["test", "--release", "--workspace", "--quiet"]));
    let searched = steps.run("fuzz targets", || match fuzz::run(root, Search::Same { seconds: FUZZ_SECONDS }) {
        Err(Trouble::Missing(reason)) => Ok(Some(reason)),
        Err(Trouble::Fault(fault)) => Err(fault),
        Ok(()) => Ok(None),
    });
    if let Some(Some(reason)) = searched {
        steps.note(reason);
    }
}

/// Checks the sources with clippy, and the links of the documentation with rustdoc.
///
/// Clippy runs as the compiler of this workspace's crates (`sdk/build/lint`), on the very dependencies that the build step uses.
/// `cargo clippy` would read all of their sources a second time.
fn lints(root: &Path) -> Result<(), Fault> {
    let mut command = cargo();
    command.current_dir(root).env("RUSTC_WORKSPACE_WRAPPER", root.join("sdk/build/lint"));
    command.args(["build", "--release", "--workspace", "--all-targets", "--keep-going", "--features", LIVE_FEATURE]);
    // The wrapper's clippy-driver and rustdoc: those of the compiler.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = sysroot().map(|sysroot| sysroot.join("bin")).into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).map_err(|error| Fault(error.to_string()))?);
    say(&format!("$ {}", words(&command, root)));
    succeed(&mut command, root)
}

/// Builds the template of new adapters.
fn template(root: &Path) -> Result<(), Fault> {
    // In the workspace's target folder: the template's own would be one more folder to clean.
    let target = guests::target_folder(root)?.join("template");
    guests::build_one(&root.join("sdk/template"), Some(target.join("template.wasm")), Some(&target))
}

/// Installs the tools of the other languages. Returns what this machine lacks: the tests leave that language out.
fn languages(root: &Path) -> Result<Vec<String>, Fault> {
    let target = guests::target_folder(root)?;
    let mut lacking = Vec::new();
    for found in [tools::componentize_py(&target, &say).map(drop), tools::javascript(&target, &say).map(drop), tools::go().map(drop)] {
        match found {
            Ok(()) => {}
            Err(Trouble::Missing(reason)) => lacking.push(reason),
            Err(Trouble::Fault(fault)) => return Err(fault),
        }
    }
    Ok(lacking)
}
