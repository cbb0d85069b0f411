//! The program `infrahub-sync`: arguments, messages and exit codes around the engine.
//!
//! This crate decides nothing that the engine could decide, and the engine never writes to a terminal. This crate reads the environment,
//! the clock and the working directory, and passes them on as arguments. A command starts only what it needs: `list` and `--help` cost no
//! asynchronous runtime, no sandbox and no log.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

mod args;
mod builtin;
mod cached;
mod call;
mod command_error;
mod commands;
mod context;
mod escape;
mod examiner;
mod exit;
mod hints;
mod locate;
mod logging;
mod outcome;
mod plan;
mod progress;
mod published;
mod render;
mod screen;
mod signals;
mod variables;

use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Verbosity;
use crate::command_error::CommandError;
use crate::commands::Cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;

fn main() -> ExitCode {
    if let Some(code) = infrahub_sync_runtime::compile_if_asked(std::env::args_os().skip(1)) {
        return code;
    }
    panic::set_hook(Box::new(report_panic));
    panic::catch_unwind(start).unwrap_or(Exit::Unexpected).into()
}

/// Reads the command line and carries it out.
fn start() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version are no errors, and go to stdout.
            let exit = if message.use_stderr() { Exit::Usage } else { Exit::Done };
            // If the stream is closed, the message has no reader.
            let _ = message.print();
            return exit;
        }
    };
    let screen = Screen::new(cli.messages.verbosity()).with_format(cli.messages.log_format);
    let context = Context { screen: screen.clone(), environment: |name| std::env::var(name).ok(), definition: commands::definition };
    commands::run(cli, context).unwrap_or_else(|error| {
        screen.write(&error.to_string());
        error.exit
    })
}

/// Reports a defect of the program in the form of every other failure.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no reason given");
    let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    let error = CommandError::new(Exit::Unexpected, format!("internal error in infrahub-sync: {message}{place}"))
        .hint("the cache stays usable; please report this together with the output of the same command with --verbose");
    Screen::new(Verbosity::Quiet).write(&error.to_string());
}
