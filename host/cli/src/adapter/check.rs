//! `adapter check`: whether an adapter keeps the contract.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::args::Output;
use crate::exit::Exit;
use crate::report::Report;
use crate::screen::Screen;

/// `adapter check`
#[derive(Debug, Args)]
pub(crate) struct AdapterCheck {
    /// The adapter's component
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    component: PathBuf,

    /// How what was found is written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &AdapterCheck, _screen: &Screen) -> Result<Exit, Report> {
    Err(Report::new(Exit::Unexpected, format!("{} is not checked: this build has no checks ({:?})", args.component.display(), args.output)))
}
