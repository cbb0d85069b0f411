//! The rows of a write.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Outcome, Result, TargetField, WriteRequest};

/// A row of a write.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// The natural key: identifier to value.
    pub key: Map<String, Value>,
    /// The system's own id of the object, when the host knows it.
    #[serde(default)]
    pub id: Option<String>,
    /// All set fields on create, the changed ones on update (null = clear), none on delete. Names are those of the model. References are
    /// read by [`Reference::all`].
    #[serde(default)]
    pub fields: Map<String, Value>,
}

impl Row {
    /// Returns the system's id of the object.
    ///
    /// # Errors
    /// `invalid` when the host does not know it.
    pub fn known_id(&self) -> Result<&str> {
        self.id.as_deref().ok_or_else(|| Error::invalid("the id of this object is unknown"))
    }
}

/// A reference of a row: another object.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// The kind of the object itself, also where the field refers to a generic kind.
    pub kind: String,
    /// Its natural key.
    pub key: Map<String, Value>,
    /// Its id in this system, when the host knows it.
    pub id: Option<String>,
    /// Its list, where the system is addressed by mapping.
    pub resource: Option<String>,
    /// The kinds that the field may refer to, where there are several.
    pub of: Vec<String>,
}

impl Reference {
    /// Reads the value of a reference field: null has no references, an object is one, and a list has all of a set.
    ///
    /// # Errors
    /// `internal` when it is not a reference.
    pub fn all(value: &Value) -> Result<Vec<Reference>> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(several) => several.iter().map(Reference::one).collect(),
            one => Ok(vec![Reference::one(one)?]),
        }
    }

    fn one(value: &Value) -> Result<Reference> {
        Reference::deserialize(value).map_err(|error| Error::internal(format!("{value} is not a reference: {error}")))
    }

    /// Returns the id in the type that the system has: text or a number.
    ///
    /// # Errors
    /// `not-found` when the host does not know the id, `invalid` when it is not of that type.
    pub fn id_as<T: FromStr>(&self) -> Result<T> {
        let Some(id) = &self.id else {
            let key = Value::Object(self.key.clone());
            return Err(Error::not_found(format!("the object {key} of `{}`, to which it refers, is not in the system", self.kind)));
        };
        id.parse().map_err(|_| Error::invalid(format!("`{id}` is not an id of `{}`", self.kind)))
    }
}

impl TargetField {
    /// Returns a value of the field with its references replaced: by null, by one value of `peer`, or by a list of them. A value of a field
    /// without references stays as it is.
    ///
    /// # Errors
    /// Those of `peer`, and those of [`Reference::all`].
    pub fn with_peers(&self, value: &Value, peer: impl Fn(&Reference) -> Result<Value>) -> Result<Value> {
        if !self.is_reference() {
            return Ok(value.clone());
        }
        let mut peers = Reference::all(value)?.iter().map(peer).collect::<Result<Vec<Value>>>()?;
        Ok(if self.many { Value::Array(peers) } else { peers.pop().unwrap_or(Value::Null) })
    }
}

/// The rows of a [`WriteRequest`], one after the other.
#[derive(Debug)]
pub struct Rows<'r> {
    lines: std::slice::Split<'r, u8, fn(&u8) -> bool>,
}

impl<'r> Rows<'r> {
    /// Returns the JSON text of the next row.
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
    /// Returns the rows, parsed one at a time.
    #[must_use]
    pub fn rows(&self) -> Rows<'_> {
        Rows { lines: self.rows.split(|byte| *byte == b'\n') }
    }

    /// Writes row by row: an error of `write` is that row's failure. [`write`](crate::write) has the ways for whole batches.
    ///
    /// # Errors
    /// `internal` when a row cannot be read; the rows before it are written then.
    pub fn outcomes(&self, mut write: impl FnMut(Row) -> Result<Outcome>) -> Result<Vec<Outcome>> {
        self.rows().map(|row| Ok(write(row?).unwrap_or_else(Outcome::Failed))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use serde_json::json;

    use super::*;
    use crate::ErrorKind;

    fn number(peer: &Reference) -> Result<Value> {
        Ok(json!(peer.id_as::<u64>()?))
    }

    #[test]
    fn references_become_what_the_system_wants() {
        let site = TargetField::new("site").referring_to(&["Site"]);
        let tags = TargetField::new("tags").referring_to(&["Tag"]).many();
        let one = json!({"kind": "Site", "key": {"name": "a"}, "id": "7", "resource": "sites"});
        assert_eq!(site.with_peers(&one, number).unwrap(), json!(7));
        assert_eq!(site.with_peers(&Value::Null, number).unwrap(), Value::Null);
        assert_eq!(tags.with_peers(&json!([one, {"kind": "Tag", "key": {}, "id": "8"}]), number).unwrap(), json!([7, 8]));
        assert_eq!(tags.with_peers(&json!([]), number).unwrap(), json!([]));
        assert_eq!(TargetField::new("note").with_peers(&one, number).unwrap(), one);
    }

    #[test]
    fn a_peer_without_a_usable_id_is_named() {
        let site = TargetField::new("site").referring_to(&["Site"]);
        let unknown = site.with_peers(&json!({"kind": "Site", "key": {"name": "Zürich"}}), number).unwrap_err();
        assert_eq!(unknown.kind, ErrorKind::NotFound);
        assert!(unknown.message.contains(r#"{"name":"Zürich"} of `Site`"#), "{}", unknown.message);
        let odd = site.with_peers(&json!({"kind": "Site", "id": "seven"}), number).unwrap_err();
        assert_eq!((odd.kind, odd.message.as_str()), (ErrorKind::Invalid, "`seven` is not an id of `Site`"));
        assert_eq!(site.with_peers(&json!("a"), number).unwrap_err().kind, ErrorKind::Internal);
    }
}
