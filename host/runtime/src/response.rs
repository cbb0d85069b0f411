//! Responses: what a guest holds a handle of, while the body stays with the host.
//!
//! No instance uses a handle number (`rep`) twice, so a handle of an earlier call names nothing, rather than another response. (wasmtime's own `ResourceTable` reuses them at once.)

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use infrahub_sync_base::pointer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A body, decided once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// UTF-8.
    Text(Arc<str>),
    /// Anything else.
    Binary(Arc<[u8]>),
}

/// The byte order mark, which some servers and most Windows editors put before JSON, where it does not belong.
const BOM: char = '\u{feff}';

impl Body {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Body::Text(text.strip_prefix(BOM).map_or_else(|| text.as_str().into(), Into::into)),
            Err(error) => Body::Binary(error.into_bytes().into()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Body::Text(text) => Some(text),
            Body::Binary(_) => None,
        }
    }
}

/// A response of the host's.
#[derive(Debug, Clone, PartialEq)]
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct HostResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

impl HostResponse {
    /// Returns the first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A handle that names nothing: it was released, given away, or belongs to an earlier call. Reaches the session as the trap's cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaleHandle {
    earlier_call: bool,
}

impl std::error::Error for StaleHandle {}

impl fmt::Display for StaleHandle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.earlier_call {
            "it used a response of an earlier call"
        } else {
            "it used a response after it had released it or given it away"
        })
    }
}

/// Why no further response can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// This many are held.
    Count(u32),
    /// The bodies that are held would be larger than this.
    Bytes(u64),
}

/// The responses that one instance holds, all of the present call.
#[derive(Debug)]
pub(crate) struct Responses {
    live: HashMap<u32, HostResponse>,
    next: u32,
    /// The first number of the present call.
    call_first: u32,
    held_bytes: usize,
    held_max: u32,
    held_bytes_max: usize,
}

impl Responses {
    pub(crate) fn new(held_max: u32, held_bytes_max: usize) -> Self {
        Self { live: HashMap::new(), next: 0, call_first: 0, held_bytes: 0, held_max, held_bytes_max }
    }

    /// Frees the responses of a call that ends. Their numbers are never used again.
    pub(crate) fn end_call(&mut self) {
        self.live.clear();
        self.held_bytes = 0;
        self.call_first = self.next;
    }

    /// Checks that one more may be held, before a request is sent in vain.
    pub(crate) fn check_room(&self) -> Result<(), Full> {
        // The last number is never given out: `next` must not wrap.
        if self.live.len() >= self.held_max as usize || self.next == u32::MAX { Err(Full::Count(self.held_max)) } else { Ok(()) }
    }

    /// Holds a response and names it.
    pub(crate) fn hold(&mut self, response: HostResponse) -> Result<u32, Full> {
        self.check_room()?;
        let held_bytes = self.held_bytes.saturating_add(response.body.as_bytes().len());
        if held_bytes > self.held_bytes_max {
            return Err(Full::Bytes(self.held_bytes_max as u64));
        }
        self.held_bytes = held_bytes;
        let rep = self.next;
        self.next += 1;
        self.live.insert(rep, response);
        Ok(rep)
    }

    pub(crate) fn get(&self, rep: u32) -> Result<&HostResponse, StaleHandle> {
        self.live.get(&rep).ok_or(StaleHandle { earlier_call: rep < self.call_first })
    }

    /// Takes a response back: handed over in a page, or released.
    pub(crate) fn take(&mut self, rep: u32) -> Result<HostResponse, StaleHandle> {
        let response = self.live.remove(&rep).ok_or(StaleHandle { earlier_call: rep < self.call_first })?;
        self.held_bytes = self.held_bytes.saturating_sub(response.body.as_bytes().len());
        Ok(response)
    }
}

/// The cost of a step of a pointer, roughly: a guest chooses their number.
const STEP_BYTES: usize = 150;

/// Returns the JSON text at each pointer, in one pass over the body; all none when the body is not JSON. Public for the fuzz targets.
///
/// Returns nothing at all when that takes more than `bytes_max`: many pointers may lead to the same large text.
pub fn json_at(body: &str, pointers: &[String], bytes_max: usize) -> Option<Vec<Option<String>>> {
    let mut root = Node::default();
    let mut bytes_left = bytes_max;
    for (slot, pointer) in pointers.iter().enumerate() {
        // A text that is no pointer points at nothing.
        if let Some(tokens) = pointer::parts(pointer) {
            bytes_left = bytes_left.checked_sub(tokens.len() * STEP_BYTES)?;
            let node = tokens.into_iter().fold(&mut root, Node::child);
            node.slots.push(slot);
        }
    }
    let mut found = Found { texts: vec![None; pointers.len()], filled: 0, bytes_left, too_many: false };
    match read(body, At { node: &root, found: &mut found }) {
        Ok(()) => Some(found.texts),
        Err(_) if found.too_many => None,
        Err(_) => Some(vec![None; pointers.len()]),
    }
}

