//! What a failed command says, and how it exits.
//!
//! ```text
//! error: cannot read the adapter `mine.wasm`
//! caused by: permission denied
//!
//! hint: the exact fix
//! ```
//!
//! Key type: [`Report`]. Every error of the program becomes one, here or beside the error's own type; nothing is shown by `Debug`.

use std::error::Error;
use std::fmt;

use infrahub_sync_cache::CacheError;
use infrahub_sync_config::Problem;
use infrahub_sync_engine::{EngineError, Fault};

use crate::args::UsageError;
use crate::completions::InstallError;
use crate::exit::Exit;
use crate::locate::AdapterError;

/// A failure, in words.
#[derive(Debug)]
pub(crate) struct Report {
    /// How the program exits.
    pub(crate) exit: Exit,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// One failure.
    Failure { error: String, details: Vec<String>, causes: Vec<String>, hints: Vec<String> },
    /// Places in files, each with words of its own.
    Problems(Vec<Problem>),
}

impl Report {
    /// A failure with neither cause nor hint.
    pub(crate) fn new(exit: Exit, error: impl Into<String>) -> Report {
        Report { exit, body: Body::Failure { error: error.into(), details: Vec::new(), causes: Vec::new(), hints: Vec::new() } }
    }

    /// A failure with its chain of causes. A cause that its effect has told already is left out.
    pub(crate) fn from_error(exit: Exit, error: &(dyn Error + '_)) -> Report {
        let text = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            let words = cause.to_string();
            let told = causes.last().unwrap_or(&text).contains(words.as_str());
            if !told {
                causes.push(words);
            }
            next = cause.source();
        }
        Report { exit, body: Body::Failure { error: text, details: Vec::new(), causes, hints: Vec::new() } }
    }

    /// Problems in a project's files.
    pub(crate) fn problems(problems: Vec<Problem>) -> Report {
        Report { exit: Exit::Config, body: Body::Problems(problems) }
    }

    /// The same with one of several things that the failure is about; a line below it.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Report {
        if let Body::Failure { details, .. } = &mut self.body {
            details.push(detail.into());
        }
        self
    }

    /// What happened and why, on one line, for a list of failures.
    pub(crate) fn error(&self) -> String {
        match &self.body {
            Body::Failure { error, causes, .. } => std::iter::once(error).chain(causes).cloned().collect::<Vec<_>>().join(": "),
            Body::Problems(problems) => problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "),
        }
    }

    /// The same with what the user can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Report {
        if let Body::Failure { hints, .. } = &mut self.body {
            hints.push(hint.into());
        }
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Failure { error, details, causes, hints } => {
                write!(f, "error: {error}")?;
                for detail in details {
                    write!(f, "\n    {}", detail.replace('\n', "\n    "))?;
                }
                for cause in causes {
                    write!(f, "\ncaused by: {cause}")?;
                }
                if !hints.is_empty() {
                    f.write_str("\n")?;
                }
                for hint in hints {
                    write!(f, "\nhint: {hint}")?;
                }
                Ok(())
            }
            Body::Problems(problems) => {
                for (index, problem) in problems.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n\n")?;
                    }
                    problem.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

impl From<UsageError> for Report {
    fn from(error: UsageError) -> Report {
        let report = Report::from_error(Exit::Usage, &error);
        match error {
            UsageError::NoProject => report.hint("`infrahub-sync list` shows the projects below a folder"),
            UsageError::TwoProjects => report,
            UsageError::UnknownShell => report.hint("name it: `--show-completion=bash`, or `infrahub-sync completions bash`"),
        }
    }
}

impl From<AdapterError> for Report {
    fn from(error: AdapterError) -> Report {
        error.hints().into_iter().fold(Report::from_error(Exit::Adapter, &error), Report::hint)
    }
}

impl From<InstallError> for Report {
    fn from(error: InstallError) -> Report {
        let report = Report::from_error(Exit::Unexpected, &error);
        match error {
            InstallError::Unsupported(shell) => report.hint(format!("`infrahub-sync completions {shell}` prints them")),
            InstallError::NoHome | InstallError::Write { .. } => report,
        }
    }
}

/// How many records of a kind of trouble, or lines of an adapter's last words, are shown; the rest is in the cache.
const DETAILS_MAX: usize = 20;

