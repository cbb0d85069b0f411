//! Crate → core module → component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use wit_component::ComponentEncoder;

use crate::run::{Fault, cargo, output, say, succeed, words};
use crate::toolchain::{DEBIAN_TARGET_FOLDER, TARGET, Toolchain};
use crate::tools::Trouble;

/// A folder whose sub-folders are guests, and the folder of their components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// The adapters that the program brings: `plugins` → `target/adapters`. The program embeds all components of that folder.
    Adapters,
    /// Guests that only the tests of the workspace load: `tests/guests` → `target/guests`.
    OfTests,
}

impl Guests {
    fn sources(self) -> &'static str {
        match self {
            Guests::Adapters => "plugins",
            Guests::OfTests => "tests/guests",
        }
    }

    fn components(self) -> &'static str {
        match self {
            Guests::Adapters => "adapters",
            Guests::OfTests => "guests",
        }
    }
}

/// A crate that becomes a component.
#[derive(Debug)]
struct Guest {
    /// The component's name: that of the crate's folder.
    name: String,
    package: String,
    manifest: PathBuf,
    /// The core module's file name.
    module: String,
}

/// The metadata that cargo prints about a workspace.
struct Metadata(Value);

impl Metadata {
    fn read(manifest: &Path) -> Result<Metadata, Fault> {
        let mut command = cargo();
        command.args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"]).arg(manifest);
        let text = output(&mut command, Path::new("/"))?;
        let value = serde_json::from_slice(&text).map_err(|error| Fault(format!("`cargo metadata` printed invalid JSON: {error}")))?;
        Ok(Metadata(value))
    }

    fn target_folder(&self) -> Result<PathBuf, Fault> {
        let folder = self.0.pointer("/target_directory").and_then(Value::as_str).map(PathBuf::from);
        folder.ok_or_else(|| Fault("`cargo metadata` names no target folder".into()))
    }

    /// Returns the crates that become core modules (`crate-type = ["cdylib"]`).
    fn guests(&self) -> Vec<Guest> {
        let packages = self.0.pointer("/packages").and_then(Value::as_array);
        packages.into_iter().flatten().filter_map(guest).collect()
    }
}

/// Reads one package of `cargo metadata`; none if it makes no module.
fn guest(package: &Value) -> Option<Guest> {
    let manifest = PathBuf::from(package.get("manifest_path")?.as_str()?);
    let library = package.get("targets")?.as_array()?.iter().find(|target| {
        let kinds = target.get("crate_types").and_then(Value::as_array);
        kinds.into_iter().flatten().any(|kind| kind.as_str() == Some("cdylib"))
    })?;
    Some(Guest {
        name: manifest.parent()?.file_name()?.to_string_lossy().into_owned(),
        package: package.get("name")?.as_str()?.to_owned(),
        module: format!("{}.wasm", library.get("name")?.as_str()?.replace('-', "_")),
        manifest,
    })
}

/// Cargo's target folder of the workspace.
pub fn target_folder(root: &Path) -> Result<PathBuf, Fault> {
    Metadata::read(&root.join("Cargo.toml"))?.target_folder()
}

/// Builds all guests of a folder.
pub fn build(root: &Path, guests: Guests) -> Result<(), Fault> {
    let metadata = Metadata::read(&root.join("Cargo.toml"))?;
    let target = metadata.target_folder()?;
    let groups = groups(&metadata, &root.join(guests.sources()))?;
    let names = if guests == Guests::Adapters { Names::Removed } else { Names::Kept };
    let toolchain = Toolchain::find(&say)?;
    let components = target.join(guests.components());
    fs::create_dir_all(&components).map_err(|error| Fault(format!("{}: {error}", components.display())))?;
    let built_in = toolchain.target_folder(&target);
    for (manifest, guests) in &groups {
        let mut command = toolchain.cargo();
        command.current_dir(root).arg("--target-dir").arg(&built_in);
        match manifest {
            Some(manifest) => command.arg("--manifest-path").arg(manifest),
            // No code: with it the macros have the features that they have in the program, and are built once.
            None => command.args(["--package", "infrahub-sync-features"]),
        };
        for guest in guests {
            command.args(["--package", &guest.package]);
        }
        compile(&mut command, root)?;
        for guest in guests {
            let module = built_in.join(TARGET).join("release").join(&guest.module);
            encode(&module, &components.join(format!("{}.wasm", guest.name)), names)?;
        }
    }
    Ok(())
}

/// The guests that one start of cargo builds, and the manifest of their workspace where that is not ours.
type Group = (Option<PathBuf>, Vec<Guest>);

