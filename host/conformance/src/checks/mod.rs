//! The checks, in the order in which they are reported.

pub(crate) mod absence;
mod faults;
mod manifest;
mod reading;
mod schema;
mod secrets;
mod settings;
mod writing;

use infrahub_sync_runtime::{Adapter, Addressing, Manifest, Target};

use crate::Options;
use crate::report::{Check, Report, Verdict};
use crate::sample;
use crate::subject::{Subject, Trouble};

/// A resource, a kind and a field that no system has.
pub(crate) const UNKNOWN_RESOURCE: &str = "no_such_resource_7f3a";
/// See [`UNKNOWN_RESOURCE`].
pub(crate) const UNKNOWN_KIND: &str = "NoSuchKind7f3a";
/// See [`UNKNOWN_RESOURCE`].
pub(crate) const UNKNOWN_FIELD: &str = "no_such_field_7f3a";
/// A watermark that no adapter has given.
pub(crate) const FOREIGN_WATERMARK: &str = "no watermark of this adapter";
/// Pages that are read of a list for the comparison of page sizes. Enough to meet breaks, and no more than a server bears.
pub(crate) const PAGES_COMPARED: usize = 20;

/// Returns the page sizes that are compared with the adapter's own.
pub(crate) fn page_sizes(own: u32) -> impl Iterator<Item = u32> {
    [1, 2, 7, 50].into_iter().filter(move |size| *size != own)
}

/// Returns the words by which the schema of an adapter is addressed.
pub(crate) fn addressing(manifest: &Manifest) -> Addressing {
    manifest.destination.or(manifest.source).unwrap_or(Addressing::Kind)
}

/// Returns the targets of the project's readings, each once.
pub(crate) fn targets(options: &Options<'_>) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for target in options.readings.iter().flat_map(|reading| &reading.request.targets) {
        if !targets.contains(target) {
            targets.push(target.clone());
        }
    }
    targets
}

/// Returns a target that no system has.
pub(crate) fn unknown_target(addressing: Addressing) -> Target {
    let resource = match addressing {
        Addressing::Mapping => Some(UNKNOWN_RESOURCE.to_owned()),
        Addressing::Kind => None,
    };
    sample::of_fields(UNKNOWN_KIND, resource, &["name".to_owned()])
}

/// A check's name and the promise in one line.
#[derive(Clone, Copy)]
struct Promise(&'static str, &'static str);

const MANIFEST: Promise = Promise("manifest", "the adapter describes itself: names, versions, settings and sizes make sense");
const DESCRIBE: Promise = Promise("describe", "it describes itself the same each time, and reaches for nothing meanwhile");
const SETTINGS: Promise = Promise("settings", "it starts with the settings that it requires, without asking its system");
const SETTINGS_ERRORS: Promise = Promise("settings-errors", "an invalid setting is refused as `config`, by its name");
const READING: Promise = Promise("reading", "the lists of a project can be read");
const PAGING: Promise = Promise("paging", "pages come to an end, do not overlap, and are the same the second time");
const INSTANCES: Promise = Promise("instances", "any instance serves any page: nothing is kept between calls");
const PAGE_BREAKS: Promise = Promise("page-breaks", "the records do not depend on where pages break");
const FIELDS: Promise = Promise("fields", "the fields that are asked for are there, and ids where there are ids");
const CURSORS: Promise = Promise("cursors", "a cursor that is not its own is refused");
const SINCE: Promise = Promise("since", "an incremental read loses nothing, or is refused as `unsupported`");
const READS_IDS: Promise = Promise("reads-ids", "a read that is limited to ids returns these objects and no others");
const ABSENT: Promise = Promise("absent", "an object that is listed is not reported as deleted, and an unknown id not as present");
const UNKNOWN_RESOURCES: Promise = Promise("unknown-resources", "an unknown resource is refused as `config` or `not-found`");
const REFUSALS: Promise = Promise("refusals", "error statuses and broken connections become failures of the right case");
const GARBAGE: Promise = Promise("garbage", "a malformed response is a failure, never an empty or truncated list");
const KINDS: Promise = Promise("kinds", "the schema is consistent, and the same each time");
const WRITES_NOTHING: Promise = Promise("writes-nothing", "a run that writes nothing begins, commits and finishes");
const WRITES: Promise = Promise("writes", "rows are answered one by one, in order, and are there afterwards");
const WRITES_AGAIN: Promise = Promise("writes-again", "the same rows again do no harm");
const UPDATES: Promise = Promise("updates", "a change is made, and nothing else is changed");
const DELETES: Promise = Promise("deletes", "deleted objects are gone, and deleting them again does no harm");
const CASCADES: Promise = Promise("cascades", "a delete takes along what `cascade` says, and never the objects themselves");
const UNKNOWN_KINDS: Promise = Promise("unknown-kinds", "rows of a kind that the system does not have are refused");
const UNKNOWN_FIELDS: Promise = Promise("unknown-fields", "rows with a field that the system does not have are refused");
const SECRETS: Promise = Promise("secrets", "no secret is in anything that it says");
const LIMITS: Promise = Promise("limits", "memory and time stay within the default limits");

