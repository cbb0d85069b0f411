//! `genericrestapi` as a destination: single objects and lists, refusals of a part, answers that are lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use infrahub_sync_tests::Project;
use infrahub_sync_tests::rest::{Column, Rest, Shape, TOKEN};
use serde_json::{Value, json};

/// A project that writes files of a folder to an API.
fn project(url: &str, settings: &Value, mappings: &str) -> Project {
    let mut all = json!({"url": url, "api_endpoint": "api"});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let project = Project::new(&format!(
        "name: any\nsource: {{name: files, settings: {{path: in}}}}\ndestination: {{name: genericrestapi, settings: {all}}}\n\
         diffsync_flags: [NONE]\nschema_mapping:\n{mappings}"
    ));
    project.write("in/.keep", "");
    project
}

const SHAPES: &[Shape] = &[
    ("org/sites", &[("slug", Column::Unique), ("note", Column::Text)]),
    ("dcim/devices", &[("name", Column::Unique), ("units", Column::Number), ("site", Column::Peer("org/sites"))]),
];

const MAPPINGS: &str = "  - {name: Site, mapping: sites.json, destination_mapping: org/sites, identifiers: [slug], fields: [{name: slug, mapping: slug}, {name: note, mapping: note}]}
  - {name: Device, mapping: devices.json, destination_mapping: dcim/devices, identifiers: [name], fields: [{name: name, mapping: name}, {name: units, mapping: units}, {name: site, mapping: site, reference: Site}]}
";

