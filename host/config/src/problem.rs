//! A mistake in a file and its place: the one error type of this crate.
//!
//! A [`Problem`] is data (severity, file, line, column, path, message, hint) plus an excerpt of the line; its `Display` is what
//! the user reads. Excerpts never show a credential: from a key that smells of one (`token`, `password`, …) on, the rest of the
//! line is masked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use infrahub_sync_base::nearest;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The run continues.
    Warning,
    /// The project cannot be used.
    Error,
}

impl Severity {
    /// Returns the heading on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Where something stands in a file. Line and column count from 1; line 0 means "no particular place".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// How many characters are underlined, at least 1.
    pub width: u32,
}

/// The line of a file that a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line's text, masked.
    pub text: String,
    /// How many characters are underlined.
    pub width: u32,
}

/// Something wrong, or worth knowing, in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 where no line can be named.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The place inside the document, `schema_mapping[2].fields[0].reference`; empty for the whole document.
    pub path: String,
    /// The mistake: a lowercase fragment.
    pub message: String,
    /// The exact fix, where one is known.
    pub hint: Option<String>,
    /// The line itself; boxed, because problems travel in `Result`s.
    pub excerpt: Option<Box<Excerpt>>,
}

impl Problem {
    /// Returns a problem with a whole file: it is missing, unreadable, not UTF-8.
    #[must_use]
    pub fn of_file(file: &Path, message: impl Into<String>) -> Problem {
        Problem {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            message: message.into(),
            hint: None,
            excerpt: None,
        }
    }

    /// Returns the same problem with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Returns whether it stops the run.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity.as_str(), self.message)?;
        // The gutter is as wide as the line number, so that excerpt and arrow stand in one column.
        let gutter = if self.line == 0 { 1 } else { self.line.to_string().len() };
        write!(f, "\n{:gutter$}--> {}", "", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        if let Some(excerpt) = &self.excerpt {
            let indent = (self.column as usize).saturating_sub(1);
            let carets = "^".repeat(excerpt.width.max(1) as usize);
            write!(f, "\n{:gutter$} |\n{} | {}\n{:gutter$} | {:indent$}{carets}", "", self.line, excerpt.text, "", "")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Problems as one error, for callers that want a single value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Problems(problems)
    }
}

/// A file's name and text, from which problems cut their excerpts. Cheap to clone.
#[derive(Clone)]
pub struct Document {
    file: Arc<Path>,
    text: Arc<str>,
    /// Byte offset of each line's first character: an excerpt must not walk the whole text.
    line_starts: Arc<[usize]>,
}

impl fmt::Debug for Document {
    /// Without the text: it may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Words in a key's name that make its value a credential.
const SECRET_WORDS: [&str; 11] =
    ["token", "password", "passwd", "passphrase", "pwd", "secret", "apikey", "api_key", "private_key", "credential", "auth"];

/// Longest excerpt, in characters: a minified one-line file must not flood the screen.
const EXCERPT_CHARS_MAX: usize = 160;

impl Document {
    /// Returns the text of a file.
    #[must_use]
    pub fn new(file: &Path, text: &str) -> Document {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Document { file: file.into(), text: text.into(), line_starts }
    }

    /// Returns the file's name as it was given.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns a problem at a place of this file.
    #[must_use]
    pub fn problem(&self, severity: Severity, span: Span, path: impl Into<String>, message: impl Into<String>) -> Problem {
        let path = path.into();
        Problem {
            severity,
            file: self.file.to_path_buf(),
            line: span.line,
            column: span.column,
            excerpt: self.excerpt(span, path.contains("settings.") || self.may_be_a_secret(span.line)),
            path,
            message: message.into(),
            hint: None,
        }
    }

    /// Line `number` (from 1) without its end.
    pub(crate) fn line(&self, number: u32) -> Option<&str> {
        let index = (number as usize).checked_sub(1)?;
        let start = *self.line_starts.get(index)?;
        let end = self.line_starts.get(index + 1).map_or(self.text.len(), |next| next - 1);
        self.text.get(start..end.max(start)).map(|line| line.trim_end_matches('\r'))
    }

    /// Returns whether a line may be (a part of) a credential, judged by the lines above it. Invalid YAML has no paths to judge by.
    fn may_be_a_secret(&self, number: u32) -> bool {
        let Some(line) = self.line(number) else { return false };
        let indent = |line: &str| line.len() - line.trim_start().len();
        let has_key = |line: &str| line.trim_end().ends_with(':') || line.contains(": ");
        let above = || (1..number).rev().filter_map(|number| self.line(number)).filter(|line| !line.trim().is_empty());
        // A text may go on on lines of its own, which have no key.
        let owner = above().find(|line| has_key(line));
        if !has_key(line) && owner.is_some_and(|owner| mask(&format!("{owner} x")) != format!("{owner} x")) {
            return true;
        }
        // The nearest line to the left, the nearest to the left of that, and so on.
        let mut left = indent(line);
        for line in above() {
            if left == 0 {
                break;
            }
            if indent(line) < left {
                left = indent(line);
                if line.trim_start().trim_start_matches("- ").starts_with("settings:") {
                    return true;
                }
            }
        }
        false
    }

    /// Returns the line of a place. A line of settings shows its key and nothing else, unless the value is only a variable.
    fn excerpt(&self, span: Span, is_setting: bool) -> Option<Box<Excerpt>> {
        let line = self.line(span.line)?;
        let line = if is_setting { line.find(':').map_or_else(String::new, |at| mask_from(line, at + 1)) } else { mask(line) };
        // A tab would shift the carets; control characters would reach the terminal.
        let clean: String = line.chars().take(EXCERPT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = clean.trim_end();
        // Under a masked value carets point at nothing.
        let left = text.chars().count().checked_sub((span.column as usize).saturating_sub(1))?;
        if text.trim().is_empty() || left == 0 {
            return None;
        }
        let width = span.width.clamp(1, u32::try_from(left).unwrap_or(u32::MAX));
        Some(Box::new(Excerpt { text: text.to_owned(), width }))
    }
}

/// Returns the line with everything after the first credential's key replaced.
fn mask(line: &str) -> String {
    // ASCII lowering keeps byte offsets.
    let lower = line.to_ascii_lowercase();
    let first = SECRET_WORDS
        .iter()
        .flat_map(|word| lower.match_indices(word).map(|(at, word)| at + word.len()))
        .filter_map(|after| {
            // Only as (the end of) a key: letters, digits, `_`, `-` and a quote may stand before the colon.
            let rest = lower.get(after..)?;
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '"' | '\'' | ' ')))?;
            rest.get(end..)?.starts_with(':').then_some(after + end + 1)
        })
        .min();
    first.map_or_else(|| line.to_owned(), |at| mask_from(line, at))
}

/// Returns the line with everything from `at` on replaced, unless that is nothing but a variable.
fn mask_from(line: &str, at: usize) -> String {
    match (line.get(..at), line.get(at..)) {
        (Some(kept), Some(value)) if !value.trim().is_empty() && !is_only_variable(value) => format!("{kept} ***"),
        _ => line.to_owned(),
    }
}

/// Returns whether a value is nothing but `${NAME}`: that is worth showing, and no secret.
fn is_only_variable(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(|name| !name.contains(['$', '{', '}', ' ']))
}
