//! Settings: from the environment, `config.yml`, the command line and the manifest's defaults to checked values.
//!
//! All problems of one side are collected, so that a user repairs the file once. Secrets go to the host's HTTP, the rest to the guest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use infrahub_sync_base::nearest;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::advice::below;
use crate::error::{AdapterName, Role};
use crate::exchange::REPLAY_ADDRESS;
use crate::headers::{belongs_to_connection, parse_name};
use crate::http::parse_address;
use crate::manifest::{Alias, Condition, Manifest, Setting, SettingType};
use crate::secret::Secret;

/// Looks up an environment variable. The runtime never asks the process itself.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The environment variables that an adapter's settings may come from. Its manifest names some; the host decides which of them count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variables {
    /// All that it names: the adapter is a part of the program.
    All,
    /// Those with the prefix, and the granted ones.
    Only {
        /// `ACME_`.
        prefix: String,
        /// `grants.environment`.
        granted: Vec<String>,
        /// `grants.visible`: those that the adapter sees. The values of all others are secrets.
        visible: Vec<String>,
    },
}

impl Variables {
    /// Returns those of an adapter by the name that the project gives it: for `top-racks` those that begin with `TOP_RACKS_`, and the granted
    /// ones.
    pub fn of(name: &str, granted: &[String]) -> Variables {
        let upper = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        Variables::Only { prefix: upper.chain(['_']).collect(), granted: granted.to_vec(), visible: Vec::new() }
    }

    /// Returns the same, with variables that the adapter may see.
    #[must_use]
    pub fn showing(mut self, shown: &[String]) -> Variables {
        if let Variables::Only { visible, .. } = &mut self {
            visible.extend_from_slice(shown);
        }
        self
    }

    /// Returns whether the project lets the adapter see the value of this variable.
    pub(crate) fn grants_sight(&self, variable: &str) -> bool {
        matches!(self, Variables::Only { .. }) && !self.hide(variable)
    }

    /// Returns whether the value of this variable is a secret, whatever the adapter says.
    pub fn hide(&self, variable: &str) -> bool {
        match self {
            Variables::All => false,
            Variables::Only { visible, .. } => !visible.iter().any(|visible| visible == variable),
        }
    }

    /// Returns whether a setting may come from this variable.
    pub fn allow(&self, variable: &str) -> bool {
        match self {
            Variables::All => true,
            Variables::Only { prefix, granted, visible } => {
                variable.starts_with(prefix.as_str()) || granted.iter().chain(visible).any(|granted| granted == variable)
            }
        }
    }
}

/// The problems with the settings of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The adapter.
    pub adapter: Arc<AdapterName>,
    /// All problems, by name of the setting. Never empty.
    pub problems: Vec<SettingProblem>,
}

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "settings of {}: ", self.adapter)?;
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                out.write_str("; ")?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

/// One problem of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// The name below `settings:`.
    pub setting: String,
    /// The case.
    pub kind: SettingProblemKind,
}

/// The cases of a problem with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingProblemKind {
    /// It is required, and there is no value.
    Missing {
        /// The environment variables that can give it, too.
        environment: Vec<String>,
    },
    /// The adapter has no such setting.
    Unknown {
        /// The known name that is most like it.
        nearest: Option<String>,
    },
    /// The value does not fit.
    Invalid {
        /// The reason, as words that follow the setting's name: `must be a whole number, not "x"`.
        reason: String,
        /// The environment variable or command-line option that the value comes from.
        variable: Option<String>,
    },
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.setting;
        match &self.kind {
            SettingProblemKind::Missing { environment } => {
                write!(out, "`{name}` is required")?;
                if !environment.is_empty() {
                    write!(out, " (or set {})", environment.join(" or "))?;
                }
                Ok(())
            }
            SettingProblemKind::Unknown { nearest: Some(nearest) } => write!(out, "`{name}` is unknown, did you mean `{nearest}`?"),
            SettingProblemKind::Unknown { nearest: None } => write!(out, "`{name}` is unknown"),
            SettingProblemKind::Invalid { reason, variable: Some(variable) } => write!(out, "`{name}` (from {variable}) {reason}"),
            SettingProblemKind::Invalid { reason, variable: None } => write!(out, "`{name}` {reason}"),
        }
    }
}

/// The settings that the host itself serves for every adapter with an address, unless the adapter declares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostSettings {
    /// The server's certificate is checked.
    pub(crate) verify_ssl: bool,
    /// The longest silence of a server.
    pub(crate) timeout: Duration,
    /// Requests to one origin at a time.
    pub(crate) max_concurrency: usize,
    /// Repetitions of a request, after the first attempt.
    pub(crate) retries: u32,
    /// Rows in one write, if the adapter takes more.
    pub(crate) write_batch_max: u32,
}

/// Many pages of NetBox take 30 s on a small server; a minute of silence is an outage.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// A modest default: most of these systems run a handful of workers, and other clients need some of them.
const CONCURRENCY_DEFAULT: usize = 4;
/// With doubling from half a second, four repetitions span a restart behind a load balancer.
const RETRIES_DEFAULT: u32 = 4;

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            verify_ssl: true,
            timeout: TIMEOUT_DEFAULT,
            max_concurrency: CONCURRENCY_DEFAULT,
            retries: RETRIES_DEFAULT,
            write_batch_max: u32::MAX,
        }
    }
}

