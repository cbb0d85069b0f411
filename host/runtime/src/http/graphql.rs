//! Tells GraphQL documents that only read from those that may write.
//!
//! The scanner is strict: a server must not be able to understand a document in another way. It follows the lexical grammar of GraphQL without
//! block strings, and denies every character, word and nesting that it does not know. Names, aliases, comments and strings may contain any word:
//! only the first word of a definition counts.

/// The deepest nesting of brackets.
const DEPTH_MAX: usize = 200;

/// Why a document may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objection {
    /// It holds a mutation.
    Mutation,
    /// It holds a subscription.
    Subscription,
    /// The scanner does not understand it, from that byte on.
    Unknown(usize),
}

/// A token, as far as the definitions of a document depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'d> {
    Name(&'d str),
    Open(u8),
    Close(u8),
    /// Any other value or punctuator.
    Other,
}

/// Checks that all operations of a document are queries.
pub(super) fn only_queries(document: &str) -> Result<(), Objection> {
    let mut lexer = Lexer { text: document, at: 0 };
    let mut definitions = 0;
    while let Some((token, from)) = lexer.next()? {
        match token {
            Token::Open(b'{') => lexer.close(b'{')?,
            Token::Name("query" | "fragment") => lexer.selection(from)?,
            Token::Name("mutation") => return Err(Objection::Mutation),
            Token::Name("subscription") => return Err(Objection::Subscription),
            _ => return Err(Objection::Unknown(from)),
        }
        definitions += 1;
    }
    if definitions == 0 { Err(Objection::Unknown(0)) } else { Ok(()) }
}

struct Lexer<'d> {
    text: &'d str,
    at: usize,
}

impl<'d> Lexer<'d> {
    /// Reads the rest of a definition: its head, and its selection set to the closing bracket.
    fn selection(&mut self, from: usize) -> Result<(), Objection> {
        loop {
            match self.next()? {
                Some((Token::Open(b'{'), _)) => return self.close(b'{'),
                Some((Token::Open(bracket), _)) => self.close(bracket)?,
                Some((Token::Name(_) | Token::Other, _)) => {}
                Some((Token::Close(_), at)) => return Err(Objection::Unknown(at)),
                None => return Err(Objection::Unknown(from)),
            }
        }
    }

    /// Reads to the bracket that closes an open one.
    fn close(&mut self, bracket: u8) -> Result<(), Objection> {
        let mut open = vec![bracket];
        while let Some(last) = open.last().copied() {
            match self.next()? {
                Some((Token::Open(_), at)) if open.len() >= DEPTH_MAX => return Err(Objection::Unknown(at)),
                Some((Token::Open(bracket), _)) => open.push(bracket),
                Some((Token::Close(bracket), at)) => {
                    if !matches!((last, bracket), (b'{', b'}') | (b'(', b')') | (b'[', b']')) {
                        return Err(Objection::Unknown(at));
                    }
                    open.pop();
                }
                Some((Token::Name(_) | Token::Other, _)) => {}
                None => return Err(Objection::Unknown(self.text.len())),
            }
        }
        Ok(())
    }

    /// Returns the next token and its place; none at the end.
    fn next(&mut self) -> Result<Option<(Token<'d>, usize)>, Objection> {
        self.blanks()?;
        let from = self.at;
        let Some(byte) = self.peek(0) else { return Ok(None) };
        let token = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                self.skip(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Token::Name(self.text.get(from..self.at).unwrap_or_default())
            }
            // What looks like a number, and the word behind it: `1mutation` is no place for a definition.
            b'0'..=b'9' | b'-' => {
                self.skip(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.'));
                Token::Other
            }
            b'{' | b'(' | b'[' => self.one(Token::Open(byte)),
            b'}' | b')' | b']' => self.one(Token::Close(byte)),
            b'!' | b'$' | b'&' | b':' | b'=' | b'@' | b'|' => self.one(Token::Other),
            b'.' if self.text.as_bytes().get(from..from + 3) == Some(b"...") => {
                self.at += 3;
                Token::Other
            }
            b'"' => {
                self.string()?;
                Token::Other
            }
            _ => return Err(Objection::Unknown(from)),
        };
        Ok(Some((token, from)))
    }

