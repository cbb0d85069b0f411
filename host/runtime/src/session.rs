//! A session: one adapter on one side of a sync, with its settings, its grants and a pool of instances.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use infrahub_sync_base::limits::{Limit, Limits};
use ipnet::IpNet;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::access::WriteAccess;
use crate::adapter::{Adapter, Loaded};
use crate::advice::below;
use crate::error::{AdapterName, Error, Result, Role};
use crate::exchange::{Exchange, Exchanges};
use crate::files::Folder;
use crate::guest::{Grants, Instance};
use crate::headers::RequestHeaders;
use crate::http::{Http, HttpConfig, Traffic};
use crate::limits::Exceeded;
use crate::manifest::Manifest;
use crate::memo::Memos;
use crate::secret::Scrubber;
use crate::settings::{self, Environment, Resolved, SettingProblem, SettingProblemKind, SettingsError, Sources, Variables};
use crate::types::{Absence, Dependents, Kind, LoadRequest, Outcome, Page, Run, RunResult, Target, WriteRequest};
use crate::usage::Usage;
use crate::waits::{Waiting, Waits, during};

/// The configuration with which an adapter is opened.
pub struct SessionConfig<'a> {
    /// The side that it plays.
    pub role: Role,
    /// A destination may write. Otherwise the host denies every request, file operation and call that may change the system, and it does so
    /// before the first [`begin`](Session::begin) or write in any case.
    pub writes: bool,
    /// `settings:` of that side, with `${VAR}` expanded.
    pub settings: BTreeMap<String, Value>,
    /// Environment variables.
    pub environment: Environment<'a>,
    /// Those of them that the settings may come from.
    pub variables: Variables,
    /// The request headers that the adapter may set.
    pub headers: RequestHeaders,
    /// Options of the command line: name (`branch`), value. A setting names the option that it takes.
    pub command_line: BTreeMap<String, String>,
    /// The folder that relative folder settings start from.
    pub project_dir: PathBuf,
    /// The mode of HTTP: live, recorded or replayed.
    pub exchanges: Exchanges,
    /// The bounds of its calls.
    pub limits: Limits,
    /// Further origins (`https://other.example`) that it may send requests to, without credentials.
    pub extra_origins: Vec<String>,
    /// Ranges that names may resolve to although they are loopback, link-local or private.
    pub networks: Vec<IpNet>,
}

impl<'a> SessionConfig<'a> {
    /// Returns the places that the settings come from.
    pub(crate) fn sources<'s>(&'s self, manifest: &'s Manifest) -> Sources<'s> {
        Sources {
            manifest,
            settings: &self.settings,
            command_line: &self.command_line,
            environment: self.environment,
            variables: &self.variables,
        }
    }
}

/// Warns of variables that have a value and are not read: the user probably set them for this adapter.
fn warn_of_ungranted(name: &AdapterName, sources: &Sources<'_>) {
    let Variables::Only { granted, .. } = sources.variables else { return };
    let ungranted = sources.ungranted();
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
    access: Arc<WriteAccess>,
    exchange: Exchange,
    /// The settings as the guest gets them.
    settings: String,
    limits: Limits,
    usage: Arc<Usage>,
    waits: Arc<Waits>,
    permits: Semaphore,
    idle: Mutex<Vec<Instance>>,
}

/// A call to an instance, in progress.
type Calling<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Session({})", self.0.name)
    }
}

