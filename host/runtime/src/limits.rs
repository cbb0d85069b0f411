//! The limits that an adapter reaches, and the fence around its memory. The limits themselves are a table of `infrahub_sync_base`.

use std::fmt;
use std::time::Duration;

use infrahub_sync_base::limits::{Limit, Limits};

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

    /// Returns what an adapter exceeded, with the value that holds.
    pub(crate) fn beyond(limits: &Limits, limit: Limit) -> Self {
        Self { limit, value: limits.get(limit) }
    }

    pub(crate) fn time(limit: Limit, value: Duration) -> Self {
        Self::new(limit, value.as_millis())
    }
}

/// Returns the bytes of the bodies that one call may hold. One answer of the largest size must fit, also where a project raised that alone.
pub(crate) fn held_bytes_max(limits: &Limits) -> usize {
    limits.count(Limit::HeldSize).max(limits.count(Limit::ResponseSize))
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
pub(crate) mod tests {
    use super::*;
    use wasmtime::ResourceLimiter;

    /// Returns the defaults with other values for some limits.
    pub(crate) fn limits_with(set: &[(Limit, u64)]) -> Limits {
        let mut limits = Limits::default();
        set.iter().for_each(|(limit, value)| limits.set(*limit, *value));
        limits
    }

    #[test]
    fn the_largest_answer_can_be_held() {
        assert_eq!(held_bytes_max(&limits_with(&[(Limit::HeldSize, 5), (Limit::ResponseSize, 7)])), 7);
        assert_eq!(held_bytes_max(&limits_with(&[(Limit::HeldSize, 7), (Limit::ResponseSize, 5)])), 7);
    }

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
