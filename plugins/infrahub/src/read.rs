//! Reads lists page by page, all as of one moment.

use std::fmt::Write as _;
use std::time::Duration;

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Error, LoadRequest, Moment, Page, Response, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Start;
use crate::graphql::{Client, unexpected};
use crate::kinds::{allocated, is_pool};
use crate::run::Context;
use crate::schema::{Cardinality, Field, KindSchema};
use crate::{DEFAULT_BRANCH, Infrahub, PAGE_SIZE};

/// The most requests for a first page until the moment of the load has passed, which is a second away at most. A server that gives two full
/// pages in that time gives all of them soon after, and the number of objects shows changes meanwhile.
const TRIES: u32 = 2;

/// The generic of all profiles.
const PROFILE: &str = "CoreProfile";

/// The beginning of the names of their kinds.
const PROFILE_PREFIX: &str = "Profile";

/// The time before the last load from which changes are read: a change on its way to the database then has an earlier time.
const OVERLAP: Duration = Duration::from_secs(30);

/// The cursor: where to continue.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Position {
    /// Objects read so far.
    offset: u64,
    /// The number of all objects, by the first page.
    count: u64,
    /// The moment of the first page, where it is not the load's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Moment>,
}

/// A field of the query.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    Attribute {
        /// The kind's objects may have profiles, which supply values.
        profiles: bool,
    },
    One {
        /// A profile may have given the peer.
        profiles: bool,
    },
    /// A peer that a pool may have given; the pool is then the source of the relationship, and the project refers to the pool.
    Allocated,
    Many {
        /// A profile may have given the peers.
        profiles: bool,
    },
    /// `display_label` and `hfid`, which every object has.
    Meta,
}

impl Asked {
    /// Says whether the peers of a relationship may be those of a profile.
    fn is_of_profiles(self) -> bool {
        matches!(self, Asked::One { profiles: true } | Asked::Many { profiles: true })
    }

    /// Does not ask whether a profile gave the peers of a relationship, which costs the server time for each of them.
    fn without_profiles(&mut self) {
        if let Asked::One { profiles } | Asked::Many { profiles } = self {
            *profiles = false;
        }
    }
}

/// Says whether the branch has profiles at all; asked once a run.
fn has_profiles(adapter: &Infrahub) -> Result<bool> {
    let branch = &adapter.settings.branch;
    let key = format!("profiles/{branch}");
    if let Some(known) = memo::get_as(Lifetime::Run, &key) {
        return Ok(known);
    }
    if adapter.schema()?.kind(PROFILE).is_none() {
        return Ok(false);
    }
    let data = Client::new(branch).ask(PROFILE, &format!("{{{PROFILE}{{count}}}}"), &json!({}))?;
    let count = data.get(PROFILE).and_then(|list| list.get("count")?.as_u64());
    memo::put_as(Lifetime::Run, &key, &(count != Some(0)))
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
    let mut asked = asked(kind, request, &allocated(&adapter.settings.branch))?;
    if asked.iter().any(|(_, asked)| asked.is_of_profiles()) && !has_profiles(adapter)? {
        asked.iter_mut().for_each(|(_, asked)| asked.without_profiles());
    }
    let since = match &request.since {
        Some(since) => Some(changed_since(adapter, since)?),
        None => None,
    };
    let document = document(&kind.kind, &asked, request);
    let position: Option<Position> = request.cursor_as()?;
    let mut start = Start::of_list(position.is_none(), position.and_then(|position| position.at));
    let offset = position.map_or(0, |position| position.offset);
    let mut variables = json!({ "offset": offset, "limit": request.page_size.clamp(1, PAGE_SIZE) });
    if let Some(variables) = variables.as_object_mut() {
        since.into_iter().for_each(|since| drop(variables.insert("since".to_owned(), json!(since))));
        if !request.ids.is_empty() {
            variables.insert("ids".to_owned(), json!(request.ids));
        }
    }
    // What a run has written is read back where it was written, which may be a branch for review.
    let written = if request.ids.is_empty() { None } else { Context::known().ok().map(|context| context.branch) };
    let client = Client::new(written.as_deref().unwrap_or(&adapter.settings.branch));
    let mut tries = 0;
    let (list, total, at) = loop {
        tries += 1;
        let at = start.as_ref().and_then(Start::at);
        let response = client.query(&kind.kind, &document, &variables, at.as_deref())?;
        let passed = start.as_ref().is_none_or(|start| start.passed(&response));
        let list = list(&kind.kind, &response)?;
        let total = match (&request.since, request.ids.as_slice()) {
            (None, []) => Some(list.count),
            (Some(_), []) => response.get("/data/all/count").ok(),
            (_, _) => None,
        };
        // A single page is consistent at any moment. The first of several must be of the same moment as the others.
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
            "`{}` was modified in Infrahub while it was read ({} objects, now {}), so objects may be missing",
            kind.kind, position.count, list.count
        )));
    }
    let read = offset + list.edges.len() as u64;
    if list.edges.is_empty() && read < list.count {
        return Err(Error::remote(format!("Infrahub counts {} `{}` and returned {read}", list.count, kind.kind)));
    }
    let pinned = start.as_ref().filter(|start| Start::known().as_ref() != Some(*start)).and_then(|start| start.at);
    let next = (read < list.count).then_some(Position { offset: read, count: list.count, at: pinned });
    let known: Vec<Vec<&str>> = asked.iter().map(|(name, _)| known_peers(request, name)).collect();
    let records = list.edges.into_iter().map(|edge| record(edge.node, &asked, &known));
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

