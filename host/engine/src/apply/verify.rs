//! Reads the written objects back, after the last commit, and finds the values that the destination did not take.
//!
//! The rows of the plan pass by again. Objects are read by id, as many at a time as a page holds, so memory does not grow with the plan.

use std::collections::{BTreeMap, BTreeSet};

use infrahub_sync_cache::RowState;
use infrahub_sync_config::Converge;
use infrahub_sync_core::change::{Change, PeerRef};
use infrahub_sync_core::converge::{Ineffective, ineffective};
use infrahub_sync_core::key::key_json;
use infrahub_sync_core::plan_row::{Action, PARKING};
use serde_json::Value;

use super::Writer;
use super::readback::ReadBack;
use crate::EngineError;

/// Rows of one kind and list, to be read back together.
type Pending = BTreeMap<(usize, Option<String>), Vec<(String, Change)>>;

impl Writer<'_> {
    /// Reads the written objects back. A destination that cannot be read now was written anyway: that is a warning.
    pub(super) async fn verify(&mut self) -> Result<(), EngineError> {
        let rules = self.job.rules.apply;
        if rules.converge == Some(Converge::Trust) {
            return Ok(());
        }
        let manifest = self.job.system.manifest();
        if !manifest.reads_ids {
            // It is reported only to those who asked for it.
            if rules.converge == Some(Converge::Verify) {
                let name = &manifest.name;
                self.job.events.note(&format!("`converge: verify` has no effect: the adapter `{name}` does not read objects by id"));
            }
            return Ok(());
        }
        match self.read_written(manifest.page_size.max(1) as usize).await {
            Ok(found) => self.report.no_effect(found),
            Err(error) => self.job.events.warn(&format!("the written objects could not be read back: {error}")),
        }
        Ok(())
    }

    async fn read_written(&self, page: usize) -> Result<Vec<Ineffective>, EngineError> {
        let mut found = Vec::new();
        let mut pending = Pending::new();
        for (at, row) in (0..).zip(self.job.plan.plan().read_plan()?) {
            let row = row?;
            if row.action == Action::Delete || row.pass == PARKING || self.ledger.state(at) != RowState::Done {
                continue;
            }
            let Ok(change) = row.into_change(self.job.current.model) else { continue };
            let Some(id) = self.known.id_of(&change.object).or(change.id.as_deref()).map(str::to_owned) else { continue };
            let place = (change.object.kind, change.resource.clone());
            let rows = pending.entry(place.clone()).or_default();
            rows.push((id, change));
            if rows.len() >= page {
                let rows = std::mem::take(rows);
                self.compare(&place, rows, &mut found).await?;
            }
        }
        for (place, rows) in pending {
            self.compare(&place, rows, &mut found).await?;
        }
        Ok(found)
    }

    async fn compare(
        &self,
        (kind, resource): &(usize, Option<String>),
        rows: Vec<(String, Change)>,
        found: &mut Vec<Ineffective>,
    ) -> Result<(), EngineError> {
        let current = self.job.current;
        let mut ids: Vec<String> = rows.iter().map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let Some(list) = ReadBack::of_ids(self.job.system, current, *kind, resource.as_deref(), &ids).await? else { return Ok(()) };
        let run = self.job.plan.plan().id().to_string();
        for (id, change) in rows {
            let Some(row) = list.rows.get(&id) else { continue };
            let id_of = |peer: &PeerRef| self.known.id_of(&peer.object).map(str::to_owned).or_else(|| peer.id.clone());
            for (field, sent, came_back) in ineffective(current.model, &change, (&list.raw, *row), id_of) {
                let key = key_json(&change.object.key);
                let key: Value = serde_json::from_str(&key).unwrap_or_default();
                found.push(Ineffective { kind: change.kind.clone(), key, field, sent, came_back, run: run.clone() });
            }
        }
        Ok(())
    }
}

/// Returns a sentence for each kind and field, with the first object as an example.
pub(crate) fn sentences(found: &[Ineffective]) -> Vec<String> {
    let mut fields: BTreeMap<(&str, &str), (u64, &Ineffective)> = BTreeMap::new();
    for record in found {
        fields.entry((&record.kind, &record.field)).or_insert((0, record)).0 += 1;
    }
    let sentence = |((kind, field), (count, first)): ((&str, &str), (u64, &Ineffective))| {
        format!(
            "{kind}: the destination did not take `{field}` of {count} {}: it was sent {} and has {} (`{}`). The next runs leave this out, until either \
             side changes",
            if count == 1 { "object" } else { "objects" },
            first.sent,
            first.came_back,
            first.object(),
        )
    };
    fields.into_iter().map(sentence).collect()
}

/// Returns the records that later runs need: the earlier ones, and those that were found now.
pub(crate) fn merged(before: Vec<Ineffective>, mut found: Vec<Ineffective>) -> Vec<Ineffective> {
    let place = |record: &Ineffective| (record.kind.clone(), record.key.to_string(), record.field.clone());
    let written: BTreeSet<(String, String, String)> = found.iter().map(place).collect();
    let mut all: Vec<Ineffective> = before.into_iter().filter(|record| !written.contains(&place(record))).collect();
    all.append(&mut found);
    all
}
