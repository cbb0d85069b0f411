//! Turns the contract's records and our own types into one another, and checks the values that a guest returned.

use std::time::Duration;

use crate::error::{Failure, FailureKind};
use crate::guest::bindings::exports::infrahub_sync::adapter::{destination as wit_destination, source as wit_source};
use crate::guest::bindings::infrahub_sync::adapter::types as wit;
use crate::guest::{Breach, HostState};
use crate::limits::Exceeded;
use infrahub_sync_base::limits::{Limit, Limits};
use infrahub_sync_base::text::indented;

use crate::response::Body;
use crate::secret::Scrubber;
use crate::types::{
    Absence, Cascade, Column, ColumnData, Columns, Cursor, Dependents, Field, FieldType, Kind, Layout, LoadRequest, MESSAGE_BYTES_MAX,
    Operation, Outcome, Page, Payload, Run, RunResult, TOKEN_BYTES_MAX, Target, TextData, WriteRequest,
};

/// Returns the contract's failure as ours, with credentials masked: a server may have echoed them.
pub(crate) fn failure(error: wit::Error, scrubber: &Scrubber) -> Failure {
    let kind = match error.kind {
        wit::ErrorKind::Config => FailureKind::Config,
        wit::ErrorKind::Auth => FailureKind::Auth,
        wit::ErrorKind::NotFound => FailureKind::NotFound,
        wit::ErrorKind::Conflict => FailureKind::Conflict,
        wit::ErrorKind::Invalid => FailureKind::Invalid,
        wit::ErrorKind::RateLimited => FailureKind::RateLimited,
        wit::ErrorKind::Transport => FailureKind::Transport,
        wit::ErrorKind::Remote => FailureKind::Remote,
        wit::ErrorKind::Unsupported => FailureKind::Unsupported,
        wit::ErrorKind::Internal => FailureKind::Internal,
    };
    Failure {
        kind,
        message: message(error.message, scrubber),
        http_status: error.http_status,
        retry_after: error.retry_after_ms.map(|wait| Duration::from_millis(wait).min(RETRY_AFTER_MAX)),
    }
}

/// A pause that an adapter may ask for. Systems that count requests per hour exist.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Returns an adapter's text for the user: without credentials, not longer than 4 KiB, and with its further lines indented, so that none
/// of them looks like one of ours.
pub(crate) fn message(text: String, scrubber: &Scrubber) -> String {
    indented(&scrubber.scrub(text), MESSAGE_BYTES_MAX)
}

pub(super) fn target(target: Target) -> wit::Target {
    let field = |field: crate::types::TargetField| wit::TargetField {
        name: field.name,
        path: field.path,
        peers: field.peers,
        many: field.many,
        identifier: field.identifier,
    };
    wit::Target { kind: target.kind, resource: target.resource, fields: target.fields.into_iter().map(field).collect() }
}

pub(super) fn load_request(request: LoadRequest) -> wit_source::LoadRequest {
    wit_source::LoadRequest {
        resource: request.resource,
        targets: request.targets.into_iter().map(target).collect(),
        fields: request.fields,
        ids: request.ids,
        page_size: request.page_size,
        cursor: request.cursor.map(|cursor| cursor.0),
        since: request.since,
    }
}

pub(super) fn write_request(request: WriteRequest) -> wit_destination::WriteRequest {
    wit_destination::WriteRequest {
        target: target(request.target),
        operation: match request.operation {
            Operation::Create => wit_destination::Operation::Create,
            Operation::Update => wit_destination::Operation::Update,
            Operation::Delete => wit_destination::Operation::Delete,
        },
        rows: request.rows.into_bytes(),
        count: request.count,
    }
}

pub(super) fn run(run: &Run) -> wit_destination::Run {
    let changes = run.changes.iter().map(|changes| wit_destination::KindChanges {
        target: target(changes.target.clone()),
        creates: changes.creates,
        updates: changes.updates,
        deletes: changes.deletes,
    });
    wit_destination::Run { id: run.id.clone(), sync: run.sync.clone(), source: run.source.clone(), changes: changes.collect() }
}

