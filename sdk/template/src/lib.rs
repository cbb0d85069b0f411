//! An adapter for a REST API with paged lists, as a source and as a destination. Replace the parts that are special about your system.
//!
//! ```text
//! GET    /v1/{list}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, …], "total": 250}
//! GET    /v1/{list}/{id}              {"id": "7", "name": "r1"}
//! POST   /v1/{list}                   201 {"id": "8", …}; 409 {"id": "7", …} when there is one of that name
//! PATCH  /v1/{list}/{id}              200
//! DELETE /v1/{list}/{id}              204
//! ```

use infrahub_sync_adapter::{
    Adapter, Addressing, Credential, Error, ErrorKind, Evidence, LoadRequest, Manifest, Operation, Outcome, Page, Query, Result, Row,
    Setting, System, Target, WriteRequest, http, path_segment,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The names in messages about refusals.
const SYSTEM: System = System::new("the inventory").with_credential("token", "INVENTORY_TOKEN");

/// The adapter. It keeps nothing: all that it needs is in the requests.
struct Inventory;

/// The cursor: where to continue, and the number of objects so far.
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
            .with_credential(Credential::header("authorization", "Bearer {token}"))
            // In both directions, a project names the list by `mapping:`.
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Mapping)
            .with_evidence(Evidence::TOTAL)
            .with_ids()
            .with_page_size(100)
            .with_write_batch_max(100)
    }

    fn configure(_settings: &str) -> Result<Inventory> {
        Ok(Inventory)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("this system does not tell which objects changed"));
        }
        let list = &request.resource;
        let before: Option<Position> = request.cursor_as()?;
        let page = before.as_ref().map_or(1, |position| position.page);
        let url = Query::new(&list_path(list)).with("page", page).with("size", request.page_size);
        let response = SYSTEM.success(list, http::get(url).send()?)?;
        let total: u64 = response.get("/total").map_err(|_| SYSTEM.unexpected(list, &response))?;
        // Pages by number shift when an object is added or removed meanwhile, and a skipped object would look deleted.
        if before.is_some_and(|position| position.total != total) {
            return Err(Error::conflict(format!("`{list}` was modified while it was read: run again")));
        }
        let more = u64::from(page) * u64::from(request.page_size) < total;
        Page::document(response, "/items").with_total(total).with_next(more.then_some(Position { page: page + 1, total }))
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        request.outcomes(|row| write(request, &row))
    }
}

fn write(request: &WriteRequest, row: &Row) -> Result<Outcome> {
    // Objects are written to the list from which they are read, whatever the project calls their kind.
    let list = request.target.resource_or_kind();
    match request.operation {
        Operation::Create => create(list, &body(&request.target, row)?),
        Operation::Update => {
            let change = http::Request::new("PATCH", object_path(list, row.known_id()?)).with_json(&body(&request.target, row)?)?;
            SYSTEM.success(list, change.send()?).map(|_| Outcome::Written(row.id.clone()))
        }
        Operation::Delete => {
            let deleted = http::Request::new("DELETE", object_path(list, row.known_id()?)).send()?;
            match SYSTEM.success(list, deleted) {
                // A write may be repeated after an interruption: this object was deleted before.
                Err(error) if error.kind == ErrorKind::NotFound => Ok(Outcome::Unchanged(row.id.clone())),
                done => done.map(|_| Outcome::Written(row.id.clone())),
            }
        }
    }
}

fn create(list: &str, body: &Map<String, Value>) -> Result<Outcome> {
    let created = http::post(list_path(list), body)?.send()?;
    let id = created.get::<Value>("/id").ok().map(id_text);
    match (SYSTEM.success(list, created), id) {
        // In the same way: an object with these values was created before.
        (Err(error), Some(id)) if error.kind == ErrorKind::Conflict && has(&object_path(list, &id), body)? => {
            Ok(Outcome::Unchanged(Some(id)))
        }
        (created, id) => created.map(|_| Outcome::Written(id)),
    }
}

/// Returns the fields of a row in the system's words: a value is written to the place from which it is read, a reference by the peer's id.
fn body(target: &Target, row: &Row) -> Result<Map<String, Value>> {
    let field = |(name, value): (&String, &Value)| {
        let field = target.known_field(name)?;
        let value = field.with_peers(value, |peer| Ok(json!(peer.id_as::<String>()?)))?;
        Ok((field.split_path().0.to_owned(), value))
    };
    row.fields.iter().map(field).collect()
}

fn list_path(list: &str) -> String {
    format!("/v1/{}", path_segment(list))
}

fn object_path(list: &str, id: &str) -> String {
    format!("{}/{}", list_path(list), path_segment(id))
}

/// Says whether the object has these values already.
fn has(url: &str, body: &Map<String, Value>) -> Result<bool> {
    let found = http::get(url).send()?;
    let found: Option<Map<String, Value>> = if found.is_success() { found.get("").ok() } else { None };
    Ok(found.is_some_and(|found| body.iter().all(|(name, value)| found.get(name) == Some(value))))
}

/// Returns an id as text, also if the system has numbers.
fn id_text(id: Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

infrahub_sync_adapter::export_adapter!(Inventory);

#[cfg(test)]
mod tests {
    //! These tests run natively, on the mock host: `cargo test`.

    use infrahub_sync_adapter::TargetField;
    use infrahub_sync_adapter::testing::{self, first_page, first_page_of, load_all, respond, write_request};

    use super::*;

    /// The project's kind `Rack`, whose objects are in the list `racks`. Its `site` is at `location` there.
    fn racks() -> Target {
        Target::new("Rack")
            .with_resource("racks")
            .with_field(TargetField::new("name").at("name").identifying())
            .with_field(TargetField::new("site").at("location").referring_to(&["Site"]))
            .with_field(TargetField::new("height"))
    }

    fn write(operation: Operation, rows: &[Value]) -> Vec<Outcome> {
        Inventory.write(&write_request(&racks(), operation, rows)).unwrap()
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
        let records = load_all(&Inventory, LoadRequest { page_size: 2, ..first_page_of(&racks()) }).unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(records[2]["name"], "Zürich");
    }

    #[test]
    fn a_list_that_moves_fails() {
        testing::reset();
        respond("GET", "/v1/racks?page=1&size=1", 200, r#"{"items": [{"id": "1"}], "total": 3}"#);
        respond("GET", "/v1/racks?page=2&size=1", 200, r#"{"items": [{"id": "3"}], "total": 2}"#);
        let error = load_all(&Inventory, LoadRequest { page_size: 1, ..first_page("racks", &[]) }).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
    }

    #[test]
    fn refusals_are_kinds_of_failure() {
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
        assert_eq!(sent, json!({"name": "r1", "location": "17"}));
        assert_eq!((failure(&outcomes[1]), failure(&outcomes[2])), (ErrorKind::Conflict, ErrorKind::NotFound));
    }

    #[test]
    fn an_object_with_these_values_is_not_created_again() {
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
    fn a_deleted_object_needs_no_delete() {
        testing::reset();
        respond("DELETE", "/v1/racks/8", 204, "");
        respond("DELETE", "/v1/racks/9", 404, "");
        let outcomes = write(Operation::Delete, &[json!({"key": {}, "id": "8"}), json!({"key": {}, "id": "9"}), json!({"key": {}})]);
        assert!(matches!(&outcomes[..2], [Outcome::Written(_), Outcome::Unchanged(_)]), "{outcomes:?}");
        assert_eq!(failure(&outcomes[2]), ErrorKind::Invalid);
    }
}
