//! The syncs that a command on the cache works on.
//!
//! A sync with an unusable cache does not hide the others: its error goes to stderr, and its exit code becomes the command's.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use infrahub_sync_cache::{Cache, CacheError, SyncName};
use infrahub_sync_config::discover;

use crate::args::Selection;
use crate::cached::no_runs;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// Selects syncs: all of them, or those named in one of three ways.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub(super) struct SyncArgs {
    /// The sync with that name, even if its project no longer exists
    #[arg(long, value_name = "NAME", help_heading = "Syncs [default: all cached syncs]")]
    pub(super) name: Option<String>,

    /// The sync of the project in that config.yml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Syncs [default: all cached syncs]")]
    pub(super) config_file: Option<PathBuf>,

    /// The syncs of all projects below that folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Syncs [default: all cached syncs]")]
    directory: Option<PathBuf>,
}

impl SyncArgs {
    /// Selects the sync with that name.
    pub(super) fn named(name: String) -> SyncArgs {
        SyncArgs { name: Some(name), ..SyncArgs::default() }
    }

    /// Returns the selected syncs, and whether the user named them one by one.
    fn select(&self, root: &Path, context: &Context) -> Result<(Vec<SyncName>, bool), CommandError> {
        if let Some(name) = &self.name {
            return Ok((vec![SyncName::parse(name)?], true));
        }
        if let Some(file) = &self.config_file {
            let project = context.open(Selection::File(file))?;
            return Ok((vec![SyncName::parse(&project.name)?], true));
        }
        let cached = Cache::syncs(root)?;
        let Some(directory) = &self.directory else {
            return Ok((cached, false));
        };
        let found = discover(directory).map_err(|problem| CommandError::problems(vec![problem]))?;
        let is_below =
            |sync: &SyncName| found.iter().any(|found| found.summary.as_ref().is_ok_and(|summary| summary.name == sync.as_str()));
        Ok((cached.into_iter().filter(is_below).collect(), false))
    }
}

/// Works on each selected cache. Returns the results, and the exit code: done, or that of the last failure.
pub(super) fn each<T>(
    args: &SyncArgs,
    context: &Context,
    mut work: impl FnMut(Cache) -> Result<T, CacheError>,
) -> Result<(Vec<(SyncName, T)>, Exit), CommandError> {
    let root = context.cache_root()?;
    let (syncs, is_named) = args.select(&root, context)?;
    let mut done = Vec::new();
    let mut exit = Exit::Done;
    for sync in syncs {
        match Cache::existing(&root, sync.clone()).and_then(|cache| cache.map(&mut work).transpose()) {
            Ok(Some(value)) => done.push((sync, value)),
            Ok(None) if is_named => return Err(no_runs(&root, sync.as_str())),
            // Removed since the list was read.
            Ok(None) => {}
            Err(error) if is_named => return Err(error.into()),
            Err(error) => {
                let error = CommandError::from(error);
                context.screen.write(&format!("{error}\n"));
                exit = error.exit;
            }
        }
    }
    if done.is_empty() && exit == Exit::Done {
        context.screen.info(&format!("No cached runs in {}", root.display()));
    }
    Ok((done, exit))
}
