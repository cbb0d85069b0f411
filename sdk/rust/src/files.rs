//! The one folder that the project granted. Paths are relative, with `/`.

use crate::{Error, Response, Result};

#[cfg(target_arch = "wasm32")]
use crate::bindings::infrahub_sync::adapter::files as host;
pub use crate::bindings::infrahub_sync::adapter::files::FileError;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::folder as host;

/// Makes a failure that the host can act on. A refusal of the operating system is `remote`: the folder is the system here.
fn failed(path: &str, error: FileError) -> Error {
    match error {
        FileError::Denied(reason) => Error::config(reason),
        FileError::NotFound => Error::not_found(format!("there is no file `{path}`")),
        FileError::TooLarge(bytes) => Error::config(format!("`{path}` is larger than the limit of {bytes} bytes")),
        FileError::Other(reason) => Error::remote(format!("`{path}`: {reason}")),
    }
}

/// Returns the names of the files in the folder, sorted, without sub-folders.
///
/// # Errors
/// `config` when no folder was granted, `remote` when it cannot be read.
pub fn list() -> Result<Vec<String>> {
    host::list().map_err(|error| failed(".", error))
}

/// Reads a whole file; the bytes stay with the host.
///
/// # Errors
/// `not-found`, `config` (denied or too large), `remote`.
pub fn read(path: &str) -> Result<Response> {
    host::read(path).map(Response::from_inner).map_err(|error| failed(path, error))
}

/// Reads whole lines from `offset`, up to about `bytes_max` (always at least one line), and says where the next line begins;
/// none at the end of the file.
///
/// # Errors
/// As [`read`].
pub fn read_lines(path: &str, offset: u64, bytes_max: u32) -> Result<(Response, Option<u64>)> {
    let (response, next) = host::read_lines(path, offset, bytes_max).map_err(|error| failed(path, error))?;
    Ok((Response::from_inner(response), next))
}

/// Appends to a file. Creates a missing file.
///
/// # Errors
/// `config` (denied), `remote`.
pub fn append(path: &str, bytes: &[u8]) -> Result<()> {
    host::append(path, bytes).map_err(|error| failed(path, error))
}

/// Puts a finished file in the place of another, atomically and durably.
///
/// # Errors
/// `not-found`, `config` (denied), `remote`.
pub fn replace(from: &str, to: &str) -> Result<()> {
    host::replace(from, to).map_err(|error| failed(from, error))
}

/// Removes a file. One that is not there is no error.
///
/// # Errors
/// `config` (denied), `remote`.
pub fn remove(path: &str) -> Result<()> {
    host::remove(path).map_err(|error| failed(path, error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;
    use crate::ErrorKind;
    use crate::testing::{put_file, reset, use_folder};

    #[test]
    fn lines_are_read_whole() {
        reset();
        put_file("a", "one\ntwo\n\nthree, the longest\nlast");
        for bytes_max in 1..40 {
            let (mut offset, mut read) = (Some(0), Vec::new());
            while let Some(at) = offset {
                let (piece, next) = read_lines("a", at, bytes_max).unwrap();
                assert!(next.is_none() || piece.body().ends_with(b"\n"), "{bytes_max}");
                read.extend(piece.body());
                offset = next;
            }
            assert_eq!(read, b"one\ntwo\n\nthree, the longest\nlast", "{bytes_max}");
        }
    }

    #[test]
    fn memory_and_disk_are_alike() {
        for on_disk in [false, true] {
            reset();
            let folder = std::env::temp_dir().join(format!("infrahub-sync-adapter-{}", std::process::id()));
            if on_disk {
                std::fs::create_dir_all(&folder).unwrap();
                use_folder(&folder);
            }
            append("b", b"1").unwrap();
            append("b", b"2").unwrap();
            append("a", b"").unwrap();
            assert_eq!(list().unwrap(), ["a", "b"]);
            replace("b", "a").unwrap();
            assert_eq!(read("a").unwrap().body(), b"12");
            assert_eq!(read("b").unwrap_err().kind, ErrorKind::NotFound);
            remove("a").unwrap();
            remove("a").unwrap();
            assert_eq!(read("../a").unwrap_err().kind, ErrorKind::Config);
            assert!(list().unwrap().is_empty());
            if on_disk {
                std::fs::remove_dir_all(&folder).unwrap();
            }
        }
    }
}
