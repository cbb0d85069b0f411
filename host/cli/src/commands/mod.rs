//! The command line: one file for each command, with its arguments and its function.
//!
//! Commands share [`crate::context::Context`] and do not call one another. The plan goes to stdout, and everything else to stderr.

mod adapter;
mod adopt;
mod apply;
mod cache;
mod completions;
mod diff;
mod drift;
mod explain;
mod generate;
mod list;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod reference;
mod show;
mod sync;
mod undo;
mod validate;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::args::Messages;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::variables;

/// Keeps infrastructure systems in sync: reads a source, compares it with a destination and writes the differences.
#[derive(Debug, Parser)]
#[command(
    name = "infrahub-sync",
    version,
    args_override_self = true,
    max_term_width = 110,
    disable_help_subcommand = true,
    after_help = format!("{}\n\n{}", variables::TABLE, exit::TABLE),
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) messages: Messages,

    /// Install completions for the current shell
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, help_heading = "Completions")]
    install_completion: Option<Option<Shell>>,

    /// Print completions for the current shell, to copy or customise them
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, help_heading = "Completions")]
    show_completion: Option<Option<Shell>>,

    #[command(subcommand)]
    command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// List the projects below a folder
    List(list::List),
    /// Check a project without contacting any system, and report every problem
    Validate(validate::Validate),
    /// Check the mapping against the destination's schema, and write the models that runs use
    Generate(generate::Generate),
    /// Compare source and destination, and print what a sync would do; writes only to the cache
    Diff(diff::Diff),
    /// Print the plan of a cached run
    Show(show::Show),
    /// Explain the way of one object through a cached run: record, filters, transforms, both sides, plan and outcome
    Explain(explain::Explain),
    /// Apply the plan of a cached run without reading the source again
    Apply(apply::Apply),
    /// Compare source and destination, and update the destination to match
    Sync(sync::Sync),
    /// Compare the destination with its state after the last applied run, without reading the source; writes nothing
    Drift(drift::Drift),
    /// Create a plan that takes an applied run back; writes only to the cache
    Undo(undo::Undo),
    /// Show the objects of the destination that this sync has not made, and take them over
    Adopt(adopt::Adopt),
    /// List, prune or verify cached runs
    Cache(cache::Cache),
    /// List, inspect, check, lock or create adapters
    Adapter(adapter::Adapter),
    /// Print shell completions
    Completions(completions::Completions),
}

