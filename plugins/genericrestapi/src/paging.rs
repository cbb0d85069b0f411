//! The ways in which APIs cut their lists into pages.

use std::collections::BTreeMap;

use infrahub_sync_adapter::{Error, Query, Response, Result, log};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::{Answer, escaped, id_key, pointer};

/// Records in a page, if the project does not say.
pub(crate) const PAGE_SIZE: u32 = 500;
/// The places at which systems give the address of the next page.
const NEXT: [&str; 9] = [
    "/next",
    "/links/next",
    "/links/next/href",
    "/_links/next/href",
    "/meta/next",
    "/meta/pagination/next",
    "/pagination/next",
    "/info/next",
    "/@odata.nextLink",
];
/// The places at which systems give the number of all objects.
const TOTALS: [&str; 8] = [
    "/total_count",
    "/total",
    "/totalCount",
    "/meta/total",
    "/meta/total_count",
    "/meta/pagination/count",
    "/meta/pagination/total",
    "/pagination/total",
];

/// The setting `pagination`: a word, or a way with its parameters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Pagination {
    Word(Type),
    Way(Way),
}

impl Default for Pagination {
    fn default() -> Pagination {
        Pagination::Word(Type::Auto)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    /// Whatever the first answer shows.
    Auto,
    /// One page.
    None,
    /// Position and number of records.
    Offset,
    /// Numbers of pages.
    Page,
    /// A token in the body, sent as a parameter.
    Cursor,
    /// An address in the body.
    Next,
    /// The header `Link`.
    Link,
}

/// A way of paging.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Way {
    #[serde(rename = "type")]
    kind: Type,
    /// Records in a page.
    size: Option<u32>,
    limit_param: Option<String>,
    offset_param: Option<String>,
    page_param: Option<String>,
    /// The number of the first page: 1, or 0.
    first_page: Option<u64>,
    cursor_param: Option<String>,
    /// The place of the token or address of the next page.
    next: Option<String>,
    /// The place of the number of all objects; `none` if the answer has none that counts.
    total: Option<String>,
}

/// A page in the list of a resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The address; none for the first page.
    pub(crate) url: Option<String>,
    /// The records before it.
    read: u64,
    /// Its number, from 0.
    page: u64,
    /// The id of the record before it, as JSON. The page repeats that record, so that a list that moves is noticed.
    last: Option<String>,
}

/// An answer, and what is known of it.
pub(crate) struct Seen<'a> {
    pub(crate) response: &'a Response,
    pub(crate) answer: &'a Answer,
    pub(crate) place: &'a Place,
    pub(crate) url: &'a str,
    /// The number of its records.
    pub(crate) number: Option<u64>,
    /// The dotted path of the ids, if the project says it.
    pub(crate) id: Option<&'a str>,
    /// The configured address.
    pub(crate) base: &'a str,
}

impl Pagination {
    /// Checks what the setting says.
    pub(crate) fn check(&self) -> Result<()> {
        match self.way() {
            Some(Way { kind: Type::Cursor, cursor_param: None, .. }) => {
                Err(Error::config("`pagination`: type `cursor` needs `cursor_param`, the parameter that takes the token of the next page"))
            }
            Some(Way { kind: Type::Cursor, next: None, .. }) => {
                Err(Error::config("`pagination`: type `cursor` needs `next`, the place of the token in the answer"))
            }
            Some(Way { size: Some(0), .. }) => Err(Error::config("`pagination`: `size` must be at least 1")),
            _ => Ok(()),
        }
    }

    fn way(&self) -> Option<&Way> {
        match self {
            Pagination::Word(_) => None,
            Pagination::Way(way) => Some(way),
        }
    }

    fn kind(&self) -> Type {
        match self {
            Pagination::Word(kind) => *kind,
            Pagination::Way(way) => way.kind,
        }
    }

    fn size(&self) -> u64 {
        self.way().and_then(|way| way.size).unwrap_or(PAGE_SIZE).into()
    }

