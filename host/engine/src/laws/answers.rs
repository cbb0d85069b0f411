//! Answers that are lost: before the write is executed, after it, and while it is executed much later.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::memory::{Behaviour, Faults, Loss, Object};
use super::world::net;
use super::{Command, Done, Pair, behaviour, config};
use crate::EngineError;
use crate::apply::FailureReason;

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![Just(Loss::Executed), Just(Loss::Never), Just(Loss::Rows), (0u64..12).prop_map(Loss::Late)]
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn lost_answers_are_settled_and_nothing_is_doubled(a in net(), b in net(), behaviour in behaviour(), lost in prop::collection::btree_map(0u64..12, loss(), 1..6)) {
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
        pair.destination.fail(Faults { lost, ..Faults::default() });
        let applied = pair.sync();
        prop_assert!(applied.failures.is_empty(), "{:?}", applied.failures);
        prop_assert_eq!(applied.counts.not_written(), 0);
        pair.destination.execute_late(true);
        pair.assert_in_sync();
    }

    #[test]
    fn lost_answers_without_ids_are_reported_and_written_once(a in net(), b in net(), behaviour in behaviour(), lost in prop::collection::btree_set(0u64..8, 1..3)) {
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: false, overlap: 0, ..behaviour });
        let lost = lost.into_iter().map(|number| (number, Loss::Executed)).collect();
        pair.destination.fail(Faults { lost, ..Faults::default() });
        let applied = pair.sync();
        let batches = applied.failures.iter().filter(|failure| matches!(failure.reason, FailureReason::Batch(_))).count();
        let skipped = applied.failures.iter().filter(|failure| matches!(failure.reason, FailureReason::Skipped(_))).count();
        prop_assert_eq!(applied.failures.len(), batches + skipped, "{:?}", applied.failures);
        pair.destination.fail(Faults::default());
        let again = pair.apply("run-1");
        prop_assert_eq!(again.counts.not_written(), 0, "{:?}", again.failures);
        pair.assert_in_sync();
    }

    #[test]
    fn destination_that_never_answers_ends_the_run_and_the_next_apply_settles_it(a in net(), b in net(), behaviour in behaviour(), late in prop::option::of(0u64..40)) {
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
        let loss = late.map_or(Loss::Never, Loss::Late);
        pair.destination.fail(Faults { lost: (0..1000).map(|number| (number, loss)).collect(), ..Faults::default() });
        let id = pair.next_id();
        match pair.run(Command::Sync, &id) {
            Some(Ok(Done::Applied(applied))) => {
                let is_open = |failure: &crate::Failure| matches!(failure.reason, FailureReason::Batch(_) | FailureReason::Skipped(_));
                prop_assert!(applied.failures.iter().all(is_open), "{:?}", applied.failures);
            }
            Some(Err(error)) => prop_assert!(matches!(&error, EngineError::Unanswered { .. }), "{}", error),
            _ => panic!("killed"),
        }
        pair.destination.execute_late(true);
        pair.destination.fail(Faults::default());
        let again = pair.apply(&id);
        prop_assert_eq!(again.counts.not_written(), 0, "{:?}", again.failures);
        pair.assert_in_sync();
    }
}

#[test]
fn batches_become_smaller_until_their_answers_arrive() {
    let tag = |name: String| (name.clone(), Object { key: [("name".to_owned(), name.into())].into_iter().collect(), ..Object::default() });
    let tags: BTreeMap<String, Object> = (0..64).map(|number| tag(format!("t{number:02}"))).collect();
    let a = [("Tag".to_owned(), tags)].into();
    let mut pair = Pair::new(&a, &BTreeMap::new(), Behaviour { batch_max: 64, ..Behaviour::default() });
    pair.destination.fail(Faults { lost: (0..6).map(|number| (number, Loss::Never)).collect(), ..Faults::default() });
    let applied = pair.sync();
    assert_eq!((applied.counts.created, applied.counts.not_written()), (64, 0), "{:?}", applied.failures);
    pair.assert_in_sync();
}
