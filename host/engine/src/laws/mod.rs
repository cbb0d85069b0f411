//! The laws of a sync: properties over random networks, with a source and a destination in memory and the cache on the disk.
//!
//! The stages are the real ones, from loading to the journal; only the systems are not. Law by law: what may happen to a run, and what must be true
//! when the next one is done.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod answers;
mod deletes;
mod lists;
mod memory;
mod ownership;
mod statements;
mod undo;
mod unique;
mod world;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use infrahub_sync_base::Side;
use infrahub_sync_config::{ApplyOverrides, Flags, OnConflict, Project};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_runtime::Exchanges;
use proptest::prelude::*;
use serde_json::json;

use self::memory::{Behaviour, Edit, Faults, MemorySystem, Net, Object, Schema, To, normal, to};
use self::world::{loops, net, project};
use crate::adapter::Opened;
use crate::apply::FailureReason;
use crate::{AdapterSource, Applied, Drift, EngineError, Events, Options, Outcomes, Run, RunContext, Stop, Undone, pipeline};

struct Silence;

impl Events for Silence {
    fn loading(&self, _: Side, _: &str, _: u64, _: Option<u64>) {}
    fn loaded(&self, _: Side, _: &str, _: u64) {}
    fn writing(&self, _: &str, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn waiting_for_lock(&self, _: &str) {}
}

const OPTIONS: Options = Options {
    concurrent_load: true,
    full_extract: true,
    parallel: true,
    allow_rowcount_drop: true,
    continue_on_error: false,
    rules: ApplyOverrides { max_deletes: None, max_failures: None, on_conflict: None },
    lock_wait: Duration::ZERO,
    plan_digest: None,
};

/// Returns a folder for a cache: in memory where the machine has such a place, since the disk takes most of the time.
fn cache() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Two systems and the cache of their sync.
struct Pair {
    project: Project,
    source: Arc<MemorySystem>,
    destination: Arc<MemorySystem>,
    cache: tempfile::TempDir,
    options: Options,
    runs: usize,
}

enum Command {
    Sync,
    Diff,
    Apply,
    /// Takes a run back.
    Undo(String),
    /// Compares the destination with its state after a run.
    Drift,
}

/// The result of a command that was not killed.
enum Done {
    Applied(Applied),
    Planned(Run),
    Undone(Undone),
    Drifted(Drift),
}

impl Pair {
    fn new(a: &Net, b: &Net, behaviour: Behaviour) -> Pair {
        Pair::of(project(), a, b, behaviour, Schema::default())
    }

    /// Returns the same for another project; the schema is the destination's.
    fn of(project: Project, a: &Net, b: &Net, behaviour: Behaviour, schema: Schema) -> Pair {
        let loops = loops(&project);
        Pair {
            project,
            source: MemorySystem::new("source", a, behaviour.clone(), loops.clone(), Schema::default()),
            destination: MemorySystem::new("destination", b, behaviour, loops, schema),
            cache: cache(),
            options: OPTIONS,
            runs: 0,
        }
    }

    /// Runs a command; none if it was killed. The runtime dies with it, and with it whatever was in flight.
    fn run(&self, command: Command, run_id: &str) -> Option<Result<Done, EngineError>> {
        self.with_context(run_id, async |cx, opened| {
            let both = async { Ok((opened(&self.source), opened(&self.destination))) };
            let work = async {
                match command {
                    Command::Sync => pipeline::sync_of(cx, both, &mut |_| Ok(())).await.map(Done::Applied),
                    Command::Diff => pipeline::diff_of(cx, both).await.map(Done::Planned),
                    Command::Undo(of) => crate::undo::undo_of(cx, &of, async { Ok(opened(&self.destination)) }).await.map(Done::Undone),
                    Command::Drift => crate::drift::drift_of(cx, async { Ok(opened(&self.destination)) }).await.map(Done::Drifted),
                    Command::Apply => pipeline::apply_of(cx, async { Ok(opened(&self.destination)) }).await.map(Done::Applied),
                }
            };
            tokio::select! {
                done = work => Some(done),
                () = self.source.killed.notified() => None,
                () = self.destination.killed.notified() => None,
            }
        })
    }

