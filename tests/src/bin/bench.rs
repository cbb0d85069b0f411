//! Measures each stage of a run, in nanoseconds of CPU time per object.
//!
//! ```text
//! cargo run --release -p infrahub-sync-tests --bin bench                 10,000, 100,000 and 1,000,000 objects
//! … --bin bench -- --sizes 10000,100000 --stages load,build --runs 3     a part
//! ```
//!
//! It prints one Markdown table per stage: `load`, `build`, `diff`, `disk`, `start`, `languages`. `tests/bench` has the results, and its
//! README.md explains them. `tests/bench/whole.py` measures whole commands.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

#[path = "../bench/compare.rs"]
mod compare;
#[path = "../bench/disk.rs"]
mod disk;
#[path = "../bench/languages.rs"]
mod languages;
#[path = "../bench/load.rs"]
mod load;
#[path = "../bench/model.rs"]
mod model;
#[path = "../bench/start.rs"]
mod start;
#[path = "../bench/timing.rs"]
mod timing;

use std::process::ExitCode;

use timing::Failed;

/// The options of the command line.
struct Wanted {
    sizes: Vec<usize>,
    stages: Vec<String>,
    runs: usize,
}

const STAGES: [&str; 6] = ["load", "build", "diff", "disk", "start", "languages"];
const USAGE: &str = "usage: bench [--sizes 10000,100000,1000000] [--stages load,build,diff,disk,start,languages] [--runs 5]";

impl Wanted {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Wanted, Failed> {
        let mut wanted = Wanted { sizes: vec![10_000, 100_000, 1_000_000], stages: STAGES.map(str::to_owned).to_vec(), runs: 5 };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match flag.as_str() {
                "--sizes" => wanted.sizes = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| USAGE)?,
                "--stages" => wanted.stages = value.split(',').map(str::to_owned).collect(),
                "--runs" => wanted.runs = value.parse().map_err(|_| USAGE)?,
                _ => return Err(USAGE.into()),
            }
        }
        let known = wanted.stages.iter().all(|stage| STAGES.contains(&stage.as_str()));
        if known && wanted.runs > 0 { Ok(wanted) } else { Err(USAGE.into()) }
    }

    fn has(&self, stage: &str) -> bool {
        self.stages.iter().any(|wanted| wanted == stage)
    }
}

fn main() -> ExitCode {
    let done = Wanted::parse(std::env::args().skip(1)).and_then(|wanted| {
        if wanted.has("load") {
            load::measure(&wanted.sizes, wanted.runs)?;
        }
        if wanted.has("build") {
            compare::measure_build(&wanted.sizes, wanted.runs)?;
        }
        if wanted.has("diff") {
            compare::measure_diff(&wanted.sizes, wanted.runs)?;
        }
        if wanted.has("disk") {
            disk::measure(&wanted.sizes, wanted.runs)?;
        }
        if wanted.has("start") {
            start::measure(wanted.runs)?;
        }
        if wanted.has("languages") {
            languages::measure(&wanted.sizes, wanted.runs)?;
        }
        Ok(())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
