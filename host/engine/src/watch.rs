//! Shows for what a run waits: answers of the systems, pauses before further attempts.
//!
//! While a stage is in progress, the systems are looked at once a second. [`Events`] decides what of it is shown, and when.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use infrahub_sync_runtime::{WaitState, Waiting as Wait};

use crate::adapter::Opened;
use crate::system::System;
use crate::{EngineError, Events, Side};

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Something that a run waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The side of the system.
    pub side: Side,
    /// The name of its adapter.
    pub system: String,
    /// The wait: `wait.id` tells it from others of the side.
    pub wait: Wait,
}

impl fmt::Display for Waiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waiting { side, system, wait: Wait { what, waited, state, .. } } = self;
        let system = format!("{} `{system}`", side.as_str());
        let what = if what.is_empty() { "a request" } else { what };
        match state {
            WaitState::Sent { limit, repeats, .. } => {
                let then = match (repeats, is_write(what)) {
                    (true, _) => "asks again",
                    (false, true) => "gives up and reads back what was written",
                    (false, false) => "gives up",
                };
                write!(out, "Waiting {} s for the answer of {system} to `{what}`", waited.as_secs())?;
                if *limit == Duration::MAX { Ok(()) } else { write!(out, "; after {} s, it {then}", limit.as_secs()) }
            }
            WaitState::Again { why, left, attempt, attempts } => {
                write!(out, "{system}, `{what}`: {why}; trying again in {} s ({attempt} of {attempts})", left.as_secs())
            }
            WaitState::Pause { left } => write!(out, "{system}: {what}, in {} s", left.as_secs()),
        }
    }
}

/// Returns whether a call writes rows.
fn is_write(what: &str) -> bool {
    ["create ", "update ", "delete "].iter().any(|word| what.starts_with(word))
}

/// The systems that are open.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Vec<(Side, Arc<dyn System>)>>);

impl Watch {
    /// Opens both sides, and watches them from then on.
    pub(crate) async fn both(
        &self,
        open: impl Future<Output = Result<(Opened, Opened), EngineError>>,
    ) -> Result<(Opened, Opened), EngineError> {
        let (source, destination) = open.await?;
        self.add(Side::Source, &source);
        self.add(Side::Destination, &destination);
        Ok((source, destination))
    }

    /// Watches an open system.
    pub(crate) fn add(&self, side: Side, opened: &Opened) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((side, opened.system.clone()));
    }

    /// Does work, and shows meanwhile for what it waits.
    pub(crate) async fn during<T>(&self, events: &dyn Events, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    events.waiting(&[]);
                    return done;
                }
                () = tokio::time::sleep(LOOK) => events.waiting(&self.waits()),
            }
        }
    }

    fn waits(&self) -> Vec<Waiting> {
        let systems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(side, system): &(Side, Arc<dyn System>)| {
            let (side, name) = (*side, system.manifest().name.clone());
            system.waits().into_iter().map(move |wait| Waiting { side, system: name.clone(), wait }).collect::<Vec<_>>()
        };
        systems.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(what: &str, state: WaitState) -> String {
        let wait = Wait { id: 1, what: what.to_owned(), waited: Duration::from_secs(40), state };
        Waiting { side: Side::Destination, system: "infrahub".to_owned(), wait }.to_string()
    }

    #[test]
    fn a_wait_is_a_sentence_that_says_for_what_since_when_and_what_comes_next() {
        let (waited, limit) = (Duration::from_secs(40), Duration::from_secs(180));
        let write = words("update 50 InfraDevice", WaitState::Sent { waited, limit, repeats: false });
        assert_eq!(
            write,
            "Waiting 40 s for the answer of destination `infrahub` to `update 50 InfraDevice`; after 180 s, it gives up and reads back what was written"
        );
        let read = words("read InfraDevice", WaitState::Sent { waited, limit, repeats: true });
        assert_eq!(read, "Waiting 40 s for the answer of destination `infrahub` to `read InfraDevice`; after 180 s, it asks again");
        let why = "the server answered 503".to_owned();
        let again = words("read InfraDevice", WaitState::Again { why, left: Duration::from_secs(4), attempt: 2, attempts: 4 });
        assert_eq!(again, "destination `infrahub`, `read InfraDevice`: the server answered 503; trying again in 4 s (2 of 4)");
        let pause = words("50 rows whose answer was lost are read back", WaitState::Pause { left: Duration::from_secs(8) });
        assert_eq!(pause, "destination `infrahub`: 50 rows whose answer was lost are read back, in 8 s");
    }
}
