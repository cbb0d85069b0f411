use infrahub_sync_base::limits::Limits;
use infrahub_sync_core::guardrail::DeleteLimit;
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::*;

/// A project that is right; the tests break it.
const GOOD: &str = r#"name: from-netbox
source:
  name: netbox
  settings:
    url: "${NETBOX}/api"
    token: "secret-of-mine"
    nested: {list: ["${NETBOX}", 1, yes]}
destination:
  name: infrahub
schema_mapping:
  - name: BuiltinTag
    mapping: extras.tags
    identifiers: [name]
    fields:
      - name: name
        mapping: name
  - name: DcimDevice
    mapping: dcim.devices
    identifiers: ["name", "site"]
    filters:
      - field: status.value
        operation: "in"
        value: [active, planned]
    transforms:
      - field: name
        expression: "{{ name | upper }}"
      - field: role
        expression: |
          {% set x = 1 %}
          {{ x }}
    fields:
      - name: name
        mapping: name
      - name: site
        mapping: site
        reference: LocationSite
      - name: tags
        mapping: tags
        reference: BuiltinTag
      - name: kind
        static: physical
      - name: parent
        static: Munich
        reference: LocationSite
      - name: note
  - name: LocationSite
    identifiers: [name]
    fields: [{name: name, mapping: name}]
"#;

fn environment(name: &str) -> Option<String> {
    (name == "NETBOX").then(|| "http://netbox".to_owned())
}

fn parse_text(text: &str) -> Result<Project, Vec<Problem>> {
    Project::parse(text, Path::new("sync/config.yml"), &environment)
}

fn good() -> Project {
    parse_text(GOOD).unwrap()
}

