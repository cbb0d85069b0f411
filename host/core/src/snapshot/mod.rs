//! One side of a comparison: per kind sorted, unique rows whose references are row numbers.
//!
//! [`build()`] turns raw rows ([`RawKind`](crate::mapping::RawKind)) into a [`Snapshot`]. It finds each row's natural key (peers first), rejects
//! different rows with equal keys, sorts, and turns references into row numbers of the peer's kind, with one hash look-up each.
//!
//! Invariants: rows are sorted by key, and no key stands twice. A reference names a row of the peer kind's sorted rows, [`NOWHERE`] or
//! nothing. The order in which records arrived has no effect, except that the later of two readings of one object counts.

mod build;
mod columns;
mod keys;
mod problems;
mod resolve;
mod rows;

pub use self::build::{Resolving, build, build_with};
pub use self::columns::{FieldColumn, NOWHERE, OutsidePeer, Peer, PeerColumn, RefValue};
pub use self::problems::{DataErrorKind, DataProblem, Difference, IDENTITY_DEPTH_MAX, PeerName, Place, cut};
pub use self::resolve::hash;
use crate::key::{self, Keys};
use crate::mapping::ResourceColumn;
use crate::model::Model;
use crate::value::{Tag, ValueColumn};

/// Whether all rows of a kind are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Completeness {
    /// Every object that the system has and the filters pass.
    #[default]
    Complete,
    /// Some were left out: an object that is missing here may exist, so it is never deleted elsewhere.
    Partial,
    /// None was read: nothing is known of them, so nothing is deleted elsewhere.
    Unread,
}

/// The rows of one kind.
#[derive(Debug, Clone, Default)]
pub struct KindSnapshot {
    /// The natural keys, sorted.
    pub keys: Keys,
    /// The ids in the system that was read.
    pub ids: ValueColumn,
    /// One column a field, in the model's order.
    pub fields: Vec<FieldColumn>,
    /// The destination's resource of each row, where the kind has several.
    pub resources: ResourceColumn,
    /// The sync that made each object, where the system records it; empty where that was not read.
    pub owners: ValueColumn,
    /// Whether all rows are there.
    pub completeness: Completeness,
    /// The records beyond the first of each object: records with the same identifiers and the same values are one object.
    pub merged: u64,
}

impl KindSnapshot {
    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether a reference of a row could not be resolved, or leads out of the sync: a stored snapshot does not say where to.
    #[must_use]
    pub fn has_unresolved(&self) -> bool {
        self.fields.iter().any(|field| match field {
            FieldColumn::Values(_) => false,
            FieldColumn::Peers(peers) => peers.has_unresolved(),
        })
    }

    /// Returns the sync that made an object, where the system records it.
    #[must_use]
    pub fn owner(&self, row: usize) -> Option<&str> {
        (row < self.owners.len() && self.owners.tag(row) == Tag::Text).then(|| self.owners.text(row))
    }

    /// Returns the id of a row in the system that was read.
    #[must_use]
    pub fn id(&self, row: usize) -> Option<&str> {
        (self.ids.tag(row) != Tag::Null).then(|| self.ids.text(row))
    }
}

/// One side: a [`KindSnapshot`] for each kind of the model, in its order.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The kinds.
    pub kinds: Vec<KindSnapshot>,
}

impl Snapshot {
    /// Writes how a reference's peer is shown: its unique id, and behind `Kind:` where the field may refer to several kinds, since objects
    /// of two kinds may have one unique id.
    pub fn write_peer_name(&self, model: &Model, column: &PeerColumn, peer: Peer, out: &mut String) {
        if column.kinds().len() > 1 {
            out.push_str(model.kinds.get(peer.kind).map_or("", |kind| &kind.name));
            out.push(':');
        }
        key::write_unique_id(self.kinds.get(peer.kind).map_or("", |kind| kind.keys.get(peer.row as usize)), out);
    }

    /// As [`write_peer_name`](Self::write_peer_name), as a text of its own.
    #[must_use]
    pub fn peer_name(&self, model: &Model, column: &PeerColumn, peer: Peer) -> String {
        let mut out = String::new();
        self.write_peer_name(model, column, peer, &mut out);
        out
    }
}
