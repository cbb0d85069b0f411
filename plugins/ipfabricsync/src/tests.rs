use infrahub_sync_adapter::testing::{self, first_page, page_records};
use infrahub_sync_adapter::{ErrorKind, Target, TargetField};

use super::*;

fn adapter(settings: &Value) -> IpFabric {
    let mut all = json!({ "base_url": "https://ipf.test", "snapshot_id": "$last" });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    IpFabric::configure(&all.to_string()).unwrap()
}

/// Answers as IP Fabric does; the test answers for the tables.
fn server(version: &'static str, mut table: impl FnMut(&str, Value) -> (u16, Value) + 'static) {
    testing::reset();
    testing::respond_with(move |request| {
        let (status, answer) = match request.url.as_str() {
            "/api/version" => (200, json!({ "apiVersion": version })),
            url if url.ends_with("/snapshots") => (
                200,
                json!([
                    { "id": "old", "state": "loaded", "tsEnd": 1, "locked": true }, { "id": "new", "state": "loading" },
                    { "id": "last", "state": "loaded", "tsEnd": 3 }, { "id": "away", "state": "unloaded", "tsEnd": 4 }
                ]),
            ),
            url => table(url, serde_json::from_slice(request.body.as_ref()?).ok()?),
        };
        Some((status, Vec::new(), answer.to_string().into_bytes()))
    });
}

#[test]
fn the_snapshot_is_looked_up_once_and_must_be_loaded() {
    for (wanted, found) in [("$last", "last"), ("$prev", "old"), ("$lastLocked", "old"), ("old", "old")] {
        server("v8.0", move |_, body| (200, json!({ "data": [{ "id": body["snapshot"] }], "_meta": { "count": 1 } })));
        let adapter = adapter(&json!({ "snapshot_id": wanted }));
        for _ in 0..2 {
            let page = adapter.load(&first_page("tables/inventory/sites", &["siteName"])).unwrap();
            assert_eq!(page_records(&page), [json!({ "id": found })], "{wanted}");
        }
        assert_eq!(testing::requests().iter().filter(|request| request.url.ends_with("/snapshots")).count(), 1);
    }
    for (wanted, words) in [("away", "is unloaded"), ("new", "is loading"), ("$none", "loaded: last, old")] {
        server("v8.0", |_, _| (200, json!({})));
        let error = adapter(&json!({ "snapshot_id": wanted })).load(&first_page("tables/inventory/sites", &[])).unwrap_err();
        assert!(error.kind == ErrorKind::Config && error.message.contains(words), "{}", error.message);
    }
}

#[test]
fn the_version_of_the_api_stands_in_the_path_before_7_5() {
    for (version, wanted, path) in [
        ("v7.3", json!(null), "/api/v7.3"),
        ("v7.3", json!("v7.0"), "/api/v7.0"),
        ("v7.5", json!("v7.0"), "/api"),
        ("v8.0", json!(null), "/api"),
    ] {
        server(version, move |url, _| {
            assert_eq!(url, format!("{path}/tables/inventory/sites"));
            (200, json!({ "data": [], "_meta": { "count": 0 } }))
        });
        assert!(adapter(&json!({ "api_version": wanted })).load(&first_page("/tables/inventory/sites", &["siteName"])).is_ok());
    }
}

#[test]
fn unknown_columns_and_orders_are_left_out() {
    server("v8.0", |_, body| {
        let unknown = body["columns"].as_array().unwrap().iter().position(|name| name == "dscr" || name == "rack");
        let errors = match (unknown, body.get("sort")) {
            (_, Some(_)) => json!([{ "path": ["sort", "column"], "message": "no" }]),
            (Some(at), _) => json!([{ "field": ["columns", at.to_string()], "message": "no" }]),
            _ => return (200, json!({ "data": [{ "id": "1", "hostname": "r1" }], "_meta": { "count": 1 } })),
        };
        (422, json!({ "code": "X", "message": "no", "errors": errors }))
    });
    let page = adapter(&json!({})).load(&first_page("tables/inventory/devices", &["hostname", "dscr", "rack"])).unwrap();
    assert_eq!(page_records(&page).len(), 1);
    let warned: Vec<String> = testing::messages().into_iter().map(|(_, text)| text).collect();
    assert_eq!(warned.len(), 2, "{warned:?}");
    server("v8.0", |_, _| (400, json!({ "code": "X", "message": "the words", "errors": [] })));
    let error = adapter(&json!({})).load(&first_page("tables/inventory/devices", &["hostname"])).unwrap_err();
    assert!(error.kind == ErrorKind::Invalid && error.message.contains("the words"), "{}", error.message);
}

#[test]
fn a_table_that_moves_or_ends_early_is_noticed() {
    let place = |last: &str| serde_json::to_vec(&json!({ "start": 2, "last": last, "without": [], "unsorted": false })).unwrap();
    let load = |last: &str, rows: Value| {
        server("v8.0", move |_, _| (200, json!({ "data": rows, "_meta": { "count": 5 } })));
        adapter(&json!({})).load(&LoadRequest { cursor: Some(place(last)), ..first_page("tables/inventory/sites", &["siteName"]) })
    };
    assert!(load("\"b\"", json!([{ "id": "b" }, { "id": "c" }])).unwrap().next.is_some());
    assert_eq!(load("\"b\"", json!([{ "id": "c" }, { "id": "d" }])).unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(load("\"b\"", json!([])).unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(load("\"b\"", json!([{ "id": "b" }])).unwrap_err().kind, ErrorKind::Remote);
}

#[test]
fn a_speed_is_a_thousandth_and_its_column_is_read_once() {
    let field = |name: &str| TargetField::new(name).at("speedValue");
    let request = |target: Target| LoadRequest { targets: vec![target], ..first_page("tables/inventory/interfaces", &["speedValue"]) };
    let port = || Target::new("Port").with_field(field("speed"));
    assert_eq!(speed::column(&request(port())).unwrap(), Some("speedValue"));
    assert_eq!(speed::column(&request(Target::new("Port").with_field(field("rate")))).unwrap(), None);
    assert_eq!(speed::column(&request(Target::new("Port").with_field(TargetField::new("speed")))).unwrap(), None, "a literal");
    assert_eq!(speed::column(&request(port().with_field(field("raw")))).unwrap_err().kind, ErrorKind::Config);
    server("v8.0", |_, _| {
        (200, json!({ "data": [{ "id": "1", "speedValue": 100_000 }, { "id": "2", "speedValue": "?" }], "_meta": { "count": 2 } }))
    });
    let records = page_records(&adapter(&json!({})).load(&request(port())).unwrap());
    assert_eq!(records, [json!({ "id": "1", "speedValue": 100 }), json!({ "id": "2", "speedValue": "?" })]);
}
