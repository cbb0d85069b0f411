//! The adapter that is checked: opened with canaries for its secrets, and listened to.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use infrahub_sync_runtime::{
    Absence, Adapter, Cursor, Dependents, Error, Exchanges, Failure, Kind, LoadRequest, Manifest, Outcome, Payload, REPLAY_ADDRESS,
    RequestHeaders, Role, Run, RunResult, Session, SessionConfig, SettingType, Target, Variables, WriteRequest,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::records::{self, Record};
use crate::system::{Fault, Play, Stage, Unrecorded};
use crate::{Options, folder_copy};

/// Pages of one list after which it is taken to have no end: no recording has as many.
const PAGES_MAX: usize = 100_000;

/// The adapter and what the suite has heard of it.
pub(crate) struct Subject<'a> {
    pub(crate) adapter: &'a Adapter,
    pub(crate) manifest: Manifest,
    pub(crate) options: &'a Options<'a>,
    pub(crate) stage: Stage,
    canaries: Vec<(String, String)>,
    /// A copy of the project's folder.
    folder: Option<TempDir>,
    /// Where a canary was heard.
    leaks: Mutex<Vec<String>>,
    /// The limits that were reached.
    exhausted: Mutex<Vec<String>>,
}

/// Why a call did not do what it was asked for.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// A request has no recorded answer: nothing can be said about the adapter.
    Missing(String),
    /// The adapter reports a failure.
    Failure(Failure),
    /// The host cannot use its answer, and a run would stop: invalid JSON, a missing list.
    Refused(String),
    /// It broke: a trap, or a promise that the host checks itself.
    Broke(String),
    /// Its pages have no end.
    Endless(String),
    /// It reached a limit.
    Limit(String),
}

impl Trouble {
    /// In words.
    pub(crate) fn shown(&self) -> String {
        match self {
            Trouble::Missing(reason)
            | Trouble::Refused(reason)
            | Trouble::Broke(reason)
            | Trouble::Endless(reason)
            | Trouble::Limit(reason) => reason.clone(),
            Trouble::Failure(failure) => format!("`{}`: {failure}", failure.kind.as_str()),
        }
    }
}

/// The result of an attempt, or the trouble that prevented a check.
pub(crate) type Attempt<T> = Result<T, Trouble>;

/// A session and what answers it.
pub(crate) struct Opened<'s, 'a> {
    subject: &'s Subject<'a>,
    session: Session,
    play: Arc<Play>,
}

/// How a session is opened.
#[derive(Debug, Clone)]
pub(crate) struct Opening<'f> {
    pub(crate) role: Role,
    /// The folder that is granted, in the place of the project's.
    pub(crate) folder: Option<&'f Path>,
    pub(crate) unrecorded: Unrecorded,
    /// The request (from 0) that goes wrong, and how.
    pub(crate) fault: Option<(Option<usize>, Fault)>,
    /// Settings in the place of the usual ones.
    pub(crate) settings: Vec<(String, Value)>,
    /// It goes to the real system.
    pub(crate) live: bool,
}

impl Opening<'_> {
    pub(crate) fn new(role: Role) -> Opening<'static> {
        Opening { role, folder: None, unrecorded: Unrecorded::Missing, fault: None, settings: Vec::new(), live: false }
    }
}

