use infrahub_sync_adapter::testing::{self, first_page, page_records};
use infrahub_sync_adapter::{ErrorKind, Moment, Payload};
use serde_json::{Value, json};

use super::*;

fn adapter(settings: &Value) -> GenericRestApi {
    let mut all = json!({ "url": "https://api.test", "api_endpoint": "/api/v0", "auth_method": "none" });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    GenericRestApi::configure(&all.to_string()).unwrap()
}

fn get(url: &str, body: &Value) {
    testing::respond("GET", url, 200, body.to_string());
}

/// Loads a resource; returns the ids.
fn ids(adapter: &GenericRestApi, resource: &str) -> Result<Vec<String>> {
    let mut request = first_page(resource, &["name"]);
    let mut all = Vec::new();
    loop {
        let page = adapter.load(&request)?;
        let place = match &page.payload {
            Payload::Document(document) => document.projection.first().map_or("/id", |(_, place)| place.as_str()).to_owned(),
            _ => "/id".to_owned(),
        };
        let id = |record: &Value| record.pointer(&place).map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)).unwrap();
        all.extend(page_records(&page).iter().map(id));
        request.cursor = page.next;
        if request.cursor.is_none() {
            return Ok(all);
        }
    }
}

#[test]
fn records_are_found_in_every_envelope() {
    let record = json!({ "id": 7, "name": "a" });
    let of_device = json!({ "serial": "x", "device_id": "7", "location_id": 9 });
    let cases: [(&str, Option<&str>, Value); 12] = [
        ("devices", None, json!({ "status": "ok", "devices": [of_device], "count": 1 })),
        ("devicegroups", None, json!({ "status": "ok", "groups": [record], "count": 1 })),
        ("resources/locations", None, json!({ "locations": [record] })),
        ("devices?type=active", None, json!({ "devices": [record] })),
        ("devices/", None, json!({ "status": "ok", "count": 1, "devices": { "277": of_device } })),
        ("devices", None, json!({ "status": "ok", "devices": { "7": { "name": "a" } } })),
        ("devices", Some("objects"), json!({ "total_count": 1, "offset": 0, "limit": 1000, "Devices": [of_device] })),
        ("net", Some("data"), json!({ "data": [record], "meta": {} })),
        ("net", Some("data.{resource}.items"), json!({ "data": { "net": { "items": [record] } } })),
        ("net", Some("/data/items"), json!({ "data": { "items": [record] } })),
        ("alerts", None, json!([record])),
        ("status", Some("data"), json!({ "data": { "id": 7, "name": "a" } })),
    ];
    for (resource, pattern, body) in cases {
        testing::reset();
        get(&format!("/api/v0/{resource}"), &body);
        let adapter = adapter(&pattern.map_or_else(|| json!({}), |pattern| json!({ "response_key_pattern": pattern })));
        assert_eq!(ids(&adapter, resource).unwrap(), ["7"], "{resource} {body}");
    }
    for empty in [json!({ "devices": [] }), json!({ "devices": {} }), json!({ "devices": null }), json!([])] {
        testing::reset();
        get("/api/v0/devices", &empty);
        assert!(ids(&adapter(&json!({})), "devices").unwrap().is_empty(), "{empty}");
    }
    testing::reset();
    get("/api/v0/tags", &json!({ "tags": ["red", "blue"] }));
    assert_eq!(ids(&adapter(&json!({})), "tags").unwrap(), ["red", "blue"]);
}

#[test]
fn a_missing_list_names_the_keys_that_are_there() {
    testing::reset();
    get("/api/v0/devices", &json!({ "hosts": [{ "id": 1 }], "sites": [{ "id": 2 }], "count": 2 }));
    let error = ids(&adapter(&json!({})), "devices").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("`hosts`, `sites`") && error.message.contains("response_key_pattern"), "{}", error.message);
    testing::reset();
    get("/api/v0/devices", &json!({ "status": "error", "message": "no licence" }));
    assert!(ids(&adapter(&json!({})), "devices").unwrap_err().message.contains("(no licence)"));
    testing::reset();
    testing::respond("GET", "/api/v0/devices", 200, "<html>");
    assert_eq!(ids(&adapter(&json!({})), "devices").unwrap_err().kind, ErrorKind::Remote);
    testing::reset();
    get("/api/v0/devices", &json!({ "devices": [{ "name": "a" }] }));
    assert!(ids(&adapter(&json!({})), "devices").unwrap_err().message.contains("say with `id`"));
    assert_eq!(ids(&adapter(&json!({ "id": "name" })), "devices").unwrap(), ["a"]);
    assert_eq!(ids(&adapter(&json!({ "id": { "devices": "name" } })), "devices").unwrap(), ["a"]);
}

