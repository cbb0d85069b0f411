//! The reference of the command line, `host/cli/reference.md`: `--help` of every command.

use std::fmt::Write as _;
use std::path::Path;

use super::definition;

/// The file that holds the reference.
const FILE: &str = "reference.md";

/// The variable that lets the test write the reference.
const UPDATE: &str = "UPDATE_REFERENCE";

/// Adds the help of a command and of its sub-commands.
fn add(command: &mut clap::Command, path: &str, out: &mut String) {
    let is_root = !path.contains(' ');
    // Every command takes the global options; the root shows them.
    let shown = command.clone().mut_args(|arg| if arg.is_global_set() && !is_root { arg.hide(true) } else { arg });
    let help = shown.term_width(100).render_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing to a String cannot fail.
    let _ = write!(out, "\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for sub in command.get_subcommands_mut() {
        let path = format!("{path} {}", sub.get_name());
        add(sub, &path, out);
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let mut command = definition();
    command.build();
    let mut text = String::from(
        "# Command-line reference\n\n\
         A test generates this file from the program: `UPDATE_REFERENCE=1 cargo test -p infrahub-sync reference` updates it.\n\
         Each section is what `--help` prints. All commands also take the options below `Messages` of the first section.\n",
    );
    add(&mut command, "infrahub-sync", &mut text);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let differing = text.lines().zip(found.lines()).find(|(new, old)| new != old);
    assert!(
        text == found,
        "{FILE} is not what `--help` prints (first difference: {differing:?}); \
         run `{UPDATE}=1 cargo test -p infrahub-sync reference` and review the change"
    );
}
