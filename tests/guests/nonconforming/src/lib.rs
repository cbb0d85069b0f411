//! A guest that keeps the contract except for one defect at a time, which the setting `defect` names. Without a defect it passes every check
//! of `adapter check`.
//!
//! Source: a list behind HTTP, `GET /things?after=ID&size=N[&since=T][&ids=ID,…]`, answered `{"items": […], "next": ID or null, "now": T,
//! "total": N}`. `GET /things/ID` answers 404 for a deleted object.
//! Destination: one file per kind in a folder, `<Kind>.json`.
//!
//! The description has no settings. The text in [`DESCRIBED`] names its defects; a test writes it into the component's bytes.

use std::cell::Cell;

use infrahub_sync_adapter::serde_json::{self, Map, Value, json};
use infrahub_sync_adapter::{
    Absence, Adapter, Addressing, Credential, Dependents, Error, ErrorKind, Evidence, Field, FieldType, Kind, LoadRequest, Manifest,
    Operation, Outcome, Page, Query, Response, Result, Row, Run, RunResult, Setting, SettingType, Target, WriteRequest, files, http,
    settings,
};
use serde::{Deserialize, Serialize};

/// The defect of the description: the text after the colon, up to the first space.
static DESCRIBED: [u8; 48] = *b"defect-of-the-description:none                  ";

fn described() -> String {
    let text = String::from_utf8_lossy(std::hint::black_box(&DESCRIBED)).into_owned();
    text.split_once(':').map_or("", |(_, rest)| rest).trim().to_owned()
}

/// Every defect that the setting may name.
const DEFECTS: [&str; 43] = [
    "none",
    "configure-asks",
    "needs-more-than-required",
    "odd-setting-breaks",
    "odd-setting-is-internal",
    "odd-setting-is-not-named",
    "page-is-no-page",
    "cursor-stands-still",
    "cursor-goes-in-circles",
    "list-differs-the-second-time",
    "total-is-wrong",
    "position-is-kept-in-the-instance",
    "page-break-loses-a-record",
    "field-is-left-out",
    "id-is-left-out",
    "foreign-cursor-is-ignored",
    "foreign-cursor-breaks",
    "foreign-watermark-loses",
    "deleted-are-there",
    "incremental-total",
    "ids-are-ignored",
    "listed-is-deleted",
    "unknown-resource-is-empty",
    "refusal-is-empty",
    "refusal-is-internal",
    "refusal-breaks",
    "garbage-is-empty",
    "garbage-breaks",
    "kinds-have-strange-identifiers",
    "kinds-refer-to-nothing",
    "unknown-name-is-all-kinds",
    "empty-run-is-refused",
    "last-row-is-lost",
    "outcomes-are-reversed",
    "created-twice",
    "created-again-is-refused",
    "update-drops-the-rest",
    "deleted-again-is-refused",
    "cascade-names-the-objects",
    "unknown-kind-is-taken",
    "unknown-field-is-taken",
    "refusal-is-spelled-out",
    "memory",
];

thread_local! {
    /// The number of lists that this instance has begun.
    static LISTS: Cell<u32> = const { Cell::new(0) };
    /// The end of the last page.
    static POSITION: Cell<u64> = const { Cell::new(0) };
}

#[derive(Deserialize)]
struct Shop {
    #[serde(default)]
    defect: Option<String>,
    #[serde(default)]
    size: i64,
    #[serde(default)]
    shelf: Option<String>,
}

#[derive(Serialize, Deserialize, Clone)]
struct Thing {
    id: String,
    fields: Map<String, Value>,
}

impl Shop {
    fn has(&self, defect: &str) -> bool {
        // A name that is not in the list would never be tested.
        assert!(DEFECTS.contains(&defect));
        self.defect.as_deref() == Some(defect)
    }
}

