//! Reads files as records.

use infrahub_sync_adapter::serde_json::{self, Value, value::RawValue};
use infrahub_sync_adapter::{Error, ErrorKind, LoadRequest, Page, Payload, Response, Result, files};
use serde::{Deserialize, Serialize};

use crate::digest;
use crate::format::{Format, cell_json};
use crate::object::{compact, quoted};

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
    /// This adapter wrote the cells (see `format::cell`), so their types are known. Else they are text.
    typed: bool,
}

impl CsvPlace {
    fn beginning(typed: bool) -> CsvPlace {
        CsvPlace { offset: 0, lines: 0, columns: None, typed }
    }
}

/// Returns a page of a user's file.
pub(crate) fn source(format: Option<Format>, request: &LoadRequest) -> Result<Page> {
    match continued(request)? {
        Some(page) => Ok(page),
        None => {
            let (file, format) = find(format, &request.resource)?;
            begin(format, &file, request, false)
        }
    }
}

/// Returns a page of a file that a destination wrote. A kind that was never written has no objects.
pub(crate) fn destination(format: Format, request: &LoadRequest) -> Result<Page> {
    if let Some(page) = continued(request)? {
        return Ok(page);
    }
    let file = format.file(&request.resource);
    match begin(format, &file, request, true) {
        Err(error) if error.kind == ErrorKind::NotFound => {
            let page = request.since.as_deref().map_or_else(|| Ok(Page::empty()), |since| digest::since(since, digest::NO_FILE, &file));
            Ok(page?.with_watermark(digest::NO_FILE))
        }
        page => page,
    }
}

/// Returns the first page of a load. The digest is taken before the records are read, so a write meanwhile changes the next digest.
fn begin(format: Format, file: &str, request: &LoadRequest, typed: bool) -> Result<Page> {
    let now = digest::of_file(file)?;
    let page = match &request.since {
        Some(since) => digest::since(since, &now, file)?,
        None => first(format, file, &request.resource, typed)?,
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

fn first(format: Format, file: &str, resource: &str, typed: bool) -> Result<Page> {
    match format {
        Format::JsonLines => lines(file, 0),
        Format::Csv => csv_page(file, CsvPlace::beginning(typed)),
        Format::Json => {
            let response = files::read(file)?;
            let pointer = json_pointer(&response, file, resource)?;
            Ok(Page::document(response, &pointer))
        }
        Format::Yaml => Page::records(yaml_records(&files::read(file)?.body(), file, resource)?),
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
            if names.contains(&file) {
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
        .ok_or_else(|| no_list(file, resource))
}

fn no_list(file: &str, resource: &str) -> Error {
    Error::config(format!("`{file}` must be a list of objects, or an object with that list under `results` or `{resource}`"))
}

/// Returns the records of a YAML document, with the layouts of JSON.
pub(crate) fn yaml_records(bytes: &[u8], file: &str, resource: &str) -> Result<Vec<Value>> {
    let document: Value =
        serde_yaml::from_slice(bytes).map_err(|error| Error::config(format!("`{file}` cannot be read as YAML: {error}")))?;
    match document {
        Value::Null => Ok(Vec::new()),
        Value::Array(records) => Ok(records),
        Value::Object(mut members) => ["results", resource]
            .into_iter()
            .find_map(|name| match members.remove(name) {
                Some(Value::Array(records)) => Some(records),
                _ => None,
            })
            .ok_or_else(|| no_list(file, resource)),
        _ => Err(no_list(file, resource)),
    }
}

/// Returns the objects of a JSON document of this adapter, each on one line.
pub(crate) fn json_objects(bytes: &[u8], file: &str) -> Result<Vec<String>> {
    let objects: Vec<&RawValue> =
        serde_json::from_slice(bytes).map_err(|error| Error::config(format!("`{file}` is not a list of JSON objects: {error}")))?;
    Ok(objects.into_iter().map(|object| compact(object.get())).collect())
}

/// Returns a page of a CSV file. A record may contain line breaks, so the last one of a piece may be cut: it belongs to the next page.
fn csv_page(file: &str, place: CsvPlace) -> Result<Page> {
    let mut piece_bytes = PIECE_BYTES;
    loop {
        let (response, next) = files::read_lines(file, place.offset, piece_bytes)?;
        let piece = csv_records(&response.body(), file, &place)?;
        if next.is_none() {
            return Ok(Page::new(Payload::JsonLines(joined(&piece.objects))));
        }
        // The piece needs two records: one for this page, one for the next.
        match piece.objects.split_last() {
            Some((_, [])) | None if piece_bytes < u32::MAX / 2 => piece_bytes *= 2,
            Some((_, complete)) => {
                let place = CsvPlace {
                    offset: place.offset + piece.last_offset,
                    lines: place.lines + piece.last_line.saturating_sub(1),
                    columns: Some(piece.columns),
                    typed: place.typed,
                };
                let page = Page::new(Payload::JsonLines(joined(complete)));
                return page.with_next(Some(Cursor::Csv { file: file.to_owned(), place }));
            }
            None => return Err(Error::config(format!("`{file}`: no CSV record begins at line {}", place.lines + 1))),
        }
    }
}

fn joined(objects: &[String]) -> Vec<u8> {
    objects.iter().flat_map(|object| [object, "\n"]).collect::<String>().into_bytes()
}

/// The records of a piece of CSV.
struct CsvPiece {
    columns: Vec<String>,
    objects: Vec<String>,
    /// Where the last record begins, from the beginning of the piece.
    last_offset: u64,
    last_line: u64,
}

/// Returns all objects of a CSV file of this adapter.
pub(crate) fn csv_objects(bytes: &[u8], file: &str) -> Result<Vec<String>> {
    csv_records(bytes, file, &CsvPlace::beginning(true)).map(|piece| piece.objects)
}

fn csv_records(bytes: &[u8], file: &str, place: &CsvPlace) -> Result<CsvPiece> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut piece = CsvPiece { columns: place.columns.clone().unwrap_or_default(), objects: Vec::new(), last_offset: 0, last_line: 1 };
    let mut is_header = place.columns.is_none();
    let mut cells = csv::ByteRecord::new();
    loop {
        let line = place.lines + reader.position().line();
        let wrong = |what: &dyn std::fmt::Display| Error::config(format!("`{file}`, line {line}: {what}"));
        if !reader.read_byte_record(&mut cells).map_err(|error| wrong(&error))? {
            return Ok(piece);
        }
        if let Some(position) = cells.position() {
            (piece.last_offset, piece.last_line) = (position.byte(), position.line());
        }
        let texts = cells.iter().map(std::str::from_utf8).collect::<Result<Vec<_>, _>>().map_err(|_| wrong(&"is not UTF-8"))?;
        if is_header {
            piece.columns = texts.into_iter().map(str::to_owned).collect();
            if let Some(twice) =
                piece.columns.iter().enumerate().find(|(at, name)| piece.columns.iter().take(*at).any(|other| other == *name))
            {
                return Err(wrong(&format!("the column {:?} appears twice", twice.1)));
            }
            is_header = false;
            continue;
        }
        if texts.len() != piece.columns.len() {
            return Err(wrong(&format!("{} cells, but the header has {}", texts.len(), piece.columns.len())));
        }
        let members = piece.columns.iter().zip(texts).filter_map(|(name, cell)| {
            // An empty cell is a field that is not set.
            let value = if place.typed { cell_json(cell)? } else { Some(quoted(cell)).filter(|_| !cell.is_empty())? };
            Some(format!("{}:{value}", quoted(name)))
        });
        let object = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        piece.objects.push(object);
    }
}
