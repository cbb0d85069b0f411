//! One way in and out of each adapter, on real servers: NetBox → Infrahub → files. CI runs this test, and the others only on demand.

use infrahub_sync_tests::live::{Infrahub, NetBox, Turn};
use serde_json::json;

use crate::infrahub::{NETWORK, in_sync, project};

#[test]
fn a_network_goes_from_netbox_into_infrahub_and_from_there_into_files() {
    let _turn = Turn::wait();
    let netbox = NetBox::up();
    let infrahub = Infrahub::up(&[NETWORK]);
    let branch = infrahub.branch("smoke");
    let at = ["--branch", branch.name.as_str()];
    let mut network = project("examples/netbox_to_infrahub", &infrahub, &branch.name);
    network.set("NETBOX_ADDRESS", &netbox.url);
    network.set("NETBOX_TOKEN", &netbox.token);

    // NetBox is read; Infrahub is written, and has each object.
    let (code, plan) = network.plan(&[&at[..], &["--run-id", "reviewed"]].concat());
    assert_eq!((code, &plan["summary"]["create"]), (2, &json!(1527)), "{}", plan["summary"]);
    network.ok(&["apply", "--run-id", "reviewed", at[0], at[1]]);
    for (kind, objects) in [("DcimDevice", 52), ("DcimInterface", 900), ("IpamIPAddress", 240)] {
        assert_eq!(branch.count(kind), objects, "{kind}");
    }
    // Both are read, and nothing is left to do; the second time each is asked only for what changed.
    in_sync(&network, &at);
    in_sync(&network, &[&at[..], &["--no-full-extract"]].concat());

    // Infrahub is read as a source; files are written, and read back.
    let mut files = project("examples/infrahub_to_files", &infrahub, &branch.name);
    files.set("INFRAHUB_ADDRESS", &infrahub.url);
    files.ok(&["sync", "--no-diff", at[0], at[1]]);
    assert_eq!(files.read("network/DcimDevice.jsonl").lines().count(), 52);
    in_sync(&files, &at);

    // A change by hand is found and put back.
    let leaf = branch.node("DcimDevice", "zrh-leaf-01", "id");
    branch.update("DcimDevice", &leaf["id"], "comments:{value:\"by hand\"}");
    let (_, plan) = network.plan(&at);
    assert_eq!(plan["changes"].as_array().unwrap().len(), 1, "{}", plan["changes"]);
    network.ok(&["sync", "--no-diff", at[0], at[1]]);
    in_sync(&network, &at);
}
