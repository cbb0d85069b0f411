//! The waits of a session at this moment: for answers, and in pauses before the next attempt.
//!
//! Key types: [`Waits`] (all of them), [`Waiting`] (one of them, as it is shown). An entry lives as long as its request.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

tokio::task_local! {
    /// The call of the contract that is being made, for a person: `update 50 InfraDevice`.
    static CALL: String;
}

/// Does work of a call, whose requests are known by `what`.
pub(crate) async fn during<T>(what: String, work: impl Future<Output = T>) -> T {
    CALL.scope(what, work).await
}

/// Something that a session waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Tells it from others of the session.
    pub id: u64,
    /// The request in words: `update 50 InfraDevice`, `read dcim.devices`.
    pub what: String,
    /// The time since it was asked, with all attempts.
    pub waited: Duration,
    /// The current state.
    pub state: WaitState,
}

/// The current state of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitState {
    /// It was sent, and has no answer.
    Sent {
        /// The time since this attempt was sent.
        waited: Duration,
        /// The longest time without an answer.
        limit: Duration,
        /// It is sent again when that time is over.
        repeats: bool,
    },
    /// It is sent again after a pause.
    Again {
        /// How the last attempt ended.
        why: String,
        /// The rest of the pause.
        left: Duration,
        /// The number of the next attempt, from 1.
        attempt: u32,
        /// The most attempts.
        attempts: u32,
    },
    /// The host pauses before it asks again.
    Pause {
        /// The rest of the pause.
        left: Duration,
    },
}

/// All that a session waits for.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    what: String,
    since: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Sent { since: Instant, limit: Duration, repeats: bool },
    Again { why: String, until: Instant, attempt: u32, attempts: u32 },
    Pause { until: Instant },
}

impl Waits {
    /// Begins to wait for the requests of the current call.
    pub(crate) fn request(self: &Arc<Self>) -> Entered {
        let what = CALL.try_with(String::clone).unwrap_or_default();
        let now = Instant::now();
        self.enter(what, State::Sent { since: now, limit: Duration::MAX, repeats: false })
    }

    /// Begins a pause of the host.
    pub(crate) fn pause(self: &Arc<Self>, why: String, time: Duration) -> Entered {
        self.enter(why, State::Pause { until: Instant::now() + time })
    }

    /// Returns everything that is waited for, the longest wait first.
    pub(crate) fn list(&self) -> Vec<Waiting> {
        let now = Instant::now();
        let left = |until: &Instant| until.saturating_duration_since(now);
        let shown = |(id, entry): (&u64, &Entry)| Waiting {
            id: *id,
            what: entry.what.clone(),
            waited: now.saturating_duration_since(entry.since),
            state: match &entry.state {
                State::Sent { since, limit, repeats } => {
                    WaitState::Sent { waited: now.saturating_duration_since(*since), limit: *limit, repeats: *repeats }
                }
                State::Again { why, until, attempt, attempts } => {
                    WaitState::Again { why: why.clone(), left: left(until), attempt: *attempt, attempts: *attempts }
                }
                State::Pause { until } => WaitState::Pause { left: left(until) },
            },
        };
        self.lock().entries.iter().map(shown).collect()
    }

    fn enter(self: &Arc<Self>, what: String, state: State) -> Entered {
        let mut entries = self.lock();
        entries.next += 1;
        let id = entries.next;
        entries.entries.insert(id, Entry { what, since: Instant::now(), state });
        Entered { id, waits: self.clone() }
    }

    /// Ignores a panic of another thread, which can at most leave an entry out of date.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry, which ends with this value.
#[derive(Debug)]
pub(crate) struct Entered {
    id: u64,
    waits: Arc<Waits>,
}

impl Entered {
    /// Notes that the request is sent.
    pub(crate) fn sent(&self, limit: Duration, repeats: bool) {
        self.set(State::Sent { since: Instant::now(), limit, repeats });
    }

    /// Notes that the request is sent again after a pause.
    pub(crate) fn again(&self, why: String, pause: Duration, attempt: u32, attempts: u32) {
        self.set(State::Again { why, until: Instant::now() + pause, attempt, attempts });
    }

    fn set(&self, state: State) {
        if let Some(entry) = self.waits.lock().entries.get_mut(&self.id) {
            entry.state = state;
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.waits.lock().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_entry_says_what_was_asked_and_what_comes_next_and_ends_with_its_request() {
        let waits = Arc::new(Waits::default());
        let entered = during("update 50 InfraDevice".to_owned(), async { waits.request() }).await;
        entered.sent(Duration::from_secs(180), false);
        let [Waiting { what, state: WaitState::Sent { limit, repeats: false, .. }, .. }] = &waits.list()[..] else {
            panic!("{:?}", waits.list())
        };
        assert_eq!((what.as_str(), limit.as_secs()), ("update 50 InfraDevice", 180));
        entered.again("the server answered 503".to_owned(), Duration::from_secs(4), 2, 4);
        assert!(matches!(&waits.list()[0].state, WaitState::Again { left, attempt: 2, attempts: 4, .. } if *left > Duration::from_secs(3)));
        let pause = waits.pause("it moved".to_owned(), Duration::from_secs(1));
        assert_eq!(waits.list().len(), 2);
        drop((entered, pause));
        assert_eq!(waits.list(), []);
    }
}
