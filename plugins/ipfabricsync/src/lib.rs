//! IP Fabric as a source: the tables of one snapshot.
//!
//! | module | |
//! |---|---|
//! | [`snapshot`] | finds the snapshot of a run, and the version of the API |
//! | [`speed`] | brings speeds to the unit of infrahub-sync 2.0.1 |
//!
//! The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod snapshot;
mod speed;
#[cfg(test)]
mod tests;

use infrahub_sync_adapter::{
    Adapter, Addressing, Alias, Credential, Error, Evidence, HeaderTemplate, LoadRequest, Login, LoginStep, Manifest, Page, ReferenceRule,
    Response, Result, Setting, SettingType, System, http, log, settings,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The names for messages.
const IP_FABRIC: System = System::new("IP Fabric").with_address("base_url").with_credential("auth", "IPF_TOKEN");
/// Rows in one page.
const PAGE_SIZE: u32 = 1000;
/// The most segments of a table's path after `tables`.
const DEPTH_MAX: usize = 5;
/// The columns that must have a value, by table: rows without it stand for nothing that can be named.
const FILLED: [(&str, &str); 3] =
    [("tables/inventory/summary/platforms", "platform"), ("tables/inventory/summary/models", "model"), ("tables/inventory/pn", "name")];
/// Tables of the appliance itself, which know no snapshots.
const WITHOUT_SNAPSHOT: [&str; 4] = ["tables/management/", "tables/settings/", "tables/users", "tables/jobs"];
/// Settings of the Python client that change nothing here.
const WITHOUT_EFFECT: [&str; 8] = ["streaming", "unloaded", "debug", "http2", "nvd_api_key", "local_oas", "local_oas_file", "psql"];
/// Settings of the Python client for which this program has another place.
const ELSEWHERE: [(&str, &str); 3] = [
    ("proxy", "set the variable `https_proxy` instead"),
    ("cert", "client certificates are not supported: put a proxy in front that has one"),
    ("env_file", "set the variables in the environment instead"),
];

/// The adapter.
#[derive(Deserialize)]
pub struct IpFabric {
    snapshot_id: String,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A page of a table.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    /// Its first row.
    start: u64,
    /// The id of the row before it, as JSON. The page repeats that row.
    last: Option<String>,
    /// Columns that the table does not have.
    without: Vec<String>,
    /// The table cannot be sorted by its ids.
    unsorted: bool,
}

impl Adapter for IpFabric {
    fn manifest() -> Manifest {
        let text = Setting::text;
        let url = text("base_url", "the address of IP Fabric, such as https://ipfabric.example.com").required().project_first();
        let auth = Setting::secret("auth", "an API token, or the token of a session").project_first();
        let snapshot = text("snapshot_id", "a snapshot's id, `$last`, `$prev` or `$lastLocked`").with_default("$last").project_first();
        let version = text("api_version", "the version of the API for IP Fabric before 7.5, if not its own: `v7.3`").project_first();
        let manifest = Manifest::new("ipfabricsync", env!("CARGO_PKG_VERSION"), "IP Fabric 7 and 8, as a source")
            .with_setting(url.from_environment("IPF_URL"))
            .with_setting(auth.from_environment("IPF_TOKEN"))
            .with_setting(Setting::secret("username", "with `password`, in place of `auth`").from_environment("IPF_USERNAME"))
            .with_setting(Setting::secret("password", "the user's password").from_environment("IPF_PASSWORD"))
            .with_setting(snapshot.from_environment("IPF_SNAPSHOT"))
            .with_setting(version.from_environment("IPF_VERSION"))
            .with_setting(
                Setting::new("timeout", SettingType::Float, "seconds for one request")
                    .with_default("60")
                    .project_first()
                    .from_environment("IPF_TIMEOUT"),
            )
            .with_alias(Alias::new("url", "base_url"))
            .with_alias(Alias::new("token", "auth"))
            .with_alias(Alias::new("snapshot", "snapshot_id"))
            .with_alias(Alias::new("verify", "verify_ssl").from_environment("IPF_VERIFY"))
            .with_address("base_url")
            .with_credential(Credential::headers(vec![
                HeaderTemplate::new("cookie", "accessToken={auth}").for_prefix("eyJ"),
                HeaderTemplate::new("x-api-token", "{auth}"),
            ]))
            .with_credential(Credential::login(login()))
            .with_source(Addressing::Mapping)
            .with_reference_rule(ReferenceRule::PeerColumns)
            .with_evidence(Evidence::TOTAL)
            .with_page_size(PAGE_SIZE)
            .with_ids();
        let elsewhere = ELSEWHERE.iter().map(|(name, what)| Setting::new(name, SettingType::Json, &format!("refused: {what}")));
        let ignored = WITHOUT_EFFECT.iter().map(|name| Setting::new(name, SettingType::Json, "has no effect here"));
        let manifest = elsewhere.chain(ignored).fold(manifest, Manifest::with_setting);
        // Every table is read by a POST, and no POST below `tables` writes.
        (1..=DEPTH_MAX).fold(manifest, |manifest, depth| {
            let path = format!("tables{}", "/*".repeat(depth));
            manifest.with_reading_path(&format!("/api/{path}")).with_reading_path(&format!("/api/*/{path}"))
        })
    }

    fn configure(settings: &str) -> Result<IpFabric> {
        let adapter: IpFabric = settings::parse(settings)?;
        match ELSEWHERE.iter().find(|(name, _)| adapter.others.get(*name).is_some_and(|value| !value.is_null())) {
            Some((name, what)) => Err(Error::config(format!("`{name}`: {what}"))),
            None => Ok(adapter),
        }
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("IP Fabric does not tell what changed: every read is a full one"));
        }
        let table = request.resource.trim_start_matches('/');
        let is_table = table.strip_prefix("tables/").is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#']));
        if !is_table || table.split('/').any(|part| part == "..") {
            let message =
                format!("`{}` is not a table: a mapping is the path of a table, such as `tables/inventory/devices`", request.resource);
            return Err(Error::config(message));
        }
        let mut place: Place = request.cursor_as()?.unwrap_or_default();
        let api = snapshot::api(self.api_version.as_deref())?;
        let columns: Vec<&str> =
            Some("id").into_iter().chain(request.top_level_fields().into_iter().filter(|name| *name != "id")).collect();
        loop {
            let columns: Vec<&str> = columns.iter().copied().filter(|name| !place.without.iter().any(|without| without == name)).collect();
            let body = self.body(table, &columns, &place, request.page_size)?;
            let response = http::post(format!("{api}/{table}"), &body)?.only_reads().send()?;
            let refused = refused(&response);
            if refused.iter().any(|path| path.first().is_some_and(|first| first == "sort")) && !place.unsorted {
                place.unsorted = true;
                continue;
            }
            match unknown_columns(&refused, &columns).as_slice() {
                [] => return page(request, table, IP_FABRIC.success(&request.resource, response)?, place),
                unknown => {
                    let named: Vec<String> = unknown.iter().map(|name| format!("`{name}`")).collect();
                    log::warn(&format!("{table} has no column {}: it counts as empty", named.join(", ")));
                    place.without.extend(unknown.iter().map(|name| (*name).to_owned()));
                }
            }
        }
    }
}