/// Finds the guests of a folder.
fn groups(metadata: &Metadata, folder: &Path) -> Result<Vec<Group>, Fault> {
    let members: Vec<Guest> =
        metadata.guests().into_iter().filter(|guest| guest.manifest.parent().and_then(Path::parent) == Some(folder)).collect();
    // A guest may be a workspace of its own, because misbehaving guests need other profiles.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let others: Vec<PathBuf> = entries
        .map(|entry| entry.path().join("Cargo.toml"))
        .filter(|manifest| manifest.exists() && members.iter().all(|member| member.manifest != *manifest))
        .collect();
    let mut groups: Vec<Group> = vec![(None, members)];
    for manifest in others {
        let guests = Metadata::read(&manifest)?.guests().into_iter().filter(|guest| guest.manifest == manifest).collect();
        groups.push((Some(manifest), guests));
    }
    groups.retain(|(_, guests)| !guests.is_empty());
    Ok(groups)
}

/// Compiles the adapter of one crate, in the crate's own target folder, and returns its core module. `compile` runs cargo.
///
/// # Errors
/// When it is not the crate of an adapter, or does not compile.
pub fn module(manifest: &Path, say: &dyn Fn(&str), compile: &dyn Fn(&mut Command) -> Result<(), Fault>) -> Result<PathBuf, Trouble> {
    if !cargo().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        let text = "an adapter in Rust is built with cargo, which does not start: install it by rustup (https://rustup.rs)";
        return Err(Trouble::Missing(text.into()));
    }
    let (metadata, guest) = of_manifest(manifest)?;
    let toolchain = Toolchain::find(say)?;
    let built_in = toolchain.target_folder(&metadata.target_folder()?);
    let folder = manifest.parent().unwrap_or(manifest);
    let mut command = toolchain.cargo();
    command.arg("--quiet").arg("--target-dir").arg(&built_in).arg("--manifest-path").arg(manifest).args(["--package", &guest.package]);
    command.args(["--message-format", "short", "--config", &without_paths(folder)]).current_dir(folder);
    say("building the component with cargo");
    compile(&mut command)?;
    Ok(built_in.join(TARGET).join("release").join(&guest.module))
}

/// Returns the setting by which no path of this machine gets into a module.
fn without_paths(folder: &Path) -> String {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let flags: Vec<Value> = [(cargo, "/cargo"), (folder.to_owned(), "/adapter")]
        .into_iter()
        .filter(|(path, _)| path.components().count() > 1)
        .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()).into())
        .collect();
    format!("target.{TARGET}.rustflags={}", Value::from(flags))
}

/// Finds the adapter of a manifest.
fn of_manifest(manifest: &Path) -> Result<(Metadata, Guest), Fault> {
    let metadata = Metadata::read(manifest)?;
    let guest =
        metadata.guests().into_iter().find(|guest| guest.manifest == manifest).ok_or_else(|| {
            Fault(format!("{} makes no module: it needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`", manifest.display()))
        })?;
    Ok((metadata, guest))
}

/// Builds the adapter of one crate, which need not be of this workspace, in cargo's target folder or in `target`.
pub fn build_one(path: &Path, out: Option<PathBuf>, target: Option<&Path>) -> Result<(), Fault> {
    let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    let manifest = folder
        .join("Cargo.toml")
        .canonicalize()
        .map_err(|error| Fault(format!("{} is not a crate: its Cargo.toml: {error}", path.display())))?;
    let (metadata, guest) = of_manifest(&manifest)?;
    let toolchain = Toolchain::find(&say)?;
    let target = match target {
        Some(target) => target.to_owned(),
        None => metadata.target_folder()?,
    };
    let built_in = toolchain.target_folder(&target);
    let mut command = toolchain.cargo();
    command.arg("--target-dir").arg(&built_in).arg("--manifest-path").arg(&manifest).args(["--package", &guest.package]);
    if let Some(folder) = manifest.parent() {
        // So that the crate's own .cargo/config.toml counts, as it does for its author.
        command.current_dir(folder);
    }
    compile(&mut command, Path::new("/"))?;
    let out = match out {
        Some(out) => out,
        None => manifest.with_file_name(format!("{}.wasm", guest.name)),
    };
    encode(&built_in.join(TARGET).join("release").join(&guest.module), &out, Names::Kept)
}

/// Runs cargo, which shows its progress.
fn compile(command: &mut Command, root: &Path) -> Result<(), Fault> {
    say(&format!("$ {}", words(command, root)));
    succeed(command, root)
}

