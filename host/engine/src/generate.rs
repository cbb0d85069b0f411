//! `generate`: the resolved models as one readable file in the project's folder.

use std::path::PathBuf;

use crate::adapter::{Access, Opened, Runtimes};
use crate::{EngineError, RunContext, schema};

/// The result of `generate`.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The file.
    pub path: PathBuf,
    /// The number of kinds.
    pub kinds: usize,
    /// The file was there already, with the same content.
    pub unchanged: bool,
}

/// Checks the mapping against the destination's schema and writes the models.
///
/// # Errors
/// Every problem of the mapping at once, or what went wrong on the way to the schema.
pub async fn generate(cx: &RunContext<'_>) -> Result<Generated, EngineError> {
    let runtimes = Runtimes::new(cx)?;
    let destination = Opened::destination(cx, &runtimes, Access::Reads).await?;
    let resolved = schema::live(cx.project, &*destination.system, cx.events).await?;
    // Filters and transforms are checked here too, so that a project that generates also runs.
    crate::targets::Targets::new(cx.project, &resolved.model, destination.manifest())?;
    crate::plans::source_plans(cx.project, &resolved.model, &crate::plans::Terms::unknown(), None)?;
    destination.system.finish()?;
    let kinds = resolved.model.kinds.len();
    let generated =
        infrahub_sync_config::Generated { mapping_hash: resolved.mapping_hash, schema_hash: resolved.schema_hash, model: resolved.model };
    let path = cx.project.directory.join(infrahub_sync_config::GENERATED_FILE);
    let text = generated.to_text();
    if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(Generated { path, kinds, unchanged: true });
    }
    infrahub_sync_durable::write_file(&path, text.as_bytes())
        .map_err(|error| EngineError::File { path: path.display().to_string(), source: error.source })?;
    Ok(Generated { path, kinds, unchanged: false })
}
