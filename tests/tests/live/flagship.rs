//! The NetBox example of infrahub-sync 2.0.1, unchanged but for its addresses: both tools write the same objects into a real Infrahub.

use std::path::Path;
use std::process::Command;

use infrahub_sync_tests::binary;
use infrahub_sync_tests::live::{Infrahub, NetBox, Turn, examples_of_2_0_1, must};
use serde_json::{Value, json};

use crate::infrahub::{python, reference_environment};

/// Changes of the made-up network which the example needs to meet each of its mappings. Dropping it reverts them.
struct Prepared {
    netbox: NetBox,
    /// Path and body of the requests that revert the changes of objects, the last change first.
    patches: Vec<(String, Value)>,
    /// Paths of the created objects, the last one first.
    created: Vec<String>,
}

impl Prepared {
    fn patch(&mut self, path: &str, body: &Value, back: Value) {
        let (status, answer) = self.netbox.request("PATCH", path, Some(body));
        assert_eq!(status, 200, "{path}: {answer}");
        self.patches.insert(0, (path.to_owned(), back));
    }

    fn create(&mut self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.netbox.request("POST", path, Some(body));
        assert_eq!(status, 201, "{path}: {answer}");
        self.created.insert(0, format!("{path}{}/", answer["id"]));
        answer["id"].clone()
    }

    fn list(&self, path: &str) -> Vec<Value> {
        self.netbox.request("GET", path, None).1["results"].as_array().unwrap().clone()
    }

    fn of(netbox: NetBox) -> Prepared {
        let mut prepared = Prepared { netbox, patches: Vec::new(), created: Vec::new() };
        // The kind that the example writes has whole units only; both tools refuse the others.
        for device in prepared.list("/api/dcim/devices/?limit=1000") {
            let position = device["position"].as_f64().unwrap_or_default();
            if position.fract() != 0.0 {
                let path = format!("/api/dcim/devices/{}/", device["id"]);
                prepared.patch(&path, &json!({"position": position.floor() - 1.0}), json!({"position": position}));
            }
        }
        // A device beside the racks, with a bundle and its member.
        let device = prepared.list("/api/dcim/devices/?name=zrh-leaf-02").remove(0);
        let back = json!({"rack": device["rack"]["id"], "position": device["position"], "face": device["face"]["value"]});
        prepared.patch(&format!("/api/dcim/devices/{}/", device["id"]), &json!({"rack": null, "position": null, "face": ""}), back);
        let lag = json!({"device": device["id"], "name": "Port-channel7", "type": "lag", "mode": "tagged-all"});
        let lag = prepared.create("/api/dcim/interfaces/", &lag);
        let member = prepared.list(&format!("/api/dcim/interfaces/?device_id={}&name=Ethernet3", device["id"])).remove(0);
        prepared.patch(&format!("/api/dcim/interfaces/{}/", member["id"]), &json!({"lag": lag}), json!({"lag": null}));
        // Lists that the network leaves empty.
        let rir = prepared.create("/api/ipam/rirs/", &json!({"name": "RFC 1918", "slug": "rfc-1918", "is_private": true}));
        prepared.create("/api/ipam/aggregates/", &json!({"prefix": "10.0.0.0/8", "rir": rir, "date_added": "2026-01-31"}));
        let target = prepared.create("/api/ipam/route-targets/", &json!({"name": "65000:1"}));
        let vrf = prepared.list("/api/ipam/vrfs/?name=lab").remove(0);
        let targets = json!({"import_targets": [target], "export_targets": [target]});
        prepared.patch(&format!("/api/ipam/vrfs/{}/", vrf["id"]), &targets, json!({"import_targets": [], "export_targets": []}));
        prepared
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for (path, body) in &self.patches {
            self.netbox.request("PATCH", path, Some(body));
        }
        for path in &self.created {
            self.netbox.request("DELETE", path, None);
        }
    }
}

/// An Infrahub without other schemas: the example's kinds have names that others use, too. Dropping it empties the server again.
struct Alone;

impl Alone {
    fn with(schema: &str) -> Alone {
        drop(Infrahub::up(&[]));
        must(Command::new("tests/live/infrahub.sh").args(["reset", schema]));
        Alone
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        must(Command::new("tests/live/infrahub.sh").arg("reset"));
    }
}

#[test]
fn the_netbox_example_of_2_0_1_runs_unchanged() {
    let Some(examples) = examples_of_2_0_1() else { return };
    let _turn = Turn::wait();
    let _netbox = Prepared::of(NetBox::up());
    let _infrahub = Alone::with("tests/live/infrahub/flagship.yml");
    let config = examples.join("netbox_to_infrahub/config.yml");
    let (program, reference) = (binary(), reference_environment());
    let bench = ["tests/bench/infrahub.py", "--check", "--python", &reference, "--binary", program.to_str().unwrap(), "--config"];
    python(Path::new("python3"), &[&bench[..], &[config.to_str().unwrap()]].concat());
}
