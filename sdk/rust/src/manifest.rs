//! Builds the manifest.

use crate::{
    Addressing, Alias, Condition, Credential, CredentialForm, Evidence, HeaderTemplate, Login, LoginBody, LoginPlace, LoginStep, Manifest,
    ReadingForm, ReadingPath, ReferenceRule, Setting, SettingType, Table,
};

/// The default number of records in a page: the maximum of most REST APIs.
const PAGE_SIZE: u32 = 1000;
/// The default number of rows in a write.
const WRITE_BATCH_MAX: u32 = 1000;
/// The default number of writes at a time: one harms no system.
const WRITE_CONCURRENCY: u32 = 1;

impl Manifest {
    /// Makes the manifest of an adapter that can do nothing yet.
    pub fn new(name: &str, version: &str, description: &str) -> Manifest {
        Manifest {
            name: name.into(),
            version: version.into(),
            description: description.into(),
            settings: Vec::new(),
            address_setting: None,
            folder_setting: None,
            credentials: Vec::new(),
            reading_paths: Vec::new(),
            aliases: Vec::new(),
            source: None,
            destination: None,
            references: Vec::new(),
            tables: Vec::new(),
            lookup: None,
            evidence: Evidence::empty(),
            ownership: false,
            reads_ids: false,
            schema: false,
            page_size: PAGE_SIZE,
            write_batch_max: WRITE_BATCH_MAX,
            write_concurrency: WRITE_CONCURRENCY,
            has_ids: false,
        }
    }

    /// Adds a setting.
    #[must_use]
    pub fn with_setting(mut self, setting: Setting) -> Manifest {
        self.settings.push(setting);
        self
    }

    /// Adds another spelling of a setting, of the adapter or of the host.
    #[must_use]
    pub fn with_alias(mut self, alias: Alias) -> Manifest {
        self.aliases.push(alias);
        self
    }

    /// Names the setting that holds the base address: requests go there and nowhere else.
    #[must_use]
    pub fn with_address(mut self, setting: &str) -> Manifest {
        self.address_setting = Some(setting.into());
        self
    }

    /// Names the setting that holds the folder to be granted.
    #[must_use]
    pub fn with_folder(mut self, setting: &str) -> Manifest {
        self.folder_setting = Some(setting.into());
        self
    }

    /// Adds a credential, which the host adds to each request.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Manifest {
        self.credentials.push(credential);
        self
    }

    /// Names a path at which a request with a body only reads, whatever the body; `*` stands for one segment. The host denies all other such
    /// requests while it only reads.
    #[must_use]
    pub fn with_reading_path(mut self, path: &str) -> Manifest {
        self.reading_paths.push(ReadingPath { path: path.into(), form: ReadingForm::Any });
        self
    }

    /// Names a path that takes GraphQL; `*` stands for one segment (`/graphql/*`). While the host only reads, it lets queries through.
    #[must_use]
    pub fn with_graphql(mut self, path: &str) -> Manifest {
        self.reading_paths.push(ReadingPath { path: path.into(), form: ReadingForm::Graphql });
        self
    }

    /// Says that it can be a source, and which words of a project name its resources.
    #[must_use]
    pub fn with_source(mut self, addressing: Addressing) -> Manifest {
        self.source = Some(addressing);
        self
    }

    /// Says that it can be a destination, and which words of a project name its resources.
    #[must_use]
    pub fn with_destination(mut self, addressing: Addressing) -> Manifest {
        self.destination = Some(addressing);
        self
    }

    /// Adds a rule by which references are matched. The host tries the rules in this order, and the system's id and the natural key last.
    #[must_use]
    pub fn with_reference_rule(mut self, rule: ReferenceRule) -> Manifest {
        self.references.push(rule);
        self
    }

    /// Lends a table to transforms: `{{ x | name }}` is the value at `value` of the record of the resource that has `x` at `key`.
    #[must_use]
    pub fn with_table(mut self, name: &str, resource: &str, key: &str, value: &str) -> Manifest {
        self.tables.push(Table { name: name.into(), resource: resource.into(), key: key.into(), value: value.into() });
        self
    }

    /// Lends a function `name(resource, key, path, default)` to transforms and mappings; the host evaluates it.
    #[must_use]
    pub fn with_lookup(mut self, name: &str) -> Manifest {
        self.lookup = Some(name.into());
        self
    }

    /// Says what the system tells about objects that a read does not return.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Manifest {
        self.evidence |= evidence;
        self
    }

    /// Says that writes record the sync that made an object, and that reads return it at the path `@owner`.
    #[must_use]
    pub fn with_ownership(mut self) -> Manifest {
        self.ownership = true;
        self
    }

    /// Says that a read can be limited to ids ([`LoadRequest::ids`](crate::LoadRequest::ids)).
    #[must_use]
    pub fn with_reads_ids(mut self) -> Manifest {
        self.reads_ids = true;
        self
    }

    /// Says that it knows the kinds of its system.
    #[must_use]
    pub fn with_schema(mut self) -> Manifest {
        self.schema = true;
        self
    }

    /// Says that its system gives ids to objects.
    #[must_use]
    pub fn with_ids(mut self) -> Manifest {
        self.has_ids = true;
        self
    }

    /// Sets the number of records to ask for in one page; 1000 by default.
    #[must_use]
    pub fn with_page_size(mut self, records: u32) -> Manifest {
        self.page_size = records;
        self
    }

    /// Sets the number of rows in one write, at most; 1000 by default.
    #[must_use]
    pub fn with_write_batch_max(mut self, rows: u32) -> Manifest {
        self.write_batch_max = rows;
        self
    }

    /// Sets the number of writes in flight at a time, at most; 1 by default.
    #[must_use]
    pub fn with_write_concurrency(mut self, writes: u32) -> Manifest {
        self.write_concurrency = writes;
        self
    }
}

