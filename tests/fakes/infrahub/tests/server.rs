//! The server as a client meets it on the wire: connections, REST, rights, faults.

#![allow(clippy::unwrap_used, reason = "in a test, unwrapping is asserting")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use infrahub_sync_fake_infrahub::{
    ADMIN_TOKEN, Action, BRANCH_ONLY_TOKEN, EXPIRED_TOKEN, Fake, Fault, Options, Outside, READ_ONLY_TOKEN, Settings,
};
use serde_json::{Value, json};

fn fake() -> Fake {
    Fake::start(Options::default()).unwrap()
}

/// A client on one connection.
struct Client {
    stream: BufReader<TcpStream>,
    token: Option<&'static str>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Client {
    fn new(fake: &Fake) -> Client {
        let stream = TcpStream::connect(fake.url().trim_start_matches("http://")).unwrap();
        Client { stream: BufReader::new(stream), token: Some(ADMIN_TOKEN) }
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
        if let Some(token) = self.token {
            head.push_str(&format!("accept-encoding: gzip\r\nX-INFRAHUB-KEY: {token}\r\n"));
        }
        self.stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())?;
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
                None => break,
            }
        }
        let length = headers.iter().find(|(n, _)| n == "content-length").unwrap().1.parse().unwrap();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, headers, body })
    }

    fn ask(&mut self, query: &str) -> std::io::Result<Answer> {
        self.send("POST", "/graphql/main", &json!({ "query": query }).to_string())
    }

    fn closed(&mut self) -> bool {
        self.stream.read(&mut [0]).unwrap_or(0) == 0
    }
}

const TAG: &str = "mutation{InfraTagCreate(data:{name:{value:\"t\"}}){ok}}";

#[test]
fn a_connection_is_kept_and_the_log_names_it() {
    let fake = fake();
    let mut client = Client::new(&fake);
    for _ in 0..3 {
        assert_eq!(client.ask("query Count{InfraTag{count}}").unwrap().status, 200);
    }
    assert_eq!(Client::new(&fake).ask(TAG).unwrap().json()["data"]["InfraTagCreate"]["ok"], true);
    let requests = fake.requests();
    assert_eq!(requests.iter().map(|r| r.connection).collect::<Vec<_>>(), [1, 1, 1, 2]);
    assert_eq!(fake.connections(), 2);
    assert_eq!((requests[0].known_document, requests[1].known_document), (false, true));
    assert_eq!(
        (requests[0].operation_name.as_deref(), requests[0].root_fields.as_slice()),
        (Some("Count"), ["InfraTag".to_owned()].as_slice())
    );
    assert_eq!((requests[3].operation, requests[3].status, requests[3].header("x-infrahub-key")), ("mutation", 200, Some(ADMIN_TOKEN)));
}

