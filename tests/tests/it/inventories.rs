//! NetBox, Nautobot and Peering Manager as destinations, and as sources of one another, against the played servers (`tests/src/django.rs`).

use infrahub_sync_tests::django::lists::{self, NAUTOBOT, NETBOX, PEERING};
use infrahub_sync_tests::django::{Dialect, Django, List, READER, TOKEN};
use infrahub_sync_tests::{Project, changes};
use serde_json::{Value, json};

mod faults;
mod users;

/// The mapping of a NetBox to a NetBox.
const MAPPING: &str = "
schema_mapping:
  - name: Tag
    mapping: extras.tags
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: color, mapping: color}]
  - name: Region
    mapping: dcim.regions
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: parent, mapping: parent, reference: Region}]
  - name: Site
    mapping: dcim.sites
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: status, mapping: status.value}
      - {name: description, mapping: description}
      - {name: region, mapping: region, reference: Region}
      - {name: tags, mapping: tags, reference: Tag}
      - {name: owner, mapping: custom_fields.owner}
  - name: DeviceType
    mapping: dcim.device_types
    identifiers: [model]
    fields: [{name: model, mapping: model}, {name: height, mapping: u_height}]
  - name: Device
    mapping: dcim.devices
    identifiers: [name, site]
    fields:
      - {name: name, mapping: name}
      - {name: site, mapping: site, reference: Site}
      - {name: type, mapping: device_type, reference: DeviceType}
      - {name: status, mapping: status.value}
      - {name: serial, mapping: serial}
      - {name: asset_tag, mapping: asset_tag}
      - {name: primary, mapping: primary_ip4, reference: Address}
  - name: Interface
    mapping: dcim.interfaces
    identifiers: [name, device]
    fields:
      - {name: name, mapping: name}
      - {name: device, mapping: device, reference: Device}
      - {name: kind, mapping: type.value}
      - {name: enabled, mapping: enabled}
      - {name: lag, mapping: lag, reference: Interface}
  - name: Address
    mapping: ipam.ip_addresses
    identifiers: [address]
    fields:
      - {name: address, mapping: address}
      - {name: interface, mapping: assigned_object, reference: Interface}
      - {name: status, mapping: status.value}
  - name: Prefix
    mapping: ipam.prefixes
    identifiers: [prefix]
    fields:
      - {name: prefix, mapping: prefix}
      - {name: scope, mapping: scope, reference: Site}
";

fn side(adapter: &str, server: &Django, token: &str) -> String {
    format!("{{name: {adapter}, settings: {{url: \"{}\", token: {token}}}}}", server.url())
}

fn project(source: &str, destination: &str, mapping: &str) -> Project {
    Project::new(&format!("name: copy\ndiffsync_flags: [NONE]\nsource: {source}\ndestination: {destination}\n{mapping}"))
}

/// Fills a NetBox.
fn filled() -> Django {
    let netbox = Django::start(Dialect::NetBox, NETBOX);
    netbox.define("owner");
    let tags =
        netbox.put("extras/tags", &[json!({"name": "core", "slug": "core", "color": "aa1409"}), json!({"name": "lab", "slug": "l"})]);
    let europe = netbox.put("dcim/regions", &[json!({"name": "Europe", "slug": "europe"})]).remove(0);
    let swiss = netbox.put("dcim/regions", &[json!({"name": "Schweiz", "slug": "ch", "parent": europe})]).remove(0);
    let sites = netbox.put(
        "dcim/sites",
        &[
            json!({"name": "Zürich Süd", "slug": "zrh", "status": "active", "region": swiss, "tags": tags, "description": "the \"south\"",
                   "custom_fields": {"owner": "Ada"}}),
            json!({"name": "Genève", "slug": "gva", "status": "planned", "region": swiss}),
        ],
    );
    let model = netbox.put("dcim/device-types", &[json!({"model": "QFX 5120", "slug": "qfx", "u_height": 1})]).remove(0);
    for number in 1..=30 {
        let site = &sites[number % 2];
        let body = json!({"name": format!("r{number}"), "site": site, "device_type": model, "serial": format!("SN{number}"),
            "asset_tag": if number % 3 == 0 { json!(format!("A{number}")) } else { Value::Null }});
        let device = netbox.put("dcim/devices", &[body]).remove(0);
        let interface = |name: &str, kind: &str| json!({"name": name, "device": device, "type": kind, "enabled": true});
        let made =
            netbox.put("dcim/interfaces", &[interface("ae0", "lag"), interface("eth0", "1000base-t"), interface("eth1", "1000base-t")]);
        netbox.put("dcim/interfaces", &[json!({"id": made[1], "lag": made[0]})]);
        let address =
            json!({"address": format!("10.0.0.{number}/24"), "assigned_object_type": "dcim.interface", "assigned_object_id": made[2]});
        let address = netbox.put("ipam/ip-addresses", &[address]).remove(0);
        netbox.put("dcim/devices", &[json!({"id": device, "primary_ip4": address})]);
    }
    netbox.put(
        "ipam/prefixes",
        &[json!({"prefix": "10.0.0.0/24", "scope_type": "dcim.site", "scope_id": sites[0]}), json!({"prefix": "10.1.0.0/16"})],
    );
    netbox
}

