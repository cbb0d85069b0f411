//! The folder of an adapter from a custom adapter of infrahub-sync 2.0.1: a Python class with `model_loader`.
//!
//! ```text
//! write("mockdb", "custom_adapter.py:MockdbAdapter", "mockdb") ─▶ mockdb/custom_adapter.py      the author's file, unchanged
//!                                                                 mockdb/adapter.py             runs its class as a component
//!                                                                 mockdb/{infrahub_sync,diffsync}  the parts of 2.0.1 that it imports
//!                                                                 mockdb/CHANGES.md             what is left to be changed by hand
//! ```
//!
//! The file is read as text, line by line: what it imports, opens, requests and takes from its settings.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Language, NewError, PYTHON_COMPAT, check_name, fresh, put, renamed, without_links_out};

/// The modules that a component has: those of Python that need no machine code and no system, and those of the folder.
const MODULES: [&str; 47] = [
    "__future__",
    "abc",
    "base64",
    "binascii",
    "bisect",
    "builtins",
    "calendar",
    "collections",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "diffsync",
    "enum",
    "fnmatch",
    "fractions",
    "functools",
    "hashlib",
    "hmac",
    "html",
    "inspect",
    "infrahub_sync",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "logging",
    "math",
    "numbers",
    "operator",
    "pathlib",
    "pprint",
    "random",
    "re",
    "string",
    "struct",
    "textwrap",
    "time",
    "traceback",
    "types",
    "typing",
    "uuid",
    "warnings",
    "xml",
];

/// The modules that contact systems.
const NETWORK: [&str; 12] =
    ["aiohttp", "ftplib", "http", "httpx", "ldap3", "paramiko", "pynetbox", "requests", "socket", "ssl", "telnetlib", "urllib3"];

/// A class of a Python file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    file: PathBuf,
    name: String,
}

impl Class {
    /// Parses `FILE:CLASS`.
    ///
    /// # Errors
    /// A text without a class.
    pub fn parse(text: &str) -> Result<Class, NewError> {
        match text.rsplit_once(':') {
            Some((file, class)) if !file.is_empty() && is_name(class) => Ok(Class { file: PathBuf::from(file), name: class.to_owned() }),
            _ => Err(NewError::NoClass { text: text.to_owned() }),
        }
    }

    /// Returns a name for the adapter: that of the class, without `Adapter`.
    #[must_use]
    pub fn adapter_name(&self) -> String {
        let name = self.name.strip_suffix("Adapter").filter(|name| !name.is_empty()).unwrap_or(&self.name);
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-').to_owned()
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_') && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The needs of a file, and its lines to change.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// The settings that it reads.
    settings: BTreeSet<String>,
    reads_files: bool,
    has_network: bool,
    /// The settings that look like credentials.
    secrets: BTreeSet<String>,
    /// Lines to change: line, and what to do.
    changes: Vec<(usize, String)>,
}

/// Writes the folder. Returns the paths of its files within the folder, sorted, and the number of lines to change by hand.
///
/// # Errors
/// As [`crate::write`], and when the file cannot be read or has no such class.
pub fn write(name: &str, class: &Class, folder: &Path) -> Result<(Vec<PathBuf>, usize), NewError> {
    check_name(name)?;
    let text = fs::read_to_string(&class.file).map_err(|source| NewError::Read { file: class.file.clone(), source })?;
    check_class(&text, class)?;
    let found = scan(&text);
    let stem = class.file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_name(stem)).unwrap_or("original");
    let module = if ["adapter", "diffsync", "infrahub_sync", "infrahub_sync_adapter", "test_adapter"].contains(&stem) {
        format!("{stem}_original")
    } else {
        stem.to_owned()
    };
    fresh(folder)?;
    let mut written = Vec::new();
    for (path, text) in Language::Python.files() {
        let text = match *path {
            "adapter.py" => adapter(name, &module, class, &found),
            "test_adapter.py" => test(&class.name),
            "README.md" => readme(name, &module, class),
            "pyproject.toml" => renamed(text, name, Language::Python),
            path if path.ends_with(".md") => without_links_out(text),
            _ => (*text).to_owned(),
        };
        written.push(put(folder, path, &text)?);
    }
    for (path, text) in PYTHON_COMPAT {
        written.push(put(folder, path, text)?);
    }
    written.push(put(folder, &format!("{module}.py"), &text)?);
    written.push(put(folder, "CHANGES.md", &changes(name, &module, &found))?);
    written.sort();
    Ok((written, found.changes.len()))
}