/// The setting that checks the server's certificate. No adapter declares it, or the adapter could choose its default.
pub(crate) const VERIFY_SSL: &str = "verify_ssl";
/// The setting with the headers that the project gives. No adapter declares it: the values stay with the host.
pub(crate) const HEADERS: &str = "headers";

/// The settings of the host for each adapter with an address, and their types.
pub(crate) const HOST_SETTINGS: [(&str, SettingType); 6] = [
    (VERIFY_SSL, SettingType::Boolean),
    (HEADERS, SettingType::Json),
    ("timeout", SettingType::Float),
    ("max_concurrency", SettingType::Integer),
    ("retries", SettingType::Integer),
    ("write_batch_max", SettingType::Integer),
];

/// The places that the settings of one side come from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) manifest: &'a Manifest,
    /// `settings:` of config.yml.
    pub(crate) settings: &'a BTreeMap<String, Value>,
    /// Options of the command line.
    pub(crate) command_line: &'a BTreeMap<String, String>,
    pub(crate) environment: Environment<'a>,
    pub(crate) variables: &'a Variables,
}

impl<'a> Sources<'a> {
    /// Returns the settings of the host that the adapter does not declare itself.
    pub(crate) fn host_settings(&self) -> Vec<Setting> {
        let undeclared =
            HOST_SETTINGS.iter().filter(|(name, _)| self.manifest.address_setting.is_some() && self.manifest.setting(name).is_none());
        let setting = |(name, setting_type): &(&str, SettingType)| Setting {
            name: (*name).to_owned(),
            help: String::new(),
            setting_type: *setting_type,
            required: false,
            secret: *name == HEADERS,
            environment: Vec::new(),
            environment_setting: None,
            project_first: false,
            command_line: None,
            default: None,
        };
        undeclared.map(setting).collect()
    }

    fn aliases(&self, setting: &Setting) -> impl Iterator<Item = &'a Alias> {
        let name = setting.name.clone();
        self.manifest.aliases.iter().filter(move |alias| alias.setting == name)
    }

    /// Returns the environment variables that the manifest and the project name for a setting, in order.
    fn named(&self, setting: &Setting) -> Result<Vec<String>, SettingProblem> {
        let list = setting.environment_setting.as_ref().and_then(|list| self.manifest.setting(list));
        let mut names = match list.map(|list| self.find(list)).transpose()?.flatten() {
            Some(names) => variable_names(&names).ok_or_else(|| {
                let reason = "must be a list of names of environment variables".to_owned();
                invalid(setting.environment_setting.as_deref().unwrap_or_default(), reason)
            })?,
            None => setting.environment.clone(),
        };
        names.extend(self.aliases(setting).flat_map(|alias| alias.environment.iter().cloned()));
        Ok(names)
    }

    /// Returns the environment variables that a setting may come from, in order.
    pub(crate) fn variables(&self, setting: &Setting) -> Vec<String> {
        let mut names = self.named(setting).unwrap_or_default();
        names.retain(|name| self.variables.allow(name));
        names
    }

    /// Returns the variables that have a value and that no setting may come from.
    pub(crate) fn ungranted(&self) -> Vec<String> {
        let has_value = |name: &String| (self.environment)(name).is_some_and(|value| !value.is_empty());
        let named = self.all().into_iter().flat_map(|setting| self.named(&setting).unwrap_or_default());
        let mut seen = BTreeSet::new();
        named.filter(|name| !self.variables.allow(name) && has_value(name) && seen.insert(name.clone())).collect()
    }

    /// Returns the settings of the adapter and those of the host.
    pub(crate) fn all(&self) -> Vec<Setting> {
        self.manifest.settings.iter().cloned().chain(self.host_settings()).collect()
    }

    /// Returns the value in config.yml with the name under which it is there: the setting's, or an alias. Null counts as absent.
    pub(crate) fn written(&self, setting: &Setting) -> Result<Option<(String, &'a Value)>, SettingProblem> {
        let aliases = self.aliases(setting).map(|alias| alias.name.clone());
        let names = std::iter::once(setting.name.clone()).chain(aliases);
        let mut written = names.filter_map(|name| Some((self.settings.get(&name).filter(|value| !value.is_null())?, name)));
        let Some((value, name)) = written.next() else { return Ok(None) };
        match written.next() {
            Some((_, other)) => Err(invalid(&other, format!("is another spelling of `{name}`, which is set too: remove one of them"))),
            None => Ok(Some((name, value))),
        }
    }

    /// Returns the first value that there is, checked.
    pub(crate) fn find(&self, setting: &Setting) -> Result<Option<Value>, SettingProblem> {
        Ok(self.find_from(setting)?.map(|(value, _)| value))
    }

    /// Returns the first value that there is, checked, with the variable that it comes from.
    fn find_from(&self, setting: &Setting) -> Result<Option<(Value, Option<String>)>, SettingProblem> {
        let written = || Ok(self.find_written(setting)?.map(|value| (value, None)));
        let first = if setting.project_first { written() } else { self.find_variable(setting) }?;
        if first.is_some() {
            return Ok(first);
        }
        let second = if setting.project_first { self.find_variable(setting) } else { written() }?;
        if second.is_some() {
            return Ok(second);
        }
        Ok(self.find_last(setting)?.map(|value| (value, None)))
    }

    /// Returns the value of the command line, or the default.
    fn find_last(&self, setting: &Setting) -> Result<Option<Value>, SettingProblem> {
        if let Some(option) = &setting.command_line
            && let Some(text) = self.command_line.get(option)
        {
            return checked(setting, check_text(setting.setting_type, text.clone()), Some(format!("--{option}")));
        }
        match &setting.default {
            Some(text) => {
                let value = check_text(setting.setting_type, text.clone());
                checked(setting, value.map_err(|reason| format!("has an invalid default: it {reason}")), None)
            }
            None => Ok(None),
        }
    }

    /// Returns the value of the first variable that has one. An empty variable counts as absent.
    fn find_variable(&self, setting: &Setting) -> Result<Option<(Value, Option<String>)>, SettingProblem> {
        for variable in self.named(setting)?.into_iter().filter(|name| self.variables.allow(name)) {
            if let Some(text) = (self.environment)(&variable).filter(|text| !text.is_empty()) {
                let is_hidden = self.variables.hide(&variable);
                let is_address = self.manifest.address_setting.as_ref() == Some(&setting.name);
                // A message must not repeat what may be a secret.
                let value = match check_text(setting.setting_type, text) {
                    Err(_) if is_hidden => Err("does not have the right type".to_owned()),
                    Ok(value) if is_hidden && is_address && value.as_str().is_none_or(|text| parse_address(text).is_err()) => {
                        Err("is not an address that begins with `https://` or `http://`".to_owned())
                    }
                    value => value,
                };
                return Ok(checked(setting, value, Some(variable.clone()))?.map(|value| (value, Some(variable))));
            }
        }
        Ok(None)
    }

    fn find_written(&self, setting: &Setting) -> Result<Option<Value>, SettingProblem> {
        match self.written(setting)? {
            // `token: ${TOKEN}` with an unset or empty variable is not a token.
            Some((_, value)) if setting.required && value.as_str() == Some("") => Ok(None),
            Some((name, value)) => {
                checked(setting, check(setting.setting_type, value), None).map_err(|problem| SettingProblem { setting: name, ..problem })
            }
            None => Ok(None),
        }
    }
}