/// All of them, in the order in which they are reported.
const ALL: [Promise; 27] = [
    MANIFEST,
    DESCRIBE,
    SETTINGS,
    SETTINGS_ERRORS,
    READING,
    PAGING,
    INSTANCES,
    PAGE_BREAKS,
    FIELDS,
    CURSORS,
    SINCE,
    READS_IDS,
    ABSENT,
    UNKNOWN_RESOURCES,
    REFUSALS,
    GARBAGE,
    KINDS,
    WRITES_NOTHING,
    WRITES,
    WRITES_AGAIN,
    UPDATES,
    CASCADES,
    DELETES,
    UNKNOWN_KINDS,
    UNKNOWN_FIELDS,
    SECRETS,
    LIMITS,
];

/// The checks so far.
struct Ledger(Vec<Check>);

impl Ledger {
    fn note(&mut self, promise: Promise, verdict: Verdict) {
        self.0.push(Check { name: promise.0, about: promise.1, verdict });
    }

    /// Ends the report: the remaining checks cannot be carried out.
    fn end(mut self, name: String, version: String, reason: &str) -> Report {
        for promise in ALL.into_iter().skip(self.0.len()) {
            self.note(promise, Verdict::not_checked(reason));
        }
        Report { adapter: name, version, checks: self.0 }
    }
}

pub(crate) async fn run(adapter: &Adapter, options: &Options<'_>) -> Report {
    let mut ledger = Ledger(Vec::new());
    let described = match adapter.describe().await {
        Ok(described) => described,
        Err(error) => {
            ledger.note(MANIFEST, manifest::undescribed(&error));
            return ledger.end(adapter.name(), String::new(), "the adapter does not describe itself: see `manifest`");
        }
    };
    let (name, version) = (described.name.clone(), described.version.clone());
    let subject = Subject::new(adapter, described, options);
    ledger.note(MANIFEST, manifest::manifest(&subject));
    ledger.note(DESCRIBE, manifest::describe(&subject).await);
    let (starts, verdict) = settings::settings(&subject).await;
    ledger.note(SETTINGS, verdict);
    if !starts {
        let report = ledger.end(name, version, "it does not start: see `settings`");
        return Report { checks: report.checks.into_iter().map(|check| with_limits(&subject, check)).collect(), ..report };
    }
    ledger.note(SETTINGS_ERRORS, settings::errors(&subject).await);
    let lists = reading::read(&subject).await;
    ledger.note(READING, lists.verdict.clone());
    ledger.note(PAGING, lists.each(reading::paging(&subject, &lists).await));
    ledger.note(INSTANCES, lists.each(reading::instances(&subject, &lists).await));
    ledger.note(PAGE_BREAKS, lists.each(reading::page_breaks(&subject, &lists).await));
    ledger.note(FIELDS, lists.each(reading::fields(&subject, &lists)));
    ledger.note(CURSORS, lists.each(reading::cursors(&subject, &lists).await));
    ledger.note(SINCE, lists.each(reading::since(&subject, &lists).await));
    ledger.note(READS_IDS, lists.each(absence::reads_ids(&subject, &lists).await));
    ledger.note(ABSENT, lists.each(absence::absent(&subject, &lists).await));
    ledger.note(UNKNOWN_RESOURCES, reading::unknown_resources(&subject).await);
    ledger.note(REFUSALS, faults::refusals(&subject, &lists).await);
    ledger.note(GARBAGE, faults::garbage(&subject, &lists).await);
    ledger.note(KINDS, schema::kinds(&subject).await);
    let mut stage = writing::Written::new(&subject).await;
    ledger.note(WRITES_NOTHING, writing::nothing(&subject, &stage).await);
    let (creates, again) = writing::creates(&subject, &mut stage).await;
    ledger.note(WRITES, creates);
    ledger.note(WRITES_AGAIN, again);
    ledger.note(UPDATES, writing::updates(&subject, &stage).await);
    ledger.note(CASCADES, writing::cascades(&subject, &stage).await);
    ledger.note(DELETES, writing::deletes(&subject, &stage).await);
    ledger.note(UNKNOWN_KINDS, writing::unknown_kinds(&subject, &stage).await);
    ledger.note(UNKNOWN_FIELDS, writing::unknown_fields(&subject, &stage).await);
    ledger.note(SECRETS, secrets::secrets(&subject, &lists).await);
    ledger.note(LIMITS, limits(&subject));
    Report { adapter: name, version, checks: ledger.0 }
}

/// Adds the limits: the last check counts in any case.
fn with_limits(subject: &Subject<'_>, check: Check) -> Check {
    if check.name == LIMITS.0 { Check { verdict: limits(subject), ..check } } else { check }
}

/// Returns the verdict about the limits that were reached.
fn limits(subject: &Subject<'_>) -> Verdict {
    let mut exhausted = subject.exhausted();
    exhausted.dedup();
    let findings = exhausted.into_iter().map(|happened| {
        crate::Finding::new(
            happened,
            "work page by page and row by row, and let go of what is done with; a user would have to raise a limit",
        )
    });
    Verdict::of(findings.collect(), "everything that the suite has called")
}

/// Returns the verdict of a check that could not be carried out: its material is missing, or the adapter fails in a way that another check
/// covers.
fn not_carried_out(trouble: &Trouble) -> Option<Verdict> {
    match trouble {
        Trouble::Missing(reason) => Some(Verdict::not_checked(reason.clone())),
        Trouble::Limit(_) => Some(Verdict::not_checked("a call ended at a limit: see `limits`")),
        _ => None,
    }
}
