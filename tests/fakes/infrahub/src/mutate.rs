//! The effect of mutations on the store. Each is checked as a whole before anything is written, so each is atomic.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::{Category, ConstraintType, Kind, KindId, Relation, Step, Write};
use crate::store::{Attr, BranchId, EdgeId, MAIN, NodeId, Props, State, Store, Version, View, part};
use crate::value::{Refusal, canonical, python, read_back};

/// Why a mutation is refused.
#[derive(Debug)]
pub(crate) enum Fail {
    /// Reasons by field; one error for each.
    Fields(Vec<(String, String)>),
    /// Anything else, with the code and the status that the extensions name.
    Other { message: String, code: &'static str, status: u16, data: Value },
    /// The whole request ends in an internal error.
    Crash,
}

impl Fail {
    pub(crate) fn field(field: &str, reason: impl Into<String>) -> Fail {
        Fail::Fields(vec![(field.to_owned(), reason.into())])
    }

    /// Returns a refusal that the server does not classify.
    pub(crate) fn plain(message: impl Into<String>, status: u16) -> Fail {
        Fail::Other { message: message.into(), code: "UNDEFINED_ERROR", status, data: json!({}) }
    }

    pub(crate) fn not_found(kind: &str, identifier: &str) -> Fail {
        let message = format!("Unable to find the node {identifier} / {kind} in the database.");
        Fail::missing(message, kind, identifier)
    }

    fn missing(message: String, kind: &str, identifier: &str) -> Fail {
        Fail::Other { message, code: "NODE_NOT_FOUND", status: 404, data: json!({ "node_kind": kind, "identifier": identifier }) }
    }
}

/// The reason for which a create is rejected: an upsert continues if only the human friendly id is taken.
enum CreateFail {
    Hfid(Fail, Vec<NodeId>),
    Other(Fail),
}

impl From<Fail> for CreateFail {
    fn from(fail: Fail) -> CreateFail {
        CreateFail::Other(fail)
    }
}

/// A peer as it is asked for.
struct Wanted {
    id: Option<String>,
    hfid: Option<Vec<String>>,
    kind: Option<String>,
    is_protected: Option<bool>,
    source: Option<String>,
    owner: Option<String>,
}

/// A peer that was found, and what is asked of the edge to it.
struct Found {
    peer: NodeId,
    wanted: Wanted,
    /// Whether the peer was named by its id and was a peer before: then the properties of the edge stay.
    keeps: bool,
}

pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().enumerate().all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}

/// One mutation: a branch, a moment, an account.
pub(crate) struct Transaction<'s> {
    pub(crate) store: &'s mut Store,
    pub(crate) branch: BranchId,
    pub(crate) at: i64,
    pub(crate) account: Option<Arc<str>>,
}

