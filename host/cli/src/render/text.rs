//! A plan for a person: a table of counts, then each object with its changed fields, then one sentence.

use std::collections::HashSet;
use std::io::{self, Write};

use anstyle::Style;
use infrahub_sync_core::plan::KindSummary;
use infrahub_sync_core::plan_row::{Action, PARKING, PlanRow};
use infrahub_sync_core::snapshot::hash;

use super::look::{Look, sign};
use super::output::Failure;
use super::overview::{Counts, Overview};
use super::table::{Cell, Table};
use super::value::{Fields, write_change, write_value};
use super::words::{evidence_words, plural, taken_along};
use crate::escape::{Escaped, columns, write_escaped};

/// The widest column of field names that values are aligned to. A longer name moves only its own value.
const NAME_COLUMNS_MAX: usize = 32;

/// The table of counts: kinds to the left, numbers to the right.
const COUNTS: Table = Table { indent: "", gap: "  ", right: &[1, 2, 3, 4, 5, 6] };

/// Writes a plan. The rows must be in write order: kind by kind, deletes last, in the opposite order of tiers.
pub(crate) fn write<E>(
    out: &mut impl Write,
    overview: &Overview<'_>,
    rows: impl Iterator<Item = Result<PlanRow, E>>,
    look: &Look,
) -> Result<(), Failure<E>> {
    if overview.is_in_sync() {
        writeln!(out, "{}", overview.sentence())?;
        write_partial(out, overview, look)?;
        write_unowned(out, overview, look)?;
        return Ok(());
    }
    write_table(out, overview, look)?;
    write_partial(out, overview, look)?;
    write_unowned(out, overview, look)?;
    let mut group: Option<Group> = None;
    for (at, row) in rows.enumerate() {
        let row = row.map_err(Failure::Rows)?;
        if !group.as_ref().is_some_and(|group| group.holds(&row)) {
            group = Some(Group::begin(&row, out, look)?);
        }
        let is_namesake = group.as_mut().is_some_and(|group| !group.names.insert(hash(&row.source_id)));
        write_row(out, &row, is_namesake, look)?;
        if let Some(fate) = overview.fate(at, &row) {
            writeln!(out, "      {dim}→ {}{dim:#}", Escaped(&fate), dim = look.dim)?;
        }
    }
    writeln!(out, "\n{bold}{}{bold:#}", overview.sentence(), bold = look.heading)?;
    Ok(())
}

/// Writes the table of counts, with one line for all kinds without differences: there may be sixty of them.
fn write_table(out: &mut impl Write, overview: &Overview<'_>, look: &Look) -> io::Result<()> {
    let (changed, same): (Vec<&KindSummary>, Vec<&KindSummary>) =
        overview.kinds.iter().partition(|kind| Counts::of(kind) != Counts::default());
    let has_skipped = overview.totals().skipped > 0;
    let header = ["Kind", "Source", "Destination", "Create", "Update", "Delete", if has_skipped { "Skipped" } else { "" }];
    let header = header.map(|title| Cell::styled(title, look.heading));
    let rows = changed.into_iter().map(|kind| {
        let count = |sign: &str, count: u64, style| match count {
            0 => Cell::styled("·", look.dim),
            count => Cell::styled(format!("{sign}{count}"), style),
        };
        [
            Escaped(&kind.kind).to_string().into(),
            kind.source_rows.to_string().into(),
            kind.destination_rows.to_string().into(),
            count("+", kind.create, look.create),
            count("~", kind.update, look.update),
            count("-", kind.delete, look.delete),
            if has_skipped { count("", kind.skipped, Style::new()) } else { Cell::default() },
        ]
    });
    COUNTS.write(out, &std::iter::once(header).chain(rows).collect::<Vec<_>>())?;
    if !same.is_empty() {
        let count = same.len() as u64;
        writeln!(out, "{dim}{count} more {} in sync{dim:#}", plural(count, "kind is", "kinds are"), dim = look.dim)?;
    }
    Ok(())
}

