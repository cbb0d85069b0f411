//! Filters and the function that an adapter lends: what templates use of them, and how they are evaluated.

use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, State, Value as TemplateValue};
use serde_json::Value;

use super::environment::{defined, invalid};
use super::source::{bracket_length, code_regions, leading_name, text_length};
use super::values::{from_template, python_text, to_template};
use crate::mapping::lent::{Lends, Lent, LentCell, LookupKey, Needs, split_arguments, split_at};
use crate::python::parse_literal;

/// Adds the filters and the function to an environment. They read `cell`, which is filled before the first record.
pub(super) fn add(environment: &mut Environment<'static>, lends: &Lends, cell: &LentCell) {
    for table in &lends.tables {
        let (name, cell) = (table.name.clone(), cell.clone());
        environment.add_filter(table.name.clone(), move |value: TemplateValue| {
            defined(&value)?;
            Ok::<_, Error>(lent(&cell)?.value(&name, &python_text(&value)).map_or(value, to_template))
        });
    }
    if let Some(function) = &lends.lookup {
        let cell = cell.clone();
        environment.add_function(function.clone(), move |state: &State<'_, '_>, arguments: Rest<TemplateValue>, named: Kwargs| {
            call(&cell, state, &arguments, &named)
        });
    }
}

/// The names of a look-up's arguments, in order.
const ARGUMENTS: [&[&str]; 4] = [&["resource", "metric"], &["key"], &["path", "value_path"], &["default"]];

/// Evaluates a look-up.
fn call(cell: &LentCell, state: &State<'_, '_>, arguments: &[TemplateValue], named: &Kwargs) -> Result<TemplateValue, Error> {
    let mut found: [Option<TemplateValue>; 4] = Default::default();
    for (at, (place, names)) in found.iter_mut().zip(ARGUMENTS).enumerate() {
        *place = arguments.get(at).cloned();
        for name in names {
            *place = place.take().or(named.get::<Option<TemplateValue>>(name)?);
        }
    }
    named.assert_all_used()?;
    let [Some(resource), key, Some(path), default] = found else { return Err(invalid("a resource and the path of its value are needed")) };
    let key = lookup_key(state, key)?;
    let found = lent(cell)?.lookup(&python_text(&resource), &key, &python_text(&path)).map_err(invalid)?;
    Ok(match found {
        Some(value) => to_template(&value),
        None => default.unwrap_or_else(|| TemplateValue::from(())),
    })
}

fn lent(cell: &LentCell) -> Result<&Arc<Lent>, Error> {
    cell.get().ok_or_else(|| invalid("the adapter's table or look-up has not been read"))
}

/// Returns what the second argument of a look-up means.
fn lookup_key(state: &State<'_, '_>, key: Option<TemplateValue>) -> Result<LookupKey, Error> {
    let Some(key) = key.filter(|key| !key.is_none()) else { return Ok(LookupKey::First) };
    defined(&key)?;
    if let Some(path) = key.as_str() {
        if matches!(path, "" | "*") {
            return Ok(LookupKey::First);
        }
        let mut parts = path.split('.');
        let top = parts.next().and_then(|name| state.lookup(name));
        let value = parts.try_fold(
            top.unwrap_or_default(),
            |value, part| {
                if value.kind() == ValueKind::Map { value.get_attr(part).ok() } else { None }
            },
        );
        let value = value.filter(|value| !value.is_undefined()).map(|value| from_template(&value)).transpose()?.flatten();
        return Ok(LookupKey::Join(path.to_owned(), value.unwrap_or(Value::Null)));
    }
    match from_template(&key)? {
        Some(Value::Object(labels)) if labels.is_empty() => Ok(LookupKey::First),
        Some(Value::Object(labels)) => Ok(LookupKey::Labels(labels.into_iter().collect())),
        _ => Err(invalid(format!("the key of a look-up is a path, labels or none, not {}", key.kind()))),
    }
}

/// The loans that a template uses.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) needs: Needs,
    /// The top-level names of the record that look-ups join on.
    pub(super) names: Vec<String>,
}

