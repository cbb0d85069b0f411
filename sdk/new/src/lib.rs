//! The folder of a new adapter: the template of its language with the names replaced, the SDK that it is written with, and the contract.
//!
//! ```text
//! write("racks", Language::Python, "racks") ─▶ racks/{adapter.py, test_adapter.py, …}      the template
//!                                              racks/infrahub_sync_adapter/…               the SDK
//!                                              racks/wit/adapter.wit                       the contract
//! ```
//!
//! [`from_python`] makes a folder of a custom adapter of infrahub-sync 2.0.1.
//!
//! SDK and contract are copies, so any later infrahub-sync builds the folder, and the build fetches neither of them.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub mod from_python;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The adapter's name in the templates.
const TEMPLATE: &str = "inventory";

/// A language that adapters are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// JavaScript.
    JavaScript,
    /// Go.
    Go,
}

impl Language {
    /// All languages.
    pub const ALL: [Language; 4] = [Language::Rust, Language::Python, Language::JavaScript, Language::Go];

    /// Returns the name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::JavaScript => "javascript",
            Language::Go => "go",
        }
    }

    /// Returns the command that tests an adapter natively, in its folder.
    #[must_use]
    pub fn test_command(self) -> &'static str {
        match self {
            Language::Rust => "cargo test",
            Language::Python => "python3 -m unittest",
            Language::JavaScript => "npm install && npm test",
            Language::Go => "go test",
        }
    }

    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Language::Rust => RUST,
            Language::Python => PYTHON,
            Language::JavaScript => JAVASCRIPT,
            Language::Go => GO,
        }
    }

    /// Returns the places where a template refers to its SDK, each with the text for a folder of its own.
    fn places(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Language::Rust => &[
                (
                    "path = \"../rust\" } # in a project of yours: the path of your copy of infrahub-sync's sdk/rust",
                    "path = \"sdk/rust\" }",
                ),
                ("(../rust/README.md)", "(sdk/rust/README.md)"),
            ],
            Language::Python => &[("(../README.md)", "(infrahub_sync_adapter/README.md)")],
            Language::JavaScript => &[("file:..", "file:infrahub-sync-adapter"), ("(../README.md)", "(infrahub-sync-adapter/README.md)")],
            Language::Go => &[("=> ../", "=> ./infrahub-sync-adapter"), ("(../README.md)", "(infrahub-sync-adapter/README.md)")],
        }
    }
}

impl Display for Language {
    /// Writes the name in a sentence.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Language::Rust => "Rust",
            Language::Python => "Python",
            Language::JavaScript => "JavaScript",
            Language::Go => "Go",
        })
    }
}

/// A language without a template.
#[derive(Debug, thiserror::Error)]
#[error("there is no template in `{0}`; the languages are rust, python, javascript and go")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Language, UnknownLanguage> {
        Language::ALL.into_iter().find(|language| language.name() == text).ok_or_else(|| UnknownLanguage(text.to_owned()))
    }
}

/// The reason why no folder was made.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The name is not valid for a package in each language.
    #[error("`{name}` is not a valid name: use small letters, digits and `-`, beginning with a letter")]
    Name {
        /// The requested name.
        name: String,
    },
    /// The folder exists and has files.
    #[error("`{}` exists already and is not empty", .folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// A text that names no class of a file.
    #[error("`{text}` is not the class of a Python file")]
    NoClass {
        /// The text.
        text: String,
    },
    /// The file of a class cannot be read.
    #[error("cannot read `{}`", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The class is not one of a custom adapter.
    #[error("`{}` has {} `{}`", .file.display(), if *.has_loader { "no `model_loader` for the class" } else { "no class" }, .class)]
    Class {
        /// The file.
        file: PathBuf,
        /// The class.
        class: String,
        /// The classes that the file has.
        classes: Vec<String>,
        /// The class exists, and `model_loader` does not.
        has_loader: bool,
    },
    /// The folder cannot be written.
    #[error("cannot write `{}`", .file.display())]
    Write {
        /// The file or folder.
        file: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

impl NewError {
    /// Returns an instruction for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            NewError::Name { name } => {
                let better: String = name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
                let better = better.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-');
                (!better.is_empty()).then(|| format!("use `{better}`"))
            }
            NewError::Exists { .. } => Some("name another folder with `--directory`".into()),
            NewError::NoClass { .. } => Some("write FILE:CLASS, as in `./adapters/shop.py:ShopAdapter`".into()),
            NewError::Class { has_loader: true, .. } => {
                Some("custom adapters of infrahub-sync 2.0.1 read in `model_loader`; `--language python` makes a new adapter".into())
            }
            NewError::Class { classes, .. } if classes.is_empty() => Some("the file has no classes".into()),
            NewError::Class { classes, .. } => {
                let names: Vec<String> = classes.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("its classes are {}", names.join(", ")))
            }
            NewError::Write { .. } | NewError::Read { .. } => None,
        }
    }
}

