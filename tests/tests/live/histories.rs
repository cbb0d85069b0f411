//! Random histories on the real servers: whatever is created, edited, renamed, moved, deleted and made again, also while a run reads, the
//! snapshots of a run that reads only what changed are those of one that reads everything.
//!
//! The histories are some of the twelve thousand that `infrahub-sync-core`'s `histories` plays on a model of a server; here they show that the
//! servers are as the model has them. Only objects of the test's own are touched, and they are removed at the end.

use std::process::Stdio;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use infrahub_sync_cache::{Cache, RunId, Side, SyncName};
use infrahub_sync_tests::Project;
use infrahub_sync_tests::live::{Infrahub, NetBox, Turn};
use serde_json::{Map, Value, json};

/// Histories on each server. `INFRAHUB_SYNC_LIVE_HISTORIES=N` plays so many, however long that takes.
const HISTORIES: u64 = 16;
/// Runs in a history, the first of which reads everything.
const RUNS: usize = 4;
/// On a machine that does a lot besides there are fewer: no history is begun after so long.
const TIME: Duration = Duration::from_secs(60);
/// So many there are in any case.
const AT_LEAST: u64 = 4;
/// How the names of what is made here begin.
const OURS: &str = "history ";

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.roll(count) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.roll(of.len())).cloned()
    }
}

/// A server that somebody edits.
trait World {
    /// Does something, or tries to: what the server refuses is not done. True where something was done.
    fn edit(&mut self, dice: &mut Dice) -> bool;
}

/// A project that reads what changed, and one that reads everything: each with a cache of its own.
struct Pair {
    sync: &'static str,
    warm: Project,
    full: Project,
    /// The side that is the server.
    side: Side,
    runs: usize,
}

/// What histories had in them.
#[derive(Debug, Default)]
struct Seen {
    histories: u64,
    edits: usize,
    /// Kinds of which only what changed was read.
    incremental: usize,
    /// Runs that read while somebody edited.
    busy: usize,
}

impl Pair {
    /// All rows of the kinds, without the time at which they were read.
    fn snapshots(&self, project: &Project, run: &str) -> Vec<(String, RecordBatch)> {
        let cache = Cache::open(project.path().join(".infrahub-sync-cache"), SyncName::parse(self.sync).unwrap()).unwrap();
        let reader = cache.open_run(&RunId::parse(run).unwrap()).unwrap();
        let kinds = reader.snapshot_kinds(self.side).unwrap();
        let one = |kind: &str| {
            let snapshot = reader.read_snapshot(self.side, kind).unwrap();
            let schema = snapshot.schema().clone();
            let batches: Vec<RecordBatch> = snapshot.map(Result::unwrap).collect();
            let mut all = concat_batches(&schema, &batches).unwrap();
            all.remove_column(schema.index_of("_extract_ts").unwrap());
            all
        };
        kinds.iter().map(|kind| (kind.to_string(), one(&kind.to_string()))).collect()
    }

    /// The latest warm run beside a full one.
    fn check(&mut self, warm: &str, what: &dyn std::fmt::Debug) {
        self.runs += 1;
        let full = format!("full{}", self.runs);
        self.full.ok(&["diff", "--run-id", &full]);
        let (warm, full) = (self.snapshots(&self.warm, warm), self.snapshots(&self.full, &full));
        assert_eq!(warm.len(), full.len());
        for ((kind, warm), (_, full)) in warm.iter().zip(&full) {
            assert_eq!(warm, full, "{kind}: {what:?}");
        }
    }

    fn run_file(&self, run: &str) -> Value {
        serde_json::from_str(&self.warm.read(&format!(".infrahub-sync-cache/{}/{run}/run.json", self.sync))).unwrap()
    }

    /// One history.
    fn history(&mut self, world: &mut dyn World, seed: u64, seen: &mut Seen) {
        let mut dice = Dice(seed);
        for run in 0..RUNS {
            for _ in 0..dice.roll(5) {
                seen.edits += usize::from(world.edit(&mut dice));
            }
            self.runs += 1;
            let id = format!("warm{}", self.runs);
            let mut arguments = vec!["diff", "--run-id", &id];
            if run > 0 {
                arguments.push("--no-full-extract");
            }
            if run > 0 && dice.one_in(3) {
                // Somebody edits while it reads: it sees that, or the next one does. It may also say that what it has read does not fit.
                seen.busy += 1;
                let mut command = self.warm.command(&arguments);
                let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                while child.try_wait().unwrap().is_none() {
                    seen.edits += usize::from(world.edit(&mut dice));
                }
                let code = child.wait().unwrap().code();
                assert!([Some(0), Some(5), Some(6)].contains(&code), "{code:?}: seed {seed}, run {run}");
                continue;
            }
            self.warm.ok(&arguments);
            let read = self.run_file(&id);
            let letter = if self.side == Side::Source { "A" } else { "B" };
            seen.incremental += read["incremental"][letter].as_array().unwrap().len();
            self.check(&id, &(seed, run, &read["reading"][letter]));
        }
    }
}

