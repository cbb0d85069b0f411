//! The facts about a plan that precede its rows.

use infrahub_sync_core::plan::KindSummary;
use infrahub_sync_core::plan_row::PlanRow;
use infrahub_sync_engine::{Fates, MappingReading};
use serde::Serialize;

use super::words::plural;

/// The counts of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Counts {
    /// Objects to create.
    pub(crate) create: u64,
    /// Objects to update.
    pub(crate) update: u64,
    /// Objects to delete.
    pub(crate) delete: u64,
    /// Differences that are not applied.
    pub(crate) skipped: u64,
    /// Objects without a row in the plan that its deletes take along.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) along: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Returns the counts of one kind.
    pub(super) fn of(kind: &KindSummary) -> Counts {
        let along = kind.deletes_in_all().saturating_sub(kind.delete);
        Counts { create: kind.create, update: kind.update, delete: kind.delete, skipped: kind.skipped, along }
    }

    /// Returns whether anything would be written.
    fn has_changes(self) -> bool {
        self.create + self.update + self.delete > 0
    }

    fn add(self, other: Counts) -> Counts {
        Counts {
            create: self.create + other.create,
            update: self.update + other.update,
            delete: self.delete + other.delete,
            skipped: self.skipped + other.skipped,
            along: self.along.saturating_add(other.along),
        }
    }
}

/// The facts about a plan that precede its rows.
#[derive(Debug, Clone)]
pub(crate) struct Overview<'a> {
    /// The run.
    pub(crate) run_id: &'a str,
    /// The kinds, in tier order.
    pub(crate) kinds: Vec<KindSummary>,
    /// The counts of each mapping.
    pub(crate) mappings: &'a [MappingReading],
    /// The state of each row, once an apply has begun.
    pub(crate) fates: Option<&'a Fates>,
}

impl Overview<'_> {
    /// Returns the state of a row, as `failed: why`, or none if no apply has begun.
    pub(super) fn fate(&self, at: usize, row: &PlanRow) -> Option<String> {
        let (state, message) = self.fates?.of(at as u64, row);
        Some(match message {
            Some(message) => format!("{state}: {message}"),
            None => state.to_owned(),
        })
    }

    /// Returns ` Applied: 3 done, 1 failed.`, or nothing if no apply has begun.
    fn fates_sentence(&self) -> String {
        let Some(fates) = self.fates else { return String::new() };
        let counts: Vec<String> = fates.counts().into_iter().map(|(state, count)| format!("{count} {state}")).collect();
        if counts.is_empty() { String::new() } else { format!(" Applied: {}.", counts.join(", ")) }
    }

    /// Returns the counts of all kinds.
    pub(super) fn totals(&self) -> Counts {
        self.kinds.iter().map(Counts::of).fold(Counts::default(), Counts::add)
    }

    /// Returns whether the plan has no row.
    pub(super) fn is_in_sync(&self) -> bool {
        self.totals() == Counts::default()
    }

    /// Returns a sentence for each partial kind, which may hold words of an adapter.
    pub(super) fn partial(&self) -> impl Iterator<Item = (&str, String)> {
        let partial = self.kinds.iter().filter(|kind| kind.partial);
        partial.map(|kind| {
            let reason = kind.partial_reason.as_deref().unwrap_or("objects that cannot be used are left out");
            (kind.kind.as_str(), format!("is partial: {reason}, and none of its objects is deleted"))
        })
    }

    /// Returns a sentence for each kind with objects that other users made and that are left alone, and behind them one about what to do.
    pub(super) fn unowned(&self) -> (Vec<(&str, String)>, Option<&'static str>) {
        let (mut lines, mut hint) = (Vec::new(), None);
        for kind in &self.kinds {
            if kind.unowned > 0 {
                let (objects, are, they) = (
                    plural(kind.unowned, "object", "objects"),
                    plural(kind.unowned, "is", "are"),
                    plural(kind.unowned, "it stays", "they stay"),
                );
                let text = format!("{} {objects} only in the destination {are} not recorded as made by this sync: {they}", kind.unowned);
                lines.push((kind.kind.as_str(), text));
                hint = Some(
                    "to delete such objects, take them over with `infrahub-sync adopt --unmatched --yes`, or set `deletes: all` in config.yml",
                );
            }
            if kind.unowned_updates > 0 {
                let (objects, are, they) = (
                    plural(kind.unowned_updates, "object", "objects"),
                    plural(kind.unowned_updates, "is", "are"),
                    plural(kind.unowned_updates, "it stays", "they stay"),
                );
                let text = format!(
                    "{} {objects} with differences {are} not recorded as made by this sync: {they} (`updates: owned`)",
                    kind.unowned_updates
                );
                lines.push((kind.kind.as_str(), text));
            }
        }
        (lines, hint)
    }

    /// Returns `Plan: 3 to create, 1 to update, 0 to delete.`, or that both sides are in sync.
    pub(super) fn sentence(&self) -> String {
        let totals = self.totals();
        let mut sentence = if totals.has_changes() {
            let Counts { create, update, delete, .. } = totals;
            let along = match totals.along {
                0 => String::new(),
                along => format!(", which {} {along} more along", plural(delete, "takes", "take")),
            };
            format!("Plan: {create} to create, {update} to update, {delete} to delete{along}.")
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
            sentence.push_str(&format!(" {} {} skipped.", totals.skipped, plural(totals.skipped, "difference is", "differences are")));
        }
        sentence.push_str(&self.fates_sentence());
        sentence
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{counts, overview};
    use super::*;

    #[test]
    fn objects_of_other_users_are_counted_with_the_way_to_take_them_over() {
        let mut overview = overview(&[("A", 3, 4, counts(0, 0, 0, 0)), ("B", 1, 1, counts(0, 0, 0, 0))]);
        (overview.kinds[0].unowned, overview.kinds[1].unowned_updates) = (1, 2);
        let (lines, hint) = overview.unowned();
        let lines: Vec<String> = lines.into_iter().map(|(kind, sentence)| format!("{kind}: {sentence}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        A: 1 object only in the destination is not recorded as made by this sync: it stays
        B: 2 objects with differences are not recorded as made by this sync: they stay (`updates: owned`)
        ");
        assert!(hint.is_some_and(|hint| hint.contains("adopt --unmatched") && hint.contains("deletes: all")));
        assert!(overview.is_in_sync());
    }

    #[test]
    fn the_sentence_distinguishes_one_from_many() {
        let say = |kinds: &[(&'static str, u64, u64, Counts)]| -> String { overview(kinds).sentence() };
        insta::assert_snapshot!(say(&[]), @"In sync: nothing to create, update or delete (0 objects of 0 kinds in the source).");
        insta::assert_snapshot!(say(&[("A", 1, 1, counts(0, 0, 0, 0))]), @"In sync: nothing to create, update or delete (1 object of 1 kind in the source).");
        insta::assert_snapshot!(say(&[("A", 1, 2, counts(0, 0, 0, 1)), ("B", 4, 4, counts(0, 0, 0, 0))]), @"Nothing to create, update or delete (5 objects of 2 kinds in the source). 1 difference is skipped.");
        let mut taking = overview(&[("A", 1, 2, counts(0, 0, 1, 0))]);
        taking.kinds[0].along = [("B".to_owned(), 40)].into();
        insta::assert_snapshot!(taking.sentence(), @"Plan: 0 to create, 0 to update, 1 to delete, which takes 40 more along.");
        insta::assert_snapshot!(say(&[("A", 1, 2, counts(3, 1, 0, 2))]), @"Plan: 3 to create, 1 to update, 0 to delete. 2 differences are skipped.");
    }
}
