//! Cisco ACI as a source: the objects that a query of the APIC returns.
//!
//! | module | |
//! |---|---|
//! | [`query`] | a query of a project, and how it can be cut into pages |
//!
//! The README describes it for users.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod query;
#[cfg(test)]
mod tests;

use infrahub_sync_adapter::{
    Adapter, Addressing, Alias, Credential, Error, Evidence, LoadRequest, Login, LoginStep, Manifest, Page, Payload, ReferenceRule,
    Response, Result, Setting, System, http, settings,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::query::ClassQuery;

/// The names for messages.
const APIC: System = System::new("the APIC").with_credential("username` and `password", "CISCO_APIC_USERNAME and CISCO_APIC_PASSWORD");
/// Objects in one page. An answer has 100,000 at most, and sorting costs the APIC more than sending.
const PAGE_SIZE: u32 = 5000;
/// Seconds after which the host renews the login: less than the shortest life of a token that an APIC can be set to.
const RENEW_AFTER_S: u32 = 240;

/// The adapter.
#[derive(Deserialize)]
pub struct Aci {
    api_endpoint: String,
}

/// A page of a query.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    page: u64,
    read: u64,
    /// The name (`dn`) of the object before it, as JSON.
    last: Option<String>,
}

impl Adapter for Aci {
    fn manifest() -> Manifest {
        let url = Setting::text("url", "the address of the APIC, such as https://apic.example.com");
        let username = Setting::secret("username", "the user; in another login domain `apic:DOMAIN\\USER`");
        let password = Setting::secret("password", "the user's password");
        let token = "APIC-cookie={token}";
        let step = |step: LoginStep| step.taking_json("token", "/imdata/0/aaaLogin/attributes/token");
        let login = LoginStep::post("/{api_endpoint}/aaaLogin.json")
            .with_json(r#"{"aaaUser": {"attributes": {"name": "{username}", "pwd": "{password}"}}}"#);
        let refresh = LoginStep::get("/{api_endpoint}/aaaRefresh.json").with_header("cookie", token);
        Manifest::new("aci", env!("CARGO_PKG_VERSION"), "Cisco ACI, by the REST API of the APIC, as a source")
            .with_setting(url.required().from_environment("CISCO_APIC_URL"))
            .with_setting(username.required().from_environment("CISCO_APIC_USERNAME"))
            .with_setting(password.required().from_environment("CISCO_APIC_PASSWORD"))
            .with_setting(Setting::text("api_endpoint", "the path of the API below `url`").with_default("api"))
            .with_alias(Alias::new("verify", "verify_ssl").from_environment("CISCO_APIC_VERIFY"))
            .with_address("url")
            .with_credential(Credential::login(
                Login::new(step(login))
                    .with_header("cookie", token)
                    .expired_by(&[401, 403])
                    .renewed_after(RENEW_AFTER_S)
                    .with_refresh(step(refresh)),
            ))
            .with_source(Addressing::Mapping)
            .with_reference_rule(ReferenceRule::FieldName)
            .with_table("aci_device_name", "class/fabricNode.json", "fabricNode.attributes.id", "fabricNode.attributes.name")
            .with_evidence(Evidence::TOTAL)
            .with_page_size(PAGE_SIZE)
            .with_ids()
    }

    fn configure(settings: &str) -> Result<Aci> {
        let adapter: Aci = settings::parse(settings)?;
        let path = &adapter.api_endpoint;
        if path.is_empty() || path.trim_matches('/') != path {
            let shown = path.trim_matches('/');
            let wanted = if shown.is_empty() { "api" } else { shown };
            return Err(Error::config(format!("`api_endpoint: {path}` must have no slash at its ends: write `{wanted}`")));
        }
        Ok(adapter)
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("the APIC does not tell what was deleted: every read is a full one"));
        }
        let query = ClassQuery::of(&request.resource)?;
        let place: Place = request.cursor_as()?.unwrap_or_default();
        let path = query.page(place.page, request.page_size);
        let answer = self.ask(&request.resource, &path)?;
        if let Some(last) = &place.last {
            // With a page of one object, the number of a page is that of an object.
            let before = self.ask(&request.resource, &query.page(place.read.saturating_sub(1), 1))?;
            if before.name_at(0, query.class()).as_ref() != Some(last) {
                let message = format!("`{}` moved while it was read: object {} is another one than before", request.resource, place.read);
                return Err(Error::conflict(message));
            }
        }
        let read = place.read + answer.number;
        let next = (query.is_paged() && read < answer.total && answer.number > 0).then(|| Place {
            page: place.page + 1,
            read,
            last: answer.name_at(answer.number - 1, query.class()),
        });
        let total = answer.total;
        answer.into_records(query.class())?.with_total(total).with_next(next)
    }
}

