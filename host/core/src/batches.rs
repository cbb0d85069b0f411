//! Snapshots as Arrow record batches, for the cache.
//!
//! A field's Arrow type follows its values: all text → `Utf8`, all whole numbers → `Int64`, and so on. Where types mix, or values are lists or
//! objects, the column holds JSON text, and its metadata says so (`infrahub-sync:encoding` = `json`). References are unique ids (behind
//! `Kind:`, where a field refers to several kinds), a list of them where any row holds a set. Four columns are added: `_extract_ts`,
//! `_source_id` (the object's id in its system, else its unique id), `_tombstone` and `_key` (the natural key as a JSON array). A kind whose
//! mappings have several resources in the destination has a fifth, `_destination_mapping`. Where the system records who made an object there is
//! `_owner`, too.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::key;
use crate::model::Model;
use crate::snapshot::{FieldColumn, NOWHERE, Peer, PeerColumn, RefValue, Snapshot};
use crate::value::{Tag, ValueColumn};

/// Rows in a batch: large enough that the cost of a batch is not felt, small enough to stay in the processor's cache.
const BATCH_ROWS: usize = 8192;

/// In the metadata of `_source_id`, where objects have no id of their own and the unique id stands in its place.
pub(crate) const WITHOUT_IDS: &str = "infrahub-sync:without-ids";

/// The column of the syncs that made the objects.
pub(crate) const OWNER: &str = "_owner";

/// The column of the destination's resources.
pub(crate) const DESTINATION_MAPPING: &str = "_destination_mapping";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Text,
    Int,
    Float,
    Bool,
    Json,
    Peer,
    PeerList,
}

/// The batches of one kind.
#[derive(Debug)]
pub struct Batches<'s> {
    schema: SchemaRef,
    encodings: Vec<Encoding>,
    model: &'s Model,
    snapshot: &'s Snapshot,
    kind: usize,
    extract_ts_us: i64,
    next: usize,
}

