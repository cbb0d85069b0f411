//! The result of `adapter check` on stdout.
//!
//! What an adapter says is a stranger's text: it is escaped.

use std::io::{self, Write};

use infrahub_sync_conformance::{Report, Verdict};
use serde::Serialize;

use crate::escape::Escaped;

/// The width of the column with the checks' names.
const NAME_WIDTH: usize = 18;

/// Writes a line a check, and below it what was found.
pub(crate) fn text(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut before = None;
    for check in &report.checks {
        let (word, more) = match &check.verdict {
            Verdict::Passed { tried } => ("passed", Some(tried)),
            Verdict::Failed { .. } => ("FAILED", None),
            Verdict::NotApplicable { reason } => ("not applicable", Some(reason)),
            Verdict::NotChecked { reason } => ("not checked", Some(reason)),
        };
        writeln!(out, "{:NAME_WIDTH$} {word}: {}", check.name, check.about)?;
        // The same reason, check after check, is read once.
        if let Some(more) = more.filter(|more| !more.is_empty() && before != Some(*more)) {
            writeln!(out, "{:NAME_WIDTH$}   {}", "", Escaped(more))?;
        }
        before = more;
        if let Verdict::Failed { findings } = &check.verdict {
            for finding in findings {
                writeln!(out, "{:NAME_WIDTH$}   found: {}", "", Escaped(&finding.happened))?;
                writeln!(out, "{:NAME_WIDTH$}   to do: {}", "", Escaped(&finding.remedy))?;
            }
        }
    }
    Ok(())
}

/// One JSON document: the report, and what follows from it.
pub(crate) fn json(out: &mut impl Write, report: &Report) -> io::Result<()> {
    #[derive(Serialize)]
    struct Whole<'r> {
        #[serde(flatten)]
        report: &'r Report,
        conforms: bool,
        complete: bool,
    }
    let whole = Whole { report, conforms: report.conforms(), complete: report.is_complete() };
    serde_json::to_writer_pretty(&mut *out, &whole)?;
    writeln!(out)
}
