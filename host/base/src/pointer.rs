//! Pointers into JSON documents, as RFC 6901 writes them: `/results/0/name`; empty for the whole document.

/// The most parts of a pointer: JSON parsers stop at about as many levels. It also bounds what is built of an adapter's pointer.
pub const PARTS_MAX: usize = 100;

/// Returns the unescaped parts of a pointer; none where the text is not a pointer, or leads deeper than any document.
#[must_use]
pub fn parts(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    if rest.bytes().filter(|byte| *byte == b'/').count() >= PARTS_MAX {
        return None;
    }
    Some(rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_rfc_6901() {
        let read = |pointer: &str| parts(pointer).map(|parts| parts.join("|"));
        for (pointer, expected) in [
            ("", Some("")),
            ("/", Some("")),
            ("/results", Some("results")),
            ("/a/0/b", Some("a|0|b")),
            ("/a//b/", Some("a||b|")),
            ("/m~0n/o~1p/~01", Some("m~n|o/p|~1")),
            ("results", None),
            (" /a", None),
        ] {
            assert_eq!(read(pointer).as_deref(), expected, "{pointer}");
        }
        assert_eq!(parts("/").map(|parts| parts.len()), Some(1));
    }

    #[test]
    fn pointer_is_no_deeper_than_a_document() {
        assert_eq!(parts(&"/a".repeat(PARTS_MAX)).map(|parts| parts.len()), Some(PARTS_MAX));
        assert_eq!(parts(&"/a".repeat(PARTS_MAX + 1)), None);
    }
}
