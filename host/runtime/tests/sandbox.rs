//! The sandbox with a guest in it that does as it is told: one test for each promise, limit and denial.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

mod hostile;

use infrahub_sync_runtime::{
    Absence, Adapter, Cascade, ColumnData, Cursor, Error, Exchanges, FailureKind, FaultKind, KindChanges, Layout, Limits, LoadRequest,
    Operation, Outcome, Page, Payload, RequestHeaders, Result, Role, Run, RunResult, Runtime, RuntimeOptions, Session, SessionConfig,
    Target, TargetField, Variables, WriteRequest,
};
use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use serde_json::{Value, json};

/// Builds the guest, once a process; nothing is done when nothing has changed.
fn guest() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let component = scratch.join(format!("puppet-{}.wasm", std::process::id()));
        // This test lies in target/release/deps.
        let test = std::env::current_exe().unwrap();
        let tool = test.parent().and_then(Path::parent).unwrap().join("infrahub-sync-build");
        if !tool.exists() {
            let built = Command::new(env!("CARGO")).current_dir(here).args(["build", "--release", "-p", "infrahub-sync-build"]).status();
            assert!(built.unwrap().success());
        }
        let mut build = Command::new(&tool);
        // Features are the guest's own business, whatever this test was built with.
        build.env("CARGO_TARGET_DIR", scratch.join("guest")).arg("component").arg(here.join("tests/guest")).arg("-o").arg(&component);
        assert!(build.status().unwrap().success(), "the guest is not built");
        let bytes = std::fs::read(&component).unwrap();
        std::fs::remove_file(&component).unwrap();
        bytes
    })
}

/// The guest, compiled once a process.
fn adapter() -> Adapter {
    static ADAPTER: OnceLock<Adapter> = OnceLock::new();
    let load = || {
        let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
        runtime.load_adapter(guest(), "told").unwrap()
    };
    ADAPTER.get_or_init(load).clone()
}

fn config(settings: Value) -> SessionConfig<'static> {
    SessionConfig {
        writes: true,
        role: Role::Destination,
        settings: serde_json::from_value(settings).unwrap(),
        environment: &|_| None,
        variables: Variables::All,
        headers: RequestHeaders::All,
        command_line: BTreeMap::new(),
        project_dir: PathBuf::from("/nowhere"),
        exchanges: Exchanges::Live,
        limits: Limits::default(),
        extra_origins: Vec::new(),
        networks: Vec::new(),
    }
}

async fn session(settings: Value) -> Session {
    adapter().open(config(settings)).await.unwrap()
}

fn order(resource: &str) -> LoadRequest {
    LoadRequest { resource: resource.into(), page_size: 10, ..LoadRequest::default() }
}

fn lines(page: Result<Page>) -> String {
    match page.unwrap().payload {
        Payload::JsonLines(text) => text,
        other => panic!("{other:?}"),
    }
}

fn write(kind: &str, count: u32) -> WriteRequest {
    WriteRequest {
        target: Target { kind: kind.into(), ..Target::default() },
        operation: Operation::Create,
        rows: "{}\n".repeat(count as usize),
        count,
    }
}

/// A target with a field that is a reference.
fn target(kind: &str) -> Target {
    let site = TargetField { name: "site".into(), path: Some("site.id".into()), peers: vec!["Site".into()], many: true, identifier: true };
    Target { kind: kind.into(), resource: Some("things".into()), fields: vec![site] }
}

