//! A plan for a program: one JSON document, one change a line.
//!
//! ```json
//! {
//! "run_id": "20260102T0304-0011aabb",
//! "summary": {"create": 1, "update": 0, "delete": 0, "skipped": 0},
//! "kinds": [{"kind": "BuiltinTag", "tier": 0, "source_rows": 3, …}],
//! "mappings": [{"kind": "BuiltinTag", "resource": "extras.tags", "read": 3, "mapped": 3, …}],
//! "changes": [
//! {"action": "create", "resource": "BuiltinTag", "source_id": "red", …, "new_value": {"name": "red"}}
//! ]
//! }
//! ```
//!
//! A change has the names of the columns of `plan.parquet`, so that users learn them once.

use std::io::{self, Write};

use infrahub_sync_core::plan_row::PlanRow;
use serde::Serialize;

use super::output::Failure;
use super::overview::Overview;
use crate::escape::write_json_escaped;

/// A row of the plan, with its state once an apply has begun.
#[derive(Serialize)]
struct Change<'a> {
    #[serde(flatten)]
    row: &'a PlanRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Why it was rejected or skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// Writes a plan.
pub(crate) fn write<E>(
    out: &mut impl Write,
    overview: &Overview<'_>,
    rows: impl Iterator<Item = Result<PlanRow, E>>,
) -> Result<(), Failure<E>> {
    out.write_all(b"{\n\"run_id\": ")?;
    put(out, &overview.run_id)?;
    out.write_all(b",\n\"summary\": ")?;
    put(out, &overview.totals())?;
    out.write_all(b",\n\"kinds\": [")?;
    for (index, kind) in overview.kinds.iter().enumerate() {
        out.write_all(separator(index))?;
        put(out, kind)?;
    }
    if !overview.mappings.is_empty() {
        out.write_all(b"\n],\n\"mappings\": [")?;
        for (index, mapping) in overview.mappings.iter().enumerate() {
            out.write_all(separator(index))?;
            put(out, mapping)?;
        }
    }
    out.write_all(b"\n],\n\"changes\": [")?;
    for (index, row) in rows.enumerate() {
        let row = row.map_err(Failure::Rows)?;
        out.write_all(separator(index))?;
        let (state, message) =
            overview.fates.map(|fates| fates.of(index as u64, &row)).map_or((None, None), |(state, message)| (Some(state), message));
        put(out, &Change { row: &row, state, message })?;
    }
    out.write_all(b"\n]\n}\n")?;
    Ok(())
}

fn separator(index: usize) -> &'static [u8] {
    if index == 0 { b"\n" } else { b",\n" }
}

/// Writes a value, with every character escaped that could affect a terminal.
pub(super) fn put(out: &mut (impl Write + ?Sized), value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Careful);
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// Escapes every character that could affect a terminal: JSON itself requires that only for the first 32.
struct Careful;

impl serde_json::ser::Formatter for Careful {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_json_escaped(out, fragment)
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // Such a character can only be inside a string there; line ends between values are left unchanged.
        write_json_escaped(out, fragment)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn json(overview: &Overview<'_>, rows: Vec<PlanRow>) -> String {
        let mut out = Vec::new();
        write(&mut out, overview, fixture::ok(rows)).unwrap();
        let text = String::from_utf8(out).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text
    }

