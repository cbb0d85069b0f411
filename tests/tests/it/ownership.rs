//! Ownership: what a project leaves to others, and what it takes over. Against a fake Infrahub, and against files.

use std::collections::BTreeSet;

use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Fake, Model, Options, Version};
use infrahub_sync_tests::{Project, changes};
use serde_json::{Map, Value, json};

const KINDS: &str = "schema_mapping:
  - {name: FakeSite, mapping: sites, identifiers: [name], fields: [{name: name, mapping: name}]}
  - {name: FakeTag, mapping: tags, identifiers: [name], fields: [{name: name, mapping: name}]}
  - {name: CoreStandardGroup, mapping: groups, identifiers: [name], fields: [{name: name, mapping: name}]}
  - name: FakeDevice
    mapping: devices
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: site, mapping: site, reference: FakeSite}
      - {name: place, mapping: place, reference: FakeSite}
      - {name: tags, mapping: tags, reference: FakeTag}
      - {name: member_of_groups, mapping: groups, reference: CoreStandardGroup}
      - {name: height, mapping: height}
";

struct Lab {
    fake: Fake,
    projects: Vec<Project>,
}

impl Lab {
    /// As many projects, each with its own source and cache, that write to one Infrahub.
    fn new(projects: usize, lines: &str, kinds: &str) -> Lab {
        let fake = Fake::start(Options { model: Some(Model::every(Version::V1_11)), ..Options::default() }).unwrap();
        let url = fake.url();
        let project = |number: usize| {
            let mut project = Project::new(&format!(
                "name: p{number}\nsource: {{name: files, settings: {{path: source}}}}\n\
                 destination: {{name: infrahub, settings: {{url: \"{url}\"}}}}\n{lines}{kinds}"
            ));
            project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
            for list in ["sites", "tags", "groups", "devices"] {
                project.write(&format!("source/{list}.json"), "[]");
            }
            project
        };
        let projects = (1..=projects).map(project).collect();
        Lab { fake, projects }
    }

    fn source(&self, project: usize, list: &str, records: Value) {
        self.projects[project].write(&format!("source/{list}.json"), &records.to_string());
    }

    fn execute(&self, document: &str) -> Value {
        let answer = self.fake.execute("main", document, Map::new());
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    }

    fn create(&self, kind: &str, name: &str) -> String {
        let made = self.execute(&format!("mutation{{{kind}Create(data:{{name:{{value:\"{name}\"}}}}){{object{{id}}}}}}"));
        made[format!("{kind}Create")]["object"]["id"].as_str().unwrap().to_owned()
    }

