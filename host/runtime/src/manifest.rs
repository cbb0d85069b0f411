//! An adapter's description of itself, checked.

use std::collections::BTreeSet;

use crate::bindings::exports::infrahub_sync::adapter::meta as wit;

/// How a setting's value is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingType {
    /// Text. Numbers and booleans of the YAML are taken as they are written.
    Text,
    /// `true` or `false`, also as `yes`, `no`, `on`, `off`, `1`, `0`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// Any value; JSON text in an environment variable.
    Json,
}

/// A setting that an adapter declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name below `settings:`.
    pub name: String,
    /// One line for the user.
    pub help: String,
    /// How its value is checked.
    pub setting_type: SettingType,
    /// There must be a value.
    pub required: bool,
    /// A credential: it stays with the host.
    pub secret: bool,
    /// Environment variables that win over `settings:`, in their order.
    pub environment: Vec<String>,
    /// The value when nothing else gives one.
    pub default: Option<String>,
}

/// A credential that the host adds to each request to the configured address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A header, by the first template whose prefix fits the secret.
    Header(Vec<HeaderTemplate>),
    /// HTTP basic authentication.
    Basic {
        /// The setting with the user's name.
        username: String,
        /// The setting with the password.
        password: String,
    },
    /// A query parameter.
    Query {
        /// The parameter.
        parameter: String,
        /// The setting with its value.
        setting: String,
    },
}

/// A header with places for settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTemplate {
    /// The header's name.
    pub name: String,
    /// The value; `{token}` stands for the setting `token`.
    pub template: String,
    /// Used when the first setting of the template begins with this text.
    pub prefix: String,
}

impl HeaderTemplate {
    /// The settings that the template mentions, in their order.
    pub(crate) fn settings(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut rest = self.template.as_str();
        while let Some((_, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            names.push(name);
            rest = after;
        }
        names
    }
}

/// What a resource is named after in the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// The mapping's `mapping:` (`dcim.devices`).
    Mapping,
    /// The mapping's `name:`, the kind.
    Kind,
}

/// An adapter's description of itself. Its names are consistent: what it refers to is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The name that a project uses; one plain path segment.
    pub name: String,
    /// The adapter's version.
    pub version: String,
    /// One line.
    pub description: String,
    /// The settings that it knows.
    pub settings: Vec<Setting>,
    /// The setting that holds the base address. None: no network.
    pub address_setting: Option<String>,
    /// The setting that holds the folder. None: no files.
    pub folder_setting: Option<String>,
    /// What the host adds to requests.
    pub credentials: Vec<Credential>,
    /// How it is read; none when it is no source.
    pub source: Option<Addressing>,
    /// It can be a destination.
    pub destination: bool,
    /// It knows the kinds of its system.
    pub schema: bool,
    /// Records to ask for in one page; at least 1.
    pub page_size: u32,
    /// Rows of one write, at most; at least 1.
    pub write_batch_max: u32,
    /// Writes that may be under way at a time; at least 1.
    pub write_concurrency: u32,
    /// Its objects have ids of their own.
    pub has_ids: bool,
}

impl Manifest {
    /// The setting of that name.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Converts and checks; the error names the broken promise.
    pub(crate) fn from_wit(wit: wit::Manifest) -> Result<Self, String> {
        let settings = wit
            .settings
            .into_iter()
            .map(|setting| Setting {
                name: setting.name,
                help: setting.help,
                setting_type: match setting.type_ {
                    wit::SettingType::Text => SettingType::Text,
                    wit::SettingType::Boolean => SettingType::Boolean,
                    wit::SettingType::Integer => SettingType::Integer,
                    wit::SettingType::Float => SettingType::Float,
                    wit::SettingType::Json => SettingType::Json,
                },
                required: setting.required,
                secret: setting.secret,
                environment: setting.environment,
                default: setting.default,
            })
            .collect();
        let credentials = wit
            .credentials
            .into_iter()
            .map(|credential| match credential {
                wit::Credential::Header(templates) => Credential::Header(
                    templates
                        .into_iter()
                        .map(|template| HeaderTemplate { name: template.name, template: template.template, prefix: template.prefix })
                        .collect(),
                ),
                wit::Credential::Basic((username, password)) => Credential::Basic { username, password },
                wit::Credential::Query((parameter, setting)) => Credential::Query { parameter, setting },
            })
            .collect();
        let manifest = Manifest {
            name: wit.name,
            version: wit.version,
            description: wit.description,
            settings,
            address_setting: wit.address_setting,
            folder_setting: wit.folder_setting,
            credentials,
            source: wit.source.map(|addressing| match addressing {
                wit::Addressing::Mapping => Addressing::Mapping,
                wit::Addressing::Kind => Addressing::Kind,
            }),
            destination: wit.destination,
            schema: wit.schema,
            page_size: wit.page_size,
            write_batch_max: wit.write_batch_max,
            write_concurrency: wit.write_concurrency,
            has_ids: wit.has_ids,
        };
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        // The name becomes a file name (recordings), so it must not lead anywhere.
        let plain = |name: &str| {
            !name.is_empty()
                && name.len() <= 64
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && !name.starts_with('.')
        };
        if !plain(&self.name) {
            return Err(format!("its name {:?} is not made of letters, digits, `-`, `_` and `.`", self.name));
        }
        let mut names = BTreeSet::new();
        for setting in &self.settings {
            if setting.name.is_empty() || !names.insert(setting.name.as_str()) {
                return Err(format!("the setting `{}` is declared twice or has no name", setting.name));
            }
        }
        let declared = |name: &str, whose: &str| {
            if names.contains(name) { Ok(()) } else { Err(format!("{whose} names the setting `{name}`, which is not declared")) }
        };
        for (name, whose) in [(&self.address_setting, "`address-setting`"), (&self.folder_setting, "`folder-setting`")] {
            if let Some(name) = name {
                declared(name, whose)?;
                if self.setting(name).is_some_and(|setting| setting.secret) {
                    return Err(format!("{whose} is a secret"));
                }
            }
        }
        for credential in &self.credentials {
            match credential {
                Credential::Header(templates) => {
                    for template in templates {
                        let settings = template.settings();
                        if settings.is_empty() {
                            return Err(format!("the template `{}` mentions no setting", template.template));
                        }
                        for name in settings {
                            declared(name, "a credential")?;
                        }
                        reqwest::header::HeaderName::from_bytes(template.name.as_bytes())
                            .map_err(|_| format!("`{}` is no header name", template.name))?;
                    }
                }
                Credential::Basic { username, password } => {
                    declared(username, "a credential")?;
                    declared(password, "a credential")?;
                }
                Credential::Query { parameter: _, setting } => declared(setting, "a credential")?,
            }
        }
        if !self.credentials.is_empty() && self.address_setting.is_none() {
            return Err("it declares credentials and no `address-setting`".into());
        }
        if self.page_size == 0 || self.write_batch_max == 0 || self.write_concurrency == 0 {
            return Err("`page-size`, `write-batch-max` and `write-concurrency` must be at least 1".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_at_least_one() {
        let good = crate::settings::tests::manifest();
        assert_eq!(good.check(), Ok(()));
        let zeros: [fn(&mut Manifest); 3] = [|it| it.page_size = 0, |it| it.write_batch_max = 0, |it| it.write_concurrency = 0];
        for zero in zeros {
            let mut bad = good.clone();
            zero(&mut bad);
            assert_eq!(bad.check().unwrap_err(), "`page-size`, `write-batch-max` and `write-concurrency` must be at least 1");
        }
    }
}
