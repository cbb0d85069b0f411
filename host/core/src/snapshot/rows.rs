//! Decides what rows of one key are: one object, or several that contradict one another.

use infrahub_sync_base::Side;

use super::build::Builder;
use super::problems::{DataErrorKind, Difference, cut};
use crate::model::FieldType;
use crate::value::{Tag, ValueColumn};

/// A type that not every value has: its words, and whether a value of a tag has it after it was brought to the type.
pub(super) type Strict = (&'static str, fn(Tag) -> bool);

/// Returns the type of a field if not every value has it.
pub(super) fn strict(field_type: FieldType) -> Option<Strict> {
    match field_type {
        FieldType::Integer => Some(("an integer", |tag| matches!(tag, Tag::Null | Tag::Missing | Tag::Int))),
        FieldType::Float => Some(("a number", |tag| matches!(tag, Tag::Null | Tag::Missing | Tag::Int | Tag::Float))),
        FieldType::Boolean => Some(("true or false", |tag| matches!(tag, Tag::Null | Tag::Missing | Tag::True | Tag::False))),
        _ => None,
    }
}

/// The different objects of one key with which a further row is compared. Beyond, each row is an object of its own: the key is broken anyway.
const OBJECTS_COMPARED: usize = 16;

/// The fields that a message about two objects names.
const FIELDS_NAMED: usize = 4;

impl Builder<'_> {
    /// Decides what rows of one key are: readings of one object, of which the last counts, or different objects, which are reported.
    ///
    /// In the source, rows that agree in every field are one object, and no others. In the destination rows of one id are: it changes while it is
    /// read, and nothing is lost by the later reading.
    pub(super) fn separate(&mut self, kind: usize, run: &[u32], instead: &mut Vec<(u32, u32)>) {
        // The objects of this key, each with its last reading, and the object of each row.
        let mut objects: Vec<u32> = Vec::new();
        let mut object_of: Vec<usize> = Vec::with_capacity(run.len());
        let mut merged = 0;
        for row in run {
            let recent = objects.len().saturating_sub(OBJECTS_COMPARED);
            let known = objects.iter().skip(recent).position(|known| self.same_object(kind, *known as usize, *row as usize));
            let at = known.map_or(objects.len(), |at| recent + at);
            object_of.push(at);
            match objects.get_mut(at) {
                Some(known) => {
                    instead.push((*known, *row));
                    merged += u64::from(!self.same_id(kind, *known as usize, *row as usize));
                    *known = *row;
                }
                None => objects.push(*row),
            }
        }
        self.work[kind].merged += merged;
        for pair in objects.windows(2) {
            let (row, other) = (pair[1] as usize, pair[0] as usize);
            let error = DataErrorKind::Duplicate {
                other: self.object_name(kind, other),
                other_place: self.work[kind].raw.origins.place(other),
                fields: self.differences(kind, row, other),
            };
            self.problem(kind, row, error, true);
        }
        if objects.len() > 1 {
            // The source does not say which of them is meant. In the destination one is as good as the other, and to leave out
            // all would have a further one created.
            let keep = if self.side == Side::Destination { Some(0) } else { None };
            for (row, _) in run.iter().zip(&object_of).filter(|(_, object)| Some(**object) != keep) {
                self.leave_out(kind, *row as usize);
            }
        }
    }

    fn same_id(&self, kind: usize, a: usize, b: usize) -> bool {
        let ids = &self.work[kind].raw.ids;
        ids.tag(a) != Tag::Null && ids.tag(b) != Tag::Null && ids.text(a) == ids.text(b)
    }

    /// Returns whether two rows of one key are one object.
    fn same_object(&self, kind: usize, a: usize, b: usize) -> bool {
        let raw = self.work[kind].raw;
        let same_id = self.same_id(kind, a, b);
        match self.side {
            Side::Destination if !same_id => false,
            Side::Destination if raw.feed_of(a) == raw.feed_of(b) => true,
            Side::Source if !same_id && raw.resources.get(a) != raw.resources.get(b) => false,
            _ => (0..raw.columns.len()).all(|field| self.same_value(kind, field, a, b)),
        }
    }

    /// Returns whether two rows of one key have the same value in a field. Their identifiers are the same.
    fn same_value(&self, kind: usize, field: usize, a: usize, b: usize) -> bool {
        let (spec, raw) = (&self.model.kinds[kind], self.work[kind].raw);
        let Some(model) = spec.fields.get(field) else { return true };
        if spec.identifiers.contains(&model.name) {
            return true;
        }
        let column = self.column(kind, field);
        if model.reference.is_none() {
            return column.same(a, column, b);
        }
        let is_same = (column.tag(a), column.text(a)) == (column.tag(b), column.text(b)) || set_of(column, a) == set_of(column, b);
        is_same && raw.peer_kinds(a, field).eq(raw.peer_kinds(b, field))
    }

    /// Returns the column of a field, wherever it is by now.
    fn column(&self, kind: usize, field: usize) -> &ValueColumn {
        let raw = self.work[kind].raw;
        let plain = self.plain[kind].get(field).filter(|column| column.len() == raw.rows);
        plain.or_else(|| raw.columns.get(field)).unwrap_or(&raw.ids)
    }

    fn differences(&self, kind: usize, a: usize, b: usize) -> Vec<Difference> {
        let fields = self.model.kinds[kind].fields.iter().enumerate();
        let differing = fields.filter(|(at, _)| !self.same_value(kind, *at, a, b)).take(FIELDS_NAMED);
        let value = |column: &ValueColumn, row: usize| {
            let mut out = String::new();
            column.write_json(row, &mut out);
            cut(&out)
        };
        let difference = |(at, field): (usize, &crate::model::FieldModel)| {
            let column = self.column(kind, at);
            Difference { field: field.name.clone(), ours: value(column, a), theirs: value(column, b) }
        };
        differing.map(difference).collect()
    }
}

/// Returns the members of a list of references in order; a single value is a list of one.
fn set_of(column: &ValueColumn, row: usize) -> Vec<String> {
    let mut members: Vec<String> = match (column.tag(row), column.text(row)) {
        (Tag::Ids, text) => text.split_terminator('\n').map(|id| format!("{{\"id\":{}}}", serde_json::Value::from(id))).collect(),
        _ => match column.to_json(row) {
            serde_json::Value::Array(items) => items.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        },
    };
    members.sort_unstable();
    members.dedup();
    members
}
