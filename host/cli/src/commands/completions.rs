//! Shell completions: printed, or installed where the shell finds them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::Shell;

use crate::args::UsageError;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The name to complete.
const PROGRAM: &str = "infrahub-sync";

/// Reads a variable of the environment.
type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Shell to complete for
    shell: Shell,
}

/// Why completions were not installed.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    /// There is no home folder.
    #[error("cannot locate the completion folder: HOME is not set")]
    NoHome,
    /// The shell reads completions from no folder by default.
    #[error("completions for {0} cannot be installed, only printed")]
    Unsupported(Shell),
    /// A file cannot be written.
    #[error("cannot write `{}`", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl From<InstallError> for CommandError {
    fn from(error: InstallError) -> CommandError {
        let failure = CommandError::from_error(Exit::Unexpected, &error);
        match error {
            InstallError::Unsupported(shell) => failure.hint(format!("`infrahub-sync completions {shell}` prints them")),
            InstallError::NoHome | InstallError::Write { .. } => failure,
        }
    }
}

/// Prints the completions of a shell: `completions`.
pub(super) fn run(args: &Completions, context: &Context) -> Result<Exit, CommandError> {
    print(args.shell, context)
}

/// Prints the completions of the named or the current shell: `--show-completion`.
pub(super) fn show(named: Option<Shell>, context: &Context) -> Result<Exit, CommandError> {
    print(shell(named, &context.environment)?, context)
}

/// Installs the completions of the named or the current shell: `--install-completion`.
pub(super) fn install(named: Option<Shell>, context: &Context) -> Result<Exit, CommandError> {
    let shell = shell(named, &context.environment)?;
    let file = write_installed(shell, &script(shell, (context.definition)()), &context.environment)?;
    context.screen.info(&format!("Installed completions for {shell}: {}", file.display()));
    Ok(Exit::Done)
}

fn print(shell: Shell, context: &Context) -> Result<Exit, CommandError> {
    context.print(|out| out.write_all(&script(shell, (context.definition)())))?;
    Ok(Exit::Done)
}

/// Returns the named shell, or the user's own.
fn shell(named: Option<Shell>, environment: &Environment<'_>) -> Result<Shell, UsageError> {
    named.or_else(|| environment("SHELL").and_then(Shell::from_shell_path)).ok_or(UsageError::UnknownShell)
}

/// Returns the script as bytes: the generator panics if a stream fails, and a `Vec` cannot fail.
fn script(shell: Shell, mut definition: clap::Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition, PROGRAM, &mut script);
    script
}

/// Writes the script where the shell finds it, and returns the file.
fn write_installed(shell: Shell, script: &[u8], environment: &Environment<'_>) -> Result<PathBuf, InstallError> {
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
    let home = variable("HOME").ok_or(InstallError::NoHome)?;
    let home = Path::new(&home);
    let below = |name: &str, default: &str| variable(name).map_or_else(|| home.join(default), PathBuf::from);
    let file = match shell {
        Shell::Bash => below("XDG_DATA_HOME", ".local/share").join("bash-completion/completions").join(PROGRAM),
        Shell::Fish => below("XDG_CONFIG_HOME", ".config").join("fish/completions").join(format!("{PROGRAM}.fish")),
        Shell::Zsh => home.join(".zfunc").join(format!("_{PROGRAM}")),
        other => return Err(InstallError::Unsupported(other)),
    };
    write(&file, script)?;
    if shell == Shell::Zsh {
        // zsh reads no folder of the user by default; the original adds this line too.
        let zshrc = below("ZDOTDIR", "").join(".zshrc");
        let text = fs::read_to_string(&zshrc).unwrap_or_default();
        if !text.contains(".zfunc") {
            let line = "fpath+=~/.zfunc; autoload -Uz compinit; compinit\n";
            append(&zshrc, &text, line)?;
        }
    }
    Ok(file)
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), InstallError> {
    file.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(file, bytes))
        .map_err(|source| InstallError::Write { file: file.to_owned(), source })
}

/// Appends a line to a user's file. It never rewrites the file, which may contain more than valid text.
fn append(file: &Path, text: &str, line: &str) -> Result<(), InstallError> {
    let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut file| file.write_all(format!("{separator}{line}").as_bytes()))
        .map_err(|source| InstallError::Write { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_with_our_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let text = String::from_utf8(script(shell, crate::commands::definition())).unwrap();
            assert!(text.contains("no-allow-rowcount-drop"), "{shell}");
        }
    }

    #[test]
    fn the_environment_names_the_shell() {
        let zsh = |name: &str| (name == "SHELL").then(|| "/usr/bin/zsh".to_owned());
        assert_eq!(shell(None, &zsh), Ok(Shell::Zsh));
        assert_eq!(shell(Some(Shell::Fish), &zsh), Ok(Shell::Fish));
        assert_eq!(shell(None, &|_| None), Err(UsageError::UnknownShell));
    }

    #[test]
    fn installing_puts_the_script_where_the_shell_finds_it() {
        let home = tempfile::tempdir().unwrap();
        let environment = |name: &str| (name == "HOME").then(|| home.path().display().to_string());
        let at = |shell| {
            let file = write_installed(shell, b"script", &environment).unwrap();
            assert!(file.is_file());
            file.strip_prefix(home.path()).unwrap().display().to_string()
        };
        assert_eq!(at(Shell::Bash), ".local/share/bash-completion/completions/infrahub-sync");
        assert_eq!(at(Shell::Fish), ".config/fish/completions/infrahub-sync.fish");
        fs::write(home.path().join(".zshrc"), "alias ll='ls -l'").unwrap();
        assert_eq!(at(Shell::Zsh), ".zfunc/_infrahub-sync");
        assert_eq!(at(Shell::Zsh), ".zfunc/_infrahub-sync");
        insta::assert_snapshot!(fs::read_to_string(home.path().join(".zshrc")).unwrap(), @r"
        alias ll='ls -l'
        fpath+=~/.zfunc; autoload -Uz compinit; compinit
        ");
        insta::assert_snapshot!(write_installed(Shell::Elvish, b"", &environment).unwrap_err(), @"completions for elvish cannot be installed, only printed");
        insta::assert_snapshot!(write_installed(Shell::Bash, b"", &|_| None).unwrap_err(), @"cannot locate the completion folder: HOME is not set");
    }
}
