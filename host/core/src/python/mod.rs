//! Python's semantics, which filters and transforms have: projects were written against a program in Python.
//!
//! Key functions: [`is_true`], [`equal`], [`compare`] and [`contains`] (values), [`parse_literal`] (texts that spell a value),
//! [`translate_pattern`] (`re`), [`integer_of`] and [`float_of`] (numbers), and the methods of `str` in [`text`]. Nothing here knows templates.

mod json;
mod literal;
mod number;
mod pattern;
pub(crate) mod text;
mod value;

pub(crate) use json::write_json;
pub(crate) use literal::parse_literal;
pub(crate) use number::{float, float_of, float_text, integer_of};
pub(crate) use pattern::translate_pattern;
pub(crate) use value::{compare, contains, describe, equal, is_true, type_name};
