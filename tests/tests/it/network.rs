//! A small network that tests of the whole program share: files as the source, the fake Infrahub as the destination, with something to
//! create, to update and to delete there, references between kinds and within one, and a cycle.

use std::collections::{BTreeMap, BTreeSet};

use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Fake, Model, Options, Rights, Settings, Version};
use infrahub_sync_tests::Project;
use serde_json::{Map, Value, json};

pub(crate) const KINDS: [&str; 6] = ["FakeSite", "FakeTag", "CoreStandardGroup", "FakeDevice", "FakeInterface", "FakeTwin"];

/// Groups stand in groups, so that a batch ends at each level; a device and its twin refer to each other, which takes a second pass.
pub(crate) const MAPPING: &str = "
diffsync_flags: [NONE]
deletes: all
schema_mapping:
  - name: FakeSite
    mapping: sites
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: description, mapping: description}]
  - name: FakeTag
    mapping: tags
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: CoreStandardGroup
    mapping: groups
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: description, mapping: description}, {name: parent, mapping: parent, reference: CoreStandardGroup}]
  - name: FakeDevice
    mapping: devices
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: status, mapping: status}
      - {name: height, mapping: height}
      - {name: site, mapping: site, reference: FakeSite}
      - {name: tags, mapping: tags, reference: FakeTag}
      - {name: twin, mapping: twin, reference: FakeTwin}
  - name: FakeInterface
    mapping: interfaces
    identifiers: [device, name]
    fields: [{name: name, mapping: name}, {name: enabled, mapping: enabled}, {name: device, mapping: device, reference: FakeDevice}]
  - name: FakeTwin
    mapping: twins
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: device, mapping: device, reference: FakeDevice}]
";

pub(crate) const SITES: usize = 5;
const TAGS: usize = 4;
const CHAINS: usize = 2;
const DEPTH: usize = 5;
pub(crate) const DEVICES: usize = 14;
const PORTS: usize = 3;

/// The objects that are there before and stay, some of them with other values.
const OLD_SITES: usize = 2;
const OLD_DEVICES: usize = 6;

/// How many objects are wanted.
const WANTED: usize = SITES + TAGS + CHAINS * DEPTH + DEVICES + DEVICES * PORTS + DEVICES;
/// How many of those are there before.
const THERE: usize = OLD_SITES + 1 + OLD_DEVICES;

fn source() -> BTreeMap<&'static str, Value> {
    let list = |count: usize, one: &dyn Fn(usize) -> Value| -> Value { (0..count).map(one).collect() };
    BTreeMap::from([
        ("sites", list(SITES, &|n| json!({"id": n, "name": format!("s{n}"), "description": format!("site {n}")}))),
        ("tags", list(TAGS, &|n| json!({"id": n, "name": format!("t{n}")}))),
        (
            "groups",
            list(CHAINS * DEPTH, &|n| {
                let parent = if n % DEPTH == 0 { Value::Null } else { json!({"id": n - 1}) };
                json!({"id": n, "name": format!("g{n}"), "description": "", "parent": parent})
            }),
        ),
        (
            "devices",
            list(DEVICES, &|n| {
                let tags: Vec<Value> = (0..n % 3).map(|at| json!({"id": (n + at) % TAGS})).collect();
                json!({"id": n, "name": format!("d{n}"), "status": if n % 2 == 0 { "active" } else { "planned" }, "height": n,
                       "site": {"id": n % SITES}, "tags": tags, "twin": {"id": n}})
            }),
        ),
        (
            "interfaces",
            list(
                DEVICES * PORTS,
                &|n| json!({"id": n, "name": format!("p{}", n % PORTS), "enabled": n % 2 == 0, "device": {"id": n / PORTS}}),
            ),
        ),
        ("twins", list(DEVICES, &|n| json!({"id": n, "name": format!("w{n}"), "device": {"id": n}}))),
    ])
}

/// What the destination has to hold in the end: of each kind the objects, each as text with its peers by name.
pub(crate) fn wanted() -> BTreeMap<&'static str, BTreeSet<String>> {
    let source = source();
    let rows = |resource: &str| source[resource].as_array().unwrap().clone();
    let id = |value: &Value| value["id"].as_u64().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut out: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    out.insert("FakeSite", rows("sites").iter().map(|row| format!("{} {}", text(&row["name"]), text(&row["description"]))).collect());
    out.insert("FakeTag", rows("tags").iter().map(|row| text(&row["name"])).collect());
    let group = |row: &Value| {
        let parent = if row["parent"].is_null() { String::new() } else { format!("g{}", id(&row["parent"])) };
        format!("{} [{parent}]", text(&row["name"]))
    };
    out.insert("CoreStandardGroup", rows("groups").iter().map(group).collect());
    let device = |row: &Value| {
        let mut tags: Vec<String> = row["tags"].as_array().unwrap().iter().map(|tag| format!("t{}", id(tag))).collect();
        tags.sort();
        let (site, twin) = (id(&row["site"]), id(&row["twin"]));
        format!("{} {} {} s{site} [{}] w{twin}", text(&row["name"]), text(&row["status"]), row["height"], tags.join(","))
    };
    out.insert("FakeDevice", rows("devices").iter().map(device).collect());
    let port = |row: &Value| format!("d{} {} {}", id(&row["device"]), text(&row["name"]), row["enabled"]);
    out.insert("FakeInterface", rows("interfaces").iter().map(port).collect());
    out.insert("FakeTwin", rows("twins").iter().map(|row| format!("{} d{}", text(&row["name"]), id(&row["device"]))).collect());
    out
}

