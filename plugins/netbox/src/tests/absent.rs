//! Tests what the adapter says of objects that a list lacks.

use infrahub_sync_adapter::testing::{requests, reset, respond};
use infrahub_sync_adapter::{Absence, Adapter, Target};
use serde_json::{Value, json};

use super::netbox;

const TYPES: &str = "/api/core/object-types/?limit=1000&fields=id,app_label,model,features,rest_api_endpoint";

fn devices() -> Target {
    Target { kind: "DcimDevice".to_owned(), resource: Some("dcim.devices".to_owned()), fields: Vec::new() }
}

fn types() {
    let device = json!({"app_label": "dcim", "model": "device", "features": ["change_logging"], "rest_api_endpoint": "/api/dcim/devices/"});
    respond("GET", TYPES, 200, json!({"results": [device]}).to_string());
}

fn entry(id: u64, kind: &str) -> Value {
    json!({"id": 900 + id, "action": {"value": "delete", "label": "Deleted"}, "changed_object_type": kind, "changed_object_id": id})
}

fn any(log: &str) -> String {
    format!("/api/{log}/object-changes/?limit=1&fields=id")
}

fn of(log: &str, ids: &[u64]) -> String {
    let ids: String = ids.iter().map(|id| format!("&changed_object_id={id}")).collect();
    format!(
        "/api/{log}/object-changes/?action=delete&changed_object_type=dcim.device{ids}&limit=1000&fields=id,action,changed_object_type,changed_object_id"
    )
}

fn asked(ids: &[&str]) -> Vec<Absence> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    netbox().absent(&devices(), &ids).unwrap()
}

#[test]
fn objects_without_an_entry_of_their_deletion_exist() {
    reset();
    types();
    respond("GET", &any("core"), 200, r#"{"count": 7, "results": [{"id": 1}]}"#);
    respond("GET", &of("core", &[7, 12]), 200, json!({"results": [entry(12, "dcim.device")]}).to_string());
    assert_eq!(asked(&["7", "12", "x"]), [Absence::Present, Absence::Deleted, Absence::Unknown]);
}

#[test]
fn older_servers_have_the_log_elsewhere_and_tell_no_types() {
    reset();
    respond("GET", TYPES, 404, "");
    respond("GET", &any("core"), 404, "");
    respond("GET", &any("extras"), 200, r#"{"count": 7, "results": [{"id": 1}]}"#);
    respond("GET", &of("extras", &[7]), 200, json!({"results": [entry(7, "dcim.device")]}).to_string());
    assert_eq!(asked(&["7"]), [Absence::Deleted]);
}

#[test]
fn a_log_that_does_not_tell_makes_nothing_known() {
    for (status, body) in [(403, r#"{"detail": "no"}"#), (200, r#"{"count": 0, "results": []}"#)] {
        reset();
        types();
        respond("GET", &any("core"), status, body);
        assert_eq!(asked(&["7"]), [Absence::Unknown], "{body}");
    }
    for entries in [json!({"results": [entry(8, "dcim.device")]}), json!({"results": [entry(7, "dcim.site")]}), json!({"detail": "?"})] {
        reset();
        types();
        respond("GET", &any("core"), 200, r#"{"count": 7, "results": [{"id": 1}]}"#);
        respond("GET", &of("core", &[7]), 200, entries.to_string());
        assert_eq!(asked(&["7"]), [Absence::Unknown], "{entries}");
    }
}

#[test]
fn many_objects_take_several_requests() {
    reset();
    types();
    respond("GET", &any("core"), 200, r#"{"count": 7, "results": [{"id": 1}]}"#);
    let ids: Vec<u64> = (1..=150).collect();
    respond("GET", &of("core", &ids[..100]), 200, json!({"results": [entry(3, "dcim.device")]}).to_string());
    respond("GET", &of("core", &ids[100..]), 200, json!({"results": [entry(149, "dcim.device")]}).to_string());
    let texts: Vec<String> = ids.iter().map(u64::to_string).collect();
    let answers = asked(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(answers.iter().filter(|answer| **answer == Absence::Deleted).count(), 2);
    assert_eq!((answers[2], answers[148]), (Absence::Deleted, Absence::Deleted));
    assert_eq!(requests().len(), 4);
}
