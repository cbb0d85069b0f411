//! A loaded adapter: checked against the contract, compiled, not yet running.

use semver::Version;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::OnceCell;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::abilities::Abilities;
use crate::compile::{self, Uncompiled};
use crate::error::{AdapterName, COMPILE, Error, Result};
use crate::guest::bindings::AdapterPre;
use crate::guest::{Grants, HostState, Instance};
use crate::manifest::Manifest;
use crate::private::hex;
use crate::runtime::{CONTRACT_VERSION, Shared};
use crate::session::{Session, SessionConfig};
use crate::settings::{self, SettingProblemKind, SettingsError};
use crate::shape::{self, Surface};
use crate::store;
use crate::usage::Usage;
use infrahub_sync_base::limits::{Limit, Limits};

/// Memory for a self-description: enough for an interpreter to start in, whatever the project allows the adapter later.
const DESCRIBE_MEMORY: u64 = 128 << 20;
/// Bytes of a self-description. Those of the built-in adapters have some kilobytes.
const DESCRIBE_BYTES: u64 = 1 << 20;
/// Milliseconds for a self-description, start included.
const DESCRIBE_TIME_MS: u64 = 10_000;

/// The target of the message that an adapter is being compiled, which is worth a line to a person who waits.
pub const COMPILING: &str = "infrahub_sync_runtime::compiling";
/// Bytes of a component whose compiling a person notices.
const LARGE: usize = 1 << 20;

/// Returns the name of a component: its SHA-256, as `sha256:` and 64 hexadecimal digits.
pub fn digest(component: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(component)))
}

/// A loaded adapter.
#[derive(Clone)]
pub struct Adapter(pub(crate) Arc<Loaded>);

pub(crate) struct Loaded {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pre: AdapterPre<HostState>,
    /// The SHA-256 of the component.
    pub(crate) digest: [u8; 32],
    name: Arc<AdapterName>,
    /// The version of the contract that it was built for.
    contract: String,
    /// The names of what it imports, sorted.
    imports: Vec<String>,
    /// The names of what it exports.
    exports: Vec<String>,
    manifest: OnceCell<Manifest>,
}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Adapter({})", self.0.name)
    }
}

impl Adapter {
    /// Loads a component. `limits`: those of compiling, for a component of someone else.
    pub(crate) fn load(shared: Arc<Shared>, wasm: &[u8], name: AdapterName, limits: Option<&Limits>) -> Result<Self> {
        let compiled_as = Arc::new(name.clone());
        let name = Arc::new(AdapterName { role: None, ..name });
        let incompatible = |reason: String| Error::Incompatible { adapter: name.clone(), reason };
        check_header(wasm).map_err(&incompatible)?;
        let digest = Sha256::digest(wasm).into();
        // A component that was compiled before has passed this.
        let kept = shared.store.as_ref().and_then(|store| store.kept(&shared.engine, &digest));
        let component = match kept {
            Some(component) => Ok(component),
            None => {
                let Surface { imports, exports } = shape::read(wasm).map_err(&incompatible)?;
                check_surface(&imports, &exports).map_err(&incompatible)?;
                compile(&shared, wasm, &digest, limits, &name.name)
            }
        };
        let component = component.map_err(|error| match error {
            Uncompiled::Exceeded(exceeded) => Error::Limit { adapter: compiled_as, call: COMPILE, resource: None, exceeded, failure: None },
            Uncompiled::Damaged(reason) => incompatible(format!("the file is damaged or needs a newer program: {reason}")),
            Uncompiled::Failed(reason) => incompatible(reason),
        })?;
        let (mut imports, exports) = surface(&shared.engine, &component);
        let contract = check_surface(&imports, &exports).map_err(&incompatible)?;
        imports.sort();
        // The remaining case is a type that differs within the same version: a development build of either side.
        let differs =
            |error: wasmtime::Error| incompatible(format!("its interfaces differ from contract {CONTRACT_VERSION}: {}", words(&error)));
        let pre = shared.linker.instantiate_pre(&component).map_err(differs)?;
        let pre = AdapterPre::new(pre).map_err(differs)?;
        Ok(Self(Arc::new(Loaded { shared, pre, digest, name, contract, imports, exports, manifest: OnceCell::new() })))
    }

