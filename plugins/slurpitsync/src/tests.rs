use infrahub_sync_adapter::testing::{self, first_page, load_all, page_records};
use infrahub_sync_adapter::{ErrorKind, LoadRequest};

use super::*;
use crate::network::Network;

const SLURPIT: Slurpit = Slurpit {};

/// Answers with the rows of a list by offset and limit.
fn serve(url: &'static str, rows: Vec<Value>) {
    testing::reset();
    testing::respond_with(move |request| {
        let (path, query) = request.url.split_once('?')?;
        let number = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        let page: Vec<&Value> = rows.iter().skip(number("offset")?).take(number("limit")?).collect();
        (path == url).then(|| (200, Vec::new(), json!(page).to_string().into_bytes()))
    });
}

#[test]
fn lists_are_read_to_their_end_and_no_row_twice() {
    for count in [0, 1, 1000, 1001, 2000, 2345] {
        let rows: Vec<Value> = (0..count).map(|id| json!({ "vendor": id })).collect();
        serve("/api/devices/vendors", rows.clone());
        assert_eq!(load_all(&SLURPIT, first_page("device.get_vendors", &["vendor"])).unwrap(), rows);
        serve("/api/devices", rows.clone());
        assert_eq!(super::devices().unwrap().len(), count);
    }
}

#[test]
fn a_list_that_moves_is_read_again() {
    serve("/api/sites", (0..10).map(|id| json!({ "id": id })).collect());
    let at = |last: &str| {
        let cursor = serde_json::to_vec(&json!({ "start": 4, "last": last })).unwrap();
        SLURPIT.load(&LoadRequest { cursor: Some(cursor), page_size: 4, ..first_page("site.get_sites", &["sitename"]) })
    };
    assert_eq!(page_records(&at(r#"{"id":3}"#).unwrap()).len(), 4);
    assert_eq!(at(r#"{"id":4}"#).unwrap_err().kind, ErrorKind::Conflict);
}

#[test]
fn numbers_that_the_client_makes_are_made_only_where_they_are_read() {
    serve("/api/devices", vec![json!({ "id": "7", "port": "22", "hostname": "a", "disabled": null })]);
    let records = |fields: &[&str]| page_records(&SLURPIT.load(&first_page("device.get_devices", fields)).unwrap());
    assert_eq!(records(&["hostname", "port"])[0], json!({ "id": 7, "port": 22, "hostname": "a", "disabled": null }));
    assert_eq!(records(&["hostname"])[0]["port"], "22");
}

#[test]
fn networks_are_what_python_takes_for_networks() {
    for (text, shown) in [
        ("10.0.0.7/8", Some("10.0.0.0/8")),
        ("10.0.0.7/255.255.255.0", Some("10.0.0.0/24")),
        ("10.0.0.7", Some("10.0.0.7/32")),
        ("0.0.0.0/0", Some("0.0.0.0/0")),
        ("0.0.0.0/0.0.0.0", Some("0.0.0.0/0")),
        ("2001:db8::1/33", Some("2001:db8::/33")),
        ("::/0", Some("::/0")),
        ("10.0.0.0/33", None),
        ("10.0.0.0/255.0.255.0", None),
        ("direct", None),
        ("", None),
    ] {
        assert_eq!(Network::parse(text).map(|network| network.to_string()).as_deref(), shown, "{text}");
    }
}

#[test]
fn an_address_belongs_to_the_first_network_that_has_it() {
    let networks: Vec<(String, Value)> =
        [("2001:db8::/32", "six"), ("10.1.0.0/16", "a"), ("10.0.0.0/8", "b"), ("10.1.2.0/24", "c"), ("odd", "d")]
            .map(|(prefix, vrf)| (prefix.to_owned(), json!(vrf)))
            .to_vec();
    let of = |address: Value| {
        let rows = computed::addresses(vec![json!({ "IP": address })], &networks);
        rows.first().map(|row| json!([row["normalized_address"], row.get("prefix"), row.get("vrf")]))
    };
    assert_eq!(of(json!("10.1.2.3/24")), Some(json!(["10.1.2.3/24", "10.1.0.0/16", "a"])));
    assert_eq!(of(json!(["10.9.2.3", "10.1.2.3"])), Some(json!(["10.9.2.3/32", "10.0.0.0/8", "b"])));
    assert_eq!(of(json!("10.0.0.0/7")), Some(json!(["10.0.0.0/7", null, null])), "a network is not in a smaller one");
    assert_eq!(of(json!("2001:db8::1")), Some(json!(["2001:db8::1/128", "2001:db8::/32", "six"])));
    assert_eq!((of(json!("Unknown")), of(json!("")), of(json!([])), of(Value::Null)), (None, None, None, None));
}

#[test]
fn only_routes_to_networks_are_prefixes() {
    let route = |network: &str, mask: Value| json!({ "Network": network, "Mask": mask });
    let rows = computed::networks(vec![
        route("10.0.0.0", json!("255.0.0.0")),
        route("10.0.0.0", json!(8)),
        route("10.0.0.1", json!("32")),
        route("0.0.0.0", json!("0.0.0.0")),
        route("127.0.0.0/8", Value::Null),
        route("fe80::/10", json!("")),
        route("fe80::/64", json!("")),
        json!({ "Mask": "8" }),
    ]);
    let prefixes: Vec<&str> = rows.iter().map(|row| row["normalized_prefix"].as_str().unwrap()).collect();
    assert_eq!(prefixes, ["10.0.0.0/255.0.0.0", "10.0.0.0/8", "fe80::/64", "/8"]);
}
