//! Speeds. Like infrahub-sync 2.0.1, the field `speed` of a model has the thousandth of its column: kbit/s.

use infrahub_sync_adapter::{Error, LoadRequest, Page, Response, Result};
use serde_json::{Map, Value};

/// Returns the column that a field `speed` reads; none without such a field.
///
/// # Errors
/// `config` when other fields read it, too: a column has one unit.
pub(crate) fn column(request: &LoadRequest) -> Result<Option<&str>> {
    let mut fields = request.targets.iter().flat_map(|target| &target.fields).filter(|field| field.path.is_some());
    let Some(speed) = fields.clone().find(|field| field.name == "speed" && !field.is_reference()) else { return Ok(None) };
    match fields.find(|field| field.read_path() == speed.read_path() && field.name != "speed") {
        Some(other) => Err(Error::config(format!(
            "`speed` and `{}` both read the column `{}`: `speed` has the thousandth of it, so read it once and compute the other by a transform",
            other.name,
            speed.read_path()
        ))),
        None => Ok(Some(speed.read_path())),
    }
}

/// Makes a page of an answer whose column has bit/s.
pub(crate) fn page(response: &Response, column: &str) -> Result<Page> {
    let mut rows: Vec<Map<String, Value>> = response.get("/data")?;
    for value in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
        *value = thousandth(value);
    }
    Page::records(rows)
}

fn thousandth(value: &Value) -> Value {
    match (value.as_i64(), value.as_f64()) {
        (Some(number), _) if number % 1000 == 0 => Value::from(number / 1000),
        (_, Some(number)) => Value::from(number / 1000.0),
        _ => value.clone(),
    }
}
