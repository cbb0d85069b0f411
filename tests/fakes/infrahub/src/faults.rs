//! Faults on command: what goes wrong, for which requests, how often.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Something that goes wrong for requests that match.
///
/// A fault counts the requests that match: the first `skip` pass, the next `times` are hit, then it is used up.
/// In JSON (`POST /_fake/faults`): `{"path": "/graphql", "document": "InfraDeviceCreate", "skip": 1, "times": 2, "action": {"do": "shed"}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A text that the path has to contain.
    #[serde(default)]
    pub path: String,
    /// A text that the GraphQL document has to contain.
    #[serde(default)]
    pub document: String,
    /// A text that the body has to contain: it finds the values that stand in variables.
    #[serde(default)]
    pub body: String,
    /// How many matching requests pass before the first that is hit.
    #[serde(default)]
    pub skip: usize,
    /// How many requests are hit.
    #[serde(default = "once")]
    pub times: usize,
    /// The fault.
    pub action: Action,
}

fn once() -> usize {
    1
}

impl Fault {
    /// Returns a fault that hits the next request of any kind.
    pub fn new(action: Action) -> Fault {
        Fault { path: String::new(), document: String::new(), body: String::new(), skip: 0, times: 1, action }
    }

    /// Hits only requests whose path contains `text`.
    #[must_use]
    pub fn on_path(mut self, text: &str) -> Fault {
        self.path = text.to_owned();
        self
    }

    /// Hits only requests whose GraphQL document contains `text`.
    #[must_use]
    pub fn on_document(mut self, text: &str) -> Fault {
        self.document = text.to_owned();
        self
    }

    /// Hits only requests whose body, variables included, contains `text`.
    #[must_use]
    pub fn on_body(mut self, text: &str) -> Fault {
        self.body = text.to_owned();
        self
    }

    /// Lets the first `count` matching requests pass.
    #[must_use]
    pub fn after(mut self, count: usize) -> Fault {
        self.skip = count;
        self
    }

    /// Hits `count` requests instead of one.
    #[must_use]
    pub fn times(mut self, count: usize) -> Fault {
        self.times = count;
        self
    }
}

/// The faults.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// 429 with `Retry-After: 1` and `X-Infrahub-Admission: shed`: the handler never ran.
    Shed,
    /// 429 without the marker: nothing says whether the handler ran. It did not.
    TooMany,
    /// 503 with an empty body.
    Unavailable,
    /// 500 `Internal Server Error` as text, after which the socket is closed without a word.
    Crash,
    /// Any status with any body, instead of the handler.
    Status {
        /// The status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// The connection is reset before the handler runs.
    ResetBefore,
    /// The handler runs, then the connection is reset: the answer is lost.
    ResetAfter,
    /// The handler runs, and the answer is lost behind a status without a body, as a proxy's after its patience.
    StatusAfter {
        /// The status.
        status: u16,
    },
    /// A proxy gives up with a status before the handler runs; the handler runs after a while, when no one waits for it.
    Late {
        /// The status.
        status: u16,
        /// How long after the answer, in milliseconds.
        after_ms: u64,
    },
    /// The handler runs, and only this many bytes of the body are sent before the connection ends.
    Truncate {
        /// Bytes of the body that arrive.
        bytes: usize,
    },
    /// The body comes in pieces with pauses between them.
    SlowBody {
        /// Bytes in a piece.
        bytes: usize,
        /// The pause after each, in milliseconds.
        pause_ms: u64,
    },
    /// The answer waits.
    Delay {
        /// How long, in milliseconds.
        delay_ms: u64,
    },
    /// One alias of a mutation fails, the others are executed.
    Alias {
        /// The alias, or the name of the mutation.
        name: String,
        /// The message of the error.
        message: String,
        /// `extensions.code`.
        #[serde(default = "undefined")]
        code: String,
        /// `extensions.http_status`.
        #[serde(default = "server_error")]
        http_status: u16,
    },
    /// The server's clock moves forward before the request is handled, as if it had waited so long.
    Pass {
        /// How far, in milliseconds.
        ms: i64,
    },
    /// Another user writes, before the request is handled.
    RunBefore(Outside),
    /// Another user writes, after the request was handled and before it is answered.
    RunAfter(Outside),
    /// The schema changes before the request is handled: the hash, and those of these kinds.
    ChangeSchema {
        /// The kinds whose hashes change.
        #[serde(default)]
        kinds: Vec<String>,
    },
}

