//! Runs are written, read, used again and listed.

use std::fs;
use std::path::Path;

use crate::common::{cache, error_row, id, lock, now, plan_row, running, snapshot};
use infrahub_sync_cache::{
    Cache, CacheError, Cursors, FORMAT, Mode, Remedy, RunCounter, RunId, RunRecord, RunState, RunStatus, Side, SyncName,
};
use infrahub_sync_core::plan_row::PlanRow;

fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).expect("readable") {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("text");
        if entry.path().is_dir() {
            names.extend(files(&entry.path()).into_iter().map(|file| format!("{name}/{file}")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

fn plan(rows: infrahub_sync_cache::PlanReader) -> Vec<PlanRow> {
    rows.collect::<Result<_, _>>().expect("readable")
}

#[test]
fn a_run_is_read_as_it_was_written() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let lock = lock(&cache);
    let run = lock.start_run(&id("r1"), &running(Mode::Diff)).expect("started");

    let devices = snapshot(&[Some("é"), Some(""), None]);
    let written = run.write_snapshot(Side::Source, "InfraDevice", devices.schema(), [devices.clone(), devices.clone()]);
    assert_eq!(written.expect("written").rows, 6);
    let empty = snapshot(&[]);
    run.write_snapshot(Side::Destination, "InfraDevice", empty.schema(), []).expect("written");
    let rows: Vec<PlanRow> = (0..2500).map(|n| plan_row(&n.to_string())).collect();
    assert_eq!(run.write_plan(rows.clone()).expect("written").rows, 2500);
    let errors = [error_row("one"), error_row("two")];
    run.write_errors(&errors).expect("written");
    let mut cursors = Cursors::default();
    cursors.source.insert("InfraDevice".to_owned(), "TIMESTAMP:2026-01-01T00:00:00+00:00".to_owned());
    run.write_cursors(&cursors).expect("written");
    run.write_schema_sub_hash("0123456789ab").expect("written");
    let mut file = running(Mode::Diff);
    file.status = RunStatus::DryRun;
    file.finished_at = Some(now());
    file.partial.source.insert("InfraDevice".to_owned());
    run.write_run_file(&file).expect("written");
    drop((run, lock));

    assert_eq!(
        files(cache.dir()),
        [
            ".format",
            ".lock",
            "r1/A/InfraDevice.parquet",
            "r1/B/InfraDevice.parquet",
            "r1/cursors.json",
            "r1/errors.parquet",
            "r1/plan.parquet",
            "r1/run.json",
            "r1/schema-sub-hash.txt",
        ]
    );
    let run = cache.open_run(&id("r1")).expect("opened");
    let batches: Vec<_> = run.read_snapshot(Side::Source, "InfraDevice").expect("opened").map(|batch| batch.expect("readable")).collect();
    let all = arrow_select::concat::concat_batches(&devices.schema(), &batches).expect("one schema");
    assert_eq!(all, arrow_select::concat::concat_batches(&devices.schema(), [&devices, &devices]).expect("one schema"));
    let none = run.read_snapshot(Side::Destination, "InfraDevice").expect("opened");
    assert_eq!((none.rows(), none.schema().clone()), (0, empty.schema()));
    assert_eq!(none.count(), 0);
    assert_eq!(run.snapshot_kinds(Side::Source).expect("listed").iter().map(|kind| kind.as_str()).collect::<Vec<_>>(), ["InfraDevice"]);
    assert_eq!(plan(run.read_plan().expect("opened")), rows);
    assert_eq!(run.read_errors().expect("readable"), errors);
    assert_eq!(run.read_cursors().expect("readable"), cursors);
    assert_eq!(run.read_schema_sub_hash().expect("readable").as_deref(), Some("0123456789ab"));
    // With the sums of what was written before it.
    let read = run.run_file().expect("readable");
    assert_eq!(read.files.keys().collect::<Vec<_>>(), ["A/InfraDevice.parquet", "B/InfraDevice.parquet", "plan.parquet"]);
    assert!(read.files.iter().all(|(name, sum)| sum.bytes == fs::metadata(run.dir().join(name)).expect("there").len()));
    assert_eq!(RunRecord { files: Default::default(), ..read }, RunRecord { format: FORMAT, ..file });
}

#[test]
fn an_empty_plan_is_a_plan() {
    let root = tempfile::tempdir().expect("a folder");
    let lock = lock(&cache(root.path()));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    run.write_plan([]).expect("written");
    assert!(run.reader().has_plan());
    assert_eq!(run.reader().read_plan().expect("opened").count(), 0);
}

#[test]
fn an_id_that_is_used_again_leaves_no_mixture() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let lock = lock(&cache);
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    let batch = snapshot(&[Some("a")]);
    run.write_snapshot(Side::Source, "Old", batch.schema(), [batch.clone()]).expect("written");
    run.write_snapshot(Side::Destination, "Old", batch.schema(), [batch.clone()]).expect("written");
    run.write_plan([plan_row("a")]).expect("written");
    run.write_errors(&[error_row("x")]).expect("written");
    run.write_cursors(&Cursors::default()).expect("written");
    run.write_schema_sub_hash("x").expect("written");
    // What killed writers of ours and of 2.0.1 leave, and what the user put there.
    for left in ["A/.Old.parquet.1-2.tmp", "B/New.parquet.tmp", ".plan.parquet.1-1.tmp", "run.json.abc.tmp", "notes.md", "A/notes.md"] {
        fs::write(run.dir().join(left), "x").expect("written");
    }
    lock.start_run(&id("r"), &running(Mode::Sync)).expect("started");
    assert_eq!(files(run.dir()), ["A/notes.md", "notes.md", "run.json"]);
    assert_eq!(run.reader().run_file().expect("readable").mode, Mode::Sync);
}

#[test]
fn going_on_with_a_run_keeps_it() {
    let root = tempfile::tempdir().expect("a folder");
    let lock = lock(&cache(root.path()));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    run.write_plan([plan_row("a")]).expect("written");
    fs::write(run.dir().join("run.json"), r#"{"status": "dry-run", "theirs": 1}"#).expect("written");
    fs::write(run.dir().join("A/.x.parquet.1-1.tmp"), "half").expect("written");

    let run = lock.continue_run(&id("r")).expect("opened");
    assert_eq!(files(run.dir()), ["plan.parquet", "run.json"]);
    let mut file = run.reader().run_file().expect("readable");
    file.status = RunStatus::Applied;
    run.write_run_file(&file).expect("written");
    let file = run.reader().run_file().expect("readable");
    assert_eq!((file.format, file.status), (FORMAT, RunStatus::Applied));
}

#[test]
fn no_errors_no_file() {
    let root = tempfile::tempdir().expect("a folder");
    let lock = lock(&cache(root.path()));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    run.write_errors(&[]).expect("nothing to do");
    assert!(run.reader().read_errors().expect("readable").is_empty());
    run.write_errors(&[error_row("x")]).expect("written");
    run.write_errors(&[]).expect("removed");
    assert_eq!(files(run.dir()), ["run.json"]);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let root = tempfile::tempdir().expect("a folder");
    let lock = lock(&cache(root.path()));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    let batch = snapshot(&[Some("a")]);
    let mut writer = run.snapshot_writer(Side::Source, "K", batch.schema()).expect("created");
    writer.write(&batch).expect("written");
    drop(writer);
    let mut writer = run.plan_writer().expect("created");
    writer.push(&plan_row("a")).expect("written");
    drop(writer);
    assert_eq!(files(run.dir()), ["run.json"]);
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let root = tempfile::tempdir().expect("a folder");
    let lock = lock(&cache(root.path()));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    let batch = snapshot(&[Some("a")]);
    let fewer = batch.project(&[0]).expect("a column");
    let error = run.write_snapshot(Side::Source, "K", batch.schema(), [fewer]).expect_err("another schema");
    assert!(matches!(error, CacheError::Unwritable { .. }), "{error}");
    let error = run.write_snapshot(Side::Source, "a/b", batch.schema(), []).expect_err("no file name");
    insta::assert_snapshot!(error, @r#"a kind's name must be one plain path segment: "a/b" contains a path separator"#);
    let mut row = plan_row("a");
    row.tier = u32::MAX;
    let error = run.write_plan([row]).expect_err("no such tier");
    assert!(matches!(error, CacheError::Unwritable { .. }), "{error}");
    assert_eq!(files(run.dir()), ["run.json"]);
}

#[test]
fn files_of_the_sync_have_the_shapes_of_2_0_1() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    assert_eq!(cache.rowcounts().expect("readable"), None);
    assert_eq!(cache.run_counter().expect("readable").runs_since_full, 0);
    let lock = lock(&cache);
    lock.write_rowcounts(&[("B".to_owned(), 2), ("A".to_owned(), 1)].into()).expect("written");
    lock.write_run_counter(RunCounter { runs_since_full: 3 }).expect("written");
    let text = |name: &str| fs::read_to_string(cache.dir().join(name)).expect("readable");
    assert_eq!(text("last-successful-rowcounts.json"), "{\n  \"A\": 1,\n  \"B\": 2\n}");
    assert_eq!(text("run-counter.json"), "{\n  \"runs_since_full\": 3\n}");
    assert_eq!(cache.rowcounts().expect("readable"), Some([("B".to_owned(), 2), ("A".to_owned(), 1)].into()));
    assert_eq!(cache.run_counter().expect("readable").runs_since_full, 3);
}

#[test]
fn runs_are_listed_latest_first_whatever_state_they_are_in() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let run = |name: &str, json: Option<&str>| {
        let dir = cache.dir().join(name);
        fs::create_dir(&dir).expect("created");
        if let Some(json) = json {
            fs::write(dir.join("run.json"), json).expect("written");
        }
    };
    run("20260101T0000-00000001", Some(r#"{"status": "applied"}"#));
    run("20260103T0000-00000001", Some("{"));
    run("20260104T0000-00000001", None);
    run("mine", Some(r#"{"status": "dry-run", "started_at": "2026-01-02T00:00:00+00:00", "format": 1}"#));
    run("20260105T0000-00000001", Some(r#"{"status": "applied", "format": 99, "mode": "dream"}"#));
    run(".hidden", None);
    fs::write(cache.dir().join("notes"), "x").expect("written");

    let runs = cache.list_runs().expect("listed");
    let states: Vec<(&str, &str)> = runs
        .iter()
        .map(|run| {
            let state = match &run.state {
                RunState::Known(file) => file.status.as_str(),
                RunState::Empty => "(empty)",
                RunState::Unreadable(CacheError::NewerFormat { .. }) => "(newer)",
                RunState::Unreadable(_) => "(unreadable)",
            };
            (run.id.as_str(), state)
        })
        .collect();
    assert_eq!(
        states,
        [
            ("20260105T0000-00000001", "(newer)"),
            ("20260104T0000-00000001", "(empty)"),
            ("20260103T0000-00000001", "(unreadable)"),
            ("mine", "dry-run"),
            ("20260101T0000-00000001", "applied"),
        ]
    );
    let latest = cache.latest_success().expect("listed").expect("there is one");
    assert_eq!(latest.id().as_str(), "mine");

    let error = cache.open_run(&id("yours")).expect_err("no such run");
    insta::assert_snapshot!(error, @r#"the cache of "s" has no run "yours""#);
    let Some(Remedy::ChooseRun(latest)) = error.remedy() else { panic!("{error:?}") };
    let latest: Vec<&str> = latest.iter().map(RunId::as_str).collect();
    assert_eq!(latest, ["20260105T0000-00000001", "20260104T0000-00000001", "20260103T0000-00000001", "mine", "20260101T0000-00000001"]);
    assert_eq!(cache.open_run(&id("20260104T0000-00000001")).expect("opened").run_file().expect("none").status, RunStatus::Pending);
}

#[test]
fn a_newer_format_is_refused_and_not_touched() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    assert_eq!(fs::read_to_string(cache.dir().join(".format")).expect("read"), format!("{FORMAT}\n"));

    let lock = lock(&cache);
    let dir = cache.run_dir(&id("r"));
    fs::create_dir(&dir).expect("created");
    fs::write(dir.join("run.json"), r#"{"format": 7, "status": {"new": "shape"}}"#).expect("written");
    fs::write(dir.join("plan.parquet"), "new").expect("written");
    for error in [
        cache.open_run(&id("r")).expect_err("newer"),
        lock.start_run(&id("r"), &running(Mode::Diff)).expect_err("newer"),
        lock.continue_run(&id("r")).expect_err("newer"),
    ] {
        let message = error.to_string().replace(&dir.display().to_string(), "<run>");
        assert_eq!(message, "<run>/run.json has format 7; this version reads and writes up to format 1");
    }
    assert_eq!(files(&dir), ["plan.parquet", "run.json"]);

    fs::write(cache.dir().join(".format"), "2\n").expect("written");
    let error = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect_err("newer");
    assert!(matches!(error, CacheError::NewerFormat { found: 2, supported: 1, .. }), "{error}");
    fs::write(cache.dir().join(".format"), "two").expect("written");
    let error = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect_err("damaged");
    assert!(matches!(error, CacheError::Damaged { .. }), "{error}");
}

#[test]
fn a_cache_of_2_0_1_is_taken_over() {
    let root = tempfile::tempdir().expect("a folder");
    let dir = root.path().join("s/20250101T0000-deadbeef");
    fs::create_dir_all(&dir).expect("created");
    fs::write(dir.join("run.json"), r#"{"finished_at": null, "mode": "diff", "status": "dry-run", "summary": {}}"#).expect("written");
    fs::write(root.path().join("s/run-counter.json"), "{}").expect("written");
    let cache = cache(root.path());
    let run = cache.open_run(&id("20250101T0000-deadbeef")).expect("opened");
    assert_eq!(run.run_file().expect("readable").format, 0);
    assert_eq!(cache.run_counter().expect("readable"), RunCounter::default());
}

#[test]
fn what_is_missing_is_named() {
    let root = tempfile::tempdir().expect("a folder");
    let lock = lock(&cache(root.path()));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    let plan = run.reader().read_plan().expect_err("no plan");
    let snapshot = run.reader().read_snapshot(Side::Destination, "K").expect_err("no snapshot");
    let dir = run.dir().display().to_string();
    let text = |error: &CacheError| error.to_string().replace(&dir, "<run>");
    insta::assert_snapshot!(text(&plan), @r#"run "r" has no plan (<run>/plan.parquet does not exist)"#);
    insta::assert_snapshot!(text(&snapshot), @r#"run "r" has no snapshot B/K (<run>/B/K.parquet does not exist)"#);
    assert_eq!(run.reader().read_cursors().expect("none"), Cursors::default());
    assert_eq!(run.reader().read_schema_sub_hash().expect("none"), None);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join("s"), "a file").expect("written");
    let error = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect_err("in the way");
    let text = error.to_string().replace(&root.path().display().to_string(), "<root>");
    insta::assert_snapshot!(text, @"cannot create <root>/s");
    assert_eq!(error.remedy(), Some(Remedy::CheckDisk));
}
