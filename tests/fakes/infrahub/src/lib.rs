//! A faithful fake Infrahub: a server on the loopback interface with the real server's schema and rules, an in-memory
//! store, and faults on command.
//!
//! * [`Fake`] is the server; dropping it stops it. [`Options`] say what it imitates.
//! * Every GraphQL document is validated against the SDL that the real server generates from the same schema. Variables are
//!   coerced as in the real server. A wrong name or type therefore fails here as it does there.
//! * [`Store`] holds the server's objects; tests read it past the network.
//! * [`Fault`] and [`Settings`] define the faults.
//! * [`Fake::requests`] lists all requests, each with its connection.
//!
//! The imitated behaviour was measured on Infrahub 1.11; `check/differential.py` compares the two, answer by answer.
//! Not imitated: the graph database's times, Git, tasks, diffs, resource pools, artifacts, hierarchies, and the values
//! that profiles give to attributes (they are stored as objects of their own). Profiles give relationships.

mod branch;
mod clock;
mod document;
mod faults;
mod http;
mod model;
mod mutate;
mod query;
mod server;
mod store;
mod template;
mod value;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

pub use faults::{Action, Fault, Hook, Moment, Outside, Settings, Storm, Verdict};
pub use model::{Model, SchemaError, Version};
use serde_json::{Map, Value};
pub use server::{Request, Rights};
pub use store::Store;

/// The token of the administrator, as the real server is set up with in tests.
pub const ADMIN_TOKEN: &str = "06438eb2-8019-4776-878c-0941b1f1d1ec";
/// A token that may read, but not write.
pub const READ_ONLY_TOKEN: &str = "06438eb2-8019-4776-878c-read-only";
/// A token that may write on branches, but not on main.
pub const BRANCH_ONLY_TOKEN: &str = "06438eb2-8019-4776-878c-branch-only";
/// A token that has expired.
pub const EXPIRED_TOKEN: &str = "06438eb2-8019-4776-878c-expired";

/// The server that a fake imitates.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The version of the server.
    pub version: Version,
    /// The schema; without one that of the fixtures, [`Model::fixture`].
    pub model: Option<Arc<Model>>,
    /// Settings from the start.
    pub settings: Settings,
    /// Tokens beside the four that are always there.
    pub tokens: Vec<(String, Rights)>,
}

/// A running server; dropping it stops it and closes its connections.
pub struct Fake {
    shared: Arc<server::Shared>,
    listener: http::Listener,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fake").field("url", &self.url()).finish()
    }
}

impl Fake {
    /// Starts a server on 127.0.0.1.
    pub fn start(options: Options) -> std::io::Result<Fake> {
        let model = options.model.unwrap_or_else(|| Model::fixture(options.version));
        let mut store = Store::new(model.clone(), options.settings.clock_skew_ms * 1000);
        let account = server::seed(&mut store, &model);
        let mut tokens = HashMap::new();
        let built_in = [
            (ADMIN_TOKEN, Rights::Admin),
            (READ_ONLY_TOKEN, Rights::ReadOnly),
            (BRANCH_ONLY_TOKEN, Rights::BranchOnly),
            (EXPIRED_TOKEN, Rights::Expired),
        ];
        let built_in = built_in.into_iter().map(|(token, rights)| (token.to_owned(), rights));
        for (token, rights) in built_in.chain(options.tokens) {
            tokens.insert(token, server::Token { rights, account: account.clone() });
        }
        let deployment = store.fresh_id();
        let shared = Arc::new(server::Shared {
            model: RwLock::new(model),
            store: RwLock::new(store),
            cache: document::Cache::default(),
            faults: Mutex::default(),
            hook: RwLock::default(),
            log: Mutex::default(),
            tokens: Mutex::new(tokens),
            connections: Arc::default(),
            version: options.version,
            deployment,
        });
        shared.set_settings(options.settings);
        let handler = shared.clone();
        let listener = http::Listener::start(options.port, shared.connections.clone(), move |incoming| handler.handle(incoming))?;
        Ok(Fake { shared, listener })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listener.address)
    }

    /// Returns the token of the administrator.
    pub fn token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    /// Returns the server's objects. Writers wait while the guard lives.
    pub fn store(&self) -> RwLockReadGuard<'_, Store> {
        self.shared.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was asked so far, in the order of the answers.
    pub fn requests(&self) -> Vec<Request> {
        server::locked(&self.shared.log).clone()
    }

    /// Forgets the requests, so that a test counts only those of its next part.
    pub fn clear_requests(&self) {
        server::locked(&self.shared.log).clear();
    }

    /// Waits until all that clients which have ended had sent is executed and in [`Fake::requests`], as the server reads on after its client has
    /// gone. It waits forever for a client that keeps its connection.
    pub fn wait_until_idle(&self) -> std::io::Result<()> {
        self.listener.wait_until_idle()
    }

    /// Returns the number of TCP connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns the faults, to program them.
    pub fn faults(&self) -> Faults<'_> {
        Faults { shared: &self.shared }
    }

    /// Executes a document past the network and the rights, as another user's change would be; the answer is the whole
    /// response.
    pub fn execute(&self, branch: &str, query: &str, variables: Map<String, Value>) -> Value {
        self.shared.execute_outside(&Outside { query: query.to_owned(), variables, branch: branch.to_owned() })
    }
}

/// Programs what goes wrong.
#[derive(Clone, Copy)]
pub struct Faults<'f> {
    shared: &'f server::Shared,
}

impl std::fmt::Debug for Faults<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faults")
    }
}

impl Faults<'_> {
    /// Adds a fault.
    pub fn add(self, fault: Fault) {
        server::locked(&self.shared.faults).faults.push((fault, 0));
    }

    /// Removes all faults; settings stay.
    pub fn clear(self) {
        server::locked(&self.shared.faults).faults.clear();
    }

    /// Begins a storm, or ends it.
    pub fn storm(self, storm: Option<Storm>) {
        let mut state = server::locked(&self.shared.faults);
        (state.storm, state.stormy) = (storm, 0);
    }

    /// Has every request looked at in the middle; none ends it.
    pub fn hook(self, hook: Option<Hook>) {
        *self.shared.hook.write().unwrap_or_else(PoisonError::into_inner) = hook;
    }

    /// Returns the number of faults that are not used up.
    pub fn pending(self) -> usize {
        server::locked(&self.shared.faults).faults.len()
    }

    /// Returns the settings that hold.
    pub fn settings(self) -> Settings {
        self.shared.settings()
    }

    /// Changes the settings.
    pub fn set(self, settings: Settings) {
        self.shared.set_settings(settings);
    }

    /// Gives the schema, and these kinds, another hash.
    pub fn change_schema(self, kinds: &[&str]) {
        let kinds: Vec<String> = kinds.iter().map(|k| (*k).to_owned()).collect();
        self.shared.change_schema(&kinds, &|_| {});
    }

    /// Changes an attribute of a kind in the schema, as `{"optional": false}` does, and the hashes.
    pub fn change_attribute(self, kind: &str, attribute: &str, change: &Map<String, Value>) {
        self.shared.change_schema(&[kind.to_owned()], &|node| {
            let attributes = node["attributes"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
            for found in attributes.filter(|found| found.get("name").is_some_and(|name| name == attribute)) {
                found.extend(change.clone());
            }
        });
    }
}