/// Returns the names in a list of environment variables.
fn variable_names(value: &Value) -> Option<Vec<String>> {
    let name = |value: &Value| value.as_str().filter(|name| !name.trim().is_empty() && !name.contains(['=', '\0'])).map(str::to_owned);
    value.as_array()?.iter().map(name).collect()
}

fn invalid(setting: &str, reason: String) -> SettingProblem {
    SettingProblem { setting: setting.to_owned(), kind: SettingProblemKind::Invalid { reason, variable: None } }
}

fn checked(setting: &Setting, value: Result<Value, String>, variable: Option<String>) -> Result<Option<Value>, SettingProblem> {
    value.map(Some).map_err(|reason| {
        // A message must not repeat a secret.
        let reason = if setting.secret { "does not have the right type".to_owned() } else { reason };
        SettingProblem { setting: setting.name.clone(), kind: SettingProblemKind::Invalid { reason, variable } }
    })
}

/// Checked settings of one side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolved {
    /// Declared settings without the secrets, as the guest gets them.
    pub(crate) plain: BTreeMap<String, Value>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// The headers that the project gives.
    pub(crate) headers: Vec<(HeaderName, Secret)>,
    pub(crate) host: HostSettings,
    /// The value of the address setting.
    pub(crate) address: Option<String>,
    /// The value of the folder setting, as it was written.
    pub(crate) folder: Option<String>,
}

impl Resolved {
    /// Returns the text of a setting, secret or not, for a credential.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        if let Some(secret) = self.secrets.get(name) {
            return Some(secret.expose().to_owned());
        }
        match self.plain.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// Returns whether a condition holds.
    pub(crate) fn meets(&self, condition: &Condition) -> bool {
        self.text(&condition.setting).is_some_and(|value| condition.values.contains(&value))
    }
}

/// Resolves and checks the settings of one side. A replay demands neither secrets nor an address, and invents the latter.
pub(crate) fn resolve(sources: &Sources<'_>, adapter: &Arc<AdapterName>, replay: bool) -> Result<Resolved, SettingsError> {
    let mut resolving = Resolving { sources, role: adapter.role, replay, resolved: Resolved::default(), problems: Vec::new() };
    for setting in &sources.manifest.settings {
        if let Err(problem) = resolving.declared(setting) {
            resolving.problems.push(problem);
        }
    }
    for (name, _) in HOST_SETTINGS.iter().filter(|_| sources.manifest.address_setting.is_some()) {
        if let Err(problem) = resolving.of_host(name) {
            resolving.problems.push(problem);
        }
    }
    resolving.unknown();
    let Resolving { resolved, mut problems, .. } = resolving;
    if problems.is_empty() {
        return Ok(resolved);
    }
    problems.sort_by(|a, b| a.setting.cmp(&b.setting));
    problems.dedup();
    Err(SettingsError { adapter: adapter.clone(), problems })
}

