//! Reads the kinds from a file of the project.
//!
//! ```yaml
//! kinds:
//!   DcimDevice:
//!     identifiers: [name, site]
//!     fields:
//!       name: {type: text}
//!       site: {reference: LocationSite}
//!       status: {type: text, optional: true, default: active}
//!       tags: {reference: BuiltinTag, cardinality: many, optional: true}
//! ```

use std::collections::BTreeMap;

use infrahub_sync_adapter::{Error, Field, FieldType, Kind, Result, Target, files};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kinds: BTreeMap<String, KindText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindText {
    #[serde(default)]
    identifiers: Vec<String>,
    #[serde(default)]
    fields: BTreeMap<String, FieldText>,
    #[serde(default)]
    stands_for: Vec<String>,
    #[serde(default)]
    unique_together: Vec<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldText {
    #[serde(rename = "type", default)]
    value_type: ValueType,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    cardinality: Cardinality,
    #[serde(default)]
    default: Option<Value>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum ValueType {
    #[default]
    Any,
    Boolean,
    Integer,
    Float,
    Text,
    Timestamp,
    IpInterface,
    IpNetwork,
    IpAddress,
    Mac,
    Json,
    List,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Cardinality {
    #[default]
    One,
    Many,
}

/// Returns the kinds of the targets, or all.
pub(crate) fn kinds(file: &str, targets: &[Target]) -> Result<Vec<Kind>> {
    // YAML reads JSON too.
    let document: Document = serde_yaml::from_slice(&files::read(file)?.body())
        .map_err(|error| Error::config(format!("the schema `{file}` cannot be read: {error}")))?;
    let wanted = |name: &String| targets.is_empty() || targets.iter().any(|target| target.kind == *name);
    Ok(document.kinds.into_iter().filter(|(name, _)| wanted(name)).map(|(name, text)| kind(name, text)).collect())
}

fn kind(name: String, text: KindText) -> Kind {
    let fields = text.fields.into_iter().map(|(field, text)| Field {
        optional: text.optional,
        default: text.default.as_ref().map(ToString::to_string),
        references: text.reference.iter().cloned().collect(),
        ..Field::new(&field, text.field_type())
    });
    let (identifiers, stands_for, unique_together) = (text.identifiers, text.stands_for, text.unique_together);
    Kind { identifiers, stands_for, unique_together, ..Kind::new(&name, &[], fields.collect()) }
}

impl FieldText {
    fn field_type(&self) -> FieldType {
        match (&self.reference, self.cardinality, self.value_type) {
            (Some(_), Cardinality::One, _) => FieldType::Reference,
            (Some(_), Cardinality::Many, _) => FieldType::ReferenceList,
            (None, _, ValueType::Any) => FieldType::Any,
            (None, _, ValueType::Boolean) => FieldType::Boolean,
            (None, _, ValueType::Integer) => FieldType::Integer,
            (None, _, ValueType::Float) => FieldType::Float,
            (None, _, ValueType::Text) => FieldType::Text,
            (None, _, ValueType::Timestamp) => FieldType::Timestamp,
            (None, _, ValueType::IpInterface) => FieldType::IpInterface,
            (None, _, ValueType::IpNetwork) => FieldType::IpNetwork,
            (None, _, ValueType::IpAddress) => FieldType::IpAddress,
            (None, _, ValueType::Mac) => FieldType::Mac,
            (None, _, ValueType::Json) => FieldType::Json,
            (None, _, ValueType::List) => FieldType::List,
        }
    }
}
