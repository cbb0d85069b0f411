//! What the host does for adapters: the contract's imported interfaces, one module each.
//!
//! All checks of what an adapter may do are here and nowhere else.

mod advice;
mod connections;
pub(crate) mod files;
pub(crate) mod http;
mod log;
mod login;
pub(crate) mod memo;
pub(crate) mod network;

pub(crate) use advice::{Advice, below};

use crate::guest::bindings::infrahub_sync::adapter::types;
use crate::instance::HostState;

impl types::Host for HostState {}
