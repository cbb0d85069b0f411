//! Reads names from a template's source.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use minijinja::{Environment, ErrorKind};
use regex::Regex;

use super::filters::PERCENT;

/// Words of the template language, which are not names of a record.
const KEYWORDS: [&str; 33] = [
    "True",
    "False",
    "None",
    "true",
    "false",
    "none",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "elif",
    "else",
    "endif",
    "for",
    "endfor",
    "recursive",
    "set",
    "endset",
    "with",
    "endwith",
    "macro",
    "endmacro",
    "call",
    "endcall",
    "filter",
    "endfilter",
    "raw",
    "endraw",
    "break",
    "continue",
    "self",
];

/// Returns the names that a template may look up in the record: all words of its code but keywords, attributes, filters and
/// names of arguments.
///
/// It is complete because it looks at words and not at scopes. The engine's `undeclared_variables` is not: it counts
/// `name` in `{% set name = name|upper %}` as the template's own, and does not look into slices.
pub(crate) fn names_read(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for region in code_regions(source) {
        let code = source.get(region).unwrap_or_default();
        let mut at = 0;
        let mut previous = ' ';
        while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
            let character = rest.chars().next().unwrap_or(' ');
            if matches!(character, '\'' | '"') {
                at += text_length(rest);
                previous = character;
                continue;
            }
            if !(character.is_alphanumeric() || character == '_') {
                at += character.len_utf8();
                if !character.is_whitespace() {
                    previous = character;
                }
                continue;
            }
            let word = leading_name(rest);
            at += word.len();
            let after = code.get(at..).unwrap_or_default().trim_start();
            let is_assigned = after.starts_with('=') && !after.starts_with("==");
            let is_name = !character.is_ascii_digit() && !matches!(previous, '.' | '|') && !is_assigned;
            if is_name && !KEYWORDS.contains(&word) {
                names.insert(word.to_owned());
            }
            previous = 'a';
        }
    }
    names
}

/// Returns the first filter in the source that does not exist, with its line; the engine itself notices only when it gets there.
pub(crate) fn unknown_filter(environment: &Environment<'static>, source: &str) -> Option<(usize, String)> {
    if has_raw_block(source) {
        return None;
    }
    for region in code_regions(source) {
        let mut at = region.start;
        while at < region.end {
            let rest = source.get(at..region.end)?;
            let character = rest.chars().next()?;
            if matches!(character, '\'' | '"') {
                at += text_length(rest);
                continue;
            }
            at += character.len_utf8();
            if character != '|' {
                continue;
            }
            let name = leading_name(source.get(at..region.end)?.trim_start());
            if name.is_empty() {
                continue;
            }
            let unknown = environment.empty_state().apply_filter(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownFilter);
            if unknown {
                let line = source.get(..at)?.matches('\n').count() + 1;
                return Some((line, name.to_owned()));
            }
        }
    }
    None
}

