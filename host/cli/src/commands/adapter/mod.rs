//! `adapter`: which adapters exist, what one of them may do, and whether it keeps the contract.
//!
//! Except in `check`, which works on recordings, no code of an adapter is executed beyond its self-description.

mod add;
mod build;
mod check;
mod dev;
mod inspect;
mod key;
mod list;
mod lock;
mod new;
mod outdated;
mod prune;
mod pull;
mod push;
mod update;
mod warm;

use clap::{Args, Subcommand};

use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The arguments of `adapter`.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Adapter {
    #[command(subcommand)]
    command: AdapterCommand,
}

/// The sub-commands of `adapter`.
#[derive(Debug, Subcommand)]
enum AdapterCommand {
    /// List the adapters that a project can use: built-in adapters, and those in the adapter folders
    List(list::AdapterList),
    /// Show what an adapter is, what it is granted, and which setting grants it. Executes only its self-description
    Inspect(inspect::AdapterInspect),
    /// Accept the current adapters of a project: writes infrahub-sync.lock.yml beside its config.yml
    Lock(lock::AdapterLock),
    /// Remove compiled adapters that have not been used for a while; they are compiled again when needed
    Prune(prune::AdapterPrune),
    /// Check that an adapter keeps the contract: offline and without credentials, with recorded HTTP if it contacts a system
    Check(check::AdapterCheck),
    /// Name a published adapter in config.yml, and lock it
    Add(add::AdapterAdd),
    /// Lock the published adapters that their origins have now, and show what changes
    Update(update::AdapterUpdate),
    /// Show which published adapters of a project have newer versions; changes nothing
    Outdated(outdated::AdapterOutdated),
    /// Make the key of a publisher
    Key(key::AdapterKey),
    /// Fetch a published adapter into a file
    Pull(pull::AdapterPull),
    /// Publish an adapter in a registry, in the layout of WebAssembly components
    Push(push::AdapterPush),
    /// Create a folder for a new adapter, with working code, a test, the SDK and the contract
    New(new::AdapterNew),
    /// Build the component of an adapter's folder. Installs the pinned tools of its language into a cache
    Build(build::AdapterBuild),
    /// Build an adapter at each change of its folder, then test it, check it, and compare with its system
    Dev(dev::AdapterDev),
    /// Compile adapters for this machine, so that their first run starts at once; for images and CI
    Warm(warm::AdapterWarm),
}

/// Carries out a sub-command.
pub(super) fn run(args: &Adapter, context: &Context) -> Result<Exit, CommandError> {
    match &args.command {
        AdapterCommand::List(args) => list::run(args, context),
        AdapterCommand::Inspect(args) => inspect::run(args, context),
        AdapterCommand::Lock(args) => lock::run(args, context),
        AdapterCommand::Prune(args) => prune::run(args, context),
        AdapterCommand::Check(args) => check::run(args, context),
        AdapterCommand::Add(args) => add::run(args, context),
        AdapterCommand::Update(args) => update::run(args, context),
        AdapterCommand::Outdated(args) => outdated::run(args, context),
        AdapterCommand::Key(args) => key::run(args, context),
        AdapterCommand::Pull(args) => pull::run(args, context),
        AdapterCommand::Push(args) => push::run(args, context),
        AdapterCommand::New(args) => new::run(args, context),
        AdapterCommand::Build(args) => build::run(args, context),
        AdapterCommand::Dev(args) => dev::run(args, context),
        AdapterCommand::Warm(args) => warm::run(args, context),
    }
}
