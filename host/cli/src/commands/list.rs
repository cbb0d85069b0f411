//! `list`: the projects below a folder.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use infrahub_sync_config::discover;

use crate::args::{Output, OutputArgs};
use crate::command_error::CommandError;
use crate::context::{Context, shown};
use crate::exit::Exit;
use crate::render::list::{self as render, BrokenFile, ErrorLine, ProjectLine};

/// The arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Folder to search for projects [default: working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Lists the projects, and reports the files that cannot be used.
pub(super) fn run(args: &List, context: &Context) -> Result<Exit, CommandError> {
    let directory = args.directory.as_deref().unwrap_or(Path::new("."));
    let found = discover(directory).map_err(|problem| CommandError::problems(vec![problem]))?;
    let mut projects = Vec::new();
    let mut broken = Vec::new();
    for found in &found {
        match &found.summary {
            Ok(summary) => projects.push(ProjectLine {
                name: &summary.name,
                source: &summary.source,
                destination: &summary.destination,
                directory: shown(&summary.directory),
                config_file: shown(&found.file),
            }),
            Err(problems) => {
                context.screen.write(&format!("{}\n", CommandError::problems(problems.clone())));
                let errors = problems.iter().map(|problem| ErrorLine {
                    line: problem.line,
                    column: problem.column,
                    path: &problem.path,
                    message: &problem.message,
                    hint: problem.hint.as_deref(),
                });
                broken.push(BrokenFile { config_file: shown(&found.file), errors: errors.collect() });
            }
        }
    }
    context.print(|mut out| match args.output.format {
        Output::Text => render::text(&mut out, &projects),
        Output::Json => render::json(&mut out, &projects, &broken),
    })?;
    if found.is_empty() {
        context.screen.info(&format!("No project (config.yml) below {}", directory.display()));
    }
    Ok(if broken.is_empty() { Exit::Done } else { Exit::Config })
}
