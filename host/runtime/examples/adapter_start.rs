//! How long it takes until an adapter can be called: the first time, and every later time.
//!
//! ```console
//! $ cargo build --release --workspace --example adapter_start && target/release/examples/adapter_start target/adapters/*.wasm
//! ```
//!
//! Each figure is the median of 21 rounds, by the clock. A round does a process's whole work: another engine, another store for the
//! first use.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::time::{Duration, Instant};

use infrahub_sync_runtime::{Adapter, Runtime, RuntimeOptions};

type Failed = Box<dyn std::error::Error>;

const ROUNDS: usize = 21;

/// Makes the runtime of a new process that keeps compiled adapters in that folder.
fn runtime(store: &std::path::Path) -> Result<Runtime, Failed> {
    Ok(Runtime::new(RuntimeOptions { component_store: Some(store.to_owned()), ..RuntimeOptions::default() })?)
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    let begin = Instant::now();
    let value = work()?;
    times.push(begin.elapsed());
    Ok(value)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e3
}

fn main() -> Result<(), Failed> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        return Err("name the components: target/adapters/*.wasm".into());
    }
    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("| adapter | KB | first use: compile, ms | later: load, ms | instantiate and describe, ms |\n|---|---:|---:|---:|---:|");
    for file in files {
        let wasm = std::fs::read(&file)?;
        let (mut first, mut later, mut describe) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let store = tempfile::tempdir()?;
            timed(&mut first, || Ok(runtime(store.path())?.load_adapter(&wasm, &file)?))?;
            let adapter: Adapter = timed(&mut later, || Ok(runtime(store.path())?.load_adapter(&wasm, &file)?))?;
            timed(&mut describe, || Ok(tasks.block_on(adapter.describe())?))?;
        }
        let name = std::path::Path::new(&file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let [first, later, describe] = [first, later, describe].map(median);
        println!("| {name} | {} | {first:.0} | {later:.1} | {describe:.2} |", wasm.len().div_ceil(1024));
    }
    Ok(())
}
