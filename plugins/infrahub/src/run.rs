//! Begins and finishes a run.

use std::fmt::Write as _;

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Error, ErrorKind, KindChanges, Moment, Result, Run, RunResult, log};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Start;
use crate::graphql::{Answer, Client, Refusal, Sent};
use crate::{Infrahub, adopt};

/// The memo of the context, for all instances of a run.
const KEY: &str = "run";
/// Kinds whose permissions one request asks for.
const KINDS_ASKED: usize = 50;
/// Rights on all objects; the second one is for the branch from which others are made.
const SUPER_ADMIN: &str = "super_admin";
const EDIT_DEFAULT_BRANCH: &str = "edit_default_branch";
/// The bit of a global permission for the default branch.
const ON_DEFAULT_BRANCH: u8 = 2;

/// The facts that each write of a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// The run's id.
    pub(crate) run: String,
    /// The branch that is written.
    pub(crate) branch: String,
    /// The ids of the accounts or groups that are recorded as source and owner.
    pub(crate) source: Option<String>,
    pub(crate) owner: Option<String>,
}

impl Context {
    /// Returns the facts that [`begin`] found.
    pub(crate) fn known() -> Result<Context> {
        memo::get_as(Lifetime::Run, KEY).ok_or_else(|| Error::internal("a write before the beginning of its run"))
    }
}

/// Says whether the run has rows to write.
fn writes(run: &Run) -> bool {
    run.changes.iter().any(|kind| kind.creates + kind.updates + kind.deletes > 0)
}

/// Checks the permissions, and finds source and owner; makes the branch of a proposed change.
pub(crate) fn begin(adapter: &Infrahub, run: &Run) -> Result<Option<String>> {
    if !writes(run) {
        return Ok(None);
    }
    let base = &adapter.settings.branch;
    let client = Client::new(base);
    Start::writes()?;
    let (default_branch, at) = default_branch(&client)?;
    adopt::begin(at)?;
    let on_default = default_branch.as_deref() == Some(base);
    if adapter.settings.proposed_change && !on_default {
        return Err(Error::config(format!(
            "`proposed_change` makes its branch from Infrahub's default branch `{}`, but `branch` is `{base}`: use only one of them",
            default_branch.unwrap_or_default()
        )));
    }
    let to_default = on_default && !adapter.settings.proposed_change;
    if let Err(refusal) = permitted(&client, run, base, to_default) {
        // Permissions of a kind that the schema does not have cannot be read either. Its own message is better than one about a field that the
        // server does not know.
        let schema = adapter.schema()?;
        run.changes.iter().try_for_each(|kind| schema.known(&kind.target.kind).map(drop))?;
        return Err(refusal);
    }
    let (source, owner) = attribution(adapter, &client, &run.source)?;
    let (branch, words) = if adapter.settings.proposed_change {
        let branch = review_branch(run);
        make_branch(&client, &branch, run)?;
        let words = format!("Writing to the branch `{branch}` of Infrahub; `{base}` stays as it is until its proposed change is merged");
        (branch, Some(words))
    } else {
        (base.clone(), None)
    };
    memo::put_as(Lifetime::Run, KEY, &Context { run: run.id.clone(), branch, source, owner })?;
    Ok(words)
}

/// Returns the branch of a run that is reviewed in Infrahub.
fn review_branch(run: &Run) -> String {
    format!("infrahub-sync-{}", run.id)
}

/// Returns the branch from which others are made, and the time; none where the server does not tell.
fn default_branch(client: &Client<'_>) -> Result<(Option<String>, Option<Moment>)> {
    let response = client.query("Branch", "{Branch{name is_default}}", &json!({}), None)?;
    let at = response.date();
    let branches: Vec<Value> = response.get("/data/Branch").unwrap_or_default();
    let default = branches.iter().find(|branch| branch.get("is_default").and_then(Value::as_bool) == Some(true));
    Ok((default.and_then(|branch| Some(branch.get("name")?.as_str()?.to_owned())), at))
}

