//! References to objects of several kinds, and to objects that only the destination has: from records to the plan, and through the cache.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use infrahub_sync_base::Side;
use infrahub_sync_core::batches::batches;
use infrahub_sync_core::diff::diff;
use infrahub_sync_core::key;
use infrahub_sync_core::mapping::RawKind;
use infrahub_sync_core::mapping::feed::{Feed, FieldSource};
use infrahub_sync_core::model::{Cardinality, FieldModel, FieldType, KindModel, Model, Ownership};
use infrahub_sync_core::plan::{Policy, plan};
use infrahub_sync_core::plan_row::PlanRow;
use infrahub_sync_core::records::Projection;
use infrahub_sync_core::restore::{key_object, restore};
use infrahub_sync_core::snapshot::{Completeness, FieldColumn, RefValue, Snapshot, build, build_with};
use serde_json::{Value, json};

fn plain(name: &str) -> FieldModel {
    FieldModel {
        name: name.into(),
        field_type: FieldType::Any,
        optional: true,
        reference: None,
        also: Vec::new(),
        cardinality: Cardinality::Unknown,
        default: None,
        ownership: Ownership::Usual,
    }
}

fn refers(name: &str, kinds: &[&str], cardinality: Cardinality) -> FieldModel {
    let mut kinds = kinds.iter().map(|kind| (*kind).to_owned());
    FieldModel { reference: kinds.next(), also: kinds.collect(), cardinality, ..plain(name) }
}

fn kind(name: &str, tier: u32, identifiers: &[&str], fields: Vec<FieldModel>) -> KindModel {
    let identifiers = identifiers.iter().map(|name| (*name).to_owned()).collect();
    KindModel { name: name.into(), identifiers, tier, deferred: Vec::new(), lookup: false, unique: Vec::new(), fields }
}

/// The rows of each kind; `hints` are kind, field and peer kind, by position.
fn raw(model: &Model, records: &Value, hints: &[(usize, usize, usize)]) -> Vec<RawKind> {
    raw_of(model, records, hints, Side::Source)
}

fn raw_of(model: &Model, records: &Value, hints: &[(usize, usize, usize)], side: Side) -> Vec<RawKind> {
    let one = |(at, spec): (usize, &KindModel)| {
        let mut projection = Projection::default();
        let fields = spec.fields.iter().enumerate().map(|(at, field)| {
            let is_lookup = model.peers_of(field).iter().all(|peer| model.kinds[*peer].lookup);
            let by_id = field.reference.is_some() && (!is_lookup || side == Side::Destination);
            (at, if by_id { FieldSource::Reference(field.name.clone()) } else { FieldSource::Path(field.name.clone()) })
        });
        let mut feed = Feed::new(at, Vec::new(), None, fields.collect(), &mut projection);
        hints.iter().filter(|(kind, ..)| *kind == at).for_each(|(_, field, peer)| feed.hint_peer_kind(*field, *peer));
        let mut raw = RawKind::new(spec.fields.len());
        let text = records.get(&spec.name).cloned().unwrap_or_else(|| json!([])).to_string();
        feed.append(&projection.json(&text, "").unwrap(), &mut raw).unwrap();
        raw
    };
    model.kinds.iter().enumerate().map(one).collect()
}

fn read(model: &Model, records: &Value, side: Side) -> (Snapshot, Vec<String>) {
    let (snapshot, problems) = build(model, raw_of(model, records, &[], side), side);
    (snapshot, problems.iter().map(ToString::to_string).collect())
}

fn rows(model: &Model, source: &Snapshot, destination: &Snapshot) -> Vec<PlanRow> {
    let everything = Policy { create: true, update: true, delete: true };
    plan(model, source, destination, diff(model, source, destination), everything).rows().collect()
}

/// Action, kind, unique id and new values of each row of a plan.
fn told(rows: &[PlanRow]) -> Vec<String> {
    let one =
        |row: &PlanRow| format!("{} {} {} {}", row.action.as_str(), row.resource, row.source_id, row.new_value.as_deref().unwrap_or("-"));
    rows.iter().map(one).collect()
}

