//! Requests that go wrong: a storm, and code of a test in the middle of a request.

use std::sync::{Arc, Mutex, PoisonError};

use infrahub_sync_test_server::{Answer, Reply, Request};

/// Where a request is when a [`Hook`] hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has arrived; nothing has been done.
    Arrived,
    /// It was executed; the client knows nothing yet.
    Handled,
}

/// The fate of a request after its [`Hook`] has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It continues.
    Continue,
    /// The connection is reset: a request that has only arrived is never executed, one that was executed is not answered.
    Reset,
}

/// Code of a test in the middle of a request.
pub type Hook = Arc<dyn Fn(Moment, &Request) -> Fate + Send + Sync>;

/// The effect of a storm on a request.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A status; the request is not executed.
    Status(u16),
    /// A status; the request was executed.
    StatusAfter(u16),
    ResetBefore,
    ResetAfter,
    /// The body ends after some bytes.
    Cut(usize),
}

const FAULTS: [Fault; 12] = [
    Fault::Status(429),
    Fault::Status(503),
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(504),
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::StatusAfter(502),
    Fault::StatusAfter(504),
    Fault::StatusAfter(500),
    Fault::Cut(0),
    Fault::Cut(20),
];

#[derive(Default)]
struct State {
    hook: Option<Hook>,
    /// Seed, hits of a thousand, requests so far.
    storm: Option<(u64, u64, u64)>,
}

/// The faults of a server.
#[derive(Default)]
pub(super) struct Faults(Mutex<State>);

impl std::fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Faults")
    }
}

impl Faults {
    pub(super) fn storm(&self, storm: Option<(u64, u64)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).storm = storm.map(|(seed, per_mille)| (seed, per_mille, 0));
    }

    pub(super) fn hook(&self, hook: Option<Hook>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hook = hook;
    }

    /// Answers a request as `answer` does, or wrongly.
    pub(super) fn answer(&self, request: &Request, answer: impl FnOnce() -> Reply) -> Reply {
        let (hook, fault) = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let fault = state.storm.as_mut().and_then(|(seed, per_mille, number)| {
                *number += 1;
                hit(*seed, *per_mille, *number)
            });
            (state.hook.clone(), fault)
        };
        let is_reset = |moment| hook.as_ref().is_some_and(|hook| hook(moment, request) == Fate::Reset);
        if is_reset(Moment::Arrived) {
            return Reply::Reset;
        }
        let early = match fault {
            Some(Fault::Status(429)) => Some(Answer::status(429).header("retry-after", "0").into()),
            Some(Fault::Status(status)) => Some(Answer::status(status).into()),
            Some(Fault::ResetBefore) => Some(Reply::Reset),
            _ => None,
        };
        if let Some(reply) = early {
            return reply;
        }
        let reply = answer();
        if is_reset(Moment::Handled) {
            return Reply::Reset;
        }
        match (fault, reply) {
            (Some(Fault::StatusAfter(status)), _) => Answer::status(status).into(),
            (Some(Fault::ResetAfter), _) => Reply::Reset,
            (Some(Fault::Cut(bytes)), Reply::Answer(answer)) => answer.cut(bytes),
            (_, reply) => reply,
        }
    }
}

/// Returns the fault of a request by its number.
fn hit(seed: u64, per_mille: u64, number: u64) -> Option<Fault> {
    // SplitMix64: a number for itself, whatever came before.
    let mut bits = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    let at = usize::try_from((bits >> 32) % FAULTS.len() as u64).ok()?;
    FAULTS.get(at).copied().filter(|_| bits % 1000 < per_mille)
}
