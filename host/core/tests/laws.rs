//! The laws of the core, over random networks: what a plan is must follow from what the two systems hold, and from nothing else.
//!
//! A [`Net`] is printed as the JSON records of a system with ids of its own, read back in pages through `Projection` and `Feed`, built
//! into a snapshot, compared and planned. What the plan says is held against a nested loop over the objects themselves. The laws of the engine
//! apply plans.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use infrahub_sync_base::Side;
use infrahub_sync_core::batches::batches;
use infrahub_sync_core::diff::diff;
use infrahub_sync_core::key;
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::mapping::feed::{Feed, FieldSource};
use infrahub_sync_core::mapping::filter::Filter;
use infrahub_sync_core::mapping::reference::ReferenceRule;
use infrahub_sync_core::mapping::transform::Transforms;
use infrahub_sync_core::model::{Cardinality, FieldModel, FieldType, KindModel, Model, Ownership};
use infrahub_sync_core::plan::{Policy, plan};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_core::records::Projection;
use infrahub_sync_core::restore::{restore, without};
use infrahub_sync_core::snapshot::{
    Completeness, DataErrorKind, DataProblem, FieldColumn, Peer, PeerName, RefValue, Resolving, Snapshot, build,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const EVERYTHING: Policy = Policy { create: true, update: true, delete: true };
const PAGES: [usize; 7] = [1, 2, 7, 49, 50, 51, 100];

// ---------------------------------------------------------------------------------------------------------------------------
// The model
// ---------------------------------------------------------------------------------------------------------------------------

fn plain(name: &str) -> FieldModel {
    FieldModel {
        name: name.into(),
        field_type: FieldType::Any,
        optional: false,
        reference: None,
        also: Vec::new(),
        cardinality: Cardinality::Unknown,
        default: None,
        ownership: Ownership::Usual,
    }
}

fn refers(name: &str, kind: &str) -> FieldModel {
    FieldModel { reference: Some(kind.into()), ..plain(name) }
}

fn optional(field: FieldModel) -> FieldModel {
    FieldModel { optional: true, ..field }
}

/// A reference to objects of two kinds.
fn refers_to_both(name: &str, kind: &str, also: &str) -> FieldModel {
    FieldModel { also: vec![also.into()], ..refers(name, kind) }
}

fn many(field: FieldModel) -> FieldModel {
    FieldModel { cardinality: Cardinality::Many, ..field }
}

fn one(field: FieldModel) -> FieldModel {
    FieldModel { cardinality: Cardinality::One, ..field }
}

fn kind(name: &str, tier: u32, identifiers: &[&str], fields: Vec<FieldModel>) -> KindModel {
    KindModel {
        name: name.into(),
        identifiers: identifiers.iter().map(|name| (*name).to_owned()).collect(),
        tier,
        deferred: Vec::new(),
        lookup: false,
        unique: Vec::new(),
        fields,
    }
}

/// Peers stand behind those that refer to them, so that nothing works by luck of order. `Site.lead` closes a cycle. A device is mounted in a
/// rack or on a device, and belongs to tags and regions: kinds whose ids and keys overlap.
fn network() -> Model {
    let mut site = kind("Site", 1, &["name"], vec![plain("name"), refers("region", "Region"), refers("lead", "Device")]);
    site.deferred = vec!["lead".into()];
    Model {
        kinds: vec![
            kind(
                "Device",
                3,
                &["name", "site"],
                vec![
                    plain("name"),
                    refers("site", "Site"),
                    refers("rack", "Rack"),
                    many(refers("tags", "Tag")),
                    plain("serial"),
                    refers_to_both("mount", "Rack", "Device"),
                    many(refers_to_both("groups", "Tag", "Region")),
                ],
            ),
            kind("Rack", 2, &["name", "site"], vec![plain("height"), plain("name"), refers("site", "Site")]),
            site,
            kind("Tag", 0, &["name"], vec![plain("name"), plain("color")]),
            kind("Region", 0, &["name"], vec![plain("name"), refers("parent", "Region"), plain("description")]),
        ],
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// Objects
// ---------------------------------------------------------------------------------------------------------------------------

/// An object by what it is: its key, plain values, and peers by (kind, key).
#[derive(Debug, Clone, PartialEq)]
struct Object {
    values: BTreeMap<String, Value>,
    /// A value of a field that is absent rather than null.
    missing: BTreeSet<String>,
    peers: BTreeMap<String, Peers>,
}

#[derive(Debug, Clone, PartialEq)]
enum Peers {
    One(To),
    Many(BTreeSet<To>),
}

/// A peer by kind and key.
type To = (String, String);

/// Objects by kind and key, the key as the JSON text that a plan shows.
type Net = BTreeMap<&'static str, BTreeMap<String, Object>>;

const KINDS: [&str; 5] = ["Device", "Rack", "Site", "Tag", "Region"];

fn value() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!(""))),
        "[a-c]{1,2}".prop_map(|text| Some(json!(text))),
        "[\u{0}\u{1}\u{2}\"\\\\é\n]{1,3}".prop_map(|text| Some(json!(text))),
        (-3i64..3).prop_map(|number| Some(json!(number))),
        Just(Some(json!(1.5))),
        Just(Some(json!(true))),
        Just(Some(json!(["x", {"k": null}]))),
    ]
}

fn object(name: &Value, values: &[(&str, &Option<Value>)]) -> Object {
    let mut object =
        Object { values: BTreeMap::from([("name".to_owned(), name.clone())]), missing: BTreeSet::new(), peers: BTreeMap::new() };
    for (field, value) in values {
        object.values.insert((*field).to_owned(), value.as_ref().cloned().unwrap_or(Value::Null));
        if value.is_none() {
            object.missing.insert((*field).to_owned());
        }
    }
    object
}

/// Names from a small pool, so that two networks overlap; some would run together without care.
fn name(number: u8) -> Value {
    let odd = [json!("a"), json!("a__b"), json!("b"), json!(7), json!("7"), json!("c\u{0}"), json!("c\u{1}"), json!("None")];
    odd.get(number as usize).cloned().unwrap_or_else(|| json!(format!("n{number}")))
}

/// A network small enough that a failure can be read.
fn net() -> impl Strategy<Value = Net> {
    net_of(1).prop_map(groups_of_one_kind)
}

/// The same with peers of both kinds in one set: only a system whose ids tell the kinds apart can hold that.
fn mixed_net() -> impl Strategy<Value = Net> {
    net_of(1)
}

/// A mapping means one kind by a field, so that a set is of one kind in a system whose ids do not tell.
fn groups_of_one_kind(mut net: Net) -> Net {
    for device in net.get_mut("Device").unwrap().values_mut() {
        if let Some(Peers::Many(groups)) = device.peers.get_mut("groups") {
            let kind = groups.first().map(|(kind, _)| kind.clone());
            groups.retain(|(other, _)| Some(other) == kind.as_ref());
        }
    }
    net
}

