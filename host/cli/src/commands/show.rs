//! `show`: the plan of a cached run.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{ProjectArgs, Selection, UsageError};
use crate::cached::{no_runs, sync_of_run};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::plan::{FormatArgs, print_plan, show_digest, show_left};

/// The arguments of `show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    project: ProjectArgs,

    /// Run id, as diff and sync print it; without a project, the sync that has this run
    #[arg(long, value_name = "RUN_ID", required = true)]
    run_id: String,

    #[command(flatten)]
    output: FormatArgs,
}

/// Prints the plan.
pub(super) fn run(args: &Show, context: &Context) -> Result<Exit, CommandError> {
    let root = context.cache_root()?;
    let sync = match args.project.selection() {
        // The cache knows the sync by its name; its project may no longer exist.
        Ok(Selection::Name { name, .. }) => name.to_owned(),
        Ok(file @ Selection::File(_)) => context.open(file)?.name,
        Err(UsageError::NoProject) => sync_of_run(&root, &args.run_id)?,
        Err(error) => return Err(error.into()),
    };
    let run = engine::show(&root, &sync, &args.run_id)?.ok_or_else(|| no_runs(&root, &sync))?;
    print_plan(&run, args.output.format, context)?;
    show_left(&run, context)?;
    show_digest(&run, context)?;
    Ok(Exit::Done)
}
