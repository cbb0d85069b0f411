//! The credentials of a session: made of the manifest, the settings and the project's headers; sent to the configured origin alone.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::RequestBuilder;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::login::Login;
use crate::headers::parse_name;
use crate::manifest::{CredentialForm, Manifest};
use crate::secret::Secret;
use crate::settings::Resolved;
use crate::template;

/// The credentials of each request to the configured origin.
#[derive(Default)]
pub(super) struct Credentials {
    pub(super) headers: HeaderMap,
    /// The headers that the project gives. They replace any other of the same name.
    project: HeaderMap,
    query: Vec<(String, Secret)>,
}

/// Credentials while they are being made of settings.
#[derive(Default)]
struct Making {
    credentials: Credentials,
    login: Option<Login>,
    derived: Vec<Secret>,
}

impl Credentials {
    /// Returns the credentials whose condition holds and whose settings all have a value. Returns the login as well, if one is needed, and
    /// further texts that are as secret as the settings that they are made of. The error follows the name of the address setting.
    pub(super) fn new(manifest: &Manifest, resolved: &Resolved) -> Result<(Self, Option<Login>, Vec<Secret>), String> {
        let mut making = Making::default();
        for (name, value) in &resolved.headers {
            let sent = sensitive(value.expose()).ok_or("cannot be used with an invalid value in `headers`")?;
            making.credentials.project.insert(name.clone(), sent);
            making.derived.extend(header_secrets(name, value));
        }
        for credential in &manifest.credentials {
            if credential.when.as_ref().is_none_or(|when| resolved.meets(when)) {
                making.add_form(&credential.form, resolved)?;
            }
        }
        Ok((making.credentials, making.login, making.derived))
    }

    /// Returns whether a credential sets that header.
    pub(super) fn sets(&self, name: &HeaderName) -> bool {
        self.headers.contains_key(name)
    }

    /// Returns a request to the configured origin with the credentials, those of a login among them.
    pub(super) fn on(&self, request: RequestBuilder, pass: Option<&HeaderMap>) -> RequestBuilder {
        let request = request.headers(self.headers.clone());
        let request = match pass {
            Some(pass) => request.headers(pass.clone()),
            None => request,
        };
        request.headers(self.project.clone())
    }

    /// Returns a URL with the credentials that go into the query.
    pub(super) fn in_query(&self, url: &Url) -> Url {
        let mut url = self.without_query(url.clone());
        if !self.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &self.query {
                pairs.append_pair(name, value.expose());
            }
        }
        url
    }

    /// Returns a URL without the query parameters that carry credentials.
    pub(super) fn without_query(&self, mut url: Url) -> Url {
        let Some(query) = url.query().filter(|_| !self.query.is_empty()) else { return url };
        let kept: Vec<&str> = query
            .split('&')
            .filter(|pair| {
                let name = pair.split('=').next().unwrap_or_default();
                let name = url::form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default();
                !self.query.iter().any(|(parameter, _)| *parameter == name)
            })
            .collect();
        let kept = kept.join("&");
        url.set_query((!kept.is_empty()).then_some(&kept));
        url
    }
}

impl Making {
    /// Adds a header unless it is there already; `whose` names the setting in the error.
    fn add(&mut self, name: HeaderName, value: &str, whose: &str) -> Result<(), String> {
        self.credentials
            .headers
            .entry(name)
            .or_insert(sensitive(value).ok_or_else(|| {
                format!("cannot be used with `{whose}`: it has characters that no header may have, perhaps a line break")
            })?);
        Ok(())
    }

    fn add_form(&mut self, form: &CredentialForm, resolved: &Resolved) -> Result<(), String> {
        let text = |name: &str| resolved.text(name).filter(|value| !value.is_empty());
        match form {
            CredentialForm::Header(templates) => {
                for template in templates {
                    let first = template::names(&template.template).first().copied().unwrap_or_default();
                    let fits = text(first).is_some_and(|value| value.starts_with(&template.prefix));
                    if let Some(filled) = template::fill(&template.template, text).filter(|_| fits) {
                        return self.add(parse_name(&template.name)?, &filled, first);
                    }
                }
            }
            CredentialForm::Basic { username, password } => {
                if let (Some(user), Some(secret)) = (resolved.text(username), resolved.text(password)) {
                    let pair = BASE64.encode(format!("{user}:{secret}"));
                    // With and without its padding.
                    self.derived.extend([pair.as_str(), pair.trim_end_matches('=')].map(Secret::new));
                    self.add(header::AUTHORIZATION, &format!("Basic {pair}"), password)?;
                }
            }
            CredentialForm::Query { parameter, setting } => {
                if let Some(value) = resolved.text(setting) {
                    self.credentials.query.push((parameter.clone(), Secret::new(value)));
                }
            }
            CredentialForm::Login(login) => {
                let values: Option<BTreeMap<String, Secret>> =
                    form.settings().into_iter().map(|name| Some((name.to_owned(), Secret::new(text(name)?)))).collect();
                let replaced = |(name, _): &(String, String)| self.credentials.project.contains_key(name);
                let is_needed =
                    self.credentials.headers.is_empty() && self.credentials.query.is_empty() && !login.headers.iter().all(replaced);
                if let Some(values) = values.filter(|_| is_needed && self.login.is_none()) {
                    self.login = Some(Login::new(login.clone(), values));
                }
            }
        }
        Ok(())
    }
}

/// Returns a value that no log shows; none if no header may have it.
fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Headers whose values are not credentials in any system. Recordings would lose the type of each answer if these were masked.
const OPEN_HEADERS: [HeaderName; 4] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE, header::USER_AGENT];
/// Bytes of a value that is too short for a credential: masking `1` would spoil each recording.
const OPEN_BYTES: usize = 3;

/// Returns the secrets in a header that the project gives: the value, and the parts of it that a server may repeat alone.
fn header_secrets(name: &HeaderName, value: &Secret) -> Vec<Secret> {
    let value = value.expose();
    let mut secrets = vec![value.to_owned()];
    if let Some((_, credential)) = value.split_once(' ') {
        secrets.push(credential.trim().to_owned());
        let pair = BASE64.decode(credential.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((user, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            secrets.extend([format!("{user}:{password}"), password.to_owned()]);
        }
    }
    if *name == header::COOKIE {
        secrets.extend(value.split(';').filter_map(|cookie| Some(cookie.split_once('=')?.1.trim().to_owned())));
    }
    secrets.retain(|secret| secret.len() > OPEN_BYTES && !OPEN_HEADERS.contains(name));
    secrets.into_iter().map(Secret::new).collect()
}
