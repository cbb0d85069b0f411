//! Hostile adapters and hostile servers, with the whole program: what the user reads, how it exits, and that the destination is not touched.

use std::io::Write as _;

use crate::puppet::{PUPPET, puppet};
use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use infrahub_sync_tests::{Output, Project};

const KEPT: &str = "{\"name\":\"kept\"}\n";

/// A project with a destination that has a row.
pub(crate) fn project(source: &str, resource: &str) -> Project {
    let project = Project::new(&config(source, resource));
    project.write("destination/Thing.jsonl", KEPT);
    project
}

pub(crate) fn config(source: &str, resource: &str) -> String {
    format!(
        "name: hostile
source:
{}
destination: {{name: files, settings: {{path: destination}}}}
diffsync_flags: [NONE]
deletes: all
schema_mapping:
  - name: Thing
    mapping: {resource}
    identifiers: [name]
    fields: [{{name: name, mapping: name}}]
",
        source.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    )
}

pub(crate) fn puppet_source(more: &str) -> String {
    format!("name: puppet\nadapter: {}\n{more}", puppet().display())
}

/// What a person reads of a failure, and the exit code.
fn told(output: &Output) -> String {
    let failure = output.stderr.find("error: ").map_or("", |at| &output.stderr[at..]);
    format!("{}\nexit code {}", failure.trim_end(), output.code).replace(PUPPET, "PUPPET")
}

/// Runs `sync`, which must fail without a trace in the destination; what it tells.
pub(crate) fn caught(project: &Project) -> String {
    caught_in(project, &project.run(&["sync", "--allow-rowcount-drop"]))
}

/// What a `sync` tells that has failed. It must not have left a trace in the destination.
pub(crate) fn caught_in(project: &Project, output: &Output) -> String {
    assert_eq!(project.read("destination/Thing.jsonl"), KEPT, "{}", output.stderr);
    assert_eq!(std::fs::read_dir(project.path().join("destination")).unwrap().count(), 1, "{}", output.stderr);
    told(output)
}

/// The line of config.yml that a message or hint shows.
pub(crate) fn line_of(told: &str, begin: &str) -> String {
    let at = told.find(&format!("`{begin}: ")).unwrap_or_else(|| panic!("{told}"));
    told[at + 1..].split('`').next().unwrap().to_owned()
}

/// What a misdeed under a limit tells; the line that raises the limit is a good one.
fn limited(misdeed: &str, limits: &str) -> String {
    let project = project(&puppet_source(&format!("limits: {limits}")), misdeed);
    let told = caught(&project);
    let raised = line_of(&told, "limits");
    project.write("config.yml", &config(&puppet_source(&raised), misdeed));
    project.ok(&["validate"]);
    told
}

