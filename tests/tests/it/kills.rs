//! The whole program is killed (SIGKILL) at every request of a run and at random moments, again and again, until what is left of it has
//! brought the destination in line: nothing is lost, nothing is made twice, and the journal agrees with the destination.
//!
//! The destination is the fake Infrahub, which records every request. Its hook kills the program when a request has arrived or when it was
//! executed; the request is then never executed, executed when nobody waits for it, or executed while the next attempt is at work.

#![cfg(unix)]

use std::collections::{BTreeSet, HashMap};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use crate::network::Network;
use infrahub_sync_cache::{Cache, RowState, RunId, RunReader, SyncName};
use infrahub_sync_core::plan_row::{Action, PlanRow};
use infrahub_sync_fake_infrahub::{Moment, Request, Verdict};
use infrahub_sync_tests::Output;
use serde_json::{Map, Value};

/// A destination that needs creates, updates and deletes, and a project for it.
struct Lab {
    network: Network,
    /// `diff` and `apply` instead of `sync`.
    two_steps: bool,
    /// The run that is under way.
    run: Option<String>,
    /// Requests that are held back when their sender is dead.
    late: Arc<Late>,
}

impl Lab {
    fn new(two_steps: bool) -> Lab {
        Lab { network: Network::new(), two_steps, run: None, late: Arc::default() }
    }

