//! The answers of the server to requests.

use super::{
    Answer, BTreeMap, Column, Dialect, Entry, LIMIT, List, Map, Object, READER, Refusal, Reply, Request, Store, TOKEN, Value, json,
};

/// Parameters that each list knows.
const KNOWN: [&str; 11] =
    ["limit", "offset", "start", "ordering", "fields", "id", "id__gte", "depth", "exclude_m2m", "last_updated__gte", "updated__gte"];

pub(super) fn answer(store: &mut Store, request: &Request) -> Reply {
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let token = request.header("authorization").strip_prefix("Token ").unwrap_or_default().to_owned();
    if token != TOKEN && token != READER {
        return refused((403, json!({"detail": "Invalid token"}))).header("date", &date).into();
    }
    let is_write = matches!(request.method.as_str(), "POST" | "PATCH" | "DELETE");
    if is_write && token == READER {
        return refused((403, json!({"detail": "You do not have permission to perform this action."}))).into();
    }
    let answer = routed(store, request, token == TOKEN).unwrap_or_else(refused).header("date", &date);
    if is_write && store.lost > 0 {
        store.lost -= 1;
        return Reply::Close;
    }
    answer.into()
}

fn refused((status, body): Refusal) -> Answer {
    Answer::json(body).with_status(status)
}

fn missing() -> Refusal {
    (404, json!({"detail": "Not found."}))
}

fn routed(store: &mut Store, request: &Request, may_write: bool) -> Result<Answer, Refusal> {
    let path = request.path().strip_prefix("/api/").ok_or_else(missing)?;
    if !path.ends_with('/') {
        return Ok(Answer::status(301).header("location", &format!("{}/", request.path())));
    }
    let path = path.trim_end_matches('/');
    match (path, store.dialect) {
        ("status", Dialect::Nautobot) => return Ok(Answer::json(json!({"nautobot-version": store.version}))),
        ("status", Dialect::NetBox) => return Ok(Answer::json(json!({"netbox-version": store.version}))),
        ("status", Dialect::PeeringManager) => return Ok(Answer::json(json!({"peering-manager-version": store.version}))),
        ("core/object-changes", Dialect::NetBox | Dialect::PeeringManager) | ("extras/object-changes", Dialect::Nautobot) => {
            return Ok(Answer::json(changes(store, request)));
        }
        ("extras/custom-fields", _) => {
            let fields: Vec<Value> = store.custom.iter().map(|name| json!({"name": name, "key": name})).collect();
            return Ok(Answer::json(json!({"count": fields.len(), "next": null, "results": fields})));
        }
        ("core/object-types", Dialect::NetBox) => return Ok(Answer::json(types(store))),
        _ => {}
    }
    if let Some(list) = store.list(path) {
        return match request.method.as_str() {
            "GET" => page(store, list, request).map(Answer::json),
            "OPTIONS" => Ok(Answer::json(options(store, list, may_write))),
            _ => write(store, list, request),
        };
    }
    // One object.
    let (list, id) = path.rsplit_once('/').ok_or_else(missing)?;
    let list = store.list(list).ok_or_else(missing)?;
    let id: Value = serde_json::from_str(id).unwrap_or_else(|_| json!(id));
    let number = store.number(&id).filter(|number| store.of(list.path).contains_key(number)).ok_or_else(missing)?;
    match request.method.as_str() {
        "DELETE" => store.delete(list, number).map(|()| Answer::status(204)),
        "GET" => Ok(Answer::json(shown(store, list, number, 1))),
        _ => Err((405, json!({"detail": "Method not allowed."}))),
    }
}

