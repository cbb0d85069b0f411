//! Where rows were read: for messages, at no cost a row.
//!
//! Records stand one behind another, so a run of them needs one entry, however long it is. A filter that leaves records out makes further entries.

use std::sync::Arc;

use crate::snapshot::Place;

/// The places of rows, as runs.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    resources: Vec<Arc<str>>,
    runs: Vec<Run>,
}

/// Rows whose records stand one behind another.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The first row.
    row: usize,
    /// The number of its record or line; 0 where it is not known.
    number: u64,
    is_line: bool,
    /// The position of its resource.
    resource: u32,
}

/// A record that could not be mapped.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// Its id, or the identifiers as they were read; empty where it has neither.
    pub name: String,
    /// The values that identify it, each with the position of its field, where `name` is an id.
    pub identifiers: Vec<(usize, String)>,
    /// Where it was read.
    pub place: Option<Place>,
    /// The field of the filter or transform.
    pub field: Arc<str>,
    /// The failure.
    pub reason: Arc<str>,
}

impl Origins {
    /// Says where a row was read: the number of its record, or of its line. The rows behind it follow one by one, until this is called again.
    pub(crate) fn begin(&mut self, row: usize, resource: &Arc<str>, (number, is_line): (u64, bool)) {
        let resource = match self.resources.last() {
            Some(last) if last == resource => self.resources.len() - 1,
            _ => {
                self.resources.push(resource.clone());
                self.resources.len() - 1
            }
        };
        let resource = u32::try_from(resource).unwrap_or(u32::MAX);
        if let Some(last) = self.runs.last()
            && (last.resource, last.is_line) == (resource, is_line)
            && last.number + (row - last.row) as u64 == number
        {
            return;
        }
        self.runs.push(Run { row, number, is_line, resource });
    }

    /// Returns where a row was read, if that is known.
    #[must_use]
    pub fn place(&self, row: usize) -> Option<Place> {
        let run = self.runs.get(self.runs.partition_point(|run| run.row <= row).checked_sub(1)?)?;
        let resource = self.resources.get(run.resource as usize)?;
        Some(Place { resource: resource.to_string(), is_line: run.is_line, number: run.number + (row - run.row) as u64 })
            .filter(|_| run.number > 0)
    }

    /// Adds the places of further rows behind these `rows`.
    pub(super) fn append(&mut self, rows: usize, other: Origins) {
        let offset = u32::try_from(self.resources.len()).unwrap_or(u32::MAX);
        if other.runs.first().is_none_or(|run| run.row > 0) && !self.runs.is_empty() {
            // The rows in between have no place.
            self.runs.push(Run { row: rows, number: 0, is_line: false, resource: 0 });
        }
        self.resources.extend(other.resources);
        self.runs.extend(other.runs.into_iter().map(|run| Run {
            row: rows + run.row,
            resource: offset.saturating_add(run.resource),
            ..run
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_records_is_one_entry() {
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let mut origins = Origins::default();
        for row in 0..1000 {
            origins.begin(row, &a, (row as u64 + 1, false));
        }
        origins.begin(1000, &a, (1005, false));
        assert_eq!(origins.runs.len(), 2);
        assert_eq!(origins.place(999).unwrap().to_string(), "`a`, record 1000");
        assert_eq!(origins.place(1001).unwrap().to_string(), "`a`, record 1006");
        let mut other = Origins::default();
        other.begin(2, &b, (7, true));
        origins.append(1100, other);
        assert_eq!(origins.place(1101), None);
        assert_eq!(origins.place(1103).unwrap().to_string(), "`b`, line 8");
        assert_eq!(Origins::default().place(0), None);
    }
}
