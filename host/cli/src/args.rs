//! The command line: every command and option of infrahub-sync 2.0.1, and what this program adds.
//!
//! Key types: [`Cli`], [`Command`], [`Selection`] (the one project that `--name` or `--config-file` names).
//!
//! Invariants: parsing touches neither files nor the network; of a `--x/--no-x` pair, and of a repeated option, the last one
//! wins, as with the original; the environment is read where it is used, not here, so that `--help` prints no values.

#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags, reason = "the comments are help texts")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use infrahub_sync_config::OnConflict;
use infrahub_sync_core::guardrail::DeleteLimit;

use crate::adapter::Adapter;

/// The environment variables, shown below each help text that has use for them.
const ENVIRONMENT: &str = "\
Environment:
  INFRAHUB_SYNC_CACHE_DIR      the cache: <sync>/<run id>/ [default: ./.infrahub-sync-cache]
  INFRAHUB_SYNC_ADAPTER_PATHS  folders with custom adapters, separated like PATH
  INFRAHUB_SYNC_LOG            what is logged, as `target=level,…`; beats --verbosity
  NO_COLOR                     no colours, if set and not empty";

/// Keeps infrastructure systems in sync: reads a source, compares it with a destination and writes the differences.
#[derive(Debug, Parser)]
#[command(
    name = "infrahub-sync",
    version,
    args_override_self = true,
    max_term_width = 110,
    disable_help_subcommand = true,
    after_help = format!("{ENVIRONMENT}\n\n{}", crate::exit::TABLE),
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) messages: Messages,

    /// Install the completions for the current shell
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, help_heading = "Completions")]
    pub(crate) install_completion: Option<Option<Shell>>,

    /// Print the completions for the current shell, to copy them or to change how they are installed
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, help_heading = "Completions")]
    pub(crate) show_completion: Option<Option<Shell>>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// How much is said on stderr.
#[derive(Debug, Args)]
pub(crate) struct Messages {
    /// How much is said on stderr: errors; also warnings and where the run is kept; or every step
    #[arg(long, value_name = "LEVEL", default_value = "default", global = true, help_heading = "Messages")]
    verbosity: Verbosity,

    /// Say more, and show long values in full; short for --verbosity verbose
    #[arg(short, long, global = true, help_heading = "Messages")]
    verbose: bool,

    /// Say nothing but errors; short for --verbosity quiet
    #[arg(short, long, global = true, help_heading = "Messages")]
    quiet: bool,

    /// How stderr is written: for people, or as one JSON object a line for log collectors
    #[arg(long, value_name = "FORMAT", default_value = "text", global = true, help_heading = "Messages")]
    pub(crate) log_format: LogFormat,
}

/// How stderr is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    // Words, coloured on a terminal
    Text,
    // An object a line: level, message, and fields
    Json,
}

impl Messages {
    /// The level that is meant: as in the original, `--quiet` beats `--verbose` beats `--verbosity`.
    pub(crate) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => self.verbosity,
        }
    }
}

/// How much is said on stderr.
//
// The variants have no doc comments: they would make a page of help out of one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verbosity {
    // Errors only
    Quiet,
    // Errors, warnings, and where the run is kept
    Default,
    // Every step, with its numbers
    Verbose,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the projects below a folder
    List(List),
    /// Check a project without asking any system, and report everything that is wrong
    Validate(Validate),
    /// Check the mapping against the destination's schema and write the models that the runs use
    Generate(Generate),
    /// Compare source and destination and print what a sync would do; writes to the cache only
    Diff(Diff),
    /// Print the plan of a cached run again
    Show(Show),
    /// Apply the plan of a cached run, without reading the source again
    Apply(Apply),
    /// Compare source and destination and bring the destination in line
    Sync(Sync),
    /// Show, prune or check the cached runs
    Cache(Cache),
    /// List, inspect, check, lock and make adapters
    Adapter(Adapter),
    /// Print shell completions
    Completions(Completions),
}

/// `list`
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Folder below which projects are searched [default: working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,

    /// How the list is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// `validate`
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    #[command(flatten)]
    pub(crate) adapters: AdapterArgs,
}

/// `generate`
#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    /// Branch of Infrahub that is used, unless the settings name one [default: main]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,

    #[command(flatten)]
    pub(crate) adapters: AdapterArgs,

    #[command(flatten)]
    pub(crate) exchanges: ExchangeArgs,
}

