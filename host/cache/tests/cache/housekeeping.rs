//! What the cache holds is listed, what nobody needs goes, and what is not whole is told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::{cache, error_row, id, lock, plan_row, running, snapshot};
use infrahub_sync_cache::{
    Cache, CacheError, CacheLock, Finding, Kept, Mode, Retention, RowCounts, RowState, RunRecord, RunStatus, Side, Standing, SyncName,
    Verdict,
};
use jiff::{SignedDuration, Timestamp};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The first moment of these runs' time.
fn day(number: i64) -> Timestamp {
    "2026-03-01T00:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_hours(24 * number)
}

/// A whole run that began on that day, with one change in its plan.
fn write_run(lock: &CacheLock, name: &str, began: i64, status: RunStatus) {
    let file = RunRecord { started_at: Some(day(began)), ..running(Mode::Sync) };
    let run = lock.start_run(&id(name), &file).expect("started");
    let mut file = file;
    for side in Side::BOTH {
        for kind in ["K", "L"] {
            let batch = snapshot(&[Some("a"), None]);
            run.write_snapshot(side, kind, batch.schema(), [batch]).expect("written");
            file.counts.get_mut(side).insert(kind.to_owned(), 2);
        }
    }
    run.write_cursors(&Default::default()).expect("written");
    run.write_schema_sub_hash("0123").expect("written");
    run.write_plan([plan_row("a"), plan_row("b")]).expect("written");
    (file.summary.create, file.summary.update, file.summary.delete) = (Some(0), Some(2), Some(0));
    file.status = status;
    file.finished_at = Some(day(began) + SignedDuration::from_secs(60));
    if status == RunStatus::Applied {
        let mut journal = run.open_journal().expect("created");
        journal.begin().expect("noted");
        journal.answered((0..2).map(|row| (row, RowState::Done, None::<&str>))).expect("noted");
        journal.finished().expect("noted");
    }
    run.write_run_file(&file).expect("written");
}

#[cfg(unix)]
#[test]
fn what_runs_share_is_counted_once_and_freed_with_the_last_of_them() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let lock = lock(&cache);
    write_run(&lock, "first", 1, RunStatus::Applied);
    let whole = cache.survey().expect("readable");
    let [first] = whole.runs.as_slice() else { panic!("{whole:?}") };
    assert!(first.shared.is_empty());
    for (name, began) in [("second", 2), ("third", 3)] {
        write_run(&lock, name, began, RunStatus::Applied);
        let run = lock.continue_run(&id(name)).expect("there");
        // As an incremental run does of which nothing has changed.
        fs::remove_file(run.dir().join("A/K.parquet")).expect("there");
        let before = cache.open_run(&id("first")).expect("there");
        assert!(run.adopt_snapshot(Side::Source, "K", &before).expect("linked"));
    }
    let survey = cache.survey().expect("readable");
    let [third, second, first] = survey.runs.as_slice() else { panic!("{survey:?}") };
    let snapshot = fs::metadata(cache.run_dir(&id("first")).join("A/K.parquet")).expect("there").len();
    let all = first.bytes + second.bytes + third.bytes;
    let held = fs::metadata(cache.dir().join(".lock")).expect("there").len();
    assert_eq!(survey.bytes, all - 2 * snapshot + 2 + held, "and .format and .lock");
    for run in [first, second, third] {
        assert_eq!((run.shared_bytes(), run.own_bytes()), (snapshot, run.bytes - snapshot));
        assert_eq!(infrahub_sync_cache::freed([run].into_iter()), run.bytes - snapshot);
    }
    assert_eq!(infrahub_sync_cache::freed([first, second].into_iter()), first.bytes + second.bytes - 2 * snapshot);
    assert_eq!(infrahub_sync_cache::freed(survey.runs.iter()), all - 2 * snapshot);

    // What is said of a removal is what it frees.
    let retention = Retention::new(Some(1), None);
    let verdicts = cache.judge(retention, day(400)).expect("readable");
    let gone: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.kept.is_none()).collect();
    assert_eq!(gone.len(), 2, "{verdicts:?}");
    let promised = infrahub_sync_cache::freed(gone.iter().map(|verdict| &verdict.run));
    lock.prune(retention, day(400)).expect("removed");
    assert_eq!(cache.survey().expect("readable").bytes, survey.bytes - promised);
}

