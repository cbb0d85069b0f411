//! Writes an approved plan: row by row into batches, batches to the adapter, its answers into a report.
//!
//! Rows go in the plan's order. A batch is cut where the kind, the operation or the tier changes, and where a row needs the id of
//! an object that the same batch creates. A row whose peer could not be created is skipped and says which one it waits for.

use std::collections::{HashMap, HashSet};

use infrahub_sync_cache::{ErrorRow, RunReader};
use infrahub_sync_core::guardrail::ApprovedPlan;
use infrahub_sync_core::key::{self, Part};
use infrahub_sync_core::model::Model;
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_core::snapshot::{FieldColumn, Held, Snapshot};
use infrahub_sync_core::value::ValueColumn;
use infrahub_sync_runtime::{Operation, Outcome, WriteRequest};
use serde_json::{Map, Value, json};

use crate::load::Opened;
use crate::{EngineError, Failure, RunContext};

/// Failures that are told by name on the screen; all of them are in errors.parquet.
const FAILURES_SHOWN: usize = 100;

/// What the destination holds, as far as the run knows.
pub(crate) struct Current<'s> {
    pub(crate) model: &'s Model,
    pub(crate) snapshot: &'s Snapshot,
    /// The plan was made from this very snapshot: no row can be there already.
    pub(crate) fresh: bool,
}

/// What became of the rows.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    pub(crate) unchanged: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) failures: Vec<Failure>,
    pub(crate) errors: Vec<ErrorRow>,
}

/// A row on its way.
struct Ready {
    row: PlanRow,
    key: String,
    line: String,
}

/// Applies. `errors` are rows for errors.parquet that were found before.
///
/// # Errors
/// When the plan cannot be read or the adapter fails as a whole. Refused rows are no error: they are in the report.
pub(crate) async fn apply_plan(
    cx: &RunContext<'_>,
    destination: &Opened,
    current: &Current<'_>,
    plan: &ApprovedPlan<RunReader>,
    errors: Vec<ErrorRow>,
) -> Result<Report, EngineError> {
    let mut writer = Writer {
        cx,
        destination,
        current,
        ids: HashMap::new(),
        failed: HashSet::new(),
        totals: HashMap::new(),
        done: HashMap::new(),
        staged: Vec::new(),
        report: Report { errors, ..Report::default() },
    };
    for row in plan.plan().read_plan()? {
        *writer.totals.entry(row?.resource).or_default() += 1;
    }
    destination.session.begin().await?;
    let mut batch: Vec<Ready> = Vec::new();
    let mut created_here: HashSet<String> = HashSet::new();
    let mut number = 0;
    let mut step: Option<(u32, u32, bool)> = None;
    for row in plan.plan().read_plan()? {
        number += 1;
        let row = row?;
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
        let cut = batch.first().is_some_and(|first| first.row.resource != row.resource || first.row.action != row.action)
            || batch.len() >= destination.manifest.write_batch_max.max(1) as usize
            || step.is_some_and(|before| before != now)
            || (destination.manifest.has_ids && peers_of(&peers).any(|(_, peer)| created_here.contains(&peer)));
        if cut {
            writer.send(&mut batch).await?;
            created_here.clear();
        }
        if step.is_some_and(|before| before != now) {
            writer.commit().await?;
        }
        step = Some(now);
        if let Some(ready) = writer.prepare(row, key, &peers, number)? {
            if ready.row.action == Action::Create {
                created_here.insert(kind_and_key(&ready.row.resource, &ready.key));
            }
            batch.push(ready);
        }
    }
    writer.send(&mut batch).await?;
    writer.commit().await?;
    // Kinds without changes are named too: their empty collections shall exist.
    let all: Vec<String> = current.model.kinds.iter().map(|kind| kind.name.clone()).collect();
    destination.session.commit(&all).await?;
    destination.session.finish()?;
    Ok(writer.report)
}

fn kind_and_key(kind: &str, key: &str) -> String {
    format!("{kind}\u{2}{key}")
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
    staged: Vec<PlanRow>,
    report: Report,
}

