//! Computes fields of a record from Jinja templates over the whole record.
//!
//! [`Transforms`] is compiled once per mapping and applied to each record, in the order written: each result is put into
//! the record, where the next template and the mapping's paths see it. The template language is Jinja 2 with `trim_blocks`,
//! `lstrip_blocks` and strict undefined names; the type of a result is that of Jinja's native environment:
//!
//! - a lone `{{ … }}` that yields no text keeps its type;
//! - any text, also one joined from several pieces, is read as a Python literal if it is one
//!   ([`crate::python`]), else stays;
//! - a null result, or a template without output, leaves the field as it was.
//!
//! Where the schema says Text the literal rule spoils names such as `1e5`: [`Transforms::keep_text`] switches it off there.
//!
//! The engine differs from Python in these points: only lists and dicts of variables change in place ([`mutable`]). A captured
//! `{% set %}` block is text. `%` formats a text only after a literal. A result
//! that no record can hold is an error if it is undefined, a list if it is computed on demand, and otherwise the rendered
//! text. Each has a case with its reason in `tests/fixtures/mapping/transforms.json`.
//!
//! Invariants: a record is only read for the names that the templates can read, and only written at a transform's field;
//! a failed template leaves its field as it was.

mod bytes;
mod environment;
mod filters;
mod lend;
mod methods;
mod mutable;
mod operands;
mod source;
mod values;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value as TemplateValue};
use serde_json::{Map, Value};

use self::environment::{STEPS_MAX, environment};
use self::source::{names_read, rewrite_percent, unknown_filter};
use self::values::{from_template, text_to_template, to_template};
use super::lent::{Lends, Lent, LentCell, Needs};
use crate::python::parse_literal;

/// A mistake of a transform, or of a record for a transform.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// The expression is not a template.
    #[error("transform of '{field}' with '{expression}', line {line}: {reason}")]
    Syntax {
        /// The field that would be written.
        field: String,
        /// The template as written.
        expression: String,
        /// The line within the template, from 1.
        line: usize,
        /// The expectation of the engine.
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
        /// The failure.
        reason: String,
    },
}

impl TransformError {
    /// Returns the field that would be written.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            TransformError::Syntax { field, .. }
            | TransformError::UnknownFilter { field, .. }
            | TransformError::Undefined { field, .. }
            | TransformError::Failed { field, .. } => field,
        }
    }
}

