//! The stand-in for the adapter's system: recorded exchanges or a function, with faults in the place of single answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use infrahub_sync_runtime::{Answer, Asked, FailureKind, StandIn};

use crate::System;

/// Recorded answers by request.
type Recorded = HashMap<Asked, Vec<Answer>>;

/// Where answers come from.
#[derive(Clone)]
enum Source {
    None,
    Recorded(Arc<Recorded>),
    Function(StandIn),
}

/// The system as the suite got it; [`play`](Stage::play) begins again for each session.
#[derive(Clone)]
pub(crate) struct Stage(Source);

/// The answer to a request that was not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unrecorded {
    /// It fails, and is noted: nothing can be said about the adapter then.
    Missing,
    /// It is answered as a server answers what it does not have.
    NotFound,
}

/// The requests of one session.
pub(crate) struct Play {
    source: Source,
    unrecorded: Unrecorded,
    /// The number (from 0) of the request whose answer is replaced, and by what. None: every answer.
    fault: Option<(Option<usize>, Fault)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: usize,
    given: HashMap<Asked, usize>,
    missing: Option<String>,
}

impl Stage {
    pub(crate) fn new(system: &System) -> Stage {
        Stage(match system {
            System::None => Source::None,
            System::Recorded(exchanges) => {
                let mut answers = Recorded::new();
                for (asked, answer) in exchanges {
                    answers.entry(asked.clone()).or_default().push(answer.clone());
                }
                Source::Recorded(Arc::new(answers))
            }
            System::StandIn(stand_in) => Source::Function(stand_in.clone()),
        })
    }

    /// There is nothing that could answer.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0, Source::None)
    }

    /// It answers what it has been asked before, and nothing else.
    pub(crate) fn is_recorded(&self) -> bool {
        matches!(self.0, Source::Recorded(_))
    }

    pub(crate) fn play(&self, unrecorded: Unrecorded, fault: Option<(Option<usize>, Fault)>) -> Arc<Play> {
        Arc::new(Play { source: self.0.clone(), unrecorded, fault, state: Mutex::default() })
    }
}

impl Play {
    /// As the runtime wants it.
    pub(crate) fn stand_in(self: &Arc<Self>) -> StandIn {
        let play = self.clone();
        StandIn::new(move |asked| play.answer(asked))
    }

    /// Returns the number of requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.state().asked
    }

    /// Returns a request that was not recorded, in words.
    pub(crate) fn missing(&self) -> Option<String> {
        self.state().missing.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, asked: &Asked) -> Result<Answer, String> {
        let number = {
            let mut state = self.state();
            state.asked += 1;
            state.asked - 1
        };
        match &self.fault {
            Some((at, fault)) if at.is_none_or(|at| at == number) => fault.answer(|| self.true_answer(asked)),
            _ => self.true_answer(asked),
        }
    }

    fn true_answer(&self, asked: &Asked) -> Result<Answer, String> {
        let found = match &self.source {
            Source::None => None,
            Source::Function(function) => return function.ask(asked),
            Source::Recorded(recorded) => recorded.get(asked).and_then(|answers| {
                let mut state = self.state();
                let given = state.given.entry(asked.clone()).or_default();
                // As in a replay: in order, and the last one again and again.
                let answer = answers.get(*given).or(answers.last()).cloned();
                *given += 1;
                answer
            }),
        };
        if let Some(answer) = found {
            return Ok(answer);
        }
        match self.unrecorded {
            Unrecorded::NotFound => Ok(Answer::json(404, r#"{"detail": "Not found."}"#)),
            Unrecorded::Missing => {
                let body = if asked.body.is_some() { " with that body" } else { "" };
                let missing = format!("{} {}{body} is not among the recorded exchanges", asked.method, asked.path);
                self.state().missing.get_or_insert(missing.clone());
                Err(missing)
            }
        }
    }
}

/// A fault of a server, or of the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A status with a body of that type.
    Status(u16, &'static str, &'static str),
    /// A false success: this body, of that type.
    Body(&'static str, &'static [u8]),
    /// The right answer, cut in the middle.
    Cut,
    /// No answer.
    Broken,
    /// A refusal that repeats the credentials.
    Echo(String),
}

impl Fault {
    fn answer(&self, right: impl FnOnce() -> Result<Answer, String>) -> Result<Answer, String> {
        let of_type = |status, content_type: &str, body: &[u8]| Answer {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.to_vec(),
        };
        match self {
            Fault::Status(status, content_type, body) => {
                let mut answer = of_type(*status, content_type, body.as_bytes());
                if *status == 429 {
                    answer.headers.push(("retry-after".to_owned(), "1".to_owned()));
                }
                Ok(answer)
            }
            Fault::Body(content_type, body) => Ok(of_type(200, content_type, body)),
            Fault::Cut => {
                let mut answer = right()?;
                answer.body.truncate(answer.body.len() / 2);
                Ok(answer)
            }
            Fault::Broken => Err("connection closed before the answer was complete".to_owned()),
            Fault::Echo(text) => Ok(of_type(401, "application/json", text.as_bytes())),
        }
    }

