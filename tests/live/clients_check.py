#!/usr/bin/env python3
"""Lets other people's clients, and the adapters of infrahub-sync 2.0.1, read the systems that our tests play.

usage: clients_check.py PLAYED_APPLIANCE INFRAHUB_SYNC CLIENTS_FOLDER SYSTEM

SYSTEM is ipfabric, slurpit or aci. First the system's own client reads each list: it must get the rows that are played, whole. Then the adapter of
2.0.1 and ours load the same project: each object must have the same values, but for what EXPLAINED lists. Prints each difference; exit code 1 if
there is one, or if an explanation explains nothing. It runs in the virtual environment of `reference.sh clients`.
"""
import asyncio, json, pathlib, subprocess, sys, tempfile, types

played, program, clients, system = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3]), sys.argv[4]
TOKEN = "token-of-the-network-0001"
USER, PASSWORD = "reader", 'pass"word\\of the network'


def field(name, mapping=None, **more):
    return {"name": name, "mapping": mapping or name, **more}


def kind(name, mapping, identifiers, *fields, **more):
    return {"name": name, "mapping": mapping, "identifiers": identifiers, "fields": list(fields), **more}


def route(network, mask, vrf):
    return {"hostname": "r0", "Network": network, "Mask": mask, "Vrf": vrf}


def device(number):
    return {
        "id": str(number), "hostname": f"r{number}", "fqdn": f"r{number}.net", "device_os": f"os{number % 2}", "device_type": f"t{number % 4}", "brand": "acme",
        "site": "HQ", "disabled": "0", "port": "22",
    }


SITE = {name: "" for name in ("description", "street", "county", "state", "city", "country", "phonenumber", "longitude", "latitude", "zipcode", "number")}
SYSTEMS = {
    "ipfabric": {
        "lists": {
            "tables/inventory/sites": [{"id": str(n), "siteName": f"s{n}", "devicesCount": n} for n in range(3)],
            "tables/inventory/summary/models": [{"id": str(n), "vendor": "acme", "model": ["m0", "m1", ""][n]} for n in range(3)],
            "tables/inventory/devices": [
                {"id": f"{n:06}", "hostname": f"r{n}", "siteName": f"s{n % 3}", "vendor": "acme", "model": f"m{n % 2}", "sn": f"SN{n}", "uptime": n} for n in range(2100)
            ],
            "tables/inventory/interfaces": [
                {"id": f"{n:06}", "hostname": f"r{n % 50}", "intName": f"e{n}", "speedValue": n * 500, "mtu": 1500 if n % 3 else None} for n in range(200)
            ],
        },
        "settings": lambda url: {"base_url": url, "auth": TOKEN, "streaming": False},
        "mappings": [
            kind("Site", "tables/inventory/sites", ["name"], field("name", "siteName")),
            kind("Type", "tables/inventory/summary/models", ["name", "maker"], field("name", "model"), field("maker", "vendor")),
            kind("Device", "tables/inventory/devices", ["name"], field("name", "hostname"), field("serial", "sn"), field("site", "siteName", reference="Site"), field("type", "model", reference="Type")),
            kind("Port", "tables/inventory/interfaces", ["device", "name"], field("name", "intName"), field("device", "hostname", reference="Device"), field("speed", "speedValue"), field("mtu")),
        ],
    },
    "slurpit": {
        "lists": {
            "devices": [device(n) for n in range(2100)],
            "sites": [{**SITE, "id": "1", "sitename": "HQ", "status": "0"}],
            "planning:routing-table": [route("10.0.0.0", "255.255.0.0", "red"), route("10.0.1.0/24", "", "red"), route("192.0.2.1", "32", "red"), route("0.0.0.0", "0", "red"), route("2001:db8::/32", "", "red")],
            "planning:interfaces": [{"hostname": "r0", "Interface": f"e{n}", "IP": ip} for n, ip in enumerate(["10.0.1.9/24", "10.0.1.10", "", "Unknown", ["10.9.1.1"]])],
        },
        "settings": lambda url: {"url": url, "api_key": TOKEN},
        "mappings": [
            kind("Maker", "unique_vendors", ["name"], field("name", "brand")),
            kind("Site", "site.get_sites", ["name"], field("name", "sitename")),
            kind("Type", "unique_device_type", ["name"], field("name", "device_type"), field("maker", "brand", reference="Maker")),
            kind("Device", "device.get_devices", ["name"], field("name", "hostname"), field("port"), field("site", "site", reference="Site"), field("type", "device_type", reference="Type")),
            kind("Port", "planning_results.interfaces", ["device", "name"], field("name", "Interface"), field("device", "hostname", reference="Device")),
            kind("Prefix", "filter_networks", ["prefix"], field("prefix", "normalized_prefix"), field("vrf", "Vrf")),
            kind("Address", "filter_interfaces", ["address"], field("address", "normalized_address"), field("prefix"), field("vrf")),
        ],
    },
    "aci": {
        "lists": {
            "fabricNode": [{"dn": f"topology/pod-1/node-{101 + n}", "id": str(101 + n), "name": f"leaf-{n}", "serial": f"S{n}", "fabricSt": "active"} for n in range(3)],
            "l1PhysIf": [{"dn": f"topology/pod-1/node-{101 + n % 3}/sys/phys-[eth1/{n:04}]", "id": f"eth1/{n:04}", "descr": "" if n % 2 else f"port {n}"} for n in range(300)],
            "fvTenant": [{"dn": f"uni/tn-t{n}", "name": f"t{n}", "descr": f"the tenant {n}"} for n in range(20)],
        },
        "settings": lambda url: {"url": url, "username": USER, "password": PASSWORD, "verify": False},
        "mappings": [
            kind("Tenant", "class/fvTenant.json", ["name"], field("name", "fvTenant.attributes.name"), field("description", "fvTenant.attributes.descr")),
            kind("Node", "class/fabricNode.json", ["name"], field("name", "fabricNode.attributes.name"), field("serial", "fabricNode.attributes.serial")),
            kind(
                "Port", "class/l1PhysIf.json", ["device", "name"], field("name", "l1PhysIf.attributes.id"), field("device", "l1PhysIf.attributes.dn", reference="Node"),
                field("description", "l1PhysIf.attributes.descr"),
                transforms=[{"field": "device", "expression": "{{ l1PhysIf.attributes.dn.split('/')[2].replace('node-', '') | aci_device_name }}"}],
            ),
        ],
    },
}
# Objects that 2.0.1 and ours see differently: (kind, key): reason.
EXPLAINED = {
    "ipfabric": {},
    "slurpit": {("Prefix", "2001:db8::/32"): "2.0.1 takes each network with a length of 32 for a single address, also of IPv6"},
    "aci": {},
}


