//! Writes an approved plan: row by row into batches, batches to the adapter, its answers into a report.
//!
//! Rows go in the plan's order. A batch is cut where the kind, the operation or the tier changes, and where a row needs the id of
//! an object whose creation has not been answered. Tiers are barriers; inside a tier as many batches are under way as the adapter
//! declares. Answers are taken in the order of the batches, so that what comes out does not depend on which was quicker. A row whose
//! peer could not be created is skipped and says which one it waits for.
//!
//! What is sent is in the journal before, and what became of it after. An apply that was killed goes on where it was: what is done is not
//! looked at again, what was sent without an answer is compared with the destination first. So is every row of a plan that is applied
//! later than it was made: an object that somebody changed meanwhile is a conflict, and left alone unless the project says otherwise.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use infrahub_sync_cache::{ErrorRow, Journal, JournalWriter, RowState, RunReader};
use infrahub_sync_config::OnConflict;
use infrahub_sync_core::diff::default_column;
use infrahub_sync_core::guardrail::ApprovedPlan;
use infrahub_sync_core::key;
use infrahub_sync_core::model::{FieldModel, Model};
use infrahub_sync_core::plan::values_json;
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_core::restore::key_object;
use infrahub_sync_core::snapshot::{FieldColumn, Held, NOWHERE, Peer, Snapshot};
use infrahub_sync_core::value::ValueColumn;
use infrahub_sync_runtime::{KindChanges, Operation, Outcome, Run, RunResult, WriteRequest};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use crate::load::Opened;
use crate::pace::Pace;
use crate::touched::Touched;
use crate::{EngineError, Failure, RunContext, Stopped};

/// Failures that are told by name on the screen; all of them are in errors.parquet.
const FAILURES_SHOWN: usize = 100;

/// What the destination holds, as far as the run knows.
pub(crate) struct Current<'s> {
    pub(crate) model: &'s Model,
    pub(crate) snapshot: &'s Snapshot,
    /// The plan was made from this very snapshot: no row can be there already.
    pub(crate) fresh: bool,
    /// By kind the moment as of which it was read, where the adapter tells.
    pub(crate) as_of: &'s BTreeMap<String, String>,
}

/// What became of the rows of a kind; the names are those in `run.json`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct KindReport {
    created: u64,
    updated: u64,
    deleted: u64,
    unchanged: u64,
    failed: u64,
    skipped: u64,
    done_before: u64,
}

/// What became of the rows.
#[derive(Default)]
pub(crate) struct Report {
    /// The counts by kind.
    pub(crate) kinds: BTreeMap<String, KindReport>,
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    pub(crate) unchanged: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) failures: Vec<Failure>,
    pub(crate) errors: Vec<ErrorRow>,
    /// Rows that an earlier, interrupted apply of this run has done.
    pub(crate) done_before: u64,
    /// Why it ended before its end, if it did.
    pub(crate) stopped: Option<Stopped>,
    /// Rows that were not tried because of that.
    pub(crate) left: u64,
    /// Of `done_before` what has changed the destination, for whoever ends the run.
    pub(crate) before: KindReport,
}

/// What is said of an object that is to be updated and that somebody has deleted.
const GONE: &str = "the object is not in the destination any more";

/// Answers that are told to the journal together, where no row's sending waits for it.
const SETTLED_TOGETHER: usize = 1000;

/// A row on its way.
struct Ready {
    /// Its place in the plan, from 0.
    at: u64,
    row: PlanRow,
    key: String,
    line: String,
    /// What the object refers to in the destination, by kind and key.
    peers: Vec<String>,
}

/// A row that counts once its kind is durable.
struct Staged {
    at: u64,
    row: PlanRow,
    key: String,
    peers: Vec<String>,
}

