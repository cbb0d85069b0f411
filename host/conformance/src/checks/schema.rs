//! The kinds of the system.

use std::collections::HashSet;

use infrahub_sync_runtime::{FieldType, Kind};
use serde_json::Value;

use super::reading::RECORD;
use super::{UNKNOWN_KIND, not_carried_out};
use crate::report::{Finding, Verdict};
use crate::subject::{Opened, Opening, Subject, Trouble};

/// The project's folder, copied, where the adapter has one.
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
    let opening = Opening { folder: Some(folder.path()), ..Opening::new(super::settings::role(subject)) };
    let tried = async {
        let opened = subject.open(&opening).await?;
        let all = opened.kinds(&[]).await?;
        let mut findings = inconsistent(&all, subject.stage.is_recorded());
        findings.extend(asked_again(&opened, &all).await?);
        Ok::<_, Trouble>((findings, all.len()))
    };
    match tried.await {
        Ok((findings, count)) => Verdict::of(findings, format!("{count} kinds")),
        Err(trouble) => not_carried_out(&trouble).unwrap_or_else(|| {
            let remedy = "`kinds` answers all kinds to an empty list of names, and leaves out names that it does not know";
            Verdict::of(vec![Finding::new(trouble.shown(), remedy)], "")
        }),
    }
}

/// The same again, one alone, and one that is not there.
async fn asked_again(opened: &Opened<'_, '_>, all: &[Kind]) -> Result<Vec<Finding>, Trouble> {
    let mut findings = Vec::new();
    opened.renew();
    let again = opened.kinds(&[]).await?;
    let changed = |kind: &&Kind| again.iter().find(|other| other.name == kind.name) != Some(kind);
    if again.len() != all.len() || all.iter().any(|kind| changed(&kind)) {
        findings.push(Finding::new(
            "asked again, a new instance answers with another schema",
            "the schema depends on the system alone: a changed one stops `apply`",
        ));
    }
    let unknown = opened.kinds(&[UNKNOWN_KIND.to_owned()]).await?;
    if let Some(kind) = unknown.first() {
        findings.push(Finding::new(
            format!("asked for the kind `{UNKNOWN_KIND}`, it answers with `{}`", kind.name),
            "a name that the system does not have is left out",
        ));
    }
    if let Some(first) = all.first() {
        let one = opened.kinds(std::slice::from_ref(&first.name)).await?;
        if one.as_slice() != std::slice::from_ref(first) {
            findings.push(Finding::new(
                format!("asked for `{}` alone, it answers with {} kinds, or with another `{}`", first.name, one.len(), first.name),
                "answer with the kinds that are named, each as in the whole schema",
            ));
        }
    }
    Ok(findings)
}

/// What does not fit together. Recorded schemas are shortened to what their project uses: peers may be missing there.
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
            match &field.reference {
                Some(_) if !refers => wrong(
                    format!("`{}` of `{name}` names a peer and is no reference", field.name),
                    "give it the type `reference` or `reference-list`, or take the peer away",
                ),
                None if refers => wrong(format!("the reference `{}` of `{name}` names no kind", field.name), "name the kind of its peers"),
                Some(peer) if !recorded && !names.contains(peer.as_str()) && !stood_for.contains(peer.as_str()) => wrong(
                    format!("`{}` of `{name}` refers to `{peer}`, which is no kind of the schema", field.name),
                    "a reference names a kind, or a generic one that kinds stand for",
                ),
                _ => {}
            }
            if let Some(default) = field.default.as_ref().filter(|default| serde_json::from_str::<Value>(default).is_err()) {
                wrong(format!("the default {default:?} of `{}` of `{name}` is no JSON", field.name), "write it as JSON: a text in quotes");
            }
        }
        if let Some(stranger) = kind.identifiers.iter().find(|identifier| !fields.contains(identifier.as_str())) {
            wrong(format!("the identifier `{stranger}` of `{name}` is no field of it"), "identifiers are fields");
        }
    }
    findings
}
