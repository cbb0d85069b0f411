//! Reads YAML as data: by the core schema of YAML 1.2, with anchors, merge keys and several documents.
//!
//! The values become JSON text. A number keeps the digits in which it is written; `yes`, `1:30` and dates are texts.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use infrahub_sync_adapter::{Error, Result};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::object::quoted;

/// The deepest nesting: values are written by a function that calls itself.
const DEPTH_MAX: usize = 100;
/// The most bytes of JSON that a file may become: a few lines of nested aliases can stand for billions of values.
const BYTES_MAX: usize = 512 << 20;

/// A value.
enum Node {
    /// JSON text.
    Scalar(String),
    List(Vec<Rc<Node>>),
    Map(Vec<(String, Rc<Node>)>),
}

/// A record: JSON text, and the line on which it begins.
pub(crate) struct Record {
    pub(crate) json: String,
    pub(crate) line: u64,
}

/// Returns the records of all documents of a file: a list of them, or a list below one of the names. Where a file has several documents, one of
/// them may be a record itself. None: there is no list.
pub(crate) fn records(bytes: &[u8], file: &str, names: &[&str]) -> Result<Option<Vec<Record>>> {
    let wrong = |line: u64, what: &str| Error::config(format!("`{file}`, line {line}: {what}"));
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        wrong(line as u64, "is not UTF-8")
    })?;
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let (event, span) =
            event.map_err(|error| wrong(error.marker().line() as u64, &format!("this is not valid YAML: {}", error.info())))?;
        builder.event(event, span.start.line() as u64).map_err(|(line, what)| wrong(line, &what))?;
    }
    let several = builder.documents.len() > 1;
    let mut records = Vec::new();
    let mut written = 0;
    for (document, line) in &builder.documents {
        let items: Vec<&Item> = match &*document.node {
            Node::Scalar(json) if json == "null" => Vec::new(),
            Node::List(_) => document.items.iter().collect(),
            Node::Map(members) => {
                let list = names.iter().find_map(|name| {
                    let (_, node) = members.iter().find(|(member, _)| member == name)?;
                    matches!(**node, Node::List(_)).then_some(node)
                });
                match list {
                    Some(list) => builder.items_of(list),
                    None if several => vec![document],
                    None => return Ok(None),
                }
            }
            Node::Scalar(_) => return Ok(None),
        };
        for item in items {
            let mut json = String::new();
            write(&item.node, &mut json, BYTES_MAX.saturating_sub(written))
                .map_err(|()| wrong(*line, "its aliases stand for too many values"))?;
            written += json.len();
            records.push(Record { json, line: item.line });
        }
    }
    Ok(Some(records))
}

fn write(node: &Node, out: &mut String, bytes_max: usize) -> std::result::Result<(), ()> {
    match node {
        Node::Scalar(json) => out.push_str(json),
        Node::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out, bytes_max)?;
            }
            out.push(']');
        }
        Node::Map(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(name));
                out.push(':');
                write(value, out, bytes_max)?;
            }
            out.push('}');
        }
    }
    if out.len() > bytes_max { Err(()) } else { Ok(()) }
}

/// A value, where it begins, and the items of a list.
#[derive(Clone)]
struct Item {
    node: Rc<Node>,
    line: u64,
    items: Rc<Vec<Item>>,
}

/// A collection that is being read.
struct Frame {
    line: u64,
    anchor: usize,
    open: Open,
}

enum Open {
    List(Vec<Item>),
    Map { members: Vec<(String, Rc<Node>)>, merges: Vec<Rc<Node>>, key: Option<Key> },
}

enum Key {
    Name(String),
    Merge,
}

#[derive(Default)]
struct Builder {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Item>,
    documents: Vec<(Item, u64)>,
    /// The lists below the names of a document: their items know their lines.
    lists: Vec<Item>,
}

/// A line and what is wrong there.
type Wrong = (u64, String);

impl Builder {
    fn items_of(&self, list: &Rc<Node>) -> Vec<&Item> {
        self.lists.iter().find(|known| Rc::ptr_eq(&known.node, list)).map(|list| list.items.iter().collect()).unwrap_or_default()
    }

