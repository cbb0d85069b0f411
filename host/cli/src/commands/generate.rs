//! `generate`: the models of a project, checked against the destination's schema.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{ExchangeArgs, SystemArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::{Context, shown};
use crate::exit::Exit;
use crate::render::plural;

/// The arguments of `generate`.
#[derive(Debug, Args)]
pub(super) struct Generate {
    #[command(flatten)]
    systems: SystemArgs,

    #[command(flatten)]
    exchanges: ExchangeArgs,
}

/// Writes the models.
pub(super) fn run(args: &Generate, context: &Context) -> Result<Exit, CommandError> {
    let call = Call::new(&args.systems, &args.exchanges, engine_options(&[])).without_source();
    let done = call.run(context, async |run| engine::generate(run).await)?;
    let kinds = done.kinds as u64;
    context.screen.info(&format!(
        "{} {}: {kinds} {}",
        if done.unchanged { "Up to date:" } else { "Wrote" },
        shown(&done.path).display(),
        plural(kinds, "kind", "kinds")
    ));
    Ok(Exit::Done)
}
