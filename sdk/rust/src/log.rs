//! Messages for the user.

pub use crate::bindings::infrahub_sync::adapter::log::Level;

/// Logs one message.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::infrahub_sync::adapter::log::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::logged(level, message);
}

/// Logs a step.
pub fn trace(message: &str) {
    log(Level::Trace, message);
}

/// Logs a detail that helps to find a defect.
pub fn debug(message: &str) {
    log(Level::Debug, message);
}

/// Logs an action that is done.
pub fn info(message: &str) {
    log(Level::Info, message);
}

/// Logs a warning that the user may act on.
pub fn warn(message: &str) {
    log(Level::Warn, message);
}

/// Logs an error that is reported nowhere else.
pub fn error(message: &str) {
    log(Level::Error, message);
}
