//! Asks the destination what deletes take along: before a plan with deletes is written, and again before a stored one is applied.
//!
//! An adapter answers for many objects at once and does not say which of them takes what along. So a batch is asked first. If its answer is not
//! empty, each object of the batch is asked alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use infrahub_sync_core::model::Model;
use infrahub_sync_core::plan::{self, Because, LeftOut, Plan};
use infrahub_sync_core::snapshot::Peer;
use infrahub_sync_runtime::{Dependents, Kind, Target};
use tokio::task::JoinSet;

use crate::system::System;
use crate::targets::Targets;
use crate::{EngineError, RunContext};

/// Objects of one question.
const OBJECTS_AT_ONCE: usize = 100;
/// Questions that wait for an answer.
const QUESTIONS_AT_ONCE: usize = 4;

/// The kinds whose deletes take others along.
#[derive(Debug, Clone)]
pub(crate) struct Cascading {
    /// None: the destination has no schema, so that each kind may be one.
    kinds: Option<BTreeSet<String>>,
}

impl Cascading {
    /// Takes it from the destination's schema; none without kinds.
    pub(crate) fn of(kinds: &[Kind]) -> Cascading {
        let with_cascades = || kinds.iter().filter(|kind| !kind.cascades.is_empty()).map(|kind| kind.name.clone()).collect();
        Cascading { kinds: (!kinds.is_empty()).then(with_cascades) }
    }

    /// Returns whether a delete of the kind may take others along.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))
    }
}

/// Returns the name by which the destination calls the objects of a target.
pub(crate) fn name_of(target: &Target) -> &str {
    target.resource.as_ref().unwrap_or(&target.kind)
}

/// Puts what the deletes of a plan take along into it. Deletes that would take anything else along are left out, with a warning for each kind.
///
/// # Errors
/// When the destination cannot be asked.
pub(crate) async fn settle<'s>(
    cx: &RunContext<'_>,
    system: &Arc<dyn System>,
    cascading: &Cascading,
    model: &Model,
    targets: &Targets,
    plan: Plan<'s>,
) -> Result<Plan<'s>, EngineError> {
    // Most plans have no deletes, and most kinds no cascades.
    let mut questions: Vec<(&Target, Vec<(Peer, String)>)> = Vec::new();
    for delete in plan.deletes() {
        let Some(spec) = model.kinds.get(delete.object.kind).filter(|spec| cascading.has(&spec.name)) else { continue };
        let (Some(id), Some(target)) = (delete.id, targets.of(delete.object.kind, delete.resource)) else { continue };
        let one = (delete.object, id.to_owned());
        match questions.iter_mut().find(|(known, _)| known.kind == spec.name && known.resource == target.resource) {
            Some((_, objects)) => objects.push(one),
            None => questions.push((target, vec![one])),
        }
    }
    let mut found: HashMap<Peer, Vec<plan::Dependents>> = HashMap::new();
    for (target, objects) in questions {
        for (object, dependents) in each(system, target, objects).await? {
            found.insert(object, dependents.into_iter().map(|dependents| mapped(targets, dependents)).collect());
        }
    }
    let (plan, left_out) = plan.with_along(&found, &cx.project.delete_along);
    left_out.iter().for_each(|kind| cx.events.warn(&words(kind, &cx.project.delete_along)));
    Ok(plan)
}

/// Finds the kinds of the project that are read from where the destination has these objects.
fn mapped(targets: &Targets, Dependents { kind, count, ids }: Dependents) -> plan::Dependents {
    let mapped = targets.places().iter().filter(|place| name_of(&place.target) == kind).map(|place| place.kind).collect();
    plan::Dependents { kind, mapped, count, ids }
}

fn words(LeftOut { kind, count, example, because }: &LeftOut, named: &[String]) -> String {
    let objects = match count {
        1 => format!("`{kind}`: 1 object is not deleted (`{example}`)"),
        _ => format!("`{kind}`: {count} objects are not deleted (such as `{example}`)"),
    };
    match because {
        Because::Unnamed(along) => {
            let list: Vec<&str> = named.iter().map(String::as_str).chain([along.as_str()]).collect();
            format!(
                "{objects}, because the destination would delete `{along}` along, which the project does not map; to allow that, \
                 write `delete_along: [{}]` in config.yml",
                list.join(", ")
            )
        }
        Because::Stays(along, name) => {
            let which = if name.is_empty() { String::new() } else { format!(" `{name}`") };
            format!("{objects}, because the destination would delete `{along}`{which} along, which the plan does not delete")
        }
    }
}

/// Asks what each of some objects takes along. Objects that take nothing along are left out of the answer.
///
/// # Errors
/// When the destination cannot be asked.
pub(crate) async fn each<T: Send + 'static>(
    system: &Arc<dyn System>,
    target: &Target,
    objects: Vec<(T, String)>,
) -> Result<Vec<(T, Vec<Dependents>)>, EngineError> {
    let mut found = Vec::new();
    let mut waiting = objects.into_iter();
    loop {
        let batch: Vec<(T, String)> = waiting.by_ref().take(OBJECTS_AT_ONCE).collect();
        if batch.is_empty() {
            return Ok(found);
        }
        let ids: Vec<String> = batch.iter().map(|(_, id)| id.clone()).collect();
        let dependents = asked(system, target, &ids).await?;
        if dependents.is_empty() {
            continue;
        }
        let mut alone = batch.into_iter();
        if ids.len() == 1 {
            found.extend(alone.map(|(object, _)| (object, dependents.clone())));
            continue;
        }
        let mut running = JoinSet::new();
        loop {
            while running.len() < QUESTIONS_AT_ONCE {
                let Some((object, id)) = alone.next() else { break };
                let (system, target) = (system.clone(), target.clone());
                running.spawn(async move { (object, asked(&system, &target, &[id]).await) });
            }
            match running.join_next().await {
                Some(Ok((object, answer))) => found.extend(Some((object, answer?)).filter(|(_, dependents)| !dependents.is_empty())),
                Some(Err(panic)) => return Err(EngineError::Internal(format!("a question about deletes ended early: {panic}"))),
                None => break,
            }
        }
    }
}

/// Asks what some objects take along in all.
async fn asked(system: &Arc<dyn System>, target: &Target, ids: &[String]) -> Result<Vec<Dependents>, EngineError> {
    let mut dependents = system.cascade(target, ids).await?;
    dependents.retain(|dependents| dependents.count > 0);
    Ok(dependents)
}
