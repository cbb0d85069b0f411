//! Laws of deletes: a delete is what the plan says, and what is gone is gone.

use std::collections::{BTreeMap, BTreeSet};

use infrahub_sync_core::along::Along;
use infrahub_sync_core::guardrail::DeleteLimit;
use infrahub_sync_core::plan_row::{Action, PlanRow};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::memory::{Behaviour, Edit, Faults, Net, Object, To, to};
use super::world::net;
use super::{Command, Pair, all, behaviour, config, rows};
use crate::EngineError;
use crate::apply::FailureReason;

/// The cascade to a kind that the project does not map.
const PORTS: (&str, &str, &str) = ("Port", "device", "Device");
/// Cascades between mapped kinds.
const MAPPED: [(&str, &str, &str); 5] = [
    ("Rack", "site", "Site"),
    ("Device", "rack", "Rack"),
    ("Device", "tags", "Tag"),
    ("Region", "parent", "Region"),
    ("Device", "mount", "Rack"),
];

fn port(name: &str, device: &To) -> Object {
    let key = Map::from_iter([("name".to_owned(), json!(name))]);
    Object { key, one: BTreeMap::from([("device".to_owned(), device.clone())]), ..Object::default() }
}

/// Adds ports to each device.
fn with_ports(mut net: Net, ports: usize) -> Net {
    let devices: Vec<String> = net.get("Device").into_iter().flat_map(|devices| devices.keys().cloned()).collect();
    for (at, device) in devices.iter().enumerate() {
        for number in 0..ports {
            let name = format!("p{at}-{number}");
            net.entry("Port".to_owned()).or_default().insert(name.clone(), port(&name, &to("Device", device)));
        }
    }
    net
}

/// Returns the objects of a system by id.
fn by_id(net: &Net) -> BTreeMap<String, To> {
    all(net).map(|(kind, uid, object)| (object.id.clone(), to(kind, uid))).collect()
}

/// Returns the ids that the deletes of a plan take along.
fn along_ids(rows: &[PlanRow]) -> BTreeSet<String> {
    let along = rows.iter().flat_map(|row| Along::parse(row.along.as_deref()).unwrap());
    along.filter(|along| !along.released).flat_map(|along| along.ids).collect()
}