def own_client(url, lists):
    """What the system's own client reads."""
    if system == "ipfabric":
        from ipfabric import IPFClient

        client = IPFClient(base_url=url, auth=TOKEN, streaming=False)
        return {name: client.fetch_all(name, columns=sorted({column for row in rows for column in row})) for name, rows in lists.items()}
    if system == "slurpit":
        import slurpit as sdk

        client = sdk.api(url=url, api_key=TOKEN)

        async def read():
            found = {"devices": await client.device.get_devices(), "sites": await client.site.get_sites()}
            found = {name: [row.to_dict() for row in rows] for name, rows in found.items()}
            for planning in await client.planning.get_plannings():
                found[f"planning:{planning.slug}"] = await client.planning.search_plannings({"planning_id": planning.id, "unique_results": True}, limit=30000)
            return found

        return asyncio.run(read())
    # The packages above the client import Django.
    for name in ("nautobot_ssot", "nautobot_ssot.integrations", "nautobot_ssot.integrations.aci", "nautobot_ssot.integrations.aci.diffsync", "nautobot_ssot.exceptions"):
        package = types.ModuleType(name)
        package.__path__ = [str(clients / "ssot" / name.replace(".", "/"))]
        package.RequestConnectError = package.RequestHTTPError = Exception
        sys.modules[name] = package
    from nautobot_ssot.integrations.aci.diffsync.client import AciApi

    client = AciApi(USER, PASSWORD, url, False, "ACI")
    assert [tenant["name"] for tenant in client.get_tenants()] == [row["name"] for row in lists["fvTenant"]]
    return {name: [item[name]["attributes"] for item in client._get(f"/api/node/class/{name}.json").json()["imdata"]] for name in lists}


