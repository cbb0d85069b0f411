//! Systems that `genericrestapi` reads as they are: each fake has the envelope, the ids, the paging and the credentials of one of them.

use std::collections::BTreeSet;

use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use infrahub_sync_tests::Project;
use serde_json::{Value, json};

/// A project that reads from a fake into files. `lines`: the settings beside the address, and the mappings.
fn project(server: &Server, settings: &str, mappings: &str) -> Project {
    let config = format!(
        "name: any\nsource: {{name: genericrestapi, settings: {{url: \"{}\", {settings}}}}}\n\
         destination: {{name: files, settings: {{path: out}}}}\nschema_mapping:\n{mappings}",
        server.url()
    );
    Project::new(&config)
}

fn mapping(kind: &str, resource: &str, fields: &str) -> String {
    format!("  - {{name: {kind}, mapping: \"{resource}\", identifiers: [name], fields: [{fields}]}}\n")
}

/// Syncs, and returns the records of a kind. A second run plans nothing.
fn synced(project: &Project, kind: &str) -> Vec<Value> {
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(project.plan(&[]).0, 0);
    project.read(&format!("out/{kind}.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn parameter(request: &Request, name: &str) -> Option<u64> {
    let (_, query) = request.target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

fn unauthorised() -> Reply {
    Answer::json(json!({"status": "error", "message": "Unauthenticated."})).with_status(401).into()
}

#[test]
fn librenms_has_its_groups_under_another_name() {
    let server = Server::start(|request| {
        if request.header("x-auth-token") != "secret-of-librenms" {
            return unauthorised();
        }
        let answer = match request.path() {
            "/api/v0/devicegroups" => json!({"status": "ok", "groups": [{"id": 1, "name": "core", "desc": "the core"}], "count": 1}),
            "/api/v0/resources/locations" => json!({"status": "ok", "locations": [{"id": "4", "location": "HQ"}], "count": 1}),
            "/api/v0/devices" => json!({"status": "ok", "count": 2, "devices": [
                {"device_id": "1", "hostname": "a", "location_id": 4, "location": "HQ"}, {"device_id": "2", "hostname": "b", "location_id": null, "location": null}]}),
            _ => return Answer::status(404).into(),
        };
        Answer::json(answer).into()
    });
    let mappings = [
        mapping("Group", "devicegroups", "{name: name, mapping: name}, {name: description, mapping: desc}"),
        mapping("Location", "resources/locations", "{name: name, mapping: location}"),
        mapping("Device", "devices", "{name: name, mapping: hostname}, {name: location, mapping: location_id, reference: Location}"),
    ];
    let mut project = project(&server, "auth_method: x-auth-token, token_env_vars: [LIBRENMS_TOKEN]", &mappings.concat());
    project.set("LIBRENMS_TOKEN", "secret-of-librenms");
    let devices = synced(&project, "Device");
    assert_eq!(devices.iter().map(|device| &device["location"]).collect::<Vec<_>>(), [&json!({"name": "HQ"}), &Value::Null], "{devices:?}");
    assert_eq!(project.read("out/Group.jsonl").lines().count(), 1);
    project.set("LIBRENMS_TOKEN", "wrong");
    let refused = project.run(&["diff"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("Unauthenticated.") && refused.stderr.contains("token_env_vars"), "{}", refused.stderr);
}

#[test]
fn observium_keys_its_objects_by_id() {
    let server = Server::start(|request| {
        // user:secret
        if request.header("authorization") != "Basic dXNlcjpzZWNyZXQ=" {
            return unauthorised();
        }
        let devices: serde_json::Map<String, Value> =
            (1..=300).map(|id| (id.to_string(), json!({"device_id": id.to_string(), "hostname": format!("h{id}")}))).collect();
        Answer::json(json!({"status": "ok", "count": 300, "devices": devices})).into()
    });
    let settings = "auth_method: basic, username: user, password: secret";
    let project = project(&server, settings, &mapping("Device", "devices/", "{name: name, mapping: hostname}"));
    assert_eq!(synced(&project, "Device").len(), 300);
}

#[test]
fn device42_pages_by_offset_and_has_lists_of_texts() {
    let server = Server::start(|request: &Request| {
        if request.path() == "/api/1.0/tags" {
            return Answer::json(json!({"tags": ["prod", "lab"], "total_count": 2, "offset": 0, "limit": 1000})).into();
        }
        let (offset, limit) = (parameter(request, "offset").unwrap_or(0), parameter(request, "limit").unwrap_or(1000).min(1000));
        let page: Vec<Value> = (0..2500)
            .skip(offset as usize)
            .take(limit as usize)
            .map(|id| json!({"device_id": id + 1, "name": format!("d{id}"), "tags": ["lab"]}))
            .collect();
        Answer::json(json!({"total_count": 2500, "offset": offset, "limit": limit, "Devices": page})).into()
    });
    let mappings = [
        mapping("Tag", "tags", "{name: name, mapping: name}"),
        mapping("Device", "devices", "{name: name, mapping: name}, {name: tags, mapping: tags, reference: Tag}"),
    ];
    let settings = "auth_method: none, api_endpoint: /api/1.0, response_key_pattern: objects";
    let project = project(&server, settings, &mappings.concat());
    let devices = synced(&project, "Device");
    let names: BTreeSet<&str> = devices.iter().filter_map(|device| device["name"].as_str()).collect();
    assert_eq!((devices.len(), names.len()), (2500, 2500));
    assert_eq!(devices[0]["tags"], json!([{"name": "lab"}]), "texts are natural keys");
}

#[test]
fn peeringdb_says_what_was_modified_and_what_was_deleted() {
    let server = Server::start(|request: &Request| {
        if request.header("authorization") != "Api-Key k" {
            return unauthorised();
        }
        let record = |id: u64, name: &str, status: &str| json!({"id": id, "name": name, "status": status});
        let rows = match parameter(request, "since") {
            None => vec![record(1, "one", "ok"), record(2, "two", "ok"), record(3, "three", "ok")],
            Some(_) => vec![record(1, "ONE", "ok"), record(2, "two", "deleted")],
        };
        Answer::json(json!({"data": rows, "meta": {}})).header("date", "Tue, 24 Nov 2026 02:00:00 GMT").into()
    });
    let settings = "auth_method: api-key, token: k, api_endpoint: api, response_key_pattern: data, \
                    since: {param: since, format: epoch, deleted: {field: status, value: deleted}}";
    let project = project(&server, settings, &mapping("Net", "net", "{name: name, mapping: name}"));
    project.ok(&["sync", "--no-diff"]);
    let (code, plan) = project.plan(&["--no-full-extract"]);
    assert_eq!(code, 2);
    let summary = &plan["summary"];
    assert_eq!((&summary["create"], &summary["delete"]), (&json!(1), &json!(0)), "without a flag nothing is deleted: {plan}");
}

#[test]
fn answers_that_hold_no_list_end_the_run_with_what_they_hold() {
    let server = Server::start(|request| match request.path() {
        "/api/v0/down" => Answer::json(json!({"status": "failed", "error": "no licence"})).into(),
        "/api/v0/page" => Answer::ok("<html>Log in</html>").header("content-type", "text/html").into(),
        _ => Answer::json(json!({"hosts": [{"id": 1, "name": "a"}], "sites": [{"id": 2, "name": "b"}]})).into(),
    });
    for (resource, code, words) in [("down", 3, "no licence"), ("page", 5, "text/html"), ("devices", 3, "`hosts`, `sites`")] {
        let project = project(&server, "auth_method: none", &mapping("Device", resource, "{name: name, mapping: name}"));
        let output = project.run(&["sync", "--no-diff"]);
        assert!(output.code == code && output.stderr.contains(words), "{resource} {}: {}", output.code, output.stderr);
    }
    let project = project(&server, "auth_method: magic", &mapping("Device", "devices", "{name: name, mapping: name}"));
    let output = project.run(&["diff"]);
    assert!(output.code == 3 && output.stderr.contains("`auth_method: magic` is unknown"), "{}: {}", output.code, output.stderr);
}