impl<'s> Transaction<'s> {
    pub(crate) fn new(store: &'s mut Store, branch: BranchId, account: Option<Arc<str>>) -> Transaction<'s> {
        let at = store.now();
        Transaction { store, branch, at, account }
    }

    pub(crate) fn view(&self) -> View {
        self.store.view(self.branch, self.at)
    }

    /// Runs one of the four mutations of a kind; a delete gives no object.
    pub(crate) fn write(&mut self, kind: KindId, write: Write, data: &Map<String, Value>) -> Result<Option<NodeId>, Fail> {
        match write {
            Write::Create => self.created(kind, data).map(Some),
            Write::Update => {
                let node = self.find(kind, data)?;
                self.update(node, data, true)?;
                Ok(Some(node))
            }
            Write::Upsert => self.upsert(kind, data).map(Some),
            Write::Delete => {
                let node = self.find(kind, data)?;
                self.delete(node)?;
                Ok(None)
            }
        }
    }

    /// Creates an object.
    pub(crate) fn created(&mut self, kind: KindId, data: &Map<String, Value>) -> Result<NodeId, Fail> {
        self.create(kind, data).map_err(|fail| match fail {
            CreateFail::Hfid(fail, _) | CreateFail::Other(fail) => fail,
        })
    }

    /// Creates an object, from its template if the data name one.
    fn create(&mut self, kind_id: KindId, data: &Map<String, Value>) -> Result<NodeId, CreateFail> {
        let model = self.store.model.clone();
        let kind = &model.kinds[kind_id];
        let Some(template) = self.template(kind, data)? else { return self.create_alone(kind_id, data) };
        let filled = self.filled(kind, template, data);
        let node = self.create_alone(kind_id, &filled)?;
        self.components(node, template, data)?;
        Ok(node)
    }

    /// Returns an object by id, which wins, or by human friendly id.
    pub(crate) fn find(&self, kind: KindId, data: &Map<String, Value>) -> Result<NodeId, Fail> {
        let id = data.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        if let Some(id) = id.filter(|id| is_uuid(id)) {
            return self.by_id(kind, id);
        }
        if let Some(hfid) = hfid_of(data).filter(|hfid| !hfid.is_empty()) {
            return self.by_hfid(kind, &hfid)?.ok_or_else(|| Fail::not_found(&self.store.model.kinds[kind].name, &hfid.join(" :: ")));
        }
        match id {
            Some(id) => self.by_default_filter(kind, id).ok_or_else(|| Fail::not_found(&self.store.model.kinds[kind].name, id)),
            None => Err(Fail::plain("either id or hfid must be provided.", 400)),
        }
    }

    fn by_id(&self, kind: KindId, id: &str) -> Result<NodeId, Fail> {
        let name = &self.store.model.kinds[kind].name;
        let node = self.store.node(id).filter(|n| self.store.state(*n, self.view()).is_some()).ok_or_else(|| Fail::not_found(name, id))?;
        if !self.store.is_a(self.store.nodes[node as usize].kind, name) {
            let actual = &self.store.kind_of(node).name;
            return Err(Fail::missing(format!("Node with id {id} exists, but it is a {actual}, not {name}"), name, id));
        }
        Ok(node)
    }

    fn by_hfid(&self, kind: KindId, hfid: &[String]) -> Result<Option<NodeId>, Fail> {
        let schema = &self.store.model.kinds[kind];
        let (name, identifier) = (&schema.name, hfid.join(" :: "));
        let Some(steps) = &schema.hfid else {
            let message = format!("Unable to lookup node by HFID, schema '{name}' does not have a HFID defined.");
            return Err(Fail::missing(message, name, &identifier));
        };
        if steps.len() != hfid.len() {
            let list = python(&Value::from(hfid.to_vec()), true);
            let message =
                format!("Unable to lookup node by HFID, schema '{name}' HFID does not contain the same number of elements as {list}");
            return Err(Fail::missing(message, name, &identifier));
        }
        match self.store.by_hfid(kind, hfid, self.view()).as_slice() {
            [] => Ok(None),
            [node] => Ok(Some(*node)),
            many => {
                let message = format!("Unable to find node '{identifier}', {} nodes returned, expected 1", many.len());
                Err(Fail::missing(message, name, &identifier))
            }
        }
    }

    /// Returns an object by the one attribute that its kind declares for this, as in `name__value`.
    fn by_default_filter(&self, kind: KindId, value: &str) -> Option<NodeId> {
        let model = &self.store.model;
        let (name, _) = model.kinds[kind].default_filter.as_ref()?.split_once("__")?;
        let nodes = model.kinds[kind].concrete.iter().flat_map(|k| self.store.nodes_of(*k));
        nodes.copied().find(|node| {
            let Some(attribute) = self.store.kind_of(*node).attribute(name) else { return false };
            self.store.state(*node, self.view()).is_some_and(|s| s.attributes[attribute].value.as_str() == Some(value))
        })
    }

    fn create_alone(&mut self, kind_id: KindId, data: &Map<String, Value>) -> Result<NodeId, CreateFail> {
        let model = self.store.model.clone();
        let kind = &model.kinds[kind_id];
        let id = self.new_id(data)?;
        check_mandatory(kind, data)?;
        let mut attributes = self.new_attributes(kind, data)?;
        label(kind, &mut attributes);
        let mut relations = Vec::new();
        for (index, relation) in kind.relations.iter().enumerate() {
            if let Some(value) = data.get(&relation.name).filter(|v| !v.is_null()) {
                relations.push((index, self.resolve(relation, wishes(value)?, &[])?));
            }
        }

        let state = State { attributes, updated_at: self.at, updated_by: self.account.clone(), followed_at: 0 };
        self.check_unique(kind_id, None, &state, &relations, None)?;
        let mut checked = Vec::new();
        for (index, peers) in relations {
            checked.push((index, self.check_peers(&kind.relations[index], peers, &[])?));
        }

        let node = self.store.insert(id, kind_id, self.at, self.account.clone());
        self.store.put(node, self.branch, self.at, Some(state));
        let view = self.view();
        for (index, peers) in checked {
            let relation = &kind.relations[index];
            for found in &peers {
                if self.link(node, relation, found, None) {
                    self.store.touch(found.peer, view, self.at, self.account.as_ref());
                }
            }
        }
        self.compute(node);
        self.profiles(node);
        self.store.index(node, view);
        self.store.event("infrahub.node.created", self.at, self.branch, self.account.clone(), node);
        Ok(node)
    }

    /// Returns the id of a new object: a given UUID that is free, or a fresh one.
    fn new_id(&mut self, data: &Map<String, Value>) -> Result<String, Fail> {
        match data.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            Some(id) if !is_uuid(id) => Err(Fail::field("id", format!("{id} is not a valid UUID"))),
            Some(id) if self.store.node(id).is_some() => Err(Fail::field("id", format!("{id} is already in use"))),
            Some(id) => Ok(id.to_owned()),
            None => Ok(self.store.fresh_id()),
        }
    }

    /// Returns the attributes of a new object, with their defaults.
    fn new_attributes(&self, kind: &Kind, data: &Map<String, Value>) -> Result<Vec<Attr>, Fail> {
        let mut refused = Vec::new();
        let mut attributes: Vec<Attr> = Vec::with_capacity(kind.attributes.len());
        for attribute in &kind.attributes {
            let given = data.get(&attribute.name).and_then(Value::as_object);
            let text = |field: &str| given.and_then(|g| g.get(field)).and_then(Value::as_str).filter(|s| !s.is_empty()).map(Arc::from);
            let mut value = given.and_then(|g| g.get("value")).cloned().unwrap_or(Value::Null);
            let mut is_default = match given {
                None => true,
                Some(given) => given.get("is_default").and_then(Value::as_bool).unwrap_or(false),
            };
            if value.is_null()
                && let Some(default) = &attribute.default
            {
                (value, is_default) = (default.clone(), true);
            }
            if value.is_null() {
                if !attribute.optional && !attribute.computed {
                    refused.push((attribute.name.clone(), format!("A value must be provided for {}", attribute.name)));
                }
            } else {
                match canonical(&value, attribute) {
                    Ok(canonical) => value = canonical,
                    Err(Refusal::Field(reason) | Refusal::Enum(reason)) => refused.push((attribute.name.clone(), reason)),
                    Err(Refusal::Plain(reason)) => return Err(Fail::plain(reason, 422)),
                }
            }
            storable(&value, attribute.class)?;
            attributes.push(Attr {
                value,
                is_default,
                is_protected: given.and_then(|g| g.get("is_protected")).and_then(Value::as_bool).unwrap_or(false),
                source: self.known(text("source")),
                owner: self.known(text("owner")),
                updated_at: self.at,
                updated_by: self.account.clone(),
            });
        }
        if refused.is_empty() { Ok(attributes) } else { Err(Fail::Fields(refused)) }
    }

