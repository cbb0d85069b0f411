//! The demo: the main job on recorded answers, from differences to nothing left to do, without a server.

use std::fs;
use std::path::Path;
use std::process::Command;

use infrahub_sync_components::guests::{self, Guests};
use infrahub_sync_components::run::{Fault, programs, say, succeed, words};

/// The example that is run.
const EXAMPLE: &str = "netbox_to_files";
/// The recorded answers in the example's folder.
const EXCHANGES: &str = "exchanges";
/// Variables that would change the project's settings. They are removed: the demo is the same on every machine.
const VARIABLES: [&str; 5] = ["NETBOX_ADDRESS", "NETBOX_URL", "NETBOX_TOKEN", "INFRAHUB_SYNC_CACHE_DIR", "INFRAHUB_SYNC_ADAPTER_PATHS"];

/// Builds the adapters and the program, and runs them.
pub(crate) fn run(root: &Path) -> Result<(), Fault> {
    say(
        "The demo builds the adapters (1 of 3) and the program (2 of 3), and runs them (3 of 3). On a new machine, the first build of the program takes",
    );
    say("some minutes on many cores, and up to half an hour on two. Cargo shows what it compiles, and a later demo starts at once.");
    let step = |number: u32, what: &str| say(&format!("\n{number} of 3: {what}"));
    step(1, "build the adapters");
    guests::build(root, Guests::Adapters)?;
    step(2, "build the program");
    programs(root, &["infrahub-sync"])?;
    step(3, "run the program");
    let target = guests::target_folder(root)?;

    let example = root.join("examples").join(EXAMPLE);
    let project = target.join("demo").join(EXAMPLE);
    if !example.join(EXCHANGES).is_dir() {
        return Err(Fault(format!("{} has no folder `{EXCHANGES}` with recorded answers", example.display())));
    }
    let failed = |error: std::io::Error| Fault(format!("{}: {error}", project.display()));
    // An earlier demo's files would leave nothing to do.
    match fs::remove_dir_all(&project) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => copy(&example, &project).map_err(failed)?,
    }
    say(&format!("\nIn {}, a copy of examples/{EXAMPLE}:", project.display()));

    let command = |arguments: &[&str]| {
        let mut command = Command::new(target.join("release/infrahub-sync"));
        command.current_dir(&project).args(arguments).args(["--config-file", "config.yml", "--replay", EXCHANGES]);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command
    };
    for arguments in [&["diff"][..], &["sync"]] {
        let mut command = command(arguments);
        say(&format!("\n$ {}", words(&command, root)));
        succeed(&mut command, root)?;
    }
    let mut last = command(&["diff", "--detailed-exitcode"]);
    let text = words(&last, root);
    say(&format!("\n$ {text}"));
    match last.status() {
        Ok(status) if status.success() => {}
        Ok(status) if status.code() == Some(2) => return Err(Fault(format!("`{text}` still finds differences after the sync"))),
        Ok(status) => return Err(Fault(format!("`{text}` failed ({status})"))),
        Err(error) => return Err(Fault(format!("`{text}` could not be started: {error}"))),
    }
    say("\nNothing left to do: source and destination agree (exit code 0).");
    Ok(())
}

/// Copies a folder with its sub-folders. Dot folders, which a run by hand leaves there, are not copied.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copied = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !entry.file_name().to_string_lossy().starts_with('.') {
                copy(&entry.path(), &copied)?;
            }
        } else {
            fs::copy(entry.path(), copied)?;
        }
    }
    Ok(())
}
