"""Writes the fixtures of host/core/tests/mapping_differential.rs by running infrahub-sync 2.0.1 itself.

Usage, see README.md beside: python generate.py <folder for the fixtures>
"""

from __future__ import annotations

import ast
import copy
import ipaddress
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infrahub_sync import DiffSyncModelMixin, SchemaMappingFilter, SchemaMappingTransform
from jinja2 import Environment, StrictUndefined, Undefined

if TYPE_CHECKING:
    from collections.abc import Iterable

RANDOM = random.Random(20011)

# Filters.

FIELD_VALUES: list[Any] = [
    None, True, False, 0, 1, -3, 5, 2.0, 2.5, 10**12, "", "a", "abc", "active", "5", " 7 ", "1_000", "1.5", "-3", "x y",
    [], [1, 2], ["a", "abc"], [[1]], {}, {"a": 1}, {"name": "active"}, [None], "10.0.0.1", "2001:db8::1",
]
COMPARED_VALUES: list[Any] = [
    None, True, False, 0, 1, 5, 2, 2.5, "", "a", "abc", "5", "active", [], ["a", "active", 5], [1, 2], [True], {"a": 1}, {},
    [None, ""],
]
PATTERNS: list[Any] = [
    "a", "^a", "a$", "abc|x", "(?i)ACT", "[a-c]+$", r"\d+$", r"\w+ \w+", "", "b", ".*v", r"a\Z", "[^a]", "a{1,2}b", "a{x}", 7, None,
    r"\S", "(?P<first>a)b", r"(?:ab)?c", "[[]", r"\.", "(a", "*",
]
PATTERN_FIELDS: list[Any] = ["abc", "active", "5", "x y", "", "abc\n", "a{x}", "[", None, 5, ["abc"], True]
ADDRESSES: list[Any] = [
    "10.0.0.1", "10.0.0.0/24", "10.0.1.0/24", "10.0.0.1/24", "192.168.1.5", "2001:db8::1", "2001:db8::/48", "fe80::1%eth0",
    "10.0.0.5-10.0.0.9", "10.0.0.9-10.0.0.5", "10.0.0.5-10.0.0.5", "bad", "", None, 167772161, ["10.0.0.1"], True, "10.0.0.256",
    "010.0.0.1", "::ffff:10.0.0.1", "10.0.0.0/255.255.255.0", "10.0.0.0/0.0.0.255", "10.0.0.1/32", "10.0.0.1/33", "10.0.0.1/", " 10.0.0.1",
    "2001:db8::1-2001:db8::5", "10.0.0.1-2001:db8::5", "0.0.0.0/0", "10.0.0.0/024",
]
NETWORKS: list[Any] = [
    "10.0.0.0/8", "10.0.0.0/24", ["192.168.0.0/16", "10.0.0.0/24"], "2001:db8::/32", ["2001:db8::/32", "fe80::/10"], "10.0.0.1", [],
    "10.0.0.1-10.0.0.20", ["10.0.0.0/8", "bad"], ["bad", "10.0.0.0/8"], "10.0.0.1/8", None, 5, {"10.0.0.0/8": 1}, ["10.0.0.0/8", 5],
    ["10.0.0.0/8", "2001:db8::/32"], "0.0.0.0/0", "::/0",
]
NESTED: dict[str, Any] = {
    "a.b": 9, "empty": {}, "flag": False, "list": [{"slug": "x"}], "name": "leaf1", "nothing": None,
    "site": {"id": 3, "region": {"slug": "emea", "tags": []}, "slug": "ams"}, "zero": 0,
}
PATHS = ["name", "site.slug", "site.region.slug", "site.region.tags", "site.missing", "missing.slug", "nothing.slug", "name.slug", "zero.x",
         "flag.x", "empty.x", "list.slug", "a.b", "site.region", "list", "missing", ".", "site.", "site..slug"]


def run_filter(record: dict[str, Any], field: str, operation: str, value: Any) -> Any:
    try:
        found = SchemaMappingFilter(field=field, operation=operation, value=value)
        return bool(DiffSyncModelMixin.apply_filters(item=record, filters=[found]))
    except Exception as exc:  # whatever it is ends a run there
        return {"error": f"{type(exc).__name__}: {exc}"}


def read_as_ours(operation: str, found: Any, value: Any) -> tuple[Any, str]:
    """What our filters take the value of a record for, and why."""
    if operation == "is_ip_within" and isinstance(found, str) and "/" in found:
        try:
            interface = ipaddress.ip_interface(found)
        except ValueError:
            return found, ""
        if interface.ip != interface.network.network_address:
            return str(interface.ip), "the address of an interface is within the networks that hold it; there the run ends"
    if operation in ("==", "!=", "in", "not in"):
        numbers = [item for item in (value if isinstance(value, list) else [value]) if is_number(item)]
        wanted = operation in ("==", "!=") or isinstance(value, list)
        if isinstance(found, str) and wanted and (number := number_of(found)) in numbers and number is not None:
            return number, "a text that is a number equals that number: the cells of a CSV file are texts"
    if operation in ("contains", "not contains") and isinstance(found, list) and is_number(value):
        numbers_of = [number_of(item) if isinstance(item, str) and number_of(item) == value else item for item in found]
        return numbers_of, "a text that is a number equals that number: the cells of a CSV file are texts"
    return found, ""


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number_of(text: str) -> Any:
    try:
        number = json.loads(text)
    except ValueError:
        return None
    return number if is_number(number) else None


