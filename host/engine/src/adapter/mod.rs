//! From a component to a system that is open, in three steps: `Described` → `Accepted` → [`Opened`].
//!
//! A described adapter has no grant and has sent nothing. Only `Accepted` can be opened, and only a comparison with `digest:` and the lock file
//! makes one; so a run that is not accepted has sent nothing.

mod accept;
mod describe;
mod open;
mod pin;

pub use accept::{Locked, check_adapters, lock_adapters};
pub(crate) use describe::Runtimes;
pub use describe::session_config;
pub(crate) use open::{Access, Opened};
