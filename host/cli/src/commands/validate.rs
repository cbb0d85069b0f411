//! `validate`: whether a project can be used, as far as that is known without contacting a system.

use clap::Args;
use infrahub_sync_config::{AdapterLocation, Problem, Project};
use infrahub_sync_engine::{self as engine, AdapterSource, EngineError, Side};
use infrahub_sync_runtime::Exchanges;

use crate::args::{AdapterArgs, ProjectArgs};
use crate::call::Offline;
use crate::command_error::CommandError;
use crate::context::{Context, adapter_of};
use crate::examiner::Examiner;
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

/// Reports everything that is wrong: no mistake hides another one, as far as config.yml can be read at all.
pub(super) fn run(args: &Validate, context: &Context) -> Result<Exit, CommandError> {
    let file = context.file_of(args.project.selection()?)?;
    let (project, mut problems) = Project::load_in_part(&file, &context.environment);
    let Some(project) = project else { return Err(CommandError::problems(problems)) };
    let (Ok(more) | Err(more)) = engine::validate(&project);
    problems.extend(more);
    let (errors, warnings): (Vec<_>, Vec<_>) = distinct(problems).into_iter().partition(Problem::is_error);
    context.show_warnings(&warnings);
    // The values of these settings are not known here.
    let unset: Vec<String> =
        warnings.iter().filter(|warning| warning.message.ends_with("is not set")).map(|warning| warning.path.clone()).collect();
    // An adapter that config.yml names in a wrong way is not looked for.
    let misnamed: Vec<String> = errors.iter().map(|error| error.path.clone()).filter(|path| path.ends_with(".adapter")).collect();
    let mut failed = (!errors.is_empty()).then(|| CommandError::problems(errors));
    let mut fail = |error: CommandError| {
        if let Some(earlier) = failed.replace(error) {
            context.screen.write(&format!("{earlier}\n"));
        }
    };
    let folders = context.folders(Some(&project), &args.adapters);
    let examiner = Examiner::new(context)?;
    let is_pinned = |side: Side, adapter: &AdapterSource| {
        let pin = project.endpoint(side).digest.as_ref();
        pin.is_none_or(|pin| pin.digest == infrahub_sync_runtime::digest(&adapter.bytes))
    };
    let mut located = Vec::new();
    for side in [Side::Source, Side::Destination] {
        if misnamed.contains(&format!("{}.adapter", side.as_str())) {
            continue;
        }
        let endpoint = project.endpoint(side);
        if let Some(AdapterLocation::Origin(origin)) = &endpoint.adapter
            && folders.1.would_fetch(origin, &project)
        {
            let to_do = "a run fetches it, and validate contacts no system";
            context.screen.info(&format!("warning: the {} adapter `{origin}` is not checked: {to_do}", side.as_str()));
            continue;
        }
        match adapter_of(endpoint, &project, &folders) {
            Ok(adapter) => located.push((side, adapter)),
            Err(error) => fail(error),
        }
    }
    // Beside a component other than the pinned one nothing is compiled.
    if located.iter().all(|(side, adapter)| is_pinned(*side, adapter)) {
        let checked = located.iter().filter_map(|(side, adapter)| check_settings(&examiner, &project, (*side, adapter, &unset), context));
        checked.for_each(&mut fail);
    }
    if let [_, _] = located.as_slice()
        && let (Some((_, destination)), Some((_, source))) = (located.pop(), located.pop())
    {
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

/// Returns problems in the order of the file, each once: several checks may find the same one.
fn distinct(problems: Vec<Problem>) -> Vec<Problem> {
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        if !kept.iter().any(|known| (known.line, known.column, &known.message) == (problem.line, problem.column, &problem.message)) {
            kept.push(problem);
        }
    }
    kept.sort_by_key(|problem| (problem.line, problem.column));
    kept
}

/// Checks the settings of one side against the adapter's description of itself.
fn check_settings(
    examiner: &Examiner,
    project: &Project,
    (side, adapter, unset): (Side, &AdapterSource, &[String]),
    context: &Context,
) -> Option<CommandError> {
    let built_in = adapter.is_built_in();
    let environment = context.environment;
    let look_up = move |name: &str| environment(name);
    let prefix = format!("{}.settings.", side.as_str());
    let names = unset.iter().filter_map(|path| path.strip_prefix(prefix.as_str()));
    let unknown: Vec<String> = names.map(|rest| rest.split(['.', '[']).next().unwrap_or(rest).to_owned()).collect();
    let config = engine::session_config(project, side, built_in, &look_up, Exchanges::Live);
    let checked = || {
        let (component, manifest) = examiner.examine(&adapter.bytes, &adapter.name, &project.endpoint(side).limits)?;
        let fits = if side == Side::Source { manifest.source.is_some() } else { manifest.destination.is_some() };
        if !fits {
            return Err(EngineError::WrongSide { adapter: adapter.name.clone(), side }.into());
        }
        Ok(examiner.tasks.block_on(component.check_settings(&config, &unknown))?)
    };
    checked().err()
}
