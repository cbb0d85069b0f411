//! The laws of `undo` and `drift`: an undo restores what was there, others' edits stay, and drift is what others have changed.

use super::*;

impl Pair {
    /// Makes a plan that takes a run back.
    fn undo(&mut self, of: &str) -> Undone {
        let id = self.next_id();
        match self.run(Command::Undo(of.to_owned()), &id) {
            Some(Ok(Done::Undone(undone))) => undone,
            Some(Err(error)) => panic!("{error}: {:?}", error.details()),
            _ => panic!("killed"),
        }
    }

    /// Takes a run back. Returns the run that did it.
    pub(super) fn take_back(&mut self, of: &str) -> String {
        let undone = self.undo(of);
        assert!(undone.left.is_empty(), "{:?}", undone.left);
        let applied = self.apply(&undone.run.run_id);
        assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        undone.run.run_id
    }

    pub(super) fn drift(&self, run_id: &str) -> Drift {
        match self.run(Command::Drift, run_id) {
            Some(Ok(Done::Drifted(drift))) => drift,
            Some(Err(error)) => panic!("{error}: {:?}", error.details()),
            _ => panic!("killed"),
        }
    }
}

/// Returns the kind and the unique id of each difference, as networks spell them.
pub(super) fn drifted(drift: &Drift) -> Vec<To> {
    let mut found: Vec<To> = drift.changes.iter().map(|drifted| to(&drifted.kind, &drifted.unique_id.replace("__", "@"))).collect();
    found.sort();
    found
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn undo_restores_the_state_before_and_an_undo_of_it_the_state_after(a in net(), b in net(), behaviour in behaviour()) {
        let mut pair = Pair::new(&a, &b, behaviour);
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        prop_assume!(applied.counts != Outcomes::default());
        let undo = pair.take_back("run-1");
        prop_assert_eq!(pair.destination.net(), normal(b));
        let redo = pair.take_back(&undo);
        prop_assert_eq!(pair.destination.net(), pair.source.net());
        prop_assert_eq!(&pair.destination.state().violations, &Vec::<String>::new());
        // An incremental run does not continue from an undo, which has read no source.
        prop_assert!(drifted(&pair.drift(&redo)).is_empty());
        pair.options.full_extract = false;
        pair.assert_in_sync();
    }

    #[test]
    fn undo_leaves_and_reports_what_others_modified_since(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>()) {
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
        let applied = pair.sync();
        prop_assume!(applied.counts != Outcomes::default());
        let devices: Vec<String> = pair.destination.net().get("Device").into_iter().flat_map(|devices| devices.keys().cloned()).collect();
        prop_assume!(!devices.is_empty());
        let device = to("Device", &devices[pick.index(devices.len())]);
        pair.destination.state().edit(Edit::Set(device.clone(), "serial", json!("edited")), "destination");
        let before = normal(b);
        let undone = pair.undo("run-1");
        let was_there = before.get("Device").is_some_and(|devices| devices.contains_key(&device.1));
        let is_left = undone.left.iter().any(|left| left.kind == "Device" && left.unique_id == device.1.replace('@', "__"));
        prop_assert!(is_left || was_there, "{:?}", undone.left);
        if !undone.run.summary.in_sync() {
            let applied = pair.apply(&undone.run.run_id);
            prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        }
        let after = pair.destination.net();
        prop_assert_eq!(&after["Device"][&device.1].values["serial"], &json!("edited"));
        for (kind, uid, object) in all(&before) {
            let now = after.get(kind).and_then(|objects| objects.get(uid));
            prop_assert!(now.is_some(), "{} {} is not restored", kind, uid);
            if (kind, uid) != (&device.0, &device.1) {
                prop_assert_eq!(now, Some(object));
            }
        }
        // What the run created is gone, but for the edited object and what something still refers to.
        for (kind, uid, _) in all(&after).filter(|(kind, uid, _)| !before.get(*kind).is_some_and(|objects| objects.contains_key(*uid))) {
            let needed = all(&after).any(|(_, _, object)| object.refers_to(&to(kind, uid)));
            prop_assert!(needed || (kind, uid) == (&device.0, &device.1), "{} {} stays", kind, uid);
        }
        prop_assert_eq!(&pair.destination.state().violations, &Vec::<String>::new());
    }

    #[test]
    fn drift_is_what_others_changed_since(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>(), removes: bool) {
        let mut pair = Pair::new(&a, &b, behaviour);
        pair.sync();
        prop_assert_eq!(drifted(&pair.drift("run-1")), Vec::<To>::new());
        let tags: Vec<String> = pair.destination.net().get("Tag").into_iter().flat_map(|tags| tags.keys().cloned()).collect();
        prop_assume!(!tags.is_empty());
        let tag = to("Tag", &tags[pick.index(tags.len())]);
        let mut expected = vec![tag.clone(), to("Tag", "new")];
        if removes {
            // Those that referred to it have changed as well.
            let net = pair.destination.net();
            expected.extend(all(&net).filter(|(_, _, object)| object.refers_to(&tag)).map(|(kind, uid, _)| to(kind, uid)));
            pair.destination.state().edit(Edit::Delete(tag), "destination");
        } else {
            pair.destination.state().edit(Edit::Set(tag, "color", json!("edited")), "destination");
        }
        let new = Object { key: [("name".to_owned(), json!("new"))].into_iter().collect(), ..Object::default() };
        pair.destination.state().edit(Edit::Create(to("Tag", "new"), new), "destination");
        expected.sort();
        prop_assert_eq!(drifted(&pair.drift("run-1")), expected);
    }
}

#[test]
fn a_run_that_wrote_nothing_cannot_be_taken_back() {
    let mut pair = Pair::new(&BTreeMap::new(), &BTreeMap::new(), Behaviour::default());
    pair.sync();
    let refused = pair.run(Command::Undo("run-1".to_owned()), "undo").unwrap();
    assert!(matches!(refused, Err(EngineError::NothingToUndo { .. })));
    assert!(!pair.cache.path().join("world/undo").exists());
}
