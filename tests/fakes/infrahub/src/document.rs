//! GraphQL documents: parsed and validated against the server's SDL, once for each text; variables as `graphql-core` coerces them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use apollo_compiler::ast::{self, Type};
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node, Schema};
use serde_json::{Map, Value, json};

use crate::model::Model;
use crate::value::{python, quoted};

/// A document, or the errors that it is refused with.
pub(crate) enum Prepared {
    Valid(Valid<ExecutableDocument>),
    /// It does not parse: the real server crashes on it.
    Syntax,
    Invalid(Vec<Value>),
}

/// Documents by text. A program with constant documents pays for validation once.
#[derive(Default)]
pub(crate) struct Cache {
    documents: Mutex<HashMap<String, Arc<Prepared>>>,
}

/// A limit on the cache: a program that puts values into its documents must not exhaust the memory.
const CACHED_MAX: usize = 1000;

impl Cache {
    /// Returns the document, and whether it was known.
    pub(crate) fn prepare(&self, model: &Model, text: &str) -> (Arc<Prepared>, bool) {
        if let Some(known) = self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return (known.clone(), true);
        }
        let prepared = Arc::new(prepare(model, text));
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if documents.len() >= CACHED_MAX {
            documents.clear();
        }
        documents.insert(text.to_owned(), prepared.clone());
        (prepared, false)
    }

    pub(crate) fn clear(&self) {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn prepare(model: &Model, text: &str) -> Prepared {
    let parsed = match ast::Document::parse(text, "document") {
        Ok(parsed) => parsed,
        Err(_) => return Prepared::Syntax,
    };
    match parsed.to_executable_validate(&model.graphql) {
        Ok(document) => Prepared::Valid(document),
        Err(errors) => {
            let found: Vec<_> = errors.errors.iter().map(|diagnostic| diagnostic.unstable_to_json_compat()).collect();
            // A selection of unknown fields alone is empty to the validator, which says so as well.
            let unknown = found.iter().any(|error| error.message.starts_with("Cannot query field"));
            let kept = found.iter().filter(|error| !unknown || !error.message.contains("must have a selection of subfields"));
            let shown = kept.map(|error| {
                let locations: Vec<Value> = error.locations.iter().map(|l| json!({ "line": l.line, "column": l.column })).collect();
                json!({ "message": reworded(model, &error.message), "locations": locations })
            });
            Prepared::Invalid(shown.collect())
        }
    }
}

/// Brings a message of the validator into the words of `graphql-core`, as far as programs may look at them.
fn reworded(model: &Model, message: &str) -> String {
    for (scalar, what) in [("Int", "non-integer value"), ("String", "a non string value"), ("Boolean", "a non boolean value")] {
        if let Some(value) = message.strip_prefix(&format!("{scalar} cannot represent value: ")) {
            return format!("{scalar} cannot represent {what}: {value}");
        }
    }
    // `graphql-core` quotes with apostrophes.
    let message = message.replace('"', "'");
    // The validator names the type that the field is in, `graphql-core` the type that it has.
    let mut quoted = message.split('\'');
    if let (true, Some(field), Some(ty)) = (message.contains("must have a selection of subfields"), quoted.nth(1), quoted.nth(1))
        && let Ok(definition) = model.graphql.type_field(ty, field)
    {
        let actual = definition.ty.to_string();
        return message.replacen(&format!("of type '{ty}'"), &format!("of type '{actual}'"), 1);
    }
    message
}

/// Returns the operation of a document by its name.
pub(crate) fn operation<'d>(document: &'d ExecutableDocument, name: Option<&str>) -> Result<&'d Node<Operation>, String> {
    match name {
        Some(name) => document.operations.named.get(name).ok_or_else(|| format!("Unknown operation named {}.", quoted(name))),
        None if document.operations.len() > 1 => Err("Must provide operation name if query contains multiple operations.".into()),
        None => document.operations.iter().next().ok_or_else(|| "Must provide an operation.".into()),
    }
}

/// An error about the variables, and where the variable is defined.
pub(crate) struct VariableError {
    pub(crate) message: String,
    pub(crate) location: Option<Value>,
}

