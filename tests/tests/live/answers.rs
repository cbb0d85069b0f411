//! Answers of a real Infrahub that are lost on the way: a proxy of the test gives up while the server goes on, or the program is killed and resumes
//! while its own request is still being executed. The judge is a query of the server's own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use infrahub_sync_test_server::{Answer, Reply, Request, Server};
use infrahub_sync_tests::Project;
use infrahub_sync_tests::live::{Branch, Infrahub, Turn, wait_until};
use serde_json::{Value, json};

use crate::infrahub::in_sync;

const SHAPES: (&str, &str) = ("TestingEverything", "tests/live/infrahub/schema.yml");
const KIND: &str = "TestingEverything";
/// Objects: few enough for a test, and more than a server executes at once.
const OBJECTS: usize = 60;

/// What happens to an answer.
#[derive(Clone, Copy)]
enum Cut {
    /// The proxy answers in the server's place.
    Status(u16),
    /// The connection ends.
    Close,
}

/// A proxy before the server, which loses answers.
struct Proxy {
    server: Server,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    /// The next answers to mutations that are lost.
    cuts: Mutex<Vec<Cut>>,
    /// The rows of the mutations so far.
    rows: AtomicUsize,
    /// Killed when the next mutation has been passed on.
    victim: Mutex<Option<Child>>,
    /// Requests that the server still executes.
    running: AtomicUsize,
}

impl Proxy {
    fn start(infrahub: &Infrahub) -> Proxy {
        let (host, plan) = (infrahub.url.trim_start_matches("http://").to_owned(), Arc::<Plan>::default());
        let shared = plan.clone();
        let server = Server::start(move |request| {
            if !request.text().contains("mutation(") {
                return pass(&host, request);
            }
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            shared.rows.fetch_add(
                body["variables"].as_object().map_or(0, |rows| rows.keys().filter(|name| name.starts_with('d')).count()),
                Ordering::SeqCst,
            );
            let mut cuts = shared.cuts.lock().unwrap();
            let cut = (!cuts.is_empty()).then(|| cuts.remove(0));
            drop(cuts);
            let victim = shared.victim.lock().unwrap().take();
            if cut.is_none() && victim.is_none() {
                return pass(&host, request);
            }
            // The server continues, although no one waits for its answer.
            shared.running.fetch_add(1, Ordering::SeqCst);
            let (host, request, orphan) = (host.clone(), request.clone(), shared.clone());
            std::thread::spawn(move || {
                drop(pass(&host, &request));
                orphan.running.fetch_sub(1, Ordering::SeqCst);
            });
            if let Some(mut victim) = victim {
                // It still executes the request when its client dies.
                std::thread::sleep(Duration::from_millis(300));
                let _ = victim.kill();
                *shared.victim.lock().unwrap() = None;
                let _ = victim.wait();
                return Reply::Close;
            }
            match cut {
                Some(Cut::Status(status)) => Answer::status(status).close().into(),
                _ => Reply::Close,
            }
        });
        Proxy { server, plan }
    }

    fn rows(&self) -> usize {
        self.plan.rows.swap(0, Ordering::SeqCst)
    }

    /// Waits until the server has executed everything.
    fn settle(&self) {
        wait_until("the server has executed all requests", || self.plan.running.load(Ordering::SeqCst) == 0);
    }
}

/// Passes a request on.
fn pass(host: &str, request: &Request) -> Reply {
    let mut head = format!("{} {} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", request.method, request.target, request.body.len());
    for name in ["x-infrahub-key", "content-type", "x-priority"] {
        if !request.header(name).is_empty() {
            head.push_str(&format!("{name}: {}\r\n", request.header(name)));
        }
    }
    let mut stream = TcpStream::connect(host).expect("the server listens");
    stream.write_all(&[head.as_bytes(), b"\r\n", &request.body].concat()).expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut reply = Answer::ok(&answer[end + 4..]).with_status(status);
    for line in head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ")
            && ["content-type", "date", "retry-after", "x-infrahub-admission"].contains(&name.to_ascii_lowercase().as_str())
        {
            reply = reply.header(name, value);
        }
    }
    reply.into()
}

