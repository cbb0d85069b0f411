//! A row of a plan as a change: its JSON parsed, once.
//!
//! [`PlanRow`] is what lies in `plan.parquet`; [`Change`] is what an apply works with.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::key;
use crate::model::Model;
use crate::plan_row::{Action, PlanRow};
use crate::snapshot::Snapshot;
use crate::value::{Tag, value_json};

/// An object: the position of its kind in the model, and its natural key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The position of the kind.
    pub kind: usize,
    /// The key, as [`key`] writes it.
    pub key: String,
}

impl ObjectKey {
    /// Returns the object's row in a snapshot, whose keys are sorted.
    #[must_use]
    pub fn row_in(&self, snapshot: &Snapshot) -> Option<usize> {
        let keys = &snapshot.kinds.get(self.kind)?.keys;
        let (mut low, mut high) = (0, keys.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match keys.get(middle).cmp(&self.key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// Names the object for a person: ``Kind `unique id` ``.
    #[must_use]
    pub fn named(&self, model: &Model) -> String {
        format!("{} `{}`", model.kinds.get(self.kind).map_or("", |kind| &kind.name), key::unique_id(&self.key))
    }
}

/// A peer that a change refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRef {
    /// The peer.
    pub object: ObjectKey,
    /// Its id in the destination when the plan was made, if it was there.
    pub id: Option<String>,
}

/// The peers of a reference field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerRefs {
    /// One peer, or none.
    One(Option<PeerRef>),
    /// A set.
    Many(Vec<PeerRef>),
}

impl PeerRefs {
    /// Returns the peers, however many.
    #[must_use]
    pub fn as_slice(&self) -> &[PeerRef] {
        match self {
            PeerRefs::One(peer) => peer.as_slice(),
            PeerRefs::Many(peers) => peers,
        }
    }
}

/// A change of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The object.
    pub object: ObjectKey,
    /// The operation.
    pub action: Action,
    /// 0 in the first pass; 1 for fields that were taken out of it to break a cycle.
    pub pass: u32,
    /// The write order.
    pub tier: u32,
    /// The name of the kind.
    pub kind: String,
    /// The object's unique id.
    pub unique_id: String,
    /// The object's id in the destination, where it is known.
    pub id: Option<String>,
    /// The destination's resource that the row is written to, where the mappings of the kind have several.
    pub resource: Option<String>,
    /// The names of the changed fields, joined with `,`.
    pub attribute: Option<String>,
    /// Why the row is not applied, where it is not.
    pub skip_reason: Option<String>,
    /// The values that the plan found.
    pub old: Map<String, Value>,
    /// The wanted values; references as unique ids.
    pub new: Map<String, Value>,
    /// The references among the wanted values.
    pub peers: BTreeMap<String, PeerRefs>,
    /// The peers outside of the sync that stay in sets among the wanted values, by field.
    pub outside: BTreeMap<String, Vec<OutsideRef>>,
    /// The values that an earlier row of the plan has put in place of the old ones, to free these for other objects.
    pub parked: Map<String, Value>,
}

/// A peer outside of the sync, which has an id and no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideRef {
    /// Its kind; empty where the destination does not tell.
    pub kind: String,
    /// Its id in the destination.
    pub id: String,
}

/// Why a row is not a change.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The kind is not in the model.
    #[error("its kind `{0}` is not in the model")]
    Kind(String),
    /// The key is damaged.
    #[error("its key is not a JSON array")]
    Key,
    /// The peers are damaged.
    #[error("its peers are damaged: {0}")]
    Peers(String),
    /// The values are damaged.
    #[error("its values are not a JSON object: {0}")]
    Values(#[from] serde_json::Error),
}

impl Change {
    /// Returns the peers of all reference fields, with the name of the field.
    pub fn all_peers(&self) -> impl Iterator<Item = (&str, &PeerRef)> {
        self.peers.iter().flat_map(|(field, peers)| peers.as_slice().iter().map(|peer| (field.as_str(), peer)))
    }