/// Writes a line for each partial kind.
fn write_partial(out: &mut impl Write, overview: &Overview<'_>, look: &Look) -> io::Result<()> {
    for (kind, sentence) in overview.partial() {
        writeln!(out, "{style}{}{style:#} {}", Escaped(kind), Escaped(&sentence), style = look.update)?;
    }
    Ok(())
}

/// Writes a line for each kind with objects of other users, and how to take them over.
fn write_unowned(out: &mut impl Write, overview: &Overview<'_>, look: &Look) -> io::Result<()> {
    let (lines, hint) = overview.unowned();
    for (kind, sentence) in lines {
        writeln!(out, "{}: {sentence}", Escaped(kind))?;
    }
    match hint {
        Some(hint) => writeln!(out, "{dim}{hint}{dim:#}", dim = look.dim),
        None => Ok(()),
    }
}

/// The rows below one heading.
struct Group {
    kind: String,
    pass: u32,
    /// The hashes of the unique ids so far: two objects may have the same one.
    names: HashSet<u64>,
}

impl Group {
    fn begin(row: &PlanRow, out: &mut impl Write, look: &Look) -> io::Result<Group> {
        let group = Group { kind: row.resource.clone(), pass: row.pass, names: HashSet::new() };
        write!(out, "\n{bold}{}{bold:#}", Escaped(&group.kind), bold = look.heading)?;
        let note = match group.pass {
            0 => "",
            PARKING => " (frees unique values that other objects take)",
            _ => " (second pass: references that close a cycle)",
        };
        if !note.is_empty() {
            write!(out, "{dim}{note}{dim:#}", dim = look.dim)?;
        }
        writeln!(out)?;
        Ok(group)
    }

    fn holds(&self, row: &PlanRow) -> bool {
        self.kind == row.resource && self.pass == row.pass
    }
}

/// Writes a row. Behind a namesake, an object with the unique id of one above, stand its identifiers.
fn write_row(out: &mut impl Write, row: &PlanRow, is_namesake: bool, look: &Look) -> io::Result<()> {
    let style = if row.skip_reason.is_some() { look.dim } else { look.of(row.action) };
    write!(out, "  {style}{} ", sign(row.action))?;
    match row.source_id.as_str() {
        "" => out.write_all(b"\"\"")?,
        id => write_escaped(out, id)?,
    }
    write!(out, "{style:#}")?;
    if is_namesake {
        write!(out, "{dim} (identifiers: {}){dim:#}", Escaped(&row.key), dim = look.dim)?;
    }
    if let Some(reason) = &row.skip_reason {
        write!(out, "{dim} (skipped: {}){dim:#}", Escaped(reason), dim = look.dim)?;
    }
    if let Some(evidence) = &row.evidence {
        write!(out, "{dim} ({}{}){dim:#}", evidence_words(evidence), Escaped(evidence), dim = look.dim)?;
    }
    if let Some(along) = taken_along(row) {
        write!(out, "{style} (takes along: {along}){style:#}", style = look.delete)?;
    }
    if let Some(conflict) = &row.conflict_class {
        write!(out, "{style} (conflict: {}){style:#}", Escaped(conflict), style = look.delete)?;
    }
    out.write_all(b"\n")?;
    // For skipped and deleted objects, the name is enough by default.
    if !look.unfold && (row.skip_reason.is_some() || row.action == Action::Delete) {
        return Ok(());
    }
    match (Fields::parse(row.old_value.as_deref()), Fields::parse(row.new_value.as_deref())) {
        (Ok(old), Ok(new)) => write_fields(out, row.action, &old, &new, look),
        // The plan was edited: show its text instead of nothing.
        _ => {
            for text in [&row.old_value, &row.new_value].into_iter().flatten() {
                writeln!(out, "      {}", Escaped(text))?;
            }
            Ok(())
        }
    }
}

