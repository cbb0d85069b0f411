//! Reads files as records.

use infrahub_sync_adapter::serde_json::{self, value::RawValue};
use infrahub_sync_adapter::{Error, ErrorKind, LoadRequest, Page, Payload, Response, Result, files};
use serde::{Deserialize, Serialize};

use crate::csv_read::{self, Dialect, Encoding, Start};
use crate::digest;
use crate::format::Format;
use crate::object::compact;
use crate::yaml::{self, Record};

/// Bytes of lines in one page: some ten thousand records, and small enough that several pages fit beside one another.
const PIECE_BYTES: u32 = 4 << 20;
/// The most file names in a message.
const NAMES_MAX: usize = 20;

/// The cursor: where to continue in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cursor {
    Lines { file: String, offset: u64 },
    Csv { file: String, place: CsvPlace },
}

/// Where to continue in a CSV file. The header travels along, so no page reads it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CsvPlace {
    offset: u64,
    /// Lines before the offset, for messages.
    lines: u64,
    /// None at the beginning.
    columns: Option<Vec<String>>,
    /// Its delimiter and encoding are known behind the first page.
    dialect: Dialect,
}

impl CsvPlace {
    fn beginning(dialect: Dialect) -> CsvPlace {
        CsvPlace { offset: 0, lines: 0, columns: None, dialect }
    }
}

/// Returns a page of a user's file.
pub(crate) fn source(format: Option<Format>, dialect: &Dialect, request: &LoadRequest) -> Result<Page> {
    match continued(request)? {
        Some(page) => Ok(page),
        None => {
            let (file, format) = find(format, &request.resource)?;
            begin(format, &file, request, dialect)
        }
    }
}

/// Returns a page of a file that a destination wrote. A kind that was never written has no objects.
pub(crate) fn destination(format: Format, request: &LoadRequest) -> Result<Page> {
    if let Some(page) = continued(request)? {
        return Ok(page);
    }
    let file = format.file(&request.resource);
    match begin(format, &file, request, &written()) {
        Err(error) if error.kind == ErrorKind::NotFound => {
            let page = request.since.as_deref().map_or_else(|| Ok(Page::empty()), |since| digest::since(since, digest::NO_FILE, &file));
            Ok(page?.with_watermark(digest::NO_FILE))
        }
        page => page,
    }
}

/// Returns the dialect of this adapter's own files.
fn written() -> Dialect {
    Dialect { delimiter: Some(b','), typed: true, ..Dialect::default() }
}

/// Returns the first page of a load. The digest is taken before the records are read, so a write meanwhile changes the next digest.
fn begin(format: Format, file: &str, request: &LoadRequest, dialect: &Dialect) -> Result<Page> {
    let now = digest::of_file(file)?;
    let page = match &request.since {
        Some(since) => digest::since(since, &now, file)?,
        None => first(format, file, &request.resource, dialect)?,
    };
    Ok(page.with_watermark(&now))
}

/// Returns the page at the cursor; none for a first page.
fn continued(request: &LoadRequest) -> Result<Option<Page>> {
    Ok(match request.cursor_as()? {
        None => None,
        Some(Cursor::Lines { file, offset }) => Some(lines(&file, offset)?),
        Some(Cursor::Csv { file, place }) => Some(csv_page(&file, place)?),
    })
}

fn first(format: Format, file: &str, resource: &str, dialect: &Dialect) -> Result<Page> {
    match format {
        Format::JsonLines => {
            check_first_line(file)?;
            lines(file, 0)
        }
        Format::Csv => {
            let delimiter = dialect.delimiter.or_else(|| file.to_ascii_lowercase().ends_with(".tsv").then_some(b'\t'));
            csv_page(file, CsvPlace::beginning(Dialect { delimiter, ..dialect.clone() }))
        }
        Format::Json => {
            let response = files::read(file)?;
            let pointer = json_pointer(&response, file, resource)?;
            Ok(Page::document(response, &pointer))
        }
        Format::Yaml => {
            let records = yaml_records(&files::read(file)?.body(), file, resource)?;
            let mut text = String::new();
            for Record { json, line } in &records {
                match json.strip_prefix('{').filter(|_| !dialect.typed) {
                    Some(members) => {
                        let comma = if members == "}" { "" } else { "," };
                        text.push_str(&format!("{{\"@line\":{line}{comma}{members}"));
                    }
                    None => text.push_str(json),
                }
                text.push('\n');
            }
            Ok(Page::new(Payload::JsonLines(text.into_bytes())))
        }
    }
}

