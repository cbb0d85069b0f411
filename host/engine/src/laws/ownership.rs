//! The laws of ownership: what a sync may change of what others made, and what it leaves in place.

use std::collections::BTreeSet;
use std::sync::Arc;

use infrahub_sync_config::{Owned, Reaches, Span};
use infrahub_sync_core::model::Ownership;
use infrahub_sync_core::ownership::Reach;
use infrahub_sync_core::plan_row::{Action, PlanRow};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::memory::{Behaviour, Faults, MemorySystem, Net, OUTSIDE, Object, Schema, To, normal, to};
use super::world::{loops, net, project};
use super::{Command, Done, Pair, all, behaviour, config, rows};
use crate::ownership::{Adoption, adopt_of};

/// Returns a pair whose destination is shared with others.
fn of_project(name: &str, source: &Net, destination: &Arc<MemorySystem>, behaviour: &Behaviour, reaches: Reaches) -> Pair {
    let mut pair = Pair::new(source, &Net::new(), behaviour.clone());
    pair.project.name = name.to_owned();
    pair.project.reaches = reaches;
    pair.destination = destination.clone();
    pair
}

/// Gives the fields of that name an owner.
fn own(pair: &mut Pair, name: &str, ownership: Ownership) {
    let fields = pair.project.schema_mapping.iter_mut().flat_map(|mapping| &mut mapping.fields);
    for field in fields.filter(|field| field.name == name) {
        field.ownership = Some(Owned { ownership, span: Span { line: 1, column: 1, width: 1 } });
    }
}

fn any_ownership() -> impl Strategy<Value = Ownership> {
    prop_oneof![
        Just(Ownership::Usual),
        Just(Ownership::Source),
        Just(Ownership::Destination),
        Just(Ownership::CreateOnly),
        Just(Ownership::Merge)
    ]
}

/// Puts objects of a kind that no project maps into a network, and some links to them: field by field, one for each device in turn.
fn with_outside(mut net: Net, links: &[(bool, bool)]) -> Net {
    for name in ["e0", "e1"] {
        let key = Map::from_iter([("name".to_owned(), json!(name))]);
        net.entry(OUTSIDE.to_owned()).or_default().insert(name.to_owned(), Object { key, ..Object::default() });
    }
    for (device, (one, many)) in net.entry("Device".to_owned()).or_default().values_mut().zip(links) {
        if *one {
            device.one.insert("rack".to_owned(), to(OUTSIDE, "e0"));
        }
        if *many {
            device.many.entry("tags".to_owned()).or_default().extend([to(OUTSIDE, "e0"), to(OUTSIDE, "e1")]);
        }
    }
    net
}

/// A step of a history: which of the projects, what its source then holds, and where its run is killed.
type Step = (usize, Net, Option<(u64, bool)>);