    fn id(&self, kind: &str, name: &str) -> String {
        let store = self.fake.store();
        let named = |id: &String| store.value(id, "name", "main") == Some(json!(name));
        store.ids(kind, "main").into_iter().find(named).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    fn names(&self, kind: &str) -> BTreeSet<String> {
        let store = self.fake.store();
        let name = |id: &String| Some(store.value(id, "name", "main")?.as_str()?.to_owned());
        store.ids(kind, "main").iter().filter_map(name).collect()
    }

    fn held(&self, device: &str, field: &str) -> BTreeSet<String> {
        let value = self.fake.store().value(&self.id("FakeDevice", device), field, "main").unwrap();
        match value {
            Value::Null => BTreeSet::new(),
            Value::String(one) => BTreeSet::from([one]),
            other => serde_json::from_value(other).unwrap(),
        }
    }
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

#[test]
fn links_to_kinds_that_are_not_mapped_are_cut_only_where_the_field_is_owned() {
    let lab = Lab::new(1, "", KINDS);
    let project = &lab.projects[0];
    lab.source(0, "sites", json!([{"name": "hq"}]));
    lab.source(0, "groups", json!([{"name": "g1"}, {"name": "g2"}]));
    let device =
        |place: Value, groups: Value| lab.source(0, "devices", json!([{"name": "d", "site": "hq", "place": place, "groups": groups}]));
    device(json!(null), json!(["g1"]));
    project.ok(&["sync", "--no-diff"]);
    // By hand: the room and the other kind of group are of kinds that the project does not map.
    let (d, room, team) = (lab.id("FakeDevice", "d"), lab.create("FakeRoom", "r1"), lab.create("CoreGeneratorGroup", "team"));
    let (g1, g2) = (lab.id("CoreStandardGroup", "g1"), lab.id("CoreStandardGroup", "g2"));
    lab.execute(&format!(
        "mutation{{FakeDeviceUpdate(data:{{id:\"{d}\",place:{{id:\"{room}\"}},member_of_groups:[{{id:\"{g1}\"}},{{id:\"{team}\"}}]}}){{ok}}}}"
    ));
    assert_eq!(changes(&project.plan(&[]).1), Vec::<String>::new());
    // The set changes: the member that is not the project's is written back.
    device(json!(null), json!(["g2"]));
    project.ok(&["sync", "--no-diff"]);
    assert_eq!((lab.held("d", "member_of_groups"), lab.held("d", "place")), (set(&[&g2, &team]), set(&[&room])));
    assert_eq!(changes(&project.plan(&[]).1), Vec::<String>::new());
    // Between plan and apply someone adds a member: it is not cut by a plan that did not know it.
    device(json!(null), json!(["g1", "g2"]));
    project.ok(&["diff", "--run-id", "stale"]);
    let other = lab.create("CoreGeneratorGroup", "other");
    lab.execute(&format!("mutation{{RelationshipAdd(data:{{id:\"{d}\",name:\"member_of_groups\",nodes:[{{id:\"{other}\"}}]}}){{ok}}}}"));
    assert_eq!(project.run(&["apply", "--run-id", "stale"]).code, 7);
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(lab.held("d", "member_of_groups"), set(&[&g1, &g2, &team, &other]));
    // A peer of the source takes the place; the plan names the one that goes.
    device(json!("hq"), json!(["g1", "g2"]));
    let (_, plan) = project.plan(&[]);
    assert_eq!(plan["changes"][0]["old_value"]["place"], json!(format!("FakeRoom (id {room})")));
    lab.source(0, "devices", json!([{"name": "d", "site": "hq", "groups": ["g1", "g2"]}]));
    // Only a field that says so is the source's alone.
    let config = project.read("config.yml");
    let owned = config.replace("reference: CoreStandardGroup}", "reference: CoreStandardGroup, ownership: source}").replace(
        "{name: place, mapping: place, reference: FakeSite}",
        "{name: place, mapping: place, reference: FakeSite, ownership: source}",
    );
    project.write("config.yml", &owned);
    let shown = project.ok(&["diff"]).stdout;
    assert!(
        shown.contains(&format!("\"FakeRoom (id {room})\" → null")) && shown.contains(&format!("CoreGeneratorGroup (id {team})")),
        "{shown}"
    );
    project.ok(&["sync", "--no-diff"]);
    assert_eq!((lab.held("d", "member_of_groups"), lab.held("d", "place")), (set(&[&g1, &g2]), BTreeSet::new()));
    assert_eq!(changes(&project.plan(&[]).1), Vec::<String>::new());
}

#[test]
fn two_projects_on_one_kind_delete_only_their_own_and_what_they_adopt() {
    let lab = Lab::new(2, "diffsync_flags: [NONE]\n", KINDS);
    lab.create("FakeTag", "by hand");
    let tags = |project: usize, names: &[&str]| lab.source(project, "tags", names.iter().map(|name| json!({ "name": name })).collect());
    tags(0, &["a1", "a2", "both"]);
    tags(1, &["b1", "b2", "both"]);
    for _ in 0..2 {
        lab.projects.iter().for_each(|project| drop(project.ok(&["sync", "--no-diff"])));
        assert_eq!(lab.names("FakeTag"), set(&["a1", "a2", "b1", "b2", "both", "by hand"]));
        assert!(lab.projects.iter().all(|project| project.plan(&[]).0 == 0));
    }
    let (_, plan) = lab.projects[1].plan(&[]);
    let of_tags = plan["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == "FakeTag").unwrap().clone();
    assert_eq!((&of_tags["unowned"], &of_tags["delete"]), (&json!(3), &json!(0)));
    let shown = lab.projects[1].ok(&["diff"]).stdout;
    for words in
        ["FakeTag: 3 objects only in the destination are not recorded as made by this sync: they stay", "adopt --unmatched", "deletes: all"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    // Each deletes its own; what both have belongs to who made it.
    tags(1, &["b1"]);
    lab.projects[1].ok(&["sync", "--no-diff", "--allow-rowcount-drop"]);
    assert_eq!(lab.names("FakeTag"), set(&["a1", "a2", "b1", "both", "by hand"]));
    tags(0, &["a1"]);
    lab.projects[0].ok(&["sync", "--no-diff", "--allow-rowcount-drop"]);
    assert_eq!(lab.names("FakeTag"), set(&["a1", "b1", "by hand"]));
    // Adopting shows first, takes matched objects, and the others only when told.
    let listed: Value = serde_json::from_str(&lab.projects[0].ok(&["adopt", "--kind", "FakeTag", "--output", "json"]).stdout).unwrap();
    assert_eq!(listed["kinds"][0]["unmatched"], json!(["b1", "by hand"]));
    assert_eq!((&listed["kinds"][0]["owned"], &listed["kinds"][0]["adopted"]), (&json!(1), &json!(0)));
    lab.projects[0].ok(&["adopt", "--yes"]);
    assert_eq!(lab.projects[0].plan(&[]).0, 0);
    lab.projects[0].ok(&["adopt", "--kind", "FakeTag", "--unmatched", "--yes"]);
    // The record outlives the runs.
    lab.projects[0].ok(&["cache", "prune", "--keep", "0", "--older-than", "0d"]);
    assert_eq!(changes(&lab.projects[0].plan(&[]).1), ["delete FakeTag b1", "delete FakeTag by hand"]);
    // Without the record, nothing is deleted, and that is said.
    let record = lab.projects[0].path().join(".infrahub-sync-cache/p1/ownership.parquet");
    let kept = std::fs::read(&record).unwrap();
    std::fs::write(&record, &kept[..20]).unwrap();
    let lost = lab.projects[0].run(&["sync", "--no-diff"]);
    assert!(lost.code == 0 && lost.stderr.contains("ownership.parquet) is damaged"), "{}", lost.stderr);
    assert_eq!(lab.names("FakeTag"), set(&["a1", "b1", "by hand"]));
    std::fs::write(&record, &kept).unwrap();
    lab.projects[0].ok(&["sync", "--no-diff"]);
    assert_eq!(lab.names("FakeTag"), set(&["a1"]));
    let unknown = lab.projects[0].run(&["adopt", "--kind", "FakeTga"]);
    assert!(unknown.code == 3 && unknown.stderr.contains("does not map the kind `FakeTga`"), "{} {}", unknown.code, unknown.stderr);
}

#[test]
fn fields_are_left_to_the_destination_and_sets_are_shared() {
    let kinds = KINDS
        .replace("{name: height, mapping: height}", "{name: height, mapping: height, ownership: create-only}")
        .replace("{name: tags, mapping: tags, reference: FakeTag}", "{name: tags, mapping: tags, reference: FakeTag, ownership: merge}");
    let lab = Lab::new(1, "", &kinds);
    let project = &lab.projects[0];
    lab.source(0, "sites", json!([{"name": "hq"}]));
    lab.source(0, "tags", json!([{"name": "t1"}, {"name": "t2"}, {"name": "t3"}]));
    let device = |height: u32, tags: Value| lab.source(0, "devices", json!([{"name": "d", "site": "hq", "height": height, "tags": tags}]));
    device(1, json!(["t1", "t2"]));
    project.ok(&["sync", "--no-diff"]);
    let height = || lab.fake.store().value(&lab.id("FakeDevice", "d"), "height", "main").unwrap();
    assert_eq!(height(), json!(1));
    // By hand: another height, and a member of the set.
    let (d, [t1, t2, t3]) = (lab.id("FakeDevice", "d"), ["t1", "t2", "t3"].map(|name| lab.id("FakeTag", name)));
    lab.execute(&format!(
        "mutation{{FakeDeviceUpdate(data:{{id:\"{d}\",height:{{value:9}},tags:[{{id:\"{t1}\"}},{{id:\"{t2}\"}},{{id:\"{t3}\"}}]}}){{ok}}}}"
    ));
    assert_eq!(changes(&project.plan(&[]).1), Vec::<String>::new());
    device(2, json!(["t2"]));
    assert_eq!(changes(&project.plan(&[]).1), ["update FakeDevice d tags"]);
    project.ok(&["sync", "--no-diff"]);
    assert_eq!((height(), lab.held("d", "tags")), (json!(9), set(&[&t2, &t3])));
    // What someone else added stays also after the source has had it.
    device(2, json!(["t2", "t3"]));
    assert_eq!(changes(&project.plan(&[]).1), Vec::<String>::new());
    device(2, json!([]));
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(lab.held("d", "tags"), set(&[&t3]));
    assert_eq!(changes(&project.plan(&[]).1), Vec::<String>::new());
}

#[test]
fn a_killed_apply_is_recorded_by_the_next_run() {
    let config = |flags: &str| {
        format!(
            "name: killed\nsource: {{name: files, settings: {{path: source}}}}\ndestination: {{name: files, settings: {{path: out}}}}\n{flags}\
             schema_mapping:\n  - {{name: Tag, mapping: tags, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n"
        )
    };
    let project = Project::new(&config("diffsync_flags: [NONE]\n"));
    let tags = |names: &[&str]| {
        let records: Value = names.iter().map(|name| json!({ "name": name })).collect();
        project.write("source/tags.json", &records.to_string());
    };
    project.write("out/Tag.jsonl", "{\"name\":\"theirs\"}\n");
    tags(&["one", "two"]);
    project.ok(&["sync", "--no-diff"]);
    // As a kill after the last answer and before the record leaves it.
    let folder = project.path().join(".infrahub-sync-cache/killed");
    let run = project.runs("killed")[0].clone();
    std::fs::remove_file(folder.join("ownership.parquet")).unwrap();
    std::fs::write(folder.join("ownership.json"), json!({ "applying": run }).to_string()).unwrap();
    tags(&["one"]);
    project.ok(&["sync", "--no-diff"]);
    let name = |line: &str| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned();
    let left: BTreeSet<String> = project.read("out/Tag.jsonl").lines().map(name).collect();
    assert_eq!(left, set(&["one", "theirs"]));
    project.ok(&["cache", "verify"]);
}
