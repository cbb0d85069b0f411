//! Checks the English of the repository: the words of [`host/STYLE.md`](../../../host/STYLE.md) and the length of sentences.
//!
//! Reads every `*.md`, the doc comments and the texts of `host/`, `sdk/`, `plugins/` and `tests/`, and the comments of `wit/`. Code, quoted
//! output and tests are left out.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::Instant;

use infrahub_sync_components::run::{Fault, complain, say};

/// The words that one sentence of a message or of a help text may have.
const MESSAGE_WORDS: usize = 25;
/// The words that one sentence of a document may have: the rule is 25, a rare longer sentence passes.
const DOCUMENT_WORDS: usize = 30;
/// The words that one sentence of a comment may have.
const COMMENT_WORDS: usize = 35;

/// Stands for a piece of code in a sentence, as one word.
const CODE: char = '`';

/// The style guide, whose table of words is the list of this check.
const STYLE: &str = "host/STYLE.md";

/// Words with which the comment of a function does not begin: it begins with a verb.
const NO_VERBS: &[&str] = &["the", "a", "an", "what", "how", "whether", "where", "which", "who", "why", "all"];

/// At least one of these is in each English sentence, and in few lists of names.
const SMALL_WORDS: &[&str] =
    &["a", "an", "the", "is", "are", "was", "of", "to", "in", "not", "no", "it", "and", "or", "has", "cannot", "with", "by", "what"];

/// Words and phrases to avoid, each with its replacement.
struct Words(Vec<(Vec<String>, String)>);

impl Words {
    /// Reads the table below "Words to avoid". A phrase stands in backticks; one with `…` is a rule of its own, in [`Check`].
    fn parse(style: &str) -> Words {
        let (_, table) = style.split_once("## Words to avoid").unwrap_or_default();
        let table = table.split("\n## ").next().unwrap_or_default();
        let mut words = Vec::new();
        for row in table.lines().filter(|line| line.starts_with('|')) {
            let row = cells(row);
            let [avoid, write] = row.as_slice() else { continue };
            let phrases = avoid.split(CODE).skip(1).step_by(2).filter(|phrase| !phrase.contains('…'));
            words.extend(phrases.map(|phrase| (phrase.split(' ').map(str::to_owned).collect(), write.trim().to_owned())));
        }
        Words(words)
    }
}

/// One remark about one place of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    line: usize,
    text: String,
}

/// The text of a paragraph, a cell or a message, with the rules for it.
struct Block<'t> {
    lines: Vec<(usize, &'t str)>,
    /// The words that a sentence of it may have.
    most: usize,
    /// A heading or a cell: it names something, so it may begin with "what".
    label: bool,
    /// A message: `{…}` stands for a value.
    message: bool,
}

/// A word and its line.
#[derive(Debug, Clone)]
struct Word {
    line: usize,
    text: String,
}

impl Word {
    /// Returns the word in small letters, without the punctuation around it.
    fn plain(&self) -> String {
        self.text.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != CODE).to_lowercase()
    }

    fn counts(&self) -> bool {
        self.text.chars().any(|letter| letter.is_alphanumeric() || letter == CODE)
    }

    /// Returns whether a sentence ends with this word when `next` follows.
    fn ends_before(&self, next: &Word) -> bool {
        let end = self.text.trim_end_matches([')', '"', '\'', '*', '_', '”']);
        let begin = next.text.trim_start_matches(['(', '"', '*', '_', '“']).chars().next();
        let abbreviated = ["e.g.", "i.e.", "etc.", "vs."].iter().any(|short| end.ends_with(short));
        end.ends_with(['.', '?', '!']) && !abbreviated && begin.is_some_and(|first| first.is_uppercase() || first == CODE)
    }
}

