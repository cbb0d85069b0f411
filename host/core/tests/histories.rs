//! Random histories of a server: what a run knows that reads only what changed is what it would know had it read everything.
//!
//! The model of a server has what makes this hard. Its clock is coarse. What is written is seen later than it is dated, up to the overlap
//! with which changes are asked for. Objects are renamed, moved, deleted, made again under the same name with another id; they enter and
//! leave the filter of a mapping; a delete takes its object out of others, and may not say that these changed. Pages are read while others
//! write. Deletes are told by id, by number or not at all.
//!
//! Each run goes the way of the engine: pages → rows, `restore` of the stored batches, `Changes`, `without`, `merge`, `build`, and batches
//! again. After a run during which nobody wrote, its snapshot must be that of a full read; what somebody wrote during one is in the next.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow_array::RecordBatch;
use infrahub_sync_base::Side;
use infrahub_sync_core::batches::batches;
use infrahub_sync_core::changes::{Changes, Deletions, contradicts};
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::mapping::feed::{Feed, FieldSource};
use infrahub_sync_core::mapping::filter::Filter;
use infrahub_sync_core::model::{Cardinality, FieldModel, FieldType, KindModel, Model, Ownership};
use infrahub_sync_core::records::Projection;
use infrahub_sync_core::restore::{restore, without};
use infrahub_sync_core::snapshot::{Completeness, DataProblem, Snapshot, build};
use infrahub_sync_core::value::Tag;
use serde_json::{Map, Value, json};

const HISTORIES: u64 = 12_000;
/// Runs in a history.
const RUNS: usize = 6;

/// The server dates what is written to the last multiple of this.
const TICK: i64 = 5;
/// What is written is seen this much later than it is dated, at most.
const LATE: i64 = 20;
/// The moment that a load notes is ahead of or behind the server's clock by this much, at most.
const SKEW: i64 = 10;
/// Changes are asked for from so long before the moment of the last load.
const OVERLAP: i64 = LATE + TICK + SKEW;

const PLACE: usize = 0;
const DEVICE: usize = 1;
const PORT: usize = 2;
const KINDS: usize = 3;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.roll(count) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.roll(of.len())).copied()
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// The model of the sync
// ---------------------------------------------------------------------------------------------------------------------------

fn field(name: &str) -> FieldModel {
    FieldModel {
        name: name.into(),
        field_type: FieldType::Any,
        optional: true,
        reference: None,
        also: Vec::new(),
        cardinality: Cardinality::Unknown,
        default: None,
        ownership: Ownership::Usual,
    }
}

fn refers(name: &str, kind: &str, cardinality: Cardinality) -> FieldModel {
    FieldModel { reference: Some(kind.into()), cardinality, ..field(name) }
}

fn model() -> Model {
    let kind = |name: &str, identifiers: &[&str], tier, fields| KindModel {
        name: name.into(),
        identifiers: identifiers.iter().map(|name| (*name).to_owned()).collect(),
        tier,
        deferred: Vec::new(),
        lookup: false,
        unique: Vec::new(),
        fields,
    };
    let owner = FieldModel { also: vec!["Device".into()], ..refers("owner", "Place", Cardinality::One) };
    Model {
        kinds: vec![
            // Identified through themselves: a rename reaches the keys of all below.
            kind("Place", &["name", "parent"], 0, vec![field("name"), refers("parent", "Place", Cardinality::One), field("value")]),
            kind(
                "Device",
                &["name"],
                1,
                vec![
                    field("name"),
                    refers("place", "Place", Cardinality::One),
                    refers("friends", "Device", Cardinality::Many),
                    owner,
                    field("value"),
                ],
            ),
            kind("Port", &["device", "name"], 2, vec![field("name"), refers("device", "Device", Cardinality::One), field("value")]),
        ],
    }
}

/// The mapping of each kind. Ports are read where they are enabled.
fn feeds(model: &Model) -> Vec<(Projection, Feed)> {
    let one = |at: usize| {
        let mut projection = Projection::default();
        let fields = model.kinds[at].fields.iter().enumerate().map(|(at, field)| match field.reference {
            Some(_) => (at, FieldSource::Reference(field.name.clone())),
            None => (at, FieldSource::Path(field.name.clone())),
        });
        let filters = if at == PORT { vec![Filter::compile("enabled", "==", Some(&json!(true))).unwrap()] } else { Vec::new() };
        let feed = Feed::new(at, filters, None, fields.collect(), &mut projection);
        (projection, feed)
    };
    (0..KINDS).map(one).collect()
}

// ---------------------------------------------------------------------------------------------------------------------------
// The server
// ---------------------------------------------------------------------------------------------------------------------------

