//! `schema_mapping:`: resources of the source, and the fields of the kinds that are made of them.

use infrahub_sync_base::Side;
use infrahub_sync_core::mapping::filter::{Filter, OPERATIONS};
use infrahub_sync_core::mapping::transform::Transforms;
use serde_json::Value;

use crate::decode::{Decoder, Key, Record, suggest};
use crate::load::{Data, Node};
use crate::problem::{Severity, Span};
use crate::project::decode::is_plain_name;
use crate::project::ownership::{Owned, ownership};

/// One resource that feeds one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The kind in the model.
    pub name: String,
    /// The resource in the source; a source that needs one skips the mapping without.
    pub mapping: Option<String>,
    /// The resource in the destination: `destination_mapping`, else `mapping`.
    pub destination_mapping: Option<String>,
    /// The fields of the natural key.
    pub identifiers: Option<Vec<String>>,
    /// All must pass.
    pub filters: Vec<FilterConfig>,
    /// Applied after the filters, in order.
    pub transforms: Vec<TransformConfig>,
    /// The fields, in order. A field may occur twice (with a warning): the last one that yields a value wins.
    pub fields: Vec<Field>,
    /// Whose its fields' values are, where a field does not say so.
    pub ownership: Option<Owned>,
    /// Its path, `schema_mapping[2]`.
    pub path: String,
    /// Where its name stands.
    pub span: Span,
    /// Where the identifiers stand, each at the position of its name in `identifiers`.
    pub identifier_spans: Vec<Span>,
}

impl Mapping {
    /// Returns the resource in the system of a side.
    #[must_use]
    pub fn resource(&self, side: Side) -> Option<&str> {
        match side {
            Side::Source => self.mapping.as_deref(),
            Side::Destination => self.destination_mapping.as_deref(),
        }
    }
}

/// A condition on a source record.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterConfig {
    /// Dotted path into the record.
    pub field: String,
    /// One of [`OPERATIONS`].
    pub operation: String,
    /// The value to compare it with.
    pub value: Option<Value>,
    /// Its path, `schema_mapping[2].filters[0]`.
    pub path: String,
    /// Where it stands.
    pub span: Span,
}

/// A template whose result is written into the source record.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformConfig {
    /// The key of the record that is written.
    pub field: String,
    /// The Jinja template.
    pub expression: String,
    /// Its path, `schema_mapping[2].transforms[0]`.
    pub path: String,
    /// Where the expression's text begins: for a block scalar (`|`), the line after the bar.
    pub span: Span,
}

/// A field of a kind, and where its value comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The field's name in the model.
    pub name: String,
    /// Where the value comes from.
    pub source: FieldSource,
    /// The dotted path of the field in the destination: `destination_mapping`, else `mapping`.
    pub destination_mapping: Option<String>,
    /// The kinds of its peers, as they are written: mapped kinds, kinds of the destination, generic kinds. Also set beside `static` (a peer's
    /// unique id).
    pub references: Vec<String>,
    /// Whose its value is.
    pub ownership: Option<Owned>,
    /// Its path, `schema_mapping[2].fields[0]`.
    pub path: String,
    /// Where its name stands.
    pub span: Span,
    /// Where its references stand, each at the position of its kind in `references`.
    pub reference_spans: Vec<Span>,
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// The literal. With [`Field::references`] set it is a peer's unique id.
    Static(Value),
    /// Dotted path into the record.
    Path(String),
    /// A relationship: the value, or each item of a list, identifies a peer.
    ///
    /// The dotted path into the record; the field's own name where no `mapping` says another.
    Reference(String),
    /// None: only a system that is addressed by kind has a value, at the field's name.
    Unmapped,
}

#[derive(Default)]
struct Draft {
    name: Option<(String, Span)>,
    mapping: Option<String>,
    destination_mapping: Option<String>,
    identifiers: Vec<(String, Span)>,
    filters: Vec<FilterConfig>,
    transforms: Vec<TransformConfig>,
    fields: Vec<Field>,
    ownership: Option<Owned>,
}

