//! Any REST API as a source, and as a destination where the project says how it is written: lists of JSON records, with the usual ways of paging.
//!
//! | module | |
//! |---|---|
//! | [`answer`] | finds the records in an answer, and the place of their ids |
//! | [`paging`] | finds the next page |
//! | [`since`] | reads only what was modified since the last run, where the project says how |
//! | [`writing`] | writes, where the project says how |
//!
//! The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod answer;
mod paging;
mod since;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::BTreeMap;

use infrahub_sync_adapter::{
    Adapter, Addressing, Credential, Error, Evidence, LoadRequest, Manifest, Outcome, Page, Query, ReferenceRule, Response, Result, Run,
    Setting, SettingType, System, WriteRequest, http, settings,
};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::Answer;
use crate::paging::{Pagination, Place, Seen};
use crate::since::Since;
use crate::writing::Writes;

/// The names for messages.
const API: System = System::new("the API").with_credential("token", "GENERICRESTAPI_TOKEN, or `token_env_vars`");
/// The ways of sending a token: the value of `auth_method`, the header, and its template.
const TOKENS: [(&str, &str, &str); 5] = [
    ("token", "authorization", "Token {token}"),
    ("x-auth-token", "x-auth-token", "{token}"),
    ("api-key", "authorization", "Api-Key {token}"),
    ("key", "authorization", "Key {token}"),
    ("bearer", "authorization", "Bearer {token}"),
];

/// The adapter.
#[derive(Deserialize)]
pub struct GenericRestApi {
    url: String,
    api_endpoint: String,
    auth_method: String,
    #[serde(default)]
    response_key_pattern: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    #[serde(default)]
    pagination: Option<Pagination>,
    #[serde(default)]
    id: Option<Ids>,
    #[serde(default)]
    since: Option<Since>,
    #[serde(default)]
    write: Writes,
}

/// The dotted path of the ids: one for all resources, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    All(String),
    Each(BTreeMap<String, String>),
}

impl Adapter for GenericRestApi {
    fn manifest() -> Manifest {
        let url = Setting::text("url", "the address of the system, such as https://librenms.example.com");
        let variables = |name: &str, of: &str| {
            Setting::new(
                name,
                SettingType::Json,
                &format!("names of environment variables for `{of}`, in order: the first one that is set wins"),
            )
        };
        let json = |name: &str, help: &str| Setting::new(name, SettingType::Json, help);
        let text = Setting::text;
        let manifest = Manifest::new("genericrestapi", env!("CARGO_PKG_VERSION"), "any REST API of JSON, as a source and as a destination")
            .with_setting(
                url.required()
                    .from_environment("GENERICRESTAPI_URL")
                    .from_environment("GENERICRESTAPI_ADDRESS")
                    .environment_setting("url_env_vars"),
            )
            .with_setting(text("api_endpoint", "the path below `url` that all mappings are below").with_default("/api/v0"))
            .with_setting(
                text("auth_method", "`token`, `x-auth-token`, `api-key`, `key`, `bearer`, `basic` or `none`").with_default("token"),
            )
            .with_setting(Setting::secret("token", "the token").from_environment("GENERICRESTAPI_TOKEN").environment_setting("token_env_vars"))
            .with_setting(
                Setting::secret("username", "for `auth_method: basic`")
                    .from_environment("GENERICRESTAPI_USERNAME")
                    .environment_setting("username_env_vars"),
            )
            .with_setting(
                Setting::secret("password", "for `auth_method: basic`")
                    .from_environment("GENERICRESTAPI_PASSWORD")
                    .environment_setting("password_env_vars"),
            )
            .with_setting(variables("url_env_vars", "url"))
            .with_setting(variables("token_env_vars", "token"))
            .with_setting(variables("username_env_vars", "username"))
            .with_setting(variables("password_env_vars", "password"))
            .with_setting(json("params", "query parameters of every request"))
            .with_setting(text("response_key_pattern", "the place of the records in an answer: a key, a dotted path or a JSON pointer; `{resource}` stands for the last part of the mapping"))
            .with_setting(json("pagination", "`auto`, `none`, or a way of paging with its parameters"))
            .with_setting(json("id", "the dotted path of an object's id, or one for each mapping"))
            .with_setting(json("since", "the parameter by which the system selects modified records, for `--no-full-extract`"))
            .with_setting(json("write", "how objects are written, for each mapping: `{devices: {create: POST devices, update: \"PATCH devices/{id}\"}}`"))
            .with_address("url")
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Mapping)
            .with_reference_rule(ReferenceRule::UniqueId)
            .with_evidence(Evidence::TOTAL)
            .with_page_size(paging::PAGE_SIZE)
            .with_ids();
        TOKENS
            .iter()
            .fold(manifest, |manifest, (method, header, template)| {
                manifest.with_credential(Credential::header(header, template).when("auth_method", &[method]))
            })
            .with_credential(Credential::basic("username", "password").when("auth_method", &["basic"]))
    }

    fn configure(settings: &str) -> Result<GenericRestApi> {
        let adapter: GenericRestApi = settings::parse(settings)?;
        let methods: Vec<&str> = TOKENS.iter().map(|(method, ..)| *method).chain(["basic", "none"]).collect();
        if !methods.contains(&&*adapter.auth_method) {
            let GenericRestApi { auth_method, .. } = &adapter;
            return Err(Error::config(format!("`auth_method: {auth_method}` is unknown: use one of {}", methods.join(", "))));
        }
        adapter.pagination.as_ref().map_or(Ok(()), Pagination::check)?;
        adapter.write.check()?;
        Ok(adapter)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        let place: Place = request.cursor_as()?.unwrap_or_default();
        let url = match &place.url {
            Some(url) => url.clone(),
            None => self.first_url(request)?,
        };
        let response = API.success(&request.resource, http::get(&url).send()?)?;
        let answer = Answer::find(&response, &request.resource, self.response_key_pattern.as_deref())?;
        self.page(request, response, &answer, (&place, &url))
    }

    fn begin(&self, run: &Run) -> Result<Option<String>> {
        self.write.begin(run)?;
        Ok(None)
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        self.write.write(self, request)
    }
}