#[derive(Debug, Clone)]
struct Object {
    kind: usize,
    fields: Map<String, Value>,
    stamp: i64,
}

/// What somebody has written and nobody sees yet.
#[derive(Debug)]
struct Pending {
    seen_at: i64,
    id: u64,
    /// A new object, or a new state of one that is there; none: it is gone.
    object: Option<Object>,
}

/// How deletes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deletes {
    Ids,
    Total,
    Silent,
}

struct Server {
    dice: Dice,
    clock: i64,
    last_id: u64,
    objects: BTreeMap<u64, Object>,
    pending: Vec<Pending>,
    /// Kind, id and date.
    deleted: Vec<(usize, u64, i64)>,
    deletes: Deletes,
    /// Whether an object is dated anew when a delete takes a peer out of it.
    touches: bool,
}

fn is_reference(name: &str) -> bool {
    ["parent", "place", "friends", "owner", "device"].contains(&name)
}

/// The ids that a value refers to.
fn targets(value: &Value) -> Vec<u64> {
    match value {
        Value::Array(items) => items.iter().flat_map(targets).collect(),
        Value::Object(peer) => peer.get("id").and_then(Value::as_u64).into_iter().collect(),
        _ => Vec::new(),
    }
}

impl Server {
    fn ids(&self, kind: usize) -> Vec<u64> {
        self.objects.iter().filter(|(_, object)| object.kind == kind).map(|(id, _)| *id).collect()
    }

    fn name(&mut self, kind: usize) -> Value {
        // Few, so that they are used again; some look like ids.
        let names = [
            json!("a"),
            json!("b"),
            json!("c"),
            json!("1"),
            json!("2"),
            json!("3"),
            json!("4"),
            json!("a__b"),
            json!("é \"x\""),
            json!("7"),
        ];
        // One type in a key: `1` and `"1"` are one device to people, not to us.
        let of = if kind == PORT { 3 } else { names.len() };
        names[self.dice.roll(of)].clone()
    }

    fn value(&mut self) -> Value {
        match self.dice.roll(12) {
            0 => json!(null),
            1 => json!(""),
            2 => json!("text\n\u{1}\u{2}"),
            3 => json!(7),
            4 => json!(u64::MAX),
            5 => json!(1.0),
            6 => json!(0.1),
            7 => json!(true),
            8 => json!(["b", null, {"a": 1}]),
            9 => json!({"z": 1.5, "a": {}}),
            10 => json!("null"),
            _ => json!(-3),
        }
    }

    fn peer(&mut self, kind: usize) -> Value {
        let ids = self.ids(kind);
        match self.dice.pick(&ids) {
            Some(id) if !self.dice.one_in(3) => json!({ "id": id }),
            _ => Value::Null,
        }
    }

    /// A new value of one field of a kind.
    fn draw(&mut self, kind: usize, field: &str) -> Value {
        match field {
            "name" => self.name(kind),
            "parent" | "place" => self.peer(PLACE),
            "device" => {
                let ids = self.ids(DEVICE);
                self.dice.pick(&ids).map_or(Value::Null, |id| json!({ "id": id }))
            }
            "owner" => {
                let kind = self.dice.roll(2);
                self.peer(kind)
            }
            "friends" => (0..self.dice.roll(3)).map(|_| self.peer(DEVICE)).filter(|peer| !peer.is_null()).collect(),
            "enabled" => json!(!self.dice.one_in(3)),
            _ => self.value(),
        }
    }

    fn stamp(&self) -> i64 {
        self.clock / TICK * TICK
    }

    /// Somebody writes; it is seen now or later.
    fn write(&mut self) {
        let kind = self.dice.roll(KINDS);
        let ids: Vec<u64> = self.ids(kind).into_iter().filter(|id| self.pending.iter().all(|pending| pending.id != *id)).collect();
        let id = self.dice.pick(&ids);
        let names: &[&str] = match kind {
            PLACE => &["name", "parent", "value"],
            DEVICE => &["name", "place", "friends", "owner", "value"],
            _ => &["name", "device", "value", "enabled"],
        };
        let stamp = self.stamp();
        let (id, object) = match (self.dice.roll(7), id) {
            (0, Some(id)) => (id, None),
            // Deleted, and made again with everything that it had, under another id.
            (1, Some(id)) => {
                let object = Object { stamp, ..self.objects[&id].clone() };
                self.commit(id, None, stamp);
                self.last_id += 1;
                (self.last_id, Some(object))
            }
            (2..=4, Some(id)) => {
                let mut object = Object { stamp, ..self.objects[&id].clone() };
                for _ in 0..=self.dice.roll(2) {
                    let name = self.dice.pick(names).unwrap_or("value");
                    object.fields.insert(name.to_owned(), self.draw(kind, name));
                }
                (id, Some(object))
            }
            _ => {
                self.last_id += 1;
                let fields = names.iter().map(|name| ((*name).to_owned(), self.draw(kind, name))).collect();
                (self.last_id, Some(Object { kind, fields, stamp }))
            }
        };
        if self.dice.one_in(3) {
            let seen_at = self.clock + 1 + self.dice.roll(LATE as usize) as i64;
            self.pending.push(Pending { seen_at, id, object });
        } else {
            self.commit(id, object, stamp);
        }
    }

