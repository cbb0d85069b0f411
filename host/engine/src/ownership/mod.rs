//! Who made the objects of the destination: what the destination records itself, else the record in the cache.
//!
//! [`Owners`] is the record of a sync, as it is read when a run begins. [`settle`] brings it up to date after an apply, from the journal: rows that the
//! destination has accepted are certain, all others are not. The run that is being applied is noted before its first write, so a killed apply is
//! taken over by whichever run comes next.
//!
//! An object that is not recorded was made by another user. A record that is lost therefore deletes nothing.

mod adopt;
mod journal;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use infrahub_sync_cache::{Cache, CacheError, CacheLock, OwnedObject, RunId, RunState};
use infrahub_sync_core::change::ObjectKey;
use infrahub_sync_core::key;
use infrahub_sync_core::model::{Model, Ownership};
use infrahub_sync_core::ownership::{Members, Recorded};
use infrahub_sync_core::snapshot::{Completeness, KindSnapshot, Peer, Snapshot};
use serde_json::Value;

use crate::{EngineError, RunContext};

#[cfg(test)]
pub(crate) use adopt::adopt_of;
pub use adopt::{Adoption, KindAdoption, adopt};

/// Returns the place of a destination, as a text: objects of another place are not those of this one.
pub(crate) fn place_text(place: &BTreeMap<String, Value>) -> Arc<str> {
    serde_json::to_string(place).unwrap_or_default().into()
}

/// The record of a sync: the objects that it made or adopted, and the members that it added to sets.
pub(crate) struct Owners {
    objects: Vec<OwnedObject>,
    /// Why nothing is known, where there should be a record.
    lost: Option<String>,
    place: Arc<str>,
    sync: String,
}

impl Owners {
    /// Reads the record.
    ///
    /// # Errors
    /// When the cache cannot be read. A record that is missing or damaged is not an error: nothing is then known.
    pub(crate) fn read(cx: &RunContext<'_>, lock: &CacheLock, place: &BTreeMap<String, Value>) -> Result<Owners, EngineError> {
        let place = place_text(place);
        let sync = cx.project.name.clone();
        let (objects, lost) = match lock.cache().ownership() {
            Ok(Some(objects)) => (objects, None),
            Ok(None) => (Vec::new(), has_applied(lock.cache())?.then(|| "is missing".to_owned())),
            Err(CacheError::Damaged { source, .. }) => (Vec::new(), Some(format!("is damaged ({source})"))),
            Err(error) => return Err(error.into()),
        };
        Ok(Owners { objects, lost, place, sync })
    }

    /// Returns why nothing is known, where there should be a record.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Notes which objects of a kind this sync made.
    pub(crate) fn mark_made(&self, model: &Model, snapshot: &Snapshot, kind: usize, recorded: &mut Recorded) {
        let (Some(spec), Some(rows)) = (model.kinds.get(kind), snapshot.kinds.get(kind)) else { return };
        let index = Index::of_kind(&self.objects, &spec.name);
        let mut scratch = String::new();
        let made = (0..rows.rows()).map(|row| match rows.owner(row) {
            // What the destination records itself is certain.
            Some(owner) => owner == self.sync,
            None => index.find(rows, row, &self.place, &mut scratch).is_some_and(|object| object.made),
        });
        recorded.set_made(kind, made.collect());
    }

    /// Notes the members that this sync has added to the sets that it merges.
    pub(crate) fn mark_members(&self, model: &Model, snapshot: &Snapshot, recorded: &mut Recorded) {
        for (kind, spec) in model.kinds.iter().enumerate() {
            let fields: Vec<(usize, &str)> = spec
                .fields
                .iter()
                .enumerate()
                .filter(|(_, field)| field.ownership == Ownership::Merge)
                .map(|(at, field)| (at, field.name.as_str()))
                .collect();
            let Some(rows) = snapshot.kinds.get(kind).filter(|_| !fields.is_empty()) else { continue };
            let index = Index::of_kind(&self.objects, &spec.name);
            let mut scratch = String::new();
            for row in 0..rows.rows() {
                let Some(text) = index.find(rows, row, &self.place, &mut scratch).and_then(|object| object.members.as_deref()) else {
                    continue;
                };
                let stored: BTreeMap<String, Vec<Value>> = serde_json::from_str(text).unwrap_or_default();
                for (field, name) in &fields {
                    let Some(items) = stored.get(*name) else { continue };
                    let is_reference = spec.fields.get(*field).is_some_and(|field| field.reference.is_some());
                    let members = if is_reference {
                        peers(model, snapshot, items)
                    } else {
                        Members::Items(items.iter().map(journal::text).collect())
                    };
                    recorded.set_members(kind, u32::try_from(row).unwrap_or(u32::MAX), *field, members);
                }
            }
        }
    }
}

/// Returns the rows of peers that are stored by kind and key; one that is gone has none.
fn peers(model: &Model, snapshot: &Snapshot, items: &[Value]) -> Members {
    let row = |item: &Value| {
        let (kind, _) = model.kind(item.get("kind")?.as_str()?)?;
        let key = key::key_from_json(item.get("key")?)?;
        let row = ObjectKey { kind, key }.row_in(snapshot)?;
        Some(Peer { kind, row: u32::try_from(row).ok()? })
    };
    Members::Peers(items.iter().filter_map(row).collect())
}

