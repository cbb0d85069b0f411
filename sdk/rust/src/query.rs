//! Paths with queries, encoded by RFC 3986.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use serde_json::Value;

/// A path with a query: `Query::new("/api/dcim/devices/").with("limit", 1000).to_string()`.
#[derive(Debug, Clone)]
pub struct Query {
    url: String,
    has_pairs: bool,
}

impl Query {
    /// Starts with a path, which is not encoded again.
    #[must_use]
    pub fn new(path: &str) -> Query {
        Query { url: path.to_owned(), has_pairs: path.contains('?') }
    }

    /// Adds a pair. Name and value are percent-encoded.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Query {
        self.url.push(if self.has_pairs { '&' } else { '?' });
        self.has_pairs = true;
        self.url.push_str(&encode(name, b","));
        self.url.push('=');
        self.url.push_str(&encode(&value.to_string(), b","));
        self
    }

    /// Adds the parameters of a setting: texts and other plain values as they are, a list as one pair for each of its items.
    #[must_use]
    pub fn with_all(self, parameters: &BTreeMap<String, Value>) -> Query {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        parameters.iter().fold(self, |query, (name, value)| match value {
            Value::Array(values) => values.iter().fold(query, |query, value| query.with(name, text(value))),
            value => query.with(name, text(value)),
        })
    }
}

impl Display for Query {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.url)
    }
}

/// Encodes a text as one segment of a path: `path_segment("a/b")` is `a%2Fb`.
#[must_use]
pub fn path_segment(text: &str) -> String {
    encode(text, b"")
}

/// Percent-encodes all characters but the unreserved ones of RFC 3986 and those of `also`: in a query the comma, which separates lists.
fn encode(text: &str, also: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ if also.contains(&byte) => encoded.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::{Query, path_segment};

    #[test]
    fn a_segment_has_no_separators() {
        assert_eq!(path_segment("a/b?c,d é-._~"), "a%2Fb%3Fc%2Cd%20%C3%A9-._~");
    }

    #[test]
    fn what_is_reserved_is_encoded() {
        let query = Query::new("/api/x/").with("q", "a&b=ü /+").with("fields", "id,name").with("limit", 1000);
        assert_eq!(query.to_string(), "/api/x/?q=a%26b%3D%C3%BC%20%2F%2B&fields=id,name&limit=1000");
    }

    #[test]
    fn parameters_of_a_setting_are_added() {
        let parameters = serde_json::from_str(r#"{"brief": true, "limit": 5, "tag": ["a", "b c"]}"#).unwrap();
        assert_eq!(Query::new("/x").with_all(&parameters).to_string(), "/x?brief=true&limit=5&tag=a&tag=b%20c");
    }

    #[test]
    fn a_query_that_is_there_is_continued() {
        assert_eq!(Query::new("/x?a=1").with("b", 2).to_string(), "/x?a=1&b=2");
    }
}
