//! Reads one resource: what changed since an earlier run where that is known, else all of it.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use infrahub_sync_cache::MappingReading;
use infrahub_sync_core::changes::{Changes, Deletions};
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::records::{Projection, Records, Shape};
use infrahub_sync_core::value::{Tag, ValueColumn};
use infrahub_sync_runtime::{LoadRequest, Payload};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use crate::base::Since;
use crate::census::reading_of;
use crate::extract::FullReason;
use crate::pages::{Ended, Flow, Header, Pages, Place, sample, unchecked};
use crate::plans::{Part, ResourcePlan};
use crate::reread::repeated;
use crate::system::System;
use crate::tally::Tally;
use crate::{EngineError, Side};

/// How far a mapping is.
pub(crate) struct Progress {
    /// The kind's position in the model.
    pub(crate) kind: usize,
    /// The records that were read so far.
    pub(crate) read: u64,
    /// The records that there are, if the system tells it.
    pub(crate) total: Option<u64>,
    pub(crate) is_finished: bool,
}

/// The result of reading a resource.
pub(crate) struct Read {
    /// The kinds that it feeds, each once.
    pub(crate) kinds: Vec<usize>,
    pub(crate) parts: Vec<Part>,
    /// The counts of each mapping.
    pub(crate) census: Vec<MappingReading>,
    pub(crate) watermark: Option<String>,
    /// Why the records are not complete, if the adapter says so, or contradicts itself.
    pub(crate) partial: Option<String>,
    /// The number of records that the system reports, where as many were read.
    pub(crate) total: Option<u64>,
    /// The hashes of the ids of all records of the source, sorted, when everything was read.
    pub(crate) seen: Vec<u64>,
    /// Set when only what changed was read.
    pub(crate) changes: Option<Changes>,
    /// Why it was read in full although an earlier run was there.
    pub(crate) reason: Option<FullReason>,
    /// When the reading began.
    pub(crate) at: Timestamp,
}

/// A resource that is about to be read.
pub(crate) struct Resource {
    pub(crate) side: Side,
    pub(crate) system: Arc<dyn System>,
    /// The request for the first page of all records.
    pub(crate) request: LoadRequest,
    pub(crate) plan: Arc<ResourcePlan>,
    /// Where an incremental run continues.
    pub(crate) since: Option<Since>,
    /// The reason for which an incremental run reads it in full anyway.
    pub(crate) in_full: Option<FullReason>,
    pub(crate) progress: UnboundedSender<Progress>,
    pub(crate) now: fn() -> SystemTime,
    /// Notified when the first request is answered.
    pub(crate) answered: Arc<Notify>,
}

/// A list as it was read so far.
struct Whole {
    sample: Vec<serde_json::Value>,
    rows: Vec<RawKind>,
    tally: Tally,
}

/// The result of a list of changes so far.
struct Changed {
    ids: HashSet<String>,
    rows: Vec<RawKind>,
    /// A record had no id.
    without_ids: bool,
}

impl Resource {
    /// Reads what changed, where that is known, else everything.
    ///
    /// # Errors
    /// When the system cannot be read.
    pub(crate) async fn read(mut self) -> Result<Read, EngineError> {
        // Before the first request: what is asked for is shown from now on.
        self.report(&self.plan.empty(), None, false);
        let mut reason = self.in_full.take();
        if let Some(since) = self.since.take() {
            match self.read_changes(since).await? {
                Ok(read) => return Ok(read),
                Err(why) => reason = Some(why),
            }
        }
        Ok(Read { reason, ..self.read_all().await? })
    }

