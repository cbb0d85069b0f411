//! Writes rows into a staging file, and staging files into the kinds' files.
//!
//! ```text
//! .DcimDevice.pending   staged rows: a line {"identifiers": […]} before each batch, then [operation, [key], {fields}] lines
//! .DcimDevice.new       the kind's next file while it is made
//! .DcimDevice.base      the same between two rounds of merging
//! DcimDevice.jsonl      the kind; only ever replaced as a whole
//! ```
//!
//! `write` returns `staged`; nothing is done before `commit` has succeeded. `commit` makes the new files of all its kinds before it puts any of
//! them in place, so a row that does not fit leaves all of them as they were. An interrupted commit can be repeated: rows that are already
//! written change nothing.

use infrahub_sync_adapter::serde_json;
use infrahub_sync_adapter::{Error, ErrorKind, Operation, Outcome, Result, TargetField, WriteRequest, files, log};
use serde::Deserialize;

use crate::format::{self, Format};
use crate::key::Key;
use crate::lines::Lines;
use crate::merge::{Misfits, RUNS_MAX, Staging, Stop, merge, scan, word};
use crate::object::{Members, plain_reference, quoted};
use crate::read;

/// Bytes in one append.
const APPEND_BYTES: usize = 1 << 20;
/// Bytes of the current file in memory at a time.
const CURRENT_PIECE_BYTES: u32 = 1 << 20;

/// The files of a kind that is being written.
struct Paths {
    pending: String,
    new: String,
    base: String,
}

impl Paths {
    fn of(kind: &str) -> Paths {
        let named = |what: &str| format!(".{kind}.{what}");
        Paths { pending: named("pending"), new: named("new"), base: named("base") }
    }

    fn remove_all(&self) -> Result<()> {
        [&self.pending, &self.new, &self.base].into_iter().try_for_each(|path| files::remove(path))
    }
}

/// Removes the files of an interrupted run.
pub(crate) fn begin() -> Result<()> {
    let names = match files::list() {
        // The first file creates the folder.
        Err(error) if error.kind == ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let is_ours = |name: &String| name.starts_with('.') && [".pending", ".new", ".base"].iter().any(|end| name.ends_with(end));
    for name in names.iter().filter(|name| is_ours(name)) {
        log::info(&format!("removing {name} of an interrupted run"));
        files::remove(name)?;
    }
    Ok(())
}

/// A row in the host's form.
#[derive(Deserialize)]
struct HostRow<'j> {
    #[serde(borrow)]
    key: Members<'j>,
    #[serde(borrow, default)]
    fields: Members<'j>,
}

/// Adds rows to the staging file of their kind.
pub(crate) fn stage(request: &WriteRequest) -> Result<Vec<Outcome>> {
    let is_file_name = |kind: &str| !kind.is_empty() && !kind.starts_with('.') && !kind.contains(['/', '\\', '\0', '\n']);
    let kind = &request.target.kind;
    if !is_file_name(kind) {
        return Err(Error::config(format!("the kind {kind:?} cannot be the name of a file")));
    }
    let identifiers: Vec<String> = request.target.identifiers().map(|field| quoted(&field.name)).collect();
    if identifiers.is_empty() {
        return Err(Error::config(format!("{kind} has no identifiers")));
    }
    let mut staged = format!("{{\"identifiers\":[{}]}}\n", identifiers.join(","));
    let mut outcomes = Vec::new();
    let mut rows = request.rows();
    while let Some(line) = rows.next_line() {
        outcomes.push(match stage_row(line, request, &mut staged) {
            Ok(()) => Outcome::Staged,
            Err(error) => Outcome::Failed(Error::internal(format!("a row of {kind} cannot be read: {error}"))),
        });
    }
    if outcomes.len() as u64 != u64::from(request.count) {
        return Err(Error::internal(format!("the host announced {} rows and sent {}", request.count, outcomes.len())));
    }
    files::append(&Paths::of(kind).pending, staged.as_bytes())?;
    Ok(outcomes)
}

fn stage_row(line: &[u8], request: &WriteRequest, staged: &mut String) -> serde_json::Result<()> {
    let HostRow { key, fields } = serde_json::from_slice(line)?;
    let mut row = format!("[\"{}\",[", word(request.operation));
    for (at, field) in request.target.identifiers().enumerate() {
        let value = key.get(&field.name).ok_or_else(|| serde::de::Error::custom(format!("its key has no {}", field.name)))?;
        // A list in a key is a value; only an object is a peer.
        let is_peer = field.is_reference() && value.get().starts_with('{');
        let separator = if at == 0 { "" } else { "," };
        row.push_str(separator);
        row.push_str(if is_peer { plain_reference(value)? } else { value.to_owned() }.get());
    }
    row.push_str("],{");
    if request.operation != Operation::Delete {
        for (at, (name, value)) in fields.0.iter().enumerate() {
            let is_reference = request.target.field(name).is_some_and(TargetField::is_reference);
            let value = if is_reference { plain_reference(value)? } else { (*value).to_owned() };
            let separator = if at == 0 { "" } else { "," };
            row.push_str(&format!("{separator}{}:{}", quoted(name), value.get()));
        }
    }
    row.push_str("}]\n");
    staged.push_str(&row);
    Ok(())
}

