//! Lists and dicts that a template changes in place: `{% set _ = out.append(x) %}`.
//!
//! The engine's own do not change. So the value of a variable that a template calls such a method on is wrapped where it is assigned: the source is
//! rewritten to `{% set out = ([])|__mutable %}`. A list that is put into another one is copied, so that no list can hold itself.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value as TemplateValue};

use super::environment::invalid;
use super::operands::{comparable, is_word_at, operand_end};
use super::source::{code_regions, has_raw_block, leading_name};

/// The filter that makes a value one that changes; no name that a project uses.
pub(super) const MUTABLE: &str = "__mutable";

/// The methods that change a list or a dict.
const METHODS: [&str; 11] = ["append", "extend", "insert", "pop", "remove", "sort", "reverse", "clear", "update", "setdefault", "popitem"];

/// Returns the value as one that changes: lists and dicts do, others are as they were.
pub(super) fn mutable(value: TemplateValue) -> Result<TemplateValue, Error> {
    super::environment::defined(&value)?;
    Ok(match value.kind() {
        ValueKind::Seq if !value.is_tuple() => TemplateValue::from_object(List(Mutex::new(value.try_iter()?.collect()))),
        ValueKind::Map => {
            let pairs: Result<Vec<_>, Error> = value.try_iter()?.map(|key| Ok((key.clone(), value.get_item(&key)?))).collect();
            TemplateValue::from_object(Dict(Mutex::new(pairs?)))
        }
        _ => value,
    })
}

/// Returns a value that does not change any more.
fn frozen(value: &TemplateValue) -> TemplateValue {
    if let Some(list) = value.downcast_object_ref::<List>() {
        return list.items().clone().into();
    }
    match value.downcast_object_ref::<Dict>() {
        Some(dict) => dict.pairs().iter().cloned().collect::<indexmap::IndexMap<TemplateValue, TemplateValue>>().into(),
        None => value.clone(),
    }
}

#[derive(Debug)]
struct List(Mutex<Vec<TemplateValue>>);

impl List {
    fn items(&self) -> MutexGuard<'_, Vec<TemplateValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, method: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
        // Python's place in a list: from the end if negative, and within it.
        let within = |at: i64, length: usize| -> usize {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            usize::try_from(if at < 0 { (length + at).max(0) } else { at.min(length) }).unwrap_or(0)
        };
        let nothing = TemplateValue::from(());
        match method {
            "append" => {
                let (item,): (TemplateValue,) = from_args(args)?;
                super::environment::defined(&item)?;
                let item = frozen(&item);
                self.items().push(item);
            }
            "extend" => {
                let (more,): (TemplateValue,) = from_args(args)?;
                let more: Vec<TemplateValue> = more.try_iter()?.map(|item| frozen(&item)).collect();
                self.items().extend(more);
            }
            "insert" => {
                let (at, item): (i64, TemplateValue) = from_args(args)?;
                let item = frozen(&item);
                let mut items = self.items();
                let at = within(at, items.len());
                items.insert(at, item);
            }
            "pop" => {
                let (at,): (Option<i64>,) = from_args(args)?;
                let mut items = self.items();
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = at.unwrap_or(-1);
                let at = usize::try_from(if at < 0 { at + length } else { at }).ok().filter(|at| *at < items.len());
                return at.map(|at| items.remove(at)).ok_or_else(|| invalid("pop index out of range"));
            }
            "remove" => {
                let (item,): (TemplateValue,) = from_args(args)?;
                let mut items = self.items();
                let at = items.iter().position(|known| *known == item).ok_or_else(|| invalid("the item is not in the list"))?;
                items.remove(at);
            }
            "reverse" => self.items().reverse(),
            "clear" => self.items().clear(),
            "sort" => {
                let (kwargs,): (minijinja::value::Kwargs,) = from_args(args)?;
                let is_reverse = kwargs.get::<Option<bool>>("reverse")?.unwrap_or(false);
                kwargs.assert_all_used()?;
                let mut items = self.items();
                if let Some((first, rest)) = items.split_first() {
                    rest.iter().try_for_each(|item| comparable(first, item))?;
                }
                if is_reverse { items.sort_by(|one, other| other.cmp(one)) } else { items.sort() }
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(nothing)
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &TemplateValue) -> Option<TemplateValue> {
        self.items().get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items().clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items().len())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
        self.change(method, args)
    }
}

#[derive(Debug)]
struct Dict(Mutex<Vec<(TemplateValue, TemplateValue)>>);

