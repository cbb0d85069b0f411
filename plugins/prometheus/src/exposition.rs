//! The answers of exporters: Prometheus' text format and OpenMetrics.
//!
//! One pass over the text. Lines of other metrics are skipped after their name, so the cost of a metric does not depend on its number of labels.
//! Records are written as they are found, without an allocation of their own.

use std::borrow::Cow;

use infrahub_sync_adapter::{Error, Result};
use serde_json::to_writer;

use crate::query::number;

/// The format of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Timestamps in milliseconds.
    Text,
    /// Timestamps in seconds, exemplars after ` # `, `# EOF` at the end.
    OpenMetrics,
}

/// The description of a family of metrics, as far as it was read.
#[derive(Default, Clone, Copy)]
struct Family<'t> {
    name: &'t str,
    help: &'t str,
    kind: &'t str,
}

/// A label, and its value without escapes.
type Label<'t> = (&'t str, Cow<'t, str>);

/// Returns the samples of a metric, in their order: a line of JSON each, as [`Sample`](crate::Sample) is written.
///
/// # Errors
/// `remote`, with the number of the line, when the text is not in the format.
pub(crate) fn samples<'t>(text: &'t str, format: Format, metric: &'t str) -> Result<Vec<u8>> {
    let mut writer = Writer { lines: Vec::new(), id: String::new(), metric };
    let mut labels = Vec::new();
    let mut family = Family::default();
    let mut is_complete = format == Format::Text;
    for (at, line) in (1..).zip(text.lines()) {
        let wrong = |reason: &str| Error::remote(format!("line {at} of the exporter's answer {reason}: `{}`", shortened(line)));
        let line = line.trim_matches([' ', '\t', '\r']);
        if let Some(comment) = line.strip_prefix('#') {
            is_complete |= comment.trim() == "EOF";
            family = described(family, comment);
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let (name, rest) = name(line).ok_or_else(|| wrong("has no name"))?;
        // The text format leaves `_total` of counters to the reader.
        let is_bare_counter = format == Format::Text && family.kind == "counter" && name == family.name && !name.ends_with("_total");
        let is_wanted = if is_bare_counter { metric.strip_suffix("_total") == Some(name) } else { name == metric };
        if !is_wanted {
            continue;
        }
        let rest = read_labels(rest, &mut labels).ok_or_else(|| wrong("has labels that cannot be read"))?;
        let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
        let value = words.next().and_then(number).ok_or_else(|| wrong("has no value"))?;
        let timestamp = match words.next().filter(|word| *word != "#") {
            Some(word) => Some(word.parse::<f64>().map_err(|_| wrong("has a timestamp that is not a number"))?),
            None => None,
        };
        let timestamp = timestamp.map(|time| if format == Format::Text { time / 1000.0 } else { time });
        let of_family = if belongs(name, family.name) { family } else { Family::default() };
        let kind = match of_family.kind {
            "untyped" | "" => "unknown",
            kind => kind,
        };
        writer
            .write(&labels, (value, timestamp), (of_family.help, kind))
            .map_err(|error| Error::internal(format!("a sample cannot be written: {error}")))?;
    }
    if !is_complete {
        return Err(Error::remote("the exporter's answer has been cut: `# EOF` is missing at its end"));
    }
    Ok(writer.lines)
}

/// Writes samples of a metric as lines of JSON.
struct Writer<'t> {
    lines: Vec<u8>,
    /// The id of the last sample.
    id: String,
    metric: &'t str,
}

