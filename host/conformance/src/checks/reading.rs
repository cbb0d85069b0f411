//! Reading: pages, cursors, fields, incremental reads.

use std::collections::HashSet;

use infrahub_sync_runtime::{Cursor, FailureKind, LoadRequest, Role};
use tempfile::TempDir;

use super::{FOREIGN_WATERMARK, PAGES_COMPARED, UNKNOWN_RESOURCE, not_carried_out, page_sizes};
use crate::records::{difference, id, shown};
use crate::report::{Finding, Verdict};
use crate::sample;
use crate::subject::{Attempt, List, Opened, Opening, Subject, Trouble};
use crate::system::Unrecorded;

/// The reason where recorded exchanges are missing.
pub(super) const RECORD: &str = "there are no recorded exchanges: record some with `infrahub-sync adapter check ADAPTER --config-file config.yml --record DIR`, once, \
     against a system that you may read; afterwards --replay DIR needs neither network nor credentials";
/// The reason where nothing says what to read.
pub(super) const PROJECT: &str = "nothing says what to read: name a project that uses the adapter with --config-file";

/// A list that can be read.
pub(super) struct Reading {
    pub(super) role: Role,
    pub(super) request: LoadRequest,
    /// Fields that the system need not have.
    computed: Vec<String>,
    /// The sample folder that it is in; none: the project's, or none at all.
    pub(super) folder: Option<TempDir>,
    pub(super) list: List,
    /// The requests that reading it takes.
    pub(super) asked: usize,
}

impl Reading {
    fn opening(&self) -> Opening<'_> {
        Opening { folder: self.folder.as_ref().map(TempDir::path), ..Opening::new(self.role) }
    }

    /// Returns its name in a finding.
    pub(super) fn name(&self) -> String {
        match &self.folder {
            Some(_) => format!("`{}` in a folder of samples", self.request.resource),
            None => format!("`{}`", self.request.resource),
        }
    }

    pub(super) async fn open<'s, 'a>(&self, subject: &'s Subject<'a>) -> Attempt<Opened<'s, 'a>> {
        subject.open(&self.opening()).await
    }
}

/// The lists that can be read, and the verdict about reading them at all.
pub(super) struct Lists {
    pub(super) verdict: Verdict,
    pub(super) read: Vec<Reading>,
    /// Lists without an end.
    endless: Vec<String>,
}

impl Lists {
    fn without(verdict: Verdict) -> Lists {
        Lists { verdict, read: Vec::new(), endless: Vec::new() }
    }

    /// Returns the verdict of a check about each list. Without a readable list the check has no verdict of its own.
    pub(super) fn each(&self, verdict: Verdict) -> Verdict {
        match &self.verdict {
            _ if !self.read.is_empty() => verdict,
            Verdict::Failed { .. } | Verdict::Passed { .. } => Verdict::not_checked("nothing can be read: see `reading`"),
            _ if matches!(verdict, Verdict::Failed { .. }) => verdict,
            nothing => nothing.clone(),
        }
    }
}

