//! Reads CSV in the dialects that programs write: delimiters, encodings, lists in a cell.

use std::borrow::Cow;

use infrahub_sync_adapter::serde_json::Value;
use infrahub_sync_adapter::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::format::cell_json;
use crate::object::quoted;

/// The delimiters that are detected.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// The records that tell the delimiter.
const RECORDS_COMPARED: usize = 20;

/// How a file is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dialect {
    /// None: detected.
    pub(crate) delimiter: Option<u8>,
    pub(crate) encoding: Encoding,
    /// Between the values of a list in a cell; none: cells are no lists.
    pub(crate) list_separator: Option<String>,
    /// This adapter wrote the cells (see `format::cell`), so their types are known. Else they are text.
    pub(crate) typed: bool,
}

/// The encoding of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encoding {
    #[default]
    Utf8,
    Utf16Le,
    Utf16Be,
    Windows1252,
}

/// The bytes 0x80 to 0x9f in windows-1252; the five that it leaves open are those of latin-1.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–',
    '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl Encoding {
    /// The names of the setting.
    pub(crate) const NAMES: &str = "utf-8, utf-16, utf-16le, utf-16be, windows-1252 or latin-1";

    /// Returns the encoding of that name.
    pub(crate) fn named(name: &str) -> Option<Encoding> {
        Some(match name.to_ascii_lowercase().replace(['_', ' '], "-").as_str() {
            "utf-8" | "utf8" | "utf-8-sig" | "ascii" => Encoding::Utf8,
            "utf-16" | "utf16" | "utf-16le" | "utf-16-le" => Encoding::Utf16Le,
            "utf-16be" | "utf-16-be" => Encoding::Utf16Be,
            "windows-1252" | "cp1252" | "latin-1" | "latin1" | "iso-8859-1" => Encoding::Windows1252,
            _ => return None,
        })
    }

    /// Returns the encoding that the first bytes of a file tell.
    pub(crate) fn of_mark(bytes: &[u8]) -> Option<Encoding> {
        match bytes {
            [0xef, 0xbb, 0xbf, ..] => Some(Encoding::Utf8),
            [0xff, 0xfe, ..] => Some(Encoding::Utf16Le),
            [0xfe, 0xff, ..] => Some(Encoding::Utf16Be),
            _ => None,
        }
    }

    /// Returns whether a line ends with the byte of a line feed, and a file can be read in pieces of lines.
    pub(crate) fn has_lines(self) -> bool {
        matches!(self, Encoding::Utf8 | Encoding::Windows1252)
    }

    /// Returns a text in UTF-8, without a mark at its beginning; none if the bytes are not of the encoding. UTF-8 is checked where it is used.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
        Some(match self {
            Encoding::Utf8 => Cow::Borrowed(bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes)),
            Encoding::Windows1252 => {
                let character = |byte: &u8| match byte {
                    0x80..=0x9f => WINDOWS.get(usize::from(*byte - 0x80)).copied().unwrap_or('\u{fffd}'),
                    byte => char::from(*byte),
                };
                Cow::Owned(bytes.iter().map(character).collect::<String>().into_bytes())
            }
            Encoding::Utf16Le | Encoding::Utf16Be => {
                let unit = |pair: &[u8]| {
                    let pair = [pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)];
                    if self == Encoding::Utf16Le { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
                };
                if bytes.len() % 2 == 1 {
                    return None;
                }
                let text: String = char::decode_utf16(bytes.chunks(2).map(unit)).collect::<std::result::Result<_, _>>().ok()?;
                Cow::Owned(text.trim_start_matches('\u{feff}').as_bytes().to_vec())
            }
        })
    }
}

/// Returns the delimiter that the setting names.
pub(crate) fn delimiter_named(name: &str) -> Option<u8> {
    match name {
        "tab" | "\\t" | "\t" => Some(b'\t'),
        "comma" => Some(b','),
        "semicolon" => Some(b';'),
        "pipe" => Some(b'|'),
        "space" => Some(b' '),
        _ => match name.as_bytes() {
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r') => Some(*byte),
            _ => None,
        },
    }
}

/// Returns the delimiter that splits the first records of a file into the same number of cells; a comma where there is only one column.
///
/// # Errors
/// When several do.
pub(crate) fn detect(bytes: &[u8], file: &str) -> Result<u8> {
    let widths = |delimiter: u8| -> Vec<usize> {
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
        reader.into_byte_records().take(RECORDS_COMPARED).map_while(std::result::Result::ok).map(|record| record.len()).collect()
    };
    let header = |delimiter: &u8| widths(*delimiter).first().is_some_and(|width| *width > 1);
    let candidates: Vec<u8> = DELIMITERS.into_iter().filter(header).collect();
    match candidates.as_slice() {
        [] => return Ok(b','),
        [one] => return Ok(*one),
        _ => {}
    }
    // The last record may be cut.
    let even = |delimiter: &u8| {
        let widths = widths(*delimiter);
        let whole = widths.get(..widths.len().saturating_sub(1).max(1)).unwrap_or_default();
        whole.iter().all(|width| Some(width) == whole.first())
    };
    let consistent: Vec<u8> = candidates.iter().copied().filter(even).collect();
    match consistent.as_slice() {
        [one] => Ok(*one),
        several => {
            let unclear = if several.is_empty() { candidates.as_slice() } else { several };
            let names: Vec<String> = unclear
                .iter()
                .map(|byte| format!("`{}`", if *byte == b'\t' { "tab".to_owned() } else { char::from(*byte).to_string() }))
                .collect();
            Err(Error::config(format!("the delimiter of `{file}` may be {}: set `delimiter`", names.join(" or "))))
        }
    }
}

