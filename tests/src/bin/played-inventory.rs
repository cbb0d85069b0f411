//! A NetBox, Nautobot or Peering Manager that is played, as a program, for what is not written in Rust: it prints its address and serves until it
//! is killed.
//!
//! ```text
//! played-inventory netbox|nautobot|peeringmanager [OBJECTS.json]
//! ```
//!
//! OBJECTS.json is a list of `{"list": "dcim/sites", "body": {…}}`. A text `@3` in a body is the id of the third object, counted from 0.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use infrahub_sync_tests::django::lists::{NAUTOBOT, NETBOX, PEERING};
use infrahub_sync_tests::django::{Dialect, Django, TOKEN};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (dialect, lists) = match words.first().map(String::as_str) {
        Some("netbox") => (Dialect::NetBox, NETBOX),
        Some("nautobot") => (Dialect::Nautobot, NAUTOBOT),
        Some("peeringmanager") => (Dialect::PeeringManager, PEERING),
        _ => return Err("usage: played-inventory netbox|nautobot|peeringmanager [OBJECTS.json]".into()),
    };
    let server = Django::start(dialect, lists);
    let objects = words.get(1).map(std::fs::read_to_string).transpose()?.unwrap_or_else(|| "[]".to_owned());
    let mut ids: Vec<Value> = Vec::new();
    for object in serde_json::from_str::<Vec<Value>>(&objects)? {
        let list = object.get("list").and_then(Value::as_str).ok_or("an object without a list")?;
        let body = resolved(object.get("body").unwrap_or(&Value::Null), &ids)?;
        ids.extend(server.put(list, &[body]));
    }
    println!("{} {TOKEN}", server.url());
    loop {
        std::thread::park();
    }
}

/// Puts ids in place of the numbers of objects.
fn resolved(value: &Value, ids: &[Value]) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(match value {
        Value::String(text) => match text.strip_prefix('@') {
            Some(number) => ids.get(number.parse::<usize>()?).cloned().ok_or_else(|| format!("no object {number} yet"))?,
            None => value.clone(),
        },
        Value::Array(list) => list.iter().map(|one| resolved(one, ids)).collect::<Result<Value, _>>()?,
        Value::Object(object) => {
            let one = |(name, value): (&String, &Value)| Ok((name.clone(), resolved(value, ids)?));
            Value::Object(object.iter().map(one).collect::<Result<_, Box<dyn std::error::Error>>>()?)
        }
        _ => value.clone(),
    })
}
