//! Finds projects: every `config.yml` or `config.yaml` below a folder.
//!
//! Hidden folders, caches (folders with a `CACHEDIR.TAG`, `__pycache__`, `node_modules`) and folders that were visited already
//! (links that loop) are left out. Unreadable projects are reported beside the readable ones.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::decode::{list_names, suggest};
use crate::load;
use crate::problem::{Document, Problem};
use crate::project;

/// The names of a project's file.
const FILE_NAMES: [&str; 2] = ["config.yml", "config.yaml"];

/// Folders of other programs' making that can be huge and never hold a project.
const CACHE_FOLDERS: [&str; 2] = ["__pycache__", "node_modules"];

/// The part of a project that `list` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The sync's name.
    pub name: String,
    /// The source's name.
    pub source: String,
    /// The destination's name.
    pub destination: String,
    /// The folder.
    pub directory: PathBuf,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file (or a folder that could not be read).
    pub file: PathBuf,
    /// The sync's name, also where the rest of the file is broken.
    pub name: Option<String>,
    /// Its summary, or the reasons for which there is none.
    pub summary: Result<Summary, Vec<Problem>>,
}

/// Lists every project below `directory`, sorted by path. Unset variables are no problem here.
///
/// # Errors
///
/// `directory` cannot be read.
pub fn discover(directory: &Path) -> Result<Vec<Found>, Problem> {
    let mut found = Vec::new();
    let mut visited = HashSet::new();
    let mut waiting = VecDeque::from([directory.to_owned()]);
    // Links come last, so that a folder is listed under its own name.
    let mut links = VecDeque::new();
    while let Some(folder) = waiting.pop_front().or_else(|| links.pop_front()) {
        let listed = std::fs::canonicalize(&folder).and_then(|real| {
            if !visited.insert(real) {
                return Ok(());
            }
            visit(&folder, &mut waiting, &mut links, &mut found)
        });
        if let Err(error) = listed {
            let problem = Problem::of_file(&folder, format!("cannot read the folder: {error}"));
            if folder == directory {
                return Err(problem);
            }
            found.push(Found { file: folder, name: None, summary: Err(vec![problem]) });
        }
    }
    found.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(found)
}

/// Looks at the entries of one folder.
fn visit(folder: &Path, waiting: &mut VecDeque<PathBuf>, links: &mut VecDeque<PathBuf>, found: &mut Vec<Found>) -> std::io::Result<()> {
    let mut files = Vec::new();
    let (mut folders, mut linked) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "CACHEDIR.TAG" {
            return Ok(());
        }
        let Some(name) = name.to_str() else { continue };
        let path = entry.path();
        let kind = entry.file_type()?;
        // A link that leads nowhere is neither file nor folder.
        let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
        if is_folder {
            if !name.starts_with('.') && !CACHE_FOLDERS.contains(&name) {
                if kind.is_symlink() { linked.push(path) } else { folders.push(path) }
            }
        } else if FILE_NAMES.contains(&name) {
            files.push(path);
        }
    }
    found.extend(files.into_iter().map(look_at));
    folders.sort_unstable();
    linked.sort_unstable();
    waiting.extend(folders);
    links.extend(linked);
    Ok(())
}

fn look_at(file: PathBuf) -> Found {
    let text = match load::read(&file) {
        Ok(text) => text,
        Err(problems) => return Found { file, name: None, summary: Err(problems) },
    };
    match project::parse(&text, &file, None) {
        Ok(project) => {
            let summary = Summary {
                name: project.name.clone(),
                source: project.source.name,
                destination: project.destination.name,
                directory: project.directory,
            };
            Found { file, name: Some(project.name), summary: Ok(summary) }
        }
        Err(problems) => {
            let (tree, _) = load::parse(&Document::new(&file, &text));
            let name = tree.as_ref().and_then(project::decode::name_of).map(str::to_owned);
            Found { file, name, summary: Err(problems) }
        }
    }
}

