//! The keys of a whole `config.yml`. Checks that need two places at once are in [`super::check`].

use std::path::{Path, PathBuf};

use super::ownership::{Owned, REACH_KEYS, Reaches, ownership};
use super::rules::{APPLY_KEYS, INCREMENTAL_KEYS};
use super::{ApplyRules, Endpoint, Environment, Flags, Incremental, Mapping, Project, Trust, check, endpoint, flags, mapping, trust};
use crate::decode::{Decoder, Key, names};
use crate::load::{Data, Entry, Node};
use crate::problem::{Document, Problem, Severity, Span};

#[derive(Default)]
struct Draft {
    name: Option<String>,
    source: Option<Endpoint>,
    destination: Option<Endpoint>,
    adapters_path: Vec<PathBuf>,
    store: bool,
    order: Vec<(String, Span)>,
    delete_along: Vec<String>,
    schema_mapping: Vec<Mapping>,
    /// How many mappings the file has; those without a name are not decoded.
    mappings: usize,
    flags: Flags,
    incremental: Incremental,
    apply: ApplyRules,
    ownership: Option<Owned>,
    reaches: Reaches,
    trust: Trust,
}

/// The keys of the whole file but for those of [`ApplyRules`] and [`Reaches`]. `description` has no meaning for a run; projects have one.
const KEYS: [Key<Draft>; 13] = [
    Key::required("name", |decoder, node, path, draft| draft.name = sync_name(decoder, node, path)),
    Key::optional("description", |decoder, node, path, _| _ = decoder.text(node, path)),
    Key::required("source", |decoder, node, path, draft| draft.source = endpoint::endpoint(decoder, node, path)),
    Key::required("destination", |decoder, node, path, draft| draft.destination = endpoint::endpoint(decoder, node, path)),
    Key::optional("adapters_path", |decoder, node, path, draft| {
        draft.adapters_path = decoder.each(node, path, Decoder::text_at).into_iter().map(|(folder, _)| PathBuf::from(folder)).collect();
    }),
    Key::optional("store", store),
    Key::optional("order", |decoder, node, path, draft| draft.order = decoder.each(node, path, Decoder::text_at)),
    Key::optional("delete_along", |decoder, node, path, draft| {
        draft.delete_along = decoder.each(node, path, Decoder::text_at).into_iter().map(|(kind, _)| kind).collect();
    }),
    Key::optional("schema_mapping", |decoder, node, path, draft| {
        draft.mappings = decoder.list(node, path).len();
        draft.schema_mapping = decoder.each(node, path, mapping::mapping);
    }),
    Key::optional("ownership", |decoder, node, path, draft| draft.ownership = ownership(decoder, node, path)),
    Key::optional("diffsync_flags", |decoder, node, path, draft| draft.flags = flags::flags(decoder, node, path)),
    Key::optional("trust", |decoder, node, path, draft| draft.trust = trust::trust(decoder, node, path)),
    Key::optional("incremental", |decoder, node, path, draft| drop(decoder.fill(node, path, &INCREMENTAL_KEYS, &mut draft.incremental))),
];

/// Decodes a tree. The project is there as soon as nothing that it needs is missing; problems say whether it may be used.
///
/// `unset`: what a variable is that the environment does not have.
pub(super) fn decode(
    document: &Document,
    tree: &Node,
    environment: Option<&Environment<'_>>,
    unset: Severity,
) -> (Option<Project>, Vec<Problem>) {
    let mut decoder = Decoder { environment, unset, ..Decoder::new(document) };
    let project = project(&mut decoder, tree);
    (project, decoder.problems)
}

/// Returns the sync's name, where the tree has one: a broken project is still found by its name.
pub(crate) fn name_of(tree: &Node) -> Option<&str> {
    let Data::Map(entries) = &tree.data else {
        return None;
    };
    match &entries.iter().find(|entry| entry.key == "name")?.value.data {
        Data::Text(name) => Some(name),
        _ => None,
    }
}