fn deleted_ids(rows: &[PlanRow]) -> BTreeSet<String> {
    rows.iter().filter(|row| row.action == Action::Delete).filter_map(|row| row.dest_id.clone()).collect()
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn delete_takes_along_only_what_the_plan_says(
        a in net(), b in net(), behaviour in behaviour(), ports in 0usize..3, cascades in prop::sample::subsequence(MAPPED.to_vec(), 0..4), named: bool, stored: bool, only_counts: bool,
    ) {
        let cascades = cascades.into_iter().chain([PORTS]).collect();
        let mut pair = Pair::new(&a, &with_ports(b, ports), Behaviour { has_ids: true, stages: false, cascades, only_counts, ..behaviour });
        pair.options.rules.max_deletes = Some(DeleteLimit::Rows(1000));
        if named {
            pair.project.delete_along = vec!["Port".to_owned()];
        }
        let before = pair.destination.state().net.clone();
        let applied = if stored {
            let run = pair.diff();
            pair.apply(&run.run_id)
        } else {
            pair.sync()
        };
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        let plan = rows(&applied.run);
        let (deleted, along) = (deleted_ids(&plan), along_ids(&plan));
        let after = by_id(&pair.destination.state().net);
        let told: u64 = applied.run.summary.kinds.iter().flat_map(|kind| kind.along.values()).sum();
        // The plan releases an object by an update before the delete. The objects below it stay as well, and are reported nevertheless: the
        // destination was asked before.
        let releases = plan.iter().flat_map(|row| Along::parse(row.along.as_deref()).unwrap()).any(|along| along.released);
        let mut gone = 0;
        for (id, object) in by_id(&before) {
            let (is_told, stays) = (deleted.contains(&id) || along.contains(&id), after.contains_key(&id));
            prop_assert!(only_counts || if releases { stays || is_told } else { stays != is_told }, "{:?} {:?}", object, plan);
            gone += u64::from(!after.contains_key(&id) && !deleted.contains(&id));
            // An object that the source has is never lost.
            let is_wanted = pair.source.net().get(&object.0).is_some_and(|objects| objects.contains_key(&object.1));
            prop_assert!(!is_wanted || after.contains_key(&id), "{:?} {:?}", object, plan);
        }
        // Objects without names that go along with several deletes are counted with each of them: never too few.
        prop_assert!(if only_counts || releases { told >= gone } else { told == gone }, "{} {} {:?}", told, gone, plan);
        prop_assert!(named || told == 0);
        for (kind, uid, object) in all(&before).filter(|(kind, ..)| *kind == "Port") {
            let now = &pair.destination.state().net;
            let now = now.get(kind).and_then(|ports| ports.get(uid));
            prop_assert!(now.is_none_or(|now| now == object), "{} {}", kind, uid);
        }
        prop_assert_eq!(&pair.destination.state().violations, &Vec::<String>::new());
    }

    #[test]
    fn stored_plan_takes_no_more_along_than_was_reviewed(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>()) {
        let behaviour = Behaviour { has_ids: true, stages: false, cascades: vec![PORTS], ..behaviour };
        let mut pair = Pair::new(&a, &with_ports(b, 1), behaviour);
        pair.project.delete_along = vec!["Port".to_owned()];
        pair.options.rules.max_deletes = Some(DeleteLimit::Rows(1000));
        let run = pair.diff();
        let deletes: Vec<PlanRow> = rows(&run).into_iter().filter(|row| row.action == Action::Delete && row.resource == "Device").collect();
        prop_assume!(!deletes.is_empty());
        let victim = &deletes[pick.index(deletes.len())];
        let device = by_id(&pair.destination.state().net)[victim.dest_id.as_ref().unwrap()].clone();
        pair.destination.state().edit(Edit::Create(to("Port", "theirs"), port("theirs", &device)), "destination");
        let applied = pair.apply(&run.run_id);
        let refused: Vec<_> = applied.failures.iter().filter(|failure| matches!(failure.reason, FailureReason::Along(_))).collect();
        prop_assert_eq!(refused.len(), 1, "{:?}", applied.failures);
        prop_assert_eq!(&refused[0].unique_id, &victim.source_id);
        let after = pair.destination.net();
        prop_assert!(after["Device"].contains_key(&device.1) && after["Port"].contains_key("theirs"));
        // A new plan names it.
        let again = pair.sync();
        prop_assert_eq!(again.counts.not_written(), 0, "{:?}", again.failures);
        let gone = pair.destination.net();
        prop_assert!(!gone.get("Port").is_some_and(|ports| ports.contains_key("theirs")));
    }

    #[test]
    fn object_whose_delete_is_rejected_is_not_taken_along(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>()) {
        // Racks go along with the tags of their devices: no reference of theirs leads there, so nothing else orders the two.
        let cascades = vec![("Device", "tags", "Tag")];
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, cascades, ..behaviour });
        let run = pair.diff();
        let deletes: Vec<PlanRow> = rows(&run).into_iter().filter(|row| row.action == Action::Delete && row.resource == "Device").collect();
        prop_assume!(!deletes.is_empty());
        let victim = by_id(&pair.destination.state().net)[deletes[pick.index(deletes.len())].dest_id.as_ref().unwrap()].clone();
        pair.destination.fail(Faults { rejected: [victim.clone()].into(), ..Faults::default() });
        pair.apply(&run.run_id);
        prop_assert!(pair.destination.net()["Device"].contains_key(&victim.1));
    }

    #[test]
    fn list_that_loses_rows_never_deletes(a in net(), b in net(), behaviour in behaviour(), lost in prop::collection::vec(any::<prop::sample::Index>(), 1..4), loses in prop::option::of(1u32..3), warm: bool) {
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
        pair.sync();
        let objects: Vec<To> = all(&pair.source.net()).map(|(kind, uid, _)| to(kind, uid)).collect();
        prop_assume!(!objects.is_empty());
        let lost_rows: BTreeSet<To> = lost.iter().map(|pick| objects[pick.index(objects.len())].clone()).collect();
        let before = pair.destination.net();
        pair.source.fail(Faults { lost_rows, loses, ..Faults::default() });
        pair.options.continue_on_error = true;
        pair.options.full_extract = !warm;
        for _ in 0..2 {
            pair.sync();
            prop_assert_eq!(&pair.destination.net(), &before);
        }
        // The first look lost them, the second one did not.
        if loses == Some(1) && !warm {
            prop_assert!(pair.diff().summary.is_whole());
        }
    }

    #[test]
    fn hidden_objects_are_not_gone(a in net(), b in net(), behaviour in behaviour(), hidden in prop::collection::vec(any::<prop::sample::Index>(), 1..4), warm in prop::collection::vec(any::<bool>(), 1..4)) {
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
        pair.sync();
        let objects: Vec<To> = all(&pair.source.net()).map(|(kind, uid, _)| to(kind, uid)).collect();
        prop_assume!(!objects.is_empty());
        let hidden: BTreeSet<To> = hidden.iter().map(|pick| objects[pick.index(objects.len())].clone()).collect();
        let before = pair.destination.net();
        pair.source.fail(Faults { hidden: hidden.clone(), ..Faults::default() });
        pair.options.continue_on_error = true;
        for warm in &warm {
            pair.options.full_extract = !warm;
            // A diff is a success, and its snapshots lack the hidden objects.
            pair.diff();
            pair.sync();
            prop_assert_eq!(&pair.destination.net(), &before);
        }
        // One of them really goes.
        let (kind, uid) = hidden.first().unwrap().clone();
        let is_needed = all(&pair.source.net()).any(|(_, _, object)| object.refers_to(&to(&kind, &uid)));
        prop_assume!(!is_needed);
        pair.source.state().edit(Edit::Delete(to(&kind, &uid)), "source");
        pair.source.fail(Faults::default());
        pair.options.full_extract = true;
        pair.sync();
        pair.assert_in_sync();
    }
}

