//! Turns rows into inputs of mutations.
//!
//! The server silently stores some values as others: 5.5 as the number 5, the text `NULL` as no text. Such values are rejected here: a row must
//! read back as it was written, or the next run finds the same difference again.

use infrahub_sync_adapter::{Error, Operation, Result, Row};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::run::Context;
use crate::schema::{Attribute, Cardinality, Field, KindSchema, Relationship, Schema};

/// Makes the inputs of one kind and operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'c> {
    pub(crate) schema: &'c Schema,
    pub(crate) kind: &'c KindSchema,
    pub(crate) operation: Operation,
    pub(crate) context: &'c Context,
}

impl Inputs<'_> {
    /// Returns the object's id: the server's, or the one that a new object gets.
    ///
    /// The adapter chooses the id of a new object, and the server rejects an id in use. So a create that is sent again, because its answer was
    /// lost or the program was killed, finds its own object instead of making a second one. `attempt` is for a run that is applied again after
    /// its objects were deleted: ids are never used twice.
    pub(crate) fn id(&self, row: &Row, attempt: u32) -> Result<String> {
        match (self.operation, &row.id) {
            (Operation::Create, _) => Ok(self.new_id(row, attempt)),
            (_, Some(id)) => Ok(id.clone()),
            (_, None) => Err(Error::internal("the row of an existing object has no id")),
        }
    }

    fn new_id(&self, row: &Row, attempt: u32) -> String {
        let mut sha = Sha256::new();
        let key = Value::Object(row.key.clone()).to_string();
        for part in [&self.context.run, &self.context.branch, &self.kind.kind, &key, &attempt.to_string()] {
            sha.update(part.as_bytes());
            sha.update([0]);
        }
        let mut id = [0u8; 16];
        for (to, from) in id.iter_mut().zip(sha.finalize()) {
            *to = from;
        }
        // Version 8 of RFC 9562: made of the program's own data.
        id[6] = id[6] & 0x0f | 0x80;
        id[8] = id[8] & 0x3f | 0x80;
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Returns the input of a row.
    ///
    /// # Errors
    /// A value that the server would reject or store as another one, with its field.
    pub(crate) fn input(&self, row: &Row, id: &str) -> Result<Map<String, Value>> {
        let mut input = Map::new();
        input.insert("id".to_owned(), json!(id));
        for (name, value) in &row.fields {
            let value = match self.kind.field(name) {
                Some(Field::Attribute(attribute)) if attribute.is_left_alone() => continue,
                Some(Field::Attribute(attribute)) => self.attribute(attribute, value)?,
                Some(Field::Relationship(relationship)) if relationship.read_only => continue,
                Some(Field::Relationship(relationship)) => self.relationship(relationship, value)?,
                None => return Err(Error::invalid(format!("Infrahub's `{}` has no field `{name}`", self.kind.kind))),
            };
            input.insert(name.clone(), value);
        }
        Ok(input)
    }

    fn attribute(&self, attribute: &Attribute, value: &Value) -> Result<Value> {
        check(attribute, value)?;
        let mut input = Map::new();
        // With a null value the server would keep null, although it has a default to go back to.
        if value.is_null() && !attribute.default_value.is_null() && self.operation == Operation::Update {
            input.insert("is_default".to_owned(), json!(true));
        } else {
            input.insert("value".to_owned(), value.clone());
        }
        self.attribute_to("", &mut input);
        Ok(Value::Object(input))
    }

    /// Adds source and owner.
    fn attribute_to(&self, prefix: &str, input: &mut Map<String, Value>) {
        // infrahub-sync marks the objects that it creates.
        if self.operation == Operation::Create {
            input.insert(format!("{prefix}is_protected"), json!(true));
        }
        for (name, id) in [("source", &self.context.source), ("owner", &self.context.owner)] {
            if let Some(id) = id {
                input.insert(format!("{prefix}{name}"), json!(id));
            }
        }
    }

    fn relationship(&self, relationship: &Relationship, value: &Value) -> Result<Value> {
        match (relationship.cardinality, value) {
            (Cardinality::One, Value::Null) => Ok(Value::Null),
            (Cardinality::One, Value::Array(peers)) => match peers.as_slice() {
                [] => Ok(Value::Null),
                [peer] => self.peer(relationship, peer),
                more => Err(Error::invalid(format!("`{}` takes one object, but the row has {}", relationship.name, more.len()))),
            },
            (Cardinality::One, peer) => self.peer(relationship, peer),
            (Cardinality::Many, Value::Null) => Ok(json!([])),
            (Cardinality::Many, Value::Array(peers)) => {
                let mut inputs: Vec<Value> = Vec::with_capacity(peers.len());
                for peer in peers {
                    let input = self.peer(relationship, peer)?;
                    // Infrahub stores a repeated peer twice, and later removes only one of them.
                    if !inputs.contains(&input) {
                        inputs.push(input);
                    }
                }
                Ok(Value::Array(inputs))
            }
            (Cardinality::Many, peer) => Ok(json!([self.peer(relationship, peer)?])),
        }
    }

    fn peer(&self, relationship: &Relationship, peer: &Value) -> Result<Value> {
        let Some(id) = peer.get("id").and_then(Value::as_str) else {
            let key = peer.get("key").unwrap_or(peer);
            return Err(Error::not_found(format!("`{}` refers to {key}, which is not in Infrahub", relationship.name)));
        };
        let mut input = Map::new();
        let kind = peer.get("kind").and_then(Value::as_str).unwrap_or_default();
        if self.schema.is_pool(kind) && !self.schema.is_pool(&relationship.peer) {
            // The pool gives the peer; for the same object it gives the same one again. The pool also becomes the source of the
            // relationship, by which it is recognized later: no other source is named.
            input.insert("from_pool".to_owned(), json!({ "id": id }));
            return Ok(Value::Object(input));
        }
        input.insert("id".to_owned(), json!(id));
        self.attribute_to("_relation__", &mut input);
        Ok(Value::Object(input))
    }
}

