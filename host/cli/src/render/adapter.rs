//! Adapters on stdout.
//!
//! What an adapter says of itself is a stranger's text: it is escaped.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use infrahub_sync_runtime::{Abilities, Addressing, Credential, KeptComponent, Manifest, Setting, SettingType};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::cache::size;
use super::table;
use crate::escape::Escaped;
use crate::locate::Place;

/// An adapter that can be used.
#[derive(Debug)]
pub(crate) struct AdapterLine {
    /// The name by which a project picks it.
    pub(crate) name: String,
    /// The version of the contract that it was built for.
    pub(crate) contract: String,
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// Where it is.
    pub(crate) place: Place,
    /// The file that is found before it under that name.
    pub(crate) hidden_by: Option<PathBuf>,
    /// The sides of the project that use it.
    pub(crate) used_as: Vec<&'static str>,
}

/// An adapter that cannot be used.
#[derive(Debug, Serialize)]
pub(crate) struct BrokenAdapter {
    /// The name by which a project picks it.
    pub(crate) name: String,
    /// Its file, where there is one.
    pub(crate) file: Option<PathBuf>,
    /// What is wrong with it.
    pub(crate) error: String,
}

/// Writes a table.
pub(crate) fn list_text(out: &mut impl Write, adapters: &[AdapterLine]) -> io::Result<()> {
    if adapters.is_empty() {
        return Ok(());
    }
    let header = ["Name", "Version", "Source", "Destination", "Where", ""].map(str::to_owned);
    let rows = adapters.iter().map(|line| {
        let side = |can: bool, side: &str| match (can, line.used_as.contains(&side)) {
            (true, true) => "used".to_owned(),
            (true, false) => "yes".to_owned(),
            (false, _) => String::new(),
        };
        let place = match &line.hidden_by {
            Some(file) => format!("{} (hidden by {})", line.place, file.display()),
            None => line.place.to_string(),
        };
        let manifest = &line.manifest;
        let called = if manifest.name == line.name { String::new() } else { format!("`{}`: ", manifest.name) };
        [
            Escaped(&line.name).to_string(),
            Escaped(&manifest.version).to_string(),
            side(manifest.source.is_some(), "source"),
            side(manifest.destination, "destination"),
            Escaped(&place).to_string(),
            Escaped(&format!("{called}{}", manifest.description)).to_string(),
        ]
    });
    table(out, &std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[])
}

/// Writes one JSON document.
pub(crate) fn list_json(out: &mut impl Write, adapters: &[AdapterLine], broken: &[BrokenAdapter]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        name: &'a str,
        adapter: &'a str,
        version: &'a str,
        contract: &'a str,
        description: &'a str,
        source: bool,
        destination: bool,
        built_in: bool,
        file: Option<&'a Path>,
        hidden_by: Option<&'a Path>,
        used_as: &'a [&'static str],
    }
    #[derive(Serialize)]
    struct Document<'a> {
        adapters: Vec<Line<'a>>,
        broken: &'a [BrokenAdapter],
    }
    let adapters = adapters.iter().map(|line| Line {
        name: &line.name,
        adapter: &line.manifest.name,
        version: &line.manifest.version,
        contract: &line.contract,
        description: &line.manifest.description,
        source: line.manifest.source.is_some(),
        destination: line.manifest.destination,
        built_in: line.place.file().is_none(),
        file: line.place.file(),
        hidden_by: line.hidden_by.as_deref(),
        used_as: &line.used_as,
    });
    serde_json::to_writer_pretty(&mut *out, &Document { adapters: adapters.collect(), broken })?;
    out.write_all(b"\n")
}

/// What an adapter would be granted on one side of a project.
#[derive(Debug)]
pub(crate) struct Granted {
    /// `source` or `destination`.
    pub(crate) side: &'static str,
    /// What it could reach.
    pub(crate) abilities: Abilities,
}

