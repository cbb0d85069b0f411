//! `cache`: the cached runs of one sync, of several, or of all.

mod list;
mod prune;
mod syncs;
mod verify;

use clap::{Args, Subcommand};

use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The arguments of `cache`.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Cache {
    #[command(subcommand)]
    command: CacheCommand,
}

/// The sub-commands of `cache`.
#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// List cached runs: their results, whether an apply can resume, and their sizes
    List(list::CacheList),
    /// Remove old runs. Keeps runs that are running, that an apply can resume, or that the next run starts from
    Prune(prune::CachePrune),
    /// Read every cached file and report damaged, missing and leftover files; exits with 1 if a file is damaged or missing
    Verify(verify::CacheVerify),
}

/// Carries out a sub-command.
pub(super) fn run(args: &Cache, context: &Context) -> Result<Exit, CommandError> {
    match &args.command {
        CacheCommand::List(args) => list::run(args, context),
        CacheCommand::Prune(args) => prune::run(args, context),
        CacheCommand::Verify(args) => verify::run(args, context),
    }
}
