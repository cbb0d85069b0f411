//! Error statuses, broken connections and invalid answers: each must become a failure.

use infrahub_sync_runtime::{FailureKind, Kind, Role, Target};
use tempfile::TempDir;

use super::not_carried_out;
use super::reading::{Lists, RECORD, Reading};
use crate::records::{Record, difference};
use crate::report::{Finding, Verdict};
use crate::sample;
use crate::subject::{Attempt, Opening, Subject, Trouble};
use crate::system::{Fault, GARBAGE, REFUSALS, Unrecorded};

/// Lists that are tried; those of several pages first, for each page is another request.
const LISTS_MAX: usize = 3;
/// Requests of one list of which each is spoilt in turn.
const REQUESTS_MAX: usize = 5;

/// A call with a fault on the way.
enum Call<'r> {
    List(&'r Reading),
    Kinds { role: Role, targets: Vec<Target>, expected: Vec<Kind>, asked: usize },
}

/// The result: the records, or whether the kinds are the same as before.
enum Came {
    Records(Vec<Record>),
    Kinds(bool),
}

impl Call<'_> {
    fn asked(&self) -> usize {
        match self {
            Call::List(reading) => reading.asked,
            Call::Kinds { asked, .. } => *asked,
        }
    }

    fn name(&self) -> String {
        match self {
            Call::List(reading) => reading.name(),
            Call::Kinds { .. } => "the schema".to_owned(),
        }
    }

    fn opening(&self) -> Opening<'_> {
        match self {
            Call::List(reading) => Opening { folder: reading.folder.as_ref().map(TempDir::path), ..Opening::new(reading.role) },
            Call::Kinds { role, .. } => Opening::new(*role),
        }
    }

    async fn make(&self, subject: &Subject<'_>, at: usize, fault: &Fault) -> Attempt<Came> {
        let opening = Opening { fault: Some((Some(at), fault.clone())), unrecorded: Unrecorded::Missing, ..self.opening() };
        let opened = subject.open(&opening).await?;
        match self {
            Call::List(reading) => Ok(Came::Records(opened.list(&reading.request, None, false).await?.records())),
            Call::Kinds { targets, expected, .. } => Ok(Came::Kinds(opened.kinds(targets).await? == *expected)),
        }
    }
}

pub(super) async fn refusals(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    match nothing_to_spoil(subject, lists) {
        Some(verdict) => verdict,
        None => spoil(subject, lists, &REFUSALS, "map the status to its case before anything is read from the answer").await,
    }
}

pub(super) async fn garbage(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    const REMEDY: &str =
        "check an answer before you hand it over: that it is JSON, and that the list is a list (`count`), also on the last page";
    if subject.manifest.address_setting.is_none() && subject.manifest.folder_setting.is_some() {
        return files(subject, lists).await;
    }
    match nothing_to_spoil(subject, lists) {
        Some(verdict) => verdict,
        None => spoil(subject, lists, &GARBAGE, REMEDY).await,
    }
}

/// Returns the reason why no answer can be spoilt.
fn nothing_to_spoil(subject: &Subject<'_>, lists: &Lists) -> Option<Verdict> {
    if subject.manifest.address_setting.is_none() {
        return Some(Verdict::not_applicable("it has no address and sends nothing"));
    }
    if subject.stage.is_empty() {
        return Some(Verdict::not_checked(RECORD));
    }
    let nothing = lists.read.iter().all(|reading| reading.asked == 0) && !subject.manifest.schema;
    nothing.then(|| lists.each(Verdict::not_checked("reading sends no requests")))
}

