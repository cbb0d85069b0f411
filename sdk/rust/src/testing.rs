//! A mock host for an adapter's own unit tests.
//!
//! On a target that is not wasm32, [`http`](crate::http), [`files`](crate::files), [`memo`](crate::memo) and [`log`](crate::log) come
//! here. Each thread has a host of its own. `cargo test` usually runs each test on a thread of its own, but not with
//! `--test-threads=1`: begin each test with [`reset`].
//!
//! It has none of the real host's limits (number and size of responses and memos, time), and it does not repeat requests.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use serde_json::Value;

use crate::http::{HttpError, Request};
use crate::log::Level;
use crate::{Adapter, Layout, LoadRequest, Operation, Page, Payload, Result, Target, WriteRequest};

/// The host of one test thread.
#[derive(Default)]
struct Host {
    answers: BTreeMap<(String, String), VecDeque<MockResponse>>,
    handler: Option<Handler>,
    breaks: Vec<Break>,
    requests: Vec<Request>,
    messages: Vec<(Level, String)>,
    folder: Folder,
    failures: Vec<(String, String)>,
    run_memos: BTreeMap<String, Vec<u8>>,
    lasting_memos: BTreeMap<String, Vec<u8>>,
}

/// Answers requests that have no registered answer.
type Handler = Box<dyn FnMut(&Request) -> Option<(u16, Vec<(String, String)>, Vec<u8>)>>;
/// Says which request is to fail.
type Break = Box<dyn FnMut(&Request) -> bool>;

/// The place of the files.
enum Folder {
    Memory(BTreeMap<String, Vec<u8>>),
    Disk(PathBuf),
}

impl Default for Folder {
    fn default() -> Folder {
        Folder::Memory(BTreeMap::new())
    }
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// A response that a test registered, or the bytes of a file.
#[derive(Debug, Clone)]
pub struct MockResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl MockResponse {
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|header| header.0.eq_ignore_ascii_case(name)).map(|header| header.1.clone())
    }

    pub(crate) fn json(&self, pointers: &[String]) -> Vec<Option<String>> {
        let document = serde_json::from_slice::<Value>(&self.body).ok();
        pointers.iter().map(|pointer| Some(document.as_ref()?.pointer(pointer)?.to_string())).collect()
    }

    pub(crate) fn count(&self, pointer: &str) -> Option<u32> {
        let document = serde_json::from_slice::<Value>(&self.body).ok()?;
        document.pointer(pointer)?.as_array().and_then(|array| u32::try_from(array.len()).ok())
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.body.clone()
    }
}

/// Forgets everything registered and recorded.
pub fn reset() {
    HOST.set(Host::default());
}

/// Registers the answer to a request. The URL must be the same text. Several answers to the same request are given in their
/// order, the last one repeatedly.
pub fn respond(method: &str, url: &str, status: u16, body: impl Into<Vec<u8>>) {
    respond_with_headers(method, url, status, &[], body);
}

/// Does the same as [`respond`], with headers.
pub fn respond_with_headers(method: &str, url: &str, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let answer = MockResponse { status, headers, body: body.into() };
    HOST.with_borrow_mut(|host| host.answers.entry((method.into(), url.into())).or_default().push_back(answer));
}

/// Registers a function that answers the requests without an answer of their own, by status, headers and body; `None` fails in transport. It is
/// for systems with one URL for everything. A later one replaces it.
pub fn respond_with(handler: impl FnMut(&Request) -> Option<(u16, Vec<(String, String)>, Vec<u8>)> + 'static) {
    HOST.with_borrow_mut(|host| host.handler = Some(Box::new(handler)));
}

/// Makes the next request for which `breaks` is true fail in transport, once, whatever its answer would be: the connection breaks, and it
/// is unknown whether the request arrived.
pub fn fail_request(breaks: impl FnMut(&Request) -> bool + 'static) {
    HOST.with_borrow_mut(|host| host.breaks.push(Box::new(breaks)));
}

/// Begins another run: memos of the run are forgotten, lasting ones are not.
pub fn next_run() {
    HOST.with_borrow_mut(|host| host.run_memos.clear());
}

