//! Checksums of a run's large files: they reveal a file that a person or a disk changed later.
//!
//! They are collected while the files are written, and the next version of `run.json` contains them. A file that was finished after the
//! last version, as after a kill, has none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{CacheError, IoContext};
use crate::format::FileSum;

impl FileSum {
    fn new(bytes: u64, crc32: u32) -> FileSum {
        FileSum { bytes, crc32: format!("{crc32:08x}") }
    }

    /// Reads a file to its end, and returns its sum.
    pub(crate) fn of(path: &Path) -> Result<FileSum, CacheError> {
        let mut sum = Summing::new(io::sink());
        File::open(path).and_then(|mut file| io::copy(&mut file, &mut sum)).at("read", path)?;
        Ok(sum.finish().1)
    }

    /// Describes the difference to the sum of the file now, if there is one.
    pub(crate) fn contradicted_by(&self, found: &FileSum) -> Option<String> {
        (self != found).then(|| {
            format!(
                "it was changed after it was written: it has {} bytes with CRC-32 {}, and run.json says {} bytes with {}",
                found.bytes, found.crc32, self.bytes, self.crc32
            )
        })
    }
}

/// Computes the checksum of the bytes on their way to a writer.
#[derive(Debug)]
pub(crate) struct Summing<W> {
    inner: W,
    bytes: u64,
    crc: crc32fast::Hasher,
}

impl<W> Summing<W> {
    pub(crate) fn new(inner: W) -> Summing<W> {
        Summing { inner, bytes: 0, crc: crc32fast::Hasher::new() }
    }

    /// Returns the writer and the sum of its bytes.
    pub(crate) fn finish(self) -> (W, FileSum) {
        (self.inner, FileSum::new(self.bytes, self.crc.finalize()))
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The sums of a run, shared by all its writers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums(Arc<Mutex<BTreeMap<String, FileSum>>>);

impl Sums {
    /// Returns a place for the sum of a file, which has none until it is finished.
    pub(crate) fn place(&self, name: String) -> Sum {
        self.with(|sums| sums.remove(&name));
        Sum { sums: self.clone(), name }
    }

    /// Keeps the sum of a file that an earlier run wrote.
    pub(crate) fn keep(&self, name: String, sum: FileSum) {
        self.with(|sums| sums.insert(name, sum));
    }

    /// Adds all sums to a list.
    pub(crate) fn merge_into(&self, list: &mut BTreeMap<String, FileSum>) {
        self.with(|sums| list.extend(sums.iter().map(|(name, sum)| (name.clone(), sum.clone()))));
    }

    fn with<T>(&self, action: impl FnOnce(&mut BTreeMap<String, FileSum>) -> T) -> T {
        // A panic of another writer leaves a valid map.
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The place for the sum of one file.
#[derive(Debug)]
pub(crate) struct Sum {
    sums: Sums,
    name: String,
}

impl Sum {
    /// Records the sum of the finished file.
    pub(crate) fn record(self, sum: FileSum) {
        self.sums.with(|sums| sums.insert(self.name, sum));
    }
}
