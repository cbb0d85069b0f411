//! `journal.bin`: the state of each row of a plan, as far as it is certain.
//!
//! # Format
//!
//! A header and then frames; numbers are little-endian, `varint` is LEB128.
//!
//! ```text
//! header  magic (8 bytes), version (u32), rows of the plan (u64), SHA-256 of plan.parquet (32 bytes), CRC-32 of all that (u32)
//! frame   length of the payload (u32), CRC-32 of the frame's offset in the file (u64), the length and the payload (u32), payload
//! payload 1: an attempt begins
//!         2, then runs: some rows have a new state
//!         3: the attempt is finished
//! run     state + 8 × form of the ids (u8), distance from the end of the last run (zigzag varint), rows (varint), their ids
//! id      form 0: none; 1: a UUID (16 bytes); 2: text (length as varint, bytes)
//! ```
//!
//! Each frame is on the disk before the next one is written. So only the last frame can be torn, and it is removed: its writer took no
//! further step. A broken frame before a whole one is damage, and an error, because sent rows would be forgotten. The offset is part of
//! the checksum, so bytes inside an id never look like a frame.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use infrahub_sync_durable::AppendFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{CacheError, IoContext, Remedy};
use crate::lock::Guard;
use crate::small_files;

const MAGIC: [u8; 8] = *b"\x89ISJRNL\n";

/// The format that this version writes, and the newest that it reads.
const VERSION: u32 = 1;

const HEADER_BYTES: usize = 56;

/// The length and the checksum.
const FRAME_HEADER_BYTES: usize = 8;

/// The payload after which a new frame begins. It is small, so that the search for a whole frame after a broken one is fast.
const PAYLOAD_BYTES: usize = 32 * 1024;

/// The longest text of an id: enough for a URL with a query, too little for a document.
const ID_BYTES_MAX: usize = 64 * 1024;

/// More than any frame contains: a run ends once it exceeds [`PAYLOAD_BYTES`].
const PAYLOAD_BYTES_MAX: usize = PAYLOAD_BYTES + 2 * ID_BYTES_MAX;

const BEGIN: u8 = 1;
const ROWS: u8 = 2;
const FINISHED: u8 = 3;

const NO_ID: u8 = 0;
const UUID: u8 = 1;
const TEXT: u8 = 2;

/// The state of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum RowState {
    /// Nothing was sent.
    #[default]
    Planned = 0,
    /// It was sent, or was about to be, and the response is unknown.
    Sent = 1,
    /// The destination accepted it.
    Done = 2,
    /// The destination already had it.
    Unchanged = 3,
    /// The destination rejected it.
    Failed = 4,
    /// It was not tried, because a row that it needs failed.
    Skipped = 5,
}

impl RowState {
    /// All states.
    pub const ALL: [RowState; 6] =
        [RowState::Planned, RowState::Sent, RowState::Done, RowState::Unchanged, RowState::Failed, RowState::Skipped];

    /// Returns the word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RowState::Planned => "planned",
            RowState::Sent => "sent",
            RowState::Done => "done",
            RowState::Unchanged => "unchanged",
            RowState::Failed => "failed",
            RowState::Skipped => "skipped",
        }
    }

    /// Returns whether the destination has the row's values.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, RowState::Done | RowState::Unchanged)
    }
}

/// The number of rows in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows that were not sent.
    pub planned: u64,
    /// Rows whose response is unknown.
    pub sent: u64,
    /// Rows that the destination accepted.
    pub done: u64,
    /// Rows that the destination already had.
    pub unchanged: u64,
    /// Rows that the destination rejected.
    pub failed: u64,
    /// Rows that were not tried.
    pub skipped: u64,
}

/// The destination's id of a row's object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    Uuid([u8; 16]),
    Text(Box<str>),
}

impl Id {
    fn text(&self) -> String {
        match self {
            Id::Uuid(bytes) => format_uuid(bytes),
            Id::Text(text) => text.to_string(),
        }
    }
}

/// The states of a plan's rows, which are numbered from 0 in the order of `plan.parquet`.
#[derive(Clone, PartialEq, Eq)]
pub struct Journal {
    states: Vec<RowState>,
    /// The number of each row's id in `ids`, counted from 1, or 0 for none. Empty until a row has an id.
    slots: Vec<u32>,
    ids: Vec<Id>,
    /// The rows that an earlier, finished attempt wrote, with their ids: a later one finds them unchanged.
    earlier: BTreeMap<u64, Option<Id>>,
    attempts: u32,
    is_finished: bool,
}

