//! `validate`: whether a project can be used, as far as that is known without contacting a system.

use clap::Args;
use infrahub_sync_engine as engine;

use crate::args::{AdapterArgs, ProjectArgs};
use crate::call::Offline;
use crate::command_error::CommandError;
use crate::context::{Context, adapter_of};
use crate::exit::Exit;
use crate::render::plural;

/// The arguments of `validate`.
#[derive(Debug, Args)]
pub(super) struct Validate {
    #[command(flatten)]
    pub(super) project: ProjectArgs,

    #[command(flatten)]
    adapters: AdapterArgs,
}

/// Reports everything that is wrong: a missing adapter hides neither problems of the mapping nor the other adapter.
pub(super) fn run(args: &Validate, context: &Context) -> Result<Exit, CommandError> {
    let project = context.open(args.project.selection()?)?;
    let mut failed = None;
    match engine::validate(&project) {
        Ok(warnings) => context.show_warnings(&warnings),
        Err(problems) => failed = Some(CommandError::problems(problems)),
    }
    let mut fail = |error: CommandError| {
        if let Some(earlier) = failed.replace(error) {
            context.screen.write(&format!("{earlier}\n"));
        }
    };
    let folders = context.folders(Some(&project), &args.adapters);
    let mut located = Vec::new();
    for endpoint in [&project.source, &project.destination] {
        match adapter_of(endpoint, &project, &folders) {
            Ok(adapter) => located.push(adapter),
            Err(error) => fail(error.into()),
        }
    }
    if let (Some(destination), Some(source)) = (located.pop(), located.pop()) {
        let offline = Offline::with(&project, source, destination);
        let outcome = offline.run(context, async |run| engine::check_adapters(run, false).await)?;
        outcome.into_iter().map(CommandError::from).for_each(fail);
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let (mappings, file) = (project.schema_mapping.len() as u64, project.file.display());
    context.screen.info(&format!("{file} is valid: {mappings} {}", plural(mappings, "mapping", "mappings")));
    Ok(Exit::Done)
}
