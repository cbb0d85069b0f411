//! `adapter lock`: accepts the project's current adapters; `--check` reports whether they are accepted.

use clap::Args;
use infrahub_sync_config::{AdapterLocation, Endpoint, Project};
use infrahub_sync_engine::{self as engine, Locked};

use crate::args::{AdapterArgs, ProjectArgs};
use crate::call::Offline;
use crate::command_error::CommandError;
use crate::context::{Context, locate_endpoint, source_of};
use crate::examiner::check_accepted;
use crate::exit::Exit;
use crate::locate::Folders;
use crate::screen::Screen;

/// The arguments of `adapter lock`.
#[derive(Debug, Args)]
pub(super) struct AdapterLock {
    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    adapters: AdapterArgs,

    /// Write nothing; exit with 4 if a run would stop, or if there is no lock file
    #[arg(long)]
    check: bool,
}

/// Writes or checks the lock file.
pub(super) fn run(args: &AdapterLock, context: &Context) -> Result<Exit, CommandError> {
    let project = context.open(args.project.selection()?)?;
    let folders = context.folders(Some(&project), &args.adapters);
    if args.check {
        check_accepted(&project, &folders, true, context)?;
        context.screen.info("The lock file accepts the adapters");
        return Ok(Exit::Done);
    }
    let locked = write(&project, &folders, false, context)?;
    show_locked(&locked, &context.screen);
    Ok(Exit::Done)
}

/// Writes the lock file. Published adapters are those that it names already, or (with `update`) those that their origins have now.
pub(super) fn write(project: &Project, folders: &Folders, update: bool, context: &Context) -> Result<Locked, CommandError> {
    let resolved = |endpoint: &Endpoint| match &endpoint.adapter {
        Some(AdapterLocation::Origin(origin)) => folders.1.resolve(&endpoint.name, origin, project, update).map_err(CommandError::from),
        _ => locate_endpoint(endpoint, project, folders),
    };
    let (source, destination) = (resolved(&project.source)?, resolved(&project.destination)?);
    let offline = Offline::with(project, source_of(source), source_of(destination));
    let custom = offline.custom.clone();
    let locked = offline.run(context, async |run| engine::lock_adapters(run).await)?;
    locked.map_err(|error| custom.describe(error))
}

/// Shows what the lock file accepts now.
pub(super) fn show_locked(locked: &Locked, screen: &Screen) {
    for line in &locked.accepted {
        screen.info(&format!("+ {line}"));
    }
    for line in &locked.dropped {
        screen.info(&format!("- {line}"));
    }
    let path = locked.path.display();
    if locked.unchanged {
        screen.info(&format!("Up to date: {path}"));
        return;
    }
    screen.info(&format!("Wrote {path}"));
    if !locked.replaced {
        for (side, adapter) in [("source", &locked.lock.source), ("destination", &locked.lock.destination)] {
            screen.info(&format!("{side}: {} {}, {}", adapter.adapter, adapter.version, adapter.component));
            if let Some(published) = &adapter.origin {
                let publisher = published
                    .publisher
                    .as_ref()
                    .map_or_else(|| "no signature was checked".to_owned(), |key| format!("signed by the key {key}"));
                screen.info(&format!("    from {}, {publisher}", published.origin));
            }
            for line in adapter.abilities.beyond(&Default::default()) {
                screen.info(&format!("    {line}"));
            }
        }
    }
}
