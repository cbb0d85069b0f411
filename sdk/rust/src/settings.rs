//! Reading the settings.

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Reads the settings into a type of the adapter's own: a struct with `#[derive(Deserialize)]`, and `#[serde(default)]` on what
/// is optional. Secrets are not among them.
///
/// # Errors
/// `config`, with the name of what is missing or wrong.
pub fn parse<T: DeserializeOwned>(settings: &str) -> Result<T> {
    serde_json::from_str(settings).map_err(|error| Error::config(format!("the settings cannot be read: {error}")))
}