    /// Skips white space, commas and comments.
    fn blanks(&mut self) -> Result<(), Objection> {
        loop {
            self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b','));
            if self.peek(0) != Some(b'#') {
                return Ok(());
            }
            let rest = self.text.get(self.at..).unwrap_or_default();
            let comment = rest.split(['\n', '\r']).next().unwrap_or_default();
            // Some parsers end a comment at these, and read on.
            if let Some(place) = comment.find(|c: char| (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}')) {
                return Err(Objection::Unknown(self.at + place));
            }
            self.at += comment.len();
        }
    }

    /// Skips a string. Block strings, which older parsers read as three strings, are not understood.
    fn string(&mut self) -> Result<(), Objection> {
        let from = self.at;
        if self.text.get(from..).is_some_and(|rest| rest.starts_with("\"\"\"")) {
            return Err(Objection::Unknown(from));
        }
        let mut escaped = false;
        let rest = self.text.get(from + 1..).unwrap_or_default();
        for (place, character) in rest.char_indices() {
            let at = from + 1 + place;
            match character {
                _ if character.is_control() && character != '\t' => return Err(Objection::Unknown(at)),
                '\u{2028}' | '\u{2029}' => return Err(Objection::Unknown(at)),
                _ if escaped => {
                    if !matches!(character, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' | 'u') {
                        return Err(Objection::Unknown(at));
                    }
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    self.at = at + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Objection::Unknown(from))
    }

    fn one(&mut self, token: Token<'d>) -> Token<'d> {
        self.at += 1;
        token
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn skip(&mut self, of: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&of) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_pass() {
        for document in [
            "{a}",
            "query { a }",
            "query mutation { mutation: subscription(mutation: \"mutation{a}\") }",
            "query Q($a: [Int!]! = [1, 2], $b: In = {mutation: {a: -1.5e3}}) @x(y: {z: 1}) { a(b: $b) { ...F ... on T @skip(if: true) { b } } } \
             fragment F on mutation { c }",
            "# mutation { a }\n{ a } # mutation\r\n",
            "query A{a}query B{b}",
            "{ a(b: \"\\\" } mutation { c }\") }",
            "{ a(b: \"\") }",
        ] {
            assert_eq!(only_queries(document), Ok(()), "{document}");
        }
    }

    #[test]
    fn mutations_are_found_wherever_they_are() {
        for document in [
            "mutation { a }",
            "mutation M($a: Int) { a }",
            "\n\t,,# query {a}\n mutation{a}",
            "{ a } mutation { b }",
            "query A { a } mutation B { b }",
            "fragment F on T { a } mutation B { ...F }",
            "{ a(b: \"{\") } mutation { b }",
            "# {\rmutation { a }",
            "query ($a: T = {b: \"}\"}) { a } mutation { b }",
        ] {
            assert_eq!(only_queries(document), Err(Objection::Mutation), "{document}");
        }
        assert_eq!(only_queries("{a} subscription{a}"), Err(Objection::Subscription));
    }

    #[test]
    fn the_unknown_is_denied() {
        for document in [
            "",
            " # nothing\n",
            "type A { b: C }",
            "extend query { a }",
            "Mutation { a }",
            "{ a",
            "{ a }}",
            "{ a )",
            "query Q",
            "query",
            "\u{feff}{a}",
            "{ a(b: \"\"\"c\"\"\") }",
            "{ a(b: \"\"\" \"\"\") } mutation { c }",
            "# a\u{2028}mutation { b }\n{ c }",
            "# a\u{85}mutation { b }\n{ c }",
            "{ a(b: \"c\nd\") }",
            "{ a(b: \"\\x\") }",
            "{ a(b: \"c) }",
            "{ \u{1d68}a }",
            "{a}\0mutation{b}",
            "1mutation{a}",
            "{a} ;mutation{b}",
        ] {
            assert!(matches!(only_queries(document), Err(Objection::Unknown(_))), "{document:?}: {:?}", only_queries(document));
        }
        let deep = format!("{}{}", "{a".repeat(DEPTH_MAX + 1), "}".repeat(DEPTH_MAX + 1));
        assert!(matches!(only_queries(&deep), Err(Objection::Unknown(_))));
    }

    /// Whatever is put between the tokens that a parser skips, a mutation is found or the document is denied.
    #[test]
    fn no_filling_hides_a_mutation() {
        let fillings = [" ", "\n", ",", "#x\n", "#\"\n", "#{\r", "\t", "\u{feff}", "#\u{2028}", "\"\"", "#'\r\n", "\u{a0}"];
        for first in fillings {
            for second in fillings {
                for document in [
                    format!("{first}{second}mutation{first}{{a}}"),
                    format!("{{a}}{first}{second}mutation{second}{{b}}"),
                    format!("query{first}Q{second}{{a}}{first}mutation{second}M{{b}}"),
                ] {
                    assert_ne!(only_queries(&document), Ok(()), "{document:?}");
                }
            }
        }
    }
}
