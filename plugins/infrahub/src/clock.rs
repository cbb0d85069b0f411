//! The server's time, to read all pages of a load as of one moment.
//!
//! Offset paging loses objects that nobody touched when others are deleted meanwhile, unless each page is asked for with the same
//! `at`. The moment has to be the server's, and the only clock that it shows is the `Date` of its answers. That one is late: its web
//! server sets it once a second when it is idle, and was seen three and a half seconds behind when it is busy. A moment in the past would
//! hide what this very program may just have written, so [`LATE`] is added. Until then the server takes it for now, which is noticed
//! by [`passed`](Start::passed): a first page that was asked for too early is asked for again when there are more pages.

use std::time::Duration;

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Response, Result};
use serde::{Deserialize, Serialize};

/// Where the moment is kept for all instances of a run.
const KEY: &str = "start";

/// Where it is kept that the run has begun to write.
const WRITES: &str = "writes";

/// Seconds that the `Date` of an answer may be behind the server's clock.
const LATE: u64 = 10;

/// What the first request of a run tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The hash of the whole schema.
    pub(crate) schema: String,
    /// The moment, in seconds since 1970; none where the server shows no clock.
    pub(crate) at: Option<u64>,
}

impl Start {
    /// What an earlier request of this run told.
    pub(crate) fn known() -> Option<Start> {
        memo::get_as(Lifetime::Run, KEY)
    }

    /// The moment as of which a list is read: `pinned` for its further pages; none, that is now, for the first page of a run that writes.
    pub(crate) fn of_list(is_first: bool, pinned: Option<u64>) -> Option<Start> {
        let start = Start::known()?;
        Some(match pinned {
            Some(at) => Start { at: Some(at), ..start },
            None if is_first && memo::get_as(Lifetime::Run, WRITES).unwrap_or(false) => Start { at: None, ..start },
            None => start,
        })
    }

    /// The run writes from now on: what somebody has changed since the load is asked for before the writes of each kind, and as of the
    /// load's moment nothing has.
    pub(crate) fn writes() -> Result<()> {
        memo::put_as(Lifetime::Run, WRITES, &true).map(drop)
    }

    /// Pins what has no moment yet to one that lies after this answer. Whether that could be done.
    pub(crate) fn pin(&mut self, response: &Response) -> bool {
        let unpinned = self.at.is_none();
        if unpinned {
            self.at = moment(response);
        }
        unpinned && self.at.is_some()
    }

    /// Keeps it, unless another instance was quicker; returns the one that counts.
    pub(crate) fn keep(schema: String, response: &Response) -> Result<Start> {
        memo::put_as(Lifetime::Run, KEY, &Start { schema, at: moment(response) })
    }

    /// The moment as the API takes it.
    pub(crate) fn at(&self) -> Option<String> {
        let at = std::time::UNIX_EPOCH + Duration::from_secs(self.at?);
        Some(humantime::format_rfc3339_seconds(at).to_string())
    }

    /// Whether the moment lay in the past when the server began with this answer.
    pub(crate) fn passed(&self, response: &Response) -> bool {
        match (self.at, seconds(response)) {
            (Some(at), Some(now)) => now >= at,
            // Without a clock nothing is pinned, and waiting would not help.
            _ => true,
        }
    }
}

/// A moment that lies after what this answer saw; see above.
fn moment(response: &Response) -> Option<u64> {
    seconds(response).map(|seconds| seconds + LATE)
}

/// The `Date` of an answer, which the server sets when it begins with the request, in seconds since 1970.
fn seconds(response: &Response) -> Option<u64> {
    let date = httpdate::parse_http_date(&response.header("date")?).ok()?;
    date.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}
