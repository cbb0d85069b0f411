//! As few connections as a session may have requests at a time.
//!
//! A connection comes back to the pool a moment after its answer has been read, and the next request begins at once: it would open another
//! one, which is superfluous when the first is back. So it waits a moment, and opens none when it has been served meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use reqwest::{Response, Version, header};
use tower_layer::Layer;
use tower_service::Service;

/// How long a connection may be on its way back: far longer than it is on a machine under load. Waited in vain only after an answer whose
/// connection was closed without a word.
const WAY_BACK: Duration = Duration::from_millis(250);

tokio::task_local! {
    /// There while a connection is wanted: the pool finishes in another task what was begun for a request that has been served.
    static WANTED: ();
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// When a connection was last given back.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Option<Instant>>>);

impl Connections {
    /// Sends a request.
    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Response> {
        WANTED.scope((), request.send()).await
    }

    /// Notes that an answer has been read whole.
    pub(super) fn give_back(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Returns how long to wait for a connection that is on its way.
    fn way_back(&self) -> Option<Duration> {
        let given_back = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        WAY_BACK.checked_sub(given_back?.elapsed()).filter(|wait| !wait.is_zero())
    }
}

/// Returns whether the connection stays open after this answer.
pub(super) fn stays_open(response: &Response) -> bool {
    let closes = |value: &header::HeaderValue| value.as_bytes().to_ascii_lowercase().windows(5).any(|word| word == b"close");
    response.version() >= Version::HTTP_11 && !response.headers().get_all(header::CONNECTION).iter().any(closes)
}

impl<S> Layer<S> for Connections {
    type Service = Connect<S>;

    fn layer(&self, inner: S) -> Connect<S> {
        Connect { connections: self.clone(), inner }
    }
}

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connect<S> {
    connections: Connections,
    inner: S,
}

impl<S, R> Service<R> for Connect<S>
where
    S: Service<R, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // The one that is ready, not its copy.
        let inner = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, inner);
        let wait = self.connections.way_back();
        Box::pin(async move {
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
                if WANTED.try_with(|&()| ()).is_err() {
                    return Err("the request was served by another connection".into());
                }
            }
            inner.call(request).await
        })
    }
}
