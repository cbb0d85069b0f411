//! Makes text of other systems safe for a terminal.
//!
//! A device name may contain an escape sequence that recolours the screen, or a carriage return that overwrites a line. It may contain a
//! bidirectional override that shows `nimda` for `admin`. All text of a plan, a project or a remote system passes through here on its way to a stream.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;

use infrahub_sync_base::text::{is_unsafe, is_workflow_command, write_unsafe};
use unicode_width::UnicodeWidthStr as _;

/// Returns whether all bytes are printable ASCII: the common case, which needs no check of each character.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && !is_workflow_command(text)
}

/// Returns the first character of a text that could be the command of a pipeline, with the rest.
fn disarmed(text: &str) -> (&'static str, &str) {
    let start = text.trim_start();
    match start.strip_prefix(':') {
        Some(rest) if rest.starts_with(':') => ("\\u{3a}", rest),
        _ => ("", text),
    }
}

/// Displays a text on one line, with every unsafe character as `\n` or `\u{1b}`.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            return f.write_str(self.0);
        }
        let (first, rest) = disarmed(self.0);
        f.write_str(first)?;
        let rest = if is_workflow_command(rest) { Cow::Owned(rest.replace("##", "#\\u{23}")) } else { Cow::Borrowed(rest) };
        rest.chars().try_for_each(|c| if is_unsafe(c) { write_unsafe(c, f) } else { f.write_char(c) })
    }
}

/// Displays a text of several lines: as [`Escaped`], with line ends and tabs unchanged.
pub(crate) struct EscapedLines<'a>(pub(crate) &'a str);

impl fmt::Display for EscapedLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| if is_unsafe(c) && c != '\n' && c != '\t' { write_unsafe(c, f) } else { f.write_char(c) })
    }
}

/// Displays the inside of a quoted text: as [`Escaped`], with quotes and backslashes escaped, so that the text is unambiguous.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' => f.write_str("\\\""),
            '\\' => f.write_str("\\\\"),
            c if is_unsafe(c) => write_unsafe(c, f),
            c => f.write_char(c),
        })
    }
}

/// Writes a text as [`Escaped`] displays it.
pub(crate) fn write_escaped(out: &mut (impl io::Write + ?Sized), text: &str) -> io::Result<()> {
    if is_plain(text) { out.write_all(text.as_bytes()) } else { write!(out, "{}", Escaped(text)) }
}

/// Writes the inside of a quoted text.
pub(crate) fn write_quoted(out: &mut (impl io::Write + ?Sized), text: &str) -> io::Result<()> {
    if is_plain(text) && !text.contains(['"', '\\']) { out.write_all(text.as_bytes()) } else { write!(out, "{}", Quoted(text)) }
}

/// Writes a piece of JSON, with unsafe characters in JSON's form (`\u202e`). Line ends and tabs are unchanged: they are valid between values,
/// and inside a string they are already escaped.
pub(crate) fn write_json_escaped(out: &mut (impl io::Write + ?Sized), text: &str) -> io::Result<()> {
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| *c >= '\u{7f}' && is_unsafe(*c)) {
        out.write_all(rest.get(..at).unwrap_or_default().as_bytes())?;
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = rest.get(at + c.len_utf8()..).unwrap_or_default();
    }
    out.write_all(rest.as_bytes())
}

/// Returns the number of terminal columns that [`Escaped`] takes.
pub(crate) fn columns(text: &str) -> usize {
    if is_plain(text) { text.len() } else { Escaped(text).to_string().width() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_touched() {
        insta::assert_snapshot!(Escaped("a\u{1b}[31mred\u{7f}\u{9b}2J"), @r"a\u{1b}[31mred\u{7f}\u{9b}2J");
        insta::assert_snapshot!(Escaped("user\u{202e}nimda\u{2066}\u{feff}"), @r"user\u{202e}nimda\u{2066}\u{feff}");
        insta::assert_snapshot!(Escaped("two\nlines\r\tand a tab"), @r"two\nlines\r\tand a tab");
        assert_eq!(EscapedLines("two\nlines\u{7}").to_string(), "two\nlines\\u{7}");
    }

    #[test]
    fn a_pipeline_is_not_commanded() {
        insta::assert_snapshot!(Escaped("::set-output name=a::b"), @r"\u{3a}:set-output name=a::b");
        insta::assert_snapshot!(Escaped("x ##vso[task.x]"), @r"x #\u{23}vso[task.x]");
        insta::assert_snapshot!(Escaped("fe80::1 ## x"), @"fe80::1 ## x");
    }

    #[test]
    fn every_script_shows_itself() {
        let text = "Zürich 東京 Ω 👩‍🚒 می‌خواهم";
        assert_eq!(Escaped(text).to_string(), text);
    }

    #[test]
    fn a_quoted_text_reads_in_one_way_only() {
        let mut out = Vec::new();
        write_quoted(&mut out, "say \"\\n\"\n").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#"say \"\\n\"\n"#);
    }
}
