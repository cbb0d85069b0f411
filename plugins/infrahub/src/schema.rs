//! Fetches the schema, as far as the adapter needs it.
//!
//! A run reads the summary (5 KB, a few milliseconds). It downloads the schema itself only when the hash differs from that of the schema that
//! an earlier run stored with the host.

use std::collections::BTreeMap;

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Error, Query, Response, Result, http};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Start;
use crate::graphql::{refused, unexpected};

/// The name of the schema in messages.
const WHAT: &str = "schema";
/// The generic that all pools belong to.
const POOL: &str = "CoreResourcePool";
/// The generics that object templates and those of their components belong to.
const TEMPLATES: [&str; 2] = ["CoreObjectTemplate", "CoreObjectComponentTemplate"];
/// The relationship of an object to the template that it is created from.
const OBJECT_TEMPLATE: &str = "object_template";

/// All kinds of a branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Schema {
    /// The hash of the whole schema.
    main: String,
    kinds: BTreeMap<String, KindSchema>,
}

/// A kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KindSchema {
    pub(crate) kind: String,
    /// A generic has no objects of its own.
    #[serde(default)]
    pub(crate) generic: bool,
    #[serde(default)]
    pub(crate) human_friendly_id: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) uniqueness_constraints: Option<Vec<Vec<String>>>,
    #[serde(default)]
    pub(crate) inherit_from: Vec<String>,
    #[serde(default)]
    pub(crate) generate_profile: Option<bool>,
    #[serde(default)]
    pub(crate) attributes: Vec<Attribute>,
    #[serde(default)]
    pub(crate) relationships: Vec<Relationship>,
}

/// An attribute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) optional: bool,
    #[serde(default)]
    pub(crate) unique: bool,
    #[serde(default)]
    pub(crate) read_only: bool,
    #[serde(default)]
    pub(crate) default_value: Value,
    #[serde(default, rename = "enum")]
    pub(crate) enumeration: Option<Vec<Value>>,
    #[serde(default)]
    pub(crate) choices: Option<Vec<Choice>>,
}

/// A choice of a dropdown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) name: String,
}

/// A relationship.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Relationship {
    pub(crate) name: String,
    pub(crate) peer: String,
    #[serde(default)]
    pub(crate) cardinality: Cardinality,
    #[serde(default)]
    pub(crate) optional: bool,
    #[serde(default)]
    pub(crate) read_only: bool,
    /// The name that both ends of the relationship share.
    #[serde(default)]
    pub(crate) identifier: Option<String>,
    /// `outbound`, `inbound`, or `bidirectional`.
    #[serde(default)]
    pub(crate) direction: String,
    /// `Generic`, `Attribute`, `Component`, and others.
    #[serde(default)]
    pub(crate) kind: String,
    /// The fate of the peers when the object is deleted.
    #[serde(default)]
    pub(crate) on_delete: OnDelete,
}

/// The fate of the peers of a deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum OnDelete {
    /// They are deleted along.
    #[serde(rename = "cascade")]
    Cascade,
    /// They stay.
    #[default]
    #[serde(other, rename = "no-action")]
    NoAction,
}

/// The number of peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cardinality {
    /// At most one.
    One,
    /// A set.
    #[default]
    Many,
}

/// A field of a kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field<'s> {
    Attribute(&'s Attribute),
    Relationship(&'s Relationship),
}

impl Attribute {
    /// Says whether it is neither compared nor written: the server computes it, or keeps only a hash of it.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.read_only || self.kind == "HashedPassword"
    }
}

impl Relationship {
    /// Says whether a profile can give the peers.
    pub(crate) fn takes_profiles(&self) -> bool {
        !self.read_only && matches!(self.kind.as_str(), "Generic" | "Attribute")
    }
}

impl KindSchema {
    pub(crate) fn field(&self, name: &str) -> Option<Field<'_>> {
        let attribute = self.attributes.iter().find(|attribute| attribute.name == name);
        let relationship = || self.relationships.iter().find(|relationship| relationship.name == name);
        attribute.map(Field::Attribute).or_else(|| relationship().map(Field::Relationship))
    }

    /// Returns the relationships whose peers are deleted along with an object.
    pub(crate) fn cascading(&self) -> impl Iterator<Item = &Relationship> {
        self.relationships.iter().filter(|relationship| relationship.on_delete == OnDelete::Cascade)
    }

    /// Returns the relationship to the template that an object is created from, if the kind has templates.
    pub(crate) fn object_template(&self) -> Option<&Relationship> {
        self.relationships.iter().find(|relationship| relationship.name == OBJECT_TEMPLATE)
    }
}