/// Plays histories, as many as there is time for.
fn play(pairs: &mut [Pair], world: &mut dyn World, seen: &mut Seen) {
    let begin = Instant::now();
    let wanted = std::env::var("INFRAHUB_SYNC_LIVE_HISTORIES").ok().and_then(|wanted| wanted.parse::<u64>().ok());
    for seed in 1..=wanted.unwrap_or(HISTORIES) {
        if wanted.is_none() && begin.elapsed() > TIME && seed > AT_LEAST {
            break;
        }
        let at = seed as usize % pairs.len();
        pairs[at].history(world, seed, seen);
        seen.histories += 1;
    }
    eprintln!("{seen:?} in {:.0} s", begin.elapsed().as_secs_f32());
    assert!(seen.edits > 10 && seen.incremental > 10, "{seen:?}");
}

// ---------------------------------------------------------------------------------------------------------------------------
// NetBox
// ---------------------------------------------------------------------------------------------------------------------------

/// Children first.
const LISTS: [&str; 5] = ["dcim/racks", "dcim/sites", "dcim/regions", "tenancy/tenants", "extras/tags"];

/// References by id, and by what is inside of a peer; a kind that is identified through itself; a filter.
const NETBOX: &str = "
name: netbox-histories
source: {name: netbox}
destination: {name: files, settings: {path: out}}
incremental: {full_resync_every: 1000}
schema_mapping:
  - name: Region
    mapping: dcim.regions
    identifiers: [name, parent]
    fields: [{name: name, mapping: name}, {name: parent, mapping: parent, reference: Region}, {name: description, mapping: description}]
  - name: Site
    mapping: dcim.sites
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: description, mapping: description}
      - {name: region, mapping: region, reference: Region}
      - {name: tenant, mapping: tenant, reference: Tenant}
      - {name: tags, mapping: tags, reference: Tag}
  - name: Tenant
    mapping: tenancy.tenants
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: description, mapping: description}]
  - name: Tag
    mapping: extras.tags
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: color, mapping: color}]
  - name: Rack
    mapping: dcim.racks
    identifiers: [name, site]
    filters: [{field: status.value, operation: \"==\", value: active}]
    fields:
      - {name: name, mapping: name}
      - {name: site, mapping: site, reference: Site}
      - {name: site_name, mapping: site.name}
      - {name: height, mapping: u_height}
      - {name: tenant, mapping: tenant, reference: Tenant}
";

/// What the test has made in NetBox.
struct OurNetBox {
    netbox: NetBox,
    /// By list; the ids.
    made: Map<String, Value>,
    names: usize,
    /// Names of what was deleted, by list.
    free: Vec<(&'static str, String)>,
}

impl OurNetBox {
    fn new(netbox: NetBox) -> OurNetBox {
        let ours = OurNetBox { netbox, made: Map::new(), names: 0, free: Vec::new() };
        ours.clear();
        ours
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let (status, answer) = self.netbox.request(method, path, body);
        assert!(status < 500, "{method} {path} {body:?}: {status} {answer}");
        (status < 400).then_some(answer)
    }

    /// Takes away what this test, or one that was killed, has made.
    fn clear(&self) {
        // Regions stand in one another.
        for list in LISTS.into_iter().chain(["dcim/regions", "dcim/regions", "dcim/regions"]) {
            let path = format!("/api/{list}/?limit=1000&name__isw={}", OURS.trim_end());
            let found = self.request("GET", &path, None).unwrap_or_default();
            for object in found["results"].as_array().into_iter().flatten() {
                self.request("DELETE", &format!("/api/{list}/{}/", object["id"]), None);
            }
        }
    }

    fn ids(&self, list: &str) -> Vec<u64> {
        self.made.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect()
    }

    fn peer(&self, list: &str, dice: &mut Dice) -> Value {
        let ids = self.ids(list);
        if dice.one_in(3) { Value::Null } else { dice.pick(&ids).map_or(Value::Null, |id| json!(id)) }
    }

    fn name(&mut self, list: &'static str, dice: &mut Dice) -> (String, String) {
        let free: Vec<String> = self.free.iter().filter(|(of, _)| *of == list).map(|(_, name)| name.clone()).collect();
        let again = dice.pick(&free).filter(|_| dice.one_in(2));
        let name = again.unwrap_or_else(|| {
            self.names += 1;
            format!("{OURS}{}", self.names)
        });
        self.free.retain(|known| *known != (list, name.clone()));
        let slug = name.replace(' ', "-");
        (name, slug)
    }

    /// Some fields of an object, drawn anew.
    fn draw(&self, list: &str, dice: &mut Dice) -> Value {
        let text = format!("text {}", dice.roll(4));
        match (list, dice.roll(4)) {
            ("extras/tags", _) => json!({"color": format!("{:06x}", dice.roll(0x00ff_ffff))}),
            ("tenancy/tenants", _) | ("dcim/regions" | "dcim/sites", 0) => json!({ "description": text }),
            ("dcim/regions", _) => json!({"parent": self.peer(list, dice)}),
            ("dcim/sites", 1) => json!({"region": self.peer("dcim/regions", dice)}),
            ("dcim/sites", 2) => json!({"tenant": self.peer("tenancy/tenants", dice)}),
            ("dcim/sites", _) => {
                let tags = (0..dice.roll(3)).filter_map(|_| dice.pick(&self.ids("extras/tags")));
                json!({"tags": tags.collect::<Vec<_>>()})
            }
            (_, 0) => json!({"status": if dice.one_in(2) { "active" } else { "planned" }}),
            (_, 1) => json!({"u_height": 10 + dice.roll(20)}),
            (_, 2) => json!({"tenant": self.peer("tenancy/tenants", dice)}),
            _ => dice.pick(&self.ids("dcim/sites")).map_or(json!({}), |site| json!({ "site": site })),
        }
    }
}

impl World for OurNetBox {
    fn edit(&mut self, dice: &mut Dice) -> bool {
        let list = dice.pick(&LISTS).unwrap();
        let object = dice.pick(&self.ids(list));
        match (dice.roll(6), object) {
            (0, Some(id)) => {
                let path = format!("/api/{list}/{id}/");
                let Some(there) = self.request("GET", &path, None) else { return false };
                if self.request("DELETE", &path, None).is_none() {
                    return false; // something needs it
                }
                self.free.push((list, there["name"].as_str().unwrap_or_default().to_owned()));
                // What was in it may be gone as well.
                let mut made = std::mem::take(&mut self.made);
                for (list, ids) in &mut made {
                    let there = |id: &Value| self.request("GET", &format!("/api/{list}/{id}/"), None).is_some();
                    ids.as_array_mut().unwrap().retain(there);
                }
                self.made = made;
                true
            }
            (1, Some(id)) => {
                let (name, slug) = self.name(list, dice);
                let body = if list == "dcim/racks" { json!({ "name": name }) } else { json!({"name": name, "slug": slug}) };
                self.request("PATCH", &format!("/api/{list}/{id}/"), Some(&body)).is_some()
            }
            (2 | 3, Some(id)) => {
                let body = self.draw(list, dice);
                // A region in itself is refused.
                self.request("PATCH", &format!("/api/{list}/{id}/"), Some(&body)).is_some()
            }
            _ => {
                let (name, slug) = self.name(list, dice);
                let mut body = match list {
                    "dcim/racks" => {
                        let Some(site) = dice.pick(&self.ids("dcim/sites")) else { return false };
                        json!({"name": name, "site": site, "status": "active"})
                    }
                    _ => json!({"name": name, "slug": slug}),
                };
                let drawn = self.draw(list, dice);
                body.as_object_mut().unwrap().extend(drawn.as_object().unwrap().clone());
                let Some(made) = self.request("POST", &format!("/api/{list}/"), Some(&body)) else { return false };
                self.made.entry(list).or_insert_with(|| json!([])).as_array_mut().unwrap().push(made["id"].clone());
                true
            }
        }
    }
}

impl Drop for OurNetBox {
    fn drop(&mut self) {
        self.clear();
    }
}

#[test]
fn a_real_netbox_is_read_incrementally_as_it_is_read_in_full() {
    let _turn = Turn::wait();
    let netbox = NetBox::up();
    let project = || {
        let mut project = Project::new(NETBOX);
        project.set("NETBOX_ADDRESS", &netbox.url);
        project.set("NETBOX_TOKEN", &netbox.token);
        project
    };
    let pair = Pair { sync: "netbox-histories", warm: project(), full: project(), side: Side::Source, runs: 0 };
    let mut world = OurNetBox::new(netbox.clone());
    // A few objects to begin with.
    let mut dice = Dice(99);
    for _ in 0..25 {
        world.edit(&mut dice);
    }
    play(&mut [pair], &mut world, &mut Seen::default());
}

// ---------------------------------------------------------------------------------------------------------------------------
// Infrahub
// ---------------------------------------------------------------------------------------------------------------------------

const SHAPES: (&str, &str) = ("TestingHost", "tests/live/infrahub/schema.yml");

/// Children first.
const KINDS: [&str; 4] = ["TestingPart", "TestingHub", "TestingLabel", "TestingOwner"];

const INFRAHUB: &str = "
incremental: {full_resync_every: 1000}
schema_mapping:
  - name: TestingOwner
    mapping: owners
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: TestingLabel
    mapping: labels
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: TestingHub
    mapping: hubs
    identifiers: [name, owner]
    fields:
      - {name: name, mapping: name}
      - {name: owner, mapping: owner, reference: TestingOwner}
      - {name: deputy, mapping: deputy, reference: TestingOwner}
      - {name: labels, mapping: labels, reference: TestingLabel}
      - {name: next, mapping: next, reference: TestingHub}
      - {name: friends, mapping: friends, reference: TestingHub}
  - name: TestingPart
    mapping: parts
    identifiers: [hub, name]
    fields:
      - {name: name, mapping: name}
      - {name: hub, mapping: hub, reference: TestingHub}
      - {name: enabled, mapping: enabled}
      - {name: mark, mapping: mark, reference: TestingLabel}
";

/// What the test has made on the default branch of Infrahub: the only one of which it tells what changed.
struct OurInfrahub {
    infrahub: Infrahub,
    /// Kind, id and name.
    made: Vec<(&'static str, String, String)>,
    names: usize,
    free: Vec<(&'static str, String)>,
}

impl OurInfrahub {
    fn new(infrahub: Infrahub) -> OurInfrahub {
        let ours = OurInfrahub { infrahub, made: Vec::new(), names: 0, free: Vec::new() };
        ours.clear();
        ours
    }

    fn clear(&self) {
        for kind in KINDS {
            let found = self.infrahub.must("main", &format!("{{{kind}(limit:1000){{edges{{node{{id name{{value}}}}}}}}}}"));
            for edge in found[kind]["edges"].as_array().into_iter().flatten() {
                let node = &edge["node"];
                if node["name"]["value"].as_str().is_some_and(|name| name.starts_with(OURS)) {
                    let _ = self.infrahub.ask("main", &format!("mutation{{{kind}Delete(data:{{id:{}}}){{ok}}}}", node["id"]));
                }
            }
        }
    }

    fn peer(&self, kind: &str, dice: &mut Dice) -> Option<String> {
        let all: Vec<&String> = self.made.iter().filter(|(of, ..)| *of == kind).map(|(_, id, _)| id).collect();
        dice.pick(&all).cloned()
    }

    /// `name:{id:"…"}`, or null.
    fn reference(&self, name: &str, kind: &str, dice: &mut Dice) -> String {
        match self.peer(kind, dice).filter(|_| !dice.one_in(3)) {
            Some(id) => format!("{name}:{{id:\"{id}\"}}"),
            None => format!("{name}:null"),
        }
    }

    fn references(&self, name: &str, kind: &str, dice: &mut Dice) -> String {
        let mut ids: Vec<String> = (0..dice.roll(3)).filter_map(|_| self.peer(kind, dice)).collect();
        ids.sort();
        ids.dedup();
        let ids: Vec<String> = ids.into_iter().map(|id| format!("{{id:\"{id}\"}}")).collect();
        format!("{name}:[{}]", ids.join(","))
    }

    fn name(&mut self, kind: &'static str, dice: &mut Dice) -> String {
        let free: Vec<String> = self.free.iter().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()).collect();
        let name = dice.pick(&free).filter(|_| dice.one_in(2)).unwrap_or_else(|| {
            self.names += 1;
            format!("{OURS}{}", self.names)
        });
        self.free.retain(|known| *known != (kind, name.clone()));
        name
    }

    fn draw(&self, kind: &str, dice: &mut Dice) -> String {
        match (kind, dice.roll(5)) {
            ("TestingHub", 0) => self.peer("TestingOwner", dice).map(|id| format!("owner:{{id:\"{id}\"}}")).unwrap_or_default(),
            ("TestingHub", 1) => self.reference("deputy", "TestingOwner", dice),
            ("TestingHub", 2) => self.references("labels", "TestingLabel", dice),
            ("TestingHub", 3) => self.reference("next", "TestingHub", dice),
            ("TestingHub", _) => self.references("friends", "TestingHub", dice),
            ("TestingPart", 0 | 1) => format!("enabled:{{value:{}}}", dice.one_in(2)),
            ("TestingPart", 2) => self.peer("TestingHub", dice).map(|id| format!("hub:{{id:\"{id}\"}}")).unwrap_or_default(),
            ("TestingPart", _) => self.reference("mark", "TestingLabel", dice),
            _ => String::new(),
        }
    }
}

impl World for OurInfrahub {
    fn edit(&mut self, dice: &mut Dice) -> bool {
        let kind = dice.pick(&KINDS).unwrap();
        let all: Vec<(String, String)> =
            self.made.iter().filter(|(of, ..)| *of == kind).map(|(_, id, name)| (id.clone(), name.clone())).collect();
        match (dice.roll(6), dice.pick(&all)) {
            (0, Some((id, name))) => {
                if self.infrahub.ask("main", &format!("mutation{{{kind}Delete(data:{{id:\"{id}\"}}){{ok}}}}")).is_err() {
                    return false; // something needs it
                }
                self.free.push((kind, name));
                // A hub takes its parts along.
                let mut made = std::mem::take(&mut self.made);
                made.retain(|(kind, id, _)| {
                    let found = self.infrahub.must("main", &format!("{{{kind}(ids:[\"{id}\"]){{count}}}}"));
                    found[*kind]["count"] == 1
                });
                self.made = made;
                true
            }
            (1, Some((id, _))) => {
                let name = self.name(kind, dice);
                let renamed = format!("mutation{{{kind}Update(data:{{id:\"{id}\" name:{{value:{}}}}}){{ok}}}}", json!(name));
                let is_done = self.infrahub.ask("main", &renamed).is_ok();
                if let Some(known) = self.made.iter_mut().find(|(_, known, _)| is_done && *known == id) {
                    known.2 = name;
                }
                is_done
            }
            (2 | 3, Some((id, _))) => {
                let fields = self.draw(kind, dice);
                self.infrahub.ask("main", &format!("mutation{{{kind}Update(data:{{id:\"{id}\" {fields}}}){{ok}}}}")).is_ok()
            }
            _ => {
                let name = self.name(kind, dice);
                let needed = match kind {
                    "TestingHub" => self.peer("TestingOwner", dice).map(|id| format!("owner:{{id:\"{id}\"}}")),
                    "TestingPart" => self.peer("TestingHub", dice).map(|id| format!("hub:{{id:\"{id}\"}}")),
                    _ => Some(String::new()),
                };
                let Some(needed) = needed else { return false };
                let create = format!("mutation{{{kind}Create(data:{{name:{{value:{}}} {needed}}}){{object{{id}}}}}}", json!(name));
                let Ok(made) = self.infrahub.ask("main", &create) else { return false };
                let id = made[format!("{kind}Create")]["object"]["id"].as_str().unwrap().to_owned();
                self.made.push((kind, id, name));
                true
            }
        }
    }
}

impl Drop for OurInfrahub {
    fn drop(&mut self) {
        self.clear();
    }
}

#[test]
fn a_real_infrahub_is_read_incrementally_as_it_is_read_in_full_on_both_sides() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let project = |name: &str, source: &str, destination: &str| {
        let mut project = Project::new(&format!("name: {name}\nsource: {source}\ndestination: {destination}\n{INFRAHUB}"));
        project.set("INFRAHUB_ADDRESS", &infrahub.url);
        project.set("INFRAHUB_API_TOKEN", &infrahub.token);
        for list in ["owners", "labels", "hubs", "parts"] {
            project.write(&format!("source/{list}.json"), "[]");
        }
        // Something that is there and something that is not.
        let name = |number: usize| format!("{OURS}{number}");
        project.write("source/owners.json", &json!([{"id": 1, "name": name(1)}, {"id": 2, "name": name(1000)}]).to_string());
        project.write("source/hubs.json", &json!([{"id": 1, "name": name(2), "owner": {"id": 1}}]).to_string());
        project
    };
    let server = "{name: infrahub, settings: {branch: main}}";
    let (from, to) = ("{name: files, settings: {path: source}}", "{name: files, settings: {path: out}}");
    let pair = |sync: &'static str, source: &str, destination: &str, side: Side| Pair {
        sync,
        warm: project(sync, source, destination),
        full: project(sync, source, destination),
        side,
        runs: 0,
    };
    let mut pairs = [pair("reader", server, to, Side::Source), pair("writer", from, server, Side::Destination)];
    let mut world = OurInfrahub::new(infrahub.clone());
    let mut dice = Dice(7);
    for _ in 0..25 {
        world.edit(&mut dice);
    }
    let mut seen = Seen::default();
    play(&mut pairs, &mut world, &mut seen);
}