fn undefined() -> String {
    "UNDEFINED_ERROR".into()
}

fn server_error() -> u16 {
    500
}

/// A document that is executed in the server, past the network and the rights.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// The document.
    pub query: String,
    /// Its variables.
    #[serde(default)]
    pub variables: Map<String, Value>,
    /// The branch.
    #[serde(default = "main")]
    pub branch: String,
}

fn main() -> String {
    "main".into()
}

impl Outside {
    /// Returns a document without variables, on main.
    pub fn new(query: &str) -> Outside {
        Outside { query: query.to_owned(), variables: Map::new(), branch: main() }
    }
}

/// Settings that do not count requests, but stay until they are changed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Every request waits this long, in milliseconds.
    pub latency_ms: u64,
    /// Kinds without write permission: 403, as if a role forbids it. `*` means all.
    pub deny_write_kinds: Vec<String>,
    /// The server's clock is ahead of the real one by this many milliseconds.
    pub clock_skew_ms: i64,
    /// Events show up this late, in milliseconds.
    pub event_lag_ms: u64,
    /// The human friendly id of a child shows the old name of its parent for this long, in milliseconds.
    pub hfid_lag_ms: u64,
    /// Attributes (`Kind.name`) that keep their value whatever is written, although the answer is `ok`: as if the server computed them.
    pub frozen: Vec<String>,
}

/// Faults at random, the same for the same seed: of a thousand requests, N are hit, by one of the actions each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// Where the numbers come from.
    pub seed: u64,
    /// How many of a thousand requests are hit.
    pub per_mille: u64,
    /// The faults, each as likely as the others.
    pub actions: Vec<Action>,
}

impl Storm {
    /// Returns the fault of a request, which is known by its number.
    fn hit(&self, number: u64) -> Option<&Action> {
        // SplitMix64: a number for itself, whatever came before.
        let mut bits = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let at = usize::try_from((bits >> 32) % self.actions.len().max(1) as u64).ok()?;
        self.actions.get(at).filter(|_| bits % 1000 < self.per_mille)
    }
}

/// Where a request is when a [`Hook`] hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has arrived; nothing has been done.
    Arrived,
    /// It was executed; the client knows nothing yet.
    Handled,
}

/// The fate of a request after its [`Hook`] has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It continues as if there were no hook.
    GoOn,
    /// The connection is reset: a request that has only arrived is never executed, one that was executed is not answered.
    Reset,
}

/// Code of a test in the middle of a request. It runs twice for each request, with the GraphQL document (empty for other requests). The
/// request waits for it.
pub type Hook = Arc<dyn Fn(Moment, &str) -> Verdict + Send + Sync>;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) faults: Vec<(Fault, usize)>,
    pub(crate) settings: Settings,
    pub(crate) storm: Option<Storm>,
    /// Requests since the storm began.
    pub(crate) stormy: u64,
}

impl State {
    /// Returns the actions for a request, each of which it uses up.
    pub(crate) fn hit(&mut self, path: &str, document: &str, body: &[u8]) -> Vec<Action> {
        let mut out = Vec::new();
        for (fault, seen) in &mut self.faults {
            let matches = path.contains(&fault.path)
                && document.contains(&fault.document)
                && (fault.body.is_empty() || String::from_utf8_lossy(body).contains(&fault.body));
            if matches {
                *seen += 1;
                if *seen > fault.skip && *seen <= fault.skip + fault.times {
                    out.push(fault.action.clone());
                }
            }
        }
        self.faults.retain(|(fault, seen)| *seen < fault.skip + fault.times);
        self.stormy += 1;
        out.extend(self.storm.as_ref().and_then(|storm| storm.hit(self.stormy)).cloned());
        out
    }

    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.settings.latency_ms)
    }
}
