//! Adapters in Rust, Python, JavaScript and Go: the program makes new ones, the build tool builds them, and they do the same; the SDKs pass on
//! every part of the contract.
//!
//! Tests leave out a language that this machine lacks, and say so.

mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use infrahub_sync_runtime::{
    Adapter, Cursor, Error, Exchanges, KindChanges, Limit, Limits, LoadRequest, Operation, Outcome, Payload, RequestHeaders, Role, Run,
    RunResult, Runtime, RuntimeOptions, Session, SessionConfig, Target, TargetField, Variables, WriteRequest,
};
use infrahub_sync_tests::{Project, binary};
use serde_json::{Value, json};

use server::Shop;

/// Each language with the commands of its unit tests.
const LANGUAGES: [(&str, &[&[&str]]); 4] = [
    ("rust", &[&["cargo", "test", "--release", "--quiet"]]),
    ("python", &[&["python3", "-m", "unittest", "--quiet"]]),
    ("javascript", &[&["npm", "install", "--silent", "--no-audit", "--no-fund"], &["npm", "test", "--silent"]]),
    ("go", &[&["go", "vet", "./..."], &["go", "test", "./..."]]),
];
/// The exit code of the build tool when the machine lacks a language.
const LACKING: i32 = 77;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Returns the folder in which adapters are made and built. It stays between runs: an unchanged adapter is not built again.
pub(crate) fn scratch() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages")
}

