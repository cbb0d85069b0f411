//! Shell completions: printed, or put where the shell finds them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap_complete::Shell;

use crate::args::{self, UsageError};

/// The name that is completed.
const PROGRAM: &str = "infrahub-sync";

/// The environment.
type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Why completions were not installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// There is no home folder.
    #[error("HOME is not set: nobody knows where the completions belong")]
    NoHome,
    /// There is no folder that the shell reads on its own.
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

/// The shell that is named, or the user's own.
pub(crate) fn shell(named: Option<Shell>, environment: &Environment<'_>) -> Result<Shell, UsageError> {
    named.or_else(|| environment("SHELL").and_then(Shell::from_shell_path)).ok_or(UsageError::UnknownShell)
}

/// Prints the script.
pub(crate) fn print(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&script(shell))
}

/// The script, as bytes: the generator panics where a stream fails, and a `Vec` does not.
fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), PROGRAM, &mut script);
    script
}

/// Writes the script where the shell finds it, and says where that is.
pub(crate) fn install(shell: Shell, environment: &Environment<'_>) -> Result<PathBuf, InstallError> {
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
    write(&file, &script(shell))?;
    if shell == Shell::Zsh {
        // zsh reads no folder of the user's unless it is told; the original adds these lines too.
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

/// Appends a line to a user's file, on a line of its own. The file is never rewritten: it may be more than text to us.
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
            let mut out = Vec::new();
            print(shell, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains("no-allow-rowcount-drop"), "{shell}");
        }
    }

    #[test]
    fn the_shell_is_told_by_the_environment() {
        let zsh = |name: &str| (name == "SHELL").then(|| "/usr/bin/zsh".to_owned());
        assert_eq!(shell(None, &zsh), Ok(Shell::Zsh));
        assert_eq!(shell(Some(Shell::Fish), &zsh), Ok(Shell::Fish));
        assert_eq!(shell(None, &|_| None), Err(UsageError::UnknownShell));
    }

    #[test]
    fn installing_puts_the_script_where_the_shell_looks() {
        let home = tempfile::tempdir().unwrap();
        let environment = |name: &str| (name == "HOME").then(|| home.path().display().to_string());
        let at = |shell| {
            let file = install(shell, &environment).unwrap();
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
        insta::assert_snapshot!(install(Shell::Elvish, &environment).unwrap_err(), @"completions for elvish cannot be installed, only printed");
        insta::assert_snapshot!(install(Shell::Bash, &|_| None).unwrap_err(), @"HOME is not set: nobody knows where the completions belong");
    }
}
