//! The lock file: which adapters a project accepts, and what they may reach.
//!
//! ```yaml
//! format: 1
//! source:
//!   adapter: acme
//!   version: 1.2.0
//!   contract: 0.1.0
//!   digest: sha256:5b1f…             # of the component; `built-in` for an adapter of the program itself
//!   origin: oci://ghcr.io/acme/statusboard:1   # what config.yml names, if the adapter is a published one
//!   manifest: sha256:77e0…           # what the tag named in the registry
//!   publisher: E7620F1842B4E81F      # the id of the key that signed it
//!   address: ["https://acme.example.org"]    # where its credentials go
//!   origins: ["https://cdn.example.org"]     # asked as well, without them
//!   networks: ["10.0.0.0/8"]          # private ranges that names may resolve to
//!   folder: {path: data, access: read}
//!   environment: [ACME_REGION, ACME_TOKEN, ACME_URL]
//!   visible: [ACME_REGION]            # the adapter sees their values
//!   headers: ["x-acme-tenant"]        # it may set them in its requests, beyond the plain ones
//!   credentials: ["sends `token` in the header …"]
//!   secrets: {token: environment}
//!   limits: {memory: 512 MiB}         # those that the project raises
//! destination: …
//! ```
//!
//! Key types: [`AdapterLock`], [`LockedAdapter`], [`Abilities`]. Absent keys: nothing of that kind. A newer format is refused.
//!
//! An adapter that can do *less* than is written down is accepted: the file is an upper bound. That is also how one lock serves two
//! environments: name both origins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use infrahub_sync_base::limits::Limit;
use infrahub_sync_base::origin::Origin;

use crate::decode::{Decoder, Record};
use crate::generated::{flow_list, scalar};
use crate::load::{self, Data, Node};
use crate::own_file::OwnFile;
use crate::problem::Problem;
use crate::project::endpoint::sha256;

/// The file's name, beside `config.yml`.
pub const LOCK_FILE: &str = "infrahub-sync.lock.yml";

/// The word for a component that is a part of the program.
const BUILT_IN: &str = "built-in";

/// The remedy for every problem of a lock file.
const AGAIN: &str = "check what changed, then write it again with `infrahub-sync adapter lock`";

const FILE: OwnFile = OwnFile { has: "this lock file has", format: 1, again: AGAIN };

/// The adapters that a project accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterLock {
    /// The adapter of the source.
    pub source: LockedAdapter,
    /// The adapter of the destination.
    pub destination: LockedAdapter,
}

/// An adapter, and what it may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedAdapter {
    /// Its name for itself.
    pub adapter: String,
    /// Its version.
    pub version: String,
    /// The version of the contract that it was built for.
    pub contract: String,
    /// Which component it is.
    pub component: LockedComponent,
    /// Where it was fetched from, if it is a published one.
    pub origin: Option<LockedOrigin>,
    /// Its abilities.
    pub abilities: Abilities,
}

/// Where an adapter was fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedOrigin {
    /// The origin in config.yml.
    pub origin: Origin,
    /// The manifest that a registry had there: `sha256:` and 64 hexadecimal digits.
    pub manifest: Option<String>,
    /// The id of the key whose signature was checked; none without `trust:`.
    pub publisher: Option<String>,
}

/// Which component an adapter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedComponent {
    /// A part of the program, and as trusted as that: it changes with it.
    BuiltIn,
    /// A file: `sha256:` and 64 hexadecimal digits.
    Digest(String),
}

impl fmt::Display for LockedComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockedComponent::BuiltIn => f.write_str(BUILT_IN),
            LockedComponent::Digest(digest) => f.write_str(digest),
        }
    }
}

