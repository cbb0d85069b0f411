"""An adapter's description of itself and its needs."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Union


class SettingType(enum.Enum):
    """How a setting's value is checked."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    JSON = "json"


@dataclass
class Setting:
    """A setting. The host takes the first of: the environment variables in their order, ``settings`` in config.yml, the default."""

    name: str
    help: str
    """One line for the user."""
    type: SettingType = SettingType.TEXT
    required: bool = False
    secret: bool = False
    """The value is a credential: the host keeps it and the adapter never sees it."""
    environment: Sequence[str] = ()
    environment_setting: str | None = None
    """The setting, a JSON list of texts, that names variables in place of ``environment``."""
    project_first: bool = False
    """``settings`` in config.yml is taken before the environment."""
    command_line: str | None = None
    """The command-line option that sets it when config.yml does not (``branch`` for ``--branch``)."""
    default: str | None = None


@dataclass
class Alias:
    """Another spelling of a setting, of the adapter or of the host: ``Alias("verify", "verify_ssl")``."""

    name: str
    setting: str
    """The setting that it stands for."""
    environment: Sequence[str] = ()


@dataclass
class Condition:
    """A setting and the values under which something applies: ``Condition("auth_method", "token", "x-auth-token")``.

    A setting without a value has its default.
    """

    setting: str
    values: list[str]

    def __init__(self, setting: str, *values: str) -> None:
        self.setting = setting
        self.values = [*values]


@dataclass
class HeaderTemplate:
    """A header with a place for a secret: ``HeaderTemplate("authorization", "Token {token}")``."""

    name: str
    template: str
    prefix: str = ""
    """Used when the secret begins with this text; empty fits any."""


@dataclass
class Header:
    """A credential in a header; the host takes the first template whose prefix fits."""

    templates: list[HeaderTemplate]
    when: Condition | None

    def __init__(self, *templates: HeaderTemplate, when: Condition | None = None) -> None:
        self.templates = [*templates]
        self.when = when


@dataclass
class Basic:
    """HTTP basic authentication from two settings."""

    user_setting: str
    password_setting: str
    when: Condition | None = None


@dataclass
class QueryParameter:
    """A query parameter with the value of a setting."""

    parameter: str
    setting: str
    when: Condition | None = None


@dataclass
class LoginPlace:
    """Where a value is in the answer to a login: ``LoginPlace.json("/token")``."""

    case: str
    where: str

    @classmethod
    def json(cls, pointer: str) -> LoginPlace:
        """Names the text or number at an RFC 6901 pointer."""
        return cls("json", pointer)

    @classmethod
    def header(cls, name: str) -> LoginPlace:
        """Names a header."""
        return cls("header", name)

    @classmethod
    def cookie(cls, name: str) -> LoginPlace:
        """Names a cookie that is set."""
        return cls("cookie", name)


@dataclass
class LoginStep:
    """A request of a login."""

    method: str
    path: str
    """A path below the configured address, beginning with ``/``: a template of settings that are not secret
    (``/{api_endpoint}/aaaLogin.json``)."""
    headers: dict[str, str] = field(default_factory=dict)
    """Names and templates."""
    json: str | None = None
    """A JSON body, a template: ``{password}`` stands for the setting of that name, within quotation marks."""
    form: dict[str, str] | None = None
    """A form as the body: names and templates."""
    values: dict[str, LoginPlace] = field(default_factory=dict)
    """The values to take from its answer, by name."""


@dataclass
class Login:
    """A login, done by the host before the first request that needs it. The adapter sees neither requests nor answers."""

    steps: list[LoginStep]
    """The requests, in order; usually one."""
    headers: dict[str, str] = field(default_factory=dict)
    """The headers that each request gets afterwards: names and templates (``{"authorization": "Bearer {token}"}``)."""
    renew_after_s: int | None = None
    """The age in seconds at which the host renews it before the next request. None: when the system rejects it."""
    expired: list[int] = field(default_factory=lambda: [401])
    """Statuses which say that the login has expired and that the request was not executed."""
    refresh: list[LoginStep] = field(default_factory=list)
    """The requests that renew it. Empty: the steps."""
    when: Condition | None = None