fn history() -> impl Strategy<Value = Vec<Step>> {
    let kill = prop_oneof![4 => Just(None), 1 => (0u64..30, any::<bool>()).prop_map(Some)];
    prop::collection::vec((0usize..3, net(), kill), 1..7)
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn three_projects_on_one_destination_keep_the_peace(seeded in net(), first in [net(), net(), net()], history in history(), behaviour in behaviour(), records: bool, updates_all: bool) {
        let destination = MemorySystem::recording("destination", &seeded, behaviour.clone(), loops(&project()), records);
        let updates = if updates_all { Reach::All } else { Reach::Owned };
        destination.state().peace = Some(!updates_all);
        let reaches = Reaches { deletes: Reach::Owned, updates };
        let mut pairs: Vec<Pair> = ["one", "two", "three"].iter().zip(&first).map(|(name, net)| of_project(name, net, &destination, &behaviour, reaches)).collect();
        for (at, source, kill) in history {
            let pair = &mut pairs[at];
            pair.source = MemorySystem::new("source", &source, behaviour.clone(), loops(&pair.project), Schema::default());
            destination.fail(Faults { kill, ..Faults::default() });
            let id = pair.next_id();
            let ended = pair.run(Command::Sync, &id);
            destination.fail(Faults::default());
            if let Some(Err(error)) = ended {
                prop_assert!(false, "{error}: {:?}", error.details());
            }
            prop_assert_eq!(&destination.state().violations, &Vec::<String>::new());
        }
        // What was there from the beginning is there, whatever the projects did.
        let now = destination.net();
        for (kind, uid, _) in all(&normal(seeded.clone())) {
            prop_assert!(now.get(kind).is_some_and(|objects| objects.contains_key(uid)), "{kind} {uid}");
        }
        // Once its source is empty, a project removes what it made, but for what others refer to.
        for pair in &mut pairs {
            pair.source = MemorySystem::new("source", &Net::new(), behaviour.clone(), loops(&pair.project), Schema::default());
            let before: BTreeSet<To> = destination.state().makers.iter().filter(|(_, maker)| **maker == pair.project.name).map(|(object, _)| object.clone()).collect();
            let recorded = adopted(pair, false).iter().map(|kind| kind.owned).sum::<u64>();
            let id = pair.next_id();
            prop_assert!(matches!(pair.run(Command::Sync, &id), Some(Ok(Done::Applied(_)))));
            prop_assert_eq!(&destination.state().violations, &Vec::<String>::new());
            let now = destination.net();
            let left = before.iter().filter(|object| now.get(&object.0).is_some_and(|objects| objects.contains_key(&object.1)));
            let unneeded = left.filter(|object| !all(&now).any(|(kind, uid, other)| to(kind, uid) != **object && other.refers_to(object))).count() as u64;
            // A create that was killed before its answer came may not be recorded: it stays, on the safe side.
            prop_assert!(unneeded <= before.len() as u64 - recorded, "{unneeded} of {}, {recorded} recorded", before.len());
            if records {
                prop_assert_eq!(unneeded, 0);
            }
        }
    }

    #[test]
    fn what_a_sync_does_not_own_stays_and_a_second_run_plans_nothing(a in net(), b in net(), behaviour in behaviour(), serial in any_ownership(), color in any_ownership(), note in any_ownership(), rack in any_ownership()) {
        let mut pair = Pair::new(&a, &b, behaviour);
        for (field, ownership) in [("serial", serial), ("color", color), ("note", note), ("rack", rack)] {
            own(&mut pair, field, ownership);
        }
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        prop_assert_eq!(&pair.destination.state().violations, &Vec::<String>::new());
        prop_assert_eq!(rows(&pair.diff()), Vec::<PlanRow>::new(), "a second run plans nothing");
        let (a, b, after) = (normal(a), normal(b), pair.destination.net());
        for (kind, field, ownership) in [("Device", "serial", serial), ("Tag", "color", color), ("Region", "note", note)] {
            for (uid, wanted) in a.get(kind).into_iter().flatten() {
                let before = b.get(kind).and_then(|objects| objects.get(uid));
                let now = after[kind][uid].values.get(field);
                let expected = match (ownership, before) {
                    (Ownership::Destination, None) => None,
                    (Ownership::Destination | Ownership::CreateOnly, Some(before)) => before.values.get(field),
                    _ => wanted.values.get(field),
                };
                prop_assert_eq!(now, expected, "{} {}.{} {:?}", kind, uid, field, ownership);
            }
        }
    }

    #[test]
    fn a_merged_set_loses_only_the_members_that_the_sync_added(first in net(), second in net(), b in net(), behaviour in behaviour(), apart: bool) {
        let mut pair = Pair::new(&first, &b, behaviour.clone());
        own(&mut pair, "tags", Ownership::Merge);
        let tags = |net: &Net, uid: &str| -> BTreeSet<To> {
            net.get("Device").and_then(|devices| devices.get(uid)).and_then(|device| device.many.get("tags")).cloned().unwrap_or_default()
        };
        if apart {
            let run = pair.diff();
            prop_assert_eq!(pair.apply(&run.run_id).counts.not_written(), 0);
        } else {
            pair.sync();
        }
        let middle = pair.destination.net();
        for (uid, device) in first.get("Device").into_iter().flatten() {
            let both: BTreeSet<To> = tags(&b, uid).into_iter().chain(device.many["tags"].clone()).collect();
            prop_assert_eq!(tags(&middle, uid), both, "{}", uid);
        }
        prop_assert_eq!(rows(&pair.diff()), Vec::<PlanRow>::new(), "a second run plans nothing");
        pair.source = MemorySystem::new("source", &second, behaviour, loops(&pair.project), Schema::default());
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        prop_assert_eq!(&pair.destination.state().violations, &Vec::<String>::new());
        let after = pair.destination.net();
        for (uid, device) in second.get("Device").into_iter().flatten() {
            let theirs = if middle.get("Device").is_some_and(|devices| devices.contains_key(uid)) { tags(&b, uid) } else { BTreeSet::new() };
            let both: BTreeSet<To> = theirs.into_iter().chain(device.many["tags"].clone()).collect();
            prop_assert_eq!(tags(&after, uid), both, "{}", uid);
        }
        prop_assert_eq!(rows(&pair.diff()), Vec::<PlanRow>::new(), "a second run plans nothing");
    }

    #[test]
    fn links_to_kinds_that_are_not_mapped_are_cut_only_where_the_field_is_owned(a in net(), b in net(), links in prop::collection::vec(any::<(bool, bool)>(), 7), behaviour in behaviour(), owned: bool, apart: bool) {
        let b = with_outside(b, &links);
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
        if owned {
            own(&mut pair, "rack", Ownership::Source);
            own(&mut pair, "tags", Ownership::Source);
        }
        let applied = if apart {
            let run = pair.diff();
            pair.apply(&run.run_id)
        } else {
            pair.sync()
        };
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        prop_assert_eq!(&pair.destination.state().violations, &Vec::<String>::new());
        prop_assert_eq!(rows(&pair.diff()), Vec::<PlanRow>::new(), "a second run plans nothing");
        let after = pair.destination.net();
        prop_assert_eq!(&after[OUTSIDE], &normal(b.clone())[OUTSIDE], "no project maps them");
        for (uid, device) in a.get("Device").into_iter().flatten() {
            let before = b["Device"].get(uid);
            let is_outside = |peer: &&To| peer.0 == OUTSIDE && !owned;
            let one = device.one.get("rack").or_else(|| before.and_then(|before| before.one.get("rack").filter(is_outside)));
            prop_assert_eq!(after["Device"][uid].one.get("rack"), one, "{}", uid);
            let kept = before.and_then(|before| before.many.get("tags")).into_iter().flatten().filter(is_outside).cloned();
            let many: BTreeSet<To> = device.many["tags"].iter().cloned().chain(kept).collect();
            prop_assert_eq!(after["Device"][uid].many.get("tags").cloned().unwrap_or_default(), many, "{}", uid);
        }
    }

    #[test]
    fn a_link_that_is_cut_is_shown_by_kind_and_id(a in net(), links in prop::collection::vec(any::<(bool, bool)>(), 7)) {
        let mut pair = Pair::new(&a, &with_outside(a.clone(), &links), Behaviour::default());
        prop_assert_eq!(rows(&pair.diff()).iter().filter(|row| row.attribute.as_deref() == Some("tags")).count(), 0);
        own(&mut pair, "tags", Ownership::Source);
        for row in rows(&pair.diff()).iter().filter(|row| row.attribute.as_deref().is_some_and(|names| names.split(',').any(|name| name == "tags"))) {
            let old: Value = serde_json::from_str(row.old_value.as_deref().unwrap()).unwrap();
            let named = old["tags"].as_array().unwrap().iter().filter(|peer| peer.as_str().is_some_and(|text| text.starts_with("Extra (id destination-"))).count();
            prop_assert_eq!(named, 2, "{}", old);
        }
    }
}

