//! Knows the server's time, to read all pages of a load as of one moment.
//!
//! Offset paging loses unchanged objects when others are deleted meanwhile, unless each page is read with the same `at`. The moment has to be
//! the server's, and its only visible clock is the `Date` of its answers. That one is late: the web server sets it once a second when it is
//! idle, and was seen three and a half seconds behind when it is busy. A moment in the past would hide objects that this program has just
//! written, so [`LATE`] is added. Until then the server takes it for now, which [`passed`](Start::passed) detects: a first page that was read
//! too early is read again when there are more pages.

use std::time::Duration;

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Moment, Response, Result};
use serde::{Deserialize, Serialize};

/// The memo of the moment, for all instances of a run.
const KEY: &str = "start";

/// The memo that the run has begun to write.
const WRITES: &str = "writes";

/// The most that the `Date` of an answer is behind the server's clock.
const LATE: Duration = Duration::from_secs(10);

/// The facts that the first request of a run shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The hash of the whole schema.
    pub(crate) schema: String,
    /// The moment; none where the server shows no clock.
    pub(crate) at: Option<Moment>,
}

impl Start {
    /// Returns the facts of an earlier request of this run.
    pub(crate) fn known() -> Option<Start> {
        memo::get_as(Lifetime::Run, KEY)
    }

    /// Returns the moment as of which a list is read: `pinned` for its further pages; none, that is now, for the first page of a run that
    /// writes.
    pub(crate) fn of_list(is_first: bool, pinned: Option<Moment>) -> Option<Start> {
        let start = Start::known()?;
        Some(match pinned {
            Some(at) => Start { at: Some(at), ..start },
            None if is_first && memo::get_as(Lifetime::Run, WRITES).unwrap_or(false) => Start { at: None, ..start },
            None => start,
        })
    }

    /// Records that the run writes from now on. Before the writes of each kind, the host reads the objects that others have modified since the
    /// load; as of the load's moment none of them is modified.
    pub(crate) fn writes() -> Result<()> {
        memo::put_as(Lifetime::Run, WRITES, &true).map(drop)
    }

    /// Sets a missing moment to one after this answer. Says whether it did.
    pub(crate) fn pin(&mut self, response: &Response) -> bool {
        let unpinned = self.at.is_none();
        if unpinned {
            self.at = moment(response);
        }
        unpinned && self.at.is_some()
    }

    /// Stores it, unless another instance was faster; returns the one that counts.
    pub(crate) fn keep(schema: String, response: &Response) -> Result<Start> {
        memo::put_as(Lifetime::Run, KEY, &Start { schema, at: moment(response) })
    }

    /// Returns the moment as the API takes it.
    pub(crate) fn at(&self) -> Option<String> {
        self.at.map(|at| at.to_string())
    }

    /// Says whether the moment had passed when the server began with this answer.
    pub(crate) fn passed(&self, response: &Response) -> bool {
        match (self.at, response.date()) {
            (Some(at), Some(now)) => now >= at,
            // Without a clock there is no moment, and another request would not help.
            _ => true,
        }
    }
}

/// Returns a moment after the state that this answer shows; see above. The server sets `Date` when it begins with the request.
fn moment(response: &Response) -> Option<Moment> {
    Some(response.date()? + LATE)
}
