//! The trait that an author implements.

use crate::{Error, Kind, LoadRequest, Manifest, Outcome, Page, Result, Run, RunResult, WriteRequest};

/// An adapter: what it is, and how its system is read and written.
///
/// The host makes an instance with [`configure`](Adapter::configure) and may make several; any of them may be asked for
/// any page. So nothing that a later call needs may be kept in `self`: state travels in the cursor, or is kept by the host
/// ([`memo`](crate::memo)).
pub trait Adapter: Sized + 'static {
    /// Describes the adapter. No network, no files, no settings: this is the first thing the host asks.
    fn manifest() -> Manifest;

    /// Takes the settings: the text of one JSON object without the secrets. See [`settings::parse`](crate::settings::parse).
    ///
    /// # Errors
    /// Whatever is wrong with them; the host shows it as an error of config.yml.
    fn configure(settings: &str) -> Result<Self>;

    /// The kinds named, or all when `names` is empty; an unknown name is left out. Only called when the manifest says
    /// [`schema`](Manifest::with_schema).
    ///
    /// # Errors
    /// `unsupported`, unless the adapter says otherwise.
    fn kinds(&self, names: &[String]) -> Result<Vec<Kind>> {
        let _ = names;
        Err(Error::unsupported("this adapter does not know the kinds of its system"))
    }

    /// Reads one page. Nothing is kept between calls.
    ///
    /// # Errors
    /// `unsupported`, unless the adapter says otherwise.
    fn load(&self, request: &LoadRequest) -> Result<Page> {
        let _ = request;
        Err(Error::unsupported("this adapter cannot be read"))
    }

    /// Called once before the first write of a run, also when there is nothing to write: the place to clear away what an
    /// interrupted run left, and to find out what would be refused. The text, if there is one, is told to the user. Does nothing
    /// by itself.
    ///
    /// # Errors
    /// What keeps the destination from being written at all.
    fn begin(&self, run: &Run) -> Result<Option<String>> {
        let _ = run;
        Ok(None)
    }

    /// Writes a batch of rows of one kind and one operation, and answers one outcome a row, in their order.
    ///
    /// # Errors
    /// Only when nothing is known about any row (and `unsupported`, unless the adapter says otherwise): a refused row is an
    /// [`Outcome::Failed`].
    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let _ = request;
        Err(Error::unsupported("this adapter cannot write"))
    }

    /// Makes the rows of these kinds durable that were answered as [`Outcome::Staged`]. An adapter that writes at once has
    /// nothing to do here, which is what happens by itself.
    ///
    /// # Errors
    /// What kept the rows from being written; then none of them was.
    fn commit(&self, kinds: &[String]) -> Result<()> {
        let _ = kinds;
        Ok(())
    }

    /// Called once after the last commit of a run that came to its end, also when rows were refused. The text, if there is one, is
    /// told to the user. Does nothing by itself.
    ///
    /// # Errors
    /// What was left undone; the rows are written all the same.
    fn finish(&self, run: &Run, result: RunResult) -> Result<Option<String>> {
        let _ = (run, result);
        Ok(None)
    }
}
