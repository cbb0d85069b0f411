//! The cached runs, listed, pruned and checked by the program.

use infrahub_sync_tests::Project;
use serde_json::{Value, json};

const CONFIG: &str = "
name: office
source: {name: files, settings: {path: source}}
destination: {name: files, settings: {path: destination}}
schema_mapping:
  - name: Site
    mapping: sites
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
";

fn office() -> Project {
    let project = Project::new(CONFIG);
    project.write("source/sites.json", &json!([{"id": 1, "name": "Zürich"}, {"id": 2, "name": "Kraków"}]).to_string());
    project
}

fn json_of(project: &Project, arguments: &[&str]) -> Value {
    serde_json::from_str(&project.ok(&[arguments, &["--output", "json"]].concat()).stdout).unwrap()
}

#[test]
fn runs_are_listed_checked_and_pruned() {
    let project = office();
    let nothing = project.ok(&["cache", "list"]);
    assert_eq!(nothing.stdout, "");
    assert!(nothing.stderr.contains("No cached runs in "), "{}", nothing.stderr);
    assert!(!project.path().join(".infrahub-sync-cache").exists(), "a look leaves nothing behind");

    project.ok(&["diff", "--run-id", "r1"]);
    project.ok(&["apply", "--run-id", "r1"]);
    project.write("source/sites.json", &json!([{"id": 1, "name": "Zürich"}, {"id": 3, "name": "Łódź"}]).to_string());
    project.ok(&["diff", "--run-id", "r2"]);
    let listed = json_of(&project, &["cache", "list"]);
    let [sync] = listed["syncs"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(sync["sync"], "office");
    let of = |run: &Value| ["run_id", "command", "status", "standing", "resumable", "plan"].map(|key| run[key].clone());
    assert_eq!(
        sync["runs"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(),
        [
            [json!("r2"), json!("diff"), json!("dry-run"), json!("planned"), json!(true), json!({"create": 1, "update": 0, "delete": 0})],
            [json!("r1"), json!("diff"), json!("applied"), json!("finished"), json!(false), json!({"create": 2, "update": 0, "delete": 0})],
        ]
    );
    assert_eq!(sync["runs"][1]["rows"]["done"], 2);
    let shown = project.ok(&["cache", "list", "--name", "office"]).stdout;
    assert!(shown.starts_with("office: 2 runs, ") && shown.contains("can be applied"), "{shown}");
    assert_eq!(project.ok(&["cache", "list", "--directory", "."]).stdout, shown);
    assert_eq!(project.ok(&["cache", "list", "--config-file", "config.yml"]).stdout, shown);
    let unknown = project.run(&["cache", "list", "--name", "office2"]);
    assert_eq!(unknown.code, 64, "{}", unknown.stderr);

    let whole = project.ok(&["cache", "verify"]);
    assert_eq!(whole.stdout, "", "{}", whole.stderr);
    assert!(whole.stderr.contains("no problems"), "{}", whole.stderr);

    // The baseline of the next run and the plan that can be applied are one and the same here; r1 is the last that was applied.
    let kept = project.ok(&["cache", "prune", "--keep", "0", "--dry-run", "-v"]);
    assert_eq!(project.runs("office"), ["r1", "r2"]);
    assert!(kept.stderr.contains("Nothing to remove; kept 2"), "{}", kept.stderr);
    assert_eq!(kept.stdout.matches("kept: the next incremental run starts from it").count(), 2, "{}", kept.stdout);
    project.ok(&["sync"]);
    let would = project.ok(&["cache", "prune", "--keep", "0", "--dry-run"]);
    assert!(would.stdout.contains("  -  r1") && would.stderr.contains("Would remove 1 run ("), "{}{}", would.stdout, would.stderr);
    let both = json_of(&project, &["cache", "prune", "--keep", "0", "--older-than", "30d"]);
    assert_eq!(both["syncs"][0]["removed"], json!([]));
    let pruned = json_of(&project, &["cache", "prune", "--keep", "0"]);
    assert_eq!(pruned["syncs"][0]["removed"][0]["run_id"], "r1");
    assert_eq!(project.runs("office").len(), 2);
    assert_eq!(project.ok(&["cache", "verify"]).stdout, "");
}

#[test]
fn damage_is_told_and_ends_with_1() {
    let project = office();
    project.ok(&["sync"]);
    let run = project.runs("office").remove(0);
    let folder = format!(".infrahub-sync-cache/office/{run}");
    let snapshot = project.path().join(&folder).join("A/Site.parquet");
    let mut bytes = std::fs::read(&snapshot).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&snapshot, bytes).unwrap();
    project.write(&format!("{folder}/notes"), "");
    let found = project.run(&["cache", "verify", "--run-id", &run]);
    assert_eq!(found.code, 1, "{}", found.stderr);
    assert!(
        found.stdout.contains("damaged: ") && found.stdout.contains("A/Site.parquet: it was changed after it was written"),
        "{}",
        found.stdout
    );
    assert!(found.stdout.contains("left over: "), "{}", found.stdout);
    assert!(found.stderr.contains("1 damaged or missing, 1 left over"), "{}", found.stderr);
    let document = project.run(&["cache", "verify", "--output", "json"]);
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!(document["syncs"][0]["whole"], false);
    assert_eq!(project.run(&["cache", "verify", "--run-id", "nobody"]).code, 64);

    // A cache that cannot be used does not hide the others.
    project.write(".infrahub-sync-cache/newer/.format", "9");
    let listed = project.run(&["cache", "list"]);
    assert_eq!(listed.code, 1);
    assert!(listed.stdout.starts_with("office: 1 run, ") && listed.stderr.contains("has format 9"), "{}{}", listed.stdout, listed.stderr);
}
