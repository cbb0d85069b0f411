//! An adapter's description of itself, checked.

use std::collections::BTreeSet;
use std::time::Duration;

use infrahub_sync_base::text::{is_unsafe, one_line};

use crate::headers::{belongs_to_connection, bends_the_request, cuts_answers, parse_name};
use crate::settings::{HEADERS, HOST_SETTINGS, VERIFY_SSL};
use crate::template;

/// The type of a setting's value.
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
    /// The name below `settings:`.
    pub name: String,
    /// One line for the user.
    pub help: String,
    /// The type of the value.
    pub setting_type: SettingType,
    /// The user must give a value.
    pub required: bool,
    /// A credential: it stays with the host.
    pub secret: bool,
    /// Environment variables that it may come from, in their order.
    pub environment: Vec<String>,
    /// The setting that names variables in place of `environment`.
    pub environment_setting: Option<String>,
    /// `settings:` is taken before the environment.
    pub project_first: bool,
    /// The command-line option that sets it when neither the environment nor `settings:` does.
    pub command_line: Option<String>,
    /// The value when nothing else gives one.
    pub default: Option<String>,
}

/// Another spelling of a setting, of the adapter or of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name below `settings:`.
    pub name: String,
    /// The setting that it stands for.
    pub setting: String,
    /// Further environment variables of that setting.
    pub environment: Vec<String>,
}

/// Says when something applies: the setting, or its default, has one of the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The setting; no secret.
    pub setting: String,
    /// The values, as text.
    pub values: Vec<String>,
}

/// A credential that the host adds to each request to the configured address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// None: always.
    pub when: Option<Condition>,
    /// The form.
    pub form: CredentialForm,
}

/// The forms of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialForm {
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

impl CredentialForm {
    /// Returns the settings that it is made of, each once.
    pub fn settings(&self) -> BTreeSet<&str> {
        match self {
            CredentialForm::Header(templates) => templates.iter().flat_map(|template| template::names(&template.template)).collect(),
            CredentialForm::Basic { username, password } => BTreeSet::from([username.as_str(), password.as_str()]),
            CredentialForm::Query { parameter: _, setting } => BTreeSet::from([setting.as_str()]),
            CredentialForm::Login(login) => login.settings(),
        }
    }

    /// Returns its names and templates.
    fn texts(&self) -> Vec<&str> {
        match self {
            CredentialForm::Header(templates) => {
                templates.iter().flat_map(|template| [template.name.as_str(), &template.template]).collect()
            }
            CredentialForm::Basic { username, password } => vec![username, password],
            CredentialForm::Query { parameter, setting } => vec![parameter, setting],
            CredentialForm::Login(login) => {
                let headers = login.headers.iter().flat_map(|(name, template)| [name.as_str(), template]);
                login.steps.iter().chain(&login.refresh).flat_map(LoginStep::templates).chain(headers).collect()
            }
        }
    }

    /// Checks it; the error names the broken promise.
    fn check(&self, names: &Names<'_>) -> Result<(), String> {
        match self {
            CredentialForm::Header(templates) => {
                for template in templates {
                    let settings = template::names(&template.template);
                    if settings.is_empty() {
                        return Err(format!("the template `{}` mentions no setting", template.template));
                    }
                    for name in settings {
                        names.declared(name, "a credential")?;
                    }
                    check_credential_header(&template.name)?;
                }
                Ok(())
            }
            CredentialForm::Basic { username, password } => {
                names.declared(username, "a credential")?;
                names.declared(password, "a credential")
            }
            CredentialForm::Query { parameter: _, setting } => names.declared(setting, "a credential"),
            CredentialForm::Login(login) => login.check(names),
        }
    }
}

/// The names of the declared settings.
#[derive(Default)]
struct Names<'s> {
    all: BTreeSet<&'s str>,
    secret: BTreeSet<&'s str>,
}

