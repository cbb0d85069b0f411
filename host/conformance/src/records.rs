//! A page as values that can be compared, whatever form the adapter chose.

use std::collections::BTreeMap;

use infrahub_sync_runtime::{ColumnData, Layout, Payload};
use serde_json::{Map, Value};

/// A record: what was asked for (by dotted path) and `id`, as far as they are there.
pub(crate) type Record = BTreeMap<String, Value>;

/// Returns the records of a page. The error is the one with which the host would stop a run: a missing list, invalid JSON.
pub(crate) fn records(payload: &Payload, fields: &[String]) -> Result<Vec<Record>, String> {
    match payload {
        Payload::Document { body, layout: Layout::Json, pointer, projection } => {
            let document: Value = serde_json::from_str(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
            let list: Vec<&Value> = match document.pointer(pointer) {
                Some(Value::Array(elements)) => elements.iter().collect(),
                Some(Value::Object(members)) => members.values().collect(),
                _ => return Err(format!("there is no list at `{pointer}` of the answer")),
            };
            list.into_iter().map(|record| of_json(record, fields, projection)).collect()
        }
        Payload::Document { body, layout: Layout::JsonLines, projection, .. } => of_lines(body, fields, projection),
        Payload::JsonLines(lines) => of_lines(lines, fields, &[]),
        Payload::Columns(columns) => {
            let mut records = vec![Record::new(); columns.rows()];
            for column in columns.columns() {
                for (row, record) in records.iter_mut().enumerate() {
                    let bit = |bits: &Vec<u8>| bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1);
                    let valid = column.validity.as_ref().is_none_or(bit);
                    let value = if valid { value(&column.data, row)? } else { Value::Null };
                    record.insert(column.name.clone(), value);
                }
            }
            Ok(records)
        }
    }
}

fn value(data: &ColumnData, row: usize) -> Result<Value, String> {
    Ok(match data {
        ColumnData::Booleans(values) => values.get(row).copied().into(),
        ColumnData::Integers(values) => values.get(row).copied().into(),
        ColumnData::Floats(values) => values.get(row).copied().into(),
        ColumnData::Texts(texts) => texts.get(row).into(),
        ColumnData::Jsons(texts) => serde_json::from_str(texts.get(row).unwrap_or("null"))
            .map_err(|error| format!("a value of a column of JSON is invalid: {error}"))?,
    })
}

fn of_lines(text: &str, fields: &[String], projection: &[(String, String)]) -> Result<Vec<Record>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let record: Value = serde_json::from_str(line).map_err(|error| format!("line {} is not JSON: {error}", number + 1))?;
            of_json(&record, fields, projection)
        })
        .collect()
}

