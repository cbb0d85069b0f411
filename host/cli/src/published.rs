//! Published adapters: fetched as the lock file names them, and resolved when it is written.
//!
//! Key types: [`Registries`] (the way to them), [`Unpublished`] (why an adapter is not used).
//!
//! Invariants: [`Registries::locked`] takes only what the lock file names, by digest. Only [`Registries::resolve`] asks an origin what it has
//! now, and only the commands that write the lock file call it.

use std::borrow::Cow;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use infrahub_sync_base::origin::Origin;
use infrahub_sync_config::{AdapterLock, LOCK_FILE, LockedAdapter, LockedComponent, LockedOrigin, Problem, Project, Trust};
use infrahub_sync_registry::{Error, Fetched, Fetcher, Release, Wanted};

use crate::command_error::CommandError;
use crate::context::Environment;
use crate::exit::Exit;
use crate::locate::{Located, Place};

/// The way to published adapters: the environment with its credentials and proxies, and the store of this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registries {
    environment: Option<Environment>,
    store: Option<PathBuf>,
}

/// Why a published adapter is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unpublished {
    /// The lock file does not name it.
    #[error("the adapter `{origin}` is not locked")]
    NotLocked {
        /// The origin in config.yml.
        origin: String,
        /// The project's config.yml.
        config: PathBuf,
        /// The origins that the lock file names.
        locked: Vec<String>,
    },
    /// The lock file has no publisher that the project accepts.
    #[error("the adapter `{origin}` is locked {}, and `trust:` wants another one", match .publisher { Some(publisher) => format!("with the publisher {publisher}"), None => "without a publisher".to_owned() })]
    NotTrusted {
        /// The origin.
        origin: String,
        /// The project's config.yml.
        config: PathBuf,
        /// The publisher in the lock file.
        publisher: Option<String>,
    },
    /// No rule of `trust:` is about it.
    #[error("`trust:` has no rule for the adapter `{origin}`")]
    NoRule {
        /// The origin.
        origin: String,
        /// The project's config.yml.
        config: PathBuf,
    },
    /// The lock file cannot be read.
    #[error("the lock file cannot be read")]
    Lock(Vec<Problem>),
    /// It cannot be fetched.
    #[error(transparent)]
    Fetch(Box<Error>),
    /// The file in the store does not count, and it cannot be fetched again.
    #[error("{error}")]
    Store {
        /// Why it cannot be fetched.
        #[source]
        error: Box<Error>,
        /// Why the file does not count.
        why: String,
    },
}

impl From<Error> for Unpublished {
    fn from(error: Error) -> Unpublished {
        Unpublished::Fetch(Box::new(error))
    }
}

impl Unpublished {
    /// Returns the error of an origin that no lock file names.
    pub(crate) fn not_locked(origin: &Origin, project: &Path) -> Unpublished {
        Unpublished::NotLocked { origin: origin.to_string(), config: project.join("config.yml"), locked: Vec::new() }
    }

    /// Returns what the user can do.
    pub(crate) fn hints(&self) -> Vec<String> {
        let lock = |config: &Path| format!("`infrahub-sync adapter lock --config-file {}`", config.display());
        match self {
            Unpublished::NotLocked { config, locked, .. } => {
                let mut hints = Vec::new();
                if !locked.is_empty() {
                    hints.push(format!("{LOCK_FILE} names {}", locked.join(" and ")));
                }
                hints.push(format!("a run fetches only what {LOCK_FILE} names; to fetch, check and lock it, run {}", lock(config)));
                hints
            }
            Unpublished::NotTrusted { config, .. } => {
                vec![format!("to check its signature and lock the publisher, run {}", lock(config))]
            }
            Unpublished::NoRule { origin, config } => {
                let pattern =
                    origin.parse::<Origin>().ok().and_then(|origin| Some(origin.oci()?.repository())).unwrap_or_else(|| origin.clone());
                vec![format!(
                    "if you trust its publisher, add to `trust:` in {}: `- {{origins: [\"{pattern}\"], keys: [RW…]}}`",
                    config.display()
                )]
            }
            Unpublished::Lock(_) => Vec::new(),
            Unpublished::Fetch(error) => hints(error),
            Unpublished::Store { error, why } => std::iter::once(format!("{why}; remove it")).chain(hints(error)).collect(),
        }
    }
}

