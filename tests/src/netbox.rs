//! A NetBox that is played: a network of any size that does not change, in as many lists as a few kinds need, answered as NetBox 4.7 answers.
//!
//! Tests use it for effects of the size or the quiet of a network: the number of requests of a run, and its cost on this side.

use infrahub_sync_test_server::{Answer, Server};

/// The fields that all records have beside their own.
const SAVED: &str = "2026-01-02T03:04:05.000000Z";

/// The lists, with the share of all objects that each has; interfaces are the rest.
const SITES: usize = 100;
const DEVICES: usize = 5;
const TAGS: usize = 20;

/// A mapping of the lists to kinds of the schema that the fake Infrahub has.
pub const MAPPING: &str = "
schema_mapping:
  - name: LocationSite
    mapping: dcim.sites
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: description, mapping: description}]
  - name: InfraTag
    mapping: extras.tags
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: InfraDevice
    mapping: dcim.devices
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: status, mapping: status.value}
      - {name: height, mapping: position}
      - {name: comments, mapping: comments}
      - {name: site, mapping: site, reference: LocationSite}
      - {name: tags, mapping: tags, reference: InfraTag}
  - name: InfraInterface
    mapping: dcim.interfaces
    identifiers: [device, name]
    fields:
      - {name: name, mapping: name}
      - {name: enabled, mapping: enabled}
      - {name: mtu, mapping: mtu}
      - {name: device, mapping: device, reference: InfraDevice}
";

/// The server.
#[derive(Debug)]
pub struct PlayedNetBox(Server);

/// A list: its path, and its records in the order of their ids, which are 1, 2, 3 …
struct List {
    path: &'static str,
    records: Vec<String>,
}

fn lists(objects: usize) -> Vec<List> {
    let (sites, devices) = ((objects / SITES).max(1), (objects / DEVICES).max(1));
    let interfaces = objects.saturating_sub(sites + devices + TAGS);
    let list = |path: &'static str, count: usize, one: &dyn Fn(usize) -> String| List {
        path,
        records: (0..count).map(|at| format!("{{\"id\":{},{},\"last_updated\":\"{SAVED}\"}}", at + 1, one(at))).collect(),
    };
    vec![
        list("/api/dcim/sites/", sites, &|at| format!("\"name\":\"site-{at:05}\",\"description\":\"site number {at}, made for timing\"")),
        list("/api/extras/tags/", TAGS, &|at| format!("\"name\":\"tag-{at:02}\"")),
        list("/api/dcim/devices/", devices, &|at| {
            let status = if at % 7 == 0 { "planned" } else { "active" };
            let (tag, other) = (at % TAGS + 1, (at + 1) % TAGS + 1);
            format!(
                "\"name\":\"device-{at:06}\",\"status\":{{\"value\":\"{status}\",\"label\":\"shown\"}},\"position\":{},\
                 \"comments\":\"device number {at}, made for timing\",\"site\":{{\"id\":{},\"name\":\"shown\"}},\
                 \"tags\":[{{\"id\":{tag},\"name\":\"shown\"}},{{\"id\":{other},\"name\":\"shown\"}}]",
                at % 48,
                at % sites + 1,
            )
        }),
        list("/api/dcim/interfaces/", interfaces, &|at| {
            format!(
                "\"name\":\"Ethernet{}\",\"enabled\":{},\"mtu\":{},\"device\":{{\"id\":{},\"name\":\"shown\"}}",
                at / devices,
                at % 3 != 0,
                1500 + at % 7,
                at % devices + 1,
            )
        }),
    ]
}

/// Returns the value of a parameter.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn answer(lists: &[List], url_of: &str, url: &str) -> Option<String> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    if path == "/api/core/object-types/" {
        let tags =
            "{\"app_label\":\"extras\",\"model\":\"tag\",\"features\":[\"change_logging\"],\"rest_api_endpoint\":\"/api/extras/tags/\"}";
        return Some(format!("{{\"count\":1,\"next\":null,\"previous\":null,\"results\":[{tags}]}}"));
    }
    let empty = List { path: "", records: Vec::new() };
    let list = match path {
        // Nobody edits.
        "/api/core/object-changes/" => &empty,
        _ => lists.iter().find(|list| list.path == path)?,
    };
    let limit = parameter(query, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(50);
    // pynetbox asks for all of it with 0; NetBox gives a thousand then.
    let limit = if limit == 0 { 1000 } else { limit };
    // All was saved long ago, so that who asks what was saved since gets nothing.
    let filtered = parameter(query, "last_updated__gte").is_some();
    let records: &[String] = if filtered { &[] } else { &list.records };
    let number = |name: &str| parameter(query, name).and_then(|number| number.parse::<usize>().ok());
    let Some(start) = number("start") else {
        // By offset, as pynetbox asks.
        let from = number("offset").unwrap_or(0).min(records.len());
        let end = (from + limit).min(records.len());
        let page = records.get(from..end).unwrap_or(&[]).join(",");
        let next = if end < records.len() { format!("\"{url_of}{path}?limit={limit}&offset={end}\"") } else { "null".to_owned() };
        return Some(format!("{{\"count\":{},\"next\":{next},\"previous\":null,\"results\":[{page}]}}", records.len()));
    };
    let from = start.saturating_sub(1).min(records.len());
    let page = records.get(from..(from + limit).min(records.len())).unwrap_or(&[]);
    let next = match from + page.len() {
        end if end < records.len() => format!("\"{url_of}{path}?limit={limit}&start={}\"", end + 1),
        _ => "null".to_owned(),
    };
    Some(format!("{{\"count\":null,\"next\":{next},\"previous\":null,\"results\":[{}]}}", page.join(",")))
}

impl PlayedNetBox {
    /// Starts a NetBox with N objects.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start(objects: usize) -> PlayedNetBox {
        let lists = lists(objects);
        PlayedNetBox(Server::start(move |request| {
            let url = format!("http://{}", request.header("host"));
            // The adapter asks later for what was saved since then.
            let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            match answer(&lists, &url, &request.target) {
                Some(body) => Answer::json(body).header("date", &date).into(),
                None => Answer::json("{\"detail\":\"Not found.\"}").with_status(404).header("date", &date).into(),
            }
        }))
    }

    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Returns the number of requests so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.0.count()
    }
}
