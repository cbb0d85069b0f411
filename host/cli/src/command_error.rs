//! The words and the exit code of a failed command.
//!
//! ```text
//! error: cannot read the adapter `mine.wasm`
//! caused by: permission denied
//!
//! hint: the exact fix
//! ```
//!
//! Key type: [`CommandError`]. Every error of the program becomes one, here or beside the error's own type, and nothing is shown by `Debug`.
//! Hints that name options and sub-commands are in [`crate::hints`].

use std::error::Error;
use std::fmt;

use infrahub_sync_cache::{CacheError, NameError};
use infrahub_sync_config::Problem;
use infrahub_sync_engine::{EngineError, Fault};

use crate::args::UsageError;
use crate::exit::Exit;
use crate::hints;
use crate::locate::AdapterError;

/// A failure in words, with its exit code.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// The exit code.
    pub(crate) exit: Exit,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// One failure.
    Failure { error: String, details: Vec<String>, causes: Vec<String>, hints: Vec<String> },
    /// Places in files, each with its own words.
    Problems(Vec<Problem>),
}

impl CommandError {
    /// Returns a failure with neither cause nor hint.
    pub(crate) fn new(exit: Exit, error: impl Into<String>) -> CommandError {
        CommandError { exit, body: Body::Failure { error: error.into(), details: Vec::new(), causes: Vec::new(), hints: Vec::new() } }
    }

    /// Returns a failure with its chain of causes, without the causes that their effect already names.
    pub(crate) fn from_error(exit: Exit, error: &(dyn Error + '_)) -> CommandError {
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
        CommandError { exit, body: Body::Failure { error: text, details: Vec::new(), causes, hints: Vec::new() } }
    }

    /// Returns a failure to write to stdout.
    pub(crate) fn stdout(error: std::io::Error) -> CommandError {
        let mut failure = CommandError::new(Exit::Unexpected, "cannot write to stdout");
        if let Body::Failure { causes, .. } = &mut failure.body {
            causes.push(error.to_string());
        }
        failure
    }

    /// Returns problems in a project's files.
    pub(crate) fn problems(problems: Vec<Problem>) -> CommandError {
        CommandError { exit: Exit::Config, body: Body::Problems(problems) }
    }

    /// Adds one of several things that the failure is about, on a line below it.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> CommandError {
        if let Body::Failure { details, .. } = &mut self.body {
            details.push(detail.into());
        }
        self
    }

    /// Returns what happened and why, on one line, for a list of failures.
    pub(crate) fn error(&self) -> String {
        match &self.body {
            Body::Failure { error, causes, .. } => std::iter::once(error).chain(causes).cloned().collect::<Vec<_>>().join(": "),
            Body::Problems(problems) => problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "),
        }
    }

    /// Adds what the user can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> CommandError {
        if let Body::Failure { hints, .. } = &mut self.body {
            hints.push(hint.into());
        }
        self
    }
}

impl fmt::Display for CommandError {
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

impl From<UsageError> for CommandError {
    fn from(error: UsageError) -> CommandError {
        let failure = CommandError::from_error(Exit::Usage, &error);
        match error {
            UsageError::NoProject => failure.hint("`infrahub-sync list` lists the projects below a folder"),
            UsageError::TwoProjects => failure,
            UsageError::UnknownShell => failure.hint("name it: `--show-completion=bash`, or `infrahub-sync completions bash`"),
        }
    }
}

impl From<AdapterError> for CommandError {
    fn from(error: AdapterError) -> CommandError {
        error.hints().into_iter().fold(CommandError::from_error(Exit::Adapter, &error), CommandError::hint)
    }
}

/// The number of details, or of last lines of an adapter's output, that are shown. The rest is in the cache.
const DETAILS_MAX: usize = 20;

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> CommandError {
        let exit = match (&error, error.fault()) {
            // The run does not exist; nothing is wrong with this machine.
            (EngineError::Cache(CacheError::UnknownRun { .. } | CacheError::Name(_)), _) => Exit::Usage,
            (EngineError::NotExplained { .. }, _) => Exit::Usage,
            (EngineError::NoPlan { .. }, _) => Exit::Refused,
            (_, Fault::Config) => Exit::Config,
            (_, Fault::Data | Fault::Refused) => Exit::Refused,
            (_, Fault::Auth | Fault::Remote) => Exit::Remote,
            (_, Fault::Adapter) => Exit::Adapter,
            (_, Fault::Locked) => Exit::Locked,
            (_, Fault::Interrupted) => Exit::Interrupted,
            (_, Fault::Environment | Fault::Internal) => Exit::Unexpected,
        };
        let hints = hints::engine(&error);
        let details: Vec<String> = match &error {
            EngineError::Adapter(infrahub_sync_runtime::Error::Trap { output, .. }) => {
                // The end of a traceback says what happened.
                let lines: Vec<&str> = output.lines().collect();
                lines.iter().skip(lines.len().saturating_sub(DETAILS_MAX)).map(|line| (*line).to_owned()).collect()
            }
            error => error.details(),
        };
        let mut failure = match error {
            EngineError::Project(problems) => return CommandError::problems(problems),
            error => CommandError::from_error(exit, &error),
        };
        let more = details.len().saturating_sub(DETAILS_MAX);
        for detail in details.into_iter().take(DETAILS_MAX) {
            failure = failure.detail(detail);
        }
        if more > 0 {
            failure = failure.detail(format!("… and {more} more"));
        }
        hints.into_iter().fold(failure, CommandError::hint)
    }
}

impl From<CacheError> for CommandError {
    fn from(error: CacheError) -> CommandError {
        EngineError::from(error).into()
    }
}

