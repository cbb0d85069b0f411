//! A session: one adapter on one side of a sync, with its settings, what it was granted, and a pool of instances.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use infrahub_sync_base::limits::Limit;
use ipnet::IpNet;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::adapter::{Adapter, Loaded};
use crate::bindings::exports::infrahub_sync::adapter::{destination as wit_destination, source as wit_source};
use crate::bindings::infrahub_sync::adapter::types as wit;
use crate::capability::below;
use crate::capability::files::{Access, Folder};
use crate::capability::http::{Http, HttpConfig, Traffic};
use crate::capability::memo::Memos;
use crate::error::{AdapterName, Error, Failure, FailureKind, Result, Role};
use crate::exchange::{Exchange, Exchanges};
use crate::instance::{Breach, Calling, Grants, HostState, Instance, failure, one_block};
use crate::limits::{Exceeded, Limits};
use crate::manifest::Manifest;
use crate::response::Body;
use crate::secret::Scrubber;
use crate::settings::{self, Environment, SettingProblem, SettingProblemKind, SettingsError, Variables};
use crate::types::{
    Column, ColumnData, Columns, Cursor, Field, FieldType, Kind, Layout, LoadRequest, Operation, Outcome, Page, Payload, Run, RunResult,
    TextData, WriteRequest,
};
use crate::usage::Usage;

/// How an adapter is opened.
pub struct SessionConfig<'a> {
    /// The side that it plays.
    pub role: Role,
    /// `settings:` of that side, with `${VAR}` expanded.
    pub settings: BTreeMap<String, Value>,
    /// Environment variables.
    pub environment: Environment<'a>,
    /// Those of them that the settings may come from.
    pub variables: Variables,
    /// The folder that relative folder settings start from.
    pub project_dir: PathBuf,
    /// Whether HTTP is real, recorded or replayed.
    pub exchanges: Exchanges,
    /// The bounds of its calls.
    pub limits: Limits,
    /// Further origins (`https://other.example`) that it may ask, without credentials.
    pub extra_origins: Vec<String>,
    /// Ranges that names may resolve to although they are loopback, link-local or private.
    pub networks: Vec<IpNet>,
}

/// Says which variables have a value and are not read: whoever set them for this adapter wants to know.
fn warn_of_ungranted(manifest: &Manifest, name: &AdapterName, config: &SessionConfig<'_>) {
    let Variables::Only { granted, .. } = &config.variables else { return };
    let is_set = |variable: &&String| (config.environment)(variable).is_some_and(|value| !value.is_empty());
    let asked = manifest.settings.iter().flat_map(|setting| &setting.environment);
    let ungranted: Vec<String> = asked.filter(|variable| !config.variables.allow(variable)).filter(is_set).cloned().collect();
    if !ungranted.is_empty() {
        let all: Vec<String> = granted.iter().chain(&ungranted).cloned().collect();
        tracing::warn!(
            "{name} asks for the environment: {} is not read; to allow it, write {}: `grants: {{environment: [{}]}}`",
            ungranted.join(", "),
            below(name.role),
            all.join(", ")
        );
    }
}

/// One adapter on one side of a sync. Clones are the same session; calls may overlap.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    loaded: Arc<Loaded>,
    manifest: Manifest,
    name: Arc<AdapterName>,
    grants: Grants,
    exchange: Exchange,
    /// The settings as the guest gets them.
    settings: String,
    limits: Limits,
    usage: Arc<Usage>,
    permits: Semaphore,
    idle: Mutex<Vec<Instance>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Session({})", self.0.name)
    }
}