    fn event(&mut self, event: Event<'_>, line: u64) -> std::result::Result<(), Wrong> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let node = Node::Scalar(scalar(&text, style, tag.as_deref()));
                let item = Item { node: Rc::new(node), line, items: Rc::default() };
                self.finish(item, anchor, (is_plain && text == "<<", Some(&text)))
            }
            Event::SequenceStart(anchor, _) => self.open(Frame { line, anchor, open: Open::List(Vec::new()) }),
            Event::MappingStart(anchor, _) => {
                self.open(Frame { line, anchor, open: Open::Map { members: Vec::new(), merges: Vec::new(), key: None } })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Frame { line, anchor, open }) = self.frames.pop() else { return Ok(()) };
                let item = match open {
                    Open::List(items) => {
                        let node = Node::List(items.iter().map(|item| item.node.clone()).collect());
                        // Only a list of a whole document, or one right below, is a list of records.
                        let items = if self.frames.len() <= 1 { items } else { Vec::new() };
                        Item { node: Rc::new(node), line, items: Rc::new(items) }
                    }
                    Open::Map { members, merges, .. } => {
                        Item { node: Rc::new(Node::Map(merged(members, &merges, line)?)), line, items: Rc::default() }
                    }
                };
                if self.frames.len() == 1 && matches!(*item.node, Node::List(_)) {
                    self.lists.push(item.clone());
                }
                self.finish(item, anchor, (false, None))
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(item) => self.finish(Item { line, ..item }, 0, (false, None)),
                None => Err((line, "this alias stands inside its own anchor".to_owned())),
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, frame: Frame) -> std::result::Result<(), Wrong> {
        if self.frames.len() >= DEPTH_MAX {
            return Err((frame.line, format!("nested more than {DEPTH_MAX} levels deep")));
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Hands a value to the collection around it. `text`: of a scalar, as it is written.
    fn finish(&mut self, item: Item, anchor: usize, (is_merge, text): (bool, Option<&str>)) -> std::result::Result<(), Wrong> {
        if anchor != 0 {
            self.anchors.insert(anchor, item.clone());
        }
        match self.frames.last_mut().map(|frame| &mut frame.open) {
            None => self.documents.push((item.clone(), item.line)),
            Some(Open::List(items)) => items.push(item),
            Some(Open::Map { members, merges, key }) => match key.take() {
                Some(Key::Name(name)) => members.push((name, item.node)),
                Some(Key::Merge) => merges.push(item.node),
                None if is_merge => *key = Some(Key::Merge),
                None => match (text, &*item.node) {
                    // Keys are text, whatever they would be as values.
                    (Some(text), _) => *key = Some(Key::Name(text.to_owned())),
                    (None, Node::Scalar(json)) => {
                        *key = Some(Key::Name(infrahub_sync_adapter::serde_json::from_str(json).unwrap_or_else(|_| json.clone())));
                    }
                    _ => return Err((item.line, "a list or mapping cannot be a key".to_owned())),
                },
            },
        }
        Ok(())
    }
}

/// Returns the members of a mapping, and those of its merge keys that it does not have.
fn merged(members: Vec<(String, Rc<Node>)>, merges: &[Rc<Node>], line: u64) -> std::result::Result<Vec<(String, Rc<Node>)>, Wrong> {
    let mut known: HashSet<String> = HashSet::with_capacity(members.len());
    if let Some((twice, _)) = members.iter().find(|(name, _)| !known.insert(name.clone())) {
        return Err((line, format!("the key `{twice}` stands here a second time")));
    }
    let mut members = members;
    for merge in merges.iter().rev() {
        let sources: &[Rc<Node>] = match &**merge {
            Node::List(items) => items,
            _ => std::slice::from_ref(merge),
        };
        for source in sources {
            let Node::Map(others) = &**source else { return Err((line, "`<<` merges mappings only".to_owned())) };
            members.extend(others.iter().filter(|(name, _)| known.insert(name.clone())).cloned());
        }
    }
    Ok(members)
}

/// Returns a scalar as JSON text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> String {
    let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| !tag.is_yaml_core_schema() || tag.suffix == "str");
    if is_text {
        return quoted(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => "null".to_owned(),
        "true" | "True" | "TRUE" => "true".to_owned(),
        "false" | "False" | "FALSE" => "false".to_owned(),
        _ => number(text).unwrap_or_else(|| quoted(text)),
    }
}