/// Checks that the file has the class, and that the class or one before it has `model_loader`.
fn check_class(text: &str, class: &Class) -> Result<(), NewError> {
    let classes: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("class ")).map(leading_name).collect();
    let error = |has_loader| NewError::Class {
        file: class.file.clone(),
        class: class.name.clone(),
        classes: classes.iter().map(|name| (*name).to_owned()).collect(),
        has_loader,
    };
    if !classes.contains(&class.name.as_str()) {
        return Err(error(false));
    }
    if text.contains("def model_loader(") { Ok(()) } else { Err(error(true)) }
}

fn leading_name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Reads a file line by line.
fn scan(text: &str) -> Found {
    let mut found = Found::default();
    // The columns of the functions that a line is in.
    let mut functions: Vec<usize> = Vec::new();
    let mut in_docstring = false;
    for (at, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let quotes = line.matches("\"\"\"").count() + line.matches("'''").count();
        let was_in_docstring = in_docstring;
        in_docstring ^= quotes % 2 == 1;
        if was_in_docstring || code.is_empty() || code.starts_with('#') || code.starts_with("\"\"\"") {
            continue;
        }
        let column = line.len() - code.len();
        functions.retain(|function| *function < column);
        imports(code, at + 1, !functions.is_empty(), &mut found);
        if code.starts_with("def ") || code.starts_with("async def ") {
            functions.push(column);
        }
        settings(code, &mut found);
        uses(code, at + 1, &mut found);
    }
    found.secrets = found.settings.iter().filter(|name| is_secret(name)).cloned().collect();
    found
}

fn is_secret(name: &str) -> bool {
    ["token", "password", "secret", "api_key", "apikey"].iter().any(|word| name.to_lowercase().contains(word))
}

fn imports(code: &str, line: usize, is_in_function: bool, found: &mut Found) {
    let Some(rest) = code.strip_prefix("import ").or_else(|| code.strip_prefix("from ")) else { return };
    let modules: Vec<&str> = match code.starts_with("from ") {
        true => rest.split_whitespace().take(1).collect(),
        false => rest.split(',').filter_map(|module| module.split_whitespace().next()).collect(),
    };
    for module in modules {
        let top = module.split('.').next().unwrap_or(module);
        if NETWORK.contains(&top) || module.starts_with("urllib.request") {
            found.has_network = true;
            let what = "a component has no sockets: take `infrahub_sync_adapter.http`, whose paths begin behind the setting `url`";
            found.changes.push((line, format!("imports `{module}`: {what}")));
        } else if module.starts_with('.') {
            found.changes.push((line, format!("imports `{module}`: copy that file into this folder, and import it without the dot")));
        } else if top == "urllib" || top == "typing_extensions" || MODULES.contains(&top) {
            if top == "infrahub_sync" && !["infrahub_sync", "infrahub_sync.adapters.utils"].contains(&module) {
                found
                    .changes
                    .push((line, format!("imports `{module}`: this folder has only a part of infrahub-sync 2.0.1, see `infrahub_sync`")));
            }
        } else if ["os", "sys", "subprocess", "threading", "asyncio", "multiprocessing", "concurrent"].contains(&top) {
            found.changes.push((
                line,
                format!("imports `{module}`: a component has no environment, processes and threads; settings come from config.yml"),
            ));
        } else {
            let what = format!("a package of pure Python works after `python3 -m pip install --target packages {top}`, others do not");
            found.changes.push((line, format!("imports `{module}`: {what}")));
        }
        if is_in_function {
            found
                .changes
                .push((line, format!("imports `{module}` inside a function: move the line to the top, a component imports nothing later")));
        }
    }
}

/// Collects the names of settings: `settings.get("x")`, `settings["x"]`.
fn settings(code: &str, found: &mut Found) {
    for start in ["settings.get(", "settings["] {
        for (at, _) in code.match_indices(start) {
            let rest = code.get(at + start.len()..).unwrap_or_default();
            let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"')) else { continue };
            if let Some((name, _)) = rest.get(1..).and_then(|rest| rest.split_once(quote)).filter(|(name, _)| is_name(name)) {
                found.settings.insert(name.to_owned());
            }
        }
    }
}

/// Notes what a line does that a component does otherwise.
fn uses(code: &str, line: usize, found: &mut Found) {
    let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if has(&["open(", ".read_text(", ".read_bytes("]) {
        found.reads_files = true;
    }
    if has(&["\"w\"", "'w'", "\"wb\"", "'wb'", "\"a\"", "'a'", ".write_text(", ".write_bytes("]) && has(&["open(", ".write_"]) {
        found.changes.push((line, "writes a file: take `infrahub_sync_adapter.files`".to_owned()));
    }
    for module in ["requests", "httpx", "aiohttp"] {
        if ["get", "post", "put", "patch", "delete", "request", "Session", "Client", "AsyncClient", "ClientSession"]
            .iter()
            .any(|call| code.contains(&format!("{module}.{call}(")))
        {
            found.has_network = true;
            found.changes.push((
                line,
                format!("calls `{module}`: take `infrahub_sync_adapter.http`; its answers have `status`, `parse()` and `success(…)`"),
            ));
        }
    }
    if has(&["os.environ", "os.getenv("]) {
        found
            .changes
            .push((line, "reads the environment: name the variable in the manifest, `Setting(…, environment=[\"NAME\"])`".to_owned()));
    }
}