/// Returns a number that is too large to be known digit by digit, at any depth.
fn beyond(value: &Value) -> Option<&serde_json::Number> {
    /// 2⁶³.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            Some(number).filter(|number| number.as_f64().is_none_or(|number| number.abs() >= LIMIT))
        }
        Value::Array(items) => items.iter().find_map(beyond),
        Value::Object(map) => map.values().find_map(beyond),
        _ => None,
    }
}

/// Rejects a value that the server would store as another one, or reject together with the rows beside it.
fn check(attribute: &Attribute, value: &Value) -> Result<()> {
    let name = &attribute.name;
    match (attribute.kind.as_str(), value) {
        ("IPHost" | "IPNetwork" | "IPAddress", Value::String(text)) if text.contains('%') => {
            let message = format!("`{name}` has {value}: Infrahub drops the zone behind `%`, and would store another address");
            return Err(Error::invalid(format!("{message}. Take the zone out with a transform, or map it to a field of its own")));
        }
        ("List" | "JSON" | "Any", value) => {
            if let Some(number) = beyond(value) {
                let message = format!("`{name}` holds the number {number}: beyond 64 bits the digits of a whole number are not kept");
                return Err(Error::invalid(format!("{message}. Make it a text")));
            }
        }
        _ => {}
    }
    let wants = match (attribute.kind.as_str(), value) {
        (_, Value::Null) => return Ok(()),
        ("Number" | "NumberPool" | "Bandwidth", Value::Number(number)) if number.is_i64() => return Ok(()),
        ("Number" | "NumberPool" | "Bandwidth", _) => "a whole number",
        ("Boolean" | "Checkbox", Value::Bool(_)) => return Ok(()),
        ("Boolean" | "Checkbox", _) => "true or false",
        ("List", Value::Array(_)) => return Ok(()),
        ("List", _) => "a list",
        ("JSON", Value::Array(_) | Value::Object(_)) => return Ok(()),
        ("JSON", _) => "an object or a list",
        ("Any", _) => return Ok(()),
        (_, Value::String(text)) if text == "NULL" => {
            return Err(Error::invalid(format!("`{}` has the text `NULL`, which Infrahub stores as no value", attribute.name)));
        }
        (_, Value::String(_)) => return Ok(()),
        // A value of a closed set may be a number.
        (_, Value::Number(_)) if attribute.enumeration.as_ref().is_some_and(|values| values.contains(value)) => return Ok(()),
        (_, _) => "text",
    };
    Err(Error::invalid(format!("`{}` is {} and takes {wants}, not {value}", attribute.name, attribute.kind)))
}
