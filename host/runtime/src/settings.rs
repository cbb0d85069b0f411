//! Settings: from the environment, `config.yml` and the manifest's defaults to checked values.
//!
//! All problems of one side are collected, so that a user repairs the file once. Secrets go to the host's HTTP, the rest to the guest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use infrahub_sync_base::nearest;
use serde_json::Value;

use crate::error::AdapterName;
use crate::exchange::REPLAY_ADDRESS;
use crate::manifest::{Manifest, Setting, SettingType};
use crate::secret::Secret;

/// Looks up an environment variable. The runtime never asks the process itself.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The environment variables that an adapter's settings may come from. Its manifest names some; which count is not its to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variables {
    /// All that it names: it is a part of the program.
    All,
    /// Those that begin so, and these.
    Only {
        /// `ACME_`.
        prefix: String,
        /// `grants.environment`.
        granted: Vec<String>,
    },
}

impl Variables {
    /// Those of an adapter by the name that the project gives it: for `top-racks` what begins with `TOP_RACKS_`, and what is granted.
    pub fn of(name: &str, granted: &[String]) -> Variables {
        let upper = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        Variables::Only { prefix: upper.chain(['_']).collect(), granted: granted.to_vec() }
    }

    /// Whether a setting may come from this one.
    pub fn allow(&self, variable: &str) -> bool {
        match self {
            Variables::All => true,
            Variables::Only { prefix, granted } => {
                variable.starts_with(prefix.as_str()) || granted.iter().any(|granted| granted == variable)
            }
        }
    }

    /// Those of a setting.
    fn of_setting<'s>(&'s self, setting: &'s Setting) -> impl Iterator<Item = &'s String> {
        setting.environment.iter().filter(|variable| self.allow(variable))
    }
}

/// What is wrong with the settings of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// Whose settings.
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
    /// The setting's name, below `settings:`.
    pub setting: String,
    /// What is wrong.
    pub kind: SettingProblemKind,
}

/// What is wrong with a setting.
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
        /// What is wrong, as words that follow the setting's name: `must be a whole number, not "x"`.
        reason: String,
        /// The environment variable that the value comes from.
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
    /// Check the server's certificate.
    pub(crate) verify_ssl: bool,
    /// The longest silence of a server.
    pub(crate) timeout: Duration,
    /// Requests to one origin at a time.
    pub(crate) max_concurrency: usize,
    /// Repetitions of a request, after the first attempt.
    pub(crate) retries: u32,
}

/// Many pages of NetBox take 30 s on a small server; a minute of silence is an outage.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// A modest default: most of these systems run a handful of workers, and other clients want some.
const CONCURRENCY_DEFAULT: usize = 4;
/// With doubling from half a second, four repetitions span a restart behind a load balancer.
const RETRIES_DEFAULT: u32 = 4;

impl Default for HostSettings {
    fn default() -> Self {
        Self { verify_ssl: true, timeout: TIMEOUT_DEFAULT, max_concurrency: CONCURRENCY_DEFAULT, retries: RETRIES_DEFAULT }
    }
}

/// Whether the server's certificate is checked. No adapter declares it: its default would be the adapter's to choose.
pub(crate) const VERIFY_SSL: &str = "verify_ssl";

/// The names of [`HostSettings`] and their types.
const HOST_SETTINGS: [(&str, SettingType); 4] = [
    (VERIFY_SSL, SettingType::Boolean),
    ("timeout", SettingType::Float),
    ("max_concurrency", SettingType::Integer),
    ("retries", SettingType::Integer),
];

/// Checked settings of one side.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// Declared settings without the secrets: what the guest gets.
    pub(crate) plain: BTreeMap<String, Value>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) host: HostSettings,
    /// The value of the address setting.
    pub(crate) address: Option<String>,
    /// The value of the folder setting, as it was written.
    pub(crate) folder: Option<String>,
}

impl Resolved {
    /// The text of a setting, secret or not, for a credential.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        if let Some(secret) = self.secrets.get(name) {
            return Some(secret.expose().to_owned());
        }
        match self.plain.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// Resolves and checks the settings of one side.
