//! The way of one object through a run, as text and JSON.

use std::io::{self, Write};

use infrahub_sync_cache::{ErrorRow, RunStatus};
use infrahub_sync_core::mapping::trace::{LeftOut, Transformed};
use infrahub_sync_core::plan_row::{Action, PARKING, PlanRow};
use infrahub_sync_core::stored::StoredRow;
use infrahub_sync_engine::{Explanation, Planned, SideOf};
use serde::Serialize;
use serde_json::Value;

use super::json::put;
use super::look::Look;
use crate::escape::Escaped;

/// Says in one sentence what the run does with the object, and why.
fn conclusion(explanation: &Explanation) -> String {
    let Explanation { source, destination, changes, left_out, errors, counts, .. } = explanation;
    let action = changes.iter().map(|change| change.row.action).find(|action| *action != Action::Update);
    match (action.or(changes.first().map(|change| change.row.action)), &source.row, &destination.row) {
        (Some(Action::Create), ..) => "the source has it and the destination does not, so the plan creates it".to_owned(),
        (Some(Action::Delete), ..) => {
            let evidence = changes.iter().find_map(|change| change.row.evidence.as_deref()).unwrap_or("the source does not have it");
            format!("the plan deletes it: {evidence}")
        }
        (Some(Action::Update), ..) => {
            let fields: Vec<&str> = changes.iter().filter_map(|change| change.row.attribute.as_deref()).collect();
            format!("both sides have it, and the plan updates what differs: {}", fields.join(","))
        }
        (None, None, None) if !left_out.is_empty() => "a filter left its record out, so it is in neither snapshot and in no plan".to_owned(),
        (None, None, Some(_)) if !left_out.is_empty() => {
            "a filter left its record out; the destination has it, and the plan leaves it: deletes are not allowed, or something still refers to it".to_owned()
        }
        (None, None, None) if !errors.is_empty() => "its record could not be identified or resolved, so it was left out".to_owned(),
        _ if explanation.record.status == RunStatus::Failed => "the run failed before its plan was finished".to_owned(),
        (None, Some(_), Some(_)) => "both sides have it, and no field that the project maps and may write differs".to_owned(),
        (None, Some(_), None) => "the source has it and the destination does not, and the plan leaves it: the project does not allow creates".to_owned(),
        (None, None, Some(_)) if counts.as_ref().is_some_and(|counts| counts.partial) => {
            "the destination alone has it, and its kind was read in part: nothing of it is deleted".to_owned()
        }
        (None, None, Some(_)) => {
            "the destination alone has it, and the plan leaves it: deletes are not allowed, or something still refers to it".to_owned()
        }
        (None, None, None) => "neither side has it".to_owned(),
    }
}