/// Returns the requests that were sent, in their order.
#[must_use]
pub fn requests() -> Vec<Request> {
    HOST.with_borrow(|host| host.requests.clone())
}

/// Returns the logged messages, in their order.
#[must_use]
pub fn messages() -> Vec<(Level, String)> {
    HOST.with_borrow(|host| host.messages.clone())
}

/// Keeps files in a folder on disk instead of memory.
pub fn use_folder(path: impl Into<PathBuf>) {
    HOST.with_borrow_mut(|host| host.folder = Folder::Disk(path.into()));
}

/// Puts a file into the folder.
pub fn put_file(path: &str, bytes: impl AsRef<[u8]>) {
    let written = HOST.with_borrow_mut(|host| host.folder.write(path, bytes.as_ref()));
    assert!(written.is_ok(), "{path}: {written:?}");
}

/// Returns the bytes of a file of the folder.
#[must_use]
pub fn file(path: &str) -> Option<Vec<u8>> {
    HOST.with_borrow(|host| host.folder.bytes(path).ok())
}

/// Makes the next file operation (`read`, `append`, `replace`, `remove`) on that path fail.
pub fn fail_once(operation: &str, path: &str) {
    HOST.with_borrow_mut(|host| host.failures.push((operation.into(), path.into())));
}

/// Makes a request for the first page of a resource.
#[must_use]
pub fn first_page(resource: &str, fields: &[&str]) -> LoadRequest {
    LoadRequest::new(resource, fields, 1000)
}

/// Makes a request for the first page of a target: its resource, and the paths of its fields.
#[must_use]
pub fn first_page_of(target: &Target) -> LoadRequest {
    let fields: Vec<&str> = target.fields.iter().map(|field| field.read_path()).collect();
    LoadRequest { targets: vec![target.clone()], ..first_page(target.resource_or_kind(), &fields) }
}

/// Makes a write of these rows.
#[must_use]
pub fn write_request(target: &Target, operation: Operation, rows: &[Value]) -> WriteRequest {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    WriteRequest { target: target.clone(), operation, rows: lines.into_bytes(), count }
}

/// Reads all pages, and returns their records as the host would see them.
///
/// # Errors
/// The adapter's error.
pub fn load_all<A: Adapter>(adapter: &A, mut request: LoadRequest) -> Result<Vec<Value>> {
    let mut records = Vec::new();
    loop {
        let page = adapter.load(&request)?;
        records.extend(page_records(&page));
        match page.next {
            Some(cursor) => request.cursor = Some(cursor),
            None => return Ok(records),
        }
    }
}

/// Returns the records of a page.
///
/// # Panics
/// When the payload breaks the contract, which fails the test; also for packed columns, which it cannot read.
#[must_use]
pub fn page_records(page: &Page) -> Vec<Value> {
    let lines = |bytes: &[u8]| {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|error| panic!("a line is not JSON: {error}"))).collect::<Vec<Value>>()
    };
    match &page.payload {
        Payload::JsonLines(bytes) => lines(bytes),
        Payload::Document(document) if document.layout == Layout::JsonLines => lines(&document.response.body()),
        Payload::Document(document) => {
            let found = document.response.json(&[&document.pointer]).pop().flatten();
            let found = found.unwrap_or_else(|| panic!("there is nothing at {:?}", document.pointer));
            match serde_json::from_str(&found) {
                Ok(Value::Array(records)) => records,
                Ok(Value::Object(records)) => records.into_iter().map(|(_, record)| record).collect(),
                other => panic!("neither a list nor an object at {:?}: {other:?}", document.pointer),
            }
        }
        Payload::Columns(_) => panic!("the mock host cannot read packed columns"),
    }
}

pub(crate) fn logged(level: Level, message: &str) {
    HOST.with_borrow_mut(|host| host.messages.push((level, message.to_owned())));
}

