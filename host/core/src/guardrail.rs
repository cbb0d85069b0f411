//! The last gate before the destination is written: only an [`ApprovedPlan`] can be applied, and only [`approve`] makes one.

use std::collections::BTreeMap;

/// A plan that passed the guardrail.
#[derive(Debug)]
pub struct ApprovedPlan<P>(P);

impl<P> ApprovedPlan<P> {
    /// Returns the plan.
    pub fn plan(&self) -> &P {
        &self.0
    }
}

/// A kind that lost too many of its source rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drop {
    /// The kind.
    pub kind: String,
    /// Rows at the last successful run.
    pub before: u64,
    /// Rows now.
    pub now: u64,
}

/// A kind that would lose too many of its objects in the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletes {
    /// The kind.
    pub kind: String,
    /// Objects that the plan deletes, with those that go along.
    pub deletes: u64,
    /// Objects that the destination has.
    pub of: u64,
}

/// How many objects of one kind a run may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeleteLimit {
    /// A fifth of them, or ten if that is more.
    #[default]
    Usual,
    /// A number of rows.
    Rows(u64),
    /// A percentage.
    Percent(u8),
}

/// The number of objects of a kind that may be deleted in any case, unless another limit is set.
const DELETES_FREE: u64 = 10;
/// The percentage of objects that may be deleted, unless another limit is set.
const DELETES_PERCENT: u64 = 20;

impl DeleteLimit {
    fn allows(self, deletes: u64, of: u64) -> bool {
        let within = |percent: u64| u128::from(deletes) * 100 <= u128::from(of) * u128::from(percent);
        match self {
            DeleteLimit::Usual => deletes <= DELETES_FREE || within(DELETES_PERCENT),
            DeleteLimit::Rows(rows) => deletes <= rows,
            DeleteLimit::Percent(percent) => within(percent.into()),
        }
    }
}

impl std::str::FromStr for DeleteLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<DeleteLimit, String> {
        let wrong = || format!("`{text}` is neither a number of objects (`100`) nor a share (`20%`)");
        match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().filter(|percent| *percent <= 100).map(DeleteLimit::Percent).ok_or_else(wrong),
            None => text.trim().parse().map(DeleteLimit::Rows).map_err(|_| wrong()),
        }
    }
}

/// The guardrail's refusal: everything that is wrong with the plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", words(.drops, .deletes))]
pub struct Refusal {
    /// The kinds that the source has lost.
    pub drops: Vec<Drop>,
    /// The kinds that the destination would lose.
    pub deletes: Vec<Deletes>,
}

fn words(drops: &[Drop], deletes: &[Deletes]) -> String {
    let mut parts = Vec::new();
    if !drops.is_empty() {
        let drops: Vec<String> = drops.iter().map(|drop| format!("{} {} → {}", drop.kind, drop.before, drop.now)).collect();
        let what = "the source has lost more than half of its objects since the last successful run";
        parts.push(format!("{what}: {}", drops.join(", ")));
    }
    if !deletes.is_empty() {
        let deletes: Vec<String> = deletes.iter().map(|kind| format!("{} {} of {}", kind.kind, kind.deletes, kind.of)).collect();
        parts.push(format!("the plan deletes more objects than it may: {}", deletes.join(", ")));
    }
    parts.join("; ")
}

/// The objects that a kind had, has and would lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts<'k> {
    /// The kind.
    pub kind: &'k str,
    /// Objects of the source, after filters.
    pub source_rows: u64,
    /// Objects of the destination.
    pub destination_rows: u64,
    /// Objects that the plan deletes, with those that go along.
    pub deletes: u64,
}

/// Approves a plan unless a kind has lost more than half of its source rows since the last success, or would lose more objects than the
/// limit allows.
///
/// `baseline` is source rows by kind; a kind that has none passes. `allow` is `--allow-rowcount-drop`.
///
/// # Errors
/// The refusal names every such kind with both counts.
pub fn approve<'k, P>(
    plan: P,
    baseline: &BTreeMap<String, u64>,
    kinds: impl Iterator<Item = Counts<'k>>,
    allow: bool,
    limit: DeleteLimit,
) -> Result<ApprovedPlan<P>, Refusal> {
    let mut refusal = Refusal { drops: Vec::new(), deletes: Vec::new() };
    for Counts { kind, source_rows, destination_rows, deletes } in kinds {
        // A kind that is no longer in the project is not a loss, and one without a baseline has lost nothing yet.
        let before = baseline.get(kind).copied().unwrap_or(0);
        // Strictly more than half: of 10 rows 5 may go.
        if !allow && source_rows.saturating_mul(2) < before {
            refusal.drops.push(Drop { kind: kind.to_owned(), before, now: source_rows });
        }
        if !limit.allows(deletes, destination_rows) {
            refusal.deletes.push(Deletes { kind: kind.to_owned(), deletes, of: destination_rows });
        }
    }
    if refusal.drops.is_empty() && refusal.deletes.is_empty() { Ok(ApprovedPlan(plan)) } else { Err(refusal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approved(before: u64, counts: Counts<'_>, allow: bool, limit: DeleteLimit) -> Result<ApprovedPlan<()>, String> {
        let baseline = [("A", before), ("Gone", 4)].into_iter().map(|(kind, rows)| (kind.to_owned(), rows)).collect();
        approve((), &baseline, std::iter::once(counts), allow, limit).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn half_may_go_and_more_may_not() {
        let counts = |source_rows: u64| Counts { kind: "A", source_rows, destination_rows: 0, deletes: 0 };
        assert!(approved(10, counts(5), false, DeleteLimit::Usual).is_ok());
        let words = approved(10, counts(4), false, DeleteLimit::Usual).unwrap_err();
        assert_eq!(words, "the source has lost more than half of its objects since the last successful run: A 10 → 4");
        assert!(approved(10, counts(0), true, DeleteLimit::Usual).is_ok());
    }

    #[test]
    fn deletes_have_a_limit_of_their_own() {
        let counts = |deletes: u64| Counts { kind: "A", source_rows: 100, destination_rows: 100, deletes };
        for (limit, most) in [("", 20), ("3", 3), ("50%", 50), ("0", 0), ("0 %", 0), ("100%", 100)] {
            let limit = if limit.is_empty() { DeleteLimit::Usual } else { limit.parse().unwrap() };
            assert!(approved(0, counts(most), false, limit).is_ok(), "{limit:?}");
            if most < 100 {
                // The permission to lose rows in the source is not a permission to delete.
                let words = approved(0, counts(most + 1), true, limit).unwrap_err();
                assert_eq!(words, format!("the plan deletes more objects than it may: A {} of 100", most + 1));
            }
        }
        // Ten of twelve are ten.
        assert!(approved(0, Counts { destination_rows: 12, ..counts(10) }, false, DeleteLimit::Usual).is_ok());
        assert!(approved(0, Counts { destination_rows: 12, ..counts(11) }, false, DeleteLimit::Usual).is_err());
        for wrong in ["", "x", "-1", "101%", "%"] {
            assert!(wrong.parse::<DeleteLimit>().is_err(), "{wrong}");
        }
    }
}
