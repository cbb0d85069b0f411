//! Other users, and what a mapping may leave to the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use infrahub_sync_tests::changes;
use infrahub_sync_tests::django::lists::{NETBOX, PEERING};
use infrahub_sync_tests::django::{Dialect, Django, Fate, Moment, TOKEN};
use serde_json::{Value, json};

use super::{is_in_sync, project, side, writes};

const DEVICES: &str = "
schema_mapping:
  - name: Site
    mapping: dcim.sites
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: description, mapping: description}]
";

/// An edit of another user at a moment of the request that reads the tags of what is about to be changed. Returns the words and the texts after it.
fn edited_at(moment: Moment) -> (i32, String, Vec<Value>) {
    let (from, to) = (Django::start(Dialect::NetBox, NETBOX), Arc::new(Django::start(Dialect::NetBox, NETBOX)));
    let site = |name: &str, text: &str| json!({"name": name, "slug": name, "description": text});
    from.put("dcim/sites", &[site("a", "new"), site("b", "new")]);
    let ids = to.put("dcim/sites", &[site("a", "old"), site("b", "old")]);
    let project = project(&side("netbox", &from, TOKEN), &side("netbox", &to, TOKEN), DEVICES);
    let is_done = AtomicBool::new(false);
    let (editor, id) = (Arc::downgrade(&to), ids[0].clone());
    to.hook(Some(Arc::new(move |now, request| {
        let is_it = now == moment && request.method == "GET" && request.target.contains("fields=id,last_updated&id=");
        if let (true, false, Some(server)) =
            (is_it, is_done.swap(is_it || is_done.load(Ordering::SeqCst), Ordering::SeqCst), editor.upgrade())
        {
            server.put("dcim/sites", &[json!({"id": id, "description": "by hand"})]);
        }
        Fate::Continue
    })));
    let output = project.run(&["sync"]);
    to.hook(None);
    (output.code, output.stderr, to.objects("dcim/sites").iter().map(|site| site["description"].clone()).collect())
}

#[test]
fn an_edit_between_the_last_look_and_the_write_is_kept_and_reported() {
    for moment in [Moment::Arrived, Moment::Handled] {
        let (code, words, texts) = edited_at(moment);
        assert_eq!((code, texts), (7, vec![json!("by hand"), json!("new")]), "{moment:?}: {words}");
        assert!(words.contains("another user has changed it since this run began"), "{moment:?}: {words}");
    }
}

#[test]
fn tags_without_a_kind_of_their_own_are_names() {
    let (from, to) = (Django::start(Dialect::NetBox, NETBOX), Django::start(Dialect::NetBox, NETBOX));
    let tag = |name: &str| json!({"name": name, "slug": name});
    let tags = from.put("extras/tags", &[tag("core"), tag("edge"), tag("lab")]);
    to.put("extras/tags", &[tag("other"), tag("lab"), tag("edge"), tag("core")]);
    from.put("dcim/sites", &[json!({"name": "a", "slug": "a", "tags": [tags[2], tags[0]]}), json!({"name": "b", "slug": "b"})]);
    let mapping = "
schema_mapping:
  - {name: Site, mapping: dcim.sites, identifiers: [name], fields: [{name: name, mapping: name}, {name: tags, mapping: tags}]}
";
    let project = project(&side("netbox", &from, TOKEN), &side("netbox", &to, TOKEN), mapping);
    project.ok(&["sync"]);
    assert_eq!(
        to.objects("dcim/sites"),
        [
            json!({"name": "a", "slug": "a", "status": "active", "tags": ["lab", "core"]}),
            json!({"name": "b", "slug": "b", "status": "active"})
        ]
        .map(|mut site| {
            // The names of the peers in the order in which they were written: sorted.
            if let Some(tags) = site.get_mut("tags") {
                *tags = json!(["core", "lab"]);
            }
            site
        })
    );
    is_in_sync(&project);
    let b = from.find("dcim/sites", "name", "b").unwrap();
    let a = from.find("dcim/sites", "name", "a").unwrap();
    from.put("dcim/sites", &[json!({"id": a, "tags": []}), json!({"id": b, "tags": [tags[1]]})]);
    let (_, plan) = project.plan(&[]);
    assert_eq!(changes(&plan), ["update Site a tags", "update Site b tags"]);
    project.ok(&["sync"]);
    is_in_sync(&project);
}