const KEYS: [Key<Draft>; 8] = [
    Key::required("name", |decoder, node, path, draft| draft.name = decoder.text_at(node, path)),
    Key::optional("mapping", |decoder, node, path, draft| draft.mapping = address(decoder, node, path)),
    Key::optional("destination_mapping", |decoder, node, path, draft| draft.destination_mapping = address(decoder, node, path)),
    Key::optional("identifiers", |decoder, node, path, draft| draft.identifiers = decoder.each(node, path, Decoder::text_at)),
    Key::optional("ownership", |decoder, node, path, draft| draft.ownership = ownership(decoder, node, path)),
    Key::optional("filters", |decoder, node, path, draft| draft.filters = decoder.each(node, path, filter)),
    Key::optional("transforms", |decoder, node, path, draft| draft.transforms = decoder.each(node, path, transform)),
    Key::optional("fields", |decoder, node, path, draft| draft.fields = decoder.each(node, path, field)),
];

/// Decodes a mapping.
pub(super) fn mapping(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Mapping> {
    let mut draft = Draft::default();
    let record = decoder.fill(node, path, &KEYS, &mut draft)?;
    let no_fields = record.get("fields").is_none_or(|node| matches!(&node.data, Data::List(items) if items.is_empty()));
    if no_fields {
        let span = draft.name.as_ref().map_or(node.span, |(_, span)| *span);
        let hint = "name them: `fields: [{name: …, mapping: …}]`";
        decoder.error_hint(span, record.at("fields"), "this mapping has no fields", hint);
    }
    let fields = without_repeats(decoder, draft.fields);
    let (name, span) = draft.name?;
    if !is_plain_name(&name) {
        let message = format!("the kind's name `{}` cannot be the name of a file", name.escape_debug());
        let hint = "its objects are kept in a file of that name: leave out `/`, `\\` and control characters";
        decoder.error_hint(span, record.at("name"), message, hint);
    }
    let (identifiers, identifier_spans): (Vec<_>, Vec<_>) = draft.identifiers.into_iter().unzip();
    Some(Mapping {
        name,
        destination_mapping: draft.destination_mapping.or_else(|| draft.mapping.clone()),
        mapping: draft.mapping,
        identifiers: (!identifiers.is_empty()).then_some(identifiers),
        filters: draft.filters,
        transforms: draft.transforms,
        fields,
        ownership: draft.ownership,
        path: path.to_owned(),
        span,
        identifier_spans,
    })
}

/// Decodes `mapping:` or `destination_mapping:`, which may be absent but not empty.
fn address(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<String> {
    if matches!(&node.data, Data::Text(text) if text.trim().is_empty()) {
        let key = path.rsplit('.').next().unwrap_or(path);
        decoder.error_hint(node.span, path, format!("`{key}` is empty"), "fill it in, or remove the key");
        return None;
    }
    decoder.text(node, path).map(str::to_owned)
}

#[derive(Default)]
struct FilterDraft {
    field: Option<String>,
    operation: Option<(String, Span)>,
    value: Option<Value>,
}

const FILTER_KEYS: [Key<FilterDraft>; 3] = [
    Key::required("field", |decoder, node, path, draft| draft.field = decoder.text(node, path).map(str::to_owned)),
    Key::required("operation", |decoder, node, path, draft| draft.operation = decoder.text_at(node, path)),
    Key::optional("value", |_, node, _, draft| draft.value = Some(node.to_value())),
];

fn filter(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<FilterConfig> {
    let mut draft = FilterDraft::default();
    let record = decoder.fill(node, path, &FILTER_KEYS, &mut draft)?;
    if let Some((operation, span)) = &draft.operation {
        check_filter(decoder, &record, draft.field.as_deref(), operation, *span);
    }
    let (operation, _) = draft.operation?;
    Some(FilterConfig { field: draft.field?, operation, value: draft.value, path: path.to_owned(), span: node.span })
}

fn check_filter(decoder: &mut Decoder<'_>, record: &Record<'_>, field: Option<&str>, operation: &str, span: Span) {
    if !OPERATIONS.contains(&operation) {
        let hint = suggest(operation, OPERATIONS, "known operations");
        let message = format!("unknown filter operation `{operation}`");
        return decoder.report(Severity::Error, span, record.at("operation"), message, hint);
    }
    let value = record.get("value");
    filter_value(decoder, record, operation, span, value);
    if let (Some(field), "regex", Some(value)) = (field, operation, value)
        && let Err(error) = Filter::compile(field, operation, Some(&value.to_value()))
    {
        decoder.error(value.span, record.at("value"), error.to_string());
    }
}

/// Rejects values with which the operation could only fail, on every record.
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

#[derive(Default)]
struct TransformDraft {
    field: Option<String>,
    expression: Option<(String, Span)>,
}

const TRANSFORM_KEYS: [Key<TransformDraft>; 2] = [
    Key::required("field", |decoder, node, path, draft| draft.field = decoder.text(node, path).map(str::to_owned)),
    Key::required("expression", |decoder, node, path, draft| {
        let span = node.text_line.map_or(node.span, |line| Span { line, column: 1, width: 1 });
        draft.expression = decoder.text(node, path).map(|text| (text.to_owned(), span));
    }),
];

fn transform(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<TransformConfig> {
    let mut draft = TransformDraft::default();
    let record = decoder.fill(node, path, &TRANSFORM_KEYS, &mut draft)?;
    let (field, (expression, span)) = (draft.field?, draft.expression?);
    // Checked here only to report it with the other problems of the file, at its place. A filter that is unknown here may be the adapter's.
    if let Err(error) = Transforms::check(&field, &expression) {
        decoder.error(span, record.at("expression"), error.to_string());
    }
    Some(TransformConfig { field, expression, path: path.to_owned(), span })
}

#[derive(Default)]
struct FieldDraft {
    name: Option<(String, Span)>,
    mapping: Option<String>,
    destination_mapping: Option<String>,
    literal: Option<Value>,
    references: Vec<(String, Span)>,
    ownership: Option<Owned>,
}

const FIELD_KEYS: [Key<FieldDraft>; 6] = [
    Key::required("name", |decoder, node, path, draft| draft.name = decoder.text_at(node, path)),
    Key::optional("mapping", |decoder, node, path, draft| draft.mapping = address(decoder, node, path)),
    Key::optional("destination_mapping", |decoder, node, path, draft| draft.destination_mapping = address(decoder, node, path)),
    Key::optional("static", |_, node, _, draft| draft.literal = Some(node.to_value())),
    Key::optional("reference", |decoder, node, path, draft| draft.references = references(decoder, node, path)),
    Key::optional("ownership", |decoder, node, path, draft| draft.ownership = ownership(decoder, node, path)),
];

/// Decodes `reference:`, a kind or a list of kinds.
fn references(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Vec<(String, Span)> {
    let Data::List(items) = &node.data else { return decoder.text_at(node, path).into_iter().collect() };
    if items.is_empty() {
        decoder.error_hint(node.span, path, "`reference` names no kind", "name one, as in `reference: LocationSite`, or remove the key");
    }
    let mut kinds: Vec<(String, Span)> = Vec::with_capacity(items.len());
    for (kind, span) in decoder.each(node, path, Decoder::text_at) {
        if kinds.iter().any(|(known, _)| *known == kind) {
            decoder.report(
                Severity::Warning,
                span,
                path,
                format!("`reference` names `{kind}` twice"),
                Some("remove one of them".to_owned()),
            );
        } else {
            kinds.push((kind, span));
        }
    }
    kinds
}

/// Decodes a field. `static` wins over `mapping`, which then only says where the destination has the field; `static: null` is as good as absent. A
/// reference without either is at the field's own name.
fn field(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Field> {
    let mut draft = FieldDraft::default();
    decoder.fill(node, path, &FIELD_KEYS, &mut draft)?;
    let FieldDraft { name, mapping, destination_mapping, literal, references, ownership } = draft;
    let destination_mapping = destination_mapping.or_else(|| mapping.clone());
    let (name, span) = name?;
    let (references, reference_spans): (Vec<_>, Vec<_>) = references.into_iter().unzip();
    let source = match (literal, mapping, references.is_empty()) {
        (Some(literal), ..) => FieldSource::Static(literal),
        (None, Some(path), false) => FieldSource::Reference(path),
        (None, Some(path), true) => FieldSource::Path(path),
        (None, None, false) => FieldSource::Reference(name.clone()),
        (None, None, true) => FieldSource::Unmapped,
    };
    Some(Field { name, source, destination_mapping, references, ownership, path: path.to_owned(), span, reference_spans })
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
            let same = first.source == field.source
                && first.references == field.references
                && first.ownership.map(|owned| owned.ownership) == field.ownership.map(|owned| owned.ownership)
                && first.destination_mapping == field.destination_mapping;
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