/// Writes the way for a person.
pub(crate) fn text(out: &mut (impl Write + ?Sized), explanation: &Explanation, look: &Look) -> io::Result<()> {
    let Explanation { run_id, record, kind, unique_id, .. } = explanation;
    let bold = look.heading;
    writeln!(out, "{bold}{} {}{bold:#} in run {run_id} ({})", Escaped(kind), Escaped(unique_id), record.status.as_str())?;
    write_record(out, explanation, look)?;
    write_side(out, "Source", &explanation.source, look)?;
    write_side(out, "Destination", &explanation.destination, look)?;
    writeln!(out, "\n{bold}Plan{bold:#}")?;
    writeln!(out, "  {}", Escaped(&conclusion(explanation)))?;
    for change in &explanation.changes {
        write_change(out, change)?;
    }
    if explanation.errors.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{bold}Errors{bold:#}")?;
    for error in &explanation.errors {
        writeln!(out, "  {}: {}", Escaped(&error.error_class), Escaped(&error.message))?;
        if let Some(hint) = &error.hint {
            writeln!(out, "    {}", Escaped(hint))?;
        }
    }
    Ok(())
}

/// Writes what filters and transforms did with the record.
fn write_record(out: &mut (impl Write + ?Sized), explanation: &Explanation, look: &Look) -> io::Result<()> {
    let bold = look.heading;
    writeln!(out, "\n{bold}Record{bold:#}")?;
    for (mapping, LeftOut { id, filter, found, record, .. }) in &explanation.left_out {
        writeln!(
            out,
            "  mapping {mapping}: record {} is left out by the filter `{}`: it has {}",
            Escaped(id),
            Escaped(filter),
            Escaped(&found.to_string())
        )?;
        for (name, value) in record {
            writeln!(out, "      {}  {}", Escaped(name), Escaped(&value.to_string()))?;
        }
    }
    for (mapping, Transformed { before, after, .. }) in &explanation.transformed {
        writeln!(out, "  mapping {mapping}: {}", if after.is_empty() { "the transforms changed nothing" } else { "the transforms wrote" })?;
        for (name, value) in after {
            let was = before.get(name).map_or_else(|| "missing".to_owned(), Value::to_string);
            writeln!(out, "      {}  {} {dim}→{dim:#} {}", Escaped(name), Escaped(&was), Escaped(&value.to_string()), dim = look.dim)?;
        }
    }
    if explanation.left_out.is_empty() {
        let words = match &explanation.source.row {
            Some(_) => "it passed the filters, if its mapping has any",
            None => "the run kept no record of it",
        };
        writeln!(out, "  {words}")?;
    }
    if explanation.source.row.is_none() && explanation.filtered > 0 {
        writeln!(out, "  filters left out {} records of this kind", explanation.filtered)?;
    }
    Ok(())
}

fn write_side(out: &mut (impl Write + ?Sized), name: &str, side: &SideOf, look: &Look) -> io::Result<()> {
    let bold = look.heading;
    writeln!(out, "\n{bold}{name}{bold:#}")?;
    if let Some(reading) = &side.reading {
        writeln!(out, "  read: {}", Escaped(reading))?;
    }
    let Some(row) = &side.row else { return writeln!(out, "  it is not there") };
    writeln!(out, "  id {}", Escaped(&row.id))?;
    for (field, value) in &row.fields {
        write!(out, "      {}  {}", Escaped(field), Escaped(&value.to_string()))?;
        for (_, kind, peer, id) in side.peers.iter().filter(|(known, ..)| known == field) {
            match id {
                Some(id) => write!(out, "{dim} → {} {}, id {}{dim:#}", Escaped(kind), Escaped(peer), Escaped(id), dim = look.dim)?,
                None => write!(out, "{dim} → {} {} is not in the snapshot{dim:#}", Escaped(kind), Escaped(peer), dim = look.dim)?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_change(out: &mut (impl Write + ?Sized), change: &Planned) -> io::Result<()> {
    let row = &change.row;
    let pass = match row.pass {
        0 => "",
        PARKING => ", frees unique values",
        _ => ", second pass",
    };
    write!(out, "  row {}: {}{pass}", change.place, row.action.as_str())?;
    match (change.state, &change.id) {
        (Some(state), Some(id)) => writeln!(out, " → {state}, id {}", Escaped(id))?,
        (Some(state), None) => writeln!(out, " → {state}")?,
        (None, _) => writeln!(out, ", not applied")?,
    }
    let values = |json: &Option<String>| -> serde_json::Map<String, Value> {
        json.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    };
    if row.action == Action::Update {
        let old = values(&row.old_value);
        for (name, new) in values(&row.new_value) {
            let was = old.get(&name).map_or_else(|| "not known".to_owned(), Value::to_string);
            writeln!(out, "      {}  {} → {}", Escaped(&name), Escaped(&was), Escaped(&new.to_string()))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Peer<'a> {
    field: &'a str,
    kind: &'a str,
    unique_id: &'a str,
    id: Option<&'a str>,
}

#[derive(Serialize)]
struct Side<'a> {
    reading: Option<&'a str>,
    object: Option<&'a StoredRow>,
    references: Vec<Peer<'a>>,
}

impl Side<'_> {
    fn of(side: &SideOf) -> Side<'_> {
        let peer = |(field, kind, unique_id, id)| Peer { field, kind, unique_id, id };
        let peers = side.peers.iter().map(|(field, kind, name, id)| peer((field.as_str(), kind.as_str(), name.as_str(), id.as_deref())));
        Side { reading: side.reading.as_deref(), object: side.row.as_ref(), references: peers.collect() }
    }
}

#[derive(Serialize)]
struct Of<'a, T> {
    mapping: usize,
    #[serde(flatten)]
    record: &'a T,
}

#[derive(Serialize)]
struct Change<'a> {
    place: u64,
    #[serde(flatten)]
    row: &'a PlanRow,
    state: Option<&'static str>,
    id: Option<&'a str>,
}

impl Change<'_> {
    fn of(change: &Planned) -> Change<'_> {
        let Planned { place, row, state, id } = change;
        Change { place: *place, row, state: *state, id: id.as_deref() }
    }
}

/// Writes one JSON document.
pub(crate) fn json(out: &mut (impl Write + ?Sized), explanation: &Explanation) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        run_id: &'a str,
        status: &'static str,
        kind: &'a str,
        unique_id: &'a str,
        conclusion: String,
        left_out: Vec<Of<'a, LeftOut>>,
        transformed: Vec<Of<'a, Transformed>>,
        filtered: u64,
        source: Side<'a>,
        destination: Side<'a>,
        changes: Vec<Change<'a>>,
        errors: &'a [ErrorRow],
    }
    let document = Document {
        run_id: &explanation.run_id,
        status: explanation.record.status.as_str(),
        kind: &explanation.kind,
        unique_id: &explanation.unique_id,
        conclusion: conclusion(explanation),
        left_out: explanation.left_out.iter().map(|(mapping, record)| Of { mapping: *mapping, record }).collect(),
        transformed: explanation.transformed.iter().map(|(mapping, record)| Of { mapping: *mapping, record }).collect(),
        filtered: explanation.filtered,
        source: Side::of(&explanation.source),
        destination: Side::of(&explanation.destination),
        changes: explanation.changes.iter().map(Change::of).collect(),
        errors: &explanation.errors,
    };
    put(out, &document)?;
    writeln!(out)
}