fn run(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").env("GOFLAGS", "-mod=mod");
    if folder.join("Cargo.toml").exists() && folder != root() {
        // The dependencies of a Rust adapter have been built for the template already.
        command.env("CARGO_TARGET_DIR", binary().with_file_name("../template"));
    }
    command.output().unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

pub(crate) fn ok(folder: &Path, words: &[&str]) -> String {
    let output = run(folder, words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{words:?} in {}:\n{}{}", folder.display(), text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Builds the adapter of a folder. None: the machine lacks the language.
pub(crate) fn build(folder: &Path, language: &str) -> Option<PathBuf> {
    let tool = binary().with_file_name("infrahub-sync-build");
    // `new/python` and `languages/python` are two adapters, `taken/shop` and `taken/plain` as well, and they are built at the same time.
    let name = |folder: &Path| folder.file_name().unwrap().to_string_lossy().into_owned();
    let component = scratch().join(format!("{}-{}.wasm", name(folder.parent().unwrap()), name(folder)));
    let here = root();
    let words = [tool.to_str().unwrap(), "component", folder.to_str().unwrap(), "-o", component.to_str().unwrap()];
    let output = run(if language == "rust" { folder } else { &here }, &words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(LACKING) {
        eprintln!("skipped: {language}: {said}");
        return None;
    }
    assert!(output.status.success(), "{language} is not built: {said}");
    Some(component)
}

fn load(component: &Path) -> Adapter {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    // The program has compiled some components already.
    let store = || binary().with_file_name("test-cache").join("infrahub-sync/components");
    let options = || RuntimeOptions { component_store: Some(store()), ..RuntimeOptions::default() };
    let runtime = RUNTIME.get_or_init(|| Runtime::new(options()).unwrap());
    runtime.load_adapter(&std::fs::read(component).unwrap(), "new").unwrap()
}

fn config(settings: Value, project: &Path) -> SessionConfig<'static> {
    SessionConfig {
        writes: true,
        role: Role::Destination,
        settings: serde_json::from_value(settings).unwrap(),
        environment: &|_| None,
        variables: Variables::All,
        headers: RequestHeaders::All,
        command_line: BTreeMap::new(),
        project_dir: project.to_owned(),
        exchanges: Exchanges::Live,
        limits: Limits::default(),
        extra_origins: Vec::new(),
        networks: Vec::new(),
    }
}

/// Returns a failure as its kind and its words, without those that name the adapter.
fn text_of(error: &Error) -> String {
    let kind = error.failure().map_or_else(|| format!("{:?}", error.fault_kind()), |failure| format!("{:?}", failure.kind));
    let text = error.to_string();
    let words = text.split_once(" 0.1.0: ").or_else(|| text.split_once(" 1.2.3: ")).map_or(text.as_str(), |(_, words)| words);
    format!("{kind}: {words}")
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => format!("failed {:?}: {failure}", failure.kind),
        other => format!("{other:?}"),
    }
}

/// Returns the records of a page.
fn page(payload: &Payload) -> Value {
    let lines = |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    match payload {
        Payload::JsonLines(text) => lines(text).into(),
        Payload::Document { body, pointer, .. } if !pointer.is_empty() => {
            let whole: Value = serde_json::from_str(body).unwrap();
            whole.pointer(pointer).unwrap().clone()
        }
        Payload::Document { body, .. } => lines(body).into(),
        Payload::Columns(_) => panic!("no SDK here makes columns"),
    }
}

fn request(resource: &str, page_size: u32, cursor: Option<Cursor>) -> LoadRequest {
    LoadRequest { resource: resource.into(), fields: vec!["name".into()], page_size, cursor, ..LoadRequest::default() }
}

/// Makes a field of a target.
fn field(name: &str, path: Option<&str>, peers: &[&str]) -> TargetField {
    let peers = peers.iter().map(|peer| (*peer).into()).collect();
    TargetField { name: name.into(), path: path.map(Into::into), peers, many: name == "tags", identifier: name == "name" }
}

/// Returns the model's racks and their place in the system, where some fields have other names.
fn rack() -> Target {
    let fields = vec![
        field("name", Some("name"), &[]),
        field("height", None, &[]),
        field("big", Some("large.number"), &[]),
        field("n", None, &[]),
        field("site", Some("location.id"), &["Site"]),
        field("tags", Some("tags"), &["Tag", "Site"]),
    ];
    Target { kind: "Rack".into(), resource: Some("racks".into()), fields }
}

fn rows(operation: Operation, rows: &[Value]) -> WriteRequest {
    WriteRequest { target: rack(), operation, rows: rows.iter().map(|row| format!("{row}\n")).collect(), count: rows.len() as u32 }
}

/// Returns the behaviour of the small adapter on a server, line by line.
async fn behaviour(adapter: &Adapter) -> Vec<String> {
    let server = Shop::start();
    let here = Path::new("/nowhere");
    let session = adapter.open(config(json!({"url": server.address(), "token": "the-token"}), here)).await.unwrap();
    let mut lines = Vec::new();
    for resource in ["racks", "empty"] {
        let mut cursor = None;
        loop {
            let loaded = session.load(request(resource, 2, cursor)).await.unwrap();
            lines.push(format!("{resource}: {} of {:?}", page(&loaded.payload), loaded.total));
            cursor = loaded.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    for resource in ["nothing", "html", "odd", "closed", "../escape", "words"] {
        lines.push(text_of(&session.load(request(resource, 2, None)).await.unwrap_err()));
    }
    let first = session.load(request("moving", 2, None)).await.unwrap();
    lines.push(text_of(&session.load(request("moving", 2, first.next)).await.unwrap_err()));
    lines.push(text_of(&session.load(LoadRequest { since: Some("then".into()), ..request("racks", 2, None) }).await.unwrap_err()));
    let foreign = session.load(request("racks", 2, Some(Cursor(b"]".to_vec())))).await.unwrap_err();
    lines.push(text_of(&foreign).split(':').next().unwrap().to_owned());

    let site = |id: Value| json!({"kind": "Site", "key": {"name": "a"}, "id": id});
    let creates = [
        json!({"key": {"name": "new"}, "fields": {"name": "new é", "height": 42, "site": site(json!("17")), "tags": [site(json!("1")), site(json!("2"))]}}),
        json!({"key": {"name": "r1 é"}, "fields": {"name": "r1 é", "site": null, "tags": []}}),
        json!({"key": {"name": "r3 é"}, "fields": {"name": "r3 é"}}),
        json!({"key": {"name": "lost"}, "fields": {"name": "lost", "site": site(Value::Null)}}),
    ];
    let updates = [
        json!({"key": {"name": "r1"}, "id": "1", "fields": {"height": null, "big": 9_007_199_254_740_991_u64}}),
        json!({"key": {"name": "gone"}, "id": "99", "fields": {"height": 1}}),
        json!({"key": {"name": "unknown"}, "fields": {"height": 1}}),
    ];
    let deletes = [json!({"key": {"name": "r2"}, "id": "2"}), json!({"key": {"name": "gone"}, "id": "99"})];
    for (operation, batch) in [(Operation::Create, &creates[..]), (Operation::Update, &updates), (Operation::Delete, &deletes)] {
        let outcomes = session.write(rows(operation, batch)).await.unwrap();
        lines.extend(outcomes.iter().map(|each| format!("{operation:?}: {}", outcome(each))));
    }
    // A batch with more rows than the host holds responses.
    let mut narrow = config(json!({"url": server.address(), "token": "the-token"}), here);
    narrow.limits.set(Limit::HeldResponses, 4);
    let narrow = adapter.open(narrow).await.unwrap();
    let many: Vec<Value> = (0..30).map(|n| json!({"key": {"name": n}, "id": "1", "fields": {"n": n}})).collect();
    let outcomes = narrow.write(rows(Operation::Update, &many)).await.unwrap();
    lines.push(format!("{} of 30 written", outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Written(_))).count()));
    lines.push(format!("the server has {}", server.objects("racks")));

    let stranger = adapter.open(config(json!({"url": server.address(), "token": "another"}), here)).await.unwrap();
    lines.push(text_of(&stranger.load(request("racks", 2, None)).await.unwrap_err()));
    let unreachable = adapter.open(config(json!({"url": "http://127.0.0.1:9", "retries": 0}), here)).await.unwrap();
    lines.push(text_of(&unreachable.load(request("racks", 2, None)).await.unwrap_err()).split(':').next().unwrap().to_owned());
    let nowhere = adapter.open(config(json!({}), here)).await.unwrap_err();
    lines.push(format!("{:?}", nowhere.fault_kind()));
    lines
}

const RACKS: &str = "name: racks
source: {name: top-racks, adapter: ./racks.wasm, settings: {url: URL}}
destination: {name: files, settings: {path: out}}
schema_mapping:
  - name: Box
    mapping: boxes
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: description, mapping: note}]
";