fn types(store: &Store) -> Value {
    let one = |list: &List| {
        let (app, model) = list.type_name.split_once('.').expect("an application");
        json!({"app_label": app, "model": model, "features": ["change_logging"], "rest_api_endpoint": format!("/api/{}/", list.path)})
    };
    json!({"count": store.lists.len(), "next": null, "results": store.lists.iter().map(one).collect::<Vec<_>>()})
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escaped = (byte == b'%').then(|| [rest.next(), rest.next()]);
        let hexadecimal = escaped.and_then(|pair| String::from_utf8(pair.into_iter().flatten().collect()).ok());
        bytes.push(hexadecimal.and_then(|pair| u8::from_str_radix(&pair, 16).ok()).unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the parameters of a request, decoded.
fn parameters(request: &Request) -> BTreeMap<String, Vec<String>> {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        parameters.entry(decoded(name)).or_default().push(decoded(value));
    }
    parameters
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn changes(store: &Store, request: &Request) -> Value {
    let parameters = parameters(request);
    let since = ["time_after", "time__gte"].into_iter().find_map(|name| parameters.get(name)?.first());
    let fits = |entry: &&Entry| {
        let of = |name: &str, value: &str| parameters.get(name).is_none_or(|wanted| wanted.iter().any(|wanted| wanted == value));
        let by_type = store.dialect == Dialect::PeeringManager || of("changed_object_type", entry.type_name);
        by_type
            && of("action", entry.action)
            && of("changed_object_id", &entry.id)
            && since.is_none_or(|since| is_since(&entry.time, since))
    };
    let shown = |entry: &Entry| {
        json!({"id": 1, "time": entry.time, "action": {"value": entry.action, "label": entry.action}, "changed_object_type": entry.type_name,
               "changed_object_id": serde_json::from_str::<Value>(&entry.id).unwrap_or_else(|_| json!(entry.id)), "message": entry.message})
    };
    let found: Vec<Value> = store.log.iter().rev().filter(fits).map(shown).collect();
    json!({"count": found.len(), "next": null, "previous": null, "results": found})
}

/// Says whether a time is not before another one, which may have whole seconds.
fn is_since(time: &str, since: &str) -> bool {
    time.trim_end_matches('Z') >= since.trim_end_matches('Z')
}

/// Says whether an object fits a filter of its list; none where the list has no such filter.
fn filtered(store: &Store, list: &List, object: &Object, name: &str, values: &[String]) -> Option<bool> {
    let stem = if store.dialect == Dialect::Nautobot { name } else { name.strip_suffix("_id").unwrap_or(name) };
    let is_reference = |column: &Column| matches!(column, Column::Peer(_) | Column::Parent(_) | Column::Needed(_));
    let found = list.columns.iter().find(|(column, _)| *column == stem);
    match found {
        Some((column, kind)) if is_reference(kind) && (stem != name || store.dialect == Dialect::Nautobot) => {
            let id = object.get(*column).and_then(Value::as_u64).map(|number| plain(&store.id(number)));
            Some(id.is_some_and(|id| values.contains(&id)))
        }
        Some((column, kind)) if stem == name && !is_reference(kind) => {
            Some(object.get(*column).is_some_and(|value| values.contains(&plain(value))))
        }
        // `device_id` of addresses leads through their interface.
        _ => {
            let generic = list.columns.iter().find(|(_, column)| matches!(column, Column::Generic(_)))?;
            let kind = object.get(&format!("{}_type", generic.0)).and_then(Value::as_str);
            let id = object.get(&format!("{}_id", generic.0)).and_then(|id| store.number(id));
            let peers = store.lists.iter().find(|list| Some(list.type_name) == kind);
            if !["device_id", "interface_id"].contains(&name) {
                return None;
            }
            let (Some(peers), Some(id)) = (peers, id) else { return Some(false) };
            if name == "interface_id" {
                return Some(peers.type_name == "dcim.interface" && values.contains(&id.to_string()));
            }
            let peer = store.of(peers.path).get(&id)?;
            Some(peer.get("device").is_some_and(|device| values.contains(&plain(device))))
        }
    }
}

fn page(store: &Store, list: &'static List, request: &Request) -> Result<Value, Refusal> {
    let parameters = parameters(request);
    let number = |name: &str| parameters.get(name).and_then(|values| values.first()?.parse::<u64>().ok());
    let since = parameters.get(if store.dialect == Dialect::PeeringManager { "updated__gte" } else { "last_updated__gte" });
    let ids = parameters.get("id");
    let mut unknown = None;
    let mut objects: Vec<(u64, &Object)> = Vec::new();
    for (id, object) in store.of(list.path) {
        let mut is_in = ids.is_none_or(|ids| ids.contains(&plain(&store.id(*id))));
        is_in &= since
            .and_then(|since| since.first())
            .is_none_or(|since| object.get(store.updated()).and_then(Value::as_str).is_some_and(|saved| is_since(saved, since)));
        for (name, values) in parameters.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())) {
            match filtered(store, list, object, name, values) {
                Some(fits) => is_in &= fits,
                None => unknown = Some(name.clone()),
            }
        }
        if is_in {
            objects.push((*id, object));
        }
    }
    if let (Some(name), Dialect::Nautobot) = (unknown, store.dialect) {
        return Err((400, json!({ name: ["Unknown filter field"] })));
    }
    let limit = number("limit").filter(|limit| *limit > 0).map_or(LIMIT, |limit| limit as usize).min(LIMIT);
    let count = objects.len();
    let with_cursor = store.dialect == Dialect::NetBox && parameters.contains_key("start");
    let first = number("start").filter(|_| with_cursor).or_else(|| number("id__gte").filter(|_| store.dialect != Dialect::Nautobot));
    objects.retain(|(id, _)| first.is_none_or(|first| *id >= first));
    let offset = number("offset").unwrap_or(0) as usize;
    let rest: Vec<u64> = objects.into_iter().map(|(id, _)| id).skip(offset).collect();
    let depth = if store.dialect == Dialect::Nautobot { number("depth").unwrap_or(0) } else { 1 };
    let without_sets = parameters.get("exclude_m2m").is_some_and(|value| value[0] == "true");
    let fields: Option<Vec<&str>> = parameters.get("fields").map(|fields| fields[0].split(',').collect());
    let shown = |id: &u64| {
        let mut object = shown(store, list, *id, depth);
        if let Value::Object(object) = &mut object {
            object.retain(|name, _| fields.as_ref().is_none_or(|fields| fields.contains(&name.as_str())));
            let is_set = |name: &str| list.columns.iter().any(|(column, kind)| *column == name && matches!(kind, Column::Peers(_)));
            object.retain(|name, _| !without_sets || name == "tags" || !is_set(name));
        }
        object
    };
    let results: Vec<Value> = rest.iter().take(limit).map(shown).collect();
    let next = rest.get(limit).map(|id| match with_cursor {
        true => format!("http://proxy/api/?limit={limit}&start={id}"),
        false => format!("http://proxy/api/?limit={limit}&offset={}", offset + limit),
    });
    Ok(json!({"count": if with_cursor { Value::Null } else { json!(count) }, "next": next, "previous": null, "results": results}))
}