/// Reads each list once, as a run does.
pub(super) async fn read(subject: &Subject<'_>) -> Lists {
    let manifest = &subject.manifest;
    let mut candidates: Vec<(Role, crate::Reading, Option<TempDir>)> = Vec::new();
    if !subject.options.readings.is_empty() {
        if manifest.address_setting.is_some() && subject.stage.is_empty() {
            return Lists::without(Verdict::not_checked(RECORD));
        }
        candidates.extend(subject.options.readings.iter().map(|reading| (subject.options.role, reading.clone(), None)));
    } else if manifest.source.is_none() {
        return Lists::without(Verdict::not_applicable("it is not a source; `writes` reads back what it has written"));
    } else if manifest.folder_setting.is_none() {
        return Lists::without(Verdict::not_checked(PROJECT));
    } else {
        for format in sample::FORMATS {
            match sample::folder(format) {
                Ok(folder) => candidates.push((Role::Source, crate::Reading::new(sample::request(manifest.page_size)), Some(folder))),
                Err(error) => return Lists::without(Verdict::not_checked(format!("a temporary folder cannot be made: {error}"))),
            }
        }
    }
    let (mut findings, mut read, mut endless, mut missing) = (Vec::new(), Vec::new(), Vec::new(), None);
    let samples = candidates.iter().all(|(_, _, folder)| folder.is_some());
    for (role, crate::Reading { request, computed }, folder) in candidates {
        let mut reading = Reading { role, request, computed, folder, list: List::default(), asked: 0 };
        let attempt = match reading.open(subject).await {
            Ok(opened) => opened.list(&reading.request, None, false).await.map(|list| (list, opened.asked())),
            Err(trouble) => Err(trouble),
        };
        match attempt {
            Ok((list, asked)) => {
                (reading.list, reading.asked) = (list, asked);
                read.push(reading);
            }
            Err(Trouble::Missing(reason)) => drop(missing.get_or_insert(reason)),
            Err(Trouble::Limit(_)) => drop(missing.get_or_insert("a call ended at a limit: see `limits`".to_owned())),
            Err(Trouble::Endless(reason)) => {
                endless.push(format!("{}: {reason}", reading.name()));
                missing.get_or_insert("a list has no end: see `paging`".to_owned());
            }
            // Which formats a folder may have is the adapter's own business.
            Err(Trouble::Failure(failure)) if samples && matches!(failure.kind, FailureKind::Config | FailureKind::NotFound) => {}
            Err(trouble) => findings.push(Finding::new(
                format!("{} cannot be read: {}", reading.name(), trouble.shown()),
                "a page is records at a pointer of an answer, JSON lines or columns; everything else is a failure with its case",
            )),
        }
    }
    if findings.is_empty() && read.is_empty() {
        let without = Lists::without(match missing {
            Some(reason) => Verdict::not_checked(reason),
            None => Verdict::not_checked(format!(
                "it reads no file `{}` as {}: {PROJECT}",
                sample::THINGS,
                sample::FORMATS.map(|format| format!(".{format}")).join(", ")
            )),
        });
        return Lists { endless, ..without };
    }
    let records: usize = read.iter().map(|reading| reading.list.records().len()).sum();
    let pages: usize = read.iter().map(|reading| reading.list.pages.len()).sum();
    let verdict = match missing {
        Some(reason) if findings.is_empty() => Verdict::not_checked(format!("{} lists were read; of another, {reason}", read.len())),
        _ => Verdict::of(findings, format!("{} lists, {pages} pages, {records} records", read.len())),
    };
    Lists { verdict, read, endless }
}

/// Opens a list; trouble that another check covers ends this one.
macro_rules! opened {
    ($reading:expr, $subject:expr, $findings:ident) => {
        match $reading.open($subject).await {
            Ok(opened) => opened,
            Err(trouble) => match not_carried_out(&trouble) {
                Some(verdict) => return verdict,
                None => {
                    $findings.push(Finding::new(format!("it does not start: {}", trouble.shown()), "see `settings`"));
                    continue;
                }
            },
        }
    };
}

pub(super) async fn paging(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    let endless = |happened: &String| Finding::new(happened, "the cursor says what comes next, not what came; the last page has no `next`");
    let mut findings: Vec<Finding> = lists.endless.iter().map(endless).collect();
    let mut pages = 0;
    for reading in &lists.read {
        let (name, records) = (reading.name(), reading.list.records());
        pages += reading.list.pages.len();
        let mut ids = HashSet::new();
        for record in &records {
            if let Some(twice) = id(record).filter(|id| subject.manifest.has_ids && !ids.insert(id.clone())) {
                findings.push(Finding::new(
                    format!("{name} has the id {twice} on two pages, or twice on one"),
                    "page by id or by the system's own cursor: with offsets pages overlap or leave something out when the list moves",
                ));
                break;
            }
        }
        if let Some(total) = reading.list.total.filter(|total| *total != records.len() as u64) {
            findings.push(Finding::new(
                format!("{name} has {} records, and its `total` is {total}", records.len()),
                "`total` is the number of objects that the resource has, on the first page; leave it out where the system does not tell",
            ));
        }
        if subject.manifest.evidence.total && reading.list.total.is_none() {
            findings.push(Finding::new(
                format!("{name} has no `total` on its first page"),
                "the manifest says that pages carry it (`evidence`): return the number that the system reports",
            ));
        }
        let opened = opened!(reading, subject, findings);
        for time in ["second", "third"] {
            match opened.list(&reading.request, None, false).await {
                Ok(again) => {
                    if let Some(difference) = difference(&records, &again.records(), true) {
                        findings.push(Finding::new(
                            format!("{name} is another list the {time} time: {difference}"),
                            "`load` answers from its request and the system alone: nothing is kept between calls",
                        ));
                        break;
                    }
                }
                Err(trouble) => match not_carried_out(&trouble) {
                    Some(verdict) => return verdict,
                    None => {
                        let happened = format!("{name} cannot be read a {time} time: {}", trouble.shown());
                        findings.push(Finding::new(happened, "`load` answers from its request and the system alone"));
                        break;
                    }
                },
            }
        }
    }
    Verdict::of(findings, format!("{pages} pages of {} lists, three times each", lists.read.len()))
}

