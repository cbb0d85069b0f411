//! JSON as Python's `json.dumps` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::number::{float, float_text};
use crate::number::is_integer;

/// JSON as Python's `json.dumps(sort_keys=True)` writes it, with what HTML would read escaped.
pub(crate) fn write_json(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let between = if indent.is_some() { "," } else { ", " };
    match value {
        Value::String(text) => write_json_text(out, text),
        Value::Number(number) if !is_integer(number.as_str()) => out.push_str(&float_text(float(number))),
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { between } else { "" });
                line(out, depth + 1);
                write_json(out, item, indent, depth + 1);
            }
            line(out, depth);
            out.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                out.push_str(if index > 0 { between } else { "" });
                line(out, depth + 1);
                write_json_text(out, key);
                out.push_str(": ");
                write_json(out, item, indent, depth + 1);
            }
            line(out, depth);
            out.push('}');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn write_json_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' if !matches!(character, '<' | '>' | '&' | '\'') => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}