/// Returns the file of a resource.
fn find(format: Option<Format>, resource: &str) -> Result<(String, Format)> {
    let formats = format.map_or(Format::ALL.to_vec(), |format| vec![format]);
    let names: Vec<String> = files::list()?.into_iter().filter(|name| !name.starts_with('.')).collect();
    let mut found = Vec::new();
    for format in formats {
        for extension in format.extensions() {
            // `devices` is devices.json, and so is `devices.json`.
            let file = format!("{}.{extension}", resource.strip_suffix(&format!(".{extension}")).unwrap_or(resource));
            if names.contains(&file) || (resource.contains('/') && exists(&file)?) {
                found.push((file, format));
            }
        }
    }
    if let Some(exact) = found.iter().find(|(file, _)| file == resource) {
        return Ok(exact.clone());
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let extension = format.map_or("json, .jsonl, .csv or .yaml", |format| format.extensions().first().copied().unwrap_or(""));
            let there = match names.len() {
                0 => "the folder is empty".to_owned(),
                count if count > NAMES_MAX => {
                    format!("the folder has {} and {} more", names.get(..NAMES_MAX).unwrap_or_default().join(", "), count - NAMES_MAX)
                }
                _ => format!("the folder has {}", names.join(", ")),
            };
            Err(Error::config(format!("there is no file `{resource}` (.{extension}); {there}")))
        }
        several => {
            let files = several.iter().map(|(file, _)| file.as_str()).collect::<Vec<_>>().join(", ");
            Err(Error::config(format!("`{resource}` may be {files}: name the file with its extension, or set `format`")))
        }
    }
}

