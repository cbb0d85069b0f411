//! Text of others (adapters, servers, records) on its way to people: the one place that says what may not reach a screen, a log or a file.

use std::fmt;

/// Returns whether a character could do more than show itself: control characters, line separators, marks of direction, invisible ones.
///
/// Joiners (U+200C, U+200D) are safe: several scripts and most emoji need them.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes an unsafe character so that it shows: `\n`, `\u{1b}`.
///
/// # Errors
/// When the writer fails.
pub fn write_unsafe(c: char, out: &mut impl fmt::Write) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    }
}

/// Returns a text on one line, with its unsafe characters shown, and cut after `bytes_max`.
#[must_use]
pub fn one_line(text: &str, bytes_max: usize) -> String {
    let (cut, is_cut) = cut(text, bytes_max);
    let mut line = String::with_capacity(cut.len());
    for c in cut.chars() {
        if is_unsafe(c) {
            // Writing to a String cannot fail.
            let _ = write_unsafe(c, &mut line);
        } else {
            line.push(c);
        }
    }
    if is_cut {
        line.push('…');
    }
    line
}

/// Returns a text of several lines, cut after `bytes_max`. Its further lines are indented, so that none of them looks like one of ours, and
/// unsafe characters other than tabs are shown.
#[must_use]
pub fn indented(text: &str, bytes_max: usize) -> String {
    let (cut, is_cut) = cut(text, bytes_max);
    let lines = cut.trim_end().split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let lines: Vec<String> = lines.map(|line| one_line(&line.replace('\t', "    "), usize::MAX)).collect();
    let mut text = lines.join("\n    ");
    if is_cut {
        text.push('…');
    }
    text
}

fn cut(text: &str, bytes_max: usize) -> (&str, bool) {
    let end = text.floor_char_boundary(bytes_max);
    (text.get(..end).unwrap_or(text), end < text.len())
}

/// Returns whether a service that runs pipelines would take the text for a command, at the start of a line or anywhere: `::set-output …`,
/// `##vso[…]`, `##[…]`.
#[must_use]
pub fn is_workflow_command(text: &str) -> bool {
    text.contains("##") && (text.contains("##[") || text.contains("##vso[")) || text.trim_start().starts_with("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line("a\nhint: run x | sh\u{202e}\u{1b}[2J\u{2028}", 100), "a\\nhint: run x | sh\\u{202e}\\u{1b}[2J\\u{2028}");
        assert_eq!(one_line("ééé", 3), "é…");
        assert_eq!(one_line("Zürich 東京 👩‍🚒", 100), "Zürich 東京 👩‍🚒");
    }

    #[test]
    fn further_lines_are_indented() {
        assert_eq!(indented("a\r\n\tb\u{7}\nhint: c\n\n", 100), "a\n        b\\u{7}\n    hint: c");
        assert_eq!(indented("a\nbcdef", 4), "a\n    bc…");
    }

    #[test]
    fn commands_of_pipelines_are_known() {
        for text in ["::set-output name=a::b", "  ::error::x", "x ##vso[task.setvariable variable=a]b", "##[group]x"] {
            assert!(is_workflow_command(text), "{text}");
        }
        for text in ["fe80::1", "a::b", "## heading", "[x]", "C++::x"] {
            assert!(!is_workflow_command(text), "{text}");
        }
    }
}