#[test]
fn a_source_that_goes_beyond_a_limit_ends_the_run_and_writes_nothing() {
    insta::assert_snapshot!(limited("computes_forever", "{call_time: 0.5}"), @r"
    error: source `puppet` 1.2.3 computes for more than 0.5 s without returning, in `load` of `computes_forever`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {call_time: 1}`
    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(limited("computes_for_the_whole_run", "{run_time: 0.5}"), @r"
    error: source `puppet` 1.2.3 has computed for more than 0.5 s in this run, in `load` of `computes_for_the_whole_run`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {run_time: 1}`
    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(limited("hoards_memory", "{memory: 16 MiB}"), @r"
    error: source `puppet` 1.2.3 needs more than 16 MiB of memory, in `load` of `hoards_memory`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {memory: 32 MiB}`
    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(limited("hands_over_too_much", "{page_size: 1 MiB}"), @r"
    error: source `puppet` 1.2.3 handed over more than 1 MiB at once, in `load` of `hands_over_too_much`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {page_size: 2 MiB}`
    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(limited("hands_over_too_many_records", "{page_records: 99}"), @r"
    error: source `puppet` 1.2.3 handed over more than 99 records in one page, in `load` of `hands_over_too_many_records`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {page_records: 198}`
    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(limited("hands_over_too_many_lines", "{page_records: 99}"), @r"
    error: source `puppet` 1.2.3 handed over more than 99 records in one page, in `load` of `hands_over_too_many_lines`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {page_records: 198}`
    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(limited("pages_forever", "{pages: 3}"), @r"
    error: source `puppet` 1.2.3 handed over more than 3 pages of one resource, in `load` of `pages_forever`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {pages: 6}`
    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(limited("pages_forever", "{records: 3}"), @r"
    error: source `puppet` 1.2.3 handed over more than 3 records of one resource, in `load` of `pages_forever`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {records: 6}`
    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
}

#[test]
fn an_adapter_that_breaks_or_lies_ends_the_run_and_writes_nothing() {
    let misdeed = |name: &str| caught(&project(&puppet_source(""), name));
    let told = misdeed("panics");
    assert!(told.contains("\nerror: source `puppet` 1.2.3 stopped in `load`: it all went wrong\n") && told.ends_with("code 4"), "{told}");
    insta::assert_snapshot!(misdeed("lies_about_utf8"), @r"
    error: source `puppet` 1.2.3 broke the contract in `load`: its JSON lines are not UTF-8 at byte 7

    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(misdeed("pages_in_place"), @r"
    error: source `puppet` 1.2.3 broke the contract in `load`: the next page has the cursor of this page, so the list has no end

    hint: `puppet` is the adapter in PUPPET
    exit code 4
    ");
    insta::assert_snapshot!(misdeed("pages_in_a_circle"), @r"
    error: source resource `pages_in_a_circle` returns the same cursor again, so reading would never end

    hint: the system or the adapter repeats a page; please report this to the adapter's author
    exit code 4
    ");
}

#[test]
fn an_adapter_that_logs_forever_is_heard_for_a_while() {
    let project = project(&puppet_source("limits: {log_lines: 2, log_line_length: 80}"), "logs_forever");
    let output = project.run(&["diff"]);
    let warnings: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r"
    warning: line 0 adapter=source `puppet` 1.2.3
    warning: line 1 adapter=source `puppet` 1.2.3
    warning: source `puppet` 1.2.3 wrote more than 2 lines of log in this run: the others are dropped; for more, write under `source:` in config.yml: `limits: {log_lines: 4}`
    warning: the source has no records: `logs_forever`
    ");
    assert_eq!(output.code, 0, "{}", output.stderr);
}

fn answer(body: impl AsRef<[u8]>) -> Answer {
    Answer::ok(body.as_ref()).header("content-type", "application/json").close()
}

/// A list as NetBox gives it.
fn list(next: &str, records: &str) -> Reply {
    answer(format!("{{\"count\": null, \"next\": {next}, \"results\": [{records}]}}")).into()
}

/// What a run tells whose NetBox answers so.
fn netbox(limits: &str, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> String {
    let server = Server::start(move |request| reply(&request.target));
    caught(&netbox_project(&server, limits)).replace(server.url(), "ADDRESS")
}

fn netbox_project(server: &Server, limits: &str) -> Project {
    let settings = format!("settings: {{url: \"{}\", token: hunter2-hunter2, retries: 0, timeout: 5}}", server.url());
    project(&format!("name: netbox\n{settings}\nlimits: {limits}"), "dcim.sites")
}

#[test]
fn answers_without_end_have_one() {
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    insta::assert_snapshot!(
        netbox("{response_size: 1 MiB}", move |_| Reply::Endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".into(), chunk.clone())),
        @r"
    error: source `netbox` 0.1.0 asked for more than 1 MiB at once, in `load` of `dcim.sites`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {response_size: 2 MiB}`
    exit code 4
    "
    );
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 16 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    insta::assert_snapshot!(netbox("{response_size: 1 MiB}", move |_| answer(&bomb).header("content-encoding", "gzip").into()), @r"
    error: source `netbox` 0.1.0 asked for more than 1 MiB at once, in `load` of `dcim.sites`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {response_size: 2 MiB}`
    exit code 4
    ");
    insta::assert_snapshot!(netbox("{}", |_| Reply::Endless("HTTP/1.1 200 OK\r\n".into(), b"x: y\r\n".repeat(1000))), @r"
    error: source `netbox` 0.1.0: GET ADDRESS/api/dcim/sites/?limit=1000&start=0&fields=id,name: message head is too large
    exit code 5
    ");
}

#[test]
fn lists_without_end_have_one() {
    let number = |path: &str| path.split("start=").nth(1).map_or(0, |rest| rest.split('&').next().unwrap().parse::<u64>().unwrap());
    insta::assert_snapshot!(
        netbox("{pages: 5}", move |path| {
            let next = number(path) + 1;
            list(&format!("\"http://elsewhere.example/api/dcim/sites/?start={next}\""), &format!("{{\"id\": {next}, \"name\": \"s{next}\"}}"))
        }),
        @r"
    error: source `netbox` 0.1.0 handed over more than 5 pages of one resource, in `load` of `dcim.sites`

    hint: if that is right for this adapter, write under `source:` in config.yml: `limits: {pages: 10}`
    exit code 4
    "
    );
    insta::assert_snapshot!(netbox("{}", |_| list("\"/?start=7\"", "{\"id\": 7, \"name\": \"a\"}")), @r#"
    error: source `netbox` 0.1.0: NetBox's answer for `dcim.sites` from id 7 on names Some("/?start=7") as the next page
    exit code 5
    "#);
    insta::assert_snapshot!(
        netbox("{}", move |path| list(if number(path) == 7 { "\"/?start=8\"" } else { "\"/?start=7\"" }, "{\"id\": 7, \"name\": \"a\"}")),
        @r#"
    error: source `netbox` 0.1.0: NetBox's answer for `dcim.sites` from id 8 on names Some("/?start=7") as the next page
    exit code 5
    "#
    );
}

#[test]
fn redirects_that_lead_nowhere_are_not_followed() {
    insta::assert_snapshot!(netbox("{}", |path| answer("").with_reason("302 Round").header("location", path).into()), @r"
    error: source `netbox` 0.1.0: GET ADDRESS/api/dcim/sites/?limit=1000&start=0&fields=id,name: more than 10 redirects
    exit code 5
    ");
    insta::assert_snapshot!(netbox("{}", |_| answer("").with_reason("301 Away").header("location", "https://evil.example/").into()), @r"
    error: source `netbox` 0.1.0 was denied: ADDRESS/api/dcim/sites/?limit=1000&start=0&fields=id,name redirects to https://evil.example, which is not the configured origin; to allow it, write under `source:` in config.yml: `grants: {origins: [https://evil.example]}`
    exit code 3
    ");
    insta::assert_snapshot!(netbox("{}", |_| answer("").with_reason("301 Away").header("location", "file:///etc/passwd").into()), @r"
    error: source `netbox` 0.1.0 was denied: ADDRESS/api/dcim/sites/?limit=1000&start=0&fields=id,name redirects to `file:`, which adapters may not use
    exit code 3
    ");
}

#[test]
fn answers_that_are_none_are_told() {
    insta::assert_snapshot!(netbox("{}", |_| Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"count\"")), @r"
    error: source `netbox` 0.1.0: GET ADDRESS/api/dcim/sites/?limit=1000&start=0&fields=id,name: end of file before message length reached
    exit code 5
    ");
    insta::assert_snapshot!(netbox("{}", |_| Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}")), @r"
    error: source `netbox` 0.1.0: GET ADDRESS/api/dcim/sites/?limit=1000&start=0&fields=id,name: invalid content-length parsed
    exit code 5
    ");
    insta::assert_snapshot!(netbox("{}", |_| answer(b"{\"count\": null, \"next\": null, \"results\": [{\"id\": 1, \"name\": \"\xff\"}]}").into()), @r"
    error: source `netbox` 0.1.0: the answer for `dcim.sites` is not from NetBox (application/json): check that `url` is the address of NetBox (HTTP 200)
    exit code 5
    ");
    // A field that is mapped and lists a hundred thousand levels deep; the same beside it is passed over.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let record = format!("{{\"id\": 1, \"name\": {deep}}}");
    insta::assert_snapshot!(netbox("{}", move |_| list("null", &record)), @r"
    error: source resource `dcim.sites`, page 1
    caused by: the records are not valid JSON: recursion limit exceeded at line 1 column 200061

    hint: correct the data there; if the data is as it should be, report this to the adapter's author
    exit code 4
    ");
    // A number of any size is a number.
    let digits = "9".repeat(1000);
    let names = format!("{{\"id\": 1, \"name\": 1e999}}, {{\"id\": 2, \"name\": {digits}}}");
    assert_eq!(planned(names.leak()), [format!("\"{digits}\""), "\"1e999\"".to_owned()]);
}

/// The names that a plan creates from a NetBox that answers so.
fn planned(records: &'static str) -> Vec<String> {
    let server = Server::start(move |_| list("null", records));
    let (_, plan) = netbox_project(&server, "{}").plan(&[]);
    let changes = plan["changes"].as_array().cloned().unwrap_or_default();
    changes.iter().filter(|change| change["action"] == "create").map(|change| change["source_id"].to_string()).collect()
}

#[test]
fn odd_answers_that_are_json_are_read_the_same_way_each_time() {
    // Of a key that stands twice the first counts.
    assert_eq!(planned("{\"id\": 1, \"name\": \"first\", \"name\": \"second\"}"), ["\"first\""]);
    // What is not mapped may be anything.
    let deep = String::leak(format!("{{\"id\": 1, \"x\": {}{}, \"y\": 1e999, \"name\": \"a\"}}", "[".repeat(100_000), "]".repeat(100_000)));
    assert_eq!(planned(deep), ["\"a\""]);
    // Whole numbers beyond 64 bits are numbers all the same.
    assert_eq!(planned("{\"id\": 123456789012345678901234567890, \"name\": \"big\"}"), ["\"big\""]);
}

#[test]
fn a_denial_shows_the_line_that_allows_it() {
    let other = Server::start(|_| answer("{\"results\": [{\"name\": \"kept\"}]}").into());
    let server = Server::start(|_| answer("{}").into());
    // Two names of this machine are two hosts.
    let there = other.url().replace("127.0.0.1", "localhost");
    let settings = format!("settings: {{url: \"{}\", token: hunter2-hunter2}}", server.url());
    let order = format!("get {there}/x");
    let project = project(&puppet_source(&settings), &order);
    let told = caught(&project);
    let line = line_of(&told, "grants");
    insta::assert_snapshot!(told.replace(&there, "THERE").replace(server.url(), "ADDRESS"), @r"
    error: source `puppet` 1.2.3 was denied: THERE is not the configured origin ADDRESS; to allow it, write under `source:` in config.yml: `grants: {origins: [THERE]}`

    hint: `puppet` is the adapter in PUPPET
    exit code 3
    ");
    assert_eq!(other.count(), 0);
    project.write("config.yml", &config(&puppet_source(&format!("{settings}\n{line}")), &order));
    project.ok(&["diff"]);
    let seen = other.seen().iter().map(Request::raw).collect::<Vec<_>>().join("\n");
    assert!(seen.starts_with("GET /x ") && !seen.contains("hunter2") && !seen.contains("authorization"), "{seen}");
}
