//! A decoded `config.yml`.
//!
//! [`Project::load`] reads, decodes and checks a file and returns either a [`Project`] (with its warnings) or every problem found.

mod abilities;
mod check;
pub(crate) mod decode;
pub(crate) mod endpoint;
mod flags;
mod headers;
mod mapping;
pub(crate) mod ownership;
mod rules;
mod trust;
mod variables;

use std::path::{Path, PathBuf};

use infrahub_sync_base::Side;

pub use self::abilities::Grants;
pub use self::endpoint::{AdapterLocation, Endpoint, Pin};
pub use self::flags::Flags;
pub use self::mapping::{Field, FieldSource, FilterConfig, Mapping, TransformConfig};
pub use self::ownership::{Owned, Reaches};
pub use self::rules::{ApplyOverrides, ApplyRules, Converge, Incremental, OnConflict};
pub use self::trust::{PublisherKey, Trust, TrustRule};
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
    /// Kinds that are not mapped and whose objects may be deleted along with those that a plan deletes.
    pub delete_along: Vec<String>,
    /// The mappings, in file order. A kind may occur several times.
    pub schema_mapping: Vec<Mapping>,
    /// The changes that the run may make to the destination.
    pub flags: Flags,
    /// The incremental path.
    pub incremental: Incremental,
    /// The rules of an apply.
    pub apply: ApplyRules,
    /// Whose a field's value is, where neither its mapping nor the field says so.
    pub ownership: Option<Owned>,
    /// The objects that a run may change and delete.
    pub reaches: Reaches,
    /// Whose published adapters are accepted.
    pub trust: Trust,
    /// The folder of `file`; `.` where the file's name has none.
    pub directory: PathBuf,
    /// The file, as it was given.
    pub file: PathBuf,
    /// Oddities that do not stop the run.
    pub warnings: Vec<Problem>,
    pub(crate) document: Document,
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

    /// As [`Project::load`], and whatever could be decoded of a project with errors: for commands that report all mistakes at once, and run
    /// nothing. A variable that is not set is a warning: the environment of a run may have it.
    #[must_use]
    pub fn load_in_part(file: &Path, environment: &Environment<'_>) -> (Option<Project>, Vec<Problem>) {
        match crate::load::read(file) {
            Ok(text) => parse_in_part(&text, file, Some(environment), Severity::Warning),
            Err(problems) => (None, problems),
        }
    }

    /// Decodes the text of a `config.yml`; `file` is where it is from.
    ///
    /// # Errors
    ///
    /// As [`Project::load`].
    pub fn parse(text: &str, file: &Path, environment: &Environment<'_>) -> Result<Project, Vec<Problem>> {
        parse(text, file, Some(environment))
    }

    /// Returns a problem at a place of this project's file, for checks that other crates make (transforms that do not compile).
    #[must_use]
    pub fn problem(&self, severity: Severity, span: Span, path: impl Into<String>, message: impl Into<String>) -> Problem {
        self.document.problem(severity, span, path, message)
    }
}

/// Decodes the text of a `config.yml`. Without an environment variables stay as they are written.
pub(crate) fn parse(text: &str, file: &Path, environment: Option<&Environment<'_>>) -> Result<Project, Vec<Problem>> {
    match parse_in_part(text, file, environment, Severity::Error) {
        (Some(mut project), problems) if !problems.iter().any(Problem::is_error) => {
            project.warnings = problems;
            Ok(project)
        }
        (_, problems) => Err(problems),
    }
}

/// As [`parse`], with the project as far as it could be decoded. The problems are in the order of the file.
fn parse_in_part(text: &str, file: &Path, environment: Option<&Environment<'_>>, unset: Severity) -> (Option<Project>, Vec<Problem>) {
    let document = Document::new(file, text);
    let (tree, mut problems) = load::parse(&document);
    // A text that is no YAML has been reported; a text without any value has not.
    let Some(tree) = tree else {
        if problems.is_empty() {
            problems.push(Problem::of_file(file, "the file is empty"));
        }
        return (None, problems);
    };
    let (project, found) = decode::decode(&document, &tree, environment, unset);
    problems.extend(found);
    (project, in_file_order(problems))
}

/// Sorts problems by their place, so that a reader walks through the file once.
pub(crate) fn in_file_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

#[cfg(test)]
mod tests;
