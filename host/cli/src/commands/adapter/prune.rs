//! `adapter prune`: removes compiled adapters that have not been used for a while.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use clap::Args;
use infrahub_sync_runtime::{KeptComponent, Runtime, RuntimeOptions};

use crate::args::{Output, OutputArgs, age};
use crate::builtin;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::components::{self as render, PrunedComponent};
use crate::render::{pruned_sentence, size};

/// The age of the components to keep, unless the user chooses another.
const AGE_DEFAULT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The arguments of `adapter prune`.
#[derive(Debug, Args)]
pub(super) struct AdapterPrune {
    /// Keep adapters used within this time, such as 12h, 30d or 8w; 0d removes all [default: 30d]
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,

    /// Show what would be removed, without removing it
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// Removes the components, and prints them.
pub(super) fn run(args: &AdapterPrune, context: &Context) -> Result<Exit, CommandError> {
    let folder = context.user_cache("components");
    let runtime = Runtime::new(RuntimeOptions { component_store: folder.clone(), ..RuntimeOptions::default() })?;
    let place = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
    let stored =
        runtime.kept_components().map_err(|error| CommandError::from_error(Exit::Unexpected, &error).hint(format!("in {place}")))?;
    let names: BTreeMap<String, &str> =
        builtin::ALL.iter().map(|builtin| (infrahub_sync_runtime::digest(builtin.bytes), builtin.name)).collect();
    let limit = args.older_than.unwrap_or(AGE_DEFAULT);
    let now = SystemTime::now();
    let is_old = |component: &KeptComponent| now.duration_since(component.used).unwrap_or_default() >= limit;
    let (old, kept): (Vec<KeptComponent>, Vec<KeptComponent>) = stored.into_iter().partition(is_old);
    let mut removed = Vec::new();
    let mut exit = Exit::Done;
    for component in old {
        if !args.dry_run
            && let Err(error) = std::fs::remove_file(&component.path)
            // Another process removed it first.
            && error.kind() != std::io::ErrorKind::NotFound
        {
            let error = CommandError::new(Exit::Unexpected, format!("cannot remove {}: {error}", component.path.display()));
            context.screen.write(&format!("{error}\n"));
            exit = error.exit;
            continue;
        }
        let name = component.digest.as_ref().and_then(|digest| names.get(digest)).copied();
        removed.push(PrunedComponent { name, component });
    }
    context.print(|mut out| match args.output.format {
        Output::Text => render::text(&mut out, &removed),
        Output::Json => render::json(&mut out, &removed, args.dry_run),
    })?;
    let bytes = size(removed.iter().map(|removed| removed.component.bytes).sum());
    let kept = format!("{} ({})", kept.len(), size(kept.iter().map(|component| component.bytes).sum()));
    let removed = (removed.len() as u64, ["compiled adapter", "compiled adapters"], bytes);
    context.screen.info(&pruned_sentence(removed, &kept, args.dry_run));
    Ok(exit)
}
