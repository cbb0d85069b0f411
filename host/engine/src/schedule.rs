//! Loads one side: schedules its resources, and merges what they bring into the kinds of the model.
//!
//! Each resource is read once, however many mappings use it. Resources load concurrently; within one resource, the next page is fetched while the
//! last one is parsed.

use std::collections::BTreeMap;
use std::sync::Arc;

use infrahub_sync_cache::{FullRead, MappingReading, MappingTrace};
use infrahub_sync_core::changes::{Changes, RemovalReason};
use infrahub_sync_core::key::Keys;
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::restore::{Restored, without};
use infrahub_sync_core::value::Tag;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use crate::base::{Base, Since, cursor_text};
use crate::extract::{FullReason, Reading, Way};
use crate::lent::lend;
use crate::plans::{Part, ResourcePlan};
use crate::resource::{Progress, Read, Resource};
use crate::system::System;
use crate::{EngineError, RunContext, Side};

/// Resources that load at the same time on one side. The systems are the bottleneck, and more requests make a small server slower.
const RESOURCES_AT_ONCE: usize = 4;

/// One side, read.
pub(crate) struct Loaded {
    /// The rows of each kind of the model.
    pub(crate) raw: Vec<RawKind>,
    /// Where the next run continues, by kind: for kinds that one resource feeds, if the adapter returns a watermark.
    pub(crate) cursors: BTreeMap<String, String>,
    /// How the kinds were read.
    pub(crate) readings: BTreeMap<String, Reading>,
    /// No kind has changed since the run that this one continues from.
    pub(crate) unchanged: bool,
    /// The kinds that the adapter could not read completely, with its reason.
    pub(crate) partial: BTreeMap<String, String>,
    /// Records that `explain` can tell of, by mapping.
    pub(crate) traces: Vec<MappingTrace>,
    /// The counts of each mapping, in the order of the mappings.
    pub(crate) mappings: Vec<MappingReading>,
    /// The hashes of the ids of all records that were read in full, sorted, by the kind's position; a set for each list of the source.
    pub(crate) seen: BTreeMap<usize, Vec<Arc<Vec<u64>>>>,
}

/// Reads all resources of one side into the kinds of the model.
///
/// With a `base`, only the changes are read of each resource that allows it; the other rows are those of the base.
///
/// # Errors
/// When a resource cannot be read.
pub(crate) async fn load(
    cx: &RunContext<'_>,
    side: Side,
    system: &Arc<dyn System>,
    model: &Model,
    plans: Vec<ResourcePlan>,
    base: Base,
) -> Result<Loaded, EngineError> {
    let plans = lend(side, system, plans).await?;
    let (progress, mut heard) = unbounded_channel();
    let answered = Arc::new(Notify::new());
    let resource = |plan: Arc<ResourcePlan>, since: Option<Since>| Resource {
        side,
        system: system.clone(),
        request: plan.request(system.manifest().page_size),
        in_full: (base.is_usable() && !plan.needs().is_empty()).then_some(FullReason::Lent),
        plan,
        since,
        progress: progress.clone(),
        now: cx.now,
        answered: answered.clone(),
    };
    let mut queue = Queue::new(model, plans, &base, resource);
    let tell = |Progress { kind, read, total, is_finished }: Progress| {
        let Some(spec) = model.kinds.get(kind) else { return };
        if is_finished { cx.events.loaded(side, &spec.name, read) } else { cx.events.loading(side, &spec.name, read, total) }
    };
    // In an incremental run the first resource begins alone: what all of them need (NetBox's change log) is then requested once, and the adapter
    // keeps it for the others.
    let mut alone = base.is_usable();
    let mut merge = Merge::new(model, base, queue.feeding.clone());
    queue.start(if alone { 1 } else { RESOURCES_AT_ONCE });
    loop {
        tokio::select! {
            () = answered.notified(), if alone => {
                alone = false;
                queue.start(RESOURCES_AT_ONCE - 1);
            }
            Some(progress) = heard.recv() => tell(progress),
            done = queue.running.join_next() => match done {
                Some(Ok(read)) => {
                    merge.add(read?);
                    queue.start(1);
                }
                Some(Err(panic)) => return Err(EngineError::Internal(format!("a loading task ended early: {panic}"))),
                None => break,
            }
        }
    }
    drain(&mut heard, tell);
    merge.finish()
}

