//! Incremental reads, as far as the project says how the system selects modified records.

use std::time::Duration;

use infrahub_sync_adapter::{Error, Moment, Page, Query, Response, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::Answer;

/// Changes show up late: transactions take time, and some servers answer from a cache of a quarter of an hour.
const MARGIN: Duration = Duration::from_secs(20 * 60);

/// The setting `since`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Since {
    /// The query parameter.
    param: String,
    #[serde(default)]
    format: Format,
    /// `field: value` of records that stand for deleted objects, where the system returns them.
    #[serde(default)]
    deleted: Option<Deleted>,
}

/// How the system writes a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Iso,
    /// Seconds since 1970.
    Epoch,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deleted {
    field: String,
    value: Value,
}

impl Since {
    /// Selects the records modified since a moment, which an earlier run noted.
    pub(crate) fn select(&self, query: Query, moment: &str) -> Result<Query> {
        let moment: Moment = moment.parse().map_err(|_| Error::internal(format!("`{moment}` is not a moment of this adapter")))?;
        Ok(match self.format {
            Format::Iso => query.with(&self.param, moment),
            Format::Epoch => query.with(&self.param, moment.as_seconds()),
        })
    }

    /// Returns the moment of an answer by the server's clock; none where it does not say the time.
    pub(crate) fn watermark(&self, response: &Response) -> Option<String> {
        response.date().map(|moment| (moment - MARGIN).to_string())
    }

    /// Makes a page of modified records, without those that were deleted.
    pub(crate) fn page(&self, response: &Response, answer: &Answer, id: Option<&str>) -> Result<Page> {
        let mut deleted = Vec::new();
        let mut kept = Vec::new();
        for mut record in answer.records(response)? {
            if let Some(own) = id.and_then(|path| record.pointer(&crate::answer::pointer(path))).cloned() {
                record["id"] = own;
            }
            match self.deleted.as_ref().filter(|mark| record.get(&mark.field) == Some(&mark.value)) {
                Some(_) => deleted.extend(record.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned))),
                None => kept.push(record),
            }
        }
        let page = Page::records(kept)?;
        Ok(if self.deleted.is_some() { page.with_deleted(deleted) } else { page })
    }
}
