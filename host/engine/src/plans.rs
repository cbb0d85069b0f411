//! Compiles the mappings of a project: what is read of each resource, and what is made of it.

use std::collections::HashSet;
use std::sync::Arc;

use infrahub_sync_config::{Field, FieldSource as ConfigSource, Mapping, Problem, Project, Severity, Span};
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::mapping::feed::{Feed, FieldSource};
use infrahub_sync_core::mapping::filter::Filter;
use infrahub_sync_core::mapping::transform::Transforms;
use infrahub_sync_core::model::{FieldType, KindModel, Model};
use infrahub_sync_core::records::{Projection, Records};
use infrahub_sync_runtime::{Addressing, LoadRequest};

use crate::{EngineError, Side};

/// One resource, and the mappings that read it.
pub(crate) struct ResourcePlan {
    pub(crate) resource: String,
    projection: Projection,
    feeds: Vec<MappingFeed>,
}

/// A mapping of a resource.
pub(crate) struct MappingFeed {
    /// The position of the mapping in `schema_mapping`; of a destination, that of its kind.
    pub(crate) mapping: usize,
    /// The name of its kind.
    kind: String,
    /// The number of fields of its kind.
    fields: usize,
    pub(crate) feed: Feed,
}

/// The rows that one mapping made of its resource.
pub(crate) struct Part {
    /// The position of the mapping.
    pub(crate) mapping: usize,
    /// The position of the kind in the model.
    pub(crate) kind: usize,
    pub(crate) rows: RawKind,
}

impl ResourcePlan {
    fn new(resource: String) -> ResourcePlan {
        ResourcePlan { resource, projection: Projection::default(), feeds: Vec::new() }
    }

    /// Returns the request for the first page of all records.
    pub(crate) fn request(&self, side: Side, model: &Model, page_size: u32) -> LoadRequest {
        let mut fields: Vec<String> = self.projection.slots().iter().map(|(path, _)| path.clone()).collect();
        fields.extend(self.feeds.iter().flat_map(|each| each.feed.read_whole()).map(|name| format!("{name}.*")));
        fields.sort_unstable();
        fields.dedup();
        let fields_of = |kind: &KindModel| -> Vec<(String, bool)> {
            kind.fields.iter().map(|field| (field.name.clone(), field.reference.is_some())).collect()
        };
        LoadRequest {
            resource: self.resource.clone(),
            fields,
            model: match side {
                Side::Source => Vec::new(),
                Side::Destination => self.feeds.iter().filter_map(|each| model.kinds.get(each.feed.kind)).flat_map(fields_of).collect(),
            },
            page_size,
            cursor: None,
            since: None,
        }
    }

    /// Returns what a page is read into.
    pub(crate) fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Returns the mappings of the resource.
    pub(crate) fn feeds(&self) -> &[MappingFeed] {
        &self.feeds
    }

