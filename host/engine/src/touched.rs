//! What somebody changed in the destination since it was read, asked for right before the first write.
//!
//! A plan that is applied at once was made minutes ago. Where the destination can list what changed since it was read, it is asked once for each
//! kind that is updated or deleted, and only those rows are read; where it cannot, those kinds are read once more. That is before anything is
//! written, so that what this run itself does is not among it.

use std::collections::HashMap;

use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::model::Model;
use infrahub_sync_core::snapshot::{FieldColumn, Held, NOWHERE, Snapshot};
use infrahub_sync_core::value::{Tag, ValueColumn};
use infrahub_sync_runtime::FailureKind;
use serde_json::{Map, Value};

use crate::load::{Opened, destination_feeds};
use crate::pages::Pages;
use crate::{EngineError, Side};

/// The objects of one kind that changed.
pub(crate) struct Touched {
    rows: HashMap<String, usize>,
    raw: RawKind,
    /// These are all objects of the kind, not only those that changed.
    is_all: bool,
}

impl Touched {
    /// Asks for them; for all objects, where the destination does not tell what changed since.
    pub(crate) async fn read(destination: &Opened, model: &Model, kind: usize, since: Option<&str>) -> Result<Touched, EngineError> {
        if let Some(since) = since
            && let Some(touched) = Self::read_since(destination, model, kind, Some(since)).await?
        {
            return Ok(touched);
        }
        let all = Self::read_since(destination, model, kind, None).await?;
        Ok(all.unwrap_or_else(|| Touched { rows: HashMap::new(), raw: RawKind::default(), is_all: false }))
    }

    /// None where the destination cannot tell what changed.
    async fn read_since(destination: &Opened, model: &Model, kind: usize, since: Option<&str>) -> Result<Option<Touched>, EngineError> {
        let Some(plan) = destination_feeds(model).into_iter().nth(kind) else { return Ok(None) };
        let mut request = plan.request(Side::Destination, model, destination.manifest.page_size);
        request.since = since.map(str::to_owned);
        let fields = model.kinds.get(kind).map_or(0, |kind| kind.fields.len());
        let mut raw = RawKind::new(fields);
        let mut pages = Pages::new(destination.session.clone(), Side::Destination, request);
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(EngineError::Adapter(infrahub_sync_runtime::Error::Adapter { failure, .. }))
                    if since.is_some() && failure.kind == FailureKind::Unsupported =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let records = pages.place().records(plan.projection(), page.payload)?;
            for (_, feed) in plan.feeds() {
                let kind = plan.resource.clone();
                feed.append(&records, &mut raw).map_err(|source| EngineError::Mapping { kind, resource: plan.resource.clone(), source })?;
            }
        }
        if let Some(spec) = model.kinds.get(kind) {
            for (field, column) in spec.fields.iter().zip(&mut raw.columns).filter(|(field, _)| field.reference.is_none()) {
                *column = std::mem::take(column).coerced(field.field_type);
            }
        }
        let known = (0..raw.rows).filter(|row| raw.ids.tag(*row) != Tag::Null);
        let rows: HashMap<String, usize> = known.map(|row| (raw.ids.text(row).to_owned(), row)).collect();
        // Without ids nothing can be missed among them.
        let is_all = since.is_none() && rows.len() == raw.rows;
        Ok(Some(Touched { rows, raw, is_all }))
    }

    /// Whether the object of an id is known to be gone.
    pub(crate) fn is_gone(&self, id: &str) -> bool {
        self.is_all && !id.is_empty() && !self.rows.contains_key(id)
    }

    /// The fields of an object (of those in `old`) that are not what the snapshot has, and not what is wanted either, in words.
    pub(crate) fn differences(
        &self,
        model: &Model,
        snapshot: &Snapshot,
        (kind, at, id): (usize, usize, &str),
        old: &Map<String, Value>,
        wanted: &Map<String, Value>,
    ) -> Vec<String> {
        let (Some(row), Some(spec), Some(rows)) = (self.rows.get(id).copied(), model.kinds.get(kind), snapshot.kinds.get(kind)) else {
            return Vec::new();
        };
        let mut differences = Vec::new();
        for (name, was) in old {
            let Some(position) = spec.fields.iter().position(|field| field.name == *name) else { continue };
            let (Some(now), Some(then)) = (self.raw.columns.get(position), rows.fields.get(position)) else { continue };
            let same = match then {
                FieldColumn::Values(then) => {
                    then.same(at, now, row) || (is_null(then, at) && is_null(now, row)) || same_as(now, row, wanted.get(name))
                }
                FieldColumn::Peers(peers) => {
                    let (held, of_row) = peers.peers(at);
                    let mut then: Vec<&str> = Vec::new();
                    let mut known = held != Held::Unresolved;
                    for peer in of_row {
                        match snapshot.kinds.get(peer.kind).filter(|_| peer.row != NOWHERE).and_then(|kind| kind.id(peer.row as usize)) {
                            Some(id) => then.push(id),
                            None => known = false,
                        }
                    }
                    let mut now = ids(now, row);
                    then.sort_unstable();
                    now.sort_unstable();
                    now.dedup();
                    // What led out of the sync before cannot be compared.
                    !known || then == now
                }
            };
            if !same {
                let now = now.to_json(row);
                differences.push(format!("`{name}` is {now} and was {was}"));
            }
        }
        differences
    }
}

fn is_null(column: &ValueColumn, row: usize) -> bool {
    matches!(column.tag(row), Tag::Null | Tag::Missing)
}

fn same_as(column: &ValueColumn, row: usize, wanted: Option<&Value>) -> bool {
    wanted.is_some_and(|wanted| {
        let mut other = ValueColumn::default();
        other.push_json(wanted);
        column.same(row, &other, 0)
    })
}

/// The peers of a row, by id.
fn ids(column: &ValueColumn, row: usize) -> Vec<&str> {
    match column.tag(row) {
        Tag::Id => vec![column.text(row)],
        Tag::Ids => column.text(row).split_terminator('\n').collect(),
        _ => Vec::new(),
    }
}