impl Adapter for Shop {
    fn manifest() -> Manifest {
        let defect = described();
        if defect == "reaches" {
            let _ = http::get("/").send();
        }
        if defect == "breaks" {
            panic!("no description today");
        }
        let size = Setting::new("size", SettingType::Integer, "how large the shop is, from 1 to 1000");
        let version = if defect == "version" { "one" } else { "1.0.0" };
        let manifest = Manifest::new("shop", version, if defect == "no-line" { "" } else { "keeps the contract, but for one defect" })
            .with_setting(Setting::text("url", "the address").required())
            .with_setting(Setting::text("path", "the folder"))
            .with_setting(Setting::secret("token", "a token"))
            .with_setting(Setting::text("defect", "the defect").with_default("none"))
            .with_setting(Setting::text("shelf", "which shelf"))
            .with_setting(size.with_default(if defect == "default" { "large" } else { "10" }))
            .with_address("url")
            .with_folder("path")
            .with_credential(Credential::header("authorization", "Bearer {token}"))
            .with_destination(Addressing::Kind)
            .with_evidence(Evidence::TOTAL | Evidence::CHANGE_LOG)
            .with_reads_ids()
            .with_schema()
            .with_page_size(if defect == "page-size" { 1_000_000 } else { 4 })
            .with_ids();
        manifest.with_source(Addressing::Mapping)
    }

    fn configure(settings: &str) -> Result<Shop> {
        let shop: Shop = settings::parse(settings)?;
        let defect = shop.defect.as_deref().unwrap_or_default();
        if !DEFECTS.contains(&defect) {
            return Err(Error::config(format!("`defect` is {defect:?}, which is unknown")));
        }
        if shop.has("configure-asks") {
            let _ = http::get("/").send();
        }
        if shop.has("needs-more-than-required") && shop.shelf.is_none() {
            return Err(Error::internal("no shelf"));
        }
        if !(1..=1000).contains(&shop.size) {
            assert!(!shop.has("odd-setting-breaks"), "odd size");
            return Err(match defect {
                "odd-setting-is-internal" => Error::internal("`size` is not a size"),
                "odd-setting-is-not-named" => Error::config("it is no number from 1 to 1000"),
                _ => Error::config(format!("`size` is {}, but must be from 1 to 1000", shop.size)),
            });
        }
        Ok(shop)
    }

    fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        let kinds = kinds(self);
        let is_unknown = |target: &Target| kinds.iter().all(|kind| kind.name != target.kind);
        if targets.is_empty() || (self.has("unknown-name-is-all-kinds") && targets.iter().any(is_unknown)) {
            return Ok(kinds);
        }
        Ok(kinds.into_iter().filter(|kind| targets.iter().any(|target| target.kind == kind.name)).collect())
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if self.has("memory") {
            std::hint::black_box(vec![1u8; 300 << 20]);
        }
        // A destination is addressed by kind, so its target has no resource.
        if request.targets.iter().any(|target| target.resource.is_none()) {
            let things = read(&request.resource)?;
            return Page::records(things.into_iter().map(|thing| {
                let mut record = thing.fields;
                record.insert("id".to_owned(), json!(thing.id));
                record
            }));
        }
        self.things(request)
    }

    fn begin(&self, run: &Run) -> Result<Option<String>> {
        if self.has("empty-run-is-refused") && run.changes.is_empty() {
            return Err(Error::invalid("there is nothing to do"));
        }
        Ok(None)
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let kinds = kinds(self);
        let place = &request.target.kind;
        let kind = kinds.iter().find(|kind| kind.name == *place);
        if kind.is_none() && !self.has("unknown-kind-is-taken") {
            return Err(Error::config(format!("there is no kind `{place}`")));
        }
        let mut things = read(place)?;
        let mut outcomes = Vec::new();
        for row in request.rows() {
            let row = row?;
            let stranger = row.fields.keys().find(|name| kind.is_some_and(|kind| kind.fields.iter().all(|field| field.name != **name)));
            outcomes.push(match stranger.filter(|_| !self.has("unknown-field-is-taken")) {
                Some(stranger) => Outcome::Failed(Error::invalid(format!("`{place}` has no field `{stranger}`"))),
                None => self.row(request.operation, row, &mut things),
            });
        }
        if self.has("last-row-is-lost") && request.operation == Operation::Create {
            things.pop();
        }
        if self.has("outcomes-are-reversed") {
            outcomes.reverse();
        }
        save(place, &things)?;
        Ok(outcomes)
    }

    fn absent(&self, _: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        let absence = |id: &String| {
            let response = http::get(format!("/things/{id}")).send()?;
            match response.status() {
                200 if self.has("listed-is-deleted") => Ok(Absence::Deleted),
                200 => Ok(Absence::Present),
                404 => Ok(Absence::Deleted),
                _ => Err(Error::from_response("things", &response)),
            }
        };
        ids.iter().map(absence).collect()
    }

    fn cascade(&self, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        let ids = if self.has("cascade-names-the-objects") { ids.to_vec() } else { Vec::new() };
        Ok(vec![Dependents { kind: target.kind.clone(), count: ids.len() as u64, ids }])
    }

    fn finish(&self, _: &Run, _: RunResult) -> Result<Option<String>> {
        Ok(Some("done".to_owned()))
    }
}

