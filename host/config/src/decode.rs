//! Decodes a tree of nodes and collects every problem on the way.
//!
//! Key types: [`Decoder`] (where problems go), [`Record`] (a mapping whose keys are known) and [`Key`] (a row of a table of keys: one
//! table lists the keys of a record, with a function for each). A missing or wrong value yields `None` after it was reported, so that the rest of
//! the file is decoded as well.

use crate::load::{Data, Entry, Node};
use crate::problem::{Document, Problem, Severity, Span, nearest};
use crate::project::Environment;

/// Collects the problems of one document.
pub(crate) struct Decoder<'a> {
    pub(crate) document: &'a Document,
    pub(crate) problems: Vec<Problem>,
    /// The environment, for `${NAME}` in settings. Without one variables stay as they are written.
    pub(crate) environment: Option<&'a Environment<'a>>,
    /// The severity of a variable that is not set.
    pub(crate) unset: Severity,
}

/// A key of a record: a row of the record's table of keys.
pub(crate) struct Key<T> {
    name: &'static str,
    required: bool,
    read: Read<T>,
}

/// Puts a key's value, which stands at a path, into the record that is being decoded.
pub(crate) type Read<T> = fn(&mut Decoder<'_>, &Node, &str, &mut T);

impl<T> Key<T> {
    /// Makes a key that may be absent, or null.
    pub(crate) const fn optional(name: &'static str, read: Read<T>) -> Key<T> {
        Key { name, required: false, read }
    }

    /// Makes a key that must have a value.
    pub(crate) const fn required(name: &'static str, read: Read<T>) -> Key<T> {
        Key { name, required: true, read }
    }
}

/// Returns the names of a table's keys.
pub(crate) fn names<T>(keys: &[Key<T>]) -> impl Iterator<Item = &'static str> {
    keys.iter().map(|key| key.name)
}

/// A mapping and its path.
pub(crate) struct Record<'n> {
    pub(crate) span: Span,
    pub(crate) path: String,
    entries: &'n [Entry],
}