    /// Returns its name as long as it has not described itself.
    pub fn name(&self) -> String {
        self.0.name.name.clone()
    }

    /// Returns the adapter's description of itself; asks for it once.
    pub async fn describe(&self) -> Result<Manifest> {
        self.0.manifest.get_or_try_init(|| self.ask()).await.cloned()
    }

    /// Returns the SHA-256 of the component, as `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.0.digest))
    }

    /// Returns the version of the contract that it was built for.
    pub fn contract(&self) -> &str {
        &self.0.contract
    }

    /// Returns the names of the interfaces that it imports, sorted. Those beside the contract are WASI's, which is empty.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// Returns the names of the interfaces that it exports.
    pub fn exports(&self) -> &[String] {
        &self.0.exports
    }

    async fn ask(&self) -> Result<Manifest> {
        let mut limits = Limits::default();
        limits.set(Limit::Memory, DESCRIBE_MEMORY);
        limits.set(Limit::CallTime, DESCRIBE_TIME_MS);
        limits.set(Limit::PageSize, DESCRIBE_BYTES);
        let mut instance = Instance::new(&self.0, self.0.name.clone(), Grants::default(), &limits, Arc::new(Usage::new())).await?;
        instance.describe().await
    }

    /// Returns the reach of a session of this configuration. Opens nothing.
    pub async fn abilities(&self, config: &SessionConfig<'_>) -> Result<Abilities> {
        Ok(Abilities::new(&self.describe().await?, config))
    }

    /// Asks a new instance for its description, and checks that it reaches for nothing meanwhile.
    pub async fn describe_anew(&self) -> Result<Manifest> {
        let mut instance =
            Instance::new(&self.0, self.0.name.clone(), Grants::default(), &Limits::default(), Arc::new(Usage::new())).await?;
        let manifest = instance.describe().await?;
        match instance.store.data_mut().take_denial() {
            Some(reason) => Err(Error::Contract { adapter: self.0.name.clone(), call: "describe", reason }),
            None => Ok(manifest),
        }
    }

    /// Checks the settings of one side, without opening it: unknown names, wrong types, missing values. A value that a variable of the environment
    /// may give is not missing: a run may have it. Nothing is said of the settings in `unknown`, whose values are not known here.
    ///
    /// # Errors
    /// All problems at once, or the failure of the description.
    pub async fn check_settings(&self, config: &SessionConfig<'_>, unknown: &[String]) -> Result<()> {
        let manifest = self.describe().await?;
        let name = Arc::new(AdapterName { role: Some(config.role), name: manifest.name.clone(), version: manifest.version.clone() });
        let Err(SettingsError { adapter, mut problems }) = settings::resolve(&config.sources(&manifest), &name, false) else {
            return Ok(());
        };
        problems.retain(|problem| !matches!(&problem.kind, SettingProblemKind::Missing { environment } if !environment.is_empty()));
        problems.retain(|problem| !unknown.contains(&problem.setting));
        if problems.is_empty() { Ok(()) } else { Err(SettingsError { adapter, problems }.into()) }
    }

    /// Opens the adapter for one side of a sync: resolves its settings, grants what they name, and hands them to a first instance.
    pub async fn open(&self, config: SessionConfig<'_>) -> Result<Session> {
        Session::open(self, config).await
    }
}

/// Compiles a component: in a process of its own where there are limits and a program for that.
fn compile(
    shared: &Shared,
    wasm: &[u8],
    digest: &[u8; 32],
    limits: Option<&Limits>,
    name: &str,
) -> std::result::Result<Component, Uncompiled> {
    let damaged = |error: wasmtime::Error| Uncompiled::Damaged(error.root_cause().to_string());
    let (Some(program), Some(limits)) = (&shared.compiler, limits) else {
        let component = match &shared.store {
            Some(store) => store.compile(&shared.engine, wasm, digest),
            None => Component::new(&shared.engine, wasm),
        };
        return component.map_err(damaged);
    };
    if wasm.len() >= LARGE {
        tracing::info!(target: COMPILING, "compiling the adapter `{name}` for this machine; later starts use the result");
    }
    let compiled = compile::in_a_process(program, wasm, limits)?;
    if let Some(store) = &shared.store {
        store.keep(digest, &compiled);
    }
    store::deserialize(&shared.engine, &compiled).map_err(damaged)
}

