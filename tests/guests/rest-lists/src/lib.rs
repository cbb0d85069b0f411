//! An adapter for the REST server of the tests (`tests/src/rest.rs`), as a source and as a destination. In both directions `mapping:` names a
//! list (`dcim/devices`), and fields have paths (`status.value`, `site.slug`).
//!
//! ```text
//! GET     /api/{list}/?after=ID&limit=N[&id=ID,…]   {"count": 250, "next": true, "results": [{"id": 7, …}, …]}, by id
//! GET     /api/{list}/?limit=1&{field}={value}      the objects with that value
//! OPTIONS /api/{list}/                              {"fields": {"name": {"type": "text", "unique": true, …}, …}}
//! POST    /api/{list}/                              a list of objects: 201, or 400 and nothing is written
//! PATCH   /api/{list}/                              a list of {"id": 7, …}: 200, or 400 or 404 and nothing is written
//! DELETE  /api/{list}/                              a list of {"id": 7}: 204, or 404 or 409 and nothing is written
//! ```
//!
//! | field of the project | read at | written as |
//! |---|---|---|
//! | a value | `name` | `"name": value` |
//! | a choice | `status.value` | `"status": value` |
//! | a reference | `site`, `site.slug` | `"site": id of the peer` |
//! | references | `tags` | `"tags": [ids of the peers]` |
//! | an attribute of a peer, as a plain value | `site.slug` | `"site": {"slug": value}` |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

use std::collections::BTreeMap;

use infrahub_sync_adapter::{
    Adapter, Addressing, Alias, Credential, Error, ErrorKind, Evidence, Field, FieldType, Kind, LoadRequest, Manifest, Operation, Outcome,
    Page, Query, Response, Result, Row, Run, Setting, System, Target, TargetField, WriteRequest, http, write,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The names in messages.
const SYSTEM: System = System::new("the list server").with_credential("token", "REST_LISTS_TOKEN");

/// The adapter.
struct RestLists;

impl Adapter for RestLists {
    fn manifest() -> Manifest {
        Manifest::new("rest-lists", env!("CARGO_PKG_VERSION"), "the lists of the tests' REST server")
            .with_setting(Setting::text("url", "the address of the server").required())
            .with_setting(Setting::secret("token", "its token"))
            .with_alias(Alias::new("address", "url"))
            .with_address("url")
            .with_credential(Credential::header("authorization", "Token {token}"))
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Mapping)
            .with_table("place_label", "org/places", "slug", "label")
            .with_lookup("lookup")
            .with_evidence(Evidence::TOTAL)
            .with_reads_ids()
            .with_schema()
            .with_ids()
            // Small ones: short lists of a test have several pages and writes.
            .with_page_size(3)
            .with_write_batch_max(4)
    }

    fn configure(_: &str) -> Result<RestLists> {
        Ok(RestLists)
    }

    fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        let mut kinds: Vec<Kind> = Vec::new();
        for target in targets {
            // A kind of several lists has the fields of the first one.
            if kinds.iter().any(|kind| kind.name == target.kind) {
                continue;
            }
            if let Some(schema) = Schema::of(target.resource_or_kind())? {
                kinds.push(schema.kind(target));
            }
        }
        Ok(kinds)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("the list server does not tell which objects changed"));
        }
        let list = &request.resource;
        let after: u64 = request.cursor_as()?.unwrap_or(0);
        let mut query = Query::new(&path(list)).with("after", after).with("limit", request.page_size);
        if !request.ids.is_empty() {
            query = query.with("id", request.ids.join(","));
        }
        let response = success(list, http::get(query).send()?)?;
        let count: u64 = response.get("/count").map_err(|_| SYSTEM.unexpected(list, &response))?;
        let last = response.count("/results").unwrap_or(0).saturating_sub(1);
        let next = match response.get("/next")? {
            true => Some(response.get::<u64>(&format!("/results/{last}/id"))?),
            false => None,
        };
        let page = Page::document(response, "/results").with_next(next)?;
        Ok(if request.ids.is_empty() { page.with_total(count) } else { page })
    }

    fn begin(&self, run: &Run) -> Result<Option<String>> {
        for changes in &run.changes {
            let list = changes.target.resource_or_kind();
            success(list, http::get(Query::new(&path(list)).with("limit", 1)).send()?)?;
        }
        Ok(None)
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let list = request.target.resource_or_kind();
        let bodies = request.rows().map(|row| body(&request.target, request.operation, &row?));
        write::bisect(bodies, |bodies| send(list, request.operation, bodies))
    }
}

infrahub_sync_adapter::export_adapter!(RestLists);

fn path(list: &str) -> String {
    format!("/api/{}/", list.trim_matches('/'))
}

