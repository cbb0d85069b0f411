//! One adapter: what it is, and what it is granted.
//!
//! An adapter's description of itself is foreign text: it is escaped.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use infrahub_sync_runtime::{
    Abilities, Addressing, Alias, Condition, Credential, CredentialForm, Manifest, ReadingForm, ReadingPath, Setting, SettingType,
};
use serde::Serialize;

use super::output::write_document;
use super::table::{Cell, INDENTED};
use super::words::size;
use crate::escape::Escaped;
use crate::locate::Place;

/// The grants of an adapter on one side of a project.
#[derive(Debug)]
pub(crate) struct Granted {
    /// `source` or `destination`.
    pub(crate) side: &'static str,
    /// Its abilities.
    pub(crate) abilities: Abilities,
}

/// An adapter and its grants.
#[derive(Debug)]
pub(crate) struct Inspected<'a> {
    /// The name in a project.
    pub(crate) name: &'a str,
    /// Where it is.
    pub(crate) place: &'a Place,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its SHA-256.
    pub(crate) digest: String,
    /// The version of its contract.
    pub(crate) contract: &'a str,
    /// Its imports.
    pub(crate) imports: &'a [String],
    /// Its self-description.
    pub(crate) manifest: &'a Manifest,
    /// Texts about it: licence, homepage and others, with their labels.
    pub(crate) about: &'a [(&'static str, String)],
    /// The key that signed it.
    pub(crate) publisher: Option<String>,
    /// Its grants in the project, if there is one that uses it.
    pub(crate) granted: &'a [Granted],
}

pub(super) fn type_word(setting_type: SettingType) -> &'static str {
    match setting_type {
        SettingType::Text => "text",
        SettingType::Boolean => "boolean",
        SettingType::Integer => "integer",
        SettingType::Float => "float",
        SettingType::Json => "json",
    }
}

pub(super) fn addressing_word(addressing: Addressing) -> &'static str {
    match addressing {
        Addressing::Mapping => "mapping",
        Addressing::Kind => "kind",
    }
}

/// Describes a credential, without its address.
pub(super) fn credential_words(credential: &Credential) -> String {
    let words = form_words(&credential.form);
    match &credential.when {
        None => words,
        Some(Condition { setting, values }) => format!("{words}, if `{setting}` is {}", values.join(" or ")),
    }
}

fn form_words(form: &CredentialForm) -> String {
    match form {
        CredentialForm::Header(templates) => {
            let forms: Vec<String> = templates.iter().map(|template| format!("`{}: {}`", template.name, template.template)).collect();
            format!("as the header {}", forms.join(" or "))
        }
        CredentialForm::Basic { username, password } => format!("as basic authentication of `{username}` and `{password}`"),
        CredentialForm::Query { parameter, setting } => format!("as the query parameter `{parameter}`, from `{setting}`"),
        CredentialForm::Login(login) => {
            let settings: Vec<String> = form.settings().into_iter().map(|name| format!("`{name}`")).collect();
            let steps: Vec<String> = login.steps.iter().map(|step| format!("`{} {}`", step.method, step.path)).collect();
            let headers: Vec<String> = login.headers.iter().map(|(name, _)| format!("`{name}`")).collect();
            let (settings, steps, headers) = (settings.join(" and "), steps.join(" and "), headers.join(" and "));
            format!("to a login ({steps}) with {settings}; its result goes into the header {headers}")
        }
    }
}

/// Describes a path at which a request with a body only reads.
pub(super) fn form_of_reading(ReadingPath { path, form }: &ReadingPath) -> String {
    let words = match form {
        ReadingForm::Any => "with any body",
        ReadingForm::Graphql => "with GraphQL queries",
    };
    format!("reads by POST to `{path}`, {words}")
}