/// Returns the batches of kind number `kind`; `extract_ts_us` is the time of the load in microseconds since 1970.
#[must_use]
pub fn batches<'s>(model: &'s Model, snapshot: &'s Snapshot, kind: usize, extract_ts_us: i64) -> Batches<'s> {
    let mut encodings = Vec::new();
    let mut fields = Vec::new();
    for (field, column) in model.kinds[kind].fields.iter().zip(&snapshot.kinds[kind].fields) {
        let encoding = match column {
            FieldColumn::Values(values) => encoding(values),
            FieldColumn::Peers(peers) if (0..snapshot.kinds[kind].rows()).any(|row| peers.get(row).0 == RefValue::Many) => {
                Encoding::PeerList
            }
            FieldColumn::Peers(_) => Encoding::Peer,
        };
        let data_type = match encoding {
            Encoding::Text | Encoding::Json | Encoding::Peer => DataType::Utf8,
            Encoding::Int => DataType::Int64,
            Encoding::Float => DataType::Float64,
            Encoding::Bool => DataType::Boolean,
            Encoding::PeerList => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        };
        let mut arrow = Field::new(&field.name, data_type, true);
        let mut metadata = HashMap::new();
        if encoding == Encoding::Json {
            metadata.insert("infrahub-sync:encoding".to_owned(), "json".to_owned());
        }
        if field.reference.is_some() {
            metadata.insert("infrahub-sync:reference".to_owned(), field.peers().collect::<Vec<_>>().join(","));
        }
        arrow.set_metadata(metadata);
        encodings.push(encoding);
        fields.push(arrow);
    }
    fields.push(Field::new("_extract_ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false));
    let mut ids = Field::new("_source_id", DataType::Utf8, false);
    // Read back, a unique id in its place looks like an id that happens to be the same text.
    if (0..snapshot.kinds[kind].rows()).any(|row| snapshot.kinds[kind].id(row).is_none()) {
        ids.set_metadata(HashMap::from([(WITHOUT_IDS.to_owned(), "true".to_owned())]));
    }
    fields.push(ids);
    fields.push(Field::new("_tombstone", DataType::Boolean, false));
    fields.push(Field::new("_key", DataType::Utf8, false));
    if !snapshot.kinds[kind].resources.is_empty() {
        fields.push(Field::new(DESTINATION_MAPPING, DataType::Utf8, true));
    }
    if !snapshot.kinds[kind].owners.is_empty() {
        fields.push(Field::new(OWNER, DataType::Utf8, true));
    }
    Batches { schema: Arc::new(Schema::new(fields)), encodings, model, snapshot, kind, extract_ts_us, next: 0 }
}

fn encoding(values: &ValueColumn) -> Encoding {
    let mut seen = [false; 11];
    values.tags().iter().for_each(|tag| seen[*tag as usize] = true);
    seen[Tag::Missing as usize] = false;
    let only = |allowed: &[Tag]| (1..seen.len()).all(|at| !seen[at] || allowed.iter().any(|tag| *tag as usize == at));
    let fits = |row: usize| values.tag(row) != Tag::Int || values.text(row).parse::<i64>().is_ok();
    // A float of 64 bits gives other digits back for `1.10`.
    let keeps = |row: usize| {
        values.tag(row) != Tag::Float || values.text(row).parse::<f64>().is_ok_and(|float| format!("{float:?}") == values.text(row))
    };
    if only(&[Tag::Text]) {
        Encoding::Text
    } else if only(&[Tag::Int]) && (0..values.len()).all(fits) {
        Encoding::Int
    } else if only(&[Tag::Float]) && (0..values.len()).all(keeps) {
        Encoding::Float
    } else if only(&[Tag::True, Tag::False]) {
        Encoding::Bool
    } else {
        Encoding::Json
    }
}

impl Batches<'_> {
    /// Returns the schema of all batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn peer(&self, peers: &PeerColumn, peer: Peer, text: &mut StringBuilder, scratch: &mut String) {
        if peer.row == NOWHERE {
            return text.append_null();
        }
        scratch.clear();
        self.snapshot.write_peer_name(self.model, peers, peer, scratch);
        text.append_value(scratch);
    }

    fn column(&self, encoding: Encoding, column: &FieldColumn, rows: std::ops::Range<usize>) -> Result<ArrayRef, ArrowError> {
        let mut scratch = String::new();
        Ok(match (encoding, column) {
            (Encoding::Text, FieldColumn::Values(values)) => Arc::new(text(values, rows)?),
            (Encoding::Int, FieldColumn::Values(values)) => {
                Arc::new(rows.map(|row| values.text(row).parse::<i64>().ok()).collect::<Int64Array>())
            }
            (Encoding::Float, FieldColumn::Values(values)) => {
                Arc::new(rows.map(|row| values.text(row).parse::<f64>().ok()).collect::<Float64Array>())
            }
            (Encoding::Bool, FieldColumn::Values(values)) => {
                let truth = |row| match values.tag(row) {
                    Tag::True => Some(true),
                    Tag::False => Some(false),
                    _ => None,
                };
                Arc::new(rows.map(truth).collect::<BooleanArray>())
            }
            (_, FieldColumn::Values(values)) => {
                let mut out = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
                for row in rows {
                    if values.tag(row) == Tag::Null {
                        out.append_null();
                    } else {
                        scratch.clear();
                        values.write_json(row, &mut scratch);
                        out.append_value(&scratch);
                    }
                }
                Arc::new(out.finish())
            }
            (Encoding::PeerList, FieldColumn::Peers(peers)) => {
                let mut items = StringBuilder::new();
                let mut lengths = Vec::with_capacity(rows.len());
                let mut valid = Vec::with_capacity(rows.len());
                for row in rows {
                    let (held, of_row) = peers.peers(row);
                    lengths.push(of_row.len());
                    of_row.for_each(|peer| self.peer(peers, peer, &mut items, &mut scratch));
                    valid.push(matches!(held, RefValue::One | RefValue::Many));
                }
                let item = Arc::new(Field::new("item", DataType::Utf8, true));
                Arc::new(ListArray::try_new(
                    item,
                    OffsetBuffer::from_lengths(lengths),
                    Arc::new(items.finish()),
                    Some(NullBuffer::from(valid)),
                )?)
            }
            (_, FieldColumn::Peers(peers)) => {
                let mut out = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
                for row in rows {
                    let (held, mut of_row) = peers.peers(row);
                    match of_row.next().filter(|_| held == RefValue::One) {
                        Some(peer) => self.peer(peers, peer, &mut out, &mut scratch),
                        None => out.append_null(),
                    }
                }
                Arc::new(out.finish())
            }
        })
    }

    fn batch(&self, rows: std::ops::Range<usize>) -> Result<RecordBatch, ArrowError> {
        let kind = &self.snapshot.kinds[self.kind];
        let mut columns = Vec::with_capacity(self.encodings.len() + 4);
        for (encoding, column) in self.encodings.iter().zip(&kind.fields) {
            columns.push(self.column(*encoding, column, rows.clone())?);
        }
        let count = rows.len();
        columns.push(Arc::new(TimestampMicrosecondArray::from(vec![self.extract_ts_us; count]).with_timezone("UTC")));
        let mut ids = StringBuilder::with_capacity(count, count * 8);
        let mut keys = StringBuilder::with_capacity(count, count * 24);
        let mut scratch = String::new();
        for row in rows.clone() {
            scratch.clear();
            match kind.id(row) {
                Some(id) => ids.append_value(id),
                None => {
                    key::write_unique_id(kind.keys.get(row), &mut scratch);
                    ids.append_value(&scratch);
                    scratch.clear();
                }
            }
            key::write_key_json(kind.keys.get(row), &mut scratch);
            keys.append_value(&scratch);
        }
        columns.push(Arc::new(ids.finish()));
        columns.push(Arc::new(BooleanArray::new(BooleanBuffer::new_unset(count), None)));
        columns.push(Arc::new(keys.finish()));
        if !kind.resources.is_empty() {
            columns.push(Arc::new(rows.clone().map(|row| kind.resources.get(row)).collect::<StringArray>()));
        }
        if !kind.owners.is_empty() {
            columns.push(Arc::new(rows.map(|row| kind.owner(row)).collect::<StringArray>()));
        }
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, ArrowError>;
    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.snapshot.kinds[self.kind].rows();
        if self.next >= rows {
            return None;
        }
        let end = (self.next + BATCH_ROWS).min(rows);
        let batch = self.batch(self.next..end);
        self.next = end;
        Some(batch)
    }
}

/// Returns text as Arrow has it: one copy of the bytes, offsets moved to begin at 0.
fn text(values: &ValueColumn, rows: std::ops::Range<usize>) -> Result<StringArray, ArrowError> {
    let (ends, all) = values.parts();
    let start = if rows.start == 0 { 0 } else { ends.get(rows.start - 1).copied().unwrap_or(0) };
    let mut offsets: Vec<i32> = Vec::with_capacity(rows.len() + 1);
    offsets.push(0);
    for end in ends.get(rows.clone()).unwrap_or(&[]) {
        offsets.push(i32::try_from(end - start).map_err(|_| ArrowError::ComputeError("a batch's text is larger than 2 GiB".into()))?);
    }
    let end = ends.get(rows.end.wrapping_sub(1)).copied().unwrap_or(start);
    let bytes = Buffer::from(all.as_bytes().get(start as usize..end as usize).unwrap_or(&[]));
    let valid: NullBuffer = rows.map(|row| values.tag(row) != Tag::Null).collect::<Vec<bool>>().into();
    StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets)), bytes, Some(valid))
}
