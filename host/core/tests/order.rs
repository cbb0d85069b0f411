//! The order of writes by unique values: a plan, written row by row to a system that rejects what is taken twice, ends in the source's state.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use infrahub_sync_base::Side;
use infrahub_sync_core::diff::diff;
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::model::{Cardinality, FieldModel, FieldType, KindModel, Model, Ownership};
use infrahub_sync_core::plan::{Dependents, KindSummary, Policy, plan};
use infrahub_sync_core::plan_row::{Action, PARKING, PlanRow};
use infrahub_sync_core::snapshot::{Snapshot, build};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn field(name: &str, field_type: FieldType, optional: bool) -> FieldModel {
    FieldModel {
        name: name.into(),
        field_type,
        optional,
        reference: None,
        also: Vec::new(),
        cardinality: Cardinality::Unknown,
        default: None,
        ownership: Ownership::Usual,
    }
}

fn refers(name: &str, kind: &str, cardinality: Cardinality) -> FieldModel {
    FieldModel { reference: Some(kind.into()), cardinality, ..field(name, FieldType::Any, true) }
}

/// A device has three values of its own: a text that it must have, a number, and a bay. Ports belong to devices.
fn model(tag_is_optional: bool) -> Model {
    let kind = |name: &str, tier, unique: &[&str], fields| KindModel {
        name: name.into(),
        identifiers: vec!["name".into()],
        tier,
        deferred: Vec::new(),
        lookup: false,
        unique: unique.iter().map(|names| names.split(' ').map(str::to_owned).collect()).collect(),
        fields,
    };
    let name = || field("name", FieldType::Text, false);
    let device = vec![
        name(),
        field("tag", FieldType::Text, tag_is_optional),
        field("slot", FieldType::Integer, true),
        refers("bay", "Bay", Cardinality::One),
        refers("leader", "Device", Cardinality::One),
        refers("cables", "Bay", Cardinality::Many),
        refers("room", "Bay", Cardinality::One),
        field("unit", FieldType::Integer, true),
    ];
    Model {
        kinds: vec![
            kind("Port", 2, &[], vec![name(), refers("device", "Device", Cardinality::One)]),
            kind("Device", 1, &["name", "tag", "slot", "bay", "cables", "room unit", "name unit"], device),
            kind("Bay", 0, &[], vec![name()]),
        ],
    }
}

/// Objects by kind and name.
type Net = BTreeMap<&'static str, BTreeMap<String, Map<String, Value>>>;

fn snapshot(model: &Model, net: &Net, side: Side) -> Snapshot {
    let raw = model.kinds.iter().map(|kind| {
        let mut raw = RawKind::new(kind.fields.len());
        for object in net.get(kind.name.as_str()).into_iter().flat_map(BTreeMap::values) {
            for (field, column) in kind.fields.iter().zip(&mut raw.columns) {
                let value = object.get(&field.name).unwrap_or(&Value::Null);
                if field.reference.is_some() { column.push_peer(value) } else { column.push_json(value) }
            }
            raw.rows += 1;
        }
        raw
    });
    let (snapshot, problems) = build(model, raw.collect(), side);
    assert_eq!(problems, []);
    snapshot
}

fn planned(model: &Model, source: &Net, destination: &Net, policy: Policy) -> (Vec<PlanRow>, Vec<KindSummary>) {
    let (a, b) = (snapshot(model, source, Side::Source), snapshot(model, destination, Side::Destination));
    let plan = plan(model, &a, &b, diff(model, &a, &b), policy).of_run("r");
    (plan.rows().collect(), plan.summary.clone())
}

const EVERYTHING: Policy = Policy { create: true, update: true, delete: true };

/// A system that rejects what is taken twice. `null_is_a_value`: two objects cannot both have none.
struct System<'m> {
    model: &'m Model,
    net: Net,
    null_is_a_value: bool,
}

