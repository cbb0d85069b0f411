//! `${VAR}` inside settings.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::decode::{Decoder, join};
use crate::load::{Data, Entry, Node};
use crate::problem::{Severity, Span};

/// Returns settings as plain values.
pub(super) fn settings(decoder: &mut Decoder<'_>, entries: &[Entry], path: &str) -> BTreeMap<String, Value> {
    let pairs = entries.iter();
    pairs.map(|entry| (entry.key.clone(), value(decoder, &entry.value, &join(path, &entry.key)))).collect()
}

/// Returns a setting as a plain value.
pub(super) fn value(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Value {
    match &node.data {
        Data::Text(text) => Value::String(expand(decoder, text, node.span, path)),
        Data::List(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, item)| value(decoder, item, &format!("{path}[{index}]"))).collect()
        }
        Data::Map(entries) => Value::Object(settings(decoder, entries, path).into_iter().collect()),
        _ => node.to_value(),
    }
}

/// Replaces each `${NAME}` by the variable's value, in which no further variable is replaced. Without an environment the text stays as it is.
pub(super) fn expand(decoder: &mut Decoder<'_>, text: &str, span: Span, path: &str) -> String {
    let Some(environment) = decoder.environment else { return text.to_owned() };
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let Some((name, tail)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            let message = "`${` does not begin a variable here; the text stays as it is";
            let hint = "a variable is written `${NAME}`, its name in letters, digits and `_`";
            decoder.report(Severity::Warning, span, path, message, Some(hint.to_owned()));
            expanded.push_str("${");
            rest = after;
            continue;
        };
        match environment(name) {
            Some(value) => expanded.push_str(&value),
            None => {
                let hint = format!("set it: `export {name}=…`");
                let severity = decoder.unset;
                decoder.report(severity, span, path, format!("the environment variable `{name}` is not set"), Some(hint));
            }
        }
        rest = tail;
    }
    expanded.push_str(rest);
    expanded
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
