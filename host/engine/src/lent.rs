//! Reads what an adapter lends to transforms and look-ups: whole resources of its system, before the mappings that use them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use infrahub_sync_core::mapping::lent::{Lent, LentResource, Needs};
use infrahub_sync_core::records::Shape;
use infrahub_sync_runtime::{LoadRequest, Payload};

use crate::pages::{Ended, Flow, Header, Pages, Place};
use crate::plans::{ResourcePlan, Terms};
use crate::system::System;
use crate::tally::Tally;
use crate::{EngineError, Side};

/// Reads what the plans need of other resources, and lends it to them. A plan that is lent records which may not be all remembers why: what it makes
/// of its own records is not certain either.
///
/// # Errors
/// When a resource cannot be read.
pub(crate) async fn lend(
    side: Side,
    system: &Arc<dyn System>,
    mut plans: Vec<ResourcePlan>,
) -> Result<Vec<Arc<ResourcePlan>>, EngineError> {
    let mut needs = Needs::default();
    plans.iter().for_each(|plan| needs.merge(plan.needs()));
    if !needs.is_empty() {
        let (mut resources, mut doubts) = (Vec::new(), BTreeMap::new());
        for resource in needs.resources() {
            let name = resource.name().to_owned();
            let (resource, doubt) = read(side, system, resource).await?;
            resources.push(resource);
            doubts.extend(doubt.map(|doubt| (name, doubt)));
        }
        let lends = Terms::new(side, system.manifest()).lends.unwrap_or_default();
        let lent = Arc::new(Lent::new(&lends, resources));
        plans.iter_mut().for_each(|plan| plan.lend(&lent, &doubts));
    }
    Ok(plans.into_iter().map(Arc::new).collect())
}

/// A lent resource as it was read so far.
struct Reading {
    resource: LentResource,
    tally: Tally,
}

/// Reads a resource. Also returns why its records may not be all.
async fn read(side: Side, system: &Arc<dyn System>, resource: LentResource) -> Result<(LentResource, Option<String>), EngineError> {
    let name = resource.name().to_owned();
    let fields = resource.projection().slots().iter().map(|(path, _)| path.clone()).collect();
    let page_size = system.manifest().page_size;
    let request = LoadRequest { resource: name.clone(), fields, page_size, ..LoadRequest::default() };
    let slots = resource.projection().slots();
    let id = slots.iter().position(|(path, shape)| path == "id" && *shape == Shape::Value);
    let take = {
        let name = name.clone();
        move |into: &mut Reading, place: &Place, payload: Payload| -> Flow {
            let records = place.records(into.resource.projection(), payload)?;
            into.tally.add(id.and_then(|id| records.columns.get(id)).filter(|ids| ids.len() == records.rows), &records);
            let too_large = |error| EngineError::Mapping {
                kind: String::new(),
                resource: name.clone(),
                source: infrahub_sync_core::mapping::feed::FeedError::TooLarge(error),
            };
            into.resource.append(&records).map_err(too_large)?;
            Ok(ControlFlow::Continue(()))
        }
    };
    let empty = || Reading { resource: resource.empty(), tally: Tally::default() };
    let check = |header: &Header, read: &Reading| read.tally.contradiction(&name, header);
    match Pages::new(system.clone(), side, request).read(empty, take, |_, _, _| (), check).await? {
        Ended::Read(mut header, read) => Ok((read.resource, header.doubt())),
        // Only a request for changes can be declined.
        Ended::Declined(reason) => Err(EngineError::Internal(reason)),
    }
}
