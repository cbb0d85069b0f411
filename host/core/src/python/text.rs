//! Methods of Python's `str`.

use std::fmt::Write as _;

/// Returns whether Python's `str.strip` removes a character: Unicode's white space and four separators that it counts in.
pub(crate) fn is_blank(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    Left,
    Right,
    Both,
}

pub(crate) fn pad(text: &str, width: usize, fill: char, ends: Ends) -> String {
    let length = text.chars().count();
    let missing = width.saturating_sub(length);
    let left = match ends {
        Ends::Left => missing,
        Ends::Right => 0,
        // Python puts the odd one to the left when the width is odd.
        Ends::Both => missing / 2 + (missing & width & 1),
    };
    let mut out: String = std::iter::repeat_n(fill, left).collect();
    out.push_str(text);
    out.extend(std::iter::repeat_n(fill, missing - left));
    out
}

/// Splits at runs of white space; what is left after `limit` splits keeps the blanks at its far end.
pub(crate) fn split_blanks(text: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = if from_right { rest.trim_end_matches(is_blank) } else { rest.trim_start_matches(is_blank) };
        if rest.is_empty() {
            break;
        }
        let cut = if from_right { rest.rfind(is_blank) } else { rest.find(is_blank) };
        match cut {
            Some(at) if parts.len() < limit => {
                let after_blank = at + rest.get(at..).and_then(|tail| tail.chars().next()).map_or(0, char::len_utf8);
                let (part, remaining) =
                    if from_right { (rest.get(after_blank..), rest.get(..at)) } else { (rest.get(..at), rest.get(at..)) };
                parts.push(part.unwrap_or_default());
                rest = remaining.unwrap_or_default();
            }
            _ => {
                parts.push(rest);
                break;
            }
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// Python's `str.title`: a word starts after anything that has no case.
pub(crate) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for character in text.chars() {
        if inside {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
        inside = character.is_lowercase() || character.is_uppercase();
    }
    out
}

pub(crate) fn write_repr_of_text(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            _ if character.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push(quote);
}
