//! Why an adapter was not fetched or pushed: what happened, where, and what to do next.

use std::io;

/// A failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the server: no connection, no encryption, a time limit, a cut answer.
    #[error("{server} does not answer: {reason}")]
    Unreachable {
        /// Its host and port.
        server: String,
        /// Why, in the words of the network.
        reason: String,
        /// Its certificate is not trusted.
        untrusted: bool,
    },
    /// A variable or file of this machine is invalid.
    #[error("{0}")]
    Machine(String),
    /// The server wants credentials, or other ones.
    #[error("{server} {}", if *.had_credentials { "rejects the credentials" } else { "wants credentials" })]
    Unauthorized {
        /// Its host and port.
        server: String,
        /// There were credentials for it.
        had_credentials: bool,
        /// Its own words.
        words: String,
    },
    /// The credentials do not suffice.
    #[error("{server} does not allow this: {words}")]
    Forbidden {
        /// Its host and port.
        server: String,
        /// Its own words.
        words: String,
    },
    /// There is nothing under that name.
    #[error("`{origin}` does not exist")]
    Missing {
        /// The origin.
        origin: String,
        /// The tags that the repository has.
        tags: Vec<String>,
    },
    /// The server rejects the request, or cannot carry it out.
    #[error("{server} answers {status}: {words}")]
    Status {
        /// Its host and port.
        server: String,
        /// The status of HTTP.
        status: u16,
        /// Its own words.
        words: String,
    },
    /// There is something else than a component.
    #[error("`{origin}` is not an adapter: {what}")]
    NotAComponent {
        /// The origin.
        origin: String,
        /// The thing that is there.
        what: String,
    },
    /// The component is larger than any adapter.
    #[error("`{origin}` has more than {} MiB", .limit >> 20)]
    TooLarge {
        /// The origin.
        origin: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are not those that were announced.
    #[error("`{origin}` sent other bytes than it announced")]
    Digest {
        /// The origin.
        origin: String,
        /// The announced digest.
        expected: String,
        /// The digest of the bytes.
        found: String,
    },
    /// The address has another component than the lock file says.
    #[error("`{origin}` has another component now")]
    Changed {
        /// The origin.
        origin: String,
        /// The digest of the lock file.
        locked: String,
        /// The digest there.
        found: String,
    },
    /// The component is not signed, and the project wants a signature.
    #[error("`{origin}` is not signed")]
    Unsigned {
        /// The origin.
        origin: String,
        /// The ids of the accepted keys.
        accepted: Vec<String>,
    },
    /// The component is signed by a key that the project does not accept.
    #[error("`{origin}` is signed by the key {key}, which `trust:` does not name for it")]
    Foreign {
        /// The origin.
        origin: String,
        /// The id of its key.
        key: String,
        /// The ids of the accepted keys.
        accepted: Vec<String>,
    },
    /// The signature does not belong to these bytes.
    #[error("the signature of `{origin}` by the key {key} is invalid: the component or its signature was changed")]
    Forged {
        /// The origin.
        origin: String,
        /// The id of the key.
        key: String,
    },
    /// A key cannot be used.
    #[error("{0}")]
    Key(String),
    /// A tag holds something else already.
    #[error("`{origin}` exists, and holds another component")]
    Taken {
        /// The origin.
        origin: String,
        /// The digest of the component there.
        found: String,
        /// The digest of the one to push.
        pushed: String,
    },
    /// The store of this machine.
    #[error("cannot keep the adapter")]
    Store(#[source] io::Error),
}

/// The result of a fetch or push.
pub type Result<T> = std::result::Result<T, Error>;
