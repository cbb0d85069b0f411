//! The versioned store: objects and edges as lists of moments, per branch, so that `at` and branches cost nothing to copy.
//!
//! * An object is a list of [`Version`]s, a deleted one ends in a version without state. Nothing is ever removed.
//! * An edge connects two objects by the identifier of a relationship; its versions carry its properties, or its end.
//! * A branch sees its own versions first, then those of main up to the moment it was branched.
//! * The indexes (ids, kinds, tuples) only propose candidates: who reads them checks what is visible in its branch.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::clock;
use crate::model::{Category, Direction, Kind, KindId, Model, Relation, Step};

pub(crate) type NodeId = u32;
pub(crate) type EdgeId = u32;
pub(crate) type BranchId = u32;

/// The branch that is there from the start, and also the home of what is not bound to branches.
pub(crate) const MAIN: BranchId = 0;

/// The value of an attribute, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attr {
    pub(crate) value: Value,
    pub(crate) is_default: bool,
    pub(crate) is_protected: bool,
    pub(crate) source: Option<Arc<str>>,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) updated_at: i64,
    pub(crate) updated_by: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) attributes: Vec<Attr>,
    pub(crate) updated_at: i64,
    pub(crate) updated_by: Option<Arc<str>>,
    /// When the human friendly id or the label last followed a change of another object.
    pub(crate) followed_at: i64,
}

/// Something that was so from a moment on, in a branch; `None` is the end of it.
#[derive(Clone, Debug)]
pub(crate) struct Version<T> {
    pub(crate) branch: BranchId,
    pub(crate) at: i64,
    pub(crate) state: Option<Arc<T>>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: Arc<str>,
    pub(crate) kind: KindId,
    pub(crate) created_at: i64,
    pub(crate) created_by: Option<Arc<str>>,
    pub(crate) versions: Vec<Version<State>>,
    /// The edges that ever began or ended here, by identifier.
    pub(crate) edges: Vec<(Arc<str>, Vec<EdgeId>)>,
}

/// The properties of an edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Props {
    pub(crate) is_protected: bool,
    pub(crate) source: Option<Arc<str>>,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) updated_by: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) versions: Vec<Version<Props>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) sync_with_git: bool,
    pub(crate) created_at: i64,
    pub(crate) branched_from: i64,
    pub(crate) status: &'static str,
    pub(crate) deleted: bool,
}

/// One of `infrahub.node.created`, `.updated`, `.deleted`.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: &'static str,
    pub(crate) at: i64,
    pub(crate) branch: String,
    pub(crate) account: Option<Arc<str>>,
    pub(crate) node: Arc<str>,
    pub(crate) kind: String,
}

/// The viewed state: a branch, at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) branch: BranchId,
    pub(crate) at: i64,
    /// Up to when main shows through, if the branch is not main.
    pub(crate) base: i64,
    /// When the branch was made: it has no versions of its own from before, so the search for them ends there.
    pub(crate) since: i64,
}

impl View {
    fn pick<T>(self, versions: &[Version<T>]) -> Option<&Version<T>> {
        let own = versions.iter().rev().take_while(|v| v.at >= self.since).find(|v| v.branch == self.branch && v.at <= self.at);
        match own {
            Some(version) => Some(version),
            None if self.branch == MAIN => None,
            None => versions.iter().rev().find(|v| v.branch == MAIN && v.at <= self.at.min(self.base)),
        }
    }
}

/// The objects of the fake, their history and their branches.
#[derive(Debug)]
pub struct Store {
    pub(crate) model: Arc<Model>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) events: Vec<Event>,
    ids: HashMap<Arc<str>, NodeId>,
    kinds: Vec<Vec<NodeId>>,
    /// Every object that ever had this tuple of values: the key names the constraint or the human friendly id.
    tuples: HashMap<String, Vec<NodeId>>,
    last: i64,
    ids_given: u64,
    /// Added to the real time in microseconds.
    pub(crate) skew: i64,
    /// How long the human friendly id of a child shows the old name of its parent, in microseconds.
    pub(crate) hfid_lag: i64,
    /// Attributes that keep their value, as `Kind.name`.
    pub(crate) frozen: Vec<String>,
    /// Set while an index is being built for the first time after the start.
    pub(crate) hash: String,
}

