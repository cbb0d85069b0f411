//! Infrahub as a destination and as a source: the whole program against a real server.
//!
//! Each test starts the servers that it needs with `tests/live/infrahub.sh` and `netbox.sh`, and takes a branch of its own, so that nothing
//! needs to be reset. The tests take turns ([`Turn`]).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use infrahub_sync_tests::live::{Branch, Infrahub, Lent, NetBox, Turn, live_folder, must, root, wait_until};
use infrahub_sync_tests::{Output, Project, binary};
use serde_json::{Value, json};

/// The schemas, known by a kind of each.
pub(crate) const NETWORK: (&str, &str) = ("DcimDevice", "examples/netbox_to_infrahub/schema.yml");
const SHAPES: (&str, &str) = ("TestingHost", "tests/live/infrahub/schema.yml");

/// A project of the repository, with the files beside its config.yml, as it is given to the program for this server and branch.
pub(crate) fn project(folder: &str, infrahub: &Infrahub, branch: &str) -> Project {
    let folder = root().join(folder);
    let config = std::fs::read_to_string(folder.join("config.yml")).unwrap();
    // `branch` of the settings is what a project says itself; `--branch` is for one that does not.
    let config = config.replace(
        "destination: {name: infrahub, settings: {url: \"http://127.0.0.1:58000\"}}",
        &format!("destination: {{name: infrahub, settings: {{branch: {branch}}}}}"),
    );
    let mut project = Project::new(&config);
    for file in std::fs::read_dir(folder.join("source")).into_iter().flatten().flatten() {
        let name = file.file_name().into_string().unwrap();
        project.write(&format!("source/{name}"), &std::fs::read_to_string(file.path()).unwrap());
    }
    project.set("INFRAHUB_ADDRESS", &infrahub.url);
    project.set("INFRAHUB_API_TOKEN", &infrahub.token);
    project
}

/// `action kind id` of each change.
fn changes(plan: &Value) -> BTreeSet<String> {
    let text = |change: &Value, name: &str| change[name].as_str().unwrap_or_default().to_owned();
    let changes = plan["changes"].as_array().unwrap();
    changes.iter().map(|change| [text(change, "action"), text(change, "resource"), text(change, "source_id")].join(" ")).collect()
}

fn set(changes: &[&str]) -> BTreeSet<String> {
    changes.iter().map(|change| (*change).to_owned()).collect()
}

/// Nothing is planned.
pub(crate) fn in_sync(project: &Project, arguments: &[&str]) {
    let (code, plan) = project.plan(arguments);
    assert_eq!((code, changes(&plan)), (0, BTreeSet::new()));
}

/// Edits a list of a source: the record of that name.
fn edit(project: &Project, list: &str, name: &str, change: impl FnOnce(&mut Value)) {
    records(project, list, |records| change(records.iter_mut().find(|record| record["name"] == name).unwrap()));
}

fn records(project: &Project, list: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let file = format!("source/{list}.json");
    let mut page: Value = serde_json::from_str(&project.read(&file)).unwrap();
    change(page["results"].as_array_mut().unwrap());
    project.write(&file, &page.to_string());
}

/// The record of a list, as others refer to it.
fn reference(project: &Project, list: &str, name: &str, object_type: &str) -> Value {
    let page: Value = serde_json::from_str(&project.read(&format!("source/{list}.json"))).unwrap();
    let record = page["results"].as_array().unwrap().iter().find(|record| record["name"] == name).unwrap();
    json!({"id": record["id"], "object_type": object_type})
}