/// Returns the variables of an operation, coerced; all errors at once.
pub(crate) fn variables(
    model: &Model,
    document: &ExecutableDocument,
    operation: &Operation,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<VariableError>> {
    let mut out = Map::new();
    let mut errors = Vec::new();
    for definition in &operation.variables {
        let name = definition.name.as_str();
        let location = location(document, definition.location());
        let mut report = |message: String| errors.push(VariableError { message, location: location.clone() });
        match given.get(name) {
            None => {
                if let Some(default) = &definition.default_value {
                    if let Ok(Some(value)) = literal(&model.graphql, default, &definition.ty, &Map::new()) {
                        out.insert(name.to_owned(), value);
                    }
                } else if definition.ty.is_non_null() {
                    report(format!("Variable '${name}' of required type '{}' was not provided.", definition.ty));
                }
            }
            Some(Value::Null) if definition.ty.is_non_null() => {
                report(format!("Variable '${name}' of non-null type '{}' must not be null.", definition.ty));
            }
            Some(value) => {
                let mut found = Vec::new();
                let coerced = coerce(&model.graphql, value, &definition.ty, &mut Vec::new(), &mut found);
                if found.is_empty() {
                    out.insert(name.to_owned(), coerced);
                }
                for Problem { path, value, reason } in found {
                    let place = if path.is_empty() { String::new() } else { format!(" at '{name}{path}'") };
                    report(format!("Variable '${name}' got invalid value {}{place}; {reason}", inspect(&value)));
                }
            }
        }
    }
    if errors.is_empty() { Ok(out) } else { Err(errors) }
}

struct Problem {
    path: String,
    value: Value,
    reason: String,
}

fn coerce(schema: &Schema, value: &Value, ty: &Type, path: &mut Vec<String>, problems: &mut Vec<Problem>) -> Value {
    let mut problem = |path: &[String], value: &Value, reason: String| {
        problems.push(Problem { path: path.concat(), value: value.clone(), reason });
    };
    if value.is_null() {
        if ty.is_non_null() {
            problem(path, value, format!("Expected non-nullable type '{ty}' not to be None."));
        }
        return Value::Null;
    }
    if ty.is_list() {
        let item = ty.item_type();
        return match value {
            Value::Array(list) => {
                let mut out = Vec::with_capacity(list.len());
                for (i, entry) in list.iter().enumerate() {
                    path.push(format!("[{i}]"));
                    out.push(coerce(schema, entry, item, path, problems));
                    path.pop();
                }
                Value::Array(out)
            }
            single => Value::Array(vec![coerce(schema, single, item, path, problems)]),
        };
    }
    let name = ty.inner_named_type();
    match schema.types.get(name) {
        Some(ExtendedType::InputObject(definition)) => {
            let Value::Object(given) = value else {
                problem(path, value, format!("Expected type '{name}' to be a mapping."));
                return Value::Null;
            };
            let mut out = Map::new();
            for (field, spec) in &definition.fields {
                match given.get(field.as_str()) {
                    Some(entry) => {
                        path.push(format!(".{field}"));
                        out.insert(field.to_string(), coerce(schema, entry, &spec.ty, path, problems));
                        path.pop();
                    }
                    None => {
                        if let Some(default) = &spec.default_value {
                            if let Ok(Some(default)) = literal(schema, default, &spec.ty, &Map::new()) {
                                out.insert(field.to_string(), default);
                            }
                        } else if spec.ty.is_non_null() {
                            let reason = format!("Field '{field}' of required type '{}' was not provided.", spec.ty);
                            problems.push(Problem { path: path.concat(), value: value.clone(), reason });
                        }
                    }
                }
            }
            for field in given.keys() {
                if !definition.fields.contains_key(field.as_str()) {
                    let reason = format!("Field '{field}' is not defined by type '{name}'.");
                    problems.push(Problem { path: path.concat(), value: value.clone(), reason });
                }
            }
            Value::Object(out)
        }
        Some(ExtendedType::Enum(definition)) => {
            let known = value.as_str().is_some_and(|v| definition.values.contains_key(v));
            if !known {
                let reason = match value {
                    Value::String(text) => format!("Value {} does not exist in '{name}' enum.", quoted(text)),
                    other => format!("Enum '{name}' cannot represent non-string value: {}.", inspect(other)),
                };
                problem(path, value, reason);
            }
            value.clone()
        }
        _ => match scalar(name, value) {
            Ok(value) => value,
            Err(reason) => {
                problem(path, value, reason);
                Value::Null
            }
        },
    }
}

/// Coerces what stands in a variable for a scalar type.
fn scalar(name: &str, value: &Value) -> Result<Value, String> {
    match name {
        "String" => match value {
            Value::String(_) => Ok(value.clone()),
            other => Err(format!("String cannot represent a non string value: {}", inspect(other))),
        },
        "ID" => match value {
            Value::String(_) => Ok(value.clone()),
            Value::Number(n) if n.is_i64() || n.is_u64() => Ok(Value::from(n.to_string())),
            other => Err(format!("ID cannot represent value: {}", inspect(other))),
        },
        "Boolean" => match value {
            Value::Bool(_) => Ok(value.clone()),
            other => Err(format!("Boolean cannot represent a non boolean value: {}", inspect(other))),
        },
        "Int" => match value {
            Value::Number(n) => {
                let whole = n.as_i64().or_else(|| n.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64));
                match whole {
                    Some(whole) if i32::try_from(whole).is_ok() => Ok(Value::from(whole)),
                    Some(_) => Err(format!("Int cannot represent non 32-bit signed integer value: {}", inspect(value))),
                    None => Err(format!("Int cannot represent non-integer value: {}", inspect(value))),
                }
            }
            other => Err(format!("Int cannot represent non-integer value: {}", inspect(other))),
        },
        "Float" => match value {
            Value::Number(_) => Ok(value.clone()),
            other => Err(format!("Float cannot represent non numeric value: {}", inspect(other))),
        },
        // Python's `int()` on whatever comes: this is how 5.5 and "5" become 5, and true becomes 1.
        "BigInt" => match value {
            Value::Bool(flag) => Ok(Value::from(i64::from(*flag))),
            Value::Number(n) if n.is_i64() || n.is_u64() => Ok(value.clone()),
            Value::Number(n) => Ok(n.as_f64().map_or(Value::Null, |f| Value::from(f.trunc() as i64))),
            Value::String(text) => match text.trim().parse::<i64>() {
                Ok(number) => Ok(Value::from(number)),
                Err(_) => match text.trim().parse::<f64>() {
                    Ok(number) if number.is_finite() => Ok(Value::from(number.trunc() as i64)),
                    _ => Err("Expected type 'BigInt'.".into()),
                },
            },
            other => {
                let kind = if other.is_array() { "list" } else { "dict" };
                let reason = "int() argument must be a string, a bytes-like object or a real number, not";
                Err(format!("Expected type 'BigInt'. {reason} '{kind}'"))
            }
        },
        "DateTime" => match value {
            Value::String(text) if crate::clock::parse(text, 0).is_some() => Ok(value.clone()),
            other => Err(format!("DateTime cannot represent value: {}", inspect(other))),
        },
        _ => Ok(value.clone()),
    }
}