def original(config):
    """What the adapter of 2.0.1 loads: {kind: {key: {field: value}}}."""
    from infrahub_sync import SyncConfig

    if system == "ipfabric":
        from infrahub_sync.adapters.ipfabricsync import IpfabricsyncAdapter as Adapter, IpfabricsyncModel as Model
    elif system == "slurpit":
        from infrahub_sync.adapters.slurpitsync import SlurpitsyncAdapter as Adapter, SlurpitsyncModel as Model
    else:
        from infrahub_sync.adapters.aci import AciAdapter as Adapter, AciModel as Model
    config = SyncConfig(**config)
    adapter = Adapter(target="source", adapter=config.source, config=config)
    loaded = {}
    for mapping in config.schema_mapping:
        names = [field.name for field in mapping.fields]
        body = {
            "__annotations__": {name: object for name in names},
            "_modelname": mapping.name, "_identifiers": tuple(mapping.identifiers), "_attributes": tuple(name for name in names if name not in mapping.identifiers),
            **{name: None for name in names}, "__module__": __name__,
        }
        model = type(Model)(mapping.name, (Model,), body)
        setattr(adapter, mapping.name, model)
        adapter.model_loader(mapping.name, model)
        objects = [item for item in adapter.store.get_all(model=mapping.name)]
        loaded[mapping.name] = {item.get_unique_id(): {name: getattr(item, name) for name in names} for item in objects}
    return loaded


def ours(config, folder):
    """What ours loads, in the same form."""
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML.
    subprocess.run([program, "sync", "--config-file", "config.yml", "--no-diff"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    keys = {mapping["name"]: mapping["identifiers"] for mapping in config["schema_mapping"]}
    references = {(mapping["name"], field["name"]): field["reference"] for mapping in config["schema_mapping"] for field in mapping["fields"] if "reference" in field}

    def plain(value, of):
        return "__".join(plain(value.get(name), references.get((of, name))) for name in keys[of]) if isinstance(value, dict) else value

    loaded = {}
    for mapping in config["schema_mapping"]:
        name = mapping["name"]
        rows = [json.loads(line) for line in (folder / "out" / f"{name}.jsonl").read_text().splitlines()]
        names = [field["name"] for field in mapping["fields"]]
        rows = [{field: plain(row.get(field), references.get((name, field))) for field in names} for row in rows]
        loaded[name] = {"__".join(str(row[key]) for key in keys[name]): row for row in rows}
    return loaded


chosen = SYSTEMS[system]
server = subprocess.Popen([played, system], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
server.stdin.write(json.dumps(chosen["lists"]) + "\n")
server.stdin.flush()
url = server.stdout.readline().strip()
differences = compared = 0
try:
    read = own_client(url, chosen["lists"])
    for name, rows in chosen["lists"].items():
        # A client may add columns, and makes numbers of some texts.
        same = len(read[name]) == len(rows) and all(
            str(other.get(column)) == str(value) for row, other in zip(rows, read[name], strict=True) for column, value in row.items()
        )
        print(f"{name}: the client reads {len(read[name])} of {len(rows)} rows{'' if same else ', and others'}")
        differences += not same
    name = {"ipfabric": "ipfabricsync", "slurpit": "slurpitsync", "aci": "aci"}[system]
    config = {"name": "check", "source": {"name": name, "settings": chosen["settings"](url)}, "destination": {"name": "files", "settings": {"path": "out"}}, "schema_mapping": chosen["mappings"]}
    with tempfile.TemporaryDirectory() as folder:
        mine = ours(json.loads(json.dumps(config)), pathlib.Path(folder))
    theirs = original(json.loads(json.dumps(config)))
    explained = dict(EXPLAINED[system])
    for kind_name in theirs:
        for key in sorted(theirs[kind_name].keys() | mine[kind_name].keys()):
            compared += 1
            if theirs[kind_name].get(key) != mine[kind_name].get(key) and not explained.pop((kind_name, key), None):
                differences += 1
                print(f"DIFFERS {kind_name} {key}: ours {mine[kind_name].get(key)}, 2.0.1 {theirs[kind_name].get(key)}")
    for key, reason in explained.items():
        differences += 1
        print(f"NOT NEEDED {key}: {reason}")
finally:
    server.kill()
print(f"{compared} objects compared, {differences} differences")
sys.exit(1 if differences or not compared else 0)
