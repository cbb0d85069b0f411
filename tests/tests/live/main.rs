//! Tests against a real NetBox and a real Infrahub. `cargo verify-live` starts the servers and runs the tests.
//!
//! The feature `live` guards them: a test that has no server must not count as passed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]
#![allow(clippy::print_stderr, reason = "a history prints what it played")]

mod answers;
mod clients;
mod converge;
mod deletes;
mod flagship;
mod generics;
mod histories;
mod infrahub;
mod netbox;
mod ownership;
mod prometheus;
mod smoke;