/// Returns the causes of an error, outermost first.
fn words(error: &wasmtime::Error) -> String {
    error.chain().map(|cause| cause.to_string()).collect::<Vec<_>>().join(": ")
}

/// Checks that a file is a component, not a core module or something else. (Magic, then 16 bits of version and 16 bits of layer.)
fn check_header(wasm: &[u8]) -> std::result::Result<(), String> {
    match wasm.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', ..]) => Err("it is a core WebAssembly module, not a component; build it with the adapter SDK".into()),
        _ => Err("it is not a WebAssembly component".into()),
    }
}

/// Returns the names of a component's imports and exports.
fn surface(engine: &Engine, component: &Component) -> (Vec<String>, Vec<String>) {
    let component_type = component.component_type();
    let imports = component_type.imports(engine).map(|(name, _)| name.to_owned()).collect();
    let exports = component_type.exports(engine).map(|(name, _)| name.to_owned()).collect();
    (imports, exports)
}

const CONTRACT: &str = "infrahub-sync:adapter/";
const IMPORTS: [&str; 5] = ["types", "http", "files", "log", "memo"];
const EXPORTS: [&str; 4] = ["meta", "schema", "source", "destination"];
/// The parts of WASI that are linked, empty: guests in Python, JavaScript and Go cannot start without.
const WASI: [&str; 6] = ["wasi:io/", "wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:random/", "wasi:sockets/"];