#[test]
fn rest_answers_as_the_real_one() {
    let fake = fake();
    let mut client = Client::new(&fake);
    let schema = client.send("GET", "/api/schema?branch=main", "").unwrap();
    assert_eq!(schema.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(schema.body.as_slice()).read_to_string(&mut text).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    assert!(all["nodes"].as_array().unwrap().len() > 50);
    let part = client.send("GET", "/api/schema?branch=main&namespaces=Infra&namespaces=Location", "").unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(part.body.as_slice()).read_to_string(&mut text).unwrap();
    let part: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((part["nodes"].as_array().unwrap().len(), &part["main"]), (4, &all["main"]));
    assert_eq!(client.send("GET", "/api/schema?branch=nope", "").unwrap().status, 400);
    assert_eq!(client.send("GET", "/api/schema/Nope", "").unwrap().status, 422);
    assert_eq!(client.send("GET", "/api/info", "").unwrap().json()["version"], "1.11.9");
    let unknown = client.send("POST", "/graphql/nope", "{\"query\":\"{InfraTag{count}}\"}").unwrap();
    assert_eq!((unknown.status, unknown.json()), (404, json!({ "errors": ["Branch: nope not found."] })));
    let batch = client.send("POST", "/graphql", "[]").unwrap();
    assert_eq!((batch.status, batch.json()), (400, json!({ "errors": ["This server does not support batching"] })));
    let login = client.send("POST", "/api/auth/login", "{\"username\":\"admin\",\"password\":\"infrahub\"}").unwrap().json();
    assert!(login["access_token"].is_string() && login["refresh_token"].is_string());
}

#[test]
fn rights_are_those_of_the_token() {
    let fake = fake();
    fake.execute("main", "mutation{BranchCreate(data:{name:\"work\"}){ok}}", Default::default());
    let mut client = Client::new(&fake);
    let mut status = |token: Option<&'static str>, path: &str, query: &str| {
        client.token = token;
        let answer = client.send("POST", path, &json!({ "query": query }).to_string()).unwrap();
        let code = answer.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or("").to_owned();
        (answer.status, code)
    };
    let (read, fine) = ("{InfraTag{count}}", (200, String::new()));
    assert_eq!(status(None, "/graphql", read), fine);
    assert_eq!(status(None, "/graphql", TAG), (401, "AUTHENTICATION_REQUIRED".into()));
    assert_eq!(status(Some("nope"), "/graphql", read), (401, "AUTHENTICATION_REQUIRED".into()));
    assert_eq!(status(Some(EXPIRED_TOKEN), "/graphql", read), (401, "TOKEN_EXPIRED".into()));
    assert_eq!(status(Some(READ_ONLY_TOKEN), "/graphql", read), fine);
    assert_eq!(status(Some(READ_ONLY_TOKEN), "/graphql", TAG), (403, "PERMISSION_DENIED".into()));
    assert_eq!(status(Some(BRANCH_ONLY_TOKEN), "/graphql", TAG), (403, "PERMISSION_DENIED".into()));
    assert_eq!(status(Some(BRANCH_ONLY_TOKEN), "/graphql/work", TAG), fine);
    fake.faults().set(Settings { deny_write_kinds: vec!["InfraTag".into()], ..Settings::default() });
    assert_eq!(status(Some(ADMIN_TOKEN), "/graphql", TAG), (403, "PERMISSION_DENIED".into()));
}

#[test]
fn a_crash_closes_the_socket_without_a_word() {
    let fake = fake();
    let mut client = Client::new(&fake);
    let answer = client.ask("{InfraTag{").unwrap();
    assert_eq!((answer.status, answer.body.as_slice(), answer.header("connection")), (500, b"Internal Server Error".as_slice(), None));
    assert!(client.closed());
}

#[test]
fn shedding_says_that_the_handler_never_ran() {
    let fake = fake();
    let mut client = Client::new(&fake);
    fake.faults().add(Fault::new(Action::Shed).on_document("InfraTagCreate").times(2));
    for _ in 0..2 {
        let answer = client.ask(TAG).unwrap();
        assert_eq!((answer.status, answer.header("retry-after"), answer.header("x-infrahub-admission")), (429, Some("1"), Some("shed")));
    }
    assert_eq!(fake.store().count("InfraTag", "main"), 0);
    assert_eq!(client.ask(TAG).unwrap().status, 200);
    fake.faults().add(Fault::new(Action::TooMany).after(1));
    assert_eq!(client.ask("{InfraTag{count}}").unwrap().status, 200);
    let answer = client.ask("{InfraTag{count}}").unwrap();
    assert_eq!((answer.status, answer.header("x-infrahub-admission")), (429, None));
    assert_eq!(fake.faults().pending(), 0);
}

#[test]
fn resets_lose_the_request_or_the_answer() {
    let fake = fake();
    fake.faults().add(Fault::new(Action::ResetBefore));
    assert!(Client::new(&fake).ask(TAG).is_err());
    assert_eq!(fake.store().count("InfraTag", "main"), 0);
    fake.faults().add(Fault::new(Action::ResetAfter));
    let error = Client::new(&fake).ask(TAG).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(fake.store().count("InfraTag", "main"), 1, "it was written");
}

