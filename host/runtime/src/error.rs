//! The ways in which an adapter can fail, and whose fault each is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use infrahub_sync_base::Side as Role;

use crate::advice::below;
use crate::limits::Exceeded;
use crate::settings::SettingsError;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Which adapter an error is about: ``source `netbox` 0.1.0``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterName {
    /// The side it plays, once it is opened.
    pub role: Option<Role>,
    /// Its name.
    pub name: String,
    /// Its version; empty as long as it has not described itself.
    pub version: String,
}

impl fmt::Display for AdapterName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Some(role) => write!(out, "{role} `{}`", self.name)?,
            None => write!(out, "adapter `{}`", self.name)?,
        }
        if !self.version.is_empty() {
            write!(out, " {}", self.version)?;
        }
        Ok(())
    }
}

/// The cases of a failure that an adapter reports; the contract's `error-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// A setting or the mapping asks for something that cannot work.
    Config,
    /// The remote system rejected the credentials, or they do not permit this.
    Auth,
    /// The resource or object does not exist.
    NotFound,
    /// The object exists already, or was modified by another user.
    Conflict,
    /// The remote system rejected the data.
    Invalid,
    /// The remote system asks for fewer requests.
    RateLimited,
    /// No answer.
    Transport,
    /// The remote system failed, or sent an invalid answer.
    Remote,
    /// The adapter cannot do this.
    Unsupported,
    /// A defect of the adapter.
    Internal,
}

impl FailureKind {
    /// Returns the kind as one word, for reports (`errors.parquet`).
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Config => "config",
            FailureKind::Auth => "auth",
            FailureKind::NotFound => "not-found",
            FailureKind::Conflict => "conflict",
            FailureKind::Invalid => "invalid",
            FailureKind::RateLimited => "rate-limited",
            FailureKind::Transport => "transport",
            FailureKind::Remote => "remote",
            FailureKind::Unsupported => "unsupported",
            FailureKind::Internal => "internal",
        }
    }

    /// Returns whose fault a failure of this kind is.
    pub fn fault_kind(self) -> FaultKind {
        match self {
            FailureKind::Config => FaultKind::Config,
            FailureKind::Auth => FaultKind::Auth,
            FailureKind::NotFound
            | FailureKind::Conflict
            | FailureKind::Invalid
            | FailureKind::RateLimited
            | FailureKind::Transport
            | FailureKind::Remote => FaultKind::Remote,
            FailureKind::Unsupported | FailureKind::Internal => FaultKind::Adapter,
        }
    }

    /// Returns whether the same request may succeed later.
    pub fn is_transient(self) -> bool {
        matches!(self, FailureKind::RateLimited | FailureKind::Transport | FailureKind::Remote)
    }
}

/// A failure that an adapter reports, of a call or of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The case.
    pub kind: FailureKind,
    /// One sentence for the user. Credentials are masked.
    pub message: String,
    /// The HTTP status that caused it.
    pub http_status: Option<u16>,
    /// How long the remote system asked to wait.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        match self.http_status {
            // Most adapters name the status already.
            Some(status) if !self.message.contains(&status.to_string()) => write!(out, " (HTTP {status})"),
            _ => Ok(()),
        }
    }
}

/// The work that comes before all calls.
pub(crate) const COMPILE: &str = "compile";

/// Returns where a limit was reached: words that follow the limit.
fn place(call: &str, resource: Option<&str>) -> String {
    match resource {
        _ if call == COMPILE => String::new(),
        Some(resource) => format!(", in `{call}` of `{resource}`"),
        None => format!(", in `{call}`"),
    }
}

/// Whose fault an error is; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The project's configuration.
    Config,
    /// The credentials.
    Auth,
    /// The remote system or the way to it.
    Remote,
    /// The adapter.
    Adapter,
    /// This program or the machine it runs on.
    Internal,
}

/// Why an adapter could not be loaded, opened or called.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The guest's code stopped: a panic, an uncaught exception, `unreachable`.
    #[error("{adapter} stopped in `{call}`: {message}")]
    Trap {
        /// The adapter.
        adapter: Arc<AdapterName>,
        /// The contract's function that was called.
        call: &'static str,
        /// The sandbox's reason.
        message: String,
        /// The end of what the guest wrote to its stderr; a traceback, often.
        output: String,
    },
    /// The adapter went beyond a limit.
    #[error("{adapter} {exceeded}{}", place(call, resource.as_deref()))]
    Limit {
        /// The adapter.
        adapter: Arc<AdapterName>,
        /// The contract's function that was called, or the work before the first call.
        call: &'static str,
        /// The resource that was read, where one was.
        resource: Option<String>,
        /// The limit and its value.
        exceeded: Exceeded,
        /// The failure that the adapter returned, where it got an error.
        failure: Option<Failure>,
    },
    /// The adapter reports a failure.
    #[error("{adapter}: {failure}")]
    Adapter {
        /// The adapter.
        adapter: Arc<AdapterName>,
        /// The failure.
        failure: Failure,
    },
    /// A call failed in which the adapter was denied something.
    #[error("{adapter} was denied: {reason}")]
    Denied {
        /// The adapter.
        adapter: Arc<AdapterName>,
        /// The denial, and the line that would allow it.
        reason: String,
        /// The failure that the adapter made of it.
        failure: Failure,
    },
    /// A call would write, and the session only reads. The adapter was not called.
    #[error("{adapter}: this session only reads, and `{call}` writes")]
    OnlyReads {
        /// The adapter.
        adapter: Arc<AdapterName>,
        /// The contract's function.
        call: &'static str,
    },
    /// The settings of one side cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The adapter broke a promise of the contract.
    #[error("{adapter} broke the contract in `{call}`: {reason}")]
    Contract {
        /// The adapter.
        adapter: Arc<AdapterName>,
        /// The contract's function that was called.
        call: &'static str,
        /// The promise.
        reason: String,
    },
    /// This program cannot run the file as an adapter.
    #[error("{adapter} cannot be used: {reason}")]
    Incompatible {
        /// The adapter.
        adapter: Arc<AdapterName>,
        /// Which side is too old, or what is missing.
        reason: String,
    },
    /// The adapter cannot play that side of a sync.
    #[error("{adapter} cannot be used {reason}")]
    Role {
        /// The adapter.
        adapter: Arc<AdapterName>,
        /// `as a source` or `as a destination`.
        reason: &'static str,
    },
    /// A recording cannot be read or written.
    #[error("the recorded exchanges in {} {reason}", path.display())]
    Exchanges {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Something of this program's own.
    #[error("the adapter runtime failed: {reason}")]
    Runtime {
        /// The reason.
        reason: String,
    },
}