/// Settings that are being resolved.
struct Resolving<'a> {
    sources: &'a Sources<'a>,
    role: Option<Role>,
    replay: bool,
    resolved: Resolved,
    problems: Vec<SettingProblem>,
}

impl Resolving<'_> {
    /// Resolves a setting that the adapter declares.
    fn declared(&mut self, setting: &Setting) -> Result<(), SettingProblem> {
        let manifest = self.sources.manifest;
        let is_address = manifest.address_setting.as_deref() == Some(&setting.name);
        let (value, variable) = if self.replay && is_address {
            (Value::String(REPLAY_ADDRESS.into()), None)
        } else {
            match self.sources.find_from(setting)? {
                Some(found) => found,
                None if setting.required && !(self.replay && setting.secret) => {
                    let kind = SettingProblemKind::Missing { environment: self.sources.variables(setting) };
                    return Err(SettingProblem { setting: setting.name.clone(), kind });
                }
                None => return Ok(()),
            }
        };
        let hidden = variable.filter(|variable| self.sources.variables.hide(variable));
        let is_secret = match hidden {
            // The address has been checked to be one, and a truth value is no secret.
            Some(variable) if !setting.secret && !is_address && setting.setting_type != SettingType::Boolean => {
                self.check_hidden(setting, variable)?;
                true
            }
            _ => setting.secret,
        };
        let resolved = &mut self.resolved;
        if is_secret {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            resolved.secrets.insert(setting.name.clone(), Secret::new(text));
            return Ok(());
        }
        if is_address {
            resolved.address = value.as_str().map(str::to_owned);
        }
        if manifest.folder_setting.as_deref() == Some(&setting.name) {
            resolved.folder = value.as_str().map(str::to_owned);
        }
        resolved.plain.insert(setting.name.clone(), value);
        Ok(())
    }

    /// Checks that the adapter does without a setting whose value it must not see: it is a part of a credential.
    fn check_hidden(&self, setting: &Setting, variable: String) -> Result<(), SettingProblem> {
        let name = &setting.name;
        if self.sources.manifest.credentials.iter().any(|credential| credential.form.settings().contains(name.as_str())) {
            return Ok(());
        }
        let reason = format!(
            "is not shown to the adapter, because it may be a secret; if it is not, write {}: `grants: {{visible: [{variable}]}}`",
            below(self.role)
        );
        Err(SettingProblem { setting: name.clone(), kind: SettingProblemKind::Invalid { reason, variable: Some(variable) } })
    }

    /// Resolves a setting of the host. If the adapter declares it, it has been resolved already.
    fn of_host(&mut self, name: &str) -> Result<(), SettingProblem> {
        let undeclared = self.sources.host_settings().into_iter().find(|setting| setting.name == name);
        let value = match undeclared {
            Some(setting) => self.sources.find(&setting)?,
            None => self.resolved.plain.get(name).cloned(),
        };
        let Some(value) = value else { return Ok(()) };
        if name == HEADERS {
            self.resolved.headers = project_headers(&value).map_err(|reason| invalid(name, reason))?;
            return Ok(());
        }
        set_host(&mut self.resolved.host, name, &value).map_err(|reason| invalid(name, reason))
    }

    /// Notes the names in config.yml that are no settings.
    fn unknown(&mut self) {
        let mut known: Vec<String> = self.sources.all().into_iter().map(|setting| setting.name).collect();
        known.extend(self.sources.manifest.aliases.iter().map(|alias| alias.name.clone()));
        for name in self.sources.settings.keys().filter(|name| !known.contains(name)) {
            let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            self.problems.push(SettingProblem { setting: name.clone(), kind: SettingProblemKind::Unknown { nearest } });
        }
    }
}

/// Returns the headers that a project gives; the error follows the setting's name, without any value. Null and empty values count as
/// absent.
fn project_headers(value: &Value) -> Result<Vec<(HeaderName, Secret)>, String> {
    let Value::Object(given) = value else { return Err("must be a table of header names and values".to_owned()) };
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    for (name, value) in given {
        let header = parse_name(name).map_err(|reason| format!("cannot be sent: {reason}"))?;
        if belongs_to_connection(&header) {
            return Err(format!("must not set `{name}`, which belongs to the connection: remove it"));
        }
        if headers.iter().any(|(known, _)| *known == header) {
            return Err(format!("sets `{name}` twice: remove one of them"));
        }
        let text = match value {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => return Err(format!("must give `{name}` a text")),
        };
        if HeaderValue::from_str(&text).is_err() {
            return Err(format!("gives `{name}` a value with characters that no header may have, perhaps a line break"));
        }
        headers.push((header, Secret::new(text)));
    }
    Ok(headers)
}

/// Parses a value that was written as text.
fn check_text(setting_type: SettingType, text: String) -> Result<Value, String> {
    match setting_type {
        SettingType::Json => serde_json::from_str(&text).map_err(|error| format!("must be JSON: {error}")),
        _ => check(setting_type, &Value::String(text)),
    }
}

