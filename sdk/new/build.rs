//! Embeds the files of a new adapter's folder: for each language the template, the SDK and the contract, as a table of (path in the folder,
//! text). Together they are about as large as one built-in adapter.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The files of each language: their path in the repository and in the folder.
const LANGUAGES: [(&str, &[(&str, &str)]); 5] = [
    (
        "RUST",
        &[
            ("sdk/template", ""),
            ("sdk/rust/src", "sdk/rust/src"),
            ("sdk/rust/README.md", "sdk/rust/README.md"),
            ("sdk/new/rust-sdk.toml", "sdk/rust/Cargo.toml"),
            ("wit", "wit"),
        ],
    ),
    (
        "PYTHON",
        &[
            ("sdk/python/template", ""),
            ("sdk/python/infrahub_sync_adapter", "infrahub_sync_adapter"),
            ("sdk/python/README.md", "infrahub_sync_adapter/README.md"),
            ("wit", "wit"),
        ],
    ),
    // What custom adapters of infrahub-sync 2.0.1 import.
    ("PYTHON_COMPAT", &[("sdk/python/compat", "")]),
    (
        "JAVASCRIPT",
        &[
            ("sdk/javascript/template", ""),
            ("sdk/javascript/package.json", "infrahub-sync-adapter/package.json"),
            ("sdk/javascript/src", "infrahub-sync-adapter/src"),
            ("sdk/javascript/README.md", "infrahub-sync-adapter/README.md"),
            ("wit", "wit"),
        ],
    ),
    ("GO", &[("sdk/go/template", ""), ("sdk/go", "infrahub-sync-adapter"), ("wit", "wit")]),
];

/// The names that are left out: output of tools, locks of dependencies, and templates inside an SDK.
const LEFT_OUT: [&str; 9] =
    ["target", "node_modules", "__pycache__", "Cargo.lock", "package-lock.json", ".mypy_cache", "template", "wkg.lock", "sdk_test.go"];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut table = String::new();
    for (language, parts) in LANGUAGES {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "const {language}: &[(&str, &str)] = &[");
        for (from, to) in parts {
            let from = root.join(from);
            println!("cargo::rerun-if-changed={}", from.display());
            let mut files = Vec::new();
            collect(&from, Path::new(to), &mut files);
            files.sort();
            for (file, path) in files {
                println!("cargo::rerun-if-changed={}", file.display());
                let _ = writeln!(table, "    ({:?}, include_str!({file:?})),", path.to_string_lossy());
            }
        }
        table.push_str("];\n");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = fs::write(out.join("files.rs"), table) {
        println!("cargo::error=cannot write the table of files: {error}");
    }
}

/// Collects the files of a folder, or the one file.
fn collect(from: &Path, to: &Path, files: &mut Vec<(PathBuf, PathBuf)>) {
    if from.is_file() {
        files.push((from.to_owned(), to.to_owned()));
        return;
    }
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if !LEFT_OUT.contains(&text.as_ref()) && !text.ends_with(".wasm") {
            collect(&entry.path(), &to.join(&name), files);
        }
    }
}