/// The objects of all lists, without the slugs: the mapping does not have them.
fn all(server: &Django, lists: &[List]) -> Vec<(String, Vec<Value>)> {
    let of = |list: &List| {
        let mut objects = server.objects(list.path);
        objects.iter_mut().filter_map(Value::as_object_mut).for_each(|object| drop(object.remove("slug")));
        (list.path.to_owned(), objects)
    };
    lists.iter().map(of).collect()
}

/// Returns the writes since the last call. A delete of an id that no object has asks for the permission.
fn writes(server: &Django) -> Vec<(String, String, Value)> {
    let requests = server.requests().into_iter().filter(|(method, ..)| ["POST", "PATCH", "DELETE"].contains(&method.as_str()));
    let writes = requests.map(|(method, path, body)| (method, path, serde_json::from_slice(&body).unwrap_or_default()));
    writes.filter(|(_, path, _)| !path.ends_with("/0/") && !path.ends_with("-000000000000/")).collect()
}

fn is_in_sync(project: &Project) {
    let (code, plan) = project.plan(&[]);
    assert_eq!((code, changes(&plan)), (0, Vec::<String>::new()), "{plan}");
}

/// A copy of a NetBox in another one, which makes two interfaces of each device by itself.
fn copied() -> (Django, Django, Project) {
    let (from, to) = (filled(), Django::start(Dialect::NetBox, NETBOX));
    to.define("owner");
    // Ids differ between the servers.
    to.put("extras/tags", &[json!({"name": "here already", "slug": "x"})]);
    let template = |name: &str| json!({"name": name, "type": "other", "enabled": false});
    to.make_along("dcim/devices", "dcim/interfaces", "device", &[template("eth0"), template("eth1")]);
    let project = project(&side("netbox", &from, TOKEN), &side("netbox", &to, TOKEN), MAPPING);
    project.ok(&["sync"]);
    (from, to, project)
}

#[test]
fn netbox_is_copied_into_netbox_with_the_objects_that_it_makes_by_itself() {
    let (from, to, project) = copied();
    let made = writes(&to);
    let mut expected = all(&from, NETBOX);
    expected[0].1.push(json!({"name": "here already"}));
    expected[0].1.sort_by_key(ToString::to_string);
    assert_eq!(all(&to, NETBOX), expected);
    assert!(to.find("dcim/sites", "slug", "geneve").is_some() && to.find("dcim/sites", "slug", "zuerich-sued").is_some(), "of the names");
    // 60 of 90 interfaces are taken over: asked for once a request, changed, and the others created.
    let creates = made.iter().filter(|(method, ..)| method == "POST").count();
    assert!(creates <= 16, "{creates} requests for 158 objects");
    let entries = to.log();
    assert!(entries.iter().any(|entry| entry.message.contains("of copy, from netbox")), "{:?}", entries.last());
    is_in_sync(&project);
    assert_eq!(writes(&to), []);
}

