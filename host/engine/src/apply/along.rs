//! The objects that the deletes of a plan take along when it is applied: no more than was reviewed.
//!
//! A stored plan is applied later than it was made. Before its first write, the destination is asked again what its deletes take along. A delete
//! that would take along an object which neither has a row in the plan nor is named beside a delete is not done. A delete waits for
//! those that go along with it: if one of them is not done, its object would be lost with the other one.

use std::collections::{HashMap, HashSet};

use infrahub_sync_cache::RunReader;
use infrahub_sync_core::along::Along;
use infrahub_sync_core::change::{Change, ObjectKey};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_runtime::{Dependents, Target};

use super::Job;
use crate::EngineError;
use crate::cascades::{each, name_of};

/// Ids that are named in one message.
const IDS_NAMED: usize = 3;

/// The objects that the deletes of a plan take along.
#[derive(Default)]
pub(super) struct Taken {
    /// The deletes that go along with others, and those others.
    parents: HashMap<ObjectKey, Vec<ObjectKey>>,
    /// Rows that would take along more than was reviewed, with what.
    more: HashMap<u64, String>,
}

/// A delete of the plan.
struct Delete {
    /// Its place in the plan, from 0.
    at: u64,
    object: ObjectKey,
    kind: String,
    resource: Option<String>,
    /// As it was reviewed.
    along: Vec<Along>,
    id: Option<String>,
}

impl Taken {
    /// Reads it from the plan; of a stored plan, also from the destination.
    ///
    /// # Errors
    /// When the plan is damaged, or the destination cannot be asked.
    pub(super) async fn read(job: &Job<'_>, plan: &RunReader) -> Result<Taken, EngineError> {
        let deletes = deletes(job, plan)?;
        let mut taken = Taken { parents: parents(job, &deletes), more: HashMap::new() };
        if !job.current.fresh {
            taken.ask(job, deletes).await?;
        }
        Ok(taken)
    }

    /// Returns the deletes that would take the object of a change along.
    pub(super) fn parents(&self, change: &Change) -> &[ObjectKey] {
        match change.action {
            Action::Delete => self.parents.get(&change.object).map_or(&[], Vec::as_slice),
            Action::Create | Action::Update => &[],
        }
    }

    /// Returns what a row would take along beyond what was reviewed.
    pub(super) fn more(&self, at: u64) -> Option<&str> {
        self.more.get(&at).map(String::as_str)
    }

    /// Asks the destination what the deletes take along now.
    async fn ask(&mut self, job: &Job<'_>, deletes: Vec<Delete>) -> Result<(), EngineError> {
        // Whatever has a row is not taken along unseen, nor is what stands beside another row.
        let mut reviewed: HashSet<(String, String)> = HashSet::new();
        let mut questions: Vec<(&Target, Vec<(usize, String)>)> = Vec::new();
        for (number, delete) in deletes.iter().enumerate() {
            let target = job.current.targets.of(delete.object.kind, delete.resource.as_deref());
            let name = target.map_or(&*delete.kind, name_of);
            let of_rows = delete.id.iter().map(|id| (name.to_owned(), id.clone()));
            reviewed
                .extend(of_rows.chain(delete.along.iter().flat_map(|along| along.ids.iter().map(|id| (along.kind.clone(), id.clone())))));
            // An object that is not there any more takes nothing along.
            let id = delete.object.row_in(job.current.snapshot).and(delete.id.clone());
            let (Some(id), Some(target), true) = (id, target, job.current.cascading.has(&delete.kind)) else { continue };
            match questions.iter_mut().find(|(known, _)| **known == *target) {
                Some((_, objects)) => objects.push((number, id)),
                None => questions.push((target, vec![(number, id)])),
            }
        }
        for (target, objects) in questions {
            for (number, dependents) in each(job.system, target, objects).await? {
                let Some(delete) = deletes.get(number) else { continue };
                let more: Vec<String> = dependents.iter().filter_map(|dependents| more(dependents, delete, &reviewed)).collect();
                if !more.is_empty() {
                    self.more.insert(delete.at, more.join(", "));
                }
            }
        }
        Ok(())
    }
}

/// Returns the objects of a kind that were not reviewed, in words.
fn more(Dependents { kind, count, ids }: &Dependents, delete: &Delete, reviewed: &HashSet<(String, String)>) -> Option<String> {
    let new: Vec<&str> = ids.iter().filter(|id| !reviewed.contains(&(kind.clone(), (*id).clone()))).map(String::as_str).collect();
    let known: u64 = delete.along.iter().filter(|along| along.kind == *kind).map(|along| along.count).sum();
    // Where the destination counts and does not name them, their number must not have grown.
    let unnamed = if *count > ids.len() as u64 { count.saturating_sub(known.max(ids.len() as u64)) } else { 0 };
    let count = (new.len() as u64).max(unnamed);
    if count == 0 {
        return None;
    }
    let named = new.iter().take(IDS_NAMED).map(|id| format!("`{id}`")).collect::<Vec<_>>();
    Some(if named.is_empty() { format!("{count} `{kind}`") } else { format!("{count} `{kind}` (such as {})", named.join(", ")) })
}

/// Reads the deletes of a plan of which something is known, or may be asked.
fn deletes(job: &Job<'_>, plan: &RunReader) -> Result<Vec<Delete>, EngineError> {
    let mut deletes = Vec::new();
    for (at, row) in (0..).zip(plan.read_plan()?) {
        let row = row?;
        let has_more = row.along.is_some() || !job.current.fresh;
        if row.action != Action::Delete || !has_more {
            continue;
        }
        let damaged = |reason: String| EngineError::PlanRow { row: at + 1, reason };
        let along = Along::parse(row.along.as_deref()).map_err(|error| damaged(format!("its `along` is damaged: {error}")))?;
        let PlanRow { resource: kind, destination_mapping: resource, dest_id: id, .. } = row.clone();
        let change = row.into_change(job.current.model).map_err(|error| damaged(error.to_string()))?;
        deletes.push(Delete { at, object: change.object, kind, resource, along, id });
    }
    Ok(deletes)
}

/// Finds the deletes that go along with others.
fn parents(job: &Job<'_>, deletes: &[Delete]) -> HashMap<ObjectKey, Vec<ObjectKey>> {
    let mut parents: HashMap<ObjectKey, Vec<ObjectKey>> = HashMap::new();
    let with_children = || deletes.iter().filter(|delete| delete.along.iter().any(|along| along.mapped && !along.released));
    if with_children().next().is_none() {
        return parents;
    }
    let name = |delete: &Delete| {
        let target = job.current.targets.of(delete.object.kind, delete.resource.as_deref());
        target.map_or_else(|| delete.kind.clone(), |target| name_of(target).to_owned())
    };
    let by_id: HashMap<(String, &str), &Delete> =
        deletes.iter().filter_map(|delete| Some(((name(delete), delete.id.as_deref()?), delete))).collect();
    for parent in with_children() {
        for along in parent.along.iter().filter(|along| along.mapped && !along.released) {
            for child in along.ids.iter().filter_map(|id| by_id.get(&(along.kind.clone(), id.as_str()))) {
                parents.entry(child.object.clone()).or_default().push(parent.object.clone());
            }
        }
    }
    parents
}
