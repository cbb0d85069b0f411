//! The answers of the query API.

use std::collections::BTreeMap;

use infrahub_sync_adapter::{Error, Page, Response, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::{PROMETHEUS, Sample};

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// None: a native histogram instead of a number.
    #[serde(default)]
    value: Option<(f64, String)>,
}

/// Makes a page of the result of a query. `resource`: the query's name in the project.
pub(crate) fn page(resource: &str, response: &Response) -> Result<Page> {
    let Ok(answer) = response.parse::<Answer>() else {
        return Err(if response.is_success() { PROMETHEUS.unexpected(resource, response) } else { PROMETHEUS.refuse(resource, response) });
    };
    let Some(Data { result_type, result }) = answer.data.filter(|_| response.is_success()) else {
        return Err(PROMETHEUS.refuse_saying(resource, response, answer.error));
    };
    let wrong = |error: serde_json::Error| Error::remote(format!("the result of `{resource}` cannot be read: {error}"));
    let series: Vec<Series> = match result_type.as_str() {
        "vector" => serde_json::from_value(result).map_err(wrong)?,
        "scalar" => vec![Series { metric: BTreeMap::new(), value: serde_json::from_value(result).map_err(wrong)? }],
        other => {
            return Err(Error::config(format!(
                "the query `{resource}` returns a {other}: it must return an instant vector or a scalar (without a range such as `[5m]`)"
            )));
        }
    };
    let records = series.into_iter().map(|Series { mut metric, value }| {
        let name = metric.remove("__name__").unwrap_or_else(|| resource.to_owned());
        let number = value.as_ref().and_then(|(_, text)| number(text)).unwrap_or(f64::NAN);
        let sample = Sample::new(&name, metric, number);
        serde_json::to_value(Sample { timestamp: value.map(|(time, _)| time), kind: &result_type, ..sample })
    });
    let records: Vec<Value> = records.collect::<Result<_, _>>().map_err(wrong)?;
    let page = Page::records(records)?;
    Ok(if answer.warnings.is_empty() { page } else { page.with_partial(&format!("Prometheus warns: {}", answer.warnings.join("; "))) })
}

/// Returns a number as Prometheus writes it.
pub(crate) fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" | "Nan" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}