pub(crate) fn leading_name(text: &str) -> &str {
    let end = text.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Returns the length in bytes of the text literal that `rest` starts with.
pub(crate) fn text_length(rest: &str) -> usize {
    let mut characters = rest.char_indices();
    let Some((_, quote)) = characters.next() else { return 0 };
    while let Some((index, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return index + quote.len_utf8();
        }
    }
    rest.len()
}

/// Returns whether braces may be plain text in the source: what looks like code is then only read, never judged or rewritten.
pub(super) fn has_raw_block(source: &str) -> bool {
    source.contains("endraw")
}

/// Returns the insides of `{{ … }}` and `{% … %}`.
pub(crate) fn code_regions(source: &str) -> Vec<std::ops::Range<usize>> {
    let mut regions = Vec::new();
    let mut at = 0;
    while let Some(open) = source.get(at..).and_then(|rest| rest.find('{')).map(|offset| at + offset) {
        let rest = source.get(open..).unwrap_or_default();
        if rest.starts_with("{#") {
            at = rest.find("#}").map_or(source.len(), |end| open + end + 2);
            continue;
        }
        let close = match rest.get(..2) {
            Some("{{") => "}}",
            Some("{%") => "%}",
            _ => {
                at = open + 1;
                continue;
            }
        };
        let start = open + 2;
        let mut end = start;
        let mut depth = 0usize;
        while let Some(inside) = source.get(end..).filter(|inside| !inside.is_empty()) {
            if depth == 0 && inside.starts_with(close) {
                break;
            }
            let character = inside.chars().next().unwrap_or(' ');
            match character {
                '\'' | '"' => {
                    end += text_length(inside);
                    continue;
                }
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            end += character.len_utf8();
        }
        regions.push(start..end);
        at = (end + 2).min(source.len().max(end));
    }
    regions
}

/// Rewrites Python's `'format' % value` into a filter: the engine's `%` is that of numbers.
///
/// Only a literal on the left is seen. Lines stay where they are.
pub(crate) fn rewrite_percent(source: &str) -> Cow<'_, str> {
    static CANDIDATE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"['"]\s*%[^}]"#).ok());
    if has_raw_block(source) || !CANDIDATE.as_ref().is_some_and(|candidate| candidate.is_match(source)) {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len() + 16);
    let mut done = 0;
    for region in code_regions(source) {
        out.push_str(source.get(done..region.start).unwrap_or_default());
        rewrite_percent_code(source.get(region.clone()).unwrap_or_default(), &mut out);
        done = region.end;
    }
    out.push_str(source.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

fn rewrite_percent_code(code: &str, out: &mut String) {
    let mut at = 0;
    let mut previous = ' ';
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        let character = rest.chars().next().unwrap_or(' ');
        if !matches!(character, '\'' | '"') {
            out.push(character);
            at += character.len_utf8();
            if !character.is_whitespace() {
                previous = character;
            }
            continue;
        }
        let length = text_length(rest);
        let literal = rest.get(..length).unwrap_or_default();
        out.push_str(literal);
        at += length;
        let after = code.get(at..).unwrap_or_default();
        let trimmed = after.trim_start();
        // After another product, `%` takes the product's result and not the literal.
        if trimmed.starts_with('%') && !matches!(previous, '*' | '/' | '%') {
            let operand_at = at + (after.len() - trimmed.len()) + 1;
            let operand = code.get(operand_at..).unwrap_or_default();
            let operand_length = operand_length(operand);
            let (operand, _) = operand.split_at_checked(operand_length).unwrap_or((operand, ""));
            if !operand.trim().is_empty() {
                let _ = write!(out, "|{PERCENT}(");
                rewrite_percent_code(operand, out);
                out.push(')');
                at = operand_at + operand_length;
            }
        }
        previous = '\'';
    }
}

/// Returns the length of the operand that `code` starts with: a sign, a name, literal or bracket, and what hangs on it.
fn operand_length(code: &str) -> usize {
    let tail = |at: usize| code.get(at..).unwrap_or_default();
    let blanks = |at: usize| at + (tail(at).len() - tail(at).trim_start().len());
    let mut at = blanks(0);
    if tail(at).starts_with(['-', '+']) {
        at = blanks(at + 1);
    }
    at += match tail(at).chars().next() {
        Some('\'' | '"') => text_length(tail(at)),
        Some('(' | '[' | '{') => bracket_length(tail(at)),
        _ => leading_name(tail(at)).len(),
    };
    loop {
        let next = blanks(at);
        match tail(next).chars().next() {
            Some('.') => at = next + 1 + leading_name(tail(next + 1)).len(),
            Some('(' | '[') => at = next + bracket_length(tail(next)),
            Some('|') => {
                let name = blanks(next + 1);
                at = name + leading_name(tail(name)).len();
            }
            _ => return at,
        }
    }
}

pub(crate) fn bracket_length(code: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        let character = rest.chars().next().unwrap_or(' ');
        match character {
            '\'' | '"' => {
                at += text_length(rest);
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += character.len_utf8();
        if depth == 0 {
            return at;
        }
    }
    code.len()
}
