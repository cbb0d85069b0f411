//! `adapter check`: whether an adapter keeps the contract.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use infrahub_sync_config::Project;
use infrahub_sync_conformance::{Options, Reading, System, check, folder_copy, record};
use infrahub_sync_engine::{EngineError, Events, Side, destination_readings, session_config, source_readings};
use infrahub_sync_runtime::{Adapter, Exchanges, Limits, Manifest, Role, SessionConfig, Variables, read_recording};
use serde_json::Value;

use super::lock::are_accepted;
use super::{Examiner, MaybeProject, broken, folders, located};
use crate::args::{AdapterArgs, Output};
use crate::builtin;
use crate::commands::{environment, to_stdout};
use crate::exit::Exit;
use crate::locate::{Folders, Place, locate};
use crate::render::conformance as render;
use crate::report::Report;
use crate::screen::Screen;

/// `adapter check`
#[derive(Debug, Args)]
pub(crate) struct AdapterCheck {
    /// A component (x.wasm), or the name of an adapter: one of this program, of the adapter folders or of the project
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    adapter: PathBuf,

    #[command(flatten)]
    adapters: AdapterArgs,

    #[command(flatten)]
    project: MaybeProject,

    /// Branch of the system, where the adapter has that setting
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,

    /// Answer from the exchanges recorded in this folder: neither network nor credentials are needed
    #[arg(long, visible_alias = "exchanges", value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "record")]
    replay: Option<PathBuf>,

    /// Read from the project's system first, in all ways that the checks do, and record it in this folder for --replay; needs a project
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    record: Option<PathBuf>,

    /// Write to the project's system, which has to be one for tests: a handful of objects is created, changed and deleted; needs a project
    #[arg(long)]
    allow_writes: bool,

    /// A check that had nothing to work on counts as failed
    #[arg(long)]
    complete: bool,

    /// How the result is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &AdapterCheck, screen: &Screen) -> Result<Exit, Report> {
    let project = args.project.open(screen)?;
    if project.is_none() && (args.record.is_some() || args.allow_writes) {
        let option = if args.record.is_some() { "--record" } else { "--allow-writes" };
        return Err(Report::new(Exit::Usage, format!("{option} needs a project: it says which system, and what to read of it"))
            .hint("name one that uses the adapter with --config-file"));
    }
    let folders = folders(project.as_ref(), &args.adapters);
    let located = located(&args.adapter, project.as_ref(), &folders)?;
    if let Some(project) = project.as_ref().filter(|_| args.record.is_some() || args.allow_writes) {
        // It gets the project's credentials, as in a run.
        are_accepted(project, &folders, false, screen)?;
    }
    let examiner = Examiner::new()?;
    let adapter = examiner.runtime.load_adapter(&located.bytes, &located.name).map_err(broken)?;
    let side = match &project {
        Some(project) => Some(side_of(project, &folders, &located.name, &located.place)?),
        None => None,
    };
    let built_in = located.place.file().is_none();
    let report = examiner.tasks.block_on(carry_out(args, &adapter, built_in, project.as_ref().zip(side), screen))?;
    to_stdout(|mut out| match args.output {
        Output::Text => render::text(&mut out, &report),
        Output::Json => render::json(&mut out, &report),
    })?;
    let failed = report.failed().len();
    let left = report.not_checked().len();
    let checks = |count: usize| format!("{count} {}", crate::render::plural(count as u64, "check", "checks"));
    if failed > 0 {
        let report = Report::new(Exit::Adapter, format!("`{}` does not keep the contract: {} failed", located.name, checks(failed)));
        screen.write(&report.to_string());
        return Ok(report.exit);
    }
    if left > 0 && args.complete {
        let report =
            Report::new(Exit::Adapter, format!("`{}` was not checked completely: {} had nothing to work on", located.name, checks(left)))
                .hint("each says what it needs");
        screen.write(&report.to_string());
        return Ok(report.exit);
    }
    if left > 0 {
        screen.info(&format!(
            "`{}` keeps the contract as far as that was checked: {} had nothing to work on (--complete counts that as a failure)",
            located.name,
            checks(left)
        ));
    } else {
        screen.info(&format!("`{}` keeps the contract", located.name));
    }
    Ok(Exit::Done)
}

/// The side of the project that the adapter plays.
fn side_of(project: &Project, folders: &Folders, name: &str, place: &Place) -> Result<Side, Report> {
    let plays = |side: &Side| {
        let endpoint = project.endpoint(*side);
        let own = locate(&endpoint.name, endpoint.adapter.as_ref(), &project.directory, folders, builtin::ALL);
        own.is_ok_and(|own| own.place.is(place))
    };
    [Side::Source, Side::Destination].into_iter().find(plays).ok_or_else(|| {
        let file = project.file.display();
        Report::new(Exit::Config, format!("{file} does not use the adapter `{name}`")).hint(
            "name a project whose source or destination it is: `adapter:` is the path of the component, or its name is that of the file",
        )
    })
}

