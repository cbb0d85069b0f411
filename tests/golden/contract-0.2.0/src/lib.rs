//! An adapter that uses all of contract 0.2.0: frozen, so that the host keeps running components of that contract.
//!
//! | resource | payload |
//! |---|---|
//! | `documents` | `/documents?page=N` of its server, at `/results`, with a projection; page after page |
//! | `lines` | JSON lines of its own: memos and settings |
//! | `columns` | packed columns of every type, with nulls |
//! | `partial` | one record, of an answer that the system calls incomplete |
//! | any other | `<resource>.jsonl` of its folder, a few lines a page |
//!
//! Written rows become `<resource>.jsonl` when their kind is committed, each value at the path of its field. Rows whose text has `refuse` are
//! rejected, rows with `already` are unchanged.

use infrahub_sync_adapter::serde_json::{Map, Value};
use infrahub_sync_adapter::{
    Absence, Adapter, Addressing, Alias, Column, ColumnData, Columns, Credential, Dependents, Document, Error, Evidence, Field, FieldType,
    HeaderTemplate, Kind, Layout, LoadRequest, Login, LoginStep, Manifest, Operation, Outcome, Page, Payload, Query, ReferenceRule, Result,
    Row, Run, RunResult, Setting, SettingType, Target, TextData, WriteRequest, files, http, log, memo,
};

struct Golden {
    settings: String,
}

const SERVER_PAGE: usize = 2;
/// The memo of the project's name, which is recorded as the owner of written objects.
const SYNC: &str = "sync";

impl Adapter for Golden {
    fn manifest() -> Manifest {
        let token = Setting::secret("token", "sent as a header").from_environment("GOLDEN_TOKEN").environment_setting("token_env_vars");
        let number = Setting::new("number", SettingType::Integer, "a whole number").from_environment("GOLDEN_NUMBER").project_first();
        Manifest::new("golden", "2.0.0", "uses all of contract 0.2.0")
            .with_setting(Setting::text("url", "the address of its server").from_environment("GOLDEN_URL"))
            .with_setting(Setting::text("path", "its folder"))
            .with_setting(token)
            .with_setting(
                Setting::new("token_env_vars", SettingType::Json, "names of variables of `token`").with_default("[\"GOLDEN_TOKEN\"]"),
            )
            .with_setting(Setting::text("user", "for basic authentication"))
            .with_setting(Setting::secret("password", "for the login and for basic authentication"))
            .with_setting(Setting::text("method", "token, basic, query or login").with_default("login"))
            .with_setting(Setting::new("flag", SettingType::Boolean, "a boolean").with_default("yes"))
            .with_setting(number.with_default("7"))
            .with_setting(Setting::new("ratio", SettingType::Float, "a number").with_default("0.5"))
            .with_setting(Setting::new("any", SettingType::Json, "any value").with_default("[1]"))
            .with_setting(Setting::text("branch", "a branch").command_line("branch"))
            .with_setting(Setting::text("api", "the path of the login").with_default("api"))
            .with_alias(Alias::new("folder", "path"))
            .with_alias(Alias::new("verify", "verify_ssl").from_environment("GOLDEN_VERIFY"))
            .with_address("url")
            .with_folder("path")
            .with_credential(
                Credential::headers(vec![
                    HeaderTemplate::new("authorization", "Bearer {token}").for_prefix("b_"),
                    HeaderTemplate::new("authorization", "Token {token}"),
                ])
                .when("method", &["token"]),
            )
            .with_credential(Credential::basic("user", "password").when("method", &["basic"]))
            .with_credential(Credential::query("key", "token").when("method", &["query"]))
            .with_credential(
                Credential::login(
                    Login::new(
                        LoginStep::post("/{api}/login").with_json(r#"{"password": "{password}"}"#).taking_json("session", "/session"),
                    )
                    .with_header("authorization", "Session {session}"),
                )
                .when("method", &["login"]),
            )
            .with_reading_path("/seen")
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Mapping)
            .with_reference_rule(ReferenceRule::FieldName)
            .with_reference_rule(ReferenceRule::UniqueId)
            .with_table("title", "documents", "id", "name")
            .with_lookup("lookup")
            .with_evidence(Evidence::TOTAL | Evidence::CHANGE_LOG | Evidence::PERMISSIONS)
            .with_ownership()
            .with_reads_ids()
            .with_schema()
            .with_ids()
            .with_page_size(3)
            .with_write_batch_max(2)
            .with_write_concurrency(1)
    }

