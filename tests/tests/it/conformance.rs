//! The conformance suite of `adapter check`: our adapters pass it, and each check has a guest that fails it and nothing else.
//!
//! The templates of all languages pass it in `languages.rs`, which builds them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use infrahub_sync_config::Project as Config;
use infrahub_sync_conformance::{Options, Reading, Report, System, Verdict, check, record};
use infrahub_sync_engine::{destination_readings, source_readings};
use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Fake};
use infrahub_sync_runtime::{
    Adapter, Answer, Asked, Exchanges, Limit, Limits, LoadRequest, RequestHeaders, Role, Runtime, RuntimeOptions, SessionConfig, StandIn,
    Target, TargetField, Variables, read_recording,
};
use infrahub_sync_test_server::Server;
use infrahub_sync_tests::live::root;
use infrahub_sync_tests::{Project, binary, component};
use serde_json::{Value, json};

/// A runtime that keeps what it compiles, as the program does in these tests.
fn runtime() -> Runtime {
    let store = binary().with_file_name("test-cache").join("infrahub-sync/components");
    Runtime::new(RuntimeOptions { component_store: Some(store), ..RuntimeOptions::default() }).unwrap()
}

fn adapter(name: &str) -> Adapter {
    runtime().load_adapter(&component(name), name).unwrap()
}

fn options() -> Options<'static> {
    Options {
        settings: BTreeMap::new(),
        environment: &|_| None,
        variables: Variables::All,
        headers: RequestHeaders::All,
        command_line: BTreeMap::new(),
        extra_origins: Vec::new(),
        networks: Vec::new(),
        project_dir: PathBuf::from("/nowhere"),
        role: Role::Source,
        readings: Vec::new(),
        system: System::None,
        run_id: "conformance".to_owned(),
        writes_live: false,
        limits: Limits::default(),
    }
}

/// What is wrong with an adapter, for a message.
fn told(report: &Report) -> String {
    let lines = report.checks.iter().map(|check| format!("{}: {:?}\n", check.name, check.verdict));
    lines.collect()
}

fn assert_conforms(report: &Report, not_checked: &[&str]) {
    assert!(report.conforms(), "{}", told(report));
    assert_eq!(report.not_checked(), not_checked, "{}", told(report));
}

// ---------------------------------------------------------------------------------------------------------------- the nonconforming guest

