//! `explain`: the way of one object through a cached run.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{Output, OutputArgs, ProjectArgs, Selection, UsageError};
use crate::cached::{no_runs, sync_of_run};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, Look};
use crate::screen::data_has_colour;

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Kind of the object
    #[arg(value_name = "KIND")]
    kind: String,

    /// Unique id as diff prints it (`a__b`), the object's id in one of the systems, or its key as a JSON array
    #[arg(value_name = "KEY")]
    key: String,

    #[command(flatten)]
    project: ProjectArgs,

    /// Run id, as diff and sync print it [default: the latest run]; without a project, the sync that has this run
    #[arg(long, value_name = "RUN_ID")]
    run_id: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Explains the object.
pub(super) fn run(args: &Explain, context: &Context) -> Result<Exit, CommandError> {
    let root = context.cache_root()?;
    let sync = match (args.project.selection(), &args.run_id) {
        // The cache knows the sync by its name; its project may no longer exist.
        (Ok(Selection::Name { name, .. }), _) => name.to_owned(),
        (Ok(file @ Selection::File(_)), _) => context.open(file)?.name,
        (Err(UsageError::NoProject), Some(run_id)) => sync_of_run(&root, run_id)?,
        (Err(error), _) => return Err(error.into()),
    };
    let explained = engine::explain(&root, &sync, args.run_id.as_deref(), (&args.kind, &args.key))?;
    let explanation = explained.ok_or_else(|| no_runs(&root, &sync))?;
    let look = Look::new(data_has_colour(), context.is_verbose());
    context.print(|out| match args.output.format {
        Output::Text => render::explain::text(out, &explanation, &look),
        Output::Json => render::explain::json(out, &explanation),
    })?;
    Ok(Exit::Done)
}