/// All that is known of an adapter.
#[derive(Debug)]
pub(crate) struct Inspected<'a> {
    /// The name by which a project picks it.
    pub(crate) name: &'a str,
    /// Where it is.
    pub(crate) place: &'a Place,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its SHA-256.
    pub(crate) digest: String,
    /// The version of the contract that it was built for.
    pub(crate) contract: &'a str,
    /// What it imports.
    pub(crate) imports: &'a [String],
    /// What it says of itself.
    pub(crate) manifest: &'a Manifest,
    /// What it would be granted in the project, if there is one that uses it.
    pub(crate) granted: &'a [Granted],
}

fn type_word(setting_type: SettingType) -> &'static str {
    match setting_type {
        SettingType::Text => "text",
        SettingType::Boolean => "boolean",
        SettingType::Integer => "integer",
        SettingType::Float => "float",
        SettingType::Json => "json",
    }
}

fn addressing_word(addressing: Addressing) -> &'static str {
    match addressing {
        Addressing::Mapping => "mapping",
        Addressing::Kind => "kind",
    }
}

/// A credential in words, without the address that it goes to.
fn credential_words(credential: &Credential) -> String {
    match credential {
        Credential::Header(templates) => {
            let forms: Vec<String> = templates.iter().map(|template| format!("`{}: {}`", template.name, template.template)).collect();
            format!("as the header {}", forms.join(" or "))
        }
        Credential::Basic { username, password } => format!("as basic authentication of `{username}` and `{password}`"),
        Credential::Query { parameter, setting } => format!("as the query parameter `{parameter}`, from `{setting}`"),
        Credential::Login(login) => {
            let settings: Vec<String> = credential.settings().into_iter().map(|name| format!("`{name}`")).collect();
            let steps: Vec<String> = login.steps.iter().map(|step| format!("`{} {}`", step.method, step.path)).collect();
            let headers: Vec<String> = login.headers.iter().map(|(name, _)| format!("`{name}`")).collect();
            let (settings, steps, headers) = (settings.join(" and "), steps.join(" and "), headers.join(" and "));
            format!("to a login ({steps}) with {settings}; what it gives goes into the header {headers}")
        }
    }
}

/// What an adapter would be granted, whatever the project: by which settings.
fn grants(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let from = |setting: &Setting| match setting.environment.as_slice() {
        [] => format!("`{}`", setting.name),
        variables => format!("`{}` (or {})", setting.name, variables.join(", ")),
    };
    let named = |name: &Option<String>| name.as_ref().and_then(|name| manifest.setting(name)).map(from);
    let mut grants = vec![(
        "Hosts",
        named(&manifest.address_setting).map_or_else(|| "none".to_owned(), |setting| format!("the origin in {setting}, and no other")),
    )];
    let sides = match (manifest.source.is_some(), manifest.destination) {
        (true, true) => "read only as a source, read and write as a destination",
        (true, false) => "read only",
        (false, _) => "read and write",
    };
    grants.push((
        "Folders",
        named(&manifest.folder_setting).map_or_else(|| "none".to_owned(), |setting| format!("the one in {setting}: {sides}")),
    ));
    let secrets: Vec<String> = manifest.settings.iter().filter(|setting| setting.secret).map(from).collect();
    grants.push(("Secrets", if secrets.is_empty() { "none".to_owned() } else { format!("{}; it never sees them", secrets.join("; ")) }));
    for credential in &manifest.credentials {
        grants.push(("", format!("sent to that origin {}", credential_words(credential))));
    }
    let mut variables: Vec<&str> =
        manifest.settings.iter().filter(|setting| !setting.secret).flat_map(|setting| &setting.environment).map(String::as_str).collect();
    variables.sort_unstable();
    variables.dedup();
    grants.push(("Environment", if variables.is_empty() { "none".to_owned() } else { format!("{}, which it sees", variables.join(", ")) }));
    grants
}

