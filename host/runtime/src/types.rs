//! The inputs and outputs of an adapter's calls, in types of our own.
//!
//! Everything that comes out of a guest is hostile until it has passed through here. Afterwards texts are UTF-8, offsets are in range and
//! counts are true; later stages rely on that without checking again.

use std::collections::BTreeSet;
use std::sync::Arc;

pub use infrahub_sync_base::FieldType;

use crate::error::Failure;

/// Bytes of a cursor or of a watermark, at most.
pub(crate) const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Bytes of a message of an adapter. The rest is cut off.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Headers of one request, at most.
pub(crate) const HEADERS_MAX: usize = 64;

/// Says where to continue reading; the adapter's own token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(pub Vec<u8>);

/// A field of a kind, as the system's schema describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub field_type: FieldType,
    /// May be null or absent.
    pub optional: bool,
    /// No two objects have the same value.
    pub unique: bool,
    /// Computed by the system.
    pub read_only: bool,
    /// The kinds that a reference may point to. Empty: it is not a reference, or the schema does not tell.
    pub references: Vec<String>,
    /// The closed set of values; empty if any value is allowed.
    pub choices: Vec<String>,
    /// The value that the system sets when none is given: JSON text, not checked.
    pub default: Option<String>,
}

/// Objects that the system deletes along with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cascade {
    /// The kind of the objects that are deleted, or their resource where the schema knows no kind.
    pub kind: String,
    /// Their field that refers to the deleted object. None: the system does not expose it.
    pub field: Option<String>,
}

/// A kind of objects, as the system's schema describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// The fields of the natural key, in order; empty where the schema does not tell.
    pub identifiers: Vec<String>,
    /// Its fields.
    pub fields: Vec<Field>,
    /// Further kinds that a reference may name to accept an object of this kind.
    pub stands_for: Vec<String>,
    /// Objects that are deleted along with an object of this kind.
    pub cascades: Vec<Cascade>,
    /// Sets of fields whose values together no two objects have, unless one of the values is null.
    pub unique_together: Vec<Vec<String>>,
    /// Objects can be created.
    pub can_create: bool,
    /// Objects can be updated.
    pub can_update: bool,
    /// Objects can be deleted.
    pub can_delete: bool,
}

/// A field of a kind, as the project uses it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetField {
    /// The field's name in the model.
    pub name: String,
    /// The dotted path of the field in the system. None: the field's name stands for it.
    pub path: Option<String>,
    /// The kinds that the field may refer to; empty if it is not a reference.
    pub peers: Vec<String>,
    /// The field holds a set of references.
    pub many: bool,
    /// The field is part of the natural key.
    pub identifier: bool,
}

/// A kind of the project and its place in one system. The same type serves reading and writing, source and destination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The mapping's `name:`.
    pub kind: String,
    /// The list that holds its objects. None: the system is addressed by kind.
    pub resource: Option<String>,
    /// The fields that the project uses. Identifiers come first, in the order of the key.
    pub fields: Vec<TargetField>,
}

/// A request for one page of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadRequest {
    /// The resource or kind, as the manifest's addressing says.
    pub resource: String,
    /// The kinds that are made of this resource. Empty for a table or an inventory of ids.
    pub targets: Vec<Target>,
    /// The dotted paths that are read.
    pub fields: Vec<String>,
    /// Only these objects, by id. Empty: no such limit. Only for an adapter whose manifest says `reads_ids`.
    pub ids: Vec<String>,
    /// Records of one page.
    pub page_size: u32,
    /// None for the first page.
    pub cursor: Option<Cursor>,
    /// The watermark of an earlier, finished load. None: all records.
    pub since: Option<String>,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The records.
    pub payload: Payload,
    /// Where to continue; none on the last page. Never the cursor of the request.
    pub next: Option<Cursor>,
    /// The `since` of the next run; read on the first page.
    pub watermark: Option<String>,
    /// Ids of objects deleted since `since`, where the system tells.
    pub deleted: Option<Vec<String>>,
    /// The number of objects that the resource has, where the system tells.
    pub total: Option<u64>,
    /// The reason why the answer is incomplete, if the system says so. Objects that such a load misses are not deleted.
    pub partial: Option<String>,
}

/// The whereabouts of an object that a load did not return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Absence {
    /// Deleted: the system says so.
    Deleted,
    /// It exists and was not listed.
    Present,
    /// The system does not tell.
    Unknown,
}

/// How records lie in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The elements of the array (or the values of the object) at the pointer.
    Json,
    /// One JSON object a line.
    JsonLines,
}

