//! Compiles the mappings of a project: what is read of each resource, and what is made of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use infrahub_sync_config::{Field, FieldSource as ConfigSource, Mapping, Problem, Project, Severity, Span};
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::mapping::feed::{Feed, FieldSource, LINE};
use infrahub_sync_core::mapping::filter::Filter;
use infrahub_sync_core::mapping::lent::{Lends, Lent, Lookup, Needs, Table};
use infrahub_sync_core::mapping::reference::{self, KeyPart, ReferenceRule};
use infrahub_sync_core::mapping::transform::Transforms;
use infrahub_sync_core::model::{FieldModel, FieldType, KindModel, Model};
use infrahub_sync_core::records::{Projection, Records};
use infrahub_sync_runtime::{self as runtime, Addressing, LoadRequest, Manifest, Target, TargetField};

use crate::targets::{Targets, meant_kinds, ordered};
use crate::{EngineError, Side};

/// The statements of a side's adapter about reading.
pub(crate) struct Terms {
    pub(crate) addressing: Addressing,
    pub(crate) rules: Vec<ReferenceRule>,
    /// Its loans to transforms; `None` if they are unknown.
    pub(crate) lends: Option<Lends>,
}

impl Terms {
    /// Takes it from the manifest.
    pub(crate) fn new(side: Side, manifest: &Manifest) -> Terms {
        let addressing = match side {
            Side::Source => manifest.source,
            Side::Destination => manifest.destination,
        };
        let rule = |rule: &runtime::ReferenceRule| match rule {
            runtime::ReferenceRule::FieldName => ReferenceRule::FieldName,
            runtime::ReferenceRule::PeerColumns => ReferenceRule::PeerColumns,
            runtime::ReferenceRule::UniqueId => ReferenceRule::UniqueId,
        };
        let table = |table: &runtime::Table| Table {
            name: table.name.clone(),
            resource: table.resource.clone(),
            key: table.key.clone(),
            value: table.value.clone(),
        };
        Terms {
            addressing: addressing.unwrap_or(Addressing::Mapping),
            rules: manifest.references.iter().map(rule).collect(),
            lends: Some(Lends { tables: manifest.tables.iter().map(table).collect(), lookup: manifest.lookup.clone() }),
        }
    }

    /// Reads without knowing the adapter: enough to check filters and the syntax of transforms.
    pub(crate) fn unknown() -> Terms {
        Terms { addressing: Addressing::Mapping, rules: Vec::new(), lends: None }
    }
}

/// One resource, and the mappings that read it.
pub(crate) struct ResourcePlan {
    pub(crate) resource: String,
    /// The kinds that are made of it, in the form for the adapter.
    targets: Vec<Target>,
    projection: Projection,
    feeds: Vec<MappingFeed>,
    /// Why records that it is lent may not be all.
    doubt: Option<String>,
}

/// A mapping of a resource.
pub(crate) struct MappingFeed {
    /// The position of the mapping in `schema_mapping`; of a destination, that of its kind.
    pub(crate) mapping: usize,
    /// The name of its kind.
    pub(crate) kind: String,
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
        ResourcePlan { resource, targets: Vec::new(), projection: Projection::default(), feeds: Vec::new(), doubt: None }
    }

    /// Returns the request for the first page of all records.
    pub(crate) fn request(&self, page_size: u32) -> LoadRequest {
        let slots = self.projection.slots().iter().map(|(path, _)| path);
        let mut fields: Vec<String> = slots.filter(|path| *path != LINE).cloned().collect();
        fields.extend(self.feeds.iter().flat_map(|each| each.feed.read_whole()).map(|name| format!("{name}.*")));
        fields.extend(self.feeds.iter().flat_map(|each| each.feed.read_deep()).map(str::to_owned));
        fields.sort_unstable();
        fields.dedup();
        LoadRequest { resource: self.resource.clone(), targets: self.targets.clone(), fields, page_size, ..LoadRequest::default() }
    }

    /// Returns what must be read of other resources before the first page.
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        self.feeds.iter().for_each(|each| needs.merge(each.feed.needs()));
        needs
    }

    /// Lends what was read of other resources, before the first page. `doubts`: why the records of a resource may not be all.
    pub(crate) fn lend(&mut self, lent: &Arc<Lent>, doubts: &BTreeMap<String, String>) {
        let doubt = self.needs().resources().find_map(|resource| doubts.get(resource.name()).cloned());
        self.doubt = doubt.map(|doubt| format!("its transforms or look-ups use a list that is not complete: {doubt}"));
        self.feeds.iter_mut().for_each(|each| each.feed.lend(lent));
    }

    /// Returns why records that it is lent may not be all.
    pub(crate) fn doubt(&self) -> Option<String> {
        self.doubt.clone()
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

/// Compiles the mappings of a project for the system that they are read from. `targets`: where the rows are written to.
///
/// # Errors
/// Every filter, transform and look-up that does not compile.
pub(crate) fn source_plans(
    project: &Project,
    model: &Model,
    terms: &Terms,
    targets: Option<&Targets>,
) -> Result<Vec<ResourcePlan>, EngineError> {
    let mut compiler = Compiler { project, model, terms, targets, plans: Vec::new(), problems: Vec::new() };
    for (at, mapping) in project.schema_mapping.iter().enumerate() {
        compiler.mapping(at, mapping);
    }
    if compiler.problems.is_empty() { Ok(compiler.plans) } else { Err(EngineError::Project(compiler.problems)) }
}

struct Compiler<'p> {
    project: &'p Project,
    model: &'p Model,
    terms: &'p Terms,
    targets: Option<&'p Targets>,
    plans: Vec<ResourcePlan>,
    problems: Vec<Problem>,
}