/// Returns a value in its type; the error follows the setting's name.
fn check(setting_type: SettingType, value: &Value) -> Result<Value, String> {
    let word = value.as_str().map(str::trim);
    let checked = match setting_type {
        SettingType::Text => match value {
            Value::String(_) => Some(value.clone()),
            Value::Number(_) | Value::Bool(_) => Some(Value::String(value.to_string())),
            _ => None,
        },
        SettingType::Boolean => match value {
            Value::Bool(_) => Some(value.clone()),
            Value::Number(number) => match number.as_i64() {
                Some(0) => Some(Value::Bool(false)),
                Some(1) => Some(Value::Bool(true)),
                _ => None,
            },
            _ => word.and_then(|word| match word.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(Value::Bool(true)),
                "false" | "no" | "off" | "0" => Some(Value::Bool(false)),
                _ => None,
            }),
        },
        SettingType::Integer => match value {
            Value::Number(number) if number.is_i64() => Some(value.clone()),
            _ => word.and_then(|word| word.parse::<i64>().ok()).map(Value::from),
        },
        SettingType::Float => match value {
            Value::Number(_) => Some(value.clone()),
            _ => word.and_then(|word| word.parse::<f64>().ok()).and_then(serde_json::Number::from_f64).map(Value::Number),
        },
        SettingType::Json => Some(value.clone()),
    };
    checked.ok_or_else(|| {
        let expected = match setting_type {
            SettingType::Text => "text",
            SettingType::Boolean => "true or false",
            SettingType::Integer => "a whole number",
            SettingType::Float => "a number",
            SettingType::Json => "JSON",
        };
        format!("must be {expected}, not {value}")
    })
}

