//! Lists that move while they are read.

use std::collections::BTreeMap;

use infrahub_sync_core::plan_row::Action;
use proptest::prelude::*;
use serde_json::json;

use super::memory::{Behaviour, Edit, Faults, Net, Object, normal, to};
use super::world::net;
use super::{Command, Pair, behaviour, config, rows};
use crate::EngineError;

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn list_that_moves_is_read_again(a in net(), b in net(), behaviour in behaviour(), moved in prop::collection::btree_set(0u64..30, 1..6)) {
        let mut pair = Pair::new(&a, &b, behaviour);
        pair.source.fail(Faults { moved: moved.clone(), ..Faults::default() });
        pair.destination.fail(Faults { moved, ..Faults::default() });
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        pair.assert_in_sync();
    }

    #[test]
    fn list_that_grows_while_it_is_read_is_read_as_it_is_afterwards(a in net(), b in net(), behaviour in behaviour(), at in 0u64..12) {
        let new = |name: &str| Object { key: [("name".to_owned(), json!(name))].into_iter().collect(), ..Object::default() };
        let mut pair = Pair::new(&a, &b, Behaviour { page_size: 1, ..behaviour });
        // Names that stand before and after the others.
        let edits = vec![Edit::Create(to("Tag", "a"), new("a")), Edit::Create(to("Tag", "z"), new("z"))];
        pair.source.fail(Faults { edits: [(at, edits)].into(), ..Faults::default() });
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        // Both are there, or neither: no read mixes two states of the list.
        let tags = pair.destination.net().get("Tag").map(|tags| tags.keys().filter(|uid| ["a", "z"].contains(&uid.as_str())).count());
        prop_assert!(matches!(tags, None | Some(0 | 2)), "{:?}", tags);
        // An edit that is still to come would come between two lists of the next run.
        pair.source.fail(Faults::default());
        pair.sync();
        pair.assert_in_sync();
    }

    #[test]
    fn list_whose_pages_contradict_one_another_never_deletes(a in net(), b in net(), behaviour in behaviour()) {
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, page_size: 1, wobbles: true, ..behaviour });
        let several = |net: &Net, kind: &str| net.get(kind).is_some_and(|objects| objects.len() > 1);
        let run = pair.diff();
        for row in rows(&run) {
            prop_assert!(row.action != Action::Delete || !several(&a, &row.resource), "{} {}", row.resource, row.source_id);
        }
        pair.sync();
        let (after, b) = (pair.destination.net(), normal(b));
        for (kind, objects) in b.iter().filter(|(kind, _)| several(&a, kind)) {
            prop_assert!(objects.keys().all(|uid| after[kind].contains_key(uid)), "{}", kind);
        }
    }
}

#[test]
fn list_that_never_holds_still_ends_the_run_and_is_named() {
    let tag = Object { key: [("name".to_owned(), json!("t"))].into_iter().collect(), ..Object::default() };
    let a: Net = [("Tag".to_owned(), [("t".to_owned(), tag)].into())].into();
    let pair = Pair::new(&a, &BTreeMap::new(), Behaviour::default());
    pair.source.fail(Faults { moved: (0..100).collect(), ..Faults::default() });
    let Some(Err(error)) = pair.run(Command::Diff, "run-1") else { panic!("it ended well") };
    assert!(matches!(&error, EngineError::Moving { reads: 6, .. }), "{error}");
    assert_eq!(error.fault(), crate::Fault::Remote);
    assert!(pair.source.state().rests >= 5);
}
