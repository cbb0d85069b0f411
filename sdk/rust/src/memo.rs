//! Small values that the host keeps: instances are created and dropped, and any of them may serve any call.
//!
//! Values belong to this component and its granted address. A value may be dropped at any time, so it can only save work. A key has up to
//! 256 bytes, a value up to 8 MiB, all values of a lifetime together 32 MiB; the host does not keep more.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

#[cfg(target_arch = "wasm32")]
use crate::bindings::infrahub_sync::adapter::memo as host;
pub use crate::bindings::infrahub_sync::adapter::memo::Lifetime;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::memo as host;

/// Returns the value under a key.
#[must_use]
pub fn get(lifetime: Lifetime, key: &str) -> Option<Vec<u8>> {
    host::get(lifetime, key)
}

/// Stores a value and returns the stored one: within a run the first value stays; a lasting one is replaced. A value over the host's
/// limits is not stored and is returned as given.
pub fn put(lifetime: Lifetime, key: &str, value: &[u8]) -> Vec<u8> {
    host::put(lifetime, key, value)
}

/// Returns the value that [`put_as`] stored under a key; none when it is of another type.
#[must_use]
pub fn get_as<T: DeserializeOwned>(lifetime: Lifetime, key: &str) -> Option<T> {
    serde_json::from_slice(&get(lifetime, key)?).ok()
}

/// Does the same as [`put`] with any value that can be written as JSON.
///
/// # Errors
/// `internal` when it cannot be written, or when another instance stored a value of another type before.
pub fn put_as<T: Serialize + DeserializeOwned>(lifetime: Lifetime, key: &str, value: &T) -> Result<T> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::internal(format!("`{key}` cannot be kept as JSON: {error}")))?;
    let kept = put(lifetime, key, &bytes);
    serde_json::from_slice(&kept).map_err(|error| Error::internal(format!("the value kept as `{key}` is of another type: {error}")))
}

/// Returns the value that this run keeps under a key, and makes it the first time: for a request that all instances need once.
/// A failure is not kept.
///
/// # Errors
/// Those of `make`, and those of [`put_as`].
pub fn once<T: Serialize + DeserializeOwned>(key: &str, make: impl FnOnce() -> Result<T>) -> Result<T> {
    match get_as(Lifetime::Run, key) {
        Some(known) => Ok(known),
        None => put_as(Lifetime::Run, key, &make()?),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;
    use crate::ErrorKind;
    use crate::testing::{next_run, reset};

    #[test]
    fn in_a_run_the_first_value_stays_and_a_lasting_one_is_replaced() {
        reset();
        assert_eq!(get(Lifetime::Run, "a"), None);
        assert_eq!(put(Lifetime::Run, "a", b"one"), b"one");
        assert_eq!(put(Lifetime::Run, "a", b"two"), b"one");
        assert_eq!(put(Lifetime::Lasting, "a", b"three"), b"three");
        assert_eq!(put(Lifetime::Lasting, "a", b"four"), b"four");
        assert_eq!(get(Lifetime::Run, "a").unwrap(), b"one");
        next_run();
        assert_eq!(get(Lifetime::Run, "a"), None);
        assert_eq!(get(Lifetime::Lasting, "a").unwrap(), b"four");
        reset();
        assert_eq!(get(Lifetime::Lasting, "a"), None);
    }

    #[test]
    fn a_value_is_made_once_a_run() {
        reset();
        let failure: Result<u32> = once("count", || Err(Error::remote("not now")));
        assert_eq!(failure.unwrap_err().kind, ErrorKind::Remote);
        assert_eq!(once("count", || Ok(1)).unwrap(), 1);
        assert_eq!(once("count", || Ok(2)).unwrap(), 1);
        next_run();
        assert_eq!(once("count", || Ok(3)).unwrap(), 3);
    }

    #[test]
    fn values_keep_their_type() {
        reset();
        assert_eq!(put_as(Lifetime::Run, "at", &Some(7)).unwrap(), Some(7));
        assert_eq!(put_as(Lifetime::Run, "at", &Some(8)).unwrap(), Some(7));
        assert_eq!(get_as(Lifetime::Run, "at"), Some(7));
        assert_eq!(get_as::<String>(Lifetime::Run, "at"), None);
        assert_eq!(put_as(Lifetime::Run, "at", &"text".to_owned()).unwrap_err().kind, ErrorKind::Internal);
    }
}