/// Returns what any project grants an adapter, and the settings that grant it.
fn grants(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let from = |setting: &Setting| match setting.environment.as_slice() {
        [] => format!("`{}`", setting.name),
        variables => format!("`{}` (or {})", setting.name, variables.join(", ")),
    };
    let named = |name: &Option<String>| name.as_ref().and_then(|name| manifest.setting(name)).map(from);
    let mut grants = vec![(
        "Hosts",
        named(&manifest.address_setting).map_or_else(|| "none".to_owned(), |setting| format!("only the origin in {setting}")),
    )];
    let sides = match (manifest.source.is_some(), manifest.destination.is_some()) {
        (true, true) => "read only as a source, read and write as a destination",
        (true, false) => "read only",
        (false, _) => "read and write",
    };
    grants.push((
        "Folders",
        named(&manifest.folder_setting).map_or_else(|| "none".to_owned(), |setting| format!("the one in {setting}: {sides}")),
    ));
    let secrets: Vec<String> = manifest.settings.iter().filter(|setting| setting.secret).map(from).collect();
    grants.push((
        "Secrets",
        if secrets.is_empty() { "none".to_owned() } else { format!("{}; the adapter never sees them", secrets.join("; ")) },
    ));
    for credential in &manifest.credentials {
        grants.push(("", format!("sent to that origin {}", credential_words(credential))));
    }
    // Requests that a command which only reads lets through, beyond GET.
    grants.extend(manifest.reading_paths.iter().map(|reading| ("", form_of_reading(reading))));
    let mut variables: Vec<&str> =
        manifest.settings.iter().filter(|setting| !setting.secret).flat_map(|setting| &setting.environment).map(String::as_str).collect();
    variables.sort_unstable();
    variables.dedup();
    grants.push((
        "Environment",
        if variables.is_empty() { "none".to_owned() } else { format!("{}; the adapter sees them", variables.join(", ")) },
    ));
    grants
}

/// Writes one line below a heading.
fn write_line(out: &mut impl Write, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, "  {name:11} {}", Escaped(text))
}

/// Joins a list, or says that it is empty.
fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<T> = items.into_iter().collect();
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// Writes the adapter.
pub(crate) fn text(out: &mut impl Write, inspected: &Inspected<'_>) -> io::Result<()> {
    let Inspected { manifest, .. } = inspected;
    let called = if manifest.name == inspected.name { String::new() } else { format!(" (here `{}`)", inspected.name) };
    writeln!(out, "{}", Escaped(&format!("{} {}{called}", manifest.name, manifest.version)))?;
    writeln!(out, "{}\n", Escaped(&manifest.description))?;
    let reads = match manifest.source {
        Some(Addressing::Mapping) => "yes, resources by the mapping's `mapping:`",
        Some(Addressing::Kind) => "yes, resources by the mapping's `name:`",
        None => "no",
    };
    let writes = match (manifest.destination, manifest.schema) {
        (Some(addressing), schema) => {
            let words = match addressing {
                Addressing::Mapping => "yes, resources by the mapping's `destination_mapping:` or `mapping:`",
                Addressing::Kind => "yes, kinds by the mapping's `name:`",
            };
            if schema { format!("{words}; it knows its system's schema") } else { words.to_owned() }
        }
        (None, true) => "no; knows its system's schema".to_owned(),
        (None, false) => "no".to_owned(),
    };
    let (ours, foreign): (Vec<&str>, Vec<&str>) =
        inspected.imports.iter().map(String::as_str).partition(|name| name.starts_with("infrahub-sync:adapter/"));
    let short = |name: &str| name.trim_start_matches("infrahub-sync:adapter/").split('@').next().unwrap_or_default().to_owned();
    let ours = list(ours.into_iter().map(short).filter(|name| name != "types"));
    let mut lines = vec![
        ("Location", inspected.place.to_string()),
        ("Size", format!("{} ({} bytes)", size(inspected.bytes), inspected.bytes)),
        ("Digest", inspected.digest.clone()),
        ("Contract", inspected.contract.to_owned()),
        ("Reads", reads.to_owned()),
        ("Writes", writes),
    ];
    lines.extend(inspected.about.iter().cloned());
    lines.extend(inspected.publisher.clone().map(|publisher| ("Publisher", publisher)));
    lines.extend(grants(manifest));
    lines.push(("Imports", ours));
    // Granted as empty shells: no arguments, variables, folders or sockets.
    lines.push((
        "WASI",
        if foreign.is_empty() {
            "none".to_owned()
        } else {
            format!("{} interfaces, all of them empty (--output json lists them)", foreign.len())
        },
    ));
    for (name, text) in lines {
        write_line(out, name, &text)?;
    }
    write_settings(out, manifest)?;
    inspected.granted.iter().try_for_each(|granted| write_granted(out, granted))
}

