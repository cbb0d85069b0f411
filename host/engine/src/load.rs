//! Loads one side: pages from the adapter, parsed and fed into the kinds of the model.
//!
//! Each resource is fetched once, however many mappings use it. Resources load concurrently; of one resource the next page is fetched while the
//! one before is parsed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use infrahub_sync_config::{FieldSource as ConfigSource, Mapping, Problem, Project, Severity};
use infrahub_sync_core::changes::{Changes, Gone, Left};
use infrahub_sync_core::key::Keys;
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::mapping::feed::{Feed, FieldSource};
use infrahub_sync_core::mapping::filter::Filter;
use infrahub_sync_core::mapping::transform::Transforms;
use infrahub_sync_core::model::{FieldType, KindModel, Model};
use infrahub_sync_core::records::{Projection, Shape};
use infrahub_sync_core::restore::{Restored, without};
use infrahub_sync_core::value::Tag;
use infrahub_sync_runtime::{
    Abilities, Adapter, Addressing, Exchanges, FailureKind, LoadRequest, Manifest, Page, Runtime, Session, SessionConfig, Variables,
};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::base::{Base, Since, cursor_text};
use crate::extract::{FullRead, Reading, Way};
use crate::pages::Pages;
use crate::{EngineError, RunContext, Side, accepted};

/// Resources that load at the same time on one side: the systems are the bottleneck, and more requests make a small server slower.
const RESOURCES_AT_ONCE: usize = 4;

/// One resource and what is made of it.
pub(crate) struct ResourcePlan {
    pub(crate) resource: String,
    projection: Projection,
    /// Each with its mapping's position.
    feeds: Vec<(usize, Feed)>,
}

impl ResourcePlan {
    /// The request for the first page of everything.
    pub(crate) fn request(&self, side: Side, model: &Model, page_size: u32) -> LoadRequest {
        let mut fields: Vec<String> = self.projection.slots().iter().map(|(path, _)| path.clone()).collect();
        fields.extend(self.feeds.iter().flat_map(|(_, feed)| feed.read_whole()).map(|name| format!("{name}.*")));
        fields.sort_unstable();
        fields.dedup();
        LoadRequest {
            resource: self.resource.clone(),
            fields,
            model: match side {
                Side::Source => Vec::new(),
                Side::Destination => self
                    .feeds
                    .iter()
                    .filter_map(|(_, feed)| model.kinds.get(feed.kind))
                    .flat_map(|kind| kind.fields.iter().map(|field| (field.name.clone(), field.reference.is_some())))
                    .collect(),
            },
            page_size,
            cursor: None,
            since: None,
        }
    }

    pub(crate) fn projection(&self) -> &Projection {
        &self.projection
    }

    pub(crate) fn feeds(&self) -> &[(usize, Feed)] {
        &self.feeds
    }
}

/// The WebAssembly engine, made once a command.
pub(crate) struct Runtimes(Runtime);

impl Runtimes {
    pub(crate) fn new(cx: &RunContext<'_>) -> Result<Runtimes, EngineError> {
        let options =
            infrahub_sync_runtime::RuntimeOptions { component_store: cx.component_store.clone(), memo_store: cx.memo_store.clone() };
        Ok(Runtimes(Runtime::new(options)?))
    }
}

/// What one side of a project grants its adapter: the one place where that is decided.
///
/// `built_in`: the adapter is a part of the program, and reads the environment variables that it names.
pub fn session_config<'a>(
    project: &Project,
    side: Side,
    built_in: bool,
    environment: &'a (dyn Fn(&str) -> Option<String> + Sync),
    exchanges: Exchanges,
) -> SessionConfig<'a> {
    let endpoint = project.endpoint(side);
    SessionConfig {
        role: side,
        settings: endpoint.settings.clone(),
        environment,
        variables: if built_in { Variables::All } else { Variables::of(&endpoint.name, &endpoint.grants.environment) },
        project_dir: project.directory.clone(),
        exchanges,
        limits: (&endpoint.limits).into(),
        extra_origins: endpoint.grants.origins.clone(),
        networks: endpoint.grants.networks.clone(),
    }
}

