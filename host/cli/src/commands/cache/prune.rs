//! `cache prune`: removes old runs.

use std::time::Duration;

use clap::Args;
use infrahub_sync_cache::{Holder, Retention, freed};
use jiff::Timestamp;

use super::syncs::{SyncArgs, each};
use crate::args::{LOCK_WAIT, Output, OutputArgs, age};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::cache::{self as render, PrunedFrom};
use crate::render::{pruned_sentence, size};

/// The arguments of `cache prune`.
#[derive(Debug, Args)]
pub(super) struct CachePrune {
    #[command(flatten)]
    syncs: SyncArgs,

    /// Keep the newest N runs of each sync [default: 20, unless --older-than is given]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,

    /// Keep runs younger than this, such as 12h, 30d or 8w. With --keep, a run must exceed both limits to be removed [default: 30d, unless --keep is given]
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,

    /// Show what would be removed, without removing it
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// Removes the runs, and prints them.
pub(super) fn run(args: &CachePrune, context: &Context) -> Result<Exit, CommandError> {
    let retention = Retention::new(args.keep, args.older_than);
    let now = Timestamp::now();
    let (pruned, exit) = each(&args.syncs, context, |cache| {
        if args.dry_run {
            return cache.judge(retention, now);
        }
        let holder = Holder { pid: Some(std::process::id()), run_id: None, since: Some(now) };
        let lock = cache.lock(&holder, LOCK_WAIT, &mut |holder: &Holder| context.screen.waiting_for(holder))?;
        Ok(lock.prune(retention, now)?.runs)
    })?;
    let pruned: Vec<PrunedFrom<'_>> = pruned.iter().map(|(sync, runs)| PrunedFrom { sync: sync.as_str(), runs }).collect();
    context.print(|mut out| match args.output.format {
        Output::Text => render::prune_text(&mut out, &pruned, context.is_verbose()),
        Output::Json => render::prune_json(&mut out, &pruned, args.dry_run),
    })?;
    let verdicts = || pruned.iter().flat_map(|pruned| pruned.runs);
    let removed = || verdicts().filter(|verdict| verdict.kept.is_none());
    let kept = verdicts().filter(|verdict| verdict.kept.is_some()).count() as u64;
    let bytes = size(freed(removed().map(|verdict| &verdict.run)));
    let removed = (removed().count() as u64, ["run", "runs"], bytes);
    context.screen.info(&pruned_sentence(removed, &kept.to_string(), args.dry_run));
    Ok(exit)
}
