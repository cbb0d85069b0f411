//! The real servers of `tests/live`, for tests of the second tier: started when needed, asked and changed beside the program.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Silence after which a server counts as gone: a busy Infrahub lets requests wait for a minute.
const SILENCE: Duration = Duration::from_secs(300);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(250);

/// Returns the folder of the repository.
///
/// # Panics
/// When it is gone.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// Returns the folder of the servers' programs and data.
#[must_use]
pub fn live_folder() -> PathBuf {
    root().join(std::env::var_os("INFRAHUB_SYNC_LIVE_DIR").unwrap_or_else(|| "target/live".into()))
}

/// The right to use the servers: one test at a time, over all threads and processes. Infrahub works on one request at a time anyway, and
/// a test that changes NetBox must not meet one that reads it.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "dropping it gives the lock back")] File);

impl Turn {
    /// Waits until no other test uses the servers.
    ///
    /// # Panics
    /// When the lock cannot be taken.
    #[must_use]
    pub fn wait() -> Turn {
        let folder = live_folder();
        std::fs::create_dir_all(&folder).expect("the folder of the live servers");
        let file = File::create(folder.join("tests.lock")).expect("the lock of the live tests");
        file.lock().expect("the lock of the live tests");
        Turn(file)
    }
}

/// Runs a command in the repository, which must succeed.
///
/// # Panics
/// When it does not, with what it said.
pub fn must(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().expect("the command runs");
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}", said());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the folder with the example projects of infrahub-sync 2.0.1: that which `INFRAHUB_SYNC_EXAMPLES` names, or else the one that
/// `tests/live/reference.sh` downloads. They are not copied into this repository. Without them, prints that the test is skipped.
///
/// # Panics
/// When the script fails.
#[must_use]
#[allow(clippy::print_stderr, reason = "a test that cannot run on this machine says so")]
pub fn examples_of_2_0_1() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("INFRAHUB_SYNC_EXAMPLES") {
        return Some(PathBuf::from(folder));
    }
    let output = Command::new("tests/live/reference.sh").arg("examples").current_dir(root()).output().expect("the script runs");
    if output.status.code() == Some(77) {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Parses the report of `up`: `netbox 4.7.3 on http://…`, and `token … (THE TOKEN)`.
fn address_and_token(report: &str) -> (String, String) {
    let url = report.split_whitespace().find(|word| word.starts_with("http://")).expect("an address in the report").to_owned();
    let line = report.lines().find(|line| line.starts_with("token")).expect("a token in the report");
    let token = line.rsplit('(').next().and_then(|rest| rest.strip_suffix(')')).expect("a token in the report");
    (url, token.to_owned())
}

/// Sends a request to a server. Returns the status and the body as JSON (null for other bodies).
fn request(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> (u16, Value) {
    let host = url.trim_start_matches("http://");
    let body = body.map(Value::to_string).unwrap_or_default();
    // HTTP/1.0: the answer ends where the connection does.
    let mut request = format!("{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers.iter().chain(&[("content-type", "application/json")]) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = TcpStream::connect(host).expect("the server listens");
    stream.set_read_timeout(Some(SILENCE)).expect("a time limit");
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The NetBox.
#[derive(Debug, Clone)]
pub struct NetBox {
    /// Its address.
    pub url: String,
    /// Its token of the first kind.
    pub token: String,
}

impl NetBox {
    /// Starts it if need be, and gives it the made-up network as `load_netbox.py` makes it.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn up() -> NetBox {
        let (url, token) = address_and_token(&must(Command::new("tests/live/netbox.sh").arg("up")));
        let netbox = NetBox { url, token };
        // What an interrupted run has changed is put back before the loader looks at natural keys; an empty one cannot be put back.
        let restored = Command::new("python3").args(netbox.script("change_netbox.py")).arg("restore").current_dir(root()).output();
        if !restored.expect("python3 runs").status.success() {
            must(Command::new("python3").args(netbox.script("load_netbox.py")));
        }
        netbox
    }

    fn script(&self, name: &str) -> [String; 3] {
        [format!("tests/live/{name}"), self.url.clone(), self.token.clone()]
    }

    /// Sends a request to its API. Returns the status and the body as JSON (null for other bodies).
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        request(&self.url, method, path, &[("authorization", &format!("Token {}", self.token))], body)
    }

    /// `edits`, `deletes` or `restore` of `change_netbox.py`.
    ///
    /// # Panics
    /// When that fails.
    pub fn change(&self, what: &str) -> Value {
        let text = must(Command::new("python3").args(self.script("change_netbox.py")).arg(what));
        serde_json::from_str(&text).expect("JSON of change_netbox.py")
    }
}

/// The Infrahub.
#[derive(Debug, Clone)]
pub struct Infrahub {
    /// Its address.
    pub url: String,
    /// The administrator's token.
    pub token: String,
}

impl Infrahub {
    /// Starts it if need be, and loads the schemas that are missing: each is known by one of its kinds.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn up(schemas: &[(&str, &str)]) -> Infrahub {
        let (url, token) = address_and_token(&must(Command::new("tests/live/infrahub.sh").arg("up")));
        let infrahub = Infrahub { url, token };
        let known = infrahub.request("GET", "/api/schema/summary?branch=main", &[], None).1;
        for (kind, file) in schemas {
            if known["nodes"].get(kind).is_none() {
                must(Command::new("tests/live/infrahub.sh").args(["load", file]));
            }
        }
        infrahub
    }

    /// Sends a request. Returns the status and the body as JSON (null for other bodies).
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> (u16, Value) {
        request(&self.url, method, path, headers, body)
    }

    /// GraphQL on a branch: its data, or the errors.
    pub fn ask(&self, branch: &str, document: &str) -> Result<Value, Value> {
        let (_, mut answer) =
            self.request("POST", &format!("/graphql/{branch}"), &[("x-infrahub-key", &self.token)], Some(&json!({ "query": document })));
        if answer["errors"].is_null() { Ok(answer["data"].take()) } else { Err(answer) }
    }

    /// GraphQL that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn must(&self, branch: &str, document: &str) -> Value {
        self.ask(branch, document).unwrap_or_else(|errors| panic!("{document}: {errors}"))
    }

    /// Makes a branch for a test, from main.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn branch(&self, name: &str) -> Branch {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let name = format!("live-{name}-{now}");
        self.must(
            "main",
            &format!("mutation{{BranchCreate(data:{{name:\"{name}\",sync_with_git:false}},wait_until_completion:true){{ok}}}}"),
        );
        Branch { infrahub: self.clone(), name }
    }

    /// Makes an object on the default branch for as long as a test needs it; `data` is what it has, as GraphQL writes it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn lend(&self, kind: &str, name: &str, data: &str) -> Lent {
        let name = json!(name);
        // What a killed run has left.
        let found = self.must("main", &format!("{{{kind}(name__value:{name}){{edges{{node{{id}}}}}}}}"));
        if let Some(id) = found[kind]["edges"][0]["node"]["id"].as_str() {
            return Lent { infrahub: self.clone(), kind: kind.to_owned(), id: id.to_owned() };
        }
        let id = self.create("main", kind, &format!("name:{{value:{name}}} {data}"));
        Lent { infrahub: self.clone(), kind: kind.to_owned(), id }
    }

    /// Makes an object; its id.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn create(&self, branch: &str, kind: &str, data: &str) -> String {
        let made = self.must(branch, &format!("mutation{{{kind}Create(data:{{{data}}}){{object{{id}}}}}}"));
        made[format!("{kind}Create")]["object"]["id"].as_str().expect("an id").to_owned()
    }
}

