//! Embeds the built-in adapters: each folder of `plugins/` has its component in `<target folder>/adapters/<name>.wasm`, and becomes a row
//! of a table. Other components there (the misbehaving guests of the tests) stay outside.
//!
//! The components are made by `cargo adapters` (sdk/build), not from here: a cargo inside of cargo would wait for its own
//! lock, and would build the guests again for each profile.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Set for tools that only need the code to compile (an editor, clippy, tests without adapters).
const NO_BUILTIN: &str = "INFRAHUB_SYNC_NO_BUILTIN";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={NO_BUILTIN}");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let folder = target_folder(&out).join("adapters");
    // Also while it does not exist: the build must notice when it comes.
    println!("cargo::rerun-if-changed={}", folder.display());
    let is_optional = env::var_os(NO_BUILTIN).is_some_and(|value| value == "1");
    let (adapters, missing): (Vec<_>, Vec<_>) =
        plugins().into_iter().map(|name| (folder.join(format!("{name}.wasm")), name)).partition(|(file, _)| file.is_file());
    if !is_optional && (adapters.is_empty() || !missing.is_empty()) {
        let missing: Vec<String> = missing.into_iter().map(|(_, name)| name).collect();
        println!("cargo::error=built-in adapters ({}) are not in {}: run `cargo adapters` first", missing.join(", "), folder.display());
        return;
    }
    let mut table = String::from("[\n");
    for (file, name) in &adapters {
        println!("cargo::rerun-if-changed={}", file.display());
        // Writing to a String cannot fail.
        let _ = writeln!(table, "    Builtin {{ name: {name:?}, bytes: include_bytes!({file:?}) }},");
    }
    table.push_str("]\n");
    if let Err(error) = fs::write(out.join("builtin.rs"), table) {
        println!("cargo::error=cannot write the table of built-in adapters: {error}");
    }
}

/// Returns the folder that cargo builds into.
///
/// It is found from the folder that cargo gives us, because that one is right however the target folder was chosen
/// (environment, configuration, `--target-dir`, `--target`): cargo marks its root with `CACHEDIR.TAG`.
fn target_folder(out: &Path) -> PathBuf {
    let marked = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    match (marked, env::var_os("CARGO_TARGET_DIR")) {
        (Some(folder), _) => folder.to_owned(),
        (None, Some(folder)) => folder.into(),
        (None, None) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
    }
}

/// Returns the names of the built-in adapters, sorted.
fn plugins() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
