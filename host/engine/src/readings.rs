//! The readings of a project: the requests of a run, for callers that make them without the run.

use infrahub_sync_config::{Project, resolve_offline};
use infrahub_sync_runtime::{LoadRequest, Manifest, Session};

use crate::plans::{MappingFeed, ResourcePlan, Terms, destination_plans, source_plans};
use crate::targets::Targets;
use crate::{EngineError, Events, Side, schema};

/// A list that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The request for its first page.
    pub request: LoadRequest,
    /// Fields among those that are asked for that transforms make: the system need not have them.
    pub computed: Vec<String>,
}

/// Returns the readings of the project from its source. Asks no system.
///
/// # Errors
/// Every problem of the mapping at once.
pub fn source_readings(project: &Project, manifest: &Manifest) -> Result<Vec<Reading>, EngineError> {
    // What is read does not depend on the destination's schema: fields are the source's own.
    let model = resolve_offline(project).map_err(EngineError::Project)?.model;
    let plans = source_plans(project, &model, &Terms::new(Side::Source, manifest), None)?;
    let reading = |plan: &ResourcePlan| {
        let mappings = plan.feeds().iter().filter_map(|MappingFeed { mapping, .. }| project.schema_mapping.get(*mapping));
        let computed = mappings.flat_map(|mapping| mapping.transforms.iter().map(|transform| transform.field.clone())).collect();
        Reading { request: plan.request(manifest.page_size), computed }
    };
    Ok(plans.iter().map(reading).collect())
}

/// Returns the readings of a run from its destination, which it asks for the schema.
///
/// # Errors
/// Every problem of the mapping at once, or the failure on the way to the schema.
pub async fn destination_readings(project: &Project, session: &Session, events: &dyn Events) -> Result<Vec<Reading>, EngineError> {
    let resolved = schema::live(project, session, events).await?;
    let manifest = session.manifest();
    let targets = Targets::new(project, &resolved.model, manifest)?;
    let plans = destination_plans(&resolved.model, &targets, &Terms::new(Side::Destination, manifest).rules, false);
    Ok(plans.iter().map(|plan| Reading { request: plan.request(manifest.page_size), computed: Vec::new() }).collect())
}
