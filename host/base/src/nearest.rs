//! Finds the name that a mistyped word most likely stands for.

/// Returns the candidate that a mistyped `word` most likely stands for, if one is near enough.
///
/// Near is a candidate of which at most a third of the word's letters differ: replaced, left out, added, or swapped with a neighbour. Letter case
/// does not count. A word that only one candidate begins with (`verify` for `verify_ssl`) is near as well, if it has three letters or more.
/// Of equally near candidates the first is returned.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let length = word.chars().count();
    let limit = (length / 3).max(1);
    let mut near: Option<(usize, &str)> = None;
    let mut beginnings = 0_usize;
    let mut beginning = None;
    for candidate in candidates {
        let known = candidate.to_lowercase();
        let distance = strsim::osa_distance(&lower, &known);
        if distance <= limit && near.is_none_or(|(least, _)| distance < least) {
            near = Some((distance, candidate));
        }
        if length >= 3 && known.starts_with(&lower) && beginning != Some(candidate) {
            beginnings += 1;
            beginning = Some(candidate);
        }
    }
    near.map(|(_, candidate)| candidate).or_else(|| beginning.filter(|_| beginnings == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 8] = ["name", "mapping", "identifiers", "max_deletes", "max_failures", "verify_ssl", "token", "url"];

    #[test]
    fn slip_of_the_finger_is_near() {
        for (word, expected) in [
            ("nmae", Some("name")),
            ("Mapping", Some("mapping")),
            ("mappings", Some("mapping")),
            ("identifier", Some("identifiers")),
            ("tokn", Some("token")),
            ("max_delete", Some("max_deletes")),
            ("ur", Some("url")),
        ] {
            assert_eq!(nearest(word, KNOWN), expected, "{word}");
        }
    }

    #[test]
    fn beginning_of_one_name_is_near_and_that_of_two_is_not() {
        assert_eq!(nearest("verify", KNOWN), Some("verify_ssl"));
        assert_eq!(nearest("max", KNOWN), None);
        assert_eq!(nearest("to", KNOWN), None);
    }

    #[test]
    fn guess_is_no_help() {
        for word in ["password", "n", "", "xyz", "description"] {
            assert_eq!(nearest(word, KNOWN), None, "{word}");
        }
    }

    #[test]
    fn nearer_one_wins_and_then_the_first() {
        assert_eq!(nearest("maxdeletes", ["max_delete", "max_deletes"]), Some("max_deletes"));
        assert_eq!(nearest("cat", ["bat", "rat"]), Some("bat"));
    }
}