/// The things that an adapter may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Abilities {
    /// The origin of its address, where its credentials go, as `https://host:port`, the port where it is not the usual one. A project for
    /// two environments has two.
    pub address: BTreeSet<String>,
    /// The further origins of HTTP requests, without credentials.
    pub origins: BTreeSet<String>,
    /// The ranges of private addresses that names may resolve to.
    pub networks: BTreeSet<String>,
    /// The folder, if it has one.
    pub folder: Option<FolderAbility>,
    /// The environment variables from which its settings are read.
    pub environment: BTreeSet<String>,
    /// Those of them whose values the adapter may see.
    pub visible: BTreeSet<String>,
    /// The request headers that it may set beyond the plain ones.
    pub headers: BTreeSet<String>,
    /// How its credentials are sent, a sentence each.
    pub credentials: Vec<String>,
    /// The credentials that the host uses for it, and where their values come from. The latter is for the reader and not compared.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The limits that the project raises.
    pub limits: BTreeMap<Limit, u64>,
}

/// The access to a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderAbility {
    /// The folder as the settings name it, without detours.
    pub path: String,
    /// Files are written and removed, too.
    pub write: bool,
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSource {
    /// `settings` in config.yml.
    Settings,
    /// The environment.
    Environment,
}

impl SecretSource {
    /// Returns the word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SecretSource::Settings => "settings",
            SecretSource::Environment => "environment",
        }
    }
}

impl AdapterLock {
    /// Reads a lock file; none when there is none.
    ///
    /// # Errors
    ///
    /// As [`AdapterLock::parse`], and when the file cannot be read.
    pub fn load(file: &Path) -> Result<Option<AdapterLock>, Vec<Problem>> {
        match file.try_exists() {
            Ok(false) => Ok(None),
            _ => AdapterLock::parse(&load::read(file)?, file).map(Some),
        }
    }

    /// Returns the file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = vec![
            "# The adapters that this project accepts, and what they may reach. Made by `infrahub-sync adapter lock`; keep it with config.yml."
                .to_owned(),
            "# A run stops before anything is sent when an adapter is another one, or could reach more than is written here.".to_owned(),
            format!("format: {}", FILE.format),
        ];
        for (side, adapter) in [("source", &self.source), ("destination", &self.destination)] {
            lines.push(format!("{side}:"));
            lines.extend(adapter.entries().into_iter().map(|(key, value)| format!("  {key}: {value}")));
        }
        lines.join("\n") + "\n"
    }

    /// Reads the text back.
    ///
    /// # Errors
    ///
    /// Every problem, with lines: a newer format, or a damage or an invalid edit.
    pub fn parse(text: &str, file: &Path) -> Result<AdapterLock, Vec<Problem>> {
        FILE.parse(text, file, decode)
    }
}

impl LockedAdapter {
    /// Keys and values of the file, those that say something.
    fn entries(&self) -> Vec<(&'static str, String)> {
        let list = |items: &BTreeSet<String>| flow_list(&items.iter().cloned().collect::<Vec<_>>());
        let Abilities { address, origins, networks, folder, environment, visible, headers, credentials, secrets, limits } = &self.abilities;
        let mut entries = vec![
            ("adapter", scalar(&self.adapter)),
            ("version", scalar(&self.version)),
            ("contract", scalar(&self.contract)),
            // A plain scalar: its colon has no space behind it.
            ("digest", self.component.to_string()),
        ];
        if let Some(LockedOrigin { origin, manifest, publisher }) = &self.origin {
            entries.push(("origin", scalar(&origin.to_string())));
            entries.extend(manifest.clone().map(|manifest| ("manifest", manifest)));
            entries.extend(publisher.as_deref().map(|publisher| ("publisher", scalar(publisher))));
        }
        if !address.is_empty() {
            entries.push(("address", list(address)));
        }
        if !origins.is_empty() {
            entries.push(("origins", list(origins)));
        }
        if !networks.is_empty() {
            entries.push(("networks", list(networks)));
        }
        if let Some(folder) = folder {
            entries.push(("folder", format!("{{path: {}, access: {}}}", scalar(&folder.path), access(folder.write))));
        }
        if !environment.is_empty() {
            entries.push(("environment", list(environment)));
        }
        if !visible.is_empty() {
            entries.push(("visible", list(visible)));
        }
        if !headers.is_empty() {
            entries.push(("headers", list(headers)));
        }
        if !credentials.is_empty() {
            entries.push(("credentials", flow_list(credentials)));
        }
        if !secrets.is_empty() {
            let secrets: Vec<String> = secrets.iter().map(|(name, source)| format!("{}: {}", scalar(name), source.as_str())).collect();
            entries.push(("secrets", format!("{{{}}}", secrets.join(", "))));
        }
        if !limits.is_empty() {
            let limits: Vec<String> = limits.iter().map(|(limit, value)| format!("{}: {}", limit.name(), limit.write(*value))).collect();
            entries.push(("limits", format!("{{{}}}", limits.join(", "))));
        }
        entries
    }

