//! `cache list`, `cache prune` and `cache verify`: the cached runs of one sync, of several or of all.
//!
//! A sync whose cache cannot be used does not hide the others: it is told on stderr, and its exit code is the command's.

use std::path::Path;

use infrahub_sync_cache::{Cache, CacheError, Holder, Retention, RunId, SyncName, freed};
use infrahub_sync_config::{Project, discover};
use infrahub_sync_engine::EngineError;
use jiff::Timestamp;

use crate::args::{CacheCommand, CacheList, CachePrune, CacheVerify, Output, SyncArgs, Verbosity};
use crate::commands::{CACHE_VARIABLE, LOCK_WAIT, cache_root, environment, say_warnings, sync_of, to_stdout};
use crate::exit::Exit;
use crate::render::cache::{self as render, FoundIn, PrunedFrom, SurveyOf, size};
use crate::render::plural;
use crate::report::Report;
use crate::screen::Screen;

/// Carries one of the three out.
pub(crate) fn run(command: &CacheCommand, screen: &Screen) -> Result<Exit, Report> {
    match command {
        CacheCommand::List(args) => list(args, screen),
        CacheCommand::Prune(args) => prune(args, screen),
        CacheCommand::Verify(args) => verify(args, screen),
    }
}

/// The names of the syncs that are meant, and whether they were asked for one by one.
fn syncs(root: &Path, args: &SyncArgs, screen: &Screen) -> Result<(Vec<SyncName>, bool), Report> {
    let parse = |name: &str| SyncName::parse(name).map_err(|error| Report::from_error(Exit::Usage, &error));
    if let Some(name) = &args.name {
        return Ok((vec![parse(name)?], true));
    }
    if let Some(file) = &args.config_file {
        let project = Project::load(file, &environment).map_err(Report::problems)?;
        say_warnings(&project.warnings, screen);
        return Ok((vec![parse(&project.name)?], true));
    }
    let cached = Cache::syncs(root).map_err(failure)?;
    let Some(directory) = &args.directory else {
        return Ok((cached, false));
    };
    let found = discover(directory).map_err(|problem| Report::problems(vec![problem]))?;
    let is_below = |sync: &SyncName| found.iter().any(|found| found.summary.as_ref().is_ok_and(|summary| summary.name == sync.as_str()));
    Ok((cached.into_iter().filter(is_below).collect(), false))
}

fn failure(error: CacheError) -> Report {
    EngineError::from(error).into()
}

/// Does something with each cache that is meant. Says how it went: well, or as the last failure.
fn each<T>(
    args: &SyncArgs,
    screen: &Screen,
    mut work: impl FnMut(Cache) -> Result<T, CacheError>,
) -> Result<(Vec<(SyncName, T)>, Exit), Report> {
    let root = cache_root()?;
    let (syncs, is_named) = syncs(&root, args, screen)?;
    let mut done = Vec::new();
    let mut exit = Exit::Done;
    for sync in syncs {
        match Cache::existing(&root, sync.clone()) {
            Ok(None) if is_named => {
                let what = format!("there are no cached runs of `{}` in {}", sync.as_str(), root.display());
                return Err(Report::new(Exit::Usage, what).hint(format!("{CACHE_VARIABLE} names another folder for the cache")));
            }
            // It went meanwhile.
            Ok(None) => {}
            Ok(Some(cache)) => match work(cache) {
                Ok(value) => done.push((sync, value)),
                Err(error) if is_named => return Err(failure(error)),
                Err(error) => exit = tell(failure(error), screen),
            },
            Err(error) if is_named => return Err(failure(error)),
            Err(error) => exit = tell(failure(error), screen),
        }
    }
    if done.is_empty() && exit == Exit::Done {
        screen.info(&format!("No cached runs in {}", root.display()));
    }
    Ok((done, exit))
}

/// Says a failure that is not the end; gives the exit code.
fn tell(report: Report, screen: &Screen) -> Exit {
    screen.write(&format!("{report}\n"));
    report.exit
}

