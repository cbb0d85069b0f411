//! The kinds of a project and their places in the destination: what is read back, and what is written.
//!
//! A destination that is addressed by kind has one place a kind. One that is addressed by mapping has one place for each list
//! (`destination_mapping:`, else `mapping:`) that the mappings of the kind name.

use infrahub_sync_base::Side;
use infrahub_sync_config::{Field, Mapping, Problem, Project, Severity, Span};
use infrahub_sync_core::model::{Cardinality, FieldModel, KindModel, Model};
use infrahub_sync_runtime::{Addressing, Manifest, Target, TargetField};

use crate::EngineError;

/// One place of a kind.
pub(crate) struct Place {
    /// The position of the kind in the model.
    pub(crate) kind: usize,
    pub(crate) target: Target,
    /// The kinds that its references may mean, for fields whose peers may be of several: field and kind by position.
    pub(crate) meant: Vec<(usize, usize)>,
}

/// All places of a destination.
pub(crate) struct Targets {
    places: Vec<Place>,
}

impl Targets {
    /// Finds the places of the kinds of a model.
    ///
    /// # Errors
    /// Every kind without a place.
    pub(crate) fn new(project: &Project, model: &Model, manifest: &Manifest) -> Result<Targets, EngineError> {
        let by_mapping = manifest.destination == Some(Addressing::Mapping);
        let mut places = Vec::new();
        let mut problems = Vec::new();
        for (kind, spec) in model.kinds.iter().enumerate() {
            let mappings: Vec<&Mapping> = project.schema_mapping.iter().filter(|mapping| mapping.name == spec.name).collect();
            if !by_mapping {
                let fields = ordered(spec, spec.fields.iter().map(|field| target_field(spec, field, None)).collect());
                places.push(Place { kind, target: Target { kind: spec.name.clone(), resource: None, fields }, meant: Vec::new() });
                continue;
            }
            if spec.lookup {
                problems.push(looked_up_in_lists(project, &spec.name, &manifest.name));
                continue;
            }
            let resources = distinct(mappings.iter().filter_map(|mapping| mapping.resource(Side::Destination)));
            if let (Some(first), true) = (mappings.first(), resources.is_empty()) {
                let message = format!(
                    "`{}` has neither `destination_mapping` nor `mapping`, and the destination `{}` keeps its objects in lists",
                    spec.name, manifest.name
                );
                problems.push(project.problem(Severity::Error, first.span, first.path.clone(), message));
            }
            for resource in resources {
                let of_list: Vec<&Mapping> =
                    mappings.iter().copied().filter(|mapping| mapping.resource(Side::Destination) == Some(resource)).collect();
                places.push(place(model, kind, spec, resource, &of_list));
            }
        }
        if problems.is_empty() { Ok(Targets { places }) } else { Err(EngineError::Project(problems)) }
    }

    /// Returns all places, in the order of the model.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns the place of a row: that of its resource, or the only one of its kind.
    pub(crate) fn of(&self, kind: usize, resource: Option<&str>) -> Option<&Target> {
        let mut places = self.places.iter().filter(|place| place.kind == kind);
        match resource {
            Some(resource) => places.find(|place| place.target.resource.as_deref() == Some(resource)).map(|place| &place.target),
            None => places.next().filter(|_| places.next().is_none()).map(|place| &place.target),
        }
    }

    /// Returns whether the mappings of a kind name several lists, so that each row must name its own.
    pub(crate) fn are_several(&self, kind: usize) -> bool {
        self.places.iter().filter(|place| place.kind == kind).count() > 1
    }
}

/// Reports a kind that is not mapped: where its objects are in a destination that keeps them in lists, only a mapping can say.
fn looked_up_in_lists(project: &Project, kind: &str, destination: &str) -> Problem {
    let fields = project.schema_mapping.iter().flat_map(|mapping| mapping.fields.iter().map(move |field| (mapping, field)));
    let mut named = fields.filter(|(_, field)| field.references.iter().any(|known| known == kind));
    let (place, span, path) = match named.next() {
        Some((mapping, field)) => (format!("`{}.{}`", mapping.name, field.name), field.span, field.path.clone()),
        None => ("a field".to_owned(), Span::default(), String::new()),
    };
    let message = format!(
        "{place} refers to `{kind}`, which is not mapped, and the destination `{destination}` keeps its objects in lists: map `{kind}`"
    );
    project.problem(Severity::Error, span, path, message)
}

