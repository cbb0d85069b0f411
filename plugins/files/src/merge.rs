//! Merges the current objects of a kind and its staged rows into its new objects.
//!
//! Each write adds a batch of rows to the staging file, sorted by key. Batches that follow one another in the order of the keys are one run.
//! The runs and the current file are read side by side, and the object or rows with the smallest key come next. So only a piece of each is in
//! memory, for any size of the kind. Rows of the same key apply in the order in which they were staged.

use infrahub_sync_adapter::serde_json::{self, value::RawValue};
use infrahub_sync_adapter::{Error, Operation, Result};
use serde::Deserialize;

use crate::key::{Key, Part};
use crate::lines::Lines;
use crate::object::{Members, Object};

/// Bytes of a run in memory at a time.
const RUN_PIECE_BYTES: u32 = 256 << 10;
/// Bytes of the staging file in memory at a time while it is scanned.
const SCAN_PIECE_BYTES: u32 = 1 << 20;
/// Runs that are merged at a time, so that their pieces stay below 8 MiB. More are merged in several rounds.
pub(crate) const RUNS_MAX: usize = 32;

/// The reason why a merge stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The current file is not in the order of the keys, because a user edited it. It must be sorted first.
    Unsorted,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// The current objects, with their JSON text, in the order of the keys.
pub(crate) type Current<'c> = dyn FnMut() -> Result<Option<(Key, String)>, Stop> + 'c;
/// Takes the new objects, in the order of the keys.
pub(crate) type Sink<'s> = dyn FnMut(Key, String) -> Result<()> + 's;

/// The content of a staging file.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) identifiers: Vec<String>,
    /// The beginning and end of each run.
    pub(crate) runs: Vec<(u64, u64)>,
}

/// The first line of each batch.
#[derive(Deserialize)]
struct Header {
    identifiers: Vec<String>,
}

/// A row: operation, values of the identifiers, fields.
#[derive(Deserialize)]
struct RowLine<'j>(&'j str, #[serde(borrow)] Vec<&'j RawValue>, #[serde(borrow)] &'j RawValue);

/// A staged row.
struct Row {
    operation: Operation,
    key: Key,
    key_json: Vec<Box<RawValue>>,
    fields: Box<RawValue>,
}

fn damaged(error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("the staged rows cannot be read: {error}"))
}

/// Returns the word for an operation in a staging file.
pub(crate) fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
    }
}

impl Row {
    fn parse(line: &[u8]) -> serde_json::Result<Row> {
        let RowLine(operation, key_json, fields) = serde_json::from_slice(line)?;
        let operation = match operation {
            "create" => Operation::Create,
            "update" => Operation::Update,
            _ => Operation::Delete,
        };
        let key = key_json.iter().map(|value| Part::parse(value.get())).collect::<serde_json::Result<Key>>()?;
        let key_json = key_json.into_iter().map(ToOwned::to_owned).collect();
        Ok(Row { operation, key, key_json, fields: fields.to_owned() })
    }
}

/// Scans a staging file for its runs; `not-found` when there is no such file.
pub(crate) fn scan(path: &str) -> Result<Staging> {
    let mut staging = Staging { identifiers: Vec::new(), runs: Vec::new() };
    let mut lines = Lines::new(path, 0, u64::MAX, SCAN_PIECE_BYTES);
    let (mut last, mut start, mut end): (Option<Key>, u64, u64) = (None, 0, 0);
    while let Some((offset, line)) = lines.next_line()? {
        let after = offset + line.len() as u64;
        if line.starts_with(b"{") {
            let Header { identifiers } = serde_json::from_slice(line).map_err(|error| damaged(&error))?;
            if !staging.identifiers.is_empty() && staging.identifiers != identifiers {
                return Err(Error::internal("one kind was written with different identifiers in one run"));
            }
            staging.identifiers = identifiers;
        } else {
            let key = Row::parse(line).map_err(|error| damaged(&error))?.key;
            if last.as_ref().is_some_and(|last| key <= *last) {
                staging.runs.push((start, end));
                start = offset;
            }
            last = Some(key);
        }
        end = after;
    }
    if last.is_some() {
        staging.runs.push((start, end));
    }
    Ok(staging)
}

/// A run that is being read.
struct Run {
    lines: Lines,
    head: Option<Row>,
}

impl Run {
    fn open(path: &str, (start, end): (u64, u64)) -> Result<Run> {
        let mut run = Run { lines: Lines::new(path, start, end, RUN_PIECE_BYTES), head: None };
        run.take()?;
        Ok(run)
    }

