//! `adapter new`: the beginnings of an adapter, in the language of its author.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use crate::exit::Exit;
use crate::report::Report;
use crate::screen::Screen;

/// `adapter new`
#[derive(Debug, Args)]
pub(crate) struct AdapterNew {
    /// The folder that is made
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: PathBuf,

    /// The language that it is written in
    #[arg(long, value_name = "LANGUAGE")]
    language: Language,
}

/// A language that adapters are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    // Rust
    Rust,
    // Python, by componentize-py
    Python,
    // JavaScript, by jco
    Javascript,
    // Go
    Go,
}

pub(super) fn run(args: &AdapterNew, _screen: &Screen) -> Result<Exit, Report> {
    Err(Report::new(Exit::Unexpected, format!("{} is not made: this build has no template for {:?}", args.folder.display(), args.language)))
}
