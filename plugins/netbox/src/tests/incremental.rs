//! Reading what changed since, against a NetBox that is played.

use std::cell::RefCell;
use std::rc::Rc;

use infrahub_sync_adapter::testing::{first_page, next_run, page_records, requests, reset, respond_with};
use infrahub_sync_adapter::{Adapter, ErrorKind, LoadRequest, Page, Result};
use serde_json::{Value, json};

use super::{ids, netbox};

/// The watermark of the last run, and what is asked for because of it: six minutes earlier, and the log from the full hour before.
const SINCE: &str = "2026-11-24T10:10:00Z";
const ASKED: &str = "2026-11-24T10%3A04%3A00Z";
const LOG_FROM: &str = "2026-11-24T10%3A00%3A00Z";
const NOW: &str = "Tue, 24 Nov 2026 11:00:00 GMT";
const NEXT: &str = "2026-11-24T11:00:00Z";

/// What the NetBox of a test answers.
#[derive(Clone)]
struct Server {
    /// The records that the list gives for `last_updated__gte`.
    changed: Vec<Value>,
    total: u64,
    /// Entries of the log; none: the token may not read it.
    log: Option<Vec<Value>>,
    /// A server before 4.1: no cursor, the log elsewhere, no types of lists.
    old: bool,
    object_custom_fields: u64,
    /// The oldest delete in the log.
    oldest: Option<Value>,
    clock: Option<&'static str>,
}

impl Default for Server {
    fn default() -> Server {
        let (changed, log) = (Vec::new(), Some(Vec::new()));
        Server { changed, total: 60, log, old: false, object_custom_fields: 0, oldest: None, clock: Some(NOW) }
    }
}

/// An entry of the log.
fn entry(time: &str, action: &str, kind: &str, id: u64) -> Value {
    json!({"id": 7, "time": time, "action": {"value": action, "label": "…"}, "changed_object_type": kind, "changed_object_id": id})
}

fn record(id: u64, last_updated: &str) -> Value {
    json!({"id": id, "name": format!("d{id}"), "last_updated": last_updated})
}

impl Server {
    fn start(self) -> Rc<RefCell<Server>> {
        reset();
        let server = Rc::new(RefCell::new(self));
        let shared = Rc::clone(&server);
        respond_with(move |request| {
            let server = shared.borrow();
            let (status, body) = server.answer(&request.url);
            Some((
                status,
                server.clock.map(|clock| ("Date".to_owned(), clock.to_owned())).into_iter().collect(),
                body.to_string().into_bytes(),
            ))
        });
        server
    }

    fn answer(&self, url: &str) -> (u16, Value) {
        let list = |results: &[Value]| {
            let count = if url.contains("start=") && !self.old { Value::Null } else { results.len().into() };
            (200, json!({"count": count, "next": null, "previous": null, "results": results}))
        };
        let log_path = if self.old { "/api/extras/object-changes/" } else { "/api/core/object-changes/" };
        let types = [("dcim", "device", "/netbox/api/dcim/devices/", true), ("core", "datafile", "/netbox/api/core/data-files/", false)];
        match () {
            () if url.starts_with(log_path) && url.contains("action=delete") => list(self.oldest.as_slice()),
            () if url.starts_with(log_path) => match &self.log {
                Some(entries) => list(entries),
                None => (403, json!({"detail": "You do not have permission to perform this action."})),
            },
            () if url.contains("/object-changes/") => (404, json!({})),
            () if url.starts_with("/api/core/object-types/") && !self.old => list(&types.map(|(app, model, address, logged)| {
                json!({"app_label": app, "model": model, "rest_api_endpoint": address, "features": if logged { vec!["change_logging"] } else { vec![] }})
            })),
            () if url.starts_with("/api/core/object-types/") => (404, json!({})),
            () if url.starts_with("/api/extras/custom-fields/") => (200, json!({"count": self.object_custom_fields, "next": null, "results": []})),
            () if url.contains("last_updated__gte=") => list(&self.changed),
            () if url.contains("limit=1&") => (200, json!({"count": self.total, "next": null, "results": []})),
            () => (500, json!({"detail": url})),
        }
    }
}

fn changes(resource: &str, fields: &[&str]) -> Result<Page> {
    netbox().load(&LoadRequest { since: Some(SINCE.to_owned()), ..first_page(resource, fields) })
}

fn urls() -> Vec<String> {
    requests().into_iter().map(|request| request.url).collect()
}

