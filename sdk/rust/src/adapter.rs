//! The trait that an author implements.

use crate::{Absence, Dependents, Error, Kind, LoadRequest, Manifest, Outcome, Page, Result, Run, RunResult, Target, WriteRequest};

/// An adapter: its description, and the ways to read and write its system.
///
/// The host makes instances with [`configure`](Adapter::configure), and any of them may serve any call. So nothing that a later call
/// needs may be kept in `self`: state travels in the cursor, or the host keeps it ([`memo`](crate::memo)).
pub trait Adapter: Sized + 'static {
    /// Describes the adapter. No network, no files, no settings: this is the first call of the host.
    fn manifest() -> Manifest;

    /// Receives the settings: the text of one JSON object without the secrets. See [`settings::parse`](crate::settings::parse).
    ///
    /// # Errors
    /// Any mistake in them; the host reports it as an error of config.yml.
    fn configure(settings: &str) -> Result<Self>;

    /// Returns the kinds of the targets, or all kinds when the list is empty. A kind that the system does not have is left out. Only called
    /// when the manifest says [`schema`](Manifest::with_schema).
    ///
    /// # Errors
    /// `unsupported` by default.
    fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        let _ = targets;
        Err(Error::unsupported("this adapter does not know the kinds of its system"))
    }

    /// Reads one page. Nothing is kept between calls.
    ///
    /// # Errors
    /// `unsupported` by default.
    fn load(&self, request: &LoadRequest) -> Result<Page> {
        let _ = request;
        Err(Error::unsupported("this adapter cannot be read"))
    }

    /// Says whether objects that an earlier run read and this one did not are deleted, in the order of the ids. Only called when the
    /// manifest names [`evidence`](Manifest::with_evidence) beyond totals.
    ///
    /// # Errors
    /// `unsupported` by default.
    fn absent(&self, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        let _ = (target, ids);
        Err(Error::unsupported("this adapter has no evidence of deletions"))
    }

    /// Called once before the first write of a run, also when there is nothing to write: the place to remove leftovers of an interrupted
    /// run, and to check what the system would reject. The text, if any, is shown to the user. Does nothing by default.
    ///
    /// # Errors
    /// Any reason why the destination cannot be written.
    fn begin(&self, run: &Run) -> Result<Option<String>> {
        let _ = run;
        Ok(None)
    }

    /// Writes a batch of rows of one target and one operation, and returns one outcome a row, in their order.
    ///
    /// # Errors
    /// Only when the outcome of every row is unknown (and `unsupported` by default): a rejected row is an [`Outcome::Failed`].
    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let _ = request;
        Err(Error::unsupported("this adapter cannot write"))
    }

    /// Makes the [`Outcome::Staged`] rows of these kinds durable. Does nothing by default, which suits an adapter that writes at once.
    ///
    /// # Errors
    /// The reason why none of the rows was written.
    fn commit(&self, kinds: &[String]) -> Result<()> {
        let _ = kinds;
        Ok(())
    }

    /// Returns what a delete of these objects takes along in the system, beyond the ids themselves. Only called for kinds with
    /// [`cascades`](Kind::cascades). Returns nothing by default.
    ///
    /// # Errors
    /// Any failure to find out.
    fn cascade(&self, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        let _ = (target, ids);
        Ok(Vec::new())
    }

    /// Called once after the last commit of a run that completed, also when rows were rejected. The text, if any, is shown to the user.
    /// Does nothing by default.
    ///
    /// # Errors
    /// Anything left undone; the rows stay written.
    fn finish(&self, run: &Run, result: RunResult) -> Result<Option<String>> {
        let _ = (run, result);
        Ok(None)
    }
}
