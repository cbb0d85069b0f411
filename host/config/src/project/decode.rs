//! From the tree of a `config.yml` to a [`Project`]: types, keys and names, one place at a time.
//!
//! Checks that need two places at once are in [`super::check`].

use std::path::{Path, PathBuf};

use infrahub_sync_core::guardrail::DeleteLimit;
use infrahub_sync_core::mapping::filter::{Filter, OPERATIONS};
use infrahub_sync_core::mapping::transform::Transforms;

use super::{
    AdapterLocation, ApplyRules, Endpoint, Environment, Field, FieldSource, FilterConfig, Flags, Incremental, Mapping, Pin, Project,
    TransformConfig, abilities, check, variables,
};
use crate::decode::{Decoder, Record, suggest};
use crate::load::{Data, Entry, Node};
use crate::problem::{Document, Problem, Severity, Span};

/// The keys of the whole file. `description` means nothing to a run, but projects have one.
const PROJECT_KEYS: [&str; 13] = [
    "name",
    "description",
    "source",
    "destination",
    "adapters_path",
    "store",
    "order",
    "schema_mapping",
    "diffsync_flags",
    "incremental",
    "on_conflict",
    "max_deletes",
    "max_failures",
];

/// Decodes a tree. The project is there as soon as nothing that it needs is missing; problems say whether it may be used.
pub(super) fn decode(document: &Document, tree: &Node, environment: Option<&Environment<'_>>) -> (Option<Project>, Vec<Problem>) {
    let mut decoder = Decoder::new(document);
    let project = project(&mut decoder, tree, environment);
    (project, decoder.problems)
}

/// The sync's name, where the tree has one: a broken project is still found by its name.
pub(crate) fn name_of(tree: &Node) -> Option<&str> {
    let Data::Map(entries) = &tree.data else {
        return None;
    };
    match &entries.iter().find(|entry| entry.key == "name")?.value.data {
        Data::Text(name) => Some(name),
        _ => None,
    }
}

fn project(decoder: &mut Decoder<'_>, tree: &Node, environment: Option<&Environment<'_>>) -> Option<Project> {
    if let Data::Map(entries) = &tree.data {
        let ours = |entry: &Entry| matches!(entry.key.as_str(), "source" | "destination" | "schema_mapping");
        if !entries.iter().any(ours) {
            // Some other program's config.yml: one sentence says more than a list of its keys.
            let hint = "a project has the keys `name`, `source`, `destination` and `schema_mapping`";
            decoder.error_hint(tree.span, "", "this file is no project of infrahub-sync", hint);
            return None;
        }
    }
    let record = decoder.record(tree, "", &PROJECT_KEYS)?;
    if let Some(description) = record.get("description") {
        decoder.text(description, "description");
    }
    let name = sync_name(decoder, &record);
    let source = endpoint(decoder, &record, "source", environment);
    let destination = endpoint(decoder, &record, "destination", environment);
    let adapters_path = decoder.texts(&record, "adapters_path").into_iter().map(|(path, _)| PathBuf::from(path)).collect();
    let store = store(decoder, &record);
    let (order, order_spans): (Vec<_>, Vec<_>) = decoder.texts(&record, "order").into_iter().unzip();
    let schema_mapping = schema_mapping(decoder, &record);
    // With a mapping whose name is missing, nobody can say which kinds are not mapped.
    let complete = decoder.items_quietly(&record, "schema_mapping").len() == schema_mapping.len();
    check::check(decoder, &schema_mapping, complete, &order, &order_spans);
    let flags = flags(decoder, &record);
    let incremental = incremental(decoder, &record);
    let apply = apply_rules(decoder, &record);
    let file = decoder.document.file();
    let directory = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(Project {
        name: name?,
        source: source?,
        destination: destination?,
        adapters_path,
        store,
        order,
        schema_mapping,
        flags,
        incremental,
        apply,
        directory: directory.to_owned(),
        file: file.to_owned(),
        warnings: Vec::new(),
        document: decoder.document.clone(),
    })
}

