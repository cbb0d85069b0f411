//! One kind out of the mappings that feed it.

use std::collections::HashMap;

use infrahub_sync_core::model::Ownership;

use crate::problem::Span;
use crate::project::{self, Mapping, Project};

/// A kind with the fields of all its mappings.
pub(super) struct Kind<'p> {
    pub(super) name: &'p str,
    /// Where its first mapping names it.
    pub(super) span: Span,
    /// The path of its first mapping.
    pub(super) path: String,
    /// The identifiers that a mapping gives.
    pub(super) identifiers: Option<&'p [String]>,
    pub(super) identifier_spans: &'p [Span],
    /// In the order of their first mention.
    pub(super) fields: Vec<Field<'p>>,
    positions: HashMap<&'p str, usize>,
    /// For each of its mappings: the place of its name, its path and the names of its fields.
    pub(super) mappings: Vec<(Span, String, Vec<&'p str>)>,
}

/// A mapped field.
pub(super) struct Field<'p> {
    pub(super) name: &'p str,
    /// The kinds that its mappings refer to, each where it is named first; none for a plain field.
    pub(super) references: Vec<Reference<'p>>,
    /// Where it is named, or where its first reference is.
    pub(super) span: Span,
    pub(super) path: String,
    /// Whose its value is, by each of its mappings.
    pub(super) owned: Vec<Whose>,
}

/// Whose a field's value is, by one mapping.
pub(super) struct Whose {
    /// By the field, its mapping or the project: the nearest that says so.
    pub(super) ownership: Ownership,
    /// Where the field itself says so, else where it is named.
    pub(super) span: Span,
    /// The field itself says so.
    pub(super) by_field: bool,
}

/// A kind that a field refers to.
pub(super) struct Reference<'p> {
    pub(super) kind: &'p str,
    pub(super) span: Span,
    pub(super) path: String,
    /// The generic kind that the project names, where this kind stands for it.
    pub(super) generic: Option<&'p str>,
}

impl<'p> Kind<'p> {
    pub(super) fn field(&self, name: &str) -> Option<&Field<'p>> {
        self.positions.get(name).map(|position| &self.fields[*position])
    }
}

/// Returns the kinds that are synced, in the order of their first mention. Those that an explicit `order` leaves out are not.
pub(super) fn kinds(project: &Project) -> Vec<Kind<'_>> {
    let listed: HashMap<&str, usize> = project.order.iter().enumerate().map(|(at, kind)| (kind.as_str(), at)).collect();
    let mut positions: HashMap<&str, usize> = HashMap::new();
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    for mapping in &project.schema_mapping {
        let name = mapping.name.as_str();
        if !listed.is_empty() && !listed.contains_key(name) {
            continue;
        }
        let path = mapping.path.clone();
        let position = *positions.entry(name).or_insert_with(|| {
            kinds.push(Kind {
                name,
                span: mapping.span,
                path: path.clone(),
                identifiers: None,
                identifier_spans: &[],
                fields: Vec::new(),
                positions: HashMap::new(),
                mappings: Vec::new(),
            });
            kinds.len() - 1
        });
        let kind = &mut kinds[position];
        if kind.identifiers.is_none() {
            kind.identifiers = mapping.identifiers.as_deref();
            kind.identifier_spans = &mapping.identifier_spans;
        }
        let names = mapping.fields.iter().map(|field| field.name.as_str()).collect();
        kind.mappings.push((mapping.span, path.clone(), names));
        for field in &mapping.fields {
            let next = kind.fields.len();
            let known = *kind.positions.entry(&field.name).or_insert(next);
            let (span, path) = (field.reference_spans.first().copied().unwrap_or(field.span), field.path.clone());
            if known == next {
                kind.fields.push(Field { name: &field.name, references: Vec::new(), span, path: path.clone(), owned: Vec::new() });
            }
            let Some(first) = kind.fields.get_mut(known) else { continue };
            first.owned.push(whose(project, mapping, field));
            for (kind, span) in field.references.iter().zip(&field.reference_spans) {
                if first.references.iter().any(|known| known.kind == kind) {
                    continue;
                }
                // A literal in one mapping, a reference in the other: the field is a reference.
                if first.references.is_empty() {
                    (first.span, first.path) = (*span, path.clone());
                }
                first.references.push(Reference { kind, span: *span, path: path.clone(), generic: None });
            }
        }
    }
    kinds
}

/// Returns whose a field's value is: the nearest of field, mapping and project decides. `source` of a mapping or project means the usual rule, that of a
/// field the source alone.
fn whose(project: &Project, mapping: &Mapping, field: &project::Field) -> Whose {
    let above = || mapping.ownership.or(project.ownership).map(|owned| owned.ownership).filter(|owned| *owned != Ownership::Source);
    match field.ownership {
        Some(owned) => Whose { ownership: owned.ownership, span: owned.span, by_field: true },
        None => Whose { ownership: above().unwrap_or_default(), span: field.span, by_field: false },
    }
}