///
/// The first of the setting's environment variables (an empty one counts as absent), the value in `settings` (null counts as absent) and
/// the default is taken. A replay demands neither secrets nor an address, and invents the latter.
pub(crate) fn resolve(
    manifest: &Manifest,
    adapter: &Arc<AdapterName>,
    settings: &BTreeMap<String, Value>,
    environment: Environment<'_>,
    variables: &Variables,
    replay: bool,
) -> Result<Resolved, SettingsError> {
    let mut problems = Vec::new();
    let mut resolved =
        Resolved { plain: BTreeMap::new(), secrets: BTreeMap::new(), host: HostSettings::default(), address: None, folder: None };
    let has_address = manifest.address_setting.is_some();
    // A setting that the adapter declares is its own, also when the host knows one of that name.
    let host_settings = HOST_SETTINGS.iter().filter(|(name, _)| has_address && manifest.setting(name).is_none());

    for setting in &manifest.settings {
        let is_address = manifest.address_setting.as_deref() == Some(&setting.name);
        if replay && is_address {
            resolved.plain.insert(setting.name.clone(), Value::String(REPLAY_ADDRESS.into()));
            resolved.address = Some(REPLAY_ADDRESS.into());
            continue;
        }
        let value = match find(setting, settings, environment, variables) {
            Ok(Some(value)) => value,
            Ok(None) => {
                if setting.required && !(replay && setting.secret) {
                    problems.push(SettingProblem {
                        setting: setting.name.clone(),
                        kind: SettingProblemKind::Missing { environment: variables.of_setting(setting).cloned().collect() },
                    });
                }
                continue;
            }
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        if setting.secret {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            resolved.secrets.insert(setting.name.clone(), Secret::new(text));
            continue;
        }
        if is_address {
            resolved.address = value.as_str().map(str::to_owned);
        }
        if manifest.folder_setting.as_deref() == Some(&setting.name) {
            resolved.folder = value.as_str().map(str::to_owned);
        }
        resolved.plain.insert(setting.name.clone(), value);
    }

    let mut host_values: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, setting_type) in host_settings.clone() {
        match settings.get(*name).filter(|value| !value.is_null()).map(|value| check(*setting_type, value)) {
            Some(Ok(value)) => drop(host_values.insert(name, value)),
            Some(Err(reason)) => {
                problems.push(SettingProblem { setting: (*name).into(), kind: SettingProblemKind::Invalid { reason, variable: None } })
            }
            None => {}
        }
    }
    if has_address {
        for (name, _) in HOST_SETTINGS {
            let Some(value) = host_values.get(name).or_else(|| resolved.plain.get(name)) else { continue };
            if let Err(reason) = set_host(&mut resolved.host, name, value) {
                problems.push(SettingProblem { setting: name.into(), kind: SettingProblemKind::Invalid { reason, variable: None } });
            }
        }
    }

    let known = |name: &str| manifest.setting(name).is_some() || host_settings.clone().any(|(known, _)| *known == name);
    for name in settings.keys().filter(|name| !known(name)) {
        let candidates =
            manifest.settings.iter().map(|setting| setting.name.as_str()).chain(host_settings.clone().map(|(known, _)| *known));
        problems.push(SettingProblem {
            setting: name.clone(),
            kind: SettingProblemKind::Unknown { nearest: nearest(name, candidates).map(str::to_owned) },
        });
    }
    if problems.is_empty() {
        return Ok(resolved);
    }
    problems.sort_by(|a, b| a.setting.cmp(&b.setting));
    Err(SettingsError { adapter: adapter.clone(), problems })
}

/// The first value there is, checked.
pub(crate) fn find(
    setting: &Setting,
    settings: &BTreeMap<String, Value>,
    environment: Environment<'_>,
    variables: &Variables,
) -> Result<Option<Value>, SettingProblem> {
    let invalid = |reason: String, variable: Option<&String>| {
        // What is secret is not repeated in a message.
        let reason = if setting.secret { "does not have the right type".to_owned() } else { reason };
        SettingProblem { setting: setting.name.clone(), kind: SettingProblemKind::Invalid { reason, variable: variable.cloned() } }
    };
    for variable in variables.of_setting(setting) {
        if let Some(text) = environment(variable).filter(|text| !text.is_empty()) {
            return check_text(setting.setting_type, text).map(Some).map_err(|reason| invalid(reason, Some(variable)));
        }
    }
    if let Some(value) = settings.get(&setting.name).filter(|value| !value.is_null()) {
        // `token: ${TOKEN}` with an unset or empty variable is no token.
        if setting.required && value.as_str() == Some("") {
            return Ok(None);
        }
        return check(setting.setting_type, value).map(Some).map_err(|reason| invalid(reason, None));
    }
    match &setting.default {
        Some(text) => check_text(setting.setting_type, text.clone())
            .map(Some)
            .map_err(|reason| invalid(format!("has a bad default: it {reason}"), None)),
        None => Ok(None),
    }
}

