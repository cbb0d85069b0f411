//! The surroundings that commands share: the screen, the environment, the project and the folders of this machine.
//!
//! Key type: [`Context`]. Commands take it as a parameter and do not call one another.
//!
//! Invariant: the environment and the working directory are read here only, and the engine gets what it needs as arguments.

use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use infrahub_sync_config::{AdapterLocation, Endpoint, Problem, Project, find};
use infrahub_sync_engine::AdapterSource;

use crate::args::{AdapterArgs, ProgressArgs, SearchArgs, Selection, Verbosity};
use crate::builtin;
use crate::command_error::CommandError;
use crate::exit::Exit;
use crate::locate::{Folders, Located, locate};
use crate::published::Registries;
use crate::screen::{Screen, data};
use crate::variables;

/// The folder of all caches below the working directory, unless the variable names another folder.
const CACHE_FOLDER: &str = ".infrahub-sync-cache";

/// Reads a variable of the environment.
pub(crate) type Environment = fn(&str) -> Option<String>;

/// The surroundings of a command.
#[derive(Clone)]
pub(crate) struct Context {
    /// Messages on stderr.
    pub(crate) screen: Screen,
    /// The environment.
    pub(crate) environment: Environment,
    /// Builds the definition of the whole command line, for help and completions.
    pub(crate) definition: fn() -> clap::Command,
}

impl Context {
    /// Returns the same with progress bars, where they are wanted.
    pub(crate) fn with_bars(self, progress: &ProgressArgs) -> Context {
        Context { screen: self.screen.with_bars(progress.wanted()), ..self }
    }

    /// Returns whether every step is shown.
    pub(crate) fn is_verbose(&self) -> bool {
        self.screen.verbosity() == Verbosity::Verbose
    }

    /// Writes to stdout and flushes, so that a full disk is an error.
    pub(crate) fn print(&self, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), CommandError> {
        let mut out = data();
        write(&mut out).and_then(|()| out.flush()).map_err(CommandError::stdout)
    }

    /// Returns the config.yml of a project.
    pub(crate) fn file_of(&self, selection: Selection<'_>) -> Result<PathBuf, CommandError> {
        Ok(match selection {
            Selection::File(file) => file.to_owned(),
            Selection::Name { name, directory } => {
                let file = find(name, directory.unwrap_or(Path::new("."))).map_err(|problem| CommandError::problems(vec![problem]))?;
                shown(&file).to_owned()
            }
        })
    }

    /// Finds and reads the project.
    pub(crate) fn open(&self, selection: Selection<'_>) -> Result<Project, CommandError> {
        let file = self.file_of(selection)?;
        Project::load(&file, &self.environment).map_err(CommandError::problems)
    }

    /// Finds and reads the project, and shows its warnings: for commands that compare or write, which the warnings are about.
    pub(crate) fn open_to_run(&self, selection: Selection<'_>) -> Result<Project, CommandError> {
        let project = self.open(selection)?;
        self.show_warnings(&project.warnings);
        Ok(project)
    }

    /// Returns the project of a command that can do without one, and the folders with adapters.
    pub(crate) fn search(&self, args: &SearchArgs) -> Result<(Option<Project>, Folders), CommandError> {
        let project = args.project.selection()?.map(|selection| self.open(selection)).transpose()?;
        let folders = self.folders(project.as_ref(), &args.adapters);
        Ok((project, folders))
    }

    /// Shows the warnings of a project.
    pub(crate) fn show_warnings(&self, warnings: &[Problem]) {
        for warning in warnings {
            // Its own text begins with `warning:`.
            self.screen.info(&format!("{warning}\n"));
        }
    }

    /// Returns the folders with adapters, in the order of the search: command line, project, environment.
    pub(crate) fn folders(&self, project: Option<&Project>, args: &AdapterArgs) -> Folders {
        let (paths, directory) = match project {
            Some(project) => (project.adapters_path.as_slice(), project.directory.as_path()),
            None => (&[][..], Path::new(".")),
        };
        let folders = Folders::new(&args.paths, paths, directory, (self.environment)(variables::ADAPTERS).as_deref());
        folders.with_registries(self.registries())
    }