async fn spoil(subject: &Subject<'_>, lists: &Lists, faults: &[Fault], remedy: &str) -> Verdict {
    let mut readings: Vec<&Reading> = lists.read.iter().filter(|reading| reading.asked > 0).collect();
    readings.sort_by_key(|reading| std::cmp::Reverse(reading.list.pages.len()));
    let mut calls: Vec<Call<'_>> = readings.into_iter().take(LISTS_MAX).map(Call::List).collect();
    if subject.manifest.schema
        && let Ok(opened) = subject.open(&Opening::new(super::settings::role(subject))).await
        && let Ok(targets) = super::schema::all_targets(subject)
        && let Ok(expected) = opened.kinds(&targets).await
    {
        calls.push(Call::Kinds { role: super::settings::role(subject), targets, expected, asked: opened.asked() });
    }
    let (mut findings, mut tried) = (Vec::new(), 0);
    for call in &calls {
        for at in 0..call.asked().min(REQUESTS_MAX) {
            for fault in faults {
                tried += 1;
                let happened = match call.make(subject, at, fault).await {
                    Err(Trouble::Failure(failure)) if failure.message.trim().is_empty() => {
                        format!("a failure without a message (`{}`)", failure.kind.as_str())
                    }
                    Err(Trouble::Failure(failure)) if fault.cases().contains(&failure.kind) => continue,
                    Err(Trouble::Failure(failure)) => {
                        format!("`{}` instead of {}: {failure}", failure.kind.as_str(), cases(fault.cases()))
                    }
                    // The host finds no list in it, and stops the run.
                    Err(Trouble::Refused(_)) => continue,
                    Err(trouble) => match not_carried_out(&trouble) {
                        // Another way was tried, which was not recorded: that is no answer of the list.
                        Some(Verdict::NotChecked { .. }) if matches!(trouble, Trouble::Missing(_)) => continue,
                        Some(verdict) => return verdict,
                        None => trouble.shown(),
                    },
                    Ok(Came::Kinds(true)) => continue,
                    Ok(Came::Kinds(false)) => "another schema, and no failure".to_owned(),
                    Ok(Came::Records(records)) => {
                        let Call::List(reading) = call else { continue };
                        // It found another way to the same records: as good.
                        match difference(&reading.list.records(), &records, true) {
                            Some(difference) => format!("no failure, but {difference}"),
                            None => continue,
                        }
                    }
                };
                let happened = format!("{} with request {} answered by {}: {happened}", call.name(), at + 1, fault.shown());
                findings.push(Finding::new(happened, remedy));
            }
        }
    }
    if calls.is_empty() {
        return lists.each(Verdict::not_checked("nothing can be read: see `reading`"));
    }
    Verdict::of(findings, format!("{tried} spoilt answers"))
}

fn cases(kinds: &[FailureKind]) -> String {
    kinds.iter().map(|kind| format!("`{}`", kind.as_str())).collect::<Vec<_>>().join(" or ")
}

/// Tries files that do not have their format.
async fn files(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    let (mut findings, mut tried) = (Vec::new(), 0);
    for format in sample::FORMATS {
        let folder = match sample::folder(format) {
            Ok(folder) => folder,
            Err(error) => return Verdict::not_checked(format!("a temporary folder cannot be made: {error}")),
        };
        let request = sample::request(subject.manifest.page_size);
        let opening = Opening { folder: Some(folder.path()), ..Opening::new(Role::Source) };
        let Ok(opened) = subject.open(&opening).await else { continue };
        if opened.list(&request, None, false).await.is_err() {
            continue;
        }
        for (what, bytes) in sample::broken(format) {
            tried += 1;
            let file = format!("{}.{format}", sample::THINGS);
            if let Err(error) = std::fs::write(folder.path().join(&file), bytes) {
                return Verdict::not_checked(format!("a temporary file cannot be written: {error}"));
            }
            opened.renew();
            let happened = match opened.list(&request, None, false).await {
                Err(Trouble::Failure(_) | Trouble::Refused(_)) => continue,
                Err(trouble) => match not_carried_out(&trouble) {
                    Some(verdict) => return verdict,
                    None => trouble.shown(),
                },
                Ok(list) => format!("no failure, but {} records", list.records().len()),
            };
            findings.push(Finding::new(
                format!("`{file}` with {what}: {happened}"),
                "refuse what cannot be read, with the file's name: what is left out looks deleted",
            ));
        }
    }
    if tried == 0 {
        return lists.each(Verdict::not_checked("it reads no sample file, so the suite can spoil no file"));
    }
    Verdict::of(findings, format!("{tried} spoilt files"))
}
