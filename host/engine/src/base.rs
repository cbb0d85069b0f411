//! Where an incremental run continues: the snapshots and cursors of the last successful run, of each side.
//!
//! Nothing is taken from a run with another mapping, schema, adapter, address or branch. Nor is a kind whose snapshot is partial or has unresolved
//! references: a snapshot does not say where they lead. Whatever is missing is read in full, which is always right.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use infrahub_sync_cache::{FullRead, RunReader};
use infrahub_sync_core::model::{KindModel, Model};
use infrahub_sync_core::restore::{Restored, restore};
use infrahub_sync_core::value::Tag;

use crate::adapter::Opened;
use crate::extract::{FullReason, moment};
use crate::schema::Resolved;
use crate::{EngineError, RunContext, Side};

/// The word before a cursor of ours; 2.0.1 has others.
const SINCE: &str = "SINCE:";
/// Returns a cursor as `cursors.json` holds it.
pub(crate) fn cursor_text(watermark: &str) -> String {
    format!("{SINCE}{watermark}")
}

/// Returns the watermarks of a side's cursors, by kind.
pub(crate) fn watermarks(cursors: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    cursors.iter().filter_map(|(kind, cursor)| Some((kind.clone(), cursor.strip_prefix(SINCE)?.to_owned()))).collect()
}

/// Where reading a resource continues.
#[derive(Debug, Clone)]
pub(crate) struct Since {
    pub(crate) watermark: String,
    /// The ids of the known objects.
    pub(crate) ids: HashSet<String>,
}

/// The rows of the last run, and its watermarks.
#[derive(Default)]
pub(crate) struct Base {
    /// By the kind's position; kinds that are read in full have none.
    rows: HashMap<usize, Restored>,
    watermarks: HashMap<usize, String>,
    kinds: usize,
    /// The run, in words.
    pub(crate) since: String,
    /// The last full read of each kind, by name.
    pub(crate) full: BTreeMap<String, FullRead>,
    /// The kinds that are read in full, with the reason.
    pub(crate) in_full: BTreeMap<String, FullReason>,
}

/// Returns the last successful run of the same sync, if an incremental run may continue from it; else the reason why not.
pub(crate) fn latest(
    cx: &RunContext<'_>,
    cache: &infrahub_sync_cache::Cache,
    resolved: &Resolved,
) -> Result<Result<RunReader, FullReason>, EngineError> {
    let Some(reader) = cache.latest_success()? else { return Ok(Err(FullReason::NoRun)) };
    let every = u64::from(cx.project.incremental.full_resync_every);
    let runs = cache.run_counter()?.runs_since_full;
    if runs >= every {
        return Ok(Err(FullReason::Due(runs)));
    }
    if reader.read_schema_sub_hash()?.as_deref().map(str::trim) != Some(resolved.sub_hash().as_str()) {
        let file = reader.run_file()?;
        let is_mapping = file.mapping_hash.is_none_or(|hash| hash != resolved.mapping_hash);
        return Ok(Err(if is_mapping { FullReason::Mapping } else { FullReason::Schema }));
    }
    Ok(Ok(reader))
}

/// Returns whether a field of a kind may refer to one of the kinds named.
fn refers_to(model: &Model, kind: &KindModel, names: &BTreeSet<String>) -> bool {
    let peers = kind.fields.iter().flat_map(|field| model.peers_of(field));
    !names.is_empty() && peers.filter_map(|peer| model.kinds.get(peer)).any(|peer| names.contains(&peer.name))
}

impl Base {
    /// Returns a base without any rows, for that reason.
    pub(crate) fn none(model: &Model, reason: &FullReason) -> Base {
        let in_full = model.kinds.iter().map(|kind| (kind.name.clone(), reason.clone())).collect();
        Base { kinds: model.kinds.len(), in_full, ..Base::default() }
    }

    /// Restores the rows of one side.
    pub(crate) fn open(reader: &RunReader, side: Side, opened: &Opened, model: &Model) -> Result<Base, EngineError> {
        let file = reader.run_file()?;
        let since = file.started_at.map_or_else(|| format!("run {}", reader.id()), |at| format!("the run of {}", moment(at)));
        // Kinds that are only looked up have no rows of their own in the source.
        let kinds = model.kinds.iter().filter(|kind| !(kind.lookup && side == Side::Source)).count();
        let mut base = Base { kinds, since, ..Base::default() };
        let identity = file.sides.as_ref().map(|sides| sides.get(side).as_str());
        if file.adapters.get(side).digest.as_deref() != Some(opened.digest.as_str()) {
            return Ok(Base::none(model, &FullReason::Adapter));
        }
        if identity != Some(opened.system.identity().as_str()) {
            return Ok(Base::none(model, &FullReason::Settings));
        }
        let unresolved: BTreeSet<String> = file.unresolved.as_ref().map(|kinds| kinds.get(side).clone()).unwrap_or_default();
        let merged: BTreeSet<String> = file.merged.as_ref().map(|kinds| kinds.get(side).clone()).unwrap_or_default();
        // Without its cursor a kind is read in full.
        let cursors = reader.read_cursors().unwrap_or_default();
        let mut stored = Vec::with_capacity(model.kinds.len());
        for kind in &model.kinds {
            // A snapshot that is missing or damaged is read in full.
            let batches = reader
                .check_snapshot(&file, side, &kind.name)
                .and_then(|()| reader.read_snapshot(side, &kind.name))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            stored.push(batches.ok());
        }
        for (at, (kind, rows)) in model.kinds.iter().zip(restore(model, &stored)).enumerate() {
            let watermark = cursors.get(side).get(&kind.name).and_then(|cursor| cursor.strip_prefix(SINCE));
            let usable = match (rows, watermark) {
                _ if file.partial.get(side).contains(&kind.name) => Err(FullReason::LeftOut),
                _ if unresolved.contains(&kind.name) => Err(FullReason::Unresolved),
                // A stored reference to such a kind does not say which of the records it meant.
                _ if merged.contains(&kind.name) || refers_to(model, kind, &merged) => Err(FullReason::Merged),
                (_, None) => Err(FullReason::NoChangeFilter),
                (Err(reason), _) => Err(FullReason::Other(reason)),
                (Ok(rows), Some(watermark)) => Ok((rows, watermark)),
            };
            match usable {
                Ok((rows, watermark)) => {
                    let reading = file.reading.as_ref().and_then(|kinds| kinds.get(side).get(&kind.name));
                    let objects = file.counts.get(side).get(&kind.name).copied().unwrap_or_default();
                    let full = reading.map(|reading| reading.full.clone()).unwrap_or_else(|| FullRead {
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

    /// Returns where reading a resource with these kinds continues; none if one of them is read in full.
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

    /// Takes the rows of a kind.
    pub(crate) fn take(&mut self, kind: usize) -> Option<Restored> {
        self.rows.remove(&kind)
    }

    /// Returns whether any kind can be continued.
    pub(crate) fn is_usable(&self) -> bool {
        !self.full.is_empty()
    }

    /// Returns whether every kind can be continued.
    pub(crate) fn is_whole(&self) -> bool {
        self.kinds > 0 && self.rows.len() == self.kinds
    }
}