pub(crate) fn transmit(request: &Request) -> Result<MockResponse, HttpError> {
    HOST.with_borrow_mut(|host| host.requests.push(request.clone()));
    // The host is not borrowed while a test's function runs: the function may use the host.
    let mut breaks = HOST.with_borrow_mut(|host| std::mem::take(&mut host.breaks));
    let broken = breaks.iter_mut().position(|breaks| breaks(request));
    if let Some(at) = broken {
        drop(breaks.remove(at));
    }
    HOST.with_borrow_mut(|host| {
        breaks.append(&mut host.breaks);
        host.breaks = breaks;
    });
    if broken.is_some() {
        return Err(HttpError::Transport(format!("{} {}: the connection broke, as the test asked", request.method, request.url)));
    }
    let registered = HOST.with_borrow_mut(|host| {
        let answers = host.answers.get_mut(&(request.method.clone(), request.url.clone()))?;
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
    });
    if let Some(answer) = registered {
        return Ok(answer);
    }
    let handler = HOST.with_borrow_mut(|host| host.handler.take());
    let answer = handler.and_then(|mut handler| {
        let answer = handler(request);
        HOST.with_borrow_mut(|host| {
            host.handler.get_or_insert(handler);
        });
        answer
    });
    match answer {
        Some((status, headers, body)) => Ok(MockResponse { status, headers, body }),
        None => Err(HttpError::Transport(format!("no answer is registered for {} {}", request.method, request.url))),
    }
}

/// The memo interface of the mock host, with the names of the real one.
pub(crate) mod memo {
    use super::HOST;
    use crate::memo::Lifetime;

    pub(crate) fn get(lifetime: Lifetime, key: &str) -> Option<Vec<u8>> {
        HOST.with_borrow(|host| {
            let memos = match lifetime {
                Lifetime::Run => &host.run_memos,
                Lifetime::Lasting => &host.lasting_memos,
            };
            memos.get(key).cloned()
        })
    }

    pub(crate) fn put(lifetime: Lifetime, key: &str, value: &[u8]) -> Vec<u8> {
        HOST.with_borrow_mut(|host| match lifetime {
            Lifetime::Run => host.run_memos.entry(key.to_owned()).or_insert_with(|| value.to_owned()).clone(),
            Lifetime::Lasting => {
                host.lasting_memos.insert(key.to_owned(), value.to_owned());
                value.to_owned()
            }
        })
    }
}

impl Folder {
    fn bytes(&self, path: &str) -> std::io::Result<Vec<u8>> {
        match self {
            Folder::Memory(files) => files.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into()),
            Folder::Disk(folder) => std::fs::read(folder.join(path)),
        }
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Folder::Memory(files) => {
                files.insert(path.to_owned(), bytes.to_owned());
                Ok(())
            }
            Folder::Disk(folder) => std::fs::write(folder.join(path), bytes),
        }
    }
}

/// The files interface of the mock host, with the names of the real one.
pub(crate) mod folder {
    use std::io::Write;

    use super::{Folder, HOST, Host, MockResponse};
    use crate::files::FileError;

    fn other(error: std::io::Error) -> FileError {
        match error.kind() {
            std::io::ErrorKind::NotFound => FileError::NotFound,
            _ => FileError::Other(error.to_string()),
        }
    }

