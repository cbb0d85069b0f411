//! Names that become path segments: run ids, sync names and kinds.
//!
//! All three come from users, and all three are joined to the cache's root. The rule is that of 2.0.1, one plain segment. It also refuses
//! names that mean another place on another system (a trailing `/`, a `\`, control characters) or that collide with the cache's own files.

use std::fmt;
use std::path::{Component, Path};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::Side;
use crate::format::{APPLYING_FILE, NO_EFFECT_FILE, OWNERSHIP_FILE, PARQUET_SUFFIX, ROWCOUNTS_FILE, RUN_COUNTER_FILE, VANISHED_FILE};

/// The longest name in bytes. File systems allow 255 for a file's name, which includes `.parquet` and the affixes of unfinished files.
const NAME_BYTES_MAX: usize = 200;

/// The cache's own files beside the run folders.
const RESERVED: [&str; 6] = [ROWCOUNTS_FILE, RUN_COUNTER_FILE, OWNERSHIP_FILE, APPLYING_FILE, VANISHED_FILE, NO_EFFECT_FILE];

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be one plain path segment: {name:?} {problem}")]
pub struct NameError {
    /// The named thing.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// The error in it.
    pub problem: &'static str,
}

fn check(what: &'static str, name: &str) -> Result<(), NameError> {
    let refuse = |problem| Err(NameError { what, name: name.to_owned(), problem });
    if name.is_empty() {
        return refuse("is empty");
    }
    if name == "." || name == ".." {
        return refuse("names a folder by its place");
    }
    if name.contains(['/', '\\']) {
        return refuse("contains a path separator");
    }
    if name.chars().any(char::is_control) {
        return refuse("contains a control character");
    }
    if name.len() > NAME_BYTES_MAX {
        return refuse("is longer than 200 bytes");
    }
    // The remaining forms are those of the system, such as `C:` on Windows.
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(_)), None) => Ok(()),
        _ => refuse("is not a file name on this system"),
    }
}

/// The id of a run: a generated `YYYYMMDDTHHMM-<8 hex>` in UTC, or any plain path segment that the user chose.
///
/// Generated ids sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Generates an id from the current time and four random bytes.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 4]) -> RunId {
        let minute = now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M");
        RunId(format!("{minute}-{:08x}", u32::from_be_bytes(random)))
    }

    /// Parses a user's id.
    ///
    /// # Errors
    ///
    /// When it is not one plain path segment, starts with a dot or is the name of one of the cache's own files.
    pub fn parse(name: &str) -> Result<RunId, NameError> {
        const WHAT: &str = "a run id";
        check(WHAT, name)?;
        if name.starts_with('.') {
            return Err(NameError { what: WHAT, name: name.to_owned(), problem: "starts with a dot, as the cache's own files do" });
        }
        // Case-insensitive, because some file systems are.
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(NameError { what: WHAT, name: name.to_owned(), problem: "is the name of one of the cache's own files" });
        }
        Ok(RunId(name.to_owned()))
    }

    /// Returns whether it has the form of a generated id.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        let time = |minute: &str| minute.split_once('T').is_some_and(|(day, minute)| digits(day, 8) && digits(minute, 4));
        let is_random = |random: &str| random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.0.split_once('-').is_some_and(|(minute, random)| time(minute) && is_random(random))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a sync: the folder of its runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SyncName(String);

impl SyncName {
    /// Parses the `name` of a `config.yml`.
    ///
    /// # Errors
    ///
    /// When it is not one plain path segment.
    pub fn parse(name: &str) -> Result<SyncName, NameError> {
        check("a sync's name", name)?;
        Ok(SyncName(name.to_owned()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a kind, which is also the name of its snapshot's file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KindName(String);

impl KindName {
    /// Parses the name of a kind.
    ///
    /// # Errors
    ///
    /// When it is not one plain path segment.
    pub fn parse(name: &str) -> Result<KindName, NameError> {
        check("a kind's name", name)?;
        Ok(KindName(name.to_owned()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the path of a snapshot in the folder of its run, as `run.json` names it on every system.
pub(crate) fn snapshot_name(side: Side, kind: &KindName) -> String {
    format!("{}/{kind}{PARQUET_SUFFIX}", side.letter())
}

macro_rules! name_traits {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                $name::parse(name)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                $name::parse(&name).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
name_traits!(RunId SyncName KindName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_utc_minutes_and_eight_hex_digits() {
        let now: Timestamp = "2026-03-04T05:06:59+02:00".parse().expect("a time");
        let id = RunId::new(now, [0, 0x0a, 0xff, 1]);
        assert_eq!(id.as_str(), "20260304T0306-000aff01");
        assert!(id.is_ours());
        assert_eq!(RunId::parse(id.as_str()), Ok(id));
        for other in ["mine", "20260304T0306", "20260304T0306-000aff0", "20260304-000aff01", "2026030xT0306-000aff01"] {
            assert!(!RunId::parse(other).expect(other).is_ours());
        }
    }

    #[test]
    fn ids_of_users_are_any_plain_segment() {
        for name in ["20250101T0000-deadbeef", "before the move", "ünï", "a..b", "-x", "x.json"] {
            assert_eq!(RunId::parse(name).expect(name).as_str(), name);
        }
    }

    #[test]
    fn only_one_plain_segment_is_accepted() {
        let refused = ["", ".", "..", "/", "/etc", "a/b", "a/", "./a", "../a", "a\\b", "a\0", "a\nb"];
        for name in refused {
            assert!(RunId::parse(name).is_err(), "{name:?}");
            assert!(SyncName::parse(name).is_err(), "{name:?}");
            assert!(KindName::parse(name).is_err(), "{name:?}");
        }
        assert!(SyncName::parse(&"x".repeat(NAME_BYTES_MAX)).is_ok());
        assert!(SyncName::parse(&"x".repeat(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn ids_cannot_replace_the_files_of_the_cache() {
        for name in [".lock", ".format", ".x", "run-counter.json", "Run-Counter.json", "last-successful-rowcounts.json", "vanished.json"] {
            assert!(RunId::parse(name).is_err(), "{name:?}");
        }
        assert!(SyncName::parse(".hidden").is_ok());
    }

    #[test]
    fn the_message_says_what_and_why() {
        insta::assert_snapshot!(
            RunId::parse("../x").expect_err("refused"),
            @r#"a run id must be one plain path segment: "../x" contains a path separator"#
        );
    }
}