/// Checks the files whose path begins with one of `below`.
pub(crate) fn check(root: &Path, below: &[&str]) -> Result<(), Fault> {
    let start = Instant::now();
    let words = words_to_avoid(root)?;
    let mut files = read_all(root)?;
    files.retain(|(path, _)| below.iter().any(|below| path.starts_with(below.trim_start_matches("./"))));
    let mut remarks = 0;
    for (path, text) in &files {
        for Finding { line, text } in findings(&words, path, text) {
            complain(&format!("{path}:{line}: {text}"));
            remarks += 1;
        }
    }
    say(&format!("{} files in {} ms", files.len(), start.elapsed().as_millis()));
    if remarks == 0 { Ok(()) } else { Err(Fault(format!("{remarks} findings; {STYLE} has the rules"))) }
}

/// Reads the words of the style guide.
fn words_to_avoid(root: &Path) -> Result<Words, Fault> {
    let text = fs::read_to_string(root.join(STYLE)).map_err(|error| Fault(format!("{STYLE} cannot be read: {error}")))?;
    let words = Words::parse(&text);
    if words.0.is_empty() { Err(Fault(format!("{STYLE} has no table of words to avoid"))) } else { Ok(words) }
}

/// Reads the files that the check is for, sorted by path.
fn read_all(root: &Path) -> Result<Vec<(String, String)>, Fault> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    let failed = |path: &Path, error: &dyn Display| Fault(format!("{} cannot be read: {error}", path.display()));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| failed(&folder, &error))? {
            let path = entry.map_err(|error| failed(&folder, &error))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with('.') || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | "node_modules" | "__pycache__") {
                    folders.push(path);
                }
                continue;
            }
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if is_ours(&relative) {
                files.push((relative, fs::read_to_string(&path).map_err(|error| failed(&path, &error))?));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Returns whether the check is for this file.
fn is_ours(path: &str) -> bool {
    let code = ["host/", "sdk/", "plugins/", "tests/"].iter().any(|root| path.starts_with(root)) && path.ends_with(".rs");
    let test = path.contains("/tests/") || path.starts_with("tests/golden/") || path.ends_with("/tests.rs");
    path.ends_with(".md") || (path.starts_with("wit/") && path.ends_with(".wit")) || (code && !test)
}

/// Returns everything that is against the rules in one file.
fn findings(words: &Words, path: &str, text: &str) -> Vec<Finding> {
    let mut check = Check { avoid: words, found: Vec::new() };
    if path.ends_with(".md") {
        let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(at, line)| (at + 1, line)).collect();
        check.found = empty_headers(&lines);
        markdown(&lines, DOCUMENT_WORDS).iter().for_each(|block| check.block(block));
    } else {
        check.source(path, text);
    }
    check.found.sort_by_key(|found| found.line);
    check.found
}

/// Finds tables with a column that has no name.
fn empty_headers(lines: &[(usize, &str)]) -> Vec<Finding> {
    let rule = |line: &str| line.starts_with('|') && line.contains("--") && line.chars().all(|letter| "|-: ".contains(letter));
    let pairs = lines.iter().zip(lines.iter().skip(1));
    pairs
        .filter(|((_, header), (_, line))| rule(line) && cells(header).iter().any(|cell| cell.trim().is_empty()))
        .map(|((line, _), _)| Finding { line: *line, text: "a column of the table has no name".to_owned() })
        .collect()
}

/// Returns the cells of a row of a table.
fn cells(row: &str) -> Vec<&str> {
    let mut code = false;
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    inner
        .split(|letter| {
            code ^= letter == CODE;
            letter == '|' && !code
        })
        .collect()
}

/// Cuts Markdown into its paragraphs, items and cells, without blocks of code and quotations.
fn markdown<'t>(lines: &[(usize, &'t str)], most: usize) -> Vec<Block<'t>> {
    let block = |label| Block { lines: Vec::new(), most, label, message: false };
    let mut blocks = vec![block(false)];
    let mut fenced = false;
    for &(number, line) in lines {
        let text = line.trim();
        if text.starts_with("```") || text.starts_with("~~~") {
            fenced = !fenced;
            blocks.push(block(false));
            continue;
        }
        if fenced {
            continue;
        }
        if text.starts_with('|') {
            let row = cells(text).into_iter().map(|cell| Block { lines: vec![(number, cell)], ..block(true) });
            blocks.extend(row.collect::<Vec<_>>());
            blocks.push(block(false));
        } else if text.starts_with('#') {
            blocks.push(Block { lines: vec![(number, text)], ..block(true) });
            blocks.push(block(false));
        } else if text.is_empty() || text.starts_with('>') || text.starts_with("<!--") {
            blocks.push(block(false));
        } else {
            let item = ["- ", "* "].iter().any(|bullet| text.starts_with(bullet))
                || text.split_once(". ").is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
            if item {
                blocks.push(block(false));
            }
            if let Some(last) = blocks.last_mut() {
                last.lines.push((number, text));
            }
        }
    }
    blocks
}