/// Returns a response of a list that exists.
fn success(list: &str, response: Response) -> Result<Response> {
    SYSTEM.success(list, response).map_err(|error| match error.kind {
        ErrorKind::NotFound => Error { kind: ErrorKind::Config, message: format!("{}: check `mapping`", error.message), ..error },
        _ => error,
    })
}

/// The fields of a list.
#[derive(Deserialize)]
struct Schema {
    fields: BTreeMap<String, Column>,
}

#[derive(Deserialize)]
struct Column {
    #[serde(rename = "type")]
    column_type: String,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    choices: Vec<String>,
}

impl Schema {
    /// Reads it; none when there is no such list.
    fn of(list: &str) -> Result<Option<Schema>> {
        let response = http::Request::new("OPTIONS", path(list)).only_reads().send()?;
        match SYSTEM.success(list, response) {
            Ok(response) => response.parse().map(Some),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the kind of a target, in the project's words.
    fn kind(&self, target: &Target) -> Kind {
        let columns = target.fields.iter().filter_map(|field| Some((field, self.fields.get(field.split_path().0)?)));
        let identifiers: Vec<&str> = columns
            .clone()
            .filter(|(field, column)| column.unique && !field.is_reference())
            .map(|(field, _)| field.name.as_str())
            .collect();
        Kind::new(&target.kind, &identifiers, columns.map(|(field, column)| column.field(field)).collect())
    }
}

impl Column {
    fn field(&self, field: &TargetField) -> Field {
        let field_type = match (field.is_reference(), self.column_type.as_str()) {
            (true, "objects") => FieldType::ReferenceList,
            (true, _) => FieldType::Reference,
            (false, "number") => FieldType::Integer,
            (false, _) => FieldType::Text,
        };
        Field {
            optional: !self.required,
            unique: self.unique && !field.is_reference(),
            references: field.peers.clone(),
            choices: if field.is_reference() { Vec::new() } else { self.choices.clone() },
            ..Field::new(&field.name, field_type)
        }
    }
}

/// Returns a row in the server's words.
fn body(target: &Target, operation: Operation, row: &Row) -> Result<Value> {
    let mut body = Map::new();
    if operation != Operation::Create {
        let id = row.known_id()?;
        let id: u64 = id.parse().map_err(|_| Error::invalid(format!("`{id}` is not an id of the list server")))?;
        body.insert("id".to_owned(), json!(id));
    }
    for (name, value) in &row.fields {
        let field = target.known_field(name)?;
        let (column, attribute) = field.split_path();
        let value = match attribute {
            _ if field.is_reference() => field.with_peers(value, |peer| Ok(json!(peer.id_as::<u64>()?)))?,
            None | Some("value") => value.clone(),
            Some(_) if value.is_null() => Value::Null,
            Some(attribute) => json!({ attribute: value }),
        };
        body.insert(column.to_owned(), value);
    }
    Ok(Value::Object(body))
}

/// Sends rows in one request. A single row that is already written is not a failure: a write may be repeated after an interruption.
fn send(list: &str, operation: Operation, bodies: &[Value]) -> Result<Vec<Outcome>> {
    let method = match operation {
        Operation::Create => "POST",
        Operation::Update => "PATCH",
        Operation::Delete => "DELETE",
    };
    let response = http::Request::new(method, path(list)).with_json(&bodies)?.send()?;
    match (SYSTEM.success(list, response), bodies) {
        (Ok(response), _) if operation == Operation::Create => {
            let created: Vec<Identified> = response.parse()?;
            Ok(created.into_iter().map(|object| Outcome::Written(Some(object.id.to_string()))).collect())
        }
        (Ok(_), _) => Ok(bodies.iter().map(|body| Outcome::Written(id_of(body))).collect()),
        (Err(error), [body]) if operation == Operation::Delete && error.kind == ErrorKind::NotFound => {
            Ok(vec![Outcome::Unchanged(id_of(body))])
        }
        (Err(error), [body]) if operation == Operation::Create && error.kind == ErrorKind::Invalid => match existing(list, body)? {
            Some(id) => Ok(vec![Outcome::Unchanged(Some(id.to_string()))]),
            None => Err(error),
        },
        (Err(error), _) => Err(error),
    }
}

#[derive(Deserialize)]
struct Identified {
    id: u64,
}

fn id_of(body: &Value) -> Option<String> {
    body.get("id").map(ToString::to_string)
}

/// Returns the object that has all plain values of a body.
fn existing(list: &str, body: &Value) -> Result<Option<u64>> {
    let plain = body.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let query = plain.fold(Query::new(&path(list)).with("limit", 1), |query, (name, value)| query.with(name, value));
    let found: Vec<Identified> = success(list, http::get(query).send()?)?.get("/results")?;
    Ok(found.first().map(|object| object.id))
}

#[cfg(test)]
mod tests {
    use infrahub_sync_adapter::testing::{first_page_of, load_all, requests, reset, respond, respond_with, write_request};

    use super::*;

    fn devices() -> Target {
        Target::new("Device")
            .with_resource("inventory/devices")
            .with_field(TargetField::new("name").at("hostname").identifying())
            .with_field(TargetField::new("status").at("status.value"))
            .with_field(TargetField::new("site").at("site.slug").referring_to(&["Site"]))
            .with_field(TargetField::new("role").at("role.slug"))
            .with_field(TargetField::new("tags").at("tags").referring_to(&["Tag"]).many())
    }

    fn sent(at: usize) -> Value {
        serde_json::from_slice(requests()[at].body.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn lists_are_read_behind_the_last_id() {
        reset();
        let page = |ids: &[u64], next: bool| {
            let results: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            json!({"count": 3, "next": next, "results": results}).to_string()
        };
        respond("GET", "/api/inventory/devices/?after=0&limit=1000", 200, page(&[2, 7], true));
        respond("GET", "/api/inventory/devices/?after=7&limit=1000", 200, page(&[9], false));
        assert_eq!(load_all(&RestLists, first_page_of(&devices())).unwrap().len(), 3);
        reset();
        respond("GET", "/api/inventory/devices/?after=0&limit=1000", 404, "");
        assert_eq!(RestLists.load(&first_page_of(&devices())).unwrap_err().kind, ErrorKind::Config);
    }

    #[test]
    fn paths_are_turned_round() {
        reset();
        respond("POST", "/api/inventory/devices/", 201, r#"[{"id": 4}]"#);
        let fields = json!({"name": "r1", "status": "active", "role": "leaf", "site": {"kind": "Site", "key": {"slug": "zrh"}, "id": "17"},
            "tags": [{"kind": "Tag", "key": {}, "id": "3"}, {"kind": "Tag", "key": {}, "id": "4"}]});
        let rows = [json!({"key": {"name": "r1"}, "fields": fields})];
        let outcomes = RestLists.write(&write_request(&devices(), Operation::Create, &rows)).unwrap();
        assert!(matches!(&outcomes[..], [Outcome::Written(Some(id))] if id == "4"), "{outcomes:?}");
        assert_eq!(sent(0), json!([{"hostname": "r1", "status": "active", "role": {"slug": "leaf"}, "site": 17, "tags": [3, 4]}]));
    }

    #[test]
    fn a_row_at_fault_does_not_keep_others_from_being_written() {
        reset();
        respond_with(|request| {
            if request.method == "GET" {
                return Some((200, Vec::new(), br#"{"count": 0, "next": false, "results": []}"#.to_vec()));
            }
            let bodies: Vec<Value> = serde_json::from_slice(request.body.as_deref()?).ok()?;
            match bodies.iter().any(|body| body["status"] == "odd") {
                true => Some((400, Vec::new(), br#"{"detail": "odd is not a status"}"#.to_vec())),
                false => Some((201, Vec::new(), json!(bodies.iter().map(|_| json!({"id": 1})).collect::<Vec<_>>()).to_string().into())),
            }
        });
        let row = |name: &str, status: &str| json!({"key": {"name": name}, "fields": {"name": name, "status": status}});
        let unknown = json!({"key": {"name": "x"}, "fields": {"name": "x", "site": {"kind": "Site", "key": {"slug": "zrh"}}}});
        let rows = [row("a", "active"), unknown, row("b", "odd"), row("c", "active")];
        let outcomes = RestLists.write(&write_request(&devices(), Operation::Create, &rows)).unwrap();
        let kinds: Vec<Option<ErrorKind>> =
            outcomes.iter().map(|outcome| if let Outcome::Failed(error) = outcome { Some(error.kind) } else { None }).collect();
        assert_eq!(kinds, [None, Some(ErrorKind::NotFound), Some(ErrorKind::Invalid), None]);
    }

    #[test]
    fn a_schema_is_in_the_words_of_the_project() {
        reset();
        let fields = json!({"hostname": {"type": "text", "unique": true, "required": true}, "site": {"type": "object"},
            "status": {"type": "choice", "choices": ["active", "planned"]}, "tags": {"type": "objects"}, "other": {"type": "text"}});
        respond("OPTIONS", "/api/inventory/devices/", 200, json!({ "fields": fields }).to_string());
        respond("OPTIONS", "/api/nope/", 404, "");
        let kinds = RestLists.kinds(&[devices(), Target::new("Nope").with_resource("nope")]).unwrap();
        assert_eq!((kinds.len(), kinds[0].name.as_str(), kinds[0].identifiers.join(" ")), (1, "Device", "name".into()));
        let field = |name: &str| kinds[0].fields.iter().find(|field| field.name == name).unwrap();
        assert_eq!((field("site").references.join(" "), field("status").choices.join(" ")), ("Site".into(), "active planned".into()));
        assert!(!field("name").optional && field("tags").type_ == FieldType::ReferenceList);
    }
}
