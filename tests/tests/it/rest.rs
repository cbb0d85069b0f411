//! Two sides that are addressed by `mapping:`: the lists of a REST server are synchronized with differently named lists of another one.

use infrahub_sync_tests::rest::{Column, Rest, Shape, TOKEN};
use infrahub_sync_tests::{Project, binary};
use serde_json::{Value, json};

const STATUS: Column = Column::Choice(&["active", "planned"]);

/// The lists of the inventory.
const INVENTORY: &[Shape] = &[
    ("org/places", &[("slug", Column::Unique), ("label", Column::Text)]),
    ("org/labels", &[("name", Column::Unique)]),
    (
        "inventory/devices",
        &[
            ("hostname", Column::Unique),
            ("state", STATUS),
            ("place", Column::Peer("org/places")),
            ("labels", Column::Peers("org/labels")),
            ("height", Column::Number),
        ],
    ),
    ("inventory/machines", &[("hostname", Column::Unique), ("state", STATUS), ("place", Column::Peer("org/places"))]),
    ("inventory/ports", &[("name", Column::Text), ("device", Column::Peer("inventory/devices")), ("speed", Column::Number)]),
];

/// The same things, as the other system keeps them.
const NETWORK: &[Shape] = &[
    ("dcim/sites", &[("slug", Column::Unique), ("name", Column::Text)]),
    ("extras/tags", &[("name", Column::Unique)]),
    (
        "dcim/devices",
        &[
            ("name", Column::Unique),
            ("status", STATUS),
            ("site", Column::Peer("dcim/sites")),
            ("tags", Column::Peers("extras/tags")),
            ("size", Column::Number),
        ],
    ),
    ("virtualization/machines", &[("name", Column::Unique), ("status", STATUS), ("site", Column::Peer("dcim/sites"))]),
    ("dcim/ports", &[("label", Column::Text), ("device", Column::Peer("dcim/devices")), ("speed", Column::Number)]),
];

/// Each kind, its lists in the inventory and in the network, its identifiers, and its fields: name, path here, path there, peer.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str, &'static str, &'static str)]);
const MAPPINGS: &[Row] = &[
    ("Site", "org/places", "dcim/sites", "slug", &[("slug", "slug", "slug", ""), ("title", "label", "name", "")]),
    ("Tag", "org/labels", "extras/tags", "name", &[("name", "name", "name", "")]),
    (
        "Device",
        "inventory/devices",
        "dcim/devices",
        "name",
        &[
            ("name", "hostname", "name", ""),
            ("status", "state.value", "status.value", ""),
            ("site", "place", "site", "Site"),
            ("tags", "labels", "tags", "Tag"),
            ("size", "height", "size", ""),
        ],
    ),
    (
        "Device",
        "inventory/machines",
        "virtualization/machines",
        "name",
        &[("name", "hostname", "name", ""), ("status", "state.value", "status.value", ""), ("site", "place.slug", "site.slug", "Site")],
    ),
    (
        "Port",
        "inventory/ports",
        "dcim/ports",
        "device, name",
        &[("device", "device.hostname", "device.name", "Device"), ("name", "name", "label", ""), ("speed", "speed", "speed", "")],
    ),
];

/// The project that copies one server to another: from the inventory to the network, or the other way.
fn project(from: &Rest, to: &Rest, back: bool) -> Project {
    // `address` is another name of `url`.
    let side = |name: &str, rest: &Rest| {
        let setting = if name == "from" { "address" } else { "url" };
        format!("{{name: {name}, adapter: ./rest-lists.wasm, settings: {{{setting}: \"{}\", token: {TOKEN}}}}}", rest.url())
    };
    let turned = |(here, there): (&'static str, &'static str)| if back { (there, here) } else { (here, there) };
    let mut config = format!(
        "name: lists\ndiffsync_flags: [NONE]\ndeletes: all\nsource: {}\ndestination: {}\nschema_mapping:\n",
        side("from", from),
        side("to", to)
    );
    for (kind, here, there, identifiers, fields) in MAPPINGS {
        let (source, destination) = turned((here, there));
        config.push_str(&format!(
            "  - name: {kind}\n    mapping: {source}\n    destination_mapping: {destination}\n    identifiers: [{identifiers}]\n    fields:\n"
        ));
        for (name, here, there, peer) in *fields {
            let (source, destination) = turned((here, there));
            let reference = if peer.is_empty() { String::new() } else { format!(", reference: {peer}") };
            config.push_str(&format!("      - {{name: {name}, mapping: {source}, destination_mapping: {destination}{reference}}}\n"));
        }
    }
    with_guest(&config)
}

