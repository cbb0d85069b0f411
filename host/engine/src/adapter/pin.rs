//! `digest:` in config.yml: which component a side of the project accepts.

use infrahub_sync_config::Project;
use infrahub_sync_runtime::digest;

use crate::{AdapterSource, EngineError, Side};

/// Compares a component with `digest:`, if the project has one for that side.
///
/// # Errors
/// When it is another component.
pub(super) fn check_pin(project: &Project, side: Side, adapter: &AdapterSource) -> Result<(), EngineError> {
    let Some(pin) = &project.endpoint(side).digest else { return Ok(()) };
    let found = digest(&adapter.bytes);
    if found == pin.digest {
        return Ok(());
    }
    Err(EngineError::NotPinned {
        side,
        adapter: adapter.name.clone(),
        origin: adapter.origin.clone(),
        place: format!("{}:{}", project.file.display(), pin.span.line),
        pinned: pin.digest.clone(),
        found,
    })
}
