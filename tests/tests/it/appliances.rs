//! IP Fabric, Slurp'it and Cisco ACI as sources, each against a fake with its shapes and its faults.

use infrahub_sync_test_server::Server;
use infrahub_sync_tests::Project;
use infrahub_sync_tests::appliances::{Appliance, Dialect, Fault, LAST, TOKEN, USER};
use serde_json::{Value, json};

/// A project that reads from an appliance into files.
fn project(name: &str, settings: &Value, mappings: &str) -> Project {
    let config = format!(
        "name: net\nsource: {{name: {name}, settings: {settings}}}\ndestination: {{name: files, settings: {{path: out}}}}\nschema_mapping:\n{mappings}"
    );
    Project::new(&config)
}

/// Returns the objects of a kind.
fn objects(project: &Project, kind: &str) -> Vec<Value> {
    project.read(&format!("out/{kind}.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Syncs; a second run plans nothing.
fn sync(project: &Project) -> String {
    let told = project.ok(&["sync", "--no-diff"]).stderr;
    let (code, plan) = project.plan(&[]);
    assert_eq!(code, 0, "{plan}");
    told
}

/// Runs with each fault on the second request of a page, and says how many objects there are then of 2,500.
fn with_faults(appliance: &Appliance, make: impl Fn() -> Project, kind: &str, faults: &[(Fault, usize)]) {
    for (fault, expected) in faults {
        let project = make();
        appliance.fail(1, *fault);
        project.ok(&["sync", "--no-diff"]);
        assert_eq!(objects(&project, kind).len(), *expected, "{fault:?}");
    }
}

// IP Fabric.

fn devices(count: u64) -> impl Iterator<Item = Value> {
    (0..count).map(|id| {
        json!({"id": format!("{id:06}"), "hostname": format!("r{id}"), "siteName": format!("s{}", id % 3), "vendor": "acme", "model": format!("m{}", id % 2),
            "platform": if id % 2 == 0 { "os" } else { "" }, "sn": format!("SN{id}"), "version": "1.2"})
    })
}

const FABRIC: &str = "  - {name: Site, mapping: tables/inventory/sites, identifiers: [name], fields: [{name: name, mapping: siteName}]}
  - {name: Type, mapping: tables/inventory/summary/models, identifiers: [name, maker], fields: [{name: name, mapping: model}, {name: maker, mapping: vendor}]}
  - {name: Device, mapping: tables/inventory/devices, identifiers: [name], fields: [{name: name, mapping: hostname}, {name: serial, mapping: sn}, {name: site, mapping: siteName, reference: Site}, {name: type, mapping: model, reference: Type}]}
";

fn fabric(dialect: Dialect) -> Appliance {
    let fabric = Appliance::start(dialect);
    fabric.columns("tables/inventory/devices", &["id", "hostname", "siteName", "vendor", "model", "platform", "sn", "version"]);
    fabric.put("tables/inventory/devices", devices(2500));
    fabric.put("tables/inventory/sites", (0..3).map(|id| json!({"id": id.to_string(), "siteName": format!("s{id}"), "devicesCount": 1})));
    fabric.put(
        "tables/inventory/summary/models",
        (0..3)
            .map(|id| json!({"id": id.to_string(), "vendor": "acme", "model": if id == 2 { json!("") } else { json!(format!("m{id}")) }})),
    );
    fabric
}

#[test]
fn ip_fabric_is_read_from_one_snapshot_with_keys_of_the_peers_columns() {
    for dialect in [Dialect::IpFabric, Dialect::IpFabric7] {
        let fabric = fabric(dialect);
        let project = project("ipfabricsync", &json!({"base_url": fabric.url(), "auth": TOKEN}), FABRIC);
        project.ok(&["sync", "--no-diff"]);
        let bodies = fabric.bodies("tables/inventory/devices");
        assert!(bodies.len() == 3 && bodies.iter().all(|body| body["snapshot"] == LAST), "{bodies:?}");
        assert_eq!(bodies[0]["columns"], json!(["id", "hostname", "model", "siteName", "sn", "vendor"]));
        assert_eq!(objects(&project, "Type").len(), 2, "a model without a name makes no object");
        let devices = objects(&project, "Device");
        assert_eq!(devices.len(), 2500);
        assert_eq!(devices[0], json!({"name": "r0", "serial": "SN0", "site": {"name": "s0"}, "type": {"name": "m0", "maker": "acme"}}));
        assert_eq!(project.plan(&[]).0, 0);
    }
}

#[test]
fn ip_fabric_renews_its_session_and_notices_faults() {
    let fabric = fabric(Dialect::IpFabric);
    let settings = json!({"url": fabric.url(), "username": USER.0, "password": USER.1, "snapshot": "$last", "verify": false});
    let mapping = FABRIC.lines().last().unwrap().replace(", reference: Site", "").replace(", reference: Type", "");
    let faults = [
        (Fault::Status(429), 2500),
        (Fault::Status(503), 2500),
        (Fault::Cut, 2500),
        (Fault::Expired, 2500),
        (Fault::Moved, 2500),
        (Fault::Deleted, 2499),
    ];
    with_faults(&fabric, || project("ipfabricsync", &settings, &format!("{mapping}\n")), "Device", &faults);
    // Status 500 may be a fault of the request: only a GET is repeated after it.
    fabric.fail(1, Fault::Status(500));
    let told = project("ipfabricsync", &settings, &format!("{mapping}\n")).run(&["sync", "--no-diff"]);
    assert!(told.code != 0 && told.stderr.contains("HTTP status 500"), "{}: {}", told.code, told.stderr);
}

#[test]
fn ip_fabric_tells_columns_and_snapshots_that_are_not_there() {
    let fabric = fabric(Dialect::IpFabric);
    let mapping = "  - {name: Device, mapping: tables/inventory/devices, identifiers: [name], fields: [{name: name, mapping: hostname}, {name: note, mapping: dscr}, {name: rack, mapping: rack}]}\n";
    let told = sync(&project("ipfabricsync", &json!({"base_url": fabric.url(), "auth": TOKEN}), mapping));
    assert!(told.contains("tables/inventory/devices has no column `dscr`") && told.contains("`rack`"), "{told}");
    for (settings, code, words) in [
        (json!({"snapshot_id": "0b9c8d5e-0000-4000-8000-000000000003"}), 3, "is unloaded: load it in IP Fabric"),
        (json!({"snapshot_id": "$lastLocked"}), 3, "is not a loaded snapshot (loaded: 0b9c8d5e"),
        (json!({"proxy": "http://p"}), 3, "`proxy`: set the variable `https_proxy` instead"),
        (json!({"auth": "another-token"}), 5, "`auth` (IPF_TOKEN) is missing, wrong or expired"),
    ] {
        let mut all = json!({"base_url": fabric.url(), "auth": TOKEN});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let told = project("ipfabricsync", &all, mapping).run(&["diff"]);
        assert!(told.code == code && told.stderr.contains(words), "{}: {}", told.code, told.stderr);
    }
    let wrong = mapping.replace("tables/inventory/devices", "inventory/devices");
    let told = project("ipfabricsync", &json!({"base_url": fabric.url(), "auth": TOKEN}), &wrong).run(&["diff"]);
    assert!(told.code == 3 && told.stderr.contains("`inventory/devices` is not a table"), "{}", told.stderr);
}

#[test]
fn speeds_of_ip_fabric_are_in_the_unit_of_2_0_1() {
    let fabric = fabric(Dialect::IpFabric);
    let row = |id: u64, speed: Value| json!({"id": id.to_string(), "hostname": "r0", "intName": format!("e{id}"), "speedValue": speed});
    fabric.put("tables/inventory/interfaces", [row(1, json!(1_000_000_000_u64)), row(2, json!(1500)), row(3, Value::Null)]);
    let mapping = "  - {name: Port, mapping: tables/inventory/interfaces, identifiers: [name], fields: [{name: name, mapping: intName}, {name: speed, mapping: speedValue}]}\n";
    let settings = json!({"base_url": fabric.url(), "auth": TOKEN});
    let ports = project("ipfabricsync", &settings, mapping);
    sync(&ports);
    let speeds: Vec<Value> = objects(&ports, "Port").iter().map(|port| port["speed"].clone()).collect();
    assert_eq!(speeds, [json!(1_000_000), json!(1.5), Value::Null]);
    let twice = mapping.replace("]}\n", ", {name: raw, mapping: speedValue}]}\n");
    let told = project("ipfabricsync", &settings, &twice).run(&["diff"]);
    assert!(told.code == 3 && told.stderr.contains("`speed` and `raw` both read the column `speedValue`"), "{}", told.stderr);
}

// Slurp'it.

fn slurpit() -> Appliance {
    let slurpit = Appliance::start(Dialect::Slurpit);
    slurpit.put(
        "devices",
        (0..2500).map(|id| {
            json!({"id": id.to_string(), "hostname": format!("r{id}"), "fqdn": format!("r{id}.net"), "device_os": format!("os{}", id % 2), "device_type": format!("t{}", id % 4),
                "brand": "acme", "site": "HQ", "disabled": "0", "port": "22", "address": "192.0.2.1"})
        }),
    );
    slurpit.put(
        "sites",
        [json!({"id": "1", "sitename": "HQ", "description": "the first", "street": "", "county": "", "state": "", "number": "1", "zipcode": "", "city": "", "country": "",
            "phonenumber": "", "status": "0", "longitude": "", "latitude": ""})],
    );
    let route = |network: &str, mask: &str, vrf: Value| json!({"hostname": "r0", "Network": network, "Mask": mask, "Vrf": vrf, "timestamp": ["2026-01-01"]});
    slurpit.put(
        "planning:routing-table",
        [
            route("10.0.0.0", "255.255.0.0", json!("red")),
            route("10.0.1.7/24", "", Value::Null),
            route("192.0.2.1", "32", json!("red")),
            route("0.0.0.0", "0", json!("red")),
            route("fe80::/10", "", json!("red")),
            route("2001:db8::/32", "", json!("red")),
            route("direct", "", json!("red")),
        ],
    );
    let port = |name: &str, address: Value| json!({"hostname": "r0", "Interface": name, "IP": address, "MAC_normalized": "AA:BB:CC:DD:EE:FF", "Description": [name]});
    slurpit.put(
        "planning:interfaces",
        [
            port("e0", json!("10.0.1.9/24")),
            port("e1", json!(["10.0.1.10", "10.0.9.1"])),
            port("e2", json!("")),
            port("e3", json!("Unknown")),
            port("e4", json!("2001:db8::1")),
        ],
    );
    slurpit
}

const SLURPIT: &str = "  - {name: Maker, mapping: unique_vendors, identifiers: [name], fields: [{name: name, mapping: brand}, {name: type, static: Vendor}]}
  - {name: Site, mapping: site.get_sites, identifiers: [name], fields: [{name: name, mapping: sitename}, {name: number, mapping: number}]}
  - {name: Type, mapping: unique_device_type, identifiers: [name], fields: [{name: name, mapping: device_type}, {name: maker, mapping: brand, reference: Maker}]}
  - {name: Os, mapping: unique_device_type, identifiers: [name], fields: [{name: name, mapping: device_os}]}
  - {name: Device, mapping: device.get_devices, identifiers: [name], fields: [{name: name, mapping: hostname}, {name: port, mapping: port}, {name: site, mapping: site, reference: Site}, {name: type, mapping: device_type, reference: Type}]}
  - {name: Vrf, mapping: planning_results.routing-table, identifiers: [name], filters: [{field: Vrf, operation: is_not_empty}], fields: [{name: name, mapping: Vrf}]}
  - {name: Port, mapping: planning_results.interfaces, identifiers: [device, name], fields: [{name: name, mapping: Interface}, {name: device, mapping: hostname, reference: Device}]}
  - {name: Prefix, mapping: filter_networks, identifiers: [vrf, prefix], fields: [{name: prefix, mapping: normalized_prefix}, {name: vrf, mapping: Vrf, reference: Vrf}]}
  - name: Address
    mapping: filter_interfaces
    identifiers: [address]
    transforms:
      - {field: dev_int, expression: \"{{hostname}}__{{Interface}}\"}
    fields:
      - {name: address, mapping: normalized_address}
      - {name: prefix, mapping: prefix}
      - {name: vrf, mapping: vrf}
      - {name: port, mapping: dev_int, reference: Port}
";

#[test]
fn slurpit_has_lists_results_and_what_is_computed_of_them() {
    let slurpit = slurpit();
    let settings = json!({"url": slurpit.url(), "token": TOKEN, "verify": true, "auto_pagination": true});
    let project = project("slurpitsync", &settings, SLURPIT);
    sync(&project);
    assert_eq!(objects(&project, "Maker"), [json!({"name": "acme", "type": "Vendor"})]);
    assert_eq!((objects(&project, "Type").len(), objects(&project, "Os").len()), (4, 2));
    let devices = objects(&project, "Device");
    assert_eq!((devices.len(), &devices[0]), (2500, &json!({"name": "r0", "port": 22, "site": {"name": "HQ"}, "type": {"name": "t0"}})));
    let prefixes: Vec<Value> = objects(&project, "Prefix").iter().map(|prefix| json!([prefix["prefix"], prefix["vrf"]])).collect();
    let red = json!({"name": "red"});
    for expected in
        [json!(["10.0.0.0/255.255.0.0", red]), json!(["10.0.1.7/24", null]), json!(["2001:db8::/32", red]), json!(["direct", red])]
    {
        assert!(prefixes.contains(&expected), "{expected}: {prefixes:?}");
    }
    assert_eq!(prefixes.len(), 4);
    let addresses: Vec<Value> = objects(&project, "Address")
        .iter()
        .map(|address| json!([address["address"], address["prefix"], address["port"]["name"]]))
        .collect();
    // The first network of the list that has the address counts.
    for expected in [
        json!(["10.0.1.9/24", "10.0.0.0/16", "e0"]),
        json!(["10.0.1.10/32", "10.0.0.0/16", "e1"]),
        json!(["2001:db8::1/128", "2001:db8::/32", "e4"]),
    ] {
        assert!(addresses.contains(&expected), "{expected}: {addresses:?}");
    }
    assert_eq!(addresses.len(), 3);
}

#[test]
fn slurpit_notices_faults_and_tells_what_is_not_there() {
    let slurpit = slurpit();
    let settings = json!({"url": slurpit.url(), "api_key": TOKEN});
    let mapping = "  - {name: Device, mapping: device.get_devices, identifiers: [name], fields: [{name: name, mapping: hostname}]}\n";
    let faults = [(Fault::Status(429), 2500), (Fault::Status(503), 2500), (Fault::Cut, 2500), (Fault::Moved, 2500), (Fault::Deleted, 2499)];
    with_faults(&slurpit, || project("slurpitsync", &settings, mapping), "Device", &faults);
    for (resource, words) in [
        ("planning_results.vlans", "no planning `vlans`: its plannings are interfaces, routing-table"),
        ("device.get_racks", "a mapping is `planning_results.<slug>` or one of device.get_devices"),
        ("tag.get_tags", "Slurp'it has no `tag.get_tags`"),
    ] {
        let told = project("slurpitsync", &settings, &mapping.replace("device.get_devices", resource)).run(&["diff"]);
        assert!(told.code != 0 && told.stderr.contains(words), "{}", told.stderr);
    }
    let told = project("slurpitsync", &json!({"url": slurpit.url(), "api_key": "another-token"}), mapping).run(&["diff"]);
    assert!(told.code == 5 && told.stderr.contains("`api_key` (SLURPITSYNC_API_KEY)"), "{}", told.stderr);
}

// Cisco ACI.

fn apic(ports: u64) -> Appliance {
    let apic = Appliance::start(Dialect::Apic);
    apic.put(
        "fabricNode",
        (0..4).map(|id| json!({"dn": format!("topology/pod-1/node-{}", 101 + id), "id": (101 + id).to_string(), "name": format!("leaf-{id}"), "serial": format!("S{id}"), "role": "leaf", "fabricSt": if id == 3 { "inactive" } else { "active" }})),
    );
    apic.put(
        "l1PhysIf",
        (0..ports).map(|id| json!({"dn": format!("topology/pod-1/node-{}/sys/phys-[eth1/{id:06}]", 101 + id % 3), "id": format!("eth1/{id:06}"), "descr": "", "adminSt": "up"})),
    );
    apic.put("fabricTopology", [json!({"dn": "topology", "fabricId": "1"})]);
    apic
}

const ACI: &str = "  - {name: City, mapping: class/fabricTopology.json, identifiers: [name], fields: [{name: name, static: Bern}]}
  - {name: House, mapping: class/fabricTopology.json, identifiers: [name], transforms: [{field: name, expression: \"BRN-{{ fabricTopology.attributes.fabricId }}\"}], fields: [{name: name, mapping: fabricTopology.attributes.fabricId}, {name: city, static: Bern, reference: City}]}
  - name: Node
    mapping: class/fabricNode.json
    identifiers: [name]
    filters: [{field: fabricNode.attributes.fabricSt, operation: \"==\", value: active}]
    fields: [{name: name, mapping: fabricNode.attributes.name}, {name: serial, mapping: fabricNode.attributes.serial}]
  - name: Port
    mapping: class/l1PhysIf.json
    identifiers: [device, name]
    transforms: [{field: device, expression: \"{{ l1PhysIf.attributes.dn.split('/')[2].replace('node-', '') | aci_device_name }}\"}]
    fields: [{name: name, mapping: l1PhysIf.attributes.id}, {name: device, mapping: l1PhysIf.attributes.dn, reference: Node}]
";

fn aci_settings(url: &str) -> Value {
    json!({"url": url, "username": USER.0, "password": USER.1, "verify": "false", "api_endpoint": "api"})
}

#[test]
fn aci_reads_beyond_the_limit_of_an_answer_and_finds_nodes_by_name() {
    let apic = apic(100_001);
    let project = project("aci", &aci_settings(apic.url()), ACI);
    sync(&project);
    let ports = objects(&project, "Port");
    assert_eq!(ports.len(), 100_001);
    assert_eq!(ports[0], json!({"name": "eth1/000000", "device": {"name": "leaf-0"}}));
    assert_eq!(objects(&project, "Node").len(), 3);
    assert_eq!(objects(&project, "House").len(), 1);
    let whole = ACI.replace("class/l1PhysIf.json", "class/l1PhysIf.json?order-by=l1PhysIf.id");
    let told = self::project("aci", &aci_settings(apic.url()), &whole).run(&["diff"]);
    assert!(told.code != 0 && told.stderr.contains("dataset is too big): read it by its class"), "{}", told.stderr);
}

#[test]
fn aci_renews_its_token_and_notices_faults() {
    let apic = apic(2500);
    // Several pages, without as many objects as an APIC gives at once.
    let settings = aci_settings(apic.url());
    let mapping =
        "  - {name: Port, mapping: class/l1PhysIf.json, identifiers: [name], fields: [{name: name, mapping: l1PhysIf.attributes.id}]}\n";
    let ports = project("aci", &settings, mapping);
    for (fault, expected) in [(Fault::Status(503), 2500), (Fault::Cut, 2500), (Fault::Expired, 2500)] {
        apic.fail(0, fault);
        ports.ok(&["sync", "--no-diff"]);
        assert_eq!(objects(&ports, "Port").len(), expected, "{fault:?}");
    }
    let mut wrong = settings.clone();
    wrong["password"] = json!("another-password");
    let told = project("aci", &wrong, mapping).run(&["diff"]);
    assert!(told.code == 5 && told.stderr.contains("FAILED local authentication"), "{}: {}", told.code, told.stderr);
    for (resource, code, words) in [
        ("class/noClass.json", 5, "Class noClass does not exist"),
        ("class/../x.json", 3, "is not a query"),
        ("class/l1PhysIf.xml", 3, "write `.json`"),
    ] {
        let told = project("aci", &settings, &mapping.replace("class/l1PhysIf.json", resource)).run(&["diff"]);
        assert!(told.code == code && told.stderr.contains(words), "{}: {}", told.code, told.stderr);
    }
    wrong["api_endpoint"] = json!("/api/");
    let told = project("aci", &wrong, mapping).run(&["diff"]);
    assert!(told.code == 3 && told.stderr.contains("write `api`"), "{}", told.stderr);
}

#[test]
fn answers_of_other_products_are_told() {
    let server = Server::start(|_| infrahub_sync_test_server::Answer::ok("<html>Log in</html>").header("content-type", "text/html").into());
    for (name, settings, resource) in [
        ("ipfabricsync", json!({"base_url": server.url(), "auth": TOKEN}), "tables/inventory/sites"),
        ("slurpitsync", json!({"url": server.url(), "api_key": TOKEN}), "site.get_sites"),
        ("aci", aci_settings(server.url()), "class/fvTenant.json"),
    ] {
        let mapping = format!("  - {{name: Site, mapping: {resource}, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n");
        let told = project(name, &settings, &mapping).run(&["diff"]);
        assert!(told.code == 5, "{}: {}", told.code, told.stderr);
        assert!(told.stderr.contains("is not from") || told.stderr.contains("login"), "{}", told.stderr);
    }
}
