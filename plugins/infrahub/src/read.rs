//! Lists, page by page, all as of one moment.

use std::fmt::Write as _;
use std::time::Duration;

use infrahub_sync_adapter::{Error, LoadRequest, Page, Response, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Start;
use crate::kinds::{allocated, is_pool};
use crate::schema::{Cardinality, Field, KindSchema};
use crate::{DEFAULT_BRANCH, Infrahub, PAGE_SIZE};

/// Times that a first page is asked for until the moment of the load has passed, which is a second away at most. A server that gives two
/// full pages in that time gives all of them soon after, and the number of objects shows what changed meanwhile.
const TRIES: u32 = 2;

/// Changes are asked for from so many seconds before the moment of the last load: a change that was on its way to the database then has a
/// time from before.
const OVERLAP: u64 = 30;

/// Where to go on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Position {
    /// Objects read so far.
    offset: u64,
    /// Objects in all, as the first page told.
    count: u64,
    /// The moment of the first page, where that is not the load's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
}

/// Something that is asked of each object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    Attribute {
        /// The kind's objects may have profiles, which give values that nobody wrote.
        profiles: bool,
    },
    One,
    /// An object that a pool may have given; the pool is then the source of the relationship, and what the project refers to.
    Allocated,
    Many,
    /// `display_label` and `hfid`, which every object has.
    Meta,
}

/// One page of a list.
#[derive(Deserialize)]
struct List {
    count: u64,
    #[serde(default)]
    edges: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    node: Map<String, Value>,
}

/// Reads one page.
pub(crate) fn load(adapter: &Infrahub, request: &LoadRequest) -> Result<Page> {
    let schema = adapter.schema()?;
    let kind = schema.known(&request.resource)?;
    let asked = asked(kind, request, &allocated(&adapter.settings.branch))?;
    let since = match &request.since {
        Some(since) => Some(changed_since(adapter, since)?),
        None => None,
    };
    let document = document(&kind.kind, &asked, since.is_some());
    let position: Option<Position> = request.cursor_as()?;
    let mut start = Start::of_list(position.is_none(), position.and_then(|position| position.at));
    let offset = position.map_or(0, |position| position.offset);
    let mut variables = json!({ "offset": offset, "limit": request.page_size.clamp(1, PAGE_SIZE) });
    if let (Some(since), Some(variables)) = (since, variables.as_object_mut()) {
        variables.insert("since".to_owned(), json!(since));
    }
    let mut tries = 0;
    let (list, total, at) = loop {
        tries += 1;
        let at = start.as_ref().and_then(Start::at);
        let response = adapter.client().query(&format!("`{}`", kind.kind), &document, &variables, at.as_deref())?;
        let passed = start.as_ref().is_none_or(|start| start.passed(&response));
        let list = list(&kind.kind, &response)?;
        let total = if request.since.is_some() { number(&response, "/data/all/count") } else { Some(list.count) };
        // One page is whole, whenever it was made. The first of several must be of the same moment as the others.
        let is_whole = list.edges.len() as u64 >= list.count;
        if position.is_none() && !is_whole && start.as_mut().is_some_and(|start| start.pin(&response)) {
            continue;
        }
        if position.is_some() || passed || is_whole || tries >= TRIES {
            break (list, total, at);
        }
    };
    if let Some(position) = position.filter(|position| position.count != list.count) {
        return Err(Error::conflict(format!(
            "`{}` was changed in Infrahub while it was read ({} objects, now {}), so that some of it may have been left out: run again",
            kind.kind, position.count, list.count
        )));
    }
    let read = offset + list.edges.len() as u64;
    if list.edges.is_empty() && read < list.count {
        return Err(Error::remote(format!("Infrahub told of {} `{}` and gave {read}", list.count, kind.kind)));
    }
    let pinned = start.as_ref().filter(|start| Start::known().as_ref() != Some(*start)).and_then(|start| start.at);
    let next = (read < list.count).then_some(Position { offset: read, count: list.count, at: pinned });
    let records = list.edges.into_iter().map(|edge| record(edge.node, &asked));
    let page = Page::records(records)?.with_next(next)?;
    let page = match at {
        Some(at) => page.with_watermark(&at),
        None => page,
    };
    Ok(match total {
        Some(total) => page.with_total(total),
        None => page,
    })
}

/// The moment from which on changes are asked for.
///
/// # Errors
/// `unsupported` on a branch: there an object's time of change goes back when what was changed is taken away, and the removal of a peer
/// leaves no trace.
fn changed_since(adapter: &Infrahub, since: &str) -> Result<String> {
    let branch = &adapter.settings.branch;
    if branch != DEFAULT_BRANCH {
        return Err(Error::unsupported(format!("on the branch `{branch}` Infrahub does not tell everything that has changed")));
    }
    let moment = humantime::parse_rfc3339(since).map_err(|_| Error::unsupported(format!("`{since}` is no moment")))?;
    Ok(humantime::format_rfc3339_seconds(moment - Duration::from_secs(OVERLAP)).to_string())
}

fn number(response: &Response, pointer: &str) -> Option<u64> {
    response.json(&[pointer]).into_iter().next()??.parse().ok()
}