fn interrupt(lock: &CacheLock, name: &str) {
    let run = lock.continue_run(&id(name)).expect("there");
    let mut journal = run.open_journal().expect("created");
    journal.begin().expect("noted");
    journal.sent([0, 1]).expect("noted");
    journal.answered([(0, RowState::Done, Some("id"))]).expect("noted");
}

fn said(runs: &[Verdict]) -> Vec<(&str, Option<Kept>)> {
    runs.iter().map(|verdict| (verdict.run.id.as_str(), verdict.kept)).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .filter(|name| !name.starts_with(".lock") && !name.starts_with(".format"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_survey_says_what_can_be_done_with_each_run() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let ours = lock(&cache);
    write_run(&ours, "applied", 1, RunStatus::Applied);
    write_run(&ours, "plan", 2, RunStatus::DryRun);
    write_run(&ours, "interrupted", 3, RunStatus::DryRun);
    interrupt(&ours, "interrupted");
    write_run(&ours, "in sync", 4, RunStatus::DryRun);
    let run = ours.continue_run(&id("in sync")).expect("there");
    let mut file = run.reader().run_file().expect("whole");
    file.summary.update = Some(0);
    run.write_run_file(&file).expect("written");
    ours.start_run(&id("killed"), &RunRecord { started_at: Some(day(5)), ..running(Mode::Diff) }).expect("started");
    write_run(&ours, "broken", 6, RunStatus::Partial);
    fs::write(cache.run_dir(&id("broken")).join("journal.bin"), "nothing").expect("written");
    write_run(&ours, "old", 7, RunStatus::DryRun);
    fs::write(cache.run_dir(&id("old")).join("run.json"), r#"{"status": "dry-run", "finished_at": "2026-03-08T00:00:00Z"}"#)
        .expect("written");
    drop((run, ours));

    let survey = cache.survey().expect("readable");
    let found: Vec<_> = survey.runs.iter().map(|run| (run.id.as_str(), run.standing, run.rows, run.is_running)).collect();
    let rows = RowCounts { sent: 1, done: 1, ..RowCounts::default() };
    assert_eq!(
        found,
        [
            ("old", Standing::NoPlan, None, false),
            ("broken", Standing::Unknown, None, false),
            ("killed", Standing::NoPlan, None, false),
            ("in sync", Standing::InSync, None, false),
            ("interrupted", Standing::Interrupted, Some(rows), false),
            ("plan", Standing::Planned, None, false),
            ("applied", Standing::Finished, Some(RowCounts { done: 2, ..RowCounts::default() }), false),
        ]
    );
    let resumable: Vec<&str> = survey.runs.iter().filter(|run| run.standing.is_resumable()).map(|run| run.id.as_str()).collect();
    assert_eq!(resumable, ["interrupted", "plan"]);
    let bytes_of_run: u64 = survey.runs.iter().map(|run| run.bytes).sum();
    assert!(survey.runs.iter().all(|run| run.bytes > 100), "{survey:?}");
    assert_eq!(survey.bytes, bytes_of_run + 2, "and .format, while .lock is empty");

    // Whoever holds the lock is at work.
    let holder = infrahub_sync_cache::Holder::this_process(id("plan"), day(0));
    let theirs = cache.lock(&holder, Duration::ZERO, &mut |_| {}).expect("free");
    let running: Vec<String> =
        cache.survey().expect("readable").runs.iter().filter(|run| run.is_running).map(|run| run.id.to_string()).collect();
    assert_eq!(running, ["plan"]);
    assert_eq!(cache.holder().map(|holder| holder.run_id), Some(Some(id("plan"))));
    drop(theirs);
    assert_eq!(cache.holder(), None);
}

#[test]
fn a_cache_that_is_not_there_is_not_made_by_a_look() {
    let root = tempfile::tempdir().expect("a folder");
    let name = |name: &str| SyncName::parse(name).expect("a name");
    assert_eq!(Cache::existing(root.path(), name("s")).expect("none"), None);
    assert!(names(root.path()).is_empty());
    assert_eq!(Cache::syncs(root.path().join("nowhere")).expect("none"), []);
    cache(root.path());
    fs::create_dir(root.path().join("b")).expect("created");
    fs::write(root.path().join("a file"), "").expect("written");
    assert_eq!(Cache::syncs(root.path()).expect("readable"), [name("b"), name("s")]);
    assert!(Cache::existing(root.path(), name("b")).expect("there").is_some());
    assert!(names(&root.path().join("b")).is_empty());
    fs::write(root.path().join("b/.format"), "9").expect("written");
    assert!(matches!(Cache::existing(root.path(), name("b")), Err(CacheError::NewerFormat { found: 9, .. })));
}

#[test]
fn what_is_needed_stays_however_old() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let ours = lock(&cache);
    write_run(&ours, "interrupted", 0, RunStatus::DryRun);
    interrupt(&ours, "interrupted");
    write_run(&ours, "applied before", 1, RunStatus::Applied);
    write_run(&ours, "applied", 2, RunStatus::Applied);
    write_run(&ours, "plan before", 3, RunStatus::DryRun);
    write_run(&ours, "failed", 4, RunStatus::Failed);
    write_run(&ours, "plan", 5, RunStatus::DryRun);
    write_run(&ours, "partial", 6, RunStatus::Partial);
    fs::create_dir(cache.run_dir(&id("somebody's notes"))).expect("created");
    let killed = cache.run_dir(&id("20260301T0000-00000001"));
    fs::create_dir(&killed).expect("created");
    write_run(&ours, "newer", 7, RunStatus::DryRun);
    fs::write(cache.run_dir(&id("newer")).join("run.json"), r#"{"format": 9}"#).expect("written");

    let all = Retention::new(Some(0), Some(Duration::ZERO));
    let verdicts = ours.prune(all, day(100)).expect("pruned");
    let mut found = said(&verdicts.runs);
    found.sort_by_key(|(id, _)| *id);
    assert_eq!(
        found,
        [
            ("20260301T0000-00000001", None),
            ("applied", Some(Kept::Baseline)),
            ("applied before", None),
            ("failed", None),
            ("interrupted", Some(Kept::Interrupted)),
            ("newer", Some(Kept::NewerFormat)),
            ("partial", None),
            // The latest success, whose snapshots are complete.
            ("plan", Some(Kept::Baseline)),
            ("plan before", None),
            ("somebody's notes", Some(Kept::NoRun)),
        ]
    );
    assert_eq!(names(cache.dir()), ["applied", "interrupted", "newer", "plan", "somebody's notes"]);
    // A run that stayed is whole.
    assert!(cache.verify(Some(&id("applied"))).expect("read").findings.is_empty());
}

#[test]
fn both_rules_must_agree() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let ours = lock(&cache);
    for number in 0..10 {
        write_run(&ours, &format!("r{number}"), number, RunStatus::Applied);
    }
    drop(ours);
    let gone = |keep, older_than: Option<u32>| {
        let retention = Retention::new(keep, older_than.map(|days| days * DAY));
        let verdicts = cache.judge(retention, day(10)).expect("judged");
        verdicts.iter().filter(|verdict| verdict.kept.is_none()).count()
    };
    // r9 is the baseline; each ended a minute after its day began.
    assert_eq!(gone(Some(0), None), 9);
    assert_eq!(gone(Some(3), None), 7);
    assert_eq!(gone(None, Some(5)), 5);
    assert_eq!(gone(Some(8), Some(5)), 2);
    assert_eq!(gone(Some(3), Some(5)), 5);
    assert_eq!(gone(None, None), 0);
    assert_eq!(names(cache.dir()).len(), 10, "nothing was touched");

    let default = Retention::default();
    assert_eq!((default.keep, default.older_than), (20, 30 * DAY));
    assert_eq!(Retention::new(None, None), default);
}

#[test]
fn the_newest_plan_is_waited_for() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let ours = lock(&cache);
    write_run(&ours, "plan before", 0, RunStatus::Failed);
    write_run(&ours, "plan", 1, RunStatus::Failed);
    write_run(&ours, "applied", 2, RunStatus::Applied);
    let judged = |retention, now| {
        let verdicts = cache.judge(retention, day(now)).expect("judged");
        verdicts.into_iter().map(|verdict| verdict.kept).collect::<Vec<_>>()
    };
    let none = Retention::new(Some(0), None);
    assert_eq!(judged(none, 30), [Some(Kept::Baseline), Some(Kept::NewestPlan), None]);
    assert_eq!(judged(none, 32), [Some(Kept::Baseline), None, None]);
}

#[test]
fn a_pruning_that_was_killed_is_finished_by_the_next() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let ours = lock(&cache);
    write_run(&ours, "r", 0, RunStatus::Applied);
    fs::rename(cache.run_dir(&id("r")), cache.dir().join(".pruned-r")).expect("renamed");
    fs::remove_file(cache.dir().join(".pruned-r/plan.parquet")).expect("removed");
    assert!(cache.list_runs().expect("listed").is_empty(), "it is no run any more");
    let verified = cache.verify(None).expect("read");
    assert!(verified.is_whole());
    assert_eq!(verified.findings.len(), 1, "{verified:?}");
    let pruned = ours.prune(Retention::default(), day(1)).expect("pruned");
    assert_eq!((pruned.leftovers, pruned.runs.len()), (1, 0));
    assert!(names(cache.dir()).is_empty());
}

