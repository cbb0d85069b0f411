//! `ownership.parquet` and `ownership.json`: the objects of the destination that this sync made or adopted, and the members that it added to sets.
//!
//! Systems that record who made an object need neither. For the others this is the only record, so it is durable, and no pruning removes it. It is
//! written after an apply, from its journal. `ownership.json` names the run whose journal is not in it yet: it is there before the first write of an
//! apply, so that a killed apply is taken over by the next run.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::error::{CacheError, Remedy};
use crate::format::{APPLYING_FILE, OWNERSHIP_FILE};
use crate::names::RunId;
use crate::parquet_file::{FileName, ParquetBatches, ParquetFile, Types, column, optional, properties, required};
use crate::small_files;
use crate::store::{Cache, CacheLock};

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// An object of the destination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnedObject {
    /// The place of the destination (address, folder, branch) in which it was made, as the caller writes it.
    pub place: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its list in the destination, where the kind has several.
    pub list: Option<Arc<str>>,
    /// Its id in the destination, where it has one.
    pub id: Option<Box<str>>,
    /// Its natural key, as a plan has it.
    pub key: Box<str>,
    /// This sync made or adopted it. Otherwise it is here for its members only.
    pub made: bool,
    /// A later run has found it in the destination. Until then it may be missing there without being deleted: on a branch that is under review.
    pub seen: bool,
    /// The members that this sync added to its sets, as the caller writes them.
    pub members: Option<Box<str>>,
}

/// `ownership.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Applying {
    #[serde(default)]
    applying: Option<String>,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let text_or_null = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("place"),
        text("kind"),
        text_or_null("list"),
        text_or_null("id"),
        text("key"),
        Field::new("made", DataType::Boolean, false),
        Field::new("seen", DataType::Boolean, false),
        text_or_null("members"),
    ]))
});

impl Cache {
    fn ownership_file(&self) -> FileName {
        FileName { path: self.dir().join(OWNERSHIP_FILE), remedy: Remedy::DeleteOwnership }
    }

    /// Reads the objects that this sync made or adopted, or returns `None` if there is no record.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn ownership(&self) -> Result<Option<Vec<OwnedObject>>, CacheError> {
        let file = self.ownership_file();
        let Some(batches) = ParquetBatches::open(file.clone(), BATCH_ROWS, Types::Plain)? else { return Ok(None) };
        let mut objects = Vec::with_capacity(usize::try_from(batches.rows()).unwrap_or_default());
        for batch in batches {
            rows_of(&batch?, &mut objects).map_err(|problem| file.damaged(problem))?;
        }
        Ok(Some(objects))
    }

    /// Returns the run whose apply has begun and whose objects are not in the record yet.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn applying(&self) -> Result<Option<RunId>, CacheError> {
        let read: Option<Applying> = small_files::read_json(&self.dir().join(APPLYING_FILE), &Remedy::DeleteFile)?;
        Ok(read.and_then(|file| file.applying).and_then(|id| RunId::parse(&id).ok()))
    }
}

impl CacheLock {
    /// Writes the record of objects. It survives a power cut once this returns.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_ownership(&self, objects: &[OwnedObject]) -> Result<(), CacheError> {
        write(self, &self.cache().dir().join(OWNERSHIP_FILE), objects)
    }

    /// Gives a damaged record another name, so that a new one does not replace it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn set_ownership_aside(&self) -> Result<(), CacheError> {
        let dir = self.cache().dir();
        Ok(infrahub_sync_durable::rename(&dir.join(OWNERSHIP_FILE), &dir.join(format!("{OWNERSHIP_FILE}.damaged")))?)
    }

    /// Notes the run whose apply begins, or that its objects are in the record.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write_applying(&self, run: Option<&RunId>) -> Result<(), CacheError> {
        let file = Applying { applying: run.map(|run| run.as_str().to_owned()) };
        small_files::write_json(&self.cache().dir().join(APPLYING_FILE), &file)
    }
}

