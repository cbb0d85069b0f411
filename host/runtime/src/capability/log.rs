//! `log`: an adapter's words, on to tracing with the adapter's name.

use tracing::Level as Told;

use crate::guest::bindings::infrahub_sync::adapter::log::{Host, Level};
use crate::instance::HostState;

impl Host for HostState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let message = self.output.cut(&self.grants.scrubber.scrub(message));
        if matches!(level, Level::Error) {
            // Guests without a stderr report their panic so.
            self.output.remember(&message);
        }
        let (adapter, output) = (&self.adapter, &self.output);
        // The level of an event is a constant of its call site. What nobody reads does not count.
        macro_rules! tell {
            ($level:expr) => {
                if tracing::enabled!(target: "infrahub_sync::adapter", $level) && output.may_write() {
                    tracing::event!(target: "infrahub_sync::adapter", $level, %adapter, "{message}");
                }
            };
        }
        match level {
            Level::Trace => tell!(Told::TRACE),
            Level::Debug => tell!(Told::DEBUG),
            Level::Info => tell!(Told::INFO),
            Level::Warn => tell!(Told::WARN),
            Level::Error => tell!(Told::ERROR),
        }
        Ok(())
    }
}
