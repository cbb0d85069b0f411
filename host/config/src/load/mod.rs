//! YAML with positions: the one place that touches a YAML parser.
//!
//! Key type: [`Node`], a tree in which every value knows its line and column. Anchors, aliases and merge keys (`<<`) are
//! resolved; plain scalars are read as PyYAML's `safe_load` reads them ([`scalar`]), because the projects that exist were written
//! against it.
//!
//! Not for data files: a bad scalar or a duplicate key is a problem of a configuration and is reported with its place.

mod padding;
pub(crate) mod scalar;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::{Number, Value};

use crate::problem::{Document, Problem, Severity, Span};
use padding::Padding;
use scalar::{Plain, Tagged};

/// Largest file that is read: a configuration of a thousand kinds has less than a hundredth of it.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Most values a file may hold once its aliases are expanded: a few lines of nested aliases can stand for billions.
const NODES_MAX: usize = 1_000_000;

/// Bytes of a text that take about as much memory as a value does.
const BYTES_OF_NODE: usize = 128;

/// Deepest nesting: decoding walks the tree recursively and must not run out of stack.
const DEPTH_MAX: usize = 100;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it begins; for an alias, where the alias stands.
    pub(crate) span: Span,
    /// The value.
    pub(crate) data: Data,
    /// The text of a plain scalar that is not a text: `0755`, `yes`, `~`.
    pub(crate) raw: Option<Box<str>>,
    /// For a block scalar (`|`, `>`): the line of its first line of text.
    pub(crate) text_line: Option<u32>,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A finite number of 64 bits.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping without duplicate keys, merge keys resolved.
    Map(Vec<Entry>),
    /// Something that was reported already.
    Bad,
}

/// A key of a mapping and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// Returns the value without its positions.
    pub(crate) fn to_value(&self) -> Value {
        match &self.data {
            Data::Null | Data::Bad => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(value) => Value::Number(value.clone()),
            Data::Text(value) => Value::String(value.clone()),
            Data::List(items) => items.iter().map(Node::to_value).collect(),
            Data::Map(entries) => Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect()),
        }
    }

    /// Returns its description, for "expected …, found …". Text is not repeated: it may be a credential in the wrong place.
    pub(crate) fn describe(&self) -> String {
        let raw = self.raw.as_deref().unwrap_or_default();
        match &self.data {
            Data::Null | Data::Bad => "nothing".to_owned(),
            Data::Bool(value) if raw == value.to_string() => format!("the boolean `{raw}`"),
            Data::Bool(value) => format!("`{raw}`, which YAML reads as the boolean `{value}`"),
            Data::Number(value) if raw == value.to_string() => format!("the number {raw}"),
            Data::Number(value) => format!("`{raw}`, which YAML reads as the number {value}"),
            Data::Text(_) => "text".to_owned(),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a mapping of keys to values".to_owned(),
        }
    }
}

/// Reads a file as text.
///
/// # Errors
///
/// The file cannot be read, is larger than 16 MiB or is not UTF-8.
pub(crate) fn read(file: &Path) -> Result<String, Vec<Problem>> {
    let failed = |error: std::io::Error| vec![Problem::of_file(file, format!("cannot read the file: {error}"))];
    let metadata = std::fs::metadata(file).map_err(failed)?;
    if metadata.is_dir() {
        return Err(vec![Problem::of_file(file, "this is a folder, not a file").with_hint("name the `config.yml` inside it")]);
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(vec![Problem::of_file(file, format!("the file has {} bytes, at most {FILE_BYTES_MAX} are read", metadata.len()))]);
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        vec![Problem::of_file(file, format!("line {line} is not UTF-8 text")).with_hint("save the file as UTF-8")]
    })
}

/// Returns the tree of a document, and every problem on the way to it. No tree: the text is not YAML, or empty.
pub(crate) fn parse(document: &Document) -> (Option<Node>, Vec<Problem>) {
    let mut padding = Padding::default();
    loop {
        let text = padding.apply(document);
        let mut builder = Builder {
            document,
            padding: &padding,
            problems: Vec::new(),
            frames: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            nodes: 0,
        };
        match builder.run(&text) {
            Ok(complete) => return (if complete { builder.root } else { None }, builder.problems),
            Err(error) => {
                let mut wider = padding.clone();
                if !wider.widen(&text, &error) {
                    builder.syntax_error(&error);
                    return (None, builder.problems);
                }
                padding = wider;
            }
        }
    }
}

/// A collection that is being read.
struct Frame {
    span: Span,
    anchor: usize,
    /// Expanded size so far.
    nodes: usize,
    open: Open,
}

/// The size of a finished node.
#[derive(Clone, Copy)]
struct Size {
    /// How many nodes it stands for.
    nodes: usize,
    /// How many of them were made just now.
    made: usize,
}

