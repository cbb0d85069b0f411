//! A hostile guest: one test for each of its misdeeds, named like it.
//!
//! After each misdeed the host goes on: another session's instance is the same as before, and the misbehaving one's next call meets a new
//! instance.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use infrahub_sync_runtime::{Error, Limit, Limits, Role, Session, SessionConfig};
use infrahub_sync_test_server::Reply;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::{adapter, config, lines, order, serve, server, write};

#[path = "../guest/src/misdeeds.rs"]
mod misdeeds;

macro_rules! has_a_test {
    ($($misdeed:ident)*) => {
        $(
            #[expect(unused_imports, reason = "only to know that it exists")]
            use self::$misdeed as _;
        )*
    };
}
misdeeds::for_each_misdeed!(has_a_test);

/// Long enough for a busy machine to start a guest, short enough to wait for.
const SHORT_MS: u64 = 500;

/// A side of a sync whose adapter misbehaves, and another one.
struct Scene {
    hostile: Session,
    innocent: Session,
    address: String,
    /// What the project has: `secret`, and in it the granted folder `data`.
    project: tempfile::TempDir,
}

impl Scene {
    async fn set(change: impl FnOnce(&mut Limits)) -> Scene {
        Scene::of(Role::Source, server(), change).await
    }

    async fn of(role: Role, address: String, change: impl FnOnce(&mut Limits)) -> Scene {
        Scene::opened(role, true, address, change).await
    }

    /// A destination whose command only reads, and the number of requests that its server got.
    async fn reading() -> (Scene, Arc<AtomicUsize>) {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let address = serve(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            infrahub_sync_test_server::Answer::ok("{}").into()
        });
        (Scene::opened(Role::Destination, false, address, |_| {}).await, requests)
    }

    async fn opened(role: Role, writes: bool, address: String, change: impl FnOnce(&mut Limits)) -> Scene {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(project.path().join("data/sub")).unwrap();
        std::fs::write(project.path().join("secret"), "s").unwrap();
        let config = || SessionConfig {
            role,
            writes,
            project_dir: project.path().to_owned(),
            ..config(json!({"url": &address, "path": "data", "token": "hunter2-hunter2", "retries": 0}))
        };
        let innocent = adapter().open(config()).await.unwrap();
        assert_eq!(lines(innocent.load(order("calls")).await), "1");
        let mut config = config();
        change(&mut config.limits);
        let hostile = adapter().open(config).await.unwrap();
        assert_eq!(lines(hostile.load(order("calls")).await), "1");
        Scene { hostile, innocent, address, project }
    }

    /// The misdeed's end, as the user reads it.
    async fn caught(&self, misdeed: &str) -> String {
        let error = self.hostile.load(order(misdeed)).await.unwrap_err();
        self.goes_on().await;
        self.told(&error)
    }

    /// As `caught`, of a misdeed that ends the session.
    async fn caught_for_good(&self, misdeed: &str) -> String {
        let error = self.hostile.load(order(misdeed)).await.unwrap_err();
        assert!(matches!(self.hostile.load(order("calls")).await, Err(Error::Limit { .. })));
        assert_eq!(lines(self.innocent.load(order("calls")).await), "2");
        self.told(&error)
    }

    /// What the misdeed answered: there was nothing to catch.
    async fn harmless(&self, misdeed: &str) -> String {
        let answer = lines(self.hostile.load(order(misdeed)).await);
        assert_eq!(lines(self.innocent.load(order("calls")).await), "2");
        answer
    }

    async fn goes_on(&self) {
        assert_eq!(lines(self.innocent.load(order("calls")).await), "2");
        assert_eq!(lines(self.hostile.load(order("calls")).await), "1", "an instance that misbehaved is not used again");
    }

    fn told(&self, error: &Error) -> String {
        let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        format!("{error}{hint}").replace(&self.address, "ADDRESS").replace(&self.project.path().display().to_string(), "PROJECT")
    }

    /// The host says that a run writes: until then, every session only reads.
    async fn begins_to_write(&self) {
        self.hostile.commit(&["x".to_owned()]).await.unwrap();
    }

    fn link(&self, to: &str, name: &str) {
        std::os::unix::fs::symlink(to, self.project.path().join("data").join(name)).unwrap();
    }
}

