//! A plan comes out as it went in.

use crate::common::{cache, id, lock, running};
use infrahub_sync_cache::{ErrorRow, Mode};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use proptest::prelude::*;

/// Any text: empty, with every control character, far outside of ASCII.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z_]{1,12}",
        prop::collection::vec(any::<char>(), 0..20).prop_map(|chars| chars.into_iter().collect()),
        Just("\0".to_owned()),
        Just("né__\u{1f469}\u{200d}\u{1f692}\u{fffd}".to_owned()),
    ]
}

fn optional_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text())
}

prop_compose! {
    fn plan_row()(
        action in prop_oneof![Just(Action::Create), Just(Action::Update), Just(Action::Delete)],
        (resource, source_id, key) in (text(), text(), text()),
        (dest_id, attribute, old_value, new_value) in (optional_text(), optional_text(), optional_text(), optional_text()),
        (owner, skip_reason, conflict_class, peers) in (optional_text(), optional_text(), optional_text(), optional_text()),
        (evidence, along, destination_mapping) in (optional_text(), optional_text(), optional_text()),
        tier in 0..=i32::MAX as u32,
        pass in 0..=i32::MAX as u32,
    ) -> PlanRow {
        PlanRow {
            action, resource, source_id, dest_id, attribute, old_value, new_value, owner, skip_reason, conflict_class, tier,
            pass, key, peers, evidence, along, destination_mapping,
        }
    }
}

prop_compose! {
    fn error_row()(
        (error_class, resource, message) in (text(), text(), text()),
        (source_id, dest_id, attribute, hint) in (optional_text(), optional_text(), optional_text(), optional_text()),
        retry_count in any::<i64>(),
        terminal in any::<bool>(),
    ) -> ErrorRow {
        ErrorRow { error_class, resource, source_id, dest_id, attribute, message, hint, retry_count, terminal }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn plans_and_errors_come_out_as_they_went_in(
        rows in prop::collection::vec(plan_row(), 0..40),
        errors in prop::collection::vec(error_row(), 0..20),
        // Around the size of a batch, so that its boundary is crossed.
        times in prop_oneof![Just(1usize), Just(60)],
    ) {
        let root = tempfile::tempdir().expect("a folder");
        let lock = lock(&cache(root.path()));
        let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
        let rows: Vec<PlanRow> = rows.iter().cycle().take(rows.len() * times).cloned().collect();
        let written = run.write_plan(rows.clone()).expect("written");
        prop_assert_eq!(written.rows, rows.len() as u64);
        let plan = run.reader().read_plan().expect("opened");
        prop_assert_eq!(plan.rows(), rows.len() as u64);
        let read: Vec<PlanRow> = plan.collect::<Result<_, _>>().expect("readable");
        prop_assert_eq!(read, rows);

        run.write_errors(&errors).expect("written");
        prop_assert_eq!(run.reader().read_errors().expect("readable"), errors);
    }
}

#[test]
fn rows_of_megabytes_do_not_pile_up_in_a_batch() {
    let root = tempfile::tempdir().expect("a folder");
    let lock = lock(&cache(root.path()));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    // More than a batch, and more than a row group, may hold in bytes.
    let rows = (0..30).map(|n| PlanRow { new_value: Some(n.to_string().repeat(1024 * 1024)), ..crate::common::plan_row("x") });
    run.write_plan(rows.clone()).expect("written");
    let read = run.reader().read_plan().expect("opened").map(|row| row.expect("readable"));
    assert!(read.eq(rows));
}
