//! Finds the natural key of each row; the peers among its identifiers have theirs already.

use std::collections::HashSet;

use super::build::{Builder, Cell};
use super::problems::{DataErrorKind, IDENTITY_DEPTH_MAX};
use super::resolve::{Nested, Resolution, kind_and_id, single};
use crate::key::{self, push_part, push_peer_part};
use crate::mapping::RawKind;
use crate::model::{FieldModel, Model};
use crate::value::{Tag, ValueColumn};

/// An identifier: the position of its field, and the kinds that it refers to; none for a plain one.
type Identifier = (usize, Vec<usize>);

/// Returns the kinds such that the peers in a kind's identifiers come before it. The model has no cycle through identifiers of different kinds.
pub(super) fn identity_order(model: &Model) -> Vec<usize> {
    fn visit(model: &Model, kind: usize, seen: &mut [bool], order: &mut Vec<usize>) {
        if std::mem::replace(&mut seen[kind], true) {
            return;
        }
        for field in &model.kinds[kind].fields {
            if !model.kinds[kind].identifiers.contains(&field.name) {
                continue;
            }
            for peer in model.peers_of(field) {
                visit(model, peer, seen, order);
            }
        }
        order.push(kind);
    }
    let mut order = Vec::with_capacity(model.kinds.len());
    let mut seen = vec![false; model.kinds.len()];
    for kind in 0..model.kinds.len() {
        visit(model, kind, &mut seen, &mut order);
    }
    order
}

/// Turns the parents of a kind that is identified by its own objects into ids. It does so for a kind and an id, and for a plain value that
/// is an id and not the name of a row. Parents must be known before any key. Where a parent may be of other kinds too, it stays as it is.
pub(super) fn parents_by_id(model: &Model, kind: usize, raw: &mut RawKind) {
    let spec = &model.kinds[kind];
    let is_own = |field: &FieldModel| field.reference.as_ref() == Some(&spec.name) && !field.refers_to_several();
    let own = |name: &String| spec.fields.iter().position(|field| field.name == *name && is_own(field));
    let upward: Vec<usize> = spec.identifiers.iter().filter_map(own).collect();
    let is_plain = |tag: Tag| matches!(tag, Tag::Text | Tag::Int);
    let needs = |column: &ValueColumn| column.tags().iter().any(|tag| is_plain(*tag) || *tag == Tag::Json);
    let upward: Vec<usize> = upward.into_iter().filter(|at| raw.columns.get(*at).is_some_and(needs)).collect();
    if upward.is_empty() {
        return;
    }
    let first = spec.identifiers.first().and_then(|name| spec.fields.iter().position(|field| field.name == *name));
    let names = first.filter(|at| !upward.contains(at)).and_then(|at| raw.columns.get(at));
    let names: HashSet<&str> = names.into_iter().flat_map(|column| (0..raw.rows).map(|row| column.text(row))).collect();
    let ids: HashSet<&str> = (0..raw.rows).filter(|row| raw.ids.tag(*row) != Tag::Null).map(|row| raw.ids.text(row)).collect();
    let mut changed = Vec::new();
    for at in upward {
        let column = &raw.columns[at];
        let mut out = ValueColumn::with_capacity(raw.rows);
        for row in 0..raw.rows {
            let (tag, text) = (column.tag(row), column.text(row));
            match kind_and_id(tag, text) {
                Some((name, id)) if name == spec.name => out.push(Tag::Id, &id),
                None if is_plain(tag) && ids.contains(text) && !names.contains(text) => out.push(Tag::Id, text),
                _ => out.push_from(column, row),
            }
        }
        changed.push((at, out));
    }
    for (at, column) in changed {
        raw.columns[at] = column;
    }
}

