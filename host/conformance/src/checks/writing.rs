//! Writing: rows of the suite's own, into a folder, into a system that stands in, or, when that is allowed, into the real one.

use infrahub_sync_runtime::{Addressing, FailureKind, FieldType, KindChanges, Operation, Outcome, Role, Run, RunResult, WriteRequest};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{UNKNOWN_FIELD, UNKNOWN_KIND, UNKNOWN_RESOURCE, not_carried_out, schema};
use crate::records::{Record, id};
use crate::report::{Finding, Verdict};
use crate::sample::{Shape, of_fields};
use crate::subject::{Attempt, Opened, Opening, Subject, Trouble};

/// Rows of the batch that is created.
const ROWS: usize = 5;
/// An id that no object has.
const GHOST: &str = "00000000-7f3a-4000-8000-000000000000";
/// The reason where a destination has no system to write to.
const LIVE: &str = "its requests go to a system that the suite does not have. Try it on a test system with --allow-writes and a config.yml \
                    that names it; the suite creates, changes and deletes a handful of objects there";
/// The remedy of a failed row.
const REFUSED: &str = "the rows have the fields of the schema and values of their types: see the failure's own words";

/// Where it is written to, and what.
pub(super) struct Written {
    /// None: why it cannot be tried.
    place: Result<Place, Verdict>,
    /// None: the schema has no kind that can be written without knowing more about it.
    shape: Option<Shape>,
    /// The destination knows its kinds.
    has_schema: bool,
    /// The created objects: fields, and id.
    rows: Vec<(Map<String, Value>, Option<String>)>,
}

enum Place {
    Folder(TempDir),
    StandIn,
    Live,
}

impl Written {
    pub(super) async fn new(subject: &Subject<'_>) -> Written {
        let mut written = Written { place: place(subject), shape: None, has_schema: false, rows: Vec::new() };
        let Ok(opening) = written.opening() else { return written };
        let addressing = subject.manifest.destination.unwrap_or(Addressing::Kind);
        let mut kinds = Vec::new();
        if subject.manifest.schema {
            let asked = match (subject.open(&opening).await, schema::all_targets(subject)) {
                (Ok(opened), Ok(targets)) => opened.kinds(&targets).await,
                (Ok(_), Err(verdict)) => {
                    written.place = Err(verdict);
                    return written;
                }
                (Err(trouble), _) => Err(trouble),
            };
            match asked {
                Ok(known) => kinds = known,
                Err(trouble) => {
                    written.place =
                        Err(not_carried_out(&trouble).unwrap_or_else(|| Verdict::not_checked("its kinds cannot be read: see `kinds`")));
                    return written;
                }
            }
        }
        written.has_schema = !kinds.is_empty();
        written.shape = match addressing {
            // A real system has the kinds of the project, and none of the suite's.
            Addressing::Kind if !written.has_schema && !matches!(written.place, Ok(Place::Live)) => Some(Shape::own()),
            _ if !written.has_schema => super::targets(subject.options).iter().find_map(Shape::of_target),
            _ => Shape::of(&kinds, &super::targets(subject.options), addressing),
        };
        written
    }

    fn opening(&self) -> Result<Opening<'_>, Verdict> {
        match &self.place {
            Ok(Place::Folder(folder)) => Ok(Opening { folder: Some(folder.path()), ..Opening::new(Role::Destination) }),
            Ok(Place::StandIn) => Ok(Opening::new(Role::Destination)),
            Ok(Place::Live) => Ok(Opening { live: true, ..Opening::new(Role::Destination) }),
            Err(verdict) => Err(verdict.clone()),
        }
    }

    fn shape(&self) -> Result<&Shape, Verdict> {
        self.shape.as_ref().ok_or_else(|| {
            Verdict::not_checked(
                "no kind can be written from its schema alone: each is identified by more than text, needs a peer, or is not in the project",
            )
        })
    }

    /// Returns the needs of a check, or the reason why it cannot be carried out.
    fn ready(&self) -> Result<(Opening<'_>, &Shape), Verdict> {
        Ok((self.opening()?, self.shape()?))
    }
}