impl<'n> Record<'n> {
    /// Returns the value of a key; a null is as good as no value.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.get_or_null(key).filter(|node| !matches!(node.data, Data::Null))
    }

    /// Returns the value of a key, also where it is null.
    pub(crate) fn get_or_null(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Returns the path of a key.
    pub(crate) fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

/// Returns the path of a key below a path.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Names in backticks, separated by commas.
pub(crate) fn list_names<'s>(names: impl IntoIterator<Item = &'s str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// "did you mean …?", or else all known names.
pub(crate) fn suggest<'s>(word: &str, known: impl IntoIterator<Item = &'s str> + Clone, what: &str) -> Option<String> {
    if let Some(near) = nearest(word, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    // A list longer than this is no help on a screen.
    const SHOWN_MAX: usize = 20;
    let mut all: Vec<&str> = known.into_iter().collect();
    if all.is_empty() {
        return None;
    }
    let more = all.len().saturating_sub(SHOWN_MAX);
    all.truncate(SHOWN_MAX);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{what}: {}{tail}", list_names(all)))
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(document: &'a Document) -> Self {
        Decoder { document, problems: Vec::new(), environment: None, unset: Severity::Error }
    }

    /// Decodes a mapping by its table of keys; none where the node is not a mapping.
    pub(crate) fn fill<'n, T>(&mut self, node: &'n Node, path: &str, keys: &[Key<T>], draft: &mut T) -> Option<Record<'n>> {
        let record = self.record(node, path, &names(keys).collect::<Vec<_>>())?;
        self.read(&record, keys, draft);
        Some(record)
    }

    /// Decodes the keys of a record that a table names. Reports those that are required and missing.
    pub(crate) fn read<T>(&mut self, record: &Record<'_>, keys: &[Key<T>], draft: &mut T) {
        for key in keys {
            let value = if key.required { self.required(record, key.name) } else { record.get(key.name) };
            if let Some(value) = value {
                (key.read)(self, value, &record.at(key.name), draft);
            }
        }
    }

    pub(crate) fn report(
        &mut self,
        severity: Severity,
        span: Span,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let mut problem = self.document.problem(severity, span, path, message);
        problem.hint = hint;
        self.problems.push(problem);
    }

    pub(crate) fn error(&mut self, span: Span, path: impl Into<String>, message: impl Into<String>) {
        self.report(Severity::Error, span, path, message, None);
    }

    pub(crate) fn error_hint(&mut self, span: Span, path: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Severity::Error, span, path, message, Some(hint.into()));
    }

    /// Returns a mapping with these keys and no others.
    pub(crate) fn record<'n>(&mut self, node: &'n Node, path: &str, known: &[&str]) -> Option<Record<'n>> {
        let entries = self.map(node, path)?;
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let hint = suggest(&entry.key, known.iter().copied(), "known keys");
                let message = format!("unknown key `{}`", entry.key);
                self.report(Severity::Error, entry.key_span, join(path, &entry.key), message, hint);
            }
        }
        Some(Record { span: node.span, path: path.to_owned(), entries })
    }

    /// Returns a mapping with any keys.
    pub(crate) fn map<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Entry]> {
        match &node.data {
            Data::Map(entries) => Some(entries),
            _ => {
                self.expected("a mapping of keys to values", node, path, None);
                None
            }
        }
    }

    /// Returns a key that must be there.
    pub(crate) fn required<'n>(&mut self, record: &Record<'n>, key: &str) -> Option<&'n Node> {
        match record.get_or_null(key) {
            Some(node) if matches!(node.data, Data::Null) => {
                self.error(node.span, record.at(key), format!("`{key}` has no value"));
                None
            }
            Some(node) => Some(node),
            None => {
                self.error(record.span, record.at(key), format!("the key `{key}` is missing"));
                None
            }
        }
    }

    /// Text that is not empty.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        match &node.data {
            Data::Text(text) if text.trim().is_empty() => {
                self.error(node.span, path, "this text is empty");
                None
            }
            Data::Text(text) => Some(text),
            Data::Bool(_) | Data::Number(_) => {
                let hint = node.raw.as_deref().map(|raw| format!("put it in quotes, if it is a name: \"{raw}\""));
                self.expected("text", node, path, hint);
                None
            }
            _ => {
                self.expected("text", node, path, None);
                None
            }
        }
    }

    /// Returns the text of a key that must be there.
    pub(crate) fn required_text<'n>(&mut self, record: &Record<'n>, key: &str) -> Option<(&'n str, Span)> {
        let node = self.required(record, key)?;
        Some((self.text(node, &record.at(key))?, node.span))
    }

    /// Returns the text of a key that may be absent.
    pub(crate) fn optional_text<'n>(&mut self, record: &Record<'n>, key: &str) -> Option<(&'n str, Span)> {
        let node = record.get(key)?;
        Some((self.text(node, &record.at(key))?, node.span))
    }

    /// Returns the items of a key that may be absent; empty then.
    pub(crate) fn items<'n>(&mut self, record: &Record<'n>, key: &str) -> &'n [Node] {
        record.get(key).map_or(&[], |node| self.list(node, &record.at(key)))
    }

    /// Returns the items of a list; empty where the node is not a list.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Node] {
        if let Data::List(items) = &node.data {
            return items;
        }
        let key = path.rsplit('.').next().unwrap_or(path);
        let hint = if let Data::Text(text) = &node.data { Some(format!("write `{key}: [{text}]`")) } else { None };
        self.expected("a list", node, path, hint);
        &[]
    }

    /// Decodes each item of a list.
    pub(crate) fn each<T>(&mut self, node: &Node, path: &str, decode: impl Fn(&mut Self, &Node, &str) -> Option<T>) -> Vec<T> {
        let items = self.list(node, path).iter().enumerate();
        items.filter_map(|(index, item)| decode(self, item, &format!("{path}[{index}]"))).collect()
    }

    /// Returns the text of a node, and its place.
    pub(crate) fn text_at(&mut self, node: &Node, path: &str) -> Option<(String, Span)> {
        Some((self.text(node, path)?.to_owned(), node.span))
    }

    /// Returns a list of texts with their places.
    pub(crate) fn texts(&mut self, record: &Record<'_>, key: &str) -> Vec<(String, Span)> {
        record.get(key).map_or_else(Vec::new, |node| self.each(node, &record.at(key), Decoder::text_at))
    }

    /// Returns a whole number that is not negative; `"10"` and `10.0` are read as well, as pydantic reads them.
    pub(crate) fn count(&mut self, node: &Node, path: &str) -> Option<u32> {
        let number = match &node.data {
            Data::Number(number) => number.as_u64().or_else(|| {
                let value = number.as_f64().filter(|value| value.fract() == 0.0 && *value >= 0.0 && *value <= f64::from(u32::MAX));
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number within the range of u32")]
                value.map(|value| value as u64)
            }),
            Data::Text(text) => text.trim().parse().ok(),
            Data::Bad => return None,
            _ => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            self.expected("a whole number of 0 or more", node, path, None);
        }
        number
    }

    /// Reports a value of the wrong type, unless it was reported already.
    pub(crate) fn expected(&mut self, what: &str, node: &Node, path: &str, hint: Option<String>) {
        if !matches!(node.data, Data::Bad) {
            let message = format!("expected {what}, found {}", node.describe());
            self.report(Severity::Error, node.span, path, message, hint);
        }
    }
}
