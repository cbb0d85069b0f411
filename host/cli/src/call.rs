//! Calls the engine: opens the project, starts the log and the asynchronous runtime, and shows what the engine reports.
//!
//! Key types: [`Call`] (a call of the engine, as the command line asks for it), [`Offline`] (both adapters, and no system).

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use infrahub_sync_config::{LOCK_FILE, Project};
use infrahub_sync_engine::{AdapterSource, EngineError, Events, Options, RunContext, Side, Stop, Waiting};
use infrahub_sync_runtime::{Exchanges, this_program};

use crate::args::{ExchangeArgs, SystemArgs, engine_options};
use crate::command_error::CommandError;
use crate::context::{Context, adapter_of, shown};
use crate::exit::Exit;
use crate::locate::Folders;
use crate::logging;
use crate::progress::Progress;
use crate::screen::Screen;
use crate::signals::{Signals, listen};
use crate::variables;

/// A call of the engine, as the command line asks for it.
pub(crate) struct Call<'a> {
    systems: &'a SystemArgs,
    exchanges: &'a ExchangeArgs,
    options: Options,
    run_id: Option<&'a str>,
    reads_source: bool,
}

impl<'a> Call<'a> {
    /// Returns a call that reads both sides, in a run with a new id.
    pub(crate) fn new(systems: &'a SystemArgs, exchanges: &'a ExchangeArgs, options: Options) -> Call<'a> {
        Call { systems, exchanges, options, run_id: None, reads_source: true }
    }

    /// Takes the value of `--run-id`, if it was given.
    pub(crate) fn with_run_id(self, run_id: Option<&'a str>) -> Call<'a> {
        Call { run_id, ..self }
    }

    /// Leaves the source out: its adapter need not exist.
    pub(crate) fn without_source(self) -> Call<'a> {
        Call { reads_source: false, ..self }
    }

    /// Calls the engine. Ctrl-C stops it.
    pub(crate) fn run<T>(
        self,
        context: &Context,
        action: impl AsyncFnOnce(&RunContext<'_>) -> Result<T, EngineError>,
    ) -> Result<T, CommandError> {
        logging::start(&context.screen, (context.environment)(variables::LOG).as_deref()).map_err(|error| {
            CommandError::from_error(Exit::Usage, &error)
                .hint(format!("{} is a list such as `infrahub_sync=debug,infrahub_sync_runtime=trace`", variables::LOG))
        })?;
        let project = context.open_to_run(self.systems.project.selection()?)?;
        if self.systems.locked {
            require_lock(&project)?;
        }
        let folders = context.folders(Some(&project), &self.systems.adapters);
        let source = self.reads_source.then(|| adapter_of(&project.source, &project, &folders)).transpose()?;
        let destination = adapter_of(&project.destination, &project, &folders)?;
        let custom = Custom::of(source.iter().chain([&destination]));
        let stop = Arc::new(Stop::default());
        let reporter = Reporter::new(&context.screen);
        let run = RunContext {
            project: &project,
            source,
            destination,
            command_line: self.systems.settings.command_line(),
            environment: &context.environment,
            cache_root: context.cache_root()?,
            component_store: context.user_cache("components"),
            compiler: Some(this_program()),
            memo_store: context.user_cache("memos"),
            exchanges: self.exchanges.exchanges(),
            run_id: self.run_id.map(str::to_owned),
            options: self.options,
            events: &reporter,
            stop: &stop,
            now: SystemTime::now,
        };
        reporter.progress.begin();
        let outcome = block_on(action(&run), &stop, &context.screen);
        reporter.progress.finish();
        outcome?.map_err(|error| custom.describe(error))
    }
}

/// Checks that a project has a lock file. Each run compares the adapters with it, if there is one.
fn require_lock(project: &Project) -> Result<(), EngineError> {
    let path = project.directory.join(LOCK_FILE);
    if path.exists() {
        return Ok(());
    }
    Err(EngineError::NoAdapterLock { path: shown(&path).display().to_string(), config: project.file.display().to_string() })
}

/// Both adapters of a project, for work that contacts no system.
pub(crate) struct Offline<'a> {
    project: &'a Project,
    source: AdapterSource,
    destination: AdapterSource,
    /// The adapters that are not built in.
    pub(crate) custom: Custom,
}