fn place(subject: &Subject<'_>) -> Result<Place, Verdict> {
    if subject.manifest.destination.is_none() {
        return Err(Verdict::not_applicable("it is not a destination"));
    }
    if subject.options.writes_live {
        return Ok(Place::Live);
    }
    if subject.manifest.address_setting.is_none() || subject.manifest.folder_setting.is_some() {
        let folder = schema::folder(subject);
        return folder.map(Place::Folder).map_err(|error| Verdict::not_checked(format!("a temporary folder cannot be made: {error}")));
    }
    // Recorded answers do not change when something is written.
    if subject.stage.is_empty() || subject.stage.is_recorded() { Err(Verdict::not_checked(LIVE)) } else { Ok(Place::StandIn) }
}

fn run(subject: &Subject<'_>, changes: Vec<KindChanges>) -> Run {
    let name = "conformance".to_owned();
    Run { id: subject.options.run_id.clone(), sync: name.clone(), source: name, changes }
}

fn changes(request: &WriteRequest) -> Vec<KindChanges> {
    let of = |operation| if request.operation == operation { u64::from(request.count) } else { 0 };
    vec![KindChanges {
        target: request.target.clone(),
        creates: of(Operation::Create),
        updates: of(Operation::Update),
        deletes: of(Operation::Delete),
    }]
}

/// Makes a whole run of one batch, each call to a new instance. The outcomes of staged rows are those of the commit.
async fn write(subject: &Subject<'_>, opened: &Opened<'_, '_>, request: &WriteRequest) -> Attempt<Vec<Outcome>> {
    let run = run(subject, changes(request));
    opened.begin(&run).await?;
    opened.renew();
    let outcomes = opened.write(request.clone()).await?;
    opened.renew();
    opened.commit(std::slice::from_ref(&request.target.kind)).await?;
    opened.renew();
    let (mut result, failed) =
        (RunResult::default(), outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Failed(_))).count() as u64);
    let done = u64::from(request.count) - failed;
    match request.operation {
        Operation::Create => result.created = done,
        Operation::Update => result.updated = done,
        Operation::Delete => result.deleted = done,
    }
    result.failed = failed;
    opened.finish(&run, result).await?;
    Ok(outcomes)
}

/// Reads back the records of a kind.
async fn read_back(subject: &Subject<'_>, opened: &Opened<'_, '_>, shape: &Shape) -> Attempt<Vec<Record>> {
    opened.renew();
    let list = opened.list(&shape.read_back(subject.manifest.page_size), None, false).await?;
    Ok(list.records().into_iter().map(|record| shape.named(record)).collect())
}

/// Returns the records that have these identifiers.
fn having<'r>(records: &'r [Record], shape: &Shape, fields: &Map<String, Value>) -> Vec<&'r Record> {
    records.iter().filter(|record| shape.identifiers.iter().all(|name| record.get(name) == fields.get(name))).collect()
}

/// Findings about the row of a batch.
fn refused(outcomes: &[Outcome], what: &str) -> Vec<Finding> {
    let failed = outcomes.iter().enumerate().filter_map(|(at, outcome)| match outcome {
        Outcome::Failed(failure) => Some((at, failure)),
        _ => None,
    });
    failed.map(|(at, failure)| Finding::new(format!("row {} {what}: `{}`: {failure}", at + 1, failure.kind.as_str()), REFUSED)).collect()
}

/// Returns the verdict of a check that was carried out until a trouble.
fn verdict(tried: Result<Vec<Finding>, Trouble>, what: &str) -> Verdict {
    match tried {
        Ok(findings) => Verdict::of(findings, what),
        Err(trouble) => not_carried_out(&trouble).unwrap_or_else(|| {
            Verdict::of(vec![Finding::new(trouble.shown(), "an error of the whole call means that nothing is known about any row")], "")
        }),
    }
}

pub(super) async fn nothing(subject: &Subject<'_>, stage: &Written) -> Verdict {
    let opening = match stage.opening() {
        Ok(opening) => opening,
        Err(verdict) => return verdict,
    };
    let tried = async {
        let opened = subject.open(&opening).await?;
        let run = run(subject, Vec::new());
        opened.begin(&run).await?;
        opened.renew();
        opened.commit(&[]).await?;
        opened.renew();
        opened.finish(&run, RunResult::default()).await?;
        Ok(Vec::new())
    };
    verdict(tried.await, "begin, commit and finish of an empty run, each by a new instance")
}