/// An adapter that has described itself and is not opened: nothing was granted.
pub(crate) struct Prepared<'a> {
    pub(crate) side: Side,
    pub(crate) adapter: Adapter,
    pub(crate) built_in: bool,
    pub(crate) manifest: Manifest,
    pub(crate) abilities: Abilities,
    config: SessionConfig<'a>,
}

impl<'a> Prepared<'a> {
    /// Loads the adapter of one side. One that is not the pinned one is not even compiled.
    pub(crate) async fn new(cx: &RunContext<'a>, runtimes: &Runtimes, side: Side) -> Result<Prepared<'a>, EngineError> {
        let source = match side {
            Side::Source => cx.source.as_ref(),
            Side::Destination => Some(&cx.destination),
        };
        let source = source.ok_or_else(|| EngineError::Internal("this command has no source adapter".into()))?;
        accepted::check_pin(cx.project, side, source)?;
        let adapter = runtimes.0.load_adapter(&source.bytes, &source.name)?;
        let manifest = adapter.describe().await?;
        let fits = match side {
            Side::Source => manifest.source.is_some(),
            Side::Destination => manifest.destination,
        };
        if !fits {
            return Err(EngineError::WrongSide { adapter: source.name.clone(), side });
        }
        let mut config = session_config(cx.project, side, source.is_built_in(), cx.environment, cx.exchanges.clone());
        if let Some(branch) = cx.branch.as_ref().filter(|_| manifest.setting("branch").is_some()) {
            // What the project says wins over the command line: that is the documented order.
            config.settings.entry("branch".to_owned()).or_insert_with(|| branch.clone().into());
        }
        let abilities = adapter.abilities(&config).await?;
        Ok(Prepared { side, adapter, built_in: source.is_built_in(), manifest, abilities, config })
    }

    async fn open(self) -> Result<Opened, EngineError> {
        let digest = self.adapter.digest().trim_start_matches("sha256:").to_owned();
        let folder = self.abilities.folder.as_ref().map(|(folder, _)| folder);
        let place = serde_json::json!({
            "address": self.abilities.address,
            "folder": folder,
            "branch": self.config.settings.get("branch"),
        });
        let session = self.adapter.open(self.config).await?;
        Ok(Opened { session: Arc::new(session), manifest: self.manifest, digest, place })
    }
}

/// An adapter at work on one side.
pub(crate) struct Opened {
    pub(crate) session: Arc<Session>,
    pub(crate) manifest: Manifest,
    /// The SHA-256 of the component, in hexadecimal digits.
    pub(crate) digest: String,
    /// What it reads and writes: address, folder and branch. Other settings may change between a plan and its apply.
    pub(crate) place: serde_json::Value,
}

impl Opened {
    /// Opens the destination alone, if it is the accepted one.
    pub(crate) async fn destination(cx: &RunContext<'_>, runtimes: &Runtimes) -> Result<Opened, EngineError> {
        let prepared = Prepared::new(cx, runtimes, Side::Destination).await?;
        accepted::check_lock(cx, &[&prepared])?;
        prepared.open().await
    }

