//! The use that a session has made of the limits on a whole run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use infrahub_sync_base::limits::{Limit, Limits};

use crate::limits::Exceeded;

/// One session's account, shared by its instances.
pub(crate) struct Usage {
    opened: Instant,
    computed_ns: AtomicU64,
    requests: AtomicU64,
    records_size: AtomicU64,
    written: AtomicU64,
    file_changes: AtomicU64,
    log_lines: AtomicU64,
    resources: Mutex<HashMap<String, Taken>>,
}

/// The use of one resource.
#[derive(Default)]
struct Taken {
    pages: u64,
    records: u64,
}

/// The decision about a line of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is written.
    Written,
    /// It is the first that is not written: a warning replaces it.
    FirstDropped,
    /// It is dropped.
    Dropped,
}

impl Usage {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            computed_ns: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            records_size: AtomicU64::new(0),
            written: AtomicU64::new(0),
            file_changes: AtomicU64::new(0),
            log_lines: AtomicU64::new(0),
            resources: Mutex::default(),
        }
    }

    pub(crate) fn add_computed(&self, computed: Duration) {
        self.computed_ns.fetch_add(u64::try_from(computed.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the computing of all calls, as far as it has been added.
    pub(crate) fn computed(&self) -> Duration {
        Duration::from_nanos(self.computed_ns.load(Ordering::Relaxed))
    }

    /// Returns the age of the session.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// One request more.
    pub(crate) fn request(&self, limits: &Limits) -> Result<(), Exceeded> {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        if before < limits.get(Limit::RunRequests) { Ok(()) } else { Err(Exceeded::beyond(limits, Limit::RunRequests)) }
    }

    /// Counts the bytes of a page.
    pub(crate) fn page_bytes(&self, bytes: usize, limits: &Limits) -> Result<(), Exceeded> {
        let bytes = bytes as u64;
        let read = self.records_size.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if read <= limits.get(Limit::RecordsSize) { Ok(()) } else { Err(Exceeded::beyond(limits, Limit::RecordsSize)) }
    }

    /// Counts a change of a file or a lasting memo, with its bytes.
    pub(crate) fn file_change(&self, bytes: usize, limits: &Limits) -> Result<(), Exceeded> {
        if self.file_changes.fetch_add(1, Ordering::Relaxed) >= limits.get(Limit::FileChanges) {
            return Err(Exceeded::beyond(limits, Limit::FileChanges));
        }
        let bytes = bytes as u64;
        let written = self.written.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if written <= limits.get(Limit::WrittenSize) { Ok(()) } else { Err(Exceeded::beyond(limits, Limit::WrittenSize)) }
    }

    /// One line of log more.
    pub(crate) fn log_line(&self, limits: &Limits) -> Line {
        match self.log_lines.fetch_add(1, Ordering::Relaxed).cmp(&limits.get(Limit::LogLines)) {
            std::cmp::Ordering::Less => Line::Written,
            std::cmp::Ordering::Equal => Line::FirstDropped,
            std::cmp::Ordering::Greater => Line::Dropped,
        }
    }

    /// One page more of a resource.
    pub(crate) fn page(&self, resource: &str, limits: &Limits) -> Result<(), Exceeded> {
        self.take(resource, |taken| {
            taken.pages += 1;
            if taken.pages <= limits.get(Limit::Pages) { Ok(()) } else { Err(Exceeded::beyond(limits, Limit::Pages)) }
        })
    }

    /// Counts further records of a resource.
    pub(crate) fn records(&self, resource: &str, records: usize, limits: &Limits) -> Result<(), Exceeded> {
        self.take(resource, |taken| {
            taken.records = taken.records.saturating_add(records as u64);
            if taken.records <= limits.get(Limit::Records) { Ok(()) } else { Err(Exceeded::beyond(limits, Limit::Records)) }
        })
    }

    /// Forgets what was taken of a resource.
    pub(crate) fn forget(&self, resource: &str) {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner).remove(resource);
    }

    fn take<T>(&self, resource: &str, change: impl FnOnce(&mut Taken) -> T) -> T {
        let mut resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        change(resources.entry(resource.to_owned()).or_default())
    }
}

/// A session's account with its limits, for the requests that the host sends on its own, such as those of a login.
pub(crate) struct Account {
    usage: Arc<Usage>,
    limits: Limits,
}

impl Account {
    pub(crate) fn new(usage: Arc<Usage>, limits: &Limits) -> Self {
        Self { usage, limits: limits.clone() }
    }

    /// One request more.
    pub(crate) fn request(&self) -> Result<(), Exceeded> {
        self.usage.request(&self.limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::tests::limits_with;

    #[test]
    fn each_resource_has_an_account_of_its_own() {
        let (usage, limits) = (Usage::new(), limits_with(&[(Limit::Pages, 2), (Limit::Records, 10)]));
        for resource in ["a", "b"] {
            assert_eq!(usage.page(resource, &limits), Ok(()));
            assert_eq!(usage.page(resource, &limits), Ok(()));
            assert_eq!(usage.page(resource, &limits), Err(Exceeded { limit: Limit::Pages, value: 2 }));
            assert_eq!(usage.records(resource, 10, &limits), Ok(()));
            assert_eq!(usage.records(resource, 1, &limits), Err(Exceeded { limit: Limit::Records, value: 10 }));
        }
    }

    #[test]
    fn the_bytes_of_all_pages_are_counted() {
        let (usage, limits) = (Usage::new(), limits_with(&[(Limit::RecordsSize, 10)]));
        assert_eq!(usage.page_bytes(7, &limits), Ok(()));
        assert_eq!(usage.page_bytes(3, &limits), Ok(()));
        assert_eq!(usage.page_bytes(1, &limits), Err(Exceeded { limit: Limit::RecordsSize, value: 10 }));
    }

    #[test]
    fn what_is_written_is_counted_by_bytes_and_by_changes() {
        let (usage, limits) = (Usage::new(), limits_with(&[(Limit::WrittenSize, 10), (Limit::FileChanges, 3)]));
        assert_eq!(usage.file_change(10, &limits), Ok(()));
        assert_eq!(usage.file_change(0, &limits), Ok(()));
        assert_eq!(usage.file_change(1, &limits), Err(Exceeded { limit: Limit::WrittenSize, value: 10 }));
        assert_eq!(usage.file_change(0, &limits), Err(Exceeded { limit: Limit::FileChanges, value: 3 }));
    }

    #[test]
    fn the_first_line_too_many_is_told_once() {
        let (usage, limits) = (Usage::new(), limits_with(&[(Limit::LogLines, 1)]));
        assert_eq!([(); 4].map(|()| usage.log_line(&limits)), [Line::Written, Line::FirstDropped, Line::Dropped, Line::Dropped]);
    }
}