/// Returns an object as it is read.
fn shown(store: &Store, list: &List, number: u64, depth: u64) -> Value {
    let object = store.of(list.path).get(&number).expect("an object");
    let mut shown = Object::from_iter([("id".to_owned(), store.id(number)), ("display".to_owned(), json!("shown"))]);
    for name in ["custom_fields", "created", store.updated()] {
        shown.insert(name.to_owned(), object.get(name).cloned().unwrap_or_default());
    }
    for (name, column) in list.columns {
        let value = object.get(*name).cloned().unwrap_or(Value::Null);
        let value = match (column, value) {
            (Column::Generic(_), _) => {
                let [kind, id] = ["type", "id"].map(|part| object.get(&format!("{name}_{part}")).cloned().unwrap_or_default());
                let peers = store.lists.iter().find(|list| kind == list.type_name);
                let peer = peers.zip(store.number(&id)).map(|(list, id)| peer(store, list, id, depth));
                shown.insert(format!("{name}_type"), kind);
                shown.insert(format!("{name}_id"), id);
                peer.unwrap_or_default()
            }
            (_, Value::Null) => Value::Null,
            (Column::Choice(_), Value::String(text)) => json!({"value": text, "label": label(&text)}),
            (Column::Peer(peers) | Column::Parent(peers) | Column::Needed(peers), id) => {
                peer(store, store.list(peers).expect("a list"), id.as_u64().expect("a number"), depth)
            }
            (Column::Peers(peers), Value::Array(ids)) => {
                let list = store.list(peers).expect("a list");
                ids.iter().map(|id| peer(store, list, id.as_u64().expect("a number"), depth)).collect()
            }
            (_, value) => value,
        };
        shown.insert((*name).to_owned(), value);
    }
    Value::Object(shown)
}

