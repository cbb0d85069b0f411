//! `source:` and `destination:`: one of the two systems.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use infrahub_sync_base::limits::Limits;
use infrahub_sync_base::origin::Origin;
use serde_json::Value;

use super::abilities::{self, Grants};
use super::headers::{HEADERS, headers};
use super::variables;
use crate::decode::{Decoder, Key, join};
use crate::load::Node;
use crate::problem::Span;

/// One of the two systems.
#[derive(Clone, PartialEq)]
pub struct Endpoint {
    /// A built-in adapter's name, or the name of a custom one.
    pub name: String,
    /// Where a custom adapter is.
    pub adapter: Option<AdapterLocation>,
    /// The component that it must be.
    pub digest: Option<Pin>,
    /// The adapter's settings, `${VAR}` replaced, and `headers` for the host. They hold credentials: no message, log or debug print shows a value.
    pub settings: BTreeMap<String, Value>,
    /// The limits of the adapter.
    pub limits: Limits,
    /// The grants of the adapter beyond the address and the folder in its settings.
    pub grants: Grants,
    /// Where it stands.
    pub span: Span,
}

impl fmt::Debug for Endpoint {
    /// With the names of the settings alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("adapter", &self.adapter)
            .field("digest", &self.digest)
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .field("limits", &self.limits)
            .field("grants", &self.grants)
            .field("span", &self.span)
            .finish()
    }
}

/// `digest:`; a run with any other component stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Where it stands.
    pub span: Span,
}

/// `adapter:`. Paths are as written; relative ones are the caller's to anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdapterLocation {
    /// A bare word: a built-in adapter, or `<word>.wasm` in one of the adapter folders.
    Name(String),
    /// A `.wasm` component.
    Component(PathBuf),
    /// A folder that holds a component.
    Folder(PathBuf),
    /// A registry, or an address of the web.
    Origin(Origin),
}

#[derive(Default)]
struct Draft {
    name: Option<String>,
    adapter: Option<AdapterLocation>,
    digest: Option<Pin>,
    settings: BTreeMap<String, Value>,
    limits: Limits,
    grants: Grants,
}

const KEYS: [Key<Draft>; 6] = [
    Key::required("name", |decoder, node, path, draft| draft.name = decoder.text(node, path).map(str::to_owned)),
    Key::optional("adapter", |decoder, node, path, draft| draft.adapter = adapter(decoder, node, path)),
    Key::optional("digest", |decoder, node, path, draft| draft.digest = pin(decoder, node, path)),
    Key::optional("settings", settings),
    Key::optional("limits", |decoder, node, path, draft| draft.limits = abilities::limits(decoder, node, path)),
    Key::optional("grants", |decoder, node, path, draft| draft.grants = abilities::grants(decoder, node, path)),
];

/// Decodes a system.
pub(super) fn endpoint(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Endpoint> {
    let mut draft = Draft::default();
    decoder.fill(node, path, &KEYS, &mut draft)?;
    let Draft { name, adapter, digest, settings, limits, grants } = draft;
    Some(Endpoint { name: name?, adapter, digest, settings, limits, grants, span: node.span })
}

fn settings(decoder: &mut Decoder<'_>, node: &Node, path: &str, draft: &mut Draft) {
    for entry in decoder.map(node, path).unwrap_or_default() {
        let path = join(path, &entry.key);
        let read = if entry.key == HEADERS { headers } else { variables::value };
        let value = read(decoder, &entry.value, &path);
        draft.settings.insert(entry.key.clone(), value);
    }
}

fn pin(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Pin> {
    let digest = sha256(decoder.text(node, path)?);
    if digest.is_none() {
        let hint = "`infrahub-sync adapter inspect` shows the digest of a component";
        decoder.error_hint(node.span, path, "a digest is `sha256:` and 64 hexadecimal digits", hint);
    }
    Some(Pin { digest: digest?, span: node.span })
}

/// Parses a digest into lower case; `None` if the text is not a digest.
pub(crate) fn sha256(text: &str) -> Option<String> {
    let digits = text.strip_prefix("sha256:")?;
    (digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

/// Returns the name of an adapter that is made of a class or module: letters, digits and `-`.
fn component_name(from: &str) -> String {
    let name: String = from.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-');
    if name.is_empty() { "adapter".to_owned() } else { name.to_owned() }
}

/// Decodes an origin that names one version: a registry's has a tag or a digest.
fn origin(decoder: &mut Decoder<'_>, node: &Node, path: &str, text: &str) -> Option<Origin> {
    match text.parse::<Origin>() {
        Ok(Origin::Oci(oci)) if oci.tag.is_none() && oci.digest.is_none() => {
            let hint = format!("write the tag of a version, such as `{oci}:1`");
            decoder.error_hint(node.span, path, format!("`{text}` names no version"), hint);
            None
        }
        Ok(origin) => Some(origin),
        Err(error) => {
            let shown = if error.has_credentials { "this address".to_owned() } else { format!("`{text}`") };
            decoder.error_hint(node.span, path, format!("{shown} {}", error.what), error.hint);
            if let Some(problem) = decoder.problems.last_mut().filter(|_| error.has_credentials) {
                problem.excerpt = None;
            }
            None
        }
    }
}

/// Decodes `adapter:`. Python's forms are explained, because projects that exist use them.
fn adapter(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<AdapterLocation> {
    let text = decoder.text(node, path)?;
    if Origin::is_address(text) {
        return origin(decoder, node, path, text).map(AdapterLocation::Origin);
    }
    let is_path = text.contains(['/', '\\']);
    // A Windows drive's colon is followed by a separator; Python's class name is not.
    let class = text.rsplit_once(':').filter(|(_, class)| !class.contains(['/', '\\']));
    let file = class.map_or(text, |(file, _)| file);
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    if class.is_none() && extension == Some("wasm") {
        return Some(AdapterLocation::Component(text.into()));
    }
    let dotted_module = !is_path && file.contains('.') && !file.starts_with('.');
    if class.is_some() || extension == Some("py") || dotted_module {
        let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or("adapter");
        let stem = if extension == Some("py") { stem } else { file.rsplit(['.', '/']).next().unwrap_or(stem) };
        let message = format!("`{text}` is Python code, which this program cannot load");
        // A module with dots is somewhere on Python's path.
        let from = match (class, extension) {
            (Some(_), Some("py")) => format!("--from-python {text}"),
            (None, Some("py")) => format!("--from-python {text}:CLASS"),
            _ => "--from-python FILE.py:CLASS".to_owned(),
        };
        let name = component_name(class.map_or(stem, |(_, class)| class.strip_suffix("Adapter").unwrap_or(class)));
        let hint = format!(
            "adapters are WebAssembly components here: `infrahub-sync adapter new {name} {from}` makes the folder of one from this class, and \
             `infrahub-sync adapter build {name}` the component; then write `adapter: ./{name}/{name}.wasm`"
        );
        decoder.error_hint(node.span, path, message, hint);
        return None;
    }
    Some(if is_path || text.starts_with('.') { AdapterLocation::Folder(text.into()) } else { AdapterLocation::Name(text.into()) })
}
