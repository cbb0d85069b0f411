//! Tests the adapter against answers in the forms of a Nautobot 3.2.7.

use infrahub_sync_adapter::testing::{first_page, load_all, requests, reset, respond, respond_with_headers};
use infrahub_sync_adapter::{Absence, Adapter, CredentialForm, ErrorKind, LoadRequest, Target};
use serde_json::{Value, json};

use super::Nautobot;

fn nautobot() -> Nautobot {
    Nautobot::configure(r#"{"url": "https://nautobot.example.com/"}"#).unwrap()
}

fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn page(count: u64, ids: &[u32], more: bool) -> String {
    let results: Vec<Value> = ids.iter().map(|number| json!({"id": id(*number), "name": format!("d{number}")})).collect();
    json!({"count": count, "next": more.then_some("http://x/?offset=2"), "previous": null, "results": results}).to_string()
}

fn request(fields: &[&str]) -> LoadRequest {
    LoadRequest { page_size: 2, ..first_page("dcim.devices", fields) }
}

fn asked(fields: &[&str]) -> String {
    reset();
    // The address is what the test is about.
    let _ = nautobot().load(&request(fields));
    requests().last().unwrap().url.clone()
}

#[test]
fn depth_and_sets_are_asked_for_only_where_a_path_needs_them() {
    let url = |depth: u32, without: bool| format!("/api/dcim/devices/?limit=2&depth={depth}&exclude_m2m={without}");
    for (paths, depth, without) in [
        (&["name", "serial", "status", "location.id", "custom_fields.owner"][..], 0, true),
        (&["name", "type.value", "face.label"], 0, true),
        (&["status.name"], 1, true),
        (&["location.parent.name"], 2, true),
        (&["tags"], 0, false),
        (&["content_types"], 0, false),
        (&["tagged_vlans"], 0, false),
        (&["tagged_vlans.0.name"], 1, false),
        (&["something_new"], 0, false),
        (&[], 0, false),
    ] {
        assert_eq!(asked(paths), url(depth, without), "{paths:?}");
    }
}

#[test]
fn pages_tell_the_total_by_which_the_host_sees_that_a_list_moved() {
    reset();
    let url = |offset: &str| format!("/api/dcim/devices/?limit=2{offset}&depth=0&exclude_m2m=true");
    let date = [("Date", "Tue, 24 Nov 2026 02:00:17 GMT")];
    respond_with_headers("GET", &url(""), 200, &date, page(3, &[9, 4], true));
    respond("GET", &url("&offset=2"), 200, page(3, &[7], false));
    let first = nautobot().load(&request(&["name"])).unwrap();
    assert_eq!((first.total, first.watermark.as_deref()), (Some(3), Some("2026-11-24T02:00:17Z")));
    let second = nautobot().load(&LoadRequest { cursor: first.next, ..request(&["name"]) }).unwrap();
    assert_eq!((second.total, second.next), (Some(3), None));
    let names: Vec<Value> = load_all(&nautobot(), request(&["name"])).unwrap().into_iter().map(|record| record["name"].clone()).collect();
    assert_eq!(names, ["d9", "d4", "d7"]);
}

#[test]
fn the_change_log_is_the_clock_of_a_server_without_one() {
    reset();
    respond("GET", "/api/extras/object-changes/?limit=1", 200, r#"{"results": [{"time": "2026-11-24T01:00:00.25Z"}]}"#);
    respond("GET", "/api/dcim/devices/?limit=2&depth=0&exclude_m2m=true", 200, page(1, &[9], false));
    respond("GET", "/api/dcim/racks/?limit=2&depth=0&exclude_m2m=true", 200, page(1, &[9], false));
    for resource in ["dcim.devices", "dcim.racks"] {
        let page = nautobot().load(&LoadRequest { page_size: 2, ..first_page(resource, &["name"]) }).unwrap();
        assert!(page.watermark.unwrap().starts_with("2026-11-24T01:00:00"));
    }
    assert_eq!(requests().len(), 3, "once a run, before the first list");
}

#[test]
fn a_mapping_of_version_1_is_explained() {
    reset();
    respond("GET", "/api/dcim/sites/?limit=2&depth=0&exclude_m2m=true", 404, r#"{"detail": "Not found."}"#);
    let error = load_all(&nautobot(), LoadRequest { page_size: 2, ..first_page("dcim.sites", &["name"]) }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("no list `dcim.sites`") && error.message.contains("map `dcim.locations`"), "{}", error.message);
}

#[test]
fn a_list_that_does_not_tell_what_changed_is_read_in_full() {
    reset();
    let since = "2026-11-24T10:10:00Z".to_owned();
    let log = "/api/extras/object-changes/?limit=1000&time__gte=2026-11-24T10%3A00%3A00Z&depth=0&exclude_m2m=false";
    let date = [("Date", "Tue, 24 Nov 2026 11:00:00 GMT")];
    respond_with_headers("GET", log, 200, &date, r#"{"count": 0, "next": null, "results": []}"#);
    let list = "/api/dcim/interfaces/?limit=2&last_updated__gte=2026-11-24T10%3A04%3A00Z&depth=0&exclude_m2m=true";
    respond("GET", list, 400, r#"{"last_updated__gte": ["Unknown filter field"]}"#);
    let request = LoadRequest { page_size: 2, since: Some(since.clone()), ..first_page("dcim.interfaces", &["name"]) };
    assert_eq!(nautobot().load(&request).unwrap_err().kind, ErrorKind::Unsupported);

    let list = list.replace("interfaces", "devices");
    let saved = json!({"count": 1, "next": null, "results": [{"id": id(7), "name": "r7", "last_updated": "2026-11-24T10:30:00Z"}]});
    respond("GET", &list, 200, saved.to_string());
    let page = nautobot().load(&LoadRequest { resource: "dcim.devices".to_owned(), ..request }).unwrap();
    assert_eq!((page.watermark.as_deref(), page.deleted), (Some("2026-11-24T11:00:00Z"), Some(Vec::new())));
}

#[test]
fn deleted_objects_are_in_the_change_log() {
    reset();
    let log = "/api/extras/object-changes/";
    respond("GET", &format!("{log}?limit=1"), 200, r#"{"count": 1, "results": [{"id": "x"}]}"#);
    let asked =
        format!("{log}?action=delete&changed_object_type=dcim.device&changed_object_id={}&changed_object_id={}&limit=1000", id(1), id(2));
    let entry = json!({"action": {"value": "delete"}, "changed_object_type": "dcim.device", "changed_object_id": id(2)});
    respond("GET", &asked, 200, json!({"results": [entry]}).to_string());
    let absent = nautobot().absent(&Target::new("Device").with_resource("dcim.devices"), &[id(1), id(2)]).unwrap();
    assert_eq!(absent, [Absence::Present, Absence::Deleted]);
}

#[test]
fn the_token_is_a_secret() {
    let manifest = Nautobot::manifest();
    assert!(manifest.settings.iter().any(|setting| setting.name == "token" && setting.secret));
    let CredentialForm::Header(templates) = &manifest.credentials[0].form else { panic!("no header") };
    assert_eq!(templates[0].template, "Token {token}");
}