impl<'p> Compiler<'p> {
    fn mapping(&mut self, at: usize, mapping: &'p Mapping) {
        let (project, model) = (self.project, self.model);
        let Some((kind, spec)) = model.kind(&mapping.name) else { return };
        let addressing = self.terms.addressing;
        let resource = match (addressing, &mapping.mapping) {
            (Addressing::Kind, _) => mapping.name.clone(),
            (Addressing::Mapping, Some(resource)) => resource.clone(),
            (Addressing::Mapping, None) => return,
        };
        let filters = self.filters(at, mapping);
        let transforms = self.transforms(at, mapping, spec);
        // Two mappings that read the same objects of a kind are one. Otherwise each object would come twice, with the fields of either.
        let by_kind = addressing == Addressing::Kind;
        let alike = |other: &&Mapping| by_kind && reads_the_same(mapping, other);
        if project.schema_mapping.iter().take(at).any(|before| alike(&before)) {
            return;
        }
        let further = project.schema_mapping.iter().skip(at + 1).filter(alike).flat_map(|other| &other.fields);
        let all: Vec<&Field> = mapping.fields.iter().chain(further).collect();
        let mut read: HashSet<usize> = HashSet::new();
        let fields = all.iter().flat_map(|field| self.field(spec, field, &mut read)).collect();
        let meant = self.meant(spec, mapping);
        let references: Vec<bool> = spec.fields.iter().map(|field| field.reference.is_some() && !self.is_looked_up(field)).collect();
        let target = self.target(spec, Some(&resource).filter(|_| !by_kind), &all);
        let at_plan = self.plan_of(resource);
        let Some(plan) = self.plans.get_mut(at_plan) else { return };
        let mut feed = Feed::new(kind, filters, transforms, fields, &mut plan.projection);
        feed.read_from(&plan.resource, &mut plan.projection);
        feed.mark_references(|at| references.get(at) == Some(&true));
        let position = |name: &String| spec.fields.iter().position(|field| field.name == *name);
        feed.identify_by(spec.identifiers.iter().filter_map(position).collect());
        for (position, meant) in meant {
            feed.hint_peer_kind(position, meant);
        }
        if let (true, Some(resource)) = (self.targets.is_some_and(|targets| targets.are_several(kind)), mapping.resource(Side::Destination))
        {
            feed.write_to(resource);
        }
        plan.targets.push(target);
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
            let one = match &self.terms.lends {
                Some(lends) => Transforms::compile_with(&[(transform.field.clone(), transform.expression.clone())], lends).map(drop),
                None => Transforms::check(&transform.field, &transform.expression),
            };
            if let Err(error) = one {
                good = false;
                self.problem(transform.span, format!("schema_mapping[{at}].transforms[{number}]"), error.to_string());
            }
        }
        let lends = self.terms.lends.as_ref().filter(|_| good)?;
        let pairs: Vec<(String, String)> =
            mapping.transforms.iter().map(|transform| (transform.field.clone(), transform.expression.clone())).collect();
        let text = |name: &str| {
            let fed = mapping.fields.iter().filter(|field| matches!(&field.source, ConfigSource::Path(path) if path == name));
            let mut types = fed.filter_map(|field| spec.fields.iter().find(|known| known.name == field.name)).peekable();
            types.peek().is_some() && types.all(|field| field.field_type == FieldType::Text)
        };
        match Transforms::compile_with(&pairs, lends) {
            Ok(compiled) => Some(compiled.keep_text(text)),
            Err(error) => {
                self.problem(mapping.span, format!("schema_mapping[{at}].transforms"), error.to_string());
                None
            }
        }
    }

    /// Returns the position of a field in its kind, with each place of its value. `read`: the fields that have been taken, by kind.
    fn field(&mut self, spec: &KindModel, field: &Field, read: &mut HashSet<usize>) -> Vec<(usize, FieldSource)> {
        let Some(position) = spec.fields.iter().position(|known| known.name == field.name) else { return Vec::new() };
        let known = spec.fields.get(position);
        let is_reference = known.is_some_and(|known| known.reference.is_some());
        let is_looked_up = known.is_some_and(|known| self.is_looked_up(known));
        let sources = match (self.terms.addressing, &field.source) {
            (_, ConfigSource::Static(value)) => vec![FieldSource::Static(value.clone())],
            (Addressing::Kind, _) if !read.insert(position) => Vec::new(),
            // A system that is addressed by kind knows fields by the names of the model.
            (Addressing::Kind, _) if is_reference => vec![FieldSource::Reference(field.name.clone())],
            (Addressing::Kind, _) => vec![FieldSource::Path(field.name.clone())],
            (Addressing::Mapping, ConfigSource::Path(path)) => {
                self.lookup(field, path).unwrap_or_else(|| vec![FieldSource::Path(path.clone())])
            }
            // The whole value, since the ids of the source mean nothing in the destination.
            (Addressing::Mapping, ConfigSource::Reference(path)) if is_looked_up => {
                self.lookup(field, path).unwrap_or_else(|| vec![FieldSource::Path(path.clone())])
            }
            (Addressing::Mapping, ConfigSource::Reference(path)) => {
                let parts = match field.references.as_slice() {
                    [kind] => self.key_parts(kind),
                    _ => Vec::new(),
                };
                let rules = &self.terms.rules;
                self.lookup(field, path).unwrap_or_else(|| reference::sources(rules, &field.name, path, parts))
            }
            (Addressing::Mapping, ConfigSource::Unmapped) => Vec::new(),
        };
        sources.into_iter().map(|source| (position, source)).collect()
    }

    /// Returns whether the peers of a field are not mapped: they are looked up in the destination.
    fn is_looked_up(&self, field: &FieldModel) -> bool {
        let mut peers = field.peers().filter_map(|peer| self.model.kind(peer)).peekable();
        peers.peek().is_some() && peers.all(|(_, peer)| peer.lookup)
    }

    /// Reads the `mapping:` of a field as a look-up, if the adapter lends the function that it calls.
    fn lookup(&mut self, field: &Field, path: &str) -> Option<Vec<FieldSource>> {
        let function = self.terms.lends.as_ref()?.lookup.as_deref()?;
        match Lookup::parse(path, function)? {
            Ok(lookup) => Some(vec![FieldSource::Lookup(lookup)]),
            Err(message) => {
                self.problem(field.span, field.path.clone(), message);
                Some(Vec::new())
            }
        }
    }

    /// Returns where the first mapping of a kind takes the identifiers of the kind from.
    fn key_parts(&self, kind: &str) -> Vec<(String, KeyPart)> {
        if !self.terms.rules.contains(&ReferenceRule::PeerColumns) {
            return Vec::new();
        }
        let Some((_, spec)) = self.model.kind(kind) else { return Vec::new() };
        let Some(mapping) = self.project.schema_mapping.iter().find(|mapping| mapping.name == kind) else { return Vec::new() };
        let part = |name: &String| {
            let part = match &mapping.fields.iter().find(|field| field.name == *name)?.source {
                ConfigSource::Static(value) => KeyPart::Static(value.clone()),
                ConfigSource::Path(path) | ConfigSource::Reference(path) => KeyPart::Path(path.clone()),
                ConfigSource::Unmapped => return None,
            };
            Some((name.clone(), part))
        };
        // A part of a key that is not there is no key.
        spec.identifiers.iter().map(part).collect::<Option<_>>().unwrap_or_default()
    }

    /// Returns a mapping in the form for the adapter; `resource` is the list that it reads.
    fn target(&self, spec: &KindModel, resource: Option<&String>, fields: &[&Field]) -> Target {
        let mut targets: Vec<TargetField> = Vec::new();
        for field in fields {
            let Some(known) = spec.fields.iter().find(|known| known.name == field.name) else { continue };
            let path = match &field.source {
                ConfigSource::Path(path) | ConfigSource::Reference(path) => Some(path.clone()),
                ConfigSource::Static(_) | ConfigSource::Unmapped => None,
            };
            if !targets.iter().any(|target| target.name == field.name) {
                targets.push(crate::targets::target_field(spec, known, path.filter(|_| resource.is_some())));
            }
        }
        Target { kind: spec.name.clone(), resource: resource.cloned(), fields: ordered(spec, targets) }
    }

    /// Returns the kinds that a mapping's references mean, for fields whose peers may be of several: field and kind by position.
    ///
    /// Empty where the system is addressed by kind. There a mapping reads the field of the model, whichever mapping wrote it.
    fn meant(&self, spec: &KindModel, mapping: &Mapping) -> Vec<(usize, usize)> {
        if self.terms.addressing == Addressing::Kind {
            return Vec::new();
        }
        let of_field = |(position, known): (usize, &FieldModel)| {
            let mapped: Vec<&Field> = mapping.fields.iter().filter(|field| field.name == known.name).collect();
            meant_kinds(self.model, known, &mapped).into_iter().map(move |kind| (position, kind))
        };
        spec.fields.iter().enumerate().flat_map(of_field).collect()
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
                lookup: false,
                unique: Vec::new(),
                fields: Vec::new(),
            });
        }
    }
    model
}