    /// Returns the id of a node that exists: a missing source or owner is dropped silently.
    fn known(&self, id: Option<Arc<str>>) -> Option<Arc<str>> {
        id.filter(|id| self.store.node(id).is_some())
    }

    /// Fills the computed attributes of an object from their templates.
    fn compute(&mut self, node: NodeId) {
        let view = self.view();
        let model = self.store.model.clone();
        let kind = &model.kinds[self.store.nodes[node as usize].kind];
        if !kind.attributes.iter().any(|a| a.template.is_some()) {
            return;
        }
        let Some(state) = self.store.state(node, view).cloned() else { return };
        let mut next = State::clone(&state);
        for (index, attribute) in kind.attributes.iter().enumerate() {
            let Some(template) = &attribute.template else { continue };
            let value = Value::from(self.store.render(node, &state, template, view));
            if next.attributes[index].value != value {
                next.attributes[index] = Attr { value, is_default: false, updated_at: self.at, ..next.attributes[index].clone() };
            }
        }
        if next.attributes != state.attributes {
            self.store.put(node, self.branch, self.at, Some(next));
        }
    }

    /// Finds the peers that are asked for. `current` are those that there are.
    fn resolve(&self, relation: &Relation, wishes: Vec<Wanted>, current: &[NodeId]) -> Result<Vec<Peer>, Fail> {
        let view = self.view();
        let mut out = Vec::new();
        for wanted in wishes {
            let Some(peer_kind) = self.store.model.kind(&relation.peer) else { continue };
            if let Some(id) = wanted.id.clone() {
                let node = self.store.node(&id).filter(|n| self.store.state(*n, view).is_some());
                match node {
                    Some(peer) => out.push(Peer::Found(Found { peer, keeps: current.contains(&peer), wanted })),
                    // A UUID is believed until it is written, so that other checks come first.
                    None if is_uuid(&id) => out.push(Peer::Missing(id)),
                    None => match self.by_default_filter(peer_kind, &id) {
                        Some(peer) => out.push(Peer::Found(Found { peer, keeps: false, wanted })),
                        None => return Err(Fail::not_found(&relation.peer, &id)),
                    },
                }
            } else if let Some(hfid) = wanted.hfid.clone().filter(|h| !h.is_empty()) {
                let generic = self.store.model.kinds[peer_kind].category == Category::Generic;
                let kind = wanted.kind.as_deref().filter(|_| generic).and_then(|k| self.store.model.kind(k)).unwrap_or(peer_kind);
                let name = &self.store.model.kinds[kind].name;
                let peer = self.by_hfid(kind, &hfid)?.ok_or_else(|| Fail::not_found(name, &hfid.join(" :: ")))?;
                out.push(Peer::Found(Found { peer, keeps: false, wanted }));
            } else {
                out.push(Peer::Unset);
            }
        }
        Ok(out)
    }

    /// Checks kinds and counts of the peers of a relationship.
    fn check_peers(&self, relation: &Relation, peers: Vec<Peer>, current: &[NodeId]) -> Result<Vec<Found>, Fail> {
        let model = &self.store.model;
        let allowed: Vec<&str> = match model.kind(&relation.peer) {
            Some(kind) => model.kinds[kind].concrete.iter().map(|k| model.kinds[*k].name.as_str()).collect(),
            None => Vec::new(),
        };
        let mut refused = Vec::new();
        let mut out = Vec::new();
        for peer in peers {
            match peer {
                Peer::Missing(id) => return Err(Fail::not_found(&relation.peer, &id)),
                Peer::Unset => return Err(Fail::plain("Relationship has not been initialized yet", 500)),
                Peer::Found(found) => {
                    let kind = &self.store.kind_of(found.peer).name;
                    if !allowed.contains(&kind.as_str()) && relation.peer != "CoreNode" {
                        let id = &self.store.nodes[found.peer as usize].id;
                        let list = python(&json!(allowed), true);
                        refused.push((
                            relation.name.clone(),
                            format!("{kind} - {id} cannot be added to relationship, must be of type: {list}"),
                        ));
                    }
                    out.push(found);
                }
            }
        }
        if !refused.is_empty() {
            refused.truncate(1);
            return Err(Fail::Fields(refused));
        }
        let count = |node: NodeId, theirs: &Relation| self.store.edges_of(node, theirs, self.view()).count();
        let theirs = |peer: NodeId| {
            let found = self.store.kind_of(peer).relation_by_identifier(&relation.identifier);
            found.filter(|r| r.direction != relation.direction || r.direction == crate::model::Direction::Both)
        };
        for found in &out {
            if current.contains(&found.peer) {
                continue;
            }
            if let Some(theirs) = theirs(found.peer)
                && theirs.max_count > 0
                && count(found.peer, theirs) + 1 > theirs.max_count
            {
                let id = &self.store.nodes[found.peer as usize].id;
                let message = format!(
                    "Node {id} has {} peers for {}, maximum of {} allowed",
                    count(found.peer, theirs) + 1,
                    relation.identifier,
                    theirs.max_count
                );
                return Err(Fail::plain(message, 422));
            }
        }
        for peer in current {
            if out.iter().any(|f| f.peer == *peer) {
                continue;
            }
            if let Some(theirs) = theirs(*peer)
                && theirs.min_count > 0
                && count(*peer, theirs) <= theirs.min_count
            {
                let id = &self.store.nodes[*peer as usize].id;
                let message = format!(
                    "Node {id} has {} peers for {}, no fewer than {} allowed",
                    count(*peer, theirs).saturating_sub(1),
                    relation.identifier,
                    theirs.min_count
                );
                return Err(Fail::plain(message, 422));
            }
        }
        Ok(out)
    }

