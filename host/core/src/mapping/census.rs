//! Counts what a mapping makes of its records: read, left out by which filter, and paths that no record has.

use crate::records::Records;

/// Where it shows whether the records have a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// In a slot of the projection.
    Slot(usize),
    /// In a column that is taken from transformed records.
    Computed(usize),
    /// In the records that a filter sees.
    Filter(usize),
}

/// The counts of one mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    read: u64,
    lines: u64,
    left_out: Vec<u64>,
    /// Records that passed the filters and the transforms.
    passed: u64,
    found: Vec<bool>,
}

impl Census {
    /// Begins a page.
    pub(super) fn begin(&mut self, records: &Records, filters: usize, probes: usize) {
        self.read += records.rows as u64;
        self.lines += records.line_count;
        self.left_out.resize(filters, 0);
        self.found.resize(probes, false);
    }

    /// Returns the number of records read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Returns the number of lines read so far, of a resource of lines.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Returns the number of records that each filter left out.
    #[must_use]
    pub fn left_out_by(&self) -> &[u64] {
        &self.left_out
    }

    pub(super) fn left_out(&mut self, filter: usize) {
        if let Some(count) = self.left_out.get_mut(filter) {
            *count += 1;
        }
    }

    pub(super) fn passed(&mut self, records: usize) {
        self.passed += records as u64;
    }

    pub(super) fn found(&mut self, probe: usize) {
        if let Some(found) = self.found.get_mut(probe) {
            *found = true;
        }
    }

    pub(super) fn is_found(&self, probe: usize) -> bool {
        self.found.get(probe) == Some(&true)
    }

    /// Returns whether any record got as far as a probe.
    pub(super) fn was_asked(&self, probe: Probe) -> bool {
        let before = |filters: usize| self.left_out.iter().take(filters).sum::<u64>();
        match probe {
            Probe::Slot(_) => self.read > 0,
            Probe::Filter(at) => self.read > before(at),
            Probe::Computed(_) => self.passed > 0,
        }
    }
}
