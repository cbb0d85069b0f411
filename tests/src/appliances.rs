//! Three systems that know a network: IP Fabric, Slurp'it and Cisco's APIC, as far as their own clients and our adapters ask them.
//!
//! Each has lists of rows, pages, a credential that expires, and refusals of its own shape. The differences are in [`Dialect`]. Faults are set
//! for the requests of pages, by their number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use serde_json::{Map, Value, json};

/// The API token that IP Fabric and Slurp'it take.
pub const TOKEN: &str = "token-of-the-network-0001";
/// The user of IP Fabric and the APIC, and the password.
pub const USER: (&str, &str) = ("reader", "pass\"word\\of the network");
/// The snapshot that `$last` stands for.
pub const LAST: &str = "0b9c8d5e-0000-4000-8000-000000000002";
/// The age of a session that expires: a host takes a younger one for valid.
const AGE: Duration = Duration::from_millis(5200);
/// The most objects of one answer of an APIC.
const APIC_MAX: usize = 100_000;
/// The snapshots: id, state, end.
const SNAPSHOTS: [(&str, &str, u64); 3] = [
    ("0b9c8d5e-0000-4000-8000-000000000003", "unloaded", 1_764_000_300_000),
    (LAST, "loaded", 1_764_000_200_000),
    ("0b9c8d5e-0000-4000-8000-000000000001", "loaded", 1_764_000_100_000),
];

/// The systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// IP Fabric 8.0: tables of snapshots, read by a POST with columns.
    IpFabric,
    /// IP Fabric 7.3: the same, with the version in each path.
    IpFabric7,
    /// Slurp'it: lists by offset, and results of plannings.
    Slurpit,
    /// Cisco's APIC: objects by class, a login, text in all attributes.
    Apic,
}

/// A fault of the answer to a request of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The session has expired.
    Expired,
    /// A status without a body.
    Status(u16),
    /// The connection breaks within the body.
    Cut,
    /// The first row of the list is deleted before the request is answered.
    Deleted,
    /// The first row is deleted, and another one is added at the end: the number of rows stays.
    Moved,
}

type Row = Map<String, Value>;

/// A list: its columns, if it refuses others, and its rows.
#[derive(Debug, Clone, Default)]
struct List {
    columns: Option<Vec<String>>,
    rows: Vec<Row>,
    is_sorted: bool,
}

impl List {
    /// Returns the rows that have a value in a column.
    fn filled<'l>(&'l self, column: Option<&'l str>) -> impl Iterator<Item = &'l Row> {
        self.rows.iter().filter(move |row| column.is_none_or(|column| row.get(column).is_some_and(|value| !value.is_null() && value != "")))
    }
}

