//! The reach of an adapter, known without opening it: from its manifest, the settings and the project's grants.
//!
//! It comes from the same [`SessionConfig`] that opens a session, so that no session can reach more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use infrahub_sync_base::limits::Limit;
use serde_json::Value;

use crate::credential_words::credential_words;
use crate::error::Role;
use crate::exchange::Exchanges;
use crate::headers::RequestHeaders;
use crate::http::parse_address;
use crate::manifest::Manifest;
use crate::session::SessionConfig;
use crate::settings::{SettingProblem, SettingProblemKind, Sources};

/// The reach of an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Abilities {
    /// The origin of its address, where its credentials go. None without an address, and in a replay, which sends nothing.
    pub address: Option<String>,
    /// Further origins of HTTP requests, without credentials. None without an address either.
    pub origins: BTreeSet<String>,
    /// The networks that names may resolve to although they are loopback, link-local or private.
    pub networks: BTreeSet<String>,
    /// The folder as the settings name it, without detours, and whether it may be written to.
    pub folder: Option<(String, bool)>,
    /// The environment variables that its settings may come from.
    pub environment: BTreeSet<String>,
    /// Those of them whose values the adapter may see. Empty for a part of the program.
    pub visible: BTreeSet<String>,
    /// The request headers that it may set beyond the plain ones. Empty for a part of the program.
    pub headers: BTreeSet<String>,
    /// How its credentials are sent, a sentence each, the most dangerous first.
    pub credentials: Vec<String>,
    /// The secrets that may have a value, and whether `settings` has it; otherwise only the environment can. The project's `headers` are one of
    /// them.
    pub secrets: BTreeMap<String, bool>,
    /// The limits that the project raises, and their values.
    pub limits: BTreeMap<Limit, u64>,
    /// The settings that a command-line option can set, and their values.
    pub options: BTreeMap<String, Value>,
    /// The problems that keep the address or the folder from being known.
    pub problems: Vec<SettingProblem>,
}

impl Abilities {
    /// Returns the reach of a session of this configuration.
    pub(crate) fn new(manifest: &Manifest, config: &SessionConfig<'_>) -> Self {
        let mut abilities = Self::default();
        let sources = config.sources(manifest);
        for setting in sources.all() {
            let variables = sources.variables(&setting);
            let in_settings = !matches!(sources.written(&setting), Ok(None));
            if setting.secret && (in_settings || !variables.is_empty()) {
                abilities.secrets.insert(setting.name.clone(), in_settings);
            }
            if setting.command_line.is_some()
                && let Ok(Some(value)) = sources.find(&setting)
            {
                abilities.options.insert(setting.name.clone(), value);
            }
            let visible = variables.iter().filter(|name| !setting.secret && sources.variables.grants_sight(name));
            abilities.visible.extend(visible.cloned());
            abilities.environment.extend(variables);
        }
        if let RequestHeaders::Plain(granted) = &config.headers {
            abilities.headers = granted.iter().map(|name| name.to_ascii_lowercase()).collect();
        }
        abilities.credentials = credential_words(manifest);
        let raised = Limit::ALL.into_iter().map(|limit| (limit, config.limits.get(limit)));
        abilities.limits = raised.filter(|(limit, value)| *value > limit.default_value()).collect();
        let is_replay = matches!(config.exchanges, Exchanges::Replay(_));
        if let Some(address) = abilities.text(&sources, &manifest.address_setting).filter(|_| !is_replay) {
            let origin = |text: &str| parse_address(text).map(|url| url.origin().ascii_serialization());
            let wrong = |reason| SettingProblemKind::Invalid { reason, variable: None };
            match origin(&address) {
                Ok(origin) => abilities.address = Some(origin),
                Err(reason) => abilities.problem(&manifest.address_setting, wrong(reason)),
            }
            for text in &config.extra_origins {
                match origin(text) {
                    Ok(origin) => drop(abilities.origins.insert(origin)),
                    Err(reason) => abilities.problem(&manifest.address_setting, wrong(reason)),
                }
            }
        }
        abilities.networks = config.networks.iter().map(ToString::to_string).collect();
        let folder = abilities.text(&sources, &manifest.folder_setting);
        abilities.folder = folder.map(|folder| (plain(&folder), config.role == Role::Destination));
        if is_replay {
            // The address of a replay is invented.
            abilities.problems.retain(|problem| Some(&problem.setting) != manifest.address_setting.as_ref());
        }
        abilities
    }

    fn problem(&mut self, setting: &Option<String>, kind: SettingProblemKind) {
        self.problems.push(SettingProblem { setting: setting.clone().unwrap_or_default(), kind });
    }