prop_compose! {
    fn net_of(size: usize)(
        regions in prop::collection::vec((0u8..8 * size as u8, 0..9 * size, value()), 0..6 * size),
        tags in prop::collection::vec((0u8..8 * size as u8, value()), 0..4 * size),
        sites in prop::collection::vec((0u8..8, 0usize..9, 0..9 * size), 0..5),
        racks in prop::collection::vec((0u8..3 * size as u8, 0usize..9, value()), 0..6 * size),
        devices in prop::collection::vec((0u8..5 * size as u8, 0usize..9, 0..9 * size, prop::collection::btree_set(0..9 * size, 0..4), value()), 0..9 * size),
        mounts in prop::collection::vec((any::<bool>(), 0..9 * size, prop::collection::btree_set((any::<bool>(), 0..9 * size), 0..4)), 9 * size),
    ) -> Net {
        let mut net: Net = KINDS.iter().map(|kind| (*kind, BTreeMap::new())).collect();
        // Any number names a peer or, when it is too large, nobody.
        let pick = |net: &Net, kind: &str, at: usize| net[kind].keys().nth(at).map(|key| (kind.to_owned(), key.clone()));
        for (number, _, description) in &regions {
            let name = name(*number);
            net.get_mut("Region").unwrap().insert(json!([name]).to_string(), object(&name, &[("description", description)]));
        }
        for (number, parent, _) in &regions {
            // Loops and self references included: they are no part of a region's identity.
            if let Some(parent) = pick(&net, "Region", *parent) {
                net.get_mut("Region").unwrap().get_mut(&json!([name(*number)]).to_string()).unwrap().peers.insert("parent".into(), Peers::One(parent));
            }
        }
        for (number, color) in &tags {
            let name = name(*number);
            net.get_mut("Tag").unwrap().insert(json!([name]).to_string(), object(&name, &[("color", color)]));
        }
        for (number, region, _) in &sites {
            let name = name(*number);
            let mut site = object(&name, &[]);
            pick(&net, "Region", *region).map(|region| site.peers.insert("region".into(), Peers::One(region)));
            net.get_mut("Site").unwrap().insert(json!([name]).to_string(), site);
        }
        let sites_there = net["Site"].len().max(1);
        for (number, site, height) in &racks {
            let Some(site) = pick(&net, "Site", site % sites_there) else { continue };
            let mut rack = object(&name(*number), &[("height", height)]);
            let key = json!([name(*number), serde_json::from_str::<Value>(&site.1).unwrap()]).to_string();
            rack.peers.insert("site".into(), Peers::One(site));
            net.get_mut("Rack").unwrap().insert(key, rack);
        }
        for (number, site, rack, tags, serial) in &devices {
            let Some(site) = pick(&net, "Site", site % sites_there) else { continue };
            let mut device = object(&name(*number), &[("serial", serial)]);
            let key = json!([name(*number), serde_json::from_str::<Value>(&site.1).unwrap()]).to_string();
            device.peers.insert("site".into(), Peers::One(site));
            pick(&net, "Rack", *rack).map(|rack| device.peers.insert("rack".into(), Peers::One(rack)));
            device.peers.insert("tags".into(), Peers::Many(tags.iter().filter_map(|tag| pick(&net, "Tag", *tag)).collect()));
            net.get_mut("Device").unwrap().insert(key, device);
        }
        let devices: Vec<String> = net["Device"].keys().cloned().collect();
        for (key, (rack, mount, groups)) in devices.iter().zip(&mounts) {
            let mount = pick(&net, if *rack { "Rack" } else { "Device" }, *mount);
            let groups = groups.iter().filter_map(|(tag, at)| pick(&net, if *tag { "Tag" } else { "Region" }, *at)).collect();
            let device = net.get_mut("Device").unwrap().get_mut(key).unwrap();
            mount.map(|mount| device.peers.insert("mount".into(), Peers::One(mount)));
            device.peers.insert("groups".into(), Peers::Many(groups));
        }
        for (number, _, lead) in &sites {
            if let Some(lead) = pick(&net, "Device", *lead) {
                net.get_mut("Site").unwrap().get_mut(&json!([name(*number)]).to_string()).unwrap().peers.insert("lead".into(), Peers::One(lead));
            }
        }
        net
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// A system that holds them
// ---------------------------------------------------------------------------------------------------------------------------

/// How a system refers to peers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Style {
    /// `{"id": 3, "name": …}`.
    Id,
    /// By the peer's name, or the list of its identifiers.
    Name,
    /// By an object of the peer's identifiers.
    Fields,
}

/// A system's ids: some count, each kind from 1, some are texts that no other kind has.
fn id(side: u8, kind: &str, at: usize) -> Value {
    if side == 0 { json!(at + 1) } else { json!(format!("u-{}-{kind}", 900 - at)) }
}

fn natural(kind: &str, key: &str, style: Style) -> Value {
    let parts: Vec<Value> = serde_json::from_str(key).unwrap();
    match (style, parts.as_slice(), kind) {
        (Style::Name, [name], _) => name.clone(),
        (Style::Name, [name, site], _) => json!([name, natural("Site", &site.to_string(), style)]),
        (_, [name], _) => json!({ "name": name }),
        (_, [name, site], _) => json!({ "name": name, "site": natural("Site", &site.to_string(), style), "more": 1 }),
        _ => unreachable!(),
    }
}

fn records(model: &Model, net: &Net, side: u8, style: Style) -> BTreeMap<&'static str, Vec<Value>> {
    let place = |kind: &str, key: &str| net[kind].keys().position(|known| known == key).unwrap();
    let print = |kind: &'static str| {
        let (_, spec) = model.kind(kind).unwrap();
        let one = |(at, (_, object)): (usize, (&String, &Object))| {
            let mut record = Map::from_iter([("id".to_owned(), id(side, kind, at)), ("display".to_owned(), json!({"not": "wanted"}))]);
            for field in &spec.fields {
                if field.reference.is_none() {
                    if !object.missing.contains(&field.name) {
                        record.insert(field.name.clone(), object.values.get(&field.name).cloned().unwrap_or(Value::Null));
                    }
                    continue;
                }
                let refer = |(kind, key): &To| match style {
                    Style::Id => json!({ "url": "x", "id": id(side, kind, place(kind, key)), "name": "never read" }),
                    style => natural(kind, key, style),
                };
                let (value, to) = match object.peers.get(&field.name) {
                    None => (Value::Null, None),
                    Some(Peers::One(to)) => (refer(to), Some(to)),
                    // Not in the order of the keys.
                    Some(Peers::Many(to)) => (to.iter().rev().map(refer).collect(), to.first()),
                };
                if let (0, Some((kind, _)), false) = (side, to, field.also.is_empty()) {
                    record.insert(means(&field.name), json!(kind));
                }
                record.insert(field.name.clone(), value);
            }
            Value::Object(record)
        };
        net[kind].iter().enumerate().map(one).collect()
    };
    KINDS.iter().map(|kind| (*kind, print(kind))).collect()
}

/// The member that says which kind's ids a field has, by which mappings tell the records apart.
fn means(field: &str) -> String {
    format!("{field}_kind")
}

/// How a system is read.
#[derive(Debug, Clone, Copy)]
struct Reading {
    page: usize,
    /// Through a filter that passes all but a record which is put among them.
    filtered: bool,
    /// Read in another order.
    shuffle: u64,
}

const SIMPLY: Reading = Reading { page: 50, filtered: false, shuffle: 0 };

fn shuffled<T>(mut items: Vec<T>, mut seed: u64) -> Vec<T> {
    if seed != 0 {
        for at in (1..items.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            items.swap(at, (seed >> 33) as usize % (at + 1));
        }
    }
    items
}

/// Reads one kind's records: one feed, or where records say which kind they mean by a field one for each that they mean.
fn read_kind(model: &Model, kind: &str, records: &[Value], reading: Reading) -> RawKind {
    let (_, spec) = model.kind(kind).unwrap();
    let mut parts: BTreeMap<Vec<(usize, usize)>, Vec<Value>> = BTreeMap::new();
    for record in records {
        let meant = spec.fields.iter().enumerate().filter_map(|(at, field)| {
            let (peer, _) = model.kind(record.get(means(&field.name))?.as_str()?)?;
            Some((at, peer))
        });
        parts.entry(meant.collect()).or_default().push(record.clone());
    }
    let mut raw = RawKind::new(spec.fields.len());
    for (at, (meant, records)) in parts.into_iter().enumerate() {
        let part = read_feed(model, kind, records, &meant, reading);
        if at == 0 { raw = part } else { raw.merge(part).unwrap() }
    }
    raw
}

fn read_feed(model: &Model, kind: &str, mut records: Vec<Value>, meant: &[(usize, usize)], reading: Reading) -> RawKind {
    let (at, spec) = model.kind(kind).unwrap();
    let mut projection = Projection::default();
    let fields = spec
        .fields
        .iter()
        .enumerate()
        .map(|(at, field)| {
            (at, if field.reference.is_some() { FieldSource::Reference(field.name.clone()) } else { FieldSource::Path(field.name.clone()) })
        })
        .collect();
    let mut filters = Vec::new();
    if reading.filtered {
        filters.push(Filter::compile("display.not", "!=", Some(&json!("mine"))).unwrap());
        records.insert(records.len() / 2, json!({"id": 1, "name": "filtered", "display": {"not": "mine"}}));
    }
    let mut feed = Feed::new(at, filters, None, fields, &mut projection);
    meant.iter().for_each(|(field, kind)| feed.hint_peer_kind(*field, *kind));
    let mut raw = RawKind::new(spec.fields.len());
    for page in shuffled(records, reading.shuffle).chunks(reading.page) {
        let records = projection.json(&json!({ "count": 1, "results": page }).to_string(), "/results").unwrap();
        feed.append(&records, &mut raw).unwrap();
    }
    raw
}

fn read(model: &Model, records: &BTreeMap<&'static str, Vec<Value>>, reading: Reading, role: Side) -> (Snapshot, Vec<DataProblem>) {
    let none = Vec::new();
    let raw =
        model.kinds.iter().map(|kind| read_kind(model, &kind.name, records.get(kind.name.as_str()).unwrap_or(&none), reading)).collect();
    build(model, raw, role)
}

fn snapshot(model: &Model, net: &Net, side: u8, style: Style, reading: Reading, role: Side) -> Snapshot {
    let (snapshot, problems) = read(model, &records(model, net, side, style), reading, role);
    assert_eq!(problems, []);
    snapshot
}