#[derive(Debug)]
struct State {
    dialect: Dialect,
    lists: BTreeMap<String, List>,
    /// The fault of the n-th request of a page, from 0.
    faults: BTreeMap<usize, Fault>,
    pages: usize,
    /// Counts sessions: only the last one is valid.
    session: usize,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Appliance {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Appliance {
    /// Starts a server without lists.
    #[must_use]
    pub fn start(dialect: Dialect) -> Appliance {
        let state = State { dialect, lists: BTreeMap::new(), faults: BTreeMap::new(), pages: 0, session: 0 };
        let state = Arc::new(Mutex::new(state));
        let served = state.clone();
        let server = Server::start(move |request| lock(&served).answer(request));
        Appliance { server, state }
    }

    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Returns the requests since the last call: method and target.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, String)> {
        self.server.take().into_iter().map(|request| (request.method, request.target)).collect()
    }

    /// Returns the bodies of the requests since the last call whose path ends so.
    #[must_use]
    pub fn bodies(&self, end: &str) -> Vec<Value> {
        let fits = |request: &Request| request.path().ends_with(end);
        self.server.take().iter().filter(|request| fits(request)).filter_map(|request| serde_json::from_slice(&request.body).ok()).collect()
    }

    /// Adds a list: a table (`tables/inventory/devices`), a path (`devices`), the slug of a planning, or a class.
    ///
    /// # Panics
    /// When a row is not an object.
    pub fn put(&self, list: &str, rows: impl IntoIterator<Item = Value>) {
        let rows = rows.into_iter().map(|row| row.as_object().cloned().expect("a row is an object")).collect();
        let mut state = lock(&self.state);
        let list = state.lists.entry(list.to_owned()).or_default();
        (list.rows, list.is_sorted) = (rows, false);
    }

    /// Says which columns a table has: others are refused.
    pub fn columns(&self, list: &str, columns: &[&str]) {
        lock(&self.state).lists.entry(list.to_owned()).or_default().columns = Some(columns.iter().map(|name| (*name).to_owned()).collect());
    }

    /// Makes the n-th request of a page fail, counted from 0 and from now on.
    pub fn fail(&self, request: usize, fault: Fault) {
        let mut state = lock(&self.state);
        let at = state.pages + request;
        state.faults.insert(at, fault);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a number of the query.
fn number(request: &Request, name: &str) -> Option<usize> {
    request.query(name)?.parse().ok()
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        match self.dialect {
            Dialect::IpFabric | Dialect::IpFabric7 => self.ip_fabric(request),
            Dialect::Slurpit => self.slurpit(request),
            Dialect::Apic => self.apic(request),
        }
    }

    /// Returns the rows of a page and the number of all, after the fault that is due.
    fn page(
        &mut self,
        (list, filled): (&str, Option<&str>),
        range: (usize, usize),
        expired: &Answer,
    ) -> Result<(Vec<Row>, usize, bool), Reply> {
        let fault = self.faults.get(&self.pages).copied();
        self.pages += 1;
        let list = self.lists.entry(list.to_owned()).or_default();
        match fault {
            Some(Fault::Expired) => {
                self.session += 1;
                std::thread::sleep(AGE);
                return Err(expired.clone().into());
            }
            Some(Fault::Status(status)) => return Err(Answer::status(status).header("retry-after", "0").into()),
            Some(Fault::Deleted) if !list.rows.is_empty() => drop(list.rows.remove(0)),
            Some(Fault::Moved) if !list.rows.is_empty() => {
                let mut row = list.rows.remove(0);
                row.values_mut().for_each(mark);
                list.rows.push(row);
                list.is_sorted = false;
            }
            _ => {}
        }
        let rows = list.filled(filled).skip(range.0).take(range.1).cloned().collect();
        Ok((rows, list.filled(filled).count(), fault == Some(Fault::Cut)))
    }

    fn cookie(&self) -> String {
        format!("session-{}", self.session)
    }
}

/// Makes another value of one.
fn mark(value: &mut Value) {
    match value {
        Value::String(text) => text.push_str("-new"),
        Value::Object(values) => values.values_mut().for_each(mark),
        _ => {}
    }
}

fn sent(answer: Answer, is_cut: bool) -> Reply {
    if is_cut { answer.cut(20) } else { answer.into() }
}

// IP Fabric.
impl State {
    fn ip_fabric(&mut self, request: &Request) -> Reply {
        let refused = |status: u16, code: &str, errors: Value| {
            Answer::json(json!({ "code": code, "message": format!("refused: {code}"), "errors": errors })).with_status(status)
        };
        let version = if self.dialect == Dialect::IpFabric { "v8.0" } else { "v7.3" };
        if request.path() == "/api/version" {
            return Answer::json(json!({ "apiVersion": version, "releaseVersion": format!("{}.1", &version[1..]) })).into();
        }
        let base = if self.dialect == Dialect::IpFabric { "/api/".to_owned() } else { format!("/api/{version}/") };
        let Some(path) = request.path().strip_prefix(&base).map(str::to_owned) else {
            return refused(410, "API_UNSUPPORTED_VERSION", json!([])).into();
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match path.as_str() {
            "auth/login" if (&body["username"], &body["password"]) == (&json!(USER.0), &json!(USER.1)) => {
                self.session += 1;
                let answer = Answer::json(json!({})).header("set-cookie", &format!("accessToken={}; HttpOnly; Path=/", self.cookie()));
                return answer.header("set-cookie", "refreshToken=refresh-1; HttpOnly; Path=/").into();
            }
            "auth/login" => return refused(401, "API_INVALID_CREDENTIALS", json!([])).into(),
            "auth/token" if request.header("cookie").contains("refreshToken=refresh-1") => {
                self.session += 1;
                return Answer::json(json!({})).header("set-cookie", &format!("accessToken={}; HttpOnly; Path=/", self.cookie())).into();
            }
            _ => {}
        }
        let expired = refused(401, "API_EXPIRED_ACCESS_TOKEN", json!([]));
        let has_session = self.session > 0 && request.header("cookie").contains(&format!("accessToken={}", self.cookie()));
        if request.header("x-api-token") != TOKEN && !has_session {
            let is_old = request.header("cookie").contains("accessToken=session-");
            return if is_old { expired.into() } else { refused(401, "API_INVALID_TOKEN", json!([])).into() };
        }
        let snapshot = |(id, state, end): &(&str, &str, u64)| {
            json!({"id": id, "name": format!("the one of {end}"), "state": state, "status": if *state == "loaded" { "done" } else { *state }, "locked": false, "tsStart": end - 60_000, "tsEnd": end,
                "totalDevCount": 2, "licensedDevCount": 2, "interfaceActiveCount": 1, "interfaceCount": 2, "interfaceEdgeCount": 0, "deviceAddedCount": 0,
                "deviceRemovedCount": 0, "fromArchive": false, "loading": false, "note": null, "userCount": 0, "version": "8.0.1", "initialVersion": "8.0.1",
                "sites": ["HQ"], "errors": [], "disabledGraphCache": true, "disabledHistoricalData": true, "disabledIntentVerification": true,
                "finishStatus": "done", "loadedSize": 1, "unloadedSize": 1, "deviceScreenshotCount": 0})
        };
        match path.as_str() {
            "users/me" => Answer::json(json!({ "id": "1", "username": USER.0, "roleNames": [], "roleIds": [], "isAdmin": true, "isLocal": true, "customScopes": false })).into(),
            "reports" | "reports/groups" => Answer::json(json!([])).into(),
            "users/me/scopes/api" => Answer::json(json!({ "data": [] })).into(),
            "snapshots" => Answer::json(json!(SNAPSHOTS.iter().map(snapshot).collect::<Vec<_>>())).into(),
            "tables/management/snapshots" => {
                let columns: Vec<&str> = body["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let shown = |row: Value| columns.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect::<Row>();
                let rows: Vec<Row> = SNAPSHOTS.iter().map(snapshot).map(shown).collect();
                Answer::json(json!({ "data": rows, "_meta": { "count": 3, "size": 3, "limit": 1000, "start": 0 } })).into()
            }
            _ if request.method == "POST" && path.starts_with("tables/") => self.table(&path, &body, &expired),
            _ => refused(404, "API_NOT_FOUND", json!([])).into(),
        }
    }

    fn table(&mut self, path: &str, body: &Value, expired: &Answer) -> Reply {
        let invalid = |place: Value| {
            let errors = json!([{ "path": place, "message": "is not allowed" }]);
            Answer::json(json!({ "code": "API_INPUT_VALIDATION_FAILED", "message": "Invalid input", "errors": errors }))
                .with_status(422)
                .into()
        };
        let Some(list) = self.lists.get(path) else {
            return Answer::json(json!({ "code": "API_NOT_FOUND", "message": "no such table", "errors": [] })).with_status(404).into();
        };
        let columns: Vec<String> = serde_json::from_value(body["columns"].clone()).unwrap_or_default();
        let is_known = |name: &String| list.columns.as_ref().is_none_or(|known| known.contains(name));
        if let Some(unknown) = columns.iter().position(|name| !is_known(name)) {
            return invalid(json!(["columns", unknown]));
        }
        if columns.is_empty() || ![LAST, "$last"].iter().any(|id| body["snapshot"] == *id) {
            return invalid(json!([if columns.is_empty() { "columns" } else { "snapshot" }]));
        }
        let (start, limit) = (body["pagination"]["start"].as_u64().unwrap_or(0), body["pagination"]["limit"].as_u64().unwrap_or(u64::MAX));
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        // The only filter that the adapter and 2.0.1 send.
        let filled = body["filters"]["and"][0].as_object().and_then(|filter| filter.keys().next()).map(String::as_str);
        let range = (usize::try_from(start).unwrap_or(0), size);
        let (rows, total, is_cut) = match self.page((path, filled), range, expired) {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let shown = |row: Row| columns.iter().map(|name| (name.clone(), row.get(name).cloned().unwrap_or_default())).collect::<Row>();
        let shown: Vec<Row> = rows.into_iter().map(shown).collect();
        let meta = json!({ "count": total, "size": shown.len(), "limit": limit, "start": start });
        sent(Answer::json(json!({ "data": shown, "_meta": meta })), is_cut)
    }
}

// Slurp'it.
impl State {
    fn slurpit(&mut self, request: &Request) -> Reply {
        let refused = Answer::json(json!({ "status": 401, "message": "Unauthorized" })).with_status(401);
        if request.header("authorization") != format!("Bearer {TOKEN}") {
            return refused.into();
        }
        let path = request.path().trim_start_matches("/api/").to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let slugs: Vec<String> = self.lists.keys().filter_map(|list| list.strip_prefix("planning:").map(str::to_owned)).collect();
        let (list, offset, limit) = match (request.method.as_str(), path.as_str()) {
            ("GET", "planning") => {
                let planning = |(number, slug): (usize, &String)| json!({"id": (number + 1).to_string(), "name": slug, "slug": slug, "comment": "", "disabled": "0", "columns": [], "createddate": "2026-01-01 00:00:00", "changeddate": null});
                let first = number(request, "offset").unwrap_or(0);
                return Answer::json(json!(slugs.iter().enumerate().skip(first).map(planning).collect::<Vec<_>>())).into();
            }
            ("POST", "planning/search") => {
                let number = body["planning_id"].as_u64().and_then(|id| usize::try_from(id).ok()).unwrap_or(0);
                let Some(slug) = number.checked_sub(1).and_then(|at| slugs.get(at)) else {
                    return Answer::json(json!({ "message": "no such planning" })).with_status(404).into();
                };
                let of_body = |name: &str| body[name].as_u64().and_then(|value| usize::try_from(value).ok());
                (format!("planning:{slug}"), of_body("offset"), of_body("limit"))
            }
            _ => (path.clone(), number(request, "offset"), number(request, "limit")),
        };
        if !self.lists.contains_key(&list) {
            return Answer::json(json!({ "message": "not found" })).with_status(404).into();
        }
        match self.page((&list, None), (offset.unwrap_or(0), limit.unwrap_or(1000)), &refused) {
            Ok((rows, _, is_cut)) if list.starts_with("planning:") => sent(Answer::json(json!({ "rows": rows })), is_cut),
            Ok((rows, _, is_cut)) => sent(Answer::json(json!(rows)), is_cut),
            Err(reply) => reply,
        }
    }
}

// The APIC.
impl State {
    fn apic(&mut self, request: &Request) -> Reply {
        let list = |objects: Vec<Value>, total: usize| Answer::json(json!({ "totalCount": total.to_string(), "imdata": objects }));
        let refused = |status: u16, code: &str, text: &str| {
            list(vec![json!({ "error": { "attributes": { "code": code, "text": text } } })], 1).with_status(status)
        };
        let expired = refused(403, "403", "Token was invalid (Error: Token timeout)");
        let token = format!("APIC-cookie={}", self.cookie());
        let is_logged_in = self.session > 0 && request.header("cookie").contains(&token);
        match (request.method.as_str(), request.path()) {
            ("POST", "/api/aaaLogin.json") => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let given = &body["aaaUser"]["attributes"];
                if (&given["name"], &given["pwd"]) != (&json!(USER.0), &json!(USER.1)) {
                    return refused(401, "401", "Username or password is incorrect - FAILED local authentication").into();
                }
            }
            ("GET", "/api/aaaRefresh.json") if is_logged_in => {}
            _ if !is_logged_in => return expired.into(),
            ("GET", path) => {
                let class = path
                    .trim_start_matches("/api/")
                    .trim_start_matches("node/")
                    .strip_prefix("class/")
                    .and_then(|rest| rest.strip_suffix(".json"));
                return match class.map(str::to_owned) {
                    Some(class) => self.class(&class, request, &expired),
                    None => refused(400, "400", "Request in bad format").into(),
                };
            }
            _ => return refused(400, "400", "Request in bad format").into(),
        }
        self.session += 1;
        let login = json!({ "token": self.cookie(), "refreshTimeoutSeconds": "600", "userName": USER.0 });
        let cookie = format!("APIC-cookie={}; path=/; HttpOnly", self.cookie());
        list(vec![json!({ "aaaLogin": { "attributes": login } })], 1).header("set-cookie", &cookie).into()
    }

    fn class(&mut self, class: &str, request: &Request, expired: &Answer) -> Reply {
        let list = |objects: Vec<Value>, total: usize| Answer::json(json!({ "totalCount": total.to_string(), "imdata": objects }));
        let size = number(request, "page-size");
        let Some(all) = self.lists.get_mut(class) else {
            let error = json!({ "error": { "attributes": { "code": "12", "text": format!("Class {class} does not exist") } } });
            return list(vec![error], 1).with_status(400).into();
        };
        if size.is_none() && all.rows.len() > APIC_MAX {
            let text = "Unable to process the query, result dataset is too big";
            return list(vec![json!({ "error": { "attributes": { "code": "107", "text": text } } })], 1).with_status(400).into();
        }
        let is_ordered = request.query("order-by") == Some(format!("{class}.dn%7Casc")).as_deref();
        if is_ordered && !std::mem::replace(&mut all.is_sorted, true) {
            all.rows.sort_by_cached_key(|row| row["dn"].to_string());
        }
        let size = size.unwrap_or(APIC_MAX);
        let start = number(request, "page").unwrap_or(0) * size;
        match self.page((class, None), (start, size), expired) {
            Ok((rows, total, is_cut)) => {
                let objects = rows.into_iter().map(|row| json!({ class: { "attributes": row } })).collect();
                sent(list(objects, total), is_cut)
            }
            Err(reply) => reply,
        }
    }
}
