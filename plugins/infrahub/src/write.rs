//! Writes many rows a request, each with an outcome of its own.
//!
//! A document is one aliased mutation a row, `m0` with the variable `$d0` and so on, so its text depends only on the kind and the number
//! of rows. The server executes the rows one after the other, each in a transaction of its own.
//!
//! | answer | meaning | action |
//! |---|---|---|
//! | data, and errors with a path | rows were executed, those in the errors were rejected | an outcome a row |
//! | no data, an error that names `$d7` | nothing was executed, because of row 7 | row 7 fails, the others are sent again |
//! | no data, other errors | nothing was executed | halves, until the row is found |
//! | none | rows may have been executed | creates are looked up by their ids; the host settles the others |

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use infrahub_sync_adapter::write::Batch;
use infrahub_sync_adapter::{Error, ErrorKind, Operation, Outcome, Result, Row, Target, WriteRequest};
use serde_json::{Map, Value, json};

use crate::Infrahub;
use crate::adopt::{empty_the_rest, has_template};
use crate::graphql::{Answer, Client, Refusal, Sent, is_collision};
use crate::input::Inputs;
use crate::run::Context;
use crate::schema::{Cardinality, Field, KindSchema, Schema};

/// The most ids that are tried for one row.
const ATTEMPTS_MAX: u32 = 5;
/// Kinds of attributes whose values Infrahub may store in another spelling.
const REWRITTEN: [&str; 4] = ["IPHost", "IPNetwork", "MacAddress", "DateTime"];
/// The most collisions of a batch that are explained; each costs a request or two.
const COLLISIONS_EXPLAINED: u32 = 10;

/// A row on its way.
pub(crate) struct Pending {
    pub(crate) id: String,
    attempt: u32,
    pub(crate) input: Map<String, Value>,
}

pub(crate) struct Writer<'w> {
    pub(crate) inputs: Inputs<'w>,
    pub(crate) client: Client<'w>,
    pub(crate) target: &'w Target,
    pub(crate) rows: Vec<Row>,
    pub(crate) batch: Batch<Pending>,
    explained: u32,
}

/// Writes a batch.
pub(crate) fn write(adapter: &Infrahub, request: &WriteRequest) -> Result<Vec<Outcome>> {
    let schema = adapter.schema()?;
    let context = Context::known()?;
    let kind = schema.known(&request.target.kind)?;
    let mut rows = request.rows().collect::<Result<Vec<Row>>>()?;
    if request.operation == Operation::Create {
        rows.iter_mut().filter(|row| has_template(kind, row)).for_each(|row| empty_the_rest(kind, &request.target, row));
    }
    let inputs = Inputs { schema: &schema, kind, operation: request.operation, context: &context };
    let (client, batch) = (Client::new(&context.branch), Batch::empty(rows.len()));
    let mut writer = Writer { inputs, client, target: &request.target, batch, rows, explained: 0 };
    let all = (0..writer.rows.len()).filter_map(|number| writer.pending(number, 0)).collect();
    writer.batch.send_again(all);
    while let Some(rows) = writer.batch.next_request() {
        writer.send(rows)?;
    }
    Ok(writer.batch.outcomes())
}

