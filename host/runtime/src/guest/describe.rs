//! A manifest of the contract, turned into ours.

use std::time::Duration;

use infrahub_sync_base::text::one_line;

use crate::guest::bindings::exports::infrahub_sync::adapter::meta as wit;
use crate::manifest::{
    Addressing, Alias, Condition, Credential, CredentialForm, Evidence, HeaderTemplate, Login, LoginBody, LoginPlace, LoginStep, Manifest,
    ReadingForm, ReadingPath, ReferenceRule, Setting, SettingType, Table,
};

/// Bytes of a description or of a help text.
const TEXT_BYTES_MAX: usize = 1000;

impl Manifest {
    /// Converts and checks a manifest; the error names the broken promise.
    pub(crate) fn from_wit(wit: wit::Manifest) -> Result<Self, String> {
        let alias = |alias: wit::Alias| Alias { name: alias.name, setting: alias.setting, environment: alias.environment };
        let rule = |rule| match rule {
            wit::ReferenceRule::FieldName => ReferenceRule::FieldName,
            wit::ReferenceRule::PeerColumns => ReferenceRule::PeerColumns,
            wit::ReferenceRule::UniqueId => ReferenceRule::UniqueId,
        };
        let table = |table: wit::Table| Table { name: table.name, resource: table.resource, key: table.key, value: table.value };
        let manifest = Manifest {
            name: wit.name,
            version: wit.version,
            description: one_line(&wit.description, TEXT_BYTES_MAX),
            settings: wit.settings.into_iter().map(setting).collect(),
            address_setting: wit.address_setting,
            folder_setting: wit.folder_setting,
            credentials: wit.credentials.into_iter().map(credential).collect(),
            reading_paths: wit.reading_paths.into_iter().map(reading_path).collect(),
            aliases: wit.aliases.into_iter().map(alias).collect(),
            source: wit.source.map(addressing),
            destination: wit.destination.map(addressing),
            references: wit.references.into_iter().map(rule).collect(),
            tables: wit.tables.into_iter().map(table).collect(),
            lookup: wit.lookup,
            evidence: Evidence {
                total: wit.evidence.contains(wit::Evidence::TOTAL),
                change_log: wit.evidence.contains(wit::Evidence::CHANGE_LOG),
                permissions: wit.evidence.contains(wit::Evidence::PERMISSIONS),
            },
            ownership: wit.ownership,
            reads_ids: wit.reads_ids,
            schema: wit.schema,
            page_size: wit.page_size,
            write_batch_max: wit.write_batch_max,
            write_concurrency: wit.write_concurrency,
            has_ids: wit.has_ids,
        };
        manifest.check()?;
        Ok(manifest)
    }
}

fn addressing(addressing: wit::Addressing) -> Addressing {
    match addressing {
        wit::Addressing::Mapping => Addressing::Mapping,
        wit::Addressing::Kind => Addressing::Kind,
    }
}

fn reading_path(reading: wit::ReadingPath) -> ReadingPath {
    let form = match reading.form {
        wit::ReadingForm::Any => ReadingForm::Any,
        wit::ReadingForm::Graphql => ReadingForm::Graphql,
    };
    ReadingPath { path: reading.path, form }
}

fn setting(setting: wit::Setting) -> Setting {
    Setting {
        name: setting.name,
        help: one_line(&setting.help, TEXT_BYTES_MAX),
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
        environment_setting: setting.environment_setting,
        project_first: setting.project_first,
        command_line: setting.command_line,
        default: setting.default,
    }
}

fn credential(credential: wit::Credential) -> Credential {
    let template =
        |template: wit::HeaderTemplate| HeaderTemplate { name: template.name, template: template.template, prefix: template.prefix };
    Credential {
        when: credential.when.map(|when| Condition { setting: when.setting, values: when.values }),
        form: match credential.form {
            wit::CredentialForm::Header(templates) => CredentialForm::Header(templates.into_iter().map(template).collect()),
            wit::CredentialForm::Basic((username, password)) => CredentialForm::Basic { username, password },
            wit::CredentialForm::Query((parameter, setting)) => CredentialForm::Query { parameter, setting },
            wit::CredentialForm::Login(login) => CredentialForm::Login(Login {
                steps: login.steps.into_iter().map(login_step).collect(),
                headers: login.headers,
                renew_after: login.renew_after_s.map(|seconds| Duration::from_secs(seconds.into())),
                expired: login.expired,
                refresh: login.refresh.into_iter().map(login_step).collect(),
            }),
        },
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
