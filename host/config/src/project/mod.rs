//! A decoded `config.yml`.
//!
//! [`Project::load`] reads, decodes and checks a file and returns either a [`Project`] (with its warnings) or every problem found.

mod abilities;
mod check;
pub(crate) mod decode;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use infrahub_sync_base::Side;
use infrahub_sync_base::limits::Limits;
use infrahub_sync_core::guardrail::DeleteLimit;
use serde_json::Value;

pub use self::abilities::Grants;
use crate::load;
use crate::problem::{Document, Problem, Severity, Span};

/// The environment: the value of a variable, if it is set.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A sync: two systems and the mapping between them.
#[derive(Debug, Clone)]
pub struct Project {
    /// The sync's name; one plain path segment.
    pub name: String,
    /// The system that is read.
    pub source: Endpoint,
    /// The system that is brought in line.
    pub destination: Endpoint,
    /// Where custom adapters are searched, as written (relative ones are the caller's to anchor).
    pub adapters_path: Vec<PathBuf>,
    /// A `store` was configured (and is ignored, with a warning).
    pub store: bool,
    /// The explicit write order; empty where the computed tiers decide. Kinds that it leaves out are not synced.
    pub order: Vec<String>,
    /// The mappings, in file order. A kind may occur several times.
    pub schema_mapping: Vec<Mapping>,
    /// What the run may do to the destination.
    pub flags: Flags,
    /// The incremental path.
    pub incremental: Incremental,
    /// What an apply does and does not.
    pub apply: ApplyRules,
    /// The folder of `file`; `.` where the file's name has none.
    pub directory: PathBuf,
    /// The file, as it was given.
    pub file: PathBuf,
    /// What was odd, but no reason to stop.
    pub warnings: Vec<Problem>,
    pub(crate) document: Document,
}

/// One of the two systems.
#[derive(Clone, PartialEq)]
pub struct Endpoint {
    /// A built-in adapter's name, or the name of a custom one.
    pub name: String,
    /// Where a custom adapter is.
    pub adapter: Option<AdapterLocation>,
    /// The component that it must be.
    pub digest: Option<Pin>,
    /// The adapter's settings, `${VAR}` replaced. They hold credentials: no message, log or debug print shows a value.
    pub settings: BTreeMap<String, Value>,
    /// What the adapter may use.
    pub limits: Limits,
    /// What the adapter may reach beyond the address and the folder of its settings.
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

/// What `digest:` says: a run with any other component stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Where it stands.
    pub span: Span,
}

/// What `adapter:` says. Paths are as written; relative ones are the caller's to anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdapterLocation {
    /// A bare word: a built-in adapter, or `<word>.wasm` in one of the adapter folders.
    Name(String),
    /// A `.wasm` component.
    Component(PathBuf),
    /// A folder that holds a component.
    Folder(PathBuf),
}

/// One resource that feeds one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The kind in the model.
    pub name: String,
    /// The resource in the other system; a system that needs one skips the mapping without.
    pub mapping: Option<String>,
    /// The fields of the natural key.
    pub identifiers: Option<Vec<String>>,
    /// All must pass.
    pub filters: Vec<FilterConfig>,
    /// Applied after the filters, in order.
    pub transforms: Vec<TransformConfig>,
    /// The fields, in order. A field may occur twice (with a warning): the last one that yields a value wins.
    pub fields: Vec<Field>,
    /// Its path, `schema_mapping[2]`.
    pub path: String,
    /// Where its name stands.
    pub span: Span,
    /// Where the identifiers stand, each at the position of its name in `identifiers`.
    pub identifier_spans: Vec<Span>,
}

/// A condition on a source record.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterConfig {
    /// Dotted path into the record.
    pub field: String,
    /// One of [`OPERATIONS`](infrahub_sync_core::mapping::filter::OPERATIONS).
    pub operation: String,
    /// What it is compared with.
    pub value: Option<Value>,
    /// Its path, `schema_mapping[2].filters[0]`.
    pub path: String,
    /// Where it stands.
    pub span: Span,
}

/// A template whose result is written into the source record.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformConfig {
    /// The key of the record that is written.
    pub field: String,
    /// The Jinja template.
    pub expression: String,
    /// Its path, `schema_mapping[2].transforms[0]`.
    pub path: String,
    /// Where the expression's text begins: for a block scalar (`|`), the line after the bar.
    pub span: Span,
}