enum Open {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merges: Vec<Node>, key: Option<Key> },
}

/// A key that waits for its value.
enum Key {
    Plain(String, Span),
    Merge,
    /// Reported already; its value is dropped.
    Bad,
}

struct Builder<'a> {
    document: &'a Document,
    padding: &'a Padding,
    problems: Vec<Problem>,
    frames: Vec<Frame>,
    /// Finished anchored nodes and their expanded sizes.
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
    /// Nodes made so far, copies included.
    nodes: usize,
}

impl Builder<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>, hint: Option<&str>) {
        let mut problem = self.document.problem(Severity::Error, span, "", message);
        problem.hint = hint.map(str::to_owned);
        self.problems.push(problem);
    }

    /// Reads all events of the padded text; false where it had to be given up.
    fn run(&mut self, text: &str) -> Result<bool, ScanError> {
        let mut parser = Parser::new(StrInput::new(text));
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event?;
            if !self.on_event(event, self.padding.to_span(span), &mut documents) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes one event in; false where reading has to stop.
    fn on_event(&mut self, event: Event<'_>, span: Span, documents: &mut u32) -> bool {
        match event {
            Event::DocumentStart(_) => {
                *documents += 1;
                if *documents > 1 {
                    self.error(span, "a second document begins here", Some("one file holds one document: remove the `---`"));
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), span);
                let merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                // A long text counts as several values: an alias of it is another copy.
                let nodes = 1 + text.len() / BYTES_OF_NODE;
                return self.finish(node, Size { nodes, made: nodes }, anchor, merge);
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_collection_tag(tag.as_deref(), "seq", span);
                return self.open(span, anchor, Open::List(Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.check_collection_tag(tag.as_deref(), "map", span);
                return self.open(span, anchor, Open::Map { entries: Vec::new(), merges: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(frame) = self.frames.pop() {
                    return self.close(frame);
                }
            }
            Event::Alias(anchor) => {
                let Some((mut node, nodes)) = self.anchors.get(&anchor).cloned() else {
                    self.error(span, "this alias stands inside its own anchor", None);
                    return false;
                };
                node.span = span;
                return self.finish(node, Size { nodes, made: nodes }, 0, false);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        true
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let marker = *error.marker();
        let mut span = self.padding.to_span(saphyr_parser::Span::empty(marker));
        // Most errors at the end of the text are about the last line that says something.
        while span.line > 1 && self.document.line(span.line).is_none_or(|line| line.trim().is_empty()) {
            span.line -= 1;
            span.column = self.document.line(span.line).map_or(1, |line| count(line.trim_end().chars().count().max(1)));
        }
        let tab = self.document.line(span.line).is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'));
        let hint = if tab {
            Some("indent with spaces: YAML does not allow tabs there".to_owned())
        } else {
            let open = self.padding.last_before(span.line);
            open.map(|line| format!("is a `[`, a `{{` or a quote from before line {line} not closed?"))
        };
        self.error(span, format!("this is not valid YAML: {}", error.info()), hint.as_deref());
    }

    fn open(&mut self, span: Span, anchor: usize, open: Open) -> bool {
        if self.frames.len() >= DEPTH_MAX {
            self.error(span, format!("nested more than {DEPTH_MAX} levels deep"), None);
            return false;
        }
        self.frames.push(Frame { span, anchor, nodes: 1, open });
        true
    }

    fn close(&mut self, frame: Frame) -> bool {
        let data = match frame.open {
            Open::List(items) => Data::List(items),
            Open::Map { entries, merges, .. } => Data::Map(self.merged(entries, merges)),
        };
        let node = Node { span: frame.span, data, raw: None, text_line: None };
        // Its items were counted when they were finished; an anchor keeps a copy of all of them.
        let made = if frame.anchor == 0 { 1 } else { frame.nodes };
        self.finish(node, Size { nodes: frame.nodes, made }, frame.anchor, false)
    }

    /// Hands a finished node to the collection around it; false where there are too many.
    fn finish(&mut self, node: Node, size: Size, anchor: usize, is_merge: bool) -> bool {
        let nodes = size.nodes;
        self.nodes += size.made;
        if self.nodes > NODES_MAX {
            self.error(node.span, format!("the file holds more than {NODES_MAX} values once its aliases are expanded"), None);
            return false;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        let mut unusable = None;
        match self.frames.last_mut() {
            None => self.root = Some(node),
            Some(frame) => {
                frame.nodes += nodes;
                match &mut frame.open {
                    Open::List(items) => items.push(node),
                    Open::Map { entries, merges, key } => match key.take() {
                        Some(Key::Plain(key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                        Some(Key::Merge) => merges.push(node),
                        Some(Key::Bad) => {}
                        None if is_merge => *key = Some(Key::Merge),
                        None => {
                            *key = Some(match (node.data, node.raw) {
                                // Keys are text, whatever they would be as values: `on`, `1`.
                                (_, Some(raw)) => Key::Plain(raw.into(), node.span),
                                (Data::Text(text), None) => Key::Plain(text, node.span),
                                (Data::Bad, None) => Key::Bad,
                                (Data::Null, None) => Key::Plain(String::new(), node.span),
                                _ => {
                                    unusable = Some(node.span);
                                    Key::Bad
                                }
                            });
                        }
                    },
                }
            }
        }
        if let Some(span) = unusable {
            let hint = "text that begins with `{`, `[` or `{{` must be in quotes: \"{{ name }}\"";
            self.error(span, "a list or mapping cannot be a key", Some(hint));
        }
        true
    }

    /// Returns a mapping's entries: its own first (each key once), then those of its merge keys that it does not have.
    fn merged(&mut self, entries: Vec<Entry>, merges: Vec<Node>) -> Vec<Entry> {
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(first) = seen.get(&entry.key) {
                let message = format!("the key `{}` stands here a second time; the first is on line {}", entry.key, first.line);
                self.error(entry.key_span, message, Some("keep one of them"));
                continue;
            }
            seen.insert(entry.key.clone(), entry.key_span);
            kept.push(entry);
        }
        let mut known: HashSet<String> = seen.into_keys().collect();
        // As PyYAML does: of several merge keys the last wins, inside one list the first.
        for merge in merges.into_iter().rev() {
            let sources = match merge.data {
                Data::List(items) => items,
                _ => vec![merge],
            };
            for source in sources {
                match source.data {
                    Data::Map(entries) => kept.extend(entries.into_iter().filter(|entry| known.insert(entry.key.clone()))),
                    Data::Bad => {}
                    _ => {
                        let message = format!("`<<` merges mappings, found {}", source.describe());
                        self.error(source.span, message, Some("write `<<: *anchor`, or `<<: [*one, *two]`"));
                    }
                }
            }
        }
        kept
    }

    fn check_collection_tag(&mut self, tag: Option<&Tag>, expected: &str, span: Span) {
        let is_expected = |tag: &Tag| is_plain_tag(tag) || (tag.is_yaml_core_schema() && tag.suffix == expected);
        if let Some(tag) = tag.filter(|tag| !is_expected(tag)) {
            self.error(span, format!("the tag `{}` is not known here", show_tag(tag)), Some("remove the tag"));
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mut span: Span) -> Node {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        // The parser's span of a block scalar is its text or its bar, depending on what follows: find the text's line.
        let text_line = block.then(|| self.block_text_line(span.line));
        if block {
            span.width = 1;
        }
        let node = |data, raw: Option<&str>| Node { span, data, raw: raw.map(Into::into), text_line };
        let plain = match tag {
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None => Plain::Text,
            Some(tag) => match scalar::resolve_tagged(text, tag.is_yaml_core_schema().then_some(tag.suffix.as_str())) {
                Tagged::Is(plain) => plain,
                Tagged::UnknownTag if is_plain_tag(tag) => Plain::Text,
                Tagged::UnknownTag => {
                    self.error(span, format!("the tag `{}` is not known here", show_tag(tag)), Some("remove the tag"));
                    return node(Data::Bad, None);
                }
                Tagged::NotOfTag => {
                    self.error(span, format!("this value is not `{}`", show_tag(tag)), Some("remove the tag, or correct the value"));
                    return node(Data::Bad, None);
                }
            },
        };
        match plain {
            Plain::Null => node(Data::Null, Some(text)),
            Plain::Bool(value) => node(Data::Bool(value), Some(text)),
            Plain::Number(value) => node(Data::Number(value), Some(text)),
            Plain::Text => node(Data::Text(text.to_owned()), None),
            Plain::OutOfRange => {
                self.error(span, "this number cannot be held in 64 bits", Some("put it in quotes, if it is text"));
                node(Data::Bad, Some(text))
            }
        }
    }

    /// Returns the first line of a block scalar's text; `line` is where its bar stands or its first line that is not empty.
    fn block_text_line(&self, mut line: u32) -> u32 {
        let is_header = self.document.line(line).is_some_and(|text| {
            let text = text.split(" #").next().unwrap_or_default().trim_end();
            text.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')).ends_with(['|', '>'])
        });
        if is_header {
            return line + 1;
        }
        while line > 1 && self.document.line(line - 1).is_some_and(|before| before.trim().is_empty()) {
            line -= 1;
        }
        line
    }
}

/// Returns whether it is the lone `!`, which says no more than "as it is written".
fn is_plain_tag(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!"
}

/// Returns the tag as it is written.
fn show_tag(tag: &Tag) -> String {
    if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() }
}

/// Files are far shorter than 4 billion lines; a saturated number is only a wrong place in a message.
pub(crate) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
