//! The played servers as destinations in bad weather: storms, and kills at random moments. The end is the same as on a quiet day.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use infrahub_sync_tests::django::lists::{self, NAUTOBOT, NETBOX, PEERING};
use infrahub_sync_tests::django::{Dialect, Django, List, TOKEN};
use infrahub_sync_tests::{Output, Project};
use serde_json::{Value, json};

use super::{MAPPING, all, filled, filled_nautobot, filled_peering, is_in_sync, project, side};

/// Commands until a storm is weathered.
const TRIES: usize = 6;
/// Storms of each system.
const STORMS: u64 = 2;
/// Kills of each system: a few here, 200 with `INFRAHUB_SYNC_KILLS=200`.
const KILLS: u64 = 12;

/// A system that is written.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    lists: &'static [List],
    mapping: &'static str,
    fill: fn() -> Django,
    empty: fn() -> Django,
}

const CASES: [Case; 3] = [
    Case { name: "netbox", lists: NETBOX, mapping: MAPPING, fill: filled, empty: empty_netbox },
    Case { name: "nautobot", lists: NAUTOBOT, mapping: lists::NAUTOBOT_MAPPING, fill: filled_nautobot, empty: empty_nautobot },
    Case { name: "peeringmanager", lists: PEERING, mapping: lists::PEERING_MAPPING, fill: filled_peering, empty: empty_peering },
];

fn empty_netbox() -> Django {
    let netbox = Django::start(Dialect::NetBox, NETBOX);
    netbox.define("owner");
    // It makes interfaces by itself, and has objects that go or change.
    let template = |name: &str| json!({"name": name, "type": "other", "enabled": false});
    netbox.make_along("dcim/devices", "dcim/interfaces", "device", &[template("eth0"), template("eth1")]);
    netbox.put("extras/tags", &[json!({"name": "core", "slug": "core", "color": "000000"}), json!({"name": "gone", "slug": "gone"})]);
    netbox
}

fn empty_nautobot() -> Django {
    let nautobot = Django::start(Dialect::Nautobot, NAUTOBOT);
    nautobot.put("ipam/namespaces", &[json!({"name": "Global"})]);
    nautobot.put("extras/statuses", &[json!({"name": "Gone"})]);
    nautobot
}

fn empty_peering() -> Django {
    let peering = Django::start(Dialect::PeeringManager, PEERING);
    peering.put("peering/autonomous-systems", &[json!({"asn": 64512, "name": "old"}), json!({"asn": 1, "name": "gone"})]);
    peering
}

struct Lab {
    case: Case,
    from: Django,
    to: Django,
    project: Project,
}

impl Lab {
    fn new(case: Case) -> Lab {
        let (from, to) = ((case.fill)(), (case.empty)());
        let mapping = format!("deletes: all\nmax_deletes: 100%\n{}", case.mapping);
        let project = project(&side(case.name, &from, TOKEN), &side(case.name, &to, TOKEN), &mapping);
        Lab { case, from, to, project }
    }

    /// Returns the command that begins, or resumes what is left.
    fn next(&self) -> Vec<String> {
        let has_plan = |run: &String| self.project.path().join(".infrahub-sync-cache/copy").join(run).join("plan.parquet").is_file();
        match self.project.runs("copy").into_iter().rfind(has_plan) {
            Some(run) => vec!["apply".to_owned(), "--run-id".to_owned(), run],
            None => vec!["sync".to_owned(), "--no-diff".to_owned()],
        }
    }

    /// Syncs until it is done. A run that was killed between a device and its interfaces finds those that NetBox has made meanwhile, and reports
    /// them: a new plan compares them.
    fn finish(&self, what: &dyn std::fmt::Debug) {
        let (mut words, mut is_new) = (Vec::new(), false);
        for _ in 0..TRIES {
            let command = if is_new { vec!["sync".to_owned(), "--no-diff".to_owned()] } else { self.next() };
            let Output { code, stdout, stderr } = self.project.run(&command.iter().map(String::as_str).collect::<Vec<_>>());
            if code == 0 {
                return;
            }
            is_new = code == 7;
            words.push(format!("{command:?}: {code}: {stdout}{stderr}"));
        }
        panic!("{} is not done after {what:?}:\n{}", self.case.name, words.join("\n"));
    }

