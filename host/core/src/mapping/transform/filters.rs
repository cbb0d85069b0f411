//! Filters that Jinja has otherwise than the engine, or that the engine lacks.

use minijinja::formatting::FormatStyle;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, Value as TemplateValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::environment::{defined, invalid};
use super::methods::width_in_limit;
use super::values::{from_template, python_text, write_repr};
use crate::python::text::is_blank;
use crate::python::{float_of, integer_of, write_json};

pub(crate) fn int(value: TemplateValue, default: Option<TemplateValue>, base: Option<u32>, kwargs: Kwargs) -> Result<TemplateValue, Error> {
    defined(&value)?;
    let default = match default {
        Some(default) => default,
        None => kwargs.get::<Option<TemplateValue>>("default")?.unwrap_or_else(|| TemplateValue::from(0)),
    };
    let base = match base {
        Some(base) => base,
        None => kwargs.get::<Option<u32>>("base")?.unwrap_or(10),
    };
    kwargs.assert_all_used()?;
    if let Some(text) = value.as_str()
        && let Some(number) = integer_of(text, base)
    {
        return Ok(small_integer(number));
    }
    if value.kind() == ValueKind::Bool || value.is_integer() {
        return i128::try_from(value).map(small_integer);
    }
    let number = match value.as_str() {
        Some(text) => float_of(text),
        None if value.is_number() => Some(f64::try_from(value)?),
        None => None,
    };
    Ok(match number {
        // Exactly the floats below 2^127 fit the engine's widest integer.
        Some(number) if number.is_finite() && number.abs() >= 2f64.powi(127) => {
            return Err(invalid(format!("{number:e} is too large for an integer")));
        }
        Some(number) if number.is_finite() => small_integer(number.trunc() as i128),
        _ => default,
    })
}

fn small_integer(number: i128) -> TemplateValue {
    i64::try_from(number).map_or_else(|_| TemplateValue::from(number), TemplateValue::from)
}

pub(crate) fn float(value: TemplateValue, default: Option<TemplateValue>, kwargs: Kwargs) -> Result<TemplateValue, Error> {
    defined(&value)?;
    let default = match default {
        Some(default) => default,
        None => kwargs.get::<Option<TemplateValue>>("default")?.unwrap_or_else(|| TemplateValue::from(0.0)),
    };
    kwargs.assert_all_used()?;
    let number = match (value.as_str(), value.kind()) {
        (Some(text), _) => float_of(text),
        (None, ValueKind::Bool) => Some(if value.is_true() { 1.0 } else { 0.0 }),
        (None, ValueKind::Number) => Some(f64::try_from(value)?),
        _ => None,
    };
    Ok(number.map_or(default, TemplateValue::from))
}

pub(crate) fn round(value: TemplateValue, precision: Option<i32>, method: Option<String>, kwargs: Kwargs) -> Result<TemplateValue, Error> {
    defined(&value)?;
    let precision = match precision {
        Some(precision) => precision,
        None => kwargs.get::<Option<i32>>("precision")?.unwrap_or(0),
    };
    let method = match method {
        Some(method) => method,
        None => kwargs.get::<Option<String>>("method")?.unwrap_or_else(|| "common".to_owned()),
    };
    kwargs.assert_all_used()?;
    let value = if value.kind() == ValueKind::Bool { TemplateValue::from(i64::from(value.is_true())) } else { value };
    if method == "common" || !value.is_number() {
        return minijinja::filters::round(value, Some(precision), Some(&method), Kwargs::from_iter(Vec::<(String, TemplateValue)>::new()));
    }
    // Jinja computes both on floats, so that the result is one even for a whole number.
    let scale = 10f64.powi(precision);
    let scaled = f64::try_from(value)? * scale;
    match method.as_str() {
        "ceil" => Ok(TemplateValue::from(scaled.ceil() / scale)),
        "floor" => Ok(TemplateValue::from(scaled.floor() / scale)),
        _ => Err(invalid("method must be common, ceil or floor")),
    }
}

pub(crate) fn join(
    value: TemplateValue,
    between: Option<TemplateValue>,
    attribute: Option<TemplateValue>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    defined(&value)?;
    let between = match between {
        Some(between) => Some(between),
        None => kwargs.get::<Option<TemplateValue>>("d")?,
    };
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => kwargs.get::<Option<TemplateValue>>("attribute")?,
    };
    kwargs.assert_all_used()?;
    let between = between.map(|between| python_text(&between)).unwrap_or_default();
    let mut out = String::new();
    for (index, item) in value.try_iter()?.checked().enumerate() {
        let mut item = item?;
        if let Some(attribute) = &attribute {
            for part in python_text(attribute).split('.') {
                let key = part.parse::<i64>().map_or_else(|_| TemplateValue::from(part), TemplateValue::from);
                item = item.get_item(&key)?;
            }
        }
        if index > 0 {
            out.push_str(&between);
        }
        defined(&item)?;
        match item.as_str() {
            Some(text) => out.push_str(text),
            None => write_repr(&mut out, &item),
        }
    }
    Ok(out)
}

