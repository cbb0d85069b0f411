//! Methods of Python's types that the engine lacks or has otherwise.

use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, State, Value as TemplateValue};

use super::bytes::{encode, maketrans, translate};
use super::environment::invalid;
use crate::python::text::{Ends, is_blank, pad, split_blanks, title};

/// The widest text that padding makes: far above any field, far below what would hurt.
const WIDTH_MAX: usize = 100_000;

/// Refuses a width that a slip of the pen, or a number from a record, has made enormous.
pub(crate) fn width_in_limit(width: usize) -> Result<usize, Error> {
    if width > WIDTH_MAX { Err(invalid(format!("a width of {width} is above the limit of {WIDTH_MAX}"))) } else { Ok(width) }
}

pub(crate) fn python_method(
    state: &mut State<'_, '_>,
    value: &TemplateValue,
    method: &str,
    args: &[TemplateValue],
) -> Result<TemplateValue, Error> {
    if let Some(text) = value.as_str() {
        if let Some(result) = text_method(text, method, args) {
            return result;
        }
    } else if let Some(result) = other_method(value, method, args) {
        return result;
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

/// Methods that the engine's own set lacks or does differently.
fn text_method(text: &str, method: &str, args: &[TemplateValue]) -> Option<Result<TemplateValue, Error>> {
    let result = match method {
        "split" => split(text, args, false),
        "rsplit" => split(text, args, true),
        "strip" => strip(text, args, Ends::Both),
        "lstrip" => strip(text, args, Ends::Left),
        "rstrip" => strip(text, args, Ends::Right),
        "removeprefix" => one_text(args).map(|prefix| text.strip_prefix(prefix).unwrap_or(text).into()),
        "removesuffix" => one_text(args).map(|suffix| text.strip_suffix(suffix).unwrap_or(text).into()),
        "partition" => one_separator(args).map(|separator| match text.split_once(separator) {
            Some((before, after)) => triple(before, separator, after),
            None => triple(text, "", ""),
        }),
        "rpartition" => one_separator(args).map(|separator| match text.rsplit_once(separator) {
            Some((before, after)) => triple(before, separator, after),
            None => triple("", "", text),
        }),
        "find" | "rfind" | "index" | "rindex" | "count" => search(text, method, args),
        "zfill" => from_args::<(usize,)>(args).and_then(|(width,)| width_in_limit(width)).map(|width| {
            let (sign, digits) = match text.chars().next() {
                Some(sign @ ('+' | '-')) => (sign.to_string(), text.get(1..).unwrap_or_default()),
                _ => (String::new(), text),
            };
            format!("{sign}{}", pad(digits, width.saturating_sub(sign.len()), '0', Ends::Left)).into()
        }),
        "center" => padded(text, args, Ends::Both),
        "ljust" => padded(text, args, Ends::Right),
        "rjust" => padded(text, args, Ends::Left),
        "title" => from_args::<()>(args).map(|()| title(text).into()),
        "capitalize" => from_args::<()>(args).map(|()| {
            let mut rest = text.chars();
            let mut out: String = rest.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
            out.push_str(&rest.as_str().to_lowercase());
            out.into()
        }),
        "casefold" => from_args::<()>(args).map(|()| text.to_lowercase().replace('ß', "ss").into()),
        "swapcase" => from_args::<()>(args).map(|()| {
            let mut out = String::with_capacity(text.len());
            for character in text.chars() {
                if character.is_uppercase() {
                    out.extend(character.to_lowercase());
                } else {
                    out.extend(character.to_uppercase());
                }
            }
            out.into()
        }),
        "isdecimal" | "isdigit" => from_args::<()>(args).map(|()| {
            // Superscripts are digits and no decimals; fractions and letters that count are neither.
            let digit = |character: char| {
                character.is_ascii_digit() || method == "isdigit" && matches!(character, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉')
            };
            (!text.is_empty() && text.chars().all(digit)).into()
        }),
        "istitle" => from_args::<()>(args).map(|()| (text.chars().any(char::is_alphabetic) && title(text) == text).into()),
        "splitlines" => splitlines(text, args),
        "expandtabs" => expandtabs(text, args),
        "join" => join_texts(text, args),
        "encode" => encode(text, args),
        "maketrans" => maketrans(args),
        "translate" => translate(text, args),
        _ => return None,
    };
    Some(result)
}

/// Methods of lists, tuples, dicts and numbers beyond the engine's own set.
fn other_method(value: &TemplateValue, method: &str, args: &[TemplateValue]) -> Option<Result<TemplateValue, Error>> {
    let result = match (value.kind(), method) {
        (ValueKind::Seq, "index") => from_args::<(TemplateValue,)>(args).and_then(|(wanted,)| {
            let index = value.try_iter()?.position(|item| item == wanted);
            index.map(TemplateValue::from).ok_or_else(|| invalid(format!("{wanted} is not in the list")))
        }),
        (ValueKind::Seq | ValueKind::Map, "copy") => from_args::<()>(args).map(|()| value.clone()),
        (ValueKind::Number, "is_integer") => {
            from_args::<()>(args).and_then(|()| f64::try_from(value.clone())).map(|number| (number.fract() == 0.0).into())
        }
        (ValueKind::Seq, "append" | "extend" | "insert" | "pop" | "remove" | "sort" | "reverse" | "clear")
        | (ValueKind::Map, "update" | "pop" | "setdefault" | "clear" | "popitem") => Err(invalid(format!(
            "'{method}' would change a value in place, which is possible for the value of a variable only: `{{% set list = … %}}` first"
        ))),
        _ => return None,
    };
    Some(result)
}

fn triple(before: &str, separator: &str, after: &str) -> TemplateValue {
    TemplateValue::from(Tuple::from(vec![before.into(), separator.into(), after.into()]))
}

fn one_text(args: &[TemplateValue]) -> Result<&str, Error> {
    from_args::<(&str,)>(args).map(|(text,)| text)
}

fn one_separator(args: &[TemplateValue]) -> Result<&str, Error> {
    match one_text(args)? {
        "" => Err(invalid("empty separator")),
        separator => Ok(separator),
    }
}

fn split(text: &str, args: &[TemplateValue], from_right: bool) -> Result<TemplateValue, Error> {
    let (separator, limit, kwargs): (Option<TemplateValue>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = match separator {
        Some(separator) => Some(separator),
        None => kwargs.get::<Option<TemplateValue>>("sep")?,
    };
    let limit = match limit {
        Some(limit) => Some(limit),
        None => kwargs.get::<Option<i64>>("maxsplit")?,
    };
    kwargs.assert_all_used()?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match separator.filter(|separator| !separator.is_none()) {
        None => split_blanks(text, limit, from_right),
        Some(separator) => {
            let separator = separator.as_str().ok_or_else(|| invalid(format!("must be text or None, not {}", separator.kind())))?;
            if separator.is_empty() {
                return Err(invalid("empty separator"));
            }
            let count = limit.saturating_add(1);
            if from_right {
                let mut parts: Vec<&str> = text.rsplitn(count, separator).collect();
                parts.reverse();
                parts
            } else {
                text.splitn(count, separator).collect()
            }
        }
    };
    Ok(parts.into_iter().map(TemplateValue::from).collect())
}

fn strip(text: &str, args: &[TemplateValue], ends: Ends) -> Result<TemplateValue, Error> {
    let (characters,): (Option<TemplateValue>,) = from_args(args)?;
    let characters: Option<Vec<char>> = match characters.filter(|characters| !characters.is_none()) {
        None => None,
        Some(characters) => {
            let given = characters.as_str().ok_or_else(|| invalid(format!("must be text or None, not {}", characters.kind())))?;
            Some(given.chars().collect())
        }
    };
    let strips = |character: char| characters.as_ref().map_or_else(|| is_blank(character), |given| given.contains(&character));
    let mut out = text;
    if ends != Ends::Right {
        out = out.trim_start_matches(strips);
    }
    if ends != Ends::Left {
        out = out.trim_end_matches(strips);
    }
    Ok(out.into())
}

fn search(text: &str, method: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
    let (wanted, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let bound = |given: i64| if given < 0 { length.saturating_add(given).max(0) } else { given };
    let start = bound(start.unwrap_or(0));
    let end = bound(end.unwrap_or(length)).min(length);
    if start > end {
        return match method {
            "count" => Ok(0.into()),
            "find" | "rfind" => Ok((-1).into()),
            _ => Err(invalid("substring not found")),
        };
    }
    let skipped = usize::try_from(start).unwrap_or(0);
    let part: String = text.chars().skip(skipped).take(usize::try_from(end - start).unwrap_or(0)).collect();
    if method == "count" {
        let count = if wanted.is_empty() { part.chars().count() + 1 } else { part.matches(wanted).count() };
        return Ok(count.into());
    }
    let found = if matches!(method, "rfind" | "rindex") { part.rfind(wanted) } else { part.find(wanted) };
    match found.and_then(|at| part.get(..at)) {
        Some(before) => Ok((skipped + before.chars().count()).into()),
        None if matches!(method, "index" | "rindex") => Err(invalid("substring not found")),
        None => Ok((-1).into()),
    }
}

fn padded(text: &str, args: &[TemplateValue], ends: Ends) -> Result<TemplateValue, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let mut fill = fill.unwrap_or(" ").chars();
    match (fill.next(), fill.next()) {
        (Some(fill), None) => Ok(pad(text, width_in_limit(usize::try_from(width).unwrap_or(0))?, fill, ends).into()),
        _ => Err(invalid("the fill must be exactly one character long")),
    }
}

fn splitlines(text: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
    let (keep, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
    let keep = match keep {
        Some(keep) => keep,
        None => kwargs.get::<Option<bool>>("keepends")?.unwrap_or(false),
    };
    kwargs.assert_all_used()?;
    let mut lines: Vec<TemplateValue> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let ends =
            |character: char| matches!(character, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let at = rest.find(ends).unwrap_or(rest.len());
        let tail = rest.get(at..).unwrap_or_default();
        let ending = if tail.starts_with("\r\n") { 2 } else { tail.chars().next().map_or(0, char::len_utf8) };
        let line = rest.get(..if keep { at + ending } else { at }).unwrap_or_default();
        lines.push(line.into());
        rest = rest.get(at + ending..).unwrap_or_default();
    }
    Ok(lines.into())
}

fn expandtabs(text: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
    let (size,): (Option<usize>,) = from_args(args)?;
    let size = width_in_limit(size.unwrap_or(8))?;
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for character in text.chars() {
        match character {
            '\t' => {
                let blanks = if size == 0 { 0 } else { size - column % size };
                out.extend(std::iter::repeat_n(' ', blanks));
                column += blanks;
            }
            '\n' | '\r' => {
                out.push(character);
                column = 0;
            }
            _ => {
                out.push(character);
                column += 1;
            }
        }
    }
    Ok(out.into())
}

fn join_texts(between: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
    let (items,): (TemplateValue,) = from_args(args)?;
    let mut out = String::new();
    for (index, item) in items.try_iter()?.checked().enumerate() {
        let item = item?;
        let text = item.as_str().ok_or_else(|| invalid(format!("item {index} of the list to join is {}, not text", item.kind())))?;
        if index > 0 {
            out.push_str(between);
        }
        out.push_str(text);
    }
    Ok(out.into())
}
