//! `adapter new`: a folder for a new adapter, in its author's language.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use infrahub_sync_new_adapter::from_python::{self, Class};
use infrahub_sync_new_adapter::{Language, NewError, write};

use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The arguments of `adapter new`.
#[derive(Debug, Args)]
pub(super) struct AdapterNew {
    /// Name of the adapter: lower-case letters, digits and `-` [default with --from-python: the class without `Adapter`]
    #[arg(value_name = "NAME", required_unless_present = "from_python")]
    name: Option<String>,

    /// Programming language of the adapter
    #[arg(long, value_name = "LANGUAGE", required_unless_present = "from_python")]
    language: Option<LanguageName>,

    /// Take over a custom adapter of infrahub-sync 2.0.1: `./adapters/shop.py:ShopAdapter`
    #[arg(long, value_name = "FILE:CLASS", conflicts_with = "language")]
    from_python: Option<String>,

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
            NewError::Name { .. } | NewError::Exists { .. } | NewError::NoClass { .. } | NewError::Read { .. } | NewError::Class { .. } => {
                Exit::Usage
            }
            NewError::Write { .. } => Exit::Unexpected,
        };
        error.hint().into_iter().fold(CommandError::from_error(exit, &error), CommandError::hint)
    }
}

/// Creates the folder, and prints it.
pub(super) fn run(args: &AdapterNew, context: &Context) -> Result<Exit, CommandError> {
    if let Some(class) = &args.from_python {
        return take_over(args, class, context);
    }
    let (Some(name), Some(language)) = (&args.name, args.language.map(Language::from)) else { return Ok(Exit::Usage) };
    let folder = args.directory.clone().unwrap_or_else(|| PathBuf::from(name));
    let files = write(name, language, &folder)?;
    context.print(|out| writeln!(out, "{}", folder.display()))?;
    context.screen.info(&format!(
        "Wrote {} files: a working adapter in {language}, its test, the SDK and the contract. {}README.md describes the next steps.",
        files.len(),
        next_steps(language),
    ));
    Ok(Exit::Done)
}

/// Creates the folder of a custom adapter of infrahub-sync 2.0.1.
fn take_over(args: &AdapterNew, class: &str, context: &Context) -> Result<Exit, CommandError> {
    let class = Class::parse(class)?;
    let name = args.name.clone().unwrap_or_else(|| class.adapter_name());
    let folder = args.directory.clone().unwrap_or_else(|| PathBuf::from(&name));
    let (files, changes) = from_python::write(&name, &class, &folder)?;
    context.print(|out| writeln!(out, "{}", folder.display()))?;
    let changes = match changes {
        0 => "no line of it was found that must be changed".to_owned(),
        1 => "CHANGES.md names the line to change by hand".to_owned(),
        count => format!("CHANGES.md names {count} lines to change by hand"),
    };
    context.screen.info(&format!(
        "Wrote {} files: your code unchanged, the adapter that runs it, the SDK and the contract; {changes}. {}README.md describes the next steps.",
        files.len(),
        next_steps(Language::Python),
    ));
    Ok(Exit::Done)
}

/// Returns how an adapter is tested and built.
fn next_steps(language: Language) -> String {
    format!("To test and build it, run in that folder:\n  {}\n  infrahub-sync adapter build\n", language.test_command())
}
