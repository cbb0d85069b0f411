//! From a request to its answer: REST, rights, faults, and the execution of documents.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use apollo_compiler::Node;
use apollo_compiler::executable::{ExecutableDocument, Field, Operation};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::document::{Cache, Prepared, Scope, arguments, location, operation, variables};
use crate::faults::{Action, Hook, Moment, Outside, Settings, State, Verdict};
use crate::http::{End, Incoming, Reply};
use crate::model::{Category, Kind, Model, Version, Write};
use crate::mutate::{Fail, Transaction};
use crate::query::{Out, Reader};
use crate::store::{BranchId, MAIN, Store};

/// The permissions of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    Admin,
    /// Reads only.
    ReadOnly,
    /// Writes on branches, but not on main.
    BranchOnly,
    /// Nothing any more: the token has expired.
    Expired,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) rights: Rights,
    pub(crate) account: Option<Arc<str>>,
}

/// A request that was served.
#[derive(Clone, Debug)]
pub struct Request {
    /// Counts the TCP connections from 1.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The path, decoded, without the query.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The GraphQL document, empty for other requests.
    pub document: String,
    /// The variables.
    pub variables: Value,
    /// `query` or `mutation`, empty for other requests.
    pub operation: &'static str,
    /// The name of the operation, where it has one.
    pub operation_name: Option<String>,
    /// The fields at the root, by name, one for each alias.
    pub root_fields: Vec<String>,
    /// Whether the text of the document was known.
    pub known_document: bool,
    /// The status of the answer; 0 where the connection was reset.
    pub status: u16,
    /// Bytes of the answer's body.
    pub response_bytes: usize,
    /// How long it took.
    pub elapsed: Duration,
}

impl Request {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

pub(crate) struct Shared {
    pub(crate) model: RwLock<Arc<Model>>,
    pub(crate) store: RwLock<Store>,
    pub(crate) cache: Cache,
    pub(crate) faults: Mutex<State>,
    pub(crate) hook: RwLock<Option<Hook>>,
    pub(crate) log: Mutex<Vec<Request>>,
    pub(crate) tokens: Mutex<HashMap<String, Token>>,
    pub(crate) connections: Arc<AtomicU64>,
    pub(crate) version: Version,
    pub(crate) deployment: String,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The entry of the log about a document.
#[derive(Default)]
struct Noted {
    document: String,
    variables: Value,
    operation: &'static str,
    operation_name: Option<String>,
    root_fields: Vec<String>,
    known_document: bool,
}

impl Noted {
    /// Returns what the body of a request says about its document.
    fn of(body: Option<&Value>) -> Noted {
        let Some(body) = body else { return Noted::default() };
        let document = body["query"].as_str().unwrap_or_default().to_owned();
        Noted { document, variables: body["variables"].clone(), ..Noted::default() }
    }
}

/// The effect of the faults that a request meets before it is handled.
#[derive(Default)]
struct Planned {
    /// The answer without the handler.
    instead: Option<Reply>,
    /// Fields that fail, by their name or alias.
    aliases: Vec<(String, Fail)>,
}

/// The way in which a document is asked for.
struct Asked<'r> {
    branch: &'r str,
    at: Option<&'r str>,
    caller: &'r Caller,
}

/// An execution of a document: as [`Asked`], after the checks.
struct Execution<'r> {
    branch: BranchId,
    at: Option<i64>,
    caller: &'r Caller,
    account: Option<Arc<str>>,
}

/// One field at the root of a document: its name in the answer, and the fields that answer under it.
struct Alias<'r, 'd> {
    key: &'d str,
    fields: &'r [&'d Node<Field>],
}

/// Errors within an answer, with their paths.
type Inner = Vec<(Vec<Value>, Fail)>;

/// Who asks.
enum Caller {
    Anonymous,
    Token(Token),
    /// A hook of a test.
    Outside,
}

/// The longest page of events.
const EVENTS_MAX: i64 = 50;

impl Shared {
    fn model(&self) -> Arc<Model> {
        self.model.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn settings(&self) -> Settings {
        locked(&self.faults).settings.clone()
    }

    pub(crate) fn set_settings(&self, settings: Settings) {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.skew = settings.clock_skew_ms * 1000;
        store.frozen.clone_from(&settings.frozen);
        store.hfid_lag = i64::try_from(settings.hfid_lag_ms).unwrap_or(0) * 1000;
        locked(&self.faults).settings = settings;
    }

    pub(crate) fn handle(&self, incoming: Incoming) -> Reply {
        let start = Instant::now();
        if incoming.path == "/_fake/faults" {
            return self.program(&incoming);
        }
        // The second in which the server begins with the request.
        let date = clock::http(clock::now() + self.settings().clock_skew_ms * 1000);
        let is_graphql = incoming.path == "/graphql" || incoming.path.starts_with("/graphql/");
        let body: Option<Value> = is_graphql.then(|| serde_json::from_slice(&incoming.body).unwrap_or(Value::Null));
        let mut noted = Noted::of(body.as_ref());
        let is_late = incoming.is_late;
        let (actions, latency) = if is_late {
            Default::default()
        } else {
            let mut faults = locked(&self.faults);
            (faults.hit(&incoming.path, &noted.document, &incoming.body), faults.latency())
        };
        std::thread::sleep(latency);
        // Not under the lock: the hook may wait for another request.
        let hook = self.hook.read().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| !is_late);
        let verdict = |moment, document: &str| hook.as_ref().map_or(Verdict::GoOn, |hook| hook(moment, document));
        let mut planned = self.before(&actions, &incoming);
        if verdict(Moment::Arrived, &noted.document) == Verdict::Reset {
            planned.instead = Some(reset());
        }
        let mut reply = match planned.instead {
            Some(reply) => reply,
            None => match &body {
                Some(body) => self.graphql(&incoming, body, &mut noted, &mut planned.aliases),
                None => self.rest(&incoming),
            },
        };
        reply.headers.push(("date", date));
        self.after(&actions, &mut reply);
        if verdict(Moment::Handled, &noted.document) == Verdict::Reset {
            reply.end = End::Reset;
        }
        if !is_late {
            self.note(incoming, noted, &reply, start);
        }
        reply
    }