/// The names of the peers of a relationship.
fn names(relationship: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        relationship["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["display_label"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_real_netbox_is_brought_into_infrahub_and_followed() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[NETWORK]);
    let netbox = NetBox::up();
    let branch = infrahub.branch("netbox");
    let at = ["--branch", branch.name.as_str()];
    let mut project = project("examples/netbox_to_infrahub", &infrahub, &branch.name);
    project.set("NETBOX_ADDRESS", &netbox.url);
    project.set("NETBOX_TOKEN", &netbox.token);

    // The first load, reviewed.
    let (code, plan) = project.plan(&[&at[..], &["--run-id", "reviewed"]].concat());
    assert_eq!((code, &plan["summary"]["create"]), (2, &json!(1527)), "{}", plan["summary"]);
    project.ok(&["apply", "--run-id", "reviewed", at[0], at[1]]);
    for (kind, objects) in [("DcimDevice", 52), ("DcimInterface", 900), ("IpamVLAN", 80), ("LocationRack", 24), ("IpamIPAddress", 240)] {
        assert_eq!(branch.count(kind), objects, "{kind}");
    }
    in_sync(&project, &at);

    // What changes in NetBox changes in Infrahub, and nothing else does.
    netbox.change("edits");
    let (_, plan) = project.plan(&at);
    let planned = changes(&plan);
    for change in [
        "update LocationSite Zürich",
        "update DcimDevice krk-core-01__Kraków",
        "create DcimDevice gru-leaf-01-renamed__São Paulo",
        "create DcimDevice krk-pdu-01__Kraków",
        "update IpamVLAN 40__Montréal VLANs",
        "update IpamPrefix 172.16.1.0/24__lab",
        "create IpamPrefix 2001:db8:2:10::/64__guest",
        "create BuiltinTag Laboratory",
    ] {
        assert!(planned.contains(change), "{change} in {planned:?}");
    }
    assert!(planned.iter().all(|change| !change.starts_with("delete")), "deletes are off by default: {planned:?}");
    project.ok(&["sync", "--no-diff", at[0], at[1]]);
    in_sync(&project, &at);
    let core =
        branch.node("DcimDevice", "krk-core-01", "description{value} tenant{node{id}} status{value} tags{edges{node{display_label}}}");
    assert_eq!(
        (&core["description"]["value"], &core["tenant"]["node"], &core["status"]["value"]),
        (&json!(""), &Value::Null, &json!("decommissioning"))
    );
    assert_eq!(names(&core["tags"]), ["EOL", "PCI DSS"]);

    // What somebody changes in Infrahub is found, and put back.
    let leaf = branch.node("DcimDevice", "zrh-leaf-01", "id automation{value} tenant{node{id}}");
    branch.update("DcimDevice", &leaf["id"], "comments:{value:\"by hand\"} tenant:null tags:[] automation:{value:{kept:true}}");
    let (_, plan) = project.plan(&at);
    assert_eq!(changes(&plan), set(&["update DcimDevice zrh-leaf-01__Zürich"]));
    project.ok(&["sync", "--no-diff", at[0], at[1]]);
    in_sync(&project, &at);
    let repaired = branch.node("DcimDevice", "zrh-leaf-01", "automation{value} tenant{node{id}}");
    assert_eq!(repaired["tenant"]["node"], leaf["tenant"]["node"]);
    assert_eq!(repaired["automation"]["value"], json!({"kept": true}), "what no mapping knows is left alone");

    // Deletes, when they are wanted: children first, and Infrahub takes the device's interfaces along with it.
    netbox.change("deletes");
    in_sync(&project, &at);
    let config = project.read("config.yml");
    project.write("config.yml", &config.replace("\nschema_mapping:", "\ndiffsync_flags: [NONE]\nschema_mapping:"));
    let (_, plan) = project.plan(&at);
    let planned = changes(&plan);
    for change in ["delete DcimDevice ofn-leaf-02__O'Fallon", "delete BuiltinTag Unused", "delete IpamVLAN 1008__None"] {
        assert!(planned.contains(change), "{change} in {planned:?}");
    }
    assert_eq!(planned.iter().filter(|change| change.starts_with("delete DcimInterface")).count(), 20 + 21, "of it and of the renamed one");
    project.ok(&["sync", "--no-diff", at[0], at[1]]);
    in_sync(&project, &at);
    assert_eq!(branch.nodes("DcimDevice", "name__value:\"ofn-leaf-02\"", "id"), Vec::<Value>::new());

    netbox.change("restore");
    project.ok(&["sync", "--no-diff", at[0], at[1]]);
    in_sync(&project, &at);

    // And out again: Infrahub into files, twice the same.
    let mut files = self::project("examples/infrahub_to_files", &infrahub, &branch.name);
    files.set("INFRAHUB_ADDRESS", &infrahub.url);
    files.ok(&["sync", "--no-diff", at[0], at[1]]);
    in_sync(&files, &at);
    assert_eq!(files.read("network/DcimDevice.jsonl").lines().count(), 52);
}

#[test]
fn every_shape_of_the_schema_goes_there_and_back() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let branch = infrahub.branch("shapes");
    let project = project("tests/live/infrahub/shapes", &infrahub, &branch.name);

    project.ok(&["sync", "--no-diff"]);
    in_sync(&project, &[]);
    spellings(&branch);
    shapes(&branch);

    another_branch(&infrahub, &branch);
    defaults_and_profiles(&branch, &project);
    changed_shapes(&branch, &project);
    deletes(&branch, &project);
}