fn drain(heard: &mut UnboundedReceiver<Progress>, tell: impl Fn(Progress)) {
    while let Ok(progress) = heard.try_recv() {
        tell(progress);
    }
}

/// The resources that are not read yet, and those that are being read.
struct Queue {
    waiting: std::vec::IntoIter<Resource>,
    running: JoinSet<Result<Read, EngineError>>,
    /// The number of resources that feed each kind.
    feeding: Vec<usize>,
}

impl Queue {
    fn new(
        model: &Model,
        plans: Vec<Arc<ResourcePlan>>,
        base: &Base,
        resource: impl Fn(Arc<ResourcePlan>, Option<Since>) -> Resource,
    ) -> Queue {
        let feeding = feeding(model, &plans);
        let with_since = |plan: Arc<ResourcePlan>| {
            // Of a kind with several resources an id may mean several objects, and it is unknown which one changed.
            let kinds = plan.kinds();
            let feeds_alone = kinds.iter().all(|kind| feeding.get(*kind) == Some(&1));
            // A change of what is lent does not show in the changes of the resource.
            let since = base.since(&kinds).filter(|_| feeds_alone && plan.needs().is_empty());
            resource(plan, since)
        };
        let waiting = plans.into_iter().map(with_since).collect::<Vec<_>>().into_iter();
        Queue { waiting, running: JoinSet::new(), feeding }
    }

    /// Starts as many resources as there are, up to `count`.
    fn start(&mut self, count: usize) {
        for resource in self.waiting.by_ref().take(count) {
            self.running.spawn(resource.read());
        }
    }
}

/// Returns the number of resources that feed each kind.
fn feeding(model: &Model, plans: &[Arc<ResourcePlan>]) -> Vec<usize> {
    let mut feeding = vec![0; model.kinds.len()];
    for kind in plans.iter().flat_map(|plan| plan.kinds()) {
        if let Some(count) = feeding.get_mut(kind) {
            *count += 1;
        }
    }
    feeding
}

/// The results of the resources so far.
struct Merge<'m> {
    model: &'m Model,
    base: Base,
    feeding: Vec<usize>,
    /// The rows of the base, by kind.
    kept: Vec<Option<RawKind>>,
    parts: Vec<Part>,
    loaded: Loaded,
}