fn list(args: &CacheList, screen: &Screen) -> Result<Exit, Report> {
    let (surveys, exit) = each(&args.syncs, screen, |cache| Ok((cache.dir().to_owned(), cache.survey()?)))?;
    let surveys: Vec<SurveyOf<'_>> =
        surveys.iter().map(|(sync, (directory, survey))| SurveyOf { sync: sync.as_str(), directory, survey }).collect();
    to_stdout(|mut out| match args.output {
        Output::Text => render::list_text(&mut out, &surveys),
        Output::Json => render::list_json(&mut out, &surveys),
    })?;
    Ok(exit)
}

fn prune(args: &CachePrune, screen: &Screen) -> Result<Exit, Report> {
    let retention = Retention::new(args.keep, args.older_than);
    let now = Timestamp::now();
    let (pruned, exit) = each(&args.syncs, screen, |cache| {
        if args.dry_run {
            return cache.judge(retention, now);
        }
        let holder = Holder { pid: Some(std::process::id()), run_id: None, since: Some(now) };
        let mut told = |holder: &Holder| screen.info(&format!("Waiting for {holder}, which is at work on the same sync"));
        let lock = cache.lock(&holder, LOCK_WAIT, &mut told)?;
        Ok(lock.prune(retention, now)?.runs)
    })?;
    let pruned: Vec<PrunedFrom<'_>> = pruned.iter().map(|(sync, runs)| PrunedFrom { sync: sync.as_str(), runs }).collect();
    let shows_kept = screen.verbosity() == Verbosity::Verbose;
    to_stdout(|mut out| match args.output {
        Output::Text => render::prune_text(&mut out, &pruned, shows_kept),
        Output::Json => render::prune_json(&mut out, &pruned, args.dry_run),
    })?;
    let verdicts = || pruned.iter().flat_map(|pruned| pruned.runs);
    let gone = || verdicts().filter(|verdict| verdict.kept.is_none());
    let (count, stay) = (gone().count() as u64, verdicts().filter(|verdict| verdict.kept.is_some()).count() as u64);
    let bytes = size(freed(gone().map(|verdict| &verdict.run)));
    let runs = plural(count, "run", "runs");
    let stay = format!("{stay} {}", plural(stay, "stays", "stay"));
    match (count, args.dry_run) {
        (0, _) => screen.info(&format!("Nothing to remove; {stay}")),
        (_, true) => screen.info(&format!("Would remove {count} {runs}, {bytes}; {stay}")),
        (_, false) => screen.info(&format!("Removed {count} {runs}, {bytes}; {stay}")),
    }
    Ok(exit)
}

fn verify(args: &CacheVerify, screen: &Screen) -> Result<Exit, Report> {
    let run = args.run_id.as_deref().map(RunId::parse).transpose().map_err(|error| Report::from_error(Exit::Usage, &error))?;
    let mut syncs = args.syncs.clone();
    if let Some(run) = &run
        && syncs.name.is_none()
        && syncs.config_file.is_none()
    {
        // As with `show`, the run says which sync is meant.
        syncs = SyncArgs { name: Some(sync_of(&cache_root()?, run.as_str())?), ..SyncArgs::default() };
    }
    let (found, exit) = each(&syncs, screen, |cache| cache.verify(run.as_ref()))?;
    let found: Vec<FoundIn<'_>> = found.iter().map(|(sync, verified)| FoundIn { sync: sync.as_str(), verified }).collect();
    to_stdout(|mut out| match args.output {
        Output::Text => render::verify_text(&mut out, &found),
        Output::Json => render::verify_json(&mut out, &found),
    })?;
    for found in &found {
        if let Some(running) = &found.verified.running {
            screen.info(&format!("Left out: run {running} of {}, which is at work", found.sync));
        }
    }
    screen.info(&render::verify_sentence(&found));
    Ok(if found.iter().all(|found| found.verified.is_whole()) { exit } else { Exit::Unexpected })
}
