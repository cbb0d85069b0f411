//! The server that the small adapter is for: a REST API with paged lists.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

/// A server on loopback. It ends with the test's process.
pub(crate) struct Server {
    address: String,
    racks: Arc<Mutex<Vec<Map<String, Value>>>>,
}

type Answer = (u16, String);

impl Server {
    /// Starts one with five racks.
    pub(crate) fn start() -> Server {
        let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
        let address = format!("http://{}", server.server_addr());
        let racks = (1..=5).map(|id| json!({"id": id.to_string(), "name": format!("r{id} é")}).as_object().unwrap().clone());
        let racks = Arc::new(Mutex::new(racks.collect::<Vec<_>>()));
        let shared = racks.clone();
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
        Server { address, racks }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What it has now.
    pub(crate) fn racks(&self) -> Value {
        json!(*self.racks.lock().unwrap())
    }
}

fn answer(racks: &Mutex<Vec<Map<String, Value>>>, method: &str, url: &str, body: &str) -> Answer {
    let mut racks = racks.lock().unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let number = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<usize>().ok());
    let refusal = |status: u16, words: &str| (status, json!({"detail": words}).to_string());
    match (method, path.strip_prefix("/v1/").unwrap_or("").split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["racks"]) => {
            let (page, size) = (number("page").unwrap(), number("size").unwrap());
            let items: Vec<_> = racks.iter().skip((page - 1) * size).take(size).collect();
            (200, json!({"total": racks.len(), "items": items}).to_string())
        }
        ("GET", ["empty"]) => (200, r#"{"items": [], "total": 0}"#.into()),
        // As many as two pages, and one less when the second is asked for.
        ("GET", ["moving"]) => (200, json!({"items": [{"id": "1"}, {"id": "2"}], "total": 5 - number("page").unwrap()}).to_string()),
        ("GET", ["html"]) => (200, "<html>a proxy says hello</html>".into()),
        ("GET", ["odd"]) => (200, r#"{"items": {"a": 1}, "total": "many"}"#.into()),
        ("GET", ["closed"]) => (403, "not\nfor  you".into()),
        ("GET", ["words"]) => (422, json!({"name": ["is too long"]}).to_string()),
        ("POST", ["racks"]) => {
            let mut fields: Map<String, Value> = serde_json::from_str(body).unwrap();
            if fields["name"] == "r1" {
                return refusal(409, "there is one of that name");
            }
            let id = (racks.len() + 1).to_string();
            fields.insert("id".into(), id.clone().into());
            racks.push(fields);
            (201, json!({"id": id}).to_string())
        }
        ("PATCH", ["racks", id]) => match racks.iter_mut().find(|rack| rack["id"] == *id) {
            Some(rack) => {
                rack.append(&mut serde_json::from_str(body).unwrap());
                (200, json!(rack).to_string())
            }
            None => refusal(404, "there is none"),
        },
        ("DELETE", ["racks", id]) => {
            let before = racks.len();
            racks.retain(|rack| rack["id"] != *id);
            if racks.len() < before { (204, String::new()) } else { refusal(404, "there is none") }
        }
        _ => refusal(404, &format!("there is no {path}")),
    }
}

/// The server for the probers: it tells what it was asked. The credentials must be there, or nothing is.
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
                    let told = json!({"title": body, "query": query, "own": header("x-own"), "accept": header("accept")});
                    (200, json!({"results": [told, {"é": [1, null]}], "total": 3}).to_string())
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
