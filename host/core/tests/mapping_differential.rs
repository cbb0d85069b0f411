//! Runs our filters and transforms over cases whose results infrahub-sync 2.0.1 gave, see `tests/differential/README.md`.

use std::collections::BTreeMap;

use infrahub_sync_core::mapping::filter::Filter;
use infrahub_sync_core::mapping::transform::Transforms;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

fn document(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/mapping/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    serde_json::from_str(&text).expect(&path)
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn record(value: &Value) -> Map<String, Value> {
    value.as_object().expect("a record").clone()
}

/// Compares all cases and reports every mismatch, so that one run shows what is wrong.
///
/// An outcome is a decision or the fields that were written, or `"error"`. Where a case lists a difference, ours must be what it says, and must differ.
fn compare(document: &Value, minimum: usize, ours: impl Fn(&Value) -> Result<Value, String>, theirs: impl Fn(&Value) -> Value) {
    let cases = document["cases"].as_array().expect("cases");
    assert!(cases.len() >= minimum, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let ours = ours(case);
        let outcome = ours.clone().unwrap_or_else(|_| json!("error"));
        let theirs = theirs(case);
        let expected = case.get("difference").map_or(&theirs, |difference| &difference["ours"]);
        if case.get("difference").is_some() && *expected == theirs && case["expected"].get("unstorable").is_none() {
            wrong.push(format!("listed as a difference and is none: {case}"));
        } else if !is_equal(&outcome, expected) {
            wrong.push(format!("{case}\n  ours: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Compares values, floats by their value: `1e-07` is `1e-7`. An integer is no float.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| is_equal(value, other)))
        }
        _ => one == other,
    }
}

#[test]
fn filters_decide_as_infrahub_sync_does() {
    compare(
        &document("filters"),
        300,
        |case| {
            let filter = Filter::compile(&text(&case["field"]), &text(&case["operation"]), Some(&case["value"]));
            let passes = filter.and_then(|filter| filter.matches(&record(&case["record"])));
            passes.map(Value::from).map_err(|error| error.to_string())
        },
        |case| if case["expected"].is_boolean() { case["expected"].clone() } else { json!("error") },
    );
}

#[test]
fn transforms_write_what_infrahub_sync_writes() {
    let document = document("transforms");
    compare(
        &document,
        400,
        |case| {
            let list = case["transforms"].as_array().expect("a list");
            let pairs: Vec<(String, String)> = list.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
            let before = match case["record"].as_u64() {
                Some(index) => record(&document["records"][usize::try_from(index).expect("an index")]),
                None => record(&case["record"]),
            };
            let mut after = before.clone();
            let in_order = case.get("text").map_or("{}".to_owned(), text);
            let originals: BTreeMap<String, &RawValue> = serde_json::from_str(&in_order).expect("an object");
            let original = |name: &str| originals.get(name).map(|value| value.get());
            let applied = Transforms::compile(&pairs).and_then(|transforms| transforms.apply_in_order(&mut after, original));
            after.retain(|field, value| before.get(field) != Some(value));
            applied.map(|()| Value::Object(after)).map_err(|error| error.to_string())
        },
        |case| case["expected"].get("writes").cloned().unwrap_or_else(|| json!("error")),
    );
}