/// Returns whether there is a file below the folder.
fn exists(file: &str) -> Result<bool> {
    match files::read_lines(file, 0, 1) {
        Ok(_) => Ok(true),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Checks that a file of JSON lines begins with an object on one line.
fn check_first_line(file: &str) -> Result<()> {
    let (response, _) = files::read_lines(file, 0, 1)?;
    let body = response.body();
    let line = body.trim_ascii();
    if line.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok() {
        return Ok(());
    }
    match line {
        b"{" | b"[" => Err(Error::config(format!(
            "`{file}`, line 1: an object on one line was expected; a document over several lines is a file `.json`"
        ))),
        // The host reports the mistake with its place.
        _ => Ok(()),
    }
}

fn lines(file: &str, offset: u64) -> Result<Page> {
    let (response, next) = files::read_lines(file, offset, PIECE_BYTES)?;
    Page::lines(response).with_next(next.map(|offset| Cursor::Lines { file: file.to_owned(), offset }))
}

/// Returns the pointer of the list: the document itself, `results`, or the resource's name.
fn json_pointer(response: &Response, file: &str, resource: &str) -> Result<String> {
    let named = format!("/{}", resource.replace('~', "~0").replace('/', "~1"));
    [String::new(), "/results".to_owned(), named]
        .into_iter()
        .find(|pointer| response.count(pointer).is_some())
        .ok_or_else(|| not_json(&response.body(), file).unwrap_or_else(|| no_list(file, resource)))
}

/// Returns what is wrong with a text that is not JSON, with its place.
fn not_json(body: &[u8], file: &str) -> Option<Error> {
    if body.trim_ascii().is_empty() {
        return Some(Error::config(format!("`{file}` is empty, but must be a list of objects: `[]` has none")));
    }
    let error = serde_json::from_slice::<serde::de::IgnoredAny>(body).err()?;
    let text = error.to_string();
    let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let rest = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let word = ["NaN", "Infinity", "-Infinity", "None", "True", "False", "nan", "undefined"]
        .into_iter()
        .find(|word| rest.starts_with(word.as_bytes()));
    // What serde calls a key that is no text is most often the end behind a comma.
    let what = if what == "key must be a string" && rest.starts_with(b"}") { "trailing comma" } else { what };
    let what = word.map_or_else(|| what.to_owned(), |word| format!("`{word}` is not JSON"));
    Some(Error::config(format!("`{file}`, line {}, column {}: {what}", error.line(), error.column())))
}

fn no_list(file: &str, resource: &str) -> Error {
    Error::config(format!("`{file}` must be a list of objects, or an object with that list under `results` or `{resource}`"))
}

/// Returns the records of a YAML file, with the layouts of JSON.
pub(crate) fn yaml_records(bytes: &[u8], file: &str, resource: &str) -> Result<Vec<Record>> {
    yaml::records(bytes, file, &["results", resource])?.ok_or_else(|| no_list(file, resource))
}

/// Returns the objects of a JSON document of this adapter, each on one line.
pub(crate) fn json_objects(bytes: &[u8], file: &str) -> Result<Vec<String>> {
    let objects: Vec<&RawValue> =
        serde_json::from_slice(bytes).map_err(|error| Error::config(format!("`{file}` is not a list of JSON objects: {error}")))?;
    Ok(objects.into_iter().map(|object| compact(object.get())).collect())
}

/// Returns a page of a CSV file. A record may contain line breaks, so the last one of a piece may be cut: it belongs to the next page.
fn csv_page(file: &str, mut place: CsvPlace) -> Result<Page> {
    let mut piece_bytes = PIECE_BYTES;
    loop {
        let (response, next) = match place.dialect.encoding.has_lines() {
            true => files::read_lines(file, place.offset, piece_bytes)?,
            false => (files::read(file)?, None),
        };
        let body = response.body();
        if place.offset == 0 {
            let marked = Encoding::of_mark(&body).filter(|marked| *marked != place.dialect.encoding);
            if let Some(encoding) = marked {
                place.dialect.encoding = encoding;
                continue;
            }
        }
        let undecodable = || Error::config(format!("`{file}` is not in its encoding: set `encoding` ({})", Encoding::NAMES));
        let text = place.dialect.encoding.decode(&body).ok_or_else(undecodable)?;
        let delimiter = match place.dialect.delimiter {
            Some(delimiter) => delimiter,
            None => csv_read::detect(&text, file)?,
        };
        place.dialect.delimiter = Some(delimiter);
        let start = Start { columns: place.columns.as_deref(), lines: place.lines, delimiter, is_last: next.is_none() };
        let piece = csv_read::records(&text, file, &place.dialect, &start)?;
        if next.is_none() {
            return Ok(Page::new(Payload::JsonLines(joined(&piece.objects))));
        }
        // The piece needs two records; one for this page, one for the next.
        match piece.objects.split_last() {
            Some((_, [])) | None if piece_bytes < u32::MAX / 2 => piece_bytes *= 2,
            Some((_, complete)) => {
                let place = CsvPlace {
                    offset: place.offset + bytes_before(&body, &text, piece.last_offset, place.dialect.encoding),
                    lines: place.lines + piece.last_line.saturating_sub(1),
                    columns: Some(piece.columns),
                    dialect: place.dialect,
                };
                let page = Page::new(Payload::JsonLines(joined(complete)));
                return page.with_next(Some(Cursor::Csv { file: file.to_owned(), place }));
            }
            None => return Err(Error::config(format!("`{file}`: no CSV record begins at line {}", place.lines + 1))),
        }
    }
}

/// Returns the bytes of the file before a place in its text.
fn bytes_before(body: &[u8], text: &[u8], offset: u64, encoding: Encoding) -> u64 {
    match encoding {
        // Each byte is one character.
        Encoding::Windows1252 => {
            let before = usize::try_from(offset).ok().and_then(|offset| text.get(..offset)).unwrap_or_default();
            before.iter().filter(|byte| (**byte & 0xc0) != 0x80).count() as u64
        }
        // A mark was taken off.
        _ => offset + (body.len() - text.len()) as u64,
    }
}

fn joined(objects: &[String]) -> Vec<u8> {
    objects.iter().flat_map(|object| [object, "\n"]).collect::<String>().into_bytes()
}

/// Returns all objects of a CSV file of this adapter.
pub(crate) fn csv_objects(bytes: &[u8], file: &str) -> Result<Vec<String>> {
    let start = Start { columns: None, lines: 0, delimiter: b',', is_last: true };
    csv_read::records(bytes, file, &written(), &start).map(|piece| piece.objects)
}
