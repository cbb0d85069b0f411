//! The models of NetBox: which values depend on other objects.
//!
//! The tables are the models of NetBox 4.7.3. Older ones have fewer columns of a name, which is the safe side. A name that is in no table
//! counts as one that any change may change, so a new NetBox costs time and loses nothing.

use infrahub_sync_rest::depends::{Models, Need, Reference, bound, loose};

/// All types that a field of this name has in any list.
const REFERENCES: &[Reference] = &[
    loose("bridge", &["dcim.interface", "dcim.interfacetemplate", "virtualization.vminterface"]),
    bound("circuit", &["circuits.circuit"]),
    loose("cluster", &["virtualization.cluster"]),
    bound("contact", &["tenancy.contact"]),
    loose("default_platform", &["dcim.platform"]),
    bound("device", &["dcim.device"]),
    bound("device_type", &["dcim.devicetype"]),
    loose("export_targets", &["ipam.routetarget"]),
    loose(
        "group",
        &[
            "circuits.circuitgroup",
            "dcim.rackgroup",
            "dcim.sitegroup",
            "ipam.fhrpgroup",
            "ipam.vlangroup",
            "tenancy.contactgroup",
            "tenancy.tenantgroup",
            "virtualization.clustergroup",
            "vpn.tunnelgroup",
            "wireless.wirelesslangroup",
        ],
    ),
    loose("import_targets", &["ipam.routetarget"]),
    loose("installed_device", &["dcim.device"]),
    loose("ipaddresses", &["ipam.ipaddress"]),
    bound("l2vpn", &["vpn.l2vpn"]),
    loose("lag", &["dcim.interface"]),
    loose("location", &["dcim.location"]),
    bound("manufacturer", &["dcim.manufacturer"]),
    loose("master", &["dcim.device"]),
    bound("module", &["dcim.module"]),
    bound("module_bay", &["dcim.modulebay"]),
    bound("module_type", &["dcim.moduletype"]),
    loose("nat_inside", &["ipam.ipaddress"]),
    loose("oob_ip", &["ipam.ipaddress"]),
    loose(
        "parent",
        &[
            "dcim.device",
            "dcim.devicerole",
            "dcim.interface",
            "dcim.interfacetemplate",
            "dcim.inventoryitem",
            "dcim.inventoryitemtemplate",
            "dcim.location",
            "dcim.platform",
            "dcim.region",
            "dcim.sitegroup",
            "ipam.fhrpgroup",
            "tenancy.contactgroup",
            "tenancy.tenantgroup",
            "virtualization.virtualmachine",
            "virtualization.vminterface",
            "wireless.wirelesslangroup",
        ],
    ),
    loose("platform", &["dcim.platform"]),
    bound("power_panel", &["dcim.powerpanel"]),
    loose("power_port", &["dcim.powerport", "dcim.powerporttemplate"]),
    loose("primary_ip", &["ipam.ipaddress"]),
    loose("primary_ip4", &["ipam.ipaddress"]),
    loose("primary_ip6", &["ipam.ipaddress"]),
    loose("primary_mac_address", &["dcim.macaddress"]),
    bound("provider", &["circuits.provider"]),
    bound("provider_account", &["circuits.provideraccount"]),
    bound("provider_network", &["circuits.providernetwork"]),
    loose("qinq_svlan", &["ipam.vlan"]),
    bound("rack", &["dcim.rack"]),
    loose("rack_type", &["dcim.racktype"]),
    loose("region", &["dcim.region"]),
    bound("rir", &["ipam.rir"]),
    loose("role", &["dcim.devicerole", "dcim.inventoryitemrole", "dcim.rackrole", "ipam.role", "tenancy.contactrole"]),
    loose(
        "scope",
        &[
            "dcim.location",
            "dcim.rack",
            "dcim.region",
            "dcim.site",
            "dcim.sitegroup",
            "virtualization.cluster",
            "virtualization.clustergroup",
        ],
    ),
    bound("site", &["dcim.site"]),
    loose("tagged_vlans", &["ipam.vlan"]),
    loose("tags", &["extras.tag"]),
    bound("tenant", &["tenancy.tenant"]),
    bound("tunnel", &["vpn.tunnel"]),
    bound("type", &["circuits.circuittype", "circuits.virtualcircuittype", "virtualization.clustertype"]),
    loose("untagged_vlan", &["ipam.vlan"]),
    loose("vdcs", &["dcim.virtualdevicecontext"]),
    loose("virtual_chassis", &["dcim.virtualchassis"]),
    bound("virtual_circuit", &["circuits.virtualcircuit"]),
    bound("virtual_machine", &["virtualization.virtualmachine"]),
    bound("vlan", &["ipam.vlan"]),
    loose("vrf", &["ipam.vrf"]),
    loose("wireless_lans", &["wireless.wirelesslan"]),
    loose("wireless_link", &["wireless.wirelesslink"]),
];