pub(super) async fn instances(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    const REMEDY: &str = "keep the place to continue in the cursor, and what all instances need in a memo: any instance serves any page";
    let mut findings = Vec::new();
    for reading in &lists.read {
        let name = reading.name();
        let opened = opened!(reading, subject, findings);
        // The last page first: whatever an instance remembers of the page before is of no use.
        for (number, page) in reading.list.pages.iter().enumerate().rev() {
            opened.renew();
            match opened.page(LoadRequest { cursor: page.cursor.clone(), ..reading.request.clone() }).await {
                Ok((again, _)) => {
                    if let Some(difference) = difference(&page.records, &again.records(), true) {
                        let happened = format!("page {} of {name}, asked of a new instance, is another one: {difference}", number + 1);
                        findings.push(Finding::new(happened, REMEDY));
                        break;
                    }
                }
                Err(trouble) => match not_carried_out(&trouble) {
                    Some(verdict) => return verdict,
                    None => {
                        let happened = format!("page {} of {name} cannot be asked of a new instance: {}", number + 1, trouble.shown());
                        findings.push(Finding::new(happened, REMEDY));
                        break;
                    }
                },
            }
        }
    }
    Verdict::of(findings, format!("each page of {} lists, from the last to the first", lists.read.len()))
}

pub(super) async fn page_breaks(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    let (mut findings, mut sizes, mut missing) = (Vec::new(), HashSet::new(), None);
    for reading in &lists.read {
        let (name, records) = (reading.name(), reading.list.records());
        for page_size in page_sizes(reading.request.page_size) {
            let opened = opened!(reading, subject, findings);
            let request = LoadRequest { page_size, ..reading.request.clone() };
            match opened.list(&request, Some(PAGES_COMPARED), false).await {
                Ok(list) => {
                    sizes.insert(page_size);
                    if let Some(difference) = difference(&records, &list.records(), list.whole) {
                        findings.push(Finding::new(
                            format!(
                                "{name} in pages of {page_size} is another list than in pages of {}: {difference}",
                                request_size(reading)
                            ),
                            "the last record of a page and the first of the next are neighbours: look at the cursor",
                        ));
                    }
                }
                Err(Trouble::Missing(reason)) => drop(missing.get_or_insert(reason)),
                Err(trouble) => match not_carried_out(&trouble) {
                    Some(verdict) => return verdict,
                    None => {
                        let happened = format!("{name} cannot be read in pages of {page_size}: {}", trouble.shown());
                        findings
                            .push(Finding::new(happened, "`page-size` is a wish: take what the system allows, and continue from there"));
                    }
                },
            }
        }
    }
    match missing {
        Some(reason) if findings.is_empty() => {
            Verdict::not_checked(format!("only one page size was recorded ({reason}): `adapter check --record` records others, too"))
        }
        _ => {
            let mut sizes: Vec<u32> = sizes.into_iter().collect();
            sizes.sort_unstable();
            let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
            Verdict::of(findings, format!("pages of {} records", sizes.join(", ")))
        }
    }
}

fn request_size(reading: &Reading) -> u32 {
    reading.request.page_size
}