    /// Checks the uniqueness constraints of the kind and of its generics; `fields` limits them to the fields of an update.
    fn check_unique(
        &self,
        kind_id: KindId,
        node: Option<NodeId>,
        state: &State,
        relations: &[(usize, Vec<Peer>)],
        fields: Option<&Map<String, Value>>,
    ) -> Result<(), CreateFail> {
        let model = &self.store.model;
        let kind = &model.kinds[kind_id];
        let view = self.view();
        let mut violations: Vec<(ConstraintType, Vec<NodeId>, Vec<String>)> = Vec::new();
        for (owner, index) in &kind.checked {
            let constraint = &model.kinds[*owner].constraints[*index];
            let steps = self.store.translate(*owner, kind_id, &constraint.steps);
            let name = |step: &Step| match step {
                Step::Own(a, _) => kind.attributes[*a].name.clone(),
                Step::Id(r) | Step::Peer(r, ..) => kind.relations[*r].name.clone(),
            };
            let names: Vec<String> = steps.iter().map(name).collect();
            let implicit = |name: &String| kind.attribute(name).is_some_and(|a| kind.attributes[a].unique && kind.attributes[a].optional);
            if fields.is_some_and(|f| !names.iter().any(|n| f.contains_key(n) || implicit(n))) {
                continue;
            }
            let mut parts = Vec::with_capacity(steps.len());
            for step in &steps {
                let peer = |relation: usize| match relations.iter().find(|(r, _)| *r == relation) {
                    Some((_, peers)) => peers.first().and_then(|p| match p {
                        Peer::Found(found) => Some(found.peer),
                        Peer::Missing(_) | Peer::Unset => None,
                    }),
                    None => node.and_then(|n| self.store.peer_of(n, &kind.relations[relation], view)),
                };
                parts.push(part(match step {
                    Step::Own(attribute, _) => Some(state.attributes[*attribute].value.clone()).filter(|v| !read_back(v).is_null()),
                    Step::Id(relation) => peer(*relation).map(|p| Value::from(&*self.store.nodes[p as usize].id)),
                    Step::Peer(relation, attribute, _) => peer(*relation).and_then(|p| {
                        let attribute = self.store.kind_of(p).attribute(attribute)?;
                        Some(self.store.state(p, view)?.attributes[attribute].value.clone()).filter(|v| !v.is_null())
                    }),
                }));
            }
            let key = Store::tuple_key(*owner, &index.to_string(), &parts);
            let taken: Vec<NodeId> = self
                .store
                .candidates(&key)
                .iter()
                .copied()
                .filter(|other| Some(*other) != node)
                .filter(|other| {
                    let other_kind = self.store.nodes[*other as usize].kind;
                    let steps = self.store.translate(*owner, other_kind, &constraint.steps);
                    self.store.state(*other, view).is_some_and(|s| self.store.tuple(*other, s, &steps, view) == parts)
                })
                .collect();
            if !taken.is_empty() {
                violations.push((constraint.kind, taken, names));
            }
        }
        let refusal = |names: &[String]| Fail::plain(format!("Violates uniqueness constraint '{}'", names.join("-")), 422);
        let hfid = violations.iter().find(|(kind, ..)| *kind == ConstraintType::Hfid);
        for (kind, nodes, names) in &violations {
            match (kind, hfid) {
                (ConstraintType::Hfid, _) | (ConstraintType::SubsetOfHfid, Some(_)) => {}
                (ConstraintType::Standard, Some((_, others, _))) if nodes.len() == 1 && nodes.first() == others.first() => {}
                _ => return Err(refusal(names).into()),
            }
        }
        match hfid {
            Some((_, nodes, names)) => Err(CreateFail::Hfid(refusal(names), nodes.clone())),
            None => Ok(()),
        }
    }

    fn upsert(&mut self, kind_id: KindId, data: &Map<String, Value>) -> Result<NodeId, Fail> {
        let model = self.store.model.clone();
        let kind = &model.kinds[kind_id];
        if let Some(id) = data.get("id") {
            let id = id.as_str().ok_or(Fail::Crash)?;
            let node = self.by_id(kind_id, id)?;
            self.update(node, data, true)?;
            return Ok(node);
        }
        let mut node = None;
        if data.contains_key("hfid") {
            let hfid = hfid_of(data).ok_or_else(|| Fail::plain("can only join an iterable", 500))?;
            node = self.by_hfid(kind_id, &hfid)?;
        }
        if let Some(node) = node {
            self.update(node, data, true)?;
            return Ok(node);
        }
        match self.create(kind_id, data) {
            Ok(node) => Ok(node),
            Err(CreateFail::Other(fail)) => Err(fail),
            Err(CreateFail::Hfid(_, nodes)) => match nodes.as_slice() {
                [node] if self.store.is_a(self.store.nodes[*node as usize].kind, &kind.name) => {
                    self.update(*node, data, false)?;
                    Ok(*node)
                }
                [node] => {
                    let (id, actual) = (&self.store.nodes[*node as usize].id, &self.store.kind_of(*node).name);
                    let message = format!("Node with id {id} exists, but it is a {actual}, not {}", kind.name);
                    Err(Fail::missing(message, &kind.name, id))
                }
                _ => Err(Fail::plain(format!("Multiple {} nodes have the same hfid", kind.name), 500)),
            },
        }
    }

