//! Time and chance, which tests replace.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clocks and the dice of a session.
pub(super) struct Pace {
    pub(super) sleep: Box<dyn Fn(Duration) -> Sleep + Send + Sync>,
    pub(super) now: Box<dyn Fn() -> SystemTime + Send + Sync>,
    /// The clock that never jumps.
    pub(super) instant: Box<dyn Fn() -> Instant + Send + Sync>,
    /// Draws a number from 0 to 1.
    pub(super) draw: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Pace {
    pub(super) fn real() -> Self {
        let draw = || getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX));
        Self {
            sleep: Box::new(|time| Box::pin(tokio::time::sleep(time))),
            now: Box::new(SystemTime::now),
            instant: Box::new(Instant::now),
            draw: Box::new(draw),
        }
    }
}
