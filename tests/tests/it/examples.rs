//! Each example from its recording: a plan, its being written, and a second run that plans nothing.
//!
//! `netbox_to_files` is in `whole.rs`, and is what `cargo demo` runs.

use infrahub_sync_tests::Project;
use infrahub_sync_tests::live::root;
use serde_json::{Value, json};

const BRANCH: [&str; 2] = ["--branch", "netbox-import"];

fn example(name: &str) -> (Project, impl Fn(&str) -> String) {
    let folder = root().join("examples").join(name);
    let project = Project::new(&std::fs::read_to_string(folder.join("config.yml")).unwrap());
    (project, move |exchanges: &str| folder.join("exchanges").join(exchanges).display().to_string())
}

fn summary(plan: &Value) -> [&Value; 3] {
    ["create", "update", "delete"].map(|what| &plan["summary"][what])
}

#[test]
fn netbox_to_infrahub_is_planned_written_and_then_in_sync() {
    let (project, exchanges) = example("netbox_to_infrahub");
    let (code, plan) = project.plan(&["--run-id", "first-load", BRANCH[0], BRANCH[1], "--replay", &exchanges("diff")]);
    assert_eq!((code, summary(&plan)), (2, [&json!(1527), &json!(0), &json!(0)]));
    let applied = project.ok(&["apply", "--run-id", "first-load", BRANCH[0], BRANCH[1], "--replay", &exchanges("apply")]);
    assert!(applied.stdout.contains("1527 created") || applied.stderr.contains("1527 created"), "{}{}", applied.stdout, applied.stderr);
    let (code, plan) = project.plan(&[BRANCH[0], BRANCH[1], "--replay", &exchanges("again")]);
    assert_eq!((code, summary(&plan)), (0, [&json!(0), &json!(0), &json!(0)]));
}

#[test]
fn infrahub_to_files_is_planned_written_and_then_in_sync() {
    let (project, exchanges) = example("infrahub_to_files");
    let replay = [BRANCH[0], BRANCH[1], "--replay", &exchanges("")];
    let (code, plan) = project.plan(&[&["--run-id", "first"], &replay[..]].concat());
    assert_eq!((code, summary(&plan)), (2, [&json!(316), &json!(0), &json!(0)]));
    project.ok(&[&["apply", "--run-id", "first"], &replay[..]].concat());
    let device = project.read("network/DcimDevice.jsonl").lines().next().unwrap().to_owned();
    assert!(device.starts_with(r#"{"name":"ath-core-01","site":{"name":"Αθήνα"}"#) && device.contains("SN-ATH-CORE-01"), "{device}");
    // A parent is of one kind or the other.
    let areas = project.read("network/LocationArea.jsonl");
    assert!(areas.contains(r#""parent":{"kind":"LocationSite""#) && areas.contains(r#""parent":{"kind":"LocationArea""#));
    assert_eq!(project.plan(&replay).0, 0);
}

#[test]
fn infrahub_to_netbox_is_planned_written_and_then_in_sync() {
    let (project, exchanges) = example("infrahub_to_netbox");
    let (code, plan) = project.plan(&["--run-id", "first", BRANCH[0], BRANCH[1], "--replay", &exchanges("diff")]);
    assert_eq!((code, summary(&plan)), (2, [&json!(266), &json!(0), &json!(0)]));
    let applied = project.ok(&["apply", "--run-id", "first", BRANCH[0], BRANCH[1], "--replay", &exchanges("apply")]);
    assert!(applied.stdout.contains("266 created") || applied.stderr.contains("266 created"), "{}{}", applied.stdout, applied.stderr);
    let (code, plan) = project.plan(&[BRANCH[0], BRANCH[1], "--replay", &exchanges("again")]);
    assert_eq!((code, summary(&plan)), (0, [&json!(0), &json!(0), &json!(0)]));
}

#[test]
fn netbox_to_nautobot_is_planned_written_and_then_in_sync() {
    let (project, exchanges) = example("netbox_to_nautobot");
    let (code, plan) = project.plan(&["--run-id", "first", "--replay", &exchanges("diff")]);
    assert_eq!((code, summary(&plan)), (2, [&json!(236), &json!(0), &json!(0)]));
    let applied = project.ok(&["apply", "--run-id", "first", "--replay", &exchanges("apply")]);
    assert!(applied.stdout.contains("236 created") || applied.stderr.contains("236 created"), "{}{}", applied.stdout, applied.stderr);
    let (code, plan) = project.plan(&["--replay", &exchanges("again")]);
    assert_eq!((code, summary(&plan)), (0, [&json!(0), &json!(0), &json!(0)]));
}

#[test]
fn nautobot_to_infrahub_is_planned_written_and_then_in_sync() {
    let (project, exchanges) = example("nautobot_to_infrahub");
    let (code, plan) = project.plan(&["--run-id", "first", BRANCH[0], BRANCH[1], "--replay", &exchanges("diff")]);
    assert_eq!((code, summary(&plan)), (2, [&json!(127), &json!(0), &json!(0)]));
    let applied = project.ok(&["apply", "--run-id", "first", BRANCH[0], BRANCH[1], "--replay", &exchanges("apply")]);
    assert!(applied.stdout.contains("127 created") || applied.stderr.contains("127 created"), "{}{}", applied.stdout, applied.stderr);
    let (code, plan) = project.plan(&[BRANCH[0], BRANCH[1], "--replay", &exchanges("again")]);
    assert_eq!((code, summary(&plan)), (0, [&json!(0), &json!(0), &json!(0)]));
}

#[test]
fn infrahub_to_peering_manager_is_planned_written_and_then_in_sync() {
    let (project, exchanges) = example("infrahub_to_peering-manager");
    let (code, plan) = project.plan(&["--run-id", "first", BRANCH[0], BRANCH[1], "--replay", &exchanges("diff")]);
    assert_eq!((code, summary(&plan)), (2, [&json!(7), &json!(5), &json!(0)]));
    let applied = project.ok(&["apply", "--run-id", "first", BRANCH[0], BRANCH[1], "--replay", &exchanges("apply")]);
    let words = "7 created, 5 updated";
    assert!(applied.stdout.contains(words) || applied.stderr.contains(words), "{}{}", applied.stdout, applied.stderr);
    let (code, plan) = project.plan(&[BRANCH[0], BRANCH[1], "--replay", &exchanges("again")]);
    assert_eq!((code, summary(&plan)), (0, [&json!(0), &json!(0), &json!(0)]));
}