#[cfg(unix)]
#[test]
fn a_run_on_another_disk_stays() {
    let root = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let ours = lock(&cache);
    write_run(&ours, "r", 0, RunStatus::Failed);
    write_run(&ours, "applied", 1, RunStatus::Applied);
    let moved = elsewhere.path().join("r");
    fs::rename(cache.run_dir(&id("r")), &moved).expect("renamed");
    std::os::unix::fs::symlink(&moved, cache.run_dir(&id("r"))).expect("linked");
    let pruned = ours.prune(Retention::new(Some(0), None), day(100)).expect("pruned");
    assert_eq!(said(&pruned.runs), [("applied", Some(Kept::Baseline)), ("r", Some(Kept::Link))]);
    assert!(moved.join("plan.parquet").exists());
}

/// The findings as lines, without the folder's name.
fn lines(cache: &Cache, findings: &[Finding]) -> String {
    let words = |finding: &Finding| {
        let path = finding.path.strip_prefix(cache.dir()).expect("inside").display().to_string();
        assert!(finding.remedy.is_some(), "{finding:?}");
        assert_eq!(finding.run.as_ref().map(|run| path.starts_with(run.as_str())), finding.run.as_ref().map(|_| true));
        // Lengths and check sums are those of this version's Parquet.
        let problem = finding.problem.split_once(": it has").map_or(finding.problem.as_str(), |(problem, _)| problem);
        format!("{} {path}: {problem}", if finding.is_damage { "damaged" } else { "left over" })
    };
    findings.iter().map(words).collect::<Vec<_>>().join("\n")
}