/// Writes what is known of an adapter.
pub(crate) fn inspect_text(out: &mut impl Write, inspected: &Inspected<'_>) -> io::Result<()> {
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
        (true, true) => "yes, and knows the schema of its system",
        (true, false) => "yes",
        (false, true) => "no; knows the schema of its system",
        (false, false) => "no",
    };
    let (ours, foreign): (Vec<&str>, Vec<&str>) =
        inspected.imports.iter().map(String::as_str).partition(|name| name.starts_with("infrahub-sync:adapter/"));
    let short = |name: &&str| name.trim_start_matches("infrahub-sync:adapter/").split('@').next().unwrap_or_default().to_owned();
    let ours: Vec<String> = ours.iter().map(short).filter(|name| name != "types").collect();
    let none = || "none".to_owned();
    let mut lines = vec![
        ("Where", inspected.place.to_string()),
        ("Size", format!("{} ({} bytes)", size(inspected.bytes), inspected.bytes)),
        ("Digest", inspected.digest.clone()),
        ("Contract", inspected.contract.to_owned()),
        ("Reads", reads.to_owned()),
        ("Writes", writes.to_owned()),
    ];
    lines.extend(grants(manifest));
    lines.push(("Imports", if ours.is_empty() { none() } else { ours.join(", ") }));
    // Granted as empty shells: no arguments, variables, folders, sockets.
    lines.push(("WASI", if foreign.is_empty() { none() } else { format!("{}; all of it empty", foreign.join(", ")) }));
    for (what, text) in lines {
        writeln!(out, "  {what:11} {}", Escaped(&text))?;
    }
    if !manifest.settings.is_empty() {
        writeln!(out, "\nSettings")?;
        let header = ["Name", "Type", "", "Default", "Environment", ""].map(str::to_owned);
        let rows = manifest.settings.iter().map(|setting| {
            let words: Vec<&str> = [(setting.required, "required"), (setting.secret, "secret")]
                .into_iter()
                .filter_map(|(is, word)| is.then_some(word))
                .collect();
            [
                setting.name.clone(),
                type_word(setting.setting_type).to_owned(),
                words.join(", "),
                setting.default.clone().unwrap_or_default(),
                setting.environment.join(", "),
                setting.help.clone(),
            ]
            .map(|cell| Escaped(&cell).to_string())
        });
        table(out, &std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[])?;
    }
    for Granted { side, abilities } in inspected.granted {
        writeln!(out, "\nIn this project, as {side}")?;
        let list = |items: Vec<&str>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
        let networks = list(abilities.networks.iter().map(String::as_str).collect());
        let lines = [
            ("Address", list(abilities.address.as_deref().into_iter().collect())),
            ("Origins", list(abilities.origins.iter().map(String::as_str).collect())),
            ("Networks", networks),
            (
                "Folder",
                match &abilities.folder {
                    Some((path, true)) => format!("{path}, read and write"),
                    Some((path, false)) => format!("{path}, read only"),
                    None => "none".to_owned(),
                },
            ),
            ("Environment", list(abilities.environment.iter().map(String::as_str).collect())),
            ("Secrets", list(abilities.secrets.keys().map(String::as_str).collect())),
        ];
        // Few projects grant origins and networks.
        let said = |what: &str| match what {
            "Origins" => !abilities.origins.is_empty(),
            "Networks" => !abilities.networks.is_empty(),
            _ => true,
        };
        for (what, text) in lines.into_iter().filter(|(what, _)| said(what)) {
            writeln!(out, "  {what:11} {}", Escaped(&text))?;
        }
        for problem in &abilities.problems {
            writeln!(out, "  {:11} {}", "Not known", Escaped(&problem.to_string()))?;
        }
    }
    Ok(())
}

