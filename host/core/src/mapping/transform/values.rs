//! Values between JSON and the template engine, and their text as Python writes it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Value as TemplateValue};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::bytes::{as_bytes, write_repr_of_bytes};
use super::environment::invalid;
use crate::number::is_integer;
use crate::python::text::write_repr_of_text;
use crate::python::{float, float_text};
use crate::records::NUMBER;

/// Returns a record's value for the engine.
pub(crate) fn to_template(value: &Value) -> TemplateValue {
    match value {
        Value::Null => TemplateValue::from(()),
        Value::Bool(yes) => TemplateValue::from(*yes),
        Value::Number(number) => number_to_template(number),
        Value::String(text) => TemplateValue::from(text.as_str()),
        Value::Array(items) => items.iter().map(to_template).collect(),
        Value::Object(map) => {
            let items: IndexMap<TemplateValue, TemplateValue> =
                map.iter().map(|(key, item)| (TemplateValue::from(key.as_str()), to_template(item))).collect();
            TemplateValue::from_object(items)
        }
    }
}

/// Returns the value of a JSON text for the engine, with the keys of dicts in the order of the text.
pub(crate) fn text_to_template(text: &str) -> Option<TemplateValue> {
    InOrder.deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
}

/// Builds a value of the engine from JSON text.
struct InOrder;

impl<'de> DeserializeSeed<'de> for InOrder {
    type Value = TemplateValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<TemplateValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InOrder {
    type Value = TemplateValue;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<TemplateValue, E> {
        Ok(TemplateValue::from(()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<TemplateValue, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<TemplateValue, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<TemplateValue, E> {
        Ok(number_to_template(&Number::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<TemplateValue, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TemplateValue, A::Error> {
        let mut items: Vec<TemplateValue> = Vec::new();
        while let Some(item) = seq.next_element_seed(InOrder)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TemplateValue, A::Error> {
        let mut items: IndexMap<TemplateValue, TemplateValue> = IndexMap::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == NUMBER && items.is_empty() {
                let digits = map.next_value::<Cow<'de, str>>()?;
                return digits.parse().map(|number| number_to_template(&number)).map_err(serde::de::Error::custom);
            }
            items.insert(TemplateValue::from(&*key), map.next_value_seed(InOrder)?);
        }
        Ok(TemplateValue::from_object(items))
    }
}

fn number_to_template(number: &Number) -> TemplateValue {
    let text = number.as_str();
    if !is_integer(text) {
        return TemplateValue::from(float(number));
    }
    match (text.parse::<i64>(), text.parse::<i128>(), text.parse::<u128>()) {
        (Ok(integer), _, _) => TemplateValue::from(integer),
        (_, Ok(integer), _) => TemplateValue::from(integer),
        (_, _, Ok(integer)) => TemplateValue::from(integer),
        _ => TemplateValue::from_object(Digits(number.clone())),
    }
}

/// A whole number beyond the 128 bits of the engine: it is passed on and written, and nothing is computed from it.
#[derive(Debug)]
struct Digits(Number);

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.as_str())
    }
}

/// Returns a result as JSON; `None` when JSON has no form for it. Lazy sequences become lists.
pub(crate) fn from_template(value: &TemplateValue) -> Result<Option<Value>, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Error::new(ErrorKind::UndefinedError, "part of the result is undefined")),
        ValueKind::None => Some(Value::Null),
        ValueKind::Bool => Some(Value::Bool(value.is_true())),
        ValueKind::Number => {
            if value.is_integer() {
                match (i64::try_from(value.clone()), i128::try_from(value.clone()), u128::try_from(value.clone())) {
                    (Ok(number), _, _) => Some(Value::from(number)),
                    (_, Ok(number), _) => number.to_string().parse().ok().map(Value::Number),
                    (_, _, Ok(number)) => number.to_string().parse().ok().map(Value::Number),
                    _ => None,
                }
            } else {
                Number::from_f64(f64::try_from(value.clone())?).map(Value::Number)
            }
        }
        ValueKind::String => value.as_str().map(Value::from),
        ValueKind::Seq if as_bytes(value).is_some() => None,
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()?.checked() {
                match from_template(&item?)? {
                    Some(item) => items.push(item),
                    None => return Ok(None),
                }
            }
            Some(Value::Array(items))
        }
        ValueKind::Map => {
            let mut map = Map::new();
            for key in value.try_iter()?.checked() {
                let key = key?;
                match from_template(&value.get_item(&key)?)? {
                    Some(item) => map.insert(python_text(&key), item),
                    None => return Ok(None),
                };
            }
            Some(Value::Object(map))
        }
        ValueKind::Bytes => None,
        ValueKind::Plain if value.downcast_object_ref::<Digits>().is_some() => {
            value.downcast_object_ref::<Digits>().map(|digits| Value::Number(digits.0.clone()))
        }
        _ => return Err(invalid(format!("the result is {}, which is not a value", value.kind()))),
    })
}

/// Python's `str(value)`.
pub(crate) fn python_text(value: &TemplateValue) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let mut out = String::new();
            write_repr(&mut out, value);
            out
        }
    }
}

/// Python's `repr(value)`; sequences that are computed as they are read are written as lists.
pub(crate) fn write_repr(out: &mut String, value: &TemplateValue) {
    if let Some(bytes) = as_bytes(value) {
        return write_repr_of_bytes(bytes, out);
    }
    match value.kind() {
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&float_text(f64::try_from(value.clone()).unwrap_or(f64::NAN)));
        }
        ValueKind::String => write_repr_of_text(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
            out.push(open);
            let mut count = 0;
            for item in value.try_iter().into_iter().flatten() {
                if count > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &item);
                count += 1;
            }
            if value.is_tuple() && count == 1 {
                out.push(',');
            }
            out.push(close);
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &key);
                out.push_str(": ");
                write_repr(out, &value.get_item(&key).unwrap_or_default());
            }
            out.push('}');
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}