    fn configure(settings: &str) -> Result<Golden> {
        if settings.contains("\"number\":13") {
            return Err(Error::config("`number` must not be 13"));
        }
        Ok(Golden { settings: settings.to_owned() })
    }

    fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        let field = |name: &str, field_type| Field { optional: name != "name", unique: name == "name", ..Field::new(name, field_type) };
        let kind = |name: &str, fields| Kind::new(name, &["name"], fields);
        let name = || field("name", FieldType::Text);
        let kinds = [
            kind("Thing", vec![name(), field("note", FieldType::Any)]).with_cascade("Document", Some("thing")),
            kind("Document", vec![name(), field("deep", FieldType::Integer), Field::reference("thing", &["Thing", "Line"])]),
            kind("Line", vec![name(), field("value", FieldType::Json)]),
            kind("Partial", vec![name()]),
            kind(
                "Column",
                vec![
                    name(),
                    field("flag", FieldType::Boolean),
                    field("number", FieldType::Integer),
                    field("ratio", FieldType::Float),
                    field("any", FieldType::Json),
                    field("address", FieldType::IpInterface),
                ],
            ),
        ];
        Ok(kinds.into_iter().filter(|kind| targets.is_empty() || targets.iter().any(|target| target.kind == kind.name)).collect())
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("this system does not tell which objects changed"));
        }
        match request.resource.as_str() {
            "documents" => documents(request),
            "lines" => Ok(self.lines()),
            "columns" => Ok(columns()),
            "partial" => Ok(Page::new(Payload::JsonLines(b"{\"name\": \"p1\"}\n".to_vec())).with_partial("a part of the system is down")),
            name => lines_of_file(&format!("{name}.jsonl"), number(request)),
        }
    }

    fn absent(&self, _target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        let absence = |id: &String| match id.as_str() {
            "hidden" => Absence::Present,
            "unknown" => Absence::Unknown,
            _ => Absence::Deleted,
        };
        Ok(ids.iter().map(absence).collect())
    }

    fn begin(&self, run: &Run) -> Result<Option<String>> {
        memo::put(memo::Lifetime::Run, SYNC, run.sync.as_bytes());
        // The files of an interrupted run.
        for file in files::list()?.iter().filter(|file| file.ends_with(".part")) {
            files::remove(file)?;
        }
        let places: Vec<&str> = run.changes.iter().map(|changes| changes.target.resource_or_kind()).collect();
        Ok(Some(format!("golden begins {} from {}: {}", run.sync, run.source, places.join(" "))))
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let owner = memo::get(memo::Lifetime::Run, SYNC).unwrap_or_default();
        let owner = Value::String(String::from_utf8_lossy(&owner).into_owned());
        let mut staged = Vec::new();
        let outcomes = request.outcomes(|row| {
            let text = Value::Object(row.fields.clone()).to_string();
            Ok(match request.operation {
                _ if text.contains("refuse") => return Err(Error::invalid("this row is refused").with_status(422)),
                _ if text.contains("already") => Outcome::Unchanged(None),
                Operation::Create => {
                    let mut object = object(&request.target, &row)?;
                    object.insert("@owner".to_owned(), owner.clone());
                    staged.extend_from_slice(Value::Object(object).to_string().as_bytes());
                    staged.push(b'\n');
                    Outcome::Staged
                }
                Operation::Update | Operation::Delete => Outcome::Written(None),
            })
        })?;
        if !staged.is_empty() {
            files::append(&format!("{}@{}.part", request.target.resource_or_kind(), request.target.kind), &staged)?;
        }
        Ok(outcomes)
    }

    fn commit(&self, kinds: &[String]) -> Result<()> {
        for part in files::list()? {
            let Some((resource, kind)) = part.strip_suffix(".part").and_then(|name| name.split_once('@')) else { continue };
            if kinds.iter().any(|name| name == kind) {
                files::replace(&part, &format!("{resource}.jsonl"))?;
            }
        }
        Ok(())
    }

    fn cascade(&self, _target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        Ok(vec![Dependents { kind: "notes".into(), count: ids.len() as u64, ids: Vec::new() }])
    }

    fn finish(&self, _run: &Run, result: RunResult) -> Result<Option<String>> {
        Ok(Some(format!("golden ends: {} created, {} refused", result.created, result.failed)))
    }
}

