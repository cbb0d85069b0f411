//! Takes over the components that Infrahub makes from an object template.
//!
//! An object that is created from a template gets the template's components with it, such as the ports of a device. Where the plan creates the
//! same ports, each of those creates collides with a component. The component is then updated with the row's values. It is one only if it
//! was made in this run, and its identifiers are from a template: an object of another user is never taken.
//!
//! A template also gives values. Where the project maps a field and the source has no value for it, the template's must not stand there instead:
//! the next run would find a difference. Such fields are written as empty.

use std::collections::HashMap;
use std::fmt::Write as _;

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Error, Moment, Operation, Outcome, Result, Row, Target};
use serde_json::{Map, Value, json};

use crate::graphql::{Answer, Refusal, Sent, is_collision};
use crate::input::Inputs;
use crate::schema::{Field, KindSchema, Schema};
use crate::write::{Pending, Writer, candidates, constraint, document, filters};

/// Rows whose components one request looks up.
const ROWS_ASKED: usize = 50;

/// The memo of the moment of a run's first write, for all instances of the run.
const KEY: &str = "first write";

/// Stores the moment before the first write of a run, by the server's clock.
pub(crate) fn begin(at: Option<Moment>) -> Result<()> {
    at.map_or(Ok(()), |at| memo::put_as(Lifetime::Run, KEY, &at).map(drop))
}

/// Adds the mapped fields that a row leaves empty, so that no value of a template stands in them. Fields that need a value, or have a default, are left
/// to the template.
pub(crate) fn empty_the_rest(kind: &KindSchema, target: &Target, row: &mut Row) {
    for field in target.fields.iter().filter(|field| !field.identifier) {
        let may_be_empty = match kind.field(&field.name) {
            Some(Field::Attribute(attribute)) => attribute.optional && attribute.default_value.is_null() && !attribute.is_left_alone(),
            Some(Field::Relationship(relationship)) => relationship.optional && !relationship.read_only,
            None => false,
        };
        if may_be_empty && !row.fields.contains_key(&field.name) {
            row.fields.insert(field.name.clone(), Value::Null);
        }
    }
}

/// Says whether a new object is created from a template.
pub(crate) fn has_template(kind: &KindSchema, row: &Row) -> bool {
    kind.object_template().and_then(|template| row.fields.get(&template.name)).is_some_and(|template| !template.is_null())
}

/// A row whose create collided: its number, the row and the refusal.
type Collided = ((usize, Pending), Refusal);