    /// Executes the faults that come before the handler.
    fn before(&self, actions: &[Action], incoming: &Incoming) -> Planned {
        let mut planned = Planned::default();
        for action in actions {
            match action {
                Action::Delay { delay_ms } => std::thread::sleep(Duration::from_millis(*delay_ms)),
                Action::Pass { ms } => {
                    let settings = self.settings();
                    self.set_settings(Settings { clock_skew_ms: settings.clock_skew_ms + ms, ..settings });
                }
                Action::RunBefore(outside) => self.run(outside),
                Action::ChangeSchema { kinds } => self.change_schema(kinds, &|_| {}),
                Action::Alias { name, message, code, http_status } => {
                    let (message, code) = (message.clone(), Box::leak(code.clone().into_boxed_str()));
                    planned.aliases.push((name.clone(), Fail::Other { message, code, status: *http_status, data: json!({}) }));
                }
                Action::Shed | Action::TooMany => {
                    let error = json!({ "data": null, "errors": [{ "message": "Server is shedding load; retry later.", "extensions": { "code": 429 } }] });
                    let mut reply = Reply::json(429, &error);
                    if matches!(action, Action::Shed) {
                        reply.headers.push(("retry-after", "1".into()));
                        reply.headers.push(("x-infrahub-admission", "shed".into()));
                    }
                    planned.instead = Some(reply);
                }
                Action::Unavailable => planned.instead = Some(Reply::new(503, "text/plain", "")),
                Action::Crash => planned.instead = Some(crash()),
                Action::Status { status, body } => {
                    let content_type = if body.starts_with(['{', '[']) { "application/json" } else { "text/plain; charset=utf-8" };
                    planned.instead = Some(Reply::new(*status, content_type, body.clone()));
                }
                Action::ResetBefore => planned.instead = Some(reset()),
                Action::Late { status, after_ms } => {
                    let late = Incoming { is_late: true, ..incoming.clone() };
                    let late = Some((Duration::from_millis(*after_ms), late));
                    planned.instead = Some(Reply { end: End::CloseSilently, late, ..Reply::new(*status, "text/plain", "") });
                }
                _ => {}
            }
        }
        planned
    }

    /// Executes the faults that come after the handler.
    fn after(&self, actions: &[Action], reply: &mut Reply) {
        for action in actions {
            match action {
                Action::RunAfter(outside) => self.run(outside),
                Action::StatusAfter { status } => (reply.status, reply.body) = (*status, Vec::new()),
                Action::ResetAfter => reply.end = End::Reset,
                Action::Truncate { bytes } => reply.end = End::Truncate(*bytes),
                Action::SlowBody { bytes, pause_ms } => reply.slow = Some((*bytes, Duration::from_millis(*pause_ms))),
                _ => {}
            }
        }
    }

    /// Writes a request to the log.
    fn note(&self, incoming: Incoming, noted: Noted, reply: &Reply, start: Instant) {
        locked(&self.log).push(Request {
            connection: incoming.connection,
            method: incoming.method,
            path: incoming.path,
            query: incoming.query,
            headers: incoming.headers,
            body: incoming.body,
            document: noted.document,
            variables: noted.variables,
            operation: noted.operation,
            operation_name: noted.operation_name,
            root_fields: noted.root_fields,
            known_document: noted.known_document,
            status: if reply.end == End::Reset { 0 } else { reply.status },
            response_bytes: reply.body.len(),
            elapsed: start.elapsed(),
        });
    }

    /// `POST /_fake/faults`: `{"reset": true, "settings": {…}, "faults": […]}`, each part optional.
    fn program(&self, incoming: &Incoming) -> Reply {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Program {
            #[serde(default)]
            reset: bool,
            settings: Option<Settings>,
            storm: Option<crate::faults::Storm>,
            #[serde(default)]
            faults: Vec<crate::faults::Fault>,
        }
        match serde_json::from_slice::<Program>(&incoming.body) {
            Ok(program) => {
                if program.reset {
                    {
                        let mut state = locked(&self.faults);
                        state.faults.clear();
                        state.storm = None;
                    }
                    self.set_settings(Settings::default());
                }
                if let Some(settings) = program.settings {
                    self.set_settings(settings);
                }
                if let Some(storm) = program.storm {
                    let mut state = locked(&self.faults);
                    (state.storm, state.stormy) = (Some(storm), 0);
                }
                locked(&self.faults).faults.extend(program.faults.into_iter().map(|f| (f, 0)));
                Reply::json(200, &json!({ "ok": true }))
            }
            Err(error) => Reply::json(400, &json!({ "ok": false, "error": error.to_string() })),
        }
    }

    /// Executes a document of another user.
    fn run(&self, outside: &Outside) {
        self.execute_outside(outside);
    }

