//! The last gate before the destination is written: only an [`ApprovedPlan`] can be applied, and only [`approve`] makes one.

use std::collections::BTreeMap;

/// A plan that passed the guardrail.
#[derive(Debug)]
pub struct ApprovedPlan<P>(P);

impl<P> ApprovedPlan<P> {
    /// The plan.
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

/// The guardrail's refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source has lost more than half of its objects since the last successful run: {}", .drops.iter().map(|drop| format!("{} {} → {}", drop.kind, drop.before, drop.now)).collect::<Vec<_>>().join(", "))]
pub struct Refusal {
    /// The kinds concerned.
    pub drops: Vec<Drop>,
}

/// Approves a plan unless a kind has lost more than half of its source rows since the last success.
///
/// `baseline` and `current` are source rows by kind; a kind that has no baseline passes. `allow` is `--allow-rowcount-drop`.
///
/// # Errors
/// The refusal names every such kind with both counts.
pub fn approve<P>(
    plan: P,
    baseline: &BTreeMap<String, u64>,
    current: &BTreeMap<String, u64>,
    allow: bool,
) -> Result<ApprovedPlan<P>, Refusal> {
    let drops: Vec<Drop> = baseline
        .iter()
        .filter_map(|(kind, before)| {
            // A kind that is no longer in the project is not a loss.
            let now = *current.get(kind)?;
            // Strictly more than half: of 10 rows 5 may go.
            (now.saturating_mul(2) < *before).then(|| Drop { kind: kind.clone(), before: *before, now })
        })
        .collect();
    if drops.is_empty() || allow { Ok(ApprovedPlan(plan)) } else { Err(Refusal { drops }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(kind, rows)| ((*kind).to_owned(), *rows)).collect()
    }

    #[test]
    fn half_may_go_and_more_may_not() {
        let baseline = counts(&[("A", 10), ("Gone", 4)]);
        assert!(approve((), &baseline, &counts(&[("A", 5)]), false).is_ok());
        let refusal = approve((), &baseline, &counts(&[("A", 4)]), false).unwrap_err();
        assert_eq!(refusal.to_string(), "the source has lost more than half of its objects since the last successful run: A 10 → 4");
        assert!(approve((), &baseline, &counts(&[("A", 0)]), true).is_ok());
    }
}
