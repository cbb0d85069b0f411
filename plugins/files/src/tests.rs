//! Tests the adapter on the mock host: every format is read, written and read back.

use std::collections::BTreeMap;

use infrahub_sync_adapter::testing::{fail_once, file, first_page, load_all, page_records, put_file, reset, write_request};
use infrahub_sync_adapter::{
    Adapter, Error, ErrorKind, FieldType, LoadRequest, Operation, Outcome, Page, Result, Run, Target, TargetField, WriteRequest,
};
use serde_json::{Value, json};

use super::Files;

const FORMATS: [&str; 4] = ["jsonl", "json", "csv", "yaml"];

fn files(format: &str) -> Files {
    Files::configure(&json!({"path": "data", "format": format}).to_string()).unwrap()
}

fn source(settings: Value, resource: &str) -> Result<Vec<Value>> {
    let mut records = load_all(&Files::configure(&settings.to_string()).unwrap(), first_page(resource, &[]))?;
    // Where a record stands is for messages.
    records.iter_mut().filter_map(Value::as_object_mut).for_each(|record| drop(record.remove("@line")));
    Ok(records)
}

/// A request for a destination's objects.
fn of_destination(kind: &str) -> LoadRequest {
    LoadRequest { targets: vec![Target::new(kind)], ..first_page(kind, &[]) }
}

fn read_back(files: &Files, kind: &str) -> Vec<Value> {
    load_all(files, of_destination(kind)).unwrap()
}

/// A batch of `Device`, which is identified by its name and its site.
fn batch(operation: Operation, rows: &[Value]) -> WriteRequest {
    let target = Target::new("Device")
        .with_field(TargetField::new("name").identifying())
        .with_field(TargetField::new("site").referring_to(&["Site"]).identifying())
        .with_field(TargetField::new("tags").referring_to(&["Tag"]).many());
    write_request(&target, operation, rows)
}

fn key(name: &Value) -> Value {
    json!({"name": name, "site": {"kind": "Site", "key": {"name": "zrh"}}})
}

fn create(name: &Value, fields: Value) -> Value {
    let mut all = json!({"name": name, "site": {"kind": "Site", "key": {"name": "zrh"}, "id": "4"}});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"key": key(name), "fields": all})
}

fn update(name: &Value, fields: Value) -> Value {
    json!({"key": key(name), "id": null, "fields": fields})
}

fn delete(name: &Value) -> Value {
    json!({"key": key(name)})
}

fn stage(files: &Files, operation: Operation, rows: &[Value]) {
    let outcomes = files.write(&batch(operation, rows)).unwrap();
    assert_eq!(outcomes.len(), rows.len());
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Staged)), "{outcomes:?}");
}

fn commit(files: &Files) -> Result<()> {
    files.commit(&["Device".into()])
}

fn write(files: &Files, operation: Operation, rows: &[Value]) -> Result<()> {
    stage(files, operation, rows);
    commit(files)
}

fn text_of(path: &str) -> String {
    String::from_utf8(file(path).unwrap_or_else(|| panic!("no {path}"))).unwrap()
}

fn nothing_is_staged() {
    for path in [".Device.pending", ".Device.new", ".Device.base"] {
        assert_eq!(file(path), None, "{path}");
    }
}

// ------------------------------------------------------------------------------------------------------------- as source