/// Starts a server that takes requests and does not answer.
fn silence() -> String {
    serve(|_| Reply::Silence)
}

#[tokio::test]
async fn computes_forever() {
    let scene = Scene::set(|limits| limits.set(Limit::CallTime, SHORT_MS)).await;
    insta::assert_snapshot!(scene.caught("computes_forever").await, @r"
    source `puppet` 1.2.3 computes for more than 0.5 s without returning, in `load` of `computes_forever`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {call_time: 1}`
    ");
}

#[tokio::test]
async fn computes_for_the_whole_run() {
    let scene = Scene::set(|limits| limits.set(Limit::RunTime, SHORT_MS)).await;
    insta::assert_snapshot!(scene.caught_for_good("computes_for_the_whole_run").await, @r"
    source `puppet` 1.2.3 has computed for more than 0.5 s in this run, in `load` of `computes_for_the_whole_run`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {run_time: 1}`
    ");
}

#[tokio::test]
async fn waits_forever() {
    let scene = Scene::of(Role::Source, silence(), |limits| limits.set(Limit::CallWallTime, SHORT_MS)).await;
    insta::assert_snapshot!(scene.caught("waits_forever /").await, @r"
    source `puppet` 1.2.3 did not return within 0.5 s, in `load` of `waits_forever /`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {call_wall_time: 1}`
    ");
}

#[tokio::test]
async fn waits_for_the_whole_run() {
    let scene = Scene::of(Role::Source, silence(), |limits| limits.set(Limit::RunWallTime, SHORT_MS)).await;
    insta::assert_snapshot!(scene.caught_for_good("waits_for_the_whole_run /").await, @r"
    source `puppet` 1.2.3 has run for more than 0.5 s, in `load` of `waits_for_the_whole_run /`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {run_wall_time: 1}`
    ");
}

#[tokio::test]
async fn sleeps_forever() {
    let scene = Scene::set(|limits| limits.set(Limit::CallTime, SHORT_MS)).await;
    insta::assert_snapshot!(scene.caught("sleeps_forever").await, @r"
    source `puppet` 1.2.3 computes for more than 0.5 s without returning, in `load` of `sleeps_forever`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {call_time: 1}`
    ");
}

#[tokio::test]
async fn hoards_memory() {
    let scene = Scene::set(|limits| limits.set(Limit::Memory, 16 << 20)).await;
    insta::assert_snapshot!(scene.caught("hoards_memory").await, @r"
    source `puppet` 1.2.3 needs more than 16 MiB of memory, in `load` of `hoards_memory`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {memory: 32 MiB}`
    ");
}

#[tokio::test]
async fn recurses_forever() {
    let scene = Scene::set(|_| {}).await;
    // Either of the guest's stacks may be the first to be full.
    let told = scene.caught("recurses_forever").await;
    assert!(told.starts_with("source `puppet` 1.2.3 stopped in `load`: "), "{told}");
}

#[tokio::test]
async fn panics() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("panics").await, @"source `puppet` 1.2.3 stopped in `load`: it all went wrong");
}

#[tokio::test]
async fn hands_over_too_much() {
    let scene = Scene::set(|limits| limits.set(Limit::PageSize, 1 << 20)).await;
    insta::assert_snapshot!(scene.caught("hands_over_too_much").await, @r"
    source `puppet` 1.2.3 handed over more than 1 MiB at once, in `load` of `hands_over_too_much`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {page_size: 2 MiB}`
    ");
}

#[tokio::test]
async fn names_the_same_bytes_a_thousand_times() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("names_the_same_bytes_a_thousand_times").await, @r"
    source `puppet` 1.2.3 handed over more than 256 MiB at once, in `load` of `names_the_same_bytes_a_thousand_times`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {page_size: 512 MiB}`
    ");
}

#[tokio::test]
async fn hands_over_too_many_records() {
    let scene = Scene::set(|limits| limits.set(Limit::PageRecords, 99)).await;
    insta::assert_snapshot!(scene.caught("hands_over_too_many_records").await, @r"
    source `puppet` 1.2.3 handed over more than 99 records in one page, in `load` of `hands_over_too_many_records`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {page_records: 198}`
    ");
    let scene = Scene::set(|limits| limits.set(Limit::PageRecords, 100)).await;
    scene.hostile.load(order("hands_over_too_many_records")).await.unwrap();
}

/// Who parses the page tells the session.
#[tokio::test]
async fn hands_over_too_many_lines() {
    let scene = Scene::set(|_| {}).await;
    scene.hostile.load(order("hands_over_too_many_lines")).await.unwrap();
    scene.hostile.count_records("x", 20_000_000).unwrap();
    insta::assert_snapshot!(scene.told(&scene.hostile.count_records("x", 1).unwrap_err()), @r"
    source `puppet` 1.2.3 handed over more than 20,000,000 records of one resource, in `load` of `x`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {records: 40000000}`
    ");
    insta::assert_snapshot!(scene.told(&scene.hostile.too_many_records("x")), @r"
    source `puppet` 1.2.3 handed over more than 1,000,000 records in one page, in `load` of `x`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {page_records: 2000000}`
    ");
}

#[tokio::test]
async fn pages_forever() {
    let scene = Scene::set(|limits| limits.set(Limit::Pages, 5)).await;
    let mut request = order("pages_forever");
    let error = loop_until_error(&scene.hostile, &mut request).await;
    assert_eq!(request.cursor.unwrap().0.len(), 5, "a byte a page");
    scene.goes_on_with_the_same_instance().await;
    insta::assert_snapshot!(scene.told(&error), @r"
    source `puppet` 1.2.3 handed over more than 5 pages of one resource, in `load` of `pages_forever`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {pages: 10}`
    ");
}

/// Follows the cursors to an error.
async fn loop_until_error(session: &Session, request: &mut infrahub_sync_runtime::LoadRequest) -> Error {
    loop {
        match session.load(request.clone()).await {
            Ok(page) => request.cursor = page.next,
            Err(error) => return error,
        }
    }
}

impl Scene {
    /// The guest was not even called.
    async fn goes_on_with_the_same_instance(&self) {
        assert_eq!(lines(self.innocent.load(order("calls")).await), "2");
        assert_eq!(lines(self.hostile.load(order("calls")).await), "2");
    }
}

#[tokio::test]
async fn pages_in_place() {
    let scene = Scene::set(|_| {}).await;
    let mut request = order("pages_in_place");
    let error = loop_until_error(&scene.hostile, &mut request).await;
    scene.goes_on().await;
    insta::assert_snapshot!(scene.told(&error), @"source `puppet` 1.2.3 broke the contract in `load`: the next page has the cursor of this page, so the list has no end");
}

/// Each page is good for itself; who reads the list sees the circle.
#[tokio::test]
async fn pages_in_a_circle() {
    let scene = Scene::set(|limits| limits.set(Limit::Pages, 10)).await;
    let error = loop_until_error(&scene.hostile, &mut order("pages_in_a_circle")).await;
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

#[tokio::test]
async fn makes_a_cursor_of_a_megabyte() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("makes_a_cursor_of_a_megabyte").await, @"source `puppet` 1.2.3 broke the contract in `load`: its cursor has 1048576 bytes; the limit is 65536");
}

#[tokio::test]
async fn counts_to_the_last_number() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("counts_to_the_last_number").await, @"source `puppet` 1.2.3 broke the contract in `load`: it counts 18446744073709551615 objects; the limit is 1099511627776");
}

#[tokio::test]
async fn lies_about_utf8() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("lies_about_utf8").await, @"source `puppet` 1.2.3 broke the contract in `load`: its JSON lines are not UTF-8 at byte 7");
}