/// Writes the folder of a new adapter. Returns the paths of its files within the folder, sorted.
///
/// # Errors
/// The name is invalid, the folder is not empty, or it cannot be written. Files that were written before the error stay.
pub fn write(name: &str, language: Language, folder: &Path) -> Result<Vec<PathBuf>, NewError> {
    check_name(name)?;
    fresh(folder)?;
    let mut written = Vec::new();
    for (path, text) in language.files() {
        let is_template = !["sdk/", "infrahub", "wit/"].iter().any(|other| path.starts_with(other));
        let text = match is_template {
            true => renamed(text, name, language),
            false if path.ends_with(".md") => without_links_out(text),
            false => (*text).to_owned(),
        };
        written.push(put(folder, path, &text)?);
    }
    written.sort();
    Ok(written)
}

/// Checks that a name is valid for a package in each language.
fn check_name(name: &str) -> Result<(), NewError> {
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-');
    if is_name { Ok(()) } else { Err(NewError::Name { name: name.to_owned() }) }
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> NewError {
    let file = file.to_owned();
    |source| NewError::Write { file, source }
}

/// Makes a folder, which may exist without files.
fn fresh(folder: &Path) -> Result<(), NewError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(NewError::Exists { folder: folder.to_owned() }),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(folder).map_err(failed(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(NewError::Exists { folder: folder.to_owned() }),
        Err(error) => Err(failed(folder)(error)),
    }
}

/// Writes a file of the folder, and returns its path there.
fn put(folder: &Path, path: &str, text: &str) -> Result<PathBuf, NewError> {
    let file = folder.join(path);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(failed(parent))?;
    }
    fs::write(&file, text).map_err(failed(&file))?;
    Ok(PathBuf::from(path))
}

/// Returns the template's text with another name in it.
fn renamed(text: &str, name: &str, language: Language) -> String {
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    let camel: String = words.iter().map(|word| capital(word)).collect();
    let upper = words.join("_").to_ascii_uppercase();
    let mut text = text.to_owned();
    for (from, to) in language.places() {
        text = text.replace(from, to);
    }
    if language == Language::Go {
        // The name of a package has no `-`.
        text = text.replace(&format!("ackage {TEMPLATE}"), &format!("ackage {}", words.concat()));
    }
    text.replace(&capital(TEMPLATE), &camel).replace(&TEMPLATE.to_ascii_uppercase(), &upper).replace(TEMPLATE, name)
}

