//! Reads only the records modified since the last run.
//!
//! Records saved since then have a later time of their last change, by which the systems filter. That is not enough for values that live in other objects
//! ([`depends`](crate::depends)): the change log ([`changes`](crate::changes)) says whether any of those changed. Where the system does not tell, the answer is
//! `unsupported`, and the host reads that list in full.
//!
//! The log is read before the records. Its time is the next watermark, so changes between the two are in the next log.

use std::time::Duration;

use infrahub_sync_adapter::{Error, ErrorKind, LoadRequest, Moment, Page, Payload, Result};
use serde::Deserialize;

use crate::Api;
use crate::changes::Log;
use crate::list::List;

/// The time before the watermark from which changes are read.
///
/// NetBox sets `last_updated`, and the time of an entry in the log, while it saves an object. Others see it only when the transaction ends:
/// after all objects of a bulk import, or of a script, which NetBox lets run for five minutes (`RQ_DEFAULT_TIMEOUT`). One minute more is for
/// the `Date` of an answer, which is set when the answer is finished and not when the database was read, and for the clocks of several
/// servers. Records that are read twice do no harm.
const OVERLAP: Duration = Duration::from_mins(6);

#[derive(Deserialize)]
struct Records {
    results: Vec<Dated>,
}

#[derive(Deserialize)]
struct Dated {
    #[serde(alias = "updated")]
    last_updated: Option<String>,
}

/// Returns a page of the records modified since.
pub(crate) fn load(api: &Api, path: &str, request: &LoadRequest, since: &str) -> Result<Page> {
    let resource = &request.resource;
    let watermark: Moment =
        since.parse().map_err(|_| Error::unsupported(format!("`{since}` is not the time of a load from {}", api.system.name)))?;
    let asked = watermark - OVERLAP;
    let (field, filter) = api.system.updated;
    let list = List::new(api, path, request).with_field(field).with_filter(filter, asked);
    if request.cursor.is_some() {
        return changed(api, &list, resource, asked);
    }
    let log = Log::since(api, asked)?;
    check_others(api, request, log.as_ref(), asked)?;
    let page = changed(api, &list, resource, asked)?;
    let Some(log) = log else {
        return Ok(Page { total: list.total()?, ..page });
    };
    let page = page.with_watermark(&log.watermark().to_string());
    Ok(match log.deleted(api, resource, path, asked)? {
        Some(ids) => page.with_deleted(ids),
        None => Page { total: list.total()?, ..page },
    })
}

/// Checks that records that were not saved have not changed either.
fn check_others(api: &Api, request: &LoadRequest, log: Option<&Log>, asked: Moment) -> Result<()> {
    let resource = &request.resource;
    // Without paths, whole records are read.
    let whole = [String::new()];
    for path in if request.fields.is_empty() { whole.as_slice() } else { request.fields.as_slice() } {
        for need in api.system.models.needs(resource, path) {
            let Some(log) = log else {
                return Err(Error::unsupported(format!(
                    "`{path}` of `{resource}` may change with other objects, and {}'s change log cannot be read to see that",
                    api.system.name
                )));
            };
            if !log.meets(need, asked, api)? {
                return Err(Error::unsupported(format!("`{path}` of `{resource}` may have changed with other objects that changed")));
            }
        }
    }
    Ok(())
}

/// Returns a page of the records that were saved since.
fn changed(api: &Api, list: &List<'_>, resource: &str, asked: Moment) -> Result<Page> {
    let page = list.page().map_err(|error| match error.http_status {
        // Strict lists reject an unknown filter.
        Some(400) => Error { kind: ErrorKind::Unsupported, ..error },
        _ => error,
    })?;
    // Others ignore it, and return all records.
    let dated = match &page.payload {
        Payload::Document(document) if !document.pointer.is_empty() => {
            let records: Records = document.response.parse()?;
            let at = |record: &Dated| record.last_updated.as_deref()?.parse::<Moment>().ok();
            records.results.iter().all(|record| at(record).is_some_and(|at| at >= asked))
        }
        _ => false,
    };
    if dated { Ok(page) } else { Err(Error::unsupported(format!("{} does not tell what changed in `{resource}`", api.system.name))) }
}
