//! The loans of an adapter to transforms and mappings: tables made of one of its resources, and look-ups across resources.
//!
//! Key types: [`Lends`] (the loans by name), [`Needs`] (the ones that a mapping uses, known when it is compiled) and [`Lent`] (the
//! records, read by the host beforehand). So a transform depends only on its record and the loans.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde_json::Value;

use crate::key::push_part;
use crate::python::parse_literal;
use crate::records::{Projection, Records, Shape};
use crate::value::{ColumnTooLarge, Tag, ValueColumn};

/// A table: a filter of its name turns a key into a value, and leaves what is not a key as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The name of the table, and of the filter.
    pub name: String,
    /// The resource that it is made of.
    pub resource: String,
    /// The dotted path of the keys in a record of the resource.
    pub key: String,
    /// The dotted path of the values.
    pub value: String,
}

/// The loans of an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lends {
    /// The tables.
    pub tables: Vec<Table>,
    /// The name of the function that looks up values in other resources.
    pub lookup: Option<String>,
}

impl Lends {
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

/// The resources that must be read before a mapping runs, each with the dotted paths that are used of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs(BTreeMap<String, BTreeSet<String>>);

impl Needs {
    /// Returns whether nothing is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the needs of another mapping.
    pub fn merge(&mut self, other: Needs) {
        for (resource, paths) in other.0 {
            self.0.entry(resource).or_default().extend(paths);
        }
    }

    /// Returns a place for the records of each resource.
    pub fn resources(&self) -> impl Iterator<Item = LentResource> {
        self.0.iter().map(|(resource, paths)| LentResource::new(resource, paths))
    }

    pub(crate) fn add<'p>(&mut self, resource: &str, paths: impl IntoIterator<Item = &'p str>) {
        self.0.entry(resource.to_owned()).or_default().extend(paths.into_iter().map(str::to_owned));
    }
}

/// The records of a resource, as far as they are used.
#[derive(Debug)]
pub struct LentResource {
    name: String,
    projection: Projection,
    rows: usize,
    /// One column a path, as in the projection.
    columns: Vec<ValueColumn>,
    /// The rows by the values of some columns, made when they are first asked for.
    indexes: RwLock<HashMap<Wanted, Arc<Index>>>,
}

/// The columns that a record is found by, and the one that must have a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Wanted {
    keys: Vec<usize>,
    value: usize,
}

/// The first row of each key.
type Index = HashMap<String, usize>;

impl LentResource {
    fn new(name: &str, paths: &BTreeSet<String>) -> LentResource {
        let mut projection = Projection::default();
        paths.iter().for_each(|path| {
            projection.slot(path, Shape::Value);
        });
        let columns = vec![ValueColumn::default(); projection.slots().len()];
        LentResource { name: name.to_owned(), projection, rows: 0, columns, indexes: RwLock::default() }
    }

    /// Returns the same without records.
    #[must_use]
    pub fn empty(&self) -> LentResource {
        let columns = vec![ValueColumn::default(); self.projection.slots().len()];
        LentResource { name: self.name.clone(), projection: self.projection.clone(), rows: 0, columns, indexes: RwLock::default() }
    }

    /// Returns the name of the resource.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what is read of each record.
    #[must_use]
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Adds the records of a page.
    ///
    /// # Errors
    /// When a column's text would pass 4 GiB.
    pub fn append(&mut self, records: &Records) -> Result<(), ColumnTooLarge> {
        for (column, read) in self.columns.iter_mut().zip(&records.columns) {
            column.append(read)?;
        }
        self.rows += records.rows;
        self.columns.iter_mut().for_each(|column| column.fill(self.rows));
        Ok(())
    }

    fn column(&self, path: &str) -> Option<usize> {
        self.projection.slots().iter().position(|(known, _)| known == path)
    }

    /// Returns the column of a label: `labels.NAME`, or `NAME` where no record has such a label.
    fn label(&self, name: &str) -> Option<usize> {
        let has_values = |at: &usize| self.columns.get(*at).is_some_and(|column| (0..column.len()).any(|row| column.tag(row) != Tag::Null));
        self.column(&format!("labels.{name}")).filter(has_values).or_else(|| self.column(name))
    }

    /// Finds the first row that has these keys, and a value.
    fn find(&self, wanted: Wanted, key: &str) -> Option<(usize, usize)> {
        let value = wanted.value;
        let known = self.indexes.read().unwrap_or_else(PoisonError::into_inner).get(&wanted).cloned();
        let index = known.unwrap_or_else(|| {
            let index = Arc::new(self.index(&wanted));
            self.indexes.write().unwrap_or_else(PoisonError::into_inner).insert(wanted, index.clone());
            index
        });
        Some((value, *index.get(key)?))
    }

    fn index(&self, wanted: &Wanted) -> Index {
        let mut index = Index::new();
        let mut key = String::new();
        for row in 0..self.rows {
            if self.columns.get(wanted.value).is_none_or(|column| column.tag(row) == Tag::Null) {
                continue;
            }
            key.clear();
            for column in wanted.keys.iter().filter_map(|at| self.columns.get(*at)) {
                push_part(column.tag(row), column.text(row), &mut key);
            }
            if !index.contains_key(&key) {
                index.insert(key.clone(), row);
            }
        }
        index
    }
}

/// The records that are lent.
#[derive(Debug, Default)]
pub struct Lent {
    resources: HashMap<String, LentResource>,
    /// The values of each table by key; of two records with one key the last counts.
    tables: HashMap<String, HashMap<String, Value>>,
}

