//! Finds adapters: in a file that the project names, in an adapter folder, or built in.
//!
//! Key types: [`Folders`] (the folders with custom adapters), [`Place`], [`Located`], [`AdapterError`].
//!
//! A file counts only if it belongs to this user or to root, and no other user can change it. A built-in
//! adapter takes precedence over a component with the same name in an adapter folder. (In the original, it is the other way round.)

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use infrahub_sync_base::origin::Origin;
use infrahub_sync_config::problem::nearest;
use infrahub_sync_config::{AdapterLocation, LockedOrigin};

use infrahub_sync_durable::{Distrust, distrust, distrust_of};
use infrahub_sync_registry::Release;
use infrahub_sync_runtime::COMPONENT_BYTES_MAX;

use crate::builtin::Builtin;
use crate::published::{Registries, Unpublished};

/// The location of an adapter's component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Built in, with that name.
    BuiltIn(&'static str),
    /// In a file.
    File(PathBuf),
    /// Fetched from there.
    Published(Origin, Arc<Vec<u8>>),
}

impl Place {
    /// Returns the file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Place::BuiltIn(_) | Place::Published(..) => None,
            Place::File(file) => Some(file),
        }
    }

    /// Returns whether it is a part of the program.
    pub(crate) fn is_built_in(&self) -> bool {
        matches!(self, Place::BuiltIn(_))
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
            Place::File(file) => read_component(file, false).map(Cow::Owned),
            Place::Published(_, component) => Ok(Cow::Owned(component.to_vec())),
        }
    }
}

impl fmt::Display for Place {
    /// Writes `built in`, or the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::BuiltIn(_) => f.write_str("built in"),
            Place::File(file) => file.display().fmt(f),
            Place::Published(origin, _) => origin.fmt(f),
        }
    }
}

/// Reads a component. A pipe would make the program wait, and a file without end would fill the memory. `ours`: the file must be this user's
/// or root's, and no other user may change it.
fn read_component(file: &Path, ours: bool) -> Result<Vec<u8>, AdapterError> {
    let unreadable = |source| AdapterError::Unreadable { file: file.to_owned(), source };
    let wrong = |what: String| AdapterError::NoComponent { file: file.to_owned(), what };
    let too_large = || wrong(format!("has more than {} MiB", COMPONENT_BYTES_MAX >> 20));
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(wrong("is not a file".to_owned()));
    }
    let opened = fs::File::open(file).map_err(unreadable)?;
    // The file that was opened, and the link that led to it.
    let metadata = opened.metadata().map_err(unreadable)?;
    let why = distrust(file).map_err(unreadable)?.or_else(|| distrust_of(&metadata));
    if let Some(why) = why.filter(|_| ours) {
        return Err(AdapterError::Distrusted { file: file.to_owned(), why });
    }
    if metadata.len() > COMPONENT_BYTES_MAX {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    opened.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    // The file may have grown meanwhile.
    if bytes.len() as u64 > COMPONENT_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
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
    /// The adapter that takes precedence under that name: another file, or the built-in one.
    pub(crate) hidden_by: Option<Place>,
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
        let built_in = builtins.iter().find(|builtin| builtin.name == name).map(|builtin| Place::BuiltIn(builtin.name));
        let hidden_by = built_in.or_else(|| first(&name).filter(|first| *first != file).map(Place::File));
        Some(Listed { name, place: Place::File(file), hidden_by, used_as: Vec::new() })
    });
    let built_in = builtins.iter().map(|builtin| Listed {
        name: builtin.name.to_owned(),
        place: Place::BuiltIn(builtin.name),
        hidden_by: None,
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
    /// Where it is published, if it was fetched.
    pub(crate) published: Option<LockedOrigin>,
    /// The words of its origin, if it was asked.
    pub(crate) release: Option<Release>,
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
    /// Another user could have written the file.
    #[error("the adapter `{}` {why}, so it is not used", .file.display())]
    Distrusted {
        /// The file.
        file: PathBuf,
        /// Why.
        why: Distrust,
    },
    /// The file is larger than any component, or is not a file at all.
    #[error("the adapter `{}` {what}", .file.display())]
    NoComponent {
        /// The file.
        file: PathBuf,
        /// Why.
        what: String,
    },
    /// It is a published one, and cannot be used or fetched.
    #[error(transparent)]
    Published(#[from] Unpublished),
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
            AdapterError::Distrusted { file, .. } => {
                vec![format!("check it, then run `chown $(id -u) {0} && chmod go-w {0}`", file.display())]
            }
            AdapterError::Published(error) => error.hints(),
            AdapterError::Unreadable { .. } | AdapterError::NoComponent { .. } => Vec::new(),
        }
    }
}

/// The folders with custom adapters, in search order.
#[derive(Debug, Clone)]
pub(crate) struct Folders(Vec<PathBuf>, pub(crate) Registries);