#[tokio::test]
async fn lies_about_offsets() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("lies_about_offsets").await, @"source `puppet` 1.2.3 broke the contract in `load`: column `a`: the offset 9 is beyond the end or within a character");
}

#[tokio::test]
async fn cuts_a_character() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("cuts_a_character").await, @"source `puppet` 1.2.3 broke the contract in `load`: column `a`: the offset 1 is beyond the end or within a character");
}

#[tokio::test]
async fn lies_about_the_length_of_a_column() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("lies_about_the_length_of_a_column").await, @"source `puppet` 1.2.3 broke the contract in `load`: the column `a` has 1 values, the page 2 rows");
}

#[tokio::test]
async fn lies_about_outcomes() {
    let scene = Scene::of(Role::Destination, server(), |_| {}).await;
    let error = scene.hostile.write(write("lies_about_outcomes", 4)).await.unwrap_err();
    scene.goes_on().await;
    insta::assert_snapshot!(scene.told(&error), @"destination `puppet` 1.2.3 broke the contract in `write`: it returned 3 outcomes for 4 rows");
}

#[tokio::test]
async fn invents_outcomes() {
    let scene = Scene::of(Role::Destination, server(), |_| {}).await;
    let error = scene.hostile.write(write("invents_outcomes", 4)).await.unwrap_err();
    scene.goes_on().await;
    insta::assert_snapshot!(scene.told(&error), @"destination `puppet` 1.2.3 broke the contract in `write`: it returned 5 outcomes for 4 rows");
}

