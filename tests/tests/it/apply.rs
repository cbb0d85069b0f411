//! What an apply does when the world is not as it was when the plan was made: conflicts, limits, interruptions.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Action, Fake, Fault, Options, Outside, Settings};
use infrahub_sync_tests::{Project, binary};
use serde_json::{Map, Value, json};

/// Sites and devices, from files to a fake Infrahub. Devices refer to sites.
struct World {
    fake: Fake,
    project: Project,
}

impl World {
    fn new() -> World {
        let fake = Fake::start(Options::default()).unwrap();
        let mut project = Project::new("");
        project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
        let world = World { fake, project };
        world.configure("diffsync_flags: [NONE]\n");
        world
    }

    fn configure(&self, lines: &str) {
        let url = self.fake.url();
        let text = format!(
            "name: world\nsource: {{name: files, settings: {{path: data}}}}\n\
             destination: {{name: infrahub, settings: {{url: \"{url}\", retries: 1}}}}\n{lines}\
             schema_mapping:\n\
             \x20 - {{name: LocationSite, mapping: sites, identifiers: [name], fields: [{{name: name, mapping: name}}, {{name: description, mapping: description}}]}}\n\
             \x20 - {{name: InfraDevice, mapping: devices, identifiers: [name], fields: [{{name: name, mapping: name}}, {{name: height, mapping: height}}, {{name: site, mapping: site, reference: LocationSite}}]}}\n"
        );
        self.project.write("config.yml", &text);
    }

    /// `devices` devices at two sites, all of one height.
    fn source(&self, devices: u32, height: u32) {
        self.project
            .write("data/sites.json", &json!([{"name": "a", "description": "one"}, {"name": "b", "description": "two"}]).to_string());
        let devices: Vec<Value> = (0..devices)
            .map(|at| json!({"name": format!("d{at:03}"), "height": height, "site": if at % 2 == 0 { "a" } else { "b" }}))
            .collect();
        self.project.write("data/devices.json", &json!(devices).to_string());
    }

    fn device(&self, name: &str) -> Option<String> {
        let store = self.fake.store();
        store.ids("InfraDevice", "main").into_iter().find(|id| store.value(id, "name", "main") == Some(json!(name)))
    }

    fn height(&self, name: &str) -> Value {
        let id = self.device(name).unwrap();
        self.fake.store().value(&id, "height", "main").unwrap()
    }

    fn set_height(&self, name: &str, height: u32) -> Outside {
        let id = self.device(name).unwrap();
        Outside::new(&format!("mutation{{InfraDeviceUpdate(data:{{id:\"{id}\",height:{{value:{height}}}}}){{ok}}}}"))
    }

    fn execute(&self, outside: &Outside) {
        let answer = self.fake.execute("main", &outside.query, Map::new());
        assert!(answer["errors"].is_null(), "{answer}");
    }

    fn mutations(&self) -> usize {
        self.fake.requests().iter().filter(|request| request.operation == "mutation").count()
    }

    fn run_file(&self, run: &str) -> Value {
        serde_json::from_str(&self.project.read(&format!(".infrahub-sync-cache/world/{run}/run.json"))).unwrap()
    }
}

