//! From nothing to a first answer.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use infrahub_sync_runtime::{LoadRequest, Runtime, RuntimeOptions};

use crate::load::{component, config};
use crate::timing::Failed;

/// CPU time and time by the clock.
type Taken = (Duration, Duration);

pub(crate) fn measure(runs: usize) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    // One small answer: this is about starting, not about reading.
    std::fs::write(
        folder.path().join("payloads.jsonl"),
        r#"{"request": {"method": "GET", "path": "/devices/?page=0"}, "response": {"status": 200, "body": "{\"results\": []}"}}"#,
    )?;
    let wasm = std::fs::read(component()?)?;
    let mut steps: Vec<(&str, Vec<Taken>)> = Vec::new();
    // The first is cold: it compiles and fills the store.
    for run in 0..=runs.max(5) * 4 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut note = |step: &'static str, begin: (ProcessTime, Instant)| {
            let taken = (begin.0.elapsed(), begin.1.elapsed());
            match steps.iter_mut().find(|(name, _)| *name == step) {
                Some((_, all)) => all.push(taken),
                None => steps.push((step, vec![taken])),
            }
        };
        let now = || (ProcessTime::now(), Instant::now());
        let whole = now();
        let begin = now();
        let host = Runtime::new(RuntimeOptions { component_store: Some(folder.path().join("store")), ..RuntimeOptions::default() })?;
        note("`Runtime::new`", begin);
        let begin = now();
        let adapter = host.load_adapter(&wasm, "payloads")?;
        note(if run == 0 { "`load_adapter`, the first time ever: compiles" } else { "`load_adapter`, from the component store" }, begin);
        let begin = now();
        let session = runtime.block_on(adapter.open(config(folder.path(), "document", &|_| None)))?;
        note("`open`: describe, settings, first instance, configure", begin);
        let begin = now();
        let request = LoadRequest { resource: "devices".into(), fields: vec!["name".into()], page_size: 1, ..LoadRequest::default() };
        runtime.block_on(session.load(request))?;
        note("first `load`", begin);
        if run > 0 {
            note("all of it, from the component store", whole);
        }
    }
    println!("\n### start: component of {} KB\n", wasm.len().div_ceil(1024));
    println!("| | CPU ms | wall ms |\n|---|---:|---:|");
    for (step, all) in &steps {
        let middle = |of: fn(&Taken) -> Duration| {
            let mut all: Vec<Duration> = all.iter().map(of).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        println!("| {step} | {:.2} | {:.2} |", middle(|taken| taken.0), middle(|taken| taken.1));
    }
    Ok(())
}