impl Folders {
    /// Orders the folders: command line, project, environment. Relative folders of a project lie below the project. The original searches
    /// the working directory as well, where another user may have put a file.
    pub(crate) fn new(command_line: &[PathBuf], project: &[PathBuf], project_directory: &Path, environment: Option<&str>) -> Folders {
        let mut folders: Vec<PathBuf> = command_line.to_vec();
        for folder in project {
            folders.push(project_directory.join(folder));
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
        Folders(unique, Registries::default())
    }

    /// Returns the same, with the way to published adapters.
    pub(crate) fn with_registries(self, registries: Registries) -> Folders {
        Folders(self.0, registries)
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
        // The lock file of a project says which one.
        Some(AdapterLocation::Origin(origin)) => Err(Unpublished::not_locked(origin, project_directory).into()),
        None => by_name(name, name, folders, builtins),
    }
}

/// Finds the built-in adapter of that name, or `<word>.wasm` in the folders.
fn by_name(name: &str, word: &str, folders: &Folders, builtins: &[Builtin]) -> Result<Located, AdapterError> {
    let file = folders.0.iter().find_map(|folder| in_folder(folder, word));
    if let Some(builtin) = builtins.iter().find(|builtin| builtin.name == word) {
        if let Some(file) = file {
            // It used to take precedence.
            tracing::warn!("{} is not used: `{word}` is built in. To use the file, set `adapter:` to its path", file.display());
        }
        return Ok(Located {
            name: name.to_owned(),
            bytes: Cow::Borrowed(builtin.bytes),
            place: Place::BuiltIn(builtin.name),
            published: None,
            release: None,
        });
    }
    if let Some(file) = file {
        return read(name, file);
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

/// Reads a component that a project uses: no other user may have written it.
fn read(name: &str, file: PathBuf) -> Result<Located, AdapterError> {
    let bytes = read_component(&file, true)?;
    Ok(Located { name: name.to_owned(), bytes: Cow::Owned(bytes), place: Place::File(file), published: None, release: None })
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
    fn a_built_in_adapter_is_not_replaced_by_a_file_of_a_folder() {
        let project = project();
        fs::write(project.path().join("plugins/netbox.wasm"), "patched").unwrap();
        insta::assert_snapshot!(find(project.path(), "netbox", None, &["plugins"]).unwrap(), @"netbox = netbox from built in");
        let path = AdapterLocation::Component("plugins/netbox.wasm".into());
        insta::assert_snapshot!(find(project.path(), "netbox", Some(path), &["plugins"]).unwrap(), @"netbox = patched from PROJECT/plugins/netbox.wasm");
        let folder = AdapterLocation::Folder("plugins".into());
        insta::assert_snapshot!(find(project.path(), "netbox", Some(folder), &[]).unwrap(), @"netbox = patched from PROJECT/plugins/netbox.wasm");
    }

    #[cfg(unix)]
    #[expect(clippy::print_stderr, reason = "a test that cannot run on this machine says so")]
    fn skipped() {
        eprintln!("SKIPPED: only root can make files of other users");
    }

    #[cfg(unix)]
    #[test]
    fn a_component_that_another_user_could_have_written_is_not_used() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let project = project();
        let file = project.path().join("plugins/mine.wasm");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).unwrap();
        insta::assert_snapshot!(find(project.path(), "mine", None, &["plugins"]).unwrap_err(), @r"
        the adapter `PROJECT/plugins/mine.wasm` can be changed by other users, so it is not used
        check it, then run `chown $(id -u) PROJECT/plugins/mine.wasm && chmod go-w PROJECT/plugins/mine.wasm`
        ");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(find(project.path(), "mine", None, &["plugins"]).is_ok());
        if chown(&file, Some(65534), None).is_err() {
            skipped();
            return;
        }
        let told = find(project.path(), "mine", None, &["plugins"]).unwrap_err();
        assert!(told.contains("belongs to another user (number 65534), so it is not used"), "{told}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_any_kind_and_size_is_no_trap() {
        use std::os::unix::net::UnixListener;
        let project = project();
        let socket = project.path().join("socket.wasm");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(read_component(&socket, false).unwrap_err().to_string().ends_with("is not a file"));
        let sparse = project.path().join("sparse.wasm");
        fs::File::create(&sparse).unwrap().set_len(6 << 30).unwrap();
        assert!(read_component(&sparse, false).unwrap_err().to_string().ends_with("has more than 128 MiB"));
    }

    #[test]
    fn folders_are_searched_by_name() {
        let project = project();
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
        `netbx.wasm` is not in PROJECT/plugins
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
            let hidden_by = listed.hidden_by.map(|place| place.file().map_or_else(|| place.to_string(), shown));
            format!("{} {place} {}", listed.name, hidden_by.unwrap_or_default()).trim_end().to_owned()
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
        mine PROJECT/plugins/mine.wasm
        other_one PROJECT/plugins/other_one.wasm
        files PROJECT/more/files.wasm built in
        mine PROJECT/more/mine.wasm PROJECT/plugins/mine.wasm
        other-one PROJECT/more/other-one.wasm PROJECT/plugins/other_one.wasm
        files built in
        netbox built in
        ");
    }

    #[test]
    fn folders_are_searched_in_order_and_once() {
        let folders = Folders::new(&["c".into(), "a/".into()], &["p".into(), "/abs".into()], Path::new("dir"), Some("e: a :"));
        let expected = ["c", "a", "dir/p", "/abs", "e"].map(PathBuf::from);
        assert_eq!(folders.0, expected);
        let folders = Folders::new(&[], &[], Path::new("."), Some("e;f"));
        assert_eq!(folders.0, [Path::new("e"), Path::new("f")]);
    }
}
