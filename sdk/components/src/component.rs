//! Builds the component of an adapter's folder, in any of the four languages.
//!
//! | files in the folder | language | tools |
//! |---|---|---|
//! | `Cargo.toml` | Rust | cargo, wit-component |
//! | `adapter.py` | Python | componentize-py |
//! | `package.json` | JavaScript | esbuild, then componentize-qjs |
//! | `go.mod` | Go | go, wit-component |
//!
//! An adapter brings the SDK that it was made with, in a folder beside its own code, and the contract in `wit/` (`infrahub-sync adapter new`
//! writes both). Inside the workspace, a build uses those of the workspace instead.
//!
//! The folder, its user and the time have no part in a component of Rust or Go. Those of Python and JavaScript hold a snapshot of their engine, with
//! its random seeds and times, so two builds differ: a build of unchanged sources is therefore not repeated.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use infrahub_sync_new_adapter::Language;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::cause::cause;
use crate::contract::Contract;
use crate::guests;
use crate::packages;
use crate::run::{Fault, output};
use crate::tools::{self, Trouble};

/// Folders without sources of a component.
pub const NOT_SOURCES: [&str; 6] = ["target", "node_modules", "__pycache__", ".git", ".venv", "venv"];

/// The module of the SDK in Go.
const GO_SDK: &str = "github.com/opsmill/infrahub-sync/sdk/go";
/// The module of the bindings' runtime, which the SDK implements.
const GO_RUNTIME: &str = "go.bytecodealliance.org/pkg";

/// Finds the language by the files of the folder.
///
/// # Errors
/// When it is not the folder of an adapter.
pub fn language_of(folder: &Path) -> Result<Language, Fault> {
    let has = |name: &str| folder.join(name).is_file();
    match () {
        () if has("Cargo.toml") => Ok(Language::Rust),
        () if has("adapter.py") => Ok(Language::Python),
        () if has("package.json") => Ok(Language::JavaScript),
        () if has("go.mod") => Ok(Language::Go),
        () => Err(Fault(format!(
            "{} is not the folder of an adapter: it has no Cargo.toml (Rust), adapter.py (Python), package.json (JavaScript) or go.mod (Go)",
            folder.display()
        ))),
    }
}

/// The folders of a build, and its listener.
pub struct Place<'a> {
    /// The workspace; none outside of it.
    pub root: Option<&'a Path>,
    /// The folder of the tools and of intermediate files.
    pub target: &'a Path,
    /// Hears what is done.
    pub say: &'a dyn Fn(&str),
}

/// A component that was built.
#[derive(Debug)]
pub struct Built {
    /// Its file.
    pub file: PathBuf,
    /// Its language.
    pub language: Language,
    /// Remarks for its author: a dependency without a version, a package that needs sockets.
    pub warnings: Vec<String>,
}

/// Builds the adapter in a folder (or of a crate's Cargo.toml), into `out` or beside its sources.
///
/// # Errors
/// When the machine lacks the language, or its tools report a mistake in the sources.
pub fn build(place: &Place<'_>, path: &Path, out: Option<PathBuf>) -> Result<Built, Trouble> {
    let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    let folder = folder.canonicalize().map_err(|error| Fault(format!("{}: {error}", path.display())))?;
    let language = language_of(&folder)?;
    let name = folder.file_name().unwrap_or(OsStr::new("adapter")).to_string_lossy().into_owned();
    let out = match out {
        Some(out) => std::path::absolute(&out).map_err(|error| Fault(format!("{}: {error}", out.display())))?,
        None => folder.join(format!("{name}.wasm")),
    };
    // One folder for each adapter and language; two processes that build the same one wait for each other.
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    let work = place.target.join("components").join(format!("{name}-{:016x}", hasher.finish()));
    let _held = tools::hold(&work)?;
    let job = Job { place, folder: &folder, work: &work, made: &work.join("component.wasm") };
    let mut warnings = Vec::new();
    match language {
        Language::Python => job.python(&mut warnings)?,
        Language::JavaScript => job.javascript()?,
        Language::Go => job.go()?,
        Language::Rust => job.rust()?,
    }
    copy(job.made, &out)?;
    Ok(Built { file: out, language, warnings })
}

