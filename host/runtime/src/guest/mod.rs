//! The guest wing: the only part of the host that sees the generated bindings of the contract.
//!
//! | module | content |
//! |---|---|
//! | `instance` | one running instance, and how a call into it ends |
//! | `calls` | the calls of an adapter's exports |
//! | `describe` | its manifest |
//! | `convert` | the contract's records as the types of [`crate::types`], checked |
//! | `imports` | the contract's imports, on the state of an instance |
//! | `drive` | calls of host functions for the fuzz target |
//! | `state`, `clock` | that state, and the time of a call |

pub(crate) mod bindings;
mod calls;
mod clock;
mod convert;
mod describe;
mod drive;
mod imports;
mod instance;
mod state;

pub use drive::drive;
pub(crate) use instance::{Breach, Instance};
pub(crate) use state::{Grants, HostState};