#[test]
fn changes_and_deletes_reach_netbox_in_its_own_words() {
    let (from, to, project) = copied();
    drop(to.requests());
    let id = |list: &str, name: &str| from.find(list, "name", name).unwrap();
    let (r1, r2) = (id("dcim/devices", "r1"), id("dcim/devices", "r2"));
    from.put("dcim/devices", &[json!({"id": r1, "serial": "", "asset_tag": "NEW", "status": "offline"})]);
    from.put("dcim/sites", &[json!({"id": id("dcim/sites", "Genève"), "description": "lake", "custom_fields": {"owner": "Bo"}})]);
    from.put("dcim/sites", &[json!({"id": id("dcim/sites", "Zürich Süd"), "description": "", "tags": [], "region": null})]);
    // The address of r2 moves to r1 before r2 goes, with what belongs to it.
    let eth0 = from.find_all("dcim/interfaces", &[("name", json!("eth0")), ("device", r1)]).remove(0);
    let address = from.find("ipam/ip-addresses", "address", "10.0.0.2/24").unwrap();
    from.put("dcim/devices", &[json!({"id": r2, "primary_ip4": null})]);
    from.put("ipam/ip-addresses", &[json!({"id": address, "assigned_object_id": eth0})]);
    from.delete("dcim/devices", &r2);
    let output = project.ok(&["sync"]);
    let mut expected = all(&from, NETBOX);
    expected[0].1.push(json!({"name": "here already"}));
    expected[0].1.sort_by_key(ToString::to_string);
    assert_eq!(all(&to, NETBOX), expected, "{}", output.stderr);
    let made = writes(&to);
    let device = made.iter().find(|(method, path, body)| method == "PATCH" && path.contains("devices") && body[0].get("serial").is_some());
    let device = &device.unwrap().2[0];
    assert_eq!((&device["serial"], &device["asset_tag"], &device["status"]), (&json!(""), &json!("NEW"), &json!("offline")));
    let at = |what: &str, list: &str| made.iter().position(|(method, path, _)| method == what && path.contains(list));
    assert!(at("PATCH", "ip-addresses") < at("DELETE", "dcim/devices"), "{made:?}");
    is_in_sync(&project);
}

#[test]
fn a_row_at_fault_does_not_keep_others_from_being_written() {
    let (from, to) = (Django::start(Dialect::NetBox, NETBOX), Django::start(Dialect::NetBox, NETBOX));
    let body = |number: u32| json!({"name": format!("s{number}"), "slug": format!("s{number}")});
    from.put("dcim/regions", &(0..20).map(body).collect::<Vec<_>>());
    // Another region has the slug of one of them.
    to.put("dcim/regions", &[json!({"name": "other", "slug": "s3"})]);
    let mapping = "schema_mapping:\n  - {name: Region, mapping: dcim.regions, identifiers: [name], fields: [{name: name, mapping: name}, {name: slug, mapping: slug}]}\n";
    let project = project(&side("netbox", &from, TOKEN), &side("netbox", &to, TOKEN), mapping);
    let output = project.run(&["sync"]);
    assert_eq!(output.code, 7, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("with this slug already exists") && output.stderr.contains("Region `s3`"), "{}", output.stderr);
    assert_eq!(to.objects("dcim/regions").len(), 20);
    assert_eq!(writes(&to).len(), 2, "the list, and the list without the one at fault");
}

#[test]
fn a_slug_that_is_taken_is_replaced() {
    let (from, to) = (Django::start(Dialect::NetBox, NETBOX), Django::start(Dialect::NetBox, NETBOX));
    from.put("dcim/sites", &["A B", "A-B", "a b"].map(|name| json!({"name": name, "slug": name})));
    let mapping = "schema_mapping:\n  - {name: Site, mapping: dcim.sites, identifiers: [name], fields: [{name: name, mapping: name}]}\n";
    let project = project(&side("netbox", &from, TOKEN), &side("netbox", &to, TOKEN), mapping);
    project.ok(&["sync"]);
    let mut slugs: Vec<Value> = to.objects("dcim/sites").iter().map(|site| site["slug"].clone()).collect();
    slugs.sort_by_key(ToString::to_string);
    assert_eq!(slugs, ["a-b", "a-b-2", "a-b-3"]);
    is_in_sync(&project);
}

