//! `adapter pull`: fetches a published adapter into a file.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use infrahub_sync_base::origin::Origin;
use infrahub_sync_registry::{Wanted, signer};

use crate::command_error::CommandError;
use crate::context::Context;
use crate::exit::Exit;

/// The arguments of `adapter pull`.
#[derive(Debug, Args)]
pub(super) struct AdapterPull {
    /// Published adapter: oci://HOST/NAME:TAG or https://HOST/NAME.wasm
    #[arg(value_name = "ORIGIN")]
    origin: Origin,

    /// File to write [default: NAME.wasm in the working directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// Fail unless this public key has signed it: the second line of a .pub file
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Fetches the adapter.
pub(super) fn run(args: &AdapterPull, context: &Context) -> Result<Exit, CommandError> {
    let keys = args.key.clone().map(|key| vec![key]);
    let wanted = Wanted { keys: keys.as_deref(), ..Wanted::default() };
    let fetched = context.registries().run(async |fetcher| fetcher.fetch(&args.origin, wanted).await)?;
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{}.wasm", args.origin.stem())));
    infrahub_sync_durable::write_file(&file, &fetched.component).map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?;
    context.print(|out| writeln!(out, "{}", file.display()))?;
    let signature = match (&fetched.publisher, fetched.release.signature.as_deref().and_then(signer)) {
        (Some(key), _) => format!("signed by the key {key}"),
        (None, Some(key)) => format!("signed by the key {key}, which was not checked: name it with --key"),
        (None, None) => "not signed".to_owned(),
    };
    context.screen.info(&format!("Fetched {}: {}, {signature}", args.origin, fetched.release.digest));
    Ok(Exit::Done)
}
