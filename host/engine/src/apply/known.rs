//! The knowledge of an apply about objects: their ids, failed writes, and dependencies.

use std::collections::{HashMap, HashSet};

use infrahub_sync_core::change::{Change, ObjectKey};
use infrahub_sync_core::plan_row::Action;
use infrahub_sync_core::snapshot::{FieldColumn, NOWHERE};

use super::failure::{SkipReason, StillRefers};
use super::values::Values;
use super::{Current, Row};

/// The objects of an apply.
pub(super) struct Known<'k> {
    current: &'k Current<'k>,
    /// The ids of objects that this run has created.
    ids: HashMap<ObjectKey, String>,
    /// The resources of objects that this run has created, where their kind has several.
    resources: HashMap<ObjectKey, String>,
    /// Objects that could not be created.
    failed: HashSet<ObjectKey>,
    /// Objects whose creation has not been answered.
    unanswered: HashSet<ObjectKey>,
    /// Objects that are still referred to by one that stays as it is.
    needed: HashMap<ObjectKey, StillRefers>,
    /// How many objects refer to an object whose deletions have not been answered.
    deleting: HashMap<ObjectKey, usize>,
    /// The values that pass from one object to another.
    pub(super) values: Values<'k>,
}

impl<'k> Known<'k> {
    pub(super) fn new(current: &'k Current<'k>) -> Known<'k> {
        Known {
            current,
            ids: HashMap::new(),
            resources: HashMap::new(),
            failed: HashSet::new(),
            unanswered: HashSet::new(),
            needed: HashMap::new(),
            deleting: HashMap::new(),
            values: Values::new(current.model),
        }
    }

    /// Learns the id of an object that was created.
    pub(super) fn learn(&mut self, change: &Change, id: String) {
        self.ids.insert(change.object.clone(), id);
        if let Some(resource) = &change.resource {
            self.resources.insert(change.object.clone(), resource.clone());
        }
    }

    /// Returns the resource of an object, if the destination is addressed by mapping.
    pub(super) fn resource_of(&self, object: &ObjectKey) -> Option<&str> {
        let read = || {
            let row = object.row_in(self.current.snapshot)?;
            self.current.snapshot.kinds.get(object.kind)?.resources.get(row)
        };
        let resource = self.resources.get(object).map(String::as_str).or_else(read);
        self.current.targets.of(object.kind, resource)?.resource.as_deref()
    }

    /// Returns the id of an object in the destination: of one that this run created, else as it was read.
    pub(super) fn id_of(&self, object: &ObjectKey) -> Option<&str> {
        if let Some(id) = self.ids.get(object) {
            return Some(id);
        }
        self.current.snapshot.kinds.get(object.kind)?.id(object.row_in(self.current.snapshot)?)
    }

    /// Returns whether a row has to wait for the answers to rows before it: a create for its peers, a delete for what refers to it.
    /// Either of them waits for the object whose unique value it takes.
    pub(super) fn waits(&self, change: &Change) -> bool {
        if self.values.waits(change) {
            return true;
        }
        match change.action {
            Action::Delete => self.deleting.get(&change.object).is_some_and(|count| *count > 0),
            Action::Create | Action::Update => change.all_peers().any(|(_, peer)| self.unanswered.contains(&peer.object)),
        }
    }

    /// Returns why a row cannot be tried. `is_there`: its object was in the destination when that was read.
    pub(super) fn skip_reason(&self, change: &Change, is_there: bool) -> Option<SkipReason> {
        if let Some(reason) = &change.skip_reason {
            return Some(SkipReason::Planned(reason.clone()));
        }
        if self.failed.contains(&change.object) {
            return Some(SkipReason::NotCreated);
        }
        if let Some((field, peer)) = change.all_peers().find(|(_, peer)| self.failed.contains(&peer.object)) {
            return Some(SkipReason::WaitsFor { field: field.to_owned(), peer: peer.object.named(self.current.model) });
        }
        if let Some(held) = self.values.kept(change) {
            return Some(SkipReason::Held(held));
        }
        let needed = self.needed.get(&change.object).filter(|_| change.action == Action::Delete && is_there)?;
        Some(SkipReason::Needed(needed.clone()))
    }

    /// Notes that a row is about to be sent.
    pub(super) fn sending(&mut self, row: &Row) {
        self.values.sending(&row.frees);
        match row.change.action {
            Action::Create => drop(self.unanswered.insert(row.change.object.clone())),
            Action::Delete => row.held.iter().for_each(|peer| *self.deleting.entry(peer.clone()).or_default() += 1),
            Action::Update => {}
        }
    }

    /// Notes that a row was answered, whatever the answer.
    pub(super) fn answered(&mut self, row: &Row) {
        self.values.answered(&row.frees);
        match row.change.action {
            Action::Create => drop(self.unanswered.remove(&row.change.object)),
            Action::Delete => {
                for peer in &row.held {
                    if let Some(count) = self.deleting.get_mut(peer) {
                        *count = count.saturating_sub(1);
                    }
                }
            }
            Action::Update => {}
        }
    }

    /// Notes that a row was not written. An object that was not created cannot be referred to; one that stays as it is needs what it refers to.
    pub(super) fn not_written(&mut self, row: &Row) {
        let Row { change, held, .. } = row;
        self.values.not_written(&row.frees, change);
        if change.action == Action::Create {
            self.failed.insert(change.object.clone());
        }
        for peer in held {
            let still =
                || StillRefers { by: format!("{} `{}`", change.kind, change.unique_id), by_delete: change.action == Action::Delete };
            self.needed.entry(peer.clone()).or_insert_with(still);
        }
    }

    /// Returns the objects that one of the destination refers to.
    pub(super) fn held_by(&self, object: &ObjectKey, row: usize) -> Vec<ObjectKey> {
        let snapshot = self.current.snapshot;
        let Some(rows) = snapshot.kinds.get(object.kind) else { return Vec::new() };
        let mut held = Vec::new();
        for field in &rows.fields {
            let FieldColumn::Peers(peers) = field else { continue };
            for peer in peers.peers(row).1.filter(|peer| peer.row != NOWHERE) {
                let key = snapshot.kinds.get(peer.kind).map(|rows| rows.keys.get(peer.row as usize).to_owned());
                held.extend(key.map(|key| ObjectKey { kind: peer.kind, key }));
            }
        }
        held
    }
}
