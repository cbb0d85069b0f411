//! Runs that are killed leave a cache that the next run can use, and the lock goes with its process.
//!
//! The killed process is this test program itself, started again for one of these tests.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::common::{cache, id, lock, now, plan_row, running, snapshot, start_victim, victim_root};
use arrow_array::{Array, StringArray};
use infrahub_sync_cache::{CacheError, Cursors, Holder, Mode, Rowcounts, RunReader, Side};
use infrahub_sync_core::plan_row::PlanRow;

/// Steps of one generation. The victim prints a line after each.
const STEPS: usize = 7;

/// The process that is killed. It makes the same run again and again, each time with the number of the generation in every file.
fn run_forever(root: &Path) {
    let cache = cache(root);
    let holder = Holder::this_process(id("r"), now());
    let lock = cache.lock(&holder, Duration::from_secs(60), &mut |_| {}).expect("the lock is free");
    // Past the test harness, which would hold it back. The parent stops listening at some point and kills us at a later one.
    let step = || {
        let _ = std::io::stdout().write_all(b"step\n");
    };
    let first = cache.open_run(&id("r")).map_or(0, |run| generation_of_run_file(&run) + 1);
    for generation in first.. {
        let text = generation.to_string();
        let mut file = running(Mode::Diff);
        file.summary.problems = Some(generation);
        let run = lock.start_run(&id("r"), &file).expect("started");
        step();
        let batch = snapshot(&[Some(text.as_str()); 300]);
        for side in Side::BOTH {
            run.write_snapshot(side, "K", batch.schema(), vec![batch.clone(); 20]).expect("written");
            // A kind that only this generation has: nobody overwrites it.
            run.write_snapshot(side, &format!("K{generation}"), batch.schema(), [batch.clone()]).expect("written");
            step();
        }
        run.write_schema_sub_hash(&text).expect("written");
        run.write_cursors(&cursors(&text)).expect("written");
        step();
        run.write_plan((0..3000).map(|_| plan_row(&text))).expect("written");
        step();
        run.write_run_file(&file).expect("written");
        step();
        lock.write_rowcounts(&Rowcounts::from([("K".to_owned(), generation)])).expect("written");
        step();
    }
}

fn cursors(text: &str) -> Cursors {
    let mut cursors = Cursors::default();
    cursors.source.insert("K".to_owned(), text.to_owned());
    cursors
}

fn generation_of_run_file(run: &RunReader) -> u64 {
    let file = run.run_file().expect("whole");
    file.summary.problems.unwrap_or_default()
}

/// Starts the victim and waits until it has made N steps.
fn start(root: &Path, steps: usize) -> Child {
    let mut child = start_victim("killed_runs::a_killed_run_leaves_whole_files_of_one_run_and_no_lock", root);
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    // The harness may write before the first step on the same line.
    let made = lines.map(|line| line.expect("text")).filter(|line| line.ends_with("step")).take(steps).count();
    assert_eq!(made, steps, "the child ended by itself");
    child
}

fn kill(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("gone");
}

/// All values of a snapshot's column, which must be one.
fn generation_of_snapshot(run: &RunReader, side: Side, kind: &str) -> u64 {
    let mut values = Vec::new();
    for batch in run.read_snapshot(side, kind).expect("whole") {
        let batch = batch.expect("whole");
        let column = batch.column(0).as_any().downcast_ref::<StringArray>().expect("text").clone();
        assert_eq!(column.null_count(), 0);
        values.extend(column.iter().flatten().map(|value| value.parse::<u64>().expect("a number")));
    }
    values.dedup();
    assert_eq!(values.len(), 1);
    values[0]
}