    #[test]
    fn a_plan_for_a_program() {
        let (overview, rows) = fixture::plan();
        insta::assert_snapshot!(json(&overview, rows), @r#"
        {
        "run_id": "20260102T0304-0011aabb",
        "summary": {"create":2,"update":3,"delete":1,"skipped":1},
        "kinds": [
        {"kind":"BuiltinTag","tier":0,"source_rows":3,"destination_rows":2,"create":1,"update":1,"delete":0,"skipped":1,"blocked":0,"no_effect":0,"partial":false},
        {"kind":"LocationSite","tier":1,"source_rows":41,"destination_rows":41,"create":0,"update":0,"delete":0,"skipped":0,"blocked":0,"no_effect":0,"partial":true},
        {"kind":"DcimDevice","tier":2,"source_rows":120,"destination_rows":120,"create":1,"update":2,"delete":1,"skipped":0,"blocked":0,"no_effect":0,"partial":false}
        ],
        "changes": [
        {"action":"create","resource":"BuiltinTag","source_id":"Grün & <b>","dest_id":null,"attribute":null,"old_value":null,"new_value":{"name":"Grün & <b>","description":null,"weight":3},"owner":null,"skip_reason":null,"conflict_class":null,"tier":0,"pass":0},
        {"action":"update","resource":"BuiltinTag","source_id":"blue","dest_id":"17","attribute":null,"old_value":{"description":""},"new_value":{"description":"two\nlines and \"quotes\""},"owner":null,"skip_reason":null,"conflict_class":null,"tier":0,"pass":0},
        {"action":"delete","resource":"BuiltinTag","source_id":"legacy","dest_id":"17","attribute":null,"old_value":{"name":"legacy"},"new_value":null,"owner":null,"skip_reason":"SKIP_UNMATCHED_DST","conflict_class":null,"tier":0,"pass":0},
        {"action":"create","resource":"DcimDevice","source_id":"atl01__edge1","dest_id":null,"attribute":null,"old_value":null,"new_value":{"name":"edge1","site":"atl01","tags":["blue","red"]},"owner":null,"skip_reason":null,"conflict_class":null,"tier":0,"pass":0},
        {"action":"update","resource":"DcimDevice","source_id":"atl01__edge2","dest_id":"17","attribute":null,"old_value":{"status":"active","comments":"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore.","rack":"r1","tags":["blue","green","orange","purple","red","turquoise","white","yellow"]},"new_value":{"status":"planned","comments":"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut LABORE.","tags":["blue","green","orange","purple","red","turquoise","white","violet"]},"owner":null,"skip_reason":null,"conflict_class":null,"tier":0,"pass":0},
        {"action":"update","resource":"DcimDevice","source_id":"atl01__edge1","dest_id":"17","attribute":null,"old_value":{"primary_address":null},"new_value":{"primary_address":"10.0.0.1/32"},"owner":null,"skip_reason":null,"conflict_class":null,"tier":0,"pass":1},
        {"action":"delete","resource":"DcimDevice","source_id":"evil\u001b[2J\r\u202ename","dest_id":"17","attribute":null,"old_value":{"name":"evil\u001b[2J"},"new_value":null,"owner":null,"skip_reason":null,"conflict_class":null,"tier":0,"pass":0,"evidence":"full read of 120 objects at 2026-01-02T03:04:05Z"}
        ]
        }
        "#);
    }

    #[test]
    fn in_sync_is_a_document_too() {
        let overview = fixture::overview(&[("BuiltinTag", 3, 3, super::super::overview::Counts::default())]);
        insta::assert_snapshot!(json(&overview, vec![]), @r#"
        {
        "run_id": "20260102T0304-0011aabb",
        "summary": {"create":0,"update":0,"delete":0,"skipped":0},
        "kinds": [
        {"kind":"BuiltinTag","tier":0,"source_rows":3,"destination_rows":3,"create":0,"update":0,"delete":0,"skipped":0,"blocked":0,"no_effect":0,"partial":false}
        ],
        "changes": [
        ]
        }
        "#);
    }

    #[test]
    fn a_broken_value_is_a_text() {
        use infrahub_sync_core::plan_row::Action;
        let row = fixture::row(Action::Update, "A", "a", Some("{\"a\":1"), Some("\u{1b}"));
        let text = json(&fixture::overview(&[]), vec![row]);
        assert!(text.contains(r#""old_value":"{\"a\":1","new_value":"\u001b""#), "{text}");
    }
}
