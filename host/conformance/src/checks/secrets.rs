//! Secrets: the guest never has them, and must not hand on what a server repeats of them.

use super::not_carried_out;
use super::reading::Lists;
use crate::report::{Finding, Verdict};
use crate::subject::{Opening, Subject, Trouble};
use crate::system::{Fault, Unrecorded};

pub(super) async fn secrets(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    if subject.canaries().is_empty() {
        return Verdict::not_applicable("it has no secrets");
    }
    // A server that repeats what it was sent, as some do when they refuse it.
    let canaries: Vec<&str> = subject.canaries().iter().map(|(_, canary)| canary.as_str()).collect();
    let echo = serde_json::json!({ "detail": format!("invalid credentials: {}", canaries.join(" ")), "sent": canaries }).to_string();
    let mut echoed = 0;
    for reading in lists.read.iter().filter(|reading| reading.asked > 0).take(1) {
        for at in 0..reading.asked.min(3) {
            let opening = Opening {
                folder: reading.folder.as_ref().map(tempfile::TempDir::path),
                unrecorded: Unrecorded::NotFound,
                fault: Some((Some(at), Fault::Echo(echo.clone()))),
                ..Opening::new(reading.role)
            };
            let attempt = match subject.open(&opening).await {
                Ok(opened) => opened.list(&reading.request, None, false).await.map(drop),
                Err(trouble) => Err(trouble),
            };
            echoed += 1;
            if let Err(trouble @ Trouble::Limit(_)) = attempt {
                return not_carried_out(&trouble).unwrap_or_else(|| Verdict::not_checked(trouble.shown()));
            }
        }
    }
    let mut leaks = subject.leaks();
    leaks.sort();
    leaks.dedup();
    let findings: Vec<Finding> = leaks
        .into_iter()
        .map(|leak| {
            Finding::new(leak, "quote a server's refusal as it is, so that the host can mask it, or not at all; never change its letters")
        })
        .collect();
    match Verdict::of(findings, format!("everything that it said, and {echoed} refusals that repeat the credentials")) {
        Verdict::Passed { .. } if echoed == 0 && subject.manifest.address_setting.is_some() => {
            lists.each(Verdict::not_checked("reading sends no requests"))
        }
        verdict => verdict,
    }
}