/// Makes the staged rows of these kinds durable.
pub(crate) fn commit(format: Format, kinds: &[String]) -> Result<()> {
    let names = files::list()?;
    let mut finished = Vec::new();
    for kind in kinds {
        match prepare(format, kind, &names) {
            Ok(true) => finished.push(kind),
            Ok(false) => {}
            Err(error) => {
                // The rows of all these kinds are rejected: none may appear in a later commit.
                for kind in kinds {
                    Paths::of(kind).remove_all()?;
                }
                return Err(Error { message: format!("{}; nothing of {} was written", error.message, kinds.join(", ")), ..error });
            }
        }
    }
    for (done, kind) in finished.iter().enumerate() {
        files::replace(&Paths::of(kind).new, &format.file(kind)).map_err(|error| {
            let written = finished.iter().take(done).map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
            let written = if written.is_empty() { "no kind".to_owned() } else { written };
            Error { message: format!("{} ({written} of this commit had been written before)", error.message), ..error }
        })?;
    }
    kinds.iter().try_for_each(|kind| Paths::of(kind).remove_all())
}

/// Makes the next file of a kind. Says whether there is one: a kind without staged rows keeps its file.
fn prepare(format: Format, kind: &str, names: &[String]) -> Result<bool> {
    let (paths, file) = (Paths::of(kind), format.file(kind));
    let exists = names.contains(&file);
    files::remove(&paths.new)?;
    let staging = match scan(&paths.pending) {
        Err(error) if error.kind == ErrorKind::NotFound => None,
        staging => Some(staging?),
    };
    match staging.filter(|staging| !staging.runs.is_empty()) {
        None if exists => Ok(false),
        None => files::append(&paths.new, format.empty()).map(|()| true),
        Some(staging) => {
            let mut misfits = Misfits::default();
            let current = exists.then_some(file.as_str());
            match format {
                Format::JsonLines => stream(&paths, current, &staging, &mut misfits)?,
                _ => whole(format, &paths, current, &staging, &mut misfits)?,
            }
            misfits.check(kind).map(|()| true)
        }
    }
}

/// Merges into a file of JSON lines of any size.
fn stream(paths: &Paths, current: Option<&str>, staging: &Staging, misfits: &mut Misfits) -> Result<()> {
    let mut current = current;
    let rounds = staging.runs.len().div_ceil(RUNS_MAX);
    for (round, runs) in staging.runs.chunks(RUNS_MAX).enumerate() {
        let mut out = Out { path: &paths.new, buffer: String::new() };
        let mut sorted = Sorted::open(current, &staging.identifiers);
        let done = merge(&mut || sorted.next(), &paths.pending, runs, &staging.identifiers, misfits, &mut |_, text| out.line(&text));
        match done {
            Ok(()) => {}
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Unsorted) => {
                // A user edited the file, so it is small enough to be sorted in memory. From now on it is in order.
                log::debug(&format!("{} is not sorted by key: sorting it", current.unwrap_or_default()));
                files::remove(&paths.new)?;
                *misfits = Misfits::default();
                out = Out { path: &paths.new, buffer: String::new() };
                let objects = in_order(all_lines(current)?, &staging.identifiers, current.unwrap_or_default())?;
                let mut objects = objects.into_iter();
                let mut sink = |_, text: String| out.line(&text);
                merge(&mut || Ok(objects.next()), &paths.pending, runs, &staging.identifiers, misfits, &mut sink).map_err(failure)?;
            }
        }
        out.flush()?;
        if round + 1 < rounds {
            files::replace(&paths.new, &paths.base)?;
            current = Some(&paths.base);
        }
    }
    Ok(())
}

