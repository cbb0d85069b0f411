//! Reads the settings.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// Reads the settings into a type of the adapter's own: a struct with `#[derive(Deserialize)]`, and `#[serde(default)]` on optional
/// members. Secrets are not among them.
///
/// # Errors
/// `config`, with the name of the missing or invalid setting.
pub fn parse<T: DeserializeOwned>(settings: &str) -> Result<T> {
    // Through a value: a line and column of a text that the user never wrote would only confuse.
    let unreadable = |error: &dyn std::fmt::Display| Error::config(format!("the settings cannot be read: {error}"));
    let value: Value = serde_json::from_str(settings).map_err(|error| unreadable(&error))?;
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string().as_str() {
        "." => unreadable(error.inner()),
        setting => Error::config(format!("`{setting}` is invalid: {}", error.inner())),
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::parse;
    use crate::ErrorKind;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read into")]
    struct Settings {
        url: String,
        #[serde(default)]
        size: u32,
    }

    #[test]
    fn an_invalid_setting_is_named() {
        for (settings, message) in [
            (r#"{"url": "x", "size": "1"}"#, "`size` is invalid: invalid type: string \"1\", expected u32"),
            (r#"{"url": []}"#, "`url` is invalid: invalid type: sequence, expected a string"),
            (r#"{"size": 1}"#, "the settings cannot be read: missing field `url`"),
        ] {
            let error = parse::<Settings>(settings).expect_err("each of them is invalid");
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Config, message));
        }
    }
}
