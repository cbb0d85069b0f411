//! Infrahub as a source and as a destination: the whole program against a faithful fake.

use std::collections::BTreeSet;

use infrahub_sync_fake_infrahub::{
    ADMIN_TOKEN, Action, BRANCH_ONLY_TOKEN, EXPIRED_TOKEN, Fake, Fault, Model, Options, Outside, READ_ONLY_TOKEN, Request, Settings,
    Version,
};
use infrahub_sync_tests::{Output, Project, changes};
use serde_json::{Map, Value, json};

const SITE: &str = "LocationSite sites [name]: name description";
const TAG: &str = "InfraTag tags [name]: name";
const DEVICE: &str = "InfraDevice devices [name]: name status role height managed labels extra primary_ip comments serial \
                      site>LocationSite tags>InfraTag";
const INTERFACE: &str = "InfraInterface interfaces [device, name]: name enabled mtu address prefix device>InfraDevice";
const LAB: [&str; 4] = [SITE, TAG, DEVICE, INTERFACE];

/// The mappings, each in a line: `Kind resource [identifiers]: field reference>Kind`.
fn mappings(kinds: &[&str]) -> String {
    let mut text = String::from("schema_mapping:\n");
    for kind in kinds {
        let (head, fields) = kind.split_once(": ").unwrap();
        let mut head = head.splitn(3, ' ');
        let (name, resource, identifiers) = (head.next().unwrap(), head.next().unwrap(), head.next().unwrap());
        text.push_str(&format!("  - name: {name}\n    mapping: {resource}\n    identifiers: {identifiers}\n    fields:\n"));
        for field in fields.split_whitespace() {
            let (field, reference) = match field.split_once('>') {
                Some((field, kind)) => (field, format!(", reference: {kind}")),
                None => (field, String::new()),
            };
            text.push_str(&format!("      - {{name: {field}, mapping: {field}{reference}}}\n"));
        }
    }
    text
}

/// A fake Infrahub and a project that writes to it from files.
pub(crate) struct Lab {
    pub(crate) fake: Fake,
    pub(crate) project: Project,
    kinds: Vec<&'static str>,
    branch: &'static str,
}

impl Lab {
    fn new(kinds: &[&'static str]) -> Lab {
        Lab::with(Options::default(), kinds)
    }

    /// With the schema that has a kind without a human friendly id, and relationships to generics.
    pub(crate) fn every(kinds: &[&'static str]) -> Lab {
        Lab::with(Options { model: Some(Model::every(Version::V1_11)), ..Options::default() }, kinds)
    }

    pub(crate) fn with(options: Options, kinds: &[&'static str]) -> Lab {
        let fake = Fake::start(options).unwrap();
        let mut lab = Lab { project: Project::new(""), fake, kinds: kinds.to_vec(), branch: "main" };
        lab.configure("", "");
        lab.project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
        lab
    }

    /// More settings of the destination, and more lines of the project.
    pub(crate) fn configure(&mut self, settings: &str, lines: &str) {
        let url = self.fake.url();
        self.project.write(
            "config.yml",
            &format!(
                "name: lab\nsource: {{name: files, settings: {{path: source}}}}\n\
                 destination: {{name: infrahub, settings: {{url: \"{url}\"{settings}}}}}\n{lines}{}",
                mappings(&self.kinds)
            ),
        );
    }

    /// Writes the source's records of a kind.
    pub(crate) fn source(&self, resource: &str, records: Value) {
        self.project.write(&format!("source/{resource}.json"), &records.to_string());
    }

    /// `kinds` of one site, two tags, two devices and three interfaces.
    fn small(&self) {
        self.source("sites", json!([{"id": 1, "name": "hq", "description": "head"}]));
        self.source("tags", json!([{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]));
        self.source(
            "devices",
            json!([{"id": 1, "name": "d1", "site": {"id": 1}, "tags": [{"id": 1}, {"id": 2}]}, {"id": 2, "name": "d2", "site": {"id": 1}, "tags": []}]),
        );
        self.source(
            "interfaces",
            json!([
                {"id": 1, "name": "eth0", "device": {"id": 1}, "address": "10.0.0.1", "prefix": "10.0.0.0/255.255.255.0"},
                {"id": 2, "name": "eth0", "device": {"id": 2}, "mtu": 9000}, {"id": 3, "name": "eth1", "device": {"id": 1}, "enabled": false}
            ]),
        );
    }

    pub(crate) fn sync(&self) -> Output {
        self.project.ok(&["sync"])
    }

    /// What the next run would do.
    pub(crate) fn planned(&self) -> Vec<String> {
        changes(&self.project.plan(&[]).1)
    }

    /// The id of the object of a kind that is named so.
    pub(crate) fn id(&self, kind: &str, name: &str) -> String {
        let store = self.fake.store();
        let named = |id: &String| ["name", "text"].iter().any(|field| store.value(id, field, self.branch) == Some(json!(name)));
        store.ids(kind, self.branch).into_iter().find(named).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    pub(crate) fn value(&self, kind: &str, name: &str, field: &str) -> Value {
        let id = self.id(kind, name);
        self.fake.store().value(&id, field, self.branch).unwrap()
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.fake.store().count(kind, self.branch)
    }

    /// Another user's document.
    pub(crate) fn execute(&self, document: &str) -> Value {
        let answer = self.fake.execute(self.branch, document, Map::new());
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    }

    fn requests(&self) -> Vec<Request> {
        self.fake.requests()
    }

    fn mutations(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.operation == "mutation").collect()
    }
}

/// Asserts how a command ended, and what it said.
fn said(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{}\n{}", output.stdout, output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is not in\n{}", output.stderr);
    }
}

/// Runs a test on each item, all at a time: most of it is waiting.
fn each<T: Send>(items: Vec<T>, test: impl Fn(T) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        for item in items {
            scope.spawn(move || test(item));
        }
    });
}

fn names(prefix: &str, count: usize) -> Value {
    (0..count).map(|n| json!({"id": n, "name": format!("{prefix}{n:05}")})).collect()
}

// ------------------------------------------------------------------------------------------------------------------- 1: round trips

