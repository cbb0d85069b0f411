//! NetBox and Nautobot as destinations, on real servers: a NetBox is copied into a second one, and a network goes from NetBox over Nautobot and
//! Infrahub into a second NetBox. The tests start the second NetBox and the Nautobot, empty, and stop the second NetBox.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use infrahub_sync_tests::inventories::{Nautobot, Second};
use infrahub_sync_tests::live::{Infrahub, NetBox, Turn, live_folder, must, root};
use infrahub_sync_tests::{Project, changes};
use serde_json::{Value, json};

use crate::infrahub::in_sync;

/// Kills of the test that kills. `INFRAHUB_SYNC_KILLS=200` kills so often, however long that takes.
const KILLS: u64 = 15;

/// Returns the project that copies a NetBox into another one.
fn copy(from: &NetBox, to: &NetBox) -> Project {
    let mapping = std::fs::read_to_string(root().join("tests/live/inventories/netbox_to_netbox.yml")).unwrap();
    let side = |netbox: &NetBox| format!("{{name: netbox, settings: {{url: \"{}\", token: {}}}}}", netbox.url, netbox.token);
    Project::new(&format!("name: copy\nsource: {}\ndestination: {}\n{mapping}", side(from), side(to)))
}

/// Compares both with pynetbox, the client of others.
fn compare(from: &NetBox, to: &NetBox) -> Value {
    let python = live_folder().join("reference/venv/bin/python");
    let words =
        must(Command::new(python).arg("tests/live/inventories/compare_netboxes.py").args([&from.url, &from.token, &to.url, &to.token]));
    serde_json::from_str(&words).unwrap()
}

#[test]
fn a_netbox_is_copied_into_a_second_one_and_followed() {
    let _turn = Turn::wait();
    let from = NetBox::up();
    let second = Second::start();
    let project = copy(&from, &second.netbox);
    let start = Instant::now();
    project.ok(&["sync", "--no-diff"]);
    eprintln!("copied in {:.0} s", start.elapsed().as_secs_f32());
    in_sync(&project, &[]);
    let counts = compare(&from, &second.netbox);
    assert_eq!(counts["dcim.devices"], 52, "{counts}");
    eprintln!("pynetbox reads the same: {counts}");

    for change in ["edits", "deletes", "restore"] {
        from.change(change);
        project.ok(&["sync", "--no-diff"]);
        in_sync(&project, &[]);
        in_sync(&project, &["--no-full-extract"]);
        compare(&from, &second.netbox);
    }
    let entries = second.netbox.request("GET", "/api/core/object-changes/?limit=1", None).1;
    assert!(entries["results"][0]["message"].as_str().unwrap().contains("of copy, from netbox"), "{entries}");

    editors_lose_nothing(&from, &second.netbox, &project);
}

/// Other users edit devices while the same field of theirs, and another one, is written.
fn editors_lose_nothing(from: &NetBox, to: &NetBox, project: &Project) {
    let sites = |netbox: &NetBox| netbox.request("GET", "/api/dcim/sites/?limit=0", None).1["results"].as_array().unwrap().clone();
    let edit = |netbox: &NetBox, site: &Value, body: Value| {
        let (status, answer) = netbox.request("PATCH", &format!("/api/dcim/sites/{}/", site["id"]), Some(&body));
        assert_eq!(status, 200, "{answer}");
    };
    sites(from).iter().for_each(|site| edit(from, site, json!({"facility": "synced"})));
    project.ok(&["diff", "--run-id", "busy"]);
    let (is_over, theirs) = (AtomicBool::new(false), sites(to));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (number, site) in theirs.iter().cycle().enumerate() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                // Half of them change what is about to be written, and each of them what is not.
                let facility =
                    if number % 2 == 0 { json!({"facility": "by hand", "comments": "by hand"}) } else { json!({"comments": "by hand"}) };
                edit(to, site, facility);
            }
        });
        let output = project.run(&["apply", "--run-id", "busy"]);
        is_over.store(true, Ordering::SeqCst);
        assert!([0, 7].contains(&output.code), "{}", output.stderr);
    });
    let after = sites(to);
    let of = |text: &str| after.iter().filter(|site| site["facility"] == text).count();
    eprintln!("{} by hand, {} synced", of("by hand"), of("synced"));
    let log = to.request("GET", "/api/core/object-changes/?changed_object_type=dcim.site&limit=1000", None).1;
    for site in &after {
        // Oldest first: a run that came after an edit has not written over it.
        let entries = log["results"].as_array().unwrap().iter().rev().filter(|entry| entry["changed_object_id"] == site["id"]);
        let mut is_by_hand = false;
        for entry in entries {
            let now = &entry["postchange_data"]["facility"];
            assert!(!(is_by_hand && now == "synced"), "an edit of {} was lost", site["name"]);
            is_by_hand |= now == "by hand";
        }
        assert!(site["facility"] != "by hand" || site["comments"] == "by hand", "{site}");
    }
}

