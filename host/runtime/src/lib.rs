//! Runs adapters: WebAssembly components, and the host abilities that they are granted.
//!
//! ```text
//! Runtime ── load_adapter(wasm) ─▶ Adapter ── describe() ─▶ Manifest
//!                                     └────── open(SessionConfig) ─▶ Session ── kinds / load / absent / begin / write / commit / cascade / finish_run
//! ```
//!
//! Invariants:
//!
//! - An adapter reaches only `guest::imports`.
//! - A credential never enters a guest, a message, a log or a recording.
//! - The guest wing checks all values of a guest before another module sees them.
//! - A guest that trapped, ran out of time or broke the contract is never called again: its [`Session`] makes a new instance.
//! - Nothing here reads the process environment.
//! - A component of someone else is compiled in a process of its own, if the [`RuntimeOptions`] name the program for that.
//!
//! [`Runtime`], [`Adapter`] and [`Session`] are cheap to clone and may be used from many tasks at once.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod abilities;
mod access;
mod adapter;
mod advice;
mod compile;
mod credential_words;
mod error;
mod exchange;
mod fetched;
mod files;
mod guest;
mod headers;
mod http;
mod limits;
mod manifest;
mod memo;
mod metadata;
mod output;
mod private;
mod response;
mod runtime;
mod secret;
mod session;
mod settings;
mod shape;
mod store;
mod template;
mod types;
mod usage;
mod waits;

pub use abilities::Abilities;
pub use adapter::{Adapter, COMPILING, digest};
pub use compile::{compile_if_asked, this_program};
pub use error::{AdapterName, Error, Failure, FailureKind, FaultKind, Result, Role};
pub use exchange::{Answer, Asked, Exchanges, REPLAY_ADDRESS, StandIn, read_recording};
pub use fetched::FetchedStore;
#[doc(hidden)]
pub use guest::drive;
pub use headers::RequestHeaders;
pub use http::{Traffic, WEB_SILENCE, cause, web_client};
pub use infrahub_sync_base::limits::{Limit, Limits};
pub use ipnet::IpNet;
pub use limits::Exceeded;
pub use manifest::{
    Addressing, Alias, Condition, Credential, CredentialForm, Evidence, HeaderTemplate, Login, LoginBody, LoginPlace, LoginStep, Manifest,
    ReadingForm, ReadingPath, ReferenceRule, Setting, SettingType, Table,
};
pub use metadata::metadata;
#[doc(hidden)]
pub use response::{count_at, json_at};
pub use runtime::{CONTRACT_VERSION, Runtime, RuntimeOptions};
pub use secret::Secret;
pub use session::{Session, SessionConfig};
pub use settings::{Environment, SettingProblem, SettingProblemKind, SettingsError, Variables};
pub use shape::COMPONENT_BYTES_MAX;
pub use store::KeptComponent;
pub use types::{
    Absence, Cascade, Column, ColumnData, Columns, Cursor, Dependents, Field, FieldType, Kind, KindChanges, Layout, LoadRequest, Operation,
    Outcome, Page, Payload, Run, RunResult, Target, TargetField, TextData, WriteRequest,
};
pub use waits::{WaitState, Waiting};