/// Applies. `report` is there also when it fails; what it has of errors.parquet stays.
///
/// # Errors
/// When the plan cannot be read or the adapter fails as a whole. Refused rows are no error: they are in the report.
pub(crate) async fn apply_plan(
    cx: &RunContext<'_>,
    destination: &Opened,
    current: &Current<'_>,
    plan: &ApprovedPlan<RunReader>,
    journal: JournalWriter,
    run_id: &str,
    report: &mut Report,
) -> Result<(), EngineError> {
    // An explicit order is one: the next kind begins when the one before is answered.
    let serial = !cx.options.parallel || !cx.project.order.is_empty();
    let mut writer = Writer {
        cx,
        destination,
        current,
        ids: HashMap::new(),
        failed: HashSet::new(),
        totals: HashMap::new(),
        done: HashMap::new(),
        staged: Vec::new(),
        under_way: VecDeque::new(),
        pace: Pace::new(if serial { 1 } else { destination.manifest.write_concurrency as usize }, destination.session.traffic().repeated),
        unanswered: HashSet::new(),
        needed: HashMap::new(),
        deleting: HashMap::new(),
        touched: HashMap::new(),
        before: (journal.journal().attempts() > 0).then(|| journal.journal().clone()),
        on_conflict: cx.options.on_conflict.unwrap_or(cx.project.apply.on_conflict),
        journal,
        settled: Vec::new(),
        report,
    };
    let mut changes: Vec<KindChanges> = Vec::new();
    for row in plan.plan().read_plan()? {
        let row = row?;
        *writer.totals.entry(row.resource.clone()).or_default() += 1;
        if changes.last().is_none_or(|last| last.kind != row.resource) && !changes.iter().any(|kind| kind.kind == row.resource) {
            changes.push(KindChanges { kind: row.resource.clone(), creates: 0, updates: 0, deletes: 0 });
        }
        if let Some(kind) = changes.iter_mut().rev().find(|kind| kind.kind == row.resource) {
            match row.action {
                Action::Create => kind.creates += 1,
                Action::Update => kind.updates += 1,
                Action::Delete => kind.deletes += 1,
            }
        }
    }
    writer.journal.begin()?;
    let run = Run { id: run_id.to_owned(), sync: cx.project.name.clone(), source: cx.project.source.name.clone(), changes };
    if let Some(words) = destination.session.begin(&run).await? {
        cx.events.note(&words);
    }
    writer.look(&run.changes).await?;
    let mut batch: Vec<Ready> = Vec::new();
    let mut number = 0;
    let mut step: Option<(u32, u32, bool)> = None;
    for row in plan.plan().read_plan()? {
        number += 1;
        let at = number - 1;
        let row = row?;
        if writer.stops() {
            // Rows that were made ready and not sent are as good as not looked at.
            writer.report.left += writer.journal.journal().rows().saturating_sub(at) + batch.len() as u64;
            batch.clear();
            break;
        }
        let key = serde_json::from_str(&row.key)
            .ok()
            .and_then(|key| key::key_from_json(&key))
            .ok_or_else(|| EngineError::PlanRow { row: number, reason: "its key is no JSON array".into() })?;
        let peers: Map<String, Value> = match &row.peers {
            Some(peers) => {
                serde_json::from_str(peers).map_err(|error| EngineError::PlanRow { row: number, reason: format!("its peers: {error}") })?
            }
            None => Map::new(),
        };
        let now = (row.pass, row.tier, row.action == Action::Delete);
        let cut = batch.first().is_some_and(|first| first.row.resource != row.resource)
            || batch.len() >= destination.manifest.write_batch_max.max(1) as usize
            || step.is_some_and(|before| before != now);
        let is_held = |count: &usize| *count > 0;
        let waits = match row.action {
            // What refers to it goes first.
            Action::Delete => writer.deleting.get(&kind_and_key(&row.resource, &key)).is_some_and(is_held),
            _ => peers_of(&peers).any(|(_, peer)| writer.unanswered.contains(&peer)),
        };
        if cut || waits {
            writer.send(&mut batch).await?;
        }
        if waits {
            writer.settle().await?;
        }
        if step.is_some_and(|before| before != now) {
            writer.commit().await?;
        }
        step = Some(now);
        if let Some(ready) = writer.prepare(at, row, key, &peers)? {
            // Only now is it known what is to be done: an object that somebody has made meanwhile is updated.
            if batch.first().is_some_and(|first| first.row.action != ready.row.action) {
                writer.send(&mut batch).await?;
            }
            match ready.row.action {
                Action::Create => drop(writer.unanswered.insert(kind_and_key(&ready.row.resource, &ready.key))),
                Action::Delete => ready.peers.iter().for_each(|peer| *writer.deleting.entry(peer.clone()).or_default() += 1),
                Action::Update => {}
            }
            batch.push(ready);
        }
    }
    writer.send(&mut batch).await?;
    writer.commit().await?;
    writer.note_settled()?;
    if writer.report.stopped.is_some() {
        destination.session.finish()?;
        return Ok(());
    }
    // Kinds without changes are named too: their empty collections shall exist.
    let all: Vec<String> = current.model.kinds.iter().map(|kind| kind.name.clone()).collect();
    destination.session.commit(&all).await?;
    // The run is what all its applies have done, not this one alone: one that only ends it has done nothing itself.
    let Report { created, updated, deleted, unchanged, failed, skipped, before, .. } = &*writer.report;
    let result = RunResult {
        created: created + before.created,
        updated: updated + before.updated,
        deleted: deleted + before.deleted,
        unchanged: unchanged + before.unchanged,
        failed: *failed,
        skipped: *skipped,
    };
    match destination.session.finish_run(&run, result).await {
        Ok(Some(words)) => cx.events.note(&words),
        Ok(None) => {}
        // The rows are written all the same; the run is not whole.
        Err(error) => writer.unfinished(&run.id, &error),
    }
    writer.journal.finished()?;
    destination.session.finish()?;
    Ok(())
}