/// Compares a component's imports and exports with the contract, and returns its version of it. Further exports are allowed.
fn check_surface(imports: &[String], exports: &[String]) -> std::result::Result<String, String> {
    let of_contract = |names: &[String]| -> Vec<(String, String)> {
        let names = names.iter().filter_map(|name| name.strip_prefix(CONTRACT));
        names.map(|name| name.split_once('@').unwrap_or((name, "")).to_owned()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    };
    let (imported, exported) = (of_contract(imports), of_contract(exports));
    if exported.is_empty() {
        return Err("it is a component, but not an adapter of infrahub-sync: it exports nothing of the contract".into());
    }
    let ours = version(CONTRACT_VERSION)?;
    for (_, theirs) in imported.iter().chain(&exported) {
        if theirs.is_empty() {
            return Err("it was built for a contract without a version: build it with the adapter SDK".into());
        }
        let built_for = version(theirs)?;
        if (built_for.major, built_for.minor) != (ours.major, ours.minor) {
            let supported = format!("{}.{}", ours.major, ours.minor);
            let remedy = match built_for > ours {
                true => "update infrahub-sync".to_owned(),
                false => format!("install a version of the adapter for contract {supported}, or rebuild it with the SDK of {supported}"),
            };
            return Err(format!("it was built for contract {theirs}, and this program supports contract {supported}: {remedy}"));
        }
    }
    if let Some(missing) = EXPORTS.iter().find(|name| !exported.iter().any(|(exported, _)| exported == *name)) {
        return Err(format!("it does not export `{missing}`, which every adapter of contract {CONTRACT_VERSION} has"));
    }
    if let Some((unknown, theirs)) = imported.iter().find(|(name, _)| !IMPORTS.contains(&name.as_str())) {
        return Err(format!(
            "it asks for `{unknown}` of contract {theirs}, which this program ({CONTRACT_VERSION}) does not have: update infrahub-sync"
        ));
    }
    let known = |name: &str| name.starts_with(CONTRACT) || WASI.iter().any(|part| name.starts_with(part));
    if let Some(foreign) = imports.iter().find(|name| !known(name)) {
        return Err(format!("it asks for `{foreign}`, which adapters are not granted"));
    }
    // All have the same major and minor version; the adapter needs the newest of them.
    let newest = imported.iter().chain(&exported).max_by_key(|(_, theirs)| version(theirs).ok());
    Ok(newest.map(|(_, theirs)| theirs.clone()).unwrap_or_default())
}

fn version(text: &str) -> std::result::Result<Version, String> {
    Version::parse(text).map_err(|error| format!("its contract has the version `{text}`, which is invalid: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Runtime, RuntimeOptions};

    fn check(imports: &[&str], exports: &[&str]) -> std::result::Result<String, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        check_surface(&owned(imports), &owned(exports))
    }

    const ALL: [&str; 4] = [
        "infrahub-sync:adapter/meta@0.2.0",
        "infrahub-sync:adapter/schema@0.2.0",
        "infrahub-sync:adapter/source@0.2.0",
        "infrahub-sync:adapter/destination@0.2.0",
    ];

    #[test]
    fn an_adapter_may_export_more_and_import_less() {
        let mut exports = ALL.to_vec();
        exports.extend(["exports", "init"]);
        assert_eq!(check(&["infrahub-sync:adapter/http@0.2.7", "wasi:cli/environment@0.2.9"], &exports).unwrap(), "0.2.7");
        assert_eq!(check(&[], &exports).unwrap(), "0.2.0");
    }

    #[test]
    fn the_older_side_is_named() {
        let told = |version: &str| check(&[], &[&format!("infrahub-sync:adapter/meta@{version}")]).unwrap_err();
        insta::assert_snapshot!(told("0.3.0"), @"it was built for contract 0.3.0, and this program supports contract 0.2: update infrahub-sync");
        insta::assert_snapshot!(told("0.1.0"), @"it was built for contract 0.1.0, and this program supports contract 0.2: install a version of the adapter for contract 0.2, or rebuild it with the SDK of 0.2");
        insta::assert_snapshot!(told("0.2"), @"its contract has the version `0.2`, which is invalid: unexpected end of input while parsing minor version number");
        insta::assert_snapshot!(check(&["infrahub-sync:adapter/sql@0.2.3"], &ALL).unwrap_err(), @"it asks for `sql` of contract 0.2.3, which this program (0.2.0) does not have: update infrahub-sync");
        insta::assert_snapshot!(check(&["wasi:http/outgoing-handler@0.2.0"], &ALL).unwrap_err(), @"it asks for `wasi:http/outgoing-handler@0.2.0`, which adapters are not granted");
        insta::assert_snapshot!(check(&[], &ALL[..3]).unwrap_err(), @"it does not export `destination`, which every adapter of contract 0.2.0 has");
    }

    #[test]
    fn the_surface_is_checked_before_compiling() {
        use wasm_encoder::{CodeSection, Component, Function, FunctionSection, Instruction, Module, ModuleSection, TypeSection};
        // A function that no compiler takes: it has no such variable.
        let (mut types, mut kinds, mut code, mut function) =
            (TypeSection::new(), FunctionSection::new(), CodeSection::new(), Function::new([]));
        types.ty().function([], []);
        kinds.function(0);
        function.instruction(&Instruction::LocalGet(5)).instruction(&Instruction::Drop).instruction(&Instruction::End);
        code.function(&function);
        let (mut module, mut component) = (Module::new(), Component::new());
        module.section(&types).section(&kinds).section(&code);
        component.section(&ModuleSection(&module));
        let error = Runtime::new(RuntimeOptions::default()).unwrap().load_adapter(&component.finish(), "x").unwrap_err();
        insta::assert_snapshot!(error.to_string(), @"adapter `x` cannot be used: it is a component, but not an adapter of infrahub-sync: it exports nothing of the contract");
    }

    #[test]
    fn a_component_of_contract_0_1_gets_the_sentence_about_versions() {
        let component = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/contract-0.1.0.wasm")).unwrap();
        let error = Runtime::new(RuntimeOptions::default()).unwrap().load_adapter(&component, "golden").unwrap_err();
        insta::assert_snapshot!(error.to_string(), @"adapter `golden` cannot be used: it was built for contract 0.1.0, and this program supports contract 0.2: install a version of the adapter for contract 0.2, or rebuild it with the SDK of 0.2");
    }

    #[test]
    fn what_is_no_adapter_is_told_so() {
        let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
        let text = |wasm: &[u8]| runtime.load_adapter(wasm, "x").unwrap_err().to_string();
        insta::assert_snapshot!(text(b"PK"), @"adapter `x` cannot be used: it is not a WebAssembly component");
        insta::assert_snapshot!(text(b"\0asm\x01\0\0\0"), @"adapter `x` cannot be used: it is a core WebAssembly module, not a component; build it with the adapter SDK");
        insta::assert_snapshot!(text(b"\0asm\x0d\0\x01\0"), @"adapter `x` cannot be used: it is a component, but not an adapter of infrahub-sync: it exports nothing of the contract");
    }
}
