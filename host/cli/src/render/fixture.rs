//! A plan with every kind of row, for the tests of each format.

use infrahub_sync_core::plan::KindSummary;
use infrahub_sync_core::plan_row::{Action, PlanRow};
use std::convert::Infallible;

use super::overview::{Counts, Overview};

pub(super) fn row(action: Action, kind: &str, id: &str, old: Option<&str>, new: Option<&str>) -> PlanRow {
    PlanRow {
        action,
        resource: kind.to_owned(),
        source_id: id.to_owned(),
        dest_id: (action != Action::Create).then(|| "17".to_owned()),
        old_value: old.map(str::to_owned),
        new_value: new.map(str::to_owned),
        key: "[]".to_owned(),
        ..PlanRow::default()
    }
}

pub(super) fn ok(rows: Vec<PlanRow>) -> impl Iterator<Item = Result<PlanRow, Infallible>> {
    rows.into_iter().map(Ok)
}

pub(super) fn counts(create: u64, update: u64, delete: u64, skipped: u64) -> Counts {
    Counts { create, update, delete, skipped, ..Counts::default() }
}

pub(super) fn overview(kinds: &[(&'static str, u64, u64, Counts)]) -> Overview<'static> {
    let kinds = kinds.iter().zip(0..).map(|((kind, source_rows, destination_rows, counts), tier)| KindSummary {
        kind: (*kind).to_owned(),
        tier,
        source_rows: *source_rows,
        destination_rows: *destination_rows,
        create: counts.create,
        update: counts.update,
        delete: counts.delete,
        skipped: counts.skipped,
        blocked: 0,
        no_effect: 0,
        partial: *kind == "LocationSite",
        ..KindSummary::default()
    });
    Overview { run_id: "20260102T0304-0011aabb", kinds: kinds.collect(), mappings: &[], fates: None }
}

/// Returns a plan with every kind of row.
pub(super) fn plan() -> (Overview<'static>, Vec<PlanRow>) {
    let overview = overview(&[
        ("BuiltinTag", 3, 2, counts(1, 1, 0, 1)),
        ("LocationSite", 41, 41, counts(0, 0, 0, 0)),
        ("DcimDevice", 120, 120, counts(1, 2, 1, 0)),
    ]);
    let mut skipped = row(Action::Delete, "BuiltinTag", "legacy", Some(r#"{"name":"legacy"}"#), None);
    skipped.skip_reason = Some("SKIP_UNMATCHED_DST".to_owned());
    let mut deferred = row(
        Action::Update,
        "DcimDevice",
        "atl01__edge1",
        Some(r#"{"primary_address":null}"#),
        Some(r#"{"primary_address":"10.0.0.1/32"}"#),
    );
    deferred.pass = 1;
    let mut deleted = row(Action::Delete, "DcimDevice", "evil\u{1b}[2J\r\u{202e}name", Some(r#"{"name":"evil\u001b[2J"}"#), None);
    deleted.evidence = Some("full read of 120 objects at 2026-01-02T03:04:05Z".to_owned());
    let rows = vec![
        row(Action::Create, "BuiltinTag", "Grün & <b>", None, Some(r#"{"name":"Grün & <b>","description":null,"weight":3}"#)),
        row(Action::Update, "BuiltinTag", "blue", Some(r#"{"description":""}"#), Some(r#"{"description":"two\nlines and \"quotes\""}"#)),
        skipped,
        row(Action::Create, "DcimDevice", "atl01__edge1", None, Some(r#"{"name":"edge1","site":"atl01","tags":["blue","red"]}"#)),
        row(
            Action::Update,
            "DcimDevice",
            "atl01__edge2",
            Some(
                r#"{"status":"active","comments":"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore.","rack":"r1","tags":["blue","green","orange","purple","red","turquoise","white","yellow"]}"#,
            ),
            Some(
                r#"{"status":"planned","comments":"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut LABORE.","tags":["blue","green","orange","purple","red","turquoise","white","violet"]}"#,
            ),
        ),
        deferred,
        deleted,
    ];
    (overview, rows)
}
