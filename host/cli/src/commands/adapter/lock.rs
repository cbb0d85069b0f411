//! `adapter lock`: accepts the project's current adapters; `--check` reports whether they are accepted.

use clap::Args;
use infrahub_sync_engine::{self as engine, Locked};

use crate::args::{AdapterArgs, ProjectArgs};
use crate::call::Offline;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::examiner::check_accepted;
use crate::exit::Exit;
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
    let offline = Offline::new(&project, &folders)?;
    let custom = offline.custom.clone();
    let locked = offline.run(context, async |run| engine::lock_adapters(run).await)?;
    show_locked(&locked.map_err(|error| custom.describe(error))?, &context.screen);
    Ok(Exit::Done)
}

/// Shows what the lock file accepts now.
fn show_locked(locked: &Locked, screen: &Screen) {
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
            for line in adapter.abilities.beyond(&Default::default()) {
                screen.info(&format!("    {line}"));
            }
        }
    }
}