fn plan_rows(model: &Model, source: &Snapshot, destination: &Snapshot, policy: Policy) -> Vec<PlanRow> {
    plan(model, source, destination, diff(model, source, destination), policy).rows().collect()
}

fn plan_of(model: &Model, source: &Net, destination: &Net, policy: Policy) -> Vec<PlanRow> {
    let source = snapshot(model, source, 0, Style::Id, SIMPLY, Side::Source);
    let destination = snapshot(model, destination, 1, Style::Id, SIMPLY, Side::Destination);
    plan_rows(model, &source, &destination, policy)
}

// ---------------------------------------------------------------------------------------------------------------------------
// The nested loop
// ---------------------------------------------------------------------------------------------------------------------------

type Named = BTreeMap<(String, String), (Action, BTreeSet<String>)>;

/// The fields in which two objects differ.
fn differing(model: &Model, kind: &str, ours: &Object, theirs: &Object) -> BTreeSet<String> {
    let nobody = Peers::Many(BTreeSet::new());
    let (_, spec) = model.kind(kind).unwrap();
    let differs = |field: &&FieldModel| match field.reference {
        None => ours.values.get(&field.name) != theirs.values.get(&field.name),
        Some(_) => ours.peers.get(&field.name).unwrap_or(&nobody) != theirs.peers.get(&field.name).unwrap_or(&nobody),
    };
    spec.fields.iter().filter(differs).map(|field| field.name.clone()).collect()
}

fn by_nested_loop(model: &Model, source: &Net, destination: &Net) -> Named {
    let mut found = Named::new();
    for kind in KINDS {
        for (key, ours) in &source[kind] {
            let mut there = false;
            for (other, theirs) in &destination[kind] {
                if key == other {
                    there = true;
                    let fields = differing(model, kind, ours, theirs);
                    if !fields.is_empty() {
                        found.insert((kind.into(), key.clone()), (Action::Update, fields));
                    }
                }
            }
            if !there {
                found.insert((kind.into(), key.clone()), (Action::Create, BTreeSet::new()));
            }
        }
        for key in destination[kind].keys().filter(|key| !source[kind].contains_key(*key)) {
            found.insert((kind.into(), key.clone()), (Action::Delete, BTreeSet::new()));
        }
    }
    found
}

/// What a plan names, both passes taken together.
fn named(rows: &[PlanRow]) -> Named {
    let mut found = Named::new();
    for row in rows {
        let entry = found.entry((row.resource.clone(), row.key.clone())).or_insert((row.action, BTreeSet::new()));
        assert!(entry.0 == row.action || (entry.0 == Action::Create && row.pass == 1), "{row:?}");
        if entry.0 == Action::Update {
            let fields: Vec<&str> = row.attribute.as_deref().unwrap().split(',').collect();
            assert!(fields.iter().all(|field| entry.1.insert((*field).to_owned())), "a field twice: {row:?}");
        }
    }
    found
}

/// Rows come in the order in which they can be written: tiers up, the second pass, tiers down.
fn assert_write_order(rows: &[PlanRow]) {
    let place = |row: &PlanRow| match row.action {
        Action::Delete => (2, 0, u32::MAX - row.tier),
        _ if row.pass == 1 => (1, 0, 0),
        _ => (0, row.tier, 0),
    };
    assert!(rows.is_sorted_by_key(place), "{rows:?}");
}

fn reading() -> impl Strategy<Value = Reading> {
    (prop::sample::select(&PAGES[..]), any::<bool>(), any::<u64>()).prop_map(|(page, filtered, shuffle)| Reading {
        page,
        filtered,
        shuffle,
    })
}

// ---------------------------------------------------------------------------------------------------------------------------
// The laws
// ---------------------------------------------------------------------------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_differs_from_itself(net in net(), reading in reading()) {
        let model = network();
        let source = snapshot(&model, &net, 0, Style::Id, reading, Side::Source);
        let destination = snapshot(&model, &net, 1, Style::Id, SIMPLY, Side::Destination);
        prop_assert!(diff(&model, &source, &source).is_empty());
        prop_assert!(diff(&model, &source, &destination).is_empty());
    }

    #[test]
    fn plan_names_what_a_nested_loop_finds(a in net(), b in mixed_net()) {
        let model = network();
        let rows = plan_of(&model, &a, &b, EVERYTHING);
        prop_assert_eq!(named(&rows), by_nested_loop(&model, &a, &b));
        assert_write_order(&rows);
    }

    #[test]
    fn plan_depends_on_nothing_but_what_the_systems_hold(a in net(), b in mixed_net(), one in reading(), other in reading()) {
        let model = network();
        let simply = plan_of(&model, &a, &b, EVERYTHING);
        prop_assert_eq!(&simply, &plan_of(&model, &a, &b, EVERYTHING));
        let destination = snapshot(&model, &b, 1, Style::Id, other, Side::Destination);
        for style in [Style::Id, Style::Name, Style::Fields] {
            let source = snapshot(&model, &a, 0, style, one, Side::Source);
            prop_assert_eq!(&simply, &plan_rows(&model, &source, &destination, EVERYTHING), "{:?}", style);
        }
        let mut nulls = a.clone();
        nulls.values_mut().flat_map(BTreeMap::values_mut).for_each(|object| object.missing.clear());
        prop_assert_eq!(&simply, &plan_of(&model, &nulls, &b, EVERYTHING));
    }

}

proptest! {
    // Large networks: two hundred objects a kind, so that each page size breaks them.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn page_breaks_do_not_matter(a in net_of(20).prop_map(groups_of_one_kind), b in net_of(20), shuffle: u64, filtered: bool) {
        let model = network();
        let destination = snapshot(&model, &b, 1, Style::Id, SIMPLY, Side::Destination);
        let plans = PAGES.map(|page| {
            let source = snapshot(&model, &a, 0, Style::Id, Reading { page, filtered, shuffle }, Side::Source);
            plan_rows(&model, &source, &destination, EVERYTHING)
        });
        prop_assert!(plans.iter().all(|rows| *rows == plans[0]));
        prop_assert_eq!(named(&plans[0]), by_nested_loop(&model, &a, &b));
        assert_write_order(&plans[0]);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_left_out_is_never_deleted(a in net(), b in mixed_net(), pick in any::<prop::sample::Index>(), reading in reading()) {
        let model = network();
        let mut broken = records(&model, &a, 0, Style::Id);
        // A kind of the source in which one object stands twice under different ids.
        let kind = KINDS[pick.index(KINDS.len())];
        prop_assume!(!broken[kind].is_empty());
        let list = broken.get_mut(kind).unwrap();
        let mut twin = list[pick.index(list.len())].clone();
        let first = twin["id"].clone();
        twin["id"] = json!("twin");
        let plain = model.kind(kind).unwrap().1.fields.iter().find(|field| field.reference.is_none() && !model.kind(kind).unwrap().1.identifiers.contains(&field.name));
        prop_assume!(plain.is_some());
        twin[&plain.unwrap().name] = json!("contradicts");
        list.push(twin);
        let (source, problems) = read(&model, &broken, reading, Side::Source);
        let both = (first.to_string(), "twin".to_owned());
        let told = |problem: &DataProblem| problem.kind == kind && problem.left_out && problem.object == both.1 && matches!(&problem.error, DataErrorKind::Duplicate { other, .. } if *other == both.0);
        prop_assert!(problems.iter().any(told), "{:?}", problems);
        let (again, the_same) = read(&model, &broken, SIMPLY, Side::Source);
        prop_assert_eq!(&problems, &the_same);
        let destination = snapshot(&model, &b, 1, Style::Id, SIMPLY, Side::Destination);
        let rows = plan_rows(&model, &source, &destination, EVERYTHING);
        prop_assert_eq!(&rows, &plan_rows(&model, &again, &destination, EVERYTHING));
        for row in &rows {
            let (at, _) = model.kind(&row.resource).unwrap();
            prop_assert!(row.action != Action::Delete || source.kinds[at].completeness == Completeness::Complete);
            // Nor is anything deleted that the source has, whatever became of it.
            prop_assert!(row.action != Action::Delete || !a[KINDS[KINDS.iter().position(|kind| *kind == row.resource).unwrap()]].contains_key(&row.key));
        }
    }

    #[test]
    fn batches_keep_every_value(net in net()) {
        let model = network();
        let snapshot = snapshot(&model, &net, 0, Style::Id, SIMPLY, Side::Source);
        for (at, spec) in model.kinds.iter().enumerate() {
            let kind = &snapshot.kinds[at];
            let all: Vec<RecordBatch> = batches(&model, &snapshot, at, 1).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), kind.rows());
            let Some(batch) = all.first() else { continue };
            for row in 0..kind.rows() {
                for (column, field) in spec.fields.iter().enumerate() {
                    let expected = match &kind.fields[column] {
                        FieldColumn::Values(values) => values.to_json(row),
                        FieldColumn::Peers(peers) => {
                            let names = |rows: Vec<Peer>| rows.into_iter().map(|peer| json!(snapshot.peer_name(&model, peers, peer))).collect::<Vec<_>>();
                            match (peers.peers(row).0, peers.peers(row).1.collect::<Vec<_>>()) {
                                (RefValue::One, rows) => names(rows).remove(0),
                                (RefValue::Many, rows) => Value::Array(names(rows)),
                                _ => Value::Null,
                            }
                        }
                    };
                    let encoded = batch.schema().field(column).metadata().get("infrahub-sync:encoding").is_some();
                    prop_assert_eq!(cell(batch.column(column), row, encoded), expected, "{} {}", spec.name, field.name);
                }
                let fields = spec.fields.len();
                prop_assert_eq!(cell(batch.column(fields + 1), row, false), json!(kind.id(row).unwrap()));
                prop_assert_eq!(cell(batch.column(fields + 3), row, false), json!(key::key_json(kind.keys.get(row))));
            }
        }
    }
}

