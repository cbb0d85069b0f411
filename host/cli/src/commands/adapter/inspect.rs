//! `adapter inspect`: what one adapter is, and what it would be granted.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use infrahub_sync_engine::{Side, session_config};
use infrahub_sync_runtime::Exchanges;

use crate::args::{Output, OutputArgs, SearchArgs};
use crate::command_error::CommandError;
use crate::context::{Context, locate_endpoint};
use crate::examiner::{Examiner, limits_of, locate_named};
use crate::exit::Exit;
use crate::locate::Located;
use crate::render::inspect::{self as render, Granted, Inspected};

/// The arguments of `adapter inspect`.
#[derive(Debug, Args)]
pub(super) struct AdapterInspect {
    /// Component (x.wasm), or name of an adapter that is built in, in the adapter folders, or in the project
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    adapter: PathBuf,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the adapter.
pub(super) fn run(args: &AdapterInspect, context: &Context) -> Result<Exit, CommandError> {
    let (project, folders) = context.search(&args.search)?;
    let Located { name, bytes, place } = locate_named(&args.adapter, project.as_ref(), &folders)?;
    let examiner = Examiner::new(context)?;
    let in_file = |error: CommandError| match place.file() {
        Some(file) => error.hint(format!("`{name}` is the adapter in {}", file.display())),
        None => error,
    };
    let limits = limits_of(&place, project.as_ref(), &folders);
    let (adapter, manifest) = examiner.examine(&bytes, &name, &limits).map_err(in_file)?;
    let mut granted = Vec::new();
    if let Some(project) = &project {
        for side in [Side::Source, Side::Destination] {
            if locate_endpoint(project.endpoint(side), project, &folders).is_ok_and(|own| own.place.is(&place)) {
                let config = session_config(project, side, place.file().is_none(), &context.environment, Exchanges::Live);
                granted.push(Granted { side: side.as_str(), abilities: examiner.abilities(&adapter, &config)? });
            }
        }
    }
    let inspected = Inspected {
        name: &name,
        place: &place,
        bytes: bytes.len() as u64,
        digest: adapter.digest(),
        contract: adapter.contract(),
        imports: adapter.imports(),
        manifest: &manifest,
        granted: &granted,
    };
    context.print(|mut out| match args.output.format {
        Output::Text => render::text(&mut out, &inspected),
        Output::Json => render::json(&mut out, &inspected),
    })?;
    Ok(Exit::Done)
}