fn of_json(record: &Value, fields: &[String], projection: &[(String, String)]) -> Result<Record, String> {
    let Value::Object(members) = record else {
        return Err("a record is not a JSON object".to_owned());
    };
    let mut taken = Record::new();
    let id = "id".to_owned();
    for field in fields.iter().chain([&id]) {
        let moved = projection.iter().find(|(path, _)| path == field);
        let value = match moved {
            Some((_, pointer)) => record.pointer(pointer).cloned(),
            None => at(members, field),
        };
        if let Some(value) = value {
            taken.insert(field.clone(), value);
        }
    }
    if fields.is_empty() {
        // Nothing in particular was asked for, so whole records were.
        taken.extend(members.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    Ok(taken)
}

/// Returns the value at a dotted path; `name.*` is the whole value of `name`.
fn at(members: &Map<String, Value>, path: &str) -> Option<Value> {
    let path = path.strip_suffix(".*").unwrap_or(path);
    let mut parts = path.split('.');
    let mut value = members.get(parts.next()?)?;
    for part in parts {
        value = value.as_object()?.get(part)?;
    }
    Some(value.clone())
}

/// Returns the id of a record as text.
pub(crate) fn id(record: &Record) -> Option<String> {
    match record.get("id")? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Returns a record, short enough for a message.
pub(crate) fn shown(record: Option<&Record>) -> String {
    const CHARS_MAX: usize = 120;
    let Some(record) = record else { return "no record".to_owned() };
    let text = serde_json::to_string(record).unwrap_or_default();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Returns the first difference of two lists, in words; none when they are equal. Of a list that was not read to its end the beginning
/// counts.
pub(crate) fn difference(expected: &[Record], found: &[Record], found_is_whole: bool) -> Option<String> {
    let wrong = expected.iter().zip(found).position(|(one, other)| one != other);
    if let Some(at) = wrong {
        return Some(format!("record {} is {} instead of {}", at + 1, shown(found.get(at)), shown(expected.get(at))));
    }
    if found.len() > expected.len() || (found_is_whole && found.len() < expected.len()) {
        return Some(format!("{} records instead of {}", found.len(), expected.len()));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use infrahub_sync_runtime::{Column, Columns, TextData};
    use serde_json::json;

    use super::*;

    fn document(body: &str, pointer: &str, projection: &[(&str, &str)]) -> Payload {
        let projection = projection.iter().map(|(path, pointer)| ((*path).to_owned(), (*pointer).to_owned())).collect();
        Payload::Document { body: Arc::from(body), layout: Layout::Json, pointer: pointer.to_owned(), projection }
    }

    fn fields(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_document_is_taken_apart_by_paths_and_projection() {
        let body = r#"{"items": [{"id": 1, "site": {"name": "ams"}, "deep": [{"x": 7}], "other": true}]}"#;
        let payload = document(body, "/items", &[("x", "/deep/0/x")]);
        let taken = records(&payload, &fields(&["site.name", "x", "site.*", "none"])).unwrap();
        assert_eq!(serde_json::to_value(&taken).unwrap(), json!([{"id": 1, "site.name": "ams", "x": 7, "site.*": {"name": "ams"}}]));
        // Nothing in particular was asked for.
        assert_eq!(records(&payload, &[]).unwrap()[0].len(), 4);
    }

    #[test]
    fn what_the_host_would_refuse_is_refused() {
        for (body, pointer) in [("<html>", ""), (r#"{"a": 1}"#, "/items"), (r#"{"items": 3}"#, "/items"), ("[1]", ""), ("", "")] {
            assert!(records(&document(body, pointer, &[]), &[]).is_err(), "{body} at {pointer}");
        }
        assert_eq!(records(&document("{}", "", &[]), &[]).unwrap().len(), 0);
    }

    #[test]
    fn columns_are_records_too() {
        let columns = vec![
            Column { name: "a".into(), validity: Some(vec![0b01]), data: ColumnData::Integers(vec![1, 2]) },
            Column { name: "b".into(), validity: None, data: ColumnData::Jsons(TextData::new(vec![0, 2, 6], b"[]null".to_vec()).unwrap()) },
        ];
        let taken = records(&Payload::Columns(Columns::new(2, columns, 2).unwrap()), &[]).unwrap();
        assert_eq!(serde_json::to_value(&taken).unwrap(), json!([{"a": 1, "b": []}, {"a": null, "b": null}]));
    }

    #[test]
    fn the_first_difference_is_told() {
        let list = |ids: &[u64]| ids.iter().map(|id| Record::from([("id".to_owned(), json!(id))])).collect::<Vec<_>>();
        assert_eq!(difference(&list(&[1, 2, 3]), &list(&[1, 2, 3]), true), None);
        assert_eq!(difference(&list(&[1, 2, 3]), &list(&[1, 2]), false), None);
        assert_eq!(difference(&list(&[1, 2, 3]), &list(&[1, 2]), true).unwrap(), "2 records instead of 3");
        assert_eq!(difference(&list(&[1, 2]), &list(&[1, 3]), true).unwrap(), r#"record 2 is {"id":3} instead of {"id":2}"#);
        assert_eq!(difference(&list(&[1]), &list(&[1, 2]), false).unwrap(), "2 records instead of 1");
    }
}
