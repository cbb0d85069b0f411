//! `adapter inspect`: what one adapter is, and what it would be granted.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use infrahub_sync_config::Project;
use infrahub_sync_engine::{Side, session_config};
use infrahub_sync_registry::signer;
use infrahub_sync_runtime::{Adapter, Exchanges, Manifest, metadata};

use crate::args::{Output, OutputArgs, SearchArgs};
use crate::command_error::CommandError;
use crate::context::{Context, locate_endpoint};
use crate::examiner::{Examiner, limits_of, locate_named};
use crate::exit::Exit;
use crate::locate::{Folders, Located};
use crate::render::changes::{self, Changes};
use crate::render::inspect::{self as render, Granted, Inspected};

/// The arguments of `adapter inspect`.
#[derive(Debug, Args)]
pub(super) struct AdapterInspect {
    /// Component (x.wasm), published adapter (oci://…, https://…), or name of an adapter that is built in, in the adapter folders, or in the project
    #[arg(value_name = "FILE|NAME|ORIGIN", value_hint = ValueHint::FilePath)]
    adapter: PathBuf,

    /// Another version of it: show what changes from the first to this one, what it may do first
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
    new: Option<PathBuf>,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// An adapter that was examined.
struct Examined {
    located: Located,
    adapter: Adapter,
    manifest: Manifest,
    about: Vec<(&'static str, String)>,
    granted: Vec<Granted>,
}

/// Prints the adapter, or what changes from it to another one.
pub(super) fn run(args: &AdapterInspect, context: &Context) -> Result<Exit, CommandError> {
    let (project, folders) = context.search(&args.search)?;
    let examiner = Examiner::new(context)?;
    let examined = examine(&args.adapter, &examiner, project.as_ref(), &folders, context)?;
    let new = args.new.as_deref().map(|new| examine(new, &examiner, project.as_ref(), &folders, context)).transpose()?;
    let (inspected, new) = (examined.inspected(), new.as_ref().map(Examined::inspected));
    context.print(|mut out| match (args.output.format, &new) {
        (Output::Text, None) => render::text(&mut out, &inspected),
        (Output::Json, None) => render::json(&mut out, &inspected),
        (Output::Text, Some(new)) => changes::text(&mut out, &Changes::new(&inspected, new)),
        (Output::Json, Some(new)) => changes::json(&mut out, &Changes::new(&inspected, new)),
    })?;
    Ok(Exit::Done)
}

/// Finds an adapter and examines it.
fn examine(
    named: &Path,
    examiner: &Examiner,
    project: Option<&Project>,
    folders: &Folders,
    context: &Context,
) -> Result<Examined, CommandError> {
    let located = locate_named(named, project, folders)?;
    let Located { name, bytes, place, .. } = &located;
    let in_file = |error: CommandError| match place.file() {
        Some(file) => error.hint(format!("`{name}` is the adapter in {}", file.display())),
        None => error,
    };
    let limits = limits_of(place, project, folders);
    let (adapter, manifest) = examiner.examine(bytes, name, &limits).map_err(in_file)?;
    let mut granted = Vec::new();
    if let Some(project) = project {
        for side in [Side::Source, Side::Destination] {
            if locate_endpoint(project.endpoint(side), project, folders).is_ok_and(|own| own.place.is(place)) {
                let config = session_config(project, side, place.is_built_in(), &context.environment, Exchanges::Live);
                granted.push(Granted { side: side.as_str(), abilities: examiner.abilities(&adapter, &config)? });
            }
        }
    }
    let about = about(&located);
    Ok(Examined { located, adapter, manifest, about, granted })
}

/// Returns the texts about an adapter: those that its origin has, else those in the component.
fn about(located: &Located) -> Vec<(&'static str, String)> {
    const LABELS: [(&str, &str); 4] = [("licenses", "Licence"), ("url", "Homepage"), ("source", "Source"), ("authors", "Authors")];
    let own = metadata(&located.bytes);
    let text = |name: &str| {
        let said =
            located.release.as_ref().and_then(|release| release.annotations.get(&format!("org.opencontainers.image.{name}")).cloned());
        said.or_else(|| own.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone()))
    };
    LABELS.into_iter().filter_map(|(name, label)| Some((label, text(name)?))).collect()
}

impl Examined {
    /// Returns the adapter as it is shown.
    fn inspected(&self) -> Inspected<'_> {
        let checked = self.located.published.as_ref().and_then(|published| published.publisher.clone());
        let claimed = self.located.release.as_ref().and_then(|release| signer(release.signature.as_deref()?));
        Inspected {
            name: &self.located.name,
            place: &self.located.place,
            bytes: self.located.bytes.len() as u64,
            digest: self.adapter.digest(),
            contract: self.adapter.contract(),
            imports: self.adapter.imports(),
            manifest: &self.manifest,
            about: &self.about,
            publisher: checked.or_else(|| Some(format!("{} (not checked)", claimed?))),
            granted: &self.granted,
        }
    }
}
