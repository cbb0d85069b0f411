//! `adapter dev`: an adapter is built at each change, then tested, checked and compared with its system.
//!
//! The later steps are commands of this program, in processes of their own. Each shows what its author would see. The compiled component is kept
//! between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueHint};
use infrahub_sync_components::component::NOT_SOURCES;
use infrahub_sync_new_adapter::Language;
use infrahub_sync_runtime::this_program;

use super::build;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The pause between two looks at the folder.
const PAUSE: Duration = Duration::from_millis(300);

/// The arguments of `adapter dev`.
#[derive(Debug, Args)]
pub(super) struct AdapterDev {
    /// Folder of the adapter
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    folder: PathBuf,

    /// Project that uses the component: its settings for the checks, and a diff against its system
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config_file: Option<PathBuf>,

    /// Recording for the checks, as of `adapter check --record`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    replay: Option<PathBuf>,

    /// Do it once and return, without waiting for changes
    #[arg(long)]
    once: bool,
}

/// Builds and checks until the user stops it.
pub(super) fn run(args: &AdapterDev, context: &Context) -> Result<Exit, CommandError> {
    loop {
        let seen = state(&args.folder);
        let began = Instant::now();
        let exit = match round(args, context) {
            Ok(exit) => exit,
            Err(error) if args.once => return Err(error),
            Err(error) => {
                context.screen.write(&format!("{error}\n"));
                error.exit
            }
        };
        if args.once {
            return Ok(exit);
        }
        let verdict = if exit == Exit::Done { "all is well" } else { "something is wrong" };
        context.screen.info(&format!(
            "{verdict} after {:.1} s; waiting for a change in {}",
            began.elapsed().as_secs_f64(),
            args.folder.display()
        ));
        while state(&args.folder) == seen {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Takes all steps once. A step that fails is the last one.
fn round(args: &AdapterDev, context: &Context) -> Result<Exit, CommandError> {
    let adapter = build::build(&args.folder, None, context)?;
    let file = adapter.built.file.as_path();
    context.screen.info(&format!("built {} {} ({})", adapter.manifest.name, adapter.manifest.version, adapter.digest));
    for words in tests_of(adapter.built.language, &args.folder) {
        let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&args.folder);
        if !step(&mut command, &words.join(" "), context)? {
            return Ok(Exit::Adapter);
        }
    }
    let program = |words: &[&str]| {
        let mut command = Command::new(this_program());
        command.args(words);
        command
    };
    let mut check = program(&["adapter", "check"]);
    check.arg(file);
    if let Some(config) = &args.config_file {
        check.arg("--config-file").arg(config);
    }
    if let Some(folder) = &args.replay {
        check.arg("--replay").arg(folder);
    }
    if !step(&mut check, "infrahub-sync adapter check", context)? {
        return Ok(Exit::Adapter);
    }
    if let Some(config) = &args.config_file {
        let mut diff = program(&["diff", "--config-file"]);
        diff.arg(config);
        // Differences are what the author wants to see, and not a failure.
        if !step(&mut diff, "infrahub-sync diff", context)? {
            return Ok(Exit::Adapter);
        }
    }
    Ok(Exit::Done)
}

/// Runs a step, whose output goes to stderr; returns whether it went well.
fn step(command: &mut Command, words: &str, context: &Context) -> Result<bool, CommandError> {
    context.screen.info(&format!("$ {words}"));
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        CommandError::new(Exit::Usage, format!("`{words}` could not be started: {error}"))
            .hint("the tests need the language of the adapter")
    })?;
    for part in [output.stdout, output.stderr] {
        context.screen.write(&String::from_utf8_lossy(&part));
    }
    Ok(output.status.success())
}

/// Returns the commands of the adapter's own tests.
fn tests_of(language: Language, folder: &Path) -> Vec<Vec<&'static str>> {
    match language {
        Language::Rust => vec![vec!["cargo", "test", "--quiet"]],
        Language::Python => vec![vec!["python3", "-m", "unittest", "--quiet"]],
        Language::Go => vec![vec!["go", "test", "./..."]],
        Language::JavaScript if folder.join("node_modules").is_dir() => vec![vec!["npm", "test", "--silent"]],
        Language::JavaScript => vec![vec!["npm", "install", "--silent", "--no-audit", "--no-fund"], vec!["npm", "test", "--silent"]],
    }
}

/// Returns the state of the sources: the size and the time of each file.
fn state(folder: &Path) -> BTreeMap<PathBuf, (u64, Option<SystemTime>)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if NOT_SOURCES.iter().any(|other| name == *other) || path.extension().is_some_and(|extension| extension == "wasm") {
                continue;
            }
            match entry.metadata() {
                Ok(data) if data.is_dir() => folders.push(path),
                Ok(data) => drop(files.insert(path, (data.len(), data.modified().ok()))),
                Err(_) => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_source_is_seen_and_one_of_a_product_is_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("adapter.py"), "1").unwrap();
        let one = state(folder.path());
        std::fs::write(folder.path().join("racks.wasm"), "1").unwrap();
        std::fs::create_dir(folder.path().join("__pycache__")).unwrap();
        std::fs::write(folder.path().join("__pycache__/adapter.pyc"), "1").unwrap();
        assert_eq!(state(folder.path()), one);
        std::fs::write(folder.path().join("adapter.py"), "12").unwrap();
        assert_ne!(state(folder.path()), one);
    }
}