fn cell(column: &ArrayRef, row: usize, encoded: bool) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 if encoded => serde_json::from_str(column.as_string::<i32>().value(row)).unwrap(),
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            (0..items.len()).map(|item| cell(&items, item, false)).collect()
        }
        other => panic!("{other}"),
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// Examples
// ---------------------------------------------------------------------------------------------------------------------------

/// Returns the message of a problem, without the identifiers after an id: these have a test of their own.
fn said(problem: &DataProblem) -> String {
    DataProblem { identifiers: String::new(), ..problem.clone() }.to_string()
}

#[test]
fn identifiers_follow_the_id_in_a_message() {
    let model = network();
    let kinds = json!({"Rack": [{"id": 5, "name": "r"}], "Tag": [{"id": "t", "name": "t", "color": 1}, {"id": 2}]});
    let raw =
        model.kinds.iter().map(|kind| read_kind(&model, &kind.name, kinds[&kind.name].as_array().map_or(&[][..], Vec::as_slice), SIMPLY));
    let (_, problems) = build(&model, raw.collect(), Side::Source);
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    // A reference says nothing to a reader, and an identifier that is the id is not repeated.
    assert_eq!(
        messages,
        ["Rack `5` with name `r` has no value for its identifier `site`", "Tag `2` has no value for its identifier `name`"]
    );
}

/// Reads records given as JSON, kind by kind.
fn given(model: &Model, kinds: Value, resolving: impl Into<Resolving>) -> (Snapshot, Vec<String>) {
    let raw = model
        .kinds
        .iter()
        .map(|kind| read_kind(model, &kind.name, kinds[&kind.name].as_array().map_or(&[][..], Vec::as_slice), SIMPLY))
        .collect();
    let (snapshot, problems) = build(model, raw, resolving);
    (snapshot, problems.iter().map(said).collect())
}

/// The unique ids of a kind's rows.
fn names(model: &Model, snapshot: &Snapshot, kind: &str) -> Vec<String> {
    let (at, _) = model.kind(kind).unwrap();
    (0..snapshot.kinds[at].rows()).map(|row| key::unique_id(snapshot.kinds[at].keys.get(row))).collect()
}

/// What a reference field holds in a row: the unique ids of the peers.
fn held(model: &Model, snapshot: &Snapshot, kind: &str, field: &str, row: usize) -> (RefValue, Vec<String>) {
    let (at, spec) = model.kind(kind).unwrap();
    let column = spec.fields.iter().position(|known| known.name == field).unwrap();
    let FieldColumn::Peers(peers) = &snapshot.kinds[at].fields[column] else { panic!("{field} is no reference") };
    let (held, rows) = peers.peers(row);
    (held, rows.map(|peer| snapshot.peer_name(model, peers, peer)).collect())
}

const NONE: [&str; 0] = [];

#[test]
fn duplicates_are_named_with_both_ids_and_left_out() {
    let model = network();
    let records = json!({
        "Tag": [{"id": 3, "name": "x", "color": "c"}, {"id": 1, "name": "x"}, {"id": 1, "name": "x", "color": "a"}, {"id": 2, "name": "x", "color": "b"}, {"id": 4, "name": "y"}],
    });
    let (source, told) = given(&model, records.clone(), Side::Source);
    let problems = [
        "Tag `1` has the same identifiers as `1` and differs in `color`: \"a\", null",
        "Tag `2` has the same identifiers as `1` and differs in `color`: \"b\", \"a\"",
        "Tag `3` has the same identifiers as `2` and differs in `color`: \"c\", \"b\"",
    ];
    assert_eq!(told, problems);
    assert_eq!(names(&model, &source, "Tag"), ["y"]);
    // In the destination the first stays: with all left out, a fourth would be created. It changes while it is read, so the later of two
    // readings of one id counts.
    let (destination, told) = given(&model, records, Side::Destination);
    assert_eq!(told, problems[1..]);
    assert_eq!(names(&model, &destination, "Tag"), ["x", "y"]);
    assert_eq!(destination.kinds[3].id(0), Some("1"));
}

#[test]
fn records_that_agree_are_one_object_and_are_counted() {
    let model = network();
    let records = json!({
        "Region": [{"id": 1, "name": "x"}],
        "Tag": [{"id": 1, "name": "a", "color": "red"}, {"id": 2, "name": "b"}, {"id": 3, "name": "a", "color": "red"}, {"name": "a", "color": "red"}],
        "Site": [{"name": "s", "region": "x"}, {"name": "s", "region": "x"}, {"name": "t", "region": "x"}],
        "Device": [{"id": 1, "name": "d", "site": "s", "tags": [{"id": 1}, {"id": 3}, {"id": 2}]}, {"id": 2, "name": "d", "site": "s", "tags": [{"id": 2}, {"id": 3}, {"id": 1}]}],
    });
    for shuffle in [0, 7, 9] {
        let raw = model
            .kinds
            .iter()
            .map(|kind| {
                let records = records[&kind.name].as_array().map_or(&[][..], Vec::as_slice);
                read_kind(&model, &kind.name, records, Reading { shuffle, ..SIMPLY })
            })
            .collect();
        let (source, problems) = build(&model, raw, Side::Source);
        assert_eq!(problems, []);
        assert_eq!(names(&model, &source, "Tag"), ["a", "b"]);
        assert_eq!(held(&model, &source, "Device", "tags", 0).1, ["a", "b"]);
        let merged = |kind: &str| source.kinds[model.kind(kind).unwrap().0].merged;
        assert_eq!(["Tag", "Site", "Device", "Region"].map(merged), [2, 1, 1, 0]);
        assert!(source.kinds.iter().all(|kind| kind.completeness == Completeness::Complete));
    }
}

#[test]
fn record_read_twice_is_one_object() {
    let model = network();
    let (source, told) = given(
        &model,
        json!({
            "Tag": [{"id": 1, "name": "x", "color": "c"}, {"id": 2, "name": "w"}, {"id": 1, "name": "x", "color": "c"}, {"id": 1, "name": "x", "color": "c"}],
            "Site": [{"id": 1, "name": "s"}],
            "Device": [{"id": 1, "name": "d", "site": {"id": 1}, "tags": [{"id": 1}, {"id": 2}]}],
        }),
        Side::Source,
    );
    assert_eq!(told, NONE);
    assert_eq!(names(&model, &source, "Tag"), ["w", "x"]);
    let FieldColumn::Values(colors) = &source.kinds[3].fields[1] else { panic!() };
    assert_eq!(colors.to_json(1), json!("c"));
    assert_eq!(source.kinds[3].completeness, Completeness::Complete);
    assert_eq!(held(&model, &source, "Device", "tags", 0), (RefValue::Many, vec!["w".into(), "x".into()]));
}

#[test]
fn identifier_without_a_value_is_named() {
    let mut model = network();
    let (source, told) =
        given(&model, json!({"Tag": [{"id": 1, "name": null}, {"id": 2}], "Rack": [{"id": 5, "name": "r"}]}), Side::Source);
    assert_eq!(
        told,
        [
            "Rack `5` has no value for its identifier `site`",
            "Tag `1` has no value for its identifier `name`",
            "Tag `2` has no value for its identifier `name`"
        ]
    );
    assert_eq!(source.kinds[1].completeness, Completeness::Partial);
    // Where the schema's field is optional, null is a value like any other, as long as not all are null.
    let (at, _) = model.kind("Rack").unwrap();
    model.kinds[at].fields = model.kinds[at].fields.drain(..).map(optional).collect();
    let (source, told) = given(&model, json!({"Rack": [{"id": 5, "name": "r"}, {"id": 6}]}), Side::Source);
    assert_eq!(told, ["Rack `6` has no value for its identifier `name, site`"]);
    assert_eq!(names(&model, &source, "Rack"), ["r__None"]);
}

