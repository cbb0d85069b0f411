//! `adapter outdated`: what the origins of a project's published adapters have now. Changes nothing.

use clap::Args;
use infrahub_sync_base::origin::{OciOrigin, Origin};
use infrahub_sync_config::{AdapterLocation, AdapterLock, LOCK_FILE, LockedAdapter};
use infrahub_sync_engine::Side;
use infrahub_sync_registry::{Error, Release};
use serde::Serialize;

use crate::args::{Output, OutputArgs, ProjectArgs};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::escape::Escaped;
use crate::exit::Exit;
use crate::render::write_document;

/// The arguments of `adapter outdated`.
#[derive(Debug, Args)]
pub(super) struct AdapterOutdated {
    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// A published adapter of a project.
#[derive(Debug, Serialize)]
struct Line {
    side: &'static str,
    origin: String,
    /// The version in the lock file.
    locked: Option<String>,
    /// The version that the tag names now.
    now: Option<String>,
    /// The tag names another component than the lock file.
    moved: bool,
    /// The newest version in the repository.
    newest: Option<String>,
}

/// Prints the adapters.
pub(super) fn run(args: &AdapterOutdated, context: &Context) -> Result<Exit, CommandError> {
    let project = context.open(args.project.selection()?)?;
    let lock = AdapterLock::load(&project.directory.join(LOCK_FILE)).map_err(CommandError::problems)?;
    let mut lines = Vec::new();
    for side in [Side::Source, Side::Destination] {
        let Some(AdapterLocation::Origin(Origin::Oci(origin))) = &project.endpoint(side).adapter else { continue };
        let locked = lock.as_ref().map(|lock| if side == Side::Source { &lock.source } else { &lock.destination });
        let locked = locked.filter(|locked| locked.origin.as_ref().is_some_and(|locked| locked.origin == Origin::Oci(origin.clone())));
        let (release, tags) =
            context.registries().run(async |fetcher| Ok::<_, Error>((fetcher.release(origin).await?, fetcher.tags(origin).await?)))?;
        lines.push(line(side.as_str(), origin, locked, &release, &tags));
    }
    context.print(|mut out| match args.output.format {
        Output::Json => write_document(&mut out, &lines),
        Output::Text => lines.iter().try_for_each(|line| writeln!(out, "{}", Escaped(&words(line)))),
    })?;
    if lines.is_empty() {
        context.screen.info("No adapter of this project comes from a registry");
    }
    if lines.iter().any(|line| line.moved) {
        context.screen.info(&format!(
            "`infrahub-sync adapter update --config-file {}` locks what the tags name now, and shows what changes",
            project.file.display()
        ));
    }
    Ok(Exit::Done)
}

fn line(side: &'static str, origin: &OciOrigin, locked: Option<&LockedAdapter>, release: &Release, tags: &[String]) -> Line {
    let manifest = locked.and_then(|locked| locked.origin.as_ref()?.manifest.clone());
    Line {
        side,
        origin: origin.to_string(),
        locked: locked.map(|locked| locked.version.clone()),
        now: release.annotations.get("org.opencontainers.image.version").cloned(),
        moved: locked.is_some() && manifest != release.manifest,
        newest: newest(tags),
    }
}

/// Returns the newest version among tags. One that is not final counts only if none is.
pub(super) fn newest(tags: &[String]) -> Option<String> {
    let versions = tags.iter().filter_map(|tag| Some((semver::Version::parse(tag).ok()?, tag)));
    versions.max_by(|(one, _), (other, _)| (one.pre.is_empty(), one).cmp(&(other.pre.is_empty(), other))).map(|(_, tag)| tag.clone())
}

fn words(line: &Line) -> String {
    let mut words = format!("{}: {}", line.side, line.origin);
    words += &line.locked.as_ref().map_or_else(|| ", not locked".to_owned(), |locked| format!(", locked {locked}"));
    let now = line.now.as_deref().unwrap_or("of unknown version");
    words += &match (line.moved, line.locked.is_some()) {
        (true, _) => format!(", the tag names another one now: {now}"),
        (false, true) => ", up to date".to_owned(),
        (false, false) => format!(", the tag names {now}"),
    };
    match &line.newest {
        Some(newest) if Some(newest) != line.locked.as_ref() => words + &format!("; the newest version is {newest}"),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_a_final_one() {
        let newest = |tags: &[&str]| newest(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert_eq!(newest(&["1", "latest", "1.9.0", "1.10.0", "2.0.0-rc.1"]).as_deref(), Some("1.10.0"));
        assert_eq!(newest(&["2.0.0-rc.1", "2.0.0-rc.2"]).as_deref(), Some("2.0.0-rc.2"));
        assert_eq!(newest(&["latest", "1"]), None);
    }
}
