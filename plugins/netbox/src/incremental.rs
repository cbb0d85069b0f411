//! Reading only what changed since the last time.
//!
//! Records that were saved since have a later `last_updated`, which NetBox filters by. That is not enough for values that live in other objects
//! ([`depends`]): the change log ([`changes`]) says whether any of those was changed. Whatever cannot be told is `unsupported`, and the
//! host reads that list in full.
//!
//! The log is read before the records. Its moment is the next watermark, so that what changes between the two is in the next log.

use infrahub_sync_adapter::{Error, ErrorKind, LoadRequest, Page, Payload, Result};
use jiff::Timestamp;
use serde::Deserialize;

use crate::changes::Log;
use crate::read::List;
use crate::{clock, depends};

#[derive(Deserialize)]
struct Records {
    results: Vec<Dated>,
}

#[derive(Deserialize)]
struct Dated {
    last_updated: Option<String>,
}

/// A page of what changed since.
pub(crate) fn load(api: &str, path: &str, request: &LoadRequest, since: &str) -> Result<Page> {
    let resource = &request.resource;
    let asked = clock::asked(since).ok_or_else(|| Error::unsupported(format!("`{since}` is no moment of a load from NetBox")))?;
    let list = List::new(path, request).with_field("last_updated").with_filter("last_updated__gte", asked);
    if request.cursor.is_some() {
        return changed(&list, resource, asked);
    }
    let log = Log::since(api, asked)?;
    stays(api, request, log.as_ref(), asked)?;
    let page = changed(&list, resource, asked)?;
    let Some(log) = log else {
        return Ok(Page { total: list.total()?, ..page });
    };
    let page = Page { watermark: log.watermark().map(|at| at.to_string()), ..page };
    Ok(match log.deleted(api, resource, path, asked)? {
        Some(ids) => page.with_deleted(ids),
        None => Page { total: list.total()?, ..page },
    })
}

/// Whether records that were not saved are as they were.
fn stays(api: &str, request: &LoadRequest, log: Option<&Log>, asked: Timestamp) -> Result<()> {
    let resource = &request.resource;
    // No paths: whole records, with all that is in them.
    let whole = [String::new()];
    for path in if request.fields.is_empty() { whole.as_slice() } else { request.fields.as_slice() } {
        for need in depends::needs(resource, path) {
            let Some(log) = log else {
                return Err(Error::unsupported(format!(
                    "`{path}` of `{resource}` may change with other objects, and there is no change log of NetBox to see that by"
                )));
            };
            if !log.gives(need, asked, api)? {
                return Err(Error::unsupported(format!(
                    "`{path}` of `{resource}` may have changed with other objects, which have changed"
                )));
            }
        }
    }
    Ok(())
}

/// A page of the records that were saved since.
fn changed(list: &List<'_>, resource: &str, asked: Timestamp) -> Result<Page> {
    let page = list.page().map_err(|error| match error.http_status {
        // Strict lists refuse a filter that they do not know.
        Some(400) => Error { kind: ErrorKind::Unsupported, ..error },
        _ => error,
    })?;
    // Others ignore it, and answer with all records.
    let dated = match &page.payload {
        Payload::Document(document) if !document.pointer.is_empty() => {
            let records: Records = document.response.parse()?;
            records.results.iter().all(|record| record.last_updated.as_deref().and_then(clock::moment).is_some_and(|at| at >= asked))
        }
        _ => false,
    };
    if dated { Ok(page) } else { Err(Error::unsupported(format!("NetBox cannot tell what changed in `{resource}`"))) }
}
