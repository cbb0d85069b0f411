//! `adapter check`: whether an adapter keeps the contract.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use infrahub_sync_config::Project;
use infrahub_sync_conformance::{Options, Reading, Report, System, check, folder_copy, record};
use infrahub_sync_engine::{Events, Side, destination_readings, session_config, source_readings};
use infrahub_sync_runtime::{Adapter, Exchanges, Limits, Manifest, RequestHeaders, Role, SessionConfig, Variables, read_recording};
use serde_json::Value;

use crate::args::{Output, OutputArgs, SearchArgs, SettingArgs};
use crate::command_error::CommandError;
use crate::context::{Context, Environment, locate_endpoint};
use crate::examiner::{Examiner, check_accepted, limits_of, locate_named};
use crate::exit::Exit;
use crate::locate::{Folders, Place};
use crate::render::conformance as render;
use crate::render::plural;
use crate::screen::Screen;

/// The arguments of `adapter check`.
#[derive(Debug, Args)]
pub(super) struct AdapterCheck {
    /// Component (x.wasm), or name of an adapter that is built in, in the adapter folders, or in the project
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    adapter: PathBuf,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    settings: SettingArgs,

    /// Answer HTTP requests from the recording in this folder, without network or credentials
    #[arg(long, visible_alias = "exchanges", value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "record")]
    replay: Option<PathBuf>,

    /// Record the project's system in this folder first, in every way that the checks read it, for later use with --replay; needs a project
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    record: Option<PathBuf>,

    /// Create, change and delete a few objects in the project's system, which must be a test system; needs a project
    #[arg(long)]
    allow_writes: bool,

    /// Count a check that lacks its input as failed
    #[arg(long)]
    complete: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the checks, and prints their results.
pub(super) fn run(args: &AdapterCheck, context: &Context) -> Result<Exit, CommandError> {
    let (project, folders) = context.search(&args.search)?;
    let uses_system = args.record.is_some() || args.allow_writes;
    if project.is_none() && uses_system {
        let option = if args.record.is_some() { "--record" } else { "--allow-writes" };
        return Err(CommandError::new(Exit::Usage, format!("{option} needs a project, which names the system and what to read from it"))
            .hint("name a project that uses the adapter with --config-file"));
    }
    let located = locate_named(&args.adapter, project.as_ref(), &folders)?;
    if let Some(project) = project.as_ref().filter(|_| uses_system) {
        // The adapter gets the project's credentials, as in a run.
        check_accepted(project, &folders, false, context)?;
    }
    let examiner = Examiner::new(context)?;
    let adapter = examiner.load(&located.bytes, &located.name, &limits_of(&located.place, project.as_ref(), &folders))?;
    let side = match &project {
        Some(project) => Some(side_of(project, &folders, &located.name, &located.place)?),
        None => None,
    };
    let check = Check { args, adapter: &adapter, is_built_in: located.place.is_built_in(), context };
    let report = examiner.tasks.block_on(check.run(project.as_ref().zip(side)))?;
    context.print(|mut out| match args.output.format {
        Output::Text => render::text(&mut out, &report),
        Output::Json => render::json(&mut out, &report),
    })?;
    Ok(conclude(&report, &located.name, args.complete, &context.screen))
}

/// Shows whether the adapter keeps the contract, and returns the exit code.
fn conclude(report: &Report, name: &str, complete: bool, screen: &Screen) -> Exit {
    let checks = |count: usize| format!("{count} {}", plural(count as u64, "check", "checks"));
    let (failed, not_checked) = (report.failed().len(), report.not_checked().len());
    if failed > 0 {
        let error = CommandError::new(Exit::Adapter, format!("`{name}` does not keep the contract: {} failed", checks(failed)));
        screen.write(&error.to_string());
        return error.exit;
    }
    if not_checked > 0 && complete {
        let error = CommandError::new(Exit::Adapter, format!("`{name}` was not checked completely: {} lacked input", checks(not_checked)))
            .hint("each of these checks says what it needs");
        screen.write(&error.to_string());
        return error.exit;
    }
    if not_checked > 0 {
        let lacked = checks(not_checked);
        screen.info(&format!("`{name}` passed every check that ran; {lacked} lacked input (--complete counts that as a failure)"));
    } else {
        screen.info(&format!("`{name}` keeps the contract"));
    }
    Exit::Done
}

/// Returns the side of the project that uses the adapter.
fn side_of(project: &Project, folders: &Folders, name: &str, place: &Place) -> Result<Side, CommandError> {
    let uses = |side: &Side| locate_endpoint(project.endpoint(*side), project, folders).is_ok_and(|own| own.place.is(place));
    [Side::Source, Side::Destination].into_iter().find(uses).ok_or_else(|| {
        let file = project.file.display();
        CommandError::new(Exit::Config, format!("{file} does not use the adapter `{name}`"))
            .hint("name a project that has it as source or destination: with its component in `adapter:`, or with the name of its file")
    })
}

/// One check of one adapter.
struct Check<'a> {
    args: &'a AdapterCheck,
    adapter: &'a Adapter,
    is_built_in: bool,
    context: &'a Context,
}

