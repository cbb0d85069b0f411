//! Infrahub as a source and as a destination, by its GraphQL API.
//!
//! | module | |
//! |---|---|
//! | [`schema`] | fetches the schema, only when its hash has changed since the last run |
//! | [`kinds`] | turns the schema into the kinds of the contract |
//! | [`clock`] | knows the server's time, at which all pages of a load are pinned |
//! | [`graphql`] | sends one GraphQL request and reads its answer |
//! | [`read`] | reads lists, page by page |
//! | [`input`] | turns rows into inputs of mutations |
//! | [`mod@write`] | writes many rows a request, with an outcome a row |
//! | [`adopt`] | takes over the components that Infrahub makes from a template |
//! | [`cascade`] | finds the objects that a delete takes along |
//! | [`run`] | begins and finishes a run: permissions, attribution, branch and proposed change |
//!
//! The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod adopt;
mod cascade;
mod clock;
mod graphql;
mod input;
mod kinds;
mod read;
mod run;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::cell::OnceCell;
use std::rc::Rc;

use infrahub_sync_adapter::{
    Adapter, Addressing, Credential, Dependents, Error, Evidence, Kind, LoadRequest, Manifest, Outcome, Page, Result, Run, RunResult,
    Setting, SettingType, Target, WriteRequest, settings,
};
use serde::Deserialize;

use crate::graphql::Client;
use crate::schema::Schema;

/// Objects in one page: the server needs about 5 ms an object, for any size of page.
const PAGE_SIZE: u32 = 1000;
/// Objects in one mutation: more do not make it faster, and a lost answer loses more.
const WRITE_BATCH_MAX: u32 = 100;
/// Mutations in flight: a server process works on one at a time, and the next should not wait for the network.
const WRITE_CONCURRENCY: u32 = 2;
/// The branch of a project that names none; other branches are made from it.
const DEFAULT_BRANCH: &str = "main";

/// The adapter.
pub struct Infrahub {
    settings: Settings,
    /// Read once per instance.
    schema: OnceCell<Rc<Schema>>,
}

#[derive(Debug, Deserialize)]
struct Settings {
    url: String,
    #[serde(default = "default_branch")]
    branch: String,
    source: Option<String>,
    owner: Option<String>,
    #[serde(default)]
    proposed_change: bool,
}

fn default_branch() -> String {
    DEFAULT_BRANCH.to_owned()
}

impl Adapter for Infrahub {
    fn manifest() -> Manifest {
        let url = Setting::text("url", "the address of Infrahub, such as https://infrahub.example.com");
        let token = Setting::secret("token", "an API token");
        let branch = Setting::text("branch", "the branch to read and to write").command_line("branch");
        let review = "write each run to a branch of its own and open a proposed change, instead of writing to `branch`";
        let timeout = "seconds without an answer after which a request fails; Infrahub queues requests when it is busy";
        Manifest::new("infrahub", env!("CARGO_PKG_VERSION"), "Infrahub 1.7 and newer, by its GraphQL API")
            .with_setting(url.required().from_environment("INFRAHUB_ADDRESS").from_environment("INFRAHUB_URL"))
            .with_setting(token.from_environment("INFRAHUB_API_TOKEN"))
            .with_setting(branch)
            .with_setting(Setting::text("source", "the account group that is recorded as the source of what is written"))
            .with_setting(Setting::text("owner", "the account group that is recorded as the owner of what is written"))
            .with_setting(
                Setting::new("proposed_change", SettingType::Boolean, review)
                    .from_environment("INFRAHUB_PROPOSED_CHANGE")
                    .with_default("false"),
            )
            .with_setting(Setting::new("timeout", SettingType::Integer, timeout).with_default("180"))
            .with_setting(Setting::new("max_concurrency", SettingType::Integer, "requests at a time").with_default("2"))
            .with_address("url")
            .with_credential(Credential::header("x-infrahub-key", "{token}"))
            .with_source(Addressing::Kind)
            .with_destination(Addressing::Kind)
            .with_evidence(Evidence::TOTAL)
            .with_graphql("/graphql/*")
            .with_reads_ids()
            .with_schema()
            .with_page_size(PAGE_SIZE)
            .with_write_batch_max(WRITE_BATCH_MAX)
            .with_write_concurrency(WRITE_CONCURRENCY)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Infrahub> {
        let settings: Settings = settings::parse(settings)?;
        if settings.branch.trim().is_empty() {
            return Err(Error::config("`branch` is empty: leave it out to use `main`"));
        }
        Ok(Infrahub { settings, schema: OnceCell::new() })
    }

    fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        let kinds = kinds::kinds(&*self.schema()?, targets);
        kinds::keep_allocated(&self.settings.branch, targets, &kinds)?;
        Ok(kinds)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        read::load(self, request)
    }

    fn begin(&self, run: &Run) -> Result<Option<String>> {
        run::begin(self, run)
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        write::write(self, request)
    }

    fn cascade(&self, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        cascade::dependents(self, &target.kind, ids)
    }

    fn finish(&self, run: &Run, result: RunResult) -> Result<Option<String>> {
        run::finish(self, run, result)
    }
}

impl Infrahub {
    /// Returns the API of the configured branch.
    fn client(&self) -> Client<'_> {
        Client::new(&self.settings.branch)
    }

    fn schema(&self) -> Result<Rc<Schema>> {
        if let Some(schema) = self.schema.get() {
            return Ok(schema.clone());
        }
        let schema = Rc::new(schema::current(&self.settings.branch)?);
        Ok(self.schema.get_or_init(|| schema).clone())
    }
}

infrahub_sync_adapter::export_adapter!(Infrahub);