#[test]
fn every_format_is_read() {
    reset();
    put_file("a.json", r#"[{"name": "Zürich 🔌", "n": 1}, {"name": "", "n": null}]"#);
    put_file("b.jsonl", "{\"name\": \"Zürich 🔌\", \"n\": 1}\n{\"name\": \"\", \"n\": null}\n");
    put_file("c.yml", "- {name: Zürich 🔌, n: 1}\n- name: ''\n  n: ~\n");
    put_file("d.json", r#"{"count": 2, "results": [{"name": "Zürich 🔌", "n": 1}, {"name": "", "n": null}]}"#);
    put_file("e.yaml", "e:\n- {name: Zürich 🔌, n: 1}\n- {name: '', n: ~}\n");
    for resource in ["a", "b", "c", "d", "e", "a.json", "c.yml"] {
        let records = source(json!({"path": "data"}), resource).unwrap();
        assert_eq!(records, [json!({"name": "Zürich 🔌", "n": 1}), json!({"name": "", "n": null})], "{resource}");
    }
    put_file("f.csv", "\u{feff}name,n,note\r\nZürich 🔌,1,\"two\nlines, \"\"quoted\"\"\"\r\n,007,\r\n");
    assert_eq!(
        source(json!({"path": "data"}), "f").unwrap(),
        [json!({"name": "Zürich 🔌", "n": "1", "note": "two\nlines, \"quoted\""}), json!({"name": null, "n": "007", "note": null})]
    );
}

#[test]
fn empty_files_have_no_records() {
    reset();
    for name in ["a.jsonl", "b.csv", "c.yaml"] {
        put_file(name, "");
    }
    put_file("d.json", "[]");
    put_file("e.csv", "name,site\n");
    for resource in ["a", "b", "c", "d", "e"] {
        assert!(source(json!({"path": "data"}), resource).unwrap().is_empty(), "{resource}");
    }
}

#[test]
fn a_missing_file_is_answered_with_what_is_there() {
    reset();
    put_file("sites.json", "[]");
    put_file("racks.csv", "");
    put_file(".Device.pending", "");
    let error = source(json!({"path": "data"}), "devices").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.ends_with("the folder has racks.csv, sites.json"), "{}", error.message);
    let error = source(json!({"path": "data", "format": "csv"}), "sites").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    put_file("sites.yaml", "[]");
    let error = source(json!({"path": "data"}), "sites").unwrap_err();
    assert!(error.message.contains("sites.json, sites.yaml"), "{}", error.message);
    assert!(source(json!({"path": "data", "format": "yaml"}), "sites").is_ok());
    assert!(source(json!({"path": "data"}), "sites.yaml").is_ok());
}

#[test]
fn files_that_are_no_lists_are_refused() {
    reset();
    put_file("a.json", r#"{"devices": {"a": 1}}"#);
    put_file("b.json", "no json");
    put_file("c.yaml", "a: b");
    put_file("d.yaml", "a: [");
    put_file("e.csv", "a,b\n1,2,3\n");
    put_file("f.csv", "a,a\n1,2\n");
    put_file("g.csv", b"a,b\n1,\xff\n");
    for resource in ["a", "b", "c", "d", "e", "f", "g"] {
        let error = source(json!({"path": "data"}), resource).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{resource}: {error:?}");
    }
    let error = source(json!({"path": "data"}), "e").unwrap_err();
    assert!(error.message.contains("`e.csv`, line 2: 3 cells, but the header has 2"), "{}", error.message);
    assert_eq!(Files::configure(r#"{"path": "data", "format": "xml"}"#).err().map(|error| error.kind), Some(ErrorKind::Config));
}

#[test]
fn dialects_of_csv_are_read() {
    let path = || json!({"path": "data"});
    let expected = [json!({"name": "ä", "serial": "x", "tags": "p/q"}), json!({"name": "b", "serial": "l1\nl2", "tags": null})];
    let utf16 = |text: &str, little: bool| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    };
    for delimiter in [";", "\t", "|", ","] {
        reset();
        let text = ["name, serial ,tags,", "ä,x,p/q", "", ",,", "b,\"l1\nl2\"", ""].join("\r\n").replace(',', delimiter);
        put_file("a.csv", text.clone());
        put_file("b.csv", utf16(&text, true));
        put_file("c.csv", utf16(&text, false));
        put_file("d.csv", text.chars().map(|c| c as u8).collect::<Vec<u8>>());
        put_file("below/e.csv", text);
        for (resource, settings) in [
            ("a", path()),
            ("b", path()),
            ("c", path()),
            ("d", json!({"path": "data", "encoding": "latin-1"})),
            ("below/e.csv", path()),
            ("below/e", path()),
        ] {
            assert_eq!(source(settings, resource).unwrap(), expected, "{resource} {delimiter:?}");
        }
        assert!(source(path(), "d").unwrap_err().message.contains("line 2: is not UTF-8: set `encoding`"));
    }
    reset();
    put_file("a.csv", "name;tags\na,b;x|y| z|\nc;d\n");
    let lists = source(json!({"path": "data", "delimiter": ";", "list_separator": "|"}), "a").unwrap();
    assert_eq!(lists, [json!({"name": "a,b", "tags": ["x", "y", "z"]}), json!({"name": "c", "tags": "d"})]);
    put_file("b.tsv", "name\tn\na,b\t1\n");
    assert_eq!(source(path(), "b").unwrap(), [json!({"name": "a,b", "n": "1"})]);
    put_file("c.csv", "a,b;c\n1,2;3\n4,5;6\n");
    assert_eq!(source(path(), "c").unwrap_err().message, "the delimiter of `c.csv` may be `,` or `;`: set `delimiter`");
    put_file("d.csv", "name,n\na,\"1\nb,2\n");
    assert_eq!(source(path(), "d").unwrap_err().message, "`d.csv`, line 2: a quote that begins here or below is not closed");
    for bytes in [&b"\xff\xfea\0,"[..], b"\xff\xfe\x00\xd8a\0"] {
        put_file("e.csv", bytes);
        assert!(source(path(), "e").unwrap_err().message.starts_with("`e.csv` is not in its encoding"));
    }
    for wrong in [json!({"path": "data", "delimiter": "ab"}), json!({"path": "data", "encoding": "klingon"})] {
        assert_eq!(Files::configure(&wrong.to_string()).err().map(|error| error.kind), Some(ErrorKind::Config));
    }
}

#[test]
fn record_that_stands_elsewhere_names_its_line() {
    reset();
    put_file("a.csv", "name,note\na,1\nb,\"x\ny\"\n\nc,2\nd,3\n");
    let load = |resource: &str| load_all(&Files::configure(r#"{"path": "data"}"#).unwrap(), first_page(resource, &[])).unwrap();
    let lines = |records: Vec<Value>| records.iter().map(|record| record.get("@line").and_then(Value::as_u64)).collect::<Vec<_>>();
    assert_eq!(lines(load("a")), [Some(2), None, Some(6), None]);
    put_file("b.yaml", "- name: a\n  n: 1\n- {name: b}\n");
    assert_eq!(lines(load("b")), [Some(1), Some(3)]);
}

#[test]
fn mistakes_of_json_have_their_place() {
    reset();
    put_file("a.json", "[{\"name\":\"a\",},\n {\"name\":\"b\"}]");
    put_file("b.json", "[\n{\"name\":NaN}]");
    put_file("c.json", " \n");
    put_file("d.jsonl", "{\n  \"name\": \"a\"\n}\n");
    let message = |resource: &str| source(json!({"path": "data"}), resource).unwrap_err().message;
    assert_eq!(message("a"), "`a.json`, line 1, column 14: trailing comma");
    assert_eq!(message("b"), "`b.json`, line 2, column 9: `NaN` is not JSON");
    assert_eq!(message("c"), "`c.json` is empty, but must be a list of objects: `[]` has none");
    assert!(message("d").starts_with("`d.jsonl`, line 1: an object on one line was expected"), "{}", message("d"));
}

#[test]
fn large_files_come_in_pages() {
    reset();
    let note = "x\n".repeat(40);
    let mut csv = String::from("id,note\n");
    let mut lines = String::new();
    for id in 0..70_000 {
        csv.push_str(&format!("{id},\"{note}\"\n"));
        lines.push_str(&format!("{}\n", json!({"id": id.to_string(), "note": note})));
    }
    put_file("a.csv", csv);
    put_file("b.jsonl", lines);
    let adapter = files("csv");
    let page = adapter.load(&first_page("a", &[])).unwrap();
    assert!(page.next.is_some());
    let lines = load_all(&adapter, first_page("a", &[])).unwrap();
    // Each record has more than one line.
    assert_eq!(lines[1]["@line"], Value::Null);
    let first_of_second_page = lines.iter().rposition(|record| record.get("@line").is_some()).unwrap();
    assert!(first_of_second_page > 1000);
    assert_eq!(lines[first_of_second_page]["@line"], json!(2 + first_of_second_page * 41));
    let (a, b) = (source(json!({"path": "data"}), "a").unwrap(), load_all(&files("jsonl"), first_page("b", &[])).unwrap());
    assert_eq!(a.len(), 70_000);
    assert!(a == b);
    // A record that is larger than a page, and the line number of a mistake far down.
    put_file("c.csv", format!("id,note\n1,\"{}\"\n2,x\n", "long\n".repeat(2_000_000)));
    assert_eq!(load_all(&adapter, first_page("c", &[])).unwrap().len(), 2);
    put_file("d.csv", format!("id,note\n{}3,4,5\n", "1,\"a\nb\"\n".repeat(1_000_000)));
    let error = load_all(&adapter, first_page("d", &[])).map(|records| records.len()).unwrap_err();
    assert!(error.message.contains("line 2000002:"), "{}", error.message);
}

// ----------------------------------------------------------------------------------------------------------- incremental

/// The first page of a load of what changed.
fn changes(files: &Files, request: &LoadRequest, since: Option<String>) -> Result<Page> {
    files.load(&LoadRequest { since, ..request.clone() })
}

/// Nothing has changed: no records, none deleted, and the watermark stays.
fn is_unchanged(files: &Files, request: &LoadRequest, since: &Option<String>) {
    let page = changes(files, request, since.clone()).unwrap();
    assert!(page_records(&page).is_empty());
    assert_eq!((page.next, page.deleted, &page.watermark), (None, Some(Vec::new()), since));
}

#[test]
fn a_file_that_did_not_change_is_not_read_again() {
    for (name, one, other) in [
        ("a.json", "[{\"n\": 1}]", "[{\"n\": 2}]"),
        ("a.jsonl", "{\"n\": 1}\n", "{\"n\": 1}\n\n"),
        ("a.csv", "n\n1\n", "n\n2\n"),
        ("a.yaml", "- n: 1\n", "- n: 2\n"),
        ("a.csv", "", "n\n"),
    ] {
        reset();
        let (files, request) = (Files::configure(r#"{"path": "data"}"#).unwrap(), first_page("a", &["n"]));
        put_file(name, one);
        let first = files.load(&request).unwrap().watermark;
        is_unchanged(&files, &request, &first);
        // Also when it was written again, with the same content.
        put_file(name, one);
        is_unchanged(&files, &request, &first);
        put_file(name, other);
        let error = changes(&files, &request, first.clone()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{name}");
        assert!(error.message.contains(&format!("`{name}`")), "{}", error.message);
        let second = files.load(&request).unwrap().watermark;
        assert_ne!(first, second, "{name}");
        is_unchanged(&files, &request, &second);
    }
}

#[test]
fn a_change_anywhere_in_a_large_file_is_noticed() {
    reset();
    let (files, request) = (files("jsonl"), first_page("a", &[]));
    let mut bytes = "{\"note\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}\n".repeat(200_000).into_bytes();
    put_file("a.jsonl", &bytes);
    let page = files.load(&request).unwrap();
    assert!(page.next.is_some());
    let next = files.load(&LoadRequest { cursor: page.next, ..request.clone() }).unwrap();
    assert_eq!(next.watermark, None, "only the first page has one");
    is_unchanged(&files, &request, &page.watermark);
    for at in [20, bytes.len() / 2 + 11, bytes.len() - 9] {
        bytes[at] = b'y';
        put_file("a.jsonl", &bytes);
        assert_eq!(changes(&files, &request, page.watermark.clone()).unwrap_err().kind, ErrorKind::Unsupported, "{at}");
    }
}

#[test]
fn the_same_bytes_in_another_file_are_another_content() {
    reset();
    let (files, request) = (Files::configure(r#"{"path": "data"}"#).unwrap(), first_page("a", &[]));
    put_file("a.json", "[]");
    let json = files.load(&request).unwrap().watermark;
    infrahub_sync_adapter::files::replace("a.json", "a.yaml").unwrap();
    assert_ne!(files.load(&request).unwrap().watermark, json);
}

#[test]
fn a_destination_is_not_read_again_either() {
    for format in FORMATS {
        reset();
        let adapter = files(format);
        let request = of_destination("Device");
        let none = adapter.load(&request).unwrap().watermark;
        assert!(none.is_some());
        is_unchanged(&adapter, &request, &none);
        write(&adapter, Operation::Create, &[create(&json!("a"), json!({}))]).unwrap();
        assert_eq!(changes(&adapter, &request, none).unwrap_err().kind, ErrorKind::Unsupported, "{format}");
        let written = adapter.load(&request).unwrap().watermark;
        is_unchanged(&adapter, &request, &written);
        infrahub_sync_adapter::files::remove(&adapter.destination_format().file("Device")).unwrap();
        assert_eq!(changes(&adapter, &request, written).unwrap_err().kind, ErrorKind::Unsupported, "{format}");
    }
}

// -------------------------------------------------------------------------------------------------------- as destination

/// Values that a careless format would change.
fn awkward() -> Value {
    json!({
        "empty": "", "word": "null", "yes": "yes", "number": "123", "float": "1e5", "zeros": "00123", "quoted": "\"x\"", "bracket": "[1]",
        "space": " 7 ", "lines": "a\r\nb\tc\n", "unicode": "Zürich 🔌 \u{2028}", "comma": "a,b;\"c\"", "date": "2026-11-23", "octal": "0o17",
        "int": -7, "big": 18_446_744_073_709_551_615u64, "real": 0.5, "whole_real": 40.0, "no": false, "list": ["b", 1, null],
        "object": {"z": [], "a": {"key": "kept"}}, "colon": "a: b #c", "tilde": "~", "dash": "- x",
    })
}

#[test]
fn what_is_written_is_read_back() {
    for format in FORMATS {
        reset();
        let adapter = files(format);
        let tags = json!({"tags": [{"kind": "Tag", "key": {"name": "z"}}, {"kind": "Tag", "key": {"name": "a"}, "id": "1"}], "gone": null});
        let mut fields = awkward();
        fields.as_object_mut().unwrap().extend(tags.as_object().unwrap().clone());
        write(&adapter, Operation::Create, &[create(&json!("a"), fields), create(&json!("b"), json!({}))]).unwrap();
        let mut first = awkward();
        first
            .as_object_mut()
            .unwrap()
            .extend(json!({"name": "a", "site": {"name": "zrh"}, "tags": [{"name": "a"}, {"name": "z"}]}).as_object().unwrap().clone());
        assert_eq!(read_back(&adapter, "Device"), [first, json!({"name": "b", "site": {"name": "zrh"}})], "{format}");
        nothing_is_staged();
    }
}

#[test]
fn a_file_of_json_lines_is_for_people_too() {
    reset();
    let adapter = files("jsonl");
    write(
        &adapter,
        Operation::Create,
        &[create(&json!("b"), json!({"serial": "1", "asset": null})), create(&json!("c"), json!({"a": 1.50}))],
    )
    .unwrap();
    write(&adapter, Operation::Create, &[create(&json!("a"), json!({}))]).unwrap();
    let expected = r#"{"name":"a","site":{"name":"zrh"}}
{"name":"b","site":{"name":"zrh"},"serial":"1"}
{"name":"c","site":{"name":"zrh"},"a":1.5}
"#;
    assert_eq!(text_of("Device.jsonl"), expected);
}

#[test]
fn the_text_of_a_number_is_kept() {
    reset();
    let adapter = files("jsonl");
    let rows = br#"{"key":{"name":1,"site":null},"fields":{"name":1,"site":null,"n":0.1000000000000000055511151231257827,"m":1E+2}}"#;
    let mut request = batch(Operation::Create, &[]);
    (request.rows, request.count) = (rows.to_vec(), 1);
    adapter.write(&request).unwrap();
    commit(&adapter).unwrap();
    assert_eq!(text_of("Device.jsonl"), "{\"name\":1,\"m\":1E+2,\"n\":0.1000000000000000055511151231257827}\n");
}

#[test]
fn objects_are_updated_and_deleted() {
    for format in FORMATS {
        reset();
        let adapter = files(format);
        let names: Vec<Value> = [2, 9, 10, 201].map(|name| json!(name)).to_vec();
        let rows: Vec<Value> = names.iter().map(|name| create(name, json!({"serial": "x", "status": "active"}))).collect();
        write(&adapter, Operation::Create, &rows).unwrap();
        stage(&adapter, Operation::Update, &[update(&json!(10), json!({"serial": null, "tags": [{"key": {"name": "t"}}]}))]);
        stage(&adapter, Operation::Delete, &[delete(&json!(9)), delete(&json!(300))]);
        stage(&adapter, Operation::Create, &[create(&json!(9.5), json!({}))]);
        assert_eq!(read_back(&adapter, "Device").len(), 4, "nothing is done before the commit");
        commit(&adapter).unwrap();
        let site = json!({"name": "zrh"});
        assert_eq!(
            read_back(&adapter, "Device"),
            [
                json!({"name": 2, "site": site, "serial": "x", "status": "active"}),
                json!({"name": 9.5, "site": site}),
                json!({"name": 10, "site": site, "status": "active", "tags": [{"name": "t"}]}),
                json!({"name": 201, "site": site, "serial": "x", "status": "active"}),
            ],
            "{format}"
        );
        nothing_is_staged();
    }
}

#[test]
fn a_second_write_of_the_same_changes_nothing() {
    for format in FORMATS {
        reset();
        let adapter = files(format);
        let rows = [create(&json!("a"), awkward())];
        write(&adapter, Operation::Create, &rows).unwrap();
        let path = adapter.destination_format().file("Device");
        let before = text_of(&path);
        write(&adapter, Operation::Create, &rows).unwrap();
        assert_eq!(text_of(&path), before, "{format}");
    }
}

fn refused(rows: Operation, row: &Value) -> Error {
    let adapter = files("jsonl");
    let before = text_of("Device.jsonl");
    stage(&adapter, rows, std::slice::from_ref(row));
    let error = commit(&adapter).unwrap_err();
    assert_eq!(text_of("Device.jsonl"), before);
    assert!(error.message.contains("nothing of Device was written"), "{}", error.message);
    nothing_is_staged();
    // What was refused does not come up again.
    commit(&adapter).unwrap();
    assert_eq!(text_of("Device.jsonl"), before);
    error
}

#[test]
fn what_does_not_fit_is_refused_as_a_whole() {
    reset();
    put_file("Device.jsonl", "{\"name\":\"a\",\"site\":{\"name\":\"zrh\"},\"serial\":\"1\"}\n");
    let error = refused(Operation::Create, &create(&json!("a"), json!({"serial": "2"})));
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains(r#"(the first: "a", {"name":"zrh"})"#), "{}", error.message);
    assert_eq!(refused(Operation::Update, &update(&json!("b"), json!({"serial": "2"}))).kind, ErrorKind::NotFound);
}

#[test]
fn one_kind_that_does_not_fit_keeps_the_others_of_its_commit() {
    reset();
    let adapter = files("jsonl");
    put_file("Site.jsonl", "{\"name\":\"a\"}\n");
    stage(&adapter, Operation::Update, &[update(&json!("unknown"), json!({"serial": "2"}))]);
    let mut other = batch(Operation::Create, &[json!({"key": {"name": "b"}, "fields": {"name": "b"}})]);
    other.target = Target::new("Site").with_field(TargetField::new("name").identifying());
    adapter.write(&other).unwrap();
    assert!(adapter.commit(&["Site".into(), "Device".into()]).is_err());
    assert_eq!(text_of("Site.jsonl"), "{\"name\":\"a\"}\n");
    assert_eq!(file("Device.jsonl"), None);
    assert_eq!(file(".Site.pending"), None);
}

#[test]
fn a_file_that_somebody_edited_is_sorted() {
    reset();
    let edited =
        "\n{ \"site\": {\"name\": \"zrh\"}, \"name\": \"c\" }\r\n{\"name\":\"a\",\"site\":{\"name\":\"zrh\"},\"note\":\"by hand\"}\n\n";
    put_file("Device.jsonl", edited);
    let adapter = files("jsonl");
    commit(&adapter).unwrap();
    assert_eq!(text_of("Device.jsonl"), edited, "a kind without rows is left alone");
    write(&adapter, Operation::Create, &[create(&json!("b"), json!({}))]).unwrap();
    let expected = "{\"name\":\"a\",\"site\":{\"name\":\"zrh\"},\"note\":\"by hand\"}\n{\"name\":\"b\",\"site\":{\"name\":\"zrh\"}}\n\
                    { \"site\": {\"name\": \"zrh\"}, \"name\": \"c\" }\n";
    assert_eq!(text_of("Device.jsonl"), expected);
}

#[test]
fn a_file_that_cannot_be_understood_is_left_alone() {
    for (edited, words) in [
        ("{\"name\":\"a\"}\nno json\n", "`Device.jsonl`, line 2"),
        ("{\"name\":\"b\"}\n{\"name\":\"a\"}\n{\"name\":\"a\",\"x\":1}\n", "two objects with the same key"),
    ] {
        reset();
        put_file("Device.jsonl", edited);
        let error = write(&files("jsonl"), Operation::Create, &[create(&json!("b"), json!({}))]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains(words), "{}", error.message);
        assert_eq!(text_of("Device.jsonl"), edited);
    }
}

#[test]
fn an_empty_kind_has_a_file_all_the_same() {
    for (format, expected) in [("jsonl", ""), ("json", "[]\n"), ("csv", ""), ("yaml", "[]\n")] {
        reset();
        let adapter = files(format);
        assert!(read_back(&adapter, "Device").is_empty(), "a file that is not there");
        commit(&adapter).unwrap();
        assert_eq!(text_of(&adapter.destination_format().file("Device")), expected);
        assert!(read_back(&adapter, "Device").is_empty());
        write(&adapter, Operation::Create, &[create(&json!("a"), json!({}))]).unwrap();
        write(&adapter, Operation::Delete, &[delete(&json!("a"))]).unwrap();
        assert!(read_back(&adapter, "Device").is_empty(), "{format}");
    }
}

fn begin(files: &Files) {
    let run = Run { id: "r1".into(), sync: "s".into(), source: "netbox".into(), changes: Vec::new() };
    assert_eq!(files.begin(&run).unwrap(), None);
}

#[test]
fn leftovers_of_an_interrupted_run_are_cleared_away() {
    reset();
    let adapter = files("jsonl");
    begin(&adapter);
    stage(&adapter, Operation::Create, &[create(&json!("a"), json!({}))]);
    put_file(".Device.new", "half");
    put_file(".gitignore", "kept");
    begin(&adapter);
    nothing_is_staged();
    assert!(file(".gitignore").is_some());
}

#[test]
fn a_commit_that_failed_can_be_done_again() {
    reset();
    let adapter = files("jsonl");
    write(&adapter, Operation::Create, &[create(&json!("a"), json!({}))]).unwrap();
    let before = text_of("Device.jsonl");
    stage(&adapter, Operation::Create, &[create(&json!("b"), json!({}))]);
    fail_once("replace", ".Device.new");
    assert_eq!(commit(&adapter).unwrap_err().kind, ErrorKind::Remote);
    assert_eq!(text_of("Device.jsonl"), before);
    commit(&adapter).unwrap();
    assert_eq!(read_back(&adapter, "Device").len(), 2);
    // Done, but the answer was lost: the staged rows are still there, and are applied again.
    stage(&adapter, Operation::Delete, &[delete(&json!("a"))]);
    fail_once("remove", ".Device.pending");
    assert!(commit(&adapter).is_err());
    commit(&adapter).unwrap();
    assert_eq!(read_back(&adapter, "Device").len(), 1);
}

#[test]
fn rows_that_cannot_be_read_are_refused_one_by_one() {
    reset();
    let adapter = files("jsonl");
    let rows = [create(&json!("a"), json!({})), json!({"key": {"name": "b"}, "fields": {}}), create(&json!("c"), json!({}))];
    let outcomes = adapter.write(&batch(Operation::Create, &rows)).unwrap();
    assert!(matches!(outcomes.as_slice(), [Outcome::Staged, Outcome::Failed(_), Outcome::Staged]), "{outcomes:?}");
    commit(&adapter).unwrap();
    assert_eq!(read_back(&adapter, "Device").len(), 2);
    let mut short = batch(Operation::Create, &rows);
    short.count = 4;
    assert!(adapter.write(&short).is_err());
    for kind in ["", "../Device", ".hidden", "a/b"] {
        let mut named = batch(Operation::Create, &rows);
        named.target.kind = kind.into();
        assert_eq!(adapter.write(&named).unwrap_err().kind, ErrorKind::Config);
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn many_batches_in_any_order_end_as_a_map_would() {
    for format in FORMATS {
        reset();
        let (adapter, mut dice) = (files(format), Dice(7));
        let mut expected: BTreeMap<u64, Value> = BTreeMap::new();
        for _ in 0..6 {
            // More batches than are merged in one round, none in the order of the one before.
            for _ in 0..45 {
                let mut names: Vec<u64> = (0..8).map(|_| dice.roll(120)).collect();
                names.sort_unstable();
                names.dedup();
                let operation = [Operation::Create, Operation::Update, Operation::Delete][usize::try_from(dice.roll(3)).unwrap()];
                names.retain(|name| expected.contains_key(name) != (operation == Operation::Create));
                let rows: Vec<Value> = names
                    .iter()
                    .map(|name| {
                        let value = json!(dice.roll(1000));
                        let object = json!({"name": name, "site": {"name": "zrh"}, "v": value});
                        match operation {
                            Operation::Create => {
                                expected.insert(*name, object).map_or_else(|| create(&json!(name), json!({"v": value})), |_| json!(null))
                            }
                            Operation::Update => {
                                expected.insert(*name, object);
                                update(&json!(name), json!({"v": value}))
                            }
                            Operation::Delete => {
                                expected.remove(name);
                                delete(&json!(name))
                            }
                        }
                    })
                    .collect();
                stage(&adapter, operation, &rows);
            }
            commit(&adapter).unwrap();
            assert_eq!(read_back(&adapter, "Device"), expected.values().cloned().collect::<Vec<_>>(), "{format}");
            nothing_is_staged();
        }
    }
}

#[test]
fn a_hundred_thousand_rows_in_order_are_one_run() {
    reset();
    let adapter = files("jsonl");
    let rows: Vec<Value> = (0..100_000).map(|name| create(&json!(name), json!({"serial": format!("SN-{name}")}))).collect();
    rows.chunks(10_000).for_each(|rows| stage(&adapter, Operation::Create, rows));
    assert_eq!(super::merge::scan(".Device.pending").unwrap().runs.len(), 1);
    commit(&adapter).unwrap();
    assert_eq!(read_back(&adapter, "Device").len(), 100_000);
}

// --------------------------------------------------------------------------------------------------------------- schema

#[test]
fn a_schema_file_describes_the_kinds() {
    reset();
    let adapter = Files::configure(r#"{"path": "data", "schema": "schema.yml"}"#).unwrap();
    assert_eq!(adapter.kinds(&[]).unwrap_err().kind, ErrorKind::NotFound);
    put_file(
        "schema.yml",
        "kinds:\n  Site: {identifiers: [name], fields: {name: {type: text}}}\n  Device:\n    identifiers: [name, site]\n    fields:\n      \
         name: {type: text}\n      site: {reference: Site}\n      tags: {reference: Tag, cardinality: many, optional: true}\n  \
         Address:\n    stands_for: [Endpoint]\n    fields:\n      host: {type: ip-interface}\n      net: {type: ip-network}\n      \
         at: {type: ip-address}\n      mac: {type: mac, default: null}\n      status: {type: text, default: active}\n      \
         ports: {type: list, default: [1, a]}\n",
    );
    let kinds = adapter.kinds(&[Target::new("Device"), Target::new("Nothing")]).unwrap();
    assert_eq!(kinds.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>(), ["Device"]);
    let types: Vec<(&str, FieldType, bool)> =
        kinds[0].fields.iter().map(|field| (field.name.as_str(), field.type_, field.optional)).collect();
    assert_eq!(types, [("name", FieldType::Text, false), ("site", FieldType::Reference, false), ("tags", FieldType::ReferenceList, true)]);
    assert_eq!(adapter.kinds(&[]).unwrap().len(), 3);
    let address = adapter.kinds(&[Target::new("Address")]).unwrap().remove(0);
    assert_eq!(address.stands_for, ["Endpoint"]);
    let types: Vec<(&str, FieldType, Option<&str>)> =
        address.fields.iter().map(|field| (field.name.as_str(), field.type_, field.default.as_deref())).collect();
    assert_eq!(
        types,
        [
            ("at", FieldType::IpAddress, None),
            ("host", FieldType::IpInterface, None),
            ("mac", FieldType::Mac, None),
            ("net", FieldType::IpNetwork, None),
            ("ports", FieldType::List, Some("[1,\"a\"]")),
            ("status", FieldType::Text, Some("\"active\"")),
        ]
    );
    put_file("schema.yml", "kinds: {Site: {identifers: [name]}}");
    let error = adapter.kinds(&[]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("identifers"), "{}", error.message);
    assert!(files("jsonl").kinds(&[]).unwrap().is_empty());
}
