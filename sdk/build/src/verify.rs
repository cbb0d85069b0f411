//! The whole verification. Every step runs, whatever became of those before: one run shows everything that is wrong.

use std::cell::RefCell;
use std::path::Path;
use std::time::Instant;

use crate::fuzz::{self, Search};
use crate::guests;
use crate::prose;
use crate::run::{Fault, cargo, complain, say, succeed, words};
use crate::tools::{self, Trouble};

/// The variable that lets the live tests run.
const LIVE: &str = "INFRAHUB_SYNC_LIVE";

/// How long libFuzzer looks at each target: enough for what is found easily.
const FUZZ_SECONDS: u32 = 10;

/// A step of the verification.
type Step<'s> = &'s dyn Fn() -> Result<(), Fault>;

/// Runs all steps.
pub(crate) fn run(root: &Path) -> Result<(), Fault> {
    let cargo_step = |arguments: &'static [&'static str]| {
        move || {
            let mut command = cargo();
            command.current_dir(root).args(arguments);
            say(&format!("$ {}", words(&command, root)));
            succeed(&mut command, root)
        }
    };
    let template = || {
        // In the workspace's target folder: the template's own would be one more folder to clean.
        let target = guests::build_all(root)?.target.join("template");
        guests::build_one(&root.join("sdk/template"), Some(target.join("template.wasm")), Some(&target))
    };
    // What this machine lacks: the tests leave it out, and it is said in the end.
    let lacking = RefCell::new(Vec::new());
    let languages = || {
        let target = guests::target_folder(root)?;
        for found in [tools::componentize_py(&target).map(drop), tools::javascript(&target).map(drop), tools::go().map(drop)] {
            match found {
                Ok(()) => {}
                Err(Trouble::Missing(reason)) => lacking.borrow_mut().push(reason),
                Err(Trouble::Fault(fault)) => return Err(fault),
            }
        }
        Ok(())
    };
    let fuzz_targets = || match fuzz::run(root, Search::Same { seconds: FUZZ_SECONDS }) {
        Err(Trouble::Missing(reason)) => {
            lacking.borrow_mut().push(reason);
            Ok(())
        }
        Err(Trouble::Fault(fault)) => Err(fault),
        Ok(()) => Ok(()),
    };
    let steps: [(&str, Step<'_>); 9] = [
        ("format", &cargo_step(&["fmt", "--all", "--check"])),
        ("prose", &|| prose::check(root)),
        ("adapters", &|| guests::build_all(root).map(drop)),
        ("template", &template),
        ("languages", &languages),
        ("lints", &cargo_step(&["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])),
        // `cargo test` alone makes no binary of a package without integration tests, and the whole-program tests start the binary.
        ("build", &cargo_step(&["build", "--release", "--workspace", "--quiet"])),
        ("tests", &cargo_step(&["test", "--release", "--workspace", "--quiet"])),
        ("fuzz targets", &fuzz_targets),
    ];
    let mut failed = Vec::new();
    for (name, step) in steps {
        say(&format!("\n== {name}"));
        let start = Instant::now();
        match step() {
            Ok(()) => say(&format!("{name}: passed in {:.1} s", start.elapsed().as_secs_f32())),
            Err(fault) => {
                complain(&format!("{name}: {fault}"));
                failed.push(name);
            }
        }
    }
    say("");
    for reason in lacking.borrow().iter() {
        say(&format!("skipped: {reason}"));
    }
    if std::env::var(LIVE).is_ok_and(|value| value == "1") {
        say("The live tests took part: they need the servers of tests/live.");
    } else {
        say("skipped: the live tests, against real servers (`cargo verify-live` starts the servers and runs them)");
    }
    if failed.is_empty() {
        say("All steps passed.");
        Ok(())
    } else {
        Err(Fault(format!("failed: {}", failed.join(", "))))
    }
}
