//! Comparisons as Python makes them: values of different types have no order, and `none < 1` is an error.
//!
//! The engine orders all values. So `a < b` is rewritten to `(a)|__ordered((b)) < b`, where the filter returns its value or fails.

use std::borrow::Cow;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, State, Value as TemplateValue};

use super::environment::{defined, invalid};
use super::source::{bracket_length, code_regions, has_raw_block, leading_name, text_length};

/// The filter that checks an operand against the other; no name that a project uses.
pub(super) const ORDERED: &str = "__ordered";

/// Returns the value if Python would order it and the other one.
pub(super) fn ordered(value: TemplateValue, other: TemplateValue) -> Result<TemplateValue, Error> {
    defined(&value)?;
    defined(&other)?;
    comparable(&value, &other)?;
    Ok(value)
}

/// Fails if Python has no order for two values.
pub(super) fn comparable(one: &TemplateValue, other: &TemplateValue) -> Result<(), Error> {
    let is_number = |kind| matches!(kind, ValueKind::Number | ValueKind::Bool);
    match (one.kind(), other.kind()) {
        (one, other) if is_number(one) && is_number(other) => Ok(()),
        (ValueKind::String, ValueKind::String) | (ValueKind::Bytes, ValueKind::Bytes) => Ok(()),
        // The engine reports names that are missing with the way to them.
        (ValueKind::Undefined, _) | (_, ValueKind::Undefined) => Ok(()),
        (ValueKind::Seq, ValueKind::Seq) if one.is_tuple() == other.is_tuple() => {
            // The first items that differ decide.
            match one.try_iter()?.zip(other.try_iter()?).find(|(one, other)| one != other) {
                Some((one, other)) => comparable(&one, &other),
                None => Ok(()),
            }
        }
        (one, other) => Err(invalid(format!("there is no order between {} and {}", named(one), named(other)))),
    }
}

fn named(kind: ValueKind) -> String {
    match kind {
        ValueKind::None => "None".to_owned(),
        kind => format!("a {kind}"),
    }
}

/// Checks the items of a list before they are ordered.
fn check_items(value: &TemplateValue, kwargs: &Kwargs) -> Result<(), Error> {
    let attribute = if kwargs.has("attribute") { kwargs.peek::<Option<String>>("attribute")? } else { None };
    let Ok(items) = value.try_iter() else { return Ok(()) };
    let items: Vec<TemplateValue> = match attribute.filter(|attribute| !attribute.contains(',')) {
        Some(attribute) => items.filter_map(|item| attribute.split('.').try_fold(item, |item, part| item.get_attr(part).ok())).collect(),
        None => items.collect(),
    };
    match items.split_first() {
        Some((first, rest)) => rest.iter().try_for_each(|item| comparable(first, item)),
        None => Ok(()),
    }
}

pub(super) fn sort(state: &State<'_, '_>, value: TemplateValue, reverse: Option<bool>, kwargs: Kwargs) -> Result<TemplateValue, Error> {
    check_items(&value, &kwargs)?;
    let kwargs = match reverse {
        Some(reverse) => {
            let given = kwargs.args().map(|name| Ok((name.to_owned(), kwargs.get::<TemplateValue>(name)?)));
            let mut all: Vec<(String, TemplateValue)> = given.collect::<Result<_, Error>>()?;
            all.push(("reverse".to_owned(), reverse.into()));
            all.into_iter().collect()
        }
        None => kwargs,
    };
    minijinja::filters::sort(state, value, kwargs)
}

pub(super) fn min(state: &State<'_, '_>, value: TemplateValue, kwargs: Kwargs) -> Result<TemplateValue, Error> {
    check_items(&value, &kwargs)?;
    minijinja::filters::min(state, value, kwargs)
}

pub(super) fn max(state: &State<'_, '_>, value: TemplateValue, kwargs: Kwargs) -> Result<TemplateValue, Error> {
    check_items(&value, &kwargs)?;
    minijinja::filters::max(state, value, kwargs)
}