fn label(text: &str) -> String {
    text.to_uppercase()
}

/// Returns an object as a part of another: in Nautobot at depth 0 its id alone, else its plain columns and parents.
fn peer(store: &Store, list: &List, number: u64, depth: u64) -> Value {
    if depth == 0 {
        return json!({"id": store.id(number), "object_type": list.type_name, "url": format!("/api/{}/{number}/", list.path)});
    }
    let object = store.of(list.path).get(&number).expect("a peer");
    let mut shown = Object::from_iter([("id".to_owned(), store.id(number))]);
    for (name, column) in list.columns {
        let value = object.get(*name).cloned().unwrap_or_default();
        match (column, &value) {
            (Column::Text | Column::Name | Column::Nullable | Column::Number | Column::Word(_), _) => {
                shown.insert((*name).to_owned(), value);
            }
            (Column::Parent(parents), Value::Number(id)) => {
                let parents = store.list(parents).expect("a list");
                shown.insert((*name).to_owned(), peer(store, parents, id.as_u64().expect("a number"), depth.saturating_sub(1)));
            }
            _ => {}
        }
    }
    Value::Object(shown)
}

fn options(store: &Store, list: &List, may_write: bool) -> Value {
    let mut fields = Map::new();
    let mut add = |name: &str, field: Value| fields.insert(name.to_owned(), field);
    for name in ["id", "display", "created", store.updated()] {
        let is_open = name == "id" && store.dialect == Dialect::Nautobot;
        add(name, json!({"type": "field", "required": false, "read_only": !is_open}));
    }
    add("custom_fields", json!({"type": "field", "required": false, "read_only": false}));
    let reference = if store.dialect == Dialect::Nautobot { "field" } else { "nested object" };
    for (name, column) in list.columns {
        let field = match column {
            Column::Text | Column::Nullable => json!({"type": "string", "required": false, "read_only": false}),
            Column::Name => json!({"type": "string", "required": true, "read_only": false}),
            Column::Number => json!({"type": "integer", "required": false, "read_only": false}),
            Column::Flag => json!({"type": "boolean", "required": false, "read_only": false}),
            Column::Choice(choices) | Column::Word(choices) => {
                let choices: Vec<Value> = choices.iter().map(|value| json!({"value": value, "display_name": label(value)})).collect();
                json!({"type": "field", "required": false, "read_only": false, "choices": choices})
            }
            Column::Peer(_) => json!({"type": reference, "required": false, "read_only": false}),
            Column::Parent(_) | Column::Needed(_) => json!({"type": reference, "required": true, "read_only": false}),
            Column::Peers(_) => json!({"type": "field", "required": false, "read_only": false}),
            Column::Generic(_) => {
                add(&format!("{name}_type"), json!({"type": "field", "required": false, "read_only": false}));
                add(&format!("{name}_id"), json!({"type": "integer", "required": false, "read_only": false}));
                json!({"type": "field", "required": false, "read_only": true})
            }
            Column::Computed | Column::Stored => json!({"type": "field", "required": false, "read_only": true}),
        };
        add(name, field);
    }
    match may_write {
        true => json!({"name": list.path, "actions": {"POST": fields, "PUT": fields}}),
        false => json!({"name": list.path}),
    }
}

