//! Accepts the adapters of a run: by `digest:` in config.yml, and by the lock file beside it.
//!
//! The lock file is compared once both adapters have described themselves, and before either of them is opened.

use std::path::{Path, PathBuf};

use infrahub_sync_config::adapter_lock::{Abilities, FolderAbility, SecretSource};
use infrahub_sync_config::{AdapterLock, Grants, LOCK_FILE, LockedAdapter, LockedComponent, Project};
use infrahub_sync_runtime::{AdapterName, Error, SettingsError};

use super::describe::{Described, Runtimes};
use super::pin::check_pin;
use crate::{EngineError, RunContext, Side};

/// An adapter that the project accepts.
pub(crate) struct Accepted<'a>(Described<'a>);

impl<'a> Accepted<'a> {
    /// Compares all adapters of a run with the lock file, if the project has one.
    ///
    /// # Errors
    /// When one of them differs from what the file accepts: then none is accepted.
    pub(crate) fn all<const SIDES: usize>(
        cx: &RunContext<'_>,
        described: [Described<'a>; SIDES],
    ) -> Result<[Accepted<'a>; SIDES], EngineError> {
        described.iter().try_for_each(|described| check_credentials(cx.project, described))?;
        check_lock(cx, &described)?;
        Ok(described.map(Accepted))
    }

    /// Gives the adapter up to be opened.
    pub(super) fn into_described(self) -> Described<'a> {
        self.0
    }
}

/// The result of `adapter lock`.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The lock file.
    pub path: PathBuf,
    /// Its content now.
    pub lock: AdapterLock,
    /// The changes that are accepted now, a line each: `source: digest: … → …`. Empty for a first lock.
    pub accepted: Vec<String>,
    /// The abilities that are no longer needed, a line each.
    pub dropped: Vec<String>,
    /// There was a lock file before.
    pub replaced: bool,
    /// The file did not change.
    pub unchanged: bool,
}

/// Writes the lock file of a project, which accepts its adapters as they are now.
///
/// # Errors
/// When an adapter cannot be loaded or is not the pinned one, when an address or folder is missing, or when the file cannot be written.
pub async fn lock_adapters(cx: &RunContext<'_>) -> Result<Locked, EngineError> {
    let (path, before) = read(cx.project)?;
    let runtimes = Runtimes::new(cx)?;
    let sides = tokio::try_join!(Described::new(cx, &runtimes, Side::Source), Described::new(cx, &runtimes, Side::Destination))?;
    let sides: [Described<'_>; 2] = sides.into();
    for described in &sides {
        // A lock without the address would stop every run that has one.
        let problems = described.abilities.problems.clone();
        if !problems.is_empty() {
            let name = &described.manifest;
            let adapter = AdapterName { role: Some(described.side), name: name.name.clone(), version: name.version.clone() };
            return Err(Error::Settings(SettingsError { adapter: adapter.into(), problems }).into());
        }
    }
    let [source, destination] = sides.each_ref().map(locked);
    let lock = AdapterLock { source, destination };
    let accepted = before.as_ref().map(|before| objections(before, &sides)).unwrap_or_default();
    let dropped = before.as_ref().map(|before| less(before, &lock)).unwrap_or_default();
    let text = lock.to_text();
    let unchanged = std::fs::read_to_string(&path).is_ok_and(|there| there == text);
    if !unchanged {
        infrahub_sync_durable::write_file(&path, text.as_bytes())
            .map_err(|error| EngineError::File { path: path.display().to_string(), source: error.source })?;
    }
    Ok(Locked { path, lock, accepted, dropped, replaced: before.is_some(), unchanged })
}

/// Checks that credentials are sent only in the ways that `grants.credentials` names, if the project has that list.
fn check_credentials(project: &Project, described: &Described<'_>) -> Result<(), EngineError> {
    let Some(granted) = &project.endpoint(described.side).grants.credentials else { return Ok(()) };
    let all = &described.abilities.credentials;
    let ways: Vec<String> = all.iter().filter(|way| !granted.contains(way)).cloned().collect();
    if ways.is_empty() {
        return Ok(());
    }
    let line = Grants::credentials_line(all);
    Err(EngineError::NotGranted { side: described.side, adapter: described.manifest.name.clone(), ways, line })
}

/// Returns every way in which the adapters of a project differ from `digest:` and from the lock file.
///
/// Loads nothing without `digest:` and lock file. `required`: a missing lock file is an error.
pub async fn check_adapters(cx: &RunContext<'_>, required: bool) -> Vec<EngineError> {
    let sides = [(Side::Source, cx.source.as_ref()), (Side::Destination, Some(&cx.destination))];
    let mut errors: Vec<EngineError> =
        sides.into_iter().filter_map(|(side, adapter)| check_pin(cx.project, side, adapter?).err()).collect();
    let lock = match read(cx.project) {
        Ok((_, Some(_))) => compare(cx).await,
        Ok((path, None)) if required => Err(EngineError::NoAdapterLock { path: path.display().to_string(), config: config(cx.project) }),
        Ok((_, None)) => Ok(()),
        Err(error) => Err(error),
    };
    // A component other than the pinned one is in the list already.
    errors.extend(lock.err().filter(|error| !matches!(error, EngineError::NotPinned { .. })));
    errors
}

async fn compare(cx: &RunContext<'_>) -> Result<(), EngineError> {
    let runtimes = Runtimes::new(cx)?;
    let (source, destination) =
        tokio::try_join!(Described::new(cx, &runtimes, Side::Source), Described::new(cx, &runtimes, Side::Destination))?;
    check_lock(cx, &[source, destination])
}

/// Compares adapters with the lock file, if the project has one.
fn check_lock(cx: &RunContext<'_>, described: &[Described<'_>]) -> Result<(), EngineError> {
    let (path, Some(lock)) = read(cx.project)? else { return Ok(()) };
    let objections = objections(&lock, described);
    if objections.is_empty() {
        return Ok(());
    }
    Err(EngineError::NotAccepted { path: path.display().to_string(), objections, config: config(cx.project) })
}