    /// Returns the kinds that the resource feeds, each once, in order.
    pub(crate) fn kinds(&self) -> Vec<usize> {
        let mut kinds: Vec<usize> = self.feeds.iter().map(|each| each.feed.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Returns empty rows, one set a mapping.
    pub(crate) fn empty(&self) -> Vec<RawKind> {
        self.feeds.iter().map(|each| RawKind::new(each.fields)).collect()
    }

    /// Adds the records of a page to the rows of each mapping.
    ///
    /// # Errors
    /// When a filter or transform fails on a record.
    pub(crate) fn append(&self, records: &Records, into: &mut [RawKind]) -> Result<(), EngineError> {
        for (each, raw) in self.feeds.iter().zip(into) {
            let error = |source| EngineError::Mapping { kind: each.kind.clone(), resource: self.resource.clone(), source };
            each.feed.append(records, raw).map_err(error)?;
        }
        Ok(())
    }

    /// Names the mapping and the kind of each set of rows.
    pub(crate) fn parts(&self, into: Vec<RawKind>) -> Vec<Part> {
        let part = |(each, rows): (&MappingFeed, RawKind)| Part { mapping: each.mapping, kind: each.feed.kind, rows };
        self.feeds.iter().zip(into).map(part).collect()
    }
}

/// Compiles the mappings of a project for the system that they are read from.
///
/// # Errors
/// Every filter and transform that does not compile.
pub(crate) fn source_plans(project: &Project, model: &Model, addressing: Addressing) -> Result<Vec<Arc<ResourcePlan>>, EngineError> {
    let mut compiler = Compiler { project, model, addressing, plans: Vec::new(), problems: Vec::new() };
    for (at, mapping) in project.schema_mapping.iter().enumerate() {
        compiler.mapping(at, mapping);
    }
    if compiler.problems.is_empty() {
        Ok(compiler.plans.into_iter().map(Arc::new).collect())
    } else {
        Err(EngineError::Project(compiler.problems))
    }
}

struct Compiler<'p> {
    project: &'p Project,
    model: &'p Model,
    addressing: Addressing,
    plans: Vec<ResourcePlan>,
    problems: Vec<Problem>,
}

impl<'p> Compiler<'p> {
    fn mapping(&mut self, at: usize, mapping: &'p Mapping) {
        let (project, model) = (self.project, self.model);
        let Some((kind, spec)) = model.kind(&mapping.name) else { return };
        let resource = match (self.addressing, &mapping.mapping) {
            (Addressing::Kind, _) => mapping.name.clone(),
            (Addressing::Mapping, Some(resource)) => resource.clone(),
            (Addressing::Mapping, None) => return,
        };
        let filters = self.filters(at, mapping);
        let transforms = self.transforms(at, mapping, spec);
        // Two mappings that read the same objects of a kind are one. Otherwise each object would come twice, with the fields of either.
        let by_kind = self.addressing == Addressing::Kind;
        let alike = |other: &&Mapping| by_kind && reads_the_same(mapping, other);
        if project.schema_mapping.iter().take(at).any(|before| alike(&before)) {
            return;
        }
        let further = project.schema_mapping.iter().skip(at + 1).filter(alike).flat_map(|other| &other.fields);
        let mut read: HashSet<usize> = HashSet::new();
        let fields = mapping.fields.iter().chain(further).filter_map(|field| self.field(spec, field, &mut read)).collect();
        let meant = self.meant(spec, mapping);
        let at_plan = self.plan_of(resource);
        let Some(plan) = self.plans.get_mut(at_plan) else { return };
        let mut feed = Feed::new(kind, filters, transforms, fields, &mut plan.projection);
        feed.mark_references(|at| spec.fields.get(at).is_some_and(|field| field.reference.is_some()));
        for (position, meant) in meant {
            feed.hint_peer_kind(position, meant);
        }
        plan.feeds.push(MappingFeed { mapping: at, kind: spec.name.clone(), fields: spec.fields.len(), feed });
    }

    /// Returns the position of a resource's plan, making one if it has none.
    fn plan_of(&mut self, resource: String) -> usize {
        let known = self.plans.iter().position(|plan| plan.resource == resource);
        known.unwrap_or_else(|| {
            self.plans.push(ResourcePlan::new(resource));
            self.plans.len() - 1
        })
    }

    fn filters(&mut self, at: usize, mapping: &Mapping) -> Vec<Filter> {
        let mut filters = Vec::new();
        for (number, filter) in mapping.filters.iter().enumerate() {
            match Filter::compile(&filter.field, &filter.operation, filter.value.as_ref()) {
                Ok(filter) => filters.push(filter),
                Err(error) => self.problem(filter.span, format!("schema_mapping[{at}].filters[{number}]"), error.to_string()),
            }
        }
        filters
    }