/// `diff`
#[derive(Debug, Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    /// Branch of Infrahub that is used, unless the settings name one [default: main]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,

    #[command(flatten)]
    pub(crate) adapters: AdapterArgs,

    /// Run id to use instead of a new one; a run of that id is overwritten
    #[arg(long, value_name = "RUN_ID")]
    pub(crate) run_id: Option<String>,

    #[command(flatten)]
    pub(crate) loading: LoadArgs,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) progress: ProgressArgs,

    /// How the differences are written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub(crate) output: Output,

    /// Exit with 2 where there are differences, and with 0 only where there are none
    #[arg(long, help_heading = "Output")]
    pub(crate) detailed_exitcode: bool,

    #[command(flatten)]
    pub(crate) wait: WaitArgs,

    #[command(flatten)]
    pub(crate) exchanges: ExchangeArgs,
}

/// `show`
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    /// Run id, as diff and sync name it; without a project the one sync that has such a run is meant
    #[arg(long, value_name = "RUN_ID", required = true)]
    pub(crate) run_id: String,

    /// How the plan is written to stdout; markdown is made for merge requests
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: ShowOutput,
}

/// `apply`
#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    /// Branch of Infrahub that is used, unless the settings name one [default: main]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,

    #[command(flatten)]
    pub(crate) adapters: AdapterArgs,

    /// Run id of an earlier diff or sync
    #[arg(long, value_name = "RUN_ID", required = true)]
    pub(crate) run_id: String,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) guardrail: GuardrailArgs,

    #[command(flatten)]
    pub(crate) progress: ProgressArgs,

    #[command(flatten)]
    pub(crate) wait: WaitArgs,

    #[command(flatten)]
    pub(crate) exchanges: ExchangeArgs,
}

/// `sync`
#[derive(Debug, Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    /// Branch of Infrahub that is used, unless the settings name one [default: main]
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,

    #[command(flatten)]
    pub(crate) adapters: AdapterArgs,

    #[command(flatten)]
    pub(crate) loading: LoadArgs,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Write tier by tier: objects without references first, then those that refer to them [default]. A project with `order:` is written serially in that order
    #[arg(long, overrides_with = "no_parallel", help_heading = "Writing")]
    parallel: bool,

    /// Write one kind after the other
    #[arg(long, overrides_with = "parallel", help_heading = "Writing")]
    no_parallel: bool,

    #[command(flatten)]
    pub(crate) guardrail: GuardrailArgs,

    /// Print the differences before they are written [default]
    #[arg(long, overrides_with = "no_diff", help_heading = "Output")]
    diff: bool,

    /// Do not print the differences
    #[arg(long, overrides_with = "diff", help_heading = "Output")]
    no_diff: bool,

    #[command(flatten)]
    pub(crate) progress: ProgressArgs,

    #[command(flatten)]
    pub(crate) wait: WaitArgs,

    #[command(flatten)]
    pub(crate) exchanges: ExchangeArgs,
}

impl Sync {
    /// Whether the differences are printed.
    pub(crate) fn prints_diff(&self) -> bool {
        !self.no_diff
    }

    /// Whether it writes tier by tier.
    pub(crate) fn is_parallel(&self) -> bool {
        !self.no_parallel
    }
}

/// `cache`
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cache {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List the cached runs: how they ended, what an apply could go on with, and what they take on the disk
    List(CacheList),
    /// Remove old runs; never one that is at work, was interrupted while it was applied, or that the next run starts from
    Prune(CachePrune),
    /// Read every file of the cache and report what is damaged, missing or left over; exits with 1 if something is damaged or missing
    Verify(CacheVerify),
}

/// `cache list`
#[derive(Debug, Args)]
pub(crate) struct CacheList {
    #[command(flatten)]
    pub(crate) syncs: SyncArgs,

    /// How the list is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// `cache prune`
#[derive(Debug, Args)]
pub(crate) struct CachePrune {
    #[command(flatten)]
    pub(crate) syncs: SyncArgs,

    /// Keep the newest N runs of each sync [default: 20, if --older-than is not given either]
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,

    /// Keep runs that are younger, as 12h, 30d or 8w; with --keep, a run goes only if both allow it [default: 30d, if --keep is not given either]
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Option<Duration>,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// How what was removed is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// `cache verify`
#[derive(Debug, Args)]
pub(crate) struct CacheVerify {
    #[command(flatten)]
    pub(crate) syncs: SyncArgs,

