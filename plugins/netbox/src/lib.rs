//! NetBox as a source: any list of its REST API, read by page.
//!
//! | module | |
//! |---|---|
//! | [`read`] | reads pages in the way that loses nothing on the server's version |
//! | [`incremental`] | reads only the records modified since the last run |
//! | [`changes`] | reads the change log: deleted objects, and types of objects that changed |
//! | [`absent`] | says of objects that a list lacks whether they are deleted |
//! | [`depends`] | knows which values change without a trace in their own record |
//!
//! The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed"))]

mod absent;
mod changes;
mod depends;
mod incremental;
mod read;
#[cfg(test)]
mod tests;

use infrahub_sync_adapter::{
    Absence, Adapter, Addressing, Credential, Error, Evidence, HeaderTemplate, LoadRequest, Manifest, Page, Result, Setting, System,
    Target, settings,
};
use serde::Deserialize;

/// The names for messages.
const NETBOX: System = System::new("NetBox").with_credential("token", "NETBOX_TOKEN");
/// The most records that NetBox gives in one page: its default MAX_PAGE_SIZE.
const PAGE_SIZE: u32 = 1000;
/// The rule for `mapping:`, for messages about a wrong one.
const LIST_NAMES: &str = "a mapping is the application and the list as in the API's address, `dcim.device_types` for \
     /api/dcim/device-types/ and `plugins.bgp.session` for /api/plugins/bgp/session/";

/// The adapter.
pub struct Netbox {
    /// `/api`; empty when the configured address ends with it already.
    api: &'static str,
}

#[derive(Deserialize)]
struct Settings {
    url: String,
}

impl Adapter for Netbox {
    fn manifest() -> Manifest {
        let url = Setting::text("url", "the address of NetBox, such as https://netbox.example.com");
        let token = Setting::secret("token", "an API token, of version 1 or 2 (nbt_…)");
        Manifest::new("netbox", env!("CARGO_PKG_VERSION"), "NetBox 3.5 and newer, read by its REST API")
            .with_setting(url.required().from_environment("NETBOX_ADDRESS").from_environment("NETBOX_URL"))
            .with_setting(token.from_environment("NETBOX_TOKEN"))
            .with_address("url")
            .with_credential(Credential::headers(vec![
                HeaderTemplate::new("authorization", "Bearer {token}").for_prefix("nbt_"),
                HeaderTemplate::new("authorization", "Token {token}"),
            ]))
            .with_source(Addressing::Mapping)
            // No totals: where NetBox pages by id it does not count, and a count of its own would be of another moment than the pages.
            .with_evidence(Evidence::CHANGE_LOG | Evidence::PERMISSIONS)
            .with_page_size(PAGE_SIZE)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Netbox> {
        let Settings { url } = settings::parse(settings)?;
        // Users copy the address from a browser that shows the API.
        let api = if url.trim_end_matches('/').ends_with("/api") { "" } else { "/api" };
        Ok(Netbox { api })
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        let path = format!("{}{}", self.api, path(&request.resource)?);
        match &request.since {
            None => read::List::new(&path, request).page(),
            Some(since) => incremental::load(self.api, &path, request, since),
        }
    }

    fn absent(&self, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        absent::absent(self.api, target, ids)
    }
}

infrahub_sync_adapter::export_adapter!(Netbox);

/// Returns the path of a resource below the API: `dcim.device_types` is `/dcim/device-types/`.
///
/// The slash at the end matters: without it NetBox redirects.
fn path(resource: &str) -> Result<String> {
    let parts: Vec<String> = resource.trim_matches('/').split(['.', '/']).map(|part| part.replace('_', "-")).collect();
    let is_word = |part: &String| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if parts.len() < 2 || !parts.iter().all(is_word) {
        return Err(Error::config(format!("`{resource}` is not the name of a NetBox list: {LIST_NAMES}")));
    }
    Ok(format!("/{}/", parts.join("/")))
}