impl Store {
    /// `skew` is how far the server's clock is ahead, in microseconds: its first branch is dated by it too.
    pub(crate) fn new(model: Arc<Model>, skew: i64) -> Store {
        let kinds = vec![Vec::new(); model.kinds.len()];
        let hash = model.api["main"].as_str().unwrap_or_default().to_owned();
        let mut store = Store {
            model,
            nodes: Vec::new(),
            edges: Vec::new(),
            branches: Vec::new(),
            events: Vec::new(),
            ids: HashMap::new(),
            kinds,
            tuples: HashMap::new(),
            last: 0,
            ids_given: 0,
            skew,
            hfid_lag: 0,
            frozen: Vec::new(),
            hash,
        };
        let now = store.now();
        let id = store.fresh_id();
        store.branches.push(Branch {
            id,
            name: "main".into(),
            description: "Default Branch".into(),
            sync_with_git: true,
            created_at: now,
            branched_from: now,
            status: "OPEN",
            deleted: false,
        });
        store
    }

    /// Returns the next moment: never the same twice.
    pub(crate) fn now(&mut self) -> i64 {
        self.last = (clock::now() + self.skew).max(self.last + 1);
        self.last
    }

    /// Returns the present of a reader, who sees all that has been written.
    pub(crate) fn present(&self) -> i64 {
        (clock::now() + self.skew).max(self.last)
    }

    /// Returns a new id: of the shape of a UUID, growing with time as the server's are.
    pub(crate) fn fresh_id(&mut self) -> String {
        self.ids_given += 1;
        let (time, n) = (self.last as u64, self.ids_given);
        // The bits of the time in their order, between what a UUID has to say in between.
        let (high, low) = ((time >> 32) as u32, (time >> 16) as u16);
        format!(
            "{high:08x}-{low:04x}-4{:03x}-8{:01x}{:02x}-{:012x}",
            (time >> 4) & 0xfff,
            time & 0xf,
            (n >> 48) & 0xff,
            n & 0xffff_ffff_ffff
        )
    }

    pub(crate) fn branch(&self, name: &str) -> Option<BranchId> {
        self.branches.iter().position(|b| b.name == name && !b.deleted).and_then(|i| BranchId::try_from(i).ok())
    }

    pub(crate) fn view(&self, branch: BranchId, at: i64) -> View {
        let record = &self.branches[branch as usize];
        let since = if branch == MAIN { i64::MIN } else { record.created_at };
        View { branch, at, base: record.branched_from, since }
    }

    /// Returns the view of a kind: main, if the kind is not bound to branches.
    pub(crate) fn kind_view(&self, kind: KindId, view: View) -> View {
        if self.model.kinds[kind].agnostic { View { branch: MAIN, since: i64::MIN, ..view } } else { view }
    }

    /// Returns whether the id is that of a profile.
    pub(crate) fn is_profile(&self, id: Option<&str>) -> bool {
        id.and_then(|id| self.node(id)).is_some_and(|node| self.kind_of(node).category == Category::Profile)
    }

    pub(crate) fn node(&self, id: &str) -> Option<NodeId> {
        self.ids.get(id).copied()
    }

    pub(crate) fn kind_of(&self, node: NodeId) -> &Kind {
        &self.model.kinds[self.nodes[node as usize].kind]
    }

    /// Returns the state of an object, if it is there.
    pub(crate) fn state(&self, node: NodeId, view: View) -> Option<&Arc<State>> {
        let node = &self.nodes[node as usize];
        self.kind_view(node.kind, view).pick(&node.versions)?.state.as_ref()
    }

    pub(crate) fn nodes_of(&self, kind: KindId) -> &[NodeId] {
        &self.kinds[kind]
    }

    fn edge_view(&self, relation: &Relation, view: View) -> View {
        if relation.agnostic { View { branch: MAIN, since: i64::MIN, ..view } } else { view }
    }

