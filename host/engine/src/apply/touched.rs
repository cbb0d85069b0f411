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

use super::Current;
use crate::pages::{Ended, Flow, Pages, Place, unchecked};
use crate::plans::{ResourcePlan, Terms, destination_plans};
use crate::system::System;
use crate::{EngineError, Side};

/// The objects of one kind that changed, list by list: ids are unique within a list.
pub(super) struct Touched(Vec<InList>);

struct InList {
    /// None where the kind has one list.
    resource: Option<String>,
    /// The row of each id.
    rows: HashMap<String, usize>,
    raw: RawKind,
    /// These are all objects of the list, not only those that changed.
    is_all: bool,
}

impl Touched {
    /// Asks for them; for all objects, where the destination cannot list what changed since.
    ///
    /// # Errors
    /// When the destination cannot be read.
    pub(super) async fn read(
        system: &Arc<dyn System>,
        current: &Current<'_>,
        kind: usize,
        since: Option<&str>,
    ) -> Result<Touched, EngineError> {
        let rules = Terms::new(Side::Destination, system.manifest()).rules;
        let mut lists = Vec::new();
        for plan in destination_plans(current.model, current.targets, &rules) {
            if !plan.kinds().contains(&kind) {
                continue;
            }
            let plan = Arc::new(plan);
            let changed = match since {
                Some(since) => InList::read(system, current, kind, &plan, Some(since)).await?,
                None => None,
            };
            match changed {
                Some(list) => lists.push(list),
                None => lists.extend(InList::read(system, current, kind, &plan, None).await?),
            }
        }
        Ok(Touched(lists))
    }

    /// Returns what is known now about the object of a change, which is at row `at` of the snapshot.
    pub(super) fn now(&self, model: &Model, snapshot: &Snapshot, change: &Change, at: usize) -> Now {
        let Some(rows) = snapshot.kinds.get(change.object.kind) else { return Now::AsPlanned };
        let (id, resource) = (rows.id(at).unwrap_or_default(), rows.resources.get(at));
        let Some(list) = self.0.iter().find(|list| list.resource.is_none() || list.resource.as_deref() == resource) else {
            return Now::AsPlanned;
        };
        match list.rows.get(id) {
            Some(row) => by_id(model, snapshot, change, at, &list.raw, *row),
            None if list.is_all && !id.is_empty() => Now::Absent,
            None => Now::AsPlanned,
        }
    }
}

impl InList {
    /// Returns none where the destination cannot list what changed.
    async fn read(
        system: &Arc<dyn System>,
        current: &Current<'_>,
        kind: usize,
        plan: &Arc<ResourcePlan>,
        since: Option<&str>,
    ) -> Result<Option<InList>, EngineError> {
        let mut request = plan.request(system.manifest().page_size);
        request.since = since.map(str::to_owned);
        let shared = plan.clone();
        let take = move |into: &mut Vec<RawKind>, place: &Place, payload: Payload| -> Flow {
            let records = place.records(shared.projection(), payload)?;
            shared.append(&records, into)?;
            Ok(ControlFlow::Continue(()))
        };
        let pages = Pages::new(system.clone(), Side::Destination, request);
        let Ended::Read(mut header, rows) = pages.read(|| plan.empty(), take, |_, _| (), unchecked).await? else { return Ok(None) };
        let part = plan.parts(rows).into_iter().find(|part| part.kind == kind);
        let mut raw = part.map(|part| part.rows).unwrap_or_default();
        if let Some(spec) = current.model.kinds.get(kind) {
            for (field, column) in spec.fields.iter().zip(&mut raw.columns).filter(|(field, _)| field.reference.is_none()) {
                *column = std::mem::take(column).coerced(field.field_type);
            }
        }
        let known = (0..raw.rows).filter(|row| raw.ids.tag(*row) != Tag::Null);
        let rows: HashMap<String, usize> = known.map(|row| (raw.ids.text(row).to_owned(), row)).collect();
        // An object without an id cannot be missed, nor one that the system does not list.
        let is_all = since.is_none() && header.doubt().is_none() && rows.len() == raw.rows;
        let resource = current.targets.are_several(kind).then(|| plan.resource.clone());
        Ok(Some(InList { resource, rows, raw, is_all }))
    }
}
