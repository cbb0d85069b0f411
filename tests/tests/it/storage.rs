//! The disk under the cache: full, not there, damaged; two runs at once; a clock that was set back. Whatever happens, nothing wrong is written to
//! the destination, and once the disk is well again everything comes to its end.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::network::Network;
use infrahub_sync_fake_infrahub::{Moment, Verdict};
use infrahub_sync_tests::Output;
use serde_json::{Map, Value};

fn mutations(network: &Network) -> usize {
    network.fake.requests().iter().filter(|request| request.operation == "mutation").count()
}

/// Runs a script with a small file system of its own in the place of the cache. It ends with the codes of its commands, and the words of
/// all are on stderr. None where this machine does not let a program mount anything.
fn run_on_small_disk(network: &Network, script: &str) -> Option<Output> {
    let command = network.project.command(&[]);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut shell = Command::new("unshare");
    let mounted =
        format!("mkdir -p .infrahub-sync-cache && mount -t tmpfs -o size=64m,mode=755 none .infrahub-sync-cache || exit 77\n{script}");
    shell.args(["-rm", "sh", "-c", &mounted, &program]);
    shell.current_dir(network.project.path()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = Output { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) };
    // 1: unshare itself was refused; the script always ends with 0.
    (output.code == 0).then_some(output)
}

/// Runs cases on two threads.
fn all<T: Sync>(cases: &[T], one: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    one(case);
                }
            });
        }
    });
}

#[test]
fn a_full_disk_stops_a_run_and_what_is_left_goes_on() {
    let probe = Network::new();
    if run_on_small_disk(&probe, "exit 0").is_none() {
        eprintln!("NOT TESTED: this machine does not let a program mount a small disk");
        return;
    }
    let failed = AtomicUsize::new(0);
    // Pages that are free: when an apply begins, in which the journal grows; and when a sync begins.
    let cases: Vec<(bool, usize)> = (0..12).map(|pages| (true, pages)).chain((0..48).map(|pages| (false, pages))).collect();
    all(&cases, |(apply, pages)| {
        let network = Network::new();
        let config = "--config-file config.yml";
        let first = if *apply {
            format!("\"$0\" diff --run-id r {config} >&2; set -- apply --run-id r")
        } else {
            "set -- sync --no-diff".to_owned()
        };
        let script = format!(
            "{first}\nused=$(du -sk .infrahub-sync-cache | cut -f1)\n\
             mount -o remount,size=$((used + 4 + {pages} * 4))k .infrahub-sync-cache\n\"$0\" \"$@\" {config} >&2; echo $?\n\
             mount -o remount,size=64m .infrahub-sync-cache\n\
             for plan in .infrahub-sync-cache/network/*/plan.parquet; do run=$(basename $(dirname $plan)); done\n\
             if [ -f \"$plan\" ]; then \"$0\" apply --run-id $run {config} >&2; else \"$0\" sync --no-diff {config} >&2; fi; echo $?\nexit 0"
        );
        let Output { stdout, stderr, .. } = run_on_small_disk(&network, &script).unwrap();
        let codes: Vec<&str> = stdout.lines().collect();
        let what = format!("apply {apply}, {pages} pages: {codes:?}");
        assert!(codes.len() == 2 && ["0", "1"].contains(&codes[0]) && codes[1] == "0", "{what}\n{stderr}");
        if codes[0] == "1" {
            assert!(stderr.contains("No space left") && stderr.contains(".infrahub-sync-cache"), "{what}\n{stderr}");
            failed.fetch_add(1, Ordering::SeqCst);
        }
        network.check(&what);
    });
    let failed = failed.into_inner();
    assert!(failed > 10, "the disk was full {failed} times");
}

#[test]
fn a_cache_that_cannot_be_written_stops_a_run_before_anything_is() {
    let mut network = Network::new();
    network.project.write(".infrahub-sync-cache", "a file in the place of the folder");
    for elsewhere in [None, Some("/proc"), Some("/dev/null")] {
        if let Some(folder) = elsewhere {
            network.project.set("INFRAHUB_SYNC_CACHE_DIR", folder);
        }
        for arguments in [&["sync", "--no-diff"][..], &["diff"], &["apply", "--run-id", "r"]] {
            let refused = network.project.run(arguments);
            assert!(refused.code != 0 && refused.stderr.contains("error:"), "{elsewhere:?} {arguments:?}: {}", refused.stderr);
        }
    }
    assert_eq!(mutations(&network), 0);
}

/// The files of the cache, but the lock.
fn files(network: &Network) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![network.project.path().join(".infrahub-sync-cache")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    files.retain(|file| !file.ends_with(".lock"));
    files.sort();
    files.into_iter().map(|file| file.strip_prefix(network.project.path()).unwrap().to_owned()).collect()
}

fn damage(bytes: &[u8], how: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    match how {
        0 => out.clear(),
        1 => out.truncate(bytes.len() / 2),
        2 => out.truncate(bytes.len().saturating_sub(1)),
        // A bit of some byte.
        3..=5 => {
            let at = bytes.len() * (how - 2) / 4;
            if let Some(byte) = out.get_mut(at) {
                *byte ^= 0x10;
            }
        }
        _ => out = vec![0; bytes.len()],
    }
    out
}

