//! Tells what a run read: per mapping the records, those that filters left out, and paths that no record has.
//!
//! The counts are in `run.json` and in `show --output json`. A person sees a line where something is odd, and all of them with `--verbose`.

use std::collections::BTreeSet;

use infrahub_sync_cache::{FilterCount, MappingReading};
use infrahub_sync_core::mapping::RawKind;
use serde_json::Value;

use crate::plans::MappingFeed;

/// The names that a message lists of those that records have.
const NAMES_LISTED: usize = 20;

/// Returns what a mapping made of its records. `sample`: the first of them, if all were read.
pub(crate) fn reading_of(each: &MappingFeed, resource: &str, rows: &RawKind, sample: Option<&[Value]>) -> MappingReading {
    let census = &rows.census;
    let counts = each.feed.filters().iter().zip(census.left_out_by());
    let filters = counts.map(|(filter, records)| FilterCount { filter: filter.to_string(), records: *records }).collect();
    let missing = sample.map(|_| each.feed.paths_missing(census)).unwrap_or_default();
    let paths = missing.iter().map(|path| ((*path).to_owned(), names(sample.unwrap_or_default(), path))).collect();
    MappingReading {
        mapping: each.mapping as u64,
        kind: each.kind.clone(),
        resource: resource.to_owned(),
        read: census.read(),
        is_full: sample.is_some(),
        filters,
        mapped: rows.rows as u64,
        skipped: rows.skipped.len() as u64,
        missing: paths,
    }
}

/// Returns the paths that records have, where a path leads nowhere: those beside its first missing part.
fn names(sample: &[Value], path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split('.').collect();
    for known in (0..parts.len()).rev() {
        let before = parts.get(..known).unwrap_or_default();
        let objects = sample.iter().filter_map(|record| before.iter().try_fold(record, |value, part| value.get(part))?.as_object());
        let names: BTreeSet<&String> = objects.flat_map(serde_json::Map::keys).filter(|name| !name.starts_with('@')).collect();
        if !names.is_empty() {
            let prefix: String = before.iter().flat_map(|part| [*part, "."]).collect();
            return names.into_iter().map(|name| format!("{prefix}{name}")).collect();
        }
    }
    Vec::new()
}

/// Returns the warnings about what was read, in the order of the mappings.
pub(crate) fn warnings(mappings: &[MappingReading]) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    // Of an incremental run the changed records are counted.
    if !mappings.is_empty() && mappings.iter().all(|reading| reading.read == 0 && reading.is_full) {
        warnings.push(format!("the source has no records: {}", resources(mappings.iter())));
    }
    for reading in mappings {
        let MappingReading { kind, resource, read, filters, missing, .. } = reading;
        let of = format!("{kind} from `{resource}`");
        if *read == 0 {
            continue;
        }
        let left_out: u64 = filters.iter().map(|filter| filter.records).sum();
        if left_out == *read {
            let by: Vec<String> = filters
                .iter()
                .filter(|filter| filter.records > 0)
                .map(|filter| format!("`{}` {}", filter.filter, filter.records))
                .collect();
            warnings.push(format!("{of}: the filters left out all {read} records: {}", by.join(", ")));
        }
        for (path, names) in missing {
            let has = match names.as_slice() {
                [] => String::new(),
                names => {
                    let more = names.len().checked_sub(NAMES_LISTED).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
                    let listed: Vec<String> = names.iter().take(NAMES_LISTED).map(|name| format!("`{name}`")).collect();
                    format!("; they have {}{}", listed.join(", "), more.unwrap_or_default())
                }
            };
            warnings.push(format!("{of}: none of its records has `{path}`{has}"));
        }
    }
    warnings
}

/// Returns a line about the resources without records, if there are such and others have some.
pub(crate) fn empty(mappings: &[MappingReading]) -> Option<String> {
    let is_empty = |reading: &&MappingReading| reading.read == 0 && reading.is_full;
    let count = mappings.iter().filter(is_empty).count();
    (count > 0 && count < mappings.len()).then(|| format!("No records: {}", resources(mappings.iter().filter(is_empty))))
}

/// Lists the resources of mappings, each once.
fn resources<'m>(mappings: impl Iterator<Item = &'m MappingReading>) -> String {
    let mut names: Vec<String> = mappings.map(|reading| format!("`{}`", reading.resource)).collect();
    names.dedup();
    let more = names.len().checked_sub(NAMES_LISTED).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
    names.truncate(NAMES_LISTED);
    names.join(", ") + &more.unwrap_or_default()
}

/// Returns the counts of a mapping in a line.
pub(crate) fn line(reading: &MappingReading) -> String {
    let MappingReading { kind, resource, read, filters, mapped, skipped, .. } = reading;
    let mut line = format!("{kind} from `{resource}`: {read} records read");
    for FilterCount { filter, records } in filters.iter().filter(|filter| filter.records > 0) {
        line.push_str(&format!(", {records} left out by `{filter}`"));
    }
    if *skipped > 0 {
        line.push_str(&format!(", {skipped} skipped"));
    }
    line + &format!(", {mapped} mapped")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reading(read: u64, left_out: u64, missing: &[&str]) -> MappingReading {
        let sample = [json!({"name": "a", "serial": "x", "a": {"c": 1}, "@line": 2}), json!({"name": "b", "a": {"d": 1}})];
        MappingReading {
            kind: "Device".to_owned(),
            resource: "devices".to_owned(),
            read,
            is_full: true,
            filters: vec![FilterCount { filter: "u == 10".to_owned(), records: left_out }],
            mapped: read - left_out,
            missing: missing.iter().map(|path| ((*path).to_owned(), names(&sample, path))).collect(),
            ..MappingReading::default()
        }
    }

    #[test]
    fn what_is_odd_is_said() {
        let all = [reading(3, 1, &[]), reading(0, 0, &["x"]), reading(3, 3, &[]), reading(2, 0, &["serail", "a.b", "name.x"])];
        assert_eq!(
            warnings(&all),
            [
                "Device from `devices`: the filters left out all 3 records: `u == 10` 3",
                "Device from `devices`: none of its records has `serail`; they have `a`, `name`, `serial`",
                "Device from `devices`: none of its records has `a.b`; they have `a.c`, `a.d`",
                "Device from `devices`: none of its records has `name.x`; they have `a`, `name`, `serial`",
            ]
        );
        assert_eq!(empty(&all).as_deref(), Some("No records: `devices`"));
        assert_eq!((empty(&all[..1]), empty(&all[1..2])), (None, None));
        assert_eq!(warnings(&all[1..2]), ["the source has no records: `devices`"]);
        assert_eq!(line(&all[0]), "Device from `devices`: 3 records read, 1 left out by `u == 10`, 2 mapped");
    }
}
