//! A compiler for wasm32-unknown-unknown: rustup's target, else Debian's compiler, which builds the standard library itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{Fault, cargo};

/// Where guests run. It has no WASI: what an adapter may do is in the contract.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's packages of the compiler that it keeps current for browsers, and the standard library's source.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// The target folder of Debian's compiler within ours: two compilers in one folder would throw away each other's work.
pub const DEBIAN_TARGET_FOLDER: &str = "guests-debian";

/// How guests are compiled.
pub enum Toolchain {
    /// The compiler of this workspace has the target.
    Own,
    /// Debian's compiler, and rustup's linker.
    Debian {
        /// rust-lld.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Finds a compiler, and installs what is missing.
    pub fn find(say: &dyn Fn(&str)) -> Result<Toolchain, Fault> {
        // INFRAHUB_SYNC_GUEST_TOOLCHAIN=debian takes the second way at once, so that it can be tried where the first works.
        let forced = std::env::var("INFRAHUB_SYNC_GUEST_TOOLCHAIN").is_ok_and(|choice| choice == "debian");
        if !forced {
            if has_target() {
                return Ok(Toolchain::Own);
            }
            say(&format!("the Rust target {TARGET} is missing: rustup target add {TARGET}"));
            let added = Command::new("rustup").args(["target", "add", TARGET]).status();
            if added.is_ok_and(|status| status.success()) && has_target() {
                return Ok(Toolchain::Own);
            }
            say("rustup cannot install it: falling back to Debian's Rust compiler, which builds the standard library itself");
        }
        debian(say)
    }

    /// Returns the command that builds guests. The caller adds the packages.
    pub fn cargo(&self) -> Command {
        match self {
            Toolchain::Own => {
                let mut command = cargo();
                command.args(["build", "--release", "--target", TARGET]);
                command
            }
            Toolchain::Debian { linker } => {
                let command = cargo();
                let environment: Vec<_> = command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
                let mut command = Command::new("/usr/bin/cargo");
                for (name, value) in environment {
                    match value {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
                command
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    // Options that only the other compiler's cargo is asked to know.
                    .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION")
                    .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
                    .env_remove("__CARGO_TEST_CHANNEL_OVERRIDE_DO_NOT_USE_THIS")
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("RUSTC_WRAPPER")
                    .args(["build", "--release", "--target", TARGET, "-Z", "build-std=std,panic_abort"]);
                command
            }
        }
    }

    /// Returns the target folder to build in, when `ours` is the workspace's.
    pub fn target_folder(&self, ours: &Path) -> PathBuf {
        match self {
            Toolchain::Own => ours.to_owned(),
            Toolchain::Debian { .. } => ours.join(DEBIAN_TARGET_FOLDER),
        }
    }
}

/// Returns the folder of the compiler that cargo would use.
pub fn sysroot() -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

/// Returns true if that compiler has a standard library for the guest target.
fn has_target() -> bool {
    sysroot().is_some_and(|sysroot| sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

/// Makes sure that Debian's compiler is there.
fn debian(say: &dyn Fn(&str)) -> Result<Toolchain, Fault> {
    let by_hand = format!("install the target by hand: rustup target add {TARGET}");
    if !Path::new("/usr/bin/rustc").exists() || !Path::new("/usr/bin/cargo").exists() || !debian_sources() {
        let words = format!("apt-get install --yes --option DPkg::Lock::Timeout=600 --no-install-recommends {}", DEBIAN_PACKAGES.join(" "));
        say(&words);
        let mut arguments = words.split(' ');
        let installed = arguments
            .next()
            .map(|program| Command::new(program).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).status());
        if !matches!(installed, Some(Ok(status)) if status.success()) {
            return Err(Fault(format!("`{words}` failed (is this Debian 12, are you root, is `apt-get update` due?); {by_hand}")));
        }
    }
    // Debian's own link to the linker leads nowhere; rustup's compiler brings one.
    let linker = sysroot()
        .map(|sysroot| sysroot.join("lib/rustlib").join(host_triple()).join("bin/rust-lld"))
        .filter(|linker| linker.exists())
        .ok_or_else(|| Fault(format!("no rust-lld was found beside rustc; {by_hand}")))?;
    say(&format!("guests are compiled by {} with a standard library of its own", version("/usr/bin/rustc")));
    Ok(Toolchain::Debian { linker })
}

/// Returns true if the source of the standard library lies where Debian's compiler looks for it.
fn debian_sources() -> bool {
    let sysroot = Command::new("/usr/bin/rustc").args(["--print", "sysroot"]).output();
    sysroot.is_ok_and(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml").exists()
    })
}

/// Returns the version that a compiler prints.
fn version(rustc: &str) -> String {
    let output = Command::new(rustc).arg("--version").output();
    output.map_or_else(|_| rustc.to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the target of this very program: where rustup keeps its linker.
fn host_triple() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" }
}