impl Setting {
    /// Makes an optional setting of that type, with one line of help.
    pub fn new(name: &str, setting_type: SettingType, help: &str) -> Setting {
        Setting {
            name: name.into(),
            help: help.into(),
            type_: setting_type,
            required: false,
            secret: false,
            environment: Vec::new(),
            environment_setting: None,
            project_first: false,
            command_line: None,
            default: None,
        }
    }

    /// Makes an optional text.
    pub fn text(name: &str, help: &str) -> Setting {
        Setting::new(name, SettingType::Text, help)
    }

    /// Makes a credential: the host keeps it, the adapter never sees it.
    pub fn secret(name: &str, help: &str) -> Setting {
        Setting { secret: true, ..Setting::text(name, help) }
    }

    /// Requires a value.
    #[must_use]
    pub fn required(mut self) -> Setting {
        self.required = true;
        self
    }

    /// Adds an environment variable, which the host takes before config.yml; the first one added wins.
    #[must_use]
    pub fn from_environment(mut self, variable: &str) -> Setting {
        self.environment.push(variable.into());
        self
    }

    /// Names the setting, a JSON list of texts, that names variables in place of those of the adapter (`token_env_vars`).
    #[must_use]
    pub fn environment_setting(mut self, setting: &str) -> Setting {
        self.environment_setting = Some(setting.into());
        self
    }

    /// Has the host take config.yml before the environment.
    #[must_use]
    pub fn project_first(mut self) -> Setting {
        self.project_first = true;
        self
    }

    /// Names the command-line option that sets it when config.yml does not: `branch` for `--branch`.
    #[must_use]
    pub fn command_line(mut self, option: &str) -> Setting {
        self.command_line = Some(option.into());
        self
    }

    /// Sets the value for a project that gives none.
    #[must_use]
    pub fn with_default(mut self, value: &str) -> Setting {
        self.default = Some(value.into());
        self
    }
}

impl Alias {
    /// Makes another spelling of a setting: `Alias::new("verify", "verify_ssl")`.
    pub fn new(name: &str, setting: &str) -> Alias {
        Alias { name: name.into(), setting: setting.into(), environment: Vec::new() }
    }

    /// Adds an environment variable that sets it.
    #[must_use]
    pub fn from_environment(mut self, variable: &str) -> Alias {
        self.environment.push(variable.into());
        self
    }
}

impl Credential {
    fn new(form: CredentialForm) -> Credential {
        Credential { when: None, form }
    }

    /// Makes a header: `Credential::header("authorization", "Token {token}")`; `{token}` stands for the setting of that name.
    pub fn header(name: &str, template: &str) -> Credential {
        Credential::new(CredentialForm::Header(vec![HeaderTemplate::new(name, template)]))
    }

    /// Makes a header of several templates: the host takes the first one whose prefix fits the secret.
    pub fn headers(templates: Vec<HeaderTemplate>) -> Credential {
        Credential::new(CredentialForm::Header(templates))
    }

    /// Makes HTTP basic authentication of two settings.
    pub fn basic(user: &str, password: &str) -> Credential {
        Credential::new(CredentialForm::Basic((user.into(), password.into())))
    }

    /// Makes a query parameter with the value of a setting.
    pub fn query(parameter: &str, setting: &str) -> Credential {
        Credential::new(CredentialForm::Query((parameter.into(), setting.into())))
    }

    /// Makes a login.
    pub fn login(login: Login) -> Credential {
        Credential::new(CredentialForm::Login(login))
    }

    /// Has the host add it only if the setting has one of the values: `.when("auth_method", &["token"])`.
    #[must_use]
    pub fn when(mut self, setting: &str, values: &[&str]) -> Credential {
        self.when = Some(Condition { setting: setting.into(), values: values.iter().map(|value| (*value).into()).collect() });
        self
    }
}