    /// Returns the reasons for which an adapter is not accepted instead of this one, a line each; empty if it is accepted.
    ///
    /// A different component is not accepted, unless both are built in: those change with the program. Fewer abilities are accepted, more
    /// are not.
    #[must_use]
    pub fn objections(&self, now: &LockedAdapter) -> Vec<String> {
        let mut lines = Vec::new();
        if self.component != now.component || self.adapter != now.adapter {
            if self.adapter != now.adapter {
                lines.push(format!("adapter: {} → {}", self.adapter, now.adapter));
            }
            if self.component != now.component {
                lines.push(format!("digest: {} → {}", self.component, now.component));
            }
            for (what, before, after) in [("version", &self.version, &now.version), ("contract", &self.contract, &now.contract)] {
                if before != after {
                    lines.push(format!("{what}: {before} → {after}"));
                }
            }
        }
        let publisher = |adapter: &LockedAdapter| adapter.origin.as_ref().and_then(|origin| origin.publisher.clone());
        if let (Some(before), after) = (publisher(self), publisher(now))
            && after.as_ref() != Some(&before)
        {
            lines.insert(0, format!("publisher: {before} → {}", after.as_deref().unwrap_or("no checked signature")));
        }
        let mut before = self.abilities.clone();
        // A lock of an earlier version does not say how credentials are sent. Of the same component, or of the program, it is as it was.
        if before.credentials.is_empty() && self.component == now.component {
            before.credentials.clone_from(&now.abilities.credentials);
        }
        lines.extend(now.abilities.beyond(&before));
        lines
    }
}

impl Abilities {
    /// Returns the abilities that these have and the others lack, a line each.
    #[must_use]
    pub fn beyond(&self, others: &Abilities) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.credentials.iter().filter(|words| !others.credentials.contains(words)).cloned());
        lines.extend(self.visible.difference(&others.visible).map(|variable| format!("sees the environment variable {variable}")));
        lines.extend(self.headers.difference(&others.headers).map(|header| format!("may set the request header `{header}`")));
        lines.extend(self.address.difference(&others.address).map(|origin| format!("its address is {origin}: its credentials go there")));
        lines.extend(self.origins.difference(&others.origins).map(|origin| format!("may send HTTP requests to {origin}")));
        lines.extend(self.networks.difference(&others.networks).map(|network| format!("may connect to addresses of {network}")));
        match (&self.folder, &others.folder) {
            (Some(folder), Some(other)) if folder.path == other.path && (other.write || !folder.write) => {}
            (Some(folder), _) => lines.push(format!("may {} the files of the folder {}", access_words(folder.write), folder.path)),
            (None, _) => {}
        }
        let variables = self.environment.difference(&others.environment);
        lines.extend(variables.map(|variable| format!("is set by the environment variable {variable}")));
        let secrets = self.secrets.iter().filter(|(name, _)| !others.secrets.contains_key(*name));
        lines.extend(secrets.map(|(name, source)| {
            let source = match source {
                SecretSource::Settings => "config.yml",
                SecretSource::Environment => "the environment",
            };
            format!("has the secret `{name}`, from {source}, used for it")
        }));
        lines.extend(self.limits.iter().filter_map(|(limit, value)| {
            let before = others.limits.get(limit).copied().unwrap_or(limit.default_value());
            (*value > before)
                .then(|| format!("has the limit `{}` of {} instead of {}", limit.name(), limit.show(*value), limit.show(before)))
        }));
        lines
    }
}

