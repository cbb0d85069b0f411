//! Deletes on real servers: what Infrahub deletes along, and what a permission of NetBox hides. The judge is a query of the server's own.

use infrahub_sync_tests::Project;
use infrahub_sync_tests::live::{Infrahub, NetBox, Turn};
use serde_json::{Value, json};

use crate::infrahub::NETWORK;

const PORTS: usize = 40;

#[test]
fn machine_takes_its_ports_along_only_with_a_line_of_the_project() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[NETWORK]);
    let branch = infrahub.branch("along");
    let config = |lines: &str| {
        format!(
            "name: along\nsource: {{name: files, settings: {{path: source}}}}\n\
             destination: {{name: infrahub, settings: {{branch: {}}}}}\ndiffsync_flags: [NONE]\ndeletes: all\n{lines}schema_mapping:\n  \
             - {{name: VirtualizationCluster, mapping: clusters, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n  \
             - name: VirtualizationVirtualMachine\n    mapping: machines\n    identifiers: [name, cluster]\n    \
             fields: [{{name: name, mapping: name}}, {{name: cluster, mapping: cluster, reference: VirtualizationCluster}}]\n",
            branch.name
        )
    };
    let mut project = Project::new(&config(""));
    project.set("INFRAHUB_ADDRESS", &infrahub.url);
    project.set("INFRAHUB_API_TOKEN", &infrahub.token);
    let machines = |names: &[&str]| -> String {
        names.iter().map(|name| json!({"id": name, "name": name, "cluster": {"id": 1}})).collect::<Value>().to_string()
    };
    project.write("source/clusters.json", &json!([{"id": 1, "name": "along"}]).to_string());
    project.write("source/machines.json", &machines(&["stays", "goes"]));
    project.ok(&["sync", "--no-diff"]);
    let before = branch.count("VirtualizationInterface");
    let goes = branch.node("VirtualizationVirtualMachine", "goes", "id");
    let port = |number: usize| {
        infrahub.create(&branch.name, "VirtualizationInterface", &format!("name:{{value:\"p{number}\"}} host:{{id:{}}}", goes["id"]))
    };
    (0..PORTS).for_each(|number| drop(port(number)));
    project.write("source/machines.json", &machines(&["stays"]));

    // No line, no delete.
    let output = project.ok(&["sync", "--no-diff"]);
    assert!(output.stderr.contains("`delete_along: [VirtualizationInterface]`"), "{}", output.stderr);
    assert_eq!(branch.count("VirtualizationInterface"), before + PORTS as u64);

    // With the line, the plan names them, and the limit counts them.
    project.write("config.yml", &config("delete_along: [VirtualizationInterface]\n"));
    let (_, plan) = project.plan(&["--run-id", "named"]);
    assert_eq!((&plan["summary"]["delete"], &plan["summary"]["along"]), (&json!(1), &json!(PORTS)), "{}", plan["summary"]);
    let refused = project.run(&["apply", "--run-id", "named", "--max-deletes", "40"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_eq!(branch.count("VirtualizationInterface"), before + PORTS as u64);

    // Another user adds a port after the review.
    port(PORTS);
    let conflict = project.run(&["apply", "--run-id", "named", "--max-deletes", "100"]);
    assert_eq!(conflict.code, 7, "{}", conflict.stderr);
    assert_eq!(branch.count("VirtualizationInterface"), before + PORTS as u64 + 1);

    project.ok(&["sync", "--no-diff", "--max-deletes", "100"]);
    assert_eq!(branch.count("VirtualizationInterface"), before);
    let left = branch.nodes("VirtualizationVirtualMachine", "name__value:\"goes\"", "id");
    assert_eq!(left, Vec::<Value>::new());
}

/// A user of NetBox whose permission hides devices, and the devices of the test. They go with the test.
struct Hiding<'n> {
    netbox: &'n NetBox,
    devices: Vec<u64>,
    made: Vec<(&'static str, u64)>,
}

impl Hiding<'_> {
    fn post(&mut self, list: &'static str, body: &Value) -> Value {
        let (status, made) = self.netbox.request("POST", &format!("/api/{list}/"), Some(body));
        assert_eq!(status, 201, "{list}: {made}");
        self.made.extend(made["id"].as_u64().map(|id| (list, id)));
        made
    }
}

