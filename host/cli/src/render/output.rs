//! Writing a document to its end.

use std::io::{self, Write};

use serde::Serialize;

/// Why a plan was not printed to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure<E> {
    /// stdout cannot be written.
    #[error("cannot write to stdout")]
    Write(#[from] io::Error),
    /// The plan cannot be read.
    #[error(transparent)]
    Rows(E),
}

/// Writes one JSON document.
pub(crate) fn write_document(out: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    out.write_all(b"\n")
}