fn write_fields(out: &mut impl Write, action: Action, old: &Fields<'_>, new: &Fields<'_>, look: &Look) -> io::Result<()> {
    let width = old.iter().chain(new.iter()).map(|(name, _)| columns(name)).filter(|width| *width <= NAME_COLUMNS_MAX).max().unwrap_or(0);
    let name = |out: &mut dyn Write, name: &str| {
        out.write_all(b"      ")?;
        write_escaped(out, name)?;
        write!(out, "{:1$}", "", (width + 2).saturating_sub(columns(name)).max(2))
    };
    match action {
        Action::Create => {
            for (field, value) in new.iter() {
                name(out, field)?;
                write_value(out, value, look)?;
                out.write_all(b"\n")?;
            }
        }
        Action::Delete => {
            for (field, value) in old.iter() {
                name(out, field)?;
                write_value(out, value, look)?;
                out.write_all(b"\n")?;
            }
        }
        Action::Update => {
            for (field, value) in new.iter() {
                name(out, field)?;
                write_change(out, old.get(field), Some(value), look)?;
                out.write_all(b"\n")?;
            }
            for (field, value) in old.iter().filter(|(field, _)| new.get(field).is_none()) {
                name(out, field)?;
                write_change(out, Some(value), None, look)?;
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn text(overview: &Overview<'_>, rows: Vec<PlanRow>, unfold: bool, colour: bool) -> String {
        let mut out = Vec::new();
        write(&mut out, overview, fixture::ok(rows), &Look::new(colour, unfold)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plan_for_a_person() {
        let (overview, rows) = fixture::plan();
        insta::assert_snapshot!(text(&overview, rows, false, false), @r#"
        Kind        Source  Destination  Create  Update  Delete  Skipped
        BuiltinTag       3            2      +1      ~1       ·        1
        DcimDevice     120          120      +1      ~2      -1        ·
        1 more kind is in sync
        LocationSite is partial: objects that cannot be used are left out, and none of its objects is deleted

        BuiltinTag
          + Grün & <b>
              name         "Grün & <b>"
              description  null
              weight       3
          ~ blue
              description  "" → "two\nlines and \"quotes\""
          - legacy (skipped: SKIP_UNMATCHED_DST)

        DcimDevice
          + atl01__edge1
              name  "edge1"
              site  "atl01"
              tags  ["blue","red"]
          ~ atl01__edge2
              status    "active" → "planned"
              comments  "…cididunt ut labore." (100 characters) → "…cididunt ut LABORE." (100 characters)
              tags      +"violet" -"yellow" (7 unchanged)
              rack      "r1" → unset

        DcimDevice (second pass: references that close a cycle)
          ~ atl01__edge1
              primary_address  null → "10.0.0.1/32"

        DcimDevice
          - evil\u{1b}[2J\r\u{202e}name (not in the source: full read of 120 objects at 2026-01-02T03:04:05Z)

        Plan: 2 to create, 3 to update, 1 to delete. 1 difference is skipped.
        "#);
    }

    #[test]
    fn a_plan_unfolded_shows_long_values_and_the_fields_of_deletes() {
        let (overview, rows) = fixture::plan();
        let folded = text(&overview, rows, false, false);
        let (overview, rows) = fixture::plan();
        let unfolded = text(&overview, rows, true, false);
        let added: Vec<&str> = unfolded.lines().filter(|line| !folded.lines().any(|known| known == *line)).collect();
        insta::assert_snapshot!(added.join("\n"), @r#"
              name  "legacy"
              comments  "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore." → "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut LABORE."
              tags      ["blue","green","orange","purple","red","turquoise","white","yellow"] → ["blue","green","orange","purple","red","turquoise","white","violet"]
              name  "evil\u{1b}[2J"
        "#);
        let lost: Vec<&str> = folded.lines().filter(|line| !unfolded.lines().any(|known| known == *line)).collect();
        insta::assert_snapshot!(lost.join("\n"), @r#"
              comments  "…cididunt ut labore." (100 characters) → "…cididunt ut LABORE." (100 characters)
              tags      +"violet" -"yellow" (7 unchanged)
        "#);
    }

    #[test]
    fn colours_are_the_only_escapes() {
        let (overview, rows) = fixture::plan();
        let coloured = text(&overview, rows, false, true);
        insta::assert_snapshot!(coloured.replace('\u{1b}', "␛"), @r#"
        ␛[1mKind␛[0m        ␛[1mSource␛[0m  ␛[1mDestination␛[0m  ␛[1mCreate␛[0m  ␛[1mUpdate␛[0m  ␛[1mDelete␛[0m  ␛[1mSkipped␛[0m
        BuiltinTag       3            2      ␛[32m+1␛[0m      ␛[33m~1␛[0m       ␛[2m·␛[0m        1
        DcimDevice     120          120      ␛[32m+1␛[0m      ␛[33m~2␛[0m      ␛[31m-1␛[0m        ␛[2m·␛[0m
        ␛[2m1 more kind is in sync␛[0m
        ␛[33mLocationSite␛[0m is partial: objects that cannot be used are left out, and none of its objects is deleted

        ␛[1mBuiltinTag␛[0m
          ␛[32m+ Grün & <b>␛[0m
              name         "Grün & <b>"
              description  null
              weight       3
          ␛[33m~ blue␛[0m
              description  "" ␛[2m→␛[0m "two\nlines and \"quotes\""
          ␛[2m- legacy␛[0m␛[2m (skipped: SKIP_UNMATCHED_DST)␛[0m

        ␛[1mDcimDevice␛[0m
          ␛[32m+ atl01__edge1␛[0m
              name  "edge1"
              site  "atl01"
              tags  ["blue","red"]
          ␛[33m~ atl01__edge2␛[0m
              status    "active" ␛[2m→␛[0m "planned"
              comments  "…cididunt ut labore."␛[2m (100 characters)␛[0m ␛[2m→␛[0m "…cididunt ut LABORE."␛[2m (100 characters)␛[0m
              tags      ␛[32m+␛[0m"violet" ␛[31m-␛[0m"yellow"␛[2m (7 unchanged)␛[0m
              rack      "r1" ␛[2m→␛[0m ␛[2munset␛[0m

        ␛[1mDcimDevice␛[0m␛[2m (second pass: references that close a cycle)␛[0m
          ␛[33m~ atl01__edge1␛[0m
              primary_address  null ␛[2m→␛[0m "10.0.0.1/32"

        ␛[1mDcimDevice␛[0m
          ␛[31m- evil\u{1b}[2J\r\u{202e}name␛[0m␛[2m (not in the source: full read of 120 objects at 2026-01-02T03:04:05Z)␛[0m

        ␛[1mPlan: 2 to create, 3 to update, 1 to delete. 1 difference is skipped.␛[0m
        "#);
    }

    #[test]
    fn in_sync_is_one_line() {
        let overview = fixture::overview(&[("BuiltinTag", 3, 3, Counts::default())]);
        insta::assert_snapshot!(text(&overview, vec![], false, false), @"In sync: nothing to create, update or delete (3 objects of 1 kind in the source).");
    }

    #[test]
    fn a_broken_row_is_shown_as_it_is() {
        let overview = fixture::overview(&[("A", 1, 1, fixture::counts(0, 1, 0, 0))]);
        let row = fixture::row(Action::Update, "A", "", Some("{\"a\":1"), Some("\u{1b}"));
        insta::assert_snapshot!(text(&overview, vec![row], false, false), @r#"
        Kind  Source  Destination  Create  Update  Delete
        A          1            1       ·      ~1       ·

        A
          ~ ""
              {"a":1
              \u{1b}

        Plan: 0 to create, 1 to update, 0 to delete.
        "#);
    }

    #[test]
    fn a_plan_that_cannot_be_read_is_no_short_plan() {
        let overview = fixture::overview(&[("A", 1, 1, fixture::counts(0, 1, 0, 0))]);
        let mut out = Vec::new();
        let rows = std::iter::once(Err("torn"));
        let failure = write(&mut out, &overview, rows, &Look::new(false, false)).unwrap_err();
        assert!(matches!(failure, Failure::Rows("torn")));
        assert!(!String::from_utf8(out).unwrap().contains("Plan:"));
    }
}