/// What must hold whenever nobody writes: each file is whole, all are of one generation, and a plan has its snapshots.
fn check(run: &RunReader) {
    let said = generation_of_run_file(run);
    let mut found = Vec::new();
    for side in Side::BOTH {
        for kind in run.snapshot_kinds(side).expect("listed") {
            // Unfinished files do not end like snapshots.
            assert!(kind.as_str().starts_with('K'), "{kind}");
            found.push(generation_of_snapshot(run, side, kind.as_str()));
        }
    }
    if let Some(hash) = run.read_schema_sub_hash().expect("whole") {
        found.push(hash.parse().expect("a number"));
    }
    if let Some(cursor) = run.read_cursors().expect("whole").source.get("K") {
        found.push(cursor.parse().expect("a number"));
    }
    if run.has_plan() {
        let mut ids: Vec<PlanRow> = run.read_plan().expect("whole").map(|row| row.expect("whole")).collect();
        assert_eq!(ids.len(), 3000);
        ids.dedup();
        assert_eq!(ids.len(), 1);
        let generation: u64 = ids[0].source_id.parse().expect("a number");
        found.push(generation);
        for side in Side::BOTH {
            for kind in ["K".to_owned(), format!("K{generation}")] {
                assert_eq!(generation_of_snapshot(run, side, &kind), generation, "the plan's snapshots");
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    // Killed between `run.json` and the removal of the old files, they are all of the generation before.
    assert!(found.len() <= 1, "a mixture of generations {found:?}, run.json says {said}");
    assert!(found.iter().all(|&generation| generation == said || generation + 1 == said), "{found:?}, run.json says {said}");
}

#[test]
fn a_killed_run_leaves_whole_files_of_one_run_and_no_lock() {
    if let Some(root) = victim_root() {
        return run_forever(&root);
    }
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    // After each step at least thrice, in a run that is new, half written or whole.
    for steps in 1..=3 * STEPS {
        let child = start(root.path(), steps);
        // Not always at the beginning of a step: a step is a few milliseconds.
        let moment = Duration::from_micros(steps as u64 * 977 % 5000);
        let start = Instant::now();
        while start.elapsed() < moment {
            std::hint::spin_loop();
        }
        kill(child);
        drop(lock(&cache));
        check(&cache.open_run(&id("r")).expect("opened"));
        if let Some(rowcounts) = cache.rowcounts().expect("whole") {
            assert!(rowcounts.contains_key("K"));
        }
    }
    let run = lock(&cache).start_run(&id("r"), &running(Mode::Diff)).expect("started");
    assert!(!run.reader().has_plan());
    for side in Side::BOTH {
        assert!(run.reader().snapshot_kinds(side).expect("listed").is_empty());
        let left = std::fs::read_dir(run.dir().join(side.letter())).expect("readable").count();
        assert_eq!(left, 0, "unfinished files");
    }
    assert_eq!(std::fs::read_dir(run.dir()).expect("readable").count(), 3, "A, B, run.json");
}

#[test]
fn the_lock_names_its_holder_and_goes_with_it() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let child = start(root.path(), 1);
    let ours = Holder::this_process(id("ours"), now());
    let error = cache.lock(&ours, Duration::ZERO, &mut |_| panic!("there is no wait")).expect_err("held");
    let CacheError::Locked { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(**holder, Holder { pid: Some(child.id()), run_id: Some(id("r")), since: Some(now()) });
    let text = error.to_string().replace(&child.id().to_string(), "<pid>");
    insta::assert_snapshot!(text, @r#"the cache of "s" is in use by run r, process <pid>, since 2026-01-02T03:04:05Z (waited 0 s)"#);

    // Killed while we wait: the lock is ours without anybody's help.
    let mut child = Some(child);
    let lock = cache.lock(&ours, Duration::from_secs(60), &mut |holder| {
        let child = child.take().expect("told once");
        assert_eq!(holder.pid, Some(child.id()));
        kill(child);
    });
    drop(lock.expect("free now"));
    assert!(child.is_none());
}

#[test]
fn a_run_waits_for_the_one_before_it() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let mut first = Some(lock(&cache));
    let second = Holder::this_process(id("second"), now());
    let lock = cache.lock(&second, Duration::from_secs(60), &mut |holder| {
        assert_eq!(holder.run_id, Some(id("test")));
        first.take();
    });
    assert!(lock.is_ok());
    // Who has it is in the file, and gone when nobody has.
    let path = cache.dir().join(".lock");
    assert!(std::fs::read_to_string(&path).expect("readable").contains("second"));
    drop(lock);
    assert_eq!(std::fs::read_to_string(&path).expect("readable"), "");
}

#[test]
fn the_wait_ends() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let _held = lock(&cache);
    // As 2.0.1 does when it waits for us.
    std::fs::write(cache.dir().join(".lock"), "").expect("written");
    let mut told = Vec::new();
    let ours = Holder::this_process(id("ours"), now());
    let error = cache.lock(&ours, Duration::from_millis(120), &mut |holder| told.push(holder.clone())).expect_err("held");
    assert!(matches!(&error, CacheError::Locked { waited, .. } if *waited >= Duration::from_millis(120)));
    assert_eq!(told, [Holder::default()]);
    insta::assert_snapshot!(error, @r#"the cache of "s" is in use by another run (waited 0 s)"#);
}

#[test]
fn a_writer_keeps_the_lock() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let lock = lock(&cache);
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    drop(lock);
    let plan = run.plan_writer().expect("created");
    drop(run);
    let ours = Holder::this_process(id("ours"), now());
    assert!(cache.lock(&ours, Duration::ZERO, &mut |_| {}).is_err());
    plan.finish().expect("written");
    assert!(cache.lock(&ours, Duration::ZERO, &mut |_| {}).is_ok());
}
