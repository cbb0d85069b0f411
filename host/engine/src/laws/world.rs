//! Random networks, and the project that syncs them.

use std::collections::BTreeMap;
use std::path::Path;

use infrahub_sync_config::Project;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::memory::{Net, Object, To, to};

/// Returns the fields that may hold a loop: `parent`, `mount` and `leader` lead to the same kind, the others are those that the model writes in a
/// second pass.
pub(super) fn loops(project: &Project) -> Vec<String> {
    let model = infrahub_sync_config::resolve(project, None).unwrap_or_else(|problems| panic!("{problems:#?}")).model;
    let deferred = model.kinds.into_iter().flat_map(|kind| kind.deferred);
    deferred.chain(["parent", "mount", "leader"].map(str::to_owned)).collect()
}

/// Peers stand behind those that refer to them, so that nothing works by luck of order. `Site.lead` closes a cycle, and a device is mounted in a rack or
/// on a device. Its groups are tags and regions in one set.
const CONFIG: &str = "
name: world
source: {name: source}
destination: {name: destination}
max_deletes: 100%
diffsync_flags: [NONE]
deletes: all
schema_mapping:
  - name: Device
    mapping: devices
    identifiers: [name, site]
    fields:
      - {name: name, mapping: name}
      - {name: site, mapping: site, reference: Site}
      - {name: rack, mapping: rack, reference: Rack}
      - {name: tags, mapping: tags, reference: Tag}
      - {name: groups, mapping: groups, reference: [Region, Tag]}
      - {name: serial, mapping: serial}
      - {name: mount, mapping: mount, reference: Rack}
  - name: Device
    mapping: devices
    fields:
      - {name: mount, mapping: mount, reference: Device}
  - name: Rack
    mapping: racks
    identifiers: [name, site]
    fields: [{name: height, mapping: height}, {name: name, mapping: name}, {name: site, mapping: site, reference: Site}]
  - name: Site
    mapping: sites
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: region, mapping: region, reference: Region}, {name: lead, mapping: lead, reference: Device}]
  - name: Tag
    mapping: tags
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: color, mapping: color}]
  - name: Region
    mapping: regions
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: parent, mapping: parent, reference: Region}, {name: note, mapping: note}]
";

pub(super) fn project() -> Project {
    Project::parse(CONFIG, Path::new("config.yml"), &|_: &str| None).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        "[a-c]{1,2}".prop_map(|text| json!(text)),
        (-3i64..3).prop_map(|number| json!(number)),
        Just(json!(true))
    ]
}

fn named(name: u8) -> Object {
    Object { key: Map::from_iter([("name".to_owned(), json!(format!("n{name}")))]), ..Object::default() }
}

fn at_site(name: u8, site: &str) -> Object {
    let mut object = named(name);
    object.key.insert("site".to_owned(), json!({ "name": site }));
    object.one.insert("site".to_owned(), to("Site", site));
    object
}

/// Sites are nested in the keys of racks and devices.
fn uid(object: &Object) -> String {
    let parts = object.key.values().map(|part| part.as_str().or_else(|| part["name"].as_str()).unwrap_or_default());
    parts.collect::<Vec<_>>().join("@")
}

fn add(net: &mut Net, kind: &str, object: Object) {
    net.entry(kind.to_owned()).or_default().entry(uid(&object)).or_insert(object);
}

/// Returns the `at`-th object of a kind; none beyond the last one.
fn pick(net: &Net, kind: &str, at: usize) -> Option<To> {
    net.get(kind)?.keys().nth(at).map(|uid| to(kind, uid))
}

prop_compose! {
    /// Makes a network that is small enough to read a failure. Two of them overlap, as their names come from one small pool.
    pub(super) fn net()(
        regions in prop::collection::vec((0u8..6, 0usize..7, value()), 0..5),
        tags in prop::collection::vec((0u8..6, value()), 0..4),
        sites in prop::collection::vec((0u8..5, 0usize..7, 0usize..9), 0..4),
        racks in prop::collection::vec((0u8..3, 0usize..4, value()), 0..5),
        devices in prop::collection::vec((0u8..5, 0usize..4, 0usize..7, prop::collection::btree_set(0usize..5, 0..3), value(), (any::<bool>(), 0usize..9)), 0..7),
    ) -> Net {
        let mut net: Net = BTreeMap::new();
        for (name, _, note) in &regions {
            add(&mut net, "Region", Object { values: BTreeMap::from([("note".to_owned(), note.clone())]), ..named(*name) });
        }
        for (name, color) in &tags {
            add(&mut net, "Tag", Object { values: BTreeMap::from([("color".to_owned(), color.clone())]), ..named(*name) });
        }
        for (name, region, _) in &sites {
            let one = pick(&net, "Region", *region).map(|peer| ("region".to_owned(), peer));
            add(&mut net, "Site", Object { one: one.into_iter().collect(), ..named(*name) });
        }
        let site_of = |net: &Net, at: usize| net.get("Site").and_then(|sites| sites.keys().nth(at % sites.len()).cloned());
        for (name, site, height) in &racks {
            let Some(site) = site_of(&net, *site) else { continue };
            add(&mut net, "Rack", Object { values: BTreeMap::from([("height".to_owned(), height.clone())]), ..at_site(*name, &site) });
        }
        for (name, site, rack, tags, serial, _) in &devices {
            let Some(site) = site_of(&net, *site) else { continue };
            let mut device = at_site(*name, &site);
            device.one.extend(pick(&net, "Rack", *rack).map(|peer| ("rack".to_owned(), peer)));
            device.many.insert("tags".to_owned(), tags.iter().filter_map(|tag| pick(&net, "Tag", *tag)).collect());
            let group = |at: &usize| pick(&net, if at.is_multiple_of(2) { "Tag" } else { "Region" }, at / 2);
            device.many.insert("groups".to_owned(), tags.iter().filter_map(group).collect());
            device.values.insert("serial".to_owned(), serial.clone());
            add(&mut net, "Device", device);
        }
        // What may lead back comes last: loops included.
        let mut later: Vec<(To, &str, Option<To>)> = Vec::new();
        later.extend(regions.iter().map(|(name, parent, _)| (to("Region", &format!("n{name}")), "parent", pick(&net, "Region", *parent))));
        later.extend(sites.iter().map(|(name, _, lead)| (to("Site", &format!("n{name}")), "lead", pick(&net, "Device", *lead))));
        let known: Vec<String> = net.get("Device").into_iter().flat_map(|devices| devices.keys().cloned()).collect();
        later.extend(known.iter().zip(&devices).map(|(uid, (.., (rack, at)))| {
            (to("Device", uid), "mount", pick(&net, if *rack { "Rack" } else { "Device" }, *at))
        }));
        for ((kind, uid), field, peer) in later {
            let object = net.get_mut(&kind).and_then(|objects| objects.get_mut(&uid));
            if let (Some(object), Some(peer)) = (object, peer) {
                object.one.insert(field.to_owned(), peer);
            }
        }
        net
    }
}
