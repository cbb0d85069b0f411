//! The rows of a write.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Outcome, Result, WriteRequest};

/// A row of a write.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// The natural key: identifier to value.
    pub key: Map<String, Value>,
    /// The system's own id of the object, when the host knows it.
    #[serde(default)]
    pub id: Option<String>,
    /// All set fields on create, the changed ones on update (null = clear), none on delete. A reference is
    /// `{"kind": "…", "key": {…}, "id": "…"}`: the kind that the peer really has, where the field may refer to several (all of which are then
    /// in `"of": […]`).
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// The rows of a [`WriteRequest`], one after the other.
#[derive(Debug)]
pub struct Rows<'r> {
    lines: std::slice::Split<'r, u8, fn(&u8) -> bool>,
}

impl<'r> Rows<'r> {
    /// The next row's JSON text.
    pub fn next_line(&mut self) -> Option<&'r [u8]> {
        self.lines.by_ref().find(|line| !line.is_empty())
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        let line = self.next_line()?;
        Some(serde_json::from_slice(line).map_err(|error| Error::internal(format!("a row cannot be read: {error}"))))
    }
}

impl WriteRequest {
    /// The rows, parsed one at a time.
    #[must_use]
    pub fn rows(&self) -> Rows<'_> {
        Rows { lines: self.rows.split(|byte| *byte == b'\n') }
    }

    /// Writes row by row: an error of `write` is that row's failure.
    ///
    /// # Errors
    /// `internal` when a row cannot be read; the rows before it are written then.
    pub fn outcomes(&self, mut write: impl FnMut(Row) -> Result<Outcome>) -> Result<Vec<Outcome>> {
        self.rows().map(|row| Ok(write(row?).unwrap_or_else(Outcome::Failed))).collect()
    }
}