/// Returns the text of a copied document. Its links to files that are not copied become words.
fn without_links_out(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](../") {
        let (Some((before, words)), Some((_, after))) = (before.rsplit_once('['), after.split_once(')')) else { break };
        kept.extend([before, words, " (in the repository of infrahub-sync)"]);
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn new(name: &str, language: Language) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let files = write(name, language, &folder.path().join("made")).unwrap();
        (folder, files)
    }

    #[test]
    fn a_new_folder_has_template_sdk_contract_and_a_test() {
        for (language, wanted) in [
            (Language::Rust, ["Cargo.toml", "README.md", "sdk/rust/Cargo.toml", "src/lib.rs", "wit/adapter.wit"]),
            (Language::Python, ["README.md", "adapter.py", "infrahub_sync_adapter/_component.py", "test_adapter.py", "wit/adapter.wit"]),
            (
                Language::JavaScript,
                ["README.md", "adapter.js", "adapter.test.js", "infrahub-sync-adapter/src/component.js", "wit/adapter.wit"],
            ),
            (
                Language::Go,
                ["README.md", "adapter.go", "adapter_test.go", "infrahub-sync-adapter/component/meta.go.txt", "wit/adapter.wit"],
            ),
        ] {
            let (folder, files) = new("top-racks", language);
            for path in wanted {
                assert!(files.contains(&PathBuf::from(path)), "{language}: {path} is not among {files:?}");
            }
            let size: u64 = files.iter().map(|path| folder.path().join("made").join(path).metadata().unwrap().len()).sum();
            assert!(size < 400_000, "{language}: {size} bytes");
            for path in &files {
                let text = path.to_string_lossy();
                assert!(!["target/", "node_modules/", "__pycache__", ".lock"].iter().any(|other| text.contains(other)), "{text}");
            }
        }
    }

    #[test]
    fn the_new_name_replaces_the_templates_name_in_each_language() {
        for language in Language::ALL {
            let (folder, files) = new("top-racks", language);
            let mut all = String::new();
            for path in
                files.iter().filter(|path| !["sdk", "infrahub", "wit"].iter().any(|other| path.to_string_lossy().starts_with(other)))
            {
                all += &fs::read_to_string(folder.path().join("made").join(path)).unwrap();
            }
            assert!(!all.to_lowercase().contains(TEMPLATE), "{language}");
            assert!(!all.contains("../"), "{language} refers to a file outside its folder");
            assert!(all.contains("TOP_RACKS_URL") && all.contains("top-racks") && all.contains("TopRacks"), "{language}");
        }
        let (folder, _) = new("top-racks", Language::Go);
        let code = fs::read_to_string(folder.path().join("made/adapter.go")).unwrap();
        assert!(code.contains("\npackage topracks\n"), "{code}");
    }

    #[test]
    fn every_link_of_a_new_folder_leads_somewhere() {
        for language in Language::ALL {
            let (folder, files) = new("racks", language);
            let folder = folder.path().join("made");
            let documents: Vec<&PathBuf> =
                files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect();
            assert!(documents.len() >= 3, "{language}: {documents:?}");
            for document in documents {
                let text = fs::read_to_string(folder.join(document)).unwrap();
                for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
                    let (target, _) = link.split_once('#').unwrap_or((link, ""));
                    // Rustdoc, which reads the file too, resolves the names of items.
                    if target.is_empty() || target.contains("://") || !target.contains(['/', '.']) {
                        continue;
                    }
                    let there = folder.join(document).parent().unwrap().join(target);
                    assert!(there.exists(), "{language}: {} links to {link}", document.display());
                }
            }
        }
    }

    #[test]
    fn links_out_of_a_folder_become_words() {
        let text = "See [the guide](../README.md#one), [this](x.md) and [that](../../host/LIMITS.md).";
        let out = "(in the repository of infrahub-sync)";
        assert_eq!(without_links_out(text), format!("See the guide {out}, [this](x.md) and that {out}."));
        assert_eq!(without_links_out("a](../b"), "a](../b");
    }

    #[test]
    fn files_are_not_overwritten() {
        let (folder, _) = new("racks", Language::Python);
        let made = folder.path().join("made");
        fs::write(made.join("adapter.py"), "mine").unwrap();
        let error = write("racks", Language::Python, &made).unwrap_err();
        assert!(matches!(error, NewError::Exists { .. }), "{error}");
        assert_eq!(fs::read_to_string(made.join("adapter.py")).unwrap(), "mine");
        let error = write("racks", Language::Python, &made.join("adapter.py")).unwrap_err();
        assert!(matches!(error, NewError::Exists { .. }), "{error}");
        // An empty folder works like a missing one.
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        write("racks", Language::Go, &empty).unwrap();
    }

    #[test]
    fn an_invalid_name_is_rejected_with_a_better_one() {
        for (name, hint) in [
            ("My Racks", Some("use `my-racks`")),
            ("2racks", Some("use `racks`")),
            ("racks_2", Some("use `racks-2`")),
            ("", None),
            ("../x", Some("use `x`")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let error = write(name, Language::Rust, &folder.path().join("x")).unwrap_err();
            assert!(matches!(error, NewError::Name { .. }), "{error}");
            assert_eq!(error.hint().as_deref(), hint, "{name}");
            assert!(!folder.path().join("x").exists());
        }
    }

    #[test]
    fn the_copy_of_the_rust_sdk_has_the_dependencies_of_the_workspace() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let sdk = fs::read_to_string(root.join("sdk/rust/Cargo.toml")).unwrap();
        let copy = include_str!("../rust-sdk.toml");
        let names = sdk.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        let names: Vec<&str> =
            names.lines().filter_map(|line| line.split(".workspace").next()).filter(|name| !name.trim().is_empty()).collect();
        assert!(names.len() >= 3, "{names:?}");
        for name in names {
            let line = workspace.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
            let line = line.split(" #").next().unwrap().trim();
            assert!(copy.lines().any(|ours| ours == line), "{line}");
        }
        for key in ["version", "edition", "rust-version"] {
            let line = workspace.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
            assert!(copy.lines().any(|ours| ours == line), "{line}");
        }
    }
}
