//! `http` against a loopback server that answers as it is told. Nobody sleeps: the waits are written down.

use super::*;
use crate::error::FaultKind;
use crate::exchange::{Exchanges, Recorder};
use crate::manifest::{Addressing, HeaderTemplate, SettingType};
use crate::settings::tests::{manifest, name, setting};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server does with a request.
enum Reply {
    /// Status line and headers, then the body; the length is added.
    Answer(&'static str, Vec<u8>),
    /// Closes the connection without a word.
    Reset,
    /// Promises more than it sends.
    CutOff,
    /// Says nothing until the client goes.
    Silence,
}

fn answer(head: &'static str, body: &str) -> Reply {
    Reply::Answer(head, body.as_bytes().to_vec())
}

fn ok(body: &str) -> Reply {
    answer("200 OK", body)
}

/// A server on loopback and all that it was asked.
struct Server {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers request number `n` (from 0) with `reply(n, text of the request)`.
    async fn start(reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (asked, reply) = (seen.clone(), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (asked, reply) = (asked.clone(), reply.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    loop {
                        let mut chunk = [0; 4096];
                        match stream.read(&mut chunk).await {
                            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
                            _ => return,
                        }
                        let text = String::from_utf8_lossy(&bytes);
                        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                        let length =
                            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
                        if body.len() >= length {
                            break;
                        }
                    }
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let number = {
                        let mut asked = asked.lock().unwrap();
                        asked.push(text.clone());
                        asked.len() - 1
                    };
                    let sent = match reply(number, &text) {
                        Reply::Answer(head, body) => {
                            [format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes(), body]
                                .concat()
                        }
                        Reply::CutOff => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_vec(),
                        Reply::Reset => Vec::new(),
                        Reply::Silence => {
                            let _ = stream.read(&mut [0; 1]).await;
                            Vec::new()
                        }
                    };
                    let _ = stream.write_all(&sent).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Server { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.seen().len()
    }
}

/// A client for an address, as a session would make it.
struct Setup {
    manifest: Manifest,
    settings: BTreeMap<String, serde_json::Value>,
    environment: BTreeMap<&'static str, String>,
    extra_origins: Vec<String>,
    limits: Limits,
    exchange: Exchange,
}

const TOKEN: &str = "0123456789abcdef";

impl Setup {
    fn new(address: &str) -> Setup {
        Setup {
            manifest: manifest(),
            settings: BTreeMap::from([("url".into(), address.into()), ("token".into(), TOKEN.into())]),
            environment: BTreeMap::new(),
            extra_origins: Vec::new(),
            limits: Limits::default(),
            exchange: Exchange::Live,
        }
    }

    fn set(mut self, name: &str, value: serde_json::Value) -> Setup {
        self.settings.insert(name.into(), value);
        self
    }

    fn build(self) -> Result<(Http, Waits), String> {
        let environment = |variable: &str| self.environment.get(variable).cloned();
        let replay = matches!(self.exchange, Exchange::Replay(_));
        let resolved = crate::settings::resolve(&self.manifest, &name(), &self.settings, &environment, replay).unwrap();
        let mut http = Http::new(HttpConfig {
            adapter: name(),
            manifest: &self.manifest,
            resolved: &resolved,
            address: resolved.address.as_deref().unwrap(),
            extra_origins: &self.extra_origins,
            environment: &environment,
            limits: &self.limits,
            exchange: self.exchange,
            scrubber: Scrubber::new(resolved.secrets.values().cloned()),
        })?;
        let waits = Waits::default();
        let written = waits.clone();
        http.pace = Pace {
            sleep: Box::new(move |wait| {
                written.0.lock().unwrap_or_else(PoisonError::into_inner).push(wait.as_millis());
                Box::pin(std::future::ready(()))
            }),
            now: Box::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)),
            draw: Box::new(|| 1.0),
        };
        Ok((http, waits))
    }
}

/// The waits between attempts, in ms.
#[derive(Clone, Default)]
struct Waits(Arc<Mutex<Vec<u128>>>);

impl Waits {
    fn told(&self) -> Vec<u128> {
        self.0.lock().unwrap().clone()
    }
}

fn get(url: &str) -> wit::Request {
    wit::Request {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: None,
        timeout_ms: None,
        idempotent: false,
        unprocessed: None,
    }
}

fn post(url: &str, body: &str) -> wit::Request {
    wit::Request { method: "post".into(), body: Some(body.into()), ..get(url) }
}

fn with_header(name: &str, value: &str) -> wit::Request {
    wit::Request { headers: vec![wit::Header { name: name.into(), value: value.into() }], ..get("/") }
}

fn text(response: &HostResponse) -> &str {
    response.body.as_text().unwrap()
}

#[tokio::test]
async fn a_page_comes_with_status_headers_and_credentials() {
    let server = Server::start(|_, _| answer("201 Created\r\nX-Page: 7\r\nSet-Cookie: a=b", "{}")).await;
    let (http, waits) = Setup::new(&format!("{}/netbox/", server.address)).build().unwrap();
    let mut request = post("/api/x/?limit=1#top", "hello");
    request.headers.push(wit::Header { name: "accept".into(), value: "application/json".into() });
    let response = http.send(request).await.unwrap();
    assert_eq!((response.status, response.header("x-PAGE"), text(&response)), (201, Some("7"), "{}"));
    assert_eq!(response.header("set-cookie"), None);
    let seen = server.seen().pop().unwrap();
    assert!(seen.starts_with("POST /netbox/api/x/?limit=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("authorization: Token {TOKEN}\r\n")) && seen.contains("accept: application/json\r\n"), "{seen}");
    assert!(seen.contains("user-agent: infrahub-sync/") && seen.ends_with("hello"), "{seen}");
    assert!(waits.told().is_empty());
}

#[tokio::test]
async fn failures_of_idempotent_requests_are_repeated_with_growing_waits() {
    let server = Server::start(|number, _| match number {
        0 => answer("502 Bad Gateway", ""),
        1 => answer("503 Service Unavailable", ""),
        2 => Reply::Reset,
        3 => Reply::CutOff,
        _ => ok("done"),
    })
    .await;
    let (http, waits) = Setup::new(&server.address).build().unwrap();
    assert_eq!(text(&http.send(get("/")).await.unwrap()), "done");
    assert_eq!(waits.told(), [500, 1000, 2000, 4000]);
}

#[tokio::test]
async fn the_last_answer_is_handed_over_when_repeating_does_not_help() {
    let server = Server::start(|_, _| answer("500 Oops", "sorry")).await;
    let (http, waits) = Setup::new(&server.address).set("retries", json!(2)).build().unwrap();
    let response = http.send(get("/")).await.unwrap();
    assert_eq!((response.status, text(&response), server.count()), (500, "sorry", 3));
    assert_eq!(waits.told(), [500, 1000]);
}

#[tokio::test]
async fn a_post_is_repeated_only_when_nothing_can_have_happened() {
    let server = Server::start(|_, text| match text.contains("/reset") {
        true => Reply::Reset,
        false if text.contains("/busy") => answer("429 Too Many Requests", ""),
        false => answer("503 Service Unavailable", ""),
    })
    .await;
    let (http, _) = Setup::new(&server.address).set("retries", json!(1)).build().unwrap();
    assert_eq!(http.send(post("/", "x")).await.unwrap().status, 503);
    assert_eq!(server.count(), 1);
    assert!(matches!(http.send(post("/reset", "x")).await, Err(HttpError::Transport(_))));
    assert_eq!(server.count(), 2);
    assert_eq!(http.send(post("/busy", "x")).await.unwrap().status, 429);
    assert_eq!(server.count(), 4);
    let reads = wit::Request { idempotent: true, ..post("/", "x") };
    assert_eq!(http.send(reads).await.unwrap().status, 503);
    assert_eq!(server.count(), 6);
    // 500 says less than 503 about what was done: only GET is repeated.
    assert!(
        http.wait_after(
            &http.check(wit::Request { idempotent: true, ..post("/", "") }).unwrap(),
            &HostResponse { status: 500, headers: Vec::new(), body: Body::new(Vec::new()) },
            1
        )
        .is_none()
    );
}

#[tokio::test]
async fn a_post_is_repeated_when_the_answer_proves_that_nothing_was_done() {
    let server = Server::start(|_, text| {
        let path = text.split(' ').nth(1).unwrap();
        match path {
            "/429" => answer("429 Too Many Requests", ""),
            "/429-shed" => answer("429 Too Many Requests\r\nX-SHED:  overload ", ""),
            "/429-other" => answer("429 Too Many Requests\r\nX-Shed: Overload", ""),
            "/503" => answer("503 Service Unavailable", ""),
            "/503-shed" => answer("503 Service Unavailable\r\nX-Shed: other\r\nX-Shed: overload\r\nRetry-After: 3", ""),
            "/502-shed" => answer("502 Bad Gateway\r\nX-Shed: overload", ""),
            "/200-shed" => answer("200 OK\r\nX-Shed: overload", ""),
            other => panic!("{other}"),
        }
    })
    .await;
    let proof = wit::Header { name: "x-Shed".into(), value: " overload".into() };
    let idempotent = |request: wit::Request| wit::Request { idempotent: true, ..request };
    let proved = |request: wit::Request| wit::Request { unprocessed: Some(proof.clone()), ..request };
    for (path, plain, named) in [
        ("/429", true, false),
        ("/429-shed", true, true),
        ("/429-other", true, false),
        ("/503", false, false),
        ("/503-shed", false, true),
        ("/502-shed", false, false),
        ("/200-shed", false, false),
    ] {
        let reads = path != "/200-shed";
        for (request, repeated) in [
            (post(path, ""), plain),
            (proved(post(path, "")), named),
            (idempotent(post(path, "")), reads),
            (proved(idempotent(post(path, ""))), reads),
            (proved(get(path)), reads),
        ] {
            let (http, waits) = Setup::new(&server.address).set("retries", json!(1)).build().unwrap();
            let what = format!("{} {path}, idempotent: {}, {:?}", request.method, request.idempotent, request.unprocessed);
            http.send(request).await.unwrap();
            let wait = if path == "/503-shed" { 3000 } else { 500 };
            assert_eq!(waits.told(), if repeated { vec![wait] } else { vec![] }, "{what}");
        }
    }
    let (http, _) = Setup::new(&server.address).build().unwrap();
    let bad = wit::Header { name: "no name".into(), value: String::new() };
    let error = http.send(wit::Request { unprocessed: Some(bad), ..get("/429") }).await.unwrap_err();
    assert_eq!(error, HttpError::InvalidRequest("`no name` is no header name".into()));
}

#[tokio::test]
async fn a_server_says_how_long_to_wait() {
    let server = Server::start(|number, _| match number {
        0 => answer("429 Busy\r\nRetry-After: 7", ""),
        // 1970-01-12 13:46:40 is the tests' now.
        1 => answer("503 Busy\r\nRetry-After: Mon, 12 Jan 1970 13:46:49 GMT", ""),
        2 => answer("429 Busy\r\nRetry-After: 86400", ""),
        3 => answer("429 Busy\r\nRetry-After: soon", ""),
        _ => ok(""),
    })
    .await;
    let (http, waits) = Setup::new(&server.address).build().unwrap();
    assert_eq!(http.send(get("/")).await.unwrap().status, 200);
    assert_eq!(waits.told(), [7_000, 9_000, 60_000, 4_000]);
}

#[tokio::test]
async fn jitter_is_full_and_waits_are_bounded() {
    let (mut http, _) = Setup::new("http://127.0.0.1:9").build().unwrap();
    assert_eq!(http.backoff(40), Duration::from_secs(30));
    http.pace.draw = Box::new(|| 0.25);
    assert_eq!(http.backoff(2), Duration::from_millis(250));
    http.pace = Pace::real();
    assert!(http.backoff(1) <= Duration::from_millis(500));
}

#[tokio::test]
async fn nobody_there_is_told_without_credentials() {
    // Bound and dropped: nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut setup = Setup::new(&format!("http://{free}")).set("retries", json!(2));
    setup.manifest.credentials = vec![Credential::Query { parameter: "key".into(), setting: "token".into() }];
    let (http, waits) = setup.build().unwrap();
    // Nothing was sent, so a POST is repeated, too.
    let Err(HttpError::Transport(reason)) = http.send(post("/a?b=1", "")).await else { panic!("no transport error") };
    assert_eq!(reason, format!("POST http://{free}/a?b=1: Connection refused (os error 111)"));
    assert_eq!(waits.told(), [500, 1000]);
}

#[tokio::test]
async fn silence_has_an_end() {
    let server = Server::start(|_, _| Reply::Silence).await;
    let (http, _) = Setup::new(&server.address).set("retries", json!(1)).set("timeout", json!(0.05)).build().unwrap();
    let Err(HttpError::Timeout(reason)) = http.send(get("/")).await else { panic!("no timeout") };
    assert_eq!(reason, format!("GET {}/: no answer within 0.05 s", server.address));
    assert_eq!(server.count(), 2);
    let (http, _) = Setup::new(&server.address).set("retries", json!(0)).build().unwrap();
    let Err(HttpError::Timeout(reason)) = http.send(wit::Request { timeout_ms: Some(20), ..get("/") }).await else { panic!("no timeout") };
    assert_eq!(reason, format!("GET {}/: no complete answer within 0.02 s", server.address));
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit() {
    let server = Server::start(|_, text| {
        if text.contains("/chunked") {
            Reply::Answer("200 OK\r\ntransfer-encoding: chunked", b"8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n".to_vec())
        } else {
            ok("0123456789")
        }
    })
    .await;
    let mut setup = Setup::new(&server.address);
    setup.limits.response_bytes_max = 10;
    let (http, waits) = setup.build().unwrap();
    assert_eq!(text(&http.send(get("/")).await.unwrap()), "0123456789");
    let mut setup = Setup::new(&server.address);
    setup.limits.response_bytes_max = 9;
    let (http, _) = setup.build().unwrap();
    assert_eq!(http.send(get("/")).await, Err(HttpError::TooLarge(9)));
    assert_eq!(http.send(get("/chunked")).await, Err(HttpError::TooLarge(9)));
    assert!(waits.told().is_empty());
}

#[tokio::test]
async fn compressed_bodies_are_unpacked_and_the_limit_counts_unpacked_bytes() {
    // `gzip` of a thousand times `a`.
    const GZIP: &[u8] = &[31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 75, 76, 28, 5, 163, 96, 20, 12, 119, 0, 0, 3, 218, 56, 154, 232, 3, 0, 0];
    let server = Server::start(|_, _| Reply::Answer("200 OK\r\ncontent-encoding: gzip", GZIP.to_vec())).await;
    let (http, _) = Setup::new(&server.address).build().unwrap();
    assert_eq!(text(&http.send(get("/")).await.unwrap()), "a".repeat(1000));
    let mut setup = Setup::new(&server.address);
    setup.limits.response_bytes_max = 999;
    assert_eq!(setup.build().unwrap().0.send(get("/")).await, Err(HttpError::TooLarge(999)));
}

#[tokio::test]
async fn other_origins_are_denied_with_the_line_that_would_allow_them() {
    let server = Server::start(|_, _| ok("")).await;
    let (http, _) = Setup::new(&server.address).build().unwrap();
    for url in ["http://127.0.0.1:1/x", "https://evil.example/", "ftp://evil.example/", "http://localhost/"] {
        let Err(HttpError::Denied(reason)) = http.send(get(url)).await else { panic!("{url} is not denied") };
        assert!(reason.contains("is not the configured origin") && reason.contains("set `url: "), "{reason}");
    }
    for url in ["x", "", "http://user@127.0.0.1/", "http://user:pass@evil.example/"] {
        assert!(matches!(http.send(get(url)).await, Err(HttpError::InvalidRequest(_))), "{url}");
    }
    assert_eq!(server.count(), 0);
    // Two slashes begin a path here, not another host.
    http.send(get("//evil.example/x")).await.unwrap();
    assert!(server.seen()[0].starts_with("GET //evil.example/x HTTP/1.1"));
    // An absolute URL of the same origin is what `next` links are.
    http.send(get(&format!("{}/x?page=2", server.address))).await.unwrap();
}

#[tokio::test]
async fn credentials_stay_with_the_configured_address() {
    let other = Server::start(|_, _| ok("")).await;
    let server = Server::start(|_, _| ok("")).await;
    let mut setup = Setup::new(&server.address);
    setup.manifest.credentials.push(Credential::Query { parameter: "api key".into(), setting: "token".into() });
    setup.extra_origins = vec![other.address.clone()];
    let (http, _) = setup.build().unwrap();
    http.send(get("/a?api+key=forged&b=%20")).await.unwrap();
    http.send(get(&format!("{}/a", other.address))).await.unwrap();
    let seen = server.seen().pop().unwrap();
    assert!(seen.starts_with(&format!("GET /a?b=%20&api+key={TOKEN} HTTP/1.1\r\n")) && seen.contains("authorization: Token"), "{seen}");
    let seen = other.seen().pop().unwrap();
    assert!(!seen.contains(TOKEN) && !seen.contains("authorization"), "{seen}");
}

#[tokio::test]
async fn redirects_stay_within_the_origin() {
    let other = Server::start(|_, _| ok("stolen")).await;
    let target = other.address.clone();
    let server = Server::start(move |_, text| {
        let path = text.split(' ').nth(1).unwrap();
        match path {
            "/old" => answer("301 Moved\r\nLocation: /new", ""),
            "/new" => ok("new"),
            "/see" => answer("303 See\r\nLocation: new", ""),
            "/keep" => answer("307 Keep\r\nLocation: /echo", ""),
            "/echo" => ok(if text.starts_with("POST") && text.ends_with("payload") { "kept" } else { "lost" }),
            "/round" => answer("302 Round\r\nLocation: /round", ""),
            "/away" => Reply::Answer(String::leak(format!("302 Away\r\nLocation: {target}/x")), Vec::new()),
            other => panic!("{other}"),
        }
    })
    .await;
    let (http, _) = Setup::new(&server.address).set("retries", json!(0)).build().unwrap();
    assert_eq!(text(&http.send(get("/old")).await.unwrap()), "new");
    assert_eq!(text(&http.send(post("/see", "payload")).await.unwrap()), "new");
    assert_eq!(text(&http.send(post("/keep", "payload")).await.unwrap()), "kept");
    // A POST that would turn into a GET is not followed.
    assert_eq!(http.send(post("/old", "payload")).await.unwrap().status, 301);
    let Err(HttpError::Denied(reason)) = http.send(get("/away")).await else { panic!("not denied") };
    assert!(reason.contains(&format!("redirects to {}", other.address)), "{reason}");
    let Err(HttpError::Transport(reason)) = http.send(get("/round")).await else { panic!("no end") };
    assert!(reason.ends_with("more than 10 redirects"), "{reason}");
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn a_redirect_to_another_allowed_origin_is_refused_too() {
    let other = Server::start(|_, _| ok("")).await;
    let target = other.address.clone();
    let server = Server::start(move |_, _| Reply::Answer(String::leak(format!("302 Away\r\nLocation: {target}/")), Vec::new())).await;
    let mut setup = Setup::new(&server.address);
    setup.extra_origins = vec![other.address.clone()];
    assert!(matches!(setup.build().unwrap().0.send(get("/")).await, Err(HttpError::Denied(_))));
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn headers_of_the_host_are_not_the_adapters() {
    let mut setup = Setup::new("http://127.0.0.1:9");
    setup.manifest.credentials =
        vec![Credential::Header(vec![HeaderTemplate { name: "X-Auth-Token".into(), template: "{token}".into(), prefix: String::new() }])];
    let (http, _) = setup.build().unwrap();
    for name in ["Authorization", "cookie", "HOST", "x-auth-token", "content-length", "Proxy-Authorization"] {
        assert!(matches!(http.send(with_header(name, "x")).await, Err(HttpError::Denied(_))), "{name}");
    }
    for (name, value) in [("a b", "x"), ("x", "a\r\nb: c"), ("", "x")] {
        assert!(matches!(http.send(with_header(name, value)).await, Err(HttpError::InvalidRequest(_))), "{name}");
    }
    for method in ["CONNECT", "TRACE", "G T", ""] {
        assert!(
            matches!(http.send(wit::Request { method: method.into(), ..get("/") }).await, Err(HttpError::InvalidRequest(_))),
            "{method}"
        );
    }
}

#[test]
fn the_template_follows_the_secret() {
    let header = |token: Option<&str>, credentials: Vec<Credential>| {
        let mut setup = Setup::new("http://x.example");
        setup.manifest.credentials = credentials;
        setup.manifest.settings[1].required = false;
        let mut user = setting("username", SettingType::Text);
        user.default = Some("joe".into());
        setup.manifest.settings.push(user);
        match token {
            Some(token) => setup.settings.insert("token".into(), token.into()),
            None => setup.settings.remove("token"),
        };
        setup.build().map(|(http, _)| {
            http.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>().join("; ")
        })
    };
    let netbox = manifest().credentials;
    assert_eq!(header(Some("nbt_abc.def"), netbox.clone()).unwrap(), "authorization: Bearer nbt_abc.def");
    assert_eq!(header(Some("abcdef"), netbox.clone()).unwrap(), "authorization: Token abcdef");
    assert_eq!(header(None, netbox.clone()).unwrap(), "");
    let basic = Credential::Basic { username: "username".into(), password: "token".into() };
    assert_eq!(header(Some("pass"), vec![basic.clone()]).unwrap(), "authorization: Basic am9lOnBhc3M=");
    // Two ways: the first that has its settings.
    assert_eq!(header(Some("pass"), vec![basic, netbox[0].clone()]).unwrap(), "authorization: Basic am9lOnBhc3M=");
    let two = HeaderTemplate { name: "x-auth".into(), template: "{username}/{token}".into(), prefix: String::new() };
    assert_eq!(header(Some("{username}"), vec![Credential::Header(vec![two])]).unwrap(), "x-auth: joe/{username}");
    let error = header(Some("secret\nline"), netbox).unwrap_err();
    assert!(error.contains("`token`") && !error.contains("secret"), "{error}");
}

#[test]
fn bad_addresses_are_told_without_what_may_be_a_password() {
    let error = |address: &str| Setup::new(address).build().err().unwrap();
    assert_eq!(error("netbox.example"), "must be an address that begins with `https://` or `http://`, not netbox.example");
    assert!(error("file:///etc").contains("must be an address"));
    assert!(!error("joe:hunter2@host").contains("hunter2"));
    assert!(error("https://joe:hunter2@host").contains("settings of their own"));
}

#[tokio::test]
async fn a_session_never_asks_more_at_a_time_than_it_may() {
    let now = Arc::new(Mutex::new((0usize, 0usize)));
    let (enter, gate) = (now.clone(), Arc::new(tokio::sync::Barrier::new(2)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (enter, gate) = (enter.clone(), gate.clone());
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                {
                    let mut now = enter.lock().unwrap();
                    now.0 += 1;
                    now.1 = now.1.max(now.0);
                }
                // Two at a time, no less: a third would be seen beside them.
                gate.wait().await;
                enter.lock().unwrap().0 -= 1;
                let _ = stream.write_all(b"HTTP/1.1 204 No\r\nconnection: close\r\n\r\n").await;
            });
        }
    });
    let (http, _) = Setup::new(&address).set("max_concurrency", json!(2)).build().unwrap();
    let http = Arc::new(http);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let http = http.clone();
                async move { http.send(get("/")).await.unwrap().status }
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 204);
    }
    assert_eq!(now.lock().unwrap().1, 2);
}

#[tokio::test]
async fn what_was_recorded_is_replayed_without_network_credentials_and_address() {
    let server = Server::start(|_, text| {
        let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
        let path = text.split(' ').nth(1).unwrap();
        match path.split('?').next().unwrap() {
            "/netbox/api/a" => Reply::Answer(
                "200 OK\r\nContent-Type: application/json\r\nServer: nginx\r\nSet-Cookie: s=1",
                format!("{{\"next\": \"http://{host}/netbox/api/b?x=1\", \"port\": \"http://{host}1\", \"echo\": \"{TOKEN}\"}}")
                    .into_bytes(),
            ),
            "/netbox/api/b" => ok("last"),
            other => panic!("{other}"),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("netbox.jsonl");
    let mut setup = Setup::new(&format!("{}/netbox", server.address));
    setup.manifest.credentials.push(Credential::Query { parameter: "key".into(), setting: "token".into() });
    let recorder = Arc::new(Recorder::create(file.clone()).unwrap());
    setup.exchange = Exchange::Record(recorder.clone());
    let (http, _) = setup.build().unwrap();
    http.send(post("/api/a?limit=1", &format!("{{\"at\": \"{}/netbox\"}}", server.address))).await.unwrap();
    http.send(get(&format!("{}/netbox/api/b?x=1", server.address))).await.unwrap();
    recorder.finish().unwrap();
    let recorded = std::fs::read_to_string(&file).unwrap();
    assert!(!recorded.contains(TOKEN) && !recorded.contains("nginx") && !recorded.to_lowercase().contains("cookie"), "{recorded}");
    assert!(
        recorded.starts_with(r#"{"request":{"method":"POST","path":"/api/a?limit=1","body":"{\"at\": \"http://replay.invalid\"}"}"#),
        "{recorded}"
    );

    let mut setup = Setup::new("http://elsewhere.example/other");
    setup.settings.clear();
    setup.exchange = Exchange::open(&Exchanges::Replay(folder.path().into()), "netbox", |_| unreachable!()).unwrap();
    let (http, _) = setup.build().unwrap();
    let asked = server.count();
    let first = http.send(post("/api/a?limit=1", "{\"at\": \"http://replay.invalid\"}")).await.unwrap();
    assert_eq!(first.header("content-type"), Some("application/json"));
    let next = crate::response::json_at(text(&first), &["/next".into()]).remove(0).unwrap();
    assert_eq!(next, "\"http://replay.invalid/api/b?x=1\"");
    assert_eq!(text(&http.send(get("http://replay.invalid/api/b?x=1")).await.unwrap()), "last");
    let Err(HttpError::Transport(reason)) = http.send(get("/api/c")).await else { panic!("answered") };
    assert_eq!(reason, format!("GET /api/c is not among the recorded exchanges of {}", file.display()));
    assert_eq!(server.count(), asked);
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_asked_unless_it_is_excepted() {
    let proxy = Server::start(|_, text| ok(text.split(' ').nth(1).unwrap())).await;
    let ask = async |variable: &'static str, no_proxy: &str| {
        let mut setup = Setup::new("http://netbox.invalid").set("retries", json!(0));
        setup.environment.insert(variable, proxy.address.trim_start_matches("http://").to_owned());
        setup.environment.insert("NO_PROXY", no_proxy.to_owned());
        setup.build().unwrap().0.send(get("/x")).await
    };
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
        assert_eq!(text(&ask(variable, "").await.unwrap()), "http://netbox.invalid/x", "{variable}");
    }
    assert!(ask("HTTP_PROXY", "netbox.invalid").await.is_err());
    assert!(ask("https_proxy", "").await.is_err());
}

#[test]
fn a_bundle_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.pem");
    std::fs::write(&bundle, "no certificates").unwrap();
    let error = |path: String, verify: bool| {
        let mut setup = Setup::new("https://x.example").set("verify_ssl", json!(verify));
        setup.environment.insert("REQUESTS_CA_BUNDLE", path);
        setup.build().err()
    };
    assert!(error(bundle.display().to_string(), true).unwrap().contains("which has no PEM certificates"));
    assert!(error("/nowhere/ca.pem".into(), true).unwrap().contains("REQUESTS_CA_BUNDLE names /nowhere/ca.pem"));
    assert_eq!(error("/nowhere/ca.pem".into(), false), None);
}

#[test]
fn only_whole_addresses_are_replaced() {
    let replace = |text: &str| replace_address(text, "http://a.example");
    assert_eq!(replace("http://a.example/x http://a.example"), format!("{REPLAY_ADDRESS}/x {REPLAY_ADDRESS}"));
    assert_eq!(replace("\"http://a.example\""), format!("\"{REPLAY_ADDRESS}\""));
    for other in ["http://a.example:8080/", "http://a.example.org", "http://a.examples"] {
        assert_eq!(replace(other), other);
    }
}

#[test]
fn clients_can_be_made_for_every_kind_of_trust() {
    for (address, verify) in [("http://x.example", true), ("https://x.example", false), ("https://x.example", true)] {
        let (http, _) = Setup::new(address).set("verify_ssl", json!(verify)).build().unwrap();
        http.make_client().unwrap();
    }
}

#[test]
fn the_fault_of_a_denial_is_the_configurations() {
    let failure =
        crate::error::Failure { kind: crate::error::FailureKind::Internal, message: String::new(), http_status: None, retry_after: None };
    let error = crate::error::Error::Denied { adapter: name(), reason: "x".into(), failure };
    assert_eq!(error.fault_kind(), FaultKind::Config);
    assert_eq!(manifest().source, Some(Addressing::Mapping));
}