/// The peers of a field, row by row.
fn held(model: &Model, snapshot: &Snapshot, kind: &str, field: &str) -> Vec<String> {
    let (at, spec) = model.kind(kind).unwrap();
    let position = spec.fields.iter().position(|known| known.name == field).unwrap();
    let FieldColumn::Peers(peers) = &snapshot.kinds[at].fields[position] else { panic!("{field} is not a reference") };
    let one = |row: usize| match peers.peers(row) {
        (RefValue::Unresolved, _) => "unresolved".to_owned(),
        (_, rows) => rows.map(|peer| snapshot.peer_name(model, peers, peer)).collect::<Vec<_>>().join(" "),
    };
    (0..snapshot.kinds[at].rows()).map(one).collect()
}

/// Cables between ports and circuits, whose ids and names overlap.
fn cables() -> Model {
    Model {
        kinds: vec![
            kind(
                "Cable",
                1,
                &["label"],
                vec![
                    plain("label"),
                    refers("endpoints", &["Port", "Circuit"], Cardinality::Many),
                    refers("origin", &["Port", "Circuit"], Cardinality::One),
                ],
            ),
            kind("Port", 0, &["device", "name"], vec![plain("device"), plain("name")]),
            kind("Circuit", 0, &["name"], vec![plain("name")]),
        ],
    }
}

fn with_cables(cables: Value) -> Value {
    json!({
        "Port": [{"id": 1, "device": "d1", "name": "eth0"}, {"id": 2, "device": "d1", "name": "eth1"}, {"id": 3, "device": "c7", "name": "x"}],
        "Circuit": [{"id": 1, "name": "c1"}, {"id": 7, "name": "c7"}, {"id": 8, "name": "Port"}, {"id": 9, "name": "c7__x"}],
        "Cable": cables
    })
}

#[test]
fn value_says_which_of_several_kinds_it_means_or_fits_one_alone() {
    let model = cables();
    for (value, expected) in [
        (json!({"kind": "Circuit", "id": 1}), "Circuit:c1"),
        (json!({"kind": "Port", "device": "d1", "name": "eth1"}), "Port:d1__eth1"),
        // An object of identifiers fits the kind that has just those.
        (json!({"device": "d1", "name": "eth0"}), "Port:d1__eth0"),
        (json!({"name": "c7"}), "Circuit:c7"),
        (json!(["d1", "eth0"]), "Port:d1__eth0"),
        (json!("c1"), "Circuit:c1"),
        (json!("d1__eth1"), "Port:d1__eth1"),
        (json!({"id": 2}), "Port:d1__eth1"),
        (json!(2), "Port:d1__eth1"),
        // Behind the kind stands what a value without it would be.
        (json!("Circuit:c7"), "Circuit:c7"),
        (json!("Circuit:7"), "Circuit:c7"),
        (json!("Port:c7__x"), "Port:c7__x"),
        (json!("Circuit:c7__x"), "Circuit:c7__x"),
        (json!("Port"), "Circuit:Port"),
    ] {
        let (snapshot, problems) = read(&model, &with_cables(json!([{"id": 1, "label": "l", "origin": value.clone()}])), Side::Source);
        assert_eq!((held(&model, &snapshot, "Cable", "origin"), problems), (vec![expected.to_owned()], Vec::new()), "{value}");
        let (snapshot, _) = read(&model, &with_cables(json!([{"id": 1, "label": "l", "endpoints": [value.clone()]}])), Side::Source);
        assert_eq!(held(&model, &snapshot, "Cable", "endpoints"), [expected], "{value}");
    }
}