    fn transforms(&mut self, at: usize, mapping: &Mapping, spec: &KindModel) -> Option<Transforms> {
        if mapping.transforms.is_empty() {
            return None;
        }
        // One at a time first: the error names the transform.
        let mut good = true;
        for (number, transform) in mapping.transforms.iter().enumerate() {
            if let Err(error) = Transforms::compile(&[(transform.field.clone(), transform.expression.clone())]) {
                good = false;
                self.problem(transform.span, format!("schema_mapping[{at}].transforms[{number}]"), error.to_string());
            }
        }
        if !good {
            return None;
        }
        let pairs: Vec<(String, String)> =
            mapping.transforms.iter().map(|transform| (transform.field.clone(), transform.expression.clone())).collect();
        let text = |name: &str| {
            let fed = mapping.fields.iter().filter(|field| matches!(&field.source, ConfigSource::Path(path) if path == name));
            let mut types = fed.filter_map(|field| spec.fields.iter().find(|known| known.name == field.name)).peekable();
            types.peek().is_some() && types.all(|field| field.field_type == FieldType::Text)
        };
        match Transforms::compile(&pairs) {
            Ok(compiled) => Some(compiled.keep_text(text)),
            Err(error) => {
                self.problem(mapping.span, format!("schema_mapping[{at}].transforms"), error.to_string());
                None
            }
        }
    }

    /// Returns the position of a field in its kind, and where its value comes from. `read`: the fields that have been taken, by kind.
    fn field(&self, spec: &KindModel, field: &Field, read: &mut HashSet<usize>) -> Option<(usize, FieldSource)> {
        let position = spec.fields.iter().position(|known| known.name == field.name)?;
        let is_reference = spec.fields.get(position).is_some_and(|known| known.reference.is_some());
        let source = match (self.addressing, &field.source) {
            (_, ConfigSource::Static(value)) => FieldSource::Static(value.clone()),
            (Addressing::Kind, _) if !read.insert(position) => return None,
            // A system that is addressed by kind knows fields by the names of the model.
            (Addressing::Kind, _) if is_reference => FieldSource::Reference(field.name.clone()),
            (Addressing::Kind, _) => FieldSource::Path(field.name.clone()),
            (Addressing::Mapping, ConfigSource::Path(path)) => FieldSource::Path(path.clone()),
            (Addressing::Mapping, ConfigSource::Reference { path, .. }) => FieldSource::Reference(path.clone()),
            (Addressing::Mapping, ConfigSource::Unmapped) => return None,
        };
        Some((position, source))
    }

    /// Returns the kinds that a mapping's references mean, for fields whose peers may be of several: field and kind by position.
    ///
    /// Empty where the system is addressed by kind. There a mapping reads the field of the model, whichever mapping wrote it.
    fn meant(&self, spec: &KindModel, mapping: &Mapping) -> Vec<(usize, usize)> {
        if self.addressing == Addressing::Kind {
            return Vec::new();
        }
        let one = |field: &Field| {
            let (position, known) = spec.fields.iter().enumerate().find(|(_, known)| known.name == field.name)?;
            let (kind, _) = self.model.kind(field.reference.as_deref()?)?;
            (!known.also.is_empty()).then_some((position, kind))
        };
        mapping.fields.iter().filter_map(one).collect()
    }