#[test]
fn what_somebody_changed_after_the_plan_is_left_alone_unless_told_otherwise() {
    let world = World::new();
    world.source(4, 1);
    world.project.ok(&["sync"]);
    world.source(3, 2); // three updates, one delete
    world.project.ok(&["diff", "--run-id", "plan"]);
    world.execute(&world.set_height("d001", 77));
    world.execute(&world.set_height("d003", 78));
    let refused = world.project.run(&["apply", "--run-id", "plan", "--max-deletes", "1"]);
    assert_eq!(refused.code, 7, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("InfraDevice `d001`: another user modified it after the plan was made: `height` is 77 and was 1"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("could not delete InfraDevice `d003`"), "{}", refused.stderr);
    assert_eq!((world.height("d000"), world.height("d001"), world.height("d003")), (json!(2), json!(77), json!(78)));
    assert_eq!(world.run_file("plan")["status"], "partial");

    let shown = world.project.ok(&["show", "--run-id", "plan"]).stdout;
    assert!(shown.contains("→ done") && shown.contains("→ failed: another user modified it"), "{shown}");
    assert!(shown.contains("Applied: 2 done, 2 failed."), "{shown}");
    let shown = world.project.ok(&["show", "--run-id", "plan", "--output", "json"]).stdout;
    let changes = serde_json::from_str::<Value>(&shown).unwrap()["changes"].clone();
    let states: Vec<&str> = changes.as_array().unwrap().iter().map(|change| change["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "failed", "done", "failed"], "{changes}");

    // What was done counts as there already; the conflicts are written over.
    let applied = world.project.ok(&["apply", "--run-id", "plan", "--on-conflict", "overwrite"]);
    assert!(applied.stderr.contains("0 created, 1 updated, 1 deleted, 2 already there"), "{}", applied.stderr);
    assert_eq!((world.height("d001"), world.device("d003")), (json!(2), None));
    assert_eq!(world.project.plan(&[]).0, 0);
}

#[test]
fn a_sync_looks_before_it_writes_over_what_somebody_changed_since_it_read() {
    let world = World::new();
    world.source(4, 1);
    world.project.ok(&["sync"]);
    world.source(4, 2);
    // Between the reading and the first write: when the permissions are asked for.
    let edit = world.set_height("d001", 77);
    world.fake.faults().add(Fault::new(Action::RunBefore(edit)).on_document("permissions").times(1));
    let partial = world.project.run(&["sync", "--no-diff"]);
    assert_eq!(partial.code, 7, "{}", partial.stderr);
    assert!(partial.stderr.contains("`height` is 77 and was 1"), "{}", partial.stderr);
    assert_eq!((world.height("d000"), world.height("d001")), (json!(2), json!(77)));
    // The next run has seen the edit, and the source decides.
    world.project.ok(&["sync", "--no-diff"]);
    assert_eq!(world.height("d001"), json!(2));
}

#[test]
fn objects_that_somebody_made_or_took_away_meanwhile_are_told() {
    let world = World::new();
    world.source(2, 1);
    world.project.ok(&["sync"]);
    world.source(3, 2);
    world.project.ok(&["diff", "--run-id", "plan"]);
    let gone = world.device("d000").unwrap();
    world.execute(&Outside::new(&format!("mutation{{InfraDeviceDelete(data:{{id:\"{gone}\"}}){{ok}}}}")));
    let site = world.fake.store().ids("LocationSite", "main").first().unwrap().clone();
    world.execute(&Outside::new(&format!(
        "mutation{{InfraDeviceCreate(data:{{name:{{value:\"d002\"}},height:{{value:9}},site:{{id:\"{site}\"}}}}){{ok}}}}"
    )));
    let partial = world.project.run(&["apply", "--run-id", "plan"]);
    assert_eq!(partial.code, 7, "{}", partial.stderr);
    assert!(
        partial.stderr.contains("could not update InfraDevice `d000`: the object is no longer in the destination"),
        "{}",
        partial.stderr
    );
    assert!(
        partial.stderr.contains("could not create InfraDevice `d002`: another user created it after the plan was made"),
        "{}",
        partial.stderr
    );
    assert_eq!((world.height("d001"), world.height("d002")), (json!(2), json!(9)));
}

#[test]
fn what_something_refers_to_that_was_not_deleted_is_not_deleted_either() {
    let world = World::new();
    world.source(4, 1);
    world.project.ok(&["sync", "--no-diff"]);
    world.project.write("data/sites.json", &json!([{"name": "a", "description": "one"}]).to_string());
    let devices = json!([{"name": "d000", "height": 1, "site": "a"}, {"name": "d002", "height": 1, "site": "a"}]);
    world.project.write("data/devices.json", &devices.to_string());
    world.project.ok(&["diff", "--run-id", "plan"]);
    world.execute(&world.set_height("d001", 77));
    let partial = world.project.run(&["apply", "--run-id", "plan"]);
    assert_eq!(partial.code, 7, "{}", partial.stderr);
    assert!(partial.stderr.contains("could not delete InfraDevice `d001`: another user modified it"), "{}", partial.stderr);
    let skipped = "could not delete LocationSite `b`: skipped: InfraDevice `d001`, which refers to it, was not deleted";
    assert!(partial.stderr.contains(skipped), "{}", partial.stderr);
    assert_eq!((world.fake.store().count("InfraDevice", "main"), world.fake.store().count("LocationSite", "main")), (3, 2));
    let kinds = &world.run_file("plan")["summary"]["applied"];
    assert_eq!((&kinds["InfraDevice"]["deleted"], &kinds["InfraDevice"]["failed"]), (&json!(1), &json!(1)), "{kinds}");
    assert_eq!((&kinds["LocationSite"]["deleted"], &kinds["LocationSite"]["skipped"]), (&json!(0), &json!(1)), "{kinds}");

    // Each delete has its evidence, and what stood in its way.
    let shown = world.project.ok(&["show", "--run-id", "plan", "--output", "json"]).stdout;
    let changes = serde_json::from_str::<Value>(&shown).unwrap()["changes"].clone();
    let of = |id: &str| changes.as_array().unwrap().iter().find(|change| change["source_id"] == id).unwrap().clone();
    assert!(of("d001")["evidence"].as_str().unwrap().starts_with("full read of 2 objects at 20"), "{changes}");
    assert!(of("b")["evidence"].as_str().unwrap().starts_with("full read of 1 object at 20"), "{changes}");
    assert_eq!((&of("d001")["conflict_class"], &of("d003")["conflict_class"]), (&json!("changed_before_delete"), &Value::Null));
    for format in ["text", "markdown"] {
        let shown = world.project.ok(&["show", "--run-id", "plan", "--output", format]).stdout;
        assert!(shown.contains("- d003 (not in the source: full read of 2 objects at 20"), "{shown}");
    }
    world.project.ok(&["apply", "--run-id", "plan", "--on-conflict", "overwrite"]);
    assert_eq!((world.fake.store().count("InfraDevice", "main"), world.fake.store().count("LocationSite", "main")), (2, 1));
}

#[test]
fn a_row_that_waits_for_another_says_for_which() {
    let world = World::new();
    world.source(4, 1);
    world.fake.faults().add(
        Fault::new(Action::Alias { name: "m1".into(), message: "no".into(), code: "X".into(), http_status: 422 })
            .on_document("LocationSiteCreate")
            .times(1),
    );
    let partial = world.project.run(&["sync", "--no-diff"]);
    assert_eq!(partial.code, 7, "{}", partial.stderr);
    let waits = "could not create InfraDevice `d001`, `d003`: skipped: `site` waits for LocationSite `b`, which could not be created";
    assert!(partial.stderr.contains(waits), "{}", partial.stderr);
    assert_eq!(world.fake.store().count("InfraDevice", "main"), 2);
}

#[test]
fn a_kind_that_no_mapping_reads_is_never_deleted() {
    let world = World::new();
    world.source(4, 1);
    world.project.ok(&["sync", "--no-diff"]);
    let config = world.project.read("config.yml");
    let unread = config.replace("name: InfraDevice, mapping: devices,", "name: InfraDevice,");
    assert_ne!(config, unread);
    world.project.write("config.yml", &unread);
    let (code, plan) = world.project.plan(&[]);
    assert_eq!((code, &plan["changes"]), (0, &json!([])), "the flags allow deletes, and there is no evidence");
    assert_eq!(plan["summary"]["skipped"], 4);
}

#[test]
fn a_kind_may_lose_a_fifth_of_its_objects_or_what_the_user_allows() {
    let world = World::new();
    world.source(100, 1);
    world.project.ok(&["sync", "--no-diff"]);
    world.source(79, 1);
    let before = world.mutations();
    let refused = world.project.run(&["sync", "--no-diff"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("the plan deletes more objects than it may: InfraDevice 21 of 100"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--max-deletes 21"), "{}", refused.stderr);
    assert_eq!(world.mutations(), before, "nothing is written");
    world.configure("diffsync_flags: [NONE]\nmax_deletes: 10%\n");
    assert_eq!(world.project.run(&["sync", "--no-diff", "--max-deletes", "20"]).code, 6);
    world.project.ok(&["sync", "--no-diff", "--max-deletes", "21"]);
    assert_eq!(world.fake.store().count("InfraDevice", "main"), 79);
    let wrong = world.project.run(&["sync", "--max-deletes", "lots"]);
    assert_eq!(wrong.code, 64, "{}", wrong.stderr);
    world.configure("on_conflict: perhaps\nmax_deletes: 300%\n");
    let wrong = world.project.run(&["validate"]);
    assert_eq!(wrong.code, 3, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("`perhaps` is neither `refuse` nor `overwrite`") && wrong.stderr.contains("`300%`"), "{}", wrong.stderr);
}

#[test]
fn after_so_many_failures_the_rest_is_not_tried_and_an_apply_goes_on() {
    let world = World::new();
    world.source(250, 1);
    world.fake.faults().add(
        Fault::new(Action::Alias { name: "m0".into(), message: "no".into(), code: "X".into(), http_status: 422 })
            .on_document("InfraDeviceCreate")
            .times(1),
    );
    let stopped = world.project.run(&["sync", "--no-diff", "--max-failures", "1", "--no-parallel"]);
    assert_eq!(stopped.code, 7, "{}", stopped.stderr);
    assert!(stopped.stderr.contains("stopped after 1 failure") && stopped.stderr.contains("not tried"), "{}", stopped.stderr);
    let made = world.fake.store().count("InfraDevice", "main");
    assert!(made < 250, "{made}");
    let run = world.project.runs("world").pop().unwrap();
    assert_eq!(world.run_file(&run)["status"], "partial");
    let done = world.project.ok(&["apply", "--run-id", &run]);
    assert!(done.stderr.contains("written earlier"), "{}", done.stderr);
    assert_eq!(world.fake.store().count("InfraDevice", "main"), 250);
    assert_eq!(world.project.plan(&[]).0, 0);
}

#[cfg(unix)]
#[test]
fn a_polite_end_waits_for_what_was_sent_and_an_apply_goes_on() {
    let world = World::new();
    world.source(600, 1);
    world.project.ok(&["diff", "--run-id", "plan"]);
    // Each mutation takes its time, so that there is something to interrupt.
    world.fake.faults().add(Fault::new(Action::Delay { delay_ms: 300 }).on_document("InfraDeviceCreate").times(1000));
    let mut child = Command::new(binary())
        .args(["apply", "--run-id", "plan", "--config-file", "config.yml"])
        .current_dir(world.project.path())
        .env("INFRAHUB_API_TOKEN", ADMIN_TOKEN)
        .env("XDG_CACHE_HOME", binary().with_file_name("test-cache"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once the first mutation of devices has come, more are to follow.
    while !world.fake.requests().iter().any(|request| request.document.contains("InfraDeviceCreate")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{words}");
    assert!(words.contains("interrupted: ") && words.contains("apply --run-id plan"), "{words}");
    let made = world.fake.store().count("InfraDevice", "main");
    assert!(made > 0 && made < 600, "{made}");
    world.fake.faults().clear();
    let done = world.project.ok(&["apply", "--run-id", "plan"]);
    assert!(done.stderr.contains(&format!("{} written earlier", made + 2)), "{made}: {}", done.stderr);
    assert_eq!(world.fake.store().count("InfraDevice", "main"), 600);
}

#[test]
fn a_run_tells_what_went_over_the_network() {
    let world = World::new();
    world.source(10, 1);
    world.project.ok(&["sync", "--no-diff"]);
    let run = world.project.runs("world").pop().unwrap();
    let file = world.run_file(&run);
    assert_eq!(file["traffic"]["B"]["requests"].as_u64().unwrap() as usize, world.fake.requests().len(), "{file}");
    assert!(file["duration_ms"]["apply"].is_u64() && file["duration_ms"]["load"].is_u64(), "{file}");
}

#[test]
fn what_somebody_made_meanwhile_is_updated_and_not_made_a_second_time() {
    let world = World::new();
    world.source(1, 1);
    world.project.ok(&["sync", "--no-diff"]);
    world.source(4, 2);
    world.project.ok(&["diff", "--run-id", "plan"]);
    // In the middle of what is to be created.
    let site = world.fake.store().ids("LocationSite", "main").first().unwrap().clone();
    world.execute(&Outside::new(&format!(
        "mutation{{InfraDeviceCreate(data:{{name:{{value:\"d002\"}},height:{{value:9}},site:{{id:\"{site}\"}}}}){{ok}}}}"
    )));
    let applied = world.project.ok(&["apply", "--run-id", "plan", "--on-conflict", "overwrite"]);
    assert!(applied.stderr.contains("2 created, 2 updated, 0 deleted"), "{}", applied.stderr);
    assert_eq!((world.fake.store().count("InfraDevice", "main"), world.height("d002")), (4, json!(2)));
    assert_eq!(world.project.plan(&[]).0, 0);
}

#[test]
fn a_plan_that_was_refused_is_refused_when_it_is_applied_too() {
    let world = World::new();
    world.source(100, 1);
    world.project.ok(&["sync", "--no-diff"]);
    world.source(79, 1);
    let before = world.project.runs("world");
    assert_eq!(world.project.run(&["sync", "--no-diff"]).code, 6);
    let run = world.project.runs("world").into_iter().find(|run| !before.contains(run)).unwrap();
    let file = world.run_file(&run);
    assert_eq!((&file["status"], &file["counts"]["A"]["InfraDevice"]), (&json!("failed"), &json!(79)), "{file}");
    let refused = world.project.run(&["apply", "--run-id", &run]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("InfraDevice 21 of 100"), "{}", refused.stderr);
    // Of a run.json without counts nobody knows what the limit is about.
    let (name, whole) = (format!(".infrahub-sync-cache/world/{run}/run.json"), world.run_file(&run));
    let mut bare = whole.clone();
    bare["summary"].as_object_mut().unwrap().remove("kinds");
    world.project.write(&name, &bare.to_string());
    let refused = world.project.run(&["apply", "--run-id", &run, "--max-deletes", "100%"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("does not hold the counts"), "{}", refused.stderr);
    assert_eq!(world.fake.store().count("InfraDevice", "main"), 100);
    world.project.write(&name, &whole.to_string());
    world.project.ok(&["apply", "--run-id", &run, "--max-deletes", "21"]);
    let file = world.run_file(&run);
    assert_eq!((&file["status"], &file["summary"]["delete"], &file["summary"]["error"]), (&json!("applied"), &json!(21), &Value::Null));
    assert_eq!(world.fake.store().count("InfraDevice", "main"), 79);
}

#[test]
fn what_was_refused_before_a_run_failed_is_told() {
    let world = World::new();
    world.source(2, 1);
    let refused = Action::Alias { name: "m1".into(), message: "no such site".into(), code: "X".into(), http_status: 422 };
    world.fake.faults().add(Fault::new(refused).on_document("LocationSiteCreate").times(1));
    world.fake.faults().add(Fault::new(Action::Status { status: 401, body: String::new() }).on_document("InfraDeviceCreate").times(1));
    let failed = world.project.run(&["sync", "--no-diff"]);
    let run = world.project.runs("world").pop().unwrap();
    assert_eq!(failed.code, 5, "{}", failed.stderr);
    assert!(failed.stderr.contains("of the plan's rows were not written"), "{}", failed.stderr);
    let shown = world.project.ok(&["show", "--run-id", &run]).stdout;
    assert!(shown.contains("→ failed: no such site"), "{shown}");
    world.project.ok(&["apply", "--run-id", &run]);
    assert_eq!((world.fake.store().count("LocationSite", "main"), world.fake.store().count("InfraDevice", "main")), (2, 2));
}

#[test]
fn an_edit_long_after_the_reading_is_seen_too() {
    let world = World::new();
    world.source(4, 1);
    world.project.ok(&["sync"]);
    world.source(4, 2);
    let edit = world.set_height("d001", 77);
    // A minute after the reading, and after the last question before the writes of another kind.
    world.fake.faults().add(Fault::new(Action::Pass { ms: 60_000 }).on_document("is_default").times(1));
    world.fake.faults().add(Fault::new(Action::RunBefore(edit)).on_document("permissions").times(1));
    let partial = world.project.run(&["sync", "--no-diff"]);
    assert_eq!(partial.code, 7, "{}", partial.stderr);
    assert!(partial.stderr.contains("`height` is 77 and was 1"), "{}", partial.stderr);
    assert_eq!((world.height("d000"), world.height("d001")), (json!(2), json!(77)));
}

#[test]
fn what_is_referred_to_by_an_object_that_stays_is_not_deleted() {
    let world = World::new();
    world.source(2, 1);
    world.project.ok(&["sync", "--no-diff"]);
    let only_a = json!([{"name": "a", "description": "one"}]).to_string();
    world.project.write("data/sites.json", &only_a);
    // A device without a name: devices are partial, so d001 stays, and with it its site.
    let devices = json!([{"name": "d000", "height": 1, "site": "a"}, {"height": 1, "site": "a"}]);
    world.project.write("data/devices.json", &devices.to_string());
    let (_, plan) = world.project.plan(&["--continue-on-error"]);
    assert_eq!((&plan["changes"], &plan["summary"]["skipped"]), (&json!([]), &json!(2)), "{plan}");
    // A device that is to move and is not moved needs its old site.
    let devices = json!([{"name": "d000", "height": 1, "site": "a"}, {"name": "d001", "height": 1, "site": "a"}]);
    world.project.write("data/devices.json", &devices.to_string());
    let refused = Action::Alias { name: "m0".into(), message: "no".into(), code: "X".into(), http_status: 422 };
    world.fake.faults().add(Fault::new(refused).on_document("InfraDeviceUpdate").times(1));
    let partial = world.project.run(&["sync", "--no-diff"]);
    assert_eq!(partial.code, 7, "{}", partial.stderr);
    let skipped = "could not delete LocationSite `b`: skipped: InfraDevice `d001`, which refers to it, was not updated";
    assert!(partial.stderr.contains(skipped), "{}", partial.stderr);
    assert_eq!(world.fake.store().count("LocationSite", "main"), 2);
    world.project.ok(&["sync", "--no-diff"]);
    assert_eq!((world.fake.store().count("LocationSite", "main"), world.fake.store().count("InfraDevice", "main")), (1, 2));
}

#[test]
fn what_a_plan_left_out_makes_its_apply_partial() {
    let world = World::new();
    world.project.write("data/sites.json", &json!([{"name": "a", "description": "one"}]).to_string());
    let devices = json!([{"name": "d000", "height": 1, "site": "a"}, {"height": 1, "site": "a"}]);
    world.project.write("data/devices.json", &devices.to_string());
    world.project.ok(&["diff", "--continue-on-error", "--run-id", "plan"]);
    let errors = world.project.path().join(".infrahub-sync-cache/world/plan/errors.parquet");
    for _ in 0..2 {
        let partial = world.project.run(&["apply", "--run-id", "plan"]);
        assert_eq!((partial.code, &world.run_file("plan")["status"]), (7, &json!("partial")), "{}", partial.stderr);
        assert!(partial.stderr.contains("errors.parquet") && errors.is_file(), "{}", partial.stderr);
    }
}

/// Replaces bytes of a file by others, which must be there.
fn damage(world: &World, name: &str, from: &[u8], to: &[u8]) {
    let path = world.project.path().join(".infrahub-sync-cache/world").join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes.splice(at..at + from.len(), to.iter().copied());
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn files_that_are_not_what_was_written_are_not_used() {
    let world = World::new();
    world.source(2, 1);
    world.project.ok(&["sync", "--no-diff"]);
    // Some time later: what the sync wrote is no change any more.
    let faults = world.fake.faults();
    faults.set(Settings { clock_skew_ms: 3_600_000, ..faults.settings() });
    world.project.ok(&["diff", "--run-id", "base"]);
    damage(&world, "base/B/LocationSite.parquet", b"onetwo", b"onetwx");
    let (code, plan) = world.project.plan(&["--no-full-extract"]);
    assert_eq!((code, &plan["changes"]), (0, &json!([])));
    world.project.ok(&["diff", "--run-id", "base"]);
    world.project.write(".infrahub-sync-cache/world/base/cursors.json", "{");
    assert_eq!(world.project.plan(&["--no-full-extract"]).0, 0);

    world
        .project
        .write("data/sites.json", &json!([{"name": "a", "description": "three"}, {"name": "b", "description": "two"}]).to_string());
    world.project.ok(&["diff", "--run-id", "plan"]);
    damage(&world, "plan/plan.parquet", b"three", b"threx");
    let before = world.mutations();
    let refused = world.project.run(&["apply", "--run-id", "plan"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("it was changed after it was written"), "{}", refused.stderr);
    assert_eq!(world.mutations(), before);
}

#[test]
fn only_the_plan_with_the_reviewed_digest_is_applied() {
    let world = World::new();
    world.source(2, 1);
    let digest = |told: &str| told.lines().find_map(|line| line.strip_prefix("Plan digest: ")).unwrap().to_owned();
    let reviewed = digest(&world.project.ok(&["diff", "--run-id", "plan"]).stderr);
    assert_eq!(digest(&world.project.ok(&["show", "--run-id", "plan"]).stderr), reviewed);
    // Another plan with the same id, as another machine could send it: nothing in it contradicts its run.json.
    world.source(3, 1);
    world.project.ok(&["diff", "--run-id", "plan"]);
    let before = world.mutations();
    let refused = world.project.run(&["apply", "--run-id", "plan", "--plan-digest", &reviewed]);
    assert_eq!((refused.code, world.mutations()), (6, before), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("the plan of run `plan` is not the one that was reviewed: its digest is sha256:"),
        "{}",
        refused.stderr
    );
    let wrong = world.project.run(&["apply", "--run-id", "plan", "--plan-digest", "sha256:1"]);
    assert_eq!(wrong.code, 64, "{}", wrong.stderr);
    let now = digest(&world.project.ok(&["show", "--run-id", "plan"]).stderr);
    world.project.ok(&["apply", "--run-id", "plan", "--plan-digest", &now]);
}

#[test]
fn a_plan_is_applied_where_it_was_made_for() {
    let world = World::new();
    world.source(2, 1);
    world.project.ok(&["diff", "--run-id", "plan"]);
    let refused = world.project.run(&["apply", "--run-id", "plan", "--branch", "other"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("was made for an address, a folder or a branch that has changed since"), "{}", refused.stderr);
    // Another setting is no other place.
    let config = world.project.read("config.yml");
    world.project.write("config.yml", &config.replace("retries: 1", "retries: 2, timeout: 99"));
    world.project.ok(&["apply", "--run-id", "plan"]);
}

#[test]
fn a_full_read_counts_once_others_may_go_on_from_it() {
    let world = World::new();
    world.source(2, 1);
    world.project.ok(&["sync", "--no-diff"]);
    let runs = || -> Value {
        let counter: Value = serde_json::from_str(&world.project.read(".infrahub-sync-cache/world/run-counter.json")).unwrap();
        counter["runs_since_full"].clone()
    };
    world.project.ok(&["diff", "--no-full-extract"]);
    assert_eq!(runs(), json!(1));
    world.source(2, 2);
    let refused = Action::Alias { name: "m0".into(), message: "no".into(), code: "X".into(), http_status: 422 };
    world.fake.faults().add(Fault::new(refused).on_document("InfraDeviceUpdate").times(1));
    assert_eq!(world.project.run(&["sync", "--no-diff"]).code, 7);
    assert_eq!(runs(), json!(1));
    world.project.ok(&["sync", "--no-diff"]);
    assert_eq!(runs(), json!(0));
}

/// Sites and devices from files to files, of which a commit of a kind fails: a folder is in the way of its next file.
#[test]
fn what_depends_on_a_kind_that_could_not_be_made_durable_is_left_alone() {
    let project = Project::new(
        "name: files\nsource: {name: files, settings: {path: data}}\ndestination: {name: files, settings: {path: out}}\n\
         diffsync_flags: [NONE]\nschema_mapping:\n\
         \x20 - {name: Site, mapping: sites, identifiers: [name], fields: [{name: name, mapping: name}]}\n\
         \x20 - {name: Device, mapping: devices, identifiers: [name], fields: [{name: name, mapping: name}, {name: site, mapping: site, reference: Site}]}\n",
    );
    let source = |records: bool| {
        let of = |record: Value| if records { json!([record]) } else { json!([]) };
        project.write("data/sites.json", &of(json!({"name": "berlin"})).to_string());
        project.write("data/devices.json", &of(json!({"name": "spine", "site": "berlin"})).to_string());
    };
    let written = |word: &str| {
        let files = std::fs::read_dir(project.path().join("out")).into_iter().flatten().flatten();
        let mut texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        texts.any(|text| text.contains(&format!("\"name\":\"{word}\"")))
    };
    source(true);
    project.write("out/.Site.new/x", "");
    let failed = project.run(&["sync", "--no-diff"]);
    assert_ne!(failed.code, 0, "{}", failed.stderr);
    assert!(!written("berlin") && !written("spine"), "{}", failed.stderr);
    std::fs::remove_dir_all(project.path().join("out/.Site.new")).unwrap();
    project.ok(&["sync", "--no-diff"]);
    assert!(written("berlin") && written("spine"));

    source(false);
    project.write("out/.Device.new/x", "");
    let failed = project.run(&["sync", "--no-diff", "--allow-rowcount-drop"]);
    assert_ne!(failed.code, 0, "{}", failed.stderr);
    assert!(written("berlin") && written("spine"), "{}", failed.stderr);
    std::fs::remove_dir_all(project.path().join("out/.Device.new")).unwrap();
    project.ok(&["sync", "--no-diff", "--allow-rowcount-drop"]);
    assert!(!written("berlin") && !written("spine"));
}

#[cfg(unix)]
#[test]
fn who_waits_for_the_lock_can_be_interrupted() {
    let world = World::new();
    world.source(2, 1);
    world.fake.faults().add(Fault::new(Action::Delay { delay_ms: 20_000 }).on_document("LocationSiteCreate").times(1));
    let start = || world.project.command(&["sync", "--no-diff", "--lock-wait", "60"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = start();
    // It has the lock when it has a folder.
    while world.project.runs("world").is_empty() {
        assert!(first.try_wait().unwrap().is_none(), "it ended before anybody waited for it");
        std::thread::yield_now();
    }
    let mut second = start();
    let mut said = BufReader::new(second.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.by_ref().any(|line| line.contains("Waiting for")));
    assert!(Command::new("kill").args(["-INT", &second.id().to_string()]).status().unwrap().success());
    assert_eq!(second.wait().unwrap().code(), Some(130));
    assert!(first.try_wait().unwrap().is_none(), "the lock was still held");
    first.kill().unwrap();
    first.wait().unwrap();
}
