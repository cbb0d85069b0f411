//! Checks a run before anything is written, and keeps what its writes need.
//!
//! Wrong names and missing fields are found earlier, with the schema ([`kinds`](crate::kinds)). Here are the permissions and the version.

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Error, ErrorKind, Moment, Query, Result, Run, http};
use serde::{Deserialize, Serialize};

use crate::Api;
use crate::changes::newest;
use crate::describe::{describe, missing};
use crate::kinds::unmapped;
use crate::system::{Selection, Version, Writing};

/// The memo of the run, for all instances.
const KEY: &str = "run";

/// The facts that each write of a run needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The message for the change log.
    pub(crate) message: String,
    /// The time before the first write, by the clock of the server; none where it does not tell.
    pub(crate) began: Option<Moment>,
    /// The run's id.
    pub(crate) run: String,
    /// The server takes `If-Match`.
    pub(crate) locks: bool,
    /// The time of the newest entry of the change log before the first write, to the microsecond. None: it cannot be read, or nothing is locked.
    pub(crate) mark: Option<Moment>,
}

impl Note {
    /// Returns the facts that [`begin`] found.
    pub(crate) fn known() -> Result<Note> {
        memo::get_as(Lifetime::Run, KEY).ok_or_else(|| Error::internal("a write before the beginning of its run"))
    }
}

/// Rejects a run that cannot be written, with all reasons.
pub(crate) fn begin(api: &Api, run: &Run) -> Result<Option<String>> {
    let Some(writing) = api.system.writing else {
        return Err(Error::unsupported(format!("{} is only read", api.system.name)));
    };
    let changes = run.changes.iter().filter(|kind| kind.creates + kind.updates + kind.deletes > 0);
    let mut wrong: Vec<Error> = Vec::new();
    let mut first = None;
    for kind in changes {
        let resource = kind.target.resource_or_kind();
        let Some(description) = describe(api, resource)? else {
            wrong.push(missing(api, resource));
            continue;
        };
        let may_delete = kind.deletes == 0 || deletes(&description.path, writing)?;
        let lacking = [
            (kind.creates > 0 && !description.creates, "add"),
            (kind.updates > 0 && !description.updates, "change"),
            (!may_delete, "delete"),
        ];
        let lacking: Vec<&str> = lacking.into_iter().filter_map(|(lacks, what)| lacks.then_some(what)).collect();
        if !lacking.is_empty() {
            wrong.push(Error::auth(format!("{} objects of `{resource}`", lacking.join(" and "))));
        }
        let list = description.path.strip_prefix(api.prefix).unwrap_or(&description.path);
        let lacking: Vec<String> = unmapped(api, &kind.target, list, &description).map(|name| format!("`{name}`")).collect();
        if kind.creates > 0 && !lacking.is_empty() {
            let words = "which the mapping does not give: map them, or create these objects in";
            wrong.push(Error::config(format!("a new `{}` needs {}, {words} {}", kind.target.kind, lacking.join(", "), api.system.name)));
        }
        first.get_or_insert(description.path);
    }
    if let Some(error) = refused(api, &wrong) {
        return Err(error);
    }
    let Some(path) = first else { return Ok(None) };
    let version = writing.version.as_ref().map(|version| check_version(api, version)).transpose()?.flatten();
    let locks = writing.locks.zip(version).is_some_and(|(first, version)| version >= first);
    let began = clock(api, &path)?;
    let message = format!("infrahub-sync: run {} of {}, from {}", run.id, run.sync, run.source);
    let mark = if locks && run.changes.iter().any(|kind| kind.updates > 0) { newest(api) } else { None };
    memo::put_as(Lifetime::Run, KEY, &Note { message, began, run: run.id.clone(), locks, mark })?;
    Ok(None)
}

/// Returns whether the token may delete objects of a list, by deleting one that cannot exist. The permission is checked first.
fn deletes(path: &str, writing: &Writing) -> Result<bool> {
    let none = if writing.number_ids { "0" } else { "00000000-0000-0000-0000-000000000000" };
    Ok(http::Request::new("DELETE", format!("{path}{none}/")).send()?.status() != 403)
}

/// Joins the reasons against a run.
fn refused(api: &Api, wrong: &[Error]) -> Option<Error> {
    let of = |kind: ErrorKind| wrong.iter().filter(move |error| error.kind == kind).map(|error| error.message.as_str()).collect::<Vec<_>>();
    let (lists, permissions) = (of(ErrorKind::Config), of(ErrorKind::Auth));
    if !lists.is_empty() {
        return Some(Error::config(lists.join("; ")));
    }
    if permissions.is_empty() {
        return None;
    }
    let credential = api.system.refusals.credential();
    Some(Error::auth(format!(
        "{} does not permit {credential} to {}: give its user the permissions, and let the token write",
        api.system.name,
        permissions.join(", or to ")
    )))
}

/// Rejects versions whose objects are written in another way. Returns the version, if the server tells it.
fn check_version(api: &Api, version: &Version) -> Result<Option<(u32, u32)>> {
    let response = http::get(format!("{}/{}", api.prefix, version.path)).send()?;
    let response = api.names().success(version.path, response)?;
    let Some(told) = response.get::<String>(version.pointer).ok() else { return Ok(None) };
    let mut numbers = told.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let (Some(major), minor) = (numbers.next(), numbers.next().unwrap_or(0)) else { return Ok(None) };
    let (first_major, first_minor) = version.first;
    if (major, minor) >= version.first {
        return Ok(Some((major, minor)));
    }
    let name = api.system.name;
    Err(Error::config(format!(
        "{name} {told} cannot be written: the adapter writes to {name} {first_major}.{first_minor} and newer. As a source, it may be older"
    )))
}

/// Returns the time of the server.
fn clock(api: &Api, path: &str) -> Result<Option<Moment>> {
    let query = Query::new(path).with("limit", 1);
    let query = if api.system.selection == Selection::Fields { query.with("fields", "id") } else { query };
    Ok(http::get(query).send()?.date().or_else(|| newest(api)))
}

/// Returns the ways of writing of a system that is written.
pub(crate) fn writing(api: &Api) -> Result<&'static Writing> {
    api.system.writing.ok_or_else(|| Error::unsupported(format!("{} is only read", api.system.name)))
}
