//! The lists of the played servers, as far as the tests use them.

use super::{Column, List};

const fn list(
    path: &'static str,
    type_name: &'static str,
    columns: &'static [(&'static str, Column)],
    unique: &'static [&'static [&'static str]],
) -> List {
    List { path, type_name, columns, unique }
}

/// NetBox's.
pub const NETBOX: &[List] = &[
    list("extras/tags", "extras.tag", &[("name", Column::Name), ("slug", Column::Name), ("color", Column::Text)], &[&["name"], &["slug"]]),
    list(
        "dcim/regions",
        "dcim.region",
        &[("name", Column::Name), ("slug", Column::Name), ("parent", Column::Peer("dcim/regions"))],
        &[&["slug"]],
    ),
    list(
        "dcim/sites",
        "dcim.site",
        &[
            ("name", Column::Name),
            ("slug", Column::Name),
            ("status", Column::Choice(&["active", "planned"])),
            ("description", Column::Text),
            ("region", Column::Peer("dcim/regions")),
            ("tags", Column::Peers("extras/tags")),
            ("device_count", Column::Computed),
        ],
        &[&["name"], &["slug"]],
    ),
    list(
        "dcim/device-types",
        "dcim.devicetype",
        &[("model", Column::Name), ("slug", Column::Name), ("u_height", Column::Number)],
        &[&["model"], &["slug"]],
    ),
    list(
        "dcim/devices",
        "dcim.device",
        &[
            ("name", Column::Nullable),
            ("site", Column::Needed("dcim/sites")),
            ("device_type", Column::Needed("dcim/device-types")),
            ("status", Column::Choice(&["active", "offline"])),
            ("serial", Column::Text),
            ("asset_tag", Column::Nullable),
            ("primary_ip4", Column::Peer("ipam/ip-addresses")),
        ],
        &[&["name", "site"], &["asset_tag"]],
    ),
    list(
        "dcim/interfaces",
        "dcim.interface",
        &[
            ("name", Column::Name),
            ("device", Column::Parent("dcim/devices")),
            ("type", Column::Choice(&["other", "lag", "1000base-t"])),
            ("enabled", Column::Flag),
            ("lag", Column::Peer("dcim/interfaces")),
        ],
        &[&["device", "name"]],
    ),
    list(
        "ipam/ip-addresses",
        "ipam.ipaddress",
        &[
            ("address", Column::Name),
            ("assigned_object", Column::Generic(&["dcim/interfaces"])),
            ("status", Column::Choice(&["active", "reserved"])),
        ],
        &[&["address"]],
    ),
    list(
        "ipam/prefixes",
        "ipam.prefix",
        &[("prefix", Column::Name), ("scope", Column::Generic(&["dcim/sites", "dcim/regions"]))],
        &[&["prefix"]],
    ),
];

/// Nautobot's.
pub const NAUTOBOT: &[List] = &[
    list("extras/statuses", "extras.status", &[("name", Column::Name)], &[&["name"]]),
    list("ipam/namespaces", "ipam.namespace", &[("name", Column::Name)], &[&["name"]]),
    list("dcim/location-types", "dcim.locationtype", &[("name", Column::Name)], &[&["name"]]),
    list(
        "dcim/locations",
        "dcim.location",
        &[
            ("name", Column::Name),
            ("location_type", Column::Needed("dcim/location-types")),
            ("parent", Column::Peer("dcim/locations")),
            ("status", Column::Needed("extras/statuses")),
        ],
        &[&["name", "parent"]],
    ),
    list(
        "ipam/vlans",
        "ipam.vlan",
        &[("vid", Column::Number), ("name", Column::Name), ("status", Column::Needed("extras/statuses"))],
        &[&["vid"]],
    ),
    list(
        "dcim/devices",
        "dcim.device",
        &[
            ("name", Column::Nullable),
            ("location", Column::Needed("dcim/locations")),
            ("status", Column::Needed("extras/statuses")),
            ("serial", Column::Text),
        ],
        &[&["name", "location"]],
    ),
    list(
        "dcim/interfaces",
        "dcim.interface",
        &[
            ("name", Column::Name),
            ("device", Column::Parent("dcim/devices")),
            ("type", Column::Choice(&["other", "virtual"])),
            ("status", Column::Needed("extras/statuses")),
            ("tagged_vlans", Column::Peers("ipam/vlans")),
        ],
        &[&["device", "name"]],
    ),
    list(
        "ipam/ip-addresses",
        "ipam.ipaddress",
        &[("address", Column::Name), ("namespace", Column::Needed("ipam/namespaces")), ("status", Column::Needed("extras/statuses"))],
        &[&["address"]],
    ),
];

/// The mapping of a Nautobot to a Nautobot.
pub const NAUTOBOT_MAPPING: &str = "
schema_mapping:
  - {name: Status, mapping: extras.statuses, identifiers: [name], fields: [{name: name, mapping: name}]}
  - {name: LocationType, mapping: dcim.location_types, identifiers: [name], fields: [{name: name, mapping: name}]}
  - name: Location
    mapping: dcim.locations
    identifiers: [name]
    fields:
      - {name: name, mapping: name}
      - {name: kind, mapping: location_type, reference: LocationType}
      - {name: parent, mapping: parent, reference: Location}
      - {name: status, mapping: status, reference: Status}
  - name: Vlan
    mapping: ipam.vlans
    identifiers: [vid]
    fields: [{name: vid, mapping: vid}, {name: name, mapping: name}, {name: status, mapping: status.name, reference: Status}]
  - name: Device
    mapping: dcim.devices
    identifiers: [name, location]
    fields:
      - {name: name, mapping: name}
      - {name: location, mapping: location, reference: Location}
      - {name: status, mapping: status, reference: Status}
      - {name: serial, mapping: serial}
  - name: Interface
    mapping: dcim.interfaces
    identifiers: [name, device]
    fields:
      - {name: name, mapping: name}
      - {name: device, mapping: device, reference: Device}
      - {name: kind, mapping: type.value}
      - {name: status, mapping: status.name}
      - {name: vlans, mapping: tagged_vlans, reference: Vlan}
  - name: Address
    mapping: ipam.ip_addresses
    identifiers: [address]
    fields: [{name: address, mapping: address}, {name: status, mapping: status, reference: Status}]