    /// Runs an operation, unless a test asked it to fail or the path leads out of the folder.
    fn run<T>(operation: &str, path: &str, body: impl FnOnce(&mut Host) -> std::io::Result<T>) -> Result<T, FileError> {
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(FileError::Denied(format!("`{path}` leads out of the folder")));
        }
        HOST.with_borrow_mut(|host| {
            if let Some(at) = host.failures.iter().position(|(name, of)| name == operation && of == path) {
                host.failures.remove(at);
                return Err(FileError::Other("a failure that the test asked for".into()));
            }
            body(host).map_err(other)
        })
    }

    pub(crate) fn list() -> Result<Vec<String>, FileError> {
        run("list", ".", |host| {
            let mut names: Vec<String> = match &host.folder {
                Folder::Memory(files) => files.keys().filter(|path| !path.contains('/')).cloned().collect(),
                Folder::Disk(folder) => std::fs::read_dir(folder)?
                    .filter_map(Result::ok)
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
                    .filter_map(|entry| entry.file_name().into_string().ok())
                    .collect(),
            };
            names.sort();
            Ok(names)
        })
    }

    pub(crate) fn read(path: &str) -> Result<MockResponse, FileError> {
        let body = run("read", path, |host| host.folder.bytes(path))?;
        Ok(MockResponse { status: 200, headers: Vec::new(), body })
    }

    pub(crate) fn read_lines(path: &str, offset: u64, bytes_max: u32) -> Result<(MockResponse, Option<u64>), FileError> {
        let bytes = run("read", path, |host| host.folder.bytes(path))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let limit = start.saturating_add(usize::try_from(bytes_max).unwrap_or(usize::MAX)).min(bytes.len());
        // The last whole line within the limit, else the first one after it.
        let end = match bytes[start..limit].iter().rposition(|byte| *byte == b'\n') {
            _ if limit == bytes.len() => limit,
            Some(at) => start + at + 1,
            None => bytes[limit..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| limit + at + 1),
        };
        let next = (end < bytes.len()).then_some(end as u64);
        Ok((MockResponse { status: 200, headers: Vec::new(), body: bytes[start..end].to_vec() }, next))
    }

    pub(crate) fn append(path: &str, new: &[u8]) -> Result<(), FileError> {
        run("append", path, |host| match &mut host.folder {
            Folder::Memory(files) => {
                files.entry(path.to_owned()).or_default().extend_from_slice(new);
                Ok(())
            }
            Folder::Disk(folder) => std::fs::OpenOptions::new().create(true).append(true).open(folder.join(path))?.write_all(new),
        })
    }

    pub(crate) fn replace(from: &str, to: &str) -> Result<(), FileError> {
        run("replace", from, |host| match &mut host.folder {
            Folder::Memory(files) => {
                let bytes = files.remove(from).ok_or(std::io::ErrorKind::NotFound)?;
                files.insert(to.to_owned(), bytes);
                Ok(())
            }
            Folder::Disk(folder) => std::fs::rename(folder.join(from), folder.join(to)),
        })
    }

    pub(crate) fn remove(path: &str) -> Result<(), FileError> {
        run("remove", path, |host| match &mut host.folder {
            Folder::Memory(files) => {
                files.remove(path);
                Ok(())
            }
            Folder::Disk(folder) => match std::fs::remove_file(folder.join(path)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                done => done,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;
    use crate::ErrorKind;
    use crate::http;

    fn ask(body: &str) -> Result<u16> {
        http::post("/graphql", &body)?.send().map(|response| response.status())
    }

    #[test]
    fn a_handler_answers_requests_without_an_answer_of_their_own() {
        reset();
        let mut asked = 0;
        respond_with(move |request| {
            asked += 1;
            // The function may use the host.
            assert_eq!(requests().last().unwrap().body, request.body);
            let body = String::from_utf8(request.body.clone()?).unwrap();
            (body != "\"nothing\"").then(|| (200 + asked, vec![("X-Asked".into(), asked.to_string())], body.into_bytes()))
        });
        respond("GET", "/exact", 299, "");
        assert_eq!((ask("a").unwrap(), ask("b").unwrap()), (201, 202));
        assert_eq!(http::get("/exact").send().unwrap().status(), 299);
        assert_eq!(ask("nothing").unwrap_err().kind, ErrorKind::Transport);
        let last = http::post("/graphql", &"c").unwrap().send().unwrap();
        assert_eq!((last.header("x-asked").as_deref(), last.body().as_slice()), (Some("4"), &b"\"c\""[..]));
        respond_with(|_| Some((500, Vec::new(), Vec::new())));
        assert_eq!(ask("d").unwrap(), 500);
        reset();
        assert_eq!(ask("e").unwrap_err().kind, ErrorKind::Transport);
    }

    #[test]
    fn a_request_fails_in_transport_once() {
        reset();
        respond_with(|_| Some((200, Vec::new(), Vec::new())));
        respond("GET", "/exact", 200, "");
        fail_request(|request| request.body.as_deref() == Some(b"\"b\""));
        fail_request(|request| request.method == "GET");
        assert_eq!(ask("a").unwrap(), 200);
        assert_eq!(ask("b").unwrap_err().kind, ErrorKind::Transport);
        assert_eq!(ask("b").unwrap(), 200);
        assert_eq!(http::get("/exact").send().unwrap_err().kind, ErrorKind::Transport);
        assert_eq!(http::get("/exact").send().unwrap().status(), 200);
        assert_eq!(requests().len(), 5);
    }
}