infrahub_sync_adapter::export_adapter!(IpFabric);

/// Returns the login of a user by password. The access token is short-lived, and the host renews it.
fn login() -> Login {
    let step = LoginStep::post("/api/auth/login")
        .with_json(r#"{"username": "{username}", "password": "{password}"}"#)
        .taking_cookie("access", "accessToken")
        .taking_cookie("refresh", "refreshToken");
    let refresh = LoginStep::post("/api/auth/token").with_header("cookie", "refreshToken={refresh}").taking_cookie("access", "accessToken");
    Login::new(step).with_header("cookie", "accessToken={access}").with_refresh(refresh)
}

impl IpFabric {
    /// Returns the body of a request for a page.
    fn body(&self, table: &str, columns: &[&str], place: &Place, size: u32) -> Result<Value> {
        // A row more than the page: the last one of the page before.
        let repeated = u64::from(place.last.is_some());
        let filters = match FILLED.iter().find(|(name, _)| *name == table) {
            Some((_, column)) => json!({ "and": [{ *column: ["empty", false] }] }),
            None => json!({}),
        };
        let mut body = json!({
            "columns": columns,
            "filters": filters,
            "pagination": { "start": place.start - repeated, "limit": u64::from(size) + repeated },
        });
        if !place.unsorted {
            body["sort"] = json!({ "column": "id", "order": "asc" });
        }
        if !WITHOUT_SNAPSHOT.iter().any(|prefix| table.starts_with(prefix)) {
            body["snapshot"] = json!(snapshot::of_run(&self.snapshot_id)?);
        }
        Ok(body)
    }
}

/// Returns the places in the request's body that a refusal names: `["columns", 3]`.
fn refused(response: &Response) -> Vec<Vec<Value>> {
    if !matches!(response.status(), 400 | 422) {
        return Vec::new();
    }
    let errors: Vec<Map<String, Value>> = response.get("/errors").unwrap_or_default();
    errors.iter().flat_map(|error| error.values().filter_map(Value::as_array).cloned()).collect()
}

/// Returns the columns that a refusal says the table does not have.
fn unknown_columns<'c>(refused: &[Vec<Value>], columns: &[&'c str]) -> Vec<&'c str> {
    let column = |path: &Vec<Value>| match path.as_slice() {
        [first, number, ..] if first == "columns" => {
            let number = number.as_u64().or_else(|| number.as_str()?.parse().ok())?;
            columns.get(usize::try_from(number).ok()?).copied()
        }
        _ => None,
    };
    refused.iter().filter_map(column).filter(|name| *name != "id").collect()
}

/// Makes the page of an answer.
fn page(request: &LoadRequest, table: &str, response: Response, place: Place) -> Result<Page> {
    let (Some(number), Ok(total)) = (response.count("/data").map(u64::from), response.get::<u64>("/_meta/count")) else {
        return Err(IP_FABRIC.unexpected(&request.resource, &response));
    };
    let id_of = |row: u64| response.json(&[&format!("/data/{row}/id")]).pop().flatten();
    if place.last.is_some() && id_of(0) != place.last {
        let message = format!("{table} moved while it was read: row {} is another one than before", place.start);
        return Err(Error::conflict(message));
    }
    let end = place.start + number - u64::from(place.last.is_some()).min(number);
    let next = if end < total {
        if end <= place.start {
            let message = format!("{table} ended after {end} rows, although IP Fabric counts {total}");
            return Err(Error::remote(message));
        }
        Some(Place { start: end, last: number.checked_sub(1).and_then(id_of), ..place })
    } else {
        None
    };
    let page = match speed::column(request)? {
        Some(column) => speed::page(&response, column)?,
        None => Page::document(response, "/data"),
    };
    page.with_total(total).with_next(next)
}
