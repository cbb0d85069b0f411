//! A cache that another user could have written is not used.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::common::{cache, id, lock, plan_row, running};
use infrahub_sync_cache::{Cache, CacheError, Mode, Remedy, RunReader, SyncName};

fn existing(root: &Path) -> Result<Option<Cache>, CacheError> {
    Cache::existing(root, SyncName::parse("s").expect("a name"))
}

#[expect(clippy::print_stderr, reason = "a test that cannot run on this machine says so")]
fn skipped() {
    eprintln!("SKIPPED: only root can make files of other users");
}

fn planned(root: &Path) -> RunReader {
    let lock = lock(&cache(root));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    run.write_plan([plan_row("x")]).expect("written");
    run.reader().clone()
}

#[track_caller]
fn assert_distrusted<T: std::fmt::Debug>(result: Result<T, CacheError>, path: &Path, why: &str) {
    let error = result.expect_err("a stranger's");
    assert_eq!(error.to_string(), format!("{} {why}, so it is not used", path.display()));
    assert_eq!(error.remedy(), Some(Remedy::TakeOver(path.to_owned())));
}

#[test]
fn a_cache_that_others_can_change_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("cache");
    let run = planned(&root);
    let why = "can be changed by other users";
    let paths = [root.clone(), root.join("s"), run.dir().to_owned(), run.dir().join("run.json"), run.dir().join("plan.parquet")];
    for path in paths {
        let before = fs::metadata(&path).expect("described").permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(before.mode() | 0o002)).expect("changed");
        let opened = existing(&root).and_then(|cache| cache.expect("there").open_run(&id("r")));
        assert_distrusted(opened, &path, why);
        fs::set_permissions(&path, before).expect("changed");
    }
    assert!(existing(&root).expect("ours").expect("there").open_run(&id("r")).is_ok());
}

#[test]
fn a_cache_of_another_user_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("cache");
    let run = planned(&root);
    let stranger = 65534;
    if chown(&root, Some(stranger), None).is_err() {
        skipped();
        return;
    }
    let why = "belongs to another user (number 65534)";
    assert_distrusted(existing(&root), &root, why);
    assert_distrusted(Cache::open(&root, SyncName::parse("s").expect("a name")), &root, why);
    chown(&root, Some(0), None).expect("changed");
    chown(run.dir().join("plan.parquet"), Some(stranger), None).expect("changed");
    let cache = existing(&root).expect("ours").expect("there");
    assert_distrusted(cache.open_run(&id("r")), &run.dir().join("plan.parquet"), why);
    assert!(cache.latest_success().expect("read").is_none(), "an incremental run does not continue from it either");
    // A link of a stranger leads to a cache of ours, perhaps of another project.
    let link = folder.path().join("link");
    symlink(&root, &link).expect("linked");
    std::os::unix::fs::lchown(&link, Some(stranger), None).expect("changed");
    assert_distrusted(existing(&link), &link, why);
}
