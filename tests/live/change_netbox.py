#!/usr/bin/env python3
"""Makes a known set of changes in a NetBox that `load_netbox.py` has filled, and takes them back.

    tests/live/change_netbox.py URL TOKEN edits      change fields of a handful of objects
    tests/live/change_netbox.py URL TOKEN deletes    delete some, one of them a device with all that is in it
    tests/live/change_netbox.py URL TOKEN restore    put everything back, whatever state it was left in
        [--scale N]   restore: the scale that was loaded (1)

stdout is one JSON object that says exactly what was done, so that a test can expect it of a diff:

    {"edits":    [{"kind": "dcim.sites", "identifier": {"name": "Zürich"}, "id": 1,
                   "fields": {"description": {"old": "…", "new": "…"}}}, …]}
    {"deletes":  [{"kind": "dcim.devices", "identifier": {"name": …, "site": …}, "id": 58, "because": null}, …]}
    {"restored": {"edits": 10, "created": {"dcim.devices": 1, …}}}

An identifier shows the values from before the edit. References are written as the name of their peer, tags as
sorted names, choices as their value. `because` is null for what was asked for, else it is the identifier of what
took it along; those were found by asking the server before and after, not by knowing NetBox.

All three are idempotent: what is already so is left alone, and only what was done is listed. An object in neither
its loaded nor its edited state is an error. After `restore` everything is as it was loaded, except that deleted
objects have new ids, and all that was touched a new last_updated. A device's cable is not deleted with it: it
stays, open at one side, and is made anew by `restore`.
"""

import argparse
import json
import sys
import urllib.error
import urllib.parse

from load_netbox import SCALE_MAX, Loader, NetBox, Refused

# (kind, query which narrows the search, what the one object has, its identifier, {field: (as loaded, as edited)}).
# The third may not use an edited field: it finds the object in both states.
EDITS = [
    # An ordinary change, to characters that must survive.
    ("dcim.sites", {"slug": "zrh"}, {"slug": "zrh"}, {"name": "Zürich"},
     {"description": ("first line\nsecond line", 'moved 🚚 to "Süd"\nthird line')}),
    # A text becomes empty, a reference null, a choice and custom fields change, one tag goes and two come.
    ("dcim.devices", {"serial": "SN-KRK-core-01"}, {"serial": "SN-KRK-core-01"}, {"name": "krk-core-01", "site": "Kraków"},
     {"description": ("first line\nsecond line", ""), "tenant": ("Król & Synowie", None),
      "status": ("planned", "decommissioning"), "tags": (["monitored"], ["EOL", "PCI DSS"]),
      "custom_fields.lifecycle": ("planned", "retiring"), "custom_fields.warranty_months": (0, 7)}),
    # The name is part of the identity: for a diff one device with its interfaces goes and another comes.
    ("dcim.devices", {"serial": "SN-GRU-leaf-01"}, {"serial": "SN-GRU-leaf-01"}, {"name": "gru-leaf-01", "site": "São Paulo"},
     {"name": ("gru-leaf-01", "gru-leaf-01-renamed")}),
    # A device without a name gets one: for a filter on the name it appears.
    ("dcim.devices", {"serial": "SN-KRK-odd-01"}, {"serial": "SN-KRK-odd-01"}, {"name": None, "site": "Kraków"},
     {"name": (None, "krk-pdu-01")}),
    # A boolean, a number that was null, and a text which looks like a number.
    ("dcim.interfaces", {"name": "Ethernet5/1"}, {"name": "Ethernet5/1", "device": "tyo-core-01"},
     {"name": "Ethernet5/1", "device": "tyo-core-01"},
     {"enabled": (True, False), "mtu": (None, 9216), "description": ("", "1e5")}),
    ("ipam.vlans", {"vid": 40}, {"vid": 40, "group": "Montréal VLANs"}, {"vid": 40, "group": "Montréal VLANs"},
     {"name": ("Voice", "Voix")}),
    ("ipam.prefixes", {"prefix": "172.16.1.0/24"}, {"prefix": "172.16.1.0/24", "vrf": "lab"},
     {"prefix": "172.16.1.0/24", "vrf": "lab"}, {"status": ("reserved", "deprecated")}),
    # A global prefix moves into a VRF: an identity changes by a reference which was null.
    ("ipam.prefixes", {"prefix": "2001:db8:2:10::/64"}, {"prefix": "2001:db8:2:10::/64"},
     {"prefix": "2001:db8:2:10::/64", "vrf": None}, {"vrf": (None, "guest")}),
    ("ipam.ip_addresses", {"address": "10.1.10.50/24"}, {"address": "10.1.10.50/24"},
     {"address": "10.1.10.50/24", "vrf": None}, {"dns_name": ("", "printer.zrh.example.net")}),
    # Everything with this tag shows another name, and nothing of it gets a new last_updated.
    ("extras.tags", {"slug": "lab"}, {"slug": "lab"}, {"name": "Lab"}, {"name": ("Lab", "Laboratory")}),
]

