//! The program `infrahub-sync`: arguments, screens and exit codes around the engine.
//!
//! Nothing is decided here that the engine could decide, and the engine never writes to a terminal. The environment, the
//! clock and the working directory are read in this crate and handed on as arguments. What a command does not need is not
//! started: `list` and `--help` cost no asynchronous runtime, no sandbox and no log.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on has failed"))]

mod adapter;
mod args;
mod builtin;
mod cache;
mod commands;
mod completions;
mod escape;
mod exit;
mod locate;
mod logging;
mod progress;
mod render;
mod report;
mod screen;

use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Verbosity};
use crate::commands::{environment, to_stdout};
use crate::exit::Exit;
use crate::report::Report;
use crate::screen::Screen;

fn main() -> ExitCode {
    panic::set_hook(Box::new(tell_panic));
    panic::catch_unwind(start).unwrap_or(Exit::Unexpected).into()
}

/// Reads the command line and carries it out.
fn start() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version are no errors, and go to stdout.
            let exit = if message.use_stderr() { Exit::Usage } else { Exit::Done };
            // There is nobody left to tell if the stream is gone.
            let _ = message.print();
            return exit;
        }
    };
    let verbosity = cli.messages.verbosity();
    let format = cli.messages.log_format;
    carry_out(cli, verbosity).unwrap_or_else(|report| {
        Screen::new(verbosity).with_format(format).write(&report.to_string());
        report.exit
    })
}

fn carry_out(cli: Cli, verbosity: Verbosity) -> Result<Exit, Report> {
    if let Some(named) = cli.show_completion {
        let shell = completions::shell(named, &environment)?;
        to_stdout(|out| completions::print(shell, out))?;
        return Ok(Exit::Done);
    }
    if let Some(named) = cli.install_completion {
        let shell = completions::shell(named, &environment)?;
        let file = completions::install(shell, &environment)?;
        Screen::new(verbosity).info(&format!("Installed the completions of {shell}: {}", file.display()));
        return Ok(Exit::Done);
    }
    match cli.command {
        Some(command) => commands::run(&command, verbosity, cli.messages.log_format),
        None => {
            // As the original: no command is a question.
            let _ = args::command().print_help();
            Ok(Exit::Done)
        }
    }
}

/// Says that the program is broken, in the form of every other failure.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no reason given");
    let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    let report = Report::new(Exit::Unexpected, format!("a defect of infrahub-sync: {message}{place}"))
        .hint("the cache stays usable; please report this, with what the same command says with --verbose");
    Screen::new(Verbosity::Quiet).write(&report.to_string());
}
