//! Mutations: many rows a request, each with an outcome of its own.
//!
//! A document is one aliased mutation a row, `m0` with the variable `$d0` and so on, so that its text depends on the kind and the number
//! of rows alone. The server executes the rows one after the other, each in a transaction of its own.
//!
//! | answer | what it means | what is done |
//! |---|---|---|
//! | data, and errors with a path | rows were executed, those in the errors were refused | an outcome a row |
//! | no data, an error that names `$d7` | nothing was executed, because of row 7 | row 7 failed, the others are sent again |
//! | no data, other errors | nothing was executed | halves, until the row is found |
//! | none | rows may have been executed | creates are looked up by their ids; what is missing is sent again |

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use infrahub_sync_adapter::{Error, ErrorKind, Operation, Outcome, Result, Row, WriteRequest, log};
use serde_json::{Map, Value, json};

use crate::Infrahub;
use crate::graphql::{Answer, Client, Refusal, Sent, is_collision};
use crate::input::Inputs;
use crate::run::Context;
use crate::schema::{Cardinality, Field, KindSchema, Schema};

/// Times that rows are sent again after their answer was lost.
const LOSSES_MAX: u32 = 3;
/// Times that the server is asked which of the rows are there, while it may still be executing them.
const LOOKS_MAX: u32 = 50;
/// Looks without anything new after which the server is taken to have stopped.
const QUIET_LOOKS: u32 = 3;
/// Ids that are tried for one row.
const ATTEMPTS_MAX: u32 = 5;
/// Kinds of attributes whose values Infrahub may store in other words than it was given.
const REWRITTEN: [&str; 4] = ["IPHost", "IPNetwork", "MacAddress", "DateTime"];
/// Collisions of a batch that are looked into; each costs a request or two.
const COLLISIONS_EXPLAINED: u32 = 10;

/// A row on its way.
struct Pending {
    /// Its place in the batch.
    index: usize,
    id: String,
    attempt: u32,
    input: Map<String, Value>,
}

struct Writer<'w> {
    inputs: Inputs<'w>,
    client: Client<'w>,
    rows: Vec<Row>,
    outcomes: Vec<Option<Outcome>>,
    /// What is still to be sent, a document each.
    waiting: Vec<Vec<Pending>>,
    losses: u32,
    explained: u32,
}

/// Writes a batch.
pub(crate) fn write(adapter: &Infrahub, request: &WriteRequest) -> Result<Vec<Outcome>> {
    let schema = adapter.schema()?;
    let context = Context::known()?;
    let kind = schema.known(&request.kind)?;
    let rows = request.rows().collect::<Result<Vec<Row>>>()?;
    let inputs = Inputs { schema: &schema, kind, operation: request.operation, context: &context };
    let mut writer = Writer {
        inputs,
        client: Client::new(&context.branch),
        outcomes: (0..rows.len()).map(|_| None).collect(),
        rows,
        waiting: Vec::new(),
        losses: 0,
        explained: 0,
    };
    let all = (0..writer.rows.len()).filter_map(|index| writer.pending(index, 0)).collect();
    writer.waiting.push(all);
    while let Some(rows) = writer.waiting.pop() {
        if !rows.is_empty() {
            writer.send(rows)?;
        }
    }
    Ok(writer.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect())
}

fn unanswered() -> Outcome {
    Outcome::Failed(Error::remote("Infrahub's answer says nothing about this row"))
}

