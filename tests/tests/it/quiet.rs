//! A run that reads only what changed, of a network in which nothing has: how many requests it makes, and what it leaves.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Fake, Options, Settings};
use infrahub_sync_tests::Project;
use infrahub_sync_tests::netbox::{MAPPING, PlayedNetBox};
use serde_json::{Value, json};

const OBJECTS: usize = 2000;
const KINDS: usize = 4;

/// The snapshots of a run: which file of this machine each is.
fn snapshots(project: &Project, run: &str) -> BTreeMap<String, u64> {
    let folder = project.path().join(".infrahub-sync-cache/quiet").join(run);
    let files = ["A", "B"].into_iter().flat_map(|side| std::fs::read_dir(folder.join(side)).unwrap());
    files
        .map(|file| file.unwrap().path())
        .map(|path| (path.strip_prefix(&folder).unwrap().display().to_string(), path.metadata().unwrap().ino()))
        .collect()
}

#[test]
fn a_quiet_run_asks_each_kind_twice_at_most_and_writes_no_snapshot_anew() {
    let netbox = PlayedNetBox::start(OBJECTS);
    let fake = Fake::start(Options::default()).unwrap();
    let mut project = Project::new(&format!(
        "name: quiet\nsource: {{name: netbox, settings: {{url: \"{}\"}}}}\ndestination: {{name: infrahub, settings: {{url: \"{}\"}}}}\n{MAPPING}",
        netbox.url(),
        fake.url()
    ));
    project.set("NETBOX_TOKEN", "x");
    project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
    let run_file = |project: &Project, run: &str| -> Value {
        serde_json::from_str(&project.read(&format!(".infrahub-sync-cache/quiet/{run}/run.json"))).unwrap()
    };
    project.ok(&["sync", "--no-diff"]);
    // What the sync wrote is a change of the destination; some time later it is none.
    for run in ["after", "quiet", "again"] {
        fake.faults().set(Settings { clock_skew_ms: fake.faults().settings().clock_skew_ms + 3_600_000, ..fake.faults().settings() });
        let asked = (netbox.asked(), fake.requests().len());
        let told = project.ok(&["diff", "--no-full-extract", "--run-id", run]);
        let asked = (netbox.asked() - asked.0, fake.requests().len() - asked.1);
        let file = run_file(&project, run);
        assert_eq!(file["counts"]["A"], file["counts"]["B"]);
        assert_eq!(file["counts"]["A"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>(), OBJECTS as u64);
        assert_eq!(file["incremental"]["A"].as_array().unwrap().len(), KINDS, "{}", file["reading"]);
        assert_eq!(file["incremental"]["B"].as_array().unwrap().len(), KINDS, "{}", file["reading"]);
        if run == "after" {
            assert_eq!(file["reading"]["B"]["InfraTag"]["changed"], 20, "{}", file["reading"]);
            continue;
        }
        assert!(told.stderr.contains("Read of the source: all 4 kinds: 0 changed, 0 deleted since the run of "), "{}", told.stderr);
        assert!(told.stdout.contains("In sync"), "{}", told.stdout);
        assert_eq!(file["traffic"]["A"]["requests"], json!(asked.0));
        assert_eq!(file["traffic"]["B"]["requests"], json!(asked.1));
        assert!(asked.0 <= 2 * KINDS, "{} requests to NetBox", asked.0);
        assert!(asked.1 <= 2 * KINDS, "{} requests to Infrahub", asked.1);
    }
    let quiet = snapshots(&project, "quiet");
    assert_eq!(quiet.len(), 2 * KINDS);
    assert_eq!(snapshots(&project, "again"), quiet, "second names of the same files");
}
