//! Relationships to objects of several kinds, and object templates and profiles, on a real Infrahub.

use infrahub_sync_tests::lab::{CABLES, PLACES, TEMPLATES};
use infrahub_sync_tests::live::{Branch, Infrahub, Turn};
use infrahub_sync_tests::{Project, lab};
use serde_json::{Value, json};

/// The schema of the fake's `lab`, known by one of its kinds.
const LAB: (&str, &str) = ("LabCable", "tests/fakes/infrahub/check/lab.yml");

fn lab(infrahub: &Infrahub, branch: &Branch, mappings: &[&str]) -> Project {
    let mut project = lab::project(&format!("branch: {}", branch.name), mappings);
    project.set("INFRAHUB_ADDRESS", &infrahub.url);
    project.set("INFRAHUB_API_TOKEN", &infrahub.token);
    project
}

fn source(project: &Project, resource: &str, records: Value) {
    lab::source(project, resource, &records);
}

/// Syncs; a second run plans nothing.
fn sync(project: &Project) {
    project.ok(&["sync", "--no-diff"]);
    super::infrahub::in_sync(project, &[]);
}

/// The kind of each peer of a set, sorted.
fn kinds(set: &Value) -> Vec<&str> {
    let mut kinds: Vec<&str> = set["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["__typename"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn cables_end_at_ports_and_circuits_and_devices_stand_in_racks_or_sites() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[LAB]);
    let branch = infrahub.branch("cables");
    let platform = infrahub.create(&branch.name, "LabPlatform", "name:{value:\"os\"}");
    let project = lab(&infrahub, &branch, &[PLACES, CABLES]);
    source(&project, "sites", json!([{"id": 1, "name": "a"}]));
    source(&project, "racks", json!([{"id": 1, "name": "a"}]));
    source(
        &project,
        "devices",
        json!([{"id": 1, "name": "d", "rack": 1, "role": "in rack", "platform": "os"}, {"id": 2, "name": "d", "site": 1, "role": "on site"}]),
    );
    source(&project, "ports", json!([{"id": 1, "name": "p", "device": 1}, {"id": 2, "name": "p", "device": 2}]));
    source(&project, "circuits", json!([{"id": 1, "name": "c1"}, {"id": 2, "name": "c2"}]));
    let (port, circuit) = (json!({"kind": "LabPort", "id": 1}), json!({"kind": "LabCircuit", "id": 1}));
    source(
        &project,
        "cables",
        json!([{"id": 1, "label": "mixed", "ends": [port, circuit], "origin": circuit}, {"id": 2, "label": "loose", "ends": []}]),
    );
    sync(&project);
    let mut devices = branch.nodes("LabDevice", "", "role{value} location{node{id __typename}} platform{node{id}}");
    devices.sort_by_key(|device| device["role"]["value"].as_str().unwrap().to_owned());
    let places: Vec<&Value> = devices.iter().map(|device| &device["location"]["node"]["__typename"]).collect();
    assert_eq!(places, ["LabRack", "LabSite"]);
    assert_eq!((&devices[0]["platform"]["node"]["id"], &devices[1]["platform"]["node"]), (&json!(platform), &Value::Null));
    let cable = |label: &str| {
        let fields = "endpoints{edges{node{id __typename}}} origin{node{id __typename}}";
        branch.nodes("LabCable", &format!("label__value:\"{label}\""), fields).remove(0)
    };
    assert_eq!(kinds(&cable("mixed")["endpoints"]), ["LabCircuit", "LabPort"]);
    assert_eq!((&cable("mixed")["origin"]["node"]["__typename"], kinds(&cable("loose")["endpoints"]).len()), (&json!("LabCircuit"), 0));
    // The ends move, and the origin becomes a port.
    source(
        &project,
        "cables",
        json!([{"id": 1, "label": "mixed", "ends": ["LabCircuit:c2", {"kind": "LabPort", "id": 2}], "origin": {"kind": "LabPort", "id": 2}}, {"id": 2, "label": "loose", "ends": ["c2"]}]),
    );
    sync(&project);
    assert_eq!(kinds(&cable("mixed")["endpoints"]), ["LabCircuit", "LabPort"]);
    assert_eq!(
        (&cable("mixed")["origin"]["node"]["__typename"], kinds(&cable("loose")["endpoints"])),
        (&json!("LabPort"), vec!["LabCircuit"])
    );
    // What another user adds to a set is removed again.
    let (loose, port) = (branch.nodes("LabCable", "label__value:\"loose\"", "id").remove(0), branch.nodes("LabPort", "", "id").remove(0));
    branch
        .must(&format!("mutation{{RelationshipAdd(data:{{id:{},name:\"endpoints\",nodes:[{{id:{}}}]}}){{ok}}}}", loose["id"], port["id"]));
    assert_eq!(kinds(&cable("loose")["endpoints"]), ["LabCircuit", "LabPort"]);
    sync(&project);
    assert_eq!(kinds(&cable("loose")["endpoints"]), ["LabCircuit"]);
    // A device leaves its rack for the site: another object. The platform stays.
    source(
        &project,
        "devices",
        json!([{"id": 1, "name": "e", "site": 1, "role": "moved", "platform": "os"}, {"id": 2, "name": "d", "site": 1, "role": "on site"}]),
    );
    sync(&project);
    assert_eq!((branch.count("LabDevice"), branch.count("LabPlatform")), (2, 1));
    assert_eq!(
        branch.nodes("LabDevice", "name__value:\"e\"", "location{node{id __typename}}")[0]["location"]["node"]["__typename"],
        "LabSite"
    );
}

#[test]
fn templates_make_components_and_profiles_are_peers() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[LAB]);
    let branch = infrahub.branch("templates");
    let project = lab(&infrahub, &branch, &[TEMPLATES]);
    source(&project, "types", json!([{"id": 1, "name": "leaf", "role": "leaf"}, {"id": 2, "name": "spine", "role": "spine"}]));
    // Template names are unique; the ports that are made of them are named by the device's own scheme.
    source(
        &project,
        "type_ports",
        json!([{"id": 1, "name": "leaf-eth0", "port": "eth0", "type": 1}, {"id": 2, "name": "leaf-eth1", "port": "eth1", "type": 1}]),
    );
    source(&project, "profiles", json!([{"id": 1, "name": "tall", "priority": 10, "height": 4}]));
    source(&project, "sites", json!([{"id": 1, "name": "s"}]));
    source(
        &project,
        "devices",
        json!([{"id": 1, "name": "d1", "site": 1, "type": 1, "profiles": [1]}, {"id": 2, "name": "d2", "site": 1, "type": 1, "profiles": []}, {"id": 3, "name": "d3", "site": 1, "profiles": []}]),
    );
    let ports = json!([
        {"id": 1, "name": "eth0", "device": 1, "note": "uplink"}, {"id": 2, "name": "eth1", "device": 1}, {"id": 3, "name": "eth2", "device": 1},
        {"id": 4, "name": "eth0", "device": 2}, {"id": 5, "name": "eth1", "device": 2, "note": "down"}, {"id": 6, "name": "eth0", "device": 3}
    ]);
    source(&project, "ports", ports);
    sync(&project);
    assert_eq!((branch.count("TemplateLabDevice"), branch.count("TemplateLabPort"), branch.count("LabPort")), (2, 2, 6));
    let mut ports: Vec<String> = branch
        .nodes("LabPort", "", "name{value} note{value} device{node{id display_label name{value}}}")
        .iter()
        .map(|port| format!("{} {} {}", port["device"]["node"]["name"]["value"], port["name"]["value"], port["note"]["value"]))
        .collect();
    ports.sort();
    assert_eq!(
        ports,
        [
            r#""d1" "eth0" "uplink""#,
            r#""d1" "eth1" null"#,
            r#""d1" "eth2" null"#,
            r#""d2" "eth0" null"#,
            r#""d2" "eth1" "down""#,
            r#""d3" "eth0" null"#
        ]
    );
    let device =
        branch.node("LabDevice", "d1", "role{value} object_template{node{id template_name{value}}} profiles{edges{node{id __typename}}}");
    assert_eq!((&device["role"]["value"], &device["object_template"]["node"]["template_name"]["value"]), (&json!("leaf"), &json!("leaf")));
    assert_eq!(kinds(&device["profiles"]), ["ProfileLabDevice"]);
    // Templates and profiles change and go, and devices let go of them.
    source(&project, "types", json!([{"id": 1, "name": "leaf", "role": "access"}]));
    source(&project, "profiles", json!([]));
    source(
        &project,
        "devices",
        json!([{"id": 1, "name": "d1", "site": 1, "type": 1, "profiles": []}, {"id": 2, "name": "d2", "site": 1, "type": null, "profiles": []}, {"id": 3, "name": "d3", "site": 1, "profiles": []}]),
    );
    project.ok(&["sync", "--no-diff", "--allow-rowcount-drop"]);
    super::infrahub::in_sync(&project, &[]);
    assert_eq!((branch.count("TemplateLabDevice"), branch.count("ProfileLabDevice"), branch.count("LabPort")), (1, 0, 6));
    assert_eq!(branch.nodes("TemplateLabDevice", "", "role{value}")[0]["role"]["value"], "access");
    assert_eq!(branch.node("LabDevice", "d2", "object_template{node{id}}")["object_template"]["node"], Value::Null);
}
