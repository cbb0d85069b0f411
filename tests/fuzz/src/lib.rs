//! The fuzz targets: what each does with an input. `tests/seeds.rs` and libFuzzer (`targets`) feed them.
//!
//! Each takes any bytes. It panics when a promise is broken: no panic, no endless work, and, where there is a second opinion, the same
//! answer as it gives.

#![allow(clippy::unwrap_used, reason = "a promise that is broken is a panic")]

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use infrahub_sync_cache::{Cache, Holder, Mode, RunId, RunReader, RunRecord, RunWriter, SyncName};
use infrahub_sync_config::{AdapterLock, Project};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_core::records::{Projection, Shape};
use infrahub_sync_runtime::{Column, ColumnData, Columns, TextData, count_at, json_at};
use serde_json::Value;

/// Has a panic end the program, as libFuzzer wants it; but for those of the Parquet crate, which the cache expects and catches.
pub fn panics_end_the_program() {
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|place| place.file().to_owned()).unwrap_or_default();
        let expected = ["/parquet-", "/arrow", "/snap-"].iter().any(|name| place.contains(name));
        let caught = expected || std::thread::panicking() && place.contains("/library/");
        if !caught {
            shown(panic);
            std::process::abort();
        }
    }));
}

/// Host functions, called with any arguments in any order.
pub fn host(data: &[u8]) {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("granted/sub")).unwrap();
        std::fs::write(folder.path().join("outside"), "as it was").unwrap();
        folder
    });
    infrahub_sync_runtime::drive(data, &folder.path().join("granted"));
    // Nothing leads out of the granted folder.
    assert_eq!(std::fs::read_to_string(folder.path().join("outside")).unwrap(), "as it was");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "a file beside the granted folder");
}

/// `config.yml`: any text is a project, or yields its mistakes.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = |name: &str| name.len().is_multiple_of(2).then(|| "v a l\nue${X}".to_owned());
    let project = match Project::parse(text, Path::new("config.yml"), &environment) {
        Ok(project) => project,
        Err(problems) => {
            assert!(problems.iter().any(infrahub_sync_config::Problem::is_error), "refused without a reason");
            for problem in problems {
                assert!(!problem.to_string().is_empty());
            }
            return;
        }
    };
    for warning in &project.warnings {
        assert!(!warning.is_error() && !warning.to_string().is_empty());
    }
    // What is debug-printed shows no setting's value.
    assert!(!format!("{project:?}").contains("v a l\\nue"));
}

/// `infrahub-sync.lock.yml`: what is read is written so that it is read again.
pub fn lock(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new("infrahub-sync.lock.yml");
    match AdapterLock::parse(text, file) {
        Ok(lock) => {
            let again = lock.to_text();
            assert_eq!(AdapterLock::parse(&again, file).as_ref(), Ok(&lock), "{again}");
            assert!(lock.source.objections(&lock.source).is_empty(), "it objects to itself");
        }
        Err(problems) => assert!(problems.iter().any(infrahub_sync_config::Problem::is_error), "refused without a reason"),
    }
}

/// Returns the pieces of an input: N lines, and the rest.
fn lines<const N: usize>(data: &[u8]) -> Option<([&str; N], &str)> {
    let mut rest = std::str::from_utf8(data).ok()?;
    let mut lines = [""; N];
    for line in &mut lines {
        (*line, rest) = rest.split_once('\n')?;
    }
    Some((lines, rest))
}

