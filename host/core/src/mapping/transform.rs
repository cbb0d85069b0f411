//! Computes fields of a record from Jinja templates over the whole record.
//!
//! [`Transforms`] is compiled once per mapping and applied to each record, in the order written: each result is put into
//! the record, where the next template and the mapping's paths see it. The template language is Jinja 2 with `trim_blocks`,
//! `lstrip_blocks` and strict undefined names; the type of a result is that of Jinja's native environment:
//!
//! - a lone `{{ … }}` that yields no text keeps its type;
//! - any text, also one joined from several pieces, is read as a Python literal if it is one
//!   ([`parse_literal`](super::literal::parse_literal)), else stays;
//! - a null result, or a template without output, leaves the field as it was.
//!
//! Where the schema says Text the literal rule spoils names such as `1e5`: [`Transforms::keep_text`] switches it off there.
//!
//! Where the engine cannot do as Python does: lists and dicts do not change in place (`append` says so), a captured
//! `{% set %}` block is text, values of different types have an order, and `%` formats a text only where a literal stands
//! before it. A result that no record can hold is an error when it is undefined, a list when it is computed on demand, and
//! else the rendered text. Each has a case with its reason in `tests/fixtures/mapping/transforms.json`.
//!
//! Invariants: a record is only read for the names that the templates can read, and only written at a transform's field;
//! a failed template leaves its field as it was.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use minijinja::formatting::FormatStyle;
use minijinja::value::{Enumerator, Kwargs, Object, Rest, Tuple, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value as TemplateValue};
use regex::Regex;
use serde_json::{Map, Number, Value};

use super::filter::{decimal_digits, is_python_blank};
use super::literal::{float_text, parse_literal};

/// What is wrong with a transform, or with a record for a transform.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// The expression is no template.
    #[error("transform of '{field}' with '{expression}', line {line}: {reason}")]
    Syntax {
        /// The field that would be written.
        field: String,
        /// The template as written.
        expression: String,
        /// The line within the template, from 1.
        line: usize,
        /// What the engine expected.
        reason: String,
    },
    /// The template uses a filter that does not exist.
    #[error("transform of '{field}' with '{expression}', line {line}: unknown filter '{name}'")]
    UnknownFilter {
        /// The field that would be written.
        field: String,
        /// The template as written.
        expression: String,
        /// The line within the template, from 1.
        line: usize,
        /// The filter's name as written.
        name: String,
    },
    /// The template used a name that the record does not have.
    #[error("transform of '{field}' with '{expression}', line {line}: '{name}' is undefined")]
    Undefined {
        /// The field that would be written.
        field: String,
        /// The template as written.
        expression: String,
        /// The line within the template, from 1.
        line: usize,
        /// The name, with the way to it: `site.slug`.
        name: String,
    },
    /// The template failed on a record: a method that a value does not have, an operation on the wrong types.
    #[error("transform of '{field}' with '{expression}', line {line}: {reason}")]
    Failed {
        /// The field that would be written.
        field: String,
        /// The template as written.
        expression: String,
        /// The line within the template, from 1.
        line: usize,
        /// What failed.
        reason: String,
    },
}

/// What transforms read from a record and write into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Top-level names of the record that a template may read. Always complete, at times too wide: names of Jinja's own
    /// functions and of the template's variables can be among them.
    pub names: BTreeSet<String>,
    /// Top-level names of the record that are written.
    pub writes: BTreeSet<String>,
}

/// The compiled transforms of one mapping.
pub struct Transforms {
    environment: Environment<'static>,
    transforms: Vec<Transform>,
}

struct Transform {
    field: String,
    expression: String,
    /// The template's name in the environment.
    template: String,
    names: Arc<[String]>,
    keep_text: bool,
}

impl std::fmt::Debug for Transforms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs = self.transforms.iter().map(|transform| (&transform.field, &transform.expression));
        f.debug_map().entries(pairs).finish()
    }
}

impl Transforms {
    /// Compiles `(field, expression)` pairs in order.
    ///
    /// # Errors
    ///
    /// The first expression that is no template, or names a filter that does not exist.
    pub fn compile(transforms: &[(String, String)]) -> Result<Self, TransformError> {
        Self::compile_with(environment(), transforms)
    }

