//! Maps the records of a page onto rows of a kind.
//!
//! A mapping without filters and transforms moves columns as they are. With them, a record is built of the top-level names that
//! they read and run through them; the fields that a transform may have changed are taken from it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::RawKind;
use super::census::{Census, Probe};
use super::filter::Filter;
use super::lent::{Lent, Lookup, LookupKey, Needs};
use super::origin::{Origins, Skipped};
use super::reference::{KeyPart, PeerKey};
use super::trace::name_of;
use super::transform::Transforms;
use crate::records::{Projection, Records, Shape};
use crate::snapshot::Place;
use crate::value::{ColumnTooLarge, Tag, ValueColumn, json_string};

/// The path at which a system returns the sync that made an object.
pub const OWNER: &str = "@owner";

/// The path at which an adapter returns the line of a record that does not stand on the line behind the record before.
pub const LINE: &str = "@line";

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// `static`. Of a reference it is the peer's unique id.
    Static(Value),
    /// `mapping`: a dotted path into the record.
    Path(String),
    /// `mapping` and `reference`.
    Reference(String),
    /// A look-up in another resource.
    Lookup(Lookup),
    /// A peer's natural key from several columns.
    PeerKey(PeerKey),
}

/// Why a page could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A look-up in another resource failed.
    #[error("look-up: {0}")]
    Lookup(String),
    /// Too much text in one field.
    #[error(transparent)]
    TooLarge(#[from] ColumnTooLarge),
}

/// Where the values of a column are, once the projection is known.
#[derive(Debug)]
enum Taken {
    Static {
        value: Value,
        is_reference: bool,
    },
    /// A slot of the projection.
    Column(usize),
    /// One of the columns that are computed record by record.
    Computed(usize),
    Lookup {
        lookup: Lookup,
        key: Box<Taken>,
        is_reference: bool,
    },
    PeerKey {
        present: Option<Box<Taken>>,
        parts: Vec<(String, Taken)>,
    },
}

impl Taken {
    /// Returns where it shows whether records have the value.
    fn probe(&self) -> Option<Probe> {
        match self {
            Taken::Column(slot) => Some(Probe::Slot(*slot)),
            Taken::Computed(computed) => Some(Probe::Computed(*computed)),
            Taken::Lookup { key, .. } => key.probe(),
            Taken::Static { .. } | Taken::PeerKey { .. } => None,
        }
    }
}

/// A column that is taken from transformed records.
#[derive(Debug)]
struct Computed {
    path: Vec<String>,
    is_reference: bool,
}

/// One mapping of `schema_mapping`, ready to run.
#[derive(Debug)]
pub struct Feed {
    /// The kind's position in the model.
    pub kind: usize,
    filters: Vec<Filter>,
    transforms: Option<Transforms>,
    /// Each field once, with the places of its value: the last that has one counts.
    fields: Vec<(usize, Vec<Taken>)>,
    computed: Vec<Computed>,
    /// Top-level names that filters and transforms read, with their slots.
    names: Vec<(String, usize)>,
    id: usize,
    /// The slot of the sync that made a record, where that is read.
    owner: Option<usize>,
    /// Of fields whose peers may be of several kinds: the kinds that this mapping refers to.
    peer_kinds: Vec<(usize, usize)>,
    /// The destination's resource for the rows, where the kind has several.
    destination: Option<String>,
    /// The records that look-ups read.
    lent: Option<Arc<Lent>>,
    /// The identifiers, by their positions among the kind's fields: they name a record that is left out.
    identifiers: Vec<usize>,
    /// The resource, for messages.
    resource: Arc<str>,
    /// The slot of the lines that an adapter reports, if it was asked for them.
    line: Option<usize>,
    /// The paths that are looked for in the records: those of the filters, then those of the fields with their positions.
    probes: Vec<(String, Probe, Option<usize>)>,
}