    /// What is to be started now: the first run, or what goes on with what is left of the last one.
    fn next(&self) -> Vec<String> {
        let words: &[&str] = match (&self.run, self.two_steps) {
            (Some(id), _) if self.has_plan() => &["apply", "--run-id", id],
            (_, true) => &["diff", "--run-id", "r"],
            (_, false) => &["sync", "--no-diff"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// Notes the run that a command has begun.
    fn learn(&mut self, before: &[String]) {
        let new = self.network.project.runs("network").into_iter().find(|run| !before.contains(run));
        self.run = new.or(self.run.take());
    }

    fn has_plan(&self) -> bool {
        self.run.as_ref().is_some_and(|id| self.network.has_plan(id))
    }

    /// Starts what comes next and kills it there.
    fn kill_at(&mut self, at: &Point) -> End {
        let runs = self.network.project.runs("network");
        let arguments = self.next();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.network.project.command(&arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child: Arc<Mutex<Option<Child>>> = Arc::default();
        let is_killed = match *at {
            Point::Request { number, moment, verdict } => {
                let (victim, late, seen) = (child.clone(), self.late.clone(), AtomicUsize::new(0));
                self.network.fake.faults().hook(Some(Arc::new(move |now, _| {
                    let when = if moment == When::Handled { Moment::Handled } else { Moment::Arrived };
                    if now == Moment::Handled && late.is_done() {
                        return Verdict::Reset;
                    }
                    if now != when || seen.fetch_add(1, Ordering::SeqCst) + 1 != number {
                        return Verdict::GoOn;
                    }
                    kill(&victim);
                    if moment == When::Late {
                        late.wait();
                    }
                    verdict
                })));
                // The hook waits for the child to be there.
                let mut place = child.lock().unwrap();
                *place = Some(command.spawn().unwrap());
                drop(place);
                wait(&child)
            }
            Point::Time(moment) => {
                *child.lock().unwrap() = Some(command.spawn().unwrap());
                std::thread::sleep(moment);
                kill(&child);
                wait(&child)
            }
        };
        // It hears of no request that comes later.
        self.network.fake.faults().hook(None);
        self.learn(&runs);
        match (is_killed, arguments[0]) {
            (true, _) => End::Killed,
            (false, "diff") => End::Planned,
            (false, _) => End::Applied,
        }
    }

    fn reader(&self) -> RunReader {
        let cache = Cache::open(self.network.project.path().join(".infrahub-sync-cache"), SyncName::parse("network").unwrap()).unwrap();
        cache.open_run(&RunId::parse(self.run.as_deref().unwrap()).unwrap()).unwrap()
    }

    /// The rows of the latest run that the destination has answered for certain, each as the mutation that wrote it.
    fn answered(&self) -> BTreeSet<Written> {
        if !self.has_plan() {
            return BTreeSet::new();
        }
        let reader = self.reader();
        let Some(journal) = reader.read_journal().unwrap() else { return BTreeSet::new() };
        let rows: Vec<PlanRow> = reader.read_plan().unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len() as u64, journal.rows());
        let mut created: HashMap<(String, String), String> = HashMap::new();
        let mut out = BTreeSet::new();
        for (at, row) in (0..).zip(rows) {
            let object = (row.resource.clone(), row.key.clone());
            if let (Action::Create, Some(id)) = (row.action, journal.id(at)) {
                created.insert(object.clone(), id);
            }
            if journal.state(at) != RowState::Done {
                continue;
            }
            // An object that was found again, made by an earlier attempt, has no id in the journal.
            let Some(id) = row.dest_id.or_else(|| created.get(&object).cloned()) else { continue };
            let word = match row.action {
                Action::Create => "Create",
                Action::Update => "Update",
                Action::Delete => "Delete",
            };
            let new: Map<String, Value> = row.new_value.as_deref().map(|new| serde_json::from_str(new).unwrap()).unwrap_or_default();
            // A create is known by its id; an update is one of several of an object by its fields.
            let fields = if row.action == Action::Update { new.keys().cloned().collect() } else { BTreeSet::new() };
            out.insert(Written { mutation: format!("{}{word}", row.resource), id, fields });
        }
        out
    }

    /// Brings what was killed to its end.
    fn finish(&mut self) {
        loop {
            let runs = self.network.project.runs("network");
            let arguments = self.next();
            let late = self.late.clone();
            // What is held back is executed when the next attempt begins to write.
            self.network.fake.faults().hook(Some(Arc::new(move |_, document| {
                if document.starts_with("mutation") {
                    late.open();
                }
                Verdict::GoOn
            })));
            let Output { code, stdout, stderr } = self.network.project.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            self.learn(&runs);
            assert_eq!(code, 0, "{arguments:?}\n{stdout}\n{stderr}");
            if arguments[0] != "diff" {
                break;
            }
        }
        self.late.open();
        self.late.wait_until_done();
        self.network.fake.faults().hook(None);
    }

    /// Nothing is lost, nothing was made twice, and the next run has nothing to do.
    fn check(&self, what: &dyn std::fmt::Debug) {
        self.network.check(what);
        let journal = self.reader().read_journal().unwrap().unwrap();
        assert!(journal.is_finished(), "{what:?}: {journal:?}");
        let counts = journal.counts();
        assert_eq!(counts.done + counts.unchanged, journal.rows(), "{what:?}: {counts:?}");
    }

    /// What the next diff plans.
    fn planned(&self) -> usize {
        let (code, plan) = self.network.project.plan(&[]);
        let changes = plan["changes"].as_array().map_or(0, Vec::len);
        assert_eq!(code == 0, changes == 0);
        changes
    }
}

/// A row as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Written {
    mutation: String,
    id: String,
    fields: BTreeSet<String>,
}

/// The rows of the mutations among requests.
fn sent(requests: &[Request]) -> Vec<Written> {
    let mut out = Vec::new();
    for request in requests.iter().filter(|request| request.operation == "mutation") {
        for (at, mutation) in request.root_fields.iter().enumerate() {
            let Some(input) = request.variables[format!("d{at}")].as_object() else { continue };
            let fields: BTreeSet<String> = input.keys().filter(|name| *name != "id").cloned().collect();
            let fields = if mutation.ends_with("Update") { fields } else { BTreeSet::new() };
            out.push(Written { mutation: mutation.clone(), id: input["id"].as_str().unwrap_or_default().to_owned(), fields });
        }
    }
    out
}

/// Where the program is killed.
#[derive(Debug, Clone, Copy)]
enum Point {
    Request { number: usize, moment: When, verdict: Verdict },
    Time(Duration),
}

/// At which moment of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Arrived,
    /// When it has arrived; it is executed while the next attempt is at work.
    Late,
    Handled,
}

/// How a command ended that was to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    /// It was quicker, and the plan is there.
    Planned,
    Applied,
}

/// Requests that are held back.
#[derive(Default)]
struct Late {
    state: Mutex<LateState>,
    changed: Condvar,
}

#[derive(Default)]
struct LateState {
    open: bool,
    /// Of those that were held back and are not executed yet.
    threads: Vec<ThreadId>,
}

impl Late {
    /// Holds the request of this thread back.
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        state.threads.push(std::thread::current().id());
        drop(self.changed.wait_while(state, |state| !state.open).unwrap());
    }

    fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    /// Whether the request of this thread was held back, and is executed now.
    fn is_done(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let before = state.threads.len();
        state.threads.retain(|thread| *thread != std::thread::current().id());
        self.changed.notify_all();
        state.threads.len() < before
    }

    fn wait_until_done(&self) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |state| !state.threads.is_empty()).unwrap());
    }
}

