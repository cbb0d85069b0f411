//! Tests the parts that need no server. Whole runs are in `tests/tests/it/inventories.rs`, and each adapter has tests of its own.

use infrahub_sync_adapter::testing::{reset, respond, respond_with, write_request};
use infrahub_sync_adapter::{ErrorKind, KindChanges, Operation, Outcome, Run, System as Names, Target, TargetField};
use serde_json::{Value, json};

use crate::body::slug;
use crate::depends::Models;
use crate::system::{Hold, Log, Paging, Selection, System, Writing};
use crate::{Api, type_by_name};

static MODELS: Models = Models {
    references: &[],
    columns: "name slug id",
    choices_or_references: &[],
    custom_fields: &[],
    unknown: &[],
    exceptions: |_, _, _| None,
    further: |_, _, _| None,
};

static WRITING: Writing = Writing {
    version: None,
    number_ids: true,
    client_ids: false,
    locks: None,
    message: Some("note"),
    reference_filter: "_id",
    sets: &["tags", "vlans"],
    types: &[],
    nullable: &[("*", "tag")],
    ignored: &[("/app/things/", "fixed")],
    defaults: &[],
    unique: &[],
    together: &[],
    imported: &[],
    made: &["/app/parts/"],
    cascades: &[],
    holds: &[Hold { list: "/app/things/", words: "is held", holders: &[("site", "/app/sites/")], members: &["first", "second"] }],
};

static ACME: System = System {
    name: "Acme",
    refusals: Names::new("Acme").with_credential("token", "ACME_TOKEN"),
    list_names: "a mapping is the application and the list",
    hints: &[],
    moved: &[],
    page_size: 1000,
    paging: Paging::Totals,
    selection: Selection::Fields,
    updated: ("last_updated", "last_updated__gte"),
    log: Log { paths: &[], since: "since", by_type: true, applications: &["app"], types: None },
    models: &MODELS,
    writing: Some(&WRITING),
};

fn api() -> Api {
    Api::new(&ACME, "https://acme.example.com")
}

fn things() -> Target {
    Target::new("Thing")
        .with_resource("app.things")
        .with_field(TargetField::new("name").identifying())
        .with_field(TargetField::new("status").at("status.label"))
        .with_field(TargetField::new("site").at("site.slug").referring_to(&["Site"]))
        .with_field(TargetField::new("role").at("role.slug"))
        .with_field(TargetField::new("tags").referring_to(&["Tag"]).many())
        .with_field(TargetField::new("place").at("scope").referring_to(&["Site"]))
        .with_field(TargetField::new("end").at("ends.0.object").referring_to(&["Port"]))
        .with_field(TargetField::new("owner").at("custom_fields.owner"))
        .with_field(TargetField::new("serial"))
        .with_field(TargetField::new("tag"))
        .with_field(TargetField::new("size"))
}

fn options() -> String {
    let plain = |kind: &str| json!({"type": kind, "required": false, "read_only": false});
    let fields = json!({
        "id": {"type": "integer", "required": false, "read_only": true}, "name": {"type": "string", "required": true, "read_only": false},
        "slug": {"type": "slug", "required": true, "read_only": false}, "serial": plain("string"), "tag": plain("string"),
        "status": {"type": "field", "required": false, "read_only": false,
                   "choices": [{"value": "active", "display_name": "In use"}, {"value": "planned", "display_name": "Planned"}]},
        "site": plain("nested object"), "role": plain("nested object"), "tags": plain("field"), "size": plain("integer"),
        "scope": {"type": "field", "required": false, "read_only": true}, "scope_type": plain("field"), "scope_id": plain("integer"),
        "ends": plain("field"), "custom_fields": plain("field"), "fixed": plain("field"),
    });
    json!({"actions": {"POST": fields, "PUT": fields}}).to_string()
}

