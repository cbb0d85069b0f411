//! The bounds within which an adapter works, and the fence around its memory.

use std::fmt;
use std::time::Duration;

use infrahub_sync_base::limits::{Limit, Limits as ProjectLimits};

/// What one adapter may use: what a project can set (its table is [`Limit`]), and what is the same for all.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together.
    pub memory_bytes: usize,
    /// How long one call may compute. Time in host HTTP does not count.
    pub call_timeout: Duration,
    /// How long one call may take by the clock.
    pub call_wall_time: Duration,
    /// How long all calls of a session may compute together.
    pub run_timeout: Duration,
    /// How long a session may last by the clock.
    pub run_wall_time: Duration,
    /// The largest body of one response, and the largest file that is read whole.
    pub response_bytes_max: usize,
    /// The bodies that one call holds at a time.
    pub held_bytes_max: usize,
    /// The responses that one call holds at a time.
    pub responses_held_max: u32,
    /// What a guest hands over in one piece, in bytes: a page, the body of a request.
    pub page_bytes_max: usize,
    /// Rows of one page.
    pub page_rows_max: u32,
    /// Pages of one resource in a session.
    pub pages_max: u64,
    /// Records of one resource in a session.
    pub records_max: u64,
    /// Requests of one call.
    pub requests_max: u32,
    /// Requests of a session.
    pub run_requests_max: u64,
    /// Lines of log in a session.
    pub log_lines_max: u64,
    /// The characters of one line of log.
    pub log_line_chars_max: usize,
    /// Instances of one session that work at a time. Further calls wait.
    pub instances_max: usize,
    /// A memo's key in bytes: 256.
    pub memo_key_bytes_max: usize,
    /// A memo's value in bytes. A large schema as JSON is a few megabytes: 8 MiB.
    pub memo_bytes_max: usize,
    /// All memos of one lifetime that one session puts, keys included: 32 MiB. They are in the host's memory.
    pub memos_bytes_max: usize,
    /// Their number: 4096.
    pub memos_max: usize,
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
        Self::from(&ProjectLimits::default())
    }
}

impl From<&ProjectLimits> for Limits {
    fn from(project: &ProjectLimits) -> Self {
        let small = |limit| u32::try_from(project.get(limit)).unwrap_or(u32::MAX);
        Self {
            memory_bytes: project.count(Limit::Memory),
            call_timeout: project.time(Limit::CallTime),
            call_wall_time: project.time(Limit::CallWallTime),
            run_timeout: project.time(Limit::RunTime),
            run_wall_time: project.time(Limit::RunWallTime),
            response_bytes_max: project.count(Limit::ResponseSize),
            // One answer of the largest size must fit, also where the project raised that alone.
            held_bytes_max: project.count(Limit::HeldSize).max(project.count(Limit::ResponseSize)),
            responses_held_max: small(Limit::HeldResponses),
            page_bytes_max: project.count(Limit::PageSize),
            page_rows_max: small(Limit::PageRecords),
            pages_max: project.get(Limit::Pages),
            records_max: project.get(Limit::Records),
            requests_max: small(Limit::CallRequests),
            run_requests_max: project.get(Limit::RunRequests),
            log_lines_max: project.get(Limit::LogLines),
            log_line_chars_max: project.count(Limit::LogLineLength),
            instances_max: project.count(Limit::Instances),
            memo_key_bytes_max: 256,
            memo_bytes_max: 8 << 20,
            memos_bytes_max: 32 << 20,
            memos_max: 4096,
            connect_timeout: Duration::from_secs(10),
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(60),
        }
    }
}

/// A limit that an adapter reached, and its value: bytes, milliseconds or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub limit: Limit,
    /// The value that holds.
    pub value: u64,
}

impl Exceeded {
    pub(crate) fn new(limit: Limit, value: impl TryInto<u64>) -> Self {
        Self { limit, value: value.try_into().unwrap_or(u64::MAX) }
    }

    pub(crate) fn time(limit: Limit, value: Duration) -> Self {
        Self::new(limit, value.as_millis())
    }
}

impl std::error::Error for Exceeded {}

impl fmt::Display for Exceeded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.limit.excess(self.value))
    }
}

/// Core instances of one component. A Python component has about 20.
const CORE_INSTANCES_MAX: usize = 100;
/// Tables and memories of one component.
const TABLES_MAX: usize = 100;
/// Elements of one table. Python's largest has 60,000.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// An element of a table is a pointer of the host's.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Counts the memory of one store, all memories and tables together: wasmtime's own limiter caps each alone.
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

    fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(bytes);
        if used > self.limit {
            self.refused = true;
            // An error traps. A refusal (`false`) would reach the guest as a failed allocation, whose message is lost.
            return Err(Exceeded::new(Limit::Memory, self.limit).into());
        }
        self.used = used;
        Ok(true)
    }
}

impl wasmtime::ResourceLimiter for MemoryFence {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES))
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

    #[test]
    fn tables_are_memory() {
        let mut fence = MemoryFence::new(100 * TABLE_ELEMENT_BYTES);
        assert!(fence.table_growing(0, 60, None).is_ok_and(|grown| grown));
        assert!(fence.memory_growing(0, 40 * TABLE_ELEMENT_BYTES, None).is_ok());
        assert!(fence.table_growing(60, 61, None).is_err());
        assert!(fence.refused);
        assert!(MemoryFence::new(usize::MAX).table_growing(0, TABLE_ELEMENTS_MAX + 1, None).is_ok_and(|grown| !grown));
    }
}
