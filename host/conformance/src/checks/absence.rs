//! Objects by their ids: reads that are limited to ids, and what an adapter says of objects that a read did not return.

use infrahub_sync_runtime::{Absence, LoadRequest, Target};

use super::not_carried_out;
use super::reading::Lists;
use crate::records::{Record, id, shown};
use crate::report::{Finding, Verdict};
use crate::subject::{Subject, Trouble};

/// Objects that are asked for by id.
const OBJECTS: usize = 2;

/// Returns an id that no object has, in the form of another one.
fn ghost(id: &str) -> String {
    if id.parse::<u64>().is_ok() { i32::MAX.to_string() } else { "00000000-7f3a-4000-8000-000000000000".to_owned() }
}

/// Returns the target of a reading and the ids that are asked for: some of the records, and at the end one that does not exist.
pub(crate) fn sample<'r>(request: &'r LoadRequest, records: &[Record]) -> Option<(&'r Target, Vec<String>)> {
    let mut ids: Vec<String> = records.iter().filter_map(id).take(OBJECTS).collect();
    ids.push(ghost(ids.first()?));
    Some((request.targets.first()?, ids))
}

/// Returns the verdict, or that nothing of it was recorded.
fn ended(findings: Vec<Finding>, missing: Option<String>, tried: usize) -> Verdict {
    match missing {
        Some(reason) if findings.is_empty() && tried == 0 => {
            Verdict::not_checked(format!("this was not recorded ({reason}): `adapter check --record` records it, too"))
        }
        _ if findings.is_empty() && tried == 0 => Verdict::not_checked("no list has records with ids"),
        _ => Verdict::of(findings, format!("{tried} lists")),
    }
}

pub(super) async fn reads_ids(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    const REMEDY: &str = "return the objects with the ids of the request, each whole, and no others";
    if !subject.manifest.reads_ids {
        return Verdict::not_applicable("its reads cannot be limited to ids");
    }
    let (mut findings, mut missing, mut tried) = (Vec::new(), None, 0);
    for reading in &lists.read {
        let (name, records) = (reading.name(), reading.list.records());
        let Some((_, mut ids)) = sample(&reading.request, &records) else { continue };
        ids.pop();
        let attempt = match reading.open(subject).await {
            Ok(opened) => opened.list(&LoadRequest { ids: ids.clone(), ..reading.request.clone() }, None, false).await,
            Err(trouble) => Err(trouble),
        };
        let happened = match attempt {
            Ok(list) => {
                tried += 1;
                let found = list.records();
                let stranger = found.iter().find(|record| id(record).is_none_or(|id| !ids.contains(&id)));
                let lost =
                    records.iter().filter(|record| id(record).is_some_and(|id| ids.contains(&id))).find(|record| !found.contains(record));
                match (stranger, lost) {
                    (Some(stranger), _) => format!("a read of the ids {} returns {}", ids.join(", "), shown(Some(stranger))),
                    (None, Some(lost)) => format!("a read of the ids {} does not return {}", ids.join(", "), shown(Some(lost))),
                    (None, None) => continue,
                }
            }
            Err(Trouble::Missing(reason)) => {
                missing.get_or_insert(reason);
                continue;
            }
            Err(trouble) => match not_carried_out(&trouble) {
                Some(verdict) => return verdict,
                None => trouble.shown(),
            },
        };
        findings.push(Finding::new(format!("{name}: {happened}"), REMEDY));
    }
    ended(findings, missing, tried)
}

pub(super) async fn absent(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    const REMEDY: &str = "return one answer for each id, in their order, and `unknown` where the system does not tell";
    if !(subject.manifest.evidence.change_log || subject.manifest.evidence.permissions) {
        return Verdict::not_applicable("its manifest names no evidence beyond totals");
    }
    let (mut findings, mut missing, mut tried) = (Vec::new(), None, 0);
    for reading in &lists.read {
        let name = reading.name();
        let Some((target, ids)) = sample(&reading.request, &reading.list.records()) else { continue };
        let attempt = match reading.open(subject).await {
            Ok(opened) => opened.absent(target, &ids).await,
            Err(trouble) => Err(trouble),
        };
        match attempt {
            Ok(absences) => {
                tried += 1;
                for (at, (id, absence)) in ids.iter().zip(absences).enumerate() {
                    let happened = match (at + 1 == ids.len(), absence) {
                        (true, Absence::Present) => "is reported as present and does not exist",
                        (false, Absence::Deleted) => "is listed and reported as deleted",
                        _ => continue,
                    };
                    findings.push(Finding::new(format!("the object {id} of {name} {happened}"), REMEDY));
                }
            }
            Err(Trouble::Missing(reason)) => drop(missing.get_or_insert(reason)),
            Err(trouble) => match not_carried_out(&trouble) {
                Some(verdict) => return verdict,
                None => findings.push(Finding::new(format!("{name}: {}", trouble.shown()), REMEDY)),
            },
        }
    }
    ended(findings, missing, tried)
}
