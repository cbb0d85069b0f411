//! The journal of a run: it goes with its plan, and holds what it said it holds when its writer is killed.
//!
//! The killed process is this test program itself, started again for the same test.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use crate::common::{cache, id, lock, now, plan_row, running, start_victim, victim_root};
use infrahub_sync_cache::{CacheError, Holder, Mode, RowCounts, RowState};

/// Rows of the plan that the child applies, and of a batch.
const ROWS: u64 = 5000;
const BATCH: u64 = 7;

/// The process that is killed. It applies a plan batch by batch, prints what is noted as soon as it is, and begins again at the end.
fn apply_forever(root: &Path) -> ! {
    let cache = cache(root);
    let holder = Holder::this_process(id("r"), now());
    let lock = cache.lock(&holder, Duration::from_secs(60), &mut |_| {}).expect("the lock is free");
    // Past the test harness, which would hold it back. The parent stops listening at some point and kills us at a later one.
    let say = |words: String| drop(std::io::stdout().write_all(format!("\n{words}\n").as_bytes()));
    let mut writer = lock.continue_run(&id("r")).expect("there").open_journal().expect("opened");
    loop {
        writer.begin().expect("noted");
        say(format!("begun {}", writer.journal().attempts()));
        for start in (0..ROWS).step_by(BATCH as usize) {
            let rows: Vec<u64> = (start..ROWS.min(start + BATCH)).filter(|&row| !writer.journal().state(row).is_settled()).collect();
            writer.sent(rows.iter().copied()).expect("noted");
            rows.iter().for_each(|row| say(format!("sent {row}")));
            writer.answered(rows.iter().map(|&row| (row, RowState::Done, Some(format!("id of {row}"))))).expect("noted");
            rows.iter().for_each(|row| say(format!("done {row}")));
        }
        writer.finished().expect("noted");
        say("finished 0".to_owned());
    }
}

#[test]
fn what_a_killed_apply_has_noted_is_there() {
    if let Some(root) = victim_root() {
        apply_forever(&root);
    }
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    lock(&cache)
        .start_run(&id("r"), &running(Mode::Diff))
        .expect("started")
        .write_plan((0..ROWS).map(|n| plan_row(&n.to_string())))
        .expect("written");
    for lines in [1, 2, 5, 8, 15, 16, 17, 400, 3000, 9000, 12_000] {
        let before = cache.open_run(&id("r")).expect("there").read_journal().expect("whole");
        let mut child = start_victim("journal::what_a_killed_apply_has_noted_is_there", root.path());
        let mut said: BTreeMap<u64, RowState> = BTreeMap::new();
        let mut attempt = 0;
        let mut finished = before.as_ref().is_some_and(|journal| journal.is_finished());
        for line in BufReader::new(child.stdout.take().expect("piped")).lines().take(lines * 2) {
            let line = line.expect("text");
            let Some((what, number)) = line.split_once(' ').and_then(|(what, number)| Some((what, number.parse().ok()?))) else { continue };
            match what {
                "begun" => {
                    attempt = number as u32;
                    if finished {
                        said.clear();
                    }
                    finished = false;
                }
                "sent" => drop(said.insert(number, RowState::Sent)),
                "done" => drop(said.insert(number, RowState::Done)),
                "finished" => finished = true,
                _ => {}
            }
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
        let journal = cache.open_run(&id("r")).expect("there").read_journal().expect("whole");
        let Some(journal) = journal else {
            assert_eq!(attempt, 0);
            continue;
        };
        assert!(journal.attempts() >= attempt);
        // It may have gone on, also to the next attempt, after it was last heard.
        if journal.attempts() == attempt {
            for (&row, &state) in &said {
                let noted = journal.state(row);
                assert!(noted == state || (state == RowState::Sent && noted == RowState::Done), "row {row} was {state:?} and is {noted:?}");
                assert_eq!(journal.id(row), (noted == RowState::Done).then(|| format!("id of {row}")));
            }
        }
        let counts = journal.counts();
        assert!(counts.sent <= BATCH && counts.failed + counts.skipped + counts.unchanged == 0, "{counts:?}");
    }
}

#[test]
fn a_journal_goes_with_its_plan() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let lock = lock(&cache);
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    assert!(matches!(run.open_journal(), Err(CacheError::Missing { .. })), "there is no plan yet");
    run.write_plan((0..10).map(|n| plan_row(&n.to_string()))).expect("written");
    assert_eq!(run.reader().read_journal().expect("none"), None);
    let mut writer = run.open_journal().expect("created");
    writer.begin().expect("noted");
    writer.answered([(9, RowState::Done, None::<&str>)]).expect("noted");
    drop(writer);

    // Another process goes on.
    let run = lock.continue_run(&id("r")).expect("there");
    let journal = run.reader().read_journal().expect("whole").expect("there");
    assert_eq!((journal.rows(), journal.counts()), (10, RowCounts { planned: 9, done: 1, ..RowCounts::default() }));
    assert_eq!(run.open_journal().expect("opened").journal(), &journal);

    // The plan is changed behind our back.
    let (plan, journal) = (run.dir().join("plan.parquet"), run.dir().join("journal.bin"));
    let (plan_bytes, journal_bytes) = (fs::read(&plan).expect("readable"), fs::read(&journal).expect("readable"));
    let mut other = cache.open_run(&id("r")).expect("there").read_plan().expect("readable").map(Result::unwrap).collect::<Vec<_>>();
    other[3].source_id = "other".to_owned();
    run.write_plan(other).expect("written");
    assert!(!journal.exists(), "a new plan has no journal");
    fs::write(&journal, &journal_bytes).expect("written");
    for error in [run.open_journal().expect_err("another plan"), run.reader().read_journal().expect_err("another plan")] {
        assert!(matches!(&error, CacheError::Damaged { path, .. } if *path == journal), "{error}");
    }

    // A run of the same id begins.
    fs::write(&plan, &plan_bytes).expect("written");
    assert!(run.reader().read_journal().expect("whole").is_some());
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    assert!(!journal.exists());
    // What a kill between the two leaves.
    fs::write(&journal, &journal_bytes).expect("written");
    assert_eq!(run.reader().read_journal().expect("no plan"), None);
}

#[test]
fn a_journal_keeps_the_lock() {
    let root = tempfile::tempdir().expect("a folder");
    let cache = cache(root.path());
    let run = lock(&cache).start_run(&id("r"), &running(Mode::Diff)).expect("started");
    run.write_plan([plan_row("a")]).expect("written");
    let writer = run.open_journal().expect("created");
    drop(run);
    assert!(cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).is_err());
    drop(writer);
    assert!(cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).is_ok());
}
