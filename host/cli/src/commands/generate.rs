//! `generate`: the models of a project, checked against the destination's schema.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{AdapterArgs, ExchangeArgs, ProjectArgs, SettingArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::{Context, shown};
use crate::exit::Exit;
use crate::render::plural;

/// The arguments of `generate`.
#[derive(Debug, Args)]
pub(super) struct Generate {
    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    settings: SettingArgs,

    #[command(flatten)]
    adapters: AdapterArgs,

    #[command(flatten)]
    exchanges: ExchangeArgs,
}

/// Writes the models.
pub(super) fn run(args: &Generate, context: &Context) -> Result<Exit, CommandError> {
    let call = Call {
        project: &args.project,
        settings: &args.settings,
        adapters: &args.adapters,
        exchanges: &args.exchanges,
        options: engine_options(&[]),
        run_id: None,
        reads_source: false,
    };
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
