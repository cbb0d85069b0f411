//! `adapter lock`: the project's adapters, as they are now, are accepted; `--check` says whether they are.

use clap::Args;
use infrahub_sync_config::Project;
use infrahub_sync_engine::{self as engine, Locked};

use super::folders;
use crate::args::{AdapterArgs, ProjectArgs};
use crate::commands::{adapter_of, custom_adapters, describe, offline, open};
use crate::exit::Exit;
use crate::locate::Folders;
use crate::report::Report;
use crate::screen::Screen;

/// `adapter lock`
#[derive(Debug, Args)]
pub(crate) struct AdapterLock {
    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    adapters: AdapterArgs,

    /// Write nothing; exit with 4 where a run would stop, and where there is no lock file
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &AdapterLock, screen: &Screen) -> Result<Exit, Report> {
    let project = open(&args.project, screen)?;
    let folders = folders(Some(&project), &args.adapters);
    if args.check {
        are_accepted(&project, &folders, true, screen)?;
        screen.info("The adapters are as the lock file accepts them");
        return Ok(Exit::Done);
    }
    let source = adapter_of(&project.source, &project, &folders)?;
    let destination = adapter_of(&project.destination, &project, &folders)?;
    let custom = custom_adapters([&source, &destination].into_iter());
    let locked = offline(&project, source, destination, screen, async |context| engine::lock_adapters(context).await)?;
    tell(&locked.map_err(|error| describe(error, &custom))?, screen);
    Ok(Exit::Done)
}

/// Whether the project's adapters are those that it pins and its lock file accepts. `required`: there must be a lock file.
pub(super) fn are_accepted(project: &Project, folders: &Folders, required: bool, screen: &Screen) -> Result<(), Report> {
    let source = adapter_of(&project.source, project, folders)?;
    let destination = adapter_of(&project.destination, project, folders)?;
    let custom = custom_adapters([&source, &destination].into_iter());
    let mut errors = offline(project, source, destination, screen, async |context| engine::check_adapters(context, required).await)?;
    let Some(last) = errors.pop() else { return Ok(()) };
    for error in errors {
        screen.write(&format!("{}\n", describe(error, &custom)));
    }
    Err(describe(last, &custom))
}

/// Says what is accepted now.
fn tell(locked: &Locked, screen: &Screen) {
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