    /// Check this run only [default: all runs, and what lies beside them]
    #[arg(long, value_name = "RUN_ID")]
    pub(crate) run_id: Option<String>,

    /// How what was found is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// Which syncs' caches: all, or those that are named in one of three ways.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub(crate) struct SyncArgs {
    /// The sync of that name, whether its project is still there or not
    #[arg(long, value_name = "NAME", help_heading = "Syncs [default: all that are cached]")]
    pub(crate) name: Option<String>,

    /// The sync of the project in that config.yml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Syncs [default: all that are cached]")]
    pub(crate) config_file: Option<PathBuf>,

    /// The syncs of all projects below that folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Syncs [default: all that are cached]")]
    pub(crate) directory: Option<PathBuf>,
}

/// A time span as people write it: a number and its unit.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "an age is a number and m, h, d or w, as in 30d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let number: u64 = text.strip_suffix(unit).ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// Which project.
#[derive(Debug, Args)]
pub(crate) struct ProjectArgs {
    /// Name of the sync, searched below --directory
    #[arg(long, value_name = "NAME", help_heading = "Project (one of --name and --config-file)")]
    name: Option<String>,

    /// The project's config.yml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Project (one of --name and --config-file)")]
    config_file: Option<PathBuf>,

    /// Folder below which --name is searched [default: working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Project (one of --name and --config-file)")]
    directory: Option<PathBuf>,
}

/// The one project that a command is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selection<'a> {
    /// The project of that name below a folder.
    Name {
        /// The sync's name.
        name: &'a str,
        /// The folder, if one was given.
        directory: Option<&'a Path>,
    },
    /// The project in that file.
    File(&'a Path),
}

/// A command line that clap takes and that still makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// No project.
    #[error("no project is named: give one of --name and --config-file")]
    NoProject,
    /// Two projects.
    #[error("--name and --config-file name a project each: give one of them")]
    TwoProjects,
    /// The shell is not to be told from the environment.
    #[error("the current shell is unknown")]
    UnknownShell,
}

impl ProjectArgs {
    /// The project of a command that can do without one.
    pub(crate) fn new(name: Option<String>, config_file: Option<PathBuf>, directory: Option<PathBuf>) -> ProjectArgs {
        ProjectArgs { name, config_file, directory }
    }

    /// The project that is meant. An empty value counts as none, as in the original: scripts pass unset variables.
    pub(crate) fn selection(&self) -> Result<Selection<'_>, UsageError> {
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        let file = self.config_file.as_deref();
        match (name, file.filter(|file| !file.as_os_str().is_empty())) {
            (Some(_), Some(_)) => Err(UsageError::TwoProjects),
            (None, None) => Err(UsageError::NoProject),
            (Some(name), None) => {
                let directory = self.directory.as_deref();
                Ok(Selection::Name { name, directory })
            }
            (None, Some(file)) => Ok(Selection::File(file)),
        }
    }
}

/// Where custom adapters are.
#[derive(Debug, Args)]
pub(crate) struct AdapterArgs {
    /// Folder with custom adapters (<name>.wasm); may be given several times
    #[arg(long = "adapter-path", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) paths: Vec<PathBuf>,
}

/// How both sides are read.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Load source and destination at once [default]
    #[arg(long, overrides_with = "no_concurrent_load", help_heading = "Loading")]
    concurrent_load: bool,

    /// Load the source, then the destination
    #[arg(long, overrides_with = "concurrent_load", help_heading = "Loading")]
    no_concurrent_load: bool,

    /// Read every object anew [default]
    #[arg(long, overrides_with = "no_full_extract", help_heading = "Loading")]
    full_extract: bool,

    /// Read only what has changed since the last successful run, where both the adapter and the cache allow it
    #[arg(long, overrides_with = "full_extract", help_heading = "Loading")]
    no_full_extract: bool,
}

impl LoadArgs {
    /// Whether both sides are read at once.
    pub(crate) fn is_concurrent(&self) -> bool {
        !self.no_concurrent_load
    }

    /// Whether everything is read.
    pub(crate) fn is_full_extract(&self) -> bool {
        !self.no_full_extract
    }
}

/// What happens to records that cannot be identified.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Leave out objects and relationships that cannot be identified: they are listed, nothing of their kind is deleted, and
    /// the run is partial (exit code 7)
    #[arg(long, overrides_with = "no_continue_on_error", help_heading = "Loading")]
    continue_on_error: bool,

    /// Stop at such data, before anything is written [default]
    #[arg(long, overrides_with = "continue_on_error", help_heading = "Loading")]
    no_continue_on_error: bool,
}