impl Writer<'_> {
    /// Makes a row ready; none, and its outcome is known, when it cannot be written.
    fn pending(&mut self, index: usize, attempt: u32) -> Option<Pending> {
        let row = self.rows.get(index)?;
        let made = self.inputs.id(row, attempt).and_then(|id| Ok((self.inputs.input(row, &id)?, id)));
        match made {
            Ok((input, id)) => Some(Pending { index, id, attempt, input }),
            Err(error) => {
                self.decide(index, Outcome::Failed(error));
                None
            }
        }
    }

    fn decide(&mut self, index: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(index) {
            *place = Some(outcome);
        }
    }

    /// Sends rows in one document and takes the answer.
    fn send(&mut self, rows: Vec<Pending>) -> Result<()> {
        let document = document(&self.inputs.kind.kind, self.inputs.operation, rows.len());
        let inputs: Map<String, Value> = match self.inputs.operation {
            Operation::Delete => rows.iter().enumerate().map(|(at, row)| (format!("d{at}"), json!({ "id": row.id }))).collect(),
            _ => rows.iter().enumerate().map(|(at, row)| (format!("d{at}"), Value::Object(row.input.clone()))).collect(),
        };
        match self.client.mutate(&document, &Value::Object(inputs))? {
            Sent::Answered(Answer { data: Some(data), errors }) => self.executed(rows, &data, &errors),
            Sent::Answered(Answer { data: None, errors }) => self.not_executed(rows, &errors),
            Sent::Lost(error) => self.lost(rows, error),
        }
    }

    /// The rows were executed, one by one.
    fn executed(&mut self, rows: Vec<Pending>, data: &Map<String, Value>, errors: &[Refusal]) -> Result<()> {
        let mut refused: BTreeMap<&str, &Refusal> = BTreeMap::new();
        for error in errors {
            if let Some(alias) = error.alias() {
                refused.entry(alias).or_insert(error);
            }
        }
        let mut again = Vec::new();
        for (at, row) in rows.into_iter().enumerate() {
            let alias = format!("m{at}");
            let outcome = match (refused.get(alias.as_str()), data.get(&alias)) {
                (Some(refusal), _) => match self.refused(&row, refusal)? {
                    Some(outcome) => outcome,
                    None => {
                        again.push((row.index, row.attempt + 1));
                        continue;
                    }
                },
                (None, Some(Value::Object(answer))) => match answer.get("object").and_then(|object| object.get("id")?.as_str()) {
                    Some(id) => Outcome::Written(Some(id.to_owned())),
                    None => Outcome::Written(Some(row.id)),
                },
                (None, _) => unanswered(),
            };
            self.decide(row.index, outcome);
        }
        let again = again.into_iter().filter_map(|(index, attempt)| self.pending(index, attempt)).collect();
        self.waiting.push(again);
        Ok(())
    }

    /// What a refusal means for a row; none when it is to be sent again with another id.
    fn refused(&mut self, row: &Pending, refusal: &Refusal) -> Result<Option<Outcome>> {
        match self.inputs.operation {
            Operation::Create if refusal.message.contains("already in use") && refusal.message.contains(&row.id) => {
                // Ours: the create was sent before, and its answer did not arrive. Or it was made, and deleted or renamed since.
                let there = self.there(std::slice::from_ref(row))?;
                if there.contains(&row.id) {
                    return Ok(Some(Outcome::Written(Some(row.id.clone()))));
                }
                let outcome = (row.attempt + 1 >= ATTEMPTS_MAX).then(|| Outcome::Failed(refusal.error()));
                Ok(outcome)
            }
            Operation::Create if is_collision(&refusal.message) => {
                let error = if self.explained < COLLISIONS_EXPLAINED {
                    self.explained += 1;
                    self.collision(row, refusal)
                } else {
                    refusal.error()
                };
                Ok(Some(Outcome::Failed(error)))
            }
            // It is gone, which is what was wanted.
            Operation::Delete if refusal.is("NODE_NOT_FOUND") || refusal.message.starts_with("Unable to find the node") => {
                Ok(Some(Outcome::Unchanged(None)))
            }
            _ => Ok(Some(Outcome::Failed(refusal.error()))),
        }
    }

    /// Nothing was executed: the document was refused because of one of its rows.
    fn not_executed(&mut self, rows: Vec<Pending>, errors: &[Refusal]) -> Result<()> {
        // Of the whole request, whatever its rows are.
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
            return self.halves(rows, errors);
        }
        let mut others = Vec::with_capacity(rows.len() - named.len());
        for (at, row) in rows.into_iter().enumerate() {
            match named.get(&at) {
                Some(refusal) => self.decide(row.index, Outcome::Failed(refusal.error())),
                None => others.push(row),
            }
        }
        self.waiting.push(others);
        Ok(())
    }

    fn halves(&mut self, mut rows: Vec<Pending>, errors: &[Refusal]) -> Result<()> {
        if rows.len() > 1 {
            let second = rows.split_off(rows.len() / 2);
            self.waiting.push(second);
            self.waiting.push(rows);
            return Ok(());
        }
        let error = errors.first().map_or_else(|| Error::remote("Infrahub refused the row without a word"), Refusal::error);
        if let Some(row) = rows.first() {
            self.decide(row.index, Outcome::Failed(error));
        }
        Ok(())
    }

    /// The answer is lost. An update or a delete of a known object is sent again; of creates those that are not there.
    fn lost(&mut self, rows: Vec<Pending>, error: Error) -> Result<()> {
        self.losses += 1;
        log::warn(&format!(
            "Infrahub's answer about {} `{}` was lost ({}); looking what was written",
            rows.len(),
            self.inputs.kind.kind,
            error.message
        ));
        if self.losses > LOSSES_MAX {
            for row in rows {
                let message = format!("it is not known whether this was written: {}", error.message);
                self.decide(row.index, Outcome::Failed(Error { message, ..error.clone() }));
            }
            return Ok(());
        }
        if self.inputs.operation != Operation::Create {
            self.waiting.push(rows);
            return Ok(());
        }
        let mut there = self.there(&rows)?;
        let mut quiet = 0;
        // The server goes on with a request whose client is gone. What it makes while we look is not made a second time.
        for _ in 0..LOOKS_MAX {
            if there.len() == rows.len() || quiet == QUIET_LOOKS {
                break;
            }
            let now = self.there(&rows)?;
            quiet = if now.len() > there.len() { 0 } else { quiet + 1 };
            there = now;
        }
        let mut missing = Vec::new();
        for row in rows {
            if there.contains(&row.id) {
                self.decide(row.index, Outcome::Written(Some(row.id)));
            } else {
                missing.push(row);
            }
        }
        self.waiting.push(missing);
        Ok(())
    }

    /// Which of the rows' ids are there, of objects that are still what the rows make: somebody may have renamed one since.
    fn there(&self, rows: &[Pending]) -> Result<HashSet<String>> {
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
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let name = &kind.kind;
        let document = format!("query($ids:[ID],$limit:Int!){{{name}(ids:$ids,limit:$limit){{edges{{node{{{fields}}}}}}}}}");
        let data = self.client.ask(&format!("`{name}`"), &document, &json!({ "ids": ids, "limit": ids.len() }))?;
        let edges = data.get(name).and_then(|list| list.get("edges")?.as_array()).cloned().unwrap_or_default();
        let nodes = edges.iter().filter_map(|edge| edge.get("node"));
        let ours = nodes.filter_map(|node| {
            let id = node.get("id")?.as_str()?;
            let row = rows.iter().find(|row| row.id == id)?;
            self.is_made_by(row, node).then(|| id.to_owned())
        });
        Ok(ours.collect())
    }

    /// Whether an object has the identifiers of a row, as far as both can be compared.
    fn is_made_by(&self, row: &Pending, node: &Value) -> bool {
        let Some(key) = self.rows.get(row.index).map(|row| &row.key) else { return true };
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

    /// Says which object stands in the way of a new one.
    fn collision(&self, row: &Pending, refusal: &Refusal) -> Error {
        let kind = self.inputs.kind;
        let ours = self.rows.get(row.index).map(|row| Value::Object(row.key.clone()).to_string()).unwrap_or_default();
        let constraint = constraint(&refusal.message);
        let Some((fields, (id, label, other))) =
            candidates(self.inputs.schema, kind, constraint.as_deref()).into_iter().find_map(|(owner, fields)| {
                let filters = filters(kind, &fields, &row.input)?;
                Some((fields, self.find(owner, &filters)?))
            })
        else {
            return refusal.error();
        };
        let by = fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" and ");
        Error::conflict(format!(
            "{ours} is not created, for Infrahub takes it for another object: `{label}` ({other} {id}) has the same {by}. Make the values \
             differ, or the schema's uniqueness as fine as the project's `identifiers` ({})",
            refusal.message.trim()
        ))
    }

    /// The first object that fits: id, label, kind.
    fn find(&self, kind: &str, filters: &str) -> Option<(String, String, String)> {
        let document = format!("{{{kind}({filters},limit:1){{edges{{node{{id display_label __typename}}}}}}}}");
        let data = self.client.ask(&format!("`{kind}`"), &document, &json!({})).ok()?;
        let node = data.get(kind)?.get("edges")?.get(0)?.get("node")?;
        let text = |name: &str| Some(node.get(name)?.as_str()?.to_owned());
        let id = text("id")?;
        Some((id.clone(), text("display_label").unwrap_or(id), text("__typename")?))
    }
}

/// The document for `count` rows.
fn document(kind: &str, operation: Operation, count: usize) -> String {
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

/// The row of `Variable '$d17' got invalid value …`.
fn variable(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("$d")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok()
}

/// The name in `Violates uniqueness constraint 'device-name'`.
fn constraint(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("constraint '")?;
    Some(rest.split_once('\'')?.0.to_owned())
}

/// What may have been violated, and by objects of which kind: the named constraint, else each that the schema has.
fn candidates<'s>(schema: &'s Schema, kind: &'s KindSchema, named: Option<&str>) -> Vec<(&'s str, Vec<String>)> {
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

/// The filters that find an object with the row's values; none where the row has none.
fn filters(kind: &KindSchema, fields: &[String], input: &Map<String, Value>) -> Option<String> {
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