impl Session {
    pub(crate) async fn open(adapter: &Adapter, config: SessionConfig<'_>) -> Result<Self> {
        let mut manifest = adapter.describe().await?;
        let name = Arc::new(AdapterName { role: Some(config.role), name: manifest.name.clone(), version: manifest.version.clone() });
        match config.role {
            Role::Source if manifest.source.is_none() => return Err(Error::Role { adapter: name, reason: "as a source" }),
            Role::Destination if manifest.destination.is_none() => return Err(Error::Role { adapter: name, reason: "as a destination" }),
            _ => {}
        }
        let sources = config.sources(&manifest);
        warn_of_ungranted(&name, &sources);
        let resolved = settings::resolve(&sources, &name, matches!(config.exchanges, Exchanges::Replay(_)))?;
        // An adapter without an address sends nothing, so it has no recording either.
        let exchanges = if manifest.address_setting.is_some() { &config.exchanges } else { &Exchanges::Live };
        let exchange = Exchange::open(exchanges, &manifest.name, |path| adapter.0.shared.recorder(path))?;
        let access = Arc::new(WriteAccess::new(config.writes && config.role == Role::Destination));
        let opening = Opening {
            adapter,
            manifest: &manifest,
            name: &name,
            config: &config,
            resolved: &resolved,
            exchange: &exchange,
            access: &access,
            usage: Arc::new(Usage::new()),
        };
        let grants = opening.grants()?;
        let usage = opening.usage.clone();
        let settings = serde_json::to_string(&resolved.plain).map_err(Error::runtime)?;
        manifest.write_batch_max = manifest.write_batch_max.min(resolved.host.write_batch_max);
        // Batches beyond it would only wait for one another, in any order.
        let requests = u32::try_from(resolved.host.max_concurrency).unwrap_or(u32::MAX);
        manifest.write_concurrency = manifest.write_concurrency.min(requests.max(1));
        let waits = grants.http.as_ref().map(|http| http.waits().clone()).unwrap_or_default();
        let session = Session(Arc::new(Inner {
            loaded: adapter.0.clone(),
            manifest,
            name,
            grants,
            access,
            exchange,
            settings,
            permits: Semaphore::new(config.limits.count(Limit::Instances).max(1)),
            limits: config.limits,
            usage,
            waits,
            idle: Mutex::default(),
        }));
        // The first instance shows at once whether the adapter accepts the settings.
        let instance = session.instance().await?;
        session.keep(instance);
        Ok(session)
    }

    /// Returns the adapter's description of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// Returns the adapter's name in errors.
    pub fn name(&self) -> &AdapterName {
        &self.0.name
    }

    /// Returns the network traffic so far; nothing for an adapter without an address.
    pub fn traffic(&self) -> Traffic {
        self.0.grants.http.as_ref().map(|http| http.traffic()).unwrap_or_default()
    }

    /// Returns everything that the session waits for at this moment.
    pub fn waits(&self) -> Vec<Waiting> {
        self.0.waits.list()
    }

    /// Returns a digest of the adapter's name and its settings, among them the address. Credentials have no part in it.
    pub fn identity(&self) -> String {
        crate::private::hex(&<sha2::Sha256 as sha2::Digest>::digest(format!("{}\n{}", self.0.manifest.name, self.0.settings)))
    }

