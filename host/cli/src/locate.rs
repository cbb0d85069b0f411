//! Finds adapters: in a file that the project names, in an adapter folder, or built in.
//!
//! Key types: [`Folders`] (the folders with custom adapters), [`Place`], [`Located`], [`AdapterError`].
//!
//! As in the original, a component in an adapter folder takes precedence over a built-in adapter with the same name.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use infrahub_sync_config::AdapterLocation;
use infrahub_sync_config::problem::nearest;

use crate::builtin::Builtin;

/// The location of an adapter's component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Built in, with that name.
    BuiltIn(&'static str),
    /// In a file.
    File(PathBuf),
}

impl Place {
    /// Returns the file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Place::BuiltIn(_) => None,
            Place::File(file) => Some(file),
        }
    }

    /// Returns whether both are the same component, whatever their paths.
    pub(crate) fn is(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::File(one), Place::File(other)) => {
                one == other || fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
            }
            (one, other) => one == other,
        }
    }

    /// Reads the component.
    pub(crate) fn read(&self, builtins: &[Builtin]) -> Result<Cow<'static, [u8]>, AdapterError> {
        match self {
            Place::BuiltIn(name) => {
                let bytes = builtins.iter().find(|builtin| builtin.name == *name).map_or(&[][..], |builtin| builtin.bytes);
                Ok(Cow::Borrowed(bytes))
            }
            Place::File(file) => match fs::read(file) {
                Ok(bytes) => Ok(Cow::Owned(bytes)),
                Err(source) => Err(AdapterError::Unreadable { file: file.clone(), source }),
            },
        }
    }
}

impl fmt::Display for Place {
    /// Writes `built in`, or the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::BuiltIn(_) => f.write_str("built in"),
            Place::File(file) => file.display().fmt(f),
        }
    }
}

/// Removes `.` from a path: `./p` and `p` are the same folder, and messages are shorter.
fn plain(path: &Path) -> PathBuf {
    let plain: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if plain.as_os_str().is_empty() { PathBuf::from(".") } else { plain }
}

/// An adapter that a project could name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The name in a project.
    pub(crate) name: String,
    /// Its location.
    pub(crate) place: Place,
    /// The file that takes precedence under that name.
    pub(crate) hidden_by: Option<PathBuf>,
    /// The sides of the project that use it.
    pub(crate) used_as: Vec<&'static str>,
}

/// Lists the adapters in the folders, in search order, then the built-in ones.
pub(crate) fn listed(folders: &Folders, builtins: &[Builtin]) -> Vec<Listed> {
    let first = |name: &str| folders.0.iter().find_map(|folder| in_folder(folder, name));
    // A project in the working directory has each of its folders twice.
    let mut seen = HashSet::new();
    let files = folders.0.iter().flat_map(|folder| components(folder));
    let files = files.filter(|file| fs::canonicalize(file).map_or(true, |real| seen.insert(real)));
    let files = files.filter_map(|file| {
        let name = file.file_stem()?.to_str()?.to_owned();
        let hidden_by = first(&name).filter(|first| *first != file);
        Some(Listed { name, place: Place::File(file), hidden_by, used_as: Vec::new() })
    });
    let built_in = builtins.iter().map(|builtin| Listed {
        name: builtin.name.to_owned(),
        place: Place::BuiltIn(builtin.name),
        hidden_by: first(builtin.name),
        used_as: Vec::new(),
    });
    files.chain(built_in).collect()
}

/// An adapter's component and its location.
#[derive(Debug)]
pub(crate) struct Located {
    /// The name in `config.yml`.
    pub(crate) name: String,
    /// The component.
    pub(crate) bytes: Cow<'static, [u8]>,
    /// Its location.
    pub(crate) place: Place,
}