/// A value that was written as text: JSON has to be parsed.
fn check_text(setting_type: SettingType, text: String) -> Result<Value, String> {
    match setting_type {
        SettingType::Json => serde_json::from_str(&text).map_err(|error| format!("must be JSON: {error}")),
        _ => check(setting_type, &Value::String(text)),
    }
}

/// A value as its type wants it; the error follows the setting's name.
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

/// Takes a value for the host's own use; the manifest may have given it another type (`timeout` as text).
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
        _ => host.retries = u32::try_from(whole(0)?).unwrap_or(0),
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::Role;
    use crate::manifest::{Credential, HeaderTemplate};
    use serde_json::json;

    pub(crate) fn setting(name: &str, setting_type: SettingType) -> Setting {
        Setting {
            name: name.into(),
            help: String::new(),
            setting_type,
            required: false,
            secret: false,
            environment: Vec::new(),
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
            credentials: vec![Credential::Header(vec![
                HeaderTemplate { name: "Authorization".into(), template: "Bearer {token}".into(), prefix: "nbt_".into() },
                HeaderTemplate { name: "Authorization".into(), template: "Token {token}".into(), prefix: String::new() },
            ])],
            source: Some(crate::manifest::Addressing::Mapping),
            destination: false,
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

    #[test]
    fn a_strangers_variables_begin_with_its_name_or_are_granted() {
        let variables = Variables::of("top-racks", &["SHARED_URL".into()]);
        let allowed =
            ["TOP_RACKS_URL", "SHARED_URL", "TOP_RACK", "TOP-RACKS_URL", "SHARED_URL2", "HOME", ""].map(|name| variables.allow(name));
        assert_eq!(allowed, [true, true, false, false, false, false, false]);
        assert!(Variables::All.allow("HOME"));
        let environment = |name: &str| Some(format!("http://{name}"));
        let url = |variables: &Variables| {
            let given = settings(json!({"url": "http://config", "token": "t"}));
            resolve(&manifest(), &self::name(), &given, &environment, variables, false).unwrap().address
        };
        assert_eq!(url(&Variables::of("acme", &[])).as_deref(), Some("http://config"));
        assert_eq!(url(&Variables::of("acme", &["NETBOX_URL".into()])).as_deref(), Some("http://NETBOX_URL"));
        assert_eq!(url(&Variables::of("netbox", &[])).as_deref(), Some("http://NETBOX_ADDRESS"));
        let error = resolve(&manifest(), &self::name(), &settings(json!({"token": "t"})), &environment, &Variables::of("x", &[]), false);
        assert_eq!(error.unwrap_err().problems[0].to_string(), "`url` is required");
    }

    #[test]
    fn environment_wins_over_settings_and_default_comes_last() {
        let environment = |name: &str| match name {
            "NETBOX_ADDRESS" => Some(String::new()),
            "NETBOX_URL" => Some("http://from-environment".into()),
            _ => None,
        };
        let resolved = resolve(
            &manifest(),
            &name(),
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
            resolve(&manifest, &name(), &settings(all), &environment, &Variables::All, false)
                .map(|resolved| resolved.host.timeout.as_secs())
        };
        assert_eq!(seconds(json!({}), None), Ok(180));
        assert_eq!(seconds(json!({"timeout": 7}), None), Ok(7));
        assert_eq!(seconds(json!({"timeout": 7}), Some("9")), Ok(9));
        assert!(seconds(json!({"timeout": 0}), None).is_err());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let error = resolve(
            &manifest(),
            &name(),
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
        let error = resolve(
            &manifest,
            &name(),
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
            resolve(&manifest(), &name(), &settings(json!({"url": "http://x", "token": ["hunter2"]})), &|_| None, &Variables::All, false)
                .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn replay_demands_neither_secret_nor_address() {
        let resolved = resolve(&manifest(), &name(), &BTreeMap::new(), &|_| None, &Variables::All, true).unwrap();
        assert_eq!(resolved.address.as_deref(), Some(REPLAY_ADDRESS));
    }

    #[test]
    fn host_settings_need_an_address() {
        let mut manifest = manifest();
        manifest.settings.remove(0);
        manifest.address_setting = None;
        let error = resolve(&manifest, &name(), &settings(json!({"token": "t", "verify_ssl": false})), &|_| None, &Variables::All, false)
            .unwrap_err();
        assert_eq!(error.problems[0].kind, SettingProblemKind::Unknown { nearest: None });
    }
}
