//! The arguments that several commands share, and what each group means to the engine.
//!
//! Arguments of a single command are in that command's file. A group of options for the engine implements [`EngineOptions`], so a new
//! option in a group changes this file and the engine only.
//!
//! Invariants: parsing reads neither files nor the network nor the environment, so `--help` prints no values of the machine. The last of
//! a `--x/--no-x` pair wins, and so does the last of a repeated option, as in infrahub-sync 2.0.1.

#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags, reason = "the comments are help texts")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use infrahub_sync_config::{ApplyOverrides, OnConflict};
use infrahub_sync_core::guardrail::DeleteLimit;
use infrahub_sync_engine::Options;
use infrahub_sync_runtime::Exchanges;
use jiff::{Span, SpanRelativeTo};

/// How long a run waits for another run of the same sync, as long as the original does.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(60);

/// Which messages go to stderr, and in which form.
#[derive(Debug, Args)]
pub(crate) struct Messages {
    /// Messages on stderr: errors only (quiet), also warnings and results (default), or every step (verbose)
    #[arg(long, value_name = "LEVEL", default_value = "default", hide_possible_values = true, global = true, help_heading = "Messages")]
    verbosity: Verbosity,

    /// Show every step, and long values in full; short for --verbosity verbose
    #[arg(short, long, global = true, help_heading = "Messages")]
    verbose: bool,

    /// Show errors only; short for --verbosity quiet
    #[arg(short, long, global = true, help_heading = "Messages")]
    quiet: bool,

    /// Format of stderr: text, or one JSON object per line (json)
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true, global = true, help_heading = "Messages")]
    pub(crate) log_format: LogFormat,
}

/// The format of stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    // Text, with colours on a terminal
    Text,
    // One object per line: level, message and fields
    Json,
}

impl Messages {
    /// Returns the level in effect: as in the original, `--quiet` beats `--verbose`, and both beat `--verbosity`.
    pub(crate) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => self.verbosity,
        }
    }
}

/// Which messages go to stderr.
//
// The variants have no doc comments: clap would print each on a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verbosity {
    // Errors
    Quiet,
    // Errors, warnings, and the folder of the run
    Default,
    // Every step, with its counts
    Verbose,
}

/// Names the project of a command.
#[derive(Debug, Args)]
pub(crate) struct ProjectArgs {
    /// Name of the sync to find below --directory
    #[arg(long, value_name = "NAME", help_heading = "Project (one of --name and --config-file)")]
    name: Option<String>,

    /// Path of the project's config.yml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Project (one of --name and --config-file)")]
    config_file: Option<PathBuf>,

    /// Folder to search for --name [default: working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Project (one of --name and --config-file)")]
    directory: Option<PathBuf>,
}

/// Names the project of a command that can do without one.
#[derive(Debug, Args)]
pub(crate) struct OptionalProjectArgs {
    /// Name of the sync to find below --directory
    #[arg(long, value_name = "NAME", help_heading = "Project [default: none]")]
    name: Option<String>,

    /// Path of the project's config.yml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Project [default: none]")]
    config_file: Option<PathBuf>,

    /// Folder to search for --name [default: working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Project [default: none]")]
    directory: Option<PathBuf>,
}

impl OptionalProjectArgs {
    /// Returns the named project, or none if neither option is given.
    pub(crate) fn selection(&self) -> Result<Option<Selection<'_>>, UsageError> {
        match Selection::new(self.name.as_deref(), self.config_file.as_deref(), self.directory.as_deref()) {
            Err(UsageError::NoProject) => Ok(None),
            selection => selection.map(Some),
        }
    }
}

/// The one project that a command works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl<'a> Selection<'a> {
    /// Chooses between name and file. An empty value counts as missing, as in the original: scripts pass unset variables.
    fn new(name: Option<&'a str>, file: Option<&'a Path>, directory: Option<&'a Path>) -> Result<Selection<'a>, UsageError> {
        match (name.filter(|name| !name.is_empty()), file.filter(|file| !file.as_os_str().is_empty())) {
            (Some(_), Some(_)) => Err(UsageError::TwoProjects),
            (None, None) => Err(UsageError::NoProject),
            (Some(name), None) => Ok(Selection::Name { name, directory }),
            (None, Some(file)) => Ok(Selection::File(file)),
        }
    }
}

/// A command line that clap accepts and the program does not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// No project is named.
    #[error("no project is named: use --name or --config-file")]
    NoProject,
    /// Two projects are named.
    #[error("--name and --config-file both name a project: use one of them")]
    TwoProjects,
    /// The environment does not name the shell.
    #[error("the current shell is unknown")]
    UnknownShell,
}

