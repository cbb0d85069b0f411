//! Every file of the test folders belongs to a test binary. Cargo does not warn about a file that no `mod` names.

use std::collections::BTreeSet;
use std::path::Path;

/// The names that a crate's root declares as modules.
fn declared(root: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

/// The modules that a folder holds: files and folders, without the crate's root.
fn present(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names = entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    // Tools leave hidden files beside the sources.
    names.filter(|name| name != "main" && !name.starts_with('.')).collect()
}

#[test]
fn every_file_of_the_test_folders_is_compiled() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let binaries: BTreeSet<String> = present(&tests);
    assert_eq!(binaries, ["it", "live"].map(str::to_owned).into(), "one binary for tests without servers, one for those with");
    for binary in binaries {
        let folder = tests.join(binary);
        assert_eq!(declared(&folder.join("main.rs")), present(&folder), "{}", folder.display());
    }
}