impl Journal {
    fn new(rows: usize) -> Journal {
        Journal {
            states: vec![RowState::Planned; rows],
            slots: Vec::new(),
            ids: Vec::new(),
            earlier: BTreeMap::new(),
            attempts: 0,
            is_finished: false,
        }
    }

    /// Returns the number of rows of the plan.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.states.len() as u64
    }

    /// Returns the state of a row, which is `Planned` for a row that the plan does not have.
    #[must_use]
    pub fn state(&self, row: u64) -> RowState {
        usize::try_from(row).ok().and_then(|row| self.states.get(row)).copied().unwrap_or_default()
    }

    /// Returns the destination's id of a row that is done or unchanged.
    #[must_use]
    pub fn id(&self, row: u64) -> Option<String> {
        self.stored_id(row).map(Id::text)
    }

    fn stored_id(&self, row: u64) -> Option<&Id> {
        let slot = *self.slots.get(usize::try_from(row).ok()?)?;
        self.ids.get(slot.checked_sub(1)? as usize)
    }

    /// Returns whether any attempt has written the row: the destination accepted it then.
    #[must_use]
    pub fn was_written(&self, row: u64) -> bool {
        self.state(row) == RowState::Done || self.earlier.contains_key(&row)
    }

    /// Returns the id that the destination gave when the row was written.
    #[must_use]
    pub fn written_id(&self, row: u64) -> Option<String> {
        let now = self.stored_id(row).filter(|_| self.state(row) == RowState::Done);
        now.or_else(|| self.earlier.get(&row)?.as_ref()).map(Id::text)
    }

    /// Keeps what a finished attempt wrote, before the next one begins.
    fn retire(&mut self) {
        let done = (0..self.rows()).filter(|row| self.state(*row) == RowState::Done);
        let written: Vec<(u64, Option<Id>)> = done.map(|row| (row, self.stored_id(row).cloned())).collect();
        self.earlier.extend(written);
    }

    /// Returns whether the last attempt ended, successfully or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Returns the number of attempts to apply the plan.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Counts the rows in each state.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        let mut by_state = [0; RowState::ALL.len()];
        for state in &self.states {
            by_state[*state as usize] += 1;
        }
        let [planned, sent, done, unchanged, failed, skipped] = by_state;
        RowCounts { planned, sent, done, unchanged, failed, skipped }
    }

    /// Applies a frame.
    fn take(&mut self, payload: &[u8]) -> Result<(), Nonsense> {
        match payload.split_first().ok_or(Nonsense)? {
            (&BEGIN, []) => {
                if std::mem::take(&mut self.is_finished) {
                    self.retire();
                    self.states.fill(RowState::Planned);
                    self.slots = Vec::new();
                    self.ids = Vec::new();
                } else {
                    for state in self.states.iter_mut().filter(|state| matches!(state, RowState::Failed | RowState::Skipped)) {
                        *state = RowState::Planned;
                    }
                }
                self.attempts = self.attempts.saturating_add(1);
                Ok(())
            }
            (&FINISHED, []) => {
                self.is_finished = true;
                Ok(())
            }
            (&ROWS, mut runs) => {
                let mut end = 0_u64;
                while !runs.is_empty() {
                    end = self.take_run(&mut runs, end)?;
                }
                Ok(())
            }
            _ => Err(Nonsense),
        }
    }

    /// Applies a run at its distance from `end`, and returns its own end.
    fn take_run(&mut self, bytes: &mut &[u8], end: u64) -> Result<u64, Nonsense> {
        let tag = take_byte(bytes)?;
        let (state, form) = (*RowState::ALL.get(usize::from(tag & 7)).ok_or(Nonsense)?, tag >> 3);
        let start = end.checked_add_signed(unzigzag(take_varint(bytes)?)).ok_or(Nonsense)?;
        let end = start.checked_add(take_varint(bytes)?).ok_or(Nonsense)?;
        let index = |row: u64| usize::try_from(row).map_err(|_| Nonsense);
        let rows = index(start)?..index(end)?;
        self.states.get_mut(rows.clone()).ok_or(Nonsense)?.fill(state);
        if form == NO_ID {
            if let Some(slots) = self.slots.get_mut(rows) {
                slots.fill(0);
            }
            return Ok(end);
        }
        self.slots.resize(self.states.len(), 0);
        for row in rows {
            let id = match form {
                UUID => Id::Uuid(*take_bytes(bytes, 16)?.first_chunk().ok_or(Nonsense)?),
                TEXT => {
                    let length = usize::try_from(take_varint(bytes)?).map_err(|_| Nonsense)?;
                    Id::Text(std::str::from_utf8(take_bytes(bytes, length)?).map_err(|_| Nonsense)?.into())
                }
                _ => return Err(Nonsense),
            };
            let slot = self.slots.get_mut(row).ok_or(Nonsense)?;
            self.ids.push(id);
            *slot = u32::try_from(self.ids.len()).map_err(|_| Nonsense)?;
        }
        Ok(end)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the rows: there may be millions.
        let mut debug = f.debug_struct("Journal");
        debug.field("attempts", &self.attempts).field("is_finished", &self.is_finished).field("counts", &self.counts()).finish()
    }
}

