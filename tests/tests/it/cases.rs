//! Case folders: `tests/cases/<name>/` is a project; its plan and what a sync leaves behind are compared with `expected/`.
//!
//! `UPDATE_CASES=1 cargo test --release -p infrahub-sync-tests --test cases` writes what came out; read it before you commit it.

use std::collections::BTreeMap;
use std::path::Path;

use infrahub_sync_tests::Project;

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path()).unwrap())).collect()
}

/// A plan with `…` instead of the moments in the evidence of deletes.
fn without_times(plan: &str) -> String {
    let mut out = String::new();
    for line in plan.lines() {
        match line.split_once(" objects at ").or_else(|| line.split_once(" object at ")) {
            Some((before, after)) if line.contains("(not in the source: ") => {
                out.push_str(line.strip_suffix(after).unwrap());
                out.push_str(&after.replacen(after.split(')').next().unwrap_or_default(), "…", 1));
                assert!(before.contains("full read of "), "{line}");
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn run(case: &Path) {
    let project = Project::new(&std::fs::read_to_string(case.join("config.yml")).unwrap());
    for folder in ["source", "destination"] {
        for (name, text) in files(&case.join(folder)) {
            project.write(&format!("{folder}/{name}"), &text);
        }
    }
    let plan = without_times(&project.ok(&["diff"]).stdout);
    project.ok(&["sync", "--no-diff"]);
    assert_eq!(project.plan(&[]).0, 0, "{}: a second run plans nothing", case.display());
    let mut came_out = files(&project.path().join("destination"));
    came_out.insert("plan.txt".to_owned(), plan);
    let expected = case.join("expected");
    if std::env::var("UPDATE_CASES").as_deref() == Ok("1") {
        let _ = std::fs::remove_dir_all(&expected);
        std::fs::create_dir_all(&expected).unwrap();
        came_out.iter().for_each(|(name, text)| std::fs::write(expected.join(name), text).unwrap());
    }
    assert_eq!(came_out, files(&expected), "{}", case.display());
}

#[test]
fn each_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "there are no cases");
    cases.iter().for_each(|case| run(case));
}
