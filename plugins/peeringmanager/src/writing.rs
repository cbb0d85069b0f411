//! The tables of Peering Manager's ways of writing.

use infrahub_sync_adapter::FieldType;
use infrahub_sync_rest::system::{Cascade, Writing};

/// Makes a row of the table of cascades.
const fn along(list: &'static str, along: &'static str, filter: &'static str, path: &'static str) -> Cascade {
    Cascade { list, along, filter, path }
}

/// The ways of writing.
pub(crate) static WRITING: Writing = Writing {
    version: None,
    number_ids: true,
    client_ids: false,
    locks: None,
    message: None,
    reference_filter: "_id",
    sets: &["communities", "export_routing_policies", "import_routing_policies", "tags"],
    types: &[
        ("*", "ip_address", FieldType::IpInterface),
        ("*", "ipv4_address", FieldType::IpInterface),
        ("*", "ipv6_address", FieldType::IpInterface),
        ("*", "local_ip_address", FieldType::IpInterface),
        ("*", "mac_address", FieldType::Mac),
    ],
    nullable: &[
        ("*", "ip_address"),
        ("*", "irr_as_set"),
        ("*", "local_ip_address"),
        ("*", "mac_address"),
        ("*", "password"),
        ("*", "service_reference"),
    ],
    ignored: &[],
    defaults: &[],
    unique: &[
        ("/bgp/communities/", "name"),
        ("/bgp/communities/", "slug"),
        ("/peering/autonomous-systems/", "asn"),
        ("/peering/bgp-groups/", "slug"),
        ("/peering/internet-exchanges/", "slug"),
        ("/peering/routing-policies/", "slug"),
    ],
    together: &[],
    // Both come from PeeringDB.
    imported: &["/net/connections/", "/peering/internet-exchanges/"],
    made: &[],
    // They go without a word.
    cascades: &[
        along("/net/connections/", "peering.internet_exchange_peering_sessions", "ixp_connection_id", "ixp_connection"),
        along("/peering/autonomous-systems/", "peering.direct_peering_sessions", "autonomous_system_id", "autonomous_system"),
        along("/peering/autonomous-systems/", "peering.internet_exchange_peering_sessions", "autonomous_system_id", "autonomous_system"),
        along("/peering/internet-exchanges/", "net.connections", "internet_exchange_point_id", "internet_exchange_point"),
    ],
    holds: &[],
};
