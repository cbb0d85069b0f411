//! `adapter build`: the component of an adapter's folder, in whichever of the four languages it is.
//!
//! A component that was built also describes itself, so that a missing export is an error here and not of the first run. Its compiled form is
//! kept, so the first run starts at once.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use infrahub_sync_base::limits::Limits;
use infrahub_sync_components::component::{self, Built, Place};
use infrahub_sync_components::tools::Trouble;
use infrahub_sync_runtime::{Error, Manifest};

use crate::command_error::CommandError;
use crate::context::Context;
use crate::examiner::Examiner;
use crate::exit::Exit;
use crate::render::size;

/// The arguments of `adapter build`.
#[derive(Debug, Args)]
pub(super) struct AdapterBuild {
    /// Folder of the adapter: Rust, Python, JavaScript or Go, by its files
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    folder: PathBuf,

    /// Component to write [default: DIR/<name of the folder>.wasm]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

/// A component that works as far as it describes itself.
pub(super) struct Adapter {
    pub(super) built: Built,
    pub(super) manifest: Manifest,
    pub(super) digest: String,
    pub(super) bytes: u64,
}

/// Builds the component, and prints its file.
pub(super) fn run(args: &AdapterBuild, context: &Context) -> Result<Exit, CommandError> {
    let adapter = build(&args.folder, args.out.clone(), context)?;
    context.print(|out| writeln!(out, "{}", adapter.built.file.display()))?;
    context.screen.info(&format!(
        "Built `{}` {} from {}: {}, {}",
        adapter.manifest.name,
        adapter.manifest.version,
        adapter.built.language,
        size(adapter.bytes),
        adapter.digest,
    ));
    Ok(Exit::Done)
}

/// Builds the component of a folder, and has it describe itself.
pub(super) fn build(folder: &Path, out: Option<PathBuf>, context: &Context) -> Result<Adapter, CommandError> {
    let target = context.user_cache("build").ok_or_else(|| {
        CommandError::new(Exit::Usage, "there is no folder for the tools that build adapters").hint("set XDG_CACHE_HOME or HOME")
    })?;
    let say = |text: &str| context.screen.info(text);
    let place = Place { root: None, target: &target, say: &say };
    let built = component::build(&place, folder, out).map_err(failure)?;
    for warning in &built.warnings {
        context.screen.warn(warning);
    }
    let unreadable = |error: std::io::Error| CommandError::new(Exit::Unexpected, format!("{}: {error}", built.file.display()));
    let bytes = std::fs::read(&built.file).map_err(unreadable)?;
    let (size, component) = (bytes.len() as u64, bytes.into());
    let name = built.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let useless = |error: CommandError| error.hint(format!("{} is built, and does not work; correct its sources", built.file.display()));
    let examiner = Examiner::new(context)?;
    let adapter = examiner.load(&component, &name, &Limits::default()).map_err(useless)?;
    let manifest = examiner.tasks.block_on(adapter.describe()).map_err(|error| useless(undescribed(&error)))?;
    Ok(Adapter { built, manifest, digest: adapter.digest(), bytes: size })
}

/// Returns the words of a component that does not describe itself: an exception's own line, without its traceback.
fn undescribed(error: &Error) -> CommandError {
    let Error::Trap { adapter, call, message, output } = error else { return CommandError::new(Exit::Adapter, error.to_string()) };
    let is_exception = |line: &&str| line.split(':').next().is_some_and(|name| name.ends_with("Error") || name.ends_with("Exception"));
    let words = output.lines().rev().map(str::trim).find(is_exception).unwrap_or(message);
    CommandError::new(Exit::Adapter, format!("{adapter} stops in `{call}`: {words}"))
}

/// Returns the words of a failed build: the cause first, and at most 5 lines.
fn failure(trouble: Trouble) -> CommandError {
    let (exit, text) = match trouble {
        Trouble::Missing(text) => (Exit::Usage, text),
        Trouble::Fault(fault) => (Exit::Adapter, fault.to_string()),
    };
    let mut lines = text.lines();
    let error = CommandError::new(exit, lines.next().unwrap_or_default());
    lines.fold(error, |error, line| error.detail(line.trim_start()))
}