/// Starts a server that serves until this process ends, and returns its address.
fn serve(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> String {
    let server = Server::start(reply);
    let address = server.url().to_owned();
    std::mem::forget(server);
    address
}

/// Starts a server that answers each path with the same JSON.
fn server() -> String {
    serve(|request| match request.path() {
        "/binary" => Answer::ok([0xff]).into(),
        _ => Answer::ok(r#"{"next": "/x", "results": [{"id": 1}, {"id": 2}]}"#).into(),
    })
}

#[tokio::test]
async fn the_manifest_is_told_before_anything_is_opened() {
    let manifest = adapter().describe().await.unwrap();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("puppet", "1.2.3"));
    assert_eq!(manifest.address_setting.as_deref(), Some("url"));
    assert!(manifest.setting("token").unwrap().secret);
    assert_eq!(manifest.write_concurrency, 3);
}

#[tokio::test]
async fn settings_reach_the_guest_without_secrets() {
    let session = session(json!({"token": "hunter2-hunter2", "wish": "w", "verify_ssl": true})).await;
    assert_eq!(lines(session.load(order("settings")).await), r#"{"wish":"w"}"#);
    assert_eq!(session.name().to_string(), "destination `puppet` 1.2.3");
    assert!(session.manifest().schema);
}

#[tokio::test]
async fn a_refused_setting_is_a_fault_of_the_configuration() {
    let error = adapter().open(config(json!({"wish": "refuse"}))).await.unwrap_err();
    assert_eq!(error.to_string(), "destination `puppet` 1.2.3: `wish` must not be refuse");
    assert_eq!(error.fault_kind(), FaultKind::Config);
    let error = adapter().open(config(json!({"wich": 1}))).await.unwrap_err();
    assert_eq!(error.to_string(), "settings of destination `puppet` 1.2.3: `wich` is unknown, did you mean `wish`?");
}

#[tokio::test]
async fn requests_and_pages_arrive_whole() {
    let session = session(json!({})).await;
    let request = LoadRequest {
        fields: vec!["a.b".into()],
        targets: vec![target("Device")],
        ids: vec!["7".into()],
        since: Some("then".into()),
        ..order("echo")
    };
    let page = session.load(request.clone()).await.unwrap();
    assert_eq!(
        (page.next.clone(), page.watermark.as_deref(), page.deleted.clone().unwrap_or_default().as_slice()),
        (Some(Cursor(b"next".to_vec())), Some("today"), &["7".to_owned()][..])
    );
    assert_eq!(lines(Ok(page)), r#"["a.b"] ["7"] Device things site site.id Site true true 10 None Some("then")"#);
    let page = session.load(LoadRequest { cursor: Some(Cursor(b"next".to_vec())), ..request }).await.unwrap();
    assert_eq!(page.next, None);
    assert_eq!(page.partial.map(|reason| reason.len()), Some((4 << 10) + '…'.len_utf8()));
    assert_eq!(lines(session.load(order("bom")).await), "{}\n");

    let Payload::Columns(columns) = session.load(order("columns")).await.unwrap().payload else { panic!("no columns") };
    let column = columns.columns().first().unwrap();
    let ColumnData::Texts(texts) = &column.data else { panic!("no texts") };
    assert_eq!((columns.rows(), texts.get(0), texts.get(1)), (2, Some("é"), Some("a")));

    let kinds = session.kinds(&[target("Site"), target("None")]).await.unwrap();
    assert_eq!(
        kinds.iter().map(|kind| (kind.name.as_str(), kind.can_create, kind.can_update, kind.can_delete)).collect::<Vec<_>>(),
        [("Site", true, false, true)]
    );
    let field = &kinds[0].fields[0];
    assert_eq!((field.references.join(" ").as_str(), field.default.as_deref()), ("Site Rack", Some("\"x\"")));
    assert_eq!(
        (&kinds[0].stands_for[..], &kinds[0].unique_together[..]),
        (&["Generic".to_owned()][..], &[vec!["site".to_owned(), "name".to_owned()]][..])
    );
    assert_eq!(kinds[0].cascades, [Cascade { kind: "Port".into(), field: Some("device".into()) }]);
    assert_eq!(session.kinds(&[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_failure_of_the_adapter_keeps_its_case_and_masks_secrets() {
    let session = session(json!({"token": "hunter2-hunter2"})).await;
    let error = session.load(order("fail hunter2-hunter2")).await.unwrap_err();
    assert_eq!(error.to_string(), "destination `puppet` 1.2.3: no: *** (HTTP 403)");
    assert_eq!((error.fault_kind(), error.failure().unwrap().kind), (FaultKind::Auth, FailureKind::Auth));
}

#[tokio::test]
async fn after_a_trap_the_session_goes_on_with_another_instance() {
    let session = session(json!({})).await;
    assert_eq!(lines(session.load(order("calls")).await), "1");
    assert_eq!(lines(session.load(order("calls")).await), "2");
    let error = session.load(order("trap")).await.unwrap_err();
    assert_eq!(error.to_string(), "destination `puppet` 1.2.3 stopped in `load`: puppet broke");
    assert!(matches!(&error, Error::Trap { output, .. } if output.contains("panicked at")), "{error:?}");
    assert_eq!(error.fault_kind(), FaultKind::Adapter);
    assert_eq!(lines(session.load(order("calls")).await), "1");
}

#[tokio::test]
async fn writing_tells_one_outcome_a_row() {
    let session = session(json!({})).await;
    let outcomes = session.write(write("all", 4)).await.unwrap();
    assert_eq!(outcomes[..3], [Outcome::Written(Some("1".into())), Outcome::Staged, Outcome::Unchanged(None)]);
    assert!(matches!(&outcomes[3], Outcome::Failed(failure) if failure.kind == FailureKind::Conflict && failure.http_status == Some(409)));
    session.commit(&["Device".into()]).await.unwrap();
    assert_eq!(session.commit(&[]).await.unwrap_err().fault_kind(), FaultKind::Remote);
}

#[tokio::test]
async fn absent_objects_and_cascades_are_answered_by_id() {
    let session = session(json!({})).await;
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let absences = session.absent(&target("Device"), &ids(&["gone", "here", "x"])).await.unwrap();
    assert_eq!(absences, [Absence::Deleted, Absence::Present, Absence::Unknown]);
    let error = session.absent(&target("lies"), &ids(&["gone"])).await.unwrap_err();
    assert_eq!(error.to_string(), "destination `puppet` 1.2.3 broke the contract in `absent`: it returned 2 answers for 1 ids");
    let dependents = session.cascade(&target("Device"), &ids(&["1"])).await.unwrap();
    assert_eq!((dependents[0].kind.as_str(), dependents[0].count, dependents[0].ids.len()), ("Port", 2, 1));
    let error = session.cascade(&target("lies"), &ids(&["1"])).await.unwrap_err();
    let told = "destination `puppet` 1.2.3 broke the contract in `cascade`: it returned 1 ids for 0 dependents of the kind `Port`";
    assert_eq!(error.to_string(), told);
}

fn run(sync: &str) -> Run {
    let changes = vec![KindChanges { target: target("Device"), creates: 1, updates: 2, deletes: 3 }];
    Run { id: "r1".into(), sync: sync.into(), source: "netbox".into(), changes }
}

#[tokio::test]
async fn a_run_begins_and_ends_with_words_for_the_user() {
    let session = session(json!({"token": "hunter2-hunter2"})).await;
    assert_eq!(
        session.begin(&run("hunter2-hunter2")).await.unwrap().unwrap(),
        "begin: r1 *** netbox: Device things site site.id Site true true 1 2 3"
    );
    assert_eq!(session.begin(&run("refuse")).await.unwrap_err().fault_kind(), FaultKind::Auth);
    let result = RunResult { created: 1, updated: 2, deleted: 3, unchanged: 4, failed: 5, skipped: 6 };
    assert_eq!(
        session.finish_run(&run("hunter2-hunter2"), result).await.unwrap().unwrap(),
        "finish: *** RunResult { created: 1, updated: 2, deleted: 3, unchanged: 4, failed: 5, skipped: 6 }"
    );
    assert_eq!(session.finish_run(&run("silence"), result).await.unwrap(), None);
}

#[tokio::test]
async fn memos_outlive_instances_and_lasting_ones_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("memos");
    let adapter = || {
        let runtime = Runtime::new(RuntimeOptions { memo_store: Some(store.clone()), ..RuntimeOptions::default() }).unwrap();
        runtime.load_adapter(guest(), "told").unwrap()
    };
    let session = adapter().open(config(json!({"url": server()}))).await.unwrap();
    let tell = async |session: &Session, order_text: &str| lines(session.load(order(order_text)).await);
    assert_eq!(tell(&session, "remember run").await, "None [49]");
    assert_eq!(tell(&session, "remember run").await, "Some([49]) [49]");
    assert_eq!(tell(&session, "remember lasting").await, "None [51]");
    assert!(matches!(session.load(order("trap")).await, Err(Error::Trap { .. })));
    // Another instance, which counts from 1 again.
    assert_eq!(tell(&session, "remember run").await, "Some([49]) [49]");
    assert_eq!(tell(&session, "remember lasting").await, "Some([51]) [50]");
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 1);

    // Another address is another system; a later run with the same one is not.
    let elsewhere = adapter().open(config(json!({"url": "http://127.0.0.1:9"}))).await.unwrap();
    assert_eq!(tell(&elsewhere, "recall lasting").await, "None");
    drop(session);
    let address = json!({"url": "http://127.0.0.1:9/"});
    elsewhere.load(order("remember lasting")).await.unwrap();
    let later = adapter().open(config(address.clone())).await.unwrap();
    assert_eq!((tell(&later, "recall lasting").await, tell(&later, "recall run").await), ("Some([49])".into(), "None".into()));

    // What is recorded and replayed depends on nothing that lies about.
    let recordings = folder.path().join("recordings");
    for exchanges in [Exchanges::Record(recordings.clone()), Exchanges::Replay(recordings.clone())] {
        let session = adapter().open(SessionConfig { exchanges, ..config(address.clone()) }).await.unwrap();
        assert_eq!(tell(&session, "remember lasting").await, "None [49]");
        assert_eq!(tell(&session, "recall lasting").await, "Some([49])");
        session.finish().unwrap();
    }
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 2);
}

#[tokio::test]
async fn responses_stay_with_the_host() {
    let session = session(json!({"url": server()})).await;
    let Payload::Document { body, layout, pointer, projection } = session.load(order("get /api")).await.unwrap().payload else {
        panic!("no document")
    };
    assert_eq!(
        (&*body, layout, pointer.as_str(), projection.len()),
        (r#"{"next": "/x", "results": [{"id": 1}, {"id": 2}]}"#, Layout::Json, "/results", 0)
    );
    assert_eq!(lines(session.load(order("part /api")).await), r#"[Some("\"/x\""), None] Some(2) 200 49"#);
    let error = session.load(order("get /binary")).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.fault_kind()),
        ("destination `puppet` 1.2.3: the records are not UTF-8 text (HTTP 200)", FaultKind::Remote)
    );
}

#[tokio::test]
async fn a_response_is_of_no_use_in_a_later_call() {
    let session = session(json!({"url": server()})).await;
    session.load(order("keep /api")).await.unwrap();
    let error = session.load(order("ask-kept")).await.unwrap_err();
    assert_eq!(error.to_string(), "destination `puppet` 1.2.3 broke the contract in `load`: it used a response of an earlier call");
    // One that is dropped late does no harm.
    session.load(order("keep /api")).await.unwrap();
    session.load(order("get /api")).await.unwrap();
}

#[tokio::test]
async fn an_adapter_without_an_address_asks_nobody() {
    let offline = adapter().open(config(json!({}))).await.unwrap();
    assert!(offline.load(order("get /")).await.unwrap_err().to_string().contains("no address was granted"));
}

/// Starts a server with a login that repeats to everyone how it let them in.
fn server_with_login() -> String {
    serve(|request| {
        let echo = format!("{} {}", request.header("authorization"), request.header("cookie"));
        match (request.path(), request.text().as_str()) {
            ("/login", r#"{"name": "joe", "password": "hunter2-hunter2"}"#) => {
                Answer::ok(r#"{"tokens": [{"access": "access-token-0001"}]}"#)
                    .header("X-Session", "session-0002")
                    .header("Set-Cookie", "sid=cookie-of-0003; Path=/")
                    .into()
            }
            ("/login", body) => Answer::ok(format!("wrong: {body}")).with_status(401).into(),
            ("/login/confirm", "id=session-0002") => Answer::ok("welcome").into(),
            (_, body) => {
                let known = echo == "Bearer access-token-0001 sid=cookie-of-0003; a=b";
                Answer::ok(format!("{known} {echo} {body}")).header("X-Echo", &echo).into()
            }
        }
    })
}

#[tokio::test]
async fn a_login_is_the_hosts_and_the_guest_sees_nothing_of_it() {
    let told = |password: &str| config(json!({"url": server_with_login(), "user": "joe", "password": password}));
    let session = adapter().open(told("hunter2-hunter2")).await.unwrap();
    let seen = lines(session.load(order("show /api")).await);
    assert_eq!(seen, r#"200 [Some("Bearer *** sid=***; a=b"), None] true Bearer *** sid=***; a=b "#);
    let session = adapter().open(told("wrong-password")).await.unwrap();
    let error = session.load(order("show /api")).await.unwrap_err();
    assert_eq!(error.fault_kind(), FaultKind::Auth);
    let text = error.to_string();
    assert!(text.starts_with("destination `puppet` 1.2.3: the login at POST http://127.0.0.1:"), "{text}");
    let end = r#"/login was rejected: HTTP status 401: wrong: {"name": "joe", "password": "***"}; check `password` and `user`"#;
    assert!(text.ends_with(end), "{text}");
}

#[tokio::test]
async fn files_lie_in_the_folder_that_the_project_names() {
    let project = tempfile::tempdir().unwrap();
    let mut config = config(json!({"path": "data"}));
    config.project_dir = project.path().to_owned();
    let session = adapter().open(config).await.unwrap();
    assert!(!project.path().join("data").exists());
    // A destination writes from its announcement of a run, or its first commit, on.
    session.load(order("append new.jsonl")).await.unwrap_err();
    session.commit(&["x".to_owned()]).await.unwrap();
    assert_eq!(lines(session.load(order("append new.jsonl")).await), "final.jsonl");
    let Payload::Document { body, layout, .. } = session.load(order("read final.jsonl")).await.unwrap().payload else {
        panic!("no document")
    };
    assert_eq!((&*body, layout), ("{}\n", Layout::JsonLines));
    assert!(matches!(session.load(order("read ../outside")).await, Err(Error::Denied { .. })));
    std::fs::write(project.path().join("outside"), "").unwrap();
    assert!(matches!(session.load(order("append ../outside")).await, Err(Error::Denied { .. })));
}

#[tokio::test]
async fn a_source_does_not_write_and_must_have_its_folder() {
    let project = tempfile::tempdir().unwrap();
    let source = |path: &str| SessionConfig { role: Role::Source, project_dir: project.path().to_owned(), ..config(json!({"path": path})) };
    let error = adapter().open(source("missing")).await.unwrap_err();
    assert!(error.to_string().contains("`path` names the folder") && error.to_string().contains("does not exist"), "{error}");
    let session = adapter().open(source(".")).await.unwrap();
    let error = session.load(order("append x")).await.unwrap_err();
    assert!(
        error.to_string().contains("source `puppet` 1.2.3 was denied") && error.to_string().contains("only reads the folder"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_overlap_and_instances_are_used_again() {
    let session = session(json!({"url": server()})).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.load(order("get /api")).await.map(drop) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn two_sessions_record_into_one_file_and_replay_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let adapter = adapter();
    let live = || SessionConfig {
        exchanges: Exchanges::Record(folder.path().into()),
        ..config(json!({"url": server(), "token": "hunter2-hunter2"}))
    };
    let one = adapter.open(live()).await.unwrap();
    let two = adapter.open(live()).await.unwrap();
    one.load(order("get /one")).await.unwrap();
    two.load(order("get /two")).await.unwrap();
    one.finish().unwrap();
    two.load(order("get /three")).await.unwrap();
    two.finish().unwrap();
    let recorded = std::fs::read_to_string(folder.path().join("puppet.jsonl")).unwrap();
    assert_eq!(recorded.lines().count(), 3);
    assert!(!recorded.contains("hunter2") && !recorded.contains("127.0.0.1"), "{recorded}");

    let replay = adapter.open(SessionConfig { exchanges: Exchanges::Replay(folder.path().into()), ..config(json!({})) }).await.unwrap();
    for path in ["/one", "/two", "/three"] {
        replay.load(order(&format!("get {path}"))).await.unwrap();
    }
    let error = replay.load(order("get /four")).await.unwrap_err();
    assert!(error.to_string().contains("GET /four is not among the recorded exchanges of"), "{error}");
}

#[tokio::test]
async fn a_compiled_adapter_is_loaded_from_the_store() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let runtime =
            Runtime::new(RuntimeOptions { component_store: Some(folder.path().join("compiled")), ..RuntimeOptions::default() }).unwrap();
        runtime.load_adapter(guest(), "told").unwrap().describe().await.unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path().join("compiled")).unwrap().count(), 1);
}
