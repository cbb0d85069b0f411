//! From an idea to a component, with the program alone: `adapter new`, `adapter build` and their errors, in each language that this machine has.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use infrahub_sync_tests::binary;

/// A user of this machine: caches of their own, and the registries' caches of all.
struct Author {
    home: tempfile::TempDir,
}

impl Author {
    fn new() -> Author {
        Author { home: tempfile::tempdir().unwrap() }
    }

    fn run(&self, folder: &Path, words: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(words).current_dir(folder).env("XDG_CACHE_HOME", self.home.path()).env_remove("CARGO_TARGET_DIR");
        // Another name for the registry's folder: the user's paths are not in the component.
        let cargo =
            std::env::var_os("CARGO_HOME").map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"), PathBuf::from);
        let own = self.home.path().join("cargo");
        #[cfg(unix)]
        if !own.exists() && cargo.is_dir() {
            std::os::unix::fs::symlink(&cargo, &own).unwrap();
        }
        command.env("CARGO_HOME", &own).output().unwrap()
    }

    /// Makes a new adapter somewhere below the author's home.
    fn makes(&self, place: &str, language: &str) -> PathBuf {
        let folder = self.home.path().join(place).join("racks");
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        let made = self.run(folder.parent().unwrap(), &["adapter", "new", "racks", "--language", language]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        folder
    }

    /// Builds a folder. The tools that were installed once are lent to each author. None: this machine lacks the language.
    fn builds(&self, folder: &Path) -> Result<String, Option<String>> {
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools-of-authors");
        let build = self.home.path().join("infrahub-sync/build");
        std::fs::create_dir_all(&tools).unwrap();
        std::fs::create_dir_all(&build).unwrap();
        #[cfg(unix)]
        if !build.join("tools").exists() {
            std::os::unix::fs::symlink(&tools, build.join("tools")).unwrap();
        }
        let built = self.run(folder, &["adapter", "build"]);
        let said = text(&built.stderr);
        match built.status.code() {
            Some(0) => {
                let file = text(&built.stdout);
                assert!(Path::new(file.trim()).is_file(), "{file}");
                assert!(said.contains("Built `racks` 0.1.0 from "), "{said}");
                Ok(said.split("sha256:").nth(1).unwrap().trim().to_owned())
            }
            Some(2) if said.contains("is built with") => {
                eprintln!("skipped: {said}");
                Err(None)
            }
            _ => Err(Some(said)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn change(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_new_folder_needs_nothing_else_and_two_authors_get_the_same_bytes() {
    // The others hold a snapshot of their engine, which has random seeds in it.
    for language in ["rust", "go"] {
        let (one, other) = (Author::new(), Author::new());
        let first = match one.builds(&one.makes("work", language)) {
            Ok(digest) => digest,
            Err(None) => continue,
            Err(Some(said)) => panic!("{language}: {said}"),
        };
        let second = other.builds(&other.makes("some/where/else", language)).unwrap();
        assert_eq!(first, second, "{language}");
    }
}

#[test]
fn a_python_component_has_the_declared_packages_and_no_others() {
    let author = Author::new();
    let folder = author.makes("work", "python");
    match author.builds(&folder) {
        Ok(_) => {}
        Err(None) => return,
        Err(Some(said)) => panic!("{said}"),
    }
    // An author's own Python has `pip`.
    let file = folder.join("adapter.py");
    let code = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("import pip\n{code}")).unwrap();
    let said = author.builds(&folder).unwrap_err().unwrap();
    assert!(said.contains("error: `pip` is imported and is not a declared package"), "{said}");
    assert!(said.contains("adapter.py:") && said.trim().lines().count() <= 5, "{said}");
}

#[test]
fn errors_of_a_build_begin_with_the_cause_and_a_missing_export_is_one() {
    for (language, file, wrong, cause, export, without) in [
        (
            "rust",
            "src/lib.rs",
            "fn broken() -> u8 { missing }\n",
            "cannot find value `missing`",
            "infrahub_sync_adapter::export_adapter!(Racks);",
            "",
        ),
        ("python", "adapter.py", "def broken(:\n", "SyntaxError: invalid syntax", "export_adapter(Racks)", "Racks"),
        ("javascript", "adapter.js", "const broken = ;\n", "Unexpected \";\"", "export default", "const notExported ="),
        (
            "go",
            "adapter.go",
            "func broken() int { return missing }\n",
            "undefined: missing",
            "func init() { adapter.Export(manifest, configure) }",
            "var _ = manifest\nvar _ = configure\nvar _ = adapter.Export",
        ),
    ] {
        let author = Author::new();
        let folder = author.makes("work", language);
        let file = folder.join(file);
        let right = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, right.clone() + wrong).unwrap();
        let said = match author.builds(&folder) {
            Err(None) => continue,
            Err(Some(said)) => said,
            Ok(_) => panic!("{language}: broken code is built"),
        };
        let errors: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("error: ")).collect();
        assert!(errors[0].contains(cause), "{language}: {said}");
        assert!(errors.len() <= 5, "{language}: {said}");
        assert!(!said.contains("backtrace"), "{language}: {said}");

        std::fs::write(&file, &right).unwrap();
        change(&file, export, without);
        let said = author.builds(&folder).unwrap_err().unwrap_or_default();
        let errors: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("error: ")).collect();
        assert!(errors.first().is_some_and(|error| error.contains("export") || error.contains("adapter")), "{language}: {said}");
        assert!(errors.len() <= 5, "{language}: {said}");
    }
}

#[test]
fn a_folder_of_no_adapter_is_told_what_is_missing() {
    let author = Author::new();
    let said = author.builds(author.home.path()).unwrap_err().unwrap();
    assert!(said.contains("is not the folder of an adapter: it has no Cargo.toml (Rust), adapter.py (Python)"), "{said}");
}
