//! Python's regular expressions in the words of Rust's `regex`.

/// Rewrites the few constructs that Python's `re` and Rust's `regex` spell alike and read differently.
///
/// Look-around and back references have no counterpart: such a pattern is refused with its reason.
pub(crate) fn translate_pattern(pattern: &str) -> String {
    let characters: Vec<char> = pattern.chars().collect();
    let at = |index: usize| characters.get(index).copied();
    let lines = pattern.starts_with("(?") && pattern.split_once(')').is_some_and(|(flags, _)| flags.contains('m'));
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut index = 0;
    let mut class_start = None;
    while let Some(character) = at(index) {
        match (character, class_start) {
            ('\\', _) => {
                match at(index + 1) {
                    // Rust: boundaries of words. Python: the characters.
                    Some(sign @ ('<' | '>')) => out.push(sign),
                    // Rust's end of text is `\z`.
                    Some('Z') if class_start.is_none() => out.push_str(r"\z"),
                    Some(escaped) => {
                        out.push('\\');
                        out.push(escaped);
                    }
                    None => out.push('\\'),
                }
                index += 1;
            }
            ('[', None) => {
                out.push('[');
                if at(index + 1) == Some('^') {
                    out.push('^');
                    index += 1;
                }
                if at(index + 1) == Some(']') {
                    out.push_str(r"\]");
                    index += 1;
                }
                class_start = Some(index);
            }
            (']', Some(_)) => {
                out.push(']');
                class_start = None;
            }
            // Rust reads these in a class as nested classes and as set operations.
            ('[' | '&' | '~', Some(_)) => {
                out.push('\\');
                out.push(character);
            }
            ('{', None) => match repetition(&characters, index) {
                Some((text, length)) => {
                    out.push_str(&text);
                    index += length - 1;
                }
                None => out.push_str(r"\{"),
            },
            // Python's `$` also stands before a line break that ends the text.
            ('$', None) if !lines => out.push_str(r"(?:\n?\z)"),
            _ => out.push(character),
        }
        index += 1;
    }
    out
}

/// Returns a repetition such as `{2,3}` that starts at `start`, with its length; any other brace is a plain character in Python.
fn repetition(characters: &[char], start: usize) -> Option<(String, usize)> {
    let length = characters.get(start..)?.iter().position(|character| *character == '}')? + 1;
    let inside: String = characters.get(start + 1..start + length - 1)?.iter().collect();
    let (low, high) = match inside.split_once(',') {
        Some((low, high)) => (low, Some(high)),
        None => (inside.as_str(), None),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(low) || !high.is_none_or(is_number) || (low.is_empty() && high.is_none()) {
        return None;
    }
    let low = if low.is_empty() { "0" } else { low };
    let text = match high {
        Some(high) => format!("{{{low},{high}}}"),
        None => format!("{{{low}}}"),
    };
    Some((text, length))
}