/// Returns a value as `graphql-core` shows it in a message: Python's `repr`, shortened below two levels and after ten entries.
pub(crate) fn inspect(value: &Value) -> String {
    fn depth(value: &Value, level: usize) -> String {
        match value {
            Value::Object(map) if map.is_empty() => "{}".into(),
            Value::Object(_) if level > 2 => "{...}".into(),
            Value::Object(map) => {
                let mut parts: Vec<String> = map.iter().take(10).map(|(k, v)| format!("{}: {}", quoted(k), depth(v, level + 1))).collect();
                if map.len() > 10 {
                    parts.push("...".into());
                }
                format!("{{{}}}", parts.join(", "))
            }
            Value::Array(list) if list.is_empty() => "[]".into(),
            Value::Array(_) if level > 2 => "[...]".into(),
            Value::Array(list) => {
                let mut parts: Vec<String> = list.iter().take(10).map(|v| depth(v, level + 1)).collect();
                if list.len() > 10 {
                    parts.push("...".into());
                }
                format!("[{}]", parts.join(", "))
            }
            other => python(other, true),
        }
    }
    depth(value, 0)
}

/// Returns the value of a literal, with variables filled in; `None` where a variable is not given.
pub(crate) fn literal(schema: &Schema, value: &ast::Value, ty: &Type, given: &Map<String, Value>) -> Result<Option<Value>, String> {
    if let ast::Value::Variable(name) = value {
        return Ok(given.get(name.as_str()).cloned());
    }
    if matches!(value, ast::Value::Null) {
        return Ok(Some(Value::Null));
    }
    if ty.is_list() {
        let item = ty.item_type();
        return Ok(Some(match value {
            ast::Value::List(list) => {
                let mut out = Vec::with_capacity(list.len());
                for entry in list {
                    out.push(literal(schema, entry, item, given)?.unwrap_or(Value::Null));
                }
                Value::Array(out)
            }
            single => Value::Array(vec![literal(schema, single, item, given)?.unwrap_or(Value::Null)]),
        }));
    }
    let name = ty.inner_named_type();
    if let (Some(ExtendedType::InputObject(definition)), ast::Value::Object(entries)) = (schema.types.get(name), value) {
        let mut out = Map::new();
        for (field, spec) in &definition.fields {
            let entry = entries.iter().find(|(key, _)| key == field).map(|(_, entry)| entry);
            let value = match entry {
                Some(entry) => literal(schema, entry, &spec.ty, given)?,
                None => None,
            };
            match (value, &spec.default_value) {
                (Some(value), _) => {
                    out.insert(field.to_string(), value);
                }
                (None, Some(default)) if entry.is_none() => {
                    if let Some(default) = literal(schema, default, &spec.ty, &Map::new())? {
                        out.insert(field.to_string(), default);
                    }
                }
                _ => {}
            }
        }
        return Ok(Some(Value::Object(out)));
    }
    let plain = plain(value, given);
    match (name.as_str(), value) {
        // In a literal the server takes integers only, where in a variable it takes anything that `int()` does.
        ("BigInt", ast::Value::Int(_)) => Ok(Some(plain)),
        ("BigInt", _) => Err(format!("Expected value of type 'BigInt', found {value}.")),
        ("ID", ast::Value::Int(number)) => Ok(Some(Value::from(number.as_str()))),
        _ => Ok(Some(plain)),
    }
}