/// What was written reads back as Infrahub spells it.
fn spellings(branch: &Branch) {
    let fields = "text{value} text_area{value} number{value} number_limited{value} flag{value} dropdown{value} enum_number{value} list{value} \
                  json{value} anything{value} ip_host{value} ip_network{value} mac_address{value} checkbox{value} text_default{value} \
                  flag_default{value} list_default{value} computed_text{value} read_only_text{value} hashed_password{value}";
    let values = |name: &str| {
        let node = branch.node("TestingEverything", name, fields);
        let values: serde_json::Map<String, Value> =
            node.as_object().unwrap().iter().map(|(name, field)| (name.clone(), field["value"].clone())).collect();
        Value::Object(values)
    };
    assert_eq!(
        values("full"),
        json!({"text": "first\nsecond \"$x\" \\ {{ no }} 🚚", "text_area": "1\n2\n", "number": 0, "number_limited": 7, "flag": false, "dropdown": "red",
            "enum_number": 20, "list": ["b", "a", 1], "json": {"a": {}, "b": [1, null]}, "anything": ["one", "two"], "ip_host": "10.0.0.1/32",
            "ip_network": "10.0.1.0/24", "mac_address": "AA:BB:CC:DD:EE:FF", "checkbox": true, "text_default": "mine", "flag_default": false,
            "list_default": [], "computed_text": "FULL", "read_only_text": null, "hashed_password": null})
    );
    let nothing = |name: &str, computed: &str| {
        let mut nothing = values(name);
        for (field, value) in [
            ("text_default", json!("by default")),
            ("flag_default", json!(true)),
            ("list_default", json!(["a", "b"])),
            ("computed_text", json!(computed)),
        ] {
            assert_eq!(nothing[field], value, "{name}.{field}");
            nothing[field] = Value::Null;
        }
        assert!(nothing.as_object().unwrap().values().all(Value::is_null), "{nothing}");
    };
    nothing("absent", "ABSENT");
    nothing("nulls", "NULLS");
    let empty = values("empty");
    assert_eq!((&empty["text"], &empty["text_default"], &empty["list"], &empty["json"]), (&json!(""), &json!(""), &json!([]), &json!({})));
    assert_eq!((&empty["ip_host"], &empty["ip_network"]), (&json!("2001:db8::1/64"), &json!("2001:db8::/32")));
    assert_eq!((&empty["flag"], &empty["checkbox"], &empty["mac_address"]), (&json!(true), &json!(false), &json!("AA:BB:CC:DD:EE:01")));
    // 10.0.0.1 and 10.0.0.1/24 are two addresses.
    assert_eq!(branch.count("TestingAddress"), 3);
    let mut numbers: Vec<i64> =
        branch.nodes("TestingNumbered", "", "number{value}").iter().map(|node| node["number"]["value"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers[0] >= 100 && numbers[1] == numbers[0] + 1, "Infrahub has counted: {numbers:?}");
}

const HUB: &str = "owner{node{display_label}} deputy{node{display_label}} labels{edges{node{display_label}}} label_pair{edges{node{display_label}}} \
                   next{node{display_label}} friends{edges{node{id display_label}}} things{edges{node{display_label __typename}}} \
                   thing{node{display_label __typename}} parts{edges{node{display_label}}} id";

fn hub(branch: &Branch, name: &str, owner: &str) -> Value {
    let hubs = branch.nodes("TestingHub", &format!("name__value:{} owner__name__value:{}", json!(name), json!(owner)), HUB);
    assert_eq!(hubs.len(), 1, "{hubs:?}");
    hubs[0].clone()
}

/// Relationships of each shape, references within a kind, circles, the hierarchy.
fn shapes(branch: &Branch) {
    let first = hub(branch, "h", "net");
    assert_eq!((&first["deputy"]["node"]["display_label"], names(&first["labels"])), (&json!("Büro \"2\""), vec!["label 1", "label 2"]));
    assert_eq!((names(&first["label_pair"]), names(&first["friends"])), (vec!["label 3"], vec!["h", "h3"]));
    assert_eq!(
        (names(&first["things"]), &first["thing"]["node"]),
        (vec!["b1", "b2"], &json!({"display_label": "b1", "__typename": "TestingBolt"}))
    );
    let second = hub(branch, "h", "Büro \"2\"");
    // A bolt and a nut have one name: the reference's kind tells them apart.
    assert_eq!(second["thing"]["node"], json!({"display_label": "b1", "__typename": "TestingNut"}));
    assert_eq!((&second["deputy"]["node"], names(&second["labels"]), names(&second["parts"])), (&Value::Null, vec![], vec!["p", "q"]));
    let linked = branch.nodes("TestingPart", "name__value:\"p\"", "link{node{display_label}} enabled{value}");
    assert!(linked.iter().all(|part| part["link"]["node"]["display_label"] == "p"), "{linked:?}");
    let room = branch.node("TestingRoom", "Room", "parent{node{display_label __typename}} ancestors{edges{node{display_label}}}");
    assert_eq!(room["parent"]["node"], json!({"display_label": "Floor", "__typename": "TestingRoom"}));
    assert_eq!(names(&room["ancestors"]), ["Europe", "Floor", "HQ", "Zürich"]);
}

/// Infrahub to Infrahub: from one branch into another, all shapes.
fn another_branch(infrahub: &Infrahub, branch: &Branch) {
    let other = infrahub.branch("copy");
    let mut lines: Vec<String> = Vec::new();
    let mut kind = String::new();
    let config = std::fs::read_to_string(root().join("tests/live/infrahub/shapes/config.yml")).unwrap();
    let mut config = config.lines();
    // The same mappings, addressed as Infrahub addresses: by kind, and by the names of the fields. What tells two mappings of a kind apart is
    // the peer's kind, which Infrahub knows.
    while let Some(line) = config.next() {
        let trimmed = line.trim_start();
        if let Some(name) = trimmed.strip_prefix("- name: ") {
            kind = name.to_owned();
            lines.push(line.to_owned());
        } else if trimmed == "filters:" {
            config.next();
        } else if trimmed.starts_with("mapping: ") {
            lines.push(format!("    mapping: {kind}"));
        } else if let Some((before, after)) = line.split_once(", mapping: ") {
            let field = before.rsplit("name: ").next().unwrap();
            let rest = after.find([',', '}']).map_or("", |end| &after[end..]);
            lines.push(format!("{before}, mapping: {field}{rest}"));
        } else {
            lines.push(line.to_owned());
        }
    }
    let text = lines.join("\n");
    let text = text
        .replace(
            "source: {name: files, settings: {path: source}}",
            &format!("source: {{name: infrahub, settings: {{branch: {}}}}}", branch.name),
        )
        .replace(
            "destination: {name: infrahub, settings: {url: \"http://127.0.0.1:58000\"}}",
            &format!("destination: {{name: infrahub, settings: {{branch: {}}}}}", other.name),
        );
    let mut project = Project::new(&text);
    project.set("INFRAHUB_ADDRESS", &infrahub.url);
    project.set("INFRAHUB_API_TOKEN", &infrahub.token);
    project.ok(&["sync", "--no-diff"]);
    in_sync(&project, &[]);
    spellings(&other);
    shapes(&other);
}

/// Values that nobody gave are not fought over; those that somebody gave by hand are found.
fn defaults_and_profiles(branch: &Branch, project: &Project) {
    let absent = branch.node("TestingEverything", "absent", "id")["id"].clone();
    branch.update("TestingEverything", &absent, "text_default:{value:\"by hand\"} number_default:{value:8}");
    let (_, plan) = project.plan(&[]);
    assert_eq!(changes(&plan), set(&["update TestingEverything absent"]));
    project.ok(&["sync", "--no-diff"]);
    in_sync(project, &[]);
    let back = branch.node("TestingEverything", "absent", "text_default{value is_default} number_default{value is_default}");
    assert_eq!(
        back,
        json!({"text_default": {"value": "by default", "is_default": true}, "number_default": {"value": 7, "is_default": true}})
    );

    // A profile gives to one that has none of its own, and to one that has.
    let full = branch.node("TestingEverything", "full", "id")["id"].clone();
    let data = "profile_name:{value:\"gives values\"} profile_priority:{value:10} text:{value:\"given\"} number_default:{value:99} number:{value:3}";
    branch
        .must(&format!("mutation{{ProfileTestingEverythingCreate(data:{{{data} related_nodes:[{{id:{absent}}},{{id:{full}}}]}}){{ok}}}}"));
    let given = "text{value is_from_profile} number_default{value is_from_profile}";
    wait_until("the profile gives its values", || branch.node("TestingEverything", "absent", given)["text"]["is_from_profile"] == true);
    assert_eq!(branch.node("TestingEverything", "absent", given)["number_default"], json!({"value": 99, "is_from_profile": true}));
    in_sync(project, &[]);
    // A source that begins to say something about it is written, and is then the object's own value.
    edit(project, "everything", "absent", |record| record["text"] = json!("own"));
    let (_, plan) = project.plan(&[]);
    assert_eq!(changes(&plan), set(&["update TestingEverything absent"]));
    project.ok(&["sync", "--no-diff"]);
    in_sync(project, &[]);
    assert_eq!(branch.node("TestingEverything", "absent", given)["text"], json!({"value": "own", "is_from_profile": false}));
}

/// Cleared relationships, emptied lists, values that become null or empty, peers that become others.
fn changed_shapes(branch: &Branch, project: &Project) {
    let (nut, label) = (reference(project, "nuts", "n", "stock.nut"), reference(project, "labels", "label 4", "extras.label"));
    let owner = reference(project, "owners", "net", "tenancy.owner");
    records(project, "hubs", |hubs| {
        hubs[0]["deputy"] = Value::Null;
        hubs[0]["labels"] = json!([]);
        hubs[0]["label_pair"] = json!([label.clone(), hubs[0]["label_pair"][0].clone()]);
        hubs[0]["thing"] = nut;
        hubs[1]["thing"] = Value::Null;
        hubs[1]["deputy"] = owner;
        hubs[1].as_object_mut().unwrap().remove("next");
        hubs[2]["labels"] = json!([label.clone(), label]);
    });
    edit(project, "everything", "full", |record| {
        for field in ["number", "flag", "dropdown", "json", "ip_host", "mac_address", "text_default", "list_default"] {
            record[field] = Value::Null;
        }
        record["text"] = json!("");
        record["list"] = json!([]);
        record["ip_network"] = json!("10.0.1.0/24");
    });
    edit(project, "rooms", "Room", |record| record["parent"] = Value::Null);
    let (_, plan) = project.plan(&[]);
    let planned = changes(&plan);
    assert!(!planned.contains("update TestingHub h3__Büro \"2\""), "a peer that is named twice is one: {planned:?}");
    project.ok(&["sync", "--no-diff"]);
    in_sync(project, &[]);
    let first = hub(branch, "h", "net");
    assert_eq!(
        (&first["deputy"]["node"], names(&first["labels"]), names(&first["label_pair"])),
        (&Value::Null, vec![], vec!["label 3", "label 4"])
    );
    assert_eq!(first["thing"]["node"], json!({"display_label": "n", "__typename": "TestingNut"}));
    let second = hub(branch, "h", "Büro \"2\"");
    assert_eq!(
        (&second["thing"]["node"], &second["next"]["node"], &second["deputy"]["node"]["display_label"]),
        (&Value::Null, &Value::Null, &json!("net"))
    );
    let full = branch.node(
        "TestingEverything",
        "full",
        "text{value} list{value} number{value is_from_profile} flag{value} dropdown{value} json{value} text_default{value is_default}",
    );
    assert_eq!(
        (&full["text"]["value"], &full["list"]["value"], &full["json"]["value"], &full["flag"]["value"]),
        (&json!(""), &json!([]), &Value::Null, &Value::Null)
    );
    assert_eq!(full["text_default"], json!({"value": "by default", "is_default": true}));
}

/// What is gone is deleted, those that refer before those that are referred to; what others need is refused, alone.
fn deletes(branch: &Branch, project: &Project) {
    let owner = branch.node("TestingOwner", "net", "id")["id"].clone();
    let data = "name:{value:\"by hand\"} number:{value:1} flag:{value:true} ip_host:{value:\"10.0.0.9\"}";
    branch.must(&format!("mutation{{TestingStrictCreate(data:{{{data} owner:{{id:{owner}}}}}){{ok}}}}"));
    for list in ["owners", "hubs", "parts", "nuts", "vlans", "rooms", "places", "lands"] {
        records(project, list, Vec::clear);
    }
    // Half of a kind that is gone might be an accident.
    let careful = project.run(&["sync", "--no-diff"]);
    assert_eq!(careful.code, 6, "{}", careful.stderr);
    let partly = project.run(&["sync", "--no-diff", "--allow-rowcount-drop", "--max-deletes", "100%"]);
    assert_eq!(partly.code, 7, "{}", partly.stderr);
    assert!(partly.stderr.contains("TestingOwner") && partly.stderr.contains("TestingStrict"), "{}", partly.stderr);
    assert_eq!(
        (branch.count("TestingOwner"), branch.count("TestingHub"), branch.count("TestingPart"), branch.count("TestingLand")),
        (1, 0, 0, 0)
    );
    let strict = branch.node("TestingStrict", "by hand", "id owner{node{display_label}}");
    assert_eq!(strict["owner"]["node"]["display_label"], "net");
    // When nothing needs it any more, the run can go on.
    branch.must(&format!("mutation{{TestingStrictDelete(data:{{id:{}}}){{ok}}}}", strict["id"]));
    project.ok(&["sync", "--no-diff", "--allow-rowcount-drop", "--max-deletes", "100%"]);
    assert_eq!(branch.count("TestingOwner"), 0);
    in_sync(project, &[]);
}

const SMALL: &str = "name: small
source: {name: files, settings: {path: source}}
destination: {name: infrahub, settings: {SETTINGS}}
schema_mapping:
";

/// A project of a few kinds, each `Kind list [identifiers]: field reference>Kind`, in the settings given.
fn small(infrahub: &Infrahub, settings: &str, kinds: &[&str], lists: &[(&str, Value)]) -> Project {
    let mut config = SMALL.replace("SETTINGS", settings);
    for kind in kinds {
        let (head, fields) = kind.split_once(": ").unwrap();
        let [name, list, identifiers] = <[&str; 3]>::try_from(head.splitn(3, ' ').collect::<Vec<_>>()).unwrap();
        config.push_str(&format!("  - name: {name}\n    mapping: {list}\n    identifiers: {identifiers}\n    fields:\n"));
        for field in fields.split_whitespace() {
            let (field, reference) =
                field.split_once('>').map_or((field, String::new()), |(field, kind)| (field, format!(", reference: {kind}")));
            config.push_str(&format!("      - {{name: {field}, mapping: {field}{reference}}}\n"));
        }
    }
    let mut project = Project::new(&config);
    for (list, records) in lists {
        project.write(&format!("source/{list}.json"), &json!({ "results": records }).to_string());
    }
    project.set("INFRAHUB_ADDRESS", &infrahub.url);
    project.set("INFRAHUB_API_TOKEN", &infrahub.token);
    project
}

const OWNER: &str = "TestingOwner owners [name]: name";
const LABEL: &str = "TestingLabel labels [name]: name";
const HUBS: &str = "TestingHub hubs [name, owner]: name owner>TestingOwner labels>TestingLabel";

fn few() -> [(&'static str, Value); 3] {
    [
        ("owners", json!([{"id": 1, "name": "net"}])),
        ("labels", json!([{"id": 1, "name": "one"}, {"id": 2, "name": "two"}])),
        ("hubs", json!([{"id": 1, "name": "h", "owner": {"id": 1}, "labels": [{"id": 1}, {"id": 2}]}])),
    ]
}

#[test]
fn a_coarser_identity_in_infrahub_is_refused_and_named() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let branch = infrahub.branch("coarse");
    let kinds = [
        "TestingLand lands [name]: name",
        "TestingPlace places [name]: name parent>TestingLand",
        "TestingRack racks [name, place]: name place>TestingPlace height",
    ];
    let lists = [
        ("lands", json!([{"id": 1, "name": "Land"}])),
        ("places", json!([{"id": 1, "name": "HQ", "parent": {"id": 1}}, {"id": 2, "name": "Lab", "parent": {"id": 1}}])),
        (
            "racks",
            json!([{"id": 1, "name": "R01", "place": {"id": 1}, "height": 42}, {"id": 2, "name": "R01", "place": {"id": 2}, "height": 10}]),
        ),
    ];
    let project = small(&infrahub, &format!("branch: {}", branch.name), &kinds, &lists);
    let partly = project.run(&["sync", "--no-diff"]);
    assert_eq!(partly.code, 7, "{}", partly.stderr);
    let rack = branch.node("TestingRack", "R01", "id height{value} place{node{display_label}}");
    assert_eq!((&rack["height"]["value"], &rack["place"]["node"]["display_label"]), (&json!(42), &json!("HQ")), "the first is untouched");
    assert!(partly.stderr.contains("`R01__Lab`: skipped: `name` \"R01\" goes to TestingRack `R01__HQ` as well"), "{}", partly.stderr);
    // The next run plans just that one again.
    assert_eq!(changes(&project.plan(&[]).1), set(&["create TestingRack R01__Lab"]));
}

#[test]
fn a_pool_gives_an_address_once() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let branch = infrahub.branch("pool");
    let namespace = branch.nodes("IpamNamespace", "name__value:\"default\"", "id").remove(0)["id"].clone();
    // Of one name on all branches.
    let pool = branch.name.as_str();
    let network = infrahub.create(&branch.name, "TestingNetwork", "prefix:{value:\"10.9.0.0/24\"}");
    let made = infrahub.create(
        &branch.name,
        "CoreIPAddressPool",
        &format!(
            "name:{{value:\"{pool}\"}} default_address_type:{{value:\"TestingHostAddress\"}} default_prefix_length:{{value:24}} \
             ip_namespace:{{id:{namespace}}} resources:[{{id:\"{network}\"}}]"
        ),
    );
    let kinds = [
        "IpamNamespace namespaces [name]: name",
        "TestingNetwork networks [prefix]: prefix",
        "CoreIPAddressPool pools [name]: name default_address_type ip_namespace>IpamNamespace resources>TestingNetwork",
        "TestingHost hosts [name]: name note address>CoreIPAddressPool",
    ];
    let lists = [
        ("namespaces", json!([{"id": 1, "name": "default"}])),
        ("networks", json!([{"id": 1, "prefix": "10.9.0.0/24"}])),
        (
            "pools",
            json!([{"id": 1, "name": pool, "default_address_type": "TestingHostAddress", "ip_namespace": {"id": 1}, "resources": [{"id": 1}]}]),
        ),
        (
            "hosts",
            json!([{"id": 1, "name": "a", "address": {"id": 1}}, {"id": 2, "name": "b", "address": {"id": 1}}, {"id": 3, "name": "c"}]),
        ),
    ];
    // With somebody to attribute to, too: the pool stays the source of the relationship, by which it is known again.
    let project = small(&infrahub, &format!("branch: {}, source: Infrahub Users, owner: Infrahub Users", branch.name), &kinds, &lists);
    assert_eq!(changes(&project.plan(&[]).1), set(&["create TestingHost a", "create TestingHost b", "create TestingHost c"]));
    project.ok(&["sync", "--no-diff"]);
    in_sync(&project, &[]);
    let addresses = || {
        let hosts = branch.nodes("TestingHost", "", "address{node{address{value}}} name{value}");
        hosts.iter().filter_map(|host| host["address"]["node"]["address"]["value"].as_str().map(str::to_owned)).collect::<BTreeSet<_>>()
    };
    let first = addresses();
    assert_eq!(first.len(), 2, "{first:?}");
    // Another field changes: the addresses stay.
    edit(&project, "hosts", "a", |record| record["note"] = json!("changed"));
    project.ok(&["sync", "--no-diff"]);
    assert_eq!((addresses(), branch.count("TestingHostAddress")), (first, 2));
    in_sync(&project, &[]);
    branch.must(&format!("mutation{{CoreIPAddressPoolDelete(data:{{id:\"{made}\"}}){{ok}}}}"));
}