/// An invalid frame with a valid checksum: a defect of its writer.
#[derive(Debug)]
struct Nonsense;

/// Records the states of a plan's rows. A state is on the disk once its call returns. After an error, nothing can be recorded.
#[derive(Debug)]
pub struct JournalWriter {
    journal: Journal,
    file: AppendFile,
    path: std::path::PathBuf,
    /// A writer holds the lock.
    _guard: Guard,
}

impl JournalWriter {
    pub(crate) fn open(guard: &Guard, path: &Path, plan: &PlanIdentity) -> Result<JournalWriter, CacheError> {
        let (journal, bytes) = match read_file(path, plan)? {
            Some(read) => read,
            None => {
                infrahub_sync_durable::write_file(path, &plan.header())?;
                (Journal::new(plan.rows()?), HEADER_BYTES as u64)
            }
        };
        Ok(JournalWriter { journal, file: AppendFile::open(path, bytes)?, path: path.to_owned(), _guard: guard.clone() })
    }

    /// Returns the states recorded so far.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns the length of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Begins an attempt to apply the plan.
    ///
    /// After a finished attempt, all rows are planned again. Otherwise the attempt resumes: rows keep their states, and failed or skipped
    /// rows are planned again.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn begin(&mut self) -> Result<(), CacheError> {
        self.write(&[BEGIN])
    }

    /// Records that rows are about to be sent.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the plan has no such row.
    pub fn sent(&mut self, rows: impl IntoIterator<Item = u64>) -> Result<(), CacheError> {
        self.answered::<&str>(rows.into_iter().map(|row| (row, RowState::Sent, None)))
    }

    /// Records the states of rows, with their ids in the destination if it returned them. A row that certainly did not reach the
    /// destination can be `Planned` again.
    ///
    /// # Errors
    ///
    /// When the system refuses, the plan has no such row, or an id is longer than 64 KiB.
    pub fn answered<S: AsRef<str>>(&mut self, rows: impl IntoIterator<Item = (u64, RowState, Option<S>)>) -> Result<(), CacheError> {
        let mut runs = Runs::default();
        for (row, state, id) in rows {
            let unwritable = |problem: String| CacheError::Unwritable { path: self.path.clone(), problem };
            if row >= self.journal.rows() {
                return Err(unwritable(format!("the plan has no row {row}, it has {} rows", self.journal.rows())));
            }
            // A row that the destination does not have has no id.
            let id = id.as_ref().map(AsRef::as_ref).filter(|_| state.is_settled());
            if let Some(length) = id.map(str::len).filter(|&length| length > ID_BYTES_MAX) {
                return Err(unwritable(format!("the id of row {row} is {length} bytes long")));
            }
            runs.push(row, state, id);
            if runs.bytes() >= PAYLOAD_BYTES {
                self.write(&std::mem::take(&mut runs).finish())?;
            }
        }
        if runs.is_empty() { Ok(()) } else { self.write(&runs.finish()) }
    }

    /// Records the end of the attempt: every row has a response, or was given up.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn finished(&mut self) -> Result<(), CacheError> {
        self.write(&[FINISHED])
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), CacheError> {
        self.file.append(&frame(self.file.bytes(), payload))?;
        // Applied as the next process will apply it: a frame has one meaning.
        self.journal
            .take(payload)
            .map_err(|Nonsense| CacheError::Unwritable { path: self.path.clone(), problem: "the frame is invalid".to_owned() })
    }
}

/// The plan that a journal belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanIdentity {
    path: std::path::PathBuf,
    rows: u64,
    digest: [u8; 32],
}