    /// Compiles in an environment with more filters or functions: [`environment`] plus what an adapter adds.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn compile_with(environment: Environment<'static>, transforms: &[(String, String)]) -> Result<Self, TransformError> {
        let mut compiled = Self { environment, transforms: Vec::with_capacity(transforms.len()) };
        for (index, (field, expression)) in transforms.iter().enumerate() {
            compiled.add(index, field, expression)?;
        }
        Ok(compiled)
    }

    fn add(&mut self, index: usize, field: &str, expression: &str) -> Result<(), TransformError> {
        let source = rewrite_percent(expression);
        let template = format!("{index}");
        let syntax_error = |error: &Error| TransformError::Syntax {
            field: field.to_owned(),
            expression: expression.to_owned(),
            line: error.line().unwrap_or(1),
            reason: reason_of(error),
        };
        self.environment.add_template_owned(template.clone(), source.clone().into_owned()).map_err(|error| syntax_error(&error))?;
        if let Some((line, name)) = unknown_filter(&self.environment, &source) {
            return Err(TransformError::UnknownFilter { field: field.to_owned(), expression: expression.to_owned(), line, name });
        }
        self.transforms.push(Transform {
            field: field.to_owned(),
            expression: expression.to_owned(),
            template,
            names: names_read(&source).into_iter().collect(),
            keep_text: false,
        });
        Ok(())
    }

    /// Keeps the rendered text as it is for the fields that `is_text` names: those whose schema type is Text.
    ///
    /// A null result, also one spelled `None`, still leaves the field as it was.
    #[must_use]
    pub fn keep_text(mut self, is_text: impl Fn(&str) -> bool) -> Self {
        for transform in &mut self.transforms {
            transform.keep_text = is_text(&transform.field);
        }
        self
    }

    /// Tells that there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.transforms.is_empty()
    }

    /// What the templates may read, and what they write.
    pub fn reads(&self) -> Reads {
        Reads {
            names: self.transforms.iter().flat_map(|transform| transform.names.iter().cloned()).collect(),
            writes: self.transforms.iter().map(|transform| transform.field.clone()).collect(),
        }
    }

    /// Applies all transforms in order, each on the record that the one before left.
    ///
    /// # Errors
    ///
    /// The first template that fails on the record; those before it have written their fields.
    pub fn apply(&self, record: &mut Map<String, Value>) -> Result<(), TransformError> {
        for transform in &self.transforms {
            let result = transform.evaluate(&self.environment, record).map_err(|error| transform.failure(&error))?;
            if let Some(value) = result {
                if let Some(slot) = record.get_mut(&transform.field) {
                    *slot = value;
                } else {
                    record.insert(transform.field.clone(), value);
                }
            }
        }
        Ok(())
    }
}

impl Transform {
    fn evaluate(&self, environment: &Environment<'static>, record: &Map<String, Value>) -> Result<Option<Value>, Error> {
        let values = self.names.iter().map(|name| record.get(name).map(to_template)).collect();
        let context = TemplateValue::from_object(RecordContext { names: Arc::clone(&self.names), values });
        let captured = environment.get_template(&self.template)?.render_captured(context)?;
        let text = captured.output();
        // Only pieces that are no text, or empty, leave a trace: all else shows in the length of the output.
        let lone = match captured.state().get_extension::<Pieces>() {
            Some(pieces) if pieces.count == 1 && pieces.length == text.len() => Some(&pieces.last),
            Some(_) => None,
            None if text.is_empty() => return Ok(None),
            None => None,
        };
        if let Some(value) = lone
            && value.kind() != ValueKind::String
        {
            if value.is_none() {
                return Ok(None);
            }
            if !self.keep_text {
                // What JSON cannot hold, an infinity for instance, stays the text it was rendered to.
                return Ok(Some(from_template(value)?.unwrap_or_else(|| Value::String(text.to_owned()))));
            }
        }
        if self.keep_text {
            return Ok((text != "None").then(|| Value::String(text.to_owned())));
        }
        match parse_literal(text) {
            Some(Value::Null) => Ok(None),
            Some(value) => Ok(Some(value)),
            None => Ok(Some(Value::String(captured.into_output()))),
        }
    }

    fn failure(&self, error: &Error) -> TransformError {
        let field = self.field.clone();
        let expression = self.expression.clone();
        let line = error.line().unwrap_or(1);
        match undefined_name(error) {
            Some(name) => TransformError::Undefined { field, expression, line, name },
            None => TransformError::Failed { field, expression, line, reason: reason_of(error) },
        }
    }
}

