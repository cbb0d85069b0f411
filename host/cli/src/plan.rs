//! Prints the plan of a run to stdout.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use infrahub_sync_core::plan_row::PlanRow;
use infrahub_sync_engine::Run;

use crate::command_error::CommandError;
use crate::context::Context;
use crate::render::{self, Look, Overview};
use crate::screen::{data, data_has_colour};

/// The format of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // For people
    Text,
    // One JSON document
    Json,
    // For merge requests
    Markdown,
}

/// Chooses the format of a plan.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// Format of stdout; markdown suits merge requests
    #[arg(long = "output", value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// The number of objects that are named among those that an undo leaves.
const LEFT_SHOWN: usize = 20;

/// Shows what the plan of an undo leaves as it is.
pub(crate) fn show_left(run: &Run, context: &Context) -> Result<(), CommandError> {
    let left = run.left()?;
    for (kind, unique_id, reason) in left.iter().take(LEFT_SHOWN) {
        context.screen.warn(&format!("{kind} `{unique_id}` stays as it is: {reason}"));
    }
    let more = left.len().saturating_sub(LEFT_SHOWN) as u64;
    if more > 0 {
        let stay = render::plural(more, "stays as it is", "stay as they are");
        context.screen.warn(&format!("{more} more {stay}; errors.parquet of the run lists all of them"));
    }
    Ok(())
}

/// Shows the digest of a plan, which `apply --plan-digest` takes.
pub(crate) fn show_digest(run: &Run, context: &Context) -> Result<(), CommandError> {
    context.screen.info(&format!("Plan digest: {}", run.plan_digest()?));
    Ok(())
}

/// Prints a plan to stdout while the progress bars are hidden.
pub(crate) fn print_plan(run: &Run, format: Format, context: &Context) -> Result<(), CommandError> {
    let fates = run.fates()?;
    let overview =
        Overview { run_id: &run.run_id, kinds: run.summary.kinds.clone(), mappings: &run.summary.mappings, fates: fates.as_ref() };
    let rows = (0..).zip(run.rows()?).map(|(at, row)| {
        row.map(|row| match fates.as_ref().and_then(|fates| fates.conflict(at, &row)) {
            // The stored plan is unchanged; the apply found the conflict.
            Some(class) => PlanRow { conflict_class: Some(class.to_owned()), ..row },
            None => row,
        })
    });
    context.screen.around(|| {
        let mut out = data();
        let look = Look::new(data_has_colour(), context.is_verbose());
        let written = match format {
            Format::Text => render::text::write(&mut out, &overview, rows, &look),
            Format::Json => render::json::write(&mut out, &overview, rows),
            Format::Markdown => render::markdown::write(&mut out, &overview, rows),
        };
        match written {
            Ok(()) => out.flush().map_err(CommandError::stdout),
            Err(render::Failure::Write(error)) => Err(CommandError::stdout(error)),
            Err(render::Failure::Rows(error)) => Err(error.into()),
        }
    })
}