#[tokio::test]
async fn points_nowhere() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("points_nowhere /api").await, @"source `puppet` 1.2.3 broke the contract in `load`: `no-pointer` is not a JSON pointer: it does not begin with `/`");
}

/// A trie so deep would overflow the stack of the host that drops it.
#[tokio::test]
async fn points_too_deep() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("points_too_deep /api").await, @"source `puppet` 1.2.3 broke the contract in `load`: a JSON pointer has 500000 parts; the limit is 100");
}

#[tokio::test]
async fn hands_over_a_response_of_an_earlier_call() {
    let scene = Scene::set(|_| {}).await;
    scene.hostile.load(order("hands_over_a_response_of_an_earlier_call /api")).await.unwrap();
    insta::assert_snapshot!(scene.caught("hands_over_a_response_of_an_earlier_call /api").await, @"source `puppet` 1.2.3 broke the contract in `load`: it used a response of an earlier call");
}

#[tokio::test]
async fn uses_a_response_that_it_released() {
    let scene = Scene::set(|_| {}).await;
    let told = scene.caught("uses_a_response_that_it_released /api").await;
    insta::assert_snapshot!(told, @"source `puppet` 1.2.3 stopped in `load`: unknown handle index 1");
}

/// Not refused, but it must not take the host a square of them.
#[tokio::test]
async fn asks_for_a_million_pointers() {
    let scene = Scene::set(|_| {}).await;
    assert_eq!(scene.harmless("asks_for_a_million_pointers /api").await, "0");
}

/// A few bytes of pointers would be a terabyte of answers.
#[tokio::test]
async fn asks_for_one_text_a_million_times() {
    let scene = Scene::set(|limits| limits.set(Limit::ResponseSize, 10_000)).await;
    insta::assert_snapshot!(scene.caught("asks_for_one_text_a_million_times /api").await, @r"
    source `puppet` 1.2.3 asked for more than 10000 bytes at once, in `load` of `asks_for_one_text_a_million_times /api`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {response_size: 20000 bytes}`
    ");
}

#[tokio::test]
async fn asks_in_a_circle() {
    let scene = Scene::set(|limits| limits.set(Limit::CallRequests, 20)).await;
    insta::assert_snapshot!(scene.caught("asks_in_a_circle /api").await, @r"
    source `puppet` 1.2.3 sent more than 20 requests, in `load` of `asks_in_a_circle /api`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {call_requests: 40}`
    ");
}

#[tokio::test]
async fn asks_for_the_whole_run() {
    let scene = Scene::set(|limits| limits.set(Limit::RunRequests, 2)).await;
    for _ in 0..2 {
        scene.hostile.load(order("asks_for_the_whole_run /api")).await.unwrap();
    }
    insta::assert_snapshot!(scene.caught("asks_for_the_whole_run /api").await, @r"
    source `puppet` 1.2.3 sent more than 2 requests in this run, in `load` of `asks_for_the_whole_run /api`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {run_requests: 4}`
    ");
}

#[tokio::test]
async fn hoards_responses() {
    let scene = Scene::set(|limits| limits.set(Limit::HeldResponses, 3)).await;
    insta::assert_snapshot!(scene.caught("hoards_responses /api").await, @r"
    source `puppet` 1.2.3 holds more than 3 answers, in `load` of `hoards_responses /api`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {held_responses: 6}`
    ");
}

#[tokio::test]
async fn hoards_bodies() {
    let scene = Scene::set(|limits| [Limit::HeldSize, Limit::ResponseSize].iter().for_each(|limit| limits.set(*limit, 1 << 10))).await;
    insta::assert_snapshot!(scene.caught("hoards_bodies /api").await, @r"
    source `puppet` 1.2.3 holds answers of more than 1 KiB, in `load` of `hoards_bodies /api`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {held_size: 2 KiB}`
    ");
}

#[tokio::test]
async fn asks_for_a_huge_answer() {
    let scene = Scene::set(|limits| limits.set(Limit::ResponseSize, 32)).await;
    insta::assert_snapshot!(scene.caught("asks_for_a_huge_answer /api").await, @r"
    source `puppet` 1.2.3 asked for more than 32 bytes at once, in `load` of `asks_for_a_huge_answer /api`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {response_size: 64 bytes}`
    ");
}

#[tokio::test]
async fn asks_another_origin() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("asks_another_origin").await, @"source `puppet` 1.2.3 was denied: https://evil.example is not the configured origin ADDRESS; to allow it, write under `source:` in config.yml: `grants: {origins: [https://evil.example]}`");
}

#[tokio::test]
async fn asks_another_port() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("asks_another_port http://127.0.0.1:1/").await, @"source `puppet` 1.2.3 was denied: http://127.0.0.1:1 is not the configured origin ADDRESS; if it should be, set `url: http://127.0.0.1:1`");
}

