//! `adapter list`: the adapters of this program, of the adapter folders and of the project's own files.
//!
//! An adapter that is broken does not hide the others: it is told on stderr, and its exit code is the command's.

use std::path::Path;

use clap::Args;
use infrahub_sync_config::Project;

use super::{Examiner, MaybeProject, folders};
use crate::args::{AdapterArgs, Output};
use crate::builtin;
use crate::commands::to_stdout;
use crate::exit::Exit;
use crate::locate::{Folders, Listed, Located, listed, locate};
use crate::render::adapter::{self as render, AdapterLine, BrokenAdapter};
use crate::report::Report;
use crate::screen::Screen;

/// `adapter list`
#[derive(Debug, Args)]
pub(crate) struct AdapterList {
    #[command(flatten)]
    adapters: AdapterArgs,

    #[command(flatten)]
    project: MaybeProject,

    /// How the list is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &AdapterList, screen: &Screen) -> Result<Exit, Report> {
    let project = args.project.open(screen)?;
    let folders = folders(project.as_ref(), &args.adapters);
    for folder in args.adapters.paths.iter().filter(|folder| !folder.is_dir()) {
        screen.warn(&format!("there is no folder {}", folder.display()));
    }
    let mut lines = Vec::new();
    let mut broken = Vec::new();
    let mut tell = |name: String, file: Option<&Path>, report: Report, screen: &Screen| {
        let report = match file {
            Some(file) => report.hint(format!("`{name}` is the adapter in {}", file.display())),
            None => report,
        };
        screen.write(&format!("{report}\n"));
        broken.push(BrokenAdapter { name, file: file.map(Path::to_owned), error: report.error() });
    };
    let mut all = listed(&folders, builtin::ALL);
    let mut own = Vec::new();
    for (side, found) in project.iter().flat_map(|project| sides(project, &folders)) {
        match found {
            Ok(located) => match all.iter_mut().find(|listed| listed.place.is(&located.place)) {
                Some(listed) => listed.used_as.push(side),
                None => own.push(Listed { name: located.name, place: located.place, hidden_by: None, used_as: vec![side] }),
            },
            Err((name, report)) => tell(name, None, report, screen),
        }
    }
    all.splice(0..0, own);
    if !all.is_empty() {
        let examiner = Examiner::new()?;
        for Listed { name, place, hidden_by, used_as } in all {
            let examined = place.read(builtin::ALL).map_err(Report::from).and_then(|component| examiner.examine(&component, &name));
            match examined {
                Ok((adapter, manifest)) => {
                    lines.push(AdapterLine { name, contract: adapter.contract().to_owned(), manifest, place, hidden_by, used_as });
                }
                Err(report) => tell(name, place.file(), report, screen),
            }
        }
    }
    to_stdout(|mut out| match args.output {
        Output::Text => render::list_text(&mut out, &lines),
        Output::Json => render::list_json(&mut out, &lines, &broken),
    })?;
    Ok(if broken.is_empty() { Exit::Done } else { Exit::Adapter })
}

/// The adapters of both sides of a project.
fn sides<'a>(project: &'a Project, folders: &'a Folders) -> impl Iterator<Item = (&'static str, Result<Located, (String, Report)>)> + 'a {
    [("source", &project.source), ("destination", &project.destination)].into_iter().map(|(side, endpoint)| {
        let located = locate(&endpoint.name, endpoint.adapter.as_ref(), &project.directory, folders, builtin::ALL);
        (side, located.map_err(|error| (endpoint.name.clone(), error.into())))
    })
}
