//! The description of a system: what is different between systems that are alike.

use infrahub_sync_adapter::{FieldType, System as Names};

use crate::depends::Models;

/// A system whose objects are in lists.
#[derive(Debug)]
pub struct System {
    /// Its name, for messages.
    pub name: &'static str,
    /// The names for messages about refusals.
    pub refusals: Names,
    /// The rule for `mapping:`, for messages about a wrong one.
    pub list_names: &'static str,
    /// Lists of other versions, with a hint what to map: `("/dcim/sites/", "it is `dcim.locations` since 2.0")`.
    pub hints: &'static [(&'static str, &'static str)],
    /// Lists that have moved between versions: the other path is tried where one is missing.
    pub moved: &'static [(&'static str, &'static str)],
    /// The most records that it gives in one page.
    pub page_size: u32,
    /// The way of its pages.
    pub paging: Paging,
    /// The way of asking for some fields alone.
    pub selection: Selection,
    /// The field with the time of the last change, and the filter for it.
    pub updated: (&'static str, &'static str),
    /// The change log.
    pub log: Log,
    /// Its models: which values depend on other objects.
    pub models: &'static Models,
    /// The ways of writing. None: it is only read.
    pub writing: Option<&'static Writing>,
}

/// The way of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// By id. `cursor`: the server may have a cursor of its own (`start=`).
    Ids {
        /// Whether `start=` is tried first.
        cursor: bool,
    },
    /// By offset. Each page tells the number of all objects, by which the host notices that the list moved.
    Totals,
}

/// The way of asking for some fields alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// `fields=a,b`.
    Fields,
    /// `depth=1` to see inside of references, and `exclude_m2m=false` to see sets. Whole records come in any case.
    Depth,
}

/// The change log.
#[derive(Debug)]
pub struct Log {
    /// Its paths below the API, newer servers first.
    pub paths: &'static [&'static str],
    /// The filter by time.
    pub since: &'static str,
    /// Whether it can be filtered by the type of the objects. If not, entries of all types come.
    pub by_type: bool,
    /// Applications whose objects are all in the log. Others have lists whose objects are not.
    pub applications: &'static [&'static str],
    /// The list of the types of objects, with the addresses of their lists. Without it, names of lists tell the types.
    pub types: Option<&'static str>,
}

/// The ways of writing.
#[derive(Debug)]
pub struct Writing {
    /// The place of the version, and the first one that can be written.
    pub version: Option<Version>,
    /// Ids are numbers in a body.
    pub number_ids: bool,
    /// A new object may be given an id, so a create that is repeated is recognised.
    pub client_ids: bool,
    /// The first version that takes `If-Match` with the tags of several objects; none where there is no such thing.
    pub locks: Option<(u32, u32)>,
    /// The member of a body with a message for the change log.
    pub message: Option<&'static str>,
    /// The end of a filter by a reference: `_id` for `device_id=`.
    pub reference_filter: &'static str,
    /// Members that are sets of objects.
    pub sets: &'static [&'static str],
    /// Types that the server does not tell: list (`*` for all), member, type.
    pub types: &'static [(&'static str, &'static str, FieldType)],
    /// Texts that may be null, and are cleared by it: list (`*` for all), member.
    pub nullable: &'static [(&'static str, &'static str)],
    /// Members that the server accepts and ignores: list, member.
    pub ignored: &'static [(&'static str, &'static str)],
    /// Members of a new object that the mapping leaves out: list, member, JSON. The last is only used if none of the names is given.
    pub defaults: &'static [Default],
    /// Members that no two objects of a list share.
    pub unique: &'static [(&'static str, &'static str)],
    /// Members whose values together no two objects of a list have, beside the natural keys of mappings.
    pub together: &'static [(&'static str, &'static [&'static str])],
    /// Lists whose objects come from elsewhere (PeeringDB): a mapping may lack what a new one needs. Then only a create is rejected.
    pub imported: &'static [&'static str],
    /// Lists whose objects the server makes by itself out of templates.
    pub made: &'static [&'static str],
    /// The objects that a delete takes along.
    pub cascades: &'static [Cascade],
    /// References that must be cleared before an object can move.
    pub holds: &'static [Hold],
}

/// References that hold an object at its place: the primary address of a device cannot be given to another one.
#[derive(Debug)]
pub struct Hold {
    /// The list of the held objects.
    pub list: &'static str,
    /// Words of the refusal.
    pub words: &'static str,
    /// The lists of the holders, with the path to the holder in a record of the held object.
    pub holders: &'static [(&'static str, &'static str)],
    /// The members of a holder that may refer to it.
    pub members: &'static [&'static str],
}

/// The version that can be written.
#[derive(Debug)]
pub struct Version {
    /// The path below the API.
    pub path: &'static str,
    /// The pointer to it.
    pub pointer: &'static str,
    /// The first version that can be written.
    pub first: (u32, u32),
}

/// A member of a new object that the mapping leaves out.
#[derive(Debug)]
pub struct Default {
    /// The list.
    pub list: &'static str,
    /// The member.
    pub name: &'static str,
    /// Its value, as JSON.
    pub value: &'static str,
    /// Members which say the same: if one of them is given, there is no default.
    pub unless: &'static [&'static str],
}

/// Objects that are deleted along with an object of a list.
#[derive(Debug)]
pub struct Cascade {
    /// The list of the deleted object.
    pub list: &'static str,
    /// The resource of those that go along.
    pub along: &'static str,
    /// The filter for those of an object.
    pub filter: &'static str,
    /// The path of the reference to it, in their records.
    pub path: &'static str,
}

impl Writing {
    /// Returns whether a table has the member of a list.
    pub(crate) fn has(table: &[(&str, &str)], list: &str, name: &str) -> bool {
        table.iter().any(|(of, member)| (*of == "*" || *of == list) && *member == name)
    }
}
