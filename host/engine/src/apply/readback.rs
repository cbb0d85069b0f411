//! Objects of the destination as they are now: all of a list, those that changed since a moment, or those with given ids.
//!
//! Three stages read back. Before the first write, the objects that other users modified since the load ([`touched`](super::touched)). After a lost
//! answer, the rows of a batch ([`recover`](super::recover)). A stage that wants to know what a write has done asks here as well: [`ReadBack::of_ids`],
//! and compares with [`Wanted`](infrahub_sync_core::wanted::Wanted).

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::value::Tag;
use infrahub_sync_runtime::{LoadRequest, Payload};

use super::Current;
use crate::pages::{Ended, Flow, Header, Pages, Place};
use crate::plans::{ResourcePlan, Terms, destination_plans};
use crate::reread::repeated;
use crate::system::System;
use crate::{EngineError, Side};

/// Ids in one request. Adapters put them into addresses, whose length servers limit.
const IDS_MAX: usize = 100;

/// Objects of one kind in one list: ids are unique within a list.
pub(crate) struct ReadBack {
    /// None where the kind has one list.
    pub(crate) resource: Option<String>,
    /// The row of each id.
    pub(crate) rows: HashMap<String, usize>,
    pub(crate) raw: RawKind,
    /// These are all objects that were asked for: one that is not among them does not exist.
    pub(crate) is_all: bool,
}

impl ReadBack {
    /// Reads a list, or what changed in it since. None where the destination cannot list what changed.
    ///
    /// # Errors
    /// When the destination cannot be read.
    pub(crate) async fn of_list(
        system: &Arc<dyn System>,
        current: &Current<'_>,
        kind: usize,
        plan: &Arc<ResourcePlan>,
        since: Option<&str>,
    ) -> Result<Option<ReadBack>, EngineError> {
        let mut request = plan.request(system.manifest().page_size);
        request.since = since.map(str::to_owned);
        let Some((mut header, raw)) = read(system, current, kind, plan, request).await? else { return Ok(None) };
        let is_whole = since.is_none() && header.doubt().is_none();
        Ok(Some(ReadBack::new(current, kind, plan, raw, is_whole)))
    }

    /// Reads the objects of a kind with these ids. None where the adapter cannot limit a read to ids.
    ///
    /// # Errors
    /// When the destination cannot be read.
    pub(crate) async fn of_ids(
        system: &Arc<dyn System>,
        current: &Current<'_>,
        kind: usize,
        resource: Option<&str>,
        ids: &[String],
    ) -> Result<Option<ReadBack>, EngineError> {
        let Some(plan) = plan_of(system, current, kind, resource).filter(|_| system.manifest().reads_ids) else { return Ok(None) };
        let mut all: Option<ReadBack> = None;
        for ids in ids.chunks(IDS_MAX) {
            let request = LoadRequest { ids: ids.to_vec(), ..plan.request(system.manifest().page_size) };
            let Some((mut header, raw)) = read(system, current, kind, &plan, request).await? else { return Ok(None) };
            let is_whole = header.doubt().is_none();
            all = Some(match all {
                None => ReadBack::new(current, kind, &plan, raw, is_whole),
                Some(mut before) => {
                    before.raw.merge(raw).map_err(|error| EngineError::Internal(error.to_string()))?;
                    ReadBack::new(current, kind, &plan, before.raw, before.is_all && is_whole)
                }
            });
        }
        Ok(all)
    }

    fn new(current: &Current<'_>, kind: usize, plan: &ResourcePlan, raw: RawKind, is_whole: bool) -> ReadBack {
        let known = (0..raw.rows).filter(|row| raw.ids.tag(*row) != Tag::Null);
        let rows: HashMap<String, usize> = known.map(|row| (raw.ids.text(row).to_owned(), row)).collect();
        // An object without an id cannot be missed.
        let is_all = is_whole && rows.len() == raw.rows;
        let resource = current.targets.are_several(kind).then(|| plan.resource.clone());
        ReadBack { resource, rows, raw, is_all }
    }

    /// Returns the id of a row.
    pub(crate) fn id(&self, row: usize) -> Option<&str> {
        (row < self.raw.rows && self.raw.ids.tag(row) != Tag::Null).then(|| self.raw.ids.text(row))
    }
}

/// Returns how a list of a kind is read.
pub(crate) fn plan_of(system: &Arc<dyn System>, current: &Current<'_>, kind: usize, resource: Option<&str>) -> Option<Arc<ResourcePlan>> {
    let rules = Terms::new(Side::Destination, system.manifest()).rules;
    let target = current.targets.of(kind, resource)?;
    let list = target.resource.as_ref().unwrap_or(&target.kind);
    let mut plans = destination_plans(current.model, current.targets, &rules, false).into_iter();
    plans.find(|plan| plan.resource == *list && plan.kinds().contains(&kind)).map(Arc::new)
}

/// Reads a list as the rows of one kind, values in the types of its fields.
async fn read(
    system: &Arc<dyn System>,
    current: &Current<'_>,
    kind: usize,
    plan: &Arc<ResourcePlan>,
    request: LoadRequest,
) -> Result<Option<(Header, RawKind)>, EngineError> {
    let shared = plan.clone();
    let take = move |into: &mut Vec<RawKind>, place: &Place, payload: Payload| -> Flow {
        let records = place.records(shared.projection(), payload)?;
        shared.append(&records, into)?;
        Ok(ControlFlow::Continue(()))
    };
    // A list that is shorter than its total does not prove that an object is missing. The total of a limited read may be of the list or of the answer.
    let is_limited = request.since.is_some() || !request.ids.is_empty();
    let check = |header: &Header, rows: &Vec<RawKind>| {
        let records = rows.first().map_or(0, |rows| rows.census.read().saturating_sub(repeated(rows)));
        let total = header.total.filter(|total| !is_limited && *total != records)?;
        Some(format!("the list `{}` reports {total} objects and returned {records}", plan.resource))
    };
    let pages = Pages::new(system.clone(), Side::Destination, request);
    let Ended::Read(header, rows) = pages.read(|| plan.empty(), take, |_, _, _| (), check).await? else { return Ok(None) };
    let part = plan.parts(rows).into_iter().find(|part| part.kind == kind);
    let mut raw = part.map(|part| part.rows).unwrap_or_default();
    if let Some(spec) = current.model.kinds.get(kind) {
        for (field, column) in spec.fields.iter().zip(&mut raw.columns).filter(|(field, _)| field.reference.is_none()) {
            *column = std::mem::take(column).coerced(field.field_type);
        }
    }
    Ok(Some((header, raw)))
}