    fn problem(&mut self, span: Span, path: String, message: String) {
        self.problems.push(self.project.problem(Severity::Error, span, path, message));
    }
}

/// Returns whether two mappings take the same objects of one kind and change them in the same way.
fn reads_the_same(one: &Mapping, other: &Mapping) -> bool {
    let filters = |mapping: &Mapping| -> Vec<_> {
        mapping.filters.iter().map(|filter| (filter.field.clone(), filter.operation.clone(), filter.value.clone())).collect()
    };
    let transforms = |mapping: &Mapping| -> Vec<_> {
        mapping.transforms.iter().map(|transform| (transform.field.clone(), transform.expression.clone())).collect()
    };
    one.name == other.name && filters(one) == filters(other) && transforms(one) == transforms(other)
}

/// Returns the kinds of a project that does not resolve: names only, enough to compile its filters and transforms.
pub(crate) fn bare_model(project: &Project) -> Model {
    let mut model = Model::default();
    for mapping in &project.schema_mapping {
        if model.kind(&mapping.name).is_none() {
            model.kinds.push(KindModel {
                name: mapping.name.clone(),
                identifiers: Vec::new(),
                tier: 0,
                deferred: Vec::new(),
                fields: Vec::new(),
            });
        }
    }
    model
}

/// Returns what is read back of a destination: each kind by its name, each field by its name.
pub(crate) fn destination_plans(model: &Model) -> Vec<Arc<ResourcePlan>> {
    let plan = |(at, kind): (usize, &KindModel)| {
        let fields = kind
            .fields
            .iter()
            .enumerate()
            .map(|(at, field)| match field.reference {
                Some(_) => (at, FieldSource::Reference(field.name.clone())),
                None => (at, FieldSource::Path(field.name.clone())),
            })
            .collect();
        let mut plan = ResourcePlan::new(kind.name.clone());
        let feed = Feed::new(at, Vec::new(), None, fields, &mut plan.projection);
        plan.feeds.push(MappingFeed { mapping: at, kind: kind.name.clone(), fields: kind.fields.len(), feed });
        Arc::new(plan)
    };
    model.kinds.iter().enumerate().map(plan).collect()
}
#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const MAPPINGS: &str = "name: a
source: {name: x}
destination: {name: y}
schema_mapping:
  - {name: Port, mapping: ports, identifiers: [name], fields: [{name: name, mapping: label}]}
  - {name: VmPort, mapping: vm_ports, identifiers: [name], fields: [{name: name, mapping: label}]}
  - name: Address
    mapping: addresses
    identifiers: [address]
    fields: [{name: address, mapping: display}, {name: interface, mapping: at, reference: Port}]
  - name: Address
    mapping: vm_addresses
    fields: [{name: address, mapping: display}, {name: interface, mapping: at, reference: VmPort}, {name: note, mapping: note}]
  - name: Address
    mapping: more
    filters: [{field: note, operation: is_empty}]
    fields: [{name: address, mapping: display}]
";

    /// Returns what each mapping makes of a record, by resource.
    fn read(addressing: Addressing, record: &str) -> Vec<(String, RawKind)> {
        let project = Project::parse(MAPPINGS, Path::new("config.yml"), &|_: &str| None).unwrap_or_else(|problems| panic!("{problems:?}"));
        let model = infrahub_sync_config::resolve(&project, None).unwrap_or_else(|problems| panic!("{problems:?}")).model;
        let plans = source_plans(&project, &model, addressing).unwrap_or_else(|error| panic!("{error}"));
        let mut read = Vec::new();
        for plan in plans {
            let records = plan.projection.json(record, "").unwrap_or_else(|error| panic!("{error}"));
            let mut rows = plan.empty();
            plan.append(&records, &mut rows).unwrap_or_else(|error| panic!("{error}"));
            read.extend(rows.into_iter().map(|raw| (plan.resource.clone(), raw)));
        }
        read
    }

    #[test]
    fn mapping_says_which_kind_its_reference_means() {
        let read = read(Addressing::Mapping, r#"[{"id": 1, "display": "a", "at": {"id": 7}}]"#);
        let meant: Vec<(&str, Option<usize>)> = read.iter().map(|(resource, raw)| (resource.as_str(), raw.peer_kind(0, 1))).collect();
        assert_eq!(meant, [("ports", None), ("vm_ports", None), ("addresses", Some(0)), ("vm_addresses", Some(1)), ("more", None)]);
    }

    #[test]
    fn mappings_that_read_the_same_objects_of_a_kind_are_one() {
        let read = read(Addressing::Kind, r#"[{"id": 1, "address": "a", "interface": {"id": "u"}, "note": "n", "at": {"id": 7}}]"#);
        let rows: Vec<(&str, usize)> = read.iter().map(|(resource, raw)| (resource.as_str(), raw.rows)).collect();
        // The third has a filter of its own, which this record does not pass.
        assert_eq!(rows, [("Port", 1), ("VmPort", 1), ("Address", 1), ("Address", 0)]);
        let (_, addresses) = &read[2];
        assert_eq!(addresses.columns.iter().map(|column| column.text(0)).collect::<Vec<_>>(), ["a", "u", "n"]);
        assert_eq!(addresses.peer_kind(0, 1), None);
    }
}