/// The engine names what is undefined in backquotes, also where it made an operation fail.
fn undefined_name(error: &Error) -> Option<String> {
    let (before, _) = error.detail()?.split_once("` is undefined")?;
    Some(before.rsplit_once('`')?.1.to_owned())
}

fn reason_of(error: &Error) -> String {
    let mut reason = match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = write!(reason, ": {cause}");
        source = cause.source();
    }
    reason
}

/// The names of a record that a template reads, found by a scan of a few names.
#[derive(Debug)]
struct RecordContext {
    names: Arc<[String]>,
    values: Vec<Option<TemplateValue>>,
}

impl Object for RecordContext {
    fn get_value(self: &Arc<Self>, key: &TemplateValue) -> Option<TemplateValue> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<TemplateValue> {
        let index = self.names.iter().position(|name| name == key)?;
        self.values.get(index)?.clone()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

/// What the formatter saw of pieces whose type or presence the output does not show.
#[derive(Default)]
struct Pieces {
    count: usize,
    last: TemplateValue,
    /// The last piece's length in the output, in bytes.
    length: usize,
}

/// The environment that transforms run in: Jinja 2 as far as the engine and this module go.
pub fn environment() -> Environment<'static> {
    static BASE: LazyLock<Environment<'static>> = LazyLock::new(build_environment);
    BASE.clone()
}

fn build_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(syntax());
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    // Errors then know the name that is undefined; it costs nothing while all goes well.
    environment.set_debug(true);
    environment.set_unknown_method_callback(python_method);
    environment.set_formatter(|out, state, value| {
        if let Some(text) = value.as_str() {
            if text.is_empty() {
                note_piece(state, value, 0);
            }
            out.write_str(text)?;
            return Ok(());
        }
        let text = python_text(value);
        note_piece(state, value, text.len());
        out.write_str(&text)?;
        Ok(())
    });
    // It prints the engine's inside; Jinja has no such function.
    environment.remove_global("debug");
    environment.add_function("cycler", |items: Rest<TemplateValue>| minijinja_contrib::globals::cycler(items.0));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_filter(PERCENT, percent);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("round", round);
    environment.add_filter("string", |value: TemplateValue| defined(&value).map(|()| python_text(&value)));
    environment.add_filter("join", join);
    environment.add_filter("center", |text: TemplateValue, width: Option<usize>| {
        defined(&text)?;
        Ok::<_, Error>(pad(&python_text(&text), width_in_limit(width.unwrap_or(80))?, ' ', Side::Both))
    });
    environment.add_filter("wordcount", |text: TemplateValue| defined(&text).map(|()| words(&python_text(&text))));
    environment.add_filter("truncate", truncate);
    environment.add_filter("title", |text: TemplateValue| defined(&text).map(|()| title_words(&python_text(&text))));
    environment.add_filter("tojson", tojson);
    environment.add_filter("urlencode", |text: TemplateValue| defined(&text).map(|()| urlencode(&python_text(&text))));
    environment.add_test("callable", |value: TemplateValue| value.kind() == ValueKind::Plain);
    environment
}

/// Jinja's delimiters; `trim_blocks` and `lstrip_blocks` as infrahub-sync sets them.
fn syntax() -> minijinja::syntax::SyntaxConfig {
    let built = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    // Only delimiters can be refused, and these are Jinja's own.
    built.unwrap_or_default()
}

fn note_piece(state: &mut State<'_, '_>, value: &TemplateValue, length: usize) {
    let pieces = state.get_or_insert_extension_with(Pieces::default);
    pieces.count += 1;
    pieces.last = value.clone();
    pieces.length = length;
}