#[test]
fn bodies_are_cut_and_slowed() {
    let fake = fake();
    fake.faults().add(Fault::new(Action::Truncate { bytes: 5 }).on_path("/api/info"));
    assert!(Client::new(&fake).send("GET", "/api/info", "").is_err());
    fake.faults().add(Fault::new(Action::SlowBody { bytes: 20, pause_ms: 10 }));
    let start = Instant::now();
    assert_eq!(Client::new(&fake).send("GET", "/api/info", "").unwrap().status, 200);
    assert!(start.elapsed() > Duration::from_millis(30));
}

#[test]
fn one_alias_fails_on_command() {
    let fake = fake();
    let action = Action::Alias { name: "m1".into(), message: "no".into(), code: "UNDEFINED_ERROR".into(), http_status: 500 };
    fake.faults().add(Fault::new(action));
    let query = "mutation{m0:InfraTagCreate(data:{name:{value:\"a\"}}){ok} m1:InfraTagCreate(data:{name:{value:\"b\"}}){ok}}";
    let answer = Client::new(&fake).ask(query).unwrap().json();
    assert_eq!(
        (&answer["data"]["m0"]["ok"], &answer["data"]["m1"], &answer["errors"][0]["path"]),
        (&json!(true), &json!(null), &json!(["m1"]))
    );
}

#[test]
fn others_write_between_two_pages_and_a_moment_pins_them() {
    let fake = fake();
    for i in 0..4 {
        fake.execute("main", &format!("mutation{{InfraTagCreate(data:{{name:{{value:\"t{i}\"}}}}){{ok}}}}"), Default::default());
    }
    let mut client = Client::new(&fake);
    let page = |client: &mut Client, offset: usize, at: &str| -> Vec<String> {
        let query = format!("{{InfraTag(offset:{offset},limit:2){{edges{{node{{id name{{value}}}}}}}}}}");
        let answer = client.send("POST", &format!("/graphql/main{at}"), &json!({ "query": query }).to_string()).unwrap().json();
        let edges = answer["data"]["InfraTag"]["edges"].as_array().unwrap().clone();
        edges.iter().map(|e| e["node"]["name"]["value"].as_str().unwrap().to_owned()).collect()
    };
    let now = client.ask("{InfraTag(name__value:\"t3\"){edges{node_metadata{updated_at}}}}").unwrap().json();
    let now = now["data"]["InfraTag"]["edges"][0]["node_metadata"]["updated_at"].as_str().unwrap().replace('+', "%2B");
    let delete = Outside::new("mutation{InfraTagDelete(data:{hfid:[\"t0\"]}){ok}}");
    fake.faults().add(Fault::new(Action::RunBefore(delete)).on_document("offset:2"));
    let pinned = format!("?at={now}");
    let mut all = page(&mut client, 0, &pinned);
    all.extend(page(&mut client, 2, &pinned));
    assert_eq!(all, ["t0", "t1", "t2", "t3"]);
    let mut unpinned = page(&mut client, 0, "");
    unpinned.extend(page(&mut client, 2, ""));
    assert_eq!(unpinned, ["t1", "t2", "t3"]);
}

#[test]
fn the_schema_changes_in_the_middle_of_a_run() {
    let fake = fake();
    let mut client = Client::new(&fake);
    let summary = |client: &mut Client| -> Value {
        let answer = client.send("GET", "/api/schema/summary", "").unwrap();
        serde_json::from_reader(flate2::read::GzDecoder::new(answer.body.as_slice())).unwrap()
    };
    let before = summary(&mut client);
    fake.faults().add(Fault::new(Action::ChangeSchema { kinds: vec!["InfraTag".into()] }).on_document("InfraTagCreate"));
    assert_eq!(client.ask(TAG).unwrap().status, 200);
    let after = summary(&mut client);
    assert_ne!(before["main"], after["main"]);
    assert_ne!(before["nodes"]["InfraTag"], after["nodes"]["InfraTag"]);
    assert_eq!(before["nodes"]["InfraDevice"], after["nodes"]["InfraDevice"]);
}