#[test]
fn dangling_reference_is_named_and_told_once() {
    let model = network();
    let records = json!({
        "Site": [{"id": 1, "name": "s", "region": {"id": 9}}, {"id": 2, "name": "t", "region": "nowhere"}],
        "Rack": [{"id": 1, "name": "r", "site": {"id": 7}}],
        "Device": [{"id": 1, "name": "d", "site": {"id": 1}, "rack": {"id": 1}, "tags": [{"id": 3}, "four"]}],
    });
    let (source, told) = given(&model, records.clone(), Side::Source);
    assert_eq!(
        told,
        [
            "Device `1`: `tags` refers to Tag `3`, which was not loaded",
            "Device `1`: `tags` refers to Tag `four`, which was not loaded",
            "Rack `1`: `site` refers to Site `7`, which was not loaded",
            "Site `1`: `region` refers to Region `9`, which was not loaded",
            "Site `2`: `region` refers to Region `nowhere`, which was not loaded",
        ]
    );
    for field in ["rack", "tags"] {
        assert_eq!(held(&model, &source, "Device", field, 0).0, RefValue::Unresolved);
    }
    // What could not be resolved is left as it is, nothing is written in its place, and what it leads to is not deleted.
    let (there, _) = given(
        &model,
        json!({"Site": [{"id": 1, "name": "s", "region": {"id": 1}}, {"id": 2, "name": "t"}], "Region": [{"id": 1, "name": "x"}], "Device": [{"id": 8, "name": "d", "site": {"id": 1}}]}),
        Side::Destination,
    );
    let rows = plan_rows(&model, &source, &there, EVERYTHING);
    assert_eq!(rows.iter().map(|row| (row.action, row.source_id.as_str())).collect::<Vec<_>>(), []);
    // In the destination it is a peer outside of this sync.
    let (_, told) = given(&model, json!({"Site": [{"id": 1, "name": "s", "region": {"id": 9}}]}), Side::Destination);
    assert_eq!(told, NONE);
}

#[test]
fn peer_that_is_left_out_is_not_told_again() {
    let model = network();
    for site in [json!({"id": 1}), json!("s"), json!({"name": "s"})] {
        let records = json!({"Site": [{"id": 1, "name": "s"}, {"id": 2, "name": "s", "region": "x"}], "Region": [{"id": 1, "name": "x"}], "Rack": [{"id": 1, "name": "r", "site": site}]});
        let (source, told) = given(&model, records, Side::Source);
        assert_eq!(told, ["Site `2` has the same identifiers as `1` and differs in `region`: \"x\", null"]);
        assert_eq!(source.kinds[1].completeness, Completeness::Partial);
    }
}

/// Locations in locations, each known by its name within its parent.
fn locations() -> Model {
    Model { kinds: vec![kind("Location", 0, &["name", "parent"], vec![plain("name"), optional(refers("parent", "Location"))])] }
}

#[test]
fn object_may_be_identified_through_its_parent() {
    let model = locations();
    let by_id = json!({"Location": [
        {"id": 3, "name": "room", "parent": {"id": 2}},
        {"id": 4, "name": "room", "parent": {"id": 1}},
        {"id": 2, "name": "floor", "parent": {"id": 1}},
        {"id": 1, "name": "house", "parent": null},
    ]});
    let by_name = json!({"Location": [
        {"id": 3, "name": "room", "parent": ["floor", ["house"]]},
        {"id": 4, "name": "room", "parent": "house"},
        {"id": 2, "name": "floor", "parent": {"name": "house"}},
        {"id": 1, "name": "house"},
    ]});
    let expected = ["floor__house__None", "house__None", "room__floor__house__None", "room__house__None"];
    let read = [by_id, by_name].map(|records| {
        let (snapshot, told) = given(&model, records, Side::Source);
        assert_eq!(told, NONE);
        assert_eq!(names(&model, &snapshot, "Location"), expected);
        snapshot
    });
    assert!(diff(&model, &read[0], &read[1]).is_empty());
    let nothing = Snapshot { kinds: vec![Default::default()] };
    let order = |rows: Vec<PlanRow>| rows.into_iter().map(|row| row.source_id).collect::<Vec<_>>();
    assert_eq!(
        order(plan_rows(&model, &read[0], &nothing, EVERYTHING)),
        ["house__None", "floor__house__None", "room__floor__house__None", "room__house__None"]
    );
    assert_eq!(
        order(plan_rows(&model, &nothing, &read[0], EVERYTHING)),
        ["room__floor__house__None", "floor__house__None", "room__house__None", "house__None"]
    );
}

#[test]
fn loops_of_identity_are_named_whoever_is_read_first() {
    let model = locations();
    let records = vec![
        json!({"id": 1, "name": "a", "parent": {"id": 2}}),
        json!({"id": 2, "name": "b", "parent": {"id": 3}}),
        json!({"id": 3, "name": "c", "parent": {"id": 1}}),
        json!({"id": 4, "name": "below", "parent": {"id": 3}}),
        json!({"id": 5, "name": "self", "parent": {"id": 5}}),
        json!({"id": 6, "name": "root"}),
    ];
    for seed in 0..20 {
        let (source, told) = given(&model, json!({ "Location": shuffled(records.clone(), seed) }), Side::Source);
        assert_eq!(told, [1, 2, 3, 5].map(|id| format!("Location `{id}` is identified by itself through `parent`")));
        assert_eq!(names(&model, &source, "Location"), ["root__None"]);
    }
}

#[test]
fn named_parent_that_is_not_there_leaves_out_what_is_below() {
    let model = locations();
    let (source, told) = given(
        &model,
        json!({"Location": [
            {"id": 1, "name": "a", "parent": "gone"},
            {"id": 2, "name": "b", "parent": ["a", "gone"]},
            {"id": 3, "name": "c", "parent": {"id": 2}},
            {"id": 4, "name": "d", "parent": "e"},
            {"id": 5, "name": "e", "parent": ""},
        ]}),
        Side::Source,
    );
    assert_eq!(told, ["Location `1`: `parent` refers to Location `gone`, which was not loaded"]);
    assert_eq!(names(&model, &source, "Location"), ["d__e__None", "e__None"]);
}

#[test]
fn identity_may_be_deep_but_not_without_end() {
    let model = locations();
    let chain = |depth: usize| -> Vec<Value> {
        (0..=depth)
            .map(|at| json!({"id": at, "name": format!("n{at}"), "parent": if at == 0 { Value::Null } else { json!({"id": at - 1}) }}))
            .collect()
    };
    let (source, told) = given(&model, json!({ "Location": chain(100) }), Side::Source);
    assert_eq!((told.len(), source.kinds[0].rows()), (0, 101));
    for row in 0..101 {
        let key = source.kinds[0].keys.get(row);
        assert_eq!(key::key_from_json(&serde_json::from_str(&key::key_json(key)).unwrap()).as_deref(), Some(key));
    }
    let (source, told) = given(&model, json!({ "Location": shuffled(chain(20_000), 7) }), Side::Source);
    assert_eq!(told, ["Location `101` is identified through more than 100 objects by `parent`"]);
    assert_eq!(source.kinds[0].rows(), 101);
}

#[test]
fn self_reference_in_the_first_identifier_is_no_endless_search() {
    let mut model = locations();
    model.kinds[0].identifiers.reverse();
    let (_, told) = given(&model, json!({"Location": [{"id": 1, "name": "a", "parent": "b"}]}), Side::Source);
    assert_eq!(told, ["Location `1`: `parent` refers to Location `b`, which was not loaded"]);
}

/// Roles from two resources, and devices that have one.
fn roles() -> Model {
    Model {
        kinds: vec![
            kind("Device", 1, &["name"], vec![plain("name"), refers("role", "Role"), many(refers("others", "Role"))]),
            kind("Role", 0, &["name"], vec![plain("name"), plain("color")]),
        ],
    }
}

fn from_feeds(model: &Model, devices: Value, feeds: &[Value], role: Side) -> (Snapshot, Vec<DataProblem>) {
    let mut raw = RawKind::default();
    for (at, feed) in feeds.iter().enumerate() {
        let part = read_kind(model, "Role", feed.as_array().unwrap(), SIMPLY);
        if at == 0 { raw = part } else { raw.merge(part).unwrap() }
    }
    build(model, vec![read_kind(model, "Device", devices.as_array().unwrap(), SIMPLY), raw], role)
}

