#!/usr/bin/env python3
"""Fills an empty NetBox with a made-up network, over its REST API, with the standard library alone.

    tests/live/load_netbox.py http://127.0.0.1:18012 TOKEN [--scale N]

The same scale always gives the same network: nothing is drawn at random, each choice is a hash of what it is
for. Loading is idempotent: what is there (by its natural key) is left alone, what is missing is created. So a
second run creates nothing, a larger scale adds sites, and `change_netbox.py restore` is built upon it.

One site at scale 1, of 12 per unit of scale (N is at most 20, where the second byte of 10.x.0.0/16 ends):

    core-01     2 U      24 ports + mgmt0 (templates), Loopback0, Vlan10, Vlan20, Vlan30
    leaf-01/02  1 U      16 ports + 2 uplinks + mgmt0 (templates), Loopback0, one also Port-channel1
    oob-01      0.5 U    4 ports + mgmt0 (templates); the same name at every site, so only name and site identify it
    PDU, panel  0/1 U    no interfaces; two of three have no name (null)

The texts carry what breaks careless tools: several scripts, quotes, line ends, emoji, "" next to null, and words
which look like numbers, booleans or None. stdout is one JSON object: the number of objects of each resource.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
import zlib

SCALE_MAX = 20
# Rows in one bulk POST or PATCH: the server runs each list in one transaction, and a browser would give up on more.
BATCH_ROWS = 200
# The largest page that NetBox gives.
PAGE_ROWS = 1000
# Objects of one batch can take seconds each on a busy machine.
TIMEOUT_S = 300


class Refused(Exception):
    """The server's answer to one request was not a success."""


