#!/usr/bin/env python3
"""The real infrahub_sdk (1.23.2) against the fake.

usage: sdk_check.py FAKE_BINARY, with a Python that has infrahub_sdk. Exit code 0 if all agrees.
"""
import subprocess, sys
from infrahub_sdk import Config, InfrahubClientSync
from infrahub_sdk.exceptions import GraphQLError, NodeNotFoundError

process = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True)
try:
    url = process.stdout.readline().strip()
    client = InfrahubClientSync(config=Config(address=url, api_token="06438eb2-8019-4776-878c-0941b1f1d1ec", timeout=10))
    assert client.get_version() == "1.11.9"
    assert client.branch.all()["main"].is_default
    branch = client.branch.create(branch_name="work", sync_with_git=False, wait_until_completion=True)
    assert branch.name == "work"
    account = client.get(kind="CoreAccount", name__value="admin")

    site = client.create(kind="LocationSite", branch="work", data={"name": "s1", "description": "a \"site\"\n$x \u00e9"})
    site.save(allow_upsert=True)
    tag = client.create(kind="InfraTag", branch="work", data={"name": "t1"})
    tag.save(allow_upsert=True)
    for i in range(120):
        data = {"name": f"d{i:03}", "site": {"id": site.id}, "height": {"value": i, "source": account.id, "owner": account.id}, "tags": [tag], "labels": ["b", "a"], "primary_ip": f"10.0.0.{i}"}
        device = client.create(kind="InfraDevice", branch="work", data=data)
        device.save(allow_upsert=True)
    interface = client.create(kind="InfraInterface", branch="work", data={"name": "eth0", "device": device})
    interface.save(allow_upsert=True)
    again = client.create(kind="InfraInterface", branch="work", data={"name": "eth0", "device": device, "mtu": 1500})
    again.save(allow_upsert=True)
    assert again.id == interface.id, "an upsert made a second object"

    devices = client.all(kind="InfraDevice", branch="work", prefetch_relationships=True, populate_store=True, property=True)
    assert len(devices) == 120 and [d.name.value for d in devices] == sorted(d.name.value for d in devices)
    device = devices[5]
    assert device.height.value == 5 and device.height.source.id == account.id and str(device.primary_ip.value) == "10.0.0.5/32"
    assert device.site.peer.name.value == "s1" and [t.id for t in device.tags.peers] == [tag.id] and device.labels.value == ["b", "a"]
    assert device.status.value == "active" and device.status.is_default
    assert client.all(kind="InfraDevice") == [], "main is not empty"
    assert client.count(kind="InfraDevice", branch="work") == 120
    page = client.filters(kind="InfraDevice", branch="work", offset=100, limit=50)
    assert len(page) == 20
    found = client.get(kind="InfraInterface", branch="work", hfid=["d119", "eth0"])
    assert found.id == interface.id and found.mtu.value == 1500
    with_metadata = client.get(kind="InfraDevice", branch="work", hfid=["d005"], include_metadata=True)
    assert with_metadata.get_node_metadata().updated_at
    # Read again without properties: with them the SDK sends `_relation__updated_at`, which the real server refuses as well.
    device = client.get(kind="InfraDevice", id=device.id, branch="work")
    device.height.value = 6
    device.save()
    assert client.get(kind="InfraDevice", id=device.id, branch="work").height.value == 6
    found.delete()
    try:
        client.get(kind="InfraInterface", branch="work", hfid=["d119", "eth0"])
        raise AssertionError("a deleted object was found")
    except NodeNotFoundError:
        pass
    try:
        client.create(kind="InfraDevice", branch="work", data={"name": "bad", "site": {"id": site.id}, "status": "nope"}).save()
        raise AssertionError("a bad value was taken")
    except GraphQLError as error:
        assert "nope must be one of 'active, planned' at status" in str(error), error
    change = client.create(kind="CoreProposedChange", data={"name": "review", "source_branch": "work", "destination_branch": "main"})
    change.save()
    try:
        client.create(kind="CoreProposedChange", data={"name": "again", "source_branch": "work", "destination_branch": "main"}).save()
        raise AssertionError("a second open proposed change was taken")
    except GraphQLError as error:
        assert "already exists" in str(error), error
    client.branch.merge(branch_name="work")
    assert client.count(kind="InfraDevice") == 120
    client.branch.delete(branch_name="work")
    assert "work" not in client.branch.all()
    anonymous = InfrahubClientSync(config=Config(address=url, timeout=10))
    assert len(anonymous.all(kind="InfraTag")) == 1
    print("the SDK and the fake agree")
finally:
    process.kill()