impl System<'_> {
    /// Writes the rows until one is rejected.
    fn write(&mut self, rows: &[PlanRow]) -> Result<(), String> {
        rows.iter().filter(|row| row.skip_reason.is_none()).try_for_each(|row| self.write_row(row))
    }

    fn write_row(&mut self, row: &PlanRow) -> Result<(), String> {
        let (_, kind) = self.model.kind(&row.resource).unwrap();
        let name = match row.resource.as_str() {
            "Port" => "Port",
            "Device" => "Device",
            _ => "Bay",
        };
        let new: Map<String, Value> = row.new_value.as_deref().map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default();
        let is_there = self.net.get(name).is_some_and(|objects| objects.contains_key(&row.source_id));
        assert_eq!(is_there, row.action != Action::Create, "{row:?}");
        if row.action == Action::Delete {
            // Devices that lead one another are deleted in any order.
            let holds = |kind: &str, (field, value): (&String, &Value)| {
                peer_of(self.model, kind, field) == Some(name) && names(value).contains(&row.source_id)
            };
            let by = if name == "Device" { "Port" } else { "Device" };
            let used = self.net.get(by).into_iter().flatten().any(|(_, object)| object.iter().any(|field| holds(by, field)));
            if used {
                return Err(format!("{} is deleted while it is referred to", row.source_id));
            }
            for object in self.net.get_mut("Device").into_iter().flat_map(BTreeMap::values_mut) {
                object.retain(|field, value| field != "leader" || !names(value).contains(&row.source_id));
            }
            self.net.get_mut(name).unwrap().remove(&row.source_id);
            return Ok(());
        }
        for field in kind.unique.iter().filter(|set| set.len() == 1).flatten() {
            let Some(value) = new.get(field) else { continue };
            let (_, others) = (field, self.net.get(name).into_iter().flatten().filter(|(other, _)| **other != row.source_id));
            for (other, object) in others {
                let theirs = object.get(field).unwrap_or(&Value::Null);
                let is_value = kind.fields.iter().any(|known| known.name == *field && known.reference.is_none());
                let both_null = is_value && self.null_is_a_value && value.is_null() && theirs.is_null();
                if both_null || names(value).iter().any(|name| names(theirs).contains(name)) {
                    return Err(format!("{} takes `{field}` {value} of {other}", row.source_id));
                }
            }
        }
        let mut object = self.net.get(name).and_then(|objects| objects.get(&row.source_id)).cloned().unwrap_or_default();
        object.extend(new.clone());
        for set in kind.unique.iter().filter(|set| set.len() > 1) {
            let is_value = |value: &&Value| self.null_is_a_value || !value.is_null();
            let of = |object: &Map<String, Value>| {
                set.iter().map(|field| Some(object.get(field).unwrap_or(&NONE)).filter(is_value).cloned()).collect()
            };
            let mine: Option<Vec<Value>> = of(&object);
            // Devices without a room and a unit are in no one's way.
            let mine = mine.filter(|parts| parts.iter().any(|part| !part.is_null()));
            let taken = |(other, theirs): (&String, &Map<String, Value>)| *other != row.source_id && mine.is_some() && of(theirs) == mine;
            if self.net.get(name).into_iter().flatten().any(taken) {
                return Err(format!("{} takes {set:?} {mine:?} of another", row.source_id));
            }
        }
        for (field, value) in &new {
            if let Some(peer) = peer_of(self.model, name, field) {
                let known = self.net.get(peer);
                for name in names(value) {
                    assert!(known.is_some_and(|known| known.contains_key(&name)), "`{field}` of {} refers to {name}", row.source_id);
                }
            }
        }
        self.net.entry(name).or_default().entry(row.source_id.clone()).or_default().extend(new);
        Ok(())
    }
}

fn peer_of<'m>(model: &'m Model, kind: &str, field: &str) -> Option<&'m str> {
    let (_, kind) = model.kind(kind)?;
    kind.fields.iter().find(|known| known.name == field)?.reference.as_deref()
}

fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().flat_map(names).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

fn normal(net: &Net) -> Net {
    let mut net = net.clone();
    for object in net.values_mut().flat_map(BTreeMap::values_mut) {
        object.retain(|_, value| !value.is_null() && *value != json!([]));
    }
    net.retain(|_, objects| !objects.is_empty());
    net
}

