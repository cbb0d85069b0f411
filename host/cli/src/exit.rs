//! Exit codes, all of them, in one place.
//!
//! A script must be able to tell "there are differences" from "the option was misspelt" and both from "NetBox was down".
//! Therefore 2 belongs to `diff --detailed-exitcode` alone (as in `terraform plan`), and a command line that cannot be
//! understood exits with 64, `EX_USAGE` of `sysexits.h`.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or in sync.
    Done,
    /// A defect of ours, or something about this machine: a full disk, a folder that may not be written.
    Unexpected,
    /// `diff --detailed-exitcode`: there is something to create, update or delete.
    Differences,
    /// The project cannot be used: `config.yml`, the mapping, a transform, no such project.
    Config,
    /// An adapter was not found, does not fit this program, is not the accepted one, or broke: a trap, a limit, a page that makes no sense.
    Adapter,
    /// The other system did not answer, refused the credentials or refused the request.
    Remote,
    /// Nothing was written, on purpose: the rowcount guardrail, data without a clear identity, a schema that has drifted.
    Refused,
    /// The destination took some of the changes and not others, or `--continue-on-error` left something out.
    Partial,
    /// Another run of the same sync is at work.
    Locked,
    /// The command line makes no sense.
    Usage,
    /// Stopped by Ctrl-C: 128 + SIGINT, as shells count.
    Interrupted,
}

impl Exit {
    /// The number.
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

/// The table as `--help` shows it. It stands beside the enum so that nobody changes one without the other.
pub(crate) const TABLE: &str = "\
Exit codes:
    0  done, or in sync
    1  unexpected: a defect, or this machine (disk full, no permission)
    2  differences found (diff --detailed-exitcode only)
    3  the project cannot be used: config.yml, the mapping, no such project
    4  an adapter is missing, does not fit, is not the accepted one or broke
    5  a system did not answer or refused the request
    6  refused, nothing written: guardrail, unclear identities, schema drift
    7  partly done: the destination refused some changes, or data was left out
    8  another run of the same sync is at work
   64  the command line makes no sense
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