#[test]
fn a_copy_that_is_killed_again_and_again_is_complete_in_the_end() {
    let _turn = Turn::wait();
    let from = NetBox::up();
    let second = Second::start();
    let project = copy(&from, &second.netbox);
    let wanted = std::env::var("INFRAHUB_SYNC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let (mut kills, mut dice, mut is_new) = (0, 1_u64, true);
    while kills < wanted {
        let latest = project.runs("copy").pop();
        let arguments = match &latest {
            Some(run) if !is_new => vec!["apply", "--run-id", run.as_str()],
            _ => vec!["sync", "--no-diff"],
        };
        let mut child = project.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let end = Instant::now() + Duration::from_millis(2000 + (dice >> 33) % 6000);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > end => break None,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        match status {
            Some(status) if status.success() => break,
            // What the server made meanwhile out of templates is compared by a new plan.
            Some(status) => {
                assert!([Some(7), Some(3), Some(1)].contains(&status.code()), "{status}");
                is_new = true;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                let has_plan = |run: &String| project.path().join(".infrahub-sync-cache/copy").join(run).join("plan.parquet").is_file();
                is_new = !project.runs("copy").last().is_some_and(has_plan);
            }
        }
    }
    // The last one is resumed; what it reports is settled by a new plan.
    let last = project.runs("copy").pop();
    if let (Some(run), false) = (last, is_new) {
        let output = project.run(&["apply", "--run-id", &run]);
        assert!([0, 7].contains(&output.code), "{}", output.stderr);
    }
    project.ok(&["sync", "--no-diff"]);
    in_sync(&project, &[]);
    eprintln!("{kills} kills; {}", compare(&from, &second.netbox));
}

/// A field: its name, its path in Nautobot, its path in NetBox, the kind of its peer.
type Field = (&'static str, &'static str, &'static str, &'static str);
/// A kind: its name, Nautobot's list, NetBox's list, identifiers, fields.
type Kind = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [Field]);
/// The kinds that go round.
const ROUND: &[Kind] = &[
    ("Tag", "extras.tags", "extras.tags", &["name"], &[("name", "name", "name", ""), ("color", "color", "color", "")]),
    (
        "Tenant",
        "tenancy.tenants",
        "tenancy.tenants",
        &["name"],
        &[("name", "name", "name", ""), ("description", "description", "description", "")],
    ),
    (
        "Role",
        "extras.roles",
        "dcim.device_roles",
        &["name"],
        &[("name", "name", "name", ""), ("color", "color", "color", ""), ("description", "description", "description", "")],
    ),
    (
        "Manufacturer",
        "dcim.manufacturers",
        "dcim.manufacturers",
        &["name"],
        &[("name", "name", "name", ""), ("description", "description", "description", "")],
    ),
    (
        "Site",
        "dcim.locations",
        "dcim.sites",
        &["name"],
        &[
            ("name", "name", "name", ""),
            ("facility", "facility", "facility", ""),
            ("description", "description", "description", ""),
            ("physical_address", "physical_address", "physical_address", ""),
            ("tenant", "tenant", "tenant", "Tenant"),
            ("tags", "tags", "tags", "Tag"),
        ],
    ),
    (
        "DeviceType",
        "dcim.device_types",
        "dcim.device_types",
        &["model", "manufacturer"],
        &[
            ("model", "model", "model", ""),
            ("manufacturer", "manufacturer", "manufacturer", "Manufacturer"),
            ("part_number", "part_number", "part_number", ""),
            ("height", "u_height", "u_height", ""),
        ],
    ),
    (
        "Device",
        "dcim.devices",
        "dcim.devices",
        &["name", "site"],
        &[
            ("name", "name", "name", ""),
            ("site", "location", "site", "Site"),
            ("type", "device_type", "device_type", "DeviceType"),
            ("role", "role", "role", "Role"),
            ("serial", "serial", "serial", ""),
            ("asset_tag", "asset_tag", "asset_tag", ""),
            ("comments", "comments", "comments", ""),
            ("tenant", "tenant", "tenant", "Tenant"),
            ("tags", "tags", "tags", "Tag"),
        ],
    ),
    ("VlanGroup", "ipam.vlan_groups", "ipam.vlan_groups", &["name"], &[("name", "name", "name", "")]),
    (
        "Vlan",
        "ipam.vlans",
        "ipam.vlans",
        &["vid", "group"],
        &[
            ("vid", "vid", "vid", ""),
            ("group", "vlan_group", "group", "VlanGroup"),
            ("name", "name", "name", ""),
            ("description", "description", "description", ""),
        ],
    ),
    (
        "Prefix",
        "ipam.prefixes",
        "ipam.prefixes",
        &["prefix"],
        &[("prefix", "prefix", "prefix", ""), ("description", "description", "description", "")],
    ),
];

/// Where the records of a mapping come from.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Nautobot,
    Infrahub,
    NetBox,
}