impl Feed {
    /// Returns the ids of the records of a page, also of those that do not pass the filters; null where a record has none.
    #[must_use]
    pub fn record_ids<'r>(&self, records: &'r Records) -> Option<&'r ValueColumn> {
        records.columns.get(self.id).filter(|ids| ids.len() == records.rows)
    }

    /// Returns the top-level names that filters and transforms read: whatever is below them may matter.
    pub fn read_whole(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the paths of filters that lead deeper than one level below a top-level name: some systems show depth only on request.
    pub fn read_deep(&self) -> impl Iterator<Item = &str> {
        self.filters.iter().map(Filter::field).filter(|path| path.matches('.').count() > 1)
    }

    /// Returns whether records may be left out.
    #[must_use]
    pub fn filters_records(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Prepares a mapping and adds what it reads to the projection of its resource.
    ///
    /// `fields` are (position in the kind's fields, source); of several sources of one field the last that yields a value counts.
    #[must_use]
    pub fn new(
        kind: usize,
        filters: Vec<Filter>,
        transforms: Option<Transforms>,
        fields: Vec<(usize, FieldSource)>,
        projection: &mut Projection,
    ) -> Feed {
        let id = projection.slot("id", Shape::Value);
        let mut names: Vec<(String, usize)> = Vec::new();
        let mut written: Vec<String> = Vec::new();
        let mut want = |name: &str, projection: &mut Projection| {
            let top = name.split('.').next().unwrap_or(name).to_owned();
            if !names.iter().any(|(known, _)| *known == top) {
                let slot = projection.slot(&top, Shape::Value);
                names.push((top, slot));
            }
        };
        let mut probes: Vec<(String, Probe, Option<usize>)> = Vec::new();
        for (at, filter) in filters.iter().enumerate() {
            want(filter.fields_read(), projection);
            probes.push((filter.fields_read().to_owned(), Probe::Filter(at), None));
        }
        if let Some(transforms) = &transforms {
            let reads = transforms.reads();
            for name in &reads.names {
                want(name, projection);
                projection.slot_in_order(name);
            }
            for name in reads.writes {
                want(&name, projection);
                written.push(name);
            }
        }
        let mut compiler = Compiler { projection, written: &written, computed: Vec::new() };
        let mut grouped: Vec<(usize, Vec<Taken>)> = Vec::with_capacity(fields.len());
        for (at, source) in fields {
            let path = match &source {
                FieldSource::Path(path) | FieldSource::Reference(path) => Some(path.clone()),
                FieldSource::Lookup(lookup) => Some(lookup.key.clone()),
                FieldSource::Static(_) | FieldSource::PeerKey(_) => None,
            };
            let taken = compiler.source(source);
            if let (Some(path), Some(probe)) = (path, taken.probe()) {
                probes.push((path, probe, Some(at)));
            }
            match grouped.iter_mut().find(|(known, _)| *known == at) {
                Some((_, places)) => places.push(taken),
                None => grouped.push((at, vec![taken])),
            }
        }
        let computed = compiler.computed;
        let peer_kinds = Vec::new();
        Feed {
            kind,
            filters,
            transforms,
            fields: grouped,
            computed,
            names,
            id,
            owner: None,
            peer_kinds,
            destination: None,
            lent: None,
            identifiers: Vec::new(),
            resource: Arc::from(""),
            line: None,
            probes,
        }
    }

    /// Says which resource the records are of.
    pub fn read_from(&mut self, resource: &str, projection: &mut Projection) {
        self.resource = Arc::from(resource);
        self.line = Some(projection.slot(LINE, Shape::Value));
    }

    /// Returns the filters.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Returns the paths that were looked for and that no record has, each once.
    #[must_use]
    pub fn paths_missing(&self, census: &Census) -> Vec<&str> {
        let mut missing: Vec<&str> = Vec::new();
        for (at, (path, probe, field)) in self.probes.iter().enumerate() {
            // A path is there if another field has it, and so is a field that has one of its places.
            let is_found = |(other, (known, _, of)): (usize, &(String, Probe, Option<usize>))| {
                census.is_found(other) && (known == path || (field.is_some() && of == field))
            };
            let counts = census.was_asked(*probe) && !missing.contains(&path.as_str());
            if counts && !census.is_found(at) && !self.probes.iter().enumerate().any(is_found) {
                missing.push(path);
            }
        }
        missing
    }

    /// Says that the references of a field may mean objects of a kind, both by their positions. Kinds that are not given like this are not meant,
    /// although the field's peers may be of them: an id of one kind means nothing in the others.
    pub fn hint_peer_kind(&mut self, field: usize, kind: usize) {
        self.peer_kinds.push((field, kind));
    }

    /// Reads which sync made each record, too.
    pub fn read_owner(&mut self, projection: &mut Projection) {
        self.owner = Some(projection.slot(OWNER, Shape::Value));
    }

    /// Says which resource of the destination the rows belong to: for kinds whose mappings have several.
    pub fn write_to(&mut self, resource: &str) {
        self.destination = Some(resource.to_owned());
    }

    /// Says which fields identify an object, in the order of the key: records that are left out are named by them.
    pub fn identify_by(&mut self, fields: Vec<usize>) {
        self.identifiers = fields;
    }

    /// Says which of its fields are references, for those that come out of a transform, a look-up or a literal.
    pub fn mark_references(&mut self, is_reference: impl Fn(usize) -> bool) {
        for (at, places) in &mut self.fields {
            for taken in places {
                match taken {
                    Taken::Computed(column) => {
                        if let Some(computed) = self.computed.get_mut(*column) {
                            computed.is_reference = is_reference(*at);
                        }
                    }
                    Taken::Static { is_reference: known, .. } | Taken::Lookup { is_reference: known, .. } => *known = is_reference(*at),
                    Taken::Column(_) | Taken::PeerKey { .. } => {}
                }
            }
        }
    }

    /// Returns what must be read before the first page.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let mut needs = self.transforms.as_ref().map(|transforms| transforms.needs().clone()).unwrap_or_default();
        for taken in self.fields.iter().flat_map(|(_, places)| places) {
            if let Taken::Lookup { lookup, .. } = taken {
                needs.merge(lookup.needs());
            }
        }
        needs
    }

    /// Lends what was read, before the first page.
    pub fn lend(&mut self, lent: &Arc<Lent>) {
        if let Some(transforms) = &self.transforms {
            transforms.lend(lent);
        }
        self.lent = Some(lent.clone());
    }

    /// Maps the records of a page onto rows of the kind. Returns how many passed the filters. A record on which a filter or a transform fails
    /// is noted in `into.skipped`.
    ///
    /// # Errors
    /// When a look-up fails, or a column is too large; nothing of the page is kept.
    pub fn append(&self, records: &Records, into: &mut RawKind) -> Result<usize, FeedError> {
        let mut page = Page { records, rows: None, computed: Vec::new() };
        let places = Places::new(records, self.line, &into.census);
        into.census.begin(records, self.filters.len(), self.probes.len());
        if !self.filters.is_empty() || self.transforms.is_some() {
            self.compute(&mut page, into, &places);
        }
        into.census.passed(page.len());
        self.look(&page, &mut into.census);
        let first = into.rows;
        let kept = self.keep(&page, into)?;
        if !self.resource.is_empty() {
            places.note(&page, first, kept, (&self.resource, &mut into.origins));
        }
        Ok(kept)
    }

    /// Notes which of the paths the records of a page have.
    fn look(&self, page: &Page<'_>, census: &mut Census) {
        let has = |column: Option<&ValueColumn>| column.is_some_and(|column| column.tags().iter().any(|tag| *tag != Tag::Missing));
        for (at, (_, probe, _)) in self.probes.iter().enumerate() {
            let found = !census.is_found(at)
                && match probe {
                    Probe::Slot(slot) => has(page.records.columns.get(*slot)),
                    Probe::Computed(computed) => has(page.computed.get(*computed)),
                    // Noted record by record.
                    Probe::Filter(_) => false,
                };
            if found {
                census.found(at);
            }
        }
    }

    /// Filters and transforms the records one by one, and takes the computed columns from them.
    fn compute(&self, page: &mut Page<'_>, into: &mut RawKind, places: &Places) {
        let records = page.records;
        let mut rows = Vec::with_capacity(records.rows);
        page.computed = vec![ValueColumn::default(); self.computed.len()];
        for row in 0..records.rows {
            let mut record = self.record(records, row);
            match self.passes(&record, &mut into.census) {
                Ok(None) => {}
                Ok(Some(against)) => {
                    let names = || (self.id_of(records, row), self.name_of_record(records, &record, row));
                    into.trace.leave_out(against, &record, names);
                    continue;
                }
                Err((field, reason)) => {
                    into.skipped.push(self.skipped((records, &record, row), places, field, &reason));
                    continue;
                }
            }
            if let Some(transforms) = &self.transforms {
                let before = into.trace.wants_transformed().then(|| record.clone());
                if let Err(error) = transforms.apply_in_order(&mut record, |name| self.text_of(records, row, name)) {
                    let skipped = self.skipped((records, &record, row), places, error.field(), &error.to_string());
                    into.skipped.push(skipped);
                    continue;
                }
                if let Some(before) = before {
                    let names = (self.id_of(records, row), self.name_of_record(records, &record, row));
                    into.trace.transform(&before, &record, names);
                }
            }
            for (computed, out) in self.computed.iter().zip(&mut page.computed) {
                match (at_path(&record, &computed.path), computed.is_reference) {
                    (Some(value), true) => out.push_peer(value),
                    (Some(value), false) => out.push_json(value),
                    (None, _) => out.push(Tag::Missing, ""),
                }
            }
            rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        page.rows = Some(rows);
    }

    /// Returns the filter that leaves a record out, if one does. Of a filter that fails: its field and the failure.
    fn passes(&self, record: &Map<String, Value>, census: &mut Census) -> Result<Option<&Filter>, (&str, String)> {
        for (at, filter) in self.filters.iter().enumerate() {
            // The probes of filters are the first ones.
            if !census.is_found(at) && filter.value_in(record).is_some() {
                census.found(at);
            }
            match filter.matches(record) {
                Ok(true) => {}
                Ok(false) => {
                    census.left_out(at);
                    return Ok(Some(filter));
                }
                Err(error) => return Err((filter.fields_read(), error.to_string())),
            }
        }
        Ok(None)
    }

    fn id_of(&self, records: &Records, row: usize) -> String {
        records.columns.get(self.id).map_or_else(String::new, |ids| ids.text(row).to_owned())
    }

    fn skipped(
        &self,
        (records, record, row): (&Records, &Map<String, Value>, usize),
        places: &Places,
        field: &str,
        reason: &str,
    ) -> Skipped {
        let id = self.id_of(records, row);
        let values = self.identifiers_of_record(records, record, row);
        let (name, identifiers) = match id.is_empty() {
            true => (name_of(values.into_iter().map(|(_, value)| value)), Vec::new()),
            false => {
                let texts = values.into_iter().filter(|(_, value)| !value.is_null());
                (id, texts.map(|(at, value)| (at, value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect())
            }
        };
        // `None__None` names nothing.
        let name = if name.split("__").all(|part| part == "None") { String::new() } else { name };
        Skipped { name, identifiers, place: places.of(row, &self.resource), field: Arc::from(field), reason: Arc::from(reason) }
    }

    /// Adds the rows of a page to the kind, or nothing when one of its columns would overflow.
    fn keep(&self, page: &Page<'_>, into: &mut RawKind) -> Result<usize, FeedError> {
        let kept = page.len();
        let mut parts: Vec<(usize, Cow<'_, ValueColumn>)> = Vec::with_capacity(self.fields.len());
        for (at, places) in &self.fields {
            let mut columns = places.iter().map(|taken| self.column(taken, page)).collect::<Result<Vec<_>, _>>()?;
            let column = if columns.len() == 1 { columns.swap_remove(0) } else { Cow::Owned(last_value(&columns, kept)) };
            parts.push((*at, column));
        }
        let ids = page.column(self.id);
        // Everything is looked at before anything is added, so that a page is kept whole or not at all.
        let fits = |(at, column): &(usize, Cow<'_, ValueColumn>)| into.columns.get(*at).is_none_or(|out| out.has_room(column.text_bytes()));
        let owners = self.owner.map(|slot| page.column(slot));
        let room_for_owners = owners.as_ref().is_none_or(|owners| into.owners.has_room(owners.text_bytes()));
        if !(into.ids.has_room(ids.text_bytes()) && room_for_owners && parts.iter().all(fits)) {
            return Err(ColumnTooLarge.into());
        }
        for (at, column) in &parts {
            if let Some(out) = into.columns.get_mut(*at) {
                out.append(column)?;
            }
        }
        into.ids.append(&ids)?;
        if let Some(owners) = owners {
            into.owners.fill(into.rows);
            into.owners.append(&owners)?;
            into.owners.fill(into.rows + kept);
        }
        if !(self.peer_kinds.is_empty() && into.peer_kind_hints.is_empty()) {
            into.hint_until(into.rows, &[]);
            into.hint_until(into.rows + kept, &self.peer_kinds);
        }
        into.rows += kept;
        if let Some(resource) = &self.destination {
            into.resources.fill_with(into.rows - kept, into.rows, resource);
        }
        // Fields that this mapping does not feed are null in its rows.
        into.ids.fill(into.rows);
        into.columns.iter_mut().for_each(|column| column.fill(into.rows));
        Ok(kept)
    }

    /// Returns the values of a page's rows.
    fn column<'p>(&self, taken: &Taken, page: &'p Page<'_>) -> Result<Cow<'p, ValueColumn>, FeedError> {
        Ok(match taken {
            Taken::Column(slot) => {
                let column = page.column(*slot);
                let is_canonical = !page.records.in_order.contains(slot) || !column.tags().contains(&Tag::Json);
                if is_canonical { column } else { Cow::Owned(column.sorted()) }
            }
            Taken::Computed(column) => page.computed.get(*column).map_or_else(Cow::default, Cow::Borrowed),
            Taken::Static { value, is_reference } => {
                let mut column = ValueColumn::default();
                (0..page.len()).for_each(|_| if *is_reference { column.push_peer(value) } else { column.push_json(value) });
                Cow::Owned(column)
            }
            Taken::Lookup { lookup, key, is_reference } => {
                let keys = self.column(key, page)?;
                let lent = self.lent.as_ref().ok_or_else(|| FeedError::Lookup("it has not been read".to_owned()))?;
                let mut column = ValueColumn::with_capacity(page.len());
                for row in 0..page.len() {
                    let value = lent.lookup(&lookup.resource, &LookupKey::Join(lookup.key.clone(), keys.to_json(row)), &lookup.path);
                    let value = value.map_err(FeedError::Lookup)?.unwrap_or_else(|| lookup.default.clone());
                    if *is_reference { column.push_peer(&value) } else { column.push_json(&value) }
                }
                Cow::Owned(column)
            }
            Taken::PeerKey { present, parts } => {
                let present = present.as_ref().map(|taken| self.column(taken, page)).transpose()?;
                let mut columns = Vec::with_capacity(parts.len());
                for (name, taken) in parts {
                    columns.push((name.as_str(), self.column(taken, page)?));
                }
                Cow::Owned(peer_keys(present.as_deref(), &columns, page.len()))
            }
        })
    }

    /// Returns the identifiers of a record as they were read, joined.
    fn name_of_record(&self, records: &Records, record: &Map<String, Value>, row: usize) -> String {
        name_of(self.identifiers_of_record(records, record, row).into_iter().map(|(_, value)| value))
    }

    /// Returns the identifiers of a record as they were read, each with the position of its field.
    fn identifiers_of_record(&self, records: &Records, record: &Map<String, Value>, row: usize) -> Vec<(usize, Value)> {
        let value = |taken: &Taken| match taken {
            Taken::Column(slot) => records.columns.get(*slot).map(|column| column.to_json(row)),
            Taken::Computed(column) => self.computed.get(*column).and_then(|computed| at_path(record, &computed.path)).cloned(),
            Taken::Static { value, .. } => Some(value.clone()),
            Taken::Lookup { .. } | Taken::PeerKey { .. } => None,
        };
        let places = |field: &usize| self.fields.iter().find(|(at, _)| at == field).map(|(_, places)| places);
        let named = |field: &usize| places(field).into_iter().flatten().filter_map(value).rfind(|value| !value.is_null());
        self.identifiers.iter().map(|field| (*field, named(field).unwrap_or_default())).collect()
    }

    /// Returns the text of a list or object that a transform reads, with its keys in the order of the record.
    fn text_of<'r>(&self, records: &'r Records, row: usize, name: &str) -> Option<&'r str> {
        let (_, slot) = self.names.iter().find(|(known, _)| known == name)?;
        let column = records.columns.get(*slot).filter(|column| column.tag(row) == Tag::Json)?;
        Some(column.text(row))
    }

    fn record(&self, records: &Records, row: usize) -> Map<String, Value> {
        let mut record = Map::new();
        for (name, slot) in &self.names {
            if let Some(column) = records.columns.get(*slot).filter(|column| !column.is_missing(row)) {
                record.insert(name.clone(), column.to_json(row));
            }
        }
        record
    }
}

/// Finds the places of values.
struct Compiler<'f> {
    projection: &'f mut Projection,
    /// The names that transforms write: what is there is read from the record, not from the page.
    written: &'f [String],
    computed: Vec<Computed>,
}

impl Compiler<'_> {
    fn source(&mut self, source: FieldSource) -> Taken {
        match source {
            FieldSource::Static(value) => Taken::Static { value, is_reference: false },
            FieldSource::Path(path) => self.path(&path, Shape::Value),
            FieldSource::Reference(path) => self.path(&path, Shape::Peer),
            FieldSource::Lookup(lookup) => {
                let key = Box::new(self.path(&lookup.key, Shape::Value));
                Taken::Lookup { lookup, key, is_reference: false }
            }
            FieldSource::PeerKey(PeerKey { present, parts }) => {
                let present = present.map(|path| Box::new(self.path(&path, Shape::Value)));
                let mut parts: Vec<(String, Taken)> = parts.into_iter().map(|(name, part)| (name, self.part(part))).collect();
                // As canonical JSON has them.
                parts.sort_by(|(one, _), (other, _)| one.cmp(other));
                Taken::PeerKey { present, parts }
            }
        }
    }

    fn part(&mut self, part: KeyPart) -> Taken {
        match part {
            KeyPart::Path(path) => self.path(&path, Shape::Value),
            KeyPart::Static(value) => Taken::Static { value, is_reference: false },
        }
    }

    fn path(&mut self, path: &str, shape: Shape) -> Taken {
        if !touched(path, self.written) {
            return Taken::Column(self.projection.slot(path, shape));
        }
        self.computed.push(Computed { path: path.split('.').map(str::to_owned).collect(), is_reference: shape == Shape::Peer });
        Taken::Computed(self.computed.len() - 1)
    }
}

/// A page, and the rows of it that are kept.
struct Page<'r> {
    records: &'r Records,
    /// None: all.
    rows: Option<Vec<u32>>,
    computed: Vec<ValueColumn>,
}

