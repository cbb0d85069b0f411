//! Builders for the manifest.

use crate::{Addressing, Credential, HeaderTemplate, Manifest, Setting, SettingType};

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