#[test]
fn id_that_two_resources_use_is_ambiguous_where_it_is_referred_to() {
    let model = roles();
    let feeds = [
        json!([{"id": 3, "name": "leaf"}, {"id": 4, "name": "spine"}]),
        json!([{"id": 3, "name": "compute"}, {"id": 5, "name": "storage"}]),
    ];
    let unused = json!([{"id": 1, "name": "d", "role": {"id": 4}}, {"id": 2, "name": "e", "role": "compute", "others": ["leaf", {"name": "storage"}]}]);
    let (source, problems) = from_feeds(&model, unused, &feeds, Side::Source);
    assert_eq!(problems, []);
    assert_eq!(names(&model, &source, "Role"), ["compute", "leaf", "spine", "storage"]);
    assert_eq!(held(&model, &source, "Device", "role", 1), (RefValue::One, vec!["compute".into()]));
    let used = json!([{"id": 1, "name": "d", "role": {"id": 3}}]);
    let (source, problems) = from_feeds(&model, used.clone(), &feeds, Side::Source);
    let error = DataErrorKind::Ambiguous { field: "role".into(), kind: "Role".into(), peer: "3".into(), by: PeerName::Id };
    let (kind, object, identifiers) = ("Device".into(), "1".into(), "name `d`".into());
    assert_eq!(problems, [DataProblem { kind, object, identifiers, place: None, error, left_out: false }]);
    assert_eq!(
        said(&problems[0]),
        "Device `1`: `role` refers to Role `3`, and several resources have an object with that id; refer by a natural key (such as `role.name`)"
    );
    assert_eq!(held(&model, &source, "Device", "role", 0).0, RefValue::Unresolved);
    let (_, problems) = from_feeds(&model, used, &feeds, Side::Destination);
    assert_eq!(problems, []);
}

#[test]
fn two_resources_with_one_id_and_one_key_are_two_objects_unless_they_are_the_same() {
    let model = roles();
    let devices = json!([{"id": 1, "name": "d", "role": {"id": 3}}]);
    let one = json!([{"id": 3, "name": "leaf", "color": "red"}]);
    let (source, problems) = from_feeds(&model, devices.clone(), &[one.clone(), json!([]), one.clone()], Side::Source);
    assert_eq!((problems.len(), names(&model, &source, "Role")), (0, vec!["leaf".to_owned()]));
    assert_eq!(held(&model, &source, "Device", "role", 0), (RefValue::One, vec!["leaf".into()]));
    let (source, problems) = from_feeds(&model, devices, &[one, json!([{"id": 3, "name": "leaf", "color": "blue"}])], Side::Source);
    assert_eq!(
        problems.iter().map(said).collect::<Vec<_>>(),
        ["Role `3` has the same identifiers as `3` and differs in `color`: \"blue\", \"red\""]
    );
    assert_eq!(source.kinds[1].rows(), 0);
}

#[test]
fn merged_feeds_keep_where_each_ends() {
    let model = roles();
    let part = |rows: usize| read_kind(&model, "Role", &(0..rows).map(|at| json!({"id": at, "name": at})).collect::<Vec<_>>(), SIMPLY);
    let mut inner = part(2);
    inner.merge(part(1)).unwrap();
    let mut all = part(3);
    all.merge(part(0)).unwrap();
    all.merge(inner).unwrap();
    assert_eq!((all.rows, &all.feed_ends[..]), (6, &[3, 5, 6][..]));
    assert_eq!([0, 2, 3, 4, 5, 6].map(|row| all.feed_of(row)), [0, 0, 1, 1, 2, 3]);
    assert!(all.columns.iter().chain([&all.ids]).all(|column| column.len() == 6));
}

#[test]
fn cardinality_says_what_a_list_is() {
    let peers = json!([{"id": 1, "name": "x", "site": "y"}, {"id": 2, "name": "y", "site": null}, {"id": 3, "name": "x", "site": null}]);
    let peer = || kind("Peer", 0, &["name", "site"], vec![plain("name"), optional(plain("site"))]);
    let read = |field: FieldModel, value: Value| {
        let model = Model { kinds: vec![kind("Holder", 1, &["name"], vec![plain("name"), field]), peer()] };
        let (snapshot, told) = given(&model, json!({"Peer": peers, "Holder": [{"id": 1, "name": "h", "peer": value}]}), Side::Source);
        assert_eq!(told, NONE);
        held(&model, &snapshot, "Holder", "peer", 0)
    };
    let field = || refers("peer", "Peer");
    let x_y = || vec!["x__y".to_owned()];
    let both = || vec!["x__None".to_owned(), "y__None".to_owned()];
    assert_eq!(read(one(field()), json!(["x", "y"])), (RefValue::One, x_y()));
    assert_eq!(read(many(field()), json!(["x", "y"])), (RefValue::Many, both()));
    assert_eq!(read(many(field()), json!([["x", "y"], null])), (RefValue::Many, x_y()));
    assert_eq!(read(field(), json!(["x", "y"])), (RefValue::One, x_y()));
    assert_eq!(read(field(), json!([["x", "y"]])), (RefValue::Many, x_y()));
    assert_eq!(read(one(field()), json!([{"id": 1}])), (RefValue::One, x_y()));
    assert_eq!(read(one(field()), json!([["x", "y"]])), (RefValue::One, x_y()));
    assert_eq!(read(one(field()), json!([])), (RefValue::Null, Vec::new()));
    assert_eq!(read(many(field()), json!({"id": 1})), (RefValue::Many, x_y()));
    assert_eq!(read(field(), json!("")), (RefValue::Null, Vec::new()));
}

/// Devices, and ports that are named by their device; a port may refer to another one.
fn devices_and_ports() -> Model {
    let port = vec![plain("name"), refers("device", "Device"), optional(refers("other", "Port"))];
    let device = vec![plain("name"), optional(refers("parent", "Device"))];
    Model { kinds: vec![kind("Device", 0, &["name"], device), kind("Port", 1, &["device", "name"], port)] }
}

/// What the `other` of a further port resolves to, or the problem.
fn other_port(value: Value, resolving: Resolving) -> String {
    let model = devices_and_ports();
    let records = json!({
        "Device": [{"id": 1, "name": "a"}, {"id": 2, "name": "a__b"}, {"id": "3", "name": "7"}, {"id": 4, "name": 40}],
        "Port": [
            {"id": 7, "name": "b__c", "device": "a"},
            {"id": "8", "name": "c", "device": "a__b"},
            {"id": 9, "name": "x__y", "device": "a"},
            {"id": 10, "name": "eth0", "device": 1},
            {"id": 99, "name": "last", "device": {"id": 1}, "other": value}
        ]
    });
    let (snapshot, told) = given(&model, records, resolving);
    let ports = snapshot.kinds[1].rows();
    let row = (0..ports).find(|row| snapshot.kinds[1].id(*row) == Some("99")).unwrap();
    match held(&model, &snapshot, "Port", "other", row) {
        (RefValue::One, peers) => {
            assert_eq!(told, NONE);
            peers.join(", ")
        }
        other => format!("{:?}: {}", other.0, told.join("; ")),
    }
}

#[test]
fn plain_value_is_a_natural_key_or_an_id_or_a_unique_id() {
    let source = Resolving::from(Side::Source);
    for (value, expected) in [
        // Ids, as the system writes them and as a sheet does.
        (json!(7), "a__b__c"),
        (json!("7"), "a__b__c"),
        (json!("8"), "a__b__c"),
        (json!(8), "a__b__c"),
        // Unique ids, with parts that have the sign between parts.
        (json!("a__x__y"), "a__x__y"),
        (json!("a__eth0"), "a__eth0"),
        (json!("a__last"), "a__last"),
        // Natural keys; a peer among the identifiers by its key, its id and its unique id.
        (json!(["a", "eth0"]), "a__eth0"),
        (json!({"device": {"name": "a"}, "name": "eth0"}), "a__eth0"),
        (json!({"device": 1, "name": "eth0"}), "a__eth0"),
        (
            json!({"device": "40", "name": "eth0"}),
            "Unresolved: Port `99`: `other` refers to Port `{\"device\":\"40\",\"name\":\"eth0\"}`, which was not loaded",
        ),
        (json!("a__none"), "Unresolved: Port `99`: `other` refers to Port `a__none`, which was not loaded"),
        (
            json!("a__b__c"),
            "Unresolved: Port `99`: `other` refers to Port `a__b__c`, a unique id of several objects; refer to them by id, or by a list of their identifiers",
        ),
    ] {
        assert_eq!(other_port(value.clone(), source), expected, "{value}");
    }
    assert_eq!(other_port(json!("nowhere"), Resolving::from(Side::Destination)), "");
}