/// The texts that have been found so far.
struct Found {
    texts: Vec<Option<String>>,
    /// How often a text was found.
    filled: usize,
    /// The bytes that may still be found.
    bytes_left: usize,
    /// It was more.
    too_many: bool,
}

/// Returns the number of elements of the array at the pointer; none where there is no array. Public for the fuzz targets.
pub fn count_at(body: &str, pointer: &str) -> Option<u32> {
    let tokens = pointer::parts(pointer)?;
    let mut count = None;
    read(body, CountAt { tokens: &tokens, count: &mut count }).ok()?;
    count
}

/// Reads one JSON document to its end.
fn read<'de, S: DeserializeSeed<'de>>(body: &'de str, seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Where the pointers lead: a trie. A map, not a list: how many pointers there are is the guest's choice.
#[derive(Default)]
struct Node {
    children: HashMap<String, Node>,
    slots: Vec<usize>,
    /// Something was found here or below.
    filled: Cell<bool>,
}

impl Node {
    fn child(&mut self, token: String) -> &mut Node {
        self.children.entry(token).or_default()
    }

    fn find(&self, token: &str) -> Option<&Node> {
        self.children.get(token)
    }

    /// Forgets what was found here and below; looks only where something was, or a key that is repeated would cost a walk each time.
    fn forget(&self, texts: &mut [Option<String>]) {
        if !self.filled.replace(false) {
            return;
        }
        for slot in &self.slots {
            if let Some(slot) = texts.get_mut(*slot) {
                *slot = None;
            }
        }
        for child in self.children.values() {
            child.forget(texts);
        }
    }
}

/// Reads the value that a node stands for.
struct At<'n> {
    node: &'n Node,
    found: &'n mut Found,
}

impl<'n> At<'n> {
    /// Returns the place of a child.
    fn below<'s>(&'s mut self, node: &'s Node) -> At<'s> {
        At { node, found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.node.slots.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
        for slot in &self.node.slots {
            let Some(left) = self.found.bytes_left.checked_sub(raw.get().len()) else {
                self.found.too_many = true;
                return Err(D::Error::custom("too much is asked for"));
            };
            self.found.bytes_left = left;
            self.found.filled += 1;
            if let Some(slot) = self.found.texts.get_mut(*slot) {
                *slot = Some(raw.get().to_owned());
            }
        }
        if self.node.children.is_empty() {
            return Ok(());
        }
        // One pointer is the beginning of another: the inner one is looked up in the text just taken.
        read(raw.get(), Inside { node: self.node, found: self.found }).map_err(D::Error::custom)
    }
}

/// Reads the children of a node whose own text has been taken.
struct Inside<'n> {
    node: &'n Node,
    found: &'n mut Found,
}

impl<'de> DeserializeSeed<'de> for Inside<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(At { node: self.node, found: self.found })
    }
}