";

/// Peering Manager's.
pub const PEERING: &[List] = &[
    list(
        "peering/autonomous-systems",
        "peering.autonomoussystem",
        &[
            ("asn", Column::Number),
            ("name", Column::Name),
            ("description", Column::Text),
            ("comments", Column::Text),
            ("irr_as_set", Column::Nullable),
            ("ipv4_max_prefixes", Column::Number),
            ("ipv6_max_prefixes", Column::Number),
            ("affiliated", Column::Flag),
        ],
        &[&["asn"]],
    ),
    list(
        "bgp/communities",
        "bgp.community",
        &[
            ("name", Column::Name),
            ("slug", Column::Name),
            ("value", Column::Name),
            ("description", Column::Text),
            ("type", Column::Word(&["egress", "ingress"])),
        ],
        &[&["name"], &["slug"]],
    ),
    list("bgp/relationships", "bgp.relationship", &[("name", Column::Name), ("slug", Column::Name)], &[&["name"], &["slug"]]),
    list(
        "peering/bgp-groups",
        "peering.bgpgroup",
        &[
            ("name", Column::Name),
            ("slug", Column::Name),
            ("description", Column::Text),
            ("status", Column::Choice(&["enabled", "disabled", "maintenance"])),
            ("import_routing_policies", Column::Peers("peering/routing-policies")),
            ("export_routing_policies", Column::Peers("peering/routing-policies")),
            ("communities", Column::Peers("bgp/communities")),
        ],
        &[&["name"], &["slug"]],
    ),
    list(
        "peering/routing-policies",
        "peering.routingpolicy",
        &[
            ("name", Column::Name),
            ("slug", Column::Name),
            ("description", Column::Text),
            ("type", Column::Word(&["export-policy", "import-policy", "import-export-policy"])),
            ("weight", Column::Number),
            ("address_family", Column::Number),
            ("communities", Column::Peers("bgp/communities")),
        ],
        &[&["name"], &["slug"]],
    ),
    list(
        "peering/internet-exchanges",
        "peering.internetexchange",
        &[
            ("name", Column::Name),
            ("slug", Column::Name),
            ("description", Column::Text),
            ("status", Column::Choice(&["enabled", "disabled", "maintenance"])),
            ("local_autonomous_system", Column::Needed("peering/autonomous-systems")),
            ("import_routing_policies", Column::Peers("peering/routing-policies")),
            ("export_routing_policies", Column::Peers("peering/routing-policies")),
            ("communities", Column::Peers("bgp/communities")),
        ],
        &[&["name"], &["slug"]],
    ),
    list("peeringdb/network-ixlans", "peeringdb.networkixlan", &[("asn", Column::Number)], &[]),
    list("devices/routers", "devices.router", &[("name", Column::Name)], &[&["name"]]),
    list(
        "net/connections",
        "net.connection",
        &[
            ("name", Column::Stored),
            ("peeringdb_netixlan", Column::Peer("peeringdb/network-ixlans")),
            ("description", Column::Text),
            ("status", Column::Choice(&["enabled", "disabled", "maintenance"])),
            ("vlan", Column::Number),
            ("internet_exchange_point", Column::Parent("peering/internet-exchanges")),
            ("router", Column::Parent("devices/routers")),
        ],
        &[],
    ),
    list(
        "peering/direct-peering-sessions",
        "peering.directpeeringsession",
        &[
            ("ip_address", Column::Name),
            ("local_autonomous_system", Column::Parent("peering/autonomous-systems")),
            ("autonomous_system", Column::Parent("peering/autonomous-systems")),
            ("relationship", Column::Needed("bgp/relationships")),
            ("bgp_group", Column::Peer("peering/bgp-groups")),
            ("status", Column::Choice(&["enabled", "disabled"])),
        ],
        &[],
    ),
];

/// The mapping of a Peering Manager to a Peering Manager; communities by the path of older versions.
pub const PEERING_MAPPING: &str = "
schema_mapping:
  - {name: As, mapping: peering/autonomous-systems, identifiers: [asn], fields: [{name: asn, mapping: asn}, {name: name, mapping: name}]}
  - name: Community
    mapping: peering/communities
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: value, mapping: value}, {name: type, mapping: type}]
  - {name: Relationship, mapping: bgp.relationships, identifiers: [name], fields: [{name: name, mapping: name}]}
  - name: Group
    mapping: peering/bgp-groups
    identifiers: [name]
    fields: [{name: name, mapping: name}, {name: communities, mapping: communities, reference: Community}]
  - name: Session
    mapping: peering/direct-peering-sessions
    identifiers: [autonomous_system, ip_address]
    fields:
      - {name: ip_address, mapping: ip_address}
      - {name: local, mapping: local_autonomous_system, reference: As}
      - {name: autonomous_system, mapping: autonomous_system, reference: As}
      - {name: relationship, mapping: relationship, reference: Relationship}
      - {name: group, mapping: bgp_group, reference: Group}
      - {name: status, mapping: status.value}
";