impl Schema {
    pub(crate) fn kind(&self, name: &str) -> Option<&KindSchema> {
        self.kinds.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &KindSchema> {
        self.kinds.values()
    }

    /// Returns the kinds that inherit from a generic.
    pub(crate) fn members<'s>(&'s self, generic: &'s str) -> impl Iterator<Item = &'s KindSchema> {
        self.all().filter(move |kind| !kind.generic && kind.inherit_from.iter().any(|name| name == generic))
    }

    /// Returns the kinds whose objects a relationship to `peer` may have: its members, or the kind itself.
    pub(crate) fn concrete<'s>(&'s self, peer: &'s str) -> impl Iterator<Item = &'s KindSchema> {
        self.kind(peer).into_iter().filter(|kind| !kind.generic).chain(self.members(peer))
    }

    /// Says whether each peer of a relationship belongs to one object at most: the server rejects a peer that another object still has. It is
    /// certain only if each kind of peer has a relationship back to one object, which may also be empty.
    pub(crate) fn is_exclusive(&self, kind: &KindSchema, relationship: &Relationship) -> bool {
        let peers: Vec<&KindSchema> = self.concrete(&relationship.peer).collect();
        let belongs_to_one = |peer: &&KindSchema| {
            let is_self = |back: &Relationship| peer.kind == kind.kind && back.name == relationship.name;
            let same = |back: &&Relationship| relationship.identifier.is_some() && back.identifier == relationship.identifier;
            let mut backs = peer.relationships.iter().filter(same).filter(|back| !is_self(back) || back.direction == "bidirectional");
            backs.next().is_some_and(|back| back.cardinality == Cardinality::One && back.optional && backs.next().is_none())
        };
        !peers.is_empty() && peers.iter().all(belongs_to_one)
    }

    /// Returns the kind, or an error for the user who named it.
    pub(crate) fn known(&self, name: &str) -> Result<&KindSchema> {
        self.kind(name).ok_or_else(|| Error::config(format!("Infrahub's schema has no kind `{name}`")))
    }

    /// Says whether objects of the kind are templates of other objects.
    pub(crate) fn is_template(&self, name: &str) -> bool {
        self.kind(name).is_some_and(|kind| kind.inherit_from.iter().any(|generic| TEMPLATES.contains(&generic.as_str())))
    }

    /// Says whether objects of the kind are pools: a relationship to one gets an object that the pool allocates.
    pub(crate) fn is_pool(&self, name: &str) -> bool {
        self.kind(name).is_some_and(|kind| kind.inherit_from.iter().any(|generic| generic == POOL))
    }
}

/// The body of `/api/schema`.
#[derive(Deserialize)]
struct Download {
    main: String,
    #[serde(default)]
    nodes: Vec<KindSchema>,
    #[serde(default)]
    generics: Vec<KindSchema>,
    /// Kinds that Infrahub makes for others: profiles (`ProfileX`) and object templates (`TemplateX`).
    #[serde(default)]
    profiles: Vec<KindSchema>,
    #[serde(default)]
    templates: Vec<KindSchema>,
}

/// Returns the current schema of the branch.
pub(crate) fn current(branch: &str) -> Result<Schema> {
    let start = match Start::known() {
        Some(start) => start,
        None => {
            let response = get("/api/schema/summary", branch)?;
            let main = response.get("/main").map_err(|_| unexpected(WHAT, &response))?;
            Start::keep(main, &response)?
        }
    };
    let key = format!("schema/{branch}");
    if let Some(kept) = memo::get_as::<Schema>(Lifetime::Lasting, &key).filter(|kept| kept.main == start.schema) {
        return Ok(kept);
    }
    let response = get("/api/schema", branch)?;
    let download: Download = response.parse().map_err(|_| unexpected(WHAT, &response))?;
    let generics = download.generics.into_iter().map(|kind| KindSchema { generic: true, ..kind });
    let made = download.profiles.into_iter().chain(download.templates);
    let kinds = download.nodes.into_iter().chain(generics).chain(made).map(|kind| (kind.kind.clone(), kind)).collect();
    let schema = Schema { main: download.main, kinds };
    memo::put_as(Lifetime::Lasting, &key, &schema)?;
    Ok(schema)
}

fn get(path: &str, branch: &str) -> Result<Response> {
    let response = http::get(Query::new(path).with("branch", branch)).send()?;
    if response.status() == 200 { Ok(response) } else { Err(refused(branch, WHAT, &response)) }
}
