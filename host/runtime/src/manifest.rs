//! An adapter's description of itself, checked.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::{self, HeaderName};

use crate::bindings::exports::infrahub_sync::adapter::meta as wit;
use crate::settings::VERIFY_SSL;
use crate::template;

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
    /// A login.
    Login(Login),
}

impl Credential {
    /// The settings that it is made of, each once.
    pub fn settings(&self) -> BTreeSet<&str> {
        match self {
            Credential::Header(templates) => templates.iter().flat_map(|template| template::names(&template.template)).collect(),
            Credential::Basic { username, password } => BTreeSet::from([username.as_str(), password.as_str()]),
            Credential::Query { parameter: _, setting } => BTreeSet::from([setting.as_str()]),
            Credential::Login(login) => login.settings(),
        }
    }
}

/// A login: requests whose answers hold what the other requests are sent with.
///
/// In its templates `{name}` stands for a setting or for a value that an earlier answer gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The requests, in their order.
    pub steps: Vec<LoginStep>,
    /// The headers that each request gets afterwards: name, template.
    pub headers: Vec<(String, String)>,
    /// After this time it is renewed before the next request. None: when it is refused.
    pub renew_after: Option<Duration>,
    /// The statuses which say that it has expired.
    pub expired: Vec<u16>,
    /// How it is renewed when the time is up. Empty: by the steps.
    pub refresh: Vec<LoginStep>,
}

/// A request of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginStep {
    /// Its method.
    pub method: String,
    /// A path below the configured address.
    pub path: String,
    /// Its headers: name, template.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<LoginBody>,
    /// What its answer gives, by name.
    pub values: Vec<(String, LoginPlace)>,
}

/// The body of a request of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginBody {
    /// JSON text, a template.
    Json(String),
    /// The fields of a form, names and templates.
    Form(Vec<(String, String)>),
}

/// Where a value is in the answer to a request of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginPlace {
    /// The text or number at an RFC 6901 pointer.
    Json(String),
    /// A header.
    Header(String),
    /// A cookie that is set.
    Cookie(String),
}

impl Login {
    /// The settings that it mentions.
    fn settings(&self) -> BTreeSet<&str> {
        let steps = || self.steps.iter().chain(&self.refresh);
        let values: BTreeSet<&str> = steps().flat_map(|step| &step.values).map(|(name, _)| name.as_str()).collect();
        let headers = self.headers.iter().map(|(_, template)| template.as_str());
        let templates = steps().flat_map(LoginStep::templates).chain(headers);
        templates.flat_map(template::names).filter(|name| !values.contains(name)).collect()
    }

    /// Checks it. `declared` knows the settings.
    fn check(&self, declared: &BTreeSet<&str>) -> Result<(), String> {
        let mut known = declared.clone();
        if self.steps.is_empty() {
            return Err("a login has no step".into());
        }
        for step in self.steps.iter().chain(&self.refresh) {
            step.check(declared, &mut known)?;
        }
        if self.headers.is_empty() {
            return Err("a login sets no header, so nothing would come of it".into());
        }
        for (name, template) in &self.headers {
            check_credential_header(name)?;
            check_names(template, &known)?;
        }
        if let Some(status) = self.expired.iter().find(|status| !(400..500).contains(*status)) {
            return Err(format!("a login cannot expire by the status {status}: those from 400 to 499 say so"));
        }
        if self.renew_after.is_some_and(|time| time.is_zero()) {
            return Err("a login is renewed after 0 seconds, that is all the time".into());
        }
        Ok(())
    }
}

impl LoginStep {
    fn templates(&self) -> impl Iterator<Item = &str> {
        let body: Vec<&str> = match &self.body {
            Some(LoginBody::Json(template)) => vec![template],
            Some(LoginBody::Form(fields)) => fields.iter().map(|(_, template)| template.as_str()).collect(),
            None => Vec::new(),
        };
        self.headers.iter().map(|(_, template)| template.as_str()).chain(body)
    }

