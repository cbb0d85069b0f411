//! `adopt`: shows the objects of the destination that are not recorded as made by this sync, and takes them over.
//!
//! Both sides are read in full; nothing is written but the record in the cache. Objects that the destination itself records as made by another sync
//! are shown, and stay that sync's.

use std::sync::Arc;

use infrahub_sync_core::diff::diff;
use infrahub_sync_core::key;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::ownership::Recorded;
use infrahub_sync_core::snapshot::{Completeness, KindSnapshot, Snapshot, build};

use super::journal::Book;
use super::{Owners, objects, place_text, take_over};
use crate::adapter::{Access, Opened, Runtimes};
use crate::base::Base;
use crate::compare::{plans, resolving};
use crate::extract::FullReason;
use crate::run::{interruptible, new_run_id, open_cache, take_lock};
use crate::schedule::load;
use crate::targets::Targets;
use crate::{EngineError, RunContext, Side, schema};

/// The objects to adopt.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    /// Only objects of these kinds; of all kinds where there are none.
    pub kinds: Vec<String>,
    /// Also objects that only the destination has. Once adopted they are deleted by the next run that may delete.
    pub unmatched: bool,
    /// Adopt them; else only show them.
    pub adopts: bool,
}

/// The objects of one kind that are not recorded as made by this sync. Names are unique ids.
#[derive(Debug, Clone, Default)]
pub struct KindAdoption {
    /// The kind.
    pub kind: String,
    /// Objects that are recorded as made by this sync.
    pub owned: u64,
    /// Objects that the source has, too.
    pub matched: Vec<String>,
    /// Objects that only the destination has.
    pub unmatched: Vec<String>,
    /// Objects that the destination records as made by another sync.
    pub foreign: u64,
    /// Objects that were adopted now.
    pub adopted: u64,
}

/// Shows the objects that are not recorded as made by this sync, by kind, and adopts them if that is wanted.
///
/// # Errors
/// When a side cannot be read, its objects cannot be identified, a kind is not mapped, or the record cannot be written.
pub async fn adopt(cx: &RunContext<'_>, adoption: &Adoption) -> Result<Vec<KindAdoption>, EngineError> {
    let runtimes = Runtimes::new(cx)?;
    adopt_of(cx, Opened::both(cx, &runtimes, Access::Reads), adoption).await
}

/// As [`adopt`]; `open` opens source and destination.
pub(crate) async fn adopt_of(
    cx: &RunContext<'_>,
    open: impl Future<Output = Result<(Opened, Opened), EngineError>>,
    adoption: &Adoption,
) -> Result<Vec<KindAdoption>, EngineError> {
    let cache = open_cache(cx)?;
    let lock = take_lock(cx, &cache, &new_run_id(cx)?).await?;
    let (source, destination) = open.await?;
    let resolved = schema::of_run(cx.project, &*destination.system, cx.events).await?;
    let model = &resolved.model;
    if let Some(unknown) = adoption.kinds.iter().find(|kind| model.kind(kind).is_none()) {
        let known = model.kinds.iter().map(|kind| kind.name.clone()).collect();
        return Err(EngineError::UnknownKind { kind: unknown.clone(), known });
    }
    let targets = Targets::new(cx.project, model, destination.manifest())?;
    let read = async {
        let source_rows = read_side(cx, Side::Source, &source, model, &targets).await?;
        Ok::<_, EngineError>((source_rows, read_side(cx, Side::Destination, &destination, model, &targets).await?))
    };
    let (source_rows, destination_rows) = interruptible(cx, read).await?;
    source.system.finish()?;
    destination.system.finish()?;
    take_over(cx, &lock, model)?;
    let owners = Owners::read(cx, &lock, &destination.place)?;
    let differences = diff(model, &source_rows, &destination_rows);
    let mut recorded = Recorded::new();
    let mut book = Book::new(objects(&lock)?, place_text(&destination.place));
    let mut adopted = Vec::new();
    for (kind, (spec, found)) in model.kinds.iter().zip(&differences.kinds).enumerate() {
        if spec.lookup || (!adoption.kinds.is_empty() && !adoption.kinds.contains(&spec.name)) {
            continue;
        }
        owners.mark_made(model, &destination_rows, kind, &mut recorded);
        let Some(rows) = destination_rows.kinds.get(kind) else { continue };
        let mut of_kind = KindAdoption { kind: spec.name.clone(), ..KindAdoption::default() };
        let mut only_destination = found.only_destination.iter().peekable();
        for row in 0..u32::try_from(rows.rows()).unwrap_or(u32::MAX) {
            let is_unmatched = only_destination.next_if_eq(&&row).is_some();
            let is_foreign = rows.owner(row as usize).is_some_and(|owner| owner != cx.project.name);
            match (recorded.is_made(kind, row), is_foreign) {
                (true, _) => of_kind.owned += 1,
                (false, true) => of_kind.foreign += 1,
                (false, false) => {
                    let names = if is_unmatched { &mut of_kind.unmatched } else { &mut of_kind.matched };
                    names.push(key::unique_id(rows.keys.get(row as usize)));
                    if adoption.adopts && (adoption.unmatched || !is_unmatched) && take(&mut book, &spec.name, rows, row as usize) {
                        of_kind.adopted += 1;
                    }
                }
            }
        }
        adopted.push(of_kind);
    }
    if adopted.iter().any(|kind| kind.adopted > 0) {
        lock.write_ownership(&book.objects)?;
    }
    Ok(adopted)
}

/// Records an object as this sync's.
fn take(book: &mut Book, kind: &str, rows: &KindSnapshot, row: usize) -> bool {
    let mut text = String::new();
    key::write_key_json(rows.keys.get(row), &mut text);
    let object = book.object(kind, rows.resources.get(row), rows.id(row), &text);
    object.is_some_and(|object| !std::mem::replace(&mut object.made, true))
}

/// Reads one side in full.
async fn read_side(cx: &RunContext<'_>, side: Side, opened: &Opened, model: &Model, targets: &Targets) -> Result<Snapshot, EngineError> {
    let plans = plans(cx, side, opened, model, targets)?;
    let base = Base::none(model, &FullReason::Asked);
    let read = load(cx, side, &opened.system, model, plans, base).await?;
    let partial: Vec<(usize, Arc<str>)> =
        model.kinds.iter().enumerate().filter_map(|(at, kind)| Some((at, read.partial.get(&kind.name)?.as_str().into()))).collect();
    let (mut rows, problems) = build(model, read.raw, resolving(side, opened));
    for (kind, reason) in partial {
        let Some((spec, rows)) = model.kinds.get(kind).zip(rows.kinds.get_mut(kind)) else { continue };
        rows.completeness = Completeness::Partial;
        cx.events.warn(&format!("{side} {}: the answer is incomplete: {reason}", spec.name));
    }
    if side == Side::Source && !problems.is_empty() && !cx.options.continue_on_error {
        return Err(EngineError::Data { side, problems });
    }
    Ok(rows)
}
