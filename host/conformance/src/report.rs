//! The result of the suite.

use serde::Serialize;

/// The result of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The adapter's name, as it describes itself; as it was called, if it does not.
    pub adapter: String,
    /// Its version; empty if it does not describe itself.
    pub version: String,
    /// The checks, in the order in which they were carried out.
    pub checks: Vec<Check>,
}

impl Report {
    /// No check failed.
    #[must_use]
    pub fn conforms(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check.verdict, Verdict::Failed { .. }))
    }

    /// Every check that concerns the adapter had something to work on.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check.verdict, Verdict::NotChecked { .. }))
    }

    /// Returns the check of that name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Returns the names of the failed checks.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        self.named(|verdict| matches!(verdict, Verdict::Failed { .. }))
    }

    /// Returns the names of the checks that had no material.
    #[must_use]
    pub fn not_checked(&self) -> Vec<&'static str> {
        self.named(|verdict| matches!(verdict, Verdict::NotChecked { .. }))
    }

    fn named(&self, wanted: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        self.checks.iter().filter(|check| wanted(&check.verdict)).map(|check| check.name).collect()
    }
}

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, for scripts.
    pub name: &'static str,
    /// The promise, in one line.
    pub about: &'static str,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Verdict {
    /// The promise is kept.
    Passed {
        /// The extent of the check: `3 lists, 40 pages`.
        tried: String,
    },
    /// It is not.
    Failed {
        /// How, at least one.
        findings: Vec<Finding>,
    },
    /// It does not concern this adapter.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// It does, and there was nothing to check it with.
    NotChecked {
        /// The missing material, and how to provide it.
        reason: String,
    },
}

/// A promise that is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The event, and where it happened.
    pub happened: String,
    /// The remedy for the author.
    pub remedy: String,
}

impl Finding {
    pub(crate) fn new(happened: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { happened: happened.into(), remedy: remedy.into() }
    }
}

/// Findings of one check that are reported: a defect shows in many places, and a few of them suffice.
const FINDINGS_MAX: usize = 5;

impl Verdict {
    /// Passed, unless something was found.
    pub(crate) fn of(mut findings: Vec<Finding>, tried: impl Into<String>) -> Verdict {
        if findings.is_empty() {
            return Verdict::Passed { tried: tried.into() };
        }
        findings.dedup();
        findings.truncate(FINDINGS_MAX);
        Verdict::Failed { findings }
    }

    pub(crate) fn not_applicable(reason: impl Into<String>) -> Verdict {
        Verdict::NotApplicable { reason: reason.into() }
    }

    pub(crate) fn not_checked(reason: impl Into<String>) -> Verdict {
        Verdict::NotChecked { reason: reason.into() }
    }
}
