//! Records that infrahub-sync 2.0.1 computes of Slurp'it's data.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::network::Network;

/// Networks that are no prefixes of the site.
const IGNORED: [&str; 9] =
    ["0.0.0.0/0", "0.0.0.0/32", "::/0", "224.0.0.0/4", "ff00::/8", "169.254.0.0/16", "fe80::/10", "127.0.0.0/8", "::1/128"];

/// Returns the different vendors of devices.
pub(crate) fn vendors(devices: &[Value]) -> Vec<Value> {
    distinct(devices, &["brand"])
}

/// Returns the different types of devices.
pub(crate) fn device_types(devices: &[Value]) -> Vec<Value> {
    distinct(devices, &["brand", "device_type", "device_os"])
}

/// Returns the different values of some columns, in the order of their text, without rows that have none of them.
fn distinct(rows: &[Value], columns: &[&str]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut found: Vec<Value> = Vec::new();
    for row in rows {
        let values: Map<String, Value> =
            columns.iter().map(|column| ((*column).to_owned(), row.get(column).cloned().unwrap_or_default())).collect();
        if values.values().any(|value| !value.is_null()) && seen.insert(Value::Object(values.clone()).to_string()) {
            found.push(Value::Object(values));
        }
    }
    found.sort_by_key(ToString::to_string);
    found
}

/// Returns the routes that stand for a network, each with its `normalized_prefix`.
pub(crate) fn networks(routes: Vec<Value>) -> Vec<Value> {
    let ignored: Vec<Network> = IGNORED.iter().filter_map(|text| Network::parse(text)).collect();
    let kept = routes.into_iter().filter_map(|mut route| {
        let text = |name: &str| first_text(route.get(name)).unwrap_or_default();
        let (network, mask) = (text("Network"), text("Mask"));
        let prefix = if network.contains('/') || mask.is_empty() { network } else { format!("{network}/{mask}") };
        let is_kept = Network::parse(&prefix).is_none_or(|network| !network.is_single() && !ignored.contains(&network));
        route.as_object_mut()?.insert("normalized_prefix".to_owned(), json!(prefix));
        is_kept.then_some(route)
    });
    kept.collect()
}

/// Returns the interfaces with an address, each with its `normalized_address`, and the `prefix` and `vrf` of the first network that has it.
pub(crate) fn addresses(interfaces: Vec<Value>, networks: &[(String, Value)]) -> Vec<Value> {
    let known = Known::of(networks);
    let kept = interfaces.into_iter().filter_map(|mut interface| {
        let address = first_text(interface.get("IP")).filter(|address| !address.is_empty())?;
        let length = if address.contains(':') { 128 } else { 32 };
        let address = if address.contains('/') { address } else { format!("{address}/{length}") };
        let network = Network::parse(&address)?;
        let row = interface.as_object_mut()?;
        if let Some((prefix, vrf)) = known.first_with(network) {
            row.insert("prefix".to_owned(), json!(prefix.to_string()));
            row.insert("vrf".to_owned(), vrf.clone());
        }
        row.insert("normalized_address".to_owned(), json!(address));
        Some(interface)
    });
    kept.collect()
}

/// Returns a text, or the first one of a list.
fn first_text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Array(values) => first_text(values.first()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Networks by their bits: finding one costs a look-up for each length, not a comparison with each network.
struct Known<'n> {
    /// The number of the network in the list, and its VRF.
    by_bits: HashMap<(u128, u32, bool), (usize, &'n Value)>,
    lengths: BTreeSet<u32>,
}

impl<'n> Known<'n> {
    fn of(networks: &'n [(String, Value)]) -> Known<'n> {
        let mut known = Known { by_bits: HashMap::new(), lengths: BTreeSet::new() };
        for (number, (prefix, vrf)) in networks.iter().enumerate() {
            if let Some(network) = Network::parse(prefix) {
                known.lengths.insert(network.length());
                known.by_bits.entry(network.key()).or_insert((number, vrf));
            }
        }
        known
    }

    /// Returns the first network of the list that contains another one.
    fn first_with(&self, inner: Network) -> Option<(Network, &'n Value)> {
        let containing = self.lengths.iter().filter_map(|length| inner.within(*length));
        let found = containing.filter_map(|network| self.by_bits.get(&network.key()).map(|(number, vrf)| (*number, network, *vrf)));
        found.min_by_key(|(number, ..)| *number).map(|(_, network, vrf)| (network, vrf))
    }
}
