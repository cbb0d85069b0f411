//! The checks of the contract that authors run on their component, offline and without credentials.
//!
//! ```text
//! check(adapter, Options) ─▶ Report: one Check after the other, each passed / failed / not applicable / not checked
//! ```
//!
//! | module | content |
//! |---|---|
//! | [`report`] | the result |
//! | `subject` | the adapter, opened with canaries for secrets and with a stand-in for its system |
//! | `system` | recorded answers, and faults in their place |
//! | `records` | a page as values that can be compared |
//! | `sample` | files and rows that the suite makes itself |
//! | `checks` | the checks |
//!
//! Nothing here prints, and nothing knows an adapter by its name. A check judges only what the contract promises. Without material (no
//! recorded exchanges, no project) it says so instead of passing.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot continue has failed"))]

mod checks;
mod records;
pub mod report;
mod sample;
mod subject;
mod system;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use infrahub_sync_runtime::{
    Adapter, Addressing, Answer, Asked, Environment, Exchanges, IpNet, Limits, LoadRequest, Manifest, Page, RequestHeaders, Role, Session,
    SessionConfig, StandIn, Variables,
};
use serde_json::Value;
use tempfile::TempDir;

pub use report::{Check, Finding, Report, Verdict};

/// The system that answers the adapter's requests.
#[derive(Debug, Clone, Default)]
pub enum System {
    /// None: there are no recorded exchanges.
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
    /// The requested fields that the project makes itself (by transforms): the system need not have them.
    pub computed: Vec<String>,
}

impl Reading {
    /// Returns a reading of which every field is the system's.
    #[must_use]
    pub fn new(request: LoadRequest) -> Reading {
        Reading { request, computed: Vec::new() }
    }
}

/// The material of the suite.
pub struct Options<'a> {
    /// The adapter's settings as a project has them; secrets are replaced by canaries, the address by one that cannot exist.
    pub settings: BTreeMap<String, Value>,
    /// Environment variables, for sessions with a live system.
    pub environment: Environment<'a>,
    /// Those of them that the settings may come from.
    pub variables: Variables,
    /// The request headers that the adapter may set in the live system.
    pub headers: RequestHeaders,
    /// Options of the command line: name, value.
    pub command_line: BTreeMap<String, String>,
    /// Further origins that it may send requests to, with a live system.
    pub extra_origins: Vec<String>,
    /// Ranges that names of a live system may resolve to although they are loopback, link-local or private.
    pub networks: Vec<IpNet>,
    /// The folder that relative folder settings start from.
    pub project_dir: PathBuf,
    /// The side on which the readings are made.
    pub role: Role,
    /// The lists that the project reads. Empty: the suite has only its own samples.
    pub readings: Vec<Reading>,
    /// The system that answers the adapter's requests.
    pub system: System,
    /// The id of the runs that write: a part of the rows, so that they are recognized.
    pub run_id: String,
    /// Writing is tried on the live system that `settings` and `environment` name.
    pub writes_live: bool,
    /// The bounds of the adapter's calls; authors can rely on the defaults.
    pub limits: Limits,
}

/// Copies the folder that the settings name, so that the copy can be written to; empty where they name none.
///
/// # Errors
/// When it cannot be made.
pub fn folder_copy(manifest: &Manifest, settings: &BTreeMap<String, Value>, project_dir: &Path) -> std::io::Result<TempDir> {
    let named = manifest.folder_setting.as_ref().and_then(|name| settings.get(name)).and_then(Value::as_str);
    sample::copy(named.map(|named| project_dir.join(named)).as_deref())
}

/// Runs all checks.
pub async fn check(adapter: &Adapter, options: &Options<'_>) -> Report {
    checks::run(adapter, options).await
}

/// Reads from the live system, in all ways that the suite reads, and records the exchanges to a folder. The checks that need data then work
/// offline, from the recording. Nothing is written to the system.
///
/// # Errors
/// When the adapter cannot be opened, the first page of something cannot be read, or the recording cannot be written.
pub async fn record(adapter: &Adapter, options: &Options<'_>, folder: &Path) -> infrahub_sync_runtime::Result<()> {
    // One session: the values that an adapter keeps for a run (the moment at which all pages are read) are the same for all requests.
    let session = adapter
        .open(SessionConfig {
            writes: false,
            role: options.role,
            settings: options.settings.clone(),
            environment: options.environment,
            variables: options.variables.clone(),
            headers: options.headers.clone(),
            command_line: options.command_line.clone(),
            project_dir: options.project_dir.clone(),
            exchanges: Exchanges::Record(folder.to_owned()),
            limits: options.limits.clone(),
            extra_origins: options.extra_origins.clone(),
            networks: options.networks.clone(),
        })
        .await?;
    if session.manifest().schema {
        let addressing = checks::addressing(session.manifest());
        let targets = checks::targets(options);
        if addressing == Addressing::Kind {
            session.kinds(&[]).await?;
        } else if !targets.is_empty() {
            session.kinds(&targets).await?;
            session.kinds(&targets[..1]).await?;
        }
        session.kinds(&[checks::unknown_target(addressing)]).await?;
    }
    for Reading { request, .. } in &options.readings {
        let first = session.load(request.clone()).await?;
        let mut since: Vec<String> = first.watermark.clone().into_iter().collect();
        since.push(checks::FOREIGN_WATERMARK.to_owned());
        record_ids(&session, request, &first).await;
        let mut next = first.next;
        while let Some(cursor) = next {
            next = session.load(LoadRequest { cursor: Some(cursor), ..request.clone() }).await?.next;
        }
        // A failure here is one in the checks, too, and is judged there.
        for page_size in checks::page_sizes(request.page_size) {
            let mut request = LoadRequest { page_size, ..request.clone() };
            for _ in 0..checks::PAGES_COMPARED {
                match session.load(request.clone()).await {
                    Ok(Page { next: Some(next), .. }) => request.cursor = Some(next),
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

/// Records the calls that the suite makes for some objects of the first page: see `checks::absence`.
async fn record_ids(session: &Session, request: &LoadRequest, page: &Page) {
    let records = records::records(&page.payload, &request.fields).unwrap_or_default();
    let Some((target, ids)) = checks::absence::sample(request, &records) else { return };
    let _ = session.absent(target, &ids).await;
    if session.manifest().reads_ids {
        let _ = session.load(LoadRequest { ids: ids[..ids.len().saturating_sub(1)].to_vec(), ..request.clone() }).await;
    }
}