fn kind_and_key(kind: &str, key: &str) -> String {
    format!("{kind}\u{2}{key}")
}

/// An object for a person, from its kind and key.
fn named(object: &str) -> String {
    let (kind, key) = object.split_once('\u{2}').unwrap_or((object, ""));
    format!("{kind} `{}`", key::unique_id(key))
}

/// All peers of a row: (name of the field, kind and key).
fn peers_of(peers: &Map<String, Value>) -> impl Iterator<Item = (&str, String)> {
    peers.iter().flat_map(|(field, value)| {
        let one = |peer: &Value| Some((field.as_str(), kind_and_key(peer.get("kind")?.as_str()?, &key::key_from_json(peer.get("key")?)?)));
        match value {
            Value::Array(items) => items.iter().filter_map(one).collect::<Vec<_>>(),
            other => one(other).into_iter().collect(),
        }
    })
}

/// A batch that was sent.
struct UnderWay {
    rows: Vec<Ready>,
    /// With the time that it took.
    answer: JoinHandle<(infrahub_sync_runtime::Result<Vec<Outcome>>, Duration)>,
}

struct Writer<'w> {
    cx: &'w RunContext<'w>,
    destination: &'w Opened,
    current: &'w Current<'w>,
    /// Ids of what this run created, by kind and key.
    ids: HashMap<String, String>,
    /// What could not be created.
    failed: HashSet<String>,
    totals: HashMap<String, u64>,
    done: HashMap<String, u64>,
    /// Rows that count once `commit` succeeds.
    staged: Vec<Staged>,
    /// Batches that were sent and not answered, the first sent first.
    under_way: VecDeque<UnderWay>,
    pace: Pace,
    /// Objects whose creation has not been answered.
    unanswered: HashSet<String>,
    /// Objects that one refers to which was not deleted, or not updated: they are needed. With that one, in words.
    needed: HashMap<String, String>,
    /// Objects that so many refer to whose deletion has not been answered.
    deleting: HashMap<String, usize>,
    /// What somebody changed since the snapshot was read, by kind.
    touched: HashMap<usize, Touched>,
    /// The journal as earlier applies of this run have left it.
    before: Option<Journal>,
    on_conflict: OnConflict,
    journal: JournalWriter,
    /// What the journal has not been told yet.
    settled: Vec<(u64, RowState, Option<String>)>,
    report: &'w mut Report,
}

