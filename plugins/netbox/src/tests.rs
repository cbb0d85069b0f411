//! Tests the adapter against answers of a NetBox 4.7.3 (`fixtures/`), and of servers that behave worse.

mod absent;
mod incremental;

use infrahub_sync_adapter::testing::{first_page, load_all, requests, reset, respond, respond_with_headers};
use infrahub_sync_adapter::{Adapter, CredentialForm, ErrorKind, LoadRequest, Result};
use serde_json::{Value, json};

use super::Netbox;

fn netbox() -> Netbox {
    Netbox::configure(r#"{"url": "https://netbox.example.com"}"#).unwrap()
}

fn request(fields: &[&str]) -> LoadRequest {
    LoadRequest { page_size: 3, ..first_page("dcim.devices", fields) }
}

fn ids(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["id"].as_u64().unwrap()).collect()
}

/// A page as servers before 4.6 give it.
fn page(count: u64, ids: &[u64], more: bool) -> String {
    let results: Vec<Value> = ids.iter().map(|id| json!({"id": id, "name": format!("d{id}")})).collect();
    let next = more.then_some("http://somewhere.else/api/dcim/devices/?offset=3");
    json!({"count": count, "next": next, "previous": null, "results": results}).to_string()
}

fn failure(resource: &str) -> infrahub_sync_adapter::Error {
    load_all(&netbox(), LoadRequest { page_size: 3, ..first_page(resource, &["name"]) }).unwrap_err()
}

const FIRST: &str = "/api/dcim/devices/?limit=3&start=0&fields=id,name";

#[test]
fn a_mapping_names_a_path() {
    reset();
    let paths = [
        ("dcim.devices", "/dcim/devices/"),
        ("ipam.ip_addresses", "/ipam/ip-addresses/"),
        ("plugins.netbox_bgp.bgp_session", "/plugins/netbox-bgp/bgp-session/"),
        ("/dcim/device-types/", "/dcim/device-types/"),
    ];
    for (mapping, expected) in paths {
        assert_eq!(netbox().0.list(mapping).unwrap(), expected);
    }
    for mapping in ["", "devices", "dcim.", "dcim..devices", "dcim.devices?x=1", "../../x", "dcim.dévices"] {
        let error = netbox().0.list(mapping).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains("dcim.device_types"), "{}", error.message);
    }
}

#[test]
fn new_servers_are_read_by_their_own_cursor() {
    reset();
    let fields = "id,name,site,status,tags,custom_fields";
    let url = |start: u64| format!("/api/dcim/devices/?limit=3&start={start}&fields={fields}");
    // The fixtures are two pages of a longer list: the first one's next page is answered with the last one.
    respond("GET", &url(0), 200, include_str!("../fixtures/devices-start-0.json"));
    respond("GET", &url(4), 200, include_str!("../fixtures/devices-start-59.json"));
    let paths = ["name", "site.slug", "status.value", "tags", "custom_fields.lifecycle.value", "site"];
    let records = load_all(&netbox(), request(&paths)).unwrap();
    assert_eq!(ids(&records), [1, 2, 3, 59, 60]);
    assert_eq!(records[0]["site"]["name"], "Zürich");
    assert_eq!(records[4]["name"], Value::Null);
    assert_eq!(requests().len(), 2);
}