pub(super) fn run_result(result: RunResult) -> wit_destination::RunResult {
    let RunResult { created, updated, deleted, unchanged, failed, skipped } = result;
    wit_destination::RunResult { created, updated, deleted, unchanged, failed, skipped }
}

pub(super) fn kind(kind: wit::Kind) -> Kind {
    let cascade = |cascade: wit::Cascade| Cascade { kind: cascade.kind, field: cascade.field };
    Kind {
        name: kind.name,
        identifiers: kind.identifiers,
        fields: kind.fields.into_iter().map(field).collect(),
        stands_for: kind.stands_for,
        cascades: kind.cascades.into_iter().map(cascade).collect(),
        unique_together: kind.unique_together,
        can_create: kind.can_create,
        can_update: kind.can_update,
        can_delete: kind.can_delete,
    }
}

fn field(field: wit::Field) -> Field {
    Field {
        name: field.name,
        field_type: match field.type_ {
            wit::FieldType::Any => FieldType::Any,
            wit::FieldType::Boolean => FieldType::Boolean,
            wit::FieldType::Integer => FieldType::Integer,
            wit::FieldType::Float => FieldType::Float,
            wit::FieldType::Text => FieldType::Text,
            wit::FieldType::Timestamp => FieldType::Timestamp,
            wit::FieldType::IpInterface => FieldType::IpInterface,
            wit::FieldType::IpNetwork => FieldType::IpNetwork,
            wit::FieldType::IpAddress => FieldType::IpAddress,
            wit::FieldType::Mac => FieldType::Mac,
            wit::FieldType::Json => FieldType::Json,
            wit::FieldType::List => FieldType::List,
            wit::FieldType::Reference => FieldType::Reference,
            wit::FieldType::ReferenceList => FieldType::ReferenceList,
        },
        optional: field.optional,
        unique: field.unique,
        read_only: field.read_only,
        references: field.references,
        choices: field.choices,
        default: field.default,
    }
}

/// Returns the outcomes of a write; as many as there are rows.
pub(super) fn outcomes(outcomes: Vec<wit_destination::Outcome>, rows: u32, scrubber: &Scrubber) -> Result<Vec<Outcome>, Breach> {
    if outcomes.len() != rows as usize {
        return Err(Breach(format!("it returned {} outcomes for {rows} rows", outcomes.len())));
    }
    let outcome = |outcome| {
        Ok(match outcome {
            wit_destination::Outcome::Written(id) => Outcome::Written(checked_id(id)?),
            wit_destination::Outcome::Staged => Outcome::Staged,
            wit_destination::Outcome::Unchanged(id) => Outcome::Unchanged(checked_id(id)?),
            wit_destination::Outcome::Failed(error) => Outcome::Failed(failure(error, scrubber)),
        })
    };
    outcomes.into_iter().map(outcome).collect()
}

/// Returns an id that the journal can hold.
fn checked_id(id: Option<String>) -> Result<Option<String>, Breach> {
    check_token("id", id.as_ref().map_or(0, String::len))?;
    Ok(id)
}

/// Returns the whereabouts of absent objects; as many as there are ids.
pub(super) fn absences(absences: Vec<wit_source::Absence>, ids: usize) -> Result<Vec<Absence>, Breach> {
    if absences.len() != ids {
        return Err(Breach(format!("it returned {} answers for {ids} ids", absences.len())));
    }
    let absence = |absence| match absence {
        wit_source::Absence::Deleted => Absence::Deleted,
        wit_source::Absence::Present => Absence::Present,
        wit_source::Absence::Unknown => Absence::Unknown,
    };
    Ok(absences.into_iter().map(absence).collect())
}

