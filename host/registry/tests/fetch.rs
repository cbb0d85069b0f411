//! Fetches from servers that misbehave: cut and endless answers, wrong digests, foreign redirects, tokens.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::sync::Mutex;

use infrahub_sync_base::origin::Origin;
use infrahub_sync_registry::{Error, Fetched, Fetcher, Wanted};
use infrahub_sync_runtime::{COMPONENT_BYTES_MAX, digest};
use infrahub_sync_test_server::{Answer, Reply, Request, Server};

const COMPONENT: &[u8] = b"a component";

fn manifest(digest: &str, bytes: u64) -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"x","size":2}},"layers":[{{"mediaType":"application/wasm","digest":"{digest}","size":{bytes}}}]}}"#
    )
}

fn fetch_with(server: &Server, login: &str, wanted: Wanted<'_>) -> Result<Fetched, Error> {
    let origin: Origin = format!("oci://{}/acme/board:1", server.url().trim_start_matches("http://")).parse().unwrap();
    let login = login.to_owned();
    let environment = move |name: &str| (name == "DOCKER_AUTH_CONFIG").then(|| login.clone());
    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tasks.block_on(Fetcher::new(&environment, None).fetch(&origin, wanted))
}

fn fetch(server: &Server) -> Result<Fetched, Error> {
    fetch_with(server, "", Wanted::default())
}

/// A registry with one adapter, whose blob is answered like this.
fn registry(blob: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.path() {
        "/v2/" => Answer::status(200).into(),
        path if path.contains("/manifests/") => Answer::ok(manifest(&digest(COMPONENT), COMPONENT.len() as u64)).into(),
        path if path.contains("/blobs/") => blob(request),
        _ => Answer::status(404).into(),
    })
}

#[test]
fn a_cut_download_is_repeated() {
    let cuts = Mutex::new(2);
    let server = registry(move |_| {
        let mut cuts = cuts.lock().unwrap();
        if *cuts == 0 {
            return Answer::ok(COMPONENT).into();
        }
        *cuts -= 1;
        Answer::ok(COMPONENT).cut(4)
    });
    assert_eq!(fetch(&server).unwrap().component, COMPONENT);
    let always = registry(|_| Answer::ok(COMPONENT).cut(4));
    assert!(matches!(fetch(&always).unwrap_err(), Error::Unreachable { .. }));
}

#[test]
fn bytes_without_the_announced_digest_are_not_used() {
    let server = registry(|_| Answer::ok(&b"a Component"[..]).into());
    assert!(matches!(fetch(&server).unwrap_err(), Error::Digest { .. }));
    // The lock file names another component than the manifest.
    let server = registry(|_| Answer::ok(COMPONENT).into());
    let locked = digest(b"another");
    let wanted = Wanted { digest: Some(&locked), ..Wanted::default() };
    assert!(matches!(fetch_with(&server, "", wanted).unwrap_err(), Error::Changed { .. }));
    // The manifest is another one than the locked.
    let wanted = Wanted { manifest: Some(&locked), ..Wanted::default() };
    assert!(matches!(fetch_with(&server, "", wanted).unwrap_err(), Error::Digest { .. }));
}

#[test]
fn no_answer_is_larger_than_an_adapter() {
    let announced = Server::start(|request| match request.path() {
        "/v2/" => Answer::status(200).into(),
        _ => Answer::ok(manifest(&digest(COMPONENT), COMPONENT_BYTES_MAX + 1)).into(),
    });
    assert!(matches!(fetch(&announced).unwrap_err(), Error::TooLarge { .. }));
    let endless = registry(|_| Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0; 1 << 20]));
    assert!(matches!(fetch(&endless).unwrap_err(), Error::TooLarge { .. }));
}

#[test]
fn a_storage_gets_no_credentials() {
    let storage = Server::start(|_| Answer::ok(COMPONENT).into());
    let place = format!("{}/blob", storage.url());
    let server = Server::start(move |request| match request.path() {
        "/v2/" => Answer::status(401).into(),
        _ if request.header("authorization").is_empty() => Answer::status(401).header("www-authenticate", "Basic realm=\"x\"").into(),
        path if path.contains("/manifests/") => Answer::ok(manifest(&digest(COMPONENT), COMPONENT.len() as u64)).into(),
        _ => Answer::status(307).header("location", &place).into(),
    });
    let host = server.url().trim_start_matches("http://");
    // me:pass
    let login = format!(r#"{{"auths": {{"{host}": {{"auth": "bWU6cGFzcw=="}}}}}}"#);
    assert_eq!(fetch_with(&server, &login, Wanted::default()).unwrap().component, COMPONENT);
    assert!(server.seen().iter().any(|request| request.header("authorization") == "Basic bWU6cGFzcw=="));
    assert_eq!(storage.seen().iter().map(|request| request.header("authorization").to_owned()).collect::<Vec<_>>(), [""]);
    assert!(matches!(fetch(&server).unwrap_err(), Error::Unauthorized { had_credentials: false, .. }));
}

#[test]
fn a_token_is_got_from_the_named_place_and_used() {
    let server = Server::start(move |request| {
        let host = request.header("host").to_owned();
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"ignored\"");
        match request.path() {
            "/v2/" => Answer::status(401).into(),
            "/token" if request.query("scope") == Some("repository%3Aacme%2Fboard%3Apull") => Answer::json(r#"{"token": "t1"}"#).into(),
            _ if request.header("authorization") != "Bearer t1" => Answer::status(401).header("www-authenticate", &challenge).into(),
            path if path.contains("/manifests/") => Answer::ok(manifest(&digest(COMPONENT), COMPONENT.len() as u64)).into(),
            _ => Answer::ok(COMPONENT).into(),
        }
    });
    assert_eq!(fetch(&server).unwrap().component, COMPONENT);
    assert_eq!(server.seen().iter().filter(|request| request.path() == "/token").count(), 1, "the token is kept");
    // A place without encryption, elsewhere than on this machine.
    let open = Server::start(|request| match request.path() {
        "/v2/" => Answer::status(401).into(),
        _ => Answer::status(401).header("www-authenticate", "Bearer realm=\"http://tokens.example.org/\"").into(),
    });
    let error = fetch(&open).unwrap_err().to_string();
    assert!(error.ends_with("it names no address with encryption for its tokens"), "{error}");
}

#[test]
fn a_registry_may_be_broken() {
    let down = Server::start(|request| match request.path() {
        "/v2/" => Answer::status(200).into(),
        _ => Answer::json(r#"{"errors": [{"code": "UNAVAILABLE", "message": "in maintenance"}]}"#).with_status(503).into(),
    });
    let error = fetch(&down).unwrap_err().to_string();
    assert!(error.ends_with(" answers 503: in maintenance"), "{error}");
    assert_eq!(down.count(), 4, "one look and three attempts");
    let forbidden = Server::start(|request| Answer::status(if request.path() == "/v2/" { 200 } else { 403 }).into());
    assert!(matches!(fetch(&forbidden).unwrap_err(), Error::Forbidden { .. }));
}