/// Returns the moment from which changes are read.
///
/// # Errors
/// `unsupported` on a branch: there an object's time of change goes back when a change is reverted, and the removal of a peer leaves no
/// trace.
fn changed_since(adapter: &Infrahub, since: &str) -> Result<String> {
    let branch = &adapter.settings.branch;
    if branch != DEFAULT_BRANCH {
        return Err(Error::unsupported(format!("Infrahub does not report all changes on the branch `{branch}`")));
    }
    let moment: Moment = since.parse().map_err(|_| Error::unsupported(format!("`{since}` is not the time of a load from Infrahub")))?;
    Ok((moment - OVERLAP).to_string())
}

fn list(kind: &str, response: &Response) -> Result<List> {
    response.get(&format!("/data/{kind}")).map_err(|_| unexpected(kind, response))
}

/// Returns the fields of the query: those that the mapping reads and no others, since each costs the server a millisecond.
fn asked<'r>(kind: &KindSchema, request: &'r LoadRequest, allocated: &[String]) -> Result<Vec<(&'r str, Asked)>> {
    let names = request.top_level_fields();
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
                    Cardinality::One => Asked::One { profiles: profiles && relationship.takes_profiles() },
                    Cardinality::Many => Asked::Many { profiles: profiles && relationship.takes_profiles() },
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

/// Returns the query of a list. Its text depends on the fields and on the kind of request alone, so the server parses it once.
///
/// An incremental request also asks for the number of all objects.
fn document(kind: &str, asked: &[(&str, Asked)], request: &LoadRequest) -> String {
    let mut fields = String::from("id");
    for (name, asked) in asked {
        // Writing to a String cannot fail.
        let _ = match asked {
            Asked::Attribute { profiles: false } => write!(fields, " {name}{{value}}"),
            Asked::Attribute { profiles: true } => write!(fields, " {name}{{value is_from_profile}}"),
            // Without its kind the server cannot resolve a peer that may be of several (a generic, the parent in a hierarchy).
            Asked::One { profiles: false } => write!(fields, " {name}{{node{{id __typename}}}}"),
            Asked::One { profiles: true } => write!(fields, " {name}{{node{{id __typename}} properties{{source{{__typename}}}}}}"),
            Asked::Allocated => write!(fields, " {name}{{node{{id __typename}} properties{{source{{id __typename}}}}}}"),
            Asked::Many { profiles: false } => write!(fields, " {name}{{edges{{node{{id __typename}}}}}}"),
            Asked::Many { profiles: true } => {
                write!(fields, " {name}{{edges{{node{{id __typename}} properties{{source{{__typename}}}}}}}}")
            }
            Asked::Meta => write!(fields, " {name}"),
        };
    }
    let (since, after, all) = match &request.since {
        Some(_) => (",$since:DateTime!", ",node_metadata__updated_at__after:$since", format!(" all:{kind}{{count}}")),
        None => ("", "", String::new()),
    };
    let (ids, among) = if request.ids.is_empty() { ("", "") } else { (",$ids:[ID]", ",ids:$ids") };
    format!(
        "query($offset:Int!,$limit:Int!{since}{ids}){{{kind}(offset:$offset,limit:$limit,order:{{disable:true}}{after}{among})\
         {{count edges{{node{{{fields}}}}}}}{all}}}"
    )
}

/// Returns the kinds that a field of the project may refer to.
fn known_peers<'r>(request: &'r LoadRequest, name: &str) -> Vec<&'r str> {
    let fields = request.targets.iter().flat_map(|target| &target.fields).filter(|field| field.name == name);
    fields.flat_map(|field| &field.peers).map(String::as_str).collect()
}

