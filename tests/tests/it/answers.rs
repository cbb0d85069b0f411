//! Answers that are lost while the server continues, that never come, and that take long: what is written, what is sent again, and what the screen
//! says meanwhile.

#![cfg(unix)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use infrahub_sync_fake_infrahub::{ADMIN_TOKEN, Action, Fake, Fault, Model, Options, Version};
use infrahub_sync_tests::Project;
use serde_json::{Map, Value, json};

/// Sites that are updated, more than one batch of them, and tags that are deleted.
const SITES: usize = 150;
const TAGS: usize = 40;

struct Lab {
    fake: Fake,
    project: Project,
}

impl Lab {
    /// All sites have to be updated, and all tags but one deleted. `settings` are further ones of the destination.
    fn new(settings: &str) -> Lab {
        let fake = Fake::start(Options { model: Some(Model::every(Version::V1_11)), ..Options::default() }).unwrap();
        let make = |kind: &str, count: usize, prefix: &str| {
            let one = |n| format!("a{n}:{kind}Create(data:{{name:{{value:\"{prefix}{n:03}\"}}}}){{ok}} ");
            let answer = fake.execute("main", &format!("mutation{{{}}}", (0..count).map(one).collect::<String>()), Map::new());
            assert!(answer["errors"].is_null(), "{answer}");
        };
        make("FakeSite", SITES, "s");
        make("FakeTag", TAGS, "t");
        let mut project = Project::new(&format!(
            "name: answers\nsource: {{name: files, settings: {{path: source}}}}\n\
             destination: {{name: infrahub, settings: {{url: \"{}\"{settings}}}}}\ndiffsync_flags: [NONE]\ndeletes: all\nmax_deletes: 100%\nschema_mapping:\n  \
             - {{name: FakeSite, mapping: sites, identifiers: [name], fields: [{{name: name, mapping: name}}, {{name: description, mapping: description}}]}}\n  \
             - {{name: FakeTag, mapping: tags, identifiers: [name], fields: [{{name: name, mapping: name}}]}}\n",
            fake.url()
        ));
        project.set("INFRAHUB_API_TOKEN", ADMIN_TOKEN);
        let sites: Value = (0..SITES).map(|n| json!({"id": n, "name": format!("s{n:03}"), "description": "new"})).collect();
        project.write("source/sites.json", &sites.to_string());
        project.write("source/tags.json", &json!([{"id": 0, "name": "t000"}]).to_string());
        fake.clear_requests();
        Lab { fake, project }
    }

    /// The rows of each mutation of a kind and operation, in the order of their answers.
    fn sent(&self, mutation: &str) -> Vec<usize> {
        let requests = self.fake.requests();
        requests
            .iter()
            .filter(|request| request.document.contains(mutation))
            .map(|request| request.variables.as_object().unwrap().len())
            .collect()
    }

    fn check(&self) {
        let store = self.fake.store();
        let done = store.ids("FakeSite", "main").iter().filter(|id| store.value(id, "description", "main") == Some(json!("new"))).count();
        assert_eq!((done, store.count("FakeSite", "main"), store.count("FakeTag", "main")), (SITES, SITES, 1));
    }
}

#[test]
fn a_proxy_that_gives_up_while_the_server_goes_on_costs_no_row_and_nothing_is_sent_twice() {
    for (status, after_ms) in [(504, 0), (504, 600), (500, 600)] {
        let lab = Lab::new("");
        for mutation in ["FakeSiteUpdate", "FakeTagDelete"] {
            lab.fake.faults().add(Fault::new(Action::Late { status, after_ms }).on_document(mutation));
        }
        let output = lab.project.ok(&["sync", "--no-diff"]);
        lab.fake.wait_until_idle().unwrap();
        lab.check();
        assert_eq!(lab.sent("FakeSiteUpdate").iter().sum::<usize>(), SITES, "{}", output.stderr);
        assert_eq!(lab.sent("FakeTagDelete").iter().sum::<usize>(), TAGS - 1, "{}", output.stderr);
        assert!(output.stderr.contains("reading back what was written"), "{}", output.stderr);
        assert_eq!(lab.project.plan(&[]).0, 0);
    }
}

