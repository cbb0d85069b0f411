//! `http` against a loopback server that answers as it is told. Nobody sleeps: the waits are written down.

use super::pace::Pace;
use super::*;
use crate::error::FaultKind;
use crate::exchange::{Exchanges, Recorder};
use crate::manifest::{Addressing, Condition, Credential, CredentialForm, HeaderTemplate, SettingType};
use crate::settings::Variables;
use crate::settings::tests::{manifest, name, setting};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use infrahub_sync_test_server::{Answer, Reply};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Returns the access of a session that writes: what a session that only reads may send is tested beside `reading`.
fn writing() -> Arc<WriteAccess> {
    let access = WriteAccess::new(true);
    access.begin();
    Arc::new(access)
}

/// Returns an answer after which the connection is closed. `head` is the status, and headers in further lines.
fn replied(head: &str, body: impl Into<Vec<u8>>) -> Reply {
    let mut lines = head.split("\r\n");
    let answer = Answer::ok(body).with_reason(lines.next().unwrap_or_default()).close();
    let headers = lines.filter_map(|line| line.split_once(": "));
    headers.fold(answer, |answer, (name, value)| answer.header(name, value)).into()
}

fn answer(head: &str, body: &str) -> Reply {
    replied(head, body)
}

fn ok(body: &str) -> Reply {
    answer("200 OK", body)
}

/// A server on loopback and all requests to it.
struct Server {
    address: String,
    server: infrahub_sync_test_server::Server,
}