/// Turns an object into a record: attributes into values, relationships into objects with an id. A peer of a kind that the project does not map, which
/// is not among the `known` ones of the field, comes with its kind: the host shows it, and leaves it alone.
fn record(mut node: Map<String, Value>, asked: &[(&str, Asked)], known: &[Vec<&str>]) -> Map<String, Value> {
    let mut record = Map::new();
    if let Some(id) = node.remove("id") {
        record.insert("id".to_owned(), id);
    }
    for ((name, asked), known) in asked.iter().zip(known) {
        let Some(value) = node.remove(*name) else { continue };
        let peer = |edge: Value| peer(edge, known);
        let value = match (asked, value) {
            (Asked::Attribute { .. }, Value::Object(mut attribute)) => {
                // A value of a profile is not the object's own: a source without a value does not differ.
                let of_profile = attribute.get("is_from_profile").and_then(Value::as_bool) == Some(true);
                if of_profile { Value::Null } else { attribute.remove("value").unwrap_or(Value::Null) }
            }
            // The peers of a profile are not the object's own, either.
            (Asked::One { profiles: true }, edge) if is_of_profile(&edge) => Value::Null,
            (Asked::One { .. }, edge) => peer(edge).unwrap_or(Value::Null),
            (Asked::Allocated, edge) => pool(&edge).or_else(|| peer(edge)).unwrap_or(Value::Null),
            (Asked::Many { profiles }, Value::Object(mut set)) => match set.remove("edges") {
                Some(Value::Array(edges)) => edges.into_iter().filter(|edge| !profiles || !is_of_profile(edge)).filter_map(peer).collect(),
                _ => Value::Null,
            },
            (_, other) => other,
        };
        record.insert((*name).to_owned(), value);
    }
    record
}

fn peer(edge: Value, known: &[&str]) -> Option<Value> {
    let Value::Object(mut edge) = edge else { return None };
    let mut node = edge.remove("node")?;
    let node = node.as_object_mut()?;
    let id = node.remove("id")?;
    match node.remove("__typename") {
        Some(Value::String(kind)) if !known.is_empty() && !known.contains(&kind.as_str()) => Some(json!({ "id": id, "kind": kind })),
        _ => Some(json!({ "id": id })),
    }
}

/// Says whether a profile gave the peer of a relationship: the source is then the profile.
fn is_of_profile(edge: &Value) -> bool {
    let kind = edge.get("properties").and_then(|properties| properties.get("source")?.get("__typename")?.as_str());
    kind.is_some_and(|kind| kind.starts_with(PROFILE_PREFIX))
}

/// Returns the pool that gave the peer of a relationship.
fn pool(edge: &Value) -> Option<Value> {
    let source = edge.get("properties")?.get("source")?;
    let is_pool = is_pool(source.get("__typename")?.as_str()?);
    let id = source.get("id").filter(|_| is_pool && edge.get("node").is_some_and(Value::is_object))?;
    Some(json!({ "id": id }))
}