/// A project that writes through the proxy.
fn project(proxy: &Proxy, infrahub: &Infrahub, branch: &Branch) -> Project {
    let mut project = Project::new(&format!(
        "name: live\nsource: {{name: files, settings: {{path: source}}}}\n\
         destination: {{name: infrahub, settings: {{url: \"{}\", branch: {}}}}}\ndiffsync_flags: [NONE]\ndeletes: all\nmax_deletes: 100%\nschema_mapping:\n  \
         - {{name: {KIND}, mapping: all, identifiers: [name], fields: [{{name: name, mapping: name}}, {{name: text, mapping: text}}]}}\n",
        proxy.server.url(),
        branch.name
    ));
    project.set("INFRAHUB_API_TOKEN", &infrahub.token);
    project
}

fn source(project: &Project, count: usize, text: &str) {
    let records: Value = (0..count).map(|n| json!({"id": n, "name": format!("answer-{n:03}"), "text": text})).collect();
    project.write("source/all.json", &records.to_string());
}

/// The names and texts that the server has.
fn held(branch: &Branch) -> Vec<(String, String)> {
    let text = |node: &Value, field: &str| node[field]["value"].as_str().unwrap_or_default().to_owned();
    let nodes = branch.nodes(KIND, "", "name{value} text{value}");
    let mut held: Vec<(String, String)> = nodes.iter().map(|node| (text(node, "name"), text(node, "text"))).collect();
    held.sort();
    held
}

fn wanted(count: usize, text: &str) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("answer-{n:03}"), text.to_owned())).collect()
}

#[test]
fn a_proxy_that_gives_up_while_infrahub_goes_on_costs_no_row() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let branch = infrahub.branch("answers");
    let proxy = Proxy::start(&infrahub);
    let project = project(&proxy, &infrahub, &branch);
    let cut = |cuts: &[Cut]| *proxy.plan.cuts.lock().unwrap() = cuts.to_vec();
    for (count, text, cuts, rows) in [
        (OBJECTS, "made", &[Cut::Status(504)][..], None),
        (OBJECTS, "changed", &[Cut::Status(504)], Some(OBJECTS)),
        (OBJECTS, "again", &[Cut::Close], Some(OBJECTS)),
        (OBJECTS / 2, "again", &[Cut::Status(504)], Some(OBJECTS / 2)),
    ] {
        source(&project, count, text);
        proxy.rows();
        cut(cuts);
        let output = project.ok(&["sync", "--no-diff"]);
        proxy.settle();
        assert_eq!(held(&branch), wanted(count, text), "{}", output.stderr);
        if let Some(rows) = rows {
            assert_eq!(proxy.rows(), rows, "no row is sent twice: {}", output.stderr);
        }
        in_sync(&project, &[]);
    }
}

#[test]
fn an_apply_that_resumes_while_its_killed_request_is_executed_reads_again() {
    let _turn = Turn::wait();
    let infrahub = Infrahub::up(&[SHAPES]);
    let branch = infrahub.branch("resumed");
    let proxy = Proxy::start(&infrahub);
    let project = project(&proxy, &infrahub, &branch);
    for round in 0..6 {
        let text = format!("round {round}");
        // Creates, updates and deletes in turn.
        let count = if round % 2 == 0 { OBJECTS } else { OBJECTS / 2 };
        source(&project, count, &text);
        let run = format!("r{round}");
        project.ok(&["diff", "--run-id", &run]);
        let mut command = project.command(&["apply", "--run-id", &run]);
        let mut place = proxy.plan.victim.lock().unwrap();
        *place = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        drop(place);
        wait_until("the program is killed", || proxy.plan.victim.lock().unwrap().is_none());
        let resumed = project.ok(&["apply", "--run-id", &run]);
        proxy.settle();
        assert_eq!(held(&branch), wanted(count, &text), "round {round}: {}", resumed.stderr);
        in_sync(&project, &[]);
    }
}
