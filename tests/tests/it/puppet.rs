//! The guest of the sandbox's tests, which does what a test asks for, for tests of the whole program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use infrahub_sync_tests::binary;

/// The component. Each test process writes the same one.
pub(crate) const PUPPET: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/hostile/puppet.wasm");

/// Builds the component once, and returns its path.
pub(crate) fn puppet() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let component = PathBuf::from(PUPPET);
        std::fs::create_dir_all(component.parent().unwrap()).unwrap();
        let mut build = Command::new(binary().with_file_name("infrahub-sync-build"));
        // The same target folder as the sandbox's tests have: built once for both.
        build.env("CARGO_TARGET_DIR", scratch.join("guest")).arg("component");
        build.arg(here.join("../host/runtime/tests/guest")).arg("-o").arg(&component);
        assert!(build.status().unwrap().success(), "the guest is not built");
        component
    })
}