/// Where a piece of a file begins.
pub(crate) struct Start<'s> {
    /// None: the piece begins with the header.
    pub(crate) columns: Option<&'s [String]>,
    /// Lines before the piece.
    pub(crate) lines: u64,
    pub(crate) delimiter: u8,
    /// The piece reaches the end of the file.
    pub(crate) is_last: bool,
}

/// The records of a piece of CSV.
pub(crate) struct Piece {
    pub(crate) columns: Vec<String>,
    pub(crate) objects: Vec<String>,
    /// Where the last record begins, from the beginning of the piece.
    pub(crate) last_offset: u64,
    pub(crate) last_line: u64,
}

/// Returns the records of a piece in UTF-8. A record that does not stand on the line behind the record before names its line.
pub(crate) fn records(bytes: &[u8], file: &str, dialect: &Dialect, start: &Start<'_>) -> Result<Piece> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(start.delimiter).from_reader(bytes);
    let columns = start.columns.map(<[String]>::to_vec);
    let mut is_header = columns.is_none();
    let mut piece = Piece { columns: columns.unwrap_or_default(), objects: Vec::new(), last_offset: 0, last_line: 1 };
    let mut cells = csv::ByteRecord::new();
    let mut expected_line = 0;
    loop {
        let wrong = |line: u64, what: &dyn std::fmt::Display| Error::config(format!("`{file}`, line {line}: {what}"));
        if !reader.read_byte_record(&mut cells).map_err(|error| wrong(start.lines + reader.position().line(), &error))? {
            break;
        }
        if let Some(position) = cells.position() {
            // The reader passes over empty lines before a record.
            let rest = usize::try_from(position.byte()).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let blank: Vec<u8> = rest.iter().copied().take_while(|byte| matches!(byte, b'\n' | b'\r')).collect();
            let lines = blank.iter().filter(|byte| **byte == b'\n').count() as u64;
            (piece.last_offset, piece.last_line) = (position.byte() + blank.len() as u64, position.line() + lines);
        }
        let line = start.lines + piece.last_line;
        let hint = format!("is not UTF-8: set `encoding` ({})", Encoding::NAMES);
        let texts = cells.iter().map(std::str::from_utf8).collect::<std::result::Result<Vec<_>, _>>().map_err(|_| wrong(line, &hint))?;
        if std::mem::take(&mut is_header) {
            piece.columns = header(&texts).map_err(|twice| wrong(line, &format!("the column {twice:?} appears twice")))?;
            continue;
        }
        if texts.iter().skip(piece.columns.len()).any(|cell| !cell.is_empty()) {
            return Err(wrong(line, &format!("{} cells, but the header has {}", texts.len(), piece.columns.len())));
        }
        // A row of empty cells is no record: spreadsheets leave such behind.
        if !dialect.typed && texts.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        piece.objects.push(object(&piece.columns, &texts, dialect, (line != expected_line).then_some(line)));
        expected_line = start.lines + reader.position().line();
    }
    let last = usize::try_from(piece.last_offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    if start.is_last && ends_in_quotes(last, start.delimiter) {
        return Err(Error::config(format!(
            "`{file}`, line {}: a quote that begins here or below is not closed",
            start.lines + piece.last_line
        )));
    }
    Ok(piece)
}

/// Returns the names of the columns, without blanks around them. A column without a name is passed over.
///
/// # Errors
/// A name that stands twice.
fn header(texts: &[&str]) -> std::result::Result<Vec<String>, String> {
    let mut columns: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        let name = text.trim().to_owned();
        if !name.is_empty() && columns.contains(&name) {
            return Err(name);
        }
        columns.push(name);
    }
    Ok(columns)
}

fn object(columns: &[String], texts: &[&str], dialect: &Dialect, line: Option<u64>) -> String {
    let mut object = String::with_capacity(columns.len() * 16);
    object.push('{');
    if let Some(line) = line.filter(|_| !dialect.typed) {
        object.push_str(&format!("\"@line\":{line}"));
    }
    for (at, name) in columns.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let cell = texts.get(at).copied().unwrap_or_default();
        let value = match () {
            // In a file of this adapter an empty cell is a field that is not set.
            () if dialect.typed => match cell_json(cell) {
                Some(json) => json,
                None => continue,
            },
            () if cell.is_empty() => "null".to_owned(),
            () => match dialect.list_separator.as_deref().filter(|separator| cell.contains(separator)) {
                Some(separator) => {
                    let items = cell.split(separator).map(str::trim).filter(|item| !item.is_empty());
                    items.collect::<Value>().to_string()
                }
                None => quoted(cell),
            },
        };
        if object.len() > 1 {
            object.push(',');
        }
        object.push_str(&quoted(name));
        object.push(':');
        object.push_str(&value);
    }
    object.push('}');
    object
}

/// Returns whether a record ends within a quoted cell.
fn ends_in_quotes(record: &[u8], delimiter: u8) -> bool {
    let (mut at_start, mut quoted) = (true, false);
    let mut bytes = record.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted => {
                if bytes.peek() == Some(&&b'"') {
                    bytes.next();
                } else {
                    quoted = false;
                }
            }
            b'"' if at_start => quoted = true,
            _ => {}
        }
        at_start = !quoted && (*byte == delimiter || matches!(byte, b'\n' | b'\r'));
    }
    quoted
}
