//! Requests to one server: credentials and tokens, answers up to a limit, and errors in words.

use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use infrahub_sync_base::origin::is_loopback;
use infrahub_sync_runtime::{Environment, Secret, WEB_SILENCE, cause, web_client};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::error::{Error, Result};
use crate::login::Login;

/// Attempts of a request that may be repeated.
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Documents of a registry: manifests, tokens, lists, errors.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Words of a server that are shown.
const WORDS_MAX: usize = 300;

/// A request.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// The media types that are wanted.
    pub(crate) accept: Option<&'a str>,
    /// The body and its media type.
    pub(crate) body: Option<(&'a str, Vec<u8>)>,
    /// The largest body of the answer.
    pub(crate) bytes_max: u64,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(url: Url, accept: Option<&'a str>, bytes_max: u64) -> Ask<'a> {
        Ask { method: Method::GET, url, accept, body: None, bytes_max }
    }

    /// It may be sent twice.
    fn is_safe(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// How an attempt failed.
enum Failed {
    /// Another one may succeed.
    Transient(Error),
    Final(Error),
    TooLarge,
}

/// A server that adapters are published at.
pub(crate) struct Server {
    http: reqwest::Client,
    /// Scheme, host and port.
    base: Url,
    login: Option<Login>,
    /// The rights that a token has to give.
    scope: String,
    authorization: Mutex<Option<HeaderValue>>,
}

impl Server {
    /// Connects to the host of an address. `scope`: what a token has to allow.
    pub(crate) fn new(base: Url, login: Option<Login>, scope: String, environment: Environment<'_>) -> Result<Server> {
        let http = web_client(&base, environment).map_err(|what| Error::Machine(format!("{} {what}", host(&base))))?;
        Ok(Server { http, base, login, scope, authorization: Mutex::new(None) })
    }

    /// Connects to a registry. One on this machine may speak plain HTTP, as for other clients of registries.
    pub(crate) async fn registry(host: &str, login: Option<Login>, scope: String, environment: Environment<'_>) -> Result<Server> {
        let address = |scheme: &str| Url::parse(&format!("{scheme}://{host}/")).map_err(|error| Error::Machine(format!("{host}: {error}")));
        if is_loopback(host) {
            let plain = Server::new(address("http")?, login.clone(), scope.clone(), environment)?;
            // A server that wants TLS closes the connection, or answers that this is a bad request.
            let answer = plain.http.get(plain.at("/v2/")?).send().await;
            if answer.is_ok_and(|answer| answer.status() != StatusCode::BAD_REQUEST) {
                return Ok(plain);
            }
        }
        Server::new(address("https")?, login, scope, environment)
    }

    /// Returns its host and port.
    pub(crate) fn host(&self) -> String {
        host(&self.base)
    }

    /// Returns the address of a path.
    pub(crate) fn at(&self, path: &str) -> Result<Url> {
        self.base.join(path).map_err(|error| Error::Machine(format!("{}{path}: {error}", self.base)))
    }

    /// Sends a request, with credentials if the server wants some. The answer is whole and has any status but those that concern credentials.
    pub(crate) async fn ask(&self, ask: Ask<'_>, origin: &str) -> Result<Answer> {
        let answer = self.try_often(&ask, origin).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return self.allowed(answer);
        }
        let had_token = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
        let authorization = self.authorize(&answer, had_token).await?;
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization);
        let answer = self.try_often(&ask, origin).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(self.unauthorized(&answer));
        }
        self.allowed(answer)
    }

    fn allowed(&self, answer: Answer) -> Result<Answer> {
        if answer.status == StatusCode::FORBIDDEN {
            return Err(Error::Forbidden { server: self.host(), words: self.words(&answer) });
        }
        Ok(answer)
    }

    fn unauthorized(&self, answer: &Answer) -> Error {
        Error::Unauthorized { server: self.host(), had_credentials: self.login.is_some(), words: self.words(answer) }
    }

    /// Returns an answer of success.
    pub(crate) fn success(&self, answer: Answer) -> Result<Answer> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Error::Status { server: self.host(), status: answer.status.as_u16(), words: self.words(&answer) })
    }

    async fn try_often(&self, ask: &Ask<'_>, origin: &str) -> Result<Answer> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let last = attempt == ATTEMPTS || !ask.is_safe();
            match self.attempt(ask).await {
                Ok(answer) if !last && (answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS) => {}
                Ok(answer) => return Ok(answer),
                Err(Failed::Transient(error)) if !last => tracing::debug!(%error, attempt, "the request is repeated"),
                Err(Failed::Transient(error) | Failed::Final(error)) => return Err(error),
                Err(Failed::TooLarge) => return Err(Error::TooLarge { origin: origin.to_owned(), limit: ask.bytes_max }),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn attempt(&self, ask: &Ask<'_>) -> std::result::Result<Answer, Failed> {
        let mut request = self.http.request(ask.method.clone(), ask.url.clone());
        if let Some(accept) = ask.accept {
            request = request.header(ACCEPT, accept);
        }
        // The place of an upload may be another server: it has got its permission in its address.
        let is_here = ask.url.origin() == self.base.origin();
        if let Some(authorization) = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| is_here) {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some((media_type, body)) = &ask.body {
            request = request.header(CONTENT_TYPE, *media_type).body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        self.read(response, ask.bytes_max).await
    }

    async fn read(&self, mut response: Response, bytes_max: u64) -> std::result::Result<Answer, Failed> {
        let (status, headers) = (response.status(), response.headers().clone());
        // What is refused has words, and never the component.
        let bytes_max = if status.is_success() { bytes_max } else { DOCUMENT_BYTES_MAX };
        let announced = response.content_length().unwrap_or(0);
        if announced > bytes_max {
            return Err(Failed::TooLarge);
        }
        let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0).min(64 << 20));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if (body.len() + chunk.len()) as u64 > bytes_max {
                return Err(Failed::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    /// Returns the meaning of an error of the client.
    fn failed(&self, error: &reqwest::Error) -> Failed {
        let server = error.url().map_or_else(|| self.host(), host);
        let mut innermost: &dyn StdError = error;
        while let Some(inner) = innermost.source() {
            innermost = inner;
        }
        let tls = cause::<rustls::Error>(error);
        let untrusted = tls.is_some_and(|tls| matches!(tls, rustls::Error::InvalidCertificate(_)));
        let reason = match (error.is_timeout(), error.is_connect()) {
            (true, true) => "no connection in time".to_owned(),
            (true, false) => format!("nothing came for {} s", WEB_SILENCE.as_secs()),
            _ => self.masked(&innermost.to_string()),
        };
        let is_final = tls.is_some() || error.is_redirect() || error.is_builder() || (error.is_timeout() && !error.is_connect());
        let error = Error::Unreachable { server, reason, untrusted };
        if is_final { Failed::Final(error) } else { Failed::Transient(error) }
    }

    /// Returns what to send from now on, after an answer that wants credentials.
    async fn authorize(&self, answer: &Answer, had_token: bool) -> Result<HeaderValue> {
        let challenges: Vec<Challenge> =
            answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| Challenge::parse(value.to_str().ok()?)).collect();
        let is = |scheme: &'static str| move |challenge: &&Challenge| challenge.scheme.eq_ignore_ascii_case(scheme);
        if let Some(challenge) = challenges.iter().find(is("bearer")) {
            let token = self.token(challenge, answer).await?;
            return sensitive(&format!("Bearer {}", token.expose()));
        }
        match (challenges.iter().find(is("basic")), &self.login) {
            (Some(_), Some(Login::Password(user, password))) if !had_token => basic(user, password),
            _ => Err(self.unauthorized(answer)),
        }
    }

    /// Gets a token from the place that the server names.
    async fn token(&self, challenge: &Challenge, refusal: &Answer) -> Result<Secret> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let realm = challenge.parameter("realm").and_then(|realm| Url::parse(realm).ok());
        let Some(mut realm) = realm.filter(|realm| realm.scheme() == "https" || realm.host_str().is_some_and(is_loopback)) else {
            let words = "it names no address with encryption for its tokens".to_owned();
            return Err(Error::Status { server: self.host(), status: refusal.status.as_u16(), words });
        };
        let service = challenge.parameter("service").unwrap_or_default().to_owned();
        let request = match &self.login {
            Some(Login::Identity(identity)) => {
                let fields = [
                    ("grant_type", "refresh_token"),
                    ("refresh_token", identity.expose()),
                    ("service", &service),
                    ("scope", &self.scope),
                    ("client_id", "infrahub-sync"),
                ];
                let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                self.http.post(realm).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
            }
            login => {
                realm.query_pairs_mut().append_pair("service", &service).append_pair("scope", &self.scope);
                let request = self.http.get(realm);
                match login {
                    Some(Login::Password(user, password)) => request.header(AUTHORIZATION, basic(user, password)?),
                    _ => request,
                }
            }
        };
        let answer = async { self.read(request.send().await.map_err(|error| self.failed(&error))?, DOCUMENT_BYTES_MAX).await }.await;
        let answer = answer.map_err(|failed| match failed {
            Failed::Transient(error) | Failed::Final(error) => error,
            Failed::TooLarge => Error::Status { server: self.host(), status: 200, words: "its token is too large".to_owned() },
        })?;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST) {
            return Err(self.unauthorized(&answer));
        }
        let answer = self.success(answer)?;
        let token = serde_json::from_slice(&answer.body).ok().and_then(|Token { token, access_token }| token.or(access_token));
        let none = || Error::Status { server: self.host(), status: answer.status.as_u16(), words: "its token cannot be read".to_owned() };
        token.filter(|token| !token.is_empty()).map(Secret::new).ok_or_else(none)
    }

    /// Returns a server's words about an error.
    fn words(&self, answer: &Answer) -> String {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<Words>,
        }
        #[derive(Deserialize)]
        struct Words {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let known: Option<Errors> = serde_json::from_slice(&answer.body).ok();
        let words = known.map(|known| {
            let words = known.errors.into_iter().map(|Words { code, message }| if message.is_empty() { code } else { message });
            words.collect::<Vec<_>>().join("; ")
        });
        let words =
            words.filter(|words| !words.is_empty()).unwrap_or_else(|| answer.status.canonical_reason().unwrap_or("an error").to_owned());
        self.masked(&words.chars().take(WORDS_MAX).collect::<String>())
    }

    /// Returns a text without the credentials.
    fn masked(&self, text: &str) -> String {
        let secret = match &self.login {
            Some(Login::Password(_, secret) | Login::Identity(secret)) => secret.expose(),
            None => "",
        };
        if secret.is_empty() { text.to_owned() } else { text.replace(secret, "***") }
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn basic(user: &str, password: &Secret) -> Result<HeaderValue> {
    sensitive(&format!("Basic {}", BASE64.encode(format!("{user}:{}", password.expose()))))
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Error::Machine("the credentials cannot be sent in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header with which a server asks for credentials.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn parse(text: &str) -> Option<Challenge> {
        let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            let Some((name, value)) = rest.split_once('=') else { break };
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => value.split_once(',').unwrap_or((value, "")),
            };
            parameters.push((name.trim().to_ascii_lowercase(), value.to_owned()));
            rest = after;
        }
        Some(Challenge { scheme: scheme.to_owned(), parameters }).filter(|challenge| !challenge.scheme.is_empty())
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let parsed = Challenge::parse(r#"Bearer realm="https://auth.example/token?a=b",service="r, s", scope=x"#).unwrap();
        assert_eq!(parsed.parameter("realm"), Some("https://auth.example/token?a=b"));
        assert_eq!((parsed.parameter("service"), parsed.parameter("scope")), (Some("r, s"), Some("x")));
        assert_eq!(Challenge::parse("Basic").unwrap().scheme, "Basic");
        assert_eq!(Challenge::parse(r#"Bearer realm="open"#), None);
        assert_eq!(Challenge::parse(""), None);
    }
}
