//! Tests the adapter against answers in the words of an Infrahub 1.11.9.

use std::cell::RefCell;
use std::rc::Rc;

use infrahub_sync_adapter::testing::{
    fail_request, first_page, load_all, messages, page_records, requests, reset, respond, respond_with, respond_with_headers, write_request,
};
use infrahub_sync_adapter::{
    Adapter, ErrorKind, FieldType, KindChanges, LoadRequest, Operation, Outcome, Result, Run, RunResult, Target, TargetField, WriteRequest,
};
use serde_json::{Map, Value, json};

use super::Infrahub;

const RUN: &str = "20261124T0200-0badcafe";
const SUMMARY: &str = "/api/schema/summary?branch=main";
const SCHEMA: &str = "/api/schema?branch=main";

/// The part of a schema that the tests are about, in the server's shape.
fn schema() -> Value {
    let attribute =
        |name: &str, kind: &str, optional: bool| json!({"name": name, "kind": kind, "optional": optional, "unique": name == "slug"});
    json!({
        "main": "1234",
        "nodes": [
            {"kind": "DcimRack", "inherit_from": ["CoreNode", "DcimPlace"], "generate_profile": true, "attributes": [
                attribute("name", "Text", false), attribute("height", "Number", true), attribute("live", "Boolean", true),
                attribute("labels", "List", true), attribute("extra", "JSON", true), attribute("address", "IPHost", true),
                attribute("mac", "MacAddress", true), attribute("slug", "Text", true),
                {"name": "status", "kind": "Dropdown", "optional": true, "default_value": "active", "choices": [{"name": "active"}, {"name": "planned"}]},
                {"name": "label", "kind": "Text", "optional": true, "read_only": true}, attribute("secret", "HashedPassword", true),
            ], "relationships": [
                {"name": "site", "peer": "DcimPlace", "cardinality": "one", "optional": false},
                {"name": "tags", "peer": "BuiltinTag", "cardinality": "many", "optional": true},
                {"name": "ip", "peer": "IpamAddress", "cardinality": "one", "optional": true},
                {"name": "plug", "peer": "DcimPlug", "cardinality": "one", "optional": true, "kind": "Attribute", "identifier": "rack__plug", "direction": "bidirectional"},
                {"name": "owners", "peer": "BuiltinTag", "cardinality": "many", "optional": true, "kind": "Generic", "identifier": "rack__owners", "direction": "bidirectional"},
            ], "uniqueness_constraints": [["site", "name__value"]]},
            {"kind": "BuiltinTag", "inherit_from": ["CoreNode"], "human_friendly_id": ["name__value"], "attributes": [attribute("name", "Text", false)]},
            {"kind": "DcimPlug", "inherit_from": ["CoreNode"], "attributes": [attribute("name", "Text", false)], "relationships": [
                {"name": "rack", "peer": "DcimRack", "cardinality": "one", "optional": true, "kind": "Attribute", "identifier": "rack__plug", "direction": "bidirectional"},
            ]},
            {"kind": "IpamAddress", "inherit_from": ["CoreNode", "BuiltinIPAddress"]},
            {"kind": "CoreIPAddressPool", "inherit_from": ["CoreNode", "CoreResourcePool"], "attributes": [attribute("name", "Text", false)]},
        ],
        "generics": [{"kind": "CoreProfile"}, {"kind": "DcimPlace", "human_friendly_id": ["name__value"], "attributes": [attribute("name", "Text", false)]}],
    })
}