    /// Time passes; what is due is seen.
    fn pass(&mut self, time: i64) {
        self.clock += time;
        let mut due: Vec<Pending> = Vec::new();
        let mut at = 0;
        while at < self.pending.len() {
            if self.pending[at].seen_at <= self.clock { due.push(self.pending.remove(at)) } else { at += 1 }
        }
        for Pending { seen_at, id, object } in due {
            let stamp = object.as_ref().map_or(seen_at / TICK * TICK - LATE, |object| object.stamp);
            self.commit(id, object, stamp);
        }
    }

    /// What was written is seen from now on, if it is still sound.
    fn commit(&mut self, id: u64, object: Option<Object>, stamp: i64) {
        match object {
            None => self.remove(id, stamp),
            Some(mut object) => {
                for (name, value) in &mut object.fields {
                    if is_reference(name) {
                        self.take_out(value, &|target| !self.objects.contains_key(&target));
                    }
                }
                let orphan = object.kind == PORT && object.fields["device"].is_null();
                if !orphan && self.is_unique(id, &object) && !self.is_loop(id, &object) {
                    self.objects.insert(id, object);
                } else if !self.objects.contains_key(&id) {
                    self.deleted.push((object.kind, id, stamp));
                }
            }
        }
    }

    fn take_out(&self, value: &mut Value, gone: &dyn Fn(u64) -> bool) {
        match value {
            Value::Array(items) => items.retain(|item| targets(item).iter().all(|id| !gone(*id))),
            Value::Object(_) if targets(value).iter().any(|id| gone(*id)) => *value = Value::Null,
            _ => {}
        }
    }

    fn is_unique(&self, id: u64, object: &Object) -> bool {
        let key = |object: &Object| {
            let above = |name: &str| targets(object.fields.get(name).unwrap_or(&Value::Null));
            (
                object.kind,
                object.fields["name"].to_string(),
                above("parent"),
                if object.kind == PORT { above("device") } else { Vec::new() },
            )
        };
        self.objects.iter().all(|(other, there)| *other == id || key(there) != key(object))
    }

    fn is_loop(&self, id: u64, object: &Object) -> bool {
        let mut at = object.fields.get("parent").map(targets).unwrap_or_default();
        while let Some(above) = at.pop() {
            if above == id {
                return true;
            }
            at = self.objects.get(&above).and_then(|object| object.fields.get("parent")).map(targets).unwrap_or_default();
        }
        false
    }

    /// Deletes an object with the ports of it, and takes it out of others.
    fn remove(&mut self, id: u64, stamp: i64) {
        let Some(object) = self.objects.remove(&id) else { return };
        self.deleted.push((object.kind, id, stamp));
        let now = self.stamp();
        let mut ports = Vec::new();
        let mut others = std::mem::take(&mut self.objects);
        for (other, there) in &mut others {
            let mut changed = false;
            for (name, value) in there.fields.iter_mut().filter(|(name, _)| is_reference(name)) {
                if targets(value).contains(&id) {
                    self.take_out(value, &|target| target == id);
                    changed = true;
                    if name == "device" {
                        ports.push(*other);
                    }
                }
            }
            if changed && self.touches {
                there.stamp = now;
            }
        }
        self.objects = others;
        // Two places of one name may now stand at the top; the server has them set apart.
        let mut seen = BTreeSet::new();
        let tops: Vec<u64> = self.ids(PLACE);
        for top in tops {
            let Some(place) = self.objects.get_mut(&top) else { continue };
            let mut name = place.fields["name"].clone();
            while !seen.insert((name.to_string(), targets(&place.fields["parent"]))) {
                name = json!(format!("{}+", name.as_str().unwrap_or_default()));
                (place.fields["name"], place.stamp) = (name.clone(), now);
            }
        }
        for port in ports {
            self.remove(port, stamp);
        }
    }

