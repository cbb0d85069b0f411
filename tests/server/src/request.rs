//! A request as it came.

use std::io::Read;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The number of requests before this one.
    pub number: usize,
    /// The method: `GET`.
    pub method: String,
    /// The path with its query: `/api/sites/?limit=1000`.
    pub target: String,
    /// The headers in their order. Names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    head: String,
}

impl Request {
    /// Returns the target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns a parameter of the query as it stands there. Nothing is decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Returns a header by its name in lower case; an empty text when the request has none of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|header| header.0 == name).map_or("", |header| &header.1)
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the whole request as it came: request line, headers, empty line, body.
    #[must_use]
    pub fn raw(&self) -> String {
        format!("{}\r\n\r\n{}", self.head, self.text())
    }

    /// Returns the request line and the headers as they came.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Reads the next request of a connection; `rest` holds what came after the last one. Returns `None` when the client has gone.
    pub(crate) fn read(stream: &mut impl Read, rest: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
        let end = loop {
            if let Some(end) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            if !more(stream, rest)? {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        rest.drain(..end + 4);
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let headers: Vec<(String, String)> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|header| header.0 == "content-length").and_then(|header| header.1.parse().ok()).unwrap_or(0);
        while rest.len() < length {
            if !more(stream, rest)? {
                return Ok(None);
            }
        }
        let body = rest.drain(..length).collect();
        Ok(Some(Request { number: 0, method, target, headers, body, head }))
    }
}

/// Reads some bytes. Returns false when the client has gone.
fn more(stream: &mut impl Read, rest: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut chunk = [0; 4096];
    let read = stream.read(&mut chunk)?;
    rest.extend_from_slice(chunk.get(..read).unwrap_or_default());
    Ok(read > 0)
}
