#!/usr/bin/env python3
"""Fills a Nautobot with a small invented network, the same each time.

    tests/live/load_nautobot.py URL TOKEN

4 regions, 4 sites, 12 devices, 36 interfaces (24 of them made by Nautobot out of templates), 24 addresses, 16 VLANs, 10 prefixes. Another load creates
only missing objects. It needs Python 3.9 or newer, and nothing else.
"""

import json
import sys
import urllib.error
import urllib.request

PLACED = ["dcim.device", "dcim.interface", "dcim.location", "ipam.ipaddress", "ipam.prefix", "ipam.vlan"]
SITES = [
    ("Zürich", "Switzerland", "47.376900", "8.541700", "Bahnhofstrasse 1\n8001 Zürich"),
    ("München", "Germany", None, None, "Marienplatz 8"),
    ("Łódź", "Europe", None, None, ""),
    ("東京", "Asia", "35.676200", "139.650300", ""),
]


class Nautobot:
    def __init__(self, url, token):
        self.url, self.token = url.rstrip("/") + "/api/", token

        # The server is on loopback: a proxy from the environment is never meant.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with self.opener.open(request, timeout=300) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: {error.code}\n{error.read().decode()[:2000]}")

    def all(self, path):
        found, page = [], self.send("GET", f"{path}?limit=1000&depth=1&exclude_m2m=false")
        while True:
            found += page["results"]
            if not page["next"]:
                return found
            page = self.send("GET", f"{path}?limit=1000&depth=1&exclude_m2m=false&offset={len(found)}")

    def put(self, path, names, rows):
        """Creates the rows that are missing: `names` are the members that tell them apart. Returns the id of each row."""

        def key(row):
            values = [row.get(name) for name in names]
            return tuple(value["id"] if isinstance(value, dict) and "id" in value else value for value in values)

        there = {key(row): row["id"] for row in self.all(path)}
        missing = [row for row in rows if key(row) not in there]
        for start in range(0, len(missing), 100):
            for row in self.send("POST", path, missing[start : start + 100]):
                there[key(row)] = row["id"]
        return [there[key(row)] for row in rows]


