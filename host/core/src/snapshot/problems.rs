//! The mistakes of objects and references.

/// A mistake of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataErrorKind {
    /// Two objects have the same identifiers and different values.
    Duplicate {
        /// The other object's id.
        other: String,
        /// Where the other object was read.
        other_place: Option<Place>,
        /// The fields in which they differ, with both values.
        fields: Vec<Difference>,
    },
    /// A filter or a transform failed on a record.
    Unmapped {
        /// The field of the filter or the transform.
        field: String,
        /// The failure.
        reason: String,
    },
    /// A value that the schema's type of the field does not hold.
    WrongType {
        /// The field.
        field: String,
        /// The type, with its article.
        wanted: &'static str,
        /// The value, cut.
        value: String,
    },
    /// An identifier that must have a value has none.
    NullIdentifier {
        /// The identifier.
        field: String,
    },
    /// A reference to an object that was not loaded.
    Dangling {
        /// The reference field.
        field: String,
        /// The peer's kind; where it may be one of several, `A or B`.
        kind: String,
        /// The peer as the system names it.
        peer: String,
    },
    /// A reference to an object of a kind that is not mapped, which the destination does not have.
    NotInDestination {
        /// The reference field.
        field: String,
        /// The peer's kind; where it may be one of several, `A or B`.
        kind: String,
        /// The peer as the source names it.
        peer: String,
    },
    /// A reference that objects of several of the field's peer kinds answer to, and nothing says which kind is meant.
    AmbiguousKind {
        /// The reference field.
        field: String,
        /// The kinds that have such an object, as `A or B`.
        kind: String,
        /// The peer as the system names it.
        peer: String,
    },
    /// A reference by a text that several objects of the peer's kind answer to: ids are unique within a resource, not within a kind, and a
    /// unique id does not say where one identifier ends.
    Ambiguous {
        /// The reference field.
        field: String,
        /// The peer's kind.
        kind: String,
        /// The peer as the system names it.
        peer: String,
        /// The kind of name that the text is.
        by: PeerName,
    },
    /// An object whose identifiers lead back to itself.
    IdentityLoop {
        /// The reference field.
        field: String,
    },
    /// An object whose identifiers lead through more objects of its kind than a key can hold.
    TooDeep {
        /// The reference field.
        field: String,
    },
}

/// The kind of name by which a text names objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerName {
    /// Their id.
    Id,
    /// Their unique id: identifiers joined with `__`.
    UniqueId,
}

/// The deepest that an object's identity may be nested. Stored keys are nested JSON lists, and JSON readers stop at 128.
pub const IDENTITY_DEPTH_MAX: usize = 100;

/// Where a record was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The resource.
    pub resource: String,
    /// Whether the number counts lines, not records.
    pub is_line: bool,
    /// Counted from 1.
    pub number: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "`{}`, {} {}", self.resource, if self.is_line { "line" } else { "record" }, self.number)
    }
}

/// A field in which two records differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// The value of the object, as JSON, cut.
    pub ours: String,
    /// The value of the other object.
    pub theirs: String,
}

/// The characters of a value that a message shows.
const VALUE_CHARS_MAX: usize = 60;

/// Returns a text as a message shows it: cut where it is long.
#[must_use]
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Returns values that identify an object as a message shows them: ``name `core1`, rack `R2` ``.
pub(crate) fn identifiers_shown<'a>(values: impl Iterator<Item = (&'a str, String)>) -> String {
    values.map(|(field, value)| format!("{field} `{}`", cut(&value))).collect::<Vec<_>>().join(", ")
}

/// An object that cannot be identified, or a relationship that cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataProblem {
    /// The kind.
    pub kind: String,
    /// The object's id in its system, or its unique id. Empty where it has neither.
    pub object: String,
    /// The values that identify it, where `object` is an id: ``name `core1` ``. Empty where it has none beside references.
    pub identifiers: String,
    /// Where its record was read, if that is known.
    pub place: Option<Place>,
    /// The mistake.
    pub error: DataErrorKind,
    /// The object is left out of the comparison, if the run continues.
    pub left_out: bool,
}