/// Creates rows, and creates them again.
pub(super) async fn creates(subject: &Subject<'_>, stage: &mut Written) -> (Verdict, Verdict) {
    let (opening, shape) = match stage.ready() {
        Ok(ready) => ready,
        Err(verdict) => return (verdict.clone(), verdict),
    };
    let batch: Vec<Map<String, Value>> = (0..ROWS).map(|at| shape.fields(&subject.options.run_id, at)).collect();
    let rows: Vec<Value> = batch.iter().map(|fields| shape.row(None, fields, Some(fields.clone()))).collect();
    let request = shape.request(Operation::Create, &rows);
    let mut created: Vec<Option<String>> = Vec::new();
    let first = async {
        let opened = subject.open(&opening).await?;
        let outcomes = write(subject, &opened, &request).await?;
        let mut findings = refused(&outcomes, "is not created");
        created = outcomes.iter().map(written_id).collect();
        if subject.manifest.has_ids
            && created.iter().zip(&outcomes).any(|(id, outcome)| id.is_none() && matches!(outcome, Outcome::Written(_)))
        {
            findings.push(Finding::new(
                "a row is `written` without an id",
                "the manifest says that objects have ids: later rows refer to them, so each needs its own",
            ));
        }
        let records = read_back(subject, &opened, shape).await?;
        findings.extend(there(shape, &records, &batch, &created));
        if shape.can_update && !findings.iter().any(|finding| finding.remedy == REFUSED) {
            findings.extend(in_order(subject, &opened, shape, &batch, &created).await?);
        }
        Ok(findings)
    };
    let first = verdict(first.await, &format!("{ROWS} rows of `{}`, and one among others that cannot be written", shape.kind));
    let second = match &first {
        Verdict::Passed { .. } => create_again(subject, &opening, shape, &request, &batch).await,
        _ => Verdict::not_checked("rows cannot be created: see `writes`"),
    };
    let rows = batch.into_iter().zip(created).collect();
    if matches!(first, Verdict::Passed { .. }) {
        stage.rows = rows;
    }
    (first, second)
}

/// Creates the same rows again, as after an interruption.
async fn create_again(
    subject: &Subject<'_>,
    opening: &Opening<'_>,
    shape: &Shape,
    request: &WriteRequest,
    batch: &[Map<String, Value>],
) -> Verdict {
    let tried = async {
        let opened = subject.open(opening).await?;
        let outcomes = write(subject, &opened, request).await?;
        let mut findings = refused(&outcomes, "is not created again");
        let records = read_back(subject, &opened, shape).await?;
        for fields in batch {
            let there = having(&records, shape, fields).len();
            if there != 1 {
                findings.push(Finding::new(
                    format!("after the same rows were created again, {there} objects have the key {}", key(shape, fields)),
                    "check whether it exists before you create it, or let the system reject the second one. Then return `unchanged`: \
                     an interrupted run sends rows again",
                ));
            }
        }
        Ok(findings)
    };
    verdict(tried.await, &format!("the same {} rows, in the same run", batch.len()))
}

fn written_id(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Written(id) | Outcome::Unchanged(id) => id.clone().filter(|id| !id.is_empty()),
        Outcome::Staged | Outcome::Failed(_) => None,
    }
}

fn key(shape: &Shape, fields: &Map<String, Value>) -> String {
    let key: Map<String, Value> = shape.identifiers.iter().filter_map(|name| Some((name.clone(), fields.get(name)?.clone()))).collect();
    Value::Object(key).to_string()
}