/// A server that has that schema, and the time.
fn server() -> Infrahub {
    reset();
    let date = [("Date", "Tue, 24 Nov 2026 02:00:00 GMT")];
    respond_with_headers("GET", SUMMARY, 200, &date, json!({"main": "1234", "nodes": {}, "generics": {}}).to_string());
    respond("GET", SCHEMA, 200, schema().to_string());
    Infrahub::configure(r#"{"url": "https://infrahub.example.com", "branch": "main"}"#).unwrap()
}

type Asked = Rc<RefCell<Vec<(String, Value)>>>;

/// Answers GraphQL requests by their document and variables, in turn; keeps what was asked.
fn graphql(mut answer: impl FnMut(&str, &Value) -> Option<Value> + 'static) -> Asked {
    let asked: Asked = Rc::default();
    let keep = asked.clone();
    respond_with(move |request| {
        let body: Value = serde_json::from_slice(request.body.as_deref()?).ok()?;
        let document = body["query"].as_str()?.to_owned();
        keep.borrow_mut().push((document.clone(), body["variables"].clone()));
        let answer = answer(&document, &body["variables"])?;
        Some((200, vec![("Date".into(), "Tue, 24 Nov 2026 02:00:17 GMT".into())], answer.to_string().into_bytes()))
    });
    asked
}

/// Begins a run whose permissions and accounts are in order.
fn begun(infrahub: &Infrahub, mut mutation: impl FnMut(&str, &Value) -> Option<Value> + 'static) -> Asked {
    let asked = graphql(move |document, variables| {
        if document.starts_with("mutation") || document.contains("ids:$ids") || document.contains("display_label") {
            return mutation(document, variables);
        }
        Some(json!({"data": {
            "Branch": [{"name": "main", "is_default": true}],
            "InfrahubPermissions": {"global_permissions": {"edges": [{"node": {"action": "super_admin", "decision": "6"}}]}},
            "DcimRack": {"permissions": {"edges": [{"node": {"kind": "DcimRack", "create": "ALLOW", "update": "ALLOW", "delete": "DENY"}}]}},
            "account": {"edges": [{"node": {"id": "acc"}}]}, "source": {"edges": []}, "owner": {"edges": []},
        }}))
    });
    infrahub.begin(&run(1, 1, 0)).unwrap();
    asked.borrow_mut().clear();
    asked
}

fn run(creates: u64, updates: u64, deletes: u64) -> Run {
    let changes = vec![KindChanges { target: racks(), creates, updates, deletes }];
    Run { id: RUN.into(), sync: "nightly".into(), source: "netbox".into(), changes }
}

fn racks() -> Target {
    Target::new("DcimRack")
        .with_field(TargetField::new("name").identifying())
        .with_field(TargetField::new("site").referring_to(&["DcimPlace"]).identifying())
        .with_field(TargetField::new("tags").referring_to(&["BuiltinTag"]).many())
        .with_field(TargetField::new("ip").referring_to(&["IpamAddress", "CoreIPAddressPool"]))
}

fn targets(kinds: &[&str]) -> Vec<Target> {
    kinds.iter().map(|kind| Target::new(kind)).collect()
}

fn request(operation: Operation, rows: &[Value]) -> WriteRequest {
    write_request(&racks(), operation, rows)
}

fn rack(name: &str) -> Value {
    json!({"key": {"name": name, "site": {"name": "S"}}, "fields": {"name": name, "site": {"kind": "DcimSite", "key": {"name": "S"}, "id": "site-1"}}})
}

/// Every alias of a mutation succeeds with its own id.
fn all_written(variables: &Value) -> Value {
    let inputs = variables.as_object().unwrap();
    let answers: Map<String, Value> =
        inputs.iter().map(|(name, input)| (name.replace('d', "m"), json!({"ok": true, "object": {"id": input["id"]}}))).collect();
    json!({ "data": answers })
}

fn ids(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Written(Some(id)) => id.clone(),
            Outcome::Written(None) => "?".into(),
            Outcome::Failed(error) => format!("failed: {}", error.message),
            Outcome::Unchanged(_) => "unchanged".into(),
            Outcome::Staged => "staged".into(),
        })
        .collect()
}