infrahub_sync_adapter::export_adapter!(Aci);

impl Aci {
    fn ask(&self, resource: &str, path: &str) -> Result<Answer> {
        let response = http::get(format!("/{}/{path}", self.api_endpoint)).send()?;
        Answer::of(resource, response)
    }
}

/// A list of objects, and the number of all of them.
struct Answer {
    response: Response,
    number: u64,
    total: u64,
}

impl Answer {
    fn of(resource: &str, response: Response) -> Result<Answer> {
        // Some errors come with the status of a success.
        let said = response.json(&["/imdata/0/error/attributes/text"]).pop().flatten();
        let said: Option<String> = said.and_then(|text| serde_json::from_str(&text).ok());
        if let (true, Some(said)) = (response.is_success(), &said) {
            return Err(Error::remote(format!("the APIC failed on `{resource}` ({said})")));
        }
        if !response.is_success() {
            let hint = if said.as_ref().is_some_and(|said| said.contains("dataset is too big")) {
                ": read it by its class (`class/fvBD.json`), which this adapter reads page by page"
            } else {
                ""
            };
            let error = APIC.refuse_saying(resource, &response, said);
            return Err(Error { message: format!("{}{hint}", error.message), ..error });
        }
        let total = response.json(&["/totalCount"]).pop().flatten().and_then(|json| json.trim_matches('"').parse().ok());
        match (response.count("/imdata").map(u64::from), total) {
            (Some(number), Some(total)) => Ok(Answer { response, number, total }),
            _ => Err(APIC.unexpected(resource, &response)),
        }
    }

    /// Returns the name (`dn`) of an object, as JSON.
    fn name_at(&self, object: u64, class: Option<&str>) -> Option<String> {
        self.response.json(&[&format!("/imdata/{object}/{}/attributes/dn", class?)]).pop().flatten()
    }

    /// Makes a page of the objects, each with an `id`: that of a node, which projects refer to, and the name of any other object.
    fn into_records(self, class: Option<&str>) -> Result<Page> {
        let first = self.response.json(&["/imdata/0"]).pop().flatten();
        let first: Map<String, Value> = first.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let id = |class: &str| if class == "fabricNode" { "id" } else { "dn" };
        match class.filter(|class| first.is_empty() || first.contains_key(*class)) {
            Some(class) => {
                let mut page = Page::document(self.response, "/imdata");
                if let Payload::Document(document) = &mut page.payload {
                    document.projection.push(("id".to_owned(), format!("/{class}/attributes/{}", id(class))));
                }
                Ok(page)
            }
            // Objects of several classes.
            None => {
                let mut objects: Vec<Map<String, Value>> = self.response.get("/imdata")?;
                for object in &mut objects {
                    let found = object.iter().find_map(|(class, object)| object.pointer(&format!("/attributes/{}", id(class))).cloned());
                    if let Some(found) = found {
                        object.insert("id".to_owned(), found);
                    }
                }
                Page::records(objects)
            }
        }
    }
}