impl PlanIdentity {
    /// Computes the identity from the plan's file.
    pub(crate) fn of(path: &Path, rows: u64) -> Result<PlanIdentity, CacheError> {
        let mut hasher = Sha256::new();
        File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher)).at("read", path)?;
        Ok(PlanIdentity { path: path.to_owned(), rows, digest: hasher.finalize().into() })
    }

    /// Returns the SHA-256 of the plan's file, as `sha256:` and 64 hexadecimal digits.
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", self.digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn header(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend(self.rows.to_le_bytes());
        header.extend(self.digest);
        header.extend(crc32fast::hash(&header).to_le_bytes());
        header
    }

    fn rows(&self) -> Result<usize, CacheError> {
        let problem = format!("{} rows are more than a journal holds", self.rows);
        let rows = u32::try_from(self.rows).ok().and_then(|rows| usize::try_from(rows).ok());
        rows.ok_or(CacheError::Unwritable { path: self.path.clone(), problem })
    }
}

/// Reads a journal, or returns `None` if it is missing. A torn end remains: it may be a frame that is being written.
pub(crate) fn read(path: &Path, plan: &PlanIdentity) -> Result<Option<Journal>, CacheError> {
    Ok(read_file(path, plan)?.map(|(journal, _)| journal))
}

/// Reads a journal, whatever its plan.
pub(crate) fn read_any(path: &Path) -> Result<Option<Journal>, CacheError> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let opened = File::open(path).and_then(|file| io::Read::read_to_end(&mut io::Read::take(file, HEADER_BYTES as u64), &mut header));
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at("read", path),
        Ok(_) => {}
    }
    // An incomplete header differs from the header made of its parts, and is refused below.
    let rows = header.get(12..20).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let digest = header.get(20..52).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
    read(path, &PlanIdentity { path: path.to_owned(), rows, digest })
}

/// Reads a journal, and returns the end of its last whole frame.
fn read_file(path: &Path, plan: &PlanIdentity) -> Result<Option<(Journal, u64)>, CacheError> {
    let Some(bytes) = small_files::read(path)? else {
        return Ok(None);
    };
    let damaged = |problem: String| CacheError::Damaged { path: path.to_owned(), remedy: Remedy::ReplaceJournal, source: problem.into() };
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>().filter(|(header, _)| header.starts_with(&MAGIC)) else {
        return Err(damaged("it does not begin like a journal".to_owned()));
    };
    let version = u32_at(header, MAGIC.len()).unwrap_or_default();
    if version > VERSION {
        return Err(CacheError::NewerFormat { path: path.to_owned(), found: version, supported: VERSION });
    }
    if header.as_slice() != plan.header() {
        let (said, checked) = header.split_last_chunk::<4>().map_or((0, &[][..]), |(head, crc)| (u32::from_le_bytes(*crc), head));
        let is_whole = said == crc32fast::hash(checked);
        return Err(damaged(match is_whole {
            true => format!("it belongs to another plan than {}", plan.path.display()),
            false => "its header is broken".to_owned(),
        }));
    }
    let mut journal = Journal::new(plan.rows()?);
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let Some(payload) = frame_at(&bytes, at) else {
            return match (at + 1..bytes.len()).find(|&later| frame_at(&bytes, later).is_some()) {
                None => Ok(Some((journal, at as u64))),
                Some(later) => Err(damaged(format!("the frame at byte {at} is broken, and the frame at byte {later} is whole"))),
            };
        };
        journal.take(payload).map_err(|Nonsense| damaged(format!("the frame at byte {at} is invalid")))?;
        at += FRAME_HEADER_BYTES + payload.len();
    }
    Ok(Some((journal, at as u64)))
}

/// Returns a frame for that offset of the file.
fn frame(at: u64, payload: &[u8]) -> Vec<u8> {
    // A payload has a limit far below this.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + payload.len());
    frame.extend(length.to_le_bytes());
    frame.extend(check_sum(at, length, payload).to_le_bytes());
    frame.extend(payload);
    frame
}

/// Returns the payload of the frame at that offset, if there is a whole one.
fn frame_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = u32_at(bytes, at)?;
    let start = at + FRAME_HEADER_BYTES;
    let end = usize::try_from(length).ok().filter(|length| (1..=PAYLOAD_BYTES_MAX).contains(length))?.checked_add(start)?;
    let payload = bytes.get(start..end)?;
    (u32_at(bytes, at + 4)? == check_sum(at as u64, length, payload)).then_some(payload)
}