fn write(lock: &CacheLock, path: &Path, objects: &[OwnedObject]) -> Result<(), CacheError> {
    let repeated = |field: &Field| matches!(field.name().as_str(), "place" | "kind" | "list");
    let mut file = ParquetFile::create(&lock.guard, path, SCHEMA.clone(), properties(&SCHEMA, repeated))?;
    for objects in objects.chunks(BATCH_ROWS) {
        let text = |of: fn(&OwnedObject) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(objects.iter().map(of))) };
        let text_or_null = |of: fn(&OwnedObject) -> Option<&str>| -> ArrayRef { Arc::new(objects.iter().map(of).collect::<StringArray>()) };
        let columns: Vec<ArrayRef> = vec![
            text(|object| &object.place),
            text(|object| &object.kind),
            text_or_null(|object| object.list.as_deref()),
            text_or_null(|object| object.id.as_deref()),
            text(|object| &object.key),
            Arc::new(objects.iter().map(|object| Some(object.made)).collect::<BooleanArray>()),
            Arc::new(objects.iter().map(|object| Some(object.seen)).collect::<BooleanArray>()),
            text_or_null(|object| object.members.as_deref()),
        ];
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns)
            .map_err(|error| CacheError::Unwritable { path: path.to_owned(), problem: error.to_string() })?;
        file.write(&batch)?;
    }
    file.finish()?;
    Ok(())
}

/// Returns a text that many rows share.
fn shared(text: &str, last: &mut Arc<str>) -> Arc<str> {
    if **last != *text {
        *last = text.into();
    }
    last.clone()
}

fn rows_of(batch: &RecordBatch, objects: &mut Vec<OwnedObject>) -> Result<(), String> {
    let text = |name: &str| column::<StringArray>(batch, name);
    let (place, kind, list) = (text("place")?, text("kind")?, text("list")?);
    let (id, key, members) = (text("id")?, text("key")?, text("members")?);
    let (made, seen) = (column::<BooleanArray>(batch, "made")?, column::<BooleanArray>(batch, "seen")?);
    let (mut last_place, mut last_kind, mut last_list): (Arc<str>, Arc<str>, Arc<str>) = ("".into(), "".into(), "".into());
    for row in 0..batch.num_rows() {
        if made.is_null(row) || seen.is_null(row) {
            return Err("column \"made\" or \"seen\" is null".to_owned());
        }
        objects.push(OwnedObject {
            place: shared(required(&place, row, "place")?, &mut last_place),
            kind: shared(required(&kind, row, "kind")?, &mut last_kind),
            list: list.is_valid(row).then(|| shared(list.value(row), &mut last_list)),
            id: optional(&id, row).map(String::into_boxed_str),
            key: required(&key, row, "key")?.into(),
            made: made.value(row),
            seen: seen.value(row),
            members: optional(&members, row).map(String::into_boxed_str),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use infrahub_sync_durable::failpoint;

    use super::*;
    use crate::lock::Holder;
    use crate::names::SyncName;

    fn object(number: usize) -> OwnedObject {
        OwnedObject {
            place: "{}".into(),
            kind: if number.is_multiple_of(2) { "Site".into() } else { "Device".into() },
            list: number.is_multiple_of(3).then(|| "dcim.sites".into()),
            id: (!number.is_multiple_of(5)).then(|| number.to_string().into()),
            key: format!("[\"n{number}\"]").into(),
            made: !number.is_multiple_of(7),
            seen: number.is_multiple_of(13),
            members: number.is_multiple_of(11).then(|| "{\"tags\":[]}".into()),
        }
    }

    #[test]
    fn what_was_written_is_read_and_a_crash_leaves_the_old_or_the_new_record() {
        let (old, new): (Vec<_>, Vec<_>) = ((0..3).map(object).collect(), (0..20_000).map(object).collect());
        for steps in 0.. {
            let root = tempfile::tempdir().expect("a folder");
            let cache = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect("opened");
            let lock = cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).expect("free");
            assert_eq!(cache.ownership().expect("none"), None);
            lock.write_ownership(&old).expect("written");
            let written = failpoint::after(steps, || lock.write_ownership(&new));
            let found = cache.ownership().expect("whole").expect("there");
            assert!(found == old || found == new, "stopped after {steps} steps");
            assert!(cache.verify(None).expect("read").is_whole());
            if written.is_ok() {
                assert_eq!(found, new);
                break;
            }
        }
    }

    #[test]
    fn the_run_that_is_being_applied_is_known_until_its_objects_are_recorded() {
        let root = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect("opened");
        let lock = cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).expect("free");
        let run = RunId::parse("r1").expect("an id");
        assert_eq!(cache.applying().expect("read"), None);
        lock.write_applying(Some(&run)).expect("written");
        assert_eq!(cache.applying().expect("read"), Some(run));
        lock.write_applying(None).expect("written");
        assert_eq!(cache.applying().expect("read"), None);
    }
}