def filter_case(record: dict[str, Any], field: str, operation: str, value: Any) -> dict[str, Any]:
    case: dict[str, Any] = {"record": record, "field": field, "operation": operation, "value": value}
    expected = run_filter(copy.deepcopy(record), field, operation, value)
    case["expected"] = expected
    if isinstance(expected, dict) and "are not of the same version" in expected["error"]:
        ours: Any = False
        for network in [value] if isinstance(value, str) else value:
            one = run_filter(record, field, operation, network)
            if one is True:
                ours = True
                break
            if isinstance(one, dict) and "are not of the same version" not in one["error"]:
                ours = "error"
                break
        if ours != "error":
            reason = "an address is outside of a network of the other family; there the run ends"
            case["difference"] = {"ours": ours, "reason": reason}
    read, reason = read_as_ours(operation, record.get(field), value)
    if reason:
        ours = run_filter({field: read}, field, operation, value)
        if ours != expected and isinstance(ours, bool):
            case["difference"] = {"ours": ours, "reason": reason}
    return case


def filters() -> list[dict[str, Any]]:
    cases = []

    def every(operation: str, fields: list[Any], values: list[Any], count: int) -> None:
        pairs = [(field, value) for field in fields for value in values]
        for field, value in RANDOM.sample(pairs, min(count, len(pairs))):
            cases.append(filter_case({"field": field}, "field", operation, value))
        cases.append(filter_case({}, "field", operation, RANDOM.choice(values)))

    for operation in ["==", "!="]:
        every(operation, FIELD_VALUES, COMPARED_VALUES + [[1, 2.0], {"a": True}], 90)
    for operation in [">", "<", ">=", "<="]:
        every(operation, FIELD_VALUES, COMPARED_VALUES, 70)
    for operation in ["in", "not in", "contains", "not contains"]:
        every(operation, FIELD_VALUES, COMPARED_VALUES, 110)
    for operation in ["is_empty", "is_not_empty"]:
        every(operation, FIELD_VALUES, [None, "x"], 60)
    every("regex", PATTERN_FIELDS, PATTERNS, 250)
    every("is_ip_within", ADDRESSES, NETWORKS, 400)
    for path in PATHS:
        cases.append(filter_case(NESTED, path, "is_empty", None))
        cases.append(filter_case(NESTED, path, "==", "ams"))
    cases.append(filter_case(NESTED, "name", "equals", "leaf1"))
    return cases


# Transforms.

RECORDS: list[dict[str, Any]] = [
    {
        "asn": 65001, "description": "", "device": {"id": 12, "name": "ams-leaf-01", "tags": ["core", "edge"]}, "enabled": True, "f": 2.5,
        "interface": "Ethernet1/14", "mtu": "9000", "name": "ams-leaf-01/2", "nothing": None, "role": "leaf", "serial": "00123",
        "speed": 1000000, "status": {"label": "Active", "value": "active"}, "tags": [{"name": "b"}, {"name": "a"}], "vlans": [10, 20, 30],
    },
    {
        "asn": 1, "description": "it's \"new\"\nline", "device": {"id": 7, "name": "dmi01-akron-rtr01", "tags": []}, "enabled": False, "f": -7.125,
        "interface": "xe-0/0/1.100", "mtu": "1e5", "name": "1e5", "nothing": None, "role": "spine", "serial": "0x10",
        "speed": 0, "status": {"label": "Planned", "value": "planned"}, "tags": [], "vlans": [],
    },
    {
        "asn": 4200000000, "description": "Ünïcode straße ŀ", "device": {"id": 99, "name": "None", "tags": ["x"]}, "enabled": True, "f": 1e17,
        "interface": "10.0.0.0/24", "mtu": "[1, 2]", "name": "True", "nothing": None, "role": "a/b/c", "serial": "1_0",
        "speed": 42, "status": {"label": "", "value": None}, "tags": [{"name": "only"}], "vlans": [1, 2.5, "x", None, True],
    },
    {
        "asn": -5, "description": "  padded text  ", "device": {"id": 0, "name": "'quoted'", "tags": ["1", "2"]}, "enabled": False, "f": 0.1,
        "interface": "", "mtu": "1500", "name": "10,20", "nothing": None, "role": "Leaf-Switch", "serial": "{'a': 1}",
        "speed": 100, "status": {"label": "x", "value": "offline"}, "tags": [{"name": "c"}, {"name": "c"}], "vlans": [3, 1, 2],
    },
]

