//! Calls of host functions, as an input says: what the fuzz target `host` feeds.
//!
//! It needs no guest, so an input runs in microseconds. Whatever a guest may hand over, a host function answers or fails; it never panics, leaves
//! the folder, or shows the credential.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use infrahub_sync_base::limits::{Limit, Limits};
use wasmtime::component::Resource;

use super::bindings::infrahub_sync::adapter::http::{Host as _, HostResponse as _};
use super::bindings::infrahub_sync::adapter::{files, http, log, memo};
use super::state::{Grants, HostState};
use crate::access::WriteAccess;
use crate::error::{AdapterName, Role};
use crate::exchange::{Answer, Exchange, StandIn};
use crate::files::Folder;
use crate::headers::RequestHeaders;
use crate::http::{Http, HttpConfig};
use crate::manifest::{Credential, CredentialForm, Evidence, HeaderTemplate, Manifest, ReadingForm, ReadingPath, Setting, SettingType};
use crate::memo::Memos;
use crate::secret::Scrubber;
use crate::settings::{self, Sources, Variables};
use crate::usage::Usage;

/// The credential that no answer holds.
const TOKEN: &str = "hunter2-hunter2-hunter2";

/// Calls host functions with what the input says. The folder is the granted one.
///
/// # Panics
/// When a promise is broken.
pub fn drive(data: &[u8], folder: &Path) {
    let Ok(tasks) = tokio::runtime::Builder::new_current_thread().build() else { return };
    tasks.block_on(async {
        let Some(mut state) = state(folder, data.first().is_some_and(|byte| byte % 2 == 1)) else { panic!("the grants are refused") };
        let mut input = Input(data.get(1..).unwrap_or_default());
        let mut held = Vec::new();
        for _ in 0..64 {
            if input.0.is_empty() {
                break;
            }
            call(&mut state, &mut input, &mut held).await;
        }
    });
}

/// Takes arguments off the front of an input.
struct Input<'d>(&'d [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Some bytes, now and then many of the same.
    fn bytes(&mut self) -> Vec<u8> {
        match self.byte() {
            255 => vec![self.byte(); 70_000],
            length => {
                let (taken, rest) = self.0.split_at(usize::from(length).min(self.0.len()));
                self.0 = rest;
                taken.to_vec()
            }
        }
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::from(u32::MAX),
            small => small.into(),
        }
    }

    fn lifetime(&mut self) -> memo::Lifetime {
        if self.byte().is_multiple_of(2) { memo::Lifetime::Run } else { memo::Lifetime::Lasting }
    }

    fn header(&mut self) -> http::Header {
        http::Header { name: self.text(), value: self.text() }
    }

    fn request(&mut self) -> http::Request {
        const METHODS: [&str; 6] = ["GET", "POST", "PUT", "delete", "CONNECT", "HEAD"];
        let method = self.byte();
        http::Request {
            method: METHODS.get(usize::from(method)).map_or_else(|| self.text(), |method| (*method).to_owned()),
            url: self.text(),
            headers: (0..self.byte() % 4).map(|_| self.header()).collect(),
            body: (self.byte() % 2 == 1).then(|| self.bytes()),
            timeout_ms: (self.byte() % 2 == 1).then(|| u32::try_from(self.number()).unwrap_or(u32::MAX)),
            idempotent: self.byte() % 2 == 1,
            unprocessed: (self.byte() % 2 == 1).then(|| self.header()),
        }
    }
}

/// Returns the state of an instance with an address, a folder and memos.
fn state(folder: &Path, writes: bool) -> Option<HostState> {
    let manifest = manifest();
    let settings = BTreeMap::from([("url", "http://stand.in/base"), ("token", TOKEN)].map(|(name, value)| (name.to_owned(), value.into())));
    let adapter = Arc::new(AdapterName { role: Some(Role::Destination), name: "driven".into(), version: "1.0.0".into() });
    let (command_line, variables) = (BTreeMap::new(), Variables::All);
    let sources =
        Sources { manifest: &manifest, settings: &settings, command_line: &command_line, environment: &|_| None, variables: &variables };
    let resolved = settings::resolve(&sources, &adapter, false).ok()?;
    let mut limits = Limits::default();
    for (limit, value) in [(Limit::ResponseSize, 1 << 16), (Limit::HeldSize, 1 << 18), (Limit::HeldResponses, 8), (Limit::FileChanges, 20)]
    {
        limits.set(limit, value);
    }
    let access = Arc::new(WriteAccess::new(writes));
    access.begin();
    let (usage, scrubber) = (Arc::new(Usage::new()), Scrubber::new(resolved.secrets.values().cloned()));
    // A server that repeats what it is asked. The answers of a stand-in are not masked, so it does not repeat the credential.
    let echo = StandIn::new(|asked| {
        let body = format!("{{\"next\": {:?}, \"results\": [1, {{}}]}}", asked.path);
        Ok(Answer {
            status: 200,
            headers: vec![("x-echo".into(), asked.path.clone()), ("link".into(), asked.method.clone())],
            body: body.into(),
        })
    });
    let http = Http::new(HttpConfig {
        adapter: adapter.clone(),
        manifest: &manifest,
        resolved: &resolved,
        address: resolved.address.as_deref()?,
        extra_origins: &[],
        networks: &[],
        environment: &|_| None,
        limits: &limits,
        exchange: Exchange::StandIn(echo),
        scrubber: scrubber.clone(),
        access: access.clone(),
        usage: usage.clone(),
        headers: &RequestHeaders::Plain(Vec::new()),
    });
    let grants = Grants {
        http: Some(Arc::new(http.ok()?)),
        folder: Some(Arc::new(Folder::new(folder.to_owned(), false, access, &limits).ok()?)),
        memos: Some(Arc::new(Memos::new(&[0; 32], resolved.address.as_deref(), None))),
        scrubber,
    };
    Some(HostState::new(adapter, grants, &limits, usage))
}

