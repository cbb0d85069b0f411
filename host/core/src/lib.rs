//! The pure heart of infrahub-sync: model, mapping, snapshot, diff, plan, guardrail.
//!
//! Nothing in this crate touches the file system, the network, the environment, the clock or randomness: a plan depends on its
//! inputs alone, and every law can be tested in milliseconds. The way of one datum:
//! [`records`] → [`mapping`] → [`snapshot`] → [`diff`] → [`plan`] → [`guardrail`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

pub mod along;
pub mod batches;
pub mod canonical;
pub mod change;
pub mod changes;
pub mod converge;
pub mod diff;
pub mod drift;
pub mod edits;
pub mod guardrail;
mod json_text;
pub mod key;
pub mod mapping;
pub mod model;
pub mod number;
mod order;
pub mod ownership;
pub mod plan;
pub mod plan_row;
mod python;
pub mod reconcile;
pub mod records;
pub mod restore;
pub mod snapshot;
pub mod stored;
pub mod undo;
pub mod value;
pub mod wanted;
