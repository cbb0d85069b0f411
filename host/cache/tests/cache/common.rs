//! What the tests of the cache share.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema};
use infrahub_sync_cache::{Cache, CacheLock, ErrorRow, Holder, Mode, RunId, RunRecord, SyncName, internal_fields};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use jiff::Timestamp;

/// A fixed time.
pub(crate) fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

/// A run id.
pub(crate) fn id(name: &str) -> RunId {
    RunId::parse(name).expect("a run id")
}

/// The cache of the sync `s` below a folder.
pub(crate) fn cache(root: &Path) -> Cache {
    Cache::open(root, SyncName::parse("s").expect("a name")).expect("opened")
}

/// The lock, which must be free.
pub(crate) fn lock(cache: &Cache) -> CacheLock {
    let holder = Holder::this_process(id("test"), now());
    cache.lock(&holder, Duration::ZERO, &mut |_| {}).expect("the lock is free")
}

/// A run that has just begun.
pub(crate) fn running(mode: Mode) -> RunRecord {
    RunRecord::running(mode, now())
}

/// A snapshot of two columns and the internal ones.
pub(crate) fn snapshot(names: &[Option<&str>]) -> RecordBatch {
    let rows = names.len();
    let mut fields = vec![Arc::new(Field::new("name", DataType::Utf8, true)), Arc::new(Field::new("mtu", DataType::Int64, true))];
    fields.extend(internal_fields());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(names.iter().copied().collect::<StringArray>()),
        Arc::new((0..rows as i64).collect::<Int64Array>()),
        Arc::new(TimestampMicrosecondArray::from_value(now().as_microsecond(), rows).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| row.to_string()))),
        Arc::new(BooleanArray::from(vec![false; rows])),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

/// A row of a plan.
pub(crate) fn plan_row(source_id: &str) -> PlanRow {
    PlanRow {
        action: Action::Update,
        resource: "InfraDevice".to_owned(),
        source_id: source_id.to_owned(),
        attribute: Some("name".to_owned()),
        old_value: Some(r#"{"name":"a"}"#.to_owned()),
        new_value: Some(r#"{"name":""}"#.to_owned()),
        tier: 2,
        pass: 1,
        key: format!("[{source_id:?}]"),
        ..PlanRow::default()
    }
}

/// A row of the errors.
pub(crate) fn error_row(message: &str) -> ErrorRow {
    ErrorRow {
        error_class: "rejected".to_owned(),
        resource: "InfraDevice".to_owned(),
        source_id: Some("x".to_owned()),
        message: message.to_owned(),
        retry_count: 2,
        terminal: true,
        ..ErrorRow::default()
    }
}

/// The variable that tells a test to be the process that is killed, and in which folder its cache lies.
const VICTIM: &str = "CACHE_TEST_ROOT";

/// Returns the folder of the cache when this process is the one that is killed.
pub(crate) fn victim_root() -> Option<PathBuf> {
    std::env::var_os(VICTIM).map(PathBuf::from)
}

/// Starts this test program again, with one test, which finds [`victim_root`] set. Its output is piped.
pub(crate) fn start_victim(test: &str, root: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(VICTIM, root);
    command.stdout(Stdio::piped()).spawn().expect("started")
}