    /// Opens source and destination, if both are the accepted ones; else neither.
    pub(crate) async fn both(cx: &RunContext<'_>, runtimes: &Runtimes) -> Result<(Opened, Opened), EngineError> {
        let (source, destination) =
            tokio::try_join!(Prepared::new(cx, runtimes, Side::Source), Prepared::new(cx, runtimes, Side::Destination))?;
        accepted::check_lock(cx, &[&source, &destination])?;
        tokio::try_join!(source.open(), destination.open())
    }
}

/// Prepares the mappings for a source.
///
/// # Errors
/// Every filter and transform that does not compile.
pub(crate) fn feeds(project: &Project, model: &Model, addressing: Addressing) -> Result<Vec<ResourcePlan>, EngineError> {
    let mut plans: Vec<ResourcePlan> = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    for (at, mapping) in project.schema_mapping.iter().enumerate() {
        let Some((kind, spec)) = model.kind(&mapping.name) else { continue };
        let resource = match (addressing, &mapping.mapping) {
            (Addressing::Kind, _) => mapping.name.clone(),
            (Addressing::Mapping, Some(resource)) => resource.clone(),
            (Addressing::Mapping, None) => continue,
        };
        let mut filters = Vec::new();
        for (number, filter) in mapping.filters.iter().enumerate() {
            match Filter::compile(&filter.field, &filter.operation, filter.value.as_ref()) {
                Ok(filter) => filters.push(filter),
                Err(error) => problems.push(project.problem(
                    Severity::Error,
                    filter.span,
                    format!("schema_mapping[{at}].filters[{number}]"),
                    error.to_string(),
                )),
            }
        }
        let mut transforms = None;
        if !mapping.transforms.is_empty() {
            // One at a time first, so that each that does not compile is named.
            let mut good = true;
            for (number, transform) in mapping.transforms.iter().enumerate() {
                if let Err(error) = Transforms::compile(&[(transform.field.clone(), transform.expression.clone())]) {
                    good = false;
                    problems.push(project.problem(
                        Severity::Error,
                        transform.span,
                        format!("schema_mapping[{at}].transforms[{number}]"),
                        error.to_string(),
                    ));
                }
            }
            let pairs: Vec<(String, String)> =
                mapping.transforms.iter().map(|transform| (transform.field.clone(), transform.expression.clone())).collect();
            if good {
                let text = |name: &str| {
                    let fed = mapping.fields.iter().filter(|field| matches!(&field.source, ConfigSource::Path(path) if path == name));
                    let mut types = fed.filter_map(|field| spec.fields.iter().find(|known| known.name == field.name)).peekable();
                    types.peek().is_some() && types.all(|field| field.field_type == FieldType::Text)
                };
                match Transforms::compile(&pairs) {
                    Ok(compiled) => transforms = Some(compiled.keep_text(text)),
                    Err(error) => problems.push(project.problem(
                        Severity::Error,
                        mapping.span,
                        format!("schema_mapping[{at}].transforms"),
                        error.to_string(),
                    )),
                }
            }
        }
        // Two mappings that read the same objects of a kind are one: else each object would be there twice, with the fields of either.
        let reads_the_same = |other: &&Mapping| addressing == Addressing::Kind && reads_the_same(mapping, other);
        if project.schema_mapping.iter().take(at).any(|before| reads_the_same(&before)) {
            continue;
        }
        let further = project.schema_mapping.iter().skip(at + 1).filter(reads_the_same).flat_map(|other| &other.fields);
        let mut read: HashSet<usize> = HashSet::new();
        let fields = mapping
            .fields
            .iter()
            .chain(further)
            .filter_map(|field| {
                let position = spec.fields.iter().position(|known| known.name == field.name)?;
                let reference = spec.fields.get(position).is_some_and(|known| known.reference.is_some());
                let source = match (addressing, &field.source) {
                    (_, ConfigSource::Static(value)) => FieldSource::Static(value.clone()),
                    (Addressing::Kind, _) if !read.insert(position) => return None,
                    // A system that is addressed by kind knows fields by the model's names.
                    (Addressing::Kind, _) if reference => FieldSource::Reference(field.name.clone()),
                    (Addressing::Kind, _) => FieldSource::Path(field.name.clone()),
                    (Addressing::Mapping, ConfigSource::Path(path)) => FieldSource::Path(path.clone()),
                    (Addressing::Mapping, ConfigSource::Reference { path, .. }) => FieldSource::Reference(path.clone()),
                    (Addressing::Mapping, ConfigSource::Unmapped) => return None,
                };
                Some((position, source))
            })
            .collect();
        let plan = match plans.iter().position(|plan| plan.resource == resource) {
            Some(known) => known,
            None => {
                plans.push(ResourcePlan { resource, projection: Projection::default(), feeds: Vec::new() });
                plans.len() - 1
            }
        };
        if let Some(plan) = plans.get_mut(plan) {
            let mut feed = Feed::new(kind, filters, transforms, fields, &mut plan.projection);
            feed.mark_references(|at| spec.fields.get(at).is_some_and(|field| field.reference.is_some()));
            for (position, meant) in meant(model, spec, mapping, addressing) {
                feed.mean(position, meant);
            }
            plan.feeds.push((at, feed));
        }
    }
    if problems.is_empty() { Ok(plans) } else { Err(EngineError::Project(problems)) }
}

/// Whether two mappings take the same objects of one kind and change them in the same way.
fn reads_the_same(one: &Mapping, other: &Mapping) -> bool {
    let filters = |mapping: &Mapping| -> Vec<_> {
        mapping.filters.iter().map(|filter| (filter.field.clone(), filter.operation.clone(), filter.value.clone())).collect()
    };
    let transforms = |mapping: &Mapping| -> Vec<_> {
        mapping.transforms.iter().map(|transform| (transform.field.clone(), transform.expression.clone())).collect()
    };
    one.name == other.name && filters(one) == filters(other) && transforms(one) == transforms(other)
}

/// The kinds that a mapping's references mean, for fields whose peers may be of several: field and kind by position.
///
/// Not where the system is addressed by kind: there a mapping reads what the model's field holds, whichever mapping it was written by.
fn meant(model: &Model, spec: &KindModel, mapping: &Mapping, addressing: Addressing) -> Vec<(usize, usize)> {
    if addressing == Addressing::Kind {
        return Vec::new();
    }
    let one = |field: &infrahub_sync_config::Field| {
        let (position, known) = spec.fields.iter().enumerate().find(|(_, known)| known.name == field.name)?;
        let (kind, _) = model.kind(field.reference.as_deref()?)?;
        (!known.also.is_empty()).then_some((position, kind))
    };
    mapping.fields.iter().filter_map(one).collect()
}

/// The kinds of a project that does not resolve: names only, enough to compile its filters and transforms.
pub(crate) fn bare_model(project: &Project) -> Model {
    let mut model = Model::default();
    for mapping in &project.schema_mapping {
        if model.kind(&mapping.name).is_none() {
            model.kinds.push(infrahub_sync_core::model::KindModel {
                name: mapping.name.clone(),
                identifiers: Vec::new(),
                tier: 0,
                deferred: Vec::new(),
                fields: Vec::new(),
            });
        }
    }
    model
}

/// What is read of a destination: each kind by its name, each field by its name.
pub(crate) fn destination_feeds(model: &Model) -> Vec<ResourcePlan> {
    let plan = |(at, kind): (usize, &infrahub_sync_core::model::KindModel)| {
        let fields = kind
            .fields
            .iter()
            .enumerate()
            .map(|(at, field)| match field.reference {
                Some(_) => (at, FieldSource::Reference(field.name.clone())),
                None => (at, FieldSource::Path(field.name.clone())),
            })
            .collect();
        let mut projection = Projection::default();
        let feed = Feed::new(at, Vec::new(), None, fields, &mut projection);
        ResourcePlan { resource: kind.name.clone(), projection, feeds: vec![(at, feed)] }
    };
    model.kinds.iter().enumerate().map(plan).collect()
}

/// What was read of one side.
pub(crate) struct Loaded {
    /// The rows of each kind of the model.
    pub(crate) raw: Vec<RawKind>,
    /// By kind where the next run goes on: for kinds that one resource feeds, if the adapter tells.
    pub(crate) cursors: BTreeMap<String, String>,
    /// How the kinds were read that were.
    pub(crate) readings: BTreeMap<String, Reading>,
    /// Nothing has changed in any kind since the run that this one goes on from.
    pub(crate) unchanged: bool,
}

/// Reads all resources of one side into the model's kinds.
///
/// With a `base`, of each resource that allows it only what changed since is read; the rest is the base's.
pub(crate) async fn load(
    cx: &RunContext<'_>,
    side: Side,
    opened: &Opened,
    model: &Model,
    plans: Vec<ResourcePlan>,
    mut base: Base,
) -> Result<Loaded, EngineError> {
    let feeding = feeding(model, &plans);
    let plans = plans.into_iter().map(|plan| {
        let kinds: Vec<usize> = plan.feeds.iter().map(|(_, feed)| feed.kind).collect();
        let alone = kinds.iter().all(|kind| feeding.get(*kind) == Some(&1));
        let since = base.since(&kinds).filter(|_| alone);
        Arc::new((plan, since))
    });
    let mut waiting = plans.collect::<Vec<_>>().into_iter();
    let mut running: JoinSet<Result<Read, EngineError>> = JoinSet::new();
    let (progress, mut heard) = tokio::sync::mpsc::unbounded_channel::<(String, u64, bool)>();
    let mut parts: Vec<Part> = Vec::new();
    let mut loaded = Loaded { raw: Vec::new(), cursors: BTreeMap::new(), readings: BTreeMap::new(), unchanged: base.is_whole() };
    let mut kept: Vec<Option<RawKind>> = model.kinds.iter().map(|_| None).collect();
    let model_shared = Arc::new(model.clone());
    let answered = Arc::new(Notify::new());
    let mut start = |running: &mut JoinSet<_>| {
        if let Some(plan) = waiting.next() {
            let one = Resource {
                side,
                session: opened.session.clone(),
                page_size: opened.manifest.page_size,
                plan,
                model: model_shared.clone(),
                progress: progress.clone(),
                now: cx.now,
                answered: answered.clone(),
            };
            running.spawn(one.read());
        }
    };
    // Of a run that reads what changed, the first asks alone: what all of them need to know (NetBox's change log) is then asked for once, and
    // the adapter has it for the others.
    let mut alone = base.is_usable();
    (0..if alone { 1 } else { RESOURCES_AT_ONCE }).for_each(|_| start(&mut running));
    loop {
        tokio::select! {
            () = answered.notified(), if alone => {
                alone = false;
                (1..RESOURCES_AT_ONCE).for_each(|_| start(&mut running));
            }
            Some((kind, rows, finished)) = heard.recv() => {
                if finished { cx.events.loaded(side, &kind, rows) } else { cx.events.loading(side, &kind, rows) }
            }
            done = running.join_next() => match done {
                Some(Ok(read)) => {
                    let read = read?;
                    for kind in &read.kinds {
                        let Some(spec) = model.kinds.get(*kind) else { continue };
                        if let Some(watermark) = read.watermark.as_ref().filter(|_| feeding.get(*kind) == Some(&1)) {
                            loaded.cursors.insert(spec.name.clone(), cursor_text(watermark));
                        }
                        let part = read.changes.as_ref().and_then(|changes| Some((changes, base.take(*kind)?)));
                        let way = match part {
                            Some((changes, Restored { rows, keys })) => {
                                loaded.unchanged &= changes.is_empty();
                                let left = left(changes, &rows, &keys);
                                let rows = if left.is_empty() { rows } else { without(&rows, |id| changes.leaves(id)) };
                                if let Some(place) = kept.get_mut(*kind) {
                                    *place = Some(rows);
                                }
                                let full = base.full.get(&spec.name).cloned().unwrap_or_else(|| FullRead {
                                    run: String::new(),
                                    at: String::new(),
                                    objects: 0,
                                });
                                Way::Changes { since: base.since.clone(), changed: changes.changed.len() as u64, left, full }
                            }
                            None => {
                                loaded.unchanged = false;
                                let feeds_alone = feeding.get(*kind) == Some(&1);
                                Way::Full(match (&read.reason, base.in_full.get(&spec.name)) {
                                    (Some(reason), _) => reason.clone(),
                                    (None, _) if base.is_usable() && !feeds_alone => "several resources feed it".to_owned(),
                                    (None, Some(reason)) => reason.clone(),
                                    (None, None) => "another kind is read from the same resource, and in full".to_owned(),
                                })
                            }
                        };
                        let at = loaded.readings.get(&spec.name).map_or(read.at, |known| known.at.min(read.at));
                        loaded.readings.insert(spec.name.clone(), Reading { at, way });
                    }
                    parts.extend(read.parts);
                    start(&mut running);
                }
                Some(Err(panic)) => return Err(EngineError::Internal(format!("a loading task ended early: {panic}"))),
                None => break,
            }
        }
    }
    while let Ok((kind, rows, finished)) = heard.try_recv() {
        if finished { cx.events.loaded(side, &kind, rows) } else { cx.events.loading(side, &kind, rows) }
    }
    // In the order of the mappings, whichever resource was quickest.
    parts.sort_by_key(|(mapping, _, _)| *mapping);
    let mut raw = kept;
    for (_, kind, part) in parts {
        let Some(place) = raw.get_mut(kind) else { continue };
        match place {
            None => *place = Some(part),
            Some(_) if part.rows == 0 => {}
            Some(there) => there.merge(part).map_err(|error| EngineError::Internal(error.to_string()))?,
        }
    }
    loaded.raw = raw.into_iter().zip(&model.kinds).map(|(raw, kind)| raw.unwrap_or_else(|| RawKind::new(kind.fields.len()))).collect();
    Ok(loaded)
}

/// The rows of an earlier run that are not taken over: key, id and the reason.
fn left(changes: &Changes, rows: &RawKind, keys: &Keys) -> Vec<(String, String, Left)> {
    if changes.is_empty() {
        return Vec::new();
    }
    let known = (0..rows.rows).filter(|row| rows.ids.tag(*row) != Tag::Null);
    let left = known.filter_map(|row| {
        let id = rows.ids.text(row);
        Some((keys.get(row).to_owned(), id.to_owned(), changes.left(id)?))
    });
    left.collect()
}

/// How many resources feed each kind. Of a kind with several an id may mean several objects, and nobody can say which one changed.
fn feeding(model: &Model, plans: &[ResourcePlan]) -> Vec<usize> {
    let mut feeding = vec![0; model.kinds.len()];
    for plan in plans {
        let mut kinds: Vec<usize> = plan.feeds.iter().map(|(_, feed)| feed.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            if let Some(count) = feeding.get_mut(kind) {
                *count += 1;
            }
        }
    }
    feeding
}

/// What came of reading a resource.
struct Read {
    /// The kinds that it feeds, each once.
    kinds: Vec<usize>,
    parts: Vec<Part>,
    watermark: Option<String>,
    /// Set when only what changed was read.
    changes: Option<Changes>,
    /// Why it was read in full although a base was there.
    reason: Option<String>,
    /// When the reading began.
    at: Timestamp,
}

/// What one mapping made of its resource: the mapping's position, the kind's position, the rows.
type Part = (usize, usize, RawKind);

struct Resource {
    side: Side,
    session: Arc<Session>,
    page_size: u32,
    /// The resource, and where to go on reading it.
    plan: Arc<(ResourcePlan, Option<Since>)>,
    model: Arc<Model>,
    progress: tokio::sync::mpsc::UnboundedSender<(String, u64, bool)>,
    now: fn() -> SystemTime,
    /// Told when the first request is answered.
    answered: Arc<Notify>,
}

impl Resource {
    /// The request for the first page of everything.
    fn request(&self) -> LoadRequest {
        self.plan.0.request(self.side, &self.model, self.page_size)
    }