Credential = Union[Header, Basic, QueryParameter, Login]
"""A credential that the host adds to each request to the configured origin if ``when`` holds; None: always."""


@dataclass
class ReadingPath:
    """A path below the configured address at which a request with a body only reads. While the host only reads, it denies all other such
    requests."""

    path: str
    """It begins with ``/``; ``*`` stands for one segment (``/graphql/*``)."""
    graphql: bool = False
    """The path takes GraphQL, of which the host lets only queries through while it only reads. Else the system changes nothing there, whatever
    the body."""


class Addressing(enum.Enum):
    """The words of the project that name a resource of this system."""

    MAPPING = "mapping"
    """The mapping's ``mapping:`` (``dcim.devices``); for a destination ``destination_mapping:`` first."""
    KIND = "kind"
    """The mapping's ``name:``, the kind itself."""


class ReferenceRule(enum.Enum):
    """A rule by which the value of a reference is matched with an object. The host tries the manifest's rules in their order, and the
    system's id and the natural key last."""

    FIELD_NAME = "field-name"
    """The record's own value at the field's name in the model comes before the mapping's path."""
    PEER_COLUMNS = "peer-columns"
    """The key is built from columns of this record: the paths from which the first mapping of the peer's kind takes its identifiers."""
    UNIQUE_ID = "unique-id"
    """The value is the peer's unique id text (identifiers joined by ``__``)."""


@dataclass
class Table:
    """A table that the host makes of a resource and lends to transforms as a filter: ``{{ x | name }}`` is the value for the key ``x``."""

    name: str
    resource: str
    key: str
    """The dotted path of the keys, in a record of the resource."""
    value: str
    """The dotted path of the values."""


class Evidence(enum.Flag):
    """Statements of an adapter about objects that a read does not return."""

    TOTAL = enum.auto()
    """Pages carry the number of objects that the system reports (``Page.total``)."""
    CHANGE_LOG = enum.auto()
    """Deletions are in a change log (``Adapter.absent`` answers from it)."""
    PERMISSIONS = enum.auto()
    """``Adapter.absent`` notices objects that exist but that the credentials do not show."""


@dataclass
class Manifest:
    """The adapter's description of itself."""

    name: str
    """The name that a project uses."""
    version: str
    description: str
    """One line: what system, which versions."""
    settings: list[Setting] = field(default_factory=list)
    address_setting: str | None = None
    """The setting that holds the base address; HTTP goes there and nowhere else. None: no network."""
    folder_setting: str | None = None
    """The setting that holds the folder to be granted. None: no files."""
    credentials: list[Credential] = field(default_factory=list)
    reading_paths: list[ReadingPath] = field(default_factory=list)
    """The paths at which a request with a body only reads."""
    aliases: list[Alias] = field(default_factory=list)
    """Other spellings of settings."""
    source: Addressing | None = None
    """How it is addressed as a source; None if it cannot be read."""
    destination: Addressing | None = None
    """How it is addressed as a destination; None if it cannot be written."""
    references: list[ReferenceRule] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    lookup: str | None = None
    """The name of the function ``lookup(resource, key, path, default)`` in transforms and in the ``mapping:`` of fields, if the adapter lends
    one. The host evaluates it over the records of the resource."""
    evidence: Evidence = Evidence(0)
    ownership: bool = False
    """A read returns at the path ``@owner`` the name of the sync that made an object, if the system records it, and writes record it."""
    reads_ids: bool = False
    """A read can be limited to ids (``LoadRequest.ids``)."""
    schema: bool = False
    """It knows the kinds of its system. If not, the mapping alone gives the shapes."""
    page_size: int = 1000
    """Records to ask for in one page: what most REST APIs allow at most."""
    write_batch_max: int = 1000
    """Rows to hand over in one write, at most."""
    write_concurrency: int = 1
    """Writes in flight at a time, at most: no system is harmed by one."""
    has_ids: bool = False
    """The system gives its objects ids, by which references can be written."""
