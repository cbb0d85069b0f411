//! The columns of a snapshot: plain values, and references as row numbers.

use crate::value::ValueColumn;

/// A peer that is not in the snapshot: equal to no row.
pub const NOWHERE: u32 = u32::MAX;

/// The value of a reference field in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefValue {
    /// Nothing.
    Null,
    /// One peer.
    One,
    /// A set of peers, sorted by row.
    Many,
    /// Could not be resolved: left as it is in the destination.
    Unresolved,
}

/// An object that a reference leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The kind's position in the model; of no meaning [`NOWHERE`].
    pub kind: usize,
    /// The row of that kind.
    pub row: u32,
}

/// A reference field: rows of the peer kind, or of several kinds.
#[derive(Debug, Clone, Default)]
pub struct PeerColumn {
    kinds: Vec<usize>,
    held: Vec<RefValue>,
    ends: Vec<u32>,
    rows: Vec<u32>,
    /// Of each peer the place of its kind in `kinds`. Empty where there is one kind: such fields, nearly all, pay nothing for the others.
    of: Vec<u16>,
}

impl PeerColumn {
    pub(super) fn new(kinds: Vec<usize>, rows: usize) -> PeerColumn {
        PeerColumn { kinds, held: Vec::with_capacity(rows), ends: Vec::with_capacity(rows), rows: Vec::new(), of: Vec::new() }
    }

    /// Adds a row; a peer is the place of its kind among the field's and its row.
    pub(super) fn push(&mut self, held: RefValue, peers: &[(u16, u32)]) {
        self.rows.extend(peers.iter().map(|(_, row)| *row));
        if self.kinds.len() > 1 {
            self.of.extend(peers.iter().map(|(kind, _)| *kind));
        }
        self.ends.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        self.held.push(held);
    }

    /// Returns the positions of the peer kinds in the model: one, but for fields that refer to objects of several.
    #[must_use]
    pub fn kinds(&self) -> &[usize] {
        &self.kinds
    }

    /// Returns what row `row` holds, with the kind of each peer; a set is sorted by kind (in the order of [`kinds`](Self::kinds)) and row.
    #[inline]
    pub fn peers(&self, row: usize) -> (RefValue, impl ExactSizeIterator<Item = Peer> + Clone) {
        let (held, rows) = self.get(row);
        let start = self.start(row);
        let kind = move |at: usize| {
            let place = self.of.get(start + at).copied().unwrap_or(0);
            self.kinds.get(place as usize).copied().unwrap_or_default()
        };
        (held, rows.iter().enumerate().map(move |(at, row)| Peer { kind: kind(at), row: *row }))
    }

    /// Returns whether a reference could not be resolved, or leads out of the sync.
    pub(super) fn has_unresolved(&self) -> bool {
        self.held.contains(&RefValue::Unresolved) || self.rows.contains(&NOWHERE)
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends.get(row - 1).copied().unwrap_or(0) as usize }
    }

    /// Returns what row `row` holds, as rows of the peer kind; with several kinds, [`peers`](Self::peers) says whose rows they are.
    #[must_use]
    #[inline]
    pub fn get(&self, row: usize) -> (RefValue, &[u32]) {
        let start = self.start(row);
        let end = self.ends.get(row).map_or(start, |end| *end as usize);
        (self.held.get(row).copied().unwrap_or(RefValue::Null), self.rows.get(start..end).unwrap_or(&[]))
    }
}

/// A field of a snapshot.
#[derive(Debug, Clone)]
pub enum FieldColumn {
    /// Plain values.
    Values(ValueColumn),
    /// References.
    Peers(PeerColumn),
}
