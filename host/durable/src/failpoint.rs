//! Fails the n-th step on the disk and all steps after it, as if the process had been killed there. Only tests ask for it.

use std::cell::Cell;
use std::io;

thread_local! {
    /// The number of steps that still succeed.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

pub(crate) fn may_fail() -> io::Result<()> {
    match LEFT.get() {
        None => Ok(()),
        Some(0) => Err(io::Error::other("killed")),
        Some(left) => {
            LEFT.set(Some(left - 1));
            Ok(())
        }
    }
}

/// Runs `action` on this thread; its first `steps` steps on the disk succeed.
pub fn after<T>(steps: usize, action: impl FnOnce() -> T) -> T {
    LEFT.set(Some(steps));
    let value = action();
    LEFT.set(None);
    value
}