    /// As [`Shared::run`], with the answer.
    pub(crate) fn execute_outside(&self, outside: &Outside) -> Value {
        let body = json!({ "query": outside.query, "variables": outside.variables });
        let asked = Asked { branch: &outside.branch, at: None, caller: &Caller::Outside };
        let reply = self.execute(&asked, &body, &mut Noted::default(), &mut Vec::new()).unwrap_or_else(|refused| refused);
        serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
    }

    pub(crate) fn change_schema(&self, kinds: &[String], edit: &dyn Fn(&mut Value)) {
        let mut guard = self.model.write().unwrap_or_else(PoisonError::into_inner);
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.hash = changed(&store.hash);
        let old = &**guard;
        let mut api = old.api.clone();
        let mut summary = old.summary.clone();
        for kind in kinds {
            for section in ["nodes", "generics"] {
                if let Some(hash) = summary[section][kind].as_str().map(changed) {
                    summary[section][kind] = Value::from(hash);
                }
                for node in api[section].as_array_mut().into_iter().flatten().filter(|n| n["kind"] == kind.as_str()) {
                    let hash = changed(node["hash"].as_str().unwrap_or_default());
                    node["hash"] = Value::from(hash);
                    edit(node);
                }
            }
        }
        api["main"] = Value::from(store.hash.as_str());
        summary["main"] = Value::from(store.hash.as_str());
        if let Ok(model) = Model::new(&api.to_string(), &old.sdl, &summary.to_string(), old.version) {
            let model = Arc::new(model);
            store.model = model.clone();
            *guard = model;
            self.cache.clear();
        }
    }

    fn caller(&self, incoming: &Incoming) -> Result<Caller, Reply> {
        let refuse = |message: &str, code: &str| {
            let graphql = incoming.path.starts_with("/graphql");
            let extensions = if graphql && self.version >= Version::V1_10 {
                json!({ "code": code, "http_status": 401, "data": {} })
            } else {
                json!({ "code": 401 })
            };
            Reply::json(401, &json!({ "data": null, "errors": [{ "message": message, "extensions": extensions }] }))
        };
        let bearer = incoming.header("authorization").and_then(|v| v.strip_prefix("Bearer ").map(str::to_owned));
        let Some(key) = incoming.header("x-infrahub-key").map(str::to_owned).or(bearer) else { return Ok(Caller::Anonymous) };
        match locked(&self.tokens).get(&key) {
            None => Err(refuse("Invalid token", "AUTHENTICATION_REQUIRED")),
            Some(token) if token.rights == Rights::Expired => Err(refuse("Expired Signature", "TOKEN_EXPIRED")),
            Some(token) => Ok(Caller::Token(token.clone())),
        }
    }

    fn rest(&self, incoming: &Incoming) -> Reply {
        let model = self.model();
        let branch = incoming.parameter("branch").unwrap_or("main");
        let known = self.store.read().unwrap_or_else(PoisonError::into_inner).branch(branch).is_some();
        let no_branch = || {
            let error = json!({ "message": format!("Branch: {branch} not found."), "extensions": { "code": 400 } });
            Reply::json(400, &json!({ "data": null, "errors": [error] }))
        };
        match (incoming.method.as_str(), incoming.path.as_str()) {
            ("GET", "/api/info") => Reply::json(200, &json!({ "deployment_id": self.deployment, "version": self.version.number() })),
            ("GET", "/api/config") => Reply::json(
                200,
                &json!({
                    "main": { "default_branch": "main", "internal_address": null, "allow_anonymous_access": true },
                    "logging": { "remote": { "enable": false } },
                    "analytics": { "enable": false },
                    "experimental_features": { "graphql_enums": false },
                    "sso": { "providers": [], "enabled": false }
                }),
            ),
            ("GET", "/schema.graphql") if !known => no_branch(),
            ("GET", "/schema.graphql") => Reply::new(200, "text/plain; charset=utf-8", model.sdl.clone()),
            ("GET", path) if path == "/api/schema" || path.starts_with("/api/schema/") => {
                if let Err(refused) = self.caller(incoming) {
                    return refused;
                }
                if !known {
                    return no_branch();
                }
                match path.strip_prefix("/api/schema/").unwrap_or_default() {
                    "" => packed(incoming, &schema(&model, &incoming.query)),
                    "summary" => packed(incoming, &model.summary),
                    kind => {
                        let sections = ["nodes", "generics", "profiles", "templates"];
                        let found = sections.iter().filter_map(|s| model.api[*s].as_array()).flatten().find(|n| n["kind"] == kind);
                        match found {
                            Some(node) => packed(incoming, node),
                            None => {
                                let message = format!("Unable to find the schema '{kind}' in the registry");
                                Reply::json(
                                    422,
                                    &json!({ "data": null, "errors": [{ "message": message, "extensions": { "code": 422 } }] }),
                                )
                            }
                        }
                    }
                }
            }
            ("POST", "/api/auth/login") => {
                let body: Value = serde_json::from_slice(&incoming.body).unwrap_or(Value::Null);
                let refused = |status: u16, message: String| {
                    Reply::json(status, &json!({ "data": null, "errors": [{ "message": message, "extensions": { "code": status } }] }))
                };
                let name = body["username"].as_str().unwrap_or_default();
                match (name, body["password"].as_str()) {
                    ("admin", Some("infrahub")) => self.log_in(),
                    ("admin", _) => refused(401, "Incorrect password".into()),
                    _ => refused(404, "That login user doesn't exist in the system".into()),
                }
            }
            ("POST", "/api/auth/refresh") => match self.caller(incoming) {
                Ok(Caller::Token(_)) => self.log_in(),
                Ok(_) => Reply::json(
                    401,
                    &json!({ "data": null, "errors": [{ "message": "A JWT refresh token is required to perform this operation.", "extensions": { "code": 401 } }] }),
                ),
                Err(refused) => refused,
            },
            (_, path) => {
                let message = format!("The requested endpoint {path} does not exist");
                Reply::json(404, &json!({ "data": null, "errors": [{ "message": message, "extensions": { "code": 404 } }] }))
            }
        }
    }