/// Writes the table of settings.
fn write_settings(out: &mut impl Write, manifest: &Manifest) -> io::Result<()> {
    if manifest.settings.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nSettings")?;
    let header = ["Name", "Type", "", "Default", "Environment", ""].map(Cell::from);
    let rows = manifest.settings.iter().map(|setting| {
        let words = [(setting.required, "required"), (setting.secret, "secret")];
        let words: Vec<&str> = words.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
        [
            setting.name.clone(),
            type_word(setting.setting_type).to_owned(),
            words.join(", "),
            setting.default.clone().unwrap_or_default(),
            setting.environment.join(", "),
            setting.help.clone(),
        ]
        .map(|cell| Escaped(&cell).to_string().into())
    });
    INDENTED.write(out, &std::iter::once(header).chain(rows).collect::<Vec<_>>())?;
    manifest.aliases.iter().try_for_each(|alias| {
        let variables = if alias.environment.is_empty() { String::new() } else { format!(", or {}", alias.environment.join(", ")) };
        writeln!(out, "{}", Escaped(&format!("  `{}` is another name of `{}`{variables}", alias.name, alias.setting)))
    })
}

/// Writes what the adapter is granted on one side of the project.
fn write_granted(out: &mut impl Write, Granted { side, abilities }: &Granted) -> io::Result<()> {
    writeln!(out, "\nIn this project, as {side}")?;
    // The dangerous abilities come first: how credentials leave, what the adapter sees, what it may send.
    for words in &abilities.credentials {
        write_line(out, "Credentials", words)?;
    }
    write_line(out, "Secrets", &list(abilities.secrets.keys()))?;
    if !abilities.visible.is_empty() {
        write_line(out, "Visible", &format!("{}; the adapter sees their values", list(&abilities.visible)))?;
    }
    if !abilities.headers.is_empty() {
        write_line(out, "Headers", &format!("may set {} in its requests", list(&abilities.headers)))?;
    }
    write_line(out, "Address", &list(&abilities.address))?;
    // Few projects grant origins and networks.
    if !abilities.origins.is_empty() {
        write_line(out, "Origins", &list(&abilities.origins))?;
    }
    if !abilities.networks.is_empty() {
        write_line(out, "Networks", &list(&abilities.networks))?;
    }
    let folder = abilities.folder.as_ref().map(|(path, write)| format!("{path}, {}", if *write { "read and write" } else { "read only" }));
    write_line(out, "Folder", folder.as_deref().unwrap_or("none"))?;
    write_line(out, "Environment", &list(&abilities.environment))?;
    for (limit, value) in &abilities.limits {
        write_line(out, "Limits", &format!("{}: {} instead of {}", limit.name(), limit.show(*value), limit.show(limit.default_value())))?;
    }
    abilities.problems.iter().try_for_each(|problem| write_line(out, "Unknown", &problem.to_string()))
}

#[derive(Serialize)]
struct SettingLine<'a> {
    name: &'a str,
    help: &'a str,
    #[serde(rename = "type")]
    setting_type: &'static str,
    required: bool,
    secret: bool,
    environment: &'a [String],
    default: Option<&'a str>,
}

impl SettingLine<'_> {
    fn of(setting: &Setting) -> SettingLine<'_> {
        SettingLine {
            name: &setting.name,
            help: &setting.help,
            setting_type: type_word(setting.setting_type),
            required: setting.required,
            secret: setting.secret,
            environment: &setting.environment,
            default: setting.default.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct AliasLine<'a> {
    name: &'a str,
    setting: &'a str,
    environment: &'a [String],
}