/// Asserts that `adapter check` finds nothing: on a server that may be read and written, and on the recording of its answers.
fn assert_keeps_the_contract(component: &Path, language: &str) {
    let server = Shop::start();
    let before = ["racks", "boxes"].map(|list| server.objects(list));
    let mut project = Project::new(&RACKS.replace("URL", server.address()));
    std::fs::copy(component, project.path().join("racks.wasm")).unwrap();
    let check = |project: &Project, options: &[&str]| -> BTreeMap<String, String> {
        let words = ["adapter", "check", "racks.wasm", "--config-file", "config.yml", "--output", "json"];
        let output = project.run(&[&words[..], options].concat());
        assert_eq!(output.code, 0, "{language} {options:?}: {}{}", output.stdout, output.stderr);
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        report["checks"].as_array().unwrap().iter().map(|check| (text(&check["name"]), text(&check["result"]))).collect()
    };
    project.set("TOP_RACKS_TOKEN", "the-token");
    let live = check(&project, &["--record", "exchanges", "--allow-writes", "--complete"]);
    let not_applicable: Vec<&str> = live.iter().filter(|(_, result)| *result != "passed").map(|(name, _)| name.as_str()).collect();
    // It has no settings that could be odd, reads no single ids, has no change log and does not know the kinds of its system.
    let expected = ["absent", "kinds", "reads-ids", "settings-errors", "unknown-fields", "unknown-kinds"];
    assert_eq!(not_applicable, expected, "{language}: {live:?}");
    // The written objects are deleted, and no others were modified.
    assert_eq!(["racks", "boxes"].map(|list| server.objects(list)), before, "{language}");

    // From here on without the server and its token, in checks that do not write.
    project.set("TOP_RACKS_TOKEN", "");
    project.write("config.yml", &RACKS.replace("URL", "http://127.0.0.1:1"));
    let offline = check(&project, &["--replay", "exchanges"]);
    let differ: Vec<&str> = live.keys().filter(|name| live[*name] != offline[*name]).map(String::as_str).collect();
    let of_writing = ["cascades", "deletes", "unknown-fields", "unknown-kinds", "updates", "writes", "writes-again", "writes-nothing"];
    assert_eq!(differ, of_writing, "{language}: {offline:?}");
}

