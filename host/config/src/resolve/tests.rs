use std::path::Path;

use insta::assert_snapshot;

use infrahub_sync_core::model::Ownership;

use super::*;

const HEAD: &str = "name: a\nsource: {name: netbox}\ndestination: {name: infrahub}\n";

fn project(mappings: &str) -> Project {
    let text = format!("{HEAD}schema_mapping:\n{mappings}");
    let none = |_: &str| None;
    Project::parse(&text, Path::new("config.yml"), &none).unwrap_or_else(|problems| panic!("{}", show(&problems)))
}

fn show(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// The model in short, and the warnings.
fn outcome(project: &Project, schema: Option<&[SchemaKind]>) -> String {
    match resolve(project, schema) {
        Err(problems) => show(&problems),
        Ok(resolved) => {
            let mut text = String::new();
            for kind in &resolved.model.kinds {
                let ids = kind.identifiers.join(", ");
                let lookup = if kind.lookup { " looked up" } else { "" };
                text += &format!("{} tier {} by [{ids}] deferred [{}]{lookup}\n", kind.name, kind.tier, kind.deferred.join(", "));
                for field in &kind.fields {
                    let optional = if field.optional { " optional" } else { "" };
                    let peers: Vec<&str> = field.peers().collect();
                    let reference = field.reference.as_ref().map(|_| format!(" → {} {:?}", peers.join(" or "), field.cardinality));
                    text += &format!("  {}: {:?}{optional}{}\n", field.name, field.field_type, reference.unwrap_or_default());
                }
            }
            text + &show(&resolved.warnings)
        }
    }
}

const SITE: &str = "  - {name: Site, identifiers: [name], fields: [{name: name, mapping: name}]}\n";

fn attribute(name: &str, optional: bool) -> SchemaField {
    SchemaField {
        name: name.to_owned(),
        field_type: FieldType::Text,
        optional,
        unique: false,
        read_only: false,
        references: Vec::new(),
        cardinality: Cardinality::Unknown,
        default: None,
    }
}

fn relation(name: &str, peer: &str) -> SchemaField {
    SchemaField { field_type: FieldType::Any, references: vec![peer.to_owned()], cardinality: Cardinality::One, ..attribute(name, true) }
}

fn kind(name: &str, fields: Vec<SchemaField>) -> SchemaKind {
    let identifiers = Vec::new();
    let (stands_for, unique_together) = (Vec::new(), Vec::new());
    SchemaKind {
        name: name.to_owned(),
        identifiers,
        fields,
        stands_for,
        unique_together,
        can_create: true,
        can_update: true,
        can_delete: true,
    }
}

fn schema() -> Vec<SchemaKind> {
    let unique = SchemaField { unique: true, ..attribute("name", false) };
    let computed = SchemaField { read_only: true, ..attribute("label", true) };
    let mut generic = kind("Located", vec![attribute("name", false)]);
    generic.can_create = false;
    vec![
        kind("Site", vec![unique.clone(), attribute("slug", true), computed]),
        kind("Device", vec![unique, attribute("serial", true), relation("site", "Site"), relation("place", "Located")]),
        kind("Port", vec![attribute("name", false), relation("device", "Device")]),
        generic,
    ]
}

#[test]
fn without_a_schema_everything_is_any_and_optional() {
    let project = project(&format!(
        "  - {{name: Device, identifiers: [name, site], fields: [{{name: name, mapping: n}}, {{name: site, mapping: s, reference: Site}}]}}\n{SITE}"
    ));
    assert_snapshot!(outcome(&project, None), @r"
    Device tier 1 by [name, site] deferred []
      name: Any optional
      site: Any optional → Site Unknown
    Site tier 0 by [name] deferred []
      name: Any optional
    ");
}

#[test]
fn without_a_schema_identifiers_must_be_given() {
    assert_snapshot!(outcome(&project("  - {name: Site, fields: [{name: name, mapping: name}]}\n"), None), @r"
    error: `Site` has no identifiers, and there is no schema that could tell them
     --> config.yml:5:12 (schema_mapping[0].identifiers)
      |
    5 |   - {name: Site, fields: [{name: name, mapping: name}]}
      |            ^^^^

    hint: name the fields of its natural key: `identifiers: […]`; its fields are `name`
    ");
}

#[test]
fn mappings_of_one_kind_are_merged() {
    let project = project(&format!("{SITE}  - {{name: Site, fields: [{{name: name, mapping: x}}, {{name: slug, mapping: slug}}]}}\n"));
    assert_snapshot!(outcome(&project, Some(&schema())), @r"
    Site tier 0 by [name] deferred []
      name: Text
      slug: Text optional
    ");
}

#[test]
fn the_schema_gives_types_and_identifiers() {
    let project = project(
        "  - {name: Device, fields: [{name: serial, mapping: s}, {name: name, mapping: n}, {name: site, mapping: site}, {name: place, mapping: p, reference: Site}]}
  - {name: Site, fields: [{name: name, mapping: name}, {name: label, mapping: display}]}\n",
    );
    assert_snapshot!(outcome(&project, Some(&schema())), @r"
    Device tier 1 by [name] deferred []
      serial: Text optional
      name: Text
      site: Any optional → Site One
      place: Any optional → Site One
    Site tier 0 by [name] deferred []
      name: Text
    warning: `Device.site` is a reference to `Site` in the destination; its value is taken as one
     --> config.yml:5:90 (schema_mapping[0].fields[2])
      |
    5 |   - {name: Device, fields: [{name: serial, mapping: s}, {name: name, mapping: n}, {name: site, mapping: site}, {name: place, mapping: p, reference: Site}]}
      |                                                                                          ^^^^

    hint: add `reference: Site`
    warning: `Site.label` is read-only in the destination: it is neither compared nor written
     --> config.yml:6:63 (schema_mapping[1].fields[1])
      |
    6 |   - {name: Site, fields: [{name: name, mapping: name}, {name: label, mapping: display}]}
      |                                                               ^^^^^

    hint: remove it from the mapping
    ");
}

#[test]
fn the_schemas_own_key_is_the_last_resort() {
    let mut schema = schema();
    schema[2].identifiers = vec!["name".to_owned(), "device".to_owned()];
    let device = "  - {name: Device, fields: [{name: name, mapping: n}]}\n";
    let whole = project(&format!(
        "{device}  - {{name: Port, fields: [{{name: name, mapping: n}}, {{name: device, mapping: d, reference: Device}}]}}\n"
    ));
    assert_snapshot!(outcome(&whole, Some(&schema)), @r"
    Device tier 0 by [name] deferred []
      name: Text
    Port tier 1 by [name, device] deferred []
      name: Text
      device: Any optional → Device One
    ");
    let part = project("  - {name: Port, fields: [{name: name, mapping: n}]}\n");
    assert_snapshot!(outcome(&part, Some(&schema)), @r"
    error: `Port` has no identifiers, and none of its mapped fields is unique in the schema
     --> config.yml:5:12 (schema_mapping[0].identifiers)
      |
    5 |   - {name: Port, fields: [{name: name, mapping: n}]}
      |            ^^^^

    hint: give `identifiers: […]`, or map `device`, which the schema identifies it by
    ");
}

#[test]
fn what_the_schema_does_not_have_is_reported() {
    let project = project(
        "  - {name: Devise, identifiers: [name], fields: [{name: name, mapping: n}]}
  - {name: Site, fields: [{name: name, mapping: n}, {name: slgu, mapping: s}]}
  - {name: Device, fields: [{name: serial, mapping: s, reference: Site}, {name: site, mapping: s, reference: Port}]}
  - {name: Port, identifiers: [name], fields: [{name: name, mapping: n}]}\n",
    );
    assert_snapshot!(outcome(&project, Some(&schema())), @r"
    error: the destination has no kind `Devise`
     --> config.yml:5:12 (schema_mapping[0].name)
      |
    5 |   - {name: Devise, identifiers: [name], fields: [{name: name, mapping: n}]}
      |            ^^^^^^

    hint: did you mean `Device`?
    error: the destination's `Site` has no field `slgu`
     --> config.yml:6:60 (schema_mapping[1].fields[1])
      |
    6 |   - {name: Site, fields: [{name: name, mapping: n}, {name: slgu, mapping: s}]}
      |                                                            ^^^^

    hint: did you mean `slug`?
    error: the destination cannot create a `Device` without `name`
     --> config.yml:7:12 (schema_mapping[2].fields)
      |
    7 |   - {name: Device, fields: [{name: serial, mapping: s, reference: Site}, {name: site, mapping: s, reference: Port}]}
      |            ^^^^^^

    hint: map them, give them a `static` value, or never create: `diffsync_flags: [SKIP_UNMATCHED_SRC, SKIP_UNMATCHED_DST]`
    error: `Device` has no identifiers, and none of its mapped fields is unique in the schema
     --> config.yml:7:12 (schema_mapping[2].identifiers)
      |
    7 |   - {name: Device, fields: [{name: serial, mapping: s, reference: Site}, {name: site, mapping: s, reference: Port}]}
      |            ^^^^^^

    hint: name the fields of its natural key: `identifiers: […]`
    error: `Device.serial` refers to `Site`, but it is not a reference in the destination
     --> config.yml:7:67 (schema_mapping[2].fields[0])
      |
    7 |   - {name: Device, fields: [{name: serial, mapping: s, reference: Site}, {name: site, mapping: s, reference: Port}]}
      |                                                                   ^^^^

    hint: remove `reference`, and map a plain value
    error: `Device.site` refers to `Port`, but the destination wants a `Site` there
     --> config.yml:7:110 (schema_mapping[2].fields[1])
      |
    7 |   - {name: Device, fields: [{name: serial, mapping: s, reference: Site}, {name: site, mapping: s, reference: Port}]}
      |                                                                                                              ^^^^

    hint: write `reference: Site`
    ");
}

#[test]
fn a_relationship_has_the_peers_of_the_schema() {
    let project = project("  - {name: Device, fields: [{name: name, mapping: n}, {name: site, mapping: s}]}\n");
    assert_snapshot!(outcome(&project, Some(&schema())), @r"
    Device tier 0 by [name] deferred []
      name: Text
      site: Any optional → Site One
    Site tier 0 by [name] deferred [] looked up
      name: Text
    warning: `Device.site` is a reference to `Site` in the destination; its value is taken as one
     --> config.yml:5:62 (schema_mapping[0].fields[1])
      |
    5 |   - {name: Device, fields: [{name: name, mapping: n}, {name: site, mapping: s}]}
      |                                                              ^^^^

    hint: add `reference: Site`
    ");
}

/// A schema in which sites and areas stand for places; platforms belong to makers.
fn places() -> Vec<SchemaKind> {
    let unique = SchemaField { unique: true, ..attribute("name", false) };
    let place = |name: &str, fields: Vec<SchemaField>| SchemaKind { stands_for: vec!["Place".to_owned()], ..kind(name, fields) };
    let generic = SchemaKind { can_create: false, can_update: false, can_delete: false, ..kind("Place", vec![attribute("name", false)]) };
    let mut platform = kind("Platform", vec![attribute("name", false), relation("maker", "Maker"), attribute("note", true)]);
    platform.identifiers = vec!["maker".to_owned(), "name".to_owned()];
    vec![
        kind(
            "Device",
            vec![attribute("name", false), relation("place", "Place"), relation("platform", "Platform"), relation("note", "Note")],
        ),
        place("Site", vec![unique.clone()]),
        place("Area", vec![unique.clone(), relation("parent", "Place")]),
        place("Yard", vec![unique.clone()]),
        generic,
        platform,
        kind("Maker", vec![unique]),
        kind("Note", vec![attribute("text", true)]),
    ]
}

#[test]
fn a_generic_kind_means_the_mapped_kinds_that_stand_for_it() {
    let device = |reference: &str| {
        format!(
            "  - {{name: Device, identifiers: [place, name], fields: [{{name: name, mapping: n}}, {{name: place, mapping: p, reference: {reference}}}]}}\n"
        )
    };
    let area = "  - {name: Area, identifiers: [name], fields: [{name: name, mapping: n}, {name: parent, mapping: p, reference: Place}]}\n";
    let model = outcome(&project(&format!("{}{area}{SITE}", device("Place"))), Some(&places()));
    assert_snapshot!(model, @r"
    Device tier 2 by [place, name] deferred []
      name: Text
      place: Any optional → Area or Site One
    Area tier 1 by [name] deferred []
      name: Text
      parent: Any optional → Area or Site One
    Site tier 0 by [name] deferred []
      name: Text
    ");
    // A list may say the same, or name a kind that is not mapped beside those that are.
    assert_eq!(outcome(&project(&format!("{}{area}{SITE}", device("[Area, Site]"))), Some(&places())), model);
    assert_snapshot!(outcome(&project(&format!("{}{area}{SITE}", device("[Place, Yard]"))), Some(&places())), @r"
    Device tier 2 by [place, name] deferred []
      name: Text
      place: Any optional → Area or Site or Yard One
    Area tier 1 by [name] deferred []
      name: Text
      parent: Any optional → Area or Site One
    Site tier 0 by [name] deferred []
      name: Text
    Yard tier 0 by [name] deferred [] looked up
      name: Text
    ");
    // None of them is mapped: all are looked up.
    let model = resolve(&project(&device("Place")), Some(&places())).unwrap().model;
    let kinds: Vec<(&str, bool)> = model.kinds.iter().map(|kind| (kind.name.as_str(), kind.lookup)).collect();
    assert_eq!(kinds, [("Device", false), ("Site", true), ("Area", true), ("Yard", true)]);
}

#[test]
fn a_kind_that_is_not_mapped_is_looked_up_by_the_schemas_key() {
    let device = |field: &str, reference: &str| {
        let fields = format!("[{{name: name, mapping: n}}, {{name: {field}, mapping: p, reference: {reference}}}]");
        project(&format!("  - {{name: Device, identifiers: [name], fields: {fields}}}\n"))
    };
    assert_snapshot!(outcome(&device("platform", "Platform"), Some(&places())), @r"
    Device tier 0 by [name] deferred []
      name: Text
      platform: Any optional → Platform One
    Platform tier 1 by [maker, name] deferred [] looked up
      maker: Any optional → Maker One
      name: Text
    Maker tier 0 by [name] deferred [] looked up
      name: Text
    ");
    assert_snapshot!(outcome(&device("platform", "Platfrom"), Some(&places())), @r"
    error: `Device.platform` refers to `Platfrom`, which is neither mapped nor a kind of the destination
     --> config.yml:5:116 (schema_mapping[0].fields[1].reference)
      |
    5 |   - {name: Device, identifiers: [name], fields: [{name: name, mapping: n}, {name: platform, mapping: p, reference: Platfrom}]}
      |                                                                                                                    ^^^^^^^^

    hint: did you mean `Platform`?
    ");
    assert_snapshot!(outcome(&device("note", "Note"), Some(&places())), @r"
    error: `Device.note` refers to `Note`, which is not mapped, and the destination's schema does not say what identifies its objects
     --> config.yml:5:112 (schema_mapping[0].fields[1].reference)
      |
    5 |   - {name: Device, identifiers: [name], fields: [{name: name, mapping: n}, {name: note, mapping: p, reference: Note}]}
      |                                                                                                                ^^^^

    hint: map `Note`, with `identifiers: […]`
    ");
    // Offline nothing more is known. A destination without a schema cannot look it up.
    assert_snapshot!(outcome(&device("platform", "Devise"), None), @r"
    Device tier 0 by [name] deferred []
      name: Any optional
      platform: Any optional → Devise Unknown
    warning: `Device.platform` refers to `Devise`, which is not mapped: a run looks up its objects in the destination
     --> config.yml:5:116 (schema_mapping[0].fields[1].reference)
      |
    5 |   - {name: Device, identifiers: [name], fields: [{name: name, mapping: n}, {name: platform, mapping: p, reference: Devise}]}
      |                                                                                                                    ^^^^^^

    hint: did you mean `Device`?
    ");
    let messages: Vec<String> = unmapped_references(&device("platform", "Platform")).into_iter().map(|problem| problem.message).collect();
    let expected =
        "`Device.platform` refers to `Platform`, which is not mapped, and the destination has no schema by which to look up its objects";
    assert_eq!(messages, [expected]);
    assert_eq!(unmapped_references(&device("platform", "Device")), []);
}

#[test]
fn the_kinds_behind_a_generic_one_are_part_of_the_schema_hash() {
    let project = project(&format!(
        "  - {{name: Device, identifiers: [name], fields: [{{name: name, mapping: n}}, {{name: place, mapping: p, reference: Place}}]}}\n{SITE}{}",
        SITE.replace("Site", "Area")
    ));
    let hash = |schema: &[SchemaKind]| crate::schema_hash(&resolve(&project, Some(schema)).unwrap().model, Some(schema));
    let mut schema = places();
    let before = hash(&schema);
    assert_eq!(hash(&schema), before);
    schema[2].stands_for.clear();
    assert_ne!(hash(&schema), before);
}

#[test]
fn a_cycle_is_broken_at_an_optional_field() {
    let mappings = "  - {name: Device, identifiers: [name], fields: [{name: name, mapping: n}, {name: ip, mapping: ip, reference: Ip}]}
  - {name: Port, identifiers: [name, device], fields: [{name: name, mapping: n}, {name: device, mapping: d, reference: Device}]}
  - {name: Ip, identifiers: [address], fields: [{name: address, mapping: a}, {name: port, mapping: p, reference: Port}]}\n";
    assert_snapshot!(outcome(&project(mappings), None), @r"
    Device tier 0 by [name] deferred [ip]
      name: Any optional
      ip: Any optional → Ip Unknown
    Port tier 1 by [name, device] deferred []
      name: Any optional
      device: Any optional → Device Unknown
    Ip tier 2 by [address] deferred []
      address: Any optional
      port: Any optional → Port Unknown
    warning: `Device.ip` closes a cycle: it is written in a second pass, after `Ip` exists
     --> config.yml:5:111 (schema_mapping[0].fields[1])
      |
    5 |   - {name: Device, identifiers: [name], fields: [{name: name, mapping: n}, {name: ip, mapping: ip, reference: Ip}]}
      |                                                                                                               ^^
    ");
}

#[test]
fn a_cycle_of_identifiers_is_an_error() {
    let mappings = "  - {name: A, identifiers: [x], fields: [{name: x, mapping: x, reference: B}]}
  - {name: B, identifiers: [y], fields: [{name: y, mapping: y, reference: A}]}\n";
    assert_snapshot!(outcome(&project(mappings), None), @r"
    error: these identifiers form a cycle: A.x → B.y → A
     --> config.yml:5:75 (schema_mapping[0].fields[0])
      |
    5 |   - {name: A, identifiers: [x], fields: [{name: x, mapping: x, reference: B}]}
      |                                                                           ^

    hint: take one of these fields out of its kind's `identifiers`
    ");
}

#[test]
fn an_explicit_order_wins() {
    let mappings = format!(
        "  - {{name: Device, identifiers: [name], fields: [{{name: name, mapping: n}}, {{name: site, mapping: s, reference: Site}}]}}\n{SITE}"
    );
    let later = project(&format!("{mappings}order: [Device, Site]\n"));
    assert_snapshot!(outcome(&later, None), @r"
    Device tier 0 by [name] deferred [site]
      name: Any optional
      site: Any optional → Site Unknown
    Site tier 1 by [name] deferred []
      name: Any optional
    warning: `Device.site` refers to `Site`, which `order` writes later: it is written in a second pass
     --> config.yml:5:112 (schema_mapping[0].fields[1])
      |
    5 |   - {name: Device, identifiers: [name], fields: [{name: name, mapping: n}, {name: site, mapping: s, reference: Site}]}
      |                                                                                                                ^^^^
    ");
    let identifying = project(&format!("{}order: [Device, Site]\n", mappings.replacen("[name]", "[name, site]", 1)));
    assert_snapshot!(outcome(&identifying, None), @r"
    error: `Device.site` identifies `Device` and refers to `Site`, which `order` writes later
     --> config.yml:5:118 (schema_mapping[0].fields[1])
      |
    5 |   - {name: Device, identifiers: [name, site], fields: [{name: name, mapping: n}, {name: site, mapping: s, reference: Site}]}
      |                                                                                                                      ^^^^

    hint: put `Site` before `Device` in `order`, or remove `order`
    ");
    let fewer = project(&format!("{mappings}order: [Site]\n"));
    assert_snapshot!(outcome(&fewer, None), @r"
    Site tier 0 by [name] deferred []
      name: Any optional
    ");
}

#[test]
fn the_schema_hash_covers_the_used_part() {
    let project = project("  - {name: Device, fields: [{name: name, mapping: n}]}\n");
    let before = schema();
    let model = resolve(&project, Some(&before)).unwrap().model;
    let hash = crate::schema_hash(&model, Some(&before));
    let changed = |change: fn(&mut Vec<SchemaKind>)| {
        let mut schema = before.clone();
        change(&mut schema);
        crate::schema_hash(&model, Some(&schema)) != hash
    };
    assert!(!changed(|schema| schema.reverse()));
    assert!(!changed(|schema| schema[0].fields.clear()));
    assert!(!changed(|schema| schema[1].fields[1].unique = true));
    assert!(changed(|schema| schema[1].fields[0].field_type = FieldType::Integer));
    assert!(changed(|schema| schema[1].fields[1].optional = false));
    assert!(changed(|schema| schema[1].can_create = false));
    assert_ne!(crate::schema_hash(&model, None), hash);
}

const AREA: &str =
    "  - {name: Area, identifiers: [name], fields: [{name: name, mapping: name}, {name: parent, mapping: site, reference: Site}]}
  - {name: Area, fields: [{name: name, mapping: name}, {name: parent, mapping: parent, reference: Area}]}
  - {name: Area, fields: [{name: name, mapping: name}, {name: parent, mapping: again, reference: Site}]}\n";

#[test]
fn mappings_may_refer_to_several_kinds_by_one_field() {
    assert_snapshot!(outcome(&project(&format!("{AREA}{SITE}")), None), @r"
    Area tier 1 by [name] deferred []
      name: Any optional
      parent: Any optional → Site or Area Unknown
    Site tier 0 by [name] deferred []
      name: Any optional
    ");
}

#[test]
fn each_of_the_kinds_has_to_fit_the_schema() {
    let device = |reference: &str| {
        format!("  - {{name: Device, fields: [{{name: name, mapping: n}}, {{name: place, mapping: p, reference: {reference}}}]}}\n")
    };
    let port = "  - {name: Port, identifiers: [name], fields: [{name: name, mapping: n}]}\n";
    let mut schema = schema();
    schema[0].stands_for.push("Located".to_owned());
    schema[1].stands_for.push("Located".to_owned());
    schema[2].stands_for.push("Connected".to_owned());
    let fits = project(&format!("{}{}{SITE}", device("Site"), device("Device")));
    assert_snapshot!(outcome(&fits, Some(&schema)), @r"
    Device tier 1 by [name] deferred []
      name: Text
      place: Any optional → Site or Device One
    Site tier 0 by [name] deferred []
      name: Text
    ");
    let wrong = project(&format!("{}{}{SITE}{port}", device("Site"), device("Port")));
    assert_snapshot!(outcome(&wrong, Some(&schema)), @r"
    error: `Device.place` refers to `Port`, but the destination wants a `Located` there
     --> config.yml:6:92 (schema_mapping[1].fields[1])
      |
    6 |   - {name: Device, fields: [{name: name, mapping: n}, {name: place, mapping: p, reference: Port}]}
      |                                                                                            ^^^^

    hint: name a kind whose objects the destination takes for a `Located`
    ");
    // A field may allow several kinds.
    let mut fields = schema.iter_mut().flat_map(|kind| &mut kind.fields);
    let place = fields.find(|field| field.name == "place").expect("a field");
    place.references.push("Port".to_owned());
    assert!(!outcome(&wrong, Some(&schema)).contains("refers to `Port`"));
}

#[test]
fn a_field_of_several_kinds_that_closes_a_cycle_is_deferred_once() {
    let mappings = "  - {name: Site, identifiers: [name], fields: [{name: name, mapping: n}, {name: lead, mapping: d, reference: Device}]}
  - {name: Site, fields: [{name: name, mapping: n}, {name: lead, mapping: p, reference: Port}]}
  - {name: Device, identifiers: [name, site], fields: [{name: name, mapping: n}, {name: site, mapping: s, reference: Site}]}
  - {name: Port, identifiers: [name, device], fields: [{name: name, mapping: n}, {name: device, mapping: d, reference: Device}]}\n";
    assert_snapshot!(outcome(&project(mappings), None), @r"
    Site tier 0 by [name] deferred [lead]
      name: Any optional
      lead: Any optional → Device or Port Unknown
    Device tier 1 by [name, site] deferred []
      name: Any optional
      site: Any optional → Site Unknown
    Port tier 2 by [name, device] deferred []
      name: Any optional
      device: Any optional → Device Unknown
    warning: `Site.lead` closes a cycle: it is written in a second pass, after `Device` exists
     --> config.yml:5:110 (schema_mapping[0].fields[1])
      |
    5 |   - {name: Site, identifiers: [name], fields: [{name: name, mapping: n}, {name: lead, mapping: d, reference: Device}]}
      |                                                                                                              ^^^^^^
    ");
}

#[test]
fn an_identifier_may_refer_to_several_kinds() {
    let mappings = format!("{}{SITE}", AREA.replacen("[name]", "[name, parent]", 1));
    assert_snapshot!(outcome(&project(&mappings), None), @r"
    Area tier 1 by [name, parent] deferred []
      name: Any optional
      parent: Any optional → Site or Area Unknown
    Site tier 0 by [name] deferred []
      name: Any optional
    ");
}

/// Returns the owner of each field of a kind.
fn owners(project: &Project, schema: Option<&[SchemaKind]>, kind: &str) -> Vec<(String, Ownership)> {
    let resolved = resolve(project, schema).unwrap_or_else(|problems| panic!("{}", show(&problems)));
    let (_, kind) = resolved.model.kind(kind).unwrap();
    kind.fields.iter().map(|field| (field.name.clone(), field.ownership)).collect()
}

#[test]
fn the_nearest_ownership_wins_and_identifiers_are_always_the_sources() {
    let mappings = "  - name: Device
    identifiers: [name]
    ownership: create-only
    fields:
      - {name: name, mapping: n}
      - {name: serial, mapping: s}
      - {name: site, mapping: site, reference: Site, ownership: source}
      - {name: place, mapping: p, reference: Site, ownership: destination}
  - {name: Site, identifiers: [name], ownership: source, fields: [{name: name, mapping: n}, {name: slug, mapping: s}]}
  - {name: Port, identifiers: [name], fields: [{name: name, mapping: n}, {name: device, mapping: d, reference: Device}]}
";
    let text = format!("{HEAD}ownership: merge\nschema_mapping:\n{mappings}");
    let project = Project::parse(&text, Path::new("config.yml"), &|_: &str| None).unwrap();
    let of = |kind: &str| owners(&project, Some(&schema()), kind).into_iter().map(|(_, owner)| owner).collect::<Vec<_>>();
    assert_eq!(of("Device"), [Ownership::Usual, Ownership::CreateOnly, Ownership::Source, Ownership::Destination]);
    // `source` of a mapping is the usual rule; `merge` of the project is for its lists.
    assert_eq!(of("Site"), [Ownership::Usual, Ownership::Usual]);
    assert_eq!(of("Port"), [Ownership::Usual, Ownership::Usual]);
    let without_schema: Vec<Ownership> = owners(&project, None, "Port").into_iter().map(|(_, owner)| owner).collect();
    assert_eq!(without_schema, [Ownership::Usual, Ownership::Merge]);
}

#[test]
fn an_ownership_that_cannot_be_is_reported_at_its_place() {
    let device = |fields: &str| {
        let mappings = format!("{SITE}  - {{name: Device, identifiers: [name], fields: [{fields}]}}\n");
        outcome(&project(&mappings), Some(&schema()))
    };
    let reported = |text: &str, words: &[&str]| {
        assert!(text.starts_with("error: "), "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "`{word}` is not in\n{text}"));
    };
    let identifier = device("{name: name, mapping: n, ownership: create-only}");
    reported(
        &identifier,
        &["`Device.name` identifies `Device`, so its ownership cannot be `create-only`", "config.yml:6:", "remove `ownership` here"],
    );
    let single = device("{name: name, mapping: n}, {name: serial, mapping: s, ownership: merge}");
    reported(
        &single,
        &["`Device.serial` holds a single value, so its ownership cannot be `merge`", "(schema_mapping[1].fields[1].ownership)"],
    );
    let reference = device("{name: name, mapping: n}, {name: site, mapping: s, reference: Site, ownership: merge}");
    reported(&reference, &["`Device.site` holds a single value", "write `source`, `create-only` or `destination`"]);
    let mandatory = device("{name: name, mapping: n, ownership: destination}");
    reported(&mandatory, &["the destination cannot create a `Device` without `name`"]);
    let two = format!(
        "{SITE}  - {{name: Site, fields: [{{name: name, mapping: n}}, {{name: slug, mapping: s, ownership: destination}}]}}\n  \
         - {{name: Site, fields: [{{name: name, mapping: n}}, {{name: slug, mapping: s}}]}}\n"
    );
    let two = outcome(&project(&two), Some(&schema()));
    reported(&two, &["`Site.slug` has the ownership `source` here and `destination` on line 6", "config.yml:7:", "a field has one owner"]);
}