    fn log_in(&self) -> Reply {
        let mut tokens = locked(&self.tokens);
        let account = tokens.values().find(|t| t.rights == Rights::Admin).and_then(|t| t.account.clone());
        let number = tokens.len();
        let (access, refresh) = (format!("access.{number}"), format!("refresh.{number}"));
        for key in [&access, &refresh] {
            tokens.insert(key.clone(), Token { rights: Rights::Admin, account: account.clone() });
        }
        Reply::json(200, &json!({ "access_token": access, "refresh_token": refresh }))
    }

    fn graphql(&self, incoming: &Incoming, body: &Value, noted: &mut Noted, aliases: &mut Vec<(String, Fail)>) -> Reply {
        let caller = match self.caller(incoming) {
            Ok(caller) => caller,
            Err(refused) => return refused,
        };
        let branch = incoming.path.strip_prefix("/graphql/").filter(|b| !b.is_empty()).unwrap_or("main");
        if self.store.read().unwrap_or_else(PoisonError::into_inner).branch(branch).is_none() {
            return Reply::json(404, &json!({ "errors": [format!("Branch: {branch} not found.")] }));
        }
        if incoming.method != "POST" {
            // The real server has a page for people here, which the API-only packages lack.
            return crash();
        }
        let content_type = incoming.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if content_type != "application/json" {
            return Reply::json(400, &json!({ "errors": ["Content-type must be application/json or multipart/form-data"] }));
        }
        if body.is_array() {
            return Reply::json(400, &json!({ "errors": ["This server does not support batching"] }));
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&incoming.body).is_err() {
            return Reply::json(400, &json!({ "errors": ["Request body is not a valid JSON"] }));
        }
        let asked = Asked { branch, at: incoming.parameter("at"), caller: &caller };
        self.execute(&asked, body, noted, aliases).unwrap_or_else(|refused| refused)
    }

    /// Executes a document. The error is the answer to a document that is not executed.
    fn execute(&self, asked: &Asked<'_>, body: &Value, noted: &mut Noted, aliases: &mut Vec<(String, Fail)>) -> Result<Reply, Reply> {
        let model = self.model();
        // A body without a query, or with variables that are no object, crashes the real server.
        let (Some(text), Value::Object(_) | Value::Null) = (body["query"].as_str(), &body["variables"]) else { return Err(crash()) };
        let (prepared, known) = self.cache.prepare(&model, text);
        noted.known_document = known;
        let document = match &*prepared {
            Prepared::Syntax => return Err(crash()),
            Prepared::Invalid(errors) => return Err(refusal(200, errors.iter().map(|e| self.undefined(e.clone(), 500)).collect())),
            Prepared::Valid(document) => document,
        };
        let refused = |message: String| refusal(200, vec![self.undefined(json!({ "message": message }), 500)]);
        let operation = operation(document, body["operationName"].as_str()).map_err(refused)?;
        noted.operation = if operation.is_mutation() { "mutation" } else { "query" };
        noted.operation_name = operation.name.as_ref().map(ToString::to_string);
        noted.root_fields = operation.root_fields(document).map(|f| f.name.to_string()).collect();
        let caller = asked.caller;
        let account = self.permitted(&model, asked.branch, caller, operation.is_mutation(), &noted.root_fields)?;
        let branch = self.store.read().unwrap_or_else(PoisonError::into_inner).branch(asked.branch).unwrap_or(MAIN);
        let at = asked.at.filter(|_| !operation.is_mutation()).map(|text| self.moment(text)).transpose()?;
        let given = self.given(&model, document, operation, &body["variables"])?;
        let scope = Scope { model: &model, document, variables: &given };
        // Literals that do not fit their scalar refuse the document, as unknown fields do.
        for (_, fields) in scope.collect(&[&operation.selection_set], operation.object_type().as_str()) {
            arguments(&model.graphql, fields[0], &given).map_err(refused)?;
        }
        Ok(self.answer(&scope, operation, &Execution { branch, at, caller, account }, aliases))
    }

