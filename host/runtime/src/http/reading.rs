//! Requests of a session that only reads: whatever the adapter claims, a request that may write is denied.
//!
//! GET, HEAD and OPTIONS without a body pass. A body needs a path that the manifest names for reading; a GraphQL document there must hold queries
//! alone (see [`graphql`](super::graphql)). The requests of a declared login do not come by here.

use std::fmt;

use reqwest::Method;
use reqwest::header;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use url::Url;

use super::graphql::{Objection, only_queries};
use super::request::{HttpError, Request};
use crate::manifest::{ReadingForm, ReadingPath};

/// Headers and parameters by which some servers take another method, or another path, than the request has.
const OVERRIDES: [&str; 8] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-method",
    "x-original-method",
    "x-original-url",
    "x-rewrite-url",
    "_method",
];

/// Parameters of a GraphQL server that name a document which the host does not see.
const UNSEEN_DOCUMENTS: [&str; 8] = ["extensions", "id", "documentid", "doc_id", "hash", "mutation", "subscription", "batch"];

/// Checks a request of a session that only reads. `below`: its path below the configured address; none for another origin.
pub(super) fn check(request: &Request, below: Option<&str>, paths: &[ReadingPath]) -> Result<(), HttpError> {
    objection(request, below, paths).map_or(Ok(()), |why| {
        let path = below.unwrap_or_else(|| request.url.path());
        Err(HttpError::Denied(format!("{} {path}: this session only reads, and {why}", request.method)))
    })
}

fn objection(request: &Request, below: Option<&str>, paths: &[ReadingPath]) -> Option<String> {
    let has_body = request.body.as_ref().is_some_and(|body| !body.is_empty());
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&request.method);
    if !reads && request.method != Method::POST {
        return Some(format!("{} writes", request.method));
    }
    if let Some(name) = request.headers.keys().find(|name| OVERRIDES.contains(&name.as_str())) {
        return Some(format!("the header `{name}` may stand for another method"));
    }
    let parameters: Vec<(String, String)> =
        request.url.query_pairs().map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect();
    if let Some((name, _)) = parameters.iter().find(|(name, _)| OVERRIDES.contains(&name.as_str())) {
        return Some(format!("the parameter `{name}` may stand for another method"));
    }
    let form = below.and_then(|below| paths.iter().find(|path| path.fits(below))).map(|path| path.form);
    let documents = parameters.iter().filter(|(name, _)| name == "query").map(|(_, value)| value.as_str());
    match form {
        None if !reads => Some("the adapter's manifest does not name this path in `reading-paths`".to_owned()),
        None if has_body => Some("a body needs a path that the adapter's manifest names in `reading-paths`".to_owned()),
        // Not known as GraphQL, but a server that takes it as such would write.
        None => documents.into_iter().find_map(|text| {
            let word = ["mutation", "subscription"].into_iter().find(|word| text.contains(word) && text.contains('{'))?;
            Some(format!("the parameter `query` may hold a GraphQL {word}"))
        }),
        Some(ReadingForm::Any) => None,
        Some(ReadingForm::Graphql) => {
            if let Some((name, _)) = parameters.iter().find(|(name, _)| UNSEEN_DOCUMENTS.contains(&name.as_str())) {
                return Some(format!("the parameter `{name}` may name a GraphQL document that the host does not see"));
            }
            let mut documents = documents.peekable();
            if !has_body && documents.peek().is_none() {
                return (!reads).then(|| "there is no GraphQL document in the request".to_owned());
            }
            documents.find_map(document).or_else(|| if has_body { body(request) } else { None })
        }
    }
}

/// Returns what speaks against a GraphQL document.
fn document(text: &str) -> Option<String> {
    Some(match only_queries(text).err()? {
        Objection::Mutation => "the GraphQL document holds a mutation".to_owned(),
        Objection::Subscription => "the GraphQL document holds a subscription".to_owned(),
        Objection::Unknown(at) => format!("the host does not understand the GraphQL document at byte {at}"),
    })
}

/// Returns what speaks against the body of a GraphQL request.
fn body(request: &Request) -> Option<String> {
    let types: Vec<String> = request.headers.get_all(header::CONTENT_TYPE).iter().map(plain).collect();
    let [content_type] = types.as_slice() else { return Some("a GraphQL request has one `content-type`".to_owned()) };
    if !["application/json", "application/json;charset=utf-8", "application/json;charset=\"utf-8\""].contains(&content_type.as_str()) {
        return Some(format!("a GraphQL request has the `content-type` application/json, not {content_type}"));
    }
    if request.headers.contains_key(header::CONTENT_ENCODING) {
        return Some("the host cannot read a GraphQL request with a `content-encoding`".to_owned());
    }
    match serde_json::from_slice::<Envelope>(request.body.as_deref().unwrap_or_default()) {
        Ok(envelope) => document(&envelope.0),
        Err(error) => Some(format!("the host does not understand the GraphQL request: {error}")),
    }
}