/// A query's parameter.
fn parameter(path: &str, name: &str) -> Option<u64> {
    let (_, query) = path.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// The server that the guest reads from: nine things, none of which has changed lately.
fn shop(asked: &Asked) -> Result<Answer, String> {
    if let Some(id) = asked.path.strip_prefix("/things/") {
        let is_there = id.parse::<u64>().is_ok_and(|id| (1..=9).contains(&id));
        return Ok(Answer::json(if is_there { 200 } else { 404 }, json!({ "id": id }).to_string()));
    }
    if !asked.path.starts_with("/things?") {
        return Ok(Answer::json(404, r#"{"detail": "Not found."}"#));
    }
    let after = parameter(&asked.path, "after").unwrap_or(0);
    let size = parameter(&asked.path, "size").unwrap_or(100);
    let since = parameter(&asked.path, "since");
    let ids = asked.path.split_once("&ids=").map(|(_, ids)| ids.split(',').map(|id| id.parse::<u64>().unwrap()).collect::<Vec<_>>());
    let wanted = |id: &u64| since.is_none() && ids.as_ref().is_none_or(|ids| ids.contains(id));
    let rest: Vec<u64> = (after + 1..=9).filter(wanted).collect();
    let page: Vec<u64> = rest.iter().copied().take(usize::try_from(size).unwrap()).collect();
    let next = page.last().filter(|_| page.len() < rest.len());
    let items: Vec<Value> = page.iter().map(|id| json!({"id": id, "name": format!("thing {id}"), "size": id * 10})).collect();
    Ok(Answer::json(200, json!({"items": items, "next": next, "now": 5, "total": 9}).to_string()))
}

fn things() -> LoadRequest {
    let field = |name: &str, identifier| TargetField { name: name.into(), identifier, ..TargetField::default() };
    let target = Target { kind: "Thing".into(), resource: Some("things".into()), fields: vec![field("name", true), field("size", false)] };
    let fields = vec!["name".into(), "size".into()];
    LoadRequest { resource: "things".into(), targets: vec![target], fields, page_size: 4, ..LoadRequest::default() }
}

fn shop_options(defect: &str) -> Options<'static> {
    Options {
        settings: BTreeMap::from([("defect".to_owned(), json!(defect))]),
        readings: vec![Reading::new(things())],
        system: System::StandIn(StandIn::new(shop)),
        ..options()
    }
}

/// Each defect that the guest's setting may name, and the check that must find it.
const DEFECTS: [(&str, &str); 42] = [
    ("configure-asks", "settings"),
    ("needs-more-than-required", "settings"),
    ("odd-setting-breaks", "settings-errors"),
    ("odd-setting-is-internal", "settings-errors"),
    ("odd-setting-is-not-named", "settings-errors"),
    ("page-is-no-page", "reading"),
    ("cursor-stands-still", "paging"),
    ("cursor-goes-in-circles", "paging"),
    ("list-differs-the-second-time", "paging"),
    ("total-is-wrong", "paging"),
    ("position-is-kept-in-the-instance", "instances"),
    ("page-break-loses-a-record", "page-breaks"),
    ("field-is-left-out", "fields"),
    ("id-is-left-out", "fields"),
    ("foreign-cursor-is-ignored", "cursors"),
    ("foreign-cursor-breaks", "cursors"),
    ("foreign-watermark-loses", "since"),
    ("deleted-are-there", "since"),
    ("incremental-total", "since"),
    ("ids-are-ignored", "reads-ids"),
    ("listed-is-deleted", "absent"),
    ("unknown-resource-is-empty", "unknown-resources"),
    ("refusal-is-empty", "refusals"),
    ("refusal-is-internal", "refusals"),
    ("refusal-breaks", "refusals"),
    ("garbage-is-empty", "garbage"),
    ("garbage-breaks", "garbage"),
    ("kinds-have-strange-identifiers", "kinds"),
    ("kinds-refer-to-nothing", "kinds"),
    ("unknown-name-is-all-kinds", "kinds"),
    ("empty-run-is-refused", "writes-nothing"),
    ("last-row-is-lost", "writes"),
    ("outcomes-are-reversed", "writes"),
    ("created-twice", "writes-again"),
    ("created-again-is-refused", "writes-again"),
    ("update-drops-the-rest", "updates"),
    ("deleted-again-is-refused", "deletes"),
    ("cascade-names-the-objects", "cascades"),
    ("unknown-kind-is-taken", "unknown-kinds"),
    ("unknown-field-is-taken", "unknown-fields"),
    ("refusal-is-spelled-out", "secrets"),
    ("memory", "limits"),
];

/// Each defect of the guest's description of itself, and the check that must find it.
const DESCRIPTIONS: [(&str, &str); 6] = [
    ("breaks", "manifest"),
    ("version", "manifest"),
    ("no-line", "manifest"),
    ("default", "manifest"),
    ("page-size", "manifest"),
    ("reaches", "describe"),
];

#[tokio::test]
async fn a_guest_without_a_defect_passes_every_check() {
    let report = check(&adapter("nonconforming"), &shop_options("none")).await;
    assert_conforms(&report, &[]);
    assert!(report.checks.iter().all(|check| matches!(check.verdict, Verdict::Passed { .. })), "{}", told(&report));
}

#[tokio::test]
async fn each_defect_fails_the_check_that_is_about_it_and_no_other() {
    let adapter = adapter("nonconforming");
    let mut wrong = String::new();
    for (defect, name) in DEFECTS {
        let report = check(&adapter, &shop_options(defect)).await;
        if report.failed() != [name] {
            wrong.push_str(&format!("{defect}: {:?} instead of {name}\n{}\n", report.failed(), told(&report)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn each_defect_of_a_description_fails_the_check_that_is_about_it() {
    let runtime = runtime();
    for (defect, name) in DESCRIPTIONS {
        let mut bytes = component("nonconforming");
        let place = b"defect-of-the-description:none                  ";
        let at = bytes.windows(place.len()).position(|window| window == place).unwrap();
        let text = format!("{:<48}", format!("defect-of-the-description:{defect}"));
        bytes[at..at + place.len()].copy_from_slice(text.as_bytes());
        let adapter = runtime.load_adapter(&bytes, "shop").unwrap();
        let report = check(&adapter, &shop_options("none")).await;
        // Without its default the guest does not start, which is another check's business.
        let failed: Vec<&str> = report.failed().into_iter().filter(|failed| defect != "default" || *failed == name).collect();
        assert_eq!(failed, [name], "{defect}\n{}", told(&report));
    }
}

#[tokio::test]
async fn a_guest_that_never_comes_back_fails_at_its_limit() {
    let mut options = shop_options("none");
    options.limits.set(Limit::CallTime, 300);
    let slow = Options { readings: vec![Reading::new(LoadRequest { resource: "for ever".into(), ..things() })], ..options };
    let report = check(&adapter("nonconforming"), &slow).await;
    assert_eq!(report.failed(), ["limits"], "{}", told(&report));
}

#[test]
fn every_defect_of_the_guest_and_every_check_has_a_test() {
    let source = include_str!("../../guests/nonconforming/src/lib.rs");
    let (_, list) = source.split_once("const DEFECTS").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let there: BTreeSet<&str> = list.split('"').skip(1).step_by(2).filter(|defect| *defect != "none").collect();
    assert_eq!(there, DEFECTS.iter().map(|(defect, _)| *defect).collect());
    let found: BTreeSet<&str> = DEFECTS.iter().chain(&DESCRIPTIONS).map(|(_, name)| *name).collect();
    let checks = include_str!("../../../host/conformance/src/checks/mod.rs");
    let names: BTreeSet<&str> = checks.split("Promise(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(found, names);
}

#[tokio::test]
async fn without_exchanges_or_a_project_the_suite_says_what_is_missing() {
    let nothing = Options { readings: Vec::new(), system: System::None, ..shop_options("none") };
    let report = check(&adapter("nonconforming"), &nothing).await;
    assert!(report.conforms() && !report.is_complete(), "{}", told(&report));
    let check = report.check("garbage").unwrap();
    assert!(matches!(&check.verdict, Verdict::NotChecked { reason } if reason.contains("--record")), "{check:?}");
    // Nobody says what to read: a request that was never recorded is no defect of the adapter.
    let other = Options { system: System::Recorded(Vec::new()), ..shop_options("none") };
    let report = infrahub_sync_conformance::check(&adapter("nonconforming"), &other).await;
    assert!(report.conforms(), "{}", told(&report));
    let check = report.check("reading").unwrap();
    assert!(matches!(&check.verdict, Verdict::NotChecked { reason } if reason.contains("GET /things?after=0&size=4")), "{check:?}");
}

// ------------------------------------------------------------------------------------------------------------------------ our own adapters

fn config(example: &str) -> Config {
    Config::load(&root().join("examples").join(example).join("config.yml"), &|_: &str| None).unwrap()
}

fn readings(of_engine: Vec<infrahub_sync_engine::Reading>) -> Vec<Reading> {
    of_engine.into_iter().map(|read| Reading { request: read.request, computed: read.computed }).collect()
}

fn recorded(example: &str, folder: &str, adapter: &str) -> Vec<(Asked, Answer)> {
    read_recording(&root().join("examples").join(example).join("exchanges").join(folder), adapter).unwrap()
}

#[tokio::test]
async fn files_conforms_in_each_of_its_formats() {
    for format in ["", "json", "jsonl", "csv", "yaml"] {
        let settings = BTreeMap::from([("format".to_owned(), json!(format))]);
        let report = check(&adapter("files"), &Options { settings, ..options() }).await;
        assert_conforms(&report, &[]);
    }
}

#[tokio::test]
async fn netbox_conforms_on_its_recording() {
    let (adapter, project) = (adapter("netbox"), config("netbox_to_files"));
    let readings = readings(source_readings(&project, &adapter.describe().await.unwrap()).unwrap());
    assert_eq!(readings.len(), 24);
    let system = System::Recorded(recorded("netbox_to_files", "", "netbox"));
    let report = check(&adapter, &Options { readings, system, ..options() }).await;
    // The recording of a source has one page size, and no answers for a destination.
    let not_checked = [
        "page-breaks",
        "reads-ids",
        "kinds",
        "writes-nothing",
        "writes",
        "writes-again",
        "updates",
        "cascades",
        "deletes",
        "unknown-kinds",
        "unknown-fields",
    ];
    assert_conforms(&report, &not_checked);
}

/// NetBox's paging by `start`, over lists that were recorded.
fn netbox(lists: BTreeMap<String, Vec<Value>>) -> impl Fn(&Asked) -> Result<Answer, String> {
    move |asked| {
        let path = asked.path.split('?').next().unwrap();
        let Some(list) = lists.get(path) else { return Ok(Answer::json(404, r#"{"detail": "Not found."}"#)) };
        let (start, limit) = (parameter(&asked.path, "start").unwrap_or(0), parameter(&asked.path, "limit").unwrap_or(50));
        let ids: Vec<u64> = asked.path.split(['?', '&']).filter_map(|pair| pair.strip_prefix("id=")?.parse().ok()).collect();
        let is_asked = |record: &&Value| ids.is_empty() || record["id"].as_u64().is_some_and(|id| ids.contains(&id));
        let rest = list.iter().filter(is_asked).filter(|record| record["id"].as_u64() >= Some(start));
        let mut rest = rest.skip_while(|_| limit == 0);
        let page: Vec<&Value> = rest.by_ref().take(usize::try_from(limit).unwrap()).collect();
        let next = rest.next().map(|record| format!("http://replay.invalid{path}?limit={limit}&start={}", record["id"]));
        Ok(Answer::json(200, json!({"count": null, "next": next, "previous": null, "results": page}).to_string()))
    }
}

#[tokio::test]
async fn netbox_conforms_whatever_the_page_size() {
    let (adapter, project) = (adapter("netbox"), config("netbox_to_files"));
    let mut lists = BTreeMap::new();
    for (asked, answer) in recorded("netbox_to_files", "", "netbox") {
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut records: Vec<Value> = serde_json::from_value(body["results"].clone()).unwrap();
        records.sort_by_key(|record| record["id"].as_u64());
        records.truncate(120);
        lists.insert(asked.path.split('?').next().unwrap().to_owned(), records);
    }
    let mut readings = readings(source_readings(&project, &adapter.describe().await.unwrap()).unwrap());
    readings.retain(|reading| ["dcim.devices", "dcim.sites", "ipam.ip_addresses"].contains(&reading.request.resource.as_str()));
    readings.iter_mut().for_each(|reading| reading.request.page_size = 50);
    let system = System::StandIn(StandIn::new(netbox(lists)));
    // These lists are only read.
    let not_checked = ["writes", "writes-again", "updates", "cascades", "deletes", "unknown-fields"];
    assert_conforms(&check(&adapter, &Options { readings, system, ..options() }).await, &not_checked);
}

/// Hears nothing.
struct Silence;

impl infrahub_sync_engine::Events for Silence {
    fn loading(&self, _: infrahub_sync_engine::Side, _: &str, _: u64, _: Option<u64>) {}
    fn loaded(&self, _: infrahub_sync_engine::Side, _: &str, _: u64) {}
    fn writing(&self, _: &str, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn waiting_for_lock(&self, _: &str) {}
}

#[tokio::test]
async fn infrahub_conforms_on_its_recordings() {
    let adapter = adapter("infrahub");
    let branch = || BTreeMap::from([("branch".to_owned(), json!("netbox-import"))]);
    let not_checked = [
        "page-breaks",
        "reads-ids",
        "writes-nothing",
        "writes",
        "writes-again",
        "updates",
        "cascades",
        "deletes",
        "unknown-kinds",
        "unknown-fields",
    ];

    let of_source = readings(source_readings(&config("infrahub_to_files"), &adapter.describe().await.unwrap()).unwrap());
    let system = System::Recorded(recorded("infrahub_to_files", "", "infrahub"));
    let report = check(&adapter, &Options { settings: branch(), readings: of_source, system, ..options() }).await;
    assert_conforms(&report, &not_checked);

    let folder = root().join("examples/netbox_to_infrahub/exchanges/again");
    let session = SessionConfig {
        writes: true,
        role: Role::Destination,
        settings: branch(),
        environment: &|_| None,
        variables: Variables::All,
        headers: RequestHeaders::All,
        command_line: BTreeMap::new(),
        project_dir: PathBuf::from("/nowhere"),
        exchanges: Exchanges::Replay(folder),
        limits: Limits::default(),
        extra_origins: Vec::new(),
        networks: Vec::new(),
    };
    let session = adapter.open(session).await.unwrap();
    let of_destination = readings(destination_readings(&config("netbox_to_infrahub"), &session, &Silence).await.unwrap());
    let system = System::Recorded(recorded("netbox_to_infrahub", "again", "infrahub"));
    let report =
        check(&adapter, &Options { settings: branch(), readings: of_destination, system, role: Role::Destination, ..options() }).await;
    assert_conforms(&report, &not_checked);
}

#[tokio::test]
async fn infrahub_conforms_on_a_server_that_keeps_what_is_written() {
    let adapter = adapter("infrahub");
    let fake = Fake::start(infrahub_sync_fake_infrahub::Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let environment = |name: &str| (name == "INFRAHUB_API_TOKEN").then(|| ADMIN_TOKEN.to_owned());
    let request =
        |resource: &str| LoadRequest { resource: resource.into(), fields: vec!["name".into()], page_size: 1000, ..LoadRequest::default() };
    let mut live = Options {
        settings: BTreeMap::from([("url".to_owned(), json!(fake.url()))]),
        environment: &environment,
        readings: vec![Reading::new(request("InfraTag")), Reading::new(request("LocationSite"))],
        writes_live: true,
        ..options()
    };
    for at in 0..60 {
        let query = format!("mutation{{InfraTagCreate(data:{{name:{{value:\"t{at:02}\"}}}}){{ok}}}}");
        let answer = fake.execute("main", &query, serde_json::Map::new());
        assert_eq!(answer["data"]["InfraTagCreate"]["ok"], json!(true), "{answer}");
    }
    record(&adapter, &live, folder.path()).await.unwrap();
    live.system = System::Recorded(read_recording(folder.path(), "infrahub").unwrap());
    // Its two lists are read without ids.
    assert_conforms(&check(&adapter, &live).await, &["reads-ids"]);
    // Nothing is left behind.
    assert_eq!(fake.store().ids("LocationSite", "main").len(), 0);
}

// ------------------------------------------------------------------------------------------------------------------------------ the command

const SHOP: &str = "name: from-shop
source: {name: shop, adapter: ./shop.wasm, settings: {url: URL, defect: DEFECT}}
destination: {name: files, settings: {path: out}}
schema_mapping:
  - name: Thing
    mapping: things
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: size, mapping: size}]
";

fn shop_project(url: &str, defect: &str) -> Project {
    let project = Project::new(&SHOP.replace("URL", url).replace("DEFECT", defect));
    std::fs::write(project.path().join("shop.wasm"), component("nonconforming")).unwrap();
    project
}

/// The shop on loopback.
fn serve() -> Server {
    Server::start(|request| {
        let answer = shop(&Asked { method: "GET".into(), path: request.target.clone(), body: None }).unwrap();
        infrahub_sync_test_server::Answer::ok(answer.body).with_status(answer.status).into()
    })
}

#[test]
fn an_adapter_is_recorded_once_and_checked_offline_from_then_on() {
    let server = serve();
    let project = shop_project(server.url(), "none");
    let check = ["adapter", "check", "shop.wasm", "--config-file", "config.yml"];
    let recorded = project.run(&[&check[..], &["--record", "exchanges", "--complete"]].concat());
    assert_eq!(recorded.code, 0, "{}{}", recorded.stdout, recorded.stderr);
    // The server is out of reach now.
    project.write("config.yml", &SHOP.replace("URL", "http://127.0.0.1:1").replace("DEFECT", "none"));
    let offline = project.run(&[&check[..], &["--replay", "exchanges", "--complete"]].concat());
    assert_eq!((offline.code, &offline.stdout), (0, &recorded.stdout), "{}", offline.stderr);
    assert!(offline.stdout.contains("page-breaks"), "{}", offline.stdout);
    let json = project.run(&[&check[..], &["--replay", "exchanges", "--output", "json"]].concat());
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&report["adapter"], &report["conforms"], &report["complete"]), (&json!("shop"), &json!(true), &json!(true)));
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["result"] == "passed"), "{report}");
}

#[test]
fn a_defect_is_told_with_what_to_do_and_an_exit_code() {
    let server = serve();
    let project = shop_project(server.url(), "garbage-is-empty");
    let check = ["adapter", "check", "shop.wasm", "--config-file", "config.yml", "--record", "exchanges"];
    let output = project.run(&check);
    assert_eq!(output.code, 4, "{}{}", output.stdout, output.stderr);
    insta::assert_snapshot!(output.stderr.lines().last().unwrap(), @"error: `shop` does not keep the contract: 1 check failed");
    let told = output.stdout.lines().skip_while(|line| !line.contains("garbage")).take(3).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            "garbage            FAILED: a malformed response is a failure, never an empty or truncated list",
            "                     found: `things` with request 1 answered by HTTP 200 with a page of HTML: no failure, but 0 records instead of 9",
            "                     to do: check an answer before you hand it over: that it is JSON, and that the list is a list (`count`), also on the \
             last page",
        ]
    );
}

#[test]
fn without_a_project_an_adapter_is_checked_as_far_as_possible() {
    let project = Project::new("");
    let output = project.run(&["adapter", "check", "netbox"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("not checked") && output.stderr.contains("--complete"), "{}{}", output.stdout, output.stderr);
    let complete = project.run(&["adapter", "check", "netbox", "--complete"]);
    assert_eq!(complete.code, 4, "{}{}", complete.stdout, complete.stderr);
    let files = project.run(&["adapter", "check", "files", "--complete"]);
    assert_eq!(files.code, 0, "{}{}", files.stdout, files.stderr);
}