#[test]
fn lists_of_objects_are_created_changed_and_deleted() {
    let rest = Rest::start(SHAPES);
    let ways = |list: &str| json!({"create": format!("POST {list}"), "update": format!("PATCH {list}"), "delete": format!("DELETE {list}"), "bulk": {"size": 30, "atomic": true}});
    let settings = json!({"token": TOKEN, "response_key_pattern": "results", "write": {"org/sites": ways("org/sites"), "dcim/devices": ways("dcim/devices")}});
    let project = project(rest.url(), &settings, MAPPINGS);
    let devices = |count: u64, units: u64| {
        json!((0..count).map(|id| json!({"name": format!("d{id:03}"), "units": units, "site": format!("s{}", id % 2)})).collect::<Vec<_>>())
            .to_string()
    };
    project.write("in/sites.json", r#"[{"slug": "s0", "note": "x"}, {"slug": "s1", "note": null}]"#);
    project.write("in/devices.json", &devices(100, 1));
    project.ok(&["sync", "--no-diff"]);
    let created = rest.objects("dcim/devices");
    assert_eq!((created.len(), &created[0]), (100, &json!({"name": "d000", "units": 1, "site": "s0"})));
    let sizes: Vec<usize> = rest.writes().iter().map(|(_, _, body)| body.as_array().unwrap().len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 102);
    assert!(sizes.iter().all(|size| *size <= 30), "{sizes:?}");
    assert_eq!(project.plan(&[]).0, 0);
    project.write("in/devices.json", &devices(90, 2));
    project.ok(&["sync", "--no-diff"]);
    assert!(
        rest.writes()
            .iter()
            .all(|(method, list, body)| list == "dcim/devices" && (method == "DELETE" || body[0].as_object().unwrap().len() == 2))
    );
    let changed = rest.objects("dcim/devices");
    assert_eq!((changed.len(), &changed[0]["units"]), (90, &json!(2)));
    assert_eq!(project.plan(&[]).0, 0);
}

#[test]
fn what_a_list_was_refused_for_fails_alone() {
    let rest = Rest::start(SHAPES);
    rest.put("org/sites", &[json!({"slug": "s0"}), json!({"slug": "s1"})]);
    let settings = json!({"token": TOKEN, "response_key_pattern": "results", "write": {"*": {"create": "POST dcim/devices", "bulk": {"size": 100, "atomic": true}}}});
    let project = project(rest.url(), &settings, MAPPINGS);
    project.write("in/sites.json", r#"[{"slug": "s0"}, {"slug": "s1"}]"#);
    let device = |id: u64| json!({"name": format!("d{id}"), "units": if id == 7 { json!("many") } else { json!(1) }, "site": "s0"});
    project.write("in/devices.json", &json!((0..20).map(device).collect::<Vec<_>>()).to_string());
    let told = project.run(&["sync", "--no-diff", "--continue-on-error"]);
    assert!(told.code != 0 && told.stderr.contains("\"many\" is not valid"), "{}: {}", told.code, told.stderr);
    assert_eq!(rest.objects("dcim/devices").len(), 19);
}

type Objects = Arc<Mutex<BTreeMap<u64, Value>>>;

/// An API that takes single objects. `lost` says which writes it answers with a broken connection, after it has done them.
fn single(lost: impl Fn(usize) -> bool + Send + Sync + 'static) -> (Server, Objects) {
    let objects = Objects::default();
    let stored = objects.clone();
    let writes = Mutex::new(0);
    let server = Server::start(move |request: &Request| {
        let mut objects = stored.lock().unwrap();
        let id = request.path().rsplit('/').next().and_then(|id| id.parse::<u64>().ok());
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let answer = match (request.method.as_str(), id) {
            ("GET", None) => return Answer::json(json!({"data": objects.values().collect::<Vec<_>>()})).into(),
            ("POST", None) => {
                let id = objects.keys().last().map_or(1, |last| last + 1);
                let mut object = body["thing"].clone();
                object["id"] = json!(id);
                objects.insert(id, object);
                Answer::json(json!({"thing": {"id": id}})).with_status(201)
            }
            ("PUT", Some(id)) => {
                objects.get_mut(&id).unwrap().as_object_mut().unwrap().extend(body["thing"].as_object().unwrap().clone());
                Answer::json(json!({}))
            }
            ("DELETE", Some(id)) => Answer::status(if objects.remove(&id).is_some() { 204 } else { 404 }),
            _ => return Answer::status(405).into(),
        };
        let mut writes = writes.lock().unwrap();
        *writes += 1;
        if lost(*writes) { Reply::Close } else { answer.into() }
    });
    (server, objects)
}

const THINGS: &str = "  - {name: Thing, mapping: things.json, destination_mapping: things, identifiers: [name], fields: [{name: name, mapping: name}, {name: size, mapping: size.value}]}\n";

#[test]
fn a_write_whose_answer_was_lost_is_not_done_twice() {
    let (server, objects) = single(|write| write % 4 == 0);
    let settings = json!({"auth_method": "none", "response_key_pattern": "data",
        "write": {"things": {"create": "POST things", "update": "PUT things/{id}", "delete": "DELETE things/{id}", "wrap": "thing"}}});
    let project = project(server.url(), &settings, THINGS);
    let things = |count: u64, size: u64| {
        json!((0..count).map(|id| json!({"name": format!("t{id:02}"), "size": {"value": size}})).collect::<Vec<_>>()).to_string()
    };
    for (count, size) in [(25, 1), (25, 2), (20, 2)] {
        project.write("in/things.json", &things(count, size));
        project.ok(&["sync", "--no-diff"]);
        let names: Vec<Value> = objects.lock().unwrap().values().map(|thing| json!([thing["name"], thing["size"]["value"]])).collect();
        let mut sorted = names.clone();
        sorted.sort_by_key(ToString::to_string);
        let expected: Vec<Value> = (0..count).map(|id| json!([format!("t{id:02}"), size])).collect();
        assert_eq!(sorted, expected);
        assert_eq!(project.plan(&[]).0, 0);
    }
}

#[test]
fn a_run_that_broke_off_is_resumed() {
    let (server, objects) = single(|write| (10..40).contains(&write));
    let settings =
        json!({"auth_method": "none", "response_key_pattern": "data", "write": {"things": {"create": "POST things", "wrap": "thing"}}});
    let project = project(server.url(), &settings, THINGS);
    let things: Vec<Value> = (0..50).map(|id| json!({"name": format!("t{id:02}"), "size": {"value": 1}})).collect();
    project.write("in/things.json", &json!(things).to_string());
    let first = project.run(&["sync", "--no-diff"]);
    let again = if first.code == 0 { first } else { project.run(&["sync", "--no-diff"]) };
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(objects.lock().unwrap().len(), 50, "each is there once");
    assert_eq!(project.plan(&[]).0, 0);
}

#[test]
fn what_the_project_does_not_say_is_refused_before_the_first_write() {
    let (server, objects) = single(|_| false);
    let settings = json!({"auth_method": "none", "response_key_pattern": "data"});
    let project = project(server.url(), &settings, THINGS);
    project.write("in/things.json", r#"[{"name": "a", "size": {"value": 1}}]"#);
    assert_eq!(project.plan(&[]).0, 2, "a plan needs no `write`");
    let told = project.run(&["sync", "--no-diff"]);
    assert!(
        told.code == 3 && told.stderr.contains("`write` does not say how `things` is written: add `things: {create: …}`"),
        "{}: {}",
        told.code,
        told.stderr
    );
    assert!(objects.lock().unwrap().is_empty());
}
