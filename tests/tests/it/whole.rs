//! The program as its users meet it: commands on a project, files in, files out.

use infrahub_sync_test_server::{Answer, Server};
use infrahub_sync_tests::{Project, changes};
use serde_json::{Value, json};

const CONFIG: &str = "
name: office
source: {name: files, settings: {path: source}}
destination: {name: files, settings: {path: destination}}
schema_mapping:
  - name: Device
    mapping: devices
    identifiers: [name, site]
    fields:
      - {name: name, mapping: name}
      - {name: site, mapping: site, reference: Site}
      - {name: status, mapping: status.value}
      - {name: tags, mapping: tags, reference: Tag}
      - {name: role, static: switch}
  - name: Site
    mapping: sites
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: note, mapping: note}
  - name: Tag
    mapping: tags
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
";

fn sites() -> Value {
    json!([{"id": 1, "name": "Zürich", "note": ""}, {"id": 2, "name": "Kraków", "note": null}])
}

fn devices() -> Value {
    json!({"results": [
        {"id": 10, "name": "sw1", "site": {"id": 1}, "status": {"value": "active"}, "tags": [{"id": 2}, {"id": 1}]},
        {"id": 11, "name": "sw1", "site": {"id": 2}, "status": {"value": "planned"}, "tags": []},
        {"id": 12, "name": "sw2", "site": {"id": 2}, "status": {"value": "active"}, "tags": [{"id": 1}]}
    ]})
}

fn office(config: &str) -> Project {
    let project = Project::new(config);
    project.write("source/sites.json", &sites().to_string());
    project.write("source/tags.json", &json!([{"id": 1, "name": "core"}, {"id": 2, "name": "edge"}]).to_string());
    project.write("source/devices.json", &devices().to_string());
    project
}

#[test]
fn a_sync_writes_once_and_then_plans_nothing() {
    let project = office(CONFIG);
    let (code, plan) = project.plan(&[]);
    assert_eq!(code, 2);
    assert_eq!(
        changes(&plan),
        [
            "create Site Kraków",
            "create Site Zürich",
            "create Tag core",
            "create Tag edge",
            "create Device sw1__Kraków",
            "create Device sw1__Zürich",
            "create Device sw2__Kraków"
        ]
    );
    let output = project.ok(&["sync"]);
    assert!(output.stderr.contains("Sync run "), "{}", output.stderr);
    let written: Vec<Value> = project.read("destination/Device.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        written[1],
        json!({"name": "sw1", "site": {"name": "Zürich"}, "status": "active", "tags": [{"name": "core"}, {"name": "edge"}], "role": "switch"})
    );
    let (code, plan) = project.plan(&[]);
    assert_eq!((code, changes(&plan)), (0, vec![]));
}

#[test]
fn only_what_changed_is_planned_and_only_the_changed_fields() {
    let project = office(CONFIG);
    project.ok(&["sync"]);
    let mut devices = devices();
    devices["results"][0]["status"]["value"] = json!("offline");
    devices["results"][2]["tags"] = json!([{"id": 2}, {"id": 1}]);
    project.write("source/devices.json", &devices.to_string());
    let mut sites = sites();
    sites[0]["note"] = json!(null);
    project.write("source/sites.json", &sites.to_string());
    let (_, plan) = project.plan(&[]);
    assert_eq!(changes(&plan), ["update Site Zürich note", "update Device sw1__Zürich status", "update Device sw2__Kraków tags"]);
    project.ok(&["sync"]);
    assert_eq!(project.plan(&[]).0, 0);
}

