//! The credentials of registries, from the files and variables of `docker login` and `podman login`.
//!
//! ```text
//! DOCKER_AUTH_CONFIG                  the JSON itself, as CI systems set it
//! REGISTRY_AUTH_FILE                  a file
//! $DOCKER_CONFIG/config.json          [default: ~/.docker/config.json]
//! $XDG_RUNTIME_DIR/containers/auth.json
//! ```
//!
//! Each holds `auths` (host → `auth`, or `identitytoken`), `credHelpers` and `credsStore` (programs that know them). The first that knows the
//! host is taken. Nothing is asked for, and no text of an error holds a value.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use infrahub_sync_runtime::{Environment, Secret};
use serde::Deserialize;

use crate::error::{Error, Result};

/// The time of a credential helper. It may unlock a store, and must not wait for a person.
const HELPER_TIME: Duration = Duration::from_secs(20);
/// The answer of a credential helper.
const HELPER_BYTES_MAX: u64 = 64 << 10;
/// The name of Docker Hub in its configuration, unlike that of any other registry.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Credentials of a registry.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// User and password.
    Password(String, Secret),
    /// A token that buys other tokens.
    Identity(Secret),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// Returns the credentials of a repository, if some are configured.
///
/// # Errors
/// When a file or helper that is configured for it cannot be read.
pub(crate) fn login(registry: &str, repository: &str, environment: Environment<'_>) -> Result<Option<Login>> {
    for (place, text) in sources(environment)? {
        let config: Config =
            serde_json::from_str(&text).map_err(|error| Error::Machine(format!("{place} is invalid, at line {}", error.line())))?;
        if let Some(login) = of_config(&config, registry, repository, &place)? {
            return Ok(Some(login));
        }
    }
    Ok(None)
}

/// Returns the configurations of this machine, with their places.
fn sources(environment: Environment<'_>) -> Result<Vec<(String, String)>> {
    let variable = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    let mut sources = Vec::new();
    if let Some(text) = variable("DOCKER_AUTH_CONFIG") {
        sources.push(("DOCKER_AUTH_CONFIG".to_owned(), text));
    }
    let named = variable("REGISTRY_AUTH_FILE").map(PathBuf::from);
    let docker = variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(Path::new(&variable("HOME")?).join(".docker")));
    let podman = variable("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("containers/auth.json"));
    for file in named.into_iter().chain(docker.map(|folder| folder.join("config.json"))).chain(podman) {
        match std::fs::read_to_string(&file) {
            Ok(text) => sources.push((file.display().to_string(), text)),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(Error::Machine(format!("cannot read {}: {error}", file.display()))),
        }
    }
    Ok(sources)
}

fn of_config(config: &Config, registry: &str, repository: &str, place: &str) -> Result<Option<Login>> {
    let hub = matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    // The longest path first: podman has logins of a part of a registry.
    let path = format!("{registry}/{repository}");
    let mut names: Vec<String> = path.match_indices('/').map(|(at, _)| path.get(..at).unwrap_or_default().to_owned()).collect();
    names.reverse();
    names.insert(0, path.clone());
    names.extend([format!("https://{registry}"), format!("https://{registry}/v1/"), format!("https://{registry}/v2/")]);
    if hub {
        names.insert(0, DOCKER_HUB.to_owned());
    }
    let helper = config.helpers.get(registry).or_else(|| config.helpers.get(DOCKER_HUB).filter(|_| hub));
    if let Some(helper) = helper {
        return helped(helper, if hub { DOCKER_HUB } else { registry });
    }
    if let Some(auth) = names.iter().find_map(|name| config.auths.get(name))
        && let Some(login) = auth.login().map_err(|what| Error::Machine(format!("{place} has an invalid login of {registry}: {what}")))?
    {
        return Ok(Some(login));
    }
    match &config.store {
        Some(store) => helped(store, if hub { DOCKER_HUB } else { registry }),
        None => Ok(None),
    }
}

impl Auth {
    fn login(&self) -> std::result::Result<Option<Login>, &'static str> {
        if let Some(token) = self.identity.as_deref().filter(|token| !token.is_empty()) {
            return Ok(Some(Login::Identity(Secret::new(token.to_owned()))));
        }
        if let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) {
            let pair = BASE64.decode(auth.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
            let pair = pair.ok_or("`auth` is not base64")?;
            let (user, password) = pair.split_once(':').ok_or("`auth` holds no `:`")?;
            return Ok(Some(Login::Password(user.to_owned(), Secret::new(password.trim_end_matches('\0').to_owned()))));
        }
        match (&self.username, &self.password) {
            (Some(user), Some(password)) => Ok(Some(Login::Password(user.clone(), Secret::new(password.clone())))),
            _ => Ok(None),
        }
    }
}

