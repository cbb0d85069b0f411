//! Examines adapters without running them: only their self-descriptions are executed, and without any grant.

use std::path::Path;

use infrahub_sync_config::Project;
use infrahub_sync_engine as engine;
use infrahub_sync_runtime::{Abilities, Adapter, Manifest, Runtime, RuntimeOptions, SessionConfig};

use crate::builtin;
use crate::call::Offline;
use crate::command_error::CommandError;
use crate::context::{Context, locate_endpoint};
use crate::exit::Exit;
use crate::locate::{Folders, Located, Place, locate};

/// Asks adapters for their self-descriptions.
pub(crate) struct Examiner {
    /// Loads the components.
    pub(crate) runtime: Runtime,
    /// Runs asynchronous work.
    pub(crate) tasks: tokio::runtime::Runtime,
}

impl Examiner {
    /// Starts the sandbox.
    pub(crate) fn new(context: &Context) -> Result<Examiner, CommandError> {
        let failed = |error: std::io::Error| CommandError::from_error(Exit::Unexpected, &error);
        let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let options = RuntimeOptions { component_store: context.user_cache("components"), memo_store: None };
        Ok(Examiner { runtime: Runtime::new(options)?, tasks })
    }

    /// Loads a component and returns its self-description.
    pub(crate) fn examine(&self, component: &[u8], name: &str) -> Result<(Adapter, Manifest), CommandError> {
        let adapter = self.runtime.load_adapter(component, name)?;
        let manifest = self.tasks.block_on(adapter.describe())?;
        Ok((adapter, manifest))
    }

    /// Returns what a session with this configuration could reach.
    pub(crate) fn abilities(&self, adapter: &Adapter, config: &SessionConfig<'_>) -> Result<Abilities, CommandError> {
        Ok(self.tasks.block_on(adapter.abilities(config))?)
    }
}

/// Finds the named component: a file if it looks like one, else an adapter of the project, else one that a project could use.
pub(crate) fn locate_named(named: &Path, project: Option<&Project>, folders: &Folders) -> Result<Located, CommandError> {
    let is_file = named.extension().is_some_and(|extension| extension == "wasm") || named.components().count() > 1;
    if is_file {
        let place = Place::File(named.to_owned());
        let name = named.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(Located { name, bytes: place.read(builtin::ALL)?, place });
    }
    let name = named.to_string_lossy();
    let endpoints = project.into_iter().flat_map(|project| [(&project.source, project), (&project.destination, project)]);
    if let Some((endpoint, project)) = endpoints.into_iter().find(|(endpoint, _)| endpoint.name == name) {
        return Ok(locate_endpoint(endpoint, project, folders)?);
    }
    Ok(locate(&name, None, Path::new("."), folders, builtin::ALL)?)
}

/// Checks that the project's adapters are those that it pins and its lock file accepts. `required`: there must be a lock file.
pub(crate) fn check_accepted(project: &Project, folders: &Folders, required: bool, context: &Context) -> Result<(), CommandError> {
    let offline = Offline::new(project, folders)?;
    let custom = offline.custom.clone();
    let mut errors = offline.run(context, async |run| engine::check_adapters(run, required).await)?;
    let Some(last) = errors.pop() else { return Ok(()) };
    for error in errors {
        context.screen.write(&format!("{}\n", custom.describe(error)));
    }
    Err(custom.describe(last))
}
