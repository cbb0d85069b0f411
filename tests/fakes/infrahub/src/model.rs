//! The schema as the server publishes it: `api_schema.json` for the rules, `schema.graphql` for the documents.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use apollo_compiler::{Schema, validation::Valid};
use serde_json::Value;

/// The schema could not be read.
#[derive(Debug)]
pub struct SchemaError(pub(crate) String);

impl std::fmt::Display for SchemaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SchemaError {}

/// The server version that is imitated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub enum Version {
    /// No `node_metadata` filters, no `order.by`, no error codes, no load shedding.
    #[serde(rename = "1.6")]
    V1_6,
    /// As 1.11, but without load shedding.
    #[serde(rename = "1.10")]
    V1_10,
    /// The version against which the fake is checked.
    #[default]
    #[serde(rename = "1.11")]
    V1_11,
}

impl Version {
    /// Returns the full number, as `InfrahubInfo` gives it.
    pub fn number(self) -> &'static str {
        match self {
            Version::V1_6 => "1.6.3",
            Version::V1_10 => "1.10.4",
            Version::V1_11 => "1.11.9",
        }
    }
}

pub(crate) type KindId = usize;

/// How values of a kind of attribute are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Text,
    LargeText,
    Password,
    Number,
    Boolean,
    DateTime,
    Url,
    IpHost,
    IpNetwork,
    IpAddress,
    Mac,
    Dropdown,
    List,
    Json,
    Any,
}

impl Class {
    fn of(kind: &str) -> Class {
        match kind {
            "TextArea" => Class::LargeText,
            "HashedPassword" => Class::Password,
            "Number" | "NumberPool" | "Bandwidth" => Class::Number,
            "Boolean" | "Checkbox" => Class::Boolean,
            "DateTime" => Class::DateTime,
            "URL" => Class::Url,
            "IPHost" => Class::IpHost,
            "IPNetwork" => Class::IpNetwork,
            "IPAddress" => Class::IpAddress,
            "MacAddress" => Class::Mac,
            "Dropdown" => Class::Dropdown,
            "List" => Class::List,
            "JSON" => Class::Json,
            "Any" => Class::Any,
            _ => Class::Text,
        }
    }
}

pub(crate) struct Choice {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) description: String,
    pub(crate) color: String,
}

pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) class: Class,
    pub(crate) optional: bool,
    pub(crate) unique: bool,
    pub(crate) default: Option<Value>,
    pub(crate) enumeration: Option<Vec<Value>>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) regex: Option<(String, regex::Regex)>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) min_value: Option<i64>,
    pub(crate) max_value: Option<i64>,
    /// The template of a computed attribute.
    pub(crate) template: Option<String>,
    /// Whether the attribute is computed at all.
    pub(crate) computed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Both,
    Out,
    In,
}

pub(crate) struct Relation {
    pub(crate) name: String,
    pub(crate) peer: String,
    pub(crate) identifier: Arc<str>,
    pub(crate) direction: Direction,
    pub(crate) many: bool,
    pub(crate) optional: bool,
    pub(crate) min_count: usize,
    pub(crate) max_count: usize,
    pub(crate) cascade: bool,
    pub(crate) read_only: bool,
    pub(crate) agnostic: bool,
}

/// A path such as `device__name__value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An attribute of the object, and which property of it.
    Own(usize, String),
    /// An attribute of the peer of a relationship to one.
    Peer(usize, String, String),
    /// The peer of a relationship to one itself.
    Id(usize),
}

/// How a uniqueness constraint relates to the human friendly id: an upsert forgives some violations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConstraintType {
    Hfid,
    SubsetOfHfid,
    Standard,
}

pub(crate) struct Constraint {
    pub(crate) steps: Vec<Step>,
    pub(crate) kind: ConstraintType,
    /// The constraint as it is spelled in the schema.
    pub(crate) spelled: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    Node,
    Generic,
    Profile,
    Template,
}

pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) short: String,
    pub(crate) category: Category,
    pub(crate) agnostic: bool,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) relations: Vec<Relation>,
    pub(crate) attribute_index: HashMap<String, usize>,
    pub(crate) relation_index: HashMap<String, usize>,
    pub(crate) hfid: Option<Vec<Step>>,
    pub(crate) order_by: Vec<Step>,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) inherit_from: Vec<String>,
    pub(crate) inherit: Vec<KindId>,
    /// The kinds whose objects a query of this kind lists: itself, or what uses a generic.
    pub(crate) concrete: Vec<KindId>,
    pub(crate) display_label: Option<String>,
    pub(crate) default_filter: Option<String>,
    /// Every constraint to check for an object of this kind, with the kind it is declared on.
    pub(crate) checked: Vec<(KindId, usize)>,
}

impl Kind {
    pub(crate) fn attribute(&self, name: &str) -> Option<usize> {
        self.attribute_index.get(name).copied()
    }

    pub(crate) fn relation(&self, name: &str) -> Option<usize> {
        self.relation_index.get(name).copied()
    }

    pub(crate) fn relation_by_identifier(&self, identifier: &str) -> Option<&Relation> {
        self.relations.iter().find(|r| &*r.identifier == identifier)
    }

    fn step(&self, path: &str) -> Option<Step> {
        let (first, rest) = match path.split_once("__") {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        if let Some(attribute) = self.attribute(first) {
            return Some(Step::Own(attribute, rest.unwrap_or("value").to_owned()));
        }
        let relation = self.relation(first)?;
        match rest {
            None => Some(Step::Id(relation)),
            Some(rest) => {
                let (attribute, property) = rest.split_once("__").unwrap_or((rest, "value"));
                Some(Step::Peer(relation, attribute.to_owned(), property.to_owned()))
            }
        }
    }
}

/// A mutation of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Create,
    Update,
    Upsert,
    Delete,
}

/// The schema of a server: what `GET /api/schema` and `GET /schema.graphql` answer, parsed.
pub struct Model {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) by_name: HashMap<String, KindId>,
    pub(crate) mutations: HashMap<String, (KindId, Write)>,
    pub(crate) api: Value,
    pub(crate) summary: Value,
    pub(crate) sdl: String,
    pub(crate) graphql: Valid<Schema>,
    pub(crate) version: Version,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("kinds", &self.kinds.len()).field("version", &self.version).finish()
    }
}

impl Model {
    /// Returns the schema of `fixtures/test_schema.yml`: sites, tags, devices and their interfaces.
    ///
    /// Like the other fixture it is the output of the real server's code, and is parsed once in a process for each version.
    pub fn fixture(version: Version) -> Arc<Model> {
        static MODELS: [OnceLock<Arc<Model>>; 3] = [const { OnceLock::new() }; 3];
        let parts = [
            include_bytes!("../fixtures/api_schema.json.gz").as_slice(),
            include_bytes!("../fixtures/schema.graphql.gz"),
            include_bytes!("../fixtures/schema_summary.json.gz"),
        ];
        MODELS[version as usize].get_or_init(|| packed(parts, version)).clone()
    }

    /// Returns the schema of `check/schema.yml`: each kind of value, each kind of relationship, and what upserts stumble over.
    pub fn every(version: Version) -> Arc<Model> {
        static MODELS: [OnceLock<Arc<Model>>; 3] = [const { OnceLock::new() }; 3];
        let parts = [
            include_bytes!("../fixtures/every/api_schema.json.gz").as_slice(),
            include_bytes!("../fixtures/every/schema.graphql.gz"),
            include_bytes!("../fixtures/every/schema_summary.json.gz"),
        ];
        MODELS[version as usize].get_or_init(|| packed(parts, version)).clone()
    }

