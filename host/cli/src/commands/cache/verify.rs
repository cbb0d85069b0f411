//! `cache verify`: whether the cached files are complete and undamaged.

use clap::Args;
use infrahub_sync_cache::RunId;

use super::syncs::{SyncArgs, each};
use crate::args::{Output, OutputArgs};
use crate::cached::sync_of_run;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::cache::{self as render, FoundIn};

/// The arguments of `cache verify`.
#[derive(Debug, Args)]
pub(super) struct CacheVerify {
    #[command(flatten)]
    syncs: SyncArgs,

    /// Check only this run [default: all runs, and the files beside them]
    #[arg(long, value_name = "RUN_ID")]
    run_id: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Checks the files, and prints the findings.
pub(super) fn run(args: &CacheVerify, context: &Context) -> Result<Exit, CommandError> {
    let run = args.run_id.as_deref().map(RunId::parse).transpose()?;
    let mut syncs = args.syncs.clone();
    if let Some(run) = &run
        && syncs.name.is_none()
        && syncs.config_file.is_none()
    {
        // As in `show`, the run determines the sync.
        syncs = SyncArgs::named(sync_of_run(&context.cache_root()?, run.as_str())?);
    }
    let (found, exit) = each(&syncs, context, |cache| cache.verify(run.as_ref()))?;
    let found: Vec<FoundIn<'_>> = found.iter().map(|(sync, verified)| FoundIn { sync: sync.as_str(), verified }).collect();
    context.print(|mut out| match args.output.format {
        Output::Text => render::verify_text(&mut out, &found),
        Output::Json => render::verify_json(&mut out, &found),
    })?;
    for found in &found {
        if let Some(running) = &found.verified.running {
            context.screen.info(&format!("Not checked: run {running} of {}, which is running", found.sync));
        }
    }
    context.screen.info(&render::verify_sentence(&found));
    Ok(if found.iter().all(|found| found.verified.is_whole()) { exit } else { Exit::Unexpected })
}
