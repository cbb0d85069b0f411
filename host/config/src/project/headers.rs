//! `headers:` among the settings of a system: HTTP headers that the host adds to each request. The adapter does not see them.
//!
//! They stay among the settings, where all values are kept secret; here they are checked, each at its place.

use serde_json::{Map, Value};

use super::variables;
use crate::decode::{Decoder, join};
use crate::load::{Data, Node};

/// The setting's name.
pub(super) const HEADERS: &str = "headers";

/// Decodes the headers to an object of texts. No message shows a value.
pub(super) fn headers(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Value {
    if matches!(node.data, Data::Null) {
        return Value::Null;
    }
    let mut headers = Map::new();
    for entry in decoder.map(node, path).unwrap_or_default() {
        let (name, path) = (entry.key.as_str(), join(path, &entry.key));
        if !is_name(name) {
            let message = format!("`{}` is not the name of a header", name.escape_debug());
            decoder.error_hint(entry.key_span, path, message, "a name has letters, digits and `-`, as `X-Scope-OrgID`");
            continue;
        }
        let text = match (&entry.value.data, &entry.value.raw) {
            (Data::Null, _) => continue,
            (Data::Text(text), _) => variables::expand(decoder, text, entry.value.span, &path),
            (Data::Number(_) | Data::Bool(_), Some(raw)) => raw.to_string(),
            _ => {
                decoder.expected("the text of a header", &entry.value, &path, None);
                continue;
            }
        };
        if text.chars().any(|sign| sign.is_control() && sign != '\t') {
            let hint = "remove line breaks and other control characters";
            decoder.error_hint(entry.value.span, path, format!("the value of `{name}` cannot be sent in a header"), hint);
        } else if headers.keys().any(|known| known.eq_ignore_ascii_case(name)) {
            let message = format!("the header `{name}` is here a second time: letter case does not count");
            decoder.error_hint(entry.key_span, path, message, "keep one of them");
        } else {
            headers.insert(name.to_owned(), Value::String(text));
        }
    }
    Value::Object(headers)
}

/// Returns whether a text can be the name of a header: letters, digits and some signs, as RFC 9110 lists them.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
