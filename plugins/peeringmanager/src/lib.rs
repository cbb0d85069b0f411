//! Peering Manager as a source and as a destination: any list of its REST API.
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
    SettingType, System as Names, Target, WriteRequest, settings,
};
use infrahub_sync_rest::Api;
use infrahub_sync_rest::system::{Log, Paging, Selection, System};
use serde::Deserialize;

/// The most records that Peering Manager gives in one page.
const PAGE_SIZE: u32 = 1000;
/// Objects in one request: more do not make it faster, and a lost answer loses more.
const WRITE_BATCH_MAX: u32 = 100;

/// Peering Manager, as far as it differs from its relatives.
static PEERING_MANAGER: System = System {
    name: "Peering Manager",
    refusals: Names::new("Peering Manager").with_credential("token", "PEERING_MANAGER_TOKEN"),
    list_names: "a mapping is the application and the list as in the API's address, `peering.autonomous_systems` or \
                 `peering/autonomous-systems` for /api/peering/autonomous-systems/",
    hints: &[],
    // It moved in 1.10.
    moved: &[("/peering/communities/", "/bgp/communities/"), ("/peering/relationships/", "/bgp/relationships/")],
    page_size: PAGE_SIZE,
    paging: Paging::Ids { cursor: false },
    selection: Selection::Fields,
    updated: ("updated", "updated__gte"),
    log: Log {
        paths: &["core/object-changes", "extras/object-changes"],
        since: "time_after",
        // The filter by type is ignored.
        by_type: false,
        applications: &["bgp", "devices", "net", "peering"],
        types: None,
    },
    models: &models::MODELS,
    writing: Some(&writing::WRITING),
};

/// The adapter.
pub struct PeeringManager(Api);

#[derive(Deserialize)]
struct Settings {
    url: String,
}

impl Adapter for PeeringManager {
    fn manifest() -> Manifest {
        let url = Setting::text("url", "the address of Peering Manager, such as https://peering.example.com");
        let token = Setting::secret("token", "an API token");
        let accepted = "accepted for projects of infrahub-sync 2.0.1, and not needed: pages and paths are known";
        let unused = |name: &str, setting_type| Setting::new(name, setting_type, accepted);
        Manifest::new("peeringmanager", env!("CARGO_PKG_VERSION"), "Peering Manager 1.8 and newer, by its REST API")
            .with_setting(url.required().from_environment("PEERING_MANAGER_ADDRESS").from_environment("PEERING_MANAGER_URL"))
            .with_setting(token.from_environment("PEERING_MANAGER_TOKEN"))
            .with_setting(unused("auth_method", SettingType::Text))
            .with_setting(unused("api_endpoint", SettingType::Text))
            .with_setting(unused("response_key_pattern", SettingType::Text))
            .with_setting(unused("params", SettingType::Json))
            .with_address("url")
            .with_credential(Credential::header("authorization", "Token {token}"))
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Mapping)
            .with_evidence(Evidence::CHANGE_LOG | Evidence::PERMISSIONS)
            .with_schema()
            .with_reads_ids()
            .with_page_size(PAGE_SIZE)
            .with_write_batch_max(WRITE_BATCH_MAX)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<PeeringManager> {
        let Settings { url } = settings::parse(settings)?;
        Ok(PeeringManager(Api::new(&PEERING_MANAGER, &url)))
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

infrahub_sync_adapter::export_adapter!(PeeringManager);