/// Sets a value for the host's own use; the manifest may have given it another type (`timeout` as text).
fn set_host(host: &mut HostSettings, name: &str, value: &Value) -> Result<(), String> {
    let whole = |least: i64| match check(SettingType::Integer, value)?.as_i64() {
        Some(number) if (least..=1000).contains(&number) => Ok(number),
        _ => Err(format!("must be from {least} to 1000, not {value}")),
    };
    match name {
        VERIFY_SSL => host.verify_ssl = check(SettingType::Boolean, value)?.as_bool().unwrap_or(true),
        "timeout" => match check(SettingType::Float, value)?.as_f64() {
            Some(seconds) if seconds > 0.0 && seconds <= 86_400.0 => host.timeout = Duration::from_secs_f64(seconds),
            _ => return Err(format!("must be a number of seconds above 0, not {value}")),
        },
        "max_concurrency" => host.max_concurrency = usize::try_from(whole(1)?).unwrap_or(1),
        "retries" => host.retries = u32::try_from(whole(0)?).unwrap_or(0),
        _ => match check(SettingType::Integer, value)?.as_u64().and_then(|rows| u32::try_from(rows).ok()) {
            Some(rows) if rows > 0 => host.write_batch_max = rows,
            _ => return Err(format!("must be a number of rows, at least 1, not {value}")),
        },
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::Role;
    use crate::manifest::{Addressing, CredentialForm, Evidence, HeaderTemplate};
    use serde_json::json;

    pub(crate) fn setting(name: &str, setting_type: SettingType) -> Setting {
        Setting {
            name: name.into(),
            help: String::new(),
            setting_type,
            required: false,
            secret: false,
            environment: Vec::new(),
            environment_setting: None,
            project_first: false,
            command_line: None,
            default: None,
        }
    }

    pub(crate) fn manifest() -> Manifest {
        let mut url = setting("url", SettingType::Text);
        url.required = true;
        url.environment = vec!["NETBOX_ADDRESS".into(), "NETBOX_URL".into()];
        let mut token = setting("token", SettingType::Text);
        token.required = true;
        token.secret = true;
        token.environment = vec!["NETBOX_TOKEN".into()];
        let mut brief = setting("brief", SettingType::Boolean);
        brief.default = Some("no".into());
        Manifest {
            name: "netbox".into(),
            version: "0.1.0".into(),
            description: "NetBox".into(),
            settings: vec![url, token, brief, setting("limit", SettingType::Integer), setting("params", SettingType::Json)],
            address_setting: Some("url".into()),
            folder_setting: None,
            credentials: vec![
                CredentialForm::Header(vec![
                    HeaderTemplate { name: "Authorization".into(), template: "Bearer {token}".into(), prefix: "nbt_".into() },
                    HeaderTemplate { name: "Authorization".into(), template: "Token {token}".into(), prefix: String::new() },
                ])
                .into(),
            ],
            reading_paths: Vec::new(),
            aliases: vec![Alias { name: "verify".into(), setting: "verify_ssl".into(), environment: vec!["NETBOX_VERIFY".into()] }],
            source: Some(Addressing::Mapping),
            destination: None,
            references: Vec::new(),
            tables: Vec::new(),
            lookup: None,
            evidence: Evidence::default(),
            ownership: false,
            reads_ids: false,
            schema: false,
            page_size: 1000,
            write_batch_max: 100,
            write_concurrency: 1,
            has_ids: true,
        }
    }

    pub(crate) fn name() -> Arc<AdapterName> {
        Arc::new(AdapterName { role: Some(Role::Source), name: "netbox".into(), version: "0.1.0".into() })
    }

    fn settings(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    pub(crate) static NO_OPTIONS: BTreeMap<String, String> = BTreeMap::new();

    pub(crate) fn try_resolve(
        manifest: &Manifest,
        settings: &BTreeMap<String, Value>,
        environment: Environment<'_>,
        variables: &Variables,
        replay: bool,
    ) -> Result<Resolved, SettingsError> {
        resolve(&Sources { manifest, settings, command_line: &NO_OPTIONS, environment, variables }, &name(), replay)
    }

    /// Resolves with the address and the token besides.
    fn resolve_with(
        manifest: &Manifest,
        given: Value,
        variables: &Variables,
        environment: Environment<'_>,
    ) -> Result<Resolved, SettingsError> {
        let mut all = json!({"url": "http://x", "token": "t"});
        all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        try_resolve(manifest, &settings(all), environment, variables, false)
    }

    #[test]
    fn an_alias_is_another_spelling() {
        let verifies = |given: Value, variables: &Variables, value: &'static str| {
            let environment = |name: &str| (name == "NETBOX_VERIFY" && !value.is_empty()).then(|| value.to_owned());
            let resolved = resolve_with(&manifest(), given, variables, &environment);
            resolved.map(|resolved| resolved.host.verify_ssl).map_err(|error| error.problems[0].to_string())
        };
        assert_eq!(verifies(json!({}), &Variables::All, ""), Ok(true));
        assert_eq!(verifies(json!({"verify": "no"}), &Variables::All, ""), Ok(false));
        assert_eq!(verifies(json!({"verify": true}), &Variables::All, "0"), Ok(false));
        assert_eq!(verifies(json!({"verify": 7}), &Variables::All, ""), Err("`verify` must be true or false, not 7".into()));
        let both = "`verify` is another spelling of `verify_ssl`, which is set too: remove one of them";
        assert_eq!(verifies(json!({"verify": true, "verify_ssl": true}), &Variables::All, ""), Err(both.into()));
        // The variables of an alias count no more than those of a setting.
        assert_eq!(verifies(json!({}), &Variables::of("acme", &[]), "0"), Ok(true));
        assert_eq!(verifies(json!({}), &Variables::of("acme", &["NETBOX_VERIFY".into()]), "0"), Ok(false));
    }

    #[test]
    fn a_setting_may_name_the_variables_of_another_one() {
        let mut manifest = manifest();
        manifest.settings[1].environment_setting = Some("vars".into());
        let mut vars = setting("vars", SettingType::Json);
        vars.default = Some(r#"["MY_TOKEN"]"#.into());
        manifest.settings.push(vars);
        let environment = |name: &str| (name != "NETBOX_VERIFY").then(|| format!("from {name}"));
        let token = |given: Value, variables: &Variables| {
            let resolved = resolve_with(&manifest, given, variables, &environment);
            resolved.map(|resolved| resolved.secrets["token"].expose().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(token(json!({}), &Variables::All).unwrap(), "from MY_TOKEN");
        assert_eq!(token(json!({"vars": ["A", "B"]}), &Variables::All).unwrap(), "from A");
        assert_eq!(token(json!({"vars": ["A", "ACME_B"]}), &Variables::of("acme", &[])).unwrap(), "from ACME_B");
        assert_eq!(token(json!({"vars": []}), &Variables::All).unwrap(), "t");
        let told = token(json!({"vars": ["A=B"]}), &Variables::All).unwrap_err();
        assert_eq!(told, "settings of source `netbox` 0.1.0: `vars` must be a list of names of environment variables");
    }

    #[test]
    fn the_project_may_come_before_the_environment_and_the_command_line_comes_after_both() {
        let mut manifest = manifest();
        manifest.settings[3] = Setting { command_line: Some("most".into()), default: Some("1".into()), ..manifest.settings[3].clone() };
        manifest.settings[3].environment = vec!["NETBOX_LIMIT".into()];
        let limit = |manifest: &Manifest, written: Value, variable: &'static str, option: &str| {
            let given = settings(json!({"url": "http://x", "token": "t", "limit": written}));
            let environment = |name: &str| (name == "NETBOX_LIMIT" && !variable.is_empty()).then(|| variable.to_owned());
            let command_line = BTreeMap::from([("most".to_owned(), option.to_owned())]);
            let sources = Sources {
                manifest,
                settings: &given,
                command_line: if option.is_empty() { &NO_OPTIONS } else { &command_line },
                environment: &environment,
                variables: &Variables::All,
            };
            resolve(&sources, &name(), false).map(|resolved| resolved.plain["limit"].clone()).map_err(|error| error.problems[0].to_string())
        };
        assert_eq!(limit(&manifest, json!(2), "3", "4"), Ok(json!(3)));
        assert_eq!(limit(&manifest, json!(2), "", "4"), Ok(json!(2)));
        assert_eq!(limit(&manifest, json!(null), "", "4"), Ok(json!(4)));
        assert_eq!(limit(&manifest, json!(null), "", ""), Ok(json!(1)));
        assert_eq!(limit(&manifest, json!(null), "", "few"), Err("`limit` (from --most) must be a whole number, not \"few\"".into()));
        manifest.settings[3].project_first = true;
        assert_eq!(limit(&manifest, json!(2), "3", "4"), Ok(json!(2)));
        assert_eq!(limit(&manifest, json!(null), "3", "4"), Ok(json!(3)));
    }

    #[test]
    fn headers_of_the_project_are_secrets_of_the_host() {
        let headers = |given: Value| {
            let resolved = resolve_with(&manifest(), json!({"headers": given}), &Variables::All, &|_| None);
            resolved.map_err(|error| error.problems[0].to_string())
        };
        let resolved = headers(json!({"X-Api-Key": "hunter2-hunter2", "X-Org": 7, "X-None": null, "X-Empty": ""})).unwrap();
        let told: Vec<(&str, &str)> = resolved.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(told, [("x-api-key", "hunter2-hunter2"), ("x-org", "7")]);
        assert!(!format!("{resolved:?}").contains("hunter2") && !resolved.plain.contains_key("headers"));
        let wrong = |given: Value| headers(given).unwrap_err();
        assert_eq!(wrong(json!(["a"])), "`headers` must be a table of header names and values");
        assert_eq!(wrong(json!({"a b": "hunter2"})), "`headers` cannot be sent: `a b` is not a header name");
        for name in ["Host", "Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "TE", "Proxy-Authorization"] {
            assert_eq!(
                wrong(json!({name: "hunter2"})),
                format!("`headers` must not set `{name}`, which belongs to the connection: remove it")
            );
        }
        assert_eq!(wrong(json!({"X-A": "1", "x-a": "2"})), "`headers` sets `x-a` twice: remove one of them");
        assert_eq!(wrong(json!({"X-A": ["hunter2"]})), "`headers` must give `X-A` a text");
        let told = wrong(json!({"X-A": "hunter2\r\nHost: evil.example"}));
        assert_eq!(told, "`headers` gives `X-A` a value with characters that no header may have, perhaps a line break");
    }

    #[test]
    fn a_condition_looks_at_the_default_too() {
        let resolved = |given: Value| resolve_with(&manifest(), given, &Variables::All, &|_| None).unwrap();
        let condition = |setting: &str, values: &[&str]| Condition {
            setting: setting.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        assert!(resolved(json!({})).meets(&condition("brief", &["false"])));
        assert!(!resolved(json!({"brief": true})).meets(&condition("brief", &["false", "no"])));
        assert!(resolved(json!({"limit": 7})).meets(&condition("limit", &["6", "7"])));
        assert!(!resolved(json!({})).meets(&condition("limit", &["7"])));
    }

    #[test]
    fn a_strangers_variables_begin_with_its_name_or_are_granted() {
        let variables = Variables::of("top-racks", &["SHARED_URL".into()]);
        let allowed =
            ["TOP_RACKS_URL", "SHARED_URL", "TOP_RACK", "TOP-RACKS_URL", "SHARED_URL2", "HOME", ""].map(|name| variables.allow(name));
        assert_eq!(allowed, [true, true, false, false, false, false, false]);
        assert!(Variables::All.allow("HOME"));
        let environment = |name: &str| (name != "NETBOX_VERIFY").then(|| format!("http://{name}"));
        let url = |variables: &Variables| {
            let given = settings(json!({"url": "http://config", "token": "t"}));
            try_resolve(&manifest(), &given, &environment, variables, false).unwrap().address
        };
        assert_eq!(url(&Variables::of("acme", &[])).as_deref(), Some("http://config"));
        assert_eq!(url(&Variables::of("acme", &["NETBOX_URL".into()])).as_deref(), Some("http://NETBOX_URL"));
        assert_eq!(url(&Variables::of("netbox", &[])).as_deref(), Some("http://NETBOX_ADDRESS"));
        let error = try_resolve(&manifest(), &settings(json!({"token": "t"})), &environment, &Variables::of("x", &[]), false);
        assert_eq!(error.unwrap_err().problems[0].to_string(), "`url` is required");
    }

    #[test]
    fn a_strangers_variables_are_secrets_unless_the_project_shows_them() {
        let mut manifest = manifest();
        manifest.settings[3].environment = vec!["ACME_LIMIT".into()];
        manifest.settings[2].environment = vec!["ACME_BRIEF".into()];
        manifest.settings[4].environment = vec!["ACME_TOKEN".into()];
        manifest.settings[0].environment = vec!["ACME_URL".into()];
        let given = settings(json!({"url": "http://x", "token": "t"}));
        let resolved = |name: &'static str, value: &'static str, shown: &[&str]| {
            let environment = move |variable: &str| (variable == name).then(|| value.to_owned());
            let shown: Vec<String> = shown.iter().map(|name| (*name).to_owned()).collect();
            let variables = Variables::of("acme", &[]).showing(&shown);
            let resolved = try_resolve(&manifest, &given, &environment, &variables, false);
            resolved.map(|resolved| serde_json::to_string(&resolved.plain).unwrap()).map_err(|error| error.problems[0].to_string())
        };
        insta::assert_snapshot!(resolved("ACME_TOKEN", "[\"hunter2\"]", &[]).unwrap_err(), @"`params` (from ACME_TOKEN) is not shown to the adapter, because it may be a secret; if it is not, write under `source:` in config.yml: `grants: {visible: [ACME_TOKEN]}`");
        assert!(resolved("ACME_TOKEN", "[\"x\"]", &["ACME_TOKEN"]).unwrap().contains(r#""params":["x"]"#));
        assert!(resolved("ACME_BRIEF", "yes", &[]).unwrap().contains(r#""brief":true"#));
        assert!(resolved("ACME_URL", "https://y", &[]).unwrap().contains("https://y"));
        // Nor does a message repeat them.
        for (name, told) in
            [("ACME_LIMIT", "does not have the right type"), ("ACME_URL", "is not an address"), ("ACME_TOKEN", "the right type")]
        {
            let error = resolved(name, "hunter2", &[]).unwrap_err();
            assert!(error.contains(told) && !error.contains("hunter2"), "{error}");
        }
        // A part of a credential, such as a user's name, stays with the host.
        manifest.settings[3].setting_type = SettingType::Text;
        manifest.credentials = vec![CredentialForm::Basic { username: "limit".into(), password: "token".into() }.into()];
        let environment = |variable: &str| (variable == "ACME_LIMIT").then(|| "joe".to_owned());
        let resolved = try_resolve(&manifest, &given, &environment, &Variables::of("acme", &[]), false).unwrap();
        assert_eq!((resolved.text("limit").as_deref(), resolved.plain.contains_key("limit")), (Some("joe"), false));
    }

    #[test]
    fn environment_wins_over_settings_and_default_comes_last() {
        let environment = |name: &str| match name {
            "NETBOX_ADDRESS" => Some(String::new()),
            "NETBOX_URL" => Some("http://from-environment".into()),
            _ => None,
        };
        let resolved = try_resolve(
            &manifest(),
            &settings(json!({"url": "http://x", "token": 12345, "limit": "7", "verify_ssl": "off", "timeout": 2.5})),
            &environment,
            &Variables::All,
            false,
        )
        .unwrap();
        assert_eq!(resolved.address.as_deref(), Some("http://from-environment"));
        assert_eq!(serde_json::to_string(&resolved.plain).unwrap(), r#"{"brief":false,"limit":7,"url":"http://from-environment"}"#);
        assert_eq!(resolved.secrets["token"].expose(), "12345");
        assert_eq!(resolved.host, HostSettings { verify_ssl: false, timeout: Duration::from_millis(2500), ..HostSettings::default() });
        assert!(!format!("{resolved:?}").contains("12345"));
    }

    #[test]
    fn a_host_setting_that_is_declared_has_the_adapters_default() {
        let mut manifest = manifest();
        let mut timeout = setting("timeout", SettingType::Integer);
        timeout.default = Some("180".into());
        timeout.environment = vec!["PATIENCE".into()];
        manifest.settings.push(timeout);
        let seconds = |given: Value, patience: Option<&str>| {
            let environment = |name: &str| patience.filter(|_| name == "PATIENCE").map(str::to_owned);
            let mut all = json!({"url": "http://x", "token": "t"});
            all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
            try_resolve(&manifest, &settings(all), &environment, &Variables::All, false).map(|resolved| resolved.host.timeout.as_secs())
        };
        assert_eq!(seconds(json!({}), None), Ok(180));
        assert_eq!(seconds(json!({"timeout": 7}), None), Ok(7));
        assert_eq!(seconds(json!({"timeout": 7}), Some("9")), Ok(9));
        assert!(seconds(json!({"timeout": 0}), None).is_err());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let error = try_resolve(
            &manifest(),
            &settings(json!({"tokn": "x", "limit": 1.5, "zzz": 1, "brief": "maybe", "retries": -1, "max_concurrency": "many"})),
            &|name| (name == "NETBOX_URL").then(|| "http://x".into()),
            &Variables::All,
            false,
        )
        .unwrap_err();
        insta::assert_snapshot!(error.to_string().replace("; ", "\n"), @r#"
        settings of source `netbox` 0.1.0: `brief` must be true or false, not "maybe"
        `limit` must be a whole number, not 1.5
        `max_concurrency` must be a whole number, not "many"
        `retries` must be from 0 to 1000, not -1
        `token` is required (or set NETBOX_TOKEN)
        `tokn` is unknown, did you mean `token`?
        `zzz` is unknown
        "#);
    }

    #[test]
    fn bad_environment_is_named() {
        let mut manifest = manifest();
        manifest.settings[3].environment = vec!["LIMIT".into()];
        let error = try_resolve(
            &manifest,
            &settings(json!({"url": "http://x", "token": "t"})),
            &|name| (name == "LIMIT").then(|| "few".into()),
            &Variables::All,
            false,
        )
        .unwrap_err();
        assert_eq!(error.problems[0].to_string(), "`limit` (from LIMIT) must be a whole number, not \"few\"");
    }

    #[test]
    fn a_bad_secret_is_not_repeated() {
        let error =
            try_resolve(&manifest(), &settings(json!({"url": "http://x", "token": ["hunter2"]})), &|_| None, &Variables::All, false)
                .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn replay_demands_neither_secret_nor_address() {
        let resolved = try_resolve(&manifest(), &BTreeMap::new(), &|_| None, &Variables::All, true).unwrap();
        assert_eq!(resolved.address.as_deref(), Some(REPLAY_ADDRESS));
    }

    #[test]
    fn host_settings_need_an_address() {
        let mut manifest = manifest();
        manifest.settings.remove(0);
        manifest.aliases.clear();
        manifest.address_setting = None;
        let error =
            try_resolve(&manifest, &settings(json!({"token": "t", "verify_ssl": false})), &|_| None, &Variables::All, false).unwrap_err();
        assert_eq!(error.problems[0].kind, SettingProblemKind::Unknown { nearest: None });
    }
}