/// Returns what a delete takes along. A kind has at least as many objects as it has ids.
pub(super) fn dependents(dependents: Vec<wit_destination::Dependents>) -> Result<Vec<Dependents>, Breach> {
    let checked = |dependents: wit_destination::Dependents| {
        let wit_destination::Dependents { kind, count, ids } = dependents;
        check_count("dependents", count)?;
        if ids.len() as u64 > count {
            return Err(Breach(format!("it returned {} ids for {count} dependents of the kind `{}`", ids.len(), shortened(&kind))));
        }
        Ok(Dependents { kind, count, ids })
    };
    dependents.into_iter().map(checked).collect()
}

/// Checks a page and takes the response that it hands over. The inner error is the remote system's fault.
pub(super) fn page(
    state: &mut HostState,
    page: wit_source::Page,
    asked: Option<&Cursor>,
    limits: &Limits,
) -> wasmtime::Result<Result<Page, Failure>> {
    let next = page.next.map(Cursor);
    if let Some(next) = &next {
        check_token("cursor", next.0.len())?;
        // Loading is stateless, so the same cursor gives the same page, forever.
        if asked == Some(next) {
            return Err(Breach("the next page has the cursor of this page, so the list has no end".into()).into());
        }
    }
    check_count("objects", page.total.unwrap_or_default())?;
    check_token("watermark", page.watermark.as_ref().map_or(0, String::len))?;
    let payload = match page.payload {
        wit_source::Payload::Document(given) => match document(state, given, limits)? {
            Ok(payload) => payload,
            Err(failure) => return Ok(Err(failure)),
        },
        wit_source::Payload::JsonLines(bytes) => {
            let text = String::from_utf8(bytes)
                .map_err(|error| Breach(format!("its JSON lines are not UTF-8 at byte {}", error.utf8_error().valid_up_to())))?;
            Payload::JsonLines(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
        }
        wit_source::Payload::Columns(given) => {
            if u64::from(given.rows) > limits.get(Limit::PageRecords) {
                return Err(Exceeded::beyond(limits, Limit::PageRecords).into());
            }
            Payload::Columns(columns(given, limits).map_err(Breach)?)
        }
    };
    let partial = page.partial.map(|reason| message(reason, &state.grants.scrubber));
    Ok(Ok(Page { payload, next, watermark: page.watermark, deleted: page.deleted, total: page.total, partial }))
}

fn document(state: &mut HostState, document: wit_source::Document, limits: &Limits) -> wasmtime::Result<Result<Payload, Failure>> {
    let response = state.responses.take(document.response.rep())?;
    check_pointer(&document.pointer)?;
    for (_, pointer) in &document.projection {
        check_pointer(pointer)?;
    }
    let Body::Text(body) = response.body else {
        let message = "the records are not UTF-8 text".to_owned();
        return Ok(Err(Failure { kind: FailureKind::Remote, message, http_status: Some(response.status), retry_after: None }));
    };
    if body.len() > limits.count(Limit::PageSize) {
        return Err(Exceeded::beyond(limits, Limit::PageSize).into());
    }
    let layout = match document.layout {
        wit_source::Layout::Json => Layout::Json,
        wit_source::Layout::JsonLines => Layout::JsonLines,
    };
    Ok(Ok(Payload::Document { body, layout, pointer: document.pointer, projection: document.projection }))
}

fn check_token(what: &str, bytes: usize) -> Result<(), Breach> {
    if bytes > TOKEN_BYTES_MAX { Err(Breach(format!("its {what} has {bytes} bytes; the limit is {TOKEN_BYTES_MAX}"))) } else { Ok(()) }
}

/// Objects that an adapter may count: a million times a million. The host adds such numbers.
const COUNT_MAX: u64 = 1 << 40;

fn check_count(what: &str, count: u64) -> Result<(), Breach> {
    if count > COUNT_MAX { Err(Breach(format!("it counts {count} {what}; the limit is {COUNT_MAX}"))) } else { Ok(()) }
}

/// The parts of a pointer, at most. The JSON that it leads through is not parsed deeper than 128 levels.
const POINTER_PARTS_MAX: usize = 100;

fn check_pointer(pointer: &str) -> Result<(), Breach> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(Breach(format!("`{}` is not a JSON pointer: it does not begin with `/`", shortened(pointer))));
    }
    let parts = pointer.matches('/').count();
    if parts > POINTER_PARTS_MAX {
        return Err(Breach(format!("a JSON pointer has {parts} parts; the limit is {POINTER_PARTS_MAX}")));
    }
    Ok(())
}

