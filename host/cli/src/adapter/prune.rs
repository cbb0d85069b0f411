//! `adapter prune`: removes compiled adapters that nobody has used for long.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use clap::Args;
use infrahub_sync_runtime::{KeptComponent, Runtime, RuntimeOptions};

use super::broken;
use crate::args::{Output, age};
use crate::builtin;
use crate::commands::{to_stdout, user_cache};
use crate::exit::Exit;
use crate::render::adapter::{self as render, PrunedComponent};
use crate::render::cache::size;
use crate::render::plural;
use crate::report::Report;
use crate::screen::Screen;

/// Those that were used within so long stay, if nothing else is said.
const AGE_DEFAULT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// `adapter prune`
#[derive(Debug, Args)]
pub(crate) struct AdapterPrune {
    /// Keep what was used within that time, as 12h, 30d or 8w; 0d removes all [default: 30d]
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// How what was removed is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &AdapterPrune, screen: &Screen) -> Result<Exit, Report> {
    let folder = user_cache("components");
    let runtime = Runtime::new(RuntimeOptions { component_store: folder.clone(), memo_store: None }).map_err(broken)?;
    let place = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
    let kept = runtime.kept_components().map_err(|error| Report::from_error(Exit::Unexpected, &error).hint(format!("in {place}")))?;
    let names: BTreeMap<String, &str> =
        builtin::ALL.iter().map(|builtin| (infrahub_sync_runtime::digest(builtin.bytes), builtin.name)).collect();
    let limit = args.older_than.unwrap_or(AGE_DEFAULT);
    let now = SystemTime::now();
    let is_old = |component: &KeptComponent| now.duration_since(component.used).unwrap_or_default() >= limit;
    let (old, stay): (Vec<KeptComponent>, Vec<KeptComponent>) = kept.into_iter().partition(is_old);
    let mut removed = Vec::new();
    let mut failed = None;
    for component in old {
        if !args.dry_run
            && let Err(error) = std::fs::remove_file(&component.path)
            // Another process was faster.
            && error.kind() != std::io::ErrorKind::NotFound
        {
            let report = Report::new(Exit::Unexpected, format!("cannot remove {}: {error}", component.path.display()));
            screen.write(&format!("{report}\n"));
            failed = Some(report.exit);
            continue;
        }
        let name = component.digest.as_ref().and_then(|digest| names.get(digest)).copied();
        removed.push(PrunedComponent { name, component });
    }
    to_stdout(|mut out| match args.output {
        Output::Text => render::prune_text(&mut out, &removed),
        Output::Json => render::prune_json(&mut out, &removed, args.dry_run),
    })?;
    let count = removed.len() as u64;
    let bytes = size(removed.iter().map(|removed| removed.component.bytes).sum());
    let stay = format!(
        "{} ({}) {}",
        stay.len(),
        size(stay.iter().map(|component| component.bytes).sum()),
        plural(stay.len() as u64, "stays", "stay")
    );
    let components = plural(count, "compiled adapter", "compiled adapters");
    match (count, args.dry_run) {
        (0, _) => screen.info(&format!("Nothing to remove; {stay}")),
        (_, true) => screen.info(&format!("Would remove {count} {components}, {bytes}; {stay}")),
        (_, false) => screen.info(&format!("Removed {count} {components}, {bytes}; {stay}")),
    }
    Ok(failed.unwrap_or(Exit::Done))
}