# Each runs on every record.
EXPRESSIONS = r"""
{{ name }}
{{ mtu }}
{{ serial }}
{{ asn }}
{{ enabled }}
{{ nothing }}
{{ f }}
{{ vlans }}
{{ tags }}
{{ device }}
{{ description }}
{{ interface }}
x{{ asn }}
{{ asn }}{{ asn }}
{{ asn }}-{{ speed }}
{{ asn }}, {{ speed }}
[{{ asn }}, {{ speed }}]
{{ f }}{{ nothing }}
{{ f }} {{ vlans }} {{ device }} {{ tags }}
{{ asn|string }}
'{{ asn }}'
{{ name.split('/')[0] }}
{{ interface.split('/')[-1] }}
{{ interface.split('/')[2].replace('0','b') }}
{{ device.name.rstrip('0123456789') }}
{{ device['name'].split('-')[:2]|join('-') }}
{{ name[0:3] }}
{{ name[-2:] }}
{{ name[::-1] }}
{{ name[::2] }}
{{ vlans[1:] }}
{{ vlans[-1:] }}
{{ vlans[::-1] }}
{{ (f * 2)|round(0, 'ceil')|int }}
{{ f|round }}
{{ f|round(0, 'ceil') }}
{{ f|round(1, 'floor') }}
{{ f|round(2) }}
{{ asn|round(0, 'ceil') }}
{{ asn|round(1) }}
{{ (speed / 1000)|int }}
{{ speed / 3 }}
{{ speed // 1000 }}
{{ asn % 7 }}
{{ asn ** 2 }}
{{ -asn }}
{{ asn + speed }}
{{ asn - 1.5 }}
{{ asn * 'ab' if asn < 4 else 'big' }}
{{ 'ab' * 3 }}
{{ [1, 2] * 2 }}
{{ [1] + vlans }}
{{ name ~ '-' ~ asn }}
{{ name ~ nothing ~ enabled }}
{{ name + '-x' }}
{{ name + 1 }}
{{ mtu|int }}
{{ mtu|int(5) }}
{{ mtu|int(default=7) }}
{{ serial|int(0, 16) }}
{{ serial|int(base=0) }}
{{ mtu|float }}
{{ name|float(1.5) }}
{{ f|int }}
{{ enabled|int }}
{{ nothing|int }}
{{ nothing|default('d') }}
{{ nothing|default('d', true) }}
{{ description|default('none given', true) }}
{{ missing|default('d') }}
{{ missing|d(none) }}
{{ missing }}
{{ missing.x }}
{{ device.missing }}
{{ device.missing.x }}
{{ device.missing|default('d') }}
x{{ missing }}
{{ missing|upper }}
{{ missing is defined }}
{{ name is defined and name }}
{{ 'yes' if enabled else 'no' }}
{{ 'yes' if enabled }}
{{ name if enabled else none }}
{{ name if enabled else None }}
{% if enabled %}{{ name }}{% else %}None{% endif %}
{% if enabled %}{{ name }}{% endif %}
{% if asn > 1000 %}big{% elif asn > 0 %}small{% else %}{{ none }}{% endif %}
None
True
false
{{ true }}
{{ False }}
{{ none }}
{{ {'leaf': 'access', 'spine': 'core'}[role] }}
{{ {'leaf': 'access', 'spine': missing}.get(role, 'other') }}
{{ {'active': 'up', 'planned': missing}[status.value] }}
{{ {'a': 1, 'b': [1, none]} }}
{{ (1, 2) }}
{{ [] }}
{{ {} }}
{{ '' }}
{{ '{1, 2}' }}
{{ status.value|upper }}
{{ status.label|lower }}
{{ status.value }}
{{ role|title }}
{{ role.title() }}
{{ description.title() }}
{{ description|title }}
{{ role|capitalize }}
{{ role.capitalize() }}
{{ description.upper() }}
{{ description.lower() }}
{{ description.swapcase() }}
{{ description.strip() }}
{{ description.lstrip() }}
{{ description.rstrip() }}
{{ description|trim }}
{{ name.strip('ams2') }}
{{ name.lstrip('1am') }}
{{ description.casefold() }}
{{ name.startswith('ams') }}
{{ name.endswith(('2', '5')) }}
{{ name.find('-') }}
{{ name.rfind('-') }}
{{ name.find('a', 2) }}
{{ name.index('e') }}
{{ name.count('a') }}
{{ name.count('') }}
{{ '-'.join(device.tags) }}
{{ ', '.join(tags|map(attribute='name')) }}
{{ '/'.join(vlans) }}
{{ serial.zfill(8) }}
{{ (asn|string).zfill(6) }}
{{ asn.zfill(6) }}
{{ mtu.isdigit() }}
{{ mtu.isnumeric() }}
{{ name.isalpha() }}
{{ name.isalnum() }}
{{ name.isupper() }}
{{ name.islower() }}
{{ name.istitle() }}
{{ description.isspace() }}
{{ name.removeprefix('ams-') }}
{{ name.removesuffix('/2') }}
{{ name.partition('-') }}
{{ name.rpartition('-')[2] }}
{{ name.rsplit('-', 1) }}
{{ name.rsplit('-', 1)[0] }}
{{ name.split('-', 1) }}
{{ name.split('-', maxsplit=1)[-1] }}
{{ name.split(sep='-') }}
{{ description.split() }}
{{ description.split(None, 1) }}
{{ description.rsplit(None, 1) }}
{{ description.split('') }}
{{ description.splitlines() }}
{{ description.splitlines(true) }}
{{ name.center(20) }}
{{ name.center(21, '*') }}
{{ name.ljust(15, '.') }}|
{{ name.rjust(15) }}
{{ name.replace('a', 'b', 1) }}
{{ name|replace('a', 'b') }}
{{ '{}-{}'.format(name, asn) }}
{{ '{0:>5}|{1}'.format(asn, role) }}
{{ '{:05d}'.format(asn) }}
{{ '%s-%05d' % (name, asn) }}
{{ '%05d' % asn }}
{{ '%s' % name }}
{{ '%s' % name|upper }}
{{ '%.2f' % f }}
{{ '%x' % speed }}
{{ 'id-%s' % device.id }}
{{ 'id-%s' % device['id'] ~ '-x' }}
{{ "%s/%s"|format(role, asn) }}
{{ "%3d|%-3d|"|format(asn, asn) }}
{{ device.keys()|list }}
{{ device.values()|list }}
{{ device.items()|list }}
{{ device.get('name') }}
{{ device.get('nope') }}
{{ device.get('nope', 'd') }}
{{ device.tags|length }}
{{ device.tags|first }}
{{ device.tags|last }}
{{ vlans|length }}
{{ vlans|sum }}
{{ vlans|max }}
{{ vlans|min }}
{{ vlans|sort }}
{{ vlans|sort(reverse=true) }}
{{ vlans|join(',') }}
{{ vlans|join }}
{{ vlans|map('string')|list }}
{{ vlans|select('number')|list }}
{{ vlans|reject('none')|list }}
{{ vlans|select('equalto', 10)|list }}
{{ vlans|unique|list }}
{{ vlans|reverse|list }}
{{ vlans|batch(2)|list }}
{{ tags|map(attribute='name')|list }}
{{ tags|map(attribute='name')|sort|join('|') }}
{{ tags|selectattr('name', 'equalto', 'a')|list }}
{{ tags|rejectattr('name', 'in', ['a', 'c'])|map(attribute='name')|list }}
{{ tags|map(attribute='name')|unique|list }}
{{ tags|sort(attribute='name')|map(attribute='name')|list }}
{{ tags|join(', ', attribute='name') }}
{{ tags|groupby('name')|map('first')|list }}
{{ tags|map(attribute='nope', default='x')|list }}
{{ name|length }}
{{ name|upper|lower|length }}
{{ name|first }}
{{ name|last }}
{{ name|list }}
{{ name|reverse }}
{{ description|wordcount }}
{{ name|center(20) }}
{{ description|truncate(10) }}
{{ description|truncate(10, true, '>', 0) }}
{{ description|truncate(6, leeway=0) }}
{{ asn|abs }}
{{ f|abs }}
{{ description|urlencode }}
{{ device|dictsort }}
{{ device|items|list }}
{{ 'ams' in name }}
{{ 'x' not in name }}
{{ 10 in vlans }}
{{ role in ['leaf', 'spine'] }}
{{ role is in ['leaf', 'spine'] }}
{{ 'name' in device }}
{{ 0 < asn < 100000 }}
{{ 1 < 2 < 3 }}
{{ asn == 1 }}
{{ asn == 1.0 }}
{{ enabled == 1 }}
{{ asn != speed }}
{{ not enabled }}
{{ enabled and name }}
{{ description or name }}
{{ name is string }}
{{ asn is number }}
{{ asn is integer }}
{{ f is float }}
{{ enabled is boolean }}
{{ device is mapping }}
{{ vlans is iterable }}
{{ vlans is sequence }}
{{ nothing is none }}
{{ nothing is not none }}
{{ asn is odd }}
{{ asn is divisibleby 5 }}
{{ asn is gt 5 }}
{{ name is lower }}
{{ name is sameas name }}
{{ loop is defined }}
{% for v in vlans %}{{ v }}{% endfor %}
{% for v in vlans %}{{ v }}{% if not loop.last %},{% endif %}{% endfor %}
[{% for v in vlans %}{{ v }}, {% endfor %}]
{% for t in tags %}{{ loop.index }}/{{ loop.length }}:{{ t.name }} {% else %}empty{% endfor %}
{% for t in tags if t.name != 'a' %}{{ t.name }}{% endfor %}
{% for k, v in status.items() %}{{ k }}={{ v }};{% endfor %}
{% for v in vlans %}{{ loop.first }}{{ loop.revindex0 }}{{ loop.cycle('x', 'y') }}{% endfor %}
{% set parts = name.split('-') %}{{ parts[0] }}
{% set name = name.split('-')[0] %}{{ name }}
{% set a, b = 1, 2 %}{{ a + b }}
{% set ns = namespace(total=0) %}{% for v in vlans %}{% set ns.total = ns.total + 1 %}{% endfor %}{{ ns.total }}
{% set ns = namespace(found=none) %}{% for t in tags %}{% if t.name == 'a' %}{% set ns.found = t.name %}{% endif %}{% endfor %}{{ ns.found }}
{% if false %}{% set role = 'x' %}{% endif %}{{ role }}
{% with role = role|upper %}{{ role }}{% endwith %}
{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(asn) }}
{% set x = 5 %}
{# a comment #}
{# a comment #}{{ asn }}
{% raw %}{{ asn }}{% endraw %}
{{ range(3)|list }}
{{ range(1, asn % 5)|list }}
{{ dict(a=1, b=asn) }}
{{ name|nofilter }}
{{ name.nomethod() }}
{{ asn.upper() }}
{{ name|upper
{{ name }
{% if name %}
{{ lookup('x') }}
{{ 1 if enabled else 2 if asn else 3 }}
{{ [asn, speed]|max }}
{{ vlans[0] }}
{{ vlans[5] }}
{{ vlans[5] is defined }}
{{ device.tags[0] if device.tags else none }}
{{ tags[0].name if tags else '' }}
{{ name.upper }}
{{ 'a' 'b' }}
{{ "it's" }}
{{ 'line\nbreak' }}
{{ 0.1 + 0.2 }}
{{ 1e3 }}
{{ 1_000 }}
{{ 0x1f }}
{{ 7 / 2 }}
{{ -7 // 2 }}
{{ -7 % 3 }}
{{ 2 ** -1 }}
{{ 1 / 0 }}
{{ 10 ** 30 }}
{{ "10" ~ 5 }}
{{ "b'x'" }}
{{ "1+2j" }}
{{ "{[1]: 2}" }}
{{ asn|string + '.0' }}
{{ asn|tojson }}
{{ vlans|tojson }}
{{ device|tojson }}
{{ [name]|tojson }}
{{ 1 < 'a' }}
{{ 1 in '123' }}
{{ vlans|map('upper') }}
{{ range(3) }}
{{ device.items() }}
{% set l = [] %}{% for v in vlans %}{% set _ = l.append(v) %}{% endfor %}{{ l }}
{% set block %}12{% endset %}{{ block + 1 }}
{{ (name.split('/')|last)[:3]|upper }}
{{ device.name.split('-')[1] ~ '_' ~ (asn|string)[-2:] }}
{{ interface|lower|replace('ethernet', 'eth') }}
{{ "10.0.0." ~ (asn % 250) ~ "/24" }}
{{ (speed // 1000)|string ~ 'G' }}
{{ 'active' if status.value == 'active' else 'provisioning' }}
{{ status.value if status and status.value else none }}
{{ [device.name, role]|select|join(' ') }}
{{ 'ge' if speed == 1000000 else ('xe' if speed > 1000000 else 'fe') }}
{{ "%s__%s" % (device.name, role) }}
{{ name.split('-')|map('capitalize')|join(' ') }}
  {{ asn }}
{{ asn }}  
{{ mtu.startswith('9') and mtu|int > 8000 }}
{{ vlans|length > 2 }}
{{ not vlans }}
{{ ((asn)) }}
{{ asn if asn is not none and asn > 0 else none }}
{{ name | replace("-", "_") | upper }}
{{ device.tags|join(',') or none }}
{{ mtu|int if mtu.isdigit() else 0 }}
{{ role|default('x')|upper ~ '-' ~ serial }}
{{ serial|string }}
{{ serial|string|length }}
{{ role.split('-')|last|lower }}
{{ name|regex_replace('a', 'b') }}
{{ nothing + 1 }}
{{ nothing.x }}
{{ nothing|upper }}
{{ nothing|string }}
{{ enabled|string|lower }}
{{ f|string }}
{{ f ~ '' }}
{{ [f, f]|join(' ') }}
{{ vlans|string }}
{{ description|string|list|length }}
{{ 'x' * 0 }}
{{ vlans|map('int', 5)|list }}
{{ ['1', '2']|map('int')|sum }}
{{ tags|map(attribute='name')|map('upper')|list }}
{{ vlans is defined and vlans|length }}
{{ (tags|first).name }}
{{ (tags|first|default({})).name }}
{{ caller is defined }}
{{ name.split('/', 5)[1:] }}
{{ cycler('a', 'b').next() }}
{{ joiner(',')() }}x
{{ nothing < 1 }}
{{ nothing >= nothing }}
{{ asn > nothing }}
{{ [1] < ['a'] }}
{{ [1, 'a'] < [2, none] }}
{{ [1, 'a'] < [1, none] }}
{{ (1, 2) < (1, 3) }}
{{ (1, 2) < [1, 3] }}
{{ name < 'b' }}
{{ 'A' < 'a' < 'b' }}
{{ enabled < 2 }}
{{ device < device }}
{{ asn > f }}
{{ missing < 1 }}
{{ 1 < missing.x }}
{{ asn > 0 and nothing is none }}
{{ not asn > 100 or speed <= 42 }}
{{ 'x' if vlans|length >= 3 else 'y' }}
{{ [name, asn > 1][1] }}
{{ {'a': asn > 1} }}
{{ {True: 'big', False: 'small'}[asn > 1000] }}
{{ asn is gt nothing }}
{{ asn is ge 1 }}
{{ name is lt 'b' }}
{{ vlans|sort|first }}
{{ tags|max(attribute='name') }}
{{ tags|min(attribute='name') }}
{{ [2, 1, true]|sort }}
{{ ['b', 'A', 'c']|sort(true) }}
{% if asn > 1000 and speed < 10 or f >= 1 %}a{% else %}b{% endif %}
{%- if speed > asn -%}up{%- else -%}down{%- endif -%}
{% for v in vlans if v is number and v > 1 -%}{{ v }};{% endfor %}
{% set big = speed > 1000 %}{{ big }}
{% set out = [] %}{% for t in tags %}{% set _ = out.append(t.name) %}{% endfor %}{{ out }}
{% set out = [] %}{% for t in tags %}{% set _ = out.append(t.name) %}{% endfor %}{{ out|join(',') }}
{% set out = [] %}{% for t in tags %}{% if out.append(t.name) %}{% endif %}{% endfor %}{{ out|length }}
{% set ns = namespace(items=[], n=0) %}{% for v in vlans %}{% set _ = ns.items.append(v) %}{% endfor %}{{ ns.items }}
{% set l = [1, 2] %}{% set _ = l.extend([3, none]) %}{% set _ = l.insert(0, 'x') %}{{ l }}
{% set l = [1, 2, 3] %}{{ l.pop() + l.pop(0) + l|length }}
{% set l = [3, 1, 2] %}{% set _ = l.sort() %}{% set _ = l.reverse() %}{{ l }}
{% set l = [3, 'a'] %}{% set _ = l.sort() %}{{ l }}
{% set l = [1, 2, 1] %}{% set _ = l.remove(1) %}{{ l }}
{% set l = [1] %}{% set _ = l.remove(7) %}{{ l }}
{% set l = [] %}{{ l.pop() }}
{% set l = [1] %}{{ l.append(2) }}{{ l }}
{% set l = [asn] %}{% set _ = l.append(speed) %}{{ l[0] + l[-1] }} {{ asn in l }} {{ l + [1] }} {{ l == [asn, speed] }}
{% set l = name.split('-') %}{% set _ = l.append('x') %}{{ '-'.join(l) }}
{% set l = [] %}{% set _ = l.append(l) %}{{ l|length }}
{% set d = {} %}{% for t in tags %}{% set _ = d.update({t.name: loop.index}) %}{% endfor %}{{ d }}
{% set d = {'a': 1} %}{{ d.setdefault('b', 2) + d.pop('a') }}{{ d }}
{% set d = {'a': 1} %}{{ d.pop('x', 5) }}{{ d.pop('x') }}
{% set d = {'b': 1, 'a': 2} %}{{ d.items()|list }}{{ d.keys()|list }}{{ d }}
{{ {'b': 1, 'a': {'z': 1, 'c': 2}} }}x
{{ dict(z=1, a=2) }}x
{{ [1].append(2) }}
{{ name.encode() }}
{{ name.encode('utf-8').decode('utf-8') }}
{{ description.encode('ascii', 'ignore').decode() }}
{{ description.encode('ascii', 'replace').decode('ascii') }}
{{ description.encode('ascii', errors='xmlcharrefreplace').decode() }}
{{ description.encode('ascii', 'backslashreplace').decode() }}
{{ description.encode('latin-1') }}
{{ description.encode('latin-1', 'ignore').decode('latin-1') }}
{{ description.encode('utf-8').decode('ascii', 'ignore') }}
{{ description.encode('utf-8').decode('ascii', 'replace') }}
{{ description.encode('latin-1', 'ignore').decode('utf-8', 'replace') }}
{{ description.encode().hex() }}
{{ description.encode()|length }}
{{ name.encode('nope') }}
{{ name.encode('ascii', 'nope') }}
{{ name.translate({45: '_', 47: none}) }}
{{ name.translate({97: 66, 45: '--'}) }}
{{ name.translate(name.maketrans('-/', '__')) }}
{{ name.translate(''.maketrans({'a': 'A', 's': none})) }}
{{ description.translate(''.maketrans('ab', 'xy', ' ')) }}
{{ ''.maketrans('ab', 'xy', 'z') }}
{{ ''.maketrans('ab', 'x') }}
{{ speed|filesizeformat }}
{{ speed|filesizeformat(true) }}
{{ speed|filesizeformat(binary=true) }}
{{ f|filesizeformat }}
{{ asn|filesizeformat }}
{{ mtu|filesizeformat }}
{{ 2 ** 64 }}
{{ 2 ** 100 + 1 }}
{{ 18446744073709551616 }}
{{ 18446744073709551616 + asn }}
{{ 18446744073709551616 > speed }}
{{ '18446744073709551616'|int }}
{{ '18446744073709551616' }}
{{ 'n' ~ 2 ** 70 }}
{{ (2 ** 70)|string|length }}
{{ 2 ** 70 // 3 }} {{ -(2 ** 70) }} {{ 2 ** 70 % 10 }}
{{ [2 ** 70, 1] }}
{{ 10 ** 40 }}
""".strip("\n").split("\n")