#[tokio::test]
async fn a_new_adapter_is_made_and_built_and_does_the_same_in_each_language() {
    let mut done: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (language, tests) in LANGUAGES {
        let folder = scratch().join("new").join(language);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        let program = binary();
        let words =
            [program.to_str().unwrap(), "adapter", "new", "top-racks", "--language", language, "--directory", folder.to_str().unwrap()];
        let said = ok(&root(), &words);
        assert_eq!(said.trim(), folder.to_str().unwrap());
        let again = run(&root(), &words);
        let refusal = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(!again.status.success() && refusal.contains("exists already") && refusal.contains("hint: "), "{refusal}");

        let Some(component) = build(&folder, language) else { continue };
        for words in tests {
            ok(&folder, words);
        }
        let adapter = load(&component);
        let manifest = adapter.describe().await.unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("top-racks", "0.1.0"), "{language}");
        assert_eq!(manifest.setting("token").unwrap().environment, ["TOP_RACKS_TOKEN"], "{language}");
        done.insert(language, behaviour(&adapter).await);
        assert_keeps_the_contract(&component, language);
    }
    let rust = done.remove("rust").unwrap();
    insta::assert_snapshot!(rust.join("\n"), @r###"
    racks: [{"id":"1","name":"r1 é"},{"id":"2","name":"r2 é"}] of Some(5)
    racks: [{"id":"3","name":"r3 é"},{"id":"4","name":"r4 é"}] of Some(5)
    racks: [{"id":"5","name":"r5 é"}] of Some(5)
    empty: [] of Some(0)
    NotFound: the top-racks has no `nothing` (there is no /v1/nothing) (HTTP 404)
    Remote: the answer for `html` is not from the top-racks: check that `url` is the address of the top-racks (HTTP 200)
    Remote: the answer for `odd` is not from the top-racks: check that `url` is the address of the top-racks (HTTP 200)
    Auth: the top-racks denies access to `closed` (not for you): `token` (TOP_RACKS_TOKEN) is missing, wrong or expired, or lacks the permission (HTTP 403)
    NotFound: the top-racks has no `../escape` (there is no /v1/..%2Fescape) (HTTP 404)
    Invalid: the top-racks rejects `words` with HTTP status 422 ({"name":["is too long"]})
    Conflict: `moving` was modified while it was read: run again
    Unsupported: this system does not tell which objects changed
    Internal
    Create: Written(Some("6"))
    Create: failed Conflict: the top-racks rejects `racks` with HTTP status 409 (there is one of that name)
    Create: Unchanged(Some("3"))
    Create: failed NotFound: the object {"name":"a"} of `Site`, to which it refers, is not in the system
    Update: Written(Some("1"))
    Update: failed NotFound: the top-racks has no `racks` (there is none) (HTTP 404)
    Update: failed Invalid: the id of this object is unknown
    Delete: Written(Some("2"))
    Delete: Unchanged(Some("99"))
    30 of 30 written
    the server has [{"height":null,"id":"1","large":9007199254740991,"n":29,"name":"r1 é"},{"id":"3","name":"r3 é"},{"id":"4","name":"r4 é"},{"id":"5","name":"r5 é"},{"height":42,"id":"6","location":"17","name":"new é","tags":["1","2"]}]
    Auth: the top-racks denies access to `racks` (this token is not known): `token` (TOP_RACKS_TOKEN) is missing, wrong or expired, or lacks the permission (HTTP 401)
    Transport
    Config
    "###);
    for (language, lines) in done {
        assert_eq!(lines, rust, "{language}");
    }
}

