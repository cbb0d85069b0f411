//! The keys that say how a run goes about its work: the rules of an apply, and when everything is read again.

use std::str::FromStr;

use infrahub_sync_core::guardrail::DeleteLimit;

use crate::decode::Key;
use crate::load::Data;

/// The rules of an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApplyRules {
    /// How a row is handled whose object was modified after the plan was made.
    pub on_conflict: OnConflict,
    /// How many objects of one kind may be deleted. None: the default of [`DeleteLimit`].
    pub max_deletes: Option<DeleteLimit>,
    /// The apply stops after this number of rejected rows. None: it never does.
    pub max_failures: Option<u64>,
    /// Whether the written objects are read back. None: the default of [`Converge`].
    pub converge: Option<Converge>,
}

/// The rules that a command line gives; each one wins over the project's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApplyOverrides {
    /// As in [`ApplyRules`].
    pub on_conflict: Option<OnConflict>,
    /// As in [`ApplyRules`].
    pub max_deletes: Option<DeleteLimit>,
    /// As in [`ApplyRules`].
    pub max_failures: Option<u64>,
}

impl ApplyRules {
    /// Returns the rules with those of a command line in place of the project's.
    #[must_use]
    pub fn with(self, overrides: &ApplyOverrides) -> ApplyRules {
        ApplyRules {
            on_conflict: overrides.on_conflict.unwrap_or(self.on_conflict),
            max_deletes: overrides.max_deletes.or(self.max_deletes),
            max_failures: overrides.max_failures.or(self.max_failures),
            converge: self.converge,
        }
    }
}

pub(super) const APPLY_KEYS: [Key<ApplyRules>; 4] = [
    Key::optional("on_conflict", |decoder, node, path, rules| match decoder.text(node, path).map(OnConflict::from_str) {
        Some(Ok(value)) => rules.on_conflict = value,
        Some(Err(message)) => {
            decoder.error_hint(node.span, path, message, "the default, `refuse`, leaves modified objects as they are");
        }
        None => {}
    }),
    Key::optional("max_deletes", |decoder, node, path, rules| {
        let text = match &node.data {
            Data::Text(text) => text.clone(),
            Data::Number(number) => number.to_string(),
            _ => String::new(),
        };
        match text.parse() {
            Ok(limit) => rules.max_deletes = Some(limit),
            Err(message) => decoder.error_hint(node.span, path, message, "write `max_deletes: 100` or `max_deletes: 20%`"),
        }
    }),
    Key::optional("max_failures", |decoder, node, path, rules| rules.max_failures = decoder.count(node, path).map(u64::from)),
    Key::optional("converge", |decoder, node, path, rules| match decoder.text(node, path).map(Converge::from_str) {
        Some(Ok(value)) => rules.converge = Some(value),
        Some(Err(message)) => {
            decoder.error_hint(node.span, path, message, "the default, `verify`, reads the written objects back");
        }
        None => {}
    }),
];

/// Whether the written objects are read back, to find the values that the destination did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Converge {
    /// They are, where the destination can read objects by id.
    #[default]
    Verify,
    /// They are not, and each difference is written again.
    Trust,
}

impl FromStr for Converge {
    type Err = String;

    fn from_str(text: &str) -> Result<Converge, String> {
        match text {
            "verify" => Ok(Converge::Verify),
            "trust" => Ok(Converge::Trust),
            other => Err(format!("`{other}` is neither `verify` nor `trust`")),
        }
    }
}

/// How a row is handled whose object was modified after the plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// It is skipped and reported.
    #[default]
    Refuse,
    /// It is written anyway.
    Overwrite,
}

impl FromStr for OnConflict {
    type Err = String;

    fn from_str(text: &str) -> Result<OnConflict, String> {
        match text {
            "refuse" => Ok(OnConflict::Refuse),
            "overwrite" => Ok(OnConflict::Overwrite),
            other => Err(format!("`{other}` is neither `refuse` nor `overwrite`")),
        }
    }
}

/// The `incremental` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incremental {
    /// Everything is read again after this number of incremental runs.
    pub full_resync_every: u32,
}

impl Default for Incremental {
    fn default() -> Self {
        Incremental { full_resync_every: 10 }
    }
}

pub(super) const INCREMENTAL_KEYS: [Key<Incremental>; 1] = [Key::optional("full_resync_every", |decoder, node, path, incremental| {
    if let Some(every) = decoder.count(node, path) {
        incremental.full_resync_every = every;
    }
})];