impl Builder<'_> {
    /// Computes the keys of all rows of a kind.
    pub(super) fn find_keys(&mut self, kind: usize) {
        let model = self.model;
        let spec = &model.kinds[kind];
        let identifiers: Vec<Identifier> = spec
            .identifiers
            .iter()
            .filter_map(|name| spec.fields.iter().position(|field| field.name == *name))
            .map(|at| (at, model.peers_of(&spec.fields[at])))
            .collect();
        let rows = self.work[kind].raw.rows;
        if identifiers.iter().any(|(_, peers)| peers.contains(&kind)) {
            return self.find_nested_keys(kind, &identifiers);
        }
        let mut key = String::new();
        for row in 0..rows {
            key.clear();
            self.write_key(kind, row, &identifiers, &mut key, None);
            self.work[kind].keys.push(&key);
        }
    }

    /// Writes one row's key. `own` has the keys of this kind found so far, where its identifiers refer to itself.
    fn write_key(&mut self, kind: usize, row: usize, identifiers: &[Identifier], key: &mut String, own: Option<&[Option<String>]>) {
        let raw = self.work[kind].raw;
        for (at, peers) in identifiers {
            let column = &raw.columns[*at];
            let (tag, text) =
                if peers.is_empty() { (column.tag(row), column.text(row)) } else { single(column.tag(row), column.text(row)) };
            let field = &self.model.kinds[kind].fields[*at];
            if tag == Tag::Null {
                if !field.optional {
                    self.problem(kind, row, DataErrorKind::NullIdentifier { field: field.name.clone() }, true);
                    self.leave_out(kind, row);
                }
                push_part(tag, text, key);
                continue;
            }
            match peers.as_slice() {
                [] => push_part(tag, text, key),
                peers => self.write_peer_part(Cell { kind, row, field: *at }, peers, (tag, text), key, own),
            }
        }
        if key::is_blank(key) && !self.work[kind].bad[row] {
            let field = self.model.kinds[kind].identifiers.join(", ");
            self.problem(kind, row, DataErrorKind::NullIdentifier { field }, true);
            self.leave_out(kind, row);
        }
    }

    /// Writes the part of a key that is a peer. A row whose peer is not there is left out.
    fn write_peer_part(&mut self, cell: Cell, peers: &[usize], (tag, text): (Tag, &str), key: &mut String, own: Option<&[Option<String>]>) {
        let model = self.model;
        let several = peers.len() > 1;
        let kind_of = |peer: usize| several.then(|| model.kinds[peer].name.as_str());
        let meant = self.meant(cell, peers);
        if tag != Tag::Id && meant.contains(&cell.kind) {
            // A peer of the same kind by its natural key: the key is the name; whether it is among the rows is checked after. Where the peer may be of
            // another kind, its objects are looked up first: their keys are known.
            let (named, name) = self.named_kind(&meant, tag, text);
            let is_ours = match &*named {
                [only] => *only == cell.kind,
                _ => matches!(self.find_among(&meant, tag, text), (_, Resolution::Missing)),
            };
            if is_ours && let Some(named) = self.natural_key(cell.kind, tag, name, IDENTITY_DEPTH_MAX, Nested::AsWritten) {
                return push_peer_part(kind_of(cell.kind), &named, key);
            }
        }
        let (place, found) = self.find_among(&meant, tag, text);
        match (found, meant.get(usize::from(place))) {
            (Resolution::Row(row), Some(peer)) if *peer == cell.kind => match own.and_then(|own| own.get(row as usize)?.as_deref()) {
                Some(peer_key) => push_peer_part(kind_of(*peer), peer_key, key),
                None => {
                    self.leave_out(cell.kind, cell.row);
                    push_part(Tag::Null, "", key);
                }
            },
            (Resolution::Row(row), Some(peer)) => push_peer_part(kind_of(*peer), self.work[*peer].keys.get(row as usize), key),
            (found, _) => {
                self.unresolved(cell, &meant, found, (tag, text), true);
                self.leave_out(cell.kind, cell.row);
                push_part(Tag::Null, "", key);
            }
        }
    }

    /// Computes the keys of a kind that is identified by objects of the same kind (a location by its parent): parents first.
    fn find_nested_keys(&mut self, kind: usize, identifiers: &[Identifier]) {
        let rows = self.work[kind].raw.rows;
        let upward: Vec<&Identifier> = identifiers.iter().filter(|(_, peers)| peers.contains(&kind)).collect();
        let mut own: Vec<Option<String>> = vec![None; rows];
        let mut state = vec![Walk::NotSeen; rows];
        // Only rows that lead to the top of the stack are on the way; a row that waits may stand in it twice.
        let mut stack: Vec<usize> = Vec::new();
        for start in 0..rows {
            if state[start] == Walk::NotSeen {
                stack.push(start);
            }
            while let Some(&row) = stack.last() {
                if state[row] == Walk::NotSeen {
                    state[row] = Walk::OnTheWay;
                    if self.push_parents(kind, &upward, &mut stack, &state) {
                        continue;
                    }
                }
                stack.pop();
                if state[row] == Walk::Done {
                    continue;
                }
                state[row] = Walk::Done;
                let mut key = String::new();
                self.write_key(kind, row, identifiers, &mut key, Some(&own));
                if key::depth(&key) > IDENTITY_DEPTH_MAX {
                    let field = upward.first().map(|(at, _)| self.model.kinds[kind].fields[*at].name.clone()).unwrap_or_default();
                    self.problem(kind, row, DataErrorKind::TooDeep { field }, true);
                    self.leave_out(kind, row);
                    key.clear();
                }
                own[row] = Some(key);
            }
        }
        for key in &own {
            self.work[kind].keys.push(key.as_deref().unwrap_or(""));
        }
        self.check_named_parents(kind, &upward);
    }

    /// Puts the parents of the stack's last row on it, if their keys are not known. Reports loops. Returns whether there were such parents.
    fn push_parents(&mut self, kind: usize, upward: &[&Identifier], stack: &mut Vec<usize>, state: &[Walk]) -> bool {
        let before = stack.len();
        let Some(&row) = stack.last() else { return false };
        for (at, peers) in upward {
            // A parent that is left out already is done.
            let Some(parent) = self.parent_by_id(Cell { kind, row, field: *at }, peers) else { continue };
            match state[parent as usize] {
                Walk::NotSeen => stack.push(parent as usize),
                Walk::OnTheWay => {
                    // Each row from the parent to here is in the loop, whichever was looked at first.
                    let field = &self.model.kinds[kind].fields[*at].name;
                    let is_on_the_way = |member: &usize| state[*member] == Walk::OnTheWay;
                    let from = stack.iter().position(|member| *member == parent as usize && is_on_the_way(member)).unwrap_or(0);
                    let members: Vec<usize> = stack[from..before].iter().copied().filter(|member| is_on_the_way(member)).collect();
                    for member in members {
                        self.problem(kind, member, DataErrorKind::IdentityLoop { field: field.clone() }, true);
                        self.leave_out(kind, member);
                    }
                }
                Walk::Done => {}
            }
        }
        stack.len() > before
    }

    /// Returns the row of a parent of the same kind that is given by its id.
    fn parent_by_id(&mut self, cell: Cell, peers: &[usize]) -> Option<u32> {
        let raw = self.work[cell.kind].raw;
        let column = &raw.columns[cell.field];
        let (tag, text) = single(column.tag(cell.row), column.text(cell.row));
        // Keys are not known yet, so that a row of this kind is only found by its id.
        if tag == Tag::Null || (tag != Tag::Id && peers.len() < 2) {
            return None;
        }
        let meant = self.meant(cell, peers);
        match self.find_among(&meant, tag, text) {
            (place, Resolution::Row(row)) if meant.get(usize::from(place)) == Some(&cell.kind) => Some(row),
            _ => None,
        }
    }

    /// Leaves out the rows whose parent, given by its natural key, is not there, and those below them.
    fn check_named_parents(&mut self, kind: usize, upward: &[&Identifier]) {
        let raw = self.work[kind].raw;
        let by_name = |(at, _): &&Identifier| raw.columns[*at].tags().iter().any(|tag| !matches!(tag, Tag::Null | Tag::Missing | Tag::Id));
        if !upward.iter().any(by_name) {
            return;
        }
        let keys = &self.work[kind].keys;
        let mut order: Vec<usize> = (0..raw.rows).filter(|row| !self.work[kind].bad[*row]).collect();
        // A parent's key is part of its child's and so shorter.
        order.sort_by_key(|row| keys.get(*row).len());
        for row in order {
            for (at, peers) in upward {
                let (tag, text) = single(raw.columns[*at].tag(row), raw.columns[*at].text(row));
                if tag == Tag::Null {
                    continue;
                }
                let cell = Cell { kind, row, field: *at };
                let meant = self.meant(cell, peers);
                let (_, found) = self.find_among(&meant, tag, text);
                if !matches!(found, Resolution::Row(_)) {
                    self.unresolved(cell, &meant, found, (tag, text), true);
                    self.leave_out(kind, row);
                }
            }
        }
    }
}

/// Where the walk to the parents is with a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    NotSeen,
    OnTheWay,
    Done,
}
