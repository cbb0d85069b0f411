//! The contract's imported interfaces, one module each: what the host does for a guest.
//!
//! They translate between the contract and the parts of the host that do the work: `crate::http`, `crate::files`, `crate::memo`.

mod files;
mod http;
mod log;
mod memo;

use super::bindings::infrahub_sync::adapter::types;
use super::state::HostState;

impl types::Host for HostState {}
