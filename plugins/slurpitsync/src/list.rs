//! Reads a list page by page.
//!
//! Slurp'it pages by offset, and a list that moves would lose rows. So after each page, the row before it must still be at its place; else the
//! load fails as a conflict, and the host reads the list again. Many rows have no ids, so a page that repeats a row would double it.

use infrahub_sync_adapter::{Error, LoadRequest, Page, Query, Response, Result, http};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{PAGE_SIZE, SLURPIT};

/// A list of Slurp'it.
pub(crate) struct List<'l> {
    /// The name for messages.
    name: String,
    path: &'l str,
    /// The body of a search, without its page; null for a GET.
    search: Value,
    /// Columns with numbers that the API writes as text in part.
    numbers: &'l [&'l str],
}

/// A page of a list.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    start: u64,
    /// The row before it, as JSON.
    last: Option<String>,
}

impl<'l> List<'l> {
    pub(crate) fn get(name: &str, path: &'l str, numbers: &'l [&'l str]) -> List<'l> {
        List { name: name.to_owned(), path, search: Value::Null, numbers }
    }

    pub(crate) fn search(slug: &str, search: Value) -> List<'static> {
        List { name: format!("{}{slug}", crate::PLANNING), path: "planning/search", search, numbers: &[] }
    }

    /// Makes the requested page.
    pub(crate) fn page(&self, request: &LoadRequest) -> Result<Page> {
        let (response, pointer, next) = self.read(&request.cursor_as()?.unwrap_or_default(), request.page_size)?;
        let is_asked = |name: &&str| request.top_level_fields().contains(name) && *name != "id";
        let page = if self.numbers.iter().any(is_asked) {
            Page::records(self.numbered(response.get(pointer)?))?
        } else {
            Page::document(response, pointer)
        };
        page.with_next(next)
    }

    /// Makes the requested page of rows that `change` makes of those of the list.
    pub(crate) fn changed_page(&self, request: &LoadRequest, change: impl FnOnce(Vec<Value>) -> Vec<Value>) -> Result<Page> {
        let (response, pointer, next) = self.read(&request.cursor_as()?.unwrap_or_default(), request.page_size)?;
        Page::records(change(response.get(pointer)?))?.with_next(next)
    }

    /// Returns all rows.
    pub(crate) fn all(&self) -> Result<Vec<Value>> {
        let (mut rows, mut place) = (Vec::new(), Place::default());
        loop {
            let (response, pointer, next) = self.read(&place, PAGE_SIZE)?;
            rows.extend(response.get::<Vec<Value>>(pointer)?);
            match next {
                Some(next) => place = next,
                None => return Ok(rows),
            }
        }
    }

    /// Reads a page; returns the answer, the place of the rows, and the next page.
    fn read(&self, place: &Place, size: u32) -> Result<(Response, &'static str, Option<Place>)> {
        let (response, pointer, number) = self.rows(place.start, size)?;
        let row = |response: &Response, pointer: &str, row: u64| response.json(&[&format!("{pointer}/{row}")]).pop().flatten();
        if place.last.is_some() {
            let (before, pointer, _) = self.rows(place.start.saturating_sub(1), 1)?;
            if row(&before, pointer, 0) != place.last {
                let message = format!("`{}` moved while it was read: the row before {} is another one", self.name, place.start);
                return Err(Error::conflict(message));
            }
        }
        // A server that gives fewer rows than it is asked for has no more of them.
        let next = (number >= size.into())
            .then(|| Place { start: place.start + number, last: number.checked_sub(1).and_then(|last| row(&response, pointer, last)) });
        Ok((response, pointer, next))
    }

    /// Asks for rows; returns the answer, and the place and number of the rows.
    fn rows(&self, offset: u64, limit: u32) -> Result<(Response, &'static str, u64)> {
        let path = format!("/api/{}", self.path);
        let request = match &self.search {
            Value::Object(search) => {
                let page = [("offset".to_owned(), offset.into()), ("limit".to_owned(), limit.into())];
                http::post(path, &search.clone().into_iter().chain(page).collect::<Map<String, Value>>())?.only_reads()
            }
            _ => http::get(Query::new(&path).with("offset", offset).with("limit", limit)),
        };
        let response = SLURPIT.success(&self.name, request.send()?)?;
        let found = ["/rows", ""].into_iter().find_map(|pointer| Some((pointer, u64::from(response.count(pointer)?))));
        match found {
            Some((pointer, number)) => Ok((response, pointer, number)),
            None => Err(SLURPIT.unexpected(&self.name, &response)),
        }
    }

    /// Makes numbers of the columns that the API writes as text.
    fn numbered(&self, mut rows: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
        for row in &mut rows {
            for name in self.numbers {
                if let Some(number) = row.get(*name).and_then(Value::as_str).and_then(|text| text.trim().parse::<i64>().ok()) {
                    row.insert((*name).to_owned(), number.into());
                }
            }
        }
        rows
    }
}