    /// Returns its name in a finding.
    pub(crate) fn shown(&self) -> String {
        match self {
            Fault::Status(status, content_type, _) => format!("HTTP {status} ({content_type})"),
            Fault::Body(_, b"") => "HTTP 200 with an empty body".to_owned(),
            Fault::Body("text/html", _) => "HTTP 200 with a page of HTML".to_owned(),
            Fault::Body("application/octet-stream", _) => "HTTP 200 with bytes that are no text".to_owned(),
            Fault::Body(_, body) => format!("HTTP 200 with {}", String::from_utf8_lossy(body)),
            Fault::Cut => "HTTP 200 with its body cut in the middle".to_owned(),
            Fault::Broken => "a connection that breaks".to_owned(),
            Fault::Echo(_) => "HTTP 401 that repeats the credentials".to_owned(),
        }
    }

    /// Returns the cases of a failure from which a user learns what to do.
    pub(crate) fn cases(&self) -> &'static [FailureKind] {
        match self {
            Fault::Status(401, ..) | Fault::Echo(_) => &[FailureKind::Auth],
            // Some systems refuse so what a token may not see, and some what a path may not have.
            Fault::Status(403, ..) => &[FailureKind::Auth, FailureKind::Config],
            Fault::Status(404, ..) => &[FailureKind::NotFound, FailureKind::Config],
            Fault::Status(429, ..) => &[FailureKind::RateLimited],
            Fault::Status(500, ..) => &[FailureKind::Remote],
            Fault::Status(..) => &[FailureKind::Remote, FailureKind::Transport, FailureKind::RateLimited],
            Fault::Body(..) | Fault::Cut => &[FailureKind::Remote, FailureKind::Transport, FailureKind::Config],
            Fault::Broken => &[FailureKind::Transport],
        }
    }
}

/// The statuses and broken connections that every adapter meets.
pub(crate) const REFUSALS: [Fault; 7] = [
    Fault::Status(401, "application/json", r#"{"detail": "Authentication credentials were not provided."}"#),
    Fault::Status(403, "application/json", r#"{"detail": "You do not have permission to perform this action."}"#),
    Fault::Status(404, "text/html", "<html><body><h1>Not Found</h1></body></html>"),
    Fault::Status(429, "application/json", r#"{"detail": "Request was throttled."}"#),
    Fault::Status(500, "text/html", "<html><body><h1>Server Error</h1></body></html>"),
    Fault::Status(503, "text/plain", "upstream connect error or disconnect"),
    Fault::Broken,
];

/// The answers that only look like a success.
pub(crate) const GARBAGE: [Fault; 7] = [
    Fault::Body("text/html", b"<!DOCTYPE html><html><body>Sign in</body></html>"),
    Fault::Body("application/json", b""),
    Fault::Body("application/json", b"null"),
    Fault::Body("application/json", b"{}"),
    Fault::Body("application/json", b"\"maintenance\""),
    Fault::Body("application/octet-stream", b"\x1f\x8b\x08\x00\xff\xfe"),
    Fault::Cut,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> Asked {
        Asked { method: "GET".into(), path: path.into(), body: None }
    }

    fn recorded() -> Stage {
        let exchange = |path: &str, body: &str| (asked(path), Answer::json(200, body));
        Stage::new(&System::Recorded(vec![exchange("/a", "[1]"), exchange("/a", "[2]"), exchange("/b", "[3]")]))
    }

    #[test]
    fn each_session_begins_with_the_first_answer() {
        for _ in 0..2 {
            let play = recorded().play(Unrecorded::Missing, None);
            let bodies: Vec<_> = ["/a", "/b", "/a", "/a"].iter().map(|path| play.answer(&asked(path)).unwrap().body).collect();
            assert_eq!(bodies, [b"[1]", b"[3]", b"[2]", b"[2]"]);
            assert_eq!((play.asked(), play.missing()), (4, None));
        }
    }

    #[test]
    fn what_is_not_recorded_is_noted_or_not_there() {
        let play = recorded().play(Unrecorded::Missing, None);
        assert!(play.answer(&asked("/c")).is_err());
        assert_eq!(play.missing().unwrap(), "GET /c is not among the recorded exchanges");
        let play = recorded().play(Unrecorded::NotFound, None);
        assert_eq!(play.answer(&asked("/c")).unwrap().status, 404);
        assert_eq!(play.missing(), None);
    }

    #[test]
    fn one_answer_is_replaced_or_all_are() {
        let play = recorded().play(Unrecorded::Missing, Some((Some(1), Fault::Cut)));
        let bodies: Vec<_> = (0..3).map(|_| play.answer(&asked("/b")).unwrap().body).collect();
        assert_eq!(bodies, [&b"[3]"[..], b"[", b"[3]"]);
        let play = recorded().play(Unrecorded::Missing, Some((None, Fault::Broken)));
        assert!(play.answer(&asked("/b")).is_err() && play.answer(&asked("/a")).is_err());
    }
}
