//! An adapter that uses all of contract 0.1.0: frozen, so that the host keeps running what was built for it.
//!
//! | resource | payload |
//! |---|---|
//! | `documents` | `/documents?page=N` of its server, at `/results`, with a projection; page after page |
//! | `lines` | JSON lines of its own: what the host keeps for it (memos), what it was told (settings) |
//! | `columns` | packed columns of every type, with nulls |
//! | any other | `<resource>.jsonl` of its folder, a few lines a page |
//!
//! Written kinds become `<kind>.jsonl` when they are committed. Rows whose text has `refuse` are refused, rows with `already` were there.

use infrahub_sync_adapter::{
    Adapter, Addressing, Column, ColumnData, Columns, Credential, Document, Error, Field, FieldType, HeaderTemplate, Kind, Layout,
    LoadRequest, Login, LoginStep, Manifest, Operation, Outcome, Page, Payload, Result, Run, RunResult, Setting, SettingType, TextData,
    WriteRequest, files, http, log, memo,
};

struct Golden {
    settings: String,
}

const SERVER_PAGE: usize = 2;

impl Adapter for Golden {
    fn manifest() -> Manifest {
        Manifest::new("golden", "1.0.0", "uses all of contract 0.1.0")
            .with_setting(Setting::text("url", "the address of its server").from_environment("GOLDEN_URL"))
            .with_setting(Setting::text("path", "its folder"))
            .with_setting(Setting::secret("token", "sent as a header").from_environment("GOLDEN_TOKEN"))
            .with_setting(Setting::secret("password", "for the login, where there is no token"))
            .with_setting(Setting::new("flag", SettingType::Boolean, "a boolean").with_default("yes"))
            .with_setting(Setting::new("number", SettingType::Integer, "a whole number").with_default("7"))
            .with_setting(Setting::new("ratio", SettingType::Float, "a number").with_default("0.5"))
            .with_setting(Setting::new("any", SettingType::Json, "any value").with_default("[1]"))
            .with_address("url")
            .with_folder("path")
            .with_credential(Credential::Header(vec![
                HeaderTemplate::new("authorization", "Bearer {token}").for_prefix("b_"),
                HeaderTemplate::new("authorization", "Token {token}"),
            ]))
            .with_credential(Credential::Login(
                Login::new(LoginStep::post("/login").with_json(r#"{"password": "{password}"}"#).taking_json("session", "/session"))
                    .with_header("authorization", "Session {session}"),
            ))
            .with_source(Addressing::Mapping)
            .with_destination()
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

    fn kinds(&self, names: &[String]) -> Result<Vec<Kind>> {
        let field = |name: &str, type_: FieldType| Field {
            name: name.into(),
            type_,
            optional: name != "name",
            unique: name == "name",
            read_only: false,
            reference: matches!(type_, FieldType::Reference | FieldType::ReferenceList).then(|| "Thing".into()),
            choices: Vec::new(),
            default: None,
        };
        let kind = |name: &str, fields: Vec<Field>| Kind {
            name: name.into(),
            identifiers: vec!["name".into()],
            fields,
            stands_for: Vec::new(),
            can_create: true,
            can_update: true,
            can_delete: true,
        };
        let name = || field("name", FieldType::Text);
        let kinds = [
            kind("Thing", vec![name(), field("note", FieldType::Any)]),
            kind("Document", vec![name(), field("deep", FieldType::Integer), field("thing", FieldType::Reference)]),
            kind("Line", vec![name(), field("value", FieldType::Json)]),
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
        Ok(kinds.into_iter().filter(|kind| names.is_empty() || names.contains(&kind.name)).collect())
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        if request.since.is_some() {
            return Err(Error::unsupported("what has changed is not known"));
        }
        match request.resource.as_str() {
            "documents" => documents(number(request)),
            "lines" => Ok(self.lines()),
            "columns" => Ok(columns()),
            name => lines_of_file(&format!("{name}.jsonl"), number(request)),
        }
    }

    fn begin(&self, run: &Run) -> Result<Option<String>> {
        // What an interrupted run left.
        for changes in &run.changes {
            files::remove(&format!("{}.part", changes.kind))?;
        }
        Ok(Some(format!("golden begins {} from {}", run.sync, run.source)))
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        let mut staged = Vec::new();
        let mut rows = request.rows();
        while let Some(row) = rows.next_line() {
            let text = String::from_utf8_lossy(row);
            outcomes.push(match request.operation {
                _ if text.contains("refuse") => Outcome::Failed(Error::invalid("this row is refused").with_status(422)),
                _ if text.contains("already") => Outcome::Unchanged(None),
                Operation::Create => {
                    staged.extend_from_slice(fields(&text).as_bytes());
                    staged.push(b'\n');
                    Outcome::Staged
                }
                Operation::Update | Operation::Delete => Outcome::Written(None),
            });
        }
        if !staged.is_empty() {
            files::append(&format!("{}.part", request.kind), &staged)?;
        }
        Ok(outcomes)
    }

    fn commit(&self, kinds: &[String]) -> Result<()> {
        let there = files::list()?;
        for kind in kinds {
            let part = format!("{kind}.part");
            if there.contains(&part) {
                files::replace(&part, &format!("{kind}.jsonl"))?;
            }
        }
        Ok(())
    }

    fn finish(&self, _run: &Run, result: RunResult) -> Result<Option<String>> {
        Ok(Some(format!("golden ends: {} created, {} refused", result.created, result.failed)))
    }
}

/// Where the cursor is: a number.
fn number(request: &LoadRequest) -> u64 {
    let text = request.cursor.as_deref().map(String::from_utf8_lossy);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn documents(page: u64) -> Result<Page> {
    let response = http::get(format!("/documents?page={page}")).with_header("accept", "application/json").send()?.success("documents")?;
    let parts = response.json(&["/next", "/none"]);
    let more = parts.first().and_then(Option::as_deref) == Some("true") && response.count("/results") == Some(SERVER_PAGE as u32);
    let total = response.header("x-total").and_then(|total| total.parse().ok());
    // Held and given back before its time: the contract allows both.
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

/// The object behind `"fields":` of a row, as it stands there: braces within texts are no braces.
fn fields(row: &str) -> &str {
    let Some(at) = row.find("\"fields\":") else { return "{}" };
    let rest = row.get(at + "\"fields\":".len()..).unwrap_or_default();
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' if !in_text => depth += 1,
            b'}' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return rest.get(..=at).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    "{}"
}

infrahub_sync_adapter::export_adapter!(Golden);