fn project(decoder: &mut Decoder<'_>, tree: &Node) -> Option<Project> {
    if let Data::Map(entries) = &tree.data {
        let ours = |entry: &Entry| matches!(entry.key.as_str(), "source" | "destination" | "schema_mapping");
        if !entries.iter().any(ours) {
            // Some other program's config.yml: one sentence says more than a list of its keys.
            let hint = "a project has the keys `name`, `source`, `destination` and `schema_mapping`";
            decoder.error_hint(tree.span, "", "this file is not a project of infrahub-sync", hint);
            return None;
        }
    }
    let mut draft = Draft::default();
    let known: Vec<&str> = names(&KEYS).chain(names(&APPLY_KEYS)).chain(names(&REACH_KEYS)).collect();
    let record = decoder.record(tree, "", &known)?;
    decoder.read(&record, &KEYS, &mut draft);
    decoder.read(&record, &APPLY_KEYS, &mut draft.apply);
    decoder.read(&record, &REACH_KEYS, &mut draft.reaches);
    let mapped = record.get_or_null("schema_mapping");
    let empty = mapped.is_none_or(|node| match &node.data {
        Data::List(items) => items.is_empty(),
        data => matches!(data, Data::Null),
    });
    if empty {
        let span = mapped.map_or(record.span, |node| node.span);
        let hint = "map at least one kind: `- {name: …, mapping: …, identifiers: […], fields: […]}`";
        decoder.error_hint(span, "schema_mapping", "nothing is mapped", hint);
    }
    if record.get_or_null("deletes").is_some() {
        // Who says which objects may be deleted knows that some may.
        decoder.problems.retain(|problem| problem.severity != Severity::Warning || problem.path != "diffsync_flags");
    }
    // The name of a mapping that could not be decoded is unknown, and so are the kinds that are not mapped.
    let complete = draft.mappings == draft.schema_mapping.len();
    let (order, order_spans): (Vec<_>, Vec<_>) = draft.order.into_iter().unzip();
    check::check(decoder, &draft.schema_mapping, complete, &order, &order_spans);
    let file = decoder.document.file();
    let directory = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(Project {
        name: draft.name?,
        source: draft.source?,
        destination: draft.destination?,
        adapters_path: draft.adapters_path,
        store: draft.store,
        order,
        delete_along: draft.delete_along,
        schema_mapping: draft.schema_mapping,
        flags: draft.flags,
        incremental: draft.incremental,
        apply: draft.apply,
        ownership: draft.ownership,
        reaches: draft.reaches,
        trust: draft.trust,
        directory: directory.to_owned(),
        file: file.to_owned(),
        warnings: Vec::new(),
        document: decoder.document.clone(),
    })
}

/// Returns whether a name can be that of a file or a folder.
pub(super) fn is_plain_name(name: &str) -> bool {
    !matches!(name, "." | "..") && !name.contains(['/', '\\']) && !name.chars().any(char::is_control)
}

/// Decodes the sync's name. It becomes a folder of the cache, so it must be one plain path segment.
fn sync_name(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<String> {
    let name = decoder.text(node, path)?;
    if !is_plain_name(name) {
        let message = format!("the sync's name `{}` cannot be the name of a folder", name.escape_debug());
        decoder.error_hint(node.span, path, message, "leave out `/`, `\\` and control characters, as in `from-netbox`");
        return None;
    }
    Some(name.to_owned())
}

/// Decodes `store:`, which is ignored with a warning.
fn store(decoder: &mut Decoder<'_>, node: &Node, path: &str, draft: &mut Draft) {
    const KEYS: [Key<()>; 2] = [
        Key::required("type", |decoder, node, path, ()| _ = decoder.text(node, path)),
        Key::optional("settings", |decoder, node, path, ()| _ = decoder.map(node, path)),
    ];
    draft.store = decoder.fill(node, path, &KEYS, &mut ()).is_some();
    if draft.store {
        let hint = "remove it: objects are compared in memory, no store is needed";
        decoder.report(Severity::Warning, node.span, path, "`store` has no effect here", Some(hint.to_owned()));
    }
}