    fn moment(&self) -> Timestamp {
        Timestamp::try_from((self.now)()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn pages(&self, request: LoadRequest) -> Pages {
        Pages::new(self.system.clone(), self.side, request).notifying(self.answered.clone())
    }

    /// Reads what changed since. The inner error says why that is not known.
    async fn read_changes(&self, since: Since) -> Result<Result<Read, FullReason>, EngineError> {
        let (plan, at) = (self.plan.clone(), self.moment());
        let pages = self.pages(LoadRequest { since: Some(since.watermark.clone()), ..self.request.clone() });
        let changed = || Changed { ids: HashSet::new(), rows: self.plan.empty(), without_ids: false };
        let take = move |into: &mut Changed, place: &Place, payload: Payload| -> Flow {
            let records = place.records(plan.projection(), payload)?;
            let ids = plan.feeds().first().and_then(|each| each.feed.record_ids(&records));
            if !collect_ids(ids, &records, &mut into.ids) {
                into.without_ids = true;
                return Ok(ControlFlow::Break(()));
            }
            plan.append(&records, &mut into.rows)?;
            Ok(ControlFlow::Continue(()))
        };
        let (mut header, Changed { ids, rows, without_ids }) = match pages.read(changed, take, |_, _, _| (), unchecked).await? {
            Ended::Read(header, changed) => (header, changed),
            Ended::Declined(reason) => return Ok(Err(FullReason::Other(reason))),
        };
        if without_ids {
            return Ok(Err(FullReason::NoIds));
        }
        let Some(watermark) = header.watermark.take() else { return Ok(Err(FullReason::NoWatermark)) };
        // Only where each record is a row does their number say something.
        let is_whole = self.plan.feeds().len() == 1 && self.plan.feeds().iter().all(|each| !each.feed.filters_records());
        let mut partial = header.doubt().or_else(|| self.plan.doubt());
        let deletions = match Deletions::of_answer(&since.ids, &ids, header.deleted, header.total, is_whole) {
            Some(deletions) if deletions.contradict(&since.ids, &ids, header.total.filter(|_| is_whole)) => {
                return Ok(Err(FullReason::Contradiction));
            }
            Some(deletions) => deletions,
            None => match self.inventory().await? {
                (Some(ids), doubt) => {
                    partial = partial.or(doubt);
                    Deletions::AllBut(ids)
                }
                (None, _) => return Ok(Err(FullReason::NoIds)),
            },
        };
        self.report(&rows, None, true);
        let changes = Some(Changes { changed: ids, deletions });
        let census = self.census(&rows, None);
        let (kinds, parts) = (self.plan.kinds(), self.plan.parts(rows));
        let (watermark, seen) = (Some(watermark), Vec::new());
        Ok(Ok(Read { kinds, parts, census, watermark, partial, total: None, seen, changes, reason: None, at }))
    }

    /// Reads the ids of all objects, none if an object has no id; and why they may not be all.
    async fn inventory(&self) -> Result<(Option<HashSet<String>>, Option<String>), EngineError> {
        let mut projection = Projection::default();
        let slot = projection.slot("id", Shape::Value);
        let check = |header: &Header, ids: &Option<HashSet<String>>| {
            let tally = ids.iter().flatten().map(String::as_str).collect::<Tally>();
            ids.as_ref().and_then(|_| tally.contradiction(&self.plan.resource, header))
        };
        let pages = self.pages(LoadRequest { fields: vec!["id".to_owned()], targets: Vec::new(), ..self.request.clone() });
        let take = move |into: &mut Option<HashSet<String>>, place: &Place, payload: Payload| -> Flow {
            let records = place.records(&projection, payload)?;
            let column = records.columns.get(slot).filter(|column| column.len() == records.rows);
            let complete = into.as_mut().is_some_and(|ids| collect_ids(column, &records, ids));
            if !complete {
                *into = None;
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        };
        match pages.read(|| Some(HashSet::new()), take, |_, _, _| (), check).await? {
            Ended::Read(mut header, ids) => Ok((ids, header.doubt())),
            Ended::Declined(_) => Ok((None, None)),
        }
    }

    /// Reads all pages.
    async fn read_all(self) -> Result<Read, EngineError> {
        let at = self.moment();
        let plan = self.plan.clone();
        let side = self.side;
        let take = move |into: &mut Whole, place: &Place, payload: Payload| -> Flow {
            if side == Side::Source && into.sample.is_empty() {
                into.sample = sample(&payload);
            }
            let lines = into.rows.first().map_or(0, |rows| rows.census.lines());
            let records = place.records_behind(plan.projection(), payload, lines)?;
            into.tally.add(plan.feeds().first().and_then(|each| each.feed.record_ids(&records)), &records);
            plan.append(&records, &mut into.rows)?;
            Ok(ControlFlow::Continue(()))
        };
        let pages = self.pages(self.request.clone());
        let empty = || Whole { sample: Vec::new(), rows: self.plan.empty(), tally: Tally::default() };
        let report = |whole: &Whole, total, is_last| self.report(&whole.rows, total, is_last);
        match pages.read(empty, take, report, |header, whole| self.contradiction(header, whole)).await? {
            Ended::Read(mut header, Whole { sample, rows, tally }) => Ok(Read {
                census: self.census(&rows, Some(&sample)),
                kinds: self.plan.kinds(),
                parts: self.plan.parts(rows),
                total: header.total.filter(|_| header.contradiction.is_none()),
                partial: header.doubt().or_else(|| self.plan.doubt()),
                // Only of the source an object can be missing that an earlier run had read.
                seen: if self.side == Side::Source { tally.into_ids() } else { Vec::new() },
                watermark: header.watermark,
                changes: None,
                reason: None,
                at,
            }),
            // Only a request for changes can be declined.
            Ended::Declined(reason) => Err(EngineError::Internal(reason)),
        }
    }

    /// Returns why the records of a full read may not be all, as far as the pages show it. Further contradictions belong here: each costs one further
    /// read, and makes the kinds partial if it stays.
    fn contradiction(&self, header: &Header, Whole { rows, tally, .. }: &Whole) -> Option<String> {
        if let Some(contradiction) = tally.contradiction(&self.plan.resource, header) {
            return Some(contradiction);
        }
        // A list that is not asked for over a network is read as it is: who repeats an id there means it. Nor is a record missing where there are
        // as many as the system reports.
        if header.pages < 2 || header.total.is_some() || self.system.manifest().address_setting.is_none() {
            return None;
        }
        // Records that came twice say that the list moved.
        let most = rows.iter().map(repeated).max().filter(|most| *most > 0)?;
        Some(format!("{most} records stood on two pages"))
    }

    /// Returns what the mappings made of the records of the source. `sample`: the first records, if all were read.
    fn census(&self, rows: &[RawKind], sample: Option<&[serde_json::Value]>) -> Vec<MappingReading> {
        match self.side {
            Side::Source => {
                self.plan.feeds().iter().zip(rows).map(|(feed, rows)| reading_of(feed, &self.plan.resource, rows, sample)).collect()
            }
            Side::Destination => Vec::new(),
        }
    }

    fn report(&self, rows: &[RawKind], total: Option<u64>, is_finished: bool) {
        for (each, raw) in self.plan.feeds().iter().zip(rows) {
            // A listener that is gone is no reason to stop.
            let _ = self.progress.send(Progress { kind: each.feed.kind, read: raw.census.read(), total, is_finished });
        }
    }
}

/// Collects the ids of a page's records; false if a record has none.
fn collect_ids(column: Option<&ValueColumn>, records: &Records, ids: &mut HashSet<String>) -> bool {
    (0..records.rows).all(|row| match column.filter(|ids| ids.tag(row) != Tag::Null && ids.tag(row) != Tag::Missing) {
        Some(column) => {
            ids.insert(column.text(row).to_owned());
            true
        }
        None => false,
    })
}