impl From<Unpublished> for CommandError {
    fn from(error: Unpublished) -> CommandError {
        let exit = match &error {
            Unpublished::Fetch(error) | Unpublished::Store { error, .. } => exit(error),
            _ => Exit::Adapter,
        };
        let hints = error.hints();
        let details = match &error {
            Unpublished::Fetch(error) => details(error),
            _ => Vec::new(),
        };
        let failure = match error {
            Unpublished::Lock(problems) => return CommandError::problems(problems),
            error => CommandError::from_error(exit, &error),
        };
        let failure = details.into_iter().fold(failure, CommandError::detail);
        hints.into_iter().fold(failure, CommandError::hint)
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> CommandError {
        Unpublished::from(error).into()
    }
}

/// Returns the exit code of a failure.
fn exit(error: &Error) -> Exit {
    match error {
        Error::Unreachable { .. } | Error::Unauthorized { .. } | Error::Forbidden { .. } | Error::Status { .. } => Exit::Remote,
        Error::Machine(_) | Error::Store(_) => Exit::Unexpected,
        Error::Key(_) => Exit::Usage,
        _ => Exit::Adapter,
    }
}

fn details(error: &Error) -> Vec<String> {
    match error {
        Error::Digest { expected, found, .. } => vec![format!("expected: {expected}"), format!("found:    {found}")],
        Error::Changed { locked, found, .. } => vec![format!("locked: {locked}"), format!("found:  {found}")],
        Error::Taken { found, pushed, .. } => vec![format!("there:  {found}"), format!("pushed: {pushed}")],
        Error::Unauthorized { words, .. } => vec![words.clone()],
        _ => Vec::new(),
    }
}

/// The number of tags in a hint.
const TAGS_SHOWN: usize = 10;

fn hints(error: &Error) -> Vec<String> {
    let keys = |accepted: &[String]| match accepted {
        [] => "`trust:` in config.yml names no key for it".to_owned(),
        accepted => format!("`trust:` accepts the keys {}", accepted.join(", ")),
    };
    let hint = match error {
        Error::Unreachable { untrusted: true, .. } => "name its authority in REQUESTS_CA_BUNDLE".to_owned(),
        Error::Unreachable { .. } => "check the address, the network and the proxy variables".to_owned(),
        Error::Unauthorized { server, had_credentials: false, .. } => {
            format!("log in with `docker login {server}`, or set DOCKER_AUTH_CONFIG to the JSON of its config.json")
        }
        Error::Unauthorized { server, .. } => format!("log in again with `docker login {server}`"),
        Error::Forbidden { .. } => "use the credentials of an account that may do this".to_owned(),
        Error::Missing { tags, .. } if tags.is_empty() => "check the name; some registries hide what they do not allow".to_owned(),
        Error::Missing { tags, .. } => {
            let more = tags.len().saturating_sub(TAGS_SHOWN);
            let shown: Vec<&str> = tags.iter().rev().take(TAGS_SHOWN).map(String::as_str).collect();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("it has the tags {}{more}", shown.join(", "))
        }
        Error::NotAComponent { .. } => "name the adapter's own repository".to_owned(),
        Error::Digest { .. } => {
            "the answer was damaged or changed on its way: try again, and report it to the registry if it stays".to_owned()
        }
        Error::Changed { .. } => {
            "nothing of it is used; if its publisher says that this is right, run `infrahub-sync adapter update` and review the changes"
                .to_owned()
        }
        Error::Unsigned { accepted, .. } => format!("{}; ask the publisher to sign it with one of them", keys(accepted)),
        Error::Foreign { accepted, .. } => {
            format!("{}; compare the key with the one that the publisher announces, and add it only if it is the same", keys(accepted))
        }
        Error::Forged { .. } => "do not use it, and report it to the publisher".to_owned(),
        Error::Taken { .. } => "raise the adapter's version: the tag of a version never changes; or say --replace".to_owned(),
        _ => return Vec::new(),
    };
    vec![hint]
}

impl Registries {
    /// Takes the environment, and the folder of the store.
    pub(crate) fn new(environment: Environment, store: Option<PathBuf>) -> Registries {
        Registries { environment: Some(environment), store }
    }

    /// Runs work that contacts registries.
    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(&Fetcher<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let none: Environment = |_| None;
        let environment = self.environment.unwrap_or(none);
        block_on(async { work(&Fetcher::new(&environment, self.store.as_deref())).await })
    }