fn invalid(reason: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// Strict undefined: a filter that turns anything into text must not turn an unknown name into nothing.
fn defined(value: &TemplateValue) -> Result<(), Error> {
    if !value.is_undefined() {
        return Ok(());
    }
    // Only the engine can say where the value came from, and does so when one looks into it.
    Err(value.get_attr("value").err().unwrap_or_else(|| Error::from(ErrorKind::UndefinedError)))
}

// Values.

/// A record's value for the engine.
fn to_template(value: &Value) -> TemplateValue {
    match value {
        Value::Null => TemplateValue::from(()),
        Value::Bool(yes) => TemplateValue::from(*yes),
        Value::Number(number) => {
            if let Some(integer) = number.as_i64() {
                TemplateValue::from(integer)
            } else if let Some(integer) = number.as_u64() {
                TemplateValue::from(integer)
            } else {
                TemplateValue::from(number.as_f64().unwrap_or(f64::NAN))
            }
        }
        Value::String(text) => TemplateValue::from(text.as_str()),
        Value::Array(items) => items.iter().map(to_template).collect(),
        Value::Object(map) => {
            let items: BTreeMap<String, TemplateValue> = map.iter().map(|(key, item)| (key.clone(), to_template(item))).collect();
            TemplateValue::from_object(items)
        }
    }
}

/// A result as JSON; `None` when JSON has no form for it. Lazy sequences become lists.
fn from_template(value: &TemplateValue) -> Result<Option<Value>, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Error::new(ErrorKind::UndefinedError, "part of the result is undefined")),
        ValueKind::None => Some(Value::Null),
        ValueKind::Bool => Some(Value::Bool(value.is_true())),
        ValueKind::Number => {
            if value.is_integer() {
                match (i64::try_from(value.clone()), u64::try_from(value.clone())) {
                    (Ok(number), _) => Some(Value::from(number)),
                    (_, Ok(number)) => Some(Value::from(number)),
                    _ => None,
                }
            } else {
                Number::from_f64(f64::try_from(value.clone())?).map(Value::Number)
            }
        }
        ValueKind::String => value.as_str().map(Value::from),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()?.checked() {
                match from_template(&item?)? {
                    Some(item) => items.push(item),
                    None => return Ok(None),
                }
            }
            Some(Value::Array(items))
        }
        ValueKind::Map => {
            let mut map = Map::new();
            for key in value.try_iter()?.checked() {
                let key = key?;
                match from_template(&value.get_item(&key)?)? {
                    Some(item) => map.insert(python_text(&key), item),
                    None => return Ok(None),
                };
            }
            Some(Value::Object(map))
        }
        ValueKind::Bytes => None,
        _ => return Err(invalid(format!("the result is {}, which is no value", value.kind()))),
    })
}

/// Python's `str(value)`.
fn python_text(value: &TemplateValue) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let mut out = String::new();
            write_repr(&mut out, value);
            out
        }
    }
}

/// Python's `repr(value)`; sequences that are computed as they are read are written as lists.
fn write_repr(out: &mut String, value: &TemplateValue) {
    match value.kind() {
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&float_text(f64::try_from(value.clone()).unwrap_or(f64::NAN)));
        }
        ValueKind::String => write_text_repr(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
            out.push(open);
            let mut count = 0;
            for item in value.try_iter().into_iter().flatten() {
                if count > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &item);
                count += 1;
            }
            if value.is_tuple() && count == 1 {
                out.push(',');
            }
            out.push(close);
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &key);
                out.push_str(": ");
                write_repr(out, &value.get_item(&key).unwrap_or_default());
            }
            out.push('}');
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}

fn write_text_repr(out: &mut String, text: &str) {
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

// Filters that Jinja has otherwise, or that the engine lacks.

/// Python's `int(text, base)`.
fn integer_of(text: &str, base: u32) -> Option<i128> {
    if base == 10 {
        let (negative, digits) = decimal_digits(text)?;
        let number: i128 = digits.parse().ok()?;
        return Some(if negative { -number } else { number });
    }
    let text = text.trim_matches(is_python_blank);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = |prefix: &str| lower.strip_prefix(prefix).map(|rest| rest.strip_prefix('_').unwrap_or(rest));
    let (base, digits) = match base {
        0 => match (prefixed("0x"), prefixed("0o"), prefixed("0b")) {
            (Some(rest), _, _) => (16, rest),
            (_, Some(rest), _) => (8, rest),
            (_, _, Some(rest)) => (2, rest),
            _ if lower.starts_with('0') && lower.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0') => return None,
            _ => (10, lower.as_str()),
        },
        16 => (16, prefixed("0x").unwrap_or(&lower)),
        8 => (8, prefixed("0o").unwrap_or(&lower)),
        2 => (2, prefixed("0b").unwrap_or(&lower)),
        3..=36 => (base, lower.as_str()),
        _ => return None,
    };
    if digits.split('_').any(|part| part.is_empty() || !part.chars().all(|digit| digit.is_digit(base))) {
        return None;
    }
    let number = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -number } else { number })
}