impl Dict {
    fn pairs(&self) -> MutexGuard<'_, Vec<(TemplateValue, TemplateValue)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, key: TemplateValue, value: TemplateValue) {
        let mut pairs = self.pairs();
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => *place = value,
            None => pairs.push((key, value)),
        }
    }

    fn change(&self, method: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
        let found = |key: &TemplateValue| self.pairs().iter().position(|(known, _)| known == key);
        match method {
            "update" => {
                // The values come before the lock: they may be those of this dict.
                let (more,): (TemplateValue,) = from_args(args)?;
                let pairs: Result<Vec<_>, Error> = more.try_iter()?.map(|key| Ok((key.clone(), frozen(&more.get_item(&key)?)))).collect();
                pairs?.into_iter().for_each(|(key, value)| self.set(key, value));
                Ok(TemplateValue::from(()))
            }
            "setdefault" => {
                let (key, default): (TemplateValue, Option<TemplateValue>) = from_args(args)?;
                if found(&key).is_none() {
                    self.set(key.clone(), frozen(&default.unwrap_or_else(|| TemplateValue::from(()))));
                }
                Ok(found(&key).and_then(|at| self.pairs().get(at).map(|(_, value)| value.clone())).unwrap_or_default())
            }
            "pop" => {
                let (key, default): (TemplateValue, Option<TemplateValue>) = from_args(args)?;
                match (found(&key), default) {
                    (Some(at), _) => Ok(self.pairs().remove(at).1),
                    (None, Some(default)) => Ok(default),
                    (None, None) => Err(invalid(format!("{key} is not a key"))),
                }
            }
            "popitem" => {
                let last = self.pairs().pop().ok_or_else(|| invalid("the dict is empty"))?;
                Ok(TemplateValue::from(minijinja::value::Tuple::from(vec![last.0, last.1])))
            }
            "clear" => {
                self.pairs().clear();
                Ok(TemplateValue::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &TemplateValue) -> Option<TemplateValue> {
        self.pairs().iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.pairs().iter().map(|(key, _)| key.clone()).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.pairs().len())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[TemplateValue]) -> Result<TemplateValue, Error> {
        self.change(method, args)
    }
}

/// Wraps the values of the variables that the template changes in place. Lines stay where they are.
pub(super) fn rewrite(source: &str) -> Cow<'_, str> {
    if has_raw_block(source) || !METHODS.iter().any(|method| source.contains(&format!(".{method}("))) {
        return Cow::Borrowed(source);
    }
    let names: BTreeSet<&str> =
        code_regions(source).into_iter().flat_map(|region| changed(source.get(region).unwrap_or_default())).collect();
    let mut out = String::with_capacity(source.len() + 32);
    let mut done = 0;
    for region in code_regions(source) {
        out.push_str(source.get(done..region.start).unwrap_or_default());
        wrap(source.get(region.clone()).unwrap_or_default(), &names, &mut out);
        done = region.end;
    }
    out.push_str(source.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// Returns the names on which code calls a method that changes them: `out` of `out.append(x)`, `items` of `ns.items.append(x)`.
fn changed(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for method in METHODS {
        for (at, _) in code.match_indices(&format!(".{method}(")) {
            let before = code.get(..at).unwrap_or_default();
            let start = before.rfind(|character: char| !(character.is_alphanumeric() || character == '_')).map_or(0, |at| at + 1);
            names.extend(before.get(start..).filter(|name| !name.is_empty()));
        }
    }
    names
}

/// Writes code with the values that are assigned to the names wrapped.
fn wrap(code: &str, names: &BTreeSet<&str>, out: &mut String) {
    let mut at = 0;
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        let length = match rest.chars().next() {
            Some('\'' | '"') => super::source::text_length(rest),
            Some(_) if is_word_at(code, at) => leading_name(rest).len(),
            Some(other) => other.len_utf8(),
            None => break,
        };
        let word = rest.get(..length).unwrap_or_default();
        out.push_str(word);
        at += length;
        let after = code.get(at..).unwrap_or_default();
        let blanks = after.len() - after.trim_start().len();
        let is_assigned = names.contains(word) && after.trim_start().starts_with('=') && !after.trim_start().starts_with("==");
        if is_assigned {
            let start = at + blanks + 1;
            let end = operand_end(code, start);
            let value = code.get(start..end).unwrap_or_default();
            if !value.trim().is_empty() {
                out.push_str(code.get(at..start).unwrap_or_default());
                out.push_str(" (");
                wrap(value, names, out);
                out.push_str(")|");
                out.push_str(MUTABLE);
                out.push(' ');
                at = end;
            }
        }
    }
}
