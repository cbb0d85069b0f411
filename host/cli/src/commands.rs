//! The commands: from arguments to the engine, from its answer to stdout, stderr and an exit code.
//!
//! What they have in common: a project is named once, warnings of its file are said before anything is done, the plan goes
//! to stdout and everything else to stderr.

use std::future::Future;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use infrahub_sync_cache::{CacheError, RunId, SyncName};
use infrahub_sync_config::{Endpoint, Problem, Project, discover, find};
use infrahub_sync_core::plan_row::PlanRow;
use infrahub_sync_engine as engine;
use infrahub_sync_engine::{AdapterSource, Applied, EngineError, Options, Outcomes, Run, RunContext, Side};
use infrahub_sync_runtime::Exchanges;

use crate::adapter;
use crate::args::{
    AdapterArgs, Apply, Command, DataArgs, Diff, ExchangeArgs, Generate, GuardrailArgs, List, Output, ProgressArgs, ProjectArgs,
};
use crate::args::{LogFormat, Selection, Show, ShowOutput, Sync, Validate, Verbosity};
use crate::builtin;
use crate::cache;
use crate::completions;
use crate::exit::Exit;
use crate::locate::{AdapterError, Folders, locate};
use crate::logging;
use crate::progress::Progress;
use crate::render::list::{BrokenFile, ErrorLine, ProjectLine};
use crate::render::{self, Counts, KindOverview, Look, Overview, plural};
use crate::report::Report;
use crate::screen::{Screen, data, data_has_colour};

/// The variable that names the folder of the cache.
pub(crate) const CACHE_VARIABLE: &str = "INFRAHUB_SYNC_CACHE_DIR";

/// The variable that names folders with adapters.
pub(crate) const ADAPTERS_VARIABLE: &str = "INFRAHUB_SYNC_ADAPTER_PATHS";

/// The folder of all caches below the working directory, where no variable names another one.
const CACHE_FOLDER: &str = ".infrahub-sync-cache";

/// How long a run waits for another one of the same sync, as long as the original does.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(60);

/// The environment. An engine that is asked for a variable gets it from here.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Carries a command out.
pub(crate) fn run(command: &Command, verbosity: Verbosity, format: LogFormat) -> Result<Exit, Report> {
    let screen = Screen::new(verbosity).with_format(format);
    match command {
        Command::List(args) => list(args, &screen),
        Command::Validate(args) => validate(args, &screen),
        Command::Generate(args) => generate(args, screen),
        Command::Diff(args) => diff(args, screen),
        Command::Show(args) => show(args, &screen),
        Command::Apply(args) => apply(args, screen),
        Command::Sync(args) => sync(args, screen),
        Command::Cache(args) => cache::run(&args.command, &screen),
        Command::Adapter(args) => adapter::run(&args.command, &screen),
        Command::Completions(args) => {
            to_stdout(|out| completions::print(args.shell, out))?;
            Ok(Exit::Done)
        }
    }
}

/// Writes to stdout, and makes sure that it has arrived.
pub(crate) fn to_stdout(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), Report> {
    let mut out = data();
    write(&mut out).and_then(|()| out.flush()).map_err(stdout_failed)
}

fn stdout_failed(error: io::Error) -> Report {
    Report::from_error(Exit::Unexpected, &render::Failure::<CacheError>::Write(error))
}

