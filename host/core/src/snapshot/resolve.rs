//! Finds the objects that references lead to, by the rule of [`crate::mapping::reference`].

use std::borrow::Cow;
use std::collections::HashSet;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use infrahub_sync_base::Side;

use super::build::{Builder, Cell};
use super::columns::{NOWHERE, RefValue};
use super::problems::{DataErrorKind, IDENTITY_DEPTH_MAX, PeerName};
use crate::key::{self, Keys, push_part, push_peer_part};
use crate::model::{Cardinality, KindModel};
use crate::value::{Tag, ValueColumn};

/// Rows, found by the hash of a text that stands elsewhere.
pub(super) type Table = HashTable<u32>;

/// Returns the hash by which texts such as ids are found. It is the same in each run.
#[must_use]
pub fn hash(text: &str) -> u64 {
    use std::hash::BuildHasher;
    // A fixed seed: ids come from systems that the user configured, and the same inputs must cost the same.
    foldhash::fast::FixedState::with_seed(0x5eed).hash_one(text)
}

/// How a reference resolved.
#[derive(Clone, Copy)]
pub(super) enum Resolution {
    Row(u32),
    /// To an object that is itself left out: reported once, there.
    LeftOut,
    /// To a text that several objects answer to.
    Ambiguous(PeerName),
    /// To objects of several of the kinds that the field may refer to.
    SeveralKinds,
    Missing,
}

/// The peers of a reference, as they are found.
#[derive(Default)]
pub(super) struct Found {
    /// The rows, each with the place of its kind.
    pub(super) set: Vec<(u16, u32)>,
    /// The peers outside of the snapshot, by kind (which may be unknown) and id.
    pub(super) outside: Vec<(String, String)>,
}

impl Found {
    pub(super) fn clear(&mut self) {
        self.set.clear();
        self.outside.clear();
    }

    /// Puts the peers in order, each once. Returns how many there are.
    fn sort(&mut self) -> usize {
        self.set.sort_unstable();
        self.set.dedup();
        self.outside.sort_unstable();
        self.outside.dedup();
        self.set.len() + self.outside.len()
    }
}

/// Returns the kind and the id of a peer that is named by its id; the kind is empty where it is unknown.
fn by_id_alone(tag: Tag, text: &str) -> Option<(String, String)> {
    match tag {
        Tag::Id => Some((String::new(), text.to_owned())),
        _ => kind_and_id(tag, text),
    }
}

/// Rows by id.
pub(super) struct IdIndex {
    /// The first row of each id.
    first: Table,
    /// Of those, the rows whose id other objects have as well.
    ambiguous: HashSet<u32>,
}

/// Rows by unique id.
pub(super) struct UniqueIdIndex {
    /// The unique ids, row by row.
    texts: Keys,
    /// The first row of each; rows that are left out come last.
    first: Table,
    /// Of those, the rows whose unique id is that of another key as well.
    ambiguous: HashSet<u32>,
}

