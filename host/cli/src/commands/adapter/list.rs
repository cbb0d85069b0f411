//! `adapter list`: built-in adapters, adapters in the adapter folders, and those in the project's own files.
//!
//! A broken adapter does not hide the others: its error goes to stderr, and its exit code becomes the command's.

use std::path::Path;

use clap::Args;
use infrahub_sync_config::Project;
use infrahub_sync_engine::Side;

use crate::args::{Output, OutputArgs, SearchArgs};
use crate::builtin;
use crate::command_error::CommandError;
use crate::context::{Context, locate_endpoint};
use crate::examiner::{Examiner, limits_of};
use crate::exit::Exit;
use crate::locate::{Folders, Listed, Located, listed};
use crate::render::adapters::{self as render, AdapterLine, BrokenAdapter};
use crate::screen::Screen;

/// The arguments of `adapter list`.
#[derive(Debug, Args)]
pub(super) struct AdapterList {
    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the adapters.
pub(super) fn run(args: &AdapterList, context: &Context) -> Result<Exit, CommandError> {
    let (project, folders) = context.search(&args.search)?;
    for folder in args.search.adapters.paths.iter().filter(|folder| !folder.is_dir()) {
        context.screen.warn(&format!("the folder {} does not exist", folder.display()));
    }
    let mut lines = Vec::new();
    let mut broken = Vec::new();
    let all = with_project(listed(&folders, builtin::ALL), project.as_ref(), &folders, |name, error| {
        broken.push(report(name, None, error, &context.screen));
    });
    if !all.is_empty() {
        let examiner = Examiner::new(context)?;
        for Listed { name, place, hidden_by, used_as } in all {
            let limits = limits_of(&place, project.as_ref(), &folders);
            let component = place.read(builtin::ALL).map_err(CommandError::from);
            let examined = component.and_then(|component| examiner.examine(&component, &name, &limits));
            match examined {
                Ok((adapter, manifest)) => {
                    lines.push(AdapterLine { name, contract: adapter.contract().to_owned(), manifest, place, hidden_by, used_as });
                }
                Err(error) => broken.push(report(name, place.file(), error, &context.screen)),
            }
        }
    }
    context.print(|mut out| match args.output.format {
        Output::Text => render::text(&mut out, &lines),
        Output::Json => render::json(&mut out, &lines, &broken),
    })?;
    Ok(if broken.is_empty() { Exit::Done } else { Exit::Adapter })
}

/// Marks the adapters that the project uses, and puts those that only its config.yml names before the others.
fn with_project(
    mut all: Vec<Listed>,
    project: Option<&Project>,
    folders: &Folders,
    mut missing: impl FnMut(String, CommandError),
) -> Vec<Listed> {
    let mut own = Vec::new();
    let sides = project.into_iter().flat_map(|project| [(Side::Source, project), (Side::Destination, project)]);
    for (side, project) in sides {
        let endpoint = project.endpoint(side);
        match locate_endpoint(endpoint, project, folders) {
            Ok(Located { name, place, .. }) => match all.iter_mut().find(|listed| listed.place.is(&place)) {
                Some(listed) => listed.used_as.push(side.as_str()),
                None => own.push(Listed { name, place, hidden_by: None, used_as: vec![side.as_str()] }),
            },
            Err(error) => missing(endpoint.name.clone(), error),
        }
    }
    own.into_iter().chain(all).collect()
}

/// Shows why an adapter cannot be used.
fn report(name: String, file: Option<&Path>, error: CommandError, screen: &Screen) -> BrokenAdapter {
    let error = match file {
        Some(file) => error.hint(format!("`{name}` is the adapter in {}", file.display())),
        None => error,
    };
    screen.write(&format!("{error}\n"));
    BrokenAdapter { name, file: file.map(Path::to_owned), error: error.error() }
}