    /// Returns the moment of a read, or the refusal.
    fn moment(&self, text: &str) -> Result<i64, Reply> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        let error = |status: u16, message: String| Err(refusal(status, vec![self.undefined(json!({ "message": message }), status)]));
        let created_at = store.branches[MAIN as usize].created_at;
        match clock::parse(text, store.present()) {
            None => error(400, format!("Invalid time format for {text}")),
            Some(at) if at < created_at => {
                let (requested, created) = (clock::zulu(at), clock::zulu(created_at));
                error(422, format!("Requested time '{requested}' is before branch 'main' was created at '{created}'."))
            }
            Some(at) => Ok(at),
        }
    }

    /// Returns the values of the variables, or the refusal.
    fn given(
        &self,
        model: &Model,
        document: &ExecutableDocument,
        operation: &Operation,
        given: &Value,
    ) -> Result<Map<String, Value>, Reply> {
        let empty = Map::new();
        variables(model, document, operation, given.as_object().unwrap_or(&empty)).map_err(|errors| {
            let errors = errors.into_iter().map(|e| {
                let mut error = json!({ "message": e.message });
                if let Some(location) = e.location {
                    error["locations"] = json!([location]);
                }
                self.undefined(error, 500)
            });
            refusal(200, errors.collect())
        })
    }

    /// Answers each field at the root.
    fn answer<'d>(
        &self,
        scope: &Scope<'d>,
        operation: &'d Operation,
        execution: &Execution<'_>,
        aliases: &mut Vec<(String, Fail)>,
    ) -> Reply {
        let mut out = Out(Vec::with_capacity(4096));
        let mut errors: Vec<Value> = Vec::new();
        let mut nulled = false;
        let root = operation.object_type().as_str();
        out.raw("{\"data\":{");
        for (i, (key, fields)) in scope.collect(&[&operation.selection_set], root).into_iter().enumerate() {
            if i > 0 {
                out.raw(",");
            }
            out.text(key);
            out.raw(":");
            let start = out.0.len();
            let name = fields[0].name.as_str();
            let alias = Alias { key, fields: &fields };
            let planned = aliases.iter().position(|(n, _)| n == key || n == name);
            let outcome = match planned {
                Some(planned) => Err(aliases.remove(planned).1),
                None if operation.is_mutation() => self.mutation(scope, execution, &alias, &mut out),
                None => self.query(scope, execution, &alias, &mut out),
            };
            match outcome {
                Ok(inner) => {
                    for (path, fail) in inner {
                        if let Fail::Other { message, code, status, data } = fail {
                            errors.push(self.extended(json!({ "message": message, "path": path }), code, status, data));
                        }
                    }
                }
                Err(Fail::Crash) => return crash(),
                Err(fail) => {
                    out.0.truncate(start);
                    out.raw("null");
                    nulled |= fields[0].ty().is_non_null();
                    errors.extend(self.errors(scope, fail, key, fields[0]));
                }
            }
        }
        out.raw("}");
        if nulled {
            out.0.clear();
            out.raw("{\"data\":null");
        }
        if !errors.is_empty() {
            out.raw(",\"errors\":");
            out.value(&Value::Array(errors));
        }
        out.raw("}");
        Reply::new(200, "application/json", out.0)
    }

    /// Returns an error that the server does not classify, with its extensions.
    fn undefined(&self, error: Value, status: u16) -> Value {
        self.extended(error, "UNDEFINED_ERROR", status, json!({}))
    }

    /// Returns the error with its extensions; codes exist since 1.10.
    fn extended(&self, mut error: Value, code: &str, status: u16, data: Value) -> Value {
        error["extensions"] = if self.version >= Version::V1_10 {
            json!({ "code": code, "http_status": status, "data": data })
        } else {
            json!({ "code": status })
        };
        error
    }

    /// Returns the errors of one alias, as the server classifies them by the words of the reason.
    fn errors(&self, scope: &Scope<'_>, fail: Fail, key: &str, field: &Node<Field>) -> Vec<Value> {
        let place = location(scope.document, field.location());
        let located = |message: &str| {
            let mut error = json!({ "message": message, "path": [key] });
            if let Some(place) = &place {
                error["locations"] = json!([place]);
            }
            error
        };
        match fail {
            Fail::Crash => Vec::new(),
            Fail::Other { message, code, status, data } => vec![self.extended(located(&message), code, status, data)],
            Fail::Fields(fields) => {
                let kind = scope.model.mutations.get(field.name.as_str()).map(|(kind, _)| scope.model.kinds[*kind].name.clone());
                let Some(kind) = kind else {
                    let message: Vec<String> = fields.iter().map(|(field, reason)| format!("{reason} at {field}")).collect();
                    return vec![self.undefined(located(&message.join(", ")), 422)];
                };
                let single = fields.len() == 1;
                fields
                    .into_iter()
                    .map(|(field, reason)| {
                        let (code, data) = classified(&kind, &field, &reason);
                        let message = format!("{reason} at {field}");
                        let error = if single { located(&message) } else { json!({ "message": message, "path": [key, "data", field] }) };
                        self.extended(error, code, 422, data)
                    })
                    .collect()
            }
        }
    }

    /// Returns the account that writes, or the refusal.
    fn permitted(
        &self,
        model: &Model,
        branch: &str,
        caller: &Caller,
        mutation: bool,
        fields: &[String],
    ) -> Result<Option<Arc<str>>, Reply> {
        let refuse = |status: u16, code: &str, message: &str, data: Value| {
            Err(refusal(status, vec![self.extended(json!({ "message": message }), code, status, data)]))
        };
        let token = match caller {
            Caller::Outside => return Ok(None),
            Caller::Anonymous if mutation || fields.iter().any(|f| f == "AccountProfile") => {
                return refuse(401, "AUTHENTICATION_REQUIRED", "Authentication is required to perform this operation", json!({}));
            }
            Caller::Anonymous => return Ok(None),
            Caller::Token(token) => token,
        };
        if mutation {
            let denied = json!({ "action": null, "resource_kind": null });
            let settings = self.settings();
            let exempt = ["BranchCreate", "BranchDelete", "BranchRebase", "DiffUpdate"];
            let exempt = fields.iter().all(|f| exempt.contains(&f.as_str()));
            if branch == "main" && !exempt && token.rights == Rights::BranchOnly {
                return refuse(403, "PERMISSION_DENIED", "You are not allowed to change data in the default branch", denied);
            }
            for field in fields {
                let target = model.mutations.get(field).map(|(kind, write)| (&model.kinds[*kind], write));
                let forbidden = match target {
                    Some((kind, _)) => settings.deny_write_kinds.iter().any(|k| k == "*" || *k == kind.name),
                    None => false,
                };
                if forbidden || token.rights == Rights::ReadOnly {
                    let decision = if branch == "main" { "allow_default" } else { "allow_other" };
                    let message = match target {
                        Some((kind, write)) => {
                            let action = match write {
                                Write::Create => "create",
                                Write::Update | Write::Upsert => "update",
                                Write::Delete => "delete",
                            };
                            format!(
                                "You do not have one of the following permissions: object:{}:{}:{action}:{decision}",
                                kind.namespace, kind.short
                            )
                        }
                        None => "You do not have the permission to perform this operation".to_owned(),
                    };
                    return refuse(403, "PERMISSION_DENIED", &message, denied);
                }
            }
        }
        Ok(token.account.clone())
    }

    fn permissions(&self, caller: &Caller) -> impl Fn(&Kind) -> Value {
        let rights = match caller {
            Caller::Token(token) => Some(token.rights),
            Caller::Outside => Some(Rights::Admin),
            Caller::Anonymous => None,
        };
        let denied = self.settings().deny_write_kinds;
        move |kind| {
            let forbidden = denied.iter().any(|k| k == "*" || *k == kind.name);
            let write = match rights {
                _ if forbidden => "DENY",
                Some(Rights::Admin) => "ALLOW",
                Some(Rights::BranchOnly) => "ALLOW_OTHER",
                _ => "DENY",
            };
            json!({ "kind": kind.name, "view": "ALLOW", "create": write, "update": write, "delete": write })
        }
    }

    fn query<'d>(&self, scope: &Scope<'d>, execution: &Execution<'_>, alias: &Alias<'_, 'd>, out: &mut Out) -> Result<Inner, Fail> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        let present = store.present();
        let permissions = self.permissions(execution.caller);
        let view = store.view(execution.branch, execution.at.map_or(present, |at| at.min(present)));
        let reader = Reader::new(&store, scope, view, &permissions, None);
        let place = reader.root(alias.key);
        self.read(&reader, execution.caller, present, alias.fields, out)?;
        drop(place);
        Ok(reader.errors.into_inner())
    }

    fn read<'d>(
        &self,
        reader: &Reader<'_, 'd>,
        caller: &Caller,
        present: i64,
        fields: &[&'d Node<Field>],
        out: &mut Out,
    ) -> Result<(), Fail> {
        let scope = reader.scope;
        let store = reader.store;
        let name = fields[0].name.as_str();
        if let Some(kind) = scope.model.kind(name) {
            return reader.list(kind, fields, out);
        }
        let given = arguments(&scope.model.graphql, fields[0], scope.variables).map_err(|e| Fail::plain(e, 500))?;
        match name {
            "__typename" => out.text("Query"),
            "InfrahubInfo" => {
                let info = json!({ "version": self.version.number(), "deployment_id": self.deployment });
                reader.project(&info, fields, out);
            }
            "Branch" | "InfrahubBranch" => {
                let name = given.get("name").or(given.get("name__value")).and_then(Value::as_str);
                let ids = given.get("ids").and_then(Value::as_array);
                let list: Vec<Value> = store
                    .branches
                    .iter()
                    .filter(|b| !b.deleted && name.is_none_or(|n| n == b.name))
                    .filter(|b| ids.is_none_or(|ids| ids.iter().any(|id| id == b.id.as_str())))
                    .map(branch_json)
                    .collect();
                if fields[0].name == "Branch" {
                    reader.project(&Value::Array(list), fields, out);
                } else {
                    return Err(Fail::plain("the fake does not answer InfrahubBranch: ask Branch", 500));
                }
            }
            "AccountProfile" => {
                let account = match caller {
                    Caller::Token(token) => token.account.clone(),
                    _ => None,
                };
                match account.and_then(|id| store.node(&id)) {
                    Some(node) => reader.object(node, "", fields, out)?,
                    None => return Err(Fail::plain("the token has no account", 500)),
                }
            }
            "InfrahubEvent" => {
                let lag = i64::try_from(self.settings().event_lag_ms).unwrap_or(0) * 1000;
                reader.project(&events(store, scope.model, &given, present - lag)?, fields, out);
            }
            "InfrahubPermissions" => {
                // Decisions are bits: 2 is the default branch, 4 are the others.
                let global = match caller {
                    Caller::Token(Token { rights: Rights::Admin, .. }) | Caller::Outside => json!([{ "node": {
                        "id": "super-admin", "display_label": "super_admin 6", "description": "", "name": "Super Admin", "action": "super_admin",
                        "decision": "6", "identifier": "global:super_admin:allow_all"
                    } }]),
                    _ => json!([]),
                };
                let count = global.as_array().map_or(0, Vec::len);
                let all =
                    json!({ "global_permissions": { "count": count, "edges": global }, "object_permissions": { "count": 0, "edges": [] } });
                reader.project(&all, fields, out);
            }
            "InfrahubStatus" => {
                let status = json!({ "summary": { "schema_hash_synced": true }, "workers": { "edges": [] } });
                reader.project(&status, fields, out);
            }
            other => return Err(Fail::plain(format!("the fake does not answer {other}"), 500)),
        }
        Ok(())
    }

    fn mutation<'d>(&self, scope: &Scope<'d>, execution: &Execution<'_>, alias: &Alias<'_, 'd>, out: &mut Out) -> Result<Inner, Fail> {
        let fields = alias.fields;
        let given = arguments(&scope.model.graphql, fields[0], scope.variables).map_err(|e| Fail::plain(e, 500))?;
        let empty = Map::new();
        let data = given.get("data").and_then(Value::as_object).unwrap_or(&empty);
        let account = given.get("context").and_then(|c| c["account"]["id"].as_str()).map(Arc::from).or(execution.account.clone());
        let branch = execution.branch;
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let name = fields[0].name.as_str();
        let mut answer = json!({ "ok": true });
        let mut object = None;
        match (name, scope.model.mutations.get(name)) {
            ("CoreProposedChangeCreate", _) => object = Some(propose(&mut store, scope.model, branch, account, data)?),
            (_, Some((kind, write))) => object = Transaction::new(&mut store, branch, account).write(*kind, *write, data)?,
            ("RelationshipAdd", _) => Transaction::new(&mut store, branch, account).relationship(true, data)?,
            ("RelationshipRemove", _) => Transaction::new(&mut store, branch, account).relationship(false, data)?,
            ("BranchCreate", _) => answer["object"] = crate::branch::create(&mut store, data)?,
            ("BranchDelete", _) => crate::branch::delete(&mut store, data)?,
            ("BranchMerge", _) => answer["object"] = crate::branch::merge(&mut store, data)?,
            ("BranchRebase", _) => answer["object"] = crate::branch::rebase(&mut store, data)?,
            ("__typename", _) => {
                out.text("Mutation");
                return Ok(Vec::new());
            }
            (other, None) => return Err(Fail::plain(format!("the fake does not execute {other}"), 500)),
        }
        let view = store.view(branch, store.present());
        let permissions = |kind: &Kind| json!({ "kind": kind.name });
        let reader = Reader::new(&store, scope, view, &permissions, Some(data));
        let place = reader.root(alias.key);
        let Some(node) = object else {
            reader.project(&answer, fields, out);
            return Ok(Vec::new());
        };
        let ty = fields[0].ty().inner_named_type();
        let sets: Vec<_> = fields.iter().map(|f| &f.selection_set).collect();
        out.raw("{");
        for (i, (key, merged)) in scope.collect(&sets, ty).into_iter().enumerate() {
            if i > 0 {
                out.raw(",");
            }
            out.text(key);
            out.raw(":");
            match merged[0].name.as_str() {
                "ok" => out.raw("true"),
                "object" => reader.object(node, key, &merged, out)?,
                _ => out.text(ty),
            }
        }
        out.raw("}");
        drop(place);
        Ok(reader.errors.into_inner())
    }
}