    fn name<'s>(&'s self, of: impl Fn(&'s Way) -> &'s Option<String>, usual: &'s str) -> &'s str {
        self.way().and_then(|way| of(way).as_deref()).unwrap_or(usual)
    }

    fn first_page(&self) -> u64 {
        self.way().and_then(|way| way.first_page).unwrap_or(1)
    }

    /// Adds the parameters of the first page. `params`: those that the project sends with every request, which win.
    pub(crate) fn begin(&self, query: Query, params: &BTreeMap<String, Value>) -> Query {
        let limit = match (self.kind(), self.way()) {
            (Type::Offset, _) => Some(self.name(|way| &way.limit_param, "limit")),
            (_, Some(way)) => way.limit_param.as_deref(),
            _ => None,
        };
        let query = match limit.filter(|name| !params.contains_key(*name)) {
            Some(name) => query.with(name, self.size()),
            None => query,
        };
        match self.kind() {
            Type::Offset => query.with(self.name(|way| &way.offset_param, "offset"), 0),
            Type::Page => query.with(self.name(|way| &way.page_param, "page"), self.first_page()),
            _ => query,
        }
    }

    /// Returns the next page.
    ///
    /// # Errors
    /// `conflict` when the list moved, `remote` when a page leads to itself.
    pub(crate) fn next(&self, seen: &Seen<'_>) -> Result<Option<Place>> {
        seen.check_overlap()?;
        let next = match self.kind() {
            Type::None => None,
            Type::Link => seen.link(),
            Type::Next => self.at_next(seen).and_then(|json| seen.address(&json)),
            Type::Cursor => self
                .at_next(seen)
                .and_then(|json| token(&json))
                .map(|token| seen.place(with_parameter(seen.url, self.name(|way| &way.cursor_param, "cursor"), &token))),
            Type::Offset => self.next_offset(seen, self.name(|way| &way.offset_param, "offset")),
            Type::Page => self.next_page(seen, self.name(|way| &way.page_param, "page")),
            Type::Auto => self.recognised(seen),
        };
        if next.as_ref().is_some_and(|next| next.url.as_deref() == Some(seen.url)) {
            return Err(Error::remote(format!("the page {} names itself as the next one: set `pagination`", seen.url)));
        }
        Ok(next)
    }

    fn at_next(&self, seen: &Seen<'_>) -> Option<String> {
        seen.json(&pointer(self.name(|way| &way.next, "next")))
    }

    fn next_offset(&self, seen: &Seen<'_>, parameter: &str) -> Option<Place> {
        let number = seen.number?;
        let read = seen.read(number);
        let is_done = match self.total(seen.response, true) {
            Some(total) => read >= total || number == 0,
            None => number < self.size(),
        };
        if is_done {
            return None;
        }
        // Without the id of the last record, the pages only touch.
        let last = seen.id_at(number.saturating_sub(1));
        let offset = if last.is_some() { read.saturating_sub(1) } else { read };
        Some(Place { url: Some(with_parameter(seen.url, parameter, &offset.to_string())), read, page: seen.place.page + 1, last })
    }

    fn next_page(&self, seen: &Seen<'_>, parameter: &str) -> Option<Place> {
        let number = seen.number?;
        let read = seen.read(number);
        let pages = ["/pages", "/total_pages", "/last_page", "/meta/total_pages", "/meta/last_page", "/meta/pagination/total_pages"];
        let pages = pages.iter().find_map(|place| seen.integer(place));
        let page = seen.place.page + 1;
        let is_done = match (pages, self.total(seen.response, true)) {
            (Some(pages), _) => page >= pages,
            (None, Some(total)) => read >= total,
            (None, None) => self.way().and_then(|way| way.size).is_some_and(|size| number < u64::from(size)),
        };
        if is_done || number == 0 {
            return None;
        }
        let url = with_parameter(seen.url, parameter, &(page + self.first_page()).to_string());
        Some(Place { url: Some(url), read, page, last: None })
    }

    /// Recognises the way by the answer.
    fn recognised(&self, seen: &Seen<'_>) -> Option<Place> {
        let say = |way: &str| {
            if seen.place.url.is_none() {
                log::info(&format!("{}: {way}", seen.url.split('?').next().unwrap_or(seen.url)));
            }
        };
        if let Some(place) = seen.link() {
            say("pages by the header `Link`");
            return Some(place);
        }
        for next in NEXT {
            if let Some(place) = seen.json(next).and_then(|json| seen.address(&json)) {
                say(&format!("pages by the address at `{next}`"));
                return Some(place);
            }
        }
        for level in ["", "/meta", "/pagination", "/meta/pagination"] {
            let at = |name: &str| seen.integer(&format!("{level}/{name}"));
            if at("offset").is_some() && at("limit").is_some() && self.total(seen.response, true).is_some() {
                let next = self.next_offset(seen, "offset")?;
                say("pages by `offset` and `limit`");
                return Some(next);
            }
            let number = at("page").or_else(|| at("current_page"));
            let last = at("pages").or_else(|| at("total_pages")).or_else(|| at("last_page"));
            if let (Some(number), Some(last)) = (number, last) {
                if number >= last || seen.number == Some(0) {
                    return None;
                }
                say("pages by `page`");
                return Some(seen.place(with_parameter(seen.url, "page", &(number + 1).to_string())));
            }
        }
        None
    }

    /// Returns the number of objects that the answer reports. `paged`: the list has more than one page.
    pub(crate) fn total(&self, response: &Response, paged: bool) -> Option<u64> {
        let own = self.way().and_then(|way| way.total.as_deref());
        let places: Vec<String> = match own {
            Some("none") => Vec::new(),
            Some(place) => vec![pointer(place)],
            None => TOTALS.iter().map(|place| (*place).to_owned()).collect(),
        };
        let found = integers(response, &places);
        if let Some(total) = found.into_iter().flatten().next() {
            return Some(total);
        }
        // `count` may be that of the page: it is the list's beside an address of the next page, or where there is one page.
        let [count, next] = <[Option<String>; 2]>::try_from(response.json(&["/count", "/next"])).ok()?;
        let count = count?.parse().ok()?;
        (own.is_none() && (next.is_some() || !paged)).then_some(count)
    }
}

impl Seen<'_> {
    fn json(&self, pointer: &str) -> Option<String> {
        self.response.json(&[pointer]).pop().flatten()
    }

