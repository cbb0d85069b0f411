//! Turns rows into the bodies of requests: the paths of a mapping, the other way round.
//!
//! | field of the project | read at | written as |
//! |---|---|---|
//! | a value | `serial` | `"serial": value` |
//! | a choice | `status.value`, `status.label` | `"status": value` |
//! | a reference | `site`, `site.slug` | `"site": id of the peer` |
//! | references | `tags` | `"tags": [ids of the peers]` |
//! | a reference to objects of several types | `scope`, `assigned_object` | `"scope_type": "dcim.site", "scope_id": id` |
//! | the end of a cable | `a_terminations.0.object` | `"a_terminations": [{"object_type": "dcim.interface", "object_id": id}]` |
//! | an attribute of a peer, as a plain value | `site.slug` | `"site": {"slug": value}` |
//! | a custom field | `custom_fields.owner` | `"custom_fields": {"owner": value}` |
//!
//! Null becomes what the field wants: `""` for a text that must not be null, `[]` for a set. A slug that the mapping does not give is made of
//! the name.

use infrahub_sync_adapter::{Error, ErrorKind, Operation, Reference, Result, Row, Target, TargetField};
use serde_json::{Map, Value, json};

use crate::Api;
use crate::begin::Note;
use crate::changes::type_by_name;
use crate::describe::{Column, Description, Member};
use crate::system::Writing;
use crate::tags;

/// The member that a new object must have and that no system computes.
pub(crate) const SLUG: &str = "slug";
/// The members of which a slug is made.
const NAMES: [&str; 4] = ["name", "model", "title", "label"];
/// The longest slug.
const SLUG_MAX: usize = 100;
/// Choices in a message.
const CHOICES_SHOWN: usize = 20;

/// The translation of the rows of a target into bodies.
pub(crate) struct Bodies<'b> {
    api: &'b Api,
    writing: &'static Writing,
    pub(crate) target: &'b Target,
    pub(crate) description: &'b Description,
    /// The path of the list below the API.
    list: &'b str,
    /// The place at which each field of the target is written.
    members: Vec<Member>,
    /// The run; none outside of one.
    note: Option<&'b Note>,
}

