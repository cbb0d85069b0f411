//! Texts with places for values: `{name}`, where the name is made of letters, digits, `_` and `-`.
//!
//! All other braces are text, so a template may be JSON: what follows an opening brace there is a quotation mark, a space or another brace.

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Place(&'t str),
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest, mut text_end) = (Vec::new(), template, 0);
    while let Some(open) = rest[text_end..].find('{') {
        let name_start = text_end + open + 1;
        let name_end = rest[name_start..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
        match name_end {
            Some(length) if length > 0 && rest[name_start + length..].starts_with('}') => {
                pieces.push(Piece::Text(&rest[..name_start - 1]));
                pieces.push(Piece::Place(&rest[name_start..name_start + length]));
                rest = &rest[name_start + length + 1..];
                text_end = 0;
            }
            _ => text_end = name_start,
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Returns the names in a template, in order.
pub(crate) fn names(template: &str) -> Vec<&str> {
    let name = |piece| match piece {
        Piece::Place(name) => Some(name),
        Piece::Text(_) => None,
    };
    pieces(template).into_iter().filter_map(name).collect()
}

/// Puts values into a template, in one go: what a value contains is not looked at. None when one has no value.
pub(crate) fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let piece = |piece| match piece {
        Piece::Text(text) => Some(text.to_owned()),
        Piece::Place(name) => value(name),
    };
    pieces(template).into_iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_among_other_braces() {
        assert_eq!(names("Token {token}"), ["token"]);
        assert_eq!(names(r#"{"a": {"name": "{user}", "pwd": "{pass-word_1}"}, "x": {}, "y": {}}"#), ["user", "pass-word_1"]);
        assert_eq!(names("{{a}} {b c} {} {é} {d"), ["a"]);
        assert_eq!(names(""), [""; 0]);
    }

    #[test]
    fn values_are_not_looked_at() {
        let value = |name: &str| match name {
            "a" => Some("{b}".to_owned()),
            "b" => Some("é".to_owned()),
            _ => None,
        };
        assert_eq!(fill("<{a}|{b}|{}>", value).as_deref(), Some("<{b}|é|{}>"));
        assert_eq!(fill("{{a}", value).as_deref(), Some("{{b}"));
        assert_eq!(fill("{a} {none}", value), None);
    }
}
