//! The common parts of whole-program tests: a project in a separate folder, and the real binary.

pub mod appliances;
pub mod django;
pub mod inventories;
pub mod lab;
pub mod live;
pub mod netbox;
pub mod registry;
pub mod rest;
pub mod terminal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the binary that is tested. It is built by `cargo verify`, or by `cargo build --release --workspace` after `cargo adapters`.
///
/// # Panics
/// When it is not there: a test that cannot run must not look as if it had passed.
#[must_use]
pub fn binary() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    let found = here.ancestors().map(|folder| folder.join("infrahub-sync")).find(|file| file.is_file());
    match found {
        Some(binary) => binary,
        None => panic!("no infrahub-sync beside {}: run `cargo adapters`, then `cargo build --release --workspace`", here.display()),
    }
}

/// Returns a component that was built for this workspace: a guest of the tests, else an adapter.
///
/// # Panics
/// When neither exists.
#[must_use]
pub fn component(name: &str) -> Vec<u8> {
    let target = binary().ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
    let file =
        ["guests", "adapters"].map(|folder| target.join(folder).join(format!("{name}.wasm"))).into_iter().find(|file| file.is_file());
    match file.map(std::fs::read) {
        Some(Ok(bytes)) => bytes,
        _ => panic!("no component `{name}` in {}: run `cargo adapters` and `cargo guests`", target.display()),
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Words.
    pub stderr: String,
}

/// A project in a temporary folder.
pub struct Project {
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl Project {
    /// Returns a project with this `config.yml`.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn new(config: &str) -> Project {
        let project = Project { folder: tempfile::tempdir().expect("a temporary folder"), environment: BTreeMap::new() };
        project.write("config.yml", config);
        project
    }

    /// Returns the project's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable for the commands to come.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Writes a file of the project.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the file");
        std::fs::write(path, text).expect("the file");
    }

    /// Reads a file of the project.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns a command on the project, not started yet; the project is named where the command takes one.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.path()).args(arguments).stdin(Stdio::null());
        if arguments.first().is_some_and(|first| ["diff", "sync", "apply", "generate", "validate", "show", "adopt"].contains(first))
            && !arguments.iter().any(|argument| argument.starts_with("--name") || argument.starts_with("--config-file"))
        {
            command.args(["--config-file", "config.yml"]);
        }
        for name in [
            "NETBOX_ADDRESS",
            "NETBOX_URL",
            "NETBOX_TOKEN",
            "NAUTOBOT_ADDRESS",
            "NAUTOBOT_URL",
            "NAUTOBOT_TOKEN",
            "PEERING_MANAGER_ADDRESS",
            "PEERING_MANAGER_URL",
            "PEERING_MANAGER_TOKEN",
            "INFRAHUB_ADDRESS",
            "INFRAHUB_URL",
            "INFRAHUB_API_TOKEN",
            "INFRAHUB_PROPOSED_CHANGE",
            "INFRAHUB_SYNC_CACHE_DIR",
            "INFRAHUB_SYNC_ADAPTER_PATHS",
            "NO_COLOR",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        // Compiled components are kept between tests, not in the home folder of whoever runs them.
        command.env("XDG_CACHE_HOME", binary().with_file_name("test-cache"));
        command.envs(&self.environment);
        command
    }

    /// Runs a command on the project; the project is named where the command takes one.
    ///
    /// # Panics
    /// When the binary cannot be run.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the binary runs");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output
    }

    /// Returns the plan of `diff --output json`, and the exit code of `--detailed-exitcode`.
    ///
    /// # Panics
    /// When stdout is anything but one JSON document.
    #[must_use]
    pub fn plan(&self, arguments: &[&str]) -> (i32, serde_json::Value) {
        let output = self.run(&[&["diff", "--output", "json", "--detailed-exitcode"], arguments].concat());
        let plan = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", output.stdout, output.stderr));
        (output.code, plan)
    }

    /// Returns the run ids in the cache of this sync, oldest first by name.
    #[must_use]
    pub fn runs(&self, sync: &str) -> Vec<String> {
        let folder = self.path().join(".infrahub-sync-cache").join(sync);
        let mut runs: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        runs.sort();
        runs
    }
}

/// Returns `action kind unique-id field` of each change of a plan.
///
/// # Panics
/// When the plan has no list of changes.
#[must_use]
pub fn changes(plan: &serde_json::Value) -> Vec<String> {
    let changes = plan["changes"].as_array().unwrap_or_else(|| panic!("no changes: {plan}"));
    let one = |change: &serde_json::Value| {
        let fields = ["action", "resource", "source_id", "attribute"].map(|name| change[name].as_str().unwrap_or_default());
        fields.join(" ").trim_end().to_owned()
    };
    changes.iter().map(one).collect()
}