impl DataArgs {
    /// Whether the run goes on.
    pub(crate) fn continues_on_error(&self) -> bool {
        self.continue_on_error
    }
}

/// The guard before the first write.
#[derive(Debug, Args)]
pub(crate) struct GuardrailArgs {
    /// Write even if a kind has lost more than half of its source rows since the last success. Only for a source that has shrunk on purpose
    #[arg(long, overrides_with = "no_allow_rowcount_drop", help_heading = "Writing")]
    allow_rowcount_drop: bool,

    /// Stop if a kind has, before anything is written [default]
    #[arg(long, overrides_with = "allow_rowcount_drop", help_heading = "Writing")]
    no_allow_rowcount_drop: bool,

    /// Stop, before anything is written, if the plan deletes more than so many objects of one kind, or more than such a share of them [default: max_deletes of the project, else a fifth, or ten if that is more]
    #[arg(long, value_name = "N|P%", help_heading = "Writing")]
    max_deletes: Option<DeleteLimit>,

    /// Try no more once so many rows were refused [default: max_failures of the project, else never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Writing")]
    max_failures: Option<u64>,

    /// What becomes of an object that somebody has changed after the plan was made: left as it is, or written all the same [default: on_conflict of the project, else refuse]
    #[arg(long, value_name = "refuse|overwrite", help_heading = "Writing")]
    on_conflict: Option<OnConflict>,
}

impl GuardrailArgs {
    /// Whether the rowcount guardrail is passed.
    pub(crate) fn allows_rowcount_drop(&self) -> bool {
        self.allow_rowcount_drop
    }

    /// What the command line says of the rules for an apply.
    pub(crate) fn rules(&self) -> (Option<DeleteLimit>, Option<u64>, Option<OnConflict>) {
        (self.max_deletes, self.max_failures, self.on_conflict)
    }
}

/// Whether progress bars are shown.
#[derive(Debug, Args)]
pub(crate) struct ProgressArgs {
    /// Show a progress bar for each kind [default: if stderr is a terminal]
    #[arg(long, overrides_with = "no_show_progress", help_heading = "Output")]
    show_progress: bool,

    /// Show no progress bars
    #[arg(long, overrides_with = "show_progress", help_heading = "Output")]
    no_show_progress: bool,
}

impl ProgressArgs {
    /// What was asked for, if anything was.
    pub(crate) fn wanted(&self) -> Option<bool> {
        match (self.show_progress, self.no_show_progress) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// What to do while another run of the same sync is at work.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Seconds to wait for another run of the same sync
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = "Cache")]
    lock_wait: u64,
}

impl WaitArgs {
    /// How long to wait.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.lock_wait)
    }
}

/// Recording and replaying HTTP.
#[derive(Debug, Args)]
pub(crate) struct ExchangeArgs {
    /// Keep each HTTP request and response in this folder, without credentials
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "replay", help_heading = "HTTP")]
    pub(crate) record: Option<PathBuf>,

    /// Answer each HTTP request from this folder; no system is asked
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "HTTP")]
    pub(crate) replay: Option<PathBuf>,
}

/// The form of what is written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    // For people
    Text,
    // One JSON document
    Json,
}

/// The form of what `show` writes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowOutput {
    // For people
    Text,
    // One JSON document
    Json,
    // For merge requests
    Markdown,
}

