//! Snapshots and plans, to the cache and back.

use std::time::Duration;

use infrahub_sync_cache::{Cache, Holder, Mode, RunId, RunRecord, RunWriter, Side, SyncName};
use infrahub_sync_core::batches::batches;
use infrahub_sync_core::diff::diff;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::plan::plan;
use infrahub_sync_core::snapshot::Snapshot;
use jiff::Timestamp;

use crate::compare::{ALL, SOURCE, built};
use crate::model::model;
use crate::timing::{Failed, Table, each, median};

pub(crate) fn measure(sizes: &[usize], runs: usize) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let cache = Cache::open(folder.path(), SyncName::parse("bench")?)?;
    let id = RunId::parse("bench")?;
    let lock = cache.lock(&Holder::this_process(id.clone(), Timestamp::UNIX_EPOCH), Duration::ZERO, &mut |_| {})?;
    let run = lock.start_run(&id, &RunRecord::running(Mode::Diff, Timestamp::UNIX_EPOCH))?;
    let model = model();
    let mut table = Table::new("disk: snapshots and plan", "bytes an object", sizes);
    for size in sizes {
        let source = built(*size, SOURCE)?;
        let making = median(runs, || {
            let mut rows = 0;
            for kind in 0..model.kinds.len() {
                for batch in batches(&model, &source, kind, 0) {
                    rows += batch?.num_rows();
                }
            }
            Ok(rows)
        })?;
        table.put("snapshot: columns → Arrow batches", each(making, *size));
        let mut bytes = 0;
        let taken = median(runs, || {
            bytes = write(&run, &model, &source)?;
            Ok(())
        })?;
        table.put("snapshot: Arrow batches → Parquet files", each(taken.saturating_sub(making), *size));
        table.say("snapshot: Arrow batches → Parquet files", format!("{}", bytes / *size as u64));
        let taken = median(runs, || {
            let mut rows = 0;
            for kind in &model.kinds {
                for batch in run.reader().read_snapshot(Side::Source, &kind.name)? {
                    rows += batch?.num_rows();
                }
            }
            Ok(rows)
        })?;
        table.put("snapshot: Parquet files → Arrow batches", each(taken, *size));

        let nothing = Snapshot { kinds: vec![Default::default(); model.kinds.len()] };
        let planned = plan(&model, &source, &nothing, diff(&model, &source, &nothing), ALL);
        let making = median(runs, || Ok(planned.rows().count()))?;
        let mut bytes = 0;
        let taken = median(runs, || {
            bytes = run.write_plan(planned.rows())?.bytes;
            Ok(())
        })?;
        table.put("plan: rows → Parquet file", each(taken.saturating_sub(making), *size));
        table.say("plan: rows → Parquet file", format!("{}", bytes / *size as u64));
        let taken = median(runs, || {
            let mut rows = 0;
            for row in run.reader().read_plan()? {
                row?;
                rows += 1;
            }
            Ok(rows)
        })?;
        table.put("plan: Parquet file → rows", each(taken, *size));
    }
    table.print();
    println!("\nThe plan has one row an object: the destination is empty.");
    Ok(())
}

fn write(run: &RunWriter, model: &Model, snapshot: &Snapshot) -> Result<u64, Failed> {
    let mut bytes = 0;
    for (at, kind) in model.kinds.iter().enumerate() {
        let mut all = batches(model, snapshot, at, 0);
        let mut file = run.snapshot_writer(Side::Source, &kind.name, all.schema())?;
        for batch in &mut all {
            file.write(&batch?)?;
        }
        bytes += file.finish()?.bytes;
    }
    Ok(bytes)
}