/// Writes all objects of a request, or none.
fn write(store: &mut Store, list: &'static List, request: &Request) -> Result<Answer, Refusal> {
    let bodies: Vec<Value> = serde_json::from_slice(&request.body).map_err(|error| (400, json!({"detail": error.to_string()})))?;
    if request.method == "PATCH" && !is_current(store, list, request.header("if-match"), &bodies) {
        return Err((412, json!({"detail": "Precondition failed."})));
    }
    let mut next = store.clone();
    // What counts as a name of an object in this request.
    let method = request.method.as_str();
    let (mut written, mut errors, mut failed) = (Vec::new(), BTreeMap::new(), None);
    for (at, body) in bodies.iter().enumerate() {
        let known = body.get("id").and_then(|id| next.number(id)).filter(|number| next.of(list.path).contains_key(number));
        let done = match (method, known) {
            ("POST", Some(_)) if store.dialect == Dialect::Nautobot => {
                Err(json!({"id": [format!("{} with this Id already exists.", list.type_name)]}))
            }
            ("POST", _) => next.put(list, body).map(Some),
            (_, None) if store.dialect == Dialect::NetBox => Err(json!({"id": ["Object not found."]})),
            (_, None) => Ok(None),
            ("PATCH", Some(_)) => next.put(list, body).map(Some),
            (_, Some(number)) => match next.delete(list, number) {
                Ok(()) => Ok(None),
                Err((status, error)) => {
                    failed.get_or_insert(status);
                    Err(error)
                }
            },
        };
        match done {
            Ok(number) => written.extend(number),
            Err(error) => {
                errors.insert(at, error);
            }
        }
    }
    if !errors.is_empty() {
        return Err(refusal(store.dialect, method, &bodies, &errors, failed.unwrap_or(400)));
    }
    *store = next;
    if method == "PATCH" {
        written.sort_unstable();
        written.dedup();
    }
    let shown: Vec<Value> = written.iter().map(|number| shown(store, list, *number, 0)).collect();
    Ok(match method {
        "POST" => Answer::json(json!(shown)).with_status(201),
        "PATCH" => Answer::json(json!(shown)),
        _ => Answer::status(204),
    })
}

/// Says whether each object has one of the tags of a request. Only NetBox looks at them.
fn is_current(store: &Store, list: &List, tags: &str, bodies: &[Value]) -> bool {
    let known = bodies.iter().filter_map(|body| store.of(list.path).get(&store.number(&body["id"])?));
    let tag = |object: &Object| {
        let saved = object.get(store.updated()).and_then(Value::as_str).unwrap_or_default();
        format!("W/\"{}+00:00\"", saved.trim_end_matches('Z'))
    };
    let tags: Vec<&str> = tags.split(", ").collect();
    store.dialect != Dialect::NetBox || tags == [""] || known.map(tag).all(|tag| tags.contains(&tag.as_str()))
}

fn refusal(dialect: Dialect, method: &str, bodies: &[Value], errors: &BTreeMap<usize, Value>, status: u16) -> Refusal {
    let first = || errors.values().next().cloned().unwrap_or_default();
    match (dialect, method) {
        (Dialect::NetBox, _) => {
            let one = |(at, errors): (&usize, &Value)| match method {
                "POST" => json!({"index": at, "errors": errors}),
                _ => json!({"id": bodies[*at]["id"], "errors": errors}),
            };
            (status, json!({"detail": "Bulk operation failed.", "errors": errors.iter().map(one).collect::<Vec<_>>()}))
        }
        // The second one of two is found by the database.
        (_, "POST") if errors.values().any(|error| is_within(bodies, error)) => (500, json!({"error": "IntegrityError: duplicate key"})),
        (_, "POST") => (status, (0..bodies.len()).map(|at| errors.get(&at).cloned().unwrap_or_else(|| json!({}))).collect()),
        _ => (status, first()),
    }
}

/// Says whether an error is about two objects of the request. Here only those count that ask for it.
fn is_within(bodies: &[Value], error: &Value) -> bool {
    error.to_string().contains("already exists")
        && bodies.windows(2).any(|pair| pair[0]["name"] == pair[1]["name"] && pair[0].get("name").is_some())
}