/// The command line's definition, for help and completions.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    fn sync(line: &str) -> Sync {
        match parse(&format!("infrahub-sync sync --name n {line}")).unwrap().command {
            Some(Command::Sync(sync)) => sync,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_original() {
        let defaults = sync("");
        assert!(defaults.prints_diff());
        assert!(defaults.is_parallel());
        assert!(!defaults.guardrail.allows_rowcount_drop());
        assert!(!defaults.data.continues_on_error());
        assert!(defaults.loading.is_concurrent());
        assert!(defaults.loading.is_full_extract());
        assert_eq!(defaults.progress.wanted(), None);
    }

    #[test]
    fn the_last_of_a_pair_wins() {
        let none = sync(
            "--diff --no-diff --parallel --no-parallel --concurrent-load --no-concurrent-load --full-extract \
             --no-full-extract --show-progress --no-show-progress --allow-rowcount-drop --no-allow-rowcount-drop \
             --continue-on-error --no-continue-on-error",
        );
        assert!(!none.prints_diff() && !none.is_parallel());
        assert!(!none.loading.is_concurrent() && !none.loading.is_full_extract());
        assert!(!none.guardrail.allows_rowcount_drop() && !none.data.continues_on_error());
        assert_eq!(none.progress.wanted(), Some(false));

        let all = sync(
            "--no-diff --diff --no-parallel --parallel --no-concurrent-load --concurrent-load --no-full-extract \
             --full-extract --no-show-progress --show-progress --no-allow-rowcount-drop --allow-rowcount-drop \
             --no-continue-on-error --continue-on-error",
        );
        assert!(all.prints_diff() && all.is_parallel());
        assert!(all.loading.is_concurrent() && all.loading.is_full_extract());
        assert!(all.guardrail.allows_rowcount_drop() && all.data.continues_on_error());
        assert_eq!(all.progress.wanted(), Some(true));
    }

    #[test]
    fn a_repeated_option_is_no_error() {
        let sync = sync("--diff --diff --branch one --branch two --adapter-path a --adapter-path b --name other");
        assert_eq!(sync.branch.as_deref(), Some("two"));
        assert_eq!(sync.adapters.paths, [Path::new("a"), Path::new("b")]);
        assert_eq!(sync.project.selection(), Ok(Selection::Name { name: "other", directory: None }));
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
        insta::assert_snapshot!(selection("infrahub-sync validate"), @"no project is named: give one of --name and --config-file");
        insta::assert_snapshot!(selection("infrahub-sync validate --name a --config-file b"), @"--name and --config-file name a project each: give one of them");
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

    /// The help of a command at 100 columns: no option has a longer text, so `-h` and `--help` say the same.
    fn help(path: &[&str]) -> String {
        let mut command = command().term_width(100);
        command.build();
        let mut at = &mut command;
        for name in path {
            at = at.find_subcommand_mut(name).unwrap();
        }
        let help = at.render_help().to_string();
        help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn help_of_the_program() {
        insta::assert_snapshot!(help(&[]), @r"
        Keeps infrastructure systems in sync: reads a source, compares it with a destination and writes the
        differences

        Usage: infrahub-sync [OPTIONS] [COMMAND]

        Commands:
          list         List the projects below a folder
          validate     Check a project without asking any system, and report everything that is wrong
          generate     Check the mapping against the destination's schema and write the models that the runs
                       use
          diff         Compare source and destination and print what a sync would do; writes to the cache
                       only
          show         Print the plan of a cached run again
          apply        Apply the plan of a cached run, without reading the source again
          sync         Compare source and destination and bring the destination in line
          cache        Show, prune or check the cached runs
          adapter      List, inspect, check, lock and make adapters
          completions  Print shell completions

        Options:
          -h, --help     Print help
          -V, --version  Print version

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]

        Completions:
              --install-completion[=<SHELL>]  Install the completions for the current shell [possible
                                              values: bash, elvish, fish, powershell, zsh]
              --show-completion[=<SHELL>]     Print the completions for the current shell, to copy them or
                                              to change how they are installed [possible values: bash,
                                              elvish, fish, powershell, zsh]

        Environment:
          INFRAHUB_SYNC_CACHE_DIR      the cache: <sync>/<run id>/ [default: ./.infrahub-sync-cache]
          INFRAHUB_SYNC_ADAPTER_PATHS  folders with custom adapters, separated like PATH
          INFRAHUB_SYNC_LOG            what is logged, as `target=level,…`; beats --verbosity
          NO_COLOR                     no colours, if set and not empty

        Exit codes:
            0  done, or in sync
            1  unexpected: a defect, or this machine (disk full, no permission)
            2  differences found (diff --detailed-exitcode only)
            3  the project cannot be used: config.yml, the mapping, no such project
            4  an adapter is missing, does not fit, is not the accepted one or broke
            5  a system did not answer or refused the request
            6  refused, nothing written: guardrail, unclear identities, schema drift
            7  partly done: the destination refused some changes, or data was left out
            8  another run of the same sync is at work
           64  the command line makes no sense
          130  interrupted
        ");
    }

    #[test]
    fn help_of_list() {
        insta::assert_snapshot!(help(&["list"]), @r"
        List the projects below a folder

        Usage: infrahub-sync list [OPTIONS]

        Options:
              --directory <DIR>  Folder below which projects are searched [default: working directory]
              --output <FORMAT>  How the list is written to stdout [default: text] [possible values: text,
                                 json]
          -h, --help             Print help

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_validate() {
        insta::assert_snapshot!(help(&["validate"]), @r"
        Check a project without asking any system, and report everything that is wrong

        Usage: infrahub-sync validate [OPTIONS]

        Options:
              --adapter-path <DIR>  Folder with custom adapters (<name>.wasm); may be given several times
          -h, --help                Print help

        Project (one of --name and --config-file):
              --name <NAME>         Name of the sync, searched below --directory
              --config-file <FILE>  The project's config.yml
              --directory <DIR>     Folder below which --name is searched [default: working directory]

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_generate() {
        insta::assert_snapshot!(help(&["generate"]), @r"
        Check the mapping against the destination's schema and write the models that the runs use

        Usage: infrahub-sync generate [OPTIONS]

        Options:
              --branch <BRANCH>     Branch of Infrahub that is used, unless the settings name one [default:
                                    main]
              --adapter-path <DIR>  Folder with custom adapters (<name>.wasm); may be given several times
          -h, --help                Print help

        Project (one of --name and --config-file):
              --name <NAME>         Name of the sync, searched below --directory
              --config-file <FILE>  The project's config.yml
              --directory <DIR>     Folder below which --name is searched [default: working directory]

        HTTP:
              --record <DIR>  Keep each HTTP request and response in this folder, without credentials
              --replay <DIR>  Answer each HTTP request from this folder; no system is asked

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_diff() {
        insta::assert_snapshot!(help(&["diff"]), @r"
        Compare source and destination and print what a sync would do; writes to the cache only

        Usage: infrahub-sync diff [OPTIONS]

        Options:
              --branch <BRANCH>     Branch of Infrahub that is used, unless the settings name one [default:
                                    main]
              --adapter-path <DIR>  Folder with custom adapters (<name>.wasm); may be given several times
              --run-id <RUN_ID>     Run id to use instead of a new one; a run of that id is overwritten
          -h, --help                Print help

        Project (one of --name and --config-file):
              --name <NAME>         Name of the sync, searched below --directory
              --config-file <FILE>  The project's config.yml
              --directory <DIR>     Folder below which --name is searched [default: working directory]

        Loading:
              --concurrent-load       Load source and destination at once [default]
              --no-concurrent-load    Load the source, then the destination
              --full-extract          Read every object anew [default]
              --no-full-extract       Read only what has changed since the last successful run, where both
                                      the adapter and the cache allow it
              --continue-on-error     Leave out objects and relationships that cannot be identified: they
                                      are listed, nothing of their kind is deleted, and the run is partial
                                      (exit code 7)
              --no-continue-on-error  Stop at such data, before anything is written [default]

        Output:
              --show-progress      Show a progress bar for each kind [default: if stderr is a terminal]
              --no-show-progress   Show no progress bars
              --output <FORMAT>    How the differences are written to stdout [default: text] [possible
                                   values: text, json]
              --detailed-exitcode  Exit with 2 where there are differences, and with 0 only where there are
                                   none

        Cache:
              --lock-wait <SECONDS>  Seconds to wait for another run of the same sync [default: 60]

        HTTP:
              --record <DIR>  Keep each HTTP request and response in this folder, without credentials
              --replay <DIR>  Answer each HTTP request from this folder; no system is asked

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_show() {
        insta::assert_snapshot!(help(&["show"]), @r"
        Print the plan of a cached run again

        Usage: infrahub-sync show [OPTIONS] --run-id <RUN_ID>

        Options:
              --run-id <RUN_ID>  Run id, as diff and sync name it; without a project the one sync that has
                                 such a run is meant
              --output <FORMAT>  How the plan is written to stdout; markdown is made for merge requests
                                 [default: text] [possible values: text, json, markdown]
          -h, --help             Print help

        Project (one of --name and --config-file):
              --name <NAME>         Name of the sync, searched below --directory
              --config-file <FILE>  The project's config.yml
              --directory <DIR>     Folder below which --name is searched [default: working directory]

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_apply() {
        insta::assert_snapshot!(help(&["apply"]), @r"
        Apply the plan of a cached run, without reading the source again

        Usage: infrahub-sync apply [OPTIONS] --run-id <RUN_ID>

        Options:
              --branch <BRANCH>     Branch of Infrahub that is used, unless the settings name one [default:
                                    main]
              --adapter-path <DIR>  Folder with custom adapters (<name>.wasm); may be given several times
              --run-id <RUN_ID>     Run id of an earlier diff or sync
          -h, --help                Print help

        Project (one of --name and --config-file):
              --name <NAME>         Name of the sync, searched below --directory
              --config-file <FILE>  The project's config.yml
              --directory <DIR>     Folder below which --name is searched [default: working directory]

        Loading:
              --continue-on-error     Leave out objects and relationships that cannot be identified: they
                                      are listed, nothing of their kind is deleted, and the run is partial
                                      (exit code 7)
              --no-continue-on-error  Stop at such data, before anything is written [default]

        Writing:
              --allow-rowcount-drop             Write even if a kind has lost more than half of its source
                                                rows since the last success. Only for a source that has
                                                shrunk on purpose
              --no-allow-rowcount-drop          Stop if a kind has, before anything is written [default]
              --max-deletes <N|P%>              Stop, before anything is written, if the plan deletes more
                                                than so many objects of one kind, or more than such a share
                                                of them [default: max_deletes of the project, else a fifth,
                                                or ten if that is more]
              --max-failures <N>                Try no more once so many rows were refused [default:
                                                max_failures of the project, else never]
              --on-conflict <refuse|overwrite>  What becomes of an object that somebody has changed after
                                                the plan was made: left as it is, or written all the same
                                                [default: on_conflict of the project, else refuse]

        Output:
              --show-progress     Show a progress bar for each kind [default: if stderr is a terminal]
              --no-show-progress  Show no progress bars

        Cache:
              --lock-wait <SECONDS>  Seconds to wait for another run of the same sync [default: 60]

        HTTP:
              --record <DIR>  Keep each HTTP request and response in this folder, without credentials
              --replay <DIR>  Answer each HTTP request from this folder; no system is asked

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_sync() {
        insta::assert_snapshot!(help(&["sync"]), @r"
        Compare source and destination and bring the destination in line

        Usage: infrahub-sync sync [OPTIONS]

        Options:
              --branch <BRANCH>     Branch of Infrahub that is used, unless the settings name one [default:
                                    main]
              --adapter-path <DIR>  Folder with custom adapters (<name>.wasm); may be given several times
          -h, --help                Print help

        Project (one of --name and --config-file):
              --name <NAME>         Name of the sync, searched below --directory
              --config-file <FILE>  The project's config.yml
              --directory <DIR>     Folder below which --name is searched [default: working directory]

        Loading:
              --concurrent-load       Load source and destination at once [default]
              --no-concurrent-load    Load the source, then the destination
              --full-extract          Read every object anew [default]
              --no-full-extract       Read only what has changed since the last successful run, where both
                                      the adapter and the cache allow it
              --continue-on-error     Leave out objects and relationships that cannot be identified: they
                                      are listed, nothing of their kind is deleted, and the run is partial
                                      (exit code 7)
              --no-continue-on-error  Stop at such data, before anything is written [default]

        Writing:
              --parallel                        Write tier by tier: objects without references first, then
                                                those that refer to them [default]. A project with `order:`
                                                is written serially in that order
              --no-parallel                     Write one kind after the other
              --allow-rowcount-drop             Write even if a kind has lost more than half of its source
                                                rows since the last success. Only for a source that has
                                                shrunk on purpose
              --no-allow-rowcount-drop          Stop if a kind has, before anything is written [default]
              --max-deletes <N|P%>              Stop, before anything is written, if the plan deletes more
                                                than so many objects of one kind, or more than such a share
                                                of them [default: max_deletes of the project, else a fifth,
                                                or ten if that is more]
              --max-failures <N>                Try no more once so many rows were refused [default:
                                                max_failures of the project, else never]
              --on-conflict <refuse|overwrite>  What becomes of an object that somebody has changed after
                                                the plan was made: left as it is, or written all the same
                                                [default: on_conflict of the project, else refuse]

        Output:
              --diff              Print the differences before they are written [default]
              --no-diff           Do not print the differences
              --show-progress     Show a progress bar for each kind [default: if stderr is a terminal]
              --no-show-progress  Show no progress bars

        Cache:
              --lock-wait <SECONDS>  Seconds to wait for another run of the same sync [default: 60]

        HTTP:
              --record <DIR>  Keep each HTTP request and response in this folder, without credentials
              --replay <DIR>  Answer each HTTP request from this folder; no system is asked

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        let hours = |hours: u64| Ok(Duration::from_secs(hours * 3600));
        assert_eq!(age("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!([age("12h"), age("30d"), age("8w"), age("0d")], [hours(12), hours(720), hours(1344), hours(0)]);
        for wrong in ["", "d", "30", "30 d", "-1d", "1.5d", "30D", "30é", "99999999999999999999d", "999999999999999999w"] {
            assert!(age(wrong).is_err(), "{wrong:?}");
        }
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
        error: invalid value '30' for '--older-than <AGE>': an age is a number and m, h, d or w, as in 30d

        For more information, try '--help'.
        ");
    }

    #[test]
    fn help_of_cache() {
        insta::assert_snapshot!(help(&["cache"]), @r"
        Show, prune or check the cached runs

        Usage: infrahub-sync cache [OPTIONS] <COMMAND>

        Commands:
          list    List the cached runs: how they ended, what an apply could go on with, and what they take
                  on the disk
          prune   Remove old runs; never one that is at work, was interrupted while it was applied, or that
                  the next run starts from
          verify  Read every file of the cache and report what is damaged, missing or left over; exits with
                  1 if something is damaged or missing

        Options:
          -h, --help  Print help

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_cache_list() {
        insta::assert_snapshot!(help(&["cache", "list"]), @r"
        List the cached runs: how they ended, what an apply could go on with, and what they take on the disk

        Usage: infrahub-sync cache list [OPTIONS]

        Options:
              --output <FORMAT>  How the list is written to stdout [default: text] [possible values: text,
                                 json]
          -h, --help             Print help

        Syncs [default: all that are cached]:
              --name <NAME>         The sync of that name, whether its project is still there or not
              --config-file <FILE>  The sync of the project in that config.yml
              --directory <DIR>     The syncs of all projects below that folder

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_cache_prune() {
        insta::assert_snapshot!(help(&["cache", "prune"]), @r"
        Remove old runs; never one that is at work, was interrupted while it was applied, or that the next
        run starts from

        Usage: infrahub-sync cache prune [OPTIONS]

        Options:
              --keep <N>          Keep the newest N runs of each sync [default: 20, if --older-than is not
                                  given either]
              --older-than <AGE>  Keep runs that are younger, as 12h, 30d or 8w; with --keep, a run goes
                                  only if both allow it [default: 30d, if --keep is not given either]
              --dry-run           Say what would be removed, and remove nothing
              --output <FORMAT>   How what was removed is written to stdout [default: text] [possible
                                  values: text, json]
          -h, --help              Print help

        Syncs [default: all that are cached]:
              --name <NAME>         The sync of that name, whether its project is still there or not
              --config-file <FILE>  The sync of the project in that config.yml
              --directory <DIR>     The syncs of all projects below that folder

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_cache_verify() {
        insta::assert_snapshot!(help(&["cache", "verify"]), @r"
        Read every file of the cache and report what is damaged, missing or left over; exits with 1 if
        something is damaged or missing

        Usage: infrahub-sync cache verify [OPTIONS]

        Options:
              --run-id <RUN_ID>  Check this run only [default: all runs, and what lies beside them]
              --output <FORMAT>  How what was found is written to stdout [default: text] [possible values:
                                 text, json]
          -h, --help             Print help

        Syncs [default: all that are cached]:
              --name <NAME>         The sync of that name, whether its project is still there or not
              --config-file <FILE>  The sync of the project in that config.yml
              --directory <DIR>     The syncs of all projects below that folder

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }

    #[test]
    fn help_of_completions() {
        insta::assert_snapshot!(help(&["completions"]), @r"
        Print shell completions

        Usage: infrahub-sync completions [OPTIONS] <SHELL>

        Arguments:
          <SHELL>  The shell [possible values: bash, elvish, fish, powershell, zsh]

        Options:
          -h, --help  Print help

        Messages:
              --verbosity <LEVEL>    How much is said on stderr: errors; also warnings and where the run is
                                     kept; or every step [default: default] [possible values: quiet,
                                     default, verbose]
          -v, --verbose              Say more, and show long values in full; short for --verbosity verbose
          -q, --quiet                Say nothing but errors; short for --verbosity quiet
              --log-format <FORMAT>  How stderr is written: for people, or as one JSON object a line for log
                                     collectors [default: text] [possible values: text, json]
        ");
    }
}