fn check_sum(at: u64, length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The payload of a frame of rows under construction. Adjacent rows with the same state share a run.
#[derive(Debug, Default)]
struct Runs {
    payload: Vec<u8>,
    /// The end of the last run in the payload.
    written_end: u64,
    tag: u8,
    start: u64,
    rows: u64,
    ids: Vec<u8>,
}

impl Runs {
    fn push(&mut self, row: u64, state: RowState, id: Option<&str>) {
        let uuid = id.and_then(parse_uuid);
        let form = match (id, uuid) {
            (None, _) => NO_ID,
            (_, Some(_)) => UUID,
            (Some(_), None) => TEXT,
        };
        let tag = state as u8 | form << 3;
        if self.rows == 0 || tag != self.tag || row != self.start + self.rows {
            self.close();
            (self.tag, self.start) = (tag, row);
        }
        self.rows += 1;
        match (id, uuid) {
            (_, Some(uuid)) => self.ids.extend(uuid),
            (Some(text), None) => {
                put_varint(&mut self.ids, text.len() as u64);
                self.ids.extend(text.as_bytes());
            }
            (None, _) => {}
        }
    }

    /// Moves the current run to the payload.
    fn close(&mut self) {
        if self.rows == 0 {
            return;
        }
        self.payload.push(self.tag);
        put_varint(&mut self.payload, zigzag(self.start.wrapping_sub(self.written_end) as i64));
        put_varint(&mut self.payload, self.rows);
        self.payload.append(&mut self.ids);
        self.written_end = self.start + self.rows;
        self.rows = 0;
    }

    fn bytes(&self) -> usize {
        self.payload.len() + self.ids.len()
    }

    fn is_empty(&self) -> bool {
        self.rows == 0 && self.payload.is_empty()
    }

    fn finish(mut self) -> Vec<u8> {
        self.close();
        self.payload.insert(0, ROWS);
        self.payload
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, Nonsense> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(bytes)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Nonsense)
}

fn take_byte(bytes: &mut &[u8]) -> Result<u8, Nonsense> {
    let (first, rest) = bytes.split_first().ok_or(Nonsense)?;
    *bytes = rest;
    Ok(*first)
}

fn take_bytes<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Nonsense> {
    let (first, rest) = bytes.split_at_checked(length).ok_or(Nonsense)?;
    *bytes = rest;
    Ok(first)
}

/// The positions of the hyphens in a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Parses a UUID in lower case and with hyphens, the form in which it is returned. Anything else is text.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut uuid = [0; 16];
    let mut digits = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if HYPHENS.contains(&at) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        let place = uuid.get_mut(digits / 2)?;
        *place = *place << 4 | value;
        digits += 1;
    }
    Some(uuid)
}

