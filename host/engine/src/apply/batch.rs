//! Rows on their way: as lines of a request, and the batches in flight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use infrahub_sync_core::change::{Change, OutsideRef, PeerRef, PeerRefs};
use infrahub_sync_core::model::{FieldModel, Model};
use infrahub_sync_core::plan_row::Action;
use infrahub_sync_core::restore::key_object;
use infrahub_sync_runtime::{Operation, Outcome, WriteRequest};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use super::Row;
use super::known::Known;
use super::pace::Pace;
use crate::EngineError;
use crate::system::System;
use crate::targets::Targets;

/// Rows that are ready to be sent together: of one kind, one resource and one operation.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
}

impl Batch {
    /// Returns whether a change can be in the batch, whose size is limited to `max`.
    pub(super) fn takes(&self, change: &Change, max: usize) -> bool {
        let alike = |first: &Row| first.change.object.kind == change.object.kind && first.change.resource == change.resource;
        self.rows.len() < max && self.rows.first().is_none_or(alike)
    }

    /// Returns whether the rows of the batch are to be written in this way.
    pub(super) fn is_of(&self, action: Action) -> bool {
        self.rows.first().is_none_or(|first| first.change.action == action)
    }

    /// Returns the rows and the request that writes them; none without rows.
    ///
    /// # Errors
    /// When the place of the rows in the destination is unknown.
    pub(super) fn take(&mut self, targets: &Targets) -> Result<Option<(Vec<Row>, WriteRequest)>, EngineError> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(None);
        }
        let request = request(&rows, targets)?;
        Ok(Some((rows, request)))
    }
}

/// Returns the request that writes rows: of one kind, one resource and one operation.
///
/// # Errors
/// When the place of the rows in the destination is unknown.
pub(super) fn request(rows: &[Row], targets: &Targets) -> Result<WriteRequest, EngineError> {
    let Some(Row { at, change, .. }) = rows.first() else { return Err(EngineError::Internal("a batch without rows".to_owned())) };
    let target = targets.of(change.object.kind, change.resource.as_deref());
    let target = target.ok_or_else(|| EngineError::PlanRow {
        row: at + 1,
        reason: match &change.resource {
            Some(resource) => format!("no mapping of `{}` leads to `{resource}`", change.kind),
            None => format!("it does not say which resource of `{}` it is written to", change.kind),
        },
    })?;
    let mut lines = String::with_capacity(rows.iter().map(|row| row.line.len() + 1).sum());
    for row in rows {
        lines.push_str(&row.line);
        lines.push('\n');
    }
    Ok(WriteRequest {
        target: target.clone(),
        operation: match change.action {
            Action::Create => Operation::Create,
            Action::Update => Operation::Update,
            Action::Delete => Operation::Delete,
        },
        rows: lines,
        count: u32::try_from(rows.len()).unwrap_or(u32::MAX),
    })
}

/// Writes a change as a line of a request: `{"key": {…}, "id": "…", "fields": {…}}`. Takes the values out of the change.
pub(super) fn line(change: &mut Change, model: &Model, known: &Known<'_>) -> String {
    let new = std::mem::take(&mut change.new);
    change.old.clear();
    let change = &*change;
    let mut line = Map::new();
    line.insert("key".to_owned(), key_object(model, change.object.kind, &change.object.key));
    if let Some(id) = &change.id {
        line.insert("id".to_owned(), json!(id));
    }
    let reference = |name: &str| {
        let fields = &model.kinds.get(change.object.kind)?.fields;
        fields.iter().find(|field| field.name == name && field.reference.is_some())
    };
    let field = |(name, value): (String, Value)| {
        let value = match (reference(&name), change.peers.get(&name)) {
            (None, _) => value,
            (Some(field), Some(PeerRefs::Many(peers))) => {
                let ours = peers.iter().map(|peer| reference_json(peer, field, model, known));
                ours.chain(change.outside(&name).iter().map(outside_json)).collect()
            }
            (Some(field), Some(PeerRefs::One(Some(peer)))) => reference_json(peer, field, model, known),
            (Some(_), _) => Value::Null,
        };
        (name, value)
    };
    let fields = new.into_iter().map(field).collect();
    line.insert("fields".to_owned(), Value::Object(fields));
    Value::Object(line).to_string()
}

