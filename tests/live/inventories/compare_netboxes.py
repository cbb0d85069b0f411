#!/usr/bin/env python3
"""Compares the objects of two NetBoxes as pynetbox reads them.

    compare_netboxes.py URL TOKEN OTHER_URL OTHER_TOKEN

The objects and fields are those of netbox_to_netbox.yml. Prints the number of objects of each list as JSON, or the first difference.
"""

import json
import sys

import pynetbox


def name(record):
    """An object that another one refers to, by what people call it."""
    return None if record is None else str(record)


LISTS = {
    "extras.tags": lambda one: (one.name, one.slug, one.color, one.description),
    "tenancy.tenants": lambda one: (one.name, one.slug, name(one.group), one.description),
    "dcim.regions": lambda one: (one.name, one.slug, name(one.parent)),
    "dcim.sites": lambda one: (one.name, one.slug, one.status.value, name(one.region), name(one.tenant), one.latitude, one.longitude, one.description,
                               one.physical_address, sorted(tag.name for tag in one.tags)),
    "dcim.device_types": lambda one: (one.model, one.slug, name(one.manufacturer), one.u_height, one.part_number),
    "dcim.devices": lambda one: (one.name, name(one.site), name(one.role), name(one.device_type), one.status.value, one.serial, one.asset_tag,
                                 one.comments, sorted(tag.name for tag in one.tags), name(one.primary_ip4)) if one.name else None,
    "dcim.interfaces": lambda one: (one.name, one.device.name, one.type.value, one.enabled, one.mgmt_only, one.mtu, one.description,
                                    name(one.lag)) if one.device.name else None,
    "ipam.vlans": lambda one: (one.vid, name(one.group), one.name, one.status.value, one.description),
    "ipam.prefixes": lambda one: (one.prefix, name(one.vrf), one.status.value, one.is_pool, one.description, name(one.vlan))
    if one.scope_type in (None, "dcim.site") else None,
    "ipam.ip_addresses": lambda one: (one.address, name(one.vrf), name(one.assigned_object), one.status.value, one.dns_name, one.description)
    if one.assigned_object_type in (None, "dcim.interface") else None,
}


def read(url, token, path, fields):
    application, _, endpoint = path.partition(".")
    api = pynetbox.api(url, token=token)
    rows = (fields(one) for one in getattr(getattr(api, application), endpoint).all(limit=1000))
    return sorted(json.dumps(row, ensure_ascii=False) for row in rows if row is not None)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__.strip())
    counts = {}
    for path, fields in LISTS.items():
        one, other = read(*sys.argv[1:3], path, fields), read(*sys.argv[3:5], path, fields)
        if one != other:
            only = [f"{text} only in the {which}" for which, some, rest in (("first", one, other), ("second", other, one)) for text in some if text not in rest]
            sys.exit(f"{path}: {len(one)} and {len(other)} objects; " + "; ".join(only[:5]))
        counts[path] = len(one)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