/// Returns `adapter.py`.
fn adapter(name: &str, module: &str, class: &Class, found: &Found) -> String {
    let mut settings = String::new();
    let mut setting = |text: String| {
        let _ = writeln!(settings, "                {text},"); // writing to a String cannot fail
    };
    let mut names = found.settings.clone();
    if found.reads_files {
        names.remove("folder");
        setting("Setting(\"folder\", \"the folder of the files that it reads; their paths begin there\", required=True)".to_owned());
    }
    if found.has_network {
        names.remove("url");
        setting(format!(
            "Setting(\"url\", \"its address\", required=True, environment=[\"{}_URL\"])",
            name.replace('-', "_").to_uppercase()
        ));
    }
    for name in &names {
        let secret = if found.secrets.contains(name) { ", secret=True" } else { "" };
        setting(format!("Setting(\"{name}\", \"{name} of {}\"{secret})", class.name));
    }
    let mut more = String::new();
    if found.reads_files {
        more.push_str("            folder_setting=\"folder\",\n");
    }
    if found.has_network {
        more.push_str("            address_setting=\"url\",\n");
    }
    let imports =
        if settings.is_empty() { "Addressing, Manifest, export_adapter" } else { "Addressing, Manifest, Setting, export_adapter" };
    format!(
        "\"\"\"The adapter `{name}`: `{class}` of {module}.py, a custom adapter of infrahub-sync 2.0.1, as a component.

CHANGES.md lists what is left to be changed by hand. Imports stand at the top: a component has no files to import from later.
\"\"\"

import {module}
from infrahub_sync import component
from infrahub_sync_adapter import {imports}


class {camel}(component.Adapter):
    original = {module}.{class}
    models = {module}

    @classmethod
    def manifest(cls) -> Manifest:
        return Manifest(
            name=\"{name}\",
            version=\"0.1.0\",
            description=\"{class} of infrahub-sync 2.0.1\",
            settings=[
{settings}            ],
{more}            source=Addressing.MAPPING,
            has_ids=False,
        )


export_adapter({camel})
",
        class = class.name,
        camel = component_class(&class.name),
    )
}

/// Returns the name of the class in `adapter.py`.
fn component_class(class: &str) -> String {
    format!("{}Component", class.strip_suffix("Adapter").filter(|name| !name.is_empty()).unwrap_or(class))
}

/// Returns `test_adapter.py`.
fn test(class: &str) -> String {
    format!(
        "\"\"\"Natively, on the mock host: python3 -m unittest\"\"\"

import unittest

from adapter import {camel}


class {camel}Test(unittest.TestCase):
    def test_describes_itself(self):
        manifest = {camel}.manifest()
        self.assertTrue(manifest.name and manifest.source)

    # To read records: `testing.put_file` and `testing.respond` play the system.
    # records = testing.load_all({camel}.configure({{\"setting\": \"value\"}}), testing.first_page(\"resource\", \"name\"))


if __name__ == \"__main__\":
    unittest.main()
",
        camel = component_class(class),
    )
}

fn readme(name: &str, module: &str, class: &Class) -> String {
    format!(
        "# {name}

`{class}` of `{module}.py`, a custom adapter of infrahub-sync 2.0.1, as a component.

| file | content |
|---|---|
| `{module}.py` | your code, unchanged |
| `CHANGES.md` | what to change in it |
| `adapter.py` | the description of the adapter and its settings |
| `infrahub_sync`, `diffsync` | the parts of infrahub-sync 2.0.1 that your code imports |
| `infrahub_sync_adapter` | the SDK |

Test, build and use it:

```console
$ python3 -m unittest
$ infrahub-sync adapter build
$ infrahub-sync adapter inspect {name}.wasm
```

In config.yml, write `adapter: ./{name}.wasm`. `infrahub-sync adapter inspect` lists the settings.

`model_loader` is called for each kind. The host takes the records that it hands to `filter_records` or `transform_records`, and filters, transforms
and maps them. If it calls neither, the host takes the objects that it adds.
",
        class = class.name,
    )
}

