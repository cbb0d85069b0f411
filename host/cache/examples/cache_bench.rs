//! Measures the cache: nanoseconds of CPU per row to write and read a snapshot of ten columns and a plan.
//!
//! `cargo run --release -p infrahub-sync-cache --example cache_bench [settings]`; with `settings` it compares Parquet settings
//! for the same data instead, which is where those of the cache come from.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program that prints and may stop

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use infrahub_sync_cache::{Cache, Holder, Mode, RowState, RunId, RunRecord, RunWriter, Side, SyncName, extract_ts_type, internal_fields};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

/// Rows of a batch that comes in.
const BATCH_ROWS: usize = 8192;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    if std::env::args().nth(1).as_deref() == Some("settings") {
        compare_settings(folder.path());
    } else {
        measure(folder.path());
    }
}

fn measure(root: &std::path::Path) {
    let cache = Cache::open(root, SyncName::parse("bench").unwrap()).unwrap();
    let id = RunId::parse("bench").unwrap();
    let holder = Holder::this_process(id.clone(), Timestamp::UNIX_EPOCH);
    let lock = cache.lock(&holder, Duration::ZERO, &mut |_| {}).unwrap();
    let run = lock.start_run(&id, &RunRecord::running(Mode::Diff, Timestamp::UNIX_EPOCH)).unwrap();

    println!("| what | rows | write, ns CPU/row | write, ms wall | bytes/row | read, ns CPU/row |");
    println!("|---|---|---|---|---|---|");
    for rows in [10_000, 100_000, 1_000_000] {
        let batches = batches(rows);
        let schema = batches.first().unwrap().schema();
        let (written, write, wall) = cpu(|| run.write_snapshot(Side::Source, "Bench", schema.clone(), batches.clone()).unwrap());
        let (read, reading, _) = cpu(|| {
            let reader = run.reader().read_snapshot(Side::Source, "Bench").unwrap();
            reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>()
        });
        assert_eq!(read, rows);
        print_row("snapshot", rows, write, wall, written.bytes, reading);
    }
    for rows in [10_000, 100_000, 1_000_000] {
        // The rows are made one at a time; what that costs is taken off.
        let (_, making, _) = cpu(|| (0..rows).map(plan_row).map(|row| row.key.len()).sum::<usize>());
        let (written, write, wall) = cpu(|| run.write_plan((0..rows).map(plan_row)).unwrap());
        let (read, reading, _) = cpu(|| run.reader().read_plan().unwrap().map(Result::unwrap).count());
        assert_eq!(read, rows);
        print_row("plan", rows, write.saturating_sub(making), wall, written.bytes, reading);
    }
    measure_journal(&run);
}

/// Measures the journal of the last plan: one create per row, recorded before each batch is sent and after its response.
fn measure_journal(run: &RunWriter) {
    println!("\n| journal | rows | batch | note, ns CPU/row | ms wall/batch | bytes/row | open, ms |");
    println!("|---|---|---|---|---|---|---|");
    for (what, ids) in [("with ids", true), ("without ids", false)] {
        for batch in [1, 10, 100] {
            let rows = 2000 * batch;
            let start = Instant::now();
            let mut journal = run.open_journal().unwrap();
            let opened = start.elapsed();
            journal.begin().unwrap();
            let bytes = journal.bytes();
            let (start, before) = (Instant::now(), thread_ns().unwrap_or_default());
            for first in (0..rows).step_by(batch) {
                let rows = first as u64..(first + batch) as u64;
                journal.sent(rows.clone()).unwrap();
                journal.answered(rows.map(|row| (row, RowState::Done, ids.then(|| uuid(row as usize))))).unwrap();
            }
            let (wall, cpu) = (start.elapsed(), thread_ns().unwrap_or_default() - before);
            println!(
                "| {what} | {rows} | {batch} | {:.0} | {:.2} | {:.1} | {:.0} |",
                cpu as f64 / rows as f64,
                wall.as_secs_f64() * 1e3 / (rows / batch) as f64,
                (journal.bytes() - bytes) as f64 / rows as f64,
                opened.as_secs_f64() * 1e3,
            );
            journal.finished().unwrap();
        }
    }
}

fn print_row(what: &str, rows: usize, write: u64, wall: Duration, bytes: u64, read: u64) {
    let rows_f = rows as f64;
    println!(
        "| {what} | {rows} | {:.0} | {:.1} | {:.0} | {:.0} |",
        write as f64 / rows_f,
        wall.as_secs_f64() * 1e3,
        bytes as f64 / rows_f,
        read as f64 / rows_f,
    );
}

