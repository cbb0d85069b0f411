//! Ownership on a real Infrahub: links that others made to kinds that no project maps (L2), and two projects on one kind (L9).
//!
//! The judge is a query of the server's own.

use std::collections::BTreeSet;

use infrahub_sync_tests::Project;
use infrahub_sync_tests::live::{Branch, Infrahub, Turn};
use serde_json::{Value, json};

use crate::infrahub::in_sync;

const SHAPES: (&str, &str) = ("TestingHost", "tests/live/infrahub/schema.yml");

/// Owners, bolts and hubs, from files. A hub's `thing` and `things` lead to a generic, of which the project maps the bolts alone.
const HUBS: &str = "schema_mapping:
  - {name: TestingOwner, mapping: owners, identifiers: [name], fields: [{name: name, mapping: name}]}
  - {name: TestingBolt, mapping: bolts, identifiers: [name], fields: [{name: name, mapping: name}, {name: note, mapping: note}]}
  - name: TestingHub
    mapping: hubs
    identifiers: [name, owner]
    fields:
      - {name: name, mapping: name}
      - {name: owner, mapping: owner, reference: TestingOwner}
      - {name: thing, mapping: thing, reference: TestingBolt}
      - {name: things, mapping: things, reference: TestingBolt}
";

fn project(name: &str, infrahub: &Infrahub, branch: &Branch, lines: &str, mapping: &str) -> Project {
    let mut project = Project::new(&format!(
        "name: {name}\nsource: {{name: files, settings: {{path: source}}}}\n\
         destination: {{name: infrahub, settings: {{branch: {}}}}}\n{lines}{mapping}",
        branch.name
    ));
    project.set("INFRAHUB_ADDRESS", &infrahub.url);
    project.set("INFRAHUB_API_TOKEN", &infrahub.token);
    project
}

fn names(branch: &Branch, kind: &str) -> BTreeSet<String> {
    let nodes = branch.nodes(kind, "", "name{value}");
    nodes.iter().map(|node| node["name"]["value"].as_str().unwrap().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn links_that_others_made_to_kinds_that_are_not_mapped_stay() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let branch = infrahub.branch("outside");
    let project = project("outside", &infrahub, &branch, "", HUBS);
    project.write("source/owners.json", &json!([{"name": "net"}]).to_string());
    project.write("source/bolts.json", &json!([{"name": "b1"}, {"name": "b2"}]).to_string());
    let hubs = |things: Value| project.write("source/hubs.json", &json!([{"name": "h", "owner": "net", "things": things}]).to_string());
    hubs(json!(["b1"]));
    project.ok(&["sync", "--no-diff"]);
    // By hand: a nut, which the project does not map, in both relationships.
    let owner = branch.node("TestingOwner", "net", "id");
    let nut = infrahub.create(&branch.name, "TestingNut", &format!("name:{{value:\"n1\"}} owner:{{id:{}}}", owner["id"]));
    let hub = branch.node("TestingHub", "h", "id");
    let bolt = branch.node("TestingBolt", "b1", "id");
    branch.update("TestingHub", &hub["id"], &format!("thing:{{id:\"{nut}\"}} things:[{{id:{}}},{{id:\"{nut}\"}}]", bolt["id"]));
    let held = || {
        let node = branch.node("TestingHub", "h", "thing{node{id __typename}} things{edges{node{display_label __typename}}}");
        let things: BTreeSet<String> = node["things"]["edges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|edge| format!("{} {}", edge["node"]["__typename"].as_str().unwrap(), edge["node"]["display_label"].as_str().unwrap()))
            .collect();
        (node["thing"]["node"]["id"].clone(), things)
    };
    in_sync(&project, &[]);
    // A change of the set adds and removes the project's members, and leaves the nut.
    hubs(json!(["b2"]));
    let (_, plan) = project.plan(&[]);
    let shown = plan["changes"][0]["new_value"]["things"].to_string();
    assert!(shown.contains(&format!("TestingNut (id {nut})")), "{shown}");
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(held(), (json!(nut), set(&["TestingBolt b2", "TestingNut n1"])));
    in_sync(&project, &[]);
    // Only a field that the project owns loses it, and the plan says what it loses.
    let config = project.read("config.yml");
    project.write("config.yml", &config.replace("reference: TestingBolt}\n", "reference: TestingBolt, ownership: source}\n"));
    let (_, plan) = project.plan(&[]);
    let change = &plan["changes"][0];
    assert_eq!(change["attribute"], "thing,things");
    assert_eq!((&change["old_value"]["thing"], &change["new_value"]["thing"]), (&json!(format!("TestingNut (id {nut})")), &Value::Null));
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(held(), (Value::Null, set(&["TestingBolt b2"])));
    assert_eq!(names(&branch, "TestingNut"), set(&["n1"]));
    in_sync(&project, &[]);
}

#[test]
fn two_projects_write_one_kind_and_delete_only_their_own() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let branch = infrahub.branch("two");
    let mapping =
        "schema_mapping:\n  - {name: TestingLabel, mapping: labels, identifiers: [name], fields: [{name: name, mapping: name}]}\n";
    let one = project("one", &infrahub, &branch, "diffsync_flags: [NONE]\n", mapping);
    let two = project("two", &infrahub, &branch, "diffsync_flags: [NONE]\n", mapping);
    let labels = |project: &Project, names: &[&str]| {
        let records: Value = names.iter().map(|name| json!({ "name": name })).collect();
        project.write("source/labels.json", &records.to_string());
    };
    infrahub.create(&branch.name, "TestingLabel", "name:{value:\"by hand\"}");
    labels(&one, &["a1", "a2", "both"]);
    labels(&two, &["b1", "b2", "both"]);
    for _ in 0..2 {
        for project in [&one, &two] {
            project.ok(&["sync", "--no-diff"]);
        }
        assert_eq!(names(&branch, "TestingLabel"), set(&["a1", "a2", "b1", "b2", "both", "by hand"]));
        for project in [&one, &two] {
            in_sync(project, &[]);
        }
    }
    let shown = one.ok(&["diff"]).stdout;
    assert!(shown.contains("3 objects only in the destination are not recorded as made by this sync"), "{shown}");
    // Each deletes its own. `both` was made by the first.
    labels(&two, &["b1"]);
    two.ok(&["sync", "--no-diff", "--allow-rowcount-drop"]);
    assert_eq!(names(&branch, "TestingLabel"), set(&["a1", "a2", "b1", "both", "by hand"]));
    labels(&one, &["a1"]);
    one.ok(&["sync", "--no-diff", "--allow-rowcount-drop"]);
    assert_eq!(names(&branch, "TestingLabel"), set(&["a1", "b1", "by hand"]));
    // What one adopts it deletes.
    one.ok(&["adopt", "--kind", "TestingLabel", "--unmatched", "--yes"]);
    one.ok(&["sync", "--no-diff"]);
    assert_eq!(names(&branch, "TestingLabel"), set(&["a1"]));
}