/// The object to which an address is assigned. It belongs to that list alone: other lists have other objects in a field of that name.
static ASSIGNED_OBJECT: Reference = bound("assigned_object", &["dcim.interface", "ipam.fhrpgroup", "virtualization.vminterface"]);

/// Columns of the record in each list that has a field of the name.
const COLUMNS: &str = "account address airflow allocated_draw amperage asn asset_tag assigned_object_id assigned_object_type auth_cipher auth_type \
    channels cid color comments commit_rate cooling_method created date_added default_memory default_vcpus desc_units description \
    discovered display_url distance distance_unit dns_name domain duplex email enabled encapsulation end end_address end_of_life \
    enforce_unique face facility facility_id family feed_leg form_factor group_id id identifier install_date is_active is_full_depth \
    is_pool is_private kind label last_updated latitude length length_unit link local_context_data longitude mark_connected \
    mark_populated mark_utilized max_utilization max_weight maximum_draw memory mgmt_only mode model mounting_depth mtu name \
    outer_depth outer_height outer_unit outer_width part_id part_number phase phone physical_address poe_mode poe_type port_speed \
    ports position positions pp_info prefix priority protocol qinq_role rd rf_channel rf_channel_frequency rf_channel_width rf_role \
    scope_id scope_type serial service_id size slug speed ssid start start_address start_on_boot starting_unit status subdevice_role \
    supply term_side termination_date time_zone title tunnel_id tx_power u_height units upstream_speed url vc_position vc_priority \
    vcpus vid vid_ranges voltage weight weight_unit width wwn xconnect_id";

/// The types on which the value of a custom field depends beside the record.
const CUSTOM_FIELDS: &[&str] = &["extras.customfield", "extras.customfieldchoiceset"];
/// The types from which a site is inherited. A rack moves with its location, a device with its rack, a virtual machine with its cluster; none
/// of these moves `last_updated`.
const PLACES: &[&str] = &["dcim.location", "dcim.rack", "virtualization.cluster"];

/// The models.
pub(crate) static MODELS: Models = Models {
    references: REFERENCES,
    columns: COLUMNS,
    choices_or_references: &["role", "type"],
    custom_fields: CUSTOM_FIELDS,
    unknown: &["plugins"],
    exceptions,
    further,
};

/// Returns the needs of values that others write, and of names that mean something else in one list.
fn exceptions(app: &str, list: &str, path: &[&str]) -> Option<Vec<Need>> {
    Some(match path {
        // The primary one's address, which is an object since 4.2.
        ["mac_address"] if list == "interfaces" => vec![Need::Unchanged(&["dcim.macaddress"])],
        ["mac_address"] if app == "dcim" && list == "mac-addresses" => Vec::new(),
        // The sum of its virtual disks.
        ["disk"] if app == "virtualization" => vec![Need::Unchanged(&["virtualization.virtualdisk"])],
        // Also set from the other side, without a trace in the record.
        ["asns"] => vec![Need::Unchanged(&["ipam.asn"])],
        ["module"] => vec![Need::Unchanged(&["dcim.module"])],
        ["termination_a" | "termination_z"] => vec![Need::Unchanged(&["circuits.circuittermination"])],
        ["assigned_object", inside @ ..] if matches!((app, list), ("ipam", "ip-addresses") | ("dcim", "mac-addresses")) => {
            MODELS.of_reference(&ASSIGNED_OBJECT, inside)
        }
        _ => return None,
    })
}

