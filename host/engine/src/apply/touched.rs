//! The changes of other users in the destination since it was read. They are requested right before the first write.
//!
//! A plan that is applied at once was made minutes ago. Where the destination can list what changed since it was read, the kinds that are updated
//! or deleted are asked for their changes, and only those rows are read. Where it cannot, those kinds are read again. That happens before
//! anything is written, so that the run does not see its own writes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use infrahub_sync_core::change::Change;
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::reconcile::{Now, by_id};
use infrahub_sync_core::snapshot::Snapshot;
use infrahub_sync_core::value::Tag;
use infrahub_sync_runtime::Payload;

use crate::pages::{Ended, Flow, Pages, Place};
use crate::plans::{ResourcePlan, destination_plans};
use crate::system::System;
use crate::{EngineError, Side};

/// The objects of one kind that changed.
#[derive(Default)]
pub(super) struct Touched {
    /// The row of each id.
    rows: HashMap<String, usize>,
    raw: RawKind,
    /// These are all objects of the kind, not only those that changed.
    is_all: bool,
}

impl Touched {
    /// Asks for them; for all objects, where the destination cannot list what changed since.
    ///
    /// # Errors
    /// When the destination cannot be read.
    pub(super) async fn read(system: &Arc<dyn System>, model: &Model, kind: usize, since: Option<&str>) -> Result<Touched, EngineError> {
        let Some(plan) = destination_plans(model).into_iter().nth(kind) else { return Ok(Touched::default()) };
        if let Some(since) = since
            && let Some(touched) = Self::read_plan(system, model, kind, &plan, Some(since)).await?
        {
            return Ok(touched);
        }
        Ok(Self::read_plan(system, model, kind, &plan, None).await?.unwrap_or_default())
    }

    /// Returns none where the destination cannot list what changed.
    async fn read_plan(
        system: &Arc<dyn System>,
        model: &Model,
        kind: usize,
        plan: &Arc<ResourcePlan>,
        since: Option<&str>,
    ) -> Result<Option<Touched>, EngineError> {
        let mut request = plan.request(Side::Destination, model, system.manifest().page_size);
        request.since = since.map(str::to_owned);
        let shared = plan.clone();
        let take = move |into: &mut Vec<RawKind>, place: &Place, payload: Payload| -> Flow {
            let records = place.records(shared.projection(), payload)?;
            shared.append(&records, into)?;
            Ok(ControlFlow::Continue(()))
        };
        let pages = Pages::new(system.clone(), Side::Destination, request);
        let Ended::Read(_, rows) = pages.read(plan.empty(), take, |_, _| ()).await? else { return Ok(None) };
        let mut raw = rows.into_iter().next().unwrap_or_default();
        if let Some(spec) = model.kinds.get(kind) {
            for (field, column) in spec.fields.iter().zip(&mut raw.columns).filter(|(field, _)| field.reference.is_none()) {
                *column = std::mem::take(column).coerced(field.field_type);
            }
        }
        let known = (0..raw.rows).filter(|row| raw.ids.tag(*row) != Tag::Null);
        let rows: HashMap<String, usize> = known.map(|row| (raw.ids.text(row).to_owned(), row)).collect();
        // An object without an id cannot be missed.
        let is_all = since.is_none() && rows.len() == raw.rows;
        Ok(Some(Touched { rows, raw, is_all }))
    }

    /// Returns what is known now about the object of a change, which is at row `at` of the snapshot.
    pub(super) fn now(&self, model: &Model, snapshot: &Snapshot, change: &Change, at: usize) -> Now {
        let id = snapshot.kinds.get(change.object.kind).and_then(|rows| rows.id(at)).unwrap_or_default();
        match self.rows.get(id) {
            Some(row) => by_id(model, snapshot, change, at, &self.raw, *row),
            None if self.is_all && !id.is_empty() => Now::Absent,
            None => Now::AsPlanned,
        }
    }
}
