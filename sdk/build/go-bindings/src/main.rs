//! Makes Go bindings of the contract: `infrahub-sync-go-bindings WIT OUT`. The build tool runs it; see `component.rs` there.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::{Resolve, UnresolvedPackageGroup};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [wit, out] => generate(Path::new(wit), Path::new(out)),
        _ => Err("usage: infrahub-sync-go-bindings WIT OUT".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bindings of the contract cannot be made: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(wit: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_group(UnresolvedPackageGroup::parse_dir(wit)?)?;
    let world = resolve.select_world(&[package], Some("adapter"))?;
    let mut files = Files::default();
    let options = wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, ..Default::default() };
    options.build().generate(&mut resolve, world, &mut files)?;
    for (name, text) in files.iter() {
        let file = out.join(name);
        fs::create_dir_all(file.parent().unwrap_or(out))?;
        fs::write(file, text)?;
    }
    Ok(())
}