    /// Returns the peers outside of the sync that stay in a field's set.
    #[must_use]
    pub fn outside(&self, field: &str) -> &[OutsideRef] {
        self.outside.get(field).map_or(&[], Vec::as_slice)
    }
}

impl PlanRow {
    /// Parses the row.
    ///
    /// # Errors
    /// When its kind is not in the model, or its JSON is damaged.
    pub fn into_change(self, model: &Model) -> Result<Change, ChangeError> {
        let Some((kind, _)) = model.kind(&self.resource) else { return Err(ChangeError::Kind(self.resource)) };
        let key = serde_json::from_str(&self.key).ok().and_then(|key| key::key_from_json(&key)).ok_or(ChangeError::Key)?;
        let (peers, outside) = match &self.peers {
            Some(text) => peers(model, text).map_err(ChangeError::Peers)?,
            None => (BTreeMap::new(), BTreeMap::new()),
        };
        Ok(Change {
            object: ObjectKey { kind, key },
            action: self.action,
            pass: self.pass,
            tier: self.tier,
            kind: self.resource,
            unique_id: self.source_id,
            id: self.dest_id,
            resource: self.destination_mapping,
            attribute: self.attribute,
            skip_reason: self.skip_reason,
            old: object(self.old_value.as_deref())?,
            new: object(self.new_value.as_deref())?,
            peers,
            outside,
            parked: Map::new(),
        })
    }
}

fn object(text: Option<&str>) -> Result<Map<String, Value>, serde_json::Error> {
    let Some(text) = text else { return Ok(Map::new()) };
    let mut object: Map<String, Value> = serde_json::from_str(text)?;
    // The parser gives an exponent back in another spelling.
    let has_exponents = text.as_bytes().windows(2).any(|pair| matches!(pair, [b'0'..=b'9', b'e' | b'E']));
    if has_exponents {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
        for (name, value) in fields {
            if object.get(&name).is_some_and(Value::is_number) {
                object.insert(name, value_json(Tag::Float, value.get()));
            }
        }
    }
    Ok(object)
}

/// The references of a change by field: the peers, and those outside of the sync.
type References = (BTreeMap<String, PeerRefs>, BTreeMap<String, Vec<OutsideRef>>);

fn peers(model: &Model, text: &str) -> Result<References, String> {
    let fields: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let one = |peer: &Value| -> Option<PeerRef> {
        let (kind, _) = model.kind(peer.get("kind")?.as_str()?)?;
        let key = key::key_from_json(peer.get("key")?)?;
        let id = peer.get("id").and_then(Value::as_str).map(str::to_owned);
        Some(PeerRef { object: ObjectKey { kind, key }, id })
    };
    let is_outside = |peer: &Value| peer.get("key").is_none() && peer.get("id").is_some();
    let mut outside: BTreeMap<String, Vec<OutsideRef>> = BTreeMap::new();
    let peers = fields.into_iter().map(|(field, value)| {
        let unknown = |peer: &Value| format!("`{field}` has {peer}");
        let peers = match &value {
            Value::Null => PeerRefs::One(None),
            Value::Array(items) => {
                let (stay, items): (Vec<&Value>, Vec<&Value>) = items.iter().partition(|peer| is_outside(peer));
                let text = |peer: &Value, name: &str| peer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                if !stay.is_empty() {
                    let stay = stay.into_iter().map(|peer| OutsideRef { kind: text(peer, "kind"), id: text(peer, "id") });
                    outside.insert(field.clone(), stay.collect());
                }
                PeerRefs::Many(items.into_iter().map(|peer| one(peer).ok_or_else(|| unknown(peer))).collect::<Result<_, _>>()?)
            }
            peer => PeerRefs::One(Some(one(peer).ok_or_else(|| unknown(peer))?)),
        };
        Ok((field, peers))
    });
    let peers = peers.collect::<Result<_, String>>()?;
    Ok((peers, outside))
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} `{}`", self.action.as_str(), self.kind, self.unique_id)
    }
}