    fn update(&mut self, node: NodeId, data: &Map<String, Value>, check_unique: bool) -> Result<(), Fail> {
        let view = self.view();
        let model = self.store.model.clone();
        let kind_id = self.store.nodes[node as usize].kind;
        let kind = &model.kinds[kind_id];
        let Some(before) = self.store.state(node, view).cloned() else { return Ok(()) };
        let mut state = State::clone(&before);
        self.set_attributes(kind, data, &mut state)?;
        let (relations, kept) = self.asked_peers(node, kind, data)?;
        if check_unique {
            self.check_unique(kind_id, Some(node), &state, &relations, Some(data)).map_err(|fail| match fail {
                CreateFail::Hfid(fail, _) | CreateFail::Other(fail) => fail,
            })?;
        }
        let mut checked = Vec::new();
        for ((index, peers), current) in relations.into_iter().zip(&kept) {
            checked.push((index, self.check_peers(&kind.relations[index], peers, current)?));
        }
        set_defaults(kind, data, &mut state)?;

        let mut changed = Vec::new();
        for (index, attribute) in kind.attributes.iter().enumerate() {
            if state.attributes[index] != before.attributes[index] {
                let (at, by) = (self.at, self.account.clone());
                let attr = &mut state.attributes[index];
                (attr.updated_at, attr.updated_by) = (at, by);
                changed.push(attribute.name.as_str());
            }
        }
        let mut written = !changed.is_empty();
        for (index, peers) in checked {
            written |= self.relate(node, &kind.relations[index], &peers);
        }
        if written {
            state.updated_at = self.at;
            state.updated_by = self.account.clone();
            self.store.put(node, self.branch, self.at, Some(state));
            self.compute(node);
            self.profiles(node);
            self.store.index(node, view);
            self.follow(node, &changed);
            self.store.event("infrahub.node.updated", self.at, self.branch, self.account.clone(), node);
        }
        Ok(())
    }

    /// Puts the attributes that an update names into the state.
    fn set_attributes(&self, kind: &Kind, data: &Map<String, Value>, state: &mut State) -> Result<(), Fail> {
        for (attribute, attr) in kind.attributes.iter().zip(&mut state.attributes) {
            let Some(given) = data.get(&attribute.name).and_then(Value::as_object) else { continue };
            if !self.store.frozen.is_empty() && self.store.frozen.contains(&format!("{}.{}", kind.name, attribute.name)) {
                continue;
            }
            if let Some(value) = given.get("value") {
                if value.is_null() {
                    attr.value = Value::Null;
                } else {
                    let canonical = canonical(value, attribute).map_err(|refusal| match refusal {
                        Refusal::Field(reason) => Fail::field(&attribute.name, reason),
                        Refusal::Plain(reason) => Fail::plain(reason, 422),
                        Refusal::Enum(_) => {
                            let class = title(&attribute.name);
                            Fail::plain(format!("{} is not a valid {class}Enum", python(value, true)), 500)
                        }
                    })?;
                    storable(&canonical, attribute.class)?;
                    attr.value = canonical;
                }
            }
            // The server asks whether the field is there, not what it says.
            if given.contains_key("is_default") && !attr.is_default {
                attr.is_default = true;
                if !given.contains_key("value") {
                    attr.value = attribute.default.clone().unwrap_or(Value::Null);
                }
            }
            if let Some(flag) = given.get("is_protected").and_then(Value::as_bool) {
                attr.is_protected = flag;
            }
            for (field, slot) in [("source", &mut attr.source), ("owner", &mut attr.owner)] {
                let id = given.get(field).and_then(Value::as_str).filter(|id| self.store.node(id).is_some());
                if let Some(id) = id {
                    *slot = Some(id.into());
                }
            }
        }
        Ok(())
    }

    /// Returns the peers that an update asks for, and beside each relationship the peers that it has.
    fn asked_peers(&self, node: NodeId, kind: &Kind, data: &Map<String, Value>) -> Result<(Peers, Vec<Vec<NodeId>>), Fail> {
        let mut relations = Vec::new();
        let mut kept = Vec::new();
        for (index, relation) in kind.relations.iter().enumerate() {
            let Some(value) = data.get(&relation.name) else { continue };
            let current: Vec<NodeId> = self.store.edges_of(node, relation, self.view()).map(|(_, peer, _)| peer).collect();
            let wishes = if value.is_null() { Vec::new() } else { wishes(value)? };
            let count = wishes.len();
            if !relation.optional && count < relation.min_count {
                return Err(Fail::field(&relation.name, format!("Too few relationships, min {}", relation.min_count)));
            }
            if relation.max_count > 0 && count > relation.max_count {
                return Err(Fail::field(&relation.name, format!("Too many relationships, max {}", relation.max_count)));
            }
            relations.push((index, self.resolve(relation, wishes, &current)?));
            kept.push(current);
        }
        Ok((relations, kept))
    }

