//! Deletes: what goes along is in the plan, and what is gone is gone. The whole program against the fake Infrahub, and against lists that lie.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Fake, Options};
use infrahub_sync_test_server::{Answer, Request, Server};
use infrahub_sync_tests::{Project, binary};
use serde_json::{Map, Value, json};

/// Devices in Infrahub, whose ports no mapping knows. Infrahub deletes a device's ports along with it.
struct Lab {
    fake: Fake,
    project: Project,
}

const PORTS: usize = 40;

impl Lab {
    /// A destination with the devices `d1`, which the source has, and `old`, which it does not, and with ports of `old`.
    fn new(lines: &str) -> Lab {
        let fake = Fake::start(Options::default()).unwrap();
        let mut lab = Lab { project: Project::new(""), fake };
        lab.configure(lines);
        lab.project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
        lab.project.write("source/sites.json", &json!([{"id": 1, "name": "hq"}]).to_string());
        lab.project.write("source/devices.json", &json!([{"id": 1, "name": "d1", "site": {"id": 1}}]).to_string());
        let site = lab.make("LocationSite", "name:{value:\"hq\"}");
        for name in ["d1", "old"] {
            let device = lab.make("InfraDevice", &format!("name:{{value:\"{name}\"}},site:{{id:\"{site}\"}}"));
            (0..if name == "old" { PORTS } else { 1 }).for_each(|number| lab.port(&device, number));
        }
        lab
    }

    fn configure(&self, lines: &str) {
        let url = self.fake.url();
        self.project.write(
            "config.yml",
            &format!(
                "name: lab\nsource: {{name: files, settings: {{path: source}}}}\n\
                 destination: {{name: infrahub, settings: {{url: \"{url}\"}}}}\ndiffsync_flags: [NONE]\ndeletes: all\n{lines}schema_mapping:\n  \
                 - {{name: LocationSite, mapping: sites, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n  \
                 - name: InfraDevice\n    mapping: devices\n    identifiers: [name]\n    \
                 fields: [{{name: name, mapping: name}}, {{name: site, mapping: site, reference: LocationSite}}]\n"
            ),
        );
    }

    fn make(&self, kind: &str, fields: &str) -> String {
        let answer = self.fake.execute("main", &format!("mutation{{{kind}Create(data:{{{fields}}}){{object{{id}}}}}}"), Map::new());
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"][format!("{kind}Create")]["object"]["id"].as_str().unwrap().to_owned()
    }

    fn port(&self, device: &str, number: usize) {
        self.make("InfraInterface", &format!("name:{{value:\"p{number}\"}},device:{{id:\"{device}\"}}"));
    }

    fn id(&self, name: &str) -> String {
        let store = self.fake.store();
        let is = |id: &String| store.value(id, "name", "main") == Some(json!(name));
        store.ids("InfraDevice", "main").into_iter().find(is).unwrap()
    }

    fn counts(&self) -> (usize, usize) {
        let store = self.fake.store();
        (store.count("InfraDevice", "main"), store.count("InfraInterface", "main"))
    }
}

