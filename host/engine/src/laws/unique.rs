//! Values that no two objects share: whatever is permuted converges in one run, also when that is killed.

use std::path::Path;

use infrahub_sync_config::Project;
use infrahub_sync_runtime::{Field, FieldType, Kind};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::memory::{Behaviour, Faults, Net, Object, Schema, To, to};
use super::undo::drifted;
use super::{Command, Outcomes, Pair, behaviour, config};

/// A device has a tag, a slot, a bay and cables that no other one has. Its ports may move to another device.
const CONFIG: &str = "
name: world
source: {name: source}
destination: {name: destination}
max_deletes: 100%
deletes: all
diffsync_flags: [NONE]
schema_mapping:
  - name: Port
    mapping: ports
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: device, mapping: device, reference: Device}]
  - name: Device
    mapping: devices
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: tag, mapping: tag}
      - {name: slot, mapping: slot}
      - {name: bay, mapping: bay, reference: Bay}
      - {name: leader, mapping: leader, reference: Device}
      - {name: cables, mapping: cables, reference: Bay}
      - {name: room, mapping: room, reference: Bay}
      - {name: unit, mapping: unit}
  - name: Bay
    mapping: bays
    identifiers: [name]
    fields: [{name: name, mapping: name}]
";

fn project() -> Project {
    Project::parse(CONFIG, Path::new("config.yml"), &|_: &str| None).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Returns the schema; a tag is optional or not.
fn schema(tag_is_optional: bool, null_is_a_value: bool) -> Schema {
    let field = |name: &str, field_type, optional, unique, peer: Option<&str>| Field {
        name: name.to_owned(),
        field_type,
        optional,
        unique,
        read_only: false,
        references: peer.map(str::to_owned).into_iter().collect(),
        choices: Vec::new(),
        default: None,
    };
    let kind = |name: &str, fields: Vec<Field>| Kind {
        name: name.to_owned(),
        identifiers: vec!["name".to_owned()],
        fields,
        stands_for: Vec::new(),
        cascades: Vec::new(),
        unique_together: Vec::new(),
        can_create: true,
        can_update: true,
        can_delete: true,
    };
    let name = || field("name", FieldType::Text, false, true, None);
    let device = vec![
        name(),
        field("tag", FieldType::Text, tag_is_optional, true, None),
        field("slot", FieldType::Integer, true, true, None),
        field("bay", FieldType::Reference, true, true, Some("Bay")),
        field("leader", FieldType::Reference, true, false, Some("Device")),
        field("cables", FieldType::ReferenceList, true, true, Some("Bay")),
        field("room", FieldType::Reference, true, false, Some("Bay")),
        field("unit", FieldType::Integer, true, false, None),
    ];
    let port = vec![name(), field("device", FieldType::Reference, true, false, Some("Device"))];
    let device = Kind { unique_together: vec![vec!["room".to_owned(), "unit".to_owned()]], ..kind("Device", device) };
    Schema { kinds: vec![kind("Port", port), device, kind("Bay", vec![name()])], null_is_a_value }
}

fn named(name: &str) -> Object {
    Object { key: Map::from_iter([("name".to_owned(), json!(name))]), ..Object::default() }
}

fn device(at: u8) -> String {
    format!("d{at}")
}

/// Some of seven devices, each with values that no other one has.
fn net() -> impl Strategy<Value = Net> {
    let permutation = |size: u8| Just((0..size).collect::<Vec<u8>>()).prop_shuffle();
    let led = prop::collection::vec(prop::option::of(0u8..7), 7);
    let ports = prop::collection::vec(prop::option::of(0u8..7), 4);
    let cables = prop::collection::vec(prop::option::of(0u8..7), 8);
    let there = prop::sample::subsequence((0..7).collect::<Vec<u8>>(), 0..=7);
    (there, (permutation(7), permutation(9)), permutation(9), permutation(8), led, ports, cables).prop_map(
        |(there, (tags, places), slots, bays, led, ports, cables)| {
            let mut net = Net::new();
            let bay = |at: u8| to("Bay", &format!("b{at}"));
            net.insert("Bay".to_owned(), (0..8).map(|at| (bay(at).1, named(&bay(at).1))).collect());
            for at in &there {
                let (mut object, index) = (named(&device(*at)), *at as usize);
                object.values.insert("tag".to_owned(), json!(format!("t{}", tags[index])));
                if slots[index] < 7 {
                    object.values.insert("slot".to_owned(), json!(slots[index]));
                }
                if bays[index] < 6 {
                    object.one.insert("bay".to_owned(), bay(bays[index]));
                }
                if let Some(leader) = led[index].filter(|leader| there.contains(leader) && leader != at) {
                    object.one.insert("leader".to_owned(), to("Device", &device(leader)));
                }
                // Nine places, and some are in no room.
                let place = places[index];
                object.values.insert("unit".to_owned(), json!(place % 3));
                if place < 8 {
                    object.one.insert("room".to_owned(), bay(place / 3));
                }
                let own = (0..8u8).zip(&cables).filter(|(_, of)| **of == Some(*at)).map(|(cable, _)| bay(cable));
                object.many.insert("cables".to_owned(), own.collect());
                net.entry("Device".to_owned()).or_default().insert(device(*at), object);
            }
            for (at, of) in ports.iter().enumerate() {
                let mut port = named(&format!("p{at}"));
                port.one.extend(of.filter(|of| there.contains(of)).map(|of| ("device".to_owned(), to("Device", &device(of)))));
                net.entry("Port".to_owned()).or_default().insert(format!("p{at}"), port);
            }
            net
        },
    )
}

/// Nine devices of which each has the value of one field that the permutation gives it.
fn permuted(order: &[u8], texts: bool) -> Net {
    let objects = (0u8..).zip(order).map(|(at, value)| {
        let mut object = named(&device(at));
        let (tag, slot) = if texts { (*value, at) } else { (at, *value) };
        object.values.insert("unit".to_owned(), json!(at));
        object.values.insert("tag".to_owned(), json!(format!("t{tag}")));
        object.values.insert("slot".to_owned(), json!(slot));
        (device(at), object)
    });
    Net::from([("Device".to_owned(), objects.collect())])
}

fn pair(a: &Net, b: &Net, behaviour: Behaviour, schema: Schema) -> Pair {
    Pair::of(project(), a, b, behaviour, schema)
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_permutation_converges_in_one_run(a in net(), b in net(), behaviour in behaviour(), optional: bool) {
        let mut pair = pair(&a, &b, behaviour, schema(optional, false));
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        pair.assert_in_sync();
    }

    #[test]
    fn one_field_converges_where_two_nulls_collide(order in Just((0..9u8).collect::<Vec<_>>()).prop_shuffle(), behaviour in behaviour(), texts: bool) {
        let sorted: Vec<u8> = (0..9).collect();
        let mut pair = pair(&permuted(&order, texts), &permuted(&sorted, texts), behaviour, schema(true, true));
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        pair.assert_in_sync();
    }

    #[test]
    fn a_permutation_is_taken_back(a in net(), b in net(), behaviour in behaviour(), optional: bool) {
        let mut pair = pair(&a, &b, behaviour, schema(optional, false));
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        prop_assume!(applied.counts != Outcomes::default());
        let before_undo = pair.destination.net();
        let undo = pair.take_back("run-1");
        let redo = pair.take_back(&undo);
        prop_assert_eq!(pair.destination.net(), before_undo);
        prop_assert!(drifted(&pair.drift(&redo)).is_empty());
    }

    #[test]
    fn killed_at_any_step_it_resumes(a in net(), b in net(), behaviour in behaviour(), optional: bool, kills in prop::collection::vec((0u64..40, any::<bool>()), 1..4), again: bool) {
        let mut pair = pair(&a, &b, behaviour, schema(optional, false));
        let id = pair.next_id();
        let mut done = false;
        for kill in kills {
            pair.destination.fail(Faults { kill: Some(kill), ..Faults::default() });
            if let Some(ended) = pair.run(if pair.has_plan(&id) { Command::Apply } else { Command::Sync }, &id) {
                prop_assert!(ended.is_ok(), "{:?}", ended.err());
                done = true;
                break;
            }
        }
        pair.destination.fail(Faults::default());
        if !done {
            // Either the same plan, or a new one that finds what is parked.
            let applied = if pair.has_plan(&id) && again { pair.apply(&id) } else { pair.sync() };
            prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        }
        pair.assert_in_sync();
    }

    #[test]
    fn what_waits_for_a_rejected_row_is_written_with_it_later(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>()) {
        let all: Vec<To> = a.iter().chain(&b).flat_map(|(kind, objects)| objects.keys().map(move |uid| to(kind, uid))).collect();
        let mut pair = pair(&a, &b, Behaviour { stages: false, ..behaviour }, schema(true, false));
        pair.destination.fail(Faults { rejected: [all[pick.index(all.len())].clone()].into(), ..Faults::default() });
        let applied = pair.sync();
        // No row is sent that must collide in one field. Of several fields a change tells only those that differ.
        let collided = applied.failures.iter().find(|failure| failure.reason.to_string().contains("takes `"));
        prop_assert!(collided.is_none(), "{:?}", collided);
        pair.destination.fail(Faults::default());
        let again = pair.apply("run-1");
        prop_assert_eq!(again.counts.not_written(), 0, "{:?}", again.failures);
        pair.assert_in_sync();
    }
}

#[test]
fn a_value_that_stays_is_named_and_the_rest_is_written() {
    let sorted: Vec<u8> = (0..9).collect();
    let mut a = permuted(&sorted, true);
    let new = a.get_mut("Device").and_then(|devices| devices.remove("d0")).unwrap_or_default();
    let new = Object { key: named("new").key, ..new };
    a.entry("Device".to_owned()).or_default().insert("new".to_owned(), new);
    let mut pair = pair(&a, &permuted(&sorted, true), Behaviour::default(), schema(false, true));
    pair.project.flags.delete = false;
    let applied = pair.sync();
    let failures: Vec<String> = applied.failures.iter().map(|failure| format!("{}: {}", failure.unique_id, failure.reason)).collect();
    let held = |value: &str| format!("{value} is held by Device `d0`, which this plan does not delete");
    assert_eq!(failures, [format!("new: skipped: {}; {}", held("`tag` \"t0\""), held("`slot` 0"))]);
    assert!(!applied.run.summary.in_sync());
    pair.project.flags.delete = true;
    assert_eq!(pair.sync().counts.not_written(), 0);
    pair.assert_in_sync();
}