/// Returns the needs of a site that is inherited.
fn further(app: &str, _: &str, name: &str) -> Option<Need> {
    (matches!(name, "site" | "location") && matches!(app, "dcim" | "virtualization")).then_some(Need::Unchanged(PLACES))
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, MODELS, Need, PLACES, REFERENCES};

    fn needs(resource: &str, path: &str) -> Vec<Need> {
        MODELS.needs(resource, path)
    }

    #[test]
    fn a_record_s_own_values_need_nothing() {
        for path in ["id", "name", "status.value", "status.label", "status", "role.value", "type.label", "vid", "face.value", "address"] {
            assert_eq!(needs("ipam.ip_addresses", path), [], "{path}");
        }
        assert_eq!(needs("dcim.mac_addresses", "mac_address"), []);
    }

    #[test]
    fn references_stay_as_long_as_their_peers_do() {
        for path in ["device", "device.id", "tenant", "manufacturer", "vlan.id"] {
            assert_eq!(needs("dcim.interfaces", path), [], "{path}");
        }
        for path in ["tags", "tags.id"] {
            assert_eq!(needs("dcim.interfaces", path), [Need::Undeleted(&["extras.tag"])]);
        }
        assert_eq!(needs("ipam.vlans", "site"), []);
        assert_eq!(needs("dcim.devices", "site"), [Need::Unchanged(PLACES)]);
        assert_eq!(needs("virtualization.virtual_machines", "site.id"), [Need::Unchanged(PLACES)]);
        assert_eq!(needs("dcim.racks", "location"), [Need::Undeleted(&["dcim.location"]), Need::Unchanged(PLACES)]);
    }

    #[test]
    fn what_is_inside_of_a_reference_changes_with_it() {
        assert_eq!(needs("ipam.prefixes", "tenant.name"), [Need::Unchanged(&["tenancy.tenant"])]);
        assert_eq!(needs("dcim.interfaces", "tags.slug"), [Need::Undeleted(&["extras.tag"]), Need::Unchanged(&["extras.tag"])]);
        let interfaces = &["dcim.interface", "ipam.fhrpgroup", "virtualization.vminterface"];
        for resource in ["ipam.ip_addresses", "ipam/ip-addresses"] {
            assert_eq!(needs(resource, "assigned_object.device.name"), [Need::Unchanged(interfaces), Need::Unchanged(&["dcim.device"])]);
            assert_eq!(needs(resource, "assigned_object"), []);
        }
        assert_eq!(needs("ipam.prefixes", "vlan.status.value"), [Need::Unchanged(&["ipam.vlan"])]);
    }

    #[test]
    fn what_is_not_known_needs_a_quiet_server() {
        let paths = [
            ("dcim.devices", "display"),
            ("dcim.devices", "config_context.ntp"),
            ("dcim.devices", "interface_count"),
            ("dcim.devices", "site.display"),
            ("dcim.interfaces", "connected_endpoints"),
            ("dcim.interfaces", "cable"),
            ("dcim.devices", ""),
            ("extras.journal_entries", "assigned_object"),
            ("dcim.interfaces", "tags.0.name"),
            ("dcim.devices", "site.*"),
            ("plugins.netbox_bgp.session", "name"),
        ];
        for (resource, path) in paths {
            assert!(needs(resource, path).contains(&Need::Nothing), "{resource} {path}");
        }
        assert_eq!(needs("plugins.netbox_bgp.session", "id"), []);
    }

    #[test]
    fn values_that_others_write_change_with_them() {
        assert_eq!(needs("dcim.interfaces", "mac_address"), [Need::Unchanged(&["dcim.macaddress"])]);
        assert_eq!(needs("virtualization.virtual_machines", "disk"), [Need::Unchanged(&["virtualization.virtualdisk"])]);
        assert_eq!(needs("dcim.sites", "asns"), [Need::Unchanged(&["ipam.asn"])]);
        assert_eq!(needs("dcim.interfaces", "module"), [Need::Unchanged(&["dcim.module"])]);
        assert_eq!(needs("circuits.circuits", "termination_a"), [Need::Unchanged(&["circuits.circuittermination"])]);
    }

    #[test]
    fn custom_fields_change_with_their_definition_and_with_objects_in_them() {
        let defined = Need::Unchanged(super::CUSTOM_FIELDS);
        assert_eq!(needs("dcim.devices", "custom_fields.lifecycle.value"), [defined]);
        for path in ["custom_fields", "custom_fields.owner", "custom_fields.owner.name", "custom_fields.*"] {
            assert_eq!(needs("dcim.devices", path), [defined, Need::PlainCustomFields], "{path}");
        }
    }

    #[test]
    fn no_name_is_a_column_and_a_reference() {
        assert!(COLUMNS.split(' ').is_sorted());
        assert!(REFERENCES.is_sorted_by_key(|reference| reference.name));
        assert!(REFERENCES.iter().all(|reference| !MODELS.is_column(reference.name)));
    }
}
