//! Recorded exchanges: what an adapter asked and what it was answered, to be replayed without network, credentials or address.
//!
//! ```text
//! <folder>/<adapter>.jsonl     one exchange a line:
//! {"request": {"method": "GET", "path": "/api/status/", "body": "…"},
//!  "response": {"status": 200, "headers": {"content-type": "application/json"}, "body": "…"}}
//! ```
//!
//! `path` begins below the configured address and has the query, without the parameters that carry credentials. A body is text, or
//! `{"base64": "…"}`. The address itself is written as [`REPLAY_ADDRESS`] wherever a server repeats it (NetBox's `next`), so that links in
//! recorded answers work in a replay, whatever address its configuration has. Known secrets are masked.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::private::{create_private_file, random_name};
use crate::response::{Body, HostResponse};

/// The address that a replay has. No such host can exist (RFC 2606).
pub const REPLAY_ADDRESS: &str = "http://replay.invalid";

/// Whether HTTP is real.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Exchanges {
    /// It is.
    #[default]
    Live,
    /// It is, and is written to `<adapter>.jsonl` in this folder.
    Record(PathBuf),
    /// It is not: `<adapter>.jsonl` in this folder answers.
    Replay(PathBuf),
    /// It is not: a function answers. Nothing is repeated, so the adapter sees each answer as it is given.
    StandIn(StandIn),
}

/// Answers requests in the place of a system.
#[derive(Clone)]
pub struct StandIn(Arc<Answering>);

type Answering = dyn Fn(&Asked) -> std::result::Result<Answer, String> + Send + Sync;

impl StandIn {
    /// Makes a system of a function. Its error stands for a broken connection: the reason, in words.
    pub fn new(answer: impl Fn(&Asked) -> std::result::Result<Answer, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// Asks it.
    ///
    /// # Errors
    /// Where there is no answer, the reason.
    pub fn ask(&self, request: &Asked) -> std::result::Result<Answer, String> {
        (self.0)(request)
    }

    pub(crate) fn answer(&self, request: RequestLine) -> std::result::Result<HostResponse, String> {
        let answer = self.ask(&request.into_asked()?)?;
        Ok(HostResponse { status: answer.status, headers: answer.headers, body: Body::new(answer.body) })
    }
}

impl fmt::Debug for StandIn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("StandIn")
    }
}

impl PartialEq for StandIn {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for StandIn {}

/// A request as recordings know it: without credentials, its path below the configured address, query included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns an answer of JSON.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".into(), "application/json".into())], body: body.into() }
    }
}

/// Reads the exchanges of an adapter from a folder, in the order in which they were recorded.
pub fn read_recording(folder: &Path, adapter: &str) -> Result<Vec<(Asked, Answer)>> {
    let path = folder.join(format!("{adapter}.jsonl"));
    let damaged = |reason: String| Error::Exchanges { path: path.clone(), reason: format!("are damaged: {reason}") };
    let mut exchanges = Vec::new();
    for (request, response) in read_lines(&path)? {
        let asked = request.into_asked().map_err(damaged)?;
        exchanges.push((asked, Answer { status: response.status, headers: response.headers, body: response.body.as_bytes().to_vec() }));
    }
    Ok(exchanges)
}

/// Words in the names of response headers that are not recorded: they carry credentials, or what the proxies of a site say of themselves.
const NOT_RECORDED: [&str; 13] =
    ["cookie", "auth", "token", "secret", "password", "credential", "session", "api-key", "apikey", "csrf", "xsrf", "jwt", "signature"];
/// Headers of the connection: a replay has another one.
const OF_CONNECTION: [&str; 6] = ["connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "alt-svc"];

/// Returns whether a response header is recorded: adapters read any of them (`x-total`, `link`), and a recording is there to be passed on.
fn is_recorded(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !NOT_RECORDED.iter().any(|word| name.contains(word)) && !OF_CONNECTION.contains(&name.as_str())
}

/// One session's way to the exchanges.
#[derive(Clone)]
pub(crate) enum Exchange {
    Live,
    Record(Arc<Recorder>),
    Replay(Arc<Replay>),
    StandIn(StandIn),
}

impl Exchange {
    pub(crate) fn open(exchanges: &Exchanges, adapter: &str, recorder: impl FnOnce(PathBuf) -> Result<Arc<Recorder>>) -> Result<Self> {
        let file = |folder: &Path| folder.join(format!("{adapter}.jsonl"));
        Ok(match exchanges {
            Exchanges::Live => Exchange::Live,
            Exchanges::Record(folder) => Exchange::Record(recorder(file(folder))?),
            Exchanges::Replay(folder) => Exchange::Replay(Arc::new(Replay::read(&file(folder))?)),
            Exchanges::StandIn(stand_in) => Exchange::StandIn(stand_in.clone()),
        })
    }

    pub(crate) fn finish(&self) -> Result<()> {
        match self {
            Exchange::Record(recorder) => recorder.finish(),
            Exchange::Live | Exchange::Replay(_) | Exchange::StandIn(_) => Ok(()),
        }
    }
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    request: RequestLine,
    response: ResponseLine,
}

/// A request, by which its answer is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct RequestLine {
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<BodyLine>,
}

