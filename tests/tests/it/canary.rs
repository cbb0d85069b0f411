//! A canary in the place of the credentials: the whole program runs, at trace level, in every way that it can end, and no part of the
//! canary is found afterwards in what it printed or in any file that it left.
//!
//! The canary is a token, a password, and what a login gives for it. Each has two halves of letters and digits, which no way of escaping
//! changes, with characters between them that all ways do: finding neither half is finding no form.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::network::Network;
use crate::puppet::puppet;
use arrow_schema::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use infrahub_sync_fake_infrahub::{Action, Fault, Moment, Rights, Settings, Verdict};
use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use infrahub_sync_tests::{Output, Project};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

const TOKEN: &str = "kN9xR4w7pQ2m/+\"&<Tz2qL8vBsH5d";
const PASSWORD: &str = "cW6jF3hYuE8g ü'%>Ga1nJ7yXkM4r";
const SESSION: &str = "bD5tZ8sPfV3e/+=;qC9wU6iRaO2l";
/// The session as a cookie can hold it.
const COOKIE: &str = "zA4mK7xNgT2y/+=qB8vE5jLrW3h";

/// What must be nowhere.
fn needles() -> Vec<String> {
    let halves =
        ["kN9xR4w7pQ2m", "Tz2qL8vBsH5d", "cW6jF3hYuE8g", "Ga1nJ7yXkM4r", "bD5tZ8sPfV3e", "qC9wU6iRaO2l", "zA4mK7xNgT2y", "qB8vE5jLrW3h"];
    let whole = [TOKEN, PASSWORD, SESSION, COOKIE];
    assert!(halves.iter().enumerate().all(|(at, half)| whole[at / 2].contains(half)));
    let base64 = whole.iter().map(|text| text.to_string()).chain([format!("joe:{PASSWORD}")]);
    // The last characters of base64 depend on what follows.
    let base64 = base64.map(|text| BASE64.encode(text)[..20].to_owned());
    halves.iter().map(|half| half.to_string()).chain(base64).collect()
}

/// The first needle that is in there.
fn found(bytes: &[u8]) -> Option<String> {
    static NEEDLES: OnceLock<Vec<String>> = OnceLock::new();
    let contains = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    NEEDLES.get_or_init(needles).iter().find(|needle| contains(needle)).cloned()
}

/// Looks through all files below a folder, compressed ones as their rows too; how many there are.
fn search(folder: &Path, except: &[&str]) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if except.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        assert_eq!(found(path.to_string_lossy().as_bytes()), None, "a file's name: {}", path.display());
        if path.is_dir() {
            files += search(&path, except);
            continue;
        }
        files += 1;
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(found(&bytes), None, "in {}", path.display());
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap().build().unwrap();
            for batch in reader.map(Result::unwrap) {
                // A moment is a number, which holds no text; to show it would take a database of time zones.
                for column in batch.columns().iter().filter(|column| !matches!(column.data_type(), DataType::Timestamp(..))) {
                    // In slices of ten: of a longer array `Debug` prints the ends alone.
                    let rows: String =
                        (0..column.len()).step_by(10).map(|at| format!("{:?}", column.slice(at, 10.min(column.len() - at)))).collect();
                    assert_eq!(found(rows.as_bytes()), None, "in {}", path.display());
                }
            }
        }
    }
    files
}

/// Folders that programs write to beside the project's.
struct Outside(tempfile::TempDir);

impl Outside {
    fn new() -> Outside {
        let outside = Outside(tempfile::tempdir().unwrap());
        std::fs::create_dir(outside.0.path().join("tmp")).unwrap();
        outside
    }

    /// Lets a project's programs say all they can and write where it is looked for.
    fn watch(&self, project: &mut Project) {
        project.set("XDG_CACHE_HOME", &self.0.path().join("cache").display().to_string());
        project.set("TMPDIR", &self.0.path().join("tmp").display().to_string());
        project.set("INFRAHUB_SYNC_LOG", "trace");
        project.set("RUST_LOG", "trace");
        project.set("RUST_BACKTRACE", "full");
    }
}

/// Runs a command, and looks at what it says.
fn run(project: &Project, arguments: &[&str]) -> Output {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let mut arguments = arguments.to_vec();
    // Every other one as JSON, which escapes.
    if RUNS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
        arguments.extend(["--log-format", "json"]);
    }
    let output = project.run(&arguments);
    for (name, text) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        assert_eq!(found(text.as_bytes()), None, "{arguments:?} on {name}:\n{text}");
    }
    output
}

