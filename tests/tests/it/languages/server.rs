//! The server that the small adapter is for: a REST API with paged lists.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use infrahub_sync_test_server::{Answer, Server};
use serde_json::{Map, Value, json};

/// Objects by their collection.
type Collections = BTreeMap<String, Vec<Map<String, Value>>>;

/// The server, with five racks and two boxes at first.
pub(crate) struct Shop {
    server: Server,
    collections: Arc<Mutex<Collections>>,
}

type Reply = (u16, String);

impl Shop {
    pub(crate) fn start() -> Shop {
        let racks = (1..=5).map(|id| json!({"id": id.to_string(), "name": format!("r{id} é")}).as_object().unwrap().clone());
        let boxes = (1..=2).map(|id| json!({"id": id.to_string(), "name": format!("b{id}"), "note": "é"}).as_object().unwrap().clone());
        let lists = [("racks".to_owned(), racks.collect()), ("boxes".to_owned(), boxes.collect())];
        let collections = Arc::new(Mutex::new(Collections::from(lists)));
        let shared = collections.clone();
        let server = Server::start(move |request| {
            let (status, text) = match request.header("authorization") {
                "Bearer the-token" => answer(&shared, &request.method, &request.target, &request.text()),
                _ => (401, json!({"detail": "this token is not known"}).to_string()),
            };
            Answer::ok(text).with_status(status).into()
        });
        Shop { server, collections }
    }

    pub(crate) fn address(&self) -> &str {
        self.server.url()
    }

    /// Returns the objects of a collection; null for a collection that never had any.
    pub(crate) fn objects(&self, collection: &str) -> Value {
        json!(self.collections.lock().unwrap().get(collection))
    }
}

fn answer(collections: &Mutex<Collections>, method: &str, url: &str, body: &str) -> Reply {
    let mut collections = collections.lock().unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let number = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<usize>().ok());
    let refusal = |status: u16, words: &str| (status, json!({"detail": words}).to_string());
    let parts: Vec<&str> = path.strip_prefix("/v1/").unwrap_or("").split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["empty"]) => (200, r#"{"items": [], "total": 0}"#.into()),
        // As many as two pages, and one less when the second is asked for.
        ("GET", ["moving"]) => (200, json!({"items": [{"id": "1"}, {"id": "2"}], "total": 5 - number("page").unwrap()}).to_string()),
        ("GET", ["html"]) => (200, "<html>a proxy says hello</html>".into()),
        ("GET", ["odd"]) => (200, r#"{"items": {"a": 1}, "total": "many"}"#.into()),
        ("GET", ["closed"]) => (403, "not\nfor  you".into()),
        ("GET", ["words"]) => (422, json!({"name": ["is too long"]}).to_string()),
        ("GET", [name]) if collections.contains_key(*name) => {
            let (page, size) = (number("page").unwrap(), number("size").unwrap());
            let items: Vec<_> = collections[*name].iter().skip((page - 1) * size).take(size).collect();
            (200, json!({"total": collections[*name].len(), "items": items}).to_string())
        }
        // The first object of a collection makes it.
        ("POST", [name]) => {
            let objects = collections.entry((*name).to_owned()).or_default();
            let mut fields: Map<String, Value> = serde_json::from_str(body).unwrap();
            if let Some(there) = objects.iter().find(|there| there["name"] == fields["name"]) {
                return (409, json!({"detail": "there is one of that name", "id": there["id"]}).to_string());
            }
            let id = (objects.iter().filter_map(|object| object["id"].as_str()?.parse::<u32>().ok()).max().unwrap_or(0) + 1).to_string();
            fields.insert("id".into(), id.clone().into());
            objects.push(fields);
            (201, json!({"id": id}).to_string())
        }
        (_, [name, id]) => {
            let Some(objects) = collections.get_mut(*name) else { return refusal(404, "there is none") };
            let Some(at) = objects.iter().position(|object| object["id"] == *id) else { return refusal(404, "there is none") };
            match method {
                "GET" => (200, json!(objects[at]).to_string()),
                "PATCH" => {
                    objects[at].append(&mut serde_json::from_str(body).unwrap());
                    (200, json!(objects[at]).to_string())
                }
                "DELETE" => {
                    objects.remove(at);
                    (204, String::new())
                }
                _ => refusal(405, "that cannot be done"),
            }
        }
        _ => refusal(404, &format!("there is no {path}")),
    }
}

/// Starts the server for the probers, which repeats what it was asked. Without the credentials it has nothing.
pub(crate) fn prober() -> Server {
    Server::start(|request| {
        let header = |name: &str| Some(request.header(name)).filter(|value| !value.is_empty());
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let answer = match request.path() {
            "/results" => {
                let asked = json!({"title": request.text(), "query": query, "own": header("x-own"), "accept": header("accept")});
                Answer::ok(json!({"results": [asked, {"é": [1, null]}], "total": 3}).to_string())
            }
            "/large" => Answer::ok("x".repeat(2 << 20)),
            _ => Answer::ok(json!({"message": "there is nothing"}).to_string()).with_status(404),
        };
        let answer = answer.header("x-h", "a header").header("content-type", "application/json");
        answer.header("date", "Sun, 06 Nov 1994 08:49:37 GMT").into()
    })
}