/// Returns `CHANGES.md`.
fn changes(name: &str, module: &str, found: &Found) -> String {
    let mut text = format!("# What to change by hand\n\n## In `{module}.py`\n\n");
    if found.changes.is_empty() {
        text.push_str("Nothing was found.\n");
    } else {
        text.push_str("| line | change |\n|---|---|\n");
        for (line, change) in &found.changes {
            let _ = writeln!(text, "| {line} | {} |", change.replace('|', "\\|")); // writing to a String cannot fail
        }
    }
    let _ = write!(text, "\n## In `adapter.py`\n\n- Check the settings, their descriptions, and which of them are `required=True`.\n");
    if !found.secrets.is_empty() {
        let secrets: Vec<String> = found.secrets.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            text,
            "- The host keeps secrets ({}) to itself and adds them to requests: describe how with `credentials=[Header(HeaderTemplate(\"authorization\", \"Token {{token}}\"))]`.",
            secrets.join(", ")
        );
    }
    let _ = write!(text, "\n## In config.yml\n\n- `adapter: ./{name}.wasm`, a path that begins at config.yml.\n");
    if found.reads_files {
        text.push_str("- `folder:` in the settings, the folder of the files. The paths of other settings begin there.\n");
    }
    if found.has_network {
        text.push_str("- `url:` in the settings, the address. The host sends requests nowhere else.\n");
    }
    text.push_str("\n## Not taken over\n\n- `create`, `update` and `delete` of the model: writing is `write` of the SDK.\n- `print`: take `infrahub_sync_adapter.log`.\n");
    text.push_str(
        "- Objects of other kinds in `self.store`: `model_loader` is called for one kind at a time, and the host resolves references.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    const CUSTOM: &str = "\"\"\"An adapter.

open('not code')
\"\"\"
from __future__ import annotations
import json, requests
from .client import Client
from infrahub_sync import DiffSyncMixin
import yaml
import os


class ShopAdapter(DiffSyncMixin, Adapter):
    def __init__(self, target, adapter, config):
        import csv
        self.url = adapter.settings['url']
        self.token = self.settings.get(\"api_token\", os.getenv('T'))

    def model_loader(self, model_name, model):
        with open(self.settings[\"path\"]) as file:
            requests.get(self.url)
";

    #[test]
    fn a_file_is_read_for_what_has_to_be_changed() {
        let found = scan(CUSTOM);
        assert_eq!(found.settings, ["url", "api_token", "path"].map(str::to_owned).into());
        assert_eq!(found.secrets, ["api_token".to_owned()].into());
        assert!(found.reads_files && found.has_network);
        let changes: Vec<(usize, &str)> =
            found.changes.iter().map(|(line, change)| (*line, change.split([':', ';']).next().unwrap())).collect();
        assert_eq!(
            changes,
            [
                (6, "imports `requests`"),
                (7, "imports `.client`"),
                (9, "imports `yaml`"),
                (10, "imports `os`"),
                (15, "imports `csv` inside a function"),
                (17, "reads the environment"),
                (21, "calls `requests`"),
            ]
        );
    }

    #[test]
    fn a_folder_keeps_the_file_and_describes_the_adapter() {
        let there = tempfile::tempdir().unwrap();
        let file = there.path().join("shop.py");
        fs::write(&file, CUSTOM).unwrap();
        let class = Class::parse(&format!("{}:ShopAdapter", file.display())).unwrap();
        assert_eq!(class.adapter_name(), "shop");
        let folder = there.path().join("shop");
        let (files, changes) = write("shop", &class, &folder).unwrap();
        for path in
            ["CHANGES.md", "README.md", "adapter.py", "diffsync/__init__.py", "infrahub_sync/component.py", "shop.py", "wit/adapter.wit"]
        {
            assert!(files.contains(&PathBuf::from(path)), "{path}: {files:?}");
        }
        assert_eq!(changes, 7);
        assert_eq!(fs::read_to_string(folder.join("shop.py")).unwrap(), CUSTOM);
        let adapter = fs::read_to_string(folder.join("adapter.py")).unwrap();
        for line in [
            "    original = shop.ShopAdapter\n",
            "Setting(\"api_token\", \"api_token of ShopAdapter\", secret=True)",
            "folder_setting=\"folder\"",
        ] {
            assert!(adapter.contains(line), "{line}: {adapter}");
        }
    }

    #[test]
    fn a_class_that_is_not_there_is_an_error_with_those_that_are() {
        let there = tempfile::tempdir().unwrap();
        let file = there.path().join("shop.py");
        fs::write(&file, CUSTOM).unwrap();
        let class = Class::parse(&format!("{}:Shop", file.display())).unwrap();
        let error = write("shop", &class, &there.path().join("x")).unwrap_err();
        assert!(error.to_string().ends_with("shop.py` has no class `Shop`"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("its classes are `ShopAdapter`"));
        assert!(matches!(Class::parse("shop.py"), Err(NewError::NoClass { .. })));
        fs::write(&file, "class Shop:\n    pass\n").unwrap();
        let error = write("shop", &class, &there.path().join("x")).unwrap_err();
        assert!(error.to_string().contains("no `model_loader`"), "{error}");
        assert!(!there.path().join("x").exists());
    }
}