impl From<EngineError> for Report {
    fn from(error: EngineError) -> Report {
        let exit = match (&error, error.fault()) {
            // What was asked for is not there; nothing is wrong with this machine.
            (EngineError::Cache(CacheError::UnknownRun { .. } | CacheError::Name(_)), _) => Exit::Usage,
            (EngineError::NoPlan { .. }, _) => Exit::Refused,
            (_, Fault::Config) => Exit::Config,
            (_, Fault::Data | Fault::Refused) => Exit::Refused,
            (_, Fault::Auth | Fault::Remote) => Exit::Remote,
            (_, Fault::Adapter) => Exit::Adapter,
            (_, Fault::Locked) => Exit::Locked,
            (_, Fault::Interrupted) => Exit::Interrupted,
            (_, Fault::Environment | Fault::Internal) => Exit::Unexpected,
        };
        let hints = error.hints();
        let details: Vec<String> = match &error {
            EngineError::Adapter(infrahub_sync_runtime::Error::Trap { output, .. }) => {
                // The end of a traceback is what tells.
                let lines: Vec<&str> = output.lines().collect();
                lines.iter().skip(lines.len().saturating_sub(DETAILS_MAX)).map(|line| (*line).to_owned()).collect()
            }
            error => error.details(),
        };
        let mut report = match error {
            EngineError::Project(problems) => return Report::problems(problems),
            error => Report::from_error(exit, &error),
        };
        let more = details.len().saturating_sub(DETAILS_MAX);
        for detail in details.into_iter().take(DETAILS_MAX) {
            report = report.detail(detail);
        }
        if more > 0 {
            report = report.detail(format!("… and {more} more"));
        }
        hints.into_iter().fold(report, Report::hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::PathBuf;

    #[test]
    fn usage() {
        insta::assert_snapshot!(Report::from(UsageError::NoProject), @r"
        error: no project is named: give one of --name and --config-file

        hint: `infrahub-sync list` shows the projects below a folder
        ");
        insta::assert_snapshot!(Report::from(UsageError::TwoProjects), @"error: --name and --config-file name a project each: give one of them");
        insta::assert_snapshot!(Report::from(UsageError::UnknownShell), @r"
        error: the current shell is unknown

        hint: name it: `--show-completion=bash`, or `infrahub-sync completions bash`
        ");
        assert_eq!(Report::from(UsageError::NoProject).exit, Exit::Usage);
    }

    #[test]
    fn an_adapter_that_is_not_there() {
        let report = Report::from(AdapterError::Unknown {
            name: "netbx".to_owned(),
            nearest: Some("netbox".to_owned()),
            known: vec!["files".to_owned(), "netbox".to_owned()],
            searched: vec![PathBuf::from("plugins")],
        });
        insta::assert_snapshot!(report, @r"
        error: there is no adapter called `netbx`

        hint: did you mean `netbox`?
        hint: known adapters: files, netbox
        hint: `netbx.wasm` was searched in plugins
        ");
        assert_eq!(report.exit, Exit::Adapter);
    }

    #[test]
    fn a_chain_of_causes() {
        let error = AdapterError::Unreadable {
            file: "mine.wasm".into(),
            source: io::Error::new(io::ErrorKind::PermissionDenied, "permission denied"),
        };
        insta::assert_snapshot!(Report::from(error), @r"
        error: cannot read the adapter `mine.wasm`
        caused by: permission denied
        ");
    }

    #[test]
    fn a_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot go on: {0}")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("disk full"));
        insta::assert_snapshot!(Report::from_error(Exit::Unexpected, &error), @"error: cannot go on: disk full");
    }

    #[test]
    fn problems_stand_apart() {
        let problem = |message: &str| Problem::of_file("a/config.yml".as_ref(), message);
        let report = Report::problems(vec![problem("one").with_hint("do this"), problem("two")]);
        insta::assert_snapshot!(report, @r"
        error: one
         --> a/config.yml

        hint: do this

        error: two
         --> a/config.yml
        ");
        assert_eq!(report.exit, Exit::Config);
    }
    #[test]
    fn data_without_identity() {
        use infrahub_sync_core::snapshot::{DataProblem, Trouble};
        let problem = |number: u32| DataProblem {
            kind: "Device".to_owned(),
            object: number.to_string(),
            trouble: Trouble::NullIdentifier { field: "name".to_owned() },
            left_out: true,
        };
        let problems = |count| EngineError::Data { side: infrahub_sync_engine::Side::Source, problems: (1..=count).map(problem).collect() };
        let report = Report::from(problems(2));
        insta::assert_snapshot!(report, @r"
        error: 2 of the source cannot be identified or resolved
            Device `1` has no value for its identifier `name`
            Device `2` has no value for its identifier `name`

        hint: make the identifiers unique in `schema_mapping`, or leave the objects out with `filters`
        hint: with --continue-on-error they are left out and nothing of their kind is deleted
        ");
        assert_eq!(report.exit, Exit::Refused);
        let many = Report::from(problems(30)).to_string();
        assert!(many.contains("`20`") && !many.contains("`21`") && many.contains("… and 10 more"), "{many}");
    }

    #[test]
    fn a_refusal_has_numbers_and_a_way_out() {
        use infrahub_sync_core::guardrail::{Drop, Refusal};
        let report = Report::from(EngineError::from(Refusal {
            drops: vec![Drop { kind: "Device".to_owned(), before: 10, now: 2 }],
            deletes: Vec::new(),
        }));
        insta::assert_snapshot!(report, @r"
        error: the source has lost more than half of its objects since the last successful run: Device 10 → 2

        hint: if the source has shrunk on purpose, run again with --allow-rowcount-drop
        ");
        assert_eq!(report.exit, Exit::Refused);
        let report = Report::from(EngineError::Drift { run_id: "r1".to_owned(), what: "a mapping", kinds: Vec::new() });
        insta::assert_snapshot!(report, @r"
        error: the plan of run `r1` was made for a mapping that has changed since

        hint: make a new plan with `infrahub-sync diff`
        ");
        assert_eq!(report.exit, Exit::Refused);
    }

    #[test]
    fn every_fault_has_its_code() {
        use infrahub_sync_engine::Side;
        let exit = |error: EngineError| Report::from(error).exit;
        assert_eq!(exit(EngineError::WrongSide { adapter: "a".to_owned(), side: Side::Source }), Exit::Config);
        assert_eq!(exit(EngineError::CursorLoop { side: Side::Source, resource: "r".to_owned() }), Exit::Adapter);
        assert_eq!(exit(EngineError::NoPlan { run_id: "r".to_owned(), reason: "x".to_owned() }), Exit::Refused);
        assert_eq!(exit(EngineError::Internal("x".to_owned())), Exit::Unexpected);
        assert_eq!(exit(EngineError::Review(io::Error::other("x"))), Exit::Unexpected);
        assert_eq!(exit(EngineError::Project(Vec::new())), Exit::Config);
    }
}