impl Names<'_> {
    fn declared(&self, name: &str, whose: &str) -> Result<(), String> {
        if self.all.contains(name) { Ok(()) } else { Err(format!("{whose} names the setting `{name}`, which is not declared")) }
    }

    fn plain(&self, name: &str, whose: &str) -> Result<(), String> {
        self.declared(name, whose)?;
        if self.secret.contains(name) { Err(format!("{whose} names the setting `{name}`, which is a secret")) } else { Ok(()) }
    }
}

/// A login: requests whose answers hold the values that the other requests are sent with.
///
/// In its templates `{name}` stands for a setting or for a value from an earlier answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The requests, in order.
    pub steps: Vec<LoginStep>,
    /// The headers that each request gets afterwards: name, template.
    pub headers: Vec<(String, String)>,
    /// The age at which it is renewed before the next request. None: when the system rejects it.
    pub renew_after: Option<Duration>,
    /// The statuses which say that it has expired.
    pub expired: Vec<u16>,
    /// The requests that renew it. Empty: the steps.
    pub refresh: Vec<LoginStep>,
}

/// A request of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginStep {
    /// `GET`, `POST` or `PUT`.
    pub method: String,
    /// A path below the configured address: a template of settings that are not secret.
    pub path: String,
    /// Name and template of each header.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<LoginBody>,
    /// The values to take from its answer, by name.
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

/// The place of a value in the answer to a request of a login.
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
    /// Returns the settings that it mentions.
    fn settings(&self) -> BTreeSet<&str> {
        let steps = || self.steps.iter().chain(&self.refresh);
        let values: BTreeSet<&str> = steps().flat_map(|step| &step.values).map(|(name, _)| name.as_str()).collect();
        let headers = self.headers.iter().map(|(_, template)| template.as_str());
        let templates = steps().flat_map(LoginStep::templates).chain(headers);
        templates.flat_map(template::names).filter(|name| !values.contains(name)).collect()
    }

    fn check(&self, names: &Names<'_>) -> Result<(), String> {
        let mut known = names.all.clone();
        if self.steps.is_empty() {
            return Err("a login has no step".into());
        }
        if self.steps.len().max(self.refresh.len()) > LOGIN_STEPS_MAX {
            return Err(format!("a login has more than {LOGIN_STEPS_MAX} steps"));
        }
        let mut proofs = names.secret.clone();
        for step in self.steps.iter().chain(&self.refresh) {
            step.check(names, &mut known)?;
            step.check_proofs(&mut proofs)?;
        }
        if self.headers.is_empty() {
            return Err("a login sets no header, so it would have no effect".into());
        }
        for (name, template) in &self.headers {
            check_credential_header(name)?;
            check_names(template, &known)?;
        }
        if let Some(status) = self.expired.iter().find(|status| !(400..500).contains(*status)) {
            return Err(format!("a login cannot expire by the status {status}: use one from 400 to 499"));
        }
        if self.renew_after.is_some_and(|time| time.is_zero()) {
            return Err("a login is renewed after 0 seconds, before every request".into());
        }
        Ok(())
    }
}

/// Requests of a login or of its renewal. The longest known logins have four.
const LOGIN_STEPS_MAX: usize = 8;

