//! Examines adapters without running them: only their self-descriptions are executed, and without any grant.

use std::borrow::Cow;
use std::path::Path;

use infrahub_sync_base::origin::{Origin, OriginError};
use infrahub_sync_config::Project;
use infrahub_sync_engine as engine;
use infrahub_sync_runtime::{Abilities, Adapter, Limits, Manifest, Runtime, RuntimeOptions, SessionConfig, this_program};

use crate::builtin;
use crate::call::Offline;
use crate::command_error::CommandError;
use crate::context::{Context, locate_endpoint};
use crate::exit::Exit;
use crate::locate::{Folders, Located, Place, locate};
use crate::logging;
use crate::variables;

/// Asks adapters for their self-descriptions.
pub(crate) struct Examiner {
    /// Loads the components.
    runtime: Runtime,
    /// Runs asynchronous work.
    pub(crate) tasks: tokio::runtime::Runtime,
}

impl Examiner {
    /// Starts the sandbox.
    pub(crate) fn new(context: &Context) -> Result<Examiner, CommandError> {
        let failed = |error: std::io::Error| CommandError::from_error(Exit::Unexpected, &error);
        // So that a person sees what the wait is for; an invalid filter is reported by the commands that log.
        let _ = logging::start(&context.screen, (context.environment)(variables::LOG).as_deref());
        let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let options =
            RuntimeOptions { component_store: context.user_cache("components"), memo_store: None, compiler: Some(this_program()) };
        Ok(Examiner { runtime: Runtime::new(options)?, tasks })
    }

    /// Loads a component. One that is a part of this program is borrowed from it.
    #[allow(clippy::ptr_arg, reason = "whether it is borrowed says whose it is")]
    pub(crate) fn load(&self, component: &Cow<'static, [u8]>, name: &str, limits: &Limits) -> Result<Adapter, CommandError> {
        Ok(match component {
            Cow::Borrowed(built_in) => self.runtime.load_built_in(built_in, name)?,
            Cow::Owned(file) => self.runtime.load_adapter_of(file, name, None, limits)?,
        })
    }

    /// Loads a component and returns its self-description.
    #[allow(clippy::ptr_arg, reason = "see `load`")]
    pub(crate) fn examine(&self, component: &Cow<'static, [u8]>, name: &str, limits: &Limits) -> Result<(Adapter, Manifest), CommandError> {
        let adapter = self.load(component, name, limits)?;
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
    if let Some(address) = named.to_str().filter(|text| Origin::is_address(text)) {
        let origin: Origin = address.parse().map_err(|error: OriginError| CommandError::from_error(Exit::Usage, &error))?;
        return Ok(folders.1.shown(&origin)?);
    }
    let is_file = named.extension().is_some_and(|extension| extension == "wasm") || named.components().count() > 1;
    if is_file {
        let place = Place::File(named.to_owned());
        let name = named.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(Located { name, bytes: place.read(builtin::ALL)?, place, published: None, release: None });
    }
    let name = named.to_string_lossy();
    let endpoints = project.into_iter().flat_map(|project| [(&project.source, project), (&project.destination, project)]);
    if let Some((endpoint, project)) = endpoints.into_iter().find(|(endpoint, _)| endpoint.name == name) {
        return locate_endpoint(endpoint, project, folders);
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

/// Returns the limits of an adapter in a project that uses it; else the defaults.
pub(crate) fn limits_of(place: &Place, project: Option<&Project>, folders: &Folders) -> Limits {
    let endpoints = project.into_iter().flat_map(|project| [(&project.source, project), (&project.destination, project)]);
    let mut used = endpoints.filter(|(endpoint, project)| locate_endpoint(endpoint, project, folders).is_ok_and(|own| own.place.is(place)));
    used.next().map(|(endpoint, _)| endpoint.limits.clone()).unwrap_or_default()
}