/// Starts a server that knows the canary and repeats it wherever it can.
fn server() -> Server {
    Server::start(answer)
}

fn answer(request: &Request) -> Reply {
    let (head, body, path) = (request.head(), request.text(), request.path());
    // What the program knows by now, sent with this request or not.
    let known: &[&str] = if head.contains(SESSION) { &[PASSWORD, SESSION, COOKIE] } else { &[TOKEN] };
    let known = if path.starts_with("/login") { String::new() } else { known.join(" ") };
    let all = format!("{head} {body} {known}");
    // What may stand in a header.
    let line = head.replace("\r\n", " ");
    let echo = json!({"detail": all, "results": [{"id": 1, "note": all}, {"id": 2, "note": format!("x{known}y")}]}).to_string();
    let mut encoded = String::new();
    for c in known.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => encoded.push(c),
            c => c.to_string().bytes().for_each(|byte| encoded.push_str(&format!("%{byte:02X}"))),
        }
    }
    let status = |status: &str, body: &str| {
        let answer = Answer::ok(body).with_reason(status).close();
        answer.header("x-echo", &line).header("set-cookie", &format!("sid={COOKIE}"))
    };
    let answer = match path {
        "/login" if body.contains("locked") => status("403 Forbidden", &format!("{{\"message\": {}}}", json!(all))),
        "/login" if body.contains("elsewhere") => status("302 Found", &all).header("location", &format!("http://127.0.0.1:9/{encoded}")),
        "/login" if body.contains("nothing") => status("200 OK", &json!({"other": SESSION, "message": body}).to_string()),
        "/login/confirm" => status("204 No Content", ""),
        "/login" => status("200 OK", &json!({"tokens": [{"access": SESSION}], "echo": all}).to_string()).header("x-session", SESSION),
        "/echo" => status("200 OK", &echo),
        "/refused" => status("401 Unauthorized", &echo).header("www-authenticate", "Token"),
        "/forbidden" => status(&format!("403 {}", known.replace(PASSWORD, "p")), &all),
        "/broken" => status("500 Oops", &all),
        "/away" => status("302 Found", &all).header("location", &format!("http://127.0.0.1:9/?token={encoded}")),
        "/round" => status("302 Found", &all).header("location", &format!("/round?token={encoded}")),
        "/to-nowhere" => status("302 Found", &all).header("location", &format!("/reset?token={encoded}")),
        "/reset" => return Reply::Reset,
        "/cut" => return status("200 OK", &echo).cut(echo.len() - 10),
        "/half-json" => status("200 OK", &echo[..echo.len() - 10]),
        "/no-json" => status("200 OK", &format!("<html>{all}</html>")).header("content-type", "text/html"),
        "/garbage" => return Reply::raw(format!("{all}\r\n\r\n{all}")),
        "/silence" => return Reply::Silence,
        _ => status("404 Not Found", &all),
    };
    answer.into()
}

fn config(server: &str, order: &str, settings: &str) -> String {
    format!(
        "name: canary\nsource: {{name: puppet, adapter: \"{}\", settings: {{url: \"{server}\", retries: 0, timeout: 0.3, {settings}}}}}\n\
         destination: {{name: files, settings: {{path: out}}}}\n\
         schema_mapping:\n  - name: Thing\n    mapping: {order}\n    identifiers: [id]\n    fields: [{{name: id, mapping: id}}, {{name: note, mapping: note}}]\n",
        puppet().display()
    )
}

const WITH_TOKEN: &str = "token: \"${CANARY_TOKEN}\"";
const WITH_LOGIN: &str = "user: joe, password: \"${CANARY_PASSWORD}\"";