fn propose(
    store: &mut Store,
    model: &Model,
    branch: BranchId,
    account: Option<Arc<str>>,
    data: &Map<String, Value>,
) -> Result<crate::store::NodeId, Fail> {
    let Some(kind) = model.kind("CoreProposedChange") else { return Err(Fail::plain("the schema has no CoreProposedChange", 500)) };
    let value = |field: &str| data.get(field).and_then(|f| f["value"].as_str()).unwrap_or_default().to_owned();
    let source = value("source_branch");
    let complete = data.contains_key("name") && data.contains_key("source_branch") && data.contains_key("destination_branch");
    if complete && store.branch(&source).is_none() {
        return Err(Fail::plain("The specified source branch for this proposed change was not found", 422));
    }
    let open = store.ids("CoreProposedChange", "main").into_iter().any(|id| {
        store.value(&id, "source_branch", "main") == Some(Value::from(source.as_str()))
            && store.value(&id, "state", "main") == Some(Value::from("open"))
    });
    if open {
        return Err(Fail::plain(format!("An open proposed change already exists for branch '{source}'"), 422));
    }
    let node = Transaction::new(store, branch, account).write(kind, Write::Create, data)?;
    node.ok_or_else(|| Fail::plain("nothing was created", 500))
}

/// Sorts a reason into the catalogue of the server, which goes by the words as well.
fn classified(kind: &str, field: &str, reason: &str) -> (&'static str, Value) {
    if reason.contains(" is mandatory for ") {
        return ("ATTRIBUTE_REQUIRED", json!({ "node_kind": kind, "field_name": field }));
    }
    if let Some((received, expected)) = reason.split_once(" is not a valid ")
        && !received.is_empty()
        && !received.contains('\n')
        && !expected.is_empty()
        && !expected.contains(char::is_whitespace)
    {
        let data = json!({ "node_kind": kind, "field_name": field, "expected_type": expected, "received_type": received });
        return ("ATTRIBUTE_INVALID_TYPE", data);
    }
    let data = json!({ "node_kind": kind, "field_name": field, "constraint": reason, "detail": null });
    ("ATTRIBUTE_CONSTRAINT_VIOLATION", data)
}

