//! One run converges: unique values, writes without effect; the whole program against a faithful Infrahub.

use infrahub_sync_fake_infrahub::{Model, Options, Settings, Version};
use serde_json::{Value, json};

use crate::infrahub::Lab;

const SITE: &str = "FakeSite sites [name]: name";
const TAG: &str = "FakeTag tags [name]: name";
const ROOM: &str = "FakeRoom rooms [name]: name";
const TWIN: &str = "FakeTwin twins [name]: name";
const ASSET: &str = "FakeAsset assets [name]: name number slot site>FakeSite";
const DEVICE: &str = "FakeDevice devices [name]: name comments primary_ip extra site>FakeSite twin>FakeTwin tags>FakeTag place>FakeRoom";

/// A laboratory with deletes.
fn lab(kinds: &[&'static str], settings: Settings) -> Lab {
    let mut lab = Lab::with(Options { model: Some(Model::every(Version::V1_11)), settings, ..Options::default() }, kinds);
    lab.configure("", "diffsync_flags: [NONE]\nmax_deletes: 100%\ndeletes: all\n");
    lab.source("sites", json!([{"id": 1, "name": "hq"}]));
    lab
}

fn assets(numbers: &[(&str, Value)]) -> Value {
    numbers
        .iter()
        .enumerate()
        .map(|(at, (name, number))| json!({"id": at, "name": name, "number": number, "slot": name, "site": {"id": 1}}))
        .collect()
}

#[test]
fn unique_numbers_are_swapped_and_rotated_in_one_run() {
    let lab = lab(&[SITE, ASSET], Settings::default());
    lab.source("assets", assets(&[("a", json!(1)), ("b", json!(2)), ("c", json!(3)), ("d", json!(4)), ("e", json!(5))]));
    lab.sync();
    // A swap and a circle of three. To Infrahub two assets without a number are equal, so they are emptied one after the other.
    lab.source("assets", assets(&[("a", json!(2)), ("b", json!(1)), ("c", json!(4)), ("d", json!(5)), ("e", json!(3))]));
    let plan = lab.planned();
    assert_eq!(plan.len(), 7, "{plan:?}");
    lab.sync();
    let numbers: Vec<Value> = ["a", "b", "c", "d", "e"].iter().map(|name| lab.value("FakeAsset", name, "number")).collect();
    assert_eq!((numbers, lab.planned()), (vec![json!(2), json!(1), json!(4), json!(5), json!(3)], vec![]));
}

#[test]
fn replaced_hardware_takes_the_number_of_the_old_one_in_one_run() {
    let mut lab = lab(&[SITE, ASSET], Settings::default());
    lab.source("assets", assets(&[("old", json!(1))]));
    lab.sync();
    lab.source("assets", assets(&[("new", json!(1))]));
    assert_eq!(lab.planned(), ["delete FakeAsset old", "create FakeAsset new"]);
    // Without deletes, the old one is named.
    lab.configure("", "");
    let output = lab.project.run(&["sync"]);
    assert_eq!(output.code, 7, "{}", output.stderr);
    assert!(output.stderr.contains("`number` 1 is held by FakeAsset `old`, which this plan does not delete"), "{}", output.stderr);
    lab.configure("", "diffsync_flags: [NONE]\nmax_deletes: 100%\ndeletes: all\n");
    lab.sync();
    assert_eq!((lab.value("FakeAsset", "new", "number"), lab.count("FakeAsset"), lab.planned()), (json!(1), 1, vec![]));
}

#[test]
fn one_to_one_peers_are_swapped_in_one_run() {
    let lab = lab(&[SITE, TAG, ROOM, TWIN, DEVICE], Settings::default());
    for empty in ["tags", "rooms"] {
        lab.source(empty, json!([]));
    }
    lab.source("twins", json!([{"id": 1, "name": "t1"}, {"id": 2, "name": "t2"}]));
    let devices = |twins: [u8; 2]| json!([{"id": 1, "name": "d1", "site": {"id": 1}, "twin": {"id": twins[0]}}, {"id": 2, "name": "d2", "site": {"id": 1}, "twin": {"id": twins[1]}}]);
    lab.source("devices", devices([1, 2]));
    lab.sync();
    lab.source("devices", devices([2, 1]));
    lab.sync();
    let twins = [lab.id("FakeTwin", "t1"), lab.id("FakeTwin", "t2")];
    let has = |device: &str| lab.value("FakeDevice", device, "twin");
    assert_eq!((has("d1"), has("d2"), lab.planned()), (json!([twins[1]]), json!([twins[0]]), vec![]));
}

#[test]
fn a_write_without_effect_is_reported_once_and_not_sent_again() {
    let mut lab = lab(&[SITE, TAG, ROOM, TWIN, DEVICE], Settings::default());
    for empty in ["twins", "tags", "rooms"] {
        lab.source(empty, json!([]));
    }
    let devices = |serial: &str| json!([{"id": 1, "name": "d1", "site": {"id": 1}, "comments": serial}, {"id": 2, "name": "d2", "site": {"id": 1}, "comments": "x"}]);
    lab.source("devices", devices("old"));
    lab.sync();
    lab.fake.faults().set(Settings { frozen: vec!["FakeDevice.comments".to_owned()], ..Settings::default() });
    lab.source("devices", devices("new"));
    let output = lab.sync();
    let warning = "FakeDevice: the destination did not take `comments` of 1 object: it was sent \"new\" and has \"old\" (`d1`)";
    assert!(output.stderr.contains(warning), "{}", output.stderr);
    assert!(output.stderr.contains("1 without effect"), "{}", output.stderr);
    // The next run leaves it out, says so, and is not in sync.
    let mutations = |lab: &Lab| lab.fake.requests().into_iter().filter(|request| request.operation == "mutation").count();
    let before = mutations(&lab);
    let output = lab.sync();
    assert!(
        !output.stderr.contains("did not take") && output.stderr.contains("`comments` of 1 object is left out: run"),
        "{}",
        output.stderr
    );
    assert_eq!(mutations(&lab), before, "nothing is sent");
    let (code, plan) = lab.project.plan(&[]);
    assert_eq!((code, plan["summary"]["update"].clone(), plan["summary"]["skipped"].clone()), (2, json!(0), json!(1)));
    // Another value is tried, and so is everything with `trust`.
    lab.source("devices", devices("newer"));
    assert_eq!(lab.planned(), ["update FakeDevice d1 comments"]);
    lab.source("devices", devices("new"));
    lab.configure("", "converge: trust\n");
    assert_eq!(lab.planned(), ["update FakeDevice d1 comments"]);
    // Once the server takes it, both sides are in sync.
    lab.configure("", "");
    lab.fake.faults().set(Settings::default());
    lab.source("devices", devices("newest"));
    lab.sync();
    assert_eq!(lab.project.plan(&[]).0, 0);
}

#[test]
fn what_infrahub_would_cut_is_rejected_with_the_reason() {
    let lab = lab(&[SITE, TAG, ROOM, TWIN, DEVICE], Settings::default());
    for empty in ["twins", "tags", "rooms"] {
        lab.source(empty, json!([]));
    }
    lab.project.write(
        "source/devices.json",
        r#"[{"id": 1, "name": "zone", "site": {"id": 1}, "primary_ip": "fe80::1%eth0"},
            {"id": 2, "name": "large", "site": {"id": 1}, "extra": {"serial": [18446744073709551616]}},
            {"id": 3, "name": "fits", "site": {"id": 1}, "primary_ip": "fe80::1", "extra": {"serial": [18446744073709551615, 0.5]}}]"#,
    );
    let output = lab.project.run(&["sync"]);
    assert_eq!(output.code, 7);
    for word in ["Infrahub drops the zone behind `%`", "beyond 64 bits the digits of a whole number are not kept"] {
        assert!(output.stderr.contains(word), "`{word}` is not in\n{}", output.stderr);
    }
    assert_eq!(lab.count("FakeDevice"), 1);
    assert_eq!(lab.value("FakeDevice", "fits", "extra"), json!({"serial": [18446744073709551615u64, 0.5]}));
}