async fn carry_out(
    args: &AdapterCheck,
    adapter: &Adapter,
    built_in: bool,
    project: Option<(&Project, Side)>,
    screen: &Screen,
) -> Result<infrahub_sync_conformance::Report, Report> {
    let mut options = Options {
        settings: BTreeMap::new(),
        environment: &environment,
        // Without a project nothing is asked of the environment.
        variables: Variables::of("", &[]),
        extra_origins: Vec::new(),
        networks: Vec::new(),
        project_dir: PathBuf::from("."),
        role: Role::Source,
        readings: Vec::new(),
        system: System::None,
        run_id: run_id(),
        writes_live: args.allow_writes,
        limits: Limits::default(),
    };
    // One that does not describe itself has nothing to read: the first check tells why.
    let Ok(manifest) = adapter.describe().await else { return Ok(check(adapter, &options).await) };
    if let Some((project, side)) = project {
        let exchanges = |folder: Option<&PathBuf>| folder.map_or(Exchanges::Live, |folder| Exchanges::Replay(folder.clone()));
        let mut config = session_config(project, side, built_in, &environment, exchanges(args.replay.as_ref()));
        if let Some(branch) = args.branch.as_ref().filter(|_| manifest.setting("branch").is_some()) {
            config.settings.entry("branch".to_owned()).or_insert_with(|| branch.clone().into());
        }
        options.settings = with_environment(&config, &manifest);
        options.variables = config.variables.clone();
        options.extra_origins.clone_from(&config.extra_origins);
        options.networks.clone_from(&config.networks);
        options.project_dir = project.directory.clone();
        options.role = config.role;
        let readings = match side {
            Side::Source => source_readings(project, &manifest)?,
            Side::Destination => read_back(args, adapter, project, config, screen).await?,
        };
        options.readings = readings.into_iter().map(|read| Reading { request: read.request, computed: read.computed }).collect();
    }
    if let Some(folder) = &args.record {
        screen.info(&format!("Reading from the system and recording it in {}", folder.display()));
        record(adapter, &options, folder).await.map_err(broken)?;
    }
    if let Some(folder) = args.replay.as_ref().or(args.record.as_ref()).filter(|_| manifest.address_setting.is_some()) {
        options.system = System::Recorded(read_recording(folder, &manifest.name).map_err(broken)?);
    }
    Ok(check(adapter, &options).await)
}

/// What a run reads back of a destination; nothing where there is nobody who could tell its schema.
async fn read_back(
    args: &AdapterCheck,
    adapter: &Adapter,
    project: &Project,
    mut config: SessionConfig<'_>,
    screen: &Screen,
) -> Result<Vec<infrahub_sync_engine::Reading>, Report> {
    let Ok(manifest) = adapter.describe().await else { return Ok(Vec::new()) };
    if manifest.address_setting.is_some() && args.replay.is_none() && args.record.is_none() && !args.allow_writes {
        return Ok(Vec::new());
    }
    // A destination may write to its folder: to a copy, while it is checked.
    let copy = folder_copy(&manifest, &config.settings, &config.project_dir).map_err(|error| {
        Report::from_error(Exit::Unexpected, &error).hint("a temporary folder is needed for what the adapter may write to")
    })?;
    if let Some(folder) = &manifest.folder_setting {
        config.settings.insert(folder.clone(), Value::String(copy.path().display().to_string()));
    }
    let session = adapter.open(config).await.map_err(|error| Report::from(EngineError::from(error)))?;
    Ok(destination_readings(project, &session, &Told(screen)).await?)
}

/// The settings with those that come from the environment, but for secrets: offline nothing is taken from it any more.
fn with_environment(config: &SessionConfig<'_>, manifest: &Manifest) -> BTreeMap<String, Value> {
    let mut settings = config.settings.clone();
    for setting in manifest.settings.iter().filter(|setting| !setting.secret) {
        let variables = setting.environment.iter().filter(|variable| config.variables.allow(variable));
        let given = variables.map(String::as_str).find_map(|variable| environment(variable).filter(|value| !value.is_empty()));
        if let Some(value) = given {
            settings.insert(setting.name.clone(), Value::String(value));
        }
    }
    settings
}

/// What is written to a live system has a name of its own each time, so that what an earlier check left is not in the way.
fn run_id() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("conformance-{now}")
}

/// Says the warnings of the mapping.
struct Told<'s>(&'s Screen);

impl Events for Told<'_> {
    fn loading(&self, _: Side, _: &str, _: u64) {}
    fn loaded(&self, _: Side, _: &str, _: u64) {}
    fn writing(&self, _: &str, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
    fn warn(&self, message: &str) {
        self.0.warn(message);
    }
    fn waiting_for_lock(&self, _: &str) {}
}
