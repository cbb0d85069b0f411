//! Check sums of a run's large files, as they were written. They reveal a file that was modified later, by a user or by the disk.
//!
//! They are collected while the files are written, and stand in `run.json` from the next time that is written on. A file that was finished
//! after it has none, as after a kill.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::atomic::Committed;
use crate::error::{CacheError, IoContext};

/// The contents of a file when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileSum {
    /// Its length.
    #[serde(default)]
    pub bytes: u64,
    /// The CRC-32 of its bytes, as eight hexadecimal digits.
    #[serde(default)]
    pub crc32: String,
}

impl FileSum {
    pub(crate) fn new(bytes: u64, crc32: u32) -> FileSum {
        FileSum { bytes, crc32: format!("{crc32:08x}") }
    }

    /// Reads a file to its end.
    pub(crate) fn of(path: &Path) -> Result<FileSum, CacheError> {
        let mut sum = Summing::default();
        let bytes = File::open(path).and_then(|mut file| io::copy(&mut file, &mut sum)).at("read", path)?;
        Ok(FileSum::new(bytes, sum.0.finalize()))
    }

    /// Says, in words, that a file is not what was written.
    pub(crate) fn contradicted_by(&self, found: &FileSum) -> Option<String> {
        (self != found).then(|| {
            format!(
                "it was changed after it was written: it has {} bytes with CRC-32 {}, and run.json notes {} bytes with {}",
                found.bytes, found.crc32, self.bytes, self.crc32
            )
        })
    }
}

/// Takes bytes and keeps their check sum.
#[derive(Default)]
struct Summing(crc32fast::Hasher);

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sums of a run that is being written, shared by all its writers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums(Arc<Mutex<BTreeMap<String, FileSum>>>);

impl Sums {
    /// Returns a place for the sum of a file. It stays empty until the file is complete.
    pub(crate) fn place(&self, name: String) -> Sum {
        self.with(|sums| sums.remove(&name));
        Sum { sums: self.clone(), name }
    }

    /// Keeps the sum of a file that was written by an earlier run.
    pub(crate) fn keep(&self, name: String, sum: FileSum) {
        self.with(|sums| sums.insert(name, sum));
    }

    /// Puts all of them into a list.
    pub(crate) fn merge_into(&self, list: &mut BTreeMap<String, FileSum>) {
        self.with(|sums| list.extend(sums.iter().map(|(name, sum)| (name.clone(), sum.clone()))));
    }

    fn with<T>(&self, action: impl FnOnce(&mut BTreeMap<String, FileSum>) -> T) -> T {
        // A map whose user panicked is still a map.
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where the sum of one file goes.
#[derive(Debug)]
pub(crate) struct Sum {
    sums: Sums,
    name: String,
}

impl Sum {
    pub(crate) fn note(self, committed: Committed) {
        let Sum { sums, name } = self;
        sums.with(|sums| sums.insert(name, FileSum::new(committed.bytes, committed.crc32)));
    }
}
