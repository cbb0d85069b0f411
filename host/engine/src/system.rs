//! An adapter that is open, as the rest of the engine sees it.
//!
//! Everything behind opening (load, compare, apply) works on [`System`]. A WebAssembly session is one; the tests have another one, in memory and
//! with faults. Calls return boxed futures: one allocation a page or a batch, none a record.

use std::pin::Pin;
use std::time::Duration;

use infrahub_sync_runtime::{
    Absence, Dependents, Error, Kind, LoadRequest, Manifest, Outcome, Page, Result, Run, RunResult, Session, Target, Traffic, Waiting,
    WriteRequest,
};

/// The answer to a call, once it is there.
pub(crate) type Answer<'s, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 's>>;

/// A system that is read or written. Calls may overlap.
pub(crate) trait System: Send + Sync + 'static {
    /// Returns the adapter's description of itself.
    fn manifest(&self) -> &Manifest;
    /// Returns a digest of the adapter and its settings: whatever decides what a read returns.
    fn identity(&self) -> String;
    /// Returns the traffic so far.
    fn traffic(&self) -> Traffic;
    /// Returns the kinds of these targets; all kinds if there are no targets.
    fn kinds<'s>(&'s self, targets: &'s [Target]) -> Answer<'s, Vec<Kind>>;
    /// Reads one page.
    fn load(&self, request: LoadRequest) -> Answer<'_, Page>;
    /// Returns everything that is waited for at this moment.
    fn waits(&self) -> Vec<Waiting>;
    /// Waits before the system is asked again; `why` says for what, as a sentence without a full stop.
    fn rest(&self, time: Duration, why: String) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// Forgets the pages and records of a resource that is read again from its first page: the limits are about one read.
    fn read_again(&self, resource: &str);
    /// Returns the most records that a page may have.
    fn page_records_max(&self) -> usize;
    /// Returns the error for a page with more records than that.
    fn too_many_records(&self, resource: &str) -> Error;
    /// Counts the records of a page against the limit of its resource.
    fn count_records(&self, resource: &str, records: usize) -> Result<()>;
    /// Says of objects that an earlier run had read and this one did not whether they are deleted, in the order of the ids.
    fn absent<'s>(&'s self, target: &'s Target, ids: &'s [String]) -> Answer<'s, Vec<Absence>>;
    /// Returns what a delete of these objects takes along, beyond the objects themselves.
    fn cascade<'s>(&'s self, target: &'s Target, ids: &'s [String]) -> Answer<'s, Vec<Dependents>>;
    /// Announces a run, before its first write.
    fn begin<'s>(&'s self, run: &'s Run) -> Answer<'s, Option<String>>;
    /// Writes a batch: one outcome a row, in their order.
    fn write(&self, request: WriteRequest) -> Answer<'_, Vec<Outcome>>;
    /// Makes the staged rows of these kinds durable.
    fn commit<'s>(&'s self, kinds: &'s [String]) -> Answer<'s, ()>;
    /// Reports that the run has ended, after its last commit.
    fn finish_run<'s>(&'s self, run: &'s Run, result: RunResult) -> Answer<'s, Option<String>>;
    /// Completes a recording, if there is one.
    fn finish(&self) -> Result<()>;
}

impl System for Session {
    fn manifest(&self) -> &Manifest {
        Session::manifest(self)
    }

    fn identity(&self) -> String {
        Session::identity(self)
    }

    fn traffic(&self) -> Traffic {
        Session::traffic(self)
    }

    fn kinds<'s>(&'s self, targets: &'s [Target]) -> Answer<'s, Vec<Kind>> {
        Box::pin(Session::kinds(self, targets))
    }

    fn load(&self, request: LoadRequest) -> Answer<'_, Page> {
        Box::pin(Session::load(self, request))
    }

    fn waits(&self) -> Vec<Waiting> {
        Session::waits(self)
    }

    fn rest(&self, time: Duration, why: String) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Session::rest(self, time, why))
    }

    fn read_again(&self, resource: &str) {
        Session::read_again(self, resource);
    }

    fn page_records_max(&self) -> usize {
        Session::page_records_max(self)
    }

    fn too_many_records(&self, resource: &str) -> Error {
        Session::too_many_records(self, resource)
    }

    fn count_records(&self, resource: &str, records: usize) -> Result<()> {
        Session::count_records(self, resource, records)
    }

    fn absent<'s>(&'s self, target: &'s Target, ids: &'s [String]) -> Answer<'s, Vec<Absence>> {
        Box::pin(Session::absent(self, target, ids))
    }

    fn cascade<'s>(&'s self, target: &'s Target, ids: &'s [String]) -> Answer<'s, Vec<Dependents>> {
        Box::pin(Session::cascade(self, target, ids))
    }

    fn begin<'s>(&'s self, run: &'s Run) -> Answer<'s, Option<String>> {
        Box::pin(Session::begin(self, run))
    }

    fn write(&self, request: WriteRequest) -> Answer<'_, Vec<Outcome>> {
        Box::pin(Session::write(self, request))
    }

    fn commit<'s>(&'s self, kinds: &'s [String]) -> Answer<'s, ()> {
        Box::pin(Session::commit(self, kinds))
    }

    fn finish_run<'s>(&'s self, run: &'s Run, result: RunResult) -> Answer<'s, Option<String>> {
        Box::pin(Session::finish_run(self, run, result))
    }

    fn finish(&self) -> Result<()> {
        Session::finish(self)
    }
}