fn kill(child: &Mutex<Option<Child>>) {
    if let Some(child) = child.lock().unwrap().as_mut() {
        // Waited for, so that nothing of it is left when this returns.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Waits for the end; true when it was killed.
fn wait(child: &Mutex<Option<Child>>) -> bool {
    loop {
        // Not kept locked while waiting: the hook wants to kill it.
        if let Some(status) = child.lock().unwrap().as_mut().unwrap().try_wait().unwrap() {
            assert!(status.signal() == Some(9) || status.code() == Some(0), "{status:?}");
            return status.signal() == Some(9);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }
}

/// Runs the chains of kills on two threads; a chain returns how many kills it was.
fn all<T: Send + Sync>(chains: &[T], one: impl Fn(&T) -> usize + Sync) -> usize {
    let (next, kills) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(chain) = chains.get(next.fetch_add(1, Ordering::SeqCst)) {
                    kills.fetch_add(one(chain), Ordering::SeqCst);
                }
            });
        }
    });
    kills.into_inner()
}

/// Kills at the points, one after the other, then lets the rest be done and looks at what came of it.
fn chain(two_steps: bool, points: &[Point]) -> usize {
    let mut lab = Lab::new(two_steps);
    let mut kills = 0;
    let mut end = End::Planned;
    for point in points {
        let done = lab.answered();
        lab.network.fake.clear_requests();
        end = lab.kill_at(point);
        let again: Vec<Written> = sent(&lab.network.fake.requests()).into_iter().filter(|row| done.contains(row)).collect();
        assert!(again.is_empty(), "sent again although it was answered: {again:?} at {point:?} of {points:?}");
        kills += usize::from(end == End::Killed);
        if end == End::Applied {
            break;
        }
    }
    if end != End::Applied {
        let done = lab.answered();
        lab.network.fake.clear_requests();
        lab.finish();
        let again: Vec<Written> = sent(&lab.network.fake.requests()).into_iter().filter(|row| done.contains(row)).collect();
        assert!(again.is_empty(), "sent again although it was answered: {again:?} after {points:?}");
    }
    lab.check(&points);
    kills
}

/// How many requests a quiet run makes.
fn requests(two_steps: bool) -> usize {
    let mut lab = Lab::new(two_steps);
    lab.finish();
    lab.check(&"a quiet run");
    assert_eq!(lab.planned(), 0);
    lab.network.fake.requests().iter().filter(|request| request.path != "/_fake/faults").count()
}

#[test]
fn killed_at_every_request_of_a_run_and_of_what_goes_on_with_it() {
    let mut chains = Vec::new();
    for two_steps in [false, true] {
        let count = requests(two_steps);
        eprintln!("{count} requests, two steps: {two_steps}");
        for number in 1..=count {
            let all = [
                (When::Arrived, Verdict::Reset),
                (When::Handled, Verdict::Reset),
                (When::Arrived, Verdict::GoOn),
                (When::Late, Verdict::GoOn),
            ];
            // An apply after a diff is what goes on with a killed sync too.
            for (moment, verdict) in all.into_iter().take(if two_steps { 2 } else { 4 }) {
                let mut points = vec![Point::Request { number, moment, verdict }];
                let mut dice = Dice((number * 10 + points.len()) as u64);
                // What is held back is in no journal, and would look as if it had been sent again.
                for _ in 0..if moment == When::Late { 0 } else { 6 } {
                    points.push(Point::Request { number: 1 + dice.roll(count / 2), moment, verdict });
                }
                chains.push((two_steps, points));
            }
        }
    }
    let kills = all(&chains, |(two_steps, points)| chain(*two_steps, points));
    eprintln!("{} chains, {kills} kills", chains.len());
    assert!(kills >= 800, "{} chains, {kills} kills", chains.len());
}

#[test]
fn killed_at_random_moments() {
    let begin = std::time::Instant::now();
    requests(false);
    // What a run takes on this machine now.
    let takes = begin.elapsed();
    let mut dice = Dice(1);
    let chains: Vec<(bool, Vec<Point>)> = (0..60)
        .map(|number| (number % 2 == 1, (0..8).map(|_| Point::Time(takes.mul_f64(dice.roll(1000) as f64 / 2500.0))).collect()))
        .collect();
    let kills = all(&chains, |(two_steps, points)| chain(*two_steps, points));
    eprintln!("{} chains, {kills} kills", chains.len());
    assert!(kills >= 200, "{} chains, {kills} kills", chains.len());
}
