//! `adapter push`: publishes an adapter in a registry.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use infrahub_sync_base::origin::{OciOrigin, Origin};
use infrahub_sync_registry::{Annotations, CONTRACT, Package, SIGNATURE, SigningKey};
use infrahub_sync_runtime::{Limits, Manifest, metadata};

use crate::builtin;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::examiner::Examiner;
use crate::exit::Exit;
use crate::locate::Place;

/// The arguments of `adapter push`.
#[derive(Debug, Args)]
pub(super) struct AdapterPush {
    /// Component to publish
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,

    /// Repository of a registry: oci://HOST/NAME, which gets the adapter's version as its tag, or oci://HOST/NAME:TAG
    #[arg(value_name = "ORIGIN")]
    origin: Origin,

    /// Further tag that moves to this version, such as 1 or latest; can be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Secret key of the publisher, from `adapter key new` or `minisign -G -W` [default: not signed]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,

    /// Text about the adapter, such as org.opencontainers.image.licenses=MIT; can be repeated
    #[arg(long = "annotation", value_name = "NAME=TEXT", value_parser = annotation)]
    annotations: Vec<(String, String)>,

    /// Replace a version that exists and holds another component
    #[arg(long)]
    replace: bool,
}

fn annotation(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=TEXT")?;
    if name.is_empty() || name == SIGNATURE {
        return Err("this name is not free".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Publishes the adapter.
pub(super) fn run(args: &AdapterPush, context: &Context) -> Result<Exit, CommandError> {
    let Origin::Oci(origin) = &args.origin else {
        let error = CommandError::new(Exit::Usage, format!("`{}` is not a registry", args.origin));
        return Err(error.hint("write `oci://HOST/NAME`; for an address of the web, copy the file and its .minisig there"));
    };
    let key = args.key.as_deref().map(read_key).transpose()?;
    let component = Place::File(args.file.clone()).read(builtin::ALL)?;
    let name = args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (adapter, manifest) = Examiner::new(context)?.examine(&component, &name, &Limits::default())?;
    let tags = tags(args, origin, &manifest)?;
    let mut annotations = annotations(&component, &manifest, adapter.contract());
    annotations.extend(args.annotations.iter().cloned());
    if let Some(key) = &key {
        let comment = format!("infrahub-sync adapter {} {}", manifest.name, manifest.version);
        annotations.insert(SIGNATURE.to_owned(), key.sign(&component, &comment));
    }
    let (imports, exports) = (adapter.imports().to_vec(), adapter.exports().to_vec());
    let package = Package { component: component.into_owned(), imports, exports, annotations };
    let repository = OciOrigin { tag: None, digest: None, ..origin.clone() };
    let fixed: Vec<String> = if args.replace { Vec::new() } else { tags.iter().filter(|tag| is_version(tag)).cloned().collect() };
    let pushed = context.registries().run(async |fetcher| fetcher.push(&repository, &package, &tags, &fixed).await)?;
    context.print(|out| writeln!(out, "{repository}@{}", pushed.manifest))?;
    let signature = key.map_or_else(|| "not signed".to_owned(), |key| format!("signed by the key {}", key.id()));
    let digest = infrahub_sync_runtime::digest(&package.component);
    context.screen.info(&match pushed.tags.as_slice() {
        [] => format!("Up to date: {repository}:{} is {} {}, {digest}", tags.join(", :"), manifest.name, manifest.version),
        tags => format!("Pushed {} {} to {repository}:{}: {digest}, {signature}", manifest.name, manifest.version, tags.join(", :")),
    });
    Ok(Exit::Done)
}

/// Returns the tags that are to name the component. The tag of a version must be the adapter's own.
fn tags(args: &AdapterPush, origin: &OciOrigin, manifest: &Manifest) -> Result<Vec<String>, CommandError> {
    // A `+` of a version is not allowed in a tag; other tools write `_`.
    let version = manifest.version.replace('+', "_");
    let mut tags = vec![origin.tag.clone().unwrap_or_else(|| version.clone())];
    for tag in &args.tags {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    if let Some(digest) = &origin.digest {
        return Err(CommandError::new(Exit::Usage, format!("a push cannot choose the digest `{digest}`: leave it out")));
    }
    for tag in &tags {
        if origin.at_tag(tag).to_string().parse::<Origin>().is_err() {
            return Err(CommandError::new(Exit::Usage, format!("`{tag}` cannot be a tag"))
                .hint("name it with --tag: letters, digits, `.`, `-` and `_`"));
        }
        if is_version(tag) && *tag != version {
            let error = CommandError::new(
                Exit::Usage,
                format!("the tag `{tag}` is the one of another version: the adapter is {}", manifest.version),
            );
            return Err(error.hint(format!("leave the tag out, or build the adapter with version {tag}")));
        }
    }
    Ok(tags)
}

/// Returns whether a tag is that of one version, such as `1.2.0`: it never changes.
fn is_version(tag: &str) -> bool {
    let numbers = tag.split(['-', '_']).next().unwrap_or_default();
    let mut parts = numbers.split('.');
    parts.clone().count() == 3 && parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the texts about an adapter: those that its component holds, and those that it says of itself.
fn annotations(component: &[u8], manifest: &Manifest, contract: &str) -> Annotations {
    let mut annotations = Annotations::new();
    for (name, text) in metadata(component) {
        annotations.insert(format!("org.opencontainers.image.{name}"), text);
    }
    let mut say = |name: &str, text: &str| {
        if !text.is_empty() {
            annotations.insert(name.to_owned(), text.to_owned());
        }
    };
    say("org.opencontainers.image.title", &manifest.name);
    say("org.opencontainers.image.version", &manifest.version);
    say("org.opencontainers.image.description", &manifest.description);
    say(CONTRACT, contract);
    annotations
}

/// Reads a secret key, which no other user may read.
pub(super) fn read_key(file: &Path) -> Result<SigningKey, CommandError> {
    let wrong = |what: String| CommandError::new(Exit::Usage, format!("the key {} cannot be used: {what}", file.display()));
    let metadata = fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > 4096 {
        return Err(wrong("it is not a secret key of minisign".to_owned()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(wrong("other users may read it".to_owned())
                .hint(format!("run `chmod 600 {}`; if others could read it, make a new key", file.display())));
        }
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    SigningKey::read(&text).map_err(|error| wrong(error.to_string()))
}
