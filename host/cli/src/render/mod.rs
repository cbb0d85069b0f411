//! The output on stdout: plans, adapters and the cache, as text, JSON or markdown.
//!
//! Invariants: the rows of a plan are streamed and never held, so that a plan of any size prints in constant memory. Nothing here knows
//! where stdout is. Text of other systems is escaped ([`crate::escape`]).

pub(crate) mod adapters;
pub(crate) mod cache;
pub(crate) mod changes;
pub(crate) mod components;
pub(crate) mod conformance;
pub(crate) mod drift;
pub(crate) mod explain;
#[cfg(test)]
mod fixture;
pub(crate) mod inspect;
pub(crate) mod json;
pub(crate) mod list;
mod look;
pub(crate) mod markdown;
mod output;
mod overview;
mod table;
pub(crate) mod text;
mod value;
mod words;

pub(crate) use look::Look;
pub(crate) use output::Failure;
pub(crate) use output::write_document;
pub(crate) use overview::Overview;
pub(crate) use words::{plural, pruned_sentence, size};