/// The check of one file.
struct Check<'w> {
    avoid: &'w Words,
    found: Vec<Finding>,
}

impl Check<'_> {
    /// Judges one block.
    fn block(&mut self, block: &Block<'_>) {
        let words = words(block);
        let mut rest = words.as_slice();
        while let Some(first) = rest.first() {
            let end =
                rest.windows(2).position(|pair| matches!(pair, [word, next] if word.ends_before(next))).map_or(rest.len(), |at| at + 1);
            let (sentence, further) = rest.split_at(end);
            rest = further;
            let count = sentence.iter().filter(|word| word.counts()).count();
            let begin: Vec<&str> = sentence.iter().take(5).map(|word| word.text.as_str()).collect();
            let begin = begin.join(" ");
            if count > block.most {
                self.remark(first.line, format!("{count} words in one sentence, {} at most: {begin} …", block.most));
            }
            if sentence.iter().filter(|word| word.text.ends_with(';')).count() > 1 {
                self.remark(first.line, format!("more than one semicolon in one sentence: {begin} …"));
            }
            let question = sentence.last().is_some_and(|word| word.text.contains('?'));
            if !block.label && !question && first.plain() == "what" {
                self.remark(first.line, format!("begins with \"what\", without a subject: {begin} …"));
            }
            self.words(sentence);
        }
    }

    /// Finds the words to avoid.
    fn words(&mut self, sentence: &[Word]) {
        let plain: Vec<String> = sentence.iter().map(Word::plain).collect();
        let after_there = |at: usize| at > 0 && plain.get(at - 1).is_some_and(|before| before == "there");
        for (phrase, instead) in &self.avoid.0 {
            // "There is none" has a subject; "a file that is none" lacks a noun.
            let is_none = phrase.last().is_some_and(|last| last == "none");
            for (at, (window, word)) in plain.windows(phrase.len()).zip(sentence).enumerate() {
                if window == phrase.as_slice() && !(is_none && after_there(at)) {
                    self.found.push(Finding { line: word.line, text: format!("\"{}\": {instead}", phrase.join(" ")) });
                }
            }
        }
        for (at, (window, word)) in plain.windows(3).zip(sentence).enumerate() {
            if let [is, no, next] = window
                && is == "is"
                && no == "no"
                && !after_there(at)
                && !["longer", "more", "less", "later"].contains(&next.as_str())
            {
                self.remark(word.line, format!("\"{is} {no}\": {is} not a, {is} not"));
            }
        }
    }

    fn remark(&mut self, line: usize, text: String) {
        self.found.push(Finding { line, text });
    }

    /// Judges the comments and texts of a source file.
    fn source(&mut self, path: &str, text: &str) {
        let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
        let pieces = pieces(text.get(..end).unwrap_or(text));
        let most = if path.starts_with("host/cli/src/") { MESSAGE_WORDS } else { COMMENT_WORDS };
        let mut rest = pieces.as_slice();
        while let Some(piece) = rest.first() {
            let docs: Vec<(usize, &str)> = rest
                .iter()
                .map_while(|piece| if let Piece::Doc(line, text) = piece { Some((*line, text.as_str())) } else { None })
                .collect();
            rest = rest.get(docs.len().max(1)..).unwrap_or_default();
            if let Piece::Text(line, text) = piece {
                self.message(*line, text);
            }
            markdown(&docs, most).iter().for_each(|block| self.block(block));
            let Some((line, first)) = docs.first() else { continue };
            let word = first.split_whitespace().next().unwrap_or_default().to_lowercase();
            if NO_VERBS.contains(&word.as_str()) && is_function(rest) {
                self.remark(*line, format!("the comment of a function begins with \"{word}\", not with a verb"));
            }
        }
    }

    /// Judges a string that reads as English.
    fn message(&mut self, line: usize, text: &str) {
        let parts = text.split('\n').flat_map(|line| line.split("  ")).filter(|part| part.split_whitespace().count() > 2);
        for part in parts {
            let letters = part.chars().filter(|letter| letter.is_alphabetic() || " ,.;:'`{}()-…".contains(*letter)).count();
            let english = part.split(' ').any(|word| SMALL_WORDS.contains(&word));
            if english && letters * 10 >= part.chars().count() * 9 {
                self.block(&Block { lines: vec![(line, part)], most: MESSAGE_WORDS, label: false, message: true });
            }
        }
    }
}