fn events(store: &Store, model: &Model, given: &Map<String, Value>, until: i64) -> Result<Value, Fail> {
    let limit = given.get("limit").and_then(Value::as_i64).unwrap_or(EVENTS_MAX);
    if limit > EVENTS_MAX {
        return Err(Fail::plain(format!("The parameter 'limit' can't be above {EVENTS_MAX}"), 422));
    }
    let offset = given.get("offset").and_then(Value::as_u64).unwrap_or(0);
    let texts = |name: &str| -> Option<Vec<&str>> { Some(given.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect()) };
    let moment = |name: &str| given.get(name).and_then(Value::as_str).and_then(|t| clock::parse(t, until));
    let (types, branches, nodes, ids) = (texts("event_type"), texts("branches"), texts("primary_node__ids"), texts("ids"));
    let (since, to) = (moment("since"), moment("until").unwrap_or(i64::MAX).min(until));
    let within = |list: &Option<Vec<&str>>, value: &str| list.as_ref().is_none_or(|l| l.contains(&value));
    let mut found: Vec<&crate::store::Event> = store
        .events
        .iter()
        .filter(|e| within(&types, e.name) && within(&branches, &e.branch) && within(&nodes, &e.node) && within(&ids, &e.id))
        .filter(|e| e.at <= to && since.is_none_or(|s| e.at >= s))
        .collect();
    if given.get("order").and_then(Value::as_str) != Some("ASC") {
        found.reverse();
    }
    let page = found.iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(usize::try_from(limit).unwrap_or(0));
    let edges: Vec<Value> = page
        .map(|e| {
            let node = json!({
                "__typename": "NodeMutatedEvent", "id": e.id, "event": e.name, "branch": e.branch, "account_id": e.account.as_deref(),
                "occurred_at": clock::text(e.at), "level": 0, "primary_node": { "id": &*e.node, "kind": e.kind },
                "related_nodes": [], "has_children": false, "parent_id": null, "payload": {}, "attributes": [], "relationships": []
            });
            json!({ "node": node })
        })
        .collect();
    let _ = model;
    Ok(json!({ "count": found.len(), "edges": edges }))
}

