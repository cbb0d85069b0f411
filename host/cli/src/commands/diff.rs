//! `diff`: what a sync would do.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{
    AdapterArgs, DataArgs, ExchangeArgs, LoadArgs, Output, ProgressArgs, ProjectArgs, SettingArgs, WaitArgs, engine_options,
};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::plan::{Format, print_plan};

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    settings: SettingArgs,

    #[command(flatten)]
    adapters: AdapterArgs,

    /// Run id to use instead of a new one; overwrites an existing run with that id
    #[arg(long, value_name = "RUN_ID")]
    run_id: Option<String>,

    #[command(flatten)]
    loading: LoadArgs,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    progress: ProgressArgs,

    /// Format of stdout
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    output: Output,

    /// Exit with 2 if there are differences, and with 0 if both sides are in sync
    #[arg(long, help_heading = "Output")]
    detailed_exitcode: bool,

    #[command(flatten)]
    wait: WaitArgs,

    #[command(flatten)]
    exchanges: ExchangeArgs,
}

/// Makes and prints a plan.
pub(super) fn run(args: &Diff, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let call = Call {
        project: &args.project,
        settings: &args.settings,
        adapters: &args.adapters,
        exchanges: &args.exchanges,
        options: engine_options(&[&args.loading, &args.data, &args.wait]),
        run_id: args.run_id.as_deref(),
        reads_source: true,
    };
    let planned = call.run(&context, async |run| engine::diff(run).await)?;
    let format = match args.output {
        Output::Text => Format::Text,
        Output::Json => Format::Json,
    };
    print_plan(&planned, format, &context)?;
    let differs = args.detailed_exitcode && !planned.summary.in_sync();
    Ok(if differs { Exit::Differences } else { Exit::Done })
}