#[test]
fn what_was_written_is_planned_no_more_and_changes_go_through() {
    let lab = Lab::new(&LAB);
    lab.small();
    assert_eq!(lab.planned().len(), 8);
    lab.sync();
    assert_eq!((lab.count("InfraDevice"), lab.count("InfraInterface"), lab.planned()), (2, 3, vec![]));
    let (d1, red, blue) = (lab.id("InfraDevice", "d1"), lab.id("InfraTag", "red"), lab.id("InfraTag", "blue"));
    let tags = || serde_json::from_value::<BTreeSet<String>>(lab.value("InfraDevice", "d1", "tags")).unwrap();
    let both = BTreeSet::from([red.clone(), blue]);
    assert_eq!(tags(), both);
    // Somebody changes something in Infrahub: it is changed back.
    lab.execute(&format!("mutation{{InfraDeviceUpdate(data:{{id:\"{d1}\",status:{{value:\"planned\"}},tags:[{{id:\"{red}\"}}]}}){{ok}}}}"));
    assert_eq!(lab.planned(), ["update InfraDevice d1 status,tags"]);
    lab.sync();
    assert_eq!(lab.value("InfraDevice", "d1", "status"), "active");
    assert_eq!((tags(), lab.planned()), (both, vec![]));
    // What the source has no more stays, unless the flags say otherwise.
    lab.source("interfaces", json!([]));
    assert_eq!(lab.planned(), Vec::<String>::new());
}

/// Each row is a field of a device: what the source says, what Infrahub then holds, and the same for a second run.
#[test]
fn values_of_every_type_are_written_read_back_and_changed() {
    let unsafe_text = "\"quotes\" 'n' \\ back\nline\ttab $d0 {{ name }} ${x} zażółć 🎉 \u{202e}";
    let table = [
        ("status", json!("planned"), json!("planned"), json!(null), json!("active")),
        ("status", json!(null), json!("active"), json!("planned"), json!("planned")),
        ("role", json!("leaf"), json!("leaf"), json!(null), json!(null)),
        ("height", json!(0), json!(0), json!(-7), json!(-7)),
        ("height", json!("12"), json!(12), json!(null), json!(null)),
        (
            "height",
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_992_i64),
        ),
        ("managed", json!(true), json!(true), json!(false), json!(false)),
        ("managed", json!("true"), json!(true), json!(null), json!(false)),
        ("managed", json!(0), json!(false), json!(1), json!(true)),
        ("labels", json!(["b", "a", "b"]), json!(["b", "a", "b"]), json!(["a", "b"]), json!(["a", "b"])),
        ("labels", json!(["x"]), json!(["x"]), json!([]), json!([])),
        ("labels", json!([]), json!([]), json!(null), json!(null)),
        ("extra", json!({"a": [1, null, {"b": 1.5}]}), json!({"a": [1, null, {"b": 1.5}]}), json!({}), json!({})),
        ("extra", json!([]), json!([]), json!([{"z": unsafe_text}]), json!([{"z": unsafe_text}])),
        ("primary_ip", json!("10.0.0.1"), json!("10.0.0.1/32"), json!("10.0.0.1/24"), json!("10.0.0.1/24")),
        ("primary_ip", json!("2001:DB8:0::1/64"), json!("2001:db8::1/64"), json!(null), json!(null)),
        ("comments", json!(unsafe_text), json!(unsafe_text), json!("  spaces  "), json!("  spaces  ")),
        ("comments", json!(""), json!(""), json!(null), json!(null)),
        ("comments", json!(null), json!(null), json!(""), json!("")),
        ("comments", json!("null"), json!("null"), json!("true"), json!("true")),
    ];
    let lab = Lab::new(&LAB[..3]);
    lab.small();
    let device = |row: usize, field: &str, value: &Value| json!({"id": row, "name": format!("d{row:02}"), "site": "hq", (field): value});
    let devices = |second: bool| -> Value {
        table.iter().enumerate().map(|(at, (field, first, _, then, _))| device(at, field, if second { then } else { first })).collect()
    };
    lab.source("devices", devices(false));
    lab.sync();
    for (at, (field, first, stored, ..)) in table.iter().enumerate() {
        assert_eq!(&lab.value("InfraDevice", &format!("d{at:02}"), field), stored, "{field}: {first}");
    }
    assert_eq!(lab.planned(), Vec::<String>::new());
    lab.source("devices", devices(true));
    let expected: Vec<String> = table.iter().enumerate().map(|(at, (field, ..))| format!("update InfraDevice d{at:02} {field}")).collect();
    assert_eq!(lab.planned(), expected);
    lab.sync();
    for (at, (field, _, _, then, stored)) in table.iter().enumerate() {
        assert_eq!(&lab.value("InfraDevice", &format!("d{at:02}"), field), stored, "{field}: {then}");
    }
    assert_eq!(lab.planned(), Vec::<String>::new());
}

#[test]
fn other_spellings_defaults_and_read_only_attributes_are_no_difference() {
    let lab = Lab::new(&LAB);
    lab.small();
    lab.sync();
    let device = lab.id("InfraDevice", "d1");
    // Everything that the server fills in by itself, spelled differently, or does not let anybody write.
    lab.source(
        "devices",
        json!([
            {"id": 1, "name": "d1", "site": "hq", "tags": ["blue", "red", "blue"], "status": "active", "managed": "false", "serial": "never written"},
            {"id": 2, "name": "d2", "site": "hq", "status": null, "managed": null, "role": null, "tags": null}
        ]),
    );
    lab.source(
        "interfaces",
        json!([
            {"id": 1, "name": "eth0", "device": "d1", "address": "10.0.0.1/32", "prefix": "10.0.0.0/24", "enabled": 1},
            {"id": 2, "name": "eth0", "device": "d2", "mtu": "9000", "enabled": true}, {"id": 3, "name": "eth1", "device": "d1", "enabled": "false"}
        ]),
    );
    assert_eq!(lab.planned(), Vec::<String>::new());
    // Nor where the address is what tells objects apart.
    let by_address = Lab::new(&[SITE, TAG, DEVICE, "InfraInterface interfaces [device, address]: name address device>InfraDevice"]);
    by_address.small();
    for (spelling, changes) in
        [(["10.0.0.1", "2001:DB8::1"], 7), (["10.0.0.1/32", "2001:db8:0::1/128"], 0), (["10.0.0.1/255.255.255.255", "2001:db8::1"], 0)]
    {
        let interface = |device: usize| json!({"name": "eth0", "device": format!("d{}", device + 1), "address": spelling[device]});
        by_address.source("interfaces", json!([interface(0), interface(1)]));
        assert_eq!(by_address.planned().len(), changes, "{spelling:?}");
        by_address.sync();
    }
    // A default stays a default: nobody wrote it.
    let data = lab.execute(&format!("{{InfraDevice(ids:[\"{device}\"]){{edges{{node{{status{{is_default}} managed{{is_default}}}}}}}}}}"));
    assert_eq!(data["InfraDevice"]["edges"][0]["node"], json!({"status": {"is_default": true}, "managed": {"is_default": true}}));
}