    /// Each object is there once, and the next run has nothing to do.
    fn check(&self, what: &dyn std::fmt::Debug) {
        assert_eq!(all(&self.to, self.case.lists), all(&self.from, self.case.lists), "{} after {what:?}", self.case.name);
        is_in_sync(&self.project);
    }
}

/// Runs a function for the numbers of a range, some at a time: they wait more than they work.
fn some_at_a_time(count: u64, run: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    run(number);
                }
            });
        }
    });
}

#[test]
fn answers_that_are_refused_broken_or_lost_change_nothing_in_the_end() {
    some_at_a_time(STORMS * CASES.len() as u64, |number| {
        let case = CASES[usize::try_from(number).unwrap() % CASES.len()];
        let lab = Lab::new(case);
        lab.to.storm(Some((number + 1, 150)));
        lab.finish(&number);
        lab.to.storm(None);
        lab.check(&("a storm", number));
    });
}

#[test]
fn killed_at_random_moments_each_object_is_there_once() {
    let kills = std::env::var("INFRAHUB_SYNC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    for case in CASES {
        let began = Instant::now();
        let quiet = Lab::new(case);
        quiet.finish(&"nothing");
        quiet.check(&"a quiet run");
        let takes = began.elapsed();
        let killed = AtomicUsize::new(0);
        some_at_a_time(kills.div_ceil(3), |number| {
            let lab = Lab::new(case);
            for kill in 0..3 {
                // A number that looks random: a tenth to nine tenths of a quiet run.
                let part = ((number * 3 + kill + 1) * 0x9e37_79b9) % 800 + 100;
                let command = lab.next();
                let mut child = lab.project.command(&command.iter().map(String::as_str).collect::<Vec<_>>());
                let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                std::thread::sleep(takes.mul_f64(part as f64 / 1000.0).min(Duration::from_secs(60)));
                let is_running = child.try_wait().unwrap().is_none();
                let _ = child.kill();
                child.wait().unwrap();
                killed.fetch_add(usize::from(is_running), Ordering::SeqCst);
                if !is_running {
                    break;
                }
            }
            lab.finish(&number);
            lab.check(&("kills", number));
        });
        eprintln!("{}: {} kills", case.name, killed.load(Ordering::SeqCst));
    }
}

/// Returns the number of requests since the last call.
fn requests(server: &Django) -> usize {
    server.requests().len()
}

#[test]
fn requests_are_few_for_creates_and_for_runs_without_changes() {
    let (from, to) = (Django::start(Dialect::NetBox, NETBOX), Django::start(Dialect::NetBox, NETBOX));
    const OBJECTS: usize = 3000;
    let sites: Vec<Value> = (0..OBJECTS / 2).map(|number| json!({"name": format!("s{number}"), "slug": format!("s{number}")})).collect();
    let sites = from.put("dcim/sites", &sites);
    let body = |(number, site): (usize, &Value)| json!({"prefix": format!("10.{}.{}.0/24", number / 250, number % 250), "scope_type": "dcim.site", "scope_id": site});
    from.put("ipam/prefixes", &sites.iter().enumerate().map(body).collect::<Vec<_>>());
    let mapping = "
schema_mapping:
  - {name: Site, mapping: dcim.sites, identifiers: [name], fields: [{name: name, mapping: name}, {name: slug, mapping: slug}]}
  - {name: Prefix, mapping: ipam.prefixes, identifiers: [prefix], fields: [{name: prefix, mapping: prefix}, {name: scope, mapping: scope, reference: Site}]}
";
    let kinds = 2;
    let project = project(&side("netbox", &from, TOKEN), &side("netbox", &to, TOKEN), mapping);
    project.ok(&["diff", "--run-id", "r"]);
    let (_, _) = (requests(&from), requests(&to));
    project.ok(&["apply", "--run-id", "r"]);
    let made = to.requests();
    let writes = made.iter().filter(|(method, ..)| method == "POST").count();
    assert!(writes <= OBJECTS / 50 + kinds, "{writes} requests for {OBJECTS} creates");
    // The description of each list, the version, the clock, and a look at each list after the writes.
    assert!(made.len() <= OBJECTS / 50 + 8 * kinds, "{} requests in all: {made:?}", made.len());
    is_in_sync(&project);
    for server in [&from, &to] {
        let reads = server.requests().into_iter().filter(|(method, ..)| method == "GET").count();
        assert!(reads <= OBJECTS / 1000 + 2 * kinds, "{reads} requests to read {OBJECTS} objects");
    }
}