    /// Gives an object the peers of its profiles, in the relationships in which it has no peers of its own; a profile gives them to its objects. The
    /// server's task worker does so a moment later.
    fn profiles(&mut self, node: NodeId) {
        let view = self.view();
        let by_profile = |store: &Store, node: NodeId| -> Vec<NodeId> {
            store.edges_by(node, "node__profile", crate::model::Direction::Both, view).map(|(_, peer, _)| peer).collect()
        };
        if self.store.kind_of(node).category == Category::Profile {
            by_profile(self.store, node).into_iter().for_each(|object| self.profiles(object));
            return;
        }
        let mut profiles = by_profile(self.store, node);
        let priority = |store: &Store, profile: NodeId| {
            let attribute = store.kind_of(profile).attribute("profile_priority")?;
            store.state(profile, view)?.attributes[attribute].value.as_i64()
        };
        profiles.sort_by_key(|profile| priority(self.store, *profile).unwrap_or(i64::MAX));
        let model = self.store.model.clone();
        for relation in &model.kinds[self.store.nodes[node as usize].kind].relations {
            let identifier = format!("profile_{}", relation.identifier);
            let given = profiles.iter().find_map(|profile| {
                let peers: Vec<NodeId> =
                    self.store.edges_by(*profile, &identifier, relation.direction, view).map(|(_, peer, _)| peer).collect();
                (!peers.is_empty()).then_some((*profile, peers))
            });
            let current: Vec<(EdgeId, NodeId, bool)> = self
                .store
                .edges_of(node, relation, view)
                .map(|(edge, peer, props)| (edge, peer, self.store.is_profile(props.source.as_deref())))
                .collect();
            if current.iter().any(|(_, _, of_profile)| !of_profile) {
                continue;
            }
            let (profile, peers) = given.unwrap_or((node, Vec::new()));
            for (edge, _, _) in current.iter().filter(|(_, peer, _)| !peers.contains(peer)) {
                self.store.put_edge(*edge, self.edge_branch(relation), self.at, None);
            }
            let source = Some(self.store.nodes[profile as usize].id.to_string());
            for peer in peers.into_iter().filter(|peer| !current.iter().any(|(_, known, _)| known == peer)) {
                let wanted = Wanted { id: None, hfid: None, kind: None, is_protected: None, source: source.clone(), owner: None };
                self.link(node, relation, &Found { peer, wanted, keeps: false }, None);
            }
        }
    }

    /// Objects whose human friendly id or label goes through this one are written too when its part of it changes.
    fn follow(&mut self, node: NodeId, changed: &[&str]) {
        if changed.is_empty() {
            return;
        }
        let view = self.view();
        let model = self.store.model.clone();
        let name = self.store.kind_of(node).name.clone();
        for kind in &model.kinds {
            for step in kind.hfid.iter().flatten() {
                let Step::Peer(relation, attribute, _) = step else { continue };
                let relation = &kind.relations[*relation];
                if !changed.contains(&attribute.as_str()) || !self.store.is_a(self.store.nodes[node as usize].kind, &relation.peer) {
                    continue;
                }
                let children: Vec<NodeId> = self
                    .store
                    .edges_by(node, &relation.identifier, crate::model::Direction::Both, view)
                    .map(|(_, peer, _)| peer)
                    .filter(|peer| self.store.kind_of(*peer).name == kind.name && kind.name != name)
                    .collect();
                for child in children {
                    self.store.follow(child, view, self.at, self.account.as_ref());
                    self.store.index(child, view);
                }
            }
        }
    }

    /// Makes the peers of a relationship those that are given; whether anything changed.
    fn relate(&mut self, node: NodeId, relation: &Relation, peers: &[Found]) -> bool {
        let view = self.view();
        let current: Vec<(EdgeId, NodeId)> = self.store.edges_of(node, relation, view).map(|(e, p, _)| (e, p)).collect();
        let mut changed = false;
        let mut removed = Vec::new();
        for (edge, peer) in &current {
            // Of two edges to one peer only the last is known to the server, so only that one goes.
            let last = current.iter().rev().find(|(_, p)| p == peer).map(|(e, _)| e);
            if peers.iter().any(|f| f.peer == *peer) || last != Some(edge) {
                continue;
            }
            self.store.put_edge(*edge, self.edge_branch(relation), self.at, None);
            removed.push(*peer);
            changed = true;
        }
        let mut seen = Vec::new();
        for found in peers {
            let edge = current.iter().rev().find(|(_, p)| *p == found.peer).map(|(e, _)| *e);
            match edge {
                // A peer that was there before is one object to the server, however often the list names it.
                Some(_) if seen.contains(&found.peer) => continue,
                edge => {
                    if self.link(node, relation, found, edge) {
                        changed = true;
                        self.store.touch(found.peer, view, self.at, self.account.as_ref());
                    }
                }
            }
            seen.push(found.peer);
        }
        for peer in removed {
            self.store.touch(peer, view, self.at, self.account.as_ref());
        }
        changed
    }

    fn edge_branch(&self, relation: &Relation) -> BranchId {
        if relation.agnostic { MAIN } else { self.branch }
    }

    /// Writes an edge, or new properties on the one there is; whether anything changed.
    fn link(&mut self, node: NodeId, relation: &Relation, found: &Found, edge: Option<EdgeId>) -> bool {
        let view = self.view();
        let given = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
        let (source, owner) = (given(&found.wanted.source), given(&found.wanted.owner));
        let unknown = [&source, &owner].into_iter().flatten().any(|id| self.store.node(id).is_none());
        let (source, owner): (Option<Arc<str>>, Option<Arc<str>>) = (source.map(Into::into), owner.map(Into::into));
        let branch = self.edge_branch(relation);
        match edge {
            None => {
                // The server's query that writes the edge looks up source and owner, and writes nothing where one is not found.
                if unknown {
                    return false;
                }
                let props = Props {
                    is_protected: found.wanted.is_protected.unwrap_or(false),
                    source,
                    owner,
                    created_at: self.at,
                    updated_at: self.at,
                    updated_by: self.account.clone(),
                };
                let (from, to) = if relation.direction == crate::model::Direction::In { (found.peer, node) } else { (node, found.peer) };
                let version = Version { branch, at: self.at, state: Some(Arc::new(props)) };
                self.store.connect(&relation.identifier, from, to, version);
                true
            }
            Some(edge) => {
                let Some(before) = self.store.edges_of(node, relation, view).find(|(e, ..)| *e == edge).map(|(.., p)| Props::clone(p))
                else {
                    return false;
                };
                let mut props = before.clone();
                if let Some(flag) = found.wanted.is_protected {
                    props.is_protected = flag;
                } else if !found.keeps {
                    props.is_protected = false;
                }
                let known = |id: Option<Arc<str>>| id.filter(|id| self.store.node(id).is_some());
                // A peer that is given explicitly is no longer the profile's.
                props.source = known(source).or(props.source.filter(|source| !self.store.is_profile(Some(source))));
                props.owner = known(owner).or(props.owner);
                if props == before {
                    return false;
                }
                props.updated_at = self.at;
                props.updated_by = self.account.clone();
                self.store.put_edge(edge, branch, self.at, Some(props));
                true
            }
        }
    }