#[test]
fn whole_records_are_read_when_no_fields_are_named() {
    reset();
    respond("GET", "/api/dcim/devices/?limit=3&start=0", 200, r#"{"count": null, "next": null, "results": []}"#);
    assert!(load_all(&netbox(), request(&[])).unwrap().is_empty());
}

#[test]
fn pages_are_no_larger_than_the_server_gives() {
    reset();
    respond("GET", "/api/dcim/devices/?limit=1000&start=0", 200, r#"{"count": null, "next": null, "results": []}"#);
    load_all(&netbox(), LoadRequest { page_size: 50_000, ..request(&[]) }).unwrap();
}

#[test]
fn an_address_that_ends_with_api_is_understood() {
    reset();
    let netbox = Netbox::configure(r#"{"url": "https://example.com/netbox/api/"}"#).unwrap();
    respond("GET", "/dcim/devices/?limit=3&start=0", 200, r#"{"count": null, "next": null, "results": []}"#);
    assert!(load_all(&netbox, request(&[])).unwrap().is_empty());
}

#[test]
fn older_servers_are_read_behind_the_last_id() {
    reset();
    // `start` is ignored: the list comes in its usual order, with a count.
    respond("GET", FIRST, 200, page(5, &[3, 1, 2], true));
    respond("GET", "/api/dcim/devices/?limit=3&ordering=id&fields=id,name", 200, include_str!("../fixtures/devices-offset-0.json"));
    let behind = |id: u64| format!("/api/dcim/devices/?limit=3&ordering=id&id__gte={id}&fields=id,name");
    respond("GET", &behind(4), 200, include_str!("../fixtures/devices-id-4.json"));
    respond("GET", &behind(7), 200, include_str!("../fixtures/devices-id-58.json"));
    let records = load_all(&netbox(), request(&["name"])).unwrap();
    assert_eq!(ids(&records), [1, 2, 3, 4, 5, 6, 58, 59, 60]);
}

#[test]
fn a_list_of_one_page_is_asked_for_once() {
    reset();
    respond("GET", FIRST, 200, page(2, &[9, 1], false));
    assert_eq!(ids(&load_all(&netbox(), request(&["name"])).unwrap()), [9, 1]);
    assert_eq!(requests().len(), 1);
}

/// Reads a list of 8 that knows neither `start` nor `id__gte`; `before` is the object before the second page when it is checked.
fn stubborn(before: u64) -> Result<Vec<Value>> {
    let url = |rest: &str| format!("/api/dcim/devices/?limit=3&ordering=id{rest}&fields=id,name");
    let check = |offset: u64| format!("/api/dcim/devices/?limit=1&ordering=id&offset={offset}&fields=id,name");
    respond("GET", FIRST, 400, r#"["Unknown parameter"]"#);
    respond("GET", &url(""), 200, page(8, &[1, 2, 3], true));
    respond("GET", &url("&id__gte=4"), 200, page(8, &[1, 2, 3], true));
    respond("GET", &url("&offset=3"), 200, page(8, &[4, 5, 6], true));
    respond("GET", &check(2), 200, page(8, &[before], true));
    respond("GET", &url("&offset=6"), 200, page(8, &[7, 8], false));
    respond("GET", &check(5), 200, page(8, &[6], true));
    load_all(&netbox(), request(&["name"]))
}

#[test]
fn a_list_without_filters_is_read_by_offset() {
    reset();
    assert_eq!(ids(&stubborn(3).unwrap()), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_delete_while_reading_by_offset_is_noticed() {
    reset();
    let error = stubborn(4).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("run again"), "{}", error.message);
}

#[test]
fn objects_without_ids_are_counted() {
    reset();
    let body = |count: u64, names: &[&str], more: bool| {
        let results: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"count": count, "next": more.then_some("?offset=2"), "results": results}).to_string()
    };
    let url = |rest: &str| format!("/api/core/background-queues/?limit=3{rest}&fields=id,name");
    let request = LoadRequest { page_size: 3, ..first_page("core.background_queues", &["name"]) };
    respond("GET", &url("&start=0"), 200, body(3, &["a", "b"], true));
    respond("GET", &url("&ordering=id"), 200, body(3, &["a", "b"], true));
    respond("GET", &url("&ordering=id&offset=2"), 200, body(3, &["c"], false));
    respond("GET", &url("&ordering=id&offset=2"), 200, body(2, &["c"], false));
    assert_eq!(load_all(&netbox(), request.clone()).unwrap().len(), 3);
    assert_eq!(load_all(&netbox(), request).unwrap_err().kind, ErrorKind::Conflict);
}

#[test]
fn a_bare_list_is_read() {
    reset();
    let url = "/api/plugins/installed-plugins/?limit=3&start=0&fields=id,name";
    respond("GET", url, 200, r#"[{"name": "bgp"}]"#);
    let request = LoadRequest { page_size: 3, ..first_page("plugins.installed_plugins", &["name"]) };
    assert_eq!(load_all(&netbox(), request).unwrap(), [json!({"name": "bgp"})]);
}

#[test]
fn a_server_that_leads_in_circles_is_not_followed() {
    reset();
    for next in ["http://x/?start=0", "http://x/?offset=3"] {
        reset();
        respond("GET", FIRST, 200, json!({"count": null, "next": next, "results": [{"id": 1}]}).to_string());
        assert_eq!(failure("dcim.devices").kind, ErrorKind::Remote);
    }
}

#[test]
fn a_rejected_token_is_named() {
    reset();
    respond("GET", FIRST, 403, include_str!("../fixtures/403.json"));
    let error = failure("dcim.devices");
    assert_eq!((error.kind, error.http_status), (ErrorKind::Auth, Some(403)));
    assert!(error.message.contains("`dcim.devices`") && error.message.contains("NETBOX_TOKEN"), "{}", error.message);
    assert!(error.message.contains("Authentication credentials were not provided."), "{}", error.message);
}

#[test]
fn an_unknown_list_is_a_mistake_in_the_mapping() {
    reset();
    respond("GET", "/api/dcim/nope/?limit=3&start=0&fields=id,name", 404, include_str!("../fixtures/404.html"));
    let error = failure("dcim.nope");
    assert_eq!((error.kind, error.http_status), (ErrorKind::Config, Some(404)));
    assert!(error.message.contains("/api/dcim/nope/") && error.message.contains("dcim.device_types"), "{}", error.message);
    assert!(!error.message.contains('<'), "{}", error.message);
}

#[test]
fn an_answer_of_another_product_is_reported() {
    reset();
    respond_with_headers("GET", FIRST, 200, &[("Content-Type", "text/html")], "<html>Log in</html>");
    let error = failure("dcim.devices");
    assert_eq!(error.kind, ErrorKind::Remote);
    assert!(error.message.contains("text/html"), "{}", error.message);
}

#[test]
fn a_redirect_names_the_right_address() {
    reset();
    respond_with_headers("GET", FIRST, 301, &[("Location", "https://nb.example.com/")], "");
    let error = failure("dcim.devices");
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("https://nb.example.com/"), "{}", error.message);
}

#[test]
fn other_refusals_keep_their_status() {
    reset();
    respond("GET", FIRST, 503, "try later");
    respond_with_headers("GET", FIRST, 429, &[("Retry-After", "7")], "");
    let error = failure("dcim.devices");
    assert_eq!((error.kind, error.http_status), (ErrorKind::Remote, Some(503)));
    let error = failure("dcim.devices");
    assert_eq!((error.kind, error.retry_after_ms), (ErrorKind::RateLimited, Some(7000)));
}

#[test]
fn no_answer_is_a_failed_transport() {
    reset();
    assert_eq!(failure("dcim.devices").kind, ErrorKind::Transport);
}

#[test]
fn the_token_is_a_secret_that_is_sent_as_its_version_wants() {
    reset();
    let manifest = Netbox::manifest();
    let token = manifest.settings.iter().find(|setting| setting.name == "token").unwrap();
    assert!(token.secret && !token.required);
    let CredentialForm::Header(templates) = &manifest.credentials[0].form else { panic!("no header") };
    let taken = |secret: &str| &templates.iter().find(|template| secret.starts_with(&template.prefix)).unwrap().template;
    assert_eq!(taken("nbt_abc.def"), "Bearer {token}");
    assert_eq!(taken("0123456789abcdef"), "Token {token}");
}
