//! Runs that read only what changed plan what full runs plan: the whole program, with the fake Infrahub as destination and as source, while
//! somebody edits it at random.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::network::{MAPPING, Network};
use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Fake, Settings};
use infrahub_sync_tests::Project;
use serde_json::{Map, Value};

const HISTORIES: u64 = 24;
const ROUNDS: usize = 4;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    /// The id of some object of a kind.
    fn id(&mut self, fake: &Fake, kind: &str) -> String {
        let ids = fake.store().ids(kind, "main");
        ids.get(self.roll(ids.len())).cloned().unwrap_or_default()
    }
}

/// Somebody edits something; what the server refuses is not done.
fn edit(fake: &Fake, dice: &mut Dice, number: usize) -> String {
    let device = dice.id(fake, "FakeDevice");
    let (other, port, site) = (dice.id(fake, "FakeDevice"), dice.id(fake, "FakeInterface"), dice.id(fake, "FakeSite"));
    let (group, above, tag) = (dice.id(fake, "CoreStandardGroup"), dice.id(fake, "CoreStandardGroup"), dice.id(fake, "FakeTag"));
    let kinds = ["FakeInterface", "FakeTwin", "CoreStandardGroup", "FakeTag", "FakeDevice"];
    let victim = kinds[dice.roll(kinds.len())];
    let mutation = match dice.roll(14) {
        0 => format!("FakeSiteUpdate(data:{{id:\"{site}\",description:{{value:\"edit {number}\"}}}})"),
        1 => format!("FakeDeviceUpdate(data:{{id:\"{device}\",name:{{value:\"renamed{number}\"}}}})"),
        2 => format!("FakeDeviceUpdate(data:{{id:\"{device}\",site:{{id:\"{site}\"}},height:{{value:{number}}}}})"),
        3 => format!("FakeDeviceUpdate(data:{{id:\"{device}\",tags:[{{id:\"{tag}\"}}]}})"),
        4 => format!("FakeDeviceUpdate(data:{{id:\"{device}\",tags:[],status:{{is_default:true}}}})"),
        5 => format!("FakeInterfaceUpdate(data:{{id:\"{port}\",enabled:{{value:{}}}}})", number.is_multiple_of(2)),
        6 => format!("FakeInterfaceUpdate(data:{{id:\"{port}\",device:{{id:\"{other}\"}},name:{{value:\"moved{number}\"}}}})"),
        7 => format!("FakeInterfaceCreate(data:{{name:{{value:\"p{}\"}},device:{{id:\"{device}\"}}}})", dice.roll(5)),
        8 => format!("CoreStandardGroupUpdate(data:{{id:\"{group}\",name:{{value:\"group{number}\"}}}})"),
        9 => format!("CoreStandardGroupUpdate(data:{{id:\"{group}\",parent:null}})"),
        10 => format!("CoreStandardGroupCreate(data:{{name:{{value:\"g{}\"}},parent:{{id:\"{above}\"}}}})", dice.roll(20)),
        11 => format!("FakeDeviceCreate(data:{{name:{{value:\"d{}\"}},site:{{id:\"{site}\"}}}})", dice.roll(20)),
        // Under another id it may come back.
        12 => format!("FakeTagCreate(data:{{name:{{value:\"t{}\"}}}})", dice.roll(5)),
        _ => format!("{victim}Delete(data:{{id:\"{}\"}})", dice.id(fake, victim)),
    };
    fake.execute("main", &format!("mutation{{{mutation}{{ok}}}}"), Map::new());
    mutation
}

/// The changes that a diff plans. How a deleted object is known to be gone depends on how it was read; that it is said does not.
fn planned(project: &Project, arguments: &[&str]) -> Value {
    let mut changes = project.plan(arguments).1["changes"].take();
    for change in changes.as_array_mut().unwrap() {
        let evidence = change.as_object_mut().unwrap().remove("evidence");
        assert_eq!(evidence.is_some(), change["action"] == "delete", "{change}");
    }
    changes
}

/// How many kinds the latest run of a project has read incrementally, on both sides.
fn incremental(project: &Project, sync: &str, known: &[String]) -> usize {
    let new = project.runs(sync).into_iter().find(|run| !known.contains(run)).unwrap();
    let run: Value = serde_json::from_str(&project.read(&format!(".infrahub-sync-cache/{sync}/{new}/run.json"))).unwrap();
    ["A", "B"].iter().map(|side| run["incremental"][side].as_array().map_or(0, Vec::len)).sum()
}

fn history(seed: u64) -> usize {
    let mut dice = Dice(seed);
    // The program's clock is not the server's.
    let skew = [0, 0, 90_000, -90_000, 3_600_000][dice.roll(5)];
    let every = [3, 5, 20][dice.roll(3)];
    let lines = format!("incremental: {{full_resync_every: {every}}}\n");
    let network = Network::with(Settings { clock_skew_ms: skew, ..Settings::default() }, &lines);
    let mut reader = Project::new(&format!(
        "name: reader\nsource: {{name: infrahub, settings: {{url: \"{}\"}}}}\ndestination: {{name: files, settings: {{path: out}}}}\n{lines}{MAPPING}",
        network.fake.url()
    ));
    reader.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
    network.project.ok(&["sync", "--no-diff"]);
    reader.ok(&["sync", "--no-diff"]);
    let mut warm_kinds = 0;
    let mut edits: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        for _ in 0..dice.roll(6) {
            let number = edits.len();
            edits.push(edit(&network.fake, &mut dice, number));
        }
        if round == 2 {
            // Writes after an incremental read; what it cannot delete stays.
            let output = network.project.run(&["sync", "--no-diff", "--no-full-extract"]);
            assert!([0, 7].contains(&output.code), "{}", output.stderr);
        }
        for (project, sync) in [(&network.project, "network"), (&reader, "reader")] {
            let known = project.runs(sync);
            let warm = planned(project, &["--no-full-extract"]);
            warm_kinds += incremental(project, sync, &known);
            let full = planned(project, &[]);
            assert_eq!(warm, full, "{sync}, seed {seed}, round {round}, clock ahead by {skew} ms, after {edits:#?}");
        }
    }
    warm_kinds
}

#[test]
fn what_an_incremental_run_plans_is_what_a_full_one_plans() {
    let (next, kinds) = (AtomicU64::new(1), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::SeqCst)).filter(|seed| *seed <= HISTORIES) {
                    kinds.fetch_add(history(seed), Ordering::SeqCst);
                }
            });
        }
    });
    let kinds = kinds.into_inner();
    assert!(kinds > 200, "of {kinds} kinds only what changed was read");
}