    /// Returns the text of the address or folder setting.
    fn text(&mut self, sources: &Sources<'_>, name: &Option<String>) -> Option<String> {
        let setting = sources.manifest.setting(name.as_ref()?)?;
        match sources.find(setting) {
            Ok(Some(value)) => value.as_str().map(str::to_owned),
            Ok(None) => {
                if setting.required {
                    self.problem(name, SettingProblemKind::Missing { environment: sources.variables(setting) });
                }
                None
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }
}

/// Returns a path without `.` and doubled or trailing separators: one folder has one spelling.
fn plain(path: &str) -> String {
    let parts: std::path::PathBuf = Path::new(path).components().filter(|part| *part != Component::CurDir).collect();
    let text = parts.display().to_string();
    if text.is_empty() { ".".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use infrahub_sync_base::limits::Limits;
    use serde_json::json;

    fn abilities(settings: serde_json::Value, environment: &[(&str, &str)], role: Role, exchanges: Exchanges) -> Abilities {
        let manifest = crate::settings::tests::manifest();
        let variables: BTreeMap<String, String> = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let environment = move |name: &str| variables.get(name).cloned();
        let mut limits = Limits::default();
        limits.set(Limit::Memory, 512 << 20);
        limits.set(Limit::CallTime, 1);
        let config = SessionConfig {
            writes: true,
            role,
            settings: serde_json::from_value(settings).unwrap(),
            environment: &environment,
            variables: crate::settings::Variables::All,
            headers: crate::headers::RequestHeaders::All,
            command_line: BTreeMap::new(),
            project_dir: "/nowhere".into(),
            exchanges,
            limits,
            extra_origins: vec!["https://cdn.example:443/x".into()],
            networks: vec!["10.0.0.0/8".parse().unwrap()],
        };
        Abilities::new(&manifest, &config)
    }

    fn set(items: &[&str]) -> BTreeSet<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn the_manifest_and_the_settings_give_the_reach() {
        let reach = abilities(json!({"url": "http://netbox.example:8080/api", "token": "x"}), &[], Role::Source, Exchanges::Live);
        let environment = set(&["NETBOX_ADDRESS", "NETBOX_TOKEN", "NETBOX_URL", "NETBOX_VERIFY"]);
        let expected = Abilities {
            address: Some("http://netbox.example:8080".to_owned()),
            origins: set(&["https://cdn.example"]),
            networks: set(&["10.0.0.0/8"]),
            folder: None,
            environment: environment.clone(),
            visible: set(&[]),
            headers: set(&[]),
            credentials: vec![
                "sends `token` in the header `Authorization: Bearer {token}` of each request".to_owned(),
                "sends `token` in the header `Authorization: Token {token}` of each request".to_owned(),
            ],
            secrets: [("token".to_owned(), true)].into(),
            limits: [(Limit::Memory, 512 << 20)].into(),
            options: BTreeMap::new(),
            problems: Vec::new(),
        };
        assert_eq!(reach, expected);
        // The environment wins, also over an invalid address; a secret without a value now may have one on the next machine.
        let variables = [("NETBOX_URL", "https://netbox.example")];
        let reach = abilities(json!({"url": "x"}), &variables, Role::Source, Exchanges::Live);
        assert_eq!(reach.address.as_deref(), Some("https://netbox.example"));
        assert_eq!(reach.secrets, [("token".to_owned(), false)].into());
        let reach = abilities(json!({"headers": {"X-Key": "k"}}), &[], Role::Source, Exchanges::Live);
        assert_eq!(reach.secrets, [("headers".to_owned(), true), ("token".to_owned(), false)].into());
    }

    #[test]
    fn the_unknown_is_reported_as_well() {
        let reach = abilities(json!({}), &[], Role::Source, Exchanges::Live);
        assert_eq!((reach.address, reach.origins), (None, set(&[])));
        assert_eq!(reach.problems[0].to_string(), "`url` is required (or set NETBOX_ADDRESS or NETBOX_URL)");
        let reach = abilities(json!({"url": "netbox"}), &[], Role::Source, Exchanges::Live);
        assert_eq!(reach.problems[0].to_string(), "`url` must be an address that begins with `https://` or `http://`, not netbox");
        let replay = abilities(json!({}), &[], Role::Source, Exchanges::Replay("x".into()));
        assert_eq!((replay.address, replay.origins.len(), replay.problems), (None, 0, Vec::new()));
    }

    #[test]
    fn detours_of_a_path_do_not_count() {
        let plain = ["data", "./data/", "data//.", ".", "", "/x/../y", "../a"].map(plain);
        assert_eq!(plain, ["data", "data", "data", ".", ".", "/x/../y", "../a"]);
    }
}