#[test]
fn natural_key_comes_before_an_id_and_a_unique_id_first_where_the_adapter_says_so() {
    let model = Model {
        kinds: vec![
            kind("Device", 0, &["name", "site"], vec![plain("name"), optional(plain("site"))]),
            kind("Port", 1, &["name"], vec![plain("name"), refers("device", "Device")]),
        ],
    };
    let device = |value: Value, rules: &[ReferenceRule]| {
        let records = json!({
            "Device": [{"id": "b", "name": "a__None"}, {"id": 2, "name": "a", "site": "x"}, {"id": "a__None", "name": "b"}, {"id": 4, "name": "c", "site": "a__x"}],
            "Port": [{"id": 1, "name": "p", "device": value}]
        });
        let (snapshot, told) = given(&model, records, Resolving::new(Side::Source, rules));
        assert_eq!(told, NONE);
        let row = snapshot.kinds[0].ids.clone();
        let FieldColumn::Peers(peers) = &snapshot.kinds[1].fields[1] else { panic!("no reference") };
        row.text(peers.get(0).1[0] as usize).to_owned()
    };
    // `b` is the name of one device and the id of another one.
    assert_eq!(device(json!("b"), &[]), "a__None");
    // `a__None` is a name; as a unique id no device has it.
    assert_eq!(device(json!("a__None"), &[]), "b");
    assert_eq!(device(json!("a__x"), &[]), "2");
    assert_eq!(device(json!("a__None__None"), &[ReferenceRule::UniqueId]), "b");
    assert_eq!(device(json!("a__x"), &[ReferenceRule::UniqueId]), "2");
    assert_eq!(device(json!("b__None"), &[ReferenceRule::FieldName, ReferenceRule::UniqueId]), "a__None");
}

#[test]
fn parent_of_the_same_kind_is_found_by_a_plain_id() {
    let model =
        Model { kinds: vec![kind("Location", 0, &["name", "parent"], vec![plain("name"), optional(refers("parent", "Location"))])] };
    let records = json!([
        {"id": 3, "name": "rack", "parent": "2"},
        {"id": 2, "name": "room", "parent": 1},
        {"id": 1, "name": "house"},
        {"id": "house", "name": "shed", "parent": "house"},
        {"id": 5, "name": "cage", "parent": {"id": 2, "kind": "Location"}}
    ]);
    for seed in 0..10 {
        let (snapshot, told) = given(&model, json!({ "Location": shuffled(records.as_array().unwrap().clone(), seed) }), Side::Source);
        assert_eq!(told, NONE);
        assert_eq!(
            names(&model, &snapshot, "Location"),
            ["cage__room__house__None", "house__None", "rack__room__house__None", "room__house__None", "shed__house__None"]
        );
    }
}

#[test]
fn peer_by_kind_and_id_is_of_that_kind() {
    let kinds = vec![
        kind("Holder", 1, &["name"], vec![plain("name"), optional(refers_to_both("peer", "Port", "VmPort"))]),
        kind("Port", 0, &["name"], vec![plain("name")]),
        kind("VmPort", 0, &["name"], vec![plain("name")]),
    ];
    let model = Model { kinds };
    let read = |value: Value| {
        let records = json!({
            "Port": [{"id": 5, "name": "p5"}, {"id": 6, "name": "p6"}],
            "VmPort": [{"id": 5, "name": "v5"}, {"id": 7, "name": "v7"}],
            "Holder": [{"id": 1, "name": "h", "peer": value}]
        });
        let (snapshot, told) = given(&model, records, Side::Source);
        (held(&model, &snapshot, "Holder", "peer", 0).1.join(", "), told.len())
    };
    assert_eq!(read(json!({"kind": "VmPort", "id": 5})), ("VmPort:v5".to_owned(), 0));
    assert_eq!(read(json!({"id": "5", "kind": "Port"})), ("Port:p5".to_owned(), 0));
    assert_eq!(read(json!([{"kind": "VmPort", "id": 7}, {"kind": "Port", "id": "6"}])), ("Port:p6, VmPort:v7".to_owned(), 0));
    assert_eq!(read(json!({"kind": "Port", "id": 7})), (String::new(), 1));
    assert_eq!(read(json!({"id": 5})), (String::new(), 1));
    // Of an object with more in it, `kind` is a member like any other.
    assert_eq!(read(json!({"id": 7, "kind": "physical", "name": "v7"})), ("VmPort:v7".to_owned(), 0));
}

#[test]
fn row_remembers_the_resource_it_is_written_to_until_it_is_in_the_plan() {
    let model = Model { kinds: vec![kind("Device", 0, &["name"], vec![plain("name"), optional(plain("size"))])] };
    let part = |resource: &str, records: Value| {
        let mut projection = Projection::default();
        let fields = vec![(0, FieldSource::Path("name".into())), (1, FieldSource::Path("size".into()))];
        let mut feed = Feed::new(0, Vec::new(), None, fields, &mut projection);
        feed.write_to(resource);
        let mut raw = RawKind::new(2);
        feed.append(&projection.json(&records.to_string(), "").unwrap(), &mut raw).unwrap();
        raw
    };
    let side = |side: Side, devices: Value, machines: Value| {
        let mut raw = part("devices", devices);
        raw.merge(part("machines", machines)).unwrap();
        build(&model, vec![raw], side).0
    };
    let source = side(Side::Source, json!([{"id": 1, "name": "b", "size": 1}, {"id": 2, "name": "d"}]), json!([{"id": 3, "name": "a"}]));
    let destination = side(Side::Destination, json!([{"id": 7, "name": "c"}]), json!([{"id": 8, "name": "b"}, {"id": 9, "name": "e"}]));
    let policy = Policy { create: true, update: true, delete: true };
    let plan = plan(&model, &source, &destination, diff(&model, &source, &destination), policy);
    let rows: Vec<(Action, String, Option<String>)> = plan.rows().map(|row| (row.action, row.source_id, row.destination_mapping)).collect();
    let row = |action: Action, id: &str, resource: &str| (action, id.to_owned(), Some(resource.to_owned()));
    assert_eq!(
        rows,
        [
            row(Action::Create, "a", "machines"),
            row(Action::Create, "d", "devices"),
            row(Action::Update, "b", "machines"),
            row(Action::Delete, "c", "devices"),
            row(Action::Delete, "e", "machines"),
        ]
    );
    // The same after a snapshot was stored.
    let stored: Vec<RecordBatch> = batches(&model, &destination, 0, 0).collect::<Result<_, _>>().unwrap();
    let restored = restore(&model, &[Some(stored)]).remove(0).unwrap().rows;
    assert_eq!((0..3).map(|row| restored.resources.get(row)).collect::<Vec<_>>(), [Some("machines"), Some("devices"), Some("machines")]);
    assert_eq!(without(&restored, |id| id == "8").resources.get(1), Some("machines"));
    assert!(
        batches(&model, &given(&model, json!({"Device": [{"id": 1, "name": "a"}]}), Side::Source).0, 0, 0)
            .schema()
            .field_with_name("_destination_mapping")
            .is_err()
    );
}

#[test]
fn one_peer_and_a_set_of_that_peer_are_the_same_and_so_are_none_and_the_empty_set() {
    let model = roles();
    let feed = [json!([{"id": 3, "name": "leaf"}])];
    let read = |role: Value, others: Value, side| {
        from_feeds(&model, json!([{"id": 1, "name": "d", "role": role, "others": others}]), &feed, side).0
    };
    let one = read(json!({"id": 3}), json!(null), Side::Source);
    let set = read(json!([{"id": 3}]), json!([]), Side::Destination);
    assert!(diff(&model, &one, &set).is_empty() && diff(&model, &set, &one).is_empty());
    let none = read(json!([]), json!("leaf"), Side::Destination);
    assert_eq!(diff(&model, &one, &none).kinds[0].updates[0].fields, [1, 2]);
}