/// Returns a peer outside of the sync, as the adapter receives it: by id alone.
fn outside_json(peer: &OutsideRef) -> Value {
    let mut out = Map::new();
    if !peer.kind.is_empty() {
        out.insert("kind".to_owned(), json!(peer.kind));
    }
    out.insert("id".to_owned(), json!(peer.id));
    Value::Object(out)
}

/// Returns a peer as the adapter receives it: its identifiers, and its id where it has one.
///
/// Where the field may refer to several kinds these are there too, as `of`: a system without ids has to keep the kind, and needs it only then.
fn reference_json(peer: &PeerRef, field: &FieldModel, model: &Model, known: &Known<'_>) -> Value {
    let kind = model.kinds.get(peer.object.kind).map_or("", |kind| &kind.name);
    let mut out = Map::new();
    out.insert("kind".to_owned(), json!(kind));
    out.insert("key".to_owned(), key_object(model, peer.object.kind, &peer.object.key));
    if let Some(id) = known.id_of(&peer.object).or(peer.id.as_deref()) {
        out.insert("id".to_owned(), json!(id));
    }
    if let Some(resource) = known.resource_of(&peer.object) {
        out.insert("resource".to_owned(), json!(resource));
    }
    // Read back, `kind` beside identifiers means the kind only while no identifier has that name.
    let names_kind = |name: &str| model.kind(name).is_some_and(|(_, kind)| kind.identifiers.iter().any(|name| name == "kind"));
    if !field.also.is_empty() && !field.peers().any(names_kind) {
        out.insert("of".to_owned(), field.peers().collect());
    }
    Value::Object(out)
}

/// A batch that was answered.
pub(super) struct Answered {
    pub(super) rows: Vec<Row>,
    pub(super) answer: infrahub_sync_runtime::Result<Vec<Outcome>>,
    /// How long it was on its way.
    pub(super) took: Duration,
}

/// The batches in flight, in the order in which they were sent.
pub(super) struct Window {
    system: Arc<dyn System>,
    in_flight: VecDeque<InFlight>,
    pace: Pace,
}

struct InFlight {
    rows: Vec<Row>,
    /// With the time that it took.
    answer: JoinHandle<(infrahub_sync_runtime::Result<Vec<Outcome>>, Duration)>,
}

impl Window {
    /// Returns a window of at most `widest` batches, each of at most `largest` rows.
    pub(super) fn new(system: Arc<dyn System>, widest: usize, largest: u32) -> Window {
        let pace = Pace::new(widest, largest as usize, system.traffic().repeated);
        Window { system, in_flight: VecDeque::new(), pace }
    }

    pub(super) fn is_full(&self) -> bool {
        self.in_flight.len() >= self.pace.width()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Returns the rows that a batch may have now.
    pub(super) fn rows_max(&self) -> usize {
        self.pace.rows()
    }

    /// Makes batches smaller, because the answer to one of `rows` rows was lost. Returns the rows that a batch may have from now on.
    pub(super) fn shrink(&mut self, rows: usize) -> usize {
        self.pace.lost(rows);
        self.pace.rows()
    }

    /// Sends a batch.
    pub(super) fn send(&mut self, rows: Vec<Row>, request: WriteRequest) {
        let system = self.system.clone();
        let answer = tokio::spawn(async move {
            let begun = Instant::now();
            let answer = system.write(request).await;
            (answer, begun.elapsed())
        });
        self.in_flight.push_back(InFlight { rows, answer });
    }

    /// Waits for the batch that was sent first. Answers are taken in the order of the batches, so that the report does not depend on which one was
    /// quicker.
    pub(super) async fn first(&mut self) -> Result<Option<Answered>, EngineError> {
        let Some(InFlight { rows, answer }) = self.in_flight.pop_front() else { return Ok(None) };
        let (answer, took) = answer.await.map_err(|panic| EngineError::Internal(format!("a writing task ended early: {panic}")))?;
        if let (Some(Row { change, .. }), true) = (rows.first(), answer.is_ok()) {
            let what = format!("{} {}", change.action.as_str(), change.kind);
            self.pace.answered(&what, rows.len(), took, self.system.traffic().repeated);
        }
        Ok(Some(Answered { rows, answer, took }))
    }
}
