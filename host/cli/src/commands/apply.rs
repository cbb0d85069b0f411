//! `apply`: the plan of a cached run, written to the destination.

use clap::Args;
use infrahub_sync_engine::{self as engine, Options};

use crate::args::{DataArgs, GuardrailArgs, ProgressArgs, RunArgs, SystemArgs, engine_options, plan_digest};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::show_outcome;

/// The arguments of `apply`.
#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    systems: SystemArgs,

    /// Run id of an earlier diff or sync
    #[arg(long, value_name = "RUN_ID", required = true)]
    run_id: String,

    /// Apply only the plan with this digest, which diff, show and undo print
    #[arg(long, value_name = "sha256:DIGEST", value_parser = plan_digest)]
    plan_digest: Option<[u8; 32]>,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    guardrail: GuardrailArgs,

    #[command(flatten)]
    progress: ProgressArgs,

    #[command(flatten)]
    run: RunArgs,
}

/// Applies the plan.
pub(super) fn run(args: &Apply, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let options = Options { plan_digest: args.plan_digest, ..engine_options(&[&args.data, &args.guardrail, &args.run]) };
    let call = Call::new(&args.systems, &args.run.exchanges, options).without_source().with_run_id(Some(&args.run_id));
    let applied = call.run(&context, async |run| engine::apply(run).await)?;
    Ok(show_outcome(&applied, &context.screen))
}