impl Session {
    pub(crate) async fn open(adapter: &Adapter, config: SessionConfig<'_>) -> Result<Self> {
        let manifest = adapter.describe().await?;
        let name = Arc::new(AdapterName { role: Some(config.role), name: manifest.name.clone(), version: manifest.version.clone() });
        match config.role {
            Role::Source if manifest.source.is_none() => return Err(Error::Role { adapter: name, reason: "it cannot be read" }),
            Role::Destination if !manifest.destination => return Err(Error::Role { adapter: name, reason: "it cannot be written to" }),
            _ => {}
        }
        let replay = matches!(config.exchanges, Exchanges::Replay(_));
        warn_of_ungranted(&manifest, &name, &config);
        let resolved = settings::resolve(&manifest, &name, &config.settings, config.environment, &config.variables, replay)?;
        // An adapter without an address sends nothing: there is nothing to record, and no recording to ask for.
        let exchanges = if manifest.address_setting.is_some() { &config.exchanges } else { &Exchanges::Live };
        let exchange = Exchange::open(exchanges, &manifest.name, |path| adapter.0.shared.recorder(path))?;
        let scrubber = Scrubber::new(resolved.secrets.values().cloned());
        let wrong = |setting: &Option<String>, reason: String| {
            let setting = setting.clone().unwrap_or_default();
            let problems = vec![SettingProblem { setting, kind: SettingProblemKind::Invalid { reason, variable: None } }];
            Error::Settings(SettingsError { adapter: name.clone(), problems })
        };
        let http = match &resolved.address {
            Some(address) => {
                let config = HttpConfig {
                    adapter: name.clone(),
                    manifest: &manifest,
                    resolved: &resolved,
                    address,
                    extra_origins: &config.extra_origins,
                    networks: &config.networks,
                    environment: config.environment,
                    limits: &config.limits,
                    exchange: exchange.clone(),
                    scrubber: scrubber.clone(),
                };
                Some(Arc::new(Http::new(config).map_err(|reason| wrong(&manifest.address_setting, reason))?))
            }
            None => None,
        };
        let folder = match &resolved.folder {
            Some(folder) => {
                let access = match config.role {
                    Role::Source => Access::Read,
                    Role::Destination => Access::ReadWrite,
                };
                let path = config.project_dir.join(folder);
                Some(Arc::new(Folder::new(path, access, &config.limits).map_err(|reason| wrong(&manifest.folder_setting, reason))?))
            }
            None => None,
        };
        // An offline run must not depend on what earlier runs left, nor leave anything to later ones.
        let store = adapter.0.shared.memos.clone().filter(|_| config.exchanges == Exchanges::Live);
        let memos = Arc::new(Memos::new(&adapter.0.digest, resolved.address.as_deref(), store, &config.limits));
        let settings = serde_json::to_string(&resolved.plain).map_err(Error::runtime)?;
        let session = Session(Arc::new(Inner {
            loaded: adapter.0.clone(),
            manifest,
            name,
            grants: Grants { http, folder, memos: Some(memos), scrubber },
            exchange,
            settings,
            permits: Semaphore::new(config.limits.instances_max.max(1)),
            limits: config.limits,
            usage: Arc::new(Usage::new()),
            idle: Mutex::default(),
        }));
        // The first instance tells at once whether the settings please the adapter.
        let instance = session.instance().await?;
        session.keep(instance);
        Ok(session)
    }

    /// The adapter's description of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The adapter's name in errors.
    pub fn name(&self) -> &AdapterName {
        &self.0.name
    }

    /// What went over the network so far; nothing for an adapter without an address.
    pub fn traffic(&self) -> Traffic {
        self.0.grants.http.as_ref().map(|http| http.traffic()).unwrap_or_default()
    }

    /// A digest of what is asked and how: the adapter's name and its settings, among them address and branch. Credentials have no part in it.
    pub fn identity(&self) -> String {
        crate::private::hex(&<sha2::Sha256 as sha2::Digest>::digest(format!("{}\n{}", self.0.manifest.name, self.0.settings)))
    }

    /// The kinds named, or all when the list is empty. None at all from an adapter whose manifest has no `schema`.
    pub async fn kinds(&self, names: &[String]) -> Result<Vec<Kind>> {
        if !self.0.manifest.schema {
            return Ok(Vec::new());
        }
        let names = names.to_vec();
        let kinds = self
            .call("kinds", move |instance| {
                Box::pin(async move { instance.bindings.infrahub_sync_adapter_schema().call_kinds(&mut instance.store, &names).await })
            })
            .await?;
        Ok(kinds.into_iter().map(kind).collect())
    }

    /// Reads one page. Any instance may serve any page, so pages of several resources may be asked for at once.
    pub async fn load(&self, request: LoadRequest) -> Result<Page> {
        let resource = request.resource.clone();
        self.load_page(request).await.map_err(|error| of(error, &resource))
    }

    async fn load_page(&self, request: LoadRequest) -> Result<Page> {
        let limits = self.0.limits.clone();
        self.0.usage.page(&request.resource, &limits).map_err(|exceeded| self.over("load", exceeded))?;
        let asked = request.cursor.clone();
        let request = wit_source::LoadRequest {
            resource: request.resource,
            fields: request.fields,
            model: request.model,
            page_size: request.page_size,
            cursor: request.cursor.map(|cursor| cursor.0),
            since: request.since,
        };
        let page = self
            .call("load", move |instance| {
                Box::pin(async move {
                    let page = match instance.bindings.infrahub_sync_adapter_source().call_load(&mut instance.store, &request).await? {
                        Ok(page) => page,
                        Err(error) => return Ok(Err(error)),
                    };
                    Ok(Ok(take_page(instance.store.data_mut(), page, asked.as_ref(), &limits)?))
                })
            })
            .await?;
        page.map_err(|failure| Error::Adapter { adapter: self.0.name.clone(), failure })
    }

    /// The records of one page that this adapter may hand over.
    pub fn page_records_max(&self) -> usize {
        self.0.limits.page_rows_max as usize
    }

