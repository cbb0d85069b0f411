//! Loads a component and has it describe itself, without any grant.

use std::collections::BTreeMap;

use infrahub_sync_config::{LockedOrigin, Project};
use infrahub_sync_runtime::{Abilities, Adapter, Exchanges, Manifest, RequestHeaders, Runtime, RuntimeOptions, SessionConfig, Variables};

use super::pin::check_pin;
use crate::{EngineError, RunContext, Side};

/// The WebAssembly engine; a command makes one.
pub(crate) struct Runtimes(Runtime);

impl Runtimes {
    /// Starts the engine.
    pub(crate) fn new(cx: &RunContext<'_>) -> Result<Runtimes, EngineError> {
        let options = RuntimeOptions {
            component_store: cx.component_store.clone(),
            memo_store: cx.memo_store.clone(),
            compiler: cx.compiler.clone(),
        };
        Ok(Runtimes(Runtime::new(options)?))
    }
}

/// Returns what one side of a project grants its adapter, for a command that only reads. No other place decides that.
///
/// `built_in`: the adapter is a part of the program and may read the environment variables that it names.
pub fn session_config<'a>(
    project: &Project,
    side: Side,
    built_in: bool,
    environment: &'a (dyn Fn(&str) -> Option<String> + Sync),
    exchanges: Exchanges,
) -> SessionConfig<'a> {
    let endpoint = project.endpoint(side);
    SessionConfig {
        writes: false,
        role: side,
        settings: endpoint.settings.clone(),
        environment,
        variables: if built_in {
            Variables::All
        } else {
            Variables::of(&endpoint.name, &endpoint.grants.environment).showing(&endpoint.grants.visible)
        },
        headers: if built_in { RequestHeaders::All } else { RequestHeaders::Plain(endpoint.grants.headers.clone()) },
        command_line: BTreeMap::new(),
        project_dir: project.directory.clone(),
        exchanges,
        limits: endpoint.limits.clone(),
        extra_origins: endpoint.grants.origins.clone(),
        networks: endpoint.grants.networks.clone(),
    }
}

/// An adapter that has described itself and is not opened.
pub(crate) struct Described<'a> {
    pub(super) side: Side,
    pub(super) adapter: Adapter,
    pub(super) built_in: bool,
    pub(super) published: Option<LockedOrigin>,
    pub(super) manifest: Manifest,
    pub(super) abilities: Abilities,
    pub(super) config: SessionConfig<'a>,
}

impl<'a> Described<'a> {
    /// Loads the adapter of one side. A component other than the pinned one is not even compiled.
    ///
    /// # Errors
    /// When it is not the pinned one, cannot be loaded, or cannot play that side.
    pub(crate) async fn new(cx: &RunContext<'a>, runtimes: &Runtimes, side: Side) -> Result<Described<'a>, EngineError> {
        let source = match side {
            Side::Source => cx.source.as_ref(),
            Side::Destination => Some(&cx.destination),
        };
        let source = source.ok_or_else(|| EngineError::Internal("this command has no source adapter".into()))?;
        check_pin(cx.project, side, source)?;
        let adapter = match source.is_built_in() {
            true => runtimes.0.load_built_in(&source.bytes, &source.name)?,
            false => runtimes.0.load_adapter_of(&source.bytes, &source.name, Some(side), &cx.project.endpoint(side).limits)?,
        };
        let manifest = adapter.describe().await?;
        let fits = match side {
            Side::Source => manifest.source.is_some(),
            Side::Destination => manifest.destination.is_some(),
        };
        if !fits {
            return Err(EngineError::WrongSide { adapter: source.name.clone(), side });
        }
        let mut config = session_config(cx.project, side, source.is_built_in(), cx.environment, cx.exchanges.clone());
        config.command_line = cx.command_line.clone();
        let abilities = adapter.abilities(&config).await?;
        let (built_in, published) = (source.is_built_in(), source.published.clone());
        Ok(Described { side, adapter, built_in, published, manifest, abilities, config })
    }
}