    /// Calls the engine with both systems.
    fn with_context<T>(&self, run_id: &str, action: impl AsyncFnOnce(&RunContext<'_>, &dyn Fn(&Arc<MemorySystem>) -> Opened) -> T) -> T {
        let adapter = || AdapterSource { name: String::new(), bytes: Cow::Borrowed(&[]), origin: String::new(), published: None };
        let stop = Stop::default();
        let cx = RunContext {
            project: &self.project,
            source: Some(adapter()),
            destination: adapter(),
            command_line: BTreeMap::new(),
            environment: &|_| None,
            cache_root: self.cache.path().to_owned(),
            component_store: None,
            compiler: None,
            memo_store: None,
            exchanges: Exchanges::Live,
            run_id: Some(run_id.to_owned()),
            options: self.options,
            events: &Silence,
            stop: &stop,
            now: || SystemTime::UNIX_EPOCH,
        };
        let opened = |system: &Arc<MemorySystem>| Opened { system: system.clone(), digest: String::new(), place: BTreeMap::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(action(&cx, &opened))
    }

    fn next_id(&mut self) -> String {
        self.runs += 1;
        format!("run-{}", self.runs)
    }

    /// Syncs without faults.
    fn sync(&mut self) -> Applied {
        let id = self.next_id();
        match self.run(Command::Sync, &id) {
            Some(Ok(Done::Applied(applied))) => applied,
            Some(Err(error)) => panic!("{error}: {:?}", error.details()),
            _ => panic!("killed"),
        }
    }

    fn diff(&mut self) -> Run {
        let id = self.next_id();
        match self.run(Command::Diff, &id) {
            Some(Ok(Done::Planned(run))) => run,
            Some(Err(error)) => panic!("{error}: {:?}", error.details()),
            _ => panic!("killed"),
        }
    }

    fn apply(&self, run_id: &str) -> Applied {
        match self.run(Command::Apply, run_id) {
            Some(Ok(Done::Applied(applied))) => applied,
            Some(Err(error)) => panic!("{error}: {:?}", error.details()),
            _ => panic!("killed"),
        }
    }

    fn has_plan(&self, id: &str) -> bool {
        self.cache.path().join("world").join(id).join("plan.parquet").exists()
    }

    /// Asserts that the destination equals the source, and that no rule was broken on the way.
    fn assert_in_sync(&mut self) {
        assert_eq!(self.destination.state().violations, Vec::<String>::new());
        assert_eq!(self.destination.net(), self.source.net());
        assert_eq!(rows(&self.diff()), Vec::<PlanRow>::new(), "a second run plans nothing");
    }
}

/// Returns all objects, with their kinds and unique ids.
fn all(net: &Net) -> impl Iterator<Item = (&String, &String, &Object)> {
    net.iter().flat_map(|(kind, objects)| objects.iter().map(move |(uid, object)| (kind, uid, object)))
}

fn rows(run: &Run) -> Vec<PlanRow> {
    run.rows().unwrap().map(Result::unwrap).collect()
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    (any::<bool>(), any::<bool>(), 1u32..6, 1u32..6, 1u32..5, 0usize..3, any::<u64>(), any::<bool>(), any::<bool>()).prop_map(
        |(has_ids, stages, page_size, batch_max, concurrency, overlap, late, changes, reads_ids)| Behaviour {
            has_ids: has_ids && !stages,
            stages,
            page_size,
            batch_max,
            concurrency,
            // Without ids a record that comes twice is two objects.
            overlap: if has_ids && !stages { overlap } else { 0 },
            late,
            changes,
            wobbles: false,
            counts_late: false,
            reads_ids,
            cascades: Vec::new(),
            only_counts: false,
        },
    )
}

/// Returns the objects of a kind that both networks have.
fn common(a: &Net, b: &Net, kind: &str) -> Vec<String> {
    let (Some(a), Some(b)) = (a.get(kind), b.get(kind)) else { return Vec::new() };
    a.keys().filter(|uid| b.contains_key(*uid)).cloned().collect()
}

/// Returns how often a law is tried. `INFRAHUB_SYNC_LAWS` multiplies that, for a longer search.
fn config(cases: u32) -> ProptestConfig {
    let times: u32 = std::env::var("INFRAHUB_SYNC_LAWS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    ProptestConfig { cases: cases * times, max_global_rejects: 1024 * times, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn applied_plan_reproduces_the_source(a in net(), b in net(), behaviour in behaviour()) {
        let mut pair = Pair::new(&a, &b, behaviour);
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        pair.assert_in_sync();
    }

    #[test]
    fn applied_plan_stays_within_policy(a in net(), b in net(), behaviour in behaviour(), flags in any::<(bool, bool, bool)>()) {
        let (create, update, delete) = flags;
        let mut pair = Pair::new(&a, &b, behaviour);
        pair.project.flags = Flags { create, update, delete };
        pair.sync();
        let (a, b, after) = (pair.source.net(), normal(b), pair.destination.net());
        let has = |net: &Net, (kind, uid): &To| net.get(kind).is_some_and(|objects| objects.contains_key(uid));
        for (kind, uid, object) in all(&a) {
            let there = has(&b, &to(kind, uid));
            prop_assert_eq!(has(&after, &to(kind, uid)), there || create, "{} {}", kind, uid);
            if there && !update || !there && !create {
                continue;
            }
            let mut wanted = object.clone();
            let mut now = after[kind][uid].clone();
            if !create {
                // References to what is not created stay as they are.
                let known = |peer: &To| has(&b, peer);
                let unknown = |field: &String| !object.one.get(field).is_none_or(known) || !object.many.get(field).is_none_or(|peers| peers.iter().all(known));
                for object in [&mut wanted, &mut now] {
                    object.one.retain(|field, _| !unknown(field));
                    object.many.retain(|field, _| !unknown(field));
                }
            }
            prop_assert_eq!(now, wanted, "{} {}", kind, uid);
        }
        for (kind, uid, _) in all(&b).filter(|(kind, uid, _)| !has(&a, &to(kind, uid))) {
            // What an object refers to that stays is not deleted.
            let needed = all(&after).any(|(other, name, object)| (other, name) != (kind, uid) && object.refers_to(&to(kind, uid)));
            prop_assert_eq!(has(&after, &to(kind, uid)), !delete || needed, "{} {}", kind, uid);
        }
        prop_assert_eq!(rows(&pair.diff()), Vec::<PlanRow>::new(), "a second run plans nothing");
    }

    #[test]
    fn report_does_not_depend_on_batches_and_answers(a in net(), b in net(), one in behaviour(), other in behaviour(), rejected in any::<prop::sample::Index>()) {
        // Whatever the destination rejects, the same rows wait for it.
        let all: Vec<_> = a.iter().flat_map(|(kind, objects)| objects.keys().map(move |uid| to(kind, uid))).collect();
        prop_assume!(!all.is_empty());
        let rejected = all[rejected.index(all.len())].clone();
        let results: Vec<(Outcomes, Vec<String>, Net)> = [one, other].into_iter().map(|behaviour| {
            let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
            pair.destination.fail(Faults { rejected: [rejected.clone()].into(), ..Faults::default() });
            let applied = pair.sync();
            let failures = applied.failures.iter().map(|failure| format!("{} {}: {}", failure.kind, failure.unique_id, failure.reason));
            (applied.counts, failures.collect(), pair.destination.net())
        }).collect();
        prop_assert_eq!(&results[0], &results[1]);
    }

    #[test]
    fn rejected_rows_are_tried_again(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>()) {
        let all: Vec<_> = a.iter().flat_map(|(kind, objects)| objects.keys().map(move |uid| to(kind, uid))).collect();
        prop_assume!(!all.is_empty());
        let mut pair = Pair::new(&a, &b, behaviour);
        let rejected = [all[pick.index(all.len())].clone()].into();
        pair.destination.fail(Faults { rejected, ..Faults::default() });
        pair.sync();
        pair.destination.fail(Faults::default());
        let again = pair.apply("run-1");
        prop_assert_eq!(again.counts.not_written(), 0, "{:?}", again.failures);
        pair.assert_in_sync();
    }

    #[test]
    fn killed_apply_resumes_and_loses_nothing(a in net(), b in net(), behaviour in behaviour(), kills in prop::collection::vec((0u64..40, any::<bool>()), 1..4)) {
        let mut pair = Pair::new(&a, &b, behaviour);
        let id = pair.next_id();
        let mut done = false;
        for kill in kills {
            pair.destination.fail(Faults { kill: Some(kill), ..Faults::default() });
            let ended = pair.run(if pair.has_plan(&id) { Command::Apply } else { Command::Sync }, &id);
            if let Some(ended) = ended {
                // The call was never made.
                prop_assert!(ended.is_ok(), "{:?}", ended.err());
                done = true;
                break;
            }
        }
        pair.destination.fail(Faults::default());
        if !done && pair.has_plan(&id) {
            let applied = pair.apply(&id);
            prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        } else if !done {
            pair.sync();
        }
        pair.assert_in_sync();
    }

    #[test]
    fn what_another_user_modified_after_the_plan_is_left_and_reported(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>(), overwrite: bool) {
        let mut pair = Pair::new(&a, &b, behaviour);
        let devices = common(&normal(a.clone()), &normal(b.clone()), "Device");
        prop_assume!(!devices.is_empty());
        let device = to("Device", &devices[pick.index(devices.len())]);
        let run = pair.diff();
        let planned = rows(&run).iter().any(|row| row.resource == "Device" && row.attribute.as_deref().is_some_and(|names| names.split(',').any(|name| name == "serial")) && row.source_id == device.1.replace('@', "__"));
        pair.destination.state().edit(Edit::Set(device.clone(), "serial", json!("edited")), "destination");
        if overwrite {
            pair.options.rules.on_conflict = Some(OnConflict::Overwrite);
        }
        let applied = pair.apply(&run.run_id);
        let serial = pair.destination.net()["Device"][&device.1].values.get("serial").cloned();
        let is_conflict = |failure: &crate::Failure| matches!(failure.reason, FailureReason::Conflict(_));
        if planned && !overwrite {
            prop_assert_eq!(serial, Some(json!("edited")));
            prop_assert!(applied.failures.iter().any(is_conflict), "{:?}", applied.failures);
            prop_assert!(applied.failures.iter().all(|failure| is_conflict(failure) || matches!(failure.reason, FailureReason::Skipped(_))), "{:?}", applied.failures);
        } else {
            prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
            let wanted = if planned { pair.source.net()["Device"][&device.1].values.get("serial").cloned() } else { Some(json!("edited")) };
            prop_assert_eq!(serial, wanted);
        }
        // The next run sees the edit, and the source decides.
        pair.sync();
        pair.assert_in_sync();
    }

    #[test]
    fn sync_sees_what_another_user_modifies_while_it_runs(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>()) {
        // Objects without ids cannot be told apart between two reads.
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
        let devices = common(&normal(a.clone()), &normal(b.clone()), "Device");
        prop_assume!(!devices.is_empty());
        let device = to("Device", &devices[pick.index(devices.len())]);
        let run = pair.diff();
        let planned = rows(&run).iter().any(|row| row.action == Action::Update && row.pass == 0 && row.resource == "Device" && row.source_id == device.1.replace('@', "__") && row.attribute.as_deref().is_some_and(|names| names.split(',').any(|name| name == "serial")));
        // The last page was read, and `begin` is next.
        let reads = pair.destination.state().calls;
        let edits = [(reads, vec![Edit::Set(device.clone(), "serial", json!("edited"))])].into();
        pair.destination.fail(Faults { edits, ..Faults::default() });
        let applied = pair.sync();
        let serial = pair.destination.net()["Device"][&device.1].values.get("serial").cloned();
        prop_assert_eq!(serial, Some(json!("edited")));
        prop_assert_eq!(applied.counts.failed > 0, planned, "{:?}", applied.failures);
        pair.sync();
        pair.assert_in_sync();
    }

    #[test]
    fn object_that_another_user_creates_is_updated_or_left(a in net(), behaviour in behaviour(), overwrite: bool) {
        let b = BTreeMap::new();
        let mut pair = Pair::new(&a, &b, behaviour);
        prop_assume!(a.contains_key("Tag"));
        let tag = to("Tag", a["Tag"].keys().next().unwrap());
        // Who wants no color takes any.
        prop_assume!(!a["Tag"][&tag.1].values["color"].is_null());
        let run = pair.diff();
        let new = Object { values: [("color".to_owned(), json!("theirs"))].into(), ..a["Tag"][&tag.1].clone() };
        pair.destination.state().edit(Edit::Create(tag.clone(), new), "destination");
        if overwrite {
            pair.options.rules.on_conflict = Some(OnConflict::Overwrite);
        }
        let applied = pair.apply(&run.run_id);
        prop_assert_eq!(applied.counts.failed, u64::from(!overwrite), "{:?}", applied.failures);
        pair.sync();
        pair.assert_in_sync();
    }

    #[test]
    fn object_that_another_user_deletes_is_not_updated(a in net(), b in net(), behaviour in behaviour(), pick in any::<prop::sample::Index>()) {
        let mut pair = Pair::new(&a, &b, behaviour);
        let tags = common(&a, &b, "Tag");
        prop_assume!(!tags.is_empty());
        let tag = to("Tag", &tags[pick.index(tags.len())]);
        let run = pair.diff();
        let planned = rows(&run).iter().any(|row| row.resource == "Tag" && row.source_id == tag.1);
        // Nothing refers to it: an object that the plan refers to by an id that is gone is another law.
        prop_assume!(a.values().chain(b.values()).flat_map(BTreeMap::values).all(|object| !object.many.values().any(|peers| peers.contains(&tag))));
        pair.destination.state().edit(Edit::Delete(tag.clone()), "destination");
        let applied = pair.apply(&run.run_id);
        let gone = applied.failures.iter().any(|failure| failure.kind == "Tag" && failure.unique_id == tag.1 && matches!(&failure.reason, FailureReason::Conflict(conflict) if conflict.overwritten_by().is_none()));
        prop_assert_eq!(gone, planned, "{:?}", applied.failures);
        pair.destination.state().violations.clear();
        pair.sync();
        pair.assert_in_sync();
    }

    #[test]
    fn what_had_no_effect_is_not_sent_again_until_a_side_changes(a in net(), b in net(), behaviour in behaviour(), edit: bool) {
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, reads_ids: true, ..behaviour });
        let frozen = [to("Device", "serial"), to("Device", "rack"), to("Device", "tags"), to("Tag", "color")];
        pair.destination.fail(Faults { frozen: frozen.into(), ..Faults::default() });
        let applied = pair.sync();
        prop_assert_eq!(applied.counts.not_written(), 0, "{:?}", applied.failures);
        let left: u64 = applied.counts.no_effect;
        let again = pair.diff();
        prop_assert_eq!(rows(&again), Vec::<PlanRow>::new(), "nothing is sent again");
        let records = std::fs::read_to_string(pair.cache.path().join("world/no-effect.json")).unwrap_or_default();
        prop_assert_eq!(again.summary.kinds.iter().map(|kind| kind.no_effect).sum::<u64>(), left, "{}", records);
        prop_assert_eq!(again.summary.in_sync(), left == 0);
        // A side that changes is compared again.
        pair.destination.fail(Faults::default());
        let differs: Vec<String> = common(&pair.source.net(), &pair.destination.net(), "Tag").into_iter().filter(|uid| {
            pair.source.net()["Tag"][uid] != pair.destination.net()["Tag"][uid]
        }).collect();
        if let Some(uid) = differs.first() {
            let system = if edit { &pair.source } else { &pair.destination };
            system.state().edit(Edit::Set(to("Tag", uid), "color", json!("edited")), if edit { "source" } else { "destination" });
            let planned = rows(&pair.diff());
            prop_assert!(planned.iter().any(|row| row.resource == "Tag" && row.source_id == *uid), "{:?}", planned);
        }
        // What a frozen reference held could be deleted: the system had accepted the change.
        pair.destination.state().violations.clear();
        // Without the check, all of it is written.
        pair.project.apply.converge = Some(infrahub_sync_config::Converge::Trust);
        pair.sync();
        pair.assert_in_sync();
    }