impl ProjectArgs {
    /// Returns the named project.
    pub(crate) fn selection(&self) -> Result<Selection<'_>, UsageError> {
        Selection::new(self.name.as_deref(), self.config_file.as_deref(), self.directory.as_deref())
    }
}

/// Adds folders with custom adapters.
#[derive(Debug, Args)]
pub(crate) struct AdapterArgs {
    /// Folder with custom adapters (<name>.wasm); can be repeated
    #[arg(long = "adapter-path", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) paths: Vec<PathBuf>,
}

/// Sets settings of an adapter on the command line.
#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// Branch to read and write, for systems that have branches; the project's settings take precedence
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
}

impl SettingArgs {
    /// Returns the given options and their values. An adapter's manifest says which of its settings an option sets.
    pub(crate) fn command_line(&self) -> BTreeMap<String, String> {
        [("branch", &self.branch)].into_iter().filter_map(|(option, value)| Some((option.to_owned(), value.clone()?))).collect()
    }
}

/// Names the project of a call of the engine, and changes its adapters. These options begin the help of each such command.
#[derive(Debug, Args)]
pub(crate) struct SystemArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    #[command(flatten)]
    pub(crate) settings: SettingArgs,

    #[command(flatten)]
    pub(crate) adapters: AdapterArgs,

    /// Fail unless infrahub-sync.lock.yml exists and accepts both adapters; for CI
    #[arg(long)]
    pub(crate) locked: bool,
}

/// Names the places in which an adapter is searched for.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(crate) adapters: AdapterArgs,

    #[command(flatten)]
    pub(crate) project: OptionalProjectArgs,
}

/// Options that the engine takes.
pub(crate) trait EngineOptions {
    /// Puts the choices of this group into the options.
    fn set(&self, options: &mut Options);
}

/// Returns the engine's options: the defaults, changed by each group.
pub(crate) fn engine_options(groups: &[&dyn EngineOptions]) -> Options {
    let mut options = Options {
        concurrent_load: true,
        full_extract: true,
        parallel: true,
        allow_rowcount_drop: false,
        continue_on_error: false,
        rules: ApplyOverrides::default(),
        lock_wait: LOCK_WAIT,
        plan_digest: None,
    };
    groups.iter().for_each(|group| group.set(&mut options));
    options
}

/// Controls how both sides are read.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Load source and destination at the same time [default]
    #[arg(long, overrides_with = "no_concurrent_load", help_heading = "Loading")]
    concurrent_load: bool,

    /// Load the source, then the destination
    #[arg(long, overrides_with = "concurrent_load", help_heading = "Loading")]
    no_concurrent_load: bool,

    /// Read every object [default]
    #[arg(long, overrides_with = "no_full_extract", help_heading = "Loading")]
    full_extract: bool,

    /// Read only changes since the last successful run, where the adapter and the cache allow it
    #[arg(long, overrides_with = "full_extract", help_heading = "Loading")]
    no_full_extract: bool,
}

impl EngineOptions for LoadArgs {
    fn set(&self, options: &mut Options) {
        options.concurrent_load = !self.no_concurrent_load;
        options.full_extract = !self.no_full_extract;
    }
}

/// Controls what happens to records that cannot be identified.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Leave out objects and relationships that cannot be identified. They are listed, nothing of their kind is deleted, and the run is partial (exit code 7)
    #[arg(long, overrides_with = "no_continue_on_error", help_heading = "Loading")]
    continue_on_error: bool,

    /// Stop before writing if objects cannot be identified [default]
    #[arg(long, overrides_with = "continue_on_error", help_heading = "Loading")]
    no_continue_on_error: bool,
}

impl EngineOptions for DataArgs {
    fn set(&self, options: &mut Options) {
        options.continue_on_error = self.continue_on_error;
    }
}

/// Limits what an apply may do.
#[derive(Debug, Args)]
pub(crate) struct GuardrailArgs {
    /// Write even if a kind lost more than half of its source rows since the last success; for a source that shrank on purpose
    #[arg(long, overrides_with = "no_allow_rowcount_drop", help_heading = "Writing")]
    allow_rowcount_drop: bool,

    /// Stop before writing if a kind lost more than half of its source rows [default]
    #[arg(long, overrides_with = "allow_rowcount_drop", help_heading = "Writing")]
    no_allow_rowcount_drop: bool,