/// Returns the definition of the command line, for help and completions.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// Carries out a command line.
pub(crate) fn run(cli: Cli, context: Context) -> Result<Exit, CommandError> {
    if let Some(named) = cli.show_completion {
        return completions::show(named, &context);
    }
    if let Some(named) = cli.install_completion {
        return completions::install(named, &context);
    }
    let Some(command) = cli.command else {
        // As the original: no command asks for help.
        let _ = definition().print_help();
        return Ok(Exit::Done);
    };
    match command {
        Command::List(args) => list::run(&args, &context),
        Command::Validate(args) => validate::run(&args, &context),
        Command::Generate(args) => generate::run(&args, &context),
        Command::Diff(args) => diff::run(&args, context),
        Command::Show(args) => show::run(&args, &context),
        Command::Explain(args) => explain::run(&args, &context),
        Command::Apply(args) => apply::run(&args, context),
        Command::Sync(args) => sync::run(&args, context),
        Command::Drift(args) => drift::run(&args, context),
        Command::Undo(args) => undo::run(&args, context),
        Command::Adopt(args) => adopt::run(&args, context),
        Command::Cache(args) => cache::run(&args, &context),
        Command::Adapter(args) => adapter::run(&args, &context),
        Command::Completions(args) => completions::run(&args, &context),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::args::{Selection, Verbosity};

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    fn sync(line: &str) -> sync::Sync {
        match parse(&format!("infrahub-sync sync --name n {line}")).unwrap().command {
            Some(Command::Sync(sync)) => sync,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_original() {
        let defaults = sync("");
        assert!(defaults.prints_diff());
        let options = defaults.options();
        assert!(options.parallel && options.concurrent_load && options.full_extract);
        assert!(!options.allow_rowcount_drop && !options.continue_on_error);
        assert_eq!(options.rules, infrahub_sync_config::ApplyOverrides::default());
        assert_eq!(options.lock_wait, crate::args::LOCK_WAIT);
        assert_eq!(defaults.progress.wanted(), None);
    }

    #[test]
    fn the_last_of_a_pair_wins() {
        let none = sync(
            "--diff --no-diff --parallel --no-parallel --concurrent-load --no-concurrent-load --full-extract \
             --no-full-extract --show-progress --no-show-progress --allow-rowcount-drop --no-allow-rowcount-drop \
             --continue-on-error --no-continue-on-error",
        );
        let options = none.options();
        assert!(!none.prints_diff() && !options.parallel);
        assert!(!options.concurrent_load && !options.full_extract);
        assert!(!options.allow_rowcount_drop && !options.continue_on_error);
        assert_eq!(none.progress.wanted(), Some(false));

        let all = sync(
            "--no-diff --diff --no-parallel --parallel --no-concurrent-load --concurrent-load --no-full-extract \
             --full-extract --no-show-progress --show-progress --no-allow-rowcount-drop --allow-rowcount-drop \
             --no-continue-on-error --continue-on-error",
        );
        let options = all.options();
        assert!(all.prints_diff() && options.parallel);
        assert!(options.concurrent_load && options.full_extract);
        assert!(options.allow_rowcount_drop && options.continue_on_error);
        assert_eq!(all.progress.wanted(), Some(true));
    }

    #[test]
    fn a_repeated_option_is_no_error() {
        let sync = sync("--diff --diff --branch one --branch two --adapter-path a --adapter-path b --name other");
        assert_eq!(sync.systems.settings.command_line().get("branch").map(String::as_str), Some("two"));
        assert_eq!(sync.systems.adapters.paths, [Path::new("a"), Path::new("b")]);
        assert_eq!(sync.systems.project.selection(), Ok(Selection::Name { name: "other", directory: None }));
    }

    #[test]
    fn exactly_one_project_is_named() {
        let selection = |line: &str| {
            let Some(Command::Validate(validate)) = Cli::try_parse_from(line.split(' ')).unwrap().command else { panic!("{line}") };
            match validate.project.selection() {
                Ok(Selection::Name { name, directory }) => format!("{name} below {directory:?}"),
                Ok(Selection::File(file)) => file.display().to_string(),
                Err(error) => error.to_string(),
            }
        };
        insta::assert_snapshot!(selection("infrahub-sync validate"), @"no project is named: use --name or --config-file");
        insta::assert_snapshot!(selection("infrahub-sync validate --name a --config-file b"), @"--name and --config-file both name a project: use one of them");
        insta::assert_snapshot!(selection("infrahub-sync validate --name a --directory d"), @r#"a below Some("d")"#);
        insta::assert_snapshot!(selection("infrahub-sync validate --name= --config-file b.yml"), @"b.yml");
    }

    #[test]
    fn the_level_is_taken_on_both_sides_of_the_command() {
        let level = |line: &str| parse(line).unwrap().messages.verbosity();
        assert_eq!(level("infrahub-sync list"), Verbosity::Default);
        assert_eq!(level("infrahub-sync -v list"), Verbosity::Verbose);
        assert_eq!(level("infrahub-sync list -v"), Verbosity::Verbose);
        assert_eq!(level("infrahub-sync --verbosity verbose list"), Verbosity::Verbose);
        assert_eq!(level("infrahub-sync --verbosity verbose -v list -q"), Verbosity::Quiet);
    }

    #[test]
    fn completions_know_the_shell_by_name_or_not_at_all() {
        assert_eq!(parse("infrahub-sync --show-completion").unwrap().show_completion, Some(None));
        assert_eq!(parse("infrahub-sync --show-completion=zsh").unwrap().show_completion, Some(Some(Shell::Zsh)));
        assert!(parse("infrahub-sync").unwrap().command.is_none());
    }

    #[test]
    fn recording_and_replaying_exclude_each_other() {
        let error = parse("infrahub-sync diff --name n --record a --replay b").unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r"
        error: the argument '--record <DIR>' cannot be used with '--replay <DIR>'

        Usage: infrahub-sync diff --name <NAME> --record <DIR>

        For more information, try '--help'.
        ");
    }

    #[test]
    fn a_misspelt_option_gets_a_tip() {
        let error = parse("infrahub-sync diff --nam n").unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r"
        error: unexpected argument '--nam' found

          tip: a similar argument exists: '--name'

        Usage: infrahub-sync diff --name <NAME>

        For more information, try '--help'.
        ");
        let error = parse("infrahub-sync apply --name n").unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r"
        error: the following required arguments were not provided:
          --run-id <RUN_ID>

        Usage: infrahub-sync apply --run-id <RUN_ID> --name <NAME>

        For more information, try '--help'.
        ");
    }

    #[test]
    fn syncs_are_named_in_one_way() {
        let error = parse("infrahub-sync cache list --name a --directory b").unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r"
        error: the argument '--name <NAME>' cannot be used with '--directory <DIR>'

        Usage: infrahub-sync cache list --name <NAME>

        For more information, try '--help'.
        ");
        let error = parse("infrahub-sync cache prune --older-than 30").unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r"
        error: invalid value '30' for '--older-than <AGE>': expected a number and a unit (m, h, d or w), such as 30d

        For more information, try '--help'.
        ");
    }
}