#[tokio::test]
async fn asks_the_cloud() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("asks_the_cloud").await, @"source `puppet` 1.2.3 was denied: http://169.254.169.254 is not the configured origin ADDRESS; to allow it, write under `source:` in config.yml: `grants: {origins: [http://169.254.169.254]}`");
}

#[tokio::test]
async fn asks_for_a_file_by_url() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("asks_for_a_file_by_url").await, @"source `puppet` 1.2.3 was denied: adapters may use `http:` and `https:`, not `file:`");
}

#[tokio::test]
async fn hides_credentials_in_a_url() {
    let scene = Scene::set(|_| {}).await;
    let told = scene.caught(&format!("hides_credentials_in_a_url {}/", scene.address)).await;
    assert!(told.contains("is not a valid request: a URL of an adapter must not have credentials"), "{told}");
}

#[tokio::test]
async fn forges_a_credential() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("forges_a_credential").await, @"source `puppet` 1.2.3 was denied: infrahub-sync sets the header `authorization`; an adapter declares its credentials in its manifest");
}

#[tokio::test]
async fn forges_the_host() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("forges_the_host").await, @"source `puppet` 1.2.3 was denied: infrahub-sync sets the header `host`; an adapter declares its credentials in its manifest");
}

#[tokio::test]
async fn smuggles_a_header() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("smuggles_a_header").await, @"source `puppet` 1.2.3: GET / is not a valid request: the value of the header `x` is invalid");
}

#[tokio::test]
async fn tunnels() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("tunnels").await, @"source `puppet` 1.2.3: connect / is not a valid request: adapters may not use the method CONNECT");
}

/// What it does with the refusal is its own business: nothing was sent.
#[tokio::test]
async fn swallows_a_denial() {
    let scene = Scene::set(|_| {}).await;
    assert_eq!(scene.harmless("swallows_a_denial").await, "{}\n");
    assert_eq!(scene.hostile.traffic().requests, 0);
}

/// The text about the request is short, whatever its end.
#[tokio::test]
async fn asks_with_a_url_of_a_megabyte() {
    let scene = Scene::set(|_| {}).await;
    let error = scene.hostile.load(order("asks_with_a_url_of_a_megabyte")).await.unwrap_err();
    scene.goes_on().await;
    let told = scene.told(&error);
    assert!(told.len() < 10_000, "{} bytes: {}", told.len(), &told[..1000]);
}

/// Asks a session that only reads for a misdeed. Nothing reaches the server.
async fn denied_while_reading(misdeed: &str) -> String {
    let (scene, requests) = Scene::reading().await;
    let told = scene.caught(misdeed).await;
    assert_eq!(requests.load(Ordering::SeqCst), 0, "{misdeed}");
    told
}

