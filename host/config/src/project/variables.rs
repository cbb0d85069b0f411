//! `${VAR}` inside settings.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Environment;
use crate::decode::{Decoder, join};
use crate::load::{Data, Entry, Node};
use crate::problem::{Severity, Span};

/// The settings as plain values. Without an environment variables stay as they are written.
pub(super) fn settings(
    decoder: &mut Decoder<'_>,
    entries: &[Entry],
    path: &str,
    environment: Option<&Environment<'_>>,
) -> BTreeMap<String, Value> {
    let pairs = entries.iter();
    pairs.map(|entry| (entry.key.clone(), value(decoder, &entry.value, &join(path, &entry.key), environment))).collect()
}

fn value(decoder: &mut Decoder<'_>, node: &Node, path: &str, environment: Option<&Environment<'_>>) -> Value {
    match &node.data {
        Data::Text(text) => match environment {
            Some(environment) => Value::String(expand(decoder, text, node.span, path, environment)),
            None => Value::String(text.clone()),
        },
        Data::List(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, item)| value(decoder, item, &format!("{path}[{index}]"), environment)).collect()
        }
        Data::Map(entries) => Value::Object(settings(decoder, entries, path, environment).into_iter().collect()),
        _ => node.to_value(),
    }
}

/// Replaces every `${NAME}`; what a variable holds is not looked at again.
fn expand(decoder: &mut Decoder<'_>, text: &str, span: Span, path: &str, environment: &Environment<'_>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let Some((name, tail)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            let message = "`${` begins no variable here; the text stays as it is";
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
                decoder.error_hint(span, path, format!("the environment variable `{name}` is not set"), hint);
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