/// Begins a run on a server that has the list.
fn begin(target: &Target) {
    reset();
    let path = api().path(target.resource_or_kind()).unwrap();
    respond("OPTIONS", &path, 200, options());
    respond("GET", &format!("{path}?limit=1&fields=id"), 200, r#"{"count": 0, "next": null, "results": []}"#);
    let changes = vec![KindChanges { target: target.clone(), creates: 1, updates: 1, deletes: 0 }];
    let run = Run { id: "r1".into(), sync: "s".into(), source: "src".into(), changes };
    assert_eq!(api().begin(&run).unwrap(), None);
}

/// Returns the body that a row becomes.
fn body(operation: Operation, row: &Value) -> Result<Value, String> {
    begin(&things());
    let method = if operation == Operation::Create { "POST" } else { "PATCH" };
    respond(method, "/api/app/things/", 200, r#"[{"id": 7}]"#);
    let outcomes = api().write(&write_request(&things(), operation, std::slice::from_ref(row))).unwrap();
    match &outcomes[..] {
        [Outcome::Written(Some(id))] if id == "7" => {}
        [Outcome::Failed(error)] => return Err(error.message.clone()),
        other => panic!("{other:?}"),
    }
    let sent = infrahub_sync_adapter::testing::requests();
    let sent: Value = serde_json::from_slice(sent.last().unwrap().body.as_deref().unwrap()).unwrap();
    Ok(sent[0].clone())
}

#[test]
fn paths_are_turned_round() {
    let peer = |kind: &str, id: &str, resource: &str| json!({"kind": kind, "key": {}, "id": id, "resource": resource});
    let fields = json!({"name": "Süd 1", "status": "In use", "site": peer("Site", "17", "dcim.sites"), "role": "leaf",
        "tags": [peer("Tag", "3", "extras.tags")], "place": peer("Site", "17", "dcim.sites"), "end": peer("Port", "5", "dcim.interfaces"),
        "owner": "Ada", "serial": "S", "size": null});
    let sent = body(Operation::Create, &json!({"key": {"name": "Süd 1"}, "fields": fields})).unwrap();
    assert_eq!(
        sent,
        json!({"name": "Süd 1", "slug": "sued-1", "status": "active", "site": 17, "role": {"slug": "leaf"}, "tags": [3],
               "scope_type": "dcim.site", "scope_id": 17, "ends": [{"object_type": "dcim.interface", "object_id": 5}],
               "custom_fields": {"owner": "Ada"}, "serial": "S", "note": "infrahub-sync: run r1 of s, from src"})
    );
}

#[test]
fn null_becomes_what_clears_the_field() {
    let fields = json!({"serial": null, "tag": null, "tags": [], "place": null, "owner": null, "size": null, "role": null, "site": null});
    let sent = body(Operation::Update, &json!({"key": {"name": "a"}, "id": "7", "fields": fields})).unwrap();
    assert_eq!(
        sent,
        json!({"id": 7, "serial": "", "tag": null, "tags": [], "scope_type": null, "scope_id": null, "custom_fields": {"owner": null},
               "size": null, "role": null, "site": null, "note": "infrahub-sync: run r1 of s, from src"})
    );
}

#[test]
fn a_value_that_is_no_choice_is_not_sent() {
    let row = json!({"key": {"name": "a"}, "id": "7", "fields": {"status": "odd"}});
    assert_eq!(body(Operation::Update, &row).unwrap_err(), "`status`: `odd` is not one of active, planned");
    let row = json!({"key": {"name": "a"}, "id": "7", "fields": {"site": {"kind": "Site", "key": {"name": "x"}}}});
    assert!(body(Operation::Update, &row).unwrap_err().contains(r#"{"name":"x"} of `Site`"#));
}

#[test]
fn all_permissions_are_checked_at_once_before_anything_is_written() {
    reset();
    let path = api().path("app.things").unwrap();
    respond("OPTIONS", &path, 200, r#"{"name": "things"}"#);
    respond("DELETE", &format!("{path}0/"), 403, r#"{"detail": "no"}"#);
    let changes = vec![KindChanges { target: things(), creates: 1, updates: 1, deletes: 1 }];
    let error = api().begin(&Run { id: "r".into(), sync: "s".into(), source: "a".into(), changes }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    let words = "Acme does not permit `token` (ACME_TOKEN) to add and change and delete objects of `app.things`";
    assert!(error.message.starts_with(words), "{}", error.message);
}

#[test]
fn slugs_are_made_of_names() {
    for (name, expected) in [
        ("Zürich Süd", "zuerich-sued"),
        ("  A / B  ", "a-b"),
        ("QFX_5120-48Y", "qfx_5120-48y"),
        ("Łódź", "lodz"),
        ("東京", "u6771u4eac"),
        ("Київ 2", "u43au438u457u432-2"),
        ("⚠\u{fe0f}", "u26a0ufe0f"),
    ] {
        assert_eq!(slug(name), expected);
    }
    assert_eq!(slug(&"ab-".repeat(60)).len(), 100);
    assert_eq!(slug(&format!("{} b", "a".repeat(99))), "a".repeat(99));
}

#[test]
fn a_type_has_the_name_of_its_list() {
    assert_eq!(type_by_name("/virtualization/interfaces/").as_deref(), Some("virtualization.vminterface"));
    assert_eq!(type_by_name("/users/users/"), None);
}

fn failed(outcomes: &[Outcome]) -> Vec<Option<ErrorKind>> {
    outcomes.iter().map(|outcome| if let Outcome::Failed(error) = outcome { Some(error.kind) } else { None }).collect()
}

/// Answers creates of things whose names have an `x` with a refusal.
fn refusing(refusal: fn(&[Value]) -> Value) {
    respond_with(move |request| {
        let bodies: Vec<Value> = serde_json::from_slice(request.body.as_deref()?).ok()?;
        let is_bad = |body: &Value| body["name"].as_str().is_some_and(|name| name.contains('x'));
        Some(match bodies.iter().any(is_bad) {
            true => (400, Vec::new(), refusal(&bodies).to_string().into_bytes()),
            false => {
                (201, Vec::new(), json!(bodies.iter().map(|body| json!({"id": body["name"]})).collect::<Vec<_>>()).to_string().into_bytes())
            }
        })
    });
}

#[test]
fn rows_that_are_named_are_dropped_and_others_are_found_by_halves() {
    fn by_index(bodies: &[Value]) -> Value {
        let bad = bodies.iter().enumerate().filter(|(_, body)| body["name"].as_str().is_some_and(|name| name.contains('x')));
        json!({"detail": "no", "errors": bad.map(|(at, _)| json!({"index": at, "errors": {"name": ["is odd"]}})).collect::<Vec<_>>()})
    }
    fn aligned(bodies: &[Value]) -> Value {
        let one = |body: &Value| {
            if body["name"].as_str().is_some_and(|name| name.contains('x')) { json!({"name": ["is odd"]}) } else { json!({}) }
        };
        bodies.iter().map(one).collect()
    }
    fn first_only(_: &[Value]) -> Value {
        json!({"name": ["is odd"]})
    }
    for (refusal, most) in [(by_index as fn(&[Value]) -> Value, 2), (aligned, 2), (first_only, 15)] {
        begin(&things());
        refusing(refusal);
        let rows: Vec<Value> =
            ["a", "bx", "c", "d", "ex", "f"].iter().map(|name| json!({"key": {"name": name}, "fields": {"name": name}})).collect();
        let before = infrahub_sync_adapter::testing::requests().len();
        let outcomes = api().write(&write_request(&things(), Operation::Create, &rows)).unwrap();
        let invalid = Some(ErrorKind::Invalid);
        assert_eq!(failed(&outcomes), [None, invalid, None, None, invalid, None]);
        let Outcome::Failed(error) = &outcomes[1] else { panic!("{outcomes:?}") };
        assert_eq!((error.message.as_str(), error.http_status), ("`name`: is odd", Some(400)));
        assert!(infrahub_sync_adapter::testing::requests().len() - before <= most);
    }
}

#[test]
fn a_fault_of_the_server_about_one_row_does_not_stop_the_others() {
    for (words, kind) in
        [("IntegrityError: duplicate", ErrorKind::Conflict), ("Got a `TypeError` when calling `Tag.objects.create()`", ErrorKind::Invalid)]
    {
        begin(&things());
        respond_with(move |request| {
            if request.method == "GET" {
                return Some((200, Vec::new(), br#"{"next": null, "results": []}"#.to_vec()));
            }
            let bodies: Vec<Value> = serde_json::from_slice(request.body.as_deref()?).ok()?;
            Some(match bodies.iter().any(|body| body["name"] == "x") {
                true => (500, Vec::new(), json!({ "error": words }).to_string().into_bytes()),
                false => (201, Vec::new(), json!(bodies.iter().map(|_| json!({"id": 1})).collect::<Vec<_>>()).to_string().into_bytes()),
            })
        });
        let rows = ["a", "x", "c"].map(|name| json!({"key": {"name": name}, "fields": {"name": name}}));
        let outcomes = api().write(&write_request(&things(), Operation::Create, &rows)).unwrap();
        assert_eq!(failed(&outcomes), [None, Some(kind), None]);
    }
}

#[test]
fn a_delete_of_what_does_not_exist_is_done_and_one_that_is_needed_is_a_conflict() {
    begin(&things());
    respond("DELETE", "/api/app/things/", 409, r#"{"detail": "Unable to delete"}"#);
    respond("DELETE", "/api/app/things/1/", 204, "");
    respond("DELETE", "/api/app/things/2/", 404, "");
    respond("DELETE", "/api/app/things/3/", 409, r#"{"detail": "1 dependent object: rack R1"}"#);
    let rows: Vec<Value> = (1..=3).map(|id| json!({"key": {"name": "a"}, "id": id.to_string()})).collect();
    let outcomes = api().write(&write_request(&things(), Operation::Delete, &rows)).unwrap();
    assert!(matches!(&outcomes[..2], [Outcome::Written(_), Outcome::Unchanged(_)]), "{outcomes:?}");
    let Outcome::Failed(error) = &outcomes[2] else { panic!("{outcomes:?}") };
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("rack R1"), "{}", error.message);
}

#[test]
fn a_reference_that_holds_an_object_is_cleared_first() {
    begin(&things());
    let refusal = r#"{"errors": [{"id": 5, "errors": {"__all__": ["It is held by a site."]}}]}"#;
    respond("PATCH", "/api/app/things/", 400, refusal);
    respond("PATCH", "/api/app/things/", 200, r#"[{"id": 4}, {"id": 5}]"#);
    let things_of = json!({"results": [{"id": 5, "site": {"id": 8}}]});
    respond("GET", "/api/app/things/?limit=1000&fields=id,site&id=5", 200, things_of.to_string());
    let sites = json!({"results": [{"id": 8, "first": {"id": 4}, "second": {"id": 5}}]});
    respond("GET", "/api/app/sites/?limit=1000&fields=first,id,second&id=8", 200, sites.to_string());
    respond("PATCH", "/api/app/sites/", 200, "[]");
    let row = |id: &str| json!({"key": {"name": id}, "id": id, "fields": {"serial": "S"}});
    let outcomes = api().write(&write_request(&things(), Operation::Update, &[row("4"), row("5")])).unwrap();
    assert_eq!(failed(&outcomes), [None, None]);
    let sent = infrahub_sync_adapter::testing::requests();
    let cleared = sent.iter().find(|request| request.method == "PATCH" && request.url.contains("sites")).unwrap();
    let cleared: Value = serde_json::from_slice(cleared.body.as_deref().unwrap()).unwrap();
    assert_eq!(cleared, json!([{"id": 8, "second": null, "note": "infrahub-sync: run r1 of s, from src"}]));
}

#[test]
fn requests_are_limited_in_bytes() {
    begin(&things());
    respond_with(|request| {
        let bodies: Vec<Value> = serde_json::from_slice(request.body.as_deref()?).ok()?;
        Some((201, Vec::new(), json!(bodies.iter().map(|_| json!({"id": 1})).collect::<Vec<_>>()).to_string().into_bytes()))
    });
    let row =
        |number: u32| json!({"key": {"name": number.to_string()}, "fields": {"name": number.to_string(), "serial": "s".repeat(400_000)}});
    let rows: Vec<Value> = (0..5).map(row).collect();
    let before = infrahub_sync_adapter::testing::requests().len();
    let outcomes = api().write(&write_request(&things(), Operation::Create, &rows)).unwrap();
    assert_eq!((failed(&outcomes), infrahub_sync_adapter::testing::requests().len() - before), (vec![None; 5], 3));
}

#[test]
fn an_object_of_another_user_is_not_taken_over() {
    for (created, resource, expected) in [
        ("2026-11-24T11:00:01Z", "app.parts", None),
        ("2026-11-24T10:59:00Z", "app.parts", Some(ErrorKind::Conflict)),
        ("2026-11-24T11:00:01Z", "app.things", Some(ErrorKind::Conflict)),
    ] {
        let target = Target { resource: Some(resource.to_owned()), ..things() };
        reset();
        let path = api().path(resource).unwrap();
        respond("OPTIONS", &path, 200, options());
        let date = [("Date", "Tue, 24 Nov 2026 11:00:00 GMT")];
        infrahub_sync_adapter::testing::respond_with_headers("GET", &format!("{path}?limit=1&fields=id"), 200, &date, r#"{"results": []}"#);
        let changes = vec![KindChanges { target: target.clone(), creates: 1, updates: 0, deletes: 0 }];
        api().begin(&Run { id: "r".into(), sync: "s".into(), source: "a".into(), changes }).unwrap();
        respond("POST", &path, 400, r#"{"errors": [{"index": 0, "errors": {"__all__": ["Thing with this name already exists."]}}]}"#);
        let there = json!({"id": 9, "name": "a", "serial": "", "created": created});
        respond("GET", &format!("{path}?limit=1000&name=a"), 200, json!({"next": null, "results": [there]}).to_string());
        respond("PATCH", &path, 200, r#"[{"id": 9}]"#);
        let rows = [json!({"key": {"name": "a"}, "fields": {"name": "a", "serial": "S"}})];
        let outcomes = api().write(&write_request(&target, Operation::Create, &rows)).unwrap();
        assert_eq!(failed(&outcomes), [expected], "{created} {resource}");
        if expected.is_none() {
            let sent = infrahub_sync_adapter::testing::requests();
            let sent: Value = serde_json::from_slice(sent.last().unwrap().body.as_deref().unwrap()).unwrap();
            assert_eq!((&sent[0]["id"], &sent[0]["serial"], sent[0].get("name")), (&json!(9), &json!("S"), None), "only what differs");
        }
    }
}

#[test]
fn a_made_id_is_the_same_for_the_same_row_of_a_run_and_a_uuid() {
    let made = |texts: &[&str]| crate::body::made_id(texts);
    let id = made(&["r1", "/app/things/", "Thing", "{}"]);
    assert_eq!(id, made(&["r1", "/app/things/", "Thing", "{}"]));
    assert!([made(&["r2", "/app/things/", "Thing", "{}"]), made(&["r1/", "app/things/", "Thing", "{}"])].iter().all(|other| *other != id));
    let parts: Vec<&str> = id.split('-').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(parts[2].starts_with('8') && "89ab".contains(&parts[3][..1]), "{id}");
}
