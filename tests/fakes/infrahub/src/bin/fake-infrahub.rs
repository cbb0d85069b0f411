//! The fake as a program, for what is not written in Rust: it prints its address and serves until it is killed.

use std::path::PathBuf;

use clap::Parser;
use infrahub_sync_fake_infrahub::{Fake, Model, Options, Version};

/// A fake Infrahub on the loopback interface.
#[derive(Parser)]
struct Arguments {
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A folder with api_schema.json, schema.graphql and schema_summary.json (also gzipped) instead of the schema inside.
    #[arg(long)]
    schema: Option<PathBuf>,
    /// The server version to imitate: 1.6, 1.10 or 1.11.
    #[arg(long, default_value = "1.11")]
    imitate: String,
}

#[allow(clippy::print_stdout, reason = "the address is the program's output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let version = match arguments.imitate.as_str() {
        "1.6" => Version::V1_6,
        "1.10" => Version::V1_10,
        "1.11" => Version::V1_11,
        other => return Err(format!("unknown version {other}: known are 1.6, 1.10 and 1.11").into()),
    };
    let model = match &arguments.schema {
        Some(folder) => Some(Model::from_folder(folder, version)?),
        None => None,
    };
    let fake = Fake::start(Options { port: arguments.port, version, model, ..Options::default() })?;
    println!("{}", fake.url());
    loop {
        std::thread::park();
    }
}