fn device(name: &str, tag: Value, slot: Value, bay: Value) -> (String, Map<String, Value>) {
    let Value::Object(object) = json!({"name": name, "tag": tag, "slot": slot, "bay": bay}) else { unreachable!() };
    (name.to_owned(), object)
}

fn net(devices: Vec<(String, Map<String, Value>)>, ports: &[(&str, &str)]) -> Net {
    let named = |name: &str| Map::from_iter([("name".to_owned(), json!(name))]);
    let bays = (0..8).map(|at| (format!("b{at}"), named(&format!("b{at}")))).collect();
    let ports = ports.iter().map(|(port, device)| {
        let mut object = named(port);
        object.insert("device".to_owned(), json!(device));
        ((*port).to_owned(), object)
    });
    BTreeMap::from([("Device", devices.into_iter().collect()), ("Bay", bays), ("Port", ports.collect())])
}

/// Plans, writes, and compares; returns the rows as `action name field`.
fn converge(model: &Model, source: &Net, destination: &Net, null_is_a_value: bool) -> Vec<String> {
    let (rows, summary) = planned(model, source, destination, EVERYTHING);
    let mut system = System { model, net: destination.clone(), null_is_a_value };
    system.write(&rows).unwrap_or_else(|why| panic!("{why}: {rows:#?}"));
    assert_eq!(normal(&system.net), normal(source), "{rows:#?}");
    assert!(summary.iter().all(|kind| kind.blocked == 0 && kind.skipped == 0), "{rows:#?}");
    let (again, _) = planned(model, source, &system.net, EVERYTHING);
    assert_eq!(again, [], "a second run plans nothing");
    let shown = rows.iter().map(|row| {
        let what = if row.pass == PARKING { "free" } else { row.action.as_str() };
        format!("{what} {} {}", row.source_id, row.attribute.as_deref().unwrap_or_default()).trim_end().to_owned()
    });
    shown.collect()
}

fn text(tag: &str) -> Value {
    json!(tag)
}

const NONE: Value = Value::Null;

