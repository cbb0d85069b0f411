//! `undo`: a plan that takes a run back.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{AdapterArgs, ExchangeArgs, ProgressArgs, ProjectArgs, SettingArgs, WaitArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::plan::{Format, print_plan, show_left};
use crate::render::plural;

/// The arguments of `undo`.
#[derive(Debug, Args)]
pub(super) struct Undo {
    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    settings: SettingArgs,

    #[command(flatten)]
    adapters: AdapterArgs,

    /// Run id of the sync or apply to take back
    #[arg(long, value_name = "RUN_ID", required = true)]
    run_id: String,

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

/// Makes and prints the plan. Nothing is written to the destination.
pub(super) fn run(args: &Undo, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let call = Call {
        project: &args.project,
        settings: &args.settings,
        adapters: &args.adapters,
        exchanges: &args.exchanges,
        options: engine_options(&[&args.wait]),
        run_id: None,
        reads_source: false,
    };
    let undone = call.run(&context, async |run| engine::undo(run, &args.run_id).await)?;
    print_plan(&undone.run, args.output, &context)?;
    show_left(&undone.run, &context)?;
    let screen = &context.screen;
    if undone.done > 0 {
        screen.info(&format!("{} {} as before run {} already", undone.done, plural(undone.done, "object is", "objects are"), undone.of));
    }
    if !undone.run.summary.in_sync() {
        screen.info(&format!("To take run {} back, apply the plan: `infrahub-sync apply --run-id {}`", undone.of, undone.run.run_id));
    }
    Ok(Exit::Done)
}
