//! DuckDB, with which users query the cache, reads what is written.
//!
//! Needs Python 3, and DuckDB in it or from the package index (into `target/venv-duckdb`). Where there is neither, the test says
//! so and passes; with `CACHE_TEST_DUCKDB=required` it fails instead.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{cache, error_row, id, lock, plan_row, running, snapshot};
use infrahub_sync_cache::{Mode, Side};
use infrahub_sync_core::plan_row::{Action, PlanRow};

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A Python that has DuckDB.
fn python() -> Result<PathBuf, &'static str> {
    let has_duckdb = |python: &Path| succeeds(Command::new(python).args(["-c", "import duckdb"]));
    let system = PathBuf::from("python3");
    if has_duckdb(&system) {
        return Ok(system);
    }
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv-duckdb");
    let python = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python3" });
    if has_duckdb(&python) {
        return Ok(python);
    }
    if !succeeds(Command::new(&system).args(["-m", "venv"]).arg(&venv)) {
        return Err("there is no python3 that can make a virtual environment");
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20", "duckdb"];
    if succeeds(Command::new(&python).args(install)) { Ok(python) } else { Err("pip could not install duckdb") }
}

#[test]
fn duckdb_reads_plans_snapshots_and_errors() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            let required = std::env::var_os("CACHE_TEST_DUCKDB").is_some_and(|value| value == "required");
            assert!(!required, "{reason}");
            // Past the test harness, which would keep it from who reads the output.
            let _ = writeln!(std::io::stderr(), "\nSKIPPED duckdb_reads_plans_snapshots_and_errors: {reason}\n");
            return;
        }
    };

    // What `duckdb_reads.py` expects.
    let root = tempfile::tempdir().expect("a folder");
    let lock = lock(&cache(root.path()));
    let run = lock.start_run(&id("r"), &running(Mode::Diff)).expect("started");
    let devices = snapshot(&[Some("é"), Some(""), None]);
    // Several row groups.
    let batches = std::iter::repeat_n(devices.clone(), 100_000);
    run.write_snapshot(Side::Source, "InfraDevice", devices.schema(), batches).expect("written");
    run.write_snapshot(Side::Source, "InfraRäck", devices.schema(), [devices.clone()]).expect("written");
    run.write_snapshot(Side::Destination, "InfraDevice", devices.schema(), []).expect("written");
    let create = PlanRow {
        action: Action::Create,
        resource: "InfraRäck".to_owned(),
        dest_id: Some(String::new()),
        attribute: None,
        old_value: None,
        tier: 0,
        ..plan_row("r1\n\u{2764}")
    };
    run.write_plan((0..200_000).map(|n| plan_row(&n.to_string())).chain([create])).expect("written");
    run.write_errors(&[error_row("no «such» peer")]).expect("written");

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/duckdb_reads.py");
    let output = Command::new(python).arg(script).arg(run.dir()).output().expect("started");
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
