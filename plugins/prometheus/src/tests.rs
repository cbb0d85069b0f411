use infrahub_sync_adapter::testing::{self, first_page, page_records};
use infrahub_sync_adapter::{Error, ErrorKind};
use serde_json::{Value, json};

use super::*;

fn adapter(settings: &Value) -> Prometheus {
    let mut all = json!({ "url": "http://exporter.test", "mode": "scrape", "auth_method": "none" });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    Prometheus::configure(&all.to_string()).unwrap()
}

fn page(settings: &Value, resource: &str) -> Result<Page> {
    adapter(settings).load(&first_page(resource, &["value"]))
}

/// Scrapes a text for a metric.
fn scraped(text: &str, content_type: &str, metric: &str) -> Result<Vec<Value>, Error> {
    testing::reset();
    testing::respond_with_headers("GET", "/metrics", 200, &[("Content-Type", content_type)], text);
    page(&json!({}), metric).map(|page| page_records(&page))
}

const TEXT: &str = "text/plain; version=0.0.4";

#[test]
fn samples_have_labels_values_and_what_is_known_of_their_family() {
    let text = r#"# HELP node_uname_info Labeled system information.
# TYPE node_uname_info gauge
node_uname_info{nodename="n\"1\"",sysname="Lin\\ux\n",} 1
# TYPE http_requests counter
http_requests{code="200"} 1.027e+09 1395066363000
# TYPE size histogram
size_bucket{le="+Inf"} 3
size_sum 1.5
# TYPE free untyped
free -Inf
"#;
    let node = scraped(text, TEXT, "node_uname_info").unwrap();
    assert_eq!(
        node,
        [
            json!({"id": "node_uname_info|nodename=n\"1\",sysname=Lin\\ux\n", "__metric__": "node_uname_info", "labels": {"nodename": "n\"1\"", "sysname": "Lin\\ux\n"},
            "value": 1.0, "timestamp": null, "help": "Labeled system information.", "type": "gauge"})
        ]
    );
    let counter = &scraped(text, TEXT, "http_requests_total").unwrap()[0];
    assert_eq!((&counter["__metric__"], &counter["value"]), (&json!("http_requests_total"), &json!(1.027e9)));
    assert_eq!((&counter["timestamp"], &counter["type"]), (&json!(1_395_066_363.0), &json!("counter")));
    assert!(scraped(text, TEXT, "http_requests").unwrap().is_empty());
    assert_eq!(scraped(text, TEXT, "size_bucket").unwrap()[0]["type"], "histogram");
    let free = &scraped(text, TEXT, "free").unwrap()[0];
    assert_eq!((&free["value"], &free["type"]), (&Value::Null, &json!("unknown")));
}

#[test]
fn openmetrics_counts_in_seconds_and_ends_with_a_mark() {
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = "# TYPE http counter\n# UNIT http seconds\nhttp_total{a=\"b\"} 17 1520879607.789 # {trace_id=\"x\"} 0.67\n{\"my.metric\",l=\"v\"} 2 # {t=\"y\"} 1\n# EOF\n";
    let http = &scraped(text, open, "http_total").unwrap()[0];
    assert_eq!((&http["value"], &http["timestamp"]), (&json!(17.0), &json!(1_520_879_607.789)));
    let quoted = &scraped(text, open, "my.metric").unwrap()[0];
    assert_eq!((&quoted["labels"], &quoted["value"], &quoted["timestamp"]), (&json!({"l": "v"}), &json!(2.0), &Value::Null));
    let cut = scraped(&text.replace("# EOF\n", ""), open, "http_total").unwrap_err();
    assert!(cut.kind == ErrorKind::Remote && cut.message.contains("`# EOF`"), "{}", cut.message);
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    for (line, words) in [("up{a=\"b} 1", "labels"), ("up x", "no value"), ("up 1 soon", "timestamp"), ("up{a=b} 1", "labels")] {
        let error = scraped(&format!("# TYPE up gauge\n{line}\n"), TEXT, "up").unwrap_err();
        assert!(error.message.contains("line 2") && error.message.contains(words), "{}", error.message);
    }
    assert_eq!(scraped("<html>", "text/html", "up").unwrap_err().kind, ErrorKind::Remote);
}

#[test]
fn a_metric_that_is_not_exposed_makes_the_kind_partial() {
    testing::reset();
    testing::respond("GET", "/metrics", 200, "up 1\n");
    let page = page(&json!({}), "down").unwrap();
    assert!(page.partial.unwrap().contains("`down`"));
    assert_eq!(testing::requests().len(), 1);
    // One scrape serves all mappings of a run.
    assert!(self::page(&json!({}), "up").unwrap().partial.is_none());
    assert_eq!(testing::requests().len(), 1);
}

#[test]
fn queries_give_records_or_say_why_not() {
    let settings = json!({ "mode": "api", "promql": { "resources": { "targets": "up == 1", "two": "scalar(vector(2))" } } });
    let answer = |body: Value, status: u16| {
        testing::reset();
        testing::respond("GET", "/api/v1/query?query=up%20%3D%3D%201", status, body.to_string());
        page(&settings, "targets")
    };
    let vector = json!([{ "metric": { "__name__": "up", "job": "a" }, "value": [1764.1, "1"] }, { "metric": { "job": "b" }, "histogram": [1.0, {}] }]);
    let told = answer(json!({ "status": "success", "data": { "resultType": "vector", "result": vector } }), 200).unwrap();
    let records = page_records(&told);
    assert_eq!(
        records[0],
        json!({"id": "up|job=a", "__metric__": "up", "labels": {"job": "a"}, "value": 1.0, "timestamp": 1764.1, "help": "", "type": "vector"})
    );
    assert_eq!((&records[1]["__metric__"], &records[1]["value"]), (&json!("targets"), &Value::Null));
    assert!(told.partial.is_none());
    let warned = json!({ "status": "success", "warnings": ["a store is down"], "data": { "resultType": "vector", "result": [] } });
    assert!(answer(warned, 200).unwrap().partial.unwrap().contains("a store is down"));
    let matrix = answer(json!({ "status": "success", "data": { "resultType": "matrix", "result": [] } }), 200).unwrap_err();
    assert!(matrix.kind == ErrorKind::Config && matrix.message.contains("matrix"), "{}", matrix.message);
    let bad = answer(json!({ "status": "error", "errorType": "bad_data", "error": "parse error" }), 400).unwrap_err();
    assert!(bad.kind == ErrorKind::Invalid && bad.message.contains("parse error"), "{}", bad.message);
    let unknown = page(&settings, "racks").unwrap_err();
    assert!(unknown.kind == ErrorKind::Config && unknown.message.contains("`targets`, `two`"), "{}", unknown.message);
    testing::reset();
    testing::respond(
        "GET",
        "/api/v1/query?query=scalar%28vector%282%29%29",
        200,
        r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"2"]}}"#,
    );
    assert_eq!(page_records(&page(&settings, "two").unwrap())[0]["value"], 2.0);
}

#[test]
fn labels_are_sorted_and_the_last_of_a_name_counts() {
    let found = scraped("up{b=\"2\",a=\"1\",b=\"3\"} 1\nup{a=\"ü\\\\\\\"\"} NaN 5\n", TEXT, "up").unwrap();
    assert_eq!((&found[0]["id"], &found[0]["labels"]), (&json!("up|a=1,b=3"), &json!({"a": "1", "b": "3"})));
    assert_eq!((&found[1]["id"], &found[1]["value"], &found[1]["timestamp"]), (&json!("up|a=ü\\\""), &Value::Null, &json!(0.005)));
}
