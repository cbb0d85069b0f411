//! Builds the component of an adapter's folder, in any of the four languages.
//!
//! | files in the folder | language | tools |
//! |---|---|---|
//! | `Cargo.toml` | Rust | cargo and wit-component: `guests` |
//! | `pyproject.toml` and `adapter.py` | Python | componentize-py |
//! | `package.json` | JavaScript | esbuild, then componentize-qjs |
//! | `go.mod` | Go | wit-bindgen-go, go, wit-component |
//!
//! An adapter brings the SDK that it was made with, in a folder beside its own code, and the contract in `wit/` (`infrahub-sync adapter new`
//! writes both). Without them, the build uses those of this workspace.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::contract::Contract;
use crate::guests;
use crate::run::{Fault, output, say, words};
use crate::tools::{self, Trouble};

/// Folders without sources of a component.
const NOT_SOURCES: [&str; 6] = ["target", "node_modules", "__pycache__", ".git", ".venv", "venv"];

/// The module of the SDK in Go.
const GO_SDK: &str = "github.com/opsmill/infrahub-sync/sdk/go";
/// The module of the bindings' runtime, which the SDK implements.
const GO_RUNTIME: &str = "go.bytecodealliance.org/pkg";

/// The language of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    JavaScript,
    Go,
}

impl Language {
    /// Finds the language by the files of the folder.
    fn of(folder: &Path) -> Result<Language, Fault> {
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
}

/// The folders of a build.
pub(crate) struct Place<'a> {
    /// The workspace.
    pub(crate) root: &'a Path,
    /// The workspace's target folder.
    pub(crate) target: &'a Path,
}

