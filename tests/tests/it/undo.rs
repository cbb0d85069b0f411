//! `undo`, `drift` and `explain`, with the whole program and a fake Infrahub that counts what it is asked to change.

use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Fake, Options};
use infrahub_sync_tests::{Output, Project};
use serde_json::{Map, Value, json};

/// Devices, from files to a fake Infrahub. A filter leaves some out, and a transform makes the names small.
struct World {
    fake: Fake,
    project: Project,
}

impl World {
    fn new() -> World {
        let fake = Fake::start(Options::default()).unwrap();
        let mut project = Project::new("");
        project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
        let url = fake.url();
        let text = format!(
            "name: world\nsource: {{name: files, settings: {{path: data}}}}\n\
             destination: {{name: infrahub, settings: {{url: \"{url}\", retries: 1}}}}\ndiffsync_flags: [NONE]\ndeletes: all\n\
             schema_mapping:\n\
             \x20 - {{name: LocationSite, mapping: sites, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n\
             \x20 - name: InfraDevice\n\
             \x20   mapping: devices\n\
             \x20   identifiers: [name]\n\
             \x20   filters: [{{field: state, operation: in, value: [active, planned]}}]\n\
             \x20   transforms: [{{field: name, expression: \"{{{{ name|lower }}}}\"}}]\n\
             \x20   fields: [{{name: name, mapping: name}}, {{name: height, mapping: height}}, {{name: site, mapping: site, reference: LocationSite}}]\n"
        );
        project.write("config.yml", &text);
        project.write("data/sites.json", &json!([{"name": "a"}]).to_string());
        World { fake, project }
    }

    /// Writes the source: the first devices by number, all of one height.
    fn source(&self, devices: u32, height: u32) {
        let device = |at: u32| json!({"id": at, "name": format!("D{at}"), "height": height, "site": "a", "state": "active"});
        let mut devices: Vec<Value> = (0..devices).map(device).collect();
        devices.push(json!({"id": 99, "name": "D99", "height": 1, "site": "a", "state": "retired"}));
        self.project.write("data/devices.json", &json!(devices).to_string());
    }

    fn height(&self, name: &str) -> Option<Value> {
        let store = self.fake.store();
        let id = store.ids("InfraDevice", "main").into_iter().find(|id| store.value(id, "name", "main") == Some(json!(name)))?;
        store.value(&id, "height", "main")
    }

    fn set_height(&self, name: &str, height: u32) {
        let id = {
            let store = self.fake.store();
            store.ids("InfraDevice", "main").into_iter().find(|id| store.value(id, "name", "main") == Some(json!(name))).unwrap()
        };
        let query = format!("mutation{{InfraDeviceUpdate(data:{{id:\"{id}\",height:{{value:{height}}}}}){{ok}}}}");
        let answer = self.fake.execute("main", &query, Map::new());
        assert!(answer["errors"].is_null(), "{answer}");
    }

    fn mutations(&self) -> usize {
        self.fake.requests().iter().filter(|request| request.operation == "mutation").count()
    }

    /// Applies a plan of the source as it is, as the run of that id.
    fn apply(&self, run_id: &str) {
        self.project.ok(&["diff", "--run-id", run_id]);
        self.project.ok(&["apply", "--run-id", run_id]);
    }

    /// Makes the plan that takes a run back; its id, and the messages. Nothing is written to the destination.
    fn undo(&self, run_id: &str) -> (String, String) {
        let before = self.mutations();
        let Output { stdout, stderr, .. } =
            self.project.ok(&["undo", "--config-file", "config.yml", "--run-id", run_id, "--output", "json"]);
        assert_eq!(self.mutations(), before, "{stderr}");
        let plan: Value = serde_json::from_str(&stdout).unwrap();
        (plan["run_id"].as_str().unwrap().to_owned(), stderr)
    }
}

