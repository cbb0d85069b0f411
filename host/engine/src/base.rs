//! What an incremental run goes on from: the snapshots and cursors of the last good run, of each side.
//!
//! Nothing is taken from a run of another mapping, schema, adapter, address or branch, and no kind whose snapshot is partial or has references
//! that led nowhere (a snapshot does not say where to). Whatever is missing is read in full: that is always right.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use infrahub_sync_cache::RunReader;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::restore::{Restored, restore};
use infrahub_sync_core::value::Tag;

use crate::extract::{FullRead, READING, moment};
use crate::load::Opened;
use crate::schema::Resolved;
use crate::{EngineError, RunContext, Side};

/// The word before a cursor of ours; 2.0.1 has others.
const SINCE: &str = "SINCE:";
/// Where `run.json` keeps what each side was asked of.
pub(crate) const SIDES: &str = "sides";
/// Where `run.json` keeps the kinds whose snapshots have references that led nowhere.
pub(crate) const UNRESOLVED: &str = "unresolved";

/// A cursor as `cursors.json` holds it.
pub(crate) fn cursor_text(watermark: &str) -> String {
    format!("{SINCE}{watermark}")
}

/// The watermarks of a side's cursors, by kind.
pub(crate) fn watermarks(cursors: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    cursors.iter().filter_map(|(kind, cursor)| Some((kind.clone(), cursor.strip_prefix(SINCE)?.to_owned()))).collect()
}

/// Where to go on reading a resource.
#[derive(Debug, Clone)]
pub(crate) struct Since {
    pub(crate) watermark: String,
    /// The ids of the objects that are known.
    pub(crate) ids: HashSet<String>,
}

/// The rows of the last run, and where it stood.
#[derive(Default)]
pub(crate) struct Base {
    /// By the kind's position; none of a kind that is to be read in full.
    rows: HashMap<usize, Restored>,
    watermarks: HashMap<usize, String>,
    kinds: usize,
    /// The run, in words.
    pub(crate) since: String,
    /// The last full read of each kind, by the kind's name.
    pub(crate) full: BTreeMap<String, FullRead>,
    /// The kinds that cannot be gone on from, with the reason.
    pub(crate) in_full: BTreeMap<String, String>,
}

/// The last good run of the same sync, if an incremental one may go on from it; else the reason why not.
pub(crate) fn latest(
    cx: &RunContext<'_>,
    cache: &infrahub_sync_cache::Cache,
    resolved: &Resolved,
) -> Result<Result<RunReader, String>, EngineError> {
    let Some(reader) = cache.latest_success()? else { return Ok(Err("no earlier run came to its end".to_owned())) };
    let every = u64::from(cx.project.incremental.full_resync_every);
    let runs = cache.run_counter()?.runs_since_full;
    if runs >= every {
        return Ok(Err(format!("{runs} incremental runs since the last full one (`incremental.full_resync_every`)")));
    }
    if reader.read_schema_sub_hash()?.as_deref().map(str::trim) != Some(resolved.sub_hash().as_str()) {
        let file = reader.run_file()?;
        let mapping = file.other.get("mapping_hash").and_then(|hash| hash.as_str());
        let is_mapping = mapping.is_none_or(|hash| hash != resolved.mapping_hash);
        return Ok(Err(if is_mapping { "mapping changed" } else { "schema changed" }.to_owned()));
    }
    Ok(Ok(reader))
}

impl Base {
    /// Nothing to go on from, for that reason.
    pub(crate) fn none(model: &Model, reason: &str) -> Base {
        let in_full = model.kinds.iter().map(|kind| (kind.name.clone(), reason.to_owned())).collect();
        Base { kinds: model.kinds.len(), in_full, ..Base::default() }
    }

