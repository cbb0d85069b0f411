//! Damaged files are errors that name the file and the way out, never panics and never wrong rows from a shorter file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{cache, error_row, id, lock, plan_row, running, snapshot};
use infrahub_sync_cache::{CacheError, Mode, Remedy, RunReader, Side};
use proptest::prelude::*;

fn whole_run(root: &Path) -> RunReader {
    let lock = lock(&cache(root));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    let names: Vec<String> = (0..500).map(|n| format!("name {n}")).collect();
    let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
    let batch = snapshot(&names);
    run.write_snapshot(Side::Source, "K", batch.schema(), [batch]).expect("written");
    run.write_plan((0..500).map(|n| plan_row(&n.to_string()))).expect("written");
    run.write_errors(&[error_row("x")]).expect("written");
    run.reader().clone()
}

/// Reads all of the run's files of that name; says how many rows there were.
fn read(run: &RunReader, file: &str) -> Result<usize, CacheError> {
    match file {
        "A/K.parquet" => run.read_snapshot(Side::Source, "K")?.map(|batch| batch.map(|batch| batch.num_rows())).sum(),
        "plan.parquet" => run.read_plan()?.map(|row| row.map(|_| 1)).sum(),
        "errors.parquet" => run.read_errors().map(|rows| rows.len()),
        "run.json" => run.run_file().map(|_| 1),
        "cursors.json" => run.read_cursors().map(|_| 1),
        other => panic!("{other}"),
    }
}

fn assert_damaged(error: &CacheError, path: &PathBuf) {
    let CacheError::Damaged { path: named, remedy, .. } = error else { panic!("{error}") };
    assert_eq!(named, path);
    assert!(matches!(&remedy, Remedy::RepeatRun { id, .. } if id.as_str() == "r"), "{remedy:?}");
    assert!(error.to_string().contains(&path.display().to_string()));
}

#[test]
fn truncated_files_are_refused_wherever_they_end() {
    let root = tempfile::tempdir().expect("a folder");
    let run = whole_run(root.path());
    for file in ["A/K.parquet", "plan.parquet", "errors.parquet", "run.json"] {
        let path = run.dir().join(file);
        let whole = fs::read(&path).expect("readable");
        for end in (0..whole.len()).step_by((whole.len() / 200).max(1)) {
            fs::write(&path, &whole[..end]).expect("written");
            let error = read(&run, file).expect_err(&format!("{file} cut at {end}"));
            assert_damaged(&error, &path);
        }
        fs::write(&path, &whole).expect("written");
        read(&run, file).expect("whole again");
    }
}

#[test]
fn files_of_another_kind_are_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let run = whole_run(root.path());
    for file in ["A/K.parquet", "plan.parquet", "errors.parquet", "run.json", "cursors.json"] {
        for content in ["", "7", "not this", "PAR1PAR1", "PAR1\u{0}\u{0}\u{0}\u{0}PAR1"] {
            let path = run.dir().join(file);
            fs::write(&path, content).expect("written");
            assert_damaged(&read(&run, file).expect_err(&format!("{file} with {content:?}")), &path);
        }
    }
}

#[test]
fn a_snapshot_is_no_plan_and_no_errors() {
    let root = tempfile::tempdir().expect("a folder");
    let run = whole_run(root.path());
    fs::copy(run.dir().join("A/K.parquet"), run.dir().join("plan.parquet")).expect("copied");
    fs::copy(run.dir().join("A/K.parquet"), run.dir().join("errors.parquet")).expect("copied");
    assert!(matches!(run.read_plan(), Err(CacheError::ForeignPlan { column: "action", .. })));
    assert!(matches!(run.read_errors(), Err(CacheError::Damaged { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    /// Flipped bits may go unseen (there is no checksum), but never stop the program.
    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4), which in 0..4usize) {
        thread_local! {
            static RUN: (tempfile::TempDir, RunReader) = {
                let root = tempfile::tempdir().expect("a folder");
                let run = whole_run(root.path());
                (root, run)
            };
        }
        RUN.with(|(_, run)| {
            let file = ["A/K.parquet", "plan.parquet", "errors.parquet", "run.json"][which];
            let path = run.dir().join(file);
            let whole = fs::read(&path).expect("readable");
            let mut flipped = whole.clone();
            for (at, bits) in flips {
                flipped[at.index(whole.len())] ^= bits;
            }
            fs::write(&path, &flipped).expect("written");
            let read = std::panic::catch_unwind(|| read(run, file));
            fs::write(&path, &whole).expect("written");
            prop_assert!(read.is_ok(), "{file} panics");
            Ok(())
        })?;
    }
}
