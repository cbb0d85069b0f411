//! The schema, as far as the adapter needs it.
//!
//! A run asks for the summary (5 KB, a few milliseconds). Only when its hash is another one than that of the schema that an earlier run
//! left with the host is the schema itself downloaded.

use std::collections::BTreeMap;

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{Error, Response, Result, http};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Start;
use crate::graphql::{escaped, refused};

/// The generic that all pools belong to.
const POOL: &str = "CoreResourcePool";

/// All kinds of a branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Schema {
    /// The hash of the whole.
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
}

/// How many peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cardinality {
    /// One, or none.
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
    /// Whether it is neither compared nor written: what the server computes, and what it keeps a hash of, which equals nothing.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.read_only || self.kind == "HashedPassword"
    }
}

impl KindSchema {
    pub(crate) fn field(&self, name: &str) -> Option<Field<'_>> {
        let attribute = self.attributes.iter().find(|attribute| attribute.name == name);
        let relationship = || self.relationships.iter().find(|relationship| relationship.name == name);
        attribute.map(Field::Attribute).or_else(|| relationship().map(Field::Relationship))
    }
}

impl Schema {
    pub(crate) fn kind(&self, name: &str) -> Option<&KindSchema> {
        self.kinds.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &KindSchema> {
        self.kinds.values()
    }

    /// The kind, or an error for whoever named it.
    pub(crate) fn known(&self, name: &str) -> Result<&KindSchema> {
        self.kind(name).ok_or_else(|| Error::config(format!("Infrahub's schema has no kind `{name}`")))
    }

    /// Whether objects of the kind are pools: a relationship to one is given what the pool allocates.
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
}

/// The branch's schema as it is now.
pub(crate) fn current(branch: &str) -> Result<Schema> {
    let start = match Start::known() {
        Some(start) => start,
        None => {
            let response = get(&format!("/api/schema/summary?branch={}", escaped(branch)), branch)?;
            let main = response.json(&["/main"]).into_iter().next().flatten();
            let Some(main) = main.and_then(|main| serde_json::from_str(&main).ok()) else {
                return Err(no_schema(&response));
            };
            Start::keep(main, &response)?
        }
    };
    let key = format!("schema/{branch}");
    if let Some(kept) = memo::get_as::<Schema>(Lifetime::Lasting, &key).filter(|kept| kept.main == start.schema) {
        return Ok(kept);
    }
    let response = get(&format!("/api/schema?branch={}", escaped(branch)), branch)?;
    let download: Download = response.parse().map_err(|_| no_schema(&response))?;
    let generics = download.generics.into_iter().map(|kind| KindSchema { generic: true, ..kind });
    let kinds = download.nodes.into_iter().chain(generics).map(|kind| (kind.kind.clone(), kind)).collect();
    let schema = Schema { main: download.main, kinds };
    memo::put_as(Lifetime::Lasting, &key, &schema)?;
    Ok(schema)
}

fn get(path: &str, branch: &str) -> Result<Response> {
    let response = http::get(path).send()?;
    if response.status() == 200 { Ok(response) } else { Err(refused(branch, "the schema", &response)) }
}

fn no_schema(response: &Response) -> Error {
    let what = response.header("content-type").map(|what| format!(" but {what}")).unwrap_or_default();
    Error::remote(format!("the answer is no schema of Infrahub{what}: is `url` the address of an Infrahub?")).with_status(response.status())
}