impl Writer<'_> {
    /// Writes a sample with these labels, which are sorted, with its value and timestamp, and with the help and type of its family.
    fn write(
        &mut self,
        labels: &[Label<'_>],
        (value, timestamp): (f64, Option<f64>),
        (help, kind): (&str, &str),
    ) -> serde_json::Result<()> {
        let Writer { lines, id, metric } = self;
        id.clear();
        id.extend([metric, "|"]);
        for (at, (name, value)) in labels.iter().enumerate() {
            id.extend([if at > 0 { "," } else { "" }, name, "=", value]);
        }
        lines.extend_from_slice(b"{\"id\":");
        to_writer(&mut *lines, id)?;
        lines.extend_from_slice(b",\"__metric__\":");
        to_writer(&mut *lines, metric)?;
        lines.extend_from_slice(b",\"labels\":{");
        for (at, (name, value)) in labels.iter().enumerate() {
            lines.extend_from_slice(if at > 0 { b"," } else { b"" });
            to_writer(&mut *lines, name)?;
            lines.push(b':');
            to_writer(&mut *lines, &**value)?;
        }
        lines.extend_from_slice(b"},\"value\":");
        // JSON has no other numbers.
        to_writer(&mut *lines, &Some(value).filter(|value| value.is_finite()))?;
        lines.extend_from_slice(b",\"timestamp\":");
        to_writer(&mut *lines, &timestamp)?;
        lines.extend_from_slice(b",\"help\":");
        to_writer(&mut *lines, help)?;
        lines.extend_from_slice(b",\"type\":");
        to_writer(&mut *lines, kind)?;
        lines.extend_from_slice(b"}\n");
        Ok(())
    }
}

fn shortened(line: &str) -> String {
    line.chars().take(80).collect()
}

/// Takes a comment for what it says of a family.
fn described<'t>(family: Family<'t>, comment: &'t str) -> Family<'t> {
    let mut words = comment.trim_start().splitn(3, [' ', '\t']);
    let (Some(word), Some(name)) = (words.next(), words.next()) else { return family };
    let name = name.trim_matches('"');
    let family = if family.name == name { family } else { Family { name, ..Family::default() } };
    let text = words.next().unwrap_or_default().trim();
    match word {
        "HELP" => Family { help: text, ..family },
        "TYPE" => Family { kind: text, ..family },
        _ => family,
    }
}

/// Returns whether a sample is one of a family: `x_bucket`, `x_sum`, `x_count`, `x_total` belong to `x`.
fn belongs(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| ["", "_total", "_sum", "_count", "_bucket", "_created", "_info"].contains(&rest))
}

/// Cuts the name off a line. Names beyond ASCII are quoted, and stand among the labels.
fn name(line: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = line.strip_prefix("{\"") {
        let end = quoted.find('"')?;
        return Some((quoted.get(..end)?, line.get(end + 3..)?));
    }
    let end = line.find(['{', ' ', '\t'])?;
    (end > 0).then(|| line.split_at(end))
}

/// Reads the labels at the beginning of a text, sorted by name; returns the text after them. Of labels with one name, the last counts.
fn read_labels<'t>(text: &'t str, labels: &mut Vec<Label<'t>>) -> Option<&'t str> {
    labels.clear();
    let text = text.trim_start();
    // After a quoted name, the rest of the braces follows.
    let Some(mut rest) = text.strip_prefix(['{', ',']).or_else(|| text.starts_with('}').then_some(text)) else {
        return Some(text);
    };
    loop {
        rest = rest.trim_start().trim_start_matches(',').trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            if !labels.is_sorted_by(|one, other| one.0 < other.0) {
                labels.reverse();
                labels.sort_by_key(|(name, _)| *name);
                labels.dedup_by_key(|(name, _)| *name);
            }
            return Some(rest);
        }
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start().strip_prefix('"')?;
        let (value, after) = quoted(value)?;
        labels.push((name.trim().trim_matches('"'), value));
        rest = after;
    }
}

/// Reads a text up to its closing quotation mark.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text.as_bytes().get(end) == Some(&b'"') {
        return Some((Cow::Borrowed(text.get(..end)?), text.get(end + 1..)?));
    }
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Cow::Owned(value), text.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other @ ('"' | '\\') => value.push(other),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}