/// Who is named as source and owner of what is written: an account like the source, and groups. Kind, name, and what else they are made with.
const LENT: [(&str, &str, &str); 3] = [
    ("CoreAccount", "files", "password:{value:\"not used 1\"}"),
    ("CoreAccountGroup", "Live source", ""),
    ("CoreAccountGroup", "Live owner", ""),
];

#[test]
fn what_is_written_says_where_it_is_from() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let by = "name{value source{id} owner{id}} owner{properties{source{id} owner{id} is_protected}} \
              labels{edges{node{id} properties{source{id} owner{id}}}}";
    let ids = |properties: &Value| (properties["source"]["id"].clone(), properties["owner"]["id"].clone());

    // The account that is named like the source.
    let [account, source, owner] = LENT;
    let lend = |(kind, name, data)| infrahub.lend(kind, name, data);
    let lent = lend(account);
    let account = json!(lent.id);
    let branch = infrahub.branch("account");
    let project = small(&infrahub, &format!("branch: {}", branch.name), &[OWNER, LABEL, HUBS], &few());
    project.ok(&["sync", "--no-diff"]);
    let hub = branch.node("TestingHub", "h", by);
    let both = (account.clone(), account.clone());
    assert_eq!((ids(&hub["name"]), ids(&hub["owner"]["properties"])), (both.clone(), both.clone()));
    assert!(hub["labels"]["edges"].as_array().unwrap().iter().all(|edge| ids(&edge["properties"]) == both), "{hub}");
    // A peer that is replaced takes the properties of the edge with it: they are written again.
    edit(&project, "hubs", "h", |record| record["labels"] = json!([{"id": 2}]));
    project.ok(&["sync", "--no-diff"]);
    let hub = branch.node("TestingHub", "h", by);
    assert!(hub["labels"]["edges"].as_array().unwrap().iter().all(|edge| ids(&edge["properties"]) == both), "{hub}");
    in_sync(&project, &[]);
    drop(branch);

    // The groups that the settings name.
    let (source, owner) = (lend(source), lend(owner));
    let branch = infrahub.branch("group");
    let settings = format!("branch: {}, source: Live source, owner: Live owner", branch.name);
    let project = small(&infrahub, &settings, &[OWNER, LABEL, HUBS], &few());
    project.ok(&["sync", "--no-diff"]);
    let hub = branch.node("TestingHub", "h", by);
    let both = (json!(source.id), json!(owner.id));
    assert_eq!((ids(&hub["name"]), ids(&hub["owner"]["properties"])), (both.clone(), both.clone()));
    assert!(hub["labels"]["edges"].as_array().unwrap().iter().all(|edge| ids(&edge["properties"]) == both), "{hub}");
    in_sync(&project, &[]);
    // A group that is not there is told, and the account stands in for it.
    edit(&project, "hubs", "h", |record| record["labels"] = json!([{"id": 1}]));
    project.write("config.yml", &project.read("config.yml").replace("source: Live source", "source: Nobody"));
    let told = project.ok(&["sync", "--no-diff"]);
    assert!(told.stderr.contains("`Nobody`"), "{}", told.stderr);
    let hub = branch.node("TestingHub", "h", by);
    assert_eq!(ids(&hub["labels"]["edges"][0]["properties"]), (account, both.1));
}