/// Rejects a run that the token may not write, with all missing permissions.
fn permitted(client: &Client<'_>, run: &Run, branch: &str, to_default: bool) -> Result<()> {
    let mut missing: Vec<String> = Vec::new();
    let changes: Vec<&KindChanges> = run.changes.iter().filter(|kind| kind.creates + kind.updates + kind.deletes > 0).collect();
    for kinds in changes.chunks(KINDS_ASKED) {
        let mut document = String::from("{");
        for kind in kinds {
            // Writing to a String cannot fail.
            let _ = write!(document, "{}(limit:1){{permissions{{edges{{node{{kind create update delete}}}}}}}} ", kind.target.kind);
        }
        document.push('}');
        let data = client.ask("permissions", &document, &json!({}))?;
        for kind in kinds {
            let granted = |what: &str| {
                let decision =
                    data.get(&kind.target.kind)?.get("permissions")?.get("edges")?.get(0)?.get("node")?.get(what)?.as_str()?.to_owned();
                Some(match decision.as_str() {
                    "ALLOW" => true,
                    "ALLOW_DEFAULT" => to_default,
                    "ALLOW_OTHER" => !to_default,
                    _ => false,
                })
            };
            let wanted = [("create", kind.creates), ("update", kind.updates), ("delete", kind.deletes)];
            let lacking: Vec<&str> =
                wanted.iter().filter(|(what, rows)| *rows > 0 && granted(what) == Some(false)).map(|(what, _)| *what).collect();
            if !lacking.is_empty() {
                missing.push(format!("{} `{}`", lacking.join(" and "), kind.target.kind));
            }
        }
    }
    if missing.is_empty() && to_default && !may_edit_default(client) {
        return Err(Error::auth(format!(
            "the token (INFRAHUB_API_TOKEN) may not change the default branch `{branch}`: set `branch` to another one, set \
             `proposed_change: true`, or give its account the global permission `{EDIT_DEFAULT_BRANCH}`"
        )));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let branch = if to_default { format!("`{branch}`") } else { "that branch".to_owned() };
    Err(Error::auth(format!("the token (INFRAHUB_API_TOKEN) may not, on {branch}: {}", missing.join(", "))))
}

/// Says whether the token may write to the default branch. A server that does not tell rejects the first write instead.
fn may_edit_default(client: &Client<'_>) -> bool {
    let document = "{InfrahubPermissions{global_permissions{edges{node{action decision}}}}}";
    let Ok(data) = client.ask("permissions", document, &json!({})) else { return true };
    let edges = data.get("InfrahubPermissions").and_then(|all| all.get("global_permissions")?.get("edges")?.as_array().cloned());
    let Some(edges) = edges else { return true };
    edges.iter().filter_map(|edge| edge.get("node")).any(|node| {
        let action = node.get("action").and_then(Value::as_str).unwrap_or_default();
        let decision = node.get("decision").and_then(|decision| decision.as_str()?.parse::<u8>().ok()).unwrap_or(ON_DEFAULT_BRANCH);
        (action == SUPER_ADMIN || action == EDIT_DEFAULT_BRANCH) && decision & ON_DEFAULT_BRANCH != 0
    })
}

/// Returns the ids of source and owner: the groups in the settings, else the account with the name of the project's source.
///
/// They are always looked up: Infrahub does not check them, and a wrong one makes objects unreadable.
fn attribution(adapter: &Infrahub, client: &Client<'_>, account: &str) -> Result<(Option<String>, Option<String>)> {
    let settings = &adapter.settings;
    let named = |setting: &Option<String>| setting.clone().filter(|name| !name.is_empty());
    let (source, owner) = (named(&settings.source), named(&settings.owner));
    let document = "query($account:[String],$source:[String],$owner:[String]){\
                    account:CoreAccount(name__values:$account){edges{node{id}}} \
                    source:CoreAccountGroup(name__values:$source){edges{node{id}}} \
                    owner:CoreAccountGroup(name__values:$owner){edges{node{id}}}}";
    let one = |name: &Option<String>| json!([name.clone().unwrap_or_default()]);
    let data = client.ask("CoreAccount", document, &json!({ "account": [account], "source": one(&source), "owner": one(&owner) }))?;
    let id = |alias: &str| Some(data.get(alias)?.get("edges")?.get(0)?.get("node")?.get("id")?.as_str()?.to_owned());
    let default = id("account");
    let mut without: Vec<&str> = Vec::new();
    let mut found = |alias: &'static str, name: &Option<String>| {
        let group = name.as_ref().and_then(|_| id(alias));
        if let (Some(name), None) = (name, &group) {
            let instead =
                if default.is_some() { format!("the account `{account}` is used instead") } else { "none is recorded".to_owned() };
            log::warn(&format!("Infrahub has no account group `{name}` (`{alias}` in the settings): {instead}"));
        }
        let id = group.or_else(|| default.clone());
        if id.is_none() && name.is_none() {
            without.push(alias);
        }
        id
    };
    let (source, owner) = (found("source", &source), found("owner", &owner));
    if !without.is_empty() {
        log::warn(&format!(
            "Infrahub has no account `{account}`, so no {} of the written objects is recorded: make the account, or name a group in the settings",
            without.join(" or ")
        ));
    }
    Ok((source, owner))
}

