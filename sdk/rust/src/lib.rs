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
pub mod log;
mod manifest;
pub mod memo;
mod page;
mod query;
mod response;
mod rows;
pub mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use adapter::Adapter;
pub use bindings::exports::infrahub_sync::adapter::destination::{KindChanges, Operation, Outcome, Run, RunResult, WriteRequest};
pub use bindings::exports::infrahub_sync::adapter::meta::{
    Addressing, Credential, HeaderTemplate, Login, LoginBody, LoginPlace, LoginStep, Manifest, Setting, SettingType,
};
pub use bindings::exports::infrahub_sync::adapter::source::{Column, ColumnData, Columns, Layout, LoadRequest, TextData};
pub use bindings::infrahub_sync::adapter::types::{Error, ErrorKind, Field, FieldType, Kind};
pub use page::{Document, Page, Payload};
pub use query::{Query, path_segment};
pub use response::Response;
pub use rows::{Row, Rows};
pub use serde_json;

/// What every call of an adapter answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Makes a type that implements [`Adapter`] the adapter of this crate.
///
/// Only a build for wasm32 exports anything; natively the type is merely checked, so that `cargo test` works.
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
