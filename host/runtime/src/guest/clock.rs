//! The clock of a call: what the guest computes, and when its time is used up.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use infrahub_sync_base::limits::{Limit, Limits};

use crate::limits::Exceeded;
use crate::usage::Usage;

/// Measures the computing of a call: the time since its beginning without the time in host HTTP and files.
#[derive(Clone)]
pub(crate) struct CallClock(Arc<Mutex<Times>>);

struct Times {
    started: Instant,
    waited: Duration,
    waiting_since: Option<Instant>,
    /// The part that has been added to the account of the run.
    accounted: Duration,
}

/// The shortest nap of the watch: a call that runs out of time while it waits is checked this often.
const NAP_MIN: Duration = Duration::from_millis(5);
/// The longest: other calls of the run use up its time as well.
const NAP_MAX: Duration = Duration::from_secs(1);

impl CallClock {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Times::new())))
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn restart(&self) {
        *self.times() = Times::new();
    }

    fn computed(&self) -> Duration {
        self.times().computed()
    }

    /// Adds the computing of this call since the last time to the account of the run.
    pub(super) fn account(&self, usage: &Usage) {
        let mut times = self.times();
        let computed = times.computed();
        usage.add_computed(computed.saturating_sub(times.accounted));
        times.accounted = computed;
    }

    /// Stops the clock while the host works. Host functions of one instance do not overlap.
    pub(crate) async fn pause<T>(&self, work: impl Future<Output = T>) -> T {
        self.times().waiting_since = Some(Instant::now());
        let result = work.await;
        let mut times = self.times();
        if let Some(since) = times.waiting_since.take() {
            times.waited += since.elapsed();
        }
        result
    }

    /// Waits until a time is used up, and returns which.
    pub(super) async fn watch(&self, limits: &Limits, usage: &Usage) -> Exceeded {
        loop {
            self.account(usage);
            let (computed, elapsed) = (self.computed(), self.times().started.elapsed());
            let mut nap = NAP_MAX;
            for (limit, most, used) in [
                (Limit::CallTime, limits.time(Limit::CallTime), computed),
                (Limit::RunTime, limits.time(Limit::RunTime), usage.computed()),
                (Limit::CallWallTime, limits.time(Limit::CallWallTime), elapsed),
                (Limit::RunWallTime, limits.time(Limit::RunWallTime), usage.age()),
            ] {
                let left = most.saturating_sub(used);
                if left.is_zero() {
                    return Exceeded::time(limit, most);
                }
                nap = nap.min(left);
            }
            tokio::time::sleep(nap.max(NAP_MIN)).await;
        }
    }
}

impl Times {
    fn new() -> Self {
        Self { started: Instant::now(), waited: Duration::ZERO, waiting_since: None, accounted: Duration::ZERO }
    }

    fn computed(&self) -> Duration {
        let until = self.waiting_since.unwrap_or_else(Instant::now);
        until.duration_since(self.started).saturating_sub(self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::tests::limits_with;

    #[tokio::test]
    async fn waiting_does_not_count_as_computing() {
        let clock = CallClock::new();
        clock.times().started = Instant::now() - Duration::from_secs(100);
        clock.times().waited = Duration::from_secs(99);
        assert!(clock.computed() < Duration::from_secs(2));
        // Used up: the watch returns at once, and the run's account has the computing of this call.
        let usage = Usage::new();
        let limits = limits_with(&[(Limit::CallTime, 1000)]);
        assert_eq!(clock.watch(&limits, &usage).await, Exceeded { limit: Limit::CallTime, value: 1000 });
        assert!(usage.computed() >= Duration::from_secs(1) && usage.computed() < Duration::from_secs(2));
        let limits = limits_with(&[(Limit::CallWallTime, 99000)]);
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::CallWallTime);
        let limits = limits_with(&[(Limit::RunTime, 1000)]);
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::RunTime);
        let limits = limits_with(&[(Limit::RunWallTime, 0)]);
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::RunWallTime);
        clock.pause(async { assert!(clock.times().waiting_since.is_some()) }).await;
        assert!(clock.times().waiting_since.is_none());
    }
}
