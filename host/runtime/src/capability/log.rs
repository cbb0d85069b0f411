//! `log`: an adapter's words, on to tracing with the adapter's name.

use crate::bindings::infrahub_sync::adapter::log::{Host, Level};
use crate::instance::HostState;

/// A longer message is cut: a guest that logs a page must not fill the user's screen.
const MESSAGE_CHARS_MAX: usize = 4000;

impl Host for HostState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let mut message = self.grants.scrubber.scrub(message);
        if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
            message.truncate(end);
            message.push('…');
        }
        if matches!(level, Level::Error) {
            // Guests without a stderr report their panic so.
            self.output.remember(&message);
        }
        let adapter = &self.adapter;
        // The level of an event is a constant of its call site.
        match level {
            Level::Trace => tracing::trace!(target: "infrahub_sync::adapter", %adapter, "{message}"),
            Level::Debug => tracing::debug!(target: "infrahub_sync::adapter", %adapter, "{message}"),
            Level::Info => tracing::info!(target: "infrahub_sync::adapter", %adapter, "{message}"),
            Level::Warn => tracing::warn!(target: "infrahub_sync::adapter", %adapter, "{message}"),
            Level::Error => tracing::error!(target: "infrahub_sync::adapter", %adapter, "{message}"),
        }
        Ok(())
    }
}
