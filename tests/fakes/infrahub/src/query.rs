//! Reads: selections compiled once per kind, then written as JSON straight into the answer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use apollo_compiler::Node;
use apollo_compiler::executable::{Field, SelectionSet};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::document::{Scope, arguments};
use crate::model::{Category, Class, Kind, KindId, Relation, Step};
use crate::mutate::Fail;
use crate::store::{Attr, NodeId, Props, Store, View};
use crate::value::{Interface, read_back};

/// Writes JSON into a buffer.
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    pub(crate) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        // Most texts need no escape.
        if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            self.0.push(b'"');
            self.raw(text);
            self.0.push(b'"');
        } else {
            self.value(&Value::from(text));
        }
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.raw("null"),
            Value::Bool(true) => self.raw("true"),
            Value::Bool(false) => self.raw("false"),
            other => {
                if let Ok(bytes) = serde_json::to_vec(other) {
                    self.0.extend_from_slice(&bytes);
                }
            }
        }
    }

    fn key(&mut self, first: &mut bool, key: &str) {
        self.0.push(if *first { b'{' } else { b',' });
        *first = false;
        self.0.push(b'"');
        self.raw(key);
        self.raw("\":");
    }

    fn texts(&mut self, list: Option<Vec<String>>) {
        let Some(list) = list else { return self.raw("null") };
        self.raw("[");
        for (i, text) in list.iter().enumerate() {
            if i > 0 {
                self.raw(",");
            }
            self.text(text);
        }
        self.raw("]");
    }

    fn close(&mut self, first: bool) {
        self.raw(if first { "{}" } else { "}" });
    }
}

/// A selection on an object of any kind; its plan for each kind is made when the first object of that kind comes.
struct NodeSelection<'d> {
    sets: Vec<&'d SelectionSet>,
    /// Whether the server reads the object together with properties of the relationship, and forgets the human friendly id.
    with_properties: bool,
    /// Whether only the id of a peer of several kinds is asked for, whose kind the server then does not know.
    untyped: bool,
    plans: RefCell<HashMap<KindId, Rc<NodePlan<'d>>>>,
}

struct NodePlan<'d> {
    fields: Vec<(&'d str, NodeField<'d>)>,
}

enum NodeField<'d> {
    Id,
    Hfid,
    /// The human friendly id of what is selected beside it, see [`NodeSelection::with_properties`].
    PartialHfid(Vec<usize>),
    DisplayLabel,
    Typename,
    Attribute(usize, Vec<(&'d str, AttributeField<'d>)>),
    One(usize, Vec<(&'d str, EdgeField<'d>)>),
    Many(usize, Box<ManyPlan<'d>>),
    Constant(Value),
}

enum AttributeField<'d> {
    Value,
    IsDefault,
    IsProtected,
    UpdatedAt,
    UpdatedBy(NodeSelection<'d>),
    Source(NodeSelection<'d>),
    Owner(NodeSelection<'d>),
    Typename,
    Id,
    Derived(String),
    Constant(Value),
}

enum EdgeField<'d> {
    Node(NodeSelection<'d>),
    Metadata(Vec<(&'d str, MetadataField<'d>)>),
    Properties(Vec<(&'d str, PropertyField<'d>)>),
    RelationshipMetadata(Vec<(&'d str, MetadataField<'d>)>),
    Typename,
}

enum MetadataField<'d> {
    CreatedAt,
    UpdatedAt,
    CreatedBy(NodeSelection<'d>),
    UpdatedBy(NodeSelection<'d>),
    Typename,
}

enum PropertyField<'d> {
    IsProtected,
    UpdatedAt,
    Source(NodeSelection<'d>),
    Owner(NodeSelection<'d>),
    Typename,
}

struct ManyPlan<'d> {
    fields: Vec<(&'d str, ManyField<'d>)>,
    arguments: Map<String, Value>,
}

enum ManyField<'d> {
    Count,
    Edges(Vec<(&'d str, EdgeField<'d>)>),
    Permissions(Vec<&'d Node<Field>>),
    Typename,
}

fn sets<'d>(fields: &[&'d Node<Field>]) -> Vec<&'d SelectionSet> {
    fields.iter().map(|f| &f.selection_set).collect()
}

/// A reader: a store, a view of it, and the document that asks.
pub(crate) struct Reader<'s, 'd> {
    pub(crate) store: &'s Store,
    pub(crate) scope: &'s Scope<'d>,
    pub(crate) view: View,
    pub(crate) permissions: &'s dyn Fn(&Kind) -> Value,
    /// The input of the mutation whose object is answered: texts are given back as they were written, and relationships to
    /// one that the mutation had no reason to look at are answered as empty.
    pub(crate) written: Option<&'s Map<String, Value>>,
    /// Where in the answer the writing is.
    pub(crate) path: RefCell<Vec<Place<'d>>>,
    /// Errors of fields that may be null: they do not stop the rest.
    pub(crate) errors: RefCell<Vec<(Vec<Value>, Fail)>>,
}

/// A part of the path of an error.
#[derive(Clone, Copy)]
pub(crate) enum Place<'d> {
    Key(&'d str),
    Index(usize),
}

/// Leaves a place when it is dropped.
pub(crate) struct Entered<'r, 'd> {
    path: &'r RefCell<Vec<Place<'d>>>,
    before: usize,
}

impl Drop for Entered<'_, '_> {
    fn drop(&mut self) {
        self.path.borrow_mut().truncate(self.before);
    }
}

/// The condition of a filter.
enum Test {
    Ids(Vec<String>),
    Value(usize, Vec<Value>),
    Partial(usize, Vec<Value>),
    IsNull(usize, bool),
    Source(usize, String),
    Owner(usize, String),
    IsProtected(usize, bool),
    Any(Vec<Value>),
    AnyPartial(Vec<Value>),
    PeerIds(usize, Vec<String>),
    PeerIsNull(usize, bool),
    Peer(usize, String, Vec<Value>),
    CreatedAt(Bound, i64),
    UpdatedAt(Bound, i64),
    CreatedBy(Vec<String>),
    UpdatedBy(Vec<String>),
    DisplayLabel(Vec<Value>),
    Never,
}