impl Writer<'_> {
    /// Asks what somebody has changed since the snapshot, of the kinds that are updated or deleted. Of a destination that does not tell they
    /// are read once more.
    async fn look(&mut self, changes: &[KindChanges]) -> Result<(), EngineError> {
        if !self.current.fresh || self.on_conflict == OnConflict::Overwrite {
            return Ok(());
        }
        for change in changes.iter().filter(|change| change.updates + change.deletes > 0) {
            let Some((kind, _)) = self.current.model.kind(&change.kind) else { continue };
            let watermark = self.current.as_of.get(&change.kind).map(String::as_str);
            let touched = Touched::read(self.destination, self.current.model, kind, watermark).await?;
            self.touched.insert(kind, touched);
        }
        Ok(())
    }

    /// Whether nothing more is to be sent.
    fn stops(&mut self) -> bool {
        let most = self.cx.options.max_failures.or(self.cx.project.apply.max_failures);
        if self.cx.stop.is_requested() {
            self.report.stopped = Some(Stopped::Interrupted);
        } else if most.is_some_and(|most| self.report.failed >= most) {
            self.report.stopped = Some(Stopped::Failures(self.report.failed));
        }
        self.report.stopped.is_some()
    }

    fn row_of(&self, kind: usize, key: &str) -> Option<usize> {
        let keys = &self.current.snapshot.kinds.get(kind)?.keys;
        let (mut low, mut high) = (0, keys.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match keys.get(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// The id of an object in the destination: what this run created, else what was loaded.
    fn id_of(&self, kind: &str, key: &str) -> Option<String> {
        if let Some(id) = self.ids.get(&kind_and_key(kind, key)) {
            return Some(id.clone());
        }
        let (at, _) = self.current.model.kind(kind)?;
        self.current.snapshot.kinds.get(at)?.id(self.row_of(at, key)?).map(str::to_owned)
    }

    /// Makes a row ready to be sent; none when there is nothing to send.
    fn prepare(&mut self, at: u64, mut row: PlanRow, key: String, peers: &Map<String, Value>) -> Result<Option<Ready>, EngineError> {
        let number = at + 1;
        // Of an apply that was interrupted, whose answer is in the journal.
        if self.journal.journal().state(at).is_settled() {
            if let (Action::Create, Some(id)) = (row.action, self.journal.journal().id(at)) {
                self.ids.insert(kind_and_key(&row.resource, &key), id);
            }
            self.report.done_before += 1;
            self.of_kind(&row).done_before += 1;
            let before = &mut self.report.before;
            let count = match (self.journal.journal().state(at), row.action) {
                (RowState::Unchanged, _) => &mut before.unchanged,
                (_, Action::Create) => &mut before.created,
                (_, Action::Update) => &mut before.updated,
                (_, Action::Delete) => &mut before.deleted,
            };
            // As in `count`: the second pass finishes an object that was counted before.
            *count += u64::from(row.pass == 0);
            self.tell(&row);
            return Ok(None);
        }
        if let Some(reason) = row.skip_reason.clone() {
            return self.skip(at, &row, reason).map(|()| None);
        }
        let Some((kind, spec)) = self.current.model.kind(&row.resource) else {
            return Err(EngineError::PlanRow { row: number, reason: format!("its kind `{}` is not in the model", row.resource) });
        };
        let own = kind_and_key(&row.resource, &key);
        let there = self.row_of(kind, &key);
        let peers_there = there.map(|there| self.held_by(kind, there)).unwrap_or_default();
        if self.failed.contains(&own) {
            return self.skip(at, &row, "it could not be created".to_owned()).map(|()| None);
        }
        if let Some((field, peer)) = peers_of(peers).find(|(_, peer)| self.failed.contains(peer)) {
            let waits = format!("`{field}` waits for {}, which could not be created", named(&peer));
            self.not_written(&row, &key, peers_there);
            return self.skip(at, &row, waits).map(|()| None);
        }
        let fields: Map<String, Value> = match &row.new_value {
            Some(new) => serde_json::from_str(new)
                .map_err(|error| EngineError::PlanRow { row: number, reason: format!("its new value: {error}") })?,
            None => Map::new(),
        };
        if let Some(waits) = self.needed.get(&own).filter(|_| row.action == Action::Delete && there.is_some()).cloned() {
            self.not_written(&row, &key, peers_there);
            return self.skip(at, &row, waits).map(|()| None);
        }
        if !self.current.fresh {
            match (row.action, there) {
                (Action::Delete, None) => return self.there_already(at, &row).map(|()| None),
                (Action::Create | Action::Update, Some(found)) if self.holds(kind, found, &fields, peers) => {
                    return self.there_already(at, &row).map(|()| None);
                }
                (Action::Update, None) if row.pass == 0 => {
                    return self.conflict(at, row, "gone", GONE.to_owned()).map(|()| None);
                }
                (_, Some(found)) => {
                    if let Some((class, message)) = self.changed(kind, found, &row)
                        && self.on_conflict == OnConflict::Refuse
                    {
                        self.not_written(&row, &key, peers_there);
                        return self.conflict(at, row, class, message).map(|()| None);
                    }
                    // Somebody made it meanwhile, but different: what is wanted is written over it, nothing is made twice.
                    if row.action == Action::Create {
                        row.action = Action::Update;
                    }
                }
                _ => {}
            }
        }
        if let (true, Some(found), Some(touched)) = (row.action != Action::Create, there, self.touched.get(&kind)) {
            let id = self.current.snapshot.kinds.get(kind).and_then(|rows| rows.id(found)).unwrap_or_default();
            let object = |text: &Option<String>| -> Map<String, Value> {
                text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
            };
            let (old, new) = (object(&row.old_value), object(&row.new_value));
            if row.action == Action::Update && touched.is_gone(id) {
                return self.conflict(at, row, "gone", GONE.to_owned()).map(|()| None);
            }
            let differences = touched.differences(self.current.model, self.current.snapshot, (kind, found, id), &old, &new);
            if !differences.is_empty() {
                let class = if row.action == Action::Delete { "changed_before_delete" } else { "changed" };
                self.not_written(&row, &key, peers_there);
                let message = format!("somebody has changed it since the plan was made: {}", differences.join(", "));
                return self.conflict(at, row, class, message).map(|()| None);
            }
        }
        if row.action != Action::Create {
            row.dest_id = self.id_of(&row.resource, &key).or(row.dest_id);
        }
        let mut line = Map::new();
        line.insert("key".to_owned(), key_object(self.current.model, kind, &key));
        if let Some(id) = &row.dest_id {
            line.insert("id".to_owned(), json!(id));
        }
        let mut out = Map::new();
        for (name, value) in fields {
            let reference = spec.fields.iter().find(|field| field.name == name && field.reference.is_some());
            let value = match (reference, peers.get(&name)) {
                (None, _) => value,
                (Some(field), Some(Value::Array(items))) => items.iter().filter_map(|peer| self.peer(peer, field)).collect(),
                (Some(field), Some(peer)) => self.peer(peer, field).unwrap_or(Value::Null),
                (Some(_), None) => Value::Null,
            };
            out.insert(name, value);
        }
        line.insert("fields".to_owned(), Value::Object(out));
        Ok(Some(Ready { at, row, key, line: Value::Object(line).to_string(), peers: peers_there }))
    }

    /// Whether the destination's row has these values.
    fn holds(&self, kind: usize, at: usize, fields: &Map<String, Value>, peers: &Map<String, Value>) -> bool {
        let (Some(spec), Some(rows)) = (self.current.model.kinds.get(kind), self.current.snapshot.kinds.get(kind)) else { return false };
        fields.iter().all(|(name, wanted)| {
            let Some(position) = spec.fields.iter().position(|field| field.name == *name) else { return false };
            match rows.fields.get(position) {
                Some(FieldColumn::Values(values)) => {
                    let mut column = ValueColumn::default();
                    column.push_json(wanted);
                    let default = || spec.fields.get(position).and_then(default_column);
                    values.same(at, &column, 0) || (wanted.is_null() && default().is_some_and(|default| values.same(at, &default, 0)))
                }
                Some(FieldColumn::Peers(column)) => {
                    let mut wanted: Vec<Option<Peer>> = match peers.get(name) {
                        None | Some(Value::Null) => Vec::new(),
                        Some(Value::Array(items)) => items.iter().map(|peer| self.peer_row(peer)).collect(),
                        Some(peer) => vec![self.peer_row(peer)],
                    };
                    // As the column has them: by the place of the kind among the field's, and by row.
                    let place = |peer: &Peer| column.kinds().iter().position(|kind| *kind == peer.kind);
                    wanted.sort_unstable_by_key(|peer| peer.map(|peer| (place(&peer), peer.row)));
                    let (held, held_peers) = column.peers(at);
                    held != Held::Unresolved
                        && held_peers.len() == wanted.len()
                        && held_peers.zip(&wanted).all(|(peer, wanted)| Some(peer) == *wanted)
                }
                None => false,
            }
        })
    }

    fn peer_row(&self, peer: &Value) -> Option<Peer> {
        let (kind, _) = self.current.model.kind(peer.get("kind")?.as_str()?)?;
        let row = self.row_of(kind, &key::key_from_json(peer.get("key")?)?)?;
        Some(Peer { kind, row: u32::try_from(row).ok()? })
    }

    /// A peer as the adapter gets it: its identifiers, and its id where it has one. Where the field may refer to several kinds these are there too, as
    /// `of`: a system that keeps no ids has to keep the kind, and without `of` it need not.
    fn peer(&self, peer: &Value, field: &FieldModel) -> Option<Value> {
        let name = peer.get("kind")?.as_str()?;
        let (kind, _) = self.current.model.kind(name)?;
        let key = key::key_from_json(peer.get("key")?)?;
        let mut out = json!({ "kind": name, "key": key_object(self.current.model, kind, &key) });
        let id = self.id_of(name, &key).or_else(|| Some(peer.get("id")?.as_str()?.to_owned()));
        if let (Some(id), Some(out)) = (id, out.as_object_mut()) {
            out.insert("id".to_owned(), json!(id));
        }
        // Read back, `kind` beside identifiers tells the kind only while no identifier has that name.
        let names_kind =
            |name: &str| self.current.model.kind(name).is_some_and(|(_, kind)| kind.identifiers.iter().any(|name| name == "kind"));
        if !field.also.is_empty()
            && !field.peers().any(names_kind)
            && let Some(out) = out.as_object_mut()
        {
            out.insert("of".to_owned(), field.peers().collect());
        }
        Some(out)
    }

    /// What somebody has changed since the plan was made: a word for programs and a sentence.
    ///
    /// The object's values are those that the plan has found (`old_value`), or it is a conflict. A field that holds what is wanted is none.
    fn changed(&self, kind: usize, found: usize, row: &PlanRow) -> Option<(&'static str, String)> {
        if row.action == Action::Create {
            return Some(("exists", "somebody has created it since the plan was made, with other values".to_owned()));
        }
        // A second pass finishes what the first one has written.
        let old: Map<String, Value> = serde_json::from_str(row.old_value.as_deref()?).ok()?;
        let spec = self.current.model.kinds.get(kind)?;
        let positions: Vec<usize> = old.keys().filter_map(|name| spec.fields.iter().position(|field| field.name == *name)).collect();
        let now = values_json(self.current.model, self.current.snapshot, kind, found, positions.into_iter());
        let now: Map<String, Value> = serde_json::from_str(&now).ok()?;
        let wanted: Map<String, Value> = row.new_value.as_deref().and_then(|new| serde_json::from_str(new).ok()).unwrap_or_default();
        let differs = |(name, old): &(&String, &Value)| {
            let now = now.get(*name).unwrap_or(&Value::Null);
            now != *old && (row.action == Action::Delete || wanted.get(*name) != Some(now))
        };
        let changed: Vec<String> = old
            .iter()
            .filter(differs)
            .map(|(name, old)| format!("`{name}` is {} and was {old}", now.get(name).unwrap_or(&Value::Null)))
            .collect();
        let class = if row.action == Action::Delete { "changed_before_delete" } else { "changed" };
        (!changed.is_empty()).then(|| (class, format!("somebody has changed it since the plan was made: {}", changed.join(", "))))
    }

    /// Leaves a row out because of what somebody did to its object.
    fn conflict(&mut self, at: u64, mut row: PlanRow, class: &str, message: String) -> Result<(), EngineError> {
        row.conflict_class = Some(class.to_owned());
        self.report.failed += 1;
        self.of_kind(&row).failed += 1;
        let hint = "make a new plan with `infrahub-sync diff`, or write over it with --on-conflict overwrite".to_owned();
        self.note(at, &row, message, Some(hint), &format!("conflict_{class}"));
        self.settle_row(at, RowState::Failed, None)
    }

    fn there_already(&mut self, at: u64, row: &PlanRow) -> Result<(), EngineError> {
        self.report.unchanged += 1;
        self.of_kind(row).unchanged += 1;
        self.tell(row);
        self.settle_row(at, RowState::Unchanged, None)
    }

    /// Notes what became of a row. Nothing waits for it to be on the disk: it would be found out again.
    fn settle_row(&mut self, at: u64, state: RowState, id: Option<String>) -> Result<(), EngineError> {
        self.settled.push((at, state, id));
        if self.settled.len() >= SETTLED_TOGETHER { self.note_settled() } else { Ok(()) }
    }

    fn note_settled(&mut self) -> Result<(), EngineError> {
        let settled = std::mem::take(&mut self.settled);
        Ok(self.journal.answered(settled)?)
    }

    fn tell(&mut self, row: &PlanRow) {
        let done = self.done.entry(row.resource.clone()).or_default();
        *done += 1;
        self.cx.events.writing(&row.resource, *done, self.totals.get(&row.resource).copied().unwrap_or(*done));
    }

    fn count(&mut self, row: &PlanRow) {
        let of_kind = self.report.kinds.entry(row.resource.clone()).or_default();
        let (all, of_kind) = match row.action {
            Action::Create => (&mut self.report.created, &mut of_kind.created),
            Action::Update => (&mut self.report.updated, &mut of_kind.updated),
            Action::Delete => (&mut self.report.deleted, &mut of_kind.deleted),
        };
        // The second pass finishes an object that was counted before.
        if row.pass == 0 {
            *all += 1;
            *of_kind += 1;
        }
        self.tell(row);
    }

    fn fail(&mut self, at: u64, row: &PlanRow, message: String, hint: Option<String>, class: &str) {
        self.report.failed += 1;
        self.of_kind(row).failed += 1;
        self.note(at, row, message, hint, class);
    }

    fn of_kind(&mut self, row: &PlanRow) -> &mut KindReport {
        self.report.kinds.entry(row.resource.clone()).or_default()
    }

    /// A row was not written. What was not created cannot be referred to; an object that stays as it is needs what it refers to (`peers`).
    fn not_written(&mut self, row: &PlanRow, key: &str, peers: Vec<String>) {
        if row.action == Action::Create {
            self.failed.insert(kind_and_key(&row.resource, key));
        }
        let done = if row.action == Action::Delete { "deleted" } else { "updated" };
        let words = format!("{} `{}`, which refers to it, was not {done}", row.resource, row.source_id);
        for peer in peers {
            self.needed.entry(peer).or_insert_with(|| words.clone());
        }
    }

    /// The objects that one of the destination refers to, by kind and key.
    fn held_by(&self, kind: usize, at: usize) -> Vec<String> {
        let Some(rows) = self.current.snapshot.kinds.get(kind) else { return Vec::new() };
        let mut out = Vec::new();
        for field in &rows.fields {
            let FieldColumn::Peers(peers) = field else { continue };
            for peer in peers.peers(at).1.filter(|peer| peer.row != NOWHERE) {
                let named = self.current.model.kinds.get(peer.kind).zip(self.current.snapshot.kinds.get(peer.kind));
                out.extend(named.map(|(spec, rows)| kind_and_key(&spec.name, rows.keys.get(peer.row as usize))));
            }
        }
        out
    }

    fn skip(&mut self, at: u64, row: &PlanRow, reason: String) -> Result<(), EngineError> {
        self.report.skipped += 1;
        self.of_kind(row).skipped += 1;
        self.note(at, row, format!("skipped: {reason}"), None, "skipped");
        self.settle_row(at, RowState::Skipped, None)
    }

    fn note(&mut self, at: u64, row: &PlanRow, message: String, hint: Option<String>, class: &str) {
        if self.report.failures.len() < FAILURES_SHOWN {
            self.report.failures.push(Failure {
                kind: row.resource.clone(),
                unique_id: row.source_id.clone(),
                action: row.action,
                message: message.clone(),
                hint: hint.clone(),
            });
        }
        self.report.errors.push(ErrorRow {
            error_class: class.to_owned(),
            resource: row.resource.clone(),
            source_id: Some(row.source_id.clone()),
            dest_id: row.dest_id.clone(),
            attribute: row.attribute.clone(),
            message,
            hint,
            retry_count: self.tried_before(at),
            terminal: true,
        });
        self.tell(row);
    }

    /// How many earlier applies of the plan have come to a row and not got it done.
    fn tried_before(&self, at: u64) -> i64 {
        let tried = self.before.as_ref().filter(|journal| journal.state(at) != RowState::Planned);
        tried.map_or(0, |journal| journal.attempts().into())
    }

    /// The run was written but could not be brought to its end.
    fn unfinished(&mut self, run_id: &str, error: &infrahub_sync_runtime::Error) {
        let message = format!("the run was written, but not brought to its end: {error}");
        self.report.failed += 1;
        self.report.failures.push(Failure {
            kind: self.destination.manifest.name.clone(),
            unique_id: run_id.to_owned(),
            action: Action::Update,
            message: message.clone(),
            hint: None,
        });
        self.report.errors.push(ErrorRow {
            error_class: "finish".to_owned(),
            resource: self.destination.manifest.name.clone(),
            source_id: None,
            dest_id: None,
            attribute: None,
            message,
            hint: None,
            retry_count: 0,
            terminal: true,
        });
    }

    /// Sends a batch, once there is room for one more under way.
    async fn send(&mut self, batch: &mut Vec<Ready>) -> Result<(), EngineError> {
        let rows = std::mem::take(batch);
        let Some(first) = rows.first() else { return Ok(()) };
        let Some((_, spec)) = self.current.model.kind(&first.row.resource) else { return Ok(()) };
        let mapping = self.cx.project.schema_mapping.iter().find(|mapping| mapping.name == first.row.resource);
        let mut lines = String::with_capacity(rows.iter().map(|ready| ready.line.len() + 1).sum());
        for ready in &rows {
            lines.push_str(&ready.line);
            lines.push('\n');
        }
        let request = WriteRequest {
            kind: first.row.resource.clone(),
            resource: mapping.and_then(|mapping| mapping.mapping.clone()),
            operation: match first.row.action {
                Action::Create => Operation::Create,
                Action::Update => Operation::Update,
                Action::Delete => Operation::Delete,
            },
            identifiers: spec.identifiers.clone(),
            references: spec.fields.iter().filter(|field| field.reference.is_some()).map(|field| field.name.clone()).collect(),
            rows: lines,
            count: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        };
        while self.under_way.len() >= self.pace.width() {
            self.settle_first().await?;
        }
        if self.stops() {
            self.report.left += rows.len() as u64;
            return Ok(());
        }
        self.note_settled()?;
        self.journal.sent(rows.iter().map(|ready| ready.at))?;
        let session = self.destination.session.clone();
        let answer = tokio::spawn(async move {
            let begun = Instant::now();
            let answer = session.write(request).await;
            (answer, begun.elapsed())
        });
        self.under_way.push_back(UnderWay { rows, answer });
        Ok(())
    }

    /// Waits for all batches under way.
    async fn settle(&mut self) -> Result<(), EngineError> {
        while !self.under_way.is_empty() {
            self.settle_first().await?;
        }
        Ok(())
    }

    /// Waits for the batch that was sent first and takes its answers.
    async fn settle_first(&mut self) -> Result<(), EngineError> {
        let Some(UnderWay { rows, answer }) = self.under_way.pop_front() else { return Ok(()) };
        let (answer, took) = answer.await.map_err(|panic| EngineError::Internal(format!("a writing task ended early: {panic}")))?;
        if let Some(first) = rows.first() {
            let what = format!("{} {}", first.row.action.as_str(), first.row.resource);
            self.pace.answered(&what, rows.len(), took, self.destination.session.traffic().repeated);
        }
        for ready in &rows {
            match ready.row.action {
                Action::Create => drop(self.unanswered.remove(&kind_and_key(&ready.row.resource, &ready.key))),
                Action::Delete => {
                    for peer in &ready.peers {
                        if let Some(count) = self.deleting.get_mut(peer) {
                            *count = count.saturating_sub(1);
                        }
                    }
                }
                Action::Update => {}
            }
        }
        match answer {
            Ok(outcomes) => {
                for (ready, outcome) in rows.into_iter().zip(outcomes) {
                    self.take(ready, outcome);
                }
                self.note_settled()
            }
            Err(error) => {
                // Nothing is known about any row of it: each is told as failed, and what depends on it is skipped.
                let message = format!("the batch failed as a whole, it is not known what was written: {error}");
                for ready in rows {
                    self.not_written(&ready.row, &ready.key, ready.peers);
                    self.fail(
                        ready.at,
                        &ready.row,
                        message.clone(),
                        Some("run `infrahub-sync diff` to see what is left to do".to_owned()),
                        "batch",
                    );
                }
                if error.fault_kind() == infrahub_sync_runtime::FaultKind::Remote {
                    return Ok(());
                }
                // The others were sent, and what became of them is known only when they are answered.
                for other in std::mem::take(&mut self.under_way) {
                    if let Ok((Ok(outcomes), _)) = other.answer.await {
                        for (ready, outcome) in other.rows.into_iter().zip(outcomes) {
                            self.take(ready, outcome);
                        }
                    }
                }
                self.note_settled()?;
                Err(error.into())
            }
        }
    }

    fn take(&mut self, ready: Ready, outcome: Outcome) {
        let Ready { at, row, key, peers, .. } = ready;
        let mut learn = |id: &Option<String>| {
            if let (Action::Create, Some(id)) = (row.action, id) {
                self.ids.insert(kind_and_key(&row.resource, &key), id.clone());
            }
        };
        match outcome {
            Outcome::Written(id) => {
                learn(&id);
                self.settled.push((at, RowState::Done, id.filter(|_| row.action == Action::Create)));
                self.count(&row);
            }
            Outcome::Staged => self.staged.push(Staged { at, row, key, peers }),
            Outcome::Unchanged(id) => {
                learn(&id);
                self.settled.push((at, RowState::Unchanged, id.filter(|_| row.action == Action::Create)));
                self.report.unchanged += 1;
                self.of_kind(&row).unchanged += 1;
                self.tell(&row);
            }
            Outcome::Failed(failure) => {
                self.not_written(&row, &key, peers);
                self.settled.push((at, RowState::Failed, None));
                self.fail(at, &row, failure.to_string(), None, failure.kind.as_str());
            }
        }
    }

    /// Waits for what is under way, and makes staged rows durable; only then are they counted as done.
    async fn commit(&mut self) -> Result<(), EngineError> {
        self.settle().await?;
        let mut staged = std::mem::take(&mut self.staged);
        let mut kinds: Vec<String> = Vec::new();
        for Staged { row, .. } in &staged {
            if kinds.last() != Some(&row.resource) && !kinds.contains(&row.resource) {
                kinds.push(row.resource.clone());
            }
        }
        for kind in kinds {
            let result = self.destination.session.commit(std::slice::from_ref(&kind)).await;
            for Staged { at, row, key, peers } in staged.extract_if(.., |staged| staged.row.resource == kind) {
                match &result {
                    Ok(()) => {
                        self.settled.push((at, RowState::Done, None));
                        self.count(&row);
                    }
                    Err(error) => {
                        self.not_written(&row, &key, peers);
                        self.settled.push((at, RowState::Failed, None));
                        self.fail(at, &row, format!("could not be made durable: {error}"), None, "commit");
                    }
                }
            }
        }
        self.note_settled()
    }
}