impl LoginStep {
    /// Checks that no request authenticates and carries a secret in its body: it could store the secret in the system, where the adapter can
    /// read it. `proofs`: the secrets, and the values that the steps so far got for them; those of this step are added.
    fn check_proofs<'s>(&'s self, proofs: &mut BTreeSet<&'s str>) -> Result<(), String> {
        let proves = |template: &str| template::names(template).iter().any(|name| proofs.contains(name));
        let in_headers = self.headers.iter().any(|(_, template)| proves(template));
        let in_body = match &self.body {
            Some(LoginBody::Json(template)) => proves(template),
            Some(LoginBody::Form(fields)) => fields.iter().any(|(_, template)| proves(template)),
            None => false,
        };
        if in_headers && in_body {
            return Err(format!(
                "the login's `{} {}` authenticates by a header and carries a secret in its body: the system could store the secret",
                self.method, self.path
            ));
        }
        if in_headers || in_body {
            proofs.extend(self.values.iter().map(|(name, _)| name.as_str()));
        }
        Ok(())
    }

    fn templates(&self) -> impl Iterator<Item = &str> {
        let body: Vec<&str> = match &self.body {
            Some(LoginBody::Json(template)) => vec![template],
            Some(LoginBody::Form(fields)) => fields.iter().map(|(_, template)| template.as_str()).collect(),
            None => Vec::new(),
        };
        self.headers.iter().map(|(_, template)| template.as_str()).chain(body).chain([self.path.as_str()])
    }

    /// Checks it and adds the values that it takes to the known ones.
    fn check<'s>(&'s self, names: &Names<'_>, known: &mut BTreeSet<&'s str>) -> Result<(), String> {
        let what = format!("{} {}", self.method, self.path);
        if !["GET", "POST", "PUT"].contains(&self.method.as_str()) {
            return Err(format!("the login's `{what}` is neither a GET nor a POST nor a PUT"));
        }
        // Two slashes begin another host's name, to some servers at least.
        if !self.path.starts_with('/') || self.path.starts_with("//") {
            return Err(format!("the login's `{what}` is not a path that begins with `/`"));
        }
        for name in template::names(&self.path) {
            names.plain(name, &format!("the path of the login's `{what}`"))?;
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
                .map_err(|error| format!("the body of the login's `{what}` is not JSON: {error}"))?;
        }
        for (name, place) in &self.values {
            if template::names(&format!("{{{name}}}")) != [name.as_str()] || names.all.contains(name.as_str()) {
                return Err(format!("the login takes a value `{name}`, which is not a valid name, or is the name of a setting"));
            }
            match place {
                LoginPlace::Json(pointer) if pointer.is_empty() || pointer.starts_with('/') => {}
                LoginPlace::Json(pointer) => return Err(format!("`{pointer}` is not a JSON pointer: it does not begin with `/`")),
                LoginPlace::Header(name) => drop(parse_name(name)?),
                LoginPlace::Cookie(name) if !name.is_empty() => {}
                LoginPlace::Cookie(_) => return Err(format!("the login's `{what}` takes a cookie without a name")),
            }
            known.insert(name);
        }
        Ok(())
    }
}

/// Returns the start of a text, for a message.
fn shortened(text: &str) -> String {
    one_line(text, 80)
}

/// Checks the header that a credential sets.
fn check_credential_header(name: &str) -> Result<(), String> {
    let name = parse_name(name)?;
    if belongs_to_connection(&name) {
        Err(format!("a credential sets the header `{name}`, which belongs to the connection"))
    } else if cuts_answers(&name) || bends_the_request(&name) {
        Err(format!(
            "a credential sets the header `{name}`, which does not carry credentials: it changes what the server takes the request for"
        ))
    } else {
        Ok(())
    }
}

fn check_names(template: &str, known: &BTreeSet<&str>) -> Result<(), String> {
    match template::names(template).into_iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!("a login names `{name}`, which is neither a declared setting nor a value of an earlier answer")),
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

/// The words of the project that name a resource of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// The mapping's `mapping:` (`dcim.devices`).
    Mapping,
    /// The mapping's `name:`, the kind.
    Kind,
}

/// A rule by which the value of a reference is matched with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReferenceRule {
    /// The record's own value at the field's name in the model comes before the mapping's path.
    FieldName,
    /// The key is built from columns of this record.
    PeerColumns,
    /// The value is the peer's unique id text.
    UniqueId,
}

/// A table that the host makes of a resource and lends to transforms, as a filter of the table's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The name of the filter.
    pub name: String,
    /// The resource.
    pub resource: String,
    /// The dotted path of the keys.
    pub key: String,
    /// The dotted path of the values.
    pub value: String,
}