impl Error {
    /// Returns whose fault it is.
    pub fn fault_kind(&self) -> FaultKind {
        match self {
            Error::Adapter { failure, .. } => failure.kind.fault_kind(),
            Error::Settings(_) | Error::Role { .. } | Error::Denied { .. } | Error::Exchanges { .. } => FaultKind::Config,
            Error::Trap { .. } | Error::Limit { .. } | Error::Contract { .. } | Error::Incompatible { .. } => FaultKind::Adapter,
            Error::OnlyReads { .. } | Error::Runtime { .. } => FaultKind::Internal,
        }
    }

    /// Returns the adapter that it is about, where there is one.
    pub fn adapter(&self) -> Option<&AdapterName> {
        match self {
            Error::Trap { adapter, .. }
            | Error::Limit { adapter, .. }
            | Error::Adapter { adapter, .. }
            | Error::Denied { adapter, .. }
            | Error::OnlyReads { adapter, .. }
            | Error::Contract { adapter, .. }
            | Error::Role { adapter, .. }
            | Error::Incompatible { adapter, .. } => Some(adapter),
            Error::Settings(error) => Some(&error.adapter),
            Error::Exchanges { .. } | Error::Runtime { .. } => None,
        }
    }

    /// Returns the failure that the adapter reported, where it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Adapter { failure, .. } | Error::Denied { failure, .. } => Some(failure),
            Error::Limit { failure, .. } => failure.as_ref(),
            _ => None,
        }
    }

    /// Returns the remedy for the user: the exact line of config.yml, where there is one.
    pub fn hint(&self) -> Option<String> {
        let Error::Limit { adapter, exceeded, .. } = self else { return None };
        // An adapter that only describes itself is not configured yet.
        let role = adapter.role?;
        Some(match exceeded.limit.raise(exceeded.value) {
            Some(line) => format!("if that is right for this adapter, write {}: `{line}`", below(Some(role))),
            None => format!("that is the most that `limits.{}` can be", exceeded.limit.name()),
        })
    }

    pub(crate) fn runtime(reason: impl fmt::Display) -> Self {
        Error::Runtime { reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_well() {
        let mut name = AdapterName { role: None, name: "netbox".into(), version: String::new() };
        assert_eq!(name.to_string(), "adapter `netbox`");
        name.role = Some(Role::Source);
        name.version = "0.1.0".into();
        assert_eq!(name.to_string(), "source `netbox` 0.1.0");
    }

    #[test]
    fn a_limit_names_adapter_limit_value_and_the_line_that_raises_it() {
        use infrahub_sync_base::limits::Limit;
        let error = |role, limit: Limit, value| Error::Limit {
            adapter: Arc::new(AdapterName { role, name: "netbox".into(), version: "0.1.0".into() }),
            call: "load",
            resource: Some("dcim.devices".into()),
            exceeded: Exceeded { limit, value },
            failure: None,
        };
        let told = error(Some(Role::Source), Limit::Memory, 256 << 20);
        assert_eq!(told.to_string(), "source `netbox` 0.1.0 needs more than 256 MiB of memory, in `load` of `dcim.devices`");
        assert_eq!(
            told.hint().unwrap(),
            "if that is right for this adapter, write under `source:` in config.yml: `limits: {memory: 512 MiB}`"
        );
        assert_eq!(told.fault_kind(), FaultKind::Adapter);
        assert_eq!(error(Some(Role::Source), Limit::Instances, 256).hint().unwrap(), "that is the most that `limits.instances` can be");
        assert_eq!(error(None, Limit::Memory, 1 << 20).hint(), None);
    }

    #[test]
    fn the_status_is_said_once() {
        let mut failure = Failure { kind: FailureKind::Remote, message: "no luck".into(), http_status: Some(500), retry_after: None };
        assert_eq!(failure.to_string(), "no luck (HTTP 500)");
        failure.message = "the server answered 500".into();
        assert_eq!(failure.to_string(), "the server answered 500");
    }
}