    /// Returns the kinds of the targets, or all when the list is empty. Returns none from an adapter whose manifest has no `schema`.
    pub async fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        if !self.0.manifest.schema {
            return Ok(Vec::new());
        }
        let targets = targets.to_vec();
        self.call("read the schema".to_owned(), |instance| Box::pin(async move { instance.kinds(&targets).await })).await
    }

    /// Reads one page. Any instance may serve any page, so calls for several resources may overlap.
    pub async fn load(&self, request: LoadRequest) -> Result<Page> {
        let (resource, limits) = (request.resource.clone(), self.0.limits.clone());
        self.0.usage.page(&resource, &limits).map_err(|exceeded| with_resource(self.over("load", exceeded), &resource))?;
        let page = self.call(format!("read {resource}"), |instance| Box::pin(async move { instance.load(request, &limits).await })).await;
        let page = page.map_err(|error| with_resource(error, &resource))?;
        let counted = self.0.usage.page_bytes(page.payload.bytes(), &self.0.limits);
        counted.map_err(|exceeded| with_resource(self.over("load", exceeded), &resource))?;
        Ok(page)
    }

    /// Asks whether objects that a load did not return are deleted, in the order of the ids. The answers of an adapter without such
    /// evidence are all [`Absence::Unknown`].
    pub async fn absent(&self, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        if !(self.0.manifest.evidence.change_log || self.0.manifest.evidence.permissions) {
            return Ok(vec![Absence::Unknown; ids.len()]);
        }
        let (target, ids) = (target.clone(), ids.to_vec());
        self.call("find missing objects".to_owned(), |instance| Box::pin(async move { instance.absent(&target, &ids).await })).await
    }

    /// Returns the limit of records in one page.
    pub fn page_records_max(&self) -> usize {
        self.0.limits.count(Limit::PageRecords)
    }

    /// Returns the error of a page with more records than that.
    pub fn too_many_records(&self, resource: &str) -> Error {
        with_resource(self.over("load", Exceeded::beyond(&self.0.limits, Limit::PageRecords)), resource)
    }

    /// Counts the records of a page; only the caller, who parses it, knows their number.
    pub fn count_records(&self, resource: &str, records: usize) -> Result<()> {
        let counted = self.0.usage.records(resource, records, &self.0.limits);
        counted.map_err(|exceeded| with_resource(self.over("load", exceeded), resource))
    }

    /// Forgets the pages and records of a resource that is read again from its first page: the limits are about one read.
    pub fn read_again(&self, resource: &str) {
        self.0.usage.forget(resource);
    }

    /// Waits before the system is asked again; `why` says for what. A replay does not wait: its answers do not change with time.
    pub async fn rest(&self, time: Duration, why: String) {
        if matches!(self.0.exchange, Exchange::Live | Exchange::Record(_)) {
            tracing::debug!(adapter = %self.0.name, why, wait_ms = time.as_millis(), "waiting");
            // The adapter may have asked for a wait of years. The next call ends the run.
            let left = self.0.limits.time(Limit::RunWallTime).saturating_sub(self.0.usage.age());
            let time = time.min(left);
            let _shown = self.0.waits.pause(why, time);
            tokio::time::sleep(time).await;
        }
    }

    fn over(&self, call: &'static str, exceeded: Exceeded) -> Error {
        Error::Limit { adapter: self.0.name.clone(), call, resource: None, exceeded, failure: None }
    }

    /// Announces a run, once before its first write, also when there is nothing to write. The adapter removes leftovers of an interrupted run
    /// and checks what would be rejected. Returns a text for the user.
    pub async fn begin(&self, run: &Run) -> Result<Option<String>> {
        self.begin_writing("begin")?;
        let run = run.clone();
        self.call("begin the run".to_owned(), |instance| Box::pin(async move { instance.begin(&run).await })).await
    }

    /// Writes a batch. Returns exactly one outcome a row, in their order. After an error the outcome of every row is unknown.
    pub async fn write(&self, request: WriteRequest) -> Result<Vec<Outcome>> {
        self.begin_writing("write")?;
        let what = format!("{} {} {}", request.operation.as_str(), request.count, request.target.kind);
        self.call(what, |instance| Box::pin(async move { instance.write(request).await })).await
    }

    /// Makes the staged rows of these kinds durable.
    pub async fn commit(&self, kinds: &[String]) -> Result<()> {
        self.begin_writing("commit")?;
        let kinds = kinds.to_vec();
        self.call(format!("commit {}", kinds.join(", ")), |instance| Box::pin(async move { instance.commit(&kinds).await })).await
    }

    /// Returns what a delete of these objects takes along in the system, beyond the objects themselves.
    pub async fn cascade(&self, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        let (target, ids) = (target.clone(), ids.to_vec());
        self.call(format!("find what goes along with {}", target.kind), |instance| {
            Box::pin(async move { instance.cascade(&target, &ids).await })
        })
        .await
    }

    /// Announces the end of a run that completed, also when rows were rejected, once after its last commit. Returns a text for the user.
    pub async fn finish_run(&self, run: &Run, result: RunResult) -> Result<Option<String>> {
        self.begin_writing("finish")?;
        let run = run.clone();
        self.call("finish the run".to_owned(), |instance| Box::pin(async move { instance.finish(&run, result).await })).await
    }

    /// Lets the adapter write from here on, if the session may.
    fn begin_writing(&self, call: &'static str) -> Result<()> {
        if self.0.access.begin() { Ok(()) } else { Err(Error::OnlyReads { adapter: self.0.name.clone(), call }) }
    }

    /// Drops the instances that wait for a call: the next call has a new one. An adapter must bear that at any time.
    pub fn renew_instances(&self) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends a recording: its file is complete and in its place afterwards. Does nothing otherwise.
    ///
    /// A session that is dropped without it puts the file in its place too, but cannot report whether that succeeded.
    pub fn finish(&self) -> Result<()> {
        self.0.exchange.finish()
    }

    /// Calls an instance of the pool; it returns there unless something went wrong.
    ///
    /// `what` names the call for those who wait for its answers.
    async fn call<T>(&self, what: String, work: impl for<'a> FnOnce(&'a mut Instance) -> Calling<'a, T>) -> Result<T> {
        let _permit = self.0.permits.acquire().await.map_err(Error::runtime)?;
        let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instance().await?,
        };
        let value = during(what, work(&mut instance)).await?;
        self.keep(instance);
        Ok(value)
    }

    /// Makes and configures an instance.
    async fn instance(&self) -> Result<Instance> {
        let inner = &self.0;
        let mut instance =
            Instance::new(&inner.loaded, inner.name.clone(), inner.grants.clone(), &inner.limits, inner.usage.clone()).await?;
        instance.configure(&inner.settings).await?;
        Ok(instance)
    }

    fn keep(&self, instance: Instance) {
        if !instance.is_worn() {
            self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        }
    }
}