#[test]
fn whole_runs_are_whole() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let ours = lock(&cache);
    write_run(&ours, "applied", 0, RunStatus::Applied);
    write_run(&ours, "plan", 1, RunStatus::DryRun);
    let run = ours.continue_run(&id("plan")).expect("there");
    run.write_errors(&[error_row("x")]).expect("written");
    // Killed as it began.
    ours.start_run(&id("killed"), &running(Mode::Diff)).expect("started");
    // One of 2.0.1: fewer columns, no counts.
    write_run(&ours, "old", 2, RunStatus::DryRun);
    fs::write(cache.run_dir(&id("old")).join("run.json"), r#"{"status": "dry-run"}"#).expect("written");
    let plan = snapshot(&[Some("a")]);
    run.write_snapshot(Side::Source, "Plan", plan.schema(), [plan]).expect("written");
    fs::rename(run.dir().join("A/Plan.parquet"), cache.run_dir(&id("old")).join("plan.parquet")).expect("moved");
    ours.write_rowcounts(&Default::default()).expect("written");
    let verified = cache.verify(None).expect("read");
    assert_eq!(lines(&cache, &verified.findings), "");
    assert_eq!((verified.runs, verified.running.clone()), (4, None));
    assert!(verified.files > 20 && verified.bytes > 10_000, "{verified:?}");

    let at_work = cache.lock(&infrahub_sync_cache::Holder::this_process(id("plan"), day(0)), Duration::ZERO, &mut |_| {});
    assert!(at_work.is_err());
    drop((run, ours));
    let at_work = cache.lock(&infrahub_sync_cache::Holder::this_process(id("plan"), day(0)), Duration::ZERO, &mut |_| {}).expect("free");
    let verified = cache.verify(None).expect("read");
    assert_eq!((verified.runs, verified.running), (3, Some(id("plan"))));
    drop(at_work);
}