impl Writer<'_> {
    /// Prepares a row. Returns `None` for a row that cannot be written, which has failed then.
    fn pending(&mut self, number: usize, attempt: u32) -> Option<(usize, Pending)> {
        let row = self.rows.get(number)?;
        let made = self.inputs.id(row, attempt).and_then(|id| Ok((self.inputs.input(row, &id)?, id)));
        match made {
            Ok((input, id)) => Some((number, Pending { id, attempt, input })),
            Err(error) => {
                self.batch.decide(number, Outcome::Failed(error));
                None
            }
        }
    }

    /// Sends rows in one document and takes the answer.
    fn send(&mut self, rows: Vec<(usize, Pending)>) -> Result<()> {
        let document = document(&self.inputs.kind.kind, self.inputs.operation, rows.len());
        let inputs: Map<String, Value> = match self.inputs.operation {
            Operation::Delete => rows.iter().enumerate().map(|(at, (_, row))| (format!("d{at}"), json!({ "id": row.id }))).collect(),
            _ => rows.iter().enumerate().map(|(at, (_, row))| (format!("d{at}"), Value::Object(row.input.clone()))).collect(),
        };
        match self.client.mutate(&self.inputs.kind.kind, &document, &Value::Object(inputs))? {
            Sent::Answered(Answer { data: Some(data), errors }) => self.executed(rows, &data, &errors),
            Sent::Answered(Answer { data: None, errors }) => self.not_executed(rows, &errors),
            Sent::Lost(error) => {
                self.lost(rows, &error);
                Ok(())
            }
        }
    }

    /// Takes the answer to rows that were executed, one by one.
    fn executed(&mut self, rows: Vec<(usize, Pending)>, data: &Map<String, Value>, errors: &[Refusal]) -> Result<()> {
        let mut refused: BTreeMap<&str, &Refusal> = BTreeMap::new();
        for error in errors {
            if let Some(alias) = error.alias() {
                refused.entry(alias).or_insert(error);
            }
        }
        let mut again = Vec::new();
        let mut collided = Vec::new();
        for (at, row) in rows.into_iter().enumerate() {
            let alias = format!("m{at}");
            let (number, pending) = &row;
            let outcome = match (refused.get(alias.as_str()), data.get(&alias)) {
                (Some(refusal), _) if self.may_be_of_template(refusal) => {
                    collided.push((row, (*refusal).clone()));
                    continue;
                }
                (Some(refusal), _) => match self.refused(&row, refusal)? {
                    Some(outcome) => outcome,
                    None => {
                        again.push((*number, pending.attempt + 1));
                        continue;
                    }
                },
                (None, Some(Value::Object(answer))) => {
                    let id = answer.get("object").and_then(|object| object.get("id")?.as_str());
                    Outcome::Written(Some(id.unwrap_or(&pending.id).to_owned()))
                }
                (None, _) => continue,
            };
            self.batch.decide(*number, outcome);
        }
        let again = again.into_iter().filter_map(|(number, attempt)| self.pending(number, attempt)).collect();
        self.batch.send_again(again);
        self.adopt(collided)
    }

    /// Returns the outcome of a rejected row; none when it is sent again with another id.
    fn refused(&mut self, numbered: &(usize, Pending), refusal: &Refusal) -> Result<Option<Outcome>> {
        let (number, row) = numbered;
        match self.inputs.operation {
            Operation::Create if refusal.message.contains("already in use") && refusal.message.contains(&row.id) => {
                // The create was sent before, and its answer was lost. Or the object was made, and deleted or renamed since.
                let there = self.there(std::slice::from_ref(numbered))?;
                if there.contains(&row.id) {
                    return Ok(Some(Outcome::Written(Some(row.id.clone()))));
                }
                let outcome = (row.attempt + 1 >= ATTEMPTS_MAX).then(|| Outcome::Failed(refusal.error()));
                Ok(outcome)
            }
            Operation::Create | Operation::Update if is_collision(&refusal.message) => {
                Ok(Some(Outcome::Failed(self.collided(*number, row, refusal))))
            }
            // It is gone already.
            Operation::Delete if refusal.is("NODE_NOT_FOUND") || refusal.message.starts_with("Unable to find the node") => {
                Ok(Some(Outcome::Unchanged(None)))
            }
            _ => Ok(Some(Outcome::Failed(refusal.error()))),
        }
    }

    /// Makes the failure of a new object that another one is in the way of.
    pub(crate) fn collided(&mut self, number: usize, row: &Pending, refusal: &Refusal) -> Error {
        if self.explained >= COLLISIONS_EXPLAINED {
            return refusal.error();
        }
        self.explained += 1;
        self.collision(number, row, refusal)
    }

    /// Takes the answer to a document that was rejected because of one of its rows. Nothing was executed.
    fn not_executed(&mut self, rows: Vec<(usize, Pending)>, errors: &[Refusal]) -> Result<()> {
        // An error of the whole request, independent of its rows.
        if let Some(error) = errors.iter().map(Refusal::error).find(|error| error.kind == ErrorKind::Auth) {
            return Err(error);
        }
        let mut named: BTreeMap<usize, &Refusal> = BTreeMap::new();
        for error in errors {
            if let Some(at) = variable(&error.message).filter(|at| *at < rows.len()) {
                named.entry(at).or_insert(error);
            }
        }
        if named.is_empty() {
            let error = errors.first().map_or_else(|| Error::remote("Infrahub rejects the row without a reason"), Refusal::error);
            self.batch.halve(rows, error);
            return Ok(());
        }
        let mut others = Vec::with_capacity(rows.len() - named.len());
        for (at, row) in rows.into_iter().enumerate() {
            match named.get(&at) {
                Some(refusal) => self.batch.decide(row.0, Outcome::Failed(refusal.error())),
                None => others.push(row),
            }
        }
        self.batch.send_again(others);
        Ok(())
    }

    /// Decides rows whose answer was lost, as far as that is known. The host waits, reads back updates and deletes, and sends again what was not
    /// written. A create is known by its id: one whose object is there was executed, and sending another one again does no harm.
    fn lost(&mut self, rows: Vec<(usize, Pending)>, error: &Error) {
        let is_create = self.inputs.operation == Operation::Create;
        let there = if is_create { self.there(&rows).unwrap_or_default() } else { HashSet::new() };
        // A server that asked for patience may have executed it, too.
        let kind = if error.kind == ErrorKind::Transport { ErrorKind::Transport } else { ErrorKind::Remote };
        for (number, row) in rows {
            let outcome = if there.contains(&row.id) {
                Outcome::Written(Some(row.id))
            } else if is_create {
                Outcome::Failed(Error { kind: ErrorKind::RateLimited, ..error.clone() })
            } else {
                Outcome::Failed(Error { kind, ..error.clone() })
            };
            self.batch.decide(number, outcome);
        }
    }

    /// Returns the ids of the rows whose objects exist and have the rows' identifiers: another user may have renamed one since.
    fn there(&self, rows: &[(usize, Pending)]) -> Result<HashSet<String>> {
        let kind = self.inputs.kind;
        let mut fields = String::from("id");
        for name in self.rows.first().into_iter().flat_map(|row| row.key.keys()) {
            // Writing to a String cannot fail.
            let _ = match kind.field(name) {
                Some(Field::Attribute(_)) => write!(fields, " {name}{{value}}"),
                Some(Field::Relationship(relationship)) if relationship.cardinality == Cardinality::One => {
                    write!(fields, " {name}{{node{{id __typename}}}}")
                }
                _ => Ok(()),
            };
        }
        let ids: Vec<&str> = rows.iter().map(|(_, row)| row.id.as_str()).collect();
        let name = &kind.kind;
        let document = format!("query($ids:[ID],$limit:Int!){{{name}(ids:$ids,limit:$limit){{edges{{node{{{fields}}}}}}}}}");
        let data = self.client.ask(name, &document, &json!({ "ids": ids, "limit": ids.len() }))?;
        let edges = data.get(name).and_then(|list| list.get("edges")?.as_array()).cloned().unwrap_or_default();
        let nodes = edges.iter().filter_map(|edge| edge.get("node"));
        let ours = nodes.filter_map(|node| {
            let id = node.get("id")?.as_str()?;
            let (number, row) = rows.iter().find(|(_, row)| row.id == id)?;
            self.is_made_by(*number, row, node).then(|| id.to_owned())
        });
        Ok(ours.collect())
    }

    /// Says whether an object has the identifiers of a row, as far as they can be compared.
    fn is_made_by(&self, number: usize, row: &Pending, node: &Value) -> bool {
        let Some(key) = self.rows.get(number).map(|row| &row.key) else { return true };
        key.keys().all(|name| {
            let (part, found) = match self.inputs.kind.field(name) {
                Some(Field::Attribute(attribute)) if !REWRITTEN.contains(&attribute.kind.as_str()) => ("value", node.get(name)),
                Some(Field::Relationship(_)) => ("id", node.get(name).and_then(|peer| peer.get("node"))),
                _ => return true,
            };
            let wanted = row.input.get(name).and_then(|wanted| wanted.get(part));
            wanted.is_none_or(|wanted| found.and_then(|found| found.get(part)) == Some(wanted))
        })
    }

    /// Makes the failure that names the object in the way of a new one.
    fn collision(&self, number: usize, row: &Pending, refusal: &Refusal) -> Error {
        let kind = self.inputs.kind;
        let ours = self.rows.get(number).map(|row| Value::Object(row.key.clone()).to_string()).unwrap_or_default();
        let constraint = constraint(&refusal.message);
        let is_new = self.inputs.operation == Operation::Create;
        let Some((fields, nulls, (id, label, other))) =
            candidates(self.inputs.schema, kind, constraint.as_deref()).into_iter().find_map(|(owner, fields)| {
                let Filters { text, nulls } = collision_filters(kind, &fields, &row.input, is_new)?;
                let found = self.find(owner, &text, &row.id)?;
                Some((fields, nulls, found))
            })
        else {
            return refusal.error();
        };
        let named = |fields: &[String]| fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" and ");
        let by = named(&fields);
        if !nulls.is_empty() {
            let nulls = named(&nulls);
            return Error::conflict(format!(
                "{ours} collides with another object of Infrahub: neither it nor `{label}` ({other} {id}) has a value for {nulls}. Two objects \
                 without a value are equal there. Give each a value of its own (map {nulls}), or make it not unique in the schema ({})",
                refusal.message.trim()
            ));
        }
        Error::conflict(format!(
            "{ours} collides with another object of Infrahub: `{label}` ({other} {id}) has the same {by}. Change one of the values, or make the \
             schema's uniqueness constraint as fine as the project's `identifiers` ({})",
            refusal.message.trim()
        ))
    }

    /// Returns the first object that fits, other than `own`: id, label, kind.
    fn find(&self, kind: &str, filters: &str, own: &str) -> Option<(String, String, String)> {
        let document = format!("{{{kind}({filters},limit:2){{edges{{node{{id display_label __typename}}}}}}}}");
        let data = self.client.ask(kind, &document, &json!({})).ok()?;
        let mut nodes = data.get(kind)?.get("edges")?.as_array()?.iter().filter_map(|edge| edge.get("node"));
        let node = nodes.find(|node| node.get("id").and_then(Value::as_str) != Some(own))?;
        let text = |name: &str| Some(node.get(name)?.as_str()?.to_owned());
        let id = text("id")?;
        Some((id.clone(), text("display_label").unwrap_or(id), text("__typename")?))
    }
}