impl<'b> Bodies<'b> {
    pub(crate) fn new(
        api: &'b Api,
        writing: &'static Writing,
        target: &'b Target,
        description: &'b Description,
        note: Option<&'b Note>,
    ) -> Bodies<'b> {
        let list = description.path.strip_prefix(api.prefix).unwrap_or(&description.path);
        let members = target.fields.iter().map(|field| description.member(api, field)).collect();
        Bodies { api, writing, target, description, list, members, note }
    }

    /// Returns an id as it stands in a body.
    pub(crate) fn id(&self, id: &str) -> Result<Value> {
        id_value(self.writing, id).ok_or_else(|| Error::invalid(format!("`{id}` is not an id of {}", self.api.system.name)))
    }

    /// Returns the body of a row.
    pub(crate) fn of(&self, operation: Operation, row: &Row) -> Result<Map<String, Value>> {
        let mut body = Map::new();
        if operation != Operation::Create {
            body.insert("id".to_owned(), self.id(row.known_id()?)?);
        }
        for (name, value) in &row.fields {
            let at = self.target.fields.iter().position(|field| field.name == *name);
            let (Some(field), Some(member)) = (at.and_then(|at| self.target.fields.get(at)), at.and_then(|at| self.members.get(at))) else {
                return Err(Error::internal(format!("the target `{}` has no field `{name}`", self.target.kind)));
            };
            // The server has a value of its own for what is not given.
            if operation == Operation::Create && value.is_null() {
                continue;
            }
            self.put(&mut body, field, member, value)
                .map_err(|error| Error { message: format!("`{name}`: {}", error.message), ..error })?;
        }
        if operation == Operation::Create {
            self.complete(&mut body);
            self.identify(&mut body, row);
        }
        if let (Some(name), Some(note)) = (self.writing.message, self.note) {
            body.insert(name.to_owned(), json!(note.message));
        }
        Ok(body)
    }

    fn put(&self, body: &mut Map<String, Value>, field: &TargetField, member: &Member, value: &Value) -> Result<()> {
        match member {
            Member::Plain(name) => {
                body.insert(name.clone(), self.plain(name, field, value)?);
            }
            Member::Label(name) => {
                body.insert(name.clone(), self.labelled(name, value)?);
            }
            Member::Generic(kind, id) => {
                let [kind_value, id_value] = match Reference::all(value)?.first() {
                    Some(peer) => [json!(self.type_of(peer)?), self.peer(peer)?],
                    None => [Value::Null, Value::Null],
                };
                body.insert(kind.clone(), kind_value);
                body.insert(id.clone(), id_value);
            }
            Member::End(name) => {
                let one = |peer: &Reference| Ok(json!({"object_type": self.type_of(peer)?, "object_id": self.peer(peer)?}));
                let ends = Reference::all(value)?.iter().map(one).collect::<Result<Vec<Value>>>()?;
                body.insert(name.clone(), Value::Array(ends));
            }
            Member::Custom(name) => {
                let value = field.with_peers(value, |peer| self.peer(peer))?;
                if let Value::Object(fields) = body.entry("custom_fields").or_insert_with(|| json!({})) {
                    fields.insert(name.clone(), value);
                }
            }
            Member::Attribute(name, path) => {
                let place = body.entry(name.clone()).or_insert(Value::Null);
                if !value.is_null() {
                    nest(place, path, value);
                }
            }
            // An identifier that the server computes.
            Member::ReadOnly => {}
            Member::Unknown(name) => {
                return Err(Error::invalid(format!("`{}` has no field `{name}`", self.target.resource_or_kind())));
            }
        }
        Ok(())
    }

    fn plain(&self, name: &str, field: &TargetField, value: &Value) -> Result<Value> {
        let column = self.description.column(name);
        if field.is_reference() {
            // The host may not know that it is a set.
            if self.writing.sets.contains(&name) || field.many {
                let peers = Reference::all(value)?.iter().map(|peer| self.peer(peer)).collect::<Result<Vec<Value>>>()?;
                return Ok(Value::Array(peers));
            }
            return field.with_peers(value, |peer| self.peer(peer));
        }
        if tags::is_plain(field) {
            return Ok(tags::written(value));
        }
        if value.is_null() {
            return Ok(self.cleared(name, column));
        }
        match column.filter(|column| !column.choices.is_empty() && !value.is_array()) {
            Some(column) if !column.choices.iter().any(|(choice, _)| same(choice, value)) => Err(not_a_choice(column, value)),
            Some(column) => {
                let choice = column.choices.iter().find(|(choice, _)| same(choice, value));
                Ok(choice.map_or_else(|| value.clone(), |(choice, _)| choice.clone()))
            }
            None => Ok(value.clone()),
        }
    }

    /// Returns the choice with a label.
    fn labelled(&self, name: &str, value: &Value) -> Result<Value> {
        let Some(column) = self.description.column(name) else { return Ok(value.clone()) };
        if value.is_null() {
            return Ok(self.cleared(name, Some(column)));
        }
        let found = column.choices.iter().find(|(choice, label)| value.as_str() == Some(label) || same(choice, value));
        found.map(|(choice, _)| choice.clone()).ok_or_else(|| not_a_choice(column, value))
    }

    /// Returns what clears a field.
    fn cleared(&self, name: &str, column: Option<&Column>) -> Value {
        if self.writing.sets.contains(&name) || column.is_some_and(|column| column.is_list) {
            return json!([]);
        }
        let is_text = column.is_some_and(|column| matches!(column.kind.as_str(), "string" | "slug" | "url" | "email"));
        if is_text && !Writing::has(self.writing.nullable, self.list, name) { json!("") } else { Value::Null }
    }

    fn peer(&self, peer: &Reference) -> Result<Value> {
        self.id(&peer.id_as::<String>()?)
    }

    /// Returns the type of a peer's list: `dcim.interface`.
    fn type_of(&self, peer: &Reference) -> Result<String> {
        let list = peer.resource.as_deref().map(|resource| self.api.list(resource)).transpose()?;
        let found = list.and_then(|list| type_by_name(&list));
        found.ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("the type of the objects of `{}` is unknown", peer.kind)))
    }

    /// Adds what a new object needs and the mapping does not give.
    fn complete(&self, body: &mut Map<String, Value>) {
        for default in self.writing.defaults.iter().filter(|default| default.list == self.list) {
            let is_given = body.contains_key(default.name) || default.unless.iter().any(|name| body.contains_key(*name));
            if let (false, Ok(value)) = (is_given, serde_json::from_str(default.value)) {
                body.insert(default.name.to_owned(), value);
            }
        }
        let wants_slug = self.description.column(SLUG).is_some_and(|column| column.required && !column.read_only);
        if wants_slug && !body.contains_key(SLUG) {
            let name = NAMES.iter().find_map(|name| body.get(*name)?.as_str());
            if let Some(slug) = name.map(slug) {
                body.insert(SLUG.to_owned(), json!(slug));
            }
        }
    }

    /// Gives a new object its id, where the system takes one: the same for the same row of a run.
    fn identify(&self, body: &mut Map<String, Value>, row: &Row) {
        let takes = self.writing.client_ids && self.description.column("id").is_some_and(|column| !column.read_only);
        if let (true, Some(note)) = (takes, self.note) {
            let id = made_id(&[note.run.as_str(), self.list, self.target.kind.as_str(), &Value::Object(row.key.clone()).to_string()]);
            body.insert("id".to_owned(), json!(id));
        }
    }

    /// Returns whether slugs of new objects are made here, so that one which is taken may be replaced.
    pub(crate) fn makes_slugs(&self) -> bool {
        !self.members.iter().any(|member| member.names().iter().any(|name| name == SLUG))
    }

    /// Returns the fields of the natural key with the places at which they are written.
    pub(crate) fn identifiers(&self) -> impl Iterator<Item = (&'b TargetField, &Member)> {
        self.target.fields.iter().zip(&self.members).filter(|(field, _)| field.identifier)
    }
}