#[test]
fn delete_that_takes_unmapped_objects_along_needs_a_line_and_counts_them() {
    let lab = Lab::new("");
    let output = lab.project.ok(&["diff"]);
    assert!(output.stdout.contains("Nothing to create, update or delete"), "{}", output.stdout);
    for words in ["`InfraDevice`: 1 object is not deleted (`old`)", "`delete_along: [InfraInterface]`"] {
        assert!(output.stderr.contains(words), "`{words}` is not in\n{}", output.stderr);
    }
    lab.project.ok(&["sync", "--no-diff"]);
    assert_eq!(lab.counts(), (2, PORTS + 1));

    lab.configure("delete_along: [InfraInterface]\n");
    let (code, plan) = lab.project.plan(&["--run-id", "named"]);
    assert_eq!((code, &plan["summary"]["delete"], &plan["summary"]["along"]), (2, &json!(1), &json!(PORTS)), "{plan}");
    let along = &plan["changes"][0]["along"][0];
    assert_eq!((&along["kind"], &along["count"], &along["mapped"]), (&json!("InfraInterface"), &json!(PORTS), &json!(false)));
    assert_eq!(along["ids"].as_array().unwrap().len(), PORTS);
    let record: Value = serde_json::from_str(&lab.project.read(".infrahub-sync-cache/lab/named/run.json")).unwrap();
    let of_device = record["summary"]["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == "InfraDevice").unwrap();
    assert_eq!(of_device["along"], json!({"InfraInterface": PORTS}));
    for form in ["text", "markdown"] {
        let shown = lab.project.ok(&["show", "--run-id", "named", "--output", form]).stdout;
        assert!(shown.contains("(takes along: 40 InfraInterface)") && shown.contains("1 to delete, which takes 40 more along"), "{shown}");
    }

    let refused = lab.project.run(&["apply", "--run-id", "named", "--max-deletes", "40"]);
    assert!(refused.code != 0 && refused.stderr.contains("InfraDevice 41 of 2"), "{}", refused.stderr);
    assert_eq!(lab.counts(), (2, PORTS + 1));
    lab.project.ok(&["apply", "--run-id", "named", "--max-deletes", "41"]);
    assert_eq!(lab.counts(), (1, 1));
    assert_eq!(lab.project.plan(&[]).0, 0);
}

#[test]
fn port_that_another_user_adds_after_the_review_keeps_its_device() {
    let lab = Lab::new("delete_along: [InfraInterface]\nmax_deletes: 100\n");
    lab.project.ok(&["diff", "--run-id", "reviewed"]);
    lab.port(&lab.id("old"), 99);
    let output = lab.project.run(&["apply", "--run-id", "reviewed"]);
    assert_eq!(output.code, 7, "{}", output.stderr);
    assert!(output.stderr.contains("objects along that the plan does not list: 1 `InfraInterface`"), "{}", output.stderr);
    assert_eq!(lab.counts(), (2, PORTS + 2));
    let shown = lab.project.ok(&["show", "--run-id", "reviewed"]).stdout;
    assert!(shown.contains("conflict: along"), "{shown}");
    // A port that went in the meantime is no surprise.
    lab.project.ok(&["diff", "--run-id", "again"]);
    let ports = lab.fake.store().ids("InfraInterface", "main");
    lab.fake.execute("main", &format!("mutation{{InfraInterfaceDelete(data:{{id:\"{}\"}}){{ok}}}}", ports[5]), Map::new());
    lab.project.ok(&["apply", "--run-id", "again"]);
    assert_eq!(lab.counts().0, 1);
}

/// A list server that reports a number of devices and lists others.
fn lists(total: Arc<Mutex<u64>>, listed: Arc<Mutex<Vec<u64>>>) -> Server {
    Server::start(move |request: &Request| {
        let number = |name: &str| {
            let (_, query) = request.target.split_once('?')?;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok())
        };
        let listed = listed.lock().unwrap();
        let after: Vec<u64> = listed.iter().copied().filter(|id| *id > number("after").unwrap_or(0)).collect();
        let limit = number("limit").unwrap_or(50) as usize;
        let results: Vec<Value> = after.iter().take(limit).map(|id| json!({"id": id, "name": format!("d{id}")})).collect();
        Answer::json(json!({"count": *total.lock().unwrap(), "next": after.len() > limit, "results": results})).into()
    })
}

fn names(project: &Project) -> BTreeSet<String> {
    let records = project.read("out/Device.jsonl");
    let name = |line: &str| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned();
    records.lines().map(name).collect()
}

#[test]
fn source_that_reports_more_than_it_lists_deletes_nothing() {
    let (total, listed) = (Arc::new(Mutex::new(11)), Arc::new(Mutex::new((1..=11).collect::<Vec<u64>>())));
    let server = lists(total.clone(), listed.clone());
    let project = Project::new(&format!(
        "name: short\nsource: {{name: lists, adapter: ./rest-lists.wasm, settings: {{url: \"{}\", token: t}}}}\n\
         destination: {{name: files, settings: {{path: out}}}}\ndiffsync_flags: [NONE]\ndeletes: all\nschema_mapping:\n  \
         - {{name: Device, mapping: devices, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n",
        server.url()
    ));
    let guest = binary().ancestors().nth(2).unwrap().join("guests/rest-lists.wasm");
    std::fs::copy(&guest, project.path().join("rest-lists.wasm")).unwrap_or_else(|error| panic!("{}: {error}", guest.display()));
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(names(&project).len(), 11);

    // It still reports 11, and lists 10.
    listed.lock().unwrap().retain(|id| *id != 7);
    let words = "nothing of it is deleted: the list `devices` reports 11 objects and returned 10";
    let output = project.ok(&["diff", "--run-id", "short"]);
    assert!(output.stderr.contains(words), "{}", output.stderr);
    assert!(output.stdout.contains("Device is partial: the list `devices` reports 11 objects and returned 10"), "{}", output.stdout);
    let output = project.run(&["sync", "--no-diff"]);
    assert_eq!(output.code, 7, "{}", output.stderr);
    assert!(output.stderr.contains(words), "{}", output.stderr);
    assert!(names(&project).contains("d7"));
    let record: Value = serde_json::from_str(&project.read(".infrahub-sync-cache/short/short/run.json")).unwrap();
    assert_eq!(record["partial"]["A"], json!(["Device"]));

    // Once both agree, it is gone, and the plan says by what that is known.
    *total.lock().unwrap() = 10;
    let (_, plan) = project.plan(&["--run-id", "whole"]);
    let evidence = plan["changes"][0]["evidence"].as_str().unwrap();
    assert!(evidence.ends_with(", of 10 records that the source reports"), "{evidence}");
    let record: Value = serde_json::from_str(&project.read(".infrahub-sync-cache/short/whole/run.json")).unwrap();
    assert_eq!(record["reading"]["A"]["Device"]["evidence"], json!(["10 records read, as many as the system reports"]));
    project.ok(&["apply", "--run-id", "whole"]);
    assert!(!names(&project).contains("d7"));
}