/// Statements of an adapter about objects that a read does not return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Pages carry the number of objects that the system reports.
    pub total: bool,
    /// Deletions are in a change log.
    pub change_log: bool,
    /// The adapter notices objects that exist but that the credentials do not show.
    pub permissions: bool,
}

/// The bodies of requests at a path for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingForm {
    /// Any body: the system changes nothing at this path.
    Any,
    /// GraphQL, of which the host lets only queries through.
    Graphql,
}

/// A path at which a request with a body only reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingPath {
    /// The path below the configured address; `*` stands for one segment.
    pub path: String,
    /// The bodies.
    pub form: ReadingForm,
}

/// An adapter's description of itself. Its names are consistent: whatever it refers to is declared.
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
    /// The credentials that the host adds to requests.
    pub credentials: Vec<Credential>,
    /// The paths at which a request with a body only reads. In a session that only reads, the host denies all others.
    pub reading_paths: Vec<ReadingPath>,
    /// Other spellings of settings.
    pub aliases: Vec<Alias>,
    /// The addressing as a source; none if it cannot be read.
    pub source: Option<Addressing>,
    /// The addressing as a destination; none if it cannot be written.
    pub destination: Option<Addressing>,
    /// The rules of reference, in the order in which they are tried.
    pub references: Vec<ReferenceRule>,
    /// The tables that it lends to transforms.
    pub tables: Vec<Table>,
    /// The name of the look-up function that it lends to transforms.
    pub lookup: Option<String>,
    /// Its statements about objects that a read does not return.
    pub evidence: Evidence,
    /// It records which sync made an object.
    pub ownership: bool,
    /// A read can be limited to ids.
    pub reads_ids: bool,
    /// It knows the kinds of its system.
    pub schema: bool,
    /// Records to ask for in one page; at least 1.
    pub page_size: u32,
    /// Rows of one write, at most; at least 1.
    pub write_batch_max: u32,
    /// Writes in flight at a time, at most; at least 1.
    pub write_concurrency: u32,
    /// Its objects have ids of their own.
    pub has_ids: bool,
}

impl Manifest {
    /// Returns the setting of that name.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Checks it; the error names the broken promise.
    pub(crate) fn check(&self) -> Result<(), String> {
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
        self.check_texts()?;
        let mut names = Names::default();
        for setting in &self.settings {
            if setting.name.is_empty() || !names.all.insert(&setting.name) {
                return Err(format!("the setting `{}` is declared twice or has no name", setting.name));
            }
            if setting.secret {
                names.secret.insert(&setting.name);
            }
        }
        for setting in &self.settings {
            self.check_setting(setting, &names)?;
        }
        self.check_aliases(&names)?;
        self.check_places(&names)?;
        for credential in &self.credentials {
            if let Some(when) = &credential.when {
                names.plain(&when.setting, "a credential's condition")?;
                if when.values.is_empty() {
                    return Err(format!("a credential's condition on `{}` names no value, so it never applies", when.setting));
                }
            }
            credential.form.check(&names)?;
        }
        if !self.credentials.is_empty() && self.address_setting.is_none() {
            return Err("it declares credentials and no `address-setting`".into());
        }
        self.check_reading_paths()?;
        self.check_loans()?;
        if self.page_size == 0 || self.write_batch_max == 0 || self.write_concurrency == 0 {
            return Err("`page-size`, `write-batch-max` and `write-concurrency` must be at least 1".into());
        }
        Ok(())
    }

