//! Components that were built once for a version of the contract keep running: see `tests/golden/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use infrahub_sync_test_server::{Answer, Request, Server};
use infrahub_sync_tests::Project;
use serde_json::{Value, json};

/// The versions of the contract that there were.
const CONTRACTS: [&str; 1] = ["0.1.0"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

const CONFIG: &str = "
name: golden
source: {name: golden, adapter: ./golden.wasm, settings: {url: \"SERVER\", path: source, password: open-sesame-1}}
destination: {name: golden, adapter: ./golden.wasm, settings: {path: destination}}
schema_mapping:
  - name: Document
    mapping: documents
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: deep, mapping: deep}]
  - name: Line
    mapping: lines
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: value, mapping: value}]
  - name: Column
    mapping: columns
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: flag, mapping: flag}
      - {name: number, mapping: number}
      - {name: ratio, mapping: ratio}
      - {name: any, mapping: any}
      - {name: address, mapping: address}
  - name: Thing
    mapping: things
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: note, mapping: note}]
";

/// What a golden adapter reads from.
fn server() -> Server {
    Server::start(|request| {
        let (status, answer) = match (request.target.as_str(), request.header("authorization")) {
            ("/login", _) if request.text() == r#"{"password": "open-sesame-1"}"# => (200, json!({"session": "s-4711-s"})),
            ("/documents?page=0", "Session s-4711-s") => {
                let first = [json!({"id": 1, "name": "d1", "nested": {"deep": 5}}), json!({"id": 2, "name": "d2", "nested": {}})];
                (200, json!({"results": first, "next": true}))
            }
            ("/documents?page=1", "Session s-4711-s") => {
                (200, json!({"results": [{"id": 3, "name": "d3", "nested": {"deep": -1}}], "next": false}))
            }
            ("/seen", "Session s-4711-s") => (200, json!({})),
            _ => (401, json!({})),
        };
        Answer::json(answer).with_status(status).header("x-total", "3").into()
    })
}

/// What a server was asked: method, path and what authorized it.
fn asked(server: &Server) -> Vec<String> {
    let line = |request: &Request| format!("{} {} {}", request.method, request.target, request.header("authorization"));
    server.seen().iter().map(|request| line(request).trim_end().to_owned()).collect()
}

fn lines(project: &Project, file: &str) -> Vec<Value> {
    let mut lines: Vec<Value> = project.read(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["name"].to_string());
    lines
}

#[test]
fn what_was_built_for_a_contract_reads_and_writes_all_that_it_has() {
    for contract in CONTRACTS {
        let component = folder().join(format!("contract-{contract}.wasm"));
        assert!(fs::metadata(&component).unwrap().len() < 150_000, "small enough to be kept for ever");
        let server = server();
        let project = Project::new(&CONFIG.replace("SERVER", server.url()));
        fs::copy(&component, project.path().join("golden.wasm")).unwrap();
        let things = [json!({"id": 1, "name": "t1", "note": "fine"}), json!({"id": 2, "name": "t2", "note": "refuse this"})];
        project.write("source/things.jsonl", &things.clone().map(|thing| thing.to_string()).join("\n"));

        let told = project.ok(&["adapter", "inspect", "golden.wasm", "--output", "json"]);
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!(
            (&told["adapter"], &told["contract"], &told["settings"].as_array().unwrap().len()),
            (&json!("golden"), &json!(contract), &8)
        );
        assert_eq!(server.count(), 0);

        let synced = project.run(&["sync", "-v"]);
        assert_eq!(synced.code, 7, "one row is refused: {}", synced.stderr);
        for words in ["golden begins golden from golden", "this row is refused", "golden ends: 8 created, 1 refused", "golden warns"] {
            assert!(synced.stderr.contains(words), "{words}: {}", synced.stderr);
        }
        assert!(!synced.stderr.contains("open-sesame") && !synced.stderr.contains("s-4711"), "{}", synced.stderr);
        let documents = lines(&project, "destination/Document.jsonl");
        assert_eq!(documents, [json!({"name": "d1", "deep": 5}), json!({"name": "d2"}), json!({"name": "d3", "deep": -1})]);
        let columns = lines(&project, "destination/Column.jsonl");
        assert_eq!(
            columns,
            [
                json!({"name": "one", "flag": true, "ratio": 0.5, "any": {"a": [1, null]}, "address": "10.0.0.1/24"}),
                json!({"name": "zwölf", "number": i64::MIN, "ratio": -1e300, "any": [], "address": "2001:db8::1/128"}),
            ]
        );
        let told = lines(&project, "destination/Line.jsonl");
        let settings = json!({"any": [1], "flag": true, "number": 7, "path": "source", "ratio": 0.5, "url": server.url()});
        assert_eq!(told, [json!({"name": "memos", "value": "1 1 true"}), json!({"name": "settings", "value": settings})]);
        assert_eq!(lines(&project, "destination/Thing.jsonl"), [json!({"name": "t1", "note": "fine"})]);
        let expected = [
            "POST /login",
            "GET /documents?page=0 Session s-4711-s",
            "POST /seen Session s-4711-s",
            "GET /documents?page=1 Session s-4711-s",
            "POST /seen Session s-4711-s",
        ];
        assert_eq!(asked(&server), expected);

        // Read back, nothing differs.
        project.write("source/things.jsonl", &things[0].to_string());
        let (code, plan) = project.plan(&[]);
        assert_eq!((code, &plan["changes"]), (0, &json!([])));
        // Its words about a setting are those of a mistake in config.yml.
        project.write("config.yml", &CONFIG.replace("SERVER", server.url()).replace("path: destination", "path: destination, number: 13"));
        let refused = project.run(&["diff"]);
        assert_eq!(refused.code, 3);
        assert!(refused.stderr.contains("`number` must not be 13"), "{}", refused.stderr);
    }
}

#[test]
fn each_contract_has_its_component_and_the_present_one_too() {
    let mut components: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_prefix("contract-")?.strip_suffix(".wasm")?.to_owned()))
        .collect();
    components.sort();
    assert_eq!(components, CONTRACTS);
    assert!(
        CONTRACTS.contains(&infrahub_sync_runtime::CONTRACT_VERSION),
        "a new contract needs a golden component: tests/golden/README.md"
    );
}