/// Checks that each row is there, as it was written and under the reported id.
fn there(shape: &Shape, records: &[Record], batch: &[Map<String, Value>], created: &[Option<String>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, fields) in batch.iter().enumerate() {
        let found = having(records, shape, fields);
        let [record] = found.as_slice() else {
            findings.push(Finding::new(
                format!(
                    "row {} was reported as written, and {} objects have its key {} afterwards",
                    at + 1,
                    found.len(),
                    key(shape, fields)
                ),
                "report nothing as written that is not; `load` as destination reads back what was written",
            ));
            continue;
        };
        if let Some((name, value)) = fields.iter().find(|(name, value)| is_plain(value) && record.get(*name) != Some(value)) {
            let found = record.get(name).map_or("nothing".to_owned(), Value::to_string);
            findings.push(Finding::new(
                format!("`{name}` of row {} was written as {value}, and is read back as {found}", at + 1),
                "a value must be read back as it was written, or each run plans the same change again",
            ));
        }
        if let Some(told) = created.get(at).and_then(Option::as_ref).filter(|told| id(record).as_ref() != Some(told)) {
            findings.push(Finding::new(
                format!("row {} was reported with the id {told}, and has {:?}", at + 1, id(record).unwrap_or_default()),
                "outcomes are in the order of the rows, each with the id of its own object",
            ));
        }
    }
    findings
}

/// Values whose spelling no system changes.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with("conformance"),
        Value::Bool(_) | Value::Number(_) => true,
        _ => false,
    }
}

/// Writes a row that cannot be written among others: its outcome must stand in its place.
async fn in_order(
    subject: &Subject<'_>,
    opened: &Opened<'_, '_>,
    shape: &Shape,
    batch: &[Map<String, Value>],
    created: &[Option<String>],
) -> Attempt<Vec<Finding>> {
    let Some(text) = &shape.text else { return Ok(Vec::new()) };
    let ghost = shape.fields("ghost", ROWS);
    let ghost_id = subject.manifest.has_ids.then(|| GHOST.to_owned());
    let mut rows: Vec<(&Map<String, Value>, Option<&String>)> =
        batch.iter().zip(created).map(|(fields, id)| (fields, id.as_ref())).collect();
    rows.truncate(3);
    rows.insert(1, (&ghost, ghost_id.as_ref()));
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|(fields, id)| shape.row(id, fields, Some(Map::from_iter([(text.clone(), fields.get(text).cloned().unwrap_or_default())]))))
        .collect();
    let outcomes = match write(subject, opened, &shape.request(Operation::Update, &rows)).await {
        Ok(outcomes) => outcomes,
        // Nothing is known about any row: that is an answer, too.
        Err(Trouble::Failure(_)) => return Ok(Vec::new()),
        Err(trouble) => return Err(trouble),
    };
    let records = read_back(subject, opened, shape).await?;
    let remedy = "one outcome a row, in the order of the rows: `failed` for the one that cannot be written, and the others as they are";
    let mut findings = Vec::new();
    for (at, outcome) in outcomes.iter().enumerate() {
        let failed = matches!(outcome, Outcome::Failed(_));
        if at == 1 && !failed && having(&records, shape, &ghost).is_empty() {
            let happened = format!("row 2 changes an object that does not exist, and is reported as {}", word(outcome));
            findings.push(Finding::new(happened, remedy));
        }
        if at != 1 && failed {
            let happened = format!("row {} of a batch is reported as failed, where row 2 cannot be written", at + 1);
            findings.push(Finding::new(happened, remedy));
        }
    }
    Ok(findings)
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Written(_) => "written",
        Outcome::Staged => "staged, and committed",
        Outcome::Unchanged(_) => "unchanged",
        Outcome::Failed(_) => "failed",
    }
}

/// Returns the created rows, if there are some.
fn created(stage: &Written) -> Result<(Opening<'_>, &Shape), Verdict> {
    let ready = stage.ready()?;
    if stage.rows.is_empty() {
        return Err(Verdict::not_checked("rows cannot be created: see `writes`"));
    }
    Ok(ready)
}

