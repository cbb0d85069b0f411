//! Finds the objects that a delete takes along: peers of relationships with `on_delete: cascade`, and their peers in turn.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use infrahub_sync_adapter::{Dependents, Result};
use serde_json::{Value, json};

use crate::Infrahub;
use crate::schema::{Cardinality, KindSchema, Relationship};

/// Objects whose peers one request asks for. Each may have thousands of peers.
const IDS_ASKED: usize = 20;

/// Returns the objects of each kind that go along with these objects.
pub(crate) fn dependents(adapter: &Infrahub, kind: &str, ids: &[String]) -> Result<Vec<Dependents>> {
    let schema = adapter.schema()?;
    let mut known: HashSet<String> = ids.iter().cloned().collect();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut waiting = vec![(kind.to_owned(), ids.to_vec())];
    while let Some((kind, ids)) = waiting.pop() {
        let Some(kind) = schema.kind(&kind) else { continue };
        let relationships: Vec<&Relationship> = kind.cascading().collect();
        if relationships.is_empty() {
            continue;
        }
        let mut fresh: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ids in ids.chunks(IDS_ASKED) {
            for (peer_kind, id) in peers(adapter, kind, &relationships, ids)? {
                if known.insert(id.clone()) {
                    fresh.entry(peer_kind).or_default().push(id);
                }
            }
        }
        for (peer_kind, ids) in fresh {
            found.entry(peer_kind.clone()).or_default().extend_from_slice(&ids);
            waiting.push((peer_kind, ids));
        }
    }
    Ok(found.into_iter().map(|(kind, ids)| Dependents { kind, count: ids.len() as u64, ids }).collect())
}

/// Returns kind and id of the peers of some objects.
fn peers(adapter: &Infrahub, kind: &KindSchema, relationships: &[&Relationship], ids: &[String]) -> Result<Vec<(String, String)>> {
    let mut fields = String::from("id");
    for Relationship { name, cardinality, .. } in relationships {
        // Writing to a String cannot fail.
        let _ = match cardinality {
            Cardinality::One => write!(fields, " {name}{{node{{id __typename}}}}"),
            Cardinality::Many => write!(fields, " {name}{{edges{{node{{id __typename}}}}}}"),
        };
    }
    let name = &kind.kind;
    let document = format!("query($ids:[ID],$limit:Int!){{{name}(ids:$ids,limit:$limit){{edges{{node{{{fields}}}}}}}}}");
    let data = adapter.client().ask(name, &document, &json!({ "ids": ids, "limit": ids.len() }))?;
    let objects = nodes(data.get(name));
    let sets = objects.iter().flat_map(|object| relationships.iter().map(|relationship| object.get(&relationship.name)));
    let peer = |node: &Value| Some((node.get("__typename")?.as_str()?.to_owned(), node.get("id")?.as_str()?.to_owned()));
    Ok(sets.flat_map(nodes).filter_map(peer).collect())
}

/// Returns the nodes of a list, or the node of a relationship to one.
fn nodes(list: Option<&Value>) -> Vec<&Value> {
    let Some(list) = list.and_then(Value::as_object) else { return Vec::new() };
    match list.get("edges") {
        Some(Value::Array(edges)) => edges.iter().filter_map(|edge| edge.get("node")).collect(),
        _ => list.get("node").into_iter().collect(),
    }
}