/// Python's `float(text)`.
fn float_of(text: &str) -> Option<f64> {
    let text = text.trim_matches(is_python_blank);
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let digit_at = |index: Option<usize>| index.and_then(|index| bytes.get(index)).is_some_and(u8::is_ascii_digit);
        if *byte == b'_' && !(digit_at(index.checked_sub(1)) && digit_at(Some(index + 1))) {
            return None;
        }
    }
    text.replace('_', "").parse().ok()
}

fn int(value: TemplateValue, default: Option<TemplateValue>, base: Option<u32>, kwargs: Kwargs) -> Result<TemplateValue, Error> {
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

fn float(value: TemplateValue, default: Option<TemplateValue>, kwargs: Kwargs) -> Result<TemplateValue, Error> {
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

fn round(value: TemplateValue, precision: Option<i32>, method: Option<String>, kwargs: Kwargs) -> Result<TemplateValue, Error> {
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

fn join(value: TemplateValue, between: Option<TemplateValue>, attribute: Option<TemplateValue>, kwargs: Kwargs) -> Result<String, Error> {
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

fn words(text: &str) -> usize {
    text.split(|character: char| !(character.is_alphanumeric() || character == '_')).filter(|word| !word.is_empty()).count()
}

fn truncate(value: TemplateValue, arguments: Rest<TemplateValue>, kwargs: Kwargs) -> Result<String, Error> {
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
fn title_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut first = true;
    for character in text.chars() {
        if first {
            out.extend(character.to_uppercase());
        } else {
            out.extend(character.to_lowercase());
        }
        first = is_python_blank(character) || matches!(character, '-' | '(' | '{' | '[' | '<');
    }
    out
}

fn tojson(value: TemplateValue, indent: Option<usize>) -> Result<String, Error> {
    defined(&value)?;
    let indent = indent.map(width_in_limit).transpose()?;
    let json = from_template(&value)?.ok_or_else(|| invalid("the value has no JSON form"))?;
    let mut out = String::new();
    write_json(&mut out, &json, indent, 0);
    Ok(out)
}

/// JSON as Python's `json.dumps(sort_keys=True)` writes it, with what HTML would read escaped.
fn write_json(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let between = if indent.is_some() { "," } else { ", " };
    match value {
        Value::String(text) => write_json_text(out, text),
        Value::Number(number) if number.is_f64() => out.push_str(&float_text(number.as_f64().unwrap_or_default())),
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { between } else { "" });
                line(out, depth + 1);
                write_json(out, item, indent, depth + 1);
            }
            line(out, depth);
            out.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                out.push_str(if index > 0 { between } else { "" });
                line(out, depth + 1);
                write_json_text(out, key);
                out.push_str(": ");
                write_json(out, item, indent, depth + 1);
            }
            line(out, depth);
            out.push('}');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn write_json_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' if !matches!(character, '<' | '>' | '&' | '\'') => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

fn urlencode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// The filter that `'format' % value` is rewritten to; no name that a project uses.
const PERCENT: &str = "__percent";

fn percent(text: TemplateValue, value: TemplateValue) -> Result<String, Error> {
    defined(&value)?;
    let arguments: Vec<TemplateValue> = if value.is_tuple() { value.try_iter()?.collect() } else { vec![value] };
    for argument in &arguments {
        defined(argument)?;
    }
    minijinja::formatting::format(FormatStyle::Printf, &python_text(&text), &arguments)
}

// Methods of Python's types.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
    Both,
}

/// The widest text that padding makes: far above any field, far below what would hurt.
const WIDTH_MAX: usize = 100_000;

/// Refuses a width that a slip of the pen, or a number from a record, has made enormous.
fn width_in_limit(width: usize) -> Result<usize, Error> {
    if width > WIDTH_MAX { Err(invalid(format!("a width of {width} is above the limit of {WIDTH_MAX}"))) } else { Ok(width) }
}

fn pad(text: &str, width: usize, fill: char, side: Side) -> String {
    let length = text.chars().count();
    let missing = width.saturating_sub(length);
    let left = match side {
        Side::Left => missing,
        Side::Right => 0,
        // Python puts the odd one to the left when the width is odd.
        Side::Both => missing / 2 + (missing & width & 1),
    };
    let mut out: String = std::iter::repeat_n(fill, left).collect();
    out.push_str(text);
    out.extend(std::iter::repeat_n(fill, missing - left));
    out
}

fn python_method(state: &mut State<'_, '_>, value: &TemplateValue, method: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
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
        "strip" => strip(text, args, Side::Both),
        "lstrip" => strip(text, args, Side::Left),
        "rstrip" => strip(text, args, Side::Right),
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
            format!("{sign}{}", pad(digits, width.saturating_sub(sign.len()), '0', Side::Left)).into()
        }),
        "center" => padded(text, args, Side::Both),
        "ljust" => padded(text, args, Side::Right),
        "rjust" => padded(text, args, Side::Left),
        "title" => from_args::<()>(args).map(|()| python_title(text).into()),
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
        "istitle" => from_args::<()>(args).map(|()| (text.chars().any(char::is_alphabetic) && python_title(text) == text).into()),
        "splitlines" => splitlines(text, args),
        "expandtabs" => expandtabs(text, args),
        "join" => join_texts(text, args),
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
            "'{method}' would change a value in place, which templates cannot do here: build a new one with + or a filter"
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