#[test]
fn a_write_whose_answer_is_lost_is_not_repeated() {
    let (from, to) = (filled(), Django::start(Dialect::NetBox, NETBOX));
    to.define("owner");
    to.lose_answers(2);
    let project = project(&side("netbox", &from, TOKEN), &side("netbox", &to, TOKEN), MAPPING);
    let output = project.run(&["sync"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(all(&to, NETBOX), all(&from, NETBOX));
    is_in_sync(&project);
}

#[test]
fn mistakes_are_found_before_anything_is_written() {
    let (from, to) = (filled(), Django::start(Dialect::NetBox, NETBOX));
    let wrong = MAPPING
        .replace("mapping: description", "mapping: descripton")
        .replace("dcim.regions", "dcim.realms")
        .replace("custom_fields.owner", "custom_fields.boss");
    let run = |mapping: &str, token: &str| project(&side("netbox", &from, TOKEN), &side("netbox", &to, token), mapping).run(&["sync"]);
    let output = run(&wrong, TOKEN);
    assert_eq!(output.code, 3, "{}", output.stderr);
    for words in ["has no list `dcim.realms`", "has no field `descripton`", "has no custom field `boss`"] {
        assert!(output.stderr.contains(words), "{words}\n{}", output.stderr);
    }
    to.define("owner");
    let without = MAPPING.replace("      - {name: type, mapping: device_type, reference: DeviceType}\n", "");
    let output = run(&without, TOKEN);
    assert_eq!(output.code, 3, "{}", output.stderr);
    assert!(output.stderr.contains("cannot create a `Device` without `device_type`"), "{}", output.stderr);

    // A token that only reads suffices for a plan.
    let reader = project(&side("netbox", &from, TOKEN), &side("netbox", &to, READER), MAPPING);
    assert_eq!(reader.plan(&[]).0, 2);
    let output = reader.run(&["sync"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("`token` (NETBOX_TOKEN)") && output.stderr.contains("add objects of `dcim.sites`"), "{}", output.stderr);

    to.set_version("4.1.9");
    let output = run(MAPPING, TOKEN);
    assert!(output.stderr.contains("NetBox 4.1.9 cannot be written"), "{}", output.stderr);
    assert_eq!(writes(&to), []);
}

#[test]
fn what_a_delete_takes_along_is_in_the_plan() {
    let (from, to, _) = copied();
    let mapping: String = MAPPING
        .split("  - name: Interface")
        .next()
        .unwrap()
        .replace("      - {name: primary, mapping: primary_ip4, reference: Address}\n", "");
    let project = project(&side("netbox", &from, TOKEN), &side("netbox", &to, TOKEN), &format!("deletes: all\n{mapping}"));
    from.delete("dcim/devices", &from.find("dcim/devices", "name", "r5").unwrap());
    let output = project.run(&["diff"]);
    assert!(output.stderr.contains("would delete `dcim.interfaces` along"), "{}", output.stderr);
}

/// Fills a Nautobot.
fn filled_nautobot() -> Django {
    let from = Django::start(Dialect::Nautobot, NAUTOBOT);
    from.put("ipam/namespaces", &[json!({"name": "Global"})]);
    let status = from.put("extras/statuses", &[json!({"name": "Active"})]).remove(0);
    let kind = from.put("dcim/location-types", &[json!({"name": "Site"})]).remove(0);
    let place = from.put("dcim/locations", &[json!({"name": "Zürich", "location_type": kind, "status": status})]).remove(0);
    let room = from.put("dcim/locations", &[json!({"name": "Room", "location_type": kind, "status": status, "parent": place})]).remove(0);
    let vlans = from.put("ipam/vlans", &[1, 2].map(|vid| json!({"vid": vid, "name": format!("v{vid}"), "status": status})));
    for number in 0..120 {
        let device = from.put("dcim/devices", &[json!({"name": format!("r{number}"), "location": room, "status": status})]).remove(0);
        let body = json!({"name": "eth0", "device": device, "type": "other", "status": status, "tagged_vlans": vlans});
        from.put("dcim/interfaces", &[body]);
    }
    let namespace = from.find("ipam/namespaces", "name", "Global").unwrap();
    from.put("ipam/ip-addresses", &[json!({"address": "10.0.0.1/24", "namespace": namespace, "status": status})]);
    from
}

#[test]
fn nautobot_is_copied_into_nautobot() {
    let (from, to) = (filled_nautobot(), Django::start(Dialect::Nautobot, NAUTOBOT));
    to.put("ipam/namespaces", &[json!({"name": "Global"})]);
    to.make_along("dcim/devices", "dcim/interfaces", "device", &[json!({"name": "eth0", "type": "virtual", "status": {"name": "Active"}})]);
    let project = project(&side("nautobot", &from, TOKEN), &side("nautobot", &to, TOKEN), lists::NAUTOBOT_MAPPING);
    project.ok(&["sync"]);
    assert_eq!(all(&to, NAUTOBOT), all(&from, NAUTOBOT));
    is_in_sync(&project);

    // Names that are in use change hands only by way of another; the rest of a rejected list is written.
    let r7 = from.find("dcim/devices", "name", "r7").unwrap();
    from.put("dcim/devices", &[json!({"id": r7, "serial": "S"})]);
    from.delete("dcim/devices", &from.find("dcim/devices", "name", "r8").unwrap());
    project.ok(&["sync"]);
    assert_eq!(all(&to, NAUTOBOT), all(&from, NAUTOBOT));
    is_in_sync(&project);
}

#[test]
fn nautobot_explains_the_lists_of_version_1() {
    let (from, to) = (Django::start(Dialect::Nautobot, NAUTOBOT), Django::start(Dialect::Nautobot, NAUTOBOT));
    let mapping = "schema_mapping:\n  - {name: Site, mapping: dcim.sites, identifiers: [name], fields: [{name: name, mapping: name}]}\n";
    let output = project(&side("nautobot", &from, TOKEN), &side("nautobot", &to, TOKEN), mapping).run(&["diff"]);
    assert_eq!(output.code, 3, "{}", output.stderr);
    assert!(output.stderr.contains("map `dcim.locations`"), "{}", output.stderr);
}

/// Fills a Peering Manager.
fn filled_peering() -> Django {
    let from = Django::start(Dialect::PeeringManager, PEERING);
    let asns: Vec<Value> = (0..250).map(|number| json!({"asn": 64512 + number, "name": format!("as{number}")})).collect();
    let asns = from.put("peering/autonomous-systems", &asns);
    let communities = from.put("bgp/communities", &[json!({"name": "blackhole", "slug": "b", "value": "65535:666", "type": "egress"})]);
    let relationship = from.put("bgp/relationships", &[json!({"name": "Private", "slug": "p"})]).remove(0);
    let group = from.put("peering/bgp-groups", &[json!({"name": "G", "slug": "g", "communities": communities})]).remove(0);
    for asn in asns.iter().take(3) {
        let body = json!({"local_autonomous_system": asns[9], "autonomous_system": asn, "relationship": relationship, "bgp_group": group,
                          "ip_address": format!("192.0.2.{asn}/32"), "status": "enabled"});
        from.put("peering/direct-peering-sessions", &[body]);
    }
    from
}

#[test]
fn peering_manager_is_copied_into_peering_manager() {
    let (from, to) = (filled_peering(), Django::start(Dialect::PeeringManager, PEERING));
    let project = project(&side("peeringmanager", &from, TOKEN), &side("peeringmanager", &to, TOKEN), lists::PEERING_MAPPING);
    project.ok(&["sync"]);
    assert_eq!(all(&to, PEERING), all(&from, PEERING));
    is_in_sync(&project);
    from.put(
        "peering/autonomous-systems",
        &[json!({"id": from.find_all("peering/autonomous-systems", &[("asn", json!(64517))])[0], "name": "renamed"})],
    );
    project.ok(&["sync"]);
    assert_eq!(all(&to, PEERING), all(&from, PEERING));
}