/// A moment, and the account that then acted.
#[derive(Clone, Copy)]
struct Acted<'a> {
    at: i64,
    by: Option<&'a str>,
}

#[derive(Clone, Copy)]
enum Bound {
    At,
    Before,
    After,
}

impl<'s, 'd> Reader<'s, 'd> {
    pub(crate) fn new(
        store: &'s Store,
        scope: &'s Scope<'d>,
        view: View,
        permissions: &'s dyn Fn(&Kind) -> Value,
        written: Option<&'s Map<String, Value>>,
    ) -> Reader<'s, 'd> {
        Reader { store, scope, view, permissions, written, path: RefCell::default(), errors: RefCell::default() }
    }

    /// Enters an alias of the document.
    pub(crate) fn root(&self, key: &'d str) -> Entered<'_, 'd> {
        self.at([Place::Key(key)])
    }

    fn nodes(&self, fields: &[&'d Node<Field>]) -> NodeSelection<'d> {
        NodeSelection { sets: sets(fields), with_properties: false, untyped: false, plans: RefCell::default() }
    }

    fn plan(&self, selection: &NodeSelection<'d>, kind_id: KindId) -> Result<Rc<NodePlan<'d>>, Fail> {
        if let Some(plan) = selection.plans.borrow().get(&kind_id) {
            return Ok(plan.clone());
        }
        let kind = &self.scope.model.kinds[kind_id];
        let mut fields = Vec::new();
        for (key, merged) in self.scope.collect(&selection.sets, &kind.name) {
            let name = merged[0].name.as_str();
            let field = match name {
                "id" => NodeField::Id,
                "hfid" if selection.with_properties => {
                    let selected = self.scope.collect(&selection.sets, &kind.name);
                    NodeField::PartialHfid(selected.iter().filter_map(|(_, f)| kind.attribute(&f[0].name)).collect())
                }
                "hfid" => NodeField::Hfid,
                "display_label" => NodeField::DisplayLabel,
                "__typename" => NodeField::Typename,
                name => match (kind.attribute(name), kind.relation(name)) {
                    (Some(attribute), _) => {
                        NodeField::Attribute(attribute, self.attribute_plan(&kind.attributes[attribute].class, &merged))
                    }
                    (None, Some(relation)) if kind.relations[relation].many => {
                        NodeField::Many(relation, Box::new(self.many_plan(&kind.relations[relation], &merged)?))
                    }
                    (None, Some(relation)) => {
                        NodeField::One(relation, self.edge_plan(&sets(&merged), &kind.relations[relation].peer, true))
                    }
                    (None, None) => NodeField::Constant(Value::Null),
                },
            };
            fields.push((key, field));
        }
        let plan = Rc::new(NodePlan { fields });
        selection.plans.borrow_mut().insert(kind_id, plan.clone());
        Ok(plan)
    }

    fn attribute_plan(&self, class: &Class, merged: &[&'d Node<Field>]) -> Vec<(&'d str, AttributeField<'d>)> {
        let ty = merged[0].ty().inner_named_type();
        let fields = self.scope.collect(&sets(merged), ty);
        let plan = fields.into_iter().map(|(key, merged)| {
            let field = match merged[0].name.as_str() {
                "value" => AttributeField::Value,
                "is_default" => AttributeField::IsDefault,
                "is_protected" => AttributeField::IsProtected,
                "updated_at" => AttributeField::UpdatedAt,
                "updated_by" => AttributeField::UpdatedBy(self.nodes(&merged)),
                "source" => AttributeField::Source(self.nodes(&merged)),
                "owner" => AttributeField::Owner(self.nodes(&merged)),
                "__typename" => AttributeField::Typename,
                "id" => AttributeField::Id,
                "is_from_profile" => AttributeField::Constant(Value::Bool(false)),
                "permissions" => AttributeField::Constant(json!({ "update_value": "ALLOW" })),
                other => AttributeField::Derived(other.to_owned()),
            };
            (key, field)
        });
        let _ = class;
        plan.collect()
    }

    fn edge_plan(&self, sets_of: &[&'d SelectionSet], peer: &str, to_one: bool) -> Vec<(&'d str, EdgeField<'d>)> {
        let ty = sets_of.first().map(|s| s.ty.as_str()).unwrap_or(peer);
        let fields = self.scope.collect(sets_of, ty);
        let nested = ty.starts_with("Nested");
        let with_properties = to_one
            && fields.iter().any(|(_, f)| match f[0].name.as_str() {
                "relationship_metadata" => true,
                "properties" => {
                    let inner = self.scope.collect(&sets(f), "RelationshipProperty");
                    inner.iter().any(|(_, f)| f[0].name != "__typename")
                }
                _ => false,
            });
        let plan = fields.into_iter().map(|(key, merged)| {
            let field = match merged[0].name.as_str() {
                "node" => {
                    let generic = self.scope.model.kind(peer).is_some_and(|k| self.scope.model.kinds[k].category == Category::Generic);
                    let only_id = self.scope.collect(&sets(&merged), peer).iter().all(|(_, f)| f[0].name == "id");
                    EdgeField::Node(NodeSelection { with_properties, untyped: nested && generic && only_id, ..self.nodes(&merged) })
                }
                "node_metadata" => EdgeField::Metadata(self.metadata_plan(&merged)),
                "relationship_metadata" => EdgeField::RelationshipMetadata(self.metadata_plan(&merged)),
                "properties" => EdgeField::Properties(self.property_plan(&merged)),
                _ => EdgeField::Typename,
            };
            (key, field)
        });
        plan.collect()
    }

    fn metadata_plan(&self, merged: &[&'d Node<Field>]) -> Vec<(&'d str, MetadataField<'d>)> {
        let fields = self.scope.collect(&sets(merged), merged[0].ty().inner_named_type());
        let plan = fields.into_iter().map(|(key, merged)| {
            let field = match merged[0].name.as_str() {
                "created_at" => MetadataField::CreatedAt,
                "updated_at" => MetadataField::UpdatedAt,
                "created_by" => MetadataField::CreatedBy(self.nodes(&merged)),
                "updated_by" => MetadataField::UpdatedBy(self.nodes(&merged)),
                _ => MetadataField::Typename,
            };
            (key, field)
        });
        plan.collect()
    }

    fn property_plan(&self, merged: &[&'d Node<Field>]) -> Vec<(&'d str, PropertyField<'d>)> {
        let fields = self.scope.collect(&sets(merged), merged[0].ty().inner_named_type());
        let plan = fields.into_iter().map(|(key, merged)| {
            let field = match merged[0].name.as_str() {
                "is_protected" => PropertyField::IsProtected,
                "updated_at" => PropertyField::UpdatedAt,
                "source" => PropertyField::Source(self.nodes(&merged)),
                "owner" => PropertyField::Owner(self.nodes(&merged)),
                _ => PropertyField::Typename,
            };
            (key, field)
        });
        plan.collect()
    }

    fn many_plan(&self, relation: &Relation, merged: &[&'d Node<Field>]) -> Result<ManyPlan<'d>, Fail> {
        let arguments = arguments(&self.scope.model.graphql, merged[0], self.scope.variables).map_err(|e| Fail::plain(e, 500))?;
        let fields = self.scope.collect(&sets(merged), merged[0].ty().inner_named_type());
        let plan = fields.into_iter().map(|(key, merged)| {
            let field = match merged[0].name.as_str() {
                "count" => ManyField::Count,
                "edges" => ManyField::Edges(self.edge_plan(&sets(&merged), &relation.peer, false)),
                "permissions" => ManyField::Permissions(merged),
                _ => ManyField::Typename,
            };
            (key, field)
        });
        Ok(ManyPlan { fields: plan.collect(), arguments })
    }

    /// Answers a list of a kind or generic: `{count edges{node_metadata node} permissions}`.
    pub(crate) fn list(&self, kind_id: KindId, merged: &[&'d Node<Field>], out: &mut Out) -> Result<(), Fail> {
        let kind = &self.scope.model.kinds[kind_id];
        let arguments = arguments(&self.scope.model.graphql, merged[0], self.scope.variables).map_err(|e| Fail::plain(e, 500))?;
        let (offset, limit) = page(&arguments)?;
        let found = self.select(kind_id, &arguments)?;
        let page: Vec<NodeId> = found.iter().skip(offset).take(limit).copied().collect();
        let mut first = true;
        for (key, merged) in self.scope.collect(&sets(merged), merged[0].ty().inner_named_type()) {
            out.key(&mut first, key);
            match merged[0].name.as_str() {
                "count" => out.value(&Value::from(found.len())),
                "permissions" => {
                    let permissions = json!({ "count": 1, "edges": [{ "node": (self.permissions)(kind) }] });
                    self.project(&permissions, &merged, out);
                }
                "edges" => {
                    let plan = self.edge_plan(&sets(&merged), &kind.name, false);
                    out.raw("[");
                    for (i, node) in page.iter().enumerate() {
                        if i > 0 {
                            out.raw(",");
                        }
                        let _place = self.at([Place::Key(key), Place::Index(i)]);
                        self.edge(&plan, Some(*node), None, merged[0].ty().inner_named_type(), out)?;
                    }
                    out.raw("]");
                }
                _ => out.text(&format!("Paginated{}", kind.name)),
            }
        }
        out.close(first);
        Ok(())
    }

    /// Writes an object as the selection of these fields.
    pub(crate) fn object(&self, node: NodeId, key: &'d str, merged: &[&'d Node<Field>], out: &mut Out) -> Result<(), Fail> {
        let _place = self.at([Place::Key(key)]);
        self.node(node, &self.nodes(merged), out)
    }

    fn edge(
        &self,
        plan: &[(&'d str, EdgeField<'d>)],
        node: Option<NodeId>,
        props: Option<&Props>,
        ty: &str,
        out: &mut Out,
    ) -> Result<(), Fail> {
        let mut first = true;
        for (key, field) in plan {
            out.key(&mut first, key);
            let _place = self.at([Place::Key(key)]);
            match (field, node) {
                (EdgeField::Typename, _) => out.text(ty),
                (EdgeField::Node(selection), Some(_)) if selection.untyped => {
                    self.errors.borrow_mut().push((self.place(), Fail::plain("Unable to identify the type of the instance.", 500)));
                    out.raw("null");
                }
                (EdgeField::Node(selection), Some(node)) => self.node(node, selection, out)?,
                (EdgeField::Metadata(plan), Some(node)) => {
                    let record = &self.store.nodes[node as usize];
                    let state = self.store.state(node, self.view);
                    let created = Acted { at: record.created_at, by: record.created_by.as_deref() };
                    let updated = Acted {
                        at: state.map_or(record.created_at, |s| self.store.updated_at(node, s, self.view)),
                        by: state.and_then(|s| s.updated_by.as_deref()),
                    };
                    self.metadata(plan, created, updated, out)?;
                }
                (EdgeField::RelationshipMetadata(plan), Some(_)) => match props {
                    Some(p) => {
                        let by = p.updated_by.as_deref();
                        self.metadata(plan, Acted { at: p.created_at, by }, Acted { at: p.updated_at, by }, out)?;
                    }
                    None => out.raw("null"),
                },
                (EdgeField::Properties(plan), _) => match props {
                    Some(props) => {
                        let mut first = true;
                        for (key, field) in plan {
                            out.key(&mut first, key);
                            match field {
                                // The server drops what is false from the properties.
                                PropertyField::IsProtected if props.is_protected => out.raw("true"),
                                PropertyField::IsProtected => out.raw("null"),
                                PropertyField::UpdatedAt => out.text(&clock::text(props.updated_at)),
                                PropertyField::Source(selection) => {
                                    self.lineage(props.source.as_deref(), "LineageSource", selection, out)?
                                }
                                PropertyField::Owner(selection) => self.lineage(props.owner.as_deref(), "LineageOwner", selection, out)?,
                                PropertyField::Typename => out.text("RelationshipProperty"),
                            }
                        }
                        out.close(first);
                    }
                    None => {
                        let mut first = true;
                        for (key, field) in plan {
                            out.key(&mut first, key);
                            match field {
                                PropertyField::Typename => out.text("RelationshipProperty"),
                                _ => out.raw("null"),
                            }
                        }
                        out.close(first);
                    }
                },
                (_, None) => out.raw("null"),
            }
        }
        out.close(first);
        Ok(())
    }

    fn metadata(&self, plan: &[(&'d str, MetadataField<'d>)], created: Acted<'_>, updated: Acted<'_>, out: &mut Out) -> Result<(), Fail> {
        let mut first = true;
        for (key, field) in plan {
            out.key(&mut first, key);
            match field {
                MetadataField::CreatedAt => out.text(&clock::text(created.at)),
                MetadataField::UpdatedAt => out.text(&clock::text(updated.at)),
                MetadataField::CreatedBy(selection) => self.lineage(created.by, "CoreGenericAccount", selection, out)?,
                MetadataField::UpdatedBy(selection) => self.lineage(updated.by, "CoreGenericAccount", selection, out)?,
                MetadataField::Typename => out.text("InfrahubNodeMetadata"),
            }
        }
        out.close(first);
        Ok(())
    }

    /// Answers a source, owner or account. An object of the wrong kind has no answer, because ids are not checked when they are written.
    fn lineage(&self, id: Option<&str>, interface: &str, selection: &NodeSelection<'d>, out: &mut Out) -> Result<(), Fail> {
        let node = id.and_then(|id| self.store.node(id)).filter(|n| self.store.state(*n, self.view).is_some());
        let Some(node) = node else {
            out.raw("null");
            return Ok(());
        };
        let kind = self.store.nodes[node as usize].kind;
        if !self.store.is_a(kind, interface) {
            let name = &self.store.kind_of(node).name;
            let message = format!("Runtime Object type '{name}' is not a possible type for '{interface}'.");
            self.errors.borrow_mut().push((self.place(), Fail::plain(message, 500)));
            out.raw("null");
            return Ok(());
        }
        self.node(node, selection, out)
    }

    /// Returns the place in the answer.
    fn place(&self) -> Vec<Value> {
        let places = self.path.borrow();
        let path = places.iter().map(|place| match place {
            Place::Key(key) => Value::from(*key),
            Place::Index(index) => Value::from(*index),
        });
        path.collect()
    }

    /// Enters a place of the answer, until the guard is dropped.
    fn at<const N: usize>(&self, places: [Place<'d>; N]) -> Entered<'_, 'd> {
        let mut path = self.path.borrow_mut();
        let before = path.len();
        path.extend(places);
        Entered { path: &self.path, before }
    }

    fn node(&self, node: NodeId, selection: &NodeSelection<'d>, out: &mut Out) -> Result<(), Fail> {
        let Some(state) = self.store.state(node, self.view) else {
            out.raw("null");
            return Ok(());
        };
        let record = &self.store.nodes[node as usize];
        let kind = &self.scope.model.kinds[record.kind];
        let plan = self.plan(selection, record.kind)?;
        let mut first = true;
        for (key, field) in &plan.fields {
            out.key(&mut first, key);
            let _place = self.at([Place::Key(key)]);
            match field {
                NodeField::Id => out.text(&record.id),
                NodeField::Typename => out.text(&kind.name),
                NodeField::DisplayLabel => out.text(&self.store.display_label(node, state, self.view)),
                NodeField::Hfid => out.texts(self.store.hfid(node, state, self.view)),
                NodeField::PartialHfid(selected) => {
                    let steps = kind.hfid.as_ref().map(|steps| {
                        let known = |step: &&Step| !matches!(step, Step::Own(attribute, _) if !selected.contains(attribute));
                        steps.iter().filter(known).cloned().collect::<Vec<Step>>()
                    });
                    out.texts(steps.map(|steps| self.store.hfid_of(node, state, &steps, self.view)));
                }
                NodeField::Attribute(index, plan) => self.attribute(node, *index, &state.attributes[*index], plan, out)?,
                NodeField::One(relation, plan) => {
                    let seen = self.written.is_none_or(|data| looked_at(kind, *relation, plan, data));
                    let edge = self.store.edges_of(node, &kind.relations[*relation], self.view).next().filter(|_| seen);
                    let peer = &kind.relations[*relation].peer;
                    match edge {
                        Some((_, peer_node, props)) => {
                            self.edge(plan, Some(peer_node), Some(props), &format!("NestedEdged{peer}"), out)?;
                        }
                        None => self.edge(plan, None, None, &format!("NestedEdged{peer}"), out)?,
                    }
                }
                NodeField::Many(relation, plan) => self.many(node, &kind.relations[*relation], plan, out)?,
                NodeField::Constant(value) => out.value(value),
            }
        }
        out.close(first);
        Ok(())
    }

    fn many(&self, node: NodeId, relation: &Relation, plan: &ManyPlan<'d>, out: &mut Out) -> Result<(), Fail> {
        let (offset, limit) = page(&plan.arguments)?;
        let mut edges: Vec<(NodeId, &Props)> = self.store.edges_of(node, relation, self.view).map(|(_, p, props)| (p, &**props)).collect();
        if let Some(peer_kind) = self.scope.model.kind(&relation.peer) {
            let tests = self.tests(peer_kind, &plan.arguments)?;
            if !tests.is_empty() {
                edges.retain(|(peer, _)| tests.iter().all(|(name, _)| self.passes(*peer, &self.test_for(*peer, name, &plan.arguments))));
            }
            if !disabled(&plan.arguments) {
                self.sort(peer_kind, &mut edges, |e| e.0, &plan.arguments)?;
            }
        }
        let count = edges.len();
        // Two edges to one peer are counted twice, but listed once.
        let mut listed = std::collections::HashSet::new();
        edges.retain(|(peer, _)| listed.insert(*peer));
        let mut first = true;
        for (key, field) in &plan.fields {
            out.key(&mut first, key);
            match field {
                ManyField::Count => out.value(&Value::from(count)),
                ManyField::Typename => out.text(&format!("NestedPaginated{}", relation.peer)),
                ManyField::Permissions(merged) => {
                    let node = self.scope.model.kind(&relation.peer).map(|k| (self.permissions)(&self.scope.model.kinds[k]));
                    self.project(&json!({ "count": 1, "edges": [{ "node": node }] }), merged, out);
                }
                // The server reads peers only for what is asked of them.
                ManyField::Edges(plan) if plan.iter().all(|(_, field)| matches!(field, EdgeField::Typename)) => out.raw("[]"),
                ManyField::Edges(plan) => {
                    out.raw("[");
                    for (i, (peer, props)) in edges.iter().skip(offset).take(limit).enumerate() {
                        if i > 0 {
                            out.raw(",");
                        }
                        let _place = self.at([Place::Key(key), Place::Index(i)]);
                        self.edge(plan, Some(*peer), Some(props), &format!("NestedEdged{}", relation.peer), out)?;
                    }
                    out.raw("]");
                }
            }
        }
        out.close(first);
        Ok(())
    }

    fn attribute(
        &self,
        node: NodeId,
        index: usize,
        attr: &Attr,
        plan: &[(&'d str, AttributeField<'d>)],
        out: &mut Out,
    ) -> Result<(), Fail> {
        let record = &self.store.nodes[node as usize];
        let schema = &self.scope.model.kinds[record.kind].attributes[index];
        let mut first = true;
        for (key, field) in plan {
            out.key(&mut first, key);
            let _place = self.at([Place::Key(key)]);
            match field {
                AttributeField::Value => match if self.written.is_some() { &attr.value } else { read_back(&attr.value) } {
                    Value::String(text) => out.text(text),
                    // The server forgets fractions when it answers.
                    Value::Number(number) if number.is_f64() => out.raw("null"),
                    other => out.value(other),
                },
                AttributeField::IsDefault => out.value(&Value::Bool(attr.is_default)),
                AttributeField::IsProtected => out.value(&Value::Bool(attr.is_protected)),
                AttributeField::UpdatedAt => out.text(&clock::text(attr.updated_at)),
                AttributeField::UpdatedBy(selection) => self.lineage(attr.updated_by.as_deref(), "CoreGenericAccount", selection, out)?,
                AttributeField::Source(selection) => self.lineage(attr.source.as_deref(), "LineageSource", selection, out)?,
                AttributeField::Owner(selection) => self.lineage(attr.owner.as_deref(), "LineageOwner", selection, out)?,
                AttributeField::Typename => out.text(typename(schema.class)),
                AttributeField::Id => {
                    // Attributes are objects of their own on the server; here their ids only have to differ.
                    out.text(&format!("{}-a{index:03x}{}", &record.id[..18], &record.id[23..]));
                }
                AttributeField::Derived(name) => out.value(&derived(schema.class, &attr.value, name, schema)),
                AttributeField::Constant(value) => out.value(value),
            }
        }
        out.close(first);
        Ok(())
    }

    /// Returns the objects that pass the filters, in the order that is asked for.
    fn select(&self, kind_id: KindId, arguments: &Map<String, Value>) -> Result<Vec<NodeId>, Fail> {
        let model = self.scope.model;
        let kind = &model.kinds[kind_id];
        if let Some(hfid) = arguments.get("hfid").and_then(Value::as_array).filter(|h| !h.is_empty()) {
            let hfid: Vec<String> = hfid.iter().map(|v| crate::value::python(v, false)).collect();
            let identifier = hfid.join(" :: ");
            let missing = |message: String| Fail::Other {
                message,
                code: "NODE_NOT_FOUND",
                status: 404,
                data: json!({ "node_kind": kind.name, "identifier": identifier }),
            };
            return match &kind.hfid {
                None => Err(missing(format!("Unable to lookup node by HFID, schema '{}' does not have a HFID defined.", kind.name))),
                Some(steps) if steps.len() != hfid.len() => {
                    let list = crate::value::python(&Value::from(hfid), true);
                    let text = "HFID does not contain the same number of elements as";
                    Err(missing(format!("Unable to lookup node by HFID, schema '{}' {text} {list}", kind.name)))
                }
                Some(_) => Ok(self.store.by_hfid(kind_id, &hfid, self.view)),
            };
        }
        let tests = self.tests(kind_id, arguments)?;
        let start: Vec<NodeId> = match arguments.get("ids").and_then(Value::as_array) {
            Some(ids) => {
                let mut nodes: Vec<NodeId> = ids.iter().filter_map(Value::as_str).filter_map(|id| self.store.node(id)).collect();
                nodes.sort_unstable();
                nodes.dedup();
                nodes.retain(|n| kind.concrete.contains(&self.store.nodes[*n as usize].kind));
                nodes
            }
            None => self.start(kind_id, arguments),
        };
        let mut found: Vec<NodeId> = Vec::new();
        // Filters are resolved for each concrete kind: a generic's attributes stand elsewhere in the kinds that use it.
        let mut resolved: HashMap<KindId, Vec<Test>> = HashMap::new();
        for node in start {
            if self.store.state(node, self.view).is_none() {
                continue;
            }
            let concrete = self.store.nodes[node as usize].kind;
            let tests =
                resolved.entry(concrete).or_insert_with(|| tests.iter().map(|(name, _)| self.test(concrete, name, arguments)).collect());
            if tests.iter().all(|test| self.passes(node, test)) {
                found.push(node);
            }
        }
        if !disabled(arguments) {
            self.sort(kind_id, &mut found, |n| *n, arguments)?;
        }
        Ok(found)
    }

    /// Returns the objects to begin with: those of the kind, or fewer if an index answers a filter.
    fn start(&self, kind_id: KindId, arguments: &Map<String, Value>) -> Vec<NodeId> {
        let model = self.scope.model;
        let kind = &model.kinds[kind_id];
        let partial = arguments.get("partial_match") == Some(&Value::Bool(true));
        if let Some([Step::Own(attribute, _)]) = kind.hfid.as_deref()
            && !partial
            && let Some(value) = arguments.get(&format!("{}__value", kind.attributes[*attribute].name)).filter(|v| v.is_string())
        {
            let key = Store::tuple_key(kind_id, "hfid", &[crate::store::part(Some(value.clone()))]);
            let mut nodes = self.store.candidates(&key).to_vec();
            nodes.sort_unstable();
            return nodes;
        }
        let mut nodes: Vec<NodeId> = kind.concrete.iter().flat_map(|k| self.store.nodes_of(*k)).copied().collect();
        if kind.concrete.len() > 1 {
            nodes.sort_unstable();
        }
        nodes
    }

    fn sort<T>(&self, kind_id: KindId, list: &mut Vec<T>, node: impl Fn(&T) -> NodeId, arguments: &Map<String, Value>) -> Result<(), Fail> {
        let order = &arguments.get("order").cloned().unwrap_or(Value::Null);
        let mut keys: Vec<(String, bool)> = Vec::new();
        for item in order["by"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let field = item["field"].as_str().unwrap_or_default().to_owned();
            let first = field.split("__").next().unwrap_or_default();
            let kind = &self.scope.model.kinds[kind_id];
            if first != "node_metadata" && kind.attribute(first).is_none() && kind.relation(first).is_none() {
                return Err(Fail::plain(format!("attribute '{first}' not defined on this schema (field: '{field}')."), 422));
            }
            keys.push((field, item["direction"] == "DESC"));
        }
        for field in ["created_at", "updated_at"] {
            if let Some(direction) = order["node_metadata"][field].as_str() {
                keys.push((format!("node_metadata__{field}"), direction == "DESC"));
            }
        }
        let steps = &self.scope.model.kinds[kind_id].order_by;
        // One object needs no order to the server, not even one that is asked for.
        let single = arguments.get("limit").and_then(Value::as_i64) == Some(1);
        if single || (keys.is_empty() && steps.is_empty()) {
            list.sort_by(|a, b| self.store.nodes[node(a) as usize].id.cmp(&self.store.nodes[node(b) as usize].id));
            return Ok(());
        }
        let mut decorated: Vec<(Vec<SortKey>, T)> = Vec::with_capacity(list.len());
        for entry in list.drain(..) {
            let id = node(&entry);
            let sort = if keys.is_empty() {
                let concrete = self.store.nodes[id as usize].kind;
                let own;
                let steps = if concrete == kind_id {
                    steps
                } else {
                    own = self.store.translate(kind_id, concrete, steps);
                    &own
                };
                steps
                    .iter()
                    .map(|step| {
                        SortKey::new(self.store.state(id, self.view).and_then(|s| self.store.step_value(id, s, step, self.view)), false)
                    })
                    .collect()
            } else {
                keys.iter().map(|(field, desc)| SortKey::new(self.sort_value(id, field), *desc)).collect()
            };
            decorated.push((sort, entry));
        }
        decorated.sort_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| self.store.nodes[node(&a.1) as usize].id.cmp(&self.store.nodes[node(&b.1) as usize].id))
        });
        list.extend(decorated.into_iter().map(|(_, entry)| entry));
        Ok(())
    }

    fn sort_value(&self, node: NodeId, field: &str) -> Option<Value> {
        let state = self.store.state(node, self.view)?;
        match field {
            "node_metadata__created_at" => Some(Value::from(self.store.nodes[node as usize].created_at)),
            "node_metadata__updated_at" => Some(Value::from(self.store.updated_at(node, state, self.view))),
            path => {
                let kind = self.store.kind_of(node);
                let (first, rest) = path.split_once("__").unwrap_or((path, "value"));
                let step = match (kind.attribute(first), kind.relation(first)) {
                    (Some(attribute), _) => Step::Own(attribute, rest.to_owned()),
                    (None, Some(relation)) => {
                        let (attribute, property) = rest.split_once("__").unwrap_or((rest, "value"));
                        Step::Peer(relation, attribute.to_owned(), property.to_owned())
                    }
                    _ => return None,
                };
                self.store.step_value(node, state, &step, self.view)
            }
        }
    }

    /// Returns the names of the arguments that filter, checked once against the kind that is asked.
    fn tests(&self, kind: KindId, arguments: &Map<String, Value>) -> Result<Vec<(String, ())>, Fail> {
        let plain = ["offset", "limit", "order", "partial_match", "ids", "hfid", "include_descendants"];
        let _ = kind;
        Ok(arguments
            .iter()
            .filter(|(name, value)| (!plain.contains(&name.as_str()) || name.as_str() == "ids") && !value.is_null())
            .filter(|(name, _)| name.contains("__") || name.as_str() == "ids" || name.as_str() == "isnull")
            .map(|(name, _)| (name.clone(), ()))
            .collect())
    }

    fn test_for(&self, node: NodeId, name: &str, arguments: &Map<String, Value>) -> Test {
        self.test(self.store.nodes[node as usize].kind, name, arguments)
    }

    fn test(&self, kind_id: KindId, name: &str, arguments: &Map<String, Value>) -> Test {
        let kind = &self.scope.model.kinds[kind_id];
        let value = &arguments[name];
        let list = || match value {
            Value::Array(list) => list.clone(),
            single => vec![single.clone()],
        };
        let texts = || list().iter().filter_map(|v| v.as_str().map(str::to_owned)).collect::<Vec<_>>();
        let flag = value == &Value::Bool(true);
        let partial = arguments.get("partial_match") == Some(&Value::Bool(true));
        if name == "ids" {
            return Test::Ids(texts());
        }
        let Some((first, rest)) = name.split_once("__") else { return Test::IsNull(usize::MAX, flag) };
        if first == "node_metadata" {
            let at = value.as_str().and_then(|text| clock::parse(text, self.view.at)).unwrap_or(i64::MAX);
            return match rest {
                "created_at" => Test::CreatedAt(Bound::At, at),
                "created_at__before" => Test::CreatedAt(Bound::Before, at),
                "created_at__after" => Test::CreatedAt(Bound::After, at),
                "updated_at" => Test::UpdatedAt(Bound::At, at),
                "updated_at__before" => Test::UpdatedAt(Bound::Before, at),
                "updated_at__after" => Test::UpdatedAt(Bound::After, at),
                "created_by__id" | "created_by__ids" => Test::CreatedBy(texts()),
                _ => Test::UpdatedBy(texts()),
            };
        }
        if first == "any" {
            return if partial { Test::AnyPartial(list()) } else { Test::Any(list()) };
        }
        if first == "display_label" {
            return Test::DisplayLabel(list());
        }
        if let Some(attribute) = kind.attribute(first) {
            return match rest {
                "value" | "values" if partial => Test::Partial(attribute, list()),
                "value" | "values" => Test::Value(attribute, list()),
                "isnull" => Test::IsNull(attribute, flag),
                "source__id" => Test::Source(attribute, value.as_str().unwrap_or_default().to_owned()),
                "owner__id" => Test::Owner(attribute, value.as_str().unwrap_or_default().to_owned()),
                "is_protected" => Test::IsProtected(attribute, flag),
                _ => Test::Never,
            };
        }
        match kind.relation(first) {
            Some(relation) => match rest {
                "ids" => Test::PeerIds(relation, texts()),
                "isnull" => Test::PeerIsNull(relation, flag),
                rest => {
                    let (attribute, _) = rest.split_once("__").unwrap_or((rest, ""));
                    Test::Peer(relation, attribute.to_owned(), list())
                }
            },
            None => Test::Never,
        }
    }

    fn passes(&self, node: NodeId, test: &Test) -> bool {
        let Some(state) = self.store.state(node, self.view) else { return false };
        let record = &self.store.nodes[node as usize];
        let kind = &self.scope.model.kinds[record.kind];
        let bound = |bound: Bound, at: i64, limit: i64| match bound {
            Bound::At => at == limit,
            Bound::Before => at < limit,
            Bound::After => at > limit,
        };
        let by = |by: Option<&str>, ids: &[String]| by.is_some_and(|by| ids.iter().any(|id| id == by));
        match test {
            Test::Ids(ids) => ids.iter().any(|id| **id == *record.id),
            Test::Value(attribute, values) => matches(&state.attributes[*attribute].value, values),
            Test::Partial(attribute, values) => contains(&state.attributes[*attribute].value, values),
            Test::IsNull(attribute, flag) => state.attributes.get(*attribute).is_none_or(|a| read_back(&a.value).is_null() == *flag),
            Test::Source(attribute, id) => state.attributes[*attribute].source.as_deref() == Some(id.as_str()),
            Test::Owner(attribute, id) => state.attributes[*attribute].owner.as_deref() == Some(id.as_str()),
            Test::IsProtected(attribute, flag) => state.attributes[*attribute].is_protected == *flag,
            Test::AnyPartial(values) => state.attributes.iter().any(|a| contains(&a.value, values)),
            Test::Any(values) => state.attributes.iter().any(|a| matches(&a.value, values)),
            Test::PeerIds(relation, ids) => self
                .store
                .edges_of(node, &kind.relations[*relation], self.view)
                .any(|(_, peer, _)| ids.iter().any(|id| **id == *self.store.nodes[peer as usize].id)),
            Test::PeerIsNull(relation, flag) => self.store.peer_of(node, &kind.relations[*relation], self.view).is_none() == *flag,
            Test::Peer(relation, attribute, values) => {
                self.store.edges_of(node, &kind.relations[*relation], self.view).any(|(_, peer, _)| {
                    let Some(index) = self.store.kind_of(peer).attribute(attribute) else {
                        return attribute == "display_label"
                            && self
                                .store
                                .state(peer, self.view)
                                .is_some_and(|s| matches(&Value::from(self.store.display_label(peer, s, self.view)), values));
                    };
                    self.store.state(peer, self.view).is_some_and(|s| matches(&s.attributes[index].value, values))
                })
            }
            Test::CreatedAt(b, at) => bound(*b, record.created_at, *at),
            Test::UpdatedAt(b, at) => bound(*b, self.store.updated_at(node, state, self.view), *at),
            Test::CreatedBy(ids) => by(record.created_by.as_deref(), ids),
            Test::UpdatedBy(ids) => by(state.updated_by.as_deref(), ids),
            Test::DisplayLabel(values) => matches(&Value::from(self.store.display_label(node, state, self.view)), values),
            Test::Never => false,
        }
    }

    /// Writes what a selection takes of a value that is there as a whole. `__typename` is taken from the value's own `__typename`.
    pub(crate) fn project(&self, value: &Value, merged: &[&'d Node<Field>], out: &mut Out) {
        match value {
            Value::Array(list) => {
                out.raw("[");
                for (i, entry) in list.iter().enumerate() {
                    if i > 0 {
                        out.raw(",");
                    }
                    self.project(entry, merged, out);
                }
                out.raw("]");
            }
            Value::Object(map) if !merged[0].selection_set.is_empty() => {
                let declared = merged[0].ty().inner_named_type().as_str();
                let ty = map.get("__typename").and_then(Value::as_str).unwrap_or(declared);
                let mut first = true;
                for (key, fields) in self.scope.collect(&sets(merged), ty) {
                    out.key(&mut first, key);
                    match fields[0].name.as_str() {
                        "__typename" => out.text(ty),
                        name => self.project(map.get(name).unwrap_or(&Value::Null), &fields, out),
                    }
                }
                out.close(first);
            }
            other => out.value(other),
        }
    }
}

fn typename(class: Class) -> &'static str {
    match class {
        Class::Number => "NumberAttribute",
        Class::Boolean => "CheckboxAttribute",
        Class::IpHost => "IPHost",
        Class::IpNetwork => "IPNetwork",
        Class::IpAddress => "IPAddress",
        Class::Mac => "MacAddress",
        Class::Dropdown => "Dropdown",
        Class::List => "ListAttribute",
        Class::Json => "JSONAttribute",
        Class::Any => "AnyAttribute",
        _ => "TextAttribute",
    }
}

/// Returns a part that is computed from a value: of an address, or the label of a choice.
fn derived(class: Class, value: &Value, name: &str, schema: &crate::model::Attribute) -> Value {
    let Some(text) = value.as_str() else { return Value::Null };
    if class == Class::Dropdown {
        let choice = schema.choices.iter().find(|c| c.name == text);
        return match (name, choice) {
            ("label", Some(c)) => Value::from(c.label.as_str()),
            ("color", Some(c)) => Value::from(c.color.as_str()),
            ("description", Some(c)) => Value::from(c.description.as_str()),
            _ => Value::from(""),
        };
    }
    let Some(interface) = Interface::parse(text) else { return Value::Null };
    let address = interface.address.text();
    match name {
        "ip" => Value::from(address),
        "prefixlen" => Value::from(interface.prefix),
        "version" => Value::from(interface.version()),
        "netmask" => Value::from(interface.netmask()),
        "hostmask" => Value::from(interface.hostmask()),
        "with_netmask" => Value::from(format!("{address}/{}", interface.netmask())),
        "with_hostmask" => Value::from(format!("{address}/{}", interface.hostmask())),
        "broadcast_address" => Value::from(interface.broadcast().text()),
        "num_addresses" => {
            let host_bits = if interface.version() == 4 { 32 } else { 128 } - interface.prefix;
            1u64.checked_shl(host_bits).map_or(Value::Null, Value::from)
        }
        _ => Value::Null,
    }
}

/// As the server's database orders: texts before numbers, and nothing is the text "NULL".
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Ordered {
    Text(String),
    Number(i64),
}

struct SortKey {
    key: Ordered,
    descending: bool,
}

impl SortKey {
    fn new(value: Option<Value>, descending: bool) -> SortKey {
        let key = match value {
            None | Some(Value::Null) => Ordered::Text("NULL".into()),
            Some(Value::Number(n)) => Ordered::Number(n.as_i64().unwrap_or(0)),
            Some(Value::Bool(flag)) => Ordered::Number(i64::from(flag)),
            Some(Value::String(text)) => Ordered::Text(text),
            Some(other) => Ordered::Text(other.to_string()),
        };
        SortKey { key, descending }
    }
}

impl PartialEq for SortKey {
    fn eq(&self, other: &SortKey) -> bool {
        self.key == other.key
    }
}

impl Eq for SortKey {}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &SortKey) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &SortKey) -> std::cmp::Ordering {
        let order = self.key.cmp(&other.key);
        if self.descending { order.reverse() } else { order }
    }
}

fn matches(value: &Value, wanted: &[Value]) -> bool {
    wanted.contains(value)
}

/// Returns whether a text contains one of these, large and small letters being the same.
fn contains(value: &Value, wanted: &[Value]) -> bool {
    let text = crate::value::python(value, false).to_lowercase();
    wanted.iter().any(|w| text.contains(&crate::value::python(w, false).to_lowercase()))
}

/// Returns whether a mutation looked at a relationship to one, so that its answer shows the peer.
fn looked_at(kind: &Kind, relation: usize, plan: &[(&str, EdgeField<'_>)], data: &Map<String, Value>) -> bool {
    let by_hfid = kind.hfid.iter().flatten().any(|step| matches!(step, Step::Peer(r, ..) | Step::Id(r) if *r == relation));
    let with_properties = plan.iter().any(|(_, field)| matches!(field, EdgeField::Node(selection) if selection.with_properties));
    by_hfid || with_properties || data.contains_key(&kind.relations[relation].name)
}

fn disabled(arguments: &Map<String, Value>) -> bool {
    arguments.get("order").is_some_and(|order| order["disable"] == true)
}

/// Offset and limit.
fn page(arguments: &Map<String, Value>) -> Result<(usize, usize), Fail> {
    let number = |name: &str| arguments.get(name).and_then(Value::as_i64);
    let limit = match number("limit").map(usize::try_from) {
        // The server takes a limit of 0 for none.
        None | Some(Ok(0)) => usize::MAX,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Err(Fail::plain("limit must be a non-negative integer", 500)),
    };
    let offset = match number("offset").map(usize::try_from) {
        None => 0,
        Some(Ok(offset)) => offset,
        Some(Err(_)) => return Err(Fail::plain("offset must be a non-negative integer", 500)),
    };
    Ok((offset, limit))
}
