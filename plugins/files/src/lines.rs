//! Reads a file line by line, in pieces, so its size does not matter.

use infrahub_sync_adapter::{Result, files};

/// Reads lines of a file, from an offset to another.
pub(crate) struct Lines {
    path: String,
    /// The beginning of the next piece; none at the end of the file.
    next: Option<u64>,
    /// Lines that begin here or later are not read.
    end: u64,
    piece_bytes: u32,
    piece: Vec<u8>,
    piece_offset: u64,
    /// The beginning of the next line in the piece.
    at: usize,
    /// The number of the last returned line, from 1.
    number: u64,
}

impl Lines {
    pub(crate) fn new(path: &str, start: u64, end: u64, piece_bytes: u32) -> Lines {
        let path = path.to_owned();
        Lines { path, next: Some(start), end, piece_bytes, piece: Vec::new(), piece_offset: start, at: 0, number: 0 }
    }

    /// Returns the next line that is not empty, and its offset.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, &[u8])>> {
        let (start, end) = loop {
            if self.at >= self.piece.len() {
                let Some(offset) = self.next.filter(|offset| *offset < self.end) else { return Ok(None) };
                let (response, next) = files::read_lines(&self.path, offset, self.piece_bytes)?;
                (self.piece, self.piece_offset, self.at, self.next) = (response.body(), offset, 0, next);
                if self.piece.is_empty() {
                    self.next = None;
                    return Ok(None);
                }
            }
            let rest = self.piece.get(self.at..).unwrap_or_default();
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let start = self.at;
            self.at = start + length + 1;
            self.number += 1;
            if !rest.get(..length).unwrap_or_default().trim_ascii().is_empty() {
                break (start, start + length);
            }
        };
        let offset = self.piece_offset + start as u64;
        if offset >= self.end {
            return Ok(None);
        }
        Ok(self.piece.get(start..end).map(|line| (offset, line)))
    }

    /// Returns the number of the last returned line, counted from where reading began.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}