    /// Returns the component that the lock file names for an origin, from the store or from there.
    pub(crate) fn locked(&self, name: &str, origin: &Origin, project: &Project) -> Result<Located, Unpublished> {
        let lock = AdapterLock::load(&project.directory.join(LOCK_FILE)).map_err(Unpublished::Lock)?;
        let Some((digest, locked)) = lock.as_ref().and_then(|lock| entry(lock, origin)) else {
            let sides = lock.iter().flat_map(|lock| [&lock.source, &lock.destination]);
            let locked = sides.filter_map(|side| Some(format!("`{}`", side.origin.as_ref()?.origin))).collect();
            return Err(Unpublished::NotLocked { origin: origin.to_string(), config: project.file.clone(), locked });
        };
        let keys = keys(&project.trust, origin, project)?;
        if let Some(keys) = &keys
            && !locked.publisher.as_ref().is_some_and(|publisher| keys.iter().any(|(id, _)| id == publisher))
        {
            let publisher = locked.publisher.clone();
            return Err(Unpublished::NotTrusted { origin: origin.to_string(), config: project.file.clone(), publisher });
        }
        let keys = keys.map(|keys| keys.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
        let wanted = Wanted { manifest: locked.manifest.as_deref(), digest: Some(digest), keys: keys.as_deref() };
        let fetched = self.run(async |fetcher| match fetcher.stored(digest) {
            Ok(Some(component)) => Ok(Ok((component, None))),
            Ok(None) => fetcher.fetch(origin, wanted).await.map(|fetched| Ok((fetched.component, Some(fetched.release)))),
            Err(why) => Ok(match fetcher.fetch(origin, wanted).await {
                Ok(fetched) => Ok((fetched.component, Some(fetched.release))),
                Err(error) => Err((error, why)),
            }),
        })?;
        let (component, release) = fetched.map_err(|(error, why)| Unpublished::Store { error: Box::new(error), why })?;
        Ok(located(name, origin, component, locked.clone(), release))
    }

    /// Returns whether a run would fetch the component that the lock file names for an origin: this machine's store does not have it.
    pub(crate) fn would_fetch(&self, origin: &Origin, project: &Project) -> bool {
        let Ok(Some(lock)) = AdapterLock::load(&project.directory.join(LOCK_FILE)) else { return false };
        let Some((digest, _)) = entry(&lock, origin) else { return false };
        !matches!(self.run(async |fetcher| Ok(fetcher.stored(digest))), Ok(Ok(Some(_))))
    }

    /// Returns the component that an origin has: as the lock file names it, or (with `update`) as it is now. Its signature is checked.
    pub(crate) fn resolve(&self, name: &str, origin: &Origin, project: &Project, update: bool) -> Result<Located, Unpublished> {
        let lock = AdapterLock::load(&project.directory.join(LOCK_FILE)).map_err(Unpublished::Lock)?;
        let before = lock.as_ref().and_then(|lock| entry(lock, origin)).filter(|_| !update);
        let keys = keys(&project.trust, origin, project)?;
        let keys = keys.map(|keys| keys.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
        let wanted = Wanted {
            manifest: before.as_ref().and_then(|(_, locked)| locked.manifest.as_deref()),
            digest: before.as_ref().map(|(digest, _)| *digest),
            keys: keys.as_deref(),
        };
        let Fetched { release, component, publisher } = self.run(async |fetcher| fetcher.fetch(origin, wanted).await)?;
        let locked = LockedOrigin { origin: origin.clone(), manifest: release.manifest.clone(), publisher };
        Ok(located(name, origin, component, locked, Some(release)))
    }

    /// Returns the component that an origin has now, to look at it.
    pub(crate) fn shown(&self, origin: &Origin) -> Result<Located, Unpublished> {
        let Fetched { release, component, publisher } = self.run(async |fetcher| fetcher.fetch(origin, Wanted::default()).await)?;
        let locked = LockedOrigin { origin: origin.clone(), manifest: release.manifest.clone(), publisher };
        Ok(located(origin.stem(), origin, component, locked, Some(release)))
    }
}

fn located(name: &str, origin: &Origin, component: Vec<u8>, published: LockedOrigin, release: Option<Release>) -> Located {
    let place = Place::Published(origin.clone(), Arc::new(component.clone()));
    Located { name: name.to_owned(), bytes: Cow::Owned(component), place, published: Some(published), release }
}

/// Returns what a lock file says of an origin: the digest of its component, and where that was.
fn entry<'l>(lock: &'l AdapterLock, origin: &Origin) -> Option<(&'l str, &'l LockedOrigin)> {
    let entry = |side: &'l LockedAdapter| match (&side.component, &side.origin) {
        (LockedComponent::Digest(digest), Some(locked)) if locked.origin == *origin => Some((digest.as_str(), locked)),
        _ => None,
    };
    [&lock.source, &lock.destination].into_iter().find_map(entry)
}

/// Returns the ids and keys that a project accepts for an origin; none if it accepts unsigned adapters.
fn keys(trust: &Trust, origin: &Origin, project: &Project) -> Result<Option<Vec<(String, String)>>, Unpublished> {
    let Some(keys) = trust.keys(origin) else { return Ok(None) };
    if keys.is_empty() {
        return Err(Unpublished::NoRule { origin: origin.to_string(), config: project.file.clone() });
    }
    Ok(Some(keys.into_iter().map(|key| (key.id().to_owned(), key.to_string())).collect()))
}

/// Runs asynchronous work to its end.
fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tasks.map_err(|error| Error::Machine(format!("the network cannot be used: {error}")))?.block_on(work)
}