/// Answers like a server with seven devices that are paged in some way. `style`: the envelope of a page.
fn serve(style: impl Fn(&[Value], usize, usize) -> (Vec<(String, String)>, Value) + 'static, parameters: (&'static str, &'static str)) {
    testing::reset();
    testing::respond_with(move |request| {
        let devices: Vec<Value> = (1..8).map(|id| json!({ "id": id })).collect();
        let value = |name: &str| {
            let query = request.url.split_once('?').map_or("", |(_, query)| query);
            query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))?.parse::<usize>().ok())
        };
        let from = match parameters.0 {
            "page" => value("page").unwrap_or(1).saturating_sub(1) * 3,
            name => value(name).unwrap_or(0),
        };
        let size = value(parameters.1).unwrap_or(3);
        let page: Vec<Value> = devices.iter().skip(from).take(size).cloned().collect();
        let (headers, body) = style(&page, from, size);
        Some((200, headers, body.to_string().into_bytes()))
    });
}

fn plain(body: Value) -> (Vec<(String, String)>, Value) {
    (Vec::new(), body)
}

#[test]
fn pages_are_recognised() {
    let all = ["1", "2", "3", "4", "5", "6", "7"];
    let auto = adapter(&json!({}));
    serve(|page, from, size| plain(json!({ "devices": page, "total_count": 7, "offset": from, "limit": size })), ("offset", "limit"));
    let mut read = ids(&auto, "devices").unwrap();
    read.dedup();
    assert_eq!(read, all);
    let next = |from: usize| if from + 3 < 7 { json!(format!("http://api.test/api/v0/devices?start={}", from + 3)) } else { Value::Null };
    serve(move |page, from, _| plain(json!({ "results": page, "count": 7, "next": next(from) })), ("start", "none"));
    assert_eq!(ids(&auto, "devices").unwrap(), all);
    serve(move |page, from, _| plain(json!({ "data": page, "links": { "next": next(from) } })), ("start", "none"));
    assert_eq!(ids(&auto, "devices").unwrap(), all);
    serve(
        |page, from, _| {
            let link = format!("</api/v0/devices?start=0>; rel=\"first\", </api/v0/devices?start={}>; rel=\"next\"", from + 3);
            let headers = if from + 3 < 7 { vec![("Link".to_owned(), link)] } else { Vec::new() };
            (headers, json!(page))
        },
        ("start", "none"),
    );
    assert_eq!(ids(&auto, "devices").unwrap(), all);
    serve(|page, from, _| plain(json!({ "data": page, "meta": { "page": from / 3 + 1, "total_pages": 3 } })), ("page", "none"));
    assert_eq!(ids(&auto, "devices").unwrap(), all);
}

#[test]
fn pages_are_read_as_the_project_says() {
    let all = ["1", "2", "3", "4", "5", "6", "7"];
    let list = |page: &[Value], _: usize, _: usize| plain(json!(page));
    serve(list, ("skip", "top"));
    let pagination = json!({ "type": "offset", "offset_param": "skip", "limit_param": "top", "size": 2 });
    let mut read = ids(&adapter(&json!({ "pagination": pagination })), "devices").unwrap();
    read.dedup();
    assert_eq!(read, all);
    serve(list, ("page", "none"));
    assert_eq!(ids(&adapter(&json!({ "pagination": { "type": "page" } })), "devices").unwrap(), all);
    serve(
        |page, from, _| plain(json!({ "devices": page, "page_info": { "end": if from + 3 < 7 { json!(from + 3) } else { json!("") } } })),
        ("after", "none"),
    );
    let pagination = json!({ "type": "cursor", "cursor_param": "after", "next": "page_info.end" });
    assert_eq!(ids(&adapter(&json!({ "pagination": pagination })), "devices").unwrap(), all);
    serve(list, ("page", "none"));
    assert_eq!(ids(&adapter(&json!({ "pagination": "none" })), "devices").unwrap(), ["1", "2", "3"]);
    for (pagination, words) in [(json!({ "type": "cursor" }), "cursor_param"), (json!({ "type": "page", "size": 0 }), "at least 1")] {
        let settings = json!({ "url": "x", "api_endpoint": "", "auth_method": "none", "pagination": pagination });
        assert!(GenericRestApi::configure(&settings.to_string()).err().unwrap().message.contains(words));
    }
}