impl Page<'_> {
    fn len(&self) -> usize {
        self.rows.as_ref().map_or(self.records.rows, Vec::len)
    }

    /// Returns the column of a slot; empty where the page has none, or not one value a record.
    fn column(&self, slot: usize) -> Cow<'_, ValueColumn> {
        match (self.records.columns.get(slot).filter(|column| column.len() == self.records.rows), &self.rows) {
            (None, _) => Cow::default(),
            (Some(column), None) => Cow::Borrowed(column),
            (Some(column), Some(rows)) => Cow::Owned(column.gather(rows)),
        }
    }
}

/// Where the records of a page stand.
struct Places {
    /// From a record of the page on, the number of its record or line.
    runs: Vec<(usize, u64)>,
    is_line: bool,
}

impl Places {
    fn new(records: &Records, line: Option<usize>, census: &Census) -> Places {
        if !records.lines.is_empty() {
            let runs = records.lines.iter().map(|(row, line)| (*row, census.lines() + line)).collect();
            return Places { runs, is_line: true };
        }
        let reported = line.and_then(|slot| records.columns.get(slot)).filter(|lines| lines.tags().first() == Some(&Tag::Int));
        match reported {
            Some(lines) => {
                let tags = lines.tags().iter().enumerate().filter(|(_, tag)| **tag == Tag::Int);
                let runs = tags.filter_map(|(row, _)| Some((row, lines.text(row).parse().ok()?))).collect();
                Places { runs, is_line: true }
            }
            None => Places { runs: vec![(0, census.read() + 1)], is_line: false },
        }
    }