fn format_uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for byte in bytes {
        if HYPHENS.contains(&text.len()) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use infrahub_sync_durable::failpoint;
    use proptest::prelude::*;

    use super::*;
    use crate::{Cache, Holder, SyncName};

    const UUID_TEXT: &str = "0189c4ab-1234-7000-8000-00000000beef";

    /// A folder with a journal of a plan of so many rows, which need not be there.
    struct Place {
        root: tempfile::TempDir,
        guard: Guard,
        plan: PlanIdentity,
    }

    impl Place {
        fn new(rows: u64) -> Place {
            let root = tempfile::tempdir().expect("a folder");
            let cache = Cache::open(root.path(), SyncName::parse("s").expect("a name")).expect("opened");
            let lock = cache.lock(&Holder::default(), Duration::ZERO, &mut |_| {}).expect("free");
            Place { plan: PlanIdentity { path: root.path().join("plan.parquet"), rows, digest: [7; 32] }, root, guard: lock.guard }
        }

        fn path(&self) -> std::path::PathBuf {
            self.root.path().join("journal.bin")
        }

        fn open(&self) -> Result<JournalWriter, CacheError> {
            JournalWriter::open(&self.guard, &self.path(), &self.plan)
        }

        fn read(&self) -> Result<Option<Journal>, CacheError> {
            read(&self.path(), &self.plan)
        }
    }

    /// What a caller does.
    #[derive(Debug, Clone)]
    enum Step {
        Begin,
        Sent(Vec<u64>),
        Answered(Vec<(u64, RowState, Option<String>)>),
        Finished,
        Reopen,
    }

    const ROWS_OF_PLAN: u64 = 12;

    fn id() -> impl Strategy<Value = Option<String>> {
        prop_oneof![
            2 => Just(None),
            3 => any::<u128>().prop_map(|bits| Some(format_uuid(&bits.to_be_bytes()))),
            2 => proptest::string::string_regex("[a-zé/0-9-]{0,40}").expect("a pattern").prop_map(Some),
            1 => any::<u128>().prop_map(|bits| Some(format_uuid(&bits.to_be_bytes()).to_uppercase())),
        ]
    }

    /// Runs of neighbours, as an apply makes them, in any order.
    fn rows() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((0..ROWS_OF_PLAN, 1..6_u64), 0..4)
            .prop_map(|runs| runs.into_iter().flat_map(|(start, rows)| start..(start + rows).min(ROWS_OF_PLAN)).collect())
    }

    fn step() -> impl Strategy<Value = Step> {
        let state = prop::sample::select(RowState::ALL.to_vec());
        prop_oneof![
            1 => Just(Step::Begin),
            3 => rows().prop_map(Step::Sent),
            4 => rows().prop_flat_map(move |rows| {
                let answers = rows.into_iter().map(|row| (Just(row), state.clone(), id()));
                answers.collect::<Vec<_>>().prop_map(Step::Answered)
            }),
            1 => Just(Step::Finished),
            1 => Just(Step::Reopen),
        ]
    }

    /// What a journal must say, kept in the simplest way.
    #[derive(Debug, Clone, PartialEq)]
    struct Expected {
        rows: Vec<(RowState, Option<String>)>,
        attempts: u32,
        is_finished: bool,
    }

    impl Expected {
        fn new() -> Expected {
            Expected { rows: vec![(RowState::Planned, None); ROWS_OF_PLAN as usize], attempts: 0, is_finished: false }
        }

        fn step(&mut self, step: &Step) {
            match step {
                Step::Begin => {
                    for (state, id) in &mut self.rows {
                        if self.is_finished || matches!(state, RowState::Failed | RowState::Skipped) {
                            (*state, *id) = (RowState::Planned, None);
                        }
                    }
                    self.attempts += 1;
                    self.is_finished = false;
                }
                Step::Sent(rows) => rows.iter().for_each(|&row| self.rows[row as usize] = (RowState::Sent, None)),
                Step::Answered(rows) => {
                    for (row, state, id) in rows {
                        self.rows[*row as usize] = (*state, id.clone().filter(|_| state.is_settled()));
                    }
                }
                Step::Finished => self.is_finished = true,
                Step::Reopen => {}
            }
        }

        fn of(journal: &Journal) -> Expected {
            let rows = (0..journal.rows()).map(|row| (journal.state(row), journal.id(row))).collect();
            Expected { rows, attempts: journal.attempts(), is_finished: journal.is_finished() }
        }
    }

    fn perform(place: &Place, writer: &mut JournalWriter, step: &Step) -> Result<(), CacheError> {
        match step {
            Step::Begin => writer.begin(),
            Step::Sent(rows) => writer.sent(rows.iter().copied()),
            Step::Answered(rows) => writer.answered(rows.iter().map(|(row, state, id)| (*row, *state, id.as_deref()))),
            Step::Finished => writer.finished(),
            Step::Reopen => {
                *writer = place.open()?;
                Ok(())
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]

        /// A journal says what it was told, to whoever wrote it and to whoever reads it later; cut at any byte it says what it was told up
        /// to a step, and goes on from there.
        #[test]
        fn a_journal_says_what_it_was_told_wherever_it_is_cut(steps in prop::collection::vec(step(), 1..12)) {
            let place = Place::new(ROWS_OF_PLAN);
            let mut writer = place.open().expect("created");
            let mut expected = Expected::new();
            // What is true of each length of the file.
            let mut told = vec![(writer.bytes(), expected.clone())];
            for step in &steps {
                perform(&place, &mut writer, step).expect("noted");
                expected.step(step);
                prop_assert_eq!(&Expected::of(writer.journal()), &expected);
                told.push((writer.bytes(), expected.clone()));
            }
            prop_assert_eq!(&Expected::of(&place.read().expect("readable").expect("there")), &expected);

            let whole = fs::read(place.path()).expect("readable");
            prop_assert_eq!(whole.len() as u64, writer.bytes());
            for end in HEADER_BYTES..=whole.len() {
                fs::write(place.path(), &whole[..end]).expect("written");
                let (length, expected) = told.iter().rev().find(|(length, _)| *length <= end as u64).expect("the header");
                prop_assert_eq!(&Expected::of(&place.read().expect("readable").expect("there")), expected);
                let mut writer = place.open().expect("opened");
                prop_assert_eq!(writer.bytes(), *length);
                prop_assert_eq!(fs::metadata(place.path()).expect("there").len(), *length, "the torn end is gone");
                writer.begin().expect("noted");
                prop_assert_eq!(place.read().expect("readable").expect("there").attempts(), expected.attempts + 1);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

        /// Whatever a disk step refuses: what was noted before stays, what is under way may be there or not, and nothing is written
        /// behind what is unknown.
        #[test]
        fn a_journal_that_cannot_be_written_keeps_what_it_has(steps in prop::collection::vec(step(), 1..12), allowed in 0..30_usize) {
            let place = Place::new(ROWS_OF_PLAN);
            let mut expected = Expected::new();
            let mut under_way = None;
            failpoint::after(allowed, || {
                let Ok(mut writer) = place.open() else { return };
                for step in &steps {
                    if perform(&place, &mut writer, step).is_err() {
                        under_way = Some(step.clone());
                        assert!(writer.begin().is_err() && writer.finished().is_err());
                        return;
                    }
                    expected.step(step);
                }
            });
            let writer = place.open().expect("opened");
            let found = Expected::of(writer.journal());
            if found != expected {
                expected.step(&under_way.expect("the step that failed"));
                prop_assert_eq!(found, expected);
            }
        }

        /// A flipped bit is a torn end, or an error; it is never a row in another state.
        #[test]
        fn a_flipped_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let place = Place::new(3);
            let mut writer = place.open().expect("created");
            writer.begin().expect("noted");
            let before_last = { writer.sent([0, 1]).expect("noted"); writer.bytes() };
            writer.answered([(0, RowState::Done, Some(UUID_TEXT))]).expect("noted");
            let mut bytes = fs::read(place.path()).expect("readable");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs::write(place.path(), &bytes).expect("written");
            match place.open() {
                Ok(writer) => {
                    prop_assert!(at as u64 >= before_last, "byte {} is in the middle", at);
                    prop_assert_eq!(writer.bytes(), before_last);
                    prop_assert_eq!(writer.journal().state(0), RowState::Sent);
                }
                Err(CacheError::Damaged { path, .. } | CacheError::NewerFormat { path, .. }) => prop_assert_eq!(path, place.path()),
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }

        #[test]
        fn ids_come_back_as_they_were(text in "[0-9a-fA-F-]{36}", bits in any::<u128>()) {
            let uuid = format_uuid(&bits.to_be_bytes());
            prop_assert_eq!(parse_uuid(&uuid), Some(bits.to_be_bytes()));
            for text in [text, uuid.to_uppercase(), uuid.clone()] {
                prop_assert!(parse_uuid(&text).is_none_or(|bytes| format_uuid(&bytes) == text));
            }
        }

        #[test]
        fn numbers_come_back(number in any::<i64>(), shift in 0..64_u32) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, zigzag(number));
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take_varint(&mut rest).ok().map(unzigzag), Some(number));
            prop_assert!(rest.is_empty());
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_format() {
        let place = Place::new(300);
        let mut writer = place.open().expect("created");
        writer.begin().expect("noted");
        writer.sent(0..200).expect("noted");
        let answers = (0..2).map(|row| (row, RowState::Done, Some(UUID_TEXT))).chain([(2, RowState::Unchanged, Some("é/1"))]);
        writer.answered(answers.chain((3..200).map(|row| (row, RowState::Done, None)))).expect("noted");
        writer.answered([(250, RowState::Failed, None::<&str>), (299, RowState::Skipped, None)]).expect("noted");
        writer.finished().expect("noted");
        let bytes = fs::read(place.path()).expect("readable");
        let (header, mut frames) = bytes.split_at(HEADER_BYTES);
        let mut lines = vec![hex(header)];
        while let Some((length, rest)) = frames.split_first_chunk::<4>() {
            let (crc, rest) = rest.split_at(4);
            let (payload, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
            lines.push(format!("{} {} {}", hex(length), hex(crc), hex(payload)));
            frames = rest;
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        8949534a524e4c0a010000002c01000000000000070707070707070707070707070707070707070707070707070707070707070731eac028
        01000000 e6616918 01
        05000000 9043c0ef 020100c801
        30000000 b064854f 020a00020189c4ab12347000800000000000beef0189c4ab12347000800000000000beef13000104c3a92f310200c501
        08000000 84cc4f35 0204f40301056001
        01000000 9862951f 03
        ");
    }

    #[test]
    fn rows_are_cheap() {
        let rows = 100_000;
        let place = Place::new(rows);
        let mut writer = place.open().expect("created");
        writer.begin().expect("noted");
        let before = writer.bytes();
        for start in (0..rows / 2).step_by(100) {
            writer.sent(start..start + 100).expect("noted");
            writer.answered((start..start + 100).map(|row| (row, RowState::Done, Some(UUID_TEXT)))).expect("noted");
        }
        let with_ids = writer.bytes() - before;
        for start in (rows / 2..rows).step_by(100) {
            writer.sent(start..start + 100).expect("noted");
            writer.answered((start..start + 100).map(|row| (row, RowState::Done, None::<&str>))).expect("noted");
        }
        let without = writer.bytes() - before - with_ids;
        assert!(with_ids <= rows / 2 * 17, "{with_ids} bytes");
        assert!(without <= rows / 2, "{without} bytes");
        assert_eq!(writer.journal().counts(), RowCounts { done: rows, ..RowCounts::default() });
    }

    #[test]
    fn many_rows_at_once_are_several_frames() {
        let place = Place::new(10_000);
        let mut writer = place.open().expect("created");
        writer.answered((0..10_000).map(|row| (row, RowState::Done, Some(format!("id {row}"))))).expect("noted");
        let long = "x".repeat(ID_BYTES_MAX);
        writer
            .answered([(1, RowState::Done, Some(UUID_TEXT)), (2, RowState::Done, Some(&long)), (3, RowState::Done, Some(&long))])
            .expect("noted");
        let journal = place.read().expect("readable").expect("there");
        assert_eq!(journal, *writer.journal());
        assert_eq!([0, 1, 3].map(|row| journal.id(row)), [Some("id 0".to_owned()), Some(UUID_TEXT.to_owned()), Some(long.clone())]);

        let refused = writer.answered([(2, RowState::Done, Some(long + "x"))]).expect_err("too long");
        let refused = [refused, writer.sent([10_000]).expect_err("no such row")];
        let refused = refused.map(|error| error.to_string().replace(&place.path().display().to_string(), "<journal>"));
        insta::assert_snapshot!(refused.join("\n"), @r"
        cannot write <journal>: the id of row 2 is 65537 bytes long
        cannot write <journal>: the plan has no row 10000, it has 10000 rows
        ");
        writer.begin().expect("a refusal is no failure of the disk");
    }

    #[test]
    fn what_is_not_this_plans_journal_is_refused() {
        let place = Place::new(3);
        let mut writer = place.open().expect("created");
        writer.sent([0]).expect("noted");
        let after_first = writer.bytes() as usize;
        writer.sent([1]).expect("noted");
        let whole = fs::read(place.path()).expect("readable");
        let message = |bytes: &[u8], plan: &PlanIdentity| {
            fs::write(place.path(), bytes).expect("written");
            let error = JournalWriter::open(&place.guard, &place.path(), plan).expect_err("refused");
            assert_eq!(fs::read(place.path()).expect("readable"), bytes, "left as it is");
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!("{error}: {cause}").replace(&place.root.path().display().to_string(), "<run>")
        };
        let another = PlanIdentity { digest: [8; 32], ..place.plan.clone() };
        let mut newer = whole.clone();
        newer[8] = 2;
        let mut broken_header = whole.clone();
        broken_header[20] ^= 1;
        let mut broken_frame = whole.clone();
        broken_frame[after_first - 1] ^= 1;
        // A frame that is whole and comes from elsewhere.
        let mut moved = whole.clone();
        moved.extend(frame(0, &[BEGIN]));
        let messages = [
            message(&whole, &another),
            message(&newer, &place.plan),
            message(&broken_header, &place.plan),
            message(&whole[..40], &place.plan),
            message(b"PAR1", &place.plan),
            message(&broken_frame, &place.plan),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        <run>/journal.bin is damaged: it belongs to another plan than <run>/plan.parquet
        <run>/journal.bin has format 2; this version reads and writes up to format 1: 
        <run>/journal.bin is damaged: its header is broken
        <run>/journal.bin is damaged: it does not begin like a journal
        <run>/journal.bin is damaged: it does not begin like a journal
        <run>/journal.bin is damaged: the frame at byte 56 is broken, and the frame at byte 68 is whole
        ");
        fs::write(place.path(), &moved).expect("written");
        assert_eq!(place.open().expect("a torn end").bytes(), whole.len() as u64);

        let mut nonsense = whole.clone();
        nonsense.extend(frame(whole.len() as u64, &[ROWS, 0, 0, 200, 1]));
        assert!(message(&nonsense, &place.plan).ends_with("is invalid"));
    }
}
