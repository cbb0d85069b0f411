//! Relationships to objects of several kinds, objects that only the destination has, object templates and profiles: the whole program against the fake
//! Infrahub.

use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Fake, Model, Options, Version};
use infrahub_sync_tests::lab::{CABLES, PLACES, TEMPLATES};
use infrahub_sync_tests::{Project, lab};
use serde_json::{Map, Value, json};

struct Lab {
    fake: Fake,
    project: Project,
}

impl Lab {
    fn new(mappings: &[&str]) -> Lab {
        let fake = Fake::start(Options { model: Some(Model::lab(Version::V1_11)), ..Options::default() }).unwrap();
        let mut project = lab::project(&format!("url: \"{}\"", fake.url()), mappings);
        project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
        Lab { fake, project }
    }

    fn source(&self, resource: &str, records: Value) {
        lab::source(&self.project, resource, &records);
    }

    /// One rack and one site of one name, each with a device of one name that has a port of one name.
    fn places(&self) {
        self.source("sites", json!([{"id": 1, "name": "a"}]));
        self.source("racks", json!([{"id": 1, "name": "a"}]));
        self.source("devices", json!([{"id": 1, "name": "d", "rack": {"id": 1}, "role": "in rack"}, {"id": 2, "name": "d", "site": {"id": 1}, "role": "on site"}]));
        self.source("ports", json!([{"id": 1, "name": "p", "device": {"id": 1}}, {"id": 2, "name": "p", "device": {"id": 2}}]));
    }

    /// `action kind unique-id new-values` of each change that the next run plans.
    fn planned(&self) -> Vec<String> {
        let (_, plan) = self.project.plan(&[]);
        let text = |change: &Value, name: &str| change[name].as_str().unwrap_or_default().to_owned();
        let one = |change: &Value| {
            format!("{} {} {} {}", text(change, "action"), text(change, "resource"), text(change, "source_id"), change["new_value"])
        };
        plan["changes"].as_array().unwrap().iter().map(one).collect()
    }

    fn sync(&self) {
        self.project.ok(&["sync"]);
        assert_eq!(self.planned(), Vec::<String>::new(), "a second run plans nothing");
    }

    fn ask(&self, document: &str) -> Value {
        let answer = self.fake.execute("main", document, Map::new());
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    }

