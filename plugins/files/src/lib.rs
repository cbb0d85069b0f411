//! A folder of files as source and destination: JSON, JSON lines, CSV or YAML.
//!
//! | module | |
//! |---|---|
//! | [`read`] | a file as records: any of a user's as source, one of ours read back as destination |
//! | [`digest`] | whether a file has changed since it was read |
//! | [`write`] | rows into a staging file, staging files into the kinds' files |
//! | [`merge`] | the current objects and the staged rows, both sorted, into the new ones |
//! | [`object`], [`key`] | an object as JSON text, and the order of keys |
//! | [`format`] | how objects are laid down in each format |
//! | [`schema`] | the kinds, when the project has a file that says |
//!
//! A destination's file has one object of a kind after the other, in the order of their keys. Values are kept as the JSON text that they
//! came in: nothing is parsed and printed again, so what is read back is what was written, to the digit.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on has failed"))]

mod digest;
mod format;
mod key;
mod lines;
mod merge;
mod object;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use infrahub_sync_adapter::{
    Adapter, Addressing, Error, Kind, LoadRequest, Manifest, Outcome, Page, Result, Run, Setting, WriteRequest, settings,
};
use serde::Deserialize;

use format::Format;

/// Rows in one write. Each write is one line scan and one append, so large is good; it is in the adapter's memory twice.
const WRITE_BATCH_MAX: u32 = 10_000;

/// The adapter.
pub struct Files {
    /// The format asked for; none: as source any, as destination JSON lines.
    format: Option<Format>,
    /// The file of the kinds, in the folder.
    schema: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    schema: Option<String>,
}

impl Adapter for Files {
    fn manifest() -> Manifest {
        let formats = "json, jsonl, csv or yaml; when not said, a source takes any and a destination writes jsonl";
        Manifest::new("files", env!("CARGO_PKG_VERSION"), "a folder of JSON, JSON lines, CSV or YAML files")
            .with_setting(Setting::text("path", "the folder").required())
            .with_setting(Setting::text("format", formats))
            .with_setting(Setting::text("schema", "a file in the folder that describes the kinds (YAML or JSON)"))
            .with_folder("path")
            .with_source(Addressing::Mapping)
            .with_destination()
            .with_schema()
            .with_write_batch_max(WRITE_BATCH_MAX)
    }

    fn configure(settings: &str) -> Result<Files> {
        let Settings { format, schema } = settings::parse(settings)?;
        let format = match format.as_deref() {
            None | Some("") => None,
            Some(name) => Some(
                Format::named(name)
                    .ok_or_else(|| Error::config(format!("`format` is {name:?}, but has to be json, jsonl, csv or yaml")))?,
            ),
        };
        Ok(Files { format, schema: schema.filter(|file| !file.is_empty()) })
    }

    fn kinds(&self, names: &[String]) -> Result<Vec<Kind>> {
        match &self.schema {
            Some(file) => schema::kinds(file, names),
            // Without a description the mapping alone gives the shapes.
            None => Ok(Vec::new()),
        }
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        // Only a destination is asked with its model.
        if request.model.is_empty() { read::source(self.format, request) } else { read::destination(self.destination_format(), request) }
    }

    fn begin(&self, _: &Run) -> Result<Option<String>> {
        write::begin().map(|()| None)
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        write::stage(request)
    }

    fn commit(&self, kinds: &[String]) -> Result<()> {
        write::commit(self.destination_format(), kinds)
    }
}

impl Files {
    fn destination_format(&self) -> Format {
        self.format.unwrap_or(Format::JsonLines)
    }
}

infrahub_sync_adapter::export_adapter!(Files);
