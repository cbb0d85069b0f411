//! Object templates: what a new object takes from its template, and the components that are made with it.

use serde_json::{Map, Value, json};

use crate::model::{Category, Kind, KindId, Relation};
use crate::mutate::{Fail, Transaction};
use crate::store::NodeId;

/// The relationship of an object to its template.
const OBJECT_TEMPLATE: &str = "object_template";

impl Transaction<'_> {
    /// Returns the template that a new object is created from.
    pub(crate) fn template(&self, kind: &Kind, data: &Map<String, Value>) -> Result<Option<NodeId>, Fail> {
        let (Some(relation), Some(value)) = (
            kind.relation(OBJECT_TEMPLATE).and_then(|at| kind.relations.get(at)),
            data.get(OBJECT_TEMPLATE).filter(|value| !value.is_null()),
        ) else {
            return Ok(None);
        };
        let Some(peer_kind) = self.store.model.kind(&relation.peer) else { return Ok(None) };
        let wanted = value.as_object().cloned().unwrap_or_default();
        self.find(peer_kind, &wanted).map(Some)
    }

    /// Returns the data of a new object, with what its template gives beyond them.
    pub(crate) fn filled(&self, kind: &Kind, template: NodeId, data: &Map<String, Value>) -> Map<String, Value> {
        let mut filled = data.clone();
        let (view, of) = (self.view(), self.store.kind_of(template));
        let id = self.store.nodes[template as usize].id.clone();
        let Some(state) = self.store.state(template, view) else { return filled };
        for (attribute, known) in state.attributes.iter().zip(&of.attributes) {
            let is_given = attribute.value.is_null() || data.contains_key(&known.name) || kind.attribute(&known.name).is_none();
            if !is_given {
                filled.insert(known.name.clone(), json!({ "value": attribute.value, "source": &*id }));
            }
        }
        for relation in of.relations.iter().filter(|relation| self.is_taken_over(kind, relation) && !data.contains_key(&relation.name)) {
            let peers: Vec<Value> =
                self.peers(template, relation).into_iter().map(|peer| json!({ "id": &*self.store.nodes[peer as usize].id })).collect();
            match (relation.many, peers.first()) {
                (_, None) => {}
                (true, _) => drop(filled.insert(relation.name.clone(), Value::Array(peers))),
                (false, Some(one)) => drop(filled.insert(relation.name.clone(), one.clone())),
            }
        }
        filled
    }

    /// Creates the components of a template for an object that was created from it, and theirs in turn.
    pub(crate) fn components(&mut self, object: NodeId, template: NodeId, data: &Map<String, Value>) -> Result<(), Fail> {
        let model = self.store.model.clone();
        let kind = self.store.nodes[object as usize].kind;
        let (kind, of) = (&model.kinds[kind], &model.kinds[self.store.nodes[template as usize].kind]);
        for relation in of.relations.iter().filter(|relation| relation.many && relation.cascade && !data.contains_key(&relation.name)) {
            let Some(own) = kind.relation(&relation.name).and_then(|at| kind.relations.get(at)) else { continue };
            for part in self.peers(template, relation) {
                let name = model.kinds[self.store.nodes[part as usize].kind].name.clone();
                let Some(component) = name.strip_prefix("Template").and_then(|name| model.kind(name)) else { continue };
                self.component(component, part, (object, own))?;
            }
        }
        Ok(())
    }

    fn component(&mut self, kind: KindId, template: NodeId, (parent, relation): (NodeId, &Relation)) -> Result<(), Fail> {
        let model = self.store.model.clone();
        let mut data = self.filled(&model.kinds[kind], template, &Map::new());
        if let Some(back) = model.kinds[kind].relation_by_identifier(&relation.identifier) {
            data.insert(back.name.clone(), json!({ "id": &*self.store.nodes[parent as usize].id }));
        }
        let made = self.created(kind, &data)?;
        self.components(made, template, &Map::new())
    }

    /// Says whether a new object has the peers that its template has in a relationship.
    fn is_taken_over(&self, kind: &Kind, relation: &Relation) -> bool {
        let is_of_templates =
            |name: &str| self.store.model.kind(name).is_some_and(|peer| self.store.model.kinds[peer].category == Category::Template);
        kind.relation(&relation.name).is_some()
            && !is_of_templates(&relation.peer)
            && !["member_of_groups", "subscriber_of_groups", OBJECT_TEMPLATE].contains(&relation.name.as_str())
    }

    fn peers(&self, node: NodeId, relation: &Relation) -> Vec<NodeId> {
        self.store.edges_of(node, relation, self.view()).map(|(_, peer, _)| peer).collect()
    }
}