#[test]
fn a_list_that_moves_is_noticed() {
    testing::reset();
    testing::respond_with(|request| {
        // After the first page, the first object is deleted.
        let first = if request.url.contains("offset=0") { 1 } else { 2 };
        let offset: usize = request.url.rsplit("offset=").next()?.parse().ok()?;
        let page: Vec<Value> = (first..10).skip(offset).take(3).map(|id| json!({ "id": id })).collect();
        Some((200, Vec::new(), json!(page).to_string().into_bytes()))
    });
    let offset = adapter(&json!({ "pagination": { "type": "offset", "size": 3 } }));
    assert_eq!(ids(&offset, "devices").unwrap_err().kind, ErrorKind::Conflict);
    // A page that names itself ends nowhere.
    testing::reset();
    testing::respond_with(|request| {
        Some((200, Vec::new(), json!({ "next": request.url, "devices": [{ "id": 1 }] }).to_string().into_bytes()))
    });
    assert!(ids(&adapter(&json!({})), "devices").unwrap_err().message.contains("names itself"));
}

#[test]
fn totals_are_told_where_they_are_those_of_the_list() {
    let total = |body: Value| {
        testing::reset();
        get("/api/v0/devices", &body);
        adapter(&json!({})).load(&first_page("devices", &["name"])).unwrap().total
    };
    assert_eq!(total(json!({ "devices": [{ "id": 1 }], "count": 1 })), Some(1));
    assert_eq!(total(json!({ "devices": [{ "id": 1 }], "total": 9, "count": 1 })), Some(9));
    assert_eq!(total(json!({ "devices": [{ "id": 1 }] })), None);
    assert_eq!(total(json!({ "devices": [{ "id": 1 }], "count": 9, "next": "/api/v0/devices?page=2" })), Some(9));
}

