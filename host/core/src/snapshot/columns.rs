//! The columns of a snapshot: plain values, and references as row numbers.

use crate::key::Keys;
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

/// A peer that is not in the snapshot and that the system names by its id: of a kind that the project does not map, usually.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutsidePeer<'c> {
    /// Its kind; empty where the system does not tell.
    pub kind: &'c str,
    /// Its id in the system.
    pub id: &'c str,
}

impl OutsidePeer<'_> {
    /// Writes how the peer is shown: by kind and id, as it has no known name.
    pub fn write_name(&self, out: &mut String) {
        out.push_str(self.kind);
        out.push_str(if self.kind.is_empty() { "(id " } else { " (id " });
        out.push_str(self.id);
        out.push(')');
    }
}

/// The outside peers of a column. A column without them, as nearly all are, pays one look at an empty list.
#[derive(Debug, Clone, Default)]
struct Outside {
    /// Their places among the peers of the column, rising.
    places: Vec<u32>,
    kinds: Keys,
    ids: Keys,
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
    outside: Outside,
}

impl PeerColumn {
    pub(super) fn new(kinds: Vec<usize>, rows: usize) -> PeerColumn {
        let (held, ends) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        PeerColumn { kinds, held, ends, rows: Vec::new(), of: Vec::new(), outside: Outside::default() }
    }

    /// Adds a row; a peer is the place of its kind among the field's and its row. Outside peers, by kind and id, follow the others.
    pub(super) fn push(&mut self, held: RefValue, peers: &[(u16, u32)], outside: &[(String, String)]) {
        self.rows.extend(peers.iter().map(|(_, row)| *row));
        if self.kinds.len() > 1 {
            self.of.extend(peers.iter().map(|(kind, _)| *kind));
        }
        for (kind, id) in outside {
            self.outside.places.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
            self.outside.kinds.push(kind);
            self.outside.ids.push(id);
            self.rows.push(NOWHERE);
            if self.kinds.len() > 1 {
                self.of.push(0);
            }
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

    /// Returns whether any row has an outside peer.
    #[must_use]
    pub fn has_outside(&self) -> bool {
        !self.outside.places.is_empty()
    }

    /// Returns the outside peers of a row, sorted: they are the last of its [`peers`](Self::peers), where they are [`NOWHERE`].
    #[inline]
    pub fn outside(&self, row: usize) -> impl ExactSizeIterator<Item = OutsidePeer<'_>> + Clone {
        let range = if self.outside.places.is_empty() {
            0..0
        } else {
            let from = |place: usize| self.outside.places.partition_point(|at| (*at as usize) < place);
            from(self.start(row))..from(self.ends.get(row).map_or(0, |end| *end as usize))
        };
        range.map(|at| OutsidePeer { kind: self.outside.kinds.get(at), id: self.outside.ids.get(at) })
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
