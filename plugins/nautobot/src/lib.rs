//! Nautobot as a source and as a destination: any list of its REST API.
//!
//! | module | |
//! |---|---|
//! | [`models`] | its models: which values change without a trace in their own record |
//! | [`writing`] | the tables of its ways of writing |
//!
//! `sdk/rest` holds the parts that it shares with its relatives. The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod models;
#[cfg(test)]
mod tests;
mod writing;

use infrahub_sync_adapter::{
    Absence, Adapter, Addressing, Credential, Dependents, Evidence, Kind, LoadRequest, Manifest, Outcome, Page, Result, Run, Setting,
    System as Names, Target, WriteRequest, settings,
};
use infrahub_sync_rest::Api;
use infrahub_sync_rest::system::{Log, Paging, Selection, System};
use serde::Deserialize;

/// The most records that Nautobot gives in one page: its default MAX_PAGE_SIZE.
const PAGE_SIZE: u32 = 1000;
/// Objects in one request: more do not make it faster, and a lost answer loses more.
const WRITE_BATCH_MAX: u32 = 100;
/// The hint for lists of places, which have one list since 2.0.
const PLACES: &str = "since Nautobot 2.0, regions and sites are locations: map `dcim.locations`, and filter by `location_type`";
/// The hint for lists of roles, which have one list since 2.0.
const ROLES: &str = "since Nautobot 2.0, all roles are in one list: map `extras.roles`, and filter by `content_types`";

/// Nautobot, as far as it differs from its relatives.
static NAUTOBOT: System = System {
    name: "Nautobot",
    refusals: Names::new("Nautobot").with_credential("token", "NAUTOBOT_TOKEN"),
    list_names: "a mapping is the application and the list as in the API's address, `dcim.device_types` for \
                 /api/dcim/device-types/ and `plugins.bgp.autonomous_systems` for /api/plugins/bgp/autonomous-systems/",
    hints: &[
        ("/dcim/sites/", PLACES),
        ("/dcim/regions/", PLACES),
        ("/dcim/device-roles/", ROLES),
        ("/dcim/rack-roles/", ROLES),
        ("/ipam/roles/", ROLES),
        ("/ipam/aggregates/", "since Nautobot 2.0, aggregates are prefixes of the type container: map `ipam.prefixes`"),
    ],
    moved: &[],
    page_size: PAGE_SIZE,
    // Its ids have no order.
    paging: Paging::Totals,
    selection: Selection::Depth,
    updated: ("last_updated", "last_updated__gte"),
    log: Log {
        paths: &["extras/object-changes"],
        since: "time__gte",
        by_type: true,
        applications: &["circuits", "cloud", "dcim", "ipam", "tenancy", "virtualization", "vpn", "wireless"],
        types: None,
    },
    models: &models::MODELS,
    writing: Some(&writing::WRITING),
};

/// The adapter.
pub struct Nautobot(Api);

#[derive(Deserialize)]
struct Settings {
    url: String,
}

impl Adapter for Nautobot {
    fn manifest() -> Manifest {
        let url = Setting::text("url", "the address of Nautobot, such as https://nautobot.example.com");
        let token = Setting::secret("token", "an API token");
        Manifest::new("nautobot", env!("CARGO_PKG_VERSION"), "Nautobot 2.4 to 3.2, by its REST API")
            .with_setting(url.required().from_environment("NAUTOBOT_ADDRESS").from_environment("NAUTOBOT_URL"))
            .with_setting(token.from_environment("NAUTOBOT_TOKEN"))
            .with_address("url")
            .with_credential(Credential::header("authorization", "Token {token}"))
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Mapping)
            .with_evidence(Evidence::TOTAL | Evidence::CHANGE_LOG | Evidence::PERMISSIONS)
            .with_schema()
            .with_reads_ids()
            .with_page_size(PAGE_SIZE)
            .with_write_batch_max(WRITE_BATCH_MAX)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Nautobot> {
        let Settings { url } = settings::parse(settings)?;
        Ok(Nautobot(Api::new(&NAUTOBOT, &url)))
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

infrahub_sync_adapter::export_adapter!(Nautobot);
