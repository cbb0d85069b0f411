//! The mistakes of objects and references.

/// A mistake of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataErrorKind {
    /// Two objects have the same identifiers.
    Duplicate {
        /// The other object's id.
        other: String,
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

/// An object that cannot be identified, or a relationship that cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataProblem {
    /// The kind.
    pub kind: String,
    /// The object's id in its system, or its unique id.
    pub object: String,
    /// The mistake.
    pub error: DataErrorKind,
    /// The object is left out of the comparison, if the run continues.
    pub left_out: bool,
}

impl std::fmt::Display for DataProblem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DataProblem { kind, object, .. } = self;
        match &self.error {
            DataErrorKind::Duplicate { other } => write!(formatter, "{kind} `{object}` has the same identifiers as `{other}`"),
            DataErrorKind::NullIdentifier { field } => write!(formatter, "{kind} `{object}` has no value for its identifier `{field}`"),
            DataErrorKind::Dangling { field, kind: peer_kind, peer } => {
                write!(formatter, "{kind} `{object}`: `{field}` refers to {peer_kind} `{peer}`, which was not loaded")
            }
            DataErrorKind::Ambiguous { field, kind: peer_kind, peer, by: PeerName::UniqueId } => write!(
                formatter,
                "{kind} `{object}`: `{field}` refers to {peer_kind} `{peer}`, a unique id of several objects; refer to them by id, or by a list of their identifiers"
            ),
            DataErrorKind::Ambiguous { field, kind: peer_kind, peer, by: PeerName::Id } => write!(
                formatter,
                "{kind} `{object}`: `{field}` refers to {peer_kind} `{peer}`, and several resources have an object with that id; refer by a natural key (such as `{field}.name`)"
            ),
            DataErrorKind::NotInDestination { field, kind: peer_kind, peer } => write!(
                formatter,
                "{kind} `{object}`: `{field}` refers to {peer_kind} `{peer}`, which the destination does not have; {peer_kind} is not mapped, so create it there first"
            ),
            DataErrorKind::AmbiguousKind { field, kind: kinds, peer } => write!(
                formatter,
                "{kind} `{object}`: `{field}` refers to {kinds} `{peer}`: several kinds have it; name one in the value (`Kind:{peer}`) or in each mapping (`reference: …`)"
            ),
            DataErrorKind::TooDeep { field } => {
                write!(formatter, "{kind} `{object}` is identified through more than {IDENTITY_DEPTH_MAX} objects by `{field}`")
            }
            DataErrorKind::IdentityLoop { field } => write!(formatter, "{kind} `{object}` is identified by itself through `{field}`"),
        }
    }
}