fn list(args: &List, screen: &Screen) -> Result<Exit, Report> {
    let directory = args.directory.as_deref().unwrap_or(Path::new("."));
    let found = discover(directory).map_err(|problem| Report::problems(vec![problem]))?;
    let mut projects = Vec::new();
    let mut broken = Vec::new();
    for found in &found {
        match &found.summary {
            Ok(summary) => projects.push(ProjectLine {
                name: &summary.name,
                source: &summary.source,
                destination: &summary.destination,
                directory: shown(&summary.directory),
                config_file: shown(&found.file),
            }),
            Err(problems) => {
                screen.write(&format!("{}\n", Report::problems(problems.clone())));
                let errors = problems.iter().map(|problem| ErrorLine {
                    line: problem.line,
                    column: problem.column,
                    path: &problem.path,
                    message: &problem.message,
                    hint: problem.hint.as_deref(),
                });
                broken.push(BrokenFile { config_file: shown(&found.file), errors: errors.collect() });
            }
        }
    }
    to_stdout(|mut out| match args.output {
        Output::Text => render::list::text(&mut out, &projects),
        Output::Json => render::list::json(&mut out, &projects, &broken),
    })?;
    if found.is_empty() {
        screen.info(&format!("No project (config.yml) below {}", directory.display()));
    }
    Ok(if broken.is_empty() { Exit::Done } else { Exit::Config })
}

/// A path without the `./` that a search below the working directory puts before it.
fn shown(path: &Path) -> &Path {
    match path.strip_prefix(".") {
        Ok(rest) if !rest.as_os_str().is_empty() => rest,
        _ => path,
    }
}

/// Finds and reads the project, and says its warnings.
pub(crate) fn open(args: &ProjectArgs, screen: &Screen) -> Result<Project, Report> {
    let file = match args.selection()? {
        Selection::File(file) => file.to_owned(),
        Selection::Name { name, directory } => {
            let file = find(name, directory.unwrap_or(Path::new("."))).map_err(|problem| Report::problems(vec![problem]))?;
            shown(&file).to_owned()
        }
    };
    let project = Project::load(&file, &environment).map_err(Report::problems)?;
    say_warnings(&project.warnings, screen);
    Ok(project)
}

pub(crate) fn say_warnings(warnings: &[Problem], screen: &Screen) {
    for warning in warnings {
        // It says itself that it is a warning.
        screen.info(&format!("{warning}\n"));
    }
}

/// The adapter folders of a project.
fn folders(project: &Project, args: &AdapterArgs) -> Folders {
    Folders::new(&args.paths, &project.adapters_path, &project.directory, environment(ADAPTERS_VARIABLE).as_deref())
}

/// The adapter of one side.
pub(crate) fn adapter_of(endpoint: &Endpoint, project: &Project, folders: &Folders) -> Result<AdapterSource, AdapterError> {
    let located = locate(&endpoint.name, endpoint.adapter.as_ref(), &project.directory, folders, builtin::ALL)?;
    let origin = located.place.to_string();
    Ok(AdapterSource { name: located.name, bytes: located.bytes, origin })
}

fn validate(args: &Validate, screen: &Screen) -> Result<Exit, Report> {
    let project = open(&args.project, screen)?;
    let mut failed = None;
    match engine::validate(&project) {
        Ok(warnings) => say_warnings(&warnings, screen),
        Err(problems) => failed = Some(Report::problems(problems)),
    }
    // Everything at once: an adapter that is not there does not hide what is wrong with the mapping, nor the other adapter.
    let folders = folders(&project, &args.adapters);
    let mut fail = |report: Report| {
        if let Some(earlier) = failed.replace(report) {
            screen.write(&format!("{earlier}\n"));
        }
    };
    let mut located = Vec::new();
    for endpoint in [&project.source, &project.destination] {
        match adapter_of(endpoint, &project, &folders) {
            Ok(adapter) => located.push(adapter),
            Err(error) => fail(error.into()),
        }
    }
    // Both are there: are they the accepted ones?
    if let (Some(destination), Some(source)) = (located.pop(), located.pop()) {
        let outcome = offline(&project, source, destination, screen, async |context| engine::check_adapters(context, false).await)?;
        outcome.into_iter().map(Report::from).for_each(fail);
    }
    match failed {
        Some(report) => Err(report),
        None => {
            let (mappings, file) = (project.schema_mapping.len() as u64, project.file.display());
            screen.info(&format!("{file} is valid: {mappings} {}", plural(mappings, "mapping", "mappings")));
            Ok(Exit::Done)
        }
    }
}

