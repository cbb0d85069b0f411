//! An adapter for a REST API with paged lists, as a source and as a destination. Replace what is special about it by your system.
//!
//! ```text
//! GET    /v1/{resource}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, …], "total": 250}
//! GET    /v1/{resource}/{id}              {"id": "7", "name": "r1"}
//! POST   /v1/{resource}                   201 {"id": "8", …}; 409 {"id": "7", …} when there is one of that name
//! PATCH  /v1/{resource}/{id}              200
//! DELETE /v1/{resource}/{id}              204
//! ```

use infrahub_sync_adapter::{
    Adapter, Addressing, Credential, Error, ErrorKind, HeaderTemplate, LoadRequest, Manifest, Operation, Outcome, Page, Query, Response,
    Result, Row, Setting, WriteRequest, http, path_segment,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The adapter. It keeps nothing: all it needs is in the requests.
struct Inventory;

/// The cursor: where to go on, and how many objects there were.
#[derive(Serialize, Deserialize)]
struct Position {
    page: u32,
    total: u64,
}

impl Adapter for Inventory {
    fn manifest() -> Manifest {
        Manifest::new("inventory", env!("CARGO_PKG_VERSION"), "a REST API with paged lists, as a source and as a destination")
            .with_setting(Setting::text("url", "its address").required().from_environment("INVENTORY_URL"))
            .with_setting(Setting::secret("token", "an API token").from_environment("INVENTORY_TOKEN"))
            .with_address("url")
            // The host adds it to each request. The adapter never sees the token.
            .with_credential(Credential::Header(vec![HeaderTemplate::new("authorization", "Bearer {token}")]))
            .with_source(Addressing::Mapping)
            .with_destination()
            .with_ids()
            .with_page_size(100)
            .with_write_batch_max(100)
    }

    fn configure(_settings: &str) -> Result<Inventory> {
        Ok(Inventory)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("this system does not tell what changed"));
        }
        let resource = &request.resource;
        let before: Option<Position> = request.cursor_as()?;
        let page = before.as_ref().map_or(1, |position| position.page);
        let url = Query::new(&path(resource)).with("page", page).with("size", request.page_size);
        let response = http::get(url).send()?.success(resource)?;
        let Some(total) = value(&response, "/total").and_then(|total| total.as_u64()) else {
            return Err(Error::remote(format!("{resource}: the answer is no list with a `total`")));
        };
        // Pages by number shift when somebody adds or removes an object meanwhile, and what is skipped would look deleted.
        if before.is_some_and(|position| position.total != total) {
            return Err(Error::conflict(format!("{resource}: the list changed while it was read; run it again")));
        }
        let more = u64::from(page) * u64::from(request.page_size) < total;
        Page::document(response, "/items").with_total(total).with_next(more.then_some(Position { page: page + 1, total }))
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        request.outcomes(|row| write(request, &row))
    }
}

fn write(request: &WriteRequest, row: &Row) -> Result<Outcome> {
    let collection = path(request.resource.as_ref().unwrap_or(&request.kind));
    let mut fields = row.fields.clone();
    for (name, value) in &mut fields {
        if request.references.contains(name) {
            *value = plain(value)?;
        }
    }
    if request.operation == Operation::Create {
        let created = http::post(&collection, &fields)?.send()?;
        let id = value(&created, "/id").map(text);
        return match (created.success(&request.kind), id) {
            // A write may be repeated after an interruption: what is there as it should be was created before.
            (Err(error), Some(id)) if error.kind == ErrorKind::Conflict && is_there(&object(&collection, &id), &fields)? => {
                Ok(Outcome::Unchanged(Some(id)))
            }
            (created, id) => created.map(|_| Outcome::Written(id)),
        };
    }
    let id = row.id.as_deref().ok_or_else(|| Error::invalid("the id of this object is not known"))?;
    let url = object(&collection, id);
    let change = match request.operation {
        Operation::Update => http::Request::new("PATCH", url).with_json(&fields)?,
        _ => http::Request::new("DELETE", url),
    };
    match change.send()?.success(&request.kind) {
        // In the same way: what is gone was deleted before.
        Err(error) if request.operation == Operation::Delete && error.kind == ErrorKind::NotFound => Ok(Outcome::Unchanged(row.id.clone())),
        done => done.map(|_| Outcome::Written(row.id.clone())),
    }
}

fn path(resource: &str) -> String {
    format!("/v1/{}", path_segment(resource))
}

fn object(collection: &str, id: &str) -> String {
    format!("{collection}/{}", path_segment(id))
}

/// Whether the object has these fields already.
fn is_there(url: &str, fields: &Map<String, Value>) -> Result<bool> {
    let found = http::get(url).send()?;
    let found = if found.is_success() { value(&found, "") } else { None };
    Ok(found.is_some_and(|found| fields.iter().all(|(name, value)| found.get(name) == Some(value))))
}

/// The value at a pointer.
fn value(response: &Response, pointer: &str) -> Option<Value> {
    serde_json::from_str(&response.json(&[pointer]).pop()??).ok()
}

