//! `undo`: a plan that takes a run back.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{ProgressArgs, RunArgs, SystemArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::plan::{FormatArgs, print_plan, show_digest, show_left};
use crate::render::plural;

/// The arguments of `undo`.
#[derive(Debug, Args)]
pub(super) struct Undo {
    #[command(flatten)]
    systems: SystemArgs,

    /// Run id of the sync or apply to take back
    #[arg(long, value_name = "RUN_ID", required = true)]
    run_id: String,

    #[command(flatten)]
    progress: ProgressArgs,

    #[command(flatten, next_help_heading = "Output")]
    output: FormatArgs,

    #[command(flatten)]
    run: RunArgs,
}

/// Makes and prints the plan. Nothing is written to the destination.
pub(super) fn run(args: &Undo, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let call = Call::new(&args.systems, &args.run.exchanges, engine_options(&[&args.run])).without_source();
    let undone = call.run(&context, async |run| engine::undo(run, &args.run_id).await)?;
    print_plan(&undone.run, args.output.format, &context)?;
    show_left(&undone.run, &context)?;
    show_digest(&undone.run, &context)?;
    let screen = &context.screen;
    if undone.done > 0 {
        screen.info(&format!("{} {} as before run {} already", undone.done, plural(undone.done, "object is", "objects are"), undone.of));
    }
    if !undone.run.summary.in_sync() {
        screen.info(&format!("To take run {} back, apply the plan: `infrahub-sync apply --run-id {}`", undone.of, undone.run.run_id));
    }
    Ok(Exit::Done)
}
