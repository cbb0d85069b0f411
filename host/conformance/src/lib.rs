//! Whether an adapter keeps the contract: the checks that authors run on their component, offline and without credentials.
//!
//! ```text
//! check(adapter, Options) ─▶ Report: one Check after the other, each passed / failed / not applicable / not checked
//! ```
//!
//! | module | |
//! |---|---|
//! | [`report`] | what comes out |
//! | `subject` | the adapter, opened with canaries for secrets and with whatever stands in for its system |
//! | `system` | recorded answers, and faults in their place |
//! | `records` | a page as values that can be compared |
//! | `sample` | files and rows that the suite makes itself |
//! | `checks` | the checks |
//!
//! Nothing here prints, and nothing knows an adapter by its name. A check judges what the contract promises and nothing else; where it has
//! nothing to work on (no recorded exchanges, no project) it says so instead of passing.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on has failed"))]

mod checks;
mod records;
pub mod report;
mod sample;
mod subject;
mod system;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use infrahub_sync_runtime::{
    Adapter, Answer, Asked, Environment, Exchanges, IpNet, Limits, LoadRequest, Manifest, Role, SessionConfig, StandIn, Variables,
};
use serde_json::Value;
use tempfile::TempDir;

pub use report::{Check, Finding, Report, Verdict};

/// What answers the adapter's requests while it is read.
#[derive(Debug, Clone, Default)]
pub enum System {
    /// Nothing does: there are no recorded exchanges.
    #[default]
    None,
    /// Recorded exchanges, in the order in which they were recorded.
    Recorded(Vec<(Asked, Answer)>),
    /// A function, which may keep what is written to it.
    StandIn(StandIn),
}

/// A list that a project reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The request for its first page.
    pub request: LoadRequest,
    /// Fields among those that are asked for that the project makes itself (by transforms): the system need not have them.
    pub computed: Vec<String>,
}

impl Reading {
    /// A list of which every field that is asked for is the system's.
    #[must_use]
    pub fn new(request: LoadRequest) -> Reading {
        Reading { request, computed: Vec::new() }
    }
}

/// What the suite works on.
pub struct Options<'a> {
    /// The adapter's settings as a project has them; secrets are replaced by canaries, the address by one that cannot exist.
    pub settings: BTreeMap<String, Value>,
    /// Environment variables, for what goes to a live system.
    pub environment: Environment<'a>,
    /// Those of them that the settings may come from.
    pub variables: Variables,
    /// Further origins that it may ask of a live system.
    pub extra_origins: Vec<String>,
    /// Ranges that names of a live system may resolve to although they are loopback, link-local or private.
    pub networks: Vec<IpNet>,
    /// The folder that relative folder settings start from.
    pub project_dir: PathBuf,
    /// The side on which the readings are made.
    pub role: Role,
    /// What the project reads. Empty: the suite has to do with what it makes itself.
    pub readings: Vec<Reading>,
    /// What answers the adapter's requests.
    pub system: System,
    /// The id of the runs that write: part of what is written, so that it is known again.
    pub run_id: String,
    /// Writing is tried on the live system that `settings` and `environment` name.
    pub writes_live: bool,
    /// The bounds of the adapter's calls; the defaults are what an author is promised.
    pub limits: Limits,
}

/// A copy of the folder that the settings name, for what may be written to; empty where they name none.
///
/// # Errors
/// When it cannot be made.
pub fn folder_copy(manifest: &Manifest, settings: &BTreeMap<String, Value>, project_dir: &Path) -> std::io::Result<TempDir> {
    let named = manifest.folder_setting.as_ref().and_then(|name| settings.get(name)).and_then(Value::as_str);
    sample::copy(named.map(|named| project_dir.join(named)).as_deref())
}

/// Carries all checks out.
pub async fn check(adapter: &Adapter, options: &Options<'_>) -> Report {
    checks::run(adapter, options).await
}

/// Reads from the live system, in all ways that the suite reads, and records the exchanges to a folder: the checks that need data then work
/// offline, from the recording. Nothing is written to the system.
///
/// # Errors
/// When the adapter cannot be opened, the first page of something cannot be read, or the recording cannot be written.
pub async fn record(adapter: &Adapter, options: &Options<'_>, folder: &Path) -> infrahub_sync_runtime::Result<()> {
    // One session: what an adapter keeps for a run (the moment at which all pages are read) is the same for all that is recorded.
    let session = adapter
        .open(SessionConfig {
            role: options.role,
            settings: options.settings.clone(),
            environment: options.environment,
            variables: options.variables.clone(),
            project_dir: options.project_dir.clone(),
            exchanges: Exchanges::Record(folder.to_owned()),
            limits: options.limits.clone(),
            extra_origins: options.extra_origins.clone(),
            networks: options.networks.clone(),
        })
        .await?;
    if session.manifest().schema {
        session.kinds(&[]).await?;
        session.kinds(&[checks::UNKNOWN_KIND.to_owned()]).await?;
    }
    for Reading { request, .. } in &options.readings {
        let first = session.load(request.clone()).await?;
        let mut since: Vec<String> = first.watermark.clone().into_iter().collect();
        since.push(checks::FOREIGN_WATERMARK.to_owned());
        let mut next = first.next;
        while let Some(cursor) = next {
            next = session.load(LoadRequest { cursor: Some(cursor), ..request.clone() }).await?.next;
        }
        // What fails here fails in the checks, too, and is judged there.
        for page_size in checks::page_sizes(request.page_size) {
            let mut request = LoadRequest { page_size, ..request.clone() };
            for _ in 0..checks::PAGES_COMPARED {
                match session.load(request.clone()).await {
                    Ok(infrahub_sync_runtime::Page { next: Some(next), .. }) => request.cursor = Some(next),
                    _ => break,
                }
            }
        }
        for since in since {
            let _ = session.load(LoadRequest { since: Some(since), ..request.clone() }).await;
        }
    }
    session.finish()
}
