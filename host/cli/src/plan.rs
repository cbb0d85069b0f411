//! Prints the plan of a run to stdout.

use std::io::Write as _;

use clap::ValueEnum;
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

/// Prints a plan to stdout while the progress bars are hidden.
pub(crate) fn print_plan(run: &Run, format: Format, context: &Context) -> Result<(), CommandError> {
    let fates = run.fates()?;
    let overview = Overview { run_id: &run.run_id, kinds: run.summary.kinds.clone(), fates: fates.as_ref() };
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
