//! Makes text of other systems safe for a terminal.
//!
//! A device name may contain an escape sequence that recolours the screen, or a carriage return that overwrites a line. It may contain a
//! bidirectional override that shows `nimda` for `admin`. All text of a plan, a project or a remote system passes through here on its way to a stream.

use std::fmt::{self, Write as _};
use std::io;

use unicode_width::UnicodeWidthStr as _;

/// Returns whether a character could do more than show itself.
///
/// Joiners (U+200C, U+200D) are safe: several scripts and most emoji need them.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns whether all bytes are printable ASCII: the common case, which needs no check of each character.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// Writes an unsafe character.
fn write_unsafe(c: char, out: &mut impl fmt::Write) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    }
}

/// Displays a text on one line, with every unsafe character as `\n` or `\u{1b}`.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            return f.write_str(self.0);
        }
        self.0.chars().try_for_each(|c| if is_unsafe(c) { write_unsafe(c, f) } else { f.write_char(c) })
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