pub(super) fn fields(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    let mut findings = Vec::new();
    let mut names = 0;
    for reading in &lists.read {
        let (name, records) = (reading.name(), reading.list.records());
        if let Some(stranger) = reading.list.columns.iter().find(|column| *column != "id" && !reading.request.fields.contains(column)) {
            findings.push(Finding::new(
                format!("{name} has a packed column `{stranger}`, which was not requested"),
                "columns are named by the dotted paths that were asked for",
            ));
        }
        if let Some(record) = records.iter().find(|record| subject.manifest.has_ids && id(record).is_none()) {
            findings.push(Finding::new(
                format!("{name} has a record without `id`: {}", shown(Some(record))),
                "the manifest says that objects have ids: each record needs its own, as `id`",
            ));
        }
        if records.is_empty() {
            continue;
        }
        for field in reading.request.fields.iter().filter(|field| !reading.computed.contains(field)) {
            names += 1;
            // Whatever is below a name may be missing in any record, and is in many.
            let top = field.split('.').next().unwrap_or(field);
            let same_top = |other: &String| other.split('.').next() == Some(top);
            if !records.iter().any(|record| record.keys().any(same_top)) {
                // `site.name` where every site is null, say: the page has the name, its value leads nowhere.
                if field != top {
                    continue;
                }
                findings.push(Finding::new(
                    format!("no record of {name} has `{field}`, which was asked for"),
                    "return it (null where there is nothing), or refuse the request as `config` when the system has no such field",
                ));
            }
        }
    }
    Verdict::of(findings, format!("{names} fields of {} lists", lists.read.len()))
}

pub(super) async fn cursors(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    const FOREIGN: [(&str, &[u8]); 3] = [("no bytes", b""), ("bytes that are no text", b"\xff\xfe\x00"), ("`garbage`", b"garbage")];
    let mut findings = Vec::new();
    for reading in lists.read.iter().take(3) {
        let name = reading.name();
        let opened = opened!(reading, subject, findings);
        for (what, bytes) in FOREIGN {
            let request = LoadRequest { cursor: Some(Cursor(bytes.to_vec())), ..reading.request.clone() };
            let happened = match opened.page(request).await {
                // It went to the system with it, which would refuse it.
                Err(Trouble::Failure(_) | Trouble::Missing(_) | Trouble::Refused(_)) => continue,
                Err(Trouble::Limit(_)) => return Verdict::not_checked("a call ended at a limit: see `limits`"),
                Err(Trouble::Broke(reason) | Trouble::Endless(reason)) => reason,
                // Nothing, and its end: some systems answer so where nothing follows.
                Ok((list, None)) if list.records().is_empty() && bytes.is_empty() => continue,
                Ok((list, _)) => format!("it answers with {} records", list.records().len()),
            };
            findings.push(Finding::new(
                format!("{name} from a cursor of {what} on: {happened}"),
                "read the cursor with care (`cursor_as` in the SDKs) and return a failure for a foreign one",
            ));
        }
    }
    Verdict::of(findings, "3 foreign cursors")
}