/// Returns a literal for a scalar that takes anything.
fn plain(value: &ast::Value, given: &Map<String, Value>) -> Value {
    match value {
        ast::Value::Null => Value::Null,
        ast::Value::Enum(name) => Value::from(name.as_str()),
        ast::Value::Variable(name) => given.get(name.as_str()).cloned().unwrap_or(Value::Null),
        ast::Value::String(text) => Value::from(text.as_str()),
        ast::Value::Float(number) => number.try_to_f64().map(Value::from).unwrap_or(Value::Null),
        ast::Value::Int(number) => number.as_str().parse::<i64>().map(Value::from).unwrap_or(Value::Null),
        ast::Value::Boolean(flag) => Value::from(*flag),
        ast::Value::List(list) => Value::Array(list.iter().map(|entry| plain(entry, given)).collect()),
        ast::Value::Object(entries) => Value::Object(entries.iter().map(|(key, entry)| (key.to_string(), plain(entry, given))).collect()),
    }
}

/// Returns the arguments of a field, with the defaults of the schema.
pub(crate) fn arguments(schema: &Schema, field: &Field, given: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut out = Map::new();
    for spec in &field.definition.arguments {
        let argument = field.arguments.iter().find(|a| a.name == spec.name);
        let value = match argument {
            Some(argument) => literal(schema, &argument.value, &spec.ty, given)?,
            None => None,
        };
        let value = match (value, &spec.default_value) {
            (Some(value), _) => Some(value),
            (None, Some(default)) => literal(schema, default, &spec.ty, &Map::new())?,
            (None, None) => None,
        };
        if let Some(value) = value {
            out.insert(spec.name.to_string(), value);
        }
    }
    Ok(out)
}

/// Returns a place in a document, as errors show it.
pub(crate) fn location(document: &ExecutableDocument, span: Option<apollo_compiler::parser::SourceSpan>) -> Option<Value> {
    let place = span?.line_column(&document.sources)?;
    Some(json!({ "line": place.line, "column": place.column }))
}

/// The parts of an executed request: document, operation, variables.
pub(crate) struct Scope<'d> {
    pub(crate) model: &'d Model,
    pub(crate) document: &'d ExecutableDocument,
    pub(crate) variables: &'d Map<String, Value>,
}

/// Fields that answer under one name, merged from fragments.
pub(crate) type Merged<'d> = Vec<(&'d str, Vec<&'d Node<Field>>)>;

impl<'d> Scope<'d> {
    /// Returns the fields of selection sets for a concrete type, in the order in which they answer.
    pub(crate) fn collect(&self, sets: &[&'d SelectionSet], concrete: &str) -> Merged<'d> {
        let mut out: Merged<'d> = Vec::new();
        for set in sets {
            self.collect_into(set, concrete, &mut out);
        }
        out
    }

    fn collect_into(&self, set: &'d SelectionSet, concrete: &str, out: &mut Merged<'d>) {
        for selection in &set.selections {
            if self.skipped(selection.directives()) {
                continue;
            }
            match selection {
                Selection::Field(field) => {
                    let key = field.response_key().as_str();
                    match out.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, fields)) => fields.push(field),
                        None => out.push((key, vec![field])),
                    }
                }
                Selection::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(|ty| self.applies(ty, concrete)) {
                        self.collect_into(&fragment.selection_set, concrete, out);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && self.applies(fragment.type_condition(), concrete)
                    {
                        self.collect_into(&fragment.selection_set, concrete, out);
                    }
                }
            }
        }
    }

    fn applies(&self, condition: &str, concrete: &str) -> bool {
        condition == concrete || self.model.graphql.is_subtype(condition, concrete)
    }

    fn skipped(&self, directives: &ast::DirectiveList) -> bool {
        let condition = |name: &str| {
            let directive = directives.get(name)?;
            let value = directive.arguments.iter().find(|a| a.name == "if")?;
            Some(plain(&value.value, self.variables) == Value::Bool(true))
        };
        condition("skip") == Some(true) || condition("include") == Some(false)
    }
}