    /// Checks the texts that stand in messages, in the lock and in files.
    fn check_texts(&self) -> Result<(), String> {
        if self.version.len() > 64 || !self.version.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(format!(
                "its version {:?} has more than 64 characters, or some that are not printable ASCII",
                shortened(&self.version)
            ));
        }
        let settings = self.settings.iter().map(|setting| &setting.name).chain(self.aliases.iter().map(|alias| &alias.name));
        let tables = self.tables.iter().flat_map(|table| [&table.resource, &table.key, &table.value]);
        if let Some(name) = settings.chain(tables).find(|name| name.len() > 200 || name.contains(is_unsafe)) {
            return Err(format!("the name {:?} has more than 200 bytes, or characters that do not show themselves", shortened(name)));
        }
        let templates = self.credentials.iter().flat_map(|credential| credential.form.texts());
        if let Some(text) =
            templates.into_iter().find(|text| text.len() > 4096 || text.contains(|c| is_unsafe(c) && c != '\n' && c != '\t'))
        {
            return Err(format!(
                "a credential has the text {:?} with more than 4096 bytes, or with characters that do not show themselves",
                shortened(text)
            ));
        }
        Ok(())
    }

    fn check_setting(&self, setting: &Setting, names: &Names<'_>) -> Result<(), String> {
        let name = &setting.name;
        check_variables(name, &setting.environment)?;
        // The user alone decides, in config.yml, whether the server's certificate counts and which headers are sent.
        if [VERIFY_SSL, HEADERS].contains(&name.as_str()) {
            return Err(format!("it declares the setting `{name}`, which belongs to the host"));
        }
        if setting.secret && setting.command_line.is_some() {
            return Err(format!("the secret `{name}` can be set on the command line, where others can read it"));
        }
        let Some(list) = &setting.environment_setting else { return Ok(()) };
        names.plain(list, &format!("`environment-setting` of `{name}`"))?;
        match self.setting(list) {
            Some(list) if list.setting_type == SettingType::Json && list.environment_setting.is_none() => Ok(()),
            _ => Err(format!(
                "the setting `{list}` names the variables of `{name}`: it must be of type `json`, without an `environment-setting`"
            )),
        }
    }

    fn check_aliases(&self, names: &Names<'_>) -> Result<(), String> {
        let of_host = |name: &str| self.address_setting.is_some() && HOST_SETTINGS.iter().any(|(host, _)| *host == name);
        let mut seen = BTreeSet::new();
        for Alias { name, setting, environment } in &self.aliases {
            if name.is_empty() || names.all.contains(name.as_str()) || of_host(name) || !seen.insert(name) {
                return Err(format!("the alias `{name}` has no name, or the name of a setting or of another alias"));
            }
            if !of_host(setting) {
                names.declared(setting, &format!("the alias `{name}`"))?;
            }
            check_variables(name, environment)?;
        }
        Ok(())
    }

    /// Checks the settings of the address and the folder.
    fn check_places(&self, names: &Names<'_>) -> Result<(), String> {
        for (name, whose) in [(&self.address_setting, "`address-setting`"), (&self.folder_setting, "`folder-setting`")] {
            let Some(name) = name else { continue };
            names.plain(name, whose)?;
            // The project decides where an adapter may go.
            if self.setting(name).is_some_and(|setting| setting.default.is_some()) {
                return Err(format!("{whose} has a default"));
            }
        }
        Ok(())
    }

    /// Checks the paths for reading.
    fn check_reading_paths(&self) -> Result<(), String> {
        let fine = |path: &str| {
            path.strip_prefix('/').is_some_and(|rest| {
                rest.split('/').all(|part| !part.is_empty() && (part == "*" || !part.contains('*')) && !matches!(part, "." | ".."))
            }) && !path.contains(['?', '#', '\\'])
        };
        match self.reading_paths.iter().find(|reading| !fine(reading.path.trim_end_matches('/'))) {
            Some(reading) => {
                Err(format!("its path for reading `{}` is not a path that begins with `/`, with `*` for whole segments", reading.path))
            }
            None if !self.reading_paths.is_empty() && self.address_setting.is_none() => {
                Err("it declares paths for reading and no `address-setting`".into())
            }
            None => Ok(()),
        }
    }

    /// Checks what it lends to transforms.
    fn check_loans(&self) -> Result<(), String> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let mut seen = BTreeSet::new();
        for name in self.tables.iter().map(|table| &table.name).chain(&self.lookup) {
            if !is_name(name) || !seen.insert(name) {
                return Err(format!("it lends `{name}` to transforms, which is not a name for a filter or a function, or is there twice"));
            }
        }
        let empty = |table: &&Table| [&table.resource, &table.key, &table.value].iter().any(|text| text.is_empty());
        if let Some(table) = self.tables.iter().find(empty) {
            return Err(format!("the table `{}` has no resource, key or value", table.name));
        }
        match (self.source, self.tables.is_empty() && self.lookup.is_none()) {
            (None, false) => Err("it lends tables or a look-up to transforms and cannot be read".into()),
            _ => Ok(()),
        }
    }
}