fn list(kind: &str, response: &Response) -> Result<List> {
    let list = response.json(&[&format!("/data/{kind}")]).into_iter().next().flatten();
    list.and_then(|list| serde_json::from_str(&list).ok())
        .ok_or_else(|| Error::remote(format!("Infrahub's answer about `{kind}` is no list")))
}

/// What is asked of each object: the fields that the mapping reads, no others, since each costs the server a millisecond.
fn asked<'r>(kind: &KindSchema, request: &'r LoadRequest, allocated: &[String]) -> Result<Vec<(&'r str, Asked)>> {
    let names =
        if request.model.is_empty() { request.top_level_fields() } else { request.model.iter().map(|(name, _)| name.as_str()).collect() };
    let profiles = kind.generate_profile == Some(true);
    let mut asked = Vec::with_capacity(names.len());
    for name in names {
        asked.push((
            name,
            match kind.field(name) {
                Some(Field::Attribute(attribute)) => {
                    // A mandatory attribute is never left to a profile.
                    Asked::Attribute { profiles: profiles && (attribute.optional || !attribute.default_value.is_null()) }
                }
                Some(Field::Relationship(relationship)) => match relationship.cardinality {
                    Cardinality::One if allocated.contains(&relationship.peer) => Asked::Allocated,
                    Cardinality::One => Asked::One,
                    Cardinality::Many => Asked::Many,
                },
                None if name == "id" => continue,
                None if matches!(name, "display_label" | "hfid") => Asked::Meta,
                None => {
                    return Err(Error::config(format!("`{}` has no field `{name}` in Infrahub's schema", kind.kind)));
                }
            },
        ));
    }
    Ok(asked)
}

/// The query of a list. Its text depends on the fields alone, so that the server parses it once.
///
/// With `changed` only what changed since is asked for, and how many objects there are in all.
fn document(kind: &str, asked: &[(&str, Asked)], changed: bool) -> String {
    let mut fields = String::from("id");
    for (name, asked) in asked {
        // Writing to a String cannot fail.
        let _ = match asked {
            Asked::Attribute { profiles: false } => write!(fields, " {name}{{value}}"),
            Asked::Attribute { profiles: true } => write!(fields, " {name}{{value is_from_profile}}"),
            // Without its kind the server cannot resolve a peer that may be of several (a generic, the parent in a hierarchy).
            Asked::One => write!(fields, " {name}{{node{{id __typename}}}}"),
            Asked::Allocated => write!(fields, " {name}{{node{{id __typename}} properties{{source{{id __typename}}}}}}"),
            Asked::Many => write!(fields, " {name}{{edges{{node{{id __typename}}}}}}"),
            Asked::Meta => write!(fields, " {name}"),
        };
    }
    let (variable, filter, all) = match changed {
        true => (",$since:DateTime!", ",node_metadata__updated_at__after:$since", format!(" all:{kind}{{count}}")),
        false => ("", "", String::new()),
    };
    format!(
        "query($offset:Int!,$limit:Int!{variable}){{{kind}(offset:$offset,limit:$limit,order:{{disable:true}}{filter})\
         {{count edges{{node{{{fields}}}}}}}{all}}}"
    )
}

/// An object as the host knows it: attributes as values, relationships as objects with an id.
fn record(mut node: Map<String, Value>, asked: &[(&str, Asked)]) -> Map<String, Value> {
    let mut record = Map::new();
    if let Some(id) = node.remove("id") {
        record.insert("id".to_owned(), id);
    }
    for (name, asked) in asked {
        let Some(value) = node.remove(*name) else { continue };
        let value = match (asked, value) {
            (Asked::Attribute { .. }, Value::Object(mut attribute)) => {
                // What a profile gives is no value of the object: a source that says nothing about it is not contradicted.
                let of_profile = attribute.get("is_from_profile").and_then(Value::as_bool) == Some(true);
                if of_profile { Value::Null } else { attribute.remove("value").unwrap_or(Value::Null) }
            }
            (Asked::One, edge) => peer(edge).unwrap_or(Value::Null),
            (Asked::Allocated, edge) => pool(&edge).or_else(|| peer(edge)).unwrap_or(Value::Null),
            (Asked::Many, Value::Object(mut set)) => match set.remove("edges") {
                Some(Value::Array(edges)) => edges.into_iter().filter_map(peer).collect(),
                _ => Value::Null,
            },
            (_, other) => other,
        };
        record.insert((*name).to_owned(), value);
    }
    record
}

fn peer(edge: Value) -> Option<Value> {
    match edge {
        Value::Object(mut edge) => edge.remove("node")?.as_object_mut()?.remove("id").map(|id| json!({ "id": id })),
        _ => None,
    }
}

/// The pool that gave the peer of a relationship.
fn pool(edge: &Value) -> Option<Value> {
    let source = edge.get("properties")?.get("source")?;
    let is_pool = is_pool(source.get("__typename")?.as_str()?);
    let id = source.get("id").filter(|_| is_pool && edge.get("node").is_some_and(Value::is_object))?;
    Some(json!({ "id": id }))
}
