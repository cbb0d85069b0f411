//! Whether the adapters of a run are those that the project accepts: `digest:` in config.yml, and the lock file beside it.
//!
//! A pinned digest is compared before anything of the component is compiled. The lock is compared once both adapters have described
//! themselves, which they do without any grant, and before either of them is opened: a run that is not accepted has sent nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use infrahub_sync_config::adapter_lock::{Abilities, FolderAbility, SecretSource};
use infrahub_sync_config::{AdapterLock, LOCK_FILE, LockedAdapter, LockedComponent, Project};
use infrahub_sync_runtime::{AdapterName, Error, SettingsError, digest};

use crate::load::{Prepared, Runtimes};
use crate::{AdapterSource, EngineError, RunContext, Side};

/// What `adapter lock` did.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The file.
    pub path: PathBuf,
    /// What it says now.
    pub lock: AdapterLock,
    /// What was not accepted before, a line each: `source: digest: … → …`. Of a first lock, nothing.
    pub accepted: Vec<String>,
    /// What was accepted before and is not needed any more, a line each.
    pub dropped: Vec<String>,
    /// There was a lock file.
    pub replaced: bool,
    /// The file is as it was.
    pub unchanged: bool,
}

/// Writes the lock file of a project: its adapters as they are now are accepted.
///
/// # Errors
/// When an adapter cannot be loaded or is not the pinned one, when an address or folder is not known, or when the file cannot be written.
pub async fn lock_adapters(cx: &RunContext<'_>) -> Result<Locked, EngineError> {
    let (path, before) = read(cx.project)?;
    let runtimes = Runtimes::new(cx)?;
    let (source, destination) =
        tokio::try_join!(Prepared::new(cx, &runtimes, Side::Source), Prepared::new(cx, &runtimes, Side::Destination))?;
    for prepared in [&source, &destination] {
        // A lock without the address would stop every run that has one.
        let problems = prepared.abilities.problems.clone();
        if !problems.is_empty() {
            let name = &prepared.manifest;
            let adapter = AdapterName { role: Some(prepared.side), name: name.name.clone(), version: name.version.clone() };
            return Err(Error::Settings(SettingsError { adapter: adapter.into(), problems }).into());
        }
    }
    let lock = AdapterLock { source: locked(&source), destination: locked(&destination) };
    let accepted = before.as_ref().map(|before| objections(before, &[&source, &destination])).unwrap_or_default();
    let dropped = before.as_ref().map(|before| less(before, &lock)).unwrap_or_default();
    let text = lock.to_text();
    let unchanged = std::fs::read_to_string(&path).is_ok_and(|there| there == text);
    if !unchanged {
        write(&path, &text).map_err(|source| EngineError::File { path: path.display().to_string(), source })?;
    }
    Ok(Locked { path, lock, accepted, dropped, replaced: before.is_some(), unchanged })
}

/// What is wrong with the adapters of a project: those that are not the pinned ones, and what the lock file does not accept. All of it.
///
/// Without `digest:` and lock file nothing is loaded. `required`: there must be a lock file.
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
    // A component that is not the pinned one has been told.
    errors.extend(lock.err().filter(|error| !matches!(error, EngineError::NotPinned { .. })));
    errors
}

async fn compare(cx: &RunContext<'_>) -> Result<(), EngineError> {
    let runtimes = Runtimes::new(cx)?;
    let (source, destination) =
        tokio::try_join!(Prepared::new(cx, &runtimes, Side::Source), Prepared::new(cx, &runtimes, Side::Destination))?;
    check_lock(cx, &[&source, &destination])
}

/// Compares a component with `digest:`, if the project has one for that side.
pub(crate) fn check_pin(project: &Project, side: Side, adapter: &AdapterSource) -> Result<(), EngineError> {
    let Some(pin) = &project.endpoint(side).digest else { return Ok(()) };
    let found = digest(&adapter.bytes);
    if found == pin.digest {
        return Ok(());
    }
    Err(EngineError::NotPinned {
        side,
        adapter: adapter.name.clone(),
        origin: adapter.origin.clone(),
        place: format!("{}:{}", project.file.display(), pin.span.line),
        pinned: pin.digest.clone(),
        found,
    })
}

/// Compares adapters with the lock file, if the project has one.
pub(crate) fn check_lock(cx: &RunContext<'_>, prepared: &[&Prepared<'_>]) -> Result<(), EngineError> {
    let (path, Some(lock)) = read(cx.project)? else { return Ok(()) };
    let objections = objections(&lock, prepared);
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

/// Lines with their side before them.
fn with_side(side: Side, lines: Vec<String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(move |line| format!("{}: {line}", side.as_str()))
}

fn objections(lock: &AdapterLock, prepared: &[&Prepared<'_>]) -> Vec<String> {
    let of_side = |prepared: &&Prepared<'_>| {
        let before = match prepared.side {
            Side::Source => &lock.source,
            Side::Destination => &lock.destination,
        };
        with_side(prepared.side, before.objections(&locked(prepared)))
    };
    prepared.iter().flat_map(of_side).collect()
}

/// What the first lock allows and the second does not.
fn less(before: &AdapterLock, now: &AdapterLock) -> Vec<String> {
    let source = with_side(Side::Source, before.source.abilities.beyond(&now.source.abilities));
    source.chain(with_side(Side::Destination, before.destination.abilities.beyond(&now.destination.abilities))).collect()
}

/// An adapter as a lock file has it.
fn locked(prepared: &Prepared<'_>) -> LockedAdapter {
    let abilities = &prepared.abilities;
    LockedAdapter {
        adapter: prepared.manifest.name.clone(),
        version: prepared.manifest.version.clone(),
        contract: prepared.adapter.contract().to_owned(),
        component: match prepared.built_in {
            true => LockedComponent::BuiltIn,
            false => LockedComponent::Digest(prepared.adapter.digest()),
        },
        abilities: Abilities {
            address: abilities.address.iter().cloned().collect(),
            origins: abilities.origins.clone(),
            networks: abilities.networks.clone(),
            folder: abilities.folder.clone().map(|(path, write)| FolderAbility { path, write }),
            environment: abilities.environment.clone(),
            secrets: abilities
                .secrets
                .iter()
                .map(|(name, in_settings)| (name.clone(), if *in_settings { SecretSource::Settings } else { SecretSource::Environment }))
                .collect(),
        },
    }
}

/// Puts a file in its place so that a reader sees the old one or the new one, whole, also after a power cut.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_file_name(format!(".{LOCK_FILE}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