/// Writes the mappings of one leg.
fn legs(from: Origin) -> String {
    let mut text = "schema_mapping:\n".to_owned();
    for (kind, nautobot, netbox, identifiers, fields) in ROUND {
        text.push_str(&format!("  - name: Round{kind}\n"));
        match from {
            Origin::Nautobot => text.push_str(&format!("    mapping: {nautobot}\n")),
            Origin::Infrahub => text.push_str(&format!("    destination_mapping: {netbox}\n")),
            Origin::NetBox => text.push_str(&format!("    mapping: {netbox}\n")),
        }
        text.push_str(&format!("    identifiers: [{}]\n", identifiers.join(", ")));
        match (from, *kind) {
            // Nautobot has roles of its own for other objects.
            (Origin::Nautobot, "Role") => text.push_str("    filters: [{field: content_types, operation: contains, value: dcim.device}]\n"),
            // What the example does on the way into Nautobot.
            (Origin::NetBox, "Tag") => {
                text.push_str("    transforms: [{field: name, expression: \"{{ name.replace('\\uFE0F', '') }}\"}]\n")
            }
            (Origin::NetBox, "DeviceType") => {
                text.push_str("    transforms: [{field: u_height, expression: \"{{ u_height | round(0, 'ceil') | int }}\"}]\n");
            }
            (Origin::NetBox, "Device") => text.push_str("    filters: [{field: name, operation: is_not_empty}]\n"),
            (Origin::NetBox, "Prefix") => text.push_str("    filters: [{field: vrf, operation: is_empty}]\n"),
            _ => {}
        }
        text.push_str("    fields:\n");
        for (name, in_nautobot, in_netbox, peer) in *fields {
            let path = match from {
                Origin::Nautobot => format!("mapping: {in_nautobot}"),
                Origin::Infrahub => format!("mapping: {name}, destination_mapping: {in_netbox}"),
                Origin::NetBox => format!("mapping: {in_netbox}"),
            };
            let reference = if peer.is_empty() { String::new() } else { format!(", reference: Round{peer}") };
            text.push_str(&format!("      - {{name: {name}, {path}{reference}}}\n"));
        }
    }
    text
}

#[test]
fn a_network_goes_round_by_nautobot_and_infrahub_and_comes_back_the_same() {
    let _turn = Turn::wait();
    let from = NetBox::up();
    let nautobot = Nautobot::empty();
    let infrahub = Infrahub::up(&[("RoundDevice", "tests/live/inventories/round_trip.yml")]);
    let branch = infrahub.branch("round");
    let second = Second::start();
    let netbox = |netbox: &NetBox| format!("{{name: netbox, settings: {{url: \"{}\", token: {}}}}}", netbox.url, netbox.token);
    let of_nautobot = format!("{{name: nautobot, settings: {{url: \"{}\", token: {}}}}}", nautobot.url, nautobot.token);
    let of_infrahub = format!("{{name: infrahub, settings: {{url: \"{}\", branch: \"{}\"}}}}", infrahub.url, branch.name);

    let example = std::fs::read_to_string(root().join("examples/netbox_to_nautobot/config.yml")).unwrap();
    let mut first = Project::new(&example);
    for (name, value) in [
        ("NETBOX_ADDRESS", &from.url),
        ("NETBOX_TOKEN", &from.token),
        ("NAUTOBOT_ADDRESS", &nautobot.url),
        ("NAUTOBOT_TOKEN", &nautobot.token),
    ] {
        first.set(name, value);
    }
    let leg = |source: &str, destination: &str, mapping: Origin| {
        let mut project = Project::new(&format!("name: round\nsource: {source}\ndestination: {destination}\n{}", legs(mapping)));
        project.set("INFRAHUB_API_TOKEN", &infrahub.token);
        project
    };
    let to_infrahub = leg(&of_nautobot, &of_infrahub, Origin::Nautobot);
    let to_netbox = leg(&of_infrahub, &netbox(&second.netbox), Origin::Infrahub);
    for (name, project) in [("NetBox to Nautobot", &first), ("Nautobot to Infrahub", &to_infrahub), ("Infrahub to NetBox", &to_netbox)] {
        let start = Instant::now();
        project.ok(&["sync", "--no-diff"]);
        eprintln!("{name}: {:.0} s", start.elapsed().as_secs_f32());
        let (code, plan) = project.plan(&[]);
        assert_eq!((code, changes(&plan)), (0, Vec::new()), "the second run of {name}");
    }
    // The first and the last NetBox side by side, in every mapped field.
    let whole = leg(&netbox(&from), &netbox(&second.netbox), Origin::NetBox);
    let (code, plan) = whole.plan(&[]);
    assert_eq!((code, changes(&plan)), (0, Vec::new()));
    assert_eq!(second.netbox.request("GET", "/api/dcim/devices/?limit=1", None).1["count"], 52);
}
