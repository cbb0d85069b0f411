//! The changes of other users in the destination since it was read. They are requested right before the first write.
//!
//! A plan that is applied at once was made minutes ago. Where the destination can list what changed since it was read, the kinds that are updated
//! or deleted are asked for their changes, and only those rows are read. Where it cannot, those kinds are read again. That happens before
//! anything is written, so that the run does not see its own writes.

use std::sync::Arc;

use infrahub_sync_core::change::Change;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::reconcile::{Now, by_id};
use infrahub_sync_core::snapshot::Snapshot;

use super::Current;
use super::readback::ReadBack;
use crate::plans::{Terms, destination_plans};
use crate::system::System;
use crate::{EngineError, Side};

/// The objects of one kind that changed, list by list: ids are unique within a list.
pub(super) struct Touched(Vec<ReadBack>);

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
        for plan in destination_plans(current.model, current.targets, &rules, false) {
            if !plan.kinds().contains(&kind) {
                continue;
            }
            let plan = Arc::new(plan);
            let changed = match since {
                Some(since) => ReadBack::of_list(system, current, kind, &plan, Some(since)).await?,
                None => None,
            };
            match changed {
                Some(list) => lists.push(list),
                None => lists.extend(ReadBack::of_list(system, current, kind, &plan, None).await?),
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