/// Asks a credential helper. One that does not know the registry gives none.
fn helped(helper: &str, registry: &str) -> Result<Option<Login>> {
    let program = format!("docker-credential-{helper}");
    if helper.is_empty() || !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(Error::Machine("the name of a credential helper is invalid".to_owned()));
    }
    let failed = |what: String| Error::Machine(format!("the credential helper `{program}` {what}"));
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    if let Some(mut input) = child.stdin.take() {
        // One that reads nothing answers anyway.
        let _ = input.write_all(registry.as_bytes());
    }
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.map(|output| output.take(HELPER_BYTES_MAX).read_to_string(&mut text)).transpose().map(|_| text)
    });
    let end = Instant::now() + HELPER_TIME;
    let status = loop {
        match child.try_wait().map_err(|error| failed(format!("failed: {error}")))? {
            Some(status) => break status,
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("does not answer within {} s", HELPER_TIME.as_secs())));
            }
            // Waiting for a process has no time limit of its own.
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if !status.success() {
        // It says "credentials not found" like this.
        return Ok(None);
    }
    let text = reader.join().ok().and_then(std::result::Result::ok).unwrap_or_default();
    let Helped { username, secret } =
        serde_json::from_str(&text).map_err(|_| failed("answers something else than credentials".to_owned()))?;
    let secret = Secret::new(secret);
    Ok(Some(if username == "<token>" { Login::Identity(secret) } else { Login::Password(username, secret) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, registry: &str) -> String {
        let config = config.to_owned();
        let environment = move |name: &str| (name == "DOCKER_AUTH_CONFIG").then(|| config.clone());
        match login(registry, "acme/board", &environment) {
            Ok(Some(Login::Password(user, password))) => format!("{user} {}", password.expose()),
            Ok(Some(Login::Identity(token))) => format!("token {}", token.expose()),
            Ok(None) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_login_of_a_registry_goes_to_that_registry() {
        // me:pass, and the token of another one.
        let config = r#"{"auths": {"ghcr.io": {"auth": "bWU6cGFzcw=="}, "azure.example": {"auth": "bWU6", "identitytoken": "t"},
            "quay.io/acme": {"username": "robot", "password": "p"}, "https://index.docker.io/v1/": {"auth": "aHViOnA6cQ=="}, "empty": {}}}"#;
        assert_eq!(found(config, "ghcr.io"), "me pass");
        assert_eq!(found(config, "azure.example"), "token t");
        assert_eq!(found(config, "quay.io"), "robot p");
        assert_eq!(found(config, "docker.io"), "hub p:q");
        for other in ["ghcr.io:444", "evil.ghcr.io", "ghcr.io.evil.example", "empty", "azure"] {
            assert_eq!(found(config, other), "none", "{other}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_without_its_content() {
        assert_eq!(found("{\n\"auths\": secret", "h"), "DOCKER_AUTH_CONFIG is invalid, at line 2");
        assert_eq!(
            found(r#"{"auths": {"h": {"auth": "?secret"}}}"#, "h"),
            "DOCKER_AUTH_CONFIG has an invalid login of h: `auth` is not base64"
        );
        assert_eq!(found(r#"{"credHelpers": {"h": "../x"}}"#, "h"), "the name of a credential helper is invalid");
        let missing = found(r#"{"credHelpers": {"h": "that-does-not-exist"}}"#, "h");
        assert!(missing.starts_with("the credential helper `docker-credential-that-does-not-exist` cannot be started"), "{missing}");
    }

    #[test]
    fn files_come_after_variables() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, user: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, format!(r#"{{"auths": {{"{name}": {{}}, "h": {{"auth": "{}"}}}}}}"#, BASE64.encode(format!("{user}:p"))))
                .unwrap();
        };
        let user = || {
            let home = folder.path().display().to_string();
            let environment = move |name: &str| match name {
                "HOME" => Some(home.clone()),
                "XDG_RUNTIME_DIR" => Some(format!("{home}/run")),
                "REGISTRY_AUTH_FILE" => Some(format!("{home}/named.json")),
                _ => None,
            };
            match login("h", "r", &environment) {
                Ok(Some(Login::Password(user, _))) => user,
                other => format!("{other:?}"),
            }
        };
        assert_eq!(user(), "Ok(None)");
        for (name, expected) in [("run/containers/auth.json", "podman"), (".docker/config.json", "docker"), ("named.json", "named")] {
            write(name, expected);
            assert_eq!(user(), expected);
        }
    }
}
