//! Hints for the user: how to fix a failure, in terms of the command line.
//!
//! The engine and its libraries do not know the options and sub-commands of this program; these hints name them.

use infrahub_sync_cache::{Remedy, RunId};
use infrahub_sync_core::guardrail::Refusal;
use infrahub_sync_core::snapshot::{DataErrorKind, DataProblem};
use infrahub_sync_engine::EngineError;

use crate::variables;

/// The number of records with problems that fit a message; the engine stores all of them.
const PROBLEMS_SHOWN: usize = 10;

/// Returns the hints for an error of the engine, one sentence each.
pub(crate) fn engine(error: &EngineError) -> Vec<String> {
    match error {
        EngineError::Data { problems, .. } => {
            let mut hints = data(problems);
            if problems.len() > PROBLEMS_SHOWN {
                hints.push("errors.parquet of the run lists all of them".to_owned());
            }
            hints
        }
        EngineError::Guardrail(refusal) => guardrail(refusal),
        EngineError::NotPinned { side, found, .. } => {
            vec![format!("to accept this component, set `digest: {found}` below `{}:` in config.yml", side.as_str())]
        }
        EngineError::NotAccepted { config, .. } => {
            vec![format!("no requests were sent; to accept these changes, run `infrahub-sync adapter lock --config-file {config}`")]
        }
        EngineError::NotGranted { side, line, .. } => {
            vec![format!(
                "no requests were sent; if that is right for this adapter, write under `{}:` in config.yml: `{line}`",
                side.as_str()
            )]
        }
        EngineError::NoAdapterLock { config, .. } => {
            vec![format!("to accept the current adapters, run `infrahub-sync adapter lock --config-file {config}`")]
        }
        EngineError::OtherPlan { run_id, .. } => {
            vec![format!("review it with `infrahub-sync show --run-id {run_id}`, which prints the digest, and find out who changed it")]
        }
        EngineError::Drift { .. } => vec!["create a new plan with `infrahub-sync diff`".to_owned()],
        EngineError::NotExplained { candidates, .. } if !candidates.is_empty() => vec!["use one of the names above".to_owned()],
        EngineError::NotExplained { .. } => vec!["KEY is the unique id that `infrahub-sync diff` prints, such as `a__b`".to_owned()],
        EngineError::NothingToUndo { .. } => {
            vec!["`infrahub-sync cache list` lists the runs; only one that was applied can be taken back".to_owned()]
        }
        EngineError::NothingApplied { .. } => vec!["`infrahub-sync sync` or `apply` makes a state to compare with".to_owned()],
        EngineError::NoPlan { .. } => vec!["create a plan with `infrahub-sync diff`".to_owned()],
        EngineError::CursorLoop { .. } => {
            vec!["the system or the adapter repeats a page; please report this to the adapter's author".to_owned()]
        }
        EngineError::Unanswered { .. } => {
            vec!["when it answers again, resume with `infrahub-sync apply --run-id`: it reads back what was written first".to_owned()]
        }
        EngineError::Moving { .. } => vec!["run again when others write less to that list".to_owned()],
        EngineError::Records { is_file: true, .. } => vec!["correct the file".to_owned()],
        EngineError::Records { .. } => {
            vec!["correct the data there; if the data is as it should be, report this to the adapter's author".to_owned()]
        }
        EngineError::Cache(error) => error.remedy().iter().map(remedy).collect(),
        EngineError::Adapter(error) => error.hint().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Returns what to do about records that cannot be used.
fn data(problems: &[DataProblem]) -> Vec<String> {
    let mut hints = Vec::new();
    let any = |is: fn(&DataErrorKind) -> bool| problems.iter().any(|problem| is(&problem.error));
    if any(|error| matches!(error, DataErrorKind::Unmapped { .. })) {
        hints.push("correct the filters and transforms in `schema_mapping`, or these records".to_owned());
    }
    if any(|error| matches!(error, DataErrorKind::WrongType { .. })) {
        hints.push("correct the values in the source, or convert them with `transforms`".to_owned());
    }
    if any(|error| !matches!(error, DataErrorKind::Unmapped { .. } | DataErrorKind::WrongType { .. })) {
        hints.push("make the identifiers unique in `schema_mapping`, or exclude the objects with `filters`".to_owned());
    }
    hints.push("--continue-on-error leaves them out, and deletes nothing of their kinds".to_owned());
    hints
}

fn guardrail(refusal: &Refusal) -> Vec<String> {
    let mut hints = Vec::new();
    if !refusal.drops.is_empty() {
        hints.push("if the source shrank on purpose, rerun with --allow-rowcount-drop".to_owned());
    }
    if let Some(most) = refusal.deletes.iter().map(|kind| kind.deletes).max() {
        hints.push(format!("to allow these deletions, rerun with `--max-deletes {most}` or set `max_deletes`"));
    }
    hints
}

/// Returns what to do about a failure of the cache or a finding in it.
pub(crate) fn remedy(remedy: &Remedy) -> String {
    match remedy {
        Remedy::CheckDisk => format!("check the folder's permissions and free space, or set {} to another folder", variables::CACHE),
        Remedy::UseNewerProgram => format!("use the newer version of infrahub-sync, or set {} to another folder", variables::CACHE),
        Remedy::TakeOver(path) => {
            format!("remove it; or check what is in it, and run `chown -R $(id -u) {0} && chmod -R go-w {0}`", path.display())
        }
        Remedy::WaitForRun => {
            "wait for that run to end, or stop it; the lock ends with its process, so there is no file to delete".to_owned()
        }
        Remedy::FirstRun => "there are no runs yet; `infrahub-sync diff` makes one".to_owned(),
        Remedy::ChooseRun(latest) => {
            format!("the latest runs are {}", latest.iter().map(RunId::as_str).collect::<Vec<_>>().join(", "))
        }
        Remedy::RepeatRun { id, dir } => {
            format!("repeat the run with `infrahub-sync diff --run-id {id}`, or delete the folder {}", dir.display())
        }
        Remedy::RepeatStoppedRun(id) => {
            format!("the run stopped before it wrote the file; repeat it with `infrahub-sync diff --run-id {id}`")
        }
        Remedy::ReplaceOldPlan => {
            "infrahub-sync 2.0 wrote this plan, which lacks data for an apply; run `infrahub-sync diff` again".to_owned()
        }
        Remedy::ReplaceJournal => "this plan cannot be resumed, because it is unknown which of its rows were sent; \
             `infrahub-sync diff` makes a plan with the remaining changes"
            .to_owned(),
        Remedy::DeleteFile => "delete it; the next successful run writes it again".to_owned(),
        Remedy::DeleteOwnership => {
            "restore it from a copy, or delete it; nothing is then deleted until `infrahub-sync adopt` takes the objects over again"
                .to_owned()
        }
        Remedy::DeleteFormat => "the file contains the version of the cache's format, a whole number; \
             if no newer version of infrahub-sync uses this cache, delete the file"
            .to_owned(),
        Remedy::DeleteRun(dir) => format!("delete {}: a run was killed at its start, or the folder is not a run", dir.display()),
        Remedy::DeleteOtherRunsFile => "delete it: it belongs to an earlier run with the same id".to_owned(),
        Remedy::DeleteForeign => "delete it, unless it is yours".to_owned(),
        Remedy::Prune => "`infrahub-sync cache prune` removes it".to_owned(),
        Remedy::NextRun => "the next run removes it".to_owned(),
        Remedy::NextApply => "the run was killed during a write; an apply of the run removes it".to_owned(),
    }
}
