//! The type of a field's values.

use serde::{Deserialize, Serialize};

/// The type of a field's values; the contract's `field-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldType {
    /// Unknown: values are taken as they are.
    #[default]
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// Text; what a transform renders stays text.
    Text,
    /// A date and time as ISO 8601 text.
    Timestamp,
    /// An IP address with the length of its prefix, in canonical spelling.
    IpInterface,
    /// An IP network, in canonical spelling.
    IpNetwork,
    /// An IP address without a length, in canonical spelling.
    IpAddress,
    /// A MAC address, in canonical spelling.
    Mac,
    /// Any JSON value.
    Json,
    /// A list of plain values.
    List,
    /// One object of another kind.
    Reference,
    /// A set of objects of another kind.
    ReferenceList,
}

impl FieldType {
    /// Returns whether the field refers to other objects.
    #[must_use]
    pub fn is_reference(self) -> bool {
        matches!(self, FieldType::Reference | FieldType::ReferenceList)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let contract = include_str!("../../../wit/adapter.wit");
        let named = contract.split("enum field-type {").nth(1).and_then(|rest| rest.split('}').next()).unwrap();
        let named = named.lines().map(str::trim).filter(|line| !line.starts_with("///") && !line.is_empty());
        let named: Vec<FieldType> =
            named.map(|line| serde_json::from_str(&format!("\"{}\"", line.trim_matches(['%', ',']))).unwrap()).collect();
        assert_eq!((named.len(), named[0], named[13]), (14, FieldType::Any, FieldType::ReferenceList));
    }
}