# (kind, query, what the one object has, identifier). Nothing else refers to them but the device's own parts.
DELETES = [
    ("dcim.devices", {"serial": "SN-OFN-leaf-02"}, {"serial": "SN-OFN-leaf-02"}, {"name": "ofn-leaf-02", "site": "O'Fallon"}),
    ("ipam.vlans", {"vid": 1008}, {"vid": 1008, "group": None}, {"vid": 1008, "group": None}),
    ("ipam.prefixes", {"prefix": "172.16.11.0/24"}, {"prefix": "172.16.11.0/24", "vrf": "lab"},
     {"prefix": "172.16.11.0/24", "vrf": "lab"}),
    ("ipam.ip_addresses", {"address": "10.2.10.51/24"}, {"address": "10.2.10.51/24"}, {"address": "10.2.10.51/24", "vrf": None}),
    ("extras.tags", {"slug": "unused"}, {"slug": "unused"}, {"name": "Unused"}),
]

# What a device might take along: (kind, identifying fields). All answer to the filter `device_id`.
PARTS = [
    ("dcim.interfaces", ("name", "device")),
    ("ipam.ip_addresses", ("address", "vrf")),
    ("dcim.cables", ("label",)),
]
REFERENCES = {"tenant", "vrf"}


def plain(value):
    """A value as the output shows it: the value of a choice, the name of a peer, tags sorted by name."""
    if isinstance(value, list):
        return sorted(map(plain, value))
    if isinstance(value, dict):
        return value["value"] if "value" in value else value["name"]
    return value


def read(record, field):
    group, _, name = field.rpartition(".")
    return plain((record[group] if group else record)[name])


def write(body, field, value):
    """The inverse of `read`, in the form the API takes."""
    group, _, name = field.rpartition(".")
    if group:
        body.setdefault(group, {})[name] = value
    elif field == "tags":
        body[field] = [{"name": tag} for tag in value]
    elif field in REFERENCES and value is not None:
        body[field] = {"name": value}
    else:
        body[field] = value


def find(netbox, kind, query, has):
    """The one object, or None. Compared here too: NetBox ignores a filter it does not know and answers with all."""
    records = [
        record
        for record in netbox.all(kind, urllib.parse.urlencode(query))
        if all(plain(record[field]) == value for field, value in has.items())
    ]
    if len(records) > 1:
        raise Refused(f"{kind}: {len(records)} objects have {has}")
    return records[0] if records else None


def edit(netbox, edits, back):
    """Takes every object from its loaded to its edited state, or back, and lists what had to be done."""
    done = []
    for kind, query, has, identifier, fields in edits:
        record = find(netbox, kind, query, has)
        if record is None:
            raise Refused(f"{kind}: nothing has {has}; was load_netbox.py run?")
        body, changed = {}, {}
        for field, states in fields.items():
            old, new = reversed(states) if back else states
            found = read(record, field)
            if found == new:
                continue
            if found != old:
                raise Refused(f"{kind} {identifier}: {field} is {found!r}, neither {old!r} nor {new!r}")
            write(body, field, new)
            changed[field] = {"old": old, "new": new}
        if body:
            answer = netbox.request("PATCH", f"{netbox.path(kind)}{record['id']}/", body)
            for field, states in changed.items():
                if read(answer, field) != states["new"]:
                    raise Refused(f"{kind} {identifier}: {field} stayed {read(answer, field)!r}")
            done.append({"kind": kind, "identifier": identifier, "id": record["id"], "fields": changed})
    return done


def delete(netbox):
    done = []
    for kind, query, has, identifier in DELETES:
        record = find(netbox, kind, query, has)
        if record is None:
            continue
        parts = {}
        if kind == "dcim.devices":
            for part, names in PARTS:
                for child in netbox.all(part, f"device_id={record['id']}"):
                    parts[part, child["id"]] = {name: plain(child[name]) for name in names}
        netbox.request("DELETE", f"{netbox.path(kind)}{record['id']}/")
        done.append({"kind": kind, "identifier": identifier, "id": record["id"], "because": None})
        for part, _ in PARTS:
            ids = [id_ for kind_, id_ in parts if kind_ == part]
            if not ids:
                continue
            left = {child["id"] for child in netbox.all(part, "fields=id&" + "&".join(f"id={id_}" for id_ in ids))}
            done += [
                {"kind": part, "identifier": parts[part, id_], "id": id_, "because": identifier}
                for id_ in ids if id_ not in left
            ]
    return done


def main():
    parser = argparse.ArgumentParser(description="Change a loaded NetBox in a known way, and take it back.")
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("command", choices=["edits", "deletes", "restore"])
    parser.add_argument("--scale", type=int, default=1, choices=range(1, SCALE_MAX + 1), metavar="N")
    arguments = parser.parse_args()
    netbox = NetBox(arguments.url, arguments.token)
    try:
        if arguments.command == "edits":
            answer = {"edits": edit(netbox, EDITS, back=False)}
        elif arguments.command == "deletes":
            answer = {"deletes": delete(netbox)}
        else:
            # Last edit first, and before the loader looks at natural keys, which edits change.
            undone = edit(netbox, EDITS[::-1], back=True)
            answer = {"restored": {"edits": len(undone), "created": Loader(netbox, arguments.scale).load()}}
    except (Refused, urllib.error.URLError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    json.dump(answer, sys.stdout, indent=1, ensure_ascii=False)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
