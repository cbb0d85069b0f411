//! Components that were built once for a version of the contract keep running: see `tests/golden/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use infrahub_sync_test_server::{Answer, Request, Server};
use infrahub_sync_tests::Project;
use serde_json::{Value, json};

/// The versions of the contract whose components run.
const CONTRACTS: [&str; 1] = ["0.2.0"];
/// A version without users, whose components are rejected with a sentence.
const WITHDRAWN: &str = "0.1.0";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

const CONFIG: &str = "
name: golden
source: {name: golden, adapter: ./golden.wasm, settings: {url: \"SERVER\", folder: source, password: open-sesame-1}}
destination: {name: golden, adapter: ./golden.wasm, settings: {path: destination}}
schema_mapping:
  - name: Document
    mapping: documents
    destination_mapping: papers
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: deep, mapping: deep, destination_mapping: nested.value}
      - {name: thing, mapping: thing, reference: Thing}
  - name: Line
    mapping: lines
    destination_mapping: entries
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: value, mapping: value}]
  - name: Partial
    mapping: partial
    destination_mapping: parts
    identifiers: [name]
    fields: [{name: name, mapping: name}]
  - name: Column
    mapping: columns
    destination_mapping: series
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

/// Starts the server of a golden adapter.
fn server() -> Server {
    Server::start(|request| {
        let (status, answer) = match (request.target.as_str(), request.header("authorization")) {
            ("/api/login", _) if request.text() == r#"{"password": "open-sesame-1"}"# => (200, json!({"session": "s-4711-s"})),
            ("/documents?page=0", "Session s-4711-s") => {
                let first =
                    [json!({"id": 1, "name": "d1", "nested": {"deep": 5}, "thing": "t1"}), json!({"id": 2, "name": "d2", "nested": {}})];
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

/// Returns the requests of a server: method, path and authorization.
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
fn a_component_reads_and_writes_all_that_its_contract_has() {
    for contract in CONTRACTS {
        let component = folder().join(format!("contract-{contract}.wasm"));
        assert!(fs::metadata(&component).unwrap().len() < 200_000, "small enough to be kept for ever");
        let server = server();
        let project = Project::new(&CONFIG.replace("SERVER", server.url()));
        fs::copy(&component, project.path().join("golden.wasm")).unwrap();
        let things = [json!({"id": 1, "name": "t1", "note": "fine"}), json!({"id": 2, "name": "t2", "note": "refuse this"})];
        project.write("source/things.jsonl", &things.clone().map(|thing| thing.to_string()).join("\n"));

        let told = project.ok(&["adapter", "inspect", "golden.wasm", "--output", "json"]);
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!(
            (&told["adapter"], &told["contract"], &told["settings"].as_array().unwrap().len()),
            (&json!("golden"), &json!(contract), &13)
        );
        assert_eq!(server.count(), 0);

        let synced = project.run(&["sync", "-v"]);
        assert_eq!(synced.code, 7, "one row is refused: {}", synced.stderr);
        for words in ["golden begins golden from golden: ", "this row is refused", "golden ends: 9 created, 1 refused", "golden warns"] {
            assert!(synced.stderr.contains(words), "{words}: {}", synced.stderr);
        }
        assert!(!synced.stderr.contains("open-sesame") && !synced.stderr.contains("s-4711"), "{}", synced.stderr);
        let first = json!({"name": "d1", "nested": {"value": 5}, "thing": {"name": "t1"}, "@owner": "golden"});
        let third = json!({"name": "d3", "nested": {"value": -1}, "@owner": "golden"});
        assert_eq!(lines(&project, "destination/papers.jsonl"), [first, json!({"name": "d2", "@owner": "golden"}), third]);
        let columns = lines(&project, "destination/series.jsonl");
        assert_eq!(
            columns,
            [
                json!({"name": "one", "flag": true, "ratio": 0.5, "any": {"a": [1, null]}, "address": "10.0.0.1/24", "@owner": "golden"}),
                json!({"name": "zwölf", "number": i64::MIN, "ratio": -1e300, "any": [], "address": "2001:db8::1/128", "@owner": "golden"}),
            ]
        );
        let told = lines(&project, "destination/entries.jsonl");
        let settings = json!({"any": [1], "api": "api", "flag": true, "method": "login", "number": 7, "path": "source", "ratio": 0.5,
            "token_env_vars": ["GOLDEN_TOKEN"], "url": server.url()});
        let owner = "golden";
        let memos = json!({"name": "memos", "value": "1 1 true", "@owner": owner});
        assert_eq!(told, [memos, json!({"name": "settings", "value": settings, "@owner": owner})]);
        assert_eq!(lines(&project, "destination/things.jsonl"), [json!({"name": "t1", "note": "fine", "@owner": owner})]);
        assert_eq!(lines(&project, "destination/parts.jsonl"), [json!({"name": "p1", "@owner": owner})]);
        let expected = [
            "POST /api/login",
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
        // Its message about a setting is an error of config.yml.
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
    components.retain(|contract| contract != WITHDRAWN);
    components.sort();
    assert_eq!(components, CONTRACTS);
    assert!(
        CONTRACTS.contains(&infrahub_sync_runtime::CONTRACT_VERSION),
        "a new contract needs a golden component: tests/golden/README.md"
    );
}

#[test]
fn a_component_of_a_withdrawn_contract_is_rejected_with_both_versions() {
    let project = Project::new(CONFIG);
    fs::copy(folder().join(format!("contract-{WITHDRAWN}.wasm")), project.path().join("golden.wasm")).unwrap();
    let refused = project.run(&["adapter", "inspect", "golden.wasm"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let words = format!("it was built for contract {WITHDRAWN}, and this program supports contract 0.2");
    assert!(refused.stderr.contains(&words), "{}", refused.stderr);
}
