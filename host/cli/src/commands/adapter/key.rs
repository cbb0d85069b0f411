//! `adapter key`: the keys of publishers.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use infrahub_sync_registry::new_key;

use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The arguments of `adapter key`.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct AdapterKey {
    #[command(subcommand)]
    command: KeyCommand,
}

/// The sub-commands of `adapter key`.
#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a pair of keys, as minisign does: FILE, which stays secret, and FILE.pub, which everyone may have
    New(KeyNew),
}

/// The arguments of `adapter key new`.
#[derive(Debug, Args)]
struct KeyNew {
    /// File of the secret key; only its owner can read it, and it has no password
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

/// Carries out a sub-command.
pub(super) fn run(args: &AdapterKey, context: &Context) -> Result<Exit, CommandError> {
    match &args.command {
        KeyCommand::New(args) => new(&args.file, context),
    }
}

/// Makes a pair of keys. Neither file may exist.
fn new(file: &Path, context: &Context) -> Result<Exit, CommandError> {
    let public_file = PathBuf::from(format!("{}.pub", file.display()));
    if let Some(there) = [file, &public_file].into_iter().find(|file| fs::symlink_metadata(file).is_ok()) {
        let error = CommandError::new(Exit::Usage, format!("{} exists", there.display()));
        return Err(error.hint("a lost key cannot be made again: name another file"));
    }
    let key = new_key()?;
    let failed =
        |file: &Path, error: std::io::Error| CommandError::new(Exit::Unexpected, format!("cannot write {}: {error}", file.display()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    let mut secret = options.clone();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut secret, 0o600);
    let write =
        |options: &fs::OpenOptions, file: &Path, text: &str| options.open(file).and_then(|mut file| file.write_all(text.as_bytes()));
    write(&secret, file, &key.secret).map_err(|error| failed(file, error))?;
    write(&options, &public_file, &key.public).map_err(|error| failed(&public_file, error))?;
    context.print(|out| writeln!(out, "{}", key.line))?;
    context.screen.info(&format!(
        "Made the key {}: {} is secret, {} is for everyone. Projects name the line above in `trust:`.",
        key.id,
        file.display(),
        public_file.display()
    ));
    Ok(Exit::Done)
}
