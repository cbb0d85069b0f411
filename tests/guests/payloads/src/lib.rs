//! A guest for timing: the same 1000 devices a page in each form that a page can have.
//!
//! | `payload` | what the guest does |
//! |---|---|
//! | `document` | asks for the page and hands the response back |
//! | `json-lines` | has the records in its memory and writes them as JSON lines |
//! | `columns` | has them in its memory and packs them into columns |
//! | `parsed-json-lines` | copies the body in, parses it, writes JSON lines: an adapter that must look at each record |
//! | `parsed-columns` | copies the body in, parses it, packs columns |

pub mod device;
mod pack;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use infrahub_sync_adapter::{Adapter, Addressing, Error, LoadRequest, Manifest, Page, Payload, Response, Result, Setting, http, settings};
use serde::Deserialize;

use device::Device;

/// The number of different pages. They repeat without end, so that a million records need no gigabytes.
pub const PAGES: u32 = 10;
/// Records of a page.
pub const PAGE_SIZE: u32 = 1000;

/// Returns the path of a page, below the address.
#[must_use]
pub fn path(page: u32) -> String {
    format!("/devices/?page={}", page % PAGES)
}

/// Returns the answer to the request for a page.
#[must_use]
pub fn body(page: u32) -> String {
    let first = (page % PAGES) * PAGE_SIZE;
    let records: Vec<String> = (first..first + PAGE_SIZE).map(device::record).collect();
    format!(
        r#"{{"count":{},"next":"http://replay.invalid{}","previous":null,"results":[{}]}}"#,
        PAGES * PAGE_SIZE,
        path(page + 1),
        records.join(",")
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    Document,
    JsonLines,
    Columns,
    ParsedJsonLines,
    ParsedColumns,
}

#[derive(Deserialize)]
struct Settings {
    payload: Form,
}

/// The adapter.
pub struct Payloads {
    form: Form,
    /// The records of the pages seen, for the forms that begin with records in memory.
    pages: RefCell<BTreeMap<u32, Rc<Vec<Device>>>>,
}

impl Payloads {
    fn records(&self, page: u32) -> Result<Rc<Vec<Device>>> {
        if matches!(self.form, Form::ParsedJsonLines | Form::ParsedColumns) {
            return Ok(Rc::new(parse(&get(page)?)?));
        }
        if let Some(known) = self.pages.borrow().get(&(page % PAGES)) {
            return Ok(known.clone());
        }
        let records = Rc::new(parse(&get(page)?)?);
        self.pages.borrow_mut().insert(page % PAGES, records.clone());
        Ok(records)
    }
}

fn get(page: u32) -> Result<Response> {
    http::get(path(page)).send()?.success("the devices")
}

fn parse(response: &Response) -> Result<Vec<Device>> {
    #[derive(Deserialize)]
    struct Body {
        results: Vec<Device>,
    }
    Ok(response.parse::<Body>()?.results)
}

impl Adapter for Payloads {
    fn manifest() -> Manifest {
        Manifest::new("payloads", env!("CARGO_PKG_VERSION"), "the same records in each form that a page can have")
            .with_setting(Setting::text("address", "never asked: its answers are recorded"))
            .with_setting(
                Setting::text("payload", "document, json-lines, columns, parsed-json-lines or parsed-columns").with_default("document"),
            )
            .with_address("address")
            .with_source(Addressing::Mapping)
            .with_page_size(PAGE_SIZE)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Payloads> {
        let Settings { payload } = settings::parse(settings)?;
        Ok(Payloads { form: payload, pages: RefCell::default() })
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.resource != "devices" {
            return Err(Error::config("there are only `devices`"));
        }
        let page: u32 = request.cursor_as()?.unwrap_or(0);
        let made = match self.form {
            Form::Document => Page::document(get(page)?, "/results"),
            Form::JsonLines | Form::ParsedJsonLines => Page::records(self.records(page)?.iter())?,
            Form::Columns | Form::ParsedColumns => Page::new(Payload::Columns(pack::columns(&self.records(page)?, &request.fields)?)),
        };
        made.with_next(Some(page + 1))
    }
}

infrahub_sync_adapter::export_adapter!(Payloads);

#[cfg(test)]
mod tests {
    use infrahub_sync_adapter::testing::{first_page, reset, respond};
    use infrahub_sync_adapter::{Adapter, Payload};

    use super::*;

    #[test]
    fn every_form_has_the_same_names() {
        for form in ["document", "json-lines", "columns", "parsed-json-lines", "parsed-columns"] {
            reset();
            respond("GET", &path(0), 200, body(0));
            let adapter = Payloads::configure(&format!(r#"{{"payload": "{form}"}}"#)).unwrap();
            let page = adapter.load(&first_page("devices", &["name"])).unwrap();
            match page.payload {
                Payload::Document(document) => assert_eq!(document.response.count("/results"), Some(1000)),
                Payload::JsonLines(lines) => assert_eq!(lines.split(|byte| *byte == b'\n').count(), 1001),
                // The id comes along, whether it was asked for or not.
                Payload::Columns(columns) => assert_eq!((columns.rows, columns.columns.len()), (1000, 2)),
            }
        }
    }
}