# Templates of several lines, as YAML's block texts give them, and more Python literals.
BLOCKS = [
    "{% set parts = name.split('-') %}\n{{ parts[0] }}",
    "{% set x = asn %}\n{% set y = speed %}\n{{ x + y }}\n",
    "{% if enabled %}\n  {{ name }}\n{% else %}\n  other\n{% endif %}",
    "  {% if enabled %}\nyes\n  {% else %}\nno\n  {% endif %}\n",
    "{% set map = {\n  'leaf': 'access',\n  'spine': none,\n} %}\n{{ map.get(role) }}",
    "{%- set x = asn -%}\n   {{- x }}",
    "{{ name }}\n",
    "{{ name }}\n\n",
    "\n{{ asn }}",
    "{% for v in vlans %}\n- {{ v }}\n{% endfor %}\n",
    "line one\n{{ missing.x }}",
    "{{\n  name\n  |upper\n}}",
    "{% set a = 1 %}{# note #}\n{{ a }}{# note #}\n",
    "{% set m = {'a': missing, 'leaf': 'ok', 'spine': 'ok2'} %}\n{{ m[role] if role in m else none }}",
]
LITERALS = [
    "123", "-5", "+5", " 5", "5 ", "\n5", "1e5", "1E-3", "1_0", "1__0", "0x10", "0b11", "0o17", "017", "00", "0_0", "00123", "007.5", "1.", ".5",
    ".", "1.e2", "1j", "True", "true", "None", "none", "Nonesuch", "'x'", '"x"', "'a' 'b'", "'a'b", "'a", "''", "'''a'''", "u'x'", "r'\\n'",
    "b'x'", "f'x'", "'\\x41'", "'\\u00e9'", "'\\q'", "'\\101'", "'\\N{BULLET}'", "'a\\\n'", "[1,2]", "[1,2,]", "[,]", "[]", "()", "(1)", "(1,)",
    "1,2", "1,", "{}", "{1}", "{1,1.0}", "{'a': 1}", "{'a': [1, {'b': None}]}", "{1: 'x', True: 'y'}", "{None: 1}", "{1.5: 1}", "{'a'}", "set()", "set( )",
    "set([])", "[1, 'a', True, None, 1.5, (2,), {3}]", "10.0.0.0", "10.0.0.0/8", "1-2", "1+2", "1+2j", "--1", "- 1", "-(1)", "-True", "1 # note", "# note",
    "1 2", "(1", "1)", "[1 2]", "a", "_", "...", "[...]", "1;", "1\n2", "1\n\n# end\n", "1e999", "-1e999", "18446744073709551615", "18446744073709551616",
    "-9223372036854775808", "-9223372036854775809", "9" * 40, "1if True else 2", "not 1", "lambda: 1", "[x for x in y]", "'tab\\there'", "'é'", "é",
    "１２", "1_000.5", "1_000e1_0", "0xdead_beef", "0x", "0xg", "1e", "1e+", "'\\'", "\"it's\"", "[1,\n2]", "{'a':1,}", "{'a':1,'b'}", "{1:2,**{}}",
    "(1,2)[0]", "a.b", "'a' + 'b'", "'a','b'", "\t1", "\x0c1", "1\t", "01e1", "0e0", "-0", "-0.0", "1.0", "100000000000000000000.0", "1e16", "1e-7",
]
# Pieces that random literals are made of. No backslash stands alone: a continued line is one that our reader leaves as text.
PIECES = [
    "1", "0", "12", "00", "1.5", ".", "e", "e5", "_", "x", "0x", "f", "b", "o", "-", "+", " ", "\n", ",", "(", ")", "[", "]", "{", "}", ":", "'", '"',
    "'a'", '"b"', "'''", "\\n", "\\x4", "u", "r", "b'", "True", "None", "False", "set", "()", "#", "j", "é", "\t", "\\u00e9", "[1]", "{1: 2}",
]