/// Takes the proposed change of a run away again, and its branch.
fn forget(infrahub: &Infrahub, run: &str, change: &Value) {
    infrahub.must("main", &format!("mutation{{CoreProposedChangeDelete(data:{{id:{change}}}){{ok}}}}"));
    infrahub.must("main", &format!("mutation{{BranchDelete(data:{{name:\"infrahub-sync-{run}\"}},wait_until_completion:true){{ok}}}}"));
}

fn count_on_main(infrahub: &Infrahub, kind: &str) -> Value {
    infrahub.must("main", &format!("{{{kind}{{count}}}}"))[kind]["count"].clone()
}

#[test]
fn a_run_that_is_reviewed_leaves_main_as_it_is() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let before = count_on_main(&infrahub, "TestingLabel");
    let project = small(&infrahub, "proposed_change: true", &[OWNER, LABEL, HUBS], &few());
    let run = format!("review-{}", std::process::id());
    project.ok(&["diff", "--run-id", &run]);
    let done = project.ok(&["apply", "--run-id", &run]);
    assert!(done.stderr.contains("/proposed-changes/"), "{}", done.stderr);
    assert_eq!(count_on_main(&infrahub, "TestingLabel"), before, "main is untouched");
    let found = infrahub.must(
        "main",
        &format!(
            "{{CoreProposedChange(source_branch__value:\"infrahub-sync-{run}\"){{edges{{node{{id state{{value}} is_draft{{value}} \
             destination_branch{{value}} description{{value}}}}}}}}}}"
        ),
    );
    let change = &found["CoreProposedChange"]["edges"][0]["node"];
    assert_eq!((&change["state"]["value"], &change["destination_branch"]["value"]), (&json!("open"), &json!("main")));
    let description = change["description"]["value"].as_str().unwrap();
    assert!(
        description.contains(&run) && description.contains("| TestingLabel | 2 | 0 | 0 |") && description.contains("4 created"),
        "{description}"
    );
    let on_branch = infrahub.must(&format!("infrahub-sync-{run}"), "{TestingHub{count}}");
    assert_eq!(on_branch["TestingHub"]["count"], 1);
    forget(&infrahub, &run, &change["id"]);
}

