//! The calls of an adapter's exports, with our types on both sides.

use crate::error::{Error, Result};
use crate::guest::convert;
use crate::guest::{Breach, Instance};
use crate::manifest::Manifest;
use crate::types::{Absence, Dependents, Kind, LoadRequest, Outcome, Page, Run, RunResult, Target, WriteRequest};
use infrahub_sync_base::limits::Limits;

impl Instance {
    /// Asks the adapter to describe itself.
    pub(crate) async fn describe(&mut self) -> Result<Manifest> {
        let adapter = self.store.data().adapter.clone();
        self.run("describe", |instance| {
            Box::pin(async move {
                let manifest = instance.bindings.infrahub_sync_adapter_meta().call_describe(&mut instance.store).await?;
                Ok(Ok(Manifest::from_wit(manifest).map_err(Breach)?))
            })
        })
        .await
        .inspect(|manifest| tracing::debug!(%adapter, name = manifest.name, version = manifest.version, "adapter described itself"))
    }

    /// Hands over the settings, as the text of a JSON object.
    pub(crate) async fn configure(&mut self, settings: &str) -> Result<()> {
        let settings = settings.to_owned();
        self.run("configure", move |instance| {
            Box::pin(async move { instance.bindings.infrahub_sync_adapter_meta().call_configure(&mut instance.store, &settings).await })
        })
        .await
    }

    /// Reads the kinds of the targets, or all.
    pub(crate) async fn kinds(&mut self, targets: &[Target]) -> Result<Vec<Kind>> {
        let targets: Vec<_> = targets.iter().cloned().map(convert::target).collect();
        let kinds = self
            .run("kinds", move |instance| {
                Box::pin(async move { instance.bindings.infrahub_sync_adapter_schema().call_kinds(&mut instance.store, &targets).await })
            })
            .await?;
        Ok(kinds.into_iter().map(convert::kind).collect())
    }

    /// Reads one page.
    pub(crate) async fn load(&mut self, request: LoadRequest, limits: &Limits) -> Result<Page> {
        let (asked, limits) = (request.cursor.clone(), limits.clone());
        let request = convert::load_request(request);
        let page = self
            .run("load", move |instance| {
                Box::pin(async move {
                    let page = match instance.bindings.infrahub_sync_adapter_source().call_load(&mut instance.store, &request).await? {
                        Ok(page) => page,
                        Err(error) => return Ok(Err(error)),
                    };
                    Ok(Ok(convert::page(instance.store.data_mut(), page, asked.as_ref(), &limits)?))
                })
            })
            .await?;
        page.map_err(|failure| Error::Adapter { adapter: self.store.data().adapter.clone(), failure })
    }

    /// Asks whether objects that were not read are deleted.
    pub(crate) async fn absent(&mut self, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        let (target, ids) = (convert::target(target.clone()), ids.to_vec());
        self.run("absent", move |instance| {
            Box::pin(async move {
                let source = instance.bindings.infrahub_sync_adapter_source();
                Ok(match source.call_absent(&mut instance.store, &target, &ids).await? {
                    Ok(absences) => Ok(convert::absences(absences, ids.len())?),
                    Err(error) => Err(error),
                })
            })
        })
        .await
    }

    /// Announces a run.
    pub(crate) async fn begin(&mut self, run: &Run) -> Result<Option<String>> {
        let run = convert::run(run);
        let text = self
            .run("begin", move |instance| {
                Box::pin(async move { instance.bindings.infrahub_sync_adapter_destination().call_begin(&mut instance.store, &run).await })
            })
            .await?;
        Ok(self.message(text))
    }

    /// Writes a batch.
    pub(crate) async fn write(&mut self, request: WriteRequest) -> Result<Vec<Outcome>> {
        let count = request.count;
        let request = convert::write_request(request);
        self.run("write", move |instance| {
            Box::pin(async move {
                let destination = instance.bindings.infrahub_sync_adapter_destination();
                Ok(match destination.call_write(&mut instance.store, &request).await? {
                    Ok(outcomes) => Ok(convert::outcomes(outcomes, count, &instance.store.data().grants.scrubber)?),
                    Err(error) => Err(error),
                })
            })
        })
        .await
    }

    /// Makes the staged rows of these kinds durable.
    pub(crate) async fn commit(&mut self, kinds: &[String]) -> Result<()> {
        let kinds = kinds.to_vec();
        self.run("commit", move |instance| {
            Box::pin(async move { instance.bindings.infrahub_sync_adapter_destination().call_commit(&mut instance.store, &kinds).await })
        })
        .await
    }

    /// Asks what a delete of these objects takes along.
    pub(crate) async fn cascade(&mut self, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        let (target, ids) = (convert::target(target.clone()), ids.to_vec());
        self.run("cascade", move |instance| {
            Box::pin(async move {
                let destination = instance.bindings.infrahub_sync_adapter_destination();
                Ok(match destination.call_cascade(&mut instance.store, &target, &ids).await? {
                    Ok(dependents) => Ok(convert::dependents(dependents)?),
                    Err(error) => Err(error),
                })
            })
        })
        .await
    }

    /// Announces the end of a run.
    pub(crate) async fn finish(&mut self, run: &Run, result: RunResult) -> Result<Option<String>> {
        let (run, result) = (convert::run(run), convert::run_result(result));
        let text = self
            .run("finish", move |instance| {
                Box::pin(async move {
                    instance.bindings.infrahub_sync_adapter_destination().call_finish(&mut instance.store, &run, result).await
                })
            })
            .await?;
        Ok(self.message(text))
    }

    fn message(&self, text: Option<String>) -> Option<String> {
        text.map(|text| convert::message(text, &self.store.data().grants.scrubber))
    }
}
