//! Hints for the user: how to fix a failure, in terms of the command line.
//!
//! The engine and its libraries do not know the options and sub-commands of this program; these hints name them.

use infrahub_sync_core::guardrail::Refusal;
use infrahub_sync_engine::EngineError;

/// The number of records with problems that fit a message; the engine stores all of them.
const PROBLEMS_SHOWN: usize = 20;

/// Returns the hints for an error of the engine, one sentence each.
pub(crate) fn engine(error: &EngineError) -> Vec<String> {
    match error {
        EngineError::Data { problems, .. } => {
            let mut hints = vec![
                "make the identifiers unique in `schema_mapping`, or exclude the objects with `filters`".to_owned(),
                "--continue-on-error leaves them out, and deletes nothing of their kinds".to_owned(),
            ];
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
        EngineError::NoAdapterLock { config, .. } => {
            vec![format!("to accept the current adapters, run `infrahub-sync adapter lock --config-file {config}`")]
        }
        EngineError::Drift { .. } => vec!["create a new plan with `infrahub-sync diff`".to_owned()],
        EngineError::NoPlan { .. } => vec!["create a plan with `infrahub-sync diff`".to_owned()],
        EngineError::CursorLoop { .. } => {
            vec!["the system or the adapter repeats a page; please report this to the adapter's author".to_owned()]
        }
        EngineError::Records { .. } => {
            vec!["the response was not a valid list of records; please report this to the adapter's author".to_owned()]
        }
        EngineError::Cache(error) => error.hint().into_iter().collect(),
        EngineError::Adapter(error) => error.hint().into_iter().collect(),
        _ => Vec::new(),
    }
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
