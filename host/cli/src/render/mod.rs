//! Plans on stdout: for people, for programs, for merge requests.
//!
//! Key types: [`Overview`] (the counts, which are known before the first row), [`Look`] (colours, folding), [`Failure`].
//!
//! Invariants: rows are streamed and never held, so that a plan of any size prints in constant memory; nothing here knows
//! where stdout is; data of other systems is escaped ([`crate::escape`]).

pub(crate) mod adapter;
pub(crate) mod cache;
pub(crate) mod conformance;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod markdown;
pub(crate) mod text;
mod value;

use std::io;

use anstyle::{AnsiColor, Style};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_engine::Fates;

/// The counts of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Objects to create.
    pub(crate) create: u64,
    /// Objects to update.
    pub(crate) update: u64,
    /// Objects to delete.
    pub(crate) delete: u64,
    /// Differences that are left alone.
    pub(crate) skipped: u64,
}

impl Counts {
    /// Whether anything would be written.
    pub(crate) fn has_changes(&self) -> bool {
        self.create + self.update + self.delete > 0
    }

    fn add(self, other: Counts) -> Counts {
        Counts {
            create: self.create + other.create,
            update: self.update + other.update,
            delete: self.delete + other.delete,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// A kind in the overview.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindOverview<'a> {
    /// The kind.
    pub(crate) kind: &'a str,
    /// Its write order.
    pub(crate) tier: u32,
    /// Objects in the source.
    pub(crate) source_rows: u64,
    /// Objects in the destination.
    pub(crate) destination_rows: u64,
    /// What is done to them.
    pub(crate) counts: Counts,
    /// Objects of the source were left out, because they could not be identified.
    pub(crate) partial: bool,
}

/// What is known of a plan before its first row.
#[derive(Debug, Clone)]
pub(crate) struct Overview<'a> {
    /// The run.
    pub(crate) run_id: &'a str,
    /// The kinds, in tier order.
    pub(crate) kinds: Vec<KindOverview<'a>>,
    /// What became of the rows, once somebody has begun to apply the plan.
    pub(crate) fates: Option<&'a Fates>,
}

impl Overview<'_> {
    /// What became of a row, as `failed: why`; none of a plan that nobody has begun to apply.
    fn fate(&self, at: usize, row: &PlanRow) -> Option<String> {
        let (state, message) = self.fates?.of(at as u64, row);
        Some(match message {
            Some(message) => format!("{state}: {message}"),
            None => state.to_owned(),
        })
    }

    /// `Applied: 3 done, 1 failed.`; empty where nobody has begun.
    fn fates_sentence(&self) -> String {
        let Some(fates) = self.fates else { return String::new() };
        let counts: Vec<String> = fates.counts().into_iter().map(|(state, count)| format!("{count} {state}")).collect();
        if counts.is_empty() { String::new() } else { format!(" Applied: {}.", counts.join(", ")) }
    }

    /// The counts of all kinds.
    pub(crate) fn totals(&self) -> Counts {
        self.kinds.iter().map(|kind| kind.counts).fold(Counts::default(), Counts::add)
    }

    /// Whether there is nothing to tell.
    fn is_in_sync(&self) -> bool {
        self.totals() == Counts::default()
    }

    /// `Plan: 3 to create, 1 to update, 0 to delete.`, or that both sides are in sync.
    pub(crate) fn sentence(&self) -> String {
        let totals = self.totals();
        let mut sentence = if totals.has_changes() {
            let Counts { create, update, delete, .. } = totals;
            format!("Plan: {create} to create, {update} to update, {delete} to delete.")
        } else {
            let objects: u64 = self.kinds.iter().map(|kind| kind.source_rows).sum();
            let kinds = self.kinds.len() as u64;
            format!(
                "{} to create, update or delete ({objects} {} of {kinds} {} in the source).",
                if totals.skipped > 0 { "Nothing" } else { "In sync: nothing" },
                plural(objects, "object", "objects"),
                plural(kinds, "kind", "kinds"),
            )
        };
        if totals.skipped > 0 {
            sentence.push_str(&format!(" {} {} left alone.", totals.skipped, plural(totals.skipped, "difference is", "differences are")));
        }
        sentence.push_str(&self.fates_sentence());
        sentence
    }
}

/// What is said of a partial kind, after its name.
const PARTIAL: &str = "is partial: objects that cannot be identified are left out, and nothing of it is deleted";

/// The word for one or for several.
pub(crate) fn plural(count: u64, one: &'static str, several: &'static str) -> &'static str {
    if count == 1 { one } else { several }
}