    #[test]
    fn partial_kind_never_deletes(a in net(), b in net(), behaviour in behaviour()) {
        prop_assume!(a.contains_key("Tag"));
        // The source has a tag twice, with different values.
        let mut a = a;
        let mut twin = a["Tag"].values().next().unwrap().clone();
        twin.values.insert("color".to_owned(), json!("contradicts"));
        a.get_mut("Tag").unwrap().insert("twin".to_owned(), twin);
        let mut pair = Pair::new(&a, &b, Behaviour { has_ids: true, stages: false, ..behaviour });
        pair.options.continue_on_error = true;
        let run = pair.diff();
        prop_assert!(rows(&run).iter().all(|row| row.resource != "Tag" || row.action != Action::Delete));
        pair.sync();
        let after = pair.destination.net();
        let theirs = b.get("Tag").into_iter().flatten();
        prop_assert!(theirs.into_iter().all(|(uid, _)| after["Tag"].contains_key(uid)));
    }

    #[test]
    fn incremental_run_plans_what_a_full_one_plans(a in net(), b in net(), behaviour in behaviour(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..5)) {
        let mut pair = Pair::new(&a, &b, behaviour);
        pair.sync();
        for (at, (pick, source)) in edits.iter().enumerate() {
            let system = if *source { &pair.source } else { &pair.destination };
            let mut state = system.state();
            let tags: Vec<String> = state.net.get("Tag").into_iter().flat_map(|tags| tags.keys().cloned()).collect();
            let devices: Vec<String> = state.net.get("Device").into_iter().flat_map(|devices| devices.keys().cloned()).collect();
            let name = if *source { "source" } else { "destination" };
            if at % 2 == 0 && !devices.is_empty() {
                state.edit(Edit::Set(to("Device", &devices[pick.index(devices.len())]), "serial", json!(format!("edit {at}"))), name);
            } else if !tags.is_empty() {
                state.edit(Edit::Delete(to("Tag", &tags[pick.index(tags.len())])), name);
            }
        }
        let full = rows(&pair.diff());
        pair.options.full_extract = false;
        let incremental = rows(&pair.diff());
        let without_evidence = |rows: Vec<PlanRow>| rows.into_iter().map(|row| PlanRow { evidence: None, ..row }).collect::<Vec<_>>();
        prop_assert_eq!(without_evidence(incremental), without_evidence(full));
        pair.sync();
        pair.assert_in_sync();
    }
}

#[test]
fn run_in_sync_is_shown_again() {
    let mut pair = Pair::new(&BTreeMap::new(), &BTreeMap::new(), Behaviour::default());
    pair.sync();
    let run = pipeline::show(pair.cache.path(), "world", "run-1").unwrap().unwrap();
    assert!(run.summary.in_sync());
    assert!(pipeline::show(&pair.cache.path().join("nowhere"), "world", "run-2").unwrap().is_none());
}
