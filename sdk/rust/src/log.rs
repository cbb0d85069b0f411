//! Words for the person who runs the sync.

pub use crate::bindings::infrahub_sync::adapter::log::Level;

/// Logs one message.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::infrahub_sync::adapter::log::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::logged(level, message);
}

/// What only somebody who follows every step wants to know.
pub fn trace(message: &str) {
    log(Level::Trace, message);
}

/// What helps to find a defect.
pub fn debug(message: &str) {
    log(Level::Debug, message);
}

/// What was done.
pub fn info(message: &str) {
    log(Level::Info, message);
}

/// What a person may act on.
pub fn warn(message: &str) {
    log(Level::Warn, message);
}

/// What went wrong and is told nowhere else.
pub fn error(message: &str) {
    log(Level::Error, message);
}
