//! Finds cached runs by their ids.

use std::path::Path;

use infrahub_sync_cache::RunId;

use crate::command_error::CommandError;
use crate::exit::Exit;
use crate::variables;

/// Returns the sync that has a run with that id. Ids are unique unless a user has chosen them.
pub(crate) fn sync_of_run(root: &Path, run_id: &str) -> Result<String, CommandError> {
    RunId::parse(run_id)?;
    let syncs = std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    let mut syncs: Vec<String> =
        syncs.filter(|sync| sync.path().join(run_id).is_dir()).filter_map(|sync| sync.file_name().into_string().ok()).collect();
    syncs.sort();
    match syncs.as_slice() {
        [sync] => Ok(sync.clone()),
        [] => Err(CommandError::new(Exit::Usage, format!("{} contains no run `{run_id}`", root.display()))
            .hint("`infrahub-sync diff` and `sync` print the id of their run; `infrahub-sync cache list` lists all runs")),
        several => Err(CommandError::new(Exit::Usage, format!("several syncs have a run `{run_id}`"))
            .hint(format!("choose one with --name: {}", several.join(", ")))),
    }
}

/// Returns the error for a sync without a cache.
pub(crate) fn no_runs(root: &Path, sync: &str) -> CommandError {
    CommandError::new(Exit::Usage, format!("{} contains no runs of `{sync}`", root.display()))
        .hint(format!("{} sets another cache folder", variables::CACHE))
}
