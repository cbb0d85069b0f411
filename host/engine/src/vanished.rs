//! Objects that an earlier run had read and this one did not: whether the source says that they are deleted.
//!
//! A list that lacks an object does not prove that the object is gone. A permission may hide it, or the list may have moved. Where the adapter has
//! evidence beyond totals (a change log, say), it is asked before a delete is planned. If an object exists, or its deletion left no trace, its
//! kind is partial and nothing of it is deleted.
//!
//! The earlier run is the last successful one. Objects that it already lacked are in `vanished.json` until the source lists them or reports them as
//! deleted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use infrahub_sync_cache::Vanished;
use infrahub_sync_core::changes::RemovalReason;
use infrahub_sync_core::diff::Diff;
use infrahub_sync_core::key;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::restore::each_id;
use infrahub_sync_core::snapshot::{Completeness, Snapshot};
use infrahub_sync_runtime::{Absence, Error, FailureKind, Target};

use crate::adapter::Opened;
use crate::extract::{Reading, Way, moment};
use crate::run::{RunInProgress, now};
use crate::schedule::Loaded;
use crate::system::System;
use crate::tally::hash_of;
use crate::{EngineError, RunContext, Side};

/// Objects of one question.
const OBJECTS_AT_ONCE: usize = 200;

/// An object that an earlier run had read.
struct Missing {
    key: String,
    id: String,
}

/// The statements of the source about the missing objects of a kind.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    /// Why the kind is partial.
    pub(crate) partial: Option<String>,
    /// The evidence that an object is gone, by natural key.
    pub(crate) proofs: HashMap<String, String>,
    /// The words for `run.json`.
    pub(crate) words: Vec<String>,
}

/// Both sides, as they were read.
pub(crate) struct Compared<'c> {
    pub(crate) model: &'c Model,
    pub(crate) source: &'c Snapshot,
    pub(crate) destination: &'c Snapshot,
    pub(crate) loaded: &'c Loaded,
    pub(crate) diff: &'c Diff,
}

/// Asks for the missing objects of each kind; returns what was found, by the kind's position. `targets` are the kinds in the source.
///
/// # Errors
/// When the source cannot be asked, or the cache cannot be read.
pub(crate) async fn check(
    cx: &RunContext<'_>,
    run: &RunInProgress,
    opened: &Opened,
    compared: &Compared<'_>,
    targets: impl FnOnce() -> Result<Vec<Target>, EngineError>,
) -> Result<BTreeMap<usize, Finding>, EngineError> {
    let mut findings = BTreeMap::new();
    let evidence = opened.manifest().evidence;
    if !(evidence.change_log || evidence.permissions) {
        return Ok(findings);
    }
    let cache = run.lock.cache();
    let stored = cache.vanished()?.filter(|stored| stored.source == opened.system.identity()).unwrap_or_default();
    let missing = missing(cx, run, opened, compared, &stored)?;
    let mut left: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    // Deletes that are off may be on the next time.
    let is_whole = |kind: usize| compared.source.kinds.get(kind).is_some_and(|rows| rows.completeness == Completeness::Complete);
    let asks_of = |kind: usize, missing: &[Missing]| cx.project.flags.delete && !missing.is_empty() && is_whole(kind);
    let targets = if missing.iter().any(|(kind, missing)| asks_of(*kind, missing)) { targets()? } else { Vec::new() };
    for (kind, spec) in compared.model.kinds.iter().enumerate() {
        let Some(missing) = missing.get(&kind) else {
            // Nothing was read that could say more.
            let stored = stored.kinds.get_key_value(&spec.name).filter(|_| !is_whole(kind));
            left.extend(stored.map(|(kind, objects)| (kind.clone(), objects.clone())));
            continue;
        };
        let asks = asks_of(kind, missing);
        let of_kind: Vec<&Target> = targets.iter().filter(|target| target.kind == spec.name).collect();
        let mut asked = Asked::default();
        if asks {
            asked.ask(&opened.system, &of_kind, missing).await?;
        }
        let open = missing.iter().zip(&asked.answers).filter(|(_, answer)| **answer == Absence::Present).map(|(missing, _)| missing);
        let open = open.chain(missing.iter().skip(asked.answers.len()));
        let open: BTreeMap<String, String> = open.map(|missing| (missing.id.clone(), key::key_json(&missing.key))).collect();
        if !open.is_empty() {
            left.insert(spec.name.clone(), open);
        }
        if asks {
            findings.insert(kind, asked.finding(missing, &moment(now(cx))));
        }
    }
    let new = Vanished { source: opened.system.identity(), kinds: left };
    if new.kinds != stored.kinds {
        run.lock.write_vanished(&new)?;
    }
    Ok(findings)
}

