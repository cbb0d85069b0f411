//! `ownership:` of the project, of a mapping and of a field, and the reach of a run: whose values and whose objects it may change.

use infrahub_sync_core::model::Ownership;
use infrahub_sync_core::ownership::Reach;

use crate::decode::{Decoder, Key, suggest};
use crate::load::{Data, Node};
use crate::problem::{Severity, Span};

/// The words of `ownership:`.
const WORDS: [(&str, Ownership); 4] = [
    ("source", Ownership::Source),
    ("destination", Ownership::Destination),
    ("create-only", Ownership::CreateOnly),
    ("merge", Ownership::Merge),
];

/// An `ownership:`, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// Its word.
    pub ownership: Ownership,
    /// Where it stands.
    pub span: Span,
}

/// Decodes an `ownership:`.
pub(super) fn ownership(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Owned> {
    let word = decoder.text(node, path)?;
    let Some((_, ownership)) = WORDS.iter().find(|(known, _)| *known == word) else {
        let hint = suggest(word, WORDS.iter().map(|(word, _)| *word), "known words");
        decoder.report(Severity::Error, node.span, path, format!("unknown ownership `{word}`"), hint);
        return None;
    };
    Some(Owned { ownership: *ownership, span: node.span })
}

/// Returns the word of an ownership.
pub(crate) fn word(ownership: Ownership) -> &'static str {
    WORDS.iter().find(|(_, known)| *known == ownership).map_or("source", |(word, _)| word)
}

/// The objects that a run may change and delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaches {
    /// The objects that may be deleted.
    pub deletes: Reach,
    /// The objects that may be updated.
    pub updates: Reach,
}

impl Default for Reaches {
    /// Returns the rule for a project that says nothing: it deletes its own objects, and updates whatever it finds under its identifiers.
    fn default() -> Self {
        Reaches { deletes: Reach::Owned, updates: Reach::All }
    }
}

pub(super) const REACH_KEYS: [Key<Reaches>; 2] = [
    Key::optional("deletes", |decoder, node, path, reaches| {
        if let Some(reach) = reach(decoder, node, path) {
            reaches.deletes = reach;
        }
    }),
    Key::optional("updates", |decoder, node, path, reaches| {
        if let Some(reach) = reach(decoder, node, path) {
            reaches.updates = reach;
        }
    }),
];

fn reach(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Reach> {
    let word = match &node.data {
        Data::Text(text) => text.as_str(),
        _ => decoder.text(node, path)?,
    };
    match word {
        "owned" => Some(Reach::Owned),
        "all" => Some(Reach::All),
        other => {
            let hint = "`owned` reaches the objects that this sync made or adopted, `all` reaches every object of the mapped kinds";
            decoder.error_hint(node.span, path, format!("`{other}` is neither `owned` nor `all`"), hint);
            None
        }
    }
}
