//! Tests the adapter against answers in the forms of a Peering Manager 1.10.

use infrahub_sync_adapter::testing::{first_page, load_all, reset, respond};
use infrahub_sync_adapter::{Adapter, ErrorKind, LoadRequest};
use serde_json::{Value, json};

use super::PeeringManager;

fn adapter() -> PeeringManager {
    PeeringManager::configure(r#"{"url": "https://peering.example.com", "params": {"limit": 100}}"#).unwrap()
}

fn page(count: u64, ids: &[u32], more: bool) -> String {
    let results: Vec<Value> = ids.iter().map(|id| json!({"id": id, "name": format!("as{id}")})).collect();
    json!({"count": count, "next": more.then_some("http://x/?offset=2"), "previous": null, "results": results}).to_string()
}

fn request(resource: &str) -> LoadRequest {
    LoadRequest { page_size: 2, ..first_page(resource, &["name"]) }
}

#[test]
fn all_pages_are_read_behind_the_last_id() {
    reset();
    let url = |rest: &str| format!("/api/peering/autonomous-systems/?limit=2&ordering=id{rest}&fields=id,name");
    respond("GET", &url(""), 200, page(3, &[1, 4], true));
    respond("GET", &url("&id__gte=5"), 200, page(1, &[9], false));
    assert_eq!(load_all(&adapter(), request("peering/autonomous-systems")).unwrap().len(), 3);
}

#[test]
fn a_filter_that_is_ignored_is_noticed_and_the_list_read_by_offset() {
    reset();
    let url = |rest: &str| format!("/api/peering/autonomous-systems/?limit=2&ordering=id{rest}&fields=id,name");
    respond("GET", &url(""), 200, page(3, &[1, 4], true));
    respond("GET", &url("&id__gte=5"), 200, page(3, &[1, 4], true));
    respond("GET", &url("&offset=2"), 200, page(3, &[9], false));
    respond("GET", "/api/peering/autonomous-systems/?limit=1&ordering=id&offset=1&fields=id,name", 200, page(3, &[4], true));
    assert_eq!(load_all(&adapter(), request("peering.autonomous_systems")).unwrap().len(), 3);
}

#[test]
fn communities_are_found_at_either_address() {
    reset();
    let url = |list: &str| format!("/api/{list}/communities/?limit=2&ordering=id&fields=id,name");
    respond("GET", &url("peering"), 404, "<html>");
    respond("GET", &url("bgp"), 200, page(1, &[1], false));
    assert_eq!(load_all(&adapter(), request("peering/communities")).unwrap().len(), 1);
    reset();
    respond("GET", &url("bgp"), 404, "<html>");
    respond("GET", &url("peering"), 200, page(1, &[1], false));
    assert_eq!(load_all(&adapter(), request("bgp.communities")).unwrap().len(), 1);
    reset();
    respond("GET", &url("bgp"), 404, "<html>");
    respond("GET", &url("peering"), 404, "<html>");
    assert_eq!(load_all(&adapter(), request("bgp.communities")).unwrap_err().kind, ErrorKind::Config);
}