    fn pages(&self, request: LoadRequest) -> Pages {
        Pages::new(self.session.clone(), self.side, request)
    }

    /// Empty rows for each feed.
    fn empty(&self) -> Vec<RawKind> {
        let fields = |feed: &Feed| self.model.kinds.get(feed.kind).map_or(0, |kind| kind.fields.len());
        self.plan.0.feeds.iter().map(|(_, feed)| RawKind::new(fields(feed))).collect()
    }

    /// The rows with their mappings and kinds.
    fn parts(&self, into: Vec<RawKind>) -> Vec<Part> {
        self.plan.0.feeds.iter().zip(into).map(|((mapping, feed), raw)| (*mapping, feed.kind, raw)).collect()
    }

    fn kinds(&self) -> Vec<usize> {
        let mut kinds: Vec<usize> = self.plan.0.feeds.iter().map(|(_, feed)| feed.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Reads what changed, where that is known, else everything.
    async fn read(self) -> Result<Read, EngineError> {
        let mut reason = None;
        if let Some(since) = &self.plan.1 {
            match self.read_changes(since).await? {
                Ok(read) => return Ok(read),
                Err(why) => reason = Some(why),
            }
        }
        Ok(Read { reason, ..self.read_all().await? })
    }

    fn moment(&self) -> Timestamp {
        Timestamp::try_from((self.now)()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Reads what changed since. The inner error says why that is not known.
    async fn read_changes(&self, since: &Since) -> Result<Result<Read, String>, EngineError> {
        let (plan, at) = (&self.plan.0, self.moment());
        let mut pages = self.pages(LoadRequest { since: Some(since.watermark.clone()), ..self.request() });
        let mut changed: HashSet<String> = HashSet::new();
        let mut into = self.empty();
        let (mut watermark, mut deleted, mut total) = (None, None, None);
        let mut is_first = true;
        loop {
            let answer = pages.next().await;
            self.answered.notify_one();
            let page = match answer {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(EngineError::Adapter(infrahub_sync_runtime::Error::Adapter { failure, .. }))
                    if failure.kind == FailureKind::Unsupported =>
                {
                    return Ok(Err(failure.message));
                }
                Err(error) => return Err(error),
            };
            if std::mem::take(&mut is_first) {
                (watermark, deleted, total) = (page.watermark, page.deleted, page.total);
            }
            let records = pages.place().records(&plan.projection, page.payload)?;
            for ((mapping, feed), raw) in plan.feeds.iter().zip(&mut into) {
                let ids = feed.record_ids(&records);
                for row in 0..records.rows {
                    match ids.filter(|ids| ids.tag(row) != Tag::Null && ids.tag(row) != Tag::Missing) {
                        Some(ids) => drop(changed.insert(ids.text(row).to_owned())),
                        None => return Ok(Err("its records have no ids".to_owned())),
                    }
                }
                let kind = format!("schema_mapping[{mapping}]");
                feed.append(&records, raw).map_err(|source| EngineError::Mapping { kind, resource: plan.resource.clone(), source })?;
            }
        }
        let Some(watermark) = watermark else { return Ok(Err("the adapter does not say where to go on".to_owned())) };
        // Only where each record is a row does their number say something.
        let is_whole = plan.feeds.len() == 1 && plan.feeds.iter().all(|(_, feed)| !feed.filters_records());
        let gone = match Gone::told(&since.ids, &changed, deleted, total, is_whole) {
            Some(gone) => gone,
            None => match self.inventory().await? {
                Some(ids) => Gone::AllBut(ids),
                None => return Ok(Err("its records have no ids".to_owned())),
            },
        };
        self.tell(&into, true);
        let changes = Some(Changes { changed, gone });
        Ok(Ok(Read { kinds: self.kinds(), parts: self.parts(into), watermark: Some(watermark), changes, reason: None, at }))
    }

    /// The ids of all objects; none where one has no id.
    async fn inventory(&self) -> Result<Option<HashSet<String>>, EngineError> {
        let mut projection = Projection::default();
        let slot = projection.slot("id", Shape::Value);
        let mut pages = self.pages(LoadRequest { fields: vec!["id".to_owned()], model: Vec::new(), ..self.request() });
        let mut ids = HashSet::new();
        while let Some(page) = pages.next().await? {
            let records = pages.place().records(&projection, page.payload)?;
            let column = records.columns.get(slot).filter(|column| column.len() == records.rows);
            for row in 0..records.rows {
                match column.filter(|ids| ids.tag(row) != Tag::Null && ids.tag(row) != Tag::Missing) {
                    Some(column) => drop(ids.insert(column.text(row).to_owned())),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(ids))
    }

    /// Reads all pages.
    async fn read_all(self) -> Result<Read, EngineError> {
        let at = self.moment();
        let mut pages = self.pages(self.request());
        let mut into = self.empty();
        let mut page = pages.next().await?;
        self.answered.notify_one();
        let watermark = page.as_ref().and_then(|page| page.watermark.clone());
        while let Some(Page { payload, .. }) = page.take() {
            let (shared, place) = (self.plan.clone(), pages.place());
            let parsed = tokio::task::spawn_blocking(move || -> Result<Vec<RawKind>, EngineError> {
                let plan = &shared.0;
                let records = place.records(&plan.projection, payload)?;
                for ((mapping, feed), raw) in plan.feeds.iter().zip(&mut into) {
                    feed.append(&records, raw).map_err(|source| EngineError::Mapping {
                        kind: format!("schema_mapping[{mapping}]"),
                        resource: plan.resource.clone(),
                        source,
                    })?;
                }
                Ok(into)
            });
            let (parsed, following) = tokio::join!(parsed, pages.next());
            into = parsed.map_err(|panic| EngineError::Internal(format!("parsing a page ended early: {panic}")))??;
            page = following?;
            self.tell(&into, page.is_none());
        }
        Ok(Read { kinds: self.kinds(), parts: self.parts(into), watermark, changes: None, reason: None, at })
    }

    fn tell(&self, into: &[RawKind], finished: bool) {
        for ((_, feed), raw) in self.plan.0.feeds.iter().zip(into) {
            if let Some(kind) = self.model.kinds.get(feed.kind) {
                // Nobody listening is no reason to stop.
                let _ = self.progress.send((kind.name.clone(), raw.rows as u64, finished));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const MAPPINGS: &str = "name: a
source: {name: x}
destination: {name: y}
schema_mapping:
  - {name: Port, mapping: ports, identifiers: [name], fields: [{name: name, mapping: label}]}
  - {name: VmPort, mapping: vm_ports, identifiers: [name], fields: [{name: name, mapping: label}]}
  - name: Address
    mapping: addresses
    identifiers: [address]
    fields: [{name: address, mapping: display}, {name: interface, mapping: at, reference: Port}]
  - name: Address
    mapping: vm_addresses
    fields: [{name: address, mapping: display}, {name: interface, mapping: at, reference: VmPort}, {name: note, mapping: note}]
  - name: Address
    mapping: more
    filters: [{field: note, operation: is_empty}]
    fields: [{name: address, mapping: display}]
";

    /// What each feed makes of a record, by resource.
    fn read(addressing: Addressing, record: &str) -> Vec<(String, RawKind)> {
        let project = Project::parse(MAPPINGS, Path::new("config.yml"), &|_: &str| None).unwrap_or_else(|problems| panic!("{problems:?}"));
        let model = infrahub_sync_config::resolve(&project, None).unwrap_or_else(|problems| panic!("{problems:?}")).model;
        let plans = feeds(&project, &model, addressing).unwrap_or_else(|error| panic!("{error}"));
        let mut read = Vec::new();
        for plan in plans {
            let records = plan.projection.json(record, "").unwrap_or_else(|error| panic!("{error}"));
            for (_, feed) in &plan.feeds {
                let mut raw = RawKind::new(model.kinds[feed.kind].fields.len());
                feed.append(&records, &mut raw).unwrap_or_else(|error| panic!("{error}"));
                read.push((plan.resource.clone(), raw));
            }
        }
        read
    }

    #[test]
    fn mapping_says_which_kind_its_reference_means() {
        let read = read(Addressing::Mapping, r#"[{"id": 1, "display": "a", "at": {"id": 7}}]"#);
        let meant: Vec<(&str, Option<usize>)> = read.iter().map(|(resource, raw)| (resource.as_str(), raw.meant(0, 1))).collect();
        assert_eq!(meant, [("ports", None), ("vm_ports", None), ("addresses", Some(0)), ("vm_addresses", Some(1)), ("more", None)]);
    }

    #[test]
    fn mappings_that_read_the_same_objects_of_a_kind_are_one() {
        let read = read(Addressing::Kind, r#"[{"id": 1, "address": "a", "interface": {"id": "u"}, "note": "n", "at": {"id": 7}}]"#);
        let rows: Vec<(&str, usize)> = read.iter().map(|(resource, raw)| (resource.as_str(), raw.rows)).collect();
        // The third has a filter of its own, which this record does not pass.
        assert_eq!(rows, [("Port", 1), ("VmPort", 1), ("Address", 1), ("Address", 0)]);
        let (_, addresses) = &read[2];
        assert_eq!(addresses.columns.iter().map(|column| column.text(0)).collect::<Vec<_>>(), ["a", "u", "n"]);
        assert_eq!(addresses.meant(0, 1), None);
    }
}