/// An account of a group, and a token of it.
fn account(infrahub: &Infrahub, name: &str, group: &str) -> (Lent, String) {
    let password = "live tests only";
    let lent = infrahub.lend("CoreAccount", name, &format!("password:{{value:\"{password}\"}} member_of_groups:[{{id:\"{group}\"}}]"));
    let (status, login) = infrahub.request("POST", "/api/auth/login", &[], Some(&json!({"username": name, "password": password})));
    assert_eq!(status, 200, "{login}");
    let bearer = format!("Bearer {}", login["access_token"].as_str().unwrap());
    let document = "mutation{InfrahubAccountTokenCreate(data:{name:\"live tests\"}){object{token{value}}}}";
    let (_, made) = infrahub.request("POST", "/graphql/main", &[("authorization", &bearer)], Some(&json!({ "query": document })));
    let token = made["data"]["InfrahubAccountTokenCreate"]["object"]["token"]["value"].as_str().unwrap_or_else(|| panic!("{made}"));
    (lent, token.to_owned())
}

#[test]
fn missing_rights_are_named_before_anything_is_written() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    // May look at everything, and on branches make labels: no owners, no hubs.
    let everything = "namespace__value:\"*\" name__value:\"*\" action__value:\"view\" decision__value:6";
    let view = infrahub.must("main", &format!("{{CoreObjectPermission({everything}){{edges{{node{{id}}}}}}}}"));
    let view = &view["CoreObjectPermission"]["edges"][0]["node"]["id"];
    let labels = infrahub.lend("CoreObjectPermission", "Label", "namespace:{value:\"Testing\"} action:{value:\"any\"} decision:{value:4}");
    let role = infrahub.lend("CoreAccountRole", "Live labels", &format!("permissions:[{{id:{view}}},{{id:\"{}\"}}]", labels.id));
    let group = infrahub.lend("CoreAccountGroup", "Live labels", &format!("roles:[{{id:\"{}\"}}]", role.id));
    let (_account, few_rights) = account(&infrahub, "live-labels", &group.id);

    let branch = infrahub.branch("rights");
    let mut project = small(&infrahub, &format!("branch: {}", branch.name), &[OWNER, LABEL, HUBS], &few());
    project.set("INFRAHUB_API_TOKEN", &few_rights);
    let refused = project.run(&["sync", "--no-diff"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("create `TestingOwner`") && refused.stderr.contains("create `TestingHub`"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("`TestingLabel`"), "{}", refused.stderr);
    assert_eq!((branch.count("TestingLabel"), branch.count("TestingOwner")), (0, 0), "nothing was written");
    // What it may, it does.
    let mut allowed = small(&infrahub, &format!("branch: {}", branch.name), &[LABEL], &few());
    allowed.set("INFRAHUB_API_TOKEN", &few_rights);
    allowed.ok(&["sync", "--no-diff"]);
    assert_eq!(branch.count("TestingLabel"), 2);

    // Infrahub's own users may write anything, but not on the default branch.
    let users = infrahub.must("main", "{CoreAccountGroup(name__value:\"Infrahub Users\"){edges{node{id}}}}");
    let users = users["CoreAccountGroup"]["edges"][0]["node"]["id"].as_str().unwrap();
    let (_user, on_branches) = account(&infrahub, "live-user", users);
    let before = count_on_main(&infrahub, "TestingLabel");
    let mut on_main = small(&infrahub, "branch: main", &[OWNER, LABEL, HUBS], &few());
    on_main.set("INFRAHUB_API_TOKEN", &on_branches);
    let refused = on_main.run(&["sync", "--no-diff"]);
    assert_eq!((refused.code, count_on_main(&infrahub, "TestingLabel")), (5, before), "{}", refused.stderr);
    project.set("INFRAHUB_API_TOKEN", &on_branches);
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(branch.count("TestingHub"), 1);
    in_sync(&project, &[]);
    // Nor without a token, or with a wrong one.
    project.set("INFRAHUB_API_TOKEN", "no-token-of-ours");
    let unknown: Output = project.run(&["diff"]);
    assert!(unknown.code == 5 && unknown.stderr.contains("INFRAHUB_API_TOKEN"), "{}", unknown.stderr);
}

#[test]
fn a_schema_that_changes_after_the_review_stops_the_apply() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let branch = infrahub.branch("drift");
    let bolts = ("bolts", json!([{"id": 1, "name": "b", "length": null}]));
    let kinds = [OWNER, "TestingBolt bolts [name]: name length"];
    let project = small(&infrahub, &format!("branch: {}", branch.name), &kinds, &[few()[0].clone(), bolts]);
    project.ok(&["generate"]);
    let models = project.read("infrahub-sync.models.yml");
    assert!(models.contains("name: TestingBolt"), "{models}");
    project.ok(&["diff", "--run-id", "reviewed"]);
    // What is null in the source means another value from now on.
    let schema = "version: \"1.0\"
nodes:
  - name: Bolt
    namespace: Testing
    inherit_from: [TestingThing]
    human_friendly_id: [name__value]
    display_label: \"{{ name__value }}\"
    uniqueness_constraints: [[name__value]]
    attributes:
      - {name: length, kind: Number, optional: true, default_value: 5}
";
    project.write("change.yml", schema);
    must(Command::new("tests/live/infrahub.sh").args(["load", "--branch", &branch.name]).arg(project.path().join("change.yml")));
    let refused = project.run(&["apply", "--run-id", "reviewed"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("TestingBolt") && !refused.stderr.contains("TestingOwner"), "the kind is named: {}", refused.stderr);
    assert_eq!(branch.count("TestingOwner"), 0, "nothing was written");
    // The models that were generated are of the old schema; a new plan knows the new one.
    let stale = project.ok(&["diff"]);
    assert!(stale.stderr.contains("generate"), "{}", stale.stderr);
    project.ok(&["generate"]);
    project.ok(&["sync", "--no-diff"]);
    in_sync(&project, &[]);
    assert_eq!(branch.node("TestingBolt", "b", "length{value}")["length"]["value"], 5);
}

/// A Python program of the repository, which says all that it finds and ends with 0 when that is nothing.
pub(crate) fn python(program: &Path, arguments: &[&str]) {
    let output = Command::new(program).current_dir(root()).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{arguments:?}\n{said}");
}

#[test]
fn the_original_and_ours_write_the_same() {
    let _turn = Turn::wait();
    let _infrahub = Infrahub::up(&[NETWORK]);
    let _netbox = NetBox::up();
    let reference = reference_environment();
    let program = binary();
    let bench = ["tests/bench/infrahub.py", "--check", "--python", &reference, "--binary", program.to_str().unwrap()];
    python(Path::new("python3"), &bench);
}

#[test]
fn the_fake_answers_as_the_real_server_does() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[]);
    let fake = binary().with_file_name("fake-infrahub");
    let fake = fake.to_str().unwrap();
    // Beside the server is a Python with its SDK.
    let with_sdk = live_folder().join("infrahub/venv/bin/python");
    // A run that was killed may have left some, and no fake knows of them.
    for (kind, name, data) in LENT {
        drop(infrahub.lend(kind, name, data));
    }
    let branch = infrahub.branch("fake");
    python(&with_sdk, &["tests/fakes/infrahub/check/differential.py", &infrahub.url, &infrahub.token, fake, &branch.name]);
    python(&with_sdk, &["tests/fakes/infrahub/check/sdk_check.py", fake]);
    python(&with_sdk, &["tests/fakes/infrahub/check/sync_check.py", fake, &format!("{}/bin/infrahub-sync", reference_environment())]);
}

/// The virtual environment with infrahub-sync 2.0.1.
pub(crate) fn reference_environment() -> String {
    must(&mut Command::new("tests/live/reference.sh")).trim().to_owned()
}
