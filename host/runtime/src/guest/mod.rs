//! The guest wing: the only part of the host that sees the generated bindings of the contract.
//!
//! `calls` calls an adapter's exports, `describe` checks its manifest, `convert` turns the contract's records into the types of
//! [`crate::types`] and back, and checks what a guest returns.

pub(crate) mod bindings;
mod calls;
pub(crate) mod convert;
mod describe;