/// The names of a module's functions, which only the backtrace of a trap shows. They are an eighth of an adapter, and the message of a panic has
/// the place in the sources without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Kept,
    Removed,
}

/// Returns a core module without its section of names; as it is, if it cannot be read.
fn without_names(module: Vec<u8>) -> Vec<u8> {
    /// Reads a number in LEB128 at a place; returns it and the place after it.
    fn number(module: &[u8], mut at: usize) -> Option<(usize, usize)> {
        let (mut value, mut shift) = (0_usize, 0);
        loop {
            let byte = *module.get(at)?;
            value |= usize::from(byte & 0x7f).checked_shl(shift)?;
            (at, shift) = (at + 1, shift + 7);
            if byte & 0x80 == 0 {
                return Some((value, at));
            }
        }
    }
    /// Returns the sections but that of names.
    fn rest(module: &[u8]) -> Option<Vec<u8>> {
        // The magic number and the version.
        let (mut kept, mut at) = (module.get(..8)?.to_vec(), 8);
        while let Some(kind) = module.get(at) {
            let (size, body) = number(module, at + 1)?;
            let end = body.checked_add(size)?;
            let is_names = *kind == 0 && module.get(body..end)?.starts_with(b"\x04name");
            if !is_names {
                kept.extend_from_slice(module.get(at..end)?);
            }
            at = end;
        }
        Some(kept)
    }
    rest(&module).unwrap_or(module)
}

/// Makes a component of a core module, unless that was done already.
fn encode(module: &Path, component: &Path, names: Names) -> Result<(), Fault> {
    let failed = |error: &dyn std::fmt::Display| Fault(format!("{} does not become a component: {error}", module.display()));
    let stamp_file = stamp_file(module, component).ok_or_else(|| failed(&"it has no name"))?;
    let stamp = format!("{} {names:?}", stamp(module).map_err(|error| failed(&error))?);
    if component.exists() && fs::read_to_string(&stamp_file).is_ok_and(|made_of| made_of == stamp) {
        return Ok(());
    }
    let core = fs::read(module).map_err(|error| failed(&error))?;
    let core = if names == Names::Removed { without_names(core) } else { core };
    let bytes = ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| failed(&format!("{error:#}")))?;
    // Whoever reads the component meanwhile sees the old one or the new one, whole.
    let unfinished = component.with_extension(format!("wasm.{}", std::process::id()));
    fs::write(&unfinished, &bytes)
        .and_then(|()| fs::rename(&unfinished, component))
        .and_then(|()| fs::write(&stamp_file, stamp))
        .map_err(|error| Fault(format!("{}: {error}", component.display())))?;
    say(&format!("{} ({} KB)", component.display(), bytes.len().div_ceil(1024)));
    Ok(())
}

/// Returns a text that names the module of a component. The times of the files do not suffice: two compilers, or two sets of features, have a module each.
fn stamp(module: &Path) -> std::io::Result<String> {
    let metadata = fs::metadata(module)?;
    Ok(format!("{} {} {:?}", module.display(), metadata.len(), metadata.modified()?))
}

/// Returns the file that holds the stamp. It lies beside the module, so that a folder of components has components only.
fn stamp_file(module: &Path, component: &Path) -> Option<PathBuf> {
    let component = component.file_name()?.to_string_lossy().into_owned();
    // Not in the folder of Debian's compiler when that made it: the two share the component.
    let folder = module.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == TARGET))?.parent()?;
    let folder = if folder.ends_with(DEBIAN_TARGET_FOLDER) { folder.parent()? } else { folder };
    Some(folder.join(TARGET).join(format!("{component}.made-of")))
}

#[cfg(test)]
mod tests {
    use super::without_names;

    #[test]
    fn only_the_names_are_removed() {
        let section = |kind: u8, body: &[u8]| [&[kind, 0x80 | u8::try_from(body.len()).unwrap_or(0), 0x00], body].concat();
        let head = b"\0asm\x01\0\0\0".to_vec();
        let (types, names, other) = (section(1, &[0]), section(0, b"\x04name and more"), section(0, b"\x05names"));
        assert_eq!(
            without_names([head.clone(), types.clone(), names.clone(), other.clone()].concat()),
            [head.clone(), types.clone(), other].concat()
        );
        assert_eq!(without_names([head.clone(), names, types.clone()].concat()), [head.clone(), types].concat());
        for odd in [b"text".to_vec(), [head.clone(), vec![1, 9]].concat(), [head, vec![0, 0xff]].concat()] {
            assert_eq!(without_names(odd.clone()), odd);
        }
    }
}