    /// Refuse a plan that deletes more than N or P% of a kind's objects [default: the project's max_deletes, or the larger of 20% and 10]
    #[arg(long, value_name = "N|P%", help_heading = "Writing")]
    max_deletes: Option<DeleteLimit>,

    /// Stop after N rejected rows [default: the project's max_failures, or else never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Writing")]
    max_failures: Option<u64>,

    /// How to handle objects modified since the plan was created: skip and report them, or overwrite them [default: the project's on_conflict, or else refuse]
    #[arg(long, value_name = "refuse|overwrite", help_heading = "Writing")]
    on_conflict: Option<OnConflict>,
}

impl EngineOptions for GuardrailArgs {
    fn set(&self, options: &mut Options) {
        options.allow_rowcount_drop = self.allow_rowcount_drop;
        options.rules = ApplyOverrides { max_deletes: self.max_deletes, max_failures: self.max_failures, on_conflict: self.on_conflict };
    }
}

/// Controls progress bars.
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
    /// Returns the choice, if one was made.
    pub(crate) fn wanted(&self) -> Option<bool> {
        match (self.show_progress, self.no_show_progress) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// Controls waiting for another run of the same sync.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Seconds to wait while another run of the same sync is running
    #[arg(long, value_name = "SECONDS", default_value_t = LOCK_WAIT.as_secs(), help_heading = "Cache")]
    lock_wait: u64,
}

impl EngineOptions for WaitArgs {
    fn set(&self, options: &mut Options) {
        options.lock_wait = Duration::from_secs(self.lock_wait);
    }
}

/// Records and replays HTTP.
#[derive(Debug, Args)]
pub(crate) struct ExchangeArgs {
    /// Record each HTTP request and response in this folder, without credentials
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "replay", help_heading = "HTTP")]
    record: Option<PathBuf>,

    /// Answer each HTTP request from this recording; no system is contacted
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "HTTP")]
    replay: Option<PathBuf>,
}

impl ExchangeArgs {
    /// Returns where HTTP responses come from.
    pub(crate) fn exchanges(&self) -> Exchanges {
        match (&self.record, &self.replay) {
            (Some(folder), _) => Exchanges::Record(folder.clone()),
            (None, Some(folder)) => Exchanges::Replay(folder.clone()),
            (None, None) => Exchanges::Live,
        }
    }
}

/// Controls the lock and HTTP of a run. These options end the help of each command that makes one.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    wait: WaitArgs,

    #[command(flatten)]
    pub(crate) exchanges: ExchangeArgs,
}

impl EngineOptions for RunArgs {
    fn set(&self, options: &mut Options) {
        self.wait.set(options);
    }
}

/// Chooses the format of stdout.
//
// A heading that a command gives this group (`next_help_heading`) holds for the options after it too, so those name their own.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Format of stdout
    #[arg(long = "output", value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Output,
}

/// The format of stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    // For people
    Text,
    // One JSON document
    Json,
}

/// Parses the digest of a plan: `sha256:` and 64 hexadecimal digits.
pub(crate) fn plan_digest(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "expected `sha256:` and 64 hexadecimal digits".to_owned();
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64 && digits.is_ascii()).ok_or_else(wrong)?;
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        let pair = digits.get(2 * at..2 * at + 2).filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
        *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
    }
    Ok(digest)
}

/// Parses a time span such as `12h`, `30d` or `8w`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    // Both of jiff's errors name a position in the text, which is a single word here.
    let wrong = || "expected a number and a unit (m, h, d or w), such as 30d".to_owned();
    let span: Span = text.parse().map_err(|_| wrong())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(duration).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_a_plan_has_64_digits() {
        assert_eq!(plan_digest(&format!("sha256:{}", "aB".repeat(32))), Ok([0xab; 32]));
        for wrong in
            ["", "sha256:", "sha256:ab", &"a".repeat(64), &format!("sha256:{}", "g".repeat(64)), &format!("sha256:{}", "+1".repeat(32))]
        {
            assert!(plan_digest(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        let hours = |hours: u64| Ok(Duration::from_secs(hours * 3600));
        assert_eq!(age("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!([age("12h"), age("30d"), age("8w"), age("0d")], [hours(12), hours(720), hours(1344), hours(0)]);
        assert_eq!([age("1 week"), age("1d 12h")], [hours(168), hours(36)]);
        for wrong in ["", "d", "30", "-1d", "1.5d", "2mo", "30é", "99999999999999999999d", "999999999999999999w"] {
            assert!(age(wrong).is_err(), "{wrong:?}");
        }
    }
}
