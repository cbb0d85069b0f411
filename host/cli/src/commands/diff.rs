//! `diff`: what a sync would do.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{DataArgs, LoadArgs, Output, OutputArgs, ProgressArgs, RunArgs, SystemArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::plan::{Format, print_plan, show_digest};

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    systems: SystemArgs,

    /// Run id to use instead of a new one; overwrites an existing run with that id
    #[arg(long, value_name = "RUN_ID")]
    run_id: Option<String>,

    #[command(flatten)]
    loading: LoadArgs,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    progress: ProgressArgs,

    #[command(flatten, next_help_heading = "Output")]
    output: OutputArgs,

    /// Exit with 2 if there are differences, and with 0 if both sides are in sync
    #[arg(long, help_heading = "Output")]
    detailed_exitcode: bool,

    #[command(flatten)]
    run: RunArgs,
}

/// Makes and prints a plan.
pub(super) fn run(args: &Diff, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let options = engine_options(&[&args.loading, &args.data, &args.run]);
    let call = Call::new(&args.systems, &args.run.exchanges, options).with_run_id(args.run_id.as_deref());
    let planned = call.run(&context, async |run| engine::diff(run).await)?;
    let format = match args.output.format {
        Output::Text => Format::Text,
        Output::Json => Format::Json,
    };
    print_plan(&planned, format, &context)?;
    show_digest(&planned, &context)?;
    let differs = args.detailed_exitcode && !planned.summary.in_sync();
    Ok(if differs { Exit::Differences } else { Exit::Done })
}