    /// Returns the schema of `check/lab.yml`: relationships to generics, an identifier that refers to one, object templates and profiles.
    pub fn lab(version: Version) -> Arc<Model> {
        static MODELS: [OnceLock<Arc<Model>>; 3] = [const { OnceLock::new() }; 3];
        let parts = [
            include_bytes!("../fixtures/lab/api_schema.json.gz").as_slice(),
            include_bytes!("../fixtures/lab/schema.graphql.gz"),
            include_bytes!("../fixtures/lab/schema_summary.json.gz"),
        ];
        MODELS[version as usize].get_or_init(|| packed(parts, version)).clone()
    }

    /// Reads `api_schema.json`, `schema.graphql` and `schema_summary.json` (each also with `.gz`) from a folder.
    pub fn from_folder(folder: &Path, version: Version) -> Result<Arc<Model>, SchemaError> {
        let read = |name: &str| -> Result<String, SchemaError> {
            let plain = folder.join(name);
            if plain.exists() {
                return std::fs::read_to_string(&plain).map_err(|error| SchemaError(format!("{}: {error}", plain.display())));
            }
            let packed = folder.join(format!("{name}.gz"));
            let mut out = String::new();
            let file = std::fs::File::open(&packed).map_err(|error| SchemaError(format!("{}: {error}", packed.display())))?;
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut out)
                .map_err(|error| SchemaError(format!("{}: {error}", packed.display())))?;
            Ok(out)
        };
        Ok(Arc::new(Model::new(&read("api_schema.json")?, &read("schema.graphql")?, &read("schema_summary.json")?, version)?))
    }

    /// Builds a schema from the three documents that a server publishes.
    pub fn new(api: &str, sdl: &str, summary: &str, version: Version) -> Result<Model, SchemaError> {
        let json = |what: &str, text: &str| -> Result<Value, SchemaError> {
            serde_json::from_str(text).map_err(|error| SchemaError(format!("{what} is not JSON: {error}")))
        };
        let api = json("api_schema.json", api)?;
        let summary = json("schema_summary.json", summary)?;
        let sdl = if version == Version::V1_6 { without_metadata_filters(sdl) } else { sdl.to_owned() };
        let graphql = Schema::parse_and_validate(&sdl, "schema.graphql")
            .map_err(|error| SchemaError(format!("schema.graphql: {}", error.errors.to_string().lines().next().unwrap_or(""))))?;
        let mut kinds = Vec::new();
        for (section, category) in
            [("nodes", Category::Node), ("generics", Category::Generic), ("profiles", Category::Profile), ("templates", Category::Template)]
        {
            for node in api[section].as_array().map(Vec::as_slice).unwrap_or_default() {
                kinds.push(kind(node, category)?);
            }
        }
        let by_name: HashMap<String, KindId> = kinds.iter().enumerate().map(|(id, kind)| (kind.name.clone(), id)).collect();
        let specs: Vec<&Value> = ["nodes", "generics", "profiles", "templates"]
            .iter()
            .flat_map(|section| api[*section].as_array().map(Vec::as_slice).unwrap_or_default())
            .collect();
        for id in 0..kinds.len() {
            let inherit: Vec<KindId> = kinds[id].inherit_from.iter().filter_map(|name| by_name.get(name).copied()).collect();
            kinds[id].inherit = inherit;
            kinds[id].concrete = match kinds[id].category {
                Category::Generic => strings(&specs[id]["used_by"]).iter().filter_map(|name| by_name.get(name).copied()).collect(),
                _ => vec![id],
            };
        }
        // The two interfaces that everything of their category implements do not always list it.
        for (generic, categories) in [("CoreNode", vec![Category::Node, Category::Profile]), ("CoreProfile", vec![Category::Profile])] {
            if let Some(generic) = by_name.get(generic).copied() {
                kinds[generic].concrete = (0..kinds.len()).filter(|id| categories.contains(&kinds[*id].category)).collect();
            }
        }
        for id in 0..kinds.len() {
            let checked = checked(&kinds, id);
            kinds[id].checked = checked;
        }
        let mut mutations = HashMap::new();
        for (id, kind) in kinds.iter().enumerate() {
            for (suffix, write) in
                [("Create", Write::Create), ("Update", Write::Update), ("Upsert", Write::Upsert), ("Delete", Write::Delete)]
            {
                mutations.insert(format!("{}{suffix}", kind.name), (id, write));
            }
        }
        Ok(Model { kinds, by_name, mutations, api, summary, sdl, graphql, version })
    }

    pub(crate) fn kind(&self, name: &str) -> Option<KindId> {
        self.by_name.get(name).copied()
    }
}