/// An id as text, whatever the system makes of it.
fn text(id: Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// A reference as this system wants it: the peer's id, or a list of them.
fn plain(reference: &Value) -> Result<Value> {
    match reference {
        Value::Array(references) => references.iter().map(plain).collect(),
        Value::Null => Ok(Value::Null),
        one => one.get("id").filter(|id| !id.is_null()).cloned().ok_or_else(|| {
            Error::invalid(format!("the id of the {} that it refers to is not known", one["kind"].as_str().unwrap_or("object")))
        }),
    }
}

infrahub_sync_adapter::export_adapter!(Inventory);

#[cfg(test)]
mod tests {
    //! Natively, on the mock host: `cargo test`.

    use infrahub_sync_adapter::testing::{self, first_page, load_all, respond};
    use serde_json::json;

    use super::*;

    fn write(operation: Operation, rows: &[Value]) -> Vec<Outcome> {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let request = WriteRequest {
            kind: "Rack".into(),
            resource: Some("racks".into()),
            operation,
            identifiers: vec!["name".into()],
            references: vec!["site".into()],
            rows: lines.into_bytes(),
            count: rows.len() as u32,
        };
        Inventory.write(&request).unwrap()
    }

    fn failure(outcome: &Outcome) -> ErrorKind {
        match outcome {
            Outcome::Failed(error) => error.kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_pages_of_a_list_are_read() {
        testing::reset();
        respond("GET", "/v1/racks?page=1&size=2", 200, r#"{"items": [{"id": "1"}, {"id": "2"}], "total": 3}"#);
        respond("GET", "/v1/racks?page=2&size=2", 200, r#"{"items": [{"id": "3", "name": "Zürich"}], "total": 3}"#);
        let records = load_all(&Inventory, LoadRequest { page_size: 2, ..first_page("racks", &["name"]) }).unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(records[2]["name"], "Zürich");
    }

    #[test]
    fn a_list_that_moves_is_not_believed() {
        testing::reset();
        respond("GET", "/v1/racks?page=1&size=1", 200, r#"{"items": [{"id": "1"}], "total": 3}"#);
        respond("GET", "/v1/racks?page=2&size=1", 200, r#"{"items": [{"id": "3"}], "total": 2}"#);
        let error = load_all(&Inventory, LoadRequest { page_size: 1, ..first_page("racks", &[]) }).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
    }

    #[test]
    fn refusals_are_cases() {
        for (status, body, kind) in [
            (401, r#"{"detail": "no token"}"#, ErrorKind::Auth),
            (404, "", ErrorKind::NotFound),
            (500, "<html>", ErrorKind::Remote),
            (200, "<html>", ErrorKind::Remote),
            (200, r#"{"results": []}"#, ErrorKind::Remote),
        ] {
            testing::reset();
            respond("GET", "/v1/racks?page=1&size=1000", status, body);
            assert_eq!(Inventory.load(&first_page("racks", &[])).unwrap_err().kind, kind);
        }
    }

    #[test]
    fn each_row_gets_its_outcome() {
        testing::reset();
        respond("POST", "/v1/racks", 201, r#"{"id": "8"}"#);
        respond("POST", "/v1/racks", 409, r#"{"detail": "there is one"}"#);
        let outcomes = write(
            Operation::Create,
            &[
                json!({"key": {"name": "r1"}, "fields": {"name": "r1", "site": {"kind": "Site", "key": {"name": "a"}, "id": "17"}}}),
                json!({"key": {"name": "r2"}, "fields": {"name": "r2"}}),
                json!({"key": {"name": "r3"}, "fields": {"name": "r3", "site": {"kind": "Site", "key": {"name": "b"}}}}),
            ],
        );
        assert!(matches!(&outcomes[0], Outcome::Written(Some(id)) if id == "8"), "{outcomes:?}");
        let sent: Value = serde_json::from_slice(testing::requests()[0].body.as_deref().unwrap()).unwrap();
        assert_eq!(sent, json!({"name": "r1", "site": "17"}));
        assert_eq!((failure(&outcomes[1]), failure(&outcomes[2])), (ErrorKind::Conflict, ErrorKind::Invalid));
    }

    #[test]
    fn what_is_there_as_it_should_be_is_not_created_again() {
        testing::reset();
        respond("POST", "/v1/racks", 409, r#"{"id": "7"}"#);
        respond("POST", "/v1/racks", 409, r#"{"id": "7"}"#);
        respond("GET", "/v1/racks/7", 200, r#"{"id": "7", "name": "r1", "height": 42}"#);
        respond("GET", "/v1/racks/7", 200, r#"{"id": "7", "name": "r1", "height": 48}"#);
        let row = json!({"key": {"name": "r1"}, "fields": {"name": "r1", "height": 42}});
        let outcomes = write(Operation::Create, &[row.clone(), row]);
        assert!(matches!(&outcomes[0], Outcome::Unchanged(Some(id)) if id == "7"), "{outcomes:?}");
        assert_eq!(failure(&outcomes[1]), ErrorKind::Conflict);
    }

    #[test]
    fn what_is_gone_needs_no_delete() {
        testing::reset();
        respond("DELETE", "/v1/racks/8", 204, "");
        respond("DELETE", "/v1/racks/9", 404, "");
        let outcomes = write(Operation::Delete, &[json!({"key": {}, "id": "8"}), json!({"key": {}, "id": "9"}), json!({"key": {}})]);
        assert!(matches!(&outcomes[..2], [Outcome::Written(_), Outcome::Unchanged(_)]), "{outcomes:?}");
        assert_eq!(failure(&outcomes[2]), ErrorKind::Invalid);
    }
}