#[test]
fn field_that_closes_a_cycle_is_written_in_a_second_pass() {
    let mut model = Model {
        kinds: vec![
            kind("A", 1, &["name"], vec![plain("name"), refers("b", "B")]),
            kind("B", 0, &["name"], vec![plain("name"), refers("a", "A"), plain("size")]),
        ],
    };
    model.kinds[1].deferred = vec!["a".into()];
    let (source, told) = given(
        &model,
        json!({"A": [{"id": 1, "name": "a1", "b": {"id": 1}}], "B": [{"id": 1, "name": "b1", "a": {"id": 1}}, {"id": 2, "name": "b2", "a": "a1", "size": 2}]}),
        Side::Source,
    );
    assert_eq!(told, NONE);
    let told = |destination: &Snapshot| -> Vec<(Action, u32, String, String)> {
        plan_rows(&model, &source, destination, EVERYTHING)
            .into_iter()
            .map(|row| (row.action, row.pass, row.source_id, row.new_value.unwrap()))
            .collect()
    };
    let row = |action, pass, name: &str, value: &str| (action, pass, name.to_owned(), value.to_owned());
    assert_eq!(
        told(&Snapshot { kinds: vec![Default::default(); 2] }),
        [
            row(Action::Create, 0, "b1", r#"{"name":"b1"}"#),
            row(Action::Create, 0, "b2", r#"{"name":"b2","size":2}"#),
            row(Action::Create, 0, "a1", r#"{"name":"a1","b":"b1"}"#),
            row(Action::Update, 1, "b1", r#"{"a":"a1"}"#),
            row(Action::Update, 1, "b2", r#"{"a":"a1"}"#),
        ]
    );
    let (destination, _) = given(&model, json!({"B": [{"id": "x", "name": "b2"}, {"id": "y", "name": "b1"}]}), Side::Destination);
    assert_eq!(
        told(&destination),
        [
            row(Action::Update, 0, "b2", r#"{"size":2}"#),
            row(Action::Create, 0, "a1", r#"{"name":"a1","b":"b1"}"#),
            row(Action::Update, 1, "b1", r#"{"a":"a1"}"#),
            row(Action::Update, 1, "b2", r#"{"a":"a1"}"#),
        ]
    );
}

#[test]
fn only_a_template_sees_whether_a_field_is_missing_or_null() {
    let transforms = [("seen".to_owned(), "{{ 'yes' if color is defined else 'no' }}".to_owned())];
    let mut projection = Projection::default();
    let fields = ["name", "color", "seen"].map(|name| FieldSource::Path(name.into())).into_iter().enumerate().collect();
    let feed = Feed::new(0, Vec::new(), Some(Transforms::compile(&transforms).unwrap()), fields, &mut projection);
    let model = Model { kinds: vec![kind("Tag", 0, &["name"], vec![plain("name"), plain("color"), plain("seen")])] };
    let mut raw = RawKind::new(3);
    let body = json!([{"id": 1, "name": "missing"}, {"id": 2, "name": "null", "color": null}]);
    feed.append(&projection.json(&body.to_string(), "").unwrap(), &mut raw).unwrap();
    let (snapshot, _) = build(&model, vec![raw], Side::Source);
    let FieldColumn::Values(seen) = &snapshot.kinds[0].fields[2] else { panic!() };
    let FieldColumn::Values(colors) = &snapshot.kinds[0].fields[1] else { panic!() };
    assert_eq!([seen.to_json(0), seen.to_json(1)], [json!("no"), json!("yes")]);
    assert!(colors.same(0, colors, 1));
}

#[test]
fn one_key_for_a_hundred_thousand_rows_is_told_in_linear_time() {
    let model = network();
    let records: Vec<Value> = (0..100_000).map(|at| json!({"id": at % 50_000, "name": "x"})).collect();
    let (snapshot, told) = given(&model, json!({ "Tag": records }), Side::Destination);
    assert_eq!((told.len(), snapshot.kinds[3].rows()), (49_999, 1));
    // In the source they are one object, as long as they agree.
    let (snapshot, told) = given(&model, json!({ "Tag": records }), Side::Source);
    assert_eq!((told.len(), snapshot.kinds[3].rows(), snapshot.kinds[3].merged), (0, 1, 49_999));
    let records: Vec<Value> = (0..100_000).map(|at| json!({"id": at % 50_000, "name": "x", "color": at % 50_000})).collect();
    let (snapshot, told) = given(&model, json!({ "Tag": records }), Side::Source);
    assert_eq!((told.len(), snapshot.kinds[3].rows()), (49_999, 0));
}

/// Addresses on interfaces of two kinds.
fn addresses() -> Model {
    let named = |name: &str| kind(name, 0, &["name"], vec![plain("name")]);
    let fields = vec![plain("address"), refers_to_both("on", "Port", "VmPort"), many(refers_to_both("near", "Port", "VmPort"))];
    Model { kinds: vec![kind("Address", 1, &["address"], fields), named("Port"), named("VmPort")] }
}

/// Interfaces of both kinds, both with the ids 1 and 2.
fn ports() -> Value {
    json!({
        "Port": [{"id": 1, "name": "eth0"}, {"id": 2, "name": "eth1"}],
        "VmPort": [{"id": 1, "name": "eth0"}, {"id": 2, "name": "ens2"}],
    })
}

#[test]
fn mapping_says_which_kind_an_id_is_of() {
    let model = addresses();
    let mut records = ports();
    records["Address"] = json!([
        {"id": 1, "address": "a", "on": {"id": 1}, "on_kind": "Port"},
        {"id": 2, "address": "b", "on": {"id": 1}, "on_kind": "VmPort"},
        {"id": 3, "address": "c", "on": "eth0", "on_kind": "VmPort", "near": [{"id": 2}, {"id": 1}], "near_kind": "VmPort"},
        {"id": 4, "address": "d"},
    ]);
    let (source, told) = given(&model, records, Side::Source);
    assert_eq!(told, NONE);
    let on = |row: usize| held(&model, &source, "Address", "on", row);
    assert_eq!(on(0), (RefValue::One, vec!["Port:eth0".to_owned()]));
    assert_eq!([on(1), on(2)], [(); 2].map(|()| (RefValue::One, vec!["VmPort:eth0".to_owned()])));
    assert_eq!(on(3), (RefValue::Null, Vec::new()));
    assert_eq!(held(&model, &source, "Address", "near", 2), (RefValue::Many, vec!["VmPort:ens2".to_owned(), "VmPort:eth0".to_owned()]));
}

#[test]
fn peer_that_is_not_there_is_told_with_the_kind_that_was_meant_or_with_all() {
    let model = addresses();
    let mut records = ports();
    records["Address"] = json!([
        {"id": 1, "address": "a", "on": {"id": 7}, "on_kind": "VmPort"},
        {"id": 2, "address": "b", "on": {"id": 7}},
        {"id": 3, "address": "c", "on": "eth0"},
        {"id": 4, "address": "d", "on": "eth1", "near": ["ens2", {"name": "eth1"}, {"kind": "VmPort", "name": "eth0"}]},
    ]);
    let (source, told) = given(&model, records.clone(), Side::Source);
    assert_eq!(
        told,
        [
            "Address `1`: `on` refers to VmPort `7`, which was not loaded",
            "Address `2`: `on` refers to Port or VmPort `7`, which was not loaded",
            "Address `3`: `on` refers to Port or VmPort `eth0`: several kinds have it; name one in the value (`Kind:eth0`) or in each mapping (`reference: …`)",
        ]
    );
    let both = |row: usize| [held(&model, &source, "Address", "on", row).0, held(&model, &source, "Address", "near", row).0];
    assert_eq!(both(2), [RefValue::Unresolved, RefValue::Null]);
    assert_eq!(held(&model, &source, "Address", "on", 3), (RefValue::One, vec!["Port:eth1".to_owned()]));
    let near = ["Port:eth1", "VmPort:ens2", "VmPort:eth0"].map(str::to_owned).to_vec();
    assert_eq!(held(&model, &source, "Address", "near", 3), (RefValue::Many, near));
    // In the destination none of these is a problem: what it refers to is not known, and so differs from every peer.
    let (destination, told) = given(&model, records, Side::Destination);
    assert_eq!(told, NONE);
    assert_eq!(diff(&model, &destination, &destination).kinds[0].updates.len(), 3);
}

#[test]
fn peer_of_another_kind_is_a_difference_although_id_and_name_are_the_same() {
    let model = addresses();
    let side = |meant: &str, role: Side| {
        let mut records = ports();
        records["Address"] = json!([{"id": 1, "address": "a", "on": {"id": 1}, "on_kind": meant, "near": [{"id": 1}], "near_kind": meant}]);
        given(&model, records, role).0
    };
    let (source, destination) = (side("VmPort", Side::Source), side("Port", Side::Destination));
    let rows = plan_rows(&model, &source, &destination, EVERYTHING);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].old_value.as_deref(), Some(r#"{"on":"Port:eth0","near":["Port:eth0"]}"#));
    assert_eq!(rows[0].new_value.as_deref(), Some(r#"{"on":"VmPort:eth0","near":["VmPort:eth0"]}"#));
    let peer = r#"{"kind":"VmPort","key":["eth0"],"id":"1"}"#;
    assert_eq!(rows[0].peers.as_deref(), Some(format!(r#"{{"on":{peer},"near":[{peer}]}}"#).as_str()));
    assert!(diff(&model, &side("VmPort", Side::Source), &side("VmPort", Side::Destination)).is_empty());
}
