//! What a guest writes to its stdout and stderr, and logs as errors: on to the log line by line, and the end of it kept for the message about a trap.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::error::AdapterName;
use crate::secret::Scrubber;

/// A traceback of Python with a few frames.
const TAIL_BYTES_MAX: usize = 8 << 10;
/// A longer line is broken.
const LINE_BYTES_MAX: usize = 4 << 10;

/// One guest's output. Clones write to the same place.
#[derive(Clone)]
pub(crate) struct GuestOutput(Arc<Mutex<Buffer>>);

struct Buffer {
    adapter: Arc<AdapterName>,
    scrubber: Scrubber,
    line: Vec<u8>,
    tail: Vec<u8>,
}

impl GuestOutput {
    pub(crate) fn new(adapter: Arc<AdapterName>, scrubber: Scrubber) -> Self {
        Self(Arc::new(Mutex::new(Buffer { adapter, scrubber, line: Vec::new(), tail: Vec::new() })))
    }

    /// The end of what was written since the last call began, without secrets.
    pub(crate) fn tail(&self) -> String {
        let buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.scrubber.scrub(String::from_utf8_lossy(&buffer.tail).trim().to_owned())
    }

    /// Keeps a message for the case that the guest ends now, as a panic hook's does.
    pub(crate) fn remember(&self, message: &str) {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.keep(message.as_bytes());
        buffer.keep(b"\n");
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tail.clear();
    }

    fn take(&self, bytes: &[u8]) {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.keep(bytes);
        for byte in bytes {
            if *byte == b'\n' || buffer.line.len() >= LINE_BYTES_MAX {
                let line = std::mem::take(&mut buffer.line);
                let line = buffer.scrubber.scrub(String::from_utf8_lossy(&line).into_owned());
                tracing::debug!(target: "infrahub_sync::adapter", adapter = %buffer.adapter, "{line}");
            }
            if *byte != b'\n' {
                buffer.line.push(*byte);
            }
        }
    }
}

impl Buffer {
    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..excess);
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let output = GuestOutput::new(Arc::new(AdapterName { role: None, name: "x".into(), version: String::new() }), Scrubber::default());
        output.take(&[b'a'; TAIL_BYTES_MAX]);
        output.take(b"Traceback\nValueError\n");
        assert!(output.tail().ends_with("aTraceback\nValueError"));
        assert!(output.tail().len() <= TAIL_BYTES_MAX);
        output.clear();
        assert_eq!(output.tail(), "");
    }
}