    /// Returns the visible edges of an object for a relationship of its kind, with the peer and the properties, oldest first.
    pub(crate) fn edges_of<'s>(
        &'s self,
        node: NodeId,
        relation: &'s Relation,
        view: View,
    ) -> impl Iterator<Item = (EdgeId, NodeId, &'s Arc<Props>)> + 's {
        self.edges_by(node, &relation.identifier, relation.direction, self.edge_view(relation, view))
    }

    /// As [`Store::edges_of`], also for identifiers that the object's kind has no relationship for.
    pub(crate) fn edges_by<'s>(
        &'s self,
        node: NodeId,
        identifier: &str,
        direction: Direction,
        view: View,
    ) -> impl Iterator<Item = (EdgeId, NodeId, &'s Arc<Props>)> + 's {
        let list = self.nodes[node as usize].edges.iter().find(|(i, _)| &**i == identifier).map(|(_, list)| list.as_slice());
        list.unwrap_or_default().iter().filter_map(move |id| {
            let edge = &self.edges[*id as usize];
            let peer = if edge.from == node { edge.to } else { edge.from };
            let fits = match direction {
                Direction::Both => true,
                Direction::Out => edge.from == node,
                Direction::In => edge.to == node,
            };
            let props = view.pick(&edge.versions).and_then(|v| v.state.as_ref()).filter(|_| fits)?;
            self.state(peer, view)?;
            Some((*id, peer, props))
        })
    }

    pub(crate) fn peer_of(&self, node: NodeId, relation: &Relation, view: View) -> Option<NodeId> {
        self.edges_of(node, relation, view).next().map(|(_, peer, _)| peer)
    }

    /// When an object was last changed. Main keeps the moment; on a branch the server takes the latest of what is there,
    /// so that a peer that was removed leaves no trace, and the moment can even go back.
    pub(crate) fn updated_at(&self, node: NodeId, state: &State, view: View) -> i64 {
        if self.kind_view(self.nodes[node as usize].kind, view).branch == MAIN {
            return state.updated_at;
        }
        let attributes = state.attributes.iter().map(|a| a.updated_at).max().unwrap_or(state.updated_at).max(state.followed_at);
        let edges = self.nodes[node as usize]
            .edges
            .iter()
            .flat_map(|(identifier, _)| self.edges_by(node, identifier, Direction::Both, view))
            .map(|(_, _, props)| props.updated_at);
        edges.max().map_or(attributes, |edges| edges.max(attributes))
    }

    /// One part of a path, as text; `None` where there is no value.
    pub(crate) fn step_value(&self, node: NodeId, state: &State, step: &Step, view: View) -> Option<Value> {
        let kind = self.kind_of(node);
        match step {
            Step::Own(attribute, property) => Some(self.property(kind, *attribute, &state.attributes[*attribute], property)),
            Step::Id(relation) => {
                let peer = self.peer_of(node, &kind.relations[*relation], view)?;
                Some(Value::from(&*self.nodes[peer as usize].id))
            }
            Step::Peer(relation, attribute, property) => {
                let peer = self.peer_of(node, &kind.relations[*relation], view)?;
                let peer_kind = self.kind_of(peer);
                let attribute = peer_kind.attribute(attribute)?;
                let state = self.state(peer, view)?;
                Some(self.property(peer_kind, attribute, &state.attributes[attribute], property))
            }
        }
        .filter(|v| !v.is_null())
    }

    pub(crate) fn property(&self, kind: &Kind, attribute: usize, attr: &Attr, property: &str) -> Value {
        if property == "value" {
            return attr.value.clone();
        }
        let choice = kind.attributes[attribute].choices.iter().find(|c| Some(c.name.as_str()) == attr.value.as_str());
        match (property, choice) {
            ("label", Some(choice)) => Value::from(choice.label.as_str()),
            ("color", Some(choice)) => Value::from(choice.color.as_str()),
            ("description", Some(choice)) => Value::from(choice.description.as_str()),
            _ => attr.value.clone(),
        }
    }

    /// Returns the human friendly id. Where it goes through a parent, it follows a change of the parent after the configured lag.
    pub(crate) fn hfid(&self, node: NodeId, state: &State, view: View) -> Option<Vec<String>> {
        let steps = self.kind_of(node).hfid.as_ref()?;
        Some(self.hfid_of(node, state, steps, view))
    }

    pub(crate) fn hfid_of(&self, node: NodeId, state: &State, steps: &[Step], view: View) -> Vec<String> {
        let late = View { at: (view.at - self.hfid_lag).max(self.nodes[node as usize].created_at).min(view.at), ..view };
        steps
            .iter()
            .filter_map(|step| self.step_value(node, state, step, if matches!(step, Step::Peer(..)) { late } else { view }))
            .map(|v| crate::value::python(&v, false))
            .collect()
    }

    /// Returns the label, by the template of the schema; a kind without one shows its id.
    pub(crate) fn display_label(&self, node: NodeId, state: &State, view: View) -> String {
        let kind = self.kind_of(node);
        match &kind.display_label {
            None => format!("{}(ID: {})", kind.name, self.nodes[node as usize].id),
            Some(template) => self.render(node, state, template, view),
        }
    }

    /// Fills `{{ path }}` in a template, or the path that a template without braces is. Filters are not supported.
    pub(crate) fn render(&self, node: NodeId, state: &State, template: &str, view: View) -> String {
        let value = |path: &str| {
            let kind = self.kind_of(node);
            let (first, rest) = path.split_once("__").unwrap_or((path, "value"));
            let step = match (kind.attribute(first), kind.relation(first), rest.split_once("__")) {
                (Some(attribute), _, _) => Step::Own(attribute, rest.to_owned()),
                (None, Some(relation), Some((attribute, property))) => Step::Peer(relation, attribute.to_owned(), property.to_owned()),
                _ => return String::new(),
            };
            self.step_value(node, state, &step, view).map(|v| crate::value::python(&v, false)).unwrap_or_default()
        };
        if !template.contains("{{") {
            return value(template);
        }
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            let (path, after) = after.split_once("}}").unwrap_or((after, ""));
            out.push_str(&value(path.trim()));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// Returns the key of a tuple in the index.
    pub(crate) fn tuple_key(kind: KindId, what: &str, parts: &[String]) -> String {
        let mut key = format!("{kind}|{what}");
        for part in parts {
            key.push('\u{1f}');
            key.push_str(part);
        }
        key
    }

    pub(crate) fn candidates(&self, key: &str) -> &[NodeId] {
        self.tuples.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the tuple of a constraint for an object as it is.
    pub(crate) fn tuple(&self, node: NodeId, state: &State, steps: &[Step], view: View) -> Vec<String> {
        steps.iter().map(|step| part(self.step_value(node, state, step, view))).collect()
    }

    /// Puts an object under each of its tuples: constraints, and the human friendly ids of its kind and generics.
    pub(crate) fn index(&mut self, node: NodeId, view: View) {
        let Some(state) = self.state(node, view).cloned() else { return };
        let model = self.model.clone();
        let kind_id = self.nodes[node as usize].kind;
        let kind = &model.kinds[kind_id];
        let mut keys = Vec::new();
        for (owner, constraint) in &kind.checked {
            // Paths count attributes by position, which differs between a generic and a kind: they are translated by name.
            let steps = self.translate(*owner, kind_id, &model.kinds[*owner].constraints[*constraint].steps);
            keys.push(Self::tuple_key(*owner, &constraint.to_string(), &self.tuple(node, &state, &steps, view)));
        }
        for owner in std::iter::once(&kind_id).chain(&kind.inherit) {
            if let Some(steps) = &model.kinds[*owner].hfid {
                let steps = self.translate(*owner, kind_id, steps);
                keys.push(Self::tuple_key(*owner, "hfid", &self.tuple(node, &state, &steps, view)));
            }
        }
        for key in keys {
            let list = self.tuples.entry(key).or_default();
            if !list.contains(&node) {
                list.push(node);
            }
        }
    }

    /// Steps that were resolved for one kind, resolved for another that has the same names.
    pub(crate) fn translate(&self, from: KindId, to: KindId, steps: &[Step]) -> Vec<Step> {
        if from == to {
            return steps.to_vec();
        }
        let (source, target) = (&self.model.kinds[from], &self.model.kinds[to]);
        steps
            .iter()
            .map(|step| match step {
                Step::Own(a, p) => Step::Own(target.attribute(&source.attributes[*a].name).unwrap_or(*a), p.clone()),
                Step::Id(r) => Step::Id(target.relation(&source.relations[*r].name).unwrap_or(*r)),
                Step::Peer(r, a, p) => Step::Peer(target.relation(&source.relations[*r].name).unwrap_or(*r), a.clone(), p.clone()),
            })
            .collect()
    }

    /// Returns the object with this human friendly id.
    pub(crate) fn by_hfid(&self, kind: KindId, hfid: &[String], view: View) -> Vec<NodeId> {
        let Some(steps) = &self.model.kinds[kind].hfid else { return Vec::new() };
        let key = Self::tuple_key(kind, "hfid", hfid);
        self.candidates(&key)
            .iter()
            .copied()
            .filter(|node| {
                let steps = self.translate(kind, self.nodes[*node as usize].kind, steps);
                self.state(*node, view).is_some_and(|state| self.hfid_of(*node, state, &steps, view) == hfid)
            })
            .collect()
    }

    pub(crate) fn insert(&mut self, id: String, kind: KindId, at: i64, by: Option<Arc<str>>) -> NodeId {
        let index = self.nodes.len() as NodeId;
        let id: Arc<str> = id.into();
        self.ids.insert(id.clone(), index);
        self.kinds[kind].push(index);
        self.nodes.push(Node { id, kind, created_at: at, created_by: by, versions: Vec::new(), edges: Vec::new() });
        index
    }

    pub(crate) fn put(&mut self, node: NodeId, branch: BranchId, at: i64, state: Option<State>) {
        let branch = if self.kind_of(node).agnostic { MAIN } else { branch };
        self.nodes[node as usize].versions.push(Version { branch, at, state: state.map(Arc::new) });
    }

    pub(crate) fn connect(&mut self, identifier: &Arc<str>, from: NodeId, to: NodeId, version: Version<Props>) {
        let id = self.edges.len() as EdgeId;
        self.edges.push(Edge { from, to, versions: vec![version] });
        for node in if from == to { vec![from] } else { vec![from, to] } {
            let lists = &mut self.nodes[node as usize].edges;
            match lists.iter_mut().find(|(i, _)| i == identifier) {
                Some((_, list)) => list.push(id),
                None => lists.push((identifier.clone(), vec![id])),
            }
        }
    }

    pub(crate) fn put_edge(&mut self, edge: EdgeId, branch: BranchId, at: i64, props: Option<Props>) {
        self.edges[edge as usize].versions.push(Version { branch, at, state: props.map(Arc::new) });
    }

    /// Notes that an object was written, without a change of its attributes.
    pub(crate) fn touch(&mut self, node: NodeId, view: View, at: i64, by: Option<&Arc<str>>) {
        if let Some(state) = self.state(node, view) {
            let state = State { updated_at: at, updated_by: by.cloned(), ..State::clone(state) };
            self.put(node, view.branch, at, Some(state));
        }
    }

    /// As [`Store::touch`], where the human friendly id follows a change of another object.
    pub(crate) fn follow(&mut self, node: NodeId, view: View, at: i64, by: Option<&Arc<str>>) {
        if let Some(state) = self.state(node, view) {
            let state = State { updated_at: at, updated_by: by.cloned(), followed_at: at, ..State::clone(state) };
            self.put(node, view.branch, at, Some(state));
        }
    }

    pub(crate) fn event(&mut self, name: &'static str, at: i64, branch: BranchId, account: Option<Arc<str>>, node: NodeId) {
        let id = self.fresh_id();
        let branch = self.branches[branch as usize].name.clone();
        let (kind, node) = (self.kind_of(node).name.clone(), self.nodes[node as usize].id.clone());
        self.events.push(Event { id, name, at, branch, account, node, kind });
    }

    /// Returns whether objects of `kind` can stand where `expected` is asked for.
    pub(crate) fn is_a(&self, kind: KindId, expected: &str) -> bool {
        let model = &self.model;
        model.kinds[kind].name == expected
            || model.kinds[kind].inherit_from.iter().any(|g| g == expected)
            || (expected == "CoreNode" && matches!(model.kinds[kind].category, Category::Node | Category::Profile))
    }

    /// Returns the number of objects of a kind (or generic) in a branch now.
    pub fn count(&self, kind: &str, branch: &str) -> usize {
        let (Some(kind), Some(branch)) = (self.model.kind(kind), self.branch(branch)) else { return 0 };
        let view = self.view(branch, self.present());
        self.model.kinds[kind].concrete.iter().flat_map(|k| self.nodes_of(*k)).filter(|node| self.state(**node, view).is_some()).count()
    }

    /// Returns the ids of the objects of a kind (or generic) in a branch now, oldest first.
    pub fn ids(&self, kind: &str, branch: &str) -> Vec<String> {
        let (Some(kind), Some(branch)) = (self.model.kind(kind), self.branch(branch)) else { return Vec::new() };
        let view = self.view(branch, self.present());
        let nodes = self.model.kinds[kind].concrete.iter().flat_map(|k| self.nodes_of(*k));
        nodes.filter(|node| self.state(**node, view).is_some()).map(|node| self.nodes[*node as usize].id.to_string()).collect()
    }

    /// Returns the value of an attribute, or the ids of the peers of a relationship; `None` if there is no such object or field.
    pub fn value(&self, id: &str, field: &str, branch: &str) -> Option<Value> {
        let view = self.view(self.branch(branch)?, self.present());
        let node = self.node(id)?;
        let state = self.state(node, view)?;
        let kind = self.kind_of(node);
        if let Some(attribute) = kind.attribute(field) {
            return Some(crate::value::read_back(&state.attributes[attribute].value).clone());
        }
        let relation = &kind.relations[kind.relation(field)?];
        let peers = self.edges_of(node, relation, view).map(|(_, peer, _)| Value::from(&*self.nodes[peer as usize].id));
        Some(Value::Array(peers.collect()))
    }

    /// Returns the names of the branches.
    pub fn branches(&self) -> Vec<String> {
        self.branches.iter().filter(|b| !b.deleted).map(|b| b.name.clone()).collect()
    }

    /// Returns the number of objects that the store ever held, including deleted ones.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns whether the store never held an object.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Returns a part of a tuple: nothing and the text "NULL" are the same to the server's database.
pub(crate) fn part(value: Option<Value>) -> String {
    value.map(|v| crate::value::python(&v, false)).unwrap_or_else(|| "NULL".into())
}