/// The cache's folder, absolute, so that what is said about it can be used from anywhere.
pub(crate) fn cache_root() -> Result<PathBuf, Report> {
    let here = std::env::current_dir().map_err(|error| {
        let report = Report::from_error(Exit::Unexpected, &error);
        report.hint(format!("the working directory is gone; go to another one, or set {CACHE_VARIABLE}"))
    })?;
    let Some(named) = environment(CACHE_VARIABLE).filter(|named| !named.is_empty()) else {
        return Ok(here.join(CACHE_FOLDER));
    };
    if Path::new(&named).components().any(|part| part == std::path::Component::ParentDir) {
        // The original refuses it too: a typo must not move the cache to a place nobody looks at.
        return Err(Report::new(Exit::Usage, format!("{CACHE_VARIABLE} must not contain `..` (it is `{named}`)")));
    }
    // Shells expand `~`; files of variables (systemd, .env) do not, and the original takes it.
    let home = named.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')).zip(environment("HOME"));
    Ok(match home {
        Some((rest, home)) => PathBuf::from(home + rest),
        None => here.join(named),
    })
}

/// A folder for what is kept between runs and can be made again; nowhere, if the user has no home.
pub(crate) fn user_cache(folder: &str) -> Option<PathBuf> {
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = variable("XDG_CACHE_HOME")
        .or_else(|| variable("LOCALAPPDATA").filter(|_| cfg!(windows)))
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("infrahub-sync").join(folder))
}

fn exchanges(args: &ExchangeArgs) -> Exchanges {
    match (&args.record, &args.replay) {
        (Some(folder), _) => Exchanges::Record(folder.clone()),
        (None, Some(folder)) => Exchanges::Replay(folder.clone()),
        (None, None) => Exchanges::Live,
    }
}

/// Tells the user what the engine does.
struct Teller<'a> {
    screen: &'a Screen,
    progress: Progress<'a>,
}

impl engine::Events for Teller<'_> {
    fn loading(&self, side: Side, kind: &str, rows: u64) {
        self.progress.loading(side.as_str(), kind, rows);
    }

    fn loaded(&self, side: Side, kind: &str, _rows: u64) {
        self.progress.loaded(side.as_str(), kind);
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

    fn waiting_for_lock(&self, holder: &str) {
        self.screen.info(&format!("Waiting for {holder}, which is at work on the same sync"));
    }
}

/// Does something with both adapters of a project that asks no system.
pub(crate) fn offline<T>(
    project: &Project,
    source: AdapterSource,
    destination: AdapterSource,
    screen: &Screen,
    action: impl AsyncFnOnce(&RunContext<'_>) -> T,
) -> Result<T, Report> {
    let stop = Arc::new(engine::Stop::default());
    let teller = Teller { screen, progress: Progress::new(screen) };
    let context = RunContext {
        project,
        source: Some(source),
        destination,
        branch: None,
        environment: &environment,
        cache_root: PathBuf::new(),
        component_store: user_cache("components"),
        memo_store: None,
        exchanges: Exchanges::Live,
        run_id: None,
        options: OPTIONS,
        events: &teller,
        stop: &stop,
        now: SystemTime::now,
    };
    block_on(action(&context), &stop, screen)
}

/// What the commands that call the engine take from the command line.
struct Engine<'a> {
    project: &'a ProjectArgs,
    branch: Option<&'a String>,
    adapters: &'a AdapterArgs,
    exchanges: &'a ExchangeArgs,
    options: Options,
    run_id: Option<&'a str>,
    /// Whether the source is needed.
    reads_source: bool,
}

