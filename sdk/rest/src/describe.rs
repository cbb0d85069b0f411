//! Asks for the fields of a list: `OPTIONS`, as Django REST Framework answers it, once a run and list.

use std::collections::BTreeMap;

use infrahub_sync_adapter::{Error, ErrorKind, Result, TargetField, http, memo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Api;
use crate::list::known;

/// A list, as the server describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    /// Its path, that of the version of the server.
    pub(crate) path: String,
    /// Its fields; none where the token may neither add nor change objects, because then the server does not tell.
    pub(crate) columns: Option<BTreeMap<String, Column>>,
    /// The token may add objects.
    pub(crate) creates: bool,
    /// The token may change objects.
    pub(crate) updates: bool,
}

/// A field of a list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) kind: String,
    pub(crate) required: bool,
    pub(crate) read_only: bool,
    pub(crate) is_list: bool,
    /// Values and labels of a choice.
    pub(crate) choices: Vec<(Value, String)>,
}

/// A field, as the server reports it.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    child: Option<Value>,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    value: Value,
    #[serde(default, alias = "display")]
    display_name: Value,
}

/// The place at which a field is written.
#[derive(Debug, PartialEq)]
pub(crate) enum Member {
    /// A member of the body, with the value as it is.
    Plain(String),
    /// A choice, of which the mapping reads the label.
    Label(String),
    /// A reference to objects of several types: two members, type and id.
    Generic(String, String),
    /// A list of one reference to objects of several types (the end of a cable).
    End(String),
    /// A custom field.
    Custom(String),
    /// A reference by an attribute of the peer: `{"site": {"slug": …}}`.
    Attribute(String, Vec<String>),
    /// The server computes it.
    ReadOnly,
    /// The list has no such member.
    Unknown(String),
}

/// Returns the description of a list; none when the server has no such list.
///
/// # Errors
/// When the server cannot be asked.
pub(crate) fn describe(api: &Api, resource: &str) -> Result<Option<Description>> {
    let path = api.path(resource)?;
    memo::once(&format!("fields-{path}"), || match asked(api, resource, &path) {
        Err(error) if error.http_status == Some(404) => match api.moved(&path).map(|other| asked(api, resource, &other)) {
            Some(Err(error)) if error.http_status != Some(404) => Err(error),
            other => Ok(other.and_then(Result::ok)),
        },
        other => other.map(Some),
    })
}

/// Returns the description of a list that exists.
///
/// # Errors
/// `config` when it does not exist.
pub(crate) fn described(api: &Api, resource: &str) -> Result<Description> {
    describe(api, resource)?.ok_or_else(|| missing(api, resource))
}

/// Makes the failure that there is no such list.
pub(crate) fn missing(api: &Api, resource: &str) -> Error {
    let list = api.list(resource).unwrap_or_default();
    let hint = api.system.hints.iter().find(|(old, _)| *old == list).map_or(api.system.list_names, |(_, hint)| *hint);
    let message = format!("{} has no list `{resource}` (at {}{list}): {hint}", api.system.name, api.prefix);
    Error::new(ErrorKind::Config, message).with_status(404)
}

fn asked(api: &Api, resource: &str, path: &str) -> Result<Description> {
    let response = known(api, resource, path, http::Request::new("OPTIONS", path).only_reads().send()?)?;
    let [add, change] = <[Option<String>; 2]>::try_from(response.json(&["/actions/POST", "/actions/PUT"])).unwrap_or_default();
    let read = |json: &String| serde_json::from_str::<BTreeMap<String, Told>>(json).ok();
    let told = add.as_ref().and_then(read).or_else(|| change.as_ref().and_then(read));
    let columns = told.map(|columns| columns.into_iter().map(|(name, column)| (name, column.column())).collect());
    Ok(Description { path: path.to_owned(), columns, creates: add.is_some(), updates: change.is_some() })
}

impl Member {
    /// Returns the members of a body that it writes.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Member::Plain(name) | Member::Label(name) | Member::End(name) | Member::Attribute(name, _) => vec![name.clone()],
            Member::Generic(kind, id) => vec![kind.clone(), id.clone()],
            Member::Custom(_) => vec!["custom_fields".to_owned()],
            Member::ReadOnly | Member::Unknown(_) => Vec::new(),
        }
    }
}

impl Told {
    fn column(self) -> Column {
        let Told { kind, required, read_only, child, choices } = self;
        let label = |name: Value| name.as_str().map_or_else(|| name.to_string(), str::to_owned);
        let choices = choices.into_iter().map(|choice| (choice.value, label(choice.display_name))).collect();
        Column { is_list: child.is_some() || kind == "list", kind, required, read_only, choices }
    }
}

impl Description {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.as_ref()?.get(name)
    }

    /// Returns whether a member can be written. Without a description, the server decides.
    fn is_writable(&self, name: &str) -> bool {
        self.columns.is_none() || self.column(name).is_some_and(|column| !column.read_only)
    }

    /// Returns the members of a reference to objects of several types.
    fn generic(&self, name: &str) -> Option<(String, String)> {
        if self.is_writable(name) {
            return None;
        }
        let pairs = ["", "_object"].map(|infix| (format!("{name}{infix}_type"), format!("{name}{infix}_id")));
        pairs.into_iter().find(|(kind, id)| self.is_writable(kind) && self.is_writable(id))
    }

    /// Returns the place at which a field is written that is read at its path.
    pub(crate) fn member(&self, api: &Api, field: &TargetField) -> Member {
        let segments: Vec<&str> = field.read_path().split('.').collect();
        let Some(first) = segments.first().copied() else { return Member::ReadOnly };
        let list = self.path.strip_prefix(api.prefix).unwrap_or(&self.path);
        let ignored = api.system.writing.is_some_and(|writing| crate::system::Writing::has(writing.ignored, list, first));
        if let Some((kind, id)) = self.generic(first) {
            let is_itself = field.is_reference() && matches!(segments.as_slice(), [_] | [_, "id"]);
            return if is_itself { Member::Generic(kind, id) } else { Member::ReadOnly };
        }
        match self.column(first) {
            None if self.columns.is_some() => return Member::Unknown(first.to_owned()),
            Some(column) if column.read_only => return Member::ReadOnly,
            _ if ignored || first == "id" => return Member::ReadOnly,
            _ => {}
        }
        let first = first.to_owned();
        match segments.as_slice() {
            ["custom_fields", name, ..] => Member::Custom((*name).to_owned()),
            ["custom_fields"] => Member::ReadOnly,
            [_] | [_, "value"] => Member::Plain(first),
            [_, "label"] => Member::Label(first),
            [_, "0", "object"] if field.is_reference() => Member::End(first),
            [_, attribute] if field.is_reference() && (*attribute == "id" || api.system.models.is_column(attribute)) => {
                Member::Plain(first)
            }
            [_, "id"] => Member::Plain(first),
            [_, inside @ ..] if !field.is_reference() && !api.system.models.is_column(&first) => {
                Member::Attribute(first, inside.iter().map(|part| (*part).to_owned()).collect())
            }
            _ => Member::ReadOnly,
        }
    }
}