/// The records of a page. All texts are UTF-8 without byte order mark.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// The records lie in a response body, as the server sent it. That it is JSON has not been checked.
    Document {
        /// The body.
        body: Arc<str>,
        /// How the records lie in it.
        layout: Layout,
        /// RFC 6901: empty, or beginning with `/`.
        pointer: String,
        /// (Dotted path that was asked for, RFC 6901 pointer within the record.)
        projection: Vec<(String, String)>,
    },
    /// One JSON object a line, made by the adapter. That it is JSON has not been checked.
    JsonLines(String),
    /// Packed columns, made by the adapter and checked.
    Columns(Columns),
}

impl Payload {
    /// Returns the bytes of the records.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Payload::Document { body, .. } => body.len(),
            Payload::JsonLines(text) => text.len(),
            Payload::Columns(columns) => columns.columns.iter().map(|column| column.data.bytes()).sum(),
        }
    }
}

/// Packed columns of equal length.
///
/// ```text
/// texts  offsets 0 3 3 8      value 0 = text[0..3], value 1 = "", value 2 = text[3..8]
///        text    "amsrouter"
/// bits   validity 0b0000_0101 value 1 is null (least significant bit first; none: no nulls)
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    rows: usize,
    columns: Vec<Column>,
}

/// One field of all records of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The dotted path that was asked for. No two columns of a page have the same.
    pub name: String,
    /// One bit a record, least significant first, 0 = null; exactly as many bytes as are needed. None: no nulls.
    pub validity: Option<Vec<u8>>,
    /// The values.
    pub data: ColumnData,
}

/// The values of a column. Those of null records have no meaning.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnData {
    /// Booleans.
    Booleans(Vec<bool>),
    /// Whole numbers.
    Integers(Vec<i64>),
    /// Numbers.
    Floats(Vec<f64>),
    /// Texts.
    Texts(TextData),
    /// JSON texts, not checked.
    Jsons(TextData),
}

/// Texts, end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextData {
    offsets: Vec<i32>,
    text: String,
}

impl TextData {
    /// Takes texts that lie end to end. The offsets must begin with 0, not fall, end with the length, and lie between characters.
    pub fn new(offsets: Vec<u32>, bytes: Vec<u8>) -> Result<Self, String> {
        let text =
            String::from_utf8(bytes).map_err(|error| format!("the texts are not UTF-8 at byte {}", error.utf8_error().valid_up_to()))?;
        if offsets.first() != Some(&0) {
            return Err("the offsets do not begin with 0".into());
        }
        let mut previous = 0;
        let mut checked = Vec::with_capacity(offsets.len());
        for offset in offsets {
            let here = i32::try_from(offset).map_err(|_| format!("the offset {offset} is too large"))?;
            if here < previous {
                return Err(format!("the offset {offset} is smaller than the one before it"));
            }
            // False also beyond the end.
            if !text.is_char_boundary(offset as usize) {
                return Err(format!("the offset {offset} is beyond the end or within a character"));
            }
            previous = here;
            checked.push(here);
        }
        if usize::try_from(previous).ok() != Some(text.len()) {
            return Err(format!("the last offset is {previous}, the texts have {} bytes", text.len()));
        }
        Ok(Self { offsets: checked, text })
    }

    /// Returns the number of texts.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Returns whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Text `index`; none beyond the end.
    pub fn get(&self, index: usize) -> Option<&str> {
        let from = usize::try_from(*self.offsets.get(index)?).ok()?;
        let to = usize::try_from(*self.offsets.get(index.checked_add(1)?)?).ok()?;
        self.text.get(from..to)
    }

    /// Returns the offsets (one more than texts, first 0, never falling, last the length) and all texts: Arrow's layout.
    pub fn into_parts(self) -> (Vec<i32>, String) {
        (self.offsets, self.text)
    }
}

impl ColumnData {
    /// Returns the bytes of its values.
    fn bytes(&self) -> usize {
        match self {
            ColumnData::Booleans(values) => values.len(),
            ColumnData::Integers(values) => size_of_val(values.as_slice()),
            ColumnData::Floats(values) => size_of_val(values.as_slice()),
            ColumnData::Texts(texts) | ColumnData::Jsons(texts) => size_of_val(texts.offsets.as_slice()) + texts.text.len(),
        }
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        match self {
            ColumnData::Booleans(values) => values.len(),
            ColumnData::Integers(values) => values.len(),
            ColumnData::Floats(values) => values.len(),
            ColumnData::Texts(texts) | ColumnData::Jsons(texts) => texts.len(),
        }
    }