impl<'a> Subject<'a> {
    pub(crate) fn new(adapter: &'a Adapter, manifest: Manifest, options: &'a Options<'a>) -> Subject<'a> {
        let secrets = manifest.settings.iter().filter(|setting| setting.secret);
        let canaries = secrets.map(|setting| (setting.name.clone(), format!("Canary-{}-7f3a9c51", setting.name))).collect();
        let stage = Stage::new(&options.system);
        // Without one there is nothing to grant, and the checks say that they could not make theirs either.
        let folder = manifest.folder_setting.as_ref().and_then(|_| folder_copy(&manifest, &options.settings, &options.project_dir).ok());
        Subject { adapter, manifest, options, stage, canaries, folder, leaks: Mutex::default(), exhausted: Mutex::default() }
    }

    /// Returns the value that stands for each secret.
    pub(crate) fn canaries(&self) -> &[(String, String)] {
        &self.canaries
    }

    /// Returns the places in which secrets were found.
    pub(crate) fn leaks(&self) -> Vec<String> {
        self.leaks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the limits that were reached.
    pub(crate) fn exhausted(&self) -> Vec<String> {
        self.exhausted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the settings for an offline session: the project's, canaries for secrets, samples for required settings.
    fn settings(&self, opening: &Opening<'_>) -> BTreeMap<String, Value> {
        let mut settings = self.options.settings.clone();
        for setting in &self.manifest.settings {
            let is = |named: &Option<String>| named.as_deref() == Some(&setting.name);
            let given = settings.get(&setting.name).is_some_and(|value| !value.is_null());
            let value = if let Some((_, canary)) = self.canaries.iter().find(|(name, _)| *name == setting.name) {
                Some(json!(canary))
            } else if is(&self.manifest.address_setting) {
                Some(json!(REPLAY_ADDRESS))
            } else if is(&self.manifest.folder_setting) {
                // A destination may write: never to the project's own folder.
                let copy = self.folder.as_ref().map(TempDir::path).filter(|_| opening.role == Role::Destination);
                opening.folder.or(copy).map(|folder| json!(folder.display().to_string()))
            } else if setting.required && !given && setting.default.is_none() {
                Some(sample(setting.setting_type))
            } else {
                None
            };
            if let Some(value) = value {
                settings.insert(setting.name.clone(), value);
            }
        }
        settings.extend(opening.settings.iter().cloned());
        settings
    }

    /// Opens the adapter. The play tells what it asked meanwhile.
    pub(crate) async fn try_open(&self, opening: &Opening<'_>) -> (Arc<Play>, Result<Session, Error>) {
        let play = self.stage.play(opening.unrecorded, opening.fault.clone());
        let config = if opening.live {
            SessionConfig {
                writes: true,
                role: opening.role,
                settings: self.options.settings.clone(),
                environment: self.options.environment,
                variables: self.options.variables.clone(),
                headers: self.options.headers.clone(),
                command_line: self.options.command_line.clone(),
                project_dir: self.options.project_dir.clone(),
                exchanges: Exchanges::Live,
                limits: self.options.limits.clone(),
                extra_origins: self.options.extra_origins.clone(),
                networks: self.options.networks.clone(),
            }
        } else {
            SessionConfig {
                writes: true,
                role: opening.role,
                settings: self.settings(opening),
                environment: &|_| None,
                variables: Variables::All,
                headers: RequestHeaders::All,
                command_line: self.options.command_line.clone(),
                project_dir: self.options.project_dir.clone(),
                exchanges: Exchanges::StandIn(play.stand_in()),
                limits: self.options.limits.clone(),
                extra_origins: Vec::new(),
                networks: Vec::new(),
            }
        };
        let session = self.adapter.open(config).await;
        (play, session)
    }

    pub(crate) async fn open(&self, opening: &Opening<'_>) -> Attempt<Opened<'_, 'a>> {
        let (play, session) = self.try_open(opening).await;
        match session {
            Ok(session) => Ok(Opened { subject: self, session, play }),
            Err(error) => Err(self.trouble(&play, error)),
        }
    }

    /// Returns the meaning of an error. Its text must not contain a secret.
    pub(crate) fn trouble(&self, play: &Play, error: Error) -> Trouble {
        self.listen("a failure", &error.to_string());
        if let Some(missing) = play.missing() {
            return Trouble::Missing(missing);
        }
        let words = error.to_string();
        match error {
            Error::Adapter { failure, .. } | Error::Denied { failure, .. } => Trouble::Failure(failure),
            // The runtime sees it first when a page leads to itself.
            Error::Contract { reason, .. } if reason.contains("the list has no end") => Trouble::Endless(words),
            Error::Trap { .. } | Error::Contract { .. } => Trouble::Broke(words),
            Error::Settings(_) | Error::Role { .. } | Error::Exchanges { .. } | Error::Runtime { .. } | Error::Incompatible { .. } => {
                Trouble::Refused(words)
            }
            // Memory, time, and whatever else is bounded.
            _ => {
                self.exhausted.lock().unwrap_or_else(PoisonError::into_inner).push(words.clone());
                Trouble::Limit(words)
            }
        }
    }

    /// Notes when a secret is in what the guest says.
    pub(crate) fn listen(&self, whence: &str, text: &str) {
        // Neither case nor separators hide it.
        let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
        let text = plain(text);
        for (name, canary) in &self.canaries {
            if text.contains(&plain(canary)) {
                self.leaks.lock().unwrap_or_else(PoisonError::into_inner).push(format!("the secret `{name}` is in {whence}"));
            }
        }
    }
}

/// Returns a value of that type, for a setting that must have one.
fn sample(setting_type: SettingType) -> Value {
    match setting_type {
        SettingType::Text => json!("conformance"),
        SettingType::Boolean => json!(true),
        SettingType::Integer => json!(1),
        SettingType::Float => json!(1.0),
        SettingType::Json => json!({}),
    }
}

/// A page, read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// The cursor with which it was asked for.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) records: Vec<Record>,
}

/// A list, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    pub(crate) pages: Vec<Read>,
    pub(crate) watermark: Option<String>,
    pub(crate) deleted: Option<Vec<String>>,
    pub(crate) total: Option<u64>,
    /// It was read to its end.
    pub(crate) whole: bool,
    /// Names of packed columns.
    pub(crate) columns: HashSet<String>,
}

impl List {
    /// Returns the records of all pages.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.pages.iter().flat_map(|page| page.records.iter().cloned()).collect()
    }
}