/// A session that is being opened.
struct Opening<'a> {
    adapter: &'a Adapter,
    manifest: &'a Manifest,
    name: &'a Arc<AdapterName>,
    config: &'a SessionConfig<'a>,
    resolved: &'a Resolved,
    exchange: &'a Exchange,
    access: &'a Arc<WriteAccess>,
    usage: Arc<Usage>,
}

impl Opening<'_> {
    /// Grants what the settings name: the address, the folder and the memos.
    fn grants(&self) -> Result<Grants> {
        let scrubber = Scrubber::new(self.resolved.secrets.values().cloned());
        // An offline run must not depend on what earlier runs left, nor leave anything to later ones.
        let store = self.adapter.0.shared.memos.clone().filter(|_| self.config.exchanges == Exchanges::Live);
        let memos = Memos::new(&self.adapter.0.digest, self.resolved.address.as_deref(), store);
        Ok(Grants { http: self.http(&scrubber)?, folder: self.folder()?, memos: Some(Arc::new(memos)), scrubber })
    }

    fn http(&self, scrubber: &Scrubber) -> Result<Option<Arc<Http>>> {
        let Some(address) = &self.resolved.address else { return Ok(None) };
        let http = Http::new(HttpConfig {
            adapter: self.name.clone(),
            manifest: self.manifest,
            resolved: self.resolved,
            address,
            extra_origins: &self.config.extra_origins,
            networks: &self.config.networks,
            environment: self.config.environment,
            limits: &self.config.limits,
            exchange: self.exchange.clone(),
            scrubber: scrubber.clone(),
            access: self.access.clone(),
            usage: self.usage.clone(),
            headers: &self.config.headers,
        });
        http.map(|http| Some(Arc::new(http))).map_err(|reason| self.invalid(&self.manifest.address_setting, reason))
    }

    fn folder(&self) -> Result<Option<Arc<Folder>>> {
        let Some(folder) = &self.resolved.folder else { return Ok(None) };
        // A destination's folder is made by the first write.
        let may_be_missing = self.config.role == Role::Destination;
        let path = self.config.project_dir.join(folder);
        let folder = Folder::new(path, may_be_missing, self.access.clone(), &self.config.limits);
        folder.map(|folder| Some(Arc::new(folder))).map_err(|reason| self.invalid(&self.manifest.folder_setting, reason))
    }

    fn invalid(&self, setting: &Option<String>, reason: String) -> Error {
        let setting = setting.clone().unwrap_or_default();
        let problems = vec![SettingProblem { setting, kind: SettingProblemKind::Invalid { reason, variable: None } }];
        Error::Settings(SettingsError { adapter: self.name.clone(), problems })
    }
}

/// Returns the error with the resource that was read.
fn with_resource(mut error: Error, read: &str) -> Error {
    if let Error::Limit { resource, .. } = &mut error {
        *resource = Some(read.to_owned());
    }
    error
}