#[test]
fn exchanges_are_changed_and_one_that_must_be_made_stops_the_run() {
    let (from, to) = (Django::start(Dialect::PeeringManager, PEERING), Django::start(Dialect::PeeringManager, PEERING));
    for server in [&from, &to] {
        let asn = server.put("peering/autonomous-systems", &[json!({"asn": 64500, "name": "us"})]).remove(0);
        server.put("peering/internet-exchanges", &[json!({"name": "IX", "slug": "ix", "local_autonomous_system": asn})]);
    }
    from.put(
        "peering/internet-exchanges",
        &[json!({"id": from.find("peering/internet-exchanges", "name", "IX").unwrap(), "description": "large"})],
    );
    let mapping = "
schema_mapping:
  - {name: Ixp, mapping: peering/internet-exchanges, identifiers: [name], fields: [{name: name, mapping: name}, {name: description, mapping: description}]}
";
    let project = project(&side("peeringmanager", &from, TOKEN), &side("peeringmanager", &to, TOKEN), mapping);
    project.ok(&["sync"]);
    assert_eq!(to.objects("peering/internet-exchanges"), from.objects("peering/internet-exchanges"));
    let asn = from.find_all("peering/autonomous-systems", &[]).remove(0);
    from.put("peering/internet-exchanges", &[json!({"name": "New", "slug": "new", "local_autonomous_system": asn})]);
    drop(to.requests());
    let output = project.run(&["sync"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("a new `Ixp` needs `local_autonomous_system`"), "{}", output.stderr);
    assert_eq!(writes(&to), []);
}

#[test]
fn a_create_whose_answer_is_lost_is_known_by_its_id() {
    let lists = infrahub_sync_tests::django::lists::NAUTOBOT;
    let (from, to) = (Django::start(Dialect::Nautobot, lists), Django::start(Dialect::Nautobot, lists));
    from.put("extras/statuses", &[json!({"name": "Active"}), json!({"name": "Planned"})]);
    let mapping = "
schema_mapping:
  - {name: Status, mapping: extras.statuses, identifiers: [name], fields: [{name: name, mapping: name}]}
";
    let sent: Arc<Mutex<Vec<Value>>> = Arc::default();
    let (seen, project) = (sent.clone(), project(&side("nautobot", &from, TOKEN), &side("nautobot", &to, TOKEN), mapping));
    to.hook(Some(Arc::new(move |now, request| {
        let is_create = request.method == "POST" && now == Moment::Arrived;
        if is_create {
            seen.lock().unwrap().push(serde_json::from_slice(&request.body).unwrap());
        }
        // It is not executed, and the sender does not learn that.
        if is_create && seen.lock().unwrap().len() == 1 { Fate::Reset } else { Fate::Continue }
    })));
    project.ok(&["sync"]);
    to.hook(None);
    let sent = sent.lock().unwrap().clone();
    let ids = |bodies: &Value| -> Vec<Value> { bodies.as_array().unwrap().iter().map(|body| body["id"].clone()).collect() };
    let again: Vec<Value> = sent[1..].iter().flat_map(ids).collect();
    assert_eq!(ids(&sent[0]), again, "the same object has the same id when it is sent again: {sent:?}");
    assert_eq!(to.find_all("extras/statuses", &[]).len(), 2);
    assert!(to.find_all("extras/statuses", &[]).iter().all(|id| again.contains(id)), "{again:?}");
    is_in_sync(&project);
}