    /// Returns whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Columns {
    /// Takes columns, each of `rows` values and with its own name; `rows_max` bounds `rows`, which no column need prove.
    pub fn new(rows: usize, columns: Vec<Column>, rows_max: usize) -> Result<Self, String> {
        if rows > rows_max {
            return Err(format!("{rows} rows are more than the {rows_max} of one page"));
        }
        let mut names = BTreeSet::new();
        for column in &columns {
            if !names.insert(column.name.as_str()) {
                return Err(format!("the column `{}` is there twice", column.name));
            }
            if column.data.len() != rows {
                return Err(format!("the column `{}` has {} values, the page {rows} rows", column.name, column.data.len()));
            }
            if let Some(validity) = &column.validity
                && validity.len() != rows.div_ceil(8)
            {
                return Err(format!(
                    "the validity of column `{}` has {} bytes, {rows} rows need {}",
                    column.name,
                    validity.len(),
                    rows.div_ceil(8)
                ));
            }
        }
        Ok(Self { rows, columns })
    }

    /// Returns the number of records.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Takes the columns apart.
    pub fn into_columns(self) -> Vec<Column> {
        self.columns
    }
}

/// The operation of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Creates objects.
    Create,
    /// Updates objects.
    Update,
    /// Deletes objects.
    Delete,
}

impl Operation {
    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }
}

/// Rows of one target and one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteRequest {
    /// The kind and its place in the system.
    pub target: Target,
    /// The operation.
    pub operation: Operation,
    /// One JSON object a line: `{"key": …, "id": …, "fields": …}`, as the contract says.
    pub rows: String,
    /// The number of rows.
    pub count: u32,
}

/// The outcome of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Written; the id that the system gave.
    Written(Option<String>),
    /// Accepted, and written when `commit` succeeds.
    Staged,
    /// The destination has the wanted state already.
    Unchanged(Option<String>),
    /// Rejected; the other rows are not affected.
    Failed(Failure),
}

/// Objects of one kind that a delete takes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependents {
    /// The kind; the resource where the system is addressed by mapping.
    pub kind: String,
    /// Their number; not smaller than that of the ids.
    pub count: u64,
    /// Their ids, if the system tells them.
    pub ids: Vec<String>,
}

/// The rows that a run is going to write to a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindChanges {
    /// The kind and its place in the system.
    pub target: Target,
    /// Rows to create.
    pub creates: u64,
    /// Rows to update.
    pub updates: u64,
    /// Rows to delete.
    pub deletes: u64,
}

/// A run that is about to write, or has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id, as in the cache.
    pub id: String,
    /// The project's `name`.
    pub sync: String,
    /// The `name` of the project's source.
    pub source: String,
    /// One entry for each kind and resource with changes.
    pub changes: Vec<KindChanges>,
}

/// The outcome of a run, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunResult {
    /// Created.
    pub created: u64,
    /// Updated.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
    /// There already, so nothing was written.
    pub unchanged: u64,
    /// Refused, or lost on the way.
    pub failed: u64,
    /// Not tried.
    pub skipped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(name: &str, values: usize, validity: Option<Vec<u8>>) -> Column {
        Column { name: name.into(), validity, data: ColumnData::Integers(vec![7; values]) }
    }

    #[test]
    fn good_texts_are_taken_apart() {
        let texts = TextData::new(vec![0, 3, 3, 5], b"ams\xc3\xa9".to_vec()).unwrap();
        assert_eq!((texts.len(), texts.get(0), texts.get(1), texts.get(2), texts.get(3)), (3, Some("ams"), Some(""), Some("é"), None));
        assert_eq!(TextData::new(vec![0], Vec::new()).unwrap().len(), 0);
    }

    #[test]
    fn bad_texts_are_refused() {
        for (offsets, bytes, reason) in [
            (vec![], &b""[..], "begin with 0"),
            (vec![1, 1], b"a", "begin with 0"),
            (vec![0, 2, 1], b"ab", "smaller"),
            (vec![0, 3], b"ab", "beyond the end"),
            (vec![0, 1, 2], b"\xc3\xa9", "within a character"),
            (vec![0, 1], b"ab", "last offset"),
            (vec![0, 1], b"\xff", "not UTF-8"),
            (vec![0, u32::MAX], b"", "too large"),
        ] {
            let error = TextData::new(offsets.clone(), bytes.to_vec()).unwrap_err();
            assert!(error.contains(reason), "{offsets:?}: {error}");
        }
    }

    #[test]
    fn columns_of_other_lengths_are_refused() {
        assert!(Columns::new(9, vec![integers("a", 9, Some(vec![0xff, 1])), integers("b", 9, None)], 9).is_ok());
        for (columns, reason) in [
            (vec![integers("a", 8, None)], "8 values"),
            (vec![integers("a", 9, Some(vec![0xff]))], "validity"),
            (vec![integers("a", 9, None), integers("a", 9, None)], "twice"),
        ] {
            assert!(Columns::new(9, columns, 9).unwrap_err().contains(reason));
        }
        assert!(Columns::new(10, Vec::new(), 9).unwrap_err().contains("more than"));
    }
}
