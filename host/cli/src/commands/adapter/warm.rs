//! `adapter warm`: adapters are compiled before their first run.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::args::SearchArgs;
use crate::builtin;
use crate::command_error::CommandError;
use crate::context::{Context, locate_endpoint};
use crate::examiner::{Examiner, limits_of, locate_named};
use crate::exit::Exit;
use crate::locate::{Located, listed};
use infrahub_sync_engine::Side;

/// The arguments of `adapter warm`.
#[derive(Debug, Args)]
pub(super) struct AdapterWarm {
    /// Components or names of adapters [default: those of the project; without a project, all that can be found]
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    adapters: Vec<PathBuf>,

    #[command(flatten)]
    search: SearchArgs,
}

/// Compiles the adapters, and prints their names.
pub(super) fn run(args: &AdapterWarm, context: &Context) -> Result<Exit, CommandError> {
    let (project, folders) = context.search(&args.search)?;
    let mut found = Vec::new();
    for named in &args.adapters {
        found.push(locate_named(named, project.as_ref(), &folders)?);
    }
    if let (true, Some(project)) = (args.adapters.is_empty(), &project) {
        for side in [Side::Source, Side::Destination] {
            found.push(locate_endpoint(project.endpoint(side), project, &folders)?);
        }
    } else if args.adapters.is_empty() {
        for each in listed(&folders, builtin::ALL) {
            found.push(Located {
                name: each.name,
                bytes: each.place.read(builtin::ALL)?,
                place: each.place,
                published: None,
                release: None,
            });
        }
    }
    let examiner = Examiner::new(context)?;
    for Located { name, bytes, place, .. } in found {
        examiner.examine(&bytes, &name, &limits_of(&place, project.as_ref(), &folders))?;
        context.print(|out| writeln!(out, "{name}"))?;
    }
    if let Some(folder) = context.user_cache("components") {
        context
            .screen
            .info(&format!("Their compiled form is in {}; an image that holds this folder starts them at once", folder.display()));
    }
    Ok(Exit::Done)
}