/// Finds what a template uses. An error has the line, and says what about a look-up is not known before it runs.
pub(super) fn uses(source: &str, lends: &Lends) -> Result<Uses, (usize, String)> {
    let mut uses = Uses::default();
    for region in code_regions(source) {
        let (start, code) = (region.start, source.get(region).unwrap_or_default());
        let (mut at, mut previous) = (0, ' ');
        while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
            let character = rest.chars().next().unwrap_or(' ');
            if matches!(character, '\'' | '"') {
                // A filter may be named by a text: `map('name')`.
                let length = text_length(rest);
                if let Some(Value::String(name)) = rest.get(..length).and_then(parse_literal) {
                    uses.table(lends, &name);
                }
                at += length;
                previous = character;
                continue;
            }
            let word = leading_name(rest);
            if word.is_empty() {
                at += character.len_utf8();
                previous = if character.is_whitespace() { previous } else { character };
                continue;
            }
            at += word.len();
            if previous == '|' {
                uses.table(lends, word);
            }
            let after = code.get(at..).unwrap_or_default().trim_start();
            if lends.lookup.as_deref() == Some(word) && !matches!(previous, '.' | '|') && after.starts_with('(') {
                let arguments = after.get(1..bracket_length(after).saturating_sub(1)).unwrap_or_default();
                let line = source.get(..start + at).unwrap_or_default().matches('\n').count() + 1;
                uses.lookup(word, arguments).map_err(|reason| (line, reason))?;
            }
            previous = 'a';
        }
    }
    Ok(uses)
}

impl Uses {
    fn table(&mut self, lends: &Lends, name: &str) {
        if let Some(table) = lends.table(name) {
            self.needs.add(&table.resource, [table.key.as_str(), table.value.as_str()]);
        }
    }

    /// Takes in a call of the look-up function.
    fn lookup(&mut self, function: &str, arguments: &str) -> Result<(), String> {
        let mut found: [Option<&str>; 4] = [None; 4];
        for (position, argument) in split_arguments(arguments).into_iter().enumerate() {
            let named = argument.split_once('=').filter(|(_, value)| !value.starts_with('='));
            let known = named.and_then(|(name, value)| Some((ARGUMENTS.iter().position(|names| names.contains(&name.trim()))?, value)));
            let (at, value) = known.unwrap_or((position, argument));
            *found.get_mut(at).ok_or_else(|| format!("`{function}` takes four arguments at most"))? = Some(value.trim());
        }
        let text = |at: usize, which: &str| match found.get(at).copied().flatten().map(parse_literal) {
            Some(Some(Value::String(text))) if !text.is_empty() => Ok(text),
            _ => Err(format!(
                "the {which} argument of `{function}` must be a text, such as 'name': the host reads it before the transforms run"
            )),
        };
        let (resource, path) = (text(0, "first")?, text(2, "third")?);
        self.needs.add(&resource, [path.as_str()]);
        match found[1].map(|key| (key, parse_literal(key))) {
            None => {}
            Some((key, Some(Value::Null))) if key != "''" => {}
            Some((_, Some(Value::String(join)))) if matches!(join.as_str(), "" | "*") => {}
            Some((_, Some(Value::String(join)))) => {
                self.names.push(join.split('.').next().unwrap_or_default().to_owned());
                self.needs.add(&resource, [join.as_str()]);
            }
            Some(("none" | "{}", _)) => {}
            Some((key, _)) => {
                let labels = key.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(|inner| split_arguments(inner));
                let names: Option<Vec<String>> = labels.and_then(|labels| labels.into_iter().map(label_name).collect());
                let names = names.ok_or_else(|| {
                    format!("the second argument of `{function}` must be a path as a text, or labels with their names as texts, such as {{'device': name}}")
                })?;
                for name in names {
                    self.needs.add(&resource, [format!("labels.{name}").as_str(), name.as_str()]);
                }
            }
        }
        Ok(())
    }
}

/// Returns the name of a label, `'name': value`, if it is a text.
fn label_name(label: &str) -> Option<String> {
    let name = split_at(label, ':').first().and_then(|name| parse_literal(name.trim()))?;
    name.as_str().map(str::to_owned)
}