/// The visitor descends one step; scalars on the way hold nothing.
impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(node) = map.next_key_seed(Key(self.node))? {
            match node {
                Some(node) => {
                    // Of a key that is there twice the last one counts, as everywhere.
                    node.forget(&mut self.found.texts);
                    let before = self.found.filled;
                    map.next_value_seed(self.below(node))?;
                    node.filled.set(self.found.filled > before);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        for index in 0usize.. {
            // Most arrays hold nothing that is asked for.
            let wanted = if self.node.children.is_empty() { None } else { self.node.find(&index.to_string()) };
            let more = match wanted {
                Some(node) => {
                    let before = self.found.filled;
                    let more = seq.next_element_seed(self.below(node))?.is_some();
                    node.filled.set(self.found.filled > before);
                    more
                }
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// Finds the node of a key without copying the key.
struct Key<'n>(&'n Node);

impl<'de, 'n> DeserializeSeed<'de> for Key<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Key<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(key))
    }
}

/// Counts the array that the tokens lead to, without keeping anything.
struct CountAt<'n> {
    tokens: &'n [String],
    count: &'n mut Option<u32>,
}

impl<'de> DeserializeSeed<'de> for CountAt<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CountAt<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((token, rest)) = self.tokens.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let mut wanted = Node::default();
        wanted.child(token.clone());
        while let Some(node) = map.next_key_seed(Key(&wanted))? {
            if node.is_some() {
                *self.count = None;
                map.next_value_seed(CountAt { tokens: rest, count: self.count })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0u32;
        loop {
            let more = match self.tokens.split_first() {
                Some((token, rest)) if *token == index.to_string() => {
                    seq.next_element_seed(CountAt { tokens: rest, count: self.count })?.is_some()
                }
                _ => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
            index = index.checked_add(1).ok_or_else(|| A::Error::custom("too many elements"))?;
        }
        if self.tokens.is_empty() {
            *self.count = Some(index);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(body: &str, pointers: &[&str]) -> Vec<Option<String>> {
        json_at(body, &pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<Vec<_>>(), usize::MAX).unwrap()
    }

    fn response(bytes: usize) -> HostResponse {
        HostResponse { status: 200, headers: Vec::new(), body: Body::new(vec![b'x'; bytes]) }
    }

    #[test]
    fn pointers_are_answered_in_one_pass() {
        let body = r#" {"count": 2, "next": null, "a/b": {"~": "é"}, "results": [{"id": 1}, {"id": 2, "tags": [ ]}]} "#;
        assert_eq!(
            at(body, &["/next", "/results/1/id", "/results/1", "/a~1b/~0", "/none", "/count/deeper", "no pointer", "/results/1/id"]),
            [
                Some("null".into()),
                Some("2".into()),
                Some(r#"{"id": 2, "tags": [ ]}"#.into()),
                Some("\"é\"".into()),
                None,
                None,
                None,
                Some("2".into())
            ]
        );
        assert_eq!(at(body, &[""])[0].as_deref(), Some(body.trim()));
        assert_eq!(
            at(r#"{"a": {"b": {"c": 1}}}"#, &["/a", "/a/b", "/a/b/c"]),
            [Some(r#"{"b": {"c": 1}}"#.into()), Some(r#"{"c": 1}"#.into()), Some("1".into())]
        );
    }

    #[test]
    fn what_is_no_json_holds_nothing() {
        assert_eq!(at(r#"{"a": 1, "b": "#, &["/a"]), [None]);
        assert_eq!(at(r#"{"a": 1} x"#, &["/a"]), [None]);
        assert_eq!(at("<html>", &["", "/a"]), [None, None]);
        assert_eq!(count_at("[1, 2", ""), None);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(at(r#"{"a": {"b": 1}, "a": {"c": 2}}"#, &["/a/b", "/a/c"]), [None, Some("2".into())]);
        assert_eq!(at(r#"{"a": [1, {"b": 2}], "a": 3, "a": []}"#, &["/a/1/b", "/a/0", "/a"]), [None, None, Some("[]".into())]);
    }

    #[test]
    fn what_is_found_has_a_limit() {
        let body = format!(r#"{{"a": "{}"}}"#, "x".repeat(1000));
        let often = |times: usize, bytes_max: usize| json_at(&body, &vec!["/a".to_owned(); times], bytes_max);
        assert!(often(10, 10 * (1002 + STEP_BYTES)).is_some());
        assert!(often(10, 10 * (1002 + STEP_BYTES) - 1).is_none());
        // Steps that lead nowhere cost as well.
        assert!(json_at("{}", &["/b/c/d".to_owned()], 3 * STEP_BYTES - 1).is_none());
    }

    #[test]
    fn arrays_are_counted() {
        let body = r#"{"results": [1, {"x": [1, 2, 3]}, null], "n": {"results": []}}"#;
        assert_eq!(count_at(body, "/results"), Some(3));
        assert_eq!(count_at(body, "/results/1/x"), Some(3));
        assert_eq!(count_at(body, "/n/results"), Some(0));
        assert_eq!(count_at(body, "/n"), None);
        assert_eq!(count_at("[[1],[]]", ""), Some(2));
    }

    #[test]
    fn deep_documents_do_not_overflow_the_stack() {
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(500_000), "]".repeat(500_000));
        assert!(at(&deep, &["/a"])[0].is_some());
    }

    #[test]
    fn bodies_are_text_without_mark_or_binary() {
        assert_eq!(Body::new(b"\xef\xbb\xbf{}".to_vec()).as_text(), Some("{}"));
        assert_eq!(Body::new(b"\xff".to_vec()).as_text(), None);
    }

    #[test]
    fn an_old_handle_names_nothing() {
        let mut responses = Responses::new(2, 10);
        let first = responses.hold(response(4)).unwrap();
        responses.end_call();
        let second = responses.hold(response(4)).unwrap();
        assert_ne!(first, second);
        assert!(responses.get(second).is_ok());
        assert_eq!(responses.get(first).unwrap_err(), StaleHandle { earlier_call: true });
        responses.take(second).unwrap();
        assert_eq!(responses.get(second).unwrap_err(), StaleHandle { earlier_call: false });
    }

    #[test]
    fn count_and_bytes_are_capped_and_come_back() {
        let mut responses = Responses::new(2, 10);
        let first = responses.hold(response(8)).unwrap();
        assert_eq!(responses.hold(response(3)), Err(Full::Bytes(10)));
        responses.hold(response(2)).unwrap();
        assert_eq!(responses.hold(response(0)), Err(Full::Count(2)));
        responses.take(first).unwrap();
        responses.hold(response(8)).unwrap();
    }
}
