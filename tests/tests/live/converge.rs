//! One run converges, on a real Infrahub: unique values and one-to-one peers, the relationships of a profile, and what the server would cut.
//!
//! The judge is the server: each result is asked for by a query of its own.

use infrahub_sync_tests::Project;
use infrahub_sync_tests::live::{Branch, Infrahub, Turn, wait_until};
use serde_json::{Value, json};

use crate::infrahub::in_sync;

const SCHEMA: (&str, &str) = ("ConvergeUnit", "tests/live/infrahub/converge.yml");

/// A project from files to a branch of the server; `fields` are those of an asset.
struct Lab {
    project: Project,
    branch: Branch,
}

impl Lab {
    fn new(infrahub: &Infrahub, name: &str, fields: &str, lines: &str) -> Lab {
        let branch = infrahub.branch(name);
        let mut project = Project::new(&config(&branch.name, fields, lines));
        project.set("INFRAHUB_ADDRESS", &infrahub.url);
        project.set("INFRAHUB_API_TOKEN", &infrahub.token);
        let lab = Lab { project, branch };
        lab.write("twins", &json!([{"id": 1, "name": "t1"}, {"id": 2, "name": "t2"}]));
        lab.write("owners", &json!([{"id": 1, "name": "blue"}, {"id": 2, "name": "red"}]));
        lab
    }

    fn write(&self, list: &str, records: &Value) {
        self.project.write(&format!("source/{list}.json"), &records.to_string());
    }

    /// Assets by name, tag, number and twin.
    fn assets(&self, assets: &[(&str, &str, u64, u64)]) {
        let record = |(at, (name, tag, number, twin)): (usize, &(&str, &str, u64, u64))| {
            let twin = if *twin == 0 { Value::Null } else { json!({ "id": twin }) };
            json!({"id": at, "name": name, "tag": tag, "number": number, "twin": twin})
        };
        self.write("assets", &assets.iter().enumerate().map(record).collect());
    }

    fn judged(&self) -> Vec<[String; 4]> {
        let nodes = self.branch.nodes("ConvergeAsset", "", "name{value} tag{value} number{value} twin{node{display_label}}");
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut found: Vec<[String; 4]> = nodes
            .iter()
            .map(|node| {
                [&node["name"]["value"], &node["tag"]["value"], &node["number"]["value"], &node["twin"]["node"]["display_label"]].map(text)
            })
            .collect();
        found.sort();
        found
    }
}

fn config(branch: &str, fields: &str, lines: &str) -> String {
    format!(
        "name: converge\nsource: {{name: files, settings: {{path: source}}}}\n\
         destination: {{name: infrahub, settings: {{branch: {branch}}}}}\n{lines}schema_mapping:\n  \
         - name: ConvergeTwin\n    mapping: twins\n    identifiers: [name]\n    fields: [{{name: name, mapping: name}}]\n  \
         - name: ConvergeOwner\n    mapping: owners\n    identifiers: [name]\n    fields: [{{name: name, mapping: name}}]\n  \
         - name: ConvergeAsset\n    mapping: assets\n    identifiers: [name]\n    fields:\n      - {{name: name, mapping: name}}\n{fields}"
    )
}

const VALUES: &str = "      - {name: tag, mapping: tag}\n      - {name: number, mapping: number}\n      - {name: twin, mapping: twin, reference: ConvergeTwin}\n";
const DELETES: &str = "diffsync_flags: [NONE]\nmax_deletes: 100%\ndeletes: all\n";

#[test]
fn unique_values_and_one_to_one_peers_converge_in_one_run() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SCHEMA]);
    let lab = Lab::new(&infrahub, "unique", VALUES, DELETES);
    lab.assets(&[("a", "A", 1, 1), ("b", "B", 2, 2), ("c", "C", 3, 0), ("old", "T", 9, 0)]);
    lab.project.ok(&["sync", "--no-diff"]);
    in_sync(&lab.project, &[]);

    // A circle of tags, a swap of numbers, a swap of twins; and new hardware with the tag and number of the old.
    lab.assets(&[("a", "B", 2, 2), ("b", "C", 1, 1), ("c", "A", 3, 0), ("new", "T", 9, 0)]);
    lab.project.ok(&["sync", "--no-diff"]);
    let expected = [["a", "B", "2", "t2"], ["b", "C", "1", "t1"], ["c", "A", "3", "null"], ["new", "T", "9", "null"]]
        .map(|row| row.map(str::to_owned));
    assert_eq!(lab.judged(), expected);
    in_sync(&lab.project, &[]);
}