/// Returns the words of a block: code and values are one word each, the targets of links are left out.
fn words(block: &Block<'_>) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut inside = None;
    for (line, text) in &block.lines {
        let mut word = String::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            // A run of backticks ends at a run of the same length.
            let mut run = 1;
            while letter == CODE && letters.next_if_eq(&CODE).is_some() {
                run += 1;
            }
            match (inside, letter) {
                (Some(close), _) if (letter, run) == close => inside = None,
                (Some(_), _) => {}
                (None, CODE) => {
                    word.push(CODE);
                    inside = Some((CODE, run));
                }
                (None, '{') if block.message => {
                    word.push(CODE);
                    inside = Some(('}', 1));
                }
                (None, ']') if letters.peek() == Some(&'(') && !block.message => inside = Some((')', 1)),
                (None, '[' | ']') if !block.message => {}
                (None, _) if letter.is_whitespace() => words.extend(taken(*line, &mut word)),
                (None, _) => word.push(letter),
            }
        }
        words.extend(taken(*line, &mut word));
    }
    words
}

fn taken(line: usize, word: &mut String) -> Option<Word> {
    (!word.is_empty()).then(|| Word { line, text: std::mem::take(word) })
}

/// A piece of a source text.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// A line of a doc comment, without its slashes.
    Doc(usize, String),
    /// A string, its escapes resolved.
    Text(usize, String),
    /// Everything between.
    Code(String),
}

/// Returns whether the code that follows begins with a function.
fn is_function(pieces: &[Piece]) -> bool {
    let mut code = String::new();
    for piece in pieces.iter().take(12) {
        match piece {
            Piece::Code(text) => code.push_str(text),
            Piece::Text(..) => code.push('"'),
            Piece::Doc(..) => break,
        }
    }
    let mut rest = code.trim_start();
    while let Some(attribute) = rest.strip_prefix("#[") {
        let mut depth = 1;
        let end = attribute.char_indices().find(|(_, letter)| {
            depth += i32::from(*letter == '[') - i32::from(*letter == ']');
            depth == 0
        });
        rest = end.and_then(|(at, _)| attribute.get(at + 1..)).unwrap_or_default().trim_start();
    }
    let wit = rest.split([';', '{', ',']).next().is_some_and(|item| item.contains(": func("));
    let modifiers = ["pub", "pub(crate)", "pub(super)", "async", "const", "extern"];
    wit || rest.split_whitespace().find(|word| !modifiers.contains(word)) == Some("fn")
}

/// Cuts Rust or WIT into doc comments, strings and code.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut code = String::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let (length, piece) = next_piece(rest, &code);
        let Some(taken) = rest.get(..length) else { break };
        if let Some(piece) = piece {
            if !code.trim().is_empty() {
                pieces.push(Piece::Code(std::mem::take(&mut code)));
            }
            code.clear();
            pieces.push(match piece {
                Piece::Doc(_, text) => Piece::Doc(line, text),
                Piece::Text(_, text) => Piece::Text(line, text),
                Piece::Code(text) => Piece::Code(text),
            });
        } else if length == letter.len_utf8() {
            code.push(letter);
        }
        line += taken.matches('\n').count();
        rest = rest.get(length..).unwrap_or_default();
    }
    pieces.push(Piece::Code(code));
    pieces
}