/// Merges into a document, which is in memory as a whole.
fn whole(format: Format, paths: &Paths, current: Option<&str>, staging: &Staging, misfits: &mut Misfits) -> Result<()> {
    let texts = match current {
        None => Vec::new(),
        Some(file) => {
            let bytes = files::read(file)?.body();
            match format {
                Format::Json => read::json_objects(&bytes, file)?,
                Format::Csv => read::csv_objects(&bytes, file)?,
                _ => read::yaml_records(&bytes, file, "")?.into_iter().map(|record| record.json).collect(),
            }
        }
    };
    let mut objects = in_order(texts, &staging.identifiers, current.unwrap_or_default())?;
    for runs in staging.runs.chunks(RUNS_MAX) {
        let (mut before, mut after) = (objects.into_iter(), Vec::new());
        let mut sink = |key, text| {
            after.push((key, text));
            Ok(())
        };
        merge(&mut || Ok(before.next()), &paths.pending, runs, &staging.identifiers, misfits, &mut sink).map_err(failure)?;
        objects = after;
    }
    let texts: Vec<String> = objects.into_iter().map(|(_, text)| text).collect();
    let bytes = format::render(format, &texts, &staging.identifiers)?;
    if bytes.is_empty() {
        return files::append(&paths.new, &bytes);
    }
    bytes.chunks(APPEND_BYTES).try_for_each(|part| files::append(&paths.new, part))
}

fn failure(stop: Stop) -> Error {
    match stop {
        Stop::Failed(error) => error,
        Stop::Unsorted => Error::internal("a sorted list is not in order"),
    }
}

/// A file that is written piece by piece.
struct Out<'p> {
    path: &'p str,
    buffer: String,
}

impl Out<'_> {
    fn line(&mut self, text: &str) -> Result<()> {
        self.buffer.push_str(text);
        self.buffer.push('\n');
        if self.buffer.len() >= APPEND_BYTES { self.flush() } else { Ok(()) }
    }

    /// Appends the buffer, also an empty one: an empty kind has an empty file.
    fn flush(&mut self) -> Result<()> {
        files::append(self.path, std::mem::take(&mut self.buffer).as_bytes())
    }
}

/// The objects of a file of JSON lines, as long as they are in the order of their keys.
struct Sorted<'f> {
    file: &'f str,
    lines: Option<Lines>,
    identifiers: &'f [String],
    last: Option<Key>,
}

impl<'f> Sorted<'f> {
    fn open(file: Option<&'f str>, identifiers: &'f [String]) -> Sorted<'f> {
        let lines = file.map(|file| Lines::new(file, 0, u64::MAX, CURRENT_PIECE_BYTES));
        Sorted { file: file.unwrap_or_default(), lines, identifiers, last: None }
    }

    fn next(&mut self) -> Result<Option<(Key, String)>, Stop> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        let (key, text) = match lines.next_line()? {
            None => return Ok(None),
            Some((_, line)) => (key_of(line, self.identifiers), line_text(line)),
        };
        let unreadable = |error: String| Error::config(format!("`{}`, line {}: {error}", self.file, lines.number()));
        let (key, text) = (key.map_err(unreadable)?, text.map_err(unreadable)?);
        if self.last.as_ref().is_some_and(|last| key <= *last) {
            return Err(Stop::Unsorted);
        }
        self.last = Some(key.clone());
        Ok(Some((key, text)))
    }
}

fn key_of(object: &[u8], identifiers: &[String]) -> Result<Key, String> {
    Members::parse(object).and_then(|members| members.key(identifiers)).map_err(|error| format!("not a JSON object: {error}"))
}

fn line_text(line: &[u8]) -> Result<String, String> {
    String::from_utf8(line.trim_ascii().to_vec()).map_err(|_| "not UTF-8".to_owned())
}

/// Returns all lines of a file.
fn all_lines(file: Option<&str>) -> Result<Vec<String>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let (mut lines, mut texts) = (Lines::new(file, 0, u64::MAX, CURRENT_PIECE_BYTES), Vec::new());
    while let Some((_, line)) = lines.next_line()? {
        texts.push(line_text(line).map_err(|error| Error::config(format!("`{file}`: {error}")))?);
    }
    Ok(texts)
}

/// Sorts objects by their keys. Of two with one key, it is unknown which one a row means.
fn in_order(texts: Vec<String>, identifiers: &[String], file: &str) -> Result<Vec<(Key, String)>> {
    let keyed = texts.into_iter().map(|text| match key_of(text.as_bytes(), identifiers) {
        Ok(key) => Ok((key, text)),
        Err(error) => Err(Error::config(format!("`{file}`: {error}"))),
    });
    let mut objects = keyed.collect::<Result<Vec<_>>>()?;
    objects.sort_by(|one, other| one.0.cmp(&other.0));
    match objects.windows(2).find(|pair| matches!(pair, [one, other] if one.0 == other.0)) {
        Some([_, (_, text)]) => Err(Error::config(format!("`{file}` has two objects with the same key: remove one of them ({text})"))),
        _ => Ok(objects),
    }
}