fn manifest() -> Manifest {
    let setting = |name: &str, secret| Setting {
        name: name.to_owned(),
        help: String::new(),
        setting_type: SettingType::Text,
        required: true,
        secret,
        environment: Vec::new(),
        environment_setting: None,
        project_first: false,
        command_line: None,
        default: None,
    };
    let token = HeaderTemplate { name: "Authorization".into(), template: "Token {token}".into(), prefix: String::new() };
    Manifest {
        name: "driven".into(),
        version: "1.0.0".into(),
        description: String::new(),
        settings: vec![setting("url", false), setting("token", true)],
        address_setting: Some("url".into()),
        folder_setting: None,
        credentials: vec![Credential { when: None, form: CredentialForm::Header(vec![token]) }],
        reading_paths: vec![
            ReadingPath { path: "/search".into(), form: ReadingForm::Any },
            ReadingPath { path: "/graphql/*".into(), form: ReadingForm::Graphql },
        ],
        aliases: Vec::new(),
        source: None,
        destination: Some(crate::manifest::Addressing::Mapping),
        references: Vec::new(),
        tables: Vec::new(),
        lookup: None,
        evidence: Evidence::default(),
        ownership: false,
        reads_ids: false,
        schema: false,
        page_size: 1,
        write_batch_max: 1,
        write_concurrency: 1,
        has_ids: false,
    }
}

/// Fails if a guest would see the credential.
fn seen(what: impl AsRef<[u8]>) {
    let is_there = what.as_ref().windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes());
    assert!(!is_there, "a guest sees the credential");
}

/// Keeps a response, of which a copy of the handle stays.
fn hold<E>(answer: wasmtime::Result<Result<Resource<crate::response::HostResponse>, E>>, held: &mut Vec<u32>) {
    if let Ok(Ok(response)) = answer {
        held.push(response.rep());
    }
}

/// Makes one call. Errors are what guests see, and traps end them: both are fine.
async fn call(state: &mut HostState, input: &mut Input<'_>, held: &mut Vec<u32>) {
    use files::Host as Files;
    use log::Host as Log;
    use memo::Host as Memo;

    // A handle that it got, also one that it has released, or any number.
    let handle = |input: &mut Input<'_>| {
        let number = input.byte();
        Resource::new_borrow(held.get(usize::from(number)).copied().unwrap_or(number.into()))
    };
    match input.byte() % 15 {
        0 | 1 => hold(state.send(input.request()).await, held),
        2 => drop(state.status(handle(input))),
        3 => drop(state.header(handle(input), input.text()).map(|value| seen(value.unwrap_or_default()))),
        4 => {
            let pointers = (0..input.byte() % 5).map(|_| input.text()).collect();
            drop(state.json(handle(input), pointers).map(|found| found.into_iter().flatten().for_each(seen)));
        }
        5 => drop(state.count(handle(input), input.text())),
        6 => drop(state.body(handle(input)).map(seen)),
        7 => drop(if input.byte().is_multiple_of(2) { state.release(handle(input)) } else { state.drop(handle(input)) }),
        8 => drop(Files::list(state).await),
        9 => hold(Files::read(state, input.text()).await, held),
        10 => {
            let read = Files::read_lines(state, input.text(), input.number(), u32::try_from(input.number()).unwrap_or(u32::MAX)).await;
            hold(read.map(|answer| answer.map(|(response, _)| response)), held);
        }
        11 => drop(Files::append(state, input.text(), input.bytes()).await),
        12 if input.byte().is_multiple_of(2) => drop(Files::replace(state, input.text(), input.text()).await),
        12 => drop(Files::remove(state, input.text()).await),
        13 if input.byte().is_multiple_of(2) => drop(Memo::get(state, input.lifetime(), input.text()).await),
        13 => drop(Memo::put(state, input.lifetime(), input.text(), input.bytes()).await),
        _ => drop(Log::log(state, log::Level::Error, input.text())),
    }
}