#[test]
fn relationships_are_set_moved_cleared_and_go_to_generics() {
    let kinds = [
        "FakeSite sites [name]: name",
        "FakeRoom rooms [name]: name",
        "FakeTag tags [name]: name",
        "FakeDevice devices [name]: name site>FakeSite place>FakeRoom tags>FakeTag network mac installed units",
    ];
    let lab = Lab::every(&kinds);
    lab.source("sites", json!([{"id": 1, "name": "s1"}, {"id": 2, "name": "s2"}]));
    lab.source("rooms", json!([{"id": 1, "name": "r1"}, {"id": 2, "name": "r2"}]));
    lab.source("tags", json!([{"id": 1, "name": "t1"}, {"id": 2, "name": "t2"}]));
    let device = |site: &str, place: Value, tags: Value| json!([{"name": "d", "site": site, "place": place, "tags": tags, "mac": "aabb.ccdd.eeff", "network": "10.1.0.0/255.255.0.0"}]);
    let table = [
        (device("s1", json!("r1"), json!(["t2", "t1"])), "s1", vec!["r1"], vec!["t1", "t2"]),
        (device("s2", json!("r2"), json!(["t2"])), "s2", vec!["r2"], vec!["t2"]),
        (device("s2", json!(null), json!([])), "s2", vec![], vec![]),
        (device("s2", json!("r1"), json!(null)), "s2", vec!["r1"], vec![]),
    ];
    for (records, site, place, tags) in table {
        lab.source("devices", records);
        lab.sync();
        let ids = |kind: &str, names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| lab.id(kind, name)).collect() };
        let held = |field: &str| -> BTreeSet<String> { serde_json::from_value(lab.value("FakeDevice", "d", field)).unwrap() };
        assert_eq!(held("site"), ids("FakeSite", &[site]));
        assert_eq!(held("place"), ids("FakeRoom", &place));
        assert_eq!(held("tags"), ids("FakeTag", &tags));
        assert_eq!(lab.planned(), Vec::<String>::new());
    }
    assert_eq!(
        (lab.value("FakeDevice", "d", "mac"), lab.value("FakeDevice", "d", "network")),
        (json!("AA:BB:CC:DD:EE:FF"), json!("10.1.0.0/16"))
    );
}

#[test]
fn deletes_go_from_the_leaves_up_and_a_refused_one_is_told() {
    let mut lab = Lab::new(&LAB);
    lab.small();
    lab.sync();
    lab.configure("", "diffsync_flags: [NONE]\n");
    lab.source("interfaces", json!([]));
    lab.source("devices", json!([]));
    lab.source("sites", json!([]));
    assert_eq!(
        lab.planned(),
        [
            "delete InfraInterface d1__eth0",
            "delete InfraInterface d1__eth1",
            "delete InfraInterface d2__eth0",
            "delete InfraDevice d1",
            "delete InfraDevice d2",
            "delete LocationSite hq"
        ]
    );
    // Somebody else's device stands in the site, which no mapping knows of yet.
    let site = lab.id("LocationSite", "hq");
    lab.fake.faults().add(
        Fault::new(Action::RunBefore(Outside::new(&format!(
            "mutation{{InfraDeviceCreate(data:{{name:{{value:\"theirs\"}},site:{{id:\"{site}\"}}}}){{ok}}}}"
        ))))
        .on_document("InfraInterfaceDelete"),
    );
    let partial = lab.project.run(&["sync", "--allow-rowcount-drop"]);
    said(&partial, 7, &["LocationSite", "hq", "InfraDevice"]);
    assert_eq!((lab.count("InfraInterface"), lab.count("InfraDevice"), lab.count("LocationSite")), (0, 1, 1));
    lab.execute(&format!("mutation{{InfraDeviceDelete(data:{{id:\"{}\"}}){{ok}}}}", lab.id("InfraDevice", "theirs")));
    lab.project.ok(&["sync", "--allow-rowcount-drop"]);
    assert_eq!((lab.count("LocationSite"), lab.count("InfraTag"), lab.planned()), (0, 2, vec![]));
}

// --------------------------------------------------------------------------------------------------------- 2: Infrahub as a source

/// A project that reads from the fake.
fn from_infrahub(fake: &Fake, destination: &str, kinds: &[&str]) -> Project {
    let mut project = Project::new(&format!(
        "name: out\nsource: {{name: infrahub, settings: {{url: \"{}\"}}}}\ndestination: {destination}\n{}",
        fake.url(),
        mappings(kinds)
    ));
    project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
    project
}

const FILES: &str = "{name: files, settings: {path: out}}";
/// The same kinds, read from Infrahub: interfaces before what they refer to.
const LIVE: [&str; 4] = [
    "InfraInterface InfraInterface [device, name]: name enabled mtu address prefix device>InfraDevice",
    "InfraDevice InfraDevice [name]: name status height labels extra primary_ip comments site>LocationSite tags>InfraTag",
    "InfraTag InfraTag [name]: name",
    "LocationSite LocationSite [name]: name description",
];