/// Returns the document for `count` rows.
pub(crate) fn document(kind: &str, operation: Operation, count: usize) -> String {
    let (word, input, answer) = match operation {
        Operation::Create => ("Create", format!("{kind}CreateInput"), "ok object{id}"),
        Operation::Update => ("Update", format!("{kind}UpdateInput"), "ok object{id}"),
        Operation::Delete => ("Delete", "DeleteInput".to_owned(), "ok"),
    };
    let mut document = String::with_capacity(count * (2 * kind.len() + 60));
    document.push_str("mutation(");
    for at in 0..count {
        // Writing to a String cannot fail.
        let _ = write!(document, "$d{at}:{input}!,");
    }
    document.push_str("){");
    for at in 0..count {
        let _ = write!(document, "m{at}:{kind}{word}(data:$d{at}){{{answer}}} ");
    }
    document.push('}');
    document
}

/// Returns the row of `Variable '$d17' got invalid value …`.
fn variable(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("$d")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok()
}

/// Returns the name in `Violates uniqueness constraint 'device-name'`.
pub(crate) fn constraint(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("constraint '")?;
    Some(rest.split_once('\'')?.0.to_owned())
}

/// Returns the constraints that may be violated, with the kind of the objects: the named one, else each of the schema.
pub(crate) fn candidates<'s>(schema: &'s Schema, kind: &'s KindSchema, named: Option<&str>) -> Vec<(&'s str, Vec<String>)> {
    let first = |part: &String| part.split("__").next().unwrap_or(part).to_owned();
    let generics = kind.inherit_from.iter().filter_map(|generic| schema.kind(generic));
    let mut found: Vec<(&str, Vec<String>)> = Vec::new();
    for owner in std::iter::once(kind).chain(generics) {
        let unique = owner.attributes.iter().filter(|attribute| attribute.unique).map(|attribute| vec![attribute.name.clone()]);
        let constraints = owner.uniqueness_constraints.iter().flatten().chain(&owner.human_friendly_id);
        let constraints = constraints.map(|constraint| constraint.iter().map(first).collect());
        found.extend(unique.chain(constraints).map(|fields: Vec<String>| (owner.kind.as_str(), fields)));
    }
    if let Some(named) = named {
        let mut wanted: Vec<&str> = named.split('-').collect();
        wanted.sort_unstable();
        let fits = |fields: &[String]| {
            let mut fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            fields.sort_unstable();
            fields == wanted
        };
        if found.iter().any(|(_, fields)| fits(fields)) {
            found.retain(|(_, fields)| fits(fields));
        }
    }
    found
}