fn show(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// The problems after a replacement in the good project.
fn broken(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    match parse_text(&GOOD.replacen(from, to, 1)) {
        Ok(project) => show(&project.warnings),
        Err(problems) => show(&problems),
    }
}

#[test]
fn a_good_project_is_read_whole() {
    let project = good();
    assert_eq!(project.warnings, []);
    assert_eq!((project.name.as_str(), project.directory.as_path()), ("from-netbox", Path::new("sync")));
    assert_eq!(project.source.settings["url"], json!("http://netbox/api"));
    assert_eq!(project.source.settings["nested"], json!({ "list": ["http://netbox", 1, true] }));
    assert_eq!(project.flags, Flags { create: true, update: true, delete: false });
    assert_eq!(project.incremental.full_resync_every, 10);
    let device = &project.schema_mapping[1];
    assert_eq!(device.identifiers.as_deref(), Some(&["name".to_owned(), "site".to_owned()][..]));
    assert_eq!(device.filters[0].value, Some(json!(["active", "planned"])));
    assert_eq!(device.transforms[1].expression, "{% set x = 1 %}\n{{ x }}\n");
    assert_eq!((device.transforms[0].span.line, device.transforms[1].span.line), (26, 29));
    let sources: Vec<_> = device.fields.iter().map(|field| field.source.clone()).collect();
    assert_eq!(sources[0], FieldSource::Path("name".to_owned()));
    assert_eq!(sources[1], FieldSource::Reference("site".to_owned()));
    assert_eq!(sources[3], FieldSource::Static(json!("physical")));
    assert_eq!(sources[4], FieldSource::Static(json!("Munich")));
    assert_eq!(device.fields[4].references, ["LocationSite"]);
    assert_eq!(sources[5], FieldSource::Unmapped);
    assert_eq!(project.schema_mapping[2].mapping, None);
}

#[test]
fn a_debug_print_shows_no_setting() {
    let shown = format!("{:?}", good());
    assert!(!shown.contains("secret-of-mine") && shown.contains("token"), "{shown}");
}

#[test]
fn unknown_and_missing_keys() {
    assert_snapshot!(broken("identifiers: [name]", "identifers: [name]"), @r"
    error: unknown key `identifers`
      --> sync/config.yml:13:5 (schema_mapping[0].identifers)
       |
    13 |     identifers: [name]
       |     ^^^^^^^^^^

    hint: did you mean `identifiers`?
    ");
    assert_snapshot!(broken("destination:\n", "destinatoin:\n"), @r"
    error: the key `destination` is missing
     --> sync/config.yml:1:1 (destination)
      |
    1 | name: from-netbox
      | ^
    error: unknown key `destinatoin`
     --> sync/config.yml:8:1 (destinatoin)
      |
    8 | destinatoin:
      | ^^^^^^^^^^^

    hint: did you mean `destination`?
    ");
    assert_snapshot!(broken("  name: infrahub", "  adapter: x"), @r"
    error: the key `name` is missing
     --> sync/config.yml:9:3 (destination.name)
      |
    9 |   adapter: x
      |   ^
    ");
    assert_snapshot!(broken("      - name: kind\n", "      - nome: kind\n        colour: red\n"), @r"
    error: unknown key `nome`
      --> sync/config.yml:40:9 (schema_mapping[1].fields[3].nome)
       |
    40 |       - nome: kind
       |         ^^^^

    hint: did you mean `name`?
    error: the key `name` is missing
      --> sync/config.yml:40:9 (schema_mapping[1].fields[3].name)
       |
    40 |       - nome: kind
       |         ^
    error: unknown key `colour`
      --> sync/config.yml:41:9 (schema_mapping[1].fields[3].colour)
       |
    41 |         colour: red
       |         ^^^^^^

    hint: known keys: `name`, `mapping`, `destination_mapping`, `static`, `reference`, `ownership`
    ");
    assert_snapshot!(broken("name: from-netbox\n", "name:\n"), @r"
    error: `name` has no value
     --> sync/config.yml:1:5 (name)
      |
    1 | name:
      |     ^
    ");
    assert_snapshot!(broken("schema_mapping:\n", "schema_mapping: []\nx:\n"), @r"
    error: nothing is mapped
      --> sync/config.yml:10:17 (schema_mapping)
       |
    10 | schema_mapping: []
       |                 ^

    hint: map at least one kind: `- {name: …, mapping: …, identifiers: […], fields: […]}`
    error: unknown key `x`
      --> sync/config.yml:11:1 (x)
       |
    11 | x:
       | ^

    hint: known keys: `name`, `description`, `source`, `destination`, `adapters_path`, `store`, `order`, `delete_along`, `schema_mapping`, `ownership`, `diffsync_flags`, `trust`, `incremental`, `on_conflict`, `max_deletes`, `max_failures`, `converge`, `deletes`, `updates`
    ");
}

#[test]
fn wrong_types() {
    assert_snapshot!(broken("identifiers: [name]", "identifiers: name"), @r"
    error: expected a list, found text
      --> sync/config.yml:13:18 (schema_mapping[0].identifiers)
       |
    13 |     identifiers: name
       |                  ^^^^

    hint: write `identifiers: [name]`
    ");
    assert_snapshot!(broken("name: BuiltinTag", "name: no"), @r#"
    error: expected text, found `no`, which YAML reads as the boolean `false`
      --> sync/config.yml:11:11 (schema_mapping[0].name)
       |
    11 |   - name: no
       |           ^^

    hint: put it in quotes, if it is a name: "no"
    "#);
    assert_snapshot!(broken("mapping: extras.tags", "mapping: 12"), @r#"
    error: expected text, found the number 12
      --> sync/config.yml:12:14 (schema_mapping[0].mapping)
       |
    12 |     mapping: 12
       |              ^^

    hint: put it in quotes, if it is a name: "12"
    "#);
    assert_snapshot!(broken("mapping: extras.tags", "mapping: ''"), @r"
    error: `mapping` is empty
      --> sync/config.yml:12:14 (schema_mapping[0].mapping)
       |
    12 |     mapping: ''
       |              ^^

    hint: fill it in, or remove the key
    ");
    assert_snapshot!(broken("fields: [{name: name, mapping: name}]", "fields: {name: name}"), @r"
    error: expected a list, found a mapping of keys to values
      --> sync/config.yml:48:13 (schema_mapping[2].fields)
       |
    48 |     fields: {name: name}
       |             ^
    ");
    assert_snapshot!(broken("fields: [{name: name, mapping: name}]", "fields: [name]"), @r"
    error: expected a mapping of keys to values, found text
      --> sync/config.yml:48:14 (schema_mapping[2].fields[0])
       |
    48 |     fields: [name]
       |              ^^^^
    ");
    assert_snapshot!(broken("fields: [{name: name, mapping: name}]", "fields: []"), @r"
    error: this mapping has no fields
      --> sync/config.yml:46:11 (schema_mapping[2].fields)
       |
    46 |   - name: LocationSite
       |           ^^^^^^^^^^^^

    hint: name them: `fields: [{name: …, mapping: …}]`
    ");
    assert_snapshot!(broken("name: from-netbox", "name: from/netbox"), @r"
    error: the sync's name `from/netbox` cannot be the name of a folder
     --> sync/config.yml:1:7 (name)
      |
    1 | name: from/netbox
      |       ^^^^^^^^^^^

    hint: leave out `/`, `\` and control characters, as in `from-netbox`
    ");
    assert_snapshot!(broken("name: from-netbox", "name: .."), @r"
    error: the sync's name `..` cannot be the name of a folder
     --> sync/config.yml:1:7 (name)
      |
    1 | name: ..
      |       ^^

    hint: leave out `/`, `\` and control characters, as in `from-netbox`
    ");
}

#[test]
fn filters() {
    assert_snapshot!(broken("operation: \"in\"", "operation: not_in"), @r"
    error: unknown filter operation `not_in`
      --> sync/config.yml:22:20 (schema_mapping[1].filters[0].operation)
       |
    22 |         operation: not_in
       |                    ^^^^^^

    hint: did you mean `not in`?
    ");
    assert_snapshot!(broken("operation: \"in\"", "operation: '>'"), @r"
    error: expected a number for `>`, found a list
      --> sync/config.yml:23:16 (schema_mapping[1].filters[0].value)
       |
    23 |         value: [active, planned]
       |                ^
    ");
    assert_snapshot!(broken("        value: [active, planned]\n", ""), @r#"
    error: the operation `in` needs a `value`: a list, or text
      --> sync/config.yml:22:20 (schema_mapping[1].filters[0].value)
       |
    22 |         operation: "in"
       |                    ^^^^
    "#);
    assert_eq!(broken("operation: \"in\"\n        value: [active, planned]", "operation: is_empty"), "");
}

#[test]
fn static_wins_over_mapping_unless_it_is_null() {
    let source = |field: &str| {
        let text =
            GOOD.replacen("name: kind\n        static: physical", &format!("name: kind\n        {}", field.replace('|', "\n        ")), 1);
        let field = parse_text(&text).unwrap().schema_mapping.remove(1).fields.remove(3);
        (field.source, field.destination_mapping)
    };
    let path = |path: &str| Some(path.to_owned());
    for falsy in ["false", "0", "''", "[]", "{}"] {
        let (read, written) = source(&format!("static: {falsy}|mapping: kind"));
        assert!(matches!(read, FieldSource::Static(_)), "{falsy}: {read:?}");
        assert_eq!(written, path("kind"));
    }
    assert_eq!(source("static:|mapping: kind"), (FieldSource::Path("kind".to_owned()), path("kind")));
    assert_eq!(source("static: ~"), (FieldSource::Unmapped, None));
    assert_eq!(source("static: 1|destination_mapping: type"), (FieldSource::Static(json!(1)), path("type")));
    // Beside `reference`, the literal names the peer, and null leaves that to `mapping`.
    assert_eq!(source("static: Munich__1|mapping: kind|reference: LocationSite"), (FieldSource::Static(json!("Munich__1")), path("kind")));
    assert_eq!(source("static: 0|reference: LocationSite"), (FieldSource::Static(json!(0)), None));
    assert_eq!(source("static: ~|mapping: place|reference: LocationSite"), (FieldSource::Reference("place".to_owned()), path("place")));
}

#[test]
fn destination_has_its_own_list_and_paths() {
    let text = GOOD.replacen("mapping: dcim.devices", "mapping: dcim.devices\n    destination_mapping: devices", 1).replacen(
        "name: site\n        mapping: site",
        "name: site\n        mapping: site\n        destination_mapping: location",
        1,
    );
    let project = parse_text(&text).unwrap();
    assert_eq!(project.warnings, []);
    let resources = |at: usize| [Side::Source, Side::Destination].map(|side| project.schema_mapping[at].resource(side));
    assert_eq!(
        [resources(0), resources(1), resources(2)],
        [[Some("extras.tags"), Some("extras.tags")], [Some("dcim.devices"), Some("devices")], [None, None]]
    );
    let paths: Vec<Option<&str>> = project.schema_mapping[1].fields.iter().map(|field| field.destination_mapping.as_deref()).collect();
    assert_eq!(paths, [Some("name"), Some("location"), Some("tags"), None, None, None]);
    assert_snapshot!(broken("mapping: dcim.devices", "destination_maping: x\n    destination_mapping: ' '"), @r"
    error: unknown key `destination_maping`
      --> sync/config.yml:18:5 (schema_mapping[1].destination_maping)
       |
    18 |     destination_maping: x
       |     ^^^^^^^^^^^^^^^^^^

    hint: did you mean `destination_mapping`?
    error: `destination_mapping` is empty
      --> sync/config.yml:19:26 (schema_mapping[1].destination_mapping)
       |
    19 |     destination_mapping: ' '
       |                          ^^^

    hint: fill it in, or remove the key
    ");
}

#[test]
fn headers_are_texts_by_name() {
    let with = |headers: &str| GOOD.replacen("  settings:\n", &format!("  settings:\n    headers: {headers}\n"), 1);
    let project = parse_text(&with("{X-Scope-OrgID: 7, Authorization: 'Bearer ${NETBOX}', X-Empty: '', X-None: null}")).unwrap();
    let headers = json!({"X-Scope-OrgID": "7", "Authorization": "Bearer http://netbox", "X-Empty": ""});
    assert_eq!(project.source.settings["headers"], headers);
    let shown = format!("{project:?}");
    assert!(shown.contains("headers") && !shown.contains("Bearer"), "{shown}");
    assert_eq!(parse_text(&with("")).unwrap().source.settings["headers"], Value::Null);
    let problems = |headers: &str| show(&parse_text(&with(headers)).unwrap_err());
    assert_snapshot!(problems(r#"{"X Y": hush, X-A: hush, x-a: hush, X-B: "hu\nsh", X-C: [hush], X-D: "${NOT_SET}"}"#), @r"
    error: `X Y` is not the name of a header
     --> sync/config.yml:5:15 (source.settings.headers.X Y)
      |
    5 |     headers: ***
      |               ^^

    hint: a name has letters, digits and `-`, as `X-Scope-OrgID`
    error: the header `x-a` is here a second time: letter case does not count
     --> sync/config.yml:5:39 (source.settings.headers.x-a)

    hint: keep one of them
    error: the value of `X-B` cannot be sent in a header
     --> sync/config.yml:5:55 (source.settings.headers.X-B)

    hint: remove line breaks and other control characters
    error: expected the text of a header, found a list
     --> sync/config.yml:5:70 (source.settings.headers.X-C)
    error: the environment variable `NOT_SET` is not set
     --> sync/config.yml:5:83 (source.settings.headers.X-D)

    hint: set it: `export NOT_SET=…`
    ");
    assert_snapshot!(problems("hush"), @r"
    error: expected a mapping of keys to values, found text
     --> sync/config.yml:5:14 (source.settings.headers)
      |
    5 |     headers: ***
      |              ^^^
    ");
}

#[test]
fn filter_of_a_template_may_be_lent_by_the_adapter() {
    assert_eq!(broken("{{ name | upper }}", "{{ name | aci_device_name }}"), "");
    assert!(broken("{{ name | upper }}", "{{ name | }}").contains("schema_mapping[1].transforms[0].expression"));
}

#[test]
fn command_line_wins_over_the_project() {
    let project = ApplyRules { on_conflict: OnConflict::Overwrite, max_deletes: None, max_failures: Some(5), converge: None };
    assert_eq!(project.with(&ApplyOverrides::default()), project);
    let overrides =
        ApplyOverrides { max_failures: Some(7), on_conflict: Some(OnConflict::Refuse), max_deletes: Some(DeleteLimit::Rows(1)) };
    let rules =
        ApplyRules { on_conflict: OnConflict::Refuse, max_deletes: Some(DeleteLimit::Rows(1)), max_failures: Some(7), converge: None };
    assert_eq!(project.with(&overrides), rules);
}

#[test]
fn fields() {
    assert_snapshot!(broken("- name: note", "- name: kind\n        static: physical"), @r"
    warning: the field `kind` is mapped here a second time; the first is on line 40
      --> sync/config.yml:45:15 (schema_mapping[1].fields[5])
       |
    45 |       - name: kind
       |               ^^^^

    hint: remove one of them
    ");
    assert_snapshot!(broken("- name: note", "- name: kind\n        mapping: other"), @r"
    warning: the field `kind` is mapped here a second time; the first is on line 40
      --> sync/config.yml:45:15 (schema_mapping[1].fields[5])
       |
    45 |       - name: kind
       |               ^^^^

    hint: keep one of them; as it is, the last one that yields a value wins
    ");
}

#[test]
fn references() {
    let device = |to: &str| {
        let text = GOOD.replacen("mapping: tags\n        reference: BuiltinTag", to, 1);
        parse_text(&text).unwrap().schema_mapping.remove(1).fields.remove(2)
    };
    let several = device("mapping: tags\n        reference: [BuiltinTag, LocationSite]");
    assert_eq!(several.references, ["BuiltinTag", "LocationSite"]);
    assert_eq!(several.reference_spans.iter().map(|span| span.column).collect::<Vec<_>>(), [21, 33]);
    // A kind that is not mapped may be one of the destination's.
    assert_eq!(device("mapping: tags\n        reference: BuiltinThing").references, ["BuiltinThing"]);
    // Without `mapping`, the value is at the field's own name.
    let own = device("reference: BuiltinTag");
    assert_eq!((own.source, own.destination_mapping), (FieldSource::Reference("tags".to_owned()), None));
    assert_snapshot!(broken("reference: BuiltinTag", "reference: [BuiltinTag, BuiltinTag]"), @r"
    warning: `reference` names `BuiltinTag` twice
      --> sync/config.yml:39:33 (schema_mapping[1].fields[2].reference)
       |
    39 |         reference: [BuiltinTag, BuiltinTag]
       |                                 ^^^^^^^^^^

    hint: remove one of them
    ");
    assert_snapshot!(broken("reference: BuiltinTag", "reference: []"), @r"
    error: `reference` names no kind
      --> sync/config.yml:39:20 (schema_mapping[1].fields[2].reference)
       |
    39 |         reference: []
       |                    ^

    hint: name one, as in `reference: LocationSite`, or remove the key
    ");
}

#[test]
fn identifiers() {
    assert_snapshot!(broken("[\"name\", \"site\"]", "[nme, name, name]"), @r"
    error: the identifier `nme` is not a field of `DcimDevice`
      --> sync/config.yml:19:19 (schema_mapping[1].identifiers[0])
       |
    19 |     identifiers: [nme, name, name]
       |                   ^^^

    hint: did you mean `name`?
    error: the identifier `name` is named twice
      --> sync/config.yml:19:30 (schema_mapping[1].identifiers[2])
       |
    19 |     identifiers: [nme, name, name]
       |                              ^^^^

    hint: keep one of them
    ");
    let again = "  - name: BuiltinTag\n    identifiers: [slug]\n    fields: [{name: slug, mapping: slug}]\n  - name: LocationSite";
    assert_snapshot!(broken("  - name: LocationSite", again), @r"
    error: `BuiltinTag` is identified by `slug` here and by `name` on line 13
      --> sync/config.yml:47:19 (schema_mapping[2].identifiers)
       |
    47 |     identifiers: [slug]
       |                   ^^^^

    hint: a kind has one natural key: give the same identifiers, or give them once
    ");
    // Their order is the first one's, and they may be given once for every mapping of the kind.
    let turned = "  - name: DcimDevice\n    identifiers: [site, name]\n    fields: [{name: name, mapping: name}]\n  - name: LocationSite";
    assert_eq!(broken("  - name: LocationSite", turned), "");
    let once = again.replace("    identifiers: [slug]\n", "");
    assert_eq!(broken("  - name: LocationSite", &once), "");
}

#[test]
fn order() {
    let with = |order: &str| broken("destination:\n", &format!("order: {order}\ndestination:\n"));
    assert_eq!(with("[BuiltinTag, LocationSite, DcimDevice]"), "");
    assert_snapshot!(with("[BuiltinTag, LocationSites, DcimDevice, BuiltinTag]"), @r"
    warning: kinds that are not in `order` are not synced: `LocationSite`
     --> sync/config.yml:8:9 (order)
      |
    8 | order: [BuiltinTag, LocationSites, DcimDevice, BuiltinTag]
      |         ^^^^^^^^^^

    hint: add them to `order`, or remove `order`: the right order is computed without it
    error: `order` names `LocationSites`, which is not mapped
     --> sync/config.yml:8:21 (order[1])
      |
    8 | order: [BuiltinTag, LocationSites, DcimDevice, BuiltinTag]
      |                     ^^^^^^^^^^^^^

    hint: did you mean `LocationSite`?
    error: `order` names `BuiltinTag` a second time
     --> sync/config.yml:8:48 (order[3])
      |
    8 | order: [BuiltinTag, LocationSites, DcimDevice, BuiltinTag]
      |                                                ^^^^^^^^^^

    hint: keep one of them
    error: `DcimDevice.site` refers to `LocationSite`, which is not in `order`
      --> sync/config.yml:37:20 (schema_mapping[1].fields[1].reference)
       |
    37 |         reference: LocationSite
       |                    ^^^^^^^^^^^^

    hint: add `LocationSite` to `order`, or take the field out: its peers are not read
    error: `DcimDevice.parent` refers to `LocationSite`, which is not in `order`
      --> sync/config.yml:45:20 (schema_mapping[1].fields[4].reference)
       |
    45 |         reference: LocationSite
       |                    ^^^^^^^^^^^^

    hint: add `LocationSite` to `order`, or take the field out: its peers are not read
    ");
    assert_snapshot!(with("[BuiltinTag]"), @r"
    warning: kinds that are not in `order` are not synced: `DcimDevice`, `LocationSite`
     --> sync/config.yml:8:9 (order)
      |
    8 | order: [BuiltinTag]
      |         ^^^^^^^^^^

    hint: add them to `order`, or remove `order`: the right order is computed without it
    ");
}

#[test]
fn the_reach_of_a_run_and_ownership_are_words() {
    let with = |lines: &str| {
        let text = format!("{GOOD}{lines}\n");
        match parse_text(&text) {
            Ok(project) => {
                format!("{:?} {:?} {:?}", project.reaches.deletes, project.reaches.updates, project.ownership.map(|owned| owned.ownership))
            }
            Err(problems) => show(&problems),
        }
    };
    assert_snapshot!(with(""), @"Owned All None");
    assert_snapshot!(with("deletes: all\nupdates: owned\nownership: create-only"), @"All Owned Some(CreateOnly)");
    assert_snapshot!(with("deletes: some"), @r"
    error: `some` is neither `owned` nor `all`
      --> sync/config.yml:49:10 (deletes)
       |
    49 | deletes: some
       |          ^^^^

    hint: `owned` reaches the objects that this sync made or adopted, `all` reaches every object of the mapped kinds
    ");
    assert_snapshot!(with("ownership: create_only"), @r"
    error: unknown ownership `create_only`
      --> sync/config.yml:49:12 (ownership)
       |
    49 | ownership: create_only
       |            ^^^^^^^^^^^

    hint: did you mean `create-only`?
    ");
}

#[test]
fn flags() {
    let with = |flags: &str| {
        let text = format!("{GOOD}diffsync_flags: {flags}\n");
        match parse_text(&text) {
            Ok(project) => format!("{:?}\n{}", project.flags, show(&project.warnings)),
            Err(problems) => show(&problems),
        }
    };
    assert_snapshot!(with("[]"), @r"Flags { create: true, update: true, delete: false }");
    assert_snapshot!(with("[SKIP_UNMATCHED_BOTH, SKIP_MODIFIED]"), @r"Flags { create: false, update: false, delete: false }");
    assert_snapshot!(with("[4, 2]"), @r"Flags { create: false, update: true, delete: false }");
    assert_snapshot!(with("[CONTINUE_ON_FAILURE]"), @r"
    Flags { create: true, update: true, delete: true }
    warning: these flags replace the default `SKIP_UNMATCHED_DST`: objects that only the destination has may be deleted
      --> sync/config.yml:49:17 (diffsync_flags)
       |
    49 | diffsync_flags: [CONTINUE_ON_FAILURE]
       |                 ^

    hint: add `SKIP_UNMATCHED_DST` to keep them
    ");
    assert_snapshot!(with("[SKIP_UNMATCHED_DTS, yes]"), @r"
    error: unknown flag `SKIP_UNMATCHED_DTS`
      --> sync/config.yml:49:18 (diffsync_flags[0])
       |
    49 | diffsync_flags: [SKIP_UNMATCHED_DTS, yes]
       |                  ^^^^^^^^^^^^^^^^^^

    hint: did you mean `SKIP_UNMATCHED_DST`?
    error: expected the name of a flag, found `yes`, which YAML reads as the boolean `true`
      --> sync/config.yml:49:38 (diffsync_flags[1])
       |
    49 | diffsync_flags: [SKIP_UNMATCHED_DTS, yes]
       |                                      ^^^
    ");
    assert_snapshot!(with("NONE"), @r"
    error: expected a list, found text
      --> sync/config.yml:49:17 (diffsync_flags)
       |
    49 | diffsync_flags: NONE
       |                 ^^^^

    hint: write `diffsync_flags: [NONE]`
    ");
}

#[test]
fn environment_variables() {
    let shown = broken("token: \"secret-of-mine\"", "token: \"${TOKEN}\"\n    other: \"secret-of-mine ${NO} ${not a name}\"");
    assert_snapshot!(shown, @r#"
    error: the environment variable `TOKEN` is not set
     --> sync/config.yml:6:12 (source.settings.token)
      |
    6 |     token: "${TOKEN}"
      |            ^^^^^^^^^^

    hint: set it: `export TOKEN=…`
    error: the environment variable `NO` is not set
     --> sync/config.yml:7:12 (source.settings.other)
      |
    7 |     other: ***
      |            ^^^

    hint: set it: `export NO=…`
    warning: `${` does not begin a variable here; the text stays as it is
     --> sync/config.yml:7:12 (source.settings.other)
      |
    7 |     other: ***
      |            ^^^

    hint: a variable is written `${NAME}`, its name in letters, digits and `_`
    "#);
}

#[test]
fn a_setting_that_is_wrong_is_not_shown() {
    let shown =
        broken("token: \"secret-of-mine\"", "token: \"${TOKEN}\"\n    x: \"secret-of-mine ${NO}\"\n    y:\n      - secret-of-mine ${NO}");
    assert!(!shown.contains("secret-of-mine") && shown.matches("is not set").count() == 3, "{shown}");
    let shown = broken("    token: \"secret-of-mine\"", "    token: \"secret-of-mine\"\n    token: \"secret-of-mine\"");
    assert!(!shown.contains("secret-of-mine") && shown.contains("a second time"), "{shown}");
}

#[test]
fn line_ends_and_byte_order_marks_do_not_matter() {
    let project = parse_text(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))).unwrap();
    assert_eq!(project.name, "from-netbox");
    let problems = parse_text(&GOOD.replace("in\"", "inn\"").replace('\n', "\r\n")).unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (22, 20));
}

#[test]
fn adapters() {
    let with = |adapter: &str| {
        let text = GOOD.replacen("  name: netbox\n", &format!("  name: mockdb\n  adapter: {adapter}\n"), 1);
        parse_text(&text).map(|project| project.source.adapter.unwrap()).map_err(|problems| show(&problems))
    };
    assert_eq!(with("./adapters/mock.wasm"), Ok(AdapterLocation::Component("./adapters/mock.wasm".into())));
    assert_eq!(with("C:/adapters/mock.wasm"), Ok(AdapterLocation::Component("C:/adapters/mock.wasm".into())));
    assert_eq!(with("./adapters"), Ok(AdapterLocation::Folder("./adapters".into())));
    assert_eq!(with("genericrestapi"), Ok(AdapterLocation::Name("genericrestapi".into())));
    assert_snapshot!(with("./src/mock_db.py:MockdbAdapter").unwrap_err(), @r"
    error: `./src/mock_db.py:MockdbAdapter` is Python code, which this program cannot load
     --> sync/config.yml:4:12 (source.adapter)
      |
    4 |   adapter: ./src/mock_db.py:MockdbAdapter
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    hint: adapters are WebAssembly components here: `infrahub-sync adapter new mockdb --from-python ./src/mock_db.py:MockdbAdapter` makes the folder of one from this class, and `infrahub-sync adapter build mockdb` the component; then write `adapter: ./mockdb/mockdb.wasm`
    ");
    assert_snapshot!(with("mycompany.adapters.mock").unwrap_err(), @r"
    error: `mycompany.adapters.mock` is Python code, which this program cannot load
     --> sync/config.yml:4:12 (source.adapter)
      |
    4 |   adapter: mycompany.adapters.mock
      |            ^^^^^^^^^^^^^^^^^^^^^^^

    hint: adapters are WebAssembly components here: `infrahub-sync adapter new mock --from-python FILE.py:CLASS` makes the folder of one from this class, and `infrahub-sync adapter build mock` the component; then write `adapter: ./mock/mock.wasm`
    ");
    assert!(with("adapters/mock:Mock").is_err());
    assert_eq!(with("oci://ghcr.io/acme/mock:1"), Ok(AdapterLocation::Origin("oci://ghcr.io/acme/mock:1".parse().unwrap())));
    assert_eq!(
        with("https://acme.example.org/mock.wasm"),
        Ok(AdapterLocation::Origin("https://acme.example.org/mock.wasm".parse().unwrap()))
    );
    assert_snapshot!(with("oci://ghcr.io/acme/mock").unwrap_err(), @r"
    error: `oci://ghcr.io/acme/mock` names no version
     --> sync/config.yml:4:12 (source.adapter)
      |
    4 |   adapter: oci://ghcr.io/acme/mock
      |            ^^^^^^^^^^^^^^^^^^^^^^^

    hint: write the tag of a version, such as `oci://ghcr.io/acme/mock:1`
    ");
    assert_snapshot!(with("ftp://acme.example.org/mock.wasm").unwrap_err(), @r"
    error: `ftp://acme.example.org/mock.wasm` has the scheme `ftp://`, which no adapter comes from
     --> sync/config.yml:4:12 (source.adapter)
      |
    4 |   adapter: ftp://acme.example.org/mock.wasm
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    hint: write `oci://HOST/NAME:TAG` or `https://HOST/NAME.wasm`
    ");
    assert_snapshot!(with("https://me:secret-of-mine@acme.example.org/mock.wasm").unwrap_err(), @r"
    error: this address holds a credential, which the lock file would repeat
     --> sync/config.yml:4:12 (source.adapter)

    hint: leave user and password out of it: registries take those of `docker login`
    ");
}

#[test]
fn trust_names_keys_and_origins() {
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let with =
        |trust: &str| parse_text(&format!("{GOOD}trust: {trust}\n")).map(|project| project.trust).map_err(|problems| show(&problems));
    let trust = with(&format!("[{{origins: [\"oci://ghcr.io/acme/*\"], keys: [{KEY}]}}]")).unwrap();
    let keys =
        |origin: &str| trust.keys(&origin.parse().unwrap()).map(|keys| keys.iter().map(|key| key.id()).collect::<Vec<_>>().join(" "));
    assert_eq!(keys("oci://ghcr.io/acme/x:1").as_deref(), Some("E7620F1842B4E81F"));
    assert_eq!(keys("oci://ghcr.io/other/x:1").as_deref(), Some(""));
    assert_eq!(parse_text(GOOD).unwrap().trust.keys(&"oci://h/x:1".parse().unwrap()), None);
    assert_snapshot!(with(&format!("[{{origins: [ghcr.io/acme, \"oci://h/x:1\"], keys: [{}]}}]", &KEY[2..])).unwrap_err(), @r#"
    error: this is not an address
      --> sync/config.yml:49:20 (trust[0].origins[0])
       |
    49 | trust: [{origins: [ghcr.io/acme, "oci://h/x:1"], keys: [Qf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3]}]
       |                    ^^^^^^^^^^^^

    hint: write an address such as `oci://ghcr.io/acme/statusboard`, or `oci://ghcr.io/acme/*` for all below it
    error: this names a tag or a digest
      --> sync/config.yml:49:34 (trust[0].origins[1])
       |
    49 | trust: [{origins: [ghcr.io/acme, "oci://h/x:1"], keys: [Qf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3]}]
       |                                  ^^^^^^^^^^^^^

    hint: write an address such as `oci://ghcr.io/acme/statusboard`, or `oci://ghcr.io/acme/*` for all below it
    error: this is not a public key of minisign
      --> sync/config.yml:49:57 (trust[0].keys[0])

    hint: write the second line of the publisher's `.pub` file: 56 characters that begin with `RW`
    "#);
    assert_snapshot!(with("[{keys: []}]").unwrap_err(), @r"
    error: the key `origins` is missing
      --> sync/config.yml:49:9 (trust[0].origins)
       |
    49 | trust: [{keys: []}]
       |         ^
    ");
}

#[test]
fn what_has_no_effect_is_said() {
    let text = format!("{GOOD}store: {{type: redis, settings: {{host: x}}}}\ndescription: text\n");
    let project = parse_text(&text).unwrap();
    assert!(project.store);
    assert_snapshot!(show(&project.warnings), @r"
    warning: `store` has no effect here
      --> sync/config.yml:49:8 (store)
       |
    49 | store: {type: redis, settings: {host: x}}
       |        ^

    hint: remove it: objects are compared in memory, no store is needed
    ");
}

#[test]
fn incremental() {
    let every = |text: &str| {
        let text = format!("{GOOD}incremental: {text}\n");
        parse_text(&text).map(|project| project.incremental.full_resync_every).map_err(|problems| show(&problems))
    };
    assert_eq!(every("{full_resync_every: 3}"), Ok(3));
    assert_eq!(every("{full_resync_every: '3'}"), Ok(3));
    assert_eq!(every("{}"), Ok(10));
    assert_snapshot!(every("{full_resync_every: -1}").unwrap_err(), @r"
    error: expected a whole number of 0 or more, found the number -1
      --> sync/config.yml:49:34 (incremental.full_resync_every)
       |
    49 | incremental: {full_resync_every: -1}
       |                                  ^^
    ");
    assert_snapshot!(every("{full_resync: 1}").unwrap_err(), @r"
    error: unknown key `full_resync`
      --> sync/config.yml:49:15 (incremental.full_resync)
       |
    49 | incremental: {full_resync: 1}
       |               ^^^^^^^^^^^

    hint: did you mean `full_resync_every`?
    ");
}

#[test]
fn other_files() {
    assert_snapshot!(show(&parse_text("").unwrap_err()), @r"
    error: the file is empty
     --> sync/config.yml
    ");
    assert_snapshot!(show(&parse_text("site_name: docs\nnav: []\n").unwrap_err()), @r"
    error: this file is not a project of infrahub-sync
     --> sync/config.yml:1:1
      |
    1 | site_name: docs
      | ^

    hint: a project has the keys `name`, `source`, `destination` and `schema_mapping`
    ");
    assert_snapshot!(show(&parse_text("- a\n").unwrap_err()), @r"
    error: expected a mapping of keys to values, found a list
     --> sync/config.yml:1:1
      |
    1 | - a
      | ^
    ");
    assert_snapshot!(show(&Project::load(Path::new("/nowhere/config.yml"), &environment).unwrap_err()), @r"
    error: cannot read the file: No such file or directory (os error 2)
     --> /nowhere/config.yml
    ");
}

#[test]
fn all_problems_come_at_once_and_in_file_order() {
    let text = GOOD
        .replace("name: from-netbox", "name: a/b")
        .replace("reference: BuiltinTag", "reference: Tag")
        .replace("operation: \"in\"", "operation: inn")
        .replace("  name: infrahub", "  nmae: infrahub");
    let problems = parse_text(&text).unwrap_err();
    let lines: Vec<u32> = problems.iter().map(|problem| problem.line).collect();
    assert!(lines.is_sorted(), "{lines:?}");
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_snapshot!(messages.join("\n"), @r"
    the sync's name `a/b` cannot be the name of a folder
    unknown key `nmae`
    the key `name` is missing
    unknown filter operation `inn`
    ");
}

#[test]
fn the_example_of_the_repository_is_a_good_project() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for found in crate::discover(&root).unwrap() {
        let all = |_: &str| Some("x".to_owned());
        let project = Project::load(&found.file, &all).unwrap_or_else(|problems| panic!("{}", show(&problems)));
        assert!(!project.schema_mapping.is_empty());
        crate::resolve(&project, None).unwrap_or_else(|problems| panic!("{}", show(&problems)));
    }
}

#[test]
fn rules_for_an_apply() {
    let project = |lines: &str| {
        let text = format!(
            "name: x\nsource: {{name: files}}\ndestination: {{name: files}}\n{lines}schema_mapping: [{{name: A, identifiers: [a], fields: [{{name: a, mapping: a}}]}}]\n"
        );
        Project::parse(&text, Path::new("config.yml"), &|_| None)
    };
    assert_eq!(project("").unwrap().apply, ApplyRules::default());
    let rules = project("on_conflict: overwrite\nmax_deletes: 20%\nmax_failures: 5\n").unwrap().apply;
    let expected = ApplyRules {
        on_conflict: OnConflict::Overwrite,
        max_deletes: Some(DeleteLimit::Percent(20)),
        max_failures: Some(5),
        converge: None,
    };
    assert_eq!(rules, expected);
    assert_eq!(project("max_deletes: 7\n").unwrap().apply.max_deletes, Some(DeleteLimit::Rows(7)));
    let problems = project("on_conflict: no\nmax_deletes: [1]\nmax_failures: -1\n").unwrap_err();
    let lines: Vec<u32> = problems.iter().filter(|problem| problem.is_error()).map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 5, 6], "{problems:?}");
}

/// The problems of a destination with these lines more, or what its debug print says.
fn abilities(lines: &str) -> String {
    match parse_text(&GOOD.replacen("destination:\n", &format!("destination:\n{lines}"), 1)) {
        Ok(project) => format!("{:?} {:?}\n", project.destination.limits, project.destination.grants),
        Err(problems) => show(&problems),
    }
}

#[test]
fn limits_and_grants_are_optional_and_per_side() {
    let project = good();
    assert_eq!((project.source.limits, project.source.grants), (Limits::default(), Grants::default()));
    assert_snapshot!(
        abilities("  limits: {memory: 512 MiB, call_time: 0.5, pages: 7}\n  grants: {origins: [\"HTTPS://cdn.example.com:443/\", \"https://cdn.example.com\", \"http://10.0.0.1:8080\"], networks: [10.1.2.3/8, \"fe80::1\", 10.0.0.0/8]}\n"),
        @r#"{"memory": "512 MiB", "call_time": "0.5 s", "pages": "7"} Grants { origins: ["https://cdn.example.com", "http://10.0.0.1:8080"], networks: [10.0.0.0/8, fe80::1/128], environment: [], visible: [], headers: [], credentials: None }"#
    );
}

#[test]
fn limits_have_names_units_and_ranges() {
    assert_snapshot!(abilities("  limits:\n    memmory: 1 GiB\n    memory: 10 GiB\n    call_time: soon\n    pages: [1]\n"), @r"
    error: unknown key `memmory`
      --> sync/config.yml:10:5 (destination.limits.memmory)
       |
    10 |     memmory: 1 GiB
       |     ^^^^^^^

    hint: did you mean `memory`?
    error: `memory` must be from 1 MiB to 4 GiB, not 10 GiB
      --> sync/config.yml:11:13 (destination.limits.memory)
       |
    11 |     memory: 10 GiB
       |             ^^^^^^

    hint: without it, it is 256 MiB: memory of one instance. Python needs 16 MiB to start, and a page of some megabytes that an adapter parses itself takes ten times its size
    error: `call_time` must be a number of seconds, such as `90` or `0.5`
      --> sync/config.yml:12:16 (destination.limits.call_time)
       |
    12 |     call_time: soon
       |                ^^^^

    hint: without it, it is 60: computing in one call, in the time of the processor; waiting for a system, a disk or a busy machine does not count
    error: `pages` must be a whole number
      --> sync/config.yml:13:12 (destination.limits.pages)
       |
    13 |     pages: [1]
       |            ^

    hint: without it, it is 100000: pages of one resource in a run. Ends a list that has no end
    ");
    assert_snapshot!(abilities("  limits: 5\n"), @r"
    error: expected a mapping of keys to values, found the number 5
     --> sync/config.yml:9:11 (destination.limits)
      |
    9 |   limits: 5
      |           ^
    ");
}

#[test]
fn grants_of_the_environment_are_names() {
    let granted = abilities("  grants: {environment: [VENDOR_TOKEN, VENDOR_TOKEN, OTHER]}\n");
    assert!(granted.contains(r#"environment: ["VENDOR_TOKEN", "OTHER"]"#), "{granted}");
    let granted = abilities("  grants: {headers: [X-Own, x-own]}\n");
    assert!(granted.contains(r#"headers: ["x-own"]"#), "{granted}");
    let told = abilities("  grants: {headers: [\"x-*\", \"a b\"]}\n");
    assert!(told.contains("`x-*` is not the name of a header") && told.contains("`a b` is not the name"), "{told}");
    let told = abilities("  grants: {environment: [\"VENDOR_*\", \"A=b\"]}\n");
    assert!(told.contains("`VENDOR_*` is not the name of an environment variable") && told.contains("`A=b` is not the name"), "{told}");
}

#[test]
fn grants_are_origins_and_networks() {
    assert_snapshot!(
        abilities("  grants:\n    origins: [\"https://cdn.example.com/x\", \"file:///etc\", \"https://*.example.com\"]\n    networks: [everything, 10.0.0.0/33]\n    files: [x]\n"),
        @r#"
    error: an origin is a scheme, a host and perhaps a port, as `https://cdn.example.com`
      --> sync/config.yml:10:15 (destination.grants.origins[0])
       |
    10 |     origins: ["https://cdn.example.com/x", "file:///etc", "https://*.example.com"]
       |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^

    hint: leave out what stands behind the host: `https://cdn.example.com`
    error: an origin is a scheme, a host and perhaps a port, as `https://cdn.example.com`
      --> sync/config.yml:10:44 (destination.grants.origins[1])
       |
    10 |     origins: ["https://cdn.example.com/x", "file:///etc", "https://*.example.com"]
       |                                            ^^^^^^^^^^^^^

    hint: it begins with `https://` or `http://`
    error: an origin is a scheme, a host and perhaps a port, as `https://cdn.example.com`
      --> sync/config.yml:10:59 (destination.grants.origins[2])
       |
    10 |     origins: ["https://cdn.example.com/x", "file:///etc", "https://*.example.com"]
       |                                                           ^^^^^^^^^^^^^^^^^^^^^^^

    hint: name each host: there are no wildcards
    error: `everything` is not a network
      --> sync/config.yml:11:16 (destination.grants.networks[0])
       |
    11 |     networks: [everything, 10.0.0.0/33]
       |                ^^^^^^^^^^

    hint: write a range such as `10.0.0.0/8` or `fd00::/8`, or a single address
    error: `10.0.0.0/33` is not a network
      --> sync/config.yml:11:28 (destination.grants.networks[1])
       |
    11 |     networks: [everything, 10.0.0.0/33]
       |                            ^^^^^^^^^^^

    hint: write a range such as `10.0.0.0/8` or `fd00::/8`, or a single address
    error: unknown key `files`
      --> sync/config.yml:12:5 (destination.grants.files)
       |
    12 |     files: [x]
       |     ^^^^^

    hint: known keys: `origins`, `networks`, `environment`, `visible`, `headers`, `credentials`
    "#
    );
    let shown = abilities("  grants: {origins: [\"https://joe:hunter2@example.com\"]}\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_snapshot!(shown, @r"
    error: an origin is a scheme, a host and perhaps a port, as `https://cdn.example.com`
     --> sync/config.yml:9:22 (destination.grants.origins[0])

    hint: leave out user and password: further origins are asked without credentials
    ");
}