#[test]
fn ambiguous_value_names_the_kinds_that_have_it() {
    let mut model = cables();
    model.kinds[0].fields[2].also.push("Fibre".into());
    model.kinds.push(kind("Fibre", 0, &["name"], vec![plain("name")]));
    let cables = json!([{"id": 1, "label": "a", "origin": "c7__x"}, {"id": 2, "label": "b", "origin": {"id": 1}}, {"id": 3, "label": "c", "origin": "none"}]);
    let (snapshot, problems) = read(&model, &with_cables(cables), Side::Source);
    assert_eq!(held(&model, &snapshot, "Cable", "origin"), ["unresolved"; 3]);
    let hint = |peer: &str| format!("several kinds have it; name one in the value (`Kind:{peer}`) or in each mapping (`reference: …`)");
    assert_eq!(
        problems,
        [
            format!("Cable `1` with label `a`: `origin` refers to Port or Circuit `c7__x`: {}", hint("c7__x")),
            format!("Cable `2` with label `b`: `origin` refers to Port or Circuit `1`: {}", hint("1")),
            "Cable `3` with label `c`: `origin` refers to Port or Circuit or Fibre `none`, which was not loaded".to_owned(),
        ]
    );
}

#[test]
fn mapping_may_mean_some_of_the_kinds_of_a_field() {
    let mut model = cables();
    model.kinds[0].fields[2].also.push("Fibre".into());
    model.kinds.push(kind("Fibre", 0, &["name"], vec![plain("name")]));
    let mut records = with_cables(json!([{"id": 1, "label": "a", "origin": {"id": 1}}, {"id": 2, "label": "b", "origin": "Circuit:c7"}]));
    records["Fibre"] = json!([{"id": 1, "name": "f1"}, {"id": 70, "name": "Circuit:c7"}]);
    let with = |hints: &[(usize, usize, usize)]| {
        let (snapshot, problems) = build(&model, raw(&model, &records, hints), Side::Source);
        (held(&model, &snapshot, "Cable", "origin"), problems.len())
    };
    assert_eq!(with(&[]), (vec!["unresolved".into(), "Circuit:c7".into()], 1));
    assert_eq!(with(&[(0, 2, 1), (0, 2, 2)]), (vec!["unresolved".into(), "Circuit:c7".into()], 1));
    // The text is a name where the kind is not meant.
    assert_eq!(with(&[(0, 2, 3)]), (vec!["Fibre:f1".into(), "Fibre:Circuit:c7".into()], 0));
    assert_eq!(with(&[(0, 2, 2)]).0[0], "Circuit:c1");
}