#[test]
fn infrahub_is_a_source_for_files_and_for_another_branch() {
    let lab = Lab::new(&LAB);
    lab.small();
    lab.sync();
    let out = from_infrahub(&lab.fake, FILES, &LIVE);
    out.ok(&["sync"]);
    let lines = |name: &str| -> Vec<Value> { out.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    assert_eq!(
        lines("out/InfraDevice.jsonl"),
        [
            json!({"name": "d1", "site": {"name": "hq"}, "status": "active", "tags": [{"name": "blue"}, {"name": "red"}]}),
            json!({"name": "d2", "site": {"name": "hq"}, "status": "active", "tags": []})
        ]
    );
    assert_eq!(
        lines("out/InfraInterface.jsonl"),
        [
            json!({"device": {"name": "d1"}, "name": "eth0", "enabled": true, "address": "10.0.0.1/32", "prefix": "10.0.0.0/24"}),
            json!({"device": {"name": "d1"}, "name": "eth1", "enabled": false}),
            json!({"device": {"name": "d2"}, "name": "eth0", "enabled": true, "mtu": 9000}),
        ]
    );
    assert_eq!(out.plan(&[]).0, 0);
    // A branch that was made before anything was there, of the same Infrahub.
    let kinds: Vec<&str> = LIVE.into_iter().rev().collect();
    lab.execute("mutation{BranchCreate(data:{name:\"copy\"}){ok}}");
    lab.fake.execute(
        "copy",
        &format!("mutation{{InfraInterfaceDelete(data:{{id:\"{}\"}}){{ok}}}}", lab.fake.store().ids("InfraInterface", "main")[2]),
        Map::new(),
    );
    let copy = format!("{{name: infrahub, settings: {{url: \"{}\", branch: copy}}}}", lab.fake.url());
    let copy = from_infrahub(&lab.fake, &copy, &kinds);
    assert_eq!(changes(&copy.plan(&[]).1).len(), 1);
    copy.ok(&["sync"]);
    assert_eq!((lab.fake.store().count("InfraInterface", "copy"), lab.fake.store().count("InfraInterface", "main")), (3, 3));
    assert_eq!(copy.plan(&[]).0, 0);
    // A generic is a source too, with what every object has.
    let generic = from_infrahub(&lab.fake, FILES, &["InfraGenericDevice things [name]: name display_label"]);
    generic.ok(&["sync"]);
    assert_eq!(generic.read("out/InfraGenericDevice.jsonl").lines().count(), 2);
}

// ------------------------------------------------------------------------------------------------- 3: settings, environment, attribution

#[test]
fn the_environment_wins_over_the_address_and_the_settings_over_the_branch() {
    let mut lab = Lab::new(&[TAG]);
    lab.source("tags", names("t", 2));
    lab.execute("mutation{a:BranchCreate(data:{name:\"one\"}){ok} b:BranchCreate(data:{name:\"two\"}){ok}}");
    lab.project.ok(&["sync", "--branch", "one"]);
    lab.configure(", branch: two", "");
    lab.project.ok(&["sync", "--branch", "one"]);
    let counts = |lab: &Lab| ["main", "one", "two"].map(|branch| lab.fake.store().count("InfraTag", branch));
    assert_eq!(counts(&lab), [0, 2, 2]);
    let other = Fake::start(Options::default()).unwrap();
    lab.configure("", "");
    lab.project.set("INFRAHUB_ADDRESS", &other.url());
    lab.sync();
    assert_eq!((counts(&lab), other.store().count("InfraTag", "main")), ([0, 2, 2], 2));
    // The token is in the header of each request, and nowhere else.
    for request in other.requests() {
        assert_eq!(request.header("x-infrahub-key"), Some(ADMIN_TOKEN));
        assert!(!String::from_utf8_lossy(&request.body).contains(ADMIN_TOKEN));
    }
}

#[test]
fn what_is_written_is_attributed() {
    /// What there is, what the settings say; who is recorded as source and as owner, and what is said about it.
    type Case<'c> = (&'c [&'c str], &'c str, [Option<usize>; 2], &'c str);
    let group = "mutation{CoreAccountGroupCreate(data:{name:{value:\"netops\"}}){object{id}}}";
    let account = "mutation{CoreAccountCreate(data:{name:{value:\"files\"},password:{value:\"x\"}}){object{id}}}";
    let table: [Case<'_>; 4] = [
        (&[group, account], ", source: netops, owner: netops", [Some(0), Some(0)], ""),
        (&[group, account], ", owner: netops", [Some(1), Some(0)], ""),
        (&[account], ", source: nobody", [Some(0), Some(0)], "`nobody`"),
        (&[], "", [None, None], "no account `files`"),
    ];
    for (there, settings, expected, warning) in table {
        let mut lab = Lab::new(&LAB[..3]);
        lab.small();
        let ids: Vec<Value> = there
            .iter()
            .map(|document| lab.execute(document).as_object().unwrap().values().next().unwrap()["object"]["id"].clone())
            .collect();
        lab.configure(settings, "");
        let output = lab.sync();
        assert!(output.stderr.contains(warning), "{}", output.stderr);
        assert_eq!(output.stderr.contains("account"), !warning.is_empty(), "{}", output.stderr);
        let query = "{InfraDevice(name__value:\"d1\"){edges{node{name{is_protected source{id} owner{id}} site{properties{is_protected source{id} owner{id}}} \
                     tags{edges{properties{is_protected source{id} owner{id}}}}}}}}";
        let node = lab.execute(query)["InfraDevice"]["edges"][0]["node"].clone();
        let id = |at: Option<usize>| at.map_or(json!(null), |at| json!({ "id": ids[at] }));
        let expected = json!({"is_protected": true, "source": id(expected[0]), "owner": id(expected[1])});
        assert_eq!([&node["name"], &node["site"]["properties"], &node["tags"]["edges"][1]["properties"]], [&expected; 3], "{settings}");
        // What an update changes is attributed as well, and no more protected than it was.
        lab.source("devices", json!([{"name": "d1", "site": "hq", "tags": ["red", "blue"], "height": 7}, {"name": "d2", "site": "hq"}]));
        lab.sync();
        let query = "{InfraDevice(name__value:\"d1\"){edges{node{height{value is_protected source{id} owner{id}}}}}}";
        let height = lab.execute(query)["InfraDevice"]["edges"][0]["node"]["height"].clone();
        assert_eq!(height, json!({"value": 7, "is_protected": false, "source": expected["source"], "owner": expected["owner"]}));
    }
}

// ------------------------------------------------------------------------------------------------------------------ 4: requests

/// GraphQL requests that read the list of a kind.
fn lists<'r>(requests: &'r [Request], kind: &str) -> Vec<&'r Request> {
    requests.iter().filter(|request| request.document.contains(&format!("{kind}(offset"))).collect()
}