pub(super) async fn updates(subject: &Subject<'_>, stage: &Written) -> Verdict {
    let (opening, shape) = match created(stage) {
        Ok(ready) => ready,
        Err(verdict) => return verdict,
    };
    let Some(text) = shape.text.as_ref().filter(|_| shape.can_update) else {
        return Verdict::not_applicable(format!("`{}` has no text that could be changed", shape.kind));
    };
    let changed = json!("conformance changed");
    let rows: Vec<Value> = stage
        .rows
        .iter()
        .take(2)
        .map(|(fields, id)| shape.row(id.as_ref(), fields, Some(Map::from_iter([(text.clone(), changed.clone())]))))
        .collect();
    let tried = async {
        let opened = subject.open(&opening).await?;
        let mut findings = Vec::new();
        for time in ["", " again"] {
            let outcomes = write(subject, &opened, &shape.request(Operation::Update, &rows)).await?;
            findings.extend(refused(&outcomes, &format!("is not changed{time}")));
            let records = read_back(subject, &opened, shape).await?;
            for (at, (fields, _)) in stage.rows.iter().enumerate() {
                let wanted = if at < rows.len() { Some(&changed) } else { fields.get(text) };
                for record in having(&records, shape, fields) {
                    if record.get(text) != wanted {
                        let (found, wanted) = (record.get(text).cloned().unwrap_or_default(), wanted.cloned().unwrap_or_default());
                        findings.push(Finding::new(
                            format!("`{text}` of object {} is {found} after the change{time}, instead of {wanted}", at + 1),
                            "an update changes the fields that it has, of the objects that it names",
                        ));
                    }
                    let lost = fields.iter().find(|(name, value)| *name != text && is_plain(value) && record.get(*name) != Some(value));
                    if let Some((name, _)) = lost {
                        findings.push(Finding::new(
                            format!("`{name}` of object {} is another one after `{text}` was changed{time}", at + 1),
                            "`fields` of an update has the changed fields alone: the others stay",
                        ));
                    }
                }
            }
        }
        Ok(findings)
    };
    verdict(tried.await, "2 of 5 objects, twice")
}

pub(super) async fn cascades(subject: &Subject<'_>, stage: &Written) -> Verdict {
    let (opening, shape) = match created(stage) {
        Ok(ready) => ready,
        Err(verdict) => return verdict,
    };
    let ids: Vec<String> = stage.rows.iter().filter_map(|(_, id)| id.clone()).collect();
    if ids.is_empty() {
        return Verdict::not_applicable("its objects have no ids");
    }
    let remedy = "name what the system deletes beyond the ids themselves; without cascades the list is empty";
    let tried = async {
        let opened = subject.open(&opening).await?;
        let mut findings = Vec::new();
        for dependents in opened.cascade(&shape.target(), &ids).await? {
            let kind = &dependents.kind;
            if let Some(id) = dependents
                .ids
                .iter()
                .find(|id| [Some(&shape.kind), shape.target().resource.as_ref()].contains(&Some(kind)) && ids.contains(id))
            {
                findings.push(Finding::new(format!("the object {id} depends on itself, or on another one that is deleted"), remedy));
            }
            if dependents.count > 0 && !shape.cascades && stage.has_schema {
                findings.push(Finding::new(
                    format!(
                        "a delete takes {} objects of `{kind}` along, and `{}` has no cascades in the schema",
                        dependents.count, shape.kind
                    ),
                    "the schema names the kinds that are deleted along: without them the host does not ask",
                ));
            }
        }
        Ok(findings)
    };
    verdict(tried.await, &format!("{} new objects", ids.len()))
}

pub(super) async fn deletes(subject: &Subject<'_>, stage: &Written) -> Verdict {
    let (opening, shape) = match created(stage) {
        Ok(ready) => ready,
        Err(verdict) => return verdict,
    };
    if !shape.can_delete {
        return Verdict::not_applicable(format!("`{}` cannot be deleted", shape.kind));
    }
    // All but the last, which shows that nothing else is deleted; then that one.
    let row = |(fields, id): &(Map<String, Value>, Option<String>)| shape.row(id.as_ref(), fields, None);
    let (some, last) = stage.rows.split_at(stage.rows.len().saturating_sub(1));
    let (some, last): (Vec<Value>, Vec<Value>) = (some.iter().map(row).collect(), last.iter().map(row).collect());
    let tried = async {
        let opened = subject.open(&opening).await?;
        let mut findings = Vec::new();
        for (rows, time, left) in [(&some, "", 1), (&some, " again", 1), (&last, "", 0)] {
            let outcomes = write(subject, &opened, &shape.request(Operation::Delete, rows)).await?;
            findings.extend(refused(&outcomes, &format!("is not deleted{time}")));
            let records = read_back(subject, &opened, shape).await?;
            let there = stage.rows.iter().filter(|(fields, _)| !having(&records, shape, fields).is_empty()).count();
            if there != left {
                findings.push(Finding::new(
                    format!("{there} of the objects are there after {} were deleted{time}, instead of {left}", rows.len()),
                    "a delete takes away the objects that it names, and is `unchanged` where there is nothing to take away",
                ));
            }
        }
        Ok(findings)
    };
    verdict(tried.await, "5 objects, and 4 of them again")
}