/// Reads the fixtures, which are part of the program: that they are broken cannot happen to a caller.
fn packed([api, sdl, summary]: [&[u8]; 3], version: Version) -> Arc<Model> {
    let text = |bytes: &[u8]| {
        let mut out = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes), &mut out)
            .map(|_| out)
            .map_err(|error| SchemaError(format!("a fixture is not gzip: {error}")))
    };
    let read = || Model::new(&text(api)?, &text(sdl)?, &text(summary)?, version);
    match read() {
        Ok(model) => Arc::new(model),
        Err(error) => panic!("the fixtures of the fake are broken: {error}"),
    }
}

/// Returns the constraints that the server checks for an object: those of its generics, and its own unless a generic's cover them.
fn checked(kinds: &[Kind], id: KindId) -> Vec<(KindId, usize)> {
    let set = |kind: &Kind| -> Vec<Vec<String>> {
        kind.constraints
            .iter()
            .map(|c| {
                let mut spelled = c.spelled.clone();
                spelled.sort();
                spelled
            })
            .collect()
    };
    let own = set(&kinds[id]);
    let mut include_own = true;
    let mut out = Vec::new();
    for parent in &kinds[id].inherit {
        let theirs = set(&kinds[*parent]);
        if theirs.is_empty() {
            continue;
        }
        out.extend((0..kinds[*parent].constraints.len()).map(|i| (*parent, i)));
        if own.iter().all(|c| theirs.contains(c)) {
            include_own = false;
        }
    }
    if include_own {
        out.extend((0..kinds[id].constraints.len()).map(|i| (id, i)));
    }
    out
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().map(|list| list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn kind(node: &Value, category: Category) -> Result<Kind, SchemaError> {
    let name = text(&node["kind"]);
    let list = |field: &str| node[field].as_array().cloned().unwrap_or_default();
    let attributes = list("attributes").iter().map(|a| attribute(a, &name)).collect::<Result<Vec<_>, _>>()?;
    let relations: Vec<Relation> = list("relationships").iter().map(relation).collect();
    let mut kind = Kind {
        namespace: text(&node["namespace"]),
        short: text(&node["name"]),
        category,
        agnostic: node["branch"] == "agnostic",
        attribute_index: attributes.iter().enumerate().map(|(i, a)| (a.name.clone(), i)).collect(),
        relation_index: relations.iter().enumerate().map(|(i, r)| (r.name.clone(), i)).collect(),
        attributes,
        relations,
        hfid: None,
        order_by: Vec::new(),
        constraints: Vec::new(),
        inherit_from: strings(&node["inherit_from"]),
        inherit: Vec::new(),
        concrete: Vec::new(),
        display_label: node["display_label"].as_str().map(str::to_owned),
        default_filter: node["default_filter"].as_str().map(str::to_owned),
        checked: Vec::new(),
        name,
    };
    let steps = |kind: &Kind, paths: &[String]| -> Result<Vec<Step>, SchemaError> {
        paths.iter().map(|path| kind.step(path).ok_or_else(|| SchemaError(format!("{}: unknown path {path}", kind.name)))).collect()
    };
    let hfid = strings(&node["human_friendly_id"]);
    if !hfid.is_empty() {
        kind.hfid = Some(steps(&kind, &hfid)?);
    }
    // As the server compares them: a relationship of the human friendly id counts by its name.
    let hfid_parts: Vec<&str> = hfid
        .iter()
        .map(|path| match path.split_once("__") {
            Some((first, _)) if kind.relation(first).is_some() => first,
            _ => path.as_str(),
        })
        .collect();
    kind.order_by = strings(&node["order_by"]).iter().filter_map(|path| kind.step(path)).collect();
    for group in list("uniqueness_constraints") {
        let spelled = strings(&group);
        let within = spelled.iter().all(|part| hfid_parts.contains(&part.as_str()));
        let whole = within && hfid_parts.iter().all(|part| spelled.iter().any(|s| s == part));
        let constraint = Constraint {
            steps: steps(&kind, &spelled)?,
            kind: match (hfid.is_empty(), whole, within) {
                (false, true, _) => ConstraintType::Hfid,
                (false, false, true) => ConstraintType::SubsetOfHfid,
                _ => ConstraintType::Standard,
            },
            spelled,
        };
        kind.constraints.push(constraint);
    }
    Ok(kind)
}

fn attribute(spec: &Value, kind: &str) -> Result<Attribute, SchemaError> {
    let name = text(&spec["name"]);
    let parameters = &spec["parameters"];
    let either = |field: &str| if parameters[field].is_null() { spec[field].clone() } else { parameters[field].clone() };
    let regex = match either("regex").as_str() {
        Some(pattern) => {
            // Python's `match` is anchored at the start only.
            let compiled = regex::Regex::new(&format!("^(?:{pattern})"))
                .map_err(|error| SchemaError(format!("{kind}.{name}: the pattern {pattern} is not supported: {error}")))?;
            Some((pattern.to_owned(), compiled))
        }
        None => None,
    };
    let size = |field: &str| either(field).as_u64().and_then(|n| usize::try_from(n).ok());
    let choices = spec["choices"].as_array().cloned().unwrap_or_default();
    let kind = text(&spec["kind"]);
    Ok(Attribute {
        class: Class::of(&kind),
        optional: spec["optional"] == true,
        unique: spec["unique"] == true,
        default: Some(spec["default_value"].clone()).filter(|v| !v.is_null()),
        enumeration: spec["enum"].as_array().cloned(),
        choices: choices
            .iter()
            .map(|choice| Choice {
                name: text(&choice["name"]),
                label: text(&choice["label"]),
                description: text(&choice["description"]),
                color: text(&choice["color"]),
            })
            .collect(),
        regex,
        min_length: size("min_length"),
        max_length: size("max_length"),
        min_value: either("min_value").as_i64(),
        max_value: either("max_value").as_i64(),
        template: spec["computed_attribute"]["jinja2_template"].as_str().map(str::to_owned),
        computed: !spec["computed_attribute"].is_null(),
        name,
        kind,
    })
}

fn relation(spec: &Value) -> Relation {
    let count = |field: &str| spec[field].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    Relation {
        name: text(&spec["name"]),
        peer: text(&spec["peer"]),
        identifier: text(&spec["identifier"]).into(),
        direction: match spec["direction"].as_str() {
            Some("outbound") => Direction::Out,
            Some("inbound") => Direction::In,
            _ => Direction::Both,
        },
        many: spec["cardinality"] == "many",
        optional: spec["optional"] == true,
        min_count: count("min_count"),
        max_count: count("max_count"),
        cascade: spec["on_delete"] == "cascade",
        read_only: spec["read_only"] == true,
        agnostic: spec["branch"] == "agnostic",
    }
}

/// Returns the SDL of servers before 1.7: a description is removed together with the argument it stands before.
fn without_metadata_filters(sdl: &str) -> String {
    let mut out = String::with_capacity(sdl.len());
    let mut lines = sdl.lines().peekable();
    while let Some(line) = lines.next() {
        let next_is_filter = lines.peek().is_some_and(|next| next.trim_start().starts_with("node_metadata__"));
        let is_filter = line.trim_start().starts_with("node_metadata__");
        if is_filter || (next_is_filter && line.trim_start().starts_with("\"\"\"")) {
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}
