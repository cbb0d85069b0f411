//! Branches: made, merged, moved, removed.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::mutate::Fail;
use crate::server::branch_json;
use crate::store::{Branch, BranchId, MAIN, NodeId, State, Store};

fn named(store: &Store, data: &Map<String, Value>) -> Result<BranchId, Fail> {
    let name = data.get("name").and_then(Value::as_str).unwrap_or_default();
    store.branch(name).ok_or_else(|| Fail::Other {
        message: format!("Branch: {name} not found."),
        code: "BRANCH_NOT_FOUND",
        status: 400,
        data: serde_json::json!({ "branch_name": name }),
    })
}

pub(crate) fn create(store: &mut Store, data: &Map<String, Value>) -> Result<Value, Fail> {
    let name = data.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if store.branch(&name).is_some() {
        return Err(Fail::plain(format!("The branch {name} already exists"), 422));
    }
    if name.chars().count() < 3 {
        return Err(Fail::plain("invalid field name: String should have at least 3 characters", 422));
    }
    let invalid = name.contains(|c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c))
        || name.contains("..")
        || name.starts_with('/')
        || name.ends_with('/')
        || name.ends_with(".lock");
    if invalid {
        let message = "Branch name contains invalid patterns or characters: disallowed ASCII characters/patterns";
        return Err(Fail::plain(message, 422));
    }
    let now = store.now();
    let id = store.fresh_id();
    let branch = Branch {
        id,
        name,
        description: data.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        sync_with_git: data.get("sync_with_git").and_then(Value::as_bool).unwrap_or(true),
        created_at: now,
        branched_from: now,
        status: "OPEN",
        deleted: false,
    };
    let answer = branch_json(&branch);
    store.branches.push(branch);
    Ok(answer)
}

pub(crate) fn delete(store: &mut Store, data: &Map<String, Value>) -> Result<(), Fail> {
    let branch = named(store, data)?;
    if branch == MAIN {
        return Err(Fail::plain("Unable to delete main it is the default branch.", 422));
    }
    store.branches[branch as usize].deleted = true;
    Ok(())
}

/// Brings what the branch changed to main: attribute by attribute, so that other changes of main stay.
pub(crate) fn merge(store: &mut Store, data: &Map<String, Value>) -> Result<Value, Fail> {
    let branch = named(store, data)?;
    if branch == MAIN {
        return Err(Fail::plain("Unable to merge the branch 'main' into itself", 422));
    }
    let at = store.now();
    let base = store.branches[branch as usize].branched_from;
    for index in 0..store.nodes.len() {
        let node = index as NodeId;
        let Some(theirs) = store.nodes[index].versions.iter().rev().find(|v| v.branch == branch).cloned() else { continue };
        let ours = store.state(node, store.view(MAIN, at)).cloned();
        let merged = match (&theirs.state, ours) {
            (None, _) => None,
            (Some(theirs), None) => Some(State { updated_at: at, ..State::clone(theirs) }),
            (Some(theirs), Some(ours)) => Some(newer(theirs, &ours, base, at)),
        };
        store.put(node, MAIN, at, merged);
    }
    for index in 0..store.edges.len() {
        let Some(theirs) = store.edges[index].versions.iter().rev().find(|v| v.branch == branch).cloned() else { continue };
        let props = theirs.state.map(|p| crate::store::Props::clone(&p));
        store.put_edge(index as u32, MAIN, at, props);
    }
    for index in 0..store.nodes.len() {
        let view = store.view(MAIN, at);
        if store.nodes[index].versions.iter().any(|v| v.branch == branch) {
            store.index(index as NodeId, view);
        }
    }
    store.branches[branch as usize].branched_from = at;
    store.branches[branch as usize].status = "MERGED";
    Ok(branch_json(&store.branches[branch as usize]))
}

/// Lets a branch see main as it is now, under its own changes.
pub(crate) fn rebase(store: &mut Store, data: &Map<String, Value>) -> Result<Value, Fail> {
    let branch = named(store, data)?;
    let at = store.now();
    let base = store.branches[branch as usize].branched_from;
    for index in 0..store.nodes.len() {
        let node = index as NodeId;
        let Some(own) = store.nodes[index].versions.iter().rev().find(|v| v.branch == branch).cloned() else { continue };
        let ours = store.state(node, store.view(MAIN, at)).cloned();
        if let (Some(own), Some(ours)) = (&own.state, ours) {
            let merged = newer(own, &ours, base, at);
            store.nodes[index].versions.push(crate::store::Version { branch, at, state: Some(Arc::new(merged)) });
        }
    }
    store.branches[branch as usize].branched_from = at;
    Ok(branch_json(&store.branches[branch as usize]))
}

/// Returns the attributes that a branch changed since it was made, over those of main.
fn newer(branch: &State, main: &State, base: i64, at: i64) -> State {
    let attributes = branch.attributes.iter().zip(&main.attributes);
    let attributes = attributes.map(|(b, m)| if b.updated_at > base { b.clone() } else { m.clone() }).collect();
    State { attributes, updated_at: at, updated_by: branch.updated_by.clone(), followed_at: branch.followed_at.max(main.followed_at) }
}
