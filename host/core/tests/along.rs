//! Objects that a delete takes along, and that the plan moves away before.

use std::collections::HashMap;

use infrahub_sync_base::Side;
use infrahub_sync_core::diff::diff;
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::model::{Cardinality, FieldModel, FieldType, KindModel, Model, Ownership};
use infrahub_sync_core::plan::{Dependents, LeftOut, Policy, plan};
use infrahub_sync_core::snapshot::{Snapshot, build};
use serde_json::{Value, json};

/// Interfaces belong to devices, and addresses to interfaces.
fn model() -> Model {
    let kind = |name: &str, tier, peer: Option<&str>| {
        let field = |name: &str, reference: Option<&str>| FieldModel {
            name: name.into(),
            field_type: FieldType::Any,
            optional: reference.is_some(),
            reference: reference.map(str::to_owned),
            also: Vec::new(),
            cardinality: Cardinality::Unknown,
            default: None,
            ownership: Ownership::Usual,
        };
        let fields = std::iter::once(field("name", None)).chain(peer.map(|peer| field("at", Some(peer)))).collect();
        KindModel {
            name: name.into(),
            identifiers: vec!["name".into()],
            tier,
            deferred: Vec::new(),
            lookup: false,
            unique: Vec::new(),
            fields,
        }
    };
    Model { kinds: vec![kind("Device", 0, None), kind("Interface", 1, Some("Device")), kind("Address", 2, Some("Interface"))] }
}

/// Makes a snapshot of objects, a name and the name of the peer each. The ids are the names.
fn snapshot(model: &Model, objects: [&[(&str, &str)]; 3], side: Side) -> Snapshot {
    let raw = model.kinds.iter().zip(objects).map(|(kind, objects)| {
        let mut raw = RawKind::new(kind.fields.len());
        for (name, peer) in objects {
            raw.ids.push_text(name);
            raw.columns[0].push_json(&json!(name));
            if let Some(column) = raw.columns.get_mut(1) {
                column.push_peer(&Some(*peer).filter(|peer| !peer.is_empty()).map_or(Value::Null, |peer| json!(peer)));
            }
            raw.rows += 1;
        }
        raw
    });
    let (snapshot, problems) = build(model, raw.collect(), side);
    assert_eq!(problems, []);
    snapshot
}

/// Returns the names of the objects that are deleted, where the old device takes along its interface and the address of that.
fn deleted(source: [&[(&str, &str)]; 3]) -> (Vec<String>, Vec<LeftOut>) {
    let model = model();
    let there = [&[("new", ""), ("old", "")][..], &[("n0", "new"), ("o0", "old")], &[("10.0.0.1", "o0")]];
    let (source, destination) = (snapshot(&model, source, Side::Source), snapshot(&model, there, Side::Destination));
    let all = Policy { create: true, update: true, delete: true };
    let plan = plan(&model, &source, &destination, diff(&model, &source, &destination), all);
    let dependents = |kind: usize, ids: &[&str]| Dependents {
        kind: model.kinds[kind].name.clone(),
        mapped: vec![kind],
        count: ids.len() as u64,
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    let mut found = HashMap::new();
    for delete in plan.deletes() {
        match delete.object.kind {
            0 => drop(found.insert(delete.object, vec![dependents(1, &["o0"]), dependents(2, &["10.0.0.1"])])),
            1 => drop(found.insert(delete.object, vec![dependents(2, &["10.0.0.1"])])),
            _ => {}
        }
    }
    let (plan, left_out) = plan.with_along(&found, &[]);
    let names = plan.deletes().filter_map(|delete| delete.id.map(str::to_owned)).collect();
    (names, left_out)
}

#[test]
fn an_address_that_moves_away_from_an_interface_does_not_keep_its_device() {
    let (names, left_out) = deleted([&[("new", "")], &[("n0", "new")], &[("10.0.0.1", "n0")]]);
    assert_eq!((names, left_out.len()), (vec!["o0".to_owned(), "old".to_owned()], 0));
}

#[test]
fn an_address_that_stays_keeps_its_device() {
    // Its interface leaves the device, and may fail to.
    let (names, left_out) = deleted([&[("new", "")], &[("n0", "new"), ("o0", "")], &[("10.0.0.1", "o0")]]);
    assert_eq!(names, Vec::<String>::new());
    assert_eq!((left_out.len(), left_out[0].kind.as_str()), (1, "Device"));
}