#[test]
fn limit_of_deletes_counts_what_goes_along() {
    let mut b: Net = BTreeMap::new();
    let site = to("Site", "s");
    let named = |name: &str| Object { key: Map::from_iter([("name".to_owned(), json!(name))]), ..Object::default() };
    b.entry("Site".to_owned()).or_default().insert("s".to_owned(), named("s"));
    let mut device = named("d");
    device.key.insert("site".to_owned(), json!({ "name": "s" }));
    device.one.insert("site".to_owned(), site);
    b.entry("Device".to_owned()).or_default().insert("d@s".to_owned(), device);
    let a: Net = b.iter().filter(|(kind, _)| *kind == "Site").map(|(kind, objects)| (kind.clone(), objects.clone())).collect();
    let mut pair = Pair::new(&a, &with_ports(b, 40), Behaviour { cascades: vec![PORTS], ..Behaviour::default() });
    // Without a word in the project, the device stays.
    assert_eq!(pair.sync().counts.deleted, 0);
    assert_eq!(pair.diff().summary.kinds.iter().map(|kind| kind.skipped).sum::<u64>(), 1);
    pair.project.delete_along = vec!["Port".to_owned()];
    pair.options.rules.max_deletes = Some(DeleteLimit::Rows(40));
    let refused = pair.run(Command::Sync, "refused").unwrap();
    let Err(EngineError::Guardrail(refusal)) = refused else { panic!("not refused") };
    assert_eq!((refusal.deletes[0].deletes, refusal.deletes[0].kind.as_str()), (41, "Device"));
    pair.options.rules.max_deletes = Some(DeleteLimit::Rows(41));
    let applied = pair.sync();
    assert_eq!(
        (applied.counts.deleted, applied.run.summary.kinds.iter().map(infrahub_sync_core::plan::KindSummary::deletes_in_all).sum()),
        (1, 41)
    );
    assert_eq!(pair.destination.net().keys().collect::<Vec<_>>(), ["Site"]);
}
