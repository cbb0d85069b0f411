//! Checks `host/PROMISES.md`: each test that it names exists.

use std::collections::BTreeSet;
use std::path::Path;

/// Adds the names of all functions in the sources below a folder.
fn add_functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if !["target", ".git", "node_modules"].iter().any(|skipped| name == *skipped) {
                add_functions(&path, names);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let after = text.split("fn ").skip(1);
            names.extend(after.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()));
        }
    }
}

#[test]
fn each_promise_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("host/PROMISES.md")).unwrap();
    let mut functions = BTreeSet::new();
    for folder in ["host", "plugins", "tests", "sdk"] {
        add_functions(&root.join(folder), &mut functions);
    }
    let mut promises = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")) {
        let tests = row.trim_end_matches('|').rsplit_once('|').unwrap().1;
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for test in named {
            assert!(functions.contains(test), "there is no test `{test}`: {row}");
        }
        promises += 1;
    }
    assert!(promises > 20, "{promises}");
}