    fn integer(&self, pointer: &str) -> Option<u64> {
        integers(self.response, &[pointer.to_owned()]).pop().flatten()
    }

    /// Returns the records read with this page. The first one may be the last one of the page before.
    fn read(&self, number: u64) -> u64 {
        self.place.read + number.saturating_sub(u64::from(self.place.last.is_some()))
    }

    fn place(&self, url: String) -> Place {
        Place { url: Some(url), read: self.read(self.number.unwrap_or_default()), page: self.place.page + 1, last: None }
    }

    /// Returns the id of a record, as JSON.
    fn id_at(&self, record: u64) -> Option<String> {
        let record = format!("{}/{record}", self.answer.pointer);
        match self.id {
            Some(path) => self.json(&format!("{record}{}", pointer(path))),
            None => {
                let key = id_key(&self.json(&record)?).ok()?.unwrap_or_else(|| "id".to_owned());
                self.json(&format!("{record}/{}", escaped(&key)))
            }
        }
    }

    fn check_overlap(&self) -> Result<()> {
        match &self.place.last {
            Some(last) if self.id_at(0).as_ref() != Some(last) => Err(Error::conflict(format!(
                "the list moved while it was read: the page {} does not begin with the record that it began with",
                self.url
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the page that the header `Link` names as the next one (RFC 8288).
    fn link(&self) -> Option<Place> {
        let header = self.response.header("link")?;
        let next = header.split(',').find(|link| {
            let parameters = link.split_once('>').map_or("", |(_, parameters)| parameters);
            parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=next" | "rel=\"next\""))
        })?;
        let target = next.trim().strip_prefix('<')?.split('>').next()?;
        Some(self.place(self.absolute(target)))
    }

    /// Returns the page at an address in the body.
    fn address(&self, json: &str) -> Option<Place> {
        let text: String = serde_json::from_str(json).ok()?;
        let is_address = text.starts_with("http://") || text.starts_with("https://") || text.starts_with('/') || text.starts_with('?');
        is_address.then(|| self.place(self.absolute(&text)))
    }

    /// Returns an address below the configured one. Behind a proxy, servers name themselves by another scheme.
    fn absolute(&self, address: &str) -> String {
        if address.starts_with('?') {
            return format!("{}{address}", self.url.split('?').next().unwrap_or(self.url));
        }
        let base = self.base.trim_end_matches('/');
        let (host, base_path) = host_and_path(base);
        let (other, path) = host_and_path(address);
        if !address.starts_with('/') && !other.eq_ignore_ascii_case(host) {
            return address.to_owned();
        }
        let path = if address.starts_with('/') { address } else { path };
        path.strip_prefix(base_path).filter(|rest| rest.starts_with('/')).unwrap_or(path).to_owned()
    }
}

fn host_and_path(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

fn integers(response: &Response, places: &[String]) -> Vec<Option<u64>> {
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    response.json(&places).into_iter().map(|json| json?.trim_matches('"').parse().ok()).collect()
}

/// Returns a token as the text of a parameter; none for one that says that there are no more pages.
fn token(json: &str) -> Option<String> {
    match serde_json::from_str(json).ok()? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns an address with another value of a parameter.
fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let others: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name)).collect();
    let path = if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) };
    Query::new(&path).with(name, value).to_string()
}