impl Engine<'_> {
    /// Opens the project, starts the log and the asynchronous runtime, and calls the engine. Ctrl-C ends it.
    fn call<T>(self, screen: &Screen, action: impl AsyncFnOnce(&RunContext<'_>) -> Result<T, EngineError>) -> Result<T, Report> {
        logging::start(screen, environment(logging::VARIABLE).as_deref()).map_err(|error| {
            let report = Report::from_error(Exit::Usage, &error);
            report.hint(format!("{} is a list such as `infrahub_sync=debug,infrahub_sync_runtime=trace`", logging::VARIABLE))
        })?;
        let project = open(self.project, screen)?;
        let folders = folders(&project, self.adapters);
        let source = self.reads_source.then(|| adapter_of(&project.source, &project, &folders)).transpose()?;
        let destination = adapter_of(&project.destination, &project, &folders)?;
        let custom = custom_adapters(source.iter().chain([&destination]));
        let stop = Arc::new(engine::Stop::default());
        let teller = Teller { screen, progress: Progress::new(screen) };
        let context = RunContext {
            project: &project,
            source,
            destination,
            branch: self.branch.cloned(),
            environment: &environment,
            cache_root: cache_root()?,
            component_store: user_cache("components"),
            memo_store: user_cache("memos"),
            exchanges: exchanges(self.exchanges),
            run_id: self.run_id.map(str::to_owned),
            options: self.options,
            events: &teller,
            stop: &stop,
            now: SystemTime::now,
        };
        let outcome = block_on(action(&context), &stop, screen);
        teller.progress.finish();
        match outcome? {
            Ok(done) => Ok(done),
            Err(error) => Err(describe(error, &custom)),
        }
    }
}