#[test]
fn a_thousand_objects_are_created_in_thirty_requests_and_two_connections() {
    let lab = Lab::new(&[TAG]);
    lab.source("tags", names("t", 1000));
    lab.sync();
    let requests = lab.requests();
    assert_eq!(lab.count("InfraTag"), 1000);
    assert!(requests.len() <= 30, "{} requests", requests.len());
    let connections: BTreeSet<u64> = requests.iter().map(|request| request.connection).collect();
    assert!(connections.len() <= 2, "{connections:?}");
    let texts: BTreeSet<&str> = requests.iter().filter(|request| request.operation == "mutation").map(|r| r.document.as_str()).collect();
    assert_eq!(texts.len(), 1, "one text, which the server parses once");
    for request in requests.iter().filter(|request| request.path.starts_with("/graphql")) {
        assert_eq!(request.header("x-priority"), Some("low"));
        assert_eq!(request.path, "/graphql/main");
    }
    // The schema has not changed, and the list is there: two questions.
    lab.fake.clear_requests();
    lab.sync();
    let requests = lab.requests();
    let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths.iter().filter(|path| path.starts_with("/api")).collect::<Vec<_>>(), [&"/api/schema/summary"]);
    assert!(paths.len() <= 4, "{paths:?}");
    // Another schema is downloaded, once.
    lab.fake.faults().change_schema(&["InfraTag"]);
    lab.fake.clear_requests();
    assert_eq!(lab.planned(), Vec::<String>::new());
    assert_eq!(lab.requests().iter().filter(|request| request.path == "/api/schema").count(), 1);
}

#[test]
fn ten_thousand_objects_are_read_in_few_requests_as_of_one_moment() {
    let lab = Lab::new(&[]);
    for batch in 0..10 {
        let tags: String = (0..1000).map(|n| format!("a{n}:InfraTagCreate(data:{{name:{{value:\"t{batch}-{n}\"}}}}){{ok}} ")).collect();
        lab.execute(&format!("mutation{{{tags}}}"));
    }
    let out = from_infrahub(&lab.fake, FILES, &["InfraTag InfraTag [name]: name"]);
    out.ok(&["sync"]);
    assert_eq!(out.read("out/InfraTag.jsonl").lines().count(), 10_000);
    let requests = lab.requests();
    assert!(requests.len() <= 25, "{} requests", requests.len());
    let lists = lists(&requests, "InfraTag");
    assert!(lists.len() >= 10);
    let moments: BTreeSet<_> = lists.iter().map(|request| request.query.iter().find(|(name, _)| name == "at").map(|(_, at)| at)).collect();
    assert!(moments.len() == 1 && !moments.contains(&None), "{moments:?}");
    let texts: BTreeSet<&str> = lists.iter().map(|request| request.document.as_str()).collect();
    assert!(texts.len() == 1 && !lists[0].document.contains("display_label"), "{texts:?}");
}

