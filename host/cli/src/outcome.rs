//! Shows what an apply did.

use infrahub_sync_engine::{Applied, Failure, Outcomes, Stopped};

use crate::command_error::CommandError;
use crate::escape::Escaped;
use crate::exit::Exit;
use crate::render::plural;
use crate::screen::Screen;

/// The number of objects in one line, if all failed for the same reason.
const NAMED_TOGETHER: usize = 5;

/// Groups failures with the same text, in the order of the first of each.
fn grouped(failures: &[Failure]) -> Vec<Vec<&Failure>> {
    let mut groups: Vec<Vec<&Failure>> = Vec::new();
    for failure in failures {
        let alike = |group: &&mut Vec<&Failure>| {
            group
                .first()
                .is_some_and(|first| (first.action, &first.kind, &first.reason) == (failure.action, &failure.kind, &failure.reason))
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(failure),
            None => groups.push(vec![failure]),
        }
    }
    groups
}

/// Shows what was written and what was not, and returns the exit code.
pub(crate) fn show_outcome(applied: &Applied, screen: &Screen) -> Exit {
    show_failures(applied, screen);
    let run_id = &applied.run.run_id;
    let sentence = sentence(applied);
    if let Some(stopped) = &applied.stopped {
        let (exit, what) = match stopped {
            Stopped::Interrupted => (Exit::Interrupted, "interrupted".to_owned()),
            Stopped::Failures(most) => (Exit::Partial, format!("stopped after {most} {}", plural(*most, "failure", "failures"))),
        };
        let error =
            CommandError::new(exit, format!("{what}: {sentence}")).hint(format!("run `infrahub-sync apply --run-id {run_id}` to resume"));
        screen.write(&error.to_string());
        return error.exit;
    }
    let errors = applied.run.directory.join("errors.parquet");
    let Outcomes { created, updated, deleted, unchanged, failed, skipped, .. } = applied.counts;
    if failed + skipped > 0 {
        let error = CommandError::new(Exit::Partial, format!("the plan was applied only in part: {sentence}"))
            .hint(format!("{} lists every change that was not written", errors.display()))
            .hint(format!("run `infrahub-sync apply --run-id {run_id}` to retry them"));
        screen.write(&error.to_string());
        return error.exit;
    }
    if created + updated + deleted + unchanged > 0 {
        screen.info(&format!("Applied: {sentence}"));
    }
    if applied.run.summary.is_whole() {
        return Exit::Done;
    }
    // The user asked for it, and yet a script must notice that a part of the source is missing.
    let reasons = applied.run.summary.kinds.iter().filter_map(|kind| Some((&kind.kind, kind.partial_reason.as_ref()?)));
    for (kind, reason) in reasons.clone() {
        screen.warn(&format!("the sync is partial: nothing of {} was deleted: {}", Escaped(kind), Escaped(reason)));
    }
    if reasons.count() == 0 || applied.run.summary.problems > 0 {
        screen.warn(&format!("the sync is partial: objects that cannot be used were left out; {} lists them", errors.display()));
    }
    Exit::Partial
}

/// Shows the changes that were not written.
fn show_failures(applied: &Applied, screen: &Screen) {
    for alike in grouped(&applied.failures) {
        let Some(failure) = alike.first() else { continue };
        let action = failure.action.as_str();
        let named: Vec<String> = alike.iter().take(NAMED_TOGETHER).map(|failure| format!("`{}`", failure.unique_id)).collect();
        let more = alike.len().checked_sub(NAMED_TOGETHER).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
        let objects = format!("{}{}", named.join(", "), more.unwrap_or_default());
        let error = CommandError::new(Exit::Partial, format!("could not {action} {} {objects}: {}", failure.kind, failure.reason));
        screen.write(&failure.reason.hint().into_iter().fold(error, CommandError::hint).to_string());
    }
    let more = (applied.counts.failed + applied.counts.skipped).saturating_sub(applied.failures.len() as u64);
    if more > 0 {
        screen.write(&format!("error: {more} more {} not written", plural(more, "change was", "changes were")));
    }
}

/// Counts the changes: `3 created, 1 updated, 0 deleted, 2 failed`.
fn sentence(applied: &Applied) -> String {
    let Outcomes { created, updated, deleted, unchanged, failed, skipped, done_before, no_effect } = applied.counts;
    let mut sentence = format!("{created} created, {updated} updated, {deleted} deleted");
    let others = [
        (done_before, "written earlier"),
        (unchanged, "already there"),
        (failed, "failed"),
        (skipped, "skipped because a change they need failed"),
        (applied.left, "not tried"),
        (no_effect, "without effect"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        sentence.push_str(&format!(", {count} {what}"));
    }
    sentence
}