/// Builds the adapter in a folder (or of a crate's Cargo.toml), into `out` or beside its sources.
pub(crate) fn build(place: &Place<'_>, path: &Path, out: Option<PathBuf>) -> Result<(), Trouble> {
    let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    let folder = folder.canonicalize().map_err(|error| Fault(format!("{}: {error}", path.display())))?;
    let language = Language::of(&folder)?;
    if language == Language::Rust {
        return Ok(guests::build_one(&folder, out, None)?);
    }
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
    match language {
        Language::Python => job.python()?,
        Language::JavaScript => job.javascript()?,
        Language::Go => job.go()?,
        Language::Rust => {}
    }
    copy(job.made, &out)?;
    Ok(())
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
    fs::write(&unfinished, &bytes).and_then(|()| fs::rename(&unfinished, out)).map_err(failed)?;
    say(&format!("{} ({} KB)", out.display(), bytes.len().div_ceil(1024)));
    Ok(())
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
    fn sdk(&self, beside: &str, ours: &str) -> PathBuf {
        let own = self.folder.join(beside);
        if own.is_dir() { own } else { self.place.root.join(ours) }
    }

    /// Returns the folder of the contract: the adapter's own, else the workspace's.
    fn wit(&self) -> PathBuf {
        let own = self.folder.join("wit");
        if own.is_dir() { own } else { self.place.root.join("wit") }
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

    /// Runs a tool. Its output is shown if it fails.
    fn tool(&self, command: &mut Command) -> Result<Vec<u8>, Fault> {
        let line = words(command, self.place.root);
        match command.output() {
            Ok(done) if done.status.success() => Ok(done.stdout),
            Ok(done) => {
                let said = [done.stdout.as_slice(), done.stderr.as_slice()].concat();
                Err(Fault(format!("`{line}` failed ({}):\n{}", done.status, String::from_utf8_lossy(&said).trim_end())))
            }
            Err(error) => Err(Fault(format!("`{line}` could not be started: {error}"))),
        }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<(), Fault> {
        let path = self.work.join(name);
        let failed = |error: std::io::Error| Fault(format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(&path, text).map_err(failed)
    }

    fn python(&self) -> Result<(), Trouble> {
        let sdk = self.sdk("infrahub_sync_adapter", "sdk/python/infrahub_sync_adapter");
        let wit = self.wit();
        let tool = tools::componentize_py(self.place.target)?;
        let entry = "infrahub_sync_entry";
        self.unless_done(&[self.folder, &sdk, &wit], "componentize-py", || {
            self.write(
                &format!("{entry}.py"),
                "import adapter\nfrom infrahub_sync_adapter._component import Destination, Meta, Schema, Source\n",
            )?;
            let mut command = Command::new(tool);
            // Without an active virtual environment: its packages would be in the component.
            command.current_dir(self.work).env_remove("VIRTUAL_ENV").env_remove("PYTHONPATH");
            command.args(["--quiet", "--world", "adapter", "--wit-path"]).arg(&wit).arg("componentize");
            for path in [self.work, self.folder, sdk.parent().unwrap_or(&sdk)] {
                command.arg("--python-path").arg(path);
            }
            // The author's own packages, installed by `pip install --target packages …`.
            let packages = self.folder.join("packages");
            if packages.is_dir() {
                command.arg("--python-path").arg(packages);
            }
            command.arg(entry).arg("--output").arg(self.made);
            self.tool(&mut command).map(drop)
        })?;
        Ok(())
    }

    fn javascript(&self) -> Result<(), Trouble> {
        let sdk = self.sdk("infrahub-sync-adapter", "sdk/javascript");
        let wit = self.wit();
        let programs = tools::javascript(self.place.target)?;
        self.unless_done(&[self.folder, &sdk.join("src"), &wit], "esbuild, componentize-qjs", || {
            let main = self.javascript_main()?;
            let quoted = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
            self.write(
                "entry.js",
                format!(
                    "import adapter from {};\nimport {{ componentOf }} from {};\n\
                     export const {{ meta, schema, source, destination }} = componentOf(adapter);\n",
                    quoted(&self.folder.join(main)),
                    quoted(&sdk.join("src/component.js")),
                ),
            )?;
            let bundle = self.work.join("bundle.js");
            let mut command = Command::new(programs.join("esbuild"));
            command.current_dir(self.folder).arg(self.work.join("entry.js"));
            command.args(["--bundle", "--format=esm", "--platform=neutral", "--main-fields=module,main", "--target=es2022"]);
            command.args(["--external:infrahub-sync:*", "--log-level=warning"]);
            command.arg(format!("--alias:infrahub-sync-adapter={}", sdk.join("src/index.js").display()));
            command.arg(format!("--outfile={}", bundle.display()));
            self.tool(&mut command)?;
            let mut command = Command::new(programs.join("componentize-qjs"));
            // `--sync`: the other runtime asks for a part of the component model that the host does not have.
            command.current_dir(self.work).args(["--sync", "--world", "adapter", "--js", "bundle.js", "--wit"]).arg(&wit);
            command.arg("--output").arg(self.made);
            self.tool(&mut command).map(drop)
        })?;
        Ok(())
    }

    /// Returns the adapter's module: `main` of package.json.
    fn javascript_main(&self) -> Result<String, Fault> {
        let path = self.folder.join("package.json");
        let failed = |error: &dyn std::fmt::Display| Fault(format!("{}: {error}", path.display()));
        let text = fs::read(&path).map_err(|error| failed(&error))?;
        let package: serde_json::Value = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        Ok(package.get("main").and_then(serde_json::Value::as_str).unwrap_or("adapter.js").to_owned())
    }

    fn go(&self) -> Result<(), Trouble> {
        let go = tools::go()?;
        let wit = self.wit();
        let module = GoModule::read(&go, self.folder)?;
        let sdk = match module.replaced(GO_SDK) {
            Some(path) => path,
            None => self.place.root.join("sdk/go"),
        };
        let version = self.tool(Command::new(&go).arg("version"))?;
        self.unless_done(&[self.folder, &sdk, &wit], &String::from_utf8_lossy(&version), || {
            let source = self.work.join("source");
            if source.exists() {
                fs::remove_dir_all(&source).map_err(|error| Fault(format!("{}: {error}", source.display())))?;
            }
            let generator = tools::go_bindings(self.place.root, self.place.target)?;
            self.tool(Command::new(generator).arg(&wit).arg(&source))?;
            // The other half of the SDK, which calls the adapter. It is part of the program of the bindings.
            let half = sdk.join("component");
            for name in ["meta", "schema", "source", "destination"] {
                let file = half.join(format!("{name}.go.txt"));
                let text = fs::read(&file).map_err(|error| Fault(format!("{}: {error}", file.display())))?;
                self.write(&format!("source/export_infrahub_sync_adapter_{name}/{name}.go"), text)?;
            }
            let file = half.join("host.go.txt");
            let text = fs::read(&file).map_err(|error| Fault(format!("{}: {error}", file.display())))?;
            self.write("source/realhost/host.go", text)?;
            self.write(
                "source/adapter.go",
                format!("package main\n\nimport (\n\t_ {:?}\n\t_ \"wit_component/realhost\"\n)\n", module.path),
            )?;
            self.write("source/go.mod", module.program(&sdk, self.folder))?;
            if let Ok(sums) = fs::read(self.folder.join("go.sum")) {
                self.write("source/go.sum", sums)?;
            }
            let core = self.work.join("core.wasm");
            let mut command = Command::new(&go);
            command.current_dir(&source).env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOFLAGS", "-mod=mod").env("GOWORK", "off");
            // `-checklinkname=0`: the runtime of the bindings uses a function of Go's own runtime.
            command.args(["build", "-trimpath", "-buildmode=c-shared", "-ldflags=-checklinkname=0 -s -w", "-o"]).arg(&core);
            self.tool(&mut command)?;
            self.encode_go(&wit, &core)
        })?;
        Ok(())
    }

    /// Makes a component of Go's core module.
    fn encode_go(&self, wit: &Path, core: &Path) -> Result<(), Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault(format!("{} cannot be made a component: {error}", core.display()));
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

    /// Returns go.mod of the program that the component is made of.
    fn program(&self, sdk: &Path, folder: &Path) -> String {
        let mut required: Vec<(String, String)> = self.required.clone();
        let mut replaced = self.replaced.clone();
        replaced.retain(|(path, _)| path != GO_SDK);
        let ours = [(self.path.as_str(), folder.to_owned()), (GO_SDK, sdk.to_owned()), (GO_RUNTIME, sdk.join("bindings"))];
        for (path, folder) in ours {
            required.retain(|(name, _)| name != path);
            required.push((path.to_owned(), "v0.0.0".into()));
            replaced.push((path.to_owned(), folder));
        }
        let required: String = required.iter().map(|(path, version)| format!("\t{path} {version}\n")).collect();
        let replaced: String = replaced.iter().map(|(path, folder)| format!("\t{path} => {:?}\n", folder.display().to_string())).collect();
        format!("module wit_component\n\ngo {}\n\nrequire (\n{required})\n\nreplace (\n{replaced})\n", self.version)
    }
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
            assert_eq!(Language::of(&root.join(folder)).unwrap(), language);
        }
        assert!(Language::of(&root.join("wit")).unwrap_err().0.contains("is not the folder of an adapter"));
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
            replaced: vec![(GO_SDK.into(), "/a/sdk".into()), ("example.org/x".into(), "/x".into())],
            required: vec![(GO_SDK.into(), "v0.1.0".into()), ("example.org/x".into(), "v1.0.0".into())],
        };
        assert_eq!(
            module.program(Path::new("/a/sdk"), Path::new("/a")),
            "module wit_component\n\ngo 1.24\n\nrequire (\n\texample.org/x v1.0.0\n\tinventory v0.0.0\n\tgithub.com/opsmill/infrahub-sync/sdk/go v0.0.0\n\
             \tgo.bytecodealliance.org/pkg v0.0.0\n)\n\nreplace (\n\texample.org/x => \"/x\"\n\tinventory => \"/a\"\n\
             \tgithub.com/opsmill/infrahub-sync/sdk/go => \"/a/sdk\"\n\tgo.bytecodealliance.org/pkg => \"/a/sdk/bindings\"\n)\n"
        );
    }
}