/// A field of a kind, and where its value comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The field's name in the model.
    pub name: String,
    /// Where the value comes from.
    pub source: FieldSource,
    /// The kind of its peers; also set beside `static` (a literal natural key) and without any source.
    pub reference: Option<String>,
    /// Its path, `schema_mapping[2].fields[0]`.
    pub path: String,
    /// Where its name stands.
    pub span: Span,
    /// Where its reference stands; its name's place where it has none.
    pub reference_span: Span,
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// The literal. With [`Field::reference`] set it is a peer's unique id.
    Static(Value),
    /// Dotted path into the record.
    Path(String),
    /// A relationship: the value, or each item of a list, identifies a peer.
    Reference {
        /// Dotted path into the record.
        path: String,
        /// The peer's kind.
        kind: String,
    },
    /// Neither: only a system that is named by the model itself has a value.
    Unmapped,
}

/// What a run may do to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// Objects only in the source are created.
    pub create: bool,
    /// Objects that differ are updated.
    pub update: bool,
    /// Objects only in the destination are deleted.
    pub delete: bool,
}

impl Default for Flags {
    /// The rule for a project without flags: `SKIP_UNMATCHED_DST`.
    fn default() -> Self {
        Flags { create: true, update: true, delete: false }
    }
}

/// The keys `on_conflict`, `max_deletes` and `max_failures`: what an apply does and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApplyRules {
    /// What becomes of a row whose object somebody changed after the plan was made.
    pub on_conflict: OnConflict,
    /// How many objects of one kind may be deleted; none: the usual.
    pub max_deletes: Option<DeleteLimit>,
    /// After so many refused rows the rest is not tried.
    pub max_failures: Option<u64>,
}

/// What becomes of a row whose object somebody changed after the plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// It is left out, and told.
    #[default]
    Refuse,
    /// It is written all the same.
    Overwrite,
}

impl std::str::FromStr for OnConflict {
    type Err = String;

    fn from_str(text: &str) -> Result<OnConflict, String> {
        match text {
            "refuse" => Ok(OnConflict::Refuse),
            "overwrite" => Ok(OnConflict::Overwrite),
            other => Err(format!("`{other}` is neither `refuse` nor `overwrite`")),
        }
    }
}

/// The `incremental` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incremental {
    /// After so many runs everything is read again.
    pub full_resync_every: u32,
}

impl Default for Incremental {
    fn default() -> Self {
        Incremental { full_resync_every: 10 }
    }
}

impl Project {
    /// Returns what the project says of a side.
    #[must_use]
    pub fn endpoint(&self, side: Side) -> &Endpoint {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }

    /// Reads and decodes a `config.yml`.
    ///
    /// # Errors
    ///
    /// Every problem of the file, errors and warnings, in the order of the file.
    pub fn load(file: &Path, environment: &Environment<'_>) -> Result<Project, Vec<Problem>> {
        let text = crate::load::read(file)?;
        Project::parse(&text, file, environment)
    }

    /// Decodes the text of a `config.yml`; `file` is where it is from.
    ///
    /// # Errors
    ///
    /// As [`Project::load`].
    pub fn parse(text: &str, file: &Path, environment: &Environment<'_>) -> Result<Project, Vec<Problem>> {
        parse(text, file, Some(environment))
    }

    /// A problem at a place of this project's file, for checks that other crates make (transforms that do not compile).
    #[must_use]
    pub fn problem(&self, severity: Severity, span: Span, path: impl Into<String>, message: impl Into<String>) -> Problem {
        self.document.problem(severity, span, path, message)
    }
}

/// Decodes the text of a `config.yml`. Without an environment variables stay as they are written.
pub(crate) fn parse(text: &str, file: &Path, environment: Option<&Environment<'_>>) -> Result<Project, Vec<Problem>> {
    let document = Document::new(file, text);
    let (tree, mut problems) = load::parse(&document);
    // A text that is no YAML has been reported; a text without any value has not.
    let Some(tree) = tree else {
        if problems.is_empty() {
            problems.push(Problem::of_file(file, "the file is empty"));
        }
        return Err(problems);
    };
    let (project, found) = decode::decode(&document, &tree, environment);
    problems.extend(found);
    let mut project = match project {
        Some(project) if !problems.iter().any(Problem::is_error) => project,
        _ => return Err(in_file_order(problems)),
    };
    project.warnings = in_file_order(problems);
    Ok(project)
}

/// Sorts problems by their place, so that a reader walks through the file once.
pub(crate) fn in_file_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

#[cfg(test)]
mod tests;
