//! The result of `adapter check` on stdout.
//!
//! An adapter's messages are foreign text: they are escaped.

use std::io::{self, Write};

use infrahub_sync_conformance::{Report, Verdict};
use serde::Serialize;

use super::output::write_document;
use super::table::{Cell, Table};
use crate::escape::Escaped;

/// Writes a line for each check, and its findings below it.
pub(crate) fn text(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut lines: Vec<[Cell; 2]> = Vec::new();
    let mut before = None;
    for check in &report.checks {
        let (word, more) = match &check.verdict {
            Verdict::Passed { tried } => ("passed", Some(tried)),
            Verdict::Failed { .. } => ("FAILED", None),
            Verdict::NotApplicable { reason } => ("not applicable", Some(reason)),
            Verdict::NotChecked { reason } => ("not checked", Some(reason)),
        };
        lines.push([check.name.into(), format!("{word}: {}", check.about).into()]);
        let mut below = |text: String| lines.push([Cell::default(), text.into()]);
        // Several checks in a row may have the same reason.
        if let Some(more) = more.filter(|more| !more.is_empty() && before != Some(*more)) {
            below(format!("  {}", Escaped(more)));
        }
        before = more;
        if let Verdict::Failed { findings } = &check.verdict {
            for finding in findings {
                below(format!("  found: {}", Escaped(&finding.happened)));
                below(format!("  to do: {}", Escaped(&finding.remedy)));
            }
        }
    }
    Table { indent: "", gap: "  ", right: &[] }.write(out, &lines)
}

/// Writes one JSON document: the report, and the conclusions.
pub(crate) fn json(out: &mut impl Write, report: &Report) -> io::Result<()> {
    #[derive(Serialize)]
    struct Whole<'r> {
        #[serde(flatten)]
        report: &'r Report,
        conforms: bool,
        complete: bool,
    }
    let whole = Whole { report, conforms: report.conforms(), complete: report.is_complete() };
    write_document(out, &whole)
}
