//! Compiled adapters.

use std::io::{self, Write};
use std::path::Path;

use infrahub_sync_runtime::KeptComponent;
use jiff::Timestamp;
use serde::Serialize;

use super::output::write_document;
use super::table::{Cell, INDENTED, Table};
use super::words::{day, size};

/// A removed compiled adapter.
#[derive(Debug)]
pub(crate) struct PrunedComponent {
    /// The name of the built-in adapter, if it was one.
    pub(crate) name: Option<&'static str>,
    /// The component.
    pub(crate) component: KeptComponent,
}

/// Writes the removed components.
pub(crate) fn text(out: &mut impl Write, removed: &[PrunedComponent]) -> io::Result<()> {
    let rows: Vec<[Cell; 5]> = removed
        .iter()
        .map(|PrunedComponent { name, component }| {
            [
                "-".to_owned(),
                match (name, component.usable) {
                    (Some(name), true) => (*name).to_owned(),
                    (None, true) => "custom".to_owned(),
                    // Compiled for another version of this program, perhaps from the same adapter.
                    (_, false) if component.digest.is_some() => "of another version".to_owned(),
                    (_, false) => "left over".to_owned(),
                },
                component.digest.clone().unwrap_or_default(),
                size(component.bytes),
                format!("used {}", day(Timestamp::try_from(component.used).ok())),
            ]
            .map(Cell::from)
        })
        .collect();
    Table { right: &[3], ..INDENTED }.write(out, &rows)
}

/// Writes one JSON document.
pub(crate) fn json(out: &mut impl Write, removed: &[PrunedComponent], dry_run: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        file: &'a Path,
        adapter: Option<&'static str>,
        digest: Option<&'a str>,
        bytes: u64,
        used_at: Option<String>,
        usable: bool,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        dry_run: bool,
        removed: Vec<Line<'a>>,
        bytes: u64,
    }
    let lines = removed.iter().map(|PrunedComponent { name, component }| Line {
        file: &component.path,
        adapter: *name,
        digest: component.digest.as_deref(),
        bytes: component.bytes,
        used_at: Timestamp::try_from(component.used).ok().map(|time| time.to_string()),
        usable: component.usable,
    });
    let document = Document { dry_run, removed: lines.collect(), bytes: removed.iter().map(|removed| removed.component.bytes).sum() };
    write_document(out, &document)
}
