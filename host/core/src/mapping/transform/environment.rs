//! The environment that transforms run in.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::LazyLock;

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value as TemplateValue};

use super::Pieces;
use super::filters::{PERCENT, filesizeformat, float, int, join, percent, round, title_words, tojson, truncate, urlencode, words};
use super::methods::{python_method, width_in_limit};
use super::mutable::{MUTABLE, mutable};
use super::operands::{ORDERED, max, min, ordered, sort};
use super::values::python_text;
use crate::python::text::{Ends, pad};

/// Steps of a template for one record: a second, and thousands of times what a template takes that ends.
pub(super) const STEPS_MAX: u64 = 10_000_000;

/// Returns the environment that transforms run in: Jinja 2 as far as the engine and this module go.
pub(super) fn environment() -> Environment<'static> {
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
    environment.set_fuel(Some(STEPS_MAX));
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
        Ok::<_, Error>(pad(&python_text(&text), width_in_limit(width.unwrap_or(80))?, ' ', Ends::Both))
    });
    environment.add_filter("wordcount", |text: TemplateValue| defined(&text).map(|()| words(&python_text(&text))));
    environment.add_filter("truncate", truncate);
    environment.add_filter("title", |text: TemplateValue| defined(&text).map(|()| title_words(&python_text(&text))));
    environment.add_filter("tojson", tojson);
    environment.add_filter("filesizeformat", filesizeformat);
    environment.add_filter("urlencode", |text: TemplateValue| defined(&text).map(|()| urlencode(&python_text(&text))));
    environment.add_filter(MUTABLE, mutable);
    environment.add_filter(ORDERED, ordered);
    environment.add_filter("sort", sort);
    environment.add_filter("min", min);
    environment.add_filter("max", max);
    add_comparison(&mut environment, &["gt", "greaterthan", ">"], Ordering::is_gt);
    add_comparison(&mut environment, &["ge", ">="], Ordering::is_ge);
    add_comparison(&mut environment, &["lt", "lessthan", "<"], Ordering::is_lt);
    add_comparison(&mut environment, &["le", "<="], Ordering::is_le);
    environment.add_test("callable", |value: TemplateValue| value.kind() == ValueKind::Plain);
    environment
}

/// Adds a test that compares as Python does.
fn add_comparison(environment: &mut Environment<'static>, names: &[&'static str], holds: fn(Ordering) -> bool) {
    for name in names {
        environment.add_test(*name, move |value: TemplateValue, other: TemplateValue| {
            ordered(value, other.clone()).map(|value| holds(value.cmp(&other)))
        });
    }
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

pub(crate) fn invalid(reason: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// Strict undefined: a filter that turns anything into text must not turn an unknown name into nothing.
pub(crate) fn defined(value: &TemplateValue) -> Result<(), Error> {
    if !value.is_undefined() {
        return Ok(());
    }
    // Only the engine can say where the value came from, and does so when one looks into it.
    Err(value.get_attr("value").err().unwrap_or_else(|| Error::from(ErrorKind::UndefinedError)))
}