#[test]
fn damaged_files_are_told_or_read_anew_and_nothing_wrong_is_written() {
    let prepare = || {
        let network = Network::new();
        network.project.ok(&["diff", "--run-id", "r"]);
        // Killed in the middle of its writes, so that there is a journal to go on with.
        let child = Arc::new(Mutex::new(None::<std::process::Child>));
        let (victim, seen) = (child.clone(), AtomicUsize::new(0));
        network.fake.faults().hook(Some(Arc::new(move |moment, document| {
            if moment == Moment::Handled && document.starts_with("mutation") && seen.fetch_add(1, Ordering::SeqCst) == 7 {
                let _ = victim.lock().unwrap().as_mut().unwrap().kill();
                return Verdict::Reset;
            }
            Verdict::GoOn
        })));
        let mut place = child.lock().unwrap();
        let mut command = network.project.command(&["apply", "--run-id", "r"]);
        *place = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        drop(place);
        while child.lock().unwrap().as_mut().unwrap().try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        network.fake.faults().hook(None);
        // Two batches are in flight at a time: the server still reads and executes the other one of the killed process.
        network.fake.wait_until_idle().unwrap();
        network
    };
    let names = files(&prepare());
    assert!(names.iter().any(|name| name.ends_with("journal.bin")) && names.len() > 12, "{names:?}");
    let cases: Vec<(PathBuf, usize)> = names.into_iter().flat_map(|name| (0..7).map(move |how| (name.clone(), how))).collect();
    all(&cases, |(name, how)| {
        let network = prepare();
        let path = network.project.path().join(name);
        let damaged = damage(&std::fs::read(&path).unwrap(), *how);
        std::fs::write(&path, damaged).unwrap();
        network.fake.clear_requests();
        let what = format!("{} damaged as {how}", name.display());
        let applied = network.project.run(&["apply", "--run-id", "r"]);
        if applied.code == 0 {
            network.check(&what);
        } else {
            assert_eq!(mutations(&network), 0, "{what}: {}", applied.stderr);
            assert!(applied.stderr.contains("error:"), "{what}: {}", applied.stderr);
        }
        let synced = network.project.run(&["sync", "--no-diff", "--no-full-extract"]);
        assert!(synced.code == 0 || synced.stderr.contains("error:"), "{what}: {}", synced.stderr);
        if synced.code == 0 {
            network.check(&what);
        }
    });
}

#[test]
fn a_second_run_waits_for_the_first() {
    let network = Network::new();
    let gate = Arc::new((Mutex::new((false, false)), Condvar::new()));
    let held = gate.clone();
    network.fake.faults().hook(Some(Arc::new(move |moment, document| {
        if moment == Moment::Arrived && document.starts_with("mutation") {
            let (state, changed) = &*held;
            state.lock().unwrap().0 = true;
            changed.notify_all();
            drop(changed.wait_while(state.lock().unwrap(), |(_, open)| !*open).unwrap());
        }
        Verdict::GoOn
    })));
    let start = || {
        let mut command = network.project.command(&["sync", "--no-diff"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let first = start();
    let (state, changed) = &*gate;
    drop(changed.wait_while(state.lock().unwrap(), |(writing, _)| !*writing).unwrap());
    let mut second = start();
    let mut said = BufReader::new(second.stderr.take().unwrap()).lines().map(Result::unwrap);
    let pid = first.id().to_string();
    let waits = said.by_ref().find(|line| line.contains(&pid));
    assert!(waits.is_some(), "the second run says for whom it waits");
    // Who does not want to wait is told who is at work, whatever the command.
    let (runs, sent) = (network.project.runs("network"), network.fake.requests().len());
    for command in [
        &["sync", "--no-diff", "--lock-wait", "0"][..],
        &["diff", "--lock-wait", "0"],
        &["apply", "--run-id", &runs[0], "--lock-wait", "0"],
    ] {
        let refused = network.project.run(command);
        assert_eq!(refused.code, 8, "{command:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("error: ") && refused.stderr.contains(&pid), "{command:?}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{command:?}");
    }
    assert_eq!((network.project.runs("network"), network.fake.requests().len()), (runs, sent), "nothing was done");
    state.lock().unwrap().1 = true;
    changed.notify_all();
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(0));
    let rest: Vec<String> = said.collect();
    assert_eq!(second.wait().unwrap().code(), Some(0), "{rest:?}");
    network.check(&"two runs at once");
}

#[test]
fn a_run_of_the_future_is_no_harm() {
    // What the cache looks like after the clock was set back.
    let network = Network::new();
    network.project.ok(&["sync", "--no-diff"]);
    let run = network.project.runs("network").pop().unwrap();
    let name = format!(".infrahub-sync-cache/network/{run}/run.json");
    let mut file: Map<String, Value> = serde_json::from_str(&network.project.read(&name)).unwrap();
    for time in ["started_at", "finished_at"] {
        let now = file[time].as_str().unwrap().to_owned();
        file.insert(time.to_owned(), Value::from(format!("2099{}", &now[4..])));
    }
    network.project.write(&name, &Value::Object(file).to_string());
    let site = network.fake.store().ids("FakeSite", "main")[0].clone();
    let document = format!("mutation{{FakeSiteUpdate(data:{{id:\"{site}\",description:{{value:\"other\"}}}}){{ok}}}}");
    assert!(network.fake.execute("main", &document, Map::new())["errors"].is_null());
    let full = network.project.plan(&[]).1["changes"].clone();
    assert_eq!(full.as_array().unwrap().len(), 1);
    assert_eq!(network.project.plan(&["--no-full-extract"]).1["changes"], full);
    network.project.ok(&["sync", "--no-diff", "--no-full-extract"]);
    network.check(&"a run of the future");
    assert_eq!(network.project.plan(&["--no-full-extract"]).0, 0);
}
