//! The words that all crates of the host share.
//!
//! Key types: [`Side`] and [`PerSide`], [`Limits`](limits::Limits), [`FieldType`], [`pointer`](mod@pointer) (RFC 6901) and [`nearest()`].
//!
//! The crate has no I/O and next to no dependencies. It is the only crate that `config`, `runtime` and `cache` have in common, so a
//! change to `core` rebuilds none of them.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

mod field_type;
pub mod limits;
mod nearest;
pub mod origin;
pub mod pointer;
mod side;
pub mod text;

pub use field_type::FieldType;
pub use nearest::nearest;
pub use side::{PerSide, Side};
