//! The rules of the store, one test for each that was measured on the real server. `check/differential.py` compares them
//! with a real one, answer by answer; here they are kept without one.

#![allow(clippy::unwrap_used, reason = "in a test, unwrapping is asserting")]

use infrahub_sync_fake_infrahub::{Fake, Model, Options, Settings, Version};
use serde_json::{Value, json};

/// A fake with the schema that has everything, two sites and two tags.
fn fake() -> Fake {
    let fake = Fake::start(Options { model: Some(Model::every(Version::V1_11)), ..Options::default() }).unwrap();
    for (kind, name) in [("FakeSite", "s1"), ("FakeSite", "s2"), ("FakeTag", "t1"), ("FakeTag", "t2")] {
        create(&fake, kind, json!({ "name": { "value": name } }));
    }
    fake
}

fn ask(fake: &Fake, query: &str) -> Value {
    fake.execute("main", query, Default::default())
}

/// Runs a mutation of one object; the whole answer.
fn write(fake: &Fake, mutation: &str, data: Value) -> Value {
    let input = if mutation.ends_with("Delete") { "DeleteInput".to_owned() } else { format!("{mutation}Input") };
    let fields = if mutation.ends_with("Delete") { "" } else { "object{id hfid}" };
    let query = format!("mutation($d:{input}!){{m:{mutation}(data:$d){{ok {fields}}}}}");
    let Value::Object(variables) = json!({ "d": data }) else { unreachable!() };
    fake.execute("main", &query, variables)
}

fn create(fake: &Fake, kind: &str, data: Value) -> String {
    id(&write(fake, &format!("{kind}Create"), data))
}

