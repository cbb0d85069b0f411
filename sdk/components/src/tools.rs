//! Installs the tools of other languages into a folder of the caller, at the versions of `sdk/components/tools`. Installed tools are not fetched
//! again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{Fault, output_of};

/// The oldest versions of the languages' programs that work.
const PYTHON_MIN: (u32, u32) = (3, 10);
const NODE_MIN: (u32, u32) = (18, 0);
const GO_MIN: (u32, u32) = (1, 24);

const PYTHON_REQUIREMENTS: &str = include_str!("../tools/python/requirements.txt");
const JAVASCRIPT_PACKAGE: &str = include_str!("../tools/javascript/package.json");
const JAVASCRIPT_LOCK: &str = include_str!("../tools/javascript/package-lock.json");

/// The reason why an adapter is not built.
#[derive(Debug)]
pub enum Trouble {
    /// This machine lacks the language. The text says what to install.
    Missing(String),
    /// Any other failure.
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

/// Holds a folder for this process until it is dropped.
pub struct Held(#[allow(dead_code, reason = "closing the file releases the lock")] File);

/// Waits until no other process uses the folder. Creates a missing folder.
///
/// # Errors
/// When the folder cannot be used.
pub fn hold(folder: &Path) -> Result<Held, Fault> {
    let path = folder.join(".lock");
    let failed = |error: std::io::Error| Fault(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(Held(file))
}

/// Installs componentize-py, and returns the virtual environment that has it.
///
/// # Errors
/// When the machine lacks Python, or its registry cannot be reached.
pub fn componentize_py(target: &Path, say: &dyn Fn(&str)) -> Result<PathBuf, Trouble> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let wanted = format!("an adapter in Python is built with Python {}.{} or newer and its venv", PYTHON_MIN.0, PYTHON_MIN.1);
    let probe = "import ensurepip, venv, sys; print('%d.%d' % sys.version_info[:2])";
    match said(Command::new(&python).args(["-c", probe])) {
        None => {
            return Err(Trouble::Missing(format!(
                "{wanted}: `{python}` does not start, or has no venv (Debian: apt install python3-venv)"
            )));
        }
        Some(version) => require(&wanted, &python, &version, PYTHON_MIN)?,
    }
    let folder = target.join("tools/python");
    install(&folder, PYTHON_REQUIREMENTS, say, || {
        fs::write(folder.join("requirements.txt"), PYTHON_REQUIREMENTS).map_err(|error| Fault(format!("{}: {error}", folder.display())))?;
        output_of(Command::new(&python).args(["-m", "venv"]).arg(folder.join("venv")))?;
        let mut pip = Command::new(folder.join("venv/bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(folder.join("requirements.txt"));
        output_of(&mut pip).map(drop)
    })?;
    Ok(folder.join("venv"))
}

/// Installs esbuild and componentize-qjs, and returns the folder of the programs.
///
/// # Errors
/// When the machine lacks Node, or its registry cannot be reached.
pub fn javascript(target: &Path, say: &dyn Fn(&str)) -> Result<PathBuf, Trouble> {
    let wanted = format!("an adapter in JavaScript is built with Node {} or newer and npm", NODE_MIN.0);
    match said(Command::new("node").arg("--version")) {
        None => return Err(Trouble::Missing(format!("{wanted}: `node` does not start"))),
        Some(version) => require(&wanted, "node", version.trim_start_matches('v'), NODE_MIN)?,
    }
    if said(Command::new("npm").arg("--version")).is_none() {
        return Err(Trouble::Missing(format!("{wanted}: `npm` does not start")));
    }
    let folder = target.join("tools/javascript");
    install(&folder, JAVASCRIPT_LOCK, say, || {
        let failed = |error: std::io::Error| Fault(format!("{}: {error}", folder.display()));
        fs::write(folder.join("package.json"), JAVASCRIPT_PACKAGE).map_err(failed)?;
        fs::write(folder.join("package-lock.json"), JAVASCRIPT_LOCK).map_err(failed)?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]).current_dir(&folder);
        output_of(&mut npm).map(drop)
    })?;
    Ok(folder.join("node_modules/.bin"))
}

/// Returns the program of Go.
///
/// # Errors
/// When the machine lacks it.
pub fn go() -> Result<PathBuf, Trouble> {
    let wanted = format!("an adapter in Go is built with Go {}.{} or newer", GO_MIN.0, GO_MIN.1);
    match said(Command::new("go").args(["env", "GOVERSION"])) {
        None => return Err(Trouble::Missing(format!("{wanted}: `go` does not start"))),
        Some(version) => require(&wanted, "go", version.trim_start_matches("go"), GO_MIN)?,
    }
    Ok(PathBuf::from("go"))
}

/// Returns the output of a program. Returns `None` when it does not start, or fails.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn require(wanted: &str, program: &str, version: &str, min: (u32, u32)) -> Result<(), Trouble> {
    let mut parts = version.split('.').map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= min => Ok(()),
        _ => Err(Trouble::Missing(format!("{wanted}: `{program}` is {version}"))),
    }
}

/// Installs a tool into a folder, unless the folder is complete at that version (`pin`).
fn install(folder: &Path, pin: &str, say: &dyn Fn(&str), make: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    let failed = |error: std::io::Error| Fault(format!("{}: {error}", folder.display()));
    let holder = folder.with_extension("installing");
    let _held = hold(&holder)?;
    let mark = folder.join("complete");
    if fs::read_to_string(&mark).is_ok_and(|made_of| made_of == pin) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)?;
    say(&format!("installing {} into {} (once)", pinned(pin), folder.display()));
    make().map_err(|Fault(reason)| Fault(format!("{reason}; check that the registry of the language is reachable")))?;
    fs::write(&mark, pin).map_err(failed)
}

/// Returns the tools that a pin names, for a person.
fn pinned(pin: &str) -> String {
    let lock: Option<serde_json::Value> = serde_json::from_str(pin).ok();
    match lock.as_ref().and_then(|lock| lock.pointer("/packages//dependencies")?.as_object()) {
        Some(tools) => {
            tools.iter().map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default())).collect::<Vec<_>>().join(", ")
        }
        None => pin.lines().filter(|line| !line.starts_with('#')).map(|line| line.replace("==", " ")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn an_old_version_is_reported_and_a_new_one_passes() {
        for version in ["3.10", "3.12.1", "4.0", "3.14rc1"] {
            require("x", "python3", version, PYTHON_MIN).unwrap();
        }
        for version in ["3.9.18", "2.7", "", "three"] {
            let Err(Trouble::Missing(reason)) = require("Python 3.10 is wanted", "python3", version, PYTHON_MIN) else {
                panic!("{version}")
            };
            assert_eq!(reason, format!("Python 3.10 is wanted: `python3` is {version}"));
        }
    }

    #[test]
    fn a_complete_tool_is_not_installed_again_and_an_incomplete_one_is() {
        let target = tempfile::tempdir().unwrap();
        let folder = target.path().join("tool");
        let stop = || Err(Fault("no network".into()));
        let put = |name: &'static str| {
            let folder = folder.clone();
            move || fs::write(folder.join(name), "").map_err(|error| Fault(error.to_string()))
        };
        let Err(Fault(reason)) = install(&folder, "tool 1", &|_| (), stop) else { panic!("it was installed") };
        assert!(reason.starts_with("no network; "), "{reason}");
        install(&folder, "tool 1", &|_| (), put("one")).unwrap();
        install(&folder, "tool 1", &|_| (), stop).unwrap();
        install(&folder, "tool 2", &|_| (), put("two")).unwrap();
        assert!(folder.join("two").exists() && !folder.join("one").exists());
    }
}
