//! Reads what an adapter lends to transforms and look-ups: whole resources of its system, before the mappings that use them.

use std::ops::ControlFlow;
use std::sync::Arc;

use infrahub_sync_core::mapping::lent::{Lent, LentResource, Needs};
use infrahub_sync_runtime::{LoadRequest, Payload};

use crate::pages::{Ended, Flow, Pages, Place, unchecked};
use crate::plans::{ResourcePlan, Terms};
use crate::system::System;
use crate::{EngineError, Side};

/// Reads what the plans need of other resources, and lends it to them.
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
        let mut resources = Vec::new();
        for resource in needs.resources() {
            resources.push(read(side, system, resource).await?);
        }
        let lends = Terms::new(side, system.manifest()).lends.unwrap_or_default();
        let lent = Arc::new(Lent::new(&lends, resources));
        plans.iter_mut().for_each(|plan| plan.lend(&lent));
    }
    Ok(plans.into_iter().map(Arc::new).collect())
}

async fn read(side: Side, system: &Arc<dyn System>, resource: LentResource) -> Result<LentResource, EngineError> {
    let name = resource.name().to_owned();
    let fields = resource.projection().slots().iter().map(|(path, _)| path.clone()).collect();
    let page_size = system.manifest().page_size;
    let request = LoadRequest { resource: name.clone(), fields, page_size, ..LoadRequest::default() };
    let take = move |into: &mut LentResource, place: &Place, payload: Payload| -> Flow {
        let records = place.records(into.projection(), payload)?;
        let too_large = |error| EngineError::Mapping {
            kind: String::new(),
            resource: name.clone(),
            source: infrahub_sync_core::mapping::feed::FeedError::TooLarge(error),
        };
        into.append(&records).map_err(too_large)?;
        Ok(ControlFlow::Continue(()))
    };
    match Pages::new(system.clone(), side, request).read(|| resource.empty(), take, |_, _, _| (), unchecked).await? {
        Ended::Read(_, resource) => Ok(resource),
        // Only a request for changes can be declined.
        Ended::Declined(reason) => Err(EngineError::Internal(reason)),
    }
}