/// Returns the JSON text of a number of the core schema. Its digits stay.
fn number(text: &str) -> Option<String> {
    let radix = |digits: &str, radix: u32| u128::from_str_radix(digits, radix).ok().map(|value| value.to_string());
    let all = |digits: &str, is: fn(&u8) -> bool| !digits.is_empty() && digits.bytes().all(|byte| is(&byte));
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| all(digits, |byte| matches!(byte, b'0'..=b'7'))) {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| all(digits, u8::is_ascii_hexdigit)) {
        return radix(digits, 16);
    }
    let (sign, body) = match text.strip_prefix(['-', '+']) {
        Some(body) => (if text.starts_with('-') { "-" } else { "" }, body),
        None => ("", text),
    };
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (body.get(..at)?, body.get(at..)?),
        None => (body, ""),
    };
    let exponent_digits = exponent.get(1..).map(|digits| digits.strip_prefix(['-', '+']).unwrap_or(digits));
    if exponent_digits.is_some_and(|digits| !all(digits, u8::is_ascii_digit)) {
        return None;
    }
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = is_digits(whole) && fraction.is_none_or(is_digits) && !(whole.is_empty() && fraction.is_none_or(str::is_empty));
    if !is_number {
        return None;
    }
    // JSON wants digits before and behind the point, and no zeros before others.
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match fraction {
        Some("") => format!("{sign}{whole}.0{exponent}"),
        Some(fraction) => format!("{sign}{whole}.{fraction}{exponent}"),
        None => format!("{sign}{whole}{exponent}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, u64)> {
        let records = records(text.as_bytes(), "x.yaml", &["results", "x"]).unwrap().unwrap();
        records.into_iter().map(|record| (record.json, record.line)).collect()
    }

    #[test]
    fn scalars_are_read_by_the_core_schema_and_numbers_keep_their_digits() {
        for (yaml, json) in [
            ("1e3", "1e3"),
            ("1234E5", "1234E5"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("yes", "\"yes\""),
            ("no", "\"no\""),
            ("1:30", "\"1:30\""),
            ("2024-01-01", "\"2024-01-01\""),
            ("1.10", "1.10"),
            ("007", "7"),
            ("+12", "12"),
            ("-.5", "-0.5"),
            ("5.", "5.0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1_000", "\"1_000\""),
            (".inf", "\".inf\""),
            (".", "\".\""),
            ("e5", "\"e5\""),
            ("10.0.0.1", "\"10.0.0.1\""),
            ("~", "null"),
            ("TRUE", "true"),
            ("'1'", "\"1\""),
            ("!!str 1", "\"1\""),
        ] {
            assert_eq!(read(&format!("- {{a: {yaml}}}"))[0].0, format!("{{\"a\":{json}}}"), "{yaml}");
        }
    }

    #[test]
    fn merge_keys_anchors_and_documents() {
        let text = "x: &d {serial: s, role: leaf}\nx2: &e {role: spine, rack: r}\nresults:\n  - {<<: *d, name: a}\n  - <<: [*e, *d]\n    name: b\n    rack: own\n";
        let lines: Vec<(String, u64)> = read(text);
        assert_eq!(lines[0], (r#"{"name":"a","serial":"s","role":"leaf"}"#.to_owned(), 4));
        assert_eq!(lines[1], (r#"{"name":"b","rack":"own","role":"spine","serial":"s"}"#.to_owned(), 5));
        let several = read("- {name: a}\n---\n- {name: b}\n---\nname: c\n---\n");
        assert_eq!(
            several.iter().map(|record| record.0.as_str()).collect::<Vec<_>>(),
            [r#"{"name":"a"}"#, r#"{"name":"b"}"#, r#"{"name":"c"}"#]
        );
        assert_eq!(several.iter().map(|record| record.1).collect::<Vec<_>>(), [1, 3, 5]);
        assert!(records(b"name: c", "x.yaml", &["results"]).unwrap().is_none());
        assert!(read("").is_empty());
    }

    #[test]
    fn mistakes_name_their_line() {
        let wrong = |text: &str| records(text.as_bytes(), "x.yaml", &[]).err().unwrap().message;
        assert!(wrong("- a: 1\n  b: [1\n").starts_with("`x.yaml`, line "));
        assert_eq!(wrong("- a: 1\n  a: 2\n"), "`x.yaml`, line 1: the key `a` stands here a second time");
        assert!(wrong("- &a [*a]").contains("inside its own anchor"));
        let bomb: String = (0..40).map(|at| format!("- &a{} [*a{at}, *a{at}]\n", at + 1)).collect();
        assert!(wrong(&format!("- &a0 [x, y]\n{bomb}")).contains("too many values"));
    }
}