/// Ctrl-C, and the polite request of the system (SIGTERM, as `systemctl stop` and Kubernetes send), heard from when it is made.
struct Signals {
    #[cfg(unix)]
    heard: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    fn new() -> Signals {
        Signals {
            #[cfg(unix)]
            heard: {
                use tokio::signal::unix::{SignalKind, signal};
                // Where signals cannot be heard, nobody can interrupt politely.
                [SignalKind::interrupt(), SignalKind::terminate()].into_iter().filter_map(|kind| signal(kind).ok()).collect()
            },
        }
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        #[cfg(unix)]
        std::future::poll_fn(|context| {
            let came = self.heard.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Hears the wish that the run ends. Beside the work and not within it, which may be busy with anything: at the second time the program
/// is left at once.
#[allow(clippy::exit, reason = "whatever is at work then is not asked")]
async fn listen(mut signals: Signals, stop: Arc<engine::Stop>, screen: Screen) {
    signals.next().await;
    // The first time: what was sent is waited for, and the journal written.
    stop.request();
    screen.warn("stopping when what was sent is answered; once more (Ctrl-C) to leave at once");
    signals.next().await;
    let report = Report::new(Exit::Interrupted, "interrupted")
        .hint("the cache stays usable: a run begins anew, and an apply goes on where it was with `infrahub-sync apply --run-id`");
    screen.write(&report.to_string());
    std::process::exit(Exit::Interrupted.code().into());
}

/// Runs the engine until it is done, or until the user has had enough.
fn block_on<T>(work: impl Future<Output = T>, stop: &Arc<engine::Stop>, screen: &Screen) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Report::from_error(Exit::Unexpected, &error))?;
    let outcome = runtime.block_on(async {
        // Before the work begins: a signal that nobody hears ends the program.
        tokio::spawn(listen(Signals::new(), stop.clone(), screen.clone()));
        work.await
    });
    // Whoever is still at work on a blocking thread must not hold up the exit.
    runtime.shutdown_background();
    Ok(outcome)
}

/// `name` and file of the adapters that are not built in.
pub(crate) fn custom_adapters<'a>(adapters: impl Iterator<Item = &'a AdapterSource>) -> Vec<(String, String)> {
    let custom = adapters.filter(|adapter| !adapter.is_built_in());
    custom.map(|adapter| (adapter.name.clone(), adapter.origin.clone())).collect()
}

/// The engine's failure in words; a custom adapter is named by its file.
pub(crate) fn describe(error: EngineError, custom: &[(String, String)]) -> Report {
    let name = match &error {
        EngineError::Adapter(error) => error.adapter().map(|adapter| adapter.name.clone()),
        _ => None,
    };
    let file = custom.iter().find(|(known, _)| Some(known) == name.as_ref());
    let report = Report::from(error);
    match file {
        Some((name, file)) => report.hint(format!("`{name}` is the adapter in {file}")),
        None => report,
    }
}

fn generate(args: &Generate, screen: Screen) -> Result<Exit, Report> {
    let engine = Engine {
        project: &args.project,
        branch: args.branch.as_ref(),
        adapters: &args.adapters,
        exchanges: &args.exchanges,
        options: OPTIONS,
        run_id: None,
        reads_source: false,
    };
    let done = engine.call(&screen, async |context| engine::generate(context).await)?;
    let kinds = done.kinds as u64;
    screen.info(&format!(
        "{} {}: {kinds} {}",
        if done.unchanged { "Up to date:" } else { "Wrote" },
        shown(&done.path).display(),
        plural(kinds, "kind", "kinds")
    ));
    Ok(Exit::Done)
}

/// The options of a command that has none of its own.
const OPTIONS: Options = Options {
    concurrent_load: true,
    full_extract: true,
    parallel: true,
    allow_rowcount_drop: false,
    continue_on_error: false,
    max_deletes: None,
    max_failures: None,
    on_conflict: None,
    lock_wait: LOCK_WAIT,
};

fn with_rules(options: Options, guardrail: &GuardrailArgs) -> Options {
    let (max_deletes, max_failures, on_conflict) = guardrail.rules();
    Options { allow_rowcount_drop: guardrail.allows_rowcount_drop(), max_deletes, max_failures, on_conflict, ..options }
}

fn with_bars(screen: Screen, progress: &ProgressArgs) -> Screen {
    screen.with_bars(progress.wanted())
}

fn with_data(options: Options, data: &DataArgs) -> Options {
    Options { continue_on_error: data.continues_on_error(), ..options }
}

fn diff(args: &Diff, screen: Screen) -> Result<Exit, Report> {
    let screen = with_bars(screen, &args.progress);
    let engine = Engine {
        project: &args.project,
        branch: args.branch.as_ref(),
        adapters: &args.adapters,
        exchanges: &args.exchanges,
        options: Options {
            concurrent_load: args.loading.is_concurrent(),
            full_extract: args.loading.is_full_extract(),
            lock_wait: args.wait.time(),
            ..with_data(OPTIONS, &args.data)
        },
        run_id: args.run_id.as_deref(),
        reads_source: true,
    };
    let run = engine.call(&screen, async |context| engine::diff(context).await)?;
    let format = match args.output {
        Output::Text => ShowOutput::Text,
        Output::Json => ShowOutput::Json,
    };
    print_plan(&run, format, &screen)?;
    let differs = args.detailed_exitcode && !run.summary.in_sync();
    Ok(if differs { Exit::Differences } else { Exit::Done })
}

fn show(args: &Show, screen: &Screen) -> Result<Exit, Report> {
    let root = cache_root()?;
    let sync = match args.project.selection() {
        // The cache knows the sync by its name; its project may be gone.
        Ok(Selection::Name { name, .. }) => name.to_owned(),
        Ok(Selection::File(_)) => open(&args.project, screen)?.name,
        Err(crate::args::UsageError::NoProject) => sync_of(&root, &args.run_id)?,
        Err(error) => return Err(error.into()),
    };
    // The engine makes the folder of a cache that is not there; a look must leave nothing behind.
    if SyncName::parse(&sync).is_ok() && !root.join(&sync).is_dir() {
        return Err(Report::new(Exit::Usage, format!("there are no cached runs of `{sync}` in {}", root.display()))
            .hint(format!("{CACHE_VARIABLE} names another folder for the cache")));
    }
    let run = engine::show(&root, &sync, &args.run_id)?;
    print_plan(&run, args.output, screen)?;
    Ok(Exit::Done)
}

/// The one sync whose cache has a run of that id: ids are unique unless somebody has chosen them.
pub(crate) fn sync_of(root: &Path, run_id: &str) -> Result<String, Report> {
    RunId::parse(run_id).map_err(|error| Report::from_error(Exit::Usage, &error))?;
    let folder = root.to_owned();
    let syncs = std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
    let mut syncs: Vec<String> =
        syncs.filter(|sync| sync.path().join(run_id).is_dir()).filter_map(|sync| sync.file_name().into_string().ok()).collect();
    syncs.sort();
    match syncs.as_slice() {
        [sync] => Ok(sync.clone()),
        [] => Err(Report::new(Exit::Usage, format!("no cached run in {} is called `{run_id}`", folder.display()))
            .hint("`infrahub-sync diff` and `sync` say the id of their run")),
        several => Err(Report::new(Exit::Usage, format!("several syncs have a run called `{run_id}`"))
            .hint(format!("name one of them with --name: {}", several.join(", ")))),
    }
}

fn apply(args: &Apply, screen: Screen) -> Result<Exit, Report> {
    let screen = with_bars(screen, &args.progress);
    let engine = Engine {
        project: &args.project,
        branch: args.branch.as_ref(),
        adapters: &args.adapters,
        exchanges: &args.exchanges,
        options: Options { lock_wait: args.wait.time(), ..with_rules(with_data(OPTIONS, &args.data), &args.guardrail) },
        run_id: Some(&args.run_id),
        reads_source: false,
    };
    let applied = engine.call(&screen, async |context| engine::apply(context).await)?;
    Ok(tell(&applied, &screen))
}

fn sync(args: &Sync, screen: Screen) -> Result<Exit, Report> {
    let screen = with_bars(screen, &args.progress);
    let engine = Engine {
        project: &args.project,
        branch: args.branch.as_ref(),
        adapters: &args.adapters,
        exchanges: &args.exchanges,
        options: Options {
            concurrent_load: args.loading.is_concurrent(),
            full_extract: args.loading.is_full_extract(),
            parallel: args.is_parallel(),
            lock_wait: args.wait.time(),
            ..with_rules(with_data(OPTIONS, &args.data), &args.guardrail)
        },
        run_id: None,
        reads_source: true,
    };
    let mut review = |run: &Run| match args.prints_diff() {
        true => print_plan(run, ShowOutput::Text, &screen).map_err(|report| io::Error::other(report.to_string())),
        false => Ok(()),
    };
    let action = async |context: &RunContext<'_>| {
        if args.is_parallel() && !context.project.order.is_empty() {
            let order = "`order:` is set: kinds are written one after the other in that order, and --parallel has no effect";
            context.events.warn(&format!("{order} (--no-parallel says so without this warning)"));
        }
        engine::sync(context, &mut review).await
    };
    let applied = engine.call(&screen, action)?;
    Ok(tell(&applied, &screen))
}