impl Lent {
    /// Makes tables and look-ups of what was read.
    #[must_use]
    pub fn new(lends: &Lends, resources: impl IntoIterator<Item = LentResource>) -> Lent {
        let resources: HashMap<String, LentResource> = resources.into_iter().map(|resource| (resource.name.clone(), resource)).collect();
        let mut tables: HashMap<String, HashMap<String, Value>> = HashMap::new();
        for table in &lends.tables {
            let Some(resource) = resources.get(&table.resource) else { continue };
            let column = |path: &str| resource.column(path).and_then(|at| resource.columns.get(at));
            let (Some(keys), Some(values)) = (column(&table.key), column(&table.value)) else { continue };
            let entries = (0..resource.rows).filter(|row| keys.tag(*row) != Tag::Null && values.tag(*row) != Tag::Null);
            tables.insert(table.name.clone(), entries.map(|row| (keys.text(row).to_owned(), values.to_json(row))).collect());
        }
        Lent { resources, tables }
    }

    /// Returns the value of a table for a key, given as text.
    pub(crate) fn value(&self, table: &str, key: &str) -> Option<&Value> {
        self.tables.get(table)?.get(key)
    }

    /// Returns the resource that a look-up reads.
    fn resource(&self, name: &str) -> Option<&LentResource> {
        self.resources.get(name)
    }
}

/// The key of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LookupKey {
    /// Nothing: the first record that has the value.
    First,
    /// The value of the record at hand, at a path that the other record has as well.
    Join(String, Value),
    /// The labels that the other record has.
    Labels(Vec<(String, Value)>),
}

impl Lent {
    /// Looks up a value; none where no record has it. `Err` names what was not read: compiling has not seen this look-up.
    pub(crate) fn lookup(&self, resource: &str, key: &LookupKey, path: &str) -> Result<Option<Value>, String> {
        let unread = |what: &str| format!("`{what}` of `{resource}` was not read: write the arguments as texts");
        let lent = self.resource(resource).ok_or_else(|| unread(resource))?;
        let value = lent.column(path).ok_or_else(|| unread(path))?;
        let mut text = String::new();
        let mut keys = Vec::new();
        let pairs: Vec<(Option<usize>, &str, &Value)> = match key {
            LookupKey::First => Vec::new(),
            LookupKey::Join(path, value) => vec![(lent.column(path), path, value)],
            LookupKey::Labels(labels) => labels.iter().map(|(name, value)| (lent.label(name), name.as_str(), value)).collect(),
        };
        for (column, name, value) in pairs {
            keys.push(column.ok_or_else(|| unread(name))?);
            if value.is_null() {
                return Ok(None);
            }
            let mut scratch = ValueColumn::default();
            scratch.push_json(value);
            push_part(scratch.tag(0), scratch.text(0), &mut text);
        }
        let found = lent.find(Wanted { keys, value }, &text);
        Ok(found.and_then(|(column, row)| Some(lent.columns.get(column)?.to_json(row))))
    }
}

/// A look-up as the `mapping:` of a field: `lookup(resource, key path, value path)`, and a default.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The other resource.
    pub resource: String,
    /// The path at which this record and the other one have the same value.
    pub key: String,
    /// The path of the value in the other record.
    pub path: String,
    /// The value where there is no such record.
    pub default: Value,
}

impl Lookup {
    /// Reads the `mapping:` of a field; none where it does not call the function. Names may stand without quotation marks.
    ///
    /// # Errors
    /// When it calls the function with other arguments.
    pub fn parse(mapping: &str, function: &str) -> Option<Result<Lookup, String>> {
        let inner = mapping.trim().strip_prefix(function)?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
        let parts = split_arguments(inner);
        let text = |at: usize| parts.get(at).map(|part| plain_text(part)).filter(|text| !text.is_empty());
        let found = match (parts.len(), text(0), text(1), text(2)) {
            (3 | 4, Some(resource), Some(key), Some(path)) => {
                let default = parts.get(3).map_or(Value::Null, |part| parse_literal(part.trim()).unwrap_or_else(|| part.trim().into()));
                Ok(Lookup { resource, key, path, default })
            }
            _ => Err(format!("write `{function}(resource, key path, value path)`, and a default if you want one")),
        };
        Some(found)
    }

    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        needs.add(&self.resource, [self.key.as_str(), self.path.as_str()]);
        needs
    }
}

/// Returns the text of an argument, with or without quotation marks.
fn plain_text(argument: &str) -> String {
    match parse_literal(argument.trim()) {
        Some(Value::String(text)) => text,
        _ => argument.trim().to_owned(),
    }
}

/// Splits arguments at the commas that stand in no bracket and no text.
pub(crate) fn split_arguments(arguments: &str) -> Vec<&str> {
    split_at(arguments, ',')
}

/// Splits code at a sign that stands in no bracket and no text.
pub(crate) fn split_at(code: &str, sign: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0_usize, None);
    let mut escaped = false;
    for (at, character) in code.char_indices() {
        match (quote, character) {
            (Some(_), _) if std::mem::take(&mut escaped) => {}
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) if character == sign && depth == 0 => {
                parts.extend(code.get(start..at));
                start = at + character.len_utf8();
            }
            (None, _) => {}
        }
    }
    let last = code.get(start..).unwrap_or_default();
    if !(parts.is_empty() && last.trim().is_empty()) {
        parts.push(last);
    }
    parts
}

/// The place from which compiled templates take what is lent: it is empty until the host has read it.
pub(crate) type LentCell = Arc<OnceLock<Arc<Lent>>>;