/// Splits at runs of white space; what is left after `limit` splits keeps the blanks at its far end.
fn split_blanks(text: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = if from_right { rest.trim_end_matches(is_python_blank) } else { rest.trim_start_matches(is_python_blank) };
        if rest.is_empty() {
            break;
        }
        let cut = if from_right { rest.rfind(is_python_blank) } else { rest.find(is_python_blank) };
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

fn strip(text: &str, args: &[TemplateValue], side: Side) -> Result<TemplateValue, Error> {
    let (characters,): (Option<TemplateValue>,) = from_args(args)?;
    let characters: Option<Vec<char>> = match characters.filter(|characters| !characters.is_none()) {
        None => None,
        Some(characters) => {
            let given = characters.as_str().ok_or_else(|| invalid(format!("must be text or None, not {}", characters.kind())))?;
            Some(given.chars().collect())
        }
    };
    let strips = |character: char| characters.as_ref().map_or_else(|| is_python_blank(character), |given| given.contains(&character));
    let mut out = text;
    if side != Side::Right {
        out = out.trim_start_matches(strips);
    }
    if side != Side::Left {
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

fn padded(text: &str, args: &[TemplateValue], side: Side) -> Result<TemplateValue, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let mut fill = fill.unwrap_or(" ").chars();
    match (fill.next(), fill.next()) {
        (Some(fill), None) => Ok(pad(text, width_in_limit(usize::try_from(width).unwrap_or(0))?, fill, side).into()),
        _ => Err(invalid("the fill must be exactly one character long")),
    }
}

/// Python's `str.title`: a word starts after anything that has no case.
fn python_title(text: &str) -> String {
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

// What is read from a template's source.

/// Words of the template language, which are no names of a record.
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

/// The names that a template may look up in the record: all words of its code but keywords, attributes, filters and
/// names of arguments.
///
/// It is complete because it looks at words and not at scopes. The engine's `undeclared_variables` is not: it counts
/// `name` in `{% set name = name|upper %}` as the template's own, and does not look into slices.
fn names_read(source: &str) -> BTreeSet<String> {
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

/// The first filter in the source that does not exist, with its line; the engine itself notices only when it gets there.
fn unknown_filter(environment: &Environment<'static>, source: &str) -> Option<(usize, String)> {
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

fn leading_name(text: &str) -> &str {
    let end = text.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The length in bytes of the text literal that `rest` starts with.
fn text_length(rest: &str) -> usize {
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

/// Tells that braces may be plain text in the source: what looks like code is then only read, never judged or rewritten.
fn has_raw_block(source: &str) -> bool {
    source.contains("endraw")
}

/// The insides of `{{ … }}` and `{% … %}`.
fn code_regions(source: &str) -> Vec<std::ops::Range<usize>> {
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
fn rewrite_percent(source: &str) -> Cow<'_, str> {
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

/// The length of the operand that `code` starts with: a sign, a name, literal or bracket, and what hangs on it.
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

fn bracket_length(code: &str) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compiled(pairs: &[(&str, &str)]) -> Transforms {
        let pairs: Vec<_> = pairs.iter().map(|(field, expression)| ((*field).to_owned(), (*expression).to_owned())).collect();
        Transforms::compile(&pairs).expect("compiles")
    }

    fn record(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    fn failure(expression: &str) -> String {
        let pairs = [("out".to_owned(), expression.to_owned())];
        let mut record = record(json!({ "name": "x", "site": { "id": 1 } }));
        let applied = Transforms::compile(&pairs).and_then(|transforms| transforms.apply(&mut record));
        assert_eq!(record.get("out"), None);
        applied.expect_err(expression).to_string()
    }

    #[test]
    fn errors_name_field_expression_line_and_what_is_undefined() {
        for (expression, message) in [
            ("{{ nam }}", "transform of 'out' with '{{ nam }}', line 1: 'nam' is undefined"),
            ("a\n{{ site.slug }}", "transform of 'out' with 'a\n{{ site.slug }}', line 2: 'site.slug' is undefined"),
            ("{{ site['slug'] ~ 'x' }}", "transform of 'out' with '{{ site['slug'] ~ 'x' }}', line 1: 'site['slug']' is undefined"),
            ("{{ nam + 1 }}", "transform of 'out' with '{{ nam + 1 }}', line 1: 'nam' is undefined"),
            ("{{ nam|int }}", "transform of 'out' with '{{ nam|int }}', line 1: 'nam' is undefined"),
            ("{{ '%s' % nam }}", "transform of 'out' with '{{ '%s' % nam }}', line 1: 'nam' is undefined"),
            ("{{ name|uper }}", "transform of 'out' with '{{ name|uper }}', line 1: unknown filter 'uper'"),
            ("{{ name.uper() }}", "transform of 'out' with '{{ name.uper() }}', line 1: string has no method named uper"),
            ("{{ name", "transform of 'out' with '{{ name', line 1: unexpected end of input, expected end of variable block"),
        ] {
            assert_eq!(failure(expression), message);
        }
    }

    #[test]
    fn text_fields_keep_what_was_rendered() {
        for (expression, typed, text) in [
            ("{{ a }}", json!("00123"), json!("00123")),
            ("{{ b }}", json!(100000.0), json!("1e5")),
            ("{{ c }}", json!(7), json!("7")),
            ("{{ none }}", json!("before"), json!("before")),
            ("None", json!("before"), json!("before")),
        ] {
            let start = record(json!({ "a": "00123", "b": "1e5", "c": 7, "out": "before" }));
            let mut native = start.clone();
            compiled(&[("out", expression)]).apply(&mut native).expect("applies");
            assert_eq!(native.get("out"), Some(&typed), "{expression}");
            let mut kept = start;
            compiled(&[("out", expression)]).keep_text(|field| field == "out").apply(&mut kept).expect("applies");
            assert_eq!(kept.get("out"), Some(&text), "{expression} as text");
        }
    }

    #[test]
    fn reads_are_complete() {
        let transforms = compiled(&[
            ("a", "{% set name = name[start:]|upper %}{{ name.x if 'quoted' in d['key'] else other|default(x=1) }}"),
            ("b", "{% for t in tags %}{{ t.name }}{% endfor %}{# comment #} plain {{ 3 }}"),
        ]);
        let reads = transforms.reads();
        for name in ["name", "start", "d", "other", "tags"] {
            assert!(reads.names.contains(name), "{name}");
        }
        for name in ["upper", "default", "quoted", "key", "if", "comment", "plain", "3"] {
            assert!(!reads.names.contains(name), "{name}");
        }
        assert_eq!(reads.writes, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn percent_is_rewritten_where_a_literal_stands_before_it() {
        for (source, rewritten) in [
            ("{{ '%05d' % x }}", "{{ '%05d'|__percent( x) }}"),
            ("{{ '%s-%s' % (a, f('%')) ~ 'x' }}", "{{ '%s-%s'|__percent( (a, f('%'))) ~ 'x' }}"),
            ("{{ '%s' % x.y[0]|upper }}", "{{ '%s'|__percent( x.y[0]|upper) }}"),
            ("{% if 'a' %}b{% endif %}", "{% if 'a' %}b{% endif %}"),
            ("'%s' % x", "'%s' % x"),
            ("{{ a % 2 }}", "{{ a % 2 }}"),
        ] {
            assert_eq!(rewrite_percent(source), rewritten);
        }
    }

    #[test]
    fn an_adapter_may_add_filters() {
        let mut environment = environment();
        environment.add_filter("site_of", |name: String| format!("site-{name}"));
        let pairs = [("out".to_owned(), "{{ name|site_of }}".to_owned())];
        let mut record = record(json!({ "name": "x" }));
        Transforms::compile_with(environment, &pairs).expect("compiles").apply(&mut record).expect("applies");
        assert_eq!(record.get("out"), Some(&json!("site-x")));
    }
}