impl AliasLine<'_> {
    fn of(alias: &Alias) -> AliasLine<'_> {
        AliasLine { name: &alias.name, setting: &alias.setting, environment: &alias.environment }
    }
}

#[derive(Serialize)]
struct Folder<'a> {
    path: &'a str,
    access: &'static str,
}

#[derive(Serialize)]
struct GrantedLine<'a> {
    side: &'static str,
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    origins: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<&'a str>,
    folder: Option<Folder<'a>>,
    credentials: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<&'a str>,
    environment: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    visible: Vec<&'a str>,
    secrets: Vec<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<&'static str, String>,
    unknown: Vec<String>,
}

impl GrantedLine<'_> {
    fn of(Granted { side, abilities }: &Granted) -> GrantedLine<'_> {
        GrantedLine {
            side,
            address: abilities.address.as_deref(),
            origins: abilities.origins.iter().map(String::as_str).collect(),
            networks: abilities.networks.iter().map(String::as_str).collect(),
            folder: abilities.folder.as_ref().map(|(path, write)| Folder { path, access: if *write { "read-write" } else { "read" } }),
            credentials: &abilities.credentials,
            headers: abilities.headers.iter().map(String::as_str).collect(),
            environment: abilities.environment.iter().map(String::as_str).collect(),
            visible: abilities.visible.iter().map(String::as_str).collect(),
            secrets: abilities.secrets.keys().map(String::as_str).collect(),
            limits: abilities.limits.iter().map(|(limit, value)| (limit.name(), limit.write(*value))).collect(),
            unknown: abilities.problems.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Writes one JSON document.
pub(crate) fn json(out: &mut impl Write, inspected: &Inspected<'_>) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        name: &'a str,
        adapter: &'a str,
        version: &'a str,
        description: &'a str,
        contract: &'a str,
        licence: Option<&'a str>,
        homepage: Option<&'a str>,
        source_code: Option<&'a str>,
        authors: Option<&'a str>,
        publisher: Option<&'a str>,
        built_in: bool,
        file: Option<&'a Path>,
        bytes: u64,
        digest: &'a str,
        source: Option<&'static str>,
        destination: Option<&'static str>,
        schema: bool,
        address_setting: Option<&'a str>,
        folder_setting: Option<&'a str>,
        credentials: Vec<String>,
        reading_paths: Vec<&'a str>,
        settings: Vec<SettingLine<'a>>,
        aliases: Vec<AliasLine<'a>>,
        imports: &'a [String],
        granted: Vec<GrantedLine<'a>>,
    }
    let manifest = inspected.manifest;
    let about = |label: &str| inspected.about.iter().find(|(known, _)| *known == label).map(|(_, text)| text.as_str());
    let document = Document {
        name: inspected.name,
        adapter: &manifest.name,
        version: &manifest.version,
        description: &manifest.description,
        contract: inspected.contract,
        licence: about("Licence"),
        homepage: about("Homepage"),
        source_code: about("Source"),
        authors: about("Authors"),
        publisher: inspected.publisher.as_deref(),
        built_in: inspected.place.is_built_in(),
        file: inspected.place.file(),
        bytes: inspected.bytes,
        digest: &inspected.digest,
        source: manifest.source.map(addressing_word),
        destination: manifest.destination.map(addressing_word),
        schema: manifest.schema,
        address_setting: manifest.address_setting.as_deref(),
        folder_setting: manifest.folder_setting.as_deref(),
        credentials: manifest.credentials.iter().map(credential_words).collect(),
        reading_paths: manifest.reading_paths.iter().map(|reading| reading.path.as_str()).collect(),
        settings: manifest.settings.iter().map(SettingLine::of).collect(),
        aliases: manifest.aliases.iter().map(AliasLine::of).collect(),
        imports: inspected.imports,
        granted: inspected.granted.iter().map(GrantedLine::of).collect(),
    };
    write_document(out, &document)
}