#[test]
fn only_what_is_mapped_is_read_and_only_what_changed_is_written() {
    let lab = Lab::new(&[SITE, TAG, "InfraDevice devices [name]: name height comments site>LocationSite"]);
    lab.small();
    lab.sync();
    lab.source("devices", json!([{"name": "d1", "site": "hq"}, {"name": "d2", "site": "hq", "height": 5}]));
    lab.fake.clear_requests();
    lab.sync();
    let requests = lab.requests();
    let list = &lists(&requests, "InfraDevice")[0].document;
    for (field, there) in [("height", true), ("comments", true), ("site", true), ("status", false), ("tags", false), ("extra", false)] {
        assert_eq!(list.contains(field), there, "{field} in {list}");
    }
    let [update] = lab.mutations().try_into().unwrap();
    let fields: Vec<&str> = update.variables["d0"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((update.root_fields[0].as_str(), fields), ("InfraDeviceUpdate", vec!["height", "id"]));
    assert_eq!(
        (&update.variables["d0"]["id"], &update.variables["d0"]["height"]["value"]),
        (&json!(lab.id("InfraDevice", "d2")), &json!(5))
    );
}

// ---------------------------------------------------------------------------------------------------------- 5: nothing is overwritten

#[test]
fn objects_that_infrahub_takes_for_one_are_refused_and_told() {
    // The project tells sites apart by name and description, Infrahub by name alone.
    let site = "LocationSite sites [name, description]: name description";
    for name in ["hq", "h\"q\n$d0 zażółć"] {
        let lab = Lab::new(&[site]);
        let record = |name: &str, description: &str| json!({"name": name, "description": description});
        lab.source("sites", json!([record(name, "a"), record(name, "b"), record("lab", "c")]));
        let partial = lab.project.run(&["sync"]);
        said(&partial, 7, &["__b`: skipped: `name` ", " goes to LocationSite `", "__a` as well"]);
        assert_eq!((lab.count("LocationSite"), lab.value("LocationSite", name, "description")), (2, json!("a")));
    }
    // The same with an object that somebody else made meanwhile.
    let lab = Lab::new(&[site]);
    let theirs = "mutation{LocationSiteCreate(data:{name:{value:\"dc\"},description:{value:\"theirs\"}}){ok}}";
    lab.source("sites", json!([{"name": "hq", "description": "a"}, {"name": "dc", "description": "ours"}]));
    lab.fake.faults().add(Fault::new(Action::RunBefore(Outside::new(theirs))).on_document("LocationSiteCreate"));
    said(&lab.project.run(&["sync"]), 7, &["ours", "dc"]);
    assert_eq!(lab.value("LocationSite", "dc", "description"), "theirs");
}

#[test]
fn a_run_that_is_applied_again_makes_what_was_deleted_meanwhile_and_nothing_else() {
    let lab = Lab::new(&[TAG]);
    lab.source("tags", names("t", 3));
    lab.project.ok(&["diff", "--run-id", "r1"]);
    for _ in 0..2 {
        lab.project.ok(&["apply", "--run-id", "r1"]);
        assert_eq!(lab.count("InfraTag"), 3);
        // Its id is taken for ever, so the tag gets another one.
        lab.execute(&format!("mutation{{InfraTagDelete(data:{{id:\"{}\"}}){{ok}}}}", lab.id("InfraTag", "t00001")));
    }
    lab.project.ok(&["apply", "--run-id", "r1"]);
    assert_eq!((lab.count("InfraTag"), lab.planned()), (3, vec![]));
}

#[test]
fn values_that_infrahub_does_not_take_fail_their_own_rows() {
    let table = [
        ("comments", json!("NULL"), "NULL"),
        ("role", json!("nope"), "nope"),
        ("status", json!("nope"), "nope"),
        ("primary_ip", json!("10.0.0.256"), "10.0.0.256"),
        ("site", json!(null), "site"),
        ("extra", json!("text"), "extra"),
    ];
    let lab = Lab::new(&LAB[..3]);
    lab.small();
    let good = json!({"name": "good", "site": "hq", "height": 1});
    let bad = table.iter().enumerate().map(|(at, (field, value, _))| {
        let mut device = json!({"name": format!("bad{at}"), "site": "hq"});
        device[field] = value.clone();
        device
    });
    lab.source("devices", bad.chain([good]).collect());
    let partial = lab.project.run(&["sync"]);
    said(&partial, 7, &table.map(|(.., word)| word));
    assert_eq!((lab.count("InfraDevice"), lab.value("InfraDevice", "good", "height")), (1, json!(1)), "{}", partial.stderr);
    // The schema tells the types of plain values, so these are checked before anything is planned.
    lab.source("devices", json!([{"name": "half", "site": "hq", "height": 5.5}]));
    said(&lab.project.run(&["sync", "--allow-rowcount-drop"]), 6, &["InfraDevice `half`", "`height` is 5.5, which is not an integer"]);
}

/// Every way in which an answer can be lost after the server did what was asked, or before.
fn losses() -> Vec<Action> {
    vec![
        Action::ResetAfter,
        Action::ResetBefore,
        Action::Truncate { bytes: 20 },
        Action::StatusAfter { status: 503 },
        Action::StatusAfter { status: 500 },
        Action::StatusAfter { status: 429 },
        Action::Unavailable,
        Action::Crash,
        Action::TooMany,
        Action::Shed,
        Action::SlowBody { bytes: 100, pause_ms: 5 },
    ]
}

#[test]
fn a_create_whose_answer_is_lost_is_not_made_twice() {
    // With a human friendly id, where Infrahub would refuse the second; and without, where it would make it.
    for kind in ["FakeTag notes [name]: name", "FakeNote notes [text]: text"] {
        let (name, field) = if kind.starts_with("FakeTag") { ("FakeTag", "name") } else { ("FakeNote", "text") };
        each(losses(), |action| {
            let lab = Lab::every(&[kind]);
            lab.source("notes", (0..150).map(|n| json!({ (field): format!("n{n}") })).collect());
            lab.fake.faults().add(Fault::new(action.clone()).on_document(&format!("{name}Create")));
            lab.fake.faults().add(Fault::new(Action::ResetAfter).on_document(&format!("{name}Create")).after(2));
            lab.sync();
            assert_eq!((lab.count(name), lab.planned()), (150, vec![]), "{name} {action:?}");
        });
    }
}

#[test]
fn a_mutation_is_sent_again_only_after_a_look_unless_the_server_says_that_it_did_nothing() {
    for (action, looks) in [(Action::TooMany, true), (Action::Unavailable, true), (Action::Shed, false)] {
        let lab = Lab::new(&[TAG]);
        lab.source("tags", names("t", 1));
        lab.fake.faults().add(Fault::new(action.clone()).on_document("InfraTagCreate"));
        lab.sync();
        let requests = lab.requests();
        let creates: Vec<usize> = (0..requests.len()).filter(|at| requests[*at].document.contains("InfraTagCreate")).collect();
        let [first, second] = creates[..] else { panic!("{creates:?}") };
        let looked = requests[first..second].iter().any(|request| request.document.contains("ids:$ids"));
        assert_eq!((looked, requests[first].body == requests[second].body), (looks, true), "{action:?}");
    }
}

#[test]
fn updates_and_deletes_survive_a_lost_answer() {
    each(losses(), |action| {
        let mut lab = Lab::new(&[SITE, TAG]);
        lab.small();
        lab.sync();
        lab.configure("", "diffsync_flags: [NONE]\n");
        lab.source("sites", json!([{"name": "hq", "description": "other"}]));
        lab.source("tags", json!([{"name": "red"}]));
        for document in ["LocationSiteUpdate", "InfraTagDelete"] {
            lab.fake.faults().add(Fault::new(action.clone()).on_document(document));
        }
        lab.sync();
        assert_eq!((lab.value("LocationSite", "hq", "description"), lab.count("InfraTag")), (json!("other"), 1), "{action:?}");
    });
}

// ----------------------------------------------------------------------------------------------------------------------- 6: faults

#[test]
fn reads_survive_what_happens_on_the_way() {
    each(losses(), |action| {
        let lab = Lab::new(&[TAG]);
        for name in ["a", "b"] {
            lab.execute(&format!("mutation{{InfraTagCreate(data:{{name:{{value:\"{name}\"}}}}){{ok}}}}"));
        }
        lab.source("tags", json!([{"name": "b"}, {"name": "a"}]));
        for path in ["/api/schema/summary", "/graphql"] {
            lab.fake.faults().add(Fault::new(action.clone()).on_path(path));
        }
        assert_eq!((lab.planned(), lab.fake.faults().pending()), (vec![], 0), "{action:?}");
    });
    // A server that stays away is given up, and nothing is taken for empty.
    let lab = Lab::new(&[TAG]);
    lab.source("tags", names("t", 1));
    lab.fake.faults().add(Fault::new(Action::Truncate { bytes: 10 }).on_document("InfraTag(offset").times(100));
    said(&lab.project.run(&["sync"]), 5, &["/graphql/main"]);
    assert_eq!(lab.mutations().len(), 0);
}

#[test]
fn objects_that_others_delete_while_a_list_is_read_cost_no_untouched_one() {
    let list = "InfraTag(offset";
    for pinned in [true, false] {
        let lab = Lab::new(&[]);
        for batch in 0..3 {
            let tags: String = (0..1000).map(|n| format!("a{n}:InfraTagCreate(data:{{name:{{value:\"t{batch}-{n}\"}}}}){{ok}} ")).collect();
            lab.execute(&format!("mutation{{{tags}}}"));
        }
        let first: Vec<String> = lab.fake.store().ids("InfraTag", "main").into_iter().take(300).collect();
        let deletes: String = first.iter().enumerate().map(|(n, id)| format!("a{n}:InfraTagDelete(data:{{id:\"{id}\"}}){{ok}} ")).collect();
        // A first page takes its time, and the moment of the load passes.
        if pinned {
            lab.fake.faults().add(Fault::new(Action::Pass { ms: 60_000 }).on_document(list));
        }
        // Then somebody deletes what was on it.
        let deletes = Action::RunBefore(Outside::new(&format!("mutation{{{deletes}}}")));
        lab.fake.faults().add(Fault::new(deletes).on_document(list).on_body("\"offset\":1000"));
        let out = from_infrahub(&lab.fake, FILES, &["InfraTag tags [name]: name"]);
        let output = out.run(&["sync"]);
        assert_eq!(lab.count("InfraTag"), 2700);
        said(&output, 0, &[]);
        // Where all was read in a moment, before anything could be pinned, the run notices and reads the list again.
        assert_eq!(out.read("out/InfraTag.jsonl").lines().count(), if pinned { 3000 } else { 2700 });
        out.ok(&["sync"]);
        assert_eq!(out.plan(&[]).0, 0);
    }
}

#[test]
fn what_others_did_between_comparing_and_writing_is_told() {
    let mut lab = Lab::new(&[SITE, TAG]);
    lab.source("sites", json!([{"name": "hq", "description": "a"}, {"name": "dc", "description": "a"}]));
    lab.source("tags", names("t", 3));
    lab.sync();
    lab.configure("", "diffsync_flags: [NONE]\n");
    lab.source("sites", json!([{"name": "hq", "description": "b"}, {"name": "dc", "description": "b"}]));
    lab.source("tags", names("t", 2));
    let gone = |kind: &str, name: &str| {
        let id = lab.id(kind, name);
        Fault::new(Action::RunBefore(Outside::new(&format!("mutation{{{kind}Delete(data:{{id:\"{id}\"}}){{ok}}}}"))))
    };
    lab.fake.faults().add(gone("LocationSite", "hq").on_document("LocationSiteUpdate"));
    lab.fake.faults().add(gone("InfraTag", "t00002").on_document("InfraTagDelete"));
    // An update of what is gone is an error of its row; a delete of what is gone is what was wanted.
    let partial = lab.project.run(&["sync"]);
    said(&partial, 7, &["hq"]);
    assert!(!partial.stderr.contains("t00002"), "{}", partial.stderr);
    assert_eq!((lab.value("LocationSite", "dc", "description"), lab.count("InfraTag")), (json!("b"), 2));
}

#[test]
fn what_may_not_be_written_is_told_before_the_first_write() {
    /// Token, denied kinds, options; the exit code, what is said.
    type Case<'c> = (&'c str, Settings, &'c [&'c str], i32, &'c [&'c str]);
    let deny = |kinds: &[&str]| Settings { deny_write_kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(), ..Settings::default() };
    let table: [Case<'_>; 8] = [
        (ADMIN_TOKEN, deny(&["InfraTag", "InfraDevice"]), &[], 5, &["create `InfraTag`", "create `InfraDevice`"]),
        (READ_ONLY_TOKEN, deny(&[]), &[], 5, &["`LocationSite`", "`InfraTag`", "`InfraDevice`"]),
        (BRANCH_ONLY_TOKEN, deny(&[]), &[], 5, &["`main`"]),
        (BRANCH_ONLY_TOKEN, deny(&[]), &["--branch", "work"], 0, &[]),
        (EXPIRED_TOKEN, deny(&[]), &[], 5, &["INFRAHUB_API_TOKEN", "Expired"]),
        ("nonsense", deny(&[]), &[], 5, &["INFRAHUB_API_TOKEN"]),
        ("", deny(&[]), &[], 5, &["INFRAHUB_API_TOKEN"]),
        (ADMIN_TOKEN, deny(&[]), &["--branch", "nowhere"], 3, &["no branch `nowhere`"]),
    ];
    for (token, settings, options, code, words) in table {
        let mut lab = Lab::new(&LAB[..3]);
        lab.small();
        lab.execute("mutation{BranchCreate(data:{name:\"work\"}){ok}}");
        lab.fake.faults().set(settings);
        lab.project.set("INFRAHUB_API_TOKEN", token);
        said(&lab.project.run(&[&["sync"], options].concat()), code, words);
        assert_eq!(lab.mutations().is_empty(), code != 0, "{token} {options:?}");
        assert_eq!(lab.count("LocationSite"), 0);
    }
    // Only what is planned counts: nobody needs the right to delete for a create.
    let lab = Lab::new(&[SITE, TAG]);
    lab.small();
    lab.fake.faults().set(deny(&["InfraDevice"]));
    lab.sync();
}