#[derive(Serialize, Deserialize)]
struct ResponseLine {
    status: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: BodyLine,
}

/// A body in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum BodyLine {
    Text(String),
    Binary { base64: String },
}

impl Default for BodyLine {
    fn default() -> Self {
        BodyLine::Text(String::new())
    }
}

impl BodyLine {
    pub(crate) fn new(bytes: &[u8], mask: &impl Mask) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(body) => BodyLine::Text(mask.text(body)),
            Err(_) => BodyLine::Binary { base64: BASE64.encode(mask.bytes(bytes)) },
        }
    }

    fn into_bytes(self) -> std::result::Result<Vec<u8>, String> {
        match self {
            BodyLine::Text(text) => Ok(text.into_bytes()),
            BodyLine::Binary { base64 } => BASE64.decode(base64).map_err(|error| format!("has a bad base64 body: {error}")),
        }
    }
}

/// Masks what must not be in a file.
pub(crate) trait Mask {
    /// Returns a text without it.
    fn text(&self, text: &str) -> String;
    /// Returns bytes that are not a text, without it.
    fn bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]>;
}

impl RequestLine {
    fn into_asked(self) -> std::result::Result<Asked, String> {
        let body = self.body.map(BodyLine::into_bytes).transpose()?;
        Ok(Asked { method: self.method, path: self.path, body })
    }
}

/// Writes exchanges as they happen to a file beside the final one, which it replaces in the end.
pub(crate) struct Recorder {
    path: PathBuf,
    state: Mutex<Recording>,
}

struct Recording {
    file: fs::File,
    /// The file's name as long as it is not in its place.
    temporary: Option<PathBuf>,
    /// The first failure; reported at the end.
    failed: Option<String>,
}

impl Recorder {
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let fail = |reason: std::io::Error| Error::Exchanges { path: path.clone(), reason: format!("cannot be written: {reason}") };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(fail)?;
        let temporary = folder.join(format!(".{}.part", random_name().map_err(fail)?));
        let file = create_private_file(&temporary).map_err(fail)?;
        Ok(Self { path, state: Mutex::new(Recording { file, temporary: Some(temporary), failed: None }) })
    }

    /// Adds an exchange.
    pub(crate) fn record(&self, request: RequestLine, response: &HostResponse, mask: &impl Mask) {
        let mut headers = BTreeMap::new();
        for (name, value) in response.headers.iter().filter(|(name, _)| is_recorded(name)) {
            // An adapter sees the first of several.
            headers.entry(name.to_ascii_lowercase()).or_insert_with(|| mask.text(value));
        }
        let body = BodyLine::new(response.body.as_bytes(), mask);
        let line = Line { request, response: ResponseLine { status: response.status, headers, body } };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let written = serde_json::to_string(&line).map_err(std::io::Error::from).and_then(|mut line| {
            line.push('\n');
            // One write a line: a killed run leaves whole lines, but for the last.
            state.file.write_all(line.as_bytes())
        });
        if let Err(error) = written {
            state.failed.get_or_insert(error.to_string());
        }
    }

    pub(crate) fn finish(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fail = |reason: String| Error::Exchanges { path: self.path.clone(), reason: format!("cannot be written: {reason}") };
        if let Some(reason) = &state.failed {
            // It stays so: what is there is not all, and must not take the place of an earlier recording.
            return Err(fail(reason.clone()));
        }
        state.file.sync_all().map_err(|error| fail(error.to_string()))?;
        // A second session on the same file may go on writing: the file is the same under its new name.
        if let Some(temporary) = state.temporary.take() {
            infrahub_sync_durable::rename(&temporary, &self.path).map_err(|error| fail(error.source.to_string()))?;
        }
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!("{error}");
            let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            if let Some(temporary) = &state.temporary {
                let _ = fs::remove_file(temporary);
            }
        }
    }
}

