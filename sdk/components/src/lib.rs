//! Builds the component of an adapter's folder, in any of the four languages.
//!
//! The program (`adapter build`) and the workspace's own build tool use it. The pinned tools of the languages are installed into a folder of the
//! caller: nothing of the author's own installation reaches a component but the language's program.

mod cause;
pub mod component;
pub mod contract;
pub mod guests;
mod packages;
pub mod run;
pub mod toolchain;
pub mod tools;
