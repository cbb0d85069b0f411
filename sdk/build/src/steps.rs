//! The steps of a long command: each one is announced and timed, and a table closes the command.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use infrahub_sync_components::run::{Fault, complain, say};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Skipped,
    Unfinished,
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Skipped => "skipped",
            Outcome::Unfinished => "not finished",
            Outcome::Failed => "FAILED",
        }
    }
}

/// The steps that have run.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    rows: Vec<(String, Outcome, Duration)>,
    notes: Vec<String>,
}

impl Steps {
    /// Runs a step and prints how long it took. Returns its value, or `None` when it failed.
    pub(crate) fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T, Fault>) -> Option<T> {
        say(&format!("\n== {name}"));
        let start = Instant::now();
        let result = step();
        let outcome = if result.is_ok() { Outcome::Passed } else { Outcome::Failed };
        self.add(name, outcome, start.elapsed());
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                complain(&format!("{name}: {fault}"));
                None
            }
        }
    }

    /// Adds a step that ran elsewhere.
    pub(crate) fn add(&mut self, name: &str, outcome: Outcome, duration: Duration) {
        say(&format!("{name}: {} in {:.1} s", outcome.word(), duration.as_secs_f32()));
        self.rows.push((name.to_owned(), outcome, duration));
    }

    /// Notes what this machine could not do. The table repeats it.
    pub(crate) fn note(&mut self, reason: String) {
        self.notes.push(reason);
    }

    /// Prints the table. Returns an error that names the steps that failed.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        say(&self.table());
        let failed: Vec<&str> = self.rows.iter().filter(|row| row.1 == Outcome::Failed).map(|row| row.0.as_str()).collect();
        if failed.is_empty() { Ok(()) } else { Err(Fault(format!("failed: {}", failed.join(", ")))) }
    }

    /// Returns true if a step failed.
    pub(crate) fn any_failed(&self) -> bool {
        self.rows.iter().any(|row| row.1 == Outcome::Failed)
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.0.chars().count()).max().unwrap_or_default().max("total".len());
        let mut table = String::new();
        let all = self.rows.iter().map(|row| row.2).sum();
        let rows = self.rows.iter().map(|(name, outcome, duration)| (name.as_str(), outcome.word(), *duration));
        for (name, outcome, duration) in rows.chain([("total", "", all)]) {
            // Writing to a String cannot fail.
            let _ = write!(table, "\n{name:width$}  {}  {outcome}", minutes(duration));
            table.truncate(table.trim_end().len());
        }
        for note in &self.notes {
            let _ = write!(table, "\nskipped: {note}");
        }
        table
    }
}

/// Returns minutes and seconds, right-aligned.
fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    format!("{:3}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_step_and_what_was_skipped() {
        let mut steps = Steps::default();
        steps.add("format", Outcome::Passed, Duration::from_millis(1400));
        steps.add("live servers", Outcome::Skipped, Duration::from_secs(61));
        steps.note("no JDK".to_owned());
        assert_eq!(steps.table(), "\nformat          0:01  passed\nlive servers    1:01  skipped\ntotal           1:02\nskipped: no JDK");
        assert!(steps.end().is_ok() && !steps.any_failed());
    }

    #[test]
    fn a_failed_step_is_named_and_the_others_run_all_the_same() {
        let mut steps = Steps::default();
        assert!(steps.run("lints", || Err::<(), _>(Fault("a warning".to_owned()))).is_none());
        assert_eq!(steps.run("tests", || Ok(1)), Some(1));
        assert_eq!(steps.end().map_err(|fault| fault.0), Err("failed: lints".to_owned()));
    }
}
