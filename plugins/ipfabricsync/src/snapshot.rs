//! The snapshot of a run. `$last` may move while a run reads, so it is looked up once.

use infrahub_sync_adapter::{Error, Result, http, memo};
use serde::Deserialize;

use crate::IP_FABRIC;

/// The first version whose paths have no version.
const UNVERSIONED: (u32, u32) = (7, 5);

#[derive(Debug, Deserialize)]
struct Snapshot {
    id: String,
    #[serde(default)]
    name: Option<String>,
    /// `loaded`, `unloaded`, `loading` …
    #[serde(default)]
    state: Option<String>,
    /// `done` of a loaded one; other versions tell it by this alone.
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    locked: bool,
    /// Milliseconds since 1970; none while it is made.
    #[serde(default, rename = "tsEnd")]
    end: Option<f64>,
}

impl Snapshot {
    fn state(&self) -> &str {
        match (&self.state, &self.status) {
            (Some(state), _) => state,
            (None, Some(status)) if status == "done" => "loaded",
            (None, Some(status)) => status,
            (None, None) => "unknown",
        }
    }
}

/// Returns the path that tables are below. `wanted`: the setting `api_version`.
pub(crate) fn api(wanted: Option<&str>) -> Result<String> {
    let found: String = memo::once("api-version", || {
        let response = IP_FABRIC.success("/api/version", http::get("/api/version").send()?)?;
        response.get("/apiVersion").map_err(|_| IP_FABRIC.unexpected("/api/version", &response))
    })?;
    let version = number(&found).ok_or_else(|| Error::remote(format!("`{found}` is not a version of IP Fabric's API")))?;
    if version >= UNVERSIONED {
        return Ok("/api".to_owned());
    }
    let wanted = match wanted {
        Some(text) => number(text).ok_or_else(|| Error::config(format!("`api_version: {text}` is not a version such as `v7.3`")))?,
        None => version,
    };
    let (major, minor) = wanted.min(version);
    Ok(format!("/api/v{major}.{minor}"))
}

fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next().unwrap_or(Ok(0)).ok()?))
}

/// Returns the id of the snapshot that the project names.
pub(crate) fn of_run(wanted: &str) -> Result<String> {
    memo::once("snapshot", || {
        let path = format!("{}/snapshots", api(None)?);
        let response = IP_FABRIC.success("snapshots", http::get(path).send()?)?;
        let mut all: Vec<Snapshot> = response.get("").map_err(|_| IP_FABRIC.unexpected("snapshots", &response))?;
        all.sort_by(|one, other| other.end.unwrap_or_default().total_cmp(&one.end.unwrap_or_default()));
        choose(&all, wanted)
    })
}

fn choose(all: &[Snapshot], wanted: &str) -> Result<String> {
    let mut loaded = all.iter().filter(|snapshot| snapshot.state() == "loaded");
    let found = match wanted {
        "$last" => loaded.next(),
        "$prev" => loaded.nth(1),
        "$lastLocked" => loaded.find(|snapshot| snapshot.locked),
        id => all.iter().find(|snapshot| snapshot.id == id),
    };
    let Some(found) = found else {
        let known: Vec<&str> = all.iter().filter(|snapshot| snapshot.state() == "loaded").map(|snapshot| snapshot.id.as_str()).collect();
        let known = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
        return Err(Error::config(format!("`snapshot_id: {wanted}` is not a loaded snapshot (loaded: {known})")));
    };
    if found.state() != "loaded" {
        let name = found.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        let message = format!("the snapshot {}{name} is {}: load it in IP Fabric, or set another `snapshot_id`", found.id, found.state());
        return Err(Error::config(message));
    }
    Ok(found.id.clone())
}
