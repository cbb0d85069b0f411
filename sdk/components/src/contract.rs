//! The contract as a package: read from its text, encoded for registries, and read back.

use std::fs;
use std::path::{Path, PathBuf};

use wit_component::DecodedWasm;
use wit_parser::{PackageId, Resolve, UnresolvedPackageGroup, WorldId};

use crate::run::{Fault, say};

/// The contract's world.
const WORLD: &str = "adapter";

/// The contract, read.
pub struct Contract {
    /// All its types.
    pub resolve: Resolve,
    package: PackageId,
    /// The world of adapters.
    pub world: WorldId,
}

impl Contract {
    /// Reads the WIT files of a folder.
    pub fn read(folder: &Path) -> Result<Contract, Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault(format!("the contract in {}: {error}", folder.display()));
        let group = UnresolvedPackageGroup::parse_dir(folder).map_err(|error| failed(&format!("{error:#}")))?;
        let mut resolve = Resolve::default();
        let package = resolve.push_group(group).map_err(|error| failed(&format!("{error:#}")))?;
        let world = resolve.select_world(&[package], Some(WORLD)).map_err(|error| failed(&format!("{error:#}")))?;
        Ok(Contract { resolve, package, world })
    }

    /// Returns the package's name and its version.
    fn name(&self) -> Option<(String, String)> {
        let name = &self.resolve.packages.get(self.package)?.name;
        Some((format!("{}:{}", name.namespace, name.name), name.version.as_ref()?.to_string()))
    }

    /// Returns the package as WebAssembly, as registries keep it.
    fn encode(&self) -> Result<Vec<u8>, Fault> {
        wit_component::encode(&self.resolve, self.package).map_err(|error| Fault(format!("the contract cannot be encoded: {error:#}")))
    }
}

/// Reads a package that was encoded, as an author's tools do, and gives its text.
fn read_back(bytes: &[u8]) -> Result<String, Fault> {
    let failed = |error: &dyn std::fmt::Display| Fault(format!("the encoded contract cannot be read back: {error}"));
    let decoded = wit_component::decode(bytes).map_err(|error| failed(&format!("{error:#}")))?;
    let DecodedWasm::WitPackage(resolve, package) = decoded else {
        return Err(failed(&"it is a component"));
    };
    let mut printer = wit_component::WitPrinter::default();
    printer.print(&resolve, package, &[]).map_err(|error| failed(&format!("{error:#}")))?;
    Ok(printer.output.to_string())
}

/// Writes the contract as a package, to `out` or below `target`, once it was read back whole.
pub fn write_package(folder: &Path, target: &Path, out: Option<PathBuf>) -> Result<PathBuf, Fault> {
    let contract = Contract::read(folder)?;
    let (name, version) = contract.name().ok_or_else(|| Fault(format!("the contract in {} has no version", folder.display())))?;
    let bytes = contract.encode()?;
    let text = read_back(&bytes)?;
    if !text.contains(&format!("package {name}@{version};")) {
        return Err(Fault(format!("the encoded contract is another package than {name}@{version}")));
    }
    let out = out.unwrap_or_else(|| target.join("wit").join(format!("{}-{version}.wasm", name.replace(':', "-"))));
    let folder = out.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).and_then(|()| fs::write(&out, &bytes)).map_err(|error| Fault(format!("{}: {error}", out.display())))?;
    say(&format!("{}: {name}@{version} ({} KB)", out.display(), bytes.len().div_ceil(1024)));
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn wit() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
    }

    #[test]
    fn the_encoded_contract_is_the_contract_with_its_documentation() {
        let contract = Contract::read(&wit()).unwrap();
        let text = read_back(&contract.encode().unwrap()).unwrap();
        let again = tempfile::tempdir().unwrap();
        fs::write(again.path().join("adapter.wit"), &text).unwrap();
        let again = Contract::read(again.path()).unwrap();
        assert_eq!(again.name(), contract.name());
        assert_eq!(again.encode().unwrap(), contract.encode().unwrap());
        assert!(text.contains("/// A defect of the adapter itself."), "{text}");
        // Every function of the contract is in there.
        let functions = |contract: &Contract| {
            let interfaces = contract.resolve.interfaces.iter();
            let mut names: Vec<String> = interfaces
                .flat_map(|(_, interface)| interface.functions.keys().map(|name| format!("{:?} {name}", interface.name)))
                .collect();
            names.sort();
            names
        };
        assert_eq!(functions(&again), functions(&contract));
        assert!(functions(&contract).len() > 20);
    }

    #[test]
    fn the_package_file_is_named_after_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let written = write_package(&wit(), folder.path(), None).unwrap();
        let name = written.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("infrahub-sync-adapter-0.") && name.ends_with(".wasm"), "{name}");
        // The two first bytes after magic and version tell a component from a module: this is what registries want to see.
        assert_eq!(&fs::read(&written).unwrap()[..8], b"\0asm\x0d\0\x01\0");
    }
}
