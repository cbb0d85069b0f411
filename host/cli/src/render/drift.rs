//! The changes of a destination since a run, as text, JSON and markdown.

use std::io::{self, Write};

use infrahub_sync_core::plan_row::Action;
use infrahub_sync_engine::{Drift, DriftChange, Drifted};
use serde::Serialize;
use serde_json::Value;

use super::json::put;
use super::look::{Look, sign};
use super::words::{minute, plural};
use crate::escape::Escaped;

/// Returns the action that has the same sign and colour.
fn action(change: DriftChange) -> Action {
    match change {
        DriftChange::Changed => Action::Update,
        DriftChange::Removed => Action::Delete,
        DriftChange::Added => Action::Create,
    }
}

/// Returns `Drift since run R (2026-01-02 03:04): 3 objects differ.`.
fn sentence(drift: &Drift) -> String {
    let count = |change: DriftChange| drift.changes.iter().filter(|drifted| drifted.change == change).count() as u64;
    let since = match drift.applied_at {
        Some(_) => format!("run {} (applied {} UTC)", drift.run_id, minute(drift.applied_at)),
        None => format!("run {}", drift.run_id),
    };
    let mut sentence = if drift.changes.is_empty() {
        format!("No drift: {} {} as {since} left them.", drift.objects, plural(drift.objects, "object is", "objects are"))
    } else {
        let (changed, removed, added) = (count(DriftChange::Changed), count(DriftChange::Removed), count(DriftChange::Added));
        format!("Drift since {since}: {changed} changed, {removed} removed, {added} added.")
    };
    if drift.unknown > 0 {
        let words = plural(
            drift.unknown,
            "object was not compared: the run got no answer for it",
            "objects were not compared: the run got no answer for them",
        );
        sentence.push_str(&format!(" {} {words}.", drift.unknown));
    }
    sentence
}

/// Returns the changes by kind, in their order.
fn by_kind(drift: &Drift) -> impl Iterator<Item = (&str, &[Drifted])> {
    drift.changes.chunk_by(|one, other| one.kind == other.kind).filter_map(|alike| Some((alike.first()?.kind.as_str(), alike)))
}

/// Writes the changes for a person.
pub(crate) fn text(out: &mut (impl Write + ?Sized), drift: &Drift, look: &Look) -> io::Result<()> {
    for (kind, reason) in &drift.not_compared {
        writeln!(out, "{style}{}{style:#} is not compared as a whole: {}", Escaped(kind), Escaped(reason), style = look.update)?;
    }
    for (kind, changes) in by_kind(drift) {
        writeln!(out, "{bold}{}{bold:#}", Escaped(kind), bold = look.heading)?;
        for drifted in changes {
            let action = action(drifted.change);
            writeln!(out, "  {style}{} {}{style:#}", sign(action), Escaped(&drifted.unique_id), style = look.of(action))?;
            if drifted.change != DriftChange::Changed && !look.unfold {
                continue;
            }
            for field in &drifted.fields {
                let value = |value: &Value| Escaped(&value.to_string()).to_string();
                writeln!(out, "      {}  {} {dim}→{dim:#} {}", Escaped(&field.name), value(&field.was), value(&field.now), dim = look.dim)?;
            }
        }
        writeln!(out)?;
    }
    writeln!(out, "{bold}{}{bold:#}", sentence(drift), bold = look.heading)
}

/// Writes one JSON document, one change a line.
pub(crate) fn json(out: &mut (impl Write + ?Sized), drift: &Drift) -> io::Result<()> {
    #[derive(Serialize)]
    struct Skipped<'a> {
        kind: &'a str,
        reason: &'a str,
    }
    write!(out, "{{\n\"run_id\": ")?;
    put(out, &drift.run_id)?;
    write!(out, ",\n\"applied_at\": ")?;
    put(out, &drift.applied_at.map(|at| at.to_string()))?;
    write!(
        out,
        ",\n\"drift\": {},\n\"objects\": {},\n\"unknown\": {},\n\"not_compared\": ",
        !drift.changes.is_empty(),
        drift.objects,
        drift.unknown
    )?;
    put(out, &drift.not_compared.iter().map(|(kind, reason)| Skipped { kind, reason }).collect::<Vec<_>>())?;
    write!(out, ",\n\"changes\": [")?;
    for (at, drifted) in drift.changes.iter().enumerate() {
        out.write_all(if at == 0 { b"\n" } else { b",\n" })?;
        put(out, drifted)?;
    }
    writeln!(out, "\n]\n}}")
}

