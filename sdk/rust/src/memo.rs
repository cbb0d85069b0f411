//! Small values that the host keeps: instances come and go, and any of them may be asked for anything.
//!
//! What is kept belongs to this very component and the address that it was granted. It may be gone at any time, a lasting value also
//! between two runs: it saves work, and is never the only place of anything. A key has up to 256 bytes, a value up to 8 MiB, all values
//! of a lifetime together 32 MiB; what is more is not kept.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

#[cfg(target_arch = "wasm32")]
use crate::bindings::infrahub_sync::adapter::memo as host;
pub use crate::bindings::infrahub_sync::adapter::memo::Lifetime;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::memo as host;

/// What is kept under a key.
#[must_use]
pub fn get(lifetime: Lifetime, key: &str) -> Option<Vec<u8>> {
    host::get(lifetime, key)
}

/// Keeps a value and returns the one that is kept: in a run the first one stays, a lasting one is replaced. A value that the host
/// does not keep, because it is too large, comes back all the same.
pub fn put(lifetime: Lifetime, key: &str, value: &[u8]) -> Vec<u8> {
    host::put(lifetime, key, value)
}

/// What [`put_as`] has kept under a key; none when it is of another type.
#[must_use]
pub fn get_as<T: DeserializeOwned>(lifetime: Lifetime, key: &str) -> Option<T> {
    serde_json::from_slice(&get(lifetime, key)?).ok()
}

/// As [`put`], with any value that can be written as JSON.
///
/// # Errors
/// `internal` when it cannot be, or when what another instance has kept before is of another type.
pub fn put_as<T: Serialize + DeserializeOwned>(lifetime: Lifetime, key: &str, value: &T) -> Result<T> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::internal(format!("`{key}` cannot be kept as JSON: {error}")))?;
    let kept = put(lifetime, key, &bytes);
    serde_json::from_slice(&kept).map_err(|error| Error::internal(format!("what is kept as `{key}` is of another type: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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
    fn values_keep_their_type() {
        reset();
        assert_eq!(put_as(Lifetime::Run, "at", &Some(7)).unwrap(), Some(7));
        assert_eq!(put_as(Lifetime::Run, "at", &Some(8)).unwrap(), Some(7));
        assert_eq!(get_as(Lifetime::Run, "at"), Some(7));
        assert_eq!(get_as::<String>(Lifetime::Run, "at"), None);
        assert_eq!(put_as(Lifetime::Run, "at", &"text".to_owned()).unwrap_err().kind, ErrorKind::Internal);
    }
}
