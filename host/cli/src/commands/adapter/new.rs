//! `adapter new`: a folder for a new adapter, in its author's language.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use infrahub_sync_new_adapter::{Language, NewError, write};

use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The arguments of `adapter new`.
#[derive(Debug, Args)]
pub(super) struct AdapterNew {
    /// Name of the adapter: lower-case letters, digits and `-`
    #[arg(value_name = "NAME")]
    name: String,

    /// Programming language of the adapter
    #[arg(long, value_name = "LANGUAGE")]
    language: LanguageName,

    /// Folder to create [default: NAME in the working directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: Option<PathBuf>,
}

/// A programming language of adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LanguageName {
    // Rust
    Rust,
    // Python, by componentize-py
    Python,
    // JavaScript, by QuickJS
    Javascript,
    // Go
    Go,
}

impl From<LanguageName> for Language {
    fn from(name: LanguageName) -> Language {
        match name {
            LanguageName::Rust => Language::Rust,
            LanguageName::Python => Language::Python,
            LanguageName::Javascript => Language::JavaScript,
            LanguageName::Go => Language::Go,
        }
    }
}

impl From<NewError> for CommandError {
    fn from(error: NewError) -> CommandError {
        let exit = match error {
            NewError::Name { .. } | NewError::Exists { .. } => Exit::Usage,
            NewError::Write { .. } => Exit::Unexpected,
        };
        error.hint().into_iter().fold(CommandError::from_error(exit, &error), CommandError::hint)
    }
}

/// Creates the folder, and prints it.
pub(super) fn run(args: &AdapterNew, context: &Context) -> Result<Exit, CommandError> {
    let language = Language::from(args.language);
    let folder = args.directory.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let files = write(&args.name, language, &folder)?;
    context.print(|out| writeln!(out, "{}", folder.display()))?;
    context.screen.info(&format!(
        "Wrote {} files: a working adapter in {language}, its test, the SDK and the contract. To test and build it, run in that folder:\n  \
         {}\n  \
         cargo run --release -p infrahub-sync-build --manifest-path $SYNC/Cargo.toml -- component .\n\
         $SYNC is a checkout of infrahub-sync. README.md describes the next steps.",
        files.len(),
        language.test_command(),
    ));
    Ok(Exit::Done)
}