/// Writes the changes as a table of markdown.
pub(crate) fn markdown(out: &mut (impl Write + ?Sized), drift: &Drift) -> io::Result<()> {
    let cell = |text: &str| Escaped(text).to_string().replace('|', "\\|").replace('<', "&lt;").replace('`', "'");
    writeln!(out, "**{}**", cell(&sentence(drift)))?;
    for (kind, reason) in &drift.not_compared {
        writeln!(out, "\n{} is not compared as a whole: {}", cell(kind), cell(reason))?;
    }
    if drift.changes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| kind | object | change | field | was | is |\n|---|---|---|---|---|---|")?;
    for drifted in &drift.changes {
        let what = match drifted.change {
            DriftChange::Changed => "changed",
            DriftChange::Removed => "removed",
            DriftChange::Added => "added",
        };
        let start = format!("| {} | {} | {what} |", cell(&drifted.kind), cell(&drifted.unique_id));
        if drifted.change != DriftChange::Changed {
            writeln!(out, "{start} | | |")?;
            continue;
        }
        for field in &drifted.fields {
            writeln!(out, "{start} {} | {} | {} |", cell(&field.name), cell(&field.was.to_string()), cell(&field.now.to_string()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use infrahub_sync_engine::DriftedField;
    use serde_json::json;

    use super::*;

    fn drift() -> Drift {
        let field = |was: Value, now: Value| vec![DriftedField { name: "serial".into(), was, now }];
        let drifted = |change, kind: &str, id: &str, fields| Drifted {
            change,
            kind: kind.into(),
            unique_id: id.into(),
            id: Some("7".into()),
            fields,
        };
        Drift {
            run_id: "r1".into(),
            applied_at: "2026-01-02T03:04:05Z".parse().ok(),
            changes: vec![
                drifted(DriftChange::Changed, "Device", "a|b", field(json!("x"), json!("y\u{1b}"))),
                drifted(DriftChange::Removed, "Device", "c", field(json!("z"), Value::Null)),
                drifted(DriftChange::Added, "Site", "d", field(Value::Null, json!(1))),
            ],
            objects: 9,
            unknown: 1,
            not_compared: vec![("Tag".into(), "it has no snapshot".into())],
        }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn drift_for_a_person() {
        insta::assert_snapshot!(written(|out| text(out, &drift(), &Look::new(false, false))), @r#"
        Tag is not compared as a whole: it has no snapshot
        Device
          ~ a|b
              serial  "x" → "y\u001b"
          - c

        Site
          + d

        Drift since run r1 (applied 2026-01-02 03:04 UTC): 1 changed, 1 removed, 1 added. 1 object was not compared: the run got no answer for it.
        "#);
        let none = Drift { changes: Vec::new(), unknown: 0, not_compared: Vec::new(), ..drift() };
        insta::assert_snapshot!(written(|out| text(out, &none, &Look::new(false, false))), @"No drift: 9 objects are as run r1 (applied 2026-01-02 03:04 UTC) left them.");
    }

    #[test]
    fn drift_for_a_program() {
        let text = written(|out| json(out, &drift()));
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["drift"], json!(true));
        assert_eq!(
            parsed["changes"][0],
            json!({"change": "changed", "kind": "Device", "unique_id": "a|b", "id": "7", "fields": [{"name": "serial", "was": "x", "now": "y\u{1b}"}]})
        );
    }

    #[test]
    fn drift_for_a_merge_request() {
        insta::assert_snapshot!(written(|out| markdown(out, &drift())), @r#"
        **Drift since run r1 (applied 2026-01-02 03:04 UTC): 1 changed, 1 removed, 1 added. 1 object was not compared: the run got no answer for it.**

        Tag is not compared as a whole: it has no snapshot

        | kind | object | change | field | was | is |
        |---|---|---|---|---|---|
        | Device | a\|b | changed | serial | "x" | "y\u001b" |
        | Device | c | removed | | | |
        | Site | d | added | | | |
        "#);
    }
}
