//! What a project reads: the requests of a run, for whoever wants to make them without the run.

use std::sync::Arc;

use infrahub_sync_config::{Project, resolve};
use infrahub_sync_runtime::{Addressing, LoadRequest, Manifest, Session};

use crate::load::{Opened, destination_feeds, feeds};
use crate::{EngineError, Events, Side, schema};

/// The request for the first page of each resource that the project reads from its source. No system is asked.
///
/// # Errors
/// Every problem of the mapping at once.
pub fn source_readings(project: &Project, manifest: &Manifest) -> Result<Vec<LoadRequest>, EngineError> {
    // What is read does not depend on the destination's schema: fields are the source's own.
    let model = resolve(project, None).map_err(EngineError::Project)?.model;
    let plans = feeds(project, &model, manifest.source.unwrap_or(Addressing::Mapping))?;
    Ok(plans.iter().map(|plan| plan.request(Side::Source, &model, manifest.page_size)).collect())
}

/// The request for the first page of each kind that a run reads back from its destination, which is asked for its schema.
///
/// # Errors
/// Every problem of the mapping at once, or what went wrong on the way to the schema.
pub async fn destination_readings(project: &Project, session: &Session, events: &dyn Events) -> Result<Vec<LoadRequest>, EngineError> {
    let opened = Opened { session: Arc::new(session.clone()), manifest: session.manifest().clone(), digest: String::new() };
    let resolved = schema::live(project, &opened, events).await?;
    let plans = destination_feeds(&resolved.model);
    Ok(plans.iter().map(|plan| plan.request(Side::Destination, &resolved.model, opened.manifest.page_size)).collect())
}
