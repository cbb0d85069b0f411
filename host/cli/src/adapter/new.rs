//! `adapter new`: the folder of a new adapter, in the language of its author.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use infrahub_sync_new_adapter::{Language, NewError, write};

use crate::commands::to_stdout;
use crate::exit::Exit;
use crate::report::Report;
use crate::screen::Screen;

/// `adapter new`
#[derive(Debug, Args)]
pub(crate) struct AdapterNew {
    /// Its name: small letters, digits and `-`
    #[arg(value_name = "NAME")]
    name: String,

    /// The language that it is written in
    #[arg(long, value_name = "LANGUAGE")]
    language: LanguageName,

    /// The folder that is made [default: one of that name, here]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: Option<PathBuf>,
}

/// A language that adapters are written in.
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

pub(super) fn run(args: &AdapterNew, screen: &Screen) -> Result<Exit, Report> {
    let language = Language::from(args.language);
    let folder = args.directory.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let files = write(&args.name, language, &folder).map_err(|error| report(&error))?;
    to_stdout(|out| writeln!(out, "{}", folder.display()))?;
    screen.info(&format!(
        "{} files: an adapter in {language} that works, its test, the SDK, the contract. In that folder:\n  \
         {}\n  \
         cargo run --release -p infrahub-sync-build --manifest-path $SYNC/Cargo.toml -- component .\n\
         $SYNC is a copy of infrahub-sync's repository; README.md goes on from there.",
        files.len(),
        language.test_command(),
    ));
    Ok(Exit::Done)
}

fn report(error: &NewError) -> Report {
    let exit = match error {
        NewError::Name { .. } | NewError::Exists { .. } => Exit::Usage,
        NewError::Write { .. } => Exit::Unexpected,
    };
    let report = Report::from_error(exit, error);
    match error.hint() {
        Some(hint) => report.hint(hint),
        None => report,
    }
}