/// Returns an id as it stands in a body; none if it is not one.
pub(crate) fn id_value(writing: &Writing, id: &str) -> Option<Value> {
    match writing.number_ids {
        true => id.parse::<u64>().ok().map(|id| json!(id)),
        // Other spellings are rejected, together with all rows of the request.
        false => Some(json!(id.to_ascii_lowercase())),
    }
}

/// Makes a UUID of texts (version 8: of its maker's own kind).
pub(crate) fn made_id(texts: &[&str]) -> String {
    // FNV-1a, of 128 bits. Each text ends with a byte that is in none.
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in texts.iter().flat_map(|text| text.bytes().chain([0xff])) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    let bits = hash & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part).unwrap_or_default()).join("-")
}

/// Says whether two values are the same choice: `10` may be a number or a text.
fn same(choice: &Value, value: &Value) -> bool {
    choice == value || text(choice) == text(value)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn not_a_choice(column: &Column, value: &Value) -> Error {
    let mut known: Vec<String> = column.choices.iter().take(CHOICES_SHOWN).map(|(choice, _)| text(choice)).collect();
    let further = column.choices.len().saturating_sub(known.len());
    if further > 0 {
        known.push(format!("{further} others"));
    }
    Error::invalid(format!("`{}` is not one of {}", text(value), known.join(", ")))
}

/// Puts a value into objects inside one another.
fn nest(place: &mut Value, path: &[String], value: &Value) {
    let Some((first, rest)) = path.split_first() else {
        *place = value.clone();
        return;
    };
    if !place.is_object() {
        *place = json!({});
    }
    if let Value::Object(object) = place {
        nest(object.entry(first.clone()).or_insert(Value::Null), rest, value);
    }
}

/// Makes a slug of a name: lower case, and `-` for everything but letters and digits. Letters of other alphabets become their numbers: `東京` is
/// `u6771u4eac`.
pub(crate) fn slug(name: &str) -> String {
    let made = slug_of(name, char::is_alphanumeric);
    // A name of signs alone.
    if made.is_empty() { slug_of(name, |_| true) } else { made }
}

fn slug_of(name: &str, is_letter: fn(char) -> bool) -> String {
    let mut slug = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        let plain = plain(character);
        if !plain.is_empty() {
            slug.push_str(plain);
        } else if is_letter(character) {
            slug.push_str(&format!("u{:x}", u32::from(character)));
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(SLUG_MAX);
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// Returns the letters and digits of a slug for a character of a name; none of a character that is neither.
fn plain(character: char) -> &'static str {
    const ASCII: &str = "abcdefghijklmnopqrstuvwxyz0123456789_";
    if let Some(at) = ASCII.find(character) {
        return ASCII.get(at..=at).unwrap_or_default();
    }
    match character {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ä' | 'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'ğ' | 'ģ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'ķ' => "k",
        'ł' | 'ļ' | 'ľ' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'ō' | 'ő' => "o",
        'ö' | 'œ' => "oe",
        'ŕ' | 'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ť' | 'ţ' | 'ț' => "t",
        'þ' => "th",
        'ù' | 'ú' | 'û' | 'ū' | 'ů' | 'ű' | 'ų' => "u",
        'ü' => "ue",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => "",
    }
}