pub(crate) fn words(text: &str) -> usize {
    text.split(|character: char| !(character.is_alphanumeric() || character == '_')).filter(|word| !word.is_empty()).count()
}

pub(crate) fn truncate(value: TemplateValue, arguments: Rest<TemplateValue>, kwargs: Kwargs) -> Result<String, Error> {
    defined(&value)?;
    let argument = |index: usize, name: &str| -> Result<Option<TemplateValue>, Error> {
        match arguments.get(index) {
            Some(given) => Ok(Some(given.clone())),
            None => kwargs.get::<Option<TemplateValue>>(name),
        }
    };
    let count = |given: Option<TemplateValue>, otherwise: usize| given.map_or(Ok(otherwise), usize::try_from);
    let length = count(argument(0, "length")?, 255)?;
    let cut_words = argument(1, "killwords")?.is_some_and(|given| given.is_true());
    let end = argument(2, "end")?.map_or_else(|| "...".to_owned(), |given| python_text(&given));
    let leeway = count(argument(3, "leeway")?.filter(|given| !given.is_none()), 5)?;
    kwargs.assert_all_used()?;
    let text = python_text(&value);
    let room = length.checked_sub(end.chars().count()).ok_or_else(|| invalid("length is shorter than the end mark"))?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let cut: String = text.chars().take(room).collect();
    let kept = if cut_words { cut.as_str() } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(kept, _)| kept) };
    Ok(format!("{kept}{end}"))
}

/// Jinja's `title`: words start after a blank, a hyphen or an opening bracket.
pub(crate) fn title_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut first = true;
    for character in text.chars() {
        if first {
            out.extend(character.to_uppercase());
        } else {
            out.extend(character.to_lowercase());
        }
        first = is_blank(character) || matches!(character, '-' | '(' | '{' | '[' | '<');
    }
    out
}

pub(crate) fn tojson(value: TemplateValue, indent: Option<usize>) -> Result<String, Error> {
    defined(&value)?;
    let indent = indent.map(width_in_limit).transpose()?;
    let json = from_template(&value)?.ok_or_else(|| invalid("the value has no JSON form"))?;
    let mut out = String::new();
    write_json(&mut out, &json, indent, 0);
    Ok(out)
}

/// Jinja's `filesizeformat`: `1.5 kB`, or `1.5 KiB` in powers of 1024.
pub(crate) fn filesizeformat(value: TemplateValue, binary: Option<bool>, kwargs: Kwargs) -> Result<String, Error> {
    let bytes = match float(value, Some(TemplateValue::from(())), Kwargs::from_iter(Vec::<(String, TemplateValue)>::new()))? {
        number if number.is_number() => f64::try_from(number)?,
        _ => return Err(invalid("filesizeformat needs a number")),
    };
    let binary = match binary {
        Some(binary) => binary,
        None => kwargs.get::<Option<bool>>("binary")?.unwrap_or(false),
    };
    kwargs.assert_all_used()?;
    let (base, suffix) = if binary { (1024.0_f64, "iB") } else { (1000.0, "B") };
    if bytes == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if bytes < base {
        return Ok(format!("{:.0} Bytes", bytes.trunc()));
    }
    let prefixes = [if binary { "K" } else { "k" }, "M", "G", "T", "P", "E", "Z", "Y"];
    let (mut shown, mut prefix) = (bytes, "");
    for next in prefixes {
        (shown, prefix) = (shown / base, next);
        if shown < base {
            break;
        }
    }
    Ok(format!("{shown:.1} {prefix}{suffix}"))
}

/// The characters that Jinja's `urlencode` escapes: all but letters, digits and a few signs.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');

pub(crate) fn urlencode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The filter that `'format' % value` is rewritten to; no name that a project uses.
pub(crate) const PERCENT: &str = "__percent";

pub(crate) fn percent(text: TemplateValue, value: TemplateValue) -> Result<String, Error> {
    defined(&value)?;
    let arguments: Vec<TemplateValue> = if value.is_tuple() { value.try_iter()?.collect() } else { vec![value] };
    for argument in &arguments {
        defined(argument)?;
    }
    minijinja::formatting::format(FormatStyle::Printf, &python_text(&text), &arguments)
}