/// The names that transforms read from a record and write into it.
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
    needs: Needs,
    /// The loans, once they are read; the environment's filters use them.
    lent: LentCell,
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
    /// The first expression that is not a template, or names a filter that does not exist.
    pub fn compile(transforms: &[(String, String)]) -> Result<Self, TransformError> {
        Self::compile_with(transforms, &Lends::default())
    }

    /// Compiles templates that may use what an adapter lends.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile), and a look-up whose arguments are not known before it runs.
    pub fn compile_with(transforms: &[(String, String)], lends: &Lends) -> Result<Self, TransformError> {
        let lent = LentCell::default();
        let mut environment = environment();
        lend::add(&mut environment, lends, &lent);
        let mut compiled = Self { environment, transforms: Vec::with_capacity(transforms.len()), needs: Needs::default(), lent };
        for (index, (field, expression)) in transforms.iter().enumerate() {
            compiled.add(index, field, expression, lends)?;
        }
        Ok(compiled)
    }

    /// Checks a template without an adapter at hand: a filter that does not exist here may be one that the adapter lends.
    ///
    /// # Errors
    ///
    /// The expression is not a template.
    pub fn check(field: &str, expression: &str) -> Result<(), TransformError> {
        let source = rewritten(expression);
        environment().add_template_owned("0", source.into_owned()).map_err(|error| syntax_error(field, expression, &error))
    }

    /// Returns what must be read before the first record is transformed.
    #[must_use]
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Lends what was read. Only the first call has an effect: all records of a run are transformed alike.
    pub fn lend(&self, lent: &Arc<Lent>) {
        self.lent.get_or_init(|| lent.clone());
    }

    fn add(&mut self, index: usize, field: &str, expression: &str, lends: &Lends) -> Result<(), TransformError> {
        let source = rewritten(expression);
        let template = format!("{index}");
        let added = self.environment.add_template_owned(template.clone(), source.clone().into_owned());
        added.map_err(|error| syntax_error(field, expression, &error))?;
        let (field, expression) = (field.to_owned(), expression.to_owned());
        if let Some((line, name)) = unknown_filter(&self.environment, &source) {
            return Err(TransformError::UnknownFilter { field, expression, line, name });
        }
        let mut names = names_read(&source);
        match lend::uses(&source, lends) {
            Ok(uses) => {
                self.needs.merge(uses.needs);
                names.extend(uses.names);
            }
            Err((line, reason)) => return Err(TransformError::Syntax { field, expression, line, reason }),
        }
        if let Some(function) = &lends.lookup {
            names.remove(function);
        }
        let names = names.into_iter().collect();
        self.transforms.push(Transform { field, expression, template, names, keep_text: false });
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

    /// Returns whether there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.transforms.is_empty()
    }

    /// Returns what the templates may read, and what they write.
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
        self.apply_in_order(record, |_| None)
    }

    /// As [`apply`](Self::apply), where `original` returns the JSON text of a value of the record: it has the keys of dicts in their order.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn apply_in_order<'t>(
        &self,
        record: &mut Map<String, Value>,
        original: impl Fn(&str) -> Option<&'t str>,
    ) -> Result<(), TransformError> {
        let mut written: Vec<(&str, Option<TemplateValue>)> = Vec::new();
        for transform in &self.transforms {
            let in_order = |name: &str| match written.iter().rev().find(|(field, _)| *field == name) {
                Some((_, value)) => value.clone(),
                None => original(name).and_then(text_to_template),
            };
            let result = transform.evaluate(&self.environment, record, in_order).map_err(|error| transform.failure(&error))?;
            if let Some((value, made)) = result {
                written.push((&transform.field, made));
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
    /// Returns the result for the record, and for the templates that follow where these need more than it. `in_order`: a value with its keys in order.
    fn evaluate(
        &self,
        environment: &Environment<'static>,
        record: &Map<String, Value>,
        in_order: impl Fn(&str) -> Option<TemplateValue>,
    ) -> Result<Option<(Value, Option<TemplateValue>)>, Error> {
        let value = |name: &String| {
            let value = record.get(name)?;
            let in_order = if value.is_object() || value.is_array() { in_order(name) } else { None };
            Some(in_order.unwrap_or_else(|| to_template(value)))
        };
        let values = self.names.iter().map(value).collect();
        let context = TemplateValue::from_object(RecordContext { names: Arc::clone(&self.names), values });
        let captured = environment.get_template(&self.template)?.render_captured(context)?;
        let text = captured.output();
        // Only pieces that are empty or not text leave a trace: all others show in the length of the output.
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
                // What is computed as it is read becomes a list.
                let value = if value.kind() == ValueKind::Iterable { &value.try_iter()?.collect() } else { value };
                let kept = matches!(value.kind(), ValueKind::Map | ValueKind::Seq).then(|| value.clone());
                return Ok(Some((from_template(value)?.unwrap_or_else(|| Value::String(text.to_owned())), kept)));
            }
        }
        if self.keep_text {
            return Ok((text != "None").then(|| (Value::String(text.to_owned()), None)));
        }
        match parse_literal(text) {
            Some(Value::Null) => Ok(None),
            Some(value) => Ok(Some((value, None))),
            None => Ok(Some((Value::String(captured.into_output()), None))),
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

/// Returns the source for the engine: with Python's `%`, lists that change, and comparisons that fail as Python's do.
fn rewritten(expression: &str) -> Cow<'_, str> {
    fn and_then<'s>(source: Cow<'s, str>, rewrite: fn(&str) -> Cow<'_, str>) -> Cow<'s, str> {
        match rewrite(&source) {
            Cow::Borrowed(_) => source,
            Cow::Owned(changed) => Cow::Owned(changed),
        }
    }
    and_then(and_then(rewrite_percent(expression), mutable::rewrite), operands::rewrite)
}

fn syntax_error(field: &str, expression: &str, error: &Error) -> TransformError {
    let (field, expression) = (field.to_owned(), expression.to_owned());
    TransformError::Syntax { field, expression, line: error.line().unwrap_or(1), reason: reason_of(error) }
}

/// Returns the undefined name, which the engine puts in backquotes, also where it made an operation fail.
fn undefined_name(error: &Error) -> Option<String> {
    let (before, _) = error.detail()?.split_once("` is undefined")?;
    Some(before.rsplit_once('`')?.1.to_owned())
}

fn reason_of(error: &Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("it takes more than {STEPS_MAX} steps for one record");
    }
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

/// The formatter's notes about pieces whose type or presence the output does not show.
#[derive(Default)]
struct Pieces {
    count: usize,
    last: TemplateValue,
    /// The last piece's length in the output, in bytes.
    length: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::lent::Table;

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
    fn a_template_without_end_has_one() {
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}";
        assert_eq!(
            failure(endless),
            format!("transform of 'out' with '{endless}', line 1: it takes more than 10000000 steps for one record")
        );
        // Each record has as many steps as the one before.
        let long = compiled(&[("out", "{% for a in range(9999) %}{% for b in range(20) %}{% endfor %}{% endfor %}x")]);
        for _ in 0..12 {
            long.apply(&mut record(json!({}))).expect("ends");
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
    fn sizes_of_files_are_written_as_jinja_does() {
        for (expression, text) in [
            ("{{ 1|filesizeformat }}", "1 Byte"),
            ("{{ 999|filesizeformat }}", "999 Bytes"),
            ("{{ 1000|filesizeformat }}", "1.0 kB"),
            ("{{ 1500000|filesizeformat }}", "1.5 MB"),
            ("{{ '1024'|filesizeformat(true) }}", "1.0 KiB"),
            ("{{ 5368709120|filesizeformat(binary=true) }}", "5.0 GiB"),
        ] {
            let mut record = record(json!({}));
            compiled(&[("out", expression)]).apply(&mut record).expect(expression);
            assert_eq!(record.get("out"), Some(&json!(text)), "{expression}");
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

    /// What Prometheus lends, and a table.
    fn lends() -> Lends {
        let table =
            Table { name: "node_name".into(), resource: "nodes".into(), key: "attributes.id".into(), value: "attributes.name".into() };
        Lends { tables: vec![table], lookup: Some("lookup".into()) }
    }

    /// Returns the value of `out` after a template, with these records at hand.
    fn lent(expression: &str) -> Value {
        let pairs = [("out".to_owned(), expression.to_owned())];
        let transforms = Transforms::compile_with(&pairs, &lends()).unwrap_or_else(|error| panic!("{error}"));
        let resources = transforms.needs().resources().map(|mut resource| {
            let records = match resource.name() {
                "nodes" => json!([{"attributes": {"id": "101", "name": "leaf-1"}}, {"attributes": {"id": 102, "name": "leaf-2"}}]),
                "up" => json!([
                    {"labels": {"instance": "a", "device": "eth0"}, "value": 0.0},
                    {"labels": {"instance": "b", "device": "eth0"}, "value": 1.0},
                    {"labels": {"instance": "b", "device": "eth1"}, "value": 2.5, "job": "x"}
                ]),
                _ => json!([]),
            };
            resource.append(&resource.projection().json(&records.to_string(), "").unwrap()).unwrap();
            resource
        });
        let data = Arc::new(Lent::new(&lends(), resources));
        transforms.lend(&data);
        let mut record = record(json!({"node": 102, "labels": {"instance": "b", "device": "eth1"}, "gone": null}));
        transforms.apply(&mut record).unwrap_or_else(|error| panic!("{error}"));
        record.remove("out").unwrap_or(Value::Null)
    }

    #[test]
    fn table_turns_a_key_into_its_value_and_leaves_others() {
        for (expression, expected) in [
            ("{{ '101' | node_name }}", json!("leaf-1")),
            ("{{ node | node_name }}", json!("leaf-2")),
            ("{{ 'spine' | node_name }}", json!("spine")),
            ("{{ 7 | node_name }}", json!(7)),
            ("{{ ['101', '9'] | map('node_name') | join(',') }}", json!("leaf-1,9")),
        ] {
            assert_eq!(lent(expression), expected, "{expression}");
        }
    }

    #[test]
    fn lookup_finds_the_first_record_of_its_key() {
        for (expression, expected) in [
            ("{{ lookup('up', none, 'value') }}", json!(0.0)),
            ("{{ lookup('up', '', 'value') }}", json!(0.0)),
            ("{{ lookup('up', '*', 'value') }}", json!(0.0)),
            ("{{ lookup('up', {}, 'job') }}", json!("x")),
            ("{{ lookup('up', 'labels.instance', 'value') }}", json!(1.0)),
            ("{{ lookup('up', 'labels.instance', 'job') }}", json!("x")),
            ("{{ lookup('up', 'labels.gone', 'value', 'none') }}", json!("none")),
            ("{{ lookup('up', {'instance': labels.instance, 'device': labels.device}, 'value') }}", json!(2.5)),
            ("{{ lookup('up', {'instance': 'b', 'job': 'x'}, 'value') }}", json!(2.5)),
            ("{{ lookup('up', {'instance': 'z'}, 'value', 7) }}", json!(7)),
            ("{{ lookup('up', {'instance': gone}, 'value', default=8) }}", json!(8)),
            ("{{ lookup('up', key='labels.device', value_path='labels.instance') }}", json!("b")),
            ("{{ lookup('down', none, 'value', 'unknown') }}", json!("unknown")),
            ("{{ lookup('down', none, 'value') }}", Value::Null),
        ] {
            assert_eq!(lent(expression), expected, "{expression}");
        }
    }

    #[test]
    fn what_a_lookup_reads_is_known_when_it_is_compiled() {
        let compile = |expression: &str| Transforms::compile_with(&[("out".to_owned(), expression.to_owned())], &lends());
        let refused = |expression: &str| compile(expression).unwrap_err().to_string();
        for (expression, reason) in [
            ("{{ lookup(node, none, 'value') }}", "line 1: the first argument of `lookup` must be a text"),
            ("a\n{{ lookup('up', none, path) }}", "line 2: the third argument of `lookup` must be a text"),
            ("{{ lookup('up', key, 'value') }}", "line 1: the second argument of `lookup` must be a path as a text, or labels"),
            ("{{ lookup('up', {labels.x: 1}, 'value') }}", "line 1: the second argument of `lookup`"),
            ("{{ lookup('up', none, 'value', 1, 2) }}", "line 1: `lookup` takes four arguments at most"),
            ("{{ node | unknown_table }}", "line 1: unknown filter 'unknown_table'"),
        ] {
            let message = refused(expression);
            assert!(message.contains(reason), "{message}");
        }
        let transforms =
            compile("{{ lookup('up', 'labels.instance', 'value') ~ node | node_name }}").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(transforms.reads().names.iter().collect::<Vec<_>>(), ["labels", "node"]);
        let needed: Vec<(String, Vec<String>)> = transforms
            .needs()
            .resources()
            .map(|resource| (resource.name().to_owned(), resource.projection().slots().iter().map(|(path, _)| path.clone()).collect()))
            .collect();
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            needed,
            [("nodes".to_owned(), paths(&["attributes.id", "attributes.name"])), ("up".to_owned(), paths(&["labels.instance", "value"]))]
        );
        assert!(Transforms::check("out", "{{ x | lent_by_an_adapter }}").is_ok());
        assert!(Transforms::check("out", "{{ x").is_err());
    }
}
