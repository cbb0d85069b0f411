//! Opens accepted adapters: from here on they have their grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use infrahub_sync_runtime::Manifest;
use serde_json::{Value, json};

use super::accept::Accepted;
use super::describe::{Described, Runtimes};
use crate::system::System;
use crate::{EngineError, RunContext, Side};

/// The access of a command to its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It reads. The host denies whatever could write.
    Reads,
    /// It also writes, from the announcement of its run on.
    Writes,
}

/// A system that is open, and what is known of its adapter.
pub(crate) struct Opened {
    pub(crate) system: Arc<dyn System>,
    /// The SHA-256 of the component, in hexadecimal digits.
    pub(crate) digest: String,
    /// The place that it reads and writes: address, folder, and the settings that the command line may set (a branch). Other settings may change
    /// between a plan and its apply.
    pub(crate) place: BTreeMap<String, Value>,
}

impl Opened {
    /// Opens an accepted adapter. A source only reads, whatever the access.
    async fn new(accepted: Accepted<'_>, access: Access) -> Result<Opened, EngineError> {
        let Described { side, adapter, manifest, abilities, mut config, .. } = accepted.into_described();
        config.writes = side == Side::Destination && access == Access::Writes;
        let digest = adapter.digest().trim_start_matches("sha256:").to_owned();
        let folder = abilities.folder.as_ref().map(|(folder, _)| folder);
        let mut place = BTreeMap::from([("address".to_owned(), json!(abilities.address)), ("folder".to_owned(), json!(folder))]);
        for setting in &manifest.settings {
            let Some(option) = &setting.command_line else { continue };
            let on_command_line = || config.command_line.get(option).map(|value| json!(value));
            place.insert(setting.name.clone(), config.settings.get(&setting.name).cloned().or_else(on_command_line).unwrap_or_default());
        }
        let session = adapter.open(config).await?;
        Ok(Opened { system: Arc::new(session), digest, place })
    }

    /// Opens the destination alone, if it is the accepted one.
    ///
    /// # Errors
    /// When it is not accepted, or cannot be opened.
    pub(crate) async fn destination(cx: &RunContext<'_>, runtimes: &Runtimes, access: Access) -> Result<Opened, EngineError> {
        let described = Described::new(cx, runtimes, Side::Destination).await?;
        let [accepted] = Accepted::all(cx, [described])?;
        Opened::new(accepted, access).await
    }

    /// Opens source and destination, if both are the accepted ones; else neither.
    ///
    /// # Errors
    /// When one is not accepted, or cannot be opened.
    pub(crate) async fn both(cx: &RunContext<'_>, runtimes: &Runtimes, access: Access) -> Result<(Opened, Opened), EngineError> {
        let (source, destination) =
            tokio::try_join!(Described::new(cx, runtimes, Side::Source), Described::new(cx, runtimes, Side::Destination))?;
        let [source, destination] = Accepted::all(cx, [source, destination])?;
        tokio::try_join!(Opened::new(source, access), Opened::new(destination, access))
    }

    /// Returns the adapter's description of itself.
    pub(crate) fn manifest(&self) -> &Manifest {
        self.system.manifest()
    }
}
