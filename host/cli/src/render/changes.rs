//! The changes from one version of an adapter to another: its new abilities first, then its settings, then facts.

use std::collections::BTreeSet;
use std::io::{self, Write};

use infrahub_sync_runtime::{Manifest, Setting};
use serde::Serialize;

use super::inspect::{Inspected, addressing_word, credential_words, form_of_reading, type_word};
use super::output::write_document;
use super::words::size;
use crate::escape::Escaped;

/// The changes, a line each.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Its new and lost abilities, and another publisher.
    pub(crate) abilities: Vec<String>,
    /// The settings that a project may have to change.
    pub(crate) settings: Vec<String>,
    /// Versions, sizes and texts.
    pub(crate) facts: Vec<String>,
}

impl Changes {
    /// Compares two adapters.
    pub(crate) fn new(old: &Inspected<'_>, new: &Inspected<'_>) -> Changes {
        Changes { abilities: abilities(old, new), settings: settings(old.manifest, new.manifest), facts: facts(old, new) }
    }
}

fn abilities(old: &Inspected<'_>, new: &Inspected<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if old.publisher != new.publisher {
        let shown = |publisher: &Option<String>| publisher.clone().unwrap_or_else(|| "none".to_owned());
        lines.push(format!("publisher: {} → {}", shown(&old.publisher), shown(&new.publisher)));
    }
    let (before, after) = (old.manifest, new.manifest);
    let mut lists = |old: BTreeSet<String>, new: BTreeSet<String>| {
        lines.extend(new.difference(&old).map(|line| format!("+ {line}")));
        lines.extend(old.difference(&new).map(|line| format!("- {line}")));
    };
    let set = |lines: Vec<String>| lines.into_iter().collect::<BTreeSet<String>>();
    let credentials = |manifest: &Manifest| {
        set(manifest.credentials.iter().map(|credential| format!("sends credentials {}", credential_words(credential))).collect())
    };
    lists(credentials(before), credentials(after));
    let secrets = |manifest: &Manifest| {
        let secrets = manifest.settings.iter().filter(|setting| setting.secret);
        set(secrets.map(|setting| format!("has the secret `{}`", setting.name)).collect())
    };
    lists(secrets(before), secrets(after));
    let seen = |manifest: &Manifest| {
        let plain = manifest.settings.iter().filter(|setting| !setting.secret);
        set(plain.flat_map(|setting| &setting.environment).map(|variable| format!("sees the environment variable {variable}")).collect())
    };
    lists(seen(before), seen(after));
    let posts = |manifest: &Manifest| set(manifest.reading_paths.iter().map(form_of_reading).collect());
    lists(posts(before), posts(after));
    let reach = |manifest: &Manifest| {
        let address = manifest.address_setting.as_ref().map(|name| format!("sends HTTP requests to the origin in `{name}`"));
        let folder = manifest.folder_setting.as_ref().map(|name| format!("uses the files of the folder in `{name}`"));
        let source = manifest.source.map(|addressing| format!("can be a source, addressed by {}", addressing_word(addressing)));
        let destination =
            manifest.destination.map(|addressing| format!("can be a destination, addressed by {}", addressing_word(addressing)));
        set([address, folder, source, destination].into_iter().flatten().collect())
    };
    lists(reach(before), reach(after));
    let imports = |inspected: &Inspected<'_>| set(inspected.imports.iter().map(|import| format!("imports {import}")).collect());
    lists(imports(old), imports(new));
    lines
}

fn settings(old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut lines = Vec::new();
    for setting in &new.settings {
        let Setting { name, required, default, .. } = setting;
        let word = type_word(setting.setting_type);
        let Some(before) = old.setting(name) else {
            lines.push(format!("+ `{name}`, {word}{}", if *required { ", required" } else { "" }));
            continue;
        };
        if before.required != *required {
            lines.push(format!("`{name}` is {}", if *required { "required now" } else { "no longer required" }));
        }
        if before.setting_type != setting.setting_type {
            lines.push(format!("`{name}`: {} → {word}", type_word(before.setting_type)));
        }
        if before.default != *default {
            let shown = |default: &Option<String>| default.as_ref().map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
            lines.push(format!("default of `{name}`: {} → {}", shown(&before.default), shown(default)));
        }
    }
    lines.extend(old.settings.iter().filter(|setting| new.setting(&setting.name).is_none()).map(|setting| format!("- `{}`", setting.name)));
    lines
}

fn facts(old: &Inspected<'_>, new: &Inspected<'_>) -> Vec<String> {
    let text = |inspected: &Inspected<'_>, label: &str| {
        inspected.about.iter().find(|(known, _)| *known == label).map_or_else(|| "none".to_owned(), |(_, text)| text.clone())
    };
    let mut pairs = vec![
        ("adapter", old.manifest.name.clone(), new.manifest.name.clone()),
        ("version", old.manifest.version.clone(), new.manifest.version.clone()),
        ("contract", old.contract.to_owned(), new.contract.to_owned()),
        ("digest", old.digest.clone(), new.digest.clone()),
        ("size", size(old.bytes), size(new.bytes)),
    ];
    for (name, label) in [("licence", "Licence"), ("homepage", "Homepage"), ("source", "Source"), ("authors", "Authors")] {
        pairs.push((name, text(old, label), text(new, label)));
    }
    pairs.into_iter().filter(|(_, old, new)| old != new).map(|(name, old, new)| format!("{name}: {old} → {new}")).collect()
}

/// Writes the changes.
pub(crate) fn text(out: &mut impl Write, changes: &Changes) -> io::Result<()> {
    let mut first = true;
    for (heading, lines) in [("Abilities", &changes.abilities), ("Settings", &changes.settings), ("Facts", &changes.facts)] {
        if lines.is_empty() {
            continue;
        }
        if !std::mem::take(&mut first) {
            writeln!(out)?;
        }
        writeln!(out, "{heading}")?;
        lines.iter().try_for_each(|line| writeln!(out, "  {}", Escaped(line)))?;
    }
    if first { writeln!(out, "The adapters are the same") } else { Ok(()) }
}

/// Writes one JSON document.
pub(crate) fn json(out: &mut impl Write, changes: &Changes) -> io::Result<()> {
    write_document(out, changes)
}
