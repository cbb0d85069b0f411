//! `config.yml` and the generated models, with errors that carry file, line, column and path.
//!
//! Key types: [`Project`] (a decoded `config.yml`), [`Problem`] (a mistake and its place), [`SchemaKind`] (the destination's
//! schema, as far as a mapping can be checked against it) and [`Generated`] (what `generate` writes).
//!
//! Invariants: decoding collects every problem of a file in one go. Nothing here reads the environment, the working directory, the
//! clock or the network: the environment is an argument, and the caller names the files. No message, excerpt or debug print shows a
//! value of `settings`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

pub mod adapter_lock;
mod decode;
pub mod discover;
pub mod generated;
mod hash;
mod load;
mod own_file;
pub mod problem;
pub mod project;
pub mod resolve;

pub use adapter_lock::{AdapterLock, LOCK_FILE, LockedAdapter, LockedComponent, LockedOrigin};
pub use discover::{Found, Summary, discover, find};
pub use generated::{GENERATED_FILE, Generated};
pub use hash::{mapping_hash, schema_hash, schema_kind_hashes, schema_sub_hash};
pub use problem::{Problem, Problems, Severity, Span};
pub use project::{
    AdapterLocation, ApplyOverrides, ApplyRules, Converge, Endpoint, Environment, Field, FieldSource, FilterConfig, Flags, Grants,
    Incremental, Mapping, OnConflict, Owned, Pin, Project, PublisherKey, Reaches, TransformConfig, Trust, TrustRule,
};
pub use resolve::{Resolved, SchemaField, SchemaKind, resolve, resolve_offline, unmapped_references};
