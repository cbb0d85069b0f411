//! A guest that follows orders, also those that no adapter should. `resource` (or the kind of a write) is the order.

mod hostile;
mod misdeeds;

use std::cell::RefCell;

use infrahub_sync_adapter::{
    Absence, Adapter, Addressing, Column, ColumnData, Columns, Credential, Dependents, Error, Evidence, Field, Kind, LoadRequest, Login, LoginStep,
    Manifest, Outcome, Page, Payload, Response, Result, Run, RunResult, Setting, Target, TextData, WriteRequest, files, http, log, memo,
};

/// A reason that is longer than the host's limit for messages.
const LONG_REASON_BYTES: usize = 5 << 10;

thread_local! {
    static KEPT: RefCell<Option<Response>> = const { RefCell::new(None) };
    static CALLS: RefCell<u32> = const { RefCell::new(0) };
}

struct Puppet {
    settings: String,
}

fn text(bytes: &[u8]) -> Page {
    Page::new(Payload::JsonLines(bytes.to_vec()))
}

fn column(data: ColumnData) -> Page {
    Page::new(Payload::Columns(Columns { rows: 2, columns: vec![Column { name: "a".into(), validity: Some(vec![1]), data }] }))
}

fn texts(offsets: &[u32], bytes: &[u8]) -> Page {
    column(ColumnData::Texts(TextData { offsets: offsets.to_vec(), bytes: bytes.to_vec() }))
}