def load(nautobot):
    put = nautobot.put
    tags = put("extras/tags/", ["name"], [
        {"name": "core", "color": "aa1409", "content_types": PLACED},
        {"name": 'the "lab"', "description": "not for production", "color": "2196f3", "content_types": PLACED},
        {"name": "unused", "color": "9e9e9e", "content_types": PLACED},
    ])
    groups = put("tenancy/tenant-groups/", ["name"], [{"name": "Customers"}, {"name": "Internal"}])
    tenants = put("tenancy/tenants/", ["name"], [
        {"name": "Acme", "tenant_group": groups[0], "description": "a 'customer'"},
        {"name": "Networks", "tenant_group": groups[1]},
    ])
    roles = put("extras/roles/", ["name"], [
        {"name": name, "color": "2196f3", "content_types": ["dcim.device"]} for name in ("core", "leaf", "console")
    ])
    region_type = put("dcim/location-types/", ["name"], [{"name": "Region", "nestable": True, "content_types": []}])[0]
    site_type = put("dcim/location-types/", ["name"], [
        {"name": "Site", "parent": region_type, "content_types": ["dcim.device", "ipam.prefix", "ipam.vlan", "ipam.vlangroup"]}
    ])[0]
    place = lambda name, kind, parent=None, **more: {"name": name, "location_type": kind, "parent": parent, "status": {"name": "Active"}, **more}
    top = put("dcim/locations/", ["name"], [place("Europe", region_type), place("Asia", region_type)])
    regions = dict(zip(["Switzerland", "Germany"], put("dcim/locations/", ["name"], [
        place(name, region_type, top[0]) for name in ("Switzerland", "Germany")
    ])))
    regions.update(Europe=top[0], Asia=top[1])
    sites = put("dcim/locations/", ["name"], [
        place(name, site_type, regions[region], latitude=latitude, longitude=longitude, physical_address=address,
              facility=f"F{number}", tenant=tenants[number % 2], tags=tags[: number % 3])
        for number, (name, region, latitude, longitude, address) in enumerate(SITES)
    ])
    makers = put("dcim/manufacturers/", ["name"], [{"name": "Juniper", "description": "routers"}, {"name": "Arista"}])
    platforms = put("dcim/platforms/", ["name"], [{"name": "junos", "manufacturer": makers[0]}, {"name": "eos", "manufacturer": makers[1]}])
    types = put("dcim/device-types/", ["model"], [
        {"model": "QFX5120", "manufacturer": makers[0], "u_height": 1, "part_number": "QFX5120-48Y", "is_full_depth": True},
        {"model": "DCS-7280", "manufacturer": makers[1], "u_height": 2},
    ])
    # A device of the second type has no interfaces of its own.
    put("dcim/interface-templates/", ["device_type", "name"], [
        {"device_type": types[0], "name": f"et-0/0/{port}", "type": "100gbase-x-qsfp28"} for port in range(3)
    ])
    names = [(site, kind, f"{''.join(letter for letter in name.lower() if letter.isalnum())[:3]}-{kind}-01")
             for site, (name, *_) in zip(sites, SITES) for kind in ("core", "leaf", "console")]
    number_of = {"core": 0, "leaf": 0, "console": 1}
    devices = put("dcim/devices/", ["name"], [
        {"name": name, "location": site, "device_type": types[number_of[kind]], "role": roles[["core", "leaf", "console"].index(kind)],
         "platform": platforms[number_of[kind]], "status": {"name": "Planned" if at % 5 == 4 else "Active"}, "serial": f"SN{at:04}",
         "asset_tag": f"A{at:03}" if at % 2 else None, "tenant": tenants[at % 2], "comments": "two\nlines" if at == 3 else "",
         "tags": tags[: at % 3]}
        for at, (site, kind, name) in enumerate(names)
    ])
    groups = put("ipam/vlan-groups/", ["name"], [{"name": f"{name} VLANs", "location": site} for site, (name, *_) in zip(sites, SITES)])
    vlans = put("ipam/vlans/", ["vid", "vlan_group"], [
        {"vid": vid, "name": f"vlan{vid}", "vlan_group": group, "status": {"name": "Active"}, "tenant": tenants[0]}
        for group in groups for vid in (10, 20, 30, 40)
    ])
    put("ipam/vlan-location-assignments/", ["vlan", "location"], [
        {"vlan": vlan, "location": site} for at, site in enumerate(sites) for vlan in vlans[4 * at : 4 * at + 4]
    ])
    namespace = nautobot.send("GET", "ipam/namespaces/?name=Global")["results"][0]["id"]
    put("ipam/vrfs/", ["name"], [{"name": "lab", "rd": "65000:1", "namespace": namespace, "status": {"name": "Active"}}])
    prefix = lambda text, **more: {"prefix": text, "namespace": namespace, "status": {"name": "Active"}, **more}
    put("ipam/prefixes/", ["prefix"], [prefix("10.0.0.0/8", type="container"), prefix("2001:db8::/32", type="container")])
    put("ipam/prefixes/", ["prefix"], [
        prefix(f"10.{number}.{third}.0/24", location=site, description=f"servers of {name}" if third else "", vlan=vlans[4 * number + third])
        for number, (site, (name, *_)) in enumerate(zip(sites, SITES)) for third in (0, 1)
    ])
    made = {(row["device"]["id"], row["name"]): row["id"] for row in nautobot.all("dcim/interfaces/")}
    put("dcim/interfaces/", ["device", "name"], [
        {"device": device, "name": f"Ethernet{port}", "type": "virtual", "status": {"name": "Active"}, "enabled": port != 2,
         "mgmt_only": port == 0, "mtu": 9000 if port == 1 else None, "description": "" if port else "out of band"}
        for device, (_, kind, _) in zip(devices, names) if kind == "console" for port in range(3)
    ])
    made.update({(row["device"]["id"], row["name"]): row["id"] for row in nautobot.all("dcim/interfaces/")})
    cores = [(number, device) for number, device in enumerate(devices[::3])]
    nautobot.send("PATCH", "dcim/interfaces/", [
        {"id": made[device, "et-0/0/2"], "mode": "tagged", "tagged_vlans": [vlans[4 * number + 1], vlans[4 * number + 2]],
         "untagged_vlan": vlans[4 * number]} for number, device in cores
    ])
    hosts = [(number, third, host) for number in range(len(SITES)) for third in (0, 1) for host in (1, 2, 3)]
    addresses = put("ipam/ip-addresses/", ["address"], [
        {"address": f"10.{number}.{third}.{host}/24", "namespace": namespace, "status": {"name": "Active"},
         "dns_name": f"h{host}.example.net" if host == 2 else ""} for number, third, host in hosts
    ])
    by_host = dict(zip(hosts, addresses))
    pairs = [{"ip_address": by_host[number, 0, 1], "interface": made[device, "et-0/0/0"]} for number, device in cores]
    pairs += [{"ip_address": by_host[number, 1, 1], "interface": made[device, "et-0/0/1"]} for number, device in cores]
    put("ipam/ip-address-to-interface/", ["ip_address", "interface"], pairs)
    nautobot.send("PATCH", "dcim/devices/", [{"id": device, "primary_ip4": by_host[number, 0, 1]} for number, device in cores])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    load(Nautobot(*sys.argv[1:]))


if __name__ == "__main__":
    main()
