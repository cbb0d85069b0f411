//! JSON pages → columns, natively and through the sandbox.
//!
//! Nothing of the network is timed: recorded exchanges answer, and their bodies lie in memory as those of real answers do once they have
//! been received. So the native line and `document` begin with the same thing, a body, and end with the same thing, columns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use infrahub_sync_core::records::{Projection, Records, Shape};
use infrahub_sync_payloads::{PAGE_SIZE, PAGES, body, device, path};
use infrahub_sync_runtime::{
    Exchanges, Limits, LoadRequest, Payload, RequestHeaders, Role, Runtime, RuntimeOptions, Session, SessionConfig, Variables,
};
use serde_json::json;

use crate::timing::{Failed, Table, each, median};

/// The forms, and what each is.
const FORMS: [(&str, &str); 5] = [
    ("document", "sandbox: document (response resource)"),
    ("columns", "sandbox: packed columns, made in the guest"),
    ("json-lines", "sandbox: JSON lines, made in the guest"),
    ("parsed-columns", "sandbox: body parsed in the guest, packed columns"),
    ("parsed-json-lines", "sandbox: body parsed in the guest, JSON lines"),
];
const NATIVE: &str = "native: `Projection::json` on the body";

pub(crate) fn measure(sizes: &[usize], runs: usize) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    record(folder.path())?;
    let bodies: Vec<String> = (0..PAGES).map(body).collect();
    let bytes = bodies.iter().map(String::len).sum::<usize>() / (PAGES * PAGE_SIZE) as usize;
    let projection = projection();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sessions = FORMS
        .iter()
        .map(|(form, line)| Ok((*line, runtime.block_on(open(folder.path(), form))?)))
        .collect::<Result<Vec<(&str, Session)>, Failed>>()?;

    // All forms must yield the same columns, or they are not comparable.
    let expected = projection.json(&bodies[0], "/results")?;
    for (line, session) in &sessions {
        let found = records(&projection, runtime.block_on(session.load(request(&projection, 0)))?.payload)?;
        same(&expected, &found).map_err(|difference| format!("{line}: {difference}"))?;
    }

    let mut table = Table::new("load: JSON pages of 1000 devices → columns", "speed × native", sizes);
    for size in sizes {
        let pages = (*size as u32).div_ceil(PAGE_SIZE);
        let native = median(runs, || {
            let mut rows = 0;
            for page in 0..pages {
                rows += projection.json(&bodies[(page % PAGES) as usize], "/results")?.rows;
            }
            Ok(rows)
        })?;
        table.put(NATIVE, each(native, (pages * PAGE_SIZE) as usize));
        for (line, session) in &sessions {
            let taken = median(runs, || {
                runtime.block_on(async {
                    let mut rows = 0;
                    for page in 0..pages {
                        rows += records(&projection, session.load(request(&projection, page)).await?.payload)?.rows;
                    }
                    Ok::<_, Failed>(rows)
                })
            })?;
            table.put(line, each(taken, (pages * PAGE_SIZE) as usize));
        }
    }
    table.say(NATIVE, "1.00".to_owned());
    let native = table.last(NATIVE).unwrap_or(1.0);
    for (line, _) in &sessions {
        let ratio = native / table.last(line).unwrap_or(f64::NAN);
        table.say(line, format!("{ratio:.2}"));
    }
    table.print();
    println!("\nA record is {bytes} bytes of JSON, of which 17 fields are read; natively that is {:.0} MB/s.", bytes as f64 / native * 1e3);
    Ok(())
}

pub(crate) fn projection() -> Projection {
    let mut projection = Projection::default();
    projection.slot("id", Shape::Value);
    for (path, reference) in device::FIELDS {
        projection.slot(path, if reference { Shape::Peer } else { Shape::Value });
    }
    projection
}