#[test]
fn set_of_several_kinds_is_compared_planned_and_restored() {
    let model = cables();
    let cable =
        |endpoints: Value| with_cables(json!([{"id": 5, "label": "l", "endpoints": endpoints, "origin": {"kind": "Circuit", "id": 7}}]));
    let mixed = json!([{"kind": "Circuit", "id": 1}, {"kind": "Port", "id": 2}, {"kind": "Port", "id": 1}]);
    let (source, problems) = read(&model, &cable(mixed), Side::Source);
    assert_eq!(problems, Vec::<String>::new());
    // The destination names them in another order and by other names.
    let same = json!(["Port:d1__eth1", {"name": "c1"}, ["d1", "eth0"]]);
    let (destination, _) = read(&model, &cable(same), Side::Destination);
    assert_eq!(rows(&model, &source, &destination), []);
    let (other, _) = read(&model, &cable(json!([{"kind": "Port", "id": 2}, {"kind": "Circuit", "id": 7}])), Side::Destination);
    let planned = rows(&model, &source, &other);
    assert_eq!(told(&planned), [r#"update Cable l {"endpoints":["Port:d1__eth0","Port:d1__eth1","Circuit:c1"]}"#]);
    let peers: Value = serde_json::from_str(planned[0].peers.as_deref().unwrap()).unwrap();
    let kinds: Vec<&str> = peers["endpoints"].as_array().unwrap().iter().map(|peer| peer["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Port", "Port", "Circuit"]);
    assert!(planned[0].clone().into_change(&model).is_ok());
    // Through the cache, with ids and without.
    for without_ids in [false, true] {
        let mut source = source.clone();
        if without_ids {
            source.kinds.iter_mut().for_each(|kind| {
                let rows = kind.rows();
                kind.ids = Default::default();
                kind.ids.fill(rows);
            });
        }
        let again = through_the_cache(&model, &source);
        assert_eq!(rows(&model, &again, &source), []);
        assert_eq!(held(&model, &again, "Cable", "endpoints"), ["Port:d1__eth0 Port:d1__eth1 Circuit:c1"]);
    }
}

fn through_the_cache(model: &Model, side: &Snapshot) -> Snapshot {
    let stored: Vec<Option<Vec<_>>> =
        (0..model.kinds.len()).map(|kind| batches(model, side, kind, 0).collect::<Result<Vec<_>, _>>().ok()).collect();
    let restored = restore(model, &stored).into_iter().map(|kind| kind.unwrap().rows).collect();
    let (again, problems) = build(model, restored, Side::Source);
    assert_eq!(problems, []);
    again
}

/// Devices that are identified by their place, a site or a rack; racks by their site.
fn placed() -> Model {
    Model {
        kinds: vec![
            kind(
                "Device",
                2,
                &["place", "name"],
                vec![refers("place", &["Rack", "Site"], Cardinality::One), plain("name"), refers("twin", &["Device"], Cardinality::One)],
            ),
            kind("Site", 0, &["name"], vec![plain("name")]),
            kind("Rack", 1, &["name", "site"], vec![plain("name"), refers("site", &["Site"], Cardinality::One)]),
        ],
    }
}

#[test]
fn identifier_of_several_kinds_keeps_equal_names_apart() {
    let model = placed();
    let records = json!({
        "Site": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "Rack": [{"id": 1, "name": "a", "site": {"id": 1}}, {"id": 3, "name": "r", "site": {"id": 2}}],
        "Device": [
            {"id": 1, "name": "d", "place": {"kind": "Site", "id": 1}, "twin": {"name": "d", "place": {"kind": "Rack", "name": "a", "site": "a"}}},
            {"id": 2, "name": "d", "place": {"kind": "Rack", "id": 1}, "twin": {"name": "d", "place": "Site:a"}},
            {"id": 3, "name": "d", "place": "b", "twin": ["r__b", "d"]},
            {"id": 4, "name": "d", "place": "r__b", "twin": "b__d"}
        ]
    });
    let (source, problems) = read(&model, &records, Side::Source);
    assert_eq!(problems, Vec::<String>::new());
    let keys: Vec<String> = (0..4).map(|row| key::key_json(source.kinds[0].keys.get(row))).collect();
    assert_eq!(
        keys,
        [
            r#"[{"kind":"Rack","key":["a",["a"]]},"d"]"#,
            r#"[{"kind":"Rack","key":["r",["b"]]},"d"]"#,
            r#"[{"kind":"Site","key":["a"]},"d"]"#,
            r#"[{"kind":"Site","key":["b"]},"d"]"#,
        ]
    );
    assert_eq!(held(&model, &source, "Device", "twin"), ["a__d", "b__d", "a__a__d", "r__b__d"]);
    let object = key_object(&model, 0, source.kinds[0].keys.get(0));
    assert_eq!(object, json!({"name": "d", "place": {"kind": "Rack", "name": "a", "site": {"name": "a"}}}));
    // As a system without ids keeps it.
    let (destination, _) =
        read(&model, &json!({ "Site": records["Site"], "Rack": records["Rack"], "Device": [object] }), Side::Destination);
    assert_eq!(destination.kinds[0].keys.get(0), source.kinds[0].keys.get(0));
    let planned = rows(&model, &source, &destination);
    assert_eq!(planned.iter().filter(|row| row.action.as_str() == "create").count(), 3);
    assert!(planned.into_iter().all(|row| row.into_change(&model).is_ok()));
    let again = through_the_cache(&model, &source);
    assert_eq!(rows(&model, &again, &source), []);
}

#[test]
fn mapping_says_which_kind_an_identifier_means() {
    let model = placed();
    let records = json!({
        "Site": [{"id": 1, "name": "a"}],
        "Rack": [{"id": 1, "name": "a", "site": {"id": 1}}],
        "Device": [{"id": 1, "name": "d", "place": {"id": 1}}]
    });
    let place = |hints: &[(usize, usize, usize)]| {
        let (snapshot, problems) = build(&model, raw(&model, &records, hints), Side::Source);
        (held(&model, &snapshot, "Device", "place").join(""), problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(""))
    };
    assert_eq!(place(&[(0, 0, 1)]), ("Site:a".to_owned(), String::new()));
    assert_eq!(place(&[(0, 0, 2)]), ("Rack:a__a".to_owned(), String::new()));
    let (held, problems) = place(&[]);
    assert!(held.is_empty() && problems.contains("refers to Rack or Site `1`: several kinds have it"), "{problems}");
}

#[test]
fn kind_may_be_identified_by_itself_or_another_kind() {
    let model = Model {
        kinds: vec![
            kind("Area", 1, &["name", "parent"], vec![plain("name"), refers("parent", &["Site", "Area"], Cardinality::One)]),
            kind("Site", 0, &["name"], vec![plain("name")]),
        ],
    };
    let sites = json!([{"id": 1, "name": "s"}, {"id": 2, "name": "t"}]);
    let areas = |areas: Value| read(&model, &json!({"Site": sites, "Area": areas}), Side::Source);
    let by_id = json!([
        {"id": 1, "name": "cage", "parent": {"kind": "Area", "id": 2}},
        {"id": 2, "name": "room", "parent": {"kind": "Site", "id": 1}},
        {"id": 3, "name": "room", "parent": {"kind": "Site", "id": 2}}
    ]);
    let by_name = json!([
        {"id": 1, "name": "cage", "parent": {"name": "room", "parent": "Site:s"}},
        {"id": 2, "name": "room", "parent": "s"},
        {"id": 3, "name": "room", "parent": {"kind": "Site", "name": "t"}}
    ]);
    let (one, problems) = areas(by_id);
    assert_eq!(problems, Vec::<String>::new());
    let (other, problems) = areas(by_name);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(rows(&model, &one, &other), []);
    assert_eq!(held(&model, &one, "Area", "parent"), ["Area:room__s", "Site:s", "Site:t"]);
    let missing = json!([{"id": 1, "name": "cage", "parent": {"name": "room", "parent": "Site:x"}}]);
    assert_eq!(
        areas(missing).1,
        ["Area `1` with name `cage`: `parent` refers to Site or Area `{\"name\":\"room\",\"parent\":\"Site:x\"}`, which was not loaded"]
    );
    let looped =
        json!([{"id": 1, "name": "a", "parent": {"kind": "Area", "id": 2}}, {"id": 2, "name": "b", "parent": {"kind": "Area", "id": 1}}]);
    let (snapshot, problems) = areas(looped);
    assert_eq!((snapshot.kinds[0].rows(), problems.len()), (0, 2));
}

/// Devices with a platform and groups that only the destination has.
fn looked_up() -> Model {
    let lookup = |name: &str, identifiers: &[&str], fields| KindModel { lookup: true, ..kind(name, 0, identifiers, fields) };
    Model {
        kinds: vec![
            kind(
                "Device",
                0,
                &["name"],
                vec![plain("name"), refers("platform", &["Platform"], Cardinality::One), refers("groups", &["Group"], Cardinality::Many)],
            ),
            lookup("Platform", &["maker", "name"], vec![refers("maker", &["Maker"], Cardinality::One), plain("name")]),
            lookup("Maker", &["name"], vec![plain("name")]),
            lookup("Group", &["name"], vec![plain("name")]),
        ],
    }
}

#[test]
fn peers_that_only_the_destination_has_are_looked_up_there() {
    let model = looked_up();
    let there = json!({
        "Maker": [{"id": "m1", "name": "acme"}],
        "Platform": [{"id": "p1", "maker": {"id": "m1"}, "name": "os"}, {"id": "p2", "maker": {"id": "m1"}, "name": "old"}],
        "Group": [{"id": "g1", "name": "core"}, {"id": "g2", "name": "edge"}, {"id": "g3", "name": "core"}],
        "Device": [{"id": "d1", "name": "a", "platform": {"id": "p2"}, "groups": [{"id": "g2"}]}]
    });
    let (destination, _) = read(&model, &there, Side::Destination);
    let source = |devices: Value| {
        let (snapshot, problems) = build_with(&model, raw(&model, &json!({ "Device": devices }), &[]), Side::Source, Some(&destination));
        (snapshot, problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    // Ids of the source say nothing; further members neither.
    let (snapshot, problems) = source(json!([
        {"id": 1, "name": "a", "platform": {"id": 77, "name": "os", "maker": {"id": 5, "name": "acme"}}, "groups": [{"id": 1, "name": "edge"}, "core"]},
        {"id": 2, "name": "b", "platform": "acme__old", "groups": []},
        {"id": 3, "name": "c", "platform": "", "groups": null}
    ]));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(held(&model, &snapshot, "Device", "platform"), ["acme__os", "acme__old", ""]);
    assert_eq!(held(&model, &snapshot, "Device", "groups"), ["core edge", "", ""]);
    let planned = rows(&model, &snapshot, &destination);
    assert_eq!(
        told(&planned),
        [
            r#"create Device b {"name":"b","platform":"acme__old","groups":[]}"#,
            r#"create Device c {"name":"c"}"#,
            r#"update Device a {"platform":"acme__os","groups":["core","edge"]}"#,
        ]
    );
    assert!(planned[0].peers.as_deref().unwrap().contains(r#""key":[["acme"],"old"],"id":"p2""#), "{:?}", planned[0].peers);
    // They are neither compared nor deleted, and no kind of the summary.
    let everything = Policy { create: true, update: true, delete: true };
    let summary = plan(&model, &snapshot, &destination, diff(&model, &snapshot, &destination), everything).summary;
    assert_eq!(summary.iter().map(|kind| kind.kind.as_str()).collect::<Vec<_>>(), ["Device"]);
    // What is missing there is named, row by row, and only the reference stays open.
    let (snapshot, problems) = source(
        json!([{"id": 1, "name": "a", "platform": "ios", "groups": ["edge"]}, {"id": 2, "name": "b", "groups": ["core", "dmz", {"id": 3}]}]),
    );
    let missing = |device: u8, field: &str, kind: &str, peer: &str| {
        let name = if device == 1 { "a" } else { "b" };
        format!(
            "Device `{device}` with name `{name}`: `{field}` refers to {kind} `{peer}`, which the destination does not have; {kind} is not mapped, so create it there first"
        )
    };
    assert_eq!(
        problems,
        [missing(1, "platform", "Platform", "ios"), missing(2, "groups", "Group", "dmz"), missing(2, "groups", "Group", "{\"id\":3}")]
    );
    assert_eq!((snapshot.kinds[0].rows(), snapshot.kinds[0].completeness), (2, Completeness::Complete));
    assert_eq!(told(&rows(&model, &snapshot, &destination)), [r#"create Device b {"name":"b"}"#]);
}

#[test]
fn source_that_refers_to_what_the_destination_has_is_restored() {
    let model = looked_up();
    let there = json!({
        "Maker": [{"id": "m1", "name": "acme"}],
        "Platform": [{"id": "p1", "maker": {"id": "m1"}, "name": "os"}],
        "Group": [{"id": "g1", "name": "core"}]
    });
    let (destination, _) = read(&model, &there, Side::Destination);
    let devices = json!({"Device": [{"id": 1, "name": "a", "platform": "acme__os", "groups": ["core"]}]});
    let (source, _) = build_with(&model, raw(&model, &devices, &[]), Side::Source, Some(&destination));
    let stored: Vec<Option<Vec<_>>> =
        (0..model.kinds.len()).map(|kind| batches(&model, &source, kind, 0).collect::<Result<Vec<_>, _>>().ok()).collect();
    let restored = || restore(&model, &stored).into_iter().map(|kind| kind.unwrap().rows).collect::<Vec<RawKind>>();
    let (again, problems) = build_with(&model, restored(), Side::Source, Some(&destination));
    assert_eq!(problems, []);
    assert_eq!(rows(&model, &again, &source), []);
    // The group is gone there: its name is no longer one of a peer.
    let (fewer, _) = read(&model, &json!({"Maker": there["Maker"], "Platform": there["Platform"]}), Side::Destination);
    let (_, problems) = build_with(&model, restored(), Side::Source, Some(&fewer));
    assert_eq!(problems.len(), 1, "{problems:?}");
}