/// Returns what is read back of a destination: each place of each kind, each field at its path there, else by its name. `owners`: also the sync
/// that made each object.
pub(crate) fn destination_plans(model: &Model, targets: &Targets, rules: &[ReferenceRule], owners: bool) -> Vec<ResourcePlan> {
    let mut plans: Vec<ResourcePlan> = Vec::new();
    for place in targets.places() {
        let Some(spec) = model.kinds.get(place.kind) else { continue };
        let resource = place.target.resource.as_ref().unwrap_or(&place.target.kind);
        let at = plans.iter().position(|plan| plan.resource == *resource).unwrap_or_else(|| {
            plans.push(ResourcePlan::new(resource.clone()));
            plans.len() - 1
        });
        let Some(plan) = plans.get_mut(at) else { continue };
        let fields = place.target.fields.iter().flat_map(|field| {
            let position = spec.fields.iter().position(|known| known.name == field.name);
            let path = field.path.as_ref().unwrap_or(&field.name);
            let sources = match field.peers.is_empty() {
                true => vec![FieldSource::Path(path.clone())],
                false => reference::sources(rules, &field.name, path, Vec::new()),
            };
            sources.into_iter().filter_map(move |source| Some((position?, source)))
        });
        let mut feed = Feed::new(place.kind, Vec::new(), None, fields.collect(), &mut plan.projection);
        place.meant.iter().for_each(|(field, kind)| feed.hint_peer_kind(*field, *kind));
        if owners {
            feed.read_owner(&mut plan.projection);
        }
        if targets.are_several(place.kind) {
            feed.write_to(resource);
        }
        plan.targets.push(place.target.clone());
        plan.feeds.push(MappingFeed { mapping: place.kind, kind: spec.name.clone(), fields: spec.fields.len(), feed });
    }
    plans
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

    #[test]
    fn a_filter_asks_for_the_depth_that_it_reads() {
        let mappings = MAPPINGS.replace("field: note, operation: is_empty", "field: parent.namespace.name, operation: is_empty");
        let project = Project::parse(&mappings, Path::new("config.yml"), &|_: &str| None).unwrap_or_else(|problems| panic!("{problems:?}"));
        let model = infrahub_sync_config::resolve(&project, None).unwrap_or_else(|problems| panic!("{problems:?}")).model;
        let terms = Terms { addressing: Addressing::Mapping, ..Terms::unknown() };
        let plans = source_plans(&project, &model, &terms, None).unwrap_or_else(|error| panic!("{error}"));
        let plan = plans.iter().find(|plan| plan.resource == "more").unwrap_or_else(|| panic!("no plan"));
        assert_eq!(plan.request(1).fields, ["display", "id", "parent", "parent.*", "parent.namespace.name"]);
    }

    /// Returns what each mapping makes of a record, by resource.
    fn read(addressing: Addressing, record: &str) -> Vec<(String, RawKind)> {
        let project = Project::parse(MAPPINGS, Path::new("config.yml"), &|_: &str| None).unwrap_or_else(|problems| panic!("{problems:?}"));
        let model = infrahub_sync_config::resolve(&project, None).unwrap_or_else(|problems| panic!("{problems:?}")).model;
        let terms = Terms { addressing, ..Terms::unknown() };
        let plans = source_plans(&project, &model, &terms, None).unwrap_or_else(|error| panic!("{error}"));
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
        let meant: Vec<(&str, Option<usize>)> =
            read.iter().map(|(resource, raw)| (resource.as_str(), raw.peer_kinds(0, 1).next())).collect();
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
        assert_eq!(addresses.peer_kinds(0, 1).next(), None);
    }
}