/// Reads a page of JSON: pointer and dotted paths in two lines, then the body.
pub fn page(data: &[u8]) {
    let Some(([pointer, paths], body)) = lines::<2>(data) else { return };
    let mut projection = Projection::default();
    for path in paths.split(' ').take(20) {
        let (path, shape) = path.strip_prefix('>').map_or((path, Shape::Value), |path| (path, Shape::Peer));
        projection.slot(path, shape);
    }
    let moved = projection.moved(&[("a".to_owned(), pointer.to_owned())]);
    for projection in [&projection, &moved] {
        let read = projection.json(body, pointer);
        // Texts that a value cannot hold, numbers out of range among them, are no second opinion.
        if let Ok(document) = serde_json::from_str::<Value>(body) {
            let there = if pointer.is_empty() || pointer.starts_with('/') { document.pointer(pointer) } else { None };
            let records: Option<Vec<&Value>> = match there {
                Some(Value::Array(records)) => Some(records.iter().collect()),
                Some(Value::Object(records)) => Some(records.values().collect()),
                _ => None,
            };
            if let (Ok(read), Some(records)) = (&read, records)
                && !has_twins(body)
            {
                assert_eq!(read.rows, records.len(), "a record was lost or invented");
            }
        }
        for records in [read, projection.json_lines(body)].into_iter().flatten() {
            assert_eq!(records.columns.len(), projection.slots().len());
            for column in &records.columns {
                assert_eq!(column.len(), records.rows, "a column has another length");
                for row in 0..records.rows {
                    let _ = (column.to_json(row), column.text(row), column.is_missing(row));
                }
            }
        }
    }
}

/// Returns whether an object may have a key twice: there the two readers count other things.
fn has_twins(body: &str) -> bool {
    // A document without twins is as long when it is written as it is when it is read, but for spaces and escapes: a count will do.
    let keys = body.matches(':').count();
    let told = serde_json::from_str::<Value>(body).map(|value| value.to_string().matches(':').count());
    told.ok() != Some(keys)
}

/// Pointers into an answer: three of them in lines, then the body.
pub fn pointers(data: &[u8]) {
    let Some((lines, body)) = lines::<3>(data) else { return };
    let pointers = lines.map(str::to_owned);
    let found = json_at(body, &pointers, usize::MAX).unwrap();
    assert_eq!(found.len(), pointers.len());
    let document = serde_json::from_str::<Value>(body).ok();
    for (pointer, found) in pointers.iter().zip(found) {
        let count = count_at(body, pointer);
        let value = found.map(|text| serde_json::from_str::<Value>(&text));
        let Some(document) = &document else { continue };
        let there = document.pointer(pointer).filter(|_| pointer.is_empty() || pointer.starts_with('/'));
        match (value, there) {
            (Some(Ok(value)), Some(there)) => assert_eq!(value, *there),
            (None, None) => {}
            (value, there) => panic!("{pointer:?} is {value:?}, not {there:?}"),
        }
        assert_eq!(count.map(|count| count as usize), there.and_then(Value::as_array).map(Vec::len), "{pointer:?}");
    }
}

/// Takes numbers off the front of an input.
struct Bytes<'d>(&'d [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    /// Texts that may be wrong: offsets of a byte each, with a large one now and then.
    fn texts(&mut self) -> Result<TextData, String> {
        let count = usize::from(self.byte() % 16);
        let offsets = (0..count).map(|_| match self.byte() {
            255 => u32::MAX,
            254 => 1 << 31,
            small => small.into(),
        });
        let offsets = offsets.collect();
        let length = usize::from(self.byte());
        TextData::new(offsets, self.take(length))
    }
}

/// Packed columns, right and wrong ones.
pub fn columns(data: &[u8]) {
    let mut bytes = Bytes(data);
    let rows = usize::from(bytes.byte());
    let mut columns = Vec::new();
    while !bytes.0.is_empty() && columns.len() < 8 {
        let length = usize::from(bytes.byte() % 3);
        let name = String::from_utf8_lossy(&bytes.take(length)).into_owned();
        let validity = match bytes.byte() {
            length if length % 2 == 0 => None,
            length => Some(bytes.take(usize::from(length / 2))),
        };
        let kind = bytes.byte();
        let data = match kind % 5 {
            0 => ColumnData::Booleans(vec![kind > 100; rows]),
            1 => ColumnData::Integers(vec![i64::MIN; usize::from(bytes.byte())]),
            2 => ColumnData::Floats(vec![f64::NAN, f64::INFINITY, -0.0]),
            kind => match bytes.texts() {
                Ok(texts) if kind == 3 => ColumnData::Texts(texts),
                Ok(texts) => ColumnData::Jsons(texts),
                Err(reason) => {
                    assert!(!reason.is_empty());
                    return;
                }
            },
        };
        columns.push(Column { name, validity, data });
    }
    let Ok(columns) = Columns::new(rows, columns, 200) else { return };
    assert!(columns.rows() <= 200);
    for column in columns.columns() {
        assert_eq!(column.data.len(), columns.rows());
        if let ColumnData::Texts(texts) | ColumnData::Jsons(texts) = &column.data {
            let joined: String = (0..texts.len()).map(|index| texts.get(index).unwrap()).collect();
            let (offsets, text) = texts.clone().into_parts();
            assert_eq!((joined, offsets.len()), (text, texts.len() + 1));
        }
    }
}