/// Writes rows of which each column is as wide as its widest cell; those named in `right` are set to the right. An empty column
/// leaves nothing behind.
pub(crate) fn table<const N: usize>(out: &mut impl io::Write, rows: &[[String; N]], right: &[usize]) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(widths).enumerate().filter(|(_, (_, width))| *width > 0) {
            line.push_str(&if right.contains(&column) { format!(" {cell:>width$} ") } else { format!(" {cell:width$} ") });
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Colours and folding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Long values are shown in full, and what is left out by default is shown too.
    pub(crate) unfold: bool,
    heading: Style,
    create: Style,
    update: Style,
    delete: Style,
    dim: Style,
}

impl Look {
    /// Colours only where they are wanted.
    pub(crate) fn new(colour: bool, unfold: bool) -> Look {
        let style = |style: Style| if colour { style } else { Style::new() };
        Look {
            unfold,
            heading: style(Style::new().bold()),
            create: style(AnsiColor::Green.on_default()),
            update: style(AnsiColor::Yellow.on_default()),
            delete: style(AnsiColor::Red.on_default()),
            dim: style(Style::new().dimmed()),
        }
    }

    fn of(&self, action: Action) -> Style {
        match action {
            Action::Create => self.create,
            Action::Update => self.update,
            Action::Delete => self.delete,
        }
    }
}

/// The sign of an action.
fn sign(action: Action) -> &'static str {
    match action {
        Action::Create => "+",
        Action::Update => "~",
        Action::Delete => "-",
    }
}

/// Why a plan was not printed to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure<E> {
    /// stdout cannot be written.
    #[error("cannot write to stdout")]
    Write(#[from] io::Error),
    /// The plan cannot be read.
    #[error(transparent)]
    Rows(E),
}

#[cfg(test)]
mod fixture {
    use super::*;
    use infrahub_sync_core::plan_row::PlanRow;
    use std::convert::Infallible;

    pub(crate) fn row(action: Action, kind: &str, id: &str, old: Option<&str>, new: Option<&str>) -> PlanRow {
        PlanRow {
            action,
            resource: kind.to_owned(),
            source_id: id.to_owned(),
            dest_id: (action != Action::Create).then(|| "17".to_owned()),
            attribute: None,
            old_value: old.map(str::to_owned),
            new_value: new.map(str::to_owned),
            owner: None,
            skip_reason: None,
            conflict_class: None,
            tier: 0,
            pass: 0,
            key: "[]".to_owned(),
            peers: None,
            evidence: None,
            destination_mapping: None,
        }
    }

    pub(crate) fn ok(rows: Vec<PlanRow>) -> impl Iterator<Item = Result<PlanRow, Infallible>> {
        rows.into_iter().map(Ok)
    }

    pub(crate) fn counts(create: u64, update: u64, delete: u64, skipped: u64) -> Counts {
        Counts { create, update, delete, skipped }
    }

    pub(crate) fn overview(kinds: &[(&'static str, u64, u64, Counts)]) -> Overview<'static> {
        let kinds = kinds
            .iter()
            .zip(0..)
            .map(|((kind, source_rows, destination_rows, counts), tier)| KindOverview {
                kind,
                tier,
                source_rows: *source_rows,
                destination_rows: *destination_rows,
                counts: *counts,
                partial: *kind == "LocationSite",
            })
            .collect();
        Overview { run_id: "20260102T0304-0011aabb", kinds, fates: None }
    }

    /// A plan with every sort of row.
    pub(crate) fn plan() -> (Overview<'static>, Vec<PlanRow>) {
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
            row(
                Action::Update,
                "BuiltinTag",
                "blue",
                Some(r#"{"description":""}"#),
                Some(r#"{"description":"two\nlines and \"quotes\""}"#),
            ),
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

    #[test]
    fn the_sentence_knows_one_from_many() {
        let say = |kinds: &[(&'static str, u64, u64, Counts)]| -> String { overview(kinds).sentence() };
        insta::assert_snapshot!(say(&[]), @"In sync: nothing to create, update or delete (0 objects of 0 kinds in the source).");
        insta::assert_snapshot!(say(&[("A", 1, 1, counts(0, 0, 0, 0))]), @"In sync: nothing to create, update or delete (1 object of 1 kind in the source).");
        insta::assert_snapshot!(say(&[("A", 1, 2, counts(0, 0, 0, 1)), ("B", 4, 4, counts(0, 0, 0, 0))]), @"Nothing to create, update or delete (5 objects of 2 kinds in the source). 1 difference is left alone.");
        insta::assert_snapshot!(say(&[("A", 1, 2, counts(3, 1, 0, 2))]), @"Plan: 3 to create, 1 to update, 0 to delete. 2 differences are left alone.");
    }
}