#[test]
fn objects_that_are_gone_stay_unless_the_flags_allow_deletes() {
    let project = office(CONFIG);
    project.ok(&["sync"]);
    let mut devices = devices();
    devices["results"].as_array_mut().unwrap().retain(|device| device["site"]["id"] == json!(1));
    project.write("source/devices.json", &devices.to_string());
    project.write("source/sites.json", &json!([sites()[0]]).to_string());
    assert_eq!(project.plan(&[]).0, 0);
    project.write("config.yml", &CONFIG.replace("schema_mapping:", "diffsync_flags: [NONE]\nschema_mapping:"));
    let output = project.run(&["diff"]);
    assert!(output.stderr.to_lowercase().contains("delete"), "says that deletes are now allowed: {}", output.stderr);
    let (_, plan) = project.plan(&[]);
    assert_eq!(changes(&plan), ["delete Device sw1__Kraków", "delete Device sw2__Kraków", "delete Site Kraków"]);
    // One of three devices left: the guardrail stops, unless told otherwise.
    let refused = project.run(&["sync"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("Device 3 → 1") && refused.stderr.contains("--allow-rowcount-drop"), "{}", refused.stderr);
    assert_eq!(project.read("destination/Device.jsonl").lines().count(), 3);
    project.ok(&["sync", "--allow-rowcount-drop"]);
    assert_eq!(project.read("destination/Device.jsonl").lines().count(), 1);
    assert_eq!(project.plan(&[]).0, 0);
}

#[test]
fn a_stored_plan_is_applied_without_the_source_and_twice_if_need_be() {
    let project = office(CONFIG);
    project.ok(&["diff", "--run-id", "first"]);
    std::fs::remove_dir_all(project.path().join("source")).unwrap();
    project.ok(&["apply", "--run-id", "first"]);
    let before = project.read("destination/Device.jsonl");
    let again = project.ok(&["apply", "--run-id", "first"]);
    assert!(again.stderr.contains('7'), "counts what was there already: {}", again.stderr);
    assert_eq!(project.read("destination/Device.jsonl"), before);
    // Somebody undid it: what is missing is written again, and only that.
    project.write("destination/Device.jsonl", before.lines().next().unwrap());
    project.ok(&["apply", "--run-id", "first"]);
    assert_eq!(project.read("destination/Device.jsonl"), before);
}

#[test]
fn a_plan_for_another_mapping_is_refused() {
    let project = office(CONFIG);
    project.ok(&["diff", "--run-id", "first"]);
    project.write("config.yml", &CONFIG.replace("static: switch", "static: router"));
    let refused = project.run(&["apply", "--run-id", "first"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("mapping") && refused.stderr.contains("hint:"), "{}", refused.stderr);
    assert!(!project.path().join("destination/Device.jsonl").exists());
    let missing = project.run(&["apply", "--run-id", "nowhere"]);
    assert!(missing.code != 0 && missing.stderr.contains("nowhere") && missing.stderr.contains("first"), "{}", missing.stderr);
    let climbing = project.run(&["apply", "--run-id", "../first"]);
    assert!(climbing.code != 0 && climbing.stderr.contains("../first"), "{}", climbing.stderr);
}

#[test]
fn objects_that_cannot_be_told_apart_stop_the_run_before_anything_is_written() {
    let project = office(CONFIG);
    let mut devices = devices();
    devices["results"][2]["name"] = json!("sw1");
    devices["results"].as_array_mut().unwrap().push(json!({"id": 13, "name": "sw9", "site": {"id": 77}}));
    project.write("source/devices.json", &devices.to_string());
    let stopped = project.run(&["sync"]);
    let run = format!(".infrahub-sync-cache/office/{}", project.runs("office")[0]);
    assert_eq!(stopped.code, 6, "{}", stopped.stderr);
    for word in ["`11`", "`12`", "`13`", "`77`", "--continue-on-error"] {
        assert!(stopped.stderr.contains(word), "{word} in {}", stopped.stderr);
    }
    assert!(project.path().join(&run).join("errors.parquet").is_file());
    assert!(!project.path().join("destination/Device.jsonl").exists());
    let run: Value = serde_json::from_str(&project.read(&format!("{run}/run.json"))).unwrap();
    assert_eq!(run["status"], "failed");
    // Going on leaves them out, and what is left out is never deleted.
    project.write("config.yml", &CONFIG.replace("schema_mapping:", "diffsync_flags: [NONE]\ndeletes: all\nschema_mapping:"));
    project.write("destination/Device.jsonl", "{\"name\":\"old\",\"site\":{\"name\":\"Zürich\"}}\n");
    project.write("destination/Site.jsonl", "{\"name\":\"Zürich\"}\n");
    let partial = project.run(&["sync", "--continue-on-error"]);
    assert_eq!(partial.code, 7, "{}", partial.stderr);
    assert!(project.read("destination/Device.jsonl").contains("old"), "{}", partial.stderr);
    assert_eq!(project.read("destination/Device.jsonl").lines().count(), 2);
}

#[test]
fn stdout_is_data_and_words_go_to_stderr() {
    let project = office(CONFIG);
    let shown = project.ok(&["diff", "--run-id", "r1"]);
    assert!(shown.stdout.contains("Zürich") && !shown.stdout.contains("Cached run"), "{}", shown.stdout);
    assert!(shown.stderr.contains("Cached run r1 at "), "{}", shown.stderr);
    assert!(!shown.stdout.contains('\u{1b}'), "no colours into a pipe");
    let again = project.ok(&["show", "--run-id", "r1"]);
    assert_eq!(again.stdout, shown.stdout);
    let json: Value = serde_json::from_str(&project.ok(&["show", "--run-id", "r1", "--output", "json"]).stdout).unwrap();
    assert_eq!(json["changes"].as_array().unwrap().len(), 7);
    assert!(project.ok(&["show", "--run-id", "r1", "--output", "markdown"]).stdout.contains("sw1__Zürich"));
    let quiet = project.ok(&["diff", "-q"]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn every_error_of_a_config_is_told_at_once() {
    let project = Project::new(
        &CONFIG.replace("identifiers: [name, site]", "identifers: [name, site]").replace("reference: Tag}", "reference: Tga}"),
    );
    let refused = project.run(&["validate"]);
    assert_eq!(refused.code, 3);
    for word in ["config.yml", "identifers", "identifiers", "Tga", "Tag"] {
        assert!(refused.stderr.contains(word), "{word} in {}", refused.stderr);
    }
    let listed = project.run(&["list", "--directory", "."]);
    assert_eq!(listed.code, 3, "{} {}", listed.stdout, listed.stderr);
    let good = office(CONFIG);
    good.ok(&["validate"]);
    assert!(good.ok(&["list"]).stdout.contains("office"));
    let list: Value = serde_json::from_str(&good.ok(&["list", "--output", "json"]).stdout).unwrap();
    assert!(list.to_string().contains("office"));
}

#[test]
fn a_template_that_does_not_compile_is_named_with_its_line() {
    let project = office(&CONFIG.replace("    fields:\n      - {name: name, mapping: name}\n      - {name: note", "    transforms:\n      - {field: note, expression: \"{{ name | \"}\n    filters:\n      - {field: name, operation: '===', value: x}\n    fields:\n      - {name: name, mapping: name}\n      - {name: note"));
    let refused = project.run(&["validate"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("==="), "{}", refused.stderr);
    assert!(refused.stderr.contains("{{ name |"), "{}", refused.stderr);
}

#[test]
fn filters_and_transforms_work_on_the_source_alone() {
    let config = CONFIG.replace(
        "    fields:\n      - {name: name, mapping: name}\n      - {name: site, mapping: site, reference: Site}",
        "    filters:\n      - {field: status.value, operation: '!=', value: planned}\n    transforms:\n      - {field: name, expression: \"{{ name.upper() }}\"}\n    fields:\n      - {name: name, mapping: name}\n      - {name: site, mapping: site, reference: Site}",
    );
    let project = office(&config);
    project.ok(&["sync"]);
    let devices = project.read("destination/Device.jsonl");
    assert_eq!(devices.lines().count(), 2);
    assert!(devices.contains("\"SW1\"") && devices.contains("\"SW2\""), "{devices}");
    assert_eq!(project.plan(&[]).0, 0);
}

#[test]
fn generate_writes_models_that_the_run_uses_and_notices_when_they_are_stale() {
    let project = office(CONFIG);
    project.ok(&["generate"]);
    let models = project.read("infrahub-sync.models.yml");
    assert!(models.contains("Device") && models.contains("identifiers"), "{models}");
    assert!(!project.ok(&["diff"]).stderr.contains("stale"));
    project.write("config.yml", &CONFIG.replace("static: switch", "static: router"));
    let stale = project.ok(&["diff"]);
    assert!(stale.stderr.contains("stale") && stale.stderr.contains("generate"), "{}", stale.stderr);
}

#[test]
fn adapters_that_are_not_there_are_explained() {
    let python = Project::new(&CONFIG.replace("source: {name: files,", "source: {name: mine, adapter: mine.py:Mine,"));
    let refused = python.run(&["diff"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("Python") && refused.stderr.contains(".wasm"), "{}", refused.stderr);
    let unknown = Project::new(&CONFIG.replace("source: {name: files,", "source: {name: fils,"));
    let refused = unknown.run(&["diff"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("`files`") && refused.stderr.contains("netbox"), "{}", refused.stderr);
    let broken = Project::new(&CONFIG.replace("source: {name: files,", "source: {name: mine, adapter: ./mine.wasm,"));
    broken.write("mine.wasm", "not a component");
    let refused = broken.run(&["diff"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("mine.wasm"), "{}", refused.stderr);
}

#[test]
fn the_cache_has_exactly_the_documented_files() {
    let project = office(CONFIG);
    project.ok(&["diff", "--run-id", "r1"]);
    project.ok(&["apply", "--run-id", "r1"]);
    let root = project.path().join(".infrahub-sync-cache/office");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    files.sort();
    assert_eq!(
        files,
        [
            ".format",
            ".lock",
            "last-successful-rowcounts.json",
            "ownership.json",
            "ownership.parquet",
            "r1/A/Device.parquet",
            "r1/A/Site.parquet",
            "r1/A/Tag.parquet",
            "r1/B/Device.parquet",
            "r1/B/Site.parquet",
            "r1/B/Tag.parquet",
            "r1/cursors.json",
            "r1/journal.bin",
            "r1/plan.parquet",
            "r1/run.json",
            "r1/schema-sub-hash.txt",
            "run-counter.json",
        ]
    );
    let run: Value = serde_json::from_str(&project.read(".infrahub-sync-cache/office/r1/run.json")).unwrap();
    assert_eq!((&run["status"], &run["mode"]), (&json!("applied"), &json!("diff")));
    let counts: Value = serde_json::from_str(&project.read(".infrahub-sync-cache/office/last-successful-rowcounts.json")).unwrap();
    assert!(counts.to_string().contains("\"Device\":3"), "{counts}");
}

#[test]
fn references_by_natural_key_and_parents_of_the_same_kind() {
    let project = Project::new(
        "
name: places
source: {name: files, settings: {path: source}}
destination: {name: files, settings: {path: destination}}
schema_mapping:
  - name: Location
    mapping: locations
    identifiers: [name, parent]
    fields:
      - {name: name, mapping: name}
      - {name: parent, mapping: parent, reference: Location}
  - name: Rack
    mapping: racks
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: owner, mapping: owner, reference: Owner}
      - {name: location, mapping: location, reference: Location}
  - name: Owner
    mapping: owners
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
",
    );
    project.write(
        "source/locations.json",
        &json!([
            {"id": 3, "name": "Closet", "parent": {"id": 2}}, {"id": 2, "name": "Floor", "parent": {"id": 1}}, {"id": 1, "name": "House", "parent": null},
            {"id": 5, "name": "Closet", "parent": {"id": 4}}, {"id": 4, "name": "Floor", "parent": {"id": 6}}, {"id": 6, "name": "Annex", "parent": null}
        ])
        .to_string(),
    );
    project.write("source/racks.json", &json!([{"id": 1, "name": "R1", "owner": "ops", "location": {"id": 3}}]).to_string());
    project.write("source/owners.json", &json!([{"id": 1, "name": "ops"}]).to_string());
    project.ok(&["sync"]);
    let rack: Value = serde_json::from_str(project.read("destination/Rack.jsonl").trim()).unwrap();
    assert_eq!(rack["owner"], json!({"name": "ops"}));
    assert_eq!(rack["location"], json!({"name": "Closet", "parent": {"name": "Floor", "parent": {"name": "House", "parent": null}}}));
    assert_eq!(project.plan(&[]).0, 0, "the nested keys are read back");
}

#[test]
fn the_cache_goes_where_the_variable_says_as_the_original_puts_it() {
    let mut project = office(CONFIG);
    let elsewhere = project.path().join("elsewhere");
    project.set("INFRAHUB_SYNC_CACHE_DIR", &elsewhere.display().to_string());
    project.ok(&["diff", "--run-id", "r1"]);
    assert!(elsewhere.join("office/r1/plan.parquet").is_file());
    project.set("INFRAHUB_SYNC_CACHE_DIR", "../up");
    let refused = project.run(&["diff"]);
    assert!(refused.code != 0 && refused.stderr.contains("INFRAHUB_SYNC_CACHE_DIR"), "{}", refused.stderr);
}

#[test]
fn the_example_runs_offline_from_its_recording() {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/netbox_to_files");
    let project = Project::new(&std::fs::read_to_string(example.join("config.yml")).unwrap());
    let exchanges = example.join("exchanges").display().to_string();
    let (code, plan) = project.plan(&["--replay", &exchanges]);
    assert_eq!((code, &plan["summary"]["create"]), (2, &json!(1527)), "{}", plan["summary"]);
    project.ok(&["sync", "--no-diff", "--replay", &exchanges]);
    assert_eq!(project.read("network/DcimDevice.jsonl").lines().count(), 52);
    // The address closes a cycle with its device: it is written in a second pass, and is there.
    assert!(project.read("network/DcimDevice.jsonl").contains("\"primary_address\":{\"address\":"));
    assert_eq!(project.plan(&["--replay", &exchanges]).0, 0);
    let elsewhere = project.run(&["diff", "--replay", "nowhere"]);
    assert!(elsewhere.code != 0 && elsewhere.stderr.contains("nowhere"), "{}", elsewhere.stderr);
}

#[test]
fn a_component_is_found_by_path_and_by_folder() {
    let component = infrahub_sync_tests::binary().with_file_name("../adapters/files.wasm");
    let by_path = office(&CONFIG.replace("source: {name: files,", "source: {name: mine, adapter: ./adapters/other.wasm,"));
    by_path.write("adapters/readme.txt", "");
    std::fs::copy(&component, by_path.path().join("adapters/other.wasm")).unwrap();
    by_path.ok(&["diff"]);
    let mut by_folder = office(&CONFIG.replace("source: {name: files,", "source: {name: mine,"));
    by_folder.write("shelf/readme.txt", "");
    std::fs::copy(&component, by_folder.path().join("shelf/mine.wasm")).unwrap();
    assert_eq!(by_folder.run(&["diff"]).code, 4);
    by_folder.ok(&["diff", "--adapter-path", "shelf"]);
    by_folder.set("INFRAHUB_SYNC_ADAPTER_PATHS", "shelf");
    by_folder.ok(&["diff"]);
}

#[test]
fn the_token_reaches_the_server_and_nothing_else() {
    const CANARY: &str = "canary0123456789canary";
    // Each list is asked for, refused for a moment, and asked for again; all but one are not there.
    let asked = std::sync::Mutex::new(std::collections::HashSet::new());
    let server = Server::start(move |request| {
        if asked.lock().unwrap().insert(request.path().to_owned()) {
            return Answer::status(429).body("slow down").header("retry-after", "0").into();
        }
        if request.path().contains("/sites/") {
            return Answer::json(r#"{"count":null,"next":null,"previous":null,"results":[{"id":1,"name":"a","note":""}]}"#).into();
        }
        Answer::status(404).body("<html>no such list</html>").into()
    });
    let address = server.url();
    let config = CONFIG
        .replace(
            "source: {name: files, settings: {path: source}}",
            &format!("source: {{name: netbox, settings: {{url: '{address}', token: '${{NETBOX_SECRET}}'}}}}"),
        )
        .replace("mapping: sites", "mapping: dcim.sites")
        .replace("mapping: devices", "mapping: dcim.gone")
        .replace("mapping: tags\n", "mapping: extras.gone\n");
    let mut project = Project::new(&config);
    project.set("NETBOX_SECRET", CANARY);
    project.set("INFRAHUB_SYNC_LOG", "trace");
    let output = project.run(&["sync", "-v", "--record", "recorded"]);
    assert!(output.code == 3 || output.code == 5, "{}", output.stderr);
    assert!(output.stderr.contains("dcim.gone") || output.stderr.contains("extras.gone"), "{}", output.stderr);
    let seen = server.seen();
    let again = seen.iter().filter(|request| seen.iter().filter(|other| other.path() == request.path()).count() > 1);
    assert!(again.count() > 1, "the refused request was not sent again: {seen:?}");
    assert!(seen.iter().all(|request| request.header("authorization") == format!("Token {CANARY}")), "{seen:?}");
    assert!(!output.stderr.contains(CANARY) && !output.stdout.contains(CANARY), "the token is on the screen");
    let mut folders = vec![project.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                assert!(
                    !bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()),
                    "the token is in {}",
                    entry.path().display()
                );
            }
        }
    }
    assert_eq!(project.runs("office").len(), 1, "the failed run is in the cache");
}

#[test]
fn words_can_be_json_for_whoever_collects_logs() {
    let project = office(CONFIG);
    for arguments in [["sync", "--log-format", "json", "-v"], ["diff", "--log-format", "json", "--no-full-extract"]] {
        let output = project.ok(&arguments);
        let lines: Vec<serde_json::Value> = output.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["level"].is_string() && line["message"].is_string()), "{}", output.stderr);
        assert!(lines.iter().any(|line| line["message"].as_str().unwrap().contains("run")), "{}", output.stderr);
    }
    let wrong = project.run(&["diff", "--log-format", "json", "--config-file", "nowhere.yml"]);
    let line: serde_json::Value = serde_json::from_str(wrong.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "ERROR", "{}", wrong.stderr);
}