impl Server {
    /// Answers request number `n` (from 0) with `reply(n, text of the request)`.
    async fn start(reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Server {
        let server = infrahub_sync_test_server::Server::start(move |request| reply(request.number, &request.raw()));
        Server { address: server.url().to_owned(), server }
    }

    fn seen(&self) -> Vec<String> {
        self.server.seen().iter().map(infrahub_sync_test_server::Request::raw).collect()
    }

    fn count(&self) -> usize {
        self.server.count()
    }
}

/// A client for an address, as a session would make it.
struct Setup {
    manifest: Manifest,
    settings: BTreeMap<String, serde_json::Value>,
    environment: BTreeMap<&'static str, String>,
    extra_origins: Vec<String>,
    networks: Vec<IpNet>,
    limits: Limits,
    exchange: Exchange,
    headers: RequestHeaders,
    clock: Clock,
}

/// The time that has passed, as the test says.
#[derive(Clone, Default)]
struct Clock(Arc<Mutex<Duration>>);

impl Clock {
    fn forward(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

const TOKEN: &str = "0123456789abcdef";

impl Setup {
    fn new(address: &str) -> Setup {
        Setup {
            manifest: manifest(),
            settings: BTreeMap::from([("url".into(), address.into()), ("token".into(), TOKEN.into())]),
            environment: BTreeMap::new(),
            extra_origins: Vec::new(),
            networks: Vec::new(),
            limits: Limits::default(),
            exchange: Exchange::Live,
            headers: RequestHeaders::All,
            clock: Clock::default(),
        }
    }

    fn set(mut self, name: &str, value: serde_json::Value) -> Setup {
        self.settings.insert(name.into(), value);
        self
    }

    fn build(self) -> Result<(Http, Waits), String> {
        let environment = |variable: &str| self.environment.get(variable).cloned();
        let replay = matches!(self.exchange, Exchange::Replay(_));
        let resolved = crate::settings::tests::try_resolve(&self.manifest, &self.settings, &environment, &Variables::All, replay).unwrap();
        let mut http = Http::new(HttpConfig {
            adapter: name(),
            manifest: &self.manifest,
            resolved: &resolved,
            address: resolved.address.as_deref().unwrap(),
            extra_origins: &self.extra_origins,
            networks: &self.networks,
            environment: &environment,
            limits: &self.limits,
            exchange: self.exchange,
            scrubber: Scrubber::new(resolved.secrets.values().cloned()),
            access: writing(),
            usage: Arc::new(Usage::new()),
            headers: &self.headers,
        })?;
        let waits = Waits::default();
        let written = waits.clone();
        let (started, passed) = (Instant::now(), self.clock);
        http.authenticated.retry.pace = Pace {
            sleep: Box::new(move |wait| {
                written.0.lock().unwrap_or_else(PoisonError::into_inner).push(wait.as_millis());
                Box::pin(std::future::ready(()))
            }),
            now: Box::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)),
            instant: Box::new(move || started + *passed.0.lock().unwrap_or_else(PoisonError::into_inner)),
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

fn get(url: &str) -> AdapterRequest {
    AdapterRequest {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: None,
        timeout: None,
        idempotent: false,
        unprocessed: None,
    }
}

fn post(url: &str, body: &str) -> AdapterRequest {
    AdapterRequest { method: "post".into(), body: Some(body.into()), ..get(url) }
}

fn with_header(name: &str, value: &str) -> AdapterRequest {
    AdapterRequest { headers: vec![(name.into(), value.into())], ..get("/") }
}

fn text(response: &HostResponse) -> &str {
    response.body.as_text().unwrap()
}

#[tokio::test]
async fn a_page_comes_with_status_headers_and_credentials() {
    let server = Server::start(|_, _| answer("201 Created\r\nX-Page: 7\r\nSet-Cookie: a=b", "{}")).await;
    let (http, waits) = Setup::new(&format!("{}/netbox/", server.address)).build().unwrap();
    let mut request = post("/api/x/?limit=1#top", "hello");
    request.headers.push(("accept".into(), "application/json".into()));
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
        2 => Reply::Close,
        3 => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"),
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
        true => Reply::Close,
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
    let reads = AdapterRequest { idempotent: true, ..post("/", "x") };
    assert_eq!(http.send(reads).await.unwrap().status, 503);
    assert_eq!(server.count(), 6);
    // 500 says less than 503 about what was done: only GET is repeated.
    assert!(
        http.authenticated
            .retry
            .wait_after(
                &http.check(AdapterRequest { idempotent: true, ..post("/", "") }).unwrap(),
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
    let proof = ("x-Shed".into(), " overload".into());
    let idempotent = |request: AdapterRequest| AdapterRequest { idempotent: true, ..request };
    let proved = |request: AdapterRequest| AdapterRequest { unprocessed: Some(proof.clone()), ..request };
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
    let bad = ("no name".into(), String::new());
    let error = http.send(AdapterRequest { unprocessed: Some(bad), ..get("/429") }).await.unwrap_err();
    assert_eq!(error, HttpError::InvalidRequest("`no name` is not a header name".into()));
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
    assert_eq!(http.authenticated.retry.backoff(40), Duration::from_secs(30));
    http.authenticated.retry.pace.draw = Box::new(|| 0.25);
    assert_eq!(http.authenticated.retry.backoff(2), Duration::from_millis(250));
    http.authenticated.retry.pace = Pace::real();
    assert!(http.authenticated.retry.backoff(1) <= Duration::from_millis(500));
}

#[tokio::test]
async fn nobody_there_is_told_without_credentials() {
    // Bound and dropped: nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut setup = Setup::new(&format!("http://{free}")).set("retries", json!(2));
    setup.manifest.credentials = vec![CredentialForm::Query { parameter: "key".into(), setting: "token".into() }.into()];
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
    let Err(HttpError::Timeout(reason)) = http.send(AdapterRequest { timeout: Some(Duration::from_millis(20)), ..get("/") }).await else {
        panic!("no timeout")
    };
    assert_eq!(reason, format!("GET {}/: no complete answer within 0.02 s", server.address));
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit() {
    let server = Server::start(|_, text| {
        if text.contains("/chunked") {
            replied("200 OK\r\ntransfer-encoding: chunked", b"8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n".to_vec())
        } else {
            ok("0123456789")
        }
    })
    .await;
    let mut setup = Setup::new(&server.address);
    setup.limits.set(Limit::ResponseSize, 10);
    let (http, waits) = setup.build().unwrap();
    assert_eq!(text(&http.send(get("/")).await.unwrap()), "0123456789");
    let mut setup = Setup::new(&server.address);
    setup.limits.set(Limit::ResponseSize, 9);
    let (http, _) = setup.build().unwrap();
    assert_eq!(http.send(get("/")).await, Err(HttpError::TooLarge(9)));
    assert_eq!(http.send(get("/chunked")).await, Err(HttpError::TooLarge(9)));
    assert!(waits.told().is_empty());
}

#[tokio::test]
async fn compressed_bodies_are_unpacked_and_the_limit_counts_unpacked_bytes() {
    // `gzip` of a thousand times `a`.
    const GZIP: &[u8] = &[31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 75, 76, 28, 5, 163, 96, 20, 12, 119, 0, 0, 3, 218, 56, 154, 232, 3, 0, 0];
    let server = Server::start(|_, _| replied("200 OK\r\ncontent-encoding: gzip", GZIP.to_vec())).await;
    let (http, _) = Setup::new(&server.address).build().unwrap();
    assert_eq!(text(&http.send(get("/")).await.unwrap()), "a".repeat(1000));
    let mut setup = Setup::new(&server.address);
    setup.limits.set(Limit::ResponseSize, 999);
    assert_eq!(setup.build().unwrap().0.send(get("/")).await, Err(HttpError::TooLarge(999)));
}

#[tokio::test]
async fn other_origins_are_denied_with_the_line_that_would_allow_them() {
    let server = Server::start(|_, _| ok("")).await;
    let (http, _) = Setup::new(&server.address).build().unwrap();
    let denied = async |url: &str| match http.send(get(url)).await {
        Err(HttpError::Denied(reason)) => reason.replace(&server.address, "ADDRESS"),
        other => panic!("{url}: {other:?}"),
    };
    insta::assert_snapshot!(denied("https://evil.example:8443/x").await, @"https://evil.example:8443 is not the configured origin ADDRESS; to allow it, write under `source:` in config.yml: `grants: {origins: [https://evil.example:8443]}`");
    insta::assert_snapshot!(denied("http://127.0.0.1:1/x").await, @"http://127.0.0.1:1 is not the configured origin ADDRESS; if it should be, set `url: http://127.0.0.1:1`");
    insta::assert_snapshot!(denied("http://localhost/").await, @"http://localhost is not the configured origin ADDRESS; to allow it, write under `source:` in config.yml: `grants: {origins: [http://localhost]}`");
    insta::assert_snapshot!(denied("http://[::1]:80/").await, @r#"http://[::1] is not the configured origin ADDRESS; to allow it, write under `source:` in config.yml: `grants: {origins: ["http://[::1]"]}`"#);
    for (url, scheme) in
        [("ftp://evil.example/", "ftp"), ("file:///etc/passwd", "file"), ("data:text/plain,x", "data"), ("javascript:x", "javascript")]
    {
        assert_eq!(denied(url).await, format!("adapters may use `http:` and `https:`, not `{scheme}:`"));
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
    setup.manifest.credentials.push(CredentialForm::Query { parameter: "api key".into(), setting: "token".into() }.into());
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
            "/away" => replied(&format!("302 Away\r\nLocation: {target}/x"), Vec::new()),
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

/// A server that redirects everything to another address.
async fn redirecting(status: &'static str, target: &str) -> Server {
    let head: &'static str = String::leak(format!("{status}\r\nLocation: {target}/loot"));
    Server::start(move |_, _| answer(head, "")).await
}

#[tokio::test]
async fn a_redirect_leads_from_the_configured_origin_to_a_granted_one_to_read_without_credentials() {
    let other = Server::start(|_, _| ok("there")).await;
    let server = redirecting("307 Away", &other.address).await;
    let granted = |address: &str, granted: &str| {
        let mut setup = Setup::new(address).set("retries", json!(0));
        setup.extra_origins = vec![granted.to_owned()];
        setup.build().unwrap().0
    };
    let http = granted(&server.address, &other.address);
    assert_eq!(text(&http.send(get("/")).await.unwrap()), "there");
    let seen = other.seen().pop().unwrap();
    assert!(seen.starts_with("GET /loot ") && !seen.contains(TOKEN) && !seen.contains("authorization"), "{seen}");
    // What is written stays, and no server but the configured one chooses what is asked.
    let Err(HttpError::Denied(reason)) = http.send(post("/", "payload")).await else { panic!("not denied") };
    assert_eq!(reason, format!("{}/ redirects a POST to {}: only reads may go to another origin", server.address, other.address));
    let back = granted(&other.address, &server.address);
    assert!(matches!(back.send(get(&format!("{}/", server.address))).await, Err(HttpError::Denied(_))));
    assert_eq!(other.count(), 1);
}

#[tokio::test]
async fn a_redirect_to_what_is_no_web_address_is_refused() {
    let server = redirecting("302 Away", "file:///etc").await;
    let (http, _) = Setup::new(&server.address).build().unwrap();
    let Err(HttpError::Denied(reason)) = http.send(get("/")).await else { panic!("not denied") };
    assert_eq!(reason, format!("{}/ redirects to `file:`, which adapters may not use", server.address));
}

/// A client for a name that leads to the address of a server on loopback.
fn named(server: &Server, networks: &[&str]) -> Http {
    let port = server.address.rsplit(':').next().unwrap();
    let mut setup = Setup::new(&format!("http://netbox.example:{port}"));
    setup.networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    let (mut http, _) = setup.build().unwrap();
    Arc::get_mut(&mut http.authenticated.retry.transport.route.resolver).unwrap().look_up =
        Box::new(|_| Box::pin(std::future::ready(Ok(vec![std::net::SocketAddr::from(([127, 0, 0, 1], 0))]))));
    http
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_denied_with_the_line_that_would_allow_it() {
    let server = Server::start(|_, _| ok("here")).await;
    let Err(HttpError::Denied(reason)) = named(&server, &[]).send(get("/")).await else { panic!("not denied") };
    insta::assert_snapshot!(reason, @"`netbox.example` resolves to 127.0.0.1, which is this machine; to allow it, write under `source:` in config.yml: `grants: {networks: [127.0.0.1/32]}`");
    assert_eq!(server.count(), 0);
    assert_eq!(text(&named(&server, &["127.0.0.1/32"]).send(get("/")).await.unwrap()), "here");
}

/// The error of a request that a server answers so.
async fn misanswered(reply: impl Fn() -> Reply + Send + Sync + 'static) -> String {
    let server = Server::start(move |_, _| reply()).await;
    let mut setup = Setup::new(&server.address).set("retries", json!(0)).set("timeout", json!(0.2));
    setup.limits.set(Limit::ResponseSize, 1 << 20);
    let sent = setup.build().unwrap().0.send(get("/")).await;
    format!("{sent:?}").replace(&server.address, "ADDRESS")
}

#[tokio::test]
async fn bodies_without_end_are_read_up_to_the_limit() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const PLAIN: &str = "HTTP/1.1 200 OK\r\n\r\n";
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    assert_eq!(misanswered(move || Reply::Endless(CHUNKED.into(), chunk.clone())).await, "Err(TooLarge(1048576))");
    assert_eq!(misanswered(|| Reply::Endless(PLAIN.into(), vec![b'x'; 0x10000])).await, "Err(TooLarge(1048576))");
}

#[tokio::test]
async fn heads_without_end_are_not_read() {
    const STATUS: &str = "HTTP/1.1 200 OK\r\n";
    insta::assert_snapshot!(misanswered(|| Reply::Endless(STATUS.into(), b"x: y\r\n".repeat(1000))).await, @r#"Err(Transport("GET ADDRESS/: message head is too large"))"#);
    insta::assert_snapshot!(misanswered(|| Reply::Endless(STATUS.into(), vec![b'x'; 0x10000])).await, @r#"Err(Transport("GET ADDRESS/: message head is too large"))"#);
    let many = ["HTTP/1.1 200 OK\r\n", &"x: y\r\n".repeat(101), "content-length: 0\r\n\r\n"].concat();
    insta::assert_snapshot!(misanswered(move || Reply::Raw(many.clone().into_bytes())).await, @r#"Err(Transport("GET ADDRESS/: message head is too large"))"#);
    insta::assert_snapshot!(misanswered(|| Reply::Endless("HTTP/1.1 103 Early Hints\r\n\r\n".into(), b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())).await, @r#"Err(Timeout("GET ADDRESS/: no answer within 0.2 s"))"#);
}

#[tokio::test]
async fn bombs_are_unpacked_up_to_the_limit() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![0; 64 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 100_000);
    let bomb = packed.clone();
    assert_eq!(misanswered(move || replied("200 OK\r\ncontent-encoding: gzip", bomb.clone())).await, "Err(TooLarge(1048576))");
    // Twice packed is unpacked once.
    let mut again = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut again, &packed).unwrap();
    let again = again.finish().unwrap();
    let twice = misanswered(move || replied("200 OK\r\ncontent-encoding: gzip, gzip", again.clone())).await;
    assert!(twice.len() < 2_000_000, "{}", twice.len());
    insta::assert_snapshot!(misanswered(|| answer("200 OK\r\ncontent-encoding: gzip", "no gzip")).await, @r#"Err(Transport("GET ADDRESS/: Invalid gzip header"))"#);
}

#[tokio::test]
async fn wrong_lengths_are_no_answers() {
    let raw = async |text: &'static str| misanswered(move || Reply::Raw(text.into())).await;
    insta::assert_snapshot!(raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab").await, @r#"Err(Transport("GET ADDRESS/: invalid content-length parsed"))"#);
    insta::assert_snapshot!(raw("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nab").await, @r#"Err(Transport("GET ADDRESS/: invalid content-length parsed"))"#);
    insta::assert_snapshot!(raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nab").await, @r#"Err(Transport("GET ADDRESS/: invalid chunk size: overflow"))"#);
    insta::assert_snapshot!(raw("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nab").await, @r#"Err(Transport("GET ADDRESS/: message head is too large"))"#);
    insta::assert_snapshot!(raw("SSH-2.0-OpenSSH_9.2\r\n").await, @r#"Err(Transport("GET ADDRESS/: invalid HTTP version parsed"))"#);
    insta::assert_snapshot!(misanswered(|| Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")).await, @r#"Err(Transport("GET ADDRESS/: end of file before message length reached"))"#);
    // What stands behind the promised length is no part of the answer.
    assert!(raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabcdef").await.contains("Text(\"ab\")"));
}

#[tokio::test]
async fn an_answer_that_drips_has_an_end() {
    // Never silent, never done.
    let server = Server::start(|_, _| Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"x".to_vec())).await;
    let address = server.address.clone();
    let (http, _) = Setup::new(&address).set("retries", json!(0)).set("timeout", json!(0.05)).build().unwrap();
    assert_eq!(http.send(get("/")).await, Err(HttpError::Timeout(format!("GET {address}/: no complete answer within 0.5 s"))));
}

#[tokio::test]
async fn headers_of_the_host_are_not_the_adapters() {
    let mut setup = Setup::new("http://127.0.0.1:9");
    setup.manifest.credentials = vec![
        CredentialForm::Header(vec![HeaderTemplate { name: "X-Auth-Token".into(), template: "{token}".into(), prefix: String::new() }])
            .into(),
    ];
    let (http, _) = setup.build().unwrap();
    for name in ["Authorization", "cookie", "HOST", "x-auth-token", "content-length", "Proxy-Authorization"] {
        assert!(matches!(http.send(with_header(name, "x")).await, Err(HttpError::Denied(_))), "{name}");
    }
    for (name, value) in [("a b", "x"), ("x", "a\r\nb: c"), ("", "x")] {
        assert!(matches!(http.send(with_header(name, value)).await, Err(HttpError::InvalidRequest(_))), "{name}");
    }
    for name in ["Range", "if-range", "X-Forwarded-For", "Forwarded", "Remote-User", "X-Original-URL", "X-HTTP-Method-Override"] {
        assert!(matches!(http.send(with_header(name, "x")).await, Err(HttpError::Denied(_))), "{name}");
    }
    for method in ["CONNECT", "TRACE", "G T", ""] {
        assert!(
            matches!(http.send(AdapterRequest { method: method.into(), ..get("/") }).await, Err(HttpError::InvalidRequest(_))),
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
            http.transport()
                .credentials
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect::<Vec<_>>()
                .join("; ")
        })
    };
    let netbox = manifest().credentials;
    assert_eq!(header(Some("nbt_abc.def"), netbox.clone()).unwrap(), "authorization: Bearer nbt_abc.def");
    assert_eq!(header(Some("abcdef"), netbox.clone()).unwrap(), "authorization: Token abcdef");
    assert_eq!(header(None, netbox.clone()).unwrap(), "");
    let basic = Credential::from(CredentialForm::Basic { username: "username".into(), password: "token".into() });
    assert_eq!(header(Some("pass"), vec![basic.clone()]).unwrap(), "authorization: Basic am9lOnBhc3M=");
    // Two ways: the first that has its settings.
    assert_eq!(header(Some("pass"), vec![basic, netbox[0].clone()]).unwrap(), "authorization: Basic am9lOnBhc3M=");
    let two = HeaderTemplate { name: "x-auth".into(), template: "{username}/{token}".into(), prefix: String::new() };
    assert_eq!(header(Some("{username}"), vec![CredentialForm::Header(vec![two]).into()]).unwrap(), "x-auth: joe/{username}");
    let error = header(Some("secret\nline"), netbox).unwrap_err();
    assert!(error.contains("`token`") && !error.contains("secret"), "{error}");
}

#[test]
fn a_credential_applies_when_its_condition_holds() {
    let headers = |method: Option<&str>| {
        let mut setup = Setup::new("http://x.example");
        let mut auth_method = setting("auth_method", SettingType::Text);
        auth_method.default = Some("token".into());
        setup.manifest.settings.push(auth_method);
        let credential = |method: &str, name: &str| Credential {
            when: Some(Condition { setting: "auth_method".into(), values: vec![method.into(), format!("{method}2")] }),
            form: CredentialForm::Header(vec![HeaderTemplate { name: name.into(), template: "{token}".into(), prefix: String::new() }]),
        };
        setup.manifest.credentials = vec![credential("token", "X-A"), credential("x-auth-token", "X-B")];
        if let Some(method) = method {
            setup.settings.insert("auth_method".into(), method.into());
        }
        let http = setup.build().unwrap().0;
        http.transport().credentials.headers.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!([None, Some("token2"), Some("x-auth-token"), Some("none")].map(headers), ["x-a", "x-a", "x-b", ""]);
}

#[tokio::test]
async fn headers_of_the_project_replace_others_and_stay_at_home() {
    const KEY: &str = "key-0123456789";
    let server = Server::start(|_, text| ok(&text.replace('"', ""))).await;
    let other = Server::start(|_, text| ok(&text.replace('"', ""))).await;
    let folder = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::create(folder.path().join("netbox.jsonl")).unwrap());
    let mut setup = Setup::new(&server.address)
        .set("headers", json!({"Authorization": format!("Bearer {KEY}"), "X-Org": "7", "Accept": "text/plain", "User-Agent": "me"}));
    setup.extra_origins = vec![other.address.clone()];
    setup.exchange = Exchange::Record(recorder.clone());
    let http = setup.build().unwrap().0;
    let mut request = get("/");
    request.headers = vec![("accept".into(), "application/json".into())];
    let response = http.send(request.clone()).await.unwrap();
    let seen = server.seen().pop().unwrap();
    for header in [&format!("authorization: Bearer {KEY}\r\n"), "x-org: 7\r\n", "accept: text/plain\r\n", "user-agent: me\r\n"] {
        assert!(seen.contains(header), "{header}: {seen}");
    }
    assert!(!seen.contains(TOKEN) && !seen.contains("application/json"), "{seen}");
    assert!(text(&response).contains("authorization: ***") && text(&response).contains("x-org: 7"), "{}", text(&response));
    // A server may repeat the key alone.
    assert_eq!(http.scrubber.scrub(format!("no such key: {KEY}")), "no such key: ***");
    http.send(AdapterRequest { url: format!("{}/x", other.address), ..request }).await.unwrap();
    let seen = other.seen().pop().unwrap();
    assert!(seen.contains("accept: application/json\r\n") && !seen.contains(KEY) && !seen.contains("x-org"), "{seen}");
    recorder.finish().unwrap();
    let recorded = std::fs::read_to_string(folder.path().join("netbox.jsonl")).unwrap();
    assert!(!recorded.contains(KEY) && recorded.contains("***"), "{recorded}");
}

#[tokio::test]
async fn a_header_beyond_the_plain_ones_needs_a_grant() {
    let server = Server::start(|_, _| ok("{}")).await;
    let stranger = |granted: &[&str]| Setup {
        headers: RequestHeaders::Plain(granted.iter().map(|name| (*name).to_owned()).collect()),
        ..Setup::new(&server.address)
    };
    let (http, _) = stranger(&["x-other"]).build().unwrap();
    insta::assert_snapshot!(format!("{:?}", http.send(with_header("X-Own", "1")).await.unwrap_err()), @r#"Denied("the header `x-own` is not one that every adapter may set; to allow it, write under `source:` in config.yml: `grants: {headers: [x-other, x-own]}`")"#);
    for name in ["accept", "Content-Type", "if-none-match", "X-OTHER"] {
        assert!(http.send(with_header(name, "1")).await.is_ok(), "{name}");
    }
    let (http, _) = stranger(&["range", "x-own"]).build().unwrap();
    assert!(
        matches!(http.send(with_header("Range", "bytes=0-6")).await, Err(HttpError::Denied(_))),
        "a grant does not help to cut answers"
    );
    assert!(http.send(with_header("x-own", "1")).await.is_ok());
}

#[tokio::test]
async fn the_requests_of_a_login_are_counted() {
    let server = Server::start(|_, _| ok(r#"{"imdata": [{"aaaLogin": {"attributes": {"token": "t0123456789abcdef"}}}]}"#)).await;
    let mut setup = with_login(&server.address, crate::manifest::tests::apic());
    setup.limits.set(Limit::RunRequests, 0);
    let (http, _) = setup.build().unwrap();
    assert_eq!(http.send(get("/x")).await, Err(HttpError::Limit(crate::Exceeded { limit: Limit::RunRequests, value: 0 })));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_login_whose_headers_the_project_gives_is_not_done() {
    let server = apic().await;
    let http = with_login(&server.address, crate::manifest::tests::apic()).set("headers", json!({"cookie": "APIC-cookie=of-the-project"}));
    let http = http.build().unwrap().0;
    assert_eq!(http.send(get("/api/x")).await.unwrap().status, 403);
    assert_eq!(paths(&server), ["GET /api/x"]);
    assert_eq!(http.scrubber.scrub("of-the-project".into()), "***");
}

#[tokio::test]
async fn the_path_of_a_login_has_settings_in_it() {
    let server = Server::start(|_, _| ok(r#"{"imdata": [{"aaaLogin": {"attributes": {"token": "0123456789-token"}}}]}"#)).await;
    for endpoint in ["/v1/äpi?x#y/", "a@evil.example:80"] {
        let setup = with_login(&server.address, crate::manifest::tests::apic()).set("api_endpoint", json!(endpoint));
        setup.build().unwrap().0.send(get("/x")).await.unwrap();
    }
    assert_eq!(
        paths(&server),
        ["POST /v1/%C3%A4pi%3Fx%23y/aaaLogin.json", "GET /x", "POST /a%40evil.example%3A80/aaaLogin.json", "GET /x"]
    );
    for endpoint in ["..", "a/../b", "a//b", "/"] {
        let setup = with_login(&server.address, crate::manifest::tests::apic()).set("api_endpoint", json!(endpoint));
        let error = setup.build().unwrap().0.send(get("/x")).await.unwrap_err();
        assert!(matches!(error, HttpError::InvalidRequest(_)), "{endpoint}: {error:?}");
    }
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_request_has_a_bounded_number_of_headers() {
    let server = Server::start(|_, _| ok("")).await;
    let http = Setup::new(&server.address).build().unwrap().0;
    let with = |count: usize| AdapterRequest { headers: (0..count).map(|at| (format!("x-{at}"), "v".into())).collect(), ..get("/") };
    assert_eq!(http.send(with(64)).await.unwrap().status, 200);
    let error = http.send(with(65)).await.unwrap_err();
    assert_eq!(error, HttpError::InvalidRequest("a request has 65 headers; the limit is 64".into()));
}

#[tokio::test]
async fn what_a_server_repeats_is_masked_before_anybody_sees_it() {
    let server = Server::start(|_, text| {
        let sent = text.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap().to_owned();
        let pair = sent.trim_start_matches("Basic ").trim_end_matches('=').to_owned();
        replied(&format!("200 OK\r\nX-Echo: {sent}\r\nX-Plain: plain\r\nSet-Cookie: sid=0123"), format!("{{\"header\": \"{sent}\", \"pair\": \"{pair}\", \"login\": \"pass \\\"word\\\" 1\", \"url\": \"pass+%22word%22+1\", \"é\": 1}}").into_bytes(),
        )
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::create(folder.path().join("netbox.jsonl")).unwrap());
    for exchange in [Exchange::Live, Exchange::Record(recorder.clone())] {
        let mut setup = Setup::new(&server.address).set("token", json!("pass \"word\" 1"));
        setup.manifest.credentials = vec![CredentialForm::Basic { username: "url".into(), password: "token".into() }.into()];
        setup.exchange = exchange;
        let response = setup.build().unwrap().0.send(get("/")).await.unwrap();
        assert_eq!((response.header("x-echo"), response.header("x-plain")), (Some("Basic ***"), Some("plain")));
        assert_eq!(response.header("set-cookie"), None);
        assert_eq!(text(&response), r#"{"header": "Basic ***", "pair": "***", "login": "***", "url": "***", "é": 1}"#);
    }
    recorder.finish().unwrap();
    let recorded = std::fs::read_to_string(folder.path().join("netbox.jsonl")).unwrap();
    assert!(!recorded.contains("word") && recorded.contains("***"), "{recorded}");
}

/// A manifest with a name, a password and that login, for a server of the test's.
fn with_login(address: &str, login: crate::manifest::Login) -> Setup {
    let mut setup = Setup::new(address).set("username", json!("jöe")).set("password", json!("pass \"word\" & 1"));
    let mut password = setting("password", SettingType::Text);
    password.secret = true;
    let mut endpoint = setting("api_endpoint", SettingType::Text);
    endpoint.default = Some("api".into());
    setup.manifest.settings.extend([setting("username", SettingType::Text), password, endpoint]);
    setup.manifest.settings[1].required = false;
    setup.manifest.credentials.push(CredentialForm::Login(login).into());
    setup.settings.remove("token");
    setup
}

fn login_token(number: usize) -> String {
    format!("token/{number:04}-of-the-server")
}

/// A controller that knows only the last token that it gave, and refuses others with a 403.
async fn apic() -> Server {
    let given = Arc::new(Mutex::new(0));
    Server::start(move |_, request| {
        let mut given = given.lock().unwrap();
        let cookie = request.lines().find_map(|line| line.strip_prefix("cookie: APIC-cookie=")).unwrap_or_default();
        let known = cookie == login_token(*given) && *given > 0;
        let path = request.split(' ').nth(1).unwrap();
        let token = |number| ok(&json!({"imdata": [{"aaaLogin": {"attributes": {"token": login_token(number)}}}]}).to_string());
        match path {
            "/api/aaaLogin.json" => {
                *given += 1;
                token(*given)
            }
            "/api/aaaRefresh.json" if known => {
                *given += 1;
                token(*given)
            }
            "/forget" => {
                *given += 1;
                ok("forgotten")
            }
            "/forbidden" => answer("403 Forbidden", "not for you"),
            _ if known => replied(&format!("200 OK\r\nX-Cookie: {cookie}"), format!("hello {cookie}").into_bytes()),
            _ => answer("403 Forbidden", &format!("token {cookie} was invalid")),
        }
    })
    .await
}

/// The paths that a server was asked, in their order.
fn paths(server: &Server) -> Vec<String> {
    server.seen().iter().map(|request| request.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test]
async fn a_login_is_done_once_for_all_requests_and_its_token_stays_here() {
    let server = apic().await;
    let (http, _) = with_login(&server.address, crate::manifest::tests::apic()).build().unwrap();
    assert_eq!(server.count(), 0);
    let http = Arc::new(http);
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let http = http.clone();
            tokio::spawn(async move { http.send(get("/x")).await.unwrap() })
        })
        .collect();
    for task in tasks {
        let response = task.await.unwrap();
        assert_eq!((response.status, response.header("x-cookie"), text(&response)), (200, Some("***"), "hello ***"));
    }
    assert_eq!(server.count(), 7);
    let login = server.seen().remove(0);
    assert!(login.starts_with("POST /api/aaaLogin.json HTTP/1.1\r\n") && login.contains("content-type: application/json\r\n"), "{login}");
    assert!(login.ends_with(r#"{"aaaUser": {"attributes": {"name": "jöe", "pwd": "pass \"word\" & 1"}}}"#), "{login}");
    // The cookie is the host's.
    assert!(matches!(http.send(with_header("Cookie", "x")).await, Err(HttpError::Denied(_))));
    assert_eq!(http.traffic().requests, 7);
}

#[tokio::test]
async fn a_login_that_expired_is_done_again_and_the_request_repeated_whatever_it_is() {
    let server = apic().await;
    let setup = with_login(&server.address, crate::manifest::tests::apic());
    let clock = setup.clock.clone();
    let (http, waits) = setup.build().unwrap();
    assert_eq!(text(&http.send(get("/a")).await.unwrap()), "hello ***");
    assert_eq!(text(&http.send(get("/forget")).await.unwrap()), "forgotten");
    clock.forward(60);
    let response = http.send(post("/b", "payload")).await.unwrap();
    assert_eq!((response.status, text(&response)), (200, "hello ***"));
    let login = "POST /api/aaaLogin.json";
    assert_eq!(paths(&server), [login, "GET /a", "GET /forget", "POST /b", login, "POST /b"]);
    assert!(server.seen()[5].ends_with("payload"));
    // What is forbidden is so with a fresh login, too: no further one is made for it.
    for _ in 0..3 {
        let response = http.send(get("/forbidden")).await.unwrap();
        assert_eq!((response.status, text(&response)), (403, "not for you"));
    }
    assert_eq!(paths(&server)[6..], ["GET /forbidden"; 3]);
    clock.forward(60);
    assert_eq!(http.send(get("/forbidden")).await.unwrap().status, 403);
    assert_eq!(paths(&server)[9..], ["GET /forbidden", login, "GET /forbidden"]);
    assert!(waits.told().is_empty());
}

#[tokio::test]
async fn a_login_is_renewed_in_time_by_a_refresh_or_else_anew() {
    let server = apic().await;
    let setup = with_login(&server.address, crate::manifest::tests::apic());
    let clock = setup.clock.clone();
    let (http, _) = setup.build().unwrap();
    http.send(get("/a")).await.unwrap();
    clock.forward(539);
    http.send(get("/b")).await.unwrap();
    clock.forward(1);
    http.send(get("/c")).await.unwrap();
    // The server forgets, so the refresh is refused.
    http.send(get("/forget")).await.unwrap();
    clock.forward(540);
    assert_eq!(text(&http.send(get("/d")).await.unwrap()), "hello ***");
    let (login, refresh) = ("POST /api/aaaLogin.json", "GET /api/aaaRefresh.json");
    assert_eq!(paths(&server), [login, "GET /a", "GET /b", refresh, "GET /c", "GET /forget", refresh, login, "GET /d"]);
    let cookie = |number: usize| format!("cookie: APIC-cookie={}\r\n", login_token(number));
    assert!(server.seen()[3].contains(&cookie(1)) && server.seen()[4].contains(&cookie(2)));
}

#[tokio::test]
async fn a_form_with_a_session_cookie_is_a_login_too() {
    use crate::manifest::{Login, LoginBody, LoginPlace, LoginStep};
    let server = Server::start(|_, request| {
        let session = request.contains("cookie: sessionid=s/1; csrftoken=c2\r\n") && request.contains("x-csrftoken: c2\r\n");
        match request.split(' ').nth(1).unwrap() {
            "/login/" if request.starts_with("GET") => answer("200 OK\r\nSet-Cookie: csrftoken=c1; Path=/", "<html>"),
            "/login/" => {
                answer("302 Found\r\nLocation: /\r\nSet-Cookie: csrftoken=c2; Path=/\r\nSet-Cookie: sessionid = s/1 ;HttpOnly", "")
            }
            "/stray" => answer("200 OK\r\nSet-Cookie: sessionid=other", ""),
            _ if session => ok("in"),
            _ => answer("401 Unauthorized", ""),
        }
    })
    .await;
    let cookie = |name: &str, cookie: &str| (name.to_owned(), LoginPlace::Cookie(cookie.to_owned()));
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    let login = Login {
        steps: vec![
            LoginStep {
                method: "GET".into(),
                path: "/login/".into(),
                headers: Vec::new(),
                body: None,
                values: vec![cookie("form", "csrftoken")],
            },
            LoginStep {
                method: "POST".into(),
                path: "/login/".into(),
                headers: pairs(&[("Cookie", "csrftoken={form}")]),
                body: Some(LoginBody::Form(pairs(&[("user", "{username}"), ("pass", "{password}"), ("csrf", "{form}")]))),
                values: vec![cookie("session", "sessionid"), cookie("csrf", "csrftoken")],
            },
        ],
        headers: pairs(&[("Cookie", "sessionid={session}; csrftoken={csrf}"), ("X-CSRFToken", "{csrf}")]),
        renew_after: None,
        expired: vec![401],
        refresh: Vec::new(),
    };
    let (http, _) = with_login(&server.address, login).build().unwrap();
    assert_eq!(text(&http.send(get("/x")).await.unwrap()), "in");
    let seen = server.seen();
    assert!(seen[1].contains("cookie: csrftoken=c1\r\n") && seen[1].contains("content-type: application/x-www-form-urlencoded\r\n"));
    assert!(seen[1].ends_with("user=j%C3%B6e&pass=pass+%22word%22+%26+1&csrf=c1"), "{}", seen[1]);
    // Cookies of other answers change nothing.
    http.send(get("/stray")).await.unwrap();
    assert_eq!(text(&http.send(get("/x")).await.unwrap()), "in");
}

#[tokio::test]
async fn a_refused_login_is_told_with_the_servers_words_and_not_tried_again() {
    let server = Server::start(|_, request| {
        let body = request.rsplit("\r\n").next().unwrap();
        answer("401 Unauthorized", &json!({"message": format!("wrong:\n{body} {}", "x".repeat(400))}).to_string())
    })
    .await;
    let (http, _) = with_login(&server.address, crate::manifest::tests::apic()).build().unwrap();
    for _ in 0..3 {
        let Err(HttpError::Login { failure, for_guest: told }) = http.send(get("/x")).await else { panic!("not refused") };
        let at = format!("the login at POST {}/api/aaaLogin.json was rejected: HTTP status 401", server.address);
        assert_eq!(told, at);
        assert_eq!((failure.kind, failure.http_status), (crate::error::FailureKind::Auth, Some(401)));
        assert!(failure.message.starts_with(&format!("{at}: wrong: {{\"aaaUser\"")), "{}", failure.message);
        assert!(failure.message.ends_with("…; check `password` and `username`"), "{}", failure.message);
        assert!(!failure.message.contains("& 1"), "{}", failure.message);
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_login_without_a_token_shows_nothing_of_its_answer() {
    let server = Server::start(|_, _| ok(r#"{"token": "in-another-place-1234"}"#)).await;
    let (http, _) = with_login(&server.address, crate::manifest::tests::apic()).build().unwrap();
    let Err(HttpError::Login { failure, .. }) = http.send(get("/x")).await else { panic!("not refused") };
    assert_eq!(
        failure.message,
        format!(
            "the login at POST {}/api/aaaLogin.json returned no JSON at `/imdata/0/aaaLogin/attributes/token`: HTTP status 200; check `password` and `username`",
            server.address
        )
    );
}

/// All forms of a token are masked in every answer, and a header has to hold it.
#[tokio::test]
async fn a_token_of_a_megabyte_is_not_learned() {
    let token = "t0ken-".repeat(1 << 18);
    let server = Server::start(move |_, _| ok(&json!({"imdata": [{"aaaLogin": {"attributes": {"token": token}}}]}).to_string())).await;
    let (http, _) = with_login(&server.address, crate::manifest::tests::apic()).build().unwrap();
    let Err(HttpError::Login { failure, .. }) = http.send(get("/x")).await else { panic!("not refused") };
    assert!(failure.message.contains("/api/aaaLogin.json returned a `session` of 1572864 bytes, more than 32768"), "{}", failure.message);
    assert!(!failure.message.contains("t0ken-t0ken"), "{}", failure.message);
}

#[tokio::test]
async fn a_login_that_redirects_elsewhere_is_denied_and_one_that_meets_a_busy_server_waits() {
    let other = Server::start(|_, _| ok("")).await;
    let target = other.address.clone();
    let server = Server::start(move |_, _| replied(&format!("302 Found\r\nLocation: {target}/sso"), Vec::new())).await;
    let (http, _) = with_login(&server.address, crate::manifest::tests::apic()).build().unwrap();
    for _ in 0..2 {
        let Err(HttpError::Denied(reason)) = http.send(get("/x")).await else { panic!("not denied") };
        assert!(reason.contains(&format!("/api/aaaLogin.json redirects to {}", other.address)), "{reason}");
    }
    assert_eq!((server.count(), other.count()), (1, 0));

    let server = Server::start(|number, _| match number {
        0 => answer("503 Busy\r\nRetry-After: 3", ""),
        1 => Reply::Close,
        _ => answer("502 Bad Gateway", "sorry"),
    })
    .await;
    let (http, waits) = with_login(&server.address, crate::manifest::tests::apic()).set("retries", json!(2)).build().unwrap();
    let Err(HttpError::Login { failure, .. }) = http.send(get("/x")).await else { panic!("no failure") };
    assert_eq!((failure.kind, failure.http_status), (crate::error::FailureKind::Remote, Some(502)));
    assert!(failure.message.ends_with("was rejected: HTTP status 502: sorry"), "{}", failure.message);
    assert_eq!((server.count(), waits.told()), (3, vec![3000, 1000]));
    // That may be over in a moment, so the next request tries again.
    assert!(http.send(get("/x")).await.is_err());
    assert_eq!(server.count(), 6);
}

#[tokio::test]
async fn a_login_is_left_out_where_a_token_is_given_and_in_a_replay_and_goes_nowhere_else() {
    let server = apic().await;
    let other = Server::start(|_, _| ok("")).await;
    let (http, _) = with_login(&server.address, crate::manifest::tests::apic()).set("token", json!(TOKEN)).build().unwrap();
    assert_eq!(http.send(get("/x")).await.unwrap().status, 403);
    assert_eq!(paths(&server), ["GET /x"]);
    let mut setup = with_login(&server.address, crate::manifest::tests::apic());
    setup.extra_origins = vec![other.address.clone()];
    let (http, _) = setup.build().unwrap();
    http.send(get(&format!("{}/x", other.address))).await.unwrap();
    assert_eq!((server.count(), other.count()), (1, 1));

    let folder = tempfile::tempdir().unwrap();
    let mut setup = with_login(&server.address, crate::manifest::tests::apic());
    let recorder = Arc::new(Recorder::create(folder.path().join("netbox.jsonl")).unwrap());
    setup.exchange = Exchange::Record(recorder.clone());
    let (http, _) = setup.build().unwrap();
    assert_eq!(text(&http.send(get("/x")).await.unwrap()), "hello ***");
    recorder.finish().unwrap();
    let recorded = std::fs::read_to_string(folder.path().join("netbox.jsonl")).unwrap();
    assert_eq!(recorded.lines().count(), 1, "{recorded}");
    assert!(!recorded.contains("of-the-server") && !recorded.contains("aaaLogin"), "{recorded}");
    let mut setup = with_login("http://elsewhere.example", crate::manifest::tests::apic());
    setup.settings.clear();
    setup.exchange = Exchange::open(&Exchanges::Replay(folder.path().into()), "netbox", |_| unreachable!()).unwrap();
    assert_eq!(text(&setup.build().unwrap().0.send(get("/x")).await.unwrap()), "hello ***");
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
    let (enter, gate) = (now.clone(), std::sync::Barrier::new(2));
    let server = Server::start(move |_, _| {
        {
            let mut now = enter.lock().unwrap();
            now.0 += 1;
            now.1 = now.1.max(now.0);
        }
        // Two at a time, no less: a third would be seen beside them.
        gate.wait();
        enter.lock().unwrap().0 -= 1;
        answer("204 No", "")
    })
    .await;
    let address = server.address.clone();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_needs_no_more_connections_than_it_may_have_requests_at_a_time() {
    let opened = Arc::new(Mutex::new(0usize));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let count = opened.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *count.lock().unwrap() += 1;
            tokio::spawn(async move {
                // The client sends each request in one piece; its answer comes in several, so the connection is not back with its head.
                // The pause between them is what keeps them apart on the wire.
                while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    for piece in ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "2\r\nok\r\n", "0\r\n\r\n"] {
                        let _ = stream.write_all(piece.as_bytes()).await;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            });
        }
    });
    let (http, _) = Setup::new(&address).set("max_concurrency", json!(2)).build().unwrap();
    let http = Arc::new(http);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let http = http.clone();
                async move {
                    for _ in 0..50 {
                        assert_eq!(text(&http.send(get("/")).await.unwrap()), "ok");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*opened.lock().unwrap(), 2);
}

#[tokio::test]
async fn what_was_recorded_is_replayed_without_network_credentials_and_address() {
    let server = Server::start(|_, text| {
        let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
        let path = text.split(' ').nth(1).unwrap();
        match path.split('?').next().unwrap() {
            "/netbox/api/a" => replied(
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
    setup.manifest.credentials.push(CredentialForm::Query { parameter: "key".into(), setting: "token".into() }.into());
    let recorder = Arc::new(Recorder::create(file.clone()).unwrap());
    setup.exchange = Exchange::Record(recorder.clone());
    let (http, _) = setup.build().unwrap();
    http.send(post("/api/a?limit=1", &format!("{{\"at\": \"{}/netbox\"}}", server.address))).await.unwrap();
    http.send(get(&format!("{}/netbox/api/b?x=1", server.address))).await.unwrap();
    recorder.finish().unwrap();
    let recorded = std::fs::read_to_string(&file).unwrap();
    // Headers are kept, for adapters that page by them: but for those that are secrets.
    assert!(recorded.contains("nginx"), "{recorded}");
    assert!(!recorded.contains(TOKEN) && !recorded.to_lowercase().contains("cookie"), "{recorded}");
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
    let next = crate::response::json_at(text(&first), &["/next".into()], usize::MAX).unwrap().remove(0).unwrap();
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
fn a_proxys_password_is_known_in_every_form_in_which_it_is_sent() {
    let known = |address: &str| -> Vec<String> {
        let environment = |name: &str| (name == "HTTP_PROXY").then(|| address.to_owned());
        let proxy = proxy(&parse_address("http://netbox.example").unwrap(), &environment).unwrap().unwrap();
        proxy.secrets().iter().map(|secret| secret.expose().to_owned()).collect()
    };
    assert_eq!(known("http://joe:p%40ss@proxy:3128"), ["p%40ss", "joe:p%40ss", "p@ss", BASE64.encode("joe:p@ss").as_str(), "joe:p@ss"]);
    assert_eq!(known("http://proxy:3128"), [""; 0]);
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
        http.transport().make_client().unwrap();
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

/// Starts a server with a certificate that no authority has signed, and returns its address. It serves until this process ends.
fn tls_server() -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../../tests/tls/certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../tests/tls/key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            // The handshake fails when the client does not trust the certificate.
            if std::io::Read::read(&mut stream, &mut [0; 4096]).is_ok_and(|read| read > 0) {
                let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
            }
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_reported_once() {
    let address = tls_server();
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/certificate.pem");
    let with = |variable: &'static str, file: &str| {
        let mut setup = Setup::new(&address);
        setup.environment.insert(variable, file.to_owned());
        setup
    };
    let (http, waits) = with("SSL_CERT_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/other.pem")).build().unwrap();
    let Err(HttpError::Transport(reason)) = http.send(get("/")).await else { panic!("trusted") };
    assert!(reason.ends_with("; name its authority in REQUESTS_CA_BUNDLE, or set `verify_ssl: false`"), "{reason}");
    assert!(waits.told().is_empty(), "the request was repeated");
    for setup in [with("REQUESTS_CA_BUNDLE", bundle), Setup::new(&address).set("verify_ssl", json!(false))] {
        assert_eq!(text(&setup.build().unwrap().0.send(get("/")).await.unwrap()), "ok");
    }
}