def random_literals(count: int) -> list[str]:
    """Random texts, one half of them literals."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    while any(len(texts) < count // 2 for texts in found.values()):
        text = "".join(RANDOM.choice(PIECES) for _ in range(RANDOM.randint(2, 9)))
        try:
            ast.literal_eval(ast.parse(text, mode="eval"))
        except (ValueError, SyntaxError):
            texts = found[False]
        except TypeError:
            continue
        else:
            texts = found[True]
        if len(texts) < count // 2:
            texts.add(text)
    return sorted(found[True] | found[False])


# A few transforms in a row, each seeing what the one before wrote.
CHAINS = [
    [("name", "{{ name.split('/')[0] }}"), ("label", "{{ name|upper }}")],
    [("mtu", "{{ mtu }}"), ("next", "{{ mtu + 1 }}")],
    [("name", "{{ none }}"), ("copy", "{{ name }}")],
    [("a", "{{ asn }}"), ("a", "{{ a * 2 }}"), ("a", "x{{ a }}")],
    [("vlans", "{{ vlans|length }}"), ("more", "{{ vlans }}{{ vlans }}")],
    [("device", "{{ device.name }}"), ("role", "{{ device ~ role }}")],
    [("new", "{{ [1, 2] }}"), ("len", "{{ new|length }}")],
    [("a", "{{ asn }}"), ("b", "{{ missing_here.x }}"), ("c", "{{ a }}")],
]

# What we do otherwise: the expression or literal, the records it is so on, our outcome ("error" or the value that is written,
# None for nothing), and the reason.
ALL = range(len(RECORDS))
DIFFERENCES: list[tuple[str, Iterable[int], Any, str]] = [
    ("{{ 1 in '123' }}", ALL, True, "the engine looks for the number's text; Python raises"),
    ("{{ [1].append(2) }}", ALL, "error", "only the value of a variable changes in place; the message says so"),
    ("{{ 10 ** 40 }}", ALL, "error", "the engine computes with 128 bits; longer numbers are passed on"),
    ("{% set block %}12{% endset %}{{ block + 1 }}", ALL, "error", "a captured block is text; Jinja's native types read it as a literal"),
]
# Records whose keys are in an order of their own, and what shows it.
ORDERED_RECORD: dict[str, Any] = {
    "name": "sw1", "ports": {"zeta": {"speed": 10, "mode": "a"}, "alpha": {"speed": 1, "mode": "b"}, "10": None},
    "rows": [{"vlan": 7, "id": 1}, {"vlan": 8, "id": 2}], "serial": 18446744073709551616, "long": 10**50,
}
ORDERED_EXPRESSIONS = [
    "{% for k, v in ports.items() %}{{ k }};{% endfor %}", "{{ ports.keys()|join(',') }}", "{{ ports.values()|list }}x", "{{ ports|items|list }}x",
    "{{ ports|list }}", "{{ ports|first }}", "{{ rows }}x", "{{ rows[0] }}", "{{ ports }}", "{{ ports|dictsort }}", "{{ ports|tojson }}",
    "{% for k in ports %}{{ k }},{% endfor %}", "{{ rows[0].items()|list }}", "{{ serial }}", "{{ serial + 1 }}", "n{{ serial }}", "{{ long }}", "{{ long }}x",
    "{{ [long, serial] }}", "{{ serial > 1 }}", "{{ serial == 18446744073709551616 }}", "{{ serial % 10 }}",
]
ORDERED_CHAINS = [
    [("copy", "{{ ports }}"), ("out", "{{ copy.keys()|join(',') }}")],
    [("copy", "{{ {'b': 1, 'a': 2} }}"), ("out", "{% for k, v in copy.items() %}{{ k }}{{ v }}{% endfor %}x")],
    [("ports", "{{ ports|reverse|list }}"), ("out", "{{ ports|join('-') }}")],
    [("rows", "{{ rows[1:] }}"), ("out", "{{ rows[0].keys()|list|first }}")],
]
LITERAL_DIFFERENCES: dict[str, tuple[Any, str]] = {
    "'\\N{BULLET}'": ("'\\N{BULLET}'", "characters by name would need Unicode's list of names; the text stays"),
    "{1: 'x', True: 'y'}": ({"1": "x", "True": "y"}, "keys are text, and these two differ as text"),
}
# Results that no record can hold, by what plain() calls them, and why ours is what it is.
TEXT_STAYS = {
    "not finite": "no JSON number, the text stays",
    "complex": "no JSON value, the text stays",
    "bytes": "no JSON value, the text stays",
    "ellipsis": "no JSON value, the text stays",
}
BECOMES_LIST = {"generator", "range", "dict_items", "dict_keys", "dict_values"}


class Unstorable(Exception):
    """A result that has no JSON form."""


def plain(value: Any) -> Any:
    """A result as JSON; sets and tuples become lists, what is computed on demand a list."""
    if isinstance(value, Undefined):
        raise Unstorable("undefined")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise Unstorable("not finite")
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    raise Unstorable(type(value).__name__)


def rendered_text(record: dict[str, Any], expression: str) -> str:
    return Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(expression).render(**record)


def transform_case(index: int | None, record: dict[str, Any], pairs: list[tuple[str, str]], *, in_order: bool = False) -> dict[str, Any]:
    """One case: the record (its number, or itself), the transforms, and the fields that changed."""
    record = json.loads(json.dumps(record, sort_keys=not in_order))
    before = copy.deepcopy(record)
    case: dict[str, Any] = {"record": before if index is None else index, "transforms": pairs}
    if in_order:
        # A parser on our side may sort keys.
        case["text"] = json.dumps(record)
    field, expression = pairs[-1]
    models = [SchemaMappingTransform(field=field, expression=expression) for field, expression in pairs]
    ours: Any = None
    reason = ""
    try:
        item = DiffSyncModelMixin.apply_transforms(item=record, transforms=models)
    except Exception as exc:
        case["expected"] = {"error": str(exc)}
        if "unhashable type" in str(exc):
            ours, reason = {field: rendered_text(before, expression)}, "no literal, so the text stays; there the run ends"
    else:
        try:
            case["expected"] = {key: plain(value) for key, value in item.items() if key not in before or repr(before[key]) != repr(value)}
            case["expected"] = {"writes": case["expected"]}
        except Unstorable as exc:
            kind = str(exc)
            case["expected"] = {"unstorable": kind}
            if kind in TEXT_STAYS:
                ours, reason = {field: rendered_text(before, expression)}, TEXT_STAYS[kind]
            elif kind in BECOMES_LIST:
                ours, reason = {field: plain(list(item[field]))}, "what is computed on demand becomes a list; there the object itself is stored"
            elif kind == "undefined":
                ours, reason = "error", "there an undefined object is stored in the record and fails later"
            else:
                ours, reason = "error", "no value that a record can hold"
    for listed, indexes, value, why in DIFFERENCES:
        if listed == expression and index in indexes:
            ours, reason = value if value == "error" else {} if value is None else {field: value}, why
    if index is None and not in_order and "".join(before.values()) in LITERAL_DIFFERENCES:
        value, reason = LITERAL_DIFFERENCES["".join(before.values())]
        ours = {field: value}
    if ours is not None:
        case["difference"] = {"ours": ours, "reason": reason}
    return case


def transforms() -> list[dict[str, Any]]:
    cases = []
    for expression in EXPRESSIONS + BLOCKS:
        for index, record in enumerate(RECORDS):
            cases.append(transform_case(index, record, [("out", expression)]))
    for expression in ORDERED_EXPRESSIONS:
        cases.append(transform_case(None, ORDERED_RECORD, [("out", expression)], in_order=True))
    for chain in ORDERED_CHAINS:
        cases.append(transform_case(None, ORDERED_RECORD, chain, in_order=True))
    for literal in LITERALS:
        cases.append(transform_case(None, {"text": literal}, [("out", "{{ text }}")]))
        # The same text in two pieces, written over its own field.
        half = len(literal) // 2
        cases.append(transform_case(None, {"a": literal[:half], "b": literal[half:]}, [("a", "{{ a }}{{ b }}")]))
    for literal in random_literals(600):
        cases.append(transform_case(None, {"text": literal}, [("out", "{{ text }}")]))
    for chain in CHAINS:
        for index, record in enumerate(RECORDS):
            cases.append(transform_case(index, record, chain))
    return cases


def write(path: Path, document: dict[str, list[Any]]) -> None:
    """One item a line, so that a change of a case is a change of a line."""
    parts = []
    for name, items in document.items():
        lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
        parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
    path.write_text("{" + ",\n".join(parts) + "}\n")


def main() -> None:
    folder = Path(sys.argv[1])
    filter_cases, transform_cases = filters(), transforms()
    write(folder / "filters.json", {"cases": filter_cases})
    records = [json.loads(json.dumps(record, sort_keys=True)) for record in RECORDS]
    write(folder / "transforms.json", {"records": records, "cases": transform_cases})
    for name, cases in [("filters", filter_cases), ("transforms", transform_cases)]:
        print(name, len(cases), "cases,", sum("difference" in case for case in cases), "of them deliberate differences")


if __name__ == "__main__":
    main()
