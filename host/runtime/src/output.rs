//! The output of a guest: its stdout, stderr and log messages. Each line goes to the log, up to a limit, and the end is kept for the message
//! about a trap.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use infrahub_sync_base::limits::{Limit, Limits};

use crate::advice::below;
use crate::error::AdapterName;
use crate::secret::Scrubber;
use crate::usage::{Line, Usage};

/// A traceback of Python with a few frames.
const TAIL_BYTES_MAX: usize = 8 << 10;

/// One guest's output. Clones write to the same place.
#[derive(Clone)]
pub(crate) struct GuestOutput {
    adapter: Arc<AdapterName>,
    scrubber: Scrubber,
    usage: Arc<Usage>,
    limits: Limits,
    buffer: Arc<Mutex<Buffer>>,
}

#[derive(Default)]
struct Buffer {
    line: Vec<u8>,
    tail: Vec<u8>,
}

impl GuestOutput {
    pub(crate) fn new(adapter: Arc<AdapterName>, scrubber: Scrubber, usage: Arc<Usage>, limits: &Limits) -> Self {
        Self { adapter, scrubber, usage, limits: limits.clone(), buffer: Arc::default() }
    }

    fn buffer(&self) -> std::sync::MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a line of log and returns whether it may be written. A warning replaces the first that may not.
    pub(crate) fn may_write(&self) -> bool {
        match self.usage.log_line(&self.limits) {
            Line::Written => true,
            Line::FirstDropped => {
                let (limit, most) = (Limit::LogLines, self.limits.get(Limit::LogLines));
                let raise = limit.raise(most).map(|line| format!("; for more, write {}: `{line}`", below(self.adapter.role)));
                let raise = raise.unwrap_or_default();
                tracing::warn!("{} {}: the others are dropped{raise}", self.adapter, limit.excess(most));
                false
            }
            Line::Dropped => false,
        }
    }

    /// Returns a line of log, cut to the longest that is allowed.
    pub(crate) fn cut(&self, message: &str) -> String {
        let most = self.limits.count(Limit::LogLineLength);
        match message.char_indices().nth(most) {
            Some((end, _)) => format!("{}… (cut at {} characters)", &message[..end], Limit::LogLineLength.show(most as u64)),
            None => message.to_owned(),
        }
    }

    /// Returns the end of the output since the last call began, without secrets.
    pub(crate) fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&self.buffer().tail).trim().to_owned();
        self.scrubber.scrub(text)
    }

    /// Keeps a message for the case that the guest ends now, as a panic hook's does.
    pub(crate) fn remember(&self, message: &str) {
        let mut buffer = self.buffer();
        buffer.keep(message.as_bytes());
        buffer.keep(b"\n");
    }

    pub(crate) fn clear(&self) {
        self.buffer().tail.clear();
    }

    fn take(&self, bytes: &[u8]) {
        let mut buffer = self.buffer();
        buffer.keep(bytes);
        if !tracing::enabled!(target: "infrahub_sync::adapter", tracing::Level::DEBUG) {
            return;
        }
        // Of a line that is too long no more is kept than shows that it is, and a secret at its end whole.
        let kept_max = self.limits.count(Limit::LogLineLength).saturating_mul(4) + (16 << 10);
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut buffer.line);
                if self.may_write() {
                    let line = self.scrubber.scrub(String::from_utf8_lossy(&line).into_owned());
                    let (adapter, line) = (&self.adapter, self.cut(&line));
                    tracing::debug!(target: "infrahub_sync::adapter", %adapter, "{line}");
                }
            } else if buffer.line.len() < kept_max {
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
        let name = Arc::new(AdapterName { role: None, name: "x".into(), version: String::new() });
        let output = GuestOutput::new(name, Scrubber::default(), Arc::new(Usage::new()), &Limits::default());
        output.take(&[b'a'; TAIL_BYTES_MAX]);
        output.take(b"Traceback\nValueError\n");
        assert!(output.tail().ends_with("aTraceback\nValueError"));
        assert!(output.tail().len() <= TAIL_BYTES_MAX);
        output.clear();
        assert_eq!(output.tail(), "");
    }
}
