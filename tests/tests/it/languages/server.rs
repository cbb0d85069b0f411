//! The server that the small adapter is for: a REST API with paged lists.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

/// Objects by their collection.
type Collections = BTreeMap<String, Vec<Map<String, Value>>>;

/// A server on loopback. It ends with the test's process.
pub(crate) struct Server {
    address: String,
    collections: Arc<Mutex<Collections>>,
}

type Answer = (u16, String);

impl Server {
    /// Starts one with five racks.
    pub(crate) fn start() -> Server {
        let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
        let address = format!("http://{}", server.server_addr());
        let racks = (1..=5).map(|id| json!({"id": id.to_string(), "name": format!("r{id} é")}).as_object().unwrap().clone());
        let collections = Arc::new(Mutex::new(Collections::from([("racks".to_owned(), racks.collect())])));
        let shared = collections.clone();
        std::thread::spawn(move || {
            for mut request in server.incoming_requests() {
                let mut body = String::new();
                request.as_reader().read_to_string(&mut body).unwrap();
                let known =
                    request.headers().iter().any(|header| header.field.equiv("authorization") && header.value == "Bearer the-token");
                let (status, text) = if known {
                    answer(&shared, &request.method().to_string(), request.url(), &body)
                } else {
                    (401, json!({"detail": "this token is not known"}).to_string())
                };
                let _ = request.respond(tiny_http::Response::from_string(text).with_status_code(status));
            }
        });
        Server { address, collections }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the objects of a collection; null for a collection that never had any.
    pub(crate) fn objects(&self, collection: &str) -> Value {
        json!(self.collections.lock().unwrap().get(collection))
    }
}

fn answer(collections: &Mutex<Collections>, method: &str, url: &str, body: &str) -> Answer {
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

/// Starts the server for the probers, which answers with the request.
pub(crate) fn prober() -> String {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let address = format!("http://{}", server.server_addr());
    std::thread::spawn(move || {
        let large = "x".repeat(2 << 20);
        for mut request in server.incoming_requests() {
            let mut body = String::new();
            request.as_reader().read_to_string(&mut body).unwrap();
            let header = |name: &'static str| {
                request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.to_string())
            };
            let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
            let (status, text) = match path {
                "/results" => {
                    let seen = json!({"title": body, "query": query, "own": header("x-own"), "accept": header("accept")});
                    (200, json!({"results": [seen, {"é": [1, null]}], "total": 3}).to_string())
                }
                "/large" => (200, large.clone()),
                _ => (404, json!({"message": "there is nothing"}).to_string()),
            };
            let header = tiny_http::Header::from_bytes("X-H", "a header").unwrap();
            let _ = request.respond(tiny_http::Response::from_string(text).with_status_code(status).with_header(header));
        }
    });
    address
}
