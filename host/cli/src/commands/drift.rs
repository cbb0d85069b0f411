//! `drift`: what has changed in the destination since the last applied run.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{ProgressArgs, RunArgs, SystemArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::plan::{Format, FormatArgs};
use crate::render::{self, Look};
use crate::screen::data_has_colour;

/// The arguments of `drift`.
#[derive(Debug, Args)]
pub(super) struct Drift {
    #[command(flatten)]
    systems: SystemArgs,

    /// Applied run to compare with [default: the run that was applied last]
    #[arg(long, value_name = "RUN_ID")]
    run_id: Option<String>,

    #[command(flatten)]
    progress: ProgressArgs,

    #[command(flatten, next_help_heading = "Output")]
    output: FormatArgs,

    #[command(flatten)]
    run: RunArgs,
}

/// Compares, and prints the differences. Exits with 2 if there are any.
pub(super) fn run(args: &Drift, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let call = Call::new(&args.systems, &args.run.exchanges, engine_options(&[&args.run]));
    let call = call.without_source().with_run_id(args.run_id.as_deref());
    let drift = call.run(&context, async |run| engine::drift(run).await)?;
    let look = Look::new(data_has_colour(), context.is_verbose());
    context.print(|out| match args.output.format {
        Format::Text => render::drift::text(out, &drift, &look),
        Format::Json => render::drift::json(out, &drift),
        Format::Markdown => render::drift::markdown(out, &drift),
    })?;
    Ok(if drift.changes.is_empty() { Exit::Done } else { Exit::Differences })
}
