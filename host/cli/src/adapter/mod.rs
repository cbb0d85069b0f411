//! `adapter …`: what adapters there are, what one of them is and would be granted, whether it keeps the contract.
//!
//! One file a subcommand. Nothing of an adapter is executed here beyond its self-description, without any grant; only `check` does more, in
//! a world of recordings.

mod check;
mod inspect;
mod list;
mod lock;
mod new;
mod prune;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use infrahub_sync_config::Project;
use infrahub_sync_engine::EngineError;
use infrahub_sync_runtime::{Abilities, Adapter as Loaded, Manifest, Runtime, RuntimeOptions, SessionConfig};

use crate::args::{AdapterArgs, ProjectArgs};
use crate::builtin;
use crate::commands::{ADAPTERS_VARIABLE, environment, open, user_cache};
use crate::exit::Exit;
use crate::locate::{Folders, Located, Place, locate};
use crate::report::Report;
use crate::screen::Screen;

/// `adapter`
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Adapter {
    #[command(subcommand)]
    pub(crate) command: AdapterCommand,
}

/// What to do with adapters.
#[derive(Debug, Subcommand)]
pub(crate) enum AdapterCommand {
    /// List the adapters that a project can use: those of this program, and those in the adapter folders
    List(list::AdapterList),
    /// Say what an adapter is, what it would be granted and by which setting; nothing of it is executed but its self-description
    Inspect(inspect::AdapterInspect),
    /// Accept the adapters of a project as they are: writes infrahub-sync.lock.yml beside its config.yml
    Lock(lock::AdapterLock),
    /// Remove compiled adapters that were not used for long; they are compiled again when they are needed
    Prune(prune::AdapterPrune),
    /// Check that an adapter keeps the contract: offline, without credentials, and with recorded exchanges as far as it asks a system
    Check(check::AdapterCheck),
    /// Make the folder of a new adapter: one that works, its test, the SDK of its language, the contract
    New(new::AdapterNew),
}

/// Carries one of them out.
pub(crate) fn run(command: &AdapterCommand, screen: &Screen) -> Result<Exit, Report> {
    match command {
        AdapterCommand::List(args) => list::run(args, screen),
        AdapterCommand::Inspect(args) => inspect::run(args, screen),
        AdapterCommand::Lock(args) => lock::run(args, screen),
        AdapterCommand::Prune(args) => prune::run(args, screen),
        AdapterCommand::Check(args) => check::run(args, screen),
        AdapterCommand::New(args) => new::run(args, screen),
    }
}

/// A project, for a command that does not need one.
#[derive(Debug, Args)]
struct MaybeProject {
    /// Name of a sync, searched below --directory
    #[arg(long, value_name = "NAME", help_heading = "Project [default: none]")]
    name: Option<String>,

    /// A project's config.yml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Project [default: none]")]
    config_file: Option<PathBuf>,

    /// Folder below which --name is searched [default: working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Project [default: none]")]
    directory: Option<PathBuf>,
}

impl MaybeProject {
    /// The project, if one is named.
    fn open(&self, screen: &Screen) -> Result<Option<Project>, Report> {
        if self.name.is_none() && self.config_file.is_none() {
            return Ok(None);
        }
        let named = ProjectArgs::new(self.name.clone(), self.config_file.clone(), self.directory.clone());
        open(&named, screen).map(Some)
    }
}

/// The folders with adapters: those of the command line, of the project if there is one, of the environment.
fn folders(project: Option<&Project>, args: &AdapterArgs) -> Folders {
    let (paths, directory) = match project {
        Some(project) => (project.adapters_path.as_slice(), project.directory.as_path()),
        None => (&[][..], Path::new(".")),
    };
    Folders::new(&args.paths, paths, directory, environment(ADAPTERS_VARIABLE).as_deref())
}

/// The component that is meant. What looks like a file is one; a name is that of a side of the project, or else one that a project could
/// use.
fn located(named: &Path, project: Option<&Project>, folders: &Folders) -> Result<Located, Report> {
    let is_file = named.extension().is_some_and(|extension| extension == "wasm") || named.components().count() > 1;
    if is_file {
        let place = Place::File(named.to_owned());
        let name = named.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(Located { name, bytes: place.read(builtin::ALL)?, place });
    }
    let name = named.to_string_lossy();
    let endpoints = project.into_iter().flat_map(|project| [(&project.source, project), (&project.destination, project)]);
    if let Some((endpoint, project)) = endpoints.into_iter().find(|(endpoint, _)| endpoint.name == name) {
        return Ok(locate(&endpoint.name, endpoint.adapter.as_ref(), &project.directory, folders, builtin::ALL)?);
    }
    Ok(locate(&name, None, Path::new("."), folders, builtin::ALL)?)
}

/// Asks adapters for their self-descriptions.
struct Examiner {
    runtime: Runtime,
    tasks: tokio::runtime::Runtime,
}

impl Examiner {
    fn new() -> Result<Examiner, Report> {
        let failed = |error: std::io::Error| Report::from_error(Exit::Unexpected, &error);
        let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let options = RuntimeOptions { component_store: user_cache("components"), memo_store: None };
        Ok(Examiner { runtime: Runtime::new(options).map_err(broken)?, tasks })
    }

    /// Loads a component and lets it describe itself.
    fn examine(&self, component: &[u8], name: &str) -> Result<(Loaded, Manifest), Report> {
        let adapter = self.runtime.load_adapter(component, name).map_err(broken)?;
        let manifest = self.tasks.block_on(adapter.describe()).map_err(broken)?;
        Ok((adapter, manifest))
    }

    /// What a session of this configuration could reach.
    fn abilities(&self, adapter: &Loaded, config: &SessionConfig<'_>) -> Result<Abilities, Report> {
        self.tasks.block_on(adapter.abilities(config)).map_err(broken)
    }
}

fn broken(error: infrahub_sync_runtime::Error) -> Report {
    EngineError::from(error).into()
}
