//! What an adapter could reach, told without opening it: by its manifest, the settings and what the project grants.
//!
//! It is told from the same [`SessionConfig`] from which a session is opened, so that nothing is granted that was not told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use crate::capability::http::parse_address;
use crate::error::Role;
use crate::exchange::Exchanges;
use crate::manifest::Manifest;
use crate::session::SessionConfig;
use crate::settings::{SettingProblem, SettingProblemKind, find};

/// What an adapter could reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Abilities {
    /// The origin of its address, where its credentials go. None where there is no address, and in a replay, which asks nobody.
    pub address: Option<String>,
    /// Further origins of HTTP requests, without credentials. None without an address either.
    pub origins: BTreeSet<String>,
    /// The networks that names may lead to although they are loopback, link-local or private.
    pub networks: BTreeSet<String>,
    /// The folder as the settings name it, without detours, and whether it may be written to.
    pub folder: Option<(String, bool)>,
    /// The environment variables that its settings may come from.
    pub environment: BTreeSet<String>,
    /// The secrets that may have a value, and whether that can be in `settings`; else it can only be in the environment.
    pub secrets: BTreeMap<String, bool>,
    /// What keeps address or folder from being known.
    pub problems: Vec<SettingProblem>,
}

impl Abilities {
    /// What a session of this configuration could reach.
    pub(crate) fn new(manifest: &Manifest, config: &SessionConfig<'_>) -> Self {
        let mut abilities = Self::default();
        for setting in &manifest.settings {
            let variables: Vec<&String> = setting.environment.iter().filter(|variable| config.variables.allow(variable)).collect();
            let in_settings = config.settings.get(&setting.name).is_some_and(|value| !value.is_null());
            abilities.environment.extend(variables.iter().map(|variable| (*variable).clone()));
            if setting.secret && (in_settings || !variables.is_empty()) {
                abilities.secrets.insert(setting.name.clone(), in_settings);
            }
        }
        let is_replay = matches!(config.exchanges, Exchanges::Replay(_));
        if let Some(address) = abilities.text(manifest, &manifest.address_setting, config).filter(|_| !is_replay) {
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
        let folder = abilities.text(manifest, &manifest.folder_setting, config);
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

    /// The text of the address or folder setting.
    fn text(&mut self, manifest: &Manifest, name: &Option<String>, config: &SessionConfig<'_>) -> Option<String> {
        let setting = manifest.setting(name.as_ref()?)?;
        match find(setting, &config.settings, config.environment, &config.variables) {
            Ok(Some(value)) => value.as_str().map(str::to_owned),
            Ok(None) => {
                if setting.required {
                    let variables = setting.environment.iter().filter(|variable| config.variables.allow(variable));
                    self.problem(name, SettingProblemKind::Missing { environment: variables.cloned().collect() });
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

/// A path without `.` and doubled or trailing separators: one folder has one spelling.
fn plain(path: &str) -> String {
    let parts: std::path::PathBuf = Path::new(path).components().filter(|part| *part != Component::CurDir).collect();
    let text = parts.display().to_string();
    if text.is_empty() { ".".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use serde_json::json;

    fn abilities(settings: serde_json::Value, environment: &[(&str, &str)], role: Role, exchanges: Exchanges) -> Abilities {
        let manifest = crate::settings::tests::manifest();
        let variables: BTreeMap<String, String> = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let environment = move |name: &str| variables.get(name).cloned();
        let config = SessionConfig {
            role,
            settings: serde_json::from_value(settings).unwrap(),
            environment: &environment,
            variables: crate::settings::Variables::All,
            project_dir: "/nowhere".into(),
            exchanges,
            limits: Limits::default(),
            extra_origins: vec!["https://cdn.example:443/x".into()],
            networks: vec!["10.0.0.0/8".parse().unwrap()],
        };
        Abilities::new(&manifest, &config)
    }

    fn set(items: &[&str]) -> BTreeSet<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn what_the_manifest_and_the_settings_allow_is_told() {
        let told = abilities(json!({"url": "http://netbox.example:8080/api", "token": "x"}), &[], Role::Source, Exchanges::Live);
        let environment = set(&["NETBOX_ADDRESS", "NETBOX_TOKEN", "NETBOX_URL"]);
        let expected = Abilities {
            address: Some("http://netbox.example:8080".to_owned()),
            origins: set(&["https://cdn.example"]),
            networks: set(&["10.0.0.0/8"]),
            folder: None,
            environment: environment.clone(),
            secrets: [("token".to_owned(), true)].into(),
            problems: Vec::new(),
        };
        assert_eq!(told, expected);
        // The environment wins, also over an address that is none; a secret without a value now may have one on the next machine.
        let variables = [("NETBOX_URL", "https://netbox.example")];
        let told = abilities(json!({"url": "x"}), &variables, Role::Source, Exchanges::Live);
        assert_eq!(told.address.as_deref(), Some("https://netbox.example"));
        assert_eq!(told.secrets, [("token".to_owned(), false)].into());
    }

    #[test]
    fn what_cannot_be_known_is_told_as_well() {
        let told = abilities(json!({}), &[], Role::Source, Exchanges::Live);
        assert_eq!((told.address, told.origins), (None, set(&[])));
        assert_eq!(told.problems[0].to_string(), "`url` is required (or set NETBOX_ADDRESS or NETBOX_URL)");
        let told = abilities(json!({"url": "netbox"}), &[], Role::Source, Exchanges::Live);
        assert_eq!(told.problems[0].to_string(), "`url` must be an address that begins with `https://` or `http://`, not netbox");
        let replay = abilities(json!({}), &[], Role::Source, Exchanges::Replay("x".into()));
        assert_eq!((replay.address, replay.origins.len(), replay.problems), (None, 0, Vec::new()));
    }

    #[test]
    fn detours_of_a_path_do_not_count() {
        let plain = ["data", "./data/", "data//.", ".", "", "/x/../y", "../a"].map(plain);
        assert_eq!(plain, ["data", "data", "data", ".", ".", "/x/../y", "../a"]);
    }
}