impl From<infrahub_sync_runtime::Error> for CommandError {
    fn from(error: infrahub_sync_runtime::Error) -> CommandError {
        EngineError::from(error).into()
    }
}

impl From<NameError> for CommandError {
    fn from(error: NameError) -> CommandError {
        CommandError::from_error(Exit::Usage, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::PathBuf;

    #[test]
    fn usage() {
        insta::assert_snapshot!(CommandError::from(UsageError::NoProject), @r"
        error: no project is named: use --name or --config-file

        hint: `infrahub-sync list` lists the projects below a folder
        ");
        insta::assert_snapshot!(CommandError::from(UsageError::TwoProjects), @"error: --name and --config-file both name a project: use one of them");
        insta::assert_snapshot!(CommandError::from(UsageError::UnknownShell), @r"
        error: the current shell is unknown

        hint: name it: `--show-completion=bash`, or `infrahub-sync completions bash`
        ");
        assert_eq!(CommandError::from(UsageError::NoProject).exit, Exit::Usage);
    }

    #[test]
    fn a_missing_adapter() {
        let report = CommandError::from(AdapterError::Unknown {
            name: "netbx".to_owned(),
            nearest: Some("netbox".to_owned()),
            known: vec!["files".to_owned(), "netbox".to_owned()],
            searched: vec![PathBuf::from("plugins")],
        });
        insta::assert_snapshot!(report, @r"
        error: adapter `netbx` not found

        hint: did you mean `netbox`?
        hint: available adapters: files, netbox
        hint: `netbx.wasm` is not in plugins
        ");
        assert_eq!(report.exit, Exit::Adapter);
    }

    #[test]
    fn a_chain_of_causes() {
        let error = AdapterError::Unreadable {
            file: "mine.wasm".into(),
            source: io::Error::new(io::ErrorKind::PermissionDenied, "permission denied"),
        };
        insta::assert_snapshot!(CommandError::from(error), @r"
        error: cannot read the adapter `mine.wasm`
        caused by: permission denied
        ");
    }

    #[test]
    fn a_cause_is_named_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot go on: {0}")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("disk full"));
        insta::assert_snapshot!(CommandError::from_error(Exit::Unexpected, &error), @"error: cannot go on: disk full");
    }

    #[test]
    fn problems_are_separated() {
        let problem = |message: &str| Problem::of_file("a/config.yml".as_ref(), message);
        let report = CommandError::problems(vec![problem("one").with_hint("do this"), problem("two")]);
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
        use infrahub_sync_core::snapshot::{DataErrorKind, DataProblem};
        let problem = |number: u32| DataProblem {
            kind: "Device".to_owned(),
            object: number.to_string(),
            identifiers: String::new(),
            place: None,
            error: DataErrorKind::NullIdentifier { field: "name".to_owned() },
            left_out: true,
        };
        let problems = |count| EngineError::Data { side: infrahub_sync_engine::Side::Source, problems: (1..=count).map(problem).collect() };
        let report = CommandError::from(problems(2));
        insta::assert_snapshot!(report, @r"
        error: 2 source objects have missing, duplicate or unresolvable identifiers
            Device `1` has no value for its identifier `name`
            Device `2` has no value for its identifier `name`

        hint: make the identifiers unique in `schema_mapping`, or exclude the objects with `filters`
        hint: --continue-on-error leaves them out, and deletes nothing of their kinds
        ");
        assert_eq!(report.exit, Exit::Refused);
        let many = CommandError::from(problems(30)).to_string();
        assert!(many.contains("`10`") && !many.contains("`11`") && many.contains("… and 20 more"), "{many}");
        assert!(many.contains("30 Device: no value for the identifier `name`"), "{many}");
    }

    #[test]
    fn a_refusal_has_numbers_and_a_way_out() {
        use infrahub_sync_core::guardrail::{Drop, Refusal};
        let report = CommandError::from(EngineError::from(Refusal {
            drops: vec![Drop { kind: "Device".to_owned(), before: 10, now: 2 }],
            deletes: Vec::new(),
        }));
        insta::assert_snapshot!(report, @r"
        error: the source has lost more than half of its objects since the last successful run: Device 10 → 2

        hint: if the source shrank on purpose, rerun with --allow-rowcount-drop
        ");
        assert_eq!(report.exit, Exit::Refused);
        let report = CommandError::from(EngineError::Drift { run_id: "r1".to_owned(), what: "a mapping", kinds: Vec::new() });
        insta::assert_snapshot!(report, @r"
        error: the plan of run `r1` was made for a mapping that has changed since

        hint: create a new plan with `infrahub-sync diff`
        ");
        assert_eq!(report.exit, Exit::Refused);
    }

    #[test]
    fn every_fault_has_its_code() {
        use infrahub_sync_engine::Side;
        let exit = |error: EngineError| CommandError::from(error).exit;
        assert_eq!(exit(EngineError::WrongSide { adapter: "a".to_owned(), side: Side::Source }), Exit::Config);
        assert_eq!(exit(EngineError::CursorLoop { side: Side::Source, resource: "r".to_owned() }), Exit::Adapter);
        assert_eq!(exit(EngineError::NoPlan { run_id: "r".to_owned(), reason: "x".to_owned() }), Exit::Refused);
        assert_eq!(exit(EngineError::Internal("x".to_owned())), Exit::Unexpected);
        assert_eq!(exit(EngineError::Review(io::Error::other("x"))), Exit::Unexpected);
        assert_eq!(exit(EngineError::Project(Vec::new())), Exit::Config);
    }
}