fn access(write: bool) -> &'static str {
    if write { "read-write" } else { "read" }
}

fn access_words(write: bool) -> &'static str {
    if write { "read and write" } else { "read" }
}

fn decode(decoder: &mut Decoder<'_>, tree: &Node) -> Option<AdapterLock> {
    let record = decoder.record(tree, "", &["format", "source", "destination"])?;
    decoder.required(&record, "format");
    let (source, destination) = (locked(decoder, &record, "source"), locked(decoder, &record, "destination"));
    Some(AdapterLock { source: source?, destination: destination? })
}

fn locked(decoder: &mut Decoder<'_>, lock: &Record<'_>, side: &str) -> Option<LockedAdapter> {
    const KEYS: [&str; 17] = [
        "adapter",
        "version",
        "contract",
        "digest",
        "origin",
        "manifest",
        "publisher",
        "address",
        "origins",
        "networks",
        "folder",
        "environment",
        "visible",
        "headers",
        "credentials",
        "secrets",
        "limits",
    ];
    let node = decoder.required(lock, side)?;
    let record = decoder.record(node, side, &KEYS)?;
    let mut text = |key: &str| decoder.required_text(&record, key).map(|(text, _)| text.to_owned());
    let (adapter, version, contract) = (text("adapter"), text("version"), text("contract"));
    let component = decoder.required_text(&record, "digest").and_then(|(text, span)| {
        if text == BUILT_IN {
            return Some(LockedComponent::BuiltIn);
        }
        let digest = sha256(text);
        if digest.is_none() {
            let message = format!("this is neither `{BUILT_IN}` nor `sha256:` with 64 hexadecimal digits");
            decoder.error_hint(span, record.at("digest"), message, AGAIN);
        }
        digest.map(LockedComponent::Digest)
    });
    let origin = origin(decoder, &record);
    let mut set = |key: &str| decoder.texts(&record, key).into_iter().map(|(text, _)| text).collect();
    let (address, origins, networks, environment) = (set("address"), set("origins"), set("networks"), set("environment"));
    let (visible, headers) = (set("visible"), set("headers"));
    let credentials = decoder.texts(&record, "credentials").into_iter().map(|(text, _)| text).collect();
    let folder = record.get("folder").and_then(|node| folder(decoder, node, &record.at("folder")));
    let secrets = record.get("secrets").map(|node| secrets(decoder, node, &record.at("secrets"))).unwrap_or_default();
    let limits = record.get("limits").map(|node| limits(decoder, node, &record.at("limits"))).unwrap_or_default();
    let abilities = Abilities { address, origins, networks, folder, environment, visible, headers, credentials, secrets, limits };
    Some(LockedAdapter { adapter: adapter?, version: version?, contract: contract?, component: component?, origin: origin?, abilities })
}

/// Decodes where an adapter was fetched from. None: it was reported; `Some(None)`: nowhere.
#[allow(clippy::option_option, reason = "the outer one is that of every decoded value")]
fn origin(decoder: &mut Decoder<'_>, record: &Record<'_>) -> Option<Option<LockedOrigin>> {
    let manifest = decoder.optional_text(record, "manifest").map(|(text, span)| (sha256(text), span));
    if let Some((None, span)) = manifest {
        decoder.error_hint(span, record.at("manifest"), "this is not `sha256:` with 64 hexadecimal digits", AGAIN);
        return None;
    }
    let publisher = decoder.optional_text(record, "publisher").map(|(text, _)| text.to_owned());
    let Some((text, span)) = decoder.optional_text(record, "origin") else {
        return if record.get("origin").is_some() { None } else { Some(None) };
    };
    match text.parse::<Origin>() {
        Ok(origin) => Some(Some(LockedOrigin { origin, manifest: manifest.and_then(|(manifest, _)| manifest), publisher })),
        Err(error) => {
            decoder.error_hint(span, record.at("origin"), format!("this {}", error.what), AGAIN);
            None
        }
    }
}