/// Returns the object of a row: each value at the path of its field, a reference as the peer's key.
fn object(target: &Target, row: &Row) -> Result<Map<String, Value>> {
    let mut object = Map::new();
    for (name, value) in &row.fields {
        let field = target.known_field(name)?;
        let value = field.with_peers(value, |peer| Ok(Value::Object(peer.key.clone())))?;
        let (first, rest) = field.split_path();
        match rest {
            None => drop(object.insert(first.to_owned(), value)),
            Some(rest) => {
                let inner = object.entry(first).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(inner) = inner {
                    inner.insert(rest.to_owned(), value);
                }
            }
        }
    }
    Ok(object)
}

/// Returns the cursor: a number.
fn number(request: &LoadRequest) -> u64 {
    let text = request.cursor.as_deref().map(String::from_utf8_lossy);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn documents(request: &LoadRequest) -> Result<Page> {
    let page = number(request);
    let mut url = Query::new("/documents").with("page", page);
    if !request.ids.is_empty() {
        url = url.with("ids", request.ids.join(","));
    }
    let response = http::get(url).with_header("accept", "application/json").send()?.success("documents")?;
    let parts = response.json(&["/next", "/none"]);
    let more = parts.first().and_then(Option::as_deref) == Some("true") && response.count("/results") == Some(SERVER_PAGE as u32);
    let total = response.header("x-total").and_then(|total| total.parse().ok());
    // The contract allows both: to hold a response, and to release it early.
    http::Request::new("POST", "/seen").only_reads().send()?.release();
    let document =
        Document { response, layout: Layout::Json, pointer: "/results".into(), projection: vec![("deep".into(), "/nested/deep".into())] };
    let mut answer = Page::new(Payload::Document(document)).with_watermark("today");
    answer.total = total;
    answer.next = more.then(|| (page + 1).to_string().into_bytes());
    Ok(answer)
}

fn columns() -> Page {
    let texts = |values: &[&str]| {
        let mut data = TextData { offsets: vec![0], bytes: Vec::new() };
        for value in values {
            data.bytes.extend_from_slice(value.as_bytes());
            data.offsets.push(data.bytes.len() as u32);
        }
        data
    };
    let column =
        |name: &str, validity: Option<u8>, data: ColumnData| Column { name: name.into(), validity: validity.map(|bits| vec![bits]), data };
    Page::new(Payload::Columns(Columns {
        rows: 2,
        columns: vec![
            column("name", None, ColumnData::Texts(texts(&["one", "zwölf"]))),
            column("flag", Some(0b01), ColumnData::Booleans(vec![true, false])),
            column("number", Some(0b10), ColumnData::Integers(vec![0, i64::MIN])),
            column("ratio", None, ColumnData::Floats(vec![0.5, -1e300])),
            column("any", None, ColumnData::Jsons(texts(&[r#"{"a": [1, null]}"#, "[]"]))),
            column("address", None, ColumnData::Texts(texts(&["10.0.0.1/24", "2001:DB8::1"]))),
        ],
    }))
}

fn lines_of_file(name: &str, offset: u64) -> Result<Page> {
    if !files::list()?.iter().any(|there| there == name) {
        return Ok(Page::empty());
    }
    let (response, next) = files::read_lines(name, offset, 40)?;
    let mut page = Page::lines(response);
    page.next = next.map(|next| next.to_string().into_bytes());
    Ok(page)
}

impl Golden {
    fn lines(&self) -> Page {
        let first = memo::put(memo::Lifetime::Run, "count", b"1");
        let second = memo::put(memo::Lifetime::Run, "count", b"2");
        let there = memo::get(memo::Lifetime::Run, "count").is_some() && memo::get(memo::Lifetime::Lasting, "never").is_none();
        memo::put(memo::Lifetime::Lasting, "visit", b"yes");
        log::trace("golden traces");
        log::debug("golden debugs");
        log::info("golden informs");
        log::warn("golden warns");
        log::error("golden errs");
        let memos = format!("\"{} {} {there}\"", String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
        let lines = format!("{{\"name\": \"memos\", \"value\": {memos}}}\n{{\"name\": \"settings\", \"value\": {}}}\n", self.settings);
        Page::new(Payload::JsonLines(lines.into_bytes()))
    }
}

infrahub_sync_adapter::export_adapter!(Golden);
