use infrahub_sync_adapter::testing::{self, first_page, page_records};
use infrahub_sync_adapter::{ErrorKind, LoadRequest};
use serde_json::json;

use super::*;

const ACI: &str = r#"{"url": "https://apic.test", "api_endpoint": "api"}"#;

fn load(request: &LoadRequest) -> Result<Page> {
    Aci::configure(ACI)?.load(request)
}

fn list(total: u64, objects: &Value) -> String {
    json!({ "totalCount": total.to_string(), "imdata": objects }).to_string()
}

#[test]
fn a_query_is_paged_where_its_objects_are_of_one_class() {
    for (resource, class, paged) in [
        ("class/fvTenant.json", Some("fvTenant"), true),
        ("/node/class/fvBD.json?rsp-subtree=full", Some("fvBD"), true),
        ("mo/uni/tn-a.json?query-target=subtree&target-subtree-class=fvBD", Some("fvBD"), true),
        ("mo/uni/tn-a.json?query-target=subtree&target-subtree-class=fvBD,fvAp", None, false),
        ("class/fvTenant.json?query-target=children", None, false),
        ("class/fvTenant.json?query-target=subtree&target-subtree-class=fvBD", Some("fvBD"), true),
        ("class/fvTenant.json?order-by=fvTenant.name", Some("fvTenant"), false),
        ("class/fvTenant.json?page=1&page-size=5", Some("fvTenant"), false),
        ("mo/topology.json", None, false),
    ] {
        let query = ClassQuery::of(resource).unwrap();
        assert_eq!((query.class(), query.is_paged()), (class, paged), "{resource}");
    }
    let query = ClassQuery::of("class/fvBD.json?rsp-subtree=full").unwrap();
    assert_eq!(query.page(2, 100), "class/fvBD.json?rsp-subtree=full&order-by=fvBD.dn%7Casc&page-size=100&page=2");
    assert_eq!(ClassQuery::of("mo/topology.json").unwrap().page(0, 100), "mo/topology.json");
    for wrong in ["", "class/../x.json", "class/x.xml"] {
        assert_eq!(ClassQuery::of(wrong).unwrap_err().kind, ErrorKind::Config, "{wrong}");
    }
}

#[test]
fn the_object_before_a_page_must_still_be_there() {
    let at = |before: &str| {
        testing::reset();
        let tenant = |dn: &str| json!({ "fvTenant": { "attributes": { "dn": dn } } });
        let path = "/api/class/fvTenant.json?order-by=fvTenant.dn%7Casc";
        testing::respond("GET", &format!("{path}&page-size=2&page=1"), 200, list(5, &json!([tenant("c"), tenant("d")])));
        testing::respond("GET", &format!("{path}&page-size=1&page=1"), 200, list(5, &json!([tenant(before)])));
        let cursor = serde_json::to_vec(&json!({ "page": 1, "read": 2, "last": "\"b\"" })).unwrap();
        load(&LoadRequest { cursor: Some(cursor), page_size: 2, ..first_page("class/fvTenant.json", &["fvTenant.attributes.name"]) })
    };
    let page = at("b").unwrap();
    assert_eq!(page.total, Some(5));
    let next: Value = serde_json::from_slice(&page.next.unwrap()).unwrap();
    assert_eq!(next, json!({ "page": 2, "read": 4, "last": "\"d\"" }));
    assert_eq!(at("c").unwrap_err().kind, ErrorKind::Conflict);
}

#[test]
fn ids_are_those_of_nodes_and_the_names_of_all_other_objects() {
    testing::reset();
    let mixed = json!([
        { "fvBD": { "attributes": { "dn": "uni/tn-a/BD-b" } } },
        { "fabricNode": { "attributes": { "dn": "topology/pod-1/node-101", "id": "101" } } },
        { "moCount": { "attributes": { "count": "7" } } }
    ]);
    testing::respond("GET", "/api/mo/uni.json?query-target=subtree", 200, list(3, &mixed));
    let records = page_records(&load(&first_page("mo/uni.json?query-target=subtree", &[])).unwrap());
    assert_eq!((&records[0]["id"], &records[1]["id"], records[2].get("id")), (&json!("uni/tn-a/BD-b"), &json!("101"), None));
    testing::respond(
        "GET",
        "/api/class/fabricNode.json?order-by=fabricNode.dn%7Casc&page-size=1000&page=0",
        200,
        list(1, &json!([mixed[1]])),
    );
    let page = load(&first_page("class/fabricNode.json", &[])).unwrap();
    let Payload::Document(document) = &page.payload else { panic!("{page:?}") };
    assert_eq!(document.projection, [("id".to_owned(), "/fabricNode/attributes/id".to_owned())]);
}

#[test]
fn errors_have_the_words_of_the_apic_whatever_their_status() {
    let error = |status: u16, text: &str| {
        testing::reset();
        let body = list(1, &json!([{ "error": { "attributes": { "code": "1", "text": text } } }]));
        testing::respond("GET", "/api/mo/uni.json", status, body);
        load(&first_page("mo/uni.json", &[])).unwrap_err()
    };
    let denied = error(403, "Token was invalid");
    assert!(
        denied.kind == ErrorKind::Auth && denied.message.contains("(Token was invalid): `username` and `password` (CISCO_APIC_USERNAME"),
        "{}",
        denied.message
    );
    let big = error(400, "Unable to process the query, result dataset is too big");
    assert!(big.kind == ErrorKind::Invalid && big.message.contains("read it by its class"), "{}", big.message);
    let odd = error(200, "a fault of the server");
    assert!(odd.kind == ErrorKind::Remote && odd.message.contains("a fault of the server"), "{}", odd.message);
    testing::reset();
    testing::respond("GET", "/api/mo/uni.json", 200, "<html>");
    assert!(load(&first_page("mo/uni.json", &[])).unwrap_err().message.contains("is not from the APIC"));
}
