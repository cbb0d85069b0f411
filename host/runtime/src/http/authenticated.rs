//! Adds the headers of a login to requests, and logs in again when it has expired.

use std::sync::Arc;
use std::time::Duration;

use super::login::{Login, Requests};
use super::request::{HttpError, Request};
use super::retry::Retry;
use crate::response::HostResponse;
use crate::usage::Account;

/// Requests with the login that the manifest declares, if one is needed.
pub(super) struct Authenticated {
    pub(super) retry: Retry,
    login: Option<Login>,
    /// The longest that one answer of the login may take.
    timeout: Duration,
    /// Counts the requests of a login.
    account: Account,
}

impl Authenticated {
    pub(super) fn new(retry: Retry, login: Option<Login>, timeout: Duration, account: Account) -> Self {
        Self { retry, login, timeout, account }
    }

    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Sends a request, with a login if it goes to the configured origin.
    pub(super) async fn send(&self, request: &Request) -> Result<HostResponse, HttpError> {
        let login = self.login.as_ref().filter(|_| self.retry.transport.origins.is_configured(&request.url));
        let Some(login) = login else { return self.retry.send(request, None).await };
        let requests = Requests { retry: &self.retry, timeout: self.timeout, account: &self.account };
        let pass = login.pass(requests, None).await?;
        let response = self.retry.send(request, Some(pass.headers())).await?;
        if !login.has_expired(response.status) {
            return Ok(response);
        }
        let next = login.pass(requests, Some(&pass)).await?;
        // The same one again: it is so young that there must be another reason.
        if Arc::ptr_eq(&next, &pass) {
            return Ok(response);
        }
        self.retry.send(request, Some(next.headers())).await
    }
}
