//! HTTP/1.1 on the loopback interface, a thread for each connection. Written by hand, since no server library resets
//! a connection, cuts a body or closes a socket without a word.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A request, read whole.
#[derive(Clone)]
pub(crate) struct Incoming {
    pub(crate) connection: u64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Its client has an answer already.
    pub(crate) is_late: bool,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Keep,
    /// The socket is closed, although nothing in the answer says so.
    CloseSilently,
    /// Only so much of the body is sent.
    Truncate(usize),
    /// The connection is reset, nothing is sent.
    Reset,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
    /// Bytes in a piece, and the pause after each.
    pub(crate) slow: Option<(usize, Duration)>,
    /// The request is executed after this time, when the client has gone with this answer.
    pub(crate) late: Option<(Duration, Incoming)>,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
            end: End::Keep,
            slow: None,
            late: None,
        }
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Reply {
        Reply::new(status, "application/json", value.to_string())
    }
}

/// A listener; dropping it closes every connection and waits for none.
pub(crate) struct Listener {
    pub(crate) address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
    /// Weak, as a connection is only reset when its last handle goes.
    open: Arc<std::sync::Mutex<Vec<Weak<TcpStream>>>>,
    /// The threads of the connections: each holds a clone as long as it reads, works or answers.
    busy: Arc<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A body above this is refused: nothing that a test sends is larger.
const BODY_BYTES_MAX: usize = 256 << 20;

impl Listener {
    pub(crate) fn start(
        port: u16,
        connections: Arc<AtomicU64>,
        handler: impl Fn(Incoming) -> Reply + Send + Sync + 'static,
    ) -> std::io::Result<Listener> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let open: Arc<std::sync::Mutex<Vec<Weak<TcpStream>>>> = Arc::default();
        let busy: Arc<()> = Arc::default();
        let handler = Arc::new(handler);
        let (stopped, streams, working) = (stop.clone(), open.clone(), busy.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let connection = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let stream = Arc::new(stream);
                if let Ok(mut list) = streams.lock() {
                    list.retain(|s| s.strong_count() > 0);
                    list.push(Arc::downgrade(&stream));
                }
                let (handler, working) = (handler.clone(), working.clone());
                std::thread::spawn(move || {
                    // A client that goes away is not an error of the server.
                    let _ = serve(&stream, connection, &*handler);
                    drop(working);
                });
            }
        });
        Ok(Listener { address, stop, open, busy, thread: Some(thread) })
    }

    /// Waits until every connection has ended whose client had opened it before this call.
    pub(crate) fn wait_until_idle(&self) -> std::io::Result<()> {
        // Connections are accepted in their order: when this one is answered, none of the earlier ones waits to be accepted.
        let mut last = TcpStream::connect(self.address)?;
        last.write_all(b"POST /_fake/faults HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")?;
        last.read_to_end(&mut Vec::new())?;
        // The listener's own clones: that of the thread that accepts, and this one.
        while Arc::strong_count(&self.busy) > 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        // What the threads did comes before what the caller does now.
        std::sync::atomic::fence(Ordering::Acquire);
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The listener waits in `accept`: a connection wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Ok(open) = self.open.lock() {
            for stream in open.iter().filter_map(Weak::upgrade) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn serve(stream: &TcpStream, connection: u64, handler: &dyn Fn(Incoming) -> Reply) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    while let Some(incoming) = read(&mut reader, &mut writer, connection)? {
        let asked_to_close = incoming.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let reply = handler(incoming);
        if reply.end == End::Reset {
            // Zero linger makes the system send a reset instead of an orderly end.
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len()));
        let sent = match reply.end {
            End::Truncate(bytes) => &reply.body[..bytes.min(reply.body.len())],
            _ => &reply.body,
        };
        match reply.slow {
            None => {
                let mut whole = head.into_bytes();
                whole.extend_from_slice(sent);
                writer.write_all(&whole)?;
            }
            Some((bytes, pause)) => {
                writer.write_all(head.as_bytes())?;
                for piece in sent.chunks(bytes.max(1)) {
                    std::thread::sleep(pause);
                    writer.write_all(piece)?;
                }
            }
        }
        writer.flush()?;
        if reply.end != End::Keep || asked_to_close {
            let _ = writer.shutdown(Shutdown::Both);
            if let Some((pause, incoming)) = reply.late {
                std::thread::sleep(pause);
                handler(incoming);
            }
            return Ok(());
        }
    }
    Ok(())
}

fn read(reader: &mut BufReader<&TcpStream>, writer: &mut &TcpStream, connection: u64) -> std::io::Result<Option<Incoming>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let invalid = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let mut parts = line.split_whitespace();
    let (Some(method), Some(target)) = (parts.next(), parts.next()) else { return Err(invalid("no request line")) };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(invalid("the head ends early"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    if header("expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue")) {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = size.trim().split(';').next().unwrap_or_default().to_owned();
            let size = usize::from_str_radix(&size, 16).map_err(|_| invalid("a chunk without a size"))?;
            if size == 0 {
                let mut end = String::new();
                while reader.read_line(&mut end)? > 2 {
                    end.clear();
                }
                break;
            }
            if body.len() + size > BODY_BYTES_MAX {
                return Err(invalid("the body is too large"));
            }
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            let mut end = String::new();
            reader.read_line(&mut end)?;
        }
    } else if let Some(length) = header("content-length") {
        let length: usize = length.parse().map_err(|_| invalid("content-length is not a number"))?;
        if length > BODY_BYTES_MAX {
            return Err(invalid("the body is too large"));
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name, true), decoded(value, true))
        })
        .collect();
    Ok(Some(Incoming { connection, method, path: decoded(path, false), query, headers, body, is_late: false }))
}

/// Undoes percent-encoding; in a query a plus is a space.
fn decoded(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = text.get(i + 1..i + 3).filter(|_| bytes[i] == b'%').and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(byte) => {
                out.push(byte);
                i += 3;
                continue;
            }
            None if plus && bytes[i] == b'+' => out.push(b' '),
            None => out.push(bytes[i]),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
