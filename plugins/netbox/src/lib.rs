//! NetBox as a source and as a destination: any list of its REST API.
//!
//! | module | |
//! |---|---|
//! | [`depends`] | its models: which values change without a trace in their own record |
//! | [`writing`] | the tables of its ways of writing |
//!
//! `sdk/rest` holds the parts that it shares with its relatives. The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod depends;
#[cfg(test)]
mod tests;
mod writing;

use infrahub_sync_adapter::{
    Absence, Adapter, Addressing, Credential, Dependents, Evidence, HeaderTemplate, Kind, LoadRequest, Manifest, Outcome, Page, Result,
    Run, Setting, System as Names, Target, WriteRequest, settings,
};
use infrahub_sync_rest::Api;
use infrahub_sync_rest::system::{Log, Paging, Selection, System};
use serde::Deserialize;

/// The most records that NetBox gives in one page: its default MAX_PAGE_SIZE.
const PAGE_SIZE: u32 = 1000;
/// Objects in one request: more do not make it faster, and a lost answer loses more.
const WRITE_BATCH_MAX: u32 = 100;
/// Requests in flight: a small server is not faster with more.
const WRITE_CONCURRENCY: u32 = 2;

/// NetBox, as far as it differs from its relatives.
static NETBOX: System = System {
    name: "NetBox",
    refusals: Names::new("NetBox").with_credential("token", "NETBOX_TOKEN"),
    list_names: "a mapping is the application and the list as in the API's address, `dcim.device_types` for \
                 /api/dcim/device-types/ and `plugins.bgp.session` for /api/plugins/bgp/session/",
    hints: &[],
    moved: &[],
    page_size: PAGE_SIZE,
    paging: Paging::Ids { cursor: true },
    selection: Selection::Fields,
    updated: ("last_updated", "last_updated__gte"),
    log: Log {
        // It moved in 4.1.
        paths: &["core/object-changes", "extras/object-changes"],
        since: "time_after",
        by_type: true,
        applications: &["circuits", "dcim", "ipam", "tenancy", "virtualization", "vpn", "wireless"],
        types: Some("core/object-types"),
    },
    models: &depends::MODELS,
    writing: Some(&writing::WRITING),
};

/// The adapter.
pub struct Netbox(Api);

#[derive(Deserialize)]
struct Settings {
    url: String,
}

impl Adapter for Netbox {
    fn manifest() -> Manifest {
        let url = Setting::text("url", "the address of NetBox, such as https://netbox.example.com");
        let token = Setting::secret("token", "an API token, of version 1 or 2 (nbt_…)");
        Manifest::new("netbox", env!("CARGO_PKG_VERSION"), "NetBox 3.5 and newer, by its REST API; written from 4.2 on")
            .with_setting(url.required().from_environment("NETBOX_ADDRESS").from_environment("NETBOX_URL"))
            .with_setting(token.from_environment("NETBOX_TOKEN"))
            .with_address("url")
            .with_credential(Credential::headers(vec![
                HeaderTemplate::new("authorization", "Bearer {token}").for_prefix("nbt_"),
                HeaderTemplate::new("authorization", "Token {token}"),
            ]))
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Mapping)
            // No totals: where NetBox pages by id it does not count, and a count of its own would be of another moment than the pages.
            .with_evidence(Evidence::CHANGE_LOG | Evidence::PERMISSIONS)
            .with_schema()
            .with_reads_ids()
            .with_page_size(PAGE_SIZE)
            .with_write_batch_max(WRITE_BATCH_MAX)
            .with_write_concurrency(WRITE_CONCURRENCY)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Netbox> {
        let Settings { url } = settings::parse(settings)?;
        Ok(Netbox(Api::new(&NETBOX, &url)))
    }

    fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        self.0.kinds(targets)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        self.0.load(request)
    }

    fn absent(&self, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        self.0.absent(target, ids)
    }

    fn begin(&self, run: &Run) -> Result<Option<String>> {
        self.0.begin(run)
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        self.0.write(request)
    }

    fn cascade(&self, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        self.0.cascade(target, ids)
    }
}

infrahub_sync_adapter::export_adapter!(Netbox);
