//! The common parts of adapters whose systems keep their objects in lists of a REST API: NetBox, Nautobot, Peering Manager.
//!
//! An adapter is a [`System`], which says what is different: names, paging, the change log, and the ways of writing. An [`Api`] is such a
//! system at the configured address.
//!
//! | module | |
//! |---|---|
//! | [`system`] | the description of a system |
//! | [`list`] | reads lists page by page, so that nothing is lost |
//! | [`incremental`] | reads only the records modified since the last run |
//! | [`changes`] | reads the change log: deleted objects, and types of objects that changed |
//! | [`absent`] | says of objects that a list lacks whether they are deleted |
//! | [`depends`] | knows which values change without a trace in their own record |
//! | [`describe`] | asks for the fields of a list (`OPTIONS`) |
//! | [`kinds`] | turns them into the kinds of the contract |
//! | [`body`] | turns rows into the bodies of requests: the paths of a mapping, the other way round |
//! | [`begin`] | checks a run before anything is written |
//! | [`mod@write`] | writes many rows a request, with an outcome a row |
//! | [`adopt`] | finds the objects that are there already, by their natural keys |
//! | [`cascade`] | finds the objects that a delete takes along |
//! | [`lock`] | writes no change over one of another user |
//! | [`tags`] | tags as plain names |
//! | [`hold`] | clears the references that hold objects at their places |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod absent;
mod adopt;
mod begin;
mod body;
mod cascade;
mod changes;
pub mod depends;
mod describe;
mod hold;
mod incremental;
mod kinds;
mod list;
mod lock;
pub mod system;
mod tags;
#[cfg(test)]
mod tests;
mod write;

use infrahub_sync_adapter::{
    Absence, Dependents, Error, Kind, LoadRequest, Outcome, Page, Result, Run, System as Names, Target, WriteRequest,
};

pub use changes::type_by_name;
pub use system::System;

/// A system at the configured address.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// The description of the system.
    pub system: &'static System,
    /// The path before each list's: `/api`, or nothing when the configured address ends with it.
    pub prefix: &'static str,
}

impl Api {
    /// Makes it of the configured address. Users copy the address from a browser that shows the API, so it may end with `/api`.
    #[must_use]
    pub fn new(system: &'static System, url: &str) -> Api {
        Api { system, prefix: if url.trim_end_matches('/').ends_with("/api") { "" } else { "/api" } }
    }

    /// Returns the path of a resource below the API: `dcim.device_types` is `/dcim/device-types/`.
    ///
    /// The slash at the end matters: without it these systems redirect, and a redirected POST becomes a GET.
    ///
    /// # Errors
    /// `config` when it does not name a list.
    pub fn list(&self, resource: &str) -> Result<String> {
        let parts: Vec<String> = resource.trim_matches('/').split(['.', '/']).map(|part| part.replace('_', "-")).collect();
        let is_word = |part: &String| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if parts.len() < 2 || !parts.iter().all(is_word) {
            let System { name, list_names, .. } = self.system;
            return Err(Error::config(format!("`{resource}` is not the name of a {name} list: {list_names}")));
        }
        Ok(format!("/{}/", parts.join("/")))
    }

    /// Returns the whole path of a resource, below the configured address.
    ///
    /// # Errors
    /// `config` when it does not name a list.
    pub fn path(&self, resource: &str) -> Result<String> {
        Ok(format!("{}{}", self.prefix, self.list(resource)?))
    }

    /// Returns the names for messages about refusals.
    fn names(&self) -> Names {
        self.system.refusals
    }

    /// Reads a page.
    ///
    /// # Errors
    /// Those of the system, in words that say what to change.
    pub fn load(&self, request: &LoadRequest) -> Result<Page> {
        let path = self.path(&request.resource)?;
        let read = |path: &str| match &request.since {
            None => list::List::new(self, path, request).page(),
            Some(since) => incremental::load(self, path, request, since),
        };
        let page = read(&path);
        match (&page, self.moved(&path)) {
            (Err(error), Some(other)) if error.http_status == Some(404) => tags::named(request, read(&other)?),
            _ => tags::named(request, page?),
        }
    }

    /// Returns the other path of a list that has moved between versions.
    fn moved(&self, path: &str) -> Option<String> {
        let list = path.strip_prefix(self.prefix)?;
        let both = self.system.moved.iter().find_map(|(one, other)| match list {
            _ if list == *one => Some(other),
            _ if list == *other => Some(one),
            _ => None,
        })?;
        Some(format!("{}{both}", self.prefix))
    }

    /// Says of each object whether it is deleted, in the order of the ids.
    ///
    /// # Errors
    /// When the resource is not the name of a list.
    pub fn absent(&self, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        absent::absent(self, target, ids)
    }

    /// Returns the kinds of the targets.
    ///
    /// # Errors
    /// Lists and fields that the system does not have, all at once.
    pub fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        kinds::kinds(self, targets)
    }

    /// Checks a run before anything is written.
    ///
    /// # Errors
    /// Everything that the system would reject, all at once.
    pub fn begin(&self, run: &Run) -> Result<Option<String>> {
        begin::begin(self, run)
    }

    /// Writes rows.
    ///
    /// # Errors
    /// When the outcome of every row is unknown.
    pub fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        write::write(self, request)
    }

    /// Returns what a delete of these objects takes along.
    ///
    /// # Errors
    /// When the system cannot be asked.
    pub fn cascade(&self, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        cascade::dependents(self, target, ids)
    }
}