    fn delete(&mut self, node: NodeId) -> Result<(), Fail> {
        let view = self.view();
        let model = self.store.model.clone();
        let mut going = vec![node];
        let mut next = 0;
        while next < going.len() {
            let current = going[next];
            next += 1;
            for relation in self.store.kind_of(current).relations.iter().filter(|r| r.cascade) {
                for (_, peer, _) in self.store.edges_of(current, relation, view) {
                    if !going.contains(&peer) {
                        going.push(peer);
                    }
                }
            }
        }
        let mut blockers = Vec::new();
        for current in &going {
            let lists: Vec<Arc<str>> = self.store.nodes[*current as usize].edges.iter().map(|(i, _)| i.clone()).collect();
            for identifier in lists {
                for (_, peer, _) in self.store.edges_by(*current, &identifier, crate::model::Direction::Both, view) {
                    let peer_kind = self.store.kind_of(peer);
                    let needed = peer_kind.relations.iter().find(|r| *r.identifier == *identifier && !r.optional);
                    if let Some(relation) = needed
                        && !going.contains(&peer)
                    {
                        let (id, peer_id) = (&self.store.nodes[*current as usize].id, &self.store.nodes[peer as usize].id);
                        blockers.push((
                            format!("{}.{}", peer_kind.name, relation.name),
                            format!(
                                "Cannot delete {} '{id}'. It is linked to mandatory relationship {} on node {} '{peer_id}'",
                                self.store.kind_of(*current).name,
                                relation.name,
                                peer_kind.name
                            ),
                        ));
                    }
                }
            }
        }
        if !blockers.is_empty() {
            // The server keeps one reason for each field.
            let mut kept: Vec<(String, String)> = Vec::new();
            for (field, reason) in blockers {
                match kept.iter_mut().find(|(known, _)| *known == field) {
                    Some(entry) => entry.1 = reason,
                    None => kept.push((field, reason)),
                }
            }
            return Err(Fail::Fields(kept));
        }
        for current in going.iter().rev() {
            let lists: Vec<(Arc<str>, Vec<EdgeId>)> = self.store.nodes[*current as usize].edges.clone();
            for (identifier, _) in lists {
                let edges: Vec<(EdgeId, NodeId)> =
                    self.store.edges_by(*current, &identifier, crate::model::Direction::Both, view).map(|(e, p, _)| (e, p)).collect();
                for (edge, peer) in edges {
                    self.store.put_edge(edge, self.branch, self.at, None);
                    if !going.contains(&peer) {
                        self.store.follow(peer, view, self.at, self.account.as_ref());
                    }
                }
            }
            self.store.put(*current, self.branch, self.at, None);
        }
        let _ = model;
        for current in going {
            self.store.event("infrahub.node.deleted", self.at, self.branch, self.account.clone(), current);
        }
        Ok(())
    }

    /// `RelationshipAdd` and `RelationshipRemove`: both change nothing where there is nothing to change.
    pub(crate) fn relationship(&mut self, add: bool, data: &Map<String, Value>) -> Result<(), Fail> {
        let view = self.view();
        let model = self.store.model.clone();
        let text = |field: &str| data.get(field).and_then(Value::as_str).unwrap_or("None").to_owned();
        let (id, name) = (text("id"), text("name"));
        let node = self.store.node(&id).filter(|n| self.store.state(*n, view).is_some()).ok_or_else(|| Fail::not_found("node", &id))?;
        let kind = &model.kinds[self.store.nodes[node as usize].kind];
        let Some(relation) = kind.relation(&name).map(|r| &kind.relations[r]) else {
            return Err(Fail::field("name", format!("'{name}' is not a valid relationship for '{}'", kind.name)));
        };
        if relation.read_only {
            return Err(Fail::field(&kind.name, format!("'{name}' is a read-only relationship")));
        }
        let empty = Vec::new();
        let items = data.get("nodes").and_then(Value::as_array).unwrap_or(&empty);
        for item in items {
            let Some(id) = item.get("id") else { continue };
            let id = id.as_str().unwrap_or("None");
            let peer = self.store.node(id).filter(|n| self.store.state(*n, view).is_some());
            let Some(peer) = peer else {
                return Err(Fail::plain(format!("'{id}': Unable to find the node in the database."), 422));
            };
            if relation.peer == "CoreNode" {
                continue;
            }
            let peer_kind = self.store.kind_of(peer);
            if !self.store.is_a(self.store.nodes[peer as usize].kind, &relation.peer) {
                return Err(Fail::plain(format!("'{id}' '{}' is not a valid peer for '{}'", peer_kind.name, relation.peer), 422));
            }
            let theirs: Vec<&Relation> = peer_kind.relations.iter().filter(|r| r.identifier == relation.identifier).collect();
            if let [theirs] = theirs.as_slice()
                && !theirs.many
                && self.store.peer_of(peer, theirs, view).is_some_and(|p| p != node)
            {
                let message = format!("'{id}' '{}' is already related to another peer on '{}'", peer_kind.name, theirs.name);
                return Err(Fail::plain(message, 422));
            }
        }
        let current: Vec<(EdgeId, NodeId)> = self.store.edges_of(node, relation, view).map(|(e, p, _)| (e, p)).collect();
        let mut touched = Vec::new();
        if add {
            if !relation.many && !current.is_empty() {
                return Err(Fail::plain(format!("'{name}' is a cardinality-one relationship and already has a peer"), 422));
            }
            if !relation.many && items.len() > 1 {
                let message = format!("'{name}' is a cardinality-one relationship and cannot be assigned more than one peer");
                return Err(Fail::plain(message, 422));
            }
            let known: Vec<NodeId> = current.iter().map(|(_, p)| *p).collect();
            let peers = self.resolve(relation, wishes(&Value::Array(items.clone()))?, &known)?;
            for peer in peers {
                let Peer::Found(found) = peer else { continue };
                if !known.contains(&found.peer) && self.link(node, relation, &found, None) {
                    touched.push(found.peer);
                }
            }
        } else {
            let going: Vec<NodeId> =
                items.iter().filter_map(|i| i.get("id").and_then(Value::as_str)).filter_map(|id| self.store.node(id)).collect();
            if !relation.optional && current.iter().all(|(_, p)| going.contains(p)) {
                return Err(Fail::field("name", format!("'{name}' is a mandatory relationship and cannot be fully removed")));
            }
            for peer in going {
                if let Some((edge, _)) = current.iter().rev().find(|(_, p)| *p == peer) {
                    self.store.put_edge(*edge, self.edge_branch(relation), self.at, None);
                    touched.push(peer);
                }
            }
        }
        if !touched.is_empty() {
            for peer in touched.into_iter().chain([node]) {
                self.store.touch(peer, view, self.at, self.account.as_ref());
                self.store.index(peer, view);
            }
            self.store.event("infrahub.node.updated", self.at, self.branch, self.account.clone(), node);
        }
        Ok(())
    }
}