/// Returns the objects of each kind that an earlier run had read, and that only the destination has now.
fn missing(
    cx: &RunContext<'_>,
    run: &RunInProgress,
    opened: &Opened,
    compared: &Compared<'_>,
    stored: &Vanished,
) -> Result<BTreeMap<usize, Vec<Missing>>, EngineError> {
    let mut all = BTreeMap::new();
    let latest = run.lock.cache().latest_success()?;
    let record = latest.as_ref().map(|reader| reader.run_file()).transpose()?;
    // Ids of another server are other objects.
    let is_same = record.as_ref().and_then(|record| record.sides.as_ref()).is_some_and(|sides| sides.source == opened.system.identity());
    let latest = latest.filter(|_| is_same);
    for (at, kind) in compared.model.kinds.iter().enumerate() {
        let (Some(source), Some(destination), Some(diff)) =
            (compared.source.kinds.get(at), compared.destination.kinds.get(at), compared.diff.kinds.get(at))
        else {
            continue;
        };
        let before = record.as_ref().and_then(|record| record.counts.source.get(&kind.name).copied()).unwrap_or_default();
        let shrinks = (source.rows() as u64) < before;
        let is_partial = source.completeness == Completeness::Partial;
        let matters = cx.project.flags.delete || shrinks || is_partial || stored.kinds.contains_key(&kind.name);
        if source.completeness == Completeness::Unread || diff.only_destination.is_empty() || !matters {
            continue;
        }
        let wanted: HashSet<&str> = diff.only_destination.iter().map(|row| destination.keys.get(*row as usize)).collect();
        let mut found: HashMap<String, Missing> = HashMap::new();
        let mut add = |key: &str, id: &str| {
            if wanted.contains(key) {
                found.entry(id.to_owned()).or_insert_with(|| Missing { key: key.to_owned(), id: id.to_owned() });
            }
        };
        for (id, json) in stored.kinds.get(&kind.name).into_iter().flatten() {
            let mut key = String::new();
            if key::write_key_from_json(json, &mut key).is_some() {
                add(&key, id);
            }
        }
        match compared.loaded.readings.get(&kind.name) {
            Some(Reading { way: Way::Changes { left, .. }, .. }) => {
                let unlisted = left.iter().filter(|(.., why)| matches!(why, RemovalReason::NotAmong(_)));
                unlisted.for_each(|(key, id, _)| add(key, id));
            }
            Some(_) => {
                // A snapshot that is missing or damaged says nothing.
                let batches = latest.as_ref().and_then(|reader| reader.read_snapshot(Side::Source, &kind.name).ok());
                for batch in batches.into_iter().flatten() {
                    let Ok(batch) = batch else { break };
                    if each_id(&batch, &mut add).is_err() {
                        break;
                    }
                }
            }
            None => {}
        }
        let seen = compared.loaded.seen.get(&at);
        let is_seen = |id: &str| seen.is_some_and(|seen| seen.iter().any(|ids| ids.binary_search(&hash_of(id)).is_ok()));
        let here: HashSet<&str> =
            if found.is_empty() { HashSet::new() } else { (0..source.rows()).filter_map(|row| source.id(row)).collect() };
        let mut missing: Vec<Missing> =
            found.into_values().filter(|missing| !is_seen(&missing.id) && !here.contains(missing.id.as_str())).collect();
        missing.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        all.insert(at, missing);
    }
    Ok(all)
}

/// The answers about the first of some missing objects.
#[derive(Default)]
struct Asked {
    answers: Vec<Absence>,
}

impl Asked {
    /// Asks until the answers are there, or one object exists.
    async fn ask(&mut self, system: &Arc<dyn System>, targets: &[&Target], missing: &[Missing]) -> Result<(), EngineError> {
        for batch in missing.chunks(OBJECTS_AT_ONCE) {
            let ids: Vec<String> = batch.iter().map(|missing| missing.id.clone()).collect();
            let mut answers = vec![Absence::Unknown; ids.len()];
            for target in targets {
                let said = match system.absent(target, &ids).await {
                    Ok(said) => said,
                    Err(Error::Adapter { failure, .. }) if failure.kind == FailureKind::Unsupported => continue,
                    Err(error) => return Err(error.into()),
                };
                // An id may stand in several lists: the one that knows of its deletion is the one that had it.
                for (answer, said) in answers.iter_mut().zip(said) {
                    *answer = match (*answer, said) {
                        (Absence::Deleted, _) | (_, Absence::Deleted) => Absence::Deleted,
                        (Absence::Present, _) | (_, Absence::Present) => Absence::Present,
                        _ => Absence::Unknown,
                    };
                }
            }
            let is_enough = answers.contains(&Absence::Present);
            self.answers.extend(answers);
            if is_enough {
                break;
            }
        }
        Ok(())
    }

    /// Puts the answers into words.
    fn finding(&self, missing: &[Missing], at: &str) -> Finding {
        let of =
            |wanted: Absence| missing.iter().zip(&self.answers).filter(move |(_, answer)| **answer == wanted).map(|(missing, _)| missing);
        let mut finding = Finding::default();
        for Missing { key, id } in of(Absence::Deleted) {
            finding.proofs.insert(key.clone(), format!("the source reports {id} as deleted (asked at {at})"));
        }
        let objects = |count: usize| if count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
        let (deleted, present, unknown) = (of(Absence::Deleted).count(), of(Absence::Present).count(), of(Absence::Unknown).count());
        if deleted > 0 {
            finding.words.push(format!("{} of an earlier run: reported as deleted by the source", objects(deleted)));
        }
        if unknown > 0 {
            finding.words.push(format!("{} of an earlier run: the source does not know whether they are deleted", objects(unknown)));
        }
        if let Some(example) = of(Absence::Present).next() {
            let count = if self.answers.len() < missing.len() { format!("at least {}", objects(present)) } else { objects(present) };
            finding.partial = Some(format!(
                "the list lacks {count} of an earlier run which the source does not report as deleted (such as `{}`), so a permission may hide them",
                key::unique_id(&example.key)
            ));
            finding.words.push(format!("{count} of an earlier run: not in the list, and not reported as deleted by the source"));
        }
        finding
    }
}