#[test]
fn batches_halve_after_a_lost_answer_and_their_size_is_a_setting() {
    let lab = Lab::new(", max_concurrency: 1");
    lab.fake.faults().add(Fault::new(Action::StatusAfter { status: 504 }).on_document("FakeSiteUpdate"));
    lab.project.ok(&["sync", "--no-diff"]);
    lab.check();
    let sent = lab.sent("FakeSiteUpdate");
    assert_eq!((sent[0], sent.iter().sum::<usize>()), (100, SITES), "{sent:?}");
    assert!(sent[1..].iter().all(|rows| *rows <= 50), "{sent:?}");
    let lab = Lab::new(", write_batch_max: 20");
    lab.project.ok(&["sync", "--no-diff"]);
    lab.check();
    assert_eq!(lab.sent("FakeSiteUpdate"), [20, 20, 20, 20, 20, 20, 20, 10]);
    let refused = Lab::new(", write_batch_max: 0").project.run(&["diff"]);
    assert!(
        refused.code == 3 && refused.stderr.contains("`write_batch_max` must be a number of rows, at least 1, not 0"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_request_that_never_arrived_is_sent_again_and_one_that_hangs_is_not_waited_for_again_and_again() {
    let lab = Lab::new(", max_concurrency: 1");
    lab.fake.faults().add(Fault::new(Action::ResetBefore).on_document("FakeSiteUpdate"));
    lab.project.ok(&["sync", "--no-diff"]);
    lab.check();
    assert_eq!(lab.sent("FakeSiteUpdate").iter().sum::<usize>(), SITES + 100);
    // A lock that a killed process left: the write waits for it, and ends long after the client has given up.
    let lab = Lab::new(", timeout: 2");
    lab.fake.faults().add(Fault::new(Action::Delay { delay_ms: 9000 }).on_document("FakeSiteUpdate"));
    let begun = Instant::now();
    lab.project.ok(&["sync", "--no-diff"]);
    lab.check();
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    lab.fake.wait_until_idle().unwrap();
    lab.check();
    assert_eq!(lab.project.plan(&[]).0, 0);
}

#[test]
fn a_server_that_never_answers_ends_the_apply_which_resumes() {
    let lab = Lab::new("");
    lab.fake.faults().add(Fault::new(Action::ResetBefore).on_document("FakeSiteUpdate").times(1000));
    lab.project.ok(&["diff", "--run-id", "r"]);
    let failed = lab.project.run(&["apply", "--run-id", "r"]);
    assert_eq!(failed.code, 5, "{}", failed.stderr);
    for words in [
        "destination `infrahub` does not answer, so it is unknown whether",
        "rows of `FakeSite` were written",
        "hint: when it answers again, resume",
    ] {
        assert!(failed.stderr.contains(words), "{words}: {}", failed.stderr);
    }
    lab.fake.faults().clear();
    lab.project.ok(&["apply", "--run-id", "r"]);
    lab.check();
}

#[test]
fn the_screen_says_for_what_a_run_waits() {
    let lab = Lab::new("");
    let others = Lab::new("");
    std::thread::scope(|scope| {
        // Without a terminal a line appears after 10 s.
        scope.spawn(|| {
            lab.fake.faults().add(Fault::new(Action::Delay { delay_ms: 12_500 }).on_document("FakeSiteUpdate"));
            let output = lab.project.ok(&["sync", "--no-diff"]);
            let lines: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("Waiting ")).collect();
            let words = "s for the answer of destination `infrahub` to `update ";
            assert!(matches!(lines[..], [line] if line.starts_with("Waiting 1") && line.contains(words)), "{}", output.stderr);
            assert!(lines[0].ends_with(" FakeSite`; after 180 s, it gives up and reads back what was written"), "{}", output.stderr);
        });
        // On a terminal a line that is kept up to date.
        scope.spawn(|| {
            others.fake.faults().add(Fault::new(Action::Delay { delay_ms: 6500 }).on_document("FakeSiteUpdate"));
            others.fake.faults().add(Fault::new(Action::Shed).on_document("FakeTag("));
            let output = on_terminal(&others.project, &["sync", "--no-diff"]);
            let shown = (3..7).filter(|seconds| output.contains(&format!("Waiting {seconds} s for the answer of destination `infrahub`")));
            assert!(shown.count() >= 2, "a busy machine may skip a second: {output}");
        });
    });
}

/// Runs the program on a terminal of its own, and returns what that shows.
fn on_terminal(project: &Project, arguments: &[&str]) -> String {
    let command = project.command(arguments);
    let quoted: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
        .collect();
    let mut script = Command::new("script");
    // Wide enough for a whole sentence.
    script.args(["-qec", &format!("stty cols 200 rows 40; {}", quoted.join(" ")), "/dev/null"]);
    script.current_dir(project.path()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.env("TERM", "xterm");
    let output = script.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    shown
}