/// Prints a plan on stdout, while no bar is in the way.
fn print_plan(run: &Run, format: ShowOutput, screen: &Screen) -> Result<(), Report> {
    let fates = run.fates()?;
    let overview = Overview { fates: fates.as_ref(), ..overview(run) };
    let rows = (0..).zip(run.rows()?).map(|(at, row)| {
        row.map(|row| match fates.as_ref().and_then(|fates| fates.conflict(at, &row)) {
            // The plan is as it was made; what stood in its way was found when it was applied.
            Some(class) => PlanRow { conflict_class: Some(class.to_owned()), ..row },
            None => row,
        })
    });
    screen.around(|| {
        let mut out = data();
        let look = Look::new(data_has_colour(), screen.verbosity() == Verbosity::Verbose);
        let written = match format {
            ShowOutput::Text => render::text::write(&mut out, &overview, rows, &look),
            ShowOutput::Json => render::json::write(&mut out, &overview, rows),
            ShowOutput::Markdown => render::markdown::write(&mut out, &overview, rows),
        };
        match written {
            Ok(()) => out.flush().map_err(stdout_failed),
            Err(render::Failure::Write(error)) => Err(stdout_failed(error)),
            Err(render::Failure::Rows(error)) => Err(EngineError::from(error).into()),
        }
    })
}