fn folder(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<FolderAbility> {
    let record = decoder.record(node, path, &["path", "access"])?;
    let folder = decoder.required_text(&record, "path");
    let write = match decoder.required_text(&record, "access")? {
        ("read", _) => false,
        ("read-write", _) => true,
        (_, span) => {
            decoder.error_hint(span, record.at("access"), "this is neither `read` nor `read-write`", AGAIN);
            return None;
        }
    };
    Some(FolderAbility { path: folder?.0.to_owned(), write })
}

fn secrets(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> BTreeMap<String, SecretSource> {
    let mut secrets = BTreeMap::new();
    for entry in decoder.map(node, path).unwrap_or_default() {
        let source = match &entry.value.data {
            Data::Text(word) if word == SecretSource::Settings.as_str() => SecretSource::Settings,
            Data::Text(word) if word == SecretSource::Environment.as_str() => SecretSource::Environment,
            _ => {
                let place = crate::decode::join(path, &entry.key);
                decoder.error_hint(entry.value.span, place, "this is neither `settings` nor `environment`", AGAIN);
                continue;
            }
        };
        secrets.insert(entry.key.clone(), source);
    }
    secrets
}

fn limits(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> BTreeMap<Limit, u64> {
    let mut limits = BTreeMap::new();
    for entry in decoder.map(node, path).unwrap_or_default() {
        let text = match &entry.value.data {
            Data::Text(text) => text.clone(),
            Data::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let known = Limit::ALL.into_iter().find(|limit| limit.name() == entry.key);
        match known.and_then(|limit| Some((limit, limit.parse(&text).ok()?))) {
            Some((limit, value)) => drop(limits.insert(limit, value)),
            None => {
                let place = crate::decode::join(path, &entry.key);
                decoder.error_hint(entry.value.span, place, "this is not a limit and its value", AGAIN);
            }
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn sample() -> AdapterLock {
        let set = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let source = LockedAdapter {
            adapter: "acme".to_owned(),
            version: "1.2.0".to_owned(),
            contract: "0.1.0".to_owned(),
            component: LockedComponent::Digest(format!("sha256:{}", "5b1f".repeat(16))),
            origin: None,
            abilities: Abilities {
                address: set(&["https://acme.example.org", "http://10.0.0.1:8080"]),
                origins: set(&["https://cdn.example.org"]),
                networks: set(&["10.0.0.0/8"]),
                folder: None,
                environment: set(&["ACME_URL", "ACME_TOKEN"]),
                visible: set(&["ACME_URL"]),
                headers: set(&["x-acme"]),
                credentials: vec!["sends `token` in the header `X: {token}`".to_owned()],
                secrets: [("token".to_owned(), SecretSource::Environment), ("on".to_owned(), SecretSource::Settings)].into(),
                limits: [(Limit::Memory, 512 << 20), (Limit::CallTime, 90_500)].into(),
            },
        };
        let destination = LockedAdapter {
            adapter: "files".to_owned(),
            version: "0.1.0".to_owned(),
            contract: "0.1.0".to_owned(),
            component: LockedComponent::BuiltIn,
            origin: None,
            abilities: Abilities { folder: Some(FolderAbility { path: "out: 1".to_owned(), write: true }), ..Abilities::default() },
        };
        AdapterLock { source, destination }
    }

    fn file() -> &'static Path {
        Path::new("p/infrahub-sync.lock.yml")
    }

    #[test]
    fn a_lock_reads_back_as_it_was_written() {
        assert_snapshot!(sample().to_text(), @r##"
        # The adapters that this project accepts, and what they may reach. Made by `infrahub-sync adapter lock`; keep it with config.yml.
        # A run stops before anything is sent when an adapter is another one, or could reach more than is written here.
        format: 1
        source:
          adapter: acme
          version: "1.2.0"
          contract: "0.1.0"
          digest: sha256:5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f
          address: ["http://10.0.0.1:8080", "https://acme.example.org"]
          origins: ["https://cdn.example.org"]
          networks: ["10.0.0.0/8"]
          environment: [ACME_TOKEN, ACME_URL]
          visible: [ACME_URL]
          headers: [x-acme]
          credentials: ["sends `token` in the header `X: {token}`"]
          secrets: {"on": settings, token: environment}
          limits: {memory: 512 MiB, call_time: 90.5}
        destination:
          adapter: files
          version: "0.1.0"
          contract: "0.1.0"
          digest: built-in
          folder: {path: "out: 1", access: read-write}
        "##);
        assert_eq!(AdapterLock::parse(&sample().to_text(), file()), Ok(sample()));
    }

    #[test]
    fn damage_is_told_with_its_line() {
        let told = |from: &str, to: &str| {
            let problems = AdapterLock::parse(&sample().to_text().replacen(from, to, 1), file()).unwrap_err();
            problems
                .iter()
                .map(|problem| format!("{}:{} {} {}", problem.line, problem.column, problem.path, problem.message))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_snapshot!(told("format: 1", "format: 2"), @"3:9 format this lock file has format 2, and this program reads formats up to 1");
        assert_snapshot!(told("origins", "origin"), @"10:11 source.origin expected text, found a list");
        assert_snapshot!(told("sha256:5b", "sha256:5"), @"8:11 source.digest this is neither `built-in` nor `sha256:` with 64 hexadecimal digits");
        assert_snapshot!(told("read-write", "all"), @"23:36 destination.folder.access this is neither `read` nor `read-write`");
        assert_snapshot!(told("token: environment", "token: 1"), @"16:36 source.secrets.token this is neither `settings` nor `environment`");
        assert_snapshot!(told("destination:", "other:"), @"
        3:1 destination the key `destination` is missing
        18:1 other unknown key `other`
        ");
        assert_snapshot!(told("memory: 512", "memory: x"), @"17:20 source.limits.memory this is not a limit and its value");
        assert!(!told("[ACME_TOKEN", "[ACME_TOKEN, [").is_empty());
    }

    #[test]
    fn a_published_adapter_has_its_origin() {
        let mut lock = sample();
        lock.source.origin = Some(LockedOrigin {
            origin: "oci://ghcr.io/acme/statusboard:1".parse().unwrap(),
            manifest: Some(format!("sha256:{}", "77e0".repeat(16))),
            publisher: Some("E7620F1842B4E81F".to_owned()),
        });
        let text = lock.to_text();
        assert_snapshot!(text.lines().skip(7).take(4).collect::<Vec<_>>().join("\n"), @r#"
        digest: sha256:5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f
        origin: "oci://ghcr.io/acme/statusboard:1"
        manifest: sha256:77e077e077e077e077e077e077e077e077e077e077e077e077e077e077e077e0
        publisher: E7620F1842B4E81F
        "#);
        assert_eq!(AdapterLock::parse(&text, file()), Ok(lock.clone()));
        let broken = |from: &str, to: &str| AdapterLock::parse(&text.replacen(from, to, 1), file()).unwrap_err()[0].message.clone();
        assert_eq!(broken("sha256:77", "sha256:7"), "this is not `sha256:` with 64 hexadecimal digits");
        assert_eq!(broken("oci://ghcr", "ghcr"), "this is not an address");
        // A number of digits alone stays a text.
        if let Some(origin) = &mut lock.source.origin {
            origin.publisher = Some("1234567890123456".to_owned());
        }
        assert_eq!(AdapterLock::parse(&lock.to_text(), file()), Ok(lock.clone()));
        // Another publisher is the first objection, even for the same bytes; a first publisher is accepted.
        let mut other = lock.source.clone();
        other.origin = None;
        assert_eq!(lock.source.objections(&other), ["publisher: 1234567890123456 → no checked signature"]);
        assert_eq!(other.objections(&lock.source), Vec::<String>::new());
    }

    #[test]
    fn what_is_cut_off_never_accepts_more() {
        let whole = sample().to_text();
        let mut accepted = 0;
        for at in (0..whole.len()).filter(|at| whole.is_char_boundary(*at)) {
            let Ok(cut) = AdapterLock::parse(&whole[..at], file()) else { continue };
            accepted += 1;
            for (cut, whole) in [(cut.source, sample().source), (cut.destination, sample().destination)] {
                assert_eq!(cut.component, whole.component, "{at}");
                assert!(cut.abilities.beyond(&whole.abilities).is_empty(), "{at}");
            }
        }
        // Those that end with the digest, before or within the key of the folder, or with the last brace.
        assert!((1..=8).contains(&accepted), "{accepted}");
    }

    #[test]
    fn another_way_of_sending_credentials_is_more() {
        let (locked, mut now) = (sample().source, sample().source);
        now.component = LockedComponent::Digest(format!("sha256:{}", "0a".repeat(32)));
        now.abilities.credentials.insert(0, "logs in by `POST /tags` with `token` in its body, which that path may store".to_owned());
        now.abilities.headers.insert("x-forwarded-for".to_owned());
        now.abilities.visible.insert("ACME_TOKEN".to_owned());
        let told = locked.objections(&now);
        assert_eq!(
            told[1..],
            [
                "logs in by `POST /tags` with `token` in its body, which that path may store",
                "sees the environment variable ACME_TOKEN",
                "may set the request header `x-forwarded-for`",
            ]
        );
        // A lock of an earlier version, and the same component.
        let mut older = locked.clone();
        older.abilities.credentials.clear();
        assert!(older.objections(&locked).is_empty());
        now.abilities = locked.abilities.clone();
        assert_eq!(older.objections(&now).len(), 2, "a new component: the digest, and how it sends the token");
    }

    #[test]
    fn less_is_accepted_and_more_is_not() {
        let locked = sample();
        let objections = |change: &dyn Fn(&mut AdapterLock)| {
            let mut now = sample();
            change(&mut now);
            let mut lines = locked.source.objections(&now.source);
            lines.extend(locked.destination.objections(&now.destination));
            lines.join("\n")
        };
        assert_eq!(objections(&|_| {}), "");
        assert_eq!(
            objections(&|now| {
                now.source.abilities = Abilities::default();
                now.destination.abilities.folder = None;
                // A part of the program changes with it.
                now.destination.version = "9.0.0".to_owned();
            }),
            ""
        );
        assert_eq!(objections(&|now| now.destination.abilities.folder.as_mut().unwrap().write = false), "");
        assert_snapshot!(objections(&|now| {
            now.source.component = LockedComponent::Digest("sha256:00".to_owned());
            now.source.version = "1.3.0".to_owned();
            now.source.abilities.address.insert("https://cdn.example.org".to_owned());
            now.source.abilities.origins.insert("https://evil.example".to_owned());
            now.source.abilities.networks.insert("127.0.0.0/8".to_owned());
            now.source.abilities.folder = Some(FolderAbility { path: "/etc".to_owned(), write: false });
            now.source.abilities.environment.insert("AWS_SECRET_ACCESS_KEY".to_owned());
            now.source.abilities.secrets.insert("key".to_owned(), SecretSource::Environment);
            now.source.abilities.limits = [(Limit::Memory, 1 << 30), (Limit::Pages, 200_000), (Limit::CallTime, 90_000)].into();
        }), @r"
        digest: sha256:5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f5b1f → sha256:00
        version: 1.2.0 → 1.3.0
        its address is https://cdn.example.org: its credentials go there
        may send HTTP requests to https://evil.example
        may connect to addresses of 127.0.0.0/8
        may read the files of the folder /etc
        is set by the environment variable AWS_SECRET_ACCESS_KEY
        has the secret `key`, from the environment, used for it
        has the limit `memory` of 1 GiB instead of 512 MiB
        has the limit `pages` of 200,000 instead of 100,000
        ");
        assert_snapshot!(objections(&|now| {
            now.destination.component = LockedComponent::Digest("sha256:00".to_owned());
            now.destination.abilities.folder = Some(FolderAbility { path: "other".to_owned(), write: true });
        }), @r"
        digest: built-in → sha256:00
        may read and write the files of the folder other
        ");
    }
}
