//! Files that this program writes and reads back, and that a person may have touched in between.

use std::path::Path;

use crate::decode::Decoder;
use crate::load::{self, Node};
use crate::problem::{Document, Problem};
use crate::project::in_file_order;

/// The common parts of such files, and the words for them.
pub(crate) struct OwnFile {
    /// The file as a subject with its verb: `this lock file has`.
    pub(crate) has: &'static str,
    /// The newest format this program reads, and the one it writes.
    pub(crate) format: u32,
    /// The remedy for every problem of it.
    pub(crate) again: &'static str,
}

impl OwnFile {
    /// Reads a file back.
    ///
    /// # Errors
    ///
    /// Every problem, with lines: a newer format, or a damage or an invalid edit.
    pub(crate) fn parse<T>(
        &self,
        text: &str,
        file: &Path,
        decode: impl FnOnce(&mut Decoder<'_>, &Node) -> Option<T>,
    ) -> Result<T, Vec<Problem>> {
        let document = Document::new(file, text);
        let (tree, mut problems) = load::parse(&document);
        let Some(tree) = tree else {
            if problems.is_empty() {
                problems.push(Problem::of_file(file, "the file is empty").with_hint(self.again));
            }
            return Err(problems);
        };
        let mut decoder = Decoder::new(&document);
        // The format first: a newer one has keys that would be reported as unknown.
        let decoded = self.is_readable(&mut decoder, &tree).and_then(|()| decode(&mut decoder, &tree));
        problems.extend(decoder.problems);
        match decoded {
            Some(decoded) if problems.is_empty() => Ok(decoded),
            _ => Err(in_file_order(problems)),
        }
    }

    fn is_readable(&self, decoder: &mut Decoder<'_>, tree: &Node) -> Option<()> {
        let Some(format) = decoder.map(tree, "")?.iter().find(|entry| entry.key == "format") else { return Some(()) };
        let version = decoder.count(&format.value, "format")?;
        if version <= self.format {
            return Some(());
        }
        let message = format!("{} format {version}, and this program reads formats up to {}", self.has, self.format);
        decoder.error_hint(format.value.span, "format", message, format!("update infrahub-sync, or {}", self.again));
        None
    }
}