/// Returns the filters that find an object with the row's values; none where the row has no values.
pub(crate) fn filters(kind: &KindSchema, fields: &[String], input: &Map<String, Value>) -> Option<String> {
    let mut filters = Vec::with_capacity(fields.len());
    for field in fields {
        let value = input.get(field)?;
        filters.push(match kind.field(field)? {
            // JSON's texts, numbers and booleans are GraphQL's.
            Field::Attribute(_) => format!("{field}__value:{}", value.get("value").filter(|value| !value.is_null())?),
            Field::Relationship(_) => format!("{field}__ids:[{}]", value.get("id")?),
        });
    }
    (!filters.is_empty()).then(|| filters.join(","))
}

/// The filters that find an object with the row's values.
struct Filters {
    text: String,
    /// The fields in which the row has no value.
    nulls: Vec<String>,
}

/// Returns the filters of a constraint's fields; none where a value is not known. Of an update, only the values that change are known; a
/// constraint of one field that it does not change can only be about a missing value.
fn collision_filters(kind: &KindSchema, fields: &[String], input: &Map<String, Value>, is_new: bool) -> Option<Filters> {
    let mut filters = Vec::with_capacity(fields.len());
    let mut nulls = Vec::new();
    for field in fields {
        let given = input.get(field);
        if given.is_none() && !is_new && fields.len() > 1 {
            return None;
        }
        let filter = match kind.field(field)? {
            Field::Attribute(attribute) => {
                let value = given.and_then(|given| given.get("value")).filter(|value| !value.is_null());
                // JSON's texts, numbers and booleans are GraphQL's.
                let value = value.or(Some(&attribute.default_value)).filter(|value| !value.is_null());
                value.map(|value| format!("{field}__value:{value}"))
            }
            Field::Relationship(_) => given.and_then(|given| given.get("id")).map(|id| format!("{field}__ids:[{id}]")),
        };
        filters.push(filter.unwrap_or_else(|| {
            nulls.push(field.clone());
            format!("{field}__isnull:true")
        }));
    }
    (!filters.is_empty()).then(|| Filters { text: filters.join(","), nulls })
}
