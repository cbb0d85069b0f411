//! Files that another user of the machine has put in place, with the whole program. Only root can act as another user.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use infrahub_sync_tests::{Project, component};

/// The number of the user `nobody` on most systems.
const STRANGER: &str = "65534";

const CONFIG: &str = "
name: office
source: {name: acme, adapter: ./shared/acme.wasm, settings: {path: source}}
destination: {name: files, settings: {path: destination}}
schema_mapping:
  - name: Site
    mapping: sites
    identifiers: [name]
    fields: [{name: name, mapping: name}]
";

/// Returns a project with a folder to which every user may write, if this test can act as another user.
#[expect(clippy::print_stderr, reason = "a test that cannot run on this machine says so")]
fn project() -> Option<Project> {
    let project = Project::new(CONFIG);
    project.write("source/sites.json", "[{\"id\": 1, \"name\": \"Kraków\"}]");
    std::fs::create_dir(project.path().join("shared")).unwrap();
    for (path, mode) in [("", 0o755), ("shared", 0o1777)] {
        std::fs::set_permissions(project.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let may_act = Command::new("setpriv").args(["--reuid", STRANGER, "--regid", STRANGER, "--clear-groups", "true"]).status();
    if may_act.is_ok_and(|status| status.success()) {
        return Some(project);
    }
    eprintln!("SKIPPED: acting as another user takes root and setpriv");
    None
}

/// Runs a command of the shell as another user, in the folder to which every user may write.
fn as_stranger(project: &Project, script: &str) {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", STRANGER, "--regid", STRANGER, "--clear-groups", "sh", "-ec", script]);
    assert!(command.current_dir(project.path().join("shared")).status().unwrap().success(), "{script}");
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_component_that_another_user_planted_is_not_used() {
    let Some(project) = project() else { return };
    put(&project.path().join("good.wasm"), &component("files"));
    as_stranger(&project, "cp ../good.wasm acme.wasm");
    let told = project.run(&["diff"]);
    assert_eq!(told.code, 4, "{}", told.stderr);
    assert!(told.stderr.contains("acme.wasm` belongs to another user (number 65534), so it is not used"), "{}", told.stderr);
    // A link of another user leads to a file of ours.
    as_stranger(&project, "rm acme.wasm; ln -s ../good.wasm acme.wasm");
    let told = project.run(&["diff"]);
    assert!(told.code == 4 && told.stderr.contains("belongs to another user"), "{}", told.stderr);
    std::fs::remove_file(project.path().join("shared/acme.wasm")).unwrap();
    put(&project.path().join("shared/acme.wasm"), &component("files"));
    project.ok(&["diff"]);
}

#[test]
fn a_cache_that_another_user_made_first_is_not_used() {
    let Some(mut project) = project() else { return };
    put(&project.path().join("shared/acme.wasm"), &component("files"));
    let cache = project.path().join("shared/cache");
    project.set("INFRAHUB_SYNC_CACHE_DIR", cache.to_str().unwrap());
    as_stranger(&project, "mkdir cache; chmod 777 cache");
    for arguments in [&["diff"][..], &["sync"], &["apply", "--run-id", "r"]] {
        let told = project.run(arguments);
        assert_ne!(told.code, 0, "{}", told.stderr);
        assert!(told.stderr.contains("belongs to another user (number 65534), so it is not used"), "{arguments:?}: {}", told.stderr);
    }
    assert!(!project.path().join("destination").exists());
}

#[test]
fn compiled_adapters_of_another_user_are_not_run() {
    let Some(mut project) = project() else { return };
    put(&project.path().join("shared/acme.wasm"), &component("files"));
    let home = project.path().join("shared/home");
    project.set("XDG_CACHE_HOME", home.to_str().unwrap());
    as_stranger(&project, "mkdir -p home/infrahub-sync/components home/infrahub-sync/memos; chmod -R 777 home");
    project.ok(&["diff"]);
    let folder = home.join("infrahub-sync/components");
    let kept = || std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let files = kept();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    // The same machine code, as another user could have changed it.
    put(&project.path().join("shared/copy"), &std::fs::read(file).unwrap());
    let name = file.file_name().unwrap().to_str().unwrap();
    as_stranger(&project, &format!("rm -f home/infrahub-sync/components/*; cp copy home/infrahub-sync/components/{name}"));
    let owner = || std::fs::metadata(file).unwrap().uid();
    assert_eq!(owner().to_string(), STRANGER);
    project.ok(&["diff"]);
    assert_ne!(owner().to_string(), STRANGER, "it was used: a component that is compiled again replaces the file");
    assert_eq!(kept().len(), 1);
}
