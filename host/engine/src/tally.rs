//! Counts the records of a list while it is read, and compares them with what the system says of the list.

use infrahub_sync_core::records::Records;
use infrahub_sync_core::value::{Tag, ValueColumn};

use crate::pages::Header;

/// The records of a list so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Hashes of the ids.
    ids: Vec<u64>,
    /// Records without an id.
    without_ids: u64,
}

/// Returns the hash of an id, by which ids are compared.
pub(crate) fn hash_of(id: &str) -> u64 {
    infrahub_sync_core::snapshot::hash(id)
}

impl Tally {
    /// Adds the records of a page, whose ids are in `ids`.
    pub(crate) fn add(&mut self, ids: Option<&ValueColumn>, records: &Records) {
        let Some(ids) = ids else {
            self.without_ids += records.rows as u64;
            return;
        };
        for row in 0..records.rows {
            match ids.tag(row) {
                Tag::Null | Tag::Missing => self.without_ids += 1,
                _ => self.ids.push(hash_of(ids.text(row))),
            }
        }
    }

    /// Returns the hashes of all ids, each once and sorted.
    pub(crate) fn into_ids(mut self) -> Vec<u64> {
        self.ids.sort_unstable();
        self.ids.dedup();
        self.ids
    }

    /// Returns why the records of a list cannot be all that the system has, by its own words; none if nothing contradicts that.
    pub(crate) fn contradiction(&self, list: &str, header: &Header) -> Option<String> {
        let total = header.total?;
        let mut ids = self.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        let distinct = ids.len() as u64 + self.without_ids;
        (distinct != total).then(|| format!("the list `{list}` reports {total} objects and returned {distinct}"))
    }
}

impl<'i> FromIterator<&'i str> for Tally {
    fn from_iter<I: IntoIterator<Item = &'i str>>(ids: I) -> Tally {
        Tally { ids: ids.into_iter().map(hash_of).collect(), without_ids: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(ids: &[&str], without_ids: usize) -> Tally {
        let mut column = ValueColumn::default();
        ids.iter().for_each(|id| column.push_text(id));
        let mut tally = Tally::default();
        tally.add(Some(&column), &Records { rows: ids.len(), ..Records::default() });
        tally.add(None, &Records { rows: without_ids, ..Records::default() });
        tally
    }

    #[test]
    fn totals_that_the_records_do_not_reach_contradict_them() {
        let said = |tally: Tally, total: Option<u64>| tally.contradiction("devices", &Header { total, ..Header::default() });
        assert_eq!(said(tally(&["a", "b"], 1), Some(3)), None);
        assert_eq!(said(tally(&["a", "b"], 1), None), None);
        // The same record twice is one.
        let twice = said(tally(&["a", "b", "a"], 0), Some(3));
        assert_eq!(twice.as_deref(), Some("the list `devices` reports 3 objects and returned 2"));
        let more = said(tally(&["a", "b", "c"], 0), Some(2));
        assert_eq!(more.as_deref(), Some("the list `devices` reports 2 objects and returned 3"));
        assert_eq!(tally(&["b", "a", "b"], 7).into_ids().len(), 2);
    }
}