/// Returns a guest's text, short enough for a message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn columns(columns: wit_source::Columns, limits: &Limits) -> Result<Columns, String> {
    let mut taken = Vec::with_capacity(columns.columns.len());
    for column in columns.columns {
        let name = column.name;
        let texts =
            |texts: wit_source::TextData| TextData::new(texts.offsets, texts.bytes).map_err(|reason| format!("column `{name}`: {reason}"));
        let data = match column.data {
            wit_source::ColumnData::Booleans(values) => ColumnData::Booleans(values),
            wit_source::ColumnData::Integers(values) => ColumnData::Integers(values),
            wit_source::ColumnData::Floats(values) => ColumnData::Floats(values),
            wit_source::ColumnData::Texts(values) => ColumnData::Texts(texts(values)?),
            wit_source::ColumnData::Jsons(values) => ColumnData::Jsons(texts(values)?),
        };
        taken.push(Column { name, validity: column.validity, data });
    }
    Columns::new(columns.rows as usize, taken, limits.count(Limit::PageRecords))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let text = message(format!("x{}", "é".repeat(MESSAGE_BYTES_MAX)), &Scrubber::default());
        assert!(text.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8() && text.ends_with("é…"), "{} bytes", text.len());
        assert_eq!(message("a\nb\n".into(), &Scrubber::default()), "a\n    b");
    }

    #[test]
    fn a_pause_is_at_most_an_hour() {
        let asked = |wait| {
            let error = wit::Error { kind: wit::ErrorKind::RateLimited, message: String::new(), http_status: None, retry_after_ms: wait };
            failure(error, &Scrubber::default()).retry_after
        };
        assert_eq!(asked(Some(5000)), Some(Duration::from_secs(5)));
        assert_eq!(asked(Some(u64::MAX)), Some(Duration::from_secs(3600)));
        assert_eq!(asked(None), None);
    }

    #[test]
    fn answers_of_another_length_are_rejected() {
        assert!(absences(vec![wit_source::Absence::Present], 1).is_ok());
        assert_eq!(absences(Vec::new(), 1).unwrap_err().0, "it returned 0 answers for 1 ids");
        assert_eq!(
            outcomes(vec![wit_destination::Outcome::Staged], 2, &Scrubber::default()).unwrap_err().0,
            "it returned 1 outcomes for 2 rows"
        );
        let long = wit_destination::Outcome::Written(Some("x".repeat(TOKEN_BYTES_MAX + 1)));
        let told = outcomes(vec![long], 1, &Scrubber::default()).unwrap_err().0;
        assert_eq!(told, "its id has 65537 bytes; the limit is 65536");
        let told =
            |count, ids: usize| dependents(vec![wit_destination::Dependents { kind: "Port".into(), count, ids: vec!["1".into(); ids] }]);
        assert!(told(3, 0).is_ok() && told(3, 3).is_ok() && told(COUNT_MAX, 0).is_ok());
        assert_eq!(told(u64::MAX, 0).unwrap_err().0, "it counts 18446744073709551615 dependents; the limit is 1099511627776");
        assert_eq!(told(1, 2).unwrap_err().0, "it returned 2 ids for 1 dependents of the kind `Port`");
    }

    #[test]
    fn tokens_are_bounded() {
        assert!(check_token("cursor", 64 << 10).is_ok());
        assert_eq!(check_token("watermark", 65_537).unwrap_err().0, "its watermark has 65537 bytes; the limit is 65536");
    }
}
