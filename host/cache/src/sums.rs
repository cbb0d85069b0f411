//! Check sums of a run's large files, as they were written: a file that was changed later, by a hand or by a disk, can be told.
//!
//! They are collected while the files are written, and stand in `run.json` from the next time that is written on. A file that was finished
//! after it has none, as after a kill.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::atomic::Committed;

/// What a file held when it was written.
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
}

/// The sums of a run that is being written, shared by all its writers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums(Arc<Mutex<BTreeMap<String, FileSum>>>);

impl Sums {
    /// A place for the sum of a file, which has none until it is finished.
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