fn read(project: &Project) -> Result<(PathBuf, Option<AdapterLock>), EngineError> {
    let path = project.directory.join(LOCK_FILE);
    // Without the dot of a config.yml in the working directory: the message is shorter.
    let path = path.strip_prefix(".").map_or_else(|_| path.clone(), Path::to_owned);
    let lock = AdapterLock::load(&path).map_err(EngineError::Project)?;
    Ok((path, lock))
}

fn config(project: &Project) -> String {
    project.file.display().to_string()
}

/// Puts the side before each line.
fn with_side(side: Side, lines: Vec<String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(move |line| format!("{}: {line}", side.as_str()))
}

fn objections(lock: &AdapterLock, described: &[Described<'_>]) -> Vec<String> {
    let of_side = |described: &Described<'_>| {
        let before = match described.side {
            Side::Source => &lock.source,
            Side::Destination => &lock.destination,
        };
        with_side(described.side, before.objections(&locked(described)))
    };
    described.iter().flat_map(of_side).collect()
}

/// Returns what the first lock allows and the second does not.
fn less(before: &AdapterLock, now: &AdapterLock) -> Vec<String> {
    let source = with_side(Side::Source, before.source.abilities.beyond(&now.source.abilities));
    source.chain(with_side(Side::Destination, before.destination.abilities.beyond(&now.destination.abilities))).collect()
}

/// Returns an adapter as a lock file describes it.
fn locked(described: &Described<'_>) -> LockedAdapter {
    let abilities = &described.abilities;
    LockedAdapter {
        adapter: described.manifest.name.clone(),
        version: described.manifest.version.clone(),
        contract: described.adapter.contract().to_owned(),
        component: match described.built_in {
            true => LockedComponent::BuiltIn,
            false => LockedComponent::Digest(described.adapter.digest()),
        },
        origin: described.published.clone(),
        abilities: Abilities {
            address: abilities.address.iter().cloned().collect(),
            origins: abilities.origins.clone(),
            networks: abilities.networks.clone(),
            folder: abilities.folder.clone().map(|(path, write)| FolderAbility { path, write }),
            environment: abilities.environment.clone(),
            visible: abilities.visible.clone(),
            headers: abilities.headers.clone(),
            // Those of a built-in adapter change with the program.
            credentials: if described.built_in { Vec::new() } else { abilities.credentials.clone() },
            secrets: abilities
                .secrets
                .iter()
                .map(|(name, in_settings)| (name.clone(), if *in_settings { SecretSource::Settings } else { SecretSource::Environment }))
                .collect(),
            limits: abilities.limits.clone(),
        },
    }
}