/// Reads a file of exchanges.
fn read_lines(path: &Path) -> Result<Vec<(RequestLine, HostResponse)>> {
    let fail = |reason: String| Error::Exchanges { path: path.to_owned(), reason };
    let file = fs::File::open(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let mut exchanges = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| fail(format!("cannot be read: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&line).map_err(|error| fail(format!("are damaged in line {number}: {error}")))?;
        let body = line.response.body.into_bytes().map_err(|reason| fail(format!("are damaged: line {number} {reason}")))?;
        let headers = line.response.headers.into_iter().collect();
        exchanges.push((line.request, HostResponse { status: line.response.status, headers, body: Body::new(body) }));
    }
    Ok(exchanges)
}

/// Answers from a file.
pub(crate) struct Replay {
    path: PathBuf,
    answers: Mutex<HashMap<RequestLine, Answers>>,
}

/// The answers to one request, in their order. The last one is given again and again.
#[derive(Default)]
struct Answers {
    given: usize,
    answers: Vec<HostResponse>,
}

impl Replay {
    fn read(path: &Path) -> Result<Self> {
        let mut answers: HashMap<RequestLine, Answers> = HashMap::new();
        for (request, response) in read_lines(path)? {
            answers.entry(request).or_default().answers.push(response);
        }
        Ok(Self { path: path.to_owned(), answers: Mutex::new(answers) })
    }

    /// Returns the next answer to that request; the error names what is missing.
    pub(crate) fn answer(&self, request: &RequestLine) -> std::result::Result<HostResponse, String> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get_mut(request).and_then(|answers| {
            let answer = answers.answers.get(answers.given).or(answers.answers.last()).cloned();
            answers.given = answers.given.saturating_add(1);
            answer
        });
        answer.ok_or_else(|| {
            let body = if request.body.is_some() { " with that body" } else { "" };
            format!("{} {}{body} is not among the recorded exchanges of {}", request.method, request.path, self.path.display())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Masks nothing.
    struct Plain;

    impl Mask for Plain {
        fn text(&self, text: &str) -> String {
            text.to_owned()
        }

        fn bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
            bytes.into()
        }
    }

    fn request(path: &str, body: Option<&str>) -> RequestLine {
        RequestLine { method: "GET".into(), path: path.into(), body: body.map(|body| BodyLine::Text(body.into())) }
    }

    fn response(body: &[u8]) -> HostResponse {
        HostResponse {
            status: 200,
            headers: vec![
                ("Content-Type".into(), "text/plain".into()),
                ("Date".into(), "Mon, 12 Jan 1970 13:46:40 GMT".into()),
                ("Set-Cookie".into(), "sid=1".into()),
                ("X-Total".into(), "1100".into()),
                ("X-Total".into(), "7".into()),
                ("X-Auth-Token".into(), "sid=1".into()),
                ("Content-Length".into(), "3".into()),
            ],
            body: Body::new(body.to_vec()),
        }
    }

    #[test]
    fn what_is_recorded_is_replayed_in_order_and_the_last_again() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("deep/x.jsonl");
        let recorder = Recorder::create(path.clone()).unwrap();
        recorder.record(request("/a", None), &response(b"one"), &Plain);
        recorder.record(request("/a", None), &response(b"two"), &Plain);
        recorder.record(request("/a", Some("{}")), &response(b"\xff\x00"), &Plain);
        assert!(!path.exists());
        recorder.finish().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("sid=1") && !text.to_lowercase().contains("cookie"), "{text}");
        insta::assert_snapshot!(text.lines().last().unwrap(), @r#"{"request":{"method":"GET","path":"/a","body":"{}"},"response":{"status":200,"headers":{"content-type":"text/plain","date":"Mon, 12 Jan 1970 13:46:40 GMT","x-total":"1100"},"body":{"base64":"/wA="}}}"#);

        let replay = Replay::read(&path).unwrap();
        let body = |request: &RequestLine| replay.answer(request).unwrap().body.as_bytes().to_vec();
        assert_eq!(body(&request("/a", None)), b"one");
        assert_eq!(body(&request("/a", Some("{}"))), b"\xff\x00");
        assert_eq!(body(&request("/a", None)), b"two");
        assert_eq!(body(&request("/a", None)), b"two");
        assert!(replay.answer(&request("/b", None)).unwrap_err().starts_with("GET /b is not among the recorded exchanges of "));
    }

    #[test]
    fn a_recording_is_read_in_order_and_a_stand_in_may_answer_from_it() {
        let temporary = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(temporary.path().join("x.jsonl")).unwrap();
        recorder.record(request("/a", Some("{}")), &response(b"\xff\x00"), &Plain);
        recorder.record(request("/b", None), &response(b"two"), &Plain);
        recorder.finish().unwrap();
        let exchanges = read_recording(temporary.path(), "x").unwrap();
        let asked: Vec<_> = exchanges.iter().map(|(asked, _)| (asked.path.as_str(), asked.body.as_deref())).collect();
        assert_eq!(asked, [("/a", Some(&b"{}"[..])), ("/b", None)]);
        assert_eq!(exchanges[0].1.body, b"\xff\x00");
        let stand_in = StandIn::new(move |asked| {
            let found = exchanges.iter().find(|(known, _)| known == asked).map(|(_, answer)| answer.clone());
            found.ok_or_else(|| format!("{} is not there", asked.path))
        });
        assert_eq!(stand_in.answer(request("/b", None)).unwrap().body.as_bytes(), b"two");
        assert_eq!(stand_in.answer(request("/c", None)).unwrap_err(), "/c is not there");
        assert!(read_recording(temporary.path(), "y").unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn a_dropped_recorder_puts_its_file_in_place() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.jsonl");
        drop(Recorder::create(path.clone()).unwrap());
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
        assert!(path.exists());
    }

    #[test]
    fn a_damaged_line_is_named() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.jsonl");
        fs::write(&path, "\n{\"request\": {\"method\": \"GET\", \"path\": \"/\"}, \"response\": {\"status\": 204}}\n{").unwrap();
        assert!(Replay::read(&path).err().unwrap().to_string().contains("are damaged in line 3"));
        let missing = Exchange::open(&Exchanges::Replay(temporary.path().join("none")), "x", |_| unreachable!()).err().unwrap();
        assert!(missing.to_string().contains("cannot be read"));
    }
}
