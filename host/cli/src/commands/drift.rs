//! `drift`: what has changed in the destination since the last applied run.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{AdapterArgs, ExchangeArgs, ProgressArgs, ProjectArgs, SettingArgs, WaitArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::plan::Format;
use crate::render::{self, Look};
use crate::screen::data_has_colour;

/// The arguments of `drift`.
#[derive(Debug, Args)]
pub(super) struct Drift {
    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    settings: SettingArgs,

    #[command(flatten)]
    adapters: AdapterArgs,

    /// Applied run to compare with [default: the run that was applied last]
    #[arg(long, value_name = "RUN_ID")]
    run_id: Option<String>,

    #[command(flatten)]
    progress: ProgressArgs,

    /// Format of stdout; markdown suits merge requests
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    output: Format,

    #[command(flatten)]
    wait: WaitArgs,

    #[command(flatten)]
    exchanges: ExchangeArgs,
}

/// Compares, and prints the differences. Exits with 2 if there are any.
pub(super) fn run(args: &Drift, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let call = Call {
        project: &args.project,
        settings: &args.settings,
        adapters: &args.adapters,
        exchanges: &args.exchanges,
        options: engine_options(&[&args.wait]),
        run_id: args.run_id.as_deref(),
        reads_source: false,
    };
    let drift = call.run(&context, async |run| engine::drift(run).await)?;
    let look = Look::new(data_has_colour(), context.is_verbose());
    context.print(|out| match args.output {
        Format::Text => render::drift::text(out, &drift, &look),
        Format::Json => render::drift::json(out, &drift),
        Format::Markdown => render::drift::markdown(out, &drift),
    })?;
    Ok(if drift.changes.is_empty() { Exit::Done } else { Exit::Differences })
}