/// Writes one JSON document.
pub(crate) fn inspect_json(out: &mut impl Write, inspected: &Inspected<'_>) -> io::Result<()> {
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
    #[derive(Serialize)]
    struct GrantedLine<'a> {
        side: &'static str,
        address: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        origins: Vec<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        networks: Vec<&'a str>,
        folder: Option<Folder<'a>>,
        environment: Vec<&'a str>,
        secrets: Vec<&'a str>,
        unknown: Vec<String>,
    }
    #[derive(Serialize)]
    struct Folder<'a> {
        path: &'a str,
        access: &'static str,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        name: &'a str,
        adapter: &'a str,
        version: &'a str,
        description: &'a str,
        contract: &'a str,
        built_in: bool,
        file: Option<&'a Path>,
        bytes: u64,
        digest: &'a str,
        source: Option<&'static str>,
        destination: bool,
        schema: bool,
        address_setting: Option<&'a str>,
        folder_setting: Option<&'a str>,
        credentials: Vec<String>,
        settings: Vec<SettingLine<'a>>,
        imports: &'a [String],
        granted: Vec<GrantedLine<'a>>,
    }
    let manifest = inspected.manifest;
    let settings = manifest.settings.iter().map(|setting| SettingLine {
        name: &setting.name,
        help: &setting.help,
        setting_type: type_word(setting.setting_type),
        required: setting.required,
        secret: setting.secret,
        environment: &setting.environment,
        default: setting.default.as_deref(),
    });
    let granted = inspected.granted.iter().map(|Granted { side, abilities }| GrantedLine {
        side,
        address: abilities.address.as_deref(),
        origins: abilities.origins.iter().map(String::as_str).collect(),
        networks: abilities.networks.iter().map(String::as_str).collect(),
        folder: abilities.folder.as_ref().map(|(path, write)| Folder { path, access: if *write { "read-write" } else { "read" } }),
        environment: abilities.environment.iter().map(String::as_str).collect(),
        secrets: abilities.secrets.keys().map(String::as_str).collect(),
        unknown: abilities.problems.iter().map(ToString::to_string).collect(),
    });
    let document = Document {
        name: inspected.name,
        adapter: &manifest.name,
        version: &manifest.version,
        description: &manifest.description,
        contract: inspected.contract,
        built_in: inspected.place.file().is_none(),
        file: inspected.place.file(),
        bytes: inspected.bytes,
        digest: &inspected.digest,
        source: manifest.source.map(addressing_word),
        destination: manifest.destination,
        schema: manifest.schema,
        address_setting: manifest.address_setting.as_deref(),
        folder_setting: manifest.folder_setting.as_deref(),
        credentials: manifest.credentials.iter().map(credential_words).collect(),
        settings: settings.collect(),
        imports: inspected.imports,
        granted: granted.collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")
}

/// A compiled adapter that went.
#[derive(Debug)]
pub(crate) struct PrunedComponent {
    /// The name of the built-in adapter that it is of.
    pub(crate) name: Option<&'static str>,
    /// What it was.
    pub(crate) component: KeptComponent,
}

/// The day, in UTC.
fn day(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "unknown".to_owned(), |time| time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string())
}

/// Writes what went.
pub(crate) fn prune_text(out: &mut impl Write, removed: &[PrunedComponent]) -> io::Result<()> {
    let rows: Vec<[String; 5]> = removed
        .iter()
        .map(|PrunedComponent { name, component }| {
            [
                "-".to_owned(),
                match (name, component.usable) {
                    (Some(name), true) => (*name).to_owned(),
                    (None, true) => "custom".to_owned(),
                    // By the same adapter, perhaps, and for another program.
                    (_, false) if component.digest.is_some() => "of another version".to_owned(),
                    (_, false) => "left over".to_owned(),
                },
                component.digest.clone().unwrap_or_default(),
                size(component.bytes),
                format!("used {}", day(component.used)),
            ]
        })
        .collect();
    table(out, &rows, &[3])
}

/// Writes one JSON document.
pub(crate) fn prune_json(out: &mut impl Write, removed: &[PrunedComponent], dry_run: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        file: &'a Path,
        adapter: Option<&'static str>,
        digest: Option<&'a str>,
        bytes: u64,
        used_at: Option<String>,
        usable: bool,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        dry_run: bool,
        removed: Vec<Line<'a>>,
        bytes: u64,
    }
    let lines = removed.iter().map(|PrunedComponent { name, component }| Line {
        file: &component.path,
        adapter: *name,
        digest: component.digest.as_deref(),
        bytes: component.bytes,
        used_at: Timestamp::try_from(component.used).ok().map(|time| time.to_string()),
        usable: component.usable,
    });
    let document = Document { dry_run, removed: lines.collect(), bytes: removed.iter().map(|removed| removed.component.bytes).sum() };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")
}