impl Adapter for Puppet {
    fn manifest() -> Manifest {
        Manifest::new("puppet", "1.2.3", "does as it is told")
            .with_setting(Setting::text("url", "the address"))
            .with_setting(Setting::text("path", "the folder"))
            .with_setting(Setting::secret("token", "a token"))
            .with_setting(Setting::text("user", "a name"))
            .with_setting(Setting::secret("password", "a password"))
            .with_setting(Setting::text("wish", "what configure does"))
            .with_address("url")
            .with_folder("path")
            .with_credential(Credential::header("Authorization", "Token {token}"))
            .with_credential(Credential::login(
                Login::new(
                    LoginStep::post("/login")
                        .with_json(r#"{"name": "{user}", "password": "{password}"}"#)
                        .with_header("X-Client", "puppet")
                        .taking_json("access", "/tokens/0/access")
                        .taking_header("id", "X-Session")
                        .taking_cookie("cookie", "sid"),
                )
                .then(LoginStep::new("PUT", "/login/confirm").with_form(&[("id", "{id}")]))
                .with_header("Authorization", "Bearer {access}")
                .with_header("Cookie", "sid={cookie}; a=b")
                .expired_by(&[401, 403])
                .renewed_after(600)
                .with_refresh(LoginStep::get("/refresh").taking_json("access", "/access")),
            ))
            .with_reading_path("/search")
            .with_graphql("/graphql/*")
            .with_source(Addressing::Mapping)
            .with_destination(Addressing::Mapping)
            .with_schema()
            .with_evidence(Evidence::CHANGE_LOG)
            .with_write_concurrency(3)
    }

    fn configure(settings: &str) -> Result<Self> {
        if settings.contains("ponder") {
            loop {
                std::hint::black_box(());
            }
        }
        if settings.contains("refuse") {
            return Err(Error::config("`wish` must not be refuse"));
        }
        Ok(Puppet { settings: settings.to_owned() })
    }

    fn kinds(&self, targets: &[Target]) -> Result<Vec<Kind>> {
        let field = Field { choices: vec!["x".into()], default: Some("\"x\"".into()), ..Field::reference("site", &["Site", "Rack"]) };
        let kinds = ["Device", "Site"].map(|name| {
            let kind = Kind::new(name, &["name"], vec![field.clone()]).with_cascade("Port", Some("device")).with_unique_together(&["site", "name"]);
            Kind { stands_for: vec!["Generic".into()], can_update: false, ..kind }
        });
        let wanted = |kind: &Kind| targets.is_empty() || targets.iter().any(|target| target.kind == kind.name);
        Ok(kinds.into_iter().filter(wanted).collect())
    }

    fn load(&self, request: &LoadRequest) -> Result<Page> {
        let (order, argument) = request.resource.split_once(' ').unwrap_or((&request.resource, ""));
        match order {
            "settings" => Ok(text(self.settings.as_bytes())),
            "calls" => {
                let calls = CALLS.with_borrow_mut(|calls| {
                    *calls += 1;
                    *calls
                });
                Ok(text(calls.to_string().as_bytes()))
            }
            "trap" => panic!("puppet broke"),
            "confess" => {
                let response = http::get(argument).send()?;
                let seen = format!("{} {:?} {}", self.settings, response.header("x-echo"), String::from_utf8_lossy(&response.body()));
                log::error(&seen);
                panic!("{seen}")
            }
            "fail" => Err(Error::auth(format!("no: {argument}")).with_status(403)),
            "log" => {
                log::info(argument);
                Ok(Page::empty())
            }
            "get" => {
                let response = http::get(argument).send()?;
                KEPT.with_borrow_mut(|kept| kept.take());
                Ok(Page::document(response, "/results"))
            }
            "part" => {
                let response = http::get(argument).send()?;
                let parts = response.json(&["/next", "/none"]);
                let told = format!("{parts:?} {:?} {} {}", response.count("/results"), response.status(), response.body().len());
                response.release();
                Ok(text(told.as_bytes()))
            }
            "show" => {
                let response = http::get(argument).send()?;
                let headers = ["x-echo", "set-cookie"].map(|name| response.header(name));
                Ok(text(format!("{} {headers:?} {}", response.status(), String::from_utf8_lossy(&response.body())).as_bytes()))
            }
            "keep" => {
                let response = http::get(argument).send()?;
                KEPT.set(Some(response));
                Ok(Page::empty())
            }
            "ask-kept" => Ok(text(KEPT.with_borrow(|kept| kept.as_ref().map_or(0, Response::status)).to_string().as_bytes())),
            "remember" => {
                let lifetime = lifetime(argument);
                let before = memo::get(lifetime, "k");
                let kept = CALLS.with_borrow_mut(|calls| {
                    *calls += 1;
                    memo::put(lifetime, "k", calls.to_string().as_bytes())
                });
                Ok(text(format!("{before:?} {kept:?}").as_bytes()))
            }
            "recall" => Ok(text(format!("{:?}", memo::get(lifetime(argument), "k")).as_bytes())),
            "read" => Ok(Page::lines(files::read(argument)?)),
            "append" => {
                files::append(argument, b"{}\n")?;
                files::replace(argument, "final.jsonl")?;
                Ok(text(files::list()?.join(" ").as_bytes()))
            }
            "bom" => Ok(text(b"\xef\xbb\xbf{}\n")),
            "columns" => Ok(texts(&[0, 2, 3], "éa".as_bytes())),
            "echo" => {
                let LoadRequest { targets, fields, ids, page_size, cursor, since, .. } = request;
                let targets = targets.iter().map(shown).collect::<Vec<_>>().join(", ");
                Ok(Page {
                    next: cursor.is_none().then(|| b"next".to_vec()),
                    watermark: Some("today".into()),
                    deleted: Some(vec!["7".into()]),
                    partial: cursor.is_some().then(|| "x".repeat(LONG_REASON_BYTES)),
                    ..text(format!("{fields:?} {ids:?} {targets} {page_size} {cursor:?} {since:?}").as_bytes())
                })
            }
            other => hostile::commit(other, argument, request).unwrap_or_else(|| Err(Error::not_found(format!("no such order: {other}")))),
        }
    }

    fn begin(&self, run: &Run) -> Result<Option<String>> {
        if run.sync == "refuse" {
            return Err(Error::auth("that would be refused"));
        }
        let changes = run.changes.iter().map(|kind| format!("{} {} {} {}", shown(&kind.target), kind.creates, kind.updates, kind.deletes));
        Ok(Some(format!("begin: {} {} {}: {}", run.id, run.sync, run.source, changes.collect::<Vec<_>>().join(", "))))
    }

    fn absent(&self, target: &Target, ids: &[String]) -> Result<Vec<Absence>> {
        let mut absences: Vec<Absence> = ids
            .iter()
            .map(|id| match id.as_str() {
                "gone" => Absence::Deleted,
                "here" => Absence::Present,
                _ => Absence::Unknown,
            })
            .collect();
        if target.kind == "lies" {
            absences.push(Absence::Deleted);
        }
        Ok(absences)
    }

    fn cascade(&self, target: &Target, ids: &[String]) -> Result<Vec<Dependents>> {
        let count = if target.kind == "lies" { 0 } else { 2 * ids.len() as u64 };
        Ok(vec![Dependents { kind: "Port".into(), count, ids: ids.iter().map(|id| format!("port of {id}")).collect() }])
    }

    fn finish(&self, run: &Run, result: RunResult) -> Result<Option<String>> {
        Ok((run.sync != "silence").then(|| format!("finish: {} {result:?}", run.sync)))
    }

    fn write(&self, request: &WriteRequest) -> Result<Vec<Outcome>> {
        if let Some(outcomes) = hostile::outcomes(request) {
            return Ok(outcomes);
        }
        let outcomes = vec![
            Outcome::Written(Some("1".into())),
            Outcome::Staged,
            Outcome::Unchanged(None),
            Outcome::Failed(Error::conflict("taken").with_status(409)),
        ];
        match request.target.kind.as_str() {
            "all" => Ok(outcomes),
            _ => Err(Error::unsupported("no such kind")),
        }
    }

    fn commit(&self, kinds: &[String]) -> Result<()> {
        if kinds.is_empty() { Err(Error::remote("nothing to commit")) } else { Ok(()) }
    }
}

/// Returns all that is in a target.
fn shown(target: &Target) -> String {
    let Target { kind, resource, fields } = target;
    let fields = fields.iter().map(|field| {
        let path = field.path.as_deref().unwrap_or("-");
        format!(" {} {path} {} {} {}", field.name, field.peers.join("+"), field.many, field.identifier)
    });
    format!("{kind} {}{}", resource.as_deref().unwrap_or("-"), fields.collect::<String>())
}

fn lifetime(name: &str) -> memo::Lifetime {
    if name == "run" { memo::Lifetime::Run } else { memo::Lifetime::Lasting }
}

/// Not a loop: the optimizer cannot know what black_box hands back.
#[allow(unconditional_recursion)]
fn recurse(depth: u8) -> u8 {
    let frame = std::hint::black_box([depth; 256]);
    recurse(frame[0]).wrapping_add(std::hint::black_box(frame)[1])
}

infrahub_sync_adapter::export_adapter!(Puppet);