fn is_unsupported(resource: &str, field: &str) {
    let error = changes(resource, &["name", field]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{resource} {field}: {}", error.message);
    assert!(error.message.contains(resource), "{}", error.message);
}

fn is_supported(resource: &str, field: &str) {
    assert!(changes(resource, &["name", field]).is_ok(), "{resource} {field}");
}

#[test]
fn a_full_load_tells_the_server_s_time_at_its_beginning() {
    reset();
    let times = RefCell::new(["Tue, 24 Nov 2026 09:59:59 GMT", "Tue, 24 Nov 2026 10:00:07 GMT"].into_iter());
    respond_with(move |request| {
        let next = request.url.contains("start=0").then_some("http://x/?start=4");
        let body = json!({"count": null, "next": next, "results": [{"id": 1}]}).to_string().into_bytes();
        Some((200, vec![("Date".into(), times.borrow_mut().next()?.into())], body))
    });
    let request = first_page("dcim.devices", &["name"]);
    let first = netbox().load(&request).unwrap();
    assert_eq!(first.watermark.as_deref(), Some("2026-11-24T09:59:59Z"));
    assert_eq!((first.deleted, first.total), (None, None));
    assert!(netbox().load(&LoadRequest { cursor: first.next, ..request }).is_ok());
}

#[test]
fn a_server_that_is_asked_twice_for_its_first_page_is_taken_at_the_first_time() {
    reset();
    let times = RefCell::new(["Tue, 24 Nov 2026 09:59:59 GMT", "Tue, 24 Nov 2026 10:00:07 GMT"].into_iter());
    respond_with(move |_| {
        let body = super::page(9, &[1, 2, 3], true).into_bytes();
        Some((200, vec![("Date".into(), times.borrow_mut().next()?.into())], body))
    });
    let page = netbox().load(&first_page("dcim.devices", &["name"])).unwrap();
    assert_eq!((page.watermark.as_deref(), requests().len()), (Some("2026-11-24T09:59:59Z"), 2));
}

#[test]
fn a_warm_run_asks_each_list_once_and_the_log_once() {
    Server::default().start();
    for (resource, fields) in [
        ("dcim.devices", ["name", "role.name", "site", "config_context"]),
        ("dcim.racks", ["name", "role.name", "tags", "custom_fields.owner"]),
        ("plugins.netbox_bgp.session", ["name", "site.name", "id", "x_count"]),
    ] {
        let page = changes(resource, &fields).unwrap();
        assert!(page_records(&page).is_empty());
        assert_eq!((page.next.as_ref(), page.watermark.as_deref()), (None, Some(NEXT)));
        assert_eq!(page.deleted, (!resource.starts_with("plugins")).then(Vec::new), "{resource}");
        assert_eq!(page.total, resource.starts_with("plugins").then_some(60), "{resource}");
    }
    assert_eq!(
        urls(),
        [
            format!(
                "/api/core/object-changes/?limit=1000&time_after={LOG_FROM}&start=0&fields=id,time,action,changed_object_type,changed_object_id"
            ),
            format!("/api/dcim/devices/?limit=1000&last_updated__gte={ASKED}&start=0&fields=id,name,role,site,config_context,last_updated"),
            format!("/api/dcim/racks/?limit=1000&last_updated__gte={ASKED}&start=0&fields=id,name,role,tags,custom_fields,last_updated"),
            format!(
                "/api/plugins/netbox-bgp/session/?limit=1000&last_updated__gte={ASKED}&start=0&fields=name,site,id,x_count,last_updated"
            ),
            "/api/core/object-types/?limit=1000&fields=id,app_label,model,features,rest_api_endpoint".to_owned(),
            "/api/plugins/netbox-bgp/session/?limit=1&fields=id".to_owned(),
        ]
    );
    next_run();
    changes("dcim.racks", &["name"]).unwrap();
    assert_eq!(requests().len(), 8, "another run reads the log again");
}

#[test]
fn changed_records_and_the_ids_of_deleted_ones_come() {
    let log = [
        // Before what was asked for: another list's.
        entry("2026-11-24T10:01:00Z", "delete", "dcim.device", 1),
        entry("2026-11-24T10:30:00.123456Z", "delete", "dcim.device", 12),
        entry("2026-11-24T11:31:00+01:00", "delete", "dcim.interface", 13),
        entry("2026-11-24T11:31:01.5+01:00", "delete", "dcim.device", 14),
        entry("2026-11-24T10:31:00Z", "update", "dcim.device", 2),
    ];
    let changed = vec![record(2, "2026-11-24T10:31:00Z"), record(61, "2026-11-24T11:04:00.5+01:00")];
    Server { log: Some(log.to_vec()), changed, ..Server::default() }.start();
    let page = changes("dcim.devices", &["name", "status.value", "device_type"]).unwrap();
    assert_eq!(ids(&page_records(&page)), [2, 61]);
    assert_eq!(page.deleted, Some(vec!["12".to_owned(), "14".to_owned()]));
    assert_eq!((page.watermark.as_deref(), page.total), (Some(NEXT), None));
    assert_eq!(requests().len(), 3, "log, list, types");
}

#[test]
fn values_in_other_objects_are_read_again_when_those_changed() {
    let log = vec![
        entry("2026-11-24T10:30:00Z", "update", "dcim.site", 1),
        entry("2026-11-24T10:31:00Z", "delete", "extras.tag", 2),
        entry("2026-11-24T10:02:00Z", "update", "tenancy.tenant", 3),
    ];
    Server { log: Some(log), ..Server::default() }.start();
    for field in ["site.name", "site.slug", "tags", "tags.name", "display", "config_context", "device_count", "site.display"] {
        is_unsupported("dcim.devices", field);
    }
    is_unsupported("plugins.netbox_bgp.session", "status");
    // The tenant was changed before the last run.
    for field in ["site", "site.id", "role.name", "status.value", "tenant.name", "platform", "custom_fields.owner.name"] {
        is_supported("dcim.devices", field);
    }
}

#[test]
fn a_site_that_is_inherited_is_read_again_when_places_changed() {
    Server { log: Some(vec![entry("2026-11-24T10:30:00Z", "update", "dcim.rack", 1)]), ..Server::default() }.start();
    is_unsupported("dcim.devices", "site");
    is_unsupported("dcim.devices", "location");
    is_supported("ipam.vlans", "site");
}

#[test]
fn custom_fields_are_read_again_when_they_may_show_objects() {
    let log = |kind: &str| Some(vec![entry("2026-11-24T10:30:00Z", "update", kind, 1)]);
    Server { log: log("dcim.site"), object_custom_fields: 1, ..Server::default() }.start();
    is_unsupported("dcim.devices", "custom_fields.owner");
    is_unsupported("dcim.devices", "custom_fields.owner.name");
    is_supported("dcim.devices", "custom_fields.lifecycle.value");
    assert_eq!(urls().iter().filter(|url| url.contains("custom-fields/?type=object&type=multiobject&limit=1")).count(), 1);
    Server { log: log("extras.customfieldchoiceset"), ..Server::default() }.start();
    is_unsupported("dcim.devices", "custom_fields.lifecycle.value");
    is_supported("dcim.devices", "status.value");
}

#[test]
fn without_the_log_only_what_stands_in_the_record_itself_is_incremental() {
    let server = Server { log: None, changed: vec![record(2, "2026-11-24T10:31:00Z")], ..Server::default() }.start();
    let page = changes("dcim.devices", &["name", "status.value", "device_type"]).unwrap();
    assert_eq!(ids(&page_records(&page)), [2]);
    assert_eq!((page.deleted, page.total, page.watermark.as_deref()), (None, Some(60), Some(NEXT)));
    is_unsupported("dcim.devices", "role.name");
    is_unsupported("dcim.devices", "tags");
    assert_eq!(urls().iter().filter(|url| url.contains("object-changes")).count(), 1, "the refusal is remembered");
    assert_eq!(requests().len(), 3);
    // A server without a clock gives nothing to go on from, and its log no moment.
    server.borrow_mut().clock = None;
    next_run();
    assert_eq!(changes("dcim.devices", &["name"]).unwrap().watermark, None);
}

#[test]
fn older_servers_have_the_log_elsewhere_and_do_not_tell_the_types() {
    let server = Server { old: true, ..Server::default() }.start();
    let page = changes("dcim.devices", &["name", "role.name"]).unwrap();
    assert_eq!((page.deleted, page.watermark.as_deref()), (Some(Vec::new()), Some(NEXT)));
    server.borrow_mut().log = Some(vec![entry("2026-11-24T10:30:00Z", "delete", "dcim.device", 12)]);
    next_run();
    let page = changes("dcim.devices", &["name"]).unwrap();
    assert_eq!((page.deleted, page.total), (None, Some(60)));
}

#[test]
fn the_log_counts_only_as_far_back_as_it_was_kept() {
    let server = Server::default().start();
    let long_ago = |oldest: Option<Value>| {
        next_run();
        server.borrow_mut().oldest = oldest;
        let since = Some("2026-11-20T10:10:00Z".to_owned());
        netbox().load(&LoadRequest { since, ..first_page("dcim.devices", &["name", "role.name"]) })
    };
    for oldest in [
        None,
        Some(entry("2026-11-21T00:00:00Z", "delete", "dcim.site", 1)),
        // The filter was ignored.
        Some(entry("2026-01-01T00:00:00Z", "create", "dcim.site", 1)),
    ] {
        assert_eq!(long_ago(oldest).unwrap_err().kind, ErrorKind::Unsupported);
    }
    assert!(long_ago(Some(entry("2026-11-20T00:00:00Z", "delete", "dcim.site", 1))).is_ok());
}

#[test]
fn a_log_that_ignores_the_time_is_none() {
    Server { log: Some(vec![entry("2026-11-24T09:59:00Z", "update", "dcim.site", 1)]), ..Server::default() }.start();
    is_unsupported("dcim.devices", "role.name");
    is_supported("dcim.devices", "name");
}

#[test]
fn a_list_that_ignores_the_filter_is_noticed() {
    let server = Server::default().start();
    for records in [
        vec![record(1, "2026-11-24T10:31:00Z"), record(2, "2026-11-24T10:03:59.9Z")],
        vec![json!({"id": 1, "name": "admin"})],
        vec![json!({"id": 1, "name": "x", "last_updated": null})],
    ] {
        server.borrow_mut().changed = records;
        is_unsupported("dcim.devices", "status.value");
    }
}

#[test]
fn a_list_that_refuses_the_filter_is_read_in_full() {
    Server::default().start();
    infrahub_sync_adapter::testing::respond(
        "GET",
        &format!("/api/dcim/devices/?limit=1000&last_updated__gte={ASKED}&start=0&fields=id,name,last_updated"),
        400,
        "[]",
    );
    infrahub_sync_adapter::testing::respond(
        "GET",
        &format!("/api/dcim/devices/?limit=1000&last_updated__gte={ASKED}&ordering=id&fields=id,name,last_updated"),
        400,
        "[]",
    );
    assert_eq!(changes("dcim.devices", &["name"]).unwrap_err().kind, ErrorKind::Unsupported);
}

#[test]
fn changes_of_several_pages_keep_the_filter() {
    reset();
    respond_with(|request| {
        let (next, results) = match request.url.as_str() {
            url if url.contains("object-changes") => (None, vec![]),
            url if !url.contains(&format!("last_updated__gte={ASKED}")) => return None,
            url if url.contains("start=0") => (Some("http://x/?start=3"), vec![record(2, "2026-11-24T10:31:00Z")]),
            url if url.contains("start=3") => (Some("http://x/?start=9"), vec![record(8, "2026-11-24T10:31:00Z")]),
            _ => (None, vec![record(9, "2026-11-24T09:31:00Z")]),
        };
        let body = json!({"count": null, "next": next, "results": results}).to_string().into_bytes();
        Some((200, vec![("Date".into(), NOW.into())], body))
    });
    let mut request = LoadRequest { since: Some(SINCE.to_owned()), ..first_page("dcim.devices", &["name"]) };
    for id in [2, 8] {
        let page = netbox().load(&request).unwrap();
        assert_eq!(ids(&page_records(&page)), [id]);
        request.cursor = page.next;
    }
    assert_eq!(netbox().load(&request).unwrap_err().kind, ErrorKind::Unsupported, "an old record on any page is noticed");
}

#[test]
fn a_watermark_of_somebody_else_is_none() {
    Server::default().start();
    let request = LoadRequest { since: Some("SINCE".into()), ..first_page("dcim.devices", &["name"]) };
    assert_eq!(netbox().load(&request).unwrap_err().kind, ErrorKind::Unsupported);
    // Whole records have everything in them.
    assert!(changes("dcim.devices", &[]).is_ok());
    Server { log: Some(vec![entry("2026-11-24T10:30:00Z", "update", "dcim.site", 1)]), ..Server::default() }.start();
    assert_eq!(changes("dcim.devices", &[]).unwrap_err().kind, ErrorKind::Unsupported);
}