#[test]
fn the_schema_is_downloaded_when_its_hash_has_changed() {
    let infrahub = server();
    let kinds = infrahub.kinds(&targets(&["DcimRack", "Nope", "DcimPlace", "CoreIPAddressPool"])).unwrap();
    assert_eq!(
        kinds.iter().map(|kind| (kind.name.as_str(), kind.can_create)).collect::<Vec<_>>(),
        [("DcimRack", true), ("DcimPlace", false), ("CoreIPAddressPool", true)]
    );
    let field = |name: &str| kinds[0].fields.iter().find(|field| field.name == name).unwrap();
    assert_eq!(
        (field("address").type_, field("mac").type_, field("height").type_),
        (FieldType::IpInterface, FieldType::Mac, FieldType::Integer)
    );
    assert_eq!(field("status").default.as_deref(), Some(r#""active""#));
    assert_eq!(field("status").choices, ["active", "planned"]);
    assert_eq!(
        (&field("site").references[..], &kinds[0].stands_for[..]),
        (&["DcimPlace".into()][..], &["CoreNode".into(), "DcimPlace".into()][..])
    );
    assert!(field("label").read_only && field("slug").unique && !field("name").optional);
    // A pool may be named where what it allocates is wanted.
    assert!(kinds[2].stands_for.iter().any(|kind| kind == "IpamAddress"));
    let paths = || requests().into_iter().map(|request| request.url).collect::<Vec<_>>();
    assert_eq!(paths(), [SUMMARY, SCHEMA]);
    // Another instance of the same run asks for nothing.
    Infrahub::configure(r#"{"url": "https://infrahub.example.com"}"#).unwrap().kinds(&[]).unwrap();
    assert_eq!(paths().len(), 2);
}

#[test]
fn an_unknown_branch_and_another_product_are_reported() {
    reset();
    respond("GET", SUMMARY, 400, r#"{"data": null, "errors": [{"message": "Branch: main not found.", "extensions": {"code": 400}}]}"#);
    let infrahub = Infrahub::configure(r#"{"url": "https://infrahub.example.com"}"#).unwrap();
    let error = infrahub.kinds(&[]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("no branch `main`"), "{}", error.message);
    reset();
    respond_with_headers("GET", SUMMARY, 200, &[("Content-Type", "text/html")], "<html>");
    let error = infrahub.kinds(&[]).unwrap_err();
    assert!(error.message.contains("text/html"), "{}", error.message);
}

fn page(count: u64, nodes: Vec<Value>) -> Value {
    let edges: Vec<Value> = nodes.into_iter().map(|node| json!({ "node": node })).collect();
    json!({"data": {"DcimRack": {"count": count, "edges": edges}}})
}

#[test]
fn pages_are_of_one_moment_and_hold_what_is_mapped() {
    let infrahub = server();
    let asked = graphql(|_, variables| {
        let offset = variables["offset"].as_u64().unwrap();
        let node = |at: u64| {
            json!({"id": format!("r{at}"), "name": {"value": format!("n{at}")}, "site": {"node": {"id": "s", "__typename": "DcimSite"}},
                   "tags": {"edges": [{"node": {"id": "t1"}}, {"node": {"id": "t2"}}]},
                   "status": {"value": "planned", "is_from_profile": at == 1}})
        };
        Some(page(3, (offset..3.min(offset + 2)).map(node).collect()))
    });
    let records =
        load_all(&infrahub, LoadRequest { page_size: 2, ..first_page("DcimRack", &["id", "name", "site", "tags", "status"]) }).unwrap();
    assert_eq!(
        records[0],
        json!({"id": "r0", "name": "n0", "site": {"id": "s"}, "tags": [{"id": "t1"}, {"id": "t2"}], "status": "planned"})
    );
    // What a profile gives is no value of the object.
    assert_eq!((records.len(), &records[1]["status"]), (3, &Value::Null));
    let asked = asked.borrow();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[0].0.contains("site{node{id __typename}} tags{edges{node{id __typename}}} status{value is_from_profile}"),
        "{}",
        asked[0].0
    );
    let moments: Vec<String> = requests().into_iter().map(|request| request.url).filter(|url| url.starts_with("/graphql")).collect();
    assert_eq!(moments, ["/graphql/main?at=2026-11-24T02%3A00%3A10Z"; 2]);
}

#[test]
fn what_a_pool_gave_is_known_by_the_pool() {
    let infrahub = server();
    let asked = graphql(|_, _| {
        let given = |id: &str, pool: &str| json!({"node": {"id": id}, "properties": {"source": {"id": "pool", "__typename": pool}}});
        let node = |id: &str, ip: Value| json!({"id": id, "ip": ip});
        let none = json!({"node": null, "properties": {"source": null}});
        let nodes = vec![node("r0", given("a0", "CoreIPAddressPool")), node("r1", given("a1", "CoreAccount")), node("r2", none)];
        Some(page(3, nodes))
    });
    let read = |infrahub: &Infrahub| load_all(infrahub, first_page("DcimRack", &["id", "ip"])).unwrap();
    assert_eq!(read(&infrahub)[0]["ip"], json!({"id": "a0"}), "without the pool in the project the address is itself");
    infrahub.kinds(&targets(&["DcimRack", "CoreIPAddressPool"])).unwrap();
    let records = read(&infrahub);
    assert_eq!([&records[0]["ip"], &records[1]["ip"], &records[2]["ip"]], [&json!({"id": "pool"}), &json!({"id": "a1"}), &Value::Null]);
    assert!(asked.borrow()[1].0.contains("ip{node{id __typename} properties{source{id __typename}}}"));
}

#[test]
fn peers_that_a_profile_gave_are_not_the_objects_own() {
    let infrahub = server();
    let asked = graphql(|document, _| {
        if document == "{CoreProfile{count}}" {
            return Some(json!({"data": {"CoreProfile": {"count": 1}}}));
        }
        let of = |source: &str, id: &str| json!({"node": {"id": id}, "properties": {"source": {"__typename": source}}});
        let given = json!({"id": "r0", "plug": of("ProfileDcimRack", "p0"), "owners": {"edges": [of("ProfileDcimRack", "o0")]}});
        let own = json!({"id": "r1", "plug": of("CoreAccount", "p1"), "owners": {"edges": [{"node": {"id": "o1"}, "properties": {"source": null}}]}});
        Some(page(2, vec![given, own]))
    });
    let read = || load_all(&infrahub, first_page("DcimRack", &["id", "plug", "owners"])).unwrap();
    assert_eq!(
        read(),
        [json!({"id": "r0", "plug": null, "owners": []}), json!({"id": "r1", "plug": {"id": "p1"}, "owners": [{"id": "o1"}]})]
    );
    read();
    let profiles = |asked: &Asked| asked.borrow().iter().filter(|(document, _)| document.starts_with("{CoreProfile")).count();
    assert_eq!((profiles(&asked), asked.borrow().len()), (1, 3), "asked once a run");
    // Without profiles, the sources are not asked for.
    let infrahub = server();
    let asked = graphql(|document, _| {
        Some(if document.starts_with("{CoreProfile") { json!({"data": {"CoreProfile": {"count": 0}}}) } else { page(0, Vec::new()) })
    });
    load_all(&infrahub, first_page("DcimRack", &["id", "plug"])).unwrap();
    assert!(asked.borrow()[1].0.contains("plug{node{id __typename}}}"), "{:?}", asked.borrow());
}

#[test]
fn a_peer_of_one_object_is_a_unique_value() {
    let infrahub = server();
    let kinds = infrahub.kinds(&targets(&["DcimRack"])).unwrap();
    let unique: Vec<&str> = kinds[0].fields.iter().filter(|field| field.unique).map(|field| field.name.as_str()).collect();
    assert_eq!(unique, ["slug", "plug"]);
}

#[test]
fn what_the_server_would_cut_is_rejected() {
    let infrahub = server();
    begun(&infrahub, |_, variables| Some(all_written(variables)));
    let row = |field: &str, value: Value| json!({"key": {"name": "A"}, "id": "r1", "fields": {field: value}});
    let large: Value = serde_json::from_str(r#"{"a": [1, {"b": 18446744073709551616}]}"#).unwrap();
    let rows = [
        row("address", json!("fe80::1%eth0/64")),
        row("extra", large),
        row("labels", json!([1e30])),
        row("extra", json!({"a": [u64::MAX, -1.5]})),
    ];
    let outcomes = ids(&infrahub.write(&request(Operation::Update, &rows)).unwrap());
    assert!(outcomes[0].contains("`address` has \"fe80::1%eth0/64\": Infrahub drops the zone behind `%`"), "{outcomes:?}");
    assert!(outcomes[1].contains("`extra` holds the number 1") && outcomes[1].contains(": beyond 64 bits"), "{outcomes:?}");
    assert!(outcomes[2].starts_with("failed") && outcomes[3] == "r1", "{outcomes:?}");
}

#[test]
fn two_missing_values_that_collide_are_named() {
    let infrahub = server();
    let asked = begun(&infrahub, |document, _| {
        Some(if document.contains("display_label") {
            let node = |id: &str| json!({"node": {"id": id, "display_label": "B", "__typename": "DcimRack"}});
            json!({"data": {"DcimRack": {"edges": [node("r1"), node("r2")]}}})
        } else {
            json!({"data": {"m0": null}, "errors": [{"message": "Violates uniqueness constraint 'slug'", "path": ["m0"], "extensions": {"http_status": 422}}]})
        })
    });
    let update = json!({"key": {"name": "A"}, "id": "r1", "fields": {"height": 2}});
    for (operation, row) in [(Operation::Create, rack("A")), (Operation::Update, update)] {
        let outcomes = infrahub.write(&request(operation, &[row])).unwrap();
        let Outcome::Failed(error) = &outcomes[0] else { panic!("{outcomes:?}") };
        assert!(error.message.contains("neither it nor `B`") && error.message.contains("has a value for `slug`"), "{}", error.message);
    }
    assert!(asked.borrow()[1].0.contains("DcimRack(slug__isnull:true,limit:2)"), "{:?}", asked.borrow());
}

#[test]
fn a_list_that_changed_under_the_load_is_not_taken_for_whole() {
    let infrahub = server();
    graphql(|_, variables| Some(page(if variables["offset"] == 0 { 3 } else { 2 }, vec![json!({"id": "r", "name": {"value": "n"}})])));
    let error = load_all(&infrahub, LoadRequest { page_size: 1, ..first_page("DcimRack", &["name"]) }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
}

#[test]
fn an_older_server_is_named_with_its_version() {
    let infrahub = server();
    respond("GET", "/api/info", 200, r#"{"deployment_id": "x", "version": "1.4.2"}"#);
    graphql(|_, _| Some(json!({"data": null, "errors": [{"message": "Unknown argument 'order' on field 'Query.DcimRack'."}]})));
    let error = infrahub.load(&first_page("DcimRack", &["name"])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.message.contains("its version is 1.4.2"), "{}", error.message);
}

#[test]
fn creates_are_one_document_with_ids_of_ours() {
    let infrahub = server();
    let asked = begun(&infrahub, |_, variables| Some(all_written(variables)));
    let mut row = rack("A");
    let fields = json!({"name": "A", "height": 42, "status": "planned", "label": "computed", "secret": "s",
        "site": {"kind": "DcimSite", "key": {}, "id": "s"}, "tags": [{"id": "t"}, {"id": "t"}], "ip": {"kind": "CoreIPAddressPool", "key": {}, "id": "pool"}});
    row["fields"] = fields;
    let outcomes = infrahub.write(&request(Operation::Create, &[row.clone(), rack("B")])).unwrap();
    let asked = asked.borrow();
    let (document, variables) = &asked[0];
    assert_eq!(
        document,
        "mutation($d0:DcimRackCreateInput!,$d1:DcimRackCreateInput!,){m0:DcimRackCreate(data:$d0){ok object{id}} m1:DcimRackCreate(data:$d1){ok object{id}} }"
    );
    let attribution = json!({"is_protected": true, "source": "acc", "owner": "acc"});
    let with = |members: Value, prefix: &str| {
        let mut out = members.as_object().unwrap().clone();
        attribution.as_object().unwrap().iter().for_each(|(name, value)| drop(out.insert(format!("{prefix}{name}"), value.clone())));
        Value::Object(out)
    };
    let input = &variables["d0"];
    assert_eq!(input["height"], with(json!({"value": 42}), ""));
    assert_eq!(input["site"], with(json!({"id": "s"}), "_relation__"));
    assert_eq!(input["tags"], json!([with(json!({"id": "t"}), "_relation__")]), "a peer that is named twice would be stored twice");
    assert_eq!(input["ip"], json!({"from_pool": {"id": "pool"}}), "the pool itself becomes the source");
    assert_eq!((input.get("label"), input.get("secret")), (None, None), "computed, and kept as a hash");
    let first = ids(&outcomes);
    assert_eq!(first[0], variables["d0"]["id"].as_str().unwrap());
    assert_ne!(first[0], first[1]);
    drop(asked);
    // The same row of the same run has the same id, whoever writes it.
    assert_eq!(ids(&infrahub.write(&request(Operation::Create, &[row])).unwrap())[0], first[0]);
}

#[test]
fn updates_say_only_what_changes_and_go_back_to_defaults() {
    let infrahub = server();
    let asked = begun(&infrahub, |_, variables| Some(all_written(variables)));
    let row = json!({"key": {"name": "A"}, "id": "r1", "fields": {"status": null, "height": null, "ip": null, "tags": []}});
    infrahub.write(&request(Operation::Update, &[row])).unwrap();
    let from = json!({"source": "acc", "owner": "acc"});
    let expected = json!({"id": "r1", "ip": null, "tags": [],
        "status": {"is_default": true, "source": from["source"], "owner": from["owner"]},
        "height": {"value": null, "source": from["source"], "owner": from["owner"]}});
    assert_eq!(asked.borrow()[0].1["d0"], expected);
}

#[test]
fn values_that_would_be_stored_as_others_are_refused() {
    let infrahub = server();
    begun(&infrahub, |_, variables| Some(all_written(variables)));
    let bad = [
        (json!({"height": 5.5}), "a whole number"),
        (json!({"height": true}), "a whole number"),
        (json!({"live": "perhaps"}), "true or false"),
        (json!({"labels": "x"}), "a list"),
        (json!({"extra": "x"}), "an object or a list"),
        (json!({"name": "NULL"}), "stores as no value"),
        (json!({"name": 7}), "takes text"),
        (json!({"nope": 7}), "no field `nope`"),
        (json!({"site": {"kind": "DcimSite", "key": {"name": "S"}}}), "which is not in Infrahub"),
    ];
    for (fields, words) in bad {
        let mut row = rack("A");
        row["fields"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let outcomes = ids(&infrahub.write(&request(Operation::Create, &[rack("Z"), row])).unwrap());
        assert!(!outcomes[0].starts_with("failed") && outcomes[1].contains(words), "{outcomes:?}");
    }
}

#[test]
fn each_row_has_an_outcome_of_its_own() {
    let infrahub = server();
    begun(&infrahub, |_, variables| {
        let mut answer = all_written(variables);
        answer["data"]["m1"] = Value::Null;
        answer["errors"] = json!([{"message": "nope must be one of 'active, planned' at status", "path": ["m1"],
            "extensions": {"code": "ATTRIBUTE_CONSTRAINT_VIOLATION", "http_status": 422}}]);
        Some(answer)
    });
    let outcomes = ids(&infrahub.write(&request(Operation::Create, &[rack("A"), rack("B"), rack("C")])).unwrap());
    assert_eq!(outcomes[1], "failed: nope must be one of 'active, planned' at status");
    assert!(!outcomes[0].starts_with("failed") && !outcomes[2].starts_with("failed"));
}

#[test]
fn a_row_that_has_the_document_refused_is_taken_out() {
    let infrahub = server();
    let asked = begun(&infrahub, |_, variables| {
        let bad = variables.as_object().unwrap().iter().find(|(_, input)| input["name"]["value"] == "B").map(|(name, _)| name.clone());
        Some(match bad {
            Some(name) => {
                json!({"data": null, "errors": [{"message": format!("Variable '${name}' got invalid value …; Expected type …")}]})
            }
            None => all_written(variables),
        })
    });
    let outcomes = ids(&infrahub.write(&request(Operation::Create, &[rack("A"), rack("B"), rack("C")])).unwrap());
    assert!(outcomes[1].contains("got invalid value"), "{outcomes:?}");
    assert!(!outcomes[0].starts_with("failed") && !outcomes[2].starts_with("failed"));
    assert_eq!(asked.borrow().len(), 2);
}

#[test]
fn without_a_name_the_row_is_found_by_halves() {
    let infrahub = server();
    begun(&infrahub, |_, variables| {
        let bad = variables.as_object().unwrap().values().any(|input| input["name"]["value"] == "C");
        Some(if bad { json!({"data": null, "errors": [{"message": "no"}]}) } else { all_written(variables) })
    });
    let rows: Vec<Value> = ["A", "B", "C", "D", "E"].map(rack).into();
    let outcomes = ids(&infrahub.write(&request(Operation::Create, &rows)).unwrap());
    let failed: Vec<bool> = outcomes.iter().map(|outcome| outcome.starts_with("failed")).collect();
    assert_eq!(failed, [false, false, true, false, false]);
}

#[test]
fn creates_whose_answer_was_lost_are_looked_up() {
    let infrahub = server();
    let made: Rc<RefCell<Vec<(String, Value)>>> = Rc::default();
    let server = made.clone();
    let asked = begun(&infrahub, move |document, variables| {
        if document.contains("ids:$ids") {
            // As the server knows them: with the fields of their key.
            let wanted = variables["ids"].as_array().unwrap();
            let store = server.borrow();
            let there = store.iter().filter(|(id, _)| wanted.iter().any(|wanted| wanted == id));
            let node = |(id, input): &(String, Value)| json!({"node": {"id": id, "name": input["name"], "site": {"node": input["site"]}}});
            return Some(json!({"data": {"DcimRack": {"edges": there.map(node).collect::<Vec<_>>()}}}));
        }
        let inputs = variables.as_object().unwrap().values();
        server.borrow_mut().extend(inputs.map(|input| (input["id"].as_str().unwrap().to_owned(), input.clone())));
        Some(all_written(variables))
    });
    let write = |operation: Operation, rows: &[Value]| infrahub.write(&request(operation, rows)).unwrap();
    let mutations = || asked.borrow().iter().filter(|(document, _)| document.starts_with("mutation")).count();
    // The first document makes nothing and is lost on the way: the host sends its rows again, after a pause.
    fail_request(|request| request.url.starts_with("/graphql"));
    let lost = write(Operation::Create, &[rack("A"), rack("B")]);
    assert!(lost.iter().all(|outcome| matches!(outcome, Outcome::Failed(error) if error.kind == ErrorKind::RateLimited)), "{lost:?}");
    assert_eq!((mutations(), made.borrow().len()), (0, 0));
    let written = ids(&write(Operation::Create, &[rack("A"), rack("B")]));
    let ids_made: Vec<String> = made.borrow().iter().map(|(id, _)| id.clone()).collect();
    assert_eq!((written.clone(), mutations()), (ids_made, 1));
    // Now they are there: whatever happens to the answer, they are found.
    fail_request(|request| request.url.starts_with("/graphql"));
    assert_eq!(ids(&write(Operation::Create, &[rack("A"), rack("B")])), written);
    assert_eq!(mutations(), 1);
    // Of an update only the host can know, which reads it back.
    fail_request(|request| request.url.starts_with("/graphql"));
    let lost = write(Operation::Update, &[json!({"id": "x", "key": {"name": "A"}, "fields": {"height": 2}})]);
    assert!(matches!(&lost[..], [Outcome::Failed(error)] if error.kind == ErrorKind::Transport), "{lost:?}");
    assert_eq!(mutations(), 1);
}

#[test]
fn an_id_in_use_is_ours_or_was() {
    let infrahub = server();
    let there = Rc::new(RefCell::new(true));
    let flag = there.clone();
    let mut taken: Option<String> = None;
    begun(&infrahub, move |document, variables| {
        if document.contains("ids:$ids") {
            let edges = if *flag.borrow() {
                json!([{"node": {"id": variables["ids"][0], "name": {"value": "A"}, "site": {"node": {"id": "site-1"}}}}])
            } else {
                json!([])
            };
            return Some(json!({"data": {"DcimRack": {"edges": edges}}}));
        }
        let id = variables["d0"]["id"].as_str().unwrap().to_owned();
        // The first attempt's id is taken.
        if *taken.get_or_insert_with(|| id.clone()) == id {
            return Some(json!({"data": {"m0": null}, "errors": [{"message": format!("{id} is already in use at id"), "path": ["m0"]}]}));
        }
        Some(all_written(variables))
    });
    let first = ids(&infrahub.write(&request(Operation::Create, &[rack("A")])).unwrap());
    assert!(!first[0].starts_with("failed"));
    *there.borrow_mut() = false;
    let second = ids(&infrahub.write(&request(Operation::Create, &[rack("A")])).unwrap());
    assert!(!second[0].starts_with("failed"));
    assert_ne!(first, second, "an id is never used twice");
}

#[test]
fn a_collision_names_both_objects() {
    let infrahub = server();
    let asked = begun(&infrahub, |document, _| {
        Some(if document.contains("display_label") {
            json!({"data": {"DcimPlace": {"edges": [{"node": {"id": "other", "display_label": "A of Paris", "__typename": "DcimRack"}}]}}})
        } else {
            json!({"data": {"m0": null}, "errors": [{"message": "Violates uniqueness constraint 'name'", "path": ["m0"], "extensions": {"http_status": 422}}]})
        })
    });
    let outcomes = infrahub.write(&request(Operation::Create, &[rack("A")])).unwrap();
    let Outcome::Failed(error) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("`A of Paris` (DcimRack other) has the same `name`"), "{}", error.message);
    assert!(error.message.contains(r#""name":"A""#), "{}", error.message);
    assert!(asked.borrow()[1].0.contains(r#"DcimPlace(name__value:"A",limit:2)"#), "{:?}", asked.borrow());
}

#[test]
fn what_is_gone_need_not_be_deleted() {
    let infrahub = server();
    begun(&infrahub, |document, variables| {
        assert!(document.contains("$d0:DeleteInput!") && variables["d0"] == json!({"id": "r1"}), "{document}");
        Some(json!({"data": {"m0": null, "m1": {"ok": true}}, "errors": [
            {"message": "Unable to find the node r1 / DcimRack in the database.", "path": ["m0"], "extensions": {"code": "NODE_NOT_FOUND"}}]}))
    });
    let rows = [json!({"key": {}, "id": "r1"}), json!({"key": {}, "id": "r2"})];
    assert_eq!(ids(&infrahub.write(&request(Operation::Delete, &rows)).unwrap()), ["unchanged", "r2"]);
}

#[test]
fn missing_permissions_are_all_named_before_the_first_write() {
    let infrahub = server();
    begun(&infrahub, |_, _| None);
    let error = infrahub.begin(&run(1, 0, 1)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("delete `DcimRack`") && !error.message.contains("create"), "{}", error.message);
}

#[test]
fn a_reviewed_run_has_a_branch_and_a_proposed_change() {
    server();
    let infrahub = Infrahub::configure(r#"{"url": "https://infrahub.example.com/", "proposed_change": true}"#).unwrap();
    let asked = begun(&infrahub, |document, variables| {
        Some(if document.contains("BranchCreate(") {
            json!({"data": {"BranchCreate": {"ok": true, "object": {"id": "b"}}}})
        } else if document.contains("CoreProposedChangeCreate(") {
            json!({"data": {"CoreProposedChangeCreate": {"ok": true, "object": {"id": "pc1"}}}})
        } else {
            all_written(variables)
        })
    });
    infrahub.write(&request(Operation::Create, &[rack("A")])).unwrap();
    let words = infrahub
        .finish(&run(1, 1, 0), RunResult { created: 1, updated: 0, deleted: 0, unchanged: 0, failed: 1, skipped: 0 })
        .unwrap()
        .unwrap();
    assert!(words.contains("https://infrahub.example.com/proposed-changes/pc1") && words.starts_with("Draft"), "{words}");
    let urls: Vec<String> = requests().into_iter().map(|request| request.url).collect();
    assert!(urls.contains(&format!("/graphql/infrahub-sync-{RUN}")), "{urls:?}");
    let asked = asked.borrow();
    let data = &asked.last().unwrap().1["data"];
    assert!(data["description"]["value"].as_str().unwrap().contains(RUN), "{data}");
    assert_eq!(data["is_draft"]["value"], true);
}

#[test]
fn a_missing_account_is_a_warning() {
    let infrahub = server();
    graphql(|_, _| {
        Some(json!({"data": {"Branch": [], "account": {"edges": []}, "source": {"edges": []}, "owner": {"edges": []}, "DcimRack": null}}))
    });
    infrahub.begin(&run(1, 0, 0)).unwrap();
    let said: Vec<String> = messages().into_iter().map(|(_, message)| message).collect();
    assert!(said.iter().any(|message| message.contains("no account `netbox`")), "{said:?}");
}

#[test]
fn a_wrong_token_is_named() {
    let infrahub = server();
    respond_with(|_| {
        Some((
            401,
            Vec::new(),
            br#"{"data":null,"errors":[{"message":"Invalid token","extensions":{"code":"AUTHENTICATION_REQUIRED"}}]}"#.to_vec(),
        ))
    });
    let error: Result<_> = infrahub.load(&first_page("DcimRack", &["name"]));
    let error = error.unwrap_err();
    assert_eq!((error.kind, error.http_status), (ErrorKind::Auth, Some(401)));
    assert!(error.message.contains("INFRAHUB_API_TOKEN") && error.message.contains("Invalid token"), "{}", error.message);
}

/// A device with interfaces (a generic) that have addresses; a delete of the first takes along the others.
fn server_with_cascades() -> Infrahub {
    let mut schema = schema();
    let relationship = |name: &str, peer: &str, cardinality: &str, identifier: &str, on_delete: &str| json!({"name": name, "peer": peer, "cardinality": cardinality, "identifier": identifier, "on_delete": on_delete, "optional": true});
    schema["nodes"].as_array_mut().unwrap().extend([
        json!({"kind": "DcimDevice", "relationships": [relationship("interfaces", "DcimInterface", "many", "device__interface", "cascade")]}),
        json!({"kind": "DcimPort", "inherit_from": ["DcimInterface"], "relationships": [
            relationship("device", "DcimDevice", "one", "device__interface", "no-action"),
            relationship("address", "IpamAddress", "one", "port__address", "cascade"),
        ]}),
        json!({"kind": "DcimLag", "inherit_from": ["DcimInterface"]}),
    ]);
    schema["generics"].as_array_mut().unwrap().push(json!({"kind": "DcimInterface"}));
    let infrahub = server();
    reset();
    respond("GET", SUMMARY, 200, r#"{"main": "1234"}"#);
    respond("GET", SCHEMA, 200, schema.to_string());
    infrahub
}

#[test]
fn the_schema_tells_what_a_delete_takes_along() {
    let infrahub = server_with_cascades();
    let kinds = infrahub.kinds(&targets(&["DcimDevice", "DcimPort", "DcimRack"])).unwrap();
    let cascades = |at: usize| {
        let of_kind = kinds[at].cascades.iter();
        of_kind.map(|cascade| (cascade.kind.as_str(), cascade.field.as_deref())).collect::<Vec<_>>()
    };
    assert_eq!(cascades(0), [("DcimLag", None), ("DcimPort", Some("device"))]);
    assert_eq!((cascades(1), cascades(2)), (vec![("IpamAddress", None)], vec![]));
}

#[test]
fn a_delete_takes_along_peers_and_their_peers() {
    let infrahub = server_with_cascades();
    let asked = graphql(|document, variables| {
        let peer = |kind: &str, id: &str| json!({"node": {"id": id, "__typename": kind}});
        let kind = if document.contains("DcimDevice(") { "DcimDevice" } else { "DcimPort" };
        let objects: Vec<Value> = match kind {
            "DcimDevice" => vec![
                json!({"node": {"id": "d1", "interfaces": {"edges": [peer("DcimPort", "p1"), peer("DcimLag", "l1"), peer("DcimPort", "p2")]}}}),
            ],
            _ => vec![
                json!({"node": {"id": "p1", "address": peer("IpamAddress", "a1")}}),
                json!({"node": {"id": "p2", "address": {"node": null}}}),
            ],
        };
        assert!(variables["limit"].as_u64() <= Some(20));
        Some(json!({"data": {kind: {"edges": objects}}}))
    });
    let found = infrahub.cascade(&Target::new("DcimDevice"), &["d1".into()]).unwrap();
    let found: Vec<(&str, u64, String)> = found.iter().map(|kind| (kind.kind.as_str(), kind.count, kind.ids.join(" "))).collect();
    assert_eq!(found, [("DcimLag", 1, "l1".into()), ("DcimPort", 2, "p1 p2".into()), ("IpamAddress", 1, "a1".into())]);
    assert_eq!(asked.borrow().len(), 2, "kinds without cascades are not asked about");
    assert!(infrahub.cascade(&Target::new("DcimRack"), &["r1".into()]).unwrap().is_empty());
}

#[test]
fn objects_are_read_back_by_id() {
    let infrahub = server();
    let asked = graphql(|_, _| Some(page(1, vec![json!({"id": "r7", "name": {"value": "n7"}})])));
    let ids = vec!["r7".to_owned(), "r8".to_owned()];
    let page = infrahub.load(&LoadRequest { ids: ids.clone(), ..first_page("DcimRack", &["name"]) }).unwrap();
    assert_eq!((page_records(&page), page.total), (vec![json!({"id": "r7", "name": "n7"})], None), "the count is not that of the resource");
    let asked = asked.borrow();
    assert!(asked[0].0.contains("$ids:[ID]") && asked[0].0.contains("order:{disable:true},ids:$ids)"), "{}", asked[0].0);
    assert_eq!(asked[0].1["ids"], json!(ids));
}

#[test]
fn profiles_and_templates_are_kinds_like_others() {
    let mut schema = schema();
    let attribute = |name: &str, optional: bool| json!({"name": name, "kind": "Text", "optional": optional});
    schema["nodes"][0]["relationships"].as_array_mut().unwrap().extend([
        json!({"name": "object_template", "peer": "TemplateDcimRack", "cardinality": "one", "optional": true}),
        json!({"name": "profiles", "peer": "CoreProfile", "cardinality": "many", "optional": true}),
    ]);
    schema["generics"].as_array_mut().unwrap().push(json!({"kind": "CoreProfile", "attributes": [attribute("profile_name", false)]}));
    schema["profiles"] = json!([{"kind": "ProfileDcimRack", "inherit_from": ["LineageSource", "CoreProfile", "CoreNode"], "human_friendly_id": ["profile_name__value"],
        "attributes": [attribute("profile_name", false), attribute("height", true)]}]);
    schema["templates"] = json!([{"kind": "TemplateDcimRack", "inherit_from": ["LineageSource", "CoreNode", "CoreObjectTemplate"],
        "human_friendly_id": ["template_name__value"], "attributes": [attribute("template_name", false), attribute("name", true)]}]);
    let infrahub = server();
    reset();
    respond("GET", SUMMARY, 200, r#"{"main": "1234"}"#);
    respond("GET", SCHEMA, 200, schema.to_string());
    let with_template =
        |mapped: &[&str]| Target { fields: mapped.iter().map(|name| TargetField::new(name)).collect(), ..Target::new("DcimRack") };
    let kinds = infrahub.kinds(&[Target::new("ProfileDcimRack"), Target::new("TemplateDcimRack"), with_template(&["name"])]).unwrap();
    let told: Vec<(&str, &[String], bool)> =
        kinds.iter().map(|kind| (kind.name.as_str(), &kind.identifiers[..], kind.can_create && kind.can_delete)).collect();
    assert_eq!(
        told[..2],
        [("ProfileDcimRack", &["profile_name".to_owned()][..], true), ("TemplateDcimRack", &["template_name".to_owned()][..], true)]
    );
    assert!(kinds[0].stands_for.contains(&"CoreProfile".to_owned()), "{:?}", kinds[0].stands_for);
    // A template may give a new rack its name, but only where the project maps the template.
    let name_of = |kind: &infrahub_sync_adapter::Kind| kind.fields.iter().find(|field| field.name == "name").unwrap().optional;
    assert!(!name_of(&kinds[2]));
    assert!(name_of(&infrahub.kinds(&[with_template(&["name", "object_template"])]).unwrap()[0]));
}
