//! A model of five kinds, and what one side holds of it.

use std::fmt::Write as _;

use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::model::{Cardinality, FieldModel, FieldType, KindModel, Model, Ownership};
use infrahub_sync_core::value::Tag;

/// Of 100 objects: 1 tag, 4 sites, 5 racks, 30 devices, 60 interfaces. An interface is identified by its name and its device.
const SHARES: [(&str, usize); 5] = [("Tag", 1), ("Site", 4), ("Rack", 5), ("Device", 30), ("Interface", 60)];
/// Plain fields of each kind, the first of which identifies.
const PLAIN: [(&str, FieldType); 7] = [
    ("name", FieldType::Text),
    ("description", FieldType::Text),
    ("status", FieldType::Text),
    ("serial", FieldType::Text),
    ("position", FieldType::Integer),
    ("enabled", FieldType::Boolean),
    ("comment", FieldType::Text),
];
/// Kind, field, peer, a set.
const REFERENCES: [(&str, &str, &str, bool); 5] = [
    ("Rack", "site", "Site", false),
    ("Device", "site", "Site", false),
    ("Device", "rack", "Rack", false),
    ("Device", "tags", "Tag", true),
    ("Interface", "device", "Device", false),
];

pub(crate) fn model() -> Model {
    let kinds = SHARES.iter().enumerate().map(|(at, (name, _))| {
        let plain = PLAIN.iter().map(|(field, field_type)| FieldModel {
            name: (*field).to_owned(),
            field_type: *field_type,
            optional: *field != "name",
            reference: None,
            also: Vec::new(),
            cardinality: Cardinality::Unknown,
            default: None,
            ownership: Ownership::Usual,
        });
        let references = REFERENCES.iter().filter(|(kind, ..)| kind == name).map(|(_, field, peer, many)| FieldModel {
            name: (*field).to_owned(),
            field_type: FieldType::Any,
            optional: *field != "device",
            reference: Some((*peer).to_owned()),
            also: Vec::new(),
            cardinality: if *many { Cardinality::Many } else { Cardinality::One },
            default: None,
            ownership: Ownership::Usual,
        });
        KindModel {
            name: (*name).to_owned(),
            identifiers: if *name == "Interface" { vec!["name".to_owned(), "device".to_owned()] } else { vec!["name".to_owned()] },
            tier: at as u32,
            deferred: Vec::new(),
            lookup: false,
            unique: Vec::new(),
            fields: plain.chain(references).collect(),
        }
    });
    Model { kinds: kinds.collect() }
}

/// Mixes the bits of a number.
fn mix(x: usize) -> usize {
    let x = (x as u64 ^ 0x9e37_79b9).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as usize >> 1
}

/// The shape of a side.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// Rows come in the order of their names; else in any order.
    pub(crate) sorted: bool,
    /// References lead to where the neighbours' lead, as interfaces of one device do; else anywhere.
    pub(crate) grouped: bool,
    /// The first id: two systems number their objects differently.
    pub(crate) ids_from: usize,
    /// The number of different objects in 100: half of them differ in a field, a quarter is missing, a quarter is new.
    pub(crate) changed_percent: usize,
}

/// `size` objects of all kinds together.
pub(crate) fn side(size: usize, look: Look) -> Vec<RawKind> {
    let model = model();
    let counts = SHARES.map(|(_, share)| (size * share / 100).max(1));
    let count_of = |name: &str| SHARES.iter().position(|(kind, _)| *kind == name).map_or(1, |at| counts[at]);
    SHARES
        .iter()
        .enumerate()
        .map(|(at, (name, _))| {
            let mut raw = RawKind::new(model.kinds[at].fields.len());
            let count = counts[at];
            // Any odd step that has no common factor with the count visits each row once.
            let step = ((mix(at) % count.max(2)) | 1..).step_by(2).find(|step| gcd(*step, count) == 1).unwrap_or(1);
            let mut text = String::new();
            for turn in 0..count {
                let i = if look.sorted { turn } else { turn.wrapping_mul(step) % count };
                // Only the kinds that nothing refers to lose or gain objects, so that no reference dangles.
                let lot = mix(i ^ at << 40) % 400;
                let changed = lot < look.changed_percent * 4;
                let (missing, new) = (changed && lot % 4 == 2 && *name == "Interface", changed && lot % 4 == 3 && *name == "Interface");
                if missing {
                    continue;
                }
                let mut put = |field: usize, tag: Tag, arguments: std::fmt::Arguments<'_>| {
                    text.clear();
                    let _ = text.write_fmt(arguments); // writing to a String cannot fail
                    raw.columns[field].push(tag, &text);
                };
                let kind = name.to_lowercase();
                put(0, Tag::Text, format_args!("{kind}-{i:07}{}", if new { "-new" } else { "" }));
                put(1, Tag::Text, format_args!("{name} number {i}, made for timing{}", if changed && !new { ", changed" } else { "" }));
                put(2, Tag::Text, format_args!("{}", ["active", "planned", "offline"][mix(i) % 3]));
                put(3, Tag::Text, format_args!("SN{:09}", mix(i) % 1_000_000_000));
                put(4, Tag::Int, format_args!("{}", mix(i) % 48));
                put(5, if mix(i).is_multiple_of(10) { Tag::False } else { Tag::True }, format_args!(""));
                if i % 3 == 0 {
                    put(6, Tag::Text, format_args!(""))
                } else {
                    put(6, Tag::Null, format_args!(""))
                }
                for (nth, (_, _, peer, many)) in REFERENCES.iter().filter(|(kind, ..)| kind == name).enumerate() {
                    let place =
                        |salt: usize| if look.grouped && !many { i * count_of(peer) / count } else { mix(i + salt) % count_of(peer) };
                    let of = |salt: usize| place(salt) + look.ids_from;
                    match many {
                        false => put(PLAIN.len() + nth, Tag::Id, format_args!("{}", of(nth))),
                        true if i % 2 == 0 => put(PLAIN.len() + nth, Tag::Ids, format_args!("{}\n{}\n", of(nth), of(nth + 1))),
                        true => put(PLAIN.len() + nth, Tag::Ids, format_args!("")),
                    }
                }
                text.clear();
                let _ = write!(text, "{}", i + look.ids_from);
                raw.ids.push(Tag::Int, &text);
                raw.rows += 1;
            }
            raw
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