    fn number(&self, row: usize) -> u64 {
        let run = self.runs.partition_point(|(first, _)| *first <= row).checked_sub(1).and_then(|at| self.runs.get(at));
        run.map_or(0, |(first, number)| number + (row - first) as u64)
    }

    fn of(&self, row: usize, resource: &Arc<str>) -> Option<Place> {
        let (resource, is_line, number) = (resource.to_string(), self.is_line, self.number(row));
        (number > 0 && !resource.is_empty()).then_some(Place { resource, is_line, number })
    }

    /// Notes where the rows from `first` on were read.
    fn note(&self, page: &Page<'_>, first: usize, kept: usize, (resource, origins): (&Arc<str>, &mut Origins)) {
        match &page.rows {
            Some(rows) => {
                for (at, row) in rows.iter().enumerate().take(kept) {
                    origins.begin(first + at, resource, (self.number(*row as usize), self.is_line));
                }
            }
            None => self.runs.iter().filter(|(row, _)| *row < kept).for_each(|(row, number)| {
                origins.begin(first + row, resource, (*number, self.is_line));
            }),
        }
    }
}

/// Returns the natural keys of peers, as objects of their identifiers. No peer is where `present` has no value, nor where no part has one.
fn peer_keys(present: Option<&ValueColumn>, parts: &[(&str, Cow<'_, ValueColumn>)], rows: usize) -> ValueColumn {
    let mut out = ValueColumn::with_capacity(rows);
    let mut key = String::new();
    let is_null = |column: &ValueColumn, row: usize| match column.tag(row) {
        Tag::Null => true,
        tag => tag == Tag::Text && column.text(row).is_empty(),
    };
    for row in 0..rows {
        if present.is_some_and(|present| is_null(present, row)) || parts.iter().all(|(_, column)| is_null(column, row)) {
            out.push_null();
            continue;
        }
        key.clear();
        for (at, (name, column)) in parts.iter().enumerate() {
            key.push(if at == 0 { '{' } else { ',' });
            json_string(name, &mut key);
            key.push(':');
            column.write_json(row, &mut key);
        }
        key.push('}');
        out.push(Tag::Json, &key);
    }
    out
}

/// In each row the last value that is not null.
fn last_value(columns: &[Cow<'_, ValueColumn>], rows: usize) -> ValueColumn {
    let mut out = ValueColumn::with_capacity(rows);
    for row in 0..rows {
        match columns.iter().rev().find(|column| column.tag(row) != Tag::Null) {
            Some(column) => out.push_from(column, row),
            None => out.push_null(),
        }
    }
    out
}

/// Returns whether a transform writes the path's first name, or the path itself.
fn touched(path: &str, written: &[String]) -> bool {
    let top = path.split('.').next();
    written.iter().any(|name| name.split('.').next() == top)
}

fn at_path<'r>(record: &'r Map<String, Value>, path: &[String]) -> Option<&'r Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(record.get(first)?, |value, name| value.as_object()?.get(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::lent::Lends;
    use crate::mapping::reference::{self, ReferenceRule};

    fn rows(raw: &RawKind, column: usize) -> Vec<Value> {
        (0..raw.rows).map(|row| raw.columns[column].to_json(row)).collect()
    }

    /// Sends one page through a feed, and the same page again.
    fn feed(filters: Vec<Filter>, transforms: &[(&str, &str)], fields: Vec<(usize, FieldSource)>, body: &str) -> RawKind {
        let transforms: Vec<(String, String)> =
            transforms.iter().map(|(field, template)| ((*field).to_owned(), (*template).to_owned())).collect();
        let transforms = (!transforms.is_empty()).then(|| Transforms::compile(&transforms).unwrap());
        let mut projection = Projection::default();
        let feed = Feed::new(0, filters, transforms, fields, &mut projection);
        let mut raw = RawKind::new(3);
        for _ in 0..2 {
            feed.append(&projection.json(body, "").unwrap(), &mut raw).unwrap();
        }
        assert!(raw.columns.iter().all(|column| column.len() == raw.rows) && raw.ids.len() == raw.rows);
        raw
    }

    fn path(path: &str) -> FieldSource {
        FieldSource::Path(path.to_owned())
    }

    #[test]
    fn last_source_of_a_field_that_yields_a_value_counts() {
        let body = r#"[{"id":1,"a":"x","b":"y"},{"id":2,"a":"x","b":null},{"id":3},{"id":4,"b":"z"}]"#;
        let fields = || vec![(2, FieldSource::Static(json!("s"))), (0, path("id")), (2, path("a")), (2, path("b"))];
        let expected = ["y", "x", "s", "z", "y", "x", "s", "z"].map(Value::from);
        assert_eq!(rows(&feed(Vec::new(), &[], fields(), body), 2), expected);
        let filtered = feed(vec![Filter::compile("id", "!=", Some(&json!(3))).unwrap()], &[("b", "{{ none }}")], fields(), body);
        assert_eq!(rows(&filtered, 2), ["y", "x", "z", "y", "x", "z"].map(Value::from));
        assert_eq!(rows(&filtered, 1), vec![Value::Null; 6]);
    }

    #[test]
    fn literal_of_a_reference_is_a_plain_value_and_an_empty_one_names_no_peer() {
        let made = |literal: Value| {
            let mut projection = Projection::default();
            let mut feed = Feed::new(0, Vec::new(), None, vec![(0, FieldSource::Static(literal))], &mut projection);
            feed.mark_references(|_| true);
            let mut raw = RawKind::new(1);
            feed.append(&projection.json("[{}]", "").unwrap(), &mut raw).unwrap();
            (raw.columns[0].tag(0), raw.columns[0].text(0).to_owned())
        };
        assert_eq!(made(json!("Munich__1")), (Tag::Text, "Munich__1".to_owned()));
        assert_eq!(made(json!(0)), (Tag::Int, "0".to_owned()));
        assert_eq!(made(json!("")).0, Tag::Null);
    }

    #[test]
    fn own_value_at_the_fields_name_comes_before_the_path() {
        let sources = reference::sources(&[ReferenceRule::FieldName], "site", "fvTenant.site", Vec::new());
        let fields: Vec<(usize, FieldSource)> = sources.into_iter().map(|source| (0, source)).collect();
        let body =
            r#"[{"id":1,"fvTenant":{"site":"a"}},{"id":2,"fvTenant":{"site":"a"},"site":"b"},{"id":3,"fvTenant":{"site":"a"},"site":""}]"#;
        assert_eq!(rows(&feed(Vec::new(), &[], fields.clone(), body), 0)[..3], ["a", "b", "a"].map(Value::from));
        let transformed = feed(Vec::new(), &[("site", "{{ 'c' if id > 1 else none }}")], fields, body);
        assert_eq!(rows(&transformed, 0)[..3], ["a", "c", "c"].map(Value::from));
        assert_eq!(reference::sources(&[ReferenceRule::FieldName], "site", "site", Vec::new()), [FieldSource::Reference("site".into())]);
    }

    #[test]
    fn key_of_a_peer_is_built_from_columns() {
        let parts = vec![("site".to_owned(), KeyPart::Path("siteName".into())), ("kind".to_owned(), KeyPart::Static(json!("leaf")))];
        let sources = reference::sources(&[ReferenceRule::PeerColumns, ReferenceRule::UniqueId], "device", "hostname", parts);
        let fields: Vec<(usize, FieldSource)> = sources.into_iter().map(|source| (0, source)).collect();
        let body = r#"[{"id":1,"hostname":"h","siteName":"s"},{"id":2,"hostname":"h"},{"id":3,"siteName":"s"},{"id":4,"hostname":"","siteName":"s"}]"#;
        let expected = [json!({"kind": "leaf", "site": "s"}), json!({"kind": "leaf", "site": null}), json!(null), json!("")];
        let found = rows(&feed(Vec::new(), &[], fields.clone(), body), 0);
        assert_eq!(found[..3], expected[..3]);
        assert!(found[3].is_null());
        // The value of the field's own path counts where the columns have none.
        let lone = vec![("name".to_owned(), KeyPart::Path("siteName".into()))];
        let sources = reference::sources(&[ReferenceRule::PeerColumns], "site", "hostname", lone);
        let fields: Vec<(usize, FieldSource)> = sources.into_iter().map(|source| (0, source)).collect();
        let transformed = feed(Vec::new(), &[("siteName", "{{ siteName|default('x')|upper }}")], fields, body);
        assert_eq!(rows(&transformed, 0)[..2], [json!({"name": "S"}), json!({"name": "X"})]);
    }

    #[test]
    fn mapping_may_look_up_a_value_in_another_resource() {
        let lookup = |mapping: &str| Lookup::parse(mapping, "lookup");
        assert_eq!(lookup("labels.instance"), None);
        for wrong in ["lookup()", "lookup(a, b)", "lookup(a, , c)", "lookup(a, b, c, d, e)"] {
            assert!(lookup(wrong).is_some_and(|read| read.is_err()), "{wrong}");
        }
        let read = lookup("lookup(uname, labels.instance, 'labels.nodename', none given)").unwrap().unwrap();
        assert_eq!((read.path.as_str(), &read.default), ("labels.nodename", &json!("none given")));
        assert_eq!(lookup("lookup('uname', a.b, c, 7)").unwrap().unwrap().default, json!(7));
        let mut projection = Projection::default();
        let mut feed = Feed::new(0, Vec::new(), None, vec![(0, FieldSource::Lookup(read))], &mut projection);
        let needs = feed.needs();
        let resources = needs.resources().map(|mut resource| {
            assert_eq!(resource.name(), "uname");
            let body = r#"[{"labels":{"instance":"a","nodename":"alpha"}},{"labels":{"instance":"a","nodename":"late"}}]"#;
            resource.append(&resource.projection().json(body, "").unwrap()).unwrap();
            resource
        });
        let lent = Arc::new(Lent::new(&Lends::default(), resources));
        let mut raw = RawKind::new(1);
        let records = projection.json(r#"[{"labels":{"instance":"a"}},{"labels":{"instance":"b"}},{}]"#, "").unwrap();
        assert!(matches!(feed.append(&records, &mut raw), Err(FeedError::Lookup(_))));
        feed.lend(&lent);
        feed.append(&records, &mut raw).unwrap();
        assert_eq!(rows(&raw, 0), ["alpha", "none given", "none given"].map(Value::from));
    }

    #[test]
    fn row_knows_the_destination_of_its_mapping() {
        let part = |resource: Option<&str>, body: &str| {
            let mut projection = Projection::default();
            let mut feed = Feed::new(0, Vec::new(), None, vec![(0, path("id"))], &mut projection);
            if let Some(resource) = resource {
                feed.write_to(resource);
            }
            let mut raw = RawKind::new(1);
            feed.append(&projection.json(body, "").unwrap(), &mut raw).unwrap();
            raw
        };
        let mut raw = part(None, r#"[{"id":1}]"#);
        assert!(raw.resources.is_empty());
        raw.merge(part(Some("devices"), r#"[{"id":2},{"id":3}]"#)).unwrap();
        raw.merge(part(Some("machines"), r#"[{"id":4}]"#)).unwrap();
        raw.merge(part(None, r#"[{"id":5}]"#)).unwrap();
        raw.merge(part(Some("devices"), r#"[{"id":6}]"#)).unwrap();
        let of: Vec<Option<&str>> = (0..raw.rows).map(|row| raw.resources.get(row)).collect();
        assert_eq!(of, [None, Some("devices"), Some("devices"), Some("machines"), None, Some("devices")]);
        assert_eq!(raw.resources.gather(&[3, 0]).get(0), Some("machines"));
    }

    #[test]
    fn record_that_cannot_be_mapped_is_left_out_and_named() {
        let transforms = Transforms::compile(&[("name".into(), "{{ name.upper() }}".into())]).unwrap();
        let filter = Filter::compile("units", ">", Some(&json!(3))).unwrap();
        let mut projection = Projection::default();
        let mut feed = Feed::new(0, vec![filter], Some(transforms), vec![(0, path("name")), (1, path("serail"))], &mut projection);
        feed.read_from("devices", &mut projection);
        feed.identify_by(vec![0]);
        let mut raw = RawKind::new(2);
        let lines = [
            "{\"name\":\"a\",\"units\":4}",
            "",
            "{\"name\":7,\"units\":4}",
            "{\"name\":\"c\",\"units\":1}",
            "{\"id\":9,\"name\":\"d\",\"units\":\"x\"}",
        ];
        for _ in 0..2 {
            feed.append(&projection.json_lines(&(lines.join("\n") + "\n")).unwrap(), &mut raw).unwrap();
        }
        assert_eq!(rows(&raw, 0), ["A", "A"].map(Value::from));
        let told: Vec<(&str, String, &str)> = raw
            .skipped
            .iter()
            .map(|skipped| (skipped.name.as_str(), skipped.place.as_ref().unwrap().to_string(), &*skipped.field))
            .collect();
        let place = |line: u64| format!("`devices`, line {line}");
        assert_eq!(told, [("7", place(3), "name"), ("9", place(5), "units"), ("7", place(8), "name"), ("9", place(10), "units")]);
        assert_eq!([0, 1].map(|row| raw.origins.place(row).unwrap().to_string()), [place(1), place(6)]);
        assert_eq!((raw.census.read(), raw.census.left_out_by()), (8, &[2][..]));
        assert_eq!(feed.paths_missing(&raw.census), ["serail"]);
        // Of a field with several places one is enough.
        let sources = reference::sources(&[ReferenceRule::FieldName], "site", "tenant.site", Vec::new());
        let mut projection = Projection::default();
        let fields = sources.into_iter().map(|source| (0, source)).chain([(1, path("a.b")), (1, path("a.c"))]).collect();
        let feed = Feed::new(0, Vec::new(), None, fields, &mut projection);
        let mut raw = RawKind::new(2);
        feed.append(&projection.json(r#"[{"tenant":{"site":"x"}}]"#, "").unwrap(), &mut raw).unwrap();
        assert_eq!(feed.paths_missing(&raw.census), ["a.b", "a.c"]);
    }

    #[test]
    fn adapter_may_say_on_which_line_a_record_stands() {
        let mut projection = Projection::default();
        let mut feed = Feed::new(0, Vec::new(), None, vec![(0, path("name"))], &mut projection);
        feed.read_from("devices", &mut projection);
        let mut raw = RawKind::new(1);
        let body = r#"[{"@line":2,"name":"a"},{"name":"b"},{"@line":7,"name":"c"},{"name":"d"}]"#;
        feed.append(&projection.json(body, "").unwrap(), &mut raw).unwrap();
        let lines = [0, 1, 2, 3].map(|row| raw.origins.place(row).unwrap().to_string());
        assert_eq!(lines, [2, 3, 7, 8].map(|line| format!("`devices`, line {line}")));
        feed.append(&projection.json(r#"[{"name":"e"}]"#, "").unwrap(), &mut raw).unwrap();
        assert_eq!(raw.origins.place(4).unwrap().to_string(), "`devices`, record 5");
    }

    #[test]
    fn reference_that_a_transform_wrote_is_a_reference() {
        let raw = feed(Vec::new(), &[("site", "{{ {'id': 7} }}")], vec![(0, FieldSource::Reference("site".into()))], r#"[{"id":1}]"#);
        assert_eq!((raw.columns[0].tag(0), raw.columns[0].text(0)), (Tag::Id, "7"));
    }
}