/// Shows the objects that a project has not made, and adopts all of them if that is wanted.
fn adopted(pair: &Pair, adopts: bool) -> Vec<crate::KindAdoption> {
    let adoption = Adoption { kinds: Vec::new(), unmatched: true, adopts };
    pair.with_context("adopt", async |cx, opened| {
        adopt_of(cx, async { Ok((opened(&pair.source), opened(&pair.destination))) }, &adoption).await
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", error.details()))
}

#[test]
fn what_was_adopted_is_deleted_and_a_lost_record_deletes_nothing() {
    let tags = |names: &[&str]| -> Net {
        let tag = |name: &&str| {
            let key = Map::from_iter([("name".to_owned(), json!(name))]);
            ((*name).to_owned(), Object { key, ..Object::default() })
        };
        Net::from([("Tag".to_owned(), names.iter().map(tag).collect())])
    };
    for behaviour in [Behaviour::default(), Behaviour { has_ids: false, stages: true, ..Behaviour::default() }] {
        let mut pair = Pair::new(&tags(&["a", "b"]), &tags(&["b", "c"]), behaviour.clone());
        pair.project.reaches = Reaches::default();
        let run = pair.diff();
        let of_tags = run.summary.kinds.iter().find(|kind| kind.kind == "Tag").unwrap();
        assert_eq!((of_tags.create, of_tags.delete, of_tags.unowned), (1, 0, 1));
        pair.sync();
        assert_eq!(pair.destination.net(), tags(&["a", "b", "c"]));
        // What was matched or updated is not this sync's by that alone.
        let shown = adopted(&pair, false).into_iter().find(|kind| kind.kind == "Tag").unwrap();
        assert_eq!((shown.owned, shown.matched, shown.unmatched, shown.adopted), (1, vec!["b".to_owned()], vec!["c".to_owned()], 0));
        assert!(rows(&pair.diff()).is_empty());
        adopted(&pair, true);
        assert_eq!(rows(&pair.diff()).iter().map(|row| row.source_id.as_str()).collect::<Vec<_>>(), ["c"]);
        // The record is lost: nothing is deleted.
        let record = pair.cache.path().join("world/ownership.parquet");
        let bytes = std::fs::read(&record).unwrap();
        std::fs::remove_file(&record).unwrap();
        assert!(rows(&pair.diff()).is_empty());
        std::fs::write(&record, &bytes[..bytes.len() / 2]).unwrap();
        assert!(rows(&pair.diff()).is_empty());
        std::fs::write(&record, &bytes).unwrap();
        pair.sync();
        assert_eq!(pair.destination.net(), tags(&["a", "b"]));
        pair.source = MemorySystem::new("source", &tags(&[]), behaviour, loops(&pair.project), Schema::default());
        pair.sync();
        assert_eq!(pair.destination.net(), Net::new());
    }
}

#[test]
fn a_reference_to_one_peer_that_is_merged_needs_its_old_peer_no_longer() {
    let net = |rack: &str| -> Net {
        let named = |name: &str| Object { key: Map::from_iter([("name".to_owned(), json!(name))]), ..Object::default() };
        let at_site = |name: &str| {
            let mut object = named(name);
            object.key.insert("site".to_owned(), json!({ "name": "s" }));
            object.one.insert("site".to_owned(), to("Site", "s"));
            object
        };
        let rack_at = format!("{rack}@s");
        let mut device = at_site("d");
        device.one.insert("rack".to_owned(), to("Rack", &rack_at));
        Net::from([
            ("Site".to_owned(), [("s".to_owned(), named("s"))].into()),
            ("Rack".to_owned(), [(rack_at, at_site(rack))].into()),
            ("Device".to_owned(), [("d@s".to_owned(), device)].into()),
        ])
    };
    let mut pair = Pair::new(&net("new"), &net("old"), Behaviour::default());
    own(&mut pair, "rack", Ownership::Merge);
    assert_eq!(rows(&pair.diff()).iter().filter(|row| row.action == Action::Delete).count(), 1);
    assert_eq!(pair.sync().counts.not_written(), 0);
    pair.assert_in_sync();
}
