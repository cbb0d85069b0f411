//! The clock of a call: what the guest computes, and when its time is used up.
//!
//! The time of the processor counts, not that of the wall: on a busy machine a guest waits for its turn, and that is not its doing. A guest that
//! sleeps counts as computing, since nothing but itself makes it wait.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use infrahub_sync_base::limits::{Limit, Limits};

use crate::limits::Exceeded;
use crate::usage::Usage;

/// Measures the computing of a call: the processor's time in the guest, and the time in which it sleeps. Host HTTP and files do not count.
#[derive(Clone)]
pub(crate) struct CallClock(Arc<Mutex<Times>>);

struct Times {
    started: Instant,
    /// The processor's time in the call, with the host's part.
    busy: Duration,
    /// The host's part of it.
    host: Duration,
    /// The time in which the guest slept.
    asleep: Duration,
    /// Set while the guest sleeps.
    asleep_since: Option<Instant>,
    /// The guest waits for the host.
    waits_for_host: bool,
    /// The guest wants to continue.
    woken: bool,
    /// The part that has been added to the account of the run.
    accounted: Duration,
}

/// The shortest nap of the watch: a call that runs out of time while it waits is checked this often.
const NAP_MIN: Duration = Duration::from_millis(5);
/// The longest: other calls of the run use up its time as well.
const NAP_MAX: Duration = Duration::from_secs(1);

/// Returns the processor's time of this thread.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Returns the time since the first call: this system tells no processor's time of a thread.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}

/// Wakes a task, and ends the sleep of its guest.
struct Alarm {
    clock: CallClock,
    task: Mutex<Waker>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.clock.times().wake();
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

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

    /// Runs a guest, and measures it.
    pub(super) async fn metered<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = std::pin::pin!(guest);
        let alarm = Arc::new(Alarm { clock: self.clone(), task: Mutex::new(Waker::noop().clone()) });
        let waker = Waker::from(alarm.clone());
        std::future::poll_fn(move |task| {
            alarm.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(task.waker());
            self.times().resume();
            let before = processor_time();
            let polled = guest.as_mut().poll(&mut Context::from_waker(&waker));
            self.times().pause_after(processor_time().saturating_sub(before), polled.is_pending());
            polled
        })
        .await
    }

    /// Stops the clock while the host works. Host functions of one instance do not overlap.
    pub(crate) async fn pause<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|task| {
            let before = processor_time();
            let polled = work.as_mut().poll(task);
            let mut times = self.times();
            times.host += processor_time().saturating_sub(before);
            times.waits_for_host = polled.is_pending();
            polled
        })
        .await
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
        let none = Duration::ZERO;
        Self {
            started: Instant::now(),
            busy: none,
            host: none,
            asleep: none,
            asleep_since: None,
            waits_for_host: false,
            woken: false,
            accounted: none,
        }
    }

    fn wake(&mut self) {
        self.woken = true;
        self.asleep += self.asleep_since.take().map_or(Duration::ZERO, |since| since.elapsed());
    }

    fn resume(&mut self) {
        self.wake();
        self.woken = false;
    }

    /// Ends a turn of the guest, which took this time of the processor.
    fn pause_after(&mut self, busy: Duration, is_pending: bool) {
        self.busy += busy;
        // A guest that yields is woken already.
        self.asleep_since = (is_pending && !self.woken && !self.waits_for_host).then(Instant::now);
    }

    fn computed(&self) -> Duration {
        let asleep = self.asleep_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.busy.saturating_sub(self.host) + self.asleep + asleep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::tests::limits_with;

    #[tokio::test]
    async fn every_time_that_is_used_up_ends_the_watch() {
        let clock = CallClock::new();
        clock.times().started = Instant::now() - Duration::from_secs(100);
        clock.times().busy = Duration::from_secs(100);
        clock.times().host = Duration::from_secs(99);
        // Used up: the watch returns at once, and the run's account has the computing of this call.
        let usage = Usage::new();
        let limits = limits_with(&[(Limit::CallTime, 1000)]);
        assert_eq!(clock.watch(&limits, &usage).await, Exceeded { limit: Limit::CallTime, value: 1000 });
        assert_eq!(usage.computed(), Duration::from_secs(1));
        let limits = limits_with(&[(Limit::CallWallTime, 99000)]);
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::CallWallTime);
        let limits = limits_with(&[(Limit::RunTime, 1000)]);
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::RunTime);
        let limits = limits_with(&[(Limit::RunWallTime, 0)]);
        assert_eq!(clock.watch(&limits, &usage).await.limit, Limit::RunWallTime);
    }

    /// The time in which a thread of a busy machine does not get a processor.
    fn without_a_processor() {
        std::thread::sleep(Duration::from_millis(300));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_load_of_the_machine_does_not_count_as_computing() {
        let clock = CallClock::new();
        clock
            .metered(async {
                without_a_processor();
                tokio::task::yield_now().await;
                clock.pause(async { without_a_processor() }).await;
            })
            .await;
        assert!(clock.computed() < Duration::from_millis(200), "{:?}", clock.computed());
        assert!(clock.times().started.elapsed() >= Duration::from_millis(600));
    }

    #[tokio::test]
    async fn computing_and_sleeping_count_and_the_hosts_work_does_not() {
        let spin = |time: Duration| {
            let since = processor_time();
            while processor_time().saturating_sub(since) < time {}
        };
        let (clock, part) = (CallClock::new(), Duration::from_millis(30));
        clock.metered(async { spin(part) }).await;
        let computed = clock.computed();
        assert!(computed >= part, "{computed:?}");
        clock.metered(clock.pause(async { spin(part) })).await;
        clock.metered(clock.pause(tokio::time::sleep(part))).await;
        assert!(clock.computed() < computed + part / 2, "{:?}", clock.computed());
        let before = clock.computed();
        clock.metered(tokio::time::sleep(part)).await;
        assert!(clock.computed() >= before + part / 2, "{:?}", clock.computed());
    }
}
