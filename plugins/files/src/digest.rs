//! Digests the content of a file as it was read: the watermark of a load.
//!
//! The modification time would be cheaper, but the contract does not show it. A copy, a checkout, or two writes within one tick of the clock
//! keep it or move it without need. The digest need not be cryptographic: a user who may edit the file needs no collision.

use infrahub_sync_adapter::{Error, Page, Result, files};
use twox_hash::XxHash3_128;

/// Bytes in memory at a time; a line that is longer is in memory as a whole.
const PIECE_BYTES: u32 = 4 << 20;
/// The watermark of a destination's file that does not exist.
pub(crate) const NO_FILE: &str = "no file";

/// Returns the digest of a file. It includes the name: the same bytes mean something else in another format.
pub(crate) fn of_file(file: &str) -> Result<String> {
    let mut hash = XxHash3_128::with_seed(0);
    hash.write(file.as_bytes());
    hash.write(b"\n");
    let mut next = Some(0);
    while let Some(offset) = next {
        let (piece, behind) = files::read_lines(file, offset, PIECE_BYTES)?;
        hash.write(&piece.body());
        next = behind;
    }
    Ok(format!("{:032x}", hash.finish_128()))
}

/// Returns the answer to a load since a watermark: no records if the file has not changed. A file does not tell what changed in it.
pub(crate) fn since(since: &str, now: &str, file: &str) -> Result<Page> {
    if since == now { Ok(Page::empty().with_deleted(Vec::new())) } else { Err(Error::unsupported(format!("`{file}` has changed"))) }
}
