//! The packages that an adapter in Python declares. No others get into its component.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{Fault, output_of};

/// Modules that open sockets, which a component does not have.
const SOCKETS: [&str; 8] = ["socket", "ssl", "http.client", "urllib.request", "urllib3", "aiohttp", "httpx", "asyncio"];

/// Returns the packages that pyproject.toml declares: `dependencies` of `[project]`.
pub(crate) fn declared(file: &Path) -> Result<Vec<String>, Fault> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Fault(format!("{}: {error}", file.display()))),
    };
    list(&text).ok_or_else(|| Fault(format!("{}: `dependencies` is not a list of texts", file.display())))
}

/// Reads the list. None: it is not one.
fn list(text: &str) -> Option<Vec<String>> {
    let mut section = "";
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        }
        let value = trimmed.strip_prefix("dependencies").map(str::trim_start).and_then(|rest| rest.strip_prefix('='));
        if section == "project" && value.is_some() {
            let (_, rest) = text.get(offset..)?.split_once('[')?;
            return texts(rest);
        }
        offset += line.len();
    }
    Some(Vec::new())
}

/// Reads quoted texts up to the end of their list.
fn texts(mut rest: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        match rest.chars().next()? {
            ']' => return Some(found),
            '#' => rest = rest.split_once('\n')?.1,
            quote @ ('"' | '\'') => {
                let (text, after) = rest.get(1..)?.split_once(quote)?;
                found.push(text.to_owned());
                rest = after;
            }
            _ => return None,
        }
    }
}

/// Returns a warning for each package whose version is open: another machine may get another one.
pub(crate) fn unpinned(declared: &[String]) -> Vec<String> {
    let open = declared.iter().filter(|package| !package.contains("==") && !package.contains('@'));
    open.map(|package| {
        format!("the version of `{package}` is open, so another machine may build another component: write `==` and the version")
    })
    .collect()
}

/// Installs the declared packages, and nothing else. Packages with machine code are not accepted: a component cannot execute it.
pub(crate) fn install(venv: &Path, declared: &[String], into: &Path, say: &dyn Fn(&str)) -> Result<(), Fault> {
    let failed = |error: std::io::Error| Fault(format!("{}: {error}", into.display()));
    let mark = into.join(".declared");
    let pin = declared.join("\n");
    if fs::read_to_string(&mark).is_ok_and(|there| there == pin) {
        return Ok(());
    }
    if into.exists() {
        fs::remove_dir_all(into).map_err(failed)?;
    }
    fs::create_dir_all(into).map_err(failed)?;
    say(&format!("installing {}", declared.join(", ")));
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--target"]).arg(into).args(declared);
    output_of(&mut pip)?;
    if let Some(library) = machine_code(into) {
        return Err(Fault(format!("`{library}` has machine code, which a component cannot execute: take a package of pure Python")));
    }
    fs::write(&mark, pin).map_err(failed)
}

/// Returns the name of a file with machine code.
fn machine_code(folder: &Path) -> Option<String> {
    files(folder).find(|path| path.ends_with(".so") || path.ends_with(".pyd"))
}

/// Returns the paths of all files of a folder.
fn files(folder: &Path) -> impl Iterator<Item = String> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { found.push(entry.path().to_string_lossy().into_owned()) }
        }
    }
    found.sort();
    found.into_iter()
}

/// Returns a warning for each package that opens sockets.
pub(crate) fn needing_sockets(folders: &[&Path]) -> Vec<String> {
    let mut warnings = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if name.ends_with(".dist-info") || name.starts_with('.') || name == "bin" {
                continue;
            }
            let of_file = [path.to_string_lossy().into_owned()];
            let sources: Vec<String> = if path.is_dir() { files(&path).collect() } else { of_file.into() };
            let module =
                sources.iter().filter(|path| path.ends_with(".py")).find_map(|path| imports_socket(&fs::read_to_string(path).ok()?));
            if let Some(module) = module {
                let name = name.trim_end_matches(".py");
                warnings.push(format!(
                    "the package `{name}` uses `{module}`, and a component has no sockets: send requests by infrahub_sync_adapter.http"
                ));
            }
        }
    }
    warnings.sort();
    warnings.dedup();
    warnings
}

/// Returns the first module with sockets that a source imports.
fn imports_socket(source: &str) -> Option<&'static str> {
    let imported = |line: &str, module: &str| {
        let line = line.trim();
        let rest = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "));
        rest.is_some_and(|rest| rest.split([' ', ',']).next().is_some_and(|name| name == module || name.starts_with(&format!("{module}."))))
    };
    source.lines().find_map(|line| SOCKETS.into_iter().find(|module| imported(line, module)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn declared_packages_are_those_of_the_project() {
        let text = "[tool.x]\ndependencies = [\"no\"]\n[project]\nname = \"racks\"\ndependencies = [\n  \"attrs==24.2.0\", # why\n  # \"old\",\n  'idna',\n]\n[project.optional-dependencies]\ndependencies = [\"no\"]\n";
        assert_eq!(list(text).unwrap(), ["attrs==24.2.0", "idna"]);
        assert_eq!(list("[project]\nname = \"racks\"\n").unwrap(), Vec::<String>::new());
        assert_eq!(list("[project]\ndependencies = [attrs]\n"), None);
        let warnings = unpinned(&["attrs==24.2.0".into(), "idna".into()]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("the version of `idna` is open"), "{warnings:?}");
    }

    #[test]
    fn a_package_with_sockets_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("plain/__init__.py", "import json, re\n"),
            ("web/api.py", "import json\nfrom urllib3.util import x\n"),
            ("one.py", "import socket\n"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let warnings = needing_sockets(&[folder.path()]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("the package `one` uses `socket`"), "{warnings:?}");
        assert!(warnings[1].starts_with("the package `web` uses `urllib3`"), "{warnings:?}");
        assert_eq!(imports_socket("import socketserver_like\n"), None);
    }
}
