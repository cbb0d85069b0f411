//! The example project against a real NetBox: sync, change, delete, put back.
//!
//! The test starts the server with `tests/live/netbox.sh`, loads it, and takes about two minutes on two cores, most of them NetBox's.

mod copies;

use std::collections::BTreeSet;

use infrahub_sync_tests::Project;
use infrahub_sync_tests::live::{NetBox, Turn, live_folder, root};
use serde_json::Value;

fn changes(plan: &Value) -> BTreeSet<(String, String, String)> {
    let text = |change: &Value, name: &str| change[name].as_str().unwrap_or_default().to_owned();
    let changes = plan["changes"].as_array().unwrap();
    changes.iter().map(|change| (text(change, "action"), text(change, "resource"), text(change, "source_id"))).collect()
}

fn has(plan: &Value, action: &str, kind: &str, id: &str) -> bool {
    changes(plan).contains(&(action.to_owned(), kind.to_owned(), id.to_owned()))
}

#[test]
fn a_real_netbox_is_followed_through_edits_deletes_and_back() {
    let _turn = Turn::wait();
    let netbox = NetBox::up();

    let config = std::fs::read_to_string(root().join("examples/netbox_to_files/config.yml")).unwrap();
    let mut project = Project::new(&config);
    project.set("NETBOX_ADDRESS", &netbox.url);
    project.set("NETBOX_TOKEN", "wrong");
    let refused = project.run(&["diff"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    project.set("NETBOX_TOKEN", &netbox.token);
    project.ok(&["diff", "--run-id", "reviewed"]);
    project.ok(&["apply", "--run-id", "reviewed"]);
    let first = project.read("network/DcimDevice.jsonl");
    // A token of the second kind reads the same.
    let second = std::fs::read_to_string(live_folder().join("netbox/token-v2")).unwrap();
    project.set("NETBOX_TOKEN", second.trim());
    let (code, plan) = project.plan(&[]);
    assert_eq!((code, changes(&plan).len()), (0, 0));
    project.set("NETBOX_TOKEN", &netbox.token);

    netbox.change("edits");
    let (code, plan) = project.plan(&[]);
    assert_eq!(code, 2);
    for (action, kind, id) in [
        ("update", "LocationSite", "Zürich"),
        ("update", "DcimDevice", "krk-core-01__Kraków"),
        ("create", "DcimDevice", "gru-leaf-01-renamed__São Paulo"),
        ("create", "DcimDevice", "krk-pdu-01__Kraków"),
        ("update", "IpamVLAN", "40__Montréal VLANs"),
        ("update", "IpamPrefix", "172.16.1.0/24__lab"),
        ("create", "IpamPrefix", "2001:db8:2:10::/64__guest"),
        ("create", "BuiltinTag", "Laboratory"),
    ] {
        assert!(has(&plan, action, kind, id), "{action} {kind} {id} in {:?}", changes(&plan));
    }
    assert!(changes(&plan).iter().all(|(action, ..)| action != "delete"), "deletes are off by default");
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(project.plan(&[]).0, 0);

    netbox.change("deletes");
    assert_eq!(project.plan(&[]).0, 0, "deletes are off by default");
    project.write("config.yml", &config.replace("\nschema_mapping:", "\ndiffsync_flags: [NONE]\nschema_mapping:"));
    let (_, plan) = project.plan(&[]);
    let deleted: Vec<_> = changes(&plan).into_iter().filter(|(action, ..)| action == "delete").collect();
    assert!(deleted.iter().any(|(_, kind, _)| kind == "DcimInterface"), "{deleted:?}");
    assert!(deleted.iter().any(|(_, kind, _)| kind == "DcimDevice"), "{deleted:?}");
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(project.plan(&[]).0, 0);

    netbox.change("restore");
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(project.plan(&[]).0, 0);
    assert_eq!(project.read("network/DcimDevice.jsonl"), first, "back to what it was, byte for byte");
}