impl HeaderTemplate {
    /// Makes a template: `HeaderTemplate::new("authorization", "Token {token}")`; `{token}` stands for the setting of that name.
    pub fn new(name: &str, template: &str) -> HeaderTemplate {
        HeaderTemplate { name: name.into(), template: template.into(), prefix: String::new() }
    }

    /// Restricts it to secrets that begin with `prefix`.
    #[must_use]
    pub fn for_prefix(mut self, prefix: &str) -> HeaderTemplate {
        self.prefix = prefix.into();
        self
    }
}

impl Login {
    /// Makes a login by one request. A 401 says that it has expired.
    ///
    /// ```
    /// use infrahub_sync_adapter::{Login, LoginStep};
    /// // Cisco APIC: a name and a password in a body, a token in the answer, sent back as a cookie.
    /// let login = Login::new(
    ///     LoginStep::post("/api/aaaLogin.json")
    ///         .with_json(r#"{"aaaUser": {"attributes": {"name": "{username}", "pwd": "{password}"}}}"#)
    ///         .taking_json("token", "/imdata/0/aaaLogin/attributes/token"),
    /// )
    /// .with_header("Cookie", "APIC-cookie={token}")
    /// .expired_by(&[401, 403])
    /// .renewed_after(540);
    /// # assert_eq!(login.headers.len(), 1);
    /// ```
    pub fn new(step: LoginStep) -> Login {
        Login { steps: vec![step], headers: Vec::new(), renew_after_s: None, expired: vec![401], refresh: Vec::new() }
    }

    /// Adds a request, which may use values of earlier answers: a CSRF cookie, for example.
    #[must_use]
    pub fn then(mut self, step: LoginStep) -> Login {
        self.steps.push(step);
        self
    }

    /// Adds a header that each request gets afterwards; `{token}` stands for the value taken under that name.
    #[must_use]
    pub fn with_header(mut self, name: &str, template: &str) -> Login {
        self.headers.push((name.into(), template.into()));
        self
    }

    /// Sets the age in seconds at which the host renews it before the next request.
    #[must_use]
    pub fn renewed_after(mut self, seconds: u32) -> Login {
        self.renew_after_s = Some(seconds);
        self
    }

    /// Sets the statuses which say that it has expired and that the request was not executed; 401 by default.
    #[must_use]
    pub fn expired_by(mut self, statuses: &[u16]) -> Login {
        self.expired = statuses.to_vec();
        self
    }

    /// Adds a request that renews it at that age, in place of another login.
    #[must_use]
    pub fn with_refresh(mut self, step: LoginStep) -> Login {
        self.refresh.push(step);
        self
    }
}

impl LoginStep {
    /// Makes a request of a login, to a path below the configured address. The path is a template of settings that are not secret.
    pub fn new(method: &str, path: &str) -> LoginStep {
        LoginStep { method: method.into(), path: path.into(), headers: Vec::new(), body: None, values: Vec::new() }
    }

    /// Makes a GET.
    pub fn get(path: &str) -> LoginStep {
        LoginStep::new("GET", path)
    }

    /// Makes a POST.
    pub fn post(path: &str) -> LoginStep {
        LoginStep::new("POST", path)
    }

    /// Adds a header, a template.
    #[must_use]
    pub fn with_header(mut self, name: &str, template: &str) -> LoginStep {
        self.headers.push((name.into(), template.into()));
        self
    }

    /// Sets a JSON body, a template: `{password}` stands for the setting of that name, within quotation marks.
    #[must_use]
    pub fn with_json(mut self, template: &str) -> LoginStep {
        self.body = Some(LoginBody::Json(template.into()));
        self
    }

    /// Sets a form as its body: names and templates.
    #[must_use]
    pub fn with_form(mut self, fields: &[(&str, &str)]) -> LoginStep {
        self.body = Some(LoginBody::Form(fields.iter().map(|(name, template)| ((*name).into(), (*template).into())).collect()));
        self
    }

    /// Takes a value from the answer's JSON, by an RFC 6901 pointer.
    #[must_use]
    pub fn taking_json(self, name: &str, pointer: &str) -> LoginStep {
        self.taking(name, LoginPlace::Json(pointer.into()))
    }

    /// Takes a value from a header of the answer.
    #[must_use]
    pub fn taking_header(self, name: &str, header: &str) -> LoginStep {
        self.taking(name, LoginPlace::Header(header.into()))
    }

    /// Takes a value from a cookie that the answer sets.
    #[must_use]
    pub fn taking_cookie(self, name: &str, cookie: &str) -> LoginStep {
        self.taking(name, LoginPlace::Cookie(cookie.into()))
    }

    fn taking(mut self, name: &str, place: LoginPlace) -> LoginStep {
        self.values.push((name.into(), place));
        self
    }
}