fn overview(run: &Run) -> Overview<'_> {
    let kinds = run.summary.kinds.iter().map(|kind| KindOverview {
        kind: &kind.kind,
        tier: kind.tier,
        source_rows: kind.source_rows,
        destination_rows: kind.destination_rows,
        counts: Counts { create: kind.create, update: kind.update, delete: kind.delete, skipped: kind.skipped },
        partial: kind.partial,
    });
    Overview { run_id: &run.run_id, kinds: kinds.collect(), fates: None }
}

/// Objects that are named in one line, when the same was said of all of them.
const NAMED_TOGETHER: usize = 5;

/// The failures, those with the same words together, in the order of the first of each.
fn grouped(failures: &[engine::Failure]) -> Vec<Vec<&engine::Failure>> {
    let mut groups: Vec<Vec<&engine::Failure>> = Vec::new();
    for failure in failures {
        let alike = |group: &&mut Vec<&engine::Failure>| {
            group
                .first()
                .is_some_and(|first| (first.action, &first.kind, &first.reason) == (failure.action, &failure.kind, &failure.reason))
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(failure),
            None => groups.push(vec![failure]),
        }
    }
    groups
}

/// Says what was written, and what was not.
fn tell(applied: &Applied, screen: &Screen) -> Exit {
    let Applied { counts, failures, run, stopped, left } = applied;
    let Outcomes { created, updated, deleted, unchanged, failed, skipped, done_before } = counts;
    for alike in grouped(failures) {
        let Some(failure) = alike.first() else { continue };
        let action = failure.action.as_str();
        let named: Vec<String> = alike.iter().take(NAMED_TOGETHER).map(|failure| format!("`{}`", failure.unique_id)).collect();
        let more = alike.len().checked_sub(NAMED_TOGETHER).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
        let objects = format!("{}{}", named.join(", "), more.unwrap_or_default());
        let mut report = Report::new(Exit::Partial, format!("could not {action} {} {objects}: {}", failure.kind, failure.reason));
        if let Some(hint) = failure.reason.hint() {
            report = report.hint(hint);
        }
        screen.write(&report.to_string());
    }
    let lost = failed + skipped;
    let untold = lost.saturating_sub(failures.len() as u64);
    if untold > 0 {
        screen.write(&format!("error: {untold} more {} not written", plural(untold, "change was", "changes were")));
    }
    let mut sentence = format!("{created} created, {updated} updated, {deleted} deleted");
    let others = [
        (*done_before, "done before"),
        (*unchanged, "there already"),
        (*failed, "failed"),
        (*skipped, "not tried, as they need what failed"),
        (*left, "not tried"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        sentence.push_str(&format!(", {count} {what}"));
    }
    if let Some(stopped) = stopped {
        let (exit, what) = match stopped {
            engine::Stopped::Interrupted => (Exit::Interrupted, "interrupted".to_owned()),
            engine::Stopped::Failures(most) => (Exit::Partial, format!("stopped after {most} {}", plural(*most, "failure", "failures"))),
        };
        let report = Report::new(exit, format!("{what}: {sentence}"))
            .hint(format!("`infrahub-sync apply --run-id {}` goes on where it was", run.run_id));
        screen.write(&report.to_string());
        return report.exit;
    }
    let summary = &run.summary;
    let errors = run.directory.join("errors.parquet");
    if lost > 0 {
        let report = Report::new(Exit::Partial, format!("the destination took only a part of the plan: {sentence}"))
            .hint(format!("all that was not written is in {}", errors.display()))
            .hint(format!("`infrahub-sync apply --run-id {}` tries the rest again", run.run_id));
        screen.write(&report.to_string());
        return report.exit;
    }
    if created + updated + deleted + unchanged > 0 {
        screen.info(&format!("Applied: {sentence}"));
    }
    if summary.is_whole() {
        return Exit::Done;
    }
    // Asked for, and yet not all of the source: a script must be able to tell.
    screen.warn(&format!("the sync is partial: what cannot be identified was left out; it is listed in {}", errors.display()));
    Exit::Partial
}