/// The devices that a NetBox shows, and those whose deletion is in its change log.
#[derive(Default)]
struct Shown {
    devices: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
    /// Whether the token may read the log.
    log: bool,
}

fn netbox(shown: Arc<Mutex<Shown>>) -> Server {
    Server::start(move |request: &Request| {
        let shown = shown.lock().unwrap();
        let page = |results: Vec<Value>| Answer::json(json!({"count": null, "next": null, "results": results}));
        let answer = match request.path() {
            "/api/dcim/devices/" => page(shown.devices.iter().map(|id| json!({"id": id, "name": format!("d{id}")})).collect()),
            "/api/core/object-types/" => {
                let device = json!({"app_label": "dcim", "model": "device", "features": ["change_logging"],
                    "rest_api_endpoint": "/api/dcim/devices/"});
                page(vec![device])
            }
            "/api/core/object-changes/" if !shown.log => Answer::json(json!({"detail": "no"})).with_status(403),
            "/api/core/object-changes/" => {
                let asked: Vec<u64> =
                    request.target.split('&').filter_map(|pair| pair.strip_prefix("changed_object_id=")?.parse().ok()).collect();
                let entry = |id: &u64| {
                    json!({"id": id, "time": "2026-01-02T03:04:05Z", "action": {"value": "delete"},
                        "changed_object_type": "dcim.device", "changed_object_id": id})
                };
                // One entry of another object is always there.
                match request.target.contains("action=delete") {
                    true => page(shown.deleted.iter().filter(|id| asked.contains(id)).map(entry).collect()),
                    false => page(vec![entry(&999)]),
                }
            }
            _ => Answer::json(json!({"detail": "Not found."})).with_status(404),
        };
        answer.header("date", "Fri, 02 Jan 2026 03:04:05 GMT").into()
    })
}

#[test]
fn devices_that_a_permission_hides_are_not_deleted() {
    let shown = Arc::new(Mutex::new(Shown { devices: (1..=50).collect(), log: true, ..Shown::default() }));
    let server = netbox(shown.clone());
    let mut project = Project::new(&format!(
        "name: hidden\nsource: {{name: netbox, settings: {{url: \"{}\"}}}}\ndestination: {{name: files, settings: {{path: out}}}}\n\
         diffsync_flags: [NONE]\ndeletes: all\nschema_mapping:\n  \
         - {{name: Device, mapping: dcim.devices, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n",
        server.url()
    ));
    project.set("NETBOX_TOKEN", "t");
    project.ok(&["sync", "--no-diff"]);
    shown.lock().unwrap().devices.retain(|id| *id <= 40);

    // A diff counts as a success, and its snapshot lacks the hidden ones: later runs know them anyway.
    for arguments in [&["diff"][..], &["sync"], &["diff"], &["sync", "--no-full-extract"]] {
        let output = project.run(arguments);
        let words = "nothing of it is deleted: the list lacks 10 objects of an earlier run which the source does not report as deleted \
                     (such as `d41`), so a permission may hide them";
        assert!(output.stderr.contains(words), "{arguments:?}: {}", output.stderr);
        assert_eq!(output.code, if arguments[0] == "sync" { 7 } else { 0 }, "{}", output.stderr);
        assert_eq!(names(&project).len(), 50);
    }

    // One of them is deleted, and the others come back.
    {
        let mut shown = shown.lock().unwrap();
        shown.devices.extend(42..=50);
        shown.deleted.insert(41);
    }
    let (_, plan) = project.plan(&["--run-id", "gone"]);
    assert_eq!((plan["changes"].as_array().unwrap().len(), &plan["changes"][0]["source_id"]), (1, &json!("d41")));
    let evidence = plan["changes"][0]["evidence"].as_str().unwrap();
    assert!(evidence.starts_with("the source reports 41 as deleted (asked at "), "{evidence}");
    let record: Value = serde_json::from_str(&project.read(".infrahub-sync-cache/hidden/gone/run.json")).unwrap();
    let of_device = &record["reading"]["A"]["Device"]["evidence"];
    assert_eq!(of_device, &json!(["1 object of an earlier run: reported as deleted by the source"]));
    project.ok(&["apply", "--run-id", "gone"]);
    assert_eq!(names(&project).len(), 49);

    // Without the log, nothing more is known than what the list says.
    {
        let mut shown = shown.lock().unwrap();
        shown.log = false;
        shown.devices.remove(&42);
    }
    let (_, plan) = project.plan(&[]);
    assert_eq!(plan["changes"][0]["source_id"], json!("d42"));
}