#[test]
fn an_undo_takes_a_run_back_and_leaves_what_others_changed() {
    let world = World::new();
    world.source(2, 1);
    world.apply("first");
    world.source(3, 2);
    world.apply("second");
    world.set_height("d1", 77);
    let (undo, told) = world.undo("second");
    assert!(
        told.contains("InfraDevice `d1` stays as it is: another user modified it since: `height` is 77, and the run wrote 2"),
        "{told}"
    );
    assert!(told.contains(&format!("infrahub-sync apply --run-id {undo}")), "{told}");
    let Output { stdout: shown, stderr: told, .. } = world.project.ok(&["show", "--run-id", &undo]);
    assert!(told.contains("InfraDevice `d1` stays as it is"), "{told}");
    assert!(shown.contains("- d2 (created by run second)") && shown.contains("height  2 → 1"), "{shown}");
    world.project.ok(&["apply", "--run-id", &undo]);
    let heights = ["d0", "d1", "d2"].map(|name| world.height(name));
    assert_eq!(heights, [Some(json!(1)), Some(json!(77)), None]);
    // An undo is a run, and can be taken back.
    let (redo, _) = world.undo(&undo);
    world.project.ok(&["apply", "--run-id", &redo]);
    let heights = ["d0", "d1", "d2"].map(|name| world.height(name));
    assert_eq!(heights, [Some(json!(2)), Some(json!(77)), Some(json!(2))]);
    // A run that wrote nothing cannot be taken back.
    world.project.ok(&["diff", "--run-id", "unapplied"]);
    let refused = world.project.run(&["undo", "--config-file", "config.yml", "--run-id", "unapplied"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("nothing of run `unapplied` was written to the destination"), "{}", refused.stderr);
}

#[test]
fn an_undo_keeps_the_limit_on_deletes() {
    let world = World::new();
    world.source(12, 1);
    world.apply("first");
    let (undo, _) = world.undo("first");
    let refused = world.project.run(&["apply", "--run-id", &undo]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("the plan deletes more objects than it may"), "{}", refused.stderr);
    world.project.ok(&["apply", "--run-id", &undo, "--max-deletes", "12"]);
    assert_eq!(world.height("d0"), None);
    // The next run makes it all again: an incremental one does not continue from an undo.
    world.project.ok(&["sync", "--no-full-extract", "--no-diff"]);
    assert_eq!(world.height("d11"), Some(json!(1)));
}

#[test]
fn drift_says_what_others_changed_and_writes_nothing() {
    let world = World::new();
    let drift = |format: &str| world.project.run(&["drift", "--config-file", "config.yml", "--output", format]);
    assert_eq!(drift("text").code, 6);
    world.source(2, 1);
    world.project.ok(&["sync"]);
    let before = world.mutations();
    let none = drift("text");
    assert_eq!(none.code, 0, "{}\n{}", none.stdout, none.stderr);
    assert!(none.stdout.starts_with("No drift: 3 objects are as run "), "{}", none.stdout);
    world.set_height("d1", 77);
    let text = drift("text");
    assert_eq!(text.code, 2, "{}", text.stderr);
    assert!(text.stdout.contains("  ~ d1\n      height  1 → 77\n"), "{}", text.stdout);
    assert!(text.stdout.contains(": 1 changed, 0 removed, 0 added."), "{}", text.stdout);
    let found: Value = serde_json::from_str(&drift("json").stdout).unwrap();
    assert_eq!((&found["drift"], &found["changes"][0]["fields"]), (&json!(true), &json!([{"name": "height", "was": 1, "now": 77}])));
    assert!(drift("markdown").stdout.contains("| InfraDevice | d1 | changed | height | 1 | 77 |"));
    // A dry run does not move the state that drift compares with.
    world.project.ok(&["diff"]);
    assert_eq!(drift("text").code, 2);
    assert_eq!(world.mutations(), before);
    world.project.ok(&["sync", "--no-diff"]);
    assert_eq!(drift("text").code, 0);
}

#[test]
fn explain_shows_the_way_of_an_object_from_the_cache_alone() {
    let world = World::new();
    world.source(1, 1);
    world.apply("first");
    world.source(2, 2);
    world.apply("second");
    let requests = world.fake.requests().len();
    let explain = |arguments: &[&str]| world.project.run(&[&["explain", "--name", "world"], arguments].concat());
    let updated = explain(&["InfraDevice", "d0"]);
    assert_eq!(updated.code, 0, "{}", updated.stderr);
    for part in [
        "InfraDevice d0 in run second (applied)",
        "name  \"D0\" → \"d0\"",
        "site  \"a\" → LocationSite a, id ",
        "both sides have it, and the plan updates what differs: height",
        "update → done",
        "height  1 → 2",
    ] {
        assert!(updated.stdout.contains(part), "{part}:\n{}", updated.stdout);
    }
    let created: Value = serde_json::from_str(&explain(&["InfraDevice", "d1", "--output", "json"]).stdout).unwrap();
    assert_eq!(created["conclusion"], json!("the source has it and the destination does not, so the plan creates it"));
    assert_eq!((&created["changes"][0]["action"], &created["changes"][0]["state"]), (&json!("create"), &json!("done")));
    assert_eq!(created["transformed"][0]["before"]["name"], json!("D1"));
    // By the name as it was read, and by the record's id.
    for name in ["D99", "99"] {
        let left_out = explain(&["InfraDevice", name]);
        assert_eq!(left_out.code, 0, "{}", left_out.stderr);
        let words = "record 99 is left out by the filter `state in [\"active\",\"planned\"]`: it has \"retired\"";
        assert!(left_out.stdout.contains(words), "{}", left_out.stdout);
        assert!(
            left_out.stdout.contains("a filter left its record out, so it is in neither snapshot and in no plan"),
            "{}",
            left_out.stdout
        );
    }
    let earlier = explain(&["InfraDevice", "d0", "--run-id", "first"]);
    assert!(earlier.stdout.contains("so the plan creates it"), "{}", earlier.stdout);
    let unknown = explain(&["InfraDevice", "d9"]);
    assert_eq!(unknown.code, 64, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("run `second` has no InfraDevice `d9`") && unknown.stderr.contains("d0"), "{}", unknown.stderr);
    let unknown = explain(&["InfraDevise", "d0"]);
    assert!(unknown.stderr.contains("has no kind `InfraDevise`") && unknown.stderr.contains("InfraDevice"), "{}", unknown.stderr);
    assert_eq!(world.fake.requests().len(), requests, "no request is sent");
}