/// Returns the answers of a prober about each part of the contract, line by line.
#[allow(clippy::too_many_lines, reason = "a list of questions, one after the other")]
async fn probed(adapter: &Adapter, project: &Path) -> Vec<String> {
    let mut lines = vec![format!("{:?}", adapter.describe().await.unwrap())];
    let server = server::prober();
    let address = server.url();
    let settings = json!({"url": address, "path": "data", "token": "new_secret-token", "user": "someone", "password": "secret-password"});
    let mut odd = settings.clone();
    odd["wish"] = json!(13);
    lines.push(text_of(&adapter.open(config(odd.clone(), project)).await.unwrap_err()));
    odd["wish"] = json!(14);
    lines.push(defect(&adapter.open(config(odd, project)).await.unwrap_err(), "odd"));
    let mut narrow = config(settings, project);
    narrow.limits.set(Limit::HeldResponses, 4);
    let session = adapter.open(narrow).await.unwrap();
    let tell = async |resource: &str| match session.load(order(resource)).await {
        Ok(loaded) => {
            let projection = match &loaded.payload {
                Payload::Document { projection, .. } => projection.clone(),
                _ => Vec::new(),
            };
            let next = loaded.next.as_ref().map(|next| String::from_utf8_lossy(&next.0).into_owned());
            format!(
                "{resource}: {} {next:?} {:?} {:?} {:?} {:?} {projection:?}",
                page(&loaded.payload),
                loaded.watermark,
                loaded.deleted,
                loaded.total,
                loaded.partial
            )
        }
        Err(error) => format!("{resource}: {}", text_of(&error)),
    };
    // The order `files` writes: until a run begins, or a commit, a session only reads.
    session.commit(&["Good".into()]).await.unwrap();
    for resource in
        ["text", "empty", "wait", "many", "part", "parse", "refused", "denied", "memo", "memo", "helpers", "missing", "files", "lines"]
    {
        lines.push(tell(resource).await);
    }
    let echo = LoadRequest {
        resource: "echo".into(),
        targets: vec![rack(), target("Box", None)],
        fields: vec!["site.slug".into(), "@owner".into(), "site.name".into(), "name".into()],
        ids: vec!["1".into(), "é".into()],
        page_size: 77,
        cursor: Some(Cursor(br#"{"after":["x"]}"#.to_vec())),
        since: Some("then".into()),
    };
    let echoed = session.load(echo).await.unwrap();
    lines.push(format!("{} {:?} {:?} {:?}", page(&echoed.payload), echoed.watermark, echoed.deleted, echoed.total));
    let next: Value = serde_json::from_slice(&echoed.next.unwrap().0).unwrap();
    lines.push(format!("{next} {}", tell("echo").await));

    // A failure has its text, and the next call works.
    for (resource, text) in [("broken", "no such key"), ("leave", "leaving"), ("recurse", "")] {
        lines.push(defect(&session.load(order(resource)).await.unwrap_err(), text));
        lines.push(tell("empty").await);
    }
    // A response is invalid after its call, whether it was left over or handed back; the instance survives a use.
    for resource in ["keep", "give"] {
        session.load(order(resource)).await.unwrap();
        lines.push(defect(&session.load(order("kept")).await.unwrap_err(), "a response was used after it was released or handed back"));
    }

    for targets in [vec![], vec![target("Region", None), target("None", Some("none"))]] {
        lines.push(format!("{:?}", session.kinds(&targets).await.unwrap()));
    }
    let ids = ["1".to_owned(), "3".into(), "2".into()];
    lines.push(format!("{:?}", session.absent(&rack(), &ids).await.unwrap()));
    lines.push(text_of(&session.absent(&target("Broken", None), &ids).await.unwrap_err()));
    lines.push(format!("{:?}", session.cascade(&rack(), &ids).await.unwrap()));
    lines.push(text_of(&session.cascade(&target("Broken", None), &ids).await.unwrap_err()));
    let change = |target: Target| KindChanges { target, creates: 1, updates: 2, deletes: u64::from(u32::MAX) + 1 };
    let changes = vec![change(rack()), change(target("Region", None))];
    let run = Run { id: "r1".into(), sync: "s é".into(), source: "n".into(), changes };
    lines.push(format!("{:?}", session.begin(&run).await.unwrap()));
    let row = |n: u32| json!({"key": {"n": n}, "id": "17", "fields": {"a": "é"}});
    let outcomes = session.write(rows(Operation::Update, &[row(0), row(1), row(2), row(3), row(4)])).await.unwrap();
    lines.extend(outcomes[..4].iter().map(outcome));
    assert!(
        matches!(&outcomes[4], Outcome::Failed(failure) if failure.message.contains("odd") || failure.message.contains("undefined")),
        "{outcomes:?}"
    );
    let texts = ["a", "é", "bad", "d", "e", "bad"].map(|text| json!({"key": {"n": 0}, "fields": {"a": text}}));
    let halves = WriteRequest { target: target("Halves", None), ..rows(Operation::Create, &texts) };
    lines.extend(session.write(halves).await.unwrap().iter().map(outcome));
    let broken = WriteRequest { target: target("Broken", None), ..rows(Operation::Delete, &[row(0)]) };
    lines.push(defect(&session.write(broken).await.unwrap_err(), ""));
    session.commit(&["Good".into()]).await.unwrap();
    lines.push(text_of(&session.commit(&["Good".into(), "Bad".into()]).await.unwrap_err()));
    let result = RunResult { created: 1, updated: 2, deleted: 3, unchanged: 4, failed: 5, skipped: 6 };
    lines.push(format!("{:?}", session.finish_run(&run, result).await.unwrap()));
    lines.push(format!("{:?}", session.finish_run(&Run { changes: Vec::new(), ..run }, result).await.unwrap()));
    lines.iter().map(|line| line.replace(address, "ADDRESS").replace('\u{2028}', "<line separator>")).collect()
}

fn target(kind: &str, resource: Option<&str>) -> Target {
    Target { kind: kind.into(), resource: resource.map(Into::into), fields: Vec::new() }
}

fn order(resource: &str) -> LoadRequest {
    LoadRequest { resource: resource.into(), page_size: 10, ..LoadRequest::default() }
}

/// Asserts that an error is an uncaught one: `internal`, with its text. Languages add their own words. An endless recursion may also end the
/// instance.
fn defect(error: &Error, text: &str) -> String {
    match error {
        Error::Trap { .. } if text.is_empty() => {}
        _ => assert!(text_of(error).starts_with("Internal: ") || text_of(error).starts_with("Config: "), "{error:?}"),
    }
    assert!(error.to_string().contains(text) || error.to_string().contains("undefined"), "{error}");
    "a defect".to_owned()
}

#[tokio::test]
async fn each_sdk_passes_on_every_part_of_the_contract() {
    let mut done: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for language in ["python", "javascript", "go"] {
        let Some(component) = build(&root().join("tests/languages").join(language), language) else { continue };
        let project = tempfile::tempdir().unwrap();
        let adapter = load(&component);
        done.insert(language, probed(&adapter, project.path()).await);
    }
    let Some((_, first)) = done.pop_first() else { return };
    insta::assert_snapshot!(first.join("\n"), @r###"
    Manifest { name: "prober", version: "1.2.3", description: "acts by the name of the resource", settings: [Setting { name: "url", help: "an address", setting_type: Text, required: false, secret: false, environment: [], environment_setting: None, project_first: false, command_line: None, default: None }, Setting { name: "path", help: "a folder", setting_type: Text, required: false, secret: false, environment: [], environment_setting: None, project_first: false, command_line: None, default: None }, Setting { name: "wish", help: "a number", setting_type: Integer, required: false, secret: false, environment: ["WISH", "WISH2"], environment_setting: None, project_first: false, command_line: None, default: Some("7") }, Setting { name: "branch", help: "a branch", setting_type: Text, required: false, secret: false, environment: [], environment_setting: None, project_first: true, command_line: Some("branch"), default: None }, Setting { name: "variables", help: "names of variables", setting_type: Json, required: false, secret: false, environment: [], environment_setting: None, project_first: false, command_line: None, default: None }, Setting { name: "token", help: "a token", setting_type: Text, required: false, secret: true, environment: [], environment_setting: Some("variables"), project_first: false, command_line: None, default: None }, Setting { name: "user", help: "a name", setting_type: Text, required: false, secret: false, environment: [], environment_setting: None, project_first: false, command_line: None, default: None }, Setting { name: "password", help: "a password", setting_type: Text, required: false, secret: true, environment: [], environment_setting: None, project_first: false, command_line: None, default: None }], address_setting: Some("url"), folder_setting: Some("path"), credentials: [Credential { when: None, form: Header([HeaderTemplate { name: "x-token", template: "New {token}", prefix: "new_" }, HeaderTemplate { name: "x-token", template: "Old {token}", prefix: "" }]) }, Credential { when: Some(Condition { setting: "wish", values: ["8", "9"] }), form: Basic { username: "user", password: "password" } }, Credential { when: None, form: Query { parameter: "key", setting: "token" } }, Credential { when: None, form: Login(Login { steps: [LoginStep { method: "GET", path: "/hello", headers: [], body: None, values: [("csrf", Cookie("csrf")), ("id", Header("X-Id"))] }, LoginStep { method: "POST", path: "/login", headers: [("X-Csrf", "{csrf}")], body: Some(Json("{\"p\": \"{password}\"}")), values: [("t", Json("/t"))] }], headers: [("authorization", "Bearer {t}")], renew_after: Some(60s), expired: [401, 403], refresh: [LoginStep { method: "POST", path: "/again", headers: [], body: Some(Form([("t", "{t}")])), values: [] }] }) }], reading_paths: [ReadingPath { path: "/results", form: Any }, ReadingPath { path: "/graphql/*", form: Graphql }], aliases: [Alias { name: "verify", setting: "verify_ssl", environment: ["VERIFY"] }, Alias { name: "host", setting: "url", environment: [] }], source: Some(Kind), destination: Some(Mapping), references: [UniqueId, FieldName, PeerColumns], tables: [Table { name: "node_name", resource: "nodes", key: "attributes.id", value: "attributes.name" }], lookup: Some("find"), evidence: Evidence { total: true, change_log: false, permissions: true }, ownership: true, reads_ids: true, schema: true, page_size: 7, write_batch_max: 8, write_concurrency: 3, has_ids: true }
    Config: `wish` must not be 13
    a defect
    text: [{"text":"é 🦀 \u0000 \" \\ <line separator>"},{"text":null}] None None None None None []
    empty: [] None None Some([]) None None []
    wait: RateLimited: too fast (HTTP 429)
    many: [{"accept":"application/json","own":"1","query":"a=b%20c&key=***","title":"{\"é\":[1,null]}"},{"é":[1,null]}] None None None Some(3) None [("name", "/title")]
    part: [[2,null,["3",null],"a header"]] None None None None None []
    parse: [{"results":[{"accept":"application/json","own":null,"query":"key=***","title":""},{"é":[1,null]}],"total":3},109] None None None None None []
    refused: NotFound: the refused: HTTP status 404: there is nothing
    denied: Config: destination `prober` 1.2.3 was denied: https://elsewhere.invalid is not the configured origin ADDRESS; to allow it, write under `destination:` in config.yml: `grants: {origins: [https://elsewhere.invalid]}`
    memo: [[[null,null],[["é",10],["é",10]]]] None None None None None []
    memo: [[[["é",10],["é",10]],[["é",10],["é",10]]]] None None None None None []
    helpers: [[["é",1],["é",1],3,{"é":[1,null]},true,"the answer has no JSON value at `/nothing`","the answer for `results` is not from the prober (application/json): check that `url` is the address of the prober","the prober has no `refused` (there is nothing)"]] None None None None None []
    missing: NotFound: there is no file `missing.jsonl`
    files: [[["a.txt"],"é\n",3,"é\ntwo\n"]] None None None None None []
    lines: [{"id":1},{"id":2}] None None None None None []
    [{"cursor":{"after":["x"]},"fields":["site.slug","@owner","site.name","name"],"ids":["1","é"],"owner":true,"settings":["path","url","user","wish"],"since":"then","size":77,"targets":["Rack@racks(name/name//False/True height/None//False/False big/large.number//False/False n/None//False/False site/location.id/Site/False/False tags/tags/Tag+Site/True/False)","Box@None()"],"top":["site","name"],"wish":7}] Some("now") Some(["7", "8"]) Some(3)
    {"after":["é",1]} echo: [{"cursor":null,"fields":[],"ids":[],"owner":false,"settings":["path","url","user","wish"],"since":null,"size":10,"targets":[],"top":[],"wish":7}] Some("{\"after\":[\"é\",1]}") Some("now") Some(["7", "8"]) Some(3) Some("a part") []
    a defect
    empty: [] None None Some([]) None None []
    a defect
    empty: [] None None Some([]) None None []
    a defect
    empty: [] None None Some([]) None None []
    a defect
    a defect
    [Kind { name: "Site", identifiers: ["name"], fields: [Field { name: "name", field_type: Text, optional: false, unique: true, read_only: false, references: [], choices: [], default: None }, Field { name: "region", field_type: Reference, optional: true, unique: false, read_only: false, references: ["Region", "Place"], choices: [], default: None }, Field { name: "state", field_type: Any, optional: false, unique: false, read_only: true, references: [], choices: ["a", "b"], default: Some("\"a\"") }], stands_for: ["Place"], cascades: [Cascade { kind: "Rack", field: Some("site") }, Cascade { kind: "Note", field: None }], unique_together: [["region", "name"]], can_create: true, can_update: true, can_delete: false }, Kind { name: "Region", identifiers: [], fields: [], stands_for: [], cascades: [], unique_together: [], can_create: true, can_update: true, can_delete: true }]
    [Kind { name: "Region", identifiers: [], fields: [], stands_for: [], cascades: [], unique_together: [], can_create: true, can_update: true, can_delete: true }]
    [Deleted, Unknown, Present]
    Remote: no log of Broken@None()
    [Dependents { kind: "Rack", count: 8589934592, ids: ["1", "3", "2"] }, Dependents { kind: "notes", count: 1, ids: [] }]
    Remote: no cascades of Broken@None()
    Some("r1 s é n [['Rack@racks(name/name//False/True height/None//False/False big/large.number//False/False n/None//False/False site/location.id/Site/False/False tags/tags/Tag+Site/True/False)', 1, 2, 4294967296], ['Region@None()', 1, 2, 4294967296]]")
    Written(Some("['Rack@racks(name/name//False/True height/None//False/False big/large.number//False/False n/None//False/False site/location.id/Site/False/False tags/tags/Tag+Site/True/False)', 'update', 5]"))
    Staged
    Unchanged(Some("17"))
    failed Conflict: no: é (HTTP 409)
    Written(Some("a of 1"))
    Written(Some("é of 1"))
    failed Invalid: one of 1 is bad
    Written(Some("d of 1"))
    Written(Some("e of 1"))
    failed Invalid: one of 1 is bad
    a defect
    Remote: Good Bad
    Some("r1 [1, 2, 3, 4, 5, 6]")
    None
    "###);
    for (language, lines) in done {
        assert_eq!(lines, first, "{language}");
    }
}

#[tokio::test]
async fn go_collects_its_garbage_by_hand() {
    let Some(component) = build(&root().join("tests/languages/go"), "go") else { return };
    let adapter = load(&component);
    let server = server::prober();
    let session: Session = adapter.open(config(json!({"url": server.url(), "token": "x"}), Path::new("/nowhere"))).await.unwrap();
    // 60 bodies of 2 MiB and as much garbage, in one call: more than the sandbox grants.
    let loaded = session.load(order("garbage")).await.unwrap();
    let collections = page(&loaded.payload)[0].as_u64().unwrap();
    assert!((2..60).contains(&collections), "{collections}");
}

#[test]
fn the_unit_tests_of_each_sdk_pass() {
    let tool = |language: &str, words: &[&str]| {
        let found = Command::new(words[0]).arg(if language == "go" { "version" } else { "--version" }).output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: {language}: `{}` does not start", words[0]);
            return;
        }
        ok(&root().join("sdk").join(language), words);
    };
    tool("python", &["python3", "-m", "unittest", "--quiet"]);
    tool("javascript", &["npm", "test", "--silent"]);
    tool("go", &["go", "vet", "./..."]);
    tool("go", &["go", "test", "./..."]);
}
