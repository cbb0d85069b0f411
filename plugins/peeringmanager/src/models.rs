//! The models of Peering Manager: which values depend on other objects.
//!
//! The tables are the models of Peering Manager 1.10. A name that is in no table counts as one that any change may change.

use infrahub_sync_rest::depends::{Models, Need, Reference, bound, loose};

/// All types that a field of this name has in any list.
const REFERENCES: &[Reference] = &[
    bound("autonomous_system", &["peering.autonomoussystem"]),
    loose("bgp_group", &["peering.bgpgroup"]),
    loose("communities", &["bgp.community", "peering.community"]),
    loose("export_routing_policies", &["peering.routingpolicy"]),
    loose("import_routing_policies", &["peering.routingpolicy"]),
    bound("internet_exchange_point", &["peering.internetexchange"]),
    bound("ixp_connection", &["net.connection"]),
    bound("local_autonomous_system", &["peering.autonomoussystem"]),
    loose("platform", &["devices.platform"]),
    bound("relationship", &["bgp.relationship", "peering.relationship"]),
    loose("router", &["devices.router", "peering.router"]),
    loose("tags", &["extras.tag"]),
];

/// Columns of the record in each list that has a field of the name.
const COLUMNS: &str = "address_family affiliated asn comments config_context created description enabled general_policy hostname id \
    ip_address ipv4_address ipv4_max_prefixes ipv4_max_prefixes_peeringdb_sync ipv6_address ipv6_max_prefixes \
    ipv6_max_prefixes_peeringdb_sync irr_as_set irr_as_set_peeringdb_sync is_route_server kind local_ip_address mac_address multihop_ttl \
    name name_peeringdb_sync password peeringdb_netixlan poll_bgp_sessions_state poll_session_states service_reference slug status type \
    updated url value vlan weight";

/// The models.
pub(crate) static MODELS: Models = Models {
    references: REFERENCES,
    columns: COLUMNS,
    choices_or_references: &[],
    custom_fields: &[],
    unknown: &["peeringdb"],
    exceptions,
    further,
};

/// Returns the needs of the name of a connection, which is made of those of its ends.
fn exceptions(app: &str, list: &str, path: &[&str]) -> Option<Vec<Need>> {
    ((app, list, path) == ("net", "connections", &["name"])).then(|| vec![Need::Nothing])
}

fn further(_: &str, _: &str, _: &str) -> Option<Need> {
    None
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, MODELS, REFERENCES};

    #[test]
    fn no_name_is_a_column_and_a_reference() {
        assert!(COLUMNS.split_whitespace().is_sorted());
        assert!(REFERENCES.is_sorted_by_key(|reference| reference.name));
        assert!(REFERENCES.iter().all(|reference| !MODELS.is_column(reference.name)));
    }
}