/// Returns the file of the project called `name` below `directory`. Other projects may be broken; so may this one.
///
/// # Errors
///
/// None or several have that name, or `directory` cannot be read.
pub fn find(name: &str, directory: &Path) -> Result<PathBuf, Problem> {
    let found = discover(directory)?;
    let mut files = found.iter().filter(|found| found.name.as_deref() == Some(name)).map(|found| found.file.as_path());
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file.to_owned()),
        (Some(first), Some(second)) => {
            let all: Vec<String> = [first, second].into_iter().chain(files).map(|file| file.display().to_string()).collect();
            let message = format!("several projects are called `{name}`: {}", list_names(all.iter().map(String::as_str)));
            Err(Problem::of_file(directory, message).with_hint("name one of them by its file: `--config-file …`"))
        }
        (None, _) => {
            let mut names: Vec<&str> = found.iter().filter_map(|found| found.name.as_deref()).collect();
            names.sort_unstable();
            names.dedup();
            let message = format!("no project below this folder is called `{name}`");
            let mut problem = Problem::of_file(directory, message);
            problem.hint = suggest(name, names, "known names");
            if problem.hint.is_none() {
                problem.hint = Some("it has no project at all: name another folder with `--directory`".to_owned());
            }
            Err(problem)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use insta::assert_snapshot;

    use super::*;

    fn write(root: &Path, folder: &str, name: &str) {
        fs::create_dir_all(root.join(folder)).unwrap();
        let text = format!(
            "name: {name}\nsource: {{name: netbox, settings: {{token: '${{UNSET}}'}}}}\ndestination: {{name: files}}\n\
             schema_mapping: [{{name: A, fields: [{{name: x, mapping: x}}]}}]\n"
        );
        fs::write(root.join(folder).join("config.yml"), text).unwrap();
    }

    fn names(found: &[Found], root: &Path) -> Vec<String> {
        found.iter().map(|found| found.file.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn lists_all_and_skips_caches_hidden_folders_and_loops() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (at, name) in [("b", "two"), ("a/deep", "one"), (".hidden", "no"), ("node_modules/x", "no"), ("cache", "no")] {
            write(root, at, name);
        }
        fs::write(root.join("cache/CACHEDIR.TAG"), "").unwrap();
        fs::write(root.join("config.yaml"), "name: broken\nsource: 1\n").unwrap();
        std::os::unix::fs::symlink(root, root.join("a/loop")).unwrap();
        std::os::unix::fs::symlink(root.join("b"), root.join("a/b")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("a/dangling")).unwrap();
        let found = discover(root).unwrap();
        assert_eq!(names(&found, root), ["a/deep/config.yml", "b/config.yml", "config.yaml"]);
        assert_eq!(found[0].summary.as_ref().unwrap().name, "one");
        assert_eq!(found[0].summary.as_ref().unwrap().directory, root.join("a/deep"));
        assert!(found[2].summary.is_err());
        assert_eq!(found[2].name.as_deref(), Some("broken"));
        assert_eq!(find("broken", root).unwrap(), root.join("config.yaml"));
    }

    #[test]
    fn a_name_must_be_known_and_unique() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let show = |name: &str| find(name, root).unwrap_err().to_string().replace(&root.display().to_string(), "ROOT");
        assert_snapshot!(show("from-netbox"), @r"
        error: no project below this folder is called `from-netbox`
         --> ROOT

        hint: it has no project at all: name another folder with `--directory`
        ");
        write(root, "a", "from-netbox");
        write(root, "b", "same");
        write(root, "c", "same");
        assert_snapshot!(show("from-netbax"), @r"
        error: no project below this folder is called `from-netbax`
         --> ROOT

        hint: did you mean `from-netbox`?
        ");
        assert_snapshot!(show("zzz"), @r"
        error: no project below this folder is called `zzz`
         --> ROOT

        hint: known names: `from-netbox`, `same`
        ");
        assert_snapshot!(show("same"), @r"
        error: several projects are called `same`: `ROOT/b/config.yml`, `ROOT/c/config.yml`
         --> ROOT

        hint: name one of them by its file: `--config-file …`
        ");
        let missing = discover(&root.join("missing")).unwrap_err().to_string();
        assert_snapshot!(missing.replace(&root.display().to_string(), "ROOT"), @r"
        error: cannot read the folder: No such file or directory (os error 2)
         --> ROOT/missing
        ");
    }
}
