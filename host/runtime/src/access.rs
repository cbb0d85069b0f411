//! Whether a session may change its system.

use std::sync::atomic::{AtomicBool, Ordering};

/// The access of a session: it reads, and may be granted writing. Even then it only reads until the host announces a run or a write.
#[derive(Debug)]
pub(crate) struct WriteAccess {
    granted: bool,
    begun: AtomicBool,
}

impl WriteAccess {
    /// Makes the access of a session that has not written yet.
    pub(crate) fn new(granted: bool) -> Self {
        Self { granted, begun: AtomicBool::new(false) }
    }

    /// Begins to write; returns whether the session may.
    pub(crate) fn begin(&self) -> bool {
        if self.granted {
            self.begun.store(true, Ordering::SeqCst);
        }
        self.granted
    }

    /// Returns whether the adapter may change its system now.
    pub(crate) fn is_writing(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }
}