#[test]
fn a_schema_that_changed_since_the_diff_stops_the_apply() {
    let lab = Lab::new(&[SITE, TAG]);
    lab.small();
    lab.project.ok(&["diff", "--run-id", "r1"]);
    let mandatory = json!({"optional": false}).as_object().unwrap().clone();
    lab.fake.faults().change_attribute("LocationSite", "description", &mandatory);
    said(&lab.project.run(&["apply", "--run-id", "r1"]), 6, &["LocationSite"]);
    assert_eq!(lab.count("LocationSite"), 0);
    // A change of a kind that the project does not know is no drift.
    lab.project.ok(&["diff", "--run-id", "r2"]);
    lab.fake.faults().change_attribute("InfraInterface", "mtu", &mandatory);
    lab.project.ok(&["apply", "--run-id", "r2"]);
    assert_eq!(lab.count("LocationSite"), 1);
}

#[test]
fn an_old_server_is_used_as_far_as_it_goes_and_named_by_its_version() {
    // 1.6 knows all that is asked for, and its errors have no codes.
    let lab =
        Lab::with(Options { version: Version::V1_6, ..Options::default() }, &["LocationSite sites [name, description]: name description"]);
    lab.source("sites", json!([{"name": "hq", "description": "a"}, {"name": "hq", "description": "b"}]));
    lab.fake.faults().add(Fault::new(Action::ResetAfter).on_document("LocationSiteCreate"));
    said(&lab.project.run(&["sync"]), 7, &["`name`"]);
    assert_eq!(lab.count("LocationSite"), 1);
    let body =
        r#"{"data":null,"errors":[{"message":"Unknown argument 'order' on field 'Query.LocationSite'.","extensions":{"code":500}}]}"#;
    lab.fake.faults().add(Fault::new(Action::Status { status: 200, body: body.to_owned() }).on_document("LocationSite(offset"));
    said(&lab.project.run(&["diff"]), 4, &["1.6.3", "1.7"]);
}