/// The name becomes a folder of the cache: it must be one plain path segment.
fn sync_name(decoder: &mut Decoder<'_>, record: &Record<'_>) -> Option<String> {
    let (name, span) = decoder.required_text(record, "name")?;
    let plain = !matches!(name, "." | "..") && !name.contains(['/', '\\']) && !name.chars().any(char::is_control);
    if !plain {
        let message = format!("the sync's name `{}` is no plain name for a folder", name.escape_debug());
        decoder.error_hint(span, record.at("name"), message, "leave out `/`, `\\` and control characters, as in `from-netbox`");
        return None;
    }
    Some(name.to_owned())
}

fn endpoint(decoder: &mut Decoder<'_>, project: &Record<'_>, key: &str, environment: Option<&Environment<'_>>) -> Option<Endpoint> {
    let node = decoder.required(project, key)?;
    let record = decoder.record(node, key, &["name", "adapter", "digest", "settings", "limits", "grants"])?;
    let name = decoder.required_text(&record, "name");
    let adapter = decoder.optional_text(&record, "adapter");
    let adapter = adapter.and_then(|(text, span)| adapter_location(decoder, text, span, &record));
    let digest = decoder.optional_text(&record, "digest");
    let digest = digest.and_then(|(text, span)| pin(decoder, text, span, record.at("digest")));
    let path = record.at("settings");
    let settings = match record.get("settings") {
        Some(node) => decoder.map(node, &path).map(|entries| variables::settings(decoder, entries, &path, environment)),
        None => None,
    };
    let limits = abilities::limits(decoder, &record);
    let grants = abilities::grants(decoder, &record);
    Some(Endpoint { name: name?.0.to_owned(), adapter, digest, settings: settings.unwrap_or_default(), limits, grants, span: node.span })
}

/// Reads `digest:`.
fn pin(decoder: &mut Decoder<'_>, text: &str, span: Span, path: String) -> Option<Pin> {
    let digest = sha256(text);
    if digest.is_none() {
        let hint = "`infrahub-sync adapter inspect` shows the digest of a component";
        decoder.error_hint(span, path, "a digest is `sha256:` and 64 hexadecimal digits", hint);
    }
    Some(Pin { digest: digest?, span })
}

