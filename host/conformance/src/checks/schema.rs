//! The kinds of the system.

use std::collections::HashSet;

use infrahub_sync_runtime::{Addressing, FieldType, Kind, Target};
use serde_json::Value;

use super::reading::{PROJECT, RECORD};
use super::{not_carried_out, unknown_target};
use crate::report::{Finding, Verdict};
use crate::sample;
use crate::subject::{Opened, Opening, Subject, Trouble};

/// Copies the project's folder, where the adapter has one.
pub(super) fn folder(subject: &Subject<'_>) -> std::io::Result<tempfile::TempDir> {
    crate::folder_copy(&subject.manifest, &subject.options.settings, &subject.options.project_dir)
}

pub(super) async fn kinds(subject: &Subject<'_>) -> Verdict {
    if !subject.manifest.schema {
        return Verdict::not_applicable("it does not know the kinds of its system");
    }
    if subject.manifest.address_setting.is_some() && subject.stage.is_empty() {
        return Verdict::not_checked(RECORD);
    }
    let folder = match folder(subject) {
        Ok(folder) => folder,
        Err(error) => return Verdict::not_checked(format!("a temporary folder cannot be made: {error}")),
    };
    let addressing = super::addressing(&subject.manifest);
    let targets = match all_targets(subject) {
        Ok(targets) => targets,
        Err(verdict) => return verdict,
    };
    let opening = Opening { folder: Some(folder.path()), ..Opening::new(super::settings::role(subject)) };
    let tried = async {
        let opened = subject.open(&opening).await?;
        let all = opened.kinds(&targets).await?;
        let mut findings = inconsistent(&all, subject.stage.is_recorded() || addressing == Addressing::Mapping);
        findings.extend(asked_again(&opened, &targets, addressing, &all).await?);
        Ok::<_, Trouble>((findings, all.len()))
    };
    match tried.await {
        Ok((findings, count)) => Verdict::of(findings, format!("{count} kinds")),
        Err(trouble) => not_carried_out(&trouble).unwrap_or_else(|| {
            let remedy = "`kinds` returns all kinds for an empty list of targets, and leaves out targets that it does not know";
            Verdict::of(vec![Finding::new(trouble.shown(), remedy)], "")
        }),
    }
}

/// Returns the targets whose kinds are the whole schema: no targets where the system is addressed by kind, or else those of the project.
pub(super) fn all_targets(subject: &Subject<'_>) -> Result<Vec<Target>, Verdict> {
    let targets = super::targets(subject.options);
    match super::addressing(&subject.manifest) {
        Addressing::Kind => Ok(Vec::new()),
        Addressing::Mapping if targets.is_empty() => Err(Verdict::not_checked(PROJECT)),
        Addressing::Mapping => Ok(targets),
    }
}

/// Asks for the same again, for one target alone, and for one that does not exist.
async fn asked_again(opened: &Opened<'_, '_>, targets: &[Target], addressing: Addressing, all: &[Kind]) -> Result<Vec<Finding>, Trouble> {
    let mut findings = Vec::new();
    opened.renew();
    let again = opened.kinds(targets).await?;
    let changed = |kind: &&Kind| again.iter().find(|other| other.name == kind.name) != Some(kind);
    if again.len() != all.len() || all.iter().any(|kind| changed(&kind)) {
        findings.push(Finding::new(
            "a new instance returns another schema",
            "the schema depends on the system alone: a changed one stops `apply`",
        ));
    }
    let unknown = unknown_target(addressing);
    if let Some(kind) = opened.kinds(std::slice::from_ref(&unknown)).await?.first() {
        findings.push(Finding::new(
            format!("asked for the kind `{}`, it returns `{}`", unknown.kind, kind.name),
            "leave out a target that the system does not have",
        ));
    }
    let first = match targets.first() {
        Some(target) => Some((target.clone(), all.iter().find(|kind| kind.name == target.kind))),
        None => all.first().map(|kind| (sample::of_kind(kind), Some(kind))),
    };
    if let Some((target, expected)) = first {
        let one = opened.kinds(std::slice::from_ref(&target)).await?;
        if one.iter().ne(expected) {
            findings.push(Finding::new(
                format!("asked for `{}` alone, it returns {} kinds, or another `{}`", target.kind, one.len(), target.kind),
                "return the kinds of the targets, each as in the whole schema",
            ));
        }
    }
    Ok(findings)
}

/// Returns the contradictions in a schema. One that is recorded, or limited to a project's targets, may lack peers.
fn inconsistent(kinds: &[Kind], recorded: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wrong = |happened: String, remedy: &str| findings.push(Finding::new(happened, remedy));
    let mut names = HashSet::new();
    let stood_for: HashSet<&str> = kinds.iter().flat_map(|kind| kind.stands_for.iter().map(String::as_str)).collect();
    for kind in kinds {
        if kind.name.trim().is_empty() || !names.insert(kind.name.as_str()) {
            wrong(format!("the kind `{}` is there twice, or has no name", kind.name), "each kind once, by the name that a mapping uses");
        }
    }
    for kind in kinds {
        let name = &kind.name;
        let mut fields = HashSet::new();
        for field in &kind.fields {
            if field.name.trim().is_empty() || !fields.insert(field.name.as_str()) {
                wrong(format!("the field `{}` of `{name}` is there twice, or has no name", field.name), "each field once");
            }
            let refers = matches!(field.field_type, FieldType::Reference | FieldType::ReferenceList);
            if !refers && !field.references.is_empty() {
                wrong(
                    format!("`{}` of `{name}` names peers and is not a reference", field.name),
                    "give it the type `reference` or `reference-list`, or remove the peers",
                );
            }
            if refers && field.references.is_empty() {
                wrong(format!("the reference `{}` of `{name}` names no kind", field.name), "name the kinds of its peers");
            }
            let is_known = |peer: &str| recorded || names.contains(peer) || stood_for.contains(peer);
            if let Some(peer) = field.references.iter().find(|peer| refers && !is_known(peer)) {
                wrong(
                    format!("`{}` of `{name}` refers to `{peer}`, which is not a kind of the schema", field.name),
                    "a reference names kinds, or generic ones that kinds stand for",
                );
            }
            if let Some(default) = field.default.as_ref().filter(|default| serde_json::from_str::<Value>(default).is_err()) {
                wrong(format!("the default {default:?} of `{}` of `{name}` is not JSON", field.name), "write it as JSON: a text in quotes");
            }
        }
        if let Some(stranger) = kind.identifiers.iter().find(|identifier| !fields.contains(identifier.as_str())) {
            wrong(format!("the identifier `{stranger}` of `{name}` is not one of its fields"), "identifiers are fields");
        }
    }
    findings
}
