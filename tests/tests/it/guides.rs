//! The guides for authors: each of their examples runs as it stands.

use std::path::{Path, PathBuf};
use std::process::Command;

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk").canonicalize().unwrap()
}

/// Returns the examples of a document in a language, without the indent of their list.
fn examples(document: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if line.trim() != format!("```{language}") {
            continue;
        }
        let code: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").map(|line| line.get(indent..).unwrap_or("")).collect();
        found.push(code.join("\n"));
    }
    found
}

#[test]
fn every_example_in_python_runs() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 does not start");
        return;
    }
    for (file, least, goes_on) in [("AN_HOUR.md", 9, false), ("FROM_2.0.1.md", 1, false), ("python/README.md", 2, true)] {
        let text = std::fs::read_to_string(sdk().join(file)).unwrap();
        let mut examples = examples(&text, "python");
        assert!(examples.len() >= least, "{file}: {}", examples.len());
        if goes_on {
            // The examples of one walk-through.
            examples = vec![examples.join("\n")];
        }
        for example in examples {
            let mut python = Command::new("python3");
            python.args(["-c", &example]).env("PYTHONPATH", sdk().join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
            let output = python.output().unwrap();
            assert!(output.status.success(), "{file}:\n{example}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn every_public_name_of_the_sdk_in_python_is_in_the_guides() {
    let names = std::fs::read_to_string(sdk().join("python/infrahub_sync_adapter/__init__.py")).unwrap();
    let all = names.split("__all__ = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    let guides: String = ["AN_HOUR.md", "FROM_2.0.1.md", "python/README.md", "README.md"]
        .iter()
        .map(|file| std::fs::read_to_string(sdk().join(file)).unwrap())
        .collect();
    let missing: Vec<&str> = all.split('"').skip(1).step_by(2).filter(|name| !guides.contains(name)).collect();
    assert!(missing.is_empty(), "no guide has {missing:?}");
}
