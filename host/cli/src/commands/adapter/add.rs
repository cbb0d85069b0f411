//! `adapter add`: names a published adapter in config.yml, and locks it.

use std::fs;
use std::path::Path;

use clap::{Args, ValueEnum};
use infrahub_sync_base::origin::{OciOrigin, Origin};
use infrahub_sync_config::{AdapterLocation, Project, Span};
use infrahub_sync_engine::Side;

use super::{lock, outdated};
use crate::args::{AdapterArgs, ProjectArgs};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The arguments of `adapter add`.
#[derive(Debug, Args)]
pub(super) struct AdapterAdd {
    /// Published adapter: oci://HOST/NAME:TAG (without a tag: the newest version) or https://HOST/NAME.wasm
    #[arg(value_name = "ORIGIN")]
    origin: Origin,

    /// Side of the project that it is for
    #[arg(long = "as", value_name = "SIDE")]
    side: SideName,

    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    adapters: AdapterArgs,
}

/// A side of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SideName {
    // The system that is read
    Source,
    // The system that is written
    Destination,
}

/// Changes config.yml and writes the lock file. If the adapter cannot be locked, config.yml stays as it was.
pub(super) fn run(args: &AdapterAdd, context: &Context) -> Result<Exit, CommandError> {
    let project = context.open(args.project.selection()?)?;
    let side = if args.side == SideName::Source { Side::Source } else { Side::Destination };
    let origin = with_version(&args.origin, context)?;
    let unreadable =
        |error: std::io::Error| CommandError::new(Exit::Unexpected, format!("cannot read {}: {error}", project.file.display()));
    let before = fs::read_to_string(&project.file).map_err(unreadable)?;
    let after = with_adapter(&before, project.endpoint(side).span, &origin.to_string());
    let read = after.as_ref().and_then(|after| Project::parse(after, &project.file, &context.environment).ok());
    let is_named = read.is_some_and(|read| read.endpoint(side).adapter == Some(AdapterLocation::Origin(origin.clone())));
    let Some(after) = after.filter(|_| is_named) else {
        let error = CommandError::new(Exit::Config, format!("cannot add a line to `{}:` in {}", side.as_str(), project.file.display()));
        return Err(error.hint(format!("write `adapter: \"{origin}\"` there, then run `infrahub-sync adapter lock`")));
    };
    write(&project.file, &after)?;
    let locked = context.open(args.project.selection()?).and_then(|project| {
        let folders = context.folders(Some(&project), &args.adapters);
        lock::write(&project, &folders, false, context)
    });
    match locked {
        Ok(locked) => {
            context.screen.info(&format!("{} names {origin} as {}", project.file.display(), side.as_str()));
            lock::show_locked(&locked, &context.screen);
            Ok(Exit::Done)
        }
        Err(error) => {
            write(&project.file, &before)?;
            Err(error)
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    infrahub_sync_durable::write_file(file, text.as_bytes()).map_err(|error| CommandError::from_error(Exit::Unexpected, &error))
}

/// Returns the origin with a version, the newest of its repository if it names none.
fn with_version(origin: &Origin, context: &Context) -> Result<Origin, CommandError> {
    let Origin::Oci(oci @ OciOrigin { tag: None, digest: None, .. }) = origin else { return Ok(origin.clone()) };
    let tags = context.registries().run(async |fetcher| fetcher.tags(oci).await)?;
    match outdated::newest(&tags) {
        Some(newest) => Ok(Origin::Oci(oci.at_tag(&newest))),
        None => {
            let error = CommandError::new(Exit::Usage, format!("`{origin}` has no tag that is a version"));
            Err(error.hint(format!("name a tag: {}", tags.join(", "))))
        }
    }
}

/// Returns a config.yml with `adapter:` in the mapping that begins at a place; none if the mapping has no lines of its own.
fn with_adapter(text: &str, mapping: Span, origin: &str) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (first, indent) = ((mapping.line as usize).checked_sub(1)?, (mapping.column as usize).checked_sub(1)?);
    let is_key = |line: &str, key: &str| {
        line.len() > indent
            && line.get(..indent).is_some_and(|space| space.trim().is_empty())
            && line.get(indent..).is_some_and(|rest| rest.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
    };
    let is_inside =
        |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line.len() - line.trim_start().len() >= indent;
    let length = lines.get(first..)?.iter().take_while(|line| is_inside(line)).count();
    let own = first..first + length;
    let new = format!("{}adapter: \"{origin}\"\n", " ".repeat(indent));
    let at = |key: &str| own.clone().find(|at| lines.get(*at).is_some_and(|line| is_key(line, key)));
    let (from, to) = match (at("adapter"), at("name")) {
        (Some(adapter), _) => (adapter, adapter + 1),
        (None, name) => (name? + 1, name? + 1),
    };
    let mut before = lines.get(..from)?.concat();
    if !before.is_empty() && !before.ends_with('\n') {
        before.push('\n');
    }
    Some(before + &new + &lines.get(to..)?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_to_its_side_and_the_rest_stays() {
        let at = |line, column| Span { line, column, width: 1 };
        let text = "name: x # ours\nsource:\n  # the board\n  name: acme\n  settings: {a: 1}\n\ndestination: {name: files}\n";
        let added = "name: x # ours\nsource:\n  # the board\n  name: acme\n  adapter: \"oci://h/x:1\"\n  settings: {a: 1}\n\ndestination: {name: files}\n";
        assert_eq!(with_adapter(text, at(4, 3), "oci://h/x:1").as_deref(), Some(added));
        assert_eq!(with_adapter(added, at(4, 3), "oci://h/x:2"), Some(added.replace("x:1\"", "x:2\"")));
        assert_eq!(with_adapter(text, at(7, 14), "oci://h/x:1"), None);
        assert_eq!(
            with_adapter("source:\n  name: a", at(2, 3), "oci://h/x:1").as_deref(),
            Some("source:\n  name: a\n  adapter: \"oci://h/x:1\"\n")
        );
    }
}