impl Writer<'_> {
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
    fn prepare(&mut self, mut row: PlanRow, key: String, peers: &Map<String, Value>, number: u64) -> Result<Option<Ready>, EngineError> {
        if row.skip_reason.is_some() {
            self.skip(&row, row.skip_reason.clone().unwrap_or_default());
            return Ok(None);
        }
        let Some((kind, spec)) = self.current.model.kind(&row.resource) else {
            return Err(EngineError::PlanRow { row: number, reason: format!("its kind `{}` is not in the model", row.resource) });
        };
        let own = kind_and_key(&row.resource, &key);
        if self.failed.contains(&own) {
            self.skip(&row, "it could not be created".to_owned());
            return Ok(None);
        }
        if let Some((field, _)) = peers_of(peers).find(|(_, peer)| self.failed.contains(peer)) {
            let waits = format!("`{field}` refers to an object that could not be created");
            if row.action == Action::Create {
                self.failed.insert(own);
            }
            self.skip(&row, waits);
            return Ok(None);
        }
        let fields: Map<String, Value> = match &row.new_value {
            Some(new) => serde_json::from_str(new)
                .map_err(|error| EngineError::PlanRow { row: number, reason: format!("its new value: {error}") })?,
            None => Map::new(),
        };
        let there = self.row_of(kind, &key);
        if !self.current.fresh {
            match (row.action, there) {
                (Action::Delete, None) => return Ok(self.there_already(&row)),
                (Action::Create | Action::Update, Some(at)) if self.holds(kind, at, &fields, peers) => return Ok(self.there_already(&row)),
                // Somebody made it meanwhile, but different: what is wanted is written over it, nothing is made twice.
                (Action::Create, Some(_)) => row.action = Action::Update,
                (Action::Update, None) if row.pass == 0 => {
                    self.fail(
                        &row,
                        "the object is not in the destination any more".to_owned(),
                        Some("make a new plan with `infrahub-sync diff`".to_owned()),
                        "not_found",
                    );
                    return Ok(None);
                }
                _ => {}
            }
        }
        if row.action != Action::Create {
            row.dest_id = self.id_of(&row.resource, &key).or(row.dest_id);
        }
        let mut line = Map::new();
        line.insert("key".to_owned(), self.key_fields(kind, &key));
        if let Some(id) = &row.dest_id {
            line.insert("id".to_owned(), json!(id));
        }
        let mut out = Map::new();
        for (name, value) in fields {
            let reference = spec.fields.iter().any(|field| field.name == name && field.reference.is_some());
            let value = match (reference, peers.get(&name)) {
                (false, _) => value,
                (true, Some(Value::Array(items))) => items.iter().filter_map(|peer| self.peer(peer)).collect(),
                (true, Some(peer)) => self.peer(peer).unwrap_or(Value::Null),
                (true, None) => Value::Null,
            };
            out.insert(name, value);
        }
        line.insert("fields".to_owned(), Value::Object(out));
        Ok(Some(Ready { row, key, line: Value::Object(line).to_string() }))
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
                    values.same(at, &column, 0)
                }
                Some(FieldColumn::Peers(column)) => {
                    let mut wanted: Vec<Option<u32>> = match peers.get(name) {
                        None | Some(Value::Null) => Vec::new(),
                        Some(Value::Array(items)) => items.iter().map(|peer| self.peer_row(peer)).collect(),
                        Some(peer) => vec![self.peer_row(peer)],
                    };
                    wanted.sort_unstable();
                    let (held, rows) = column.get(at);
                    held != Held::Unresolved
                        && rows.len() == wanted.len()
                        && rows.iter().zip(&wanted).all(|(row, wanted)| Some(*row) == *wanted)
                }
                None => false,
            }
        })
    }

    fn peer_row(&self, peer: &Value) -> Option<u32> {
        let (kind, _) = self.current.model.kind(peer.get("kind")?.as_str()?)?;
        self.row_of(kind, &key::key_from_json(peer.get("key")?)?).and_then(|row| u32::try_from(row).ok())
    }

    /// A peer as the adapter gets it: its identifiers, and its id where it has one.
    fn peer(&self, peer: &Value) -> Option<Value> {
        let name = peer.get("kind")?.as_str()?;
        let (kind, _) = self.current.model.kind(name)?;
        let key = key::key_from_json(peer.get("key")?)?;
        let mut out = json!({ "key": self.key_fields(kind, &key) });
        let id = self.id_of(name, &key).or_else(|| Some(peer.get("id")?.as_str()?.to_owned()));
        if let (Some(id), Some(out)) = (id, out.as_object_mut()) {
            out.insert("id".to_owned(), json!(id));
        }
        Some(out)
    }

    /// A key as the adapter gets it: identifier to value, a peer as the object of its own identifiers.
    fn key_fields(&self, kind: usize, key: &str) -> Value {
        let mut out = Map::new();
        if let Some(spec) = self.current.model.kinds.get(kind) {
            for (name, part) in spec.identifiers.iter().zip(key::parts(key)) {
                let value = match part {
                    Part::Value(tag, text) => infrahub_sync_core::value::value_json(tag, &text),
                    Part::Peer(peer) => {
                        let kind = spec.fields.iter().find(|field| field.name == *name).and_then(|field| field.reference.as_ref());
                        kind.and_then(|kind| self.current.model.kind(kind)).map_or(Value::Null, |(kind, _)| self.key_fields(kind, &peer))
                    }
                };
                out.insert(name.clone(), value);
            }
        }
        Value::Object(out)
    }

    fn there_already(&mut self, row: &PlanRow) -> Option<Ready> {
        self.report.unchanged += 1;
        self.tell(row);
        None
    }

    fn tell(&mut self, row: &PlanRow) {
        let done = self.done.entry(row.resource.clone()).or_default();
        *done += 1;
        self.cx.events.writing(&row.resource, *done, self.totals.get(&row.resource).copied().unwrap_or(*done));
    }

    fn count(&mut self, row: &PlanRow) {
        match row.action {
            // The second pass finishes an object that was counted before.
            _ if row.pass > 0 => {}
            Action::Create => self.report.created += 1,
            Action::Update => self.report.updated += 1,
            Action::Delete => self.report.deleted += 1,
        }
        self.tell(row);
    }

    fn fail(&mut self, row: &PlanRow, message: String, hint: Option<String>, class: &str) {
        self.report.failed += 1;
        self.note(row, message, hint, class);
    }

    fn skip(&mut self, row: &PlanRow, reason: String) {
        self.report.skipped += 1;
        self.note(row, format!("skipped: {reason}"), None, "skipped");
    }

    fn note(&mut self, row: &PlanRow, message: String, hint: Option<String>, class: &str) {
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
            retry_count: 0,
            terminal: true,
        });
        self.tell(row);
    }

    /// Sends a batch and takes the answers.
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
        match self.destination.session.write(request).await {
            Ok(outcomes) => {
                for (ready, outcome) in rows.into_iter().zip(outcomes) {
                    self.take(ready, outcome);
                }
            }
            Err(error) => {
                // Nothing is known about any row of it: each is told as failed, and what depends on it is skipped.
                let message = format!("the batch failed as a whole, it is not known what was written: {error}");
                for ready in rows {
                    if ready.row.action == Action::Create {
                        self.failed.insert(kind_and_key(&ready.row.resource, &ready.key));
                    }
                    self.fail(&ready.row, message.clone(), Some("run `infrahub-sync diff` to see what is left to do".to_owned()), "batch");
                }
                if error.fault_kind() != infrahub_sync_runtime::FaultKind::Remote {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, ready: Ready, outcome: Outcome) {
        let Ready { row, key, .. } = ready;
        match outcome {
            Outcome::Written(id) => {
                if let (Action::Create, Some(id)) = (row.action, id) {
                    self.ids.insert(kind_and_key(&row.resource, &key), id);
                }
                self.count(&row);
            }
            Outcome::Staged => self.staged.push(row),
            Outcome::Unchanged(id) => {
                if let (Action::Create, Some(id)) = (row.action, id) {
                    self.ids.insert(kind_and_key(&row.resource, &key), id);
                }
                self.report.unchanged += 1;
                self.tell(&row);
            }
            Outcome::Failed(failure) => {
                if row.action == Action::Create {
                    self.failed.insert(kind_and_key(&row.resource, &key));
                }
                self.fail(&row, failure.to_string(), None, failure.kind.as_str());
            }
        }
    }

    /// Makes staged rows durable; only then are they counted as done.
    async fn commit(&mut self) -> Result<(), EngineError> {
        let staged = std::mem::take(&mut self.staged);
        let mut kinds: Vec<String> = Vec::new();
        for row in &staged {
            if kinds.last() != Some(&row.resource) && !kinds.contains(&row.resource) {
                kinds.push(row.resource.clone());
            }
        }
        for kind in kinds {
            let result = self.destination.session.commit(std::slice::from_ref(&kind)).await;
            for row in staged.iter().filter(|row| row.resource == kind) {
                match &result {
                    Ok(()) => self.count(row),
                    Err(error) => self.fail(row, format!("could not be made durable: {error}"), None, "commit"),
                }
            }
        }
        Ok(())
    }
}