/// Returns a header's value in lower case and without blanks.
fn plain(value: &header::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

/// The document of a GraphQL request: `{"query": "…", "variables": {…}, "operationName": "…"}`, each key once and no other.
struct Envelope(String);

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Envelope;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object with `query`, `variables` and `operationName`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
                let mut query = None;
                let mut seen: Vec<String> = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        _ if seen.contains(&key) => return Err(A::Error::custom(format!("`{key}` is there twice"))),
                        "query" => query = Some(map.next_value::<String>()?),
                        "variables" | "operationName" => drop(map.next_value::<IgnoredAny>()?),
                        _ => return Err(A::Error::custom(format!("it has the key `{key}`"))),
                    }
                    seen.push(key);
                }
                query.map(Envelope).ok_or_else(|| A::Error::custom("it has no `query`"))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl ReadingPath {
    /// Returns whether it stands for a path below the configured address.
    fn fits(&self, below: &str) -> bool {
        let (ours, theirs): (Vec<&str>, Vec<&str>) = (self.path.split('/').collect(), below.split('/').collect());
        ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(ours, theirs)| match *ours {
                "*" => !theirs.is_empty() && stays(theirs),
                ours => ours == *theirs,
            })
    }
}

/// Returns whether a segment of a path cannot lead elsewhere, even if a server decodes it twice and before it looks for `..`.
fn stays(segment: &str) -> bool {
    let mut text = segment.to_owned();
    for _ in 0..2 {
        text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
    }
    !text.contains(['\\', ';', '?', '#', '\0']) && text.split('/').all(|part| !matches!(part, "." | ".."))
}

