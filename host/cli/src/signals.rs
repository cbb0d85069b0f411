//! Ctrl-C and SIGTERM: the first asks the engine to stop, the second quits.

use std::sync::Arc;

use infrahub_sync_engine::Stop;

use crate::command_error::CommandError;
use crate::exit::Exit;
use crate::screen::Screen;

/// Ctrl-C, and SIGTERM as `systemctl stop` and Kubernetes send it, received from the moment of its creation.
pub(crate) struct Signals {
    #[cfg(unix)]
    received: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    /// Begins to receive signals, which then no longer end the program.
    pub(crate) fn new() -> Signals {
        Signals {
            #[cfg(unix)]
            received: {
                use tokio::signal::unix::{SignalKind, signal};
                // A signal that cannot be received ends the program, as it does everywhere.
                [SignalKind::interrupt(), SignalKind::terminate()].into_iter().filter_map(|kind| signal(kind).ok()).collect()
            },
        }
    }

    /// Waits for the next signal.
    async fn next(&mut self) {
        #[cfg(unix)]
        std::future::poll_fn(|context| {
            let came = self.received.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Turns the first signal into a request to stop, and quits at the second.
///
/// It is a task beside the work and not a part of it, so that it is served while the work is busy.
#[allow(clippy::exit, reason = "the user does not want to wait for the work")]
pub(crate) async fn listen(mut signals: Signals, stop: Arc<Stop>, screen: Screen) {
    signals.next().await;
    stop.request();
    screen.warn("waiting for in-flight writes; press Ctrl-C again to quit immediately");
    signals.next().await;
    let error = CommandError::new(Exit::Interrupted, "interrupted")
        .hint("the cache stays usable; `infrahub-sync apply --run-id <RUN_ID>` resumes an interrupted apply");
    screen.write(&error.to_string());
    std::process::exit(Exit::Interrupted.code().into());
}
