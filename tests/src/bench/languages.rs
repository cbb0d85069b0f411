//! The small adapter in each language: JSON pages → columns through its component.
//!
//! It times the same work as [`load`](crate::load) for a document, with the adapters of `sdk/*/template`: the same pages, the same
//! recorded answers, the same columns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use infrahub_sync_core::records::Projection;
use infrahub_sync_payloads::{PAGE_SIZE, PAGES, device};
use infrahub_sync_runtime::{
    Cursor, Exchanges, Limits, LoadRequest, RequestHeaders, Role, Runtime, RuntimeOptions, Session, SessionConfig, Variables,
};
use serde_json::json;

use crate::load::{projection, records, same};
use crate::timing::{Failed, Table, each, median};

/// The languages, and where the small adapter is.
const LANGUAGES: [(&str, &str); 4] =
    [("Rust", "sdk/template"), ("Python", "sdk/python/template"), ("JavaScript", "sdk/javascript/template"), ("Go", "sdk/go/template")];
/// The exit code of the build tool when the machine lacks a language.
const LACKING: i32 = 77;

pub(crate) fn measure(sizes: &[usize], runs: usize) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let total = PAGES * PAGE_SIZE;
    let bodies: Vec<String> = (0..PAGES).map(|page| body(page, total)).collect();
    let lines: Vec<String> = (0..PAGES)
        .map(|page| {
            json!({
                "request": {"method": "GET", "path": format!("/v1/devices?page={}&size={PAGE_SIZE}", page + 1)},
                "response": {"status": 200, "headers": {"content-type": "application/json"}, "body": bodies[page as usize]},
            })
            .to_string()
        })
        .collect();
    std::fs::write(folder.path().join("inventory.jsonl"), lines.join("\n"))?;

    let projection = projection();
    let expected = projection.json(&bodies[1], "/items")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut sessions = Vec::new();
    for (language, adapter) in LANGUAGES {
        let Some(component) = build(adapter)? else {
            println!("\nskipped: {language}: this machine does not have it");
            continue;
        };
        let session = runtime.block_on(open(folder.path(), &component))?;
        let found = records(&projection, runtime.block_on(session.load(request(&projection, 1)))?.payload)?;
        same(&expected, &found).map_err(|difference| format!("{language}: {difference}"))?;
        sessions.push((language, session));
    }

    let mut table = Table::new("languages: JSON pages of 1000 devices → columns, by the small adapter", "speed × Rust", sizes);
    for size in sizes {
        let pages = (*size as u32).div_ceil(PAGE_SIZE);
        for (language, session) in &sessions {
            let taken = median(runs, || {
                runtime.block_on(async {
                    let mut rows = 0;
                    for page in 0..pages {
                        rows += records(&projection, session.load(request(&projection, page)).await?.payload)?.rows;
                    }
                    Ok::<_, Failed>(rows)
                })
            })?;
            table.put(language, each(taken, (pages * PAGE_SIZE) as usize));
        }
    }
    let rust = table.last("Rust").unwrap_or(f64::NAN);
    for (language, _) in &sessions {
        let ratio = rust / table.last(language).unwrap_or(f64::NAN);
        table.say(language, format!("{ratio:.2}"));
    }
    table.print();
    Ok(())
}

/// Returns the answer to the request for a page.
fn body(page: u32, total: u32) -> String {
    let first = page * PAGE_SIZE;
    let records: Vec<String> = (first..first + PAGE_SIZE).map(device::record).collect();
    format!(r#"{{"total":{total},"items":[{}]}}"#, records.join(","))
}

/// Repeats the pages, so that a million records need no gigabytes.
fn request(projection: &Projection, page: u32) -> LoadRequest {
    let number = page % PAGES + 1;
    LoadRequest {
        resource: "devices".into(),
        fields: projection.slots().iter().map(|(path, _)| path.clone()).collect(),
        page_size: PAGE_SIZE,
        cursor: (number > 1).then(|| Cursor(json!({"page": number, "total": PAGES * PAGE_SIZE}).to_string().into_bytes())),
        ..LoadRequest::default()
    }
}

async fn open(folder: &Path, component: &Path) -> Result<Session, Failed> {
    // Compiled components are kept beside the program: Python's takes seconds.
    let store = std::env::current_exe()?.with_file_name("bench-components");
    let runtime = Runtime::new(RuntimeOptions { component_store: Some(store), ..RuntimeOptions::default() })?;
    let adapter = runtime.load_adapter(&std::fs::read(component)?, "inventory")?;
    let config = SessionConfig {
        writes: true,
        role: Role::Source,
        settings: BTreeMap::from([("url".to_owned(), json!("http://replay.invalid"))]),
        environment: &|_| None,
        variables: Variables::All,
        headers: RequestHeaders::All,
        command_line: BTreeMap::new(),
        project_dir: folder.to_owned(),
        exchanges: Exchanges::Replay(folder.to_owned()),
        limits: Limits::default(),
        extra_origins: Vec::new(),
        networks: Vec::new(),
    };
    Ok(adapter.open(config).await?)
}

/// Returns the component of an adapter; `None` when the machine lacks its language.
fn build(adapter: &str) -> Result<Option<PathBuf>, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let here = std::env::current_exe()?;
    let target = here.parent().and_then(Path::parent).ok_or("the program lies in no target folder")?;
    let component = target.join("bench").join(format!("{}.wasm", adapter.replace('/', "-")));
    std::fs::create_dir_all(target.join("bench"))?;
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(&root)
        .args(["run", "--quiet", "--release", "--package", "infrahub-sync-build", "--", "component", adapter, "-o"])
        .arg(&component)
        .status()?;
    match built.code() {
        Some(0) => Ok(Some(component)),
        Some(LACKING) => Ok(None),
        _ => Err(format!("{adapter} could not be built").into()),
    }
}