fn request(projection: &Projection, page: u32) -> LoadRequest {
    LoadRequest {
        resource: "devices".into(),
        fields: projection.slots().iter().map(|(path, _)| path.clone()).collect(),
        page_size: PAGE_SIZE,
        // The guest's cursor is the number of the page.
        cursor: (page > 0).then(|| infrahub_sync_runtime::Cursor(page.to_string().into_bytes())),
        ..LoadRequest::default()
    }
}

/// Writes the exchanges that answer the guest.
fn record(folder: &Path) -> Result<(), Failed> {
    let lines: Vec<String> = (0..PAGES)
        .map(|page| {
            json!({
                "request": {"method": "GET", "path": path(page)},
                "response": {"status": 200, "headers": {"content-type": "application/json"}, "body": body(page)},
            })
            .to_string()
        })
        .collect();
    Ok(std::fs::write(folder.join("payloads.jsonl"), lines.join("\n"))?)
}

/// Opens the guest with recorded answers.
pub(crate) async fn open(folder: &Path, form: &str) -> Result<Session, Failed> {
    let runtime = Runtime::new(RuntimeOptions { component_store: Some(folder.join("store")), ..RuntimeOptions::default() })?;
    let adapter = runtime.load_adapter(&std::fs::read(component()?)?, "payloads")?;
    Ok(adapter.open(config(folder, form, &|_| None)).await?)
}

/// Returns the configuration with which the guest is opened.
pub(crate) fn config<'a>(folder: &Path, form: &str, environment: infrahub_sync_runtime::Environment<'a>) -> SessionConfig<'a> {
    SessionConfig {
        writes: false,
        role: Role::Source,
        settings: BTreeMap::from([("payload".to_owned(), json!(form))]),
        environment,
        variables: Variables::All,
        headers: RequestHeaders::All,
        command_line: BTreeMap::new(),
        project_dir: folder.to_owned(),
        exchanges: Exchanges::Replay(folder.to_owned()),
        limits: Limits::default(),
        extra_origins: Vec::new(),
        networks: Vec::new(),
    }
}

/// Returns the guest's component, built again if its sources are newer.
pub(crate) fn component() -> Result<PathBuf, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let here = std::env::current_exe()?;
    let target = here.parent().and_then(Path::parent).ok_or("the program lies in no target folder")?;
    let component = target.join("guests/payloads.wasm");
    let sources = ["tests/guests/payloads/src", "sdk/rust/src", "wit"].map(|folder| youngest(&root.join(folder)));
    let made = component.metadata().and_then(|metadata| metadata.modified()).ok();
    if sources.iter().flatten().max() >= made.as_ref() {
        eprintln!("building the guest …");
        std::fs::create_dir_all(target.join("guests"))?;
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(&root)
            .args(["run", "--quiet", "--release", "--package", "infrahub-sync-build", "--", "component", "tests/guests/payloads", "-o"])
            .arg(&component)
            .status()?;
        if !built.success() {
            return Err("the guest could not be built".into());
        }
    }
    Ok(component)
}

/// When the youngest file of a folder was written.
fn youngest(folder: &Path) -> Option<SystemTime> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().and_then(|metadata| metadata.modified()).ok()).max()
}

/// Returns a page as columns, as the engine makes them.
pub(crate) fn records(projection: &Projection, payload: Payload) -> Result<Records, Failed> {
    Ok(infrahub_sync_engine::records(projection, payload, usize::MAX)?)
}

/// Says where two readings of one page differ.
pub(crate) fn same(expected: &Records, found: &Records) -> Result<(), String> {
    if expected.rows != found.rows {
        return Err(format!("{} records instead of {}", found.rows, expected.rows));
    }
    for (slot, (ours, theirs)) in expected.columns.iter().zip(&found.columns).enumerate() {
        for row in 0..expected.rows {
            if (ours.tag(row), ours.text(row)) != (theirs.tag(row), theirs.text(row)) {
                return Err(format!(
                    "slot {slot}, row {row}: {:?} {:?} instead of {:?} {:?}",
                    theirs.tag(row),
                    theirs.text(row),
                    ours.tag(row),
                    ours.text(row)
                ));
            }
        }
    }
    Ok(())
}