/// An object of the default branch that goes with the test.
#[derive(Debug)]
pub struct Lent {
    infrahub: Infrahub,
    kind: String,
    /// Its id.
    pub id: String,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let _ = self.infrahub.ask("main", &format!("mutation{{{}Delete(data:{{id:\"{}\"}}){{ok}}}}", self.kind, self.id));
    }
}

/// A branch that goes with the test, unless the test fails.
#[derive(Debug)]
pub struct Branch {
    infrahub: Infrahub,
    /// Its name.
    pub name: String,
}

impl Branch {
    /// GraphQL that must succeed.
    pub fn must(&self, document: &str) -> Value {
        self.infrahub.must(&self.name, document)
    }

    /// Returns the nodes of a list: `fields` of each object of the kind that the filters name.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn nodes(&self, kind: &str, filters: &str, fields: &str) -> Vec<Value> {
        let list = self.must(&format!("{{{kind}({filters} limit:5000){{edges{{node{{{fields}}}}}}}}}"));
        let edges = list[kind]["edges"].as_array().expect("a list");
        edges.iter().map(|edge| edge["node"].clone()).collect()
    }

    /// Returns the one object of a name.
    ///
    /// # Panics
    /// When there is none, or several.
    pub fn node(&self, kind: &str, name: &str, fields: &str) -> Value {
        let mut found = self.nodes(kind, &format!("name__value:{}", json!(name)), fields);
        assert_eq!(found.len(), 1, "{kind} {name} on {}", self.name);
        found.remove(0)
    }

    /// Returns the number of objects of a kind.
    pub fn count(&self, kind: &str) -> u64 {
        self.must(&format!("{{{kind}{{count}}}}"))[kind]["count"].as_u64().unwrap_or_default()
    }

    /// Changes an object by hand; `data` as GraphQL writes it.
    pub fn update(&self, kind: &str, id: &Value, data: &str) {
        self.must(&format!("mutation{{{kind}Update(data:{{id:{id} {data}}}){{ok}}}}"));
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        // What a failed test has left is worth a look.
        if !std::thread::panicking() {
            let document = format!("mutation{{BranchDelete(data:{{name:\"{}\"}},wait_until_completion:true){{ok}}}}", self.name);
            let _ = self.infrahub.ask("main", &document);
        }
    }
}

/// Waits until something is so. Infrahub does some of its work after its answer: labels, values of profiles.
///
/// # Panics
/// When it is not so after two minutes.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(120), "after two minutes still not: {what}");
        std::thread::sleep(LOOK);
    }
}
