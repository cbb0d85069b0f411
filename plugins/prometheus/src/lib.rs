//! Prometheus as a source: the samples of an exporter, or the results of queries.
//!
//! | module | |
//! |---|---|
//! | [`exposition`] | parses what exporters answer: the text format and OpenMetrics |
//! | [`query`] | reads the answers of the query API |
//!
//! The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod exposition;
mod query;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use infrahub_sync_adapter::memo::{self, Lifetime};
use infrahub_sync_adapter::{
    Adapter, Addressing, Credential, Error, LoadRequest, Manifest, Page, Payload, Query, ReferenceRule, Result, Setting, SettingType,
    System, http, settings,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exposition::Format;

/// The names for messages.
const PROMETHEUS: System = System::new("Prometheus").with_credential("auth_method", "PROM_TOKEN, or PROM_USERNAME and PROM_PASSWORD");
/// The key of the scraped text: all mappings of a run see the same one.
const SCRAPED: &str = "scraped";

/// The adapter.
#[derive(Deserialize)]
pub struct Prometheus {
    mode: Mode,
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    auth_method: String,
    #[serde(default)]
    promql: Queries,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Scrape,
    Api,
}

/// The setting `promql`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queries {
    #[serde(default)]
    resources: BTreeMap<String, String>,
}

/// A sample, as a project sees it.
#[derive(Debug, PartialEq, Serialize)]
struct Sample<'a> {
    /// The metric and its labels.
    id: String,
    #[serde(rename = "__metric__")]
    metric: &'a str,
    labels: BTreeMap<String, String>,
    /// None: not a number, or infinite.
    value: Option<f64>,
    /// Seconds since 1970.
    timestamp: Option<f64>,
    help: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl<'a> Sample<'a> {
    fn new(metric: &'a str, labels: BTreeMap<String, String>, value: f64) -> Sample<'a> {
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let id = format!("{metric}|{}", pairs.join(","));
        // JSON has no other numbers.
        let value = Some(value).filter(|value| value.is_finite());
        Sample { id, metric, labels, value, timestamp: None, help: "", kind: "" }
    }
}

impl Adapter for Prometheus {
    fn manifest() -> Manifest {
        let text = Setting::text;
        Manifest::new("prometheus", env!("CARGO_PKG_VERSION"), "Prometheus and its exporters, as a source")
            .with_setting(
                text("url", "the address of the exporter or server, such as http://node1.example.com:9100")
                    .required()
                    .from_environment("PROM_URL")
                    .from_environment("PROM_ADDRESS"),
            )
            .with_setting(text("mode", "`scrape` reads an exporter, `api` asks a server").with_default("scrape"))
            .with_setting(text("endpoint", "the path; default: `/metrics`, with `mode: api` `/api/v1/query`"))
            .with_setting(Setting::new("params", SettingType::Json, "query parameters of the scrape"))
            .with_setting(Setting::new("promql", SettingType::Json, "`{resources: {name: query}}`, the queries for `mode: api`"))
            .with_setting(text("auth_method", "`none`, `basic` or `bearer`").with_default("none"))
            .with_setting(Setting::secret("username", "for `auth_method: basic`").from_environment("PROM_USERNAME"))
            .with_setting(Setting::secret("password", "for `auth_method: basic`").from_environment("PROM_PASSWORD"))
            .with_setting(Setting::secret("token", "for `auth_method: bearer`").from_environment("PROM_TOKEN"))
            .with_setting(Setting::new("timeout", SettingType::Integer, "seconds for one request").with_default("10"))
            .with_address("url")
            .with_credential(Credential::basic("username", "password").when("auth_method", &["basic"]))
            .with_credential(Credential::header("authorization", "Bearer {token}").when("auth_method", &["bearer"]))
            .with_source(Addressing::Mapping)
            .with_reference_rule(ReferenceRule::UniqueId)
            .with_lookup("lookup")
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Prometheus> {
        let adapter: Prometheus = settings::parse(settings)?;
        if !["none", "basic", "bearer"].contains(&&*adapter.auth_method) {
            return Err(Error::config(format!("`auth_method: {}` is unknown: use `none`, `basic` or `bearer`", adapter.auth_method)));
        }
        Ok(adapter)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("samples have no history here: every read is a full one"));
        }
        match self.mode {
            Mode::Scrape => self.scraped(&request.resource),
            Mode::Api => self.asked(&request.resource),
        }
    }
}

infrahub_sync_adapter::export_adapter!(Prometheus);

impl Prometheus {
    fn path(&self, usual: &str) -> String {
        let path = self.endpoint.as_deref().filter(|path| !path.is_empty()).unwrap_or(usual);
        if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
    }

    /// Returns the samples of a metric that the exporter exposes.
    fn scraped(&self, metric: &str) -> Result<Page> {
        let (format, body) = self.scrape()?;
        let text = std::str::from_utf8(&body).map_err(|_| Error::remote("the exporter's answer is not UTF-8"))?;
        let samples = exposition::samples(text, format, metric)?;
        if samples.is_empty() {
            let reason = format!("the exporter exposes no metric `{metric}`");
            return Ok(Page::empty().with_partial(&reason));
        }
        Ok(Page::new(Payload::JsonLines(samples)))
    }

    fn scrape(&self) -> Result<(Format, Vec<u8>)> {
        let stored = memo::get(Lifetime::Run, SCRAPED);
        let stored = match stored {
            Some(stored) => stored,
            None => {
                let path = Query::new(&self.path("/metrics")).with_all(&self.params);
                // Newer exporters would choose OpenMetrics, in which counters have other names.
                let request = http::get(path).with_header("accept", "text/plain;version=0.0.4, */*;q=0.1");
                let response = PROMETHEUS.success("metrics", request.send()?)?;
                let is_open = response.header("content-type").is_some_and(|content| content.starts_with("application/openmetrics-text"));
                if response.header("content-type").is_some_and(|content| content.starts_with("text/html")) {
                    return Err(PROMETHEUS.unexpected("metrics", &response));
                }
                let mut stored = vec![u8::from(is_open)];
                stored.extend(response.body());
                memo::put(Lifetime::Run, SCRAPED, &stored)
            }
        };
        match stored.split_first() {
            Some((is_open, body)) => Ok((if *is_open == 1 { Format::OpenMetrics } else { Format::Text }, body.to_vec())),
            None => Err(Error::internal("the scraped text is lost")),
        }
    }

    /// Returns the result of a query.
    fn asked(&self, resource: &str) -> Result<Page> {
        let resources = &self.promql.resources;
        let query = resources.get(resource).ok_or_else(|| {
            let known: Vec<String> = resources.keys().map(|name| format!("`{name}`")).collect();
            let known = if known.is_empty() { "it is empty".to_owned() } else { format!("it has {}", known.join(", ")) };
            Error::config(format!("`promql.resources` has no query `{resource}`: {known}"))
        })?;
        let path = Query::new(&self.path("/api/v1/query")).with("query", query).to_string();
        let response = http::get(path).send()?;
        query::page(resource, &response)
    }
}
