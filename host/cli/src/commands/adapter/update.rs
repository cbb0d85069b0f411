//! `adapter update`: locks the published adapters that their origins have now.

use clap::Args;

use super::lock;
use crate::args::{AdapterArgs, ProjectArgs};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The arguments of `adapter update`.
#[derive(Debug, Args)]
pub(super) struct AdapterUpdate {
    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    adapters: AdapterArgs,
}

/// Writes the lock file, and shows what it accepts now.
pub(super) fn run(args: &AdapterUpdate, context: &Context) -> Result<Exit, CommandError> {
    let project = context.open(args.project.selection()?)?;
    let folders = context.folders(Some(&project), &args.adapters);
    lock::show_locked(&lock::write(&project, &folders, true, context)?, &context.screen);
    Ok(Exit::Done)
}
