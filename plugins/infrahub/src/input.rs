//! Rows as the inputs of mutations.
//!
//! What the server would store as something else without a word is refused here: it takes 5.5 for the number 5, and the text `NULL` for
//! no text. A row that is written must read back as what was wanted, or the next run finds the same difference again.

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
    /// The object's id: the server's, or for a new one the one that it gets.
    ///
    /// The id of a new object is ours to choose, and the server refuses an id that is in use. So a create that is sent again, because
    /// its answer was lost or the program was killed, finds its own object instead of making a second one. `attempt` is for the run that
    /// is applied again after somebody deleted what it had made: ids are never used twice.
    pub(crate) fn id(&self, row: &Row, attempt: u32) -> Result<String> {
        match (self.operation, &row.id) {
            (Operation::Create, _) => Ok(self.new_id(row, attempt)),
            (_, Some(id)) => Ok(id.clone()),
            (_, None) => Err(Error::internal("the row has no id, without which Infrahub does not know the object")),
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
        // Version 8 of RFC 9562: made from what the program knows.
        id[6] = id[6] & 0x0f | 0x80;
        id[8] = id[8] & 0x3f | 0x80;
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// The input of a row.
    ///
    /// # Errors
    /// What the server would refuse or store as something else, with the field.
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
        // Without a value the server would keep none where it has a default to go back to.
        if value.is_null() && !attribute.default_value.is_null() && self.operation == Operation::Update {
            input.insert("is_default".to_owned(), json!(true));
        } else {
            input.insert("value".to_owned(), value.clone());
        }
        self.attribute_to("", &mut input);
        Ok(Value::Object(input))
    }

    /// Adds who it is from.
    fn attribute_to(&self, prefix: &str, input: &mut Map<String, Value>) {
        // As infrahub-sync marks what it creates.
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
                more => Err(Error::invalid(format!("`{}` takes one object, and {} are to be written", relationship.name, more.len()))),
            },
            (Cardinality::One, peer) => self.peer(relationship, peer),
            (Cardinality::Many, Value::Null) => Ok(json!([])),
            (Cardinality::Many, Value::Array(peers)) => {
                let mut inputs: Vec<Value> = Vec::with_capacity(peers.len());
                for peer in peers {
                    let input = self.peer(relationship, peer)?;
                    // Infrahub stores a peer that is named twice twice, and takes only one of them away again.
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
            // The pool gives the peer; asked again for the same object, it gives the same one.
            // It also becomes the source of the relationship, by which we know it again: nobody else is named.
            input.insert("from_pool".to_owned(), json!({ "id": id }));
            return Ok(Value::Object(input));
        }
        input.insert("id".to_owned(), json!(id));
        self.attribute_to("_relation__", &mut input);
        Ok(Value::Object(input))
    }
}

/// Refuses what the server would store as something else, or refuse together with the rows beside it.
fn check(attribute: &Attribute, value: &Value) -> Result<()> {
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
            return Err(Error::invalid(format!("`{}` would be the text `NULL`, which Infrahub stores as no value", attribute.name)));
        }
        (_, Value::String(_)) => return Ok(()),
        // A text of a closed set may be a number there.
        (_, Value::Number(_)) if attribute.enumeration.as_ref().is_some_and(|values| values.contains(value)) => return Ok(()),
        (_, _) => "text",
    };
    Err(Error::invalid(format!("`{}` is {} and takes {wants}, not {value}", attribute.name, attribute.kind)))
}
