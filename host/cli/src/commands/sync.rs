//! `sync`: a plan, printed and applied.

use std::io;

use clap::Args;
use infrahub_sync_engine::{self as engine, Options, Run, RunContext};

use crate::args::{DataArgs, EngineOptions, GuardrailArgs, LoadArgs, ProgressArgs, RunArgs, SystemArgs, engine_options};
use crate::call::Call;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::show_outcome;
use crate::plan::{Format, print_plan};

/// The arguments of `sync`.
#[derive(Debug, Args)]
pub(super) struct Sync {
    #[command(flatten)]
    pub(super) systems: SystemArgs,

    #[command(flatten)]
    loading: LoadArgs,

    #[command(flatten)]
    data: DataArgs,

    /// Write tier by tier: objects without references first, then objects that refer to them [default]. A project with `order:` is written serially in that order
    #[arg(long, overrides_with = "no_parallel", help_heading = "Writing")]
    parallel: bool,

    /// Write one kind after the other
    #[arg(long, overrides_with = "parallel", help_heading = "Writing")]
    no_parallel: bool,

    #[command(flatten)]
    guardrail: GuardrailArgs,

    /// Print the differences before writing them [default]
    #[arg(long, overrides_with = "no_diff", help_heading = "Output")]
    diff: bool,

    /// Do not print the differences
    #[arg(long, overrides_with = "diff", help_heading = "Output")]
    no_diff: bool,

    #[command(flatten)]
    pub(super) progress: ProgressArgs,

    #[command(flatten)]
    run: RunArgs,
}

impl EngineOptions for Sync {
    fn set(&self, options: &mut Options) {
        options.parallel = !self.no_parallel;
    }
}

impl Sync {
    /// Returns whether the differences are printed.
    pub(super) fn prints_diff(&self) -> bool {
        !self.no_diff
    }

    /// Returns the engine's options.
    pub(super) fn options(&self) -> Options {
        engine_options(&[&self.loading, &self.data, self, &self.guardrail, &self.run])
    }
}

/// Makes, prints and applies a plan.
pub(super) fn run(args: &Sync, context: Context) -> Result<Exit, CommandError> {
    let context = context.with_bars(&args.progress);
    let call = Call::new(&args.systems, &args.run.exchanges, args.options());
    let mut review = |run: &Run| match args.prints_diff() {
        true => print_plan(run, Format::Text, &context).map_err(|error| io::Error::other(error.to_string())),
        false => Ok(()),
    };
    let action = async |run: &RunContext<'_>| {
        if run.options.parallel && !run.project.order.is_empty() {
            let order = "`order:` is set: kinds are written one after the other in that order, and --parallel has no effect";
            run.events.warn(&format!("{order} (--no-parallel says so without this warning)"));
        }
        engine::sync(run, &mut review).await
    };
    let applied = call.run(&context, action)?;
    Ok(show_outcome(&applied, &context.screen))
}
