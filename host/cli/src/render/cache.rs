//! The cache: its runs, the removed ones, and the damage.

use std::io::{self, Write};
use std::path::Path;

use infrahub_sync_cache::{Finding, Kept, RowCounts, RunInfo, RunState, RunStatus, Standing, Survey, Verdict, Verified, freed};
use serde::Serialize;

use super::output::write_document;
use super::table::{Cell, INDENTED, Table};
use super::words::{minute, plural, size};
use crate::escape::Escaped;
use crate::hints;

/// The runs of a sync.
#[derive(Debug)]
pub(crate) struct SurveyOf<'a> {
    /// The sync.
    pub(crate) sync: &'a str,
    /// Its folder.
    pub(crate) directory: &'a Path,
    /// Its runs.
    pub(crate) survey: &'a Survey,
}

/// The removed and the kept runs of a sync.
#[derive(Debug)]
pub(crate) struct PrunedFrom<'a> {
    /// The sync.
    pub(crate) sync: &'a str,
    /// Its runs, newest first.
    pub(crate) runs: &'a [Verdict],
}

/// The findings in the cache of a sync.
#[derive(Debug)]
pub(crate) struct FoundIn<'a> {
    /// The sync.
    pub(crate) sync: &'a str,
    /// The findings.
    pub(crate) verified: &'a Verified,
}

/// Returns the result of a run, in a word.
fn status(run: &RunInfo) -> &'static str {
    match &run.state {
        RunState::Known(file) if file.status == RunStatus::Running && !run.is_running => "killed",
        RunState::Known(file) => file.status.as_str(),
        RunState::Empty => RunStatus::Pending.as_str(),
        RunState::Unreadable(_) => "unreadable",
    }
}

/// Returns the command of a run, as in `run.json`.
fn command(run: &RunInfo) -> String {
    run.file().and_then(|file| serde_json::to_value(file.mode).ok()?.as_str().map(str::to_owned)).unwrap_or_default()
}

fn plan(run: &RunInfo) -> String {
    match (run.planned(), run.standing) {
        (Some([0, 0, 0]), _) => "in sync".to_owned(),
        (Some([create, update, delete]), _) => format!("+{create} ~{update} -{delete}"),
        (None, Standing::NoPlan) => "none".to_owned(),
        (None, _) => "unknown".to_owned(),
    }
}

/// Returns the size of the files that other runs share: removing only this run does not free them.
fn shared(run: &RunInfo) -> String {
    if run.shared.is_empty() { String::new() } else { size(run.shared_bytes()) }
}

/// Returns what can be done with a run.
fn next(run: &RunInfo) -> String {
    match (run.is_running, run.standing, &run.rows) {
        (true, ..) => "running".to_owned(),
        (_, Standing::Planned, _) => "can be applied".to_owned(),
        (_, Standing::Interrupted, None) => "apply can resume".to_owned(),
        (_, Standing::Interrupted, Some(rows)) => {
            let RowCounts { planned, sent, done, unchanged, failed, skipped } = rows;
            let all = planned + sent + done + unchanged + failed + skipped;
            format!("apply can resume: {} of {all} done", done + unchanged)
        }
        (_, Standing::Unknown, _) => "its journal is unreadable".to_owned(),
        (_, Standing::NoPlan | Standing::InSync | Standing::Finished, _) => String::new(),
    }
}

