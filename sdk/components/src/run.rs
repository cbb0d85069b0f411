//! Running programs and talking about it.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::process::Command;

/// Why a step failed, as one sentence.
#[derive(Debug)]
pub struct Fault(pub String);

impl Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Prints what a person wants to read.
#[allow(clippy::print_stdout, reason = "this program's output is for a person")]
pub fn say(text: &str) {
    println!("{text}");
}

/// Prints what went wrong.
#[allow(clippy::print_stderr, reason = "this program's output is for a person")]
pub fn complain(text: &str) {
    eprintln!("{text}");
}

/// Returns the cargo that started this program, else the one on the path.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // What `cargo run` says about this program's own package must not reach the builds it starts: build scripts that watch
    // these variables would run again each time.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let about_us = name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_BIN_");
        if about_us || matches!(name_text.as_ref(), "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH" | "CARGO_CRATE_NAME") {
            command.env_remove(&name);
        }
    }
    command
}

/// Returns the command as a person would type it, with short paths below `root`.
pub fn words(command: &Command, root: &Path) -> String {
    let root = format!("{}/", root.display());
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().replace(&root, ""));
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Builds programs of the workspace, and nothing that only tests need.
///
/// Cargo unites the features of the whole workspace, as in `cargo verify`: what one command has built serves the others.
pub fn programs(root: &Path, names: &[&str]) -> Result<(), Fault> {
    let mut command = cargo();
    command.current_dir(root).args(["build", "--release", "--workspace"]);
    for name in names {
        command.args(["--bin", name]);
    }
    say(&format!("$ {}", words(&command, root)));
    succeed(&mut command, root)
}

/// Runs a command to its end and wants it to succeed.
pub fn succeed(command: &mut Command, root: &Path) -> Result<(), Fault> {
    let words = words(command, root);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Fault(format!("`{words}` failed ({status})"))),
        Err(error) => Err(Fault(format!("`{words}` could not be started: {error}"))),
    }
}

/// Runs a command to its end, wants it to succeed and gives what it printed.
pub fn output(command: &mut Command, root: &Path) -> Result<Vec<u8>, Fault> {
    let words = words(command, root);
    command.stderr(std::process::Stdio::inherit());
    match command.output() {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => Err(Fault(format!("`{words}` failed ({})", output.status))),
        Err(error) => Err(Fault(format!("`{words}` could not be started: {error}"))),
    }
}

/// Runs a command to its end, wants it to succeed and gives what it printed. An error has the last lines that it wrote.
///
/// # Errors
/// When it does not start, or fails.
pub fn output_of(command: &mut Command) -> Result<Vec<u8>, Fault> {
    let words = words(command, Path::new("/"));
    let done =
        command.stdin(std::process::Stdio::null()).output().map_err(|error| Fault(format!("`{words}` could not be started: {error}")))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let said = String::from_utf8_lossy(if done.stderr.is_empty() { &done.stdout } else { &done.stderr }).into_owned();
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("\n");
    Err(Fault(format!("`{words}` failed ({}): {last}", done.status)))
}