/// Sends a single mutation, which must succeed.
fn mutate(client: &Client<'_>, what: &str, document: &str, variables: &Value) -> Result<Map<String, Value>, Fault> {
    match client.mutate(what, document, variables).map_err(Fault::Failed)? {
        Sent::Answered(Answer { errors, .. }) if !errors.is_empty() => Err(Fault::Refused(errors.into_iter().next().unwrap_or_default())),
        Sent::Answered(Answer { data: Some(data), .. }) => Ok(data),
        Sent::Answered(_) => Err(Fault::Failed(Error::remote(format!("Infrahub's answer for `{what}` has no data")))),
        Sent::Lost(error) => Err(Fault::Lost(error)),
    }
}

/// Makes an object that can be looked up, and returns its id. Tries again when the answer was lost and the object is missing.
fn make(
    client: &Client<'_>,
    name: &str,
    document: &str,
    variables: &Value,
    there: impl Fn() -> Result<Option<String>>,
) -> Result<Result<String, Fault>> {
    let mut again = true;
    loop {
        let fault = match mutate(client, name, document, variables) {
            Ok(data) => {
                let id = data.get(name).and_then(|answer| Some(answer.get("object")?.get("id")?.as_str()?.to_owned()));
                return Ok(Ok(id.unwrap_or_default()));
            }
            Err(fault) => fault,
        };
        if let Some(id) = there()? {
            return Ok(Ok(id));
        }
        if !again || !matches!(fault, Fault::Lost(_)) {
            return Ok(Err(fault));
        }
        again = false;
    }
}

/// The failure of a single mutation.
enum Fault {
    Refused(Refusal),
    Failed(Error),
    /// It may have been executed.
    Lost(Error),
}

impl Fault {
    fn is_denied(&self) -> bool {
        match self {
            Fault::Refused(refusal) => refusal.is("PERMISSION_DENIED"),
            Fault::Failed(error) | Fault::Lost(error) => error.kind == ErrorKind::Auth,
        }
    }

    fn error(self, what: &str) -> Error {
        match self {
            Fault::Refused(refusal) => {
                let error = refusal.error();
                Error { message: format!("{what}: {}", error.message), ..error }
            }
            Fault::Failed(error) | Fault::Lost(error) => Error { message: format!("{what}: {}", error.message), ..error },
        }
    }
}

fn make_branch(client: &Client<'_>, branch: &str, run: &Run) -> Result<()> {
    let document = "mutation($data:BranchCreateInput!){BranchCreate(data:$data,wait_until_completion:true){ok object{id}}}";
    let description = format!("infrahub-sync `{}`, run {}", run.sync, run.id);
    let data = json!({ "data": { "name": branch, "description": description, "sync_with_git": false } });
    // It exists when this run was stopped and is resumed.
    match make(client, "BranchCreate", document, &data, || existing(client, branch))? {
        Ok(_) => Ok(()),
        Err(fault) => Err(fault.error(&format!("the branch `{branch}` cannot be created"))),
    }
}