impl Check<'_> {
    /// Runs the checks, on the project's side if there is a project.
    async fn run(&self, project: Option<(&Project, Side)>) -> Result<Report, CommandError> {
        let environment = &self.context.environment;
        let mut options = Options {
            settings: BTreeMap::new(),
            environment,
            // Without a project, the adapter gets no variable.
            variables: Variables::of("", &[]),
            headers: RequestHeaders::Plain(Vec::new()),
            command_line: self.args.settings.command_line(),
            extra_origins: Vec::new(),
            networks: Vec::new(),
            project_dir: PathBuf::from("."),
            role: Role::Source,
            readings: Vec::new(),
            system: System::None,
            run_id: run_id(),
            writes_live: self.args.allow_writes,
            limits: Limits::default(),
        };
        // The first check reports why an adapter does not describe itself; there is nothing else to check.
        let Ok(manifest) = self.adapter.describe().await else { return Ok(check(self.adapter, &options).await) };
        if let Some((project, side)) = project {
            let config = self.config(project, side);
            options.settings = with_environment(&config, &manifest, environment);
            options.variables = config.variables.clone();
            options.headers = config.headers.clone();
            options.extra_origins.clone_from(&config.extra_origins);
            options.networks.clone_from(&config.networks);
            options.project_dir = project.directory.clone();
            options.role = config.role;
            let readings = match side {
                Side::Source => source_readings(project, &manifest)?,
                Side::Destination => self.read_back(project, config, &manifest).await?,
            };
            options.readings = readings.into_iter().map(|read| Reading { request: read.request, computed: read.computed }).collect();
        }
        if let Some(folder) = &self.args.record {
            self.context.screen.info(&format!("Reading from the system and recording it in {}", folder.display()));
            record(self.adapter, &options, folder).await?;
        }
        let recording = self.args.replay.as_ref().or(self.args.record.as_ref());
        if let Some(folder) = recording.filter(|_| manifest.address_setting.is_some()) {
            options.system = System::Recorded(read_recording(folder, &manifest.name)?);
        }
        Ok(check(self.adapter, &options).await)
    }

    /// Returns the adapter's configuration in the project.
    fn config<'p>(&'p self, project: &'p Project, side: Side) -> SessionConfig<'p> {
        let exchanges = self.args.replay.as_ref().map_or(Exchanges::Live, |folder| Exchanges::Replay(folder.clone()));
        let mut config = session_config(project, side, self.is_built_in, &self.context.environment, exchanges);
        config.command_line = self.args.settings.command_line();
        config
    }

    /// Returns what a run reads back from a destination, or nothing if no system can report its schema.
    async fn read_back(
        &self,
        project: &Project,
        mut config: SessionConfig<'_>,
        manifest: &Manifest,
    ) -> Result<Vec<infrahub_sync_engine::Reading>, CommandError> {
        let args = self.args;
        if manifest.address_setting.is_some() && args.replay.is_none() && args.record.is_none() && !args.allow_writes {
            return Ok(Vec::new());
        }
        // A destination may write to its folder: the checks use a copy.
        let copy = folder_copy(manifest, &config.settings, &config.project_dir).map_err(|error| {
            CommandError::from_error(Exit::Unexpected, &error).hint("the checks need a temporary folder for the adapter's files")
        })?;
        if let Some(folder) = &manifest.folder_setting {
            config.settings.insert(folder.clone(), Value::String(copy.path().display().to_string()));
        }
        let session = self.adapter.open(config).await?;
        Ok(destination_readings(project, &session, &Warnings(&self.context.screen)).await?)
    }
}

/// Returns the settings, including those from the environment, except secrets: the checks themselves read no environment.
fn with_environment(config: &SessionConfig<'_>, manifest: &Manifest, environment: &Environment) -> BTreeMap<String, Value> {
    let mut settings = config.settings.clone();
    for setting in manifest.settings.iter().filter(|setting| !setting.secret) {
        let is_address = manifest.address_setting.as_ref() == Some(&setting.name);
        let may_see = |variable: &&String| config.variables.allow(variable) && (is_address || !config.variables.hide(variable));
        let variables = setting.environment.iter().filter(may_see);
        let given = variables.map(String::as_str).find_map(|variable| environment(variable).filter(|value| !value.is_empty()));
        if let Some(value) = given {
            settings.insert(setting.name.clone(), Value::String(value));
        }
    }
    settings
}

/// Returns a new name for objects in a live system, so that leftovers of an earlier check do not interfere.
fn run_id() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("conformance-{now}")
}

/// Shows the warnings of the mapping.
struct Warnings<'s>(&'s Screen);

impl Events for Warnings<'_> {
    fn loading(&self, _: Side, _: &str, _: u64, _: Option<u64>) {}
    fn loaded(&self, _: Side, _: &str, _: u64) {}
    fn writing(&self, _: &str, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
    fn warn(&self, message: &str) {
        self.0.warn(message);
    }
    fn waiting_for_lock(&self, _: &str) {}
}