    /// Returns the way to published adapters.
    pub(crate) fn registries(&self) -> Registries {
        Registries::new(self.environment, self.user_cache("adapters"))
    }

    /// Returns the cache's folder as an absolute path, which is valid in messages whatever the reader's working directory.
    pub(crate) fn cache_root(&self) -> Result<PathBuf, CommandError> {
        let here = std::env::current_dir().map_err(|error| {
            CommandError::from_error(Exit::Unexpected, &error)
                .hint(format!("the working directory does not exist; change to another one, or set {}", variables::CACHE))
        })?;
        let Some(named) = self.variable(variables::CACHE) else {
            return Ok(here.join(CACHE_FOLDER));
        };
        if Path::new(&named).components().any(|part| part == Component::ParentDir) {
            // The original refuses it too: a typo must not move the cache out of sight.
            return Err(CommandError::new(Exit::Usage, format!("{} must not contain `..` (it is `{named}`)", variables::CACHE)));
        }
        // Shells expand `~`; files of variables (systemd, .env) do not, and the original accepts it.
        let home = named.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')).zip((self.environment)("HOME"));
        Ok(match home {
            Some((rest, home)) => PathBuf::from(home + rest),
            None => here.join(named),
        })
    }

    /// Returns a folder for files that are kept between runs and can be made again, or none if the user has no home.
    pub(crate) fn user_cache(&self, folder: &str) -> Option<PathBuf> {
        let caches = self
            .variable("XDG_CACHE_HOME")
            .or_else(|| self.variable("LOCALAPPDATA").filter(|_| cfg!(windows)))
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&self.variable("HOME")?).join(".cache")))?;
        Some(caches.join("infrahub-sync").join(folder))
    }

    /// Returns a variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }
}

/// Finds the component of one side of a project.
pub(crate) fn locate_endpoint(endpoint: &Endpoint, project: &Project, folders: &Folders) -> Result<Located, CommandError> {
    match &endpoint.adapter {
        Some(AdapterLocation::Origin(origin)) => Ok(folders.1.locked(&endpoint.name, origin, project)?),
        location => Ok(locate(&endpoint.name, location.as_ref(), &project.directory, folders, builtin::ALL)?),
    }
}

/// Finds and reads the adapter of one side of a project.
pub(crate) fn adapter_of(endpoint: &Endpoint, project: &Project, folders: &Folders) -> Result<AdapterSource, CommandError> {
    locate_endpoint(endpoint, project, folders).map(source_of)
}

/// Returns a component as the engine takes it.
pub(crate) fn source_of(located: Located) -> AdapterSource {
    let origin = located.place.to_string();
    AdapterSource { name: located.name, bytes: located.bytes, origin, published: located.published }
}

/// Returns a path without the `./` that a search below the working directory puts before it.
pub(crate) fn shown(path: &Path) -> &Path {
    match path.strip_prefix(".") {
        Ok(rest) if !rest.as_os_str().is_empty() => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(environment: Environment) -> Context {
        Context { screen: Screen::new(Verbosity::Quiet), environment, definition: clap::Command::default }
    }

    #[test]
    fn the_cache_is_where_the_variable_says() {
        let named = |environment| context(environment).cache_root().map_err(|error| error.to_string());
        let here = std::env::current_dir().unwrap();
        assert_eq!(named(|_| None), Ok(here.join(".infrahub-sync-cache")));
        assert_eq!(named(|name| (name == variables::CACHE).then(|| "c".to_owned())), Ok(here.join("c")));
        assert_eq!(named(|name| Some(if name == "HOME" { "/home/me" } else { "~/c" }.to_owned())), Ok("/home/me/c".into()));
        assert!(named(|_| Some("../c".to_owned())).unwrap_err().contains("must not contain `..`"));
    }

    #[test]
    fn the_user_cache_follows_the_desktop_standard() {
        let at = |environment| context(environment).user_cache("memos");
        assert_eq!(at(|_| None), None);
        assert_eq!(at(|name| (name == "HOME").then(|| "/h".to_owned())), Some("/h/.cache/infrahub-sync/memos".into()));
        assert_eq!(at(|name| (name == "XDG_CACHE_HOME").then(|| "/x".to_owned())), Some("/x/infrahub-sync/memos".into()));
    }
}