    /// Checks it and adds what it takes to what is known.
    fn check<'s>(&'s self, declared: &BTreeSet<&str>, known: &mut BTreeSet<&'s str>) -> Result<(), String> {
        let what = format!("{} {}", self.method, self.path);
        if !["GET", "POST", "PUT"].contains(&self.method.as_str()) {
            return Err(format!("the login's `{what}` is neither a GET nor a POST nor a PUT"));
        }
        // Two slashes begin another host's name, to some servers at least.
        if !self.path.starts_with('/') || self.path.starts_with("//") || !template::names(&self.path).is_empty() {
            return Err(format!("the login's `{what}` is no path that begins with `/` and has no places for values"));
        }
        for (name, _) in &self.headers {
            check_credential_header(name)?;
        }
        for template in self.templates() {
            check_names(template, known)?;
        }
        if let Some(LoginBody::Json(template)) = &self.body {
            let filled = template::fill(template, |_| Some("x".to_owned())).unwrap_or_default();
            serde_json::from_str::<serde::de::IgnoredAny>(&filled)
                .map_err(|error| format!("the body of the login's `{what}` is no JSON: {error}"))?;
        }
        for (name, place) in &self.values {
            if template::names(&format!("{{{name}}}")) != [name.as_str()] || declared.contains(name.as_str()) {
                return Err(format!("the login takes a value `{name}`, which is no name, or a setting's"));
            }
            match place {
                LoginPlace::Json(pointer) if pointer.is_empty() || pointer.starts_with('/') => {}
                LoginPlace::Json(pointer) => return Err(format!("`{pointer}` is no JSON pointer: it does not begin with `/`")),
                LoginPlace::Header(name) => drop(header_name(name)?),
                LoginPlace::Cookie(name) if !name.is_empty() => {}
                LoginPlace::Cookie(_) => return Err(format!("the login's `{what}` takes a cookie without a name")),
            }
            known.insert(name);
        }
        Ok(())
    }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header name"))
}

/// The headers by which a credential could bend the connection, or lead it to another system behind the same address, are the host's.
fn check_credential_header(name: &str) -> Result<(), String> {
    let name = header_name(name)?;
    let connection = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::TE,
        header::ACCEPT_ENCODING,
        header::PROXY_AUTHORIZATION,
    ];
    if connection.contains(&name) { Err(format!("a credential sets the header `{name}`, which is the connection's")) } else { Ok(()) }
}