fn with_guest(config: &str) -> Project {
    let project = Project::new(config);
    // target/release/infrahub-sync, target/guests.
    let guest = binary().ancestors().nth(2).unwrap().join("guests/rest-lists.wasm");
    std::fs::copy(&guest, project.path().join("rest-lists.wasm"))
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo guests`", guest.display()));
    project
}

/// Fills the inventory.
fn inventory() -> Rest {
    let rest = Rest::start(INVENTORY);
    // The ids of a side are not those of the other one.
    let gone = rest.put("org/places", &[json!({"slug": "gone"})]);
    rest.delete("org/places", gone[0]);
    let places = rest.put("org/places", &[json!({"slug": "zrh", "label": "Zürich"}), json!({"slug": "ams"})]);
    let labels = rest.put("org/labels", &["core", "lab", "old"].map(|name| json!({ "name": name })));
    let devices: Vec<Value> = (1..=8)
        .map(|number| {
            let state = if number % 3 == 0 { "planned" } else { "active" };
            let labels: Vec<u64> = labels.iter().copied().filter(|label| number % label == 0).collect();
            json!({"hostname": format!("r{number}"), "state": state, "place": places[number as usize % 2], "labels": labels, "height": number})
        })
        .collect();
    let devices = rest.put("inventory/devices", &devices);
    rest.put("inventory/machines", &[json!({"hostname": "vm1", "state": "active", "place": places[0]}), json!({"hostname": "vm2"})]);
    let ports =
        devices.iter().flat_map(|device| ["eth0", "eth1"].map(|name| json!({"name": name, "device": device, "speed": 10 * device})));
    rest.put("inventory/ports", &ports.collect::<Vec<_>>());
    rest
}

/// Checks that another run finds no difference.
fn is_in_sync(project: &Project) {
    let (code, plan) = project.plan(&[]);
    assert_eq!((code, &plan["changes"]), (0, &json!([])), "{plan}");
}

fn lists(rest: &Rest, shapes: &[Shape]) -> Vec<Vec<Value>> {
    shapes.iter().map(|(name, _)| rest.objects(name)).collect()
}

#[test]
fn lists_are_copied_there_and_back() {
    let (inventory, network, copy) = (inventory(), Rest::start(NETWORK), Rest::start(INVENTORY));
    let there = project(&inventory, &network, false);
    there.ok(&["sync"]);
    assert_eq!(network.objects("dcim/sites"), [json!({"slug": "zrh", "name": "Zürich"}), json!({"slug": "ams"})]);
    let device = json!({"name": "r6", "status": "planned", "site": "zrh", "tags": ["core", "lab", "old"], "size": 6});
    assert!(network.objects("dcim/devices").contains(&device), "{:?}", network.objects("dcim/devices"));
    let machines = [json!({"name": "vm1", "status": "active", "site": "zrh"}), json!({"name": "vm2"})];
    assert_eq!(network.objects("virtualization/machines"), machines);
    assert_eq!(network.objects("dcim/ports").len(), 16);
    assert!(network.objects("dcim/ports").contains(&json!({"label": "eth1", "device": "r8", "speed": 80})));
    is_in_sync(&there);

    let back = project(&network, &copy, true);
    back.ok(&["sync"]);
    assert_eq!(lists(&copy, INVENTORY), lists(&inventory, INVENTORY));
    is_in_sync(&back);
}

#[test]
fn another_name_of_a_setting_is_inspected() {
    let project = with_guest("name: empty\n");
    let inspected = project.run(&["adapter", "inspect", "./rest-lists.wasm"]);
    assert!(inspected.stdout.contains("`address` is another name of `url`"), "{}{}", inspected.stdout, inspected.stderr);
    let inspected = project.run(&["adapter", "inspect", "./rest-lists.wasm", "--output", "json"]);
    let inspected: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(inspected["aliases"], json!([{"name": "address", "setting": "url", "environment": []}]));
}

#[test]
fn each_change_goes_to_the_list_of_its_object() {
    let (inventory, network) = (inventory(), Rest::start(NETWORK));
    let project = project(&inventory, &network, false);
    project.ok(&["sync"]);
    drop(network.writes());

    // Ids count from 1 in each list; `org/places` has lost its first object.
    inventory.put("inventory/devices", &[json!({"id": 1, "state": "planned", "place": 2, "labels": [3]})]);
    inventory.put("inventory/machines", &[json!({"id": 2, "place": 3})]);
    inventory.put("inventory/machines", &[json!({"hostname": "vm3", "state": "planned"})]);
    inventory.put("org/places", &[json!({"id": 2, "label": null})]);
    for port in [3, 4] {
        inventory.delete("inventory/ports", port);
    }
    inventory.delete("inventory/devices", 2);
    inventory.delete("inventory/machines", 1);
    project.ok(&["sync"]);
    let changes: Vec<(String, String, Value)> = network.writes();
    let of = |method: &str, list: &str| -> Vec<Value> {
        let bodies = changes.iter().filter(|(by, of, _)| by == method && of == list).map(|(_, _, body)| body);
        bodies.flat_map(|body| body.as_array().unwrap()).cloned().collect()
    };
    let sites = |slug: &str| network.objects("dcim/sites").iter().any(|site| site["slug"] == slug);
    assert!(sites("zrh") && sites("ams"));
    let changed = of("PATCH", "dcim/devices");
    assert_eq!(changed.len(), 1, "{changes:?}");
    let fields: Vec<&String> = changed[0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["id", "site", "status", "tags"], "only the changed ones");
    assert_eq!(of("PATCH", "dcim/sites").len(), 1);
    assert_eq!((of("PATCH", "virtualization/machines").len(), of("POST", "virtualization/machines").len()), (1, 1));
    let deleted = ["dcim/devices", "virtualization/machines", "dcim/ports", "dcim/sites"].map(|list| of("DELETE", list).len());
    assert_eq!(deleted, [1, 1, 2, 0], "{changes:?}");

    let device = json!({"name": "r1", "status": "planned", "site": "zrh", "tags": ["old"], "size": 1});
    assert!(network.objects("dcim/devices").contains(&device), "{:?}", network.objects("dcim/devices"));
    let machines = [json!({"name": "vm2", "site": "ams"}), json!({"name": "vm3", "status": "planned"})];
    assert_eq!(network.objects("virtualization/machines"), machines);
    is_in_sync(&project);
}

#[test]
fn one_mapping_serves_both_sides() {
    let (inventory, copy) = (inventory(), Rest::start(INVENTORY));
    let side = |name: &str, rest: &Rest| {
        format!("{{name: {name}, adapter: ./rest-lists.wasm, settings: {{url: \"{}\", token: {TOKEN}}}}}", rest.url())
    };
    let config = format!(
        "name: lists\nsource: {}\ndestination: {}\nschema_mapping:\n\
         \x20 - name: Place\n    mapping: org/places\n    identifiers: [slug]\n    fields: [{{name: slug, mapping: slug}}, {{name: label, mapping: label}}]\n\
         \x20 - name: Machine\n    mapping: inventory/machines\n    identifiers: [hostname]\n    fields:\n\
         \x20     - {{name: hostname, mapping: hostname}}\n      - {{name: state, mapping: state.value}}\n\
         \x20     - {{name: place, mapping: place, reference: Place}}\n",
        side("from", &inventory),
        side("to", &copy)
    );
    let project = with_guest(&config);
    project.ok(&["sync"]);
    for list in ["org/places", "inventory/machines"] {
        assert_eq!(copy.objects(list), inventory.objects(list));
    }
    is_in_sync(&project);
}

#[test]
fn transforms_and_fields_use_what_the_adapter_lends() {
    let inventory = inventory();
    inventory.put("inventory/machines", &[json!({"hostname": "r3", "place": 3})]);
    let summary = Rest::start(&[("summary", &[("name", Column::Unique), ("title", Column::Text), ("size", Column::Number)])]);
    let side = |name: &str, rest: &Rest| {
        format!("{{name: {name}, adapter: ./rest-lists.wasm, settings: {{url: \"{}\", token: {TOKEN}}}}}", rest.url())
    };
    let config = |function: &str| {
        format!(
            "name: lists\nsource: {}\ndestination: {}\nschema_mapping:\n\
             \x20 - name: Summary\n    mapping: inventory/machines\n    destination_mapping: summary\n    identifiers: [name]\n\
             \x20   transforms: [{{field: title, expression: \"{{{{ place.slug | place_label if place else none }}}}\"}}]\n    fields:\n\
             \x20     - {{name: name, mapping: hostname, destination_mapping: name}}\n      - {{name: title, mapping: title}}\n\
             \x20     - {{name: size, mapping: \"{function}(inventory/devices, hostname, height, 42)\", destination_mapping: size}}\n",
            side("from", &inventory),
            side("to", &summary)
        )
    };
    let project = with_guest(&config("lookup"));
    project.ok(&["sync"]);
    let expected = [
        json!({"name": "vm1", "title": "Zürich", "size": 42}),
        json!({"name": "vm2", "size": 42}),
        // A place without a label: the key stays.
        json!({"name": "r3", "title": "ams", "size": 3}),
    ];
    let mut written = summary.objects("summary");
    written.sort_by_key(|object| expected.iter().position(|one| one["name"] == object["name"]));
    assert_eq!(written, expected);
    is_in_sync(&project);

    let unreadable = with_guest(&config("lookup").replace("org/places", "org/rooms").replace("inventory/devices", "inventory/rooms"));
    let output = unreadable.run(&["diff"]);
    assert_eq!(output.code, 3, "{}", output.stderr);
    assert!(output.stderr.contains("inventory/rooms"), "{}", output.stderr);
}

#[test]
fn a_rejected_row_is_reported_and_the_others_are_written() {
    // A status that only the inventory has.
    let odd: &[Shape] = &[
        ("org/places", INVENTORY[0].1),
        ("org/labels", INVENTORY[1].1),
        INVENTORY[2],
        (
            "inventory/machines",
            &[("hostname", Column::Unique), ("state", Column::Choice(&["active", "odd"])), ("place", Column::Peer("org/places"))],
        ),
        INVENTORY[4],
    ];
    let (inventory, network) = (Rest::start(odd), Rest::start(NETWORK));
    let machine = |number: u32, state: &str| json!({"hostname": format!("vm{number}"), "state": state});
    inventory.put("inventory/machines", &[machine(1, "active"), machine(2, "odd"), machine(3, "active"), machine(4, "active")]);
    let project = project(&inventory, &network, false);
    let output = project.run(&["sync"]);
    assert_eq!(output.code, 7, "{}", output.stderr);
    assert!(output.stderr.contains("`status`: \"odd\" is not valid"), "{}", output.stderr);
    let names: Vec<Value> = network.objects("virtualization/machines").iter().map(|machine| machine["name"].clone()).collect();
    assert_eq!(names, ["vm1", "vm3", "vm4"]);
}

#[test]
fn a_list_that_does_not_exist_is_a_mistake_of_the_mapping() {
    let (inventory, network) = (inventory(), Rest::start(&NETWORK[..2]));
    let output = project(&inventory, &network, false).run(&["sync"]);
    assert_eq!(output.code, 3, "{}", output.stderr);
    assert!(output.stderr.contains("the destination has no kind `Device`"), "{}", output.stderr);
    assert!(network.objects("dcim/sites").is_empty(), "nothing is written");
}
