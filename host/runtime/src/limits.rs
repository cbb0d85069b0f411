//! The bounds within which an adapter works, and the fence around its memory.

use std::time::Duration;

/// What one adapter may use. Every default has its reason; all can be changed by the caller.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together. Python needs 16 MiB to start, and a page of a few megabytes that a
    /// guest parses takes ten times its size: 256 MiB.
    pub memory_bytes: usize,
    /// How long one call may compute. Time in host HTTP does not count: it has limits of its own. 60 s.
    pub call_timeout: Duration,
    /// The largest body of one response, and the largest file that is read whole. 256 MiB.
    pub response_bytes_max: usize,
    /// The bodies that one call holds at a time. 512 MiB.
    pub held_bytes_max: usize,
    /// The responses that one call holds at a time. Generous, because JavaScript and Go let go of them late: 256.
    pub responses_held_max: u32,
    /// Requests of one call. Ends a guest that pages in a circle, which no time limit on computing would: 10,000.
    pub requests_max: u32,
    /// Rows of one page: 1,000,000.
    pub page_rows_max: u32,
    /// A cursor's bytes: 64 KiB.
    pub cursor_bytes_max: usize,
    /// A memo's key in bytes: 256.
    pub memo_key_bytes_max: usize,
    /// A memo's value in bytes. A large schema as JSON is a few megabytes: 8 MiB.
    pub memo_bytes_max: usize,
    /// All memos of one lifetime that one session puts, keys included: 32 MiB. They are in the host's memory.
    pub memos_bytes_max: usize,
    /// Their number: 4096.
    pub memos_max: usize,
    /// Instances of one session that work at a time: 8. Further calls wait.
    pub instances_max: usize,
    /// Connecting, TLS included: 10 s.
    pub connect_timeout: Duration,
    /// The wait before the first repetition of a request; it doubles each time, and the real wait is drawn between 0 and it. 500 ms.
    pub backoff_base: Duration,
    /// The longest wait that is not asked for by the server: 30 s.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is obeyed in full: 60 s.
    pub retry_after_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            call_timeout: Duration::from_secs(60),
            response_bytes_max: 256 << 20,
            held_bytes_max: 512 << 20,
            responses_held_max: 256,
            requests_max: 10_000,
            page_rows_max: 1_000_000,
            cursor_bytes_max: 64 << 10,
            memo_key_bytes_max: 256,
            memo_bytes_max: 8 << 20,
            memos_bytes_max: 32 << 20,
            memos_max: 4096,
            instances_max: 8,
            connect_timeout: Duration::from_secs(10),
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(60),
        }
    }
}

/// Core instances of one component. A Python component has about 20.
const CORE_INSTANCES_MAX: usize = 100;
/// Tables and memories of one component.
const TABLES_MAX: usize = 100;
/// Elements of one table. Python's largest has 60,000.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// Counts the memory of one store, all memories together: wasmtime's own limiter caps each memory alone.
#[derive(Debug)]
pub(crate) struct MemoryFence {
    limit: usize,
    used: usize,
    /// A growth was refused: the trap that follows is a matter of memory.
    pub(crate) refused: bool,
}

impl MemoryFence {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0, refused: false }
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

impl wasmtime::ResourceLimiter for MemoryFence {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.refused = true;
            // An error traps. A refusal (`false`) would reach the guest as a failed allocation, whose message is lost.
            return Err(wasmtime::format_err!("the memory limit of {} bytes is reached", self.limit));
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        TABLES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::ResourceLimiter;

    #[test]
    fn two_memories_share_one_limit() {
        let mut fence = MemoryFence::new(100);
        assert!(fence.memory_growing(0, 60, None).is_ok());
        assert!(fence.memory_growing(0, 40, None).is_ok());
        assert!(!fence.refused);
        assert!(fence.memory_growing(60, 61, None).is_err());
        assert!(fence.refused);
        assert_eq!(fence.used(), 100);
    }
}
