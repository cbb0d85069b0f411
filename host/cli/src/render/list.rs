//! The list of projects.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::output::write_document;
use super::table::{Cell, Table};
use crate::escape::Escaped;

/// A project that can be used.
#[derive(Debug, Serialize)]
pub(crate) struct ProjectLine<'a> {
    /// The sync's name.
    pub(crate) name: &'a str,
    /// The source's name.
    pub(crate) source: &'a str,
    /// The destination's name.
    pub(crate) destination: &'a str,
    /// The folder.
    pub(crate) directory: &'a Path,
    /// The file.
    pub(crate) config_file: &'a Path,
}

/// A file that cannot be used.
#[derive(Debug, Serialize)]
pub(crate) struct BrokenFile<'a> {
    /// The file.
    pub(crate) config_file: &'a Path,
    /// Its errors.
    pub(crate) errors: Vec<ErrorLine<'a>>,
}

/// An error in a file.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorLine<'a> {
    /// The line, from 1; 0 for the whole file.
    pub(crate) line: u32,
    /// The column, from 1.
    pub(crate) column: u32,
    /// The place inside the document.
    pub(crate) path: &'a str,
    /// The message.
    pub(crate) message: &'a str,
    /// The fix, if it is known.
    pub(crate) hint: Option<&'a str>,
}

/// Writes `name | source >> destination | folder`, the line of the original, with aligned columns.
pub(crate) fn text(out: &mut impl Write, projects: &[ProjectLine<'_>]) -> io::Result<()> {
    let rows: Vec<[Cell; 3]> = projects
        .iter()
        .map(|project| {
            [
                Escaped(project.name).to_string(),
                format!("{} >> {}", Escaped(project.source), Escaped(project.destination)),
                Escaped(&project.directory.display().to_string()).to_string(),
            ]
            .map(Cell::from)
        })
        .collect();
    Table { indent: "", gap: " | ", right: &[] }.write(out, &rows)
}

/// Writes one JSON document.
pub(crate) fn json(out: &mut impl Write, projects: &[ProjectLine<'_>], broken: &[BrokenFile<'_>]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        projects: &'a [ProjectLine<'a>],
        broken: &'a [BrokenFile<'a>],
    }
    write_document(out, &Document { projects, broken })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projects() -> [ProjectLine<'static>; 2] {
        [
            ProjectLine {
                name: "from-netbox",
                source: "netbox",
                destination: "infrahub",
                directory: Path::new("examples/netbox_to_infrahub"),
                config_file: Path::new("examples/netbox_to_infrahub/config.yml"),
            },
            ProjectLine {
                name: "x\u{1b}",
                source: "files",
                destination: "files",
                directory: Path::new("/tmp/x"),
                config_file: Path::new("/tmp/x/config.yml"),
            },
        ]
    }

    fn shown(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_line_of_the_original_aligned() {
        insta::assert_snapshot!(shown(|out| text(out, &projects())), @r"
        from-netbox | netbox >> infrahub | examples/netbox_to_infrahub
        x\u{1b}     | files >> files     | /tmp/x
        ");
        assert_eq!(shown(|out| text(out, &[])), "");
    }

    #[test]
    fn a_document_names_broken_files_too() {
        let broken = [BrokenFile {
            config_file: Path::new("b/config.yml"),
            errors: vec![ErrorLine { line: 3, column: 1, path: "sourc", message: "unknown key", hint: Some("did you mean `source`?") }],
        }];
        insta::assert_snapshot!(shown(|out| json(out, &projects(), &broken)), @r#"
        {
          "projects": [
            {
              "name": "from-netbox",
              "source": "netbox",
              "destination": "infrahub",
              "directory": "examples/netbox_to_infrahub",
              "config_file": "examples/netbox_to_infrahub/config.yml"
            },
            {
              "name": "x\u001b",
              "source": "files",
              "destination": "files",
              "directory": "/tmp/x",
              "config_file": "/tmp/x/config.yml"
            }
          ],
          "broken": [
            {
              "config_file": "b/config.yml",
              "errors": [
                {
                  "line": 3,
                  "column": 1,
                  "path": "sourc",
                  "message": "unknown key",
                  "hint": "did you mean `source`?"
                }
              ]
            }
          ]
        }
        "#);
    }
}
