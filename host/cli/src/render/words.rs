//! Numbers and times in words.

use infrahub_sync_core::along::Along;
use infrahub_sync_core::plan_row::PlanRow;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::escape::Escaped;

/// Objects that are named for each kind that goes along.
const NAMES_SHOWN: usize = 3;

/// Returns the word for one or for several.
pub(crate) fn plural(count: u64, one: &'static str, several: &'static str) -> &'static str {
    if count == 1 { one } else { several }
}

/// Returns what stands before the evidence of a delete. An undo deletes what a run created, whatever the source has.
pub(super) fn evidence_words(evidence: &str) -> &'static str {
    if evidence.starts_with("created by run ") { "" } else { "not in the source: " }
}

/// Returns what a delete takes along: `40 InfraInterface, 2 FakeNote ("a", "b")`; none if that is nothing.
pub(super) fn taken_along(row: &PlanRow) -> Option<String> {
    let kinds = Along::parse(row.along.as_deref()).ok()?;
    let one = |Along { kind, count, names, .. }: &Along| {
        let shown: Vec<String> = names.iter().take(NAMES_SHOWN).map(|name| format!("\"{}\"", Escaped(name))).collect();
        let more = match names.len().saturating_sub(NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = if shown.is_empty() { String::new() } else { format!(" ({}{more})", shown.join(", ")) };
        format!("{count} {}{names}", Escaped(kind))
    };
    let kinds: Vec<String> = kinds.iter().filter(|along| !along.released).map(one).collect();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

/// Returns a number of bytes with a unit.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // A value that rounds to 1024 is 1 of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

/// Returns the minute, in UTC.
pub(super) fn minute(time: Option<Timestamp>) -> String {
    format(time, "%Y-%m-%d %H:%M")
}

/// Returns the day, in UTC.
pub(super) fn day(time: Option<Timestamp>) -> String {
    format(time, "%Y-%m-%d")
}

fn format(time: Option<Timestamp>, form: &str) -> String {
    time.map_or_else(|| "unknown".to_owned(), |time| time.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

/// Summarizes a removal: `Removed 3 runs (1.5 MiB); kept 20`. `removed` is the count, the words for one and several, and the size.
pub(crate) fn pruned_sentence(removed: (u64, [&'static str; 2], String), kept: &str, dry_run: bool) -> String {
    let (count, [one, several], bytes) = removed;
    match (count, dry_run) {
        (0, _) => format!("Nothing to remove; kept {kept}"),
        (_, true) => format!("Would remove {count} {} ({bytes}); would keep {kept}", plural(count, one, several)),
        (_, false) => format!("Removed {count} {} ({bytes}); kept {kept}", plural(count, one, several)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_names_some_of_what_it_takes_along() {
        let names = |count: usize| (0..count).map(|at| format!("p{at}")).collect::<Vec<_>>();
        let along = |kind: &str, count: u64, names: Vec<String>, released: bool| Along {
            kind: kind.to_owned(),
            count,
            mapped: !names.is_empty(),
            released,
            names,
            ids: Vec::new(),
        };
        let kinds = [along("Port", 5, names(5), false), along("No\nte", 40, Vec::new(), false), along("Port", 1, names(1), true)];
        let row = PlanRow { along: Along::column(&kinds), ..PlanRow::default() };
        assert_eq!(taken_along(&row).unwrap(), r#"5 Port ("p0", "p1", "p2" and 2 more), 40 No\nte"#);
        assert_eq!(taken_along(&PlanRow::default()), None);
    }

    #[test]
    fn sizes() {
        let sizes = [0, 1023, 1024, 1536, 1_048_524, 1_048_575, 1 << 30, 1 << 40, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "1.0 MiB", "1.0 GiB", "1.0 TiB", "16777216.0 TiB"]);
    }
}