/// Returns the path of a URL below the configured address; none for another origin or a path beside it.
pub(super) fn below<'u>(url: &'u Url, (origin, base): (String, &str)) -> Option<&'u str> {
    if url.origin().ascii_serialization() != origin {
        return None;
    }
    url.path().strip_prefix(base).filter(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn paths() -> Vec<ReadingPath> {
        let path = |path: &str, form| ReadingPath { path: path.into(), form };
        vec![path("/graphql/*", ReadingForm::Graphql), path("/search", ReadingForm::Any)]
    }

    fn request(method: Method, path: &str, headers: &[(&'static str, &str)], body: Option<&str>) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Request {
            method,
            url: Url::parse(&format!("http://h/base{path}")).unwrap(),
            headers: map,
            body: body.map(|body| body.as_bytes().to_vec()),
            timeout: Duration::from_secs(1),
            idempotent: true,
            unprocessed: None,
            logs_in: false,
        }
    }

    fn verdict(request: &Request) -> String {
        match check(request, below(&request.url, ("http://h".into(), "/base")), &paths()) {
            Ok(()) => "passes".to_owned(),
            Err(HttpError::Denied(why)) => why,
            Err(other) => panic!("{other:?}"),
        }
    }

    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

    fn graphql(query: &str) -> String {
        let body = json!({"query": query, "variables": {"mutation": "mutation{a}"}}).to_string();
        verdict(&request(Method::POST, "/graphql/main?at=now", &JSON, Some(&body)))
    }

    #[test]
    fn reading_passes() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(verdict(&request(method, "/x?query=mutation", &[], None)), "passes");
        }
        assert_eq!(graphql("{a}"), "passes");
        assert_eq!(verdict(&request(Method::POST, "/search", &[], Some("anything"))), "passes");
        assert_eq!(verdict(&request(Method::GET, "/graphql/main?query=%7Ba%7D", &[], None)), "passes");
        let utf8 = [("content-type", "application/json; charset=UTF-8")];
        assert_eq!(verdict(&request(Method::POST, "/graphql/a%2Fb", &utf8, Some(r#"{"query": "{a}", "operationName": null}"#))), "passes");
    }

    #[test]
    fn each_way_to_write_is_denied_and_named() {
        let mut found = Vec::new();
        for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::from_bytes(b"MERGE").unwrap()] {
            found.push(verdict(&request(method, "/search", &[], None)));
        }
        found.push(verdict(&request(Method::POST, "/x", &[], None)));
        found.push(verdict(&request(Method::POST, "/search/x", &[], None)));
        found.push(verdict(&request(Method::GET, "/x", &[], Some("{}"))));
        found.push(verdict(&request(Method::GET, "/x", &[("x-http-method-override", "DELETE")], None)));
        found.push(verdict(&request(Method::POST, "/search?_method=delete", &[], None)));
        found.push(verdict(&request(Method::GET, "/any?query=mutation%7Ba%7D", &[], None)));
        found.push(verdict(&request(Method::GET, "/graphql/main?query=mutation%7Ba%7D", &[], None)));
        found.push(verdict(&request(Method::POST, "/graphql/main?query=mutation%7Ba%7D", &JSON, Some(r#"{"query": "{a}"}"#))));
        found.push(verdict(&request(Method::POST, "/graphql/main?extensions=1", &JSON, Some(r#"{"query": "{a}"}"#))));
        found.push(verdict(&request(Method::POST, "/graphql/..%2Fapi", &JSON, Some(r#"{"query": "{a}"}"#))));
        found.push(verdict(&request(Method::POST, "/graphql/main", &[], None)));
        found.push(graphql("query A { a } mutation B { b }"));
        found.push(graphql("subscription { b }"));
        found.push(graphql("{ a(b: \"\"\"c\"\"\") }"));
        insta::assert_snapshot!(found.join("\n"), @r"
        PUT /search: this session only reads, and PUT writes
        PATCH /search: this session only reads, and PATCH writes
        DELETE /search: this session only reads, and DELETE writes
        MERGE /search: this session only reads, and MERGE writes
        POST /x: this session only reads, and the adapter's manifest does not name this path in `reading-paths`
        POST /search/x: this session only reads, and the adapter's manifest does not name this path in `reading-paths`
        GET /x: this session only reads, and a body needs a path that the adapter's manifest names in `reading-paths`
        GET /x: this session only reads, and the header `x-http-method-override` may stand for another method
        POST /search: this session only reads, and the parameter `_method` may stand for another method
        GET /any: this session only reads, and the parameter `query` may hold a GraphQL mutation
        GET /graphql/main: this session only reads, and the GraphQL document holds a mutation
        POST /graphql/main: this session only reads, and the GraphQL document holds a mutation
        POST /graphql/main: this session only reads, and the parameter `extensions` may name a GraphQL document that the host does not see
        POST /graphql/..%2Fapi: this session only reads, and the adapter's manifest does not name this path in `reading-paths`
        POST /graphql/main: this session only reads, and there is no GraphQL document in the request
        POST /graphql/main: this session only reads, and the GraphQL document holds a mutation
        POST /graphql/main: this session only reads, and the GraphQL document holds a subscription
        POST /graphql/main: this session only reads, and the host does not understand the GraphQL document at byte 7
        ");
    }

    #[test]
    fn an_envelope_that_another_parser_reads_otherwise_is_denied() {
        for body in [
            r#"[{"query": "mutation{a}"}]"#,
            r#"[{"query": "{a}"}]"#,
            r#"{"query": "{a}", "query": "mutation{a}"}"#,
            r#"{"query": "{a}", "quer\u0079": "mutation{a}"}"#,
            r#"{"query": "{a}", "extensions": {}}"#,
            r#"{"query": ["mutation{a}"]}"#,
            r#"{"query": null}"#,
            r#"{"variables": {}}"#,
            r#"{"query": "mutat\u0069on{a}"}"#,
            r#"{"query": "{a}"} {"query": "mutation{a}"}"#,
            "mutation{a}",
            "query=mutation{a}",
            "",
            "\u{feff}{\"query\": \"{a}\"}",
        ] {
            assert_ne!(verdict(&request(Method::POST, "/graphql/main", &JSON, Some(body))), "passes", "{body}");
        }
        let fine = r#"{"query": "{a}"}"#;
        for headers in [
            vec![],
            vec![("content-type", "application/graphql")],
            vec![("content-type", "application/json; charset=utf-16")],
            vec![("content-type", "application/json"), ("content-type", "application/graphql")],
            vec![("content-type", "application/json"), ("content-encoding", "gzip")],
            vec![("content-type", "application/json"), ("x-original-url", "/api/delete")],
        ] {
            assert_ne!(verdict(&request(Method::POST, "/graphql/main", &headers, Some(fine))), "passes", "{headers:?}");
        }
    }

    #[test]
    fn another_origin_has_no_paths_for_reading() {
        let mut other = request(Method::POST, "/search", &[], Some("x"));
        other.url = Url::parse("http://other/base/search").unwrap();
        assert_ne!(verdict(&other), "passes");
    }
}