/// Why an adapter was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdapterError {
    /// It is in no folder, and not built in.
    #[error("adapter `{name}` not found")]
    Unknown {
        /// The name.
        name: String,
        /// A similar known name.
        nearest: Option<String>,
        /// Every known name.
        known: Vec<String>,
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// The file that `adapter:` names does not exist.
    #[error("the adapter `{}` of `{name}` does not exist", .file.display())]
    Missing {
        /// The adapter's name.
        name: String,
        /// The file or folder.
        file: PathBuf,
    },
    /// The folder that `adapter:` names has no component, or several.
    #[error("the folder `{}` contains {}", .folder.display(), match .components.len() { 0 => "no component".to_owned(), count => format!("{count} components, but no `{name}.wasm`") })]
    Ambiguous {
        /// The adapter's name.
        name: String,
        /// The folder.
        folder: PathBuf,
        /// The components' files.
        components: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("cannot read the adapter `{}`", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl AdapterError {
    /// Returns what the user can do.
    pub(crate) fn hints(&self) -> Vec<String> {
        match self {
            AdapterError::Unknown { name, nearest, known, searched } => {
                let mut hints = Vec::new();
                if let Some(nearest) = nearest {
                    hints.push(format!("did you mean `{nearest}`?"));
                }
                hints.push(match known.as_slice() {
                    [] => "no adapter is built in".to_owned(),
                    known => format!("available adapters: {}", known.join(", ")),
                });
                hints.push(if searched.is_empty() {
                    format!(
                        "for a custom adapter, name the folder of `{name}.wasm` in `adapters_path`, --adapter-path or \
                         INFRAHUB_SYNC_ADAPTER_PATHS"
                    )
                } else {
                    let searched: Vec<String> = searched.iter().map(|folder| folder.display().to_string()).collect();
                    format!("`{name}.wasm` is not in {}", searched.join(", "))
                });
                hints
            }
            AdapterError::Missing { .. } => {
                vec!["`adapter:` is a path to a .wasm component, relative to the project's folder".to_owned()]
            }
            AdapterError::Ambiguous { components, .. } if components.is_empty() => {
                vec!["build the adapter and copy its .wasm component there".to_owned()]
            }
            AdapterError::Ambiguous { components, .. } => {
                let names: Vec<String> = components.iter().map(|file| file.display().to_string()).collect();
                vec![format!("set `adapter:` to one of them: {}", names.join(", "))]
            }
            AdapterError::Unreadable { .. } => Vec::new(),
        }
    }
}

/// The folders with custom adapters, in search order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folders(Vec<PathBuf>);

impl Folders {
    /// Orders the folders: command line, project, environment. Relative folders of a project are searched below the project first, and
    /// then below the working directory, as the original does.
    pub(crate) fn new(command_line: &[PathBuf], project: &[PathBuf], project_directory: &Path, environment: Option<&str>) -> Folders {
        let mut folders: Vec<PathBuf> = command_line.to_vec();
        for folder in project {
            folders.push(project_directory.join(folder));
            folders.push(folder.clone());
        }
        // The original splits at `;` on every platform.
        let value = environment.unwrap_or_default();
        let separator = if value.contains(';') || cfg!(windows) { ';' } else { ':' };
        folders.extend(value.split(separator).map(str::trim).filter(|folder| !folder.is_empty()).map(PathBuf::from));
        let mut unique: Vec<PathBuf> = Vec::new();
        for folder in folders {
            let folder = plain(&folder);
            if !unique.contains(&folder) {
                unique.push(folder);
            }
        }
        Folders(unique)
    }

    /// Returns the names of the components in all folders.
    fn names(&self) -> Vec<String> {
        let files = self.0.iter().flat_map(|folder| components(folder));
        files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect()
    }
}

/// Finds the adapter of one side of a project.
pub(crate) fn locate(
    name: &str,
    location: Option<&AdapterLocation>,
    project_directory: &Path,
    folders: &Folders,
    builtins: &[Builtin],
) -> Result<Located, AdapterError> {
    match location {
        Some(AdapterLocation::Component(file)) => {
            let file = plain(&project_directory.join(file));
            if file.is_file() { read(name, file) } else { Err(AdapterError::Missing { name: name.to_owned(), file }) }
        }
        Some(AdapterLocation::Folder(folder)) => {
            let folder = plain(&project_directory.join(folder));
            if !folder.is_dir() {
                return Err(AdapterError::Missing { name: name.to_owned(), file: folder });
            }
            let mut components = components(&folder);
            match in_folder(&folder, name) {
                Some(file) => read(name, file),
                None if components.len() == 1 => read(name, components.remove(0)),
                None => Err(AdapterError::Ambiguous { name: name.to_owned(), folder, components }),
            }
        }
        Some(AdapterLocation::Name(word)) => by_name(name, word, folders, builtins),
        None => by_name(name, name, folders, builtins),
    }
}

/// Finds `<word>.wasm` in the folders, or the built-in adapter of that name.
fn by_name(name: &str, word: &str, folders: &Folders, builtins: &[Builtin]) -> Result<Located, AdapterError> {
    if let Some(file) = folders.0.iter().find_map(|folder| in_folder(folder, word)) {
        return read(name, file);
    }
    if let Some(builtin) = builtins.iter().find(|builtin| builtin.name == word) {
        return Ok(Located { name: name.to_owned(), bytes: Cow::Borrowed(builtin.bytes), place: Place::BuiltIn(builtin.name) });
    }
    let mut known: Vec<String> = builtins.iter().map(|builtin| builtin.name.to_owned()).chain(folders.names()).collect();
    known.sort();
    known.dedup();
    Err(AdapterError::Unknown {
        name: word.to_owned(),
        nearest: nearest(word, known.iter().map(String::as_str)).map(str::to_owned),
        known,
        searched: folders.0.clone(),
    })
}

/// Finds a component by name in a folder. Cargo writes `my_adapter.wasm` for `my-adapter`: both are the same name.
fn in_folder(folder: &Path, name: &str) -> Option<PathBuf> {
    // A name with a separator must not lead out of the folder.
    if Path::new(name).file_name() != Some(OsStr::new(name)) {
        return None;
    }
    [name.to_owned(), name.replace('-', "_"), name.replace('_', "-")]
        .into_iter()
        .map(|name| folder.join(format!("{name}.wasm")))
        .find(|file| file.is_file())
}

/// Returns the components in a folder, sorted, or nothing if it is unreadable.
fn components(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|file| file.extension() == Some(OsStr::new("wasm"))).collect();
    files.sort();
    files
}

fn read(name: &str, file: PathBuf) -> Result<Located, AdapterError> {
    let place = Place::File(file);
    Ok(Located { name: name.to_owned(), bytes: place.read(&[])?, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILTINS: [Builtin; 2] = [Builtin { name: "files", bytes: b"files" }, Builtin { name: "netbox", bytes: b"netbox" }];

    /// A project folder with `plugins/{mine,other_one}.wasm`.
    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        fs::write(folder.path().join("plugins/mine.wasm"), "mine").unwrap();
        fs::write(folder.path().join("plugins/other_one.wasm"), "other").unwrap();
        folder
    }

    fn find(project: &Path, name: &str, location: Option<AdapterLocation>, folders: &[&str]) -> Result<String, String> {
        let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
        let folders = Folders::new(&[], &folders, project, None);
        let outcome = locate(name, location.as_ref(), project, &folders, &BUILTINS);
        let root = project.display().to_string();
        match outcome {
            Ok(located) => Ok(format!(
                "{} = {} from {}",
                located.name,
                String::from_utf8_lossy(&located.bytes),
                located.place.to_string().replace(&root, "PROJECT")
            )),
            Err(error) => {
                Err(std::iter::once(error.to_string()).chain(error.hints()).collect::<Vec<_>>().join("\n").replace(&root, "PROJECT"))
            }
        }
    }

    #[test]
    fn a_name_picks_what_is_built_in() {
        let project = project();
        insta::assert_snapshot!(find(project.path(), "netbox", None, &[]).unwrap(), @"netbox = netbox from built in");
    }

    #[test]
    fn a_folder_is_searched_first() {
        let project = project();
        fs::write(project.path().join("plugins/netbox.wasm"), "patched").unwrap();
        insta::assert_snapshot!(find(project.path(), "netbox", None, &["plugins"]).unwrap(), @"netbox = patched from PROJECT/plugins/netbox.wasm");
        insta::assert_snapshot!(find(project.path(), "other-one", None, &["plugins"]).unwrap(), @"other-one = other from PROJECT/plugins/other_one.wasm");
        let word = AdapterLocation::Name("mine".to_owned());
        insta::assert_snapshot!(find(project.path(), "lab", Some(word), &["plugins"]).unwrap(), @"lab = mine from PROJECT/plugins/mine.wasm");
    }

    #[test]
    fn a_path_is_relative_to_the_project() {
        let project = project();
        let at = |path: &str| Some(AdapterLocation::Component(path.into()));
        insta::assert_snapshot!(find(project.path(), "lab", at("plugins/mine.wasm"), &[]).unwrap(), @"lab = mine from PROJECT/plugins/mine.wasm");
        insta::assert_snapshot!(find(project.path(), "lab", at("mine.wasm"), &[]).unwrap_err(), @r"
        the adapter `PROJECT/mine.wasm` of `lab` does not exist
        `adapter:` is a path to a .wasm component, relative to the project's folder
        ");
    }

    #[test]
    fn a_folder_needs_one_component_or_the_right_name() {
        let project = project();
        let at = |path: &str| Some(AdapterLocation::Folder(path.into()));
        insta::assert_snapshot!(find(project.path(), "mine", at("plugins"), &[]).unwrap(), @"mine = mine from PROJECT/plugins/mine.wasm");
        insta::assert_snapshot!(find(project.path(), "lab", at("plugins"), &[]).unwrap_err(), @r"
        the folder `PROJECT/plugins` contains 2 components, but no `lab.wasm`
        set `adapter:` to one of them: PROJECT/plugins/mine.wasm, PROJECT/plugins/other_one.wasm
        ");
        insta::assert_snapshot!(find(project.path(), "lab", at("."), &[]).unwrap_err(), @r"
        the folder `PROJECT` contains no component
        build the adapter and copy its .wasm component there
        ");
        insta::assert_snapshot!(find(project.path(), "lab", at("nowhere"), &[]).unwrap_err(), @r"
        the adapter `PROJECT/nowhere` of `lab` does not exist
        `adapter:` is a path to a .wasm component, relative to the project's folder
        ");
    }

    #[test]
    fn an_unknown_name_lists_what_there_is_and_where_it_was_searched() {
        let project = project();
        insta::assert_snapshot!(find(project.path(), "netbx", None, &["plugins"]).unwrap_err(), @r"
        adapter `netbx` not found
        did you mean `netbox`?
        available adapters: files, mine, netbox, other_one
        `netbx.wasm` is not in PROJECT/plugins, plugins
        ");
        insta::assert_snapshot!(find(project.path(), "prometheus", None, &[]).unwrap_err(), @r"
        adapter `prometheus` not found
        available adapters: files, netbox
        for a custom adapter, name the folder of `prometheus.wasm` in `adapters_path`, --adapter-path or INFRAHUB_SYNC_ADAPTER_PATHS
        ");
    }

    #[test]
    fn a_name_does_not_lead_out_of_a_folder() {
        let project = project();
        assert!(find(project.path(), "../plugins/mine", None, &["plugins"]).is_err());
    }

    #[test]
    fn what_can_be_named_is_listed_with_what_hides_it() {
        let project = project();
        let root = project.path().display().to_string();
        fs::create_dir(project.path().join("more")).unwrap();
        for name in ["more/files.wasm", "more/mine.wasm", "more/other-one.wasm"] {
            fs::write(project.path().join(name), "").unwrap();
        }
        let folders = Folders::new(&[], &["plugins".into(), "more".into(), project.path().join("plugins")], project.path(), None);
        let shown = |path: &Path| path.display().to_string().replace(&root, "PROJECT");
        let lines = listed(&folders, &BUILTINS).into_iter().map(|listed| {
            let place = listed.place.file().map_or_else(|| listed.place.to_string(), shown);
            format!("{} {place} {}", listed.name, listed.hidden_by.as_deref().map(shown).unwrap_or_default()).trim_end().to_owned()
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
        mine PROJECT/plugins/mine.wasm
        other_one PROJECT/plugins/other_one.wasm
        files PROJECT/more/files.wasm
        mine PROJECT/more/mine.wasm PROJECT/plugins/mine.wasm
        other-one PROJECT/more/other-one.wasm PROJECT/plugins/other_one.wasm
        files built in PROJECT/more/files.wasm
        netbox built in
        ");
    }

    #[test]
    fn folders_are_searched_in_order_and_once() {
        let folders = Folders::new(&["c".into(), "a/".into()], &["p".into(), "/abs".into()], Path::new("dir"), Some("e: a :"));
        let expected = ["c", "a", "dir/p", "p", "/abs", "e"].map(PathBuf::from);
        assert_eq!(folders, Folders(expected.to_vec()));
        let folders = Folders::new(&[], &[], Path::new("."), Some("e;f"));
        assert_eq!(folders, Folders(vec!["e".into(), "f".into()]));
    }
}
