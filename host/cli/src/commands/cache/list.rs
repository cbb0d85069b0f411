//! `cache list`: the cached runs.

use clap::Args;

use super::syncs::{SyncArgs, each};
use crate::args::{Output, OutputArgs};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::cache::{self as render, SurveyOf};

/// The arguments of `cache list`.
#[derive(Debug, Args)]
pub(super) struct CacheList {
    #[command(flatten)]
    syncs: SyncArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Lists the runs.
pub(super) fn run(args: &CacheList, context: &Context) -> Result<Exit, CommandError> {
    let (surveys, exit) = each(&args.syncs, context, |cache| Ok((cache.dir().to_owned(), cache.survey()?)))?;
    let surveys: Vec<SurveyOf<'_>> =
        surveys.iter().map(|(sync, (directory, survey))| SurveyOf { sync: sync.as_str(), directory, survey }).collect();
    context.print(|mut out| match args.output.format {
        Output::Text => render::list_text(&mut out, &surveys),
        Output::Json => render::list_json(&mut out, &surveys),
    })?;
    Ok(exit)
}
