//! What a change wants of its object, compared with objects as they were read: was it written?

use serde_json::Value;

use crate::change::{Change, PeerRef};
use crate::diff::default_column;
use crate::mapping::RawKind;
use crate::model::Model;
use crate::reconcile::{ids, is_null, sorted};
use crate::value::ValueColumn;

/// The wanted values of a change, made ready to be compared with many objects.
#[derive(Debug)]
pub struct Wanted {
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    /// Its place in the kind's fields.
    at: usize,
    identifier: bool,
    is: Is,
}

#[derive(Debug)]
enum Is {
    /// A value, and the one that the system sets in its place.
    Value(ValueColumn, Option<ValueColumn>),
    /// The ids of the peers, sorted; none if one of them is unknown.
    Peers(Option<Vec<String>>),
}

impl Wanted {
    /// Returns what a change wants. `id_of` finds the id of a peer that the plan does not know.
    #[must_use]
    pub fn of(model: &Model, change: &Change, id_of: impl Fn(&PeerRef) -> Option<String>) -> Wanted {
        let Some(spec) = model.kinds.get(change.object.kind) else { return Wanted { fields: Vec::new() } };
        let field = |(name, value): (&String, &Value)| {
            let at = spec.fields.iter().position(|field| field.name == *name)?;
            let field = spec.fields.get(at)?;
            let identifier = spec.identifiers.contains(name);
            let is = if field.reference.is_some() {
                let peers = change.peers.get(name).map(|peers| peers.as_slice()).unwrap_or_default();
                let outside = change.outside(name).iter().map(|peer| Some(peer.id.clone()));
                let ids = peers.iter().map(|peer| id_of(peer).or_else(|| peer.id.clone())).chain(outside).collect::<Option<Vec<String>>>();
                Is::Peers(ids.map(|mut ids| {
                    ids.sort_unstable();
                    ids.dedup();
                    ids
                }))
            } else {
                let mut one = ValueColumn::default();
                one.push_json(value);
                Is::Value(one.coerced(field.field_type), if value.is_null() { default_column(field) } else { None })
            };
            Some(Field { at, identifier, is })
        };
        Wanted { fields: change.new.iter().filter_map(field).collect() }
    }

    /// Returns whether an object, at row `row` of `read`, holds all of it.
    #[must_use]
    pub fn is_held(&self, read: &RawKind, row: usize) -> bool {
        self.fields.iter().all(|field| field.is_held(read, row))
    }

    /// Returns the object that has the identifiers of a create; none if a reference among them cannot be compared.
    #[must_use]
    pub fn find(&self, read: &RawKind) -> Option<usize> {
        let key: Vec<&Field> = self.fields.iter().filter(|field| field.identifier).collect();
        if key.is_empty() {
            return None;
        }
        (0..read.rows).find(|row| key.iter().all(|field| field.is_held(read, *row)))
    }
}

impl Field {
    fn is_held(&self, read: &RawKind, row: usize) -> bool {
        let Some(column) = read.columns.get(self.at).filter(|column| row < column.len()) else { return false };
        match &self.is {
            Is::Value(wanted, default) => {
                column.same(row, wanted, 0)
                    || (is_null(column, row) && is_null(wanted, 0))
                    || default.as_ref().is_some_and(|default| column.same(row, default, 0))
            }
            Is::Peers(Some(wanted)) => sorted(ids(column, row)) == *wanted,
            Is::Peers(None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::change::{ObjectKey, PeerRefs};
    use crate::model::{Cardinality, FieldModel, FieldType, KindModel, Ownership};
    use crate::plan_row::Action;

    fn field(name: &str, field_type: FieldType, reference: Option<&str>) -> FieldModel {
        let reference = reference.map(str::to_owned);
        FieldModel {
            name: name.to_owned(),
            field_type,
            optional: true,
            reference,
            also: Vec::new(),
            cardinality: Cardinality::One,
            default: (name == "mtu").then(|| json!(1500)),
            ownership: Ownership::Usual,
        }
    }

    fn change(new: Value, site: Option<&str>) -> Change {
        let peer = PeerRef { object: ObjectKey { kind: 0, key: "s".to_owned() }, id: site.map(str::to_owned) };
        Change {
            object: ObjectKey { kind: 0, key: "d".to_owned() },
            action: Action::Update,
            pass: 0,
            tier: 0,
            kind: "Device".to_owned(),
            unique_id: "d".to_owned(),
            id: None,
            resource: None,
            attribute: None,
            skip_reason: None,
            old: serde_json::Map::new(),
            new: new.as_object().unwrap().clone(),
            peers: BTreeMap::from([("site".to_owned(), PeerRefs::One(Some(peer)))]),
            outside: BTreeMap::new(),
            parked: serde_json::Map::new(),
        }
    }

    #[test]
    fn values_nulls_and_peers_are_compared_with_what_was_read() {
        let fields =
            vec![field("name", FieldType::Text, None), field("mtu", FieldType::Integer, None), field("site", FieldType::Any, Some("Site"))];
        let kind = KindModel {
            name: "Device".to_owned(),
            identifiers: vec!["name".to_owned()],
            tier: 0,
            deferred: Vec::new(),
            lookup: false,
            unique: Vec::new(),
            fields,
        };
        let model = Model { kinds: vec![kind] };
        let mut read = RawKind::new(3);
        for (name, mtu, site) in [("a", json!(9000), json!({"id": "s1"})), ("b", json!(1500), Value::Null)] {
            read.columns[0].push_text(name);
            read.columns[1].push_json(&mtu);
            read.columns[2].push_peer(&site);
        }
        read.rows = 2;
        let held = |new: Value, site: Option<&str>, row| Wanted::of(&model, &change(new, site), |_| None).is_held(&read, row);
        assert!(held(json!({"mtu": 9000}), None, 0) && !held(json!({"mtu": 9001}), None, 0));
        assert!(held(json!({"mtu": null}), None, 1) && !held(json!({"mtu": null}), None, 0), "the default stands for no value");
        assert!(held(json!({"site": {}}), Some("s1"), 0) && !held(json!({"site": {}}), Some("s2"), 0));
        assert!(!held(json!({"site": {}}), Some("s1"), 1) && !held(json!({"site": {}}), None, 0), "a peer without an id is not known");
        let made = |_: &PeerRef| Some("s1".to_owned());
        assert!(Wanted::of(&model, &change(json!({"site": {}}), None), made).is_held(&read, 0), "the run knows it");
        assert_eq!(Wanted::of(&model, &change(json!({"name": "b", "mtu": 7}), None), |_| None).find(&read), Some(1));
        assert_eq!(Wanted::of(&model, &change(json!({"name": "c"}), None), |_| None).find(&read), None);
        assert_eq!(Wanted::of(&model, &change(json!({"mtu": 9000}), None), |_| None).find(&read), None, "no identifier is given");
    }
}