#[tokio::test]
async fn puts_while_it_reads() {
    insta::assert_snapshot!(denied_while_reading("puts_while_it_reads").await, @"destination `puppet` 1.2.3 was denied: PUT /search: this session only reads, and PUT writes");
}

#[tokio::test]
async fn deletes_while_it_reads() {
    insta::assert_snapshot!(denied_while_reading("deletes_while_it_reads").await, @"destination `puppet` 1.2.3 was denied: DELETE /devices/1: this session only reads, and DELETE writes");
}

#[tokio::test]
async fn posts_while_it_reads() {
    insta::assert_snapshot!(denied_while_reading("posts_while_it_reads").await, @"destination `puppet` 1.2.3 was denied: POST /devices: this session only reads, and the adapter's manifest does not name this path in `reading-paths`");
}

#[tokio::test]
async fn sends_a_body_with_a_get() {
    insta::assert_snapshot!(denied_while_reading("sends_a_body_with_a_get").await, @"destination `puppet` 1.2.3 was denied: GET /devices: this session only reads, and a body needs a path that the adapter's manifest names in `reading-paths`");
}

#[tokio::test]
async fn overrides_the_method() {
    insta::assert_snapshot!(denied_while_reading("overrides_the_method").await, @"destination `puppet` 1.2.3 was denied: because of the header `x-http-method-override`, a server may take the request for another one");
}

#[tokio::test]
async fn sends_a_mutation() {
    insta::assert_snapshot!(denied_while_reading("sends_a_mutation").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the GraphQL document holds a mutation");
}

#[tokio::test]
async fn hides_a_mutation_behind_a_comment() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_behind_a_comment").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the GraphQL document holds a mutation");
}

#[tokio::test]
async fn hides_a_mutation_behind_an_alias() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_behind_an_alias").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the GraphQL document holds a mutation");
}

#[tokio::test]
async fn hides_a_mutation_behind_a_string() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_behind_a_string").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the host does not understand the GraphQL document at byte 7");
}

#[tokio::test]
async fn hides_a_mutation_behind_unicode() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_behind_unicode").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the host does not understand the GraphQL document at byte 3");
}

#[tokio::test]
async fn hides_a_mutation_behind_an_escape() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_behind_an_escape").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the GraphQL document holds a mutation");
}

#[tokio::test]
async fn hides_a_mutation_in_a_batch() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_in_a_batch").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the host does not understand the GraphQL request: invalid type: sequence, expected an object with `query`, `variables` and `operationName` at line 1 column 0");
}

#[tokio::test]
async fn hides_a_mutation_behind_an_operation_name() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_behind_an_operation_name").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the GraphQL document holds a mutation");
}

#[tokio::test]
async fn hides_a_mutation_behind_a_query_of_the_same_name() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_behind_a_query_of_the_same_name").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and the host does not understand the GraphQL request: `query` is there twice at line 1 column 54");
}

#[tokio::test]
async fn hides_a_mutation_in_a_get() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_in_a_get").await, @"destination `puppet` 1.2.3 was denied: GET /other: this session only reads, and the parameter `query` may hold a GraphQL mutation");
}