/// Writes a table for each sync, and the size of all.
pub(crate) fn list_text(out: &mut impl Write, surveys: &[SurveyOf<'_>]) -> io::Result<()> {
    for (index, SurveyOf { sync, survey, .. }) in surveys.iter().enumerate() {
        let (runs, bytes) = (survey.runs.len() as u64, size(survey.bytes));
        let gap = if index > 0 { "\n" } else { "" };
        writeln!(out, "{gap}{}: {runs} {}, {bytes}", Escaped(sync), plural(runs, "run", "runs"))?;
        if survey.runs.is_empty() {
            continue;
        }
        let has_shared = survey.runs.iter().any(|run| !run.shared.is_empty());
        let header = ["Run", "Command", "Status", "Started (UTC)", "Plan", "Size", if has_shared { "Shared" } else { "" }, ""];
        let header = header.map(Cell::from);
        let rows = survey.runs.iter().map(|run| {
            [
                Escaped(run.id.as_str()).to_string(),
                command(run),
                status(run).to_owned(),
                minute(run.started),
                plan(run),
                size(run.own_bytes()),
                shared(run),
                next(run),
            ]
            .map(Cell::from)
        });
        Table { right: &[5, 6], ..INDENTED }.write(out, &std::iter::once(header).chain(rows).collect::<Vec<_>>())?;
    }
    if surveys.len() > 1 {
        writeln!(out, "\nAll: {}", size(surveys.iter().map(|survey| survey.survey.bytes).sum()))?;
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Planned {
    create: u64,
    update: u64,
    delete: u64,
}

#[derive(Debug, Serialize)]
struct RunLine<'a> {
    run_id: &'a str,
    command: String,
    status: &'static str,
    running: bool,
    standing: &'static str,
    resumable: bool,
    started_at: Option<String>,
    finished_at: Option<String>,
    plan: Option<Planned>,
    rows: Option<RowCounts>,
    bytes: u64,
    /// The part of `bytes` that other runs share.
    shared_bytes: u64,
}

impl RunLine<'_> {
    fn of(run: &RunInfo) -> RunLine<'_> {
        RunLine {
            run_id: run.id.as_str(),
            command: command(run),
            // run.json also says `running` for a killed run; `running` below is accurate.
            status: run.file().map_or_else(|| status(run), |file| file.status.as_str()),
            running: run.is_running,
            standing: run.standing.as_str(),
            resumable: run.standing.is_resumable() && !run.is_running,
            started_at: run.started.map(|time| time.to_string()),
            finished_at: run.file().and_then(|file| file.finished_at).map(|time| time.to_string()),
            plan: run.planned().map(|[create, update, delete]| Planned { create, update, delete }),
            rows: run.rows,
            bytes: run.bytes,
            shared_bytes: run.shared_bytes(),
        }
    }
}