impl Writer<'_> {
    /// Says whether the object in the way of a new one may be a component that Infrahub made from a template.
    pub(crate) fn may_be_of_template(&self, refusal: &Refusal) -> bool {
        self.inputs.operation == Operation::Create && self.inputs.kind.object_template().is_some() && is_collision(&refusal.message)
    }

    /// Updates the components that are in the way of new objects. Rows that collide with other objects fail.
    pub(crate) fn adopt(&mut self, collided: Vec<Collided>) -> Result<()> {
        let mut waiting = collided.into_iter();
        loop {
            let rows: Vec<Collided> = waiting.by_ref().take(ROWS_ASKED).collect();
            if rows.is_empty() {
                return Ok(());
            }
            let components = self.components(&rows)?;
            let mut found = Vec::with_capacity(rows.len());
            for ((number, row), refusal) in rows {
                match components.get(&number) {
                    Some(id) => found.push((number, id.clone())),
                    None => {
                        let error = self.collided(number, &row, &refusal);
                        self.batch.decide(number, Outcome::Failed(error));
                    }
                }
            }
            self.update(found)?;
        }
    }

    /// Returns the ids of the components that rows collide with, by the number of the row.
    fn components(&self, rows: &[Collided]) -> Result<HashMap<usize, String>> {
        let Some(first_write) = memo::get_as::<Moment>(Lifetime::Run, KEY) else { return Ok(HashMap::new()) };
        let kind = self.inputs.kind;
        let sources: String = kind.attributes.iter().fold(String::new(), |mut sources, attribute| {
            if self.rows.first().is_some_and(|row| row.key.contains_key(&attribute.name)) {
                // Writing to a String cannot fail.
                let _ = write!(sources, " {}{{source{{__typename}}}}", attribute.name);
            }
            sources
        });
        let mut asked = Vec::with_capacity(rows.len());
        let mut document = String::from("{");
        for ((number, row), refusal) in rows {
            if let Some(filters) = own_filters(self.inputs.schema, kind, refusal, &row.input) {
                let alias = asked.len();
                let _ = write!(
                    document,
                    "c{alias}:{}({filters},limit:2){{edges{{node_metadata{{created_at}} node{{id{sources}}}}}}} ",
                    kind.kind
                );
                asked.push(*number);
            }
        }
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        document.push('}');
        let data = self.client.ask(&kind.kind, &document, &json!({}))?;
        let component = |(alias, number): (usize, usize)| {
            let edges = data.get(&format!("c{alias}"))?.get("edges")?.as_array()?;
            let [edge] = edges.as_slice() else { return None };
            let id = edge.get("node")?.get("id")?.as_str()?.to_owned();
            is_component(self.inputs.schema, edge, first_write).then_some((number, id))
        };
        Ok(asked.into_iter().enumerate().filter_map(component).collect())
    }

    /// Writes the values of rows to the objects that exist.
    fn update(&mut self, found: Vec<(usize, String)>) -> Result<()> {
        let inputs = Inputs { operation: Operation::Update, ..self.inputs };
        let mut rows = Vec::with_capacity(found.len());
        let mut variables = Map::new();
        for (number, id) in found {
            let Some(mut row) = self.rows.get(number).cloned() else { continue };
            empty_the_rest(inputs.kind, self.target, &mut row);
            match inputs.input(&row, &id) {
                Ok(input) => {
                    variables.insert(format!("d{}", rows.len()), Value::Object(input));
                    rows.push((number, id));
                }
                Err(error) => self.batch.decide(number, Outcome::Failed(error)),
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let kind = &self.inputs.kind.kind;
        let (data, errors) = match self.client.mutate(kind, &document(kind, Operation::Update, rows.len()), &Value::Object(variables))? {
            Sent::Answered(Answer { data, errors }) => (data.unwrap_or_default(), errors),
            Sent::Lost(error) => {
                let message = format!("it is unknown whether this was written: {}", error.message);
                for (number, _) in rows {
                    self.batch.decide(number, Outcome::Failed(Error { message: message.clone(), ..error.clone() }));
                }
                return Ok(());
            }
        };
        for (at, (number, id)) in rows.into_iter().enumerate() {
            let alias = format!("m{at}");
            let refusal = errors.iter().find(|error| error.alias().is_none_or(|failed| failed == alias));
            let outcome = match (data.get(&alias), refusal) {
                (Some(Value::Object(_)), _) => Outcome::Written(Some(id)),
                (_, Some(refusal)) => Outcome::Failed(refusal.error()),
                (_, None) => Outcome::Failed(Error::remote("Infrahub does not answer for this row")),
            };
            self.batch.decide(number, outcome);
        }
        Ok(())
    }
}

/// Returns the filters that find the object of the row's own kind which has the same unique values.
fn own_filters(schema: &Schema, kind: &KindSchema, refusal: &Refusal, input: &Map<String, Value>) -> Option<String> {
    let constraint = constraint(&refusal.message);
    let own = candidates(schema, kind, constraint.as_deref()).into_iter().filter(|(owner, _)| *owner == kind.kind);
    // By a parent, since the components of two objects may have one name.
    let is_of_parent = |fields: &[String]| fields.iter().any(|field| matches!(kind.field(field), Some(Field::Relationship(_))));
    let mut own: Vec<Vec<String>> = own.map(|(_, fields)| fields).collect();
    own.sort_by_key(|fields| !is_of_parent(fields));
    own.iter().find_map(|fields| filters(kind, fields, input))
}

/// Says whether an object was made in this run, out of a template.
fn is_component(schema: &Schema, edge: &Value, first_write: Moment) -> bool {
    let created = edge.get("node_metadata").and_then(|metadata| metadata.get("created_at")?.as_str()?.parse::<Moment>().ok());
    let mut sources = edge.get("node").and_then(Value::as_object).into_iter().flat_map(Map::values);
    let of_template = |value: &Value| {
        value.get("source").and_then(|source| source.get("__typename")?.as_str()).is_some_and(|kind| schema.is_template(kind))
    };
    created.is_some_and(|created| created >= first_write) && sources.any(of_template)
}
