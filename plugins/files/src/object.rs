//! Keeps an object as the JSON text of its values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use infrahub_sync_adapter::serde_json::{self, value::RawValue};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use crate::key::{Key, Part};

/// The set fields of an object. A null field is the same as an unset one, so it is never in here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object(BTreeMap<String, Box<RawValue>>);

/// The members of a JSON object in their order, their values unread.
#[derive(Debug, Default)]
pub(crate) struct Members<'j>(pub(crate) Vec<(Cow<'j, str>, &'j RawValue)>);

impl<'j, 'de: 'j> Deserialize<'de> for Members<'j> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Members<'j>, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'j>(Cow<'j, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Name<'de>, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Name<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

impl<'j> Members<'j> {
    pub(crate) fn parse(json: &'j [u8]) -> serde_json::Result<Members<'j>> {
        serde_json::from_slice(json)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'j RawValue> {
        self.0.iter().find(|member| member.0 == name).map(|member| member.1)
    }

    /// Returns the values of the identifiers; a missing one is null.
    pub(crate) fn key(&self, identifiers: &[String]) -> serde_json::Result<Key> {
        identifiers.iter().map(|name| self.get(name).map_or(Ok(Part::Null), |value| Part::parse(value.get()))).collect()
    }
}

impl Object {
    pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Object> {
        let mut object = Object::default();
        for (name, value) in Members::parse(json)?.0 {
            object.set(&name, value);
        }
        Ok(object)
    }

    /// Sets a field; null removes it.
    pub(crate) fn set(&mut self, name: &str, value: &RawValue) {
        if value.get() == "null" {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.get(name).map(Box::as_ref)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns the fields, identifiers first, then by name.
    pub(crate) fn in_order<'o>(&'o self, identifiers: &'o [String]) -> impl Iterator<Item = (&'o str, &'o RawValue)> {
        let first = identifiers.iter().filter_map(|name| Some((name.as_str(), self.get(name)?)));
        let is_other = |name: &str| identifiers.iter().all(|identifier| identifier != name);
        first.chain(self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref())).filter(move |(name, _)| is_other(name)))
    }

    /// Returns the JSON text, on one line.
    pub(crate) fn to_json(&self, identifiers: &[String]) -> String {
        let mut json = String::from("{");
        for (name, value) in self.in_order(identifiers) {
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(&quoted(name));
            json.push(':');
            json.push_str(value.get());
        }
        json.push('}');
        json
    }

    /// Says whether every field of `wanted` has that value here, in any spelling.
    pub(crate) fn has(&self, wanted: &Members<'_>) -> bool {
        wanted.0.iter().all(|(name, value)| match self.get(name) {
            Some(mine) => mine.get() == value.get() || Part::parse(mine.get()).ok() == Part::parse(value.get()).ok(),
            None => value.get() == "null",
        })
    }
}

/// Writes a text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Removes white space, so that the JSON is on one line. Texts in JSON have no line breaks.
pub(crate) fn compact(json: &str) -> String {
    let (mut out, mut in_text, mut escaped) = (String::with_capacity(json.len()), false, false);
    for character in json.chars() {
        if in_text {
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character == '"' {
            in_text = true;
        } else if character.is_ascii_whitespace() {
            continue;
        }
        out.push(character);
    }
    out
}

/// A reference in the host's form.
#[derive(Deserialize)]
struct Peer<'j> {
    #[serde(borrow)]
    key: Members<'j>,
    #[serde(default)]
    kind: Option<String>,
    /// The kinds that the field may refer to, where there are several.
    #[serde(default)]
    of: Vec<String>,
}

/// Turns a reference into its form in a file: `{"kind": …, "key": {…}, "id": …}` becomes the peer's identifiers. The kind precedes them where
/// the field may refer to several, since identifiers alone do not tell which. A list is sorted, since it is a set. Other values stay as they
/// are.
pub(crate) fn plain_reference(value: &RawValue) -> serde_json::Result<Box<RawValue>> {
    let text = value.get();
    if text.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text)?;
        let mut items = items
            .into_iter()
            .map(|item| plain_reference(item).and_then(|item| Ok((Part::parse(item.get())?, item))))
            .collect::<serde_json::Result<Vec<_>>>()?;
        items.sort_by(|one, other| one.0.cmp(&other.0));
        items.dedup_by(|one, other| one.0 == other.0);
        let items: Vec<&str> = items.iter().map(|item| item.1.get()).collect();
        return RawValue::from_string(format!("[{}]", items.join(",")));
    }
    match serde_json::from_str::<Peer<'_>>(text) {
        // A peer's key may have references in it, as deep as they go.
        Ok(peer) if text.starts_with('{') => {
            let kind = peer.kind.filter(|_| peer.of.len() > 1).map(|kind| Ok(format!("\"kind\":{}", quoted(&kind))));
            let members = peer.key.0.into_iter().map(|(name, value)| {
                let value = if value.get().starts_with('{') { plain_reference(value)? } else { value.to_owned() };
                Ok(format!("{}:{}", quoted(&name), value.get()))
            });
            RawValue::from_string(format!("{{{}}}", kind.into_iter().chain(members).collect::<serde_json::Result<Vec<_>>>()?.join(",")))
        }
        _ => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(json: &str) -> String {
        plain_reference(serde_json::from_str(json).unwrap()).unwrap().get().to_owned()
    }

    #[test]
    fn a_reference_becomes_the_peers_identifiers() {
        assert_eq!(plain(r#"{"kind":"Tag","key":{"name":"a"},"id":"7"}"#), r#"{"name":"a"}"#);
        assert_eq!(
            plain(r#"{"kind":"Rack","key":{"name":"a","site":{"kind":"Site","key":{"name":"z"}}}}"#),
            r#"{"name":"a","site":{"name":"z"}}"#
        );
        assert_eq!(plain(r#"[{"key":{"n":10}},{"key":{"n":9}},{"key":{"n":9}}]"#), r#"[{"n":9},{"n":10}]"#);
        assert_eq!(plain(r#"{"kind":"Site","key":{"name":"a"},"of":["Area","Site"]}"#), r#"{"kind":"Site","name":"a"}"#);
        assert_eq!(plain("null"), "null");
        assert_eq!(plain(r#"{"key":"door"}"#), r#"{"key":"door"}"#);
    }

    #[test]
    fn white_space_goes_but_not_from_text() {
        assert_eq!(compact("{ \"a \\\" b\" :\n [1, \"\\\\\" ] }"), "{\"a \\\" b\":[1,\"\\\\\"]}");
    }
}