/// Writes one JSON document.
pub(crate) fn list_json(out: &mut impl Write, surveys: &[SurveyOf<'_>]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Sync<'a> {
        sync: &'a str,
        directory: &'a Path,
        bytes: u64,
        runs: Vec<RunLine<'a>>,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        syncs: Vec<Sync<'a>>,
        bytes: u64,
    }
    let syncs = surveys.iter().map(|of| Sync {
        sync: of.sync,
        directory: of.directory,
        bytes: of.survey.bytes,
        runs: of.survey.runs.iter().map(RunLine::of).collect(),
    });
    write_document(out, &Document { syncs: syncs.collect(), bytes: surveys.iter().map(|of| of.survey.bytes).sum() })
}

/// Writes the removed runs, and on request the kept ones.
pub(crate) fn prune_text(out: &mut impl Write, pruned: &[PrunedFrom<'_>], shows_kept: bool) -> io::Result<()> {
    for PrunedFrom { sync, runs } in pruned {
        let shown: Vec<&Verdict> = runs.iter().filter(|verdict| shows_kept || verdict.kept.is_none()).collect();
        if shown.is_empty() {
            continue;
        }
        writeln!(out, "{}", Escaped(sync))?;
        let rows = shown.into_iter().map(|Verdict { run, kept }| {
            [
                if kept.is_none() { "-".to_owned() } else { " ".to_owned() },
                Escaped(run.id.as_str()).to_string(),
                size(run.own_bytes()),
                kept.map(|kept| format!("kept: {}", kept.as_str())).unwrap_or_default(),
            ]
            .map(Cell::from)
        });
        Table { right: &[2], ..INDENTED }.write(out, &rows.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Writes one JSON document.
pub(crate) fn prune_json(out: &mut impl Write, pruned: &[PrunedFrom<'_>], dry_run: bool) -> io::Result<()> {
    #[derive(Serialize)]
    struct Gone<'a> {
        run_id: &'a str,
        bytes: u64,
    }
    #[derive(Serialize)]
    struct Stays<'a> {
        run_id: &'a str,
        bytes: u64,
        reason: Kept,
    }
    #[derive(Serialize)]
    struct Sync<'a> {
        sync: &'a str,
        /// The bytes that the removal frees, without files that kept runs share.
        freed_bytes: u64,
        removed: Vec<Gone<'a>>,
        kept: Vec<Stays<'a>>,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        dry_run: bool,
        syncs: Vec<Sync<'a>>,
    }
    let syncs = pruned.iter().map(|PrunedFrom { sync, runs }| {
        let gone = runs.iter().filter(|verdict| verdict.kept.is_none());
        let stays = runs.iter().filter_map(|Verdict { run, kept }| kept.map(|reason| (run, reason)));
        Sync {
            sync,
            freed_bytes: freed(gone.clone().map(|verdict| &verdict.run)),
            removed: gone.map(|Verdict { run, .. }| Gone { run_id: run.id.as_str(), bytes: run.bytes }).collect(),
            kept: stays.map(|(run, reason)| Stays { run_id: run.id.as_str(), bytes: run.bytes, reason }).collect(),
        }
    });
    write_document(out, &Document { dry_run, syncs: syncs.collect() })
}

/// Writes the findings.
pub(crate) fn verify_text(out: &mut impl Write, found: &[FoundIn<'_>]) -> io::Result<()> {
    for finding in found.iter().flat_map(|found| &found.verified.findings) {
        let word = if finding.is_damage { "damaged" } else { "left over" };
        let path = finding.path.display().to_string();
        writeln!(out, "{word}: {}: {}", Escaped(&path), Escaped(&finding.problem))?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "    hint: {}", Escaped(&hints::remedy(remedy)))?;
        }
    }
    Ok(())
}

/// Counts the checked files and the findings.
pub(crate) fn verify_sentence(found: &[FoundIn<'_>]) -> String {
    let sum = |of: fn(&Verified) -> u64| found.iter().map(|found| of(found.verified)).sum::<u64>();
    let (runs, files) = (sum(|verified| verified.runs), sum(|verified| verified.files));
    let count = |wanted: fn(&Finding) -> bool| {
        found.iter().flat_map(|found| &found.verified.findings).filter(|finding| wanted(finding)).count() as u64
    };
    let (damaged, left_over) = (count(|finding| finding.is_damage), count(|finding| !finding.is_damage));
    let mut sentence = format!(
        "Checked {runs} {}, {files} {}, {}: ",
        plural(runs, "run", "runs"),
        plural(files, "file", "files"),
        size(sum(|verified| verified.bytes))
    );
    sentence.push_str(&match (damaged, left_over) {
        (0, 0) => "no problems".to_owned(),
        (0, left_over) => format!("no damage, {left_over} left over"),
        (damaged, 0) => format!("{damaged} damaged or missing"),
        (damaged, left_over) => format!("{damaged} damaged or missing, {left_over} left over"),
    });
    sentence
}

/// Writes one JSON document.
pub(crate) fn verify_json(out: &mut impl Write, found: &[FoundIn<'_>]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        run_id: Option<&'a str>,
        path: &'a Path,
        damaged: bool,
        problem: &'a str,
        hint: Option<String>,
    }
    #[derive(Serialize)]
    struct Sync<'a> {
        sync: &'a str,
        whole: bool,
        runs: u64,
        files: u64,
        bytes: u64,
        running: Option<&'a str>,
        findings: Vec<Line<'a>>,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        syncs: Vec<Sync<'a>>,
    }
    let syncs = found.iter().map(|FoundIn { sync, verified }| Sync {
        sync,
        whole: verified.is_whole(),
        runs: verified.runs,
        files: verified.files,
        bytes: verified.bytes,
        running: verified.running.as_ref().map(infrahub_sync_cache::RunId::as_str),
        findings: verified
            .findings
            .iter()
            .map(|finding| Line {
                run_id: finding.run.as_ref().map(infrahub_sync_cache::RunId::as_str),
                path: &finding.path,
                damaged: finding.is_damage,
                problem: &finding.problem,
                hint: finding.remedy.as_ref().map(hints::remedy),
            })
            .collect(),
    });
    write_document(out, &Document { syncs: syncs.collect() })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use infrahub_sync_cache::{Mode, Remedy, RunId, RunRecord};

    use super::*;

    fn run(id: &str, status: RunStatus, standing: Standing, planned: Option<[u64; 3]>, bytes: u64) -> RunInfo {
        let started = "2026-11-23T10:15:42Z".parse().ok();
        let mut file = RunRecord { mode: Mode::Sync, status, started_at: started, ..RunRecord::default() };
        if let Some([create, update, delete]) = planned {
            (file.summary.create, file.summary.update, file.summary.delete) = (Some(create), Some(update), Some(delete));
        }
        let id = RunId::parse(id).unwrap();
        RunInfo {
            id,
            state: RunState::Known(Box::new(file)),
            standing,
            rows: None,
            bytes,
            shared: Vec::new(),
            started,
            last: started,
            is_running: false,
            is_link: false,
        }
    }

    fn survey() -> Survey {
        let mut running = run("20261123T1016-00000001", RunStatus::Running, Standing::NoPlan, None, 17);
        running.is_running = true;
        let mut interrupted = run("20261123T1015-00000002", RunStatus::Running, Standing::Interrupted, Some([120, 3, 0]), 12_000_000);
        interrupted.rows = Some(RowCounts { planned: 20, sent: 3, done: 99, unchanged: 1, ..RowCounts::default() });
        let mut empty = run("mine", RunStatus::Pending, Standing::NoPlan, None, 0);
        empty.state = RunState::Empty;
        empty.started = None;
        let runs = vec![
            running,
            interrupted,
            run("20261123T1014-00000003", RunStatus::DryRun, Standing::Planned, Some([1, 0, 0]), 1023),
            run("20261123T1013-00000004", RunStatus::Applied, Standing::Finished, Some([1, 2, 3]), 1_048_570),
            run("20261123T1012-00000005", RunStatus::DryRun, Standing::InSync, Some([0, 0, 0]), 5_000_000_000),
            empty,
        ];
        Survey { runs, bytes: 5_013_049_610 }
    }

    fn shown(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_list_for_people() {
        let (survey, empty) = (survey(), Survey { runs: Vec::new(), bytes: 2 });
        let directory = Path::new("/c/from-netbox");
        let surveys = [
            SurveyOf { sync: "from-netbox", directory, survey: &survey },
            SurveyOf { sync: "other", directory: Path::new("/c/other"), survey: &empty },
        ];
        insta::assert_snapshot!(shown(|out| list_text(out, &surveys)), @r"
        from-netbox: 6 runs, 4.7 GiB
          Run                     Command  Status   Started (UTC)     Plan            Size
          20261123T1016-00000001  sync     running  2026-11-23 10:15  none            17 B  running
          20261123T1015-00000002  sync     killed   2026-11-23 10:15  +120 ~3 -0  11.4 MiB  apply can resume: 100 of 123 done
          20261123T1014-00000003  sync     dry-run  2026-11-23 10:15  +1 ~0 -0      1023 B  can be applied
          20261123T1013-00000004  sync     applied  2026-11-23 10:15  +1 ~2 -3     1.0 MiB
          20261123T1012-00000005  sync     dry-run  2026-11-23 10:15  in sync      4.7 GiB
          mine                             pending  unknown           none             0 B

        other: 0 runs, 2 B

        All: 4.7 GiB
        ");
        insta::assert_snapshot!(shown(|out| list_text(out, &surveys[1..])), @"other: 0 runs, 2 B");
        assert_eq!(shown(|out| list_text(out, &[])), "");
    }

    #[test]
    fn a_list_for_programs() {
        let mut survey = survey();
        survey.runs.truncate(2);
        let surveys = [SurveyOf { sync: "from-netbox", directory: Path::new("/c/from-netbox"), survey: &survey }];
        insta::assert_snapshot!(shown(|out| list_json(out, &surveys)), @r#"
        {
          "syncs": [
            {
              "sync": "from-netbox",
              "directory": "/c/from-netbox",
              "bytes": 5013049610,
              "runs": [
                {
                  "run_id": "20261123T1016-00000001",
                  "command": "sync",
                  "status": "running",
                  "running": true,
                  "standing": "no-plan",
                  "resumable": false,
                  "started_at": "2026-11-23T10:15:42Z",
                  "finished_at": null,
                  "plan": null,
                  "rows": null,
                  "bytes": 17,
                  "shared_bytes": 0
                },
                {
                  "run_id": "20261123T1015-00000002",
                  "command": "sync",
                  "status": "running",
                  "running": false,
                  "standing": "interrupted",
                  "resumable": true,
                  "started_at": "2026-11-23T10:15:42Z",
                  "finished_at": null,
                  "plan": {
                    "create": 120,
                    "update": 3,
                    "delete": 0
                  },
                  "rows": {
                    "planned": 20,
                    "sent": 3,
                    "done": 99,
                    "unchanged": 1,
                    "failed": 0,
                    "skipped": 0
                  },
                  "bytes": 12000000,
                  "shared_bytes": 0
                }
              ]
            }
          ],
          "bytes": 5013049610
        }
        "#);
    }

    #[test]
    fn what_was_pruned() {
        let reasons = [Some(Kept::Running), Some(Kept::Interrupted), Some(Kept::NewestPlan), None, None, Some(Kept::NoRun)];
        let runs: Vec<Verdict> = survey().runs.into_iter().zip(reasons).map(|(run, kept)| Verdict { run, kept }).collect();
        let pruned = [PrunedFrom { sync: "from-netbox", runs: &runs }, PrunedFrom { sync: "other", runs: &[] }];
        insta::assert_snapshot!(shown(|out| prune_text(out, &pruned, false)), @r"
        from-netbox
          -  20261123T1013-00000004  1.0 MiB
          -  20261123T1012-00000005  4.7 GiB
        ");
        insta::assert_snapshot!(shown(|out| prune_text(out, &pruned, true)), @r"
        from-netbox
             20261123T1016-00000001      17 B  kept: it is running
             20261123T1015-00000002  11.4 MiB  kept: an apply can resume it
             20261123T1014-00000003    1023 B  kept: it is the newest plan that can be applied
          -  20261123T1013-00000004   1.0 MiB
          -  20261123T1012-00000005   4.7 GiB
             mine                         0 B  kept: its folder does not look like a run
        ");
        insta::assert_snapshot!(shown(|out| prune_json(out, &pruned, true)), @r#"
        {
          "dry_run": true,
          "syncs": [
            {
              "sync": "from-netbox",
              "freed_bytes": 5001048570,
              "removed": [
                {
                  "run_id": "20261123T1013-00000004",
                  "bytes": 1048570
                },
                {
                  "run_id": "20261123T1012-00000005",
                  "bytes": 5000000000
                }
              ],
              "kept": [
                {
                  "run_id": "20261123T1016-00000001",
                  "bytes": 17,
                  "reason": "running"
                },
                {
                  "run_id": "20261123T1015-00000002",
                  "bytes": 12000000,
                  "reason": "interrupted"
                },
                {
                  "run_id": "20261123T1014-00000003",
                  "bytes": 1023,
                  "reason": "newest-plan"
                },
                {
                  "run_id": "mine",
                  "bytes": 0,
                  "reason": "no-run"
                }
              ]
            },
            {
              "sync": "other",
              "freed_bytes": 0,
              "removed": [],
              "kept": []
            }
          ]
        }
        "#);
    }

    #[test]
    fn what_was_found() {
        let finding = |path: &str, problem: &str, remedy: Option<Remedy>, is_damage| Finding {
            run: RunId::parse("r").ok(),
            path: PathBuf::from(path),
            problem: problem.to_owned(),
            remedy,
            is_damage,
        };
        let mut verified = Verified { runs: 2, files: 40, bytes: 12_000_000, ..Verified::default() };
        let sentence = |verified: &Verified| verify_sentence(&[FoundIn { sync: "s", verified }]);
        let mut sentences = vec![sentence(&verified)];
        verified.findings.push(finding("/c/s/r/\u{1b}.tmp", "an unfinished file", None, false));
        sentences.push(sentence(&verified));
        verified.findings.push(finding("/c/s/r/A/K.parquet", "it does not exist", Some(Remedy::DeleteFile), true));
        sentences.push(sentence(&verified));
        verified.findings.remove(0);
        sentences.push(sentence(&verified));
        insta::assert_snapshot!(sentences.join("\n"), @r"
        Checked 2 runs, 40 files, 11.4 MiB: no problems
        Checked 2 runs, 40 files, 11.4 MiB: no damage, 1 left over
        Checked 2 runs, 40 files, 11.4 MiB: 1 damaged or missing, 1 left over
        Checked 2 runs, 40 files, 11.4 MiB: 1 damaged or missing
        ");
        verified.findings.push(finding("/c/s/r/\u{1b}.tmp", "an unfinished file", None, false));
        verified.running = RunId::parse("now").ok();
        let found = [FoundIn { sync: "s", verified: &verified }];
        insta::assert_snapshot!(shown(|out| verify_text(out, &found)), @r"
        damaged: /c/s/r/A/K.parquet: it does not exist
            hint: delete it; the next successful run writes it again
        left over: /c/s/r/\u{1b}.tmp: an unfinished file
        ");
        insta::assert_snapshot!(shown(|out| verify_json(out, &found)), @r#"
        {
          "syncs": [
            {
              "sync": "s",
              "whole": false,
              "runs": 2,
              "files": 40,
              "bytes": 12000000,
              "running": "now",
              "findings": [
                {
                  "run_id": "r",
                  "path": "/c/s/r/A/K.parquet",
                  "damaged": true,
                  "problem": "it does not exist",
                  "hint": "delete it; the next successful run writes it again"
                },
                {
                  "run_id": "r",
                  "path": "/c/s/r/\u001b.tmp",
                  "damaged": false,
                  "problem": "an unfinished file",
                  "hint": null
                }
              ]
            }
          ]
        }
        "#);
    }
}