/// Returns the length of what `rest` begins with, and the piece that it is, if it is a comment or a string. Comments that document nothing,
/// raw strings and character literals have a length and no piece.
fn next_piece(rest: &str, before: &str) -> (usize, Option<Piece>) {
    let letter = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with("//") {
        let end = rest.find('\n').unwrap_or(rest.len());
        let comment = rest.get(..end).unwrap_or(rest);
        let doc = comment.strip_prefix("//!").or_else(|| comment.strip_prefix("///").filter(|text| !text.starts_with('/')));
        return (end, doc.map(|text| Piece::Doc(0, text.to_owned())));
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |end| end + 2), None);
    }
    let word = before.chars().next_back().is_some_and(|last| (last.is_alphanumeric() && last != 'b') || last == '_');
    if let Some(raw) = rest.strip_prefix('r').filter(|raw| !word && raw.trim_start_matches('#').starts_with('"')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let begin = 1 + hashes + 1;
        let end = rest.get(begin..).and_then(|body| body.find(&close)).map_or(rest.len(), |end| begin + end + close.len());
        return (end, None);
    }
    if rest.starts_with('"') {
        let (length, text) = string(rest);
        return (length, Some(Piece::Text(0, text)));
    }
    // A character literal; a lifetime has no closing quotation mark.
    if let Some(body) = rest.strip_prefix('\'') {
        let skip = if body.starts_with('\\') { 2 } else { body.chars().next().map_or(0, char::len_utf8) };
        let close = body.get(skip..).and_then(|body| body.find('\'')).filter(|close| *close == 0 || (skip == 2 && *close < 10));
        return (close.map_or(letter, |close| 1 + skip + close + 1), None);
    }
    (letter, None)
}