impl DataProblem {
    /// Returns what is wrong in a few words, which problems of one sort have in common: `has no value for its identifier`.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.error {
            DataErrorKind::Duplicate { .. } => "same identifiers, different values".to_owned(),
            DataErrorKind::Unmapped { field, reason } => format!("`{field}`: {reason}"),
            DataErrorKind::WrongType { field, wanted, .. } => format!("`{field}` is not {wanted}"),
            DataErrorKind::NullIdentifier { field } => format!("no value for the identifier `{field}`"),
            DataErrorKind::Dangling { field, kind, .. } => format!("`{field}` refers to a {kind} that was not loaded"),
            DataErrorKind::NotInDestination { field, kind, .. } => {
                format!("`{field}` refers to a {kind} that the destination does not have")
            }
            DataErrorKind::AmbiguousKind { field, .. } | DataErrorKind::Ambiguous { field, .. } => format!("`{field}` is ambiguous"),
            DataErrorKind::IdentityLoop { field } => format!("identified by itself through `{field}`"),
            DataErrorKind::TooDeep { field } => format!("identified through too many objects by `{field}`"),
        }
    }

    /// Writes the record's name: kind, id, identifiers, and its place.
    fn write_name(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.kind)?;
        if !self.object.is_empty() {
            write!(out, " `{}`", self.object)?;
        }
        if !self.identifiers.is_empty() {
            write!(out, " with {}", self.identifiers)?;
        }
        match &self.place {
            Some(place) => write!(out, " ({place})"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for DataProblem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write_name(out)?;
        match &self.error {
            DataErrorKind::Duplicate { other, other_place, fields } => {
                write!(out, " has the same identifiers as `{other}`")?;
                if let Some(place) = other_place {
                    write!(out, " ({place})")?;
                }
                for (at, Difference { field, ours, theirs }) in fields.iter().enumerate() {
                    write!(out, "{} `{field}`: {ours}, {theirs}", if at == 0 { " and differs in" } else { ";" })?;
                }
                Ok(())
            }
            DataErrorKind::Unmapped { reason, .. } => write!(out, ": {reason}"),
            DataErrorKind::WrongType { field, wanted, value } => write!(out, ": `{field}` is {value}, which is not {wanted}"),
            DataErrorKind::NullIdentifier { field } => write!(out, " has no value for its identifier `{field}`"),
            DataErrorKind::Dangling { field, kind, peer } => write!(out, ": `{field}` refers to {kind} `{peer}`, which was not loaded"),
            DataErrorKind::Ambiguous { field, kind, peer, by: PeerName::UniqueId } => write!(
                out,
                ": `{field}` refers to {kind} `{peer}`, a unique id of several objects; refer to them by id, or by a list of their identifiers"
            ),
            DataErrorKind::Ambiguous { field, kind, peer, by: PeerName::Id } => write!(
                out,
                ": `{field}` refers to {kind} `{peer}`, and several resources have an object with that id; refer by a natural key (such as `{field}.name`)"
            ),
            DataErrorKind::NotInDestination { field, kind, peer } => write!(
                out,
                ": `{field}` refers to {kind} `{peer}`, which the destination does not have; {kind} is not mapped, so create it there first"
            ),
            DataErrorKind::AmbiguousKind { field, kind, peer } => write!(
                out,
                ": `{field}` refers to {kind} `{peer}`: several kinds have it; name one in the value (`Kind:{peer}`) or in each mapping (`reference: …`)"
            ),
            DataErrorKind::TooDeep { field } => write!(out, " is identified through more than {IDENTITY_DEPTH_MAX} objects by `{field}`"),
            DataErrorKind::IdentityLoop { field } => write!(out, " is identified by itself through `{field}`"),
        }
    }
}
