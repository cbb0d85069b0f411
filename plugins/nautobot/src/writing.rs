//! The tables of Nautobot's ways of writing.

use infrahub_sync_adapter::FieldType;
use infrahub_sync_rest::system::{Cascade, Default, Version, Writing};

/// Makes a row of the table of cascades.
const fn along(list: &'static str, along: &'static str, filter: &'static str) -> Cascade {
    Cascade { list, along, filter, path: filter }
}

/// The ways of writing.
pub(crate) static WRITING: Writing = Writing {
    version: Some(Version { path: "status/", pointer: "/nautobot-version", first: (2, 4) }),
    number_ids: false,
    client_ids: true,
    locks: None,
    message: None,
    reference_filter: "",
    sets: &[
        "clusters",
        "contacts",
        "content_types",
        "export_targets",
        "import_targets",
        "interfaces",
        "ip_addresses",
        "locations",
        "object_types",
        "prefixes",
        "tagged_vlans",
        "tags",
        "teams",
        "vlans",
        "vrfs",
    ],
    types: &[
        ("/ipam/ip-addresses/", "address", FieldType::IpInterface),
        ("/ipam/prefixes/", "prefix", FieldType::IpNetwork),
        ("*", "mac_address", FieldType::Mac),
        ("*", "latitude", FieldType::Float),
        ("*", "longitude", FieldType::Float),
    ],
    nullable: &[("*", "asset_tag"), ("*", "facility_id"), ("*", "rd"), ("/dcim/devices/", "name")],
    // Each has a list of its own: `ipam.prefix_location_assignments`, `ipam.ip_address_to_interface` …
    ignored: &[
        ("/dcim/devices/", "clusters"),
        ("/dcim/interfaces/", "ip_addresses"),
        ("/ipam/prefixes/", "locations"),
        ("/ipam/prefixes/", "vrfs"),
        ("/ipam/vlans/", "locations"),
        ("/ipam/vrfs/", "prefixes"),
        ("/virtualization/interfaces/", "ip_addresses"),
    ],
    defaults: &[Default {
        list: "/ipam/ip-addresses/",
        name: "namespace",
        value: r#"{"name": "Global"}"#,
        unless: &["namespace", "parent"],
    }],
    unique: &[
        ("*", "asset_tag"),
        ("/circuits/circuit-types/", "name"),
        ("/circuits/providers/", "name"),
        ("/dcim/location-types/", "name"),
        ("/dcim/manufacturers/", "name"),
        ("/dcim/platforms/", "name"),
        ("/extras/roles/", "name"),
        ("/extras/statuses/", "name"),
        ("/extras/tags/", "name"),
        ("/ipam/namespaces/", "name"),
        ("/ipam/rirs/", "name"),
        ("/ipam/route-targets/", "name"),
        ("/tenancy/tenant-groups/", "name"),
        ("/tenancy/tenants/", "name"),
        ("/virtualization/cluster-groups/", "name"),
        ("/virtualization/cluster-types/", "name"),
    ],
    together: &[
        ("/circuits/circuit-terminations/", &["circuit", "term_side"]),
        ("/dcim/device-types/", &["manufacturer", "model"]),
        ("/dcim/devices/", &["rack", "position", "face"]),
        ("/dcim/devices/", &["virtual_chassis", "vc_position"]),
        ("/ipam/vlans/", &["vlan_group", "name"]),
        ("/ipam/vlans/", &["vlan_group", "vid"]),
    ],
    imported: &[],
    made: &[
        "/dcim/console-ports/",
        "/dcim/console-server-ports/",
        "/dcim/device-bays/",
        "/dcim/front-ports/",
        "/dcim/interfaces/",
        "/dcim/module-bays/",
        "/dcim/power-outlets/",
        "/dcim/power-ports/",
        "/dcim/rear-ports/",
    ],
    // The addresses of a device stay.
    cascades: &[
        along("/circuits/circuits/", "circuits.circuit_terminations", "circuit"),
        along("/dcim/devices/", "dcim.console_ports", "device"),
        along("/dcim/devices/", "dcim.console_server_ports", "device"),
        along("/dcim/devices/", "dcim.device_bays", "device"),
        along("/dcim/devices/", "dcim.front_ports", "device"),
        along("/dcim/devices/", "dcim.interfaces", "device"),
        along("/dcim/devices/", "dcim.inventory_items", "device"),
        along("/dcim/devices/", "dcim.power_outlets", "device"),
        along("/dcim/devices/", "dcim.power_ports", "device"),
        along("/dcim/devices/", "dcim.rear_ports", "device"),
        along("/dcim/interfaces/", "ipam.ip_address_to_interface", "interface"),
        along("/ipam/ip-addresses/", "ipam.ip_address_to_interface", "ip_address"),
        along("/virtualization/interfaces/", "ipam.ip_address_to_interface", "vm_interface"),
        along("/virtualization/virtual-machines/", "virtualization.interfaces", "virtual_machine"),
    ],
    holds: &[],
};