#[test]
fn a_swap_goes_through_a_parked_text() {
    let source = net(vec![device("a", text("2"), NONE, NONE), device("b", text("1"), NONE, NONE)], &[]);
    let destination = net(vec![device("a", text("1"), NONE, NONE), device("b", text("2"), NONE, NONE)], &[]);
    assert_eq!(converge(&model(false), &source, &destination, true), ["free a tag", "update b tag", "update a tag"]);
    let (rows, _) = planned(&model(false), &source, &destination, EVERYTHING);
    assert_eq!(rows[0].new_value.as_deref(), Some(r#"{"tag":"parked-r-1"}"#));
    assert_eq!(rows[0].old_value.as_deref(), Some(r#"{"tag":"1"}"#));
}

#[test]
fn one_to_one_peers_are_swapped_through_an_empty_one() {
    let source = net(vec![device("a", NONE, NONE, text("b2")), device("b", NONE, NONE, text("b1"))], &[]);
    let destination = net(vec![device("a", NONE, NONE, text("b1")), device("b", NONE, NONE, text("b2"))], &[]);
    assert_eq!(converge(&model(true), &source, &destination, false), ["free a bay", "update b bay", "update a bay"]);
    let (rows, _) = planned(&model(true), &source, &destination, EVERYTHING);
    assert_eq!((rows[0].new_value.as_deref(), rows[0].peers.as_deref()), (Some(r#"{"bay":null}"#), Some(r#"{"bay":null}"#)));
}

/// Devices `a`, `b`, … with a room and a unit each.
fn placed(places: &[(&str, u8)]) -> Net {
    let made = places.iter().zip('a'..).map(|((room, unit), name)| {
        let (key, mut object) = device(&name.to_string(), NONE, NONE, NONE);
        object.extend([("room".to_owned(), text(room)), ("unit".to_owned(), json!(unit))]);
        (key, object)
    });
    net(made.collect(), &[])
}

#[test]
fn values_that_are_unique_together_are_swapped() {
    let places = |units: [u8; 2]| placed(&[("b1", units[0]), ("b1", units[1])]);
    let rows = converge(&model(true), &places([2, 1]), &places([1, 2]), false);
    assert_eq!(rows, ["free a unit", "update b unit", "update a unit"]);
    // The same units in other rooms are in no one's way.
    let rows = converge(&model(true), &placed(&[("b1", 2), ("b2", 1)]), &placed(&[("b1", 1), ("b2", 2)]), false);
    assert_eq!(rows, ["update a unit", "update b unit"]);
    // The unit cannot be empty.
    let mut fixed = model(true);
    let unit = fixed.kinds[1].fields.iter_mut().find(|field| field.name == "unit").unwrap();
    unit.optional = false;
    let (rows, summary) = planned(&fixed, &places([2, 1]), &places([1, 2]), EVERYTHING);
    let why: Vec<&str> = rows.iter().filter_map(|row| row.skip_reason.as_deref()).collect();
    assert_eq!(why.len(), 2, "{rows:#?}");
    assert!(why[1].starts_with("`room` \"b1\" with `unit` 1 is held by Device `a`: each waits for the other"), "{why:?}");
    assert_eq!(summary.iter().map(|kind| kind.blocked).sum::<u64>(), 2, "{rows:#?}");
}

#[test]
fn a_chain_is_written_from_its_free_end() {
    let tags =
        |names: [&str; 3]| net(["a", "b", "c"].iter().zip(names).map(|(name, tag)| device(name, text(tag), NONE, NONE)).collect(), &[]);
    let rows = converge(&model(false), &tags(["2", "3", "4"]), &tags(["1", "2", "3"]), true);
    assert_eq!(rows, ["update c tag", "update b tag", "update a tag"]);
}

#[test]
fn a_long_chain_costs_few_steps() {
    let devices = |shift: usize| (0..100).map(|at| device(&format!("d{at:02}"), text(&format!("t{}", at + shift)), NONE, NONE)).collect();
    let rows = converge(&model(false), &net(devices(1), &[]), &net(devices(0), &[]), true);
    assert_eq!(rows.iter().filter(|row| row.starts_with("free")).count(), 5, "{rows:?}");
}

#[test]
fn numbers_are_swapped_one_pair_at_a_time_where_two_nulls_may_collide() {
    let slots =
        |slots: [u8; 4]| net(slots.iter().enumerate().map(|(at, slot)| device(&format!("d{at}"), NONE, json!(slot), NONE)).collect(), &[]);
    let rows = converge(&model(true), &slots([2, 1, 4, 3]), &slots([1, 2, 3, 4]), false);
    let expected = ["free d0 slot", "update d1 slot", "update d0 slot", "free d2 slot", "update d3 slot", "update d2 slot"];
    assert_eq!(rows, expected);
}

#[test]
fn replaced_hardware_takes_the_tag_of_what_is_deleted() {
    let source = net(vec![device("new", text("T"), NONE, NONE)], &[("p2", "new")]);
    let destination = net(vec![device("old", text("T"), NONE, NONE)], &[("p1", "old")]);
    let rows = converge(&model(false), &source, &destination, true);
    assert_eq!(rows, ["delete p1", "delete old", "create new", "create p2"]);
}

#[test]
fn what_others_still_refer_to_frees_its_tag_and_is_deleted_later() {
    let source = net(vec![device("new", text("T"), NONE, NONE)], &[("p1", "new")]);
    let destination = net(vec![device("old", text("T"), NONE, NONE)], &[("p1", "old")]);
    let rows = converge(&model(false), &source, &destination, true);
    assert_eq!(rows, ["free old tag", "create new", "update p1 device", "delete old"]);
}

#[test]
fn a_delete_that_is_left_out_frees_nothing() {
    let model = model(false);
    for ports in [&[("p1", "new")][..], &[("p2", "new")]] {
        let source = net(vec![device("new", text("T"), NONE, NONE)], ports);
        let destination =
            net(vec![device("old", text("T"), NONE, NONE)], &ports.iter().map(|(port, _)| (*port, "old")).collect::<Vec<_>>());
        let (a, b) = (snapshot(&model, &source, Side::Source), snapshot(&model, &destination, Side::Destination));
        let plan = plan(&model, &a, &b, diff(&model, &a, &b), EVERYTHING).of_run("r");
        let (device, _) = model.kind("Device").unwrap();
        let old = plan.deletes().find(|delete| delete.object.kind == device).unwrap().object;
        let note = Dependents { kind: "Note".into(), mapped: Vec::new(), count: 1, ids: Vec::new() };
        let (plan, left_out) = plan.with_along(&HashMap::from([(old, vec![note])]), &[]);
        assert_eq!((left_out.len(), left_out[0].count), (1, 1));
        let rows: Vec<PlanRow> = plan.rows().collect();
        assert!(rows.iter().all(|row| row.source_id != "old"), "{rows:#?}");
        let create = rows.iter().find(|row| row.source_id == "new").unwrap();
        assert_eq!(create.skip_reason.as_deref(), Some("`tag` \"T\" is held by Device `old`, which this plan does not delete"));
        let counts = plan.summary.iter().find(|kind| kind.kind == "Device").unwrap();
        assert_eq!((counts.create, counts.delete, counts.blocked, counts.skipped), (0, 0, 1, 2));
    }
}

#[test]
fn a_create_whose_value_stays_is_skipped_and_says_who_has_it() {
    let source = net(vec![device("new", text("T"), NONE, NONE)], &[("p", "new")]);
    let destination = net(vec![device("old", text("T"), NONE, NONE)], &[]);
    let (rows, summary) = planned(&model(false), &source, &destination, Policy { delete: false, ..EVERYTHING });
    let create = rows.iter().find(|row| row.source_id == "new").unwrap();
    assert_eq!(create.skip_reason.as_deref(), Some("`tag` \"T\" is held by Device `old`, which this plan does not delete"));
    let device = summary.iter().find(|kind| kind.kind == "Device").unwrap();
    assert_eq!((device.create, device.blocked, device.skipped), (0, 1, 2));
}

#[test]
fn an_update_keeps_what_it_can_write() {
    let mut source = net(vec![device("a", text("T"), json!(7), NONE), device("c", text("T3"), NONE, NONE)], &[]);
    source.get_mut("Device").unwrap().remove("c");
    let destination =
        net(vec![device("a", text("T1"), json!(1), NONE), device("b", text("T"), NONE, NONE), device("c", text("T3"), NONE, NONE)], &[]);
    let (rows, summary) = planned(&model(false), &source, &destination, Policy { delete: false, ..EVERYTHING });
    let of_a: Vec<_> =
        rows.iter().filter(|row| row.source_id == "a").map(|row| (row.attribute.as_deref().unwrap(), row.skip_reason.is_some())).collect();
    assert_eq!(of_a, [("slot", false), ("tag", true)]);
    let device = summary.iter().find(|kind| kind.kind == "Device").unwrap();
    assert_eq!((device.update, device.blocked), (1, 1));
}

#[test]
fn two_that_want_one_value_do_not_both_get_it() {
    let source = net(vec![device("a", text("T"), NONE, NONE), device("b", text("T"), NONE, NONE)], &[]);
    let (rows, _) = planned(&model(false), &source, &net(Vec::new(), &[]), EVERYTHING);
    let reasons: Vec<_> = rows.iter().map(|row| row.skip_reason.as_deref()).collect();
    assert_eq!(reasons, [None, Some("`tag` \"T\" goes to Device `a` as well")]);
}

#[test]
fn a_leader_that_waits_for_a_value_comes_before_those_that_it_leads() {
    let mut source =
        net(vec![device("boss", text("1"), NONE, NONE), device("x", text("2"), NONE, NONE), device("a", text("3"), NONE, NONE)], &[]);
    for led in ["a", "x"] {
        source.get_mut("Device").unwrap().get_mut(led).unwrap().insert("leader".into(), json!("boss"));
    }
    let destination = net(vec![device("x", text("1"), NONE, NONE)], &[]);
    let rows = converge(&model(false), &source, &destination, true);
    assert_eq!(rows[0], "free x tag", "x waits for boss, and boss for the tag of x: {rows:?}");
}

/// A number of devices, each with values of a small pool that no two share.
fn devices() -> impl Strategy<Value = Net> {
    let permutation = |size: u8| Just((0..size).collect::<Vec<u8>>()).prop_shuffle();
    let led = prop::collection::vec(prop::option::of(0usize..7), 7);
    let ports = prop::collection::vec(prop::option::of(0usize..7), 4);
    let cables = prop::collection::vec(prop::option::of(0usize..7), 8);
    let places = (permutation(7), permutation(9));
    (prop::sample::subsequence((0..7).collect::<Vec<u8>>(), 0..=7), places, permutation(9), permutation(8), led, ports, cables).prop_map(
        |(there, (tags, places), slots, bays, led, ports, cables)| {
            let name = |at: u8| format!("d{at}");
            let known: BTreeSet<String> = there.iter().map(|at| name(*at)).collect();
            let made = there.iter().map(|at| {
                let index = *at as usize;
                // Some have none.
                let slot = if slots[index] < 7 { json!(slots[index]) } else { Value::Null };
                let bay = if bays[index] < 6 { json!(format!("b{}", bays[index])) } else { Value::Null };
                let (key, mut object) = device(&name(*at), text(&format!("t{}", tags[index])), slot, bay);
                if let Some(leader) = led[index].map(|at| name(at as u8)).filter(|leader| known.contains(leader) && *leader != key) {
                    object.insert("leader".into(), json!(leader));
                }
                let own: Vec<String> =
                    cables.iter().enumerate().filter(|(_, of)| **of == Some(index)).map(|(at, _)| format!("b{at}")).collect();
                object.insert("cables".into(), json!(own));
                // Nine places, and some are in no room.
                let place = places[index];
                object.insert("room".into(), if place == 8 { Value::Null } else { json!(format!("b{}", place / 3)) });
                object.insert("unit".into(), json!(place % 3));
                (key, object)
            });
            let made: Vec<_> = made.collect();
            let ports: Vec<(String, String)> = ports
                .iter()
                .enumerate()
                .filter_map(|(at, device)| Some((format!("p{at}"), name(u8::try_from((*device)?).ok()?))))
                .filter(|(_, device)| known.contains(device))
                .collect();
            let ports: Vec<(&str, &str)> = ports.iter().map(|(port, device)| (port.as_str(), device.as_str())).collect();
            net(made, &ports)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_permutation_converges_in_one_run(source in devices(), destination in devices(), optional: bool) {
        converge(&model(optional), &source, &destination, false);
    }

    #[test]
    fn any_permutation_of_one_field_converges_where_two_nulls_collide(order in Just((0..9u8).collect::<Vec<_>>()).prop_shuffle(), texts: bool) {
        let made = |order: &[u8]| order.iter().enumerate().map(|(at, value)| {
            let (tag, slot) = if texts { (text(&format!("t{value}")), json!(at)) } else { (text(&format!("t{at}")), json!(value)) };
            device(&format!("d{at}"), tag, slot, NONE)
        }).collect();
        let sorted: Vec<u8> = (0..9).collect();
        converge(&model(true), &net(made(&order), &[]), &net(made(&sorted), &[]), true);
    }

    #[test]
    fn any_permutation_of_places_converges_where_two_nulls_collide(order in Just((0..9u8).collect::<Vec<_>>()).prop_shuffle()) {
        let rooms = ["b0", "b1", "b2"];
        let made = |order: &[u8]| placed(&order.iter().map(|at| (rooms[usize::from(at / 3)], at % 3)).collect::<Vec<_>>());
        let sorted: Vec<u8> = (0..9).collect();
        let mut model = model(true);
        // Only the places are unique.
        model.kinds[1].unique.retain(|set| set.len() > 1);
        converge(&model, &made(&order), &made(&sorted), true);
    }
}
