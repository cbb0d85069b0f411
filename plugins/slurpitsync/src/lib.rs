//! Slurp'it as a source: its lists, the results of its plannings, and what infrahub-sync 2.0.1 computes of them.
//!
//! | module | |
//! |---|---|
//! | [`list`] | reads a list page by page |
//! | [`computed`] | vendors, device types, networks and addresses |
//! | [`network`] | IP networks |
//!
//! The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod computed;
mod list;
mod network;
#[cfg(test)]
mod tests;

use infrahub_sync_adapter::{
    Adapter, Addressing, Alias, Credential, Error, LoadRequest, Manifest, Page, ReferenceRule, Result, Setting, SettingType, System, memo,
    settings,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::list::List;

/// The names for messages.
const SLURPIT: System = System::new("Slurp'it").with_credential("api_key", "SLURPITSYNC_API_KEY");
/// Rows in one page.
const PAGE_SIZE: u32 = 1000;
/// The lists of Slurp'it's Python client that need no arguments: the mapping, the path below `/api`, and the columns that the client
/// makes numbers of.
const LISTS: [(&str, &str, &[&str]); 20] = [
    ("device.get_devices", "devices", &["id", "port", "telnet", "disabled", "snmp_port"]),
    ("device.get_vendors", "devices/vendors", &[]),
    ("device.get_types", "devices/types", &[]),
    ("device.get_device_profiles", "devices/profiles", &[]),
    ("site.get_sites", "sites", &["id"]),
    ("site.get_siterules", "sites/siterules", &[]),
    ("planning.get_plannings", "planning", &["id"]),
    ("tag.get_tags", "tags", &[]),
    ("tag.get_tagrules", "tags/tagrules", &[]),
    ("user.get_users", "users", &[]),
    ("templates.get_templates", "templates", &[]),
    ("rules.get_alert_rules", "rules/alertrules", &[]),
    ("rules.get_transform_rules", "rules/transformrules", &[]),
    ("scanner.get_finders", "scanner/configured/finders", &[]),
    ("scanner.get_crawlers", "scanner/configured/crawlers", &[]),
    ("scanner.get_excludes", "scanner/configured/exclude", &[]),
    ("taskscheduler.get_taskschedulers", "taskscheduler", &[]),
    ("retriever.get_api_endpoints", "retriever/api_endpoints", &[]),
    ("vault.get_ssh_groups", "vault/groups/ssh", &[]),
    ("vault.get_snmp_groups", "vault/groups/snmp", &[]),
];
/// The mappings that are computed, and the prefix of those that are results of a planning.
const COMPUTED: [&str; 4] = ["unique_vendors", "unique_device_type", "filter_networks", "filter_interfaces"];
const PLANNING: &str = "planning_results.";

/// The adapter.
#[derive(Deserialize)]
pub struct Slurpit {}

impl Adapter for Slurpit {
    fn manifest() -> Manifest {
        let text = |name: &str, help: &str| Setting::text(name, help);
        Manifest::new("slurpitsync", env!("CARGO_PKG_VERSION"), "Slurp'it, as a source")
            .with_setting(
                text("url", "the address of Slurp'it, such as https://slurpit.example.com").required().from_environment("SLURPITSYNC_URL"),
            )
            .with_setting(Setting::secret("api_key", "an API key").from_environment("SLURPITSYNC_API_KEY"))
            .with_setting(Setting::new("auto_pagination", SettingType::Boolean, "has no effect here: all pages are read"))
            .with_setting(Setting::new("debug", SettingType::Boolean, "has no effect here"))
            .with_alias(Alias::new("token", "api_key"))
            .with_alias(Alias::new("verify", "verify_ssl"))
            .with_address("url")
            .with_credential(Credential::header("authorization", "Bearer {api_key}"))
            .with_reading_path("/api/planning/search")
            .with_source(Addressing::Mapping)
            .with_reference_rule(ReferenceRule::UniqueId)
            .with_page_size(PAGE_SIZE)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Slurpit> {
        settings::parse(settings)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("Slurp'it does not tell what changed: every read is a full one"));
        }
        let resource = request.resource.as_str();
        if let Some(slug) = resource.strip_prefix(PLANNING) {
            return planning(slug)?.page(request);
        }
        if let Some((_, path, numbers)) = LISTS.iter().find(|(name, ..)| *name == resource) {
            return List::get(resource, path, numbers).page(request);
        }
        let records = match resource {
            "unique_vendors" => computed::vendors(&devices()?),
            "unique_device_type" => computed::device_types(&devices()?),
            "filter_networks" => return planning("routing-table")?.changed_page(request, computed::networks),
            "filter_interfaces" => {
                let networks = networks()?;
                return planning("interfaces")?.changed_page(request, |rows| computed::addresses(rows, &networks));
            }
            _ => {
                let known: Vec<&str> = LISTS.iter().map(|(name, ..)| *name).chain(COMPUTED).collect();
                let message = format!("Slurp'it has no `{resource}`: a mapping is `{PLANNING}<slug>` or one of {}", known.join(", "));
                return Err(Error::config(message));
            }
        };
        Page::records(records)
    }
}

infrahub_sync_adapter::export_adapter!(Slurpit);

/// Returns all devices.
fn devices() -> Result<Vec<Value>> {
    List::get("device.get_devices", "devices", &[]).all()
}

/// Returns the prefixes of all networks, and their VRFs.
fn networks() -> Result<Vec<(String, Value)>> {
    memo::once("networks", || {
        let rows = computed::networks(planning("routing-table")?.all()?);
        let named = |row: &Value| Some((row.get("normalized_prefix")?.as_str()?.to_owned(), row.get("Vrf").cloned().unwrap_or_default()));
        Ok(rows.iter().filter_map(named).collect())
    })
}

/// Returns the list of the results of a planning, by its slug.
fn planning(slug: &str) -> Result<List<'static>> {
    let plannings: Vec<(String, Value)> = memo::once("plannings", || {
        let all = List::get("planning.get_plannings", "planning", &[]).all()?;
        let named = |planning: &Value| Some((planning.get("slug")?.as_str()?.to_owned(), planning.get("id")?.clone()));
        Ok(all.iter().filter_map(named).collect())
    })?;
    match plannings.iter().find(|(known, _)| known == slug) {
        // The Python client sends a number.
        Some((_, id)) => {
            let id = id.as_str().and_then(|id| id.parse().ok()).map_or_else(|| id.clone(), |id: u64| json!(id));
            Ok(List::search(slug, json!({ "planning_id": id, "unique_results": true })))
        }
        None => {
            let known: Vec<&str> = plannings.iter().map(|(slug, _)| slug.as_str()).collect();
            Err(Error::config(format!("Slurp'it has no planning `{slug}`: its plannings are {}", known.join(", "))))
        }
    }
}
