//! Lets the parser read what PyYAML reads: lines inside brackets and quotes that are not indented.
//!
//! ```yaml
//! order: [
//!   "BuiltinTag",
//! ]
//! ```
//!
//! In YAML 1.2 that `]` is invalid: the collection belongs to a mapping at column 0, so it must be indented. PyYAML accepts it, and
//! nearly all existing projects use it. Where the parser rejects such a line, spaces are inserted before it, and the text is read
//! again. Inside brackets and quotes they have no meaning. Columns are counted back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::ScanError;

use super::count;
use crate::problem::{Document, Span};

/// How far a line is moved: further than anybody indents.
const STEP: u32 = 256;

/// Most readings of one text; projects need one for each `]` that is not indented, and mostly have one.
const ATTEMPTS_MAX: u32 = 200;

/// Spaces before lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Padding {
    /// By line, from 1.
    lines: BTreeMap<u32, u32>,
    attempts: u32,
}

impl Padding {
    /// Returns the text with its padding.
    pub(super) fn apply<'d>(&self, document: &'d Document) -> Cow<'d, str> {
        if self.lines.is_empty() {
            return Cow::Borrowed(document.text());
        }
        let mut padded = String::with_capacity(document.text().len() + self.lines.len() * STEP as usize);
        for (index, line) in document.text().split_inclusive('\n').enumerate() {
            let spaces = self.at(count(index + 1));
            padded.extend(std::iter::repeat_n(' ', spaces as usize));
            padded.push_str(line);
        }
        Cow::Owned(padded)
    }

    /// Returns a place in the text as it is written.
    pub(super) fn to_span(&self, span: saphyr_parser::Span) -> Span {
        let line = count(span.start.line());
        let column = count(span.start.col() + 1).saturating_sub(self.at(line)).max(1);
        let width = if span.start.line() == span.end.line() { count(span.len()).max(1) } else { 1 };
        Span { line, column, width }
    }

    /// Returns the last padded line at or before a line.
    pub(super) fn last_before(&self, line: u32) -> Option<u32> {
        self.lines.range(..=line).next_back().map(|(line, _)| *line)
    }

    /// Pads the lines that `error` is about; false where more spaces do not help.
    pub(super) fn widen(&mut self, padded: &str, error: &ScanError) -> bool {
        self.attempts += 1;
        if self.attempts > ATTEMPTS_MAX {
            return false;
        }
        let line = count(error.marker().line());
        match error.info() {
            "invalid indentation" | "invalid indentation in flow construct" => self.pad(line),
            // The place is where the quote opens, the bad lines follow.
            "invalid indentation in quoted scalar" => match closing_line(padded, error.marker()) {
                Some(last) => (line + 1..=last).filter(|line| self.pad(*line)).count() > 0,
                None => false,
            },
            _ => false,
        }
    }

    fn at(&self, line: u32) -> u32 {
        self.lines.get(&line).copied().unwrap_or(0)
    }

    /// Pads one line; false where it was padded already.
    fn pad(&mut self, line: u32) -> bool {
        self.lines.insert(line, STEP).is_none()
    }
}

/// Returns the line on which the quoted scalar that opens at `marker` is closed.
fn closing_line(text: &str, marker: &saphyr_parser::Marker) -> Option<u32> {
    let mut line = count(marker.line());
    let mut chars = text.chars().skip(marker.index());
    let quote = chars.next()?;
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            '\\' if quote == '"' => line += u32::from(chars.next()? == '\n'),
            _ if c == quote => {
                // A doubled single quote stands for one.
                if quote == '\'' && chars.clone().next() == Some('\'') {
                    chars.next();
                } else {
                    return Some(line);
                }
            }
            _ => {}
        }
    }
    None
}