#[test]
fn requests_have_the_endpoint_and_the_parameters() {
    testing::reset();
    testing::respond_with(|_| Some((200, Vec::new(), b"[]".to_vec())));
    let cases = [
        (json!({}), "/devices", "/api/v0/devices"),
        (json!({ "api_endpoint": "/" }), "devices/", "/devices/"),
        (json!({ "url": "https://api.test/api/v0/" }), "devices", "/devices"),
        (json!({ "params": { "limit": 5, "tag": ["a", "b c"] } }), "devices?x=1", "/api/v0/devices?x=1&limit=5&tag=a&tag=b%20c"),
    ];
    for (settings, resource, expected) in cases {
        ids(&adapter(&settings), resource).unwrap();
        assert_eq!(testing::requests().last().unwrap().url, expected);
    }
    for wrong in ["../admin", "https://other.test/x"] {
        assert_eq!(ids(&adapter(&json!({})), wrong).unwrap_err().kind, ErrorKind::Config);
    }
    let unknown = GenericRestApi::configure(r#"{"url": "x", "api_endpoint": "", "auth_method": "magic"}"#).err().unwrap();
    assert!(unknown.message.contains("x-auth-token"), "{}", unknown.message);
}

#[test]
fn modified_records_are_selected_where_the_project_says_how() {
    testing::reset();
    let date = [("Date", "Tue, 24 Nov 2026 02:00:00 GMT")];
    let body = json!({ "data": [{ "id": 1, "status": "ok" }, { "id": 2, "status": "deleted" }] });
    testing::respond_with_headers("GET", "/api/v0/net?since=1795485600", 200, &date, body.to_string());
    testing::respond_with_headers("GET", "/api/v0/net", 200, &date, r#"{"data": []}"#);
    let since = json!({ "param": "since", "format": "epoch", "deleted": { "field": "status", "value": "deleted" } });
    let adapter = adapter(&json!({ "since": since }));
    let full = adapter.load(&first_page("net", &["name"])).unwrap();
    let watermark = full.watermark.unwrap();
    assert_eq!(watermark, "2026-11-24T01:40:00Z", "changes show up late");
    let moment = Moment::from_seconds(1_795_485_600).to_string();
    let page = adapter.load(&LoadRequest { since: Some(moment.clone()), ..first_page("net", &["name"]) }).unwrap();
    assert_eq!((page_records(&page).len(), page.deleted.as_deref()), (1, Some(&["2".to_owned()][..])));
    let other = self::adapter(&json!({}));
    let error = other.load(&LoadRequest { since: Some(moment), ..first_page("net", &["name"]) }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

// Writing.

use infrahub_sync_adapter::testing::write_request;
use infrahub_sync_adapter::{KindChanges, Operation, Outcome, Run, Target, TargetField};

fn device() -> Target {
    Target::new("Device")
        .with_resource("devices")
        .with_field(TargetField::new("name").at("hostname").identifying())
        .with_field(TargetField::new("note").at("purpose.text"))
        .with_field(TargetField::new("site").at("location_id").referring_to(&["Site"]))
}

fn write(ways: Value, operation: Operation, rows: &[Value]) -> Result<Vec<Outcome>> {
    adapter(&json!({ "write": { "devices": ways } })).write(&write_request(&device(), operation, rows))
}

/// Returns the requests: method, URL and body.
fn sent() -> Vec<(String, String, Value)> {
    let body = |body: Option<Vec<u8>>| body.map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap());
    testing::requests().into_iter().map(|request| (request.method, request.url, body(request.body))).collect()
}

fn words(outcomes: &[Outcome]) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Written(id) => format!("written {}", id.as_deref().unwrap_or("?")),
        Outcome::Unchanged(id) => format!("unchanged {}", id.as_deref().unwrap_or("?")),
        Outcome::Failed(error) => format!("{:?} {}", error.kind, error.message).trim_start_matches("ErrorKind::").to_owned(),
        Outcome::Staged => "staged".to_owned(),
    };
    outcomes.iter().map(word).collect()
}

#[test]
fn an_object_is_written_at_the_paths_it_is_read_at() {
    let row = json!({ "key": { "name": "a/b" }, "id": "7", "fields": { "name": "a/b", "note": "x", "site": { "kind": "Site", "key": { "name": "HQ" }, "id": "12" } } });
    let body = json!({ "hostname": "a/b", "purpose": { "text": "x" }, "location_id": 12 });
    for (ways, answer, id, expected) in [
        (json!({ "create": "POST devices" }), json!({ "id": 9 }), "9", body.clone()),
        (json!({ "create": "POST devices" }), json!({ "serial": "s", "device_id": "9" }), "9", body.clone()),
        (json!({ "create": "POST devices", "wrap": "device" }), json!({ "device": { "id": 9 } }), "9", json!({ "device": body })),
        (json!({ "create": "POST devices", "id": "result.0.key" }), json!({ "result": [{ "key": "k" }] }), "k", body.clone()),
        (json!({ "create": "POST devices" }), json!({ "status": "ok" }), "?", body.clone()),
    ] {
        testing::reset();
        testing::respond("POST", "/api/v0/devices", 201, answer.to_string());
        let mut created = row.clone();
        created.as_object_mut().unwrap().remove("id");
        assert_eq!(words(&write(ways, Operation::Create, &[created]).unwrap()), [format!("written {id}")], "{answer}");
        assert_eq!(sent(), [("POST".to_owned(), "/api/v0/devices".to_owned(), expected)]);
    }
    for (ways, url, expected) in [
        (json!({ "update": "PATCH devices/{id}" }), "/api/v0/devices/7", json!(12)),
        (json!({ "update": "PATCH devices/{name}/", "references": "text" }), "/api/v0/devices/a%2Fb/", json!("12")),
        (json!({ "update": "PATCH devices/{id}", "references": "key" }), "/api/v0/devices/7", json!("HQ")),
    ] {
        testing::reset();
        testing::respond("PATCH", url, 200, "{}");
        assert_eq!(words(&write(ways, Operation::Update, std::slice::from_ref(&row)).unwrap()), ["written 7"]);
        assert_eq!(sent()[0].2["location_id"], expected);
    }
    testing::reset();
    testing::respond("DELETE", "/api/v0/devices/7", 404, "");
    let gone =
        write(json!({ "delete": "DELETE devices/{id}" }), Operation::Delete, &[json!({ "key": { "name": "a" }, "id": "7" })]).unwrap();
    assert_eq!((words(&gone), sent()[0].2.clone()), (vec!["unchanged 7".to_owned()], Value::Null));
}

#[test]
fn a_refused_row_fails_alone_and_a_lost_answer_is_unknown() {
    testing::reset();
    let mut number = 0;
    testing::respond_with(move |_| {
        number += 1;
        let (status, body) = match number {
            1 => (200, r#"{"id": 1}"#),
            2 => (422, r#"{"message": "no such type"}"#),
            3 => (409, r#"{"message": "exists"}"#),
            4 => (500, ""),
            _ => return None,
        };
        Some((status, Vec::new(), body.into()))
    });
    let rows: Vec<Value> =
        (0..5).map(|number| json!({ "key": { "name": number.to_string() }, "fields": { "name": number.to_string() } })).collect();
    let outcomes = words(&write(json!({ "create": "POST devices" }), Operation::Create, &rows).unwrap());
    let starts = ["written 1", "Invalid the API rejects `devices` with HTTP status 422 (no such type)", "Conflict", "Remote", "Transport"];
    assert!(outcomes.iter().zip(starts).all(|(outcome, start)| outcome.starts_with(start)), "{outcomes:?}");
}

#[test]
fn many_objects_go_in_one_request() {
    let rows: Vec<Value> =
        (0..5).map(|id| json!({ "key": { "name": id.to_string() }, "id": id.to_string(), "fields": { "name": id.to_string() } })).collect();
    // The API refuses a list with the object 3.
    let serve = |is_error_in_answer: bool| {
        testing::reset();
        testing::respond_with(move |request| {
            let bodies: Vec<Value> = serde_json::from_slice(request.body.as_ref()?).ok()?;
            let is_bad = |body: &Value| body["hostname"] == "3";
            if !is_error_in_answer && bodies.iter().any(is_bad) {
                return Some((400, Vec::new(), br#"{"message": "3 is bad"}"#.to_vec()));
            }
            let answers: Vec<Value> = bodies
                .iter()
                .map(|body| if is_bad(body) { json!({ "error": "3 is bad" }) } else { json!({ "id": body["hostname"], "error": null }) })
                .collect();
            Some((200, Vec::new(), json!(answers).to_string().into_bytes()))
        });
    };
    let create = |bulk: Value| write(json!({ "create": "POST devices/bulk", "bulk": bulk }), Operation::Create, &rows);
    serve(false);
    let outcomes = words(&create(json!({ "size": 100, "atomic": true })).unwrap());
    assert!(
        outcomes[3].starts_with("Invalid") && outcomes.iter().filter(|outcome| outcome.starts_with("written")).count() == 4,
        "{outcomes:?}"
    );
    serve(false);
    let error = create(json!({ "size": 100 })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Remote, "some of them may have been written: {}", error.message);
    serve(true);
    let outcomes = words(&create(json!({ "size": 2, "error": "error" })).unwrap());
    assert_eq!((sent().len(), outcomes[3].as_str()), (3, "Invalid the API rejects it: 3 is bad"));
    testing::reset();
    testing::respond("POST", "/api/v0/devices/bulk", 200, r#"[{"id": 1}]"#);
    assert_eq!(create(json!({ "size": 100, "atomic": true })).unwrap_err().kind, ErrorKind::Remote);
    testing::reset();
    testing::respond("DELETE", "/api/v0/devices", 204, "");
    let ways = json!({ "delete": "DELETE devices", "bulk": { "size": 3, "id": "device" } });
    assert_eq!(words(&write(ways, Operation::Delete, &rows).unwrap()).len(), 5);
    assert_eq!(sent()[1].2, json!([{ "device": 3 }, { "device": 4 }]));
}

#[test]
fn what_the_project_does_not_say_is_told_before_the_first_write() {
    let run = |creates: u64, deletes: u64| Run {
        id: "r".into(),
        sync: "s".into(),
        source: "t".into(),
        changes: vec![KindChanges { target: device(), creates, updates: 0, deletes }],
    };
    let with = |write: Value| adapter(&json!({ "write": write }));
    assert!(with(json!({ "*": { "create": "POST things" } })).begin(&run(1, 0)).is_ok());
    for (write, words) in [
        (json!({}), "`write` does not say how `devices` is written: add `devices: {create: …}`"),
        (json!({ "devices": { "create": "POST devices" } }), "`write` has no `delete` for `devices`"),
    ] {
        let error = with(write).begin(&run(1, 1)).unwrap_err();
        assert!(error.kind == ErrorKind::Config && error.message.contains(words), "{}", error.message);
    }
    for (write, words) in [
        (json!({ "devices": { "create": "devices" } }), "is not a method and a path"),
        (json!({ "devices": { "create": "GET devices" } }), "is not a method and a path"),
        (json!({ "devices": { "create": "POST ../x" } }), "is not a method and a path"),
        (json!({ "devices": { "make": "POST x" } }), "make"),
        (json!({ "devices": { "update": "PATCH x/{id}", "bulk": { "size": 5 } } }), "does not go with `bulk`"),
        (json!({ "devices": { "create": "POST x", "bulk": { "size": 0 } } }), "1 or more"),
    ] {
        let settings = json!({ "url": "https://api.test", "api_endpoint": "", "auth_method": "none", "write": write });
        let Err(error) = GenericRestApi::configure(&settings.to_string()) else { panic!("{settings}") };
        assert!(error.kind == ErrorKind::Config && error.message.contains(words), "{}", error.message);
    }
}