impl<'m> Merge<'m> {
    fn new(model: &'m Model, base: Base, feeding: Vec<usize>) -> Merge<'m> {
        let loaded = Loaded {
            raw: Vec::new(),
            cursors: BTreeMap::new(),
            readings: BTreeMap::new(),
            unchanged: base.is_whole(),
            partial: BTreeMap::new(),
            traces: Vec::new(),
            mappings: Vec::new(),
            seen: BTreeMap::new(),
        };
        Merge { model, base, feeding, kept: model.kinds.iter().map(|_| None).collect(), parts: Vec::new(), loaded }
    }

    /// Adds a resource.
    fn add(&mut self, read: Read) {
        let seen = Arc::new(read.seen);
        for kind in &read.kinds {
            let Some(spec) = self.model.kinds.get(*kind) else { continue };
            if let Some(watermark) = read.watermark.as_ref().filter(|_| self.feeding.get(*kind) == Some(&1)) {
                self.loaded.cursors.insert(spec.name.clone(), cursor_text(watermark));
            }
            if let Some(reason) = &read.partial {
                self.loaded.partial.entry(spec.name.clone()).or_insert_with(|| reason.clone());
            }
            if !seen.is_empty() {
                self.loaded.seen.entry(*kind).or_default().push(seen.clone());
            }
            let kept = read.changes.as_ref().and_then(|changes| Some((changes, self.base.take(*kind)?)));
            let way = match kept {
                Some((changes, restored)) => self.continued(*kind, &spec.name, changes, restored),
                None => {
                    self.loaded.unchanged = false;
                    Way::Full(self.reason(*kind, &spec.name, read.reason.as_ref()))
                }
            };
            let known = self.loaded.readings.get(&spec.name);
            let at = known.map_or(read.at, |known| known.at.min(read.at));
            let total = known.map_or(Some(0), |known| known.total).zip(read.total).map(|(known, total)| known + total);
            self.loaded.readings.insert(spec.name.clone(), Reading { at, way, total, evidence: Vec::new() });
        }
        self.loaded.mappings.extend(read.census);
        self.parts.extend(read.parts);
    }

    /// Takes over the rows of a kind that are as they were.
    fn continued(&mut self, kind: usize, name: &str, changes: &Changes, Restored { rows, keys }: Restored) -> Way {
        self.loaded.unchanged &= changes.is_empty();
        let left = left(changes, &rows, &keys);
        let rows = if left.is_empty() { rows } else { without(&rows, |id| changes.removes(id)) };
        if let Some(place) = self.kept.get_mut(kind) {
            *place = Some(rows);
        }
        let unknown = || FullRead { run: String::new(), at: String::new(), objects: 0 };
        let full = self.base.full.get(name).cloned().unwrap_or_else(unknown);
        Way::Changes { since: self.base.since.clone(), changed: changes.changed.len() as u64, left, full }
    }

    /// Returns why a kind was read in full. `declined`: the reason why the changes of its resource are unknown.
    fn reason(&self, kind: usize, name: &str, declined: Option<&FullReason>) -> FullReason {
        let feeds_alone = self.feeding.get(kind) == Some(&1);
        match (declined, self.base.in_full.get(name)) {
            (Some(reason), _) => reason.clone(),
            (None, _) if self.base.is_usable() && !feeds_alone => FullReason::SeveralResources,
            (None, Some(reason)) => reason.clone(),
            (None, None) => FullReason::SharedResource,
        }
    }

    /// Joins the rows of all resources, in the order of the mappings, whichever resource was quickest.
    fn finish(mut self) -> Result<Loaded, EngineError> {
        self.parts.sort_by_key(|part| part.mapping);
        self.loaded.mappings.sort_by_key(|mapping| mapping.mapping);
        for Part { mapping, kind, mut rows } in self.parts {
            let Some(place) = self.kept.get_mut(kind) else { continue };
            let trace = std::mem::take(&mut rows.trace);
            if let Some(spec) = self.model.kinds.get(kind).filter(|_| !trace.is_empty()) {
                self.loaded.traces.push(MappingTrace { kind: spec.name.clone(), mapping, trace });
            }
            match place {
                None => *place = Some(rows),
                Some(_) if rows.rows == 0 => {}
                Some(there) => there.merge(rows).map_err(|error| EngineError::Internal(error.to_string()))?,
            }
        }
        let kinds = self.kept.into_iter().zip(&self.model.kinds);
        self.loaded.raw = kinds.map(|(raw, kind)| raw.unwrap_or_else(|| RawKind::new(kind.fields.len()))).collect();
        Ok(self.loaded)
    }
}

/// Returns the rows of an earlier run that are not taken over: key, id and the reason.
fn left(changes: &Changes, rows: &RawKind, keys: &Keys) -> Vec<(String, String, RemovalReason)> {
    if changes.is_empty() {
        return Vec::new();
    }
    let known = (0..rows.rows).filter(|row| rows.ids.tag(*row) != Tag::Null);
    let left = known.filter_map(|row| {
        let id = rows.ids.text(row);
        Some((keys.get(row).to_owned(), id.to_owned(), changes.removal(id)?))
    });
    left.collect()
}