/// Puts a component in its place. A reader sees the old one or the new one, whole.
fn copy(made: &Path, out: &Path) -> Result<(), Fault> {
    let failed = |error: std::io::Error| Fault(format!("{}: {error}", out.display()));
    let bytes = fs::read(made).map_err(failed)?;
    if fs::read(out).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let unfinished = out.with_extension(format!("wasm.{}", std::process::id()));
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(&unfinished, &bytes).and_then(|()| fs::rename(&unfinished, out)).map_err(failed)
}

/// The build of one adapter.
struct Job<'a> {
    place: &'a Place<'a>,
    /// The adapter's folder.
    folder: &'a Path,
    /// The folder for intermediate files.
    work: &'a Path,
    /// The path of the component.
    made: &'a Path,
}

impl Job<'_> {
    /// Returns the folder of the SDK: the adapter's own (`beside`), else the workspace's (`ours`).
    fn sdk(&self, beside: &str, ours: &str) -> Result<PathBuf, Fault> {
        let own = self.folder.join(beside);
        match self.place.root {
            _ if own.is_dir() => Ok(own),
            Some(root) => Ok(root.join(ours)),
            None => Err(self.lacks(beside)),
        }
    }

    /// Returns the folder of the contract: the adapter's own, else the workspace's.
    fn wit(&self) -> Result<PathBuf, Fault> {
        self.sdk("wit", "wit")
    }

    fn lacks(&self, what: &str) -> Fault {
        Fault(format!("{} has no `{what}`: copy it from a new folder, which `infrahub-sync adapter new` makes", self.folder.display()))
    }

    /// Runs `make` unless the component was made of the same sources by the same tools.
    fn unless_done(&self, sources: &[&Path], pin: &str, make: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        let mut hasher = DefaultHasher::new();
        (pin, env!("CARGO_PKG_VERSION"), include_str!("component.rs")).hash(&mut hasher);
        for source in sources {
            hash_folder(source, &mut hasher).map_err(|error| Fault(format!("{}: {error}", source.display())))?;
        }
        let stamp = format!("{:016x}", hasher.finish());
        let stamp_file = self.work.join("made-of");
        if self.made.exists() && fs::read_to_string(&stamp_file).is_ok_and(|made_of| made_of == stamp) {
            return Ok(());
        }
        let failed = |error: std::io::Error| Fault(format!("{}: {error}", self.work.display()));
        if self.made.exists() {
            fs::remove_file(self.made).map_err(failed)?;
        }
        make()?;
        fs::write(&stamp_file, stamp).map_err(failed)
    }

    /// Runs a tool of a language. Of its output an error has the cause alone.
    fn tool(&self, language: Language, command: &mut Command) -> Result<Vec<u8>, Fault> {
        self.fed(language, command, b"")
    }

    /// As [`tool`](Self::tool), with this input.
    fn fed(&self, language: Language, command: &mut Command, input: &[u8]) -> Result<Vec<u8>, Fault> {
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| Fault(format!("`{program}` could not be started: {error}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        // A tool that reads nothing may have ended; its status tells.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
        let done = child.wait_with_output().map_err(failed)?;
        if done.status.success() {
            return Ok(done.stdout);
        }
        let said = [done.stderr.as_slice(), done.stdout.as_slice()].join(&b'\n');
        let said = String::from_utf8_lossy(&said).replace(&format!("{}/", self.folder.display()), "");
        let log = self.work.join("output.txt");
        // The cause is what matters; the rest is there for who wants it.
        let kept = fs::write(&log, &said).is_ok();
        let rest = if kept { format!("\nall output of `{program}`: {}", log.display()) } else { String::new() };
        Err(Fault(format!("{}{rest}", cause(language, &said))))
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<(), Fault> {
        let path = self.work.join(name);
        let failed = |error: std::io::Error| Fault(format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(&path, text).map_err(failed)
    }

    /// Builds a crate. Its paths have no part in the component.
    fn rust(&self) -> Result<(), Trouble> {
        let manifest = self.folder.join("Cargo.toml");
        let module = guests::module(&manifest, self.place.say, &|command| self.tool(Language::Rust, command).map(drop))?;
        let failed = |error: &dyn Display| Fault(format!("{} does not become a component: {error}", module.display()));
        let core = fs::read(&module).map_err(|error| failed(&error))?;
        let encoded = ComponentEncoder::default().validate(true).module(&core).and_then(|mut encoder| encoder.encode());
        fs::write(self.made, encoded.map_err(|error| failed(&format!("{error:#}")))?).map_err(|error| failed(&error))?;
        Ok(())
    }

    fn python(&self, warnings: &mut Vec<String>) -> Result<(), Trouble> {
        let sdk = self.sdk("infrahub_sync_adapter", "sdk/python/infrahub_sync_adapter")?;
        let wit = self.wit()?;
        let venv = tools::componentize_py(self.place.target, self.place.say)?;
        let declared = packages::declared(&self.folder.join("pyproject.toml"))?;
        warnings.extend(packages::unpinned(&declared));
        let installed = self.work.join("packages");
        if !declared.is_empty() {
            packages::install(&venv, &declared, &installed, self.place.say)?;
        }
        // The author's own packages, installed by `pip install --target packages …`.
        let own = self.folder.join("packages");
        let folders: Vec<&Path> = [&own, &installed].into_iter().map(PathBuf::as_path).filter(|folder| folder.is_dir()).collect();
        warnings.extend(packages::needing_sockets(&folders));
        let entry = "infrahub_sync_entry";
        self.unless_done(&[self.folder, &sdk, &wit], &format!("componentize-py {declared:?}"), || {
            self.write(
                &format!("entry/{entry}.py"),
                "import adapter\nfrom infrahub_sync_adapter._component import Destination, Meta, Schema, Source\n",
            )?;
            // A virtual environment without packages: otherwise those of the author's own Python would be in the component.
            let empty = self.work.join("no-packages");
            fs::create_dir_all(empty.join("lib/python3/site-packages")).map_err(|error| Fault(format!("{}: {error}", empty.display())))?;
            // By its module: the script of that name begins with the path at which the environment was made.
            let mut command = Command::new(venv.join("bin/python"));
            command.args(["-c", "import sys, componentize_py; sys.exit(componentize_py.script())"]);
            command.current_dir(self.work).env("VIRTUAL_ENV", &empty).env_remove("PYTHONPATH").env_remove("RUST_BACKTRACE");
            command.args(["--quiet", "--world", "adapter", "--wit-path"]).arg(&wit).arg("componentize");
            for path in [self.work.join("entry").as_path(), self.folder, sdk.parent().unwrap_or(&sdk)].into_iter().chain(folders.clone()) {
                command.arg("--python-path").arg(path);
            }
            command.arg(entry).arg("--output").arg(self.made);
            (self.place.say)("building the component with componentize-py");
            self.tool(Language::Python, &mut command).map(drop)
        })?;
        Ok(())
    }

    fn javascript(&self) -> Result<(), Trouble> {
        let sdk = self.sdk("infrahub-sync-adapter", "sdk/javascript")?;
        let wit = self.wit()?;
        let programs = tools::javascript(self.place.target, self.place.say)?;
        self.unless_done(&[self.folder, &sdk.join("src"), &wit], "esbuild, componentize-qjs", || {
            let main = self.javascript_main()?;
            // Paths as they are within the folder: they are in the component.
            let near = |path: PathBuf| match path.strip_prefix(self.folder) {
                Ok(inner) => format!("./{}", inner.display()),
                Err(_) => path.display().to_string(),
            };
            let quoted = |path: PathBuf| serde_json::Value::from(near(path)).to_string();
            let entry = format!(
                "import adapter from {};\nimport {{ componentOf }} from {};\n\
                 export const {{ meta, schema, source, destination }} = componentOf(adapter);\n",
                quoted(self.folder.join(main)),
                quoted(sdk.join("src/component.js")),
            );
            let bundle = self.work.join("bundle.js");
            let mut command = Command::new(programs.join("esbuild"));
            command.current_dir(self.folder);
            command.args(["--bundle", "--format=esm", "--platform=neutral", "--main-fields=module,main", "--target=es2022"]);
            command.args(["--external:infrahub-sync:*", "--log-level=warning", "--color=false", "--sourcefile=entry.js"]);
            command.arg(format!("--alias:infrahub-sync-adapter={}", near(sdk.join("src/index.js"))));
            command.arg(format!("--outfile={}", bundle.display()));
            self.fed(Language::JavaScript, &mut command, entry.as_bytes())?;
            let mut command = Command::new(programs.join("componentize-qjs"));
            // `--sync`: the other runtime asks for a part of the component model that the host does not have.
            command.current_dir(self.work).args(["--sync", "--world", "adapter", "--js", "bundle.js", "--wit"]).arg(&wit);
            command.arg("--output").arg(self.made);
            (self.place.say)("building the component with componentize-qjs");
            self.tool(Language::JavaScript, &mut command).map(drop)
        })?;
        Ok(())
    }

    /// Returns the adapter's module: `main` of package.json.
    fn javascript_main(&self) -> Result<String, Fault> {
        let path = self.folder.join("package.json");
        let failed = |error: &dyn Display| Fault(format!("{}: {error}", path.display()));
        let text = fs::read(&path).map_err(|error| failed(&error))?;
        let package: serde_json::Value = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        Ok(package.get("main").and_then(serde_json::Value::as_str).unwrap_or("adapter.js").to_owned())
    }

    fn go(&self) -> Result<(), Trouble> {
        let go = tools::go()?;
        let wit = self.wit()?;
        let module = GoModule::read(&go, self.folder)?;
        let sdk = match (module.replaced(GO_SDK), self.place.root) {
            (Some(path), _) => path,
            (None, Some(root)) => root.join("sdk/go"),
            (None, None) => return Err(self.lacks("replace` of the SDK in its `go.mod").into()),
        };
        let version = self.tool(Language::Go, Command::new(&go).arg("version"))?;
        self.unless_done(&[self.folder, &sdk, &wit], &String::from_utf8_lossy(&version), || {
            let source = self.work.join("source");
            if source.exists() {
                fs::remove_dir_all(&source).map_err(|error| Fault(format!("{}: {error}", source.display())))?;
            }
            self.go_program(&sdk, &source)?;
            // Copies, so that no path of this machine is in the component.
            copy_folder(self.folder, &source.join("adapter"), &sdk)?;
            copy_folder(&sdk, &source.join("sdk"), Path::new(""))?;
            self.write(
                "source/adapter.go",
                format!("package main\n\nimport (\n\t_ {:?}\n\t_ \"wit_component/realhost\"\n)\n", module.path),
            )?;
            self.write("source/go.mod", module.program(self.folder))?;
            if let Ok(sums) = fs::read(self.folder.join("go.sum")) {
                self.write("source/go.sum", sums)?;
            }
            let core = self.work.join("core.wasm");
            let mut command = Command::new(&go);
            command.current_dir(&source).env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOFLAGS", "-mod=mod").env("GOWORK", "off");
            // `-checklinkname=0`: the runtime of the bindings uses a function of Go's own runtime.
            let linking = "-ldflags=-checklinkname=0 -s -w -buildid=";
            command.args(["build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", linking, "-o"]).arg(&core);
            (self.place.say)("building the component with go");
            self.tool(Language::Go, &mut command)?;
            self.encode_go(&wit, &core)
        })?;
        Ok(())
    }

    /// Writes the parts of the program around a Go adapter: the bindings of the contract, and the half of the SDK that calls the adapter.
    fn go_program(&self, sdk: &Path, source: &Path) -> Result<(), Fault> {
        let half = sdk.join("component");
        let read = |path: &Path| fs::read(path).map_err(|error| Fault(format!("{}: {error}", path.display())));
        let bindings = half.join("bindings");
        let mut folders = vec![bindings.clone()];
        while let Some(folder) = folders.pop() {
            let failed = |error: std::io::Error| Fault(format!("{}: {error}", folder.display()));
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let inner = path.strip_prefix(&bindings).unwrap_or(&path).with_extension("");
                self.write(&source.join(inner).to_string_lossy(), read(&path)?)?;
            }
        }
        for name in ["meta", "schema", "source", "destination"] {
            self.write(&format!("source/export_infrahub_sync_adapter_{name}/{name}.go"), read(&half.join(format!("{name}.go.txt")))?)?;
        }
        self.write("source/realhost/host.go", read(&half.join("host.go.txt"))?)
    }

    /// Makes a component of Go's core module.
    fn encode_go(&self, wit: &Path, core: &Path) -> Result<(), Fault> {
        let failed = |error: &dyn Display| Fault(format!("{} cannot be made a component: {error}", core.display()));
        let contract = Contract::read(wit)?;
        let mut module = fs::read(core).map_err(|error| failed(&error))?;
        embed_component_metadata(&mut module, &contract.resolve, contract.world, StringEncoding::UTF8)
            .map_err(|error| failed(&format!("{error:#}")))?;
        let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
        let name = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
        let bytes = ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|encoder| encoder.adapter(name, adapter))
            .and_then(|mut encoder| encoder.encode())
            .map_err(|error| failed(&format!("{error:#}")))?;
        fs::write(self.made, bytes).map_err(|error| failed(&error))
    }
}

/// The statements of go.mod that a build needs.
struct GoModule {
    path: String,
    version: String,
    /// Module and folder, absolute.
    replaced: Vec<(String, PathBuf)>,
    required: Vec<(String, String)>,
}

impl GoModule {
    fn read(go: &Path, folder: &Path) -> Result<GoModule, Fault> {
        let mut command = Command::new(go);
        command.current_dir(folder).args(["mod", "edit", "-json"]);
        let text = output(&mut command, folder)?;
        let failed = |reason: &str| Fault(format!("{}: {reason}", folder.join("go.mod").display()));
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| failed(&error.to_string()))?;
        let text = |value: Option<&serde_json::Value>| value.and_then(serde_json::Value::as_str).map(str::to_owned);
        let list = |name: &str| value.get(name).and_then(serde_json::Value::as_array).into_iter().flatten();
        Ok(GoModule {
            path: text(value.pointer("/Module/Path")).ok_or_else(|| failed("it names no module"))?,
            version: text(value.get("Go")).unwrap_or_else(|| format!("{}.{}", 1, 24)),
            replaced: list("Replace")
                .filter_map(|each| Some((text(each.pointer("/Old/Path"))?, folder.join(text(each.pointer("/New/Path"))?))))
                .collect(),
            required: list("Require").filter_map(|each| Some((text(each.get("Path"))?, text(each.get("Version"))?))).collect(),
        })
    }

    /// Returns the folder that replaces a module.
    fn replaced(&self, path: &str) -> Option<PathBuf> {
        self.replaced.iter().find(|(name, _)| name == path).map(|(_, folder)| folder.clone())
    }

    /// Returns go.mod of the program that the component is made of. Its parts lie beside it, in `adapter` and `sdk`.
    fn program(&self, folder: &Path) -> String {
        let mut required: Vec<(String, String)> = self.required.clone();
        let inside = |path: &Path| match path.strip_prefix(folder) {
            Ok(inner) => format!("./adapter/{}", inner.display()),
            Err(_) => path.display().to_string(),
        };
        let others = self.replaced.iter().filter(|(path, _)| path != GO_SDK);
        let mut replaced: Vec<(String, String)> = others.map(|(path, folder)| (path.clone(), inside(folder))).collect();
        for (path, folder) in [(self.path.as_str(), "./adapter"), (GO_SDK, "./sdk"), (GO_RUNTIME, "./sdk/bindings")] {
            required.retain(|(name, _)| name != path);
            required.push((path.to_owned(), "v0.0.0".into()));
            replaced.push((path.to_owned(), folder.to_owned()));
        }
        let required: String = required.iter().map(|(path, version)| format!("\t{path} {version}\n")).collect();
        let replaced: String = replaced.iter().map(|(path, folder)| format!("\t{path} => {folder:?}\n")).collect();
        format!("module wit_component\n\ngo {}\n\nrequire (\n{required})\n\nreplace (\n{replaced})\n", self.version)
    }
}