pub(crate) fn branch_json(branch: &crate::store::Branch) -> Value {
    json!({
        "id": branch.id, "name": branch.name, "description": branch.description, "origin_branch": "main",
        "branched_from": clock::text(branch.branched_from).replace("+00:00", "Z"), "status": branch.status, "graph_version": 1,
        "created_at": clock::text(branch.created_at).replace("+00:00", "Z"), "sync_with_git": branch.sync_with_git,
        "is_default": branch.name == "main", "is_isolated": true, "has_schema_changes": false, "schema_differs_from_default_branch": false
    })
}

/// `/api/schema`, limited to the namespaces that the query names.
fn schema(model: &Model, query: &[(String, String)]) -> Value {
    let namespaces: Vec<&str> = query.iter().filter(|(n, _)| n == "namespaces").map(|(_, v)| v.as_str()).collect();
    let mut api = model.api.clone();
    if !namespaces.is_empty() {
        for section in ["nodes", "generics", "profiles", "templates"] {
            if let Some(list) = api[section].as_array_mut() {
                list.retain(|n| n["namespace"].as_str().is_some_and(|ns| namespaces.contains(&ns)));
            }
        }
    }
    api
}

/// JSON, gzipped for those who take it: only the schema is.
fn packed(incoming: &Incoming, value: &Value) -> Reply {
    let text = value.to_string();
    if !incoming.header("accept-encoding").is_some_and(|v| v.contains("gzip")) {
        return Reply::new(200, "application/json", text);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    match encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(packed) => {
            let mut reply = Reply::new(200, "application/json", packed);
            reply.headers.push(("content-encoding", "gzip".into()));
            reply.headers.push(("vary", "Accept-Encoding".into()));
            reply
        }
        Err(_) => crash(),
    }
}

/// Returns an answer with errors and without data.
fn refusal(status: u16, errors: Vec<Value>) -> Reply {
    Reply::json(status, &json!({ "data": null, "errors": errors }))
}

/// Resets the connection.
fn reset() -> Reply {
    let mut reply = Reply::new(0, "text/plain", "");
    reply.end = End::Reset;
    reply
}

/// Returns the bytes that the real server sends when it breaks. It then closes the socket without notice.
fn crash() -> Reply {
    let mut reply = Reply::new(500, "text/plain; charset=utf-8", "Internal Server Error");
    reply.end = End::CloseSilently;
    reply
}

/// Returns a hash that differs from this one.
fn changed(hash: &str) -> String {
    let mut digits: Vec<char> = hash.chars().collect();
    match digits.last_mut() {
        Some(last) => *last = if *last == '0' { '1' } else { '0' },
        None => digits.push('0'),
    }
    digits.rotate_right(1);
    digits.into_iter().collect()
}

/// Returns the objects that every Infrahub has: accounts, their groups, a namespace.
pub(crate) fn seed(store: &mut Store, model: &Model) -> Option<Arc<str>> {
    let mut create = |kind: &str, data: Value| -> Option<Arc<str>> {
        let kind = model.kind(kind).filter(|k| model.kinds[*k].category == Category::Node)?;
        let data = data.as_object()?;
        let node = Transaction::new(store, MAIN, None).write(kind, Write::Create, data).ok()??;
        Some(store.nodes[node as usize].id.clone())
    };
    let value = |text: &str| json!({ "value": text });
    let admin = create("CoreAccount", json!({ "name": value("admin"), "password": value("infrahub") }))?;
    let agent = create("CoreAccount", json!({ "name": value("agent"), "password": value("infrahub") }))?;
    create("CoreAccountGroup", json!({ "name": value("Infrahub Users") }));
    create("CoreAccountGroup", json!({ "name": value("Super Administrators"), "members": [{ "id": &*admin }, { "id": &*agent }] }));
    let description = value("Used to provide a default space of IP resources");
    create("IpamNamespace", json!({ "name": value("default"), "default": { "value": true }, "description": description }));
    Some(admin)
}