    fn record(&self, id: u64) -> Value {
        let mut record = self.objects[&id].fields.clone();
        record.insert("id".to_owned(), json!(id));
        Value::Object(record)
    }

    /// Reads a list page by page; others write between two pages of a busy server. The total is as of the first page.
    fn list(&mut self, kind: usize, since: Option<i64>, busy: bool) -> (Vec<Value>, u64) {
        let (mut records, mut last, mut total) = (Vec::new(), 0, None);
        let size = 1 + self.dice.roll(4);
        loop {
            let wanted =
                |(id, object): &(&u64, &Object)| object.kind == kind && **id > last && since.is_none_or(|since| object.stamp >= since);
            let mut ids: Vec<u64> = self.objects.iter().filter(wanted).map(|(id, _)| *id).collect();
            total.get_or_insert(self.ids(kind).len() as u64);
            let is_last = ids.len() <= size;
            ids.truncate(size);
            records.extend(ids.iter().map(|id| self.record(*id)));
            last = ids.last().copied().unwrap_or(last);
            if busy {
                (0..self.dice.roll(3)).for_each(|_| self.write());
                let time = self.dice.roll(4) as i64;
                self.pass(time);
            }
            if is_last {
                return (records, total.unwrap_or_default());
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// A run
// ---------------------------------------------------------------------------------------------------------------------------

/// What a good run leaves in the cache.
#[derive(Default)]
struct Stored {
    batches: Vec<Option<Vec<RecordBatch>>>,
    watermarks: Vec<i64>,
    /// The kinds that cannot be gone on from.
    unusable: Vec<bool>,
}

struct Lab {
    model: Model,
    feeds: Vec<(Projection, Feed)>,
    role: Side,
}

fn stored(model: &Model, snapshot: &Snapshot) -> Vec<Option<Vec<RecordBatch>>> {
    (0..KINDS).map(|kind| Some(batches(model, snapshot, kind, 0).map(Result::unwrap).collect())).collect()
}

/// How a run went.
struct Ran {
    snapshot: Snapshot,
    problems: Vec<DataProblem>,
    watermarks: Vec<i64>,
    /// Kinds of which only changes were read.
    kept: Vec<bool>,
    again: bool,
}

impl Lab {
    fn append(&self, kind: usize, records: &[Value], raw: &mut RawKind) -> HashSet<String> {
        let (projection, feed) = &self.feeds[kind];
        let records = projection.json(&Value::from(records.to_vec()).to_string(), "").unwrap();
        feed.append(&records, raw).unwrap();
        let ids = feed.record_ids(&records).unwrap();
        (0..records.rows).map(|row| ids.text(row).to_owned()).collect()
    }

    /// Reads one side, going on from `base` where it allows that.
    fn read(&self, server: &mut Server, base: Option<&Stored>, busy: bool) -> Ran {
        let mut restored: Vec<Option<RawKind>> = match base {
            Some(base) => restore(&self.model, &base.batches).into_iter().map(|kind| Some(kind.ok()?.rows)).collect(),
            None => (0..KINDS).map(|_| None).collect(),
        };
        let (mut raw, mut watermarks, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, restored) in restored.iter_mut().enumerate() {
            let skew = server.dice.roll(2 * SKEW as usize + 1) as i64 - SKEW;
            watermarks.push(server.clock + skew);
            let mut part = RawKind::new(self.model.kinds[kind].fields.len());
            let Some((base, mut rows)) = base.filter(|base| !base.unusable[kind]).and_then(|base| Some((base, restored.take()?))) else {
                let (records, _) = server.list(kind, None, busy);
                self.append(kind, &records, &mut part);
                raw.push(part);
                kept.push(false);
                continue;
            };
            let since = base.watermarks[kind] - OVERLAP;
            let known: HashSet<String> =
                (0..rows.rows).filter(|row| rows.ids.tag(*row) != Tag::Null).map(|row| rows.ids.text(row).to_owned()).collect();
            assert_eq!(known.len(), rows.rows, "every row has an id of its own");
            let log = |(of, id, at): &(usize, u64, i64)| (*of == kind && *at >= since).then(|| id.to_string());
            let deleted = (server.deletes == Deletes::Ids).then(|| server.deleted.iter().filter_map(log).collect());
            let (records, total) = server.list(kind, Some(since), busy);
            let total = (server.deletes == Deletes::Total).then_some(total);
            let changed = self.append(kind, &records, &mut part);
            let deletions =
                Deletions::of_answer(&known, &changed, deleted, total, !self.feeds[kind].1.filters_records()).unwrap_or_else(|| {
                    let (all, _) = server.list(kind, None, busy);
                    Deletions::AllBut(all.iter().map(|record| record["id"].to_string()).collect())
                });
            let changes = Changes { changed, deletions };
            if !changes.is_empty() {
                rows = without(&rows, |id| changes.removes(id));
                if part.rows > 0 {
                    rows.merge(part).unwrap();
                }
            }
            raw.push(rows);
            kept.push(true);
        }
        let (snapshot, problems) = build(&self.model, raw, self.role);
        if contradicts(&self.model, &kept, &snapshot, &problems) {
            return Ran { again: true, ..self.read(server, None, busy) };
        }
        Ran { snapshot, problems, watermarks, kept, again: false }
    }

    /// What the run leaves; none where it fails.
    fn keep(&self, ran: &Ran) -> Option<Stored> {
        if self.role == Side::Source && !ran.problems.is_empty() {
            return None;
        }
        // Also a kind that refers to one with merged rows: a stored reference does not say which of the records it meant.
        let merged = |kind: usize| ran.snapshot.kinds[kind].merged > 0;
        let refers = |spec: &KindModel| spec.fields.iter().any(|field| self.model.peers_of(field).into_iter().any(merged));
        let kinds = self.model.kinds.iter().zip(&ran.snapshot.kinds).enumerate();
        let unusable = kinds
            .map(|(at, (spec, rows))| rows.completeness == Completeness::Partial || rows.has_unresolved() || merged(at) || refers(spec));
        Some(Stored { batches: stored(&self.model, &ran.snapshot), watermarks: ran.watermarks.clone(), unusable: unusable.collect() })
    }
}

/// What the histories had in them.
#[derive(Debug, Default)]
struct Seen {
    incremental: usize,
    again: usize,
    failed: usize,
    busy: usize,
    rows: usize,
}

fn history(lab: &Lab, seed: u64, seen: &mut Seen) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..4 {
        dice.roll(1);
    }
    let deletes = [Deletes::Ids, Deletes::Total, Deletes::Silent][dice.roll(3)];
    let touches = !dice.one_in(4);
    let mut server =
        Server { dice, clock: 1000, last_id: 0, objects: BTreeMap::new(), pending: Vec::new(), deleted: Vec::new(), deletes, touches };
    for _ in 0..30 {
        server.write();
        server.pass(1);
    }
    let mut base: Option<Stored> = None;
    for run in 0..RUNS {
        for _ in 0..server.dice.roll(5) {
            server.write();
            let time = if server.dice.one_in(3) { server.dice.roll(60) as i64 } else { 1 };
            server.pass(time);
        }
        let busy = server.dice.one_in(3);
        let ran = lab.read(&mut server, base.as_ref(), busy);
        seen.incremental += ran.kept.iter().filter(|kept| **kept).count();
        seen.again += usize::from(ran.again);
        seen.busy += usize::from(busy);
        if !busy {
            let full = lab.read(&mut server, None, false);
            let told = || {
                let mut full: Vec<String> = full.problems.iter().map(ToString::to_string).collect();
                let warm: Vec<String> = ran.problems.iter().map(ToString::to_string).collect();
                full.retain(|problem| !warm.contains(problem));
                format!("seed {seed}, run {run}, {deletes:?}, touches {touches}, kept {:?}, {full:?} {warm:?}", ran.kept)
            };
            assert_eq!(full.problems, ran.problems, "{}", told());
            assert!(full.problems.is_empty(), "the model of the server is sound: {}", told());
            for (kind, (warm, cold)) in stored(&lab.model, &ran.snapshot).iter().zip(&stored(&lab.model, &full.snapshot)).enumerate() {
                assert_eq!(warm, cold, "{} of {}", lab.model.kinds[kind].name, told());
                assert_eq!(ran.snapshot.kinds[kind].completeness, full.snapshot.kinds[kind].completeness);
                seen.rows += ran.snapshot.kinds[kind].rows();
            }
        }
        match lab.keep(&ran) {
            Some(stored) => base = Some(stored),
            None => seen.failed += 1,
        }
    }
}

#[test]
fn what_a_run_knows_that_reads_changes_is_what_a_full_one_knows() {
    let labs = [Side::Source, Side::Destination].map(|role| {
        let model = model();
        Lab { feeds: feeds(&model), model, role }
    });
    let mut seen = Seen::default();
    for seed in 0..HISTORIES {
        history(&labs[(seed % 2) as usize], seed, &mut seen);
    }
    // The histories have in them what they are made for.
    let enough = seen.incremental as u64 > HISTORIES * 8 && seen.again > 100 && seen.failed > 20 && seen.busy as u64 > HISTORIES;
    assert!(enough, "{seen:?}");
}