/// A run in a cache, whose files an input replaces.
struct Run {
    _folder: tempfile::TempDir,
    writer: RunWriter,
}

/// Rows of the plan that a journal goes with.
const ROWS: u64 = 40;

impl Run {
    fn new() -> Run {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), SyncName::parse("fuzz").unwrap()).unwrap();
        let lock = cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).unwrap();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let writer = lock.start_run(&RunId::parse("r").unwrap(), &RunRecord::running(Mode::Sync, now)).unwrap();
        let row = |number: u64| PlanRow {
            action: Action::Create,
            resource: "Kind".into(),
            source_id: number.to_string(),
            new_value: Some("{}".into()),
            key: format!("[{number}]"),
            ..PlanRow::default()
        };
        writer.write_plan((0..ROWS).map(row)).unwrap();
        Run { _folder: folder, writer }
    }

    /// One for all inputs of a thread's turn.
    fn shared(of: &'static OnceLock<Mutex<Run>>) -> MutexGuard<'static, Run> {
        of.get_or_init(|| Mutex::new(Run::new())).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> &RunReader {
        self.writer.reader()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.reader().dir().join(name), bytes).unwrap();
    }
}

/// `plan.parquet`: rows, or an error that says what to do.
pub fn plan(data: &[u8]) {
    static RUN: OnceLock<Mutex<Run>> = OnceLock::new();
    let run = Run::shared(&RUN);
    run.write("plan.parquet", data);
    match run.reader().read_plan() {
        Ok(rows) => {
            for row in rows.take(10_000) {
                match row {
                    Ok(row) => assert!(row.key.len() <= data.len() * 1000),
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// `journal.bin`: the first byte says whether the rest is the file, or payloads that are put into whole frames, each after its length.
pub fn journal(data: &[u8]) {
    static RUN: OnceLock<Mutex<Run>> = OnceLock::new();
    static HEADER: OnceLock<Vec<u8>> = OnceLock::new();
    let run = Run::shared(&RUN);
    let path = run.reader().dir().join("journal.bin");
    let header = HEADER.get_or_init(|| {
        let _ = std::fs::remove_file(&path);
        drop(run.writer.open_journal().unwrap());
        std::fs::read(&path).unwrap()
    });
    let Some((form, rest)) = data.split_first() else { return };
    let mut file = if form % 4 == 0 { Vec::new() } else { header.clone() };
    if form % 2 == 0 {
        file.extend_from_slice(rest);
    } else {
        let mut rest = Bytes(rest);
        while !rest.0.is_empty() {
            let length = usize::from(rest.byte());
            let payload = rest.take(length);
            let (at, length) = (file.len() as u64, u32::try_from(payload.len()).unwrap());
            let mut sum = crc32fast::Hasher::new();
            sum.update(&at.to_le_bytes());
            sum.update(&length.to_le_bytes());
            sum.update(&payload);
            file.extend(length.to_le_bytes());
            file.extend(sum.finalize().to_le_bytes());
            file.extend(payload);
        }
    }
    run.write("journal.bin", &file);
    match run.reader().read_journal() {
        Ok(journal) => {
            let journal = journal.unwrap();
            assert_eq!(journal.rows(), ROWS);
            for row in 0..ROWS {
                let _ = (journal.state(row), journal.id(row));
            }
            let counts = journal.counts();
            assert_eq!(counts.planned + counts.sent + counts.done + counts.unchanged + counts.failed + counts.skipped, ROWS);
            // What can be read can be gone on with, and then says the same.
            let before: Vec<_> = (0..ROWS).map(|row| (journal.state(row), journal.id(row))).collect();
            let writer = run.writer.open_journal().unwrap();
            let after: Vec<_> = (0..ROWS).map(|row| (writer.journal().state(row), writer.journal().id(row))).collect();
            assert_eq!(before, after);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
