//! The models of Nautobot: which values depend on other objects.
//!
//! The tables are the models of Nautobot 3.2.7, as far as mappings use them. A name that is in no table counts as one that any change may change.

use infrahub_sync_rest::depends::{Models, Need, Reference, bound, loose};

/// All types that a field of this name has in any list.
const REFERENCES: &[Reference] = &[
    loose("bridge", &["dcim.interface", "virtualization.vminterface"]),
    bound("circuit", &["circuits.circuit"]),
    bound("circuit_type", &["circuits.circuittype"]),
    loose("cluster", &["virtualization.cluster"]),
    loose("cluster_group", &["virtualization.clustergroup"]),
    bound("cluster_type", &["virtualization.clustertype"]),
    bound("device", &["dcim.device"]),
    loose("device_family", &["dcim.devicefamily"]),
    loose("device_redundancy_group", &["dcim.deviceredundancygroup"]),
    bound("device_type", &["dcim.devicetype"]),
    bound("interface", &["dcim.interface"]),
    bound("ip_address", &["ipam.ipaddress"]),
    loose("lag", &["dcim.interface"]),
    loose("location", &["dcim.location"]),
    bound("location_type", &["dcim.locationtype"]),
    bound("manufacturer", &["dcim.manufacturer"]),
    loose("master", &["dcim.device"]),
    bound("namespace", &["ipam.namespace"]),
    loose("nat_inside", &["ipam.ipaddress"]),
    loose(
        "parent",
        &["dcim.location", "dcim.locationtype", "dcim.rackgroup", "ipam.prefix", "tenancy.tenantgroup", "virtualization.clustergroup"],
    ),
    loose("parent_interface", &["dcim.interface", "virtualization.vminterface"]),
    loose("platform", &["dcim.platform"]),
    bound("power_panel", &["dcim.powerpanel"]),
    bound("prefix", &["ipam.prefix"]),
    loose("primary_ip4", &["ipam.ipaddress"]),
    loose("primary_ip6", &["ipam.ipaddress"]),
    bound("provider", &["circuits.provider"]),
    bound("provider_network", &["circuits.providernetwork"]),
    loose("rack", &["dcim.rack"]),
    loose("rack_group", &["dcim.rackgroup"]),
    loose("rir", &["ipam.rir"]),
    loose("role", &["extras.role"]),
    loose("secrets_group", &["extras.secretsgroup"]),
    loose("software_version", &["dcim.softwareversion"]),
    bound("status", &["extras.status"]),
    loose("tags", &["extras.tag"]),
    loose("tenant", &["tenancy.tenant"]),
    loose("tenant_group", &["tenancy.tenantgroup"]),
    loose("untagged_vlan", &["ipam.vlan"]),
    loose("virtual_chassis", &["dcim.virtualchassis"]),
    bound("virtual_machine", &["virtualization.virtualmachine"]),
    loose("vlan", &["ipam.vlan"]),
    loose("vlan_group", &["ipam.vlangroup"]),
    bound("vm_interface", &["virtualization.vminterface"]),
    loose("vrf", &["ipam.vrf"]),
];

/// A prefix has its own network at the path `prefix`, and other lists refer to one.
static PREFIX: Reference = bound("prefix", &["ipam.prefix"]);

/// Columns of the record in each list that has a field of the name.
const COLUMNS: &str = "account address airflow allocated_draw asn asset_tag cid color comments commit_rate contact_email contact_name \
    contact_phone created date_added date_allocated description dns_name email enabled end_address face facility facility_id \
    feed_leg height host id install_date ip_version is_full_depth is_private key label last_synced last_updated latitude length \
    length_unit longitude mac_address mask_length maximum_draw memory mgmt_only mode model mtu name nestable network outer_depth \
    outer_unit outer_width part_number phase phone physical_address port_speed position positions prefix_length priority protocol rd \
    serial shipping_address slug speed start_address subdevice_role supply term_side time_zone type u_height upstream_speed url \
    vc_position vc_priority vcpus vid voltage weight width xconnect_id";

/// The types on which the value of a custom field depends beside the record.
const CUSTOM_FIELDS: &[&str] = &["extras.customfield", "extras.customfieldchoice"];

/// The models.
pub(crate) static MODELS: Models = Models {
    references: REFERENCES,
    columns: COLUMNS,
    choices_or_references: &[],
    custom_fields: CUSTOM_FIELDS,
    unknown: &["plugins"],
    exceptions,
    further,
};

/// Returns the needs of values that others write, and of names that mean something else in one list.
fn exceptions(app: &str, list: &str, path: &[&str]) -> Option<Vec<Need>> {
    Some(match path {
        ["prefix"] if (app, list) == ("ipam", "prefixes") => Vec::new(),
        ["prefix", inside @ ..] if app == "ipam" => MODELS.of_reference(&PREFIX, inside),
        _ => return None,
    })
}

/// Returns the needs of a parent that the server finds by itself: each new prefix may be the parent of others, and of addresses.
fn further(app: &str, _: &str, name: &str) -> Option<Need> {
    (app == "ipam" && name == "parent").then_some(Need::Unchanged(&["ipam.prefix"]))
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, MODELS, Need, REFERENCES};

    #[test]
    fn paths_need_what_they_show() {
        let needs = |resource: &str, path: &str| MODELS.needs(resource, path);
        assert_eq!(needs("dcim.devices", "name"), []);
        assert_eq!(needs("dcim.interfaces", "type.value"), []);
        assert_eq!(needs("dcim.devices", "status"), []);
        assert_eq!(needs("dcim.devices", "status.name"), [Need::Unchanged(&["extras.status"])]);
        assert_eq!(needs("ipam.prefixes", "prefix"), []);
        assert_eq!(needs("ipam.ip_addresses", "parent"), [Need::Undeleted(MODELS_PARENT), Need::Unchanged(&["ipam.prefix"])]);
        assert_eq!(needs("dcim.devices", "natural_slug"), [Need::Nothing]);
        assert_eq!(needs("plugins.bgp.sessions", "name"), [Need::Nothing]);
    }

    const MODELS_PARENT: &[&str] =
        &["dcim.location", "dcim.locationtype", "dcim.rackgroup", "ipam.prefix", "tenancy.tenantgroup", "virtualization.clustergroup"];

    #[test]
    fn no_name_is_a_column_and_a_reference() {
        assert!(COLUMNS.split_whitespace().is_sorted());
        assert!(REFERENCES.is_sorted_by_key(|reference| reference.name));
        assert!(REFERENCES.iter().all(|reference| !MODELS.is_column(reference.name)));
    }
}