impl Drop for Hiding<'_> {
    fn drop(&mut self) {
        for id in &self.devices {
            self.netbox.request("DELETE", &format!("/api/dcim/devices/{id}/"), None);
        }
        for (list, id) in self.made.iter().rev() {
            self.netbox.request("DELETE", &format!("/api/{list}/{id}/"), None);
        }
    }
}

#[test]
fn devices_that_a_constraint_hides_are_not_gone() {
    let _turn = Turn::wait();
    let netbox = NetBox::up();
    let some = |list: &str| netbox.request("GET", &format!("/api/{list}/?limit=1"), None).1["results"][0]["id"].clone();
    let (site, role, kind) = (some("dcim/sites"), some("dcim/device-roles"), some("dcim/device-types"));
    let mut hiding = Hiding { netbox: &netbox, devices: Vec::new(), made: Vec::new() };
    let bodies: Vec<Value> =
        (0..10).map(|at| json!({"name": format!("hidden-{at}"), "site": site, "role": role, "device_type": kind})).collect();
    let (status, made) = netbox.request("POST", "/api/dcim/devices/", Some(&Value::Array(bodies)));
    assert_eq!(status, 201, "{made}");
    hiding.devices = made.as_array().unwrap().iter().map(|device| device["id"].as_u64().unwrap()).collect();
    let first = *hiding.devices.iter().min().unwrap();
    let all = netbox.request("GET", "/api/dcim/devices/?limit=1", None).1["count"].as_u64().unwrap();

    let user = hiding.post("users/users", &json!({"username": "hiding", "password": "Quite-long-1234", "is_active": true}));
    let constrained = json!({"name": "hiding devices", "object_types": ["dcim.device"], "actions": ["view"], "users": [user["id"]],
        "constraints": {"id__lt": first}});
    let permission = hiding.post("users/permissions", &constrained);
    let log = json!({"name": "hiding log", "object_types": ["core.objectchange"], "actions": ["view"], "users": [user["id"]]});
    hiding.post("users/permissions", &log);
    let token = hiding.post("users/tokens", &json!({"user": user["id"], "version": 2}));
    let token = format!("nbt_{}.{}", token["key"].as_str().unwrap(), token["token"].as_str().unwrap());

    let mut project = Project::new(
        "name: hiding\nsource: {name: netbox}\ndestination: {name: files, settings: {path: out}}\ndiffsync_flags: [NONE]\ndeletes: all\n\
         max_deletes: 100\nschema_mapping:\n  - name: Device\n    mapping: dcim.devices\n    identifiers: [number]\n    \
         fields: [{name: number, mapping: id}, {name: name, mapping: name}]\n",
    );
    project.set("NETBOX_ADDRESS", &netbox.url);
    project.set("NETBOX_TOKEN", &netbox.token);
    project.ok(&["sync", "--no-diff"]);
    let held = |project: &Project| project.read("out/Device.jsonl").lines().count() as u64;
    assert_eq!(held(&project), all);

    project.set("NETBOX_TOKEN", &token);
    for arguments in [&["sync", "--no-diff"][..], &["diff"], &["sync", "--no-diff", "--no-full-extract"]] {
        let output = project.run(arguments);
        assert!(output.stderr.contains("the list lacks 10 objects of an earlier run"), "{}", output.stderr);
        assert_eq!(held(&project), all);
    }

    // One is deleted; then all that are left are shown.
    let gone = hiding.devices.remove(0);
    assert_eq!(netbox.request("DELETE", &format!("/api/dcim/devices/{gone}/"), None).0, 204);
    let shown = json!({"constraints": null});
    let (status, answer) = netbox.request("PATCH", &format!("/api/users/permissions/{}/", permission["id"]), Some(&shown));
    assert_eq!(status, 200, "{answer}");
    let (_, plan) = project.plan(&["--run-id", "gone"]);
    let changes = plan["changes"].as_array().unwrap();
    assert_eq!((changes.len(), &changes[0]["source_id"]), (1, &json!(gone.to_string())), "{plan}");
    assert!(changes[0]["evidence"].as_str().unwrap().contains(&format!("the source reports {gone} as deleted")), "{plan}");
    project.ok(&["apply", "--run-id", "gone"]);
    assert_eq!(held(&project), netbox.request("GET", "/api/dcim/devices/?limit=1", None).1["count"].as_u64().unwrap());
}
