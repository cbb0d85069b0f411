//! Reads and writes the small files: JSON, and one text file.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{CacheError, IoContext, Remedy};
use crate::format::FORMAT;
use crate::run_record::RunRecord;

/// Reads a JSON file, or returns `None` if it is missing.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, remedy: &Remedy) -> Result<Option<T>, CacheError> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| CacheError::Damaged {
        path: path.to_owned(),
        remedy: remedy.clone(),
        source: source.into(),
    })
}

/// Writes a JSON file in the layout of 2.0.1, with an indent of two.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), CacheError> {
    let json =
        serde_json::to_vec_pretty(value).map_err(|error| CacheError::Unwritable { path: path.to_owned(), problem: error.to_string() })?;
    Ok(infrahub_sync_durable::write_file(path, &json)?)
}

/// Reads a file, or returns `None` if it is missing.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, CacheError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// Reads `run.json`, or returns `None` if it is missing.
pub(crate) fn read_run_file(path: &Path, remedy: &Remedy) -> Result<Option<RunRecord>, CacheError> {
    // The format first: the file of a newer version may have another shape.
    #[derive(Deserialize)]
    struct Format {
        #[serde(default)]
        format: u32,
    }
    match read_json::<Format>(path, remedy)? {
        Some(Format { format }) if format > FORMAT => {
            Err(CacheError::NewerFormat { path: path.to_owned(), found: format, supported: FORMAT })
        }
        Some(_) => read_json(path, remedy),
        None => Ok(None),
    }
}

/// Checks the cache's format, and records ours if it is missing.
pub(crate) fn claim_format(path: &Path) -> Result<(), CacheError> {
    match check_format(path)? {
        true => Ok(()),
        false => Ok(infrahub_sync_durable::write_file(path, format!("{FORMAT}\n").as_bytes())?),
    }
}

/// Checks the cache's format, and returns whether there is one.
pub(crate) fn check_format(path: &Path) -> Result<bool, CacheError> {
    let Some(bytes) = read(path)? else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(&bytes);
    match text.trim().parse::<u32>() {
        Ok(found) if found > FORMAT => Err(CacheError::NewerFormat { path: path.to_owned(), found, supported: FORMAT }),
        Ok(_) => Ok(true),
        Err(source) => Err(CacheError::Damaged { path: path.to_owned(), remedy: Remedy::DeleteFormat, source: source.into() }),
    }
}
