//! Builders for the manifest.

use crate::{Addressing, Credential, HeaderTemplate, Login, LoginBody, LoginPlace, LoginStep, Manifest, Setting, SettingType};

/// Records a page when the adapter does not say: what most REST APIs allow at most.
const PAGE_SIZE: u32 = 1000;
/// Rows a write when the adapter does not say.
const WRITE_BATCH_MAX: u32 = 1000;
/// Writes at a time when the adapter does not say: no system is harmed by one.
const WRITE_CONCURRENCY: u32 = 1;

impl Manifest {
    /// A manifest of an adapter that can do nothing yet.
    pub fn new(name: &str, version: &str, description: &str) -> Manifest {
        Manifest {
            name: name.into(),
            version: version.into(),
            description: description.into(),
            settings: Vec::new(),
            address_setting: None,
            folder_setting: None,
            credentials: Vec::new(),
            source: None,
            destination: false,
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

    /// Adds a credential, which the host puts on each request.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Manifest {
        self.credentials.push(credential);
        self
    }

    /// It can be a source, and its resources are named so.
    #[must_use]
    pub fn with_source(mut self, addressing: Addressing) -> Manifest {
        self.source = Some(addressing);
        self
    }

    /// It can be a destination.
    #[must_use]
    pub fn with_destination(mut self) -> Manifest {
        self.destination = true;
        self
    }

    /// It knows the kinds of its system.
    #[must_use]
    pub fn with_schema(mut self) -> Manifest {
        self.schema = true;
        self
    }

    /// Its system gives objects ids of its own.
    #[must_use]
    pub fn with_ids(mut self) -> Manifest {
        self.has_ids = true;
        self
    }

    /// Records to ask for in one page; 1000 if not said.
    #[must_use]
    pub fn with_page_size(mut self, records: u32) -> Manifest {
        self.page_size = records;
        self
    }

    /// Rows in one write, at most; 1000 if not said.
    #[must_use]
    pub fn with_write_batch_max(mut self, rows: u32) -> Manifest {
        self.write_batch_max = rows;
        self
    }

    /// Writes that may be under way at a time; 1 if not said.
    #[must_use]
    pub fn with_write_concurrency(mut self, writes: u32) -> Manifest {
        self.write_concurrency = writes;
        self
    }
}

impl Setting {
    /// An optional setting of that type, with one line of help.
    pub fn new(name: &str, setting_type: SettingType, help: &str) -> Setting {
        Setting {
            name: name.into(),
            help: help.into(),
            type_: setting_type,
            required: false,
            secret: false,
            environment: Vec::new(),
            default: None,
        }
    }

    /// An optional text.
    pub fn text(name: &str, help: &str) -> Setting {
        Setting::new(name, SettingType::Text, help)
    }

    /// A credential: the host keeps it, the adapter never sees it.
    pub fn secret(name: &str, help: &str) -> Setting {
        Setting { secret: true, ..Setting::text(name, help) }
    }

    /// Without it nothing works.
    #[must_use]
    pub fn required(mut self) -> Setting {
        self.required = true;
        self
    }

    /// An environment variable that comes before config.yml; the first one added wins.
    #[must_use]
    pub fn from_environment(mut self, variable: &str) -> Setting {
        self.environment.push(variable.into());
        self
    }

    /// What it is when nobody says.
    #[must_use]
    pub fn with_default(mut self, value: &str) -> Setting {
        self.default = Some(value.into());
        self
    }
}

impl HeaderTemplate {
    /// `HeaderTemplate::new("authorization", "Token {token}")`: `{token}` stands for the setting of that name.
    pub fn new(name: &str, template: &str) -> HeaderTemplate {
        HeaderTemplate { name: name.into(), template: template.into(), prefix: String::new() }
    }

    /// Only for a secret that begins with `prefix`.
    #[must_use]
    pub fn for_prefix(mut self, prefix: &str) -> HeaderTemplate {
        self.prefix = prefix.into();
        self
    }
}

impl Login {
    /// A login by one request. A 401 says that it has expired.
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

    /// Adds a request, which may use what the answers before it gave: a CSRF cookie, for example.
    #[must_use]
    pub fn then(mut self, step: LoginStep) -> Login {
        self.steps.push(step);
        self
    }

    /// Adds a header that each request gets afterwards; `{token}` stands for the value that was taken under that name.
    #[must_use]
    pub fn with_header(mut self, name: &str, template: &str) -> Login {
        self.headers.push((name.into(), template.into()));
        self
    }

    /// Renews it before the next request when so many seconds have passed.
    #[must_use]
    pub fn renewed_after(mut self, seconds: u32) -> Login {
        self.renew_after_s = Some(seconds);
        self
    }

    /// The statuses which say that it has expired and that nothing was done with the request; 401 if not said.
    #[must_use]
    pub fn expired_by(mut self, statuses: &[u16]) -> Login {
        self.expired = statuses.to_vec();
        self
    }

    /// Adds a request by which it is renewed when the time is up, in the place of another login.
    #[must_use]
    pub fn with_refresh(mut self, step: LoginStep) -> Login {
        self.refresh.push(step);
        self
    }
}

impl LoginStep {
    /// A request of a login, to a path below the configured address.
    pub fn new(method: &str, path: &str) -> LoginStep {
        LoginStep { method: method.into(), path: path.into(), headers: Vec::new(), body: None, values: Vec::new() }
    }

    /// A GET.
    pub fn get(path: &str) -> LoginStep {
        LoginStep::new("GET", path)
    }

    /// A POST.
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
