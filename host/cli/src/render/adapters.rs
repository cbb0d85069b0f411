//! The list of adapters.
//!
//! An adapter's description of itself is foreign text: it is escaped.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use infrahub_sync_runtime::Manifest;
use serde::Serialize;

use super::output::write_document;
use super::table::{Cell, INDENTED};
use crate::escape::Escaped;
use crate::locate::Place;

/// An adapter that can be used.
#[derive(Debug)]
pub(crate) struct AdapterLine {
    /// The name in a project.
    pub(crate) name: String,
    /// The version of its contract.
    pub(crate) contract: String,
    /// Its self-description.
    pub(crate) manifest: Manifest,
    /// Where it is.
    pub(crate) place: Place,
    /// The adapter that takes precedence under that name.
    pub(crate) hidden_by: Option<Place>,
    /// The sides of the project that use it.
    pub(crate) used_as: Vec<&'static str>,
}

/// An adapter that cannot be used.
#[derive(Debug, Serialize)]
pub(crate) struct BrokenAdapter {
    /// The name in a project.
    pub(crate) name: String,
    /// Its file, if it has one.
    pub(crate) file: Option<PathBuf>,
    /// The error.
    pub(crate) error: String,
}

/// Writes the table of adapters.
pub(crate) fn text(out: &mut impl Write, adapters: &[AdapterLine]) -> io::Result<()> {
    if adapters.is_empty() {
        return Ok(());
    }
    let header = ["Name", "Version", "Source", "Destination", "Location", ""].map(Cell::from);
    let rows = adapters.iter().map(|line| {
        let side = |can: bool, side: &str| match (can, line.used_as.contains(&side)) {
            (true, true) => "used".to_owned(),
            (true, false) => "yes".to_owned(),
            (false, _) => String::new(),
        };
        let place = match &line.hidden_by {
            Some(other) => format!("{} (hidden by {other})", line.place),
            None => line.place.to_string(),
        };
        let manifest = &line.manifest;
        let called = if manifest.name == line.name { String::new() } else { format!("`{}`: ", manifest.name) };
        [
            Escaped(&line.name).to_string(),
            Escaped(&manifest.version).to_string(),
            side(manifest.source.is_some(), "source"),
            side(manifest.destination.is_some(), "destination"),
            Escaped(&place).to_string(),
            Escaped(&format!("{called}{}", manifest.description)).to_string(),
        ]
        .map(Cell::from)
    });
    INDENTED.write(out, &std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// Writes one JSON document.
pub(crate) fn json(out: &mut impl Write, adapters: &[AdapterLine], broken: &[BrokenAdapter]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        name: &'a str,
        adapter: &'a str,
        version: &'a str,
        contract: &'a str,
        description: &'a str,
        source: bool,
        destination: bool,
        built_in: bool,
        file: Option<&'a Path>,
        hidden_by: Option<String>,
        used_as: &'a [&'static str],
    }
    #[derive(Serialize)]
    struct Document<'a> {
        adapters: Vec<Line<'a>>,
        broken: &'a [BrokenAdapter],
    }
    let adapters = adapters.iter().map(|line| Line {
        name: &line.name,
        adapter: &line.manifest.name,
        version: &line.manifest.version,
        contract: &line.contract,
        description: &line.manifest.description,
        source: line.manifest.source.is_some(),
        destination: line.manifest.destination.is_some(),
        built_in: line.place.is_built_in(),
        file: line.place.file(),
        hidden_by: line.hidden_by.as_ref().map(ToString::to_string),
        used_as: &line.used_as,
    });
    write_document(out, &Document { adapters: adapters.collect(), broken })
}
