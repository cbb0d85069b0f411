//! `diffsync_flags:`: what a run may do to the destination.

use crate::decode::{Decoder, suggest};
use crate::load::{Data, Node};
use crate::problem::Severity;

/// The changes that a run may make to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// Objects only in the source are created.
    pub create: bool,
    /// Objects that differ are updated.
    pub update: bool,
    /// Objects only in the destination are deleted.
    pub delete: bool,
}

impl Default for Flags {
    /// Returns the rule for a project without flags: `SKIP_UNMATCHED_DST`.
    fn default() -> Self {
        Flags { create: true, update: true, delete: false }
    }
}

/// A flag of diffsync. One that forbids nothing has no meaning here.
struct Flag {
    name: &'static str,
    /// Its number in diffsync.
    number: Option<u64>,
    /// Whether it forbids to create, to update and to delete.
    forbids: [bool; 3],
}

const FLAGS: [Flag; 7] = [
    Flag { name: "NONE", number: Some(0), forbids: [false, false, false] },
    Flag { name: "CONTINUE_ON_FAILURE", number: Some(1), forbids: [false, false, false] },
    Flag { name: "SKIP_UNMATCHED_SRC", number: Some(2), forbids: [true, false, false] },
    Flag { name: "SKIP_UNMATCHED_DST", number: Some(4), forbids: [false, false, true] },
    Flag { name: "SKIP_UNMATCHED_BOTH", number: Some(6), forbids: [true, false, true] },
    Flag { name: "LOG_UNCHANGED_RECORDS", number: Some(8), forbids: [false, false, false] },
    Flag { name: "SKIP_MODIFIED", number: None, forbids: [false, true, false] },
];

/// Decodes the flags.
pub(super) fn flags(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Flags {
    let items = decoder.list(node, path);
    if items.is_empty() {
        return Flags::default();
    }
    let found = decoder.each(node, path, flag);
    let mut flags = Flags { create: true, update: true, delete: true };
    for [create, update, delete] in &found {
        flags.create &= !create;
        flags.update &= !update;
        flags.delete &= !delete;
    }
    // An unknown flag may be the one that keeps them.
    if flags.delete && found.len() == items.len() {
        let message = "these flags replace the default `SKIP_UNMATCHED_DST`: objects that only the destination has may be deleted";
        decoder.report(Severity::Warning, node.span, path, message, Some("add `SKIP_UNMATCHED_DST` to keep them".to_owned()));
    }
    flags
}

/// Decodes a flag to what it forbids.
fn flag(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<[bool; 3]> {
    let known = match &node.data {
        Data::Text(name) => FLAGS.iter().find(|flag| flag.name == name),
        Data::Number(number) => FLAGS.iter().find(|flag| flag.number.is_some() && flag.number == number.as_u64()),
        _ => None,
    };
    match (known, &node.data) {
        (Some(flag), _) => {
            if flag.name == "LOG_UNCHANGED_RECORDS" {
                decoder.report(Severity::Warning, node.span, path, format!("the flag `{}` has no effect here", flag.name), None);
            }
        }
        (None, Data::Text(name)) => {
            let hint = suggest(name, FLAGS.iter().map(|flag| flag.name), "known flags");
            decoder.report(Severity::Error, node.span, path, format!("unknown flag `{name}`"), hint);
        }
        (None, _) => decoder.expected("the name of a flag", node, path, None),
    }
    known.map(|flag| flag.forbids)
}