impl<'a> Offline<'a> {
    /// Finds both adapters.
    pub(crate) fn new(project: &'a Project, folders: &Folders) -> Result<Offline<'a>, CommandError> {
        let source = adapter_of(&project.source, project, folders)?;
        Ok(Offline::with(project, source, adapter_of(&project.destination, project, folders)?))
    }

    /// Takes adapters that were found.
    pub(crate) fn with(project: &'a Project, source: AdapterSource, destination: AdapterSource) -> Offline<'a> {
        let custom = Custom::of([&source, &destination].into_iter());
        Offline { project, source, destination, custom }
    }

    /// Calls the engine.
    pub(crate) fn run<T>(self, context: &Context, action: impl AsyncFnOnce(&RunContext<'_>) -> T) -> Result<T, CommandError> {
        let stop = Arc::new(Stop::default());
        let reporter = Reporter::new(&context.screen);
        let run = RunContext {
            project: self.project,
            source: Some(self.source),
            destination: self.destination,
            command_line: BTreeMap::new(),
            environment: &context.environment,
            cache_root: PathBuf::new(),
            component_store: context.user_cache("components"),
            compiler: Some(this_program()),
            memo_store: None,
            exchanges: Exchanges::Live,
            run_id: None,
            options: engine_options(&[]),
            events: &reporter,
            stop: &stop,
            now: SystemTime::now,
        };
        block_on(action(&run), &stop, &context.screen)
    }
}

/// Names and files of the adapters that are not built in.
#[derive(Debug, Clone)]
pub(crate) struct Custom(Vec<(String, String)>);

impl Custom {
    fn of<'a>(adapters: impl Iterator<Item = &'a AdapterSource>) -> Custom {
        let custom = adapters.filter(|adapter| !adapter.is_built_in());
        Custom(custom.map(|adapter| (adapter.name.clone(), adapter.origin.clone())).collect())
    }

    /// Returns the engine's error in words, with the file of the custom adapter that failed.
    pub(crate) fn describe(&self, error: EngineError) -> CommandError {
        let name = match &error {
            EngineError::Adapter(error) => error.adapter().map(|adapter| adapter.name.clone()),
            _ => None,
        };
        let file = self.0.iter().find(|(known, _)| Some(known) == name.as_ref());
        let error = CommandError::from(error);
        match file {
            Some((name, file)) => error.hint(format!("`{name}` is the adapter in {file}")),
            None => error,
        }
    }
}

/// Shows what the engine reports.
struct Reporter<'a> {
    screen: &'a Screen,
    progress: Progress<'a>,
}

impl<'a> Reporter<'a> {
    fn new(screen: &'a Screen) -> Reporter<'a> {
        Reporter { screen, progress: Progress::new(screen) }
    }
}

impl Events for Reporter<'_> {
    fn loading(&self, side: Side, kind: &str, read: u64, total: Option<u64>) {
        self.progress.loading(side.as_str(), kind, read, total);
    }

    fn loaded(&self, side: Side, kind: &str, read: u64) {
        self.progress.loaded(side.as_str(), kind, read);
    }

    fn writing(&self, kind: &str, done: u64, total: u64) {
        self.progress.writing(kind, done, total);
    }

    fn note(&self, message: &str) {
        self.screen.info(message);
    }

    fn warn(&self, message: &str) {
        self.screen.warn(message);
    }

    fn waiting(&self, waits: &[Waiting]) {
        self.progress.waiting(waits);
    }

    fn waiting_for_lock(&self, holder: &str) {
        self.screen.waiting_for(holder);
    }
}

/// Runs the engine to its end, or until the user quits.
fn block_on<T>(work: impl Future<Output = T>, stop: &Arc<Stop>, screen: &Screen) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?;
    let outcome = runtime.block_on(async {
        // Before the work begins: an unexpected signal ends the program.
        tokio::spawn(listen(Signals::new(), stop.clone(), screen.clone()));
        work.await
    });
    // A busy blocking thread must not delay the exit.
    runtime.shutdown_background();
    Ok(outcome)
}