pub(super) async fn since(subject: &Subject<'_>, lists: &Lists) -> Verdict {
    let (mut findings, mut missing, mut tried) = (Vec::new(), None, Vec::new());
    for reading in &lists.read {
        let (name, records) = (reading.name(), reading.list.records());
        let opened = opened!(reading, subject, findings);
        let own = reading.list.watermark.as_deref();
        for since in own.into_iter().chain([FOREIGN_WATERMARK]) {
            let foreign = since == FOREIGN_WATERMARK;
            let whose = if foreign { "a watermark that is not its own" } else { "its own watermark" };
            let mut wrong =
                |happened: String, remedy: &str| findings.push(Finding::new(format!("{name} since {whose}: {happened}"), remedy));
            match opened.list(&LoadRequest { since: Some(since.to_owned()), ..reading.request.clone() }, None, false).await {
                Err(Trouble::Missing(reason)) => drop(missing.get_or_insert(reason)),
                Err(Trouble::Failure(failure)) if failure.kind == FailureKind::Unsupported || foreign => tried.push("refused"),
                Err(Trouble::Failure(failure)) => wrong(
                    format!("`{}`: {failure}", failure.kind.as_str()),
                    "return `unsupported` where the system does not report changes: the host then reads everything",
                ),
                Err(trouble) => match not_carried_out(&trouble) {
                    Some(verdict) => return verdict,
                    None => wrong(
                        trouble.shown(),
                        "return `unsupported` where the system does not report changes: the host then reads everything",
                    ),
                },
                Ok(list) => {
                    tried.push("answered");
                    let changed = list.records();
                    // Nothing has changed on a system that only repeats its answers: what is told has to be of the same objects.
                    if let Some(stranger) =
                        changed.iter().find(|record| id(record).is_some() && !records.iter().any(|known| id(known) == id(record)))
                    {
                        wrong(
                            format!("a record that the list does not have: {}", shown(Some(stranger))),
                            "records are those of the list, each whole",
                        );
                    } else if foreign && changed.len() < records.len() {
                        wrong(
                            format!("{} of {} records, as if the others had not changed", changed.len(), records.len()),
                            "a watermark that you cannot read says nothing: answer `unsupported`, or with everything",
                        );
                    }
                    if !foreign && list.watermark.is_none() {
                        wrong(
                            "the first page has no watermark".to_owned(),
                            "without one the next run does not know where to continue, and reads everything",
                        );
                    }
                    let gone = list.deleted.iter().flatten().find(|gone| records.iter().any(|record| id(record).as_ref() == Some(gone)));
                    if let Some(gone) = gone {
                        wrong(format!("`deleted` names {gone}, which is there"), "name what was deleted and has not come back");
                    }
                    if let Some(total) = list.total.filter(|total| *total != records.len() as u64) {
                        wrong(
                            format!("`total` is {total}, and the list has {} records", records.len()),
                            "`total` is the number of all objects, not of the changed ones: by it the host finds out what was deleted",
                        );
                    }
                }
            }
        }
    }
    match missing {
        Some(reason) if findings.is_empty() && tried.is_empty() => {
            Verdict::not_checked(format!("incremental reads were not recorded ({reason}): `adapter check --record` records them, too"))
        }
        _ => {
            let answered = tried.iter().filter(|tried| **tried == "answered").count();
            Verdict::of(findings, format!("{answered} incremental reads answered, {} refused", tried.len() - answered))
        }
    }
}

pub(super) async fn unknown_resources(subject: &Subject<'_>) -> Verdict {
    if subject.manifest.source.is_none() {
        return Verdict::not_applicable("it is not a source");
    }
    let folder = match sample::folder("json") {
        Ok(folder) => folder,
        Err(error) => return Verdict::not_checked(format!("a temporary folder cannot be made: {error}")),
    };
    let opening = Opening { folder: Some(folder.path()), unrecorded: Unrecorded::NotFound, ..Opening::new(Role::Source) };
    let request = LoadRequest {
        resource: UNKNOWN_RESOURCE.to_owned(),
        targets: vec![sample::of_fields("Unknown", Some(UNKNOWN_RESOURCE.to_owned()), &["name".to_owned()])],
        fields: vec!["name".to_owned()],
        page_size: subject.manifest.page_size,
        ..LoadRequest::default()
    };
    let attempt = match subject.open(&opening).await {
        Ok(opened) => opened.list(&request, Some(1), false).await,
        Err(trouble) => Err(trouble),
    };
    let happened = match attempt {
        Err(Trouble::Failure(failure)) if matches!(failure.kind, FailureKind::Config | FailureKind::NotFound) => {
            return Verdict::of(Vec::new(), format!("`{UNKNOWN_RESOURCE}`: {failure}"));
        }
        Err(trouble) => match not_carried_out(&trouble) {
            Some(verdict) => return verdict,
            None => trouble.shown(),
        },
        Ok(list) => format!("{} records", list.records().len()),
    };
    let remedy =
        "refuse it as `config` (the mapping names it) or as `not-found` (the system says so): an empty list looks as if all were deleted";
    Verdict::of(vec![Finding::new(format!("`{UNKNOWN_RESOURCE}`: {happened}"), remedy)], "")
}
