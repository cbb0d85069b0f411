//! `explain`: the way of one object through a run, from the cache alone: no system is contacted, and no project is needed.

use infrahub_sync_base::nearest;
use infrahub_sync_cache::{Cache, CacheError, ErrorRow, Mode, RunReader, RunRecord, RunState, RunStatus, SyncName};
use infrahub_sync_core::mapping::trace::{LeftOut, Transformed};
use infrahub_sync_core::plan::KindSummary;
use infrahub_sync_core::plan_row::PlanRow;
use infrahub_sync_core::stored::{self, StoredRow};

use crate::run::parse_run_id;
use crate::{EngineError, Side};

/// Names that are suggested for one that is not there.
const NEAREST: usize = 5;

/// The way of one object through a run.
#[derive(Debug)]
pub struct Explanation {
    /// The run.
    pub run_id: String,
    /// Its `run.json`.
    pub record: RunRecord,
    /// The kind.
    pub kind: String,
    /// The object's unique id.
    pub unique_id: String,
    /// Its row in the source, and how the kind was read.
    pub source: SideOf,
    /// Its row in the destination, and how the kind was read.
    pub destination: SideOf,
    /// The record that a filter left out, with the number of the mapping from 1.
    pub left_out: Vec<(usize, LeftOut)>,
    /// The record before and after its transforms, with the number of the mapping from 1.
    pub transformed: Vec<(usize, Transformed)>,
    /// Records of the kind that filters left out, whether they are kept or not.
    pub filtered: u64,
    /// Its changes in the plan.
    pub changes: Vec<Planned>,
    /// Its rows of `errors.parquet`.
    pub errors: Vec<ErrorRow>,
    /// The counts of its kind, if the run has a plan.
    pub counts: Option<KindSummary>,
}

/// An object on one side.
#[derive(Debug, Default)]
pub struct SideOf {
    /// The row.
    pub row: Option<StoredRow>,
    /// The peers that its references lead to: field, kind, unique id and id of the peer; none where the peer is not in the snapshot.
    pub peers: Vec<(String, String, String, Option<String>)>,
    /// How the kind was read, in words.
    pub reading: Option<String>,
}

/// A change of the object.
#[derive(Debug)]
pub struct Planned {
    /// Its place in the plan, from 1.
    pub place: u64,
    /// The row.
    pub row: PlanRow,
    /// Its state, once an apply has begun.
    pub state: Option<&'static str>,
    /// The id that the destination gave.
    pub id: Option<String>,
}

/// Explains an object of a run; `run_id`: none for the latest run with a plan. `wanted` is its unique id, its id in one of the systems, or its key
/// as a JSON array. None if the sync has no cache.
///
/// # Errors
/// When there is no such run, kind or object, or the name means several objects.
pub fn explain(
    cache_root: &std::path::Path,
    sync: &str,
    run_id: Option<&str>,
    (kind, wanted): (&str, &str),
) -> Result<Option<Explanation>, EngineError> {
    let Some(cache) = Cache::existing(cache_root, SyncName::parse(sync).map_err(CacheError::from)?)? else { return Ok(None) };
    let reader = match run_id {
        Some(id) => cache.open_run(&parse_run_id(id)?)?,
        None => latest(&cache, sync)?,
    };
    let record = reader.run_file()?;
    let search = Search { reader: &reader, record: &record, kind, wanted };
    search.explain().map(Some)
}

/// Returns the latest run that has read both sides.
fn latest(cache: &Cache, sync: &str) -> Result<RunReader, EngineError> {
    let has_snapshots = |record: &RunRecord| record.mode != Mode::Undo && record.status != RunStatus::Running;
    let run = cache.list_runs()?.into_iter().find(|run| matches!(&run.state, RunState::Known(record) if has_snapshots(record)));
    match run {
        Some(run) => Ok(cache.open_run(&run.id)?),
        None => Err(EngineError::NotExplained { what: format!("no run of `{sync}` is in the cache"), candidates: Vec::new() }),
    }
}

struct Search<'s> {
    reader: &'s RunReader,
    record: &'s RunRecord,
    kind: &'s str,
    wanted: &'s str,
}

