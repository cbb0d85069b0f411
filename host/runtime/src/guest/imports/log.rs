//! `log`: an adapter's messages, passed to tracing with the adapter's name.

use tracing::Level as TraceLevel;

use crate::guest::bindings::infrahub_sync::adapter::log::{Host, Level};
use crate::guest::state::HostState;

impl Host for HostState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let message = self.output.cut(&self.grants.scrubber.scrub(message));
        if matches!(level, Level::Error) {
            // Guests without a stderr report their panic so.
            self.output.remember(&message);
        }
        let (adapter, output) = (&self.adapter, &self.output);
        // The level of an event is a constant of its call site. A message that no subscriber reads does not count.
        macro_rules! emit {
            ($level:expr) => {
                if tracing::enabled!(target: "infrahub_sync::adapter", $level) && output.may_write() {
                    tracing::event!(target: "infrahub_sync::adapter", $level, %adapter, "{message}");
                }
            };
        }
        match level {
            Level::Trace => emit!(TraceLevel::TRACE),
            Level::Debug => emit!(TraceLevel::DEBUG),
            Level::Info => emit!(TraceLevel::INFO),
            Level::Warn => emit!(TraceLevel::WARN),
            Level::Error => emit!(TraceLevel::ERROR),
        }
        Ok(())
    }
}