/// Copies the sources of a folder, without `but`.
fn copy_folder(from: &Path, to: &Path, but: &Path) -> Result<(), Fault> {
    let failed = |error: std::io::Error| Fault(format!("{}: {error}", from.display()));
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_owned();
        if path == but || NOT_SOURCES.iter().any(|other| name == *other) || path.extension() == Some(OsStr::new("wasm")) {
            continue;
        }
        let to = to.join(&name);
        if path.is_dir() { copy_folder(&path, &to, but)? } else { fs::copy(&path, &to).map(drop).map_err(failed)? }
    }
    Ok(())
}

/// Hashes the names and contents of all files of a folder, or of one file.
fn hash_folder(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    if path.is_file() {
        path.hash(hasher);
        fs::read(path)?.hash(hasher);
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !NOT_SOURCES.contains(&name.as_str()) && entry.extension() != Some(OsStr::new("wasm")) {
            hash_folder(&entry, hasher)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn the_files_of_a_folder_show_its_language() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (folder, language) in [
            ("sdk/template", Language::Rust),
            ("sdk/python/template", Language::Python),
            ("sdk/javascript/template", Language::JavaScript),
            ("sdk/go/template", Language::Go),
        ] {
            assert_eq!(language_of(&root.join(folder)).unwrap(), language);
        }
        assert!(language_of(&root.join("wit")).unwrap_err().0.contains("is not the folder of an adapter"));
    }

    #[test]
    fn a_change_of_a_source_counts_and_one_of_a_product_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = || {
            let mut hasher = DefaultHasher::new();
            hash_folder(folder.path(), &mut hasher).unwrap();
            hasher.finish()
        };
        fs::write(folder.path().join("adapter.py"), "1").unwrap();
        let one = state();
        fs::write(folder.path().join("adapter.wasm"), "1").unwrap();
        fs::create_dir(folder.path().join("__pycache__")).unwrap();
        fs::write(folder.path().join("__pycache__/adapter.pyc"), "1").unwrap();
        assert_eq!(state(), one);
        fs::write(folder.path().join("adapter.py"), "2").unwrap();
        assert_ne!(state(), one);
    }

    #[test]
    fn the_program_around_a_go_module_has_its_replacements() {
        let module = GoModule {
            path: "inventory".into(),
            version: "1.24".into(),
            replaced: vec![(GO_SDK.into(), "/a/sdk".into()), ("example.org/x".into(), "/x".into()), ("y".into(), "/a/y".into())],
            required: vec![(GO_SDK.into(), "v0.1.0".into()), ("example.org/x".into(), "v1.0.0".into())],
        };
        assert_eq!(
            module.program(Path::new("/a")),
            "module wit_component\n\ngo 1.24\n\nrequire (\n\texample.org/x v1.0.0\n\tinventory v0.0.0\n\tgithub.com/opsmill/infrahub-sync/sdk/go v0.0.0\n\
             \tgo.bytecodealliance.org/pkg v0.0.0\n)\n\nreplace (\n\texample.org/x => \"/x\"\n\ty => \"./adapter/y\"\n\tinventory => \"./adapter\"\n\
             \tgithub.com/opsmill/infrahub-sync/sdk/go => \"./sdk\"\n\tgo.bytecodealliance.org/pkg => \"./sdk/bindings\"\n)\n"
        );
    }
}
