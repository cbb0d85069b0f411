//! A folder of files as source and destination: JSON, JSON lines, CSV or YAML.
//!
//! | module | |
//! |---|---|
//! | [`read`] | reads a file as records: any file of a user as source, its own files as destination |
//! | [`digest`] | detects whether a file has changed since it was read |
//! | [`mod@write`] | writes rows into a staging file, and staging files into the kinds' files |
//! | [`merge`] | merges the current objects and the staged rows, both sorted |
//! | [`object`], [`key`] | keep an object as JSON text, and order keys |
//! | [`mod@format`] | writes objects in each format |
//! | [`schema`] | reads the kinds from a file of the project, if it has one |
//!
//! A destination's file has the objects of a kind in the order of their keys. Values keep the JSON text in which they arrived: they are never
//! parsed and printed again, so a value is read back as it was written, to the digit.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed"))]

mod csv_read;
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
mod yaml;

use infrahub_sync_adapter::{
    Adapter, Addressing, Error, Kind, LoadRequest, Manifest, Outcome, Page, Result, Run, Setting, Target, WriteRequest, settings,
};
use serde::Deserialize;

use csv_read::{Dialect, Encoding};
use format::Format;

/// Rows in one write. Each write costs a scan and an append, so large ones are fast; the adapter holds each one twice.
const WRITE_BATCH_MAX: u32 = 10_000;

/// The adapter.
pub struct Files {
    /// The configured format; none: any format as source, JSON lines as destination.
    format: Option<Format>,
    /// How CSV files of the source are written.
    dialect: Dialect,
    /// The file that describes the kinds, in the folder.
    schema: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    delimiter: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
    #[serde(default)]
    list_separator: Option<String>,
    #[serde(default)]
    schema: Option<String>,
}

impl Adapter for Files {
    fn manifest() -> Manifest {
        let formats = "json, jsonl, csv or yaml; by default a source reads any of them and a destination writes jsonl";
        Manifest::new("files", env!("CARGO_PKG_VERSION"), "a folder of JSON, JSON lines, CSV or YAML files")
            .with_setting(Setting::text("path", "the folder").required())
            .with_setting(Setting::text("format", formats))
            .with_setting(Setting::text("delimiter", "of CSV files that are read: one character, or tab; by default it is detected"))
            .with_setting(Setting::text("encoding", "of CSV files that are read: utf-8, utf-16, windows-1252 or latin-1; utf-8 by default"))
            .with_setting(Setting::text(
                "list_separator",
                "of CSV files that are read: what stands between the values of a list in one cell",
            ))
            .with_setting(Setting::text("schema", "a file in the folder that describes the kinds (YAML or JSON)"))
            .with_folder("path")
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Kind)
            .with_schema()
            .with_write_batch_max(WRITE_BATCH_MAX)
    }

    fn configure(settings: &str) -> Result<Files> {
        let Settings { format, delimiter, encoding, list_separator, schema } = settings::parse(settings)?;
        let format = match format.as_deref() {
            None | Some("") => None,
            Some(name) => Some(
                Format::named(name).ok_or_else(|| Error::config(format!("`format` is {name:?}, but must be json, jsonl, csv or yaml")))?,
            ),
        };
        let wrong = |name: &str, value: &str, wanted: &str| Error::config(format!("`{name}` is {value:?}, but must be {wanted}"));
        let delimiter = delimiter
            .as_deref()
            .filter(|name| !name.is_empty())
            .map(|name| csv_read::delimiter_named(name).ok_or_else(|| wrong("delimiter", name, "one character such as `;`, or `tab`")));
        let encoding = encoding.as_deref().filter(|name| !name.is_empty());
        let encoding = encoding.map(|name| Encoding::named(name).ok_or_else(|| wrong("encoding", name, Encoding::NAMES)));
        let dialect = Dialect {
            delimiter: delimiter.transpose()?,
            encoding: encoding.transpose()?.unwrap_or_default(),
            list_separator: list_separator.filter(|separator| !separator.is_empty()),
            typed: false,
        };
        Ok(Files { format, dialect, schema: schema.filter(|file| !file.is_empty()) })
    }

    fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        match &self.schema {
            Some(file) => schema::kinds(file, targets),
            // Without a description the mapping alone gives the shapes.
            None => Ok(Vec::new()),
        }
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        // As a destination it is addressed by kind, so its targets have no resource.
        let is_destination = request.targets.iter().any(|target| target.resource.is_none());
        if is_destination {
            read::destination(self.destination_format(), request)
        } else {
            read::source(self.format, &self.dialect, request)
        }
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
