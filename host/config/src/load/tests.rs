use std::path::Path;

use insta::assert_snapshot;
use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    let document = Document::new(Path::new("t.yml"), text);
    let (tree, problems) = parse(&document);
    assert_eq!(problems, [], "{text}");
    tree.unwrap().to_value()
}

fn problems(text: &str) -> String {
    let document = Document::new(Path::new("t.yml"), text);
    let (_, problems) = parse(&document);
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn plain_scalars_mean_what_they_mean_to_pyyaml() {
    // Each was read by PyYAML 6.0.3's safe_load.
    for (text, expected) in [
        ("yes", json!(true)),
        ("Off", json!(false)),
        ("NO", json!(false)),
        ("y", json!("y")),
        ("tRue", json!("tRue")),
        ("~", json!(null)),
        ("Null", json!(null)),
        ("nULL", json!("nULL")),
        ("NONE", json!("NONE")),
        ("0", json!(0)),
        ("-0", json!(0)),
        ("+12", json!(12)),
        ("1_000", json!(1000)),
        ("0755", json!(493)),
        ("0o17", json!("0o17")),
        ("08", json!("08")),
        ("0b101", json!(5)),
        ("0xFf", json!(255)),
        ("0xfg", json!("0xfg")),
        ("-0x10", json!(-16)),
        ("1:30", json!(90)),
        ("-1:30", json!(-90)),
        ("190:20:30", json!(685_230)),
        ("1:60", json!("1:60")),
        ("12:34:56:ab", json!("12:34:56:ab")),
        ("1.5", json!(1.5)),
        ("1.", json!(1.0)),
        (".5", json!(0.5)),
        ("-.5", json!("-.5")),
        ("1e5", json!("1e5")),
        ("1.0e5", json!("1.0e5")),
        ("1.0e+5", json!(100_000.0)),
        ("1_0.2_5", json!(10.25)),
        ("1:30.5", json!(90.5)),
        ("10.0.0.1", json!("10.0.0.1")),
        ("2024-01-02", json!("2024-01-02")),
        ("2024-01-02T03:04:05Z", json!("2024-01-02T03:04:05Z")),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("==", json!("==")),
        ("'yes'", json!("yes")),
        ("\"1\"", json!("1")),
        ("!!str 1", json!("1")),
        ("!!int '1'", json!(1)),
        ("!!float 1", json!(1.0)),
        ("! 1", json!("1")),
    ] {
        assert_eq!(value(&format!("k: {text}")), json!({ "k": expected }), "{text}");
    }
}

#[test]
fn aliases_and_merge_keys_are_resolved() {
    let text = "
base: &base {a: 1, b: 1}
more: &more {b: 2, c: 2}
own: {<<: *base, a: 0}
list: {<<: [*base, *more]}
twice: [*base, *base]
";
    let read = value(text);
    assert_eq!(read["own"], json!({ "a": 0, "b": 1 }));
    assert_eq!(read["list"], json!({ "a": 1, "b": 1, "c": 2 }));
    assert_eq!(read["twice"], json!([{ "a": 1, "b": 1 }, { "a": 1, "b": 1 }]));
}

#[test]
fn brackets_and_quotes_need_no_indentation() {
    let text = "order: [\n\"a\",\nb,\n]\nmap:\n  in: {\n  x: 1,\n}\nquoted: \"one\n\ntwo\\\"\nthree\"\nsingle: 'it''s\nso'\nlast: 1\n";
    let read = json!({
        "order": ["a", "b"], "map": { "in": { "x": 1 } }, "quoted": "one\ntwo\" three", "single": "it's so", "last": 1
    });
    assert_eq!(value(text), read);
    // Places are those of the text as it is written.
    assert_snapshot!(problems("order: [\na, b,\n]\nx: 1\norder: 2\n"), @r"
    error: the key `order` stands here a second time; the first is on line 1
     --> t.yml:5:1
      |
    5 | order: 2
      | ^^^^^

    hint: keep one of them
    ");
    assert_snapshot!(problems("a: [\n\"b\", !c d]\n"), @r#"
    error: the tag `!c` is not known here
     --> t.yml:2:6
      |
    2 | "b", !c d]
      |      ^^^^

    hint: remove the tag
    "#);
    assert_snapshot!(problems("order: [\n  a,\nschema_mapping:\n  - name: A\n"), @r#"
    error: this is not valid YAML: "-" is only valid inside a block
     --> t.yml:4:3
      |
    4 |   - name: A
      |   ^

    hint: is a `[`, a `{` or a quote from before line 3 not closed?
    "#);
}

#[test]
fn keys_are_text() {
    assert_eq!(value("on: 1\n1: 2\n~: 3\n"), json!({ "on": 1, "1": 2, "~": 3 }));
}

#[test]
fn places_are_lines_and_columns() {
    let document = Document::new(Path::new("t.yml"), "a:\n  - bé: \"x\"\n    c: |\n      text\n    d: >-\n\n      more\n");
    let tree = parse(&document).0.unwrap();
    let Data::Map(entries) = &tree.data else { panic!() };
    let Data::List(items) = &entries[0].value.data else { panic!() };
    let Data::Map(inner) = &items[0].data else { panic!() };
    let places: Vec<_> = inner.iter().map(|entry| (entry.key_span.line, entry.key_span.column, entry.value.span)).collect();
    assert_eq!(places[0], (2, 5, Span { line: 2, column: 9, width: 3 }));
    assert_eq!((places[1].0, inner[1].value.text_line), (3, Some(4)));
    assert_eq!((places[2].0, inner[2].value.text_line), (5, Some(6)));
}

#[test]
fn broken_yaml_names_the_place() {
    assert_snapshot!(problems("a: [1, 2\nb: 3\n"), @r"
    error: this is not valid YAML: illegal placement of ':' indicator
     --> t.yml:2:2
      |
    2 | b: 3
      |  ^
    ");
    assert_snapshot!(problems("a:\n\t- x\n"), @r"
    error: this is not valid YAML: tabs disallowed within this context (block indentation)
     --> t.yml:2:2
      |
    2 |  - x
      |  ^

    hint: indent with spaces: YAML does not allow tabs there
    ");
    assert_snapshot!(problems("a: 'x\nb: 1\n"), @r"
    error: this is not valid YAML: invalid indentation in quoted scalar
     --> t.yml:1:4
      |
    1 | a: 'x
      |    ^
    ");
    assert_snapshot!(problems("a: *nowhere\n"), @r"
    error: this is not valid YAML: while parsing node, found unknown anchor
     --> t.yml:1:4
      |
    1 | a: *nowhere
      |    ^
    ");
    assert_snapshot!(problems("a: 1\n---\nb: 1\n"), @r"
    error: a second document begins here
     --> t.yml:2:1
      |
    2 | ---
      | ^^^

    hint: one file holds one document: remove the `---`
    ");
    assert_snapshot!(problems("a: b: c\n"), @r"
    error: this is not valid YAML: mapping values are not allowed in this context
     --> t.yml:1:5
      |
    1 | a: b: c
      |     ^
    ");
    assert_snapshot!(problems("a: &a [*a]\n"), @r"
    error: this alias stands inside its own anchor
     --> t.yml:1:8
      |
    1 | a: &a [*a]
      |        ^^
    ");
}

#[test]
fn aliases_of_long_texts_are_counted_by_their_bytes() {
    let aliases = |text: usize, count: usize| format!("a: &a {}\nb: [{}]\n", "x".repeat(text), vec!["*a"; count].join(","));
    assert!(problems(&aliases(100_000, 10_000)).contains("the file holds more than 1000000 values once its aliases are expanded"));
    assert_eq!(problems(&aliases(10_000, 1_000)), "");
    let keys = format!("a: &a {{{}: 1}}\nb: [{}]\n", "x".repeat(1000), vec!["*a"; 200_000].join(","));
    assert!(problems(&keys).contains("once its aliases are expanded"));
}

#[test]
fn what_yaml_allows_and_nobody_means_is_reported() {
    assert_snapshot!(problems("a: 1\nb: 2\na: 3\n"), @r"
    error: the key `a` stands here a second time; the first is on line 1
     --> t.yml:3:1
      |
    3 | a: 3
      | ^

    hint: keep one of them
    ");
    assert_snapshot!(problems("expression: {{ name }}\n"), @r#"
    error: a list or mapping cannot be a key
     --> t.yml:1:14
      |
    1 | expression: {{ name }}
      |              ^^

    hint: text that begins with `{`, `[` or `{{` must be in quotes: "{{ name }}"
    "#);
    assert_snapshot!(problems("a: !python/object:os.system x\nb: !!binary aGk=\nc: !!int x\nd: !mine [1]\n"), @r"
    error: the tag `!python/object:os.system` is not known here
     --> t.yml:1:4
      |
    1 | a: !python/object:os.system x
      |    ^^^^^^^^^^^^^^^^^^^^^^^^^^

    hint: remove the tag
    error: the tag `!!binary` is not known here
     --> t.yml:2:4
      |
    2 | b: !!binary aGk=
      |    ^^^^^^^^^^^^^

    hint: remove the tag
    error: this value is not `!!int`
     --> t.yml:3:4
      |
    3 | c: !!int x
      |    ^^^^^^^

    hint: remove the tag, or correct the value
    error: the tag `!mine` is not known here
     --> t.yml:4:4
      |
    4 | d: !mine [1]
      |    ^^^^^^^

    hint: remove the tag
    ");
    assert_snapshot!(problems("a: 99999999999999999999\nb: .inf\n"), @r"
    error: this number cannot be held in 64 bits
     --> t.yml:1:4
      |
    1 | a: 99999999999999999999
      |    ^^^^^^^^^^^^^^^^^^^^

    hint: put it in quotes, if it is text
    error: this number cannot be held in 64 bits
     --> t.yml:2:4
      |
    2 | b: .inf
      |    ^^^^

    hint: put it in quotes, if it is text
    ");
    assert_snapshot!(problems("a: {<<: 1}\n"), @r"
    error: `<<` merges mappings, found the number 1
     --> t.yml:1:9
      |
    1 | a: {<<: 1}
      |         ^

    hint: write `<<: *anchor`, or `<<: [*one, *two]`
    ");
}

#[test]
fn a_few_lines_cannot_stand_for_a_billion_values() {
    let mut text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", "));
    }
    assert!(problems(&text).contains("more than 1000000 values"));
    assert!(problems(&"[".repeat(200)).contains("nested more than 100 levels deep"));
    assert_eq!(problems(&format!("{}{}", "[".repeat(100), "]".repeat(100))), "");
}

#[test]
fn credentials_are_not_shown() {
    let shown = problems("settings: {url: http://x, token: abcdef, url: y}\n");
    assert!(!shown.contains("abcdef"), "{shown}");
    let shown = problems("my_password: 'hunter2\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    // Where the text is no YAML, and the secret has a line of its own.
    for text in [
        "a:\n  token: >-\nhunter2\n",
        "a:\n  token: \"\n    hunter2\n",
        "settings:\n  pin: [\n    hunter2\n",
        "b:\n  - settings:\n      pin: 'hunter2\n",
    ] {
        let shown = problems(text);
        assert!(shown.contains("error: ") && !shown.contains("hunter2"), "{text}\n{shown}");
    }
}