#[tokio::test]
async fn hides_a_mutation_in_another_type() {
    insta::assert_snapshot!(denied_while_reading("hides_a_mutation_in_another_type").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/main: this session only reads, and a GraphQL request has the `content-type` application/json, not application/graphql");
}

#[tokio::test]
async fn climbs_out_of_a_reading_path() {
    insta::assert_snapshot!(denied_while_reading("climbs_out_of_a_reading_path").await, @"destination `puppet` 1.2.3 was denied: POST /graphql/..%2Fdevices: this session only reads, and the adapter's manifest does not name this path in `reading-paths`");
}

#[tokio::test]
async fn writes_a_file_while_it_reads() {
    let (scene, _) = Scene::reading().await;
    insta::assert_snapshot!(scene.caught("writes_a_file_while_it_reads").await, @"destination `puppet` 1.2.3 was denied: this session only reads the folder PROJECT/data");
    assert!(!scene.project.path().join("data/new.txt").exists());
}

#[tokio::test]
async fn a_session_that_only_reads_calls_no_write() {
    let (scene, _) = Scene::reading().await;
    let error = scene.hostile.write(write("calls", 1)).await.unwrap_err();
    insta::assert_snapshot!(scene.told(&error), @"destination `puppet` 1.2.3: this session only reads, and `write` writes");
    assert!(matches!(scene.hostile.commit(&[]).await, Err(Error::OnlyReads { call: "commit", .. })));
    scene.goes_on_with_the_same_instance().await;
}

/// A session that may write does not write before the host says that a run begins.
#[tokio::test]
async fn a_session_that_may_write_only_reads_until_it_begins() {
    let scene = Scene::of(Role::Destination, server(), |_| {}).await;
    scene.hostile.load(order("posts_while_it_reads")).await.unwrap_err();
    scene.begins_to_write().await;
    scene.hostile.load(order("posts_while_it_reads")).await.unwrap();
}

#[tokio::test]
async fn climbs_out_of_the_folder() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("climbs_out_of_the_folder").await, @"source `puppet` 1.2.3 was denied: `sub/../../secret` is not a path within the folder PROJECT/data");
}

#[tokio::test]
async fn names_an_absolute_path() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("names_an_absolute_path").await, @"source `puppet` 1.2.3 was denied: `/etc/passwd` is not a path within the folder PROJECT/data");
}

#[tokio::test]
async fn follows_a_link_out() {
    let scene = Scene::set(|_| {}).await;
    scene.link("../secret", "link");
    insta::assert_snapshot!(scene.caught("follows_a_link_out").await, @"source `puppet` 1.2.3 was denied: a link leads out of the folder PROJECT/data");
}

#[tokio::test]
async fn writes_through_a_link() {
    let scene = Scene::of(Role::Destination, server(), |_| {}).await;
    scene.begins_to_write().await;
    scene.link("..", "up");
    insta::assert_snapshot!(scene.caught("writes_through_a_link").await, @"destination `puppet` 1.2.3 was denied: a link leads out of the folder PROJECT/data");
    assert!(!scene.project.path().join("planted").exists());
}

#[tokio::test]
async fn writes_to_a_source() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("writes_to_a_source").await, @"source `puppet` 1.2.3 was denied: this session only reads the folder PROJECT/data");
    assert!(!scene.project.path().join("data/planted").exists());
}

