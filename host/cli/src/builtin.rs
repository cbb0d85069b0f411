//! The adapters that travel inside of this program.

/// A built-in adapter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Builtin {
    /// The name in `config.yml`.
    pub(crate) name: &'static str,
    /// The component.
    pub(crate) bytes: &'static [u8],
}

/// All of them, sorted by name; see `build.rs`.
pub(crate) static ALL: &[Builtin] = &include!(concat!(env!("OUT_DIR"), "/builtin.rs"));