    /// A page had more than that.
    pub fn too_many_records(&self, resource: &str) -> Error {
        of(self.over("load", Exceeded::new(Limit::PageRecords, self.0.limits.page_rows_max)), resource)
    }

    /// Counts the records of a page, which only who parses it knows.
    pub fn count_records(&self, resource: &str, records: usize) -> Result<()> {
        self.0.usage.records(resource, records, &self.0.limits).map_err(|exceeded| of(self.over("load", exceeded), resource))
    }

    fn over(&self, call: &'static str, exceeded: Exceeded) -> Error {
        Error::Limit { adapter: self.0.name.clone(), call, resource: None, exceeded, failure: None }
    }

    /// To be called once before the first write of a run, also when there is nothing to write: leftovers of an interrupted one are
    /// cleared away, and what would be refused is found out. The text, if there is one, is for the user.
    pub async fn begin(&self, run: &Run) -> Result<Option<String>> {
        let run = wit_run(run);
        let text = self
            .call("begin", move |instance| {
                Box::pin(async move { instance.bindings.infrahub_sync_adapter_destination().call_begin(&mut instance.store, &run).await })
            })
            .await?;
        Ok(text.map(|text| one_block(self.0.grants.scrubber.scrub(text))))
    }

    /// Writes a batch. Exactly one outcome a row, in their order; an error means that nothing is known about any row.
    pub async fn write(&self, request: WriteRequest) -> Result<Vec<Outcome>> {
        let count = request.count;
        let request = wit_destination::WriteRequest {
            kind: request.kind,
            resource: request.resource,
            operation: match request.operation {
                Operation::Create => wit_destination::Operation::Create,
                Operation::Update => wit_destination::Operation::Update,
                Operation::Delete => wit_destination::Operation::Delete,
            },
            identifiers: request.identifiers,
            references: request.references,
            rows: request.rows.into_bytes(),
            count,
        };
        let outcomes = self
            .call("write", move |instance| {
                Box::pin(async move {
                    let outcomes =
                        match instance.bindings.infrahub_sync_adapter_destination().call_write(&mut instance.store, &request).await? {
                            Ok(outcomes) => outcomes,
                            Err(error) => return Ok(Err(error)),
                        };
                    if outcomes.len() != count as usize {
                        return Err(Breach(format!("{count} rows were to be written, and it told {} outcomes", outcomes.len())).into());
                    }
                    Ok(Ok(outcomes))
                })
            })
            .await?;
        let scrubber = &self.0.grants.scrubber;
        let outcome = |outcome| match outcome {
            wit_destination::Outcome::Written(id) => Outcome::Written(id),
            wit_destination::Outcome::Staged => Outcome::Staged,
            wit_destination::Outcome::Unchanged(id) => Outcome::Unchanged(id),
            wit_destination::Outcome::Failed(error) => Outcome::Failed(failure(error, scrubber)),
        };
        Ok(outcomes.into_iter().map(outcome).collect())
    }

    /// Makes the staged rows of these kinds durable.
    pub async fn commit(&self, kinds: &[String]) -> Result<()> {
        let kinds = kinds.to_vec();
        self.call("commit", move |instance| {
            Box::pin(async move { instance.bindings.infrahub_sync_adapter_destination().call_commit(&mut instance.store, &kinds).await })
        })
        .await
    }

    /// To be called once after the last commit of a run that came to its end, also when rows were refused. The text, if there is one, is
    /// for the user.
    pub async fn finish_run(&self, run: &Run, result: RunResult) -> Result<Option<String>> {
        let run = wit_run(run);
        let RunResult { created, updated, deleted, unchanged, failed, skipped } = result;
        let result = wit_destination::RunResult { created, updated, deleted, unchanged, failed, skipped };
        let text = self
            .call("finish", move |instance| {
                Box::pin(async move {
                    instance.bindings.infrahub_sync_adapter_destination().call_finish(&mut instance.store, &run, result).await
                })
            })
            .await?;
        Ok(text.map(|text| one_block(self.0.grants.scrubber.scrub(text))))
    }

    /// Lets go of the instances that wait for a call: the next call has a new one. Every adapter must bear that at any time.
    pub fn renew_instances(&self) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends a recording: its file is complete and in its place afterwards. Does nothing otherwise.
    ///
    /// A session that is dropped without it puts the file in its place too, but cannot tell whether that worked.
    pub fn finish(&self) -> Result<()> {
        self.0.exchange.finish()
    }

    /// Calls an instance of the pool; it returns there unless something went wrong.
    async fn call<T>(&self, call: &'static str, work: impl for<'a> FnOnce(&'a mut Instance) -> Calling<'a, T>) -> Result<T> {
        let _permit = self.0.permits.acquire().await.map_err(Error::runtime)?;
        let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instance().await?,
        };
        let value = instance.run(call, work).await?;
        self.keep(instance);
        Ok(value)
    }