// --------------------------------------------------------------------------------------------------------------- 7: proposed change

#[test]
fn a_run_can_be_reviewed_in_infrahub() {
    // Who writes, whether a site is in the way; the exit code, whether it is a draft, what is written.
    for (token, collides, code, sites) in [(ADMIN_TOKEN, false, 0, 1), (ADMIN_TOKEN, true, 7, 1), (BRANCH_ONLY_TOKEN, false, 0, 1)] {
        let mut lab = Lab::new(&["LocationSite sites [name, description]: name description", TAG]);
        lab.small();
        if collides {
            lab.source("sites", json!([{"name": "hq", "description": "head"}, {"name": "hq", "description": "other"}]));
        }
        lab.configure(", proposed_change: true", "");
        lab.project.set("INFRAHUB_API_TOKEN", token);
        for document in ["BranchCreate", "CoreProposedChangeCreate"] {
            let action = if collides { Action::ResetBefore } else { Action::ResetAfter };
            lab.fake.faults().add(Fault::new(action).on_document(document));
        }
        let output = lab.project.run(&["sync"]);
        let run = lab.project.runs("lab").pop().unwrap();
        let branch = format!("infrahub-sync-{run}");
        said(&output, code, &[&branch, &format!("{}/proposed-changes/", lab.fake.url())]);
        assert_eq!(lab.fake.store().branches(), ["main", &branch]);
        let counts = |branch: &str| ["LocationSite", "InfraTag"].map(|kind| lab.fake.store().count(kind, branch));
        assert_eq!((counts("main"), counts(&branch)), ([0, 0], [sites, 2]), "{token} {collides}");
        let [id] = lab.fake.store().ids("CoreProposedChange", "main").try_into().unwrap();
        let value = |field: &str| lab.fake.store().value(&id, field, "main").unwrap();
        assert_eq!(
            (value("source_branch"), value("destination_branch"), value("is_draft")),
            (json!(branch), json!("main"), json!(collides))
        );
        // The run is applied again: it goes on in its branch, and its proposed change is there.
        if !collides {
            said(&lab.project.run(&["apply", "--run-id", &run]), 0, &[]);
            assert_eq!((lab.fake.store().ids("CoreProposedChange", "main"), lab.fake.store().branches().len()), (vec![id.clone()], 2));
        }
        let description = value("description");
        for word in [run.as_str(), "| InfraTag | 2 | 0 | 0 |", "3 created"] {
            assert!(description.as_str().unwrap().contains(word), "{word} in {description}");
        }
    }
}

#[test]
fn a_proposed_change_that_could_not_be_opened_is_opened_when_the_run_is_applied_again() {
    let mut lab = Lab::new(&[TAG]);
    lab.source("tags", names("t", 3));
    lab.configure(", proposed_change: true", "");
    let refused = Action::Alias { name: "CoreProposedChangeCreate".into(), message: "no".into(), code: "X".into(), http_status: 422 };
    lab.fake.faults().add(Fault::new(refused).on_document("CoreProposedChangeCreate").times(1));
    let output = lab.project.run(&["sync"]);
    said(&output, 7, &["its proposed change cannot be opened"]);
    let output = lab.project.run(&["apply", "--run-id", &lab.project.runs("lab").pop().unwrap()]);
    said(&output, 0, &["/proposed-changes/"]);
    let [id] = lab.fake.store().ids("CoreProposedChange", "main").try_into().unwrap();
    let description = lab.fake.store().value(&id, "description", "main").unwrap();
    assert!(description.as_str().unwrap().contains("3 created"), "{description}");
}

#[test]
fn a_run_that_writes_nothing_makes_no_branch() {
    let mut lab = Lab::new(&[TAG]);
    lab.source("tags", names("t", 1));
    lab.sync();
    lab.configure(", proposed_change: true", "");
    lab.sync();
    lab.project.ok(&["diff"]);
    assert_eq!((lab.fake.store().branches(), lab.fake.store().count("CoreProposedChange", "main")), (vec!["main".to_owned()], 0));
}

#[test]
fn an_object_that_was_renamed_is_not_taken_for_what_was_to_be_created() {
    let lab = Lab::new(&[TAG]);
    lab.source("tags", names("t", 1));
    lab.sync();
    let id = lab.id("InfraTag", "t00000");
    lab.execute(&format!("mutation{{InfraTagUpdate(data:{{id:\"{id}\",name:{{value:\"renamed\"}}}}){{ok}}}}"));
    lab.project.ok(&["apply", "--run-id", &lab.project.runs("lab").pop().unwrap()]);
    assert_eq!(lab.count("InfraTag"), 2);
    assert_ne!(lab.id("InfraTag", "t00000"), id);
}

// ------------------------------------------------------------------------------------------------------------- 8: mapping and schema

#[test]
fn generate_takes_the_models_from_the_live_schema() {
    let lab = Lab::new(&LAB);
    lab.small();
    lab.project.ok(&["generate"]);
    let models = lab.project.read("infrahub-sync.models.yml");
    for word in ["InfraDevice", "primary_ip", "LocationSite", "active"] {
        assert!(models.contains(word), "{word} in {models}");
    }
    assert!(!lab.sync().stderr.contains("stale"));
}

#[test]
fn a_mapping_that_does_not_fit_the_schema_is_explained() {
    let table: [(&[&str], &[&str]); 4] = [
        (&["InfraTags tags [name]: name"], &["InfraTags", "InfraTag", "config.yml:"]),
        (&["InfraTag tags [name]: name colour"], &["colour", "config.yml:"]),
        (&[SITE, "InfraDevice devices [name]: name hieght site>LocationSite"], &["hieght", "`height`", "config.yml:"]),
        (&[TAG, SITE, "InfraDevice devices [name]: name site>InfraTag"], &["site", "InfraTag", "LocationSite", "config.yml:"]),
    ];
    for (kinds, words) in table {
        let lab = Lab::new(kinds);
        lab.small();
        let refused = lab.project.run(&["diff"]);
        said(&refused, 3, words);
        assert_eq!(lab.mutations().len(), 0);
    }
}