/// A digest as it is written down, in lower case; none where the text is no digest.
pub(crate) fn sha256(text: &str) -> Option<String> {
    let digits = text.strip_prefix("sha256:")?;
    (digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

/// Reads `adapter:`; Python's forms are explained, because projects that exist use them.
fn adapter_location(decoder: &mut Decoder<'_>, text: &str, span: Span, record: &Record<'_>) -> Option<AdapterLocation> {
    let path = record.at("adapter");
    let is_path = text.contains(['/', '\\']);
    // A Windows drive's colon is followed by a separator; Python's class name is not.
    let class = text.rsplit_once(':').filter(|(_, class)| !class.contains(['/', '\\']));
    let file = class.map_or(text, |(file, _)| file);
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    if class.is_none() && extension == Some("wasm") {
        return Some(AdapterLocation::Component(text.into()));
    }
    let dotted_module = !is_path && file.contains('.') && !file.starts_with('.');
    if class.is_some() || extension == Some("py") || dotted_module {
        let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or("adapter");
        let stem = if extension == Some("py") { stem } else { file.rsplit(['.', '/']).next().unwrap_or(stem) };
        let message = format!("`{text}` is Python code, which this program cannot load");
        let hint = format!(
            "adapters are WebAssembly components here: `infrahub-sync adapter new {} --language python` makes the folder of one; build \
             it, put it beside this file and write `adapter: ./{stem}.wasm`",
            stem.replace('_', "-")
        );
        decoder.error_hint(span, path, message, hint);
        return None;
    }
    Some(if is_path || text.starts_with('.') { AdapterLocation::Folder(text.into()) } else { AdapterLocation::Name(text.into()) })
}

fn store(decoder: &mut Decoder<'_>, project: &Record<'_>) -> bool {
    let Some(node) = project.get("store") else {
        return false;
    };
    let Some(record) = decoder.record(node, "store", &["type", "settings"]) else {
        return false;
    };
    decoder.required_text(&record, "type");
    if let Some(settings) = record.get("settings") {
        decoder.map(settings, "store.settings");
    }
    let hint = "remove it: objects are compared in memory, no store is needed";
    decoder.report(Severity::Warning, node.span, "store", "`store` has no effect here", Some(hint.to_owned()));
    true
}

fn incremental(decoder: &mut Decoder<'_>, project: &Record<'_>) -> Incremental {
    let mut incremental = Incremental::default();
    let Some(node) = project.get("incremental") else {
        return incremental;
    };
    let Some(record) = decoder.record(node, "incremental", &["full_resync_every"]) else {
        return incremental;
    };
    let every = record.get("full_resync_every").and_then(|node| decoder.count(node, "incremental.full_resync_every"));
    if let Some(every) = every {
        incremental.full_resync_every = every;
    }
    incremental
}

fn apply_rules(decoder: &mut Decoder<'_>, project: &Record<'_>) -> ApplyRules {
    let mut rules = ApplyRules::default();
    if let Some((text, span)) = decoder.optional_text(project, "on_conflict") {
        match text.parse() {
            Ok(value) => rules.on_conflict = value,
            Err(message) => {
                decoder.error_hint(span, "on_conflict", message, "without it, what somebody has changed is left alone: `refuse`")
            }
        }
    }
    if let Some(node) = project.get("max_deletes") {
        let text = match &node.data {
            Data::Text(text) => text.clone(),
            Data::Number(number) => number.to_string(),
            _ => String::new(),
        };
        match text.parse::<DeleteLimit>() {
            Ok(limit) => rules.max_deletes = Some(limit),
            Err(message) => decoder.error_hint(node.span, "max_deletes", message, "write `max_deletes: 100` or `max_deletes: 20%`"),
        }
    }
    rules.max_failures = project.get("max_failures").and_then(|node| decoder.count(node, "max_failures")).map(u64::from);
    rules
}

/// Every flag of `diffsync_flags`: its name, its number in diffsync, and what it forbids (create, update, delete).
///
/// Those that forbid nothing are diffsync's too, and mean nothing here.
const FLAGS: [(&str, Option<u64>, [bool; 3]); 7] = [
    ("NONE", Some(0), [false, false, false]),
    ("CONTINUE_ON_FAILURE", Some(1), [false, false, false]),
    ("SKIP_UNMATCHED_SRC", Some(2), [true, false, false]),
    ("SKIP_UNMATCHED_DST", Some(4), [false, false, true]),
    ("SKIP_UNMATCHED_BOTH", Some(6), [true, false, true]),
    ("LOG_UNCHANGED_RECORDS", Some(8), [false, false, false]),
    ("SKIP_MODIFIED", None, [false, true, false]),
];

fn flags(decoder: &mut Decoder<'_>, project: &Record<'_>) -> Flags {
    let items = decoder.items(project, "diffsync_flags");
    if items.is_empty() {
        return Flags::default();
    }
    let mut flags = Flags { create: true, update: true, delete: true };
    let mut understood = true;
    for (index, item) in items.iter().enumerate() {
        let path = format!("diffsync_flags[{index}]");
        let found = match &item.data {
            Data::Text(name) => FLAGS.iter().find(|(known, ..)| known == name),
            Data::Number(number) => number.as_u64().and_then(|number| FLAGS.iter().find(|(_, value, _)| *value == Some(number))),
            _ => None,
        };
        let Some((name, _, [create, update, delete])) = found else {
            understood = false;
            let names = FLAGS.iter().map(|(name, ..)| *name);
            match &item.data {
                Data::Text(name) => {
                    let hint = suggest(name, names, "known flags");
                    decoder.report(Severity::Error, item.span, path, format!("unknown flag `{name}`"), hint);
                }
                _ => decoder.expected("the name of a flag", item, &path, None),
            }
            continue;
        };
        if *name == "LOG_UNCHANGED_RECORDS" {
            decoder.report(Severity::Warning, item.span, path, format!("the flag `{name}` has no effect here"), None);
        }
        flags.create &= !create;
        flags.update &= !update;
        flags.delete &= !delete;
    }
    if flags.delete && understood {
        let message = "these flags replace the default `SKIP_UNMATCHED_DST`: objects that only the destination has will be deleted";
        let span = project.get("diffsync_flags").map_or(project.span, |node| node.span);
        let hint = "add `SKIP_UNMATCHED_DST` to keep them".to_owned();
        decoder.report(Severity::Warning, span, "diffsync_flags", message, Some(hint));
    }
    flags
}

fn schema_mapping(decoder: &mut Decoder<'_>, project: &Record<'_>) -> Vec<Mapping> {
    let items = decoder.items(project, "schema_mapping");
    if items.is_empty() {
        let nothing_else = match project.get("schema_mapping") {
            Some(node) => matches!(node.data, Data::List(_)).then_some(node.span),
            None => Some(project.get_or_null("schema_mapping").map_or(project.span, |node| node.span)),
        };
        if let Some(span) = nothing_else {
            let hint = "map at least one kind: `- {name: …, mapping: …, identifiers: […], fields: […]}`";
            decoder.error_hint(span, "schema_mapping", "nothing is mapped", hint);
        }
    }
    let mappings = items.iter().enumerate();
    mappings.filter_map(|(index, node)| mapping(decoder, node, &format!("schema_mapping[{index}]"))).collect()
}

fn mapping(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Mapping> {
    let record = decoder.record(node, path, &["name", "mapping", "identifiers", "filters", "transforms", "fields"])?;
    let name = decoder.required_text(&record, "name");
    let resource = resource(decoder, &record);
    let identifiers = decoder.texts(&record, "identifiers");
    let filters = each(decoder, &record, "filters", filter);
    let transforms = each(decoder, &record, "transforms", transform);
    let fields = each(decoder, &record, "fields", field);
    let no_fields = record.get("fields").is_none_or(|node| matches!(&node.data, Data::List(items) if items.is_empty()));
    if no_fields {
        let span = name.map_or(node.span, |(_, span)| span);
        let hint = "name them: `fields: [{name: …, mapping: …}]`";
        decoder.error_hint(span, record.at("fields"), "this mapping has no fields", hint);
    }
    let fields = without_repeats(decoder, fields);
    let (name, span) = name?;
    let (identifiers, identifier_spans): (Vec<_>, Vec<_>) = identifiers.into_iter().unzip();
    Some(Mapping {
        name: name.to_owned(),
        mapping: resource,
        identifiers: (!identifiers.is_empty()).then_some(identifiers),
        filters,
        transforms,
        fields,
        path: path.to_owned(),
        span,
        identifier_spans,
    })
}

/// Decodes each item of a list.
fn each<T>(decoder: &mut Decoder<'_>, record: &Record<'_>, key: &str, decode: fn(&mut Decoder<'_>, &Node, &str) -> Option<T>) -> Vec<T> {
    let path = record.at(key);
    let items = decoder.items(record, key).iter().enumerate();
    items.filter_map(|(index, item)| decode(decoder, item, &format!("{path}[{index}]"))).collect()
}

/// The text of `mapping:`, which may be absent but not empty.
fn resource(decoder: &mut Decoder<'_>, record: &Record<'_>) -> Option<String> {
    let node = record.get("mapping")?;
    if matches!(&node.data, Data::Text(text) if text.trim().is_empty()) {
        decoder.error_hint(node.span, record.at("mapping"), "`mapping` is empty", "fill it in, or remove the key");
        return None;
    }
    decoder.text(node, &record.at("mapping")).map(str::to_owned)
}

fn filter(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<FilterConfig> {
    let record = decoder.record(node, path, &["field", "operation", "value"])?;
    let field = decoder.required_text(&record, "field");
    let operation = decoder.required_text(&record, "operation");
    let value = record.get("value");
    if let Some((operation, span)) = operation {
        if OPERATIONS.contains(&operation) {
            filter_value(decoder, &record, operation, span, value);
            if let (Some((field, _)), "regex", Some(value)) = (&field, operation, value)
                && let Err(error) = Filter::compile(field, operation, Some(&value.to_value()))
            {
                decoder.error(value.span, record.at("value"), error.to_string());
            }
        } else {
            let hint = suggest(operation, OPERATIONS, "known operations");
            let message = format!("unknown filter operation `{operation}`");
            decoder.report(Severity::Error, span, record.at("operation"), message, hint);
        }
    }
    Some(FilterConfig {
        field: field?.0.to_owned(),
        operation: operation?.0.to_owned(),
        value: value.map(Node::to_value),
        path: path.to_owned(),
        span: node.span,
    })
}

/// Refuses values with which the operation could only fail, on every record.
fn filter_value(decoder: &mut Decoder<'_>, record: &Record<'_>, operation: &str, span: Span, value: Option<&Node>) {
    let path = record.at("value");
    let wanted = match operation {
        ">" | "<" | ">=" | "<=" => "a number",
        "in" | "not in" => "a list, or text",
        "contains" | "not contains" => "a value",
        "regex" => "a regular expression as text",
        "is_ip_within" => "a network, or a list of networks",
        _ => return,
    };
    let Some(node) = value else {
        decoder.error(span, path, format!("the operation `{operation}` needs a `value`: {wanted}"));
        return;
    };
    let fits = match (operation, &node.data) {
        (_, Data::Bad) | ("contains" | "not contains", _) => true,
        (">" | "<" | ">=" | "<=", data) => match data {
            Data::Number(_) | Data::Bool(_) => true,
            Data::Text(text) => text.trim().parse::<i64>().is_ok(),
            _ => false,
        },
        ("regex", data) => matches!(data, Data::Text(_)),
        ("is_ip_within", Data::List(items)) => items.iter().all(|item| matches!(item.data, Data::Text(_))),
        ("is_ip_within", data) => matches!(data, Data::Text(_)),
        (_, data) => matches!(data, Data::List(_) | Data::Text(_) | Data::Map(_)),
    };
    if !fits {
        decoder.expected(&format!("{wanted} for `{operation}`"), node, &path, None);
    }
}

fn transform(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<TransformConfig> {
    let record = decoder.record(node, path, &["field", "expression"])?;
    let field = decoder.required_text(&record, "field");
    let expression = decoder.required(&record, "expression");
    let span = expression.map_or(node.span, |node| match node.text_line {
        Some(line) => Span { line, column: 1, width: 1 },
        None => node.span,
    });
    let expression = decoder.text(expression?, &record.at("expression"))?.to_owned();
    let field = field?.0.to_owned();
    // Compiled here only to be told: with the other problems of the file, and at its place.
    if let Err(error) = Transforms::compile(&[(field.clone(), expression.clone())]) {
        decoder.error(span, record.at("expression"), error.to_string());
    }
    Some(TransformConfig { field, expression, path: path.to_owned(), span })
}

fn field(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Field> {
    let record = decoder.record(node, path, &["name", "mapping", "static", "reference"])?;
    let name = decoder.required_text(&record, "name");
    let reference = decoder.optional_text(&record, "reference");
    let mapping = resource(decoder, &record);
    let literal = record.get("static");
    if let (Some(literal), Some(_)) = (literal, record.get("mapping")) {
        decoder.error_hint(literal.span, record.at("static"), "this field has both `static` and `mapping`", "keep one of them");
    }
    let source = match (literal, mapping, reference) {
        (Some(literal), ..) => FieldSource::Static(literal.to_value()),
        (None, Some(path), Some((kind, _))) => FieldSource::Reference { path, kind: kind.to_owned() },
        (None, Some(path), None) => FieldSource::Path(path),
        (None, None, _) => FieldSource::Unmapped,
    };
    let (name, span) = name?;
    Some(Field {
        name: name.to_owned(),
        source,
        reference: reference.map(|(kind, _)| kind.to_owned()),
        path: path.to_owned(),
        span,
        reference_span: reference.map_or(span, |(_, span)| span),
    })
}

/// Reports fields that stand twice in one mapping, and drops those that say the same again.
///
/// No error: the examples that infrahub-sync ships have such fields, and its rule (the last one that yields a value wins) holds.
fn without_repeats(decoder: &mut Decoder<'_>, fields: Vec<Field>) -> Vec<Field> {
    let mut kept: Vec<Field> = Vec::with_capacity(fields.len());
    let mut positions = std::collections::HashMap::new();
    for field in fields {
        if let Some(&before) = positions.get(&field.name) {
            let first: &Field = &kept[before];
            let same = first.source == field.source && first.reference == field.reference;
            let line = first.span.line;
            let message = format!("the field `{}` is mapped here a second time; the first is on line {line}", field.name);
            let hint = if same { "remove one of them" } else { "keep one of them; as it is, the last one that yields a value wins" };
            decoder.report(Severity::Warning, field.span, field.path.clone(), message, Some(hint.to_owned()));
            if same {
                continue;
            }
        }
        positions.insert(field.name.clone(), kept.len());
        kept.push(field);
    }
    kept
}
