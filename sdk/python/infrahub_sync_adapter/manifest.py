"""What an adapter is and needs."""

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
    default: str | None = None


@dataclass
class HeaderTemplate:
    """A header with a place for a secret: ``HeaderTemplate("authorization", "Token {token}")``."""

    name: str
    template: str
    prefix: str = ""
    """Used when the secret begins with this text; empty fits all."""


@dataclass
class Header:
    """A credential in a header; the first template whose prefix fits is taken."""

    templates: list[HeaderTemplate]

    def __init__(self, *templates: HeaderTemplate) -> None:
        self.templates = [*templates]


@dataclass
class Basic:
    """HTTP basic authentication from two settings."""

    user_setting: str
    password_setting: str


@dataclass
class QueryParameter:
    """A query parameter with the value of a setting."""

    parameter: str
    setting: str


@dataclass
class LoginPlace:
    """Where a value is in the answer to a login: ``LoginPlace.json("/token")``."""

    case: str
    where: str

    @classmethod
    def json(cls, pointer: str) -> LoginPlace:
        """The text or number at an RFC 6901 pointer."""
        return cls("json", pointer)

    @classmethod
    def header(cls, name: str) -> LoginPlace:
        """A header."""
        return cls("header", name)

    @classmethod
    def cookie(cls, name: str) -> LoginPlace:
        """A cookie that is set."""
        return cls("cookie", name)


@dataclass
class LoginStep:
    """A request of a login."""

    method: str
    path: str
    """Below the configured address, beginning with ``/``. No template."""
    headers: dict[str, str] = field(default_factory=dict)
    """Names and templates."""
    json: str | None = None
    """A JSON body, a template: ``{password}`` stands for the setting of that name, within quotation marks."""
    form: dict[str, str] | None = None
    """A form as the body: names and templates."""
    values: dict[str, LoginPlace] = field(default_factory=dict)
    """What its answer gives, by name."""


@dataclass
class Login:
    """A login, done by the host before the first request that needs it: the adapter sees neither what is sent nor what is answered."""

    steps: list[LoginStep]
    """The requests, in their order; mostly one."""
    headers: dict[str, str] = field(default_factory=dict)
    """What each request gets afterwards: names and templates (``{"authorization": "Bearer {token}"}``)."""
    renew_after_s: int | None = None
    """After so many seconds the host renews it before the next request. None: when it is refused."""
    expired: list[int] = field(default_factory=lambda: [401])
    """Statuses which say that it has expired, and that nothing was done with the request."""
    refresh: list[LoginStep] = field(default_factory=list)
    """How it is renewed when the time is up. Empty: by the steps."""


Credential = Union[Header, Basic, QueryParameter, Login]
"""A credential that the host adds to each request to the configured origin."""


class Addressing(enum.Enum):
    """What a resource of this system is named after in the project."""

    MAPPING = "mapping"
    """The mapping's ``mapping:`` (``dcim.devices``)."""
    KIND = "kind"
    """The mapping's ``name:``, the kind itself."""


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
    source: Addressing | None = None
    """How it is read, None if it cannot be read as a source."""
    destination: bool = False
    """It can be a destination."""
    schema: bool = False
    """It knows the kinds of its system."""
    page_size: int = 1000
    """Records to ask for in one page: what most REST APIs allow at most."""
    write_batch_max: int = 1000
    """Rows to hand over in one write, at most."""
    write_concurrency: int = 1
    """Writes that may be under way at a time: no system is harmed by one."""
    has_ids: bool = False
    """Objects have ids of the system's own, by which references can be written."""
