//! An HTTP/1.1 server on loopback for tests. A closure answers each request, on a thread of the connection's own.
//!
//! The closure may wait for whatever a test coordinates (a barrier, a channel), so that no test needs to sleep. An [`Answer`] is a well-formed
//! response; a [`Reply`] can also be cut short, malformed, endless, missing or reset.
//!
//! ```
//! use infrahub_sync_test_server::{Answer, Server};
//!
//! let server = Server::start(|request| match request.path() {
//!     "/api/sites/" => Answer::json(r#"{"results": []}"#).into(),
//!     _ => Answer::status(404).into(),
//! });
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! assert_eq!(server.count(), 0);
//! ```

mod request;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use request::Request;

/// A well-formed response. Its length is added as it is sent, and the connection stays open for the next request.
#[derive(Debug, Clone)]
pub struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// Returns status 200 with a body of bytes.
    pub fn ok(body: impl Into<Vec<u8>>) -> Answer {
        Answer { status: "200 OK".to_owned(), headers: Vec::new(), body: body.into() }
    }

    /// Returns status 200 with a JSON document.
    pub fn json(document: impl ToString) -> Answer {
        Answer::ok(document.to_string()).header("content-type", "application/json")
    }

    /// Returns a status without a body. The reason phrase is empty.
    #[must_use]
    pub fn status(status: u16) -> Answer {
        Answer::ok([]).with_status(status)
    }

    /// Replaces the status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Answer {
        self.status = format!("{status} ");
        self
    }

    /// Replaces the status by a status and a reason phrase: `301 Moved Permanently`.
    #[must_use]
    pub fn with_reason(mut self, status: &str) -> Answer {
        status.clone_into(&mut self.status);
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Answer {
        self.body = body.into();
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Closes the connection after this answer.
    #[must_use]
    pub fn close(self) -> Answer {
        self.header("connection", "close")
    }

    /// Sends only the first bytes of the body, then closes the connection. The length still promises the whole body.
    #[must_use]
    pub fn cut(self, bytes: usize) -> Reply {
        let end = self.head().len() + bytes;
        let mut all = self.bytes();
        all.truncate(end);
        Reply::Raw(all)
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        head
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }

    fn closes(&self) -> bool {
        self.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close"))
    }
}

/// Writes a reply to a connection by hand.
pub type Writing = Box<dyn FnOnce(&mut dyn Write) -> std::io::Result<()> + Send>;

/// The answer to a request.
pub enum Reply {
    /// A response.
    Answer(Answer),
    /// Exactly these bytes. The connection is closed after them.
    Raw(Vec<u8>),
    /// A first part, then a second one again and again, for as long as the client reads.
    Endless(Vec<u8>, Vec<u8>),
    /// Whatever the closure writes. The connection is closed after it.
    Write(Writing),
    /// No byte, until the client closes the connection.
    Silence,
    /// No byte: the connection is closed.
    Close,
    /// No byte: the connection is reset.
    Reset,
}

impl Reply {
    /// Returns a reply of exactly these bytes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply::Raw(bytes.into())
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply::Answer(answer)
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Answer(answer) => formatter.debug_tuple("Answer").field(answer).finish(),
            Reply::Raw(bytes) => formatter.debug_tuple("Raw").field(&String::from_utf8_lossy(bytes)).finish(),
            Reply::Endless(..) => formatter.write_str("Endless"),
            Reply::Write(_) => formatter.write_str("Write"),
            Reply::Silence => formatter.write_str("Silence"),
            Reply::Close => formatter.write_str("Close"),
            Reply::Reset => formatter.write_str("Reset"),
        }
    }
}

/// The state that the threads of a server share.
struct Shared {
    reply: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    seen: Mutex<Vec<Request>>,
    requests: AtomicUsize,
    connections: AtomicUsize,
    is_over: AtomicBool,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Vec<Request>> {
        // A test that panicked while it held the list has failed anyway.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server on a free port of 127.0.0.1, which ends with this value.
pub struct Server {
    url: String,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server that replies to each request as the closure says. Requests arrive in parallel, one at a time on each connection.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the address of the server");
        let shared = Arc::new(Shared {
            reply: Box::new(reply),
            seen: Mutex::default(),
            requests: AtomicUsize::default(),
            connections: AtomicUsize::default(),
            is_over: AtomicBool::default(),
        });
        let accepted = shared.clone();
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepted.is_over.load(Ordering::SeqCst) {
                    return;
                }
                accepted.connections.fetch_add(1, Ordering::SeqCst);
                let shared = accepted.clone();
                // The thread ends when its client goes.
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Server { url: format!("http://{address}"), shared, accepting: Some(accepting) }
    }

    /// Starts a server that gives these replies one after the other, whatever it is asked. After the last one, each request gets status 500.
    ///
    /// # Panics
    /// When no port is free.
    pub fn script(replies: impl IntoIterator<Item = Reply>) -> Server {
        let replies = Mutex::new(replies.into_iter().collect::<std::collections::VecDeque<Reply>>());
        Server::start(move |_| {
            let next = replies.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            next.unwrap_or_else(|| Answer::status(500).body("the script has ended").into())
        })
    }

    /// Returns the address: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the requests so far, in the order of their arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen().clone()
    }

    /// Returns the requests since the last call of this method.
    #[must_use]
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.seen())
    }

    /// Returns the number of requests so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Returns the number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then ends and frees the port.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Answers the requests of one connection.
fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut rest = Vec::new();
    while let Some(mut request) = Request::read(&mut stream, &mut rest)? {
        {
            let mut seen = shared.seen();
            request.number = shared.requests.fetch_add(1, Ordering::SeqCst);
            seen.push(request.clone());
        }
        // Any write fails when the client has gone, which ends this connection alone.
        match (shared.reply)(&request) {
            Reply::Answer(answer) => {
                let closes = answer.closes();
                stream.write_all(&answer.bytes())?;
                if closes {
                    break;
                }
            }
            Reply::Raw(bytes) => {
                stream.write_all(&bytes)?;
                break;
            }
            Reply::Endless(first, again) => {
                stream.write_all(&first)?;
                loop {
                    stream.write_all(&again)?;
                }
            }
            Reply::Write(write) => {
                write(&mut stream)?;
                break;
            }
            Reply::Silence => {
                while std::io::Read::read(&mut stream, &mut [0; 1024])? > 0 {}
                break;
            }
            Reply::Close => break,
            Reply::Reset => return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        }
    }
    stream.shutdown(std::net::Shutdown::Write)
}