    /// The rows of one side.
    pub(crate) fn open(reader: &RunReader, side: Side, opened: &Opened, model: &Model) -> Result<Base, EngineError> {
        let cache_side = side;
        let file = reader.run_file()?;
        let since = file.started_at.map_or_else(|| format!("run {}", reader.id()), |at| format!("the run of {}", moment(at)));
        let mut base = Base { kinds: model.kinds.len(), since, ..Base::default() };
        let of_side = |name: &str| file.other.get(name).and_then(|sides| sides.get(side.letter()));
        let identity = of_side(SIDES).and_then(|identity| identity.as_str());
        let whole = match () {
            () if file.adapters.get(cache_side).digest.as_deref() != Some(opened.digest.as_str()) => Err("adapter changed"),
            () if identity != Some(opened.session.identity().as_str()) => Err("settings changed"),
            () => Ok(()),
        };
        if let Err(reason) = whole {
            return Ok(Base::none(model, reason));
        }
        let unresolved: BTreeSet<String> =
            of_side(UNRESOLVED).and_then(|kinds| serde_json::from_value(kinds.clone()).ok()).unwrap_or_default();
        // Without its cursor a kind is read in full.
        let cursors = reader.read_cursors().unwrap_or_default();
        let mut stored = Vec::with_capacity(model.kinds.len());
        for kind in &model.kinds {
            // A snapshot that cannot be read, or that is not what was written, is no base; the run goes on without it.
            let batches = reader
                .check_snapshot(&file, cache_side, &kind.name)
                .and_then(|()| reader.read_snapshot(cache_side, &kind.name))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            stored.push(batches.ok());
        }
        for (at, (kind, rows)) in model.kinds.iter().zip(restore(model, &stored)).enumerate() {
            let watermark = cursors.get(cache_side).get(&kind.name).and_then(|cursor| cursor.strip_prefix(SINCE));
            let usable = match (rows, watermark) {
                _ if file.partial.get(cache_side).contains(&kind.name) => Err("objects of it were left out the last time".to_owned()),
                _ if unresolved.contains(&kind.name) => Err("some of its references led nowhere the last time".to_owned()),
                (_, None) => Err("no change filter".to_owned()),
                (Err(reason), _) => Err(reason),
                (Ok(rows), Some(watermark)) => Ok((rows, watermark)),
            };
            match usable {
                Ok((rows, watermark)) => {
                    let of_kind = of_side(READING).and_then(|kinds| kinds.get(&kind.name)?.get("full"));
                    let objects = file.counts.get(cache_side).get(&kind.name).copied().unwrap_or_default();
                    let full = of_kind.and_then(|full| serde_json::from_value(full.clone()).ok()).unwrap_or_else(|| FullRead {
                        run: reader.id().to_string(),
                        at: file.started_at.map(moment).unwrap_or_default(),
                        objects,
                    });
                    base.full.insert(kind.name.clone(), full);
                    base.rows.insert(at, rows);
                    base.watermarks.insert(at, watermark.to_owned());
                }
                Err(reason) => drop(base.in_full.insert(kind.name.clone(), reason)),
            }
        }
        Ok(base)
    }

    /// Where to go on reading a resource that feeds these kinds; none when one of them cannot be gone on from.
    pub(crate) fn since(&self, kinds: &[usize]) -> Option<Since> {
        let watermark = self.watermarks.get(kinds.first()?)?;
        if !kinds.iter().all(|kind| self.watermarks.get(kind) == Some(watermark)) {
            return None;
        }
        let ids = kinds.iter().filter_map(|kind| self.rows.get(kind)).flat_map(|kind| {
            let rows = &kind.rows;
            let known = (0..rows.rows).filter(|row| rows.ids.tag(*row) != Tag::Null);
            known.map(|row| rows.ids.text(row).to_owned())
        });
        Some(Since { watermark: watermark.clone(), ids: ids.collect() })
    }

    /// The rows of a kind, once.
    pub(crate) fn take(&mut self, kind: usize) -> Option<Restored> {
        self.rows.remove(&kind)
    }

    /// Whether there was anything to go on from.
    pub(crate) fn is_usable(&self) -> bool {
        !self.full.is_empty()
    }

    /// Whether each kind can be gone on from.
    pub(crate) fn is_whole(&self) -> bool {
        self.kinds > 0 && self.rows.len() == self.kinds
    }
}