#[test]
fn values_that_are_unique_together_are_swapped_in_one_run() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SCHEMA]);
    let lab = Lab::new(&infrahub, "together", VALUES, DELETES);
    let units = "  - name: ConvergeUnit\n    mapping: units\n    identifiers: [name]\n    fields:\n      - {name: name, mapping: name}\n      \
                 - {name: position, mapping: position}\n      - {name: owner, mapping: owner, reference: ConvergeOwner}\n";
    lab.project.write("config.yml", &(config(&lab.branch.name, VALUES, DELETES) + units));
    lab.assets(&[]);
    // In the second round, two units of blue swap, and red's takes the place that the third of blue leaves.
    for places in [[("a", 1, 1), ("b", 1, 2), ("c", 1, 3), ("d", 2, 3)], [("a", 1, 2), ("b", 1, 1), ("c", 1, 4), ("d", 1, 3)]] {
        let record =
            |(name, owner, position): &(&str, u64, u64)| json!({"id": name, "name": name, "owner": {"id": owner}, "position": position});
        lab.write("units", &places.iter().map(record).collect());
        lab.project.ok(&["sync", "--no-diff"]);
        let nodes = lab.branch.nodes("ConvergeUnit", "", "name{value} position{value} owner{node{display_label}}");
        let place = |node: &Value| {
            let name = node["name"]["value"].as_str().unwrap_or_default().to_owned();
            (name, node["owner"]["node"]["display_label"].clone(), node["position"]["value"].clone())
        };
        let mut found: Vec<(String, Value, Value)> = nodes.iter().map(place).collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let wanted = places.map(|(name, owner, position)| (name.to_owned(), json!(["blue", "red"][owner as usize - 1]), json!(position)));
        assert_eq!(found, wanted);
        in_sync(&lab.project, &[]);
    }
}

#[test]
fn peers_of_a_profile_are_left_to_it() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SCHEMA]);
    let fields = "      - {name: tag, mapping: tag}\n      - {name: number, mapping: number}\n      - {name: owner, mapping: owner, reference: ConvergeOwner}\n      \
                  - {name: owners, mapping: owners, reference: ConvergeOwner}\n";
    let lab = Lab::new(&infrahub, "profiles", fields, "");
    lab.write("assets", &json!([{"id": 1, "name": "a", "tag": "A", "number": 1, "owners": []}]));
    lab.project.ok(&["sync", "--no-diff"]);
    let asset = |fields: &str| lab.branch.node("ConvergeAsset", "a", fields);
    let (id, blue, red) = (
        asset("id")["id"].clone(),
        lab.branch.node("ConvergeOwner", "blue", "id")["id"].clone(),
        lab.branch.node("ConvergeOwner", "red", "id")["id"].clone(),
    );
    let data =
        format!("profile_name:{{value:\"owned\"}} owner:{{id:{blue}}} owners:[{{id:{blue}}},{{id:{red}}}] related_nodes:[{{id:{id}}}]");
    infrahub.create(&lab.branch.name, "ProfileConvergeAsset", &data);
    let owner = || asset("owner{node{display_label}}")["owner"]["node"]["display_label"].clone();
    wait_until("the profile gives the owner", || owner() == "blue");

    // The source has none, so the profile's stay, and nothing is planned.
    in_sync(&lab.project, &[]);
    assert_eq!(owner(), "blue");
    // The source has its own, which is the profile's or another one.
    for (number, name) in [(1, "blue"), (2, "red")] {
        lab.write("assets", &json!([{"id": 1, "name": "a", "tag": "A", "number": 1, "owner": {"id": number}, "owners": [{"id": number}]}]));
        lab.project.ok(&["sync", "--no-diff"]);
        let now = asset("owner{node{display_label}} owners{edges{node{display_label}}}");
        assert_eq!(
            (&now["owner"]["node"]["display_label"], &now["owners"]["edges"]),
            (&json!(name), &json!([{"node": {"display_label": name}}]))
        );
        in_sync(&lab.project, &[]);
    }
}

#[test]
fn what_infrahub_would_cut_or_collide_is_said() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SCHEMA]);
    // Tag and number are not mapped: to Infrahub two assets without them are equal.
    let fields = "      - {name: address, mapping: address}\n      - {name: extra, mapping: extra}\n";
    let lab = Lab::new(&infrahub, "refused", fields, "");
    lab.project.write(
        "source/assets.json",
        r#"[{"id": 1, "name": "fits", "address": "fe80::1/64", "extra": {"n": [18446744073709551615]}},
            {"id": 2, "name": "null", "extra": {}}, {"id": 3, "name": "zone", "address": "fe80::1%eth0/64"},
            {"id": 4, "name": "large", "extra": {"n": 18446744073709551616}}]"#,
    );
    let output = lab.project.run(&["sync", "--no-diff"]);
    assert_eq!(output.code, 7, "{}", output.stderr);
    for word in ["Two objects without a value are equal there", "Infrahub drops the zone behind `%`", "beyond 64 bits the digits"] {
        assert!(output.stderr.contains(word), "`{word}` is not in\n{}", output.stderr);
    }
    let nodes = lab.branch.nodes("ConvergeAsset", "", "name{value} address{value} extra{value}");
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    assert_eq!(
        (&nodes[0]["address"]["value"], &nodes[0]["extra"]["value"]),
        (&json!("fe80::1/64"), &json!({"n": [18446744073709551615u64]}))
    );
}