/// Puts the check before each comparison. Lines stay where they are.
pub(super) fn rewrite(source: &str) -> Cow<'_, str> {
    if has_raw_block(source)
        || !code_regions(source).into_iter().any(|region| source.get(region).is_some_and(|code| code.contains(['<', '>'])))
    {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len() + 32);
    let mut done = 0;
    for region in code_regions(source) {
        out.push_str(source.get(done..region.start).unwrap_or_default());
        let code = source.get(region.clone()).unwrap_or_default();
        // The signs of `{%-` and `-%}` are no operators.
        let start = usize::from(code.starts_with(['-', '+']));
        let end = (code.len() - usize::from(code.len() > start && code.ends_with(['-', '+']))).max(start);
        out.push_str(code.get(..start).unwrap_or_default());
        rewrite_code(code.get(start..end).unwrap_or_default(), &mut out);
        out.push_str(code.get(end..).unwrap_or_default());
        done = region.end;
    }
    out.push_str(source.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// Words that end an operand of a comparison.
const WORDS: [&str; 14] = ["and", "or", "not", "if", "elif", "else", "in", "set", "for", "with", "call", "print", "recursive", "filter"];
/// Operators and signs that do, longer ones first.
const SIGNS: [&str; 10] = ["==", "!=", "<=", ">=", "<", ">", ",", ":", "=", ";"];

/// Returns whether a word begins at a place of the code, which is neither an attribute nor a filter.
pub(super) fn is_word_at(code: &str, at: usize) -> bool {
    let is_of_word = |character: char| character.is_alphanumeric() || character == '_';
    let begins = code.get(at..).and_then(|rest| rest.chars().next()).is_some_and(is_of_word);
    let before = code.get(..at).unwrap_or_default();
    begins && !before.ends_with(is_of_word)
}

/// Returns the sign or word at a place of the code that ends an operand.
fn delimiter(code: &str, at: usize) -> Option<&str> {
    let rest = code.get(at..)?;
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return rest.get(..sign.len());
    }
    let is_free = is_word_at(code, at) && !code.get(..at).unwrap_or_default().trim_end().ends_with(['.', '|']);
    let word = if is_free { leading_name(rest) } else { "" };
    WORDS.contains(&word).then_some(word)
}

/// Returns the length of what stands at a place: a text, brackets, a name, or one character.
fn step(code: &str, at: usize) -> usize {
    let rest = code.get(at..).unwrap_or_default();
    match rest.chars().next() {
        Some('\'' | '"') => text_length(rest),
        Some('(' | '[' | '{') => bracket_length(rest),
        Some(_) if is_word_at(code, at) => leading_name(rest).len().max(1),
        Some(other) => other.len_utf8(),
        None => 1,
    }
}

/// Returns where the value ends that is assigned at a place: at a comma, a closing bracket, or the end of the code.
pub(super) fn operand_end(code: &str, start: usize) -> usize {
    let mut at = start;
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with([',', ')', ']', '}']) {
            break;
        }
        at += step(code, at);
    }
    // The sign of `-%}`.
    let end = at.min(code.len());
    if end == code.len() && code.ends_with('-') { end - 1 } else { end }
}

fn rewrite_code(code: &str, out: &mut String) {
    // The operands, each with the delimiter behind it.
    let mut operands: Vec<(String, &str)> = vec![(String::new(), "")];
    let mut at = 0;
    while at < code.len() {
        let length = match delimiter(code, at) {
            Some(delimiter) => {
                if let Some((_, behind)) = operands.last_mut() {
                    *behind = delimiter;
                }
                operands.push((String::new(), ""));
                delimiter.len()
            }
            None => {
                let length = step(code, at);
                let text = code.get(at..at + length).unwrap_or_default();
                if let Some((operand, _)) = operands.last_mut() {
                    match text.chars().next() {
                        Some(open @ ('(' | '[' | '{')) if text.len() > 1 => {
                            operand.push(open);
                            rewrite_code(text.get(1..text.len() - 1).unwrap_or_default(), operand);
                            operand.push_str(text.get(text.len() - 1..).unwrap_or_default());
                        }
                        _ => operand.push_str(text),
                    }
                }
                length
            }
        };
        at += length;
    }
    for (index, (operand, behind)) in operands.iter().enumerate() {
        let right = operands.get(index + 1).map_or("", |(right, _)| right.trim());
        let left = operand.trim();
        if matches!(*behind, "<" | ">" | "<=" | ">=") && !left.is_empty() && !right.is_empty() {
            let blanks = operand.len() - operand.trim_start().len();
            out.push_str(operand.get(..blanks).unwrap_or_default());
            // A line break inside of the copy would move the lines behind it.
            let right = right.replace('\n', " ");
            out.push_str(&format!("({left})|{ORDERED}(({right}))"));
            out.push_str(operand.get(blanks + left.len()..).unwrap_or_default());
        } else {
            out.push_str(operand);
        }
        out.push_str(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comparison_gets_a_check() {
        for (source, rewritten) in [
            ("{{ a < b }}", "{{ (a)|__ordered((b)) < b }}"),
            (
                "{{ 0 < a + 1 < f(x, y > 2) }}",
                "{{ (0)|__ordered((a + 1)) < (a + 1)|__ordered((f(x, (y)|__ordered((2)) > 2))) < f(x, (y)|__ordered((2)) > 2) }}",
            ),
            ("{%- if not a.in >= 5 and b -%}", "{%- if not (a.in)|__ordered((5)) >= 5 and b -%}"),
            ("{{ x if a|int > 1 else y }}", "{{ x if (a|int)|__ordered((1)) > 1 else y }}"),
            ("{% set n = a > 1 %}{{ '<' }}<b>", "{% set n = (a)|__ordered((1)) > 1 %}{{ '<' }}<b>"),
            ("{% for v in l if v > 1 -%}", "{% for v in l if (v)|__ordered((1)) > 1 -%}"),
        ] {
            assert_eq!(rewrite(source), rewritten);
        }
        assert!(matches!(rewrite("<b>{{ a == b }}</b>"), Cow::Borrowed(_)));
    }
}