#[test]
fn faults_are_programmed_over_http_too() {
    let fake = fake();
    let mut client = Client::new(&fake);
    let program = json!({
        "settings": { "clock_skew_ms": 86_400_000 },
        "faults": [{ "document": "InfraTag", "times": 1, "action": { "do": "status", "status": 503, "body": "down" } }]
    });
    assert_eq!(client.send("POST", "/_fake/faults", &program.to_string()).unwrap().status, 200);
    assert_eq!(client.ask("{InfraTag{count}}").unwrap().status, 503);
    assert_eq!(client.send("POST", "/_fake/faults", "{\"nope\":1}").unwrap().status, 400);
    client.ask(TAG).unwrap();
    let answer = client.ask("{InfraTag{edges{node_metadata{created_at}}}}").unwrap().json();
    let created: String = answer["data"]["InfraTag"]["edges"][0]["node_metadata"]["created_at"].as_str().unwrap().to_owned();
    let host_now = jiff::Timestamp::now().to_string();
    assert!(created[..10] > host_now[..10], "{created} is a day ahead of {host_now}");
}

#[test]
fn clients_are_served_at_the_same_time() {
    let fake = fake();
    fake.faults().add(Fault::new(Action::Delay { delay_ms: 300 }).times(4));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(Client::new(&fake).ask("{InfraTag{count}}").unwrap().status, 200));
        }
    });
    assert!(start.elapsed() < Duration::from_millis(900));
}

#[test]
fn requests_of_clients_that_are_gone_are_executed_and_waited_for() {
    let fake = fake();
    fake.faults().add(Fault::new(Action::Delay { delay_ms: 300 }));
    let body = json!({ "query": TAG }).to_string();
    let head = format!(
        "POST /graphql/main HTTP/1.1\r\ncontent-type: application/json\r\nX-INFRAHUB-KEY: {ADMIN_TOKEN}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Client::new(&fake).stream.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
    fake.wait_until_idle().unwrap();
    assert_eq!(fake.requests().len(), 1);
    assert_eq!((fake.requests().len(), fake.store().count("InfraTag", "main")), (1, 1));
    fake.clear_requests();
    fake.wait_until_idle().unwrap();
    assert!(fake.requests().is_empty());
}

#[test]
fn ten_thousand_objects_are_written_and_listed_in_seconds() {
    let fake = fake();
    fake.execute("main", "mutation{LocationSiteCreate(data:{name:{value:\"s\"}}){ok}}", Default::default());
    let mut client = Client::new(&fake);
    let variables: Vec<String> = (0..100).map(|i| format!("$d{i}:InfraDeviceCreateInput!")).collect();
    let aliases: Vec<String> = (0..100).map(|i| format!("m{i}:InfraDeviceCreate(data:$d{i}){{ok object{{id}}}}")).collect();
    let query = format!("mutation({}){{{}}}", variables.join(","), aliases.join(" "));
    let start = Instant::now();
    for batch in 0..100 {
        let data: serde_json::Map<String, Value> = (0..100)
            .map(|i| {
                let data = json!({ "name": { "value": format!("d{:05}", batch * 100 + i) }, "site": { "hfid": ["s"] }, "height": { "value": i }, "primary_ip": { "value": format!("10.0.{batch}.{i}/24") } });
                (format!("d{i}"), data)
            })
            .collect();
        let answer = client.send("POST", "/graphql", &json!({ "query": query, "variables": data }).to_string()).unwrap().json();
        assert!(answer["errors"].is_null(), "{answer}");
    }
    let written = start.elapsed();
    let start = Instant::now();
    let mut count = 0;
    for page in 0..10 {
        let list = format!(
            "{{InfraDevice(offset:{},limit:1000){{count edges{{node{{id hfid name{{value}} status{{value}} height{{value}} primary_ip{{value}} site{{node{{id}}}}}}}}}}}}",
            page * 1000
        );
        count += client.ask(&list).unwrap().json()["data"]["InfraDevice"]["edges"].as_array().unwrap().len();
    }
    assert_eq!(count, 10_000);
    // Wide of what it takes on an idle machine, 0.5 s and 0.3 s: this only finds what has become quadratic.
    assert!(written < Duration::from_secs(30) && start.elapsed() < Duration::from_secs(15), "{written:?} {:?}", start.elapsed());
}
