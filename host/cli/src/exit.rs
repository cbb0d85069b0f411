//! The exit codes.
//!
//! A script must distinguish "there are differences" from "the option was misspelt" and from "NetBox was down". Therefore only
//! `drift` and `diff --detailed-exitcode` exit with 2 (as `terraform plan` does), and an invalid command line exits with 64, `EX_USAGE` of `sysexits.h`.

use std::process::ExitCode;

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or in sync.
    Done,
    /// A defect of this program, or a problem of this machine: a full disk, a read-only folder.
    Unexpected,
    /// `diff --detailed-exitcode`: there is something to create, update or delete. `drift`: the destination has changed.
    Differences,
    /// The project cannot be used: `config.yml`, the mapping, a transform, a missing project.
    Config,
    /// An adapter is missing, incompatible, not accepted, or failed: a trap, a limit, an invalid page.
    Adapter,
    /// A system did not answer, or rejected the credentials or the request.
    Remote,
    /// Nothing was written: the guardrail, objects that cannot be used, or a changed schema prevented it.
    Refused,
    /// The destination rejected some changes, or `--continue-on-error` left objects out.
    Partial,
    /// Another run of the same sync is running.
    Locked,
    /// The command line is invalid.
    Usage,
    /// Stopped by Ctrl-C: 128 + SIGINT, as shells count.
    Interrupted,
}

impl Exit {
    /// Returns the exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Unexpected => 1,
            Exit::Differences => 2,
            Exit::Config => 3,
            Exit::Adapter => 4,
            Exit::Remote => 5,
            Exit::Refused => 6,
            Exit::Partial => 7,
            Exit::Locked => 8,
            Exit::Usage => 64,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The table that `--help` shows. It is beside the enum so that both change together.
pub(crate) const TABLE: &str = "\
Exit codes:
    0  success, or in sync
    1  internal error, or a problem of this machine (disk full, no permission)
    2  differences found (only with diff --detailed-exitcode), or drift found (drift)
    3  project unusable: config.yml, the mapping, or no such project
    4  adapter missing, incompatible, not accepted, or failed
    5  a system did not answer, or rejected a request
    6  nothing written: guardrail, objects that cannot be used, or a changed schema
    7  partial: the destination rejected some changes, or objects were left out
    8  another run of the same sync is running
   64  invalid command line
  130  interrupted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_code_once() {
        let shown: Vec<u8> = TABLE.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect();
        let codes = [
            Exit::Done,
            Exit::Unexpected,
            Exit::Differences,
            Exit::Config,
            Exit::Adapter,
            Exit::Remote,
            Exit::Refused,
            Exit::Partial,
            Exit::Locked,
            Exit::Usage,
            Exit::Interrupted,
        ]
        .map(Exit::code);
        assert_eq!(shown, codes);
    }
}