/// Returns whether a run of this sync has made objects: then there should be a record.
fn has_applied(cache: &Cache) -> Result<bool, EngineError> {
    let has_created =
        |state: &RunState| matches!(state, RunState::Known(file) if file.summary.applied.values().any(|kind| kind.created > 0));
    Ok(cache.list_runs()?.iter().any(|run| has_created(&run.state)))
}

/// The recorded objects of one kind, by id and by key.
struct Index<'o> {
    by_id: HashMap<(&'o str, &'o str), &'o OwnedObject>,
    by_key: HashMap<&'o str, &'o OwnedObject>,
}

impl<'o> Index<'o> {
    fn of_kind(objects: &'o [OwnedObject], kind: &str) -> Index<'o> {
        let mut index = Index { by_id: HashMap::new(), by_key: HashMap::new() };
        for object in objects.iter().filter(|object| *object.kind == *kind) {
            match &object.id {
                Some(id) => drop(index.by_id.insert((object.list.as_deref().unwrap_or_default(), id), object)),
                None => drop(index.by_key.insert(&object.key, object)),
            }
        }
        index
    }

    /// Returns the record of an object: by its id, where it has one, else by its key.
    ///
    /// Ids of another place (a branch) may mean other objects, so there the key has to be the same, too. `scratch` is a buffer.
    fn find(&self, rows: &KindSnapshot, row: usize, place: &str, scratch: &mut String) -> Option<&'o OwnedObject> {
        let list = rows.resources.get(row).unwrap_or_default();
        if self.by_id.is_empty() && self.by_key.is_empty() {
            return None;
        }
        let mut has_key = |object: &OwnedObject| {
            scratch.clear();
            key::write_key_json(rows.keys.get(row), scratch);
            *object.key == **scratch
        };
        match rows.id(row) {
            Some(id) => self.by_id.get(&(list, id)).copied().filter(|object| *object.place == *place || has_key(object)),
            None => {
                has_key(&OwnedObject::default());
                self.by_key.get(scratch.as_str()).copied().filter(|object| *object.place == *place)
            }
        }
    }
}

/// Takes over the objects of an apply that was killed, before a run begins.
///
/// # Errors
/// When the cache cannot be read or written.
pub(crate) fn take_over(cx: &RunContext<'_>, lock: &CacheLock, model: &Model) -> Result<(), EngineError> {
    let Some(run) = lock.cache().applying()? else { return Ok(()) };
    match lock.cache().open_run(&run) {
        Ok(reader) => journal::record(lock, model, &reader, None)?,
        Err(error) => cx
            .events
            .warn(&format!("the objects that run {run} made are not recorded as made by this sync, as the run cannot be read: {error}")),
    }
    Ok(lock.write_applying(None)?)
}

/// Notes that the plan of a run is about to be written.
pub(crate) fn begin(lock: &CacheLock, run: &RunId) -> Result<(), EngineError> {
    Ok(lock.write_applying(Some(run))?)
}

/// Records what an apply has made and deleted. `snapshot` is the destination before it: recorded objects that are not there are gone.
pub(crate) fn settle(
    lock: &CacheLock,
    model: &Model,
    reader: &infrahub_sync_cache::RunReader,
    snapshot: &Snapshot,
) -> Result<(), EngineError> {
    journal::record(lock, model, reader, Some(snapshot))?;
    Ok(lock.write_applying(None)?)
}

/// Reads the record of a sync for whoever changes it. One that is damaged is put aside.
fn objects(lock: &CacheLock) -> Result<Vec<OwnedObject>, EngineError> {
    match lock.cache().ownership() {
        Ok(objects) => Ok(objects.unwrap_or_default()),
        Err(CacheError::Damaged { .. }) => {
            lock.set_ownership_aside()?;
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes the records of objects that the destination no longer has, of kinds that were read completely.
fn prune(objects: &mut Vec<OwnedObject>, model: &Model, snapshot: &Snapshot, place: &str) {
    let mut scratch = String::new();
    for (spec, rows) in model.kinds.iter().zip(&snapshot.kinds) {
        if rows.completeness != Completeness::Complete || !objects.iter().any(|object| *object.kind == *spec.name) {
            continue;
        }
        let mut ids = std::collections::HashSet::new();
        let mut keys = std::collections::HashSet::new();
        for row in 0..rows.rows() {
            match rows.id(row) {
                Some(id) => drop(ids.insert((rows.resources.get(row).unwrap_or_default(), id))),
                None => {
                    scratch.clear();
                    key::write_key_json(rows.keys.get(row), &mut scratch);
                    keys.insert(scratch.clone());
                }
            }
        }
        objects.retain_mut(|object| {
            if *object.kind != *spec.name || *object.place != *place {
                return true;
            }
            let is_there = match &object.id {
                Some(id) => ids.contains(&(object.list.as_deref().unwrap_or_default(), &**id)),
                None => keys.contains(&*object.key),
            };
            // An object that was never seen may be on a branch that is under review.
            let stays = is_there || (object.id.is_some() && !object.seen);
            object.seen |= is_there;
            stays
        });
    }
}