#[test]
fn a_server_that_repeats_everything_and_a_guest_that_tells_everything() {
    let (outside, server) = (Outside::new(), server());
    let mut project = Project::new("");
    outside.watch(&mut project);
    project.set("CANARY_TOKEN", TOKEN);
    project.set("CANARY_PASSWORD", PASSWORD);
    // What the guest is told to do, and whether the run is good in the end.
    let orders = [
        ("get /echo", true),
        ("get /refused", true),
        ("show /refused", false),
        ("show /forbidden", false),
        ("show /broken", false),
        ("get /away", false),
        ("get /round", false),
        ("get /to-nowhere", false),
        ("get /reset", false),
        ("get /cut", false),
        ("get /half-json", false),
        ("get /no-json", false),
        ("get /garbage", false),
        ("get /silence", false),
        ("get /missing", false),
        ("confess /echo", false),
        ("settings", false),
        ("trap", false),
    ];
    for (way, settings) in [("token", WITH_TOKEN), ("login", WITH_LOGIN)] {
        for (at, (order, good)) in orders.into_iter().enumerate() {
            // A folder for each, as a later recording takes the place of an earlier one, which would not be looked at.
            let folder = format!("recorded-{way}-{at}");
            project.write("config.yml", &config(server.url(), order, settings));
            for arguments in
                [&["diff", "--record", &folder][..], &["sync", "--no-diff"], &["diff", "--replay", &folder, "--output", "json"]]
            {
                let output = run(&project, arguments);
                assert_eq!(output.code == 0, good, "{order}, {arguments:?}: {}", output.stderr);
            }
            let sent: String = server.take().iter().map(Request::raw).collect();
            let (credential, ours) =
                if settings == WITH_TOKEN { (TOKEN, "authorization: Token ") } else { (SESSION, "authorization: Bearer ") };
            if order.contains('/') {
                assert!(sent.contains(&format!("{ours}{credential}")), "{order}: the server is asked with the canary");
            }
        }
    }
    // The masked text is there, so something was masked.
    let synced = project.read("out/Thing.jsonl");
    assert!(synced.contains("x*** *** ***y"), "{synced}");
    for way in ["token", "login"] {
        let recorded = project.read(&format!("recorded-{way}-0/puppet.jsonl"));
        assert!(recorded.contains("/echo") && recorded.contains("***"), "{way}: {recorded}");
    }
    assert!(search(project.path(), &[]) > 50, "the project's cache and recordings");
    assert!(search(outside.0.path(), &[]) > 0, "the component store");
}

#[test]
fn a_login_that_fails() {
    let (outside, server) = (Outside::new(), server());
    let mut project = Project::new("");
    outside.watch(&mut project);
    for how in ["locked", "elsewhere", "nothing"] {
        project.set("CANARY_PASSWORD", &format!("{how}{PASSWORD}"));
        project.write("config.yml", &config(server.url(), "get /echo", WITH_LOGIN));
        let output = run(&project, &["sync"]);
        assert_ne!(output.code, 0, "{how}");
        assert!(output.stderr.contains("/login"), "{how}: {}", output.stderr);
        assert_eq!(server.take().len(), 1, "{how}: no request without a login, and no second login");
    }
    search(project.path(), &[]);
    search(outside.0.path(), &[]);
}

#[test]
fn a_configuration_that_is_wrong_around_the_secret() {
    let outside = Outside::new();
    let mut project = Project::new("");
    outside.watch(&mut project);
    project.set("CANARY_LIST", TOKEN);
    let yaml = serde_json::to_string(TOKEN).unwrap();
    let settings = [
        format!("token: [{yaml}]"),
        format!("token: {{a: {yaml}}}"),
        format!("tokn: {yaml}"),
        format!("token: {yaml}, token: {yaml}"),
        format!("token: {yaml}, wish: [1"),
        format!("token: {yaml}, verify_ssl: maybe"),
        format!("token: {yaml}, wish: refuse"),
        format!("token: \"{}\"", "${CANARY_LIST} ${CANARY_MISSING}"),
        format!("token: \"{}\"", "${CANARY_LIST}\\n"),
        format!("token: &anchor {yaml}, password: *other"),
        format!("token: !tag {yaml}"),
        format!("token: {yaml} trailing"),
        format!("\n\ttoken: {yaml}"),
    ];
    for settings in settings {
        project.write("config.yml", &config("http://127.0.0.1:9", "get /echo", &settings));
        for command in ["validate", "diff", "sync"] {
            let output = run(&project, &[command]);
            assert!(command == "validate" || output.code != 0, "{settings}: {}", output.stderr);
        }
    }
    // As a block, where the secret has a line of its own.
    let head = format!("name: canary\nsource:\n  name: puppet\n  adapter: \"{}\"\n  settings:\n", puppet().display());
    for block in [
        format!("    token: |\n      {TOKEN}\n     x: y\n"),
        format!("    token:\n      {yaml}\n   x\n"),
        format!("    token:\n      {yaml}: {yaml}\n"),
        format!("    token: >-\n{TOKEN}\n"),
        format!("    token: \"\n      {}\n", TOKEN.replace('"', "\\\"")),
        format!("    token: '{TOKEN}\n"),
        format!("    token: \n    - {yaml}\n   - {yaml}\n"),
    ] {
        project.write("config.yml", &format!("{head}{block}"));
        for command in ["validate", "diff"] {
            assert_ne!(run(&project, &[command]).code, 0, "{block}");
        }
    }
    search(project.path(), &["config.yml"]);
    search(outside.0.path(), &[]);
}