/// Returns the length of the string literal that `rest` begins with, and its text.
fn string(rest: &str) -> (usize, String) {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (at + 1, text),
            '\\' => match letters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, '\n')) => while letters.next_if(|(_, letter)| letter.is_whitespace()).is_some() {},
                Some((_, escaped)) => text.push(escaped),
                None => {}
            },
            _ => text.push(letter),
        }
    }
    (rest.len(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "## Words to avoid\n\n| avoid | write |\n|---|---|\n| `somebody` | another user, someone else |\n| `told` | reported, shown |\n\
                         | `shall` | must, should |\n| `goes on` | resumes, continues |\n| `is none`, `is no …` | is missing, is not a |\n\n## More\n\n| `x` | y |\n";

    /// Returns the remarks about a file, each with its line.
    fn remarks(path: &str, text: &str) -> Vec<String> {
        findings(&Words::parse(WORDS), path, text).into_iter().map(|found| format!("{}: {}", found.line, found.text)).collect()
    }

    #[test]
    fn words_of_the_list_are_found_where_they_stand() {
        assert_eq!(
            remarks("a.md", "# Title\n\nAn object that\nsomebody changed is told.\n"),
            ["4: \"somebody\": another user, someone else", "4: \"told\": reported, shown"]
        );
        assert_eq!(remarks("a.md", "The run goes\non tomorrow."), ["1: \"goes on\": resumes, continues"]);
        assert_eq!(remarks("a.md", "A file that is no component."), ["1: \"is no\": is not a, is not"]);
        assert_eq!(remarks("a.md", "A component that is none."), ["1: \"is none\": is missing, is not a"]);
        assert!(remarks("a.md", "Returns null if there is none.").is_empty());
        assert!(remarks("a.md", "There is no lock file, and it is no longer needed.").is_empty());
    }

    #[test]
    fn code_quotations_and_addresses_are_left_out() {
        let text = "Use `somebody`, [this](somebody/shall.md).\n\n```text\nsomebody shall\n```\n\n> somebody\n";
        assert!(remarks("a.md", text).is_empty());
        assert!(remarks("a.md", "Write ``the `somebody` of `` once.").is_empty());
        assert_eq!(remarks("a.md", "| key | b |\n|---|---|\n| `a\\|somebody` | shall |\n"), ["3: \"shall\": must, should"]);
    }

    #[test]
    fn a_long_sentence_is_found_and_two_short_ones_pass() {
        let words = |count: usize| vec!["word"; count].join(" ");
        assert!(remarks("a.md", &format!("{}. W{}.", words(30), words(30))).is_empty());
        assert_eq!(
            remarks("a.md", &format!("Short.\nMany {}.", words(30))),
            ["2: 31 words in one sentence, 30 at most: Many word word word word …"]
        );
        assert!(remarks("a.md", &format!("- {}\n- {}\n\n{}", words(20), words(20), words(20))).is_empty());
        assert!(remarks("host/core/src/a.rs", &format!("/// Does {}.\nfn f() {{}}", words(34))).is_empty());
        assert_eq!(remarks("host/core/src/a.rs", &format!("/// Does {}.\nfn f() {{}}", words(35))).len(), 1);
        assert_eq!(remarks("host/cli/src/a.rs", &format!("/// Does {}.\nfn f() {{}}", words(25))).len(), 1);
    }

    #[test]
    fn a_sentence_has_a_subject_and_one_semicolon() {
        assert_eq!(
            remarks("a.md", "What was sent is answered."),
            ["1: begins with \"what\", without a subject: What was sent is answered. …"]
        );
        assert!(remarks("a.md", "# What it promises\n\nWhat now?\n").is_empty());
        assert_eq!(remarks("a.md", "One; two; three."), ["1: more than one semicolon in one sentence: One; two; three. …"]);
    }

    #[test]
    fn a_table_names_its_columns() {
        assert_eq!(remarks("a.md", "text\n\n| key | |\n|---|---|\n| a | b |\n"), ["3: a column of the table has no name"]);
        assert!(remarks("a.md", "| key | value |\n|---|---|\n| a | |\n").is_empty());
    }

    #[test]
    fn messages_are_found_in_strings_and_not_in_tests() {
        let code = "#[error(\"{path} is changed by \\\n    somebody\")]\nconst A: &str = \"a b\";\n";
        assert_eq!(remarks("plugins/x/src/a.rs", code), ["1: \"somebody\": another user, someone else"]);
        assert!(remarks("plugins/x/src/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{code}}}")).is_empty());
        assert_eq!(remarks("host/x/src/a.rs", "let a = 'x'; let b = '\"'; let c: &'static str = \"the run shall end\";").len(), 1);
        assert!(remarks("host/x/src/a.rs", "let a = r#\"what is \"somebody\" here\"#; // somebody\n").is_empty());
    }

    #[test]
    fn the_comment_of_a_function_begins_with_a_verb() {
        let found = remarks("sdk/x/src/a.rs", "/// The id.\n#[allow(x, reason = \"y\")]\npub(crate) async fn id() {}\n");
        assert_eq!(found, ["1: the comment of a function begins with \"the\", not with a verb"]);
        assert!(remarks("sdk/x/src/a.rs", "/// The id.\nstruct Id;\n/// Returns it.\nfn id() {}").is_empty());
        assert_eq!(
            remarks("wit/a.wit", "interface a {\n    /// The name.\n    get: func() -> string;\n    /// The age.\n    age: u8,\n}").len(),
            1
        );
    }

    #[test]
    fn a_finding_in_any_file_fails_the_check() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
            fs::write(root.path().join(path), text).unwrap();
        };
        write("README.md", "It ends.");
        assert!(check(root.path(), &[""]).is_err(), "there is no style guide");
        write(STYLE, "# Style\n");
        assert!(check(root.path(), &[""]).is_err(), "the style guide has no words");
        write(STYLE, WORDS);
        check(root.path(), &[""]).unwrap();
        write("host/x/src/a.rs", "/// The end.\nfn end() {}");
        write("target/x.md", "It shall end.");
        assert!(check(root.path(), &[""]).is_err());
        check(root.path(), &["./README.md", "target"]).unwrap();
    }
}