/// What the destination holds, spelled as [`wanted`] spells it.
pub(crate) fn held(fake: &Fake) -> BTreeMap<&'static str, BTreeSet<String>> {
    let store = fake.store();
    let value = |id: &str, field: &str| store.value(id, field, "main").unwrap_or_default();
    let text = |id: &str, field: &str| value(id, field).as_str().unwrap_or_default().to_owned();
    let peers = |id: &str, field: &str| -> String {
        let ids: Vec<String> = serde_json::from_value(value(id, field)).unwrap();
        let mut names: Vec<String> = ids.iter().map(|id| text(id, "name")).collect();
        names.sort();
        names.join(",")
    };
    let mut out = BTreeMap::new();
    for kind in KINDS {
        let ids = store.ids(kind, "main");
        let objects: Vec<String> = ids
            .iter()
            .map(|id| {
                let name = text(id, "name");
                match kind {
                    "FakeSite" => format!("{name} {}", text(id, "description")),
                    "CoreStandardGroup" => format!("{name} [{}]", peers(id, "parent")),
                    "FakeDevice" => format!(
                        "{name} {} {} {} [{}] {}",
                        text(id, "status"),
                        value(id, "height"),
                        peers(id, "site"),
                        peers(id, "tags"),
                        peers(id, "twin")
                    ),
                    "FakeInterface" => format!("{} {name} {}", peers(id, "device"), value(id, "enabled")),
                    "FakeTwin" => format!("{name} {}", peers(id, "device")),
                    _ => name,
                }
            })
            .collect();
        let set: BTreeSet<String> = objects.iter().cloned().collect();
        assert_eq!(set.len(), objects.len(), "an object stands twice: {objects:?}");
        out.insert(kind, set);
    }
    out
}

/// The destination and a project for it.
pub(crate) struct Network {
    pub(crate) fake: Fake,
    pub(crate) project: Project,
    /// Objects that the destination has ever held, before the first run.
    pub(crate) before: usize,
}

impl Network {
    pub(crate) fn new() -> Network {
        Network::with(Settings::default(), "")
    }

    /// With these settings from the start, since a server's clock does not jump; `lines` are added to the project.
    pub(crate) fn with(settings: Settings, lines: &str) -> Network {
        Network::with_tokens(settings, lines, Vec::new())
    }

    /// With further tokens that the server knows.
    pub(crate) fn with_tokens(settings: Settings, lines: &str, tokens: Vec<(String, Rights)>) -> Network {
        let fake = Fake::start(Options { model: Some(Model::every(Version::V1_11)), settings, tokens, ..Options::default() }).unwrap();
        let mut project = Project::new(&format!(
            "name: network\nsource: {{name: files, settings: {{path: source}}}}\n\
             destination: {{name: infrahub, settings: {{url: \"{}\"}}}}\n{lines}{MAPPING}",
            fake.url()
        ));
        project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
        for (resource, records) in source() {
            project.write(&format!("source/{resource}.json"), &records.to_string());
        }
        let run = |document: &str| {
            let answer = fake.execute("main", document, Map::new());
            assert!(answer["errors"].is_null(), "{answer}");
            answer
        };
        let make = |kind: &str, fields: &str| -> String {
            let answer = run(&format!("mutation{{{kind}Create(data:{{{fields}}}){{object{{id}}}}}}"));
            answer["data"][format!("{kind}Create")]["object"]["id"].as_str().unwrap().to_owned()
        };
        let sites: Vec<String> = (0..OLD_SITES).map(|n| make("FakeSite", &format!("name:{{value:\"s{n}\"}}"))).collect();
        make("FakeSite", "name:{value:\"stale\"}");
        make("FakeTag", "name:{value:\"t0\"}");
        let mut parent: Option<String> = None;
        for n in 0..DEPTH {
            let above = parent.map(|id| format!(",parent:{{id:\"{id}\"}}")).unwrap_or_default();
            parent = Some(make("CoreStandardGroup", &format!("name:{{value:\"stale{n}\"}}{above}")));
        }
        let device = |name: &str| {
            make("FakeDevice", &format!("name:{{value:\"{name}\"}},status:{{value:\"planned\"}},site:{{id:\"{}\"}}", sites[0]))
        };
        (0..OLD_DEVICES).for_each(|n| drop(device(&format!("d{n}"))));
        let stale = device("stale");
        for n in 0..PORTS {
            make("FakeInterface", &format!("name:{{value:\"p{n}\"}},device:{{id:\"{stale}\"}}"));
        }
        let before = fake.store().len();
        Network { fake, project, before }
    }

    /// Nothing is lost, and nothing was made twice.
    pub(crate) fn check(&self, what: &dyn std::fmt::Debug) {
        let (held, wanted) = (held(&self.fake), wanted());
        for kind in KINDS {
            assert_eq!(held[kind], wanted[kind], "{kind} after {what:?}");
        }
        assert_eq!(wanted.values().map(BTreeSet::len).sum::<usize>(), WANTED);
        // Nothing is ever removed from the store: what was made twice, or made and deleted, would be there.
        assert_eq!(self.fake.store().len() - self.before, WANTED - THERE, "created after {what:?}");
        let ends: Vec<usize> = KINDS.iter().map(|kind| self.fake.store().count(kind, "main")).collect();
        assert_eq!(ends.iter().sum::<usize>(), WANTED, "{what:?}");
    }

    /// Whether the cache has the plan of a run.
    pub(crate) fn has_plan(&self, run: &str) -> bool {
        self.project.path().join(".infrahub-sync-cache/network").join(run).join("plan.parquet").is_file()
    }
}
