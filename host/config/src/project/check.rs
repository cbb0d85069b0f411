//! Checks that need several places of a project at once: references, identifiers, order.

use std::collections::{HashMap, HashSet};

use super::Mapping;
use crate::decode::{Decoder, list_names, suggest};
use crate::problem::{Problem, Severity, Span, nearest};

/// Checks the mappings and the order of a project.
pub(super) fn check(decoder: &mut Decoder<'_>, mappings: &[Mapping], complete: bool, order: &[String], order_spans: &[Span]) {
    let kinds = kind_names(mappings);
    if complete {
        check_order(decoder, &kinds, order, order_spans);
        check_references(decoder, mappings, &kinds, order);
    }
    check_identifiers(decoder, mappings);
    if decoder.problems.iter().any(Problem::is_error) {
        note_unmapped(decoder, mappings, &kinds);
    }
}

/// Notes references to kinds that are not mapped, where a mapped one has nearly the same name. A project without errors is checked against the
/// destination's schema instead; errors must not hide such a mistake.
fn note_unmapped(decoder: &mut Decoder<'_>, mappings: &[Mapping], kinds: &[&str]) {
    let known: HashSet<&str> = kinds.iter().copied().collect();
    for mapping in mappings {
        for field in &mapping.fields {
            for (kind, span) in field.references.iter().zip(&field.reference_spans).filter(|(kind, _)| !known.contains(kind.as_str())) {
                let Some(near) = nearest(kind, kinds.iter().copied()) else { continue };
                let message = format!("`{}.{}` refers to `{kind}`, which is not mapped", mapping.name, field.name);
                let hint = format!("did you mean `{near}`?");
                decoder.report(Severity::Warning, *span, format!("{}.reference", field.path), message, Some(hint));
            }
        }
    }
}

/// Returns the mapped kinds in the order of their first mention: what a hint lists must not depend on a hash.
fn kind_names(mappings: &[Mapping]) -> Vec<&str> {
    let mut seen = HashSet::new();
    mappings.iter().map(|mapping| mapping.name.as_str()).filter(|name| seen.insert(*name)).collect()
}

fn check_order(decoder: &mut Decoder<'_>, kinds: &[&str], order: &[String], spans: &[Span]) {
    let Some(first) = spans.first() else { return };
    let known: HashSet<&str> = kinds.iter().copied().collect();
    let mut listed = HashSet::new();
    for (index, (kind, span)) in order.iter().zip(spans).enumerate() {
        let path = format!("order[{index}]");
        if !known.contains(kind.as_str()) {
            let hint = suggest(kind, kinds.iter().copied(), "mapped kinds");
            decoder.report(Severity::Error, *span, path, format!("`order` names `{kind}`, which is not mapped"), hint);
        } else if !listed.insert(kind.as_str()) {
            decoder.error_hint(*span, path, format!("`order` names `{kind}` a second time"), "keep one of them");
        }
    }
    let left_out: Vec<&str> = kinds.iter().copied().filter(|kind| !listed.contains(kind)).collect();
    if !left_out.is_empty() {
        let message = format!("kinds that are not in `order` are not synced: {}", list_names(left_out));
        let hint = "add them to `order`, or remove `order`: the right order is computed without it".to_owned();
        decoder.report(Severity::Warning, *first, "order", message, Some(hint));
    }
}

/// Reports references to kinds that `order` leaves out. Whether a kind that is not mapped exists, the destination's schema says.
fn check_references(decoder: &mut Decoder<'_>, mappings: &[Mapping], kinds: &[&str], order: &[String]) {
    let known: HashSet<&str> = kinds.iter().copied().collect();
    let listed: HashSet<&str> = order.iter().map(String::as_str).collect();
    for mapping in mappings.iter().filter(|mapping| listed.contains(mapping.name.as_str())) {
        for field in &mapping.fields {
            for (kind, span) in field.references.iter().zip(&field.reference_spans) {
                if known.contains(kind.as_str()) && !listed.contains(kind.as_str()) {
                    let message = format!("`{}.{}` refers to `{kind}`, which is not in `order`", mapping.name, field.name);
                    let hint = format!("add `{kind}` to `order`, or take the field out: its peers are not read");
                    decoder.error_hint(*span, format!("{}.reference", field.path), message, hint);
                }
            }
        }
    }
}

/// Identifiers are fields of their kind, each named once, and the same wherever a kind is mapped.
fn check_identifiers(decoder: &mut Decoder<'_>, mappings: &[Mapping]) {
    let mut fields: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
    for mapping in mappings {
        let known = fields.entry(&mapping.name).or_default();
        let names = names.entry(&mapping.name).or_default();
        names.extend(mapping.fields.iter().map(|field| field.name.as_str()).filter(|name| known.insert(name)));
    }
    let mut first_of: HashMap<&str, &Mapping> = HashMap::new();
    for mapping in mappings {
        let Some(identifiers) = &mapping.identifiers else {
            continue;
        };
        let path = format!("{}.identifiers", mapping.path);
        let mut seen = HashSet::new();
        for (position, (identifier, span)) in identifiers.iter().zip(&mapping.identifier_spans).enumerate() {
            let path = format!("{path}[{position}]");
            if !seen.insert(identifier) {
                decoder.error_hint(*span, path, format!("the identifier `{identifier}` is named twice"), "keep one of them");
                continue;
            }
            let known = names.get(mapping.name.as_str()).cloned().unwrap_or_default();
            let is_field = fields.get(mapping.name.as_str()).is_some_and(|fields| fields.contains(identifier.as_str()));
            // A kind without fields has been reported already.
            if !is_field && !known.is_empty() {
                let hint = suggest(identifier, known, "its fields");
                let message = format!("the identifier `{identifier}` is not a field of `{}`", mapping.name);
                decoder.report(Severity::Error, *span, path, message, hint);
            }
        }
        let first = first_of.entry(&mapping.name).or_insert(mapping);
        // In another order they say the same; the first order holds.
        let is_same = first
            .identifiers
            .as_ref()
            .is_some_and(|first| first.len() == identifiers.len() && first.iter().all(|identifier| seen.contains(identifier)));
        if !is_same {
            let message = format!(
                "`{}` is identified by {} here and by {} on line {}",
                mapping.name,
                list_names(identifiers.iter().map(String::as_str)),
                list_names(first.identifiers.iter().flatten().map(String::as_str)),
                first.identifier_spans.first().map_or(0, |span| span.line),
            );
            let span = mapping.identifier_spans.first().copied().unwrap_or(mapping.span);
            decoder.error_hint(span, path, message, "a kind has one natural key: give the same identifiers, or give them once");
        }
    }
}