/// The fake Infrahub, as a destination that is written to with the canary.
fn network(outside: &Outside, settings: Settings) -> Network {
    let tokens = vec![(TOKEN.to_owned(), Rights::Admin)];
    let mut network = Network::with_tokens(settings, "", tokens);
    outside.watch(&mut network.project);
    network.project.set("INFRAHUB_API_TOKEN", TOKEN);
    network
}

#[test]
fn runs_that_are_recorded_replayed_refused_cut_and_killed() {
    let outside = Outside::new();
    let lab = network(&outside, Settings::default());
    assert_eq!(run(&lab.project, &["diff", "--record", "recorded", "--run-id", "r1"]).code, 0);
    assert_eq!(run(&lab.project, &["diff", "--replay", "recorded"]).code, 0);
    let echo = format!("{{\"errors\": [{{\"message\": {}, \"extensions\": {{\"code\": 401}}}}]}}", json!(TOKEN));
    let faults = [
        Action::Status { status: 401, body: echo.clone() },
        Action::Status { status: 403, body: TOKEN.into() },
        Action::Status { status: 200, body: echo },
        Action::Status { status: 500, body: TOKEN.into() },
        Action::Truncate { bytes: 20 },
        Action::ResetBefore,
        Action::Alias { name: String::new(), message: format!("no {TOKEN}"), code: "UNDEFINED_ERROR".into(), http_status: 422 },
    ];
    for action in faults {
        for document in ["query", "mutation"] {
            lab.fake.faults().add(Fault::new(action.clone()).on_document(document).times(50));
            let output = run(&lab.project, &["sync", "--no-diff"]);
            lab.fake.faults().clear();
            assert!(!output.stderr.is_empty());
        }
    }
    let refused = network(&outside, Settings { deny_write_kinds: vec!["*".into()], ..Settings::default() });
    assert_ne!(run(&refused.project, &["sync"]).code, 0);
    // Killed in the middle of writing, then gone on with.
    let killed = network(&outside, Settings::default());
    assert_eq!(run(&killed.project, &["diff", "--run-id", "k", "--record", "recorded"]).code, 0);
    let child = Arc::new(Mutex::new(None::<std::process::Child>));
    let (victim, seen) = (child.clone(), AtomicUsize::new(0));
    killed.fake.faults().hook(Some(Arc::new(move |moment, document| {
        if moment == Moment::Handled && document.contains("mutation") && seen.fetch_add(1, Ordering::SeqCst) == 2 {
            let _ = victim.lock().unwrap().as_mut().unwrap().kill();
        }
        Verdict::GoOn
    })));
    let arguments = ["apply", "--run-id", "k"];
    let mut place = child.lock().unwrap();
    *place =
        Some(killed.project.command(&arguments).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap());
    let mut stderr = place.as_mut().unwrap().stderr.take().unwrap();
    drop(place);
    let mut told = Vec::new();
    stderr.read_to_end(&mut told).unwrap();
    assert_eq!(child.lock().unwrap().as_mut().unwrap().wait().unwrap().code(), None, "it was killed");
    killed.fake.faults().hook(None);
    assert_eq!(found(&told), None, "{}", String::from_utf8_lossy(&told));
    assert_eq!(run(&killed.project, &["apply", "--run-id", "k"]).code, 0);
    let shown = run(&killed.project, &["show", "--run-id", "k"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let mut names = BTreeSet::new();
    for lab in [&lab, &refused, &killed] {
        assert!(search(lab.project.path(), &[]) > 10);
        names.extend(lab.project.runs("network"));
    }
    assert!(names.contains("k"));
    assert!(search(outside.0.path(), &[]) > 0);
}

#[test]
fn what_is_there_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x"), "nothing").unwrap();
    assert_eq!(search(folder.path(), &[]), 1);
    for text in [TOKEN.to_owned(), json!(PASSWORD).to_string(), BASE64.encode(format!("joe:{PASSWORD}")), format!("a{COOKIE}b")] {
        assert!(found(text.as_bytes()).is_some(), "{text}");
        std::fs::write(folder.path().join("x"), &text).unwrap();
        let path = folder.path().to_owned();
        assert!(std::panic::catch_unwind(move || search(&path, &[])).is_err());
    }
}