impl Search<'_> {
    fn explain(&self) -> Result<Explanation, EngineError> {
        let mut names = self.check_kind()?;
        let source = self.rows(Side::Source, &mut names)?;
        let destination = self.rows(Side::Destination, &mut names)?;
        let traces: Vec<_> = self.reader.read_traces()?.into_iter().filter(|trace| trace.kind == self.kind).collect();
        let filtered = traces.iter().map(|trace| trace.trace.filtered).sum();
        let is_wanted = |id: &str, name: &str| [id, name].contains(&self.wanted);
        let (mut left_out, mut transformed) = (Vec::new(), Vec::new());
        let own_id = source.first().map(|row| row.id.clone());
        for trace in traces {
            let number = trace.mapping + 1;
            for one in trace.trace.left_out {
                match is_wanted(&one.id, &one.name) {
                    true => left_out.push((number, one)),
                    false => names.push(one.name),
                }
            }
            let is_own = |one: &Transformed| Some(&one.id) == own_id.as_ref().filter(|id| !id.is_empty()) || is_wanted(&one.id, &one.name);
            transformed.extend(trace.trace.transformed.into_iter().filter(is_own).map(|one| (number, one)));
        }
        let (source, destination) = self.pair(source, destination)?;
        let named = source.as_ref().or(destination.as_ref());
        let key = named.map(|row| row.key.clone());
        let unique_id = named.map(|row| row.unique_id.clone()).unwrap_or_else(|| self.wanted.to_owned());
        let changes = self.changes(key.as_deref())?;
        let is_own = |error: &ErrorRow| {
            let about = [error.source_id.as_deref(), error.dest_id.as_deref()];
            error.resource == self.kind
                && about.iter().flatten().any(|id| *id == unique_id || *id == self.wanted || own_id.as_deref() == Some(*id))
        };
        let errors: Vec<ErrorRow> = self.reader.read_errors()?.into_iter().filter(is_own).collect();
        if named.is_none() && left_out.is_empty() && changes.is_empty() && errors.is_empty() {
            return Err(self.unknown(names, filtered));
        }
        let unique_id = changes.first().map(|change| change.row.source_id.clone()).filter(|_| named.is_none()).unwrap_or(unique_id);
        let counts = self.record.summary.kinds.iter().flatten().find(|counts| counts.kind == self.kind).cloned();
        Ok(Explanation {
            run_id: self.reader.id().to_string(),
            record: self.record.clone(),
            kind: self.kind.to_owned(),
            unique_id,
            source: self.side(Side::Source, source)?,
            destination: self.side(Side::Destination, destination)?,
            left_out,
            transformed,
            filtered,
            changes,
            errors,
            counts,
        })
    }

    /// Checks that the run has the kind.
    fn check_kind(&self) -> Result<Vec<String>, EngineError> {
        let mut kinds: Vec<String> = Vec::new();
        for side in Side::BOTH {
            kinds.extend(self.reader.snapshot_kinds(side)?.iter().map(ToString::to_string));
        }
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.iter().any(|kind| kind == self.kind) {
            return Ok(Vec::new());
        }
        let nearest = nearest(self.kind, kinds.iter().map(String::as_str)).map(str::to_owned);
        let what = format!("run `{}` has no kind `{}`", self.reader.id(), self.kind);
        Err(EngineError::NotExplained { what, candidates: nearest.map_or(kinds, |kind| vec![kind]) })
    }

    /// Returns the objects of a side that the name means: by unique id or key, else by id. Adds the names of all others.
    fn rows(&self, side: Side, names: &mut Vec<String>) -> Result<Vec<StoredRow>, EngineError> {
        let (mut by_name, mut by_id) = (Vec::new(), Vec::new());
        let damaged = |reason: String| EngineError::Internal(format!("the snapshot of {} in the cache: {reason}", self.kind));
        let Ok(batches) = self.reader.read_snapshot(side, self.kind) else { return Ok(by_name) };
        for batch in batches {
            let batch = batch?;
            let mut found = Vec::new();
            stored::each_name(&batch, |row, name, key, id| {
                if name == self.wanted || key == self.wanted {
                    found.push((row, true));
                } else if id == self.wanted {
                    found.push((row, false));
                } else {
                    names.push(name.to_owned());
                }
            })
            .map_err(damaged)?;
            for (row, is_name) in found {
                let row = stored::row(&batch, row).map_err(damaged)?;
                if is_name { by_name.push(row) } else { by_id.push(row) }
            }
        }
        Ok(if by_name.is_empty() { by_id } else { by_name })
    }

    /// Returns the object on both sides, if the name means one object.
    fn pair(&self, source: Vec<StoredRow>, destination: Vec<StoredRow>) -> Result<(Option<StoredRow>, Option<StoredRow>), EngineError> {
        let mut keys: Vec<&str> = source.iter().chain(&destination).map(|row| row.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() > 1 {
            let what = format!("`{}` may be {} objects of {}: name one by its key", self.wanted, keys.len(), self.kind);
            return Err(EngineError::NotExplained { what, candidates: keys.into_iter().map(str::to_owned).collect() });
        }
        let Some(key) = keys.first().map(|key| (*key).to_owned()) else { return Ok((None, None)) };
        // The name may be the id of one side alone.
        let other = |rows: Vec<StoredRow>, side: Side| -> Result<Option<StoredRow>, EngineError> {
            match rows.into_iter().next() {
                Some(row) => Ok(Some(row)),
                None => Ok(Search { wanted: &key, ..*self }.rows(side, &mut Vec::new())?.into_iter().next()),
            }
        };
        Ok((other(source, Side::Source)?, other(destination, Side::Destination)?))
    }

    fn unknown(&self, names: Vec<String>, filtered: u64) -> EngineError {
        let mut rest: Vec<String> = names;
        rest.sort_unstable();
        rest.dedup();
        let mut candidates = Vec::new();
        while candidates.len() < NEAREST
            && let Some(found) = nearest(self.wanted, rest.iter().map(String::as_str)).map(str::to_owned)
        {
            rest.retain(|name| *name != found);
            candidates.push(found);
        }
        let more = if filtered > 0 {
            format!("; filters left out {filtered} records of this kind, of which the cache names the first")
        } else {
            String::new()
        };
        EngineError::NotExplained { what: format!("run `{}` has no {} `{}`{more}", self.reader.id(), self.kind, self.wanted), candidates }
    }

    /// Returns the rows of the plan about the object.
    fn changes(&self, key: Option<&str>) -> Result<Vec<Planned>, EngineError> {
        if !self.reader.has_plan() {
            return Ok(Vec::new());
        }
        let journal = self.reader.read_journal()?;
        let mut changes = Vec::new();
        for (at, row) in (0..).zip(self.reader.read_plan()?) {
            let row = row?;
            let is_own = match key {
                Some(key) => row.key == key,
                None => row.source_id == self.wanted || row.key == self.wanted,
            };
            if row.resource == self.kind && is_own {
                let state = journal.as_ref().map(|journal| journal.state(at).as_str());
                let id = journal.as_ref().and_then(|journal| journal.id(at));
                changes.push(Planned { place: at + 1, row, state, id });
            }
        }
        Ok(changes)
    }

    fn side(&self, side: Side, row: Option<StoredRow>) -> Result<SideOf, EngineError> {
        let reading = self.record.reading.as_ref().and_then(|kinds| kinds.get(side).get(self.kind)).map(|reading| reading.how.clone());
        let mut peers = Vec::new();
        for (field, kinds) in row.iter().flat_map(|row| &row.references) {
            let value = row.as_ref().and_then(|row| row.fields.get(field)).cloned().unwrap_or_default();
            let named: Vec<&str> = match &value {
                serde_json::Value::Array(items) => items.iter().filter_map(serde_json::Value::as_str).collect(),
                one => one.as_str().into_iter().collect(),
            };
            for name in named {
                let (kind, name) = match name.split_once(':').filter(|(kind, _)| kinds.len() > 1 && kinds.iter().any(|known| known == kind))
                {
                    Some((kind, name)) => (kind, name),
                    None => (kinds.first().map_or("", String::as_str), name),
                };
                let peer = Search { kind, wanted: name, ..*self }.rows(side, &mut Vec::new())?.into_iter().next();
                peers.push((field.clone(), kind.to_owned(), name.to_owned(), peer.map(|peer| peer.id)));
            }
        }
        Ok(SideOf { row, peers, reading })
    }
}