fn place(model: &Model, kind: usize, spec: &KindModel, resource: &str, mappings: &[&Mapping]) -> Place {
    let of_field =
        |name: &str| mappings.iter().flat_map(|mapping| &mapping.fields).filter(move |field| field.name == name).collect::<Vec<_>>();
    let mut fields = Vec::new();
    let mut meant = Vec::new();
    for (position, field) in spec.fields.iter().enumerate() {
        let mapped = of_field(&field.name);
        if mapped.is_empty() {
            continue;
        }
        let path = mapped.iter().find_map(|field| field.destination_mapping.clone());
        fields.push(target_field(spec, field, path));
        meant.extend(meant_kinds(model, field, &mapped).into_iter().map(|peer| (position, peer)));
    }
    let target = Target { kind: spec.name.clone(), resource: Some(resource.to_owned()), fields: ordered(spec, fields) };
    Place { kind, target, meant }
}

/// Returns the kinds (by position) that mappings of a field mean, where its peers may be of several. Empty where they may mean any of them.
pub(crate) fn meant_kinds(model: &Model, field: &FieldModel, mapped: &[&Field]) -> Vec<usize> {
    if !field.refers_to_several() {
        return Vec::new();
    }
    let kinds = distinct(mapped.iter().flat_map(|field| &field.references).map(String::as_str));
    // A generic kind, which the model does not have, stands for all.
    let meant: Option<Vec<usize>> = kinds.into_iter().map(|kind| model.kind(kind).map(|(peer, _)| peer)).collect();
    meant.unwrap_or_default()
}

/// Returns a field in the form for the adapter; `path` is its place in the system.
pub(crate) fn target_field(spec: &KindModel, field: &FieldModel, path: Option<String>) -> TargetField {
    TargetField {
        name: field.name.clone(),
        path,
        peers: field.peers().map(str::to_owned).collect(),
        many: field.cardinality == Cardinality::Many,
        identifier: spec.identifiers.contains(&field.name),
    }
}

/// Puts the identifiers first, in the order of the key.
pub(crate) fn ordered(spec: &KindModel, mut fields: Vec<TargetField>) -> Vec<TargetField> {
    let last = spec.identifiers.len();
    fields.sort_by_key(|field| spec.identifiers.iter().position(|name| *name == field.name).unwrap_or(last));
    fields
}

fn distinct<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut found: Vec<&str> = Vec::new();
    for text in texts {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// Returns the targets that a project names, before the kinds are known: the mappings as they are written, and the kinds that they refer to.
pub(crate) fn of_project(project: &Project, manifest: &Manifest) -> Vec<Target> {
    let by_mapping = manifest.destination == Some(Addressing::Mapping);
    let mut targets: Vec<Target> = Vec::new();
    for mapping in &project.schema_mapping {
        let resource = mapping.resource(Side::Destination).filter(|_| by_mapping);
        let at = target_of(&mut targets, &mapping.name, resource);
        let Some(target) = targets.get_mut(at) else { continue };
        for field in &mapping.fields {
            let peer = field.references.iter().cloned();
            match target.fields.iter_mut().find(|known| known.name == field.name) {
                Some(known) => known.peers.extend(peer.filter(|peer| !known.peers.contains(peer)).collect::<Vec<_>>()),
                None => target.fields.push(TargetField {
                    name: field.name.clone(),
                    path: field.destination_mapping.clone().filter(|_| by_mapping),
                    peers: peer.collect(),
                    many: false,
                    identifier: mapping.identifiers.as_ref().is_some_and(|names| names.contains(&field.name)),
                }),
            }
        }
    }
    let peers: Vec<String> =
        project.schema_mapping.iter().flat_map(|mapping| &mapping.fields).flat_map(|field| field.references.clone()).collect();
    for peer in peers {
        if !targets.iter().any(|target| target.kind == peer) {
            targets.push(Target { kind: peer, resource: None, fields: Vec::new() });
        }
    }
    targets
}

fn target_of(targets: &mut Vec<Target>, kind: &str, resource: Option<&str>) -> usize {
    let known = targets.iter().position(|target| target.kind == kind && target.resource.as_deref() == resource);
    known.unwrap_or_else(|| {
        targets.push(Target { kind: kind.to_owned(), resource: resource.map(str::to_owned), fields: Vec::new() });
        targets.len() - 1
    })
}