fn check_names(template: &str, known: &BTreeSet<&str>) -> Result<(), String> {
    match template::names(template).into_iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!("a login names `{name}`, which is neither a declared setting nor a value taken before")),
        None => Ok(()),
    }
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
                wit::Credential::Login(login) => Credential::Login(Login {
                    steps: login.steps.into_iter().map(login_step).collect(),
                    headers: login.headers,
                    renew_after: login.renew_after_s.map(|seconds| Duration::from_secs(seconds.into())),
                    expired: login.expired,
                    refresh: login.refresh.into_iter().map(login_step).collect(),
                }),
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
        if self.version.trim().is_empty() {
            return Err("it has no version".into());
        }
        let mut names = BTreeSet::new();
        for setting in &self.settings {
            let is_variable = |name: &String| !name.trim().is_empty() && !name.contains(['=', '\0']);
            if !setting.environment.iter().all(is_variable) {
                return Err(format!("an environment variable of the setting `{}` has no name that one can have", setting.name));
            }
            // Whether the server's certificate counts is the user's to say, in config.yml alone.
            if setting.name == VERIFY_SSL {
                return Err(format!("the setting `{VERIFY_SSL}` is the host's"));
            }
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
                // Where it may go is the project's to say.
                if self.setting(name).is_some_and(|setting| setting.default.is_some()) {
                    return Err(format!("{whose} has a default"));
                }
            }
        }
        for credential in &self.credentials {
            match credential {
                Credential::Header(templates) => {
                    for template in templates {
                        let settings = template::names(&template.template);
                        if settings.is_empty() {
                            return Err(format!("the template `{}` mentions no setting", template.template));
                        }
                        for name in settings {
                            declared(name, "a credential")?;
                        }
                        check_credential_header(&template.name)?;
                    }
                }
                Credential::Basic { username, password } => {
                    declared(username, "a credential")?;
                    declared(password, "a credential")?;
                }
                Credential::Query { parameter: _, setting } => declared(setting, "a credential")?,
                Credential::Login(login) => login.check(&names)?,
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

fn login_step(step: wit::LoginStep) -> LoginStep {
    let place = |place| match place {
        wit::LoginPlace::Json(pointer) => LoginPlace::Json(pointer),
        wit::LoginPlace::Header(name) => LoginPlace::Header(name),
        wit::LoginPlace::Cookie(name) => LoginPlace::Cookie(name),
    };
    LoginStep {
        method: step.method.to_ascii_uppercase(),
        path: step.path,
        headers: step.headers,
        body: step.body.map(|body| match body {
            wit::LoginBody::Json(template) => LoginBody::Json(template),
            wit::LoginBody::Form(fields) => LoginBody::Form(fields),
        }),
        values: step.values.into_iter().map(|(name, from)| (name, place(from))).collect(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A name and a password in a body, a token in the answer: Cisco APIC.
    pub(crate) fn apic() -> Login {
        let token = |pointer: &str| vec![("session".to_owned(), LoginPlace::Json(pointer.to_owned()))];
        Login {
            steps: vec![LoginStep {
                method: "POST".into(),
                path: "/api/aaaLogin.json".into(),
                headers: Vec::new(),
                body: Some(LoginBody::Json(r#"{"aaaUser": {"attributes": {"name": "{username}", "pwd": "{password}"}}}"#.into())),
                values: token("/imdata/0/aaaLogin/attributes/token"),
            }],
            headers: vec![("Cookie".into(), "APIC-cookie={session}".into())],
            renew_after: Some(Duration::from_secs(540)),
            expired: vec![401, 403],
            refresh: vec![LoginStep {
                method: "GET".into(),
                path: "/api/aaaRefresh.json".into(),
                headers: vec![("Cookie".into(), "APIC-cookie={session}".into())],
                body: None,
                values: token("/imdata/0/aaaLogin/attributes/token"),
            }],
        }
    }

    #[test]
    fn a_login_that_cannot_work_is_refused() {
        let declared = BTreeSet::from(["username", "password", "url"]);
        let good = apic();
        assert_eq!(good.check(&declared), Ok(()));
        assert_eq!(good.settings(), BTreeSet::from(["username", "password"]));
        type Change<'c> = &'c dyn Fn(&mut Login);
        let told = |change: Change<'_>| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.check(&declared).unwrap_err()
        };
        let cases: [(Change<'_>, &str); 16] = [
            (&|it| it.steps.clear(), "has no step"),
            (&|it| it.headers.clear(), "sets no header"),
            (&|it| it.expired = vec![500], "cannot expire by the status 500"),
            (&|it| it.renew_after = Some(Duration::ZERO), "after 0 seconds"),
            (&|it| it.headers[0].0 = "a b".into(), "`a b` is no header name"),
            (&|it| it.headers[0].0 = "Host".into(), "sets the header `host`"),
            (&|it| it.headers[0].1 = "{tokn}".into(), "names `tokn`"),
            (&|it| it.steps[0].method = "DELETE".into(), "neither a GET"),
            (&|it| it.steps[0].path = "https://evil.example/".into(), "is no path"),
            (&|it| it.steps[0].path = "//evil.example/".into(), "is no path"),
            (&|it| it.steps[0].path = "/{password}".into(), "is no path"),
            (&|it| it.steps[0].body = Some(LoginBody::Json(r#"{"a": {password"#.into())), "is no JSON"),
            (&|it| it.steps[0].body = Some(LoginBody::Form(vec![("a".into(), "{session}".into())])), "names `session`"),
            (&|it| it.steps[0].values[0].0 = "password".into(), "or a setting's"),
            (&|it| it.steps[0].values[0].1 = LoginPlace::Json("imdata".into()), "is no JSON pointer"),
            (&|it| it.refresh[0].values[0].1 = LoginPlace::Cookie(String::new()), "a cookie without a name"),
        ];
        for (change, reason) in cases {
            let told = told(change);
            assert!(told.contains(reason), "{told}, not {reason}");
        }
    }

    #[test]
    fn what_is_the_projects_to_say_is_not_the_manifests() {
        let told = |change: fn(&mut Manifest)| {
            let mut manifest = crate::settings::tests::manifest();
            change(&mut manifest);
            manifest.check().unwrap_err()
        };
        let header = |name: &str| vec![HeaderTemplate { name: name.into(), template: "{token}".into(), prefix: String::new() }];
        assert_eq!(told(|it| it.settings[0].default = Some("https://evil.example".into())), "`address-setting` has a default");
        assert_eq!(
            told(|it| {
                it.settings[4].default = Some("/".into());
                it.folder_setting = Some("params".into());
            }),
            "`folder-setting` has a default"
        );
        assert_eq!(told(|it| it.settings[4].name = "verify_ssl".into()), "the setting `verify_ssl` is the host's");
        assert_eq!(told(|it| it.version = " ".into()), "it has no version");
        assert!(told(|it| it.settings[0].environment.push(String::new())).contains("has no name that one can have"));
        let mut hosts = crate::settings::tests::manifest();
        hosts.credentials = vec![Credential::Header(header("Host"))];
        assert_eq!(hosts.check().unwrap_err(), "a credential sets the header `host`, which is the connection's");
        hosts.credentials = vec![Credential::Header(header("X-Token"))];
        assert_eq!(hosts.check(), Ok(()));
    }

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