/// Returns the kind and the id of a peer that is given by both and nothing else: `{"id": …, "kind": …}`.
pub(super) fn kind_and_id(tag: Tag, text: &str) -> Option<(String, String)> {
    // Canonical JSON has sorted keys. Nearly all other texts end here.
    if tag != Tag::Json || !text.starts_with("{\"id\":") {
        return None;
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let kind = object.get("kind")?.as_str()?;
    let id = match object.get("id")? {
        serde_json::Value::String(id) => id.clone(),
        serde_json::Value::Number(id) => id.to_string(),
        _ => return None,
    };
    (object.len() == 2).then(|| (kind.to_owned(), id))
}

impl Builder<'_> {
    fn index_ids(&mut self, kind: usize) {
        let work = &self.work[kind];
        if work.by_id.is_some() {
            return;
        }
        let ids = &work.raw.ids;
        let mut index = IdIndex { first: Table::with_capacity(work.raw.rows), ambiguous: HashSet::new() };
        for row in (0..work.raw.rows).filter(|row| ids.tag(*row) != Tag::Null) {
            let text = ids.text(row);
            match index.first.entry(hash(text), |at| ids.text(*at as usize) == text, |at| hash(ids.text(*at as usize))) {
                Entry::Vacant(entry) => {
                    entry.insert(row as u32);
                }
                // Of two readings of one object (a page that moved while it was read) one is as good as the other.
                Entry::Occupied(entry) if self.same_identity(kind, *entry.get() as usize, row) => {}
                Entry::Occupied(entry) => {
                    index.ambiguous.insert(*entry.get());
                }
            }
        }
        self.work[kind].by_id = Some(index);
    }

    /// Returns whether two rows of a kind name the same object: by their keys, or by what was read while keys are not known.
    fn same_identity(&self, kind: usize, a: usize, b: usize) -> bool {
        let work = &self.work[kind];
        if !work.keys.is_empty() {
            return work.keys.get(a) == work.keys.get(b);
        }
        let spec = &self.model.kinds[kind];
        let mut identifying = spec.fields.iter().zip(&work.raw.columns).filter(|(field, _)| spec.identifiers.contains(&field.name));
        identifying.all(|(_, column)| column.same(a, column, b))
    }

    fn index_keys(&mut self, kind: usize) {
        let work = &mut self.work[kind];
        if work.by_key.is_some() || work.keys.is_empty() {
            return;
        }
        let keys = &work.keys;
        let mut table = Table::with_capacity(keys.len());
        // Rows that are left out come last: they only tell why a peer is not there.
        for bad in [false, true] {
            for row in (0..keys.len()).filter(|row| work.bad[*row] == bad) {
                let key = keys.get(row);
                if let Entry::Vacant(entry) = table.entry(hash(key), |at| keys.get(*at as usize) == key, |at| hash(keys.get(*at as usize)))
                {
                    entry.insert(row as u32);
                }
            }
        }
        work.by_key = Some(table);
    }

    fn index_unique_ids(&mut self, kind: usize) {
        let work = &mut self.work[kind];
        if work.by_unique_id.is_some() || work.keys.is_empty() {
            return;
        }
        let mut texts = Keys::default();
        let mut text = String::new();
        for row in 0..work.keys.len() {
            text.clear();
            key::write_unique_id(work.keys.get(row), &mut text);
            texts.push(&text);
        }
        let mut first = Table::with_capacity(texts.len());
        let mut ambiguous = HashSet::new();
        for bad in [false, true] {
            for row in (0..texts.len()).filter(|row| work.bad[*row] == bad) {
                let text = texts.get(row);
                match first.entry(hash(text), |at| texts.get(*at as usize) == text, |at: &u32| hash(texts.get(*at as usize))) {
                    Entry::Vacant(entry) => drop(entry.insert(row as u32)),
                    Entry::Occupied(entry) if !bad && work.keys.get(*entry.get() as usize) != work.keys.get(row) => {
                        ambiguous.insert(*entry.get());
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        work.by_unique_id = Some(UniqueIdIndex { texts, first, ambiguous });
    }

    fn row_or_left_out(&self, kind: usize, row: u32) -> Resolution {
        if self.work[kind].bad[row as usize] { Resolution::LeftOut } else { Resolution::Row(row) }
    }

    pub(super) fn by_id(&mut self, kind: usize, id: &str) -> Resolution {
        self.index_ids(kind);
        let work = &self.work[kind];
        let Some(index) = &work.by_id else { return Resolution::Missing };
        match index.first.find(hash(id), |at| work.raw.ids.text(*at as usize) == id) {
            Some(row) if index.ambiguous.contains(row) => Resolution::Ambiguous(PeerName::Id),
            Some(row) => self.row_or_left_out(kind, *row),
            None => Resolution::Missing,
        }
    }

    fn by_key(&mut self, kind: usize, key: &str) -> Resolution {
        self.index_keys(kind);
        let work = &self.work[kind];
        match work.by_key.as_ref().and_then(|table| table.find(hash(key), |at| work.keys.get(*at as usize) == key)) {
            Some(row) => self.row_or_left_out(kind, *row),
            None => Resolution::Missing,
        }
    }

    /// Finds a row by its unique id. Nothing is found while the kind's own keys are not known.
    fn by_unique_id(&mut self, kind: usize, tag: Tag, text: &str) -> Resolution {
        self.index_unique_ids(kind);
        let mut wanted = String::new();
        key::write_python_str(tag, text, &mut wanted);
        let Some(index) = &self.work[kind].by_unique_id else { return Resolution::Missing };
        match index.first.find(hash(&wanted), |at| index.texts.get(*at as usize) == wanted) {
            Some(row) if index.ambiguous.contains(row) => Resolution::Ambiguous(PeerName::UniqueId),
            Some(row) => self.row_or_left_out(kind, *row),
            None => Resolution::Missing,
        }
    }

    /// Returns the key that a natural key names: a plain value, a list of the identifiers' values, or an object of them.
    ///
    /// `depth` bounds how far identifiers are followed; none where no object can be meant. `nested` says how a peer among the identifiers is
    /// found.
    pub(super) fn natural_key(&mut self, kind: usize, tag: Tag, text: &str, depth: usize, nested: Nested) -> Option<String> {
        let model = self.model;
        let spec = model.kinds.get(kind)?;
        let depth = depth.checked_sub(1)?;
        if let Some(plain) = lone_text(spec, tag, text) {
            let mut wanted = String::with_capacity(plain.len() + 2);
            push_part(Tag::Text, plain, &mut wanted);
            return Some(wanted);
        }
        let parsed: Option<serde_json::Value> = if tag == Tag::Json { Some(serde_json::from_str(text).ok()?) } else { None };
        if parsed.as_ref().and_then(serde_json::Value::as_array).is_some_and(|items| items.len() > spec.identifiers.len()) {
            return None;
        }
        let mut wanted = String::new();
        for (at, name) in spec.identifiers.iter().enumerate() {
            let Some(field) = spec.fields.iter().find(|field| field.name == *name) else { continue };
            let peers = model.peers_of(field);
            let mut values = ValueColumn::default();
            match &parsed {
                // A plain value is the first identifier; the others, if any, are null.
                None if at == 0 => values.push(tag, text),
                None => values.push_null(),
                Some(value) => {
                    let part = match value {
                        serde_json::Value::Array(items) => items.get(at),
                        object => object.get(name),
                    };
                    let part = part.unwrap_or(&serde_json::Value::Null);
                    if peers.is_empty() || self.are_looked_up(&peers) { values.push_json(part) } else { values.push_peer(part) }
                }
            }
            match values.tag(0) {
                tag if tag != Tag::Null && !peers.is_empty() => {
                    let (peer, key) = self.nested_key(&peers, tag, values.text(0), depth, nested)?;
                    let kind = field.refers_to_several().then(|| model.kinds[peer].name.as_str());
                    push_peer_part(kind, &key, &mut wanted);
                }
                _ => {
                    let values = values.coerced(field.field_type);
                    push_part(values.tag(0), values.text(0), &mut wanted);
                }
            }
        }
        (!key::is_blank(&wanted)).then_some(wanted)
    }

    /// Returns kind and key of a peer that is a part of a natural key.
    fn nested_key(&mut self, peers: &[usize], tag: Tag, text: &str, depth: usize, nested: Nested) -> Option<(usize, String)> {
        let (meant, text) = self.named_kind(peers, tag, text);
        if let (Nested::AsWritten, [peer]) = (nested, &*meant)
            && tag != Tag::Id
        {
            return Some((*peer, self.natural_key(*peer, tag, text, depth, nested)?));
        }
        let (place, found) = self.find_among(&meant, tag, text);
        let peer = *meant.get(usize::from(place))?;
        match found {
            Resolution::Row(row) if !self.work[peer].keys.is_empty() => Some((peer, self.work[peer].keys.get(row as usize).to_owned())),
            _ => None,
        }
    }

    /// Finds a peer of one kind.
    pub(super) fn find(&mut self, kind: usize, tag: Tag, text: &str) -> Resolution {
        if tag == Tag::Id {
            return self.by_id(kind, text);
        }
        let spec = &self.model.kinds[kind];
        if let Some((name, id)) = kind_and_id(tag, text).filter(|_| spec.identifiers.iter().all(|known| known != "kind")) {
            return if spec.name == name { self.by_id(kind, &id) } else { Resolution::Missing };
        }
        let has_peers = || spec.fields.iter().any(|field| field.reference.is_some() && spec.identifiers.contains(&field.name));
        let is_plain = tag != Tag::Json;
        if is_plain && self.unique_ids_first {
            match self.by_unique_id(kind, tag, text) {
                Resolution::Missing => {}
                found => return found,
            }
        }
        let mut ways = [Nested::AsWritten, Nested::AsFound].into_iter().take(if is_plain || !has_peers() { 1 } else { 2 });
        let found = ways.find_map(|nested| {
            let key = self.natural_key(kind, tag, text, IDENTITY_DEPTH_MAX, nested)?;
            let found = self.by_key(kind, &key);
            (!matches!(found, Resolution::Missing)).then_some(found)
        });
        match found {
            Some(found) => found,
            None if !is_plain => Resolution::Missing,
            None => match self.by_id(kind, text) {
                Resolution::Missing => self.by_unique_id(kind, tag, text),
                found => found,
            },
        }
    }

    /// Finds a peer among the kinds that a field may refer to. A row comes with the place of its kind.
    pub(super) fn find_among(&mut self, kinds: &[usize], tag: Tag, text: &str) -> (u16, Resolution) {
        if let [only] = kinds {
            return (0, self.find(*only, tag, text));
        }
        let (meant, name) = self.named_kind(kinds, tag, text);
        let place = |kind: usize| kinds.iter().position(|known| *known == kind).and_then(|at| u16::try_from(at).ok()).unwrap_or(u16::MAX);
        if name.len() < text.len()
            && let [only] = *meant
        {
            match self.find(only, tag, name) {
                // The text is a name that happens to begin like this.
                Resolution::Missing => {}
                found => return (place(only), found),
            }
        }
        let meant = if name.len() < text.len() { Cow::Borrowed(kinds) } else { meant };
        let mut found = (0, Resolution::Missing);
        for kind in &*meant {
            match (self.find(*kind, tag, text), &found.1) {
                (Resolution::Missing, _) => {}
                (here, Resolution::Missing) => found = (place(*kind), here),
                // The first is no better than the second, and guessing would write to the wrong object.
                _ => return (0, Resolution::SeveralKinds),
            }
        }
        found
    }

    /// Returns the kinds that a peer can have, out of those that a field may refer to, and the text without the kind. A text `Kind:…` and an
    /// object that names its `kind` have that one. Another object has the kinds whose identifiers are its members. Any other value can have all.
    pub(super) fn named_kind<'k, 't>(&self, kinds: &'k [usize], tag: Tag, text: &'t str) -> (Cow<'k, [usize]>, &'t str) {
        let all = Cow::Borrowed(kinds);
        match (tag, kinds) {
            (_, [_]) => (all, text),
            (Tag::Text, _) => {
                let named = text.split_once(':').and_then(|(name, rest)| {
                    let at = kinds.iter().position(|kind| self.model.kinds[*kind].name == name)?;
                    Some((Cow::Borrowed(kinds.get(at..=at)?), rest))
                });
                named.unwrap_or((all, text))
            }
            (Tag::Json, _) => (Cow::Owned(self.candidates(kinds, text)), text),
            _ => (all, text),
        }
    }

    /// Returns the kinds that an object can be of.
    fn candidates(&self, kinds: &[usize], text: &str) -> Vec<usize> {
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok();
        let Some(object) = object else { return kinds.to_vec() };
        let identifiers = |kind: usize| self.model.kinds[kind].identifiers.as_slice();
        let narrowed: Vec<usize> = match object.get("kind").and_then(serde_json::Value::as_str) {
            Some(name) if kinds.iter().all(|kind| identifiers(*kind).iter().all(|known| known != "kind")) => {
                kinds.iter().copied().filter(|kind| self.model.kinds[*kind].name == name).collect()
            }
            _ => {
                let exact = |kind: &usize| {
                    identifiers(*kind).len() == object.len() && identifiers(*kind).iter().all(|name| object.contains_key(name))
                };
                kinds.iter().copied().filter(exact).collect()
            }
        };
        if narrowed.is_empty() { kinds.to_vec() } else { narrowed }
    }

    /// Reports a reference that leads to no row; nothing is reported where the peer itself is left out.
    pub(super) fn unresolved(&mut self, cell: Cell, peers: &[usize], found: Resolution, (tag, text): (Tag, &str), left_out: bool) {
        let field = self.model.kinds[cell.kind].fields[cell.field].name.clone();
        let mut peers = Cow::Borrowed(peers);
        if matches!(found, Resolution::SeveralKinds) {
            // Only those that have it.
            let has = |peer: &usize| !matches!(self.find(*peer, tag, text), Resolution::Missing);
            peers = Cow::Owned(peers.iter().copied().filter(has).collect());
        }
        let names: Vec<&str> = peers.iter().map(|peer| self.model.kinds[*peer].name.as_str()).collect();
        let (kind, peer) = (names.join(" or "), text.trim_end_matches('\n').to_owned());
        let error = match found {
            Resolution::Missing if self.are_looked_up(&peers) => DataErrorKind::NotInDestination { field, kind, peer },
            Resolution::Missing => DataErrorKind::Dangling { field, kind, peer },
            Resolution::Ambiguous(by) => DataErrorKind::Ambiguous { field, kind, peer, by },
            Resolution::SeveralKinds => DataErrorKind::AmbiguousKind { field, kind, peer },
            Resolution::Row(_) | Resolution::LeftOut => return,
        };
        self.problem(cell.kind, cell.row, error, left_out);
    }

    /// Finds the peers of a reference; the field's cardinality decides what a list is.
    ///
    /// `kinds` are those that the field may refer to; the mapping that brought the row may know which one it means.
    pub(super) fn resolve(&mut self, cell: Cell, kinds: &[usize], column: &ValueColumn, out: &mut Found) -> RefValue {
        let meant = self.meant(cell, kinds);
        if meant.len() == kinds.len() {
            return self.resolve_in(cell, kinds, column, out);
        }
        let held = self.resolve_in(cell, &meant, column, out);
        let place = |kind: usize| kinds.iter().position(|known| *known == kind).and_then(|at| u16::try_from(at).ok()).unwrap_or(u16::MAX);
        out.set
            .iter_mut()
            .filter(|(_, row)| *row != NOWHERE)
            .for_each(|(at, _)| *at = meant.get(usize::from(*at)).map_or(0, |kind| place(*kind)));
        out.set.sort_unstable();
        held
    }

    /// Returns those of a field's peer kinds that its mapping means in a row.
    pub(super) fn meant<'k>(&self, cell: Cell, kinds: &'k [usize]) -> Cow<'k, [usize]> {
        if kinds.len() < 2 {
            return Cow::Borrowed(kinds);
        }
        let meant = self.work[cell.kind].raw.peer_kinds(cell.row, cell.field);
        let place = |kind: usize| kinds.iter().position(|known| *known == kind);
        let mut places = meant.filter_map(place);
        match (places.next(), places.next()) {
            (None, _) => Cow::Borrowed(kinds),
            // The common case, without an allocation.
            (Some(one), None) => Cow::Borrowed(kinds.get(one..=one).unwrap_or(kinds)),
            (Some(one), Some(other)) => {
                let mut places: Vec<usize> = [one, other].into_iter().chain(places).collect();
                places.sort_unstable();
                places.dedup();
                Cow::Owned(places.into_iter().map(|place| kinds[place]).collect())
            }
        }
    }

    /// Returns whether only the destination has objects of these kinds. Ids of the source mean nothing among them: an object is known by its
    /// identifiers.
    fn are_looked_up(&self, kinds: &[usize]) -> bool {
        self.side == Side::Source && kinds.iter().all(|kind| self.model.kinds[*kind].lookup)
    }

    /// As [`resolve`](Self::resolve), for the kinds that are meant.
    fn resolve_in(&mut self, cell: Cell, kinds: &[usize], column: &ValueColumn, out: &mut Found) -> RefValue {
        let cardinality = self.model.kinds[cell.kind].fields[cell.field].cardinality;
        let by_name = self.are_looked_up(kinds);
        let (mut tag, mut text) = (column.tag(cell.row), column.text(cell.row));
        if cardinality == Cardinality::One {
            (tag, text) = single(tag, text);
        }
        let mut items = ValueColumn::default();
        match tag {
            Tag::Null => return RefValue::Null,
            Tag::Text if text.is_empty() => return RefValue::Null,
            Tag::Unresolved => return RefValue::Unresolved,
            Tag::Ids => text.split_terminator('\n').for_each(|id| items.push(Tag::Id, id)),
            Tag::Json if text.starts_with('[') && !kinds.iter().any(|peer| self.is_composite_key(*peer, cardinality, text)) => {
                let list: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
                let items_of = list.iter().filter(|item| !item.is_null());
                items_of.for_each(|item| if by_name { items.push_json(item) } else { items.push_peer(item) });
            }
            _ => {
                return match (self.resolve_one(cell, kinds, (tag, text), out), cardinality) {
                    (false, _) => RefValue::Unresolved,
                    (true, Cardinality::Many) => RefValue::Many,
                    (true, _) => RefValue::One,
                };
            }
        }
        let mut all = true;
        for item in (0..items.len()).filter(|item| items.tag(*item) != Tag::Null) {
            // Not the first only: each that is not there is reported.
            all &= self.resolve_one(cell, kinds, (items.tag(item), items.text(item)), out);
        }
        if !all {
            out.clear();
            return RefValue::Unresolved;
        }
        match (cardinality, out.sort()) {
            (Cardinality::One, 0) => RefValue::Null,
            (Cardinality::One, 1) => RefValue::One,
            _ => RefValue::Many,
        }
    }

    /// Returns whether a list is one peer's composite key rather than a set of peers: the field holds one peer, or, where that is not known,
    /// the lengths fit.
    fn is_composite_key(&self, peer: usize, cardinality: Cardinality, text: &str) -> bool {
        let identifiers = self.model.kinds[peer].identifiers.len();
        let items = || serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap_or_default();
        match cardinality {
            Cardinality::Many => false,
            // A list of one is that one.
            Cardinality::One => items().len() > 1,
            Cardinality::Unknown if identifiers > 1 => {
                let items = items();
                items.len() == identifiers && items.first().is_some_and(|first| !first.is_array() && !first.is_object())
            }
            Cardinality::Unknown => false,
        }
    }

    /// Finds one peer of a reference, given as type and text. Returns false where there is none, and reports it.
    fn resolve_one(&mut self, cell: Cell, kinds: &[usize], (tag, text): (Tag, &str), out: &mut Found) -> bool {
        let (place, found) = self.find_among(kinds, tag, text);
        if let (Resolution::Row(found), Some(peer)) = (found, kinds.get(place as usize)) {
            out.set.push((place, self.work[*peer].position[found as usize]));
            return true;
        }
        if self.side == Side::Destination {
            match by_id_alone(tag, text) {
                Some(peer) => out.outside.push(peer),
                // A name that leads nowhere is not a peer.
                None => out.set.push((0, NOWHERE)),
            }
            return true;
        }
        self.unresolved(cell, kinds, found, (tag, text), false);
        false
    }
}

/// How a peer among the identifiers of a natural key is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nested {
    /// Its own natural key stands there. It need not be among the rows.
    AsWritten,
    /// It is one of the rows, by any rule.
    AsFound,
}

/// Returns the peer of a list that has one, by id; null for an empty list.
pub(super) fn single(tag: Tag, text: &str) -> (Tag, &str) {
    match (tag, text.split_once('\n')) {
        (Tag::Ids, None) => (Tag::Null, ""),
        (Tag::Ids, Some((id, ""))) => (Tag::Id, id),
        _ => (tag, text),
    }
}

/// Returns the text of a peer that is named by its one plain identifier, `{"name":"akron"}`: the common case when a destination of files is read
/// back, taken from its canonical form without parsing. None: the general way finds out.
fn lone_text<'t>(spec: &KindModel, tag: Tag, text: &'t str) -> Option<&'t str> {
    let [name] = spec.identifiers.as_slice() else { return None };
    if tag != Tag::Json || spec.fields.iter().any(|field| field.name == *name && field.reference.is_some()) {
        return None;
    }
    let inner = text.strip_prefix("{\"")?.strip_prefix(name.as_str())?.strip_prefix("\":\"")?.strip_suffix("\"}")?;
    // A quote would begin another key, a backslash an escape.
    (!inner.bytes().any(|byte| byte == b'"' || byte == b'\\')).then_some(inner)
}