    fn create(&self, kind: &str, data: Value) -> String {
        let document = format!("mutation($d:{kind}CreateInput!){{m:{kind}Create(data:$d){{ok object{{id}}}}}}");
        let Value::Object(variables) = json!({ "d": data }) else { unreachable!() };
        let answer = self.fake.execute("main", &document, variables);
        answer["data"]["m"]["object"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The nodes of a kind, sorted by an attribute.
    fn nodes(&self, kind: &str, sorted_by: &str, fields: &str) -> Vec<Value> {
        let data = self.ask(&format!("{{{kind}{{edges{{node{{{fields}}}}}}}}}"));
        let mut nodes: Vec<Value> = data[kind]["edges"].as_array().unwrap().iter().map(|edge| edge["node"].clone()).collect();
        nodes.sort_by_key(|node| node[sorted_by]["value"].as_str().unwrap_or_default().to_owned());
        nodes
    }
}

/// `Kind name` of each peer, sorted.
fn peers(set: &Value) -> Vec<String> {
    let name =
        |edge: &Value| format!("{} {}", edge["node"]["__typename"].as_str().unwrap(), edge["node"]["display_label"].as_str().unwrap());
    let mut peers: Vec<String> = set["edges"].as_array().unwrap().iter().map(name).collect();
    peers.sort();
    peers
}

#[test]
fn objects_are_identified_by_a_place_of_one_kind_or_another() {
    let lab = Lab::new(&[PLACES]);
    lab.places();
    assert_eq!(
        lab.planned()[2..4],
        [
            r#"create LabDevice a__d {"location":"LabRack:a","name":"d","role":"in rack"}"#,
            r#"create LabDevice a__d {"location":"LabSite:a","name":"d","role":"on site"}"#
        ]
    );
    lab.sync();
    let devices = lab.nodes("LabDevice", "role", "role{value} location{node{__typename}} ports{edges{node{id}}}");
    let placed: Vec<(&str, &str, usize)> = devices
        .iter()
        .map(|device| {
            let ports = device["ports"]["edges"].as_array().unwrap().len();
            (device["role"]["value"].as_str().unwrap(), device["location"]["node"]["__typename"].as_str().unwrap(), ports)
        })
        .collect();
    assert_eq!(placed, [("in rack", "LabRack", 1), ("on site", "LabSite", 1)]);
    // A device that moves from the rack to the site is another object; the incremental run sees it as well.
    lab.source(
        "devices",
        json!([{"id": 1, "name": "e", "site": {"id": 1}, "role": "moved"}, {"id": 2, "name": "d", "site": {"id": 1}, "role": "changed"}]),
    );
    let full = lab.planned();
    assert_eq!(
        full,
        [
            r#"create LabDevice a__e {"location":"LabSite:a","name":"e","role":"moved"}"#,
            r#"update LabDevice a__d {"role":"changed"}"#,
            r#"create LabPort a__e__p {"device":"a__e","name":"p"}"#,
            "delete LabPort a__d__p null",
            "delete LabDevice a__d null",
        ]
    );
    let (_, incremental) = lab.project.plan(&["--no-full-extract"]);
    assert_eq!(incremental["changes"].as_array().unwrap().len(), full.len());
    lab.sync();
}

#[test]
fn sets_of_several_kinds_are_written_to_a_generic_and_read_back() {
    let lab = Lab::new(&[PLACES, CABLES]);
    lab.places();
    lab.source("circuits", json!([{"id": 1, "name": "c1"}, {"id": 2, "name": "c2"}]));
    let port = |id: u8| json!({"kind": "LabPort", "id": id});
    let circuit = |id: u8| json!({"kind": "LabCircuit", "id": id});
    lab.source(
        "cables",
        json!([
            {"id": 1, "label": "mixed", "ends": [circuit(1), port(1), port(2)], "origin": port(1)},
            {"id": 2, "label": "named", "ends": ["LabCircuit:c2", {"name": "c1"}], "origin": "c2"},
            {"id": 3, "label": "loose", "ends": []}
        ]),
    );
    let planned = lab.planned();
    assert!(
        planned.contains(
            &r#"create LabCable mixed {"endpoints":["LabPort:a__d__p","LabPort:a__d__p","LabCircuit:c1"],"label":"mixed","origin":"LabPort:a__d__p"}"#
                .to_owned()
        ),
        "{planned:?}"
    );
    lab.sync();
    let fields = "label{value} endpoints{edges{node{id __typename display_label}}} origin{node{id __typename}}";
    let kinds = |cable: &Value| -> Vec<String> {
        peers(&cable["endpoints"]).iter().map(|peer| peer.split(' ').next().unwrap().to_owned()).collect()
    };
    let cables = lab.nodes("LabCable", "label", fields);
    assert_eq!(kinds(&cables[1]), ["LabCircuit", "LabPort", "LabPort"]);
    assert_eq!(kinds(&cables[2]), ["LabCircuit", "LabCircuit"]);
    assert_eq!((cables[1]["origin"]["node"]["__typename"].clone(), kinds(&cables[0]).len()), (json!("LabPort"), 0));
    assert_eq!(cables[2]["origin"]["node"]["__typename"], "LabCircuit");
    // One end moves from a port to a circuit.
    lab.source(
        "cables",
        json!([
            {"id": 1, "label": "mixed", "ends": [circuit(1), port(1), circuit(2)], "origin": circuit(1)},
            {"id": 2, "label": "named", "ends": ["LabCircuit:c2", {"name": "c1"}], "origin": "c2"},
            {"id": 3, "label": "loose", "ends": []}
        ]),
    );
    let moved = r#"update LabCable mixed {"endpoints":["LabPort:a__d__p","LabCircuit:c1","LabCircuit:c2"],"origin":"LabCircuit:c1"}"#;
    assert_eq!(lab.planned(), [moved]);
    let (_, incremental) = lab.project.plan(&["--no-full-extract"]);
    assert_eq!(incremental["changes"].as_array().unwrap().len(), 1);
    lab.sync();
    assert_eq!(kinds(&lab.nodes("LabCable", "label", fields)[1]), ["LabCircuit", "LabCircuit", "LabPort"]);
    // A value that several kinds have is named with them.
    lab.source("circuits", json!([{"id": 1, "name": "c1"}, {"id": 2, "name": "c2"}, {"id": 3, "name": "a__e__p"}]));
    lab.source(
        "devices",
        json!([{"id": 1, "name": "d", "rack": {"id": 1}, "role": "in rack"}, {"id": 2, "name": "e", "site": {"id": 1}, "role": "on site"}]),
    );
    lab.source("cables", json!([{"id": 1, "label": "mixed", "ends": ["a__e__p"]}]));
    let output = lab.project.run(&["diff"]);
    assert_eq!(output.code, 6, "{}", output.stderr);
    assert!(output.stderr.contains("refers to LabPort or LabCircuit `a__e__p`: several kinds have it"), "{}", output.stderr);
}

#[test]
fn models_and_checks_know_generic_kinds() {
    let lab = Lab::new(&[PLACES, CABLES]);
    lab.places();
    let checked = lab.project.ok(&["validate"]);
    assert!(checked.stderr.contains("`LabCable.endpoints` refers to `LabEndpoint`, which is not mapped"), "{}", checked.stderr);
    lab.project.ok(&["generate"]);
    let models = lab.project.read("infrahub-sync.models.yml");
    assert!(models.contains("- {name: endpoints, reference: [LabPort, LabCircuit], cardinality: many, optional: true}"), "{models}");
    assert!(models.contains("    identifiers: [location, name]\n"), "{models}");
    for (resource, records) in [("circuits", json!([])), ("cables", json!([]))] {
        lab.source(resource, records);
    }
    lab.sync();
}

const PLATFORMS: &str = "
  - name: LabSite
    mapping: sites
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: LabDevice
    mapping: devices
    identifiers: [location, name]
    fields:
      - {name: location, mapping: site, reference: LabSite}
      - {name: name, mapping: name}
      - {name: platform, reference: LabPlatform}
";

#[test]
fn peers_that_only_infrahub_has_are_looked_up_there_and_stay() {
    let lab = Lab::new(&[PLATFORMS]);
    let os = lab.create("LabPlatform", json!({ "name": { "value": "os" } }));
    lab.create("LabPlatform", json!({ "name": { "value": "unused" } }));
    lab.source("sites", json!([{"id": 1, "name": "s"}]));
    // `platform` has no `mapping`: its value is at its own name. The ids of the source say nothing.
    lab.source(
        "devices",
        json!([{"id": 1, "name": "a", "site": 1, "platform": "os"}, {"id": 2, "name": "b", "site": 1, "platform": {"id": 9, "name": "os"}}, {"id": 3, "name": "c", "site": 1}]),
    );
    lab.sync();
    let devices = lab.nodes("LabDevice", "name", "name{value} platform{node{id}}");
    let platforms: Vec<&Value> = devices.iter().map(|device| &device["platform"]["node"]).collect();
    assert_eq!(platforms, [&json!({ "id": os }), &json!({ "id": os }), &Value::Null]);
    assert_eq!(lab.fake.store().count("LabPlatform", "main"), 2);
    let text = lab.project.ok(&["diff"]).stdout;
    assert!(!text.contains("LabPlatform"), "{text}");
    // Missing peers are listed row by row, and the rest is synced where the user wants that.
    lab.source(
        "devices",
        json!([{"id": 1, "name": "a", "site": 1, "platform": "none"}, {"id": 2, "name": "b", "site": 1, "platform": "os"}]),
    );
    let refused = lab.project.run(&["sync"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    let words = "LabDevice `1` with name `a` (`devices`, record 1): `platform` refers to LabPlatform `none`, which the destination does not have; LabPlatform is not mapped";
    assert!(refused.stderr.contains(words), "{}", refused.stderr);
    assert_eq!(lab.project.run(&["sync", "--continue-on-error"]).code, 7);
    let devices = lab.nodes("LabDevice", "name", "name{value} platform{node{id}}");
    assert_eq!((devices.len(), &devices[0]["platform"]["node"]), (2, &json!({ "id": os })), "it keeps the platform that it had");
    // A plan that was made before is applied as it was reviewed.
    lab.create("LabPlatform", json!({ "name": { "value": "none" } }));
    lab.project.ok(&["diff", "--run-id", "reviewed"]);
    lab.project.ok(&["apply", "--run-id", "reviewed"]);
    assert_eq!(lab.planned(), Vec::<String>::new());
    assert_ne!(lab.nodes("LabDevice", "name", "name{value} platform{node{id}}")[0]["platform"]["node"], json!({ "id": os }));
}

#[test]
fn kind_that_nothing_has_is_an_error_with_a_suggestion() {
    let lab = Lab::new(&[&PLATFORMS.replace("reference: LabPlatform", "reference: LabPlatfrom")]);
    lab.source("sites", json!([]));
    lab.source("devices", json!([]));
    let output = lab.project.run(&["diff"]);
    assert_eq!(output.code, 3, "{}", output.stderr);
    assert!(
        output.stderr.contains("`LabDevice.platform` refers to `LabPlatfrom`, which is neither mapped nor a kind of the destination"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("did you mean `LabPlatform`?"), "{}", output.stderr);
    lab.project.ok(&["validate"]);
}

#[test]
fn templates_and_profiles_are_kinds_and_peers_like_others() {
    let lab = Lab::new(&[TEMPLATES]);
    lab.source("types", json!([{"id": 1, "name": "leaf", "role": "leaf", "height": 1}, {"id": 2, "name": "spine", "role": "spine"}]));
    lab.source(
        "type_ports",
        json!([{"id": 1, "name": "leaf-eth0", "port": "eth0", "type": 1}, {"id": 2, "name": "leaf-eth1", "port": "eth1", "type": 1}]),
    );
    lab.source("profiles", json!([{"id": 1, "name": "tall", "priority": 10, "height": 4}]));
    lab.source("sites", json!([{"id": 1, "name": "s"}]));
    lab.source("devices", json!([{"id": 1, "name": "d1", "site": 1, "type": 1, "profiles": [1]}, {"id": 2, "name": "d2", "site": 1, "type": null, "profiles": []}]));
    // `d1` gets `eth0` and `eth1` from its template; the plan creates them too, and one more.
    lab.source(
        "ports",
        json!([
            {"id": 1, "name": "eth0", "device": 1, "note": "uplink"}, {"id": 2, "name": "eth1", "device": 1}, {"id": 3, "name": "eth2", "device": 1},
            {"id": 4, "name": "eth0", "device": 2, "note": "own"}
        ]),
    );
    lab.project.ok(&["sync"]);
    let device = &lab.nodes(
        "LabDevice",
        "name",
        "name{value} role{value} object_template{node{template_name{value}}} profiles{edges{node{display_label __typename}}}",
    )[0];
    assert_eq!((&device["object_template"]["node"]["template_name"]["value"], &device["role"]["value"]), (&json!("leaf"), &json!("leaf")));
    assert_eq!(peers(&device["profiles"]).len(), 1);
    let ports = lab.nodes("LabPort", "name", "name{value} note{value} device{node{name{value}}}");
    let mut told: Vec<String> = ports
        .iter()
        .map(|port| format!("{} {} {}", port["device"]["node"]["name"]["value"], port["name"]["value"], port["note"]["value"]))
        .collect();
    told.sort();
    // A mapped field has the source's value, also where that is null. Others have the template's.
    assert_eq!(told, [r#""d1" "eth0" "uplink""#, r#""d1" "eth1" null"#, r#""d1" "eth2" null"#, r#""d2" "eth0" "own""#]);
    assert_eq!(lab.planned(), Vec::<String>::new());
    // They change and go like others.
    lab.source("types", json!([{"id": 1, "name": "leaf", "role": "access", "height": 1}]));
    lab.source("profiles", json!([]));
    lab.source("devices", json!([{"id": 1, "name": "d1", "site": 1, "type": 1, "profiles": []}, {"id": 2, "name": "d2", "site": 1, "type": null, "profiles": []}]));
    assert_eq!(
        lab.planned(),
        [
            r#"update TemplateLabDevice leaf {"role":"access"}"#,
            r#"update LabDevice s__d1 {"profiles":[]}"#,
            "delete ProfileLabDevice tall null",
            "delete TemplateLabDevice spine null",
        ]
    );
    // The only profile goes.
    lab.project.ok(&["sync", "--allow-rowcount-drop", "--max-deletes", "100%"]);
    assert_eq!(lab.planned(), Vec::<String>::new());
}

#[test]
fn port_of_another_user_is_not_taken_for_one_of_the_template() {
    let lab = Lab::new(&[TEMPLATES]);
    for resource in ["types", "type_ports", "profiles", "sites", "devices", "ports"] {
        lab.source(resource, json!([]));
    }
    lab.source("sites", json!([{"id": 1, "name": "s"}]));
    lab.source("devices", json!([{"id": 1, "name": "d1", "site": 1}]));
    lab.sync();
    lab.source("ports", json!([{"id": 1, "name": "eth0", "device": 1, "note": "ours"}]));
    lab.project.ok(&["diff", "--run-id", "planned"]);
    let device = lab.nodes("LabDevice", "name", "id name{value}")[0]["id"].clone();
    // It appears between the last look and the write.
    let port = json!({ "name": { "value": "eth0" }, "note": { "value": "theirs" }, "device": { "id": device } });
    lab.create("LabPort", port);
    let applied = lab.project.run(&["apply", "--run-id", "planned"]);
    assert_eq!(applied.code, 7, "{}", applied.stderr);
    assert_eq!(lab.nodes("LabPort", "name", "name{value} note{value}")[0]["note"]["value"], "theirs");
}