/// Writes the same million rows with different settings, without the cache and without flushing to the disk.
fn compare_settings(root: &std::path::Path) {
    const ROWS: usize = 1_000_000;
    let batches = batches(ROWS);
    let schema = batches.first().unwrap().schema();
    println!("| encoding | compression | statistics | write, ns CPU/row | bytes/row | read, ns CPU/row |");
    println!("|---|---|---|---|---|---|");
    let encodings = ["plain", "dictionary", "delta-length"];
    let compressions = [("none", Compression::UNCOMPRESSED), ("snappy", Compression::SNAPPY)];
    let statistics = [("none", EnabledStatistics::None), ("chunk", EnabledStatistics::Chunk), ("page", EnabledStatistics::Page)];
    for encoding in encodings {
        for (compression_name, compression) in compressions {
            for (statistics_name, statistics) in statistics {
                let mut properties = WriterProperties::builder()
                    .set_dictionary_enabled(encoding == "dictionary")
                    .set_compression(compression)
                    .set_statistics_enabled(statistics)
                    .set_offset_index_disabled(statistics != EnabledStatistics::Page)
                    .set_max_row_group_row_count(Some(128 * 1024));
                if encoding == "delta-length" {
                    for field in schema.fields() {
                        if field.data_type() == &DataType::Utf8 {
                            properties = properties.set_column_encoding(field.name().as_str().into(), Encoding::DELTA_LENGTH_BYTE_ARRAY);
                        }
                    }
                }
                let properties = properties.build();
                let path = root.join("x.parquet");
                let (_, write, _) = cpu(|| {
                    let file = fs::File::create(&path).unwrap();
                    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties.clone())).unwrap();
                    for batch in &batches {
                        writer.write(batch).unwrap();
                    }
                    writer.close().unwrap();
                });
                let (_, read, _) = cpu(|| {
                    let file = fs::File::open(&path).unwrap();
                    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(BATCH_ROWS).build().unwrap();
                    reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>()
                });
                println!(
                    "| {encoding} | {compression_name} | {statistics_name} | {:.0} | {:.0} | {:.0} |",
                    write as f64 / ROWS as f64,
                    fs::metadata(&path).unwrap().len() as f64 / ROWS as f64,
                    read as f64 / ROWS as f64,
                );
            }
        }
    }
}

/// Ten columns as a snapshot of interfaces has them: seven fields and the cache's three.
fn batches(rows: usize) -> Vec<RecordBatch> {
    let mut fields: Vec<_> = [
        ("name", DataType::Utf8),
        ("device", DataType::Utf8),
        ("description", DataType::Utf8),
        ("status", DataType::Utf8),
        ("address", DataType::Utf8),
        ("mtu", DataType::Int64),
        ("enabled", DataType::Boolean),
    ]
    .into_iter()
    .map(|(name, data_type)| Arc::new(Field::new(name, data_type, true)))
    .collect();
    fields.extend(internal_fields());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    assert_eq!(schema.fields().len(), 10);
    assert_eq!(schema.field(7).data_type(), &extract_ts_type());

    let starts = (0..rows).step_by(BATCH_ROWS);
    starts
        .map(|start| {
            let range = start..rows.min(start + BATCH_ROWS);
            let text = |of: &dyn Fn(usize) -> Option<String>| -> ArrayRef { Arc::new(range.clone().map(of).collect::<StringArray>()) };
            let columns: Vec<ArrayRef> = vec![
                text(&|i| Some(format!("GigabitEthernet{}/0/{}", i % 4, i % 48))),
                text(&|i| Some(format!("dm-akron-rtr{:06}", i / 48))),
                text(&|i| (i % 3 != 0).then(|| if i % 5 == 0 { String::new() } else { format!("uplink to port {i}") })),
                text(&|i| Some(if i % 7 == 0 { "planned" } else { "active" }.to_owned())),
                text(&|i| Some(format!("10.{}.{}.{}/24", i >> 16 & 255, i >> 8 & 255, i & 255))),
                Arc::new(range.clone().map(|i| (i % 2 == 0).then_some(1500 + (i % 8) as i64)).collect::<Int64Array>()),
                Arc::new(range.clone().map(|i| Some(i % 9 != 0)).collect::<BooleanArray>()),
                Arc::new(TimestampMicrosecondArray::from_value(1_767_225_600_000_000, range.len()).with_timezone("UTC")),
                text(&|i| Some(uuid(i))),
                Arc::new(range.clone().map(|_| Some(false)).collect::<BooleanArray>()),
            ];
            RecordBatch::try_new(schema.clone(), columns).unwrap()
        })
        .collect()
}

/// Text that does not compress, as ids of most systems.
fn uuid(i: usize) -> String {
    let mix = |x: u64| {
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let (high, low) = (mix(i as u64 + 1), mix(!(i as u64)));
    let part = |bits: u64, mask: u64| bits & mask;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        part(high >> 16, 0xffff),
        part(high, 0xffff),
        low >> 48,
        part(low, 0xffff_ffff_ffff)
    )
}

fn plan_row(i: usize) -> PlanRow {
    PlanRow {
        action: if i.is_multiple_of(3) { Action::Create } else { Action::Update },
        resource: "InterfacePhysical".to_owned(),
        source_id: format!("dm-akron-rtr{:06}__GigabitEthernet{}/0/{}", i / 48, i % 4, i % 48),
        dest_id: Some(uuid(i)),
        attribute: Some("description,status".to_owned()),
        old_value: Some(format!(r#"{{"description":"uplink to port {i}","status":"planned"}}"#)),
        new_value: Some(format!(r#"{{"description":"uplink to port {}","status":"active"}}"#, i + 1)),
        tier: 3,
        key: format!(r#"[["dm-akron-rtr{:06}"],"GigabitEthernet{}/0/{}"]"#, i / 48, i % 4, i % 48),
        ..PlanRow::default()
    }
}

/// Runs `what` often enough for the clock and says what a run cost on average: CPU nanoseconds and wall time.
fn cpu<T>(mut what: impl FnMut() -> T) -> (T, u64, Duration) {
    // The kernel accounts CPU time by the tick, so less than that is noise.
    const ENOUGH: Duration = Duration::from_millis(400);
    what();
    let (start, before) = (Instant::now(), thread_ns());
    let mut runs = 0;
    loop {
        let value = what();
        runs += 1;
        let wall = start.elapsed();
        if wall >= ENOUGH {
            let ns = match (before, thread_ns()) {
                (Some(before), Some(after)) => after - before,
                // Not Linux: the wall clock is the best there is without a dependency.
                _ => wall.as_nanos() as u64,
            };
            return (value, ns / u64::from(runs), wall / runs);
        }
    }
}

/// Returns the CPU time of this thread.
fn thread_ns() -> Option<u64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok()
}