impl Opened<'_, '_> {
    /// Returns the number of requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.play.asked()
    }

    /// Drops the instances: the next call has a new one.
    pub(crate) fn renew(&self) {
        self.session.renew_instances();
    }

    fn check<T>(&self, result: Result<T, Error>) -> Attempt<T> {
        result.map_err(|error| self.subject.trouble(&self.play, error))
    }

    /// Reads one page.
    pub(crate) async fn page(&self, request: LoadRequest) -> Attempt<(List, Option<Cursor>)> {
        let (cursor, fields) = (request.cursor.clone(), request.fields.clone());
        let page = self.check(self.session.load(request).await)?;
        match &page.payload {
            Payload::Document { body, .. } => self.subject.listen("a page", body),
            Payload::JsonLines(lines) => self.subject.listen("a page", lines),
            Payload::Columns(_) => {}
        }
        self.subject.listen("the reason of a partial answer", page.partial.as_deref().unwrap_or_default());
        self.subject.listen("a watermark", page.watermark.as_deref().unwrap_or_default());
        self.subject.listen("the deleted ids", &page.deleted.as_deref().unwrap_or_default().join(" "));
        if let Some(next) = &page.next {
            self.subject.listen("a cursor", &String::from_utf8_lossy(&next.0));
        }
        let columns = match &page.payload {
            Payload::Columns(columns) => columns.columns().iter().map(|column| column.name.clone()).collect(),
            _ => HashSet::new(),
        };
        let records = records::records(&page.payload, &fields).map_err(Trouble::Refused)?;
        for record in &records {
            self.subject.listen("a record", &serde_json::to_string(record).unwrap_or_default());
        }
        let whole = page.next.is_none();
        let pages = vec![Read { cursor, records }];
        Ok((List { pages, watermark: page.watermark, deleted: page.deleted, total: page.total, whole, columns }, page.next))
    }

    /// Reads a list to its end, or up to `pages_max` pages; with `renew` a new instance reads each page.
    pub(crate) async fn list(&self, request: &LoadRequest, pages_max: Option<usize>, renew: bool) -> Attempt<List> {
        let mut request = request.clone();
        let mut seen = HashSet::new();
        let mut list = List::default();
        loop {
            if renew {
                self.renew();
            }
            let (page, next) = self.page(request.clone()).await?;
            if list.pages.is_empty() {
                (list.watermark, list.deleted, list.total) = (page.watermark, page.deleted, page.total);
            }
            list.pages.extend(page.pages);
            list.columns.extend(page.columns);
            let Some(next) = next else {
                list.whole = true;
                return Ok(list);
            };
            if !seen.insert(next.clone()) {
                return Err(Trouble::Endless(format!(
                    "page {} leads on by a cursor that was there before: it goes round in circles",
                    list.pages.len()
                )));
            }
            if pages_max.is_some_and(|most| list.pages.len() >= most) {
                return Ok(list);
            }
            if list.pages.len() >= PAGES_MAX {
                return Err(Trouble::Endless(format!("after {PAGES_MAX} pages there is still a next one")));
            }
            request.cursor = Some(next);
        }
    }

    pub(crate) async fn kinds(&self, targets: &[Target]) -> Attempt<Vec<Kind>> {
        let kinds = self.check(self.session.kinds(targets).await)?;
        self.subject.listen("a kind", &format!("{kinds:?}"));
        Ok(kinds)
    }

    /// Asks for absent objects. The host rejects an answer of another length than that of the ids.
    pub(crate) async fn absent(&self, target: &Target, ids: &[String]) -> Attempt<Vec<Absence>> {
        self.check(self.session.absent(target, ids).await)
    }

    pub(crate) async fn cascade(&self, target: &Target, ids: &[String]) -> Attempt<Vec<Dependents>> {
        let dependents = self.check(self.session.cascade(target, ids).await)?;
        self.subject.listen("a dependent", &format!("{dependents:?}"));
        Ok(dependents)
    }

    pub(crate) async fn begin(&self, run: &Run) -> Attempt<()> {
        let text = self.check(self.session.begin(run).await)?;
        self.subject.listen("the text of `begin`", &text.unwrap_or_default());
        Ok(())
    }

    pub(crate) async fn write(&self, request: WriteRequest) -> Attempt<Vec<Outcome>> {
        let outcomes = self.check(self.session.write(request).await)?;
        self.subject.listen("an outcome", &format!("{outcomes:?}"));
        Ok(outcomes)
    }

    pub(crate) async fn commit(&self, kinds: &[String]) -> Attempt<()> {
        self.check(self.session.commit(kinds).await)
    }

    pub(crate) async fn finish(&self, run: &Run, result: RunResult) -> Attempt<()> {
        let text = self.check(self.session.finish_run(run, result).await)?;
        self.subject.listen("the text of `finish`", &text.unwrap_or_default());
        Ok(())
    }
}