/// Tries a row that must not be accepted.
async fn refuses(subject: &Subject<'_>, opening: &Opening<'_>, request: WriteRequest, remedy: &str) -> Verdict {
    let tried = async {
        let opened = subject.open(opening).await?;
        match opened.begin(&run(subject, changes(&request))).await {
            // It knows what is to come, and may refuse it before anything is written.
            Err(Trouble::Failure(failure)) if matches!(failure.kind, FailureKind::Config | FailureKind::NotFound) => return Ok(Vec::new()),
            begun => begun?,
        }
        let outcomes = match opened.write(request).await {
            Ok(outcomes) => outcomes,
            Err(Trouble::Failure(failure)) if failure.kind != FailureKind::Internal => return Ok(Vec::new()),
            Err(trouble) => return Err(trouble),
        };
        let taken = outcomes.iter().find(|outcome| !matches!(outcome, Outcome::Failed(_)));
        Ok(taken.map(|outcome| Finding::new(format!("it is reported as {}", word(outcome)), remedy)).into_iter().collect())
    };
    match tried.await {
        Ok(findings) => Verdict::of(findings, "a row"),
        Err(trouble) => not_carried_out(&trouble).unwrap_or_else(|| Verdict::of(vec![Finding::new(trouble.shown(), remedy)], "")),
    }
}

/// Why nothing can be unknown to a destination.
const NO_SCHEMA: &str = "it has no schema: every kind and every field is as good as another";

pub(super) async fn unknown_kinds(subject: &Subject<'_>, stage: &Written) -> Verdict {
    let opening = match stage.opening() {
        Ok(opening) if stage.has_schema => opening,
        Ok(_) => return Verdict::not_applicable(NO_SCHEMA),
        Err(verdict) => return verdict,
    };
    let place = match subject.manifest.destination {
        Some(Addressing::Mapping) => Some(of_fields(UNKNOWN_KIND, Some(UNKNOWN_RESOURCE.to_owned()), &[])),
        _ => None,
    };
    let unknown = Shape { kind: UNKNOWN_KIND.to_owned(), place, ..Shape::own() };
    let fields = unknown.fields(&subject.options.run_id, ROWS);
    let row = unknown.row(None, &fields, Some(fields.clone()));
    let remedy = "refuse the call as `config`, or each row: a row that is reported as written must exist";
    refuses(subject, &opening, unknown.request(Operation::Create, &[row]), remedy).await
}

pub(super) async fn unknown_fields(subject: &Subject<'_>, stage: &Written) -> Verdict {
    let (opening, shape) = match stage.ready() {
        Ok(ready) if stage.has_schema => ready,
        Ok(_) => return Verdict::not_applicable(NO_SCHEMA),
        Err(verdict) => return verdict,
    };
    let mut fields = shape.fields(&format!("{} unknown", subject.options.run_id), ROWS);
    fields.insert(UNKNOWN_FIELD.to_owned(), json!("conformance"));
    let mut shape = shape.clone();
    shape.fields.push((UNKNOWN_FIELD.to_owned(), FieldType::Text, Vec::new()));
    let row = shape.row(None, &fields, Some(fields.clone()));
    let remedy = "refuse the row as `config` or `invalid`, with the field's name: omitting it silently reports that it was written";
    refuses(subject, &opening, shape.request(Operation::Create, &[row]), remedy).await
}
