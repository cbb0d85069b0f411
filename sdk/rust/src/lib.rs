#![doc = include_str!("../README.md")]

mod adapter;
#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    reason = "generated from wit/adapter.wit, whose items carry the documentation"
)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "adapter",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "infrahub_sync_adapter::bindings",
    });
}
mod error;
pub mod files;
#[doc(hidden)]
pub mod glue;
pub mod http;
mod kind;
pub mod log;
mod manifest;
pub mod memo;
mod moment;
mod page;
mod query;
mod refusal;
mod response;
mod rows;
pub mod settings;
mod target;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod write;

pub use adapter::Adapter;
pub use bindings::exports::infrahub_sync::adapter::destination::{
    Dependents, KindChanges, Operation, Outcome, Run, RunResult, WriteRequest,
};
pub use bindings::exports::infrahub_sync::adapter::meta::{
    Addressing, Alias, Condition, Credential, CredentialForm, Evidence, HeaderTemplate, Login, LoginBody, LoginPlace, LoginStep, Manifest,
    ReadingForm, ReadingPath, ReferenceRule, Setting, SettingType, Table,
};
pub use bindings::exports::infrahub_sync::adapter::source::{Absence, Column, ColumnData, Columns, Layout, LoadRequest, TextData};
pub use bindings::infrahub_sync::adapter::types::{Cascade, Error, ErrorKind, Field, FieldType, Kind, Target, TargetField};
pub use moment::{Moment, NotAMoment};
pub use page::{Document, Page, Payload};
pub use query::{Query, path_segment};
pub use refusal::System;
pub use response::Response;
pub use rows::{Reference, Row, Rows};
pub use serde_json;

/// The result of every call of an adapter.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Makes a type that implements [`Adapter`] the adapter of this crate.
///
/// Only a build for wasm32 exports it; natively the type is merely checked, so that `cargo test` works.
#[macro_export]
macro_rules! export_adapter {
    ($adapter:ty) => {
        const _: () = {
            #[allow(dead_code)]
            type ExportedAdapter = $crate::glue::Component<$adapter>;
            #[cfg(target_arch = "wasm32")]
    $crate::bindings::export_component!(ExportedAdapter with_types_in $crate::bindings);
        };
    };
}
