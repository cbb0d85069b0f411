//! `adapter inspect`: what one adapter is, and what it would be granted.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use infrahub_sync_engine::{Side, session_config};
use infrahub_sync_runtime::Exchanges;

use super::{Examiner, MaybeProject, folders, located};
use crate::args::{AdapterArgs, Output};
use crate::builtin;
use crate::commands::{environment, to_stdout};
use crate::exit::Exit;
use crate::locate::{Located, locate};
use crate::render::adapter::{self as render, Granted, Inspected};
use crate::report::Report;
use crate::screen::Screen;

/// `adapter inspect`
#[derive(Debug, Args)]
pub(crate) struct AdapterInspect {
    /// A component (x.wasm), or the name of an adapter: one of this program, of the adapter folders or of the project
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    adapter: PathBuf,

    #[command(flatten)]
    adapters: AdapterArgs,

    #[command(flatten)]
    project: MaybeProject,

    /// How it is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &AdapterInspect, screen: &Screen) -> Result<Exit, Report> {
    let project = args.project.open(screen)?;
    let folders = folders(project.as_ref(), &args.adapters);
    let Located { name, bytes, place } = located(&args.adapter, project.as_ref(), &folders)?;
    let examiner = Examiner::new()?;
    let in_file = |report: Report| match place.file() {
        Some(file) => report.hint(format!("`{name}` is the adapter in {}", file.display())),
        None => report,
    };
    let (adapter, manifest) = examiner.examine(&bytes, &name).map_err(in_file)?;
    let mut granted = Vec::new();
    if let Some(project) = &project {
        for side in [Side::Source, Side::Destination] {
            let endpoint = project.endpoint(side);
            let own = locate(&endpoint.name, endpoint.adapter.as_ref(), &project.directory, &folders, builtin::ALL);
            if own.is_ok_and(|own| own.place.is(&place)) {
                let config = session_config(project, side, place.file().is_none(), &environment, Exchanges::Live);
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
    to_stdout(|mut out| match args.output {
        Output::Text => render::inspect_text(&mut out, &inspected),
        Output::Json => render::inspect_json(&mut out, &inspected),
    })?;
    Ok(Exit::Done)
}
