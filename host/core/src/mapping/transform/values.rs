//! Values between JSON and the template engine, and their text as Python writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value as TemplateValue};
use serde_json::{Map, Number, Value};

use super::environment::invalid;
use crate::python::float_text;
use crate::python::text::write_repr_of_text;

/// Returns a record's value for the engine.
pub(crate) fn to_template(value: &Value) -> TemplateValue {
    match value {
        Value::Null => TemplateValue::from(()),
        Value::Bool(yes) => TemplateValue::from(*yes),
        Value::Number(number) => {
            if let Some(integer) = number.as_i64() {
                TemplateValue::from(integer)
            } else if let Some(integer) = number.as_u64() {
                TemplateValue::from(integer)
            } else {
                TemplateValue::from(number.as_f64().unwrap_or(f64::NAN))
            }
        }
        Value::String(text) => TemplateValue::from(text.as_str()),
        Value::Array(items) => items.iter().map(to_template).collect(),
        Value::Object(map) => {
            let items: BTreeMap<String, TemplateValue> = map.iter().map(|(key, item)| (key.clone(), to_template(item))).collect();
            TemplateValue::from_object(items)
        }
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
                match (i64::try_from(value.clone()), u64::try_from(value.clone())) {
                    (Ok(number), _) => Some(Value::from(number)),
                    (_, Ok(number)) => Some(Value::from(number)),
                    _ => None,
                }
            } else {
                Number::from_f64(f64::try_from(value.clone())?).map(Value::Number)
            }
        }
        ValueKind::String => value.as_str().map(Value::from),
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