infrahub_sync_adapter::export_adapter!(Shop);

impl Shop {
    /// Returns a page of the list.
    fn things(&self, request: &LoadRequest) -> Result<Page> {
        if request.resource == "for ever" {
            loop {
                std::hint::black_box(());
            }
        }
        if request.resource != "things" {
            if self.has("unknown-resource-is-empty") {
                return Ok(Page::empty());
            }
            return Err(Error::config(format!("there are no `{}`, only `things`", request.resource)));
        }
        let cursor = match request.cursor_as::<u64>() {
            Err(_) if self.has("foreign-cursor-is-ignored") => None,
            Err(error) if self.has("foreign-cursor-breaks") => panic!("foreign cursor: {error:?}"),
            cursor => cursor?,
        };
        let since = match request.since.as_deref().map(|since| since.strip_prefix("t:").and_then(|moment| moment.parse::<u64>().ok())) {
            Some(None) if self.has("foreign-watermark-loses") => return Ok(Page::empty().with_watermark("t:9")),
            Some(None) => return Err(Error::unsupported("not a time of this shop")),
            Some(Some(moment)) => Some(moment),
            None => None,
        };
        let mut after = cursor.unwrap_or(0);
        if cursor.is_none() {
            LISTS.set(LISTS.get() + 1);
            POSITION.set(0);
        }
        if self.has("position-is-kept-in-the-instance") {
            after = POSITION.get();
        }
        let mut query = Query::new("/things").with("after", after).with("size", request.page_size);
        if let Some(since) = since {
            query = query.with("since", since);
        }
        if !request.ids.is_empty() && !self.has("ids-are-ignored") {
            query = query.with("ids", request.ids.join(","));
        }
        let response = http::get(query).send()?;
        if !response.is_success() {
            let failure = Error::from_response("things", &response);
            return match self.defect.as_deref() {
                Some("refusal-is-empty") => Ok(Page::empty()),
                Some("refusal-is-internal") => Err(Error { kind: ErrorKind::Internal, ..failure }),
                Some("refusal-breaks") => panic!("{}", failure.message),
                // The host masks a credential in each spelling that systems use, and not in this one.
                Some("refusal-is-spelled-out") => Err(Error { message: failure.message.chars().flat_map(|c| [c, ' ']).collect(), ..failure }),
                _ => Err(failure),
            };
        }
        let page = self.page(response, request, cursor)?;
        Ok(if cursor.is_none() && since.is_some() && self.has("deleted-are-there") {
            page.with_deleted(vec!["3".to_owned()])
        } else {
            page
        })
    }