    /// Makes and configures an instance.
    async fn instance(&self) -> Result<Instance> {
        let inner = &self.0;
        let mut instance =
            Instance::new(&inner.loaded, inner.name.clone(), inner.grants.clone(), &inner.limits, inner.usage.clone()).await?;
        let settings = inner.settings.clone();
        instance
            .run("configure", move |instance| {
                Box::pin(async move { instance.bindings.infrahub_sync_adapter_meta().call_configure(&mut instance.store, &settings).await })
            })
            .await?;
        Ok(instance)
    }

    fn keep(&self, instance: Instance) {
        if !instance.is_worn() {
            self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        }
    }
}

/// The error with what was read.
fn of(mut error: Error, read: &str) -> Error {
    if let Error::Limit { resource, .. } = &mut error {
        *resource = Some(read.to_owned());
    }
    error
}

fn wit_run(run: &Run) -> wit_destination::Run {
    let changes = run.changes.iter().map(|changes| wit_destination::KindChanges {
        kind: changes.kind.clone(),
        creates: changes.creates,
        updates: changes.updates,
        deletes: changes.deletes,
    });
    wit_destination::Run { id: run.id.clone(), sync: run.sync.clone(), source: run.source.clone(), changes: changes.collect() }
}

fn kind(kind: wit::Kind) -> Kind {
    Kind {
        name: kind.name,
        identifiers: kind.identifiers,
        fields: kind.fields.into_iter().map(field).collect(),
        stands_for: kind.stands_for,
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
        reference: field.reference,
        choices: field.choices,
        default: field.default,
    }
}

/// Checks a page and takes the response that it hands over. The inner error is the remote system's fault.
fn take_page(
    state: &mut HostState,
    page: wit_source::Page,
    asked: Option<&Cursor>,
    limits: &Limits,
) -> wasmtime::Result<std::result::Result<Page, Failure>> {
    let next = page.next.map(Cursor);
    if let Some(next) = &next {
        if next.0.len() > limits.cursor_bytes_max {
            return Err(Breach(format!("its cursor has {} bytes, {} are allowed", next.0.len(), limits.cursor_bytes_max)).into());
        }
        // Loading is stateless, so the same cursor gives the same page, for ever.
        if asked == Some(next) {
            return Err(Breach("the next page's cursor is this page's: it would never end".into()).into());
        }
    }
    let payload = match page.payload {
        wit_source::Payload::Document(document) => {
            let response = state.responses.take(document.response.rep())?;
            check_pointer(&document.pointer)?;
            for (_, pointer) in &document.projection {
                check_pointer(pointer)?;
            }
            let Body::Text(body) = response.body else {
                let message = "the records are no UTF-8 text".to_owned();
                return Ok(Err(Failure { kind: FailureKind::Remote, message, http_status: Some(response.status), retry_after: None }));
            };
            if body.len() > limits.page_bytes_max {
                return Err(Exceeded::new(Limit::PageSize, limits.page_bytes_max).into());
            }
            let layout = match document.layout {
                wit_source::Layout::Json => Layout::Json,
                wit_source::Layout::JsonLines => Layout::JsonLines,
            };
            Payload::Document { body, layout, pointer: document.pointer, projection: document.projection }
        }
        wit_source::Payload::JsonLines(bytes) => {
            let text = String::from_utf8(bytes)
                .map_err(|error| Breach(format!("its JSON lines are not UTF-8 at byte {}", error.utf8_error().valid_up_to())))?;
            Payload::JsonLines(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
        }
        wit_source::Payload::Columns(columns) => {
            if columns.rows > limits.page_rows_max {
                return Err(Exceeded::new(Limit::PageRecords, limits.page_rows_max).into());
            }
            Payload::Columns(take_columns(columns, limits).map_err(Breach)?)
        }
    };
    Ok(Ok(Page { payload, next, watermark: page.watermark, deleted: page.deleted, total: page.total }))
}

/// The parts of a pointer, at most. What it leads through is JSON, which is not parsed deeper than 128 levels.
const POINTER_PARTS_MAX: usize = 100;

fn check_pointer(pointer: &str) -> std::result::Result<(), Breach> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(Breach(format!("`{}` is no JSON pointer: it does not begin with `/`", shortened(pointer))));
    }
    let parts = pointer.matches('/').count();
    if parts > POINTER_PARTS_MAX {
        return Err(Breach(format!("a JSON pointer has {parts} parts, {POINTER_PARTS_MAX} are allowed")));
    }
    Ok(())
}

/// What a guest wrote, short enough for a message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn take_columns(columns: wit_source::Columns, limits: &Limits) -> std::result::Result<Columns, String> {
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
    Columns::new(columns.rows as usize, taken, limits.page_rows_max as usize)
}