fn check_variables(setting: &str, variables: &[String]) -> Result<(), String> {
    let is_variable = |name: &String| !name.trim().is_empty() && !name.contains(['=', '\0']);
    if variables.iter().all(is_variable) {
        Ok(())
    } else {
        Err(format!("an environment variable of the setting `{setting}` has an invalid name"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    impl From<CredentialForm> for Credential {
        fn from(form: CredentialForm) -> Self {
            Self { when: None, form }
        }
    }

    /// Returns a login with name and password in a body, and a token in the answer: Cisco APIC.
    pub(crate) fn apic() -> Login {
        let token = |pointer: &str| vec![("session".to_owned(), LoginPlace::Json(pointer.to_owned()))];
        Login {
            steps: vec![LoginStep {
                method: "POST".into(),
                path: "/{api_endpoint}/aaaLogin.json".into(),
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
        let all = BTreeSet::from(["username", "password", "url", "api_endpoint"]);
        let names = Names { all, secret: BTreeSet::from(["password"]) };
        let good = apic();
        assert_eq!(good.check(&names), Ok(()));
        assert_eq!(good.settings(), BTreeSet::from(["api_endpoint", "username", "password"]));
        type Change<'c> = &'c dyn Fn(&mut Login);
        let told = |change: Change<'_>| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.check(&names).unwrap_err()
        };
        let cases: [(Change<'_>, &str); 23] = [
            (&|it| it.steps.clear(), "has no step"),
            (&|it| it.headers.clear(), "sets no header"),
            (&|it| it.expired = vec![500], "cannot expire by the status 500"),
            (&|it| it.renew_after = Some(Duration::ZERO), "after 0 seconds"),
            (&|it| it.headers[0].0 = "a b".into(), "`a b` is not a header name"),
            (&|it| it.headers[0].0 = "Host".into(), "sets the header `host`"),
            (&|it| it.headers[0].1 = "{tokn}".into(), "names `tokn`"),
            (&|it| it.steps[0].method = "DELETE".into(), "neither a GET"),
            (&|it| it.steps[0].path = "https://evil.example/".into(), "is not a path"),
            (&|it| it.steps[0].path = "//evil.example/".into(), "is not a path"),
            (&|it| it.steps[0].path = "/{password}".into(), "`password`, which is a secret"),
            (&|it| it.refresh[0].path = "/{session}".into(), "`session`, which is not declared"),
            (&|it| it.steps[0].body = Some(LoginBody::Json(r#"{"a": {password"#.into())), "is not JSON"),
            (&|it| it.steps[0].body = Some(LoginBody::Form(vec![("a".into(), "{session}".into())])), "names `session`"),
            (&|it| it.steps[0].values[0].0 = "password".into(), "or is the name of a setting"),
            (&|it| it.steps[0].values[0].1 = LoginPlace::Json("imdata".into()), "is not a JSON pointer"),
            (&|it| it.refresh[0].values[0].1 = LoginPlace::Cookie(String::new()), "a cookie without a name"),
            (&|it| it.steps[0].headers = vec![("Authorization".into(), "Token {password}".into())], "the system could store the secret"),
            (&|it| it.refresh[0].body = Some(LoginBody::Form(vec![("name".into(), "{password}".into())])), "could store the secret"),
            (&|it| it.refresh[0].body = Some(LoginBody::Json(r#"{"description": "{session}"}"#.into())), "could store the secret"),
            (&|it| it.steps = vec![it.steps[0].clone(); 9], "more than 8 steps"),
            (&|it| it.headers[0].0 = "Range".into(), "sets the header `range`, which does not carry credentials"),
            (&|it| it.headers[0].0 = "X-Forwarded-User".into(), "sets the header `x-forwarded-user`, which does not carry"),
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
        for name in ["verify_ssl", "headers"] {
            let mut manifest = crate::settings::tests::manifest();
            manifest.settings[4].name = name.into();
            assert_eq!(manifest.check().unwrap_err(), format!("it declares the setting `{name}`, which belongs to the host"));
        }
        assert_eq!(told(|it| it.version = " ".into()), "it has no version");
        for text in ["1\nhint: run x | sh", "1\u{202e}", &"1".repeat(65)] {
            let mut manifest = crate::settings::tests::manifest();
            manifest.version = text.to_owned();
            assert!(manifest.check().unwrap_err().contains("not printable ASCII"), "{text}");
        }
        assert!(told(|it| it.settings[3].name = "a\nb".into()).contains("characters that do not show themselves"));
        assert!(told(|it| it.settings[0].environment.push(String::new())).contains("has an invalid name"));
        let mut hosts = crate::settings::tests::manifest();
        hosts.credentials = vec![CredentialForm::Header(header("Host")).into()];
        assert_eq!(hosts.check().unwrap_err(), "a credential sets the header `host`, which belongs to the connection");
        hosts.credentials = vec![CredentialForm::Header(header("X-Token")).into()];
        assert_eq!(hosts.check(), Ok(()));
    }

    type Change = fn(&mut Manifest);

    #[test]
    fn names_of_settings_fit_together() {
        let told = |change: Change| {
            let mut manifest = crate::settings::tests::manifest();
            change(&mut manifest);
            manifest.check().unwrap_err()
        };
        let cases: [(Change, &str); 11] = [
            (|it| it.settings[1].command_line = Some("token".into()), "the secret `token` can be set on the command line"),
            (|it| it.settings[1].environment_setting = Some("vars".into()), "names the setting `vars`, which is not declared"),
            (|it| it.settings[1].environment_setting = Some("brief".into()), "it must be of type `json`"),
            (|it| it.aliases[0].name = "url".into(), "the alias `url` has no name, or the name of a setting"),
            (|it| it.aliases[0].name = "verify_ssl".into(), "the alias `verify_ssl` has no name, or the name of a setting"),
            (|it| it.aliases.push(it.aliases[0].clone()), "or of another alias"),
            (|it| it.aliases[0].setting = "zzz".into(), "the alias `verify` names the setting `zzz`, which is not declared"),
            (|it| it.aliases[0].environment = vec!["A=B".into()], "has an invalid name"),
            (|it| it.credentials[0].when = Some(Condition { setting: "token".into(), values: vec!["x".into()] }), "which is a secret"),
            (|it| it.credentials[0].when = Some(Condition { setting: "brief".into(), values: Vec::new() }), "names no value"),
            (|it| it.lookup = Some("look up".into()), "is not a name for a filter"),
        ];
        for (change, reason) in cases {
            let told = told(change);
            assert!(told.contains(reason), "{told}, not {reason}");
        }
    }

    #[test]
    fn sizes_are_at_least_one() {
        let good = crate::settings::tests::manifest();
        assert_eq!(good.check(), Ok(()));
        let zeros: [Change; 3] = [|it| it.page_size = 0, |it| it.write_batch_max = 0, |it| it.write_concurrency = 0];
        for zero in zeros {
            let mut bad = good.clone();
            zero(&mut bad);
            assert_eq!(bad.check().unwrap_err(), "`page-size`, `write-batch-max` and `write-concurrency` must be at least 1");
        }
    }
}