    fn page(&self, response: Response, request: &LoadRequest, cursor: Option<u64>) -> Result<Page> {
        let no_list = || Error::remote("the answer for `things` is not a list");
        let garbage = || {
            assert!(!self.has("garbage-breaks"), "odd answer");
            if self.has("garbage-is-empty") { Ok(Page::empty()) } else { Err(no_list()) }
        };
        let Some(count) = response.count("/items") else { return garbage() };
        let members = response.json(&["/next", "/now", "/total"]);
        let [Some(next), Some(now), Some(total)] = members.as_slice() else { return garbage() };
        let read = |text: &str| serde_json::from_str::<Option<u64>>(text).map_err(|_| no_list());
        let (mut next, now, mut total) = (read(next)?, read(now)?.unwrap_or(0), read(total)?.unwrap_or(0));
        if self.has("page-is-no-page") {
            return Ok(Page::document(response, "/nothing"));
        }
        POSITION.set(next.unwrap_or(0));
        if let Some(at) = cursor {
            if self.has("cursor-stands-still") {
                next = Some(at);
            }
            // The last page leads back to the second.
            if self.has("cursor-goes-in-circles") && next.is_none() {
                next = Some(request.page_size.into());
            }
        }
        total += u64::from(self.has("total-is-wrong") && request.since.is_none());
        total -= u64::from(self.has("incremental-total") && request.since.is_some());
        let loses = (self.has("list-differs-the-second-time") && LISTS.get() > 1 && cursor.is_none())
            || (self.has("page-break-loses-a-record") && request.page_size == 7 && cursor.is_some());
        let page = if loses || self.has("field-is-left-out") || self.has("id-is-left-out") {
            let mut items: Vec<Map<String, Value>> = response
                .parse::<Map<String, Value>>()?
                .remove("items")
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| no_list())?
                .unwrap_or_default();
            if loses && count > 0 {
                items.remove(0);
            }
            for item in &mut items {
                if self.has("field-is-left-out") {
                    item.remove("name");
                }
                if self.has("id-is-left-out") {
                    item.remove("id");
                }
            }
            Page::records(items)?
        } else {
            Page::document(response, "/items")
        };
        let page = page.with_next(next)?;
        Ok(match cursor {
            Some(_) => page,
            None if request.ids.is_empty() => page.with_watermark(&format!("t:{now}")).with_total(total),
            None => page.with_watermark(&format!("t:{now}")),
        })
    }

    fn row(&self, operation: Operation, row: Row, things: &mut Vec<Thing>) -> Outcome {
        let name = row.key.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = format!("id of {name}");
        let named = |thing: &&mut Thing| thing.fields.get("name").and_then(Value::as_str) == Some(&name);
        let there = things.iter().any(|thing| thing.id == id);
        match operation {
            Operation::Create if there && self.has("created-again-is-refused") => {
                Outcome::Failed(Error::conflict(format!("{name} is there")))
            }
            Operation::Create if there && !self.has("created-twice") => Outcome::Unchanged(Some(id)),
            Operation::Create => {
                things.push(Thing { id: id.clone(), fields: row.fields });
                Outcome::Written(Some(id))
            }
            Operation::Update if !there => Outcome::Failed(Error::not_found(format!("there is no {name}"))),
            Operation::Update => {
                for thing in things.iter_mut().filter(named) {
                    if self.has("update-drops-the-rest") {
                        thing.fields.retain(|field, _| field == "name");
                    }
                    thing.fields.extend(row.fields.clone());
                }
                Outcome::Written(Some(id))
            }
            Operation::Delete if !there && self.has("deleted-again-is-refused") => {
                Outcome::Failed(Error::not_found(format!("there is no {name}")))
            }
            Operation::Delete if !there => Outcome::Unchanged(None),
            Operation::Delete => {
                things.retain(|thing| thing.id != id);
                Outcome::Written(Some(id))
            }
        }
    }
}

/// Returns the objects in the file of a kind.
fn read(kind: &str) -> Result<Vec<Thing>> {
    match files::read(&format!("{kind}.json")) {
        Ok(file) => file.parse(),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn save(kind: &str, things: &[Thing]) -> Result<()> {
    let text = serde_json::to_vec(things).map_err(|error| Error::internal(error.to_string()))?;
    files::remove("new")?;
    files::append("new", &text)?;
    files::replace("new", &format!("{kind}.json"))
}

fn kinds(shop: &Shop) -> Vec<Kind> {
    let field = |name: &str, type_| Field { optional: name != "name", unique: name == "name", ..Field::new(name, type_) };
    let peer = if shop.has("kinds-refer-to-nothing") { "Nothing" } else { "Owner" };
    let identifier = if shop.has("kinds-have-strange-identifiers") { "title" } else { "name" };
    let kind = |name: &str, fields| Kind::new(name, &[if name == "Thing" { "name" } else { identifier }], fields);
    let name = || field("name", FieldType::Text);
    let required = Field { optional: false, ..field("size", FieldType::Integer) };
    let owner = Field::reference("owner", &[peer]);
    let thing = kind("Thing", vec![name(), required, field("note", FieldType::Text), owner]);
    vec![thing.with_cascade("Thing", None), kind("Owner", vec![name()])]
}