#[test]
fn what_is_not_whole_is_told() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let ours = lock(&cache);
    write_run(&ours, "r", 0, RunStatus::Applied);
    write_run(&ours, "without a plan", 1, RunStatus::DryRun);
    write_run(&ours, "other plan", 2, RunStatus::Applied);
    write_run(&ours, "newer", 3, RunStatus::DryRun);
    write_run(&ours, "broken", 4, RunStatus::DryRun);
    drop(ours);
    let dir = |name: &str| cache.run_dir(&id(name));
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).expect("readable");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).expect("written");
    };
    flip(&dir("r").join("A/K.parquet"));
    fs::remove_file(dir("r").join("A/L.parquet")).expect("removed");
    fs::copy(dir("r").join("B/K.parquet"), dir("r").join("B/M.parquet")).expect("copied");
    fs::write(dir("r").join("B/.N.parquet.7-0.tmp"), "").expect("written");
    fs::write(dir("r").join("notes.txt"), "").expect("written");
    fs::write(dir("r").join("errors.parquet"), "PAR1").expect("written");
    fs::write(dir("r").join("cursors.json"), "[").expect("written");
    fs::remove_file(dir("without a plan").join("plan.parquet")).expect("removed");
    // A plan that somebody has changed, and noted so.
    fs::copy(dir("r").join("B/K.parquet"), dir("other plan").join("B/L.parquet")).expect("copied");
    let journal = fs::read(dir("r").join("journal.bin")).expect("readable");
    let changed = [&journal[..20], &[!journal[20]], &journal[21..]].concat();
    fs::write(dir("other plan").join("journal.bin"), changed).expect("written");
    fs::write(dir("newer").join("run.json"), r#"{"format": 9}"#).expect("written");
    fs::write(dir("broken").join("run.json"), "{").expect("written");
    fs::create_dir(cache.dir().join(".hidden")).expect("created");
    fs::write(cache.dir().join(".run-counter.json.7-0.tmp"), "").expect("written");
    fs::write(cache.dir().join("run-counter.json"), "x").expect("written");

    let verified = cache.verify(None).expect("read");
    assert!(!verified.is_whole());
    insta::assert_snapshot!(lines(&cache, &verified.findings), @r"
    left over .hidden: it does not belong to the cache
    left over .run-counter.json.7-0.tmp: an unfinished file
    damaged run-counter.json: expected value at line 1 column 1
    damaged other plan/journal.bin: its header is broken
    damaged without a plan/plan.parquet: it does not exist, but the run is dry-run
    left over r/notes.txt: it does not belong to the cache
    damaged r/A/K.parquet: it was changed after it was written
    damaged r/A/L.parquet: it does not exist, but run.json counts its rows
    left over r/B/.N.parquet.7-0.tmp: an unfinished file
    left over r/B/M.parquet: run.json does not know the kind
    damaged r/errors.parquet: EOF: Parquet file too small. Size is 4 but need 8
    damaged r/cursors.json: EOF while parsing a list at line 1 column 1
    damaged newer/run.json: it has format 9; this version reads up to format 1
    damaged broken/run.json: EOF while parsing an object at line 1 column 1
    ");
    let one = cache.verify(Some(&id("without a plan"))).expect("read");
    assert_eq!((one.runs, one.findings.len()), (1, 1));
    assert!(matches!(cache.verify(Some(&id("nobody"))), Err(CacheError::UnknownRun { .. })));
}

#[test]
fn each_flipped_bit_of_a_plan_or_snapshot_is_seen() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    write_run(&lock(&cache), "r", 0, RunStatus::DryRun);
    for name in ["plan.parquet", "A/K.parquet"] {
        let path = cache.run_dir(&id("r")).join(name);
        let whole = fs::read(&path).expect("readable");
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).expect("written");
            let found = cache.verify(None).expect("read");
            assert_eq!(found.findings.iter().map(|finding| &finding.path).collect::<Vec<_>>(), [&path], "byte {at}");
        }
        fs::write(&path, whole).expect("written");
    }
    assert!(cache.verify(None).expect("read").findings.is_empty());
}