/// Returns the id of a branch.
fn existing(client: &Client<'_>, branch: &str) -> Result<Option<String>> {
    let data = client.ask("Branch", "query($name:String!){Branch(name:$name){id}}", &json!({ "name": branch }))?;
    Ok(data.get("Branch").and_then(|branches| Some(branches.get(0)?.get("id")?.as_str()?.to_owned())))
}

/// Opens the proposed change of a run that is reviewed in Infrahub.
pub(crate) fn finish(adapter: &Infrahub, run: &Run, result: RunResult) -> Result<Option<String>> {
    if !adapter.settings.proposed_change || !writes(run) {
        return Ok(None);
    }
    let branch = review_branch(run);
    // Unchanged rows may be those of an attempt whose answers were lost.
    if result.created + result.updated + result.deleted + result.unchanged == 0 {
        return Ok(Some(format!("Nothing was written to the branch `{branch}` of Infrahub, so no proposed change is opened")));
    }
    let base = &adapter.settings.branch;
    let client = Client::new(base);
    let document = "mutation($data:CoreProposedChangeCreateInput!){CoreProposedChangeCreate(data:$data){ok object{id}}}";
    // An incomplete run is a draft: it needs a check before it is merged.
    let draft = result.failed + result.skipped > 0;
    let data = json!({ "data": {
        "name": { "value": format!("infrahub-sync {}: run {}", run.sync, run.id) },
        "description": { "value": description(run, result) },
        "source_branch": { "value": branch },
        "destination_branch": { "value": base },
        "is_draft": { "value": draft },
    } });
    let what = format!("all changes are on the branch `{branch}`, but its proposed change cannot be opened");
    let name = "CoreProposedChangeCreate";
    // It exists when the run was applied before.
    let mut opened = make(&client, name, document, &data, || open(&client, &branch))?;
    if opened.as_ref().is_err_and(Fault::is_denied) {
        // A token that may not write to the default branch may write to others: proposed changes belong to no branch.
        opened = make(&Client::new(&branch), name, document, &data, || open(&client, &branch))?;
    }
    let id = opened.map_err(|fault| fault.error(&what))?;
    let kind = if draft { "Draft of a proposed change" } else { "Proposed change" };
    Ok(Some(format!("{kind} for the branch `{branch}`: {}/proposed-changes/{id}", adapter.settings.url.trim_end_matches('/'))))
}

/// Returns the id of the open proposed change of a branch.
fn open(client: &Client<'_>, branch: &str) -> Result<Option<String>> {
    let document = "query($branch:String!){CoreProposedChange(source_branch__value:$branch,state__value:\"open\"){edges{node{id}}}}";
    let data = client.ask("CoreProposedChange", document, &json!({ "branch": branch }))?;
    Ok(data.get("CoreProposedChange").and_then(|list| Some(list.get("edges")?.get(0)?.get("node")?.get("id")?.as_str()?.to_owned())))
}

/// Returns the text that a reviewer reads first.
fn description(run: &Run, result: RunResult) -> String {
    let mut text =
        format!("Run `{}` of `{}`, from `{}`.\n\n| kind | create | update | delete |\n|---|---|---|---|\n", run.id, run.sync, run.source);
    for kind in &run.changes {
        let _ = writeln!(text, "| {} | {} | {} | {} |", kind.target.kind, kind.creates, kind.updates, kind.deletes);
    }
    let RunResult { created, updated, deleted, unchanged, failed, skipped } = result;
    let _ = write!(text, "\n{created} created, {updated} updated, {deleted} deleted");
    for (rows, what) in [(unchanged, "already there"), (failed, "failed"), (skipped, "skipped")] {
        if rows > 0 {
            let _ = write!(text, ", {rows} {what}");
        }
    }
    text.push_str(".\n");
    text
}