    /// Returns the head and reads the next one.
    fn take(&mut self) -> Result<Option<Row>> {
        let next = loop {
            match self.lines.next_line()? {
                Some((_, line)) if line.starts_with(b"{") => {}
                Some((_, line)) => break Some(Row::parse(line).map_err(|error| damaged(&error))?),
                None => break None,
            }
        };
        Ok(std::mem::replace(&mut self.head, next))
    }
}

/// Rows that do not fit the file: it was modified since it was compared, or the plan is older than the file.
#[derive(Debug, Default)]
pub(crate) struct Misfits {
    /// Creates of objects that exist with other values: their number, and the first one's key.
    existing: (u64, String),
    /// Updates of objects that do not exist.
    missing: (u64, String),
}

impl Misfits {
    fn note(of: &mut (u64, String), row: &Row) {
        if of.0 == 0 {
            of.1 = row.key_json.iter().map(|value| value.get()).collect::<Vec<_>>().join(", ");
        }
        of.0 += 1;
    }

    /// Fails if the kind cannot be written.
    pub(crate) fn check(&self, kind: &str) -> Result<()> {
        let again = "the file was modified meanwhile: run again";
        match (&self.missing, &self.existing) {
            ((0, _), (0, _)) => Ok(()),
            ((0, _), (count, first)) => Err(Error::conflict(format!(
                "{count} new object(s) of {kind} already exist in the file with other values (the first: {first}); {again}"
            ))),
            ((count, first), _) => {
                Err(Error::not_found(format!("{count} object(s) of {kind} to update are not in the file (the first: {first}); {again}")))
            }
        }
    }
}

/// An object during a merge. Its text is kept unless a row changes it.
enum Held {
    Nothing,
    Text(String),
    Object(Object),
}

impl Held {
    fn object(self) -> Result<Option<Object>> {
        Ok(match self {
            Held::Nothing => None,
            Held::Text(text) => {
                Some(Object::parse(text.as_bytes()).map_err(|error| Error::config(format!("an object cannot be read: {error}: {text}")))?)
            }
            Held::Object(object) => Some(object),
        })
    }

    fn apply(self, row: &Row, identifiers: &[String], misfits: &mut Misfits) -> Result<Held> {
        let fields = Members::parse(row.fields.get().as_bytes()).map_err(|error| damaged(&error))?;
        Ok(match (row.operation, self) {
            // An object that is gone already is no failure.
            (Operation::Delete, _) => Held::Nothing,
            (Operation::Create, Held::Nothing) => {
                let mut object = Object::default();
                identifiers.iter().zip(&row.key_json).for_each(|(name, value)| object.set(name, value));
                fields.0.iter().for_each(|(name, value)| object.set(name, value));
                Held::Object(object)
            }
            (Operation::Update, Held::Nothing) => {
                Misfits::note(&mut misfits.missing, row);
                Held::Nothing
            }
            (operation, held) => match held.object()? {
                None => Held::Nothing,
                Some(object) if operation == Operation::Create => {
                    // The same object: an earlier commit succeeded, and its answer was lost.
                    if !object.has(&fields) {
                        Misfits::note(&mut misfits.existing, row);
                    }
                    Held::Object(object)
                }
                Some(mut object) => {
                    fields.0.iter().for_each(|(name, value)| object.set(name, value));
                    Held::Object(object)
                }
            },
        })
    }
}

/// Merges the current objects and some runs of a staging file.
pub(crate) fn merge(
    current: &mut Current<'_>,
    path: &str,
    runs: &[(u64, u64)],
    identifiers: &[String],
    misfits: &mut Misfits,
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    let mut runs = runs.iter().map(|run| Run::open(path, *run)).collect::<Result<Vec<_>>>()?;
    let mut object = current()?;
    loop {
        let smallest = runs.iter().filter_map(|run| run.head.as_ref().map(|row| &row.key)).min();
        let (key, mut held) = match (object.take(), smallest) {
            (None, None) => return Ok(()),
            (Some((key, text)), smallest) if smallest.is_none_or(|smallest| key <= *smallest) => {
                object = current()?;
                (key, Held::Text(text))
            }
            (later, Some(smallest)) => {
                object = later;
                (smallest.clone(), Held::Nothing)
            }
            // The case above takes every object when no rows are left.
            (Some((key, text)), None) => (key, Held::Text(text)),
        };
        for run in &mut runs {
            if run.head.as_ref().is_some_and(|row| row.key == key)
                && let Some(row) = run.take()?
            {
                held = held.apply(&row, identifiers, misfits)?;
            }
        }
        match held {
            Held::Nothing => {}
            Held::Text(text) => sink(key, text)?,
            Held::Object(object) => sink(key, object.to_json(identifiers))?,
        }
    }
}