infrahub_sync_adapter::export_adapter!(GenericRestApi);

impl GenericRestApi {
    /// Returns the address of a resource's first page. A mapping may have a query of its own.
    fn first_url(&self, request: &LoadRequest) -> Result<String> {
        let resource = request.resource.trim_start_matches('/');
        if resource.contains("://") || resource.split(['/', '?']).any(|part| part == "..") {
            return Err(Error::config(format!("`{}` is not a path below the address", request.resource)));
        }
        let mut query = Query::new(&self.below_endpoint(resource)).with_all(&self.params);
        if let Some(pagination) = &self.pagination {
            query = pagination.begin(query, &self.params);
        }
        match (&request.since, &self.since) {
            (None, _) => {}
            (Some(moment), Some(since)) => query = since.select(query, moment)?,
            (Some(_), None) => return Err(Error::unsupported("`since` does not say how this API selects modified records")),
        }
        Ok(query.to_string())
    }

    /// Returns the path of what is below `api_endpoint`.
    pub(crate) fn below_endpoint(&self, path: &str) -> String {
        let (endpoint, path) = (self.api_endpoint.trim_matches('/'), path.trim_start_matches('/'));
        // Users copy the address with the endpoint at its end.
        let is_there = !endpoint.is_empty() && self.url.trim_end_matches('/').ends_with(&format!("/{endpoint}"));
        if endpoint.is_empty() || is_there { format!("/{path}") } else { format!("/{endpoint}/{path}") }
    }

    /// Makes the page of an answer.
    fn page(&self, request: &LoadRequest, response: Response, answer: &Answer, (place, url): (&Place, &str)) -> Result<Page> {
        let number = answer.count(&response);
        let auto = Pagination::default();
        let pagination = self.pagination.as_ref().unwrap_or(&auto);
        let next = pagination.next(&Seen {
            response: &response,
            answer,
            place,
            url,
            number,
            id: self.id_path(&request.resource),
            base: &self.url,
        })?;
        let total = pagination.total(&response, next.is_some() || place.url.is_some());
        let watermark = self.since.as_ref().and_then(|since| since.watermark(&response));
        let id = self.id_path(&request.resource);
        let mut page = match self.since.as_ref().filter(|_| request.since.is_some()) {
            Some(since) => since.page(&response, answer, id)?,
            None => answer.page(response, id)?,
        };
        page.total = total.filter(|_| request.since.is_none());
        page.watermark = watermark;
        page.with_next(next)
    }

    /// Returns the dotted path of the ids of a resource, if the project says it.
    pub(crate) fn id_path(&self, resource: &str) -> Option<&str> {
        match self.id.as_ref()? {
            Ids::All(path) => Some(path),
            Ids::Each(paths) => paths.get(resource).or_else(|| paths.get(answer::last_segment(resource))).map(String::as_str),
        }
    }
}