class NetBox:
    """The few requests the live scripts need."""

    def __init__(self, url, token):
        self.url = url.rstrip("/") + "/api/"
        self.headers = {
            "Authorization": ("Bearer " if token.startswith("nbt_") else "Token ") + token,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        # The server is on loopback: a proxy from the environment is never meant.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.headers, method=method)
        try:
            with self.opener.open(request, timeout=TIMEOUT_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.code} {error.read()[:2000].decode(errors='replace')}") from None
        return json.loads(text) if text else None

    @staticmethod
    def path(resource):
        """dcim.interface_templates → dcim/interface-templates/, the spelling of config.yml."""
        return resource.replace("_", "-").replace(".", "/") + "/"

    def all(self, resource, query=""):
        """Every record of a resource, in the order of ids, over pages."""
        records, offset = [], 0
        while True:
            page = self.request(
                "GET", f"{self.path(resource)}?limit={PAGE_ROWS}&offset={offset}&ordering=id&omit=config_context&{query}"
            )
            records += page["results"]
            offset += PAGE_ROWS
            if page["next"] is None:
                return records

    def count(self, resource, query=""):
        return self.request("GET", f"{self.path(resource)}?limit=1&fields=id&{query}")["count"]

    def bulk(self, method, resource, rows):
        """Writes rows in batches and returns the answer's records."""
        records = []
        for start in range(0, len(rows), BATCH_ROWS):
            records += self.request(method, self.path(resource), rows[start : start + BATCH_ROWS]) or []
        return records


def of(record, *names):
    """record[a][b], or None where a link on the way is null."""
    for name in names:
        if record is None:
            return None
        record = record[name]
    return record


# resource: (the fields its natural key needs, record → natural key).
SLUG = ("slug", lambda r: r["slug"])
NAME = ("name", lambda r: r["name"])
KEYS = {
    "extras.tags": SLUG,
    "extras.custom_field_choice_sets": NAME,
    "extras.custom_fields": NAME,
    "tenancy.tenant_groups": SLUG,
    "tenancy.tenants": SLUG,
    "dcim.regions": SLUG,
    "dcim.site_groups": SLUG,
    "dcim.sites": SLUG,
    "dcim.locations": ("site,slug", lambda r: (r["site"]["slug"], r["slug"])),
    "dcim.rack_roles": SLUG,
    "dcim.racks": ("site,name", lambda r: (r["site"]["slug"], r["name"])),
    "dcim.manufacturers": SLUG,
    "dcim.platforms": SLUG,
    "dcim.device_roles": SLUG,
    "dcim.device_types": SLUG,
    "dcim.interface_templates": ("device_type,name", lambda r: (r["device_type"]["slug"], r["name"])),
    # Every device has a serial number of its own; not every device has a name.
    "dcim.devices": ("serial", lambda r: r["serial"]),
    "dcim.interfaces": ("device,name", lambda r: (r["device"]["id"], r["name"])),
    "dcim.cables": ("label", lambda r: r["label"]),
    "virtualization.cluster_types": SLUG,
    "virtualization.clusters": NAME,
    "virtualization.virtual_machines": NAME,
    "virtualization.interfaces": ("virtual_machine,name", lambda r: (r["virtual_machine"]["id"], r["name"])),
    "ipam.vlan_groups": SLUG,
    "ipam.vlans": ("group,vid", lambda r: (of(r, "group", "slug"), r["vid"])),
    "ipam.vrfs": ("rd", lambda r: r["rd"]),
    "ipam.prefixes": ("vrf,prefix", lambda r: (of(r, "vrf", "id"), r["prefix"])),
    "ipam.ip_addresses": ("vrf,address", lambda r: (of(r, "vrf", "id"), r["address"])),
    "circuits.circuit_types": SLUG,
    "circuits.providers": SLUG,
    "circuits.circuits": ("cid", lambda r: r["cid"]),
    "circuits.circuit_terminations": ("circuit,term_side", lambda r: (r["circuit"]["id"], r["term_side"])),
}

# (name, code, region, facility): one site each; a larger scale repeats them as "Zürich 2", "zrh2" …
CITIES = [
    ("Zürich", "zrh", "switzerland", "Rechenzentrum “Süd”"),
    ("Kraków", "krk", "poland", "Hala 4"),
    ("東京", "tyo", "japan", "第二ビル"),
    ("São Paulo", "gru", "brazil", ""),
    ("Montréal", "yul", "canada", "Édifice 7"),
    ("Αθήνα", "ath", "greece", ""),
    ("Malmö", "mmx", "sweden", "Hus Å"),
    ("תל אביב", "tlv", "israel", ""),
    ("Reykjavík", "kef", "iceland", "Þórsgata 1"),
    ("Nairobi", "nbo", "kenya", ""),
    ("Київ", "iev", "ukraine", "ЦОД-1"),
    ("O'Fallon", "ofn", "united-states", 'Bldg "B"'),
]
REGIONS = [  # (slug, name, parent)
    ("europe", "Europe", None),
    ("americas", "Americas", None),
    ("asia", "Asia", None),
    ("africa", "Africa", None),
    ("switzerland", "Schweiz / Suisse", "europe"),
    ("poland", "Polska", "europe"),
    ("greece", "Ελλάδα", "europe"),
    ("sweden", "Sverige", "europe"),
    ("iceland", "Ísland", "europe"),
    ("ukraine", "Україна", "europe"),
    ("japan", "日本", "asia"),
    ("israel", "ישראל", "asia"),
    ("brazil", "Brasil", "americas"),
    ("canada", "Canada", "americas"),
    ("united-states", "United States", "americas"),
    ("kenya", "Kenya", "africa"),
]
TAGS = [  # (slug, name, colour, description)
    ("production", "Production", "4caf50", ""),
    ("lab", "Lab", "9e9e9e", "Not for customers"),
    ("pci-dss", "PCI DSS", "f44336", "Card data: see the \"red\" book"),
    ("monitored", "monitored", "2196f3", ""),
    ("backup-weekly", "Backup: weekly", "ffc107", ""),
    ("do-not-touch", "⚠️ do not touch", "ff5722", "Ask first 🙏"),
    ("ipv6", "IPv6", "3f51b5", ""),
    ("eol", "EOL", "795548", ""),
    # No object has it: the one tag that can be deleted and put back without a trace.
    ("unused", "Unused", "607d8b", ""),
]
TENANTS = [  # (slug, name, group, description)
    ("netops", "Network Operations", "internal", ""),
    ("facilities", "Facilities", "internal", "Power & cooling"),
    ("acme", "ACME Ltd.", "customers", "Their \"gold\" contract"),
    ("krol", "Król & Synowie", "customers", ""),
    ("spectrum", "Spectrum Research", None, "No group"),
]
MANUFACTURERS = [
    ("northbridge", "Northbridge Networks", ""),
    ("ostwerk", "Ostwerk GmbH", "Chassis & optics"),
    ("kaigai", "海外電機", ""),
    ("powrline", "Pow'rLine", "PDUs"),
]
PLATFORMS = [  # (slug, name, manufacturer)
    ("nbos", "NBOS 7.2", "northbridge"),
    ("ostos", "OstOS", "ostwerk"),
    ("openwrt", "OpenWrt", None),
]
DEVICE_ROLES = [
    ("core", "Core switch", "e91e63", ""),
    ("leaf", "Leaf switch", "03a9f4", ""),
    ("oob", "Out-of-band", "9c27b0", "Console and management"),
    ("pdu", "PDU", "795548", ""),
    ("patch-panel", "Patch panel", "9e9e9e", ""),
    ("server", "Server", "607d8b", "Virtual machines too"),
]
RACK_ROLES = [
    ("network-rack", "Network rack", "00bcd4", ""),
    ("server-rack", "Server rack", "cddc39", "Hot aisle on the left 🔥"),
]
DEVICE_TYPES = [  # (slug, model, manufacturer, u_height, full depth, part number)
    ("nb-9400", "NB-9400", "northbridge", 2.0, True, "NB9400-24Q"),
    ("nb-3100", "NB-3100 “Leaf”", "northbridge", 1.0, True, "00123"),
    ("ow-mini", "OW mini ½U", "ostwerk", 0.5, False, ""),
    ("pl-0u-24", "PL-0U/24", "powrline", 0.0, False, "1e5"),
    ("kd-panel-48", "配線盤 48", "kaigai", 1.0, False, ""),
]
VRFS = [  # (rd, name, tenant, description)
    ("65000:100", "guest", "netops", ""),
    ("65000:200", "lab", "spectrum", "Overlaps with guest on purpose"),
    (None, "transit", None, "No route distinguisher"),
]
# What careless tools stumble over, next to ordinary text. Native Jinja would turn several into other types.
TEXTS = [
    "",
    "uplink",
    "",
    'the "old" one, don\'t use',
    "first line\nsecond line",
    "🔌 power feed A → B",
    "",
    "1e5",
    "None",
    "00123",
    "True",
    "tab\there, back\\slash, 100 % {{ braces }}",
    "Anschluß für Łódź, 会議室",
]


def pick(options, *key):
    """The same option for the same key, on any machine."""
    return options[zlib.crc32(repr(key).encode()) % len(options)]


def some(options, at_most, *key):
    """A few different options, in their own order."""
    chosen = {pick(range(len(options)), n, *key) for n in range(zlib.crc32(repr(("some",) + key).encode()) % (at_most + 1))}
    return [options[n] for n in sorted(chosen)]


class Site:
    """Names and numbers which the objects of one site share."""

    def __init__(self, number):
        name, code, self.region, self.facility = CITIES[number % len(CITIES)]
        round_ = number // len(CITIES) + 1
        self.number = number
        self.name = name if round_ == 1 else f"{name} {round_}"
        self.code = code if round_ == 1 else f"{code}{round_}"
        self.net = number + 1
        self.v4 = f"10.{self.net}"
        self.v6 = f"2001:db8:{self.net:x}"

    def serial(self, device):
        return f"SN-{self.code.upper()}-{device}"


class Loader:
    """Creates what is missing, resource by resource, and knows the id of everything by its natural key."""

    def __init__(self, netbox, scale, log=lambda text: None):
        self.netbox = netbox
        self.sites = [Site(number) for number in range(len(CITIES) * scale)]
        self.log = log
        self.ids = {}
        self.created = {}

    def id(self, resource, key):
        return None if key is None else self.ids[resource][key]

    def tags(self, *slugs):
        return [{"slug": slug} for slug in slugs]

    def some_tags(self, *key):
        return self.tags(*some([slug for slug, *_ in TAGS if slug != "unused"], 3, *key))

    def known(self, resource):
        fields, key = KEYS[resource]
        self.ids[resource] = {key(r): r["id"] for r in self.netbox.all(resource, f"fields=id,{fields}")}

    def ensure(self, resource, rows):
        """rows: (natural key, body) pairs. Those whose key is not there are created."""
        started = time.monotonic()
        if resource not in self.ids:
            self.known(resource)
        missing = [(key, body) for key, body in rows if key not in self.ids[resource]]
        records = self.netbox.bulk("POST", resource, [body for _, body in missing])
        for (key, _), record in zip(missing, records):
            self.ids[resource][key] = record["id"]
        if missing:
            self.created[resource] = self.created.get(resource, 0) + len(missing)
            self.log(f"{resource}: {len(missing)} created in {time.monotonic() - started:.1f} s")

    def load(self):
        self.organization()
        self.places()
        self.catalogue()
        self.devices()
        self.vlans_and_vrfs()
        self.interfaces()
        self.virtual_machines()
        self.prefixes()
        self.addresses()
        self.cables()
        self.circuits()
        return self.created

    # ------------------------------------------------------------ what belongs to no site

    def organization(self):
        self.ensure("extras.tags", [
            (slug, {"slug": slug, "name": name, "color": colour, "description": description})
            for slug, name, colour, description in TAGS
        ])
        self.ensure("extras.custom_field_choice_sets", [
            ("Lifecycle", {"name": "Lifecycle", "extra_choices": [
                ["planned", "Planned"], ["in-use", "In use"], ["retiring", "Retiring (≤ 1 year)"]]}),
        ])
        choices = self.id("extras.custom_field_choice_sets", "Lifecycle")
        self.ensure("extras.custom_fields", [
            ("support_contract", {"name": "support_contract", "label": "Support contract", "type": "text",
                                  "object_types": ["dcim.device", "dcim.site"]}),
            ("warranty_months", {"name": "warranty_months", "label": "Warranty (months)", "type": "integer",
                                 "validation_minimum": 0, "object_types": ["dcim.device"]}),
            ("lifecycle", {"name": "lifecycle", "label": "Lifecycle", "type": "select", "choice_set": choices,
                           "object_types": ["dcim.device", "dcim.site"]}),
        ])
        self.ensure("tenancy.tenant_groups", [
            ("internal", {"slug": "internal", "name": "Internal"}),
            ("customers", {"slug": "customers", "name": "Customers"}),
        ])
        self.ensure("tenancy.tenants", [
            (slug, {"slug": slug, "name": name, "group": self.id("tenancy.tenant_groups", group),
                    "description": description})
            for slug, name, group, description in TENANTS
        ])

    def places(self):
        # Parents first: a list in one request cannot refer to itself.
        for top in (True, False):
            self.ensure("dcim.regions", [
                (slug, {"slug": slug, "name": name, "parent": self.id("dcim.regions", parent)})
                for slug, name, parent in REGIONS if (parent is None) == top
            ])
        self.ensure("dcim.site_groups", [
            ("data-centres", {"slug": "data-centres", "name": "Data centres"}),
            ("offices", {"slug": "offices", "name": "Offices", "description": "Büros, biura, オフィス"}),
        ])
        self.ensure("dcim.sites", [
            (s.code, {
                "slug": s.code, "name": s.name, "facility": s.facility,
                "status": pick(["active", "active", "planned", "staging"], "site", s.code),
                "region": self.id("dcim.regions", s.region),
                "group": self.id("dcim.site_groups", pick(["data-centres", "offices", None], "group", s.code)),
                "tenant": self.id("tenancy.tenants", pick(["netops", "acme", None], "tenant", s.code)),
                "time_zone": pick(["Europe/Zurich", "Asia/Tokyo", None], "zone", s.code),
                "latitude": pick([47.37, -23.55, None], "place", s.code),
                "longitude": pick([8.54, -46.63, None], "place", s.code),
                "physical_address": pick(["", "Main St 1\n2nd floor"], "address", s.code),
                "description": pick(TEXTS, "site", s.code),
                "comments": pick(["", "# Access\n\n* badge\n* *key* 🔑"], "site", s.code),
                "tags": self.some_tags("site", s.code),
                "custom_fields": {
                    "support_contract": pick(["SC-1001", "", None], "contract", s.code),
                    "lifecycle": pick(["in-use", "planned", None], "cycle", s.code),
                },
            })
            for s in self.sites
        ])
        # Three levels; the names repeat from site to site, so that name and site identify a location.
        for level, (slug, name, parent) in enumerate([
            ("building-1", "Building 1", None), ("floor-2", "Floor 2", "building-1"), ("room-a", "Room A", "floor-2"),
            ("room-b", "Room “B”", "floor-2"),
        ]):
            self.ensure("dcim.locations", [
                ((s.code, slug), {
                    "slug": slug, "name": name, "site": self.id("dcim.sites", s.code), "status": "active",
                    "parent": None if parent is None else self.id("dcim.locations", (s.code, parent)),
                    "description": pick(TEXTS, "location", s.code, level),
                })
                for s in self.sites
            ])
        self.ensure("dcim.rack_roles", [
            (slug, {"slug": slug, "name": name, "color": colour, "description": description})
            for slug, name, colour, description in RACK_ROLES
        ])
        self.ensure("dcim.racks", [
            ((s.code, name), {
                "name": name, "site": self.id("dcim.sites", s.code), "status": status,
                "location": self.id("dcim.locations", (s.code, room)),
                "role": self.id("dcim.rack_roles", role), "u_height": height, "desc_units": height == 47,
                "facility_id": pick([f"F-{s.code}-{name}", None], "facility", s.code, name),
                "tenant": self.id("tenancy.tenants", pick(["facilities", None], "rack", s.code)),
                "tags": self.some_tags("rack", s.code, name),
            })
            for s in self.sites
            for name, room, role, height, status in [
                ("R01", "room-a", "network-rack", 42, "active"), ("R02", "room-b", "server-rack", 47, "reserved")]
        ])

    def catalogue(self):
        self.ensure("dcim.manufacturers", [
            (slug, {"slug": slug, "name": name, "description": description})
            for slug, name, description in MANUFACTURERS
        ])
        self.ensure("dcim.platforms", [
            (slug, {"slug": slug, "name": name, "manufacturer": self.id("dcim.manufacturers", manufacturer)})
            for slug, name, manufacturer in PLATFORMS
        ])
        self.ensure("dcim.device_roles", [
            (slug, {"slug": slug, "name": name, "color": colour, "description": description, "vm_role": slug == "server"})
            for slug, name, colour, description in DEVICE_ROLES
        ])
        self.ensure("dcim.device_types", [
            (slug, {"slug": slug, "model": model, "manufacturer": self.id("dcim.manufacturers", manufacturer),
                    "u_height": height, "is_full_depth": deep, "part_number": part,
                    "tags": self.some_tags("type", slug)})
            for slug, model, manufacturer, height, deep, part in DEVICE_TYPES
        ])
        ports = [("nb-9400", f"Ethernet{n}/1", "100gbase-x-qsfp28", False) for n in range(1, 25)]
        ports += [("nb-3100", f"Ethernet{n}", "25gbase-x-sfp28", False) for n in range(1, 17)]
        ports += [("nb-3100", f"Uplink{n}", "100gbase-x-qsfp28", False) for n in (1, 2)]
        ports += [("ow-mini", f"eth{n}", "1000base-t", False) for n in range(4)]
        ports += [(model, "mgmt0", "1000base-t", True) for model in ("nb-9400", "nb-3100", "ow-mini")]
        self.ensure("dcim.interface_templates", [
            ((model, name), {"device_type": self.id("dcim.device_types", model), "name": name, "type": kind,
                             "mgmt_only": management})
            for model, name, kind, management in ports
        ])

    # ------------------------------------------------------------ devices and what is in them

    def devices(self):
        rows = []
        for s in self.sites:
            odd = "pl-0u-24" if s.number % 2 else "kd-panel-48"
            for short, name, model, role, platform, rack, position in [
                ("core-01", f"{s.code}-core-01", "nb-9400", "core", "nbos", "R01", 40.0),
                ("leaf-01", f"{s.code}-leaf-01", "nb-3100", "leaf", "nbos", "R01", 38.0),
                ("leaf-02", f"{s.code}-leaf-02", "nb-3100", "leaf", "nbos", "R02", 38.0),
                ("oob-01", "oob-01", "ow-mini", "oob", "openwrt", "R01", 36.5),
                # A device of no height has no position.
                ("odd-01", "odd-01" if s.number % 3 == 0 else None, odd, "pdu" if s.number % 2 else "patch-panel",
                 None, "R02", None if s.number % 2 else 1.0),
            ]:
                key = (s.code, short)
                rows.append((s.serial(short), {
                    "name": name,
                    "serial": s.serial(short),
                    "asset_tag": pick([f"A{zlib.crc32(repr(key).encode()):010d}", None], "asset", *key),
                    "site": self.id("dcim.sites", s.code),
                    "location": self.id("dcim.locations", (s.code, "room-a" if rack == "R01" else "room-b")),
                    "rack": self.id("dcim.racks", (s.code, rack)),
                    "position": position,
                    "face": "" if position is None else "front",
                    "device_type": self.id("dcim.device_types", model),
                    "role": self.id("dcim.device_roles", role),
                    "platform": self.id("dcim.platforms", platform),
                    "tenant": self.id("tenancy.tenants", pick(["netops", "acme", "krol", None], "tenant", *key)),
                    "status": pick(["active", "active", "active", "planned", "staged", "offline"], "status", *key),
                    "airflow": pick(["front-to-rear", ""], "airflow", *key),
                    "description": pick(TEXTS, "device", *key),
                    "comments": pick(["", "", "Replaced fan tray 2024-05-01\n\nSee `RMA 4711`."], "comments", *key),
                    "tags": self.some_tags("device", *key),
                    "custom_fields": {
                        "support_contract": pick(["SC-1001", "SC-2002 “gold”", "", None], "contract", *key),
                        "warranty_months": pick([0, 12, 36, None], "warranty", *key),
                        "lifecycle": pick(["planned", "in-use", "retiring", None], "cycle", *key),
                    },
                }))
        self.ensure("dcim.devices", rows)

    def device(self, site, short):
        return self.id("dcim.devices", site.serial(short))

    def vlans_and_vrfs(self):
        self.ensure("ipam.vrfs", [
            (rd, {"name": name, "rd": rd, "tenant": self.id("tenancy.tenants", tenant), "description": description,
                  "tags": self.some_tags("vrf", name)})
            for rd, name, tenant, description in VRFS
        ])
        self.ensure("ipam.vlan_groups", [
            (f"{s.code}-vlans", {"slug": f"{s.code}-vlans", "name": f"{s.name} VLANs", "scope_type": "dcim.site",
                                 "scope_id": self.id("dcim.sites", s.code)})
            for s in self.sites
        ])
        # Six per site, the numbers repeating from group to group, and eight which have no group.
        self.ensure("ipam.vlans", [
            ((f"{s.code}-vlans", vid), {
                "vid": vid, "name": name, "site": self.id("dcim.sites", s.code),
                "group": self.id("ipam.vlan_groups", f"{s.code}-vlans"),
                "status": pick(["active", "active", "reserved"], "vlan", s.code, vid),
                "tenant": self.id("tenancy.tenants", pick(["netops", None], "vlan", s.code, vid)),
                "description": pick(TEXTS, "vlan", s.code, vid),
                "tags": self.some_tags("vlan", s.code, vid),
            })
            for s in self.sites
            for vid, name in [(10, "Users"), (20, "Servers"), (30, "Gäste-WLAN"), (40, "Voice"), (50, "📷 CCTV"), (60, "lab")]
        ] + [
            ((None, 1000 + n), {"vid": 1000 + n, "name": f"transit-{n:02d}", "status": "active",
                                "description": pick(TEXTS, "transit", n)})
            for n in range(1, 9)
        ])

    def interfaces(self):
        # Devices made by this very run have brought their template's interfaces: read, do not guess.
        self.known("dcim.interfaces")
        vlan = lambda s, vid: self.id("ipam.vlans", (f"{s.code}-vlans", vid))
        rows = []
        for s in self.sites:
            for short in ("core-01", "leaf-01", "leaf-02"):
                rows.append((s, short, {"name": "Loopback0", "type": "virtual", "description": "router id"}))
            for vid in (10, 20, 30):
                rows.append((s, "core-01", {"name": f"Vlan{vid}", "type": "virtual", "mtu": 9000 if vid == 20 else None,
                                            "vrf": self.id("ipam.vrfs", "65000:100") if vid == 30 else None,
                                            "tags": self.tags("monitored")}))
            rows.append((s, "leaf-01", {"name": "Port-channel1", "type": "lag", "mode": "tagged",
                                        "untagged_vlan": vlan(s, 10), "tagged_vlans": [vlan(s, 20), vlan(s, 40)]}))
        self.ensure("dcim.interfaces", [
            ((self.device(s, short), body["name"]), {"device": self.device(s, short), **body}) for s, short, body in rows
        ])
        # Templates carry a name and a type only; the rest is written afterwards, and only where it is not there yet.
        wanted = {}
        for s in self.sites:
            lag = self.id("dcim.interfaces", (self.device(s, "leaf-01"), "Port-channel1"))
            # A few ports of each kind: a PATCH costs the server as much as a POST.
            for n in (1, 2, 3, 5, 10, 15, 16):
                for short in ("leaf-01", "leaf-02"):
                    text = pick(TEXTS, "port", s.code, short, n)
                    if not text:
                        continue
                    wanted[self.device(s, short), f"Ethernet{n}"] = {
                        "description": text, "enabled": n % 5 != 0,
                        "speed": 25_000_000 if n % 2 else None,
                        "lag": lag if short == "leaf-01" and n in (15, 16) else None,
                        "mode": "access" if n < 9 else "",
                        "untagged_vlan": vlan(s, 10 if n % 2 else 60) if n < 9 else None,
                        "tags": self.some_tags("port", s.code, short, n),
                    }
        present = {
            (r["device"]["id"], r["name"]): r["description"]
            for r in self.netbox.all("dcim.interfaces", "fields=id,device,name,description")
        }
        self.netbox.bulk("PATCH", "dcim.interfaces", [
            {"id": self.ids["dcim.interfaces"][key], **body}
            for key, body in wanted.items() if present[key] != body["description"]
        ])

    def virtual_machines(self):
        self.ensure("virtualization.cluster_types", [("kvm", {"slug": "kvm", "name": "KVM"})])
        self.ensure("virtualization.clusters", [
            (f"kvm-{s.code}", {"name": f"kvm-{s.code}", "type": self.id("virtualization.cluster_types", "kvm"),
                               "status": "active", "scope_type": "dcim.site", "scope_id": self.id("dcim.sites", s.code)})
            for s in self.sites if s.number % 3 == 0
        ])
        names = [(s, f"vm-{s.code}-{n}") for s in self.sites if s.number % 3 == 0 for n in (1, 2, 3)]
        self.ensure("virtualization.virtual_machines", [
            (name, {"name": name, "status": pick(["active", "offline"], name), "vcpus": 2.5, "memory": 4096,
                    "cluster": self.id("virtualization.clusters", f"kvm-{s.code}"),
                    "role": self.id("dcim.device_roles", "server"), "description": pick(TEXTS, name)})
            for s, name in names
        ])
        self.ensure("virtualization.interfaces", [
            ((self.id("virtualization.virtual_machines", name), "ens3"),
             {"virtual_machine": self.id("virtualization.virtual_machines", name), "name": "ens3"})
            for _, name in names
        ])

    # ------------------------------------------------------------ addresses, cables, circuits

    def prefixes(self):
        rows = [(None, "10.0.0.0/8", None, "container", ""), (None, "2001:db8::/32", None, "container", "documentation")]
        for s in self.sites:
            rows += [
                (None, f"{s.v4}.0.0/16", s, "container", ""),
                (None, f"{s.v4}.10.0/24", s, "active", "Users"),
                (None, f"{s.v4}.20.0/24", s, "active", pick(TEXTS, "prefix", s.code)),
            ]
            if s.number % 2 == 0:
                # The same networks in two VRFs: only prefix and VRF together identify them.
                rows += [("65000:100", f"172.16.{s.net}.0/24", s, "active", "guests"),
                         ("65000:200", f"172.16.{s.net}.0/24", s, "reserved", "")]
            else:
                rows += [(None, f"{s.v6}::/48", s, "active", ""), (None, f"{s.v6}:10::/64", s, "deprecated", "")]
        self.ensure("ipam.prefixes", [
            ((self.id("ipam.vrfs", rd), prefix), {
                "prefix": prefix, "vrf": self.id("ipam.vrfs", rd), "status": status, "description": description,
                "scope_type": None if s is None else "dcim.site",
                "scope_id": None if s is None else self.id("dcim.sites", s.code),
                "vlan": self.id("ipam.vlans", (f"{s.code}-vlans", 10)) if description == "Users" else None,
                "is_pool": description == "guests",
                "tags": self.some_tags("prefix", rd, prefix),
            })
            for rd, prefix, s, status, description in rows
        ])

    def addresses(self):
        rows, primary = [], []
        interface = lambda s, short, name: self.id("dcim.interfaces", (self.device(s, short), name))
        for s in self.sites:
            def add(address, holder=None, rd=None, kind="dcim.interface", **more):
                vrf = self.id("ipam.vrfs", rd)
                rows.append(((vrf, address), {
                    "address": address, "vrf": vrf, "status": "active",
                    "assigned_object_type": None if holder is None else kind, "assigned_object_id": holder,
                    "description": pick(TEXTS, "address", rd, address), **more}))

            for n, short in enumerate(["core-01", "leaf-01", "leaf-02"], 1):
                add(f"{s.v4}.255.{n}/32", interface(s, short, "Loopback0"), role="loopback",
                    dns_name=f"{s.code}-{short}.example.net", tags=self.tags("monitored", "production"))
                primary.append((self.device(s, short), "primary_ip4", (None, f"{s.v4}.255.{n}/32")))
            add(f"{s.v6}:ffff::1/128", interface(s, "core-01", "Loopback0"), role="loopback", tags=self.tags("ipv6"))
            primary.append((self.device(s, "core-01"), "primary_ip6", (None, f"{s.v6}:ffff::1/128")))
            for vid in (10, 20):
                add(f"{s.v4}.{vid}.1/24", interface(s, "core-01", f"Vlan{vid}"))
            for n, short in enumerate(["core-01", "leaf-01", "leaf-02", "oob-01"], 11):
                add(f"{s.v4}.20.{n}/24", interface(s, short, "mgmt0"), status=pick(["active", "reserved"], s.code, n))
            primary.append((self.device(s, "oob-01"), "primary_ip4", (None, f"{s.v4}.20.14/24")))
            for n, short in enumerate(["leaf-01", "leaf-02"]):
                add(f"{s.v4}.254.{2 * n}/31", interface(s, "core-01", f"Ethernet{n + 1}/1"))
                add(f"{s.v4}.254.{2 * n + 1}/31", interface(s, short, "Uplink1"))
            # Of a printer, a camera …: hosts that NetBox knows no device for.
            for n in range(50, 54):
                add(f"{s.v4}.10.{n}/24", status="dhcp" if n == 53 else "active", dns_name=pick(["", f"h{n}.{s.code}.example.net"], s.code, n))
            if s.number % 2 == 0:
                add(f"172.16.{s.net}.1/24", interface(s, "core-01", "Vlan30"), rd="65000:100")
                add(f"172.16.{s.net}.1/24", rd="65000:200")
            if s.number % 3 == 0:
                for n in (1, 2, 3):
                    machine = self.id("virtualization.virtual_machines", f"vm-{s.code}-{n}")
                    add(f"{s.v4}.20.{100 + n}/24", self.id("virtualization.interfaces", (machine, "ens3")),
                        kind="virtualization.vminterface")
        self.ensure("ipam.ip_addresses", rows)
        present = {r["id"]: r for r in self.netbox.all("dcim.devices", "fields=id,primary_ip4,primary_ip6")}
        patch = {}
        for device, field, key in primary:
            wanted = self.id("ipam.ip_addresses", key)
            if of(present[device], field, "id") != wanted:
                patch.setdefault(device, {"id": device})[field] = wanted
        self.netbox.bulk("PATCH", "dcim.devices", list(patch.values()))

    def cables(self):
        end = lambda s, short, name: [{
            "object_type": "dcim.interface",
            "object_id": self.id("dcim.interfaces", (self.device(s, short), name)),
        }]
        # A cable outlives the device at its end, open at that side: such a one is made anew.
        for cable in self.netbox.all("dcim.cables", "fields=id,a_terminations,b_terminations"):
            if not (cable["a_terminations"] and cable["b_terminations"]):
                self.netbox.request("DELETE", f"{self.netbox.path('dcim.cables')}{cable['id']}/")
        self.ensure("dcim.cables", [
            (f"{s.code}-{n:03d}", {
                "label": f"{s.code}-{n:03d}", "type": "smf", "status": "connected", "length": 2.5, "length_unit": "m",
                "a_terminations": end(s, "core-01", f"Ethernet{n}/1"), "b_terminations": end(s, short, "Uplink1"),
            })
            for s in self.sites for n, short in enumerate(["leaf-01", "leaf-02"], 1)
        ])

    def circuits(self):
        self.ensure("circuits.circuit_types", [
            ("transit", {"slug": "transit", "name": "Transit"}), ("dark-fibre", {"slug": "dark-fibre", "name": "Dark fibre"})])
        self.ensure("circuits.providers", [
            ("nordnet", {"slug": "nordnet", "name": "Nordnät AB", "description": "24/7: +46…"}),
            ("backbone-one", {"slug": "backbone-one", "name": "Backbone One"}),
        ])
        self.ensure("circuits.circuits", [
            (f"{s.code.upper()}/0001", {
                "cid": f"{s.code.upper()}/0001", "status": "active",
                "provider": self.id("circuits.providers", pick(["nordnet", "backbone-one"], "circuit", s.code)),
                "type": self.id("circuits.circuit_types", pick(["transit", "dark-fibre"], "type", s.code)),
                "install_date": pick(["2021-02-28", None], "date", s.code),
                "commit_rate": pick([1_000_000, 10_000_000, None], "rate", s.code),
                "description": pick(TEXTS, "circuit", s.code),
            })
            for s in self.sites
        ])
        rows = []
        for s in self.sites:
            circuit = self.id("circuits.circuits", f"{s.code.upper()}/0001")
            rows.append(((circuit, "A"), {"circuit": circuit, "term_side": "A", "termination_type": "dcim.site",
                                          "termination_id": self.id("dcim.sites", s.code)}))
        self.ensure("circuits.circuit_terminations", rows)


def main():
    parser = argparse.ArgumentParser(description="Fill an empty NetBox with a made-up network.")
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--scale", type=int, default=1, help=f"1 is 12 sites; at most {SCALE_MAX}")
    arguments = parser.parse_args()
    if not 1 <= arguments.scale <= SCALE_MAX:
        parser.error(f"--scale goes from 1 to {SCALE_MAX}")
    started = time.monotonic()
    netbox = NetBox(arguments.url, arguments.token)
    log = lambda text: print(text, file=sys.stderr, flush=True)
    try:
        created = Loader(netbox, arguments.scale, log).load()
        counts = {resource: netbox.count(resource) for resource in KEYS}
    except (Refused, urllib.error.URLError) as error:
        log(f"error: {error}")
        return 1
    log(f"{sum(created.values())} objects created in {time.monotonic() - started:.1f} s")
    json.dump(counts, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
