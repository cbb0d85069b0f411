//! Adds the headers of a login to requests, and logs in again when it has expired.

use std::sync::Arc;
use std::time::Duration;

use super::login::Login;
use super::request::{HttpError, Request};
use super::retry::Retry;
use crate::response::HostResponse;

/// Requests with the login that the manifest declares, if one is needed.
pub(super) struct Authenticated {
    pub(super) retry: Retry,
    login: Option<Login>,
    /// The longest that one answer of the login may take.
    timeout: Duration,
}

impl Authenticated {
    pub(super) fn new(retry: Retry, login: Option<Login>, timeout: Duration) -> Self {
        Self { retry, login, timeout }
    }

    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Sends a request, with a login if it goes to the configured origin.
    pub(super) async fn send(&self, request: &Request) -> Result<HostResponse, HttpError> {
        let login = self.login.as_ref().filter(|_| self.retry.transport.origins.is_configured(&request.url));
        let Some(login) = login else { return self.retry.send(request, None).await };
        let pass = login.pass(&self.retry, self.timeout, None).await?;
        let response = self.retry.send(request, Some(pass.headers())).await?;
        if !login.has_expired(response.status) {
            return Ok(response);
        }
        let next = login.pass(&self.retry, self.timeout, Some(&pass)).await?;
        // The same one again: it is so young that there must be another reason.
        if Arc::ptr_eq(&next, &pass) {
            return Ok(response);
        }
        self.retry.send(request, Some(next.headers())).await
    }
}