#[tokio::test]
async fn reads_a_huge_file() {
    let scene = Scene::set(|limits| limits.set(Limit::ResponseSize, 32)).await;
    std::fs::write(scene.project.path().join("data/huge"), [b' '; 33]).unwrap();
    insta::assert_snapshot!(scene.caught("reads_a_huge_file huge").await, @r"
    source `puppet` 1.2.3 asked for more than 32 bytes at once, in `load` of `reads_a_huge_file huge`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {response_size: 64 bytes}`
    ");
}

/// Opening it would wait for somebody who writes, for ever.
#[tokio::test]
async fn reads_a_pipe() {
    let scene = Scene::set(|_| {}).await;
    let made = std::process::Command::new("mkfifo").arg(scene.project.path().join("data/pipe")).status().unwrap();
    assert!(made.success());
    insta::assert_snapshot!(scene.caught("reads_a_pipe pipe").await, @"source `puppet` 1.2.3: `pipe`: pipe is not a file");
}

/// Opening it would wait for somebody who reads, for ever.
#[tokio::test]
async fn writes_to_a_pipe() {
    let scene = Scene::of(Role::Destination, server(), |_| {}).await;
    scene.begins_to_write().await;
    let made = std::process::Command::new("mkfifo").arg(scene.project.path().join("data/pipe")).status().unwrap();
    assert!(made.success());
    insta::assert_snapshot!(scene.caught("writes_to_a_pipe pipe").await, @"destination `puppet` 1.2.3: `pipe`: pipe is not a file");
}

#[tokio::test]
async fn asks_for_a_folder_that_nobody_granted() {
    let session = adapter().open(config(json!({}))).await.unwrap();
    let error = session.load(order("asks_for_a_folder_that_nobody_granted")).await.unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"destination `puppet` 1.2.3 was denied: no folder was granted to this adapter; its folder setting has no value");
    assert_eq!(lines(session.load(order("calls")).await), "1");
}

/// Collects warnings of the thread that runs the test.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Message<'a>(&'a mut String);
        impl Visit for Message<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    *self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = String::new();
        event.record(&mut Message(&mut message));
        self.0.lock().unwrap().push(message);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Warnings {
    /// What a harmless call that answers nothing logs.
    async fn of(scene: &Scene, misdeed: &str) -> Vec<String> {
        let warnings = Warnings::default();
        let guard = tracing::subscriber::set_default(warnings.clone());
        scene.hostile.load(order(misdeed)).await.unwrap();
        drop(guard);
        warnings.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn logs_forever() {
    let scene = Scene::set(|limits| limits.set(Limit::LogLines, 2)).await;
    insta::assert_snapshot!(Warnings::of(&scene, "logs_forever").await.join("\n"), @r"
    line 0
    line 1
    source `puppet` 1.2.3 wrote more than 2 lines of log in this run: the others are dropped; for more, write under `source:` in config.yml: `limits: {log_lines: 4}`
    ");
    // It was told once.
    assert_eq!(Warnings::of(&scene, "logs_forever").await, Vec::<String>::new());
    scene.goes_on_with_the_same_instance().await;
}

#[tokio::test]
async fn logs_a_book() {
    let scene = Scene::set(|limits| limits.set(Limit::LogLineLength, 3)).await;
    assert_eq!(Warnings::of(&scene, "logs_a_book").await, ["ééé… (cut at 3 characters)"]);
    scene.goes_on_with_the_same_instance().await;
}

/// 32 MiB of notes are kept, and the others come back as they were.
#[tokio::test]
async fn floods_the_memos() {
    let scene = Scene::set(|_| {}).await;
    assert_eq!(scene.harmless("floods_the_memos").await, "31");
}

#[tokio::test]
async fn keeps_memos_forever() {
    let scene = Scene::set(|limits| limits.set(Limit::FileChanges, 5)).await;
    insta::assert_snapshot!(scene.caught("keeps_memos_forever").await, @r"
    source `puppet` 1.2.3 changed files and memos more than 5 times in this run, in `load` of `keeps_memos_forever`
    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {file_changes: 10}`
    ");
}

/// An adapter that reports an overloaded system may name any pause.
#[tokio::test]
async fn asks_for_a_pause_of_years() {
    let scene = Scene::set(|limits| limits.set(Limit::RunWallTime, SHORT_MS)).await;
    scene.hostile.rest(std::time::Duration::from_secs(u64::from(u32::MAX)), "rows are sent again".into()).await;
    let error = scene.hostile.load(order("calls")).await.unwrap_err();
    assert!(matches!(error, Error::Limit { exceeded, .. } if exceeded.limit == Limit::RunWallTime), "{error}");
}

#[tokio::test]
async fn reads_the_environment() {
    let scene = Scene::set(|_| {}).await;
    assert_eq!(scene.harmless("reads_the_environment").await, "[] [] None");
}

#[tokio::test]
async fn looks_for_folders() {
    let scene = Scene::set(|_| {}).await;
    assert_eq!(scene.harmless("looks_for_folders").await, "0");
}

#[tokio::test]
async fn opens_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught(&format!("opens_a_socket {}", listener.local_addr().unwrap())).await, @r#"source `puppet` 1.2.3: ErrorCode { code: 1, name: "access-denied", message: "" }"#);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "a connection was opened");
}

#[tokio::test]
async fn looks_up_a_name() {
    let scene = Scene::set(|_| {}).await;
    insta::assert_snapshot!(scene.caught("looks_up_a_name").await, @r#"source `puppet` 1.2.3: ErrorCode { code: 20, name: "permanent-resolver-failure", message: "" }"#);
}

#[tokio::test]
async fn an_adapter_that_never_finishes_its_configuration_is_stopped() {
    let mut config = config(json!({"wish": "ponder"}));
    config.limits.set(Limit::CallTime, SHORT_MS);
    insta::assert_snapshot!(adapter().open(config).await.unwrap_err().to_string(), @"destination `puppet` 1.2.3 computes for more than 0.5 s without returning, in `configure`");
}