/// A peer that is there, or a UUID that is not.
enum Peer {
    Found(Found),
    Missing(String),
    /// Neither id nor human friendly id.
    Unset,
}

/// The peers that a mutation asks for, by the index of the relationship.
type Peers = Vec<(usize, Vec<Peer>)>;

/// Checks that a new object has its mandatory attributes and relationships.
fn check_mandatory(kind: &Kind, data: &Map<String, Value>) -> Result<(), Fail> {
    let attributes = kind.attributes.iter().filter(|a| !a.optional && a.default.is_none() && !a.computed && a.kind != "NumberPool");
    let relations = kind.relations.iter().filter(|r| !r.optional);
    let names = attributes.map(|a| &a.name).chain(relations.map(|r| &r.name));
    let missing: Vec<(String, String)> = names
        .filter(|name| !data.contains_key(*name))
        .map(|name| (name.clone(), format!("{name} is mandatory for {}", kind.name)))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Fail::Fields(missing)) }
}

/// Makes the label of the name, unless a label is given.
fn label(kind: &Kind, attributes: &mut [Attr]) {
    if let (Some(label), Some(name)) = (kind.attribute("label"), kind.attribute("name"))
        && attributes[label].value.is_null()
        && let Some(name) = attributes[name].value.as_str().filter(|n| !n.is_empty())
    {
        let words: Vec<String> = name.split('_').map(title).collect();
        attributes[label].value = Value::from(words.join(" "));
        attributes[label].is_default = false;
    }
}

/// Gives the attributes that an update empties their defaults.
fn set_defaults(kind: &Kind, data: &Map<String, Value>, state: &mut State) -> Result<(), Fail> {
    for (attribute, attr) in kind.attributes.iter().zip(&mut state.attributes) {
        if !data.get(&attribute.name).is_some_and(Value::is_object) {
            continue;
        }
        if attr.value.is_null() {
            match &attribute.default {
                Some(default) => (attr.value, attr.is_default) = (default.clone(), true),
                None if !attribute.optional => {
                    return Err(Fail::field(&attribute.name, format!("A value must be provided for {}", attribute.name)));
                }
                None => {}
            }
        }
        if attr.is_default {
            attr.is_default = attribute.default.clone().unwrap_or(Value::Null) == attr.value;
        }
    }
    Ok(())
}

/// Python's `str.title`: the first letter of each run of letters is large, the others are small.
fn title(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

fn hfid_of(data: &Map<String, Value>) -> Option<Vec<String>> {
    let list = data.get("hfid")?.as_array()?;
    Some(list.iter().map(|v| python(v, false)).collect())
}

/// Reads one peer or a list of them.
fn wishes(value: &Value) -> Result<Vec<Wanted>, Fail> {
    let one = std::slice::from_ref(value);
    let list = value.as_array().map_or(one, Vec::as_slice);
    list.iter()
        .map(|item| {
            let Some(map) = item.as_object() else {
                return Err(Fail::plain(format!("Invalid data provided to form a relationship {}", python(item, false)), 422));
            };
            let text = |field: &str| map.get(field).and_then(Value::as_str).map(str::to_owned);
            if map.get("id").is_some_and(Value::is_null) {
                return Err(Fail::plain("'NoneType' object has no attribute 'get_id'", 500));
            }
            Ok(Wanted {
                id: text("id"),
                hfid: hfid_of(map),
                kind: text("kind"),
                is_protected: map.get("_relation__is_protected").and_then(Value::as_bool),
                source: text("_relation__source"),
                owner: text("_relation__owner"),
            })
        })
        .collect()
}

/// Rejects values that the server's database cannot hold.
fn storable(value: &Value, class: crate::model::Class) -> Result<(), Fail> {
    use crate::model::Class;
    match (class, value) {
        (Class::Number, Value::Number(number)) if number.as_i64().is_none() => {
            Err(Fail::plain("Integer out of bounds: the database holds 64 bits", 500))
        }
        (Class::Any, Value::Object(_)) => Err(Fail::plain("Property values can only be of primitive types or arrays thereof.", 500)),
        _ => Ok(()),
    }
}