fn id(answer: &Value) -> String {
    answer["data"]["m"]["object"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn device(fake: &Fake, name: &str) -> String {
    create(fake, "FakeDevice", json!({ "name": { "value": name }, "site": { "hfid": ["s1"] } }))
}

fn update(fake: &Fake, id: &str, mut data: Value) -> Value {
    data["id"] = json!(id);
    write(fake, "FakeDeviceUpdate", data)
}

fn value(fake: &Fake, id: &str, field: &str) -> Value {
    fake.store().value(id, field, "main").unwrap()
}

fn error(answer: &Value) -> (String, String) {
    let error = &answer["errors"][0];
    (error["message"].as_str().unwrap_or_default().to_owned(), error["extensions"]["code"].as_str().unwrap_or_default().to_owned())
}

fn updated_at(fake: &Fake, kind: &str, id: &str) -> String {
    let answer = ask(fake, &format!("{{{kind}(ids:[\"{id}\"]){{edges{{node_metadata{{updated_at}}}}}}}}"));
    answer["data"][kind]["edges"][0]["node_metadata"]["updated_at"].as_str().unwrap().to_owned()
}

#[test]
fn values_are_brought_into_one_spelling() {
    let fake = fake();
    let id = device(&fake, "d");
    let table = [
        ("primary_ip", json!("10.0.0.1"), json!("10.0.0.1/32")),
        ("primary_ip", json!("10.0.0.1/255.255.255.0"), json!("10.0.0.1/24")),
        ("primary_ip", json!("2001:DB8:0:0::1/64"), json!("2001:db8::1/64")),
        ("primary_ip", json!("::ffff:10.0.0.1"), json!("::ffff:a00:1/128")),
        ("primary_ip", json!("fe80::1%eth0"), json!("fe80::1/128")),
        ("network", json!("10.0.0.0"), json!("10.0.0.0/32")),
        ("network", json!("10.0.0.0/255.255.255.0"), json!("10.0.0.0/24")),
        ("mac", json!("aabb.ccdd.eeff"), json!("AA:BB:CC:DD:EE:FF")),
        ("mac", json!("aa-bb-cc-dd-ee-ff"), json!("AA:BB:CC:DD:EE:FF")),
        ("height", json!(5.0), json!(5)),
        ("height", json!(5.5), json!(5)),
        ("height", json!("5"), json!(5)),
        ("height", json!(true), json!(1)),
        ("labels", json!(["b", "a", "b"]), json!(["b", "a", "b"])),
        ("extra", json!({ "a": [1, null] }), json!({ "a": [1, null] })),
        ("installed", json!("2024-01-01T00:00:00+02:00"), json!("2024-01-01T00:00:00+02:00")),
        ("comments", json!("NULL"), json!(null)),
        ("mail", json!("no address"), json!("no address")),
    ];
    for (field, written, read) in table {
        let answer = update(&fake, &id, json!({ field: { "value": written } }));
        assert!(answer["errors"].is_null(), "{field} {written}: {answer}");
        assert_eq!(value(&fake, &id, field), read, "{field} {written}");
    }
}

#[test]
fn bad_values_are_refused_one_by_one() {
    let fake = fake();
    let id = device(&fake, "d");
    let table = [
        ("primary_ip", json!("10.0.0.999"), "10.0.0.999 is not a valid IPHost at primary_ip", "ATTRIBUTE_INVALID_TYPE"),
        ("primary_ip", json!("010.0.0.1"), "010.0.0.1 is not a valid IPHost at primary_ip", "ATTRIBUTE_INVALID_TYPE"),
        ("primary_ip", json!(""), " is not a valid IPHost at primary_ip", "ATTRIBUTE_CONSTRAINT_VIOLATION"),
        ("network", json!("10.0.0.1/24"), "10.0.0.1/24 is not a valid IPNetwork at network", "ATTRIBUTE_INVALID_TYPE"),
        ("status", json!("nope"), "nope must be one of 'active, planned' at status", "ATTRIBUTE_CONSTRAINT_VIOLATION"),
        ("role", json!("nope"), "'nope' is not a valid RoleEnum", "UNDEFINED_ERROR"),
        ("labels", json!(5), "5 is not a valid List at labels", "ATTRIBUTE_INVALID_TYPE"),
        ("code", json!("ab"), "ab must conform with the regex: '^[A-Z]+$' at code", "ATTRIBUTE_CONSTRAINT_VIOLATION"),
        ("name", json!(null), "A value must be provided for name at name", "ATTRIBUTE_CONSTRAINT_VIOLATION"),
    ];
    for (field, written, message, code) in table {
        let answer = update(&fake, &id, json!({ field: { "value": written } }));
        assert_eq!(error(&answer), (message.to_owned(), code.to_owned()), "{field} {written}: {answer}");
        assert_eq!(answer["errors"][0]["path"], json!(["m"]));
    }
    let answer = write(
        &fake,
        "FakeDeviceCreate",
        json!({ "name": { "value": "x" }, "site": { "hfid": ["s1"] }, "status": { "value": "nope" }, "mac": { "value": "x" } }),
    );
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2, "each field has its error: {answer}");
    assert_eq!(answer["errors"][0]["path"], json!(["m", "data", "status"]));
}

#[test]
fn mandatory_fields_are_asked_for() {
    let fake = fake();
    let answer = write(&fake, "FakeDeviceCreate", json!({ "name": { "value": "x" } }));
    assert_eq!(error(&answer), ("site is mandatory for FakeDevice at site".into(), "ATTRIBUTE_REQUIRED".into()));
    let answer = write(&fake, "FakeDeviceCreate", json!({ "name": { "value": "x" }, "site": { "hfid": ["nosite"] } }));
    assert_eq!(error(&answer), ("Unable to find the node nosite / FakeSite in the database.".into(), "NODE_NOT_FOUND".into()));
    assert_eq!(answer["errors"][0]["extensions"]["data"], json!({ "node_kind": "FakeSite", "identifier": "nosite" }));
}

#[test]
fn a_bad_variable_refuses_the_whole_document_and_is_named() {
    let fake = fake();
    let query = "mutation($a:FakeTagCreateInput!,$b:FakeTagCreateInput!){a:FakeTagCreate(data:$a){ok} b:FakeTagCreate(data:$b){ok}}";
    let Value::Object(variables) = json!({ "a": { "name": { "value": "t9" } }, "b": { "bogus": 1 } }) else { unreachable!() };
    let answer = fake.execute("main", query, variables);
    assert!(answer["data"].is_null());
    assert!(error(&answer).0.starts_with("Variable '$b' got invalid value"), "{answer}");
    assert_eq!(fake.store().count("FakeTag", "main"), 2, "nothing was written");
    let read_only = write(&fake, "FakeDeviceCreate", json!({ "serial": { "value": "x" } }));
    assert!(error(&read_only).0.contains("Field 'serial' is not defined by type 'FakeDeviceCreateInput'."));
}

#[test]
fn one_bad_alias_does_not_stop_the_others() {
    let fake = fake();
    let query = "mutation{a:FakeTagCreate(data:{name:{value:\"t1\"}}){ok} b:FakeTagCreate(data:{name:{value:\"t3\"}}){ok}}";
    let answer = ask(&fake, query);
    assert_eq!(answer["data"], json!({ "a": null, "b": { "ok": true } }));
    assert_eq!(error(&answer).0, "Violates uniqueness constraint 'name'");
    assert_eq!(answer["errors"][0]["path"], json!(["a"]));
    assert_eq!(answer["errors"][0]["extensions"]["http_status"], 422);
}

#[test]
fn defaults_are_given_and_come_back_with_null() {
    let fake = fake();
    let id = device(&fake, "d");
    let read = |fake: &Fake| {
        ask(fake, "{FakeDevice{edges{node{units{value is_default}}}}}")["data"]["FakeDevice"]["edges"][0]["node"]["units"].clone()
    };
    assert_eq!(read(&fake), json!({ "value": 1, "is_default": true }));
    update(&fake, &id, json!({ "units": { "value": 4 } }));
    assert_eq!(read(&fake), json!({ "value": 4, "is_default": false }));
    update(&fake, &id, json!({ "units": { "value": null } }));
    assert_eq!(read(&fake), json!({ "value": 1, "is_default": true }));
}

#[test]
fn only_a_null_value_clears() {
    let fake = fake();
    let id = device(&fake, "d");
    update(&fake, &id, json!({ "height": { "value": 5 } }));
    update(&fake, &id, json!({ "height": null }));
    update(&fake, &id, json!({ "height": {} }));
    assert_eq!(value(&fake, &id, "height"), 5);
    update(&fake, &id, json!({ "height": { "value": null } }));
    assert_eq!(value(&fake, &id, "height"), Value::Null);
}

#[test]
fn what_does_not_change_is_not_written() {
    let fake = fake();
    let tag = fake.store().ids("FakeTag", "main")[0].clone();
    let id = device(&fake, "d");
    update(&fake, &id, json!({ "primary_ip": { "value": "10.0.0.1" }, "tags": [{ "id": tag }] }));
    let before = updated_at(&fake, "FakeDevice", &id);
    update(
        &fake,
        &id,
        json!({ "primary_ip": { "value": "10.0.0.1/32" }, "tags": [{ "id": tag }], "site": { "hfid": ["s1"] }, "name": { "value": "d" } }),
    );
    write(&fake, "FakeDeviceUpsert", json!({ "name": { "value": "d" }, "site": { "hfid": ["s1"] } }));
    assert_eq!(updated_at(&fake, "FakeDevice", &id), before);
    update(&fake, &id, json!({ "primary_ip": { "value": "10.0.0.2" } }));
    assert!(updated_at(&fake, "FakeDevice", &id) > before);
}

#[test]
fn a_change_of_peers_is_a_change_of_both_ends() {
    let fake = fake();
    let sites = fake.store().ids("FakeSite", "main");
    let id = device(&fake, "d");
    let before: Vec<String> = sites.iter().map(|s| updated_at(&fake, "FakeSite", s)).collect();
    update(&fake, &id, json!({ "site": { "id": sites[1] } }));
    let after: Vec<String> = sites.iter().map(|s| updated_at(&fake, "FakeSite", s)).collect();
    assert!(after[0] > before[0] && after[1] > before[1]);
    let interface = create(&fake, "FakeInterface", json!({ "name": { "value": "e" }, "device": { "id": id } }));
    assert_eq!(value(&fake, &id, "interfaces"), json!([interface]), "the other end is kept too");
}

#[test]
fn a_list_replaces_the_set_and_a_peer_given_twice_is_two_edges() {
    let fake = fake();
    let tags = fake.store().ids("FakeTag", "main");
    let id = device(&fake, "d");
    update(&fake, &id, json!({ "tags": [{ "id": tags[0] }] }));
    update(&fake, &id, json!({ "tags": [{ "id": tags[1] }] }));
    assert_eq!(value(&fake, &id, "tags"), json!([tags[1]]));
    update(&fake, &id, json!({ "height": { "value": 1 } }));
    assert_eq!(value(&fake, &id, "tags"), json!([tags[1]]), "omitted is untouched");
    update(&fake, &id, json!({ "tags": null }));
    assert_eq!(value(&fake, &id, "tags"), json!([]));
    update(&fake, &id, json!({ "tags": [{ "id": tags[0] }, { "id": tags[0] }] }));
    assert_eq!(value(&fake, &id, "tags"), json!([tags[0], tags[0]]));
    update(&fake, &id, json!({ "tags": [] }));
    assert_eq!(value(&fake, &id, "tags"), json!([tags[0]]), "each [] removes one");
}

#[test]
fn peers_of_mandatory_relationships_stay() {
    let fake = fake();
    let id = device(&fake, "d");
    assert_eq!(error(&update(&fake, &id, json!({ "site": null }))).0, "Too few relationships, min 1 at site");
    assert_eq!(error(&update(&fake, &id, json!({ "site": {} }))).0, "Relationship has not been initialized yet");
    let site = fake.store().ids("FakeSite", "main")[1].clone();
    update(&fake, &id, json!({ "site": { "id": site, "hfid": ["s1"] } }));
    assert_eq!(value(&fake, &id, "site"), json!([site]), "the id wins");
    update(&fake, &id, json!({ "place": { "id": site } }));
    update(&fake, &id, json!({ "place": null }));
    assert_eq!(value(&fake, &id, "place"), json!([]));
}

#[test]
fn a_peer_that_has_its_one_is_not_taken() {
    let fake = fake();
    let (first, second) = (device(&fake, "d1"), device(&fake, "d2"));
    let twin = create(&fake, "FakeTwin", json!({ "name": { "value": "w" }, "device": { "id": first } }));
    let (message, _) = error(&update(&fake, &second, json!({ "twin": { "id": twin } })));
    assert_eq!(message, format!("Node {twin} has 2 peers for device__twin, maximum of 1 allowed"));
}

#[test]
fn adding_and_removing_peers_twice_changes_nothing() {
    let fake = fake();
    let tags = fake.store().ids("FakeTag", "main");
    let id = device(&fake, "d");
    let run =
        |which: &str| ask(&fake, &format!("mutation{{{which}(data:{{id:\"{id}\",name:\"tags\",nodes:[{{id:\"{}\"}}]}}){{ok}}}}", tags[0]));
    run("RelationshipAdd");
    let before = updated_at(&fake, "FakeDevice", &id);
    assert_eq!(run("RelationshipAdd")["data"]["RelationshipAdd"]["ok"], true);
    assert_eq!((value(&fake, &id, "tags"), updated_at(&fake, "FakeDevice", &id)), (json!([tags[0]]), before));
    run("RelationshipRemove");
    assert_eq!(run("RelationshipRemove")["data"]["RelationshipRemove"]["ok"], true);
    assert_eq!(value(&fake, &id, "tags"), json!([]));
}

#[test]
fn upserts_find_by_id_then_hfid_then_name() {
    let fake = fake();
    let id = device(&fake, "d");
    let upsert = |data: Value| write(&fake, "FakeDeviceUpsert", data);
    assert_eq!(super_id(&upsert(json!({ "id": id, "height": { "value": 1 } }))), id);
    assert_eq!(super_id(&upsert(json!({ "hfid": ["d"], "height": { "value": 2 } }))), id);
    assert_eq!(super_id(&upsert(json!({ "name": { "value": "d" }, "site": { "hfid": ["s1"] }, "height": { "value": 3 } }))), id);
    assert_eq!(value(&fake, &id, "height"), 3);
    assert_eq!(error(&upsert(json!({ "name": { "value": "d" }, "height": { "value": 4 } }))).0, "site is mandatory for FakeDevice at site");
    let gone = upsert(json!({ "id": "11111111-2222-4333-8444-555555555555", "height": { "value": 5 } }));
    assert_eq!(error(&gone).1, "NODE_NOT_FOUND");
    assert_ne!(super_id(&upsert(json!({ "hfid": ["new"], "name": { "value": "new" }, "site": { "hfid": ["s1"] } }))), id);
}

fn super_id(answer: &Value) -> String {
    id(answer)
}

#[test]
fn an_upsert_merges_what_a_create_refuses() {
    let fake = fake();
    let asset = |name: &str, number: i64, slot: &str, site: &str| json!({ "name": { "value": name }, "number": { "value": number }, "slot": { "value": slot }, "site": { "hfid": [site] } });
    let id = create(&fake, "FakeAsset", asset("a", 1, "x", "s1"));
    let refused = write(&fake, "FakeAssetCreate", asset("a", 2, "y", "s2"));
    assert_eq!(error(&refused).0, "Violates uniqueness constraint 'name'");
    let merged = write(&fake, "FakeAssetUpsert", asset("a", 2, "y", "s2"));
    assert_eq!(super_id(&merged), id, "the other object was overwritten in silence");
    let other = create(&fake, "FakeAsset", asset("b", 7, "x", "s1"));
    assert_ne!(other, id);
    let two = write(&fake, "FakeAssetUpsert", asset("a", 7, "z", "s2"));
    assert_eq!(error(&two).0, "Violates uniqueness constraint 'number'", "a second constraint with another object is not forgiven");
}

#[test]
fn upserts_of_kinds_without_hfid_create_each_time() {
    let fake = fake();
    for _ in 0..2 {
        write(&fake, "FakeNoteUpsert", json!({ "text": { "value": "same" } }));
    }
    assert_eq!(fake.store().count("FakeNote", "main"), 2);
}

#[test]
fn a_delete_takes_components_and_is_refused_where_it_is_needed() {
    let fake = fake();
    let sites = fake.store().ids("FakeSite", "main");
    let id = device(&fake, "d");
    let interface = create(&fake, "FakeInterface", json!({ "name": { "value": "e" }, "device": { "id": id } }));
    let blocked = write(&fake, "FakeSiteDelete", json!({ "id": sites[0] }));
    let message = format!(
        "Cannot delete FakeSite '{}'. It is linked to mandatory relationship site on node FakeDevice '{id}' at FakeDevice.site",
        sites[0]
    );
    assert_eq!(error(&blocked), (message, "ATTRIBUTE_CONSTRAINT_VIOLATION".into()));
    let deleted = write(&fake, "FakeDeviceDelete", json!({ "id": id }));
    assert_eq!(deleted["data"]["m"]["ok"], true);
    assert_eq!(fake.store().count("FakeInterface", "main"), 0);
    assert_eq!(error(&write(&fake, "FakeDeviceDelete", json!({ "id": id }))).1, "NODE_NOT_FOUND");
    assert_eq!(write(&fake, "FakeSiteDelete", json!({ "hfid": ["s1"] }))["data"]["m"]["ok"], true);
    let events = ask(
        &fake,
        "{InfrahubEvent(event_type:[\"infrahub.node.deleted\"],order:ASC,limit:50){count edges{node{branch primary_node{id kind}}}}}",
    );
    let found: Vec<&Value> =
        events["data"]["InfrahubEvent"]["edges"].as_array().unwrap().iter().map(|e| &e["node"]["primary_node"]["id"]).collect();
    assert_eq!(found, [&json!(id), &json!(interface), &json!(sites[0])]);
}

#[test]
fn attribution_is_not_checked_when_it_is_written() {
    let fake = fake();
    let tag = fake.store().ids("FakeTag", "main")[0].clone();
    let account = fake.store().ids("CoreAccount", "main")[0].clone();
    let id = device(&fake, "d");
    update(&fake, &id, json!({ "height": { "value": 1, "source": account } }));
    update(&fake, &id, json!({ "height": { "source": null } }));
    let read = |fake: &Fake| ask(fake, "{FakeDevice{edges{node{height{value source{id}}}}}}");
    assert_eq!(read(&fake)["data"]["FakeDevice"]["edges"][0]["node"]["height"]["source"]["id"], account.as_str(), "null does not clear");
    update(&fake, &id, json!({ "height": { "source": tag } }));
    let broken = read(&fake);
    assert_eq!(broken["errors"][0]["path"], json!(["FakeDevice", "edges", 0, "node", "height", "source"]));
    // A source that is no id, together with another peer, loses the relationship; the answer is ok.
    let site = fake.store().ids("FakeSite", "main")[1].clone();
    let lost = update(&fake, &id, json!({ "site": { "id": site, "_relation__source": "nobody" } }));
    assert_eq!((&lost["data"]["m"]["ok"], value(&fake, &id, "site")), (&json!(true), json!([])));
}

#[test]
fn properties_of_a_relationship_go_with_its_peer() {
    let fake = fake();
    let account = fake.store().ids("CoreAccount", "main")[0].clone();
    let sites = fake.store().ids("FakeSite", "main");
    let id = device(&fake, "d");
    update(&fake, &id, json!({ "site": { "id": sites[0], "_relation__source": account, "_relation__is_protected": true } }));
    let read = |fake: &Fake| {
        ask(fake, "{FakeDevice{edges{node{site{node{id hfid} properties{is_protected source{id}}}}}}}")["data"]["FakeDevice"]["edges"][0]["node"]["site"].clone()
    };
    // The server reads no human friendly id beside properties.
    assert_eq!(
        read(&fake),
        json!({ "node": { "id": sites[0], "hfid": [] }, "properties": { "is_protected": true, "source": { "id": account } } })
    );
    update(&fake, &id, json!({ "site": { "id": sites[1] } }));
    assert_eq!(read(&fake)["properties"], json!({ "is_protected": null, "source": null }));
}

#[test]
fn branches_see_main_as_it_was_and_merge_attribute_by_attribute() {
    let fake = fake();
    let id = device(&fake, "d");
    ask(&fake, "mutation{BranchCreate(data:{name:\"work\"},wait_until_completion:true){ok}}");
    update(&fake, &id, json!({ "height": { "value": 1 } }));
    assert_eq!(fake.store().value(&id, "height", "work"), Some(Value::Null), "the branch does not follow main");
    fake.execute("work", &format!("mutation{{FakeDeviceUpdate(data:{{id:\"{id}\",units:{{value:9}}}}){{ok}}}}"), Default::default());
    fake.execute("work", "mutation{FakeTagCreate(data:{name:{value:\"t9\"}}){ok}}", Default::default());
    assert_eq!((value(&fake, &id, "units"), fake.store().count("FakeTag", "main")), (json!(1), 2));
    ask(&fake, "mutation{BranchMerge(data:{name:\"work\"},wait_until_completion:true){ok}}");
    assert_eq!((value(&fake, &id, "units"), value(&fake, &id, "height")), (json!(9), json!(1)));
    assert_eq!(fake.store().count("FakeTag", "main"), 3);
    assert_eq!(error(&write(&fake, "FakeTagCreate", json!({ "name": { "value": "t9" } }))).0, "Violates uniqueness constraint 'name'");
}

#[test]
fn a_human_friendly_id_follows_its_parent_after_the_lag() {
    let fake = fake();
    fake.faults().set(Settings { hfid_lag_ms: 3_600_000, ..Settings::default() });
    let id = device(&fake, "d");
    let interface = create(&fake, "FakeInterface", json!({ "name": { "value": "e" }, "device": { "id": id } }));
    let before = updated_at(&fake, "FakeInterface", &interface);
    update(&fake, &id, json!({ "name": { "value": "new" } }));
    let hfid = |fake: &Fake| ask(fake, "{FakeInterface{edges{node{hfid}}}}")["data"]["FakeInterface"]["edges"][0]["node"]["hfid"].clone();
    assert_eq!(hfid(&fake), json!(["d", "e"]));
    fake.faults().set(Settings::default());
    assert_eq!(hfid(&fake), json!(["new", "e"]));
    assert!(updated_at(&fake, "FakeInterface", &interface) > before, "the child is written too");
    assert_eq!(super_id(&write(&fake, "FakeInterfaceUpsert", json!({ "hfid": ["new", "e"] }))), interface);
}

#[test]
fn one_proposed_change_is_open_for_a_branch() {
    let fake = fake();
    ask(&fake, "mutation{BranchCreate(data:{name:\"work\"}){ok}}");
    let data = json!({ "name": { "value": "r" }, "source_branch": { "value": "work" }, "destination_branch": { "value": "main" } });
    assert!(write(&fake, "CoreProposedChangeCreate", data.clone())["errors"].is_null());
    assert_eq!(error(&write(&fake, "CoreProposedChangeCreate", data)).0, "An open proposed change already exists for branch 'work'");
}

#[test]
fn lists_filter_order_and_page() {
    let fake = fake();
    for i in 0..25 {
        let data = json!({ "name": { "value": format!("d{i:02}") }, "site": { "hfid": [if i % 2 == 0 { "s1" } else { "s2" }] }, "height": { "value": i } });
        create(&fake, "FakeDevice", data);
    }
    let names = |arguments: &str| -> Vec<String> {
        let answer = ask(&fake, &format!("{{FakeDevice({arguments}){{count edges{{node{{name{{value}}}}}}}}}}"));
        let edges = answer["data"]["FakeDevice"]["edges"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        edges.iter().map(|e| e["node"]["name"]["value"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("limit:10").len() + names("limit:10,offset:10").len() + names("limit:10,offset:20").len(), 25);
    assert_eq!(names("limit:0").len(), 25, "a limit of 0 is none");
    assert_eq!(names("site__name__value:\"s1\",limit:3"), ["d00", "d02", "d04"]);
    assert_eq!(names("height__values:[3,4]"), ["d03", "d04"]);
    assert_eq!(names("name__value:\"D1\",partial_match:true").len(), 10);
    assert_eq!(names("order:{by:[{field:\"height__value\",direction:DESC}]},limit:2"), ["d24", "d23"]);
    let middle = ask(&fake, "{FakeDevice(name__value:\"d20\"){edges{node_metadata{updated_at}}}}")["data"]["FakeDevice"]["edges"][0]["node_metadata"]["updated_at"].clone();
    assert_eq!(names(&format!("node_metadata__updated_at__after:{middle}")).len(), 4, "after is strict");
    let generic = ask(&fake, "{FakeThing(limit:1){count edges{node{__typename ... on FakeDevice{height{value}}}}}}");
    assert_eq!(
        generic["data"]["FakeThing"],
        json!({ "count": 25, "edges": [{ "node": { "__typename": "FakeDevice", "height": { "value": 0 } } }] })
    );
}

#[test]
fn before_1_7_there_are_no_metadata_filters_and_before_1_10_no_codes() {
    let fake = Fake::start(Options { version: Version::V1_6, ..Options::default() }).unwrap();
    let answer = ask(&fake, "{InfraDevice(node_metadata__updated_at__after:\"2024-01-01T00:00:00Z\"){count}}");
    assert!(error(&answer).0.starts_with("Unknown argument"), "{answer}");
    assert_eq!(answer["errors"][0]["extensions"], json!({ "code": 500 }));
}

#[test]
fn object_is_created_from_its_template_with_the_components() {
    let fake = Fake::start(Options { model: Some(Model::lab(Version::V1_11)), ..Options::default() }).unwrap();
    let site = create(&fake, "LabSite", json!({ "name": { "value": "s1" } }));
    let template = create(
        &fake,
        "TemplateLabDevice",
        json!({ "template_name": { "value": "leaf" }, "role": { "value": "leaf" }, "height": { "value": 2 } }),
    );
    for name in ["eth0", "eth1"] {
        let port = json!({ "template_name": { "value": name }, "name": { "value": name }, "note": { "value": "spare" }, "device": { "id": template } });
        create(&fake, "TemplateLabPort", port);
    }
    let data =
        json!({ "name": { "value": "d1" }, "height": { "value": 1 }, "location": { "id": site }, "object_template": { "id": template } });
    let device = create(&fake, "LabDevice", data);
    assert_eq!((value(&fake, &device, "role"), value(&fake, &device, "height")), (json!("leaf"), json!(1)));
    let ports =
        ask(&fake, "{LabPort{edges{node{name{value source{id __typename}} note{value} device{node{id}} object_template{node{id}}}}}}");
    let mut names: Vec<&str> = Vec::new();
    for edge in ports["data"]["LabPort"]["edges"].as_array().unwrap() {
        let node = &edge["node"];
        names.push(node["name"]["value"].as_str().unwrap());
        assert_eq!(node["name"]["source"]["__typename"], "TemplateLabPort");
        assert_eq!((&node["note"]["value"], &node["device"]["node"]["id"]), (&json!("spare"), &json!(device)));
        assert_eq!(node["object_template"]["node"], Value::Null);
    }
    names.sort_unstable();
    assert_eq!(names, ["eth0", "eth1"]);
    // Components that the data name are not made again.
    let bare = json!({ "name": { "value": "d2" }, "location": { "id": site }, "object_template": { "id": template }, "ports": [] });
    create(&fake, "LabDevice", bare);
    assert_eq!(fake.store().count("LabPort", "main"), 2);
}
